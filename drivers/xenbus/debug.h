/*
 * Provider of XENBUS_DEBUG (../include/debug_interface.h).
 */
#ifndef XENBUS_DEBUG_H
#define XENBUS_DEBUG_H

#include "compat.h"

#include "debug_interface.h"

typedef struct _XENBUS_DEBUG_CONTEXT XENBUS_DEBUG_CONTEXT, *PXENBUS_DEBUG_CONTEXT;

/* PASSIVE_LEVEL. The provider is ready as soon as it is initialised, and runs its callbacks in a bugcheck. */
_Must_inspect_result_ NTSTATUS DebugInitialize(_Outptr_ PXENBUS_DEBUG_CONTEXT *Context);
VOID DebugTeardown(_In_ PXENBUS_DEBUG_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS DebugGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                 _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENBUS_DEBUG_H */
