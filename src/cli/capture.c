// SPDX-License-Identifier: Apache-2.0
// pcapng: draft-ietf-opsawg-pcapng. Blocks: section header, interface description, enhanced and
// simple packet; others are skipped. Either byte order, any time resolution.
#include "cli/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#define BLOCK_SECTION   0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_SIMPLE    3u
#define BLOCK_ENHANCED  6u
#define BYTE_ORDER_MARK 0x1a2b3c4du
#define OPTION_END      0u
#define OPTION_NAME     2u
#define OPTION_TSRESOL  9u
#define LINK_ETHERNET   1u
#define INTERFACES_MAX  256u
#define PACKET_BYTES    (256u << 10)
#define NS_PER_SECOND   1000000000ull

void capture_free(struct capture *capture)
{
	for (size_t i = 0; i < capture->count; i++)
		free(capture->packets[i].data);
	free(capture->packets);
	*capture = (struct capture){0};
}

int capture_add(struct capture *capture, const struct capture_packet *packet)
{
	if (capture->count == capture->capacity) {
		size_t capacity = capture->capacity ? capture->capacity * 2 : 64;
		void *packets = realloc(capture->packets, capacity * sizeof(*capture->packets));
		if (!packets)
			return -ENOMEM;
		capture->packets = packets;
		capture->capacity = capacity;
	}
	uint8_t *data = malloc(packet->size + !packet->size);
	if (!data)
		return -ENOMEM;
	memcpy(data, packet->data, packet->size);
	capture->packets[capture->count] = *packet;
	capture->packets[capture->count++].data = data;
	return 0;
}

struct interface {
	uint8_t port;
	bool is_host;
	uint64_t per_second; // units of its stamps in a second
	uint32_t snap;
};

struct reader {
	struct cursor cursor; // over the file
	bool is_swapped;      // this section is of the other byte order
	struct interface interface[INTERFACES_MAX];
	uint32_t interface_count;
};

static uint32_t read_u32(const struct reader *reader, struct cursor *cursor)
{
	uint32_t value = cursor_u32(cursor);
	return reader->is_swapped ? __builtin_bswap32(value) : value;
}

static uint16_t read_u16(const struct reader *reader, struct cursor *cursor)
{
	uint16_t value = cursor_u16(cursor);
	return reader->is_swapped ? __builtin_bswap16(value) : value;
}

static uint64_t resolution(uint8_t exponent)
{
	uint64_t units = 1;
	if (exponent & 0x80)
		return (exponent & 0x7f) < 64 ? 1ull << (exponent & 0x7f) : 0;
	for (; exponent && units < UINT64_MAX / 10; exponent--)
		units *= 10;
	return exponent ? 0 : units;
}

// "port2" and "host2", as capture_write() names them.
static void interface_name(struct interface *interface, const char *name, uint32_t size)
{
	char text[16] = "";
	unsigned port;
	int used = 0;
	memcpy(text, name, size < sizeof(text) ? size : sizeof(text) - 1);
	if (sscanf(text, "port%2u%n", &port, &used) == 1 && !text[used] && port < 64)
		interface->port = (uint8_t)port;
	else if (sscanf(text, "host%2u%n", &port, &used) == 1 && !text[used] && port < 64)
		*interface = (struct interface){
		        (uint8_t)port, true, interface->per_second, interface->snap};
}

static int read_interface(struct reader *reader, struct cursor body, struct error *err)
{
	uint16_t link = read_u16(reader, &body);
	read_u16(reader, &body);
	struct interface new = {
	        .port = (uint8_t)(reader->interface_count & 63), .per_second = 1000000};
	new.snap = read_u32(reader, &body);
	if (body.failed)
		return error_set(err, EINVAL, "an interface description is cut short");
	if (link != LINK_ETHERNET)
		return error_set(err, ENOTSUP,
		        "interface %u has link type %u; only Ethernet (1) can enter a "
		        "port",
		        reader->interface_count, link);
	if (reader->interface_count == INTERFACES_MAX)
		return error_set(err, EINVAL, "more than %u interfaces", INTERFACES_MAX);
	while (body.at < body.size) {
		uint16_t code = read_u16(reader, &body), size = read_u16(reader, &body);
		const char *value = cursor_take(&body, size);
		if (body.failed || code == OPTION_END)
			break;
		cursor_take(&body, (4u - size % 4u) % 4u);
		if (code == OPTION_NAME)
			interface_name(&new, value, size);
		else if (code == OPTION_TSRESOL && size == 1)
			new.per_second = resolution((uint8_t)*value);
	}
	if (!new.per_second)
		return error_set(err, EINVAL, "interface %u has an impossible time resolution",
		        reader->interface_count);
	reader->interface[reader->interface_count++] = new;
	return 0;
}

static uint64_t stamp_ns(uint64_t stamp, uint64_t per_second)
{
	uint64_t rest = stamp % per_second;
	return stamp / per_second * NS_PER_SECOND +
	       (uint64_t)((__uint128_t)rest * NS_PER_SECOND / per_second);
}

static int read_packet(struct reader *reader, struct cursor body, bool is_simple,
        struct capture *capture, struct error *err)
{
	struct capture_packet packet = {0};
	uint32_t number = is_simple ? 0 : read_u32(reader, &body);
	uint64_t stamp = 0;
	if (!is_simple) {
		stamp = (uint64_t)read_u32(reader, &body) << 32;
		stamp |= read_u32(reader, &body);
		packet.size = read_u32(reader, &body);
	}
	packet.original_size = read_u32(reader, &body);
	if (number >= reader->interface_count)
		return error_set(err, EINVAL,
		        "packet %zu came by interface %u, which is not described",
		        capture->count + 1, number);
	const struct interface *interface = &reader->interface[number];
	if (is_simple) {
		uint32_t left = (uint32_t)(body.size - body.at);
		packet.size = packet.original_size < left ? packet.original_size : left;
	}
	packet.data = (uint8_t *)cursor_take(&body, packet.size);
	if (body.failed || packet.size > PACKET_BYTES)
		return error_set(err, EINVAL, "packet %zu is cut short or longer than its block",
		        capture->count + 1);
	packet.time_ns = stamp_ns(stamp, interface->per_second);
	packet.port = interface->port;
	packet.is_host = interface->is_host;
	return capture_add(capture, &packet) < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

// The length of the block at the cursor; its type into *type. 0: malformed.
static uint32_t read_header(struct reader *reader, uint32_t *type)
{
	struct cursor *cursor = &reader->cursor, peek;
	*type = cursor_u32(cursor); // the same in both orders where it is a section's
	peek = *cursor;
	if (*type == BLOCK_SECTION) {
		cursor_u32(&peek);
		uint32_t mark = cursor_u32(&peek);
		reader->is_swapped = mark == __builtin_bswap32(BYTE_ORDER_MARK);
		reader->interface_count = 0;
		if (!reader->is_swapped && mark != BYTE_ORDER_MARK)
			return 0;
	} else if (reader->is_swapped) {
		*type = __builtin_bswap32(*type);
	}
	uint32_t size = read_u32(reader, cursor);
	return cursor->failed || size < 12 || size % 4 ? 0 : size;
}

int capture_parse(const void *data, size_t size, struct capture *capture, struct error *err)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return error_set(err, ENOMEM, "out of memory");
	reader->cursor = cursor_of(data, size);
	capture->has_ports = true;
	int result = 0;
	while (result == 0 && reader->cursor.at < size) {
		size_t place = reader->cursor.at;
		uint32_t type, length = read_header(reader, &type);
		const void *body = length ? cursor_take(&reader->cursor, length - 12) : NULL;
		uint32_t again = body ? read_u32(reader, &reader->cursor) : 0;
		if (!body || reader->cursor.failed || again != length ||
		        (place == 0 && type != BLOCK_SECTION)) {
			result = error_set(err, EINVAL,
			        "the block at byte %zu is cut short or malformed", place);
			break;
		}
		struct cursor inner = cursor_of(body, length - 12);
		if (type == BLOCK_INTERFACE)
			result = read_interface(reader, inner, err);
		else if (type == BLOCK_ENHANCED || type == BLOCK_SIMPLE)
			result = read_packet(reader, inner, type == BLOCK_SIMPLE, capture, err);
	}
	free(reader);
	if (result < 0)
		capture_free(capture);
	return result;
}

static int read_pcap(const char *path, uint8_t port, struct capture *capture, struct error *err)
{
	char text[PCAP_ERRBUF_SIZE];
	pcap_t *pcap =
	        pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!pcap)
		return error_set(err, EINVAL, "%s: %s", path, text);
	int result = 0, got = 0;
	struct pcap_pkthdr *header;
	const u_char *data;
	if (pcap_datalink(pcap) != DLT_EN10MB)
		result = error_set(err, ENOTSUP,
		        "%s: link type %d; only Ethernet (1) can enter a port", path,
		        pcap_datalink(pcap));
	while (result == 0 && (got = pcap_next_ex(pcap, &header, &data)) == 1) {
		const struct capture_packet packet = {
		        .data = (uint8_t *)data,
		        .size = header->caplen,
		        .original_size = header->len,
		        .time_ns = (uint64_t)header->ts.tv_sec * NS_PER_SECOND +
		                   (uint64_t)header->ts.tv_usec,
		        .port = port,
		};
		if (capture_add(capture, &packet) < 0)
			result = error_set(err, ENOMEM, "%s: out of memory", path);
	}
	if (result == 0 && got == PCAP_ERROR)
		result = error_set(err, EINVAL, "%s: after packet %zu: %s", path, capture->count,
		        pcap_geterr(pcap));
	pcap_close(pcap);
	if (result < 0)
		capture_free(capture);
	return result;
}

int capture_read(const char *path, uint8_t port, struct capture *capture, struct error *err)
{
	autofree uint8_t *data = NULL;
	size_t size;
	int result = file_read(path, CAPTURE_SIZE_MAX, &data, &size, err);
	if (result < 0)
		return result;
	*capture = (struct capture){0};
	const uint32_t mark = BLOCK_SECTION;
	if (size < sizeof(mark) || memcmp(data, &mark, sizeof(mark)) != 0)
		return read_pcap(path, port, capture, err);
	result = capture_parse(data, size, capture, err);
	return result < 0 ? error_prefix(err, "%s", path) : 0;
}

static void put_option(struct buffer *out, uint16_t code, const void *value, uint16_t size)
{
	static const uint8_t zero[4];
	buffer_u16(out, code);
	buffer_u16(out, size);
	buffer_put(out, value, size);
	buffer_put(out, zero, (4u - size % 4u) % 4u);
}

static void put_block(struct buffer *out, uint32_t type, const struct buffer *body)
{
	uint32_t size = (uint32_t)(12 + body->size);
	buffer_u32(out, type);
	buffer_u32(out, size);
	buffer_put(out, body->data, body->size);
	buffer_u32(out, size);
}

// Interface 2 * i is port i, 2 * i + 1 its host.
static void put_interfaces(struct buffer *out, unsigned ports)
{
	for (unsigned i = 0; i < 2 * ports; i++) {
		cleanup(buffer_free) struct buffer body = {0};
		const uint8_t nanoseconds = 9;
		char name[16];
		int size = snprintf(name, sizeof(name), "%s%u", i % 2 ? "host" : "port", i / 2);
		buffer_u16(&body, LINK_ETHERNET);
		buffer_u16(&body, 0);
		buffer_u32(&body, 0);
		put_option(&body, OPTION_NAME, name, (uint16_t)size);
		put_option(&body, OPTION_TSRESOL, &nanoseconds, 1);
		put_option(&body, OPTION_END, NULL, 0);
		put_block(out, BLOCK_INTERFACE, &body);
	}
}

int capture_write(const char *path, const struct capture *capture, struct error *err)
{
	static const uint8_t zero[4];
	cleanup(buffer_free) struct buffer out = {0}, head = {0};
	unsigned ports = 0;
	for (size_t i = 0; i < capture->count; i++)
		if (capture->packets[i].port >= ports)
			ports = capture->packets[i].port + 1u;
	buffer_u32(&head, BYTE_ORDER_MARK);
	buffer_u32(&head, 1); // version 1.0
	buffer_u64(&head, UINT64_MAX);
	put_block(&out, BLOCK_SECTION, &head);
	put_interfaces(&out, ports);
	for (size_t i = 0; i < capture->count; i++) {
		const struct capture_packet *packet = &capture->packets[i];
		cleanup(buffer_free) struct buffer body = {0};
		buffer_u32(&body, 2u * packet->port + packet->is_host);
		buffer_u32(&body, (uint32_t)(packet->time_ns >> 32));
		buffer_u32(&body, (uint32_t)packet->time_ns);
		buffer_u32(&body, packet->size);
		buffer_u32(&body, packet->original_size);
		buffer_put(&body, packet->data, packet->size);
		buffer_put(&body, zero, (4u - packet->size % 4u) % 4u);
		put_block(&out, BLOCK_ENHANCED, &body);
	}
	if (out.failed)
		return error_set(err, ENOMEM, "%s: out of memory", path);
	return file_write(path, out.data, out.size, 0644, err);
}
