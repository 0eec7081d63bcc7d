/*
 * Entries of the grant table (xen/grant_table.h). Those of version 1 hold whether they are in use; for those of version
 * 2 that is in their status word.
 */
#include "gnttab_private.h"

/* Xen changes flags of an entry while it is revoked, each time for one use that begins or ends. */
#define GNTTAB_REVOKE_ATTEMPTS 1000

#define GNTTAB_IN_USE (GTF_reading | GTF_writing)

static grant_entry_v1_t *GnttabEntryV1(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    grant_entry_v1_t *Entries = Context->Frame[Reference / GNTTAB_FRAME_ENTRIES_V1].Entries;

    return &Entries[Reference % GNTTAB_FRAME_ENTRIES_V1];
}

static grant_entry_v2_t *GnttabEntryV2(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    grant_entry_v2_t *Entries = Context->Frame[Reference / GNTTAB_FRAME_ENTRIES_V2].Entries;

    return &Entries[Reference % GNTTAB_FRAME_ENTRIES_V2];
}

/* Flags (low half) and domain of an entry, which Xen and the guest change and test as one. */
static LONG volatile *GnttabWord(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    C_ASSERT(FIELD_OFFSET(grant_entry_v1_t, flags) == 0 && FIELD_OFFSET(grant_entry_v1_t, domid) == 2);
    C_ASSERT(FIELD_OFFSET(grant_entry_header_t, flags) == 0 && FIELD_OFFSET(grant_entry_header_t, domid) == 2);

    if (Context->Version == 1)
        return (LONG volatile *)&GnttabEntryV1(Context, Reference)->flags;

    return (LONG volatile *)&GnttabEntryV2(Context, Reference)->hdr.flags;
}

static VOID GnttabSetFrame(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference, _In_ PFN_NUMBER Frame)
{
    if (Context->Version == 1)
        WriteULongRelease((ULONG volatile *)&GnttabEntryV1(Context, Reference)->frame, (ULONG)Frame);
    else
        WriteULong64Release((ULONG64 volatile *)&GnttabEntryV2(Context, Reference)->full_page.frame, Frame);
}

VOID GnttabGrant(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference, _In_ USHORT Domain, _In_ PFN_NUMBER Frame,
                 _In_ BOOLEAN ReadOnly)
{
    ULONG Flags = GTF_permit_access | (ReadOnly ? GTF_readonly : 0);

    /* The entry was invalid: an ordered store makes it valid, behind its frame, and nobody waits for its cache line. */
    GnttabSetFrame(Context, Reference, Frame);
    WriteRelease(GnttabWord(Context, Reference), (LONG)(((ULONG)Domain << 16) | Flags));
}

static BOOLEAN GnttabRevokeV1(_In_ LONG volatile *Word)
{
    LONG Old = ReadAcquire(Word);
    ULONG Attempt;

    for (Attempt = 0; Attempt < GNTTAB_REVOKE_ATTEMPTS; Attempt++) {
        LONG Seen;

        if ((Old & GNTTAB_IN_USE) != 0)
            return FALSE;

        Seen = InterlockedCompareExchange(Word, 0, Old);
        if (Seen == Old)
            return TRUE;

        Old = Seen;
    }

    return FALSE;
}

/* The status words are 16 bits wide and in pairs: the driver kit has ordered reads of 32. */
static BOOLEAN GnttabIsInUse(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    PGNTTAB_STATUS Status = &Context->Status[Reference / GNTTAB_STATUS_WORDS];
    ULONG Pair = ReadULongAcquire((ULONG volatile *)&Status->Words[Reference % GNTTAB_STATUS_WORDS & ~1u]);

    return (((Reference & 1) != 0 ? Pair >> 16 : Pair) & GNTTAB_IN_USE) != 0;
}

static BOOLEAN GnttabRevokeV2(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    LONG volatile *Word = GnttabWord(Context, Reference);
    LONG Old;

    if (GnttabIsInUse(Context, Reference))
        return FALSE;

    /*
     * The exchange is a full barrier, and Xen, which marks the status before it looks at the flags once more, has one
     * too: either a use that begins now sees that the grant is gone, or this sees the use.
     */
    Old = InterlockedExchange(Word, 0);
    if (!GnttabIsInUse(Context, Reference))
        return TRUE;

    InterlockedExchange(Word, Old);
    return FALSE;
}

BOOLEAN GnttabRevoke(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference)
{
    if (Context->Version == 1)
        return GnttabRevokeV1(GnttabWord(Context, Reference));

    return GnttabRevokeV2(Context, Reference);
}

NTSTATUS GnttabQuery(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference, _Out_ PPFN_NUMBER Frame,
                     _Out_ PBOOLEAN ReadOnly)
{
    LONG Word;

    *Frame = 0;
    *ReadOnly = FALSE;

    if (Reference / Context->FrameEntries >= ReadULongAcquire(&Context->FrameCount))
        return STATUS_INVALID_PARAMETER;

    Word = ReadAcquire(GnttabWord(Context, Reference));

    if ((Word & GTF_type_mask) != GTF_permit_access)
        return STATUS_INVALID_PARAMETER;

    if (Context->Version == 1)
        *Frame = ReadULongAcquire((ULONG volatile *)&GnttabEntryV1(Context, Reference)->frame);
    else
        *Frame = ReadULong64Acquire((ULONG64 volatile *)&GnttabEntryV2(Context, Reference)->full_page.frame);

    *ReadOnly = (Word & GTF_readonly) != 0;
    return STATUS_SUCCESS;
}
