// SPDX-License-Identifier: Apache-2.0
// Captures whole in memory: pcap through libpcap, pcapng by a reader of our own, because libpcap
// does not say by which interface a packet came. The bytes are a stranger's. Written ones are
// pcapng with an interface a port.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct error;

#define CAPTURE_SIZE_MAX (1u << 30)

struct capture_packet {
	uint8_t *data;          // owned
	uint32_t size;          // bytes here
	uint32_t original_size; // bytes that were on the wire; more where the capture cut it
	uint64_t time_ns;       // since 1970
	uint8_t port;
	bool is_host; // in what `raio test --out` wrote: handed to the host, not sent
};

struct capture {
	struct capture_packet *packets;
	size_t count, capacity;
	bool has_ports; // the file says by which interface each came
};

void capture_free(struct capture *capture);
// Reads `path`. `port` is what packets come by where the file does not say. Errors: EINVAL with the
// place of what is malformed, ENOTSUP for link types that are not Ethernet, what file_read() says.
int capture_read(const char *path, uint8_t port, struct capture *capture, struct error *err);
// The same from memory, pcapng only.
int capture_parse(const void *data, size_t size, struct capture *capture, struct error *err);
// Appends a copy. -ENOMEM.
int capture_add(struct capture *capture, const struct capture_packet *packet);
// Interface "portN" for sent packets, "hostN" for those handed to the host.
int capture_write(const char *path, const struct capture *capture, struct error *err);
