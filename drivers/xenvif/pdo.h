/*
 * A network device: the child that stands for device/vif/<n>, and the end of its client's stack.
 */
#ifndef XENVIF_PDO_H
#define XENVIF_PDO_H

#include <ntddk.h>

#include <ifdef.h>

#include "fdo.h"

typedef struct _XENVIF_PDO XENVIF_PDO, *PXENVIF_PDO;

/* PASSIVE_LEVEL. The caller puts the child on the bus's list. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoCreate(_In_ PXENVIF_FDO Fdo, _In_ ULONG Number, _Outptr_ PXENVIF_PDO *Pdo);

/* The child is off the list. Stops it if it is not. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID PdoDelete(_In_ PXENVIF_PDO Pdo);

/* Takes the frontend down; without effect if there is none. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID PdoStop(_Inout_ PXENVIF_PDO Pdo);

NTSTATUS PdoDispatchPnp(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp);
NTSTATUS PdoDispatchPower(_Inout_ PXENVIF_PDO Pdo, _Inout_ PIRP Irp);

/* The device has gone from the store: it is no longer reported, and will be removed. Any IRQL up to DISPATCH_LEVEL. */
VOID PdoSetMissing(_Inout_ PXENVIF_PDO Pdo);
BOOLEAN PdoIsMissing(_In_ PXENVIF_PDO Pdo);

/* The toolstack has detached the device: as PdoSetMissing, and the PnP manager is told. */
VOID PdoEject(_Inout_ PXENVIF_PDO Pdo);

/*
 * The device's twin has come (twin.h): it is out of service, and the PnP manager is told to take it away. Once until it
 * is removed. PASSIVE_LEVEL to DISPATCH_LEVEL.
 */
VOID PdoFail(_Inout_ PXENVIF_PDO Pdo);

/* The address that the store had for it; zero: none. */
const ETHERNET_ADDRESS *PdoGetAddress(_In_ PXENVIF_PDO Pdo);

/* Whether it is started, and nobody has asked it to stop. PASSIVE_LEVEL. */
BOOLEAN PdoIsStarted(_In_ PXENVIF_PDO Pdo);

/*
 * Whether PnP knows of the child; guarded by the bus's mutex. PdoReport, when the children are listed: TRUE with a
 * reference to the device object, for the list, or FALSE if it is missing.
 */
BOOLEAN PdoIsReported(_In_ PXENVIF_PDO Pdo);
BOOLEAN PdoReport(_Inout_ PXENVIF_PDO Pdo);

/* Opens the software key of the driver that is installed on the device. PASSIVE_LEVEL. Closed by RegistryCloseKey. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoOpenSoftwareKey(_In_ PXENVIF_PDO Pdo, _Out_ PHANDLE Key);

/* The interface that stands for the device, once its driver has been started. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoQueryInterfaceLuid(_In_ PXENVIF_PDO Pdo, _Out_ NET_LUID *Luid);

/* The settings of the device's twin may have changed (settings.h). PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID PdoKeepSettings(_Inout_ PXENVIF_PDO Pdo);

/* For the bus: the number of its scan that saw the device in the store last. */
VOID PdoSetSeen(_Inout_ PXENVIF_PDO Pdo, _In_ ULONG Scan);
ULONG PdoGetSeen(_In_ PXENVIF_PDO Pdo);
PCSTR PdoGetName(_In_ PXENVIF_PDO Pdo); /* the number as the store has it */
PXENVIF_FDO PdoGetFdo(_In_ PXENVIF_PDO Pdo);
PDEVICE_OBJECT PdoGetDeviceObject(_In_ PXENVIF_PDO Pdo);

/* The child on the bus's list. */
PLIST_ENTRY PdoGetListEntry(_In_ PXENVIF_PDO Pdo);
PXENVIF_PDO PdoFromListEntry(_In_ PLIST_ENTRY ListEntry);

#endif /* XENVIF_PDO_H */
