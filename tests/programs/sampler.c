// SPDX-License-Identifier: Apache-2.0
// Random sampling, clocks and the CPU: what differs each time stays out of the verdict.
#include "parse.h"

__u64 ordered, varies[4];

SEC("xdp")
int sampler(struct xdp_md *ctx)
{
	__u64 first = bpf_ktime_get_ns(), second = bpf_ktime_get_ns();
	ordered += second >= first;
	ordered += bpf_ktime_get_boot_ns() >= first;
	ordered += bpf_ktime_get_coarse_ns() != 0;
	ordered += bpf_ktime_get_tai_ns() > 1000000000ull;
	ordered += bpf_jiffies64() != 0;
	return bpf_get_prandom_u32() % 2 < 2 ? XDP_PASS : XDP_DROP;
}
