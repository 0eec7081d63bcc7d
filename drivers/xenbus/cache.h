/*
 * Provider of XENBUS_CACHE (../include/cache_interface.h).
 */
#ifndef XENBUS_CACHE_H
#define XENBUS_CACHE_H

#include "compat.h"

#include "cache_interface.h"

typedef struct _XENBUS_CACHE_CONTEXT XENBUS_CACHE_CONTEXT, *PXENBUS_CACHE_CONTEXT;

/* PASSIVE_LEVEL. The provider is ready as soon as it is initialised: it needs nothing of Xen. */
_Must_inspect_result_ NTSTATUS CacheInitialize(_Outptr_ PXENBUS_CACHE_CONTEXT *Context);
VOID CacheTeardown(_In_ PXENBUS_CACHE_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS CacheGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                 _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENBUS_CACHE_H */
