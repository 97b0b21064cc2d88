// SPDX-License-Identifier: Apache-2.0
// The maps of each function, for sides that compile its source with look-ups of their own. A name
// in the source leads to a map at compile time: the comparisons of map_of() and its like fold.
#pragma once

#define MAPS_wire(M)  M(raio_ports)
#define MAPS_lsl2(M)  M(raio_ports) M(stations) M(settings) M(counters)
#define MAPS_ripv4(M) M(raio_ports) M(interfaces) M(routes) M(neighbours) M(counters) M(icmp_errors)
#define MAPS_ddos(M)                                                                               \
	M(raio_ports)                                                                              \
	M(settings) M(prefixes) M(prefixes6) M(services) M(sources) M(sources6) M(counters)

#define MAPS_JOIN_(a, b) a##b
#define MAPS_JOIN(a, b)  MAPS_JOIN_(a, b)
#define MAPS(M)          MAPS_JOIN(MAPS_, FUNCTION)(M)
