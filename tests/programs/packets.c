// SPDX-License-Identifier: Apache-2.0
#include "packets.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct builder {
	struct sample *sample;
	uint64_t state;
};

static uint32_t pick(struct builder *b, uint32_t below)
{
	b->state ^= b->state >> 12;
	b->state ^= b->state << 25;
	b->state ^= b->state >> 27;
	return (uint32_t)((b->state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static void put(struct builder *b, const void *data, uint32_t size)
{
	memcpy(b->sample->data + b->sample->size, data, size);
	b->sample->size += size;
}

static void put16(struct builder *b, uint32_t value)
{
	uint16_t big = htons((uint16_t)value);
	put(b, &big, sizeof(big));
}

static void put_noise(struct builder *b, uint32_t size)
{
	while (size--) {
		uint8_t byte = (uint8_t)pick(b, 256);
		put(b, &byte, 1);
	}
}

static uint16_t checksum(const void *data, uint32_t size)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;
	for (uint32_t i = 0; i < size; i++)
		sum += (uint32_t)bytes[i] << (i & 1 ? 0 : 8);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t) ~((sum & 0xffff) + (sum >> 16)));
}

static void put_tcp(struct builder *b)
{
	static const uint8_t options[] = {
	        2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
	static const uint16_t ports[] = {80, 443, 22, 8080};
	uint32_t more = pick(b, 3) ? 0 : 4 * pick(b, 6);
	struct tcphdr tcp = {.source = htons((uint16_t)(1024 + pick(b, 4))),
	        .dest = htons(ports[pick(b, 4)]),
	        .doff = (5 + more / 4) & 15,
	        .syn = pick(b, 2),
	        .ack = pick(b, 2),
	        .fin = pick(b, 8) == 0,
	        .check = htons((uint16_t)pick(b, 65536))};
	put(b, &tcp, sizeof(tcp));
	put(b, options, more);
	if (pick(b, 3) == 0)
		put(b, "GET / HTTP/1.1\r\n", 16);
	else if (pick(b, 2))
		put(b, "12345 is a number", 17);
}

static void put_udp(struct builder *b)
{
	static const uint16_t ports[] = {53, 2152, 4789, 80, 443, 5000};
	static const uint8_t names[3][14] = {"\3www\2ab\3com", "\4mail\1c\2de", "\1x"};
	uint16_t port = ports[pick(b, 6)];
	struct udphdr udp = {.source = htons((uint16_t)(1024 + pick(b, 4))),
	        .dest = htons(port),
	        .len = htons(60),
	        .check = (uint16_t)(pick(b, 2) ? pick(b, 65536) : 0)};
	put(b, &udp, sizeof(udp));
	if (port == 53) {
		put_noise(b, 2);
		put(b, "\1\0\0\1\0\0\0\0\0\0", 10);
		put(b, names[pick(b, 3)], 14);
	} else if (port == 2152) {
		put(b, "\x30\xff\0\40\0\0\0", 7);
		put_noise(b, 1);
	}
}

static void put_transport(struct builder *b, uint8_t protocol)
{
	struct icmphdr icmp = {.type = pick(b, 3) ? 8 : 0, .un.echo.id = 7};
	switch (protocol) {
	case IPPROTO_TCP:
		put_tcp(b);
		break;
	case IPPROTO_UDP:
		put_udp(b);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (protocol == IPPROTO_ICMPV6)
			icmp.type = 128;
		icmp.un.echo.sequence = htons((uint16_t)pick(b, 100));
		icmp.checksum = checksum(&icmp, sizeof(icmp));
		put(b, &icmp, sizeof(icmp));
		break;
	default:
		put_noise(b, 8);
	}
}

static uint8_t any_protocol(struct builder *b, bool v6)
{
	static const uint8_t common[] = {
	        IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP};
	uint32_t which = pick(b, 7);
	if (which == 4 && v6)
		return IPPROTO_ICMPV6;
	return which < 5 ? common[which] : (uint8_t)pick(b, 64);
}

static void put_ipv4(struct builder *b)
{
	uint8_t protocol = any_protocol(b, false);
	uint32_t options = pick(b, 6) ? 0 : 4 * pick(b, 5), at = b->sample->size;
	struct iphdr ip = {.version = pick(b, 25) ? 4 : 5,
	        .ihl = (5 + options / 4) & 15,
	        .tos = (uint8_t)pick(b, 256),
	        .tot_len = htons((uint16_t)(20 + pick(b, 1400))),
	        .id = htons((uint16_t)pick(b, 65536)),
	        .ttl = (uint8_t)(pick(b, 10) ? 64 : pick(b, 3)),
	        .protocol = protocol,
	        .saddr = htonl((pick(b, 2) ? 0x0a000000u : 0xcb007100u) + pick(b, 12)),
	        .daddr = htonl((pick(b, 2) ? 0xc0a80100u : 0x08080800u) + pick(b, 4))};
	if (pick(b, 10) == 0)
		ip.frag_off = htons((uint16_t)(pick(b, 2) ? 0x2000 : pick(b, 0x2000)));
	put(b, &ip, sizeof(ip));
	put_noise(b, options);
	uint8_t *placed = b->sample->data + at;
	uint16_t sum = checksum(placed, (uint32_t)sizeof(ip) + options);
	memcpy(placed + offsetof(struct iphdr, check), &sum, sizeof(sum));
	put_transport(b, protocol);
}

static void put_ipv6(struct builder *b)
{
	static const uint8_t chain[] = {0, 60, 43, 44};
	struct ipv6hdr ip = {
	        .version = 6, .payload_len = htons((uint16_t)pick(b, 1400)), .hop_limit = 64};
	uint8_t protocol = any_protocol(b, true), next[4];
	uint32_t extensions = pick(b, 3) ? 0 : pick(b, 4);
	static const uint8_t prefix[] = {0x20, 0x01, 0x0d, 0xb8, 0};
	memcpy(&ip.saddr, prefix, sizeof(prefix));
	ip.saddr.s6_addr[0] = pick(b, 4) ? 0x20 : 0x30;
	ip.saddr.s6_addr[5] = (uint8_t)pick(b, 2);
	ip.saddr.s6_addr[15] = (uint8_t)pick(b, 16);
	memcpy(&ip.daddr, prefix, sizeof(prefix));
	for (uint32_t i = 0; i < extensions; i++)
		next[i] = chain[i];
	ip.nexthdr = extensions ? next[0] : protocol;
	put(b, &ip, sizeof(ip));
	for (uint32_t i = 0; i < extensions; i++) {
		uint8_t head[2] = {i + 1 < extensions ? next[i + 1] : protocol, 0};
		put(b, head, 2);
		put_noise(b, 6);
	}
	put_transport(b, protocol);
}

static void put_arp(struct builder *b)
{
	put(b, "\0\1\10\0\6\4\0", 7);
	put(b, pick(b, 3) ? "\1" : "\2", 1);
	put(b, "\2\0\0\0\0\7\300\250\1\372\0\0\0\0\0\0\300\250\1", 19);
	put(b, pick(b, 2) ? "\1" : "\2", 1);
}

static void put_network(struct builder *b)
{
	uint32_t kind = pick(b, 12);
	if (kind < 6) {
		put16(b, ETH_P_IP);
		put_ipv4(b);
	} else if (kind < 9) {
		put16(b, ETH_P_IPV6);
		put_ipv6(b);
	} else if (kind == 9) {
		put16(b, ETH_P_ARP);
		put_arp(b);
	} else if (kind == 10) {
		put16(b, ETH_P_MPLS_UC);
		for (uint32_t left = 1 + pick(b, 5); left; left--) {
			uint8_t label[4] = {0, (uint8_t)pick(b, 256), left == 1, 64};
			put(b, label, 4);
		}
		put_ipv4(b);
	} else {
		put_noise(b, 2 + pick(b, 60));
	}
}

static void put_packet(struct builder *b)
{
	static const uint8_t macs[4][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2},
	        {2, 0, 0, 0, 0, 3}, {255, 255, 255, 255, 255, 255}};
	put(b, macs[pick(b, 4)], 6);
	put(b, macs[pick(b, 3)], 6);
	for (uint32_t tags = pick(b, 4) ? 0 : 1 + pick(b, 3); tags; tags--) {
		put16(b, tags == 3 ? ETH_P_8021AD : ETH_P_8021Q);
		put16(b, pick(b, 4) ? 5 + 2 * pick(b, 3) : pick(b, 4096));
	}
	put_network(b);
	put_noise(b, pick(b, 8) ? pick(b, 100) : pick(b, 1200));
	if (b->sample->size < 60 && pick(b, 2))
		put_noise(b, 60 - b->sample->size);
	if (pick(b, 8) == 0 && b->sample->size > ETH_HLEN)
		b->sample->size = ETH_HLEN + pick(b, b->sample->size - ETH_HLEN);
	if (b->sample->size < ETH_HLEN)
		put_noise(b, ETH_HLEN - b->sample->size);
}

void packets_fill(struct sample samples[PACKETS])
{
	struct builder builder = {.state = 20211};
	for (uint32_t i = 0; i < PACKETS; i++) {
		builder.sample = &samples[i];
		builder.sample->size = 0;
		put_packet(&builder);
	}
}
