// SPDX-License-Identifier: Apache-2.0
// What an AF_XDP port finds on its interface, and what it leaves there: in a network namespace of
// this process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/space.h"
#include "port/port.h"

#define FRAMES 4096u

static struct space *space;
static struct packet_memory *memory;

static int open_port(const char *spec, struct port **port, struct error *err)
{
	return port_open(spec, &(struct port_options){.memory = memory}, port, err);
}

static uint32_t attached(const char *name)
{
	uint32_t id = 0;
	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex(name), 0, &id), 0);
	return id;
}

static void names_the_program_that_is_in_its_way(void **state)
{
	const struct bpf_insn code[] = {
	        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
	        {.code = BPF_JMP | BPF_EXIT},
	};
	struct error err = {0};
	struct port *port = NULL;
	char expected[32];
	int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "other", "GPL", code, 2, NULL);
	assert_true(program >= 0);
	int link = bpf_link_create(program, (int)if_nametoindex("near0"), BPF_XDP, NULL);
	assert_true(link >= 0);
	snprintf(expected, sizeof(expected), "id %u", attached("near0"));
	assert_int_equal(open_port("af_xdp:near0,host=none", &port, &err), -EBUSY);
	assert_non_null(strstr(err.text, expected));
	assert_null(port);
	assert_int_equal(packet_memory_free_count(memory), FRAMES);
	close(link);
	close(program);
}

static void leaves_nothing_when_it_closes(void **state)
{
	struct error err = {0};
	struct port *port = NULL;
	if (open_port("af_xdp:near0", &port, &err))
		fail_msg("%s", err.text);
	assert_true(attached("near0") != 0);
	assert_true(if_nametoindex("raio0") != 0);
	port_close(&port);
	assert_int_equal(attached("near0"), 0);
	assert_int_equal(if_nametoindex("raio0"), 0);
	assert_int_equal(packet_memory_free_count(memory), FRAMES);
}

static void leaves_nothing_when_it_is_killed(void **state)
{
	int ready[2], status;
	char octet;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct port *port = NULL;
		if (open_port("af_xdp:near0", &port, NULL) == 0)
			(void)!write(ready[1], "r", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &octet, 1), 1);
	close(ready[0]);
	assert_true(attached("near0") != 0);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	for (int i = 0; i < 100 && (attached("near0") || if_nametoindex("raio0")); i++)
		usleep(10000);
	assert_int_equal(attached("near0"), 0);
	assert_int_equal(if_nametoindex("raio0"), 0);
	struct port *port = NULL;
	struct error err = {0};
	if (open_port("af_xdp:near0", &port, &err)) // at once: it waits for the queue
		fail_msg("%s", err.text);
	port_close(&port);
}

static int set_up(void **state)
{
	struct error err;
	if (system("ip link add near0 type veth peer name far0 && ip link set near0 up"))
		return -1;
	return space_new(&space, &err) || packet_memory_new(space, FRAMES, &memory, &err) ? -1 : 0;
}

static int tear_down(void **state)
{
	packet_memory_free(&memory);
	space_free(&space);
	return 0;
}

int main(void)
{
	if (unshare(CLONE_NEWNET)) {
		fprintf(stderr, "skipped: a network namespace needs CAP_SYS_ADMIN\n");
		return 77;
	}
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_the_program_that_is_in_its_way),
	        cmocka_unit_test(leaves_nothing_when_it_closes),
	        cmocka_unit_test(leaves_nothing_when_it_is_killed),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
