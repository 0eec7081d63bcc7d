/*
 * The kernel lock. Under the parallel engine every vCPU is a host thread; one lock makes the simulator (NT objects,
 * Xen's tables, the store, dom0) what it is under the deterministic engine: indivisible between two switch points.
 * Driver code runs without it, and so does dom0's own code (netback and its ends): the in-process libraries enter.
 * Under the deterministic engine there is nothing to lock, and all of this costs a test of one flag.
 *
 * Being "in the kernel" belongs to the flow of control, that is to the fiber: a thread that waits inside a routine
 * takes it along to the host thread on which it goes on.
 */
#ifndef MACHINE_KERNEL_LOCK_H
#define MACHINE_KERNEL_LOCK_H

#include <stdbool.h>

#include "machine/machine.h"

struct fiber;

static inline bool engine_is_parallel(void)
{
    return machine != NULL && machine->config.engine == ENGINE_PARALLEL;
}

/* The parallel halves of what is below. */
struct fiber *kernel_lock_enter(void);
void kernel_lock_leave(struct fiber *fiber);
struct fiber *kernel_lock_leave_for(const void *routine);
struct fiber *kernel_lock_leave_if_inside(void);
void kernel_lock_return(struct fiber *fiber);

/*
 * Enter the simulator. Returns what kernel_leave() takes: the fiber that has come in, or NULL when it was inside
 * already (routines of the kernel call each other) or there is nothing to lock. Does not return when the machine has
 * stopped.
 */
static inline struct fiber *kernel_enter(void)
{
    return engine_is_parallel() ? kernel_lock_enter() : NULL;
}

static inline void kernel_leave(struct fiber **entered)
{
    if (__builtin_expect(*entered != NULL, 0))
        kernel_lock_leave(*entered);
}

/*
 * Leave the simulator to call `routine` of a driver, and come back. Routines of the simulator's own (the built-in bus
 * drivers, its completion routines) stay inside.
 */
static inline struct fiber *kernel_callout(const void *routine)
{
    return engine_is_parallel() ? kernel_lock_leave_for(routine) : NULL;
}

static inline void kernel_callout_return(struct fiber **left)
{
    if (__builtin_expect(*left != NULL, 0))
        kernel_lock_return(*left);
}

/* Leave the simulator, if inside, for code of ours that touches nothing of it and is no switch point. */
static inline struct fiber *kernel_outside(void)
{
    return engine_is_parallel() ? kernel_lock_leave_if_inside() : NULL;
}

/* The lock itself, for the scheduler. */
void kernel_lock_init(void);
void kernel_lock_acquire(void); /* does not return when the thread has to stop */
void kernel_lock_acquire_always(void);
void kernel_lock_release(void);
void kernel_lock_yield(void); /* let somebody else have it, if anybody waits */

/* From here to the end of the block, inside the simulator. */
#define KERNEL_SCOPE()                                                                                                 \
    __attribute__((cleanup(kernel_leave), unused)) struct fiber *kernel_scope_entered = kernel_enter()

/* From here to the end of the block, outside of it. */
#define KERNEL_OUTSIDE()                                                                                               \
    __attribute__((cleanup(kernel_callout_return), unused)) struct fiber *kernel_outside_left = kernel_outside()

/*
 * Call a routine of a driver; yields its result. The arguments are evaluated outside the simulator: let nothing be
 * among them that another vCPU may change.
 */
#define KERNEL_CALLOUT(routine, ...)                                                                                   \
    __extension__({                                                                                                    \
        __attribute__((cleanup(kernel_callout_return), unused)) struct fiber *kernel_callout_left =                    \
            kernel_callout((const void *)(uintptr_t)(routine));                                                        \
        (routine)(__VA_ARGS__);                                                                                        \
    })

#endif
