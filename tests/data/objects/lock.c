// SPDX-License-Identifier: Apache-2.0
// A value with a spin lock that is not its first member.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct account {
	__u32 spent;
	struct bpf_spin_lock lock;
	__u64 tokens;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct account);
} accounts SEC(".maps");

SEC("xdp") int spend(struct xdp_md *ctx)
{
	__u32 key = 1;
	struct account *account = bpf_map_lookup_elem(&accounts, &key);
	if (!account)
		return XDP_DROP;
	bpf_spin_lock(&account->lock);
	account->spent++;
	bpf_spin_unlock(&account->lock);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
