// SPDX-License-Identifier: Apache-2.0
#include "kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ebpf/image.h"
#include "ebpf/maptype.h"
#include "engine/generation.h"
#include "map/map.h"

struct kernel {
	struct bpf_object *object;
	int entry; // descriptor of the program that packets enter
};

// The first complaint of libbpf about an object; of a verifier's log, its last lines.
static char said[1 << 16];

static int listen(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN || *said)
		return 0;
	vsnprintf(said, sizeof(said), format, args);
	if (strstr(said, ": BPF program load failed"))
		*said = 0;
	return 0;
}

// `said`, cut to what explains; always with a newline behind it.
static const char *explanation(void)
{
	char *end = strstr(said, "\nprocessed ");
	if (end)
		*end = 0;
	size_t size = strlen(said);
	while (size && said[size - 1] == '\n')
		said[--size] = 0;
	const char *line = strrchr(said, '\n');
	return line ? line + 1 : said;
}

static const struct image_program *program_of(const struct image *image, const char *name)
{
	for (uint32_t i = 0; i < image->program_count; i++)
		if (strcmp(image->programs[i].name, name) == 0)
			return &image->programs[i];
	return NULL;
}

int kernel_new(const char *path, const struct image *image, struct kernel **kernel)
{
	libbpf_set_print(listen);
	said[0] = 0;
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program, *entry = NULL;
	struct bpf_map *map;
	if (!object) {
		printf("%s\n  libbpf does not open it: %s\n", path,
		        *said ? explanation() : strerror(errno));
		return -1;
	}
	// Nothing is kept behind the test, nor found from another.
	bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, NULL);
	bpf_object__for_each_program(program, object)
	{
		const struct image_program *ours = program_of(image, bpf_program__name(program));
		bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
		bpf_program__set_autoload(program, ours != NULL);
		if (ours == &image->programs[image->entry])
			entry = program;
	}
	if (!entry || bpf_object__load(object)) {
		int code = errno;
		if (code != EPERM)
			printf("%s\n  the kernel refuses it: %s; %s\n", path, strerror(code),
			        explanation());
		bpf_object__close(object);
		return -1;
	}
	*kernel = calloc(1, sizeof(**kernel));
	assert_non_null(*kernel);
	(*kernel)->object = object;
	(*kernel)->entry = bpf_program__fd(entry);
	return 0;
}

void kernel_free(struct kernel **kernel)
{
	if (*kernel)
		bpf_object__close((*kernel)->object);
	free(*kernel);
	*kernel = NULL;
}

void kernel_write(struct kernel *kernel, const char *name, const void *key, size_t key_size,
        const void *value, size_t value_size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(kernel->object, name);
	assert_non_null(map);
	assert_int_equal(bpf_map__update_elem(map, key, key_size, value, value_size, BPF_ANY), 0);
}

void kernel_tail(struct kernel *kernel, const char *name, uint32_t key, const char *program)
{
	struct bpf_map *map = bpf_object__find_map_by_name(kernel->object, name);
	struct bpf_program *target = bpf_object__find_program_by_name(kernel->object, program);
	assert_true(map && target);
	int fd = bpf_program__fd(target);
	assert_int_equal(bpf_map__update_elem(map, &key, sizeof(key), &fd, sizeof(fd), BPF_ANY), 0);
}

int kernel_run(struct kernel *kernel, const void *data, uint32_t size, uint32_t *result, void *out,
        uint32_t *out_size)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data, .data_size_in = size,
	        .data_out = out, .data_size_out = *out_size, .repeat = 1);
	int r = bpf_prog_test_run_opts(kernel->entry, &options);
	*result = options.retval;
	*out_size = options.data_size_out;
	return r;
}

// Whether two values agree but for the fields that may differ.
static bool values_agree(const struct image_map *shape, uint8_t *ours, uint8_t *theirs)
{
	for (uint32_t i = 0; i < shape->value.field_count; i++) {
		const struct image_field *field = &shape->value.fields[i];
		if (strncmp(field->name, "varies", 6) != 0)
			continue;
		memset(ours + field->bit_offset / 8, 0, field->bits / 8 * field->count);
		memset(theirs + field->bit_offset / 8, 0, field->bits / 8 * field->count);
	}
	if (memcmp(ours, theirs, shape->value_size) == 0)
		return true;
	uint32_t at = 0;
	while (ours[at] == theirs[at])
		at++;
	printf("  map %s: byte %u of a value is %#x, kernel %#x\n", shape->name, at, ours[at],
	        theirs[at]);
	return false;
}

static uint32_t kernel_count(int fd, const struct image_map *shape)
{
	uint8_t key[MAP_KEY_MAX], next[MAP_KEY_MAX];
	uint32_t count = 0;
	for (void *from = NULL; bpf_map_get_next_key(fd, from, next) == 0; count++) {
		memcpy(key, next, shape->key_size);
		from = key;
	}
	return count;
}

static bool table_agrees(int fd, const struct image_map *shape, struct map *map)
{
	uint8_t key[MAP_KEY_MAX], next[MAP_KEY_MAX];
	size_t copies =
	        map_type_find(shape->type)->is_per_cpu ? (size_t)libbpf_num_possible_cpus() : 1;
	autofree uint8_t *ours = calloc(1, map_io_size(map)),
	                 *theirs = calloc(copies, shape->value_size + 8);
	uint32_t count = 0;
	assert_true(ours && theirs);
	for (void *from = NULL; map_next_key(map, from, next) == 0; from = key, count++) {
		memcpy(key, next, shape->key_size);
		assert_int_equal(map_read(map, key, ours, 0), 0);
		if (bpf_map_lookup_elem(fd, key, theirs)) {
			printf("  map %s: the kernel has no such key\n", shape->name);
			return false;
		}
		if (!values_agree(shape, ours, theirs))
			return false;
	}
	uint32_t there = kernel_count(fd, shape);
	if (count != there)
		printf("  map %s: %u entries, kernel %u\n", shape->name, count, there);
	return count == there;
}

struct records {
	uint32_t count, size;
	uint8_t data[1 << 18];
};

static void record_add(struct records *records, const void *data, uint32_t size)
{
	assert_true(records->size + size + sizeof(size) <= sizeof(records->data));
	memcpy(records->data + records->size, &size, sizeof(size));
	memcpy(records->data + records->size + sizeof(size), data, size);
	records->size += size + (uint32_t)sizeof(size);
	records->count++;
}

static int record_take(void *context, void *data, size_t size)
{
	record_add(context, data, (uint32_t)size);
	return 0;
}

static bool ring_agrees(int fd, const struct image_map *shape, struct map *map)
{
	static struct records ours, theirs;
	static uint8_t record[1 << 16];
	struct ring_buffer *ring = ring_buffer__new(fd, record_take, &theirs, NULL);
	assert_non_null(ring);
	ours.count = ours.size = theirs.count = theirs.size = 0;
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	for (uint32_t size; (size = map_consume(map, record, sizeof(record)));)
		record_add(&ours, record, size);
	if (ours.size == theirs.size && memcmp(ours.data, theirs.data, ours.size) == 0)
		return true;
	printf("  ring %s: %u records of %u bytes, kernel %u of %u, or their bytes differ\n",
	        shape->name, ours.count, ours.size, theirs.count, theirs.size);
	return false;
}

bool kernel_maps_agree(struct kernel *kernel, struct generation *generation)
{
	const struct image *image = generation_image(generation);
	bool good = true;
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct image_map *shape = &image->maps[i];
		struct bpf_map *map = bpf_object__find_map_by_name(kernel->object, shape->name);
		// Where a variable of the configuration stands is each loader's own affair.
		if (!map || shape->is_template || strncmp(shape->name, "varies", 6) == 0 ||
		        strcmp(shape->name, ".kconfig") == 0)
			continue;
		int fd = bpf_map__fd(map);
		struct map *ours = generation_map(generation, i);
		switch (shape->type) {
		case BPF_MAP_TYPE_HASH:
		case BPF_MAP_TYPE_ARRAY:
		case BPF_MAP_TYPE_PERCPU_HASH:
		case BPF_MAP_TYPE_PERCPU_ARRAY:
		case BPF_MAP_TYPE_LRU_HASH:
		case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		case BPF_MAP_TYPE_LPM_TRIE:
			good &= table_agrees(fd, shape, ours);
			break;
		case BPF_MAP_TYPE_RINGBUF:
			good &= ring_agrees(fd, shape, ours);
			break;
		default:
			break;
		}
	}
	return good;
}
