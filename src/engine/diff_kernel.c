// SPDX-License-Identifier: Apache-2.0
#include "engine/diff_kernel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "ebpf/opcode.h"
#include "engine/diff.h"
#include "engine/random_program.h"

struct diff_kernel {
	int fds[RANDOM_KERNEL_MAPS];
};

struct diff_kernel *diff_kernel_new(void)
{
	struct diff_kernel *new = calloc(1, sizeof(*new));
	if (!new)
		return NULL;
	memset(new->fds, -1, sizeof(new->fds));
	for (uint32_t i = 0; i < RANDOM_KERNEL_MAPS; i++) {
		const struct image_map *map = &random_maps[i];
		LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = map->flags);
		new->fds[i] = bpf_map_create((enum bpf_map_type)map->type, "diff", map->key_size,
		        map->value_size, map->max_entries, &options);
		if (new->fds[i] < 0) {
			diff_kernel_free(&new);
			return NULL;
		}
	}
	return new;
}

void diff_kernel_free(struct diff_kernel **kernel)
{
	if (!*kernel)
		return;
	for (uint32_t i = 0; i < RANDOM_KERNEL_MAPS; i++) {
		if ((*kernel)->fds[i] >= 0)
			close((*kernel)->fds[i]);
	}
	free(*kernel);
	*kernel = NULL;
}

// Loads the program with the kernel's maps and says which it names; -1 where the verifier refuses.
static int load(const struct diff_kernel *kernel, const struct random_program *program, bool used[])
{
	static struct bpf_insn insns[RANDOM_INSNS_MAX];
	memcpy(insns, program->insns, program->count * sizeof(insns[0]));
	for (uint32_t i = 0; i < program->count; i++) {
		struct bpf_insn *insn = &insns[i];
		if (!insn_is_lddw(insn))
			continue;
		i++;
		if (insn->src_reg != BPF_PSEUDO_MAP_FD && insn->src_reg != BPF_PSEUDO_MAP_VALUE)
			continue;
		if ((uint32_t)insn->imm >= RANDOM_KERNEL_MAPS)
			return -1;
		used[insn->imm] = true;
		insn->imm = kernel->fds[insn->imm];
	}
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "diff", "GPL", insns, program->count, NULL);
}

static void clear_map(int fd, const struct image_map *map)
{
	uint8_t key[64], zeros[64] = {0};
	if (map->type == BPF_MAP_TYPE_ARRAY) {
		for (uint32_t i = 0; i < map->max_entries; i++)
			bpf_map_update_elem(fd, &i, zeros, BPF_ANY);
		return;
	}
	while (bpf_map_get_next_key(fd, NULL, key) == 0)
		bpf_map_delete_elem(fd, key);
}

struct entry {
	uint32_t map;
	uint8_t bytes[72]; // key, value, zeros
};

// What both can say.
struct summary {
	uint32_t result, size, count;
	uint8_t packet[FRAME_SIZE];
	struct entry entries[128];
};

static int by_content(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct entry));
}

static struct entry *add_entry(struct summary *summary, uint32_t map)
{
	if (summary->count == sizeof(summary->entries) / sizeof(summary->entries[0]))
		abort();
	struct entry *entry = &summary->entries[summary->count++];
	memset(entry, 0, sizeof(*entry));
	entry->map = map;
	return entry;
}

static void read_map(struct summary *summary, uint32_t index, int fd)
{
	uint8_t key[64], next[64];
	uint32_t key_size = random_maps[index].key_size;
	for (int r = bpf_map_get_next_key(fd, NULL, next); !r;
	        r = bpf_map_get_next_key(fd, key, next)) {
		memcpy(key, next, sizeof(key));
		struct entry *entry = add_entry(summary, index);
		memcpy(entry->bytes, key, key_size);
		bpf_map_lookup_elem(fd, key, entry->bytes + key_size);
	}
}

static void run(const struct diff_kernel *kernel, int fd, const bool used[], const uint8_t *packet,
        struct summary *summary)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet,
	        .data_size_in = RANDOM_PACKET_SIZE, .data_out = summary->packet,
	        .data_size_out = sizeof(summary->packet), .repeat = 1);
	for (uint32_t i = 0; i < RANDOM_KERNEL_MAPS; i++) {
		if (used[i])
			clear_map(kernel->fds[i], &random_maps[i]);
	}
	if (bpf_prog_test_run_opts(fd, &options)) {
		perror("BPF_PROG_TEST_RUN");
		exit(1);
	}
	summary->result = options.retval;
	summary->size = options.data_size_out;
	for (uint32_t i = 0; i < RANDOM_KERNEL_MAPS; i++) {
		if (used[i])
			read_map(summary, i, kernel->fds[i]);
	}
	qsort(summary->entries, summary->count, sizeof(summary->entries[0]), by_content);
}

static void summarize(const struct diff_outcome *ours, struct summary *summary)
{
	uint32_t map;
	const void *data;
	summary->result = ours->result;
	summary->size = diff_packet(ours, summary->packet);
	for (size_t at = 0, size; diff_entry(ours, &at, &map, &data, &size);)
		memcpy(add_entry(summary, map)->bytes, data, size < 72 ? size : 72);
	qsort(summary->entries, summary->count, sizeof(summary->entries[0]), by_content);
}

static void print_entry(FILE *to, const char *who, const struct entry *entry)
{
	uint32_t key = random_maps[entry->map].key_size, value = random_maps[entry->map].value_size;
	fprintf(to, "map %u, %s:", entry->map, who);
	for (uint32_t i = 0; i < key + value; i++)
		fprintf(to, "%s%02x", i == key ? " -> " : " ", entry->bytes[i]);
	fprintf(to, "\n");
}

static void print_difference(FILE *to, const struct summary *kernel, const struct summary *ours)
{
	fprintf(to, "r0: kernel %#x, ours %#x; size: kernel %u, ours %u\n", kernel->result,
	        ours->result, kernel->size, ours->size);
	for (uint32_t i = 0; i < kernel->size && i < ours->size; i++) {
		if (kernel->packet[i] != ours->packet[i])
			fprintf(to, "packet byte %u: kernel %02x, ours %02x\n", i,
			        kernel->packet[i], ours->packet[i]);
	}
	uint32_t k = 0, o = 0;
	while (k < kernel->count || o < ours->count) {
		int order = k == kernel->count ? 1
		            : o == ours->count ? -1
		                               : by_content(&kernel->entries[k], &ours->entries[o]);
		if (order < 0)
			print_entry(to, "the kernel only", &kernel->entries[k]);
		else if (order > 0)
			print_entry(to, "here only", &ours->entries[o]);
		k += order <= 0;
		o += order >= 0;
	}
}

enum diff_kernel_answer diff_kernel_compare(struct diff_kernel *kernel,
        const struct random_program *program, const uint8_t *packet,
        const struct diff_outcome *ours, FILE *to)
{
	static struct summary theirs, mine;
	bool used[RANDOM_KERNEL_MAPS] = {0};
	int fd = load(kernel, program, used);
	if (fd < 0)
		return KERNEL_REFUSES;
	memset(&theirs, 0, sizeof(theirs));
	memset(&mine, 0, sizeof(mine));
	run(kernel, fd, used, packet, &theirs);
	close(fd);
	summarize(ours, &mine);
	bool same = theirs.result == mine.result && theirs.size == mine.size &&
	            theirs.count == mine.count &&
	            memcmp(theirs.packet, mine.packet, mine.size) == 0 &&
	            memcmp(theirs.entries, mine.entries, mine.count * sizeof(mine.entries[0])) == 0;
	if (ours->loaded && !ours->fault && same)
		return KERNEL_AGREES;
	if (to && !ours->loaded)
		fprintf(to, "the kernel accepts what we refuse\n");
	else if (to && ours->fault)
		fprintf(to, "the kernel runs what faults here: %u\n", ours->fault);
	else if (to)
		print_difference(to, &theirs, &mine);
	return KERNEL_DIFFERS;
}
