/*
 * Provider of XENBUS_RANGE_SET (../include/range_set_interface.h).
 */
#ifndef XENBUS_RANGE_SET_H
#define XENBUS_RANGE_SET_H

#include "compat.h"

#include "range_set_interface.h"

typedef struct _XENBUS_RANGE_SET_CONTEXT XENBUS_RANGE_SET_CONTEXT, *PXENBUS_RANGE_SET_CONTEXT;

/* PASSIVE_LEVEL. The provider is ready as soon as it is initialised: it needs nothing of Xen. */
_Must_inspect_result_ NTSTATUS RangeSetInitialize(_Outptr_ PXENBUS_RANGE_SET_CONTEXT *Context);
VOID RangeSetTeardown(_In_ PXENBUS_RANGE_SET_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS RangeSetGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                    _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENBUS_RANGE_SET_H */
