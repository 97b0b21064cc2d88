// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "ebpf/disasm.h"
#include "ebpf/image.h"
#include "ebpf/opcode.h"

static struct image_map maps[] = {{.name = "flows"}, {.name = ".bss"}};
static char kfuncs[1][IMAGE_NAME_MAX] = {"bpf_dynptr_slice"};
static const struct image image = {
        .maps = maps, .map_count = 2, .kfuncs = kfuncs, .kfunc_count = 1};

static void expect(const char *text, struct bpf_insn insn)
{
	struct bpf_insn insns[] = {insn, {.imm = 0x12}, {.code = 0x95}};
	struct image_function functions[] = {{"wire", 0}, {"f", 2}};
	struct image_program program = {
	        .insns = insns, .insn_count = 3, .functions = functions, .function_count = 2};
	char line[128];
	assert_int_equal(
	        disasm_insn(&image, &program, 0, line, sizeof(line)), insn_is_lddw(&insn) ? 2 : 1);
	assert_string_equal(line, text);
}

#define I(c, d, s, o, i)                                                                           \
	((struct bpf_insn){.code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i})

static void prints_instructions_as_the_kernel_does(void **state)
{
	expect("r1 += r2", I(0x0f, 1, 2, 0, 0));
	expect("w1 += -5", I(0x04, 1, 0, 0, -5));
	expect("r3 s>>= 2", I(0xc7, 3, 0, 0, 2));
	expect("r1 s/= r2", I(0x3f, 1, 2, 1, 0));
	expect("w1 s%= 7", I(0x94, 1, 0, 1, 7));
	expect("r1 = (s16)r2", I(0xbf, 1, 2, 16, 0));
	expect("r1 = -r1", I(0x87, 1, 0, 0, 0));
	expect("r1 = be16 r1", I(0xdc, 1, 0, 0, 16));
	expect("r1 = bswap64 r1", I(0xd7, 1, 0, 0, 64));
	expect("r1 = *(u8 *)(r2 +4)", I(0x71, 1, 2, 4, 0));
	expect("r1 = *(s32 *)(r2 -4)", I(0x81, 1, 2, -4, 0));
	expect("*(u64 *)(r10 -8) = r1", I(0x7b, 10, 1, -8, 0));
	expect("*(u16 *)(r1 +0) = 6", I(0x6a, 1, 0, 0, 6));
	expect("if r1 s> r2 goto pc+3", I(0x6d, 1, 2, 3, 0));
	expect("if w1 == 0xffffffff goto pc-3", I(0x16, 1, 0, -3, -1));
	expect("goto pc+2", I(0x05, 0, 0, 2, 0));
	expect("gotol pc-70000", I(0x06, 0, 0, 0, -70000));
	expect("exit", I(0x95, 0, 0, 0, 0));
	expect("r0 = *(u8 *)skb[12]", I(0x30, 0, 0, 0, 12));
	expect("invalid opcode 0xff", I(0xff, 0, 0, 0, 0));
}

static void prints_atomics(void **state)
{
	expect("lock *(u64 *)(r1 +8) += r2", I(0xdb, 1, 2, 8, BPF_ADD));
	expect("r2 = atomic_fetch_xor((u32 *)(r1 +0), r2)", I(0xc3, 1, 2, 0, BPF_XOR | BPF_FETCH));
	expect("r2 = atomic64_xchg((u64 *)(r1 +0), r2)", I(0xdb, 1, 2, 0, BPF_XCHG));
	expect("r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)", I(0xdb, 1, 2, 0, BPF_CMPXCHG));
	expect("r1 = load_acquire((u8 *)(r2 +0))", I(0xd3, 1, 2, 0, BPF_LOAD_ACQ));
	expect("store_release((u64 *)(r1 -8), r2)", I(0xdb, 1, 2, -8, BPF_STORE_REL));
}

static void prints_references_by_name(void **state)
{
	expect("r1 = 0x12ffffffff", I(0x18, 1, 0, 0, -1));
	expect("r1 = map[flows]", I(0x18, 1, 1, 0, 0));
	expect("r1 = map[.bss][0]+18", I(0x18, 1, 2, 0, 1));
	expect("r1 = func[f]", I(0x18, 1, 4, 0, 1));
	expect("call bpf_map_lookup_elem#1", I(0x85, 0, 0, 0, 1));
	expect("call bpf_dynptr_slice#kfunc", I(0x85, 0, 2, 0, 0));
	expect("call pc+1#f", I(0x85, 0, 1, 0, 1));
	// What the check would refuse is printed all the same.
	expect("r1 = map[?]", I(0x18, 1, 1, 0, 9));
	expect("call pc-7#?", I(0x85, 0, 1, 0, -7));
	expect("call unknown#-1", I(0x85, 0, 0, 0, -1));
	expect("call ?#kfunc", I(0x85, 0, 2, 0, -1));
}

static void prints_a_program_with_lines_and_labels(void **state)
{
	struct bpf_insn insns[] = {I(0x61, 1, 1, 0, 0), I(0x55, 1, 0, 2, 0), I(0x18, 1, 1, 0, 0),
	        I(0, 0, 0, 0, 0), I(0x95, 0, 0, 0, 0), I(0x95, 0, 0, 0, 0)};
	struct image_function functions[] = {{"wire", 0}, {"f", 5}};
	char file[] = "/src/wire.c", text[] = "\tif (ctx->data)";
	struct image_line lines[] = {{0, 12, 2, file, text}, {2, 12, 9, file, text}};
	struct image_program program = {.insns = insns,
	        .insn_count = 6,
	        .functions = functions,
	        .function_count = 2,
	        .lines = lines,
	        .line_count = 2};
	cleanup(buffer_free) struct buffer buffer = {0};
	disasm_program(&image, &program, &buffer);
	buffer_u8(&buffer, 0);
	assert_string_equal((char *)buffer.data, "wire:\n"
	                                         "; if (ctx->data) @ wire.c:12\n"
	                                         "     0: r1 = *(u32 *)(r1 +0)\n"
	                                         "     1: if r1 != 0x0 goto pc+2 <L4>\n"
	                                         "     2: r1 = map[flows]\n"
	                                         "L4:\n"
	                                         "     4: exit\n"
	                                         "\nf:\n"
	                                         "     5: exit\n");
}

static void cuts_a_text_that_is_too_long(void **state)
{
	struct bpf_insn insn = I(0x0f, 1, 2, 0, 0);
	struct image_program program = {.insns = &insn, .insn_count = 1};
	for (size_t size = 0; size < 10; size++) {
		char text[10] = "xxxxxxxxx";
		disasm_insn(&image, &program, 0, text, size);
		assert_true(size == 0 || strlen(text) < size);
		assert_int_equal(text[size], size < 9 ? 'x' : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(prints_instructions_as_the_kernel_does),
	        cmocka_unit_test(prints_atomics),
	        cmocka_unit_test(prints_references_by_name),
	        cmocka_unit_test(prints_a_program_with_lines_and_labels),
	        cmocka_unit_test(cuts_a_text_that_is_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
