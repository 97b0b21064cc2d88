// SPDX-License-Identifier: Apache-2.0
// The burst loop: for each packet the windows are set, the program runs, and what it held is
// released. What a packet costs beyond its instructions is a few dozen stores: the stack is zeroed
// only as far as the one before wrote it.
#include "engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/access.h"
#include "engine/helpers.h"
#include "engine/interpreter.h"
#include "engine/native/native.h"
#include "map/map.h"

#define LOCK_PATIENCE 200u // sleeps of 0.1 ms

// The stamp behind xdp_md (design: the context is exactly 32 bytes).
struct context {
	struct xdp_md md;
	uint64_t arrival_ns;
};
_Static_assert(sizeof(struct context) == CONTEXT_SIZE, "context");

const char *fault_name(enum fault fault)
{
	static const char *const names[FAULT_COUNT] = {
	        [FAULT_NONE] = "none",
	        [FAULT_READ] = "read outside every window",
	        [FAULT_WRITE] = "write outside every window, or into what is read only",
	        [FAULT_BUDGET] = "instruction budget spent",
	        [FAULT_CALL_DEPTH] = "over 8 stack frames deep",
	        [FAULT_HELPER] = "helper given a pointer, size or handle that is not one",
	        [FAULT_REDIRECT] = "redirect to a port that the function does not own",
	        [FAULT_VERDICT] = "returned a number that is no verdict",
	        [FAULT_EXPLICIT] = "returned XDP_ABORTED",
	        [FAULT_INSTRUCTION] = "instruction that is not one",
	};
	return (unsigned)fault < FAULT_COUNT ? names[fault] : "unknown";
}

bool engine_kind_offered(enum engine_kind kind)
{
	return kind != ENGINE_NATIVE || native_offered();
}

static int make_windows(struct engine *engine, struct error *err)
{
	uint32_t context, stack, keys;
	int r = space_map(engine->space, CONTEXT_SIZE, &context, err);
	if (r)
		return r;
	engine->context = context;
	r = space_map(engine->space, FRAMES_MAX * STACK_FRAME, &stack, err);
	if (r)
		return r;
	engine->stack_top = (uint64_t)stack + FRAMES_MAX * STACK_FRAME;
	engine->stack_dirty = engine->stack_top;
	r = space_map(engine->space, FRAMES_MAX * KEY_SLOT, &keys, err);
	if (r)
		return r;
	engine->keys = keys;
	return 0;
}

int engine_new(struct space *space, const struct engine_options *options, struct engine **engine,
        struct error *err)
{
	if (!engine_kind_offered(options->kind))
		return error_set(err, ENOTSUP,
		        "no native engine for this machine's instructions: take the interpreter");
	struct engine *new = calloc(1, sizeof(*new));
	if (!new)
		return error_set(err, ENOMEM, "out of memory for an engine");
	new->space = space;
	new->is_native = options->kind != ENGINE_INTERPRETER;
	new->base = space_base(space);
	new->options = *options;
	new->random = options->random;
	if (!new->random && getrandom(&new->random, sizeof(new->random), 0) < 0)
		new->random = 1;
	new->random |= 1; // xorshift's only bad state is 0
	const uint64_t *secret = space_secret(space);
	for (uint32_t i = 0; i < ARRAY_SIZE(new->cookie_keys); i++)
		new->cookie_keys[i] = options->random ? options->random + i : secret[i];
	new->scratch = malloc(SCRATCH_SIZE);
	int r = new->scratch ? make_windows(new, err)
	                     : error_set(err, ENOMEM, "out of memory for an engine");
	if (r) {
		engine_free(&new);
		return r;
	}
	*engine = new;
	return 0;
}

void engine_free(struct engine **engine)
{
	struct engine *it = *engine;
	if (!it)
		return;
	if (it->context)
		space_unmap(it->space, (uint32_t)it->context);
	if (it->stack_top)
		space_unmap(it->space, (uint32_t)(it->stack_top - FRAMES_MAX * STACK_FRAME));
	if (it->keys)
		space_unmap(it->space, (uint32_t)it->keys);
	free(it->scratch);
	free(it);
	*engine = NULL;
}

const struct engine_stats *engine_stats(const struct engine *engine)
{
	return &engine->stats;
}

void helper_refresh_packet(struct engine *engine)
{
	const struct packet *packet = engine->packet;
	struct context *context = (struct context *)(engine->base + engine->context);
	engine->packet_start = packet->frame + packet->data;
	engine->packet_size = (uint64_t)packet->end - packet->data;
	engine->packet_end = packet->frame + packet->end;
	engine->meta_start = packet->frame + packet->meta;
	engine->meta_size = (uint64_t)packet->data - packet->meta;
	context->md.data = packet->frame + packet->data;
	context->md.data_end = packet->frame + packet->end;
	context->md.data_meta = packet->frame + packet->meta;
}

// As every run finds it, however the one before ended.
static void reset(struct engine *engine)
{
	engine->program = &engine->generation->programs[engine->generation->image->entry];
	engine->tail_calls = 0;
	engine->tail_target = NULL;
	engine->fault = FAULT_NONE;
	engine->fault_insn = NULL;
	engine->fault_address = 0;
	engine->redirect = REDIRECT_NONE;
	engine->keys_used = 0;
	access_leave_frame(engine, 0);
}

static void begin(struct engine *engine, struct generation *generation)
{
	engine->generation = generation;
	engine->budget = (int64_t)generation->budget;
	reset(engine);
	access_enter_frame(engine, 0);
	engine->stats.packets++;
}

static void abort_verdict(const struct engine *engine, struct verdict *verdict)
{
	verdict->verdict = XDP_ABORTED;
	verdict->fault = (uint8_t)engine->fault;
	verdict->address = engine->fault_address;
	if (engine->fault_insn) {
		const struct program *program = engine->fault_program;
		verdict->program = (uint16_t)(program - engine->generation->programs);
		verdict->insn = (uint32_t)(engine->fault_insn - program->insns);
	}
}

static void read_verdict(
        struct engine *engine, const struct packet *packet, struct verdict *verdict)
{
	switch (verdict->result) {
	case XDP_ABORTED:
		verdict->fault = FAULT_EXPLICIT;
		break;
	case XDP_DROP:
	case XDP_PASS:
		verdict->verdict = (uint8_t)verdict->result;
		break;
	case XDP_TX:
		verdict->verdict = XDP_TX;
		verdict->ports = 1ull << (packet->port % PORTS_MAX);
		break;
	case XDP_REDIRECT:
		helper_redirect_verdict(engine, verdict);
		break;
	default:
		verdict->fault = FAULT_VERDICT;
		break;
	}
}

void engine_verdict(
        struct engine *engine, struct packet *packet, struct verdict *verdict, uint64_t r0)
{
	*verdict = (struct verdict){.verdict = XDP_ABORTED, .result = (uint32_t)r0};
	if (engine->fault) {
		verdict->result = 0;
		abort_verdict(engine, verdict);
	} else {
		read_verdict(engine, packet, verdict);
	}
	if (verdict->ports)
		packet->out = (uint8_t)__builtin_ctzll(verdict->ports);
}

static void interpret_packet(struct engine *engine, struct generation *generation,
        struct packet *packet, struct verdict *verdict)
{
	struct context *context = (struct context *)(engine->base + engine->context);
	engine->packet = packet;
	engine->exposed = packet->meta;
	helper_refresh_packet(engine);
	context->md.ingress_ifindex = packet->port + 1u;
	context->arrival_ns = packet->arrival_ns;
	begin(engine, generation);
	uint64_t r[REGISTERS] = {[1] = engine->context, [10] = engine->stack_top};
	interpret(engine, engine->program->insns, r);
	helper_release(engine);
	engine_verdict(engine, packet, verdict, r[0]);
}

// Emitted code goes through the burst, and comes back for packets that fault.
static void run_native(struct engine *engine, struct generation *generation, struct packet *packets,
        struct verdict *verdicts, uint32_t count)
{
	engine->generation = generation;
	engine->stats.packets += count;
	reset(engine);
	native_ahead(engine, generation->native, packets, count);
	for (uint32_t i = 0; i < count; i++) {
		reset(engine);
		native_burst(engine, generation->native, &packets[i], &verdicts[i], count - i);
		if (!engine->fault)
			break;
		i = (uint32_t)(engine->packet - packets);
		helper_release(engine);
		engine_verdict(engine, &packets[i], &verdicts[i], 0);
	}
}

void engine_run(struct engine *engine, struct generation *generation, struct packet *packets,
        struct verdict *verdicts, uint32_t count)
{
	struct context *context = (struct context *)(engine->base + engine->context);
	// Another generation may stand where one that was freed since the last burst stood.
	engine->window = NULL;
	engine->patience = LOCK_PATIENCE;
	context->md.rx_queue_index = 0;
	context->md.egress_ifindex = 0;
	map_enter();
	if (engine->is_native && generation->native) {
		run_native(engine, generation, packets, verdicts, count);
	} else {
		for (uint32_t i = 0; i < count; i++)
			interpret_packet(engine, generation, &packets[i], &verdicts[i]);
	}
	map_leave();
}

int engine_call(struct engine *engine, struct generation *generation, uint32_t address,
        uint32_t size, struct verdict *verdict, uint64_t *result)
{
	engine->packet = NULL;
	engine->window = NULL;
	engine->patience = LOCK_PATIENCE;
	engine->packet_start = engine->packet_size = engine->packet_end = 0;
	engine->meta_size = 0;
	engine->memory_start = address;
	engine->memory_size = size;
	memset(engine->base + engine->context, 0, CONTEXT_SIZE);
	begin(engine, generation);
	uint64_t r[REGISTERS] = {[1] = address, [2] = size, [10] = engine->stack_top};
	map_enter();
	bool done = engine->is_native && generation->native && generation->is_bare
	                    ? native_call(engine, generation->native, r)
	                    : interpret(engine, engine->program->insns, r);
	map_leave();
	helper_release(engine);
	engine->memory_size = 0;
	*verdict = (struct verdict){.verdict = XDP_ABORTED, .result = done ? (uint32_t)r[0] : 0};
	if (!done) {
		abort_verdict(engine, verdict);
		return -EFAULT;
	}
	*result = r[0];
	return 0;
}

void engine_clock(struct engine *engine, uint64_t fixed_ns)
{
	engine->options.fixed_ns = fixed_ns;
}
