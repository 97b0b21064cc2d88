// SPDX-License-Identifier: Apache-2.0
// ripv4: an IPv4 router (RFC 1812). It answers ARP and ping for its own addresses, learns its
// neighbours from ARP and asks for those it does not know, finds the route by longest prefix,
// decrements TTL with the checksum updated by RFC 1624, rewrites the MAC addresses, sends ICMP time
// exceeded and net unreachable, and drops what RFC 1812 says must not be forwarded. Packets for the
// router itself that are not ping, and packets with IP options, go to the host.
#include <raio/raio.h>

#include <linux/icmp.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#define NS_PER_S         1000000000ull
#define ARP_TIMEOUT_NS   (1200 * NS_PER_S) // RFC 1122, 2.3.2.1: an entry must time out
#define ARP_RETRY_NS     NS_PER_S          // at most one request a second for a neighbour
#define ICMP_ERROR_RATE  100               // a second for each engine: RFC 1812, 4.3.2.8
#define ICMP_ERROR_BURST 20
#define ICMP_QUOTE       (sizeof(struct iphdr) + 8) // RFC 792: header and 64 bits
#define TTL_OWN          64
#define FRAGMENT_OFFSET  0x1fff

// By port: the router's own address there. address 0 = the port has no IP.
struct interface {
	__be32 address;
	__u32 length; // of its prefix
	__u8 mac[ETH_ALEN];
	__u16 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RAIO_PORTS_MAX);
	__type(key, __u32);
	__type(value, struct interface);
} interfaces SEC(".maps");

struct prefix {
	__u32 length;
	__be32 address;
};

struct route {
	__be32 gateway; // 0 = the destination is on the link
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, struct route);
} routes SEC(".maps");

struct neighbour {
	__u8 mac[ETH_ALEN]; // all zero: asked for at seen_ns, no answer yet
	__u16 port;
	__u64 seen_ns; // 0 = set by an operator: it never times out
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __be32);
	__type(value, struct neighbour);
} neighbours SEC(".maps");

// By received port.
struct counters {
	__u64 forwarded, to_host, arp, echo;
	__u64 malformed; // header, length or checksum
	__u64 martian;   // source or destination that must not be forwarded
	__u64 not_ours;  // not sent to this router's MAC, or not IPv4
	__u64 no_route, ttl_exceeded;
	__u64 unresolved;   // dropped while its next hop's MAC is asked for
	__u64 icmp_limited; // errors not sent
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RAIO_PORTS_MAX);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

struct bucket {
	__u64 credit, updated_ns; // credit in 10^-9 errors
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} icmp_errors SEC(".maps");

struct arp {
	struct arphdr header;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender;
	__u8 target_mac[ETH_ALEN];
	__be32 target;
} __attribute__((packed));

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) |
	         (a[5] ^ b[5]));
}

static __always_inline __be32 mask_of(__u32 length)
{
	if (length == 0)
		return 0;
	return length < 32 ? bpf_htonl(0xffffffffu << (32 - length)) : 0xffffffffu;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

// A sum that folds to the one's complement sum of `size` bytes, a multiple of 4 (RFC 1071, section
// 2).
static __always_inline __u64 sum_bytes(const void *data, int size)
{
	const __u32 *word = data;
	__u64 sum = 0;
#pragma unroll
	for (int i = 0; i < size / 4; i++)
		sum += word[i];
	return sum;
}

static __always_inline void put_eth(
        struct ethhdr *eth, const __u8 *to, const __u8 *from, __u16 type)
{
	__builtin_memcpy(eth->h_dest, to, ETH_ALEN);
	__builtin_memcpy(eth->h_source, from, ETH_ALEN);
	eth->h_proto = bpf_htons(type);
}

// RFC 826. Senders are learnt only on the link that they say they are on.
static __always_inline int receive_arp(struct xdp_md *ctx, struct ethhdr *eth, void *end,
        struct interface *own, __u32 port, struct counters *count)
{
	struct arp *arp = (void *)(eth + 1);
	if ((void *)(arp + 1) > end || arp->header.ar_hrd != bpf_htons(ARPHRD_ETHER) ||
	        arp->header.ar_pro != bpf_htons(ETH_P_IP) || arp->header.ar_hln != ETH_ALEN ||
	        arp->header.ar_pln != sizeof(__be32)) {
		count->malformed++;
		return XDP_DROP;
	}
	count->arp++;
	__be32 sender = arp->sender;
	int on_link = !((sender ^ own->address) & mask_of(own->length)) && sender != own->address &&
	              !(arp->sender_mac[0] & 1);
	int for_us = arp->target == own->address;
	if (on_link) {
		struct neighbour *known = bpf_map_lookup_elem(&neighbours, &sender);
		if ((for_us || known) && !(known && !known->seen_ns)) {
			struct neighbour heard = {.port = port, .seen_ns = raio_arrival_ns(ctx)};
			__builtin_memcpy(heard.mac, arp->sender_mac, ETH_ALEN);
			bpf_map_update_elem(&neighbours, &sender, &heard, BPF_ANY);
		}
	}
	if (!for_us || arp->header.ar_op != bpf_htons(ARPOP_REQUEST))
		return XDP_DROP;
	arp->header.ar_op = bpf_htons(ARPOP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, ETH_ALEN);
	arp->target = sender;
	__builtin_memcpy(arp->sender_mac, own->mac, ETH_ALEN);
	arp->sender = own->address;
	put_eth(eth, arp->target_mac, own->mac, ETH_P_ARP);
	return XDP_TX;
}

// Turns the packet, which is lost for it, into an ARP request for `target` on `port`.
static __always_inline int ask(struct xdp_md *ctx, __be32 target, __u32 port)
{
	__u64 now_ns = raio_arrival_ns(ctx);
	struct neighbour *known = bpf_map_lookup_elem(&neighbours, &target);
	if (known && now_ns - known->seen_ns < ARP_RETRY_NS)
		return XDP_DROP;
	struct interface *own = bpf_map_lookup_elem(&interfaces, &port);
	if (!own || !own->address)
		return XDP_DROP;
	struct neighbour asked = {.port = port, .seen_ns = now_ns};
	bpf_map_update_elem(&neighbours, &target, &asked, BPF_ANY);

	int size = sizeof(struct ethhdr) + sizeof(struct arp);
	if (bpf_xdp_adjust_tail(ctx, size - (int)(ctx->data_end - ctx->data)))
		return XDP_DROP;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct arp *arp = (void *)(eth + 1);
	if ((void *)(arp + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	static const __u8 broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	put_eth(eth, broadcast, own->mac, ETH_P_ARP);
	arp->header = (struct arphdr){
	        .ar_hrd = bpf_htons(ARPHRD_ETHER),
	        .ar_pro = bpf_htons(ETH_P_IP),
	        .ar_hln = ETH_ALEN,
	        .ar_pln = sizeof(__be32),
	        .ar_op = bpf_htons(ARPOP_REQUEST),
	};
	__builtin_memcpy(arp->sender_mac, own->mac, ETH_ALEN);
	arp->sender = own->address;
	__builtin_memset(arp->target_mac, 0, ETH_ALEN);
	arp->target = target;
	return bpf_redirect_map(&raio_ports, port, XDP_DROP);
}

static __always_inline int icmp_error_allowed(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct bucket *bucket = bpf_map_lookup_elem(&icmp_errors, &zero);
	if (!bucket)
		return 0;
	__u64 now_ns = raio_arrival_ns(ctx), full = ICMP_ERROR_BURST * NS_PER_S;
	__u64 elapsed_ns = now_ns > bucket->updated_ns ? now_ns - bucket->updated_ns : 0;
	if (elapsed_ns > NS_PER_S)
		elapsed_ns = NS_PER_S;
	__u64 credit = bucket->credit + elapsed_ns * ICMP_ERROR_RATE;
	credit = credit > full ? full : credit;
	bucket->updated_ns = now_ns;
	bucket->credit = credit < NS_PER_S ? credit : credit - NS_PER_S;
	return credit >= NS_PER_S;
}

// Sends the packet's head back to its source as the payload of an ICMP error (RFC 792, RFC
// 1812 4.3.2).
static __always_inline int icmp_error(struct xdp_md *ctx, struct iphdr *ip, void *end, __u8 type,
        struct interface *own, struct counters *count)
{
	// Never about a later fragment, nor about an ICMP error: RFC 1812, 4.3.2.7.
	if (ip->frag_off & bpf_htons(FRAGMENT_OFFSET))
		return XDP_DROP;
	if ((void *)ip + ICMP_QUOTE > end)
		return XDP_DROP;
	if (ip->protocol == IPPROTO_ICMP) {
		__u8 about = ((struct icmphdr *)(ip + 1))->type;
		if (about != ICMP_ECHO && about != ICMP_ECHOREPLY && about != ICMP_TIMESTAMP &&
		        about != ICMP_TIMESTAMPREPLY)
			return XDP_DROP;
	}
	if (!icmp_error_allowed(ctx)) {
		count->icmp_limited++;
		return XDP_DROP;
	}
	struct ethhdr *eth = (void *)ip - sizeof(*eth);
	if ((void *)eth < (void *)(long)ctx->data)
		return XDP_DROP;
	__u8 source_mac[ETH_ALEN];
	__be32 source = ip->saddr;
	__builtin_memcpy(source_mac, eth->h_source, ETH_ALEN);

	int size = sizeof(*eth) + ICMP_QUOTE;
	int grow = sizeof(struct iphdr) + sizeof(struct icmphdr);
	if (bpf_xdp_adjust_tail(ctx, size - (int)(ctx->data_end - ctx->data)) ||
	        bpf_xdp_adjust_head(ctx, -grow))
		return XDP_DROP;
	eth = (void *)(long)ctx->data;
	ip = (void *)(eth + 1);
	struct icmphdr *icmp = (void *)(ip + 1);
	if ((void *)(icmp + 1) + ICMP_QUOTE > (void *)(long)ctx->data_end)
		return XDP_DROP;
	put_eth(eth, source_mac, own->mac, ETH_P_IP);
	*ip = (struct iphdr){
	        .version = 4,
	        .ihl = 5,
	        .tos = 0xc0, // internetwork control: RFC 1812, 4.3.2.5
	        .tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + ICMP_QUOTE),
	        .ttl = TTL_OWN,
	        .protocol = IPPROTO_ICMP,
	        .saddr = own->address,
	        .daddr = source,
	};
	ip->check = ~fold(sum_bytes(ip, sizeof(*ip)));
	__builtin_memset(icmp, 0, sizeof(*icmp));
	icmp->type = type;
	icmp->checksum = ~fold(sum_bytes(icmp, sizeof(*icmp) + ICMP_QUOTE));
	return XDP_TX;
}

// RFC 1812, 4.3.3.6.
static __always_inline int answer_echo(
        struct ethhdr *eth, struct iphdr *ip, struct icmphdr *icmp, struct interface *own)
{
	__u8 asker[ETH_ALEN];
	__be32 address = ip->saddr;
	__builtin_memcpy(asker, eth->h_source, ETH_ALEN);
	put_eth(eth, asker, own->mac, ETH_P_IP);
	ip->saddr = ip->daddr;
	ip->daddr = address;
	ip->ttl = TTL_OWN;
	ip->check = 0;
	ip->check = ~fold(sum_bytes(ip, sizeof(*ip)));
	// RFC 1624: HC' = ~(~HC + ~m + m'), where m is type and code.
	icmp->type = ICMP_ECHOREPLY;
	__u32 sum = (__u16)~icmp->checksum;
	sum += (__u16)~bpf_htons(ICMP_ECHO << 8);
	icmp->checksum = ~fold(sum);
	return XDP_TX;
}

static __always_inline int is_martian(__u32 source, __u32 destination)
{
	__u32 from = source >> 24, to = destination >> 24;
	// RFC 1812, 5.3.7; multicast and broadcast are not forwarded.
	return from == 0 || from == 127 || from >= 224 || to == 0 || to == 127 || to >= 224;
}

static __always_inline int forward(struct xdp_md *ctx, struct ethhdr *eth, struct iphdr *ip,
        struct route *route, struct counters *count)
{
	__be32 hop = route->gateway ? route->gateway : ip->daddr;
	__u32 port = route->port;
	struct interface *out = bpf_map_lookup_elem(&interfaces, &port);
	if (!out)
		return XDP_DROP;
	struct neighbour *to = bpf_map_lookup_elem(&neighbours, &hop);
	static const __u8 unknown[ETH_ALEN];
	if (!to || same_mac(to->mac, unknown) ||
	        (to->seen_ns && raio_arrival_ns(ctx) > to->seen_ns &&
	                raio_arrival_ns(ctx) - to->seen_ns > ARP_TIMEOUT_NS)) {
		count->unresolved++;
		return ask(ctx, hop, port);
	}
	// RFC 1624 for TTL and protocol as one word: only the first byte of it changes, by one.
	__u32 sum = (__u32)ip->check + bpf_htons(0x0100);
	ip->check = (__u16)(sum + (sum >= 0xffff));
	ip->ttl--;
	put_eth(eth, to->mac, out->mac, ETH_P_IP);
	count->forwarded++;
	return bpf_redirect_map(&raio_ports, port, XDP_DROP);
}

static __always_inline int receive_ipv4(struct xdp_md *ctx, struct ethhdr *eth, void *end,
        struct interface *own, struct counters *count)
{
	struct iphdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		goto malformed;
	__u32 length = bpf_ntohs(ip->tot_len);
	if (length < ip->ihl * 4u || length > (__u32)(end - (void *)ip))
		goto malformed;
	if (ip->ihl > 5) {
		count->to_host++;
		return XDP_PASS;
	}
	if (fold(sum_bytes(ip, sizeof(*ip))) != 0xffff)
		goto malformed;
	if (is_martian(bpf_ntohl(ip->saddr), bpf_ntohl(ip->daddr))) {
		count->martian++;
		return XDP_DROP;
	}
	struct prefix prefix = {.length = 32, .address = ip->daddr};
	struct route *route = bpf_map_lookup_elem(&routes, &prefix);
	if (!route) {
		count->no_route++;
		return icmp_error(ctx, ip, end, ICMP_DEST_UNREACH, own, count);
	}
	__u32 port = route->port;
	struct interface *out = bpf_map_lookup_elem(&interfaces, &port);
	if (out && !route->gateway) {
		if (ip->daddr == out->address) {
			struct icmphdr *icmp = (void *)(ip + 1);
			if (ip->protocol == IPPROTO_ICMP && (void *)(icmp + 1) <= end &&
			        icmp->type == ICMP_ECHO && !icmp->code &&
			        !(ip->frag_off & bpf_htons(FRAGMENT_OFFSET | 0x2000))) {
				count->echo++;
				return answer_echo(eth, ip, icmp, own);
			}
			count->to_host++;
			return XDP_PASS;
		}
		// A directed broadcast: RFC 2644.
		__be32 hosts = ~mask_of(out->length);
		if (out->length < 31 && (ip->daddr & hosts) == hosts &&
		        !((ip->daddr ^ out->address) & ~hosts)) {
			count->martian++;
			return XDP_DROP;
		}
	}
	if (ip->ttl <= 1) {
		count->ttl_exceeded++;
		return icmp_error(ctx, ip, end, ICMP_TIME_EXCEEDED, own, count);
	}
	return forward(ctx, eth, ip, route, count);

malformed:
	count->malformed++;
	return XDP_DROP;
}

SEC("xdp")
int ripv4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 port = raio_port(ctx);
	struct counters *count = bpf_map_lookup_elem(&counters, &port);
	struct interface *own = bpf_map_lookup_elem(&interfaces, &port);
	if (!count || !own)
		return XDP_ABORTED;
	struct ethhdr *eth = data;
	if ((void *)(eth + 1) > end) {
		count->malformed++;
		return XDP_DROP;
	}
	if (!own->address)
		goto not_ours;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return receive_arp(ctx, eth, end, own, port, count);
	if (eth->h_proto == bpf_htons(ETH_P_IP) && same_mac(eth->h_dest, own->mac))
		return receive_ipv4(ctx, eth, end, own, count);

not_ours:
	count->not_ours++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Apache-2.0";
