/*
 * Rundown protection. Count holds twice the number of references, plus one when the rundown has begun: from then on
 * none is given, and whoever runs the object down waits until the last is back.
 */
#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

#define RUNDOWN_ACTIVE ((ULONG_PTR)1)
#define ONE_REFERENCE ((ULONG_PTR)2)

/* A reference that is out: kept so that its memory is not freed meanwhile. */
struct rundown_record {
    struct rundown_record *next;
    const EX_RUNDOWN_REF *reference;
    const void *caller; /* of the acquisition that made the count leave zero */
};

struct rundown_waiter {
    LIST_ENTRY entry; /* ex_state.rundowns */
    PEX_RUNDOWN_REF reference;
    KEVENT released;
};

static struct rundown_record **bucket_of(const EX_RUNDOWN_REF *reference)
{
    return &machine->ex->rundown_records[(uintptr_t)reference / sizeof(*reference) % EX_RUNDOWN_BUCKETS];
}

static void record(const EX_RUNDOWN_REF *reference, const void *caller)
{
    struct rundown_record **bucket = bucket_of(reference);
    struct rundown_record *record = image_alloc(sizeof *record);

    record->reference = reference;
    record->caller = caller;
    record->next = *bucket;
    *bucket = record;
    pool_note_inside(reference);
}

static struct rundown_record *take_record(const EX_RUNDOWN_REF *reference)
{
    struct rundown_record **link = bucket_of(reference);
    struct rundown_record *record;

    while (*link != NULL && (*link)->reference != reference)
        link = &(*link)->next;
    record = *link;
    if (record != NULL)
        *link = record->next;
    return record;
}

VOID NTAPI ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    struct rundown_record *held;

    NT_CALL_ANY();
    held = take_record(RunRef);
    if (held != NULL) {
        lock_note_stack(held->caller, 0, "it was acquired here:");
        nt_violation_sub("lock-initialised-held", (uintptr_t)RunRef, 0, 0, "%s(%p): %llu references to it are held",
                         __func__, (void *)RunRef, (unsigned long long)(RunRef->Count / ONE_REFERENCE));
    }
    RunRef->Count = 0;
}

VOID NTAPI ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL(APC_LEVEL);
    if (RunRef->Count != RUNDOWN_ACTIVE)
        nt_violation("rundown", "%s(%p): the rundown has not completed (count %#llx)", __func__, (void *)RunRef,
                     (unsigned long long)RunRef->Count);
    RunRef->Count = 0;
}

static BOOLEAN acquire(PEX_RUNDOWN_REF reference, ULONG count, const void *caller)
{
    if ((reference->Count & RUNDOWN_ACTIVE) != 0)
        return FALSE;
    if (reference->Count == 0 && count != 0)
        record(reference, caller);
    reference->Count += count * ONE_REFERENCE;
    return TRUE;
}

BOOLEAN NTAPI ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    return acquire(RunRef, 1, __builtin_return_address(0));
}

BOOLEAN NTAPI ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_LOCK);
    return acquire(RunRef, Count, __builtin_return_address(0));
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
        nt_violation_sub("rundown-over-release", (uintptr_t)reference, 0, 0,
                         "%s(%p): %u references released, %llu are held", routine, (void *)reference, count,
                         (unsigned long long)(reference->Count / ONE_REFERENCE));
    reference->Count -= count * ONE_REFERENCE;
    if (reference->Count < ONE_REFERENCE)
        image_free(take_record(reference));
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

static void describe(FILE *out, const void *object)
{
    fprintf(out, " with %llu references",
            (unsigned long long)(((const EX_RUNDOWN_REF *)object)->Count & ~(ULONG_PTR)RUNDOWN_ACTIVE) / ONE_REFERENCE);
}

/* A second rundown of an object that was run down returns at once. */
VOID NTAPI ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)
{
    const struct ke_wait_note note = {"rundown of", RunRef, describe};
    struct rundown_waiter waiter = {.reference = RunRef};

    NT_CALL_AT(APC_LEVEL, POINT_LOCK);
    KeInitializeEvent(&waiter.released, NotificationEvent, FALSE);
    if (RunRef->Count == 0 || RunRef->Count == RUNDOWN_ACTIVE) {
        RunRef->Count = RUNDOWN_ACTIVE;
        return;
    }
    if ((RunRef->Count & RUNDOWN_ACTIVE) != 0)
        nt_violation("rundown", "%s(%p): another thread is already waiting for the release", __func__, (void *)RunRef);
    pool_note_inside(RunRef);
    InsertTailList(&machine->ex->rundowns, &waiter.entry);
    RunRef->Count |= RUNDOWN_ACTIVE;
    ke_wait_noted(&waiter.released, &note);
    RemoveEntryList(&waiter.entry);
}

VOID NTAPI ExRundownCompleted(PEX_RUNDOWN_REF RunRef)
{
    NT_CALL(APC_LEVEL);
    if (RunRef->Count != 0 && RunRef->Count != RUNDOWN_ACTIVE)
        nt_violation("rundown", "%s(%p): references are held or awaited (count %#llx)", __func__, (void *)RunRef,
                     (unsigned long long)RunRef->Count);
    RunRef->Count = RUNDOWN_ACTIVE;
}

void ex_rundown_check_freed(const void *start, size_t size)
{
    for (unsigned bucket = 0; bucket < EX_RUNDOWN_BUCKETS; bucket++)
        for (const struct rundown_record *held = machine->ex->rundown_records[bucket]; held != NULL; held = held->next)
            if ((uintptr_t)held->reference - (uintptr_t)start < size) {
                lock_note_stack(held->caller, 0, "it was acquired here:");
                nt_violation_sub("lock-freed-held", (uintptr_t)held->reference, 0, 0,
                                 "the memory at %p, %zu bytes, is freed with an EX_RUNDOWN_REF inside, at %p, to which "
                                 "%llu references are held",
                                 start, size, (const void *)held->reference,
                                 (unsigned long long)(held->reference->Count / ONE_REFERENCE));
            }
}

bool ex_rundown_is_waited_for(const void *start, size_t size)
{
    LIST_ENTRY *rundowns = &machine->ex->rundowns;

    for (LIST_ENTRY *entry = rundowns->Flink; entry != rundowns; entry = entry->Flink)
        if ((uintptr_t)CONTAINING_RECORD(entry, struct rundown_waiter, entry)->reference - (uintptr_t)start < size)
            return true;
    return false;
}
