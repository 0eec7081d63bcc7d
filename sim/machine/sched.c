#include "machine/sched.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/backtrace.h"
#include "machine/clock.h"
#include "machine/clock_internal.h"
#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/machine.h"
#include "machine/parallel.h"
#include "machine/peer_internal.h"
#include "machine/point.h"
#include "machine/policy.h"
#include "machine/runner.h"
#include "machine/vcpu.h"

#define PAUSES_BEFORE_BACKOFF 16

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
    struct runner_table table;
    struct runner *current;
    struct fiber host;
    uint64_t points;
    uint64_t switches;
    const void *address; /* of the last access that was a switch point */
    bool frozen;         /* a bugcheck: the current runner goes on alone */
    bool paused;         /* the host's stack goes on; the current runner stands still in sched_pause() */
    struct task *reaped; /* a task that has ended and whose stack can go once we are off it */
    bool task_runs;
    uint64_t task_since; /* it does */
    uint64_t task_time;  /* of those before */
};

void sched_init(void)
{
    struct sched_state *sched = image_alloc(sizeof(*sched));

    machine->sched = sched;
    policy_init();
    if (engine_is_parallel())
        parallel_init();
    fiber_adopt_host(&sched->host);
}

struct runner *runner_current(void)
{
    return engine_is_parallel() ? parallel_current() : machine->sched->current;
}

void sched_settle(void)
{
    struct sched_state *sched = machine->sched;
    struct point *point = point_state();

    if (point->passed == 0)
        return;
    sched->points += point->passed;
    sched->current->since_pause += (unsigned)point->passed;
    policy_passed(sched->current, point->passed);
    point->passed = 0;
}

/* The current runner may be another one after this, or none. */
static void leave_current(void)
{
    sched_settle();
    point_look();
}

uint64_t sched_points(void)
{
    sched_settle();
    return machine->sched->points;
}

uint64_t sched_switches(void)
{
    return machine->sched->switches;
}

const struct runner_table *runner_table(void)
{
    return &machine->sched->table;
}

void runner_add(struct runner *runner, bool is_vcpu, const char *name)
{
    struct runner_table *table = &machine->sched->table;
    unsigned id;

    for (id = 0; id < table->count && table->slot[id] != NULL; id++)
        ;
    if (id == RUNNERS_MAX)
        fail("limit", "more than %u vCPUs and dom0 tasks", RUNNERS_MAX);
    if (id == table->count)
        table->count++;
    table->slot[id] = runner;
    runner->id = id;
    runner->is_vcpu = is_vcpu;
    snprintf(runner->name, sizeof(runner->name), "%s", name);
    policy_add(runner);
}

static void runner_remove(struct runner *runner)
{
    machine->sched->table.slot[runner->id] = NULL;
}

void runner_begins(const struct runner *runner)
{
    struct sched_state *sched = machine->sched;

    if (runner->is_vcpu)
        return;
    sched->task_runs = true;
    sched->task_since = clock_now();
}

void runner_ends(void)
{
    struct sched_state *sched = machine->sched;

    if (sched->task_runs)
        sched->task_time += clock_now() - sched->task_since;
    sched->task_runs = false;
}

uint64_t sched_task_time(void)
{
    const struct sched_state *sched = machine->sched;

    return sched->task_time + (sched->task_runs ? clock_now() - sched->task_since : 0);
}

void runner_remove_vcpus(void)
{
    const struct runner_table *table = runner_table();

    point_look();
    if (engine_is_parallel())
        parallel_stop_vcpus();
    for (unsigned index = 0; index < table->count; index++)
        if (table->slot[index] != NULL && table->slot[index]->is_vcpu)
            runner_remove(table->slot[index]);
}

void runner_start_vcpus(void)
{
    if (engine_is_parallel())
        parallel_start_vcpus();
}

void runner_wake(struct runner *runner)
{
    if (engine_is_parallel()) {
        parallel_wake(runner);
        return;
    }
    if (runner->held) {
        runner->woken = true;
        return;
    }
    if (runner->runnable)
        return;
    runner->runnable = true;
    runner->pauses = 0;
    policy_wake(runner);
}

void runner_hold(struct runner *runner)
{
    runner->held = true;
    if (engine_is_parallel()) {
        ke_interrupt_for_stop(runner);
        return;
    }
    if (runner == machine->sched->current)
        fail("internal", "%s is to stand still, and runs", runner->name);
    runner->woken = runner->runnable;
    runner->runnable = false;
}

void runner_let_go(struct runner *runner)
{
    runner->held = false;
    if (engine_is_parallel())
        parallel_let_go(runner);
    else if (runner->woken)
        runner_wake(runner);
    runner->woken = false;
}

bool runner_stands(const struct runner *runner)
{
    return runner->held && (!engine_is_parallel() || runner->stands || !runner->runnable);
}

/* ---- choosing ---- */

static struct runner *choose(struct sched_state *sched)
{
    return sched->frozen ? sched->current : policy_choose();
}

static void describe_task(FILE *out, const struct runner *runner)
{
    void *frames[32];
    char *stack = backtrace_text(frames, fiber_backtrace(runner->fiber, frames, 32));

    fprintf(out, "task %s: %s\n%s", runner->name, runner->runnable ? "can run" : runner->why, stack);
    free(stack);
}

char *sched_describe(bool waits)
{
    const struct runner_table *table = runner_table();
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        abort();
    for (unsigned index = 0; index < table->count; index++)
        if (table->slot[index] != NULL && table->slot[index]->is_vcpu)
            ke_describe_vcpu(out, table->slot[index]);
    for (unsigned index = 0; index < table->count && waits; index++)
        if (table->slot[index] != NULL && !table->slot[index]->is_vcpu)
            describe_task(out, table->slot[index]);
    if (waits)
        ke_describe_threads(out);
    if (fclose(out) != 0)
        abort();
    return text;
}

_Noreturn void sched_no_progress(void)
{
    fail("no-progress", "nothing can run and no time-out is pending");
}

/* Leave the current runner for the one that the policy wants; returns when the current one is chosen again. */
static void switch_to(struct sched_state *sched, struct runner *next)
{
    struct runner *previous = sched->current;

    leave_current();
    runner_ends();
    policy_chosen(next, previous);
    runner_begins(next);
    if (next == previous)
        return;
    sched->switches++;
    sched->current = next;
    eventlog_add(EVENT_RUNNER, next->id, 0, 0);
    fiber_switch(previous->fiber, next->fiber);
    vcpu_running();
}

void sched_reap(void)
{
    struct sched_state *sched = machine->sched;
    struct task *task = sched->reaped;

    if (task != NULL && &task->runner != runner_current()) {
        sched->reaped = NULL;
        fiber_destroy(&task->fiber);
    }
}

static struct runner *next_runner(struct sched_state *sched)
{
    struct runner *next;

    while ((next = choose(sched)) == NULL)
        if (!(machine->peer != NULL ? peers_wait() : clock_advance()))
            sched_no_progress();
    return next;
}

void runner_block(const char *why)
{
    struct sched_state *sched = machine->sched;
    struct runner *current = sched->current;

    if (engine_is_parallel()) {
        parallel_block(why);
        return;
    }
    leave_current();
    runner_ends();
    current->runnable = false;
    current->why = why;
    current->pauses = 0;
    policy_blocks(current);
    switch_to(sched, next_runner(sched));
    sched_reap();
}

_Noreturn void runner_exit(void)
{
    struct sched_state *sched = machine->sched;
    struct runner *current = runner_current();
    struct runner *next;

    leave_current();
    runner_ends();
    current->runnable = false;
    policy_blocks(current);
    runner_remove(current);
    if (engine_is_parallel())
        parallel_exit();
    next = next_runner(sched);
    runner_begins(next);
    sched->switches++;
    sched->current = next;
    eventlog_add(EVENT_RUNNER, next->id, 0, 0);
    fiber_leave(current->fiber, next->fiber);
}

void runner_switch_fiber(struct fiber *from, struct fiber *to)
{
    if (engine_is_parallel()) {
        parallel_switch_fiber(from, to);
        return;
    }
    machine->sched->current->fiber = to;
    fiber_switch(from, to);
}

/*
 * A runner that spins makes no progress by itself; the more it has spun, the longer its pauses get, so that a spin on
 * the clock ends soon in host time too.
 */
static void pause_runner(struct runner *current)
{
    if (current->since_pause > 12)
        current->pauses = 0;
    current->since_pause = 0;
    current->pauses++;
    if (current->pauses <= PAUSES_BEFORE_BACKOFF)
        return;
    if (machine->peer != NULL && peers_owe()) {
        peers_pause(); /* it spins until a program answers: that takes none of the machine's time */
    } else {
        unsigned shift = (current->pauses - PAUSES_BEFORE_BACKOFF) / 8;

        clock_charge(UINT64_C(50) << (shift < 8 ? shift : 8));
    }
}

/* Up to which time the points of the current runner need no look (point.h). */
static void set_limit(const struct sched_state *sched)
{
    struct point *point = point_state();
    struct runner *current = sched->current;
    uint64_t quiet;

    if (!current->is_vcpu || sched->frozen || machine->config.clock == CLOCK_WALL || !policy_is_quiet()) {
        point->limit = 0;
        return;
    }
    quiet = ke_quiet_until(current);
    if (quiet > current->slice_end)
        quiet = current->slice_end;
    if (quiet > peers_look_at())
        quiet = peers_look_at();
    point->current = current;
    point->limit = quiet < clock_next() ? quiet : clock_next();
}

void sched_point(enum sched_point kind)
{
    struct sched_state *sched;
    struct runner *current;

    if (engine_is_parallel()) {
        parallel_point(kind);
        return;
    }
    if (machine == NULL || machine->sched == NULL || machine->sched->current == NULL)
        return;
    sched = machine->sched;
    current = sched->current;
    sched_settle();
    sched->points++;
    clock_charge(point_cost[kind]);
    if (clock_due())
        clock_fire_due();
    if (peers_look_at() <= clock_now() && !sched->frozen)
        peers_look();
    if (kind == POINT_PAUSE)
        pause_runner(current);
    else
        current->since_pause++;
    if (policy_wants_choice(current, kind)) {
        switch_to(sched, choose(sched));
        sched_reap();
    }
    if (current->is_vcpu)
        ke_attention();
    set_limit(sched);
}

void sched_memory_point(const void *address)
{
    if (machine->sched == NULL || machine->sched->current == NULL || !machine->sched->current->is_vcpu)
        return;
    machine->sched->address = address;
    sched_point(POINT_MEMORY);
}

const void *sched_memory_address(void)
{
    return machine->sched->address;
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
    struct runner *current = runner_current();

    if (current == NULL || current->is_vcpu || (engine_is_parallel() && !parallel_is_task(current)))
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
    if (engine_is_parallel())
        parallel_freeze();
}

static struct runner *first_runner(struct sched_state *sched)
{
    struct runner *first = next_runner(sched);

    sched->current = first;
    policy_chosen(first, NULL);
    runner_begins(first);
    return first;
}

bool sched_run(void)
{
    struct sched_state *sched = machine->sched;
    struct runner *runner;

    if (engine_is_parallel()) {
        parallel_run();
        return false;
    }
    runner = sched->paused ? sched->current : first_runner(sched);

    sched->paused = false;
    fiber_adopt_host(&sched->host);
    fiber_switch(&sched->host, runner->fiber);
    return sched->paused;
}

void sched_pause(void)
{
    struct sched_state *sched = machine->sched;

    leave_current();
    sched->paused = true;
    fiber_switch(sched->current->fiber, &sched->host);
}

_Noreturn void sched_leave(void)
{
    struct sched_state *sched = machine->sched;
    struct fiber *from;

    if (engine_is_parallel())
        parallel_leave();
    leave_current();
    from = sched->current->fiber;
    sched->current = NULL;
    fiber_leave(from, &sched->host);
}
