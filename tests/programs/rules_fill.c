// SPDX-License-Identifier: Apache-2.0
#include "rules_fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/rules.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/image.h"
#include "engine/generation.h"
#include "kernel.h"
#include "map/map.h"

void rules_fill(const char *path, struct generation *generation, struct kernel *kernel)
{
	const char *source = getenv("RAIO_SOURCE_DIR"), *name = strrchr(path, '/') + 1;
	const struct image *image = generation_image(generation);
	autofree uint8_t *text = NULL;
	cleanup(rules_free) struct rules *rules = NULL;
	char file[4096];
	size_t size;
	struct error err = {0};
	snprintf(file, sizeof(file), "%s/tests/programs/%.*s.rules", source ? source : ".",
	        (int)strcspn(name, "."), name);
	if (file_read(file, RULES_BYTES_MAX, &text, &size, NULL))
		return;
	if (rules_parse((char *)text, size, image, &rules, &err))
		fail_msg("%s: %s", file, err.text);
	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];
		const struct image_map *shape = &image->maps[rule->map];
		struct map *map = generation_map(generation, rule->map);
		assert_int_equal(map_write(map, rule->key, rule->value, BPF_ANY), 0);
		if (kernel)
			kernel_write(kernel, shape->name, rule->key, shape->key_size, rule->value,
			        shape->value_size);
	}
}
