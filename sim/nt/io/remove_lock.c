/*
 * Remove locks: the count of what keeps a device from going away (wdm.h: IoInitializeRemoveLock, IoAcquireRemoveLock,
 * IoReleaseRemoveLock, IoReleaseRemoveLockAndWait). The lock is the driver's memory; IoCount starts at 1 and
 * RemoveEvent is set when it falls to 0. As Driver Verifier does with a shadow of the lock, a record outside the
 * driver's memory keeps the tags of those who hold it, whether or not the driver was built with DBG; a lock of the
 * debug size also has the limits that the driver gave.
 */
#include "nt/io/io_internal.h"

#include "nt/verifier/stacks.h"

#define REMOVE_LOCK_SIGNATURE 0x4b4c524f /* "ORLK" */

struct remove_lock_holder {
    LIST_ENTRY entry;
    PVOID tag;
    const void *caller;
    uint32_t stack;
    uint64_t since; /* machine time */
};

struct io_remove_lock {
    LIST_ENTRY entry; /* io_state.remove_locks */
    PIO_REMOVE_LOCK lock;
    LIST_ENTRY holders; /* struct remove_lock_holder, latest first */
    unsigned held;
    uint64_t longest; /* ns; 0: no limit */
};

typedef IO_REMOVE_LOCK_DBG_BLOCK *PIO_REMOVE_LOCK_DBG_BLOCK;

static bool has_debug_part(ULONG size)
{
    return size >= sizeof(IO_REMOVE_LOCK_COMMON_BLOCK) + sizeof(IO_REMOVE_LOCK_DBG_BLOCK);
}

static PIO_REMOVE_LOCK_DBG_BLOCK debug_part(PIO_REMOVE_LOCK lock)
{
    /* The structure's own declaration ends before it in a driver built without DBG. */
    return (PIO_REMOVE_LOCK_DBG_BLOCK)((PUCHAR)lock + sizeof(IO_REMOVE_LOCK_COMMON_BLOCK));
}

static struct io_remove_lock *find(const void *lock)
{
    const LIST_ENTRY *locks = &machine->io->remove_locks;

    for (PLIST_ENTRY entry = locks->Flink; entry != locks; entry = entry->Flink) {
        struct io_remove_lock *record = CONTAINING_RECORD(entry, struct io_remove_lock, entry);

        if (record->lock == lock)
            return record;
    }
    return NULL;
}

static struct io_remove_lock *record_of(PIO_REMOVE_LOCK lock, const char *routine)
{
    struct io_remove_lock *record = find(lock);

    if (record == NULL)
        nt_violation("remove-lock", "%s of %p, which is no initialised remove lock", routine, (void *)lock);
    return record;
}

VOID NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, ULONG MaxLockedMinutes,
                                    ULONG HighWatermark, ULONG RemlockSize)
{
    struct io_remove_lock *record;

    NT_CALL(PASSIVE_LEVEL);
    if (HighWatermark > MAXLONG)
        nt_violation("remove-lock", "IoInitializeRemoveLock with HighWatermark 0x%x", HighWatermark);
    if (RemlockSize != sizeof(IO_REMOVE_LOCK_COMMON_BLOCK) && !has_debug_part(RemlockSize))
        nt_violation("remove-lock", "IoInitializeRemoveLock of a lock of %u bytes", RemlockSize);
    record = find(Lock);
    if (record != NULL)
        nt_violation_sub("remove-lock-initialised-twice", (uintptr_t)record, (uintptr_t)Lock, 0,
                         "IoInitializeRemoveLock of %p, which was initialised before: other threads may still use it",
                         (void *)Lock);
    record = image_alloc(sizeof(*record));
    record->lock = Lock;
    InitializeListHead(&record->holders);
    InsertTailList(&machine->io->remove_locks, &record->entry);
    pool_note_inside(Lock);
    RtlZeroMemory(Lock, RemlockSize);
    Lock->Common.IoCount = 1;
    KeInitializeEvent(&Lock->Common.RemoveEvent, SynchronizationEvent, FALSE);
    if (has_debug_part(RemlockSize)) {
        PIO_REMOVE_LOCK_DBG_BLOCK debug = debug_part(Lock);

        debug->Signature = REMOVE_LOCK_SIGNATURE;
        debug->HighWatermark = HighWatermark;
        debug->MaxLockedTicks = (LONGLONG)MaxLockedMinutes * 60 * 10000000 / KeQueryTimeIncrement();
        debug->AllocateTag = (LONG)AllocateTag;
        InitializeListHead(&debug->LockList);
        record->longest = (uint64_t)MaxLockedMinutes * 60 * 1000000000;
    }
}

static void add_holder(struct io_remove_lock *record, PVOID tag, const void *caller)
{
    struct remove_lock_holder *holder = image_alloc(sizeof(*holder));

    holder->tag = tag;
    holder->caller = caller;
    holder->stack = stacks_wanted() ? stacks_capture(caller) : 0;
    holder->since = clock_now();
    InsertHeadList(&record->holders, &holder->entry);
    record->held++;
}

static struct remove_lock_holder *find_holder(const struct io_remove_lock *record, const void *tag)
{
    for (PLIST_ENTRY entry = record->holders.Flink; entry != &record->holders; entry = entry->Flink) {
        struct remove_lock_holder *holder = CONTAINING_RECORD(entry, struct remove_lock_holder, entry);

        if (holder->tag == tag)
            return holder;
    }
    return NULL;
}

static const struct remove_lock_holder *latest(const struct io_remove_lock *record)
{
    return IsListEmpty(&record->holders) ? NULL
                                         : CONTAINING_RECORD(record->holders.Flink, struct remove_lock_holder, entry);
}

static void note_holder(const struct remove_lock_holder *holder)
{
    if (holder != NULL)
        lock_note_stack(holder->caller, holder->stack, "the latest acquisition:");
}

static void remove_holder(struct io_remove_lock *record, struct remove_lock_holder *holder)
{
    uint64_t held = clock_now() - holder->since;

    if (record->longest != 0 && held > record->longest) {
        note_holder(holder);
        nt_violation("remove-lock",
                     "remove lock %p was held with tag %p for %llu minutes, longer than its limit of %llu",
                     (void *)record->lock, holder->tag, (unsigned long long)(held / 60000000000),
                     (unsigned long long)(record->longest / 60000000000));
    }
    RemoveEntryList(&holder->entry);
    image_free(holder);
    record->held--;
}

NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, ULONG Line, ULONG RemlockSize)
{
    struct io_remove_lock *record;
    LONG count;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(File); /* the caller's address says both */
    UNREFERENCED_PARAMETER(Line);
    record = record_of(RemoveLock, "IoAcquireRemoveLock");
    count = InterlockedIncrement(&RemoveLock->Common.IoCount);
    if (RemoveLock->Common.Removed) {
        if (InterlockedDecrement(&RemoveLock->Common.IoCount) == 0)
            KeSetEvent(&RemoveLock->Common.RemoveEvent, IO_NO_INCREMENT, FALSE);
        return STATUS_DELETE_PENDING;
    }
    if (has_debug_part(RemlockSize)) {
        ULONG limit = debug_part(RemoveLock)->HighWatermark;

        if (limit != 0 && (ULONG)count > limit)
            nt_violation("remove-lock", "remove lock %p is held %d times, more than its high watermark of %u",
                         (void *)RemoveLock, count, limit);
    }
    add_holder(record, Tag, __builtin_return_address(0));
    return STATUS_SUCCESS;
}

VOID NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    struct io_remove_lock *record;
    struct remove_lock_holder *holder;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(RemlockSize);
    record = record_of(RemoveLock, "IoReleaseRemoveLock");
    holder = find_holder(record, Tag);
    if (holder == NULL) {
        note_holder(latest(record));
        nt_violation_sub("remove-lock-tag", (uintptr_t)RemoveLock, (uintptr_t)Tag, 0,
                         "IoReleaseRemoveLock of %p with tag %p, which does not hold it; it is held %u times",
                         (void *)RemoveLock, Tag, record->held);
    }
    remove_holder(record, holder);
    if (InterlockedDecrement(&RemoveLock->Common.IoCount) == 0)
        KeSetEvent(&RemoveLock->Common.RemoveEvent, IO_NO_INCREMENT, FALSE);
}

static void describe(FILE *out, const void *object)
{
    fprintf(out, " that is held %d times", ((const IO_REMOVE_LOCK *)object)->Common.IoCount);
}

VOID NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    const struct ke_wait_note note = {"remove lock", RemoveLock, describe};
    struct io_remove_lock *record;
    struct remove_lock_holder *holder;

    NT_CALL(PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(RemlockSize);
    record = record_of(RemoveLock, "IoReleaseRemoveLockAndWait");
    holder = find_holder(record, Tag);
    if (holder == NULL) {
        const struct remove_lock_holder *last = latest(record);

        note_holder(last);
        nt_violation_sub("remove-lock-wait-tag", (uintptr_t)RemoveLock, (uintptr_t)Tag,
                         (uintptr_t)(last != NULL ? last->tag : NULL),
                         "IoReleaseRemoveLockAndWait of %p with tag %p, which does not hold it; it is held %u times%s",
                         (void *)RemoveLock, Tag, record->held,
                         RemoveLock->Common.Removed ? ", and somebody has called this for it before" : "");
    }
    if (RemoveLock->Common.Removed)
        nt_violation("remove-lock", "IoReleaseRemoveLockAndWait of remove lock %p, which has been released so before",
                     (void *)RemoveLock);
    remove_holder(record, holder);
    RemoveLock->Common.Removed = TRUE;
    /* The caller's own acquisition and the lock's initial count. */
    InterlockedDecrement(&RemoveLock->Common.IoCount);
    if (InterlockedDecrement(&RemoveLock->Common.IoCount) > 0)
        ke_wait_noted(&RemoveLock->Common.RemoveEvent, &note);
}

void io_remove_lock_check_freed(const void *start, size_t size)
{
    const LIST_ENTRY *locks = &machine->io->remove_locks;

    for (PLIST_ENTRY entry = locks->Flink, next; entry != locks; entry = next) {
        struct io_remove_lock *record = CONTAINING_RECORD(entry, struct io_remove_lock, entry);

        next = entry->Flink;
        if ((uintptr_t)record->lock - (uintptr_t)start >= size)
            continue;
        if (record->held != 0) {
            note_holder(latest(record));
            nt_violation_sub("lock-freed-held", (uintptr_t)record->lock, 0, 0,
                             "the memory at %p, %zu bytes, is freed with a remove lock inside, at %p, that is held %u "
                             "times, last with tag %p",
                             start, size, (void *)record->lock, record->held, latest(record)->tag);
        }
        RemoveEntryList(&record->entry);
        image_free(record);
    }
}
