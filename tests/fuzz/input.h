/*
 * For the fuzz targets of the hypervisor: an input is a program of the guest's (and domain 0's) steps, run in a machine
 * of its own, so that it means the same wherever it comes in the order. What goes wrong ends the process.
 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdio.h>
#include <stdlib.h>

#include "xen/xen_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    const uint8_t *data;
    size_t size;
    size_t at;
} input;

static inline bool input_ended(void)
{
    return input.at >= input.size;
}

/* The next `bytes` of the input, zeros beyond its end. */
static inline uint64_t input_take(unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++, input.at++)
        if (input.at < input.size)
            value |= (uint64_t)input.data[input.at] << 8 * i;
    return value;
}

static inline void input_enter(void *steps)
{
    ck_assert_int_eq(domain_make(GUEST_VCPUS), 1);
    ((void (*)(void))steps)();
}

/* Run the steps in a guest thread of a small machine with domain 1. */
static inline void input_run(const uint8_t *data, size_t size, void (*steps)(void))
{
    struct machine_config config = guest_config(GUEST_VCPUS);
    const struct failure *failure;

    config.ram_bytes = UINT64_C(64) << 20;
    input.data = data;
    input.size = size;
    input.at = 0;
    if (machine_run_in_guest(&config, input_enter, (void *)steps) == MACHINE_DONE)
        return;
    failure = machine_failure();
    fprintf(stderr, "the machine failed: %s %s: %s\n%s\n", failure->rule, failure->title, failure->text,
            failure->backtrace);
    abort();
}

#endif
