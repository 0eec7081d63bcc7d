/*
 * Runners, as the scheduler and the vCPU code see them (sched.h is what everyone else uses).
 */
#ifndef MACHINE_RUNNER_H
#define MACHINE_RUNNER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "machine/fiber.h"
#include "machine/sched.h"

#define RUNNER_NAME_MAX 48
#define RUNNERS_MAX 1024

struct runner {
    struct fiber *fiber; /* the fiber that executes for it, or goes on when it is chosen */
    char name[RUNNER_NAME_MAX];
    unsigned id; /* index in the scheduler's table: position in every ordering */
    bool is_vcpu;
    bool runnable;
    bool held;         /* stands still whatever wakes it */
    bool woken;        /* while it is held: it can run afterwards */
    uint64_t place;    /* fifo: the lowest has waited longest */
    uint64_t priority; /* pct: higher runs */
    unsigned pauses;   /* consecutive spins without other work */
    unsigned since_pause;
    uint64_t slice_end;    /* fifo: when the others get their turn */
    const char *why;       /* what it waits for while it is not runnable */
    const void *where;     /* address that a spinning vCPU waits on, NULL if none */
    uint32_t signal;       /* parallel engine: counts what its sleeping host thread has to wake up for */
    uint32_t work;         /* parallel engine, a vCPU: something may be pending for it (nt/ke knows what) */
    unsigned points;       /* parallel engine: its switch points in the kernel */
    uint32_t spin_ns;      /* parallel engine: its host thread looks so long for work before it sleeps, if longer ... */
    uint64_t spin_again;   /* parallel engine: ... than usual, and if this time is over */
    uint64_t spin_penalty; /* parallel engine: after the last time that it was in vain, ns */
    bool sleeps;           /* parallel engine: its host thread may be asleep */
    bool stands;           /* parallel engine: held, and at a switch point */
    bool over;             /* parallel engine: its host thread leaves the machine where it stands */
};

/* All runners. Slots in use or passed over (NULL), in order of creation. */
struct runner_table {
    struct runner *slot[RUNNERS_MAX];
    unsigned count;
};

const struct runner_table *runner_table(void);

void runner_add(struct runner *runner, bool is_vcpu, const char *name);
/* The runner executes from now on; it does not any more. For sched_task_time(). */
void runner_begins(const struct runner *runner);
void runner_ends(void);
struct runner *runner_current(void);
/* No switch happens here. */
void runner_wake(struct runner *runner);

/*
 * Have a vCPU stand still where it is, whatever it executes, until it is let go. Not the current one. Under the
 * parallel engine it stands when runner_stands() says so: from its next switch point on.
 */
void runner_hold(struct runner *runner);
void runner_let_go(struct runner *runner);
bool runner_stands(const struct runner *runner);

/*
 * The vCPUs are gone, from a task: all of them stand still. Then others, which runner_add() has made: under the
 * parallel engine they get their host threads.
 */
void runner_remove_vcpus(void);
void runner_start_vcpus(void);

/* The current runner cannot go on: run others until it is woken. */
void runner_block(const char *why);
/* The same, and the runner is over; never returns. */
_Noreturn void runner_exit(void);
/* The fiber that executes for the current runner changes (thread switch, DPC stack): leave `from`, go on in `to`. */
void runner_switch_fiber(struct fiber *from, struct fiber *to);

/* Implemented by nt/ke: deliver what is pending on the current vCPU (called at the end of a switch point). */
void ke_attention(void);
/*
 * Implemented by nt/ke, for the parallel engine. Is something pending that the vCPU's IRQL admits (asked outside the
 * kernel)? Have it come into the kernel at its next switch point, whatever its IRQL.
 */
bool ke_wants_attention(const struct runner *runner);
void ke_interrupt_for_stop(struct runner *runner);
/* Implemented by nt/ke: as ke_attention(), and something is pending that may have been passed over before. */
void ke_attention_now(void);
/* Implemented by nt/ke: the current vCPU's thread and IRQL, or the current task. */
void ke_describe_context(char *buffer, size_t size);
/* Nothing can run, and nothing is to come: the machine fails. */
_Noreturn void sched_no_progress(void);
/* Give back the stack of a task that has ended. */
void sched_reap(void);
/* Implemented by nt/ke, on the host's stack: the state of a vCPU, a line; every guest thread with its wait and stack.
 */
void ke_describe_vcpu(FILE *out, const struct runner *runner);
void ke_describe_threads(FILE *out);

/*
 * On the host's stack, while nothing runs: the state of every vCPU; `waits` adds what every task and thread waits for
 * and their stacks. In the caller's ownership (free).
 */
char *sched_describe(bool waits);
/* Called by machine_run() on the host's stack. */
void sched_init(void);
/* True: paused, and the next call goes on. */
bool sched_run(void);
/* From inside any fiber: sched_run() returns true. */
void sched_pause(void);
/* End sched_run() from inside any fiber. */
_Noreturn void sched_leave(void);
/* The machine dies: no other runner goes on from here. */
void sched_freeze(void);

#endif
