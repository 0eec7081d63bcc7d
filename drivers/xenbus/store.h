/*
 * Provider of XENBUS_STORE (../include/store_interface.h): a client of the store daemon over the shared ring of
 * xen/io/xs_wire.h.
 */
#ifndef XENBUS_STORE_H
#define XENBUS_STORE_H

#include "compat.h"

#include "evtchn_interface.h"
#include "store_interface.h"

typedef struct _XENBUS_STORE_CONTEXT XENBUS_STORE_CONTEXT, *PXENBUS_STORE_CONTEXT;

/* PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS StoreInitialize(_Outptr_ PXENBUS_STORE_CONTEXT *Context);
VOID StoreTeardown(_In_ PXENBUS_STORE_CONTEXT Context);

/* Maps the ring and opens its event channel. PASSIVE_LEVEL. The provider holds Evtchn until StoreDisable. */
_Must_inspect_result_ NTSTATUS StoreEnable(_In_ PXENBUS_STORE_CONTEXT Context,
                                           _In_ const XENBUS_EVTCHN_INTERFACE *Evtchn);
VOID StoreDisable(_In_ PXENBUS_STORE_CONTEXT Context);
/* Clients that have it acquired. Any IRQL. */
ULONG StoreCountUsers(_In_ PXENBUS_STORE_CONTEXT Context);

/*
 * Before a suspend, at DISPATCH_LEVEL with every other processor held: waits until no request is under way, so that
 * none is cut in two. STATUS_IO_TIMEOUT: the daemon does not answer; the log says what.
 */
_Must_inspect_result_ NTSTATUS StoreDrain(_In_ PXENBUS_STORE_CONTEXT Context);

/* After a resume, at DISPATCH_LEVEL with every other processor held: meets the new daemon and registers watches anew.
 */
VOID StoreResume(_In_ PXENBUS_STORE_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS StoreGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                 _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

/*
 * Leaves the ring alone, after what is under way is answered: requests wait (and are given up as ever) until StoreGoOn,
 * or until StoreResume has them begin anew. PASSIVE_LEVEL.
 */
VOID StoreHold(_In_ PXENBUS_STORE_CONTEXT Context);
VOID StoreGoOn(_In_ PXENBUS_STORE_CONTEXT Context);

#endif /* XENBUS_STORE_H */
