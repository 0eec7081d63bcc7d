/*
 * Provider of XENBUS_SUSPEND (../include/suspend_interface.h).
 */
#ifndef XENBUS_SUSPEND_H
#define XENBUS_SUSPEND_H

#include "compat.h"

#include "suspend_interface.h"
#include "sync.h"

typedef struct _XENBUS_SUSPEND_CONTEXT XENBUS_SUSPEND_CONTEXT, *PXENBUS_SUSPEND_CONTEXT;

/* What the bus itself has to do, with every other processor held; clients' callbacks come after each. */
typedef struct _XENBUS_SUSPEND_OPERATIONS {
    PVOID Argument;

    /* Before the suspend, at DISPATCH_LEVEL. An error: the domain is not suspended. */
    NTSTATUS (*Prepare)(_In_ PVOID Argument);

    /* After a resume, at HIGH_LEVEL; Sync lets it run a routine on the others. */
    VOID (*ResumeEarly)(_In_ PVOID Argument, _In_ PXENBUS_SYNC Sync);

    /* After a resume, at DISPATCH_LEVEL. */
    VOID (*ResumeLate)(_In_ PVOID Argument);
} XENBUS_SUSPEND_OPERATIONS, *PXENBUS_SUSPEND_OPERATIONS;

/* PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS SuspendInitialize(_In_ const XENBUS_SUSPEND_OPERATIONS *Operations,
                                                 _Outptr_ PXENBUS_SUSPEND_CONTEXT *Context);
VOID SuspendTeardown(_In_ PXENBUS_SUSPEND_CONTEXT Context);

VOID SuspendEnable(_In_ PXENBUS_SUSPEND_CONTEXT Context);
VOID SuspendDisable(_In_ PXENBUS_SUSPEND_CONTEXT Context);
/* Clients that have it acquired. Any IRQL. */
ULONG SuspendCountUsers(_In_ PXENBUS_SUSPEND_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS SuspendGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                   _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

/*
 * The domain's memory has been brought back under a Xen that does not know it: all that follows a resume, callbacks
 * too, and the count. PASSIVE_LEVEL. A failure comes before any of it.
 */
_Must_inspect_result_ NTSTATUS SuspendRecover(_In_ PXENBUS_SUSPEND_CONTEXT Context);

#endif /* XENBUS_SUSPEND_H */
