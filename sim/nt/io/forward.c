/* Helpers for drivers that pass requests on: IoForwardIrpSynchronously, IoSetCompletionRoutineEx (wdm.h). */
#include "nt/io/io_internal.h"

static NTSTATUS NTAPI forwarded(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    KeSetEvent(context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

BOOLEAN NTAPI IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    KEVENT event;

    NT_CALL(APC_LEVEL);
    if (Irp->CurrentLocation <= 1)
        return FALSE; /* no location left to pass it on with */
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, forwarded, &event, TRUE, TRUE, TRUE);
    if (irp_call(DeviceObject, Irp) == STATUS_PENDING)
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    return TRUE;
}

/* Keeps the device, and with it the driver, until the completion routine has returned. */
struct guarded_completion {
    PDEVICE_OBJECT device;
    PIO_COMPLETION_ROUTINE routine;
    PVOID context;
    UCHAR control;
};

static NTSTATUS NTAPI call_guarded(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct guarded_completion guarded = *(struct guarded_completion *)context;
    NTSTATUS status = STATUS_CONTINUE_COMPLETION;
    bool wanted = (NT_SUCCESS(irp->IoStatus.Status) && (guarded.control & SL_INVOKE_ON_SUCCESS)) ||
                  (!NT_SUCCESS(irp->IoStatus.Status) && (guarded.control & SL_INVOKE_ON_ERROR)) ||
                  (irp->Cancel && (guarded.control & SL_INVOKE_ON_CANCEL));

    ExFreePoolWithTag(context, IO_TAG_GENERAL);
    if (wanted)
        status = DRIVER_CALLOUT("completion routine", guarded.routine, device, irp, guarded.context);
    else if (irp->PendingReturned && irp->CurrentLocation <= irp->StackCount)
        IoMarkIrpPending(irp);
    ob_dereference(guarded.device);
    return status;
}

NTSTATUS NTAPI IoSetCompletionRoutineEx(PDEVICE_OBJECT DeviceObject, PIRP Irp, PIO_COMPLETION_ROUTINE CompletionRoutine,
                                        PVOID Context, BOOLEAN InvokeOnSuccess, BOOLEAN InvokeOnError,
                                        BOOLEAN InvokeOnCancel)
{
    struct guarded_completion *guarded;

    NT_CALL(DISPATCH_LEVEL);
    guarded = FAULT(POOL) ? NULL : ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*guarded), IO_TAG_GENERAL);
    if (guarded == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    guarded->device = DeviceObject;
    guarded->routine = CompletionRoutine;
    guarded->context = Context;
    guarded->control = (UCHAR)((InvokeOnSuccess ? SL_INVOKE_ON_SUCCESS : 0) | (InvokeOnError ? SL_INVOKE_ON_ERROR : 0) |
                               (InvokeOnCancel ? SL_INVOKE_ON_CANCEL : 0));
    ob_reference(DeviceObject);
    /* Called in every case, so that reference and memory are given back. */
    IoSetCompletionRoutine(Irp, call_guarded, guarded, TRUE, TRUE, TRUE);
    return STATUS_SUCCESS;
}
