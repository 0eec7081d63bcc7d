/*
 * Push locks. Bit 0 says that the lock is held, the bits from 4 on count shared owners (none: held exclusively).
 * Waiters get the lock in the order of their coming; a shared request waits behind those that wait already.
 */
#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

#define HELD ((ULONG_PTR)1)
#define ONE_SHARED ((ULONG_PTR)16)

struct push_lock_waiter {
    LIST_ENTRY entry; /* ex_state.push_locks */
    PEX_PUSH_LOCK lock;
    bool exclusive;
    KEVENT granted;
};

static struct push_lock_waiter *first_waiter(const EX_PUSH_LOCK *lock)
{
    LIST_ENTRY *waiters = &machine->ex->push_locks;

    for (LIST_ENTRY *entry = waiters->Flink; entry != waiters; entry = entry->Flink) {
        struct push_lock_waiter *waiter = CONTAINING_RECORD(entry, struct push_lock_waiter, entry);
        if (waiter->lock == lock)
            return waiter;
    }
    return NULL;
}

static bool take(PEX_PUSH_LOCK lock, bool exclusive)
{
    if (exclusive) {
        if (*lock != 0)
            return false;
        *lock = HELD;
        return true;
    }
    if (*lock == HELD)
        return false;
    *lock = (*lock + ONE_SHARED) | HELD;
    return true;
}

/* Kernel APCs must be off for the time that a push lock is held or awaited; there are no flags but the default. */
static void check(const char *routine, PEX_PUSH_LOCK lock, ULONG flags, uint64_t code)
{
    const uint64_t parameter[4] = {code, ke_irql(), 0, (uintptr_t)lock};

    if (flags != EX_DEFAULT_PUSH_LOCK_FLAGS)
        nt_violation("not-implemented", "%s: flags %#x are not implemented", routine, flags);
    if (!ke_apcs_off())
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "apcs-enabled",
                          "%s(%p): kernel APCs are enabled; enter a critical region first", routine, (void *)lock);
}

static void acquire(PEX_PUSH_LOCK lock, bool exclusive, const char *routine, const void *caller)
{
    const struct ke_wait_note note = {"push lock", lock, NULL};
    struct push_lock_waiter waiter = {.lock = lock, .exclusive = exclusive};
    enum lock_kind kind = exclusive ? LOCK_PUSH_EXCLUSIVE : LOCK_PUSH_SHARED;

    if (lock_find(&ke_thread()->locks, lock, LOCK_PUSH_EXCLUSIVE, LOCK_PUSH_SHARED) != NULL)
        lock_report_self(lock, kind, routine);
    lock_order(lock, kind, caller);
    KeInitializeEvent(&waiter.granted, SynchronizationEvent, FALSE);
    if (first_waiter(lock) != NULL || !take(lock, exclusive)) {
        pool_note_inside(lock);
        InsertTailList(&machine->ex->push_locks, &waiter.entry);
        ke_wait_noted(&waiter.granted, &note); /* whoever grants it unlinks the waiter */
    }
    lock_thread_add(lock, kind, caller);
}

/* Hand the lock to those whose turn it is: one exclusive waiter, or the shared ones up to the next exclusive. */
static void grant(PEX_PUSH_LOCK lock)
{
    for (struct push_lock_waiter *waiter = first_waiter(lock); waiter != NULL && take(lock, waiter->exclusive);
         waiter = first_waiter(lock)) {
        RemoveEntryList(&waiter->entry);
        KeSetEvent(&waiter->granted, IO_NO_INCREMENT, FALSE);
    }
}

VOID NTAPI ExInitializePushLock(PEX_PUSH_LOCK PushLock)
{
    NT_CALL_ANY();
    lock_initialised(PushLock, __func__);
    *PushLock = 0;
}

VOID NTAPI ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check(__func__, PushLock, Flags, 0xEA);
    acquire(PushLock, true, __func__, __builtin_return_address(0));
}

VOID NTAPI ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check(__func__, PushLock, Flags, 0xEA);
    acquire(PushLock, false, __func__, __builtin_return_address(0));
}

VOID NTAPI ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check(__func__, PushLock, Flags, 0xEB);
    lock_thread_remove(PushLock, LOCK_PUSH_EXCLUSIVE, __func__);
    *PushLock = 0;
    grant(PushLock);
}

VOID NTAPI ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    check(__func__, PushLock, Flags, 0xEB);
    lock_thread_remove(PushLock, LOCK_PUSH_SHARED, __func__);
    *PushLock -= ONE_SHARED;
    if (*PushLock < ONE_SHARED)
        *PushLock = 0;
    grant(PushLock);
}

bool ex_push_lock_is_waited_for(const void *start, size_t size)
{
    LIST_ENTRY *waiters = &machine->ex->push_locks;

    for (LIST_ENTRY *entry = waiters->Flink; entry != waiters; entry = entry->Flink)
        if ((uintptr_t)CONTAINING_RECORD(entry, struct push_lock_waiter, entry)->lock - (uintptr_t)start < size)
            return true;
    return false;
}
