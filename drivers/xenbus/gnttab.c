#include "gnttab.h"

#include "bug.h"
#include "gnttab_private.h"
#include "interface.h"
#include "pool.h"
#include "text.h"

#define GNTTAB_NAME_LENGTH 64

/* Its entries keep their references while they are free: to grant a page is to write one entry of the table. */
struct _XENBUS_GNTTAB_CACHE {
    PXENBUS_GNTTAB_CONTEXT Context;
    PXENBUS_CACHE Cache;
    XENBUS_CACHE_ACQUIRE_LOCK AcquireLock;
    XENBUS_CACHE_RELEASE_LOCK ReleaseLock;
    PVOID Argument;
    LIST_ENTRY Quarantine; /* under the client's lock */
    CHAR Name[GNTTAB_NAME_LENGTH];
};

struct _XENBUS_GNTTAB_ENTRY {
    LIST_ENTRY ListEntry; /* in XENBUS_GNTTAB_CACHE.Quarantine */
    ULONG Reference;
    PFN_NUMBER Frame;
    USHORT Domain;
    BOOLEAN Quarantined;
};

static NTSTATUS NTAPI GnttabEntryCtor(_In_opt_ PVOID Argument, _In_ PVOID Object)
{
    PXENBUS_GNTTAB_CACHE Cache = Argument;
    PXENBUS_GNTTAB_ENTRY Entry = Object;

    return GnttabAllocateReference(Cache->Context, &Entry->Reference);
}

static VOID NTAPI GnttabEntryDtor(_In_opt_ PVOID Argument, _In_ PVOID Object)
{
    PXENBUS_GNTTAB_CACHE Cache = Argument;
    PXENBUS_GNTTAB_ENTRY Entry = Object;

    if (Entry->Reference != GNTTAB_NO_REFERENCE)
        GnttabFreeReference(Cache->Context, Entry->Reference);
}

static VOID NTAPI GnttabAcquireLock(_In_opt_ PVOID Argument)
{
    PXENBUS_GNTTAB_CACHE Cache = Argument;

    Cache->AcquireLock(Cache->Argument);
}

static VOID NTAPI GnttabReleaseLock(_In_opt_ PVOID Argument)
{
    PXENBUS_GNTTAB_CACHE Cache = Argument;

    Cache->ReleaseLock(Cache->Argument);
}

static NTSTATUS NTAPI GnttabCreateCache(_In_ PINTERFACE Interface, _In_ PCSTR Name, _In_ ULONG Reservation,
                                        _In_ ULONG Cap, _In_ XENBUS_CACHE_ACQUIRE_LOCK AcquireLock,
                                        _In_ XENBUS_CACHE_RELEASE_LOCK ReleaseLock, _In_opt_ PVOID Argument,
                                        _Outptr_ PXENBUS_GNTTAB_CACHE *Cache)
{
    PXENBUS_GNTTAB_CONTEXT Context = Interface->Context;
    PXENBUS_GNTTAB_CACHE New;
    NTSTATUS Status;

    *Cache = NULL;

    New = PoolAllocate(sizeof(XENBUS_GNTTAB_CACHE), GNTTAB_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Context = Context;
    New->AcquireLock = AcquireLock;
    New->ReleaseLock = ReleaseLock;
    New->Argument = Argument;
    InitializeListHead(&New->Quarantine);
    (VOID) TextPrint(New->Name, sizeof(New->Name), "%s_gnttab", Name);

    Status =
        XENBUS_CACHE_CALL(&Context->CacheInterface, Create, New->Name, sizeof(XENBUS_GNTTAB_ENTRY), Reservation, Cap,
                          GnttabEntryCtor, GnttabEntryDtor, GnttabAcquireLock, GnttabReleaseLock, New, &New->Cache);
    if (!NT_SUCCESS(Status))
        goto fail1;

    InterlockedIncrement(&Context->CacheCount);
    *Cache = New;
    return STATUS_SUCCESS;

fail1:
    PoolFree(New, GNTTAB_TAG);
    return Status;
}

/* The client goes and the other side does not let go: the reference must outlive the entry. */
static VOID GnttabAbandon(_In_ PXENBUS_GNTTAB_CACHE Cache, _In_ PXENBUS_GNTTAB_ENTRY Entry)
{
    PXENBUS_GNTTAB_CONTEXT Context = Cache->Context;

    RemoveEntryList(&Entry->ListEntry);
    Entry->Quarantined = FALSE;
    InterlockedDecrement(&Context->QuarantineCount);

    if (!GnttabRevoke(Context, Entry->Reference)) {
        Error("%s: domain %u still has frame %llx mapped, reference %u is kept apart", Cache->Name, Entry->Domain,
              (ULONGLONG)Entry->Frame, Entry->Reference);
        GnttabOrphanReference(Context, Entry->Reference);
        Entry->Reference = GNTTAB_NO_REFERENCE;
    }

    XENBUS_CACHE_CALL(&Context->CacheInterface, Put, Cache->Cache, Entry, TRUE);
}

static VOID NTAPI GnttabDestroyCache(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_CACHE Cache)
{
    PXENBUS_GNTTAB_CONTEXT Context = Interface->Context;

    GnttabAcquireLock(Cache);

    while (!IsListEmpty(&Cache->Quarantine))
        GnttabAbandon(Cache, CONTAINING_RECORD(Cache->Quarantine.Flink, XENBUS_GNTTAB_ENTRY, ListEntry));

    GnttabReleaseLock(Cache);

    XENBUS_CACHE_CALL(&Context->CacheInterface, Destroy, Cache->Cache);
    PoolFree(Cache, GNTTAB_TAG);

    InterlockedDecrement(&Context->CacheCount);
}

static NTSTATUS NTAPI GnttabPermitForeignAccess(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_CACHE Cache,
                                                _In_ BOOLEAN Locked, _In_ USHORT Domain, _In_ PFN_NUMBER Pfn,
                                                _In_ BOOLEAN ReadOnly, _Outptr_ PXENBUS_GNTTAB_ENTRY *Entry)
{
    PXENBUS_GNTTAB_CONTEXT Context = Interface->Context;

    *Entry = NULL;

    /* An entry of version 1 has room for 32 bits. */
    if (Context->Version == 1 && Pfn > MAXULONG)
        return STATUS_INVALID_PARAMETER;

    *Entry = XENBUS_CACHE_CALL(&Context->CacheInterface, Get, Cache->Cache, Locked);
    if (*Entry == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (*Entry)->Frame = Pfn;
    (*Entry)->Domain = Domain;

    GnttabGrant(Context, (*Entry)->Reference, Domain, Pfn, ReadOnly);
    return STATUS_SUCCESS;
}

static VOID GnttabSetQuarantined(_In_ PXENBUS_GNTTAB_CACHE Cache, _In_ BOOLEAN Locked, _In_ PXENBUS_GNTTAB_ENTRY Entry,
                                 _In_ BOOLEAN Quarantined)
{
    if (!Locked)
        GnttabAcquireLock(Cache);

    if (Quarantined)
        InsertTailList(&Cache->Quarantine, &Entry->ListEntry);
    else
        RemoveEntryList(&Entry->ListEntry);
    Entry->Quarantined = Quarantined;

    if (!Locked)
        GnttabReleaseLock(Cache);
}

static NTSTATUS NTAPI GnttabRevokeForeignAccess(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_CACHE Cache,
                                                _In_ BOOLEAN Locked, _In_ PXENBUS_GNTTAB_ENTRY Entry)
{
    PXENBUS_GNTTAB_CONTEXT Context = Interface->Context;

    if (!GnttabRevoke(Context, Entry->Reference)) {
        /* The entry stays the caller's, who may try again; it is not given out again before. */
        if (!Entry->Quarantined) {
            LONG Count = InterlockedIncrement(&Context->QuarantineCount);

            GnttabSetQuarantined(Cache, Locked, Entry, TRUE);

            /* A domain that holds on to everything must not fill the log: the first and every doubling. */
            if ((Count & (Count - 1)) == 0)
                Warning("%s: domain %u still has frame %llx mapped (reference %u); %d such grant(s)", Cache->Name,
                        Entry->Domain, (ULONGLONG)Entry->Frame, Entry->Reference, Count);
        }
        return STATUS_UNSUCCESSFUL;
    }

    if (Entry->Quarantined) {
        GnttabSetQuarantined(Cache, Locked, Entry, FALSE);
        InterlockedDecrement(&Context->QuarantineCount);
    }

    XENBUS_CACHE_CALL(&Context->CacheInterface, Put, Cache->Cache, Entry, Locked);
    return STATUS_SUCCESS;
}

static ULONG NTAPI GnttabGetReference(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_ENTRY Entry)
{
    UNREFERENCED_PARAMETER(Interface);

    return Entry->Reference;
}

static NTSTATUS NTAPI GnttabQueryReference(_In_ PINTERFACE Interface, _In_ ULONG Reference, _Out_opt_ PPFN_NUMBER Pfn,
                                           _Out_opt_ PBOOLEAN ReadOnly)
{
    PFN_NUMBER Frame;
    BOOLEAN IsReadOnly;
    NTSTATUS Status;

    Status = GnttabQuery(Interface->Context, Reference, &Frame, &IsReadOnly);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Pfn != NULL)
        *Pfn = Frame;
    if (ReadOnly != NULL)
        *ReadOnly = IsReadOnly;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI GnttabMapForeignPages(_In_ PINTERFACE Interface, _In_ USHORT Domain, _In_ ULONG NumberPages,
                                            _In_reads_(NumberPages) PULONG References, _In_ BOOLEAN ReadOnly,
                                            _Out_ PHYSICAL_ADDRESS *Address)
{
    return GnttabMap(Interface->Context, Domain, NumberPages, References, ReadOnly, Address);
}

static NTSTATUS NTAPI GnttabUnmapForeignPages(_In_ PINTERFACE Interface, _In_ PHYSICAL_ADDRESS Address)
{
    return GnttabUnmap(Interface->Context, Address);
}

static NTSTATUS NTAPI GnttabAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_GNTTAB_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI GnttabRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_GNTTAB_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_GNTTAB_INTERFACE_V4 GnttabInterfaceV4 = {
    .GnttabAcquire = GnttabAcquire,
    .GnttabRelease = GnttabRelease,
    .GnttabCreateCache = GnttabCreateCache,
    .GnttabPermitForeignAccess = GnttabPermitForeignAccess,
    .GnttabRevokeForeignAccess = GnttabRevokeForeignAccess,
    .GnttabGetReference = GnttabGetReference,
    .GnttabQueryReference = GnttabQueryReference,
    .GnttabDestroyCache = GnttabDestroyCache,
    .GnttabMapForeignPages = GnttabMapForeignPages,
    .GnttabUnmapForeignPages = GnttabUnmapForeignPages,
};

NTSTATUS GnttabGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                            _In_ ULONG Size)
{
    switch (Version) {
    case 4:
        return InterfaceFill(Interface, Size, &GnttabInterfaceV4, sizeof(GnttabInterfaceV4), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

NTSTATUS GnttabEnable(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ PXENBUS_HOLE Hole,
                      _In_ const XENBUS_CACHE_INTERFACE *Cache, _In_ const XENBUS_RANGE_SET_INTERFACE *RangeSet)
{
    NTSTATUS Status;

    Context->Hole = Hole;
    Context->CacheInterface = *Cache;
    Context->RangeSetInterface = *RangeSet;

    Status = XENBUS_CACHE_CALL(&Context->CacheInterface, Acquire);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Acquire);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = GnttabTableCreate(Context);
    if (!NT_SUCCESS(Status))
        goto fail2;

    UsersEnable(&Context->Users);
    return STATUS_SUCCESS;

fail2:
    XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Release);

fail1:
    XENBUS_CACHE_CALL(&Context->CacheInterface, Release);
    return Status;
}

ULONG GnttabCountUsers(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    return UsersCount(&Context->Users);
}

VOID GnttabDisable(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    UsersDisable(&Context->Users);

    if (Context->CacheCount != 0 || !IsListEmpty(&Context->Maps)) {
        Critical("%d cache(s)%s", Context->CacheCount, IsListEmpty(&Context->Maps) ? "" : " and mappings");
        BUG("a client has released GNTTAB without giving back what it took");
    }

    GnttabTableDestroy(Context);

    XENBUS_RANGE_SET_CALL(&Context->RangeSetInterface, Release);
    XENBUS_CACHE_CALL(&Context->CacheInterface, Release);
    Context->Hole = NULL;
}

VOID GnttabResume(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    GnttabTableResume(Context);
}

NTSTATUS GnttabInitialize(_Outptr_ PXENBUS_GNTTAB_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENBUS_GNTTAB_CONTEXT), GNTTAB_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "GNTTAB");
    KeInitializeSpinLock(&(*Context)->Lock);
    InitializeListHead(&(*Context)->Maps);
    return STATUS_SUCCESS;
}

VOID GnttabTeardown(_In_ PXENBUS_GNTTAB_CONTEXT Context)
{
    PoolFree(Context, GNTTAB_TAG);
}
