#include "cache.h"

#include "bug.h"
#include "interface.h"
#include "pool.h"
#include "text.h"
#include "users.h"

#define CACHE_TAG POOL_TAG('C', 'A', 'C', 'H')

#define CACHE_NAME_LENGTH 64
#define CACHE_ALIGNMENT 16
#define CACHE_OBJECT_FREE POOL_TAG('F', 'R', 'E', 'E')
#define CACHE_OBJECT_USED POOL_TAG('U', 'S', 'E', 'D')

/* Puts after which the most that was in use before no longer counts. */
#define CACHE_WINDOW 1024

/* Room for this many objects is asked for at a time, if they are small; see CacheSlabSize. */
#define CACHE_SLAB_OBJECTS 8

struct _XENBUS_CACHE_CONTEXT {
    INTERFACE_USERS Users;
};

/* In front of each object. */
typedef struct DECLSPEC_ALIGN(CACHE_ALIGNMENT) _CACHE_OBJECT {
    SINGLE_LIST_ENTRY ListEntry; /* in CACHE_SLAB.Free */
    struct _CACHE_SLAB *Slab;
    ULONG State;
} CACHE_OBJECT, *PCACHE_OBJECT;

/* One allocation with Count objects, all of them constructed as long as it exists. */
typedef struct DECLSPEC_ALIGN(CACHE_ALIGNMENT) _CACHE_SLAB {
    LIST_ENTRY ListEntry; /* in XENBUS_CACHE.Partial or .Full */
    PXENBUS_CACHE Cache;
    ULONG Count;
    ULONG Used;
    SINGLE_LIST_ENTRY Free; /* the one used last first */
} CACHE_SLAB, *PCACHE_SLAB;

/* All fields that change are guarded by the client's lock. */
struct _XENBUS_CACHE {
    LIST_ENTRY Partial; /* slabs with a free object, the one that was full last first */
    LIST_ENTRY Full;
    ULONG Stride;
    ULONG Reservation;
    ULONG Cap;
    ULONG Count; /* objects in existence */
    ULONG Used;
    ULONG Peak;     /* the most in use in this window of puts, ... */
    ULONG LastPeak; /* ... in the one before, ... */
    ULONG Puts;     /* ... and how many there were in this one */
    XENBUS_CACHE_CTOR Ctor;
    XENBUS_CACHE_DTOR Dtor;
    XENBUS_CACHE_ACQUIRE_LOCK AcquireLock;
    XENBUS_CACHE_RELEASE_LOCK ReleaseLock;
    PVOID Argument;
    CHAR Name[CACHE_NAME_LENGTH];
};

static PVOID CacheBody(_In_ PCACHE_OBJECT Object)
{
    return Object + 1;
}

static PCACHE_OBJECT CacheSlabObject(_In_ PCACHE_SLAB Slab, _In_ ULONG Index)
{
    return (PCACHE_OBJECT)((PUCHAR)(Slab + 1) + (SIZE_T)Index * Slab->Cache->Stride);
}

/* Whole pages, with room for CACHE_SLAB_OBJECTS. */
static SIZE_T CacheSlabSize(_In_ PXENBUS_CACHE Cache)
{
    return ROUND_TO_PAGES(sizeof(CACHE_SLAB) + (SIZE_T)CACHE_SLAB_OBJECTS * Cache->Stride);
}

/* Destroys the first Count objects of a slab that is in no list, and frees it. */
static VOID CacheSlabDestroy(_In_ PCACHE_SLAB Slab, _In_ ULONG Count)
{
    PXENBUS_CACHE Cache = Slab->Cache;

    while (Count != 0)
        Cache->Dtor(Cache->Argument, CacheBody(CacheSlabObject(Slab, --Count)));

    PoolFree(Slab, CACHE_TAG);
}

/* Makes a slab with as many objects as fit and as Cap allows. */
static NTSTATUS CacheGrow(_In_ PXENBUS_CACHE Cache)
{
    SIZE_T Size = CacheSlabSize(Cache);
    PCACHE_SLAB Slab;
    ULONG Index;
    NTSTATUS Status;

    if (Cache->Cap != 0 && Cache->Count >= Cache->Cap)
        return STATUS_INSUFFICIENT_RESOURCES;

    Slab = PoolAllocate(Size, CACHE_TAG);
    if (Slab == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Slab->Cache = Cache;
    Slab->Count = (ULONG)((Size - sizeof(CACHE_SLAB)) / Cache->Stride);
    if (Cache->Cap != 0 && Slab->Count > Cache->Cap - Cache->Count)
        Slab->Count = Cache->Cap - Cache->Count;
    Slab->Free.Next = NULL;

    for (Index = 0; Index < Slab->Count; Index++) {
        PCACHE_OBJECT Object = CacheSlabObject(Slab, Index);

        Status = Cache->Ctor(Cache->Argument, CacheBody(Object));
        if (!NT_SUCCESS(Status)) {
            /* What could be made is kept if it is anything: the client may do with less than a slab. */
            if (Index == 0) {
                CacheSlabDestroy(Slab, 0);
                return Status;
            }
            Slab->Count = Index;
            break;
        }

        Object->Slab = Slab;
        Object->State = CACHE_OBJECT_FREE;
        PushEntryList(&Slab->Free, &Object->ListEntry);
    }

    Cache->Count += Slab->Count;
    InsertHeadList(&Cache->Partial, &Slab->ListEntry);
    return STATUS_SUCCESS;
}

/* Gives up a slab none of whose objects is in use. */
static VOID CacheShrink(_In_ PXENBUS_CACHE Cache, _In_ PCACHE_SLAB Slab)
{
    RemoveEntryList(&Slab->ListEntry);
    Cache->Count -= Slab->Count;
    CacheSlabDestroy(Slab, Slab->Count);
}

static PVOID CacheGetLocked(_In_ PXENBUS_CACHE Cache)
{
    PCACHE_SLAB Slab;
    PCACHE_OBJECT Object;

    if (IsListEmpty(&Cache->Partial) && !NT_SUCCESS(CacheGrow(Cache)))
        return NULL;

    Slab = CONTAINING_RECORD(Cache->Partial.Flink, CACHE_SLAB, ListEntry);
    Object = CONTAINING_RECORD(PopEntryList(&Slab->Free), CACHE_OBJECT, ListEntry);

    ASSERT(Object->State == CACHE_OBJECT_FREE);
    Object->State = CACHE_OBJECT_USED;

    Cache->Used++;
    Cache->Peak = max(Cache->Peak, Cache->Used);
    if (++Slab->Used == Slab->Count) {
        RemoveEntryList(&Slab->ListEntry);
        InsertTailList(&Cache->Full, &Slab->ListEntry);
    }

    return CacheBody(Object);
}

/*
 * Objects in existence that stay: as many as were in use of late, since a client with much to do takes them again at
 * once; free ones at least the reservation and a slab's worth, so that one at the edge does not make and unmake it.
 */
static ULONG CacheKeep(_In_ PXENBUS_CACHE Cache, _In_ ULONG Slab)
{
    return max(max(Cache->Peak, Cache->LastPeak), Cache->Used + max(Cache->Reservation, Slab));
}

static VOID CacheCountPut(_In_ PXENBUS_CACHE Cache)
{
    if (++Cache->Puts < CACHE_WINDOW)
        return;

    Cache->LastPeak = Cache->Peak;
    Cache->Peak = Cache->Used;
    Cache->Puts = 0;
}

static VOID CachePutLocked(_In_ PXENBUS_CACHE Cache, _In_ PVOID Body)
{
    PCACHE_OBJECT Object = (PCACHE_OBJECT)Body - 1;
    PCACHE_SLAB Slab;

    if (Object->State != CACHE_OBJECT_USED || Object->Slab->Cache != Cache) {
        Critical("%s: %p is not an object in use (state %08x)", Cache->Name, Body, Object->State);
        BUG("what is put into a cache is not of it, or was put already");
    }

    Slab = Object->Slab;
    Object->State = CACHE_OBJECT_FREE;
    PushEntryList(&Slab->Free, &Object->ListEntry);

    Cache->Used--;
    if (Slab->Used-- == Slab->Count) {
        RemoveEntryList(&Slab->ListEntry);
        InsertHeadList(&Cache->Partial, &Slab->ListEntry);
    }

    CacheCountPut(Cache);
    if (Slab->Used == 0 && Cache->Count >= CacheKeep(Cache, Slab->Count) + Slab->Count)
        CacheShrink(Cache, Slab);
}

static PVOID NTAPI CacheGet(_In_ PINTERFACE Interface, _In_ PXENBUS_CACHE Cache, _In_ BOOLEAN Locked)
{
    PVOID Body;

    UNREFERENCED_PARAMETER(Interface);

    if (!Locked)
        Cache->AcquireLock(Cache->Argument);

    Body = CacheGetLocked(Cache);

    if (!Locked)
        Cache->ReleaseLock(Cache->Argument);

    return Body;
}

static VOID NTAPI CachePut(_In_ PINTERFACE Interface, _In_ PXENBUS_CACHE Cache, _In_ PVOID Object, _In_ BOOLEAN Locked)
{
    UNREFERENCED_PARAMETER(Interface);

    if (!Locked)
        Cache->AcquireLock(Cache->Argument);

    CachePutLocked(Cache, Object);

    if (!Locked)
        Cache->ReleaseLock(Cache->Argument);
}

/* The cache is the caller's alone: no lock. */
static VOID CacheEmpty(_In_ PXENBUS_CACHE Cache)
{
    while (!IsListEmpty(&Cache->Partial))
        CacheShrink(Cache, CONTAINING_RECORD(Cache->Partial.Flink, CACHE_SLAB, ListEntry));
}

static NTSTATUS NTAPI CacheCreate(_In_ PINTERFACE Interface, _In_ PCSTR Name, _In_ ULONG Size, _In_ ULONG Reservation,
                                  _In_ ULONG Cap, _In_ XENBUS_CACHE_CTOR Ctor, _In_ XENBUS_CACHE_DTOR Dtor,
                                  _In_ XENBUS_CACHE_ACQUIRE_LOCK AcquireLock,
                                  _In_ XENBUS_CACHE_RELEASE_LOCK ReleaseLock, _In_opt_ PVOID Argument,
                                  _Outptr_ PXENBUS_CACHE *Cache)
{
    PXENBUS_CACHE New;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Interface);

    *Cache = NULL;

    if (Size == 0 || Size > MAXLONG / CACHE_SLAB_OBJECTS / 2 || (Cap != 0 && Reservation > Cap))
        return STATUS_INVALID_PARAMETER;

    New = PoolAllocate(sizeof(XENBUS_CACHE), CACHE_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    InitializeListHead(&New->Partial);
    InitializeListHead(&New->Full);
    New->Stride = sizeof(CACHE_OBJECT) + ((Size + CACHE_ALIGNMENT - 1) & ~(ULONG)(CACHE_ALIGNMENT - 1));
    New->Reservation = Reservation;
    New->Cap = Cap;
    New->Ctor = Ctor;
    New->Dtor = Dtor;
    New->AcquireLock = AcquireLock;
    New->ReleaseLock = ReleaseLock;
    New->Argument = Argument;
    (VOID) TextPrint(New->Name, sizeof(New->Name), "%s", Name);

    while (New->Count < New->Reservation) {
        Status = CacheGrow(New);
        if (!NT_SUCCESS(Status))
            goto fail1;
    }

    *Cache = New;
    return STATUS_SUCCESS;

fail1:
    Error("%s: only %u of %u objects can be had (%08x)", New->Name, New->Count, Reservation, Status);

    CacheEmpty(New);
    PoolFree(New, CACHE_TAG);
    return Status;
}

static VOID NTAPI CacheDestroy(_In_ PINTERFACE Interface, _In_ PXENBUS_CACHE Cache)
{
    UNREFERENCED_PARAMETER(Interface);

    if (Cache->Used != 0) {
        Critical("%s: %u objects have not been put back", Cache->Name, Cache->Used);
        BUG("a cache is destroyed with objects in use");
    }

    CacheEmpty(Cache);
    PoolFree(Cache, CACHE_TAG);
}

static NTSTATUS NTAPI CacheAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_CACHE_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI CacheRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_CACHE_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_CACHE_INTERFACE_V2 CacheInterfaceV2 = {
    .CacheAcquire = CacheAcquire,
    .CacheRelease = CacheRelease,
    .CacheCreate = CacheCreate,
    .CacheGet = CacheGet,
    .CachePut = CachePut,
    .CacheDestroy = CacheDestroy,
};

NTSTATUS CacheGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                           _In_ ULONG Size)
{
    switch (Version) {
    case 2:
        return InterfaceFill(Interface, Size, &CacheInterfaceV2, sizeof(CacheInterfaceV2), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

NTSTATUS CacheInitialize(_Outptr_ PXENBUS_CACHE_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENBUS_CACHE_CONTEXT), CACHE_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "CACHE");
    UsersEnable(&(*Context)->Users);
    return STATUS_SUCCESS;
}

VOID CacheTeardown(_In_ PXENBUS_CACHE_CONTEXT Context)
{
    UsersDisable(&Context->Users);
    PoolFree(Context, CACHE_TAG);
}
