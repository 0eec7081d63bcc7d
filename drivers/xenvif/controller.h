/*
 * The control ring (xen/io/netif.h): what a frontend asks of a backend beside packets.
 *
 * One request is on its way at a time, by the frontend's thread, which waits for the answer for a bounded time. A
 * backend that does not answer in time is not asked again in this connection. What a request refers to lies in a page
 * of our own that is granted, read-only, for as long as the request lasts.
 */
#ifndef XENVIF_CONTROLLER_H
#define XENVIF_CONTROLLER_H

#include <ntddk.h>

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_CONTROLLER XENVIF_CONTROLLER, *PXENVIF_CONTROLLER;

_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerInitialize(_In_ PXENVIF_FRONTEND Frontend, _Outptr_ PXENVIF_CONTROLLER *Controller);
_IRQL_requires_(PASSIVE_LEVEL)
VOID ControllerTeardown(_In_ PXENVIF_CONTROLLER Controller);

/* Makes the ring and a channel towards Domain. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerConnect(_Inout_ PXENVIF_CONTROLLER Controller, _In_ USHORT Domain);

/* Takes them back. PASSIVE_LEVEL; may be called again. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID ControllerDisconnect(_Inout_ PXENVIF_CONTROLLER Controller);

/* Whether there is a ring; what its reference and port are. */
BOOLEAN ControllerIsConnected(_In_ PXENVIF_CONTROLLER Controller);
ULONG ControllerRingReference(_In_ PXENVIF_CONTROLLER Controller);
ULONG ControllerPort(_In_ PXENVIF_CONTROLLER Controller);

/* As for the rings of packets. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG ControllerRetryGrants(_Inout_ PXENVIF_CONTROLLER Controller);

/*
 * The requests, once both sides are Connected, with a ring; PASSIVE_LEVEL, by the frontend's thread. What the backend
 * answers is STATUS_NOT_SUPPORTED, STATUS_INVALID_PARAMETER or STATUS_BUFFER_OVERFLOW. STATUS_IO_TIMEOUT: it does not
 * answer; STATUS_DEVICE_PROTOCOL_ERROR: it answers nonsense, and is given up.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerSetHashAlgorithm(_Inout_ PXENVIF_CONTROLLER Controller, _In_ ULONG Algorithm);
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerGetHashFlags(_Inout_ PXENVIF_CONTROLLER Controller, _Out_ PULONG Flags);
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerSetHashFlags(_Inout_ PXENVIF_CONTROLLER Controller, _In_ ULONG Flags);
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerSetHashKey(_Inout_ PXENVIF_CONTROLLER Controller, _In_reads_(Length) const UCHAR *Key,
                              _In_ ULONG Length);

/*
 * Makes a mapping of Size entries, all of them queue 0; without any the backend chooses by modulo.
 * STATUS_BUFFER_OVERFLOW: the backend takes fewer.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerSetHashMappingSize(_Inout_ PXENVIF_CONTROLLER Controller, _In_ ULONG Size);

/* Queue by hash value modulo Size, which has been set: at most a page of entries. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS ControllerSetHashMapping(_Inout_ PXENVIF_CONTROLLER Controller, _In_reads_(Size) const ULONG *Queue,
                                  _In_ ULONG Size);

#endif /* XENVIF_CONTROLLER_H */
