// SPDX-License-Identifier: Apache-2.0
// Fuzzes the object reader: ELF, BTF, .BTF.ext and CO-RE. The input's second half is also the
// kernel's BTF in every other run. An image that comes out must survive its own encoding.
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/error.h"
#include "ebpf/check.h"
#include "ebpf/image.h"
#include "ebpf/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;
	struct image *image = NULL, *again = NULL;
	struct buffer encoded = {0};
	const uint8_t *kernel = size & 1 ? data + size / 2 : NULL;
	if (object_read(data, size, NULL, kernel, size - size / 2, &image, &err) &&
	        object_read(data, size, NULL, NULL, 0, &image, &err))
		return 0;
	check_image(image, &err);
	image_encode(image, &encoded);
	if (image_decode(encoded.data, encoded.size, &again, &err))
		abort();
	image_free(&image);
	image_free(&again);
	buffer_free(&encoded);
	return 0;
}
