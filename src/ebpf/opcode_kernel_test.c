// SPDX-License-Identifier: Apache-2.0
// The instruction table against the kernel's verifier: each opcode with many values in its fields
// is loaded. What the kernel accepts, opcode_check() must accept; what the kernel refuses for its
// encoding, opcode_check() must refuse. (The kernel refuses much else for what it does; that says
// nothing here.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ebpf/opcode.h"

#define TAIL 40 // room for jumps

static char kernel_log[1 << 16];

// 0 where the kernel loads the program, else -errno and its log.
static int load(const struct bpf_insn *insns, uint32_t count)
{
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_XDP,
	        .insns = (uintptr_t)insns,
	        .insn_cnt = count,
	        .license = (uintptr_t) "GPL",
	        .log_level = 1,
	        .log_buf = (uintptr_t)kernel_log,
	        .log_size = sizeof(kernel_log)};
	kernel_log[0] = '\0';
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

// Whether the log speaks of how the instruction is encoded.
static bool is_encoding_refused(void)
{
	static const char *const words[] = {"reserved field", "unknown opcode",
	        "invalid BPF_LD_IMM", "invalid bpf_ld_imm64", "is invalid\n",
	        "frame pointer is read only", "invalid atomic opcode", "unrecognized bpf_ld_imm64",
	        "invalid BPF_ALU opcode"};
	for (uint32_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strstr(kernel_log, words[i]))
			return true;
	}
	return false;
}

// The instruction behind 64 written bytes of stack, which every register but r0 and r10 points to.
static uint32_t program_of(struct bpf_insn insn, struct bpf_insn *insns, uint32_t *at)
{
	uint32_t n = 0;
	for (int16_t off = -64; off < 0; off += 8)
		insns[n++] = (struct bpf_insn){
		        .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = off};
	insns[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1};
	for (uint8_t reg = 1; reg < 3; reg++) {
		insns[n++] = (struct bpf_insn){
		        .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = reg & 15, .src_reg = 10};
		insns[n++] = (struct bpf_insn){
		        .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = reg & 15, .imm = -64};
	}
	insns[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 5};
	// The kernel refuses what cannot be reached; this jump makes all behind the instruction
	// reachable.
	insns[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_JEQ | BPF_K,
	        .dst_reg = 3,
	        .off = insn_is_lddw(&insn) ? 2 : 1};
	*at = n;
	insns[n++] = insn;
	if (insn_is_lddw(&insn))
		insns[n++] = (struct bpf_insn){0};
	for (uint32_t i = 0; i < TAIL; i++)
		insns[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K};
	insns[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	return n;
}

static void compare(struct bpf_insn insn, uint32_t *accepted)
{
	struct bpf_insn insns[32 + TAIL];
	uint32_t at, count = program_of(insn, insns, &at);
	// The kernel does not look at this field; RFC 9669 section 4 says that unused ones are
	// zero.
	if (insn.code == (BPF_JMP | BPF_EXIT))
		insns[at].off = 0;
	int rc = load(insns, count);
	const char *wrong = opcode_check(&insns[at], count - at);
	*accepted += !rc;
	if (rc ? !wrong && is_encoding_refused() : wrong != NULL)
		fail_msg("opcode %02x dst %u src %u off %d imm %d: the kernel says %d %s, the "
		         "table %s",
		        insn.code, insn.dst_reg, insn.src_reg, insn.off, insn.imm, rc, kernel_log,
		        wrong ? wrong : "it is sound");
}

static void agrees_with_the_kernel_on_encodings(void **state)
{
	static const uint8_t registers[] = {0, 1, 3, 10, 11};
	static const int16_t offsets[] = {0, 1, 8, 16, 32};
	static const int32_t immediates[] = {0, 1, 2, 16, 32, 64, 0x51, 0xe1, 0xf1, 0x100, 0x110};
	uint32_t accepted = 0;
	for (uint32_t code = 0; code < 256; code++) {
		// may_goto and jumps through registers are the kernel's own, not the standard's.
		if (code == 0xe5 || code == 0x0d)
			continue;
		bool is_known = opcode_table[code].kind != KIND_INVALID;
		for (uint32_t i = 0; i < ARRAY_SIZE(registers) * ARRAY_SIZE(registers) *
		                                 ARRAY_SIZE(offsets) * ARRAY_SIZE(immediates);
		        i++) {
			uint32_t rest = i;
			struct bpf_insn insn = {.code = (uint8_t)code};
			insn.imm = immediates[rest % ARRAY_SIZE(immediates)];
			rest /= ARRAY_SIZE(immediates);
			insn.off = offsets[rest % ARRAY_SIZE(offsets)];
			rest /= ARRAY_SIZE(offsets);
			insn.src_reg = registers[rest % ARRAY_SIZE(registers)] & 15;
			insn.dst_reg = registers[rest / ARRAY_SIZE(registers)] & 15;
			// Enough of each field by itself and of pairs with a small other one.
			uint32_t set = (insn.imm > 1) + (insn.off > 1) + (insn.src_reg > 3) +
			               (insn.dst_reg > 3);
			if (set > 1 || (!is_known && set))
				continue;
			compare(insn, &accepted);
		}
	}
	assert_true(accepted > 1000);
}

int main(void)
{
	const struct bpf_insn insns[] = {{.code = 0xb7}, {.code = 0x95}};
	int rc = load(insns, 2);
	if (rc == -EPERM || rc == -ENOSYS) {
		fprintf(stderr, "skipped: loading a program needs CAP_BPF and CAP_NET_ADMIN\n");
		return 77;
	}
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_kernel_on_encodings)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
