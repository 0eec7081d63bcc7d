/*
 * Lists and counters under a spin lock that the routine itself takes, with interrupts held off: callable at any IRQL. A
 * lock given to these is not to be acquired by other means.
 */
#include "nt/ke/ke.h"

static KIRQL lock(PKSPIN_LOCK spin_lock)
{
    KIRQL old = ke_irql();

    ke_set_irql(HIGH_LEVEL);
    ke_spin_acquire(spin_lock);
    return old;
}

static void unlock(PKSPIN_LOCK spin_lock, KIRQL irql)
{
    ke_spin_release(spin_lock);
    ke_set_irql(irql);
}

PLIST_ENTRY NTAPI ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_LOCK);
    KIRQL irql = lock(Lock);
    PLIST_ENTRY first = IsListEmpty(ListHead) ? NULL : ListHead->Flink;
    InsertHeadList(ListHead, ListEntry);
    unlock(Lock, irql);
    return first;
}

PLIST_ENTRY NTAPI ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_LOCK);
    KIRQL irql = lock(Lock);
    PLIST_ENTRY last = IsListEmpty(ListHead) ? NULL : ListHead->Blink;
    InsertTailList(ListHead, ListEntry);
    unlock(Lock, irql);
    return last;
}

PLIST_ENTRY NTAPI ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_LOCK);
    KIRQL irql = lock(Lock);
    PLIST_ENTRY entry = IsListEmpty(ListHead) ? NULL : RemoveHeadList(ListHead);
    unlock(Lock, irql);
    return entry;
}

PSINGLE_LIST_ENTRY NTAPI ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY ListEntry,
                                                    PKSPIN_LOCK Lock)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_LOCK);
    KIRQL irql = lock(Lock);
    PSINGLE_LIST_ENTRY first = ListHead->Next;
    ListEntry->Next = first;
    ListHead->Next = ListEntry;
    unlock(Lock, irql);
    return first;
}

PSINGLE_LIST_ENTRY NTAPI ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_LOCK);
    KIRQL irql = lock(Lock);
    PSINGLE_LIST_ENTRY entry = ListHead->Next;
    if (entry != NULL)
        ListHead->Next = entry->Next;
    unlock(Lock, irql);
    return entry;
}

ULONG NTAPI ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_LOCK);
    KIRQL irql = lock(Lock);
    ULONG old = *Addend;
    *Addend = old + Increment;
    unlock(Lock, irql);
    return old;
}

LARGE_INTEGER NTAPI ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment, PKSPIN_LOCK Lock)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_LOCK);
    KIRQL irql = lock(Lock);
    LARGE_INTEGER old = *Addend;
    Addend->QuadPart = (LONGLONG)((ULONGLONG)old.QuadPart + (ULONGLONG)Increment.QuadPart);
    unlock(Lock, irql);
    return old;
}
