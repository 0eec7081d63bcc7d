#include "bug.h"
#include "gnttab_private.h"
#include "pool.h"
#include "xen.h"

#include <xen/memory.h>

/* The entries must be of the version that they are read as. The pause is in microseconds. */
#define GNTTAB_VERSION_ATTEMPTS 100u
#define GNTTAB_VERSION_PAUSE 50u

static BOOLEAN GnttabIsOrphan(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    const GNTTAB_FRAME *Frame = &Context->Frame[Reference / Context->FrameEntries];
    ULONG Index = Reference % Context->FrameEntries;

    return (Frame->Orphan[Index / 32] & (1u << (Index % 32))) != 0;
}

static VOID GnttabSetOrphan(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    PGNTTAB_FRAME Frame = &Context->Frame[Reference / Context->FrameEntries];
    ULONG Index = Reference % Context->FrameEntries;

    Frame->Orphan[Index / 32] |= 1u << (Index % 32);
    Context->OrphanCount++;
}

static VOID GnttabReapOrphan(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    PGNTTAB_FRAME Frame = &Context->Frame[Reference / Context->FrameEntries];
    ULONG Index = Reference % Context->FrameEntries;

    if (!GnttabIsOrphan(Context, Reference) || !GnttabRevoke(Context, Reference))
        return;

    if (!NT_SUCCESS(XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Put, Context->References, Reference, 1)))
        return;

    Frame->Orphan[Index / 32] &= ~(1u << (Index % 32));
    --Context->OrphanCount;
    Info("reference %u is free at last", Reference);
}

/* Takes back the orphans that the other side has let go of. */
static VOID GnttabReapOrphans(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG Reference;
    ULONG End = Context->FrameCount * Context->FrameEntries;

    if (Context->OrphanCount == 0)
        return;

    for (Reference = GNTTAB_FIRST_REFERENCE; Reference < End; Reference++)
        GnttabReapOrphan(Context, Reference);
}

VOID GnttabOrphanReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    GnttabSetOrphan(Context, Reference);
    KeReleaseSpinLock(&Context->Lock, Irql);
}

/* The references of a frame that may be given out. */
static ULONG GnttabFirstReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG FrameIndex)
{
    return FrameIndex == 0 ? GNTTAB_FIRST_REFERENCE : FrameIndex * Context->FrameEntries;
}

static ULONG GnttabEndReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG FrameIndex)
{
    return (FrameIndex + 1) * Context->FrameEntries;
}

static NTSTATUS GnttabMapFrame(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG_PTR Index, _Out_ PXENBUS_HOLE_AREA Area,
                               _Outptr_ PVOID *Address)
{
    NTSTATUS Status;

    Status = HoleAllocate(Context->Hole, 1, Area);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XenMemoryAddToPhysMap(XENMAPSPACE_grant_table, Index, Area->Frame);
    if (!NT_SUCCESS(Status))
        goto fail2;

    *Address = HoleMap(Context->Hole, Area);
    if (*Address == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail3;
    }

    return STATUS_SUCCESS;

fail3:
    (VOID) XenMemoryRemoveFromPhysMap(Area->Frame);

fail2:
    HoleFree(Context->Hole, Area);

fail1:
    return Status;
}

/* Populated FALSE: Xen has put nothing there. */
static VOID GnttabUnmapFrame(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ const XENBUS_HOLE_AREA *Area, _In_ PVOID Address,
                             _In_ BOOLEAN Populated)
{
    NTSTATUS Status = STATUS_SUCCESS;

    HoleUnmap(Context->Hole, Area, Address);

    if (Populated)
        Status = XenMemoryRemoveFromPhysMap(Area->Frame);
    if (!NT_SUCCESS(Status))
        Error("a frame of the grant table stays at %llx (%08x)", (ULONGLONG)Area->Frame, Status);

    HoleFree(Context->Hole, Area);
}

/* Status words for the entries of one frame of the table more. */
static NTSTATUS GnttabGrowStatus(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG Index = Context->StatusCount;
    PGNTTAB_STATUS New;
    PVOID Words;
    NTSTATUS Status;

    if (Context->Version == 1 || (Context->FrameCount + 1) * Context->FrameEntries <= Index * GNTTAB_STATUS_WORDS)
        return STATUS_SUCCESS;

    New = &Context->Status[Index];
    Status = GnttabMapFrame(Context, Index | XENMAPIDX_grant_table_status, &New->Area, &Words);
    if (!NT_SUCCESS(Status))
        return Status;

    New->Words = Words;
    Context->StatusCount++;
    return STATUS_SUCCESS;
}

/* Maps the next frame of the table; Xen makes it if it must. */
static NTSTATUS GnttabGrow(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG Index = Context->FrameCount;
    ULONG First = GnttabFirstReference(Context, Index);
    PGNTTAB_FRAME Frame = &Context->Frame[Index];
    NTSTATUS Status;

    if (Index == Context->MaximumFrames) {
        if (!Context->FullReported)
            Error("all %u frames that the host allows are in use: it needs a larger max_grant_frames", Index);
        Context->FullReported = TRUE;
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    Status = GnttabMapFrame(Context, Index, &Frame->Area, &Frame->Entries);
    if (!NT_SUCCESS(Status))
        goto fail1;

    /* Xen makes status words with the entries. Once mapped they stay, and serve the next attempt if this one fails. */
    Status = GnttabGrowStatus(Context);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Put, Context->References, First,
                                   GnttabEndReference(Context, Index) - First);
    if (!NT_SUCCESS(Status))
        goto fail2;

    WriteULongRelease(&Context->FrameCount, Index + 1);
    Trace("%u of %u frames", Index + 1, Context->MaximumFrames);
    return STATUS_SUCCESS;

fail2:
    GnttabUnmapFrame(Context, &Frame->Area, Frame->Entries, TRUE);
    Frame->Entries = NULL;

fail1:
    Error("frame %u of %u (%08x)", Index, Context->MaximumFrames, Status);
    return Status;
}

static NTSTATUS GnttabPopReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _Out_ PULONG Reference)
{
    LONGLONG Start;
    NTSTATUS Status;

    Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Pop, Context->References, 1, &Start);
    *Reference = (ULONG)Start;
    return Status;
}

/* A reference whose entry is empty: one that somebody used before and left is kept apart until it is free. */
static NTSTATUS GnttabPopEmptyReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _Out_ PULONG Reference)
{
    NTSTATUS Status;

    for (;;) {
        Status = GnttabPopReference(Context, Reference);
        if (!NT_SUCCESS(Status) || GnttabRevoke(Context, *Reference))
            return Status;

        Warning("reference %u is in use by somebody else", *Reference);
        GnttabSetOrphan(Context, *Reference);
    }
}

NTSTATUS GnttabAllocateReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _Out_ PULONG Reference)
{
    NTSTATUS Status;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);

    Status = GnttabPopEmptyReference(Context, Reference);
    if (!NT_SUCCESS(Status)) {
        GnttabReapOrphans(Context);
        Status = GnttabPopEmptyReference(Context, Reference);
    }
    if (!NT_SUCCESS(Status)) {
        Status = GnttabGrow(Context);
        if (NT_SUCCESS(Status))
            Status = GnttabPopEmptyReference(Context, Reference);
    }

    KeReleaseSpinLock(&Context->Lock, Irql);

    return Status;
}

VOID GnttabFreeReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    NTSTATUS Status;

    Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Put, Context->References, Reference, 1);
    if (!NT_SUCCESS(Status))
        BUG("a grant reference that was taken does not fit back");
}

/*
 * Empties the set, in which everything but orphans must be back. What lies between two of them is one range of the set
 * then, and to take a whole range needs no memory: where there is none left the table can go all the same.
 */
static VOID GnttabTakeReferences(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG End = Context->FrameCount * Context->FrameEntries;
    ULONG First = GNTTAB_FIRST_REFERENCE;
    ULONG Reference;

    for (Reference = First; Reference <= End; Reference++) {
        NTSTATUS Status = STATUS_SUCCESS;

        if (Reference != End && !GnttabIsOrphan(Context, Reference))
            continue;

        if (Reference != First)
            Status =
                XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Get, Context->References, First, Reference - First);
        if (!NT_SUCCESS(Status))
            BUG("grant references are still in use");

        if (Reference != End)
            Error("reference %u is still mapped by the other side", Reference);
        First = Reference + 1;
    }
}

static NTSTATUS GnttabTryVersion(_In_ ULONG Version)
{
    ULONG InForce;
    NTSTATUS Status;

    Status = XenGrantTableSetVersion(Version);
    if (NT_SUCCESS(Status))
        return Status;

    /* A Xen that knows one version only may refuse to set it. */
    if (NT_SUCCESS(XenGrantTableQueryVersion(&InForce)) && InForce == Version)
        return STATUS_SUCCESS;

    return Status;
}

/* Version 2 if it may be, or else the other one. Any IRQL. */
static NTSTATUS GnttabChooseVersion(_In_ ULONG Wanted, _Out_ PULONG Version)
{
    NTSTATUS Status = STATUS_NOT_SUPPORTED;
    ULONG Attempt;

    for (Attempt = 0; Wanted == 2 && Attempt < GNTTAB_VERSION_ATTEMPTS; Attempt++) {
        Status = GnttabTryVersion(2);
        if (NT_SUCCESS(Status)) {
            *Version = 2;
            return STATUS_SUCCESS;
        }

        /* Xen may have no memory for status words at the moment. Any other answer is final. */
        if (Status != STATUS_INSUFFICIENT_RESOURCES)
            break;
        KeStallExecutionProcessor(GNTTAB_VERSION_PAUSE);
    }

    *Version = 1;
    return GnttabTryVersion(1);
}

/* With no frames yet, or none any more. */
static VOID GnttabFreeArrays(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    if (Context->Status != NULL)
        PoolFree(Context->Status, GNTTAB_TAG);
    if (Context->Frame != NULL)
        PoolFree(Context->Frame, GNTTAB_TAG);

    Context->Status = NULL;
    Context->Frame = NULL;
}

static NTSTATUS GnttabAllocateArrays(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG StatusFrames =
        (Context->MaximumFrames * Context->FrameEntries + GNTTAB_STATUS_WORDS - 1) / GNTTAB_STATUS_WORDS;

    Context->Frame = PoolAllocateArray(Context->MaximumFrames, sizeof(GNTTAB_FRAME), GNTTAB_TAG);
    if (Context->Version == 2)
        Context->Status = PoolAllocateArray(StatusFrames, sizeof(GNTTAB_STATUS), GNTTAB_TAG);

    if (Context->Frame != NULL && (Context->Version == 1 || Context->Status != NULL))
        return STATUS_SUCCESS;

    GnttabFreeArrays(Context);
    return STATUS_INSUFFICIENT_RESOURCES;
}

static VOID GnttabRemoveStatus(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    while (Context->StatusCount != 0) {
        PGNTTAB_STATUS Last = &Context->Status[--Context->StatusCount];

        /* A table that was of version 2 once has places for status words, and no words. */
        GnttabUnmapFrame(Context, &Last->Area, Last->Words, Context->Version == 2);
    }
}

NTSTATUS GnttabTableCreate(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG CurrentFrames;
    NTSTATUS Status;

    Status = GnttabChooseVersion(2, &Context->Version);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Context->FrameEntries = Context->Version == 2 ? GNTTAB_FRAME_ENTRIES_V2 : GNTTAB_FRAME_ENTRIES_V1;

    Status = XenGrantTableQuerySize(&CurrentFrames, &Context->MaximumFrames);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = GnttabAllocateArrays(Context);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Create, "gnttab", &Context->References);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = GnttabGrow(Context);
    if (!NT_SUCCESS(Status))
        goto fail3;

    Info("version %u, up to %u frames", Context->Version, Context->MaximumFrames);
    return STATUS_SUCCESS;

fail3:
    GnttabRemoveStatus(Context);
    XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Destroy, Context->References);

fail2:
    GnttabFreeArrays(Context);

fail1:
    Error("no grant table (%08x)", Status);
    return Status;
}

VOID GnttabTableDestroy(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    GnttabReapOrphans(Context);
    GnttabTakeReferences(Context);

    while (Context->FrameCount != 0) {
        PGNTTAB_FRAME Last = &Context->Frame[Context->FrameCount - 1];

        GnttabUnmapFrame(Context, &Last->Area, Last->Entries, TRUE);
        --Context->FrameCount;
    }

    GnttabRemoveStatus(Context);
    XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Destroy, Context->References);
    GnttabFreeArrays(Context);
    Context->OrphanCount = 0;
}

VOID GnttabTableResume(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG Index;
    ULONG Version;
    NTSTATUS Status;

    /*
     * Whatever was granted is not any more, so that the entries may be of another version; their owners grant anew. A
     * table of version 1 stays one.
     */
    Status = GnttabChooseVersion(Context->Version, &Version);
    if (!NT_SUCCESS(Status)) {
        Critical("the grant table is of no version that is known here (%08x)", Status);
        BUG("no grant table after a resume");
    }

    if (Version != Context->Version)
        Warning("the grant table is of version %u from now on", Version);
    Context->Version = Version;

    for (Index = 0; Index < Context->FrameCount; Index++)
        HolePutAgain(&Context->Frame[Index].Area, XENMAPSPACE_grant_table, Index);

    for (Index = 0; Version == 2 && Index < Context->StatusCount; Index++)
        HolePutAgain(&Context->Status[Index].Area, XENMAPSPACE_grant_table, Index | XENMAPIDX_grant_table_status);
}
