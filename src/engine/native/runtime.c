// SPDX-License-Identifier: Apache-2.0
// The C that emitted code calls: the ways out of what it can do itself.
#include <stdlib.h>

#include "base/log.h"
#include "engine/access.h"
#include "engine/helpers.h"
#include "engine/interpreter.h"
#include "engine/native/compile.h"
#include "engine/native/native.h"

// Windows and context from the packet's descriptor; emitted code keeps only what it needs itself.
void native_refresh(struct engine *engine)
{
	if (engine->packet)
		helper_refresh_packet(engine);
}

void native_release(struct engine *engine)
{
	helper_release(engine);
}

// Host address of an access that was not proven, or NULL. A proven one is asked for in tests only.
uint8_t *native_access(struct engine *engine, uint64_t address, uint64_t what)
{
	native_refresh(engine);
	uint64_t size = what & 0xff;
	uint8_t *host = what & ACCESS_WRITE ? access_write(engine, address, size)
	                                    : access_read(engine, address, size);
	if (!host && (what & ACCESS_VERIFY)) {
		log_error("an access at %#llx of %llu bytes was proven, and misses every window",
		        (unsigned long long)address, (unsigned long long)size);
		abort();
	}
	return host;
}

// Goes on in the interpreter until this frame ends. 0: it did, and r[0] is its result; else a
// fault.
uint64_t native_resume(struct engine *engine, uint64_t *r, uint64_t program, uint64_t insn)
{
	native_refresh(engine);
	engine->program = &engine->generation->programs[program];
	return !interpret(engine, &engine->program->insns[insn], r);
}

// A helper at `insn` has faulted.
void native_fault(struct engine *engine, uint64_t program, uint64_t insn)
{
	if (engine->fault_insn)
		return;
	engine->fault_program = &engine->generation->programs[program];
	engine->fault_insn = &engine->fault_program->insns[insn];
}

// The frame at engine->depth must read as zeros.
void native_clean(struct engine *engine)
{
	access_enter_frame(engine, (uint32_t)engine->depth);
}
