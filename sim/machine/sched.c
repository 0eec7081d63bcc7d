#include "machine/sched.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/clock.h"
#include "machine/clock_internal.h"
#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "machine/rng.h"
#include "machine/runner.h"

#define RUNNERS_MAX 1024
#define SLICE_NS 100000u        /* fifo: longest time that others wait for a runner that does not block */
#define STARVATION_POINTS 20000 /* pct: a runner that goes on for so long without blocking gives way */
#define PCT_DEPTH 3             /* priority changes an epoch */
#define PCT_EPOCH_SHORT 5       /* an epoch has 2^5 to 2^12 switch points: races hide at every scale */
#define PCT_EPOCH_LONG 12
#define PAUSES_BEFORE_BACKOFF 16

/* What a switch point costs, in nanoseconds of virtual time; the magnitudes of a server processor. */
static const uint16_t point_cost[POINT_COUNT] = {
    [POINT_CALL] = 20,  [POINT_LOCK] = 20,  [POINT_IRQL] = 10,       [POINT_INTERLOCKED] = 10,
    [POINT_PAUSE] = 50, [POINT_CLOCK] = 25, [POINT_HYPERCALL] = 500, [POINT_DOM0] = 300,
};

struct task {
    struct runner runner;
    struct fiber fiber;
    void (*function)(void *);
    void *argument;
    struct deadline deadline;
    bool unparked;
    bool timed_out;
    bool done;
};

struct sched_state {
    struct runner *runners[RUNNERS_MAX];
    unsigned count; /* slots in use or passed over, in order of creation */
    struct runner *current;
    struct fiber host;
    uint64_t points;
    uint64_t switches;
    uint64_t order;     /* fifo: last place handed out in the queue of the runnable */
    uint64_t low;       /* pct: next priority below all others */
    uint64_t epoch_end; /* pct: switch points at which priorities are drawn anew */
    uint64_t changes[PCT_DEPTH];
    uint64_t ran_since;  /* switch points when the current runner was chosen */
    bool frozen;         /* a bugcheck: the current runner goes on alone */
    struct task *reaped; /* a task that has ended and whose stack can go once we are off it */
};

void sched_init(void)
{
    struct sched_state *sched = image_alloc(sizeof(*sched));

    sched->low = UINT64_C(1) << 32;
    machine->sched = sched;
    fiber_adopt_host(&sched->host);
}

struct runner *runner_current(void)
{
    return machine->sched->current;
}

uint64_t sched_points(void)
{
    return machine->sched->points;
}

uint64_t sched_switches(void)
{
    return machine->sched->switches;
}

bool sched_toss(unsigned n)
{
    return machine->config.policy != POLICY_FIFO && rng_below(RNG_SCHEDULE, n) == 0;
}

unsigned sched_pick(unsigned n)
{
    return machine->config.policy == POLICY_FIFO ? 0 : (unsigned)rng_below(RNG_SCHEDULE, n);
}

/* ---- priorities: under fifo the place in the queue (the lowest place first), under pct the drawn priority ---- */

static uint64_t draw_priority(void)
{
    return (UINT64_C(1) << 33) + rng_below(RNG_SCHEDULE, UINT64_C(1) << 30);
}

static void enter_queue(struct sched_state *sched, struct runner *runner)
{
    if (machine->config.policy == POLICY_FIFO)
        runner->priority = UINT64_MAX - ++sched->order;
}

/* The runner gives way to everything else that can run. */
static void give_way(struct sched_state *sched, struct runner *runner)
{
    if (machine->config.policy == POLICY_FIFO)
        enter_queue(sched, runner);
    else if (machine->config.policy == POLICY_PCT)
        runner->priority = --sched->low;
}

static void new_epoch(struct sched_state *sched)
{
    unsigned scale = PCT_EPOCH_SHORT + (unsigned)rng_below(RNG_SCHEDULE, PCT_EPOCH_LONG - PCT_EPOCH_SHORT + 1);
    uint64_t length = UINT64_C(1) << scale;

    sched->low = UINT64_C(1) << 32;
    for (unsigned index = 0; index < sched->count; index++)
        if (sched->runners[index] != NULL)
            sched->runners[index]->priority = draw_priority();
    for (unsigned index = 0; index < PCT_DEPTH; index++)
        sched->changes[index] = sched->points + 1 + rng_below(RNG_SCHEDULE, length);
    sched->epoch_end = sched->points + length;
}

static void pct_step(struct sched_state *sched)
{
    if (sched->points >= sched->epoch_end)
        new_epoch(sched);
    for (unsigned index = 0; index < PCT_DEPTH; index++)
        if (sched->changes[index] == sched->points)
            give_way(sched, sched->current);
}

void runner_add(struct runner *runner, bool is_vcpu, const char *name)
{
    struct sched_state *sched = machine->sched;
    unsigned id;

    for (id = 0; id < sched->count && sched->runners[id] != NULL; id++)
        ;
    if (id == RUNNERS_MAX)
        fail("limit", "more than %u vCPUs and dom0 tasks", RUNNERS_MAX);
    if (id == sched->count)
        sched->count++;
    sched->runners[id] = runner;
    runner->id = id;
    runner->is_vcpu = is_vcpu;
    snprintf(runner->name, sizeof(runner->name), "%s", name);
    if (machine->config.policy == POLICY_PCT)
        runner->priority = draw_priority();
}

static void runner_remove(struct runner *runner)
{
    machine->sched->runners[runner->id] = NULL;
}

void runner_wake(struct runner *runner)
{
    if (runner->runnable)
        return;
    runner->runnable = true;
    runner->pauses = 0;
    enter_queue(machine->sched, runner);
}

/* ---- choosing ---- */

static struct runner *choose_random(struct sched_state *sched)
{
    struct runner *candidates[RUNNERS_MAX];
    unsigned count = 0;

    for (unsigned index = 0; index < sched->count; index++)
        if (sched->runners[index] != NULL && sched->runners[index]->runnable)
            candidates[count++] = sched->runners[index];
    return count == 0 ? NULL : candidates[rng_below(RNG_SCHEDULE, count)];
}

static struct runner *choose_highest(struct sched_state *sched)
{
    struct runner *best = NULL;

    for (unsigned index = 0; index < sched->count; index++) {
        struct runner *runner = sched->runners[index];

        if (runner != NULL && runner->runnable && (best == NULL || runner->priority > best->priority))
            best = runner;
    }
    return best;
}

static struct runner *choose(struct sched_state *sched)
{
    if (sched->frozen)
        return sched->current;
    return machine->config.policy == POLICY_RANDOM ? choose_random(sched) : choose_highest(sched);
}

void sched_describe_waits(char *buffer, size_t size)
{
    const struct sched_state *sched = machine->sched;
    size_t length = 0;

    for (unsigned index = 0; index < sched->count && length < size; index++) {
        const struct runner *runner = sched->runners[index];

        if (runner != NULL)
            length += (size_t)snprintf(buffer + length, size - length, "  %s: %s%s\n", runner->name,
                                       runner->runnable      ? "can run"
                                       : runner->why != NULL ? runner->why
                                                             : "idle",
                                       runner->where != NULL ? " (spinning)" : "");
    }
    if (length < size)
        ke_describe_waits(buffer + length, size - length);
}

#define WAITS_MAX 2048

_Noreturn static void no_progress(void)
{
    char *waits = image_alloc(WAITS_MAX);

    sched_describe_waits(waits, WAITS_MAX);
    fail("no-progress", "nothing can run and no time-out is pending.\n%s", waits);
}

/* Leave the current runner for the one that the policy wants; returns when the current one is chosen again. */
static void switch_to(struct sched_state *sched, struct runner *next)
{
    struct runner *previous = sched->current;

    sched->ran_since = sched->points;
    next->slice_end = clock_now() + SLICE_NS;
    if (next == previous)
        return;
    sched->switches++;
    sched->current = next;
    eventlog_add(EVENT_RUNNER, next->id, 0, 0);
    fiber_switch(previous->fiber, next->fiber);
}

static void reap(struct sched_state *sched)
{
    struct task *task = sched->reaped;

    if (task != NULL && &task->runner != sched->current) {
        sched->reaped = NULL;
        fiber_destroy(&task->fiber);
    }
}

static struct runner *next_runner(struct sched_state *sched)
{
    struct runner *next;

    while ((next = choose(sched)) == NULL)
        if (!clock_advance())
            no_progress();
    return next;
}

void runner_block(const char *why)
{
    struct sched_state *sched = machine->sched;
    struct runner *current = sched->current;

    current->runnable = false;
    current->why = why;
    current->pauses = 0;
    switch_to(sched, next_runner(sched));
    reap(sched);
}

_Noreturn void runner_exit(void)
{
    struct sched_state *sched = machine->sched;
    struct runner *current = sched->current;
    struct runner *next;

    current->runnable = false;
    runner_remove(current);
    next = next_runner(sched);
    sched->switches++;
    sched->current = next;
    eventlog_add(EVENT_RUNNER, next->id, 0, 0);
    fiber_leave(current->fiber, next->fiber);
}

void runner_switch_fiber(struct fiber *from, struct fiber *to)
{
    machine->sched->current->fiber = to;
    fiber_switch(from, to);
}

/*
 * A runner that spins makes no progress by itself; the more it has spun, the longer its pauses get, so that a spin on
 * the clock ends soon in host time too.
 */
static void pause_runner(struct sched_state *sched, struct runner *current)
{
    if (current->since_pause > 12)
        current->pauses = 0;
    current->since_pause = 0;
    current->pauses++;
    if (current->pauses > PAUSES_BEFORE_BACKOFF) {
        unsigned shift = (current->pauses - PAUSES_BEFORE_BACKOFF) / 8;

        clock_charge(UINT64_C(50) << (shift < 8 ? shift : 8));
    }
    give_way(sched, current);
}

static bool wants_choice(struct sched_state *sched, struct runner *current, enum sched_point kind)
{
    switch (machine->config.policy) {
    case POLICY_FIFO:
        if (kind == POINT_PAUSE)
            return true;
        if (clock_now() < current->slice_end)
            return false;
        enter_queue(sched, current);
        return true;
    case POLICY_RANDOM:
        return kind == POINT_PAUSE || rng_below(RNG_SCHEDULE, 8) == 0;
    case POLICY_PCT:
        if (sched->points - sched->ran_since > STARVATION_POINTS) {
            give_way(sched, current);
            sched->ran_since = sched->points;
        }
        pct_step(sched);
        return true;
    }
    return true;
}

void sched_point(enum sched_point kind)
{
    struct sched_state *sched;
    struct runner *current;

    if (machine == NULL || machine->sched == NULL || machine->sched->current == NULL)
        return;
    sched = machine->sched;
    current = sched->current;
    sched->points++;
    clock_charge(point_cost[kind]);
    if (clock_due())
        clock_fire_due();
    if (kind == POINT_PAUSE)
        pause_runner(sched, current);
    else
        current->since_pause++;
    if (wants_choice(sched, current, kind)) {
        switch_to(sched, choose(sched));
        reap(sched);
    }
    if (current->is_vcpu)
        ke_attention();
}

/* ---- dom0 tasks ---- */

static void task_main(void *argument)
{
    struct task *task = argument;

    task->function(task->argument);
    task->done = true;
    machine->sched->reaped = task;
    runner_exit();
}

struct task *task_create(const char *name, void (*function)(void *), void *argument)
{
    struct task *task = image_alloc(sizeof(*task));

    task->function = function;
    task->argument = argument;
    runner_add(&task->runner, false, name);
    fiber_create(&task->fiber, task->runner.name, FIBER_TASK_STACK_SIZE, task_main, task);
    task->runner.fiber = &task->fiber;
    runner_wake(&task->runner);
    return task;
}

struct task *task_current(void)
{
    struct runner *current = machine->sched->current;

    if (current == NULL || current->is_vcpu)
        return NULL;
    return (struct task *)((char *)current - offsetof(struct task, runner));
}

static void task_timeout(void *argument)
{
    struct task *task = argument;

    task->timed_out = true;
    runner_wake(&task->runner);
}

bool task_park(uint64_t deadline, const char *why)
{
    struct task *task = task_current();

    if (task == NULL)
        fail("internal", "task_park() outside a dom0 task (%s)", why);
    task->timed_out = false;
    if (!task->unparked && deadline <= clock_now())
        task->timed_out = true;
    if (!task->unparked && !task->timed_out) {
        if (deadline != CLOCK_NEVER)
            deadline_set(&task->deadline, deadline, task_timeout, task);
        runner_block(why);
        deadline_cancel(&task->deadline);
    } else {
        sched_point(POINT_DOM0);
    }
    if (task->unparked) {
        task->unparked = false;
        return true;
    }
    return !task->timed_out;
}

void task_unpark(struct task *task)
{
    task->unparked = true;
    if (!task->done)
        runner_wake(&task->runner);
}

/* ---- the host's side ---- */

void sched_freeze(void)
{
    machine->sched->frozen = true;
}

void sched_run(void)
{
    struct sched_state *sched = machine->sched;
    struct runner *first;

    while ((first = choose(sched)) == NULL)
        if (!clock_advance())
            no_progress();
    sched->current = first;
    first->slice_end = clock_now() + SLICE_NS;
    fiber_adopt_host(&sched->host);
    fiber_switch(&sched->host, first->fiber);
}

_Noreturn void sched_leave(void)
{
    struct sched_state *sched = machine->sched;
    struct fiber *from = sched->current->fiber;

    sched->current = NULL;
    fiber_leave(from, &sched->host);
}
