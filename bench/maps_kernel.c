// SPDX-License-Identifier: Apache-2.0
// The kernel's side of the map benchmark: loads go through bpf(2) in batches, look-ups are those of
// a BPF program under BPF_PROG_TEST_RUN, minus the same program without the look-up. Its keys are
// random numbers, so that addresses go anywhere.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "maps_bench.h"

#define UNROLLED  32
#define TEST_RUNS 5000
#define BATCH     4096u

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

static int load(int fd, const struct table *table)
{
	static uint64_t values[BATCH];
	for (uint32_t at = 0; at < table->def.max_entries; at += BATCH) {
		uint32_t left = table->def.max_entries - at, count = left < BATCH ? left : BATCH;
		if (bpf_map_update_batch(fd, key_at(table, at), values, &count, NULL))
			return -errno;
	}
	return 0;
}

// memlock of the map's fdinfo: what the kernel charges for it.
static double bytes_of(int fd)
{
	char path[64], line[128];
	unsigned long bytes = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	autofclose FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "memlock: %lu", &bytes);
	return (double)bytes;
}

void kernel_load(struct kernel_side *kernel, const struct table *table, struct bench *bench)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = table->def.flags);
	char name[64];
	double entries = table->def.max_entries;
	*kernel = (struct kernel_side){-1, -1, -1};
	kernel->map = bpf_map_create((enum bpf_map_type)table->def.type, "raio_bench",
	        table->def.key_size, table->def.value_size, table->def.max_entries, &options);
	uint64_t start = clock_ns();
	if (kernel->map < 0 || load(kernel->map, table)) {
		cleanup_close(&kernel->map);
		kernel->map = -1;
		return;
	}
	double ns = (double)(clock_ns() - start);
	snprintf(name, sizeof(name), "%s, load", table->name);
	bench_sample(bench, name, "kernel", "ns/entry", ns / entries);
	snprintf(name, sizeof(name), "%s, memory", table->name);
	bench_sample(bench, name, "kernel", "bytes/entry", bytes_of(kernel->map) / entries);
}

// UNROLLED times: a random key on the stack; look it up (or not); read the value. An IPv6 address
// begins with 2000 to 3fff, four bytes of it are random.
static int make_program(const struct table *table, int fd, bool with_lookup)
{
	struct bpf_insn insns[UNROLLED * 16 + 2];
	uint32_t n = 0;
	int key = -(int)((table->def.key_size + 7) / 8 * 8);
	for (int i = 0; i < UNROLLED; i++) {
		insns[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32);
		insns[n++] = INSN(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0, (int)table->mask);
		if (table->def.key_size == 20)
			insns[n++] = INSN(BPF_ALU | BPF_OR | BPF_K, 0, 0, 0, 0x20);
		if (is_lpm(table)) {
			insns[n++] = INSN(BPF_ALU64 | BPF_LSH | BPF_K, 0, 0, 0, 32);
			insns[n++] = INSN(BPF_ALU64 | BPF_OR | BPF_K, 0, 0, 0,
			        (int)(table->def.key_size - 4) * 8);
		}
		insns[n++] = INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, (int16_t)key, 0);
		for (int at = key + 8; at < 0; at += 8)
			insns[n++] = INSN(BPF_ST | BPF_MEM | BPF_DW, 10, 0, (int16_t)at, 0);
		if (!with_lookup)
			continue;
		insns[n++] = INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, fd);
		insns[n++] = INSN(0, 0, 0, 0, 0);
		insns[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
		insns[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, key);
		insns[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
		insns[n++] = INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0);
		insns[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0);
	}
	insns[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP);
	insns[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "raio_bench", "GPL", insns, n, NULL);
}

void kernel_start(struct kernel_side *kernel, const struct table *table)
{
	if (kernel->map < 0)
		return;
	kernel->program = make_program(table, kernel->map, true);
	kernel->empty = make_program(table, kernel->map, false);
}

static double run_program(int program)
{
	static uint8_t packet[64];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet),
	        .repeat = TEST_RUNS);
	return bpf_prog_test_run_opts(program, &options) ? -1 : (double)options.duration / UNROLLED;
}

double kernel_lookup(const struct kernel_side *kernel)
{
	if (kernel->program < 0 || kernel->empty < 0)
		return -1;
	return run_program(kernel->program) - run_program(kernel->empty);
}

void kernel_close(struct kernel_side *kernel)
{
	cleanup_close(&kernel->map);
	cleanup_close(&kernel->program);
	cleanup_close(&kernel->empty);
}
