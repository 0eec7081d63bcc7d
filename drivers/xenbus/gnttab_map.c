#include "gnttab_private.h"
#include "log.h"
#include "pool.h"
#include "xen.h"

typedef struct _GNTTAB_MAP {
    LIST_ENTRY ListEntry; /* in XENBUS_GNTTAB_CONTEXT.Maps */
    XENBUS_HOLE_AREA Area;
    ULONG Handle[1];
} GNTTAB_MAP, *PGNTTAB_MAP;

static PHYSICAL_ADDRESS GnttabMapAddress(_In_ PGNTTAB_MAP Map, _In_ ULONG Index)
{
    PHYSICAL_ADDRESS Address;

    Address.QuadPart = ((LONGLONG)Map->Area.Frame + Index) << PAGE_SHIFT;
    return Address;
}

/* Ends the mappings of the first Count pages. After a resume Xen has ended them: an error is no more than a note. */
static VOID GnttabUnmapPages(_In_ PGNTTAB_MAP Map, _In_ ULONG Count)
{
    while (Count-- != 0) {
        NTSTATUS Status = XenGrantTableUnmapForeignPage(Map->Handle[Count], GnttabMapAddress(Map, Count));

        if (!NT_SUCCESS(Status))
            Warning("handle %u (%08x)", Map->Handle[Count], Status);
    }
}

NTSTATUS GnttabMap(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ USHORT Domain, _In_ ULONG NumberPages,
                   _In_reads_(NumberPages) const ULONG *References, _In_ BOOLEAN ReadOnly,
                   _Out_ PHYSICAL_ADDRESS *Address)
{
    PGNTTAB_MAP Map;
    ULONG Index;
    NTSTATUS Status;
    KIRQL Irql;

    Address->QuadPart = 0;

    if (NumberPages == 0)
        return STATUS_INVALID_PARAMETER;

    Map = PoolAllocate(FIELD_OFFSET(GNTTAB_MAP, Handle) + (SIZE_T)NumberPages * sizeof(ULONG), GNTTAB_TAG);
    if (Map == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = HoleAllocate(Context->Hole, NumberPages, &Map->Area);
    if (!NT_SUCCESS(Status))
        goto fail1;

    for (Index = 0; Index < NumberPages; Index++) {
        Status = XenGrantTableMapForeignPage(Domain, References[Index], GnttabMapAddress(Map, Index), ReadOnly,
                                             &Map->Handle[Index]);
        if (!NT_SUCCESS(Status))
            goto fail2;
    }

    KeAcquireSpinLock(&Context->Lock, &Irql);
    InsertTailList(&Context->Maps, &Map->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    *Address = GnttabMapAddress(Map, 0);
    return STATUS_SUCCESS;

fail2:
    Error("page %u of %u, reference %u of domain %u (%08x)", Index, NumberPages, References[Index], Domain, Status);

    GnttabUnmapPages(Map, Index);
    HoleFree(Context->Hole, &Map->Area);

fail1:
    PoolFree(Map, GNTTAB_TAG);
    return Status;
}

/* Takes the mapping at Address out of the list. */
static PGNTTAB_MAP GnttabTakeMap(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ PHYSICAL_ADDRESS Address)
{
    PGNTTAB_MAP Found = NULL;
    PLIST_ENTRY ListEntry;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);

    for (ListEntry = Context->Maps.Flink; ListEntry != &Context->Maps; ListEntry = ListEntry->Flink) {
        PGNTTAB_MAP Map = CONTAINING_RECORD(ListEntry, GNTTAB_MAP, ListEntry);

        if (GnttabMapAddress(Map, 0).QuadPart == Address.QuadPart) {
            RemoveEntryList(&Map->ListEntry);
            Found = Map;
            break;
        }
    }

    KeReleaseSpinLock(&Context->Lock, Irql);

    return Found;
}

NTSTATUS GnttabUnmap(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ PHYSICAL_ADDRESS Address)
{
    PGNTTAB_MAP Map = GnttabTakeMap(Context, Address);

    if (Map == NULL)
        return STATUS_INVALID_PARAMETER;

    GnttabUnmapPages(Map, Map->Area.Count);
    HoleFree(Context->Hole, &Map->Area);
    PoolFree(Map, GNTTAB_TAG);
    return STATUS_SUCCESS;
}
