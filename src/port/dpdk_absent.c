// SPDX-License-Identifier: Apache-2.0
// DPDK ports where Raio was built without DPDK: the kind is known, and says what is missing.
#include <errno.h>

#include "port/driver.h"

static int absent_open(struct port *port, const char *spec, struct error *err)
{
	(void)port;
	(void)spec;
	return error_set(err, ENOTSUP,
	        "this Raio was built without DPDK: `apt-get install libdpdk-dev`, then `meson "
	        "setup --reconfigure build` and build again");
}

const struct port_ops dpdk_port = {.kind = "dpdk", .open = absent_open};
