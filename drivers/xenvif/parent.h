/*
 * The parent bus: the XENBUS interfaces that XENVIF works with, and queries that go on to it.
 */
#ifndef XENVIF_PARENT_H
#define XENVIF_PARENT_H

#include <ntddk.h>

#include "cache_interface.h"
#include "debug_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"

/* Acquired between ParentConnect and ParentDisconnect; every XENBUS revision has them in these versions. */
typedef struct _XENVIF_PARENT {
    PDEVICE_OBJECT LowerDevice;
    XENBUS_CACHE_INTERFACE_V2 Cache;
    XENBUS_DEBUG_INTERFACE_V1 Debug;
    XENBUS_EVTCHN_INTERFACE_V9 Evtchn;
    XENBUS_GNTTAB_INTERFACE_V4 Gnttab;
    XENBUS_STORE_INTERFACE_V2 Store;
    XENBUS_SUSPEND_INTERFACE_V1 Suspend;
} XENVIF_PARENT, *PXENVIF_PARENT;

/*
 * Asks the stack below LowerDevice for each interface and acquires it; all or none. PASSIVE_LEVEL. The provider's
 * error, and the log says for which interface.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ParentConnect(_Out_ PXENVIF_PARENT Parent, _In_ PDEVICE_OBJECT LowerDevice);

/*
 * Releases what ParentConnect acquired. With KeepGrants the GNTTAB interface stays acquired for good: pages that the
 * backend will not give back still hang on it. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ParentDisconnect(_Inout_ PXENVIF_PARENT Parent, _In_ BOOLEAN KeepGrants);

/* Sends IRP_MN_QUERY_INTERFACE to Device. PASSIVE_LEVEL. The provider's answer; STATUS_NOT_SUPPORTED: nobody gave one.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ParentQueryInterface(_In_ PDEVICE_OBJECT Device, _In_ const GUID *Type, _In_ USHORT Version, _In_ USHORT Size,
                              _In_opt_ PVOID Data, _Out_ PINTERFACE Interface);

#endif /* XENVIF_PARENT_H */
