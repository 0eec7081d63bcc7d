/*
 * Stacks that are kept for a later report: who acquired a lock, who allocated a block. Equal ones are kept once. With
 * machine_config.stacks every acquisition and allocation keeps its stack; without, only what is rare does, and the
 * caller stands for the rest.
 */
#ifndef NT_VERIFIER_STACKS_H
#define NT_VERIFIER_STACKS_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

#define STACKS_FRAMES 24 /* innermost frames of a stack that are kept */

static inline bool stacks_wanted(void)
{
    return machine->config.stacks;
}

/* Keep the current stack, from the return address `caller` on if it is there. Returns its number, from 1. */
uint32_t stacks_capture(const void *caller);

/* The frames of a stack; returns how many there are (0 for the number 0). */
int stacks_frames(uint32_t stack, void *const **frames);

#endif
