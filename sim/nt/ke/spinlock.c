/* Spin locks. A held lock holds its vCPU's number plus one, so that misuse can be told. */
#include "nt/ke/ke.h"
#include "nt/verifier/lock_state.h"

void ke_spin_check(const KSPIN_LOCK *lock, KSPIN_LOCK value)
{
    if (value > machine->config.vcpus)
        nt_violation_sub("spinlock-not-initialised", (uintptr_t)lock, 0, 0, "%p holds %#llx and is no spin lock",
                         (const void *)lock, (unsigned long long)value);
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

void ke_spin_wait_unless(const void *lock, bool (*over)(const void *argument), const void *argument)
{
    struct vcpu *vcpu = ke_vcpu();

    vcpu->runner.where = lock;
    __atomic_fetch_add(&machine->ke->spinning, 1, __ATOMIC_SEQ_CST);
    ke_parallel_spin_fence();
    if (!over(argument))
        runner_block("spin lock");
    __atomic_fetch_sub(&machine->ke->spinning, 1, __ATOMIC_SEQ_CST);
    vcpu->runner.where = NULL;
    ke_attention(); /* interrupts above the caller's IRQL are taken while it spins */
}

static bool never(const void *argument)
{
    (void)argument;
    return false;
}

void ke_spin_wait(const void *lock)
{
    ke_spin_wait_unless(lock, never, NULL);
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

static bool try_acquire(PKSPIN_LOCK lock)
{
    if (engine_is_parallel())
        return ke_parallel_spin_try(lock);
    ke_spin_check(lock, *lock);
    if (*lock != 0)
        return false;
    *lock = ke_vcpu()->index + 1;
    return true;
}

/* ---- waiting in line, as for a queued lock ---- */

struct spin_waiter {
    struct spin_waiter *next;
    PKSPIN_LOCK lock;
};

static bool has_turn(const void *argument)
{
    const struct spin_waiter *waiter = argument;
    const struct spin_waiter *before = machine->ke->spin_line;

    while (before->lock != waiter->lock)
        before = before->next;
    return before == waiter && __atomic_load_n(waiter->lock, __ATOMIC_SEQ_CST) == 0;
}

/*
 * First come, first served. The line is one for all locks, in the order of coming: it is short, and empty mostly. An
 * interrupt routine that runs while its vCPU waits may wait for another lock.
 */
static void acquire_in_line(PKSPIN_LOCK lock)
{
    struct spin_waiter waiter = {.lock = lock};
    struct spin_waiter **place = &machine->ke->spin_line;

    if (__atomic_load_n(place, __ATOMIC_RELAXED) == NULL && try_acquire(lock))
        return;
    KERNEL_SCOPE();

    while (*place != NULL)
        place = &(*place)->next;
    __atomic_store_n(place, &waiter, __ATOMIC_RELAXED);
    while (!has_turn(&waiter) || !try_acquire(lock)) {
        if (__atomic_load_n(lock, __ATOMIC_RELAXED) == ke_vcpu()->index + 1)
            ke_spin_recursive(lock);
        ke_spin_wait_unless(lock, has_turn, &waiter);
    }
    for (place = &machine->ke->spin_line; *place != &waiter;)
        place = &(*place)->next;
    __atomic_store_n(place, waiter.next, __ATOMIC_RELAXED);
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
    lock_initialised(SpinLock, __func__);
    *SpinLock = 0;
}

static inline void count_acquisition(struct vcpu *vcpu)
{
    __atomic_store_n(&vcpu->spin_acquisitions, vcpu->spin_acquisitions + 1, __ATOMIC_RELAXED);
}

uint64_t ke_spin_acquisitions(void)
{
    uint64_t count = 0;

    for (unsigned index = 0; index < machine->config.vcpus; index++)
        count += __atomic_load_n(&machine->vcpu[index]->spin_acquisitions, __ATOMIC_RELAXED);
    return count;
}

/* The vCPU acquires the lock; whoever waits for it in the order of locks is checked before it waits. */
static void acquire(PKSPIN_LOCK lock, enum lock_kind kind, const void *handle, const char *routine, const void *caller)
{
    bool queued = kind == LOCK_QUEUED || kind == LOCK_QUEUED_DPC;
    struct vcpu *vcpu;

    lock_check_flavour(lock, queued, routine);
    lock_order(lock, kind, caller);
    if (queued)
        acquire_in_line(lock);
    else
        ke_spin_acquire(lock);
    vcpu = ke_vcpu_here();
    count_acquisition(vcpu);
    lock_add(&vcpu->locks, lock, kind, handle, caller);
}

static void release(PKSPIN_LOCK lock, enum lock_kind kind, const void *handle, const char *routine)
{
    lock_remove(&ke_vcpu_here()->locks, lock, kind, handle, routine);
    ke_spin_release(lock);
}

/* The end of a release that restores the IRQL. */
static void go_back(PKSPIN_LOCK lock, KIRQL irql, const char *routine)
{
    if (irql > DISPATCH_LEVEL)
        nt_violation_sub("irql-lower", ke_irql(), irql, 0, "%s with the IRQL %u to go back to", routine, irql);
    lock_check_release_order(lock, irql, routine);
    ke_set_irql(irql);
}

/*
 * The way of an uncontended lock of a vCPU that holds nothing else: what NT_CALL, acquire() and the change of IRQL do,
 * as far as there is anything to do. False, and nothing has happened, when there is more.
 */
static inline bool acquire_alone(PKSPIN_LOCK lock, KIRQL *old, const void *caller)
{
    struct vcpu *vcpu = ke_vcpu_quiet();

    if (vcpu == NULL || vcpu->irql > DISPATCH_LEVEL || *lock != 0 || vcpu->locks.count != 0 ||
        vcpu->current->locks.count != 0 || vcpu->locks.room == 0 || machine->lock->flavour_count != 0 ||
        !ke_point_passes(vcpu, POINT_LOCK))
        return false;
    *old = vcpu->irql;
    vcpu->irql = DISPATCH_LEVEL;
    ke_irql_changed(vcpu);
    *lock = vcpu->index + 1;
    count_acquisition(vcpu);
    lock_add(&vcpu->locks, lock, LOCK_SPIN, NULL, caller);
    return true;
}

static inline bool release_alone(PKSPIN_LOCK lock, KIRQL irql)
{
    struct vcpu *vcpu = ke_vcpu_quiet();
    const struct lock_held *held;

    if (vcpu == NULL)
        return false;
    held = &vcpu->locks.held[0];
    if (vcpu->irql != DISPATCH_LEVEL || irql > DISPATCH_LEVEL || vcpu->locks.count != 1 || vcpu->locks.base != 0 ||
        held->lock != lock || held->kind != LOCK_SPIN || *lock != vcpu->index + 1 || machine->ke->spinning != 0 ||
        !ke_point_passes(vcpu, POINT_LOCK))
        return false;
    vcpu->locks.count = 0;
    *lock = 0;
    ke_set_irql(irql);
    return true;
}

/* ---- the same under the parallel engine, at DISPATCH_LEVEL from here on ---- */

/* Does the lock come into no order with others? As lock_order() sees it. */
static inline bool holds_nothing(const struct vcpu *vcpu)
{
    return vcpu->locks.count == 0 && vcpu->locks.room != 0 &&
           (vcpu->dpc_active || vcpu->isr_depth > 0 || vcpu->current->locks.count == 0);
}

static inline bool take_outside(struct vcpu *vcpu, PKSPIN_LOCK lock, enum lock_kind kind, const void *caller)
{
    KSPIN_LOCK expected = 0;

    if (!holds_nothing(vcpu) || __atomic_load_n(&machine->lock->flavour_count, __ATOMIC_RELAXED) != 0 ||
        !__atomic_compare_exchange_n(lock, &expected, (KSPIN_LOCK)vcpu->index + 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return false;
    count_acquisition(vcpu);
    lock_add(&vcpu->locks, lock, kind, NULL, caller);
    return true;
}

/* False, and nothing has happened, when it is not the one lock that is held. */
static inline bool give_back_outside(struct vcpu *vcpu, PKSPIN_LOCK lock, enum lock_kind kind)
{
    const struct lock_held *held = &vcpu->locks.held[0];

    if (vcpu->irql != DISPATCH_LEVEL || vcpu->locks.count != 1 || vcpu->locks.base != 0 || held->lock != lock ||
        held->kind != kind || __atomic_load_n(lock, __ATOMIC_RELAXED) != (KSPIN_LOCK)vcpu->index + 1)
        return false;
    vcpu->locks.count = 0;
    ke_parallel_spin_free(lock);
    return true;
}

static inline bool acquire_outside(PKSPIN_LOCK lock, KIRQL *old, const void *caller)
{
    struct vcpu *vcpu = ke_vcpu_outside();

    if (vcpu == NULL || vcpu->irql > DISPATCH_LEVEL)
        return false;
    *old = vcpu->irql;
    vcpu->irql = DISPATCH_LEVEL;
    if (!take_outside(vcpu, lock, LOCK_SPIN, caller)) {
        vcpu->irql = *old;
        return false;
    }
    ke_irql_changed(vcpu);
    return true;
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock)
{
    KIRQL old;

    if (acquire_outside(SpinLock, &old, __builtin_return_address(0)) ||
        acquire_alone(SpinLock, &old, __builtin_return_address(0)))
        return old;
    NT_CALL_LIGHT(DISPATCH_LEVEL, POINT_LOCK);
    old = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    acquire(SpinLock, LOCK_SPIN, NULL, __func__, __builtin_return_address(0));
    return old;
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql)
{
    struct vcpu *outside = ke_vcpu_outside();

    if (outside != NULL && NewIrql <= DISPATCH_LEVEL && give_back_outside(outside, SpinLock, LOCK_SPIN)) {
        ke_lower_outside(outside, NewIrql);
        return;
    }
    if (release_alone(SpinLock, NewIrql))
        return;
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    release(SpinLock, LOCK_SPIN, NULL, __func__);
    go_back(SpinLock, NewIrql, __func__);
}

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    struct vcpu *outside = ke_vcpu_outside();

    if (outside != NULL && outside->irql >= DISPATCH_LEVEL &&
        take_outside(outside, SpinLock, LOCK_SPIN_DPC, __builtin_return_address(0)))
        return;
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    acquire(SpinLock, LOCK_SPIN_DPC, NULL, __func__, __builtin_return_address(0));
}

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock)
{
    struct vcpu *outside = ke_vcpu_outside();

    if (outside != NULL && give_back_outside(outside, SpinLock, LOCK_SPIN_DPC))
        return;
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    release(SpinLock, LOCK_SPIN_DPC, NULL, __func__);
}

BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    lock_check_flavour(SpinLock, false, __func__);
    if (!try_acquire(SpinLock))
        return FALSE;
    count_acquisition(ke_vcpu());
    lock_add(&ke_vcpu()->locks, SpinLock, LOCK_SPIN_DPC, NULL, __builtin_return_address(0));
    return TRUE;
}

BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock)
{
    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CALL);
    return __atomic_load_n(SpinLock, __ATOMIC_RELAXED) == 0;
}

/* ---- in-stack queued spin locks: who has waited longest is next; for a plain lock the scheduler chooses ---- */

static void acquire_queued(PKSPIN_LOCK lock, enum lock_kind kind, PKLOCK_QUEUE_HANDLE handle, KIRQL irql,
                           const char *routine, const void *caller)
{
    acquire(lock, kind, handle, routine, caller);
    handle->OldIrql = irql;
    handle->LockQueue.Lock = lock;
    handle->LockQueue.Next = NULL;
}

VOID NTAPI KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    KIRQL irql;

    NT_CALL_LIGHT(DISPATCH_LEVEL, POINT_LOCK);
    irql = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    acquire_queued(SpinLock, LOCK_QUEUED, LockHandle, irql, __func__, __builtin_return_address(0));
}

VOID NTAPI KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle)
{
    PKSPIN_LOCK lock = LockHandle->LockQueue.Lock;

    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    release(lock, LOCK_QUEUED, LockHandle, __func__);
    go_back(lock, LockHandle->OldIrql, __func__);
}

VOID NTAPI KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    acquire_queued(SpinLock, LOCK_QUEUED_DPC, LockHandle, DISPATCH_LEVEL, __func__, __builtin_return_address(0));
}

VOID NTAPI KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle)
{
    NT_CALL_LIGHT_RANGE(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    release(LockHandle->LockQueue.Lock, LOCK_QUEUED_DPC, LockHandle, __func__);
}
