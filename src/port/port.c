// SPDX-License-Identifier: Apache-2.0
// Ports by their spec, and the wrappers around what a driver does.
#include "port/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/nearest.h"
#include "port/driver.h"
#include "port/options.h"

static const struct {
	const char *kind;
	const struct port_ops *ops;
} drivers[] = {
        {"af_xdp", &af_xdp_port},
        {"tap", &tap_port},
        {"pcap", &pcap_port},
        {"gen", &gen_port},
        {"dpdk", &dpdk_port},
        {"null", &null_port},
};

static const struct port_ops *find_driver(const char *spec, struct error *err)
{
	char kind[32];
	size_t size = strcspn(spec, ":");
	snprintf(kind, sizeof(kind), "%.*s", (int)size, spec);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (size < sizeof(kind) && strcmp(kind, drivers[i].kind) == 0)
			return drivers[i].ops;
	const char *near =
	        nearest_name(kind, &drivers[0].kind, ARRAY_SIZE(drivers), sizeof(drivers[0]));
	if (near)
		error_set(err, EINVAL, "port “%.64s”: no such kind of port: did you mean “%s”?",
		        spec, near);
	else
		error_set(err, EINVAL, "port “%.64s”: no such kind of port; there are " PORT_KINDS,
		        spec);
	return NULL;
}

int port_open(
        const char *spec, const struct port_options *options, struct port **out, struct error *err)
{
	const struct port_ops *ops = find_driver(spec, err);
	if (!ops)
		return -EINVAL;
	struct port *port = calloc(1, sizeof(*port));
	if (!port || !(port->spec = strdup(spec))) {
		free(port);
		return error_set(err, ENOMEM, "port “%.64s”: out of memory", spec);
	}
	port->ops = ops;
	port->memory = options->memory;
	port->base = packet_memory_host(options->memory) - packet_memory_address(options->memory);
	port->number = options->number;
	const char *colon = strchr(spec, ':');
	int status = ops->open(port, colon ? colon + 1 : "", err);
	if (status) {
		free(port->spec);
		free(port);
		error_prefix(err, "port “%.64s”", spec);
		return status;
	}
	*out = port;
	return 0;
}

void port_close(struct port **out)
{
	struct port *port = *out;
	if (!port)
		return;
	if (port->ops->close)
		port->ops->close(port);
	frames_give(port->memory, port->waste, port->waste_count);
	free(port->spec);
	free(port);
	*out = NULL;
}

const struct port_ops *port_ops(const struct port *port)
{
	return port->ops;
}

uint8_t port_number(const struct port *port)
{
	return port->number;
}

const char *port_spec(const struct port *port)
{
	return port->spec;
}

uint32_t port_receive(struct port *port, struct packet *packets, uint32_t max)
{
	if (max > BURST_MAX)
		max = BURST_MAX;
	return port->ops->receive && max ? port->ops->receive(port, packets, max) : 0;
}

uint32_t port_transmit(struct port *port, const struct packet *packets, uint32_t n)
{
	return n ? port->ops->transmit(port, packets, n) : 0;
}

void port_waste(struct port *port, const struct packet *packet)
{
	if (port->waste_count == BURST_MAX) {
		frames_give(port->memory, port->waste, BURST_MAX);
		port->waste_count = 0;
	}
	port->waste[port->waste_count++] = *packet;
}

void port_to_host(struct port *port, const struct packet *packet)
{
	if (port->ops->to_host) {
		port->ops->to_host(port, packet);
		return;
	}
	count(&port->stats.host_dropped, 1);
	port_waste(port, packet);
}

void port_flush(struct port *port)
{
	if (port->ops->flush)
		port->ops->flush(port);
	if (port->waste_count) {
		frames_give(port->memory, port->waste, port->waste_count);
		port->waste_count = 0;
	}
}

uint32_t port_poll_fds(struct port *port, int fds[2])
{
	return port->ops->poll_fds ? port->ops->poll_fds(port, fds) : 0;
}

uint64_t port_next_ns(struct port *port)
{
	return port->ops->next_ns ? port->ops->next_ns(port) : UINT64_MAX;
}

bool port_finished(struct port *port)
{
	return port->ops->finished && port->ops->finished(port);
}

bool port_drained(struct port *port)
{
	return !port->ops->drained || port->ops->drained(port);
}

void port_stats(struct port *port, struct port_stats *stats)
{
	_Static_assert(sizeof(*stats) % sizeof(uint64_t) == 0, "counters only");
	const uint64_t *from = (const uint64_t *)&port->stats;
	for (size_t i = 0; i < sizeof(*stats) / sizeof(uint64_t); i++)
		((uint64_t *)stats)[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	if (port->ops->stats)
		port->ops->stats(port, stats); // what the driver reads elsewhere is added
}

uint32_t port_interfaces(struct port *port, uint32_t indices[2])
{
	return port->ops->interfaces ? port->ops->interfaces(port, indices) : 0;
}

void port_describe(struct port *port, char *text, uint32_t size)
{
	if (port->ops->describe)
		port->ops->describe(port, text, size);
	else
		snprintf(text, size, "%s", port->spec);
}
