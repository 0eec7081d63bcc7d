#include "machine/policy.h"

#include "machine/backtrace.h"
#include "machine/clock.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "machine/point.h"
#include "machine/rng.h"
#include "machine/schedule.h"

#define SLICE_NS 100000u  /* fifo: longest time that others wait for a runner that does not block */
#define PCT_EPOCH_SHORT 5 /* an epoch has 2^5 to 2^12 switch points: races hide at every scale */
#define PCT_EPOCH_LONG 12
#define NOBODY RUNNERS_MAX /* who decides while no runner is current: before the first */

/* What each runner has decided so far; goes on when another runner takes the place of one that is over. */
struct decisions {
    uint64_t steps; /* switch points and blockings */
    uint64_t tosses;
    uint64_t picks;
};

struct policy_state {
    uint64_t order;     /* last place handed out in the queue of those that wait their turn */
    uint64_t low;       /* pct: next priority below all others */
    uint64_t epoch_end; /* pct: switch points at which priorities are drawn anew */
    unsigned change_count;
    uint64_t changes[POLICY_PCT_DEPTH_MAX - 1]; /* pct: switch points at which the one that runs gives way */
    bool due;                                   /* fifo would choose at this step */
    enum sched_point kind;                      /* of the last step */
    struct decisions decisions[RUNNERS_MAX + 1];
};

void policy_init(void)
{
    struct policy_state *policy = image_alloc(sizeof(*policy));

    policy->low = UINT64_C(1) << 32;
    policy->change_count = (machine->config.pct_depth != 0 ? machine->config.pct_depth : POLICY_PCT_DEPTH) - 1;
    policy->due = true;
    machine->policy = policy;
}

/* ---- decisions: followed and written down ---- */

static uint32_t who_decides(void)
{
    const struct runner *current = runner_current();

    return current != NULL ? current->id : NOBODY;
}

static void note(enum decision_type type, uint32_t who, uint64_t count, uint64_t value)
{
    const struct decision decision = {type, who, count, value};

    if (machine->config.record != NULL)
        schedule_add(machine->config.record, &decision);
}

static const struct decision *told(enum decision_type type, uint32_t who, uint64_t count)
{
    return schedule_find(machine->config.schedule, type, who, count);
}

static void look(enum decision_type type, uint32_t who, uint64_t count)
{
    const struct policy_state *policy = machine->policy;

    for (unsigned index = 0; index < machine->config.probe_count; index++) {
        struct probe *probe = &machine->config.probes[index];

        if (probe->type != type || probe->count != count || probe->runner != who || probe->hit)
            continue;
        probe->hit = true;
        probe->kind = policy->kind;
        probe->other_steps = policy->decisions[probe->other].steps;
        probe->address = policy->kind == POINT_MEMORY ? sched_memory_address() : NULL;
        ke_describe_context(probe->context, sizeof(probe->context));
        probe->frame_count = backtrace_collect(probe->frames, (int)(sizeof(probe->frames) / sizeof(void *)));
    }
}

bool policy_toss(unsigned n)
{
    uint32_t who = who_decides();
    uint64_t count = ++machine->policy->decisions[who].tosses;

    if (machine->config.probe_count != 0)
        look(DECISION_TOSS, who, count);
    if (machine->config.policy == POLICY_FIFO)
        return false;
    if (machine->config.policy == POLICY_TRACE)
        return told(DECISION_TOSS, who, count) != NULL;
    if (rng_below(RNG_SCHEDULE, n) != 0)
        return false;
    note(DECISION_TOSS, who, count, 1);
    return true;
}

unsigned policy_pick(unsigned n, unsigned usual)
{
    uint32_t who = who_decides();
    uint64_t count = ++machine->policy->decisions[who].picks;
    unsigned value;

    if (machine->config.policy == POLICY_FIFO)
        return usual;
    if (machine->config.policy == POLICY_TRACE) {
        const struct decision *decision = told(DECISION_PICK, who, count);

        return decision != NULL && decision->value < n ? (unsigned)decision->value : usual;
    }
    value = (unsigned)rng_below(RNG_SCHEDULE, n);
    if (value != usual)
        note(DECISION_PICK, who, count, value);
    return value;
}

static uint64_t take_step(const struct runner *current, enum sched_point kind)
{
    uint64_t step = ++machine->policy->decisions[current->id].steps;

    machine->policy->kind = kind;
    if (machine->config.probe_count != 0)
        look(DECISION_RUN, current->id, step);
    return step;
}

void policy_passed(const struct runner *current, uint64_t points)
{
    machine->policy->decisions[current->id].steps += points;
}

bool policy_is_quiet(void)
{
    return machine->config.policy == POLICY_FIFO && machine->config.probe_count == 0;
}

/* ---- the places of fifo, kept under every policy, and the priorities of pct ---- */

static uint64_t draw_priority(void)
{
    return (UINT64_C(1) << 33) + rng_below(RNG_SCHEDULE, UINT64_C(1) << 30);
}

static void to_the_end(struct runner *runner)
{
    runner->place = ++machine->policy->order;
}

void policy_add(struct runner *runner)
{
    if (machine->config.policy == POLICY_PCT)
        runner->priority = draw_priority();
}

void policy_wake(struct runner *runner)
{
    to_the_end(runner);
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

static void pct_step(struct policy_state *policy, struct runner *current, enum sched_point kind)
{
    uint64_t points = sched_points();

    if (kind == POINT_PAUSE)
        current->priority = --policy->low;
    if (points >= policy->epoch_end)
        new_epoch(policy, points);
    for (unsigned index = 0; index < policy->change_count; index++)
        if (policy->changes[index] == points)
            current->priority = --policy->low;
}

bool policy_wants_choice(struct runner *current, enum sched_point kind)
{
    struct policy_state *policy = machine->policy;
    uint64_t step = take_step(current, kind);

    policy->due = kind == POINT_PAUSE || clock_now() >= current->slice_end;
    if (policy->due)
        to_the_end(current);
    switch (machine->config.policy) {
    case POLICY_FIFO:
        return policy->due;
    case POLICY_TRACE:
        return policy->due || told(DECISION_RUN, current->id, step) != NULL;
    case POLICY_RANDOM:
        return kind == POINT_PAUSE || rng_below(RNG_SCHEDULE, 8) == 0 || policy->due;
    case POLICY_PCT:
        pct_step(policy, current, kind);
        return true;
    }
    return true;
}

void policy_blocks(const struct runner *current)
{
    (void)take_step(current, POINT_COUNT);
    machine->policy->due = true;
}

/* ---- choosing ---- */

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

static struct runner *choose_longest_waiting(const struct runner_table *table)
{
    struct runner *best = NULL;

    for (unsigned index = 0; index < table->count; index++) {
        struct runner *runner = table->slot[index];

        if (runner != NULL && runner->runnable && (best == NULL || runner->place < best->place))
            best = runner;
    }
    return best;
}

/* What fifo would do here. */
static struct runner *usual_choice(void)
{
    return machine->policy->due ? choose_longest_waiting(runner_table()) : runner_current();
}

static struct runner *choose_as_told(void)
{
    const struct runner_table *table = runner_table();
    uint32_t who = who_decides();
    const struct decision *decision = told(DECISION_RUN, who, machine->policy->decisions[who].steps);

    if (decision != NULL && decision->value < table->count && table->slot[decision->value] != NULL &&
        table->slot[decision->value]->runnable)
        return table->slot[decision->value];
    return usual_choice();
}

struct runner *policy_choose(void)
{
    struct runner *chosen = NULL;

    switch (machine->config.policy) {
    case POLICY_FIFO:
        return usual_choice();
    case POLICY_TRACE:
        return choose_as_told();
    case POLICY_RANDOM:
        chosen = choose_random(runner_table());
        break;
    case POLICY_PCT:
        chosen = choose_highest(runner_table());
        break;
    }
    if (machine->config.record != NULL && chosen != NULL && chosen != usual_choice()) {
        uint32_t who = who_decides();

        note(DECISION_RUN, who, machine->policy->decisions[who].steps, chosen->id);
    }
    return chosen;
}

void policy_chosen(struct runner *next, const struct runner *previous)
{
    if (machine->policy->due || next != previous)
        next->slice_end = clock_now() + SLICE_NS;
}
