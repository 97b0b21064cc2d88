// SPDX-License-Identifier: Apache-2.0
// What a confined card still does, and what it cannot do any more. Each case is a child.
#include "card/confine.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/native/code_memory.h"
#include "engine/native/code_sample.h"
#include "engine/space.h"

// What `act` returns in a child that is confined after `space` was made, or the negative signal
// that ended it.
static int confined(int (*act)(struct space *space))
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct space *space;
		if (space_new(&space, NULL) || confine_syscalls(NULL))
			_exit(100);
		_exit(act(space));
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int puts_runs_and_drops(struct space *space)
{
	struct code_memory *memory = space_code(space);
	for (uint32_t i = 0; i < 100; i++) {
		struct sample sample = sample_new(i, 10 * i);
		const uint8_t *block;
		if (code_memory_put(memory, sample.code, &block, NULL))
			return 1;
		if (sample_run(&sample, block) != i)
			return 2;
		if (i % 2)
			code_memory_drop(memory, block);
		sample_free(&sample);
	}
	space_free(&space);
	return 0;
}

static void machine_code_is_put_where_it_was_reserved(void **state)
{
	if (!sample_offered())
		skip();
	assert_int_equal(confined(puts_runs_and_drops), 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // there is no filter then
static int maps_executable_memory(struct space *space)
{
	(void)space;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED || errno != EPERM)
		return 1;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return 2;
	if (!mprotect(page, 4096, PROT_READ | PROT_EXEC) || errno != EPERM)
		return 3;
	return 0;
}

// A space that is made too late comes up, and its programs are interpreted.
static int makes_another_space(struct space *space)
{
	struct space *late;
	if (space_new(&late, NULL))
		return 1;
	int refused = code_memory_offered(space_code(late), NULL);
	space_free(&late);
	return refused == -EPERM && !code_memory_offered(space_code(space), NULL) ? 0 : 2;
}

static void no_more_executable_memory_is_made(void **state)
{
	assert_int_equal(confined(maps_executable_memory), 0);
	assert_int_equal(confined(makes_another_space), 0);
}

static int runs_another_program(struct space *space)
{
	(void)space;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static void running_another_program_ends_it(void **state)
{
	assert_int_equal(confined(runs_another_program), -SIGSYS);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machine_code_is_put_where_it_was_reserved),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(no_more_executable_memory_is_made),
		cmocka_unit_test(running_another_program_ends_it),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
