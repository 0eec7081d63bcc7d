#include "machine/kernel_lock.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine/fiber.h"
#include "machine/image.h"
#include "machine/runner.h"

#define SPINS 200
#define PATIENCE 3 /* sleeps in vain before the others have to stand back */

enum { LOCK_FREE, LOCK_HELD, LOCK_AWAITED /* held, and somebody may sleep on it */ };

struct kernel_lock {
    uint32_t word;
    uint32_t impatient; /* waiters who come before everybody else */
};

void kernel_lock_init(void)
{
    machine->kernel_lock = image_alloc(sizeof(*machine->kernel_lock));
}

static bool try_lock(struct kernel_lock *lock)
{
    uint32_t expected = LOCK_FREE;

    return __atomic_load_n(&lock->impatient, __ATOMIC_RELAXED) == 0 &&
           __atomic_compare_exchange_n(&lock->word, &expected, LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void lock_slowly(struct kernel_lock *lock)
{
    unsigned slept = 0;

    for (;;) {
        if (slept < PATIENCE && __atomic_load_n(&lock->impatient, __ATOMIC_RELAXED) != 0) {
            sched_yield();
            continue;
        }
        if (__atomic_exchange_n(&lock->word, LOCK_AWAITED, __ATOMIC_ACQUIRE) == LOCK_FREE)
            break;
        syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, LOCK_AWAITED, NULL, NULL, 0);
        if (++slept == PATIENCE)
            __atomic_fetch_add(&lock->impatient, 1, __ATOMIC_RELAXED);
    }
    if (slept >= PATIENCE)
        __atomic_fetch_sub(&lock->impatient, 1, __ATOMIC_RELAXED);
}

void kernel_lock_acquire(void)
{
    struct kernel_lock *lock = machine->kernel_lock;

    for (unsigned spins = 0; spins < SPINS; spins++) {
        if (try_lock(lock))
            return;
        __builtin_ia32_pause();
    }
    lock_slowly(lock);
}

void kernel_lock_release(void)
{
    struct kernel_lock *lock = machine->kernel_lock;

    if (__atomic_exchange_n(&lock->word, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_AWAITED)
        syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void kernel_lock_yield(void)
{
    if (__atomic_load_n(&machine->kernel_lock->word, __ATOMIC_RELAXED) != LOCK_AWAITED)
        return;
    kernel_lock_release();
    kernel_lock_acquire();
}

/* ---- flows of control ---- */

struct fiber *kernel_lock_enter(void)
{
    struct runner *runner = runner_current();

    if (runner == NULL || runner->fiber->in_kernel)
        return NULL;
    kernel_lock_acquire();
    runner->fiber->in_kernel = true;
    return runner->fiber;
}

void kernel_lock_leave(struct fiber *fiber)
{
    fiber->in_kernel = false;
    kernel_lock_release();
}

/* The code of the simulator: the program itself. Drivers are modules. */
static bool is_own_code(const void *routine)
{
    extern const char __executable_start[];
    extern const char etext[];

    return (const char *)routine >= __executable_start && (const char *)routine < etext;
}

struct fiber *kernel_lock_leave_for(const void *routine)
{
    struct runner *runner = runner_current();

    if (runner == NULL || !runner->fiber->in_kernel || is_own_code(routine))
        return NULL;
    kernel_lock_leave(runner->fiber);
    return runner->fiber;
}

void kernel_lock_return(struct fiber *fiber)
{
    kernel_lock_acquire();
    fiber->in_kernel = true;
}
