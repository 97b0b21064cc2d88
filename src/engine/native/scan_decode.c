// SPDX-License-Identifier: Apache-2.0
// Decoding (Intel SDM, volume 2): one row for each opcode that the assembler may write.
#include <string.h>

#include "engine/native/scan_x86_64.h"

enum {
	MODRM = 1,      // reg and r/m
	GROUP = 2,      // the reg field is part of the opcode; `groups` says which are known
	REGISTER = 4,   // in the opcode's low bits
	IMM8 = 8,       // behind it
	IMM32 = 16,     // 16 bits with prefix 66
	IMM_MOVE = 32,  // 32 bits, 64 with REX.W
	NO_MEMORY = 64, // registers only
	NO_REG = 128,   // memory only
};

struct row {
	uint32_t first, last; // opcodes
	uint16_t shape;
	uint8_t groups; // mask of reg fields
	uint8_t flow;
};

static const struct row rows[] = {
        {0x01, 0x01, MODRM, 0, 0}, // add, or, and, sub, xor, cmp to r/m
        {0x09, 0x09, MODRM, 0, 0},
        {0x21, 0x21, MODRM, 0, 0},
        {0x29, 0x29, MODRM, 0, 0},
        {0x31, 0x31, MODRM, 0, 0},
        {0x39, 0x39, MODRM, 0, 0},
        {0x3b, 0x3b, MODRM, 0, 0},
        {0x05, 0x05, IMM32, 0, 0}, // the same on rax with a constant
        {0x0d, 0x0d, IMM32, 0, 0},
        {0x25, 0x25, IMM32, 0, 0},
        {0x2d, 0x2d, IMM32, 0, 0},
        {0x35, 0x35, IMM32, 0, 0},
        {0x3d, 0x3d, IMM32, 0, 0},
        {0x50, 0x57, REGISTER, 0, 0}, // push
        {0x58, 0x5f, REGISTER, 0, 0}, // pop
        {0x63, 0x63, MODRM, 0, 0},    // movsxd
        {0x69, 0x69, MODRM | IMM32, 0, 0},
        {0x6b, 0x6b, MODRM | IMM8, 0, 0},
        {0x70, 0x7f, IMM8, 0, FLOW_BRANCH},
        {0x81, 0x81, MODRM | GROUP | IMM32, 0xf3, 0}, // not adc and sbb
        {0x83, 0x83, MODRM | GROUP | IMM8, 0xf3, 0},
        {0x85, 0x85, MODRM, 0, 0}, // test
        {0x87, 0x87, MODRM, 0, 0}, // xchg
        {0x88, 0x89, MODRM, 0, 0}, // mov
        {0x8b, 0x8b, MODRM, 0, 0},
        {0x8d, 0x8d, MODRM | NO_REG, 0, 0},
        {0x8f, 0x8f, MODRM | GROUP | NO_REG, 1, 0},
        {0x99, 0x99, 0, 0, 0}, // cdq, cqo
        {0xa8, 0xa8, IMM8, 0, 0},
        {0xa9, 0xa9, IMM32, 0, 0},
        {0xb8, 0xbf, REGISTER | IMM_MOVE, 0, 0},
        {0xc1, 0xc1, MODRM | GROUP | IMM8 | NO_MEMORY, 0xb0, 0}, // shl, shr, sar
        {0xd1, 0xd1, MODRM | GROUP | NO_MEMORY, 0xb0, 0},
        {0xd3, 0xd3, MODRM | GROUP | NO_MEMORY, 0xb0, 0},
        {0xc3, 0xc3, 0, 0, FLOW_RETURN},
        {0xc6, 0xc6, MODRM | GROUP | IMM8, 1, 0},
        {0xc7, 0xc7, MODRM | GROUP | IMM32, 1, 0},
        {0xe8, 0xe8, IMM32, 0, FLOW_CALL},
        {0xe9, 0xe9, IMM32, 0, FLOW_JUMP},
        {0xeb, 0xeb, IMM8, 0, FLOW_JUMP},
        {0xf6, 0xf6, MODRM | GROUP | IMM8, 1, 0},       // test
        {0xf7, 0xf7, MODRM | GROUP, 0xdd, 0},           // test, not, neg, mul, div, idiv
        {0xff, 0xff, MODRM | GROUP, 0x54, 0},           // call, jmp, push
        {0x0f18, 0x0f18, MODRM | GROUP | NO_REG, 2, 0}, // prefetcht0
        {0x0f1f, 0x0f1f, MODRM | GROUP, 1, 0},          // nop
        {0x0f50, 0x0f50, MODRM | NO_MEMORY, 0, 0},      // movmskps
        {0x0f57, 0x0f57, MODRM | NO_MEMORY, 0, 0},      // xorps
        {0x0f6b, 0x0f6c, MODRM | NO_MEMORY, 0, 0},      // packssdw, punpcklqdq
        {0x0f6e, 0x0f6f, MODRM, 0, 0},                  // movq, movdqu
        {0x0f7e, 0x0f7e, MODRM, 0, 0},
        {0x0f80, 0x0f8f, IMM32, 0, FLOW_BRANCH},
        {0x0faf, 0x0faf, MODRM, 0, 0},                        // imul
        {0x0fb1, 0x0fb1, MODRM | NO_REG, 0, 0},               // cmpxchg
        {0x0fb6, 0x0fb7, MODRM, 0, 0},                        // movzx
        {0x0fbc, 0x0fbc, MODRM, 0, 0},                        // tzcnt
        {0x0fbe, 0x0fbf, MODRM, 0, 0},                        // movsx
        {0x0fc1, 0x0fc1, MODRM | NO_REG, 0, 0},               // xadd
        {0x0fc4, 0x0fc4, MODRM | IMM8, 0, 0},                 // pinsrw
        {0x0fc8, 0x0fcf, REGISTER, 0, 0},                     // bswap
        {0x0fd6, 0x0fd6, MODRM | NO_REG, 0, 0},               // movq to memory
        {0x0f3829, 0x0f3829, MODRM | NO_MEMORY, 0, 0},        // pcmpeqq
        {0x0f3a14, 0x0f3a16, MODRM | IMM8 | NO_MEMORY, 0, 0}, // pextr
        {0x0f3a20, 0x0f3a20, MODRM | IMM8, 0, 0},             // pinsr
        {0x0f3a22, 0x0f3a22, MODRM | IMM8, 0, 0},
};

struct decoder {
	const uint8_t *bytes;
	uint32_t left, at;
	unsigned rex;
	bool failed;
};

static uint8_t take(struct decoder *decoder)
{
	if (decoder->at >= decoder->left) {
		decoder->failed = true;
		return 0;
	}
	return decoder->bytes[decoder->at++];
}

static uint64_t take_number(struct decoder *decoder, uint32_t size)
{
	uint64_t value = 0;
	for (uint32_t i = 0; i < size; i++)
		value |= (uint64_t)take(decoder) << 8 * i;
	return value;
}

static void take_modrm(struct decoder *decoder, struct scanned *it)
{
	uint8_t byte = take(decoder);
	unsigned mode = byte >> 6, rm = byte & 7;
	it->middle = byte >> 3 & 7;
	it->reg = (uint8_t)(it->middle | (decoder->rex & 4) << 1);
	if (mode == 3) {
		it->rm = (uint8_t)(rm | (decoder->rex & 1) << 3);
		return;
	}
	it->is_memory = true;
	it->rm = SCAN_NONE;
	it->index = SCAN_NONE;
	if (rm == 4) {
		uint8_t sib = take(decoder);
		unsigned index = (sib >> 3 & 7) | (decoder->rex & 2) << 2;
		rm = sib & 7;
		decoder->failed |= sib >> 6; // scales are not used
		if (index != 4)
			it->index = (uint8_t)index;
	}
	decoder->failed |= mode == 0 && rm == 5; // nor addresses without a base
	it->base = (uint8_t)(rm | (decoder->rex & 1) << 3);
	if (mode == 1)
		it->disp = (int8_t)take(decoder);
	else if (mode == 2)
		it->disp = (int32_t)(uint32_t)take_number(decoder, 4);
}

// shlx, shrx, sarx; mulx: C4, map 0F 38, registers only.
static void take_vex(struct decoder *decoder, struct scanned *it)
{
	uint8_t first = take(decoder), second = take(decoder), opcode = take(decoder);
	decoder->rex = (first & 0x80 ? 0 : 4) | (first & 0x20 ? 0 : 1);
	decoder->failed |= (first & 0x1f) != 2 || (opcode != 0xf7 && opcode != 0xf6);
	it->opcode = 0xc400u | opcode;
	it->wide = second >> 7;
	it->imm = ~second >> 3 & 15; // the third register
	take_modrm(decoder, it);
	decoder->failed |= it->is_memory;
}

static void take_opcode(struct decoder *decoder, struct scanned *it)
{
	uint8_t byte = take(decoder);
	for (; byte == 0x66 || byte == 0xf3 || byte == 0xf0; byte = take(decoder)) {
		decoder->failed |= byte == 0xf0 ? it->locked : it->prefix != 0;
		if (byte == 0xf0)
			it->locked = true;
		else
			it->prefix = byte;
	}
	if ((byte & 0xf0) == 0x40) {
		decoder->rex = byte;
		byte = take(decoder);
	}
	it->wide = decoder->rex & 8;
	it->opcode = byte;
	if (byte != 0x0f)
		return;
	it->opcode = 0x0f00u | take(decoder);
	if (it->opcode == 0x0f38 || it->opcode == 0x0f3a)
		it->opcode = it->opcode << 8 | take(decoder);
}

static const struct row *row_of(uint32_t opcode)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (opcode >= rows[i].first && opcode <= rows[i].last)
			return &rows[i];
	}
	return NULL;
}

static void take_immediate(struct decoder *decoder, const struct row *row, struct scanned *it)
{
	bool test = it->opcode == 0xf7 && it->middle == 0;
	if (row->shape & IMM8)
		it->imm = (uint64_t)(int64_t)(int8_t)take(decoder);
	else if ((row->shape & IMM32) && it->prefix == 0x66)
		it->imm = (uint64_t)(int64_t)(int16_t)take_number(decoder, 2);
	else if ((row->shape & IMM32) || test)
		it->imm = (uint64_t)(int64_t)(int32_t)take_number(decoder, 4);
	else if (row->shape & IMM_MOVE)
		it->imm = take_number(decoder, it->wide ? 8 : 4);
	if (row->flow == FLOW_BRANCH || row->flow == FLOW_JUMP || row->flow == FLOW_CALL)
		it->target = (int64_t)it->imm;
}

bool scan_decode(const uint8_t *bytes, uint32_t left, struct scanned *it)
{
	struct decoder decoder = {.bytes = bytes, .left = left};
	memset(it, 0, sizeof(*it));
	if (left && bytes[0] == 0xc4) {
		take(&decoder);
		take_vex(&decoder, it);
		it->length = decoder.at;
		return !decoder.failed;
	}
	take_opcode(&decoder, it);
	const struct row *row = row_of(it->opcode);
	if (!row)
		return false;
	if (row->shape & REGISTER) {
		it->rm = (uint8_t)((it->opcode & 7) | (decoder.rex & 1) << 3);
		it->opcode = row->first;
	}
	if (row->shape & MODRM)
		take_modrm(&decoder, it);
	if ((row->shape & GROUP) && !(row->groups >> it->middle & 1))
		return false;
	if ((row->shape & NO_MEMORY && it->is_memory) || (row->shape & NO_REG && !it->is_memory))
		return false;
	take_immediate(&decoder, row, it);
	it->flow = row->flow;
	if (it->opcode == 0xff && it->middle != 6)
		it->flow = it->middle == 2 ? FLOW_CALL_BY : FLOW_JUMP_BY;
	// Only what is written by them may be locked.
	if (it->locked && (!it->is_memory || it->opcode == 0x89))
		return false;
	it->length = decoder.at;
	return !decoder.failed;
}
