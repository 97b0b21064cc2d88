// SPDX-License-Identifier: Apache-2.0
// Sockets and tracked connections of the host. A card has none: each look-up answers as the kernel
// does where nothing is found, and a function that takes what one found can only be given a
// stranger. Checks and their order: net/core/filter.c, net/netfilter/nf_conntrack_bpf.c and
// nf_flow_table_bpf.c of Linux 6.18.
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/helpers.h"

#define TUPLE_V4 sizeof(((struct bpf_sock_tuple *)0)->ipv4)
#define TUPLE_V6 sizeof(((struct bpf_sock_tuple *)0)->ipv6)

// struct bpf_ct_opts, which is the kernel's own.
struct ct_options {
	int32_t netns, error;
	uint8_t protocol, direction;
	uint16_t zone;
	uint8_t zone_direction, reserved[3];
};
#define CT_OPTIONS_OLD offsetof(struct ct_options, zone_direction) // until Linux 6.9

// R1 context, R2 tuple, R3 its size, R4 network namespace, R5 flags: all of them lead to NULL.
uint64_t helper_socket_lookup(struct engine *engine, const uint64_t args[5])
{
	if (helper_context(engine, args[0]))
		helper_in(engine, args[1], args[2]);
	return 0;
}

uint64_t helper_socket_none(struct engine *engine, const uint64_t args[5])
{
	return helper_fault(engine, args[0]);
}

// What the kernel says of options that it does not look up with; 0: it does.
static int ct_wrong(const struct ct_options *options, uint64_t size, uint64_t tuple_size)
{
	if (size == CT_OPTIONS_OLD
	                ? options->zone
	                : options->reserved[0] || options->reserved[1] || options->reserved[2])
		return -EINVAL;
	if (options->protocol != IPPROTO_TCP && options->protocol != IPPROTO_UDP)
		return -EPROTO;
	if (options->netns < BPF_F_CURRENT_NETNS)
		return -EINVAL;
	if (tuple_size != TUPLE_V4 && tuple_size != TUPLE_V6)
		return -EAFNOSUPPORT;
	return options->netns >= 0 ? -ENONET : 0;
}

// R2 tuple, R3 its size, R4 options, R5 their size. `none`: the error of a good call.
static uint64_t ct_refuse(struct engine *engine, const uint64_t args[5], int none)
{
	struct ct_options options = {0};
	if (!helper_context(engine, args[0]) || !helper_in(engine, args[1], args[2]))
		return 0;
	uint8_t *memory = helper_out(engine, args[3], args[4]);
	if (!memory || args[4] < offsetof(struct ct_options, protocol))
		return 0;
	int rc = -EINVAL;
	if (args[4] == sizeof(options) || args[4] == CT_OPTIONS_OLD) {
		memcpy(&options, memory, args[4]);
		rc = ct_wrong(&options, args[4], args[2]);
	}
	options.error = rc ? rc : none;
	memcpy(memory + offsetof(struct ct_options, error), &options.error, sizeof(options.error));
	return 0;
}

uint64_t kfunc_ct_lookup(struct engine *engine, const uint64_t args[5])
{
	return ct_refuse(engine, args, -ENOENT);
}

// As where the table of connections is full.
uint64_t kfunc_ct_alloc(struct engine *engine, const uint64_t args[5])
{
	return ct_refuse(engine, args, -ENOMEM);
}

// R2 struct bpf_fib_lookup, R3 struct bpf_flowtable_opts (an error), R4 its size.
uint64_t kfunc_flow_lookup(struct engine *engine, const uint64_t args[5])
{
	struct bpf_fib_lookup tuple;
	int32_t error = -ENOENT;
	if (!helper_context(engine, args[0]))
		return 0;
	const uint8_t *fib = helper_in(engine, args[1], sizeof(tuple));
	uint8_t *memory = fib ? helper_out(engine, args[2], args[3]) : NULL;
	if (!memory || args[3] < sizeof(error))
		return 0;
	memcpy(&tuple, fib, sizeof(tuple));
	if (args[3] != sizeof(error))
		error = -EINVAL;
	else if (tuple.family != AF_INET && tuple.family != AF_INET6)
		error = -EAFNOSUPPORT;
	memcpy(memory, &error, sizeof(error));
	return 0;
}
