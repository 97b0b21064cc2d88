// SPDX-License-Identifier: Apache-2.0
// A tap: the interface NAME is the far side of the port's wire. What the host, or a container or
// virtual machine that is given NAME, sends there is received here, and what is transmitted here
// arrives there.
//
// The host is the far side of this port already, so XDP_PASS delivers nothing on it (a copy would
// come back by the wire that it came from, and loop on bridges): such packets are counted
// host_dropped. To see them, redirect to another port, or transmit.
//
// One system call a packet, as the kernel's interface has it. A frame longer than PACKET_MAX is
// recognised by the octets that it has beyond.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "port/driver.h"
#include "port/netif.h"
#include "port/options.h"

struct tap_config {
	char name[OPTION_TEXT_MAX];
	struct option_mac mac;
	uint64_t mtu;
};

struct tap {
	int fd, socket;
	bool gone; // the interface was removed
	char name[IFNAMSIZ];
	struct packet spare[BURST_MAX]; // frames to read into
	uint32_t spare_count;
};

#define AT(member) offsetof(struct tap_config, member)
static const struct option options[] = {
        {"name", OPTION_TEXT, AT(name), .help = "the name of an interface"},
        {"mac", OPTION_MAC, AT(mac), .help = "a MAC address such as 02:00:00:00:00:01"},
        {"mtu", OPTION_NUMBER, AT(mtu), .min = 68, .max = PACKET_MAX - ETHERNET_MIN,
                .help = "a number of bytes from 68 to 1714"},
};

static const struct option_table table = {
        .kind = "tap",
        .example = "tap:tap0,mac=02:00:00:00:00:01",
        .options = options,
        .count = ARRAY_SIZE(options),
        .positional = 1,
};

static int tap_open(struct port *port, const char *spec, struct error *err)
{
	struct tap_config config = {0};
	int fd = -1, status = options_parse(&table, spec, &config, err);
	if (!status)
		status = netif_tap(config.name, &config.mac, (int)config.mtu, &fd, err);
	if (status)
		return status;
	struct tap *tap = calloc(1, sizeof(*tap));
	if (!tap) {
		close(fd);
		return error_set(err, ENOMEM, "out of memory");
	}
	tap->fd = fd;
	tap->socket = netif_socket();
	strcpy(tap->name, config.name); // checked by netif_tap()
	port->driver = tap;
	return 0;
}

static void tap_close(struct port *port)
{
	struct tap *tap = port->driver;
	frames_give(port->memory, tap->spare, tap->spare_count);
	close(tap->fd);
	if (tap->socket >= 0)
		close(tap->socket);
	free(tap);
}

static bool refill(struct port *port, struct tap *tap, uint32_t max)
{
	if (!tap->spare_count)
		tap->spare_count = frames_take(port->memory, tap->spare, max);
	return tap->spare_count;
}

static uint32_t tap_receive(struct port *port, struct packet *packets, uint32_t max)
{
	struct tap *tap = port->driver;
	uint32_t n = 0;
	while (n < max && !tap->gone && refill(port, tap, max - n)) {
		struct packet *packet = &tap->spare[tap->spare_count - 1];
		ssize_t size = read(tap->fd, packet_data(port->base, packet), PACKET_MAX + 1);
		if (size < 0) {
			tap->gone = errno == EBADFD;
			break;
		}
		if (size > (ssize_t)PACKET_MAX || size < (ssize_t)ETHERNET_MIN) {
			count(size < (ssize_t)ETHERNET_MIN ? &port->stats.rx_runt
			                                   : &port->stats.rx_oversize,
			        1);
			continue;
		}
		packets[n] = *packet;
		packets[n].end = (uint16_t)(packet->data + size);
		packets[n++].port = port->number;
		tap->spare_count--;
	}
	uint64_t now_ns = n ? clock_ns() : 0;
	for (uint32_t i = 0; i < n; i++)
		packets[i].arrival_ns = now_ns;
	count(&port->stats.rx_packets, n);
	count(&port->stats.rx_bytes, bytes_of(packets, n));
	return n;
}

static uint32_t tap_transmit(struct port *port, const struct packet *packets, uint32_t n)
{
	struct tap *tap = port->driver;
	uint32_t done = 0;
	for (; done < n; done++) {
		uint32_t size = packet_size(&packets[done]);
		ssize_t sent = -1;
		errno = EMSGSIZE;
		if (size >= ETHERNET_MIN && !tap->gone)
			sent = write(tap->fd, packet_data(port->base, &packets[done]), size);
		if (sent < 0 && errno == EAGAIN)
			break;
		count(sent < 0 ? &port->stats.tx_dropped : &port->stats.tx_packets, 1);
		count(&port->stats.tx_bytes, sent < 0 ? 0 : size);
	}
	frames_give(port->memory, packets, done);
	return done;
}

static uint32_t tap_poll_fds(struct port *port, int fds[2])
{
	const struct tap *tap = port->driver;
	fds[0] = tap->fd;
	return !tap->gone;
}

static bool tap_finished(struct port *port)
{
	return ((struct tap *)port->driver)->gone;
}

static uint32_t tap_interfaces(struct port *port, uint32_t indices[2])
{
	const struct tap *tap = port->driver;
	indices[0] = if_nametoindex(tap->name);
	return indices[0] ? 1 : 0;
}

static void tap_describe(struct port *port, char *text, uint32_t size)
{
	const struct tap *tap = port->driver;
	bool up = true, running;
	int status = netif_state(tap->socket, tap->name, &up, &running);
	snprintf(text, size, "tap %s%s", tap->name,
	        tap->gone           ? ", the interface is gone"
	        : status == -ENODEV ? ", moved to another namespace"
	        : up                ? ""
	                            : ", down");
}

const struct port_ops tap_port = {
        .kind = "tap",
        .open = tap_open,
        .close = tap_close,
        .receive = tap_receive,
        .transmit = tap_transmit,
        .poll_fds = tap_poll_fds,
        .finished = tap_finished,
        .interfaces = tap_interfaces,
        .describe = tap_describe,
};
