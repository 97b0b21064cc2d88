// SPDX-License-Identifier: Apache-2.0
// An XDP program beside programs for other hooks, which use what no card has.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, int);
} sockets SEC(".maps");

SEC("tc") int classify(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	return sk && bpf_sk_storage_get(&sockets, sk, 0, 0) ? 0 : 1;
}

SEC("kprobe/do_sys_open") int probe(void *ctx)
{
	return bpf_get_current_pid_tgid() & 1;
}

SEC("xdp") int only(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
