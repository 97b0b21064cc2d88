// SPDX-License-Identifier: Apache-2.0
// A map of most types, by BTF.
#include <linux/bpf.h>
#include <linux/in6.h>

#include <bpf/bpf_helpers.h>

struct key {
	struct in6_addr source;
	__be16 port;
	__u8 protocol, unused;
};

struct value {
	__u64 packets;
	__s32 delta;
	__u8 mac[6];
	_Bool on;
	char name[9];
	unsigned low : 4, high : 12;
	union {
		__be32 v4;
		__be32 v6[4];
	} gateway;
	struct {
		__u16 id;
		__u16 id2;
	} list[2];
	enum xdp_action verdict;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 100);
	__type(key, struct key);
	__type(value, struct value);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 100);
	__uint(key_size, 8);
	__uint(value_size, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

static struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[3]);
} counters SEC(".maps");

SEC("xdp") int touch(struct xdp_md *ctx)
{
	struct key key = {.port = 80};
	__u32 zero = 0;
	__u64 prefix[2] = {32, 0};
	__u64 *counter = bpf_map_lookup_elem(&counters, &zero);
	if (counter)
		counter[1]++;
	bpf_map_lookup_elem(&shared, &zero);
	bpf_map_lookup_elem(&routes, prefix);
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &zero, sizeof(zero));
	bpf_ringbuf_output(&ring, &zero, sizeof(zero), 0);
	return bpf_map_lookup_elem(&flows, &key) ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
