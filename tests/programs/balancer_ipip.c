// SPDX-License-Identifier: Apache-2.0
// A layer-4 balancer that tunnels: hashes the flow onto a ring of servers and puts an IPv4 header
// in front.
#include "parse.h"

struct vip {
	__be32 address;
	__be16 port;
	__u8 protocol, pad;
};

struct service {
	__u32 number, flags;
};

struct server {
	__be32 address;
	__u32 weight;
	__u8 mac[6], pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct vip);
	__type(value, struct service);
	__uint(max_entries, 512);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct server);
	__uint(max_entries, 8);
} servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64[2]);
	__uint(max_entries, 8);
} server_stats SEC(".maps");

struct ports {
	__be16 source, dest;
};

static __always_inline __u32 mix(__u32 a, __u32 b, __u32 c)
{
	a -= c, a ^= c << 4 | c >> 28, c += b;
	b -= a, b ^= a << 6 | a >> 26, a += c;
	c -= b, c ^= b << 8 | b >> 24, b += a;
	return a ^ b ^ c;
}

static __always_inline int encapsulate(struct xdp_md *ctx, const struct server *server, __be32 from)
{
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr)))
		return XDP_DROP;
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	struct iphdr *outer = TAKE(&cursor, iphdr);
	struct ethhdr *old = (void *)eth + sizeof(*outer);
	if (!eth || !outer || (void *)(old + 1) > cursor.end)
		return XDP_DROP;
	__builtin_memcpy(eth->h_source, old->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, server->mac, ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
	__u16 size = (__u16)(cursor.end - (void *)outer);
	*outer = (struct iphdr){.version = 4,
	        .ihl = 5,
	        .tot_len = bpf_htons(size),
	        .ttl = 64,
	        .protocol = IPPROTO_IPIP,
	        .saddr = bpf_htonl(0x0a0a0000) ^ (from & bpf_htonl(0xffff)),
	        .daddr = server->address};
	outer->check = header_checksum(outer);
	return XDP_TX;
}

SEC("xdp-balancer")
int balancer(struct xdp_md *ctx)
{
	struct cursor cursor = start(ctx);
	struct ethhdr *eth = TAKE(&cursor, ethhdr);
	if (!eth || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	struct iphdr *ip = take_ipv4(&cursor);
	if (!ip || ip->ihl != 5 || ip->frag_off & bpf_htons(0x3fff))
		return XDP_PASS;
	struct ports *ports = TAKE(&cursor, ports);
	if (!ports)
		return XDP_PASS;
	struct vip vip = {ip->daddr, ports->dest, ip->protocol, 0};
	struct service *service = bpf_map_lookup_elem(&vips, &vip);
	if (!service)
		return XDP_PASS;
	__u32 ports32 = (__u32)ports->source << 16 | ports->dest;
	__u32 key = mix(ip->saddr, ports32, service->number) % 8;
	struct server *server = bpf_map_lookup_elem(&servers, &key);
	if (!server || !server->address)
		return XDP_DROP;
	__u64 *stats = bpf_map_lookup_elem(&server_stats, &key);
	if (stats) {
		stats[0]++;
		stats[1] += bpf_ntohs(ip->tot_len);
	}
	return encapsulate(ctx, server, ip->saddr);
}
