/*
 * Rundown protection. Count holds twice the number of references, plus one when the rundown has begun: from then on
 * none is given, and whoever runs the object down waits until the last is back.
 */
#include "nt/ex/ex.h"
#include "nt/ke/ke.h"

#define RUNDOWN_ACTIVE ((ULONG_PTR)1)
#define ONE_REFERENCE ((ULONG_PTR)2)

struct rundown_waiter {
    LIST_ENTRY entry; /* ex_state.rundowns */
    PEX_RUNDOWN_REF reference;
    KEVENT released;
};

VOID NTAPI ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL_ANY();
    RunRef->Count = 0;
}

VOID NTAPI ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL_ANY();
    if (RunRef->Count != RUNDOWN_ACTIVE)
        nt_violation("rundown", "%s(%p): the rundown has not completed (count %#llx)", __func__, (void *)RunRef,
                     (unsigned long long)RunRef->Count);
    RunRef->Count = 0;
}

static BOOLEAN acquire(PEX_RUNDOWN_REF reference, ULONG count)
{
    if ((reference->Count & RUNDOWN_ACTIVE) != 0)
        return FALSE;
    reference->Count += count * ONE_REFERENCE;
    return TRUE;
}

BOOLEAN NTAPI ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    return acquire(RunRef, 1);
}

BOOLEAN NTAPI ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    return acquire(RunRef, Count);
}

static struct rundown_waiter *waiter_for(const EX_RUNDOWN_REF *reference)
{
    LIST_ENTRY *rundowns = &machine->ex->rundowns;

    for (LIST_ENTRY *entry = rundowns->Flink; entry != rundowns; entry = entry->Flink) {
        struct rundown_waiter *waiter = CONTAINING_RECORD(entry, struct rundown_waiter, entry);
        if (waiter->reference == reference)
            return waiter;
    }
    return NULL;
}

static void release(PEX_RUNDOWN_REF reference, ULONG count, const char *routine)
{
    if (reference->Count / ONE_REFERENCE < count)
        nt_violation("rundown-over-release", "%s(%p): %u references released, %llu are held", routine,
                     (void *)reference, count, (unsigned long long)(reference->Count / ONE_REFERENCE));
    reference->Count -= count * ONE_REFERENCE;
    if (reference->Count == RUNDOWN_ACTIVE) {
        struct rundown_waiter *waiter = waiter_for(reference);
        if (waiter != NULL)
            KeSetEvent(&waiter->released, IO_NO_INCREMENT, FALSE);
    }
}

VOID NTAPI ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    release(RunRef, 1, __func__);
}

VOID NTAPI ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    release(RunRef, Count, __func__);
}

/* A second rundown of an object that was run down returns at once. */
VOID NTAPI ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)
{
    struct rundown_waiter waiter = {.reference = RunRef};

    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeInitializeEvent(&waiter.released, NotificationEvent, FALSE);
    if (RunRef->Count == 0 || RunRef->Count == RUNDOWN_ACTIVE) {
        RunRef->Count = RUNDOWN_ACTIVE;
        return;
    }
    if ((RunRef->Count & RUNDOWN_ACTIVE) != 0)
        nt_violation("rundown", "%s(%p): another thread is already waiting for the release", __func__, (void *)RunRef);
    InsertTailList(&machine->ex->rundowns, &waiter.entry);
    RunRef->Count |= RUNDOWN_ACTIVE;
    KeWaitForSingleObject(&waiter.released, Executive, KernelMode, FALSE, NULL);
    RemoveEntryList(&waiter.entry);
}

VOID NTAPI ExRundownCompleted(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL_ANY();
    if (RunRef->Count != 0 && RunRef->Count != RUNDOWN_ACTIVE)
        nt_violation("rundown", "%s(%p): references are held or awaited (count %#llx)", __func__, (void *)RunRef,
                     (unsigned long long)RunRef->Count);
    RunRef->Count = RUNDOWN_ACTIVE;
}

bool ex_rundown_is_waited_for(const void *start, size_t size)
{
    LIST_ENTRY *rundowns = &machine->ex->rundowns;

    for (LIST_ENTRY *entry = rundowns->Flink; entry != rundowns; entry = entry->Flink)
        if ((uintptr_t)CONTAINING_RECORD(entry, struct rundown_waiter, entry)->reference - (uintptr_t)start < size)
            return true;
    return false;
}
