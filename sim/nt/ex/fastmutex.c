/*
 * Fast mutexes and guarded mutexes. Count is 1 when free and falls by one with each thread that owns it or waits. The
 * owner of a fast mutex runs at APC_LEVEL, that of a guarded mutex in a guarded region; the unsafe routines leave it to
 * the caller that no APC comes.
 */
#include "nt/ke/ke.h"

static void initialise(PFAST_MUTEX mutex)
{
    mutex->Count = 1;
    mutex->Owner = NULL;
    mutex->Contention = 0;
    mutex->OldIrql = 0;
    KeInitializeEvent(&mutex->Event, SynchronizationEvent, FALSE);
}

static void acquire(PFAST_MUTEX mutex, const char *routine)
{
    if (mutex->Owner == ke_thread())
        nt_violation("mutex-recursive", "%s: the thread owns the mutex %p already", routine, (void *)mutex);
    if (--mutex->Count != 0) {
        mutex->Contention++;
        KeWaitForSingleObject(&mutex->Event, Executive, KernelMode, FALSE, NULL);
    }
    mutex->Owner = ke_thread();
}

static bool try_acquire(PFAST_MUTEX mutex)
{
    if (mutex->Count != 1)
        return false;
    mutex->Count = 0;
    mutex->Owner = ke_thread();
    return true;
}

static void release(PFAST_MUTEX mutex, const char *routine)
{
    if (mutex->Owner != ke_thread())
        nt_violation("mutex-not-owner", "%s: the mutex %p is %s", routine, (void *)mutex,
                     mutex->Owner == NULL ? "not owned by any thread" : "owned by another thread");
    mutex->Owner = NULL;
    if (++mutex->Count <= 0)
        KeSetEvent(&mutex->Event, EVENT_INCREMENT, FALSE);
}

/* The unsafe routines want kernel APCs off already. */
static void check_apcs_off(const char *routine, const void *mutex)
{
    if (ke_irql() < APC_LEVEL && ke_thread()->critical_region == 0)
        nt_violation("apcs-enabled",
                     "%s(%p): kernel APCs are enabled; enter a critical region or raise to APC_LEVEL first", routine,
                     mutex);
}

VOID NTAPI ExInitializeFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL(DISPATCH_LEVEL);
    initialise(FastMutex);
}

VOID NTAPI ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KIRQL irql = ke_irql();
    ke_set_irql(APC_LEVEL);
    acquire(FastMutex, __func__);
    FastMutex->OldIrql = irql;
}

BOOLEAN NTAPI ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KIRQL irql = ke_irql();
    if (!try_acquire(FastMutex))
        return FALSE;
    ke_set_irql(APC_LEVEL);
    FastMutex->OldIrql = irql;
    return TRUE;
}

VOID NTAPI ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL_RANGE_AT(APC_LEVEL, APC_LEVEL, POINT_LOCK);
    KIRQL irql = (KIRQL)FastMutex->OldIrql;
    release(FastMutex, __func__);
    ke_set_irql(irql);
}

VOID NTAPI ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check_apcs_off(__func__, FastMutex);
    acquire(FastMutex, __func__);
}

VOID NTAPI ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check_apcs_off(__func__, FastMutex);
    release(FastMutex, __func__);
}

VOID NTAPI KeInitializeGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL(DISPATCH_LEVEL);
    initialise(GuardedMutex);
}

VOID NTAPI KeAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeEnterGuardedRegion();
    acquire(GuardedMutex, __func__);
}

BOOLEAN NTAPI KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeEnterGuardedRegion();
    if (try_acquire(GuardedMutex))
        return TRUE;
    KeLeaveGuardedRegion();
    return FALSE;
}

VOID NTAPI KeReleaseGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    release(GuardedMutex, __func__);
    KeLeaveGuardedRegion();
}
