// SPDX-License-Identifier: Apache-2.0
// An engine runs a generation's program over packets. It owns a context window and a stack window;
// one thread drives it at a time. Every access is checked against the windows (context: 32 bytes,
// of which xdp_md is 24 and the arrival stamp, u64 ns, the last 8; packet: exactly [data,
// data_end), and [data_meta, data); the stack frames in use; values of the generation's maps). A
// miss aborts that packet with a reason and the instruction; engine and generation go on.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/packet.h"

struct engine;
struct error;
struct generation;
struct image;
struct space;

enum fault {
	FAULT_NONE,
	FAULT_READ,        // outside every window
	FAULT_WRITE,       // outside, or into what is read only
	FAULT_BUDGET,      // instruction budget spent
	FAULT_CALL_DEPTH,  // over 8 frames
	FAULT_HELPER,      // a helper was given a pointer, size or handle that is not one
	FAULT_REDIRECT,    // to a port that the function does not own, or that does not exist
	FAULT_VERDICT,     // the program returned a number that is no verdict
	FAULT_EXPLICIT,    // the program returned XDP_ABORTED itself
	FAULT_INSTRUCTION, // cannot happen in a checked program
	FAULT_COUNT,
};
const char *fault_name(enum fault fault); // "read outside every window"

// What became of a packet. verdict is enum xdp_action; for XDP_TX and XDP_REDIRECT, ports is the
// mask of ports that it leaves by (several for BPF_F_BROADCAST).
struct verdict {
	uint8_t verdict, fault; // fault is set only with XDP_ABORTED
	uint16_t program;       // where it faulted: index into the image's programs
	uint32_t insn;          // and the instruction there
	uint32_t result;        // R0 as the program left it; 0 where it faulted
	uint64_t address;       // the address of a read or write fault
	uint64_t ports;
};

struct engine_stats {
	uint64_t packets, instructions, helper_calls;
};

// All kinds give the same verdicts, bytes, maps, faults and counters.
enum engine_kind {
	ENGINE_BEST, // native where this machine's instructions are known, else the interpreter
	ENGINE_INTERPRETER, // the reference
	ENGINE_NATIVE,      // compiled to machine code
};
bool engine_kind_offered(enum engine_kind kind); // on this machine

struct engine_options {
	enum engine_kind kind;
	uint32_t number;   // below generation_options.engine_count
	uint64_t fixed_ns; // if not 0, what the clock helpers answer (tests, `raio test`)
	uint64_t random;   // if not 0, the seed of bpf_get_prandom_u32
	void (*trace)(void *context, const char *line); // bpf_trace_printk; may be NULL
	void *trace_context;
	// bpf_fib_lookup: fills `params` as the kernel does and returns BPF_FIB_LKUP_RET_…, or
	// -errno. NULL: every look-up answers BPF_FIB_LKUP_RET_NOT_FWDED.
	int (*fib)(void *context, struct bpf_fib_lookup *params, uint32_t flags);
	// bpf_check_mtu: MTU of a port's interface, 0 where it has none. NULL: none has.
	uint32_t (*mtu)(void *context, uint32_t ifindex);
	void *fib_context; // of both
};

int engine_new(struct space *space, const struct engine_options *options, struct engine **engine,
        struct error *err);
void engine_free(struct engine **engine);

// Runs the generation's entry program over `count` packets, at most BURST_MAX, each on its own,
// with R1 = context and zeroed registers. Packets' data, end and meta are updated as the program
// moved them. rx_queue_index is 0.
void engine_run(struct engine *engine, struct generation *generation, struct packet *packets,
        struct verdict *verdicts, uint32_t count);
// Runs the entry program with R1 = `address` and R2 = `size`, a block of the space that it may read
// and write, instead of a packet; helpers that need one fault. R0 into *result. Returns -EFAULT
// where it faulted, and *verdict says how.
int engine_call(struct engine *engine, struct generation *generation, uint32_t address,
        uint32_t size, struct verdict *verdict, uint64_t *result);
// From now the clock helpers answer `fixed_ns`, as engine_options.fixed_ns; 0 = the clock again.
void engine_clock(struct engine *engine, uint64_t fixed_ns);
const struct engine_stats *engine_stats(const struct engine *engine);
