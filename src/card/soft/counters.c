// SPDX-License-Identifier: Apache-2.0
#include "card/soft/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/disasm.h"
#include "ebpf/image.h"

struct port_counters *port_counters_new(void)
{
	struct port_counters *counters = aligned_alloc(64, sizeof(*counters));
	if (counters)
		memset(counters, 0, sizeof(*counters));
	return counters;
}

static uint64_t fault_key(const struct verdict *verdict)
{
	return (uint64_t)verdict->fault << 56 | (uint64_t)verdict->program << 40 |
	       ((uint64_t)verdict->insn + 1);
}

void port_counters_fault(struct port_counters *counters, const struct verdict *verdict)
{
	counter_add(&counters->faults[verdict->fault < FAULT_COUNT ? verdict->fault : 0], 1);
	uint64_t key = fault_key(verdict);
	for (uint32_t i = 0; i < CARD_FAULTS_MAX; i++) {
		struct fault_row *row = &counters->rows[i];
		uint64_t found = counter_get(&row->key);
		if (!found)
			atomic_store_explicit(&row->key, key, memory_order_relaxed);
		if (!found || found == key) {
			counter_add(&row->count, 1);
			return;
		}
	}
}

void port_counters_sum(const struct port_counters *from, struct card_counters *to)
{
	to->packets += counter_get(&from->packets);
	to->bytes += counter_get(&from->bytes);
	to->instructions += counter_get(&from->instructions);
	for (uint32_t i = 0; i < 5; i++) {
		to->verdict_packets[i] += counter_get(&from->verdict_packets[i]);
		to->verdict_bytes[i] += counter_get(&from->verdict_bytes[i]);
	}
	for (uint32_t i = 0; i < FAULT_COUNT; i++)
		to->faults[i] += counter_get(&from->faults[i]);
	to->tx_packets += counter_get(&from->tx_packets);
	to->tx_bytes += counter_get(&from->tx_bytes);
	to->tx_dropped += counter_get(&from->tx_dropped);
	for (uint32_t i = 0; i < CARD_LATENCY_BINS; i++)
		to->latency[i] += counter_get(&from->latency[i]);
}

void card_counters_sum(const struct card_counters *from, struct card_counters *to)
{
	// Nothing but u64 totals: one loop over all of them.
	_Static_assert(sizeof(*from) % sizeof(uint64_t) == 0, "card_counters holds u64 only");
	const uint64_t *more = (const uint64_t *)from;
	uint64_t *sum = (uint64_t *)to;
	for (size_t i = 0; i < sizeof(*from) / sizeof(uint64_t); i++)
		sum[i] += more[i];
}

// Puts the source line where the object has lines, else the instruction, into the row.
static void fault_resolve(
        struct card_fault *fault, const struct image *image, uint32_t program, uint32_t insn)
{
	if (program >= image->program_count || insn >= image->programs[program].insn_count) {
		snprintf(fault->place, sizeof(fault->place), "program %u+%u", program, insn);
		return;
	}
	const struct image_program *code = &image->programs[program];
	image_place(code, insn, fault->place, sizeof(fault->place));
	const struct image_line *line = image_line_of(code, insn);
	if (line && line->text && *line->text)
		snprintf(fault->text, sizeof(fault->text), "%s",
		        line->text + strspn(line->text, " \t"));
	else
		disasm_insn(image, code, insn, fault->text, sizeof(fault->text));
}

void port_counters_faults(const struct port_counters *counters, const struct image *image,
        struct card_fault *faults, uint32_t *count)
{
	for (uint32_t i = 0; i < CARD_FAULTS_MAX; i++) {
		uint64_t key = counter_get(&counters->rows[i].key);
		if (!key)
			break;
		struct card_fault fault = {.count = counter_get(&counters->rows[i].count),
		        .fault = (uint8_t)(key >> 56)};
		fault_resolve(&fault, image, (uint16_t)(key >> 40),
		        (uint32_t)(key & 0xffffffffffull) - 1);
		uint32_t at = 0;
		while (at < *count &&
		        (faults[at].fault != fault.fault || strcmp(faults[at].place, fault.place) ||
		                strcmp(faults[at].text, fault.text)))
			at++;
		if (at < *count)
			faults[at].count += fault.count;
		else if (at < CARD_FAULTS_MAX)
			faults[(*count)++] = fault;
	}
}
