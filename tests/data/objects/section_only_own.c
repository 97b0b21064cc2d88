// SPDX-License-Identifier: Apache-2.0
// A single program in a section that means nothing to anybody.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("my_filter") int filter(void *ctx)
{
	return XDP_PASS;
}
