// SPDX-License-Identifier: Apache-2.0
#include "port/redirect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

// return bpf_redirect_map(map, ctx->rx_queue_index, XDP_PASS);
static int load_program(int map_fd)
{
	const struct bpf_insn code[] = {
	        {.code = BPF_LDX | BPF_MEM | BPF_W,
	                .dst_reg = BPF_REG_2,
	                .src_reg = BPF_REG_1,
	                .off = offsetof(struct xdp_md, rx_queue_index)},
	        {.code = BPF_LD | BPF_IMM | BPF_DW,
	                .dst_reg = BPF_REG_1,
	                .src_reg = BPF_PSEUDO_MAP_FD,
	                .imm = map_fd},
	        {0},
	        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
	        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
	        {.code = BPF_JMP | BPF_EXIT},
	};
	return bpf_prog_load(
	        BPF_PROG_TYPE_XDP, "raio_redirect", "Apache-2.0", code, ARRAY_SIZE(code), NULL);
}

static int explain_attach(
        int status, const char *name, uint32_t ifindex, bool generic, struct error *err)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, there);
	switch (status) {
	case -EBUSY:
	case -EEXIST:
		bpf_xdp_query((int)ifindex, 0, &there);
		uint32_t id = there.prog_id       ? there.prog_id
		              : there.drv_prog_id ? there.drv_prog_id
		                                  : there.skb_prog_id;
		return error_set(err, EBUSY,
		        "%s has an XDP program already, id %u: see `bpftool prog show id %u`, and "
		        "detach it "
		        "or stop what attached it",
		        name, id, id);
	case -EOPNOTSUPP:
		if (!generic)
			return error_set(err, EOPNOTSUPP,
			        "the driver of %s has no native XDP: ask for the slower generic "
			        "mode with "
			        "af_xdp:%s,mode=generic",
			        name, name);
		break;
	case -ERANGE:
		return error_set(err, ERANGE,
		        "%s does not take an XDP program at its MTU: make the MTU smaller (1500)",
		        name);
	case -EPERM:
		return error_set(err, EPERM,
		        "cannot attach an XDP program to %s: this needs the capability "
		        "CAP_NET_ADMIN",
		        name);
	}
	return error_set(
	        err, -status, "cannot attach an XDP program to %s: %s", name, strerror(-status));
}

int redirect_attach(struct redirect *redirect, const char *name, uint32_t ifindex, uint32_t queue,
        int xsk_fd, bool generic, struct error *err)
{
	*redirect = (struct redirect){-1, -1, -1};
	int fd = bpf_map_create(
	        BPF_MAP_TYPE_XSKMAP, "raio_xsks", sizeof(uint32_t), sizeof(int), queue + 1, NULL);
	if (fd >= 0) {
		redirect->map_fd = fd;
		fd = bpf_map_update_elem(redirect->map_fd, &queue, &xsk_fd, 0);
	}
	if (fd >= 0)
		fd = redirect->program_fd = load_program(redirect->map_fd);
	if (fd < 0) {
		redirect->program_fd = -1;
		redirect_detach(redirect);
		return error_set(err, -fd, "cannot load the XDP program for %s: %s%s", name,
		        strerror(-fd),
		        fd == -EPERM ? " (it needs the capabilities CAP_BPF and CAP_NET_ADMIN)"
		                     : "");
	}
	LIBBPF_OPTS(bpf_link_create_opts, options,
	        .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	fd = bpf_link_create(redirect->program_fd, (int)ifindex, BPF_XDP, &options);
	if (fd < 0) {
		redirect_detach(redirect);
		return explain_attach(fd, name, ifindex, generic, err);
	}
	redirect->link_fd = fd;
	return 0;
}

void redirect_detach(struct redirect *redirect)
{
	const int fds[] = {redirect->link_fd, redirect->program_fd, redirect->map_fd};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*redirect = (struct redirect){-1, -1, -1};
}
