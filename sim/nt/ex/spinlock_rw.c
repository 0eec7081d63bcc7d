/*
 * Reader-writer spin locks (EX_SPIN_LOCK). Bit 31 says that a writer holds the lock, bit 30 that one waits, which holds
 * new readers off; the bits below count readers or, while a writer holds it, name its vCPU by its number plus one.
 */
#include "nt/ke/ke.h"

#define WRITER ((LONG)0x80000000)
#define WRITER_WAITS ((LONG)0x40000000)
#define COUNT_MASK ((LONG)0x3FFFFFFF)

static LONG writer_mark(void)
{
    return WRITER | (LONG)(ke_vcpu()->index + 1);
}

/*
 * A shared holder that wants the lock again would wait behind a writer that waits for it to leave: that too is a
 * deadlock.
 */
static void check_not_mine(PEX_SPIN_LOCK lock, enum lock_kind kind, const void *caller)
{
    const struct lock_held *held =
        lock_find(&ke_vcpu()->locks, (const void *)lock, LOCK_RW_EXCLUSIVE, LOCK_RW_SHARED_DPC);

    if (held != NULL || (*lock & ~WRITER_WAITS) == writer_mark()) {
        const uint64_t parameter[4] = {(uintptr_t)lock, 0, 0, 0};

        if (held != NULL)
            lock_note_stack(held->caller, held->stack, "it was acquired here:");
        nt_violation_code(SPIN_LOCK_ALREADY_OWNED, parameter, "spinlock-recursive",
                          "vCPU %u already holds the reader-writer spin lock %p %s", ke_vcpu()->index, (void *)lock,
                          held != NULL && held->kind >= LOCK_RW_SHARED ? "shared" : "exclusively");
    }
    lock_order((const void *)lock, kind, caller);
}

static void acquire_exclusive(PEX_SPIN_LOCK lock, enum lock_kind kind, const void *caller)
{
    check_not_mine(lock, kind, caller);
    while ((*lock & ~WRITER_WAITS) != 0) {
        *lock |= WRITER_WAITS;
        ke_spin_wait((const void *)lock);
    }
    *lock = writer_mark();
    lock_add(&ke_vcpu()->locks, (const void *)lock, kind, NULL, caller);
}

static void acquire_shared(PEX_SPIN_LOCK lock, enum lock_kind kind, const void *caller)
{
    check_not_mine(lock, kind, caller);
    while ((*lock & (WRITER | WRITER_WAITS)) != 0)
        ke_spin_wait((const void *)lock);
    (*lock)++;
    lock_add(&ke_vcpu()->locks, (const void *)lock, kind, NULL, caller);
}

static void release_exclusive(PEX_SPIN_LOCK lock, enum lock_kind kind, const char *routine)
{
    lock_remove(&ke_vcpu()->locks, (const void *)lock, kind, NULL, routine);
    if ((*lock & ~WRITER_WAITS) != writer_mark()) {
        const uint64_t parameter[4] = {(uintptr_t)lock, 0, 0, 0};
        nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner",
                          "%s: vCPU %u does not hold the lock %p exclusively (value %#x)", routine, ke_vcpu()->index,
                          (void *)lock, (unsigned)*lock);
    }
    *lock = 0; /* a writer that still waits says so again */
    ke_spin_wake((const void *)lock);
}

static void release_shared(PEX_SPIN_LOCK lock, enum lock_kind kind, const char *routine)
{
    lock_remove(&ke_vcpu()->locks, (const void *)lock, kind, NULL, routine);
    if ((*lock & WRITER) != 0 || (*lock & COUNT_MASK) == 0) {
        const uint64_t parameter[4] = {(uintptr_t)lock, 0, 0, 0};
        nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner",
                          "%s: nobody holds the lock %p shared (value %#x)", routine, (void *)lock, (unsigned)*lock);
    }
    (*lock)--;
    if ((*lock & COUNT_MASK) == 0) {
        *lock = 0;
        ke_spin_wake((const void *)lock);
    }
}

KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    KIRQL irql = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    acquire_exclusive(SpinLock, LOCK_RW_EXCLUSIVE, __builtin_return_address(0));
    return irql;
}

KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    KIRQL irql = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    acquire_shared(SpinLock, LOCK_RW_SHARED, __builtin_return_address(0));
    return irql;
}

static void go_back(PEX_SPIN_LOCK lock, KIRQL irql, const char *routine)
{
    if (irql > DISPATCH_LEVEL)
        nt_violation_sub("irql-lower", ke_irql(), irql, 0, "%s with the IRQL %u to go back to", routine, irql);
    lock_check_release_order((const void *)lock, irql, routine);
    ke_set_irql(irql);
}

VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    release_exclusive(SpinLock, LOCK_RW_EXCLUSIVE, __func__);
    go_back(SpinLock, OldIrql, __func__);
}

VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    release_shared(SpinLock, LOCK_RW_SHARED, __func__);
    go_back(SpinLock, OldIrql, __func__);
}

VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    acquire_exclusive(SpinLock, LOCK_RW_EXCLUSIVE_DPC, __builtin_return_address(0));
}

VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    acquire_shared(SpinLock, LOCK_RW_SHARED_DPC, __builtin_return_address(0));
}

VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    release_exclusive(SpinLock, LOCK_RW_EXCLUSIVE_DPC, __func__);
}

VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    release_shared(SpinLock, LOCK_RW_SHARED_DPC, __func__);
}

LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    struct lock_held *held = lock_find(&ke_vcpu()->locks, (const void *)SpinLock, LOCK_RW_SHARED, LOCK_RW_SHARED_DPC);
    if (held == NULL || (*SpinLock & WRITER) != 0 || (*SpinLock & COUNT_MASK) == 0) {
        const uint64_t parameter[4] = {(uintptr_t)SpinLock, 0, 0, 0};
        nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner",
                          "%s: vCPU %u does not hold the lock %p shared (value %#x)", __func__, ke_vcpu()->index,
                          (void *)SpinLock, (unsigned)*SpinLock);
    }
    if ((*SpinLock & COUNT_MASK) != 1)
        return FALSE;
    *SpinLock = writer_mark() | (*SpinLock & WRITER_WAITS);
    held->kind = held->kind == LOCK_RW_SHARED ? LOCK_RW_EXCLUSIVE : LOCK_RW_EXCLUSIVE_DPC;
    return TRUE;
}

LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    if (*SpinLock != 0)
        return FALSE;
    *SpinLock = writer_mark();
    lock_add(&ke_vcpu()->locks, (const void *)SpinLock, LOCK_RW_EXCLUSIVE_DPC, NULL, __builtin_return_address(0));
    return TRUE;
}

LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    if ((*SpinLock & (WRITER | WRITER_WAITS)) != 0)
        return FALSE;
    (*SpinLock)++;
    lock_add(&ke_vcpu()->locks, (const void *)SpinLock, LOCK_RW_SHARED_DPC, NULL, __builtin_return_address(0));
    return TRUE;
}
