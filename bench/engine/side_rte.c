// SPDX-License-Identifier: Apache-2.0
// DPDK's rte_bpf: its verifier and its JIT. It has no maps of its own. Its programs call the
// limit's look-ups in our maps (limit.c), each compiled for its map, which is the best that they
// could call.
#include <errno.h>
#include <rte_bpf.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/space.h"
#include "limit.h"
#include "side.h"

#define SYMBOLS_MAX 32u
// Of a frame behind the packet. The verifier loses what a test of the length has proven where clang
// keeps its outcome in a register; told that there is more to read, it needs no proof.
#define SLACK 64u

struct rte_side {
	struct rte_bpf *program;
	uint64_t (*code)(void *);
	const struct limit_function *function;
	uint8_t *base;
	void *limit; // side_limit, whose maps it uses
	struct rte_bpf_xsym symbols[SYMBOLS_MAX];
	char names[SYMBOLS_MAX][64];
	uint32_t symbol_count;
};

typedef uint64_t external(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static struct rte_bpf_arg pointer(size_t size)
{
	return (struct rte_bpf_arg){.type = RTE_BPF_ARG_PTR, .size = size};
}

static struct rte_bpf_arg number(void)
{
	return (struct rte_bpf_arg){.type = RTE_BPF_ARG_RAW, .size = sizeof(uint64_t)};
}

static struct rte_bpf_xsym *add_symbol(
        struct rte_side *side, const char *verb, const char *name, void (*code)(void))
{
	char *text = side->names[side->symbol_count];
	struct rte_bpf_xsym *symbol = &side->symbols[side->symbol_count++];
	snprintf(text, sizeof(side->names[0]), "%s%s", verb, name);
	symbol->name = text;
	symbol->type = RTE_BPF_XTYPE_FUNC;
	symbol->func.val = (external *)code;
	symbol->func.ret = number();
	return symbol;
}

static void add_map(struct rte_side *side, const struct limit_map *map)
{
	struct rte_bpf_xsym *symbol =
	        add_symbol(side, "lookup_", map->name, (void (*)(void))map->lookup);
	symbol->func.nb_args = 1;
	symbol->func.args[0] = pointer(map->key_size);
	symbol->func.ret = pointer(map->value_size);
	symbol = add_symbol(side, "update_", map->name, (void (*)(void))map->update);
	symbol->func.nb_args = 3;
	symbol->func.args[0] = pointer(map->key_size);
	symbol->func.args[1] = pointer(map->value_size);
	symbol->func.args[2] = number();
	symbol = add_symbol(side, "delete_", map->name, (void (*)(void))map->remove);
	symbol->func.nb_args = 1;
	symbol->func.args[0] = pointer(map->key_size);
}

static int load_program(struct rte_side *side, const char *name, struct error *err)
{
	char path[4096];
	struct rte_bpf_jit jit;
	if (3 * side->function->map_count + 1 > SYMBOLS_MAX)
		return error_set(err, E2BIG, "%s has over %u maps", name, SYMBOLS_MAX / 3);
	for (uint32_t i = 0; i < side->function->map_count; i++)
		add_map(side, &side->function->maps[i]);
	struct rte_bpf_xsym *symbol =
	        add_symbol(side, "redirect", "", (void (*)(void))side->function->redirect);
	symbol->func.nb_args = 2;
	symbol->func.args[0] = number();
	symbol->func.args[1] = number();
	const struct rte_bpf_prm parameters = {
	        .xsym = side->symbols,
	        .nb_xsym = side->symbol_count,
	        .prog_arg = pointer(sizeof(struct limit_context) + FLOW_SIZE + SLACK),
	};
	snprintf(path, sizeof(path), "%s/rte_%s.o", BENCH_RTE, name);
	side->program = rte_bpf_elf_load(&parameters, path, "xdp");
	if (!side->program)
		return error_set(err, rte_errno ? rte_errno : EINVAL,
		        "rte_bpf does not load %s: %s", path, strerror(rte_errno));
	if (rte_bpf_get_jit(side->program, &jit) || !jit.func)
		return error_set(err, ENOTSUP, "rte_bpf has no compiler for this machine");
	side->code = jit.func;
	return 0;
}

static void rte_close(void **state)
{
	struct rte_side *side = *state;
	if (!side)
		return;
	rte_bpf_destroy(side->program);
	side_limit.close(&side->limit);
	free(side);
	*state = NULL;
}

static int rte_open(const struct load *load, void **state, struct error *err)
{
	static const struct limit_function *const functions[] = {
	        &limit_wire, &limit_lsl2, &limit_ripv4, &limit_ddos};
	struct rte_side *side = calloc(1, sizeof(*side));
	void *made = side;
	if (!side)
		return error_set(err, ENOMEM, "out of memory");
	rte_log_set_level_pattern("lib.bpf", RTE_LOG_ERR);
	side->function = functions[load->kind];
	side->base = space_base(load->space);
	int rc = side_limit.open(load, &side->limit, err);
	rc = rc ? rc : load_program(side, load_names[load->kind], err);
	if (rc)
		rte_close(&made);
	*state = made;
	return rc;
}

static void rte_burst(void *state, struct packet *packets, struct verdict *verdicts, uint32_t count)
{
	const struct rte_side *side = state;
	side->function->burst_of(side->code, side->base, packets, verdicts, count);
}

const struct side side_rte_bpf = {
        .name = "rte_bpf", .open = rte_open, .close = rte_close, .burst = rte_burst};
