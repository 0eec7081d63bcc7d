/*
 * The scheduler: chooses, at switch points, which runner goes on. A runner is a vCPU or a dom0 task. A vCPU executes
 * guest threads, DPCs and ISRs by the rules of nt/ke; a task is one flow of control of dom0 (netback, xenstored, the
 * toolstack, the harness).
 *
 * Deterministic engine: one host thread; runners switch only inside the calls below.
 */
#ifndef MACHINE_SCHED_H
#define MACHINE_SCHED_H

#include <stdbool.h>
#include <stdint.h>

/* What a switch point stands for; sets the virtual time that it costs and goes into statistics. */
enum sched_point {
    POINT_CALL,        /* entry of a kernel routine */
    POINT_LOCK,        /* acquiring or releasing a lock */
    POINT_IRQL,        /* a change of IRQL */
    POINT_INTERLOCKED, /* an interlocked or ordered access */
    POINT_PAUSE,       /* YieldProcessor: the caller spins, others should run */
    POINT_CLOCK,       /* a read of a clock */
    POINT_HYPERCALL,   /* a hypercall, port access, MSR access */
    POINT_DOM0,        /* a library call of a dom0 task */
    POINT_MEMORY,      /* a load or store of driver code, with --preempt=memory */
    POINT_COUNT
};

/*
 * A switch point. Charges virtual time, fires what is due, may run other runners, and on a vCPU delivers interrupts
 * that the IRQL admits (ISRs, then DPCs, then thread preemption) before it returns. Callable from any fiber; a no-op on
 * the host's stack.
 */
void sched_point(enum sched_point kind);

/* POINT_MEMORY, before an access of the current vCPU to this address. */
void sched_memory_point(const void *address);
/* The address that the last such point was for. */
const void *sched_memory_address(void);

struct task;

/*
 * dom0 tasks. The function starts when the scheduler picks the task; when it returns the task is gone.
 * park: sleep until unparked or until the clock passes `deadline` (ns, absolute; UINT64_MAX: none). An unpark that
 * comes first is remembered (one, not counted). Returns false on deadline. `why` names what is awaited, for the report
 * of a machine in which nothing can run.
 */
struct task *task_create(const char *name, void (*function)(void *), void *argument);
struct task *task_current(void); /* NULL when a vCPU runs or on the host's stack */
bool task_park(uint64_t deadline, const char *why);
void task_unpark(struct task *task);

/* For how long tasks have executed so far, ns. */
uint64_t sched_task_time(void);

/* Total switch points and runner switches so far. */
uint64_t sched_points(void);
uint64_t sched_switches(void);

#endif
