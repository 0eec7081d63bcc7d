/*
 * Pages that are granted to a backend: the two rings, received data, and copies of data to send.
 *
 * A buffer is one page of nonpaged memory with an MDL of its own. Whatever of it the backend does not need to see is
 * zero when a request names it; for that each buffer knows how far it has been written.
 */
#ifndef XENVIF_BUFFER_H
#define XENVIF_BUFFER_H

#include "compat.h"

#include <ntddk.h>

#include "bug.h"
#include "gnttab_interface.h"

typedef struct _XENVIF_BUFFER {
    LIST_ENTRY ListEntry; /* of whatever holds the buffer: a pool, a packet, a quarantine */
    PUCHAR Address;
    PMDL Mdl; /* describes the page, without a mapping of its own */
    PFN_NUMBER Pfn;
    PXENBUS_GNTTAB_ENTRY Grant; /* while the page is granted */
    ULONG Reference;            /* of Grant, for the backend */
    ULONG Dirty;                /* bytes from the start of the page that may be other than zero */
    ULONG Generation;           /* the receiver's connection in which the page was last posted */
    ULONG Offset;               /* where data lies, as the holder uses it */
    ULONG Length;
} XENVIF_BUFFER, *PXENVIF_BUFFER;

/* A zeroed page; NULL without memory. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PXENVIF_BUFFER BufferAllocate(VOID);

/* The page must not be granted. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID BufferFree(_In_ PXENVIF_BUFFER Buffer);

/* Zeroes what lies from byte From on. Any IRQL. */
static inline VOID BufferScrub(_Inout_ PXENVIF_BUFFER Buffer, _In_ ULONG From)
{
    if (Buffer->Dirty > From)
        RtlZeroMemory(Buffer->Address + From, Buffer->Dirty - From);

    Buffer->Dirty = min(Buffer->Dirty, From);
}

/* Notes that the bytes up to End may be other than zero. Any IRQL. */
static inline VOID BufferTouch(_Inout_ PXENVIF_BUFFER Buffer, _In_ ULONG End)
{
    ASSERT(End <= PAGE_SIZE);

    Buffer->Dirty = max(Buffer->Dirty, End);
}

/*
 * A bounded pool of buffers that stay allocated while they are free, and granted if its owner leaves them so. Guarded
 * by a lock of its owner's, held by the caller of everything but initialisation and teardown.
 */
typedef struct _XENVIF_BUFFER_POOL {
    LIST_ENTRY Free;
    ULONG FreeCount;
    ULONG Count; /* buffers in existence that belong to the pool, free or taken */
    ULONG Cap;
} XENVIF_BUFFER_POOL, *PXENVIF_BUFFER_POOL;

VOID BufferPoolInitialize(_Out_ PXENVIF_BUFFER_POOL Pool, _In_ ULONG Cap);

/* A new buffer for the pool, taken; NULL at the cap or without memory. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PXENVIF_BUFFER BufferPoolGrow(_Inout_ PXENVIF_BUFFER_POOL Pool);

/* Takes a buffer; NULL at the cap or without memory. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ static inline PXENVIF_BUFFER BufferPoolGet(_Inout_ PXENVIF_BUFFER_POOL Pool)
{
    if (IsListEmpty(&Pool->Free))
        return BufferPoolGrow(Pool);

    Pool->FreeCount--;

    return CONTAINING_RECORD(RemoveHeadList(&Pool->Free), XENVIF_BUFFER, ListEntry);
}

/* The buffer that is taken next, if one is free. Any IRQL. */
static inline const XENVIF_BUFFER *BufferPoolPeek(_In_ const XENVIF_BUFFER_POOL *Pool)
{
    if (IsListEmpty(&Pool->Free))
        return NULL;

    return CONTAINING_RECORD(Pool->Free.Flink, XENVIF_BUFFER, ListEntry);
}

/* Gives a buffer back. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
static inline VOID BufferPoolPut(_Inout_ PXENVIF_BUFFER_POOL Pool, _In_ PXENVIF_BUFFER Buffer)
{
    InsertHeadList(&Pool->Free, &Buffer->ListEntry);
    Pool->FreeCount++;
}

/* A taken buffer is the pool's no longer: it has been freed, or is in quarantine. Any IRQL. */
VOID BufferPoolForget(_Inout_ PXENVIF_BUFFER_POOL Pool);

/* Takes a free buffer out of the pool for good; NULL: there is none. Any IRQL. */
_Must_inspect_result_ PXENVIF_BUFFER BufferPoolRemove(_Inout_ PXENVIF_BUFFER_POOL Pool);

/* Frees the free buffers, none of which is granted. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID BufferPoolTrim(_Inout_ PXENVIF_BUFFER_POOL Pool);

/* All buffers must have been given back, ungranted, or forgotten. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID BufferPoolTeardown(_Inout_ PXENVIF_BUFFER_POOL Pool);

#endif /* XENVIF_BUFFER_H */
