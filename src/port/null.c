// SPDX-License-Identifier: Apache-2.0
// The port that is not connected: receives nothing, swallows all.
#include <stdio.h>

#include "port/driver.h"
#include "port/options.h"

static int null_open(struct port *port, const char *spec, struct error *err)
{
	(void)port;
	static const struct option_table table = {.kind = "null", .example = "null"};
	return options_parse(&table, spec, NULL, err);
}

static uint32_t null_transmit(struct port *port, const struct packet *packets, uint32_t n)
{
	count(&port->stats.tx_packets, n);
	count(&port->stats.tx_bytes, bytes_of(packets, n));
	frames_give(port->memory, packets, n);
	return n;
}

static bool null_finished(struct port *port)
{
	(void)port;
	return true;
}

const struct port_ops null_port = {
        .kind = "null",
        .open = null_open,
        .transmit = null_transmit,
        .finished = null_finished,
};
