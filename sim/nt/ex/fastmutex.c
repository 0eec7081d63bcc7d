/*
 * Fast mutexes and guarded mutexes. Count is 1 when free and falls by one with each thread that owns it or waits. The
 * owner of a fast mutex runs at APC_LEVEL, that of a guarded mutex in a guarded region; the unsafe routines leave it to
 * the caller that no APC comes.
 */
#include "nt/ke/ke.h"

static void initialise(PFAST_MUTEX mutex, const char *routine)
{
    lock_initialised(mutex, routine);
    mutex->Count = 1;
    mutex->Owner = NULL;
    mutex->Contention = 0;
    mutex->OldIrql = 0;
    KeInitializeEvent(&mutex->Event, SynchronizationEvent, FALSE);
}

static void describe(FILE *out, const void *object)
{
    fputs(" owned by", out);
    ke_describe_owner(out, ((const FAST_MUTEX *)object)->Owner);
}

static void check_initialised(const FAST_MUTEX *mutex, const char *routine)
{
    if (mutex->Event.Header.Type != EventSynchronizationObject || mutex->Event.Header.WaitListHead.Flink == NULL)
        nt_violation_sub("mutex-not-initialised", (uintptr_t)mutex, 0, 0, "%s: %p is no initialised mutex", routine,
                         (const void *)mutex);
}

static void acquire(PFAST_MUTEX mutex, enum lock_kind kind, const char *routine, const void *caller)
{
    const struct ke_wait_note note = {"fast mutex", mutex, describe};

    check_initialised(mutex, routine);
    if (mutex->Owner == ke_thread())
        lock_report_self(mutex, kind, routine);
    lock_order(mutex, kind, caller);
    if (--mutex->Count != 0) {
        mutex->Contention++;
        ke_wait_noted(&mutex->Event, &note);
    }
    mutex->Owner = ke_thread();
    lock_thread_add(mutex, kind, caller);
}

static bool try_acquire(PFAST_MUTEX mutex, enum lock_kind kind, const char *routine, const void *caller)
{
    check_initialised(mutex, routine);
    if (mutex->Count != 1)
        return false;
    mutex->Count = 0;
    mutex->Owner = ke_thread();
    lock_thread_add(mutex, kind, caller);
    return true;
}

static void release(PFAST_MUTEX mutex, enum lock_kind kind, const char *routine)
{
    check_initialised(mutex, routine);
    lock_thread_remove(mutex, kind, routine);
    mutex->Owner = NULL;
    if (++mutex->Count <= 0)
        KeSetEvent(&mutex->Event, EVENT_INCREMENT, FALSE);
}

/* The unsafe routines want kernel APCs off already. */
static void check_apcs_off(const char *routine, const void *mutex, uint64_t code)
{
    if (!ke_apcs_off()) {
        const uint64_t parameter[4] = {code, ke_irql(), 0, (uintptr_t)mutex};
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "apcs-enabled",
                          "%s(%p): kernel APCs are enabled; enter a critical region or raise to APC_LEVEL first",
                          routine, mutex);
    }
}

VOID NTAPI ExInitializeFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL(DISPATCH_LEVEL);
    initialise(FastMutex, __func__);
}

VOID NTAPI ExAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KIRQL irql = ke_irql();
    ke_set_irql(APC_LEVEL);
    acquire(FastMutex, LOCK_FAST_MUTEX, __func__, __builtin_return_address(0));
    FastMutex->OldIrql = irql;
}

BOOLEAN NTAPI ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KIRQL irql = ke_irql();
    if (!try_acquire(FastMutex, LOCK_FAST_MUTEX, __func__, __builtin_return_address(0)))
        return FALSE;
    ke_set_irql(APC_LEVEL);
    FastMutex->OldIrql = irql;
    return TRUE;
}

VOID NTAPI ExReleaseFastMutex(PFAST_MUTEX FastMutex)
{
    NT_CALL_RANGE_AT(APC_LEVEL, APC_LEVEL, POINT_LOCK);
    KIRQL irql = (KIRQL)FastMutex->OldIrql;
    release(FastMutex, LOCK_FAST_MUTEX, __func__);
    ke_set_irql(irql);
}

VOID NTAPI ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check_apcs_off(__func__, FastMutex, 0x39);
    acquire(FastMutex, LOCK_FAST_MUTEX_UNSAFE, __func__, __builtin_return_address(0));
}

VOID NTAPI ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check_apcs_off(__func__, FastMutex, 0x3A);
    release(FastMutex, LOCK_FAST_MUTEX_UNSAFE, __func__);
}

VOID NTAPI KeInitializeGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL(DISPATCH_LEVEL);
    initialise(GuardedMutex, __func__);
}

VOID NTAPI KeAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeEnterGuardedRegion();
    acquire(GuardedMutex, LOCK_GUARDED_MUTEX, __func__, __builtin_return_address(0));
}

BOOLEAN NTAPI KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeEnterGuardedRegion();
    if (try_acquire(GuardedMutex, LOCK_GUARDED_MUTEX, __func__, __builtin_return_address(0)))
        return TRUE;
    KeLeaveGuardedRegion();
    return FALSE;
}

VOID NTAPI KeReleaseGuardedMutex(PKGUARDED_MUTEX GuardedMutex)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    release(GuardedMutex, LOCK_GUARDED_MUTEX, __func__);
    KeLeaveGuardedRegion();
}
