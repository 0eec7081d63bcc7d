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

static void check_not_mine(PEX_SPIN_LOCK lock)
{
    if ((*lock & ~WRITER_WAITS) == writer_mark()) {
        const uint64_t parameter[4] = {(uintptr_t)lock, 0, 0, 0};
        nt_violation_code(SPIN_LOCK_ALREADY_OWNED, parameter, "spinlock-recursive",
                          "vCPU %u already holds the reader-writer spin lock %p exclusively", ke_vcpu()->index,
                          (void *)lock);
    }
}

static void acquire_exclusive(PEX_SPIN_LOCK lock)
{
    check_not_mine(lock);
    while ((*lock & ~WRITER_WAITS) != 0) {
        *lock |= WRITER_WAITS;
        ke_spin_wait((const void *)lock);
    }
    *lock = writer_mark();
}

static void acquire_shared(PEX_SPIN_LOCK lock)
{
    check_not_mine(lock);
    while ((*lock & (WRITER | WRITER_WAITS)) != 0)
        ke_spin_wait((const void *)lock);
    (*lock)++;
}

static void release_exclusive(PEX_SPIN_LOCK lock, const char *routine)
{
    if ((*lock & ~WRITER_WAITS) != writer_mark()) {
        const uint64_t parameter[4] = {(uintptr_t)lock, 0, 0, 0};
        nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner",
                          "%s: vCPU %u does not hold the lock %p exclusively (value %#x)", routine, ke_vcpu()->index,
                          (void *)lock, (unsigned)*lock);
    }
    *lock = 0; /* a writer that still waits says so again */
    ke_spin_wake((const void *)lock);
}

static void release_shared(PEX_SPIN_LOCK lock, const char *routine)
{
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
    acquire_exclusive(SpinLock);
    return irql;
}

KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    KIRQL irql = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    acquire_shared(SpinLock);
    return irql;
}

static void lower(KIRQL irql, const char *routine)
{
    if (irql > DISPATCH_LEVEL)
        nt_violation("irql-lower", "%s with the IRQL %u to go back to", routine, irql);
    ke_set_irql(irql);
}

VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    release_exclusive(SpinLock, __func__);
    lower(OldIrql, __func__);
}

VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, DISPATCH_LEVEL, POINT_LOCK);
    release_shared(SpinLock, __func__);
    lower(OldIrql, __func__);
}

VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    acquire_exclusive(SpinLock);
}

VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    acquire_shared(SpinLock);
}

VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    release_exclusive(SpinLock, __func__);
}

VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    release_shared(SpinLock, __func__);
}

LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    if ((*SpinLock & WRITER) != 0 || (*SpinLock & COUNT_MASK) == 0)
        nt_violation("spinlock-not-owner", "%s: nobody holds the lock %p shared (value %#x)", __func__,
                     (void *)SpinLock, (unsigned)*SpinLock);
    if ((*SpinLock & COUNT_MASK) != 1)
        return FALSE;
    *SpinLock = writer_mark() | (*SpinLock & WRITER_WAITS);
    return TRUE;
}

LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    if (*SpinLock != 0)
        return FALSE;
    *SpinLock = writer_mark();
    return TRUE;
}

LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock)
{
    NT_CALL_RANGE_AT(DISPATCH_LEVEL, HIGH_LEVEL, POINT_LOCK);
    if ((*SpinLock & (WRITER | WRITER_WAITS)) != 0)
        return FALSE;
    (*SpinLock)++;
    return TRUE;
}
