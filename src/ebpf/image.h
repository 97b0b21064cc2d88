// SPDX-License-Identifier: Apache-2.0
// The program image: what an object file says, as plain bounded data that owns all its parts. The
// object reader makes it in a box without privileges; agent and card exchange it encoded; whoever
// decodes one checks it again and trusts nothing.
//
// Instructions are linked within a program (its bpf-to-bpf callees stand behind it):
//   LDDW src=1 (BPF_PSEUDO_MAP_FD)     imm = index into maps
//   LDDW src=2 (BPF_PSEUDO_MAP_VALUE)  imm = index into maps, next imm = offset in the value
//   LDDW src=4 (BPF_PSEUDO_FUNC)       imm = callee, counted from the next slot: image_callee()
//   CALL src=1 (BPF_PSEUDO_CALL)       the same
//   CALL src=2 (BPF_PSEUDO_KFUNC_CALL) imm = index into kfuncs
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct error;

#define IMAGE_NAME_MAX     128 // with terminator
#define IMAGE_INSNS_MAX    65536
#define IMAGE_PROGRAMS_MAX 128
#define IMAGE_MAPS_MAX     128
#define IMAGE_KFUNCS_MAX   64
#define IMAGE_FIELDS_MAX   1024
#define IMAGE_NONE         UINT32_MAX

// How a field of a key or value is shown and read.
enum image_kind {
	IMAGE_UINT, // host order; `bits` wide, at most 64
	IMAGE_INT,  // two's complement
	IMAGE_BOOL,
	IMAGE_CHAR,  // text, NUL padded, `count` bytes
	IMAGE_BE,    // unsigned, network order, shown as a number (__be16 and others)
	IMAGE_IPV4,  // __be32, shown dotted
	IMAGE_IPV6,  // 16 bytes
	IMAGE_MAC,   // 6 bytes
	IMAGE_BYTES, // anything else, in hex
};

// One scalar, or one array of scalars, of a flattened struct: `a.b` for nested members.
struct image_field {
	char name[IMAGE_NAME_MAX]; // empty for a key or value that is a bare scalar
	enum image_kind kind;
	uint32_t bit_offset, bits; // of one element; byte-sized unless a bit field
	uint32_t count;            // elements; 1 for a scalar
};

struct image_layout {
	struct image_field *fields; // none where the object has no BTF for it
	uint32_t field_count;
	uint32_t lock; // where a struct bpf_spin_lock stands, in bytes, plus 1; 0: none. Not a
	               // field.
};

// An initial entry of a prog array, array of maps or hash of maps.
struct image_slot {
	uint32_t index;  // key
	uint32_t target; // index into programs (prog array) or maps (map in map)
};

struct image_map {
	char name[IMAGE_NAME_MAX];
	uint32_t type; // enum bpf_map_type
	uint32_t key_size, value_size, max_entries, flags;
	uint64_t extra;   // map_extra
	uint32_t inner;   // index of the map whose shape inner maps have, or IMAGE_NONE
	bool is_template; // stands only for the shape of inner maps; no map is made of it
	bool is_global;   // .data, .rodata, .bss and their kin: an array of one entry
	bool is_readonly; // programs may not write it
	uint8_t *data;    // initial content of a global, value_size bytes; else NULL
	struct image_slot *slots;
	uint32_t slot_count;
	struct image_layout key, value; // for a global, value has one field a variable
};

struct image_line {
	uint32_t insn;         // the first instruction that this line made
	uint32_t line, column; // from 1
	char *file, *text;     // never NULL; owned by the image's string table
};

struct image_function {
	char name[IMAGE_NAME_MAX];
	uint32_t insn; // its first instruction
};

struct image_program {
	char name[IMAGE_NAME_MAX], section[IMAGE_NAME_MAX];
	struct bpf_insn *insns;
	uint32_t insn_count;
	struct image_function *functions; // in order of insn; [0] is the program itself
	uint32_t function_count;
	struct image_line *lines; // in order of insn; may be none
	uint32_t line_count;
};

struct image {
	struct image_program *programs;
	uint32_t program_count;
	uint32_t entry; // index of the program that packets enter
	struct image_map *maps;
	uint32_t map_count;
	char (*kfuncs)[IMAGE_NAME_MAX];
	uint32_t kfunc_count;
	char license[IMAGE_NAME_MAX];
	char **strings; // what image_line points to
	uint32_t string_count;
};

void image_free(struct image **image);
// Appends the image's encoding. Fails only as a buffer does.
void image_encode(const struct image *image, struct buffer *buffer);
// Reads an encoding from a stranger. Every count, index, size and string is checked; what
// check_image() (ebpf/check.h) tests is not. Errors: EINVAL with the place, ENOMEM.
int image_decode(const void *data, size_t size, struct image **image, struct error *err);

// The line that made instruction `insn`, or NULL.
const struct image_line *image_line_of(const struct image_program *program, uint32_t insn);
// The function that instruction `insn` stands in.
const struct image_function *image_function_of(const struct image_program *program, uint32_t insn);
// "file.c:12" or, without lines, "wire+5" into `text`. Returns `text`.
const char *image_place(
        const struct image_program *program, uint32_t insn, char *text, size_t size);
const struct image_map *image_map_find(const struct image *image, const char *name); // or NULL
// Whether a field is well formed (widths that its kind allows) and lies within `size` bytes.
bool image_field_fits(const struct image_field *field, uint32_t size);

// Where the CALL or LDDW at `index` that names a subprogram leads, as in the kernel: `index` + 1 +
// imm, not two slots on for LDDW. May be out of range before the check.
static inline int64_t image_callee(const struct bpf_insn *insn, uint32_t index)
{
	return (int64_t)index + 1 + insn->imm;
}
