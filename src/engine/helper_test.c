// SPDX-License-Identifier: Apache-2.0
// What helpers answer, and that no pointer, size or handle gets past them.
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ebpf/helper.h"
#include "engine/helpers.h"
#include "engine/test_kit.h"
#include "map/map.h"

static int setup(void **state)
{
	static struct kit kit;
	kit_new(&kit);
	*state = &kit;
	return 0;
}

static int teardown(void **state)
{
	kit_free(*state);
	return 0;
}

// R0's low half when the program (r6 = context, r7 = data, r8 = data_end) ends.
static uint32_t result_of(struct kit *kit, const char *text)
{
	char whole[2048];
	snprintf(whole, sizeof(whole), "mov r6 r1; ldxw r7 [r1+0]; ldxw r8 [r1+4]; %s; exit", text);
	struct verdict verdict = kit_try(kit, whole);
	if (verdict.fault && verdict.fault != FAULT_VERDICT && verdict.fault != FAULT_EXPLICIT &&
	        verdict.fault != FAULT_REDIRECT)
		fail_msg("%s: %s at %u", text, fault_name(verdict.fault), verdict.insn);
	return verdict.result;
}

static void expect_helper_fault(struct kit *kit, const char *text)
{
	char whole[2048];
	snprintf(whole, sizeof(whole),
	        "mov r6 r1; ldxw r7 [r1+0]; ldxw r8 [r1+4]; %s; mov r0 1; exit", text);
	struct verdict verdict = kit_try(kit, whole);
	if (verdict.fault != FAULT_HELPER)
		fail_msg("%s: %s", text, fault_name(verdict.fault));
}

static void every_offered_helper_and_kfunc_is_implemented(void **state)
{
	uint32_t offered = 0;
	for (uint32_t id = 0; id < HELPER_CODE_COUNT; id++) {
		const struct helper *helper = helper_find(id);
		if ((helper != NULL) != (helper_codes[id].run != NULL))
			fail_msg("helper %u (%s) is offered or implemented, but not both", id,
			        helper_name(id));
		offered += helper != NULL;
	}
	assert_int_equal(offered, helper_count); // none beyond the table
	assert_int_equal(kfunc_code_count, kfunc_count);
	for (uint32_t i = 0; i < kfunc_count; i++)
		assert_int_equal(kfunc_table[i].id, i);
}

// Each pointer argument of each helper, with every kind of address that is not one.
static void no_helper_takes_a_hostile_pointer(void **state)
{
	static const char *const hostile[] = {"mov %s 0", "mov %s -1", "mov %s -8", "mov32 %s -4",
	        "mov %s 65535", "lddw %s 0x1000000000002", "lddw %s 0x100000100", "mov %s r10",
	        "mov %s r8", "lddw %s 0x20000000000ff"};
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_HASH, 8, 16, 16);
	kit_map(kit, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
	for (uint32_t h = 0; h < helper_count; h++) {
		const struct helper *helper = &helper_table[h];
		for (int a = 0; a < 5; a++) {
			enum helper_arg kind = helper->args[a];
			if (kind == ARG_NONE || kind == ARG_ANY || kind == ARG_SIZE)
				continue;
			for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
				char text[1024] = "", reg[8], line[64];
				for (int b = 0; b < 5; b++) {
					static const char *const good[] = {[ARG_NONE] = "mov %s 0",
					        [ARG_ANY] = "mov %s 0",
					        [ARG_CTX] = "mov %s r6",
					        [ARG_MAP] = "map %s 0",
					        [ARG_KEY] = "mov %s r7",
					        [ARG_VALUE] = "mov %s r7",
					        [ARG_MEM_IN] = "mov %s r7",
					        [ARG_MEM_OUT] = "mov %s r7",
					        [ARG_SIZE] = "mov %s 8",
					        [ARG_FUNC] = "func %s f",
					        [ARG_OBJECT] = "mov %s r7"};
					snprintf(reg, sizeof(reg), "r%d", b + 1);
					snprintf(line, sizeof(line),
					        b == a ? hostile[i] : good[helper->args[b]], reg);
					strcat(text, line);
					strcat(text, "; ");
				}
				snprintf(line, sizeof(line), "call %u; mov r0 2; exit; f: mov r0 1",
				        helper->id);
				strcat(text, line);
				char whole[2048];
				snprintf(whole, sizeof(whole),
				        "mov r6 r1; ldxw r7 [r1+0]; ldxw r8 [r1+4]; %s; exit",
				        text);
				struct verdict verdict = kit_try(kit, whole);
				// With no other argument good for it, a refusal by code is as good
				// as a fault.
				if (verdict.fault != FAULT_HELPER && verdict.verdict != XDP_PASS)
					fail_msg("%s: %s", whole, fault_name(verdict.fault));
				bool refused =
				        kind == ARG_CTX || kind == ARG_MAP || kind == ARG_KEY;
				if (refused && verdict.fault != FAULT_HELPER)
					fail_msg("%s: not refused", whole);
			}
		}
	}
}

static void sizes_cannot_reach_past_a_window(void **state)
{
	struct kit *kit = *state;
	expect_helper_fault(kit, "mov r1 r6; mov r2 0; mov r3 r10; add r3 -8; mov r4 9; call 189");
	expect_helper_fault(kit, "mov r1 r6; mov r2 0; mov r3 r10; add r3 -8; mov r4 -1; call 189");
	expect_helper_fault(kit, "mov r1 r7; mov r2 65; mov r3 0; mov r4 0; mov r5 0; call 28");
	expect_helper_fault(
	        kit, "mov r1 r7; lddw r2 0x100000004; mov r3 0; mov r4 0; mov r5 0; call 28");
	expect_helper_fault(
	        kit, "mov r1 r6; mov r2 8; mov r3 r7; call 113"); // the context is read only
}

static void maps_look_up_update_and_delete(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_HASH, 4, 8, 2);
	static const char update[] = "map r1 0; mov r2 r7; mov r3 r7; mov r4 %d; call 2";
	char text[512];
	assert_int_equal(result_of(kit, "map r1 0; mov r2 r7; call 1"), 0);
	snprintf(text, sizeof(text), update, 0);
	assert_int_equal(result_of(kit, text), 0);
	assert_int_equal(result_of(kit, "map r1 0; mov r2 r7; mov r3 r7; mov r4 0; call 2;"
	                                "map r1 0; mov r2 r7; call 1; ldxw r0 [r0+4]"),
	        0x07060504);
	snprintf(text, sizeof(text), update, BPF_EXIST);
	assert_int_equal(result_of(kit, text), (uint32_t)-ENOENT);
	assert_int_equal(result_of(kit, "map r1 0; mov r2 r7; call 3"), (uint32_t)-ENOENT);
	snprintf(text, sizeof(text), update, 77);
	assert_int_equal(result_of(kit, text), (uint32_t)-EINVAL);
}

static void read_only_maps_and_wrong_types_fault(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 8, 2);
	kit_map(kit, BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
	kit->maps[0].flags = BPF_F_RDONLY_PROG;
	static const char key[] = "stw [r10-4] 0; mov r2 r10; add r2 -4;";
	char text[512];
	snprintf(text, sizeof(text), "%s map r1 0; mov r3 r7; mov r4 0; call 2", key);
	expect_helper_fault(kit, text);
	snprintf(text, sizeof(text), "%s map r1 1; call 1", key);
	expect_helper_fault(kit, text);
	snprintf(text, sizeof(text), "%s map r1 1; mov r3 r7; mov r4 0; call 2", key);
	expect_helper_fault(kit, text);
	expect_helper_fault(
	        kit, "map r1 0; mov r2 0; mov r3 0; call 51"); // redirect_map on an array
	expect_helper_fault(kit, "mov r1 r6; map r2 0; mov r3 0; call 12");
	expect_helper_fault(
	        kit, "map r1 0; mov r2 8; mov r3 0; call 131"); // ring buffer on an array
	snprintf(text, sizeof(text), "%s map r1 0; call 1; stdw [r0+0] 1", key);
	char whole[1024];
	snprintf(whole, sizeof(whole), "%s; exit", text);
	assert_int_equal(kit_try(kit, whole).fault, FAULT_WRITE);
}

static void clocks_chance_and_cpu(void **state)
{
	struct kit *kit = *state;
	static const int clocks[] = {5, 125, 160, 208};
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++) {
		char text[64];
		snprintf(text, sizeof(text), "call %d; div r0 1000000000", clocks[i]);
		assert_int_equal(result_of(kit, text), 1000);
	}
	assert_int_equal(result_of(kit, "call 118"), 250000);
	assert_int_equal(result_of(kit, "call 8"), 0);
	assert_int_not_equal(result_of(kit, "call 7"), result_of(kit, "call 7"));
	assert_int_equal(result_of(kit, "call 7; rsh r0 32"), 0);
}

static void helpers_clear_r1_to_r5(void **state)
{
	assert_int_equal(
	        result_of(*state, "mov r1 1; mov r2 2; mov r3 3; mov r4 4; mov r5 5; call 8;"
	                          "mov r0 r1; or r0 r2; or r0 r3; or r0 r4; or r0 r5"),
	        0);
}

static void redirects_by_ifindex_and_by_map(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_DEVMAP, 4, 4, 64);
	snprintf(kit->maps[0].name, sizeof(kit->maps[0].name), "raio_ports");
	struct verdict verdict = kit_try(kit, "mov r1 3; mov r2 0; call 23; exit");
	assert_int_equal(verdict.verdict, XDP_REDIRECT);
	assert_int_equal(verdict.ports, 4);
	assert_int_equal(kit->packet.out, 2);
	assert_int_equal(kit_try(kit, "mov r1 5; mov r2 0; call 23; exit").fault, FAULT_REDIRECT);
	assert_int_equal(kit_try(kit, "mov r1 0; mov r2 0; call 23; exit").fault, FAULT_REDIRECT);
	assert_int_equal(kit_try(kit, "mov r1 3; mov r2 1; call 23; exit").fault, FAULT_EXPLICIT);
	static const char map[] = "map r1 0; mov r2 %d; mov r3 %d; call 51; exit";
	char text[128];
	snprintf(text, sizeof(text), map, 3, XDP_DROP);
	verdict = kit_try(kit, text);
	assert_int_equal(verdict.verdict, XDP_REDIRECT);
	assert_int_equal(verdict.ports, 8);
	snprintf(text, sizeof(text), map, 9, XDP_PASS);
	assert_int_equal(kit_try(kit, text).verdict, XDP_PASS);
	snprintf(text, sizeof(text), map, 3, 64);
	assert_int_equal(kit_try(kit, text).fault, FAULT_EXPLICIT);
	snprintf(text, sizeof(text), map, 0, BPF_F_BROADCAST);
	assert_int_equal(kit_try(kit, text).ports, 0xf);
	snprintf(text, sizeof(text), map, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
	verdict = kit_try(kit, text);
	assert_int_equal(verdict.verdict, XDP_REDIRECT);
	assert_int_equal(verdict.ports, 0xd);
	kit->ports = 2; // only the port that it came by: sent to nobody
	assert_int_equal(kit_try(kit, text).verdict, XDP_DROP);
	// Asked for, but the verdict is another.
	assert_int_equal(
	        kit_try(kit, "mov r1 1; mov r2 0; call 23; mov r0 1; exit").verdict, XDP_DROP);
}

static void adjust_head_moves_data_within_the_headroom(void **state)
{
	struct kit *kit = *state;
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 -8; call 44; jne r0 0 out; ldxw r0 [r6+0];"
	                       "sub r0 r7; out: mov r0 r0"),
	        (uint32_t)-8);
	assert_int_equal(kit->packet.data, FRAME_HEADROOM - 8);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 -216; call 44"), 0);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 -217; call 44"), (uint32_t)-EINVAL);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 50; call 44"), 0);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 51; call 44"), (uint32_t)-EINVAL);
	assert_int_equal(
	        result_of(kit, "mov r1 r6; lddw r2 0x80000000; call 44"), (uint32_t)-EINVAL);
	// What was in front is out of the window, and old pointers are not trusted.
	assert_int_equal(
	        kit_try(kit, "mov r6 r1; ldxw r7 [r1+0]; mov r2 8; call 44; ldxb r0 [r7+0]; exit")
	                .fault,
	        FAULT_READ);
	// Metadata goes along.
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 -4; call 54; ldxw r2 [r6+8]; stw [r2+0] 77;"
	                       "mov r1 r6; mov r2 -20; call 44; ldxw r2 [r6+8]; ldxw r0 [r2+0]"),
	        77);
}

static void adjust_meta_keeps_the_kernels_rules(void **state)
{
	struct kit *kit = *state;
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 -32; call 54"), 0);
	assert_int_equal(kit->packet.meta, FRAME_HEADROOM - 32);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 -3; call 54"), (uint32_t)-EACCES);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 4; call 54"), (uint32_t)-EINVAL);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 -220; call 54"), (uint32_t)-EINVAL);
}

static void adjust_tail_cuts_and_grows_with_zeros(void **state)
{
	struct kit *kit = *state;
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 -50; call 65"), 0);
	assert_int_equal(packet_size(&kit->packet), 14);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 -51; call 65"), (uint32_t)-EINVAL);
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 64; call 65; ldxw r7 [r6+0]; ldxdw r0 [r7+120]"),
	        0);
	assert_int_equal(packet_size(&kit->packet), 128);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 1729; call 65"), (uint32_t)-EINVAL);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 1728; call 65"), 0);
	assert_int_equal(result_of(kit, "mov r1 r6; call 188"), 64);
}

static void packet_bytes_load_and_store(void **state)
{
	struct kit *kit = *state;
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 5; mov r3 r10; add r3 -8; mov r4 4; call 189;"
	                       "ldxw r0 [r10-8]"),
	        0x08070605);
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 61; mov r3 r10; add r3 -8; mov r4 4; call 189"),
	        (uint32_t)-EINVAL);
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 -1; mov r3 r10; add r3 -8; mov r4 4; call 189"),
	        (uint32_t)-EFAULT);
	assert_int_equal(
	        result_of(kit, "stdw [r10-8] -1; mov r1 r6; mov r2 60; mov r3 r10; add r3 -8;"
	                       "mov r4 4; call 190; ldxw r0 [r7+60]"),
	        0xffffffff);
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 61; mov r3 r10; add r3 -8; mov r4 4; call 190"),
	        (uint32_t)-EINVAL);
}

static void checksums_differ_by_what_changed(void **state)
{
	struct kit *kit = *state;
	// One's complement sum of 00 01 02 03 in host order: 0x0100 + 0x0302.
	assert_int_equal(
	        result_of(kit, "mov r1 0; mov r2 0; mov r3 r7; mov r4 4; mov r5 0; call 28"),
	        0x0402);
	assert_int_equal(
	        result_of(kit, "mov r1 r7; mov r2 4; mov r3 r7; mov r4 4; mov r5 5; call 28"), 5);
	assert_int_equal(
	        result_of(
	                kit, "mov r1 0; mov r2 0; mov r3 0; mov r4 0; lddw r5 0xffff0001; call 28"),
	        1);
}

static void mtu_and_routes(void **state)
{
	struct kit *kit = *state;
	static const char mtu[] =
	        "stw [r10-4] %d; mov r1 r6; mov r2 %d; mov r3 r10; add r3 -4; mov r4 %d;"
	        "mov r5 0; call 163; mov r6 r0; ldxw r7 [r10-4]; lsh r7 4; or r0 r7";
	char text[512];
	snprintf(text, sizeof(text), mtu, 0, 0, 0);
	assert_int_equal(result_of(kit, text), 1500 << 4);
	snprintf(text, sizeof(text), mtu, 1500, 3, 1);
	assert_int_equal(result_of(kit, text), 1500 << 4 | BPF_MTU_CHK_RET_FRAG_NEEDED);
	snprintf(text, sizeof(text), mtu, 0, 9, 0);
	assert_int_equal(result_of(kit, text), (uint32_t)-ENODEV);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 r7; mov r3 64; mov r4 0; call 69"),
	        BPF_FIB_LKUP_RET_NOT_FWDED);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 r7; mov r3 63; mov r4 0; call 69"),
	        (uint32_t)-EINVAL);
}

static void ring_buffer_records_are_windows_until_submitted(void **state)
{
	struct kit *kit = *state;
	char record[64];
	kit_map(kit, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
	static const char reserve[] =
	        "map r1 0; mov r2 16; mov r3 0; call 131; mov r9 r0; jeq r0 0 out;";
	char text[1024];
	snprintf(text, sizeof(text),
	        "%s stdw [r9+8] 5; stdw [r9+0] 6; mov r1 r9; mov r2 0; call 132; out: mov r0 2",
	        reserve);
	assert_int_equal(result_of(kit, text), 2);
	assert_int_equal(
	        map_consume(generation_map(kit->generation, 0), record, sizeof(record)), 16);
	assert_int_equal(record[0], 6);
	static const char *const outside[] = {
	        "stb [r9+16] 1", "stb [r9-1] 1", "mov r1 r9; mov r2 0; call 132; stb [r9+0] 1"};
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		snprintf(text, sizeof(text), "%s %s; out: mov r0 2; exit", reserve, outside[i]);
		assert_int_equal(kit_try(kit, text).fault, FAULT_WRITE);
	}
	snprintf(text, sizeof(text),
	        "%s mov r1 r9; mov r2 0; call 132; mov r1 r9; mov r2 0; call 132; out:", reserve);
	expect_helper_fault(kit, text);
	// Never submitted: gone with the packet, and room is given back each time.
	snprintf(text, sizeof(text), "%s mov r0 2; exit; out: mov r0 1; exit", reserve);
	kit_load(kit, text, NULL);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(kit_run(kit, 64).verdict, XDP_PASS);
		map_consume(generation_map(kit->generation, 0), record, sizeof(record));
	}
	assert_int_equal(result_of(kit, "map r1 0; mov r2 r7; mov r3 8; mov r4 0; call 130"), 0);
	assert_int_equal(
	        map_consume(generation_map(kit->generation, 0), record, sizeof(record)), 8);
}

static void perf_events_carry_packet_bytes(void **state)
{
	struct kit *kit = *state;
	uint8_t record[128];
	kit_map(kit, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 0);
	assert_int_equal(result_of(kit, "stdw [r10-8] 7; mov r1 r6; map r2 0; lddw r3 0xaffffffff;"
	                                "mov r4 r10; add r4 -8; mov r5 8; call 25"),
	        0);
	assert_int_equal(
	        map_consume(generation_map(kit->generation, 0), record, sizeof(record)), 18);
	assert_int_equal(record[0], 7);
	assert_int_equal(record[17], 9);
	assert_int_equal(result_of(kit, "stdw [r10-8] 7; mov r1 r6; map r2 0; lddw r3 0x41ffffffff;"
	                                "mov r4 r10; add r4 -8; mov r5 8; call 25"),
	        (uint32_t)-EFAULT); // 65 of 64 bytes
}

static void callbacks_loop_and_visit(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 8, 5);
	assert_int_equal(
	        result_of(kit, "stdw [r10-8] 0; mov r1 10; func r2 f; mov r3 r10; add r3 -8;"
	                       "mov r4 0; call 181; ldxdw r1 [r10-8]; lsh r1 8; or r0 r1; exit;"
	                       "f: ldxdw r0 [r2+0]; add r0 r1; stxdw [r2+0] r0; mov r0 0"),
	        45 << 8 | 10);
	assert_int_equal(result_of(kit, "mov r1 10; func r2 f; mov r3 0; mov r4 0; call 181; exit;"
	                                "f: mov r0 0; jne r1 3 out; mov r0 1; out: mov r0 r0"),
	        4);
	assert_int_equal(
	        result_of(kit, "stdw [r10-8] 0; map r1 0; func r2 f; mov r3 r10; add r3 -8;"
	                       "mov r4 0; call 164; ldxdw r1 [r10-8]; lsh r1 8; or r0 r1; exit;"
	                       "f: ldxw r5 [r2+0]; ldxdw r0 [r4+0]; add r0 r5; stxdw [r4+0] r0;"
	                       "stdw [r3+0] 9; mov r0 0"),
	        10 << 8 | 5);
	// The key is a copy that cannot be written, and is gone afterwards.
	assert_int_equal(kit_try(kit, "map r1 0; func r2 f; mov r3 0; mov r4 0; call 164; exit;"
	                              "f: stb [r2+0] 1; mov r0 0; exit")
	                         .fault,
	        FAULT_WRITE);
	expect_helper_fault(kit,
	        "mov r1 1; func r2 f; add r2 1; mov r3 0; mov r4 0; call 181; mov r0 1; exit;"
	        "f: mov r0 0; mov r0 0; exit; g: mov r0 0");
	assert_int_equal(kit_try(kit, "mov r1 9; func r2 f; mov r3 0; mov r4 0; call 181; exit;"
	                              "f: mov r1 9; func r2 f; mov r3 0; mov r4 0; call 181; exit")
	                         .fault,
	        FAULT_CALL_DEPTH);
}

static void spin_locks_exclude_and_never_stay(void **state)
{
	struct kit *kit = *state;
	kit_map(kit, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	assert_int_equal(
	        result_of(kit, "value r9 0 0; mov r1 r9; call 93; ldxw r7 [r9+0]; mov r1 r9;"
	                       "call 94; ldxw r0 [r9+0]; add r0 r7"),
	        1);
	expect_helper_fault(kit, "value r9 0 0; mov r1 r9; call 93; mov r1 r9; call 93");
	expect_helper_fault(kit, "value r9 0 0; mov r1 r9; call 94");
	expect_helper_fault(kit, "value r9 0 2; mov r1 r9; call 93");
	expect_helper_fault(kit, "stdw [r10-8] 0; mov r1 r10; add r1 -8; call 93");
	kit_load(kit, "value r1 0 0; call 93; mov r0 1; exit", NULL); // leaves it locked
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP);
	assert_int_equal(kit_run(kit, 64).verdict, XDP_DROP);
}

static void probe_read_gives_zeros_for_what_is_no_address(void **state)
{
	struct kit *kit = *state;
	assert_int_equal(
	        result_of(kit,
	                "stdw [r10-8] -1; mov r1 r10; add r1 -8; mov r2 8; mov r3 64;"
	                "call 113; mov r6 r0; ldxdw r0 [r10-8]; jne r0 0 out; mov r0 r6; out: "
	                "mov r0 r0"),
	        (uint32_t)-EFAULT);
	assert_int_equal(result_of(kit, "mov r1 r10; add r1 -8; mov r2 8; mov r3 r7; call 113;"
	                                "ldxw r0 [r10-4]"),
	        0x07060504);
}

static void dynptrs_grant_nothing(void **state)
{
	struct kit *kit = *state;
	char text[1024];
	assert_int_equal(
	        result_of(kit,
	                "mov r1 r7; mov r2 16; mov r3 0; mov r4 r10; add r4 -16; call 197;"
	                "mov r1 r10; add r1 -16; mov r2 4; mov r3 4; call 203; ldxw r0 [r0+0]"),
	        0x07060504);
	assert_int_equal(
	        result_of(kit, "mov r1 r7; mov r2 16; mov r3 0; mov r4 r10; add r4 -16; call 197;"
	                       "mov r1 r10; add r1 -16; mov r2 13; mov r3 4; call 203"),
	        0);
	// A forged one: the hole at 64, and 16 MiB of "memory" around the packet.
	expect_helper_fault(kit,
	        "stw [r10-16] 64; stw [r10-12] 64; stdw [r10-8] 1; mov r1 r7; mov r2 8;"
	        "mov r3 r10; add r3 -16; mov r4 0; mov r5 0; call 201");
	snprintf(text, sizeof(text),
	        "stxw [r10-16] r7; stw [r10-12] 0xffffff; stdw [r10-8] 1; mov r1 r10;"
	        "add r1 -16; mov r2 60; mov r3 r7; mov r4 8; mov r5 0; call 202");
	expect_helper_fault(kit, text);
	expect_helper_fault(kit,
	        "stxw [r10-16] r7; stw [r10-12] 8; stdw [r10-8] 2; mov r1 r10; add r1 -16;"
	        "mov r2 0; call 199"); // not a record
}

static void a_dynptr_of_the_packet_follows_it(void **state)
{
	struct kit *kit = *state;
	static const char make[] = "mov r1 r6; mov r2 0; mov r3 r10; add r3 -16; kcall 0;";
	char text[1024];
	snprintf(text, sizeof(text),
	        "%s mov r1 r6; mov r2 14; call 44; mov r1 r10; add r1 -16; mov r2 0;"
	        "mov r3 0; mov r4 4; kcall 1; ldxw r0 [r0+0]",
	        make);
	assert_int_equal(result_of(kit, text), 0x11100f0e);
	snprintf(text, sizeof(text),
	        "%s mov r1 r10; add r1 -16; mov r2 61; mov r3 0; mov r4 4; kcall 2", make);
	assert_int_equal(result_of(kit, text), 0);
	assert_int_equal(
	        result_of(kit, "mov r1 r6; mov r2 r10; add r2 -8; kcall 3; ldxw r0 [r10-4]"),
	        0x11223344);
	assert_int_equal(result_of(kit, "mov r1 r6; mov r2 r10; mov r3 r10; kcall 4"),
	        (uint32_t)-EOPNOTSUPP);
	expect_helper_fault(kit, "mov r1 0; mov r2 r10; mov r3 r10; kcall 5");
}

static void sockets_are_never_found(void **state)
{
	struct kit *kit = *state;
	static const int lookups[] = {
	        BPF_FUNC_sk_lookup_tcp, BPF_FUNC_sk_lookup_udp, BPF_FUNC_skc_lookup_tcp};
	char text[256];
	for (size_t i = 0; i < ARRAY_SIZE(lookups); i++) {
		const char *call = "mov r1 %s; mov r2 r7; mov r3 %d; mov r4 -1; mov r5 0; call %d";
		snprintf(text, sizeof(text), call, "r6", 12, lookups[i]);
		assert_int_equal(result_of(kit, text), 0);
		snprintf(text, sizeof(text), call, "r6", 65, lookups[i]); // beyond the packet
		expect_helper_fault(kit, text);
		snprintf(text, sizeof(text), call, "r7", 12, lookups[i]);
		expect_helper_fault(kit, text);
	}
	expect_helper_fault(kit, "mov r1 0; call 86"); // bpf_sk_release
	expect_helper_fault(kit, "mov r1 r7; call 86");
}

// R0 | the options' error, after look-up (6) or allocation (7) with options of `size` bytes at
// r10 - 16: namespace, protocol, and the zone's bytes.
static uint32_t ct_error(struct kit *kit, int kfunc, int tuple, int size, int netns, int protocol)
{
	char text[512];
	snprintf(text, sizeof(text),
	        "stw [r10-16] %d; stw [r10-12] 0; stdw [r10-8] %d; mov r1 r6; mov r2 r7;"
	        "mov r3 %d; mov r4 r10; add r4 -16; mov r5 %d; kcall %d; ldxw r1 [r10-12];"
	        "or r0 r1",
	        netns, protocol, tuple, size, kfunc);
	return result_of(kit, text);
}

static void connections_are_never_found(void **state)
{
	struct kit *kit = *state;
	assert_int_equal(ct_error(kit, 6, 12, 16, -1, 6), (uint32_t)-ENOENT);
	assert_int_equal(ct_error(kit, 6, 36, 12, -1, 17), (uint32_t)-ENOENT);
	assert_int_equal(ct_error(kit, 7, 12, 16, -1, 6), (uint32_t)-ENOMEM);
	assert_int_equal(ct_error(kit, 6, 13, 16, -1, 6), (uint32_t)-EAFNOSUPPORT);
	assert_int_equal(ct_error(kit, 6, 12, 16, -1, 1), (uint32_t)-EPROTO);
	assert_int_equal(ct_error(kit, 6, 12, 16, 3, 6), (uint32_t)-ENONET);
	assert_int_equal(ct_error(kit, 6, 12, 16, -2, 6), (uint32_t)-EINVAL);
	assert_int_equal(ct_error(kit, 6, 12, 8, -1, 6), (uint32_t)-EINVAL);
	assert_int_equal(ct_error(kit, 6, 12, 4, -1, 6), 0); // no room for the error
	expect_helper_fault(kit, "mov r1 r6; mov r2 r7; mov r3 12; mov r4 r10; mov r5 16; kcall 6");
	expect_helper_fault(kit, "mov r1 r6; mov r2 r7; mov r3 65; mov r4 r7; mov r5 16; kcall 6");
	for (int kfunc = 9; kfunc < (int)kfunc_count; kfunc++) {
		char text[64];
		snprintf(text, sizeof(text), "mov r1 r7; kcall %d", kfunc);
		expect_helper_fault(kit, text);
	}
}

static void flows_are_never_found(void **state)
{
	struct kit *kit = *state;
	char text[512];
	static const char call[] = "stdw [r10-8] 0; stb [r7+0] %d; mov r1 r6; mov r2 r7;"
	                           "mov r3 r10; add r3 -8; mov r4 %d; kcall 8; ldxw r1 [r10-8];"
	                           "or r0 r1";
	snprintf(text, sizeof(text), call, 2, 4);
	assert_int_equal(result_of(kit, text), (uint32_t)-ENOENT);
	snprintf(text, sizeof(text), call, 1, 4);
	assert_int_equal(result_of(kit, text), (uint32_t)-EAFNOSUPPORT);
	snprintf(text, sizeof(text), call, 2, 8);
	assert_int_equal(result_of(kit, text), (uint32_t)-EINVAL);
	snprintf(text, sizeof(text), call, 2, 9);
	expect_helper_fault(kit, text);
}

// What the check answers to an acknowledgement of `cookie` by the client at `ip` in the packet.
static uint32_t cookie_check(struct kit *kit, int ip, uint32_t cookie)
{
	char text[512];
	snprintf(text, sizeof(text),
	        "ldxw r1 [r1+0]; add r1 %d; stw [r10-24] 0x47464544; stw [r10-20] 0x4c4a4948;"
	        "stw [r10-16] %d; stdw [r10-12] 0; mov r2 r10; add r2 -24; call 206; exit",
	        ip, (int32_t)htobe32(cookie + 1));
	kit_load(kit, text, NULL);
	return kit_run(kit, 128).result;
}

static void syn_cookies_are_taken_back_for_two_minutes(void **state)
{
	struct kit *kit = *state;
	kit_load(kit, "ldxw r1 [r1+0]; mov r2 r1; add r2 68; mov r3 20; call 204; exit", NULL);
	uint32_t cookie = kit_run(kit, 128).result;
	assert_int_equal(kit_run(kit, 128).result, cookie);
	assert_int_equal(cookie_check(kit, 0, cookie), 0);
	assert_int_equal(cookie_check(kit, 1, cookie), (uint32_t)-EACCES);
	assert_int_equal(cookie_check(kit, 0, cookie + 16), (uint32_t)-EACCES);
	engine_clock(kit->engine, kit->options.fixed_ns + 60 * NS_PER_S);
	assert_int_equal(cookie_check(kit, 0, cookie), 0);
	engine_clock(kit->engine, kit->options.fixed_ns + 121 * NS_PER_S);
	assert_int_equal(cookie_check(kit, 0, cookie), (uint32_t)-EACCES);
	// A size that is not the header's own, and headers that are not there.
	assert_int_equal(
	        result_of(kit, "mov r1 r7; mov r2 r7; mov r3 20; call 204"), (uint32_t)-EINVAL);
	assert_int_equal(
	        result_of(kit, "mov r1 r7; mov r2 r7; mov r3 0; call 205"), (uint32_t)-EINVAL);
	expect_helper_fault(kit, "mov r1 r7; add r1 45; mov r2 r7; mov r3 20; call 204");
	expect_helper_fault(kit, "mov r1 r7; add r1 25; mov r2 r7; mov r3 20; call 205");
	expect_helper_fault(kit, "mov r1 r7; mov r2 r7; add r2 45; call 206");
	expect_helper_fault(kit, "mov r1 r7; mov r2 r10; add r2 -16; call 207");
}

static void text_is_printed_as_the_kernel_does(void **state)
{
	struct kit *kit = *state;
	// "%d %x\n"
	assert_int_equal(
	        result_of(kit, "lddw r1 0x000a782520642500; rsh r1 8; stxdw [r10-8] r1; mov r1 r10;"
	                       "add r1 -8; mov r2 7; mov r3 -5; mov r4 255; mov r5 0; call 6"),
	        6);
	assert_string_equal(kit->traced, "-5 ff");
	// "%d%d%d%d": one argument too many
	assert_int_equal(
	        result_of(kit,
	                "lddw r1 0x6425642564256425; stxdw [r10-16] r1; stdw [r10-8] 0;"
	                "mov r1 r10; add r1 -16; mov r2 9; mov r3 1; mov r4 2; mov r5 3; call 6"),
	        (uint32_t)-EINVAL);
	// "12ab" as a number; base 10 takes two characters
	assert_int_equal(
	        result_of(kit,
	                "lddw r1 0x62613231; stxdw [r10-16] r1; mov r1 r10; add r1 -16;"
	                "mov r2 4; mov r3 10; mov r4 r10; add r4 -8; call 105; ldxdw r1 [r10-8];"
	                "lsh r1 8; or r0 r1"),
	        12 << 8 | 2);
	assert_int_equal(result_of(kit, "mov r1 r7; mov r2 4; mov r3 r7; call 182"), 0);
	assert_int_equal(result_of(kit, "mov r1 r7; add r1 1; mov r2 4; mov r3 r7; call 182"), 1);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_offered_helper_and_kfunc_is_implemented),
	        TEST(no_helper_takes_a_hostile_pointer),
	        TEST(sizes_cannot_reach_past_a_window),
	        TEST(maps_look_up_update_and_delete),
	        TEST(read_only_maps_and_wrong_types_fault),
	        TEST(clocks_chance_and_cpu),
	        TEST(helpers_clear_r1_to_r5),
	        TEST(redirects_by_ifindex_and_by_map),
	        TEST(adjust_head_moves_data_within_the_headroom),
	        TEST(adjust_meta_keeps_the_kernels_rules),
	        TEST(adjust_tail_cuts_and_grows_with_zeros),
	        TEST(packet_bytes_load_and_store),
	        TEST(checksums_differ_by_what_changed),
	        TEST(mtu_and_routes),
	        TEST(ring_buffer_records_are_windows_until_submitted),
	        TEST(perf_events_carry_packet_bytes),
	        TEST(callbacks_loop_and_visit),
	        TEST(spin_locks_exclude_and_never_stay),
	        TEST(probe_read_gives_zeros_for_what_is_no_address),
	        TEST(dynptrs_grant_nothing),
	        TEST(a_dynptr_of_the_packet_follows_it),
	        TEST(sockets_are_never_found),
	        TEST(connections_are_never_found),
	        TEST(flows_are_never_found),
	        TEST(syn_cookies_are_taken_back_for_two_minutes),
	        TEST(text_is_printed_as_the_kernel_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return kit_each_way(run);
}
