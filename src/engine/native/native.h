// SPDX-License-Identifier: Apache-2.0
// The native engine: a generation's programs as machine code. It behaves as the interpreter in
// everything; where it cannot go on as such (a fault, a budget that might not last) it hands the
// registers to the interpreter, which goes on from that instruction and so finds the same fault at
// the same place.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct error;
struct generation;
struct generation_options;
struct native;
struct packet;
struct verdict;

bool native_offered(void);
// Compiles all programs of a linked generation. Accepts what the interpreter accepts. Errors:
// ENOMEM. *native is NULL where this machine is not offered, or executable memory is refused or
// full: the interpreter then runs everything.
int native_new(struct generation *generation, const struct generation_options *options,
        struct native **native, struct error *err);
void native_free(struct native **native);

// Runs the entry program of a bare generation in the frame at engine->depth, with R1 to R5 from
// `r`; R0 into r[0]. False: a fault, which stands in `engine` with its place.
bool native_call(struct engine *engine, const struct native *native, uint64_t *r);
// Whether function `function` of program `program` was compiled to be called back by helpers, with
// any arguments; others, whose handle a program may have made up, are for the interpreter.
bool native_calls_back(const struct native *native, uint32_t program, uint32_t function);
bool native_call_back(struct engine *engine, const struct native *native, uint32_t program,
        uint32_t function, uint64_t *r);
// Asks for what the look-ups of a burst will read.
void native_ahead(struct engine *engine, const struct native *native, const struct packet *packets,
        uint32_t count);
// Runs the entry program over `count` packets, at least one, and gives their verdicts, up to the
// end or to the first fault, which stands in `engine`; engine->packet is the packet then.
void native_burst(struct engine *engine, const struct native *native, struct packet *packets,
        struct verdict *verdicts, uint32_t count);

// The code, for tests: `size` bytes.
const uint8_t *native_code(const struct native *native, uint32_t *size);
