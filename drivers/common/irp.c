#include "irp.h"

_Function_class_(IO_COMPLETION_ROUTINE)
static NTSTATUS NTAPI IrpForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);

    (VOID) KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

PAGED_FUNCTION NTSTATUS IrpForwardAndWait(_In_ PDEVICE_OBJECT Lower, _In_ PIRP Irp)
{
    KEVENT Event;

    PAGED_CODE();

    KeInitializeEvent(&Event, NotificationEvent, FALSE);

    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, IrpForwarded, &Event, TRUE, TRUE, TRUE);

    if (IoCallDriver(Lower, Irp) == STATUS_PENDING)
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);

    return Irp->IoStatus.Status;
}
