// SPDX-License-Identifier: Apache-2.0
// The scheduler on a card in memory, with a clock that the test sets and a store in a file, so that
// an agent can be killed (forgotten) and another one started on what is left.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/fake_card.h"
#include "agent/queue.h"
#include "agent/settings.h"
#include "agent/store.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "ebpf/image.h"

struct bench {
	char path[64];
	struct store *store;
	struct queue *queue;
	struct fake_card fake;
	const char *boot_id, *default_function;
	char states[4096]; // "r1:running r1:finished …" as told
	char swaps[4096];  // "@S.mmm old>new …", seconds since the clock's start
	uint64_t base_ns;
};

static uint64_t bench_now(void *context)
{
	return ((struct bench *)context)->fake.now_ns;
}

static uint64_t bench_wall(void *context)
{
	return 1700000000ull * NS_PER_S + bench_now(context);
}

static void bench_changed(void *context, const struct run *run)
{
	struct bench *bench = context;
	size_t used = strlen(bench->states);
	snprintf(bench->states + used, sizeof(bench->states) - used, "r%u:%s ", (unsigned)run->id,
	        run_state_name(run->state));
}

static void bench_swapped(void *context, json_t *receipt)
{
	struct bench *bench = context;
	size_t used = strlen(bench->swaps);
	const json_t *in = json_object_get(receipt, "new"), *out = json_object_get(receipt, "old");
	const char *new_run = json_string_value(json_object_get(in, "run"));
	const char *old_run = json_string_value(json_object_get(out, "run"));
	snprintf(bench->swaps + used, sizeof(bench->swaps) - used, "@%.3f %s>%s ",
	        (double)(bench->fake.now_ns - bench->base_ns) / 1e9,
	        old_run ? old_run : json_string_value(json_object_get(out, "function")),
	        new_run ? new_run : json_string_value(json_object_get(in, "function")));
}

static void start_agent(struct bench *bench)
{
	struct error err = {0};
	struct queue_options options = {.store = NULL,
	        .boot_id = bench->boot_id,
	        .default_function = bench->default_function,
	        .now_ns = bench_now,
	        .wall_ns = bench_wall,
	        .changed = bench_changed,
	        .swapped = bench_swapped,
	        .context = bench};
	assert_int_equal(store_open(bench->path, &bench->store, &err), 0);
	options.store = bench->store;
	assert_int_equal(queue_new(&options, &bench->queue, &err), 0);
	assert_int_equal(queue_connect(bench->queue, &bench->fake.card, &err), 0);
}

// As kill -9: nothing is told to the card or the store.
static void kill_agent(struct bench *bench)
{
	queue_free(&bench->queue);
	store_close(&bench->store);
}

static void put_function(struct bench *bench, const char *name, const char *version)
{
	struct error err = {0};
	struct image image = {0};
	struct image_program program = {0};
	struct image_function function = {0};
	struct bpf_insn insns[2] = {{.code = 0xb7, .imm = 2}, {.code = 0x95}};
	struct buffer bytes = {0};
	json_t *receipts = json_array();
	snprintf(program.name, sizeof(program.name), "%s", name);
	snprintf(function.name, sizeof(function.name), "%s", name);
	strcpy(program.section, "xdp");
	program.insns = insns;
	program.insn_count = 2;
	program.functions = &function;
	program.function_count = 1;
	image.programs = &program;
	image.program_count = 1;
	image_encode(&image, &bytes);
	struct function row = {.settings = "{\"maps\":\"fresh\"}",
	        .summary = "{}",
	        .object = bytes.data,
	        .object_size = bytes.size,
	        .image = bytes.data,
	        .image_size = bytes.size};
	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.version, sizeof(row.version), "%s", version);
	assert_int_equal(queue_function_put(bench->queue, &row, true, receipts, &err), 0);
	json_decref(receipts);
	buffer_free(&bytes);
}

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	strcpy(bench->path, "/tmp/raio-queue-XXXXXX");
	close(mkstemp(bench->path));
	bench->boot_id = "boot-1";
	fake_card_init(&bench->fake, 4);
	bench->base_ns = bench->fake.now_ns;
	start_agent(bench);
	put_function(bench, "a", "v1");
	put_function(bench, "b", "v1");
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	char path[80];
	kill_agent(bench);
	unlink(bench->path);
	snprintf(path, sizeof(path), "%s-wal", bench->path);
	unlink(path);
	snprintf(path, sizeof(path), "%s-shm", bench->path);
	unlink(path);
	free(bench);
	return 0;
}

struct wish {
	const char *function;
	unsigned slice_s; // 0: for ever
	uint64_t ports;
	int priority;
	unsigned confirm_s;
};

static uint64_t submit(struct bench *bench, struct wish wish)
{
	struct error err = {0};
	uint64_t id = 0;
	struct run *run = calloc(1, sizeof(*run));
	strcpy(run->function, wish.function);
	run->slice_ns = wish.slice_s * NS_PER_S;
	run->ports = wish.ports;
	run->priority = wish.priority;
	run->confirm_ns = wish.confirm_s * NS_PER_S;
	assert_int_equal(queue_submit(bench->queue, run, &id, &err), 0);
	return id;
}

// Lets the agent's timers fire until `to_s` seconds after the start.
static void play(struct bench *bench, double to_s)
{
	struct error err = {0};
	uint64_t end = bench->base_ns + (uint64_t)(to_s * 1e9);
	uint64_t next = queue_step(bench->queue, &err);
	while (next <= end) {
		if (next > bench->fake.now_ns)
			bench->fake.now_ns = next;
		next = queue_step(bench->queue, &err);
	}
	if (bench->fake.now_ns < end)
		bench->fake.now_ns = end;
	assert_int_equal(err.code, 0);
}

static json_t *look(struct bench *bench, uint64_t id)
{
	struct error err = {0};
	json_t *json;
	assert_int_equal(queue_run_find(bench->queue, id, &json, &err), 0);
	return json;
}

static void expect_state(struct bench *bench, uint64_t id, const char *state)
{
	json_t *json = look(bench, id);
	assert_string_equal(json_string_value(json_object_get(json, "state")), state);
	json_decref(json);
}

static void runs_go_first_in_first_out_back_to_back(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 3, 0, 0, 0});
	submit(bench, (struct wish){"a", 4, 0, 0, 0});
	play(bench, 20);
	assert_string_equal(
	        bench->swaps, "@0.000 pass>r1 @5.000 r1>r2 @8.000 r2>r3 @12.000 r3>pass ");
	expect_state(bench, 3, "finished");
}

static void next_run_is_loaded_before_the_slice_ends(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 1);
	expect_state(bench, 1, "running");
	expect_state(bench, 2, "loading");
	expect_state(bench, 3, "queued");
	assert_int_equal(bench->fake.loads, 2);
}

static void runs_on_disjoint_ports_go_at_the_same_time(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0x3, 0, 0});
	submit(bench, (struct wish){"b", 5, 0xc, 0, 0});
	play(bench, 1);
	expect_state(bench, 1, "running");
	expect_state(bench, 2, "running");
	assert_int_equal(bench->fake.active[1], 1);
	assert_int_equal(bench->fake.active[2], 2);
}

static void no_run_overtakes_an_earlier_one_that_wants_its_ports(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0x1, 0, 0});
	submit(bench, (struct wish){"b", 5, 0x3, 0, 0});
	submit(bench, (struct wish){"a", 5, 0x2, 0, 0}); // port 1 is free, but r2 is first
	play(bench, 1);
	expect_state(bench, 3, "queued");
	play(bench, 11);
	assert_string_equal(
	        bench->swaps, "@0.000 pass>r1 @5.000 r1>r2 @10.000 r2>r3 @10.000 r2>pass ");
}

static void higher_priority_takes_over_and_the_other_resumes_its_rest(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 10, 0, 0, 0});
	play(bench, 4);
	submit(bench, (struct wish){"b", 5, 0, 7, 0});
	play(bench, 30);
	assert_string_equal(
	        bench->swaps, "@0.000 pass>r1 @4.000 r1>r2 @9.000 r2>r1 @15.000 r1>pass ");
	json_t *json = look(bench, 1);
	const json_t *report = json_object_get(json, "report");
	assert_int_equal(
	        json_integer_value(json_object_get(report, "packets")), 20); // two generations
	json_decref(json);
}

static void renewed_run_goes_on(void **state)
{
	struct bench *bench = *state;
	struct error err;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	play(bench, 2);
	assert_int_equal(queue_renew(bench->queue, 1, 10 * NS_PER_S, &err), 0);
	play(bench, 20);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @12.000 r1>pass ");
	assert_int_equal(queue_renew(bench->queue, 1, 10 * NS_PER_S, &err), -EBUSY);
	assert_int_equal(queue_renew(bench->queue, 9, 10 * NS_PER_S, &err), -ENOENT);
}

static void cancelled_runs_end_now_or_never_start(void **state)
{
	struct bench *bench = *state;
	struct error err;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	play(bench, 2);
	assert_int_equal(queue_cancel(bench->queue, 2, &err), 0);
	expect_state(bench, 2, "cancelled");
	play(bench, 3);
	assert_int_equal(queue_cancel(bench->queue, 1, &err), 0);
	expect_state(bench, 1, "cancelled");
	assert_int_equal(queue_cancel(bench->queue, 1, &err), -EBUSY);
	play(bench, 30);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @3.000 r1>r3 @8.000 r3>pass ");
}

static void unconfirmed_run_is_rolled_back(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 0, 0, 0, 0}); // a service
	play(bench, 1);
	submit(bench, (struct wish){"b", 0, 0, 1, 30});
	play(bench, 60);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @1.000 r1>r2 @31.000 r2>r1 ");
	json_t *json = look(bench, 2);
	assert_string_equal(
	        json_string_value(json_object_get(json_object_get(json, "error"), "code")),
	        "rolled_back");
	json_decref(json);
}

static void confirmed_run_stays(void **state)
{
	struct bench *bench = *state;
	struct error err;
	submit(bench, (struct wish){"b", 60, 0, 0, 30});
	play(bench, 5);
	assert_int_equal(queue_confirm(bench->queue, 1, &err), 0);
	play(bench, 70);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @60.000 r1>pass ");
	expect_state(bench, 1, "finished");
}

static void update_takes_over_in_the_same_slice(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 10, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 4);
	put_function(bench, "a", "v2");
	json_t *json = look(bench, 1);
	assert_string_equal(json_string_value(json_object_get(json, "version")), "v2");
	json_decref(json);
	play(bench, 20);
	assert_string_equal(
	        bench->swaps, "@0.000 pass>r1 @4.000 r1>r1 @10.000 r1>r2 @15.000 r2>pass ");
}

static void update_that_cannot_be_loaded_changes_nothing(void **state)
{
	struct bench *bench = *state;
	struct error err = {0};
	submit(bench, (struct wish){"a", 10, 0, 0, 0});
	play(bench, 1);
	struct function row = {0};
	assert_int_equal(store_function_get(bench->store, "a", NULL, 1, &row, &err), 0);
	strcpy(row.version, "v2");
	bench->fake.fail_load = ENOMEM;
	json_t *receipts = json_array();
	assert_int_equal(queue_function_put(bench->queue, &row, true, receipts, &err), -ENOMEM);
	json_decref(receipts);
	function_free(&row);
	assert_int_equal(store_function_get(bench->store, "a", NULL, 0, &row, &err), 0);
	assert_string_equal(row.version, "v1");
	function_free(&row);
	expect_state(bench, 1, "running");
	assert_int_equal(bench->fake.swaps, 1);
}

static void deleting_a_function_cancels_its_runs(void **state)
{
	struct bench *bench = *state;
	struct error err;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 1);
	assert_int_equal(queue_function_delete(bench->queue, "a", &err), 0);
	expect_state(bench, 1, "cancelled");
	expect_state(bench, 2, "cancelled");
	play(bench, 20);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @1.000 r1>r3 @6.000 r3>pass ");
}

static void run_without_its_function_expires(void **state)
{
	struct bench *bench = *state;
	struct error err;
	assert_int_equal(store_function_delete(bench->store, "a", &err), 0);
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	play(bench, 1);
	expect_state(bench, 1, "expired");
}

static void load_that_fails_fails_the_run_only(void **state)
{
	struct bench *bench = *state;
	bench->fake.fail_load = ENOMEM;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 20);
	expect_state(bench, 1, "failed");
	expect_state(bench, 2, "finished");
}

static void unknown_port_is_refused(void **state)
{
	struct bench *bench = *state;
	struct error err = {0};
	uint64_t id = 0;
	struct run *run = calloc(1, sizeof(*run));
	strcpy(run->function, "a");
	run->ports = 0x10;
	assert_int_equal(queue_submit(bench->queue, run, &id, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no port 4"));
}

static void full_disk_keeps_what_runs(void **state)
{
	struct bench *bench = *state;
	struct error err = {0};
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 1);
	assert_int_equal(store_limit(bench->store, 4096, &err), 0);
	for (int i = 0; i < 2000 && store_log_add(bench->store, "a", 0, 0, bench->path, &err) == 0;
	        i++) {
	}
	assert_int_equal(err.code, ENOSPC);
	char body[8192];
	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = 0;
	uint64_t id = 0;
	assert_int_equal(store_run_put(bench->store, &id, "a", "queued", body, &err), -ENOSPC);
	play(bench, 4);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 ");
	assert_int_equal(store_limit(bench->store, 1 << 30, &err), 0);
	play(bench, 30);
	expect_state(bench, 1, "finished");
	expect_state(bench, 2, "finished");
}

static void default_function_runs_when_nobody_does(void **state)
{
	struct bench *bench = *state;
	kill_agent(bench);
	bench->default_function = "b";
	start_agent(bench);
	assert_string_equal(bench->swaps, "@0.000 pass>b ");
	submit(bench, (struct wish){"a", 5, 0x1, 0, 0});
	play(bench, 10);
	assert_string_equal(bench->swaps, "@0.000 pass>b @0.000 b>r1 @5.000 r1>b ");
	kill_agent(bench);
	start_agent(bench); // it is there already
	assert_int_equal(bench->fake.swaps, 3);
}

static void queued_runs_survive_the_agent(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	kill_agent(bench);
	start_agent(bench);
	play(bench, 20);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @5.000 r1>r2 @10.000 r2>pass ");
}

static void live_and_loaded_runs_survive_the_agent(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 2);
	kill_agent(bench);
	bench->fake.now_ns += NS_PER_S;
	start_agent(bench);
	assert_int_equal(bench->fake.loads, 2); // nothing is loaded twice
	play(bench, 20);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @5.000 r1>r2 @10.000 r2>pass ");
}

static void slice_that_ended_without_an_agent_ends_late_but_once(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 2);
	kill_agent(bench);
	bench->fake.now_ns += 7 * NS_PER_S;
	start_agent(bench);
	play(bench, 30);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @9.000 r1>r2 @14.000 r2>pass ");
	expect_state(bench, 1, "finished");
}

// The store says running, the card was not asked to swap: killed in between.
static void killed_between_commit_and_swap(void **state)
{
	struct bench *bench = *state;
	struct error err = {0};
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	bench->fake.fail_swap = EPIPE;
	queue_step(bench->queue, &err);
	assert_int_equal(err.code, EPIPE);
	kill_agent(bench);
	bench->fake.now_ns += NS_PER_S;
	start_agent(bench);
	play(bench, 20);
	assert_string_equal(bench->swaps, "@1.000 pass>r1 @6.000 r1>pass ");
	expect_state(bench, 1, "finished");
}

// The same at a hand-over: r1 still has the ports, and must leave them once r2 is swapped in.
static void killed_at_a_hand_over_before_the_swap(void **state)
{
	struct bench *bench = *state;
	struct error err = {0};
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 4.5);
	bench->fake.fail_swap = EPIPE;
	bench->fake.now_ns += NS_PER_S; // past r1's end
	queue_step(bench->queue, &err);
	assert_int_equal(err.code, EPIPE);
	kill_agent(bench);
	bench->fake.now_ns += NS_PER_S;
	start_agent(bench);
	play(bench, 20);
	assert_string_equal(bench->swaps, "@0.000 pass>r1 @6.500 r1>r2 @11.500 r2>pass ");
	expect_state(bench, 1, "finished");
	expect_state(bench, 2, "finished");
}

// The card swapped r2 in for r1, the store has r2 running but not r1's end.
static void killed_between_swap_and_report(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 4);
	char copy[80], command[256];
	snprintf(copy, sizeof(copy), "%s.copy", bench->path);
	snprintf(command, sizeof(command), "cp %s %s; cp %s-wal %s-wal", bench->path, copy,
	        bench->path, copy);
	assert_int_equal(system(command), 0);
	struct fake_card before = bench->fake;
	play(bench, 5.5); // r1 has ended, r2 runs
	kill_agent(bench);
	// Back to the store of before with the card of after.
	snprintf(command, sizeof(command), "rm -f %s-shm %s-wal; mv %s %s; mv %s-wal %s-wal",
	        bench->path, bench->path, copy, bench->path, copy, bench->path);
	assert_int_equal(system(command), 0);
	assert_int_equal(before.swaps, 1);
	start_agent(bench);
	expect_state(bench, 1, "finished");
	play(bench, 30);
	expect_state(bench, 2, "finished");
}

static void card_that_was_restarted_gets_the_rest_of_the_slice(void **state)
{
	struct bench *bench = *state;
	struct error err = {0};
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	submit(bench, (struct wish){"b", 5, 0, 0, 0});
	play(bench, 2);
	queue_connect(bench->queue, NULL, NULL);
	fake_card_restart(&bench->fake);
	bench->fake.now_ns += NS_PER_S;
	assert_int_equal(queue_connect(bench->queue, &bench->fake.card, &err), 0);
	play(bench, 30);
	assert_string_equal(
	        bench->swaps, "@0.000 pass>r1 @3.000 pass>r1 @5.000 r1>r2 @10.000 r2>pass ");
}

static void restarted_machine_interrupts_slices_but_not_services(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 50, 0x1, 0, 0});
	submit(bench, (struct wish){"b", 0, 0x2, 0, 0});
	submit(bench, (struct wish){"a", 5, 0x1, 0, 0});
	play(bench, 2);
	kill_agent(bench);
	fake_card_restart(&bench->fake);
	bench->boot_id = "boot-2";
	bench->fake.now_ns = 5 * NS_PER_S; // a new boot's clock
	bench->base_ns = bench->fake.now_ns;
	start_agent(bench);
	play(bench, 1);
	expect_state(bench, 1, "failed");
	expect_state(bench, 2, "running");
	expect_state(bench, 3, "running");
}

static void function_of_nobody_is_taken_off(void **state)
{
	struct bench *bench = *state;
	submit(bench, (struct wish){"a", 5, 0, 0, 0});
	play(bench, 1);
	kill_agent(bench);
	unlink(bench->path); // another state directory
	start_agent(bench);
	for (int i = 0; i < 4; i++)
		assert_int_equal(bench->fake.active[i], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(runs_go_first_in_first_out_back_to_back),
	        TEST(next_run_is_loaded_before_the_slice_ends),
	        TEST(runs_on_disjoint_ports_go_at_the_same_time),
	        TEST(no_run_overtakes_an_earlier_one_that_wants_its_ports),
	        TEST(higher_priority_takes_over_and_the_other_resumes_its_rest),
	        TEST(renewed_run_goes_on),
	        TEST(cancelled_runs_end_now_or_never_start),
	        TEST(unconfirmed_run_is_rolled_back),
	        TEST(confirmed_run_stays),
	        TEST(update_takes_over_in_the_same_slice),
	        TEST(update_that_cannot_be_loaded_changes_nothing),
	        TEST(deleting_a_function_cancels_its_runs),
	        TEST(run_without_its_function_expires),
	        TEST(load_that_fails_fails_the_run_only),
	        TEST(unknown_port_is_refused),
	        TEST(full_disk_keeps_what_runs),
	        TEST(default_function_runs_when_nobody_does),
	        TEST(queued_runs_survive_the_agent),
	        TEST(live_and_loaded_runs_survive_the_agent),
	        TEST(slice_that_ended_without_an_agent_ends_late_but_once),
	        TEST(killed_between_commit_and_swap),
	        TEST(killed_at_a_hand_over_before_the_swap),
	        TEST(killed_between_swap_and_report),
	        TEST(card_that_was_restarted_gets_the_rest_of_the_slice),
	        TEST(restarted_machine_interrupts_slices_but_not_services),
	        TEST(function_of_nobody_is_taken_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
