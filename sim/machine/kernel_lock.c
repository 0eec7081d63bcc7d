#include "machine/kernel_lock.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine/clock_internal.h"
#include "machine/fiber.h"
#include "machine/image.h"
#include "machine/parallel.h"
#include "machine/runner.h"

#define SPINS 200
#define GIVEN_NS 50000 /* for those who wait to take the lock before we come again */

enum { LOCK_FREE, LOCK_HELD, LOCK_AWAITED /* held, and somebody may sleep on it */ };

struct kernel_lock {
    uint32_t word;
};

void kernel_lock_init(void)
{
    machine->kernel_lock = image_alloc(sizeof(*machine->kernel_lock));
}

static bool try_lock(struct kernel_lock *lock)
{
    uint32_t expected = LOCK_FREE;

    return __atomic_compare_exchange_n(&lock->word, &expected, LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void kernel_lock_acquire_always(void)
{
    struct kernel_lock *lock = machine->kernel_lock;

    for (unsigned spins = 0; spins < SPINS; spins++) {
        if (try_lock(lock))
            return;
        __builtin_ia32_pause();
    }
    while (__atomic_exchange_n(&lock->word, LOCK_AWAITED, __ATOMIC_ACQUIRE) != LOCK_FREE)
        syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, LOCK_AWAITED, NULL, NULL, 0);
}

void kernel_lock_acquire(void)
{
    kernel_lock_acquire_always();
    if (parallel_must_stop())
        parallel_stop();
}

void kernel_lock_release(void)
{
    struct kernel_lock *lock = machine->kernel_lock;

    if (__atomic_exchange_n(&lock->word, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_AWAITED)
        syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    parallel_wake_noted();
}

void kernel_lock_yield(void)
{
    const uint32_t *word = &machine->kernel_lock->word;
    uint64_t end;

    parallel_wake_noted(); /* who does not leave the kernel for long keeps nobody asleep */
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != LOCK_AWAITED)
        return;
    kernel_lock_release();
    end = clock_host() + GIVEN_NS;
    while (__atomic_load_n(word, __ATOMIC_RELAXED) == LOCK_FREE && clock_host() < end)
        sched_yield();
    kernel_lock_acquire();
}

/* ---- flows of control ---- */

/* The flag is up before the lock is held and after it is gone: what finds it down finds a thread without the lock. */

struct fiber *kernel_lock_enter(void)
{
    struct runner *runner = runner_current();

    if (runner == NULL || runner->fiber->in_kernel)
        return NULL;
    kernel_lock_return(runner->fiber);
    return runner->fiber;
}

void kernel_lock_leave(struct fiber *fiber)
{
    kernel_lock_release();
    fiber->in_kernel = false;
    parallel_crossed(true);
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

struct fiber *kernel_lock_leave_if_inside(void)
{
    struct runner *runner = runner_current();

    if (runner == NULL || !runner->fiber->in_kernel)
        return NULL;
    kernel_lock_leave(runner->fiber);
    return runner->fiber;
}

void kernel_lock_return(struct fiber *fiber)
{
    parallel_crossed(false);
    fiber->in_kernel = true;
    kernel_lock_acquire();
}
