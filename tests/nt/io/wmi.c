/*
 * WMI: a device of the driver's registers a block through the WMI library, and the case asks for it as a consumer in
 * kernel mode does. The block has two instances of four bytes and a method that adds one to a number.
 */
#include "nttest.h"

#if defined(__MINGW32__) /* it has no library of wmilib.sys */
TEST_TABLE(io_wmi){TEST_END};
#else
#include <wmilib.h>
#include <wmistr.h>

static const GUID BlockGuid = {0x7d0a5ef3, 0x2b1c, 0x4c52, {0x9a, 0x31, 0x0c, 0x44, 0x8e, 0x21, 0x5b, 0x01}};
static const GUID OtherGuid = {0x7d0a5ef3, 0x2b1c, 0x4c52, {0x9a, 0x31, 0x0c, 0x44, 0x8e, 0x21, 0x5b, 0x02}};

#define INSTANCES 2

static struct {
    PDRIVER_OBJECT Driver;
    PDRIVER_DISPATCH Old;
    PDEVICE_OBJECT Device;
    ULONG Values[INSTANCES];
    ULONG RegInfos, Enables, Events, EventData;
    ULONG Seen[IRP_MN_REGINFO_EX + 1]; /* requests, by minor code */
    ULONG Wrong;                       /* requests that are not as their pages say */
    ULONG_PTR Registration;            /* the last one's DataPath: WMIREGISTER or WMIUPDATE */
    ULONG Controls[2][2];              /* calls, by WMIENABLEDISABLECONTROL and whether to turn on */
    KEVENT Event;
} Test;

static NTSTATUS NTAPI QueryRegInfo(PDEVICE_OBJECT DeviceObject, PULONG RegFlags, PUNICODE_STRING InstanceName,
                                   PUNICODE_STRING *RegistryPath, PUNICODE_STRING MofResourceName, PDEVICE_OBJECT *Pdo)
{
    static const WCHAR Name[] = L"NtTest";

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Pdo);
    RtlInitUnicodeString(MofResourceName, L"NtTestMof");
    *RegistryPath = NULL;
    InstanceName->Buffer = ExAllocatePoolWithTag(PagedPool, sizeof(Name), TEST_TAG); /* the library frees it */
    InstanceName->Length = sizeof(Name) - sizeof(WCHAR);
    InstanceName->MaximumLength = sizeof(Name);
    RtlCopyMemory(InstanceName->Buffer, Name, sizeof(Name));
    *RegFlags = WMIREG_FLAG_INSTANCE_BASENAME;
    Test.RegInfos++;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI QueryBlock(PDEVICE_OBJECT DeviceObject, PIRP Irp, ULONG GuidIndex, ULONG InstanceIndex,
                                 ULONG InstanceCount, PULONG Lengths, ULONG BufferAvail, PUCHAR Buffer)
{
    ULONG Needed = InstanceCount == 1 ? 4 : 12; /* instances begin at multiples of 8 */

    CHECK(GuidIndex == 0);
    if (BufferAvail < Needed)
        return WmiCompleteRequest(DeviceObject, Irp, STATUS_BUFFER_TOO_SMALL, Needed, IO_NO_INCREMENT);
    for (ULONG Index = 0; Index < InstanceCount; Index++) {
        RtlCopyMemory(Buffer + 8 * Index, &Test.Values[InstanceIndex + Index], 4);
        Lengths[Index] = 4;
    }
    return WmiCompleteRequest(DeviceObject, Irp, STATUS_SUCCESS, Needed, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI SetBlock(PDEVICE_OBJECT DeviceObject, PIRP Irp, ULONG GuidIndex, ULONG InstanceIndex,
                               ULONG BufferSize, PUCHAR Buffer)
{
    NTSTATUS Status;
    KIRQL Irql;

    UNREFERENCED_PARAMETER(GuidIndex);
    if (BufferSize != 4)
        return WmiCompleteRequest(DeviceObject, Irp, STATUS_INVALID_PARAMETER, 0, IO_NO_INCREMENT);
    RtlCopyMemory(&Test.Values[InstanceIndex], Buffer, 4);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status = WmiCompleteRequest(DeviceObject, Irp, STATUS_SUCCESS, 0, IO_NO_INCREMENT);
    KeLowerIrql(Irql);
    return Status;
}

static NTSTATUS NTAPI SetItem(PDEVICE_OBJECT DeviceObject, PIRP Irp, ULONG GuidIndex, ULONG InstanceIndex,
                              ULONG DataItemId, ULONG BufferSize, PUCHAR Buffer)
{
    if (DataItemId != 1)
        return WmiCompleteRequest(DeviceObject, Irp, STATUS_WMI_ITEMID_NOT_FOUND, 0, IO_NO_INCREMENT);
    return SetBlock(DeviceObject, Irp, GuidIndex, InstanceIndex, BufferSize, Buffer);
}

static NTSTATUS NTAPI Method(PDEVICE_OBJECT DeviceObject, PIRP Irp, ULONG GuidIndex, ULONG InstanceIndex,
                             ULONG MethodId, ULONG InBufferSize, ULONG OutBufferSize, PUCHAR Buffer)
{
    ULONG Number;

    UNREFERENCED_PARAMETER(GuidIndex);
    CHECK(MethodId == 5 && InBufferSize == 4 && InstanceIndex == 1);
    if (OutBufferSize < 4)
        return WmiCompleteRequest(DeviceObject, Irp, STATUS_BUFFER_TOO_SMALL, 4, IO_NO_INCREMENT);
    RtlCopyMemory(&Number, Buffer, 4);
    Number++;
    RtlCopyMemory(Buffer, &Number, 4);
    return WmiCompleteRequest(DeviceObject, Irp, STATUS_SUCCESS, 4, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp, ULONG GuidIndex, WMIENABLEDISABLECONTROL Function,
                              BOOLEAN Enable)
{
    UNREFERENCED_PARAMETER(GuidIndex);
    if (Function == WmiEventControl && Enable)
        Test.Enables++;
    Test.Controls[Function == WmiDataBlockControl][Enable != FALSE]++;
    return WmiCompleteRequest(DeviceObject, Irp, STATUS_SUCCESS, 0, IO_NO_INCREMENT);
}

static WMIGUIDREGINFO Guids[] = {{&BlockGuid, INSTANCES, 0}};
static WMILIB_CONTEXT Library = {1, Guids, QueryRegInfo, QueryBlock, SetBlock, SetItem, Method, Control};

/* What all the pages say: at PASSIVE_LEVEL, with the device that registered, and the block's GUID. */
static VOID See(const IO_STACK_LOCATION *Stack)
{
    BOOLEAN Registration = Stack->MinorFunction == IRP_MN_REGINFO || Stack->MinorFunction == IRP_MN_REGINFO_EX;

    if (Stack->MinorFunction <= IRP_MN_REGINFO_EX)
        Test.Seen[Stack->MinorFunction]++;
    if (Registration)
        Test.Registration = (ULONG_PTR)Stack->Parameters.WMI.DataPath;
    if (KeGetCurrentIrql() != PASSIVE_LEVEL || Stack->Parameters.WMI.ProviderId != (ULONG_PTR)Test.Device)
        Test.Wrong++;
    else if (!Registration && !IsEqualGUID((const GUID *)Stack->Parameters.WMI.DataPath, &BlockGuid))
        Test.Wrong++;
}

static NTSTATUS NTAPI DispatchSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    SYSCTL_IRP_DISPOSITION Disposition;
    NTSTATUS Status;

    if (DeviceObject != Test.Device)
        return Test.Old(DeviceObject, Irp);
    See(IoGetCurrentIrpStackLocation(Irp));
    Status = WmiSystemControl(&Library, DeviceObject, Irp, &Disposition);
    if (Disposition == IrpProcessed)
        return Status;
    if (Disposition != IrpNotCompleted)
        Status = Irp->IoStatus.Status; /* nothing lies under this device */
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI OpenBlock(const GUID *Guid, PVOID *Block)
{
    return IoWMIOpenBlock(Guid, WMIGUID_QUERY | WMIGUID_SET | WMIGUID_EXECUTE | WMIGUID_NOTIFICATION, Block);
}

/* Registered, and asked for its blocks. */
static BOOLEAN Begin(VOID)
{
    PVOID Block;

    RtlZeroMemory(&Test, sizeof(Test));
    KeInitializeEvent(&Test.Event, SynchronizationEvent, FALSE);
    Test.Values[0] = 11;
    Test.Values[1] = 22;
    Test.Driver = TestDevice()->DriverObject;
    CHECK(IoCreateDevice(Test.Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Test.Device) == STATUS_SUCCESS);
    Test.Device->Flags &= ~DO_DEVICE_INITIALIZING;
    Test.Old = Test.Driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL];
    Test.Driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = DispatchSystemControl;
    EXPECT_STATUS(IoWMIRegistrationControl(Test.Device, WMIREG_ACTION_REGISTER), STATUS_SUCCESS);
    for (ULONG Try = 0; Try < 100; Try++) {
        if (IoWMIOpenBlock(&BlockGuid, WMIGUID_QUERY, &Block) == STATUS_SUCCESS) {
            ObDereferenceObject(Block);
            return TRUE;
        }
        SleepMilliseconds(20);
    }
    CHECK(FALSE); /* WMI never asked */
    return FALSE;
}

static VOID End(VOID)
{
    EXPECT_STATUS(IoWMIRegistrationControl(Test.Device, WMIREG_ACTION_DEREGISTER), STATUS_SUCCESS);
    Test.Driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = Test.Old;
    IoDeleteDevice(Test.Device);
}

static VOID WmiRegistration(VOID)
{
    PVOID Block;

    REQUIRE(Begin());
    EXPECT_TRUE(Test.RegInfos >= 1);
    CHECK(!NT_SUCCESS(IoWMIRegistrationControl(Test.Device, WMIREG_ACTION_REGISTER)));
    EXPECT_STATUS(IoWMIRegistrationControl(Test.Device, WMIREG_ACTION_UPDATE_GUIDS), STATUS_SUCCESS);
    EXPECT_STATUS(IoWMIRegistrationControl(Test.Device, 77), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(IoWMIOpenBlock(&OtherGuid, WMIGUID_QUERY, &Block), STATUS_WMI_GUID_NOT_FOUND);
    End();
    EXPECT_STATUS(IoWMIOpenBlock(&BlockGuid, WMIGUID_QUERY, &Block), STATUS_WMI_GUID_NOT_FOUND);
}

static VOID WmiQueryAll(VOID)
{
    ULONG Size = 0, Small = 8;
    PWNODE_ALL_DATA All;
    PVOID Block;

    REQUIRE(Begin());
    EXPECT_STATUS(OpenBlock(&BlockGuid, &Block), STATUS_SUCCESS);
    EXPECT_STATUS(IoWMIQueryAllData(Block, &Size, NULL), STATUS_BUFFER_TOO_SMALL);
    All = TestAllocate(Size);
    EXPECT_STATUS(IoWMIQueryAllData(Block, &Small, All), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(IoWMIQueryAllData(Block, &Size, All), STATUS_SUCCESS);
    EXPECT_EQUAL(All->InstanceCount, INSTANCES);
    EXPECT_EQUAL(*(PULONG)((PUCHAR)All + All->OffsetInstanceDataAndLength[0].OffsetInstanceData), 11);
    EXPECT_EQUAL(*(PULONG)((PUCHAR)All + All->OffsetInstanceDataAndLength[1].OffsetInstanceData), 22);
    EXPECT_EQUAL(All->OffsetInstanceDataAndLength[1].LengthInstanceData, 4);
    TestFree(All);
    ObDereferenceObject(Block);
    End();
}

static VOID WmiInstances(VOID)
{
    UNICODE_STRING First, Second, Third;
    UCHAR Buffer[256];
    PWNODE_SINGLE_INSTANCE Node = (PVOID)Buffer;
    ULONG Size = sizeof(Buffer), Value = 33;
    PVOID Block, Limited;

    RtlInitUnicodeString(&First, L"NtTest_0");
    RtlInitUnicodeString(&Second, L"NtTest_1");
    RtlInitUnicodeString(&Third, L"NtTest_2");
    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &Block) == STATUS_SUCCESS);
    EXPECT_STATUS(IoWMIQuerySingleInstance(Block, &Second, &Size, Node), STATUS_SUCCESS);
    EXPECT_EQUAL(Node->SizeDataBlock, 4);
    EXPECT_EQUAL(*(PULONG)(Buffer + Node->DataBlockOffset), 22);
    EXPECT_STATUS(IoWMIQuerySingleInstance(Block, &Third, &Size, Node), STATUS_WMI_INSTANCE_NOT_FOUND);
    Size = 4;
    EXPECT_STATUS(IoWMIQuerySingleInstance(Block, &Second, &Size, Node), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(IoWMISetSingleInstance(Block, &First, 1, sizeof(Value), &Value), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Values[0], 33);
    EXPECT_STATUS(IoWMISetSingleInstance(Block, &First, 1, 2, &Value), STATUS_INVALID_PARAMETER); /* the driver's */
    EXPECT_STATUS(IoWMISetSingleInstance(Block, &Third, 1, sizeof(Value), &Value), STATUS_WMI_INSTANCE_NOT_FOUND);
    Value = 44;
    EXPECT_STATUS(IoWMISetSingleItem(Block, &Second, 1, 1, sizeof(Value), &Value), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Values[1], 44);
    EXPECT_STATUS(IoWMISetSingleItem(Block, &Second, 2, 1, sizeof(Value), &Value), STATUS_WMI_ITEMID_NOT_FOUND);
    CHECK(IoWMIOpenBlock(&BlockGuid, WMIGUID_QUERY, &Limited) == STATUS_SUCCESS);
    CHECK(!NT_SUCCESS(IoWMISetSingleInstance(Limited, &First, 1, sizeof(Value), &Value)));
    ObDereferenceObject(Limited);
    ObDereferenceObject(Block);
    End();
}

static VOID WmiMethod(VOID)
{
    UNICODE_STRING Second, Third;
    ULONG Number = 7, Size = sizeof(Number);
    PVOID Block;

    RtlInitUnicodeString(&Second, L"NtTest_1");
    RtlInitUnicodeString(&Third, L"NtTest_2");
    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &Block) == STATUS_SUCCESS);
    EXPECT_STATUS(IoWMIExecuteMethod(Block, &Second, 5, sizeof(Number), &Size, (PUCHAR)&Number), STATUS_SUCCESS);
    EXPECT_EQUAL(Number, 8);
    EXPECT_EQUAL(Size, 4);
    EXPECT_STATUS(IoWMIExecuteMethod(Block, &Third, 5, sizeof(Number), &Size, (PUCHAR)&Number),
                  STATUS_WMI_INSTANCE_NOT_FOUND);
    ObDereferenceObject(Block);
    End();
}

static VOID NTAPI OnEvent(PVOID Wnode, PVOID Context)
{
    PWNODE_SINGLE_INSTANCE Node = Wnode;

    CHECK(Context == &Test);
    Test.Events++;
    RtlCopyMemory(&Test.EventData, (PUCHAR)Node + Node->DataBlockOffset, 4);
    (VOID) KeSetEvent(&Test.Event, IO_NO_INCREMENT, FALSE);
}

static VOID WmiEvents(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(2000);
    PULONG Data = TestAllocate(sizeof(*Data));
    NTSTATUS Status;
    PVOID Block;
    KIRQL Irql;

    REQUIRE(Data != NULL);
    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &Block) == STATUS_SUCCESS);
    EXPECT_STATUS(IoWMISetNotificationCallback(Block, OnEvent, &Test), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Enables, 1);
    *Data = 99;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status = WmiFireEvent(Test.Device, &BlockGuid, 0, sizeof(*Data), Data); /* which frees the data */
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(&Test.Event, Executive, KernelMode, FALSE, &Timeout), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.EventData, 99);
    ObDereferenceObject(Block);
    EXPECT_STATUS(WmiFireEvent(Test.Device, &BlockGuid, 0, 0, NULL), STATUS_SUCCESS); /* nobody listens */
    SleepMilliseconds(50);
    EXPECT_EQUAL(Test.Events, 1);
    End();
}

/* An event that the driver makes itself; on success it belongs to WMI. */
static VOID WmiOwnEvent(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(2000);
    ULONG Offset = sizeof(WNODE_SINGLE_INSTANCE);
    PWNODE_SINGLE_INSTANCE Node = TestAllocate(Offset + 4);
    NTSTATUS Status;
    PVOID Block;
    KIRQL Irql;

    REQUIRE(Node != NULL);
    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &Block) == STATUS_SUCCESS);
    CHECK(IoWMISetNotificationCallback(Block, OnEvent, &Test) == STATUS_SUCCESS);
    Node->WnodeHeader.BufferSize = Offset + 4;
    Node->WnodeHeader.Guid = BlockGuid;
    Node->WnodeHeader.Flags = WNODE_FLAG_SINGLE_INSTANCE | WNODE_FLAG_EVENT_ITEM | WNODE_FLAG_STATIC_INSTANCE_NAMES;
    Node->DataBlockOffset = Offset;
    Node->SizeDataBlock = 4;
    *(PULONG)((PUCHAR)Node + Offset) = 55;
    KeRaiseIrql(APC_LEVEL, &Irql);
    Status = IoWMIWriteEvent(Node);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(&Test.Event, Executive, KernelMode, FALSE, &Timeout), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.EventData, 55);
    ObDereferenceObject(Block);
    End();
}

/* What the library makes of requests that are not for the device. */
static VOID WmiDispositions(VOID)
{
    SYSCTL_IRP_DISPOSITION Disposition = IrpProcessed;
    PIO_STACK_LOCATION Stack;
    PIRP Irp = IoAllocateIrp(2, FALSE);

    REQUIRE(Irp != NULL);
    IoSetNextIrpStackLocation(Irp);
    Stack = IoGetCurrentIrpStackLocation(Irp);
    Stack->MajorFunction = IRP_MJ_SYSTEM_CONTROL;
    Stack->MinorFunction = IRP_MN_QUERY_ALL_DATA;
    Stack->Parameters.WMI.ProviderId = 0;
    (VOID) WmiSystemControl(&Library, TestDevice(), Irp, &Disposition);
    EXPECT_EQUAL(Disposition, IrpForward);
    Stack->Parameters.WMI.ProviderId = (ULONG_PTR)TestDevice();
    Stack->Parameters.WMI.DataPath = (PVOID)(ULONG_PTR)&OtherGuid;
    EXPECT_STATUS(WmiSystemControl(&Library, TestDevice(), Irp, &Disposition), STATUS_WMI_GUID_NOT_FOUND);
    EXPECT_EQUAL(Disposition, IrpNotCompleted);
    Stack->MinorFunction = 0x77;
    (VOID) WmiSystemControl(&Library, TestDevice(), Irp, &Disposition);
    EXPECT_EQUAL(Disposition, IrpNotWmi);
    IoFreeIrp(Irp);
}

/* ---- the requests ---- */

static union {
    WNODE_HEADER Header;
    WNODE_ALL_DATA All;
    WNODE_SINGLE_INSTANCE Instance;
    WNODE_SINGLE_ITEM Item;
    WNODE_METHOD_ITEM Method;
    WNODE_TOO_SMALL TooSmall;
    WMIREGINFOW Registration;
    ULONG Needed;
    UCHAR Bytes[512];
} Node;

/* The request as WMI sends it, but for what the case does otherwise. */
static NTSTATUS Request(UCHAR Minor, const VOID *DataPath, ULONG Size, ULONG_PTR *Information)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_SYSTEM_CONTROL, .MinorFunction = Minor};

    *Information = 0;
    Stack.Parameters.WMI.ProviderId = (ULONG_PTR)Test.Device;
    Stack.Parameters.WMI.DataPath = (PVOID)(ULONG_PTR)DataPath;
    Stack.Parameters.WMI.BufferSize = Size;
    Stack.Parameters.WMI.Buffer = &Node;
    return TestSend(Test.Device, &Stack, Information);
}

/* A node about one instance, with a value at offset 80. */
static VOID Fill(ULONG Flags, ULONG Size, ULONG Index, ULONG Item, ULONG Value)
{
    RtlZeroMemory(&Node, sizeof(Node));
    Node.Header.BufferSize = Size;
    Node.Header.Guid = BlockGuid;
    Node.Header.Flags = Flags | WNODE_FLAG_STATIC_INSTANCE_NAMES;
    if (Flags == WNODE_FLAG_SINGLE_INSTANCE) {
        Node.Instance.InstanceIndex = Index;
        Node.Instance.DataBlockOffset = 80;
        Node.Instance.SizeDataBlock = sizeof(Value);
    } else if (Flags != WNODE_FLAG_ALL_DATA) {
        Node.Method.InstanceIndex = Index;
        Node.Method.MethodId = Item; /* WNODE_SINGLE_ITEM has the item's number in the same place */
        Node.Method.DataBlockOffset = 80;
        Node.Method.SizeDataBlock = sizeof(Value);
    }
    if (Flags != WNODE_FLAG_ALL_DATA)
        RtlCopyMemory(Node.Bytes + 80, &Value, sizeof(Value));
}

static ULONG ValueAt(ULONG Offset)
{
    ULONG Value;

    RtlCopyMemory(&Value, Node.Bytes + Offset, sizeof(Value));
    return Value;
}

static VOID WmiRequestsForRegistration(VOID)
{
    static const UCHAR Minors[] = {IRP_MN_REGINFO, IRP_MN_REGINFO_EX};
    ULONG_PTR Information;

    REQUIRE(Begin());
    EXPECT_TRUE(Test.Seen[IRP_MN_REGINFO_EX] >= 1); /* Windows XP and later send this one */
    EXPECT_EQUAL(Test.Registration, WMIREGISTER);
    EXPECT_EQUAL(Test.Wrong, 0);
    for (ULONG Index = 0; Index < 2; Index++) {
        ULONG Needed;

        RtlZeroMemory(&Node, sizeof(Node));
        EXPECT_STATUS(Request(Minors[Index], (PVOID)WMIREGISTER, sizeof(ULONG), &Information), STATUS_BUFFER_TOO_SMALL);
        Needed = Node.Needed;
        EXPECT_TRUE(Needed >= sizeof(WMIREGINFOW) + sizeof(WMIREGGUIDW) && Needed <= sizeof(Node));
        RtlZeroMemory(&Node, sizeof(Node));
        EXPECT_STATUS(Request(Minors[Index], (PVOID)WMIREGISTER, sizeof(Node), &Information), STATUS_SUCCESS);
        EXPECT_TRUE(Information == Node.Registration.BufferSize);
        EXPECT_EQUAL(Node.Registration.GuidCount, 1);
        EXPECT_TRUE(IsEqualGUID(&Node.Registration.WmiRegGuid[0].Guid, &BlockGuid));
        EXPECT_EQUAL(Node.Registration.WmiRegGuid[0].InstanceCount, INSTANCES);
    }
    Test.Registration = 77;
    EXPECT_STATUS(IoWMIRegistrationControl(Test.Device, WMIREG_ACTION_UPDATE_GUIDS), STATUS_SUCCESS);
    for (ULONG Try = 0; Try < 100 && Test.Registration == 77; Try++)
        SleepMilliseconds(20);
    EXPECT_EQUAL(Test.Registration, WMIUPDATE);
    End();
}

static VOID WmiRequestForAll(VOID)
{
    const OFFSETINSTANCEDATAANDLENGTH *Second;
    ULONG_PTR Information;
    ULONG Size = 0;
    PVOID Block;

    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &Block) == STATUS_SUCCESS);
    (VOID) IoWMIQueryAllData(Block, &Size, NULL);
    EXPECT_TRUE(Test.Seen[IRP_MN_QUERY_ALL_DATA] >= 1);
    EXPECT_EQUAL(Test.Wrong, 0);
    ObDereferenceObject(Block);

    Fill(WNODE_FLAG_ALL_DATA, sizeof(Node), 0, 0, 0);
    EXPECT_STATUS(Request(IRP_MN_QUERY_ALL_DATA, &BlockGuid, sizeof(Node), &Information), STATUS_SUCCESS);
    EXPECT_TRUE(Information == Node.Header.BufferSize);
    EXPECT_EQUAL(Node.All.InstanceCount, INSTANCES);
    Second = &Node.All.OffsetInstanceDataAndLength[0] + 1; /* declared as one, as many as InstanceCount says */
    EXPECT_EQUAL(ValueAt(Second->OffsetInstanceData), 22);
    /* Room for a WNODE_TOO_SMALL alone: that says how much there must be. */
    Fill(WNODE_FLAG_ALL_DATA, sizeof(WNODE_TOO_SMALL), 0, 0, 0);
    EXPECT_STATUS(Request(IRP_MN_QUERY_ALL_DATA, &BlockGuid, sizeof(WNODE_TOO_SMALL), &Information), STATUS_SUCCESS);
    EXPECT_EQUAL(Information, sizeof(WNODE_TOO_SMALL));
    EXPECT_TRUE((Node.Header.Flags & WNODE_FLAG_TOO_SMALL) != 0);
    EXPECT_TRUE(Node.TooSmall.SizeNeeded > sizeof(WNODE_TOO_SMALL));
    Fill(WNODE_FLAG_ALL_DATA, sizeof(Node), 0, 0, 0);
    EXPECT_STATUS(Request(IRP_MN_QUERY_ALL_DATA, &OtherGuid, sizeof(Node), &Information), STATUS_WMI_GUID_NOT_FOUND);
    End();
}

static VOID WmiRequestsForAnInstance(VOID)
{
    static const struct {
        UCHAR Minor;
        ULONG Flags, Item;
    } Requests[] = {{IRP_MN_QUERY_SINGLE_INSTANCE, WNODE_FLAG_SINGLE_INSTANCE, 0},
                    {IRP_MN_CHANGE_SINGLE_INSTANCE, WNODE_FLAG_SINGLE_INSTANCE, 0},
                    {IRP_MN_CHANGE_SINGLE_ITEM, WNODE_FLAG_SINGLE_ITEM, 1},
                    {IRP_MN_EXECUTE_METHOD, WNODE_FLAG_METHOD_ITEM, 5}};
    ULONG Value = 33, Size = sizeof(Value), NodeSize = sizeof(Node);
    UNICODE_STRING Second;
    ULONG_PTR Information;
    PVOID Block;

    RtlInitUnicodeString(&Second, L"NtTest_1");
    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &Block) == STATUS_SUCCESS);
    CHECK(IoWMIQuerySingleInstance(Block, &Second, &NodeSize, &Node) == STATUS_SUCCESS);
    CHECK(IoWMISetSingleInstance(Block, &Second, 1, sizeof(Value), &Value) == STATUS_SUCCESS);
    CHECK(IoWMISetSingleItem(Block, &Second, 1, 1, sizeof(Value), &Value) == STATUS_SUCCESS);
    CHECK(IoWMIExecuteMethod(Block, &Second, 5, sizeof(Value), &Size, (PUCHAR)&Value) == STATUS_SUCCESS);
    ObDereferenceObject(Block);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Requests); Index++)
        EXPECT_TRUE(Test.Seen[Requests[Index].Minor] >= 1);
    EXPECT_EQUAL(Test.Wrong, 0);

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Requests); Index++) {
        Fill(Requests[Index].Flags, sizeof(Node), 1, Requests[Index].Item, 40 + Index);
        EXPECT_STATUS(Request(Requests[Index].Minor, &BlockGuid, sizeof(Node), &Information), STATUS_SUCCESS);
        switch (Requests[Index].Minor) {
        case IRP_MN_QUERY_SINGLE_INSTANCE:
            EXPECT_TRUE(Information == Node.Header.BufferSize);
            EXPECT_EQUAL(ValueAt(Node.Instance.DataBlockOffset), 33);
            break;
        case IRP_MN_EXECUTE_METHOD:
            EXPECT_TRUE(Information == Node.Header.BufferSize);
            EXPECT_EQUAL(ValueAt(Node.Method.DataBlockOffset), 44);
            break;
        default:
            EXPECT_EQUAL(Information, 0);
            EXPECT_EQUAL(Test.Values[1], 40 + Index);
        }
        Fill(Requests[Index].Flags, sizeof(Node), INSTANCES, Requests[Index].Item, 50);
        EXPECT_STATUS(Request(Requests[Index].Minor, &BlockGuid, sizeof(Node), &Information),
                      STATUS_WMI_INSTANCE_NOT_FOUND);
        Fill(Requests[Index].Flags, sizeof(Node), 1, Requests[Index].Item, 50);
        EXPECT_STATUS(Request(Requests[Index].Minor, &OtherGuid, sizeof(Node), &Information),
                      STATUS_WMI_GUID_NOT_FOUND);
        EXPECT_TRUE(Test.Values[1] < 50);
    }
    Fill(WNODE_FLAG_SINGLE_ITEM, sizeof(Node), 1, 2, 50);
    EXPECT_STATUS(Request(IRP_MN_CHANGE_SINGLE_ITEM, &BlockGuid, sizeof(Node), &Information),
                  STATUS_WMI_ITEMID_NOT_FOUND);
    /* Where the driver has no routine for methods. */
    Library.ExecuteWmiMethod = NULL;
    Fill(WNODE_FLAG_METHOD_ITEM, sizeof(Node), 1, 5, 50);
    EXPECT_STATUS(Request(IRP_MN_EXECUTE_METHOD, &BlockGuid, sizeof(Node), &Information),
                  STATUS_INVALID_DEVICE_REQUEST);
    Library.ExecuteWmiMethod = Method;
    End();
}

/* Events and collection on and off: the library asks the driver's routine, and without one says yes. */
static VOID WmiRequestsForControl(VOID)
{
    static const struct {
        UCHAR Minor;
        BOOLEAN Collection, Enable;
    } Requests[] = {{IRP_MN_ENABLE_EVENTS, FALSE, TRUE},
                    {IRP_MN_DISABLE_EVENTS, FALSE, FALSE},
                    {IRP_MN_ENABLE_COLLECTION, TRUE, TRUE},
                    {IRP_MN_DISABLE_COLLECTION, TRUE, FALSE}};
    ULONG_PTR Information;

    REQUIRE(Begin());
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Requests); Index++) {
        const ULONG *Calls = &Test.Controls[Requests[Index].Collection][Requests[Index].Enable];

        Fill(0, sizeof(WNODE_HEADER), 0, 0, 0);
        EXPECT_STATUS(Request(Requests[Index].Minor, &BlockGuid, sizeof(WNODE_HEADER), &Information), STATUS_SUCCESS);
        EXPECT_EQUAL(Information, 0);
        EXPECT_EQUAL(*Calls, 1);
        EXPECT_STATUS(Request(Requests[Index].Minor, &OtherGuid, sizeof(WNODE_HEADER), &Information),
                      STATUS_WMI_GUID_NOT_FOUND);
        Library.WmiFunctionControl = NULL;
        EXPECT_STATUS(Request(Requests[Index].Minor, &BlockGuid, sizeof(WNODE_HEADER), &Information), STATUS_SUCCESS);
        Library.WmiFunctionControl = Control;
        EXPECT_EQUAL(*Calls, 1);
    }
    End();
}

/* The first listener turns the events on, another one does not. */
static VOID WmiRequestForTheFirstListener(VOID)
{
    PVOID First, Second;

    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &First) == STATUS_SUCCESS);
    CHECK(OpenBlock(&BlockGuid, &Second) == STATUS_SUCCESS);
    EXPECT_STATUS(IoWMISetNotificationCallback(First, OnEvent, &Test), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Seen[IRP_MN_ENABLE_EVENTS], 1);
    EXPECT_STATUS(IoWMISetNotificationCallback(Second, OnEvent, &Test), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Seen[IRP_MN_ENABLE_EVENTS], 1);
    EXPECT_EQUAL(Test.Wrong, 0);
    ObDereferenceObject(Second);
    ObDereferenceObject(First);
    End();
}

/* Whether a request with this minor code has come `Count` times, after a while. */
static BOOLEAN HasCome(UCHAR Minor, ULONG Count)
{
    for (ULONG Try = 0; Try < 100 && Test.Seen[Minor] < Count; Try++)
        SleepMilliseconds(20);
    return Test.Seen[Minor] == Count;
}

static VOID WmiRequestForTheLastListener(VOID)
{
    PVOID First, Second;

    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &First) == STATUS_SUCCESS);
    CHECK(OpenBlock(&BlockGuid, &Second) == STATUS_SUCCESS);
    CHECK(IoWMISetNotificationCallback(First, OnEvent, &Test) == STATUS_SUCCESS);
    CHECK(IoWMISetNotificationCallback(Second, OnEvent, &Test) == STATUS_SUCCESS);
    ObDereferenceObject(First);
    SleepMilliseconds(100);
    EXPECT_EQUAL(Test.Seen[IRP_MN_DISABLE_EVENTS], 0);
    ObDereferenceObject(Second);
    EXPECT_TRUE(HasCome(IRP_MN_DISABLE_EVENTS, 1));
    EXPECT_EQUAL(Test.Controls[0][FALSE], 1);
    EXPECT_EQUAL(Test.Wrong, 0);
    End();
}

/* Who listens before there is a provider has its events turned on when it comes. */
static VOID WmiListenerBeforeTheBlock(VOID)
{
    PVOID Block;

    EXPECT_STATUS(IoWMIOpenBlock(&BlockGuid, WMIGUID_NOTIFICATION, &Block), STATUS_SUCCESS);
    EXPECT_STATUS(IoWMISetNotificationCallback(Block, OnEvent, &Test), STATUS_SUCCESS);
    REQUIRE(Begin());
    EXPECT_TRUE(HasCome(IRP_MN_ENABLE_EVENTS, 1));
    ObDereferenceObject(Block);
    EXPECT_TRUE(HasCome(IRP_MN_DISABLE_EVENTS, 1));
    End();
}

/* Of a block that is expensive: from the first question to the end of the last who asked. */
static VOID WmiRequestsForCollection(VOID)
{
    ULONG Size = 0;
    PVOID First, Second;

    Guids[0].Flags = WMIREG_FLAG_EXPENSIVE;
    REQUIRE(Begin());
    CHECK(OpenBlock(&BlockGuid, &First) == STATUS_SUCCESS);
    CHECK(OpenBlock(&BlockGuid, &Second) == STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Seen[IRP_MN_ENABLE_COLLECTION], 0);
    (VOID) IoWMIQueryAllData(First, &Size, NULL);
    (VOID) IoWMIQueryAllData(Second, &Size, NULL);
    EXPECT_EQUAL(Test.Seen[IRP_MN_ENABLE_COLLECTION], 1);
    EXPECT_EQUAL(Test.Controls[1][TRUE], 1);
    ObDereferenceObject(Second);
    SleepMilliseconds(100);
    EXPECT_EQUAL(Test.Seen[IRP_MN_DISABLE_COLLECTION], 0);
    ObDereferenceObject(First);
    EXPECT_TRUE(HasCome(IRP_MN_DISABLE_COLLECTION, 1));
    EXPECT_EQUAL(Test.Wrong, 0);
    End();
    Guids[0].Flags = 0;
}

/* The provider has its requests at PASSIVE_LEVEL all the same: WMI sends them in an arbitrary thread. */
static VOID WmiAtApcLevel(VOID)
{
    ULONG Value = 33, Size = sizeof(Value), NodeSize = sizeof(Node);
    UNICODE_STRING Second;
    PVOID Block;
    KIRQL Irql;

    RtlInitUnicodeString(&Second, L"NtTest_1");
    REQUIRE(Begin());
    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_STATUS(OpenBlock(&BlockGuid, &Block), STATUS_SUCCESS);
    EXPECT_STATUS(IoWMIQueryAllData(Block, &NodeSize, &Node), STATUS_SUCCESS);
    NodeSize = sizeof(Node);
    EXPECT_STATUS(IoWMIQuerySingleInstance(Block, &Second, &NodeSize, &Node), STATUS_SUCCESS);
    EXPECT_STATUS(IoWMISetSingleInstance(Block, &Second, 1, sizeof(Value), &Value), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Values[1], 33);
    EXPECT_STATUS(IoWMISetSingleItem(Block, &Second, 1, 1, sizeof(Value), &Value), STATUS_SUCCESS);
    EXPECT_STATUS(IoWMIExecuteMethod(Block, &Second, 5, sizeof(Value), &Size, (PUCHAR)&Value), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, 34);
    EXPECT_STATUS(IoWMISetNotificationCallback(Block, OnEvent, &Test), STATUS_SUCCESS);
    EXPECT_EQUAL(Test.Seen[IRP_MN_ENABLE_EVENTS], 1);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Test.Wrong, 0);
    ObDereferenceObject(Block);
    End();
}

static VOID WmiQueryOfNoBlock(VOID)
{
    ULONG Size = 0;

    (VOID) IoWMIQueryAllData(&Size, &Size, NULL);
}

TEST_TABLE(io_wmi){TEST(WmiRegistration, TEST_DEVICE),
                   TEST(WmiQueryAll, TEST_DEVICE),
                   TEST(WmiInstances, TEST_DEVICE),
                   TEST(WmiMethod, TEST_DEVICE),
                   TEST(WmiEvents, TEST_DEVICE),
                   TEST(WmiOwnEvent, TEST_DEVICE),
                   TEST(WmiDispositions, TEST_DEVICE),
                   TEST(WmiRequestsForRegistration, TEST_DEVICE),
                   TEST(WmiRequestForAll, TEST_DEVICE),
                   TEST(WmiRequestsForAnInstance, TEST_DEVICE),
                   TEST(WmiRequestsForControl, TEST_DEVICE),
                   TEST(WmiRequestForTheFirstListener, TEST_DEVICE),
                   TEST(WmiRequestForTheLastListener, TEST_DEVICE),
                   TEST(WmiListenerBeforeTheBlock, TEST_DEVICE),
                   TEST(WmiRequestsForCollection, TEST_DEVICE),
                   TEST(WmiAtApcLevel, TEST_DEVICE),
                   TEST_VIOLATION(WmiQueryOfNoBlock, "wmi-object", 0),
                   TEST_END};
#endif
