#include "machine/delay.h"

#include "machine/image.h"
#include "machine/machine.h"
#include "machine/rng.h"
#include "machine/schedule.h"

#define SCALES 8 /* a delay is up to the maximum, or half of it, or a quarter ... */

#define MICROSECONDS UINT64_C(1000)
#define CLOCK_TICK_NS UINT64_C(15625000)

#define LEARN "https://learn.microsoft.com/windows-hardware/drivers/"

const struct delay_rule delay_rules[DELAY_KINDS] = {
    [DELAY_DPC] = {"dpc", 1000 * MICROSECONDS,
                   "a processor's queue is worked through one DPC after the other; others may stand before this one",
                   LEARN "kernel/organization-of-dpc-queues"},
    [DELAY_DPC_QUEUE] = {"dpc-queue", CLOCK_TICK_NS,
                         "the queue is not looked at at once for a DPC of low importance, nor for one of medium "
                         "importance that goes to another processor",
                         LEARN "ddi/wdm/nf-wdm-kesetimportancedpc"},
    [DELAY_TIMER] = {"timer", CLOCK_TICK_NS,
                     "a timer is found to be due by the next tick of the system clock, later still if other "
                     "interrupts hold that up",
                     LEARN "kernel/timer-accuracy"},
    [DELAY_INTERRUPT] = {"interrupt", 100 * MICROSECONDS,
                         "while a service routine runs, interrupts of its level and those below are masked; how long "
                         "an interrupt waits is not bounded",
                         LEARN "kernel/managing-hardware-priorities"},
    [DELAY_WORK_ITEM] = {"work-item", 100000 * MICROSECONDS,
                         "a pool of threads works through the queue, one item each at a time; nothing is said of when "
                         "an item's turn comes",
                         LEARN "kernel/system-worker-threads"},
    [DELAY_COMPLETION] = {"completion", 10000 * MICROSECONDS,
                          "a driver below may return STATUS_PENDING and complete the request later, at up to "
                          "DISPATCH_LEVEL",
                          LEARN "ddi/wdm/nc-wdm-io_completion_routine"},
};

struct delay_state {
    uint64_t asked[DELAY_KINDS];
};

uint64_t delay_draw(enum delay_kind kind)
{
    struct delay_state *delay = machine->delay;
    uint64_t count;
    uint64_t value;

    if (machine->config.delay_ppm == 0)
        return 0;
    if (delay == NULL)
        delay = machine->delay = image_alloc(sizeof(*delay));
    count = ++delay->asked[kind];
    if (machine->config.policy == POLICY_TRACE) {
        const struct decision *decision =
            schedule_find(machine->config.schedule, DECISION_DELAY, (uint32_t)kind, count);

        return decision != NULL ? decision->value : 0;
    }
    if (rng_below(RNG_DELAY, 1000000) >= machine->config.delay_ppm)
        return 0;
    value = 1 + rng_below(RNG_DELAY, delay_rules[kind].maximum_ns >> rng_below(RNG_DELAY, SCALES));
    if (machine->config.record != NULL) {
        const struct decision decision = {DECISION_DELAY, (uint32_t)kind, count, value};

        schedule_add(machine->config.record, &decision);
    }
    return value;
}
