// SPDX-License-Identifier: Apache-2.0
// The packet as a whole: moving its ends, copies, checksums, and what the host knows of its way.
// Rules and error codes: net/core/filter.c of Linux 6.18. A frame's layout is the kernel's: 256
// bytes of headroom, the first 40 of which hold its struct xdp_frame.
#include <errno.h>
#include <net/ethernet.h>
#include <string.h>

#include "engine/helpers.h"

#define FRAME_RESERVED 40u  // sizeof(struct xdp_frame)
#define META_MAX       252u // struct skb_shared_info counts it in 8 bits, by fours
#define OFFSET_MAX     0xffffu
#define MTU            1500u

// Headroom that comes into view reads as zeros, whatever packet used the frame before.
static void expose(struct engine *engine, uint32_t first, uint32_t zero_from)
{
	if (zero_from < engine->exposed)
		memset(engine->base + engine->packet->frame + zero_from, 0,
		        engine->exposed - zero_from);
	if (first < engine->exposed)
		engine->exposed = first;
}

uint64_t helper_adjust_head(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	struct packet *packet = engine->packet;
	int64_t offset = (int32_t)args[1], size = packet->data - packet->meta;
	int64_t data = packet->data + offset;
	if (data < FRAME_RESERVED + size || data > packet->end - ETHER_HDR_LEN)
		return (uint64_t)-EINVAL;
	uint8_t *frame = engine->base + packet->frame;
	memmove(frame + packet->meta + offset, frame + packet->meta, (size_t)size);
	packet->meta = (uint16_t)(packet->meta + offset);
	packet->data = (uint16_t)data;
	expose(engine, packet->meta, packet->data);
	helper_refresh_packet(engine);
	return 0;
}

uint64_t helper_adjust_meta(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	struct packet *packet = engine->packet;
	int64_t meta = packet->meta + (int64_t)(int32_t)args[1];
	if (meta < FRAME_RESERVED || meta > packet->data)
		return (uint64_t)-EINVAL;
	if ((packet->data - meta) % 4 || packet->data - meta > META_MAX)
		return (uint64_t)-EACCES;
	packet->meta = (uint16_t)meta;
	expose(engine, packet->meta, packet->meta);
	helper_refresh_packet(engine);
	return 0;
}

uint64_t helper_adjust_tail(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	struct packet *packet = engine->packet;
	int64_t offset = (int32_t)args[1], end = packet->end + offset;
	if (end > FRAME_SIZE || end < packet->data + ETHER_HDR_LEN)
		return (uint64_t)-EINVAL;
	if (offset > 0)
		memset(engine->base + packet->frame + packet->end, 0, (size_t)offset);
	packet->end = (uint16_t)end;
	helper_refresh_packet(engine);
	return 0;
}

uint64_t helper_buff_len(struct engine *engine, const uint64_t args[5])
{
	return helper_context(engine, args[0]) ? engine->packet_size : 0;
}

// Bytes `offset` to `offset` + `size` of the packet; NULL with *error as the kernel answers.
static uint8_t *packet_part(struct engine *engine, uint64_t offset, uint64_t size, int *error)
{
	*error = offset > OFFSET_MAX || size > OFFSET_MAX ? -EFAULT : -EINVAL;
	if (*error == -EFAULT || offset + size > engine->packet_size)
		return NULL;
	return engine->base + engine->packet_start + offset;
}

uint64_t helper_load_bytes(struct engine *engine, const uint64_t args[5])
{
	int error;
	if (!helper_context(engine, args[0]))
		return 0;
	uint8_t *to = helper_out(engine, args[2], args[3]);
	if (!to || !helper_charge(engine, args[3] / 32))
		return 0;
	const uint8_t *from = packet_part(engine, (uint32_t)args[1], args[3], &error);
	if (!from)
		return (uint64_t)error;
	memmove(to, from, args[3]);
	return 0;
}

uint64_t helper_store_bytes(struct engine *engine, const uint64_t args[5])
{
	int error;
	if (!helper_context(engine, args[0]))
		return 0;
	const uint8_t *from = helper_in(engine, args[2], args[3]);
	if (!from || !helper_charge(engine, args[3] / 32))
		return 0;
	uint8_t *to = packet_part(engine, (uint32_t)args[1], args[3], &error);
	if (!to)
		return (uint64_t)error;
	memmove(to, from, args[3]);
	return 0;
}

// One's complement sum of 32-bit words in host order (RFC 1071), as the kernel's csum_partial(): of
// the two zeros it gives 0 only where all is 0.
static uint32_t sum_words(const uint8_t *data, uint64_t size, uint32_t seed)
{
	uint64_t sum = seed;
	uint32_t word = 0;
	for (; size >= sizeof(word); size -= sizeof(word), data += sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		sum += word;
	}
	word = 0;
	memcpy(&word, data, size);
	sum += word;
	while (sum >> 32)
		sum = (uint32_t)sum + (sum >> 32);
	return (uint32_t)sum;
}

// R1, R2 what goes; R3, R4 what comes; R5 the sum so far. The new sum, folded to 16 bits (since
// Linux 6.13).
uint64_t helper_csum_diff(struct engine *engine, const uint64_t args[5])
{
	const uint8_t *from = helper_in(engine, args[0], args[1]);
	const uint8_t *to = from ? helper_in(engine, args[2], args[3]) : NULL;
	if (!to || !helper_charge(engine, (args[1] + args[3]) / 8))
		return 0;
	uint32_t sum = (uint32_t)args[4];
	if (args[1] && args[3]) { // to take away is to add the complement
		uint32_t gone = ~sum_words(from, args[1], 0);
		sum = sum_words(to, args[3], sum) + gone;
		sum += sum < gone;
	} else if (args[3]) {
		sum = sum_words(to, args[3], sum);
	} else if (args[1]) {
		sum = ~sum_words(from, args[1], ~sum);
	}
	return (uint32_t)(sum + (sum >> 16 | sum << 16)) >> 16;
}

// R2 ifindex (0: the one it came by), R3 in: length of the packet behind its Ethernet header (0:
// the packet's own), out: the MTU; R4 how much longer it will get.
uint64_t helper_check_mtu(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	uint8_t *mtu = helper_out(engine, args[2], sizeof(uint32_t));
	if (!mtu)
		return 0;
	if (args[4])
		return (uint64_t)-EINVAL;
	uint32_t ifindex = (uint32_t)args[1] ? (uint32_t)args[1] : engine->packet->port + 1u, given;
	if (ifindex > PORTS_MAX || !(engine->generation->ports >> (ifindex - 1) & 1))
		return (uint64_t)-ENODEV;
	memcpy(&given, mtu, sizeof(given));
	int64_t size = given ? (int64_t)given + ETHER_HDR_LEN : (int64_t)engine->packet_size;
	size += (int32_t)args[3];
	given = engine->options.mtu ? engine->options.mtu(engine->options.fib_context, ifindex) : 0;
	given = given ? given : MTU;
	memcpy(mtu, &given, sizeof(given));
	return size <= (int64_t)given + ETHER_HDR_LEN ? BPF_MTU_CHK_RET_SUCCESS
	                                              : BPF_MTU_CHK_RET_FRAG_NEEDED;
}

uint64_t helper_fib(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	if (args[2] < sizeof(struct bpf_fib_lookup))
		return (uint64_t)-EINVAL;
	uint8_t *memory = helper_out(engine, args[1], args[2]);
	if (!memory)
		return 0;
	if (!engine->options.fib)
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	struct bpf_fib_lookup params;
	memcpy(&params, memory, sizeof(params));
	int r = engine->options.fib(engine->options.fib_context, &params, (uint32_t)args[3]);
	memcpy(memory, &params, sizeof(params));
	return (uint64_t)(int64_t)r;
}

uint64_t kfunc_rx_timestamp(struct engine *engine, const uint64_t args[5])
{
	if (!helper_context(engine, args[0]))
		return 0;
	uint8_t *stamp = helper_out(engine, args[1], sizeof(uint64_t));
	if (stamp)
		memcpy(stamp, &engine->packet->arrival_ns, sizeof(uint64_t));
	return 0;
}

// No port driver gives these.
uint64_t kfunc_rx_hash(struct engine *engine, const uint64_t args[5])
{
	return helper_context(engine, args[0]) ? (uint64_t)-EOPNOTSUPP : 0;
}

uint64_t kfunc_rx_vlan(struct engine *engine, const uint64_t args[5])
{
	return helper_context(engine, args[0]) ? (uint64_t)-EOPNOTSUPP : 0;
}
