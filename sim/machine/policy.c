#include "machine/policy.h"

#include "machine/clock.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "machine/rng.h"

#define SLICE_NS 100000u  /* fifo: longest time that others wait for a runner that does not block */
#define PCT_EPOCH_SHORT 5 /* an epoch has 2^5 to 2^12 switch points: races hide at every scale */
#define PCT_EPOCH_LONG 12

struct policy_state {
    uint64_t order;     /* fifo: last place handed out in the queue of the runnable */
    uint64_t low;       /* pct: next priority below all others */
    uint64_t epoch_end; /* pct: switch points at which priorities are drawn anew */
    unsigned change_count;
    uint64_t changes[POLICY_PCT_DEPTH_MAX - 1]; /* pct: switch points at which the one that runs gives way */
};

void policy_init(void)
{
    struct policy_state *policy = image_alloc(sizeof(*policy));

    policy->low = UINT64_C(1) << 32;
    policy->change_count = (machine->config.pct_depth != 0 ? machine->config.pct_depth : POLICY_PCT_DEPTH) - 1;
    machine->policy = policy;
}

bool policy_toss(unsigned n)
{
    return machine->config.policy != POLICY_FIFO && rng_below(RNG_SCHEDULE, n) == 0;
}

unsigned policy_pick(unsigned n)
{
    return machine->config.policy == POLICY_FIFO ? 0 : (unsigned)rng_below(RNG_SCHEDULE, n);
}

/* ---- priorities: under fifo the place in the queue (the lowest place first), under pct the drawn priority ---- */

static uint64_t draw_priority(void)
{
    return (UINT64_C(1) << 33) + rng_below(RNG_SCHEDULE, UINT64_C(1) << 30);
}

void policy_add(struct runner *runner)
{
    if (machine->config.policy == POLICY_PCT)
        runner->priority = draw_priority();
}

void policy_wake(struct runner *runner)
{
    if (machine->config.policy == POLICY_FIFO)
        runner->priority = UINT64_MAX - ++machine->policy->order;
}

void policy_give_way(struct runner *runner)
{
    if (machine->config.policy == POLICY_FIFO)
        policy_wake(runner);
    else if (machine->config.policy == POLICY_PCT)
        runner->priority = --machine->policy->low;
}

static void new_epoch(struct policy_state *policy, uint64_t points)
{
    const struct runner_table *table = runner_table();
    unsigned scale = PCT_EPOCH_SHORT + (unsigned)rng_below(RNG_SCHEDULE, PCT_EPOCH_LONG - PCT_EPOCH_SHORT + 1);
    uint64_t length = UINT64_C(1) << scale;

    policy->low = UINT64_C(1) << 32;
    for (unsigned index = 0; index < table->count; index++)
        if (table->slot[index] != NULL)
            table->slot[index]->priority = draw_priority();
    for (unsigned index = 0; index < policy->change_count; index++)
        policy->changes[index] = points + 1 + rng_below(RNG_SCHEDULE, length);
    policy->epoch_end = points + length;
}

static void pct_step(struct policy_state *policy, struct runner *current)
{
    uint64_t points = sched_points();

    if (points >= policy->epoch_end)
        new_epoch(policy, points);
    for (unsigned index = 0; index < policy->change_count; index++)
        if (policy->changes[index] == points)
            policy_give_way(current);
}

bool policy_wants_choice(struct runner *current, enum sched_point kind)
{
    switch (machine->config.policy) {
    case POLICY_FIFO:
        if (kind == POINT_PAUSE)
            return true;
        if (clock_now() < current->slice_end)
            return false;
        policy_give_way(current);
        return true;
    case POLICY_RANDOM:
        return kind == POINT_PAUSE || rng_below(RNG_SCHEDULE, 8) == 0;
    case POLICY_PCT:
        pct_step(machine->policy, current);
        return true;
    }
    return true;
}

static struct runner *choose_random(const struct runner_table *table)
{
    struct runner *candidates[RUNNERS_MAX];
    unsigned count = 0;

    for (unsigned index = 0; index < table->count; index++)
        if (table->slot[index] != NULL && table->slot[index]->runnable)
            candidates[count++] = table->slot[index];
    return count == 0 ? NULL : candidates[rng_below(RNG_SCHEDULE, count)];
}

static struct runner *choose_highest(const struct runner_table *table)
{
    struct runner *best = NULL;

    for (unsigned index = 0; index < table->count; index++) {
        struct runner *runner = table->slot[index];

        if (runner != NULL && runner->runnable && (best == NULL || runner->priority > best->priority))
            best = runner;
    }
    return best;
}

struct runner *policy_choose(void)
{
    return machine->config.policy == POLICY_RANDOM ? choose_random(runner_table()) : choose_highest(runner_table());
}

void policy_chosen(struct runner *next)
{
    next->slice_end = clock_now() + SLICE_NS;
}
