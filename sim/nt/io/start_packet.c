/*
 * The I/O manager's queue of IRPs for drivers with a StartIo routine: IoStartPacket, IoStartNextPacket,
 * IoStartNextPacketByKey, IoSetStartIoAttributes (ntifs.h, ntddk.h). One IRP of a device is current; StartIo gets it at
 * DISPATCH_LEVEL.
 */
#include "nt/io/io_internal.h"

/* DEVOBJ_EXTENSION.StartIoFlags */
#define STARTIO_DEFERRED 0x01
#define STARTIO_NON_CANCELABLE 0x02
#define STARTIO_ANY_NEXT 0x10 /* a call of IoStartNextPacket came while StartIo ran, and waits for its end */
#define STARTIO_CANCELABLE 0x20

static void call_start_io(PDEVICE_OBJECT device, PIRP irp)
{
    PDRIVER_STARTIO routine = device->DriverObject->DriverStartIo;

    if (routine == NULL)
        nt_violation("start-io", "IoStartPacket on a device of driver %s, which has no DriverStartIo",
                     io_driver_name(device->DriverObject));
    DRIVER_CALLOUT("StartIo routine", routine, device, irp);
}

static PIRP irp_of(PKDEVICE_QUEUE_ENTRY entry)
{
    return CONTAINING_RECORD(entry, IRP, Tail.Overlay.DeviceQueueEntry);
}

static void cancel_lock(bool cancelable, PKIRQL irql)
{
    if (cancelable)
        IoAcquireCancelSpinLock(irql);
}

static void cancel_unlock(bool cancelable, KIRQL irql)
{
    if (cancelable)
        IoReleaseCancelSpinLock(irql);
}

/* Make the next IRP current, if there is one; called at DISPATCH_LEVEL. */
static bool start_next(PDEVICE_OBJECT device, bool cancelable, const ULONG *key)
{
    PDEVOBJ_EXTENSION extension = device->DeviceObjectExtension;
    PKDEVICE_QUEUE_ENTRY entry;
    KIRQL irql = DISPATCH_LEVEL;
    PIRP irp;

    cancel_lock(cancelable, &irql);
    device->CurrentIrp = NULL;
    entry =
        key != NULL ? KeRemoveByKeyDeviceQueue(&device->DeviceQueue, *key) : KeRemoveDeviceQueue(&device->DeviceQueue);
    if (entry == NULL) {
        cancel_unlock(cancelable, irql);
        return false;
    }
    irp = irp_of(entry);
    device->CurrentIrp = irp;
    if (cancelable && (extension->StartIoFlags & STARTIO_NON_CANCELABLE))
        (void)IoSetCancelRoutine(irp, NULL);
    cancel_unlock(cancelable, irql);
    call_start_io(device, irp);
    return true;
}

/* With DeferredStartIo a call inside StartIo takes effect when StartIo has returned: the stack does not grow. */
static void next_packet(PDEVICE_OBJECT device, bool cancelable, const ULONG *key)
{
    PDEVOBJ_EXTENSION extension = device->DeviceObjectExtension;

    if (!(extension->StartIoFlags & STARTIO_DEFERRED)) {
        (void)start_next(device, cancelable, key);
        return;
    }
    if (extension->StartIoCount++ > 0) {
        extension->StartIoFlags |= STARTIO_ANY_NEXT | (cancelable ? STARTIO_CANCELABLE : 0);
        extension->StartIoCount--;
        return;
    }
    do {
        extension->StartIoFlags &= ~(ULONG)(STARTIO_ANY_NEXT | STARTIO_CANCELABLE);
        (void)start_next(device, cancelable, key);
        cancelable = (extension->StartIoFlags & STARTIO_CANCELABLE) != 0;
        key = NULL;
    } while (extension->StartIoFlags & STARTIO_ANY_NEXT);
    extension->StartIoCount--;
}

VOID NTAPI IoStartPacket(PDEVICE_OBJECT DeviceObject, PIRP Irp, PULONG Key, PDRIVER_CANCEL CancelFunction)
{
    PDEVOBJ_EXTENSION extension;
    KIRQL irql;
    KIRQL cancel_irql = DISPATCH_LEVEL;
    BOOLEAN queued;

    NT_CALL(DISPATCH_LEVEL);
    extension = DeviceObject->DeviceObjectExtension;
    irql = ke_irql();
    if (irql < DISPATCH_LEVEL)
        ke_set_irql(DISPATCH_LEVEL);
    cancel_lock(CancelFunction != NULL, &cancel_irql);
    if (CancelFunction != NULL)
        (void)IoSetCancelRoutine(Irp, CancelFunction);
    queued = Key != NULL
                 ? KeInsertByKeyDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry, *Key)
                 : KeInsertDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
    if (queued && CancelFunction != NULL && Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
        /* Cancelled before it came here: the routine takes it out of the queue, and the lock with it. */
        Irp->CancelIrql = cancel_irql;
        KERNEL_CALLOUT(CancelFunction, DeviceObject, Irp);
    } else if (queued) {
        cancel_unlock(CancelFunction != NULL, cancel_irql);
    } else {
        DeviceObject->CurrentIrp = Irp;
        if (CancelFunction != NULL && (extension->StartIoFlags & STARTIO_NON_CANCELABLE))
            (void)IoSetCancelRoutine(Irp, NULL);
        cancel_unlock(CancelFunction != NULL, cancel_irql);
        if (extension->StartIoFlags & STARTIO_DEFERRED) {
            extension->StartIoCount++;
            call_start_io(DeviceObject, Irp);
            extension->StartIoCount--;
            if (extension->StartIoFlags & STARTIO_ANY_NEXT)
                next_packet(DeviceObject, (extension->StartIoFlags & STARTIO_CANCELABLE) != 0, NULL);
        } else {
            call_start_io(DeviceObject, Irp);
        }
    }
    if (irql < DISPATCH_LEVEL)
        ke_set_irql(irql);
}

VOID NTAPI IoStartNextPacket(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    next_packet(DeviceObject, Cancelable, NULL);
}

VOID NTAPI IoStartNextPacketByKey(PDEVICE_OBJECT DeviceObject, BOOLEAN Cancelable, ULONG Key)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    next_packet(DeviceObject, Cancelable, &Key);
}

VOID NTAPI IoSetStartIoAttributes(PDEVICE_OBJECT DeviceObject, BOOLEAN DeferredStartIo, BOOLEAN NonCancelable)
{
    PDEVOBJ_EXTENSION extension;

    NT_CALL_ANY();
    extension = DeviceObject->DeviceObjectExtension;
    extension->StartIoFlags &= ~(ULONG)(STARTIO_DEFERRED | STARTIO_NON_CANCELABLE);
    extension->StartIoFlags |= (DeferredStartIo ? STARTIO_DEFERRED : 0) | (NonCancelable ? STARTIO_NON_CANCELABLE : 0);
}
