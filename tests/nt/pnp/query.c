/*
 * What the PnP manager and drivers ask of a device: the pages of IRP_MN_QUERY_ID, IRP_MN_QUERY_CAPABILITIES,
 * IRP_MN_QUERY_DEVICE_TEXT, IRP_MN_QUERY_BUS_INFORMATION, IRP_MN_QUERY_INTERFACE, IRP_MN_READ_CONFIG and others;
 * IoGetDeviceProperty, which gives the answers to drivers.
 */
#include "bus.h"

#include <wdmguid.h>

#define CHILD TestBusChild(0)

static NTSTATUS Property(DEVICE_REGISTRY_PROPERTY Which, PVOID Buffer, ULONG Size, ULONG *Length)
{
    RtlZeroMemory(Buffer, Size);
    return IoGetDeviceProperty(CHILD->Pdo, Which, Size, Buffer, Length);
}

/* ---- identification ---- */

static VOID PnpIds(VOID)
{
    WCHAR Text[64];
    ULONG Length;

    TestBusReset();
    CHILD->HardwareIds = L"NTTEST\\Child&REV_1\0NTTEST\\Child\0";
    CHILD->CompatibleIds = L"NTTEST\\Any\0";
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_TRUE(TestBusSeen(BUS, ID(BusQueryInstanceID), 0));
    EXPECT_TRUE(TestBusSeen(BUS, ID(BusQueryContainerID), 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, ID(BusQueryDeviceID), 0)); /* function drivers do not handle it */
    EXPECT_STATUS(Property(DevicePropertyHardwareID, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 33 * sizeof(WCHAR)); /* both, and the end of the list */
    EXPECT_WIDE(Text, L"NTTEST\\Child&REV_1");
    EXPECT_WIDE(Text + 19, L"NTTEST\\Child");
    EXPECT_STATUS(Property(DevicePropertyCompatibleIDs, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_WIDE(Text, L"NTTEST\\Any");
    EXPECT_STATUS(Property(DevicePropertyEnumeratorName, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_WIDE(Text, L"NTTEST");
    TestBusUnplug(0);
}

/* The driver is found by a compatible ID where no INF has a hardware ID. */
static VOID PnpFoundByCompatibleId(VOID)
{
    TestBusReset();
    CHILD->DeviceId = L"NTTEST\\Unknown";
    CHILD->HardwareIds = L"NTTEST\\Unknown\0";
    CHILD->CompatibleIds = L"NTTEST\\Child\0";
    EXPECT_TRUE(TestBusPlugAndStart(0));
    TestBusUnplug(0);
}

/* The same device ID twice on a bus, told apart by the instance ID; and one that is unique in the computer. */
static VOID PnpInstances(VOID)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_QUERY_ID};
    ULONG_PTR Information = 0;

    TestBusReset();
    TestBusChild(1)->UniqueID = TRUE;
    REQUIRE(TestBusPlugAndStart(0));
    REQUIRE(TestBusPlugAndStart(1));
    /* A driver may ask for the instance ID of its device, and frees it. */
    Stack.Parameters.QueryId.IdType = BusQueryInstanceID;
    EXPECT_STATUS(TestSend(TestBusChild(1)->Function, &Stack, &Information), STATUS_SUCCESS);
    EXPECT_WIDE((PCWSTR)Information, L"1");
    ExFreePool((PVOID)Information);
    TestBusUnplug(0);
    TestBusUnplug(1);
}

/* A bus driver must answer BusQueryDeviceID: without, no driver can be found. */
static VOID PnpIdFails(VOID)
{
    TestBusReset();
    CHILD->BusStatus[IRP_MN_QUERY_ID] = STATUS_INSUFFICIENT_RESOURCES;
    TestBusPlug(0);
    REQUIRE(TestBusWait(BUS, ID(BusQueryDeviceID), 0));
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, ADD_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_START_DEVICE, 0));
    TestBusUnplug(0);
}

/* "If a driver returns an ID with an illegal character, the system will bug check." */
static VOID PnpIdWithAComma(VOID)
{
    TestBusReset();
    CHILD->DeviceId = L"NTTEST\\Child,2";
    TestBusPlug(0);
    TestBusSettle();
}

static VOID PnpContainer(VOID)
{
    WCHAR Text[64];
    ULONG Length;

    TestBusReset();
    CHILD->Removable = TRUE;
    CHILD->ContainerId = L"{5b1c4b5a-6a0d-4c55-8f15-2f5a0e639110}";
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STATUS(Property(DevicePropertyContainerID, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_WIDE(Text, L"{5b1c4b5a-6a0d-4c55-8f15-2f5a0e639110}");
    TestBusUnplug(0);
}

/* Once the bus driver has told all of it, and ahead of the drivers. */
static VOID PnpEnumerated(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STEPS({BUS, ID(BusQueryDeviceID), 0}, {BUS, IRP_MN_DEVICE_ENUMERATED, 0}, {FUNCTION, ADD_DEVICE, 0});
    TestBusUnplug(0);
    TestBusReset();
    CHILD->BusStatus[IRP_MN_DEVICE_ENUMERATED] = STATUS_UNSUCCESSFUL;
    EXPECT_TRUE(TestBusPlugAndStart(0)); /* it only tells: the device is there all the same */
    TestBusUnplug(0);
}

/* ---- capabilities ---- */

static VOID PnpCapabilities(VOID)
{
    DEVICE_CAPABILITIES Capabilities;
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_QUERY_CAPABILITIES};
    ULONG Value = 0;
    ULONG Length;

    TestBusReset();
    CHILD->EjectSupported = TRUE;
    CHILD->Removable = TRUE;
    REQUIRE(TestBusPlugAndStart(0));
    /* To the bus driver alone at first, to the whole stack when the device has started. */
    EXPECT_STEPS({BUS, IRP_MN_QUERY_CAPABILITIES, 0}, {FUNCTION, ADD_DEVICE, 0}, {FUNCTION, IRP_MN_START_DEVICE, 0},
                 {FUNCTION, IRP_MN_QUERY_CAPABILITIES, 0}, {BUS, IRP_MN_QUERY_CAPABILITIES, 0});
    EXPECT_EQUAL(CHILD->Asked.Size, sizeof(DEVICE_CAPABILITIES));
    EXPECT_EQUAL(CHILD->Asked.Version, 1);
    EXPECT_TRUE(CHILD->Asked.Address == (ULONG)-1);
    EXPECT_TRUE(CHILD->Asked.UINumber == (ULONG)-1);
    EXPECT_FALSE(CHILD->Asked.Removable);

    /* A driver may send it. */
    RtlZeroMemory(&Capabilities, sizeof(Capabilities));
    Capabilities.Size = sizeof(Capabilities);
    Capabilities.Version = 1;
    Capabilities.Address = Capabilities.UINumber = (ULONG)-1;
    Stack.Parameters.DeviceCapabilities.Capabilities = &Capabilities;
    EXPECT_STATUS(TestSend(CHILD->Function, &Stack, NULL), STATUS_SUCCESS);
    EXPECT_TRUE(Capabilities.EjectSupported);
    EXPECT_TRUE(Capabilities.Removable);
    EXPECT_FALSE(Capabilities.UniqueID);
    EXPECT_EQUAL(Capabilities.Address, 0x40);
    Capabilities.Version = 2; /* what the bus driver does not know it fails */
    EXPECT_STATUS(TestSend(CHILD->Function, &Stack, NULL), STATUS_UNSUCCESSFUL);

    EXPECT_STATUS(Property(DevicePropertyAddress, &Value, sizeof(Value), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, 0x40);
    EXPECT_STATUS(Property(DevicePropertyUINumber, &Value, sizeof(Value), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, 0x50);
    EXPECT_STATUS(Property(DevicePropertyRemovalPolicy, &Value, sizeof(Value), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, RemovalPolicyExpectSurpriseRemoval);
    TestBusUnplug(0);
}

/* A raw device needs no function driver: the bus driver alone starts it. */
static VOID PnpRawDevice(VOID)
{
    TestBusReset();
    CHILD->RawDeviceOK = TRUE;
    CHILD->DeviceId = L"NTTEST\\Raw";
    CHILD->HardwareIds = L"NTTEST\\Raw\0";
    TestBusPlug(0);
    REQUIRE(TestBusWait(BUS, RELATIONS(BusRelations), 0));
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_START_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, ADD_DEVICE, 0));
    TestBusUnplug(0);
}

/* ---- text and bus ---- */

static VOID PnpText(VOID)
{
    WCHAR Text[64];
    ULONG Length;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_QUERY_DEVICE_TEXT, 0));
    EXPECT_STATUS(Property(DevicePropertyLocationInformation, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_WIDE(Text, L"Slot 7");
    EXPECT_EQUAL(Length, 7 * sizeof(WCHAR));
    EXPECT_STATUS(Property(DevicePropertyDeviceDescription, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_WIDE(Text, L"Kernel conformance tests, child"); /* the INF's, once it is installed */
    TestBusUnplug(0);

    /* A device without texts is a device all the same. */
    TestBusReset();
    CHILD->BusStatus[IRP_MN_QUERY_DEVICE_TEXT] = STATUS_NOT_SUPPORTED;
    EXPECT_TRUE(TestBusPlugAndStart(0));
    TestBusUnplug(0);
}

static VOID PnpBusInformation(VOID)
{
    ULONG Value = 0;
    ULONG Length;
    GUID Type;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_QUERY_BUS_INFORMATION, 0));
    EXPECT_STATUS(Property(DevicePropertyBusTypeGuid, &Type, sizeof(Type), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Type.Data1, 0x6f9c2c1e);
    EXPECT_STATUS(Property(DevicePropertyLegacyBusType, &Value, sizeof(Value), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, PNPBus);
    EXPECT_STATUS(Property(DevicePropertyBusNumber, &Value, sizeof(Value), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, 17);
    TestBusUnplug(0);

    TestBusReset();
    CHILD->BusStatus[IRP_MN_QUERY_BUS_INFORMATION] = STATUS_NOT_SUPPORTED;
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_FALSE(NT_SUCCESS(Property(DevicePropertyBusNumber, &Value, sizeof(Value), &Length)));
    TestBusUnplug(0);
}

/* ---- IoGetDeviceProperty ---- */

static VOID DevicePropertyStatuses(VOID)
{
    WCHAR Text[64];
    ULONG Length = 0;
    ULONG Needed = 0;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STATUS(IoGetDeviceProperty(CHILD->Pdo, DevicePropertyEnumeratorName, 0, NULL, &Needed),
                  STATUS_BUFFER_TOO_SMALL);
    EXPECT_EQUAL(Needed, 7 * sizeof(WCHAR));
    EXPECT_STATUS(IoGetDeviceProperty(CHILD->Pdo, DevicePropertyEnumeratorName, Needed - 1, Text, &Length),
                  STATUS_BUFFER_TOO_SMALL);
    EXPECT_EQUAL(Length, Needed);
    EXPECT_STATUS(IoGetDeviceProperty(CHILD->Pdo, DevicePropertyEnumeratorName, Needed, Text, &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, Needed);
    EXPECT_STATUS(IoGetDeviceProperty(CHILD->Pdo, (DEVICE_REGISTRY_PROPERTY)0x7F, sizeof(Text), Text, &Length),
                  STATUS_INVALID_PARAMETER_2);
    EXPECT_STATUS(Property(DevicePropertyClassName, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_WIDE(Text, L"System");
    EXPECT_STATUS(Property(DevicePropertyManufacturer, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_WIDE(Text, L"pvsim");
    EXPECT_STATUS(Property(DevicePropertyPhysicalDeviceObjectName, Text, sizeof(Text), &Length), STATUS_SUCCESS);
    EXPECT_TRUE(Length > 9 * sizeof(WCHAR));
    TestBusUnplug(0);
}

static VOID DevicePropertyBootResources(VOID)
{
    CM_RESOURCE_LIST Raw, Translated;
    ULONG Length = 0;

    TestBusReset();
    CHILD->BootPrivate = 0x1234;
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_QUERY_RESOURCES, 0));
    EXPECT_STATUS(Property(DevicePropertyBootConfiguration, &Raw, sizeof(Raw), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, sizeof(Raw));
    EXPECT_EQUAL(Raw.List[0].PartialResourceList.PartialDescriptors[0].u.DevicePrivate.Data[0], 0x1234);
    EXPECT_STATUS(Property(DevicePropertyBootConfigurationTranslated, &Translated, sizeof(Translated), &Length),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Length, sizeof(Translated));
    EXPECT_TRUE(RtlEqualMemory(&Raw, &Translated, sizeof(Raw))); /* nobody translates a bus's own resource */
    EXPECT_STATUS(Property(DevicePropertyBootConfigurationTranslated, &Translated, sizeof(Translated) - 1, &Length),
                  STATUS_BUFFER_TOO_SMALL);
    TestBusUnplug(0);

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_FALSE(
        NT_SUCCESS(Property(DevicePropertyBootConfigurationTranslated, &Translated, sizeof(Translated), &Length)));
    TestBusUnplug(0);
}

/* ---- requests that drivers send ---- */

static VOID PnpTargetRelation(VOID)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};
    ULONG_PTR Information = 0;
    PDEVICE_RELATIONS Relations;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    Stack.Parameters.QueryDeviceRelations.Type = TargetDeviceRelation;
    EXPECT_STATUS(TestSend(CHILD->Function, &Stack, &Information), STATUS_SUCCESS);
    Relations = (PDEVICE_RELATIONS)Information;
    REQUIRE(Relations != NULL);
    EXPECT_EQUAL(Relations->Count, 1);
    EXPECT_TRUE(Relations->Objects[0] == CHILD->Pdo);
    ObDereferenceObject(Relations->Objects[0]);
    ExFreePool(Relations);
    /* What no driver of the stack handles comes back as it went. */
    Stack.Parameters.QueryDeviceRelations.Type = EjectionRelations;
    Information = 0;
    EXPECT_STATUS(TestSend(CHILD->Function, &Stack, &Information), STATUS_NOT_SUPPORTED);
    EXPECT_EQUAL(Information, 0);
    TestBusUnplug(0);
}

/* The bus says that it cannot tell: its children stay as they are. */
static VOID PnpBusRelationsFail(VOID)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    CHILD->FunctionStatus[IRP_MN_QUERY_DEVICE_RELATIONS] = STATUS_INSUFFICIENT_RESOURCES;
    Stack.Parameters.QueryDeviceRelations.Type = BusRelations;
    EXPECT_STATUS(TestSend(CHILD->Function, &Stack, NULL), STATUS_INSUFFICIENT_RESOURCES);
    TestBusForget();
    IoInvalidateDeviceRelations(CHILD->Pdo, BusRelations);
    REQUIRE(TestBusWait(FUNCTION, RELATIONS(BusRelations), 0));
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0));
    TestBusUnplug(0);
}

/* A PCI device has a configuration space and an interface to it; on another bus there is nothing to see. */
static BOOLEAN IsOnPci(VOID)
{
    INTERFACE_TYPE Type = Internal;
    ULONG Length;

    (VOID) IoGetDeviceProperty(TestPhysicalDevice(), DevicePropertyLegacyBusType, sizeof(Type), &Type, &Length);
    return Type == PCIBus;
}

static NTSTATUS Config(UCHAR Minor, ULONG Space, PVOID Buffer, ULONG Offset, ULONG Length, ULONG_PTR *Information)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = Minor};

    *Information = 0;
    Stack.Parameters.ReadWriteConfig.WhichSpace = Space;
    Stack.Parameters.ReadWriteConfig.Buffer = Buffer;
    Stack.Parameters.ReadWriteConfig.Offset = Offset;
    Stack.Parameters.ReadWriteConfig.Length = Length;
    return TestSend(TestDevice(), &Stack, Information);
}

static VOID PnpConfigurationSpace(VOID)
{
    ULONG_PTR Information;
    UCHAR Line = 0x5A;
    UCHAR Old = 0;
    USHORT Ids[2] = {0, 0};

    if (IsOnPci()) {
        EXPECT_STATUS(Config(IRP_MN_READ_CONFIG, PCI_WHICHSPACE_CONFIG, Ids, 0, sizeof(Ids), &Information),
                      STATUS_SUCCESS);
        EXPECT_EQUAL(Information, sizeof(Ids));
        EXPECT_TRUE(Ids[0] != 0xFFFF && Ids[0] != 0);
        /* The interrupt line register is the software's own. */
        EXPECT_STATUS(Config(IRP_MN_READ_CONFIG, PCI_WHICHSPACE_CONFIG, &Old, 0x3C, 1, &Information), STATUS_SUCCESS);
        EXPECT_STATUS(Config(IRP_MN_WRITE_CONFIG, PCI_WHICHSPACE_CONFIG, &Line, 0x3C, 1, &Information), STATUS_SUCCESS);
        EXPECT_EQUAL(Information, 1);
        Line = 0;
        EXPECT_STATUS(Config(IRP_MN_READ_CONFIG, PCI_WHICHSPACE_CONFIG, &Line, 0x3C, 1, &Information), STATUS_SUCCESS);
        EXPECT_EQUAL(Line, 0x5A);
        EXPECT_STATUS(Config(IRP_MN_WRITE_CONFIG, PCI_WHICHSPACE_CONFIG, &Old, 0x3C, 1, &Information), STATUS_SUCCESS);
        /* A space that the bus does not have. */
        EXPECT_FALSE(NT_SUCCESS(Config(IRP_MN_READ_CONFIG, 0x77, Ids, 0, sizeof(Ids), &Information)));
        EXPECT_FALSE(NT_SUCCESS(Config(IRP_MN_WRITE_CONFIG, 0x77, Ids, 0, sizeof(Ids), &Information)));
    }
}

static NTSTATUS Interface(PDEVICE_OBJECT DeviceObject, const GUID *Type, USHORT Size, PBUS_INTERFACE_STANDARD Buffer)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_QUERY_INTERFACE};

    RtlZeroMemory(Buffer, sizeof(*Buffer));
    Stack.Parameters.QueryInterface.InterfaceType = Type;
    Stack.Parameters.QueryInterface.Size = Size;
    Stack.Parameters.QueryInterface.Version = 1;
    Stack.Parameters.QueryInterface.Interface = (PINTERFACE)Buffer;
    return TestSend(DeviceObject, &Stack, NULL);
}

static VOID PnpInterface(VOID)
{
    static const GUID Nothing = {0x3c1f7a02, 0x58d1, 0x4a61, {0x9f, 0x3c, 0x0b, 0x1d, 0x6e, 0x55, 0x24, 0x01}};
    BUS_INTERFACE_STANDARD Bus;
    USHORT Ids[2] = {0, 0};
    KIRQL Irql;
    ULONG Read;

    /* One that no driver of the stack exports: the status stays. */
    EXPECT_STATUS(Interface(TestDevice(), &Nothing, sizeof(Bus), &Bus), STATUS_NOT_SUPPORTED);
    EXPECT_TRUE(Bus.InterfaceReference == NULL);
    if (IsOnPci()) {
        EXPECT_FALSE(NT_SUCCESS(Interface(TestDevice(), &GUID_BUS_INTERFACE_STANDARD, sizeof(INTERFACE), &Bus)));
        EXPECT_STATUS(Interface(TestDevice(), &GUID_BUS_INTERFACE_STANDARD, sizeof(Bus), &Bus), STATUS_SUCCESS);
        EXPECT_EQUAL(Bus.Size, sizeof(Bus));
        EXPECT_EQUAL(Bus.Version, 1);
        EXPECT_TRUE(Bus.InterfaceReference != NULL);
        EXPECT_TRUE(Bus.InterfaceDereference != NULL);
        KeRaiseIrql(DISPATCH_LEVEL, &Irql); /* which the request itself could not be sent at */
        Read = Bus.GetBusData(Bus.Context, PCI_WHICHSPACE_CONFIG, Ids, 0, sizeof(Ids));
        KeLowerIrql(Irql);
        EXPECT_EQUAL(Read, sizeof(Ids));
        EXPECT_TRUE(Ids[0] != 0xFFFF && Ids[0] != 0);
        Bus.InterfaceDereference(Bus.Context);
    }
}

/* The system's own request, which drivers propagate to another stack: what a driver fails is failed. */
static VOID PnpUsageNotification(VOID)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_DEVICE_USAGE_NOTIFICATION};
    ULONG_PTR Information = 0;

    Stack.Parameters.UsageNotification.Type = DeviceUsageTypeDumpFile;
    Stack.Parameters.UsageNotification.InPath = TRUE;
    EXPECT_STATUS(TestSend(TestDevice(), &Stack, &Information), STATUS_SUCCESS);
    EXPECT_EQUAL(Information, 0);
    Stack.Parameters.UsageNotification.InPath = FALSE;
    EXPECT_STATUS(TestSend(TestDevice(), &Stack, &Information), STATUS_SUCCESS);

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    CHILD->FunctionStatus[IRP_MN_DEVICE_USAGE_NOTIFICATION] = STATUS_UNSUCCESSFUL;
    TestBusForget();
    Stack.Parameters.UsageNotification.InPath = TRUE;
    EXPECT_STATUS(TestSend(CHILD->Function, &Stack, &Information), STATUS_UNSUCCESSFUL);
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_DEVICE_USAGE_NOTIFICATION, 0));
    TestBusUnplug(0);
}

TEST_TABLE(pnp_query){
    TEST(PnpIds, TEST_DEVICE),
    TEST(PnpFoundByCompatibleId, TEST_DEVICE),
    TEST(PnpInstances, TEST_DEVICE),
    TEST(PnpIdFails, TEST_DEVICE),
    TEST_VIOLATION_DEVICE(PnpIdWithAComma, "pnp-identity", 0xCA),
    TEST(PnpContainer, TEST_DEVICE),
    TEST(PnpEnumerated, TEST_DEVICE),
    TEST(PnpCapabilities, TEST_DEVICE),
    TEST(PnpRawDevice, TEST_DEVICE),
    TEST(PnpText, TEST_DEVICE),
    TEST(PnpBusInformation, TEST_DEVICE),
    TEST(DevicePropertyStatuses, TEST_DEVICE),
    TEST(DevicePropertyBootResources, TEST_DEVICE),
    TEST(PnpTargetRelation, TEST_DEVICE),
    TEST(PnpBusRelationsFail, TEST_DEVICE),
    TEST(PnpConfigurationSpace, TEST_DEVICE),
    TEST(PnpInterface, TEST_DEVICE),
    TEST(PnpUsageNotification, TEST_DEVICE),
    TEST_END,
};
