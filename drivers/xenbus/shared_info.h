/*
 * Provider of XENBUS_SHARED_INFO (../include/shared_info_interface.h): the shared_info page of xen/xen.h, mapped into
 * the hole, and the vcpu_info of every processor.
 *
 * Event bits change under other processors and under Xen: each access is one interlocked or ordered operation. None of
 * these routines takes a lock, and those that do not say otherwise may be called at any IRQL.
 */
#ifndef XENBUS_SHARED_INFO_H
#define XENBUS_SHARED_INFO_H

#include "compat.h"

#include "hole.h"
#include "shared_info_interface.h"

typedef struct _XENBUS_SHARED_INFO_CONTEXT XENBUS_SHARED_INFO_CONTEXT, *PXENBUS_SHARED_INFO_CONTEXT;

/* Ports of the two-level ABI. */
#define SHARED_INFO_PORTS 4096u

/* PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS SharedInfoInitialize(_Outptr_ PXENBUS_SHARED_INFO_CONTEXT *Context);
VOID SharedInfoTeardown(_In_ PXENBUS_SHARED_INFO_CONTEXT Context);

/* Maps the page, masks every port, and finds each processor's vcpu_info. PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS SharedInfoEnable(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ PXENBUS_HOLE Hole);
VOID SharedInfoDisable(_In_ PXENBUS_SHARED_INFO_CONTEXT Context);
/* Clients that have it acquired. Any IRQL. */
ULONG SharedInfoCountUsers(_In_ PXENBUS_SHARED_INFO_CONTEXT Context);

/*
 * After a resume, with every other processor held at HIGH_LEVEL: the first once, the second on each processor, for
 * itself.
 */
VOID SharedInfoResume(_In_ PXENBUS_SHARED_INFO_CONTEXT Context);
VOID SharedInfoResumeProcessor(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index);

/*
 * The methods of the interface, for the two-level event ABI. Poll gives Event *Budget ports at most, and takes what it
 * gave from it; what is over stays told to the processor, without an upcall.
 */
BOOLEAN SharedInfoIsUpcallSupported(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index);
BOOLEAN SharedInfoTakeUpcall(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index);
BOOLEAN SharedInfoPoll(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index, _In_ XENBUS_SHARED_INFO_EVENT Event,
                       _In_opt_ PVOID Argument, _Inout_ PULONG Budget);
VOID SharedInfoAck(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port);
BOOLEAN SharedInfoUnmask(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port);

/* As the method, and TRUE if the port was masked already. */
BOOLEAN SharedInfoMask(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port);

/* The port's pending bit: whether it is set, and setting it as Xen would, without the upcall. */
BOOLEAN SharedInfoIsPending(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port);
VOID SharedInfoSetPending(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS SharedInfoGetInterface(_In_ PVOID Context, _In_ ULONG Version,
                                                      _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENBUS_SHARED_INFO_H */
