/*
 * Provider of XENBUS_UNPLUG (../include/unplug_interface.h). The counts and the unplugging itself are xen.sys's.
 */
#ifndef XENBUS_UNPLUG_H
#define XENBUS_UNPLUG_H

#include "compat.h"

#include "unplug_interface.h"

typedef struct _XENBUS_UNPLUG_CONTEXT XENBUS_UNPLUG_CONTEXT, *PXENBUS_UNPLUG_CONTEXT;

/* PASSIVE_LEVEL. The provider is ready as soon as it is initialised. */
_Must_inspect_result_ NTSTATUS UnplugInitialize(_Outptr_ PXENBUS_UNPLUG_CONTEXT *Context);
VOID UnplugTeardown(_In_ PXENBUS_UNPLUG_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS UnplugGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                  _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENBUS_UNPLUG_H */
