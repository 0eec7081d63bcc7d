/*
 * The balloon: pages of Windows's that Xen has, so that the domain has less memory than it was made for. It holds them
 * in chunks, and each page of a chunk is either with Xen or here; a chunk of which every page is here goes back to
 * Windows.
 *
 * One thread at a time, PASSIVE_LEVEL, unless a routine says otherwise. Sizes are in pages.
 */
#ifndef XENBUS_BALLOON_H
#define XENBUS_BALLOON_H

#include "compat.h"

typedef struct _XENBUS_BALLOON_CONTEXT XENBUS_BALLOON_CONTEXT, *PXENBUS_BALLOON_CONTEXT;

_Must_inspect_result_ NTSTATUS BalloonInitialize(_Outptr_ PXENBUS_BALLOON_CONTEXT *Context);

/*
 * Pages that Xen still has are lost to Windows from here on: without RAM they must not go back to it. The log says how
 * many.
 */
VOID BalloonTeardown(_In_ PXENBUS_BALLOON_CONTEXT Context);

/* Pages that Xen has. Any thread. */
ULONGLONG BalloonGetSize(_In_ PXENBUS_BALLOON_CONTEXT Context);

/*
 * One step towards Size, at most 2 MiB long. STATUS_SUCCESS: it is reached. STATUS_MORE_ENTRIES: something was done,
 * there is more to do. STATUS_NO_MEMORY: Windows has no pages to spare. Any other: Xen does not take pages, or gives
 * none.
 */
_Must_inspect_result_ NTSTATUS BalloonStep(_In_ PXENBUS_BALLOON_CONTEXT Context, _In_ ULONGLONG Size);

/* The pages are here, all of them, because this is another Xen, which never took them: they go back to Windows. */
VOID BalloonForget(_In_ PXENBUS_BALLOON_CONTEXT Context);

/* Whether Xen's limit for the domain leaves room for all pages that it has of it. Any thread. */
BOOLEAN BalloonCanEmpty(_In_ PXENBUS_BALLOON_CONTEXT Context);

#endif /* XENBUS_BALLOON_H */
