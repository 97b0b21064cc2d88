// SPDX-License-Identifier: Apache-2.0
// The loop over a burst, around the entry program: from descriptors of packets to verdicts without
// leaving emitted code, unless a packet faults or its verdict is an uncommon one. What a packet
// costs beyond its program are the loads of its descriptor and the stores that this generation's
// programs need: fields of the context that they read, windows that checked accesses compare with.
// Everything else is made when somebody asks (native_refresh()).
//
// Where nobody else enters the entry program's first function, it stands in the loop itself and
// ends in a jump; the loop's own state is in memory then, unless the program leaves R6 to R8 alone.
#include <stddef.h>

#include "ebpf/opcode.h"
#include "engine/helpers.h"
#include "engine/native/compile.h"

#define PACKET    REG_R6 // while the program does not run
#define VERDICT   REG_R7
#define VERDICTS  mem_at(REG_SP, SCRATCH_LOOP)     // where the next verdict goes
#define END       mem_at(REG_SP, SCRATCH_LOOP + 8) // of the packets
#define PREFETCH  4                                // packets ahead
#define OF(field) mem_at(PACKET, (int32_t)offsetof(struct packet, field))
#define MD(field) (int32_t) offsetof(struct xdp_md, field)

// The context's fields that are not the same for all packets.
enum { DATA = 1 << 0, DATA_END = 1 << 1, DATA_META = 1 << 2, IFINDEX = 1 << 3, ARRIVAL = 3 << 6 };
#define ALL_FIELDS UINT32_MAX

static bool is_access(enum opcode_kind kind)
{
	return kind == KIND_LOAD || kind == KIND_LOAD_SX || kind == KIND_STORE ||
	       kind == KIND_ATOMIC;
}

// Whether all pointers that an operation of a map is given lead to the stack.
static bool takes_stack(const struct compiler *compiler, uint32_t insn)
{
	const struct call_fact *call = analysis_call(compiler->analysis, insn);
	bool update = compiler->insns[insn].imm == BPF_FUNC_map_update_elem;
	return call && call->args[0].kind == VALUE_MAP && value_on_stack(&call->args[1], 1) &&
	       (!update || value_on_stack(&call->args[2], 1));
}

// Whether a call looks at neither packet nor context.
static bool is_apart(const struct compiler *compiler, uint32_t insn)
{
	const struct bpf_insn *call = &compiler->insns[insn];
	if (call->src_reg == BPF_PSEUDO_CALL || compile_map_inlines(compiler, insn))
		return true;
	bool map_operation = call->src_reg == 0 && (call->imm == BPF_FUNC_map_lookup_elem ||
	                                                   call->imm == BPF_FUNC_map_update_elem ||
	                                                   call->imm == BPF_FUNC_map_delete_elem);
	return map_operation ? takes_stack(compiler, insn)
	                     : (compile_helper_code(call)->traits & HELPER_APART) != 0;
}

bool compile_needs_refresh(const struct compiler *compiler, uint32_t insn)
{
	return !is_apart(compiler, insn);
}

static uint32_t fields_of(const struct fact *fact, uint32_t size)
{
	uint32_t first = (uint32_t)fact->offset / 4;
	uint32_t last = ((uint32_t)fact->offset + size - 1) / 4;
	return fact->exact ? (2u << last) - (1u << first) : ALL_FIELDS;
}

static void use_access(const struct compiler *compiler, uint32_t insn, struct uses *uses)
{
	const struct fact *fact = &compiler->facts[insn];
	if (!fact->proven) { // the interpreter may be asked
		uses->context = ALL_FIELDS;
		uses->windows |= fact->region == VALUE_PACKET;
		uses->budget = true;
	} else if (fact->region == VALUE_CONTEXT) {
		uses->context |= fields_of(fact, opcode_of(&compiler->insns[insn])->size);
	}
}

static void use_call(const struct compiler *compiler, uint32_t insn, struct uses *uses)
{
	const struct bpf_insn *call = &compiler->insns[insn];
	if (!is_apart(compiler, insn))
		uses->context = ALL_FIELDS;
	if (call->src_reg == BPF_PSEUDO_CALL || !compile_map_in_place(compiler, insn))
		uses->budget = true;
	uses->holds |= call->src_reg != BPF_PSEUDO_CALL &&
	               (compile_helper_code(call)->traits & HELPER_HOLDS);
}

// `budget`: something looks there, or the interpreter may.
void compile_uses(const struct compiler *compiler, struct uses *uses)
{
	const struct generation *generation = compiler->generation;
	uses->budget |= !compiler->in_loop || compiler->need[0] > generation->budget;
	for (uint32_t i = 0; i < compiler->insn_count; i++) {
		const struct bpf_insn *insn = &compiler->insns[i];
		enum opcode_kind kind = opcode_of(insn)->kind;
		if (kind <= KIND_LDDW || !compiler->facts[i].reached)
			continue;
		if (is_access(kind))
			use_access(compiler, i, uses);
		else if (kind == KIND_CALL)
			use_call(compiler, i, uses);
		else if (kind == KIND_JUMP || kind == KIND_JUMP_ALWAYS)
			uses->budget |= insn_jump_by(insn) < 0;
	}
}

// R5 is the context's card address, R1 the frame's; R2, R3 and R4 data, end and meta in it.
static void emit_context(struct compiler *compiler, const struct uses *uses)
{
	struct code *code = compiler->code;
	uint32_t fields = uses->context;
	if (uses->windows)
		fields |= DATA | DATA_END;
	if (fields & (DATA | DATA_END | DATA_META))
		asm_load(code, REG_R1, OF(frame), 4, false);
	static const struct {
		uint32_t bit;
		enum reg reg;
		int32_t from, to;
	} ends[] = {
	        {DATA, REG_R2, offsetof(struct packet, data), MD(data)},
	        {DATA_END, REG_R3, offsetof(struct packet, end), MD(data_end)},
	        {DATA_META, REG_R4, offsetof(struct packet, meta), MD(data_meta)},
	};
	for (unsigned i = 0; i < 3; i++) {
		if (!(fields & ends[i].bit))
			continue;
		asm_load(code, ends[i].reg, mem_at(PACKET, ends[i].from), 2, false);
		if (ends[i].bit == DATA_META) // what the program has seen of the frame
			asm_store(code, ENGINE_FIELD(exposed), ends[i].reg, 4);
		asm_alu(code, BPF_ADD, ends[i].reg, REG_R1, false);
		asm_store(code, mem_card(REG_R5, ends[i].to), ends[i].reg, 4);
	}
	if (fields & IFINDEX) {
		asm_load(code, REG_T0, OF(port), 1, false);
		asm_alu_constant(code, BPF_ADD, REG_T0, 1, false);
		asm_store(code, mem_card(REG_R5, MD(ingress_ifindex)), REG_T0, 4);
	}
	if (fields & ARRIVAL) {
		asm_load(code, REG_T0, OF(arrival_ns), 8, false);
		asm_store(code, mem_card(REG_R5, sizeof(struct xdp_md)), REG_T0, 8);
	}
	if (uses->windows) {
		asm_store(code, ENGINE_FIELD(packet_start), REG_R2, 8);
		asm_store(code, ENGINE_FIELD(packet_end), REG_R3, 8);
	}
}

static void emit_prefetch(struct compiler *compiler)
{
	struct code *code = compiler->code;
	uint32_t last = asm_label(code);
	const int32_t ahead = PREFETCH * (int32_t)sizeof(struct packet);
	asm_lea(code, REG_T0, mem_at(PACKET, ahead));
	asm_branch_memory(code, BPF_JGE, REG_T0, END, 8, last);
	asm_load(code, REG_T1, mem_at(REG_T0, (int32_t)offsetof(struct packet, data)), 2, false);
	asm_load(code, REG_T0, mem_at(REG_T0, (int32_t)offsetof(struct packet, frame)), 4, false);
	asm_alu(code, BPF_ADD, REG_T0, REG_T1, true);
	asm_prefetch(code, mem_card(REG_T0, 0));
	asm_bind(code, last);
}

static void emit_begin(struct compiler *compiler, const struct uses *uses)
{
	struct code *code = compiler->code;
	struct generation *generation = compiler->generation;
	asm_store(code, ENGINE_FIELD(packet), PACKET, 8);
	asm_load(code, REG_R5, ENGINE_FIELD(context), 8, false);
	emit_context(compiler, uses);
	asm_store_constant(code, ENGINE_FIELD(redirect), REDIRECT_NONE, 4);
	if (uses->budget)
		asm_store_constant(code, ENGINE_FIELD(budget), (int32_t)generation->budget, 8);
	if (compiler->tail_calls) {
		asm_constant(
		        code, REG_T0, (uintptr_t)&generation->programs[generation->image->entry]);
		asm_store(code, ENGINE_FIELD(program), REG_T0, 8);
		asm_store_constant(code, ENGINE_FIELD(tail_calls), 0, 4);
	}
	if (uses->needs_clean)
		compile_clean_frame(compiler);
	asm_move(code, REG_R1, REG_R5, true);
	for (unsigned r = 2; r <= 5; r++) {
		if (uses->entry_live & 1u << r)
			asm_constant(code, reg_of(r), 0);
	}
}

// The verdict of a packet that leaves by one port, or by none: R0 is the action, R2 the mask.
static void emit_verdict(struct code *code, bool leaves)
{
	asm_store(code, mem_at(VERDICT, 0), REG_R0, 8); // the action; no fault, nowhere
	asm_store(code, mem_at(VERDICT, offsetof(struct verdict, result)), REG_R0, 4);
	asm_store_constant(code, mem_at(VERDICT, offsetof(struct verdict, address)), 0, 8);
	if (leaves) {
		asm_store(code, OF(out), REG_R1, 1);
		asm_store(code, mem_at(VERDICT, offsetof(struct verdict, ports)), REG_R2, 8);
	} else {
		asm_store_constant(code, mem_at(VERDICT, offsetof(struct verdict, ports)), 0, 8);
	}
}

// R0 is what the program returned.
static void emit_decode(struct compiler *compiler)
{
	struct code *code = compiler->code;
	uint32_t redirect = asm_label(code), other = asm_label(code), next = asm_label(code);
	uint32_t leaves = asm_label(code);
	asm_move(code, REG_R0, REG_R0, false);
	asm_branch_constant(code, BPF_JEQ, REG_R0, XDP_REDIRECT, false, redirect);
	asm_lea(code, REG_T0, mem_at(REG_R0, -XDP_DROP));
	asm_branch_constant(code, BPF_JGT, REG_T0, XDP_PASS - XDP_DROP, true, other);
	emit_verdict(code, false);
	asm_jump(code, next);
	asm_bind(code, redirect);
	asm_branch_memory_constant(code, BPF_JNE, ENGINE_FIELD(redirect), REDIRECT_PORT, 4, other);
	asm_load(code, REG_R1, ENGINE_FIELD(redirect_ifindex), 8, false);
	asm_alu_constant(code, BPF_SUB, REG_R1, 1, true);
	asm_branch_constant(code, BPF_JGE, REG_R1, PORTS_MAX, true, other);
	asm_constant(code, REG_R2, 1);
	asm_alu(code, BPF_LSH, REG_R2, REG_R1, true);
	asm_constant(code, REG_R3, compiler->generation->ports);
	asm_branch(code, BPF_JSET, REG_R2, REG_R3, true, leaves);
	asm_bind(code, other); // by the engine's own rules
	asm_move(code, REG_R4, REG_R0, true);
	asm_move(code, REG_R1, REG_ENGINE, true);
	asm_move(code, REG_R2, PACKET, true);
	asm_move(code, REG_R3, VERDICT, true);
	asm_call_host(code, (const void *)engine_verdict);
	asm_jump(code, next);
	asm_bind(code, leaves);
	emit_verdict(code, true);
	asm_bind(code, next);
}

// R1 packets, R2 verdicts, R3 the packets' end; there is at least one. C's registers are kept by
// asm_entry().
void compile_burst_head(struct compiler *compiler, const struct uses *uses)
{
	struct code *code = compiler->code;
	compiler->loop = asm_label(code);
	asm_bind(code, compiler->burst);
	asm_function_begin(code, 0);
	asm_move(code, PACKET, REG_R1, true);
	if (compiler->keeps_loop)
		asm_move(code, VERDICT, REG_R2, true);
	else
		asm_store(code, VERDICTS, REG_R2, 8);
	asm_store(code, END, REG_R3, 8);
	asm_bind(code, compiler->loop);
	if (uses->context & DATA)
		emit_prefetch(compiler);
	emit_begin(compiler, uses);
}

void compile_burst_tail(struct compiler *compiler, const struct uses *uses)
{
	struct code *code = compiler->code;
	counts_end(compiler);
	if (uses->holds)
		compile_release(compiler);
	if (!compiler->keeps_loop) {
		asm_load(code, PACKET, ENGINE_FIELD(packet), 8, false);
		asm_load(code, VERDICT, VERDICTS, 8, false);
	}
	emit_decode(compiler);
	asm_alu_constant(code, BPF_ADD, PACKET, sizeof(struct packet), true);
	if (compiler->keeps_loop)
		asm_alu_constant(code, BPF_ADD, VERDICT, sizeof(struct verdict), true);
	else
		asm_memory_add(code, VERDICTS, sizeof(struct verdict));
	asm_branch_memory(code, BPF_JLT, PACKET, END, 8, compiler->loop);
	asm_function_end(code, 0);
}
