// SPDX-License-Identifier: Apache-2.0
// SYN cookies without a socket: a TCP answer whose sequence number says, to who has the key, that
// the client of these addresses and ports was there a short while ago, and its segment size. Form
// of a cookie, sizes and age: net/ipv4/syncookies.c, net/ipv6/syncookies.c of Linux 6.18, with a
// key of the card's own. SipHash-2-4: Aumasson and Bernstein, 2012.
#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/helpers.h"

#define COOKIE_BITS 24
#define COOKIE_MASK ((1u << COOKIE_BITS) - 1)
#define AGE_MAX     2u // minutes, begun ones counted
#define IPV4_SIZE   20u
#define IPV6_SIZE   40u
#define TCP_SIZE    20u
#define TCP_MAX     60u // with options

// What differs between the two protocols. Sizes are in ascending order.
struct family {
	uint32_t header, address, addresses; // sizes; where the two addresses stand
	uint16_t mss[4], mss_default;
};
static const struct family ipv4 = {IPV4_SIZE, 4, 12, {536, 1300, 1440, 1460}, 536};
static const struct family ipv6 = {IPV6_SIZE, 16, 8, {1220, 1420, 1440, 8940}, 1220};

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int count)
{
	while (count--) {
		v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
		v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
	}
}

static uint64_t siphash(const uint64_t key[2], const void *data, size_t size)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
	        key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
	const uint8_t *from = data;
	for (size_t left = size;; left -= 8, from += 8) {
		uint64_t word = left < 8 ? (uint64_t)size << 56 : 0;
		memcpy(&word, from, left < 8 ? left : 8); // little-endian, as all cards are
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
		if (left < 8)
			break;
	}
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// Which client asks which server, at minute `count`, under the first key or the second.
static uint32_t hash(struct engine *engine, const struct family *family, const uint8_t *ip,
        const uint8_t *tcp, uint32_t count, int which)
{
	uint8_t data[2 * 16 + 8];
	uint32_t size = 2 * family->address;
	memcpy(data, ip + family->addresses, size);
	memcpy(data + size, tcp + offsetof(struct tcphdr, source), 4);
	memcpy(data + size + 4, &count, sizeof(count));
	return (uint32_t)siphash(&engine->cookie_keys[2 * which], data, size + 8);
}

static uint32_t word_at(const uint8_t *tcp, size_t offset)
{
	uint32_t word;
	memcpy(&word, tcp + offset, sizeof(word));
	return be32toh(word);
}

static uint32_t minute(const struct engine *engine)
{
	return (uint32_t)(helper_time(engine, CLOCK_MONOTONIC) / (60 * NS_PER_S));
}

// The last segment size among the options (RFC 9293, 3.2); 0: none, or they are broken before it.
static uint16_t mss_option(const uint8_t *option, uint32_t left)
{
	uint16_t mss = 0;
	while (left && *option != TCPOPT_EOL) {
		if (*option == TCPOPT_NOP) {
			option++, left--;
			continue;
		}
		if (left < 2 || option[1] < 2 || option[1] > left)
			break;
		if (option[0] == TCPOPT_MAXSEG && option[1] == TCPOLEN_MAXSEG &&
		        (option[2] || option[3]))
			mss = (uint16_t)(option[2] << 8 | option[3]);
		left -= option[1];
		option += option[1];
	}
	return mss;
}

// R1 IP header, R2 TCP header with its options, R3 the size of that. The cookie, and above it the
// segment size that it stands for.
static uint64_t make(struct engine *engine, const uint64_t args[5], const struct family *family)
{
	uint8_t tcp[TCP_MAX]; // a copy, which no other engine changes between a test and its use
	const uint8_t *ip = helper_in(engine, args[0], family->header);
	const uint8_t *given = ip ? helper_in(engine, args[1], args[2]) : NULL;
	if (!given)
		return 0;
	if (args[2] < TCP_SIZE || args[2] > TCP_MAX)
		return (uint64_t)-EINVAL;
	memcpy(tcp, given, args[2]);
	if (args[2] != (uint64_t)(tcp[12] >> 4) * 4)
		return (uint64_t)-EINVAL;
	uint16_t mss = mss_option(tcp + TCP_SIZE, (uint32_t)args[2] - TCP_SIZE);
	uint32_t index = ARRAY_SIZE(family->mss) - 1, count = minute(engine);
	if (!mss)
		mss = family->mss_default;
	while (index && mss < family->mss[index])
		index--;
	uint32_t cookie = hash(engine, family, ip, tcp, 0, 0) +
	                  word_at(tcp, offsetof(struct tcphdr, seq)) + (count << COOKIE_BITS) +
	                  ((hash(engine, family, ip, tcp, count, 1) + index) & COOKIE_MASK);
	return cookie | (uint64_t)family->mss[index] << 32;
}

// R1 IP header, R2 TCP header of the client's acknowledgement.
static uint64_t check(struct engine *engine, const uint64_t args[5], const struct family *family)
{
	const uint8_t *ip = helper_in(engine, args[0], family->header);
	const uint8_t *tcp = ip ? helper_in(engine, args[1], TCP_SIZE) : NULL;
	if (!tcp)
		return 0;
	uint32_t cookie = word_at(tcp, offsetof(struct tcphdr, ack_seq)) - 1;
	uint32_t count = minute(engine);
	cookie -= hash(engine, family, ip, tcp, 0, 0) + word_at(tcp, offsetof(struct tcphdr, seq)) -
	          1;
	uint32_t age = (count - (cookie >> COOKIE_BITS)) & (UINT32_MAX >> COOKIE_BITS);
	if (age >= AGE_MAX)
		return (uint64_t)-EACCES;
	uint32_t index = (cookie - hash(engine, family, ip, tcp, count - age, 1)) & COOKIE_MASK;
	return index < ARRAY_SIZE(family->mss) ? 0 : (uint64_t)-EACCES;
}

uint64_t helper_cookie_make_ipv4(struct engine *engine, const uint64_t args[5])
{
	return make(engine, args, &ipv4);
}

uint64_t helper_cookie_make_ipv6(struct engine *engine, const uint64_t args[5])
{
	return make(engine, args, &ipv6);
}

uint64_t helper_cookie_check_ipv4(struct engine *engine, const uint64_t args[5])
{
	return check(engine, args, &ipv4);
}

uint64_t helper_cookie_check_ipv6(struct engine *engine, const uint64_t args[5])
{
	return check(engine, args, &ipv6);
}
