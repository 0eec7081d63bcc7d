/* Device objects of cases and requests to them. */
#include "nttest.h"

static PDRIVER_OBJECT Driver;

static DRIVER_DISPATCH Dispatch;
static IO_COMPLETION_ROUTINE Answered;

static NTSTATUS NTAPI Dispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    return ((TEST_EXTENSION *)DeviceObject->DeviceExtension)->Dispatch(DeviceObject, Irp);
}

VOID TestStackInitialize(PDRIVER_OBJECT DriverObject)
{
    ULONG Major;

    Driver = DriverObject;
    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = Dispatch;
}

PDRIVER_OBJECT TestDriver(VOID)
{
    return Driver;
}

PDEVICE_OBJECT TestCreateDevice(PCWSTR Name, SIZE_T Size, PDRIVER_DISPATCH Routine)
{
    PDEVICE_OBJECT DeviceObject = NULL;
    UNICODE_STRING String;
    NTSTATUS Status;

    RtlInitUnicodeString(&String, Name);
    Status = IoCreateDevice(Driver, (ULONG)(sizeof(TEST_EXTENSION) + Size), Name != NULL ? &String : NULL,
                            FILE_DEVICE_UNKNOWN, 0, FALSE, &DeviceObject);
    CHECK(NT_SUCCESS(Status));
    if (!NT_SUCCESS(Status))
        return NULL;
    ((TEST_EXTENSION *)DeviceObject->DeviceExtension)->Dispatch = Routine;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return DeviceObject;
}

PVOID TestExtension(PDEVICE_OBJECT DeviceObject)
{
    return (TEST_EXTENSION *)DeviceObject->DeviceExtension + 1;
}

NTSTATUS TestComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI Answered(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    (VOID) KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

NTSTATUS TestSend(PDEVICE_OBJECT DeviceObject, const IO_STACK_LOCATION *Parameters, ULONG_PTR *Information)
{
    PIO_STACK_LOCATION Stack;
    NTSTATUS Status;
    KEVENT Event;
    PIRP Irp = IoAllocateIrp(DeviceObject->StackSize, FALSE);

    CHECK(Irp != NULL);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED; /* as requests for PnP and power must begin */
    Irp->IoStatus.Information = Information != NULL ? *Information : 0;
    Stack = IoGetNextIrpStackLocation(Irp);
    Stack->MajorFunction = Parameters->MajorFunction;
    Stack->MinorFunction = Parameters->MinorFunction;
    Stack->Flags = Parameters->Flags;
    Stack->Parameters = Parameters->Parameters;
    Stack->FileObject = Parameters->FileObject;
    IoSetCompletionRoutine(Irp, Answered, &Event, TRUE, TRUE, TRUE);
    if (IoCallDriver(DeviceObject, Irp) == STATUS_PENDING)
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    Status = Irp->IoStatus.Status;
    if (Information != NULL)
        *Information = Irp->IoStatus.Information;
    IoFreeIrp(Irp);
    return Status;
}
