// SPDX-License-Identifier: Apache-2.0
// AF_XDP: packets of one queue of a kernel interface, without the kernel's stack. libxdp makes the
// socket and its rings; the XDP program is ours (redirect.h).
//
// Each port registers the card's whole packet memory as its umem. So a frame that came by one port
// leaves by another by its address alone, and ports open and close in any order. Chunks are frames;
// the kernel puts a packet XDP_PACKET_HEADROOM behind the start of its chunk, which is
// FRAME_HEADROOM.
//
// A frame is in exactly one place: free in the packet memory, with the caller, in `spare`, or
// `held`, which is to say in a ring or inside the kernel. close() deletes the socket and gives back
// what was held. At most FILL_MAX + TX_MAX are held, which with `spare` stays within PORT_FRAMES.
//
// XDP_PASS goes to the host by a tap (raioN, or as host= says) that has the interface's MAC
// address: put the addresses that the host had on the interface on the tap. What the host sends
// there leaves by the port.
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "port/driver.h"
#include "port/netif.h"
#include "port/options.h"
#include "port/redirect.h"

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

#define RING_SIZE    2048u
#define FILL_MAX     1408u // frames that wait for packets
#define TX_MAX       512u  // frames on their way out
#define SPARE_MAX    128u
#define KICKS_MAX    32u // system calls that one flush spends on sending, at most
#define BUSY_TRIES   50
#define BUSY_WAIT_US 20000
#define HOST_BURST   16u // packets of the host that one flush sends, at most
#define HOST_EVERY   32u // flushes between two looks at a host that may have nothing
_Static_assert(FILL_MAX + TX_MAX + SPARE_MAX <= PORT_FRAMES, "a port holds PORT_FRAMES at most");
_Static_assert(FRAME_HEADROOM == 256, "where the kernel puts a packet in its chunk");

struct af_xdp_config {
	char name[OPTION_TEXT_MAX], host[OPTION_TEXT_MAX];
	uint64_t queue, generic;
};

struct af_xdp {
	struct xsk_ring_cons rx, completed;
	struct xsk_ring_prod tx, fill;
	bool *held;     // by frame
	uint32_t first; // card address of the packet memory
	uint32_t waiting, sending, spare_count, loops;
	uint32_t spare[SPARE_MAX]; // offsets of frames
	bool gone, zero_copy, generic;
	int fd, host_fd, socket;
	uint32_t queue;
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	struct redirect redirect;
	char name[IFNAMSIZ], host[IFNAMSIZ];
};

static int parse_mode(const char *value, void *member)
{
	bool generic = strcmp(value, "generic") == 0;
	if (!generic && strcmp(value, "native") != 0)
		return -EINVAL;
	*(uint64_t *)member = generic;
	return 0;
}

#define AT(member) offsetof(struct af_xdp_config, member)
static const struct option options[] = {
        {"interface", OPTION_TEXT, AT(name), .help = "the name of an interface"},
        {"queue", OPTION_NUMBER, AT(queue), .min = 0, .max = 4095, .help = "the number of a queue"},
        {"mode", OPTION_CUSTOM, AT(generic), .parse = parse_mode, .help = "“native” or “generic”"},
        {"host", OPTION_TEXT, AT(host), .help = "the name of an interface, or “none”"},
};

static const struct option_table table = {
        .kind = "af_xdp",
        .example = "af_xdp:eth1,queue=0,host=none",
        .options = options,
        .count = ARRAY_SIZE(options),
        .positional = 1,
};

static void give_spare(struct port *port, uint32_t left)
{
	struct af_xdp *xdp = port->driver;
	struct packet packets[SPARE_MAX];
	uint32_t n = 0;
	while (xdp->spare_count > left)
		packets[n++].frame = xdp->first + xdp->spare[--xdp->spare_count];
	frames_give(port->memory, packets, n);
}

static void put_spare(struct port *port, uint32_t offset)
{
	struct af_xdp *xdp = port->driver;
	if (xdp->spare_count == SPARE_MAX)
		give_spare(port, SPARE_MAX / 2);
	xdp->spare[xdp->spare_count++] = offset & ~(FRAME_SIZE - 1);
}

static bool take_spare(struct port *port, uint32_t wanted)
{
	struct af_xdp *xdp = port->driver;
	struct packet packets[BURST_MAX];
	if (xdp->spare_count >= wanted)
		return true;
	uint32_t n = frames_take(port->memory, packets, BURST_MAX);
	for (uint32_t i = 0; i < n; i++)
		xdp->spare[xdp->spare_count++] = packets[i].frame - xdp->first;
	return xdp->spare_count >= wanted;
}

static void hold(struct af_xdp *xdp, uint32_t offset)
{
	xdp->held[offset / FRAME_SIZE] = true;
}

static void release(struct af_xdp *xdp, uint32_t offset)
{
	xdp->held[offset / FRAME_SIZE] = false;
}

// Keeps FILL_MAX frames waiting for packets, in steps of a burst.
static void refill(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	while (xdp->waiting + BURST_MAX <= FILL_MAX) {
		uint32_t at, n = BURST_MAX;
		if (!take_spare(port, n))
			n = xdp->spare_count;
		if (!n || xsk_ring_prod__reserve(&xdp->fill, n, &at) != n)
			return;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t offset = xdp->spare[--xdp->spare_count];
			hold(xdp, offset);
			*xsk_ring_prod__fill_addr(&xdp->fill, at + i) = offset;
		}
		xsk_ring_prod__submit(&xdp->fill, n);
		xdp->waiting += n;
	}
}

// Takes back the frames that the kernel has sent.
static void reap(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	uint32_t at, n = xdp->sending ? xsk_ring_cons__peek(&xdp->completed, RING_SIZE, &at) : 0;
	if (!n)
		return;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t offset = (uint32_t)*xsk_ring_cons__comp_addr(&xdp->completed, at + i);
		release(xdp, offset);
		put_spare(port, offset);
	}
	xsk_ring_cons__release(&xdp->completed, n);
	xdp->sending -= n;
}

// The kernel tells a socket once that its interface was removed, or left the namespace.
static void notice(struct af_xdp *xdp)
{
	int error = 0;
	socklen_t size = sizeof(error);
	if (!xdp->gone && getsockopt(xdp->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error)
		xdp->gone = true;
}

static void kick(struct af_xdp *xdp)
{
	for (uint32_t i = 0; i < KICKS_MAX && xdp->sending; i++) {
		if (xdp->zero_copy && !xsk_ring_prod__needs_wakeup(&xdp->tx))
			return;
		if (sendto(xdp->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return;
		if (errno == ENXIO)
			xdp->gone = true;
		if (errno != EAGAIN)
			return; // EBUSY, ENOBUFS: at the next flush; ENETDOWN: when it is up again
	}
}

// The kernel has written the packet on a CPU that may be another one. Its lines come over while the
// rest of the burst is looked at: whoever reads it first, the program or the kernel that copies it
// when it is sent, waited for each packet else.
static void fetch(const uint8_t *data, uint32_t size)
{
	__builtin_prefetch(data);
	if (size > 64)
		__builtin_prefetch(data + 64);
}

static uint32_t af_xdp_receive(struct port *port, struct packet *packets, uint32_t max)
{
	struct af_xdp *xdp = port->driver;
	uint32_t at, made = 0, bytes = 0, n = xsk_ring_cons__peek(&xdp->rx, max, &at);
	if (!n)
		return 0;
	const uint8_t *memory = port->base + xdp->first;
	for (uint32_t i = 0; i < n; i += 64 / sizeof(struct xdp_desc))
		__builtin_prefetch(xsk_ring_cons__rx_desc(&xdp->rx, at + i));
	uint64_t now_ns = clock_ns();
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&xdp->rx, at + i);
		uint32_t offset = (uint32_t)desc->addr, size = desc->len;
		uint32_t begin = offset & (FRAME_SIZE - 1);
		fetch(memory + offset, size);
		release(xdp, offset);
		if (size > PACKET_MAX || size < ETHERNET_MIN) {
			count(size > PACKET_MAX ? &port->stats.rx_oversize : &port->stats.rx_runt,
			        1);
			put_spare(port, offset);
			continue;
		}
		packets[made++] = (struct packet){
		        .frame = xdp->first + offset - begin,
		        .data = (uint16_t)begin,
		        .end = (uint16_t)(begin + size),
		        .meta = (uint16_t)begin,
		        .port = port->number,
		        .arrival_ns = now_ns,
		};
		bytes += size;
	}
	xsk_ring_cons__release(&xdp->rx, n);
	xdp->waiting -= n;
	count(&port->stats.rx_packets, made);
	count(&port->stats.rx_bytes, bytes);
	return made;
}

static uint32_t room_to_send(struct af_xdp *xdp, uint32_t n)
{
	uint32_t room = TX_MAX - xdp->sending;
	return xdp->gone ? 0 : n < room ? n : room;
}

// Place `at` of the transmit ring was reserved, which cannot fail: TX_MAX is below the ring's size.
static void put_tx(struct af_xdp *xdp, uint32_t at, uint32_t offset, uint32_t size)
{
	*xsk_ring_prod__tx_desc(&xdp->tx, at) = (struct xdp_desc){.addr = offset, .len = size};
	hold(xdp, offset);
}

static uint32_t af_xdp_transmit(struct port *port, const struct packet *packets, uint32_t n)
{
	struct af_xdp *xdp = port->driver;
	uint32_t at = 0, sent = 0, bytes = 0;
	if (room_to_send(xdp, n) < n) {
		kick(xdp);
		reap(port);
	}
	n = room_to_send(xdp, n);
	xsk_ring_prod__reserve(&xdp->tx, n, &at);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t offset = packets[i].frame - xdp->first, size = packet_size(&packets[i]);
		if (size < ETHERNET_MIN) {
			count(&port->stats.tx_dropped, 1);
			put_spare(port, offset);
			continue;
		}
		put_tx(xdp, at + sent++, offset + packets[i].data, size);
		bytes += size;
	}
	xdp->tx.cached_prod -= n - sent; // places of runts
	xsk_ring_prod__submit(&xdp->tx, sent);
	xdp->sending += sent;
	count(&port->stats.tx_packets, sent);
	count(&port->stats.tx_bytes, bytes);
	return n;
}

static void af_xdp_to_host(struct port *port, const struct packet *packet)
{
	struct af_xdp *xdp = port->driver;
	bool done = xdp->host_fd >= 0 &&
	            write(xdp->host_fd, packet_data(port->base, packet), packet_size(packet)) > 0;
	count(done ? &port->stats.host_packets : &port->stats.host_dropped, 1);
	put_spare(port, packet->frame - xdp->first);
}

// Sends what the host put into its tap.
static void send_from_host(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	uint32_t at = 0, n = 0;
	for (; n < HOST_BURST && room_to_send(xdp, 1) && take_spare(port, 1); n++) {
		uint32_t offset = xdp->spare[xdp->spare_count - 1];
		uint8_t *data = port->base + xdp->first + offset + FRAME_HEADROOM;
		ssize_t size = read(xdp->host_fd, data, PACKET_MAX);
		if (size < (ssize_t)ETHERNET_MIN)
			break;
		xdp->spare_count--;
		xsk_ring_prod__reserve(&xdp->tx, 1, &at);
		put_tx(xdp, at, offset + FRAME_HEADROOM, (uint32_t)size);
		xdp->sending++;
	}
	xsk_ring_prod__submit(&xdp->tx, n);
	count(&port->stats.host_sent, n);
}

static void af_xdp_flush(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	if (xdp->host_fd >= 0 && !xdp->gone && ++xdp->loops >= HOST_EVERY) {
		xdp->loops = 0;
		send_from_host(port);
	}
	if (xdp->sending) {
		kick(xdp);
		reap(port);
	}
	refill(port);
}

static uint32_t af_xdp_poll_fds(struct port *port, int fds[2])
{
	struct af_xdp *xdp = port->driver;
	notice(xdp);
	if (xdp->gone)
		return 0;
	if (xsk_ring_prod__needs_wakeup(&xdp->fill))
		recvfrom(xdp->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	xdp->loops = HOST_EVERY; // the next flush looks at the host: it may be what wakes us
	fds[0] = xdp->fd;
	fds[1] = xdp->host_fd;
	return xdp->host_fd >= 0 ? 2 : 1;
}

static bool af_xdp_finished(struct port *port)
{
	return ((struct af_xdp *)port->driver)->gone;
}

static bool af_xdp_drained(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	bool up = true, running;
	kick(xdp);
	reap(port);
	if (!xdp->sending || xdp->gone)
		return true;
	netif_state(xdp->socket, xdp->name, &up, &running);
	return !up; // nothing moves until somebody brings the interface up
}

static void af_xdp_stats(struct port *port, struct port_stats *stats)
{
	const struct af_xdp *xdp = port->driver;
	struct xdp_statistics kernel = {0};
	socklen_t size = sizeof(kernel);
	if (getsockopt(xdp->fd, SOL_XDP, XDP_STATISTICS, &kernel, &size) < 0)
		return;
	stats->rx_dropped += kernel.rx_dropped + kernel.rx_ring_full;
	stats->tx_dropped += kernel.tx_invalid_descs;
}

static void af_xdp_describe(struct port *port, char *text, uint32_t size)
{
	struct af_xdp *xdp = port->driver;
	bool up = true, running = true;
	char queue[32];
	netif_state(xdp->socket, xdp->name, &up, &running);
	uint32_t queues = netif_queues(xdp->socket, xdp->name);
	snprintf(queue, sizeof(queue), queues > 1 ? "%u of %u" : "%u", xdp->queue, queues);
	snprintf(text, size, "af_xdp %s queue %s, %s, %s, host %s%s", xdp->name, queue,
	        xdp->generic ? "generic" : "native", xdp->zero_copy ? "zero-copy" : "copy mode",
	        *xdp->host ? xdp->host : "none",
	        xdp->gone  ? "; the interface is gone"
	        : !up      ? "; down"
	        : !running ? "; no carrier"
	                   : "");
}

// The interface, and the tap to which its addresses have moved.
static uint32_t af_xdp_interfaces(struct port *port, uint32_t indices[2])
{
	const struct af_xdp *xdp = port->driver;
	indices[0] = if_nametoindex(xdp->name);
	indices[1] = xdp->host_fd >= 0 ? if_nametoindex(xdp->host) : 0;
	return indices[1] ? 2 : indices[0] ? 1 : 0;
}

static void give_held(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	uint32_t frames = packet_memory_frame_count(port->memory);
	for (uint32_t frame = 0; xdp->held && frame < frames; frame++)
		if (xdp->held[frame])
			put_spare(port, frame * FRAME_SIZE);
	give_spare(port, 0);
}

static void af_xdp_close(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	redirect_detach(&xdp->redirect);
	if (xdp->xsk)
		xsk_socket__delete(xdp->xsk);
	if (xdp->umem)
		xsk_umem__delete(xdp->umem);
	give_held(port);
	if (xdp->host_fd >= 0)
		close(xdp->host_fd);
	if (xdp->socket >= 0)
		close(xdp->socket);
	free(xdp->held);
	free(xdp);
}

static int explain_socket(int status, const struct af_xdp *xdp, struct error *err)
{
	const char *why = strerror(-status);
	switch (-status) {
	case EPERM:
		return error_set(err, EPERM,
		        "cannot open an AF_XDP socket: this needs the capability CAP_NET_RAW (run "
		        "as root, or "
		        "use gen or pcap ports)");
	case EAFNOSUPPORT:
		return error_set(err, EAFNOSUPPORT,
		        "this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS)");
	case ENOBUFS:
	case ENOMEM:
		return error_set(err, -status,
		        "no memory to share with the kernel: raise the limit on locked memory "
		        "(ulimit -l), or "
		        "give CAP_IPC_LOCK");
	case EBUSY:
		return error_set(err, EBUSY, "queue %u of %s has another AF_XDP socket", xdp->queue,
		        xdp->name);
	}
	return error_set(err, -status, "cannot bind an AF_XDP socket to queue %u of %s: %s",
	        xdp->queue, xdp->name, why);
}

static int create_socket(struct port *port)
{
	struct af_xdp *xdp = port->driver;
	const struct xsk_umem_config umem = {
	        .fill_size = RING_SIZE,
	        .comp_size = RING_SIZE,
	        .frame_size = FRAME_SIZE,
	};
	// In native mode the kernel tries zero-copy first, and copies where the driver cannot.
	const struct xsk_socket_config config = {
	        .rx_size = RING_SIZE,
	        .tx_size = RING_SIZE,
	        .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
	        .bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (xdp->generic ? XDP_COPY : 0)),
	};
	uint64_t size = (uint64_t)packet_memory_frame_count(port->memory) * FRAME_SIZE;
	int status = xsk_umem__create(&xdp->umem, packet_memory_host(port->memory), size,
	        &xdp->fill, &xdp->completed, &umem);
	if (status) {
		xdp->umem = NULL;
		return status;
	}
	status = xsk_socket__create(
	        &xdp->xsk, xdp->name, xdp->queue, xdp->umem, &xdp->rx, &xdp->tx, &config);
	if (status) {
		xdp->xsk = NULL;
		xsk_umem__delete(xdp->umem);
		xdp->umem = NULL;
	}
	return status;
}

static int open_socket(struct port *port, struct error *err)
{
	struct af_xdp *xdp = port->driver;
	int status = create_socket(port);
	// The kernel frees a queue some time after its socket, or the process that had it, is gone.
	for (int i = 0; status == -EBUSY && i < BUSY_TRIES; i++) {
		usleep(BUSY_WAIT_US);
		status = create_socket(port);
	}
	if (status)
		return explain_socket(status, xdp, err);
	xdp->fd = xsk_socket__fd(xdp->xsk);
	struct xdp_options answer = {0};
	socklen_t length = sizeof(answer);
	if (getsockopt(xdp->fd, SOL_XDP, XDP_OPTIONS, &answer, &length) == 0)
		xdp->zero_copy = answer.flags & XDP_OPTIONS_ZEROCOPY;
	// Packets that one system call sends in copy mode; kernels before 6.17 stay at 32.
	setsockopt(xdp->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &(uint32_t){TX_MAX}, sizeof(uint32_t));
	return 0;
}

// Makes the tap by which the host has this port.
static int open_host(struct port *port, const char *host, struct error *err)
{
	struct af_xdp *xdp = port->driver;
	struct option_mac mac = {0};
	int mtu = 0;
	if (strcmp(host, "none") == 0)
		return 0;
	if (*host)
		snprintf(xdp->host, sizeof(xdp->host), "%.15s", host);
	else
		snprintf(xdp->host, sizeof(xdp->host), "raio%u", port->number);
	netif_mac(xdp->socket, xdp->name, &mac);
	netif_mtu(xdp->socket, xdp->name, &mtu);
	int status = netif_tap(
	        strlen(host) < IFNAMSIZ ? xdp->host : host, &mac, mtu, &xdp->host_fd, err);
	return status ? error_prefix(err, "the host's side (host=NAME, host=none)") : 0;
}

static int check_interface(struct af_xdp *xdp, const struct af_xdp_config *config,
        uint32_t *ifindex, struct error *err)
{
	int status = netif_check_name(config->name, err);
	if (status)
		return status;
	strcpy(xdp->name, config->name);
	xdp->queue = (uint32_t)config->queue;
	xdp->generic = config->generic;
	*ifindex = if_nametoindex(xdp->name);
	if (!*ifindex)
		return error_set(err, ENODEV,
		        "no interface %s here: `ip link` lists those there are", xdp->name);
	uint32_t queues = netif_queues(xdp->socket, xdp->name);
	if (xdp->queue >= queues)
		return error_set(err, EINVAL, "%s has no queue %u; it has %u, numbered from 0",
		        xdp->name, xdp->queue, queues);
	return 0;
}

static int af_xdp_open(struct port *port, const char *spec, struct error *err)
{
	struct af_xdp_config config = {0};
	uint32_t ifindex = 0, frames = packet_memory_frame_count(port->memory);
	int status = options_parse(&table, spec, &config, err);
	if (status)
		return status;
	struct af_xdp *xdp = calloc(1, sizeof(*xdp));
	if (!xdp)
		return error_set(err, ENOMEM, "out of memory");
	port->driver = xdp;
	xdp->fd = xdp->host_fd = -1;
	xdp->redirect = (struct redirect){-1, -1, -1};
	xdp->first = packet_memory_address(port->memory);
	xdp->socket = netif_socket();
	xdp->held = calloc(frames, sizeof(*xdp->held));
	if (!xdp->held || xdp->socket < 0)
		status = error_set(err, ENOMEM, "out of memory or descriptors");
	if (!status)
		status = check_interface(xdp, &config, &ifindex, err);
	if (!status)
		status = open_socket(port, err);
	if (!status)
		status = open_host(port, config.host, err);
	if (!status) {
		refill(port);
		status = redirect_attach(
		        &xdp->redirect, xdp->name, ifindex, xdp->queue, xdp->fd, xdp->generic, err);
	}
	if (status)
		af_xdp_close(port);
	return status;
}

const struct port_ops af_xdp_port = {
        .kind = "af_xdp",
        .open = af_xdp_open,
        .close = af_xdp_close,
        .receive = af_xdp_receive,
        .transmit = af_xdp_transmit,
        .to_host = af_xdp_to_host,
        .flush = af_xdp_flush,
        .poll_fds = af_xdp_poll_fds,
        .finished = af_xdp_finished,
        .drained = af_xdp_drained,
        .stats = af_xdp_stats,
        .interfaces = af_xdp_interfaces,
        .describe = af_xdp_describe,
};
