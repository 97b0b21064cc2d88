// SPDX-License-Identifier: Apache-2.0
// Captures in pcapng from a stranger: an error or packets within bounds, never a crash.
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "cli/capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capture capture = {0};
	struct error err = {0};
	if (capture_parse(data, size, &capture, &err) == 0)
		for (size_t i = 0; i < capture.count; i++)
			if (capture.packets[i].port > 63 || capture.packets[i].size > size)
				abort();
	capture_free(&capture);
	return 0;
}
