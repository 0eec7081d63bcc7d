/*
 * Provider of XENBUS_CONSOLE (../include/console_interface.h): the ring of xen/io/console.h that the toolstack has
 * made, and a disposition of the log that writes to it.
 */
#ifndef XENBUS_CONSOLE_H
#define XENBUS_CONSOLE_H

#include "compat.h"

#include "console_interface.h"
#include "evtchn_interface.h"

typedef struct _XENBUS_CONSOLE_CONTEXT XENBUS_CONSOLE_CONTEXT, *PXENBUS_CONSOLE_CONTEXT;

/* PASSIVE_LEVEL. LogLevels: a mask of XEN_LOG_ bits, the messages that go to the console as well. */
_Must_inspect_result_ NTSTATUS ConsoleInitialize(_In_ ULONG LogLevels, _Outptr_ PXENBUS_CONSOLE_CONTEXT *Context);
VOID ConsoleTeardown(_In_ PXENBUS_CONSOLE_CONTEXT Context);

/*
 * Maps the ring and opens its event channel; the provider holds Evtchn until ConsoleDisable. PASSIVE_LEVEL. A domain
 * without a console has one that takes and gives nothing.
 */
_Must_inspect_result_ NTSTATUS ConsoleEnable(_In_ PXENBUS_CONSOLE_CONTEXT Context,
                                             _In_ const XENBUS_EVTCHN_INTERFACE *Evtchn);
VOID ConsoleDisable(_In_ PXENBUS_CONSOLE_CONTEXT Context);
/* Clients that have it acquired. Any IRQL. */
ULONG ConsoleCountUsers(_In_ PXENBUS_CONSOLE_CONTEXT Context);

/*
 * After a resume, with every other processor held: the first at HIGH_LEVEL and before anything is logged, since the
 * port of old is another's now; the second at DISPATCH_LEVEL.
 */
VOID ConsoleResumeEarly(_In_ PXENBUS_CONSOLE_CONTEXT Context);
VOID ConsoleResumeLate(_In_ PXENBUS_CONSOLE_CONTEXT Context);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS ConsoleGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                   _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENBUS_CONSOLE_H */
