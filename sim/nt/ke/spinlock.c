/* Spin locks. A held lock holds its vCPU's number plus one, so that misuse can be told. */
#include "nt/ke/ke.h"

static void check_lock(const KSPIN_LOCK *lock)
{
    if (*lock > machine->config.vcpus)
        nt_violation("spinlock-not-initialised", "%p holds %#llx and is no spin lock", (const void *)lock,
                     (unsigned long long)*lock);
}

void ke_spin_wait(const void *lock)
{
    struct vcpu *vcpu = ke_vcpu();

    vcpu->runner.where = lock;
    machine->ke->spinning++;
    runner_block("spin lock");
    machine->ke->spinning--;
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
    struct vcpu *vcpu = ke_vcpu();
    KSPIN_LOCK mine = vcpu->index + 1;

    check_lock(lock);
    while (*lock != 0) {
        if (*lock == mine) {
            const uint64_t parameter[4] = {(uint64_t)(uintptr_t)lock, 0, 0, 0};

            nt_violation_code(SPIN_LOCK_ALREADY_OWNED, parameter, "spinlock-recursive",
                              "vCPU %u already holds the spin lock %p", vcpu->index, (void *)lock);
        }
        ke_spin_wait(lock);
    }
    *lock = mine;
}

void ke_spin_release(PKSPIN_LOCK lock)
{
    const struct vcpu *vcpu = ke_vcpu();

    check_lock(lock);
    if (*lock != vcpu->index + 1) {
        const uint64_t parameter[4] = {(uint64_t)(uintptr_t)lock, 0, 0, 0};

        nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner", "vCPU %u releases the spin lock %p %s",
                          vcpu->index, (void *)lock, *lock == 0 ? "that is free" : "of another vCPU");
    }
    *lock = 0;
    ke_spin_wake(lock);
}

VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock)
{
    NT_CALL_ANY();
    *SpinLock = 0;
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL old;

    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    old = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    ke_spin_acquire(SpinLock);
    return old;
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    if (NewIrql > DISPATCH_LEVEL)
        nt_violation("irql-lower", "KeReleaseSpinLock with the IRQL %u to go back to", NewIrql);
    ke_spin_release(SpinLock);
    ke_set_irql(NewIrql);
}

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    ke_spin_acquire(SpinLock);
}

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    ke_spin_release(SpinLock);
}

BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    check_lock(SpinLock);
    if (*SpinLock != 0)
        return FALSE;
    *SpinLock = ke_vcpu()->index + 1;
    return TRUE;
}

BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    NT_CALL_ANY();
    return *SpinLock == 0;
}

/*
 * In-stack queued spin locks. Drivers see an acquire and a release with a handle; which waiter comes next is the
 * scheduler's choice here as for plain locks.
 */

VOID NTAPI KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    LockHandle->OldIrql = ke_irql();
    LockHandle->LockQueue.Lock = SpinLock;
    LockHandle->LockQueue.Next = NULL;
    ke_set_irql(DISPATCH_LEVEL);
    ke_spin_acquire(SpinLock);
}

VOID NTAPI KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    ke_spin_release(LockHandle->LockQueue.Lock);
    ke_set_irql(LockHandle->OldIrql);
}

VOID NTAPI KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    LockHandle->OldIrql = DISPATCH_LEVEL;
    LockHandle->LockQueue.Lock = SpinLock;
    LockHandle->LockQueue.Next = NULL;
    ke_spin_acquire(SpinLock);
}

VOID NTAPI KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    ke_spin_release(LockHandle->LockQueue.Lock);
}
