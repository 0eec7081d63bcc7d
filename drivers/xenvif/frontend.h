/*
 * The frontend of one VIF: its conversation with the backend over the store, and the modules that move packets.
 *
 * One thread drives it. Whoever wants something of it (the device's power, the client's Enable and Disable, a resume, a
 * ring that the backend has broken) leaves a note and wakes the thread; so do watches of the store. The thread looks
 * at all there is, takes as many steps as it can without waiting, and sleeps until the next note or deadline. Nobody
 * waits for a backend anywhere else, so that a silent one costs its own device and nothing more (field bug FB1).
 *
 * A frontend lives from the start of the device to its stop. Locks: Lock, a leaf, guards the notes.
 */
#ifndef XENVIF_FRONTEND_H
#define XENVIF_FRONTEND_H

#include <ntddk.h>

#include "granter.h"
#include "mac.h"
#include "parent.h"
#include "poller.h"
#include "receiver.h"
#include "statistics.h"
#include "transmitter.h"
#include "vif.h"

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_PDO XENVIF_PDO, *PXENVIF_PDO;

/*
 * Makes the frontend of device/vif/<Number> and starts its thread. The backend is not looked for before
 * FrontendPowerUp. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FrontendInitialize(_In_ PXENVIF_PDO Pdo, _In_ PXENVIF_PARENT Parent, _In_ PXENVIF_VIF Vif, _In_ ULONG Number,
                            _Outptr_ PXENVIF_FRONTEND *Frontend);

/* Powered down, and the client has returned all it had. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendTeardown(_In_ PXENVIF_FRONTEND Frontend);

/* The device is in D0: the backend is got ready, in the background. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendPowerUp(_Inout_ PXENVIF_FRONTEND Frontend);

/* The device leaves D0: returns when the frontend is closed, or the backend has not helped in time. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendPowerDown(_Inout_ PXENVIF_FRONTEND Frontend);

/*
 * The client wants packets: those that it sends are queued from when this returns, and the connection is made in the
 * background. PASSIVE_LEVEL, not by the frontend's thread.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendEnable(_Inout_ PXENVIF_FRONTEND Frontend);

/*
 * The client wants no more packets: returns when there is no connection, every packet to send has been returned, and no
 * callback runs. Bounded by the deadlines of the handshake. PASSIVE_LEVEL, not by the frontend's thread.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendDisable(_Inout_ PXENVIF_FRONTEND Frontend);

/* The backend has broken the protocol of a ring. Reason is a constant, Value the number that shows it. Any IRQL to
 * DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID FrontendBreak(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Reason, _In_ ULONG Value);

/* Has the thread look again. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID FrontendWake(_Inout_ PXENVIF_FRONTEND Frontend);

/* Hands a granter that still has grants standing to the FDO. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendRetireGranter(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENVIF_GRANTER Granter);

/*
 * Reads a node of the frontend's own directory. FrontendReadNumber gives Default if there is none, or it is no number.
 * PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FrontendReadNode(_In_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _Outptr_ PSTR *Text);
_IRQL_requires_(PASSIVE_LEVEL)
VOID FrontendFreeNode(_In_ PXENVIF_FRONTEND Frontend, _In_ PSTR Text);
_IRQL_requires_(PASSIVE_LEVEL)
ULONG FrontendReadNumber(_In_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _In_ ULONG Default);

/* Constant during the frontend's life. Any IRQL. */
ULONG FrontendGetNumber(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_PDO FrontendGetPdo(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_PARENT FrontendGetParent(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_VIF FrontendGetVif(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_STATISTICS FrontendGetStatistics(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_MAC FrontendGetMac(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_POLLER FrontendGetPoller(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_TRANSMITTER FrontendGetTransmitter(_In_ PXENVIF_FRONTEND Frontend);
PXENVIF_RECEIVER FrontendGetReceiver(_In_ PXENVIF_FRONTEND Frontend);

#endif /* XENVIF_FRONTEND_H */
