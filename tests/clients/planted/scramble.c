/*
 * A filter above the client of the first VIF, attached when the machine has booted. It changes one byte of the third
 * frame read, or it crashes once it has seen a frame of each of two lengths: in lan-wire.pcap those of the frames 40
 * and 1117, and of no others; or it changes the first frame of each load for the client's packet generator.
 */
#include "planted.h"

#include "../netclient/netclient_ioctl.h"

#define SCRAMBLED_FRAME 3
#define LOAD_BYTE 60 /* of the frame */
#define PAIR_FIRST 256
#define PAIR_SECOND 546

typedef struct _SCRAMBLER SCRAMBLER, *PSCRAMBLER;

/* What it does with a frame that has been read. */
typedef VOID SCRAMBLER_LOOK(PSCRAMBLER Scrambler, PIRP Irp);

struct _SCRAMBLER {
    PDEVICE_OBJECT Lower;
    SCRAMBLER_LOOK *Look; /* NULL: loads are changed */
    LONG Frames;
    LONG PairSeen; /* a bit for each of the two */
};

static DRIVER_DISPATCH ScramblerPass;
static DRIVER_DISPATCH ScramblerPower;
static DRIVER_DISPATCH ScramblerPnp;
static DRIVER_DISPATCH ScramblerRead;
static DRIVER_DISPATCH ScramblerControl;
static IO_COMPLETION_ROUTINE ScramblerReadDone;
static DRIVER_REINITIALIZE ScramblerAttach;

static NTSTATUS NTAPI ScramblerPass(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(((PSCRAMBLER)DeviceObject->DeviceExtension)->Lower, Irp);
}

static NTSTATUS NTAPI ScramblerPower(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    IoSkipCurrentIrpStackLocation(Irp);
    return PoCallDriver(((PSCRAMBLER)DeviceObject->DeviceExtension)->Lower, Irp);
}

static NTSTATUS NTAPI ScramblerPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PSCRAMBLER Scrambler = DeviceObject->DeviceExtension;
    UCHAR MinorFunction = IoGetCurrentIrpStackLocation(Irp)->MinorFunction;
    NTSTATUS Status = ScramblerPass(DeviceObject, Irp);

    if (MinorFunction == IRP_MN_REMOVE_DEVICE) {
        IoDetachDevice(Scrambler->Lower);
        IoDeleteDevice(DeviceObject);
    }
    return Status;
}

static VOID ScramblerFlip(PSCRAMBLER Scrambler, PIRP Irp)
{
    PUCHAR Bytes;

    if (InterlockedIncrement(&Scrambler->Frames) != SCRAMBLED_FRAME)
        return;
    Bytes = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    if (Bytes != NULL)
        Bytes[Irp->IoStatus.Information - 1] ^= 0x40;
}

static VOID ScramblerPair(PSCRAMBLER Scrambler, PIRP Irp)
{
    LONG Seen = Irp->IoStatus.Information == PAIR_FIRST ? 1 : Irp->IoStatus.Information == PAIR_SECOND ? 2 : 0;

    if ((InterlockedOr(&Scrambler->PairSeen, Seen) | Seen) == 3)
        KeBugCheckEx(PLANTED_BUG, BugPair, 0, 0, 0);
}

static NTSTATUS NTAPI ScramblerReadDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    PSCRAMBLER Scrambler = Context;

    UNREFERENCED_PARAMETER(DeviceObject);
    if (Irp->PendingReturned)
        IoMarkIrpPending(Irp);
    if (NT_SUCCESS(Irp->IoStatus.Status))
        Scrambler->Look(Scrambler, Irp);
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS NTAPI ScramblerRead(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PSCRAMBLER Scrambler = DeviceObject->DeviceExtension;

    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, ScramblerReadDone, Scrambler, TRUE, TRUE, TRUE);
    return IoCallDriver(Scrambler->Lower, Irp);
}

static NTSTATUS NTAPI ScramblerControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PUCHAR Buffer = Irp->AssociatedIrp.SystemBuffer;

    switch (IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_NETCLIENT_PKTGEN_SEND:
        Buffer[sizeof(NETCLIENT_ENTRY) + LOAD_BYTE] ^= 0x40;
        break;
    case IOCTL_NETCLIENT_PKTGEN_EXPECT:
        Buffer[FIELD_OFFSET(NETCLIENT_EXPECTED, Head) + LOAD_BYTE] ^= 0x40;
        break;
    default:
        break;
    }
    return ScramblerPass(DeviceObject, Irp);
}

static VOID NTAPI ScramblerAttach(PDRIVER_OBJECT DriverObject, PVOID Context, ULONG Count)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\Device\\NetClient0");
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT Target;
    PFILE_OBJECT FileObject;
    PSCRAMBLER Scrambler;

    UNREFERENCED_PARAMETER(Count);
    if (!NT_SUCCESS(IoGetDeviceObjectPointer(&Name, FILE_READ_DATA, &FileObject, &Target)))
        return;
    if (NT_SUCCESS(
            IoCreateDevice(DriverObject, sizeof(SCRAMBLER), NULL, FILE_DEVICE_NETWORK, 0, FALSE, &DeviceObject))) {
        Scrambler = DeviceObject->DeviceExtension;
        Scrambler->Look = (SCRAMBLER_LOOK *)(ULONG_PTR)Context;
        Scrambler->Lower = IoAttachDeviceToDeviceStack(DeviceObject, Target);
        if (Scrambler->Lower == NULL) {
            IoDeleteDevice(DeviceObject);
        } else {
            DeviceObject->Flags |= Scrambler->Lower->Flags & (DO_DIRECT_IO | DO_BUFFERED_IO | DO_POWER_PAGABLE);
            DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
        }
    }
    ObDereferenceObject(FileObject);
}

static VOID PlantedFilter(PDRIVER_OBJECT DriverObject, SCRAMBLER_LOOK *Look)
{
    ULONG Index;

    for (Index = 0; Index <= IRP_MJ_MAXIMUM_FUNCTION; Index++)
        DriverObject->MajorFunction[Index] = ScramblerPass;
    if (Look != NULL)
        DriverObject->MajorFunction[IRP_MJ_READ] = ScramblerRead;
    else
        DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = ScramblerControl;
    DriverObject->MajorFunction[IRP_MJ_PNP] = ScramblerPnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = ScramblerPower;
    IoRegisterDriverReinitialization(DriverObject, ScramblerAttach, (PVOID)(ULONG_PTR)Look);
}

VOID PlantedScramble(PDRIVER_OBJECT DriverObject)
{
    PlantedFilter(DriverObject, ScramblerFlip);
}

VOID PlantedPair(PDRIVER_OBJECT DriverObject)
{
    PlantedFilter(DriverObject, ScramblerPair);
}

VOID PlantedLoad(PDRIVER_OBJECT DriverObject)
{
    PlantedFilter(DriverObject, NULL);
}
