/* Spin locks. A held lock holds its vCPU's number plus one, so that misuse can be told. */
#include "nt/ke/ke.h"

void ke_spin_check(const KSPIN_LOCK *lock, KSPIN_LOCK value)
{
    if (value > machine->config.vcpus)
        nt_violation("spinlock-not-initialised", "%p holds %#llx and is no spin lock", (const void *)lock,
                     (unsigned long long)value);
}

_Noreturn void ke_spin_recursive(const KSPIN_LOCK *lock)
{
    const uint64_t parameter[4] = {(uint64_t)(uintptr_t)lock, 0, 0, 0};

    nt_violation_code(SPIN_LOCK_ALREADY_OWNED, parameter, "spinlock-recursive",
                      "vCPU %u already holds the spin lock %p", ke_vcpu()->index, (const void *)lock);
}

_Noreturn void ke_spin_not_owner(const KSPIN_LOCK *lock, KSPIN_LOCK value)
{
    const uint64_t parameter[4] = {(uint64_t)(uintptr_t)lock, 0, 0, 0};

    nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner", "vCPU %u releases the spin lock %p %s",
                      ke_vcpu()->index, (const void *)lock, value == 0 ? "that is free" : "of another vCPU");
}

void ke_spin_wait(const void *lock)
{
    struct vcpu *vcpu = ke_vcpu();

    vcpu->runner.where = lock;
    __atomic_fetch_add(&machine->ke->spinning, 1, __ATOMIC_SEQ_CST);
    runner_block("spin lock");
    __atomic_fetch_sub(&machine->ke->spinning, 1, __ATOMIC_SEQ_CST);
    vcpu->runner.where = NULL;
    ke_attention(); /* interrupts above the caller's IRQL are taken while it spins */
}

void ke_spin_wake(const void *lock)
{
    if (machine->ke->spinning == 0)
        return;
    for (unsigned index = 0; index < machine->config.vcpus; index++)
        if (machine->vcpu[index]->runner.where == lock)
            runner_wake(&machine->vcpu[index]->runner);
}

void ke_spin_acquire(PKSPIN_LOCK lock)
{
    KSPIN_LOCK mine = ke_vcpu()->index + 1;

    if (engine_is_parallel()) {
        ke_parallel_spin_acquire(lock);
        return;
    }
    ke_spin_check(lock, *lock);
    while (*lock != 0) {
        if (*lock == mine)
            ke_spin_recursive(lock);
        ke_spin_wait(lock);
    }
    *lock = mine;
}

void ke_spin_release(PKSPIN_LOCK lock)
{
    if (engine_is_parallel()) {
        ke_parallel_spin_release(lock);
        return;
    }
    ke_spin_check(lock, *lock);
    if (*lock != ke_vcpu()->index + 1)
        ke_spin_not_owner(lock, *lock);
    *lock = 0;
    ke_spin_wake(lock);
}

VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CALL);
    *SpinLock = 0;
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL old;

    NT_CALL_LIGHT(DISPATCH_LEVEL, POINT_LOCK);
    old = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    ke_spin_acquire(SpinLock);
    return old;
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    if (NewIrql > DISPATCH_LEVEL)
        nt_violation("irql-lower", "KeReleaseSpinLock with the IRQL %u to go back to", NewIrql);
    ke_spin_release(SpinLock);
    ke_set_irql(NewIrql);
}

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    ke_spin_acquire(SpinLock);
}

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    ke_spin_release(SpinLock);
}

BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    if (engine_is_parallel())
        return ke_parallel_spin_try(SpinLock);
    ke_spin_check(SpinLock, *SpinLock);
    if (*SpinLock != 0)
        return FALSE;
    *SpinLock = ke_vcpu()->index + 1;
    return TRUE;
}

BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CALL);
    return __atomic_load_n(SpinLock, __ATOMIC_RELAXED) == 0;
}

/*
 * In-stack queued spin locks. Drivers see an acquire and a release with a handle; which waiter comes next is the
 * scheduler's choice here as for plain locks.
 */

VOID NTAPI KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_LIGHT(DISPATCH_LEVEL, POINT_LOCK);
    LockHandle->OldIrql = ke_irql();
    LockHandle->LockQueue.Lock = SpinLock;
    LockHandle->LockQueue.Next = NULL;
    ke_set_irql(DISPATCH_LEVEL);
    ke_spin_acquire(SpinLock);
}

VOID NTAPI KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    ke_spin_release(LockHandle->LockQueue.Lock);
    ke_set_irql(LockHandle->OldIrql);
}

VOID NTAPI KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    LockHandle->OldIrql = DISPATCH_LEVEL;
    LockHandle->LockQueue.Lock = SpinLock;
    LockHandle->LockQueue.Next = NULL;
    ke_spin_acquire(SpinLock);
}

VOID NTAPI KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    ke_spin_release(LockHandle->LockQueue.Lock);
}
