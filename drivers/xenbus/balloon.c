#include "balloon.h"

#include "bug.h"
#include "log.h"
#include "pool.h"
#include "xen.h"

#define BALLOON_TAG POOL_TAG('B', 'A', 'L', 'N')

/* Pages that Xen can back by one large page, in one extent of this order. */
#define LARGE_ORDER 9
#define LARGE_PAGES (1u << LARGE_ORDER)

/*
 * Pages of one MDL: those from First to before End are with Xen, the others are here. Xen says how many extents of a
 * call it has done, from the first one on, so that a chunk is always in such a state. Pages are given to it one by one,
 * never as an extent of 2 MiB: it takes those page by page all the same, and would not say where in one it stopped.
 */
typedef struct _XENBUS_BALLOON_CHUNK {
    LIST_ENTRY ListEntry;
    PMDL Mdl;
    ULONG Count;
    ULONG First;
    ULONG End;
    BOOLEAN Large; /* LARGE_PAGES in a row, aligned */
} XENBUS_BALLOON_CHUNK, *PXENBUS_BALLOON_CHUNK;

struct _XENBUS_BALLOON_CONTEXT {
    LIST_ENTRY Several; /* chunks of more than one page, all of which Xen has */
    LIST_ENTRY Single;  /* chunks of one page, which it has */
    LIST_ENTRY Partial; /* chunks of which it has a part */
    LONGLONG Size;

    /* Standard events; NULL: there is none. */
    PKEVENT LowMemory;
    HANDLE LowMemoryHandle;
    PKEVENT HighMemory;
    HANDLE HighMemoryHandle;
};

ULONGLONG BalloonGetSize(_In_ PXENBUS_BALLOON_CONTEXT Context)
{
    return (ULONGLONG)InterlockedCompareExchange64(&Context->Size, 0, 0);
}

static VOID BalloonCount(_In_ PXENBUS_BALLOON_CONTEXT Context, _In_ LONGLONG Pages)
{
    (VOID) InterlockedExchangeAdd64(&Context->Size, Pages);
}

/* ---- pages to Xen and back ---- */

static PPFN_NUMBER ChunkFrames(_In_ PXENBUS_BALLOON_CHUNK Chunk, _In_ ULONG Index)
{
    return MmGetMdlPfnArray(Chunk->Mdl) + Index;
}

static ULONG ChunkOut(_In_ PXENBUS_BALLOON_CHUNK Chunk)
{
    return Chunk->End - Chunk->First;
}

/* Gives up to Count more of the chunk's pages to Xen. */
PAGED_FUNCTION static NTSTATUS ChunkTake(_In_ PXENBUS_BALLOON_CONTEXT Context, _Inout_ PXENBUS_BALLOON_CHUNK Chunk,
                                         _In_ ULONG Count)
{
    ULONG Done;
    NTSTATUS Status;

    PAGED_CODE();

    for (; Chunk->First != 0 && Count != 0; Count--) {
        Status = XenMemoryDecreaseReservation(0, 1, ChunkFrames(Chunk, Chunk->First - 1), &Done);
        if (!NT_SUCCESS(Status))
            return Status;
        if (Done != 1)
            return STATUS_INSUFFICIENT_RESOURCES;

        Chunk->First--;
        BalloonCount(Context, 1);
    }

    Count = min(Count, Chunk->Count - Chunk->End);
    if (Count == 0)
        return STATUS_SUCCESS;

    Status = XenMemoryDecreaseReservation(0, Count, ChunkFrames(Chunk, Chunk->End), &Done);
    if (!NT_SUCCESS(Status))
        return Status;

    Chunk->End += Done;
    BalloonCount(Context, Done);
    return Done == Count ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* Asks Xen for up to Count of the chunk's pages. */
PAGED_FUNCTION static NTSTATUS ChunkReturn(_In_ PXENBUS_BALLOON_CONTEXT Context, _Inout_ PXENBUS_BALLOON_CHUNK Chunk,
                                           _In_ ULONG Count)
{
    ULONG Done;
    NTSTATUS Status;

    PAGED_CODE();

    Count = min(Count, ChunkOut(Chunk));

    if (Chunk->Large && Count == LARGE_PAGES) {
        Status = XenMemoryPopulatePhysMap(LARGE_ORDER, 1, ChunkFrames(Chunk, 0), &Done);
        if (NT_SUCCESS(Status) && Done == 1) {
            Chunk->First = Chunk->End;
            BalloonCount(Context, -(LONGLONG)LARGE_PAGES);
            return STATUS_SUCCESS;
        }
        /* Xen has no such page left: any others will do. */
    }

    Status = XenMemoryPopulatePhysMap(0, Count, ChunkFrames(Chunk, Chunk->First), &Done);
    if (!NT_SUCCESS(Status))
        return Status;

    Chunk->First += Done;
    BalloonCount(Context, -(LONGLONG)Done);
    return Done == Count ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* ---- chunks ---- */

PAGED_FUNCTION static BOOLEAN BalloonIsLarge(_In_ PMDL Mdl, _In_ ULONG Count)
{
    PPFN_NUMBER Frames = MmGetMdlPfnArray(Mdl);
    ULONG Index;

    PAGED_CODE();

    if (Count != LARGE_PAGES || Frames[0] % LARGE_PAGES != 0)
        return FALSE;

    for (Index = 1; Index < Count; Index++) {
        if (Frames[Index] != Frames[0] + Index)
            return FALSE;
    }

    return TRUE;
}

/* Pages of Windows's, Count at most; the contents do not matter: Xen wipes what it takes. */
PAGED_FUNCTION static PMDL BalloonAllocatePages(_In_ ULONG Count)
{
    const ULONG Flags = MM_DONT_ZERO_ALLOCATION | MM_ALLOCATE_NO_WAIT;
    PHYSICAL_ADDRESS Lowest;
    PHYSICAL_ADDRESS Highest;
    PHYSICAL_ADDRESS Skip;
    SIZE_T Bytes = (SIZE_T)Count << PAGE_SHIFT;
    PMDL Mdl;

    PAGED_CODE();

    Lowest.QuadPart = 0;
    Highest.QuadPart = MAXLONGLONG;

    if (Count == LARGE_PAGES) {
        Skip.QuadPart = (LONGLONG)Bytes;
        Mdl = MmAllocatePagesForMdlEx(Lowest, Highest, Skip, Bytes, MmCached,
                                      Flags | MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS | MM_ALLOCATE_FULLY_REQUIRED);
        if (Mdl != NULL)
            return Mdl;
    }

    Skip.QuadPart = 0;
    return MmAllocatePagesForMdlEx(Lowest, Highest, Skip, Bytes, MmCached, Flags);
}

PAGED_FUNCTION static PXENBUS_BALLOON_CHUNK BalloonCreateChunk(_In_ ULONG Count)
{
    PXENBUS_BALLOON_CHUNK Chunk;

    PAGED_CODE();

    Chunk = PoolAllocate(sizeof(XENBUS_BALLOON_CHUNK), BALLOON_TAG);
    if (Chunk == NULL)
        goto fail1;

    Chunk->Mdl = BalloonAllocatePages(Count);
    if (Chunk->Mdl == NULL)
        goto fail2;

    Chunk->Count = MmGetMdlByteCount(Chunk->Mdl) >> PAGE_SHIFT;
    Chunk->Large = BalloonIsLarge(Chunk->Mdl, Chunk->Count);
    return Chunk;

fail2:
    PoolFree(Chunk, BALLOON_TAG);

fail1:
    return NULL;
}

/* Puts a chunk that is in no list where it belongs; one that is whole again goes back to Windows. */
PAGED_FUNCTION static VOID BalloonFile(_In_ PXENBUS_BALLOON_CONTEXT Context, _In_ PXENBUS_BALLOON_CHUNK Chunk)
{
    PAGED_CODE();

    if (ChunkOut(Chunk) == 0) {
        MmFreePagesFromMdl(Chunk->Mdl);
        ExFreePool(Chunk->Mdl);
        PoolFree(Chunk, BALLOON_TAG);
    } else if (ChunkOut(Chunk) != Chunk->Count) {
        InsertHeadList(&Context->Partial, &Chunk->ListEntry);
    } else {
        InsertHeadList(Chunk->Count == 1 ? &Context->Single : &Context->Several, &Chunk->ListEntry);
    }
}

static PXENBUS_BALLOON_CHUNK BalloonRemoveFirst(_In_ PLIST_ENTRY List)
{
    return CONTAINING_RECORD(RemoveHeadList(List), XENBUS_BALLOON_CHUNK, ListEntry);
}

/* ---- steps ---- */

static BOOLEAN BalloonIsSet(_In_opt_ PKEVENT Event)
{
    return Event != NULL && KeReadStateEvent(Event) != 0;
}

/* Count more pages are to be Xen's. */
PAGED_FUNCTION static NTSTATUS BalloonInflate(_In_ PXENBUS_BALLOON_CONTEXT Context, _In_ ULONGLONG Count)
{
    PXENBUS_BALLOON_CHUNK Chunk;
    NTSTATUS Status;

    PAGED_CODE();

    if (!IsListEmpty(&Context->Partial)) {
        Chunk = BalloonRemoveFirst(&Context->Partial);
        Status = ChunkTake(Context, Chunk, (ULONG)min(Count, Chunk->Count));
        BalloonFile(Context, Chunk);
        return Status;
    }

    if (BalloonIsSet(Context->LowMemory))
        return STATUS_NO_MEMORY;

    /* Where Windows does not have plenty, a large step could take it below what is low. */
    Chunk = BalloonCreateChunk(Count >= LARGE_PAGES && BalloonIsSet(Context->HighMemory) ? LARGE_PAGES : 1);
    if (Chunk == NULL)
        return STATUS_NO_MEMORY;

    Status = ChunkTake(Context, Chunk, Chunk->Count);
    if (!NT_SUCCESS(Status))
        (VOID) ChunkReturn(Context, Chunk, Chunk->Count);

    BalloonFile(Context, Chunk);
    return Status;
}

/* Count pages are to be Xen's no more. */
PAGED_FUNCTION static NTSTATUS BalloonDeflate(_In_ PXENBUS_BALLOON_CONTEXT Context, _In_ ULONGLONG Count)
{
    PXENBUS_BALLOON_CHUNK Chunk;
    PLIST_ENTRY List;
    NTSTATUS Status;

    PAGED_CODE();

    if (!IsListEmpty(&Context->Partial))
        List = &Context->Partial;
    else if (IsListEmpty(&Context->Single) || (Count >= LARGE_PAGES && !IsListEmpty(&Context->Several)))
        List = &Context->Several;
    else
        List = &Context->Single;

    Chunk = BalloonRemoveFirst(List);
    Status = ChunkReturn(Context, Chunk, (ULONG)min(Count, Chunk->Count));
    BalloonFile(Context, Chunk);

    return Status;
}

PAGED_FUNCTION NTSTATUS BalloonStep(_In_ PXENBUS_BALLOON_CONTEXT Context, _In_ ULONGLONG Size)
{
    ULONGLONG Now = BalloonGetSize(Context);
    NTSTATUS Status;

    PAGED_CODE();

    if (Now == Size)
        return STATUS_SUCCESS;

    Status = Now < Size ? BalloonInflate(Context, Size - Now) : BalloonDeflate(Context, Now - Size);
    if (!NT_SUCCESS(Status))
        return Status;

    return BalloonGetSize(Context) == Size ? STATUS_SUCCESS : STATUS_MORE_ENTRIES;
}

PAGED_FUNCTION static VOID BalloonForgetList(_In_ PXENBUS_BALLOON_CONTEXT Context, _In_ PLIST_ENTRY List)
{
    PAGED_CODE();

    while (!IsListEmpty(List)) {
        PXENBUS_BALLOON_CHUNK Chunk = BalloonRemoveFirst(List);

        BalloonCount(Context, -(LONGLONG)ChunkOut(Chunk));
        Chunk->First = Chunk->End;
        BalloonFile(Context, Chunk);
    }
}

PAGED_FUNCTION VOID BalloonForget(_In_ PXENBUS_BALLOON_CONTEXT Context)
{
    PAGED_CODE();

    BalloonForgetList(Context, &Context->Partial);
    BalloonForgetList(Context, &Context->Single);
    BalloonForgetList(Context, &Context->Several);
}

BOOLEAN BalloonCanEmpty(_In_ PXENBUS_BALLOON_CONTEXT Context)
{
    ULONGLONG Size = BalloonGetSize(Context);
    ULONGLONG Current;
    ULONGLONG Maximum;
    NTSTATUS Status;

    if (Size == 0)
        return TRUE;

    Status = XenMemoryQueryReservation(&Current, &Maximum);
    return NT_SUCCESS(Status) && Current <= Maximum && Maximum - Current >= Size;
}

/* ---- life ---- */

PAGED_FUNCTION static PKEVENT BalloonOpenEvent(_In_ PCWSTR Name, _Out_ PHANDLE Handle)
{
    UNICODE_STRING Unicode;
    PKEVENT Event;

    PAGED_CODE();

    RtlInitUnicodeString(&Unicode, Name);

    Event = IoCreateNotificationEvent(&Unicode, Handle);
    if (Event == NULL)
        Warning("no event of Windows's tells how much memory is free: the balloon grows page by page");

    return Event;
}

PAGED_FUNCTION static VOID BalloonCloseEvent(_In_opt_ PKEVENT Event, _In_ HANDLE Handle)
{
    PAGED_CODE();

    if (Event != NULL)
        (VOID) ZwClose(Handle);
}

PAGED_FUNCTION NTSTATUS BalloonInitialize(_Outptr_ PXENBUS_BALLOON_CONTEXT *Context)
{
    PXENBUS_BALLOON_CONTEXT New;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENBUS_BALLOON_CONTEXT), BALLOON_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    InitializeListHead(&New->Several);
    InitializeListHead(&New->Single);
    InitializeListHead(&New->Partial);
    New->LowMemory = BalloonOpenEvent(L"\\KernelObjects\\LowMemoryCondition", &New->LowMemoryHandle);
    New->HighMemory = BalloonOpenEvent(L"\\KernelObjects\\HighMemoryCondition", &New->HighMemoryHandle);

    *Context = New;
    return STATUS_SUCCESS;
}

/* The descriptions go, the pages stay allocated. */
PAGED_FUNCTION static VOID BalloonLose(_In_ PLIST_ENTRY List)
{
    PAGED_CODE();

    while (!IsListEmpty(List)) {
        PXENBUS_BALLOON_CHUNK Chunk = BalloonRemoveFirst(List);

        ExFreePool(Chunk->Mdl);
        PoolFree(Chunk, BALLOON_TAG);
    }
}

PAGED_FUNCTION VOID BalloonTeardown(_In_ PXENBUS_BALLOON_CONTEXT Context)
{
    ULONGLONG Size = BalloonGetSize(Context);

    PAGED_CODE();

    if (Size != 0)
        Critical("%llu pages are with Xen and lost to Windows", Size);

    BalloonLose(&Context->Partial);
    BalloonLose(&Context->Single);
    BalloonLose(&Context->Several);

    BalloonCloseEvent(Context->HighMemory, Context->HighMemoryHandle);
    BalloonCloseEvent(Context->LowMemory, Context->LowMemoryHandle);
    PoolFree(Context, BALLOON_TAG);
}
