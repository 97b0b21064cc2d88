// SPDX-License-Identifier: Apache-2.0
// Memory for machine code: what runs, what traps, that nothing is ever writable and executable,
// blocks that come and go, from several threads, and what happens where there is none.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "engine/native/code_memory.h"
#include "engine/native/code_sample.h"
#include "engine/space.h"

static const uint8_t *put(struct code_memory *memory, const struct sample *sample)
{
	const uint8_t *block;
	struct error err = {0};
	if (code_memory_put(memory, sample->code, &block, &err))
		fail_msg("%s", err.text);
	return block;
}

static struct code_memory *memory_new(void)
{
	struct code_memory *memory;
	struct error err = {0};
	assert_int_equal(code_memory_new(&memory), 0);
	if (code_memory_offered(memory, &err))
		fail_msg("%s", err.text);
	return memory;
}

// The signal that ends a child which does `act`, or 0.
static int signal_of(void (*act)(const struct sample *, const uint8_t *),
        const struct sample *sample, const uint8_t *block)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		static const int signals[] = {SIGSEGV, SIGILL, SIGTRAP, SIGBUS};
		for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
			signal(signals[i], SIG_DFL); // not a sanitizer's
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		act(sample, block);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void act_run(const struct sample *sample, const uint8_t *block)
{
	sample_run(sample, block);
}

static void act_write(const struct sample *sample, const uint8_t *block)
{
	(void)sample;
	*(volatile uint8_t *)(uintptr_t)block = 0;
}

static void code_runs_until_it_is_dropped_and_then_traps(void **state)
{
	struct code_memory *memory = memory_new();
	struct sample sample = sample_new(42, 5000);
	const uint8_t *block = put(memory, &sample);
	assert_int_equal(sample_run(&sample, block), 42);
	assert_int_equal(signal_of(act_run, &sample, block), 0);
	assert_true(code_memory_used(memory) >= sample.size);
	uint8_t behind = block[sample.size]; // what runs over the end traps as well
	code_memory_drop(memory, block);
	assert_int_equal(code_memory_used(memory), 0);
	assert_int_equal(behind, block[0]);
	int signal = signal_of(act_run, &sample, block);
	assert_true(signal == SIGTRAP || signal == SIGILL);
	for (uint32_t i = 0; i < sample.size; i++)
		assert_int_equal(block[i], block[0]);
	code_memory_drop(memory, NULL);
	sample_free(&sample);
	code_memory_free(&memory);
	code_memory_free(&memory);
}

// Counts mappings of machine code; none in the process may be written and executed.
static unsigned count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	assert_non_null(maps);
	char line[512], access[8];
	unsigned count = 0;
	while (fgets(line, sizeof(line), maps)) {
		assert_int_equal(sscanf(line, "%*x-%*x %7s", access), 1);
		assert_false(strchr(access, 'w') && strchr(access, 'x'));
		if (!strstr(line, "raio-code"))
			continue;
		assert_null(strchr(access, 'w'));
		count++;
	}
	fclose(maps);
	return count;
}

static void no_address_is_ever_writable_and_executable(void **state)
{
	assert_int_equal(count_mappings(), 0);
	struct code_memory *memory = memory_new();
	assert_int_equal(count_mappings(), 1);
	for (unsigned i = 0; i < 20; i++) {
		struct sample sample = sample_new(i, i * 1000);
		const uint8_t *block = put(memory, &sample);
		assert_int_equal(count_mappings(), 1);
		assert_int_equal(signal_of(act_write, &sample, block), SIGSEGV);
		assert_int_equal(sample_run(&sample, block), i);
		if (i % 3)
			code_memory_drop(memory, block);
		assert_int_equal(count_mappings(), 1);
		sample_free(&sample);
	}
	code_memory_free(&memory);
	assert_int_equal(count_mappings(), 0);
}

static unsigned count_files(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += lseek(fd, 0, SEEK_CUR) != -1 || errno != EBADF;
	return count;
}

static void a_block_that_was_dropped_is_used_again(void **state)
{
	unsigned files = count_files();
	struct code_memory *memory = memory_new();
	struct sample small = sample_new(1, 0), large = sample_new(2, 1000);
	const uint8_t *first = put(memory, &small), *second = put(memory, &large);
	assert_ptr_not_equal(first, second);
	for (unsigned i = 0; i < 20000; i++) { // far more than there is room for
		code_memory_drop(memory, second);
		second = put(memory, &large);
	}
	code_memory_drop(memory, first);
	assert_ptr_equal(put(memory, &small), first);
	assert_int_equal(sample_run(&small, first), 1);
	assert_int_equal(sample_run(&large, second), 2);
	sample_free(&small);
	sample_free(&large);
	code_memory_free(&memory);
	assert_int_equal(count_files(), files);
}

#define LIVE 40

// Blocks of chance; each must stay as it was put until it is dropped.
static void churn(struct code_memory *memory, unsigned seed, unsigned rounds)
{
	struct sample samples[LIVE] = {0};
	const uint8_t *blocks[LIVE];
	uint32_t values[LIVE];
	for (unsigned i = 0; i < rounds; i++) {
		unsigned which = (unsigned)rand_r(&seed) % LIVE;
		if (samples[which].code) {
			assert_int_equal(sample_run(&samples[which], blocks[which]), values[which]);
			code_memory_drop(memory, blocks[which]);
			sample_free(&samples[which]);
			continue;
		}
		values[which] = (uint32_t)rand_r(&seed);
		samples[which] = sample_new(values[which], (unsigned)rand_r(&seed) % 300);
		blocks[which] = put(memory, &samples[which]);
	}
	for (unsigned which = 0; which < LIVE; which++)
		if (samples[which].code) {
			assert_int_equal(sample_run(&samples[which], blocks[which]), values[which]);
			code_memory_drop(memory, blocks[which]);
			sample_free(&samples[which]);
		}
}

static void blocks_come_and_go_in_any_order(void **state)
{
	struct code_memory *memory = memory_new();
	churn(memory, 1, 4000);
	assert_int_equal(code_memory_used(memory), 0);
	code_memory_free(&memory);
}

struct worker {
	struct code_memory *memory;
	unsigned seed;
};
static void *run_worker(void *context)
{
	struct worker *worker = context;
	churn(worker->memory, worker->seed, 1500);
	return NULL;
}

static void threads_put_run_and_drop_at_once(void **state)
{
	struct code_memory *memory = memory_new();
	pthread_t threads[3];
	struct worker workers[3];
	for (unsigned i = 0; i < 3; i++) {
		workers[i] = (struct worker){memory, i + 10};
		assert_int_equal(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(code_memory_used(memory), 0);
	code_memory_free(&memory);
}

static void a_full_region_says_so_and_goes_on(void **state)
{
	struct code_memory *memory = memory_new();
	struct sample large = sample_new(7, 400000), small = sample_new(8, 0);
	const uint8_t *blocks[128] = {NULL}, *block;
	struct error err = {0};
	unsigned count = 0;
	while (count < 128 && !code_memory_put(memory, large.code, &blocks[count], &err))
		count++;
	assert_true(count > 4 && count < 128);
	assert_int_equal(err.code, ENOMEM);
	assert_non_null(strstr(err.text, "remove functions that are not needed"));
	assert_int_equal(sample_run(&large, blocks[count - 1]), 7);
	block = put(memory, &small); // there is room for less
	assert_int_equal(sample_run(&small, block), 8);
	code_memory_drop(memory, blocks[count / 2]);
	assert_ptr_equal(put(memory, &large), blocks[count / 2]);
	assert_int_equal(sample_run(&large, blocks[count / 2]), 7);
	assert_int_equal(code_memory_put(memory, large.code, &block, NULL), -ENOMEM);
	sample_free(&large);
	sample_free(&small);
	code_memory_free(&memory);
}

static void unfinished_code_is_refused(void **state)
{
	struct code_memory *memory = memory_new();
	struct sample sample = sample_unfinished();
	const uint8_t *block = NULL;
	struct error err = {0};
	assert_int_equal(code_memory_put(memory, sample.code, &block, &err), -ERANGE);
	assert_non_null(strstr(err.text, "leads nowhere"));
	assert_null(block);
	assert_int_equal(code_memory_used(memory), 0);
	sample_free(&sample);
	code_memory_free(&memory);
}

// A space comes up all the same where the system gives no executable memory, which says why.
static int check_refused(void)
{
	struct space *space;
	struct error err = {0};
	struct sample sample = sample_new(1, 0);
	const uint8_t *block = NULL;
	uint32_t window;
	if (space_new(&space, &err) || space_map(space, 4096, &window, &err))
		return 1;
	if (!code_memory_offered(space_code(space), &err) || !strstr(err.text, "interpreted"))
		return 2;
	err.text[0] = '\0';
	if (code_memory_put(space_code(space), sample.code, &block, &err) != -err.code || block ||
	        !strstr(err.text, "interpreted"))
		return 3;
	if (code_memory_used(space_code(space)))
		return 4;
	space_free(&space);
	sample_free(&sample);
	return 0;
}

#define NO_LIMIT 77

// What a child finds that may open no more files, write no large ones, or map no more memory.
static int child_with_limit(int what, rlim_t value, int (*check)(void))
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct rlimit limit = {value, value};
		if (setrlimit((__rlimit_resource_t)what, &limit))
			_exit(100);
		bool kept = what != RLIMIT_AS || value ||
		            mmap(NULL, 1u << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		                    MAP_FAILED;
		_exit(kept ? check() : NO_LIMIT);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

// The limit that leaves this process `more` bytes; 0 where there is none to be had: sanitizers need
// more, and emulators let it pass.
static rlim_t memory_limit(uint64_t more)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 0;
#endif
	unsigned long pages;
	FILE *statm = fopen("/proc/self/statm", "r");
	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%lu", &pages), 1);
	fclose(statm);
	if (child_with_limit(RLIMIT_AS, 0, check_refused) == NO_LIMIT)
		return 0;
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
}

static void a_space_without_executable_memory_says_why(void **state)
{
	assert_int_equal(child_with_limit(RLIMIT_NOFILE, 3, check_refused), 0);
	assert_int_equal(child_with_limit(RLIMIT_FSIZE, 1u << 20, check_refused), 0);
	rlim_t limit = memory_limit((4ull << 30) + (32u << 20)); // a space, and little more
	if (limit)
		assert_int_equal(child_with_limit(RLIMIT_AS, limit, check_refused), 0);
}

// Large code, for which there is memory, and then none to place it in.
static int check_no_memory(void)
{
	struct code_memory *memory;
	struct sample large = sample_new(1, 5500000), small = sample_new(2, 0);
	const uint8_t *block = NULL;
	struct error err = {0};
	struct rlimit limit;
	if (code_memory_new(&memory) || code_memory_offered(memory, &err))
		return 1;
	unsigned long pages;
	FILE *statm = fopen("/proc/self/statm", "r");
	if (!statm || fscanf(statm, "%lu", &pages) != 1)
		return 2;
	fclose(statm);
	limit.rlim_cur = limit.rlim_max =
	        (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (1u << 20);
	if (setrlimit(RLIMIT_AS, &limit))
		return 3;
	if (code_memory_put(memory, large.code, &block, &err) != -ENOMEM || block || !*err.text)
		return 4;
	if (code_memory_used(memory))
		return 5;
	if (code_memory_put(memory, small.code, &block, &err))
		return 6;
	return sample_run(&small, block) == 2 ? 0 : 7;
}

static void no_memory_to_place_code_in_is_an_error(void **state)
{
	if (memory_limit(0))
		assert_int_equal(child_with_limit(RLIMIT_CORE, 0, check_no_memory), 0);
}

static void each_space_has_its_own(void **state)
{
	struct space *a, *b;
	assert_int_equal(space_new(&a, NULL), 0);
	assert_int_equal(space_new(&b, NULL), 0);
	assert_int_equal(count_mappings(), 2);
	struct sample sample = sample_new(5, 0);
	const uint8_t *block = put(space_code(a), &sample);
	space_free(&b);
	assert_int_equal(sample_run(&sample, block), 5);
	space_free(&a);
	assert_int_equal(count_mappings(), 0);
	sample_free(&sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        // First: what malloc keeps for threads is reserved already.
	        cmocka_unit_test(no_memory_to_place_code_in_is_an_error),
	        cmocka_unit_test(code_runs_until_it_is_dropped_and_then_traps),
	        cmocka_unit_test(no_address_is_ever_writable_and_executable),
	        cmocka_unit_test(a_block_that_was_dropped_is_used_again),
	        cmocka_unit_test(blocks_come_and_go_in_any_order),
	        cmocka_unit_test(threads_put_run_and_drop_at_once),
	        cmocka_unit_test(a_full_region_says_so_and_goes_on),
	        cmocka_unit_test(unfinished_code_is_refused),
	        cmocka_unit_test(a_space_without_executable_memory_says_why),
	        cmocka_unit_test(each_space_has_its_own),
	};
	if (!sample_offered())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
