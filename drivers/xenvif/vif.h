/*
 * The provider of XENVIF_VIF (../include/vif_interface.h) to the client of one PDO.
 *
 * The VIF lives as long as its PDO. Between VifConnect and VifDisconnect, which are the start and the stop of the
 * device, there is a frontend behind it; otherwise methods fail with STATUS_DEVICE_NOT_READY or give zeroes.
 */
#ifndef XENVIF_VIF_H
#define XENVIF_VIF_H

#include <ntddk.h>

#include "vif_interface.h"

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_VIF XENVIF_VIF, *PXENVIF_VIF;

/* The versions that VifGetInterface gives. */
#define VIF_VERSION_MIN 8
#define VIF_VERSION_MAX 10

/* Number is for the log. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS VifInitialize(_In_ ULONG Number, _Outptr_ PXENVIF_VIF *Vif);

/* The client must have released the interface: a bugcheck names the one that has not. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID VifTeardown(_In_ PXENVIF_VIF Vif);

_IRQL_requires_(PASSIVE_LEVEL)
VOID VifConnect(_Inout_ PXENVIF_VIF Vif, _In_ PXENVIF_FRONTEND Frontend);

/* Disables the VIF if the client has not, so that there are no callbacks any more. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID VifDisconnect(_Inout_ PXENVIF_VIF Vif);

/*
 * Fills Interface, of Size bytes. STATUS_NOT_SUPPORTED: no such version. STATUS_BUFFER_TOO_SMALL. It does not count as
 * a use: Acquire does.
 */
NTSTATUS VifGetInterface(_In_ PXENVIF_VIF Vif, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                         _In_ ULONG Size);

/* The callbacks. DISPATCH_LEVEL. VifReceiverQueuePacket: TRUE if the client asks for a pause. */
_IRQL_requires_(DISPATCH_LEVEL)
VOID VifTransmitterReturnPacket(_In_ PXENVIF_VIF Vif, _In_opt_ PVOID Cookie,
                                _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion);
_IRQL_requires_(DISPATCH_LEVEL)
BOOLEAN VifReceiverQueuePacket(_In_ PXENVIF_VIF Vif, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters);

/* PASSIVE_LEVEL, by the frontend's thread: the link has changed. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID VifMacStateChange(_In_ PXENVIF_VIF Vif);

#endif /* XENVIF_VIF_H */
