// SPDX-License-Identifier: Apache-2.0
#include "card/test_images.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ebpf/image.h"

#define INSN(op, d, s, o, i)                                                                       \
	((struct bpf_insn){.code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV_IMM(d, i)       INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOV_REG(d, s)       INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD_IMM(d, i)       INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define XOR_IMM(d, i)       INSN(BPF_ALU64 | BPF_XOR | BPF_K, d, 0, 0, i)
#define LOAD(d, s, o)       INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define STORE(d, o, s)      INSN(BPF_STX | BPF_MEM | BPF_W, d, s, o, 0)
#define LOAD_HALF(d, s, o)  INSN(BPF_LDX | BPF_MEM | BPF_H, d, s, o, 0)
#define STORE_HALF(d, o, s) INSN(BPF_STX | BPF_MEM | BPF_H, d, s, o, 0)
#define STORE_IMM(d, o, i)  INSN(BPF_ST | BPF_MEM | BPF_W, d, 0, o, i)
#define CALL(helper)        INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define JUMP(o)             INSN(BPF_JMP | BPF_JA, 0, 0, o, 0)
#define JGT_REG(d, s, o)    INSN(BPF_JMP | BPF_JGT | BPF_X, d, s, o, 0)
#define JEQ_IMM(d, i, o)    INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i)
#define MAP(d, index)                                                                              \
	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, index), INSN(0, 0, 0, 0, 0)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

// r0 = bpf_redirect(ingress_ifindex of the context in r6, ports i and i ^ 1 exchanged); exit
#define TO_PEER()                                                                                  \
	LOAD(1, 6, 12), ADD_IMM(1, -1), XOR_IMM(1, 1), ADD_IMM(1, 1), MOV_IMM(2, 0),               \
	        CALL(BPF_FUNC_redirect), EXIT()

// A test cannot go on without memory.
static void *need(void *block)
{
	if (!block)
		abort();
	return block;
}

static struct image *image_make(
        const char *name, const struct bpf_insn *insns, uint32_t count, uint32_t map_count)
{
	struct image *image = need(calloc(1, sizeof(*image)));
	image->program_count = 1;
	image->programs = need(calloc(1, sizeof(image->programs[0])));
	struct image_program *program = &image->programs[0];
	strcpy(program->name, name);
	strcpy(program->section, "xdp");
	program->insns = need(malloc(count * sizeof(*insns)));
	memcpy(program->insns, insns, count * sizeof(*insns));
	program->insn_count = count;
	program->functions = need(calloc(1, sizeof(program->functions[0])));
	strcpy(program->functions[0].name, name);
	program->function_count = 1;
	strcpy(image->license, "Apache-2.0");
	if (map_count)
		image->maps = need(calloc(map_count, sizeof(image->maps[0])));
	image->map_count = map_count;
	return image;
}
#define MAKE(name, insns, maps) image_make(name, insns, ARRAY_SIZE(insns), maps)

static void set_map(struct image_map *map, const char *name, uint32_t type, uint32_t value_size,
        uint32_t max_entries)
{
	strcpy(map->name, name);
	map->type = type;
	map->key_size = 4;
	map->value_size = value_size;
	map->max_entries = max_entries;
	map->inner = IMAGE_NONE;
}

struct image *image_macswap(void)
{
	const struct bpf_insn insns[] = {
	        MOV_REG(6, 1),
	        LOAD(2, 6, 0), // data
	        LOAD(3, 6, 4), // data_end
	        MOV_REG(4, 2),
	        ADD_IMM(4, 14),
	        JGT_REG(4, 3, 15), // to the drop
	        LOAD(3, 2, 0),
	        LOAD_HALF(4, 2, 4),
	        LOAD(5, 2, 6),
	        LOAD_HALF(7, 2, 10),
	        STORE(2, 0, 5),
	        STORE_HALF(2, 4, 7),
	        STORE(2, 6, 3),
	        STORE_HALF(2, 10, 4),
	        TO_PEER(),
	        MOV_IMM(0, XDP_DROP),
	        EXIT(),
	};
	return MAKE("macswap", insns, 0);
}

struct image *image_wire(uint32_t version)
{
	const struct bpf_insn insns[] = {MOV_REG(6, 1), MOV_IMM(7, (int)version), TO_PEER()};
	return MAKE("wire", insns, 0);
}

struct image *image_stamp(uint32_t id)
{
	const struct bpf_insn insns[] = {
	        MOV_REG(6, 1),
	        STORE_IMM(10, -4, 0),
	        MAP(1, 0),
	        MOV_REG(2, 10),
	        ADD_IMM(2, -4),
	        CALL(BPF_FUNC_map_lookup_elem),
	        JEQ_IMM(0, 0, 15), // to the drop at the end
	        LOAD(8, 0, 0),
	        LOAD(7, 6, 0), // data
	        LOAD(3, 6, 4), // data_end
	        MOV_REG(4, 7),
	        ADD_IMM(4, 108),
	        JGT_REG(4, 3, 10),
	        STORE_IMM(7, 70, (int)id),
	        STORE_IMM(7, 100, (int)id),
	        STORE(7, 104, 8),
	        TO_PEER(),
	        MOV_IMM(0, XDP_DROP),
	        EXIT(),
	};
	struct image *image = MAKE("stamp", insns, 1);
	set_map(&image->maps[0], "ids", BPF_MAP_TYPE_ARRAY, 4, 1);
	return image;
}

struct image *image_loop(void)
{
	const struct bpf_insn insns[] = {
	        MOV_IMM(0, XDP_DROP), ADD_IMM(0, 0), JEQ_IMM(0, 99, 1), JUMP(-3), EXIT()};
	return MAKE("loop", insns, 0);
}

struct image *image_fault(void)
{
	const struct bpf_insn insns[] = {MOV_IMM(1, 64), LOAD(0, 1, 0), EXIT()};
	return MAKE("fault", insns, 0);
}

struct image *image_flood(void)
{
	const struct bpf_insn insns[] = {
	        MAP(1, 0),
	        MOV_IMM(2, 0),
	        MOV_IMM(3, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS),
	        CALL(BPF_FUNC_redirect_map),
	        EXIT(),
	};
	struct image *image = MAKE("flood", insns, 1);
	set_map(&image->maps[0], "raio_ports", BPF_MAP_TYPE_DEVMAP, 4, 64);
	return image;
}

struct image *image_count(uint32_t verdict)
{
	const struct bpf_insn insns[] = {
	        STORE_IMM(10, -4, 0),
	        MAP(1, 0),
	        MOV_REG(2, 10),
	        ADD_IMM(2, -4),
	        CALL(BPF_FUNC_map_lookup_elem),
	        JEQ_IMM(0, 0, 2),
	        MOV_IMM(1, 1),
	        INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
	        MOV_IMM(0, (int)verdict),
	        EXIT(),
	};
	struct image *image = MAKE("count", insns, 1);
	set_map(&image->maps[0], "count", BPF_MAP_TYPE_ARRAY, 8, 1);
	return image;
}

struct image *image_trace(void)
{
	const struct bpf_insn insns[] = {
	        STORE_IMM(10, -8, 'p' | 'a' << 8 | 'c' << 16 | 'k' << 24),
	        STORE_IMM(10, -4, 'e' | 't' << 8),
	        MOV_REG(1, 10),
	        ADD_IMM(1, -8),
	        MOV_IMM(2, 7),
	        CALL(BPF_FUNC_trace_printk),
	        MOV_IMM(0, XDP_DROP),
	        EXIT(),
	};
	return MAKE("trace", insns, 0);
}

struct image *image_invalid(void)
{
	const struct bpf_insn insns[] = {INSN(0xff, 0, 0, 0, 0), EXIT()};
	return MAKE("invalid", insns, 0);
}
