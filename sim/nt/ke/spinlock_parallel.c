/*
 * Spin locks under the parallel engine: real ones. They are taken and released outside the kernel; who spins for long
 * goes to sleep there, since the host may have fewer processors than the machine, and so that a machine in which
 * everybody waits is seen as such.
 */
#include "nt/ke/ke.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine/fail.h"

#define SPINS 400

/*
 * Who lets go of a lock writes that and then reads whether anybody sleeps for it; who goes to sleep writes that and
 * then reads whether the lock is still held. Neither must read first. Sleep is rare: who goes to sleep has the host put
 * a barrier into every thread of ours (membarrier(2)), and letting go is a plain store. Where the host does not do
 * that, letting go has a barrier of its own.
 */
void ke_parallel_spin_init(void)
{
    machine->ke->sleeper_fences = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void ke_parallel_spin_fence(void)
{
    if (machine->ke->sleeper_fences && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
        fail("host-barrier", "the host refuses a barrier that it has promised (membarrier): %s", strerror(errno));
}

static bool try_take(PKSPIN_LOCK lock, KSPIN_LOCK mine)
{
    KSPIN_LOCK expected = 0;

    return __atomic_compare_exchange_n(lock, &expected, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool spin(PKSPIN_LOCK lock, KSPIN_LOCK mine)
{
    for (unsigned turn = 0; turn < SPINS; turn++) {
        KSPIN_LOCK value = __atomic_load_n(lock, __ATOMIC_RELAXED);

        if (value == 0 && try_take(lock, mine))
            return true;
        if (value == mine)
            ke_spin_recursive(lock);
        __builtin_ia32_pause();
    }
    return false;
}

static bool is_free(const void *lock)
{
    return __atomic_load_n((const KSPIN_LOCK *)lock, __ATOMIC_SEQ_CST) == 0;
}

static void sleep_for(PKSPIN_LOCK lock)
{
    KERNEL_SCOPE();

    ke_spin_wait_unless(lock, is_free, lock);
}

void ke_parallel_spin_acquire(PKSPIN_LOCK lock)
{
    const struct vcpu *vcpu = ke_vcpu_here();
    KSPIN_LOCK mine = vcpu->index + 1;

    while (!try_take(lock, mine)) {
        KSPIN_LOCK value = __atomic_load_n(lock, __ATOMIC_RELAXED);

        ke_spin_check(lock, value);
        if (value == mine)
            ke_spin_recursive(lock);
        /* The owner may need the kernel to go on: no spinning inside it. */
        if (!vcpu->runner.fiber->in_kernel && spin(lock, mine))
            return;
        sleep_for(lock);
    }
}

bool ke_parallel_spin_try(PKSPIN_LOCK lock)
{
    ke_spin_check(lock, __atomic_load_n(lock, __ATOMIC_RELAXED));
    return try_take(lock, ke_vcpu_here()->index + 1);
}

void ke_parallel_spin_release(PKSPIN_LOCK lock)
{
    KSPIN_LOCK value = __atomic_load_n(lock, __ATOMIC_RELAXED);

    ke_spin_check(lock, value);
    if (value != ke_vcpu_here()->index + 1)
        ke_spin_not_owner(lock, value);
    ke_parallel_spin_free(lock);
}
