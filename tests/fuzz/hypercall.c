/*
 * Fuzz target: hypercalls with any argument (tests/xen/random_calls.h). Each decision of the generator is two bytes of
 * the input; afterwards Xen must still work.
 */
#include "fuzz/input.h"
#include "xen/random_calls.h"

/* The generator draws from the upper bits. */
static uint64_t next(void)
{
    uint64_t two = input_take(2);

    return two << 11 | two << 27 | two << 48;
}

static void steps(void)
{
    random_calls_begin(next);
    while (!input_ended()) {
        (void)random_step(); /* most do nothing but refuse */
        domain0_works();
    }
    assert_alive();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_run(data, size, steps);
    return 0;
}
