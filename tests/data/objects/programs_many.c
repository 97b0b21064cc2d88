// SPDX-License-Identifier: Apache-2.0
// Several programs in one section, each with data of its own.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define PROGRAM(n)                                                                                 \
	static volatile __u32 count##n;                                                            \
	SEC("xdp") int program##n(struct xdp_md *ctx)                                              \
	{                                                                                          \
		count##n++;                                                                        \
		return n % 4 + 1;                                                                  \
	}

PROGRAM(0);
PROGRAM(1);
PROGRAM(2);
PROGRAM(3);
PROGRAM(4);
PROGRAM(5);
PROGRAM(6);
PROGRAM(7);

char _license[] SEC("license") = "GPL";
