/*
 * The function driver of an emulated network card: it starts it, and tells its address as a miniport of NDIS does, by
 * GUID_DEVINTERFACE_NET and IOCTL_NDIS_QUERY_GLOBAL_STATS. It sends and receives nothing.
 */
#include <ntddk.h>

#include <initguid.h>
#include <ndisguid.h>
#include <ntddndis.h>

#define NIC_TAG ((ULONG)'N' | (ULONG)'i' << 8 | (ULONG)'c' << 16 | (ULONG)' ' << 24)

#define NIC_ADDRESS_LENGTH 6

/* RTL8139: its address is in its first registers. E1000: behind an index and a data register. */
#define NIC_E1000_INDEX 0
#define NIC_E1000_DATA 4
#define NIC_E1000_RAL 0x5400
#define NIC_E1000_RAH 0x5404

typedef struct _NIC {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT PhysicalDeviceObject;
    UNICODE_STRING Interface;
    UCHAR Address[NIC_ADDRESS_LENGTH];
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock;
} NIC, *PNIC;

DRIVER_INITIALIZE DriverEntry;

static NTSTATUS NicPass(PNIC Nic, PIRP Irp)
{
    NTSTATUS Status;

    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Nic->LowerDeviceObject, Irp);
    IoReleaseRemoveLock(&Nic->RemoveLock, Irp);
    return Status;
}

static BOOLEAN NicIsRealtek(PNIC Nic)
{
    static const WCHAR Begin[] = L"PCI\\VEN_10EC";
    WCHAR Id[512]; /* all of them */
    ULONG Length;

    return NT_SUCCESS(
               IoGetDeviceProperty(Nic->PhysicalDeviceObject, DevicePropertyHardwareID, sizeof(Id), Id, &Length)) &&
           RtlCompareMemory(Id, Begin, sizeof(Begin) - sizeof(WCHAR)) == sizeof(Begin) - sizeof(WCHAR);
}

static VOID NicReadAddress(PNIC Nic, PUCHAR Ports)
{
    ULONG Index;

    if (NicIsRealtek(Nic)) {
        for (Index = 0; Index < NIC_ADDRESS_LENGTH; Index++)
            Nic->Address[Index] = READ_PORT_UCHAR(Ports + Index);
        return;
    }
    for (Index = 0; Index < NIC_ADDRESS_LENGTH; Index++) {
        WRITE_PORT_ULONG((PULONG)(Ports + NIC_E1000_INDEX), Index < 4 ? NIC_E1000_RAL : NIC_E1000_RAH);
        Nic->Address[Index] = (UCHAR)(READ_PORT_ULONG((PULONG)(Ports + NIC_E1000_DATA)) >> 8 * (Index % 4));
    }
}

/* The card's ports are among its resources. */
static NTSTATUS NicFindPorts(PCM_RESOURCE_LIST Resources, PUCHAR *Ports)
{
    ULONG Index;

    if (Resources != NULL)
        for (Index = 0; Index < Resources->List[0].PartialResourceList.Count; Index++) {
            PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource =
                &Resources->List[0].PartialResourceList.PartialDescriptors[Index];

            if (Resource->Type == CmResourceTypePort) {
                *Ports = (PUCHAR)(ULONG_PTR)Resource->u.Port.Start.QuadPart;
                return STATUS_SUCCESS;
            }
        }
    return STATUS_DEVICE_CONFIGURATION_ERROR;
}

static NTSTATUS NicStart(PNIC Nic, PIRP Irp)
{
    PCM_RESOURCE_LIST Resources =
        IoGetCurrentIrpStackLocation(Irp)->Parameters.StartDevice.AllocatedResourcesTranslated;
    NTSTATUS Status = STATUS_UNSUCCESSFUL;
    PUCHAR Ports;

    if (IoForwardIrpSynchronously(Nic->LowerDeviceObject, Irp))
        Status = Irp->IoStatus.Status;
    if (NT_SUCCESS(Status))
        Status = NicFindPorts(Resources, &Ports);
    if (NT_SUCCESS(Status)) {
        NicReadAddress(Nic, Ports);
        Status = IoSetDeviceInterfaceState(&Nic->Interface, TRUE);
    }
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Nic->RemoveLock, Irp);
    return Status;
}

static NTSTATUS NicRemove(PNIC Nic, PIRP Irp)
{
    NTSTATUS Status;

    IoReleaseRemoveLockAndWait(&Nic->RemoveLock, Irp);
    (VOID) IoSetDeviceInterfaceState(&Nic->Interface, FALSE);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(Irp);
    Status = IoCallDriver(Nic->LowerDeviceObject, Irp);
    IoDetachDevice(Nic->LowerDeviceObject);
    RtlFreeUnicodeString(&Nic->Interface);
    IoDeleteDevice(Nic->DeviceObject);
    return Status;
}

static NTSTATUS NicQuery(PNIC Nic, PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    NDIS_OID Oid = 0;
    PVOID Output;

    if (Location->Parameters.DeviceIoControl.IoControlCode != IOCTL_NDIS_QUERY_GLOBAL_STATS)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (Location->FileObject == NULL) /* whoever asks has opened the device, and says by which file */
        return STATUS_INVALID_PARAMETER;
    if (Location->Parameters.DeviceIoControl.InputBufferLength >= sizeof(NDIS_OID))
        Oid = *(PNDIS_OID)Irp->AssociatedIrp.SystemBuffer;
    if (Oid != OID_802_3_PERMANENT_ADDRESS && Oid != OID_802_3_CURRENT_ADDRESS) /* it uses the one it came with */
        return STATUS_NOT_SUPPORTED;
    if (Location->Parameters.DeviceIoControl.OutputBufferLength < NIC_ADDRESS_LENGTH)
        return STATUS_BUFFER_TOO_SMALL;
    Output = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    if (Output == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlCopyMemory(Output, Nic->Address, NIC_ADDRESS_LENGTH);
    Irp->IoStatus.Information = NIC_ADDRESS_LENGTH;
    return STATUS_SUCCESS;
}

/* Whoever opens the device may ask it. */
static NTSTATUS NicComplete(PNIC Nic, PIRP Irp, NTSTATUS Status)
{
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&Nic->RemoveLock, Irp);
    return Status;
}

static NTSTATUS NTAPI NicDispatch(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION Location = IoGetCurrentIrpStackLocation(Irp);
    PNIC Nic = DeviceObject->DeviceExtension;
    NTSTATUS Status = IoAcquireRemoveLock(&Nic->RemoveLock, Irp);

    if (!NT_SUCCESS(Status)) {
        Irp->IoStatus.Status = Status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return Status;
    }
    switch (Location->MajorFunction) {
    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE:
        return NicComplete(Nic, Irp, STATUS_SUCCESS);
    case IRP_MJ_DEVICE_CONTROL:
        return NicComplete(Nic, Irp, NicQuery(Nic, Irp));
    case IRP_MJ_PNP:
        break;
    default:
        return NicPass(Nic, Irp);
    }
    switch (Location->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return NicStart(Nic, Irp);
    case IRP_MN_REMOVE_DEVICE:
        return NicRemove(Nic, Irp);
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        return NicPass(Nic, Irp);
    default:
        return NicPass(Nic, Irp);
    }
}

static NTSTATUS NTAPI NicAddDevice(_In_ PDRIVER_OBJECT DriverObject, _In_ PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    NTSTATUS Status;
    PNIC Nic;

    Status = IoCreateDevice(DriverObject, sizeof(NIC), NULL, FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN, FALSE,
                            &DeviceObject);
    if (!NT_SUCCESS(Status))
        return Status;
    Nic = DeviceObject->DeviceExtension;
    RtlZeroMemory(Nic, sizeof(*Nic));
    Nic->DeviceObject = DeviceObject;
    Nic->PhysicalDeviceObject = PhysicalDeviceObject;
    Status = IoRegisterDeviceInterface(PhysicalDeviceObject, &GUID_DEVINTERFACE_NET, NULL, &Nic->Interface);
    if (!NT_SUCCESS(Status)) {
        IoDeleteDevice(DeviceObject);
        return Status;
    }
    IoInitializeRemoveLock(&Nic->RemoveLock, NIC_TAG, 0, 0);
    Nic->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Nic->LowerDeviceObject == NULL) {
        RtlFreeUnicodeString(&Nic->Interface);
        IoDeleteDevice(DeviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }
    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI NicUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    /* All devices have been removed, and there is nothing else. */
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    ULONG Major;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = NicAddDevice;
    DriverObject->DriverUnload = NicUnload;
    for (Major = 0; Major <= IRP_MJ_MAXIMUM_FUNCTION; Major++)
        DriverObject->MajorFunction[Major] = NicDispatch;
    return STATUS_SUCCESS;
}
