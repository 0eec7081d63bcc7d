#include "bug.h"
#include "granter.h"
#include "pool.h"
#include "text.h"

#define GRANTER_TAG POOL_TAG('V', 'g', 'n', 't')

typedef struct _GRANTER_ORPHAN {
    LIST_ENTRY ListEntry;
    PXENBUS_GNTTAB_ENTRY Grant;
} GRANTER_ORPHAN, *PGRANTER_ORPHAN;

static VOID NTAPI GranterAcquireLock(_In_opt_ PVOID Argument)
{
    PXENVIF_GRANTER Granter = Argument;
    KIRQL Irql;

    KeAcquireSpinLock(&Granter->Lock, &Irql);
    Granter->Irql = Irql;
}

static VOID NTAPI GranterReleaseLock(_In_opt_ PVOID Argument)
{
    PXENVIF_GRANTER Granter = Argument;

    KeReleaseSpinLock(&Granter->Lock, Granter->Irql);
}

PAGED_FUNCTION NTSTATUS GranterInitialize(_In_ PXENBUS_GNTTAB_INTERFACE_V4 Gnttab, _In_z_ PCSTR Name,
                                          _Outptr_ PXENVIF_GRANTER *Granter)
{
    PXENVIF_GRANTER New;
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_GRANTER), GRANTER_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Gnttab = Gnttab;
    KeInitializeSpinLock(&New->Lock);
    InitializeListHead(&New->ListEntry);
    InitializeListHead(&New->Held);
    InitializeListHead(&New->Orphans);
    (VOID) TextPrint(New->Name, sizeof(New->Name), "%s", Name);

    Status = XENBUS_GNTTAB_CALL(Gnttab, CreateCache, New->Name, 0, 0, GranterAcquireLock, GranterReleaseLock, New,
                                &New->Cache);
    if (!NT_SUCCESS(Status))
        goto fail;

    *Granter = New;

    return STATUS_SUCCESS;

fail:
    Error("%s: no grant cache (%08x)", Name, Status);
    PoolFree(New, GRANTER_TAG);

    return Status;
}

VOID GranterSetDomain(_Inout_ PXENVIF_GRANTER Granter, _In_ USHORT Domain)
{
    Granter->Domain = Domain;
}

NTSTATUS GranterPermit(_Inout_ PXENVIF_GRANTER Granter, _In_ PFN_NUMBER Pfn, _In_ BOOLEAN ReadOnly,
                       _Outptr_ PXENBUS_GNTTAB_ENTRY *Grant)
{
    return XENBUS_GNTTAB_CALL(Granter->Gnttab, PermitForeignAccess, Granter->Cache, TRUE, Granter->Domain, Pfn,
                              ReadOnly, Grant);
}

NTSTATUS GranterRevoke(_Inout_ PXENVIF_GRANTER Granter, _In_ PXENBUS_GNTTAB_ENTRY Grant)
{
    return XENBUS_GNTTAB_CALL(Granter->Gnttab, RevokeForeignAccess, Granter->Cache, TRUE, Grant);
}

/* A backend must not fill the log: the first and every doubling are told of. */
static BOOLEAN GranterIsWorthTelling(_In_ ULONG Count)
{
    return (Count & (Count - 1)) == 0;
}

static VOID GranterLose(_Inout_ PXENVIF_GRANTER Granter, _In_ PXENBUS_GNTTAB_ENTRY Grant)
{
    Granter->LostCount++;

    if (GranterIsWorthTelling(Granter->LostCount))
        Critical(
            "%s: domain %u does not let go of grant %u, which stands for good, since there is no memory to note it "
            "(%u so far)",
            Granter->Name, Granter->Domain, GranterReference(Granter, Grant), Granter->LostCount);
}

BOOLEAN GranterOrphan(_Inout_ PXENVIF_GRANTER Granter, _In_ PXENBUS_GNTTAB_ENTRY Grant, _In_ BOOLEAN Lose)
{
    PGRANTER_ORPHAN Orphan;

    Orphan = PoolAllocate(sizeof(GRANTER_ORPHAN), GRANTER_TAG);
    if (Orphan == NULL) {
        if (Lose)
            GranterLose(Granter, Grant);
        return Lose;
    }

    Orphan->Grant = Grant;
    InsertTailList(&Granter->Orphans, &Orphan->ListEntry);
    Granter->OrphanCount++;

    if (GranterIsWorthTelling(Granter->OrphanCount))
        Critical("%s: domain %u does not let go of grant %u, whose page goes back to its owner (%u so far)",
                 Granter->Name, Granter->Domain, GranterReference(Granter, Grant), Granter->OrphanCount);

    return TRUE;
}

NTSTATUS GranterPermitBuffer(_Inout_ PXENVIF_GRANTER Granter, _Inout_ PXENVIF_BUFFER Buffer, _In_ BOOLEAN ReadOnly)
{
    NTSTATUS Status;

    ASSERT(Buffer->Grant == NULL);

    Status = GranterPermit(Granter, Buffer->Pfn, ReadOnly, &Buffer->Grant);
    if (NT_SUCCESS(Status))
        Buffer->Reference = GranterReference(Granter, Buffer->Grant);

    return Status;
}

BOOLEAN GranterRevokeBuffer(_Inout_ PXENVIF_GRANTER Granter, _Inout_ PXENVIF_BUFFER Buffer)
{
    if (NT_SUCCESS(GranterRevoke(Granter, Buffer->Grant))) {
        Buffer->Grant = NULL;
        return TRUE;
    }

    InsertTailList(&Granter->Held, &Buffer->ListEntry);
    Granter->HeldCount++;

    if (GranterIsWorthTelling(Granter->HeldCount))
        Warning("%s: domain %u still has grant %u mapped: its page is set aside (%u so far)", Granter->Name,
                Granter->Domain, Buffer->Reference, Granter->HeldCount);

    return FALSE;
}

ULONG GranterReference(_In_ PXENVIF_GRANTER Granter, _In_ PXENBUS_GNTTAB_ENTRY Grant)
{
    return XENBUS_GNTTAB_CALL(Granter->Gnttab, GetReference, Grant);
}

static VOID GranterRetryHeld(_Inout_ PXENVIF_GRANTER Granter)
{
    PLIST_ENTRY ListEntry = Granter->Held.Flink;

    while (ListEntry != &Granter->Held) {
        PXENVIF_BUFFER Buffer = CONTAINING_RECORD(ListEntry, XENVIF_BUFFER, ListEntry);

        ListEntry = ListEntry->Flink;

        if (!NT_SUCCESS(GranterRevoke(Granter, Buffer->Grant)))
            continue;

        Buffer->Grant = NULL;
        RemoveEntryList(&Buffer->ListEntry);
        Granter->HeldCount--;
        BufferFree(Buffer);

        if (Granter->HeldCount == 0 || GranterIsWorthTelling(Granter->HeldCount))
            Info("%s: a page that had been set aside is free (%u left)", Granter->Name, Granter->HeldCount);
    }
}

static VOID GranterRetryOrphans(_Inout_ PXENVIF_GRANTER Granter)
{
    PLIST_ENTRY ListEntry = Granter->Orphans.Flink;

    while (ListEntry != &Granter->Orphans) {
        PGRANTER_ORPHAN Orphan = CONTAINING_RECORD(ListEntry, GRANTER_ORPHAN, ListEntry);

        ListEntry = ListEntry->Flink;

        if (!NT_SUCCESS(GranterRevoke(Granter, Orphan->Grant)))
            continue;

        RemoveEntryList(&Orphan->ListEntry);
        Granter->OrphanCount--;
        PoolFree(Orphan, GRANTER_TAG);
    }
}

BOOLEAN GranterIsOverheld(_In_ PXENVIF_GRANTER Granter, _In_ ULONG Others)
{
    return Granter->HeldCount + Granter->OrphanCount + Granter->LostCount + Others > GRANTER_HELD_CAP;
}

ULONG GranterRetry(_Inout_ PXENVIF_GRANTER Granter)
{
    ULONG Count;
    KIRQL Irql;

    KeAcquireSpinLock(&Granter->Lock, &Irql);

    GranterRetryHeld(Granter);
    GranterRetryOrphans(Granter);
    Count = Granter->HeldCount + Granter->OrphanCount;

    KeReleaseSpinLock(&Granter->Lock, Irql);

    return Count;
}

PAGED_FUNCTION BOOLEAN GranterTeardown(_In_ PXENVIF_GRANTER Granter)
{
    PAGED_CODE();

    if (GranterRetry(Granter) != 0 || Granter->LostCount != 0)
        return FALSE;

    XENBUS_GNTTAB_CALL(Granter->Gnttab, DestroyCache, Granter->Cache);
    PoolFree(Granter, GRANTER_TAG);

    return TRUE;
}
