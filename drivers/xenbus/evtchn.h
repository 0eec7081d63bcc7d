/*
 * Provider of XENBUS_EVTCHN (../include/evtchn_interface.h).
 */
#ifndef XENBUS_EVTCHN_H
#define XENBUS_EVTCHN_H

#include "compat.h"

#include "evtchn_interface.h"
#include "resource.h"
#include "shared_info.h"

typedef struct _XENBUS_EVTCHN_CONTEXT XENBUS_EVTCHN_CONTEXT, *PXENBUS_EVTCHN_CONTEXT;

/* What the registry says. */
typedef struct _XENBUS_EVTCHN_OPTIONS {
    BOOLEAN UseUpcall; /* FALSE: no interrupt but the line */
    BOOLEAN UseFifo;   /* FALSE: the two-level ABI, whatever Xen offers */
} XENBUS_EVTCHN_OPTIONS, *PXENBUS_EVTCHN_OPTIONS;

/* PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS EvtchnInitialize(_Outptr_ PXENBUS_EVTCHN_CONTEXT *Context);
VOID EvtchnTeardown(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/*
 * Connects the interrupts among Resources, on behalf of the platform device's Pdo, and tells Xen of them.
 * PASSIVE_LEVEL. SharedInfo must be enabled. Resources must stay until EvtchnDisable. Where Xen has no FIFO ABI the
 * two-level one is used. STATUS_DEVICE_CONFIGURATION_ERROR: no interrupt.
 */
_Must_inspect_result_ NTSTATUS EvtchnEnable(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PDEVICE_OBJECT Pdo,
                                            _In_ const XENBUS_RESOURCES *Resources,
                                            _In_ PXENBUS_SHARED_INFO_CONTEXT SharedInfo,
                                            _In_ const XENBUS_EVTCHN_OPTIONS *Options);
VOID EvtchnDisable(_In_ PXENBUS_EVTCHN_CONTEXT Context);
/* Clients that have it acquired. Any IRQL. */
ULONG EvtchnCountUsers(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/*
 * After a resume, with every other processor held at HIGH_LEVEL: the channels that were open are dead, to be closed by
 * their owners, and the interrupts are told to Xen again.
 */
VOID EvtchnResume(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS EvtchnGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                  _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

/*
 * Whether Xen knows nothing of the callback parameter, which is always set while EVTCHN is enabled: it is not the Xen
 * that was told. Any IRQL.
 */
BOOLEAN EvtchnIsForgotten(VOID);

/*
 * Into sleep, in which the domain may be moved without a word, and out of it under the same Xen. Asleep, a message
 * interrupt takes no events, and the line does as long as Xen knows the callback parameter. IRQL <= DISPATCH_LEVEL.
 */
VOID EvtchnSleep(_In_ PXENBUS_EVTCHN_CONTEXT Context);
VOID EvtchnGoOn(_In_ PXENBUS_EVTCHN_CONTEXT Context);

/*
 * Ports of the toolstack's that could not be bound again at a resume: tries once more. IRQL <= DISPATCH_LEVEL, not on
 * two processors at once.
 */
VOID EvtchnBindLostPorts(VOID);

#endif /* XENBUS_EVTCHN_H */
