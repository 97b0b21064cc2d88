// SPDX-License-Identifier: Apache-2.0
// Every program in this folder, compiled in every way that is here, over a made-up capture: it is
// read, checked, linked and run by the interpreter. Where bpf(2) is allowed and the kernel takes
// the program, the same packets go through it there (BPF_PROG_TEST_RUN): what it returns, the
// packet's bytes and the contents of its maps must agree. What differs by nature is left out:
// fields and maps whose name begins with "varies".
//
//	programs_test [OBJECT…]     other objects, as a survey: what runs, what agrees, and why not
//
// NAME.rules beside NAME.c fills its maps on both sides.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "ebpf/image.h"
#include "ebpf/object.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/packet.h"
#include "engine/space.h"
#include "kernel.h"
#include "map/map.h"
#include "packets.h"
#include "rules_fill.h"

#define FAULTS_SHOWN 2

// What a program needs beyond its rules.
static const struct special {
	const char *name;
	const char *refused; // it must be refused, and this be named
	bool not_in_kernel;  // the kernel's answer depends on its own interfaces
	struct {
		const char *map, *program;
		uint32_t key;
	} late[2]; // prog array entries that the control plane writes
} specials[] = {
        {.name = "bloom", .refused = "bpf_map_peek_elem"},
        {.name = "mtu_check", .not_in_kernel = true}, // the loopback's MTU is not a port's
        {.name = "tail_late",
                .late = {{"stages", "stage_first", 0}, {"stages", "stage_second", 1}}},
};

struct bed {
	struct space *space;
	struct packet_memory *memory;
	struct engine *engine;
	uint8_t *btf; // the kernel's, for CO-RE; NULL where there is none
	size_t btf_size;
	struct sample samples[PACKETS];
	uint32_t objects, ran, compared, differed, kernel_refused;
};

static const struct special *special_of(const char *path)
{
	static const struct special none = {0};
	const char *name = strrchr(path, '/') + 1;
	for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
		size_t size = strlen(specials[i].name);
		if (strncmp(name, specials[i].name, size) == 0 && name[size] == '.')
			return &specials[i];
	}
	return &none;
}

static int load(
        struct bed *bed, const char *path, struct generation **generation, struct error *err)
{
	autofree uint8_t *object = NULL;
	size_t size;
	struct image *image;
	const struct generation_options options = {
	        .id = 1, .engine_count = 1, .ports = 15, .budget = GENERATION_BUDGET};
	if (file_read(path, OBJECT_SIZE_MAX, &object, &size, err) ||
	        object_read(object, size, NULL, bed->btf, bed->btf_size, &image, err))
		return -1;
	return generation_new(bed->space, image, &options, generation, err);
}

static void fill_late(
        struct generation *generation, struct kernel *kernel, const struct special *special)
{
	const struct image *image = generation_image(generation);
	for (size_t i = 0; i < ARRAY_SIZE(special->late) && special->late[i].map; i++) {
		const struct image_map *shape = image_map_find(image, special->late[i].map);
		uint32_t target = 0, key = special->late[i].key;
		while (target < image->program_count &&
		        strcmp(image->programs[target].name, special->late[i].program) != 0)
			target++;
		assert_true(shape && target < image->program_count);
		struct map *map = generation_map(generation, (uint32_t)(shape - image->maps));
		assert_int_equal(map_write(map, &key, &target, BPF_ANY), 0);
		if (kernel)
			kernel_tail(kernel, special->late[i].map, key, special->late[i].program);
	}
}

// Bytes of what came of a packet, with its metadata in front.
struct outcome {
	uint32_t result, size;
	enum fault fault;
	uint8_t data[4096];
};

static void run(struct bed *bed, struct generation *generation, const void *data, uint32_t size,
        struct outcome *outcome)
{
	struct packet packet;
	struct verdict verdict;
	assert_int_equal(frames_take(bed->memory, &packet, 1), 1);
	packet.end = (uint16_t)(packet.data + size);
	packet.arrival_ns = clock_ns();
	memcpy(packet_data(space_base(bed->space), &packet), data, size);
	engine_run(bed->engine, generation, &packet, &verdict, 1);
	outcome->result = verdict.result;
	outcome->fault = verdict.fault;
	// What a program may return without having done wrong.
	if (verdict.fault == FAULT_EXPLICIT || verdict.fault == FAULT_VERDICT ||
	        verdict.fault == FAULT_REDIRECT)
		outcome->fault = FAULT_NONE;
	outcome->size = (uint32_t)packet.end - packet.meta;
	memcpy(outcome->data, space_base(bed->space) + packet.frame + packet.meta, outcome->size);
	frames_give(bed->memory, &packet, 1);
	if (outcome->fault)
		printf("  faulted: %s at instruction %u\n", fault_name(outcome->fault),
		        verdict.insn);
}

// Whether a packet went the same way on both sides; says how not.
static bool agree(const struct outcome *ours, const struct outcome *theirs, uint32_t number)
{
	if (ours->result == theirs->result && ours->size == theirs->size &&
	        memcmp(ours->data, theirs->data, ours->size) == 0)
		return true;
	uint32_t at = 0;
	while (at < ours->size && at < theirs->size && ours->data[at] == theirs->data[at])
		at++;
	printf("  packet %u: returned %#x, kernel %#x; %u bytes, kernel %u; first difference at "
	       "%u\n",
	        number, ours->result, theirs->result, ours->size, theirs->size, at);
	return false;
}

// Runs all packets on one side or both; whether there were neither faults nor differences.
static bool run_all(struct bed *bed, struct generation *generation, struct kernel *kernel)
{
	static struct outcome ours, theirs;
	uint32_t bad = 0;
	for (uint32_t i = 0; i < PACKETS && bad < FAULTS_SHOWN; i++) {
		const struct sample *sample = &bed->samples[i];
		run(bed, generation, sample->data, sample->size, &ours);
		bad += ours.fault != FAULT_NONE;
		if (!kernel)
			continue;
		theirs.size = sizeof(theirs.data);
		int r = kernel_run(kernel, sample->data, sample->size, &theirs.result, theirs.data,
		        &theirs.size);
		if (r) {
			printf("  packet %u: the kernel does not run it: %s\n", i, strerror(-r));
			bad++;
			break;
		}
		bad += !agree(&ours, &theirs, i);
	}
	if (kernel && !bad && !kernel_maps_agree(kernel, generation))
		bad++;
	// What is shorter than an Ethernet header the kernel never sees.
	for (uint32_t size = 0; size < 14 && bad < FAULTS_SHOWN; size++) {
		run(bed, generation, bed->samples[size].data, size, &ours);
		bad += ours.fault != FAULT_NONE;
	}
	return bad == 0;
}

static bool try_object(struct bed *bed, const char *path)
{
	const struct special *special = special_of(path);
	cleanup(generation_free) struct generation *generation = NULL;
	struct kernel *kernel = NULL;
	struct error err = {0};
	bed->objects++;
	if (load(bed, path, &generation, &err)) {
		printf("%s\n  refused: %s\n", path, err.text);
		return special->refused && strstr(err.text, special->refused);
	}
	const struct image *image = generation_image(generation);
	if (!special->not_in_kernel)
		bed->kernel_refused += kernel_new(path, image, &kernel) != 0;
	rules_fill(path, generation, kernel);
	fill_late(generation, kernel, special);
	bool good = run_all(bed, generation, kernel) && !special->refused;
	bed->ran++;
	bed->compared += kernel != NULL;
	bed->differed += kernel && !good;
	if (!good)
		printf("%s\n", path);
	kernel_free(&kernel);
	return good;
}

static void bed_new(struct bed *bed)
{
	struct error err = {0};
	const struct engine_options options = {.number = 0};
	cpu_set_t first;
	memset(bed, 0, sizeof(*bed));
	// Per-CPU maps are compared in the first CPU's copy.
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	if (space_new(&bed->space, &err) || packet_memory_new(bed->space, 16, &bed->memory, &err) ||
	        engine_new(bed->space, &options, &bed->engine, &err))
		fail_msg("%s", err.text);
	if (file_read("/sys/kernel/btf/vmlinux", 64u << 20, &bed->btf, &bed->btf_size, NULL))
		bed->btf = NULL, bed->btf_size = 0;
	packets_fill(bed->samples);
}

static void bed_free(struct bed *bed)
{
	printf("%u objects: %u ran (%.1f %%), %u in the kernel too, %u of them differed; it "
	       "refused %u\n",
	        bed->objects, bed->ran, 100.0 * bed->ran / (bed->objects ? bed->objects : 1),
	        bed->compared, bed->differed, bed->kernel_refused);
	engine_free(&bed->engine);
	packet_memory_free(&bed->memory);
	space_free(&bed->space);
	free(bed->btf);
}

static void programs_run_as_in_the_kernel(void **state)
{
	static struct bed bed;
	glob_t found;
	char pattern[4096];
	uint32_t bad = 0;
	snprintf(pattern, sizeof(pattern), "%s/tests/programs/*.o", getenv("RAIO_BUILD_DIR"));
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	bed_new(&bed);
	for (size_t i = 0; i < found.gl_pathc; i++)
		bad += !try_object(&bed, found.gl_pathv[i]);
	assert_true(bed.objects >= 58);
	globfree(&found);
	bed_free(&bed);
	assert_int_equal(bad, 0);
}

static int survey(int argc, char **argv)
{
	static struct bed bed;
	bed_new(&bed);
	for (int i = 1; i < argc; i++) {
		char path[PATH_MAX];
		if (realpath(argv[i], path))
			try_object(&bed, path);
	}
	bed_free(&bed);
	return bed.ran == bed.objects && !bed.differed ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(programs_run_as_in_the_kernel)};
	if (argc > 1)
		return survey(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
