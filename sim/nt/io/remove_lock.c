/*
 * Remove locks: the count of what keeps a device from going away (wdm.h: IoInitializeRemoveLock, IoAcquireRemoveLock,
 * IoReleaseRemoveLock, IoReleaseRemoveLockAndWait). The lock is the driver's memory; IoCount starts at 1 and
 * RemoveEvent is set when it falls to 0. A lock of the debug size (DBG builds) also keeps the tags of those who hold
 * it.
 */
#include "nt/io/io_internal.h"

#define REMOVE_LOCK_SIGNATURE 0x4b4c524f /* "ORLK" */

struct _IO_REMOVE_LOCK_TRACKING_BLOCK {
    struct _IO_REMOVE_LOCK_TRACKING_BLOCK *next;
    PVOID tag;
    PCSTR file;
    ULONG line;
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

VOID NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, ULONG MaxLockedMinutes,
                                    ULONG HighWatermark, ULONG RemlockSize)
{
    NT_CALL(PASSIVE_LEVEL);
    if (HighWatermark > MAXLONG)
        nt_violation("remove-lock", "IoInitializeRemoveLock with HighWatermark 0x%x", HighWatermark);
    if (RemlockSize != sizeof(IO_REMOVE_LOCK_COMMON_BLOCK) && !has_debug_part(RemlockSize))
        nt_violation("remove-lock", "IoInitializeRemoveLock of a lock of %u bytes", RemlockSize);
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
        KeInitializeSpinLock(&debug->Spin);
    }
}

static void track(PIO_REMOVE_LOCK_DBG_BLOCK debug, PVOID tag, PCSTR file, ULONG line)
{
    PIO_REMOVE_LOCK_TRACKING_BLOCK block;
    KIRQL irql;

    block = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*block), (ULONG)debug->AllocateTag);
    if (block == NULL) {
        InterlockedIncrement(&debug->LowMemoryCount);
        return;
    }
    block->tag = tag;
    block->file = file;
    block->line = line;
    KeAcquireSpinLock(&debug->Spin, &irql);
    block->next = debug->Blocks;
    debug->Blocks = block;
    KeReleaseSpinLock(&debug->Spin, irql);
}

static void untrack(PIO_REMOVE_LOCK_DBG_BLOCK debug, PIO_REMOVE_LOCK lock, PVOID tag)
{
    PIO_REMOVE_LOCK_TRACKING_BLOCK *link = &debug->Blocks;
    PIO_REMOVE_LOCK_TRACKING_BLOCK block;
    KIRQL irql;

    KeAcquireSpinLock(&debug->Spin, &irql);
    while (*link != NULL && (*link)->tag != tag)
        link = &(*link)->next;
    block = *link;
    if (block != NULL)
        *link = block->next;
    KeReleaseSpinLock(&debug->Spin, irql);
    if (block != NULL)
        ExFreePoolWithTag(block, (ULONG)debug->AllocateTag);
    else if (InterlockedDecrement(&debug->LowMemoryCount) < 0)
        nt_violation("remove-lock", "remove lock %p is released with tag %p, which did not acquire it", lock, tag);
}

NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, ULONG Line, ULONG RemlockSize)
{
    LONG count;

    NT_CALL(DISPATCH_LEVEL);
    count = InterlockedIncrement(&RemoveLock->Common.IoCount);
    if (RemoveLock->Common.Removed) {
        if (InterlockedDecrement(&RemoveLock->Common.IoCount) == 0)
            KeSetEvent(&RemoveLock->Common.RemoveEvent, IO_NO_INCREMENT, FALSE);
        return STATUS_DELETE_PENDING;
    }
    if (count < 2)
        nt_violation("remove-lock", "remove lock %p is acquired with a count of %d: it was never initialised",
                     RemoveLock, count - 1);
    if (has_debug_part(RemlockSize)) {
        PIO_REMOVE_LOCK_DBG_BLOCK debug = debug_part(RemoveLock);

        if (debug->HighWatermark != 0 && (ULONG)count > debug->HighWatermark)
            nt_violation("remove-lock", "remove lock %p is held %d times, more than its high watermark of %u",
                         RemoveLock, count, debug->HighWatermark);
        track(debug, Tag, File, Line);
    }
    return STATUS_SUCCESS;
}

VOID NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    LONG count;

    NT_CALL(DISPATCH_LEVEL);
    if (has_debug_part(RemlockSize))
        untrack(debug_part(RemoveLock), RemoveLock, Tag);
    count = InterlockedDecrement(&RemoveLock->Common.IoCount);
    if (count < 0 || (count == 0 && !RemoveLock->Common.Removed))
        nt_violation("remove-lock", "remove lock %p is released more often than it was acquired", RemoveLock);
    if (count == 0)
        KeSetEvent(&RemoveLock->Common.RemoveEvent, IO_NO_INCREMENT, FALSE);
}

VOID NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize)
{
    NT_CALL(PASSIVE_LEVEL);
    if (RemoveLock->Common.Removed)
        nt_violation("remove-lock", "IoReleaseRemoveLockAndWait of remove lock %p, which has been released so before",
                     RemoveLock);
    RemoveLock->Common.Removed = TRUE;
    /* The caller's own acquisition and the lock's initial count. */
    InterlockedDecrement(&RemoveLock->Common.IoCount);
    if (InterlockedDecrement(&RemoveLock->Common.IoCount) > 0)
        KeWaitForSingleObject(&RemoveLock->Common.RemoveEvent, Executive, KernelMode, FALSE, NULL);
    if (has_debug_part(RemlockSize)) {
        PIO_REMOVE_LOCK_DBG_BLOCK debug = debug_part(RemoveLock);

        untrack(debug, RemoveLock, Tag);
        if (debug->Blocks != NULL)
            nt_violation("remove-lock", "remove lock %p has drained, but tag %p was never released", RemoveLock,
                         debug->Blocks->tag);
    }
}
