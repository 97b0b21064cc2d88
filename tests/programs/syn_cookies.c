// SPDX-License-Identifier: Apache-2.0
// Answers for a server with SYN cookies: makes one for each packet's size as the segment size that
// a client offers, and takes it back as the client's acknowledgement, right and wrong.
#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); // segment size offered, IPv6 in bit 16
	__type(value, __u32);
} sizes SEC(".maps");

__u64 accepted, refused, wrong_sizes;

struct offer {
	struct tcphdr tcp;
	__u8 options[8];
};

static __always_inline void acknowledge(struct tcphdr *tcp, __u32 cookie)
{
	tcp->seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
	tcp->ack_seq = bpf_htonl(cookie + 1);
}

static __always_inline void judge(long answer)
{
	if (answer)
		refused++;
	else
		accepted++;
}

static __always_inline void note(__u32 mss, __u64 cookie)
{
	__u32 size = cookie >> 32;
	bpf_map_update_elem(&sizes, &mss, &size, BPF_ANY);
}

SEC("xdp")
int syn_cookies(struct xdp_md *ctx)
{
	__u32 mss = (__u32)(ctx->data_end - ctx->data) * 23;
	struct iphdr ip = {.saddr = bpf_htonl(0x0a000001 + mss), .daddr = bpf_htonl(0x0a000002)};
	struct ipv6hdr ip6 = {.version = 6};
	struct offer offer = {.tcp = {.doff = 7, .syn = 1, .seq = bpf_htonl(0xfffffff0 + mss)},
	        .options = {1, 2, 4, mss >> 8, mss, 0, 0, 0}};
	ip6.saddr.s6_addr[15] = mss;
	offer.tcp.source = bpf_htons(1024 + mss);
	offer.tcp.dest = bpf_htons(443);
	struct offer offer6 = offer;
	__s64 cookie = bpf_tcp_raw_gen_syncookie_ipv4(&ip, &offer.tcp, sizeof(offer));
	__s64 cookie6 = bpf_tcp_raw_gen_syncookie_ipv6(&ip6, &offer.tcp, sizeof(offer));
	if (bpf_tcp_raw_gen_syncookie_ipv4(&ip, &offer.tcp, 24) != -22)
		wrong_sizes++;
	if (cookie < 0 || cookie6 < 0)
		return XDP_ABORTED;
	note(mss & 0xffff, cookie);
	note((mss & 0xffff) | 1 << 16, cookie6);
	acknowledge(&offer.tcp, cookie);
	acknowledge(&offer6.tcp, cookie6);
	judge(bpf_tcp_raw_check_syncookie_ipv4(&ip, &offer.tcp));
	judge(bpf_tcp_raw_check_syncookie_ipv6(&ip6, &offer6.tcp));
	offer.tcp.ack_seq ^= bpf_htonl(1 << 30); // another minute
	judge(bpf_tcp_raw_check_syncookie_ipv4(&ip, &offer.tcp));
	offer6.tcp.ack_seq ^= bpf_htonl(1 << 30);
	judge(bpf_tcp_raw_check_syncookie_ipv6(&ip6, &offer6.tcp));
	return XDP_TX;
}
