// SPDX-License-Identifier: Apache-2.0
// DPDK: a queue of any device that DPDK drives, a network card bound to vfio-pci or a virtual
// device. What stands behind `dpdk:` is DPDK's own text (devargs), and goes to it as it is.
//
// A frame is a driver's as the buffer of its mbuf (dpdk_frames.h), and nobody else's as long as the
// driver has it. Packets are copied only where a driver gives what is not one frame of ours: an
// mbuf of another memory, or a packet in several pieces.
//
// DPDK has no descriptor to wait for. A port that has had nothing for a while is looked at less and
// less often, down to once in IDLE_MAX_NS.
#include <errno.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#undef NS_PER_S // DPDK has one too

#include "base/cleanup.h"
#include "base/clock.h"
#include "port/dpdk_eal.h"
#include "port/dpdk_frames.h"
#include "port/driver.h"

#define RX_SIZE     1024u // frames that wait for packets
#define TX_SIZE     512u  // frames on their way out
#define OWN_FRAMES  5120u // two rings of 2048 and their completions, at net_af_xdp
#define OWN_BUFFER  (RTE_PKTMBUF_HEADROOM + FRAME_SIZE)
#define IDLE_MAX_NS NS_PER_MS
#define SETTLE_US   10000u // how long closing waits for what is on its way out
#define NAME_SIZE   64u
_Static_assert(RX_SIZE + TX_SIZE + DPDK_CACHE * 3 / 2 <= PORT_FRAMES, "a port's frames");

// What one has to know of a driver.
struct trait {
	const char *driver;
	bool behind_mbuf; // wants its packets right behind their mbufs, so in memory of its own
	bool is_ring; // takes no frame to receive: who sent it gave it; forgets frames at closing
};

static const struct trait traits[] = {
        {"net_af_xdp", .behind_mbuf = true},
        {"net_ring", .is_ring = true},
        {NULL},
};

struct dpdk {
	uint16_t id;
	bool started;
	const struct trait *trait;
	struct rte_device *device;
	struct dpdk_frames *frames;
	struct rte_mempool *own; // where the driver wants memory of its own
	uint64_t last_ns;        // when something came last
	uint32_t tx_size;
	struct rte_mbuf *burst[BURST_MAX]; // on their way between the driver and us
	char name[NAME_SIZE], driver[NAME_SIZE];
};

// Kept out of the loop over a burst, whose counters it would push out of the registers: 1.6 of 24
// ns a packet, wire over net_null.
#define RARE __attribute__((noinline, cold))

// A packet that is not one frame of ours is copied into one.
RARE static bool adopt(struct port *port, struct rte_mbuf *mbuf, struct packet *packet)
{
	bool fits = mbuf->pkt_len <= PACKET_MAX;
	bool taken = fits && frames_take(port->memory, packet, 1);
	if (!taken)
		count(fits ? &port->stats.rx_dropped : &port->stats.rx_oversize, 1);
	for (const struct rte_mbuf *part = mbuf; taken && part; part = part->next) {
		uint8_t *to = port->base + packet->frame + packet->end;
		memcpy(to, rte_pktmbuf_mtod(part, const uint8_t *), part->data_len);
		packet->end = (uint16_t)(packet->end + part->data_len);
	}
	rte_pktmbuf_free(mbuf);
	return taken;
}

RARE static void refuse(struct port *port, const struct packet *packet)
{
	bool oversize = packet_size(packet) > PACKET_MAX;
	count(oversize ? &port->stats.rx_oversize : &port->stats.rx_runt, 1);
	port_waste(port, packet);
}

// Takes `n` mbufs over. Returns how many became packets.
static uint32_t take(struct port *port, uint32_t n, struct packet *packets)
{
	struct dpdk *dpdk = port->driver;
	const struct rte_mempool *pool = dpdk->frames->pool;
	const uint8_t *base = port->base, number = port->number;
	uint64_t now_ns = clock_ns();
	uint32_t made = 0, bytes = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = dpdk->burst[i];
		struct packet *packet = &packets[made];
		if (mbuf->pool == pool && mbuf->nb_segs == 1) {
			uint32_t data =
			        (uint32_t)((uint8_t *)mbuf->buf_addr + mbuf->data_off - base);
			uint16_t begin = data & (FRAME_SIZE - 1);
			packet->frame = data - begin;
			packet->data = packet->meta = begin;
			packet->end = (uint16_t)(begin + mbuf->data_len);
		} else if (!adopt(port, mbuf, packet)) {
			continue;
		}
		packet->port = number;
		packet->out = 0;
		packet->arrival_ns = now_ns;
		uint32_t size = packet_size(packet);
		if (size < ETHERNET_MIN || size > PACKET_MAX) {
			refuse(port, packet);
			continue;
		}
		bytes += size;
		made++;
	}
	count(&port->stats.rx_packets, made);
	count(&port->stats.rx_bytes, bytes);
	return made;
}

static uint32_t dpdk_receive(struct port *port, struct packet *packets, uint32_t max)
{
	struct dpdk *dpdk = port->driver;
	if (rte_lcore_id() == LCORE_ID_ANY)
		dpdk_join();
	// A driver that finds no frame drops its packet; where it is now, it waits.
	if (!dpdk->trait->is_ring && !dpdk_frames_has(dpdk->frames, max))
		return 0;
	uint32_t n = rte_eth_rx_burst(dpdk->id, 0, dpdk->burst, (uint16_t)max);
	if (!n)
		return 0;
	dpdk->last_ns = 0;
	return take(port, n, packets);
}

// Makes packets' frames the buffers of their mbufs, up to a packet that is too short to be sent. A
// program may have moved a packet's start in front of where buffers start. Returns how many.
static uint32_t prepare(
        const struct port *port, const struct packet *packets, uint32_t n, uint32_t *bytes)
{
	struct dpdk *dpdk = port->driver;
	const struct dpdk_frames frames = *dpdk->frames;
	uint8_t *base = port->base;
	uint32_t i;
	for (i = 0; i < n; i++) {
		const struct packet *packet = &packets[i];
		struct rte_mbuf *mbuf = dpdk_mbuf_of(&frames, packet->frame);
		uint32_t start = packet->data < DPDK_SHIFT ? 0 : DPDK_SHIFT;
		uint32_t size = packet_size(packet);
		if (size < ETHERNET_MIN)
			break;
		mbuf->buf_addr = base + packet->frame + start;
		mbuf->buf_iova = (rte_iova_t)mbuf->buf_addr;
		mbuf->data_off = (uint16_t)(packet->data - start);
		mbuf->data_len = (uint16_t)size;
		mbuf->pkt_len = size;
		// Not RTE_MBUF_F_EXTERNAL, which drivers do not keep either: freeing looks further
		// then, to find what our pool says, that the buffer stays.
		mbuf->ol_flags = 0;
		dpdk->burst[i] = mbuf;
		*bytes += size;
	}
	return i;
}

static uint32_t dpdk_transmit(struct port *port, const struct packet *packets, uint32_t n)
{
	struct dpdk *dpdk = port->driver;
	uint32_t done = 0;
	if (rte_lcore_id() == LCORE_ID_ANY)
		dpdk_join();
	while (done < n) {
		uint32_t bytes = 0, most = n - done < BURST_MAX ? n - done : BURST_MAX;
		uint32_t ready = prepare(port, packets + done, most, &bytes);
		uint32_t sent = rte_eth_tx_burst(dpdk->id, 0, dpdk->burst, (uint16_t)ready);
		if (sent < ready)
			bytes -= bytes_of(packets + done + sent, ready - sent);
		count(&port->stats.tx_packets, sent);
		count(&port->stats.tx_bytes, bytes);
		done += sent;
		if (sent < ready)
			break;
		if (ready < most) { // a runt
			count(&port->stats.tx_dropped, 1);
			port_waste(port, &packets[done++]);
		}
	}
	return done;
}

// A sixteenth of the time since something came.
static uint64_t dpdk_next_ns(struct port *port)
{
	struct dpdk *dpdk = port->driver;
	uint64_t now_ns = clock_ns();
	if (!dpdk->last_ns)
		dpdk->last_ns = now_ns;
	uint64_t wait_ns = (now_ns - dpdk->last_ns) / 16;
	return now_ns + (wait_ns < IDLE_MAX_NS ? wait_ns : IDLE_MAX_NS);
}

static void dpdk_stats(struct port *port, struct port_stats *stats)
{
	const struct dpdk *dpdk = port->driver;
	struct rte_eth_stats theirs;
	if (rte_eth_stats_get(dpdk->id, &theirs))
		return;
	stats->rx_dropped += theirs.imissed + theirs.rx_nombuf + theirs.ierrors;
	if (!dpdk->trait->behind_mbuf) // net_af_xdp counts what it left to us, too
		stats->tx_dropped += theirs.oerrors;
}

static uint32_t dpdk_interfaces(struct port *port, uint32_t indices[2])
{
	const struct dpdk *dpdk = port->driver;
	struct rte_eth_dev_info info;
	if (rte_eth_dev_info_get(dpdk->id, &info) || !info.if_index)
		return 0;
	indices[0] = info.if_index;
	return 1;
}

static void dpdk_describe(struct port *port, char *text, uint32_t size)
{
	const struct dpdk *dpdk = port->driver;
	struct rte_eth_link link = {0};
	rte_eth_link_get_nowait(dpdk->id, &link);
	snprintf(text, size, "dpdk %s, driver %s, %s%s%s", dpdk->name, dpdk->driver,
	        link.link_status ? rte_eth_link_speed_to_str(link.link_speed) : "link not up yet",
	        dpdk->own ? ", copied" : "", rte_eal_has_hugepages() ? ", huge pages" : "");
}

// What was sent leaves before the device stops, where its driver tells.
static void settle(const struct dpdk *dpdk)
{
	for (uint32_t us = 0; us < SETTLE_US; us += 100) {
		uint16_t last = (uint16_t)(dpdk->tx_size - 1);
		if (rte_eth_tx_descriptor_status(dpdk->id, 0, last) != RTE_ETH_TX_DESC_FULL)
			return;
		usleep(100);
	}
}

static void empty_ring(const struct dpdk *dpdk)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n;
	while ((n = rte_eth_rx_burst(dpdk->id, 0, mbufs, BURST_MAX)))
		rte_pktmbuf_free_bulk(mbufs, n);
}

static void stop(struct port *port)
{
	struct dpdk *dpdk = port->driver;
	if (dpdk->started) {
		settle(dpdk);
		if (dpdk->trait->is_ring)
			empty_ring(dpdk);
		rte_eth_dev_stop(dpdk->id);
	}
	if (dpdk->device) {
		size_t size = (size_t)packet_memory_frame_count(port->memory) * FRAME_SIZE;
		uint8_t *memory = packet_memory_host(port->memory);
		rte_eth_dev_close(dpdk->id);
		if (dpdk->frames && dpdk->frames->users == 1) // else others reach it by that, too
			rte_dev_dma_unmap(dpdk->device, memory, (uint64_t)memory, size);
		rte_dev_remove(dpdk->device);
	}
	rte_mempool_free(dpdk->own);
	dpdk_frames_put(&dpdk->frames);
	free(dpdk);
}

static void dpdk_close(struct port *port)
{
	if (dpdk_begin(NULL)) // it has begun before
		return;
	stop(port);
	dpdk_end();
}

// A network card can be had when it is bound to vfio-pci; those that share with the kernel's driver
// stay with it. Says what to do where that is not so.
static int check_pci(const char *name, struct error *err)
{
	static const char *const fine[] = {"vfio-pci", "mlx4_core", "mlx5_core", "mana"};
	unsigned domain = 0, bus, device, function;
	if (sscanf(name, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4 &&
	        (domain = 0, sscanf(name, "%x:%x.%x", &bus, &device, &function) != 3))
		return 0; // no PCI address
	char path[96], link[256] = "";
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%04x:%02x:%02x.%x", domain, bus, device,
	        function);
	if (access(path, F_OK))
		return error_set(err, ENODEV,
		        "no PCI device at this address: `dpdk-devbind.py --status-dev net` lists "
		        "the network cards");
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/driver");
	ssize_t size = readlink(path, link, sizeof(link) - 1);
	const char *slash = size > 0 ? strrchr(link, '/') : NULL;
	const char *driver = slash ? slash + 1 : "no driver";
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
		if (!strcmp(driver, fine[i]))
			return 0;
	return error_set(err, EBUSY,
	        "the card is bound to %s: give it to DPDK with `modprobe vfio-pci; dpdk-devbind.py "
	        "--bind=vfio-pci %s` (the host loses the interface), or use af_xdp:IFACE",
	        driver, name);
}

// Makes DPDK's device and finds its number.
static int find_device(struct dpdk *dpdk, const char *devargs, struct error *err)
{
	struct rte_dev_iterator iterator;
	uint16_t id;
	if (rte_eth_dev_get_port_by_name(dpdk->name, &id) == 0)
		return error_set(err, EBUSY,
		        "another port has the device %s: give this one a device of its own, as "
		        "net_ring0 and net_ring1",
		        dpdk->name);
	int status = check_pci(dpdk->name, err);
	if (status)
		return status;
	status = rte_dev_probe(devargs);
	if (status == -EEXIST)
		return error_set(err, EBUSY, "another port has the device %s", dpdk->name);
	if (status == -EFAULT) // as DPDK says that no driver is meant
		return error_set(err, ENODEV,
		        "DPDK has no driver for %s here: virtual devices are net_ring0, "
		        "net_pcap0,rx_pcap=FILE and so on, a network card is named by its PCI "
		        "address, and drivers come with Debian's packages librte-net-…",
		        dpdk->name);
	if (status) // -1 is no errno: the driver has said why
		return dpdk_error(err, status == -1 ? EINVAL : -status,
		        "DPDK cannot make the device of “%.96s”", devargs);
	dpdk->id = RTE_MAX_ETHPORTS;
	RTE_ETH_FOREACH_MATCHING_DEV(id, devargs, &iterator) // all of them, or it leaks
	{
		if (dpdk->id == RTE_MAX_ETHPORTS)
			dpdk->id = id;
	}
	if (dpdk->id != RTE_MAX_ETHPORTS)
		return 0;
	if (rte_eal_hotplug_remove("vdev", dpdk->name))
		rte_eal_hotplug_remove("pci", dpdk->name);
	return dpdk_error(err, ENODEV,
	        "DPDK made no network device of %s: is it one, and is its driver (a package "
	        "librte-net-…) there?",
	        dpdk->name);
}

// Memory of the driver's own, where packets stand behind their mbufs: in one piece, without the
// gaps at the ends of pages that rte_pktmbuf_pool_create() leaves and net_af_xdp forgets.
static int own_memory(struct dpdk *dpdk)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = OWN_BUFFER};
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof(name), "raio_own_%u", dpdk->id);
	dpdk->own = rte_mempool_create_empty(name, OWN_FRAMES, sizeof(struct rte_mbuf) + OWN_BUFFER,
	        0, sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (!dpdk->own)
		return -rte_errno;
	rte_pktmbuf_pool_init(dpdk->own, &private);
	int made = rte_mempool_populate_default(dpdk->own);
	if (made != (int)OWN_FRAMES)
		return made < 0 ? made : -ENOMEM;
	rte_mempool_obj_iter(dpdk->own, rte_pktmbuf_init, NULL);
	return 0;
}

// A physical card reaches the packet memory by its own page tables; virtual devices have none.
static int map_memory(const struct port *port, const struct dpdk *dpdk)
{
	size_t size = (size_t)packet_memory_frame_count(port->memory) * FRAME_SIZE;
	uint8_t *memory = packet_memory_host(port->memory);
	if (!rte_dev_dma_map(dpdk->device, memory, (uint64_t)memory, size))
		return 0;
	return rte_errno == ENOTSUP ? 0 : -rte_errno;
}

static int start_queues(struct dpdk *dpdk)
{
	const struct rte_eth_conf config = {0};
	uint16_t rx_size = RX_SIZE, tx_size = TX_SIZE;
	int status = rte_eth_dev_configure(dpdk->id, 1, 1, &config);
	if (!status)
		status = rte_eth_dev_adjust_nb_rx_tx_desc(dpdk->id, &rx_size, &tx_size);
	if (!status)
		status = rte_eth_rx_queue_setup(dpdk->id, 0, rx_size, SOCKET_ID_ANY, NULL,
		        dpdk->own ? dpdk->own : dpdk->frames->pool);
	if (!status)
		status = rte_eth_tx_queue_setup(dpdk->id, 0, tx_size, SOCKET_ID_ANY, NULL);
	if (!status)
		status = rte_eth_dev_start(dpdk->id);
	dpdk->tx_size = tx_size;
	dpdk->started = !status;
	if (!status)
		rte_eth_promiscuous_enable(dpdk->id); // a virtual one may know no other way
	return status;
}

static int start_device(struct port *port, struct error *err)
{
	struct dpdk *dpdk = port->driver;
	struct rte_eth_dev_info info;
	int status = rte_eth_dev_info_get(dpdk->id, &info);
	if (status)
		return dpdk_error(err, -status, "%s does not tell what it is", dpdk->name);
	dpdk->device = info.device;
	snprintf(dpdk->driver, sizeof(dpdk->driver), "%s", info.driver_name);
	for (dpdk->trait = traits; dpdk->trait->driver; dpdk->trait++)
		if (!strcmp(dpdk->trait->driver, dpdk->driver))
			break;
	status = dpdk_frames_get(port->memory, &dpdk->frames, err);
	if (status)
		return status;
	status = map_memory(port, dpdk);
	if (status)
		return dpdk_error(err, -status,
		        "the card cannot reach the packet memory: %s; raise the limit on locked "
		        "memory (ulimit -l), or run as root",
		        strerror(-status));
	dpdk_listen(); // what it said before has not kept it from going on
	if (dpdk->trait->behind_mbuf)
		status = own_memory(dpdk);
	if (!status)
		status = start_queues(dpdk);
	if (status)
		return dpdk_error(
		        err, status == -1 ? EIO : -status, "%s does not start", dpdk->name);
	return 0;
}

static int dpdk_open(struct port *port, const char *spec, struct error *err)
{
	size_t size = strcspn(spec, ",");
	if (!size || size >= NAME_SIZE)
		return error_set(err, EINVAL,
		        "a device of DPDK is missing: as in dpdk:net_ring0, "
		        "dpdk:net_pcap0,rx_pcap=in.pcap or dpdk:0000:03:00.0");
	struct dpdk *dpdk = calloc(1, sizeof(*dpdk));
	if (!dpdk)
		return error_set(err, ENOMEM, "out of memory");
	port->driver = dpdk;
	memcpy(dpdk->name, spec, size);
	int status = dpdk_begin(err);
	if (status) {
		free(dpdk);
		return status;
	}
	status = find_device(dpdk, spec, err);
	if (!status)
		status = start_device(port, err);
	if (status)
		stop(port);
	dpdk_end();
	return status;
}

const struct port_ops dpdk_port = {
        .kind = "dpdk",
        .open = dpdk_open,
        .close = dpdk_close,
        .receive = dpdk_receive,
        .transmit = dpdk_transmit,
        .next_ns = dpdk_next_ns,
        .stats = dpdk_stats,
        .interfaces = dpdk_interfaces,
        .describe = dpdk_describe,
};
