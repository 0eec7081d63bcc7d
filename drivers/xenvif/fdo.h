/*
 * The bus device: attached to a XENBUS VIF child, it makes a child of its own for each device/vif/<n> of the store.
 *
 * A thread scans device/vif whenever the store says that something below it has changed. Lock: the mutex,
 * PASSIVE_LEVEL, guards the list of children and the granters in retirement; nothing that waits for a frontend is done
 * under it.
 */
#ifndef XENVIF_FDO_H
#define XENVIF_FDO_H

#include <ntddk.h>

#include "ethernet.h"
#include "granter.h"
#include "parent.h"

/* Where the store has the children. */
#define FDO_CHILDREN_PATH "device/vif"

typedef struct _XENVIF_FDO XENVIF_FDO, *PXENVIF_FDO;
typedef struct _XENVIF_PDO XENVIF_PDO, *PXENVIF_PDO;

/* AddDevice. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FdoCreate(_In_ PDEVICE_OBJECT PhysicalDeviceObject);

NTSTATUS FdoDispatchPnp(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp);
NTSTATUS FdoDispatchPower(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp);

/* Passes an IRP on to the stack below, as it is. */
NTSTATUS FdoForward(_Inout_ PXENVIF_FDO Fdo, _Inout_ PIRP Irp);

/* The bus has not come back from D3: its children cannot be in D0. */
BOOLEAN FdoHasFailed(_In_ PXENVIF_FDO Fdo);

/* Between start and stop. */
PXENVIF_PARENT FdoGetParent(_In_ PXENVIF_FDO Fdo);

/* What is below us; interfaces of the bus are asked for there. */
PDEVICE_OBJECT FdoGetLowerDevice(_In_ PXENVIF_FDO Fdo);

/* What stands after VEN_ in the IDs of the bus, for those of children: vendor prefix and active platform device. */
PCSTR FdoGetVendor(_In_ PXENVIF_FDO Fdo);

/* Says that the children are others than they were. PASSIVE_LEVEL to DISPATCH_LEVEL. */
VOID FdoInvalidateRelations(_In_ PXENVIF_FDO Fdo);

/*
 * STATUS_PNP_REBOOT_REQUIRED if the card of this address is in the machine a second time, as an emulated one that
 * nobody has unplugged. Then it is asked for that to be so at the next boot, and for a reboot, unless that has been
 * tried in this boot or an administrator wants emulated devices. Another error: the emulated cards cannot be looked at
 * now. Changes, for FdoHasStarted, is as of before the answer. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FdoCheckTwin(_Inout_ PXENVIF_FDO Fdo, _In_ const ETHERNET_ADDRESS *Address, _Out_ PLONG Changes);

/*
 * A child has started that had no twin when FdoCheckTwin gave Changes: looks again if adapters have come since, and
 * asks that emulated cards stay unplugged at the next boot if they were in this one. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoHasStarted(_Inout_ PXENVIF_FDO Fdo, _In_ LONG Changes);

/*
 * The guest has ejected device/vif/<Name>, whose address is Address: there is no child of that name until the toolstack
 * has taken it away or given another. STATUS_INSUFFICIENT_RESOURCES; STATUS_DEVICE_NOT_READY: the bus is not started.
 * PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FdoEject(_Inout_ PXENVIF_FDO Fdo, _In_z_ PCSTR Name, _In_ const ETHERNET_ADDRESS *Address);

/* Takes a child off the list, and looks whether there is to be another in its place. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoRemoveChild(_Inout_ PXENVIF_FDO Fdo, _In_ PXENVIF_PDO Pdo);

/* Takes care of a granter whose ring is gone and whose grants still stand. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoRetireGranter(_Inout_ PXENVIF_FDO Fdo, _In_ PXENVIF_GRANTER Granter);

#endif /* XENVIF_FDO_H */
