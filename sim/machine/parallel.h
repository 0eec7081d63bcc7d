/*
 * The parallel engine: one host thread a vCPU, one more for all dom0 tasks, real time. The scheduler's calls (sched.h,
 * runner.h) come here when the machine has this engine. Everything runs under the kernel lock (kernel_lock.h) except
 * where it says otherwise.
 *
 * The dom0 thread also watches: it fires deadlines that are due while the vCPUs are busy or asleep, and reports a
 * machine in which nothing can run.
 */
#ifndef MACHINE_PARALLEL_H
#define MACHINE_PARALLEL_H

#include <stdbool.h>

#include "machine/runner.h"

void parallel_init(void);

/* The runner of the calling host thread, NULL on a host thread's own stack. Needs no lock. */
struct runner *parallel_current(void);
/* The same, for what is over before its fiber can move to another host thread. */
extern __thread struct runner *parallel_here;
/*
 * The same while it is a vCPU and executes outside the kernel (kernel_lock.h), else NULL, as under the deterministic
 * engine: all that a switch point there has to look at, and for what is over as soon.
 */
extern __thread struct runner *parallel_outside;
/* The current fiber has come to be inside or outside. */
void parallel_crossed(bool outside);

/* The task that executes, NULL on a vCPU and in the watch. */
bool parallel_is_task(const struct runner *runner);

/* A switch point, inside the kernel or out of it. */
void parallel_point(enum sched_point kind);
void parallel_wake(struct runner *runner);
void parallel_block(const char *why);
/* The vCPU is not held any more. */
void parallel_let_go(struct runner *runner);
/* The current task is over. */
_Noreturn void parallel_exit(void);
void parallel_switch_fiber(struct fiber *from, struct fiber *to);

/* Whether the calling host thread has to stop where it is: the machine has ended, or another runner alone goes on. */
bool parallel_must_stop(void);
/* Stop: the calling host thread leaves the machine. The kernel lock is released if held. */
_Noreturn void parallel_stop(void);

/* Called by the scheduler for machine_run(), machine_stop() and a bugcheck. */
void parallel_run(void);
_Noreturn void parallel_leave(void);
void parallel_freeze(void);

/*
 * From a task, in the kernel: every vCPU stands still, its host thread leaves the machine; and the vCPUs of the table
 * of runners get host threads.
 */
void parallel_stop_vcpus(void);
void parallel_start_vcpus(void);

/* The calling host thread has released the kernel lock, or gives others a chance: wake whom it has left asleep. */
void parallel_wake_noted(void);

/* There are peers from now on. */
void parallel_peers_opened(void);
/* The earliest deadline has become earlier. */
void parallel_deadline_moved(void);

#endif
