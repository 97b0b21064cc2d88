// SPDX-License-Identifier: Apache-2.0
// What every card does, run on the soft card in this process ("soft") and on one behind the card
// protocol ("client").
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "card/card.h"
#include "card/listen.h"
#include "card/test_images.h"

static enum engine_kind kind; // of the soft card's engines
static bool through_client;   // set by main()

// A card under test; with a server thread where it is reached through the protocol.
struct bench {
	struct card *card, *served;
	pthread_t server;
	int listen_fd;
	volatile int stop;
	char folder[32], path[64];
};

static void *serve(void *argument)
{
	struct bench *bench = argument;
	card_serve(bench->served, bench->listen_fd, &bench->stop, NULL);
	return NULL;
}

static void bench_open_with(
        struct bench *bench, const char *const *specs, uint32_t count, uint32_t workers)
{
	struct error err = {0};
	*bench = (struct bench){.listen_fd = -1};
	const struct soft_card_options options = {
	        .port_specs = specs, .port_count = count, .worker_count = workers, .engine = kind};
	struct card *card = NULL;
	if (soft_card_new(&options, &card, &err))
		fail_msg("%s", err.text);
	if (!through_client) {
		bench->card = card;
		return;
	}
	bench->served = card;
	strcpy(bench->folder, "/tmp/raio-card-XXXXXX");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/s", bench->folder);
	assert_int_equal(listen_unix(bench->path, NULL, &bench->listen_fd, NULL), 0);
	assert_int_equal(pthread_create(&bench->server, NULL, serve, bench), 0);
	if (card_connect(bench->path, &bench->card, &err))
		fail_msg("%s", err.text);
}

static void bench_open(struct bench *bench, const char *first, const char *second)
{
	const char *specs[] = {first, second};
	bench_open_with(bench, specs, 2, 1);
}

static void bench_close(struct bench *bench)
{
	card_free(&bench->card);
	if (!bench->served)
		return;
	__atomic_store_n(&bench->stop, 1, __ATOMIC_RELAXED);
	pthread_join(bench->server, NULL);
	card_free(&bench->served);
	close(bench->listen_fd);
	unlink(bench->path);
	rmdir(bench->folder);
}

static void sleep_ms(uint32_t ms)
{
	usleep(ms * 1000);
}

static struct card_port port_state(struct card *card, uint32_t number)
{
	static struct card_port ports[PORTS_MAX];
	uint32_t count = 0;
	struct error err;
	if (card->ops->ports(card, ports, PORTS_MAX, &count, &err))
		fail_msg("%s", err.text);
	assert_in_range(number, 0, count - 1);
	return ports[number];
}

static uint64_t load(struct card *card, struct image *image, uint64_t ports, bool carry_all)
{
	struct error err;
	uint64_t id = 0;
	struct card_load options = {.ports = ports, .carry_all = carry_all};
	snprintf(options.tag, sizeof(options.tag), "run");
	int rc = card->ops->load(card, image, &options, &id, &err);
	image_free(&image);
	if (rc)
		fail_msg("%s", err.text);
	return id;
}

static struct receipt *swap(struct card *card, uint64_t id, uint64_t ports)
{
	static struct receipt receipt;
	struct error err;
	if (card->ops->swap(card, id, ports, 0, &receipt, &err))
		fail_msg("%s", err.text);
	return &receipt;
}

static uint64_t deploy(struct card *card, struct image *image, uint64_t ports)
{
	uint64_t id = load(card, image, ports, false);
	swap(card, id, ports);
	return id;
}

static struct card_counters counters_of(struct card *card, uint64_t id, uint32_t port)
{
	static struct card_counters counters[PORTS_MAX];
	struct card_fault faults[CARD_FAULTS_MAX];
	uint32_t count;
	struct error err;
	if (card->ops->counters(card, id, counters, faults, &count, &err))
		fail_msg("%s", err.text);
	return counters[port];
}

// Waits until generation `id` was given `packets` on a port: however busy the machine is.
static void await(struct card *card, uint64_t id, uint32_t port, uint64_t packets)
{
	for (int i = 0; i < 5000; i++) {
		if (counters_of(card, id, port).packets >= packets)
			return;
		sleep_ms(1);
	}
	fail_msg("generation %llu was given no %llu packets", (unsigned long long)id,
	        (unsigned long long)packets);
}

static void await_finished(struct card *card, uint32_t port)
{
	for (int i = 0; i < 5000 && !port_state(card, port).finished; i++)
		sleep_ms(1);
	assert_true(port_state(card, port).finished);
}

static void says_what_it_is_and_what_ports_it_has(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:count=0", "null");
	struct card_info info;
	assert_int_equal(bench.card->ops->info(bench.card, &info, NULL), 0);
	assert_string_equal(info.kind, "soft");
	assert_int_equal(info.port_count, 2);
	assert_int_equal(info.worker_count, 1);
	struct card_port port = port_state(bench.card, 1);
	assert_string_equal(port.spec, "null");
	assert_int_equal(port.number, 1);
	assert_int_equal(port.active, 0);
	assert_int_equal(port.bank, 0);
	bench_close(&bench);
}

static void passes_everything_before_the_first_swap(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:count=1000", "null");
	await(bench.card, 0, 0, 1000);
	await_finished(bench.card, 0);
	struct card_port port = port_state(bench.card, 0);
	assert_int_equal(port.total.packets, 1000);
	assert_int_equal(port.total.verdict_packets[XDP_PASS], 1000);
	assert_int_equal(port.stats.host_packets + port.stats.host_dropped, 1000);
	assert_true(port.finished);
	assert_int_equal(port.r0, XDP_PASS);
	bench_close(&bench);
}

static void forwards_by_a_loaded_function_and_counts(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:rate=100kpps,seq=1", "gen:count=0,seq=1");
	uint64_t id = deploy(bench.card, image_wire(1), 3);
	await(bench.card, id, 0, 1000);
	struct receipt *receipt = swap(bench.card, 0, 3);
	assert_int_equal(receipt->old_generation, id);
	assert_int_equal(receipt->new_generation, 0);
	struct card_counters in = counters_of(bench.card, id, 0);
	struct card_counters out = counters_of(bench.card, id, 1);
	assert_true(in.packets >= 1000);
	assert_int_equal(in.verdict_packets[XDP_REDIRECT], in.packets);
	assert_int_equal(in.bytes, in.packets * 60);
	assert_int_equal(out.tx_packets, in.packets);
	assert_int_equal(out.tx_bytes, in.bytes);
	assert_int_equal(out.packets, 0);
	assert_int_equal(in.instructions, in.packets * 9);
	assert_true(latency_quantile(out.latency, 0.5) > 0);
	struct card_port port = port_state(bench.card, 1);
	assert_int_equal(port.stats.seq_packets, in.packets);
	assert_int_equal(port.stats.seq_lost, 0);
	assert_int_equal(port.total.tx_packets, in.packets);
	bench_close(&bench);
}

static void tells_in_a_receipt_what_a_swap_did(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:rate=200kpps", "gen:count=0");
	uint64_t first = deploy(bench.card, image_wire(1), 3);
	await(bench.card, first, 0, 10);
	uint64_t second = load(bench.card, image_stamp(2), 3, false);
	assert_int_equal(port_state(bench.card, 0).idle, second);
	struct receipt receipt = *swap(bench.card, second, 3);
	assert_int_equal(receipt.sequence, 2);
	assert_int_equal(receipt.old_generation, first);
	assert_int_equal(receipt.new_generation, second);
	assert_string_equal(receipt.new_tag, "run");
	assert_int_equal(receipt.ports, 3);
	assert_int_equal(receipt.port_count, 2);
	assert_int_equal(receipt.lost, 0);
	assert_true(receipt.load_begin_ns <= receipt.load_end_ns);
	assert_true(receipt.load_end_ns <= receipt.swap_ns);
	assert_true(receipt.swap_ns <= receipt.done_ns);
	assert_int_equal(receipt.map_count, 1);
	assert_string_equal(receipt.map[0].name, "ids");
	assert_false(receipt.map[0].carried);
	await(bench.card, second, 0, 10);
	assert_int_equal(bench.card->ops->receipt(bench.card, 2, &receipt, NULL), 0);
	assert_true(receipt.port[0].last_old_ns && receipt.port[0].first_new_ns);
	assert_true(receipt.port[0].last_old_ns <= receipt.port[0].first_new_ns);
	assert_int_equal(receipt.port[1].first_new_ns, 0); // no packet came by port 1
	struct card_port port = port_state(bench.card, 0);
	assert_int_equal(port.active, second);
	assert_int_equal(port.idle, 0);
	struct error err;
	assert_int_equal(bench.card->ops->receipt(bench.card, 3, &receipt, &err), -ENOENT);
	bench_close(&bench);
}

static void swaps_at_the_instant_asked_for(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:rate=200kpps", "null");
	uint64_t id = load(bench.card, image_wire(1), 3, false);
	static struct receipt receipt;
	uint64_t at = clock_ns() + 20 * NS_PER_MS;
	assert_int_equal(bench.card->ops->swap(bench.card, id, 3, at, &receipt, NULL), 0);
	assert_in_range(receipt.swap_ns, at, at + 500 * NS_PER_MS);
	at = clock_ns() + 3 * NS_PER_S;
	assert_int_equal(bench.card->ops->swap(bench.card, 0, 3, at, &receipt, NULL), -EINVAL);
	bench_close(&bench);
}

static void refuses_what_it_cannot_do_and_goes_on(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:rate=100kpps", "null");
	struct card *card = bench.card;
	uint64_t active = deploy(card, image_wire(1), 3), id = 77;
	struct error err;
	static struct receipt receipt;
	struct image *image = image_wire(2), *invalid = image_invalid();
	struct card_load options = {.ports = 4};
	assert_int_equal(card->ops->load(card, image, &options, &id, &err), -ENODEV);
	assert_non_null(strstr(err.text, "port 2"));
	options.ports = 0;
	assert_int_equal(card->ops->load(card, image, &options, &id, &err), -EINVAL);
	options.ports = 3;
	assert_int_equal(card->ops->load(card, invalid, &options, &id, &err), -EINVAL);
	assert_int_equal(id, 77);
	assert_int_equal(card->ops->swap(card, 77, 3, 0, &receipt, &err), -ENOENT);
	assert_int_equal(card->ops->unload(card, active, &err), -EBUSY);
	assert_int_equal(card->ops->unload(card, 77, &err), -ENOENT);
	uint64_t before = counters_of(card, active, 0).packets;
	await(card, active, 0, before + 10);
	assert_int_equal(port_state(card, 0).active, active);
	image_free(&image);
	image_free(&invalid);
	bench_close(&bench);
}

static void replaces_an_idle_generation_by_the_next_load(void **state)
{
	struct bench bench;
	bench_open(&bench, "null", "null");
	uint64_t first = load(bench.card, image_wire(1), 3, false);
	uint64_t second = load(bench.card, image_wire(2), 1, false);
	static struct receipt receipt;
	assert_int_equal(bench.card->ops->swap(bench.card, first, 3, 0, &receipt, NULL), -ENOENT);
	assert_int_equal(bench.card->ops->unload(bench.card, second, NULL), 0);
	assert_int_equal(port_state(bench.card, 0).idle, 0);
	bench_close(&bench);
}

static void runs_different_functions_on_different_ports(void **state)
{
	struct bench bench;
	const char *specs[] = {"gen:rate=50kpps", "gen:rate=50kpps"};
	bench_open_with(&bench, specs, 2, 2);
	uint64_t drop = deploy(bench.card, image_count(XDP_DROP), 1);
	uint64_t pass = deploy(bench.card, image_count(XDP_PASS), 2);
	await(bench.card, drop, 0, 10);
	await(bench.card, pass, 1, 10);
	assert_true(counters_of(bench.card, drop, 0).verdict_packets[XDP_DROP] > 0);
	assert_true(counters_of(bench.card, pass, 1).verdict_packets[XDP_PASS] > 0);
	assert_int_equal(counters_of(bench.card, pass, 0).packets, 0);
	bench_close(&bench);
}

static void aborts_a_redirect_to_a_port_of_another_function(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:rate=50kpps", "null");
	uint64_t id = deploy(bench.card, image_wire(1), 1);
	await(bench.card, id, 0, 10);
	struct card_counters counters = counters_of(bench.card, id, 0);
	assert_true(counters.faults[FAULT_REDIRECT] > 0);
	assert_int_equal(port_state(bench.card, 1).stats.tx_packets, 0);
	bench_close(&bench);
}

static void tells_where_a_function_faults(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:rate=50kpps", "null");
	uint64_t id = deploy(bench.card, image_fault(), 3);
	await(bench.card, id, 0, 10);
	for (int retired = 0; retired < 2; retired++) {
		static struct card_counters counters[PORTS_MAX];
		struct card_fault faults[CARD_FAULTS_MAX];
		uint32_t count = 0;
		assert_int_equal(
		        bench.card->ops->counters(bench.card, id, counters, faults, &count, NULL),
		        0);
		assert_int_equal(count, 1);
		assert_int_equal(faults[0].fault, FAULT_READ);
		assert_true(faults[0].count > 0);
		if (retired)
			assert_int_equal(faults[0].count, counters[0].verdict_packets[XDP_ABORTED]);
		assert_string_equal(faults[0].place, "fault+1");
		assert_non_null(strstr(faults[0].text, "r1"));
		deploy(bench.card, image_wire(1), 3); // its image is freed by the second one
		deploy(bench.card, image_wire(2), 3);
	}
	bench_close(&bench);
}

static void a_function_that_loops_for_ever_does_not_stop_its_neighbour(void **state)
{
	struct bench bench;
	const char *specs[] = {
	        "gen:rate=10kpps", "null", "gen:rate=20kpps,seq=1", "gen:count=0,seq=1"};
	bench_open_with(&bench, specs, 4, 1);
	uint64_t loop = deploy(bench.card, image_loop(), 3);
	uint64_t wire = deploy(bench.card, image_wire(1), 12);
	uint64_t before = counters_of(bench.card, wire, 3).tx_packets;
	sleep_ms(1000);
	struct card_counters counters = counters_of(bench.card, loop, 0);
	assert_true(counters.faults[FAULT_BUDGET] > 0);
	uint64_t moved = counters_of(bench.card, wire, 3).tx_packets - before;
	if (moved < 3000) // of 20,000; without pacing it would be under 1,000
		fail_msg("only %llu packets of the neighbour moved", (unsigned long long)moved);
	assert_int_equal(port_state(bench.card, 3).stats.seq_lost, 0);
	swap(bench.card, 0, 3);
	bench_close(&bench);
}

static void copies_a_packet_that_leaves_by_several_ports(void **state)
{
	struct bench bench;
	const char *specs[] = {"gen:rate=20kpps", "null", "null", "null"};
	for (uint32_t workers = 1; workers <= 2; workers++) {
		bench_open_with(&bench, specs, 4, workers);
		uint64_t id = deploy(bench.card, image_flood(), 15);
		await(bench.card, id, 0, 200);
		swap(bench.card, 0, 15);
		sleep_ms(50);
		uint64_t packets = counters_of(bench.card, id, 0).packets;
		assert_true(packets > 100);
		for (uint32_t port = 1; port < 4; port++)
			assert_int_equal(counters_of(bench.card, id, port).tx_packets, packets);
		assert_int_equal(counters_of(bench.card, id, 0).tx_packets, 0);
		bench_close(&bench);
	}
}

static void reads_and_writes_maps(void **state)
{
	struct bench bench;
	bench_open(&bench, "null", "null");
	struct card *card = bench.card;
	uint64_t id = load(card, image_stamp(5), 3, false);
	struct card_map maps[4];
	uint32_t count = 0, done = 0, key = 0, value = 41, got = 0;
	assert_int_equal(card->ops->maps(card, id, maps, 4, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(maps[0].shape.name, "ids");
	assert_int_equal(maps[0].shape.key_size, 4);
	assert_int_equal(maps[0].io_size, 4);
	card_map_free(&maps[0]);
	struct card_entry entries[2] = {{&key, &value}, {&value, &value}};
	struct error err;
	assert_int_equal(
	        card->ops->map_apply(card, id, 0, CARD_MAP_UPDATE, 0, entries, 2, &done, &err),
	        -E2BIG);
	assert_int_equal(done, 1); // the second is beyond the array's end
	assert_int_equal(card->ops->map_lookup(card, id, 0, &key, &got, NULL), 0);
	assert_int_equal(got, 41);
	assert_int_equal(card->ops->map_lookup(card, id, 0, &value, &got, NULL), -ENOENT);
	uint32_t pairs[4];
	assert_int_equal(
	        card->ops->map_dump(card, id, 0, NULL, pairs, sizeof(pairs), &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(pairs[0], 0);
	assert_int_equal(pairs[1], 41);
	assert_int_equal(
	        card->ops->map_dump(card, id, 0, &key, pairs, sizeof(pairs), &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(card->ops->map_lookup(card, id, 9, &key, &got, &err), -ENOENT);
	assert_int_equal(
	        card->ops->map_consume(card, id, 0, pairs, sizeof(pairs), &got, &err), -ENOTSUP);
	bench_close(&bench);
}

// BPF_F_RDONLY and BPF_F_WRONLY are about the control side, whatever programs may do.
static void keeps_to_the_access_that_a_map_grants(void **state)
{
	struct bench bench;
	bench_open(&bench, "null", "null");
	struct card *card = bench.card;
	struct image *image = image_stamp(5);
	image->maps[0].flags = BPF_F_RDONLY;
	uint64_t id = load(card, image, 3, false);
	uint32_t key = 0, value = 41, pairs[4], done, count;
	const struct card_entry entry = {&key, &value};
	assert_int_equal(
	        card->ops->map_apply(card, id, 0, CARD_MAP_UPDATE, 0, &entry, 1, &done, NULL),
	        -EPERM);
	assert_int_equal(
	        card->ops->map_apply(card, id, 0, CARD_MAP_DELETE, 0, &entry, 1, &done, NULL),
	        -EPERM);
	assert_int_equal(card->ops->map_lookup(card, id, 0, &key, &value, NULL), 0);
	image = image_stamp(5);
	image->maps[0].flags = BPF_F_WRONLY;
	id = load(card, image, 3, false);
	assert_int_equal(
	        card->ops->map_apply(card, id, 0, CARD_MAP_UPDATE, 0, &entry, 1, &done, NULL), 0);
	assert_int_equal(card->ops->map_lookup(card, id, 0, &key, &value, NULL), -EPERM);
	assert_int_equal(
	        card->ops->map_dump(card, id, 0, NULL, pairs, sizeof(pairs), &count, NULL), -EPERM);
	bench_close(&bench);
}

static uint64_t counted(struct card *card, uint64_t id)
{
	uint32_t key = 0;
	uint64_t value = 0;
	assert_int_equal(card->ops->map_lookup(card, id, 0, &key, &value, NULL), 0);
	return value;
}

static void carries_maps_when_asked(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:count=30000,rate=100kpps", "null");
	uint64_t first = deploy(bench.card, image_count(XDP_DROP), 3);
	await_finished(bench.card, 0);
	uint64_t before = counted(bench.card, first);
	assert_true(before > 0);
	uint64_t second = load(bench.card, image_count(XDP_PASS), 3, true);
	struct receipt *receipt = swap(bench.card, second, 3);
	assert_true(receipt->map[0].carried);
	assert_int_equal(counted(bench.card, second), before);
	uint64_t third = deploy(bench.card, image_count(XDP_PASS), 3);
	assert_int_equal(counted(bench.card, third), 0);
	assert_int_equal(counted(bench.card, second), before); // still readable: last retired
	bench_close(&bench);
}

static void keeps_totals_over_the_cards_life(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:count=2000,rate=100kpps", "null");
	for (uint32_t i = 0; i < 100; i++) // more than are kept
		deploy(bench.card, image_count(i % 2 ? XDP_DROP : XDP_PASS), 3);
	await_finished(bench.card, 0);
	struct card_port port = port_state(bench.card, 0);
	assert_int_equal(port.total.packets, 2000);
	assert_int_equal(
	        port.total.verdict_packets[XDP_PASS] + port.total.verdict_packets[XDP_DROP], 2000);
	static struct card_generation list[200];
	uint32_t count = 0;
	assert_int_equal(bench.card->ops->generations(bench.card, list, 200, &count, NULL), 0);
	assert_in_range(count, 60, 70);
	struct error err;
	static struct card_counters counters[PORTS_MAX];
	struct card_fault faults[CARD_FAULTS_MAX];
	assert_int_equal(
	        bench.card->ops->counters(bench.card, 1, counters, faults, &count, &err), -ENOENT);
	bench_close(&bench);
}

static void hands_out_lines_of_trace_printk(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:count=20,rate=200pps", "null");
	uint64_t id = deploy(bench.card, image_trace(), 3);
	await(bench.card, id, 0, 2);
	char text[256];
	uint32_t got = 0;
	assert_int_equal(bench.card->ops->trace(bench.card, text, sizeof(text), &got, NULL), 0);
	assert_true(got >= 7);
	assert_memory_equal(text, "packet\n", 7);
	bench_close(&bench);
}

static void loses_and_reorders_nothing_over_many_swaps(void **state)
{
	struct bench bench;
	bench_open(&bench, "gen:seq=1,flows=4", "gen:seq=1,flows=4"); // as fast as possible
	uint64_t old = deploy(bench.card, image_wire(0), 3), lost = 0;
	for (uint32_t i = 1; i <= 1000; i++) {
		uint64_t id = load(bench.card, image_wire(i), 3, false);
		struct receipt *receipt = swap(bench.card, id, 3);
		assert_int_equal(receipt->old_generation, old);
		lost += receipt->lost;
		old = id;
	}
	assert_int_equal(lost, 0);
	for (uint32_t number = 0; number < 2; number++) {
		struct card_port port = port_state(bench.card, number);
		assert_true(port.stats.seq_packets > 1000);
		assert_int_equal(port.stats.seq_lost, 0);
		assert_int_equal(port.stats.seq_reordered, 0);
		assert_int_equal(port.stats.seq_duplicate, 0);
		assert_int_equal(port.total.tx_dropped, 0);
	}
	bench_close(&bench);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(says_what_it_is_and_what_ports_it_has),
	        cmocka_unit_test(passes_everything_before_the_first_swap),
	        cmocka_unit_test(forwards_by_a_loaded_function_and_counts),
	        cmocka_unit_test(tells_in_a_receipt_what_a_swap_did),
	        cmocka_unit_test(swaps_at_the_instant_asked_for),
	        cmocka_unit_test(refuses_what_it_cannot_do_and_goes_on),
	        cmocka_unit_test(replaces_an_idle_generation_by_the_next_load),
	        cmocka_unit_test(runs_different_functions_on_different_ports),
	        cmocka_unit_test(aborts_a_redirect_to_a_port_of_another_function),
	        cmocka_unit_test(tells_where_a_function_faults),
	        cmocka_unit_test(a_function_that_loops_for_ever_does_not_stop_its_neighbour),
	        cmocka_unit_test(copies_a_packet_that_leaves_by_several_ports),
	        cmocka_unit_test(reads_and_writes_maps),
	        cmocka_unit_test(keeps_to_the_access_that_a_map_grants),
	        cmocka_unit_test(carries_maps_when_asked),
	        cmocka_unit_test(keeps_totals_over_the_cards_life),
	        cmocka_unit_test(hands_out_lines_of_trace_printk),
	        cmocka_unit_test(loses_and_reorders_nothing_over_many_swaps),
	};
	through_client = argc > 1 && strcmp(argv[1], "client") == 0;
	if (argc > 2 && (!engine_kind_of(argv[2], &kind) || !engine_kind_offered(kind)))
		return 77; // no native engine for this machine
	return cmocka_run_group_tests(tests, NULL, NULL);
}
