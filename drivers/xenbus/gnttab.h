/*
 * Provider of XENBUS_GNTTAB (../include/gnttab_interface.h).
 */
#ifndef XENBUS_GNTTAB_H
#define XENBUS_GNTTAB_H

#include "compat.h"

#include "cache_interface.h"
#include "gnttab_interface.h"
#include "hole.h"
#include "range_set_interface.h"

typedef struct _XENBUS_GNTTAB_CONTEXT XENBUS_GNTTAB_CONTEXT, *PXENBUS_GNTTAB_CONTEXT;

/* PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS GnttabInitialize(_Outptr_ PXENBUS_GNTTAB_CONTEXT *Context);
VOID GnttabTeardown(_In_ PXENBUS_GNTTAB_CONTEXT Context);

/* Maps the table's first frame. PASSIVE_LEVEL. The provider holds Cache and RangeSet until GnttabDisable. */
_Must_inspect_result_ NTSTATUS GnttabEnable(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ PXENBUS_HOLE Hole,
                                            _In_ const XENBUS_CACHE_INTERFACE *Cache,
                                            _In_ const XENBUS_RANGE_SET_INTERFACE *RangeSet);
VOID GnttabDisable(_In_ PXENBUS_GNTTAB_CONTEXT Context);
/* Clients that have it acquired. Any IRQL. */
ULONG GnttabCountUsers(_In_ PXENBUS_GNTTAB_CONTEXT Context);

/* After a resume, with every other processor held at HIGH_LEVEL: maps the new table where the old one was. */
VOID GnttabResume(_In_ PXENBUS_GNTTAB_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS GnttabGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                  _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENBUS_GNTTAB_H */
