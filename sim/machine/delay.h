/*
 * Delay fuzzing: what Windows does "later" happens later than usual, within what its documentation leaves open. Each
 * postponement is drawn from a random stream of its own, so that it composes with every policy.
 */
#ifndef MACHINE_DELAY_H
#define MACHINE_DELAY_H

#include <stdint.h>

enum delay_kind {
    DELAY_DPC,        /* before a DPC runs */
    DELAY_DPC_QUEUE,  /* before a queue is looked at that needs not be at once */
    DELAY_TIMER,      /* before a timer expires */
    DELAY_INTERRUPT,  /* before an interrupt is delivered */
    DELAY_WORK_ITEM,  /* before a worker thread sees a work item */
    DELAY_COMPLETION, /* before a driver below completes a request, which is pending meanwhile */
    DELAY_KINDS
};

struct delay_rule {
    const char *kind;
    uint64_t maximum_ns;
    const char *why; /* what the documentation says of it, in our words */
    const char *page;
};

extern const struct delay_rule delay_rules[DELAY_KINDS];

/* For how long this one is postponed, in nanoseconds; 0: not at all, which is always so without --delay. */
uint64_t delay_draw(enum delay_kind kind);

#endif
