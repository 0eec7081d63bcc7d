/* The children of the conformance driver's bus: their physical device objects, and the function driver on them. */
#include "bus.h"

#define RECORD_MAX 1024
#define WAIT_SECONDS 30

typedef struct _PDO {
    TEST_EXTENSION Head;
    TEST_CHILD *Child;
} PDO;

typedef struct _FUNCTION_DEVICE {
    TEST_EXTENSION Head;
    TEST_CHILD *Child;
    PDEVICE_OBJECT Self;
    PDEVICE_OBJECT Lower;
} FUNCTION_DEVICE;

static struct {
    KSPIN_LOCK Lock;
    TEST_CHILD Child[TEST_CHILDREN];
    TEST_STEP Record[RECORD_MAX];
    ULONG Recorded;
} Bus;

static DRIVER_DISPATCH PdoDispatch;
static DRIVER_DISPATCH FunctionDispatch;
static DRIVER_CANCEL CancelWake;

/* ---- the record ---- */

static VOID Record(CHAR Who, UCHAR Minor, UCHAR Child)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Bus.Lock, &Irql);
    if (Bus.Recorded < RECORD_MAX) {
        Bus.Record[Bus.Recorded].Who = Who;
        Bus.Record[Bus.Recorded].Minor = Minor;
        Bus.Record[Bus.Recorded].Child = Child;
        Bus.Recorded++;
    }
    KeReleaseSpinLock(&Bus.Lock, Irql);
}

VOID TestBusForget(VOID)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Bus.Lock, &Irql);
    Bus.Recorded = 0;
    KeReleaseSpinLock(&Bus.Lock, Irql);
}

BOOLEAN TestBusOrder(const TEST_STEP *Steps)
{
    ULONG Index;
    KIRQL Irql;

    KeAcquireSpinLock(&Bus.Lock, &Irql);
    for (Index = 0; Index < Bus.Recorded && Steps->Who != 0; Index++) {
        const TEST_STEP *Step = &Bus.Record[Index];

        if (Step->Who == Steps->Who && Step->Minor == Steps->Minor && Step->Child == Steps->Child)
            Steps++;
    }
    KeReleaseSpinLock(&Bus.Lock, Irql);
    return Steps->Who == 0;
}

BOOLEAN TestBusSeen(CHAR Who, UCHAR Minor, UCHAR Child)
{
    const TEST_STEP Steps[] = {{Who, Minor, Child}, {0, 0, 0}};

    return TestBusOrder(Steps);
}

BOOLEAN TestBusWait(CHAR Who, UCHAR Minor, UCHAR Child)
{
    ULONG Round;

    for (Round = 0; Round < WAIT_SECONDS * 50 && !TestBusSeen(Who, Minor, Child); Round++)
        SleepMilliseconds(20);
    CHECK(TestBusSeen(Who, Minor, Child));
    return TestBusSeen(Who, Minor, Child);
}

VOID TestBusSettle(VOID)
{
    ULONG Before;

    do {
        Before = Bus.Recorded;
        SleepMilliseconds(100);
    } while (Bus.Recorded != Before);
}

static UCHAR NumberOf(const TEST_CHILD *Child)
{
    return (UCHAR)(Child - Bus.Child);
}

static UCHAR CodeOf(PIO_STACK_LOCATION Stack)
{
    if (Stack->MajorFunction == IRP_MJ_POWER)
        return POWER(Stack->MinorFunction);
    if (Stack->MinorFunction == IRP_MN_QUERY_DEVICE_RELATIONS)
        return RELATIONS(Stack->Parameters.QueryDeviceRelations.Type);
    if (Stack->MinorFunction == IRP_MN_QUERY_ID)
        return ID(Stack->Parameters.QueryId.IdType);
    return Stack->MinorFunction;
}

static VOID Note(TEST_CHILD *Child, CHAR Who, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    if (Stack->MajorFunction != IRP_MJ_PNP && Stack->MajorFunction != IRP_MJ_POWER)
        return;
    Child->Irql = max(Child->Irql, KeGetCurrentIrql());
    if (Stack->MajorFunction == IRP_MJ_PNP && Irp->IoStatus.Status != STATUS_NOT_SUPPORTED &&
        (Who == FUNCTION || Child->Function == NULL))
        Child->WrongInitialStatus = TRUE;
    Record(Who, CodeOf(Stack), NumberOf(Child));
}

/* ---- what both answer ---- */

static PVOID Copy(const VOID *Source, SIZE_T Size)
{
    PVOID Block = ExAllocatePoolWithTag(PagedPool, Size, TEST_TAG);

    if (Block != NULL)
        RtlCopyMemory(Block, Source, Size);
    return Block;
}

static NTSTATUS Return(PIRP Irp, PVOID Block)
{
    Irp->IoStatus.Information = (ULONG_PTR)Block;
    Irp->IoStatus.Status = Block != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
    return Irp->IoStatus.Status;
}

static NTSTATUS ReturnOne(PIRP Irp, PDEVICE_OBJECT DeviceObject)
{
    DEVICE_RELATIONS Relations;

    Relations.Count = 1;
    Relations.Objects[0] = DeviceObject;
    ObReferenceObject(DeviceObject);
    return Return(Irp, Copy(&Relations, sizeof(Relations)));
}

static TEST_CHILD *Other(const TEST_CHILD *Child)
{
    return &Bus.Child[1 - NumberOf(Child)];
}

static ULONG PrivateOf(PCM_RESOURCE_LIST List)
{
    ULONG Index;

    if (List == NULL || List->Count == 0)
        return 0;
    for (Index = 0; Index < List->List[0].PartialResourceList.Count; Index++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource = &List->List[0].PartialResourceList.PartialDescriptors[Index];

        if (Resource->Type == CmResourceTypeDevicePrivate)
            return Resource->u.DevicePrivate.Data[0];
    }
    return 0;
}

/* ---- the physical device object ---- */

static SIZE_T TextSize(PCWSTR Text, BOOLEAN Multiple)
{
    SIZE_T Length = 0;

    do {
        while (Text[Length] != 0)
            Length++;
        Length++;
    } while (Multiple && Text[Length] != 0);
    return (Length + (Multiple ? 1 : 0)) * sizeof(WCHAR);
}

static NTSTATUS ReturnText(PIRP Irp, PCWSTR Text, BOOLEAN Multiple)
{
    if (Text == NULL)
        return Irp->IoStatus.Status;
    return Return(Irp, Copy(Text, TextSize(Text, Multiple)));
}

static NTSTATUS QueryId(TEST_CHILD *Child, PIRP Irp)
{
    switch (IoGetCurrentIrpStackLocation(Irp)->Parameters.QueryId.IdType) {
    case BusQueryDeviceID:
        return ReturnText(Irp, Child->DeviceId, FALSE);
    case BusQueryHardwareIDs:
        return ReturnText(Irp, Child->HardwareIds, TRUE);
    case BusQueryCompatibleIDs:
        return ReturnText(Irp, Child->CompatibleIds, TRUE);
    case BusQueryInstanceID:
        return ReturnText(Irp, Child->InstanceId, FALSE);
    case BusQueryContainerID:
        return ReturnText(Irp, Child->ContainerId, FALSE);
    default:
        return Irp->IoStatus.Status;
    }
}

static NTSTATUS QueryCapabilities(TEST_CHILD *Child, PDEVICE_CAPABILITIES Capabilities)
{
    Child->Asked = *Capabilities;
    if (Capabilities->Version != 1 || Capabilities->Size < sizeof(*Capabilities))
        return STATUS_UNSUCCESSFUL;
    Capabilities->EjectSupported = Child->EjectSupported;
    Capabilities->Removable = Child->Removable;
    Capabilities->UniqueID = Child->UniqueID;
    Capabilities->RawDeviceOK = Child->RawDeviceOK;
    Capabilities->SurpriseRemovalOK = TRUE;
    Capabilities->Address = 0x40 + NumberOf(Child);
    Capabilities->UINumber = 0x50 + NumberOf(Child);
    Capabilities->DeviceState[PowerSystemWorking] = PowerDeviceD0;
    return STATUS_SUCCESS;
}

static NTSTATUS QueryRequirements(TEST_CHILD *Child, PIRP Irp)
{
    IO_RESOURCE_REQUIREMENTS_LIST List;

    if (Child->Private == 0)
        return Irp->IoStatus.Status;
    RtlZeroMemory(&List, sizeof(List));
    List.ListSize = sizeof(List);
    List.InterfaceType = Internal;
    List.AlternativeLists = 1;
    List.List[0].Version = 1;
    List.List[0].Revision = 1;
    List.List[0].Count = 1;
    List.List[0].Descriptors[0].Type = CmResourceTypeDevicePrivate;
    List.List[0].Descriptors[0].ShareDisposition = CmResourceShareDeviceExclusive;
    List.List[0].Descriptors[0].u.DevicePrivate.Data[0] = Child->Private;
    return Return(Irp, Copy(&List, sizeof(List)));
}

static NTSTATUS QueryResources(TEST_CHILD *Child, PIRP Irp)
{
    CM_RESOURCE_LIST List;

    if (Child->BootPrivate == 0)
        return Irp->IoStatus.Status;
    RtlZeroMemory(&List, sizeof(List));
    List.Count = 1;
    List.List[0].InterfaceType = Internal;
    List.List[0].PartialResourceList.Version = 1;
    List.List[0].PartialResourceList.Revision = 1;
    List.List[0].PartialResourceList.Count = 1;
    List.List[0].PartialResourceList.PartialDescriptors[0].Type = CmResourceTypeDevicePrivate;
    List.List[0].PartialResourceList.PartialDescriptors[0].ShareDisposition = CmResourceShareDeviceExclusive;
    List.List[0].PartialResourceList.PartialDescriptors[0].u.DevicePrivate.Data[0] = Child->BootPrivate;
    return Return(Irp, Copy(&List, sizeof(List)));
}

static NTSTATUS PdoRelations(TEST_CHILD *Child, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    switch (Stack->Parameters.QueryDeviceRelations.Type) {
    case TargetDeviceRelation:
        Child->RelationFile = Stack->FileObject;
        return ReturnOne(Irp, Child->Pdo);
    case EjectionRelations:
        return Child->EjectionRelation ? ReturnOne(Irp, Other(Child)->Pdo) : Irp->IoStatus.Status;
    default:
        return Irp->IoStatus.Status;
    }
}

static NTSTATUS QueryBus(PIRP Irp)
{
    static const GUID Type = {0x6f9c2c1e, 0x2f0b, 0x4d8a, {0x9b, 0x1e, 0x52, 0x0a, 0x77, 0x31, 0x4c, 0xd5}};
    PNP_BUS_INFORMATION Information;

    Information.BusTypeGuid = Type;
    Information.LegacyBusType = PNPBus;
    Information.BusNumber = 17;
    return Return(Irp, Copy(&Information, sizeof(Information)));
}

/* Bus drivers delete the object of a device that is gone, and keep that of one which is there. */
static NTSTATUS PdoRemove(TEST_CHILD *Child, PIRP Irp)
{
    PDEVICE_OBJECT DeviceObject = Child->Pdo;
    BOOLEAN Gone = !Child->Reported;

    (VOID) TestComplete(Irp, STATUS_SUCCESS, 0);
    if (Gone) {
        Child->Pdo = NULL;
        IoDeleteDevice(DeviceObject);
        Record(BUS, GONE, NumberOf(Child));
    }
    return STATUS_SUCCESS;
}

static NTSTATUS PdoAnswer(TEST_CHILD *Child, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    switch (Stack->MinorFunction) {
    case IRP_MN_START_DEVICE:
        Child->StartPrivate = PrivateOf(Stack->Parameters.StartDevice.AllocatedResources);
        if (PrivateOf(Stack->Parameters.StartDevice.AllocatedResourcesTranslated) != Child->StartPrivate)
            return STATUS_DEVICE_CONFIGURATION_ERROR;
        return STATUS_SUCCESS;
    case IRP_MN_EJECT:
        if (!Child->StaysAfterEject)
            Child->Reported = FALSE;
        return STATUS_SUCCESS;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_DEVICE_ENUMERATED:
        return STATUS_SUCCESS;
    case IRP_MN_QUERY_ID:
        return QueryId(Child, Irp);
    case IRP_MN_QUERY_DEVICE_TEXT:
        return ReturnText(Irp,
                          Stack->Parameters.QueryDeviceText.DeviceTextType == DeviceTextDescription ? Child->Description
                                                                                                    : Child->Location,
                          FALSE);
    case IRP_MN_QUERY_CAPABILITIES:
        return QueryCapabilities(Child, Stack->Parameters.DeviceCapabilities.Capabilities);
    case IRP_MN_QUERY_RESOURCES:
        return QueryResources(Child, Irp);
    case IRP_MN_QUERY_RESOURCE_REQUIREMENTS:
        return QueryRequirements(Child, Irp);
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        return PdoRelations(Child, Irp);
    case IRP_MN_QUERY_BUS_INFORMATION:
        return QueryBus(Irp);
    default:
        return Irp->IoStatus.Status;
    }
}

static VOID NTAPI CancelWake(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    ((PDO *)DeviceObject->DeviceExtension)->Child->Wake = NULL;
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    (VOID) TestComplete(Irp, STATUS_CANCELLED, 0);
}

/* Until somebody wakes the device, or cancels. */
static NTSTATUS HoldWake(TEST_CHILD *Child, PIRP Irp)
{
    Child->WakeState = IoGetCurrentIrpStackLocation(Irp)->Parameters.WaitWake.PowerState;
    IoMarkIrpPending(Irp);
    Child->Wake = Irp;
    (VOID) IoSetCancelRoutine(Irp, CancelWake);
    return STATUS_PENDING;
}

static NTSTATUS PdoPower(TEST_CHILD *Child, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    PoStartNextPowerIrp(Irp);
    if (Stack->MinorFunction != IRP_MN_SET_POWER && Stack->MinorFunction != IRP_MN_QUERY_POWER)
        return Irp->IoStatus.Status;
    if (Child->PowerStatus != STATUS_SUCCESS)
        return Child->PowerStatus;
    if (Stack->MinorFunction == IRP_MN_SET_POWER && Stack->Parameters.Power.Type == DevicePowerState)
        Child->PowerBefore = PoSetPowerState(Child->Pdo, DevicePowerState, Stack->Parameters.Power.State);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI PdoDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    TEST_CHILD *Child = ((PDO *)DeviceObject->DeviceExtension)->Child;
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    UCHAR Minor = Stack->MinorFunction;
    NTSTATUS Status = Irp->IoStatus.Status;

    Note(Child, BUS, Irp);
    switch (Stack->MajorFunction) {
    case IRP_MJ_PNP:
        if (Minor == IRP_MN_REMOVE_DEVICE)
            return PdoRemove(Child, Irp);
        if (Minor < TEST_MINORS && Child->BusStatus[Minor] != STATUS_SUCCESS)
            Status = Child->BusStatus[Minor];
        else
            Status = PdoAnswer(Child, Irp);
        break;
    case IRP_MJ_POWER:
        if (Minor == IRP_MN_WAIT_WAKE)
            return HoldWake(Child, Irp);
        Status = PdoPower(Child, Irp);
        break;
    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE:
        Status = STATUS_SUCCESS;
        break;
    default:
        break;
    }
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

/* ---- the function driver ---- */

static NTSTATUS PassOn(FUNCTION_DEVICE *Device, PIRP Irp)
{
    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(Device->Lower, Irp);
}

static NTSTATUS FunctionStart(FUNCTION_DEVICE *Device, PIRP Irp)
{
    TEST_CHILD *Child = Device->Child;
    NTSTATUS Status = STATUS_UNSUCCESSFUL;

    if (IoForwardIrpSynchronously(Device->Lower, Irp))
        Status = Irp->IoStatus.Status;
    Child->StartAfterBus = NT_SUCCESS(Status);
    if (NT_SUCCESS(Status) && Child->FunctionStatus[IRP_MN_START_DEVICE] != STATUS_SUCCESS)
        Status = Child->FunctionStatus[IRP_MN_START_DEVICE];
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS FunctionRemove(FUNCTION_DEVICE *Device, PIRP Irp)
{
    NTSTATUS Status;

    Irp->IoStatus.Status = STATUS_SUCCESS;
    Status = PassOn(Device, Irp);
    Device->Child->Function = NULL;
    IoDetachDevice(Device->Lower);
    IoDeleteDevice(Device->Self);
    return Status;
}

static VOID FunctionAnswer(TEST_CHILD *Child, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    PIO_RESOURCE_REQUIREMENTS_LIST List;

    switch (Stack->MinorFunction) {
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_QUERY_PNP_DEVICE_STATE:
        if (Child->State != 0) {
            Irp->IoStatus.Information |= Child->State;
            Irp->IoStatus.Status = STATUS_SUCCESS;
        }
        break;
    case IRP_MN_FILTER_RESOURCE_REQUIREMENTS:
        List = (PIO_RESOURCE_REQUIREMENTS_LIST)Irp->IoStatus.Information;
        Child->FilteredPrivate = List != NULL ? List->List[0].Descriptors[0].u.DevicePrivate.Data[0] : 0;
        break;
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (Stack->Parameters.QueryDeviceRelations.Type == RemovalRelations && Child->RemovalRelation)
            (VOID) ReturnOne(Irp, Other(Child)->Pdo);
        break;
    default:
        break;
    }
}

static NTSTATUS NTAPI FunctionDispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    FUNCTION_DEVICE *Device = DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    UCHAR Minor = Stack->MinorFunction;

    Note(Device->Child, FUNCTION, Irp);
    switch (Stack->MajorFunction) {
    case IRP_MJ_PNP:
        if (Minor == IRP_MN_START_DEVICE)
            return FunctionStart(Device, Irp);
        if (Minor < TEST_MINORS && Device->Child->FunctionStatus[Minor] != STATUS_SUCCESS)
            return TestComplete(Irp, Device->Child->FunctionStatus[Minor], 0);
        if (Minor == IRP_MN_REMOVE_DEVICE)
            return FunctionRemove(Device, Irp);
        FunctionAnswer(Device->Child, Irp);
        return PassOn(Device, Irp);
    case IRP_MJ_CREATE:
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE:
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    default:
        return PassOn(Device, Irp);
    }
}

BOOLEAN TestBusOwns(PDEVICE_OBJECT Pdo)
{
    return Pdo->DriverObject == TestDriver();
}

NTSTATUS TestBusAddDevice(PDEVICE_OBJECT Pdo)
{
    TEST_CHILD *Child = ((PDO *)Pdo->DeviceExtension)->Child;
    FUNCTION_DEVICE *Device;
    PDEVICE_OBJECT Self;
    NTSTATUS Status;

    Record(FUNCTION, ADD_DEVICE, NumberOf(Child));
    if (Child->AddDeviceStatus != STATUS_SUCCESS)
        return Child->AddDeviceStatus;
    Status = IoCreateDevice(TestDriver(), sizeof(FUNCTION_DEVICE), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN,
                            FALSE, &Self);
    if (!NT_SUCCESS(Status))
        return Status;
    Device = Self->DeviceExtension;
    Device->Head.Dispatch = FunctionDispatch;
    Device->Child = Child;
    Device->Self = Self;
    Device->Lower = IoAttachDeviceToDeviceStack(Self, Pdo);
    if (Device->Lower == NULL) {
        IoDeleteDevice(Self);
        return STATUS_NO_SUCH_DEVICE;
    }
    Child->Function = Self;
    Self->Flags |= DO_POWER_PAGABLE;
    Self->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

/* ---- the bus ---- */

VOID TestBusRelations(PIRP Irp)
{
    PDEVICE_RELATIONS Relations;
    ULONG Index;

    Record(PARENT, RELATIONS(BusRelations), 0);
    Relations = ExAllocatePoolWithTag(PagedPool, sizeof(*Relations) + TEST_CHILDREN * sizeof(PDEVICE_OBJECT), TEST_TAG);
    if (Relations == NULL) {
        (VOID) Return(Irp, NULL);
        return;
    }
    Relations->Count = 0;
    for (Index = 0; Index < TEST_CHILDREN; Index++) {
        if (!Bus.Child[Index].Reported || Bus.Child[Index].Pdo == NULL)
            continue;
        ObReferenceObject(Bus.Child[Index].Pdo);
        Relations->Objects[Relations->Count++] = Bus.Child[Index].Pdo;
    }
    (VOID) Return(Irp, Relations);
}

TEST_CHILD *TestBusChild(ULONG Number)
{
    return &Bus.Child[Number];
}

VOID TestBusReset(VOID)
{
    static const PCWSTR Instances[TEST_CHILDREN] = {L"0", L"1"};
    ULONG Index;

    KeInitializeSpinLock(&Bus.Lock);
    RtlZeroMemory(Bus.Child, sizeof(Bus.Child));
    for (Index = 0; Index < TEST_CHILDREN; Index++) {
        TEST_CHILD *Child = &Bus.Child[Index];

        Child->DeviceId = L"NTTEST\\Child";
        Child->HardwareIds = L"NTTEST\\Child\0";
        Child->InstanceId = Instances[Index];
        Child->Description = L"Conformance test child";
        Child->Location = L"Slot 7";
    }
    TestBusForget();
}

static VOID Report(VOID)
{
    IoInvalidateDeviceRelations(TestPhysicalDevice(), BusRelations);
}

VOID TestBusPlug(ULONG Number)
{
    TEST_CHILD *Child = &Bus.Child[Number];
    PDEVICE_OBJECT DeviceObject;
    NTSTATUS Status = IoCreateDevice(TestDriver(), sizeof(PDO), NULL, FILE_DEVICE_UNKNOWN,
                                     FILE_AUTOGENERATED_DEVICE_NAME, FALSE, &DeviceObject);

    CHECK(NT_SUCCESS(Status));
    if (!NT_SUCCESS(Status))
        return;
    ((PDO *)DeviceObject->DeviceExtension)->Head.Dispatch = PdoDispatch;
    ((PDO *)DeviceObject->DeviceExtension)->Child = Child;
    Child->Pdo = DeviceObject;
    DeviceObject->Flags |= DO_POWER_PAGABLE;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    Child->Reported = TRUE;
    Report();
}

BOOLEAN TestBusPlugAndStart(ULONG Number)
{
    TestBusPlug(Number);
    return TestBusWait(FUNCTION, RELATIONS(BusRelations), (UCHAR)Number);
}

VOID TestBusUnplug(ULONG Number)
{
    Bus.Child[Number].Reported = FALSE;
    Report();
    (VOID) TestBusWait(BUS, GONE, (UCHAR)Number);
}
