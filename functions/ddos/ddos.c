// SPDX-License-Identifier: Apache-2.0
// ddos: mitigation in line between the ports of a pair (0 and 1, 2 and 3, …). In this order: a
// source whose prefix is blocked is dropped; a source in an allowed prefix passes; each other
// source has a token bucket of its own, with a rate for the service it speaks to if that is
// protected, else the default rate. What is not IP (ARP, …) passes. Malformed IP is dropped.
#include <raio/raio.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#define NS_PER_S  1000000000ull
#define VLANS_MAX 2 // 802.1ad: an outer and an inner tag

// Packets a second and a burst of packets. rate 0 in `settings` = no limit; in `services` = drop
// all.
struct limit {
	__u32 rate, burst;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct limit);
} settings SEC(".maps");

struct prefix4 {
	__u32 length;
	__be32 address;
};

struct prefix6 {
	__u32 length;
	struct in6_addr address;
};

// What a prefix's packets do: see enum policy.
struct rule {
	__u32 policy;
};

enum policy { BLOCK = 0, ALLOW = 1 };

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix4);
	__type(value, struct rule);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix6);
	__type(value, struct rule);
} prefixes6 SEC(".maps");

// A protected service: IP protocol and destination port.
struct service {
	__u16 protocol;
	__be16 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service);
	__type(value, struct limit);
} services SEC(".maps");

// A token bucket. Credit counts 10^-9 packets, so that refilling is one multiplication: ns * rate.
struct bucket {
	__u64 credit, updated_ns;
	__u64 passed, dropped;
};

// A source has a bucket for each protected service that it speaks to, and one (0, 0) for all else.
struct flow4 {
	__be32 source;
	struct service service;
};

struct flow6 {
	__be64 network; // the /64 that a subscriber has: RFC 6177
	struct service service;
	__u32 unused; // a key has no padding
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct flow4);
	__type(value, struct bucket);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow6);
	__type(value, struct bucket);
} sources6 SEC(".maps");

struct counters {
	__u64 passed, allowed, not_ip, malformed, blocked, limited;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

struct vlan_header {
	__be16 tci, protocol;
};

struct ports {
	__be16 source, destination;
};

// Takes one packet's token. Engines may race for a source that comes by two ports: one token may
// then be spent twice, which a rate limit forgives.
static __always_inline int take(struct bucket *bucket, const struct limit *limit, __u64 now_ns)
{
	__u64 elapsed_ns = now_ns > bucket->updated_ns ? now_ns - bucket->updated_ns : 0;
	// Keeps the product below 2^64; longer pauses have filled any bucket of burst <= 4 * rate
	// anyway.
	if (elapsed_ns >> 32)
		elapsed_ns = 0xffffffff;
	__u64 credit = elapsed_ns * limit->rate, full = limit->burst * NS_PER_S;
	credit = credit > full ? full : credit;
	credit += bucket->credit;
	credit = credit > full ? full : credit;
	bucket->updated_ns = now_ns;
	if (credit < NS_PER_S) {
		bucket->credit = credit;
		bucket->dropped++;
		return 0;
	}
	bucket->credit = credit - NS_PER_S;
	bucket->passed++;
	return 1;
}

// The bucket of `key` in `map`, made full where there is none yet.
static __always_inline struct bucket *bucket_of(
        void *map, const void *key, const struct limit *limit, __u64 now_ns)
{
	struct bucket *bucket = bpf_map_lookup_elem(map, key);
	if (bucket)
		return bucket;
	struct bucket full = {.credit = limit->burst * NS_PER_S, .updated_ns = now_ns};
	bpf_map_update_elem(map, key, &full, BPF_ANY);
	return bpf_map_lookup_elem(map, key);
}

// The rate for a packet to `service`. A service that is not protected becomes (0, 0).
static __always_inline struct limit *limit_of(struct service *service)
{
	struct limit *limit = bpf_map_lookup_elem(&services, service);
	if (limit)
		return limit;
	__u32 zero = 0;
	service->protocol = 0;
	service->port = 0;
	limit = bpf_map_lookup_elem(&settings, &zero);
	return limit && limit->rate ? limit : 0;
}

static __always_inline __be16 destination_port(__u8 protocol, void *transport, void *end)
{
	struct ports *ports = transport;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP &&
	        protocol != IPPROTO_DCCP && protocol != IPPROTO_UDPLITE)
		return 0;
	if ((void *)(ports + 1) > end)
		return 0;
	return ports->destination;
}

// Whether a packet of a source whose prefix has a rule passes.
static __always_inline int obey(const struct rule *rule, struct counters *count)
{
	if (rule->policy != ALLOW) {
		count->blocked++;
		return 0;
	}
	count->allowed++;
	return 1;
}

// Whether a packet of `flow` passes by its bucket in `map`. `service` is part of the flow.
static __always_inline int meter(struct xdp_md *ctx, void *map, const void *flow,
        struct service *service, struct counters *count)
{
	struct limit *limit = limit_of(service);
	if (limit) {
		__u64 now_ns = raio_arrival_ns(ctx);
		struct bucket *bucket = bucket_of(map, flow, limit, now_ns);
		if (!bucket || !take(bucket, limit, now_ns)) {
			count->limited++;
			return 0;
		}
	}
	count->passed++;
	return 1;
}

static __always_inline int ipv4(struct xdp_md *ctx, void *data, void *end, struct counters *count)
{
	struct iphdr *ip = data;
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5 ||
	        bpf_ntohs(ip->tot_len) < ip->ihl * 4) {
		count->malformed++;
		return 0;
	}
	struct prefix4 prefix = {.length = 32, .address = ip->saddr};
	struct rule *rule = bpf_map_lookup_elem(&prefixes, &prefix);
	if (rule)
		return obey(rule, count);
	struct flow4 flow = {.source = ip->saddr, .service = {.protocol = ip->protocol}};
	// Later fragments have no ports: they count with what is not protected.
	if (!(ip->frag_off & bpf_htons(0x1fff)))
		flow.service.port = destination_port(ip->protocol, data + ip->ihl * 4, end);
	return meter(ctx, &sources, &flow, &flow.service, count);
}

static __always_inline int ipv6(struct xdp_md *ctx, void *data, void *end, struct counters *count)
{
	struct ipv6hdr *ip = data;
	if ((void *)(ip + 1) > end || ip->version != 6) {
		count->malformed++;
		return 0;
	}
	struct prefix6 prefix = {.length = 128, .address = ip->saddr};
	struct rule *rule = bpf_map_lookup_elem(&prefixes6, &prefix);
	if (rule)
		return obey(rule, count);
	struct flow6 flow = {};
	__builtin_memcpy(&flow.network, &ip->saddr, sizeof(flow.network));
	flow.service.protocol = ip->nexthdr;
	flow.service.port = destination_port(ip->nexthdr, ip + 1, end);
	return meter(ctx, &sources6, &flow, &flow.service, count);
}

SEC("xdp")
int ddos(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	struct counters *count = bpf_map_lookup_elem(&counters, &zero);
	if (!count)
		return XDP_ABORTED;
	struct ethhdr *eth = data;
	if ((void *)(eth + 1) > end) {
		count->malformed++;
		return XDP_DROP;
	}
	__be16 protocol = eth->h_proto;
	data = eth + 1;
	for (int i = 0; i < VLANS_MAX; i++) {
		struct vlan_header *vlan = data;
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(vlan + 1) > end) {
			count->malformed++;
			return XDP_DROP;
		}
		protocol = vlan->protocol;
		data = vlan + 1;
	}
	int passes = 1;
	if (protocol == bpf_htons(ETH_P_IP))
		passes = ipv4(ctx, data, end, count);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		passes = ipv6(ctx, data, end, count);
	else
		count->not_ip++;
	if (!passes)
		return XDP_DROP;
	return bpf_redirect_map(&raio_ports, raio_port(ctx) ^ 1, XDP_DROP);
}

char _license[] SEC("license") = "Apache-2.0";
