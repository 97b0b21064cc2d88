// SPDX-License-Identifier: Apache-2.0
// Random programs in every engine, and, where the verifier accepts them, in the kernel: the same in
// all that a program, its owner or the card can see (diff.h).
//
//	engine_diff_test [SECONDS [SEED]]
//
// SECONDS also as RAIO_DIFF_SECONDS. It prints its seed; where two differ, the smallest program
// found on which they still do, as a case for tests/data/engines, and both outcomes.
//
// The programs run in a process of their own. Where that dies (a sanitizer, a proof that was wrong,
// a loop without end), the one that watches it knows from which number the program came, writes it
// again, and makes it smaller in the same way.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/diff.h"
#include "engine/diff_case.h"
#include "engine/diff_kernel.h"
#include "engine/random_program.h"
#include "engine/way.h"

#define SECONDS      10
#define HANG_SECONDS 30u

struct sides {
	struct diff_side *side[ENGINE_WAYS_MAX];
	const char *name[ENGINE_WAYS_MAX];
	struct diff_outcome outcome[ENGINE_WAYS_MAX];
	uint32_t count;
	struct diff_kernel *kernel; // or NULL
};

// What the process that watches reads.
struct shared {
	uint64_t state; // of the random numbers, before the case that runs
	uint64_t cases, refused, kernel_agrees, kernel_refuses, unfaulted, packets;
};

struct trial {
	struct diff_case it;
	enum random_style style;
	uint8_t bytes[RANDOM_PACKET_SIZE];
};

static void open_sides(struct sides *sides)
{
	struct error err = {0};
	memset(sides, 0, sizeof(*sides));
	// Where there is one engine only, it runs twice: the test must not see a difference where
	// none is.
	for (uint32_t i = 0; i < 2 || engine_way(i); i++) {
		const struct engine_way *way = engine_way(i) ? engine_way(i) : engine_way(0);
		if (diff_side_new(way, &sides->side[i], &err)) {
			fprintf(stderr, "%s\n", err.text);
			exit(1);
		}
		sides->name[i] = way->name;
		sides->count++;
	}
	sides->kernel = diff_kernel_new();
}

static void close_sides(struct sides *sides)
{
	for (uint32_t i = 0; i < sides->count; i++) {
		diff_side_free(&sides->side[i]);
		diff_outcome_free(&sides->outcome[i]);
	}
	diff_kernel_free(&sides->kernel);
}

static void make_trial(struct trial *trial, struct random *random)
{
	struct diff_setup *setup = &trial->it.setup;
	trial->style = random_pick(random, 3) ? RANDOM_FREE : RANDOM_FOR_KERNEL;
	random_program_write(&trial->it.program, random, trial->style);
	*setup = (struct diff_setup){.make = diff_case_image,
	        .context = &trial->it.program,
	        .seed = random->state,
	        .bursts = 1,
	        .burst = 1};
	snprintf(trial->it.name, sizeof(trial->it.name), "found_%llx",
	        (unsigned long long)random->state);
	if (trial->style == RANDOM_FOR_KERNEL && random_pick(random, 3)) {
		for (uint32_t i = 0; i < RANDOM_PACKET_SIZE; i++)
			trial->bytes[i] = (uint8_t)random_pick(random, 256);
		setup->bytes = trial->bytes;
		setup->size = RANDOM_PACKET_SIZE;
		return;
	}
	setup->bursts = 1 + random_pick(random, 3);
	setup->burst = 1 + random_pick(random, trial->it.program.large ? DIFF_BURST_MAX : 8);
	setup->carry = random_pick(random, 8) == 0;
	setup->churn = random_pick(random, 4) == 0;
	setup->is_bare = random_pick(random, 8) == 0;
	setup->budget = random_pick(random, 3) ? 5000 : 1 + random_pick(random, 400);
}

// The first of the sides that does not end as the interpreter; 0: all do.
static uint32_t find_difference(struct sides *sides, const struct trial *trial)
{
	for (uint32_t i = 0; i < sides->count; i++) {
		diff_run(sides->side[i], &trial->it.setup, &sides->outcome[i]);
		if (i && !diff_same(&sides->outcome[0], &sides->outcome[i]))
			return i;
	}
	return 0;
}

static enum diff_kernel_answer ask_kernel(struct sides *sides, const struct trial *trial, FILE *to)
{
	if (!sides->kernel || !trial->it.setup.bytes)
		return KERNEL_REFUSES;
	return diff_kernel_compare(
	        sides->kernel, &trial->it.program, trial->it.setup.bytes, &sides->outcome[0], to);
}

struct reduction {
	struct sides *sides;
	struct trial *trial;
};

static bool still_differs(void *context, const struct random_program *program)
{
	struct reduction *reduction = context;
	struct trial trial = *reduction->trial;
	trial.it.program = *program;
	trial.it.setup.context = &trial.it.program;
	return find_difference(reduction->sides, &trial);
}

static bool still_differs_from_kernel(void *context, const struct random_program *program)
{
	struct reduction *reduction = context;
	struct trial trial = *reduction->trial;
	trial.it.program = *program;
	trial.it.setup.context = &trial.it.program;
	return !find_difference(reduction->sides, &trial) &&
	       ask_kernel(reduction->sides, &trial, NULL) == KERNEL_DIFFERS;
}

static void print_packet(const struct trial *trial)
{
	if (!trial->it.setup.bytes)
		return;
	fprintf(stderr, "packet:");
	for (uint32_t i = 0; i < RANDOM_PACKET_SIZE; i++)
		fprintf(stderr, " %02x", trial->bytes[i]);
	fprintf(stderr, "\n");
}

static void report(struct sides *sides, struct trial *trial)
{
	struct reduction reduction = {sides, trial};
	struct random_program program = trial->it.program;
	memset(program.kept, 0, sizeof(program.kept)); // engines define what was never written
	random_program_reduce(&program, still_differs, &reduction);
	trial->it.program = program;
	uint32_t i = find_difference(sides, trial);
	fprintf(stderr, "%s and %s end differently\n", sides->name[0], sides->name[i]);
	diff_print(stderr, sides->name[0], &sides->outcome[0], sides->name[i], &sides->outcome[i]);
	print_packet(trial);
	diff_case_print(stderr, &trial->it);
}

static void report_kernel(struct sides *sides, struct trial *trial)
{
	struct reduction reduction = {sides, trial};
	struct random_program program = trial->it.program;
	random_program_reduce(&program, still_differs_from_kernel, &reduction);
	trial->it.program = program;
	find_difference(sides, trial);
	ask_kernel(sides, trial, stderr);
	print_packet(trial);
	diff_case_print(stderr, &trial->it);
}

static bool run_trial(struct sides *sides, struct trial *trial, struct shared *shared)
{
	if (find_difference(sides, trial)) {
		report(sides, trial);
		return false;
	}
	shared->cases++;
	shared->refused += !sides->outcome[0].loaded;
	shared->unfaulted += sides->outcome[0].unfaulted;
	shared->packets += trial->it.setup.bursts * trial->it.setup.burst;
	if (!trial->it.setup.bytes || !sides->kernel)
		return true;
	enum diff_kernel_answer answer = ask_kernel(sides, trial, NULL);
	shared->kernel_agrees += answer == KERNEL_AGREES;
	shared->kernel_refuses += answer == KERNEL_REFUSES;
	if (answer == KERNEL_DIFFERS)
		report_kernel(sides, trial);
	return answer != KERNEL_DIFFERS;
}

static int run_until(struct shared *shared, uint64_t end)
{
	static struct sides sides;
	static struct trial trial;
	struct random random = {shared->state};
	bool same = true;
	open_sides(&sides);
	while (same && clock_ns() < end) {
		alarm(HANG_SECONDS);
		shared->state = random.state;
		make_trial(&trial, &random);
		same = run_trial(&sides, &trial, shared);
	}
	close_sides(&sides);
	return same ? 0 : 1;
}

// Whether the process that runs this program dies.
static bool dies(void *context, const struct random_program *program)
{
	struct trial trial = *(struct trial *)context;
	int status;
	trial.it.program = *program;
	trial.it.setup.context = &trial.it.program;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		struct sides sides;
		alarm(2);
		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		open_sides(&sides);
		find_difference(&sides, &trial);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status != 0;
}

static void report_death(uint64_t state, int status)
{
	static struct trial trial;
	static struct random_program program;
	struct random random = {state};
	make_trial(&trial, &random);
	fprintf(stderr, "the process died (%s) of a program from seed %llu\n",
	        WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit",
	        (unsigned long long)state);
	program = trial.it.program;
	memset(program.kept, 0, sizeof(program.kept));
	if (dies(&trial, &program))
		random_program_reduce(&program, dies, &trial);
	else
		fprintf(stderr, "alone it does not die\n");
	trial.it.program = program;
	print_packet(&trial);
	diff_case_print(stderr, &trial.it);
}

static int watch(struct shared *shared, double seconds)
{
	int status;
	uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);
	pid_t child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0) {
		exit(run_until(shared, end));
	}
	if (waitpid(child, &status, 0) != child)
		return 1;
	if (WIFSIGNALED(status) || WEXITSTATUS(status) > 1)
		report_death(shared->state, status);
	return status ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *given = argc > 1 ? argv[1] : getenv("RAIO_DIFF_SECONDS");
	struct shared *shared = mmap(
	        NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	shared->state = argc > 2 ? strtoull(argv[2], NULL, 0) : clock_wall_ns() | 1;
	printf("seed %llu\n", (unsigned long long)shared->state);
	fflush(stdout);
	if (watch(shared, given ? atof(given) : SECONDS))
		return 1;
	printf("%llu programs end alike (%llu refused by the check); %llu of %llu packets met no "
	       "fault\n",
	        (unsigned long long)shared->cases, (unsigned long long)shared->refused,
	        (unsigned long long)shared->unfaulted, (unsigned long long)shared->packets);
	if (shared->kernel_agrees)
		printf("the kernel agrees on %llu, its verifier refuses %llu\n",
		        (unsigned long long)shared->kernel_agrees,
		        (unsigned long long)shared->kernel_refuses);
	else
		printf("bpf(2) is not allowed here: not compared with the kernel\n");
	// A test that compares nothing would pass, too.
	bool refused = shared->refused * 4 > shared->cases,
	     faulted = shared->unfaulted * 4 < shared->packets,
	     strange = shared->kernel_agrees < shared->kernel_refuses;
	return refused || faulted || strange ? 1 : 0;
}
