// SPDX-License-Identifier: Apache-2.0
// The generator: a port without hardware that makes packets as fast as asked and swallows what is
// sent to it.
//
// A frame is Ethernet, IPv4 without options, UDP, and payload. Sizes are the field's: they count
// the four octets of check sequence that no memory holds, so size=64 is 60 bytes here, and in the
// byte counters. Rates in bits count what a wire carries: those four, eight of preamble and twelve
// of gap as well.
//
//	0 destination MAC  02:00:0Q:ff:ff:ff   Q = port ^ 1, f = flow (or dst=MAC for all)
//	6 source MAC       02:00:0P:ff:ff:ff   P = port                (or src=MAC)
//	26 source address  10.P.0.0/16 at 1 + f mod 65536              (or srcip=ADDR/LEN)
//	30 destination     10.Q.0.0/16 at 1 + f mod 65536              (or dstip=ADDR/LEN)
//	34 UDP ports       16384 + f mod 16384, 16384 + f / 16384      (or sport=N, dport=N); no
// checksum 	42 payload         "RAIO", port (8), 0 (8), flow (32 big endian), sequence number
// (64 big endian), zeros
//
// Flows come in turn, or in random order if a seed is given. With seq=1 a flow's packets are
// numbered from 0, and the sink checks, by source port and flow, the numbers of what it is sent:
// holes are lost, until the missing one comes late (reordered). It counts from the first number
// that it sees, and knows as many flows as it makes itself; a flow sent to several ports looks like
// loss to each of them.
//
// A generator never loses a packet: behind its schedule it catches up, and 100 ms behind it starts
// anew.
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "port/driver.h"
#include "port/options.h"

#define FCS          4u
#define PREAMBLE_IFG 20u
#define AT_PAYLOAD   42u
#define LAG_MAX_NS   (100 * NS_PER_MS)
#define SIZE_IMIX    0u
#define SINK_PORTS   64u
#define FLOWS_MAX    (1u << 20)
#define PICO         1000000000000.0

struct payload {
	char magic[4];
	uint8_t port, zero;
	uint32_t flow;
	uint64_t sequence;
} __attribute__((packed));
_Static_assert(AT_PAYLOAD + sizeof(struct payload) == 64 - FCS, "the payload fits the least frame");

struct rate {
	double packets, bits; // a second; both 0 = as fast as possible
};

struct gen_config {
	uint64_t size, flows, count, seq, seed, sport, dport;
	struct rate rate;
	struct option_mac src, dst;
	struct option_prefix srcip, dstip;
};

// What a sink knows of one flow of one source port.
struct watch {
	uint64_t next;   // the number that should come
	uint64_t missed; // bit i: number next - 1 - i has not come
};

struct gen {
	struct gen_config config;
	uint8_t frame[1536]; // template: flow 0; copied in blocks of 64
	uint32_t frame_size;
	uint32_t checksum; // of the IPv4 header without addresses, not folded
	uint64_t made;     // packets so far
	uint64_t random;
	uint32_t flow;                     // of the next packet, where they come in turn
	uint64_t due_ns, due_ps;           // when the next packet leaves
	uint64_t packet_ps, octet_ps_1000; // a packet's time on the wire: fixed part, and by octet
	uint64_t *sequence;                // a flow
	struct watch *watch;               // [SINK_PORTS][flows]
};

// "simple IMIX": 7 of 64, 4 of 594, 1 of 1518
static const uint16_t imix[12] = {64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64};

static int parse_size(const char *value, void *member)
{
	uint64_t *size = member;
	if (strcmp(value, "imix") == 0) {
		*size = SIZE_IMIX;
		return 0;
	}
	char *end;
	unsigned long number = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || number < 64 || number > 1518)
		return -EINVAL;
	*size = number;
	return 0;
}

static int parse_rate(const char *value, void *member)
{
	static const struct {
		const char *unit;
		double packets, bits;
	} units[] = {
	        {"pps", 1, 0},
	        {"kpps", 1e3, 0},
	        {"Mpps", 1e6, 0},
	        {"bps", 0, 1},
	        {"Kbps", 0, 1e3},
	        {"kbps", 0, 1e3},
	        {"Mbps", 0, 1e6},
	        {"Gbps", 0, 1e9},
	        {"Kpps", 1e3, 0},
	};
	struct rate *rate = member;
	if (strcmp(value, "max") == 0) {
		*rate = (struct rate){0, 0};
		return 0;
	}
	char *end;
	double number = strtod(value, &end);
	if (*value < '0' || *value > '9' || !isfinite(number) || number <= 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(end, units[i].unit) == 0) {
			*rate = (struct rate){number * units[i].packets, number * units[i].bits};
			double most = rate->packets ? rate->packets : rate->bits;
			return most >= 0.001 && most <= 1e12 ? 0 : -EINVAL;
		}
	return -EINVAL;
}

#define AT(member) offsetof(struct gen_config, member)
static const struct option options[] = {
        {"size", OPTION_CUSTOM, AT(size), .parse = parse_size,
                .help = "a frame size from 64 to 1518, check sequence included, or “imix”"},
        {"flows", OPTION_NUMBER, AT(flows), .min = 1, .max = FLOWS_MAX,
                .help = "a number of flows from 1 to 1048576"},
        {"rate", OPTION_CUSTOM, AT(rate), .parse = parse_rate,
                .help = "a rate: 14.88Mpps, 100kpps, 5000pps, 10Gbps, 100Mbps, 64Kbps, or “max”"},
        {"count", OPTION_NUMBER, AT(count), .min = 0, .max = UINT64_MAX,
                .help = "a number of packets (0: sink only)"},
        {"seq", OPTION_NUMBER, AT(seq), .min = 0, .max = 1, .help = "0 or 1"},
        {"seed", OPTION_NUMBER, AT(seed), .min = 0, .max = UINT64_MAX,
                .help = "a whole number (0: flows in turn)"},
        {"src", OPTION_MAC, AT(src), .help = "a MAC address such as 02:00:00:00:00:01"},
        {"dst", OPTION_MAC, AT(dst), .help = "a MAC address such as 02:00:00:00:00:01"},
        {"srcip", OPTION_PREFIX, AT(srcip),
                .help = "an IPv4 address or prefix such as 10.0.0.0/16"},
        {"dstip", OPTION_PREFIX, AT(dstip),
                .help = "an IPv4 address or prefix such as 10.1.0.0/16"},
        {"sport", OPTION_NUMBER, AT(sport), .min = 0, .max = 65535,
                .help = "a UDP port from 0 to 65535"},
        {"dport", OPTION_NUMBER, AT(dport), .min = 0, .max = 65535,
                .help = "a UDP port from 0 to 65535"},
};
#define ANY UINT64_MAX // no count, no port given

static const struct option_table table = {
        .kind = "gen",
        .example = "gen:size=64,flows=16,rate=1Mpps",
        .options = options,
        .count = ARRAY_SIZE(options),
};

static void default_addresses(struct gen_config *config, uint8_t number)
{
	uint32_t peer = number ^ 1u;
	if (!config->srcip.given)
		config->srcip =
		        (struct option_prefix){.address = 10u << 24 | number << 16, .length = 16};
	if (!config->dstip.given)
		config->dstip =
		        (struct option_prefix){.address = 10u << 24 | peer << 16, .length = 16};
	if (!config->src.given)
		memcpy(config->src.octets, (uint8_t[]){2, 0, number, 0, 0, 0}, 6);
	if (!config->dst.given)
		memcpy(config->dst.octets, (uint8_t[]){2, 0, (uint8_t)peer, 0, 0, 0}, 6);
}

static uint32_t next_flow(struct gen *gen)
{
	uint32_t flows = (uint32_t)gen->config.flows;
	if (!gen->config.seed) {
		uint32_t flow = gen->flow;
		gen->flow = flow + 1 == flows ? 0 : flow + 1;
		return flow;
	}
	gen->random ^= gen->random << 13; // xorshift64
	gen->random ^= gen->random >> 7;
	gen->random ^= gen->random << 17;
	return (uint32_t)((gen->random >> 32) * flows >> 32);
}

static uint32_t pick_address(const struct option_prefix *prefix, uint32_t flow)
{
	uint32_t mask = prefix->length ? UINT32_MAX >> (prefix->length - 1) >> 1 : UINT32_MAX;
	return mask ? (prefix->address & ~mask) | ((1 + flow) & mask) : prefix->address;
}

static void put_mac(uint8_t *to, const struct option_mac *mac, uint32_t flow)
{
	if (mac->given)
		return; // as in the template
	to[3] = (uint8_t)(flow >> 16);
	to[4] = (uint8_t)(flow >> 8);
	to[5] = (uint8_t)flow;
}

static void put16(uint8_t *to, uint32_t value)
{
	uint16_t big = htobe16((uint16_t)value);
	memcpy(to, &big, sizeof(big));
}

// Writes what differs from the template: flow and size.
static void address_packet(const struct gen *gen, uint8_t *to, uint32_t flow, uint32_t size)
{
	const struct gen_config *config = &gen->config;
	put_mac(to, &config->dst, flow);
	put_mac(to + 6, &config->src, flow);
	uint32_t source = pick_address(&config->srcip, flow),
	         target = pick_address(&config->dstip, flow);
	uint32_t length = size - ETHERNET_MIN;
	uint32_t sum = gen->checksum + length + (source >> 16) + (source & 0xffff) +
	               (target >> 16) + (target & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(to + 16, length);
	put16(to + 24, ~sum);
	uint32_t addresses[2] = {htobe32(source), htobe32(target)};
	memcpy(to + 26, addresses, sizeof(addresses));
	put16(to + 34, config->sport == ANY ? 0x4000 | (flow & 0x3fff) : (uint32_t)config->sport);
	put16(to + 36, config->dport == ANY ? 0x4000 | flow >> 14 : (uint32_t)config->dport);
	put16(to + 38, length - 20);
	((struct payload *)(to + AT_PAYLOAD))->flow = htobe32(flow);
}

static void make_packet(struct gen *gen, uint8_t *to, uint32_t size)
{
	uint32_t flow = next_flow(gen);
	for (uint32_t at = 0; at < size; at += 64) // may write behind the packet, within the frame
		memcpy(to + at, gen->frame + at, 64);
	if (flow || size != gen->frame_size)
		address_packet(gen, to, flow, size);
	if (gen->sequence)
		((struct payload *)(to + AT_PAYLOAD))->sequence = htobe64(gen->sequence[flow]++);
	gen->made++;
}

static void make_template(struct gen *gen, uint8_t number)
{
	uint8_t *frame = gen->frame;
	memcpy(frame, gen->config.dst.octets, 6);
	memcpy(frame + 6, gen->config.src.octets, 6);
	memcpy(frame + 12, "\x08\x00\x45\x00", 4); // IPv4, five words, no service class
	memcpy(frame + 22, "\x40\x11", 2);         // 64 hops to live, UDP
	memcpy(frame + AT_PAYLOAD, "RAIO", 4);
	frame[AT_PAYLOAD + 4] = number;
	gen->checksum = 0x4500 + 0x4011; // and length and addresses, added later
	gen->frame_size = (gen->config.size == SIZE_IMIX ? 64 : (uint32_t)gen->config.size) - FCS;
	address_packet(gen, frame, 0, gen->frame_size);
}

static void make_rate(struct gen *gen)
{
	const struct rate *rate = &gen->config.rate;
	if (rate->packets > 0)
		gen->packet_ps = (uint64_t)(PICO / rate->packets + 0.5);
	if (rate->bits > 0)
		gen->octet_ps_1000 = (uint64_t)(8 * 1000 * PICO / rate->bits + 0.5);
}

static void gen_close(struct port *port)
{
	struct gen *gen = port->driver;
	free(gen->sequence);
	free(gen->watch);
	free(gen);
}

static int gen_open(struct port *port, const char *spec, struct error *err)
{
	struct gen *gen = calloc(1, sizeof(*gen));
	if (!gen)
		return error_set(err, ENOMEM, "out of memory");
	port->driver = gen;
	struct gen_config *config = &gen->config;
	*config = (struct gen_config){
	        .size = 64, .flows = 1, .count = ANY, .sport = ANY, .dport = ANY};
	int status = options_parse(&table, spec, config, err);
	if (!status && config->seq) {
		gen->sequence = calloc(config->flows, sizeof(*gen->sequence));
		gen->watch = calloc(config->flows * SINK_PORTS, sizeof(*gen->watch));
		if (!gen->sequence || !gen->watch)
			status = error_set(
			        err, ENOMEM, "out of memory for %" PRIu64 " flows", config->flows);
	}
	if (status) {
		gen_close(port);
		return status;
	}
	default_addresses(config, port->number);
	make_template(gen, port->number);
	make_rate(gen);
	gen->random = config->seed;
	gen->due_ns = clock_ns();
	return 0;
}

static uint32_t next_size(const struct gen *gen, uint64_t made)
{
	return gen->config.size == SIZE_IMIX ? imix[made % ARRAY_SIZE(imix)]
	                                     : (uint32_t)gen->config.size;
}

static void advance(struct gen *gen, uint32_t size)
{
	if (!gen->packet_ps && !gen->octet_ps_1000)
		return;
	gen->due_ps += gen->packet_ps + gen->octet_ps_1000 * (size + PREAMBLE_IFG) / 1000;
	if (gen->due_ps >= 1000) {
		gen->due_ns += gen->due_ps / 1000;
		gen->due_ps %= 1000;
	}
}

// How many of `max` packets may leave now.
static uint32_t allowance(struct gen *gen, uint32_t max, uint64_t now_ns)
{
	uint64_t left = gen->config.count - gen->made;
	if (left < max)
		max = (uint32_t)left;
	if (!gen->packet_ps && !gen->octet_ps_1000)
		return max;
	if (now_ns > gen->due_ns && now_ns - gen->due_ns > LAG_MAX_NS)
		gen->due_ns = now_ns;
	return gen->due_ns <= now_ns ? max : 0;
}

static uint32_t gen_receive(struct port *port, struct packet *packets, uint32_t max)
{
	struct gen *gen = port->driver;
	uint64_t now_ns = clock_ns();
	max = allowance(gen, max, now_ns);
	if (!max)
		return 0;
	uint32_t n = frames_take(port->memory, packets, max), made = 0;
	uint64_t bytes = 0;
	for (; made < n && gen->due_ns <= now_ns; made++) {
		struct packet *packet = &packets[made];
		uint32_t size = next_size(gen, gen->made);
		packet->end = (uint16_t)(packet->data + size - FCS);
		packet->port = port->number;
		packet->arrival_ns = now_ns;
		make_packet(gen, packet_data(port->base, packet), size - FCS);
		advance(gen, size);
		bytes += size - FCS;
	}
	if (made < n)
		frames_give(port->memory, packets + made, n - made);
	count(&port->stats.rx_packets, made);
	count(&port->stats.rx_bytes, bytes);
	return made;
}

static void check_sequence(struct port_stats *stats, struct watch *watch, uint64_t number)
{
	count(&stats->seq_packets, 1);
	if (number == watch->next || watch->next == 0) {
		watch->next = number + 1;
		watch->missed <<= 1;
	} else if (number > watch->next) {
		uint64_t hole = number - watch->next;
		count(&stats->seq_lost, hole);
		watch->missed = hole < 63 ? (watch->missed << hole | ((1ull << hole) - 1)) << 1
		                          : UINT64_MAX << 1;
		watch->next = number + 1;
	} else {
		uint64_t behind = watch->next - 1 - number;
		if (behind < 64 && !(watch->missed >> behind & 1)) {
			count(&stats->seq_duplicate, 1);
			return;
		}
		if (behind < 64)
			watch->missed &= ~(1ull << behind);
		count(&stats->seq_reordered, 1);
		if (stats->seq_lost)
			count(&stats->seq_lost, UINT64_MAX); // one less
	}
}

static void check_packet(struct port *port, const struct packet *packet)
{
	struct gen *gen = port->driver;
	struct payload payload;
	if (packet_size(packet) < AT_PAYLOAD + sizeof(payload))
		return;
	memcpy(&payload, packet_data(port->base, packet) + AT_PAYLOAD, sizeof(payload));
	uint32_t flow = be32toh(payload.flow);
	if (memcmp(payload.magic, "RAIO", 4) != 0 || payload.port >= SINK_PORTS ||
	        flow >= gen->config.flows)
		return;
	check_sequence(&port->stats, &gen->watch[payload.port * gen->config.flows + flow],
	        be64toh(payload.sequence));
}

static uint32_t gen_transmit(struct port *port, const struct packet *packets, uint32_t n)
{
	const struct gen *gen = port->driver;
	if (gen->watch)
		for (uint32_t i = 0; i < n; i++)
			check_packet(port, &packets[i]);
	count(&port->stats.tx_packets, n);
	count(&port->stats.tx_bytes, bytes_of(packets, n));
	frames_give(port->memory, packets, n);
	return n;
}

static bool gen_finished(struct port *port)
{
	const struct gen *gen = port->driver;
	return gen->made >= gen->config.count;
}

static uint64_t gen_next_ns(struct port *port)
{
	const struct gen *gen = port->driver;
	if (gen_finished(port))
		return UINT64_MAX;
	return gen->packet_ps || gen->octet_ps_1000 ? gen->due_ns : 0;
}

static void describe_rate(const struct rate *rate, char *text, size_t size)
{
	double value = rate->packets > 0 ? rate->packets : rate->bits;
	const char *unit = rate->packets > 0 ? "pps" : "bit/s";
	if (value <= 0)
		snprintf(text, size, "as fast as possible");
	else if (value >= 1e9)
		snprintf(text, size, "%g G%s", value / 1e9, unit);
	else if (value >= 1e6)
		snprintf(text, size, "%g M%s", value / 1e6, unit);
	else if (value >= 1e3)
		snprintf(text, size, "%g k%s", value / 1e3, unit);
	else
		snprintf(text, size, "%g %s", value, unit);
}

static void gen_describe(struct port *port, char *text, uint32_t size)
{
	const struct gen_config *config = &((struct gen *)port->driver)->config;
	char frame[32] = "IMIX", rate[48], packets[48] = "";
	if (config->count == 0) {
		snprintf(text, size, "gen, sink only%s", config->seq ? ", sequence checked" : "");
		return;
	}
	if (config->size != SIZE_IMIX)
		snprintf(frame, sizeof(frame), "%" PRIu64 " B", config->size);
	describe_rate(&config->rate, rate, sizeof(rate));
	if (config->count != ANY)
		snprintf(packets, sizeof(packets), ", %" PRIu64 " packets", config->count);
	snprintf(text, size, "gen %s, %" PRIu64 " flow%s, %s%s%s", frame, config->flows,
	        config->flows == 1 ? "" : "s", rate, packets,
	        config->seq ? ", sequence checked" : "");
}

const struct port_ops gen_port = {
        .kind = "gen",
        .open = gen_open,
        .close = gen_close,
        .receive = gen_receive,
        .transmit = gen_transmit,
        .next_ns = gen_next_ns,
        .finished = gen_finished,
        .describe = gen_describe,
};
