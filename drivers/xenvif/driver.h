/*
 * xenvif.sys: the bus of network devices under a XENBUS VIF child.
 */
#ifndef XENVIF_DRIVER_H
#define XENVIF_DRIVER_H

#include <ntddk.h>

#include "compat.h"

/* What a device object of ours is. */
typedef enum _XENVIF_DEVICE_TYPE {
    XENVIF_DEVICE_FDO, /* the bus: on a XENBUS child */
    XENVIF_DEVICE_PDO  /* a network device: a child of the bus */
} XENVIF_DEVICE_TYPE;

/* Where a device is in the life that the PnP manager leads it through. */
typedef enum _XENVIF_PNP_STATE {
    XENVIF_PNP_NOT_STARTED,
    XENVIF_PNP_STARTED,
    XENVIF_PNP_STOP_PENDING,
    XENVIF_PNP_STOPPED,
    XENVIF_PNP_REMOVE_PENDING,
    XENVIF_PNP_SURPRISE_REMOVED,
    XENVIF_PNP_REMOVED
} XENVIF_PNP_STATE;

/* What each device extension begins with. */
typedef struct _XENVIF_DEVICE {
    XENVIF_DEVICE_TYPE Type;
    PDEVICE_OBJECT DeviceObject;
    XENVIF_PNP_STATE PnpState;
    XENVIF_PNP_STATE PreviousPnpState; /* to which a cancelled query goes back */
    DEVICE_POWER_STATE PowerState;
} XENVIF_DEVICE, *PXENVIF_DEVICE;

/* Sets the state, remembering the one before. */
VOID DeviceSetPnpState(_Inout_ PXENVIF_DEVICE Device, _In_ XENVIF_PNP_STATE State);

/* Goes back to the state before, if the device is in State: what a cancelled query does. */
VOID DeviceRestorePnpState(_Inout_ PXENVIF_DEVICE Device, _In_ XENVIF_PNP_STATE State);

/* The driver object, for making devices. */
PDRIVER_OBJECT DriverGetObject(VOID);

/* A DWORD of the service's Parameters key, or Default if there is none. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
ULONG DriverQueryParameter(_In_z_ PCWSTR Name, _In_ ULONG Default);

/* Opens a key below the service's Parameters, Make: or makes it. PASSIVE_LEVEL. Closed by RegistryCloseKey. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS DriverOpenParametersKey(_In_z_ PCWSTR Name, _In_ BOOLEAN Make, _Out_ PHANDLE Key);

/* Completes an IRP with Status, and gives Status. */
NTSTATUS DriverCompleteIrp(_Inout_ PIRP Irp, _In_ NTSTATUS Status);

#endif /* XENVIF_DRIVER_H */
