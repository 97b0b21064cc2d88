// SPDX-License-Identifier: Apache-2.0
// bpf_fib_lookup() against the kernel's own, run by BPF_PROG_TEST_RUN, in a network namespace of
// this test's own: c0 and c1 are ports 0 and 1 of a card, c2 is not of it, p0 to p2 are their
// peers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/soft/fib.h"

#define WORDS     (sizeof(struct bpf_fib_lookup) / 8)
#define SECOND_NS NS_PER_S
#define BAD_FLAG  (1u << 20)

struct rig {
	int program;
	uint32_t interfaces[3][2]; // of ports; port 2 has none
	struct fib *fib;
};

struct question {
	struct bpf_fib_lookup params;
	uint32_t flags;
	int32_t answer;
};

static const char network[] =
        "set -e; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
        "net.ipv6.conf.default.accept_dad=0;"
        "for i in 0 1 2; do ip link add c$i type veth peer name p$i;"
        "ip link set p$i up; ip link set c$i address 02:00:00:00:0$i:01 up;"
        "ip addr add 10.0.$i.1/24 dev c$i; ip addr add fd00:$i::1/64 dev c$i nodad;"
        "ip neigh add 10.0.$i.2 lladdr 02:00:00:00:0$i:02 dev c$i;"
        "ip neigh add fd00:$i::2 lladdr 02:00:00:00:0$i:03 dev c$i; done;"
        "ip addr add 10.0.1.77/24 dev c1; ip addr add 10.66.0.1/16 dev c1;"
        "ip neigh add 10.11.0.5 lladdr 02:00:00:00:01:05 dev c1;"
        "ip route add 10.1.0.0/16 via 10.0.1.2; ip route add 10.1.2.0/24 via 10.0.1.3;"
        "ip route add 10.1.2.128/25 via 10.0.1.2 metric 7;"
        "ip route add blackhole 10.2.0.0/16; ip route add unreachable 10.3.0.0/16;"
        "ip route add prohibit 10.4.0.0/16; ip route add throw 10.5.0.0/16;"
        "ip route add 10.6.0.0/16 via 10.0.1.2 metric 50;"
        "ip route add 10.6.0.0/16 via 10.0.0.2 metric 20;"
        "ip route add 10.7.0.0/16 via 10.0.1.2 mtu lock 1000;"
        "ip route add 10.7.7.0/24 via 10.0.1.2 mtu 1000;"
        "ip route add 10.8.0.0/16 tos 0x10 via 10.0.0.2; ip route add 10.8.0.0/16 via 10.0.1.2;"
        "ip route add 10.9.0.0/16 via inet6 fd00:1::2 dev c1;"
        "ip route add 10.10.0.0/16 via 10.0.1.2 src 10.0.0.1; ip route add 10.11.0.0/16 dev c1;"
        "ip route add 10.12.0.0/16 via 10.0.1.2 table 100; ip route add 10.13.0.0/16 via 10.0.2.2;"
        "ip route add 10.14.0.0/16 via 10.66.0.9;"
        "ip -6 route add fd01::/32 via fd00:1::2; ip -6 route add fd01:0:1::/48 via fd00:1::3;"
        "ip -6 route add blackhole fd02::/32; ip -6 route add unreachable fd03::/32;"
        "ip -6 route add prohibit fd04::/32; ip -6 route add fd07::/32 via fd00:1::2 mtu lock 1300;"
        "ip -6 route add fd07:7::/32 via fd00:1::2 mtu 1300;"
        "ip -6 route add fd06::/32 via fd00:1::2 metric 50;"
        "ip -6 route add fd06::/32 via fd00:0::2 metric 20;"
        "ip -6 route add fd0c::/32 via fd00:1::2 table 100; ip -6 route add fd0d::/32 via "
        "fd00:2::2";

static const char *const destinations[] = {"10.0.0.1", "10.0.1.1", "10.0.1.2", "10.0.1.3",
        "10.0.1.255", "10.0.2.2", "10.1.0.1", "10.1.2.3", "10.1.2.200", "10.2.0.1", "10.3.0.1",
        "10.4.0.1", "10.5.0.1", "10.6.0.1", "10.7.0.1", "10.7.7.1", "10.8.0.1", "10.9.0.1",
        "10.10.0.1", "10.11.0.5", "10.11.0.6", "10.12.0.1", "10.13.0.1", "10.14.0.1", "10.99.0.1",
        "127.0.0.1", "255.255.255.255", "0.0.0.0", "fd00:0::1", "fd00:1::1", "fd00:1::2",
        "fd00:1::3", "fd00:2::2", "fd01::1", "fd01:0:1::1", "fd02::1", "fd03::1", "fd04::1",
        "fd06::1", "fd07::1", "fd07:7::1", "fd0c::1", "fd0d::1", "fdff::1", "fe80::1", "ff02::1",
        "::1", "2001:db8::1"};

static const uint32_t flag_sets[] = {0, BPF_FIB_LOOKUP_DIRECT, BPF_FIB_LOOKUP_OUTPUT,
        BPF_FIB_LOOKUP_SKIP_NEIGH, BPF_FIB_LOOKUP_SRC, BPF_FIB_LOOKUP_TBID,
        BPF_FIB_LOOKUP_DIRECT | BPF_FIB_LOOKUP_TBID,
        BPF_FIB_LOOKUP_DIRECT | BPF_FIB_LOOKUP_OUTPUT | BPF_FIB_LOOKUP_SRC,
        BPF_FIB_LOOKUP_SKIP_NEIGH | BPF_FIB_LOOKUP_SRC, BAD_FLAG};

// A program that takes a question out of the packet, asks, and puts the answer in its place.
static int load_program(void)
{
	struct bpf_insn code[64];
	uint32_t n = 0;
	const int16_t base = -(int16_t)sizeof(struct bpf_fib_lookup);
#define INSN(...) code[n++] = (struct bpf_insn){__VA_ARGS__}
#define COPY(to, to_off, from, from_off)                                                           \
	INSN(BPF_LDX | BPF_MEM | BPF_DW, 5, from, (int16_t)(from_off), 0);                         \
	INSN(BPF_STX | BPF_MEM | BPF_DW, to, 5, (int16_t)(to_off), 0)
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	INSN(BPF_LDX | BPF_MEM | BPF_W, 7, 1, offsetof(struct xdp_md, data), 0);
	INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct xdp_md, data_end), 0);
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 7, 0, 0);
	INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, sizeof(struct question));
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_ABORTED);
	uint32_t jump = n;
	INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 0, 0);
	for (uint32_t i = 0; i < WORDS; i++) {
		COPY(10, base + 8 * (int)i, 7, 8 * i);
	}
	INSN(BPF_LDX | BPF_MEM | BPF_W, 4, 7, offsetof(struct question, flags), 0);
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0);
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, base);
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, sizeof(struct bpf_fib_lookup));
	INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_fib_lookup);
	for (uint32_t i = 0; i < WORDS; i++) {
		COPY(7, 8 * i, 10, base + 8 * (int)i);
	}
	INSN(BPF_STX | BPF_MEM | BPF_W, 7, 0, offsetof(struct question, answer), 0);
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS);
	code[jump].off = (int16_t)(n - jump - 1);
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
#undef COPY
#undef INSN
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "fib", "GPL", code, n, NULL);
}

static void ask_kernel(const struct rig *rig, struct question *question)
{
	struct xdp_md context = {
	        .data_end = sizeof(*question), .ingress_ifindex = rig->interfaces[0][0]};
	struct question out;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = question,
	        .data_size_in = sizeof(*question), .data_out = &out, .data_size_out = sizeof(out),
	        .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);
	assert_int_equal(bpf_prog_test_run_opts(rig->program, &options), 0);
	assert_int_equal(options.retval, XDP_PASS);
	*question = out;
}

static uint32_t port_of(const struct rig *rig, uint32_t index)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(rig->interfaces); i++)
		if (index && rig->interfaces[i][0] == index)
			return i + 1;
	return 0;
}

// Whether both say the same, in the words of the card.
static bool same(struct rig *rig, const struct question *asked)
{
	struct question theirs = *asked, ours = *asked;
	ask_kernel(rig, &theirs);
	ours.params.ifindex = port_of(rig, asked->params.ifindex);
	ours.answer = fib_lookup(fib_reader(rig->fib, 0), &ours.params, ours.flags);
	struct question leaves = *asked; // also where the packet is too long
	leaves.params.tot_len = 0;
	ask_kernel(rig, &leaves);
	if (leaves.params.ifindex && !port_of(rig, leaves.params.ifindex)) // by c2
		return ours.answer == BPF_FIB_LKUP_RET_NOT_FWDED;
	theirs.params.ifindex = port_of(rig, theirs.params.ifindex);
	return memcmp(&ours, &theirs, sizeof(ours)) == 0;
}

static void explain(struct rig *rig, const struct question *asked, const char *destination)
{
	struct question theirs = *asked, ours = *asked;
	ask_kernel(rig, &theirs);
	ours.params.ifindex = port_of(rig, asked->params.ifindex);
	ours.answer = fib_lookup(fib_reader(rig->fib, 0), &ours.params, ours.flags);
	print_error("%s, flags %#x, length %u, tos %u, from %u: we say %d, port %u, metric %u, mtu "
	            "%u; the kernel %d, interface %u, metric %u, mtu %u\n",
	        destination, asked->flags, asked->params.tot_len, asked->params.tos,
	        asked->params.ifindex, ours.answer, ours.params.ifindex, ours.params.rt_metric,
	        ours.params.mtu_result, theirs.answer, theirs.params.ifindex,
	        theirs.params.rt_metric, theirs.params.mtu_result);
	for (size_t i = 0; i < sizeof(ours); i++)
		if (((uint8_t *)&ours)[i] != ((uint8_t *)&theirs)[i])
			print_error("  byte %zu: %02x, kernel %02x\n", i, ((uint8_t *)&ours)[i],
			        ((uint8_t *)&theirs)[i]);
}

static struct question ask(uint32_t ifindex, const char *destination, uint32_t flags)
{
	struct question question = {.flags = flags};
	struct bpf_fib_lookup *params = &question.params;
	params->ifindex = ifindex;
	params->family = strchr(destination, ':') ? AF_INET6 : AF_INET;
	inet_pton(params->family, params->family == AF_INET ? "10.0.0.2" : "fd00:0::2",
	        &params->ipv4_src);
	inet_pton(params->family, destination, &params->ipv4_dst);
	if (flags & BPF_FIB_LOOKUP_TBID)
		params->tbid = 100;
	return question;
}

static void answers_as_the_kernel_does(void **state)
{
	static const uint16_t lengths[] = {0, 60, 1000, 1001, 1301, 1500, 1501};
	struct rig *rig = *state;
	uint32_t different = 0, asked = 0;
	for (size_t d = 0; d < ARRAY_SIZE(destinations); d++)
		for (size_t f = 0; f < ARRAY_SIZE(flag_sets); f++)
			for (size_t l = 0; l < ARRAY_SIZE(lengths); l++)
				for (uint32_t variant = 0; variant < 4; variant++) {
					struct question question =
					        ask(rig->interfaces[variant & 1][0],
					                destinations[d], flag_sets[f]);
					question.params.tot_len = lengths[l];
					if (question.params.family == AF_INET)
						question.params.tos = variant & 2 ? 0x10 : 0;
					asked++;
					if (same(rig, &question))
						continue;
					if (different++ < 5)
						explain(rig, &question, destinations[d]);
				}
	print_message("%u questions\n", asked);
	assert_int_equal(different, 0);
}

static void refuses_what_the_kernel_refuses(void **state)
{
	struct rig *rig = *state;
	struct question question = ask(rig->interfaces[0][0], "10.1.0.1", 0);
	question.params.family = 99;
	assert_true(same(rig, &question));
	question = ask(0, "10.1.0.1", 0);
	assert_true(same(rig, &question));
	question = ask(rig->interfaces[0][0], "10.1.0.1", BAD_FLAG);
	assert_true(same(rig, &question));
}

static void a_port_that_is_no_interface_forwards_nothing(void **state)
{
	struct rig *rig = *state;
	struct question question = ask(3, "10.1.0.1", 0);
	assert_int_equal(fib_lookup(fib_reader(rig->fib, 2), &question.params, 0),
	        BPF_FIB_LKUP_RET_NOT_FWDED);
	assert_int_equal(fib_mtu(fib_reader(rig->fib, 2), 3), 0);
	assert_int_equal(fib_mtu(fib_reader(rig->fib, 2), 2), 1500);
}

// Runs a command and waits until we say what the kernel says.
static void follows(struct rig *rig, const char *command, const char *destination)
{
	struct question question = ask(rig->interfaces[0][0], destination, 0), before = question;
	ask_kernel(rig, &before);
	if (system(command))
		fail_msg("%s", command);
	struct question after = question;
	ask_kernel(rig, &after);
	if (memcmp(&before, &after, sizeof(before)) == 0)
		fail_msg("%s: changes nothing", command);
	uint64_t begin_ns = clock_ns();
	while (!same(rig, &question)) {
		if (clock_ns() - begin_ns > SECOND_NS) {
			explain(rig, &question, destination);
			fail_msg("%s: not seen within a second", command);
		}
		usleep(1000);
	}
}

static void sees_changes_within_a_second(void **state)
{
	static const struct {
		const char *command, *destination;
	} changes[] = {
	        {"ip route add 10.99.0.0/16 via 10.0.1.2", "10.99.0.1"},
	        {"ip route replace 10.99.0.0/16 via 10.0.0.2", "10.99.0.1"},
	        {"ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:99 dev c0", "10.99.0.1"},
	        {"ip neigh del 10.0.0.2 dev c0", "10.99.0.1"},
	        {"ip route del 10.99.0.0/16", "10.99.0.1"},
	        {"ip -6 route add fdff::/16 via fd00:1::2", "fdff::1"},
	        {"ip -6 neigh replace fd00:1::2 lladdr 02:00:00:00:00:98 dev c1", "fdff::1"},
	        {"ip link set c1 mtu 1400", "10.1.0.1"},
	        {"ip link set c1 address 02:00:00:00:01:77", "10.1.0.1"},
	        {"sysctl -qw net.ipv4.conf.c0.forwarding=0", "10.1.0.1"},
	        {"sysctl -qw net.ipv4.conf.c0.forwarding=1", "10.1.0.1"},
	        {"ip link set c1 down", "10.1.0.1"},
	};
	struct rig *rig = *state;
	struct error err;
	assert_int_equal(fib_start(rig->fib, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		follows(rig, changes[i].command, changes[i].destination);
}

// Look-ups go on while the tables change under them: what a sanitizer would see is freed too early.
static void answers_while_routes_change(void **state)
{
	struct rig *rig = *state;
	assert_int_equal(
	        system("(for i in $(seq 1 200); do "
	               "echo route replace 10.200.$i.0/24 via 10.0.0.9; done) | ip -b - &"),
	        0);
	uint64_t begin_ns = clock_ns(), found = 0, count = 0;
	for (; clock_ns() - begin_ns < SECOND_NS / 2; count++) {
		struct question question = ask(1, "10.200.200.1", BPF_FIB_LOOKUP_SKIP_NEIGH);
		found += fib_lookup(fib_reader(rig->fib, 0), &question.params, question.flags) ==
		         BPF_FIB_LKUP_RET_SUCCESS;
	}
	print_message("%llu look-ups, the last route is there in %llu\n", (unsigned long long)count,
	        (unsigned long long)found);
	assert_true(found > 0);
}

static int setup(void **state)
{
	static struct rig rig;
	struct error err;
	rig.interfaces[0][0] = if_nametoindex("c0");
	rig.interfaces[1][0] = if_nametoindex("c1");
	rig.program = load_program();
	if (rig.program < 0 || fib_new(rig.interfaces, 3, &rig.fib, &err))
		return -1;
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;
	fib_free(&rig->fib);
	close(rig->program);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(answers_as_the_kernel_does),
	        cmocka_unit_test(refuses_what_the_kernel_refuses),
	        cmocka_unit_test(a_port_that_is_no_interface_forwards_nothing),
	        cmocka_unit_test(sees_changes_within_a_second),
	        cmocka_unit_test(answers_while_routes_change),
	};
	if (unshare(CLONE_NEWNET)) {
		fputs("skipped: needs root to make a network namespace\n", stderr);
		return 77;
	}
	if (system(network)) {
		fputs("skipped: cannot make veth pairs, addresses and routes\n", stderr);
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
