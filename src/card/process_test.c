// SPDX-License-Identifier: Apache-2.0
// raio-card as a process: what happens when it, or who controls it, is killed, stopped or started
// twice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/card.h"
#include "card/test_images.h"
#include "engine/space.h"

static char folder[] = "/tmp/raio-process-XXXXXX", path[64], program[4096];

// Starts raio-card on `path`; waits until it answers if `wait` is set.
static pid_t start(const char *first, const char *second)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		execl(program, program, "--socket", path, "--port", first, "--port", second, NULL);
		_exit(127);
	}
	return pid;
}

static int end(pid_t pid, int signal)
{
	int status;
	kill(pid, signal);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static struct card *connect_soon(void)
{
	struct card *card = NULL;
	struct error err = {0};
	for (int i = 0; i < 500; i++) {
		if (!card_connect(path, &card, &err))
			return card;
		usleep(10000);
	}
	fail_msg("%s", err.text);
	return NULL;
}

static uint64_t deploy(struct card *card)
{
	static struct receipt receipt;
	struct error err;
	struct image *image = image_wire(1);
	const struct card_load options = {.ports = 3, .tag = "r1"};
	uint64_t id = 0;
	if (card->ops->load(card, image, &options, &id, &err) ||
	        card->ops->swap(card, id, 3, 0, &receipt, &err))
		fail_msg("%s", err.text);
	image_free(&image);
	return id;
}

static struct card_port port_state(struct card *card, uint32_t number)
{
	static struct card_port ports[PORTS_MAX];
	uint32_t count;
	struct error err;
	if (card->ops->ports(card, ports, PORTS_MAX, &count, &err))
		fail_msg("%s", err.text);
	return ports[number];
}

static void forwards_on_when_its_client_is_killed(void **state)
{
	pid_t card = start("gen:rate=20kpps", "null");
	pid_t client = fork();
	if (!client) {
		deploy(connect_soon());
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(client, &status, 0), client);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	cleanup(card_free) struct card *next = connect_soon();
	assert_int_equal(port_state(next, 0).active, 1);
	uint64_t before = port_state(next, 1).total.tx_packets;
	usleep(50000);
	assert_true(port_state(next, 1).total.tx_packets > before);
	struct card_generation list[4];
	uint32_t count;
	assert_int_equal(next->ops->generations(next, list, 4, &count, NULL), 0);
	assert_string_equal(list[0].tag, "r1");
	assert_true(list[0].active);
	assert_int_equal(end(card, SIGTERM), 0);
}

static void obeys_one_client_at_a_time(void **state)
{
	pid_t pid = start("null", "null");
	cleanup(card_free) struct card *first = connect_soon();
	struct card *second = NULL;
	struct error err;
	assert_int_equal(card_connect(path, &second, &err), -EBUSY);
	assert_non_null(strstr(err.text, "another client"));
	struct card_info info;
	assert_int_equal(first->ops->info(first, &info, NULL), 0);
	card_free(&first);
	second = connect_soon();
	card_free(&second);
	assert_int_equal(end(pid, SIGTERM), 0);
}

static void a_silent_client_does_not_keep_others_out(void **state)
{
	pid_t pid = start("null", "null");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct card *card = connect_soon();
	card_free(&card);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	usleep(50000);
	card = connect_soon();
	struct card_info info;
	assert_int_equal(card->ops->info(card, &info, NULL), 0);
	card_free(&card);
	close(fd);
	assert_int_equal(end(pid, SIGTERM), 0);
}

static void a_stopped_card_is_reported_within_the_time_out(void **state)
{
	pid_t pid = start("null", "null");
	cleanup(card_free) struct card *card = connect_soon();
	kill(pid, SIGSTOP);
	struct card_info info;
	struct error err;
	uint64_t before_ns = clock_ns();
	assert_int_equal(card->ops->info(card, &info, &err), -ETIMEDOUT);
	assert_in_range(clock_ns() - before_ns, 4 * NS_PER_S, 7 * NS_PER_S);
	assert_non_null(strstr(err.text, "does not answer"));
	assert_int_equal(card->ops->info(card, &info, &err), -ENOTCONN);
	kill(pid, SIGCONT);
	assert_int_equal(end(pid, SIGTERM), 0);
}

static void a_dead_card_is_reported_at_once(void **state)
{
	pid_t pid = start("null", "null");
	cleanup(card_free) struct card *card = connect_soon();
	end(pid, SIGKILL);
	struct card_info info;
	struct error err;
	assert_true(card->ops->info(card, &info, &err) < 0);
	assert_non_null(strstr(err.text, "does not answer"));
}

static void takes_over_a_stale_socket_but_not_a_served_one(void **state)
{
	pid_t first = start("null", "null");
	struct card *card = connect_soon();
	int status;
	pid_t second = start("null", "null");
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(WEXITSTATUS(status), 1);
	struct card_info info;
	assert_int_equal(card->ops->info(card, &info, NULL), 0);
	card_free(&card);
	end(first, SIGKILL); // its socket stays
	assert_int_equal(access(path, F_OK), 0);
	pid_t third = start("null", "null");
	card = connect_soon();
	assert_int_equal(card->ops->info(card, &info, NULL), 0);
	card_free(&card);
	assert_int_equal(end(third, SIGTERM), 0);
}

static void says_what_is_wrong_with_its_arguments(void **state)
{
	static const char *const options[] = {"--workers", "--frames", "--engine"};
	int status;
	pid_t pid = start("nonsense:1", "null");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		pid = fork();
		if (!pid) {
			execl(program, program, options[i], "x", NULL);
			_exit(127);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), 2);
	}
}

// A namespace of our own; "skipped" where that is not allowed.
static bool make_network(void)
{
	return !unshare(CLONE_NEWNET) &&
	       !system("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null;"
	               "ip link add va0 type veth peer name va1 && "
	               "ip link add vb0 type veth peer name vb1 && "
	               "for i in va0 va1 vb0 vb1; do ip link set $i up || exit 1; done");
}

static void leaves_nothing_behind_when_it_is_killed_amid_traffic(void **state)
{
	if (!make_network()) {
		print_message("not root: no namespace, nothing tested here\n");
		skip();
	}
	pid_t pid = start("af_xdp:va0", "af_xdp:vb0");
	struct card *card = connect_soon();
	deploy(card); // the process is nobody by now
	const char *specs[] = {"gen:seq=1,rate=10kpps", "af_xdp:va1,host=none",
	        "gen:seq=1,rate=10kpps", "af_xdp:vb1,host=none"};
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = 4, .worker_count = 1};
	cleanup(card_free) struct card *load = NULL;
	struct error err;
	if (soft_card_new(&options, &load, &err))
		fail_msg("%s", err.text);
	static struct receipt receipt;
	struct image *image = image_wire(1);
	const struct card_load all = {.ports = 15};
	uint64_t id;
	assert_int_equal(load->ops->load(load, image, &all, &id, NULL), 0);
	assert_int_equal(load->ops->swap(load, id, 15, 0, &receipt, NULL), 0);
	image_free(&image);
	usleep(300000);
	assert_true(port_state(card, 0).total.tx_packets > 500);
	assert_true(port_state(load, 0).stats.seq_packets > 500);
	assert_int_equal(system("ip link show raio0 >/dev/null 2>&1"), 0);
	end(pid, SIGKILL);
	card_free(&card);
	usleep(100000);
	assert_int_not_equal(system("ip link show raio0 >/dev/null 2>&1"), 0);
	assert_int_not_equal(system("ip -d link show va0 | grep -q 'prog/xdp'"), 0);
}

static void notices_that_an_interface_is_gone_and_goes_on(void **state)
{
	if (system("ip link add vg0 type veth peer name vg1 2>/dev/null && "
	           "ip link set vg0 up && ip link set vg1 up"))
		skip();
	pid_t pid = start("af_xdp:vg0,host=none", "gen:rate=1kpps");
	struct card *card = connect_soon();
	deploy(card);
	assert_true(port_state(card, 0).up);
	assert_int_equal(system("ip link del vg0"), 0);
	for (int i = 0; i < 500 && port_state(card, 0).up; i++)
		usleep(10000);
	assert_false(port_state(card, 0).up);
	assert_true(port_state(card, 1).up);
	uint64_t before = port_state(card, 1).total.packets;
	usleep(100000);
	assert_true(port_state(card, 1).total.packets > before);
	card_free(&card);
	assert_int_equal(end(pid, SIGTERM), 0);
}

// A memif is connected by DPDK's own thread, behind the filter.
static void meets_the_other_end_of_a_memif_without_privileges(void **state)
{
	if (!HAVE_DPDK)
		skip();
	char server[128], client[128];
	snprintf(server, sizeof(server), "dpdk:net_memif0,role=server,socket=%s/memif", folder);
	snprintf(client, sizeof(client), "dpdk:net_memif1,role=client,socket=%s/memif", folder);
	pid_t pid = start("gen:rate=20kpps", server);
	struct card *card = connect_soon();
	deploy(card);
	struct space *space;
	struct packet_memory *memory;
	struct port *port;
	struct error err;
	struct packet packets[BURST_MAX];
	assert_int_equal(space_new(&space, &err), 0);
	assert_int_equal(packet_memory_new(space, PORT_FRAMES, &memory, &err), 0);
	if (port_open(client, &(struct port_options){.memory = memory}, &port, &err))
		fail_msg("%s", err.text);
	uint32_t got = 0;
	for (int i = 0; i < 5000 && got < 1000; i++) {
		uint32_t n = port_receive(port, packets, BURST_MAX);
		frames_give(memory, packets, n);
		got += n;
		usleep(n ? 0 : 1000);
	}
	assert_in_range(got, 1000, 1000 + BURST_MAX);
	port_close(&port);
	assert_int_equal(packet_memory_free_count(memory), PORT_FRAMES);
	packet_memory_free(&memory);
	space_free(&space);
	uint64_t before =
	        port_state(card, 0).total.packets; // the other end goes, the card does not
	usleep(100000);
	assert_true(port_state(card, 0).total.packets > before);
	card_free(&card);
	assert_int_equal(end(pid, SIGTERM), 0);
	snprintf(server, sizeof(server), "%s/memif", folder);
	unlink(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(forwards_on_when_its_client_is_killed),
	        cmocka_unit_test(obeys_one_client_at_a_time),
	        cmocka_unit_test(a_silent_client_does_not_keep_others_out),
	        cmocka_unit_test(a_stopped_card_is_reported_within_the_time_out),
	        cmocka_unit_test(a_dead_card_is_reported_at_once),
	        cmocka_unit_test(takes_over_a_stale_socket_but_not_a_served_one),
	        cmocka_unit_test(says_what_is_wrong_with_its_arguments),
	        cmocka_unit_test(leaves_nothing_behind_when_it_is_killed_amid_traffic),
	        cmocka_unit_test(notices_that_an_interface_is_gone_and_goes_on),
	        cmocka_unit_test(meets_the_other_end_of_a_memif_without_privileges),
	};
	const char *build = getenv("RAIO_BUILD_DIR");
	snprintf(program, sizeof(program), "%s/raio-card", build ? build : ".");
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/card.sock", folder);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(folder);
	return failed;
}
