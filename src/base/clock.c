// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <stdio.h>

const char *clock_rfc3339(uint64_t wall_ns, char text[CLOCK_TEXT_SIZE])
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	size_t used = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + used, CLOCK_TEXT_SIZE - used, ".%03uZ",
	        (unsigned)(wall_ns / NS_PER_MS % 1000));
	return text;
}
