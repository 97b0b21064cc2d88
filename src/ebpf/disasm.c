// SPDX-License-Identifier: Apache-2.0
// The texts are those of Linux, kernel/bpf/disasm.c; names of maps and functions are put where the
// kernel has numbers. Takes any image that image_decode() passes, also one that the check would
// refuse.
#include "ebpf/disasm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "ebpf/helper.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"

static void print_alu(const struct bpf_insn *insn, const struct opcode *op, char *text, size_t size)
{
	char r = op->is_64 ? 'r' : 'w';
	uint8_t operation = BPF_OP(insn->code);
	if (op->has_src && operation == BPF_MOV && insn->off) {
		snprintf(text, size, "%c%d = (s%d)%c%d", r, insn->dst_reg, insn->off, r,
		        insn->src_reg);
		return;
	}
	bool is_signed = insn->off == 1 && (operation == BPF_DIV || operation == BPF_MOD);
	int used = snprintf(
	        text, size, "%c%d %s%s ", r, insn->dst_reg, is_signed ? "s" : "", op->name);
	if (used < 0 || (size_t)used >= size)
		return;
	if (op->has_src)
		snprintf(text + used, size - (size_t)used, "%c%d", r, insn->src_reg);
	else
		snprintf(text + used, size - (size_t)used, "%d", insn->imm);
}

static void print_atomic(
        const struct bpf_insn *insn, const struct opcode *op, char *text, size_t size)
{
	const char *wide = op->is_64 ? "64" : "";
	if (insn->imm == BPF_LOAD_ACQ) {
		snprintf(text, size, "r%d = load_acquire((%s *)(r%d %+d))", insn->dst_reg, op->name,
		        insn->src_reg, insn->off);
		return;
	}
	if (insn->imm == BPF_STORE_REL) {
		snprintf(text, size, "store_release((%s *)(r%d %+d), r%d)", op->name, insn->dst_reg,
		        insn->off, insn->src_reg);
		return;
	}
	if (insn->imm == BPF_CMPXCHG) {
		snprintf(text, size, "r0 = atomic%s_cmpxchg((%s *)(r%d %+d), r0, r%d)", wide,
		        op->name, insn->dst_reg, insn->off, insn->src_reg);
		return;
	}
	const char *sign = "?", *name = "?";
	switch (insn->imm & ~BPF_FETCH) {
	case BPF_ADD:
		sign = "+=", name = "fetch_add";
		break;
	case BPF_OR:
		sign = "|=", name = "fetch_or";
		break;
	case BPF_AND:
		sign = "&=", name = "fetch_and";
		break;
	case BPF_XOR:
		sign = "^=", name = "fetch_xor";
		break;
	case BPF_XCHG & ~BPF_FETCH:
		name = "xchg";
		break;
	}
	if (insn->imm & BPF_FETCH)
		snprintf(text, size, "r%d = atomic%s_%s((%s *)(r%d %+d), r%d)", insn->src_reg, wide,
		        name, op->name, insn->dst_reg, insn->off, insn->src_reg);
	else
		snprintf(text, size, "lock *(%s *)(r%d %+d) %s r%d", op->name, insn->dst_reg,
		        insn->off, sign, insn->src_reg);
}

static const char *function_name(const struct image_program *program, int64_t insn)
{
	if (insn < 0 || insn >= program->insn_count)
		return "?";
	const struct image_function *function = image_function_of(program, (uint32_t)insn);
	return function ? function->name : "?";
}

static void print_lddw(const struct image *image, const struct image_program *program,
        uint32_t index, char *text, size_t size)
{
	const struct bpf_insn *insn = &program->insns[index];
	uint32_t high = index + 1 < program->insn_count ? (uint32_t)insn[1].imm : 0;
	const char *map =
	        (uint32_t)insn->imm < image->map_count ? image->maps[insn->imm].name : "?";
	switch (insn->src_reg) {
	case BPF_PSEUDO_MAP_FD:
		snprintf(text, size, "r%d = map[%s]", insn->dst_reg, map);
		break;
	case BPF_PSEUDO_MAP_VALUE:
		snprintf(text, size, "r%d = map[%s][0]+%u", insn->dst_reg, map, high);
		break;
	case BPF_PSEUDO_FUNC:
		snprintf(text, size, "r%d = func[%s]", insn->dst_reg,
		        function_name(program, image_callee(insn, index)));
		break;
	default:
		snprintf(text, size, "r%d = 0x%" PRIx64, insn->dst_reg,
		        (uint64_t)high << 32 | (uint32_t)insn->imm);
	}
}

static void print_call(const struct image *image, const struct image_program *program,
        uint32_t index, char *text, size_t size)
{
	const struct bpf_insn *insn = &program->insns[index];
	if (insn->src_reg == BPF_PSEUDO_CALL)
		snprintf(text, size, "call pc%+d#%s", insn->imm,
		        function_name(program, image_callee(insn, index)));
	else if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL)
		snprintf(text, size, "call %s#kfunc",
		        (uint32_t)insn->imm < image->kfunc_count ? image->kfuncs[insn->imm] : "?");
	else
		snprintf(text, size, "call %s#%d", helper_name((uint32_t)insn->imm), insn->imm);
}

static void print_jump(
        const struct bpf_insn *insn, const struct opcode *op, char *text, size_t size)
{
	char r = op->is_64 ? 'r' : 'w';
	if (op->kind == KIND_JUMP_ALWAYS)
		snprintf(text, size, "%s pc%+d", op->name, op->is_64 ? insn->off : insn->imm);
	else if (op->has_src)
		snprintf(text, size, "if %c%d %s %c%d goto pc%+d", r, insn->dst_reg, op->name, r,
		        insn->src_reg, insn->off);
	else
		snprintf(text, size, "if %c%d %s 0x%x goto pc%+d", r, insn->dst_reg, op->name,
		        (uint32_t)insn->imm, insn->off);
}

static void print_store(
        const struct bpf_insn *insn, const struct opcode *op, char *text, size_t size)
{
	if (op->has_src)
		snprintf(text, size, "*(%s *)(r%d %+d) = r%d", op->name, insn->dst_reg, insn->off,
		        insn->src_reg);
	else
		snprintf(text, size, "*(%s *)(r%d %+d) = %d", op->name, insn->dst_reg, insn->off,
		        insn->imm);
}

uint32_t disasm_insn(const struct image *image, const struct image_program *program, uint32_t insn,
        char *text, size_t size)
{
	const struct bpf_insn *at = &program->insns[insn];
	const struct opcode *op = opcode_of(at);
	char r = op->is_64 ? 'r' : 'w';
	switch (op->kind) {
	case KIND_ALU:
		print_alu(at, op, text, size);
		break;
	case KIND_NEG:
		snprintf(text, size, "%c%d = -%c%d", r, at->dst_reg, r, at->dst_reg);
		break;
	case KIND_SWAP:
		snprintf(text, size, "r%d = %s%d r%d", at->dst_reg, op->name, at->imm, at->dst_reg);
		break;
	case KIND_LDDW:
		print_lddw(image, program, insn, text, size);
		return insn + 1 < program->insn_count ? 2 : 1;
	case KIND_LOAD:
	case KIND_LOAD_SX:
		snprintf(text, size, "r%d = *(%s *)(r%d %+d)", at->dst_reg, op->name, at->src_reg,
		        at->off);
		break;
	case KIND_STORE:
		print_store(at, op, text, size);
		break;
	case KIND_ATOMIC:
		print_atomic(at, op, text, size);
		break;
	case KIND_JUMP:
	case KIND_JUMP_ALWAYS:
		print_jump(at, op, text, size);
		break;
	case KIND_CALL:
		print_call(image, program, insn, text, size);
		break;
	case KIND_EXIT:
		snprintf(text, size, "exit");
		break;
	case KIND_PACKET:
		if (op->has_src)
			snprintf(text, size, "r0 = *(%s *)skb[r%d %+d]", op->name, at->src_reg,
			        at->imm);
		else
			snprintf(text, size, "r0 = *(%s *)skb[%d]", op->name, at->imm);
		break;
	case KIND_INVALID:
		snprintf(text, size, "invalid opcode 0x%02x", at->code);
		break;
	}
	return 1;
}

// Where a jump leads, or -1.
static int64_t jump_target(const struct image_program *program, uint32_t insn)
{
	const struct bpf_insn *at = &program->insns[insn];
	enum opcode_kind kind = opcode_of(at)->kind;
	bool is_jump = kind == KIND_JUMP || kind == KIND_JUMP_ALWAYS;
	int64_t to = is_jump ? insn_jump_to(at, insn) : -1;
	return to >= 0 && to < program->insn_count ? to : -1;
}

// Where a listing stands: the next function and the next line of the program to print.
struct listing {
	const struct image_program *program;
	struct buffer *buffer;
	uint32_t function, line;
	const struct image_line
	        *printed; // the last source line, which is not printed twice running
};

static void print_heads(struct listing *list, uint32_t insn)
{
	const struct image_program *program = list->program;
	for (; list->function < program->function_count &&
	        program->functions[list->function].insn <= insn;
	        list->function++) {
		buffer_printf(list->buffer, "%s%s:\n", insn ? "\n" : "",
		        program->functions[list->function].name);
		list->printed = NULL;
	}
	for (; list->line < program->line_count && program->lines[list->line].insn <= insn;
	        list->line++) {
		const struct image_line *line = &program->lines[list->line], *last = list->printed;
		if (last && last->line == line->line && !strcmp(last->file, line->file))
			continue;
		const char *slash = strrchr(line->file, '/');
		buffer_printf(list->buffer, "; %s @ %s:%u\n",
		        line->text + strspn(line->text, " \t"), slash ? slash + 1 : line->file,
		        line->line);
		list->printed = line;
	}
}

void disasm_program(
        const struct image *image, const struct image_program *program, struct buffer *buffer)
{
	autofree uint8_t *is_target = calloc(program->insn_count + 1, 1);
	if (!is_target) {
		buffer->failed = true;
		return;
	}
	for (uint32_t i = 0; i < program->insn_count; i++) {
		int64_t to = jump_target(program, i);
		if (to >= 0)
			is_target[to] = 1;
		if (insn_is_lddw(&program->insns[i]))
			i++;
	}
	struct listing list = {.program = program, .buffer = buffer};
	for (uint32_t i = 0; i < program->insn_count;) {
		print_heads(&list, i);
		if (is_target[i])
			buffer_printf(buffer, "L%u:\n", i);
		char text[2 * IMAGE_NAME_MAX];
		uint32_t slots = disasm_insn(image, program, i, text, sizeof(text));
		int64_t to = jump_target(program, i);
		if (to >= 0)
			buffer_printf(buffer, "%6u: %s <L%" PRId64 ">\n", i, text, to);
		else
			buffer_printf(buffer, "%6u: %s\n", i, text);
		i += slots;
	}
}
