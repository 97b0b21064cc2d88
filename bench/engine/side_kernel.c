// SPDX-License-Identifier: Apache-2.0
// The kernel's JIT and maps: the same object through libbpf, run by BPF_PROG_TEST_RUN behind
// prologue.c. What is measured is the time of prologue and function, less that of prologue and an
// empty program. Ports lead to the loopback interface, to which nothing is sent: a test run does
// not redirect. In the kernel no context tells the time of arrival, so that raio_arrival_ns() asks
// the clock.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "side.h"

#define LOOPBACK 1u

struct kernel {
	struct bpf_object *function, *prologue;
	int function_fd, prologue_fd, empty_fd, slot_fd;
};

static int be_quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static int map_fd(const struct bpf_object *object, const char *name)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	return map ? bpf_map__fd(map) : -ENOENT;
}

static int program_fd(const struct bpf_object *object, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	return program ? bpf_program__fd(program) : -ENOENT;
}

static int put(void *context, const char *name, const void *key, const void *value)
{
	int fd = map_fd(context, name);
	return fd < 0 ? fd : bpf_map_update_elem(fd, key, value, BPF_ANY) ? -errno : 0;
}

static int open_function(struct kernel *kernel, const struct load *load, struct error *err)
{
	char path[4096];
	load_object_path(load->kind, path);
	kernel->function = bpf_object__open_file(path, NULL);
	if (!kernel->function)
		return error_set(err, errno, "libbpf cannot read %s: %s", path, strerror(errno));
	struct bpf_map *map;
	bpf_object__for_each_map(map, kernel->function)
	{
		uint32_t entries = load_map_entries(load, bpf_map__name(map));
		if (entries > bpf_map__max_entries(map))
			bpf_map__set_max_entries(map, entries);
	}
	int rc = bpf_object__load(kernel->function);
	if (rc)
		return error_set(err, -rc, "the kernel does not load %s: %s", path, strerror(-rc));
	kernel->function_fd = program_fd(kernel->function, load_names[load->kind]);
	const uint32_t loopback = LOOPBACK;
	for (uint32_t port = 0; !rc && port < 2; port++)
		rc = put(kernel->function, "raio_ports", &port, &loopback);
	rc = rc ? rc : load_fill(load, put, kernel->function);
	return rc ? error_set(err, -rc, "cannot fill the kernel's maps: %s", strerror(-rc)) : 0;
}

static int set_variable(
        const struct bpf_object *object, const char *section, const void *data, size_t size)
{
	struct bpf_map *map;
	bpf_object__for_each_map(map, object)
	{
		size_t room;
		void *at = (void *)(uintptr_t)bpf_map__initial_value(map, &room);
		if (at && strstr(bpf_map__name(map), section) && size <= room)
			return memcpy(at, data, size), 0;
	}
	return -ENOENT;
}

static int open_prologue(struct kernel *kernel, const struct load *load, struct error *err)
{
	kernel->prologue = bpf_object__open_file(BENCH_PROLOGUE, NULL);
	if (!kernel->prologue)
		return error_set(
		        err, errno, "libbpf cannot read %s: %s", BENCH_PROLOGUE, strerror(errno));
	const uint32_t mask = load->flow_count - 1;
	int rc = set_variable(kernel->prologue, ".data.mask", &mask, sizeof(mask));
	rc = rc ? rc
	        : set_variable(kernel->prologue, ".data.sequence", load->sequence,
	                  load->flow_count * sizeof(load->sequence[0]));
	rc = rc ? rc : bpf_object__load(kernel->prologue);
	kernel->prologue_fd =
	        program_fd(kernel->prologue, load->kind == LOAD_LSL2 ? "stations" : "addresses");
	kernel->empty_fd = program_fd(kernel->prologue, "empty");
	kernel->slot_fd = map_fd(kernel->prologue, "function");
	if (!rc && (kernel->prologue_fd < 0 || kernel->empty_fd < 0 || kernel->slot_fd < 0))
		rc = -ENOENT;
	return rc ? error_set(err, -rc, "the kernel does not load %s: %s", BENCH_PROLOGUE,
	                    strerror(-rc))
	          : 0;
}

static void kernel_close(void **state)
{
	struct kernel *kernel = *state;
	if (!kernel)
		return;
	bpf_object__close(kernel->function);
	bpf_object__close(kernel->prologue);
	free(kernel);
	*state = NULL;
}

static int kernel_open(const struct load *load, void **state, struct error *err)
{
	void *made = calloc(1, sizeof(struct kernel));
	if (!made)
		return error_set(err, ENOMEM, "out of memory");
	libbpf_set_print(be_quiet);
	int rc = open_function(made, load, err);
	rc = rc ? rc : open_prologue(made, load, err);
	if (rc)
		kernel_close(&made);
	*state = made;
	return rc;
}

// Runs the prologue `count` times with `next` behind it. Returns ns a packet by the kernel's own
// clock, which leaves out what it takes to begin (20 ms); NAN where a packet did not come out of
// it.
static double run(const struct kernel *kernel, int next, uint32_t count)
{
	const uint32_t zero = 0, expected = next == kernel->empty_fd ? XDP_DROP : XDP_REDIRECT;
	uint8_t frame[FLOW_SIZE] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
	        .repeat = (int)count);
	if (bpf_map_update_elem(kernel->slot_fd, &zero, &next, BPF_ANY) ||
	        bpf_prog_test_run_opts(kernel->prologue_fd, &options) || options.retval != expected)
		return NAN;
	return options.duration;
}

// The clock's answers are whole ns: four runs, in an order that a drift does not favour.
static double kernel_time(void *state, uint32_t count)
{
	const struct kernel *kernel = state;
	double first = run(kernel, kernel->empty_fd, count / 2);
	double all = run(kernel, kernel->function_fd, count / 2);
	all += run(kernel, kernel->function_fd, count / 2);
	return (all - first - run(kernel, kernel->empty_fd, count / 2)) / 2;
}

static int kernel_run_one(void *state, uint8_t *frame)
{
	const struct kernel *kernel = state;
	uint8_t in[FLOW_SIZE];
	memcpy(in, frame, sizeof(in));
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = sizeof(in),
	        .data_out = frame, .data_size_out = FLOW_SIZE, .repeat = 1);
	return bpf_prog_test_run_opts(kernel->function_fd, &options) ? -errno : (int)options.retval;
}

const struct side side_kernel = {.name = "kernel",
        .open = kernel_open,
        .close = kernel_close,
        .time = kernel_time,
        .run_one = kernel_run_one};
