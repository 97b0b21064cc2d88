// SPDX-License-Identifier: Apache-2.0
// Compares of words in front of a chain that compares bytes (combine.h): where all are equal, which
// is the common case for addresses of a card's own, the chain is jumped over.
#include "engine/native/combine.h"
#include "engine/native/compile.h"

static void branch_if_differs(struct compiler *compiler, const struct filter *filter,
        uint32_t offset, uint32_t size, uint32_t label)
{
	struct mem a = mem_card(reg_of(filter->a), filter->a_offset + (int32_t)offset);
	struct mem b = mem_card(reg_of(filter->b), filter->b_offset + (int32_t)offset);
	asm_load(compiler->code, REG_T0, a, size, false);
	asm_branch_memory(compiler->code, BPF_JNE, REG_T0, b, size, label);
}

uint32_t compile_filter(struct compiler *compiler, uint32_t at)
{
	struct filter filter __attribute__((uninitialized));
	if (BPF_CLASS(compiler->insns[at].code) != BPF_LDX || compiler->verify ||
	        !combine_find_filter(
	                compiler->insns, compiler->facts, compiler->function->end, at, &filter))
		return at;
	// What is counted from here to the end must be what the chain counts.
	const struct pending *here = &compiler->pending[at],
	                     *there = &compiler->pending[filter.end];
	if (!compiler->facts[filter.end].leader || there->steps - here->steps != filter.end - at)
		return at;
	uint32_t differs = asm_label(compiler->code), offset = 0;
	compile_settle(
	        compiler, compiler->facts[filter.end - 1].live | 1u << filter.a | 1u << filter.b);
	// The last word may overlap the one before.
	while (filter.size - offset >= 8) {
		branch_if_differs(compiler, &filter, offset, 8, differs);
		offset += 8;
	}
	uint32_t left = filter.size - offset, last = left > 4 && offset ? 8 : 4;
	if (left > 4 && !offset)
		branch_if_differs(compiler, &filter, 0, 4, differs);
	if (left)
		branch_if_differs(compiler, &filter, filter.size - last, last, differs);
	asm_jump(compiler->code, compile_label(compiler, filter.end));
	asm_bind(compiler->code, differs);
	return filter.end;
}
