/*
 * What the two kinds of device objects of this driver, FDO and PDO, have in common: the start of their extensions.
 */
#ifndef XENBUS_DEVICE_H
#define XENBUS_DEVICE_H

#include "compat.h"

typedef enum _XENBUS_DEVICE_KIND { XENBUS_DEVICE_FDO, XENBUS_DEVICE_PDO } XENBUS_DEVICE_KIND;

/* Where a device is in its life, as the PnP manager has told it. */
typedef enum _XENBUS_PNP_STATE {
    XENBUS_PNP_ADDED, /* not started, or removed and still there */
    XENBUS_PNP_STARTED,
    XENBUS_PNP_STOP_PENDING,
    XENBUS_PNP_STOPPED,
    XENBUS_PNP_REMOVE_PENDING,
    XENBUS_PNP_SURPRISE_REMOVED
} XENBUS_PNP_STATE;

typedef struct _XENBUS_DEVICE {
    XENBUS_DEVICE_KIND Kind;
    PDEVICE_OBJECT DeviceObject;

    /*
     * Held by each IRP while it is this device's; REMOVE_DEVICE waits for the others. No IO_REMOVE_LOCK, because a PDO
     * lives on after REMOVE_DEVICE, and a remove lock can be neither acquired nor initialised again after its last
     * release.
     */
    EX_RUNDOWN_REF Irps;

    XENBUS_PNP_STATE PnpState;
    XENBUS_PNP_STATE PreviousPnpState;
} XENBUS_DEVICE, *PXENBUS_DEVICE;

VOID DeviceInitialize(_Out_ PXENBUS_DEVICE Device, _In_ XENBUS_DEVICE_KIND Kind, _In_ PDEVICE_OBJECT DeviceObject);

/* PnP IRPs come one at a time to a device, so that its state needs no lock. */
VOID DeviceSetPnpState(_Inout_ PXENBUS_DEVICE Device, _In_ XENBUS_PNP_STATE State);

/* Back from State, if the device is in it, to where it was before. */
VOID DeviceRestorePnpState(_Inout_ PXENBUS_DEVICE Device, _In_ XENBUS_PNP_STATE State);

/* ---- IRPs ---- */

/* An IRP comes: FALSE if the device is being removed. */
BOOLEAN DeviceEnter(_Inout_ PXENBUS_DEVICE Device);

/* An IRP is this device's no more. */
VOID DeviceLeave(_Inout_ PXENBUS_DEVICE Device);

/* The REMOVE_DEVICE that has entered leaves, and waits for all others; none enters any more. PASSIVE_LEVEL. */
VOID DeviceDrain(_Inout_ PXENBUS_DEVICE Device);

/* A PDO that was drained is back at its start. */
VOID DeviceReset(_Inout_ PXENBUS_DEVICE Device);

/* Ends Irp with Status; it leaves the device. */
NTSTATUS DeviceComplete(_In_ PXENBUS_DEVICE Device, _In_ PIRP Irp, _In_ NTSTATUS Status);

/* Passes Irp to Lower and is done with it; it leaves the device. */
NTSTATUS DevicePass(_In_ PXENBUS_DEVICE Device, _In_ PDEVICE_OBJECT Lower, _In_ PIRP Irp);

/*
 * Sends a PnP IRP of this driver's own to Target, with the parameters of Location (MinorFunction and Parameters), and
 * waits for it. PASSIVE_LEVEL. *Information, if asked for, is what IoStatus holds at the end.
 */
NTSTATUS DeviceSendPnp(_In_ PDEVICE_OBJECT Target, _In_ const IO_STACK_LOCATION *Location,
                       _Out_opt_ PULONG_PTR Information);

#endif /* XENBUS_DEVICE_H */
