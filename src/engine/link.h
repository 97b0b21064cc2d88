// SPDX-License-Identifier: Apache-2.0
// Linking of instructions, private to the engine layer: what an image's instructions name (maps,
// functions, helpers, kfuncs) becomes what the interpreter finds without looking anything up.
#pragma once

struct error;
struct generation;

// Fills generation->programs from generation->image; maps stand. The instructions keep their
// places, so that a place in the linked program is one in the image.
int link_programs(struct generation *generation, struct error *err);
