#include "bug.h"
#include "gnttab_private.h"
#include "pool.h"
#include "xen.h"

#include <xen/memory.h>

/* Xen changes flags of an entry while it is revoked, each time for one use that begins or ends. */
#define GNTTAB_REVOKE_ATTEMPTS 1000

static grant_entry_v1_t *GnttabEntry(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    return &Context->Frame[Reference / GNTTAB_FRAME_ENTRIES].Entries[Reference % GNTTAB_FRAME_ENTRIES];
}

/* Flags (low half) and domain of an entry, which Xen and the guest change and test as one. */
static LONG volatile *GnttabWord(_In_ grant_entry_v1_t *Entry)
{
    C_ASSERT(FIELD_OFFSET(grant_entry_v1_t, flags) == 0 && FIELD_OFFSET(grant_entry_v1_t, domid) == 2);

    return (LONG volatile *)&Entry->flags;
}

VOID GnttabGrant(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference, _In_ USHORT Domain, _In_ ULONG Frame,
                 _In_ BOOLEAN ReadOnly)
{
    grant_entry_v1_t *Entry = GnttabEntry(Context, Reference);
    ULONG Flags = GTF_permit_access | (ReadOnly ? GTF_readonly : 0);

    WriteULongRelease((ULONG volatile *)&Entry->frame, Frame);
    InterlockedExchange(GnttabWord(Entry), (LONG)(((ULONG)Domain << 16) | Flags));
}

BOOLEAN GnttabRevoke(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    LONG volatile *Word = GnttabWord(GnttabEntry(Context, Reference));
    LONG Old = ReadAcquire(Word);
    ULONG Attempt;

    for (Attempt = 0; Attempt < GNTTAB_REVOKE_ATTEMPTS; Attempt++) {
        LONG Seen;

        if ((Old & (GTF_reading | GTF_writing)) != 0)
            return FALSE;

        Seen = InterlockedCompareExchange(Word, 0, Old);
        if (Seen == Old)
            return TRUE;

        Old = Seen;
    }

    return FALSE;
}

NTSTATUS GnttabQuery(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference, _Out_ PPFN_NUMBER Frame,
                     _Out_ PBOOLEAN ReadOnly)
{
    grant_entry_v1_t *Entry;
    LONG Word;

    *Frame = 0;
    *ReadOnly = FALSE;

    if (Reference / GNTTAB_FRAME_ENTRIES >= ReadULongAcquire(&Context->FrameCount))
        return STATUS_INVALID_PARAMETER;

    Entry = GnttabEntry(Context, Reference);
    Word = ReadAcquire(GnttabWord(Entry));

    if ((Word & GTF_type_mask) != GTF_permit_access)
        return STATUS_INVALID_PARAMETER;

    *Frame = ReadULongAcquire((ULONG volatile *)&Entry->frame);
    *ReadOnly = (Word & GTF_readonly) != 0;
    return STATUS_SUCCESS;
}

static BOOLEAN GnttabIsOrphan(_In_ PGNTTAB_FRAME Frame, _In_ ULONG Index)
{
    return (Frame->Orphan[Index / 32] & (1u << (Index % 32))) != 0;
}

static VOID GnttabSetOrphan(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    PGNTTAB_FRAME Frame = &Context->Frame[Reference / GNTTAB_FRAME_ENTRIES];
    ULONG Index = Reference % GNTTAB_FRAME_ENTRIES;

    Frame->Orphan[Index / 32] |= 1u << (Index % 32);
    Frame->Orphans++;
    Context->OrphanCount++;
}

static VOID GnttabReapOrphan(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    PGNTTAB_FRAME Frame = &Context->Frame[Reference / GNTTAB_FRAME_ENTRIES];
    ULONG Index = Reference % GNTTAB_FRAME_ENTRIES;

    if (!GnttabIsOrphan(Frame, Index) || !GnttabRevoke(Context, Reference))
        return;

    if (!NT_SUCCESS(XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Put, Context->References, Reference, 1)))
        return;

    Frame->Orphan[Index / 32] &= ~(1u << (Index % 32));
    --Frame->Orphans;
    --Context->OrphanCount;
    Info("reference %u is free at last", Reference);
}

/* Takes back the orphans that the other side has let go of. */
static VOID GnttabReapOrphans(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG Reference;
    ULONG End = Context->FrameCount * GNTTAB_FRAME_ENTRIES;

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
static ULONG GnttabFirstReference(_In_ ULONG FrameIndex)
{
    return FrameIndex == 0 ? GNTTAB_FIRST_REFERENCE : FrameIndex * GNTTAB_FRAME_ENTRIES;
}

static ULONG GnttabEndReference(_In_ ULONG FrameIndex)
{
    return (FrameIndex + 1) * GNTTAB_FRAME_ENTRIES;
}

/* Maps the next frame of the table; Xen makes it if it must. */
static NTSTATUS GnttabGrow(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG Index = Context->FrameCount;
    ULONG First = GnttabFirstReference(Index);
    PGNTTAB_FRAME Frame = &Context->Frame[Index];
    NTSTATUS Status;

    if (Index == Context->MaximumFrames)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = HoleAllocate(Context->Hole, 1, &Frame->Area);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XenMemoryAddToPhysMap(XENMAPSPACE_grant_table, Index, Frame->Area.Frame);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Frame->Entries = HoleMap(Context->Hole, &Frame->Area);
    if (Frame->Entries == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail3;
    }

    Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Put, Context->References, First,
                                   GnttabEndReference(Index) - First);
    if (!NT_SUCCESS(Status))
        goto fail4;

    WriteULongRelease(&Context->FrameCount, Index + 1);
    Trace("%u of %u frames", Index + 1, Context->MaximumFrames);
    return STATUS_SUCCESS;

fail4:
    HoleUnmap(Context->Hole, &Frame->Area, Frame->Entries);

fail3:
    (VOID) XenMemoryRemoveFromPhysMap(Frame->Area.Frame);

fail2:
    HoleFree(Context->Hole, &Frame->Area);

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

/* Empties the set of what a frame put there: all of it but orphans must be back. */
static VOID GnttabTakeReferences(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG FrameIndex)
{
    ULONG First = GnttabFirstReference(FrameIndex);
    ULONG Count = GnttabEndReference(FrameIndex) - First;
    PGNTTAB_FRAME Frame = &Context->Frame[FrameIndex];
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Reference;

    if (Frame->Orphans == 0) {
        Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Get, Context->References, First, Count);
        if (!NT_SUCCESS(Status))
            BUG("grant references are still in use");
        return;
    }

    for (Reference = First; Reference < First + Count; Reference++) {
        if (GnttabIsOrphan(Frame, Reference % GNTTAB_FRAME_ENTRIES)) {
            Error("reference %u is still mapped by the other side", Reference);
            continue;
        }

        Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Get, Context->References, Reference, 1);
        if (!NT_SUCCESS(Status))
            BUG("grant references are still in use");
    }
}

static VOID GnttabRemoveFrame(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG FrameIndex)
{
    PGNTTAB_FRAME Frame = &Context->Frame[FrameIndex];
    NTSTATUS Status;

    HoleUnmap(Context->Hole, &Frame->Area, Frame->Entries);
    Frame->Entries = NULL;

    Status = XenMemoryRemoveFromPhysMap(Frame->Area.Frame);
    if (!NT_SUCCESS(Status))
        Error("frame %u stays at %llx (%08x)", FrameIndex, (ULONGLONG)Frame->Area.Frame, Status);

    HoleFree(Context->Hole, &Frame->Area);
}

/* Makes the entries those of version 1, if they are not. Any IRQL. */
static NTSTATUS GnttabSetVersion(VOID)
{
    ULONG Version;

    if (NT_SUCCESS(XenGrantTableQueryVersion(&Version)) && Version == 1)
        return STATUS_SUCCESS;

    return XenGrantTableSetVersion(1);
}

NTSTATUS GnttabTableCreate(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG CurrentFrames;
    NTSTATUS Status;

    Status = GnttabSetVersion();
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XenGrantTableQuerySize(&CurrentFrames, &Context->MaximumFrames);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Context->Frame = PoolAllocateArray(Context->MaximumFrames, sizeof(GNTTAB_FRAME), GNTTAB_TAG);
    if (Context->Frame == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail1;
    }

    Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Create, "gnttab", &Context->References);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = GnttabGrow(Context);
    if (!NT_SUCCESS(Status))
        goto fail3;

    return STATUS_SUCCESS;

fail3:
    XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Destroy, Context->References);

fail2:
    PoolFree(Context->Frame, GNTTAB_TAG);
    Context->Frame = NULL;

fail1:
    Error("no grant table (%08x)", Status);
    return Status;
}

VOID GnttabTableDestroy(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    GnttabReapOrphans(Context);

    while (Context->FrameCount != 0) {
        GnttabTakeReferences(Context, Context->FrameCount - 1);
        GnttabRemoveFrame(Context, Context->FrameCount - 1);
        --Context->FrameCount;
    }

    XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Destroy, Context->References);
    PoolFree(Context->Frame, GNTTAB_TAG);
    Context->Frame = NULL;
    Context->OrphanCount = 0;
}

VOID GnttabTableResume(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    ULONG Index;
    NTSTATUS Status;

    Status = GnttabSetVersion();
    if (!NT_SUCCESS(Status))
        Critical("the grant table is not of version 1 (%08x)", Status);

    for (Index = 0; Index < Context->FrameCount; Index++)
        HolePutAgain(&Context->Frame[Index].Area, XENMAPSPACE_grant_table, Index);
}
