/*
 * The fast half of a switch point, for the routines that drivers call most. As long as the virtual clock is below the
 * limit, nothing can come of a switch point of the current vCPU: no deadline is due, its slice and its thread's quantum
 * are not over, nothing is pending for it, and the policy draws nothing; so it only costs its time. The scheduler sets
 * the limit at the end of a full switch point; whatever could make the next one matter takes it back. It is 0 when each
 * point must be looked at: on the host's stack, in dom0's tasks, under policies that draw, with the host's clock, under
 * the parallel engine. Runs are the same, event for event, as if every point were a full one.
 */
#ifndef MACHINE_POINT_H
#define MACHINE_POINT_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"
#include "machine/runner.h"
#include "machine/sched.h"

/* The first part of the clock's state. */
struct point {
    uint64_t now; /* the virtual clock */
    uint64_t limit;
    uint64_t passed;        /* points since the last full one; sched_settle() puts them where they belong */
    struct runner *current; /* valid while the limit is not 0: then it is a vCPU */
};

static inline struct point *point_state(void)
{
    return (struct point *)machine->clock;
}

/* What a switch point costs, in nanoseconds of virtual time; the magnitudes of a server processor. */
static const uint16_t point_cost[POINT_COUNT] = {
    [POINT_CALL] = 20,  [POINT_LOCK] = 20,       [POINT_IRQL] = 10,  [POINT_INTERLOCKED] = 10, [POINT_PAUSE] = 50,
    [POINT_CLOCK] = 25, [POINT_HYPERCALL] = 500, [POINT_DOM0] = 300, [POINT_MEMORY] = 1,
};

/* Is this point over with what has been done here? Not for POINT_PAUSE. */
static inline bool point_passes(struct point *point, enum sched_point kind)
{
    uint64_t now = point->now + point_cost[kind];

    if (__builtin_expect(now >= point->limit, 0))
        return false;
    point->now = now;
    point->passed++;
    return true;
}

/* The next point must be a full one: something has come up. */
static inline void point_look(void)
{
    struct point *point = point_state();

    if (point->limit != 0) /* read without a lock under the parallel engine, and then never written */
        point->limit = 0;
}

/* A deadline has come up. */
static inline void point_look_at(uint64_t when)
{
    struct point *point = point_state();

    if (point->limit > when)
        point->limit = when;
}

/* Count what has passed. Before anything looks at counts of points or steps, and before the current runner changes. */
void sched_settle(void);

/* Implemented by nt/ke: up to which time nothing comes of a switch point of this vCPU, as far as it is concerned. */
uint64_t ke_quiet_until(const struct runner *runner);

#endif
