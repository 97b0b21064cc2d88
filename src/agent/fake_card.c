// SPDX-License-Identifier: Apache-2.0
#include "agent/fake_card.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

static struct fake_card *fake_of(struct card *card)
{
	return (struct fake_card *)card;
}

static void fake_free(struct card *card)
{
	(void)card; // the test's own
}

static int fake_info(struct card *card, struct card_info *info, struct error *err)
{
	(void)err;
	*info = (struct card_info){.kind = "fake",
	        .started_wall_ns = fake_of(card)->life,
	        .port_count = fake_of(card)->port_count};
	return 0;
}

static int fake_ports(struct card *card, struct card_port *ports, uint32_t max, uint32_t *count,
        struct error *err)
{
	struct fake_card *fake = fake_of(card);
	(void)max, (void)err;
	for (uint32_t i = 0; i < fake->port_count; i++)
		ports[i] = (struct card_port){.number = (uint8_t)i,
		        .active = fake->active[i],
		        .idle = fake->idle[i],
		        .up = true};
	*count = fake->port_count;
	return 0;
}

static int fail(int *code, struct error *err)
{
	int now = *code;
	*code = 0;
	return now ? error_set(err, now, "the test says so") : 0;
}

static int fake_load(struct card *card, const struct image *image, const struct card_load *load,
        uint64_t *id, struct error *err)
{
	struct fake_card *fake = fake_of(card);
	(void)image;
	if (fake->fail_load)
		return fail(&fake->fail_load, err);
	if (fake->count == FAKE_GENERATIONS_MAX || load->ports >> fake->port_count)
		return error_set(err, ENODEV, "no such port");
	struct card_generation *generation = &fake->generations[fake->count++];
	*generation = (struct card_generation){.id = fake->count, .ports = load->ports};
	memcpy(generation->tag, load->tag, sizeof(generation->tag));
	for (uint32_t i = 0; i < fake->port_count; i++)
		if (load->ports >> i & 1)
			fake->idle[i] = generation->id;
	fake->loads++;
	*id = generation->id;
	return 0;
}

static void retire(struct fake_card *fake, uint64_t id)
{
	if (!id)
		return;
	for (uint32_t i = 0; i < fake->port_count; i++)
		if (fake->active[i] == id)
			return;
	fake->generations[id - 1].active = false;
	fake->generations[id - 1].swapped_out_ns = fake->now_ns;
}

static int fake_swap(struct card *card, uint64_t id, uint64_t ports, uint64_t at_ns,
        struct receipt *receipt, struct error *err)
{
	struct fake_card *fake = fake_of(card);
	if (fake->fail_swap)
		return fail(&fake->fail_swap, err);
	if (id > fake->count)
		return error_set(err, ENOENT, "no such generation");
	if (at_ns > fake->now_ns)
		fake->now_ns = at_ns;
	uint64_t old = 0;
	for (uint32_t i = fake->port_count; i-- > 0;) {
		if (!(ports >> i & 1))
			continue;
		uint64_t before = fake->active[i];
		old = before ? before : old;
		fake->active[i] = id;
		fake->idle[i] = fake->idle[i] == id ? 0 : fake->idle[i];
		retire(fake, before);
	}
	*receipt = (struct receipt){.sequence = ++fake->swaps,
	        .old_generation = old,
	        .new_generation = id,
	        .swap_ns = fake->now_ns,
	        .done_ns = fake->now_ns,
	        .ports = ports};
	if (old)
		memcpy(receipt->old_tag, fake->generations[old - 1].tag, CARD_TAG_MAX);
	if (id) {
		memcpy(receipt->new_tag, fake->generations[id - 1].tag, CARD_TAG_MAX);
		fake->generations[id - 1].active = true;
		fake->generations[id - 1].swapped_in_ns = fake->now_ns;
	}
	fake->receipts[fake->swaps % FAKE_GENERATIONS_MAX] = *receipt;
	return 0;
}

static int fake_unload(struct card *card, uint64_t id, struct error *err)
{
	struct fake_card *fake = fake_of(card);
	(void)err;
	for (uint32_t i = 0; i < fake->port_count; i++)
		if (fake->idle[i] == id)
			fake->idle[i] = 0;
	return 0;
}

static bool is_held(const struct fake_card *fake, const struct card_generation *generation)
{
	for (uint32_t i = 0; i < fake->port_count; i++)
		if (fake->idle[i] == generation->id)
			return true;
	return generation->swapped_in_ns != 0;
}

static int fake_generations(struct card *card, struct card_generation *list, uint32_t max,
        uint32_t *count, struct error *err)
{
	struct fake_card *fake = fake_of(card);
	(void)err;
	*count = 0;
	for (uint32_t i = 0; i < fake->count && *count < max; i++)
		if (is_held(fake, &fake->generations[i]))
			list[(*count)++] = fake->generations[i];
	return 0;
}

static int fake_counters(struct card *card, uint64_t id, struct card_counters counters[PORTS_MAX],
        struct card_fault *faults, uint32_t *fault_count, struct error *err)
{
	(void)card, (void)id, (void)faults, (void)err;
	memset(counters, 0, PORTS_MAX * sizeof(*counters));
	counters[0].packets = 10; // a generation, so that a sum can be told from one
	*fault_count = 0;
	return 0;
}

static int fake_receipt(
        struct card *card, uint64_t sequence, struct receipt *receipt, struct error *err)
{
	struct fake_card *fake = fake_of(card);
	if (!sequence || sequence > fake->swaps)
		return error_set(err, ENOENT, "no such receipt");
	*receipt = fake->receipts[sequence % FAKE_GENERATIONS_MAX];
	return 0;
}

static int fake_maps(struct card *card, uint64_t id, struct card_map *maps, uint32_t max,
        uint32_t *count, struct error *err)
{
	(void)card, (void)id, (void)maps, (void)max, (void)err;
	*count = 0;
	return 0;
}

static const struct card_ops fake_ops = {
        .free = fake_free,
        .info = fake_info,
        .ports = fake_ports,
        .load = fake_load,
        .swap = fake_swap,
        .unload = fake_unload,
        .generations = fake_generations,
        .counters = fake_counters,
        .receipt = fake_receipt,
        .maps = fake_maps,
};

void fake_card_init(struct fake_card *fake, uint32_t port_count)
{
	memset(fake, 0, sizeof(*fake));
	fake->card.ops = &fake_ops;
	fake->port_count = port_count;
	fake->life = 1;
	fake->now_ns = 1000000000000ull;
}

void fake_card_restart(struct fake_card *fake)
{
	struct fake_card before = *fake;
	fake_card_init(fake, before.port_count);
	fake->life = before.life + 1;
	fake->now_ns = before.now_ns;
}
