/*
 * Device interfaces and notification: IoRegisterDeviceInterface, IoSetDeviceInterfaceState, IoGetDeviceInterfaces,
 * IoGetDeviceInterfaceAlias,
 * IoRegisterPlugPlayNotification, IoUnregisterPlugPlayNotification(Ex), IoReportTargetDeviceChange(Asynchronous).
 */
#include "bus.h"

#include <wdmguid.h>

#define CHILD TestBusChild(0)

#ifndef DEVICE_INTERFACE_INCLUDE_NONACTIVE
#define DEVICE_INTERFACE_INCLUDE_NONACTIVE 0x00000001
#endif

static const GUID Class = {0x2e8f1b30, 0x77c5, 0x4f0e, {0xa3, 0x41, 0x9d, 0x60, 0x1c, 0x52, 0x88, 0x17}};
static const GUID OtherClass = {0x2e8f1b31, 0x77c5, 0x4f0e, {0xa3, 0x41, 0x9d, 0x60, 0x1c, 0x52, 0x88, 0x17}};
static const GUID AliasClass = {0x2e8f1b33, 0x77c5, 0x4f0e, {0xa3, 0x41, 0x9d, 0x60, 0x1c, 0x52, 0x88, 0x17}};
static const GUID AliasOtherClass = {0x2e8f1b34, 0x77c5, 0x4f0e, {0xa3, 0x41, 0x9d, 0x60, 0x1c, 0x52, 0x88, 0x17}};
static const GUID CustomEvent = {0x2e8f1b32, 0x77c5, 0x4f0e, {0xa3, 0x41, 0x9d, 0x60, 0x1c, 0x52, 0x88, 0x17}};

/* ---- registration ---- */

/* How many links IoGetDeviceInterfaces returns; the first one's text goes to First. */
static ULONG Count(const GUID *Which, PDEVICE_OBJECT Pdo, ULONG Flags, PWSTR First, ULONG Characters)
{
    PWSTR List = NULL;
    ULONG Number = 0;
    ULONG Index;
    PWSTR Link;

    CHECK(IoGetDeviceInterfaces(Which, Pdo, Flags, &List) == STATUS_SUCCESS);
    if (List == NULL)
        return 0;
    for (Link = List; *Link != 0; Number++) {
        for (Index = 0; Link[Index] != 0; Index++) {
            if (Number == 0 && First != NULL && Index + 1 < Characters) {
                First[Index] = Link[Index];
                First[Index + 1] = 0;
            }
        }
        Link += Index + 1;
    }
    ExFreePool(List);
    return Number;
}

static VOID InterfaceRegisteredAndEnabled(VOID)
{
    UNICODE_STRING Link;
    UNICODE_STRING Again;
    UNICODE_STRING Name;
    WCHAR Text[256];
    PFILE_OBJECT File;
    PDEVICE_OBJECT Top;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &Class, NULL, &Link), STATUS_SUCCESS);
    EXPECT_TRUE(Link.Length > 0);
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &Class, NULL, &Again), STATUS_SUCCESS);
    EXPECT_TRUE(RtlEqualUnicodeString(&Link, &Again, TRUE)); /* the same instance, registered before */
    RtlFreeUnicodeString(&Again);

    /* Disabled until it is enabled. */
    EXPECT_EQUAL(Count(&Class, NULL, 0, NULL, 0), 0);
    EXPECT_EQUAL(Count(&Class, NULL, DEVICE_INTERFACE_INCLUDE_NONACTIVE, NULL, 0), 1);
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Link, TRUE), STATUS_SUCCESS);
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Link, TRUE), STATUS_OBJECT_NAME_EXISTS);
    EXPECT_EQUAL(Count(&Class, NULL, 0, Text, ARRAYSIZE(Text)), 1);
    EXPECT_EQUAL(Count(&Class, CHILD->Pdo, 0, NULL, 0), 1);
    EXPECT_EQUAL(Count(&Class, TestPhysicalDevice(), 0, NULL, 0), 0); /* another device's */
    EXPECT_EQUAL(Count(&OtherClass, NULL, 0, NULL, 0), 0);
    RtlInitUnicodeString(&Name, Text);
    EXPECT_TRUE(RtlEqualUnicodeString(&Link, &Name, TRUE));

    /* The link opens the device. */
    EXPECT_STATUS(IoGetDeviceObjectPointer(&Link, FILE_READ_DATA, &File, &Top), STATUS_SUCCESS);
    EXPECT_TRUE(Top == CHILD->Function);
    ObDereferenceObject(File);

    EXPECT_STATUS(IoSetDeviceInterfaceState(&Link, FALSE), STATUS_SUCCESS);
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Link, FALSE), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_EQUAL(Count(&Class, NULL, 0, NULL, 0), 0);
    EXPECT_FALSE(NT_SUCCESS(IoGetDeviceObjectPointer(&Link, FILE_READ_DATA, &File, &Top)));
    RtlFreeUnicodeString(&Link);
    TestBusUnplug(0);
}

/* A reference string tells instances of one device apart, and may not hold a path separator. */
static VOID InterfaceReferenceString(VOID)
{
    UNICODE_STRING Reference;
    UNICODE_STRING Link[2];

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    RtlInitUnicodeString(&Reference, L"first");
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &OtherClass, &Reference, &Link[0]), STATUS_SUCCESS);
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &OtherClass, NULL, &Link[1]), STATUS_SUCCESS);
    EXPECT_FALSE(RtlEqualUnicodeString(&Link[0], &Link[1], TRUE));
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Link[0], TRUE), STATUS_SUCCESS);
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Link[1], TRUE), STATUS_SUCCESS);
    EXPECT_EQUAL(Count(&OtherClass, CHILD->Pdo, 0, NULL, 0), 2);
    (VOID) IoSetDeviceInterfaceState(&Link[0], FALSE);
    (VOID) IoSetDeviceInterfaceState(&Link[1], FALSE);
    RtlFreeUnicodeString(&Link[0]);
    RtlFreeUnicodeString(&Link[1]);
    RtlInitUnicodeString(&Reference, L"a\\b");
    EXPECT_FALSE(NT_SUCCESS(IoRegisterDeviceInterface(CHILD->Pdo, &OtherClass, &Reference, &Link[0])));
    TestBusUnplug(0);
}

/* The alias is the same device's interface of another class with the same reference string. */
static VOID InterfaceAlias(VOID)
{
    UNICODE_STRING Reference;
    UNICODE_STRING Link[3];
    UNICODE_STRING Alias;
    ULONG Index;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    RtlInitUnicodeString(&Reference, L"alias");
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &AliasClass, NULL, &Link[0]), STATUS_SUCCESS);
    /* No other class yet; "possibly indicates" two statuses. */
    RtlInitUnicodeString(&Alias, NULL);
    EXPECT_FALSE(NT_SUCCESS(IoGetDeviceInterfaceAlias(&Link[0], &AliasOtherClass, &Alias)));
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &AliasOtherClass, &Reference, &Link[1]), STATUS_SUCCESS);
    EXPECT_FALSE(NT_SUCCESS(IoGetDeviceInterfaceAlias(&Link[0], &AliasOtherClass, &Alias))); /* another reference */
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &AliasOtherClass, NULL, &Link[2]), STATUS_SUCCESS);
    EXPECT_STATUS(IoGetDeviceInterfaceAlias(&Link[0], &AliasOtherClass, &Alias), STATUS_SUCCESS);
    EXPECT_TRUE(RtlEqualUnicodeString(&Alias, &Link[2], TRUE));
    RtlFreeUnicodeString(&Alias);
    EXPECT_STATUS(IoGetDeviceInterfaceAlias(&Link[2], &AliasClass, &Alias), STATUS_SUCCESS); /* and back */
    EXPECT_TRUE(RtlEqualUnicodeString(&Alias, &Link[0], TRUE));
    RtlFreeUnicodeString(&Alias);
    for (Index = 0; Index < ARRAYSIZE(Link); Index++)
        RtlFreeUnicodeString(&Link[Index]);
    TestBusUnplug(0);
}

/* "DeviceObject is not a PDO": a function device object. */
static VOID InterfaceOfNoPdo(VOID)
{
    UNICODE_STRING Link;
    UNICODE_STRING Unknown;

    EXPECT_STATUS(IoRegisterDeviceInterface(TestDevice(), &Class, NULL, &Link), STATUS_INVALID_DEVICE_REQUEST);
    RtlInitUnicodeString(&Unknown, L"\\??\\NTTEST#Nothing#0#{2e8f1b30-77c5-4f0e-a341-9d601c528817}");
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Unknown, TRUE), STATUS_OBJECT_NAME_NOT_FOUND);
}

/* ---- interface changes ---- */

typedef struct _CHANGES {
    ULONG Arrivals;
    ULONG Removals;
    KIRQL Irql;
    BOOLEAN Wrong;
    UNICODE_STRING Link;
} CHANGES;

static DRIVER_NOTIFICATION_CALLBACK_ROUTINE InterfaceChanged;
static DRIVER_NOTIFICATION_CALLBACK_ROUTINE TargetChanged;

static NTSTATUS NTAPI InterfaceChanged(PVOID NotificationStructure, PVOID Context)
{
    PDEVICE_INTERFACE_CHANGE_NOTIFICATION Change = NotificationStructure;
    CHANGES *Changes = Context;

    if (Change->Version != 1 || !IsEqualGUID(&Change->InterfaceClassGuid, &Class) ||
        !RtlEqualUnicodeString(Change->SymbolicLinkName, &Changes->Link, TRUE))
        Changes->Wrong = TRUE;
    if (IsEqualGUID(&Change->Event, &GUID_DEVICE_INTERFACE_ARRIVAL))
        Changes->Arrivals++;
    else if (IsEqualGUID(&Change->Event, &GUID_DEVICE_INTERFACE_REMOVAL))
        Changes->Removals++;
    else
        Changes->Wrong = TRUE;
    Changes->Irql = max(Changes->Irql, KeGetCurrentIrql());
    return STATUS_SUCCESS;
}

static VOID NotificationOfInterfaces(VOID)
{
    CHANGES Changes = {.Arrivals = 0};
    UNICODE_STRING Other;
    PVOID Entry;
    PVOID Existing;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &Class, NULL, &Changes.Link), STATUS_SUCCESS);
    EXPECT_STATUS(IoRegisterDeviceInterface(CHILD->Pdo, &OtherClass, NULL, &Other), STATUS_SUCCESS);
    EXPECT_STATUS(IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange, 0, (PVOID)&Class, TestDriver(),
                                                 InterfaceChanged, &Changes, &Entry),
                  STATUS_SUCCESS);
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Changes.Link, TRUE), STATUS_SUCCESS);
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Other, TRUE), STATUS_SUCCESS); /* of a class not asked for */
    TestBusSettle();
    EXPECT_EQUAL(Changes.Arrivals, 1);
    EXPECT_EQUAL(Changes.Irql, PASSIVE_LEVEL);

    /* What exists already is told of if the flag asks for it. */
    EXPECT_STATUS(IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange,
                                                 PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES, (PVOID)&Class,
                                                 TestDriver(), InterfaceChanged, &Changes, &Existing),
                  STATUS_SUCCESS);
    TestBusSettle();
    EXPECT_EQUAL(Changes.Arrivals, 2);
    EXPECT_STATUS(IoUnregisterPlugPlayNotificationEx(Existing), STATUS_SUCCESS);

    EXPECT_STATUS(IoSetDeviceInterfaceState(&Changes.Link, FALSE), STATUS_SUCCESS);
    TestBusSettle();
    EXPECT_EQUAL(Changes.Removals, 1); /* not to the one that was unregistered */
    EXPECT_STATUS(IoSetDeviceInterfaceState(&Changes.Link, TRUE), STATUS_SUCCESS);
    TestBusUnplug(0); /* the device's end disables its interfaces */
    TestBusSettle();
    EXPECT_EQUAL(Changes.Arrivals, 3);
    EXPECT_EQUAL(Changes.Removals, 2);
    EXPECT_FALSE(Changes.Wrong);
    EXPECT_STATUS(IoUnregisterPlugPlayNotification(Entry), STATUS_SUCCESS);
    RtlFreeUnicodeString(&Changes.Link);
    RtlFreeUnicodeString(&Other);
}

/* ---- target device changes ---- */

typedef struct _TARGET {
    PFILE_OBJECT File;
    BOOLEAN Refuses;
    BOOLEAN LetGo;
    ULONG Queries;
    ULONG Cancels;
    ULONG Completes;
    ULONG Customs;
    ULONG Data;
    BOOLEAN Wrong;
} TARGET;

static NTSTATUS NTAPI TargetChanged(PVOID NotificationStructure, PVOID Context)
{
    PTARGET_DEVICE_CUSTOM_NOTIFICATION Custom = NotificationStructure;
    PTARGET_DEVICE_REMOVAL_NOTIFICATION Change = NotificationStructure;
    TARGET *Target = Context;

    if (Change->Version != 1 || Change->FileObject != Target->File)
        Target->Wrong = TRUE;
    if (IsEqualGUID(&Change->Event, &GUID_TARGET_DEVICE_QUERY_REMOVE)) {
        Target->Queries++;
        if (Target->Refuses)
            return STATUS_UNSUCCESSFUL;
        ObDereferenceObject(Target->File); /* as who agrees must */
        Target->LetGo = TRUE;
    } else if (IsEqualGUID(&Change->Event, &GUID_TARGET_DEVICE_REMOVE_CANCELLED)) {
        Target->Cancels++;
    } else if (IsEqualGUID(&Change->Event, &GUID_TARGET_DEVICE_REMOVE_COMPLETE)) {
        Target->Completes++;
        if (!Target->LetGo)
            ObDereferenceObject(Target->File);
        Target->LetGo = TRUE;
    } else if (IsEqualGUID(&Change->Event, &CustomEvent)) {
        Target->Customs++;
        Target->Data = Custom->CustomDataBuffer[0];
    } else {
        Target->Wrong = TRUE;
    }
    return STATUS_SUCCESS;
}

static VOID Watch(TARGET *Target, PVOID *Entry)
{
    UNICODE_STRING Name;
    PDEVICE_OBJECT Top;
    WCHAR Text[64];
    ULONG Length;

    RtlZeroMemory(Target, sizeof(*Target));
    CHECK(IoGetDeviceProperty(CHILD->Pdo, DevicePropertyPhysicalDeviceObjectName, sizeof(Text), Text, &Length) ==
          STATUS_SUCCESS);
    RtlInitUnicodeString(&Name, Text);
    CHECK(IoGetDeviceObjectPointer(&Name, FILE_READ_DATA, &Target->File, &Top) == STATUS_SUCCESS);
    EXPECT_STATUS(IoRegisterPlugPlayNotification(EventCategoryTargetDeviceChange, 0, Target->File, TestDriver(),
                                                 TargetChanged, Target, Entry),
                  STATUS_SUCCESS);
}

/* Those who watch are asked first; one who refuses is told that the removal is cancelled, and the drivers hear nothing.
 */
static VOID NotificationOfRemoval(VOID)
{
    TARGET Target;
    PVOID Entry;

    TestBusReset();
    CHILD->EjectSupported = TRUE;
    REQUIRE(TestBusPlugAndStart(0));
    Watch(&Target, &Entry);
    EXPECT_STEPS({FUNCTION, RELATIONS(TargetDeviceRelation), 0}, {BUS, RELATIONS(TargetDeviceRelation), 0});
    EXPECT_TRUE(CHILD->RelationFile == Target.File);
    Target.Refuses = TRUE;
    TestBusForget();
    IoRequestDeviceEject(CHILD->Pdo);
    TestBusSettle();
    EXPECT_EQUAL(Target.Queries, 1);
    EXPECT_EQUAL(Target.Cancels, 1);
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_REMOVE_DEVICE, 0));

    /* A driver refuses afterwards: cancelled for the watcher too. */
    Target.Refuses = FALSE;
    CHILD->FunctionStatus[IRP_MN_QUERY_REMOVE_DEVICE] = STATUS_DEVICE_BUSY;
    IoRequestDeviceEject(CHILD->Pdo);
    TestBusSettle();
    EXPECT_EQUAL(Target.Queries, 2);
    EXPECT_EQUAL(Target.Cancels, 2);
    EXPECT_EQUAL(Target.Completes, 0);
    EXPECT_STATUS(IoUnregisterPlugPlayNotification(Entry), STATUS_SUCCESS);
    CHILD->FunctionStatus[IRP_MN_QUERY_REMOVE_DEVICE] = STATUS_SUCCESS;

    Watch(&Target, &Entry);
    IoRequestDeviceEject(CHILD->Pdo);
    EXPECT_TRUE(TestBusWait(BUS, GONE, 0));
    TestBusSettle();
    EXPECT_EQUAL(Target.Queries, 1);
    EXPECT_EQUAL(Target.Completes, 1);
    EXPECT_FALSE(Target.Wrong);
    EXPECT_STATUS(IoUnregisterPlugPlayNotification(Entry), STATUS_SUCCESS);
}

/* By surprise nobody is asked; the watcher is told after IRP_MN_SURPRISE_REMOVAL and lets go, which lets the device go.
 */
static VOID NotificationOfSurprise(VOID)
{
    TARGET Target;
    PVOID Entry;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    Watch(&Target, &Entry);
    TestBusUnplug(0);
    EXPECT_EQUAL(Target.Queries, 0);
    EXPECT_EQUAL(Target.Completes, 1);
    EXPECT_STATUS(IoUnregisterPlugPlayNotification(Entry), STATUS_SUCCESS);
}

static VOID NTAPI Reported(PVOID Context)
{
    (VOID) KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
}

/* A driver's own event: to those who watch the device. The system's events are not for drivers to report. */
static VOID NotificationOfOwnEvents(VOID)
{
    TARGET_DEVICE_CUSTOM_NOTIFICATION Event;
    NTSTATUS Status;
    TARGET Target;
    KEVENT Done;
    PVOID Entry;
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    Watch(&Target, &Entry);
    RtlZeroMemory(&Event, sizeof(Event));
    Event.Version = 1;
    Event.Size = sizeof(Event);
    Event.Event = CustomEvent;
    Event.NameBufferOffset = -1;
    Event.CustomDataBuffer[0] = 0x5A;
    EXPECT_STATUS(IoReportTargetDeviceChange(CHILD->Pdo, &Event), STATUS_SUCCESS);
    EXPECT_EQUAL(Target.Customs, 1); /* it has been delivered */
    EXPECT_EQUAL(Target.Data, 0x5A);
    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status = IoReportTargetDeviceChangeAsynchronous(CHILD->Pdo, &Event, Reported, &Done);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_PENDING);
    (VOID) KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    EXPECT_EQUAL(Target.Customs, 2); /* the callback comes after the watchers' */
    Event.Event = GUID_TARGET_DEVICE_QUERY_REMOVE;
    EXPECT_STATUS(IoReportTargetDeviceChange(CHILD->Pdo, &Event), STATUS_INVALID_DEVICE_REQUEST);
    EXPECT_STATUS(IoReportTargetDeviceChangeAsynchronous(CHILD->Pdo, &Event, NULL, NULL),
                  STATUS_INVALID_DEVICE_REQUEST);
    EXPECT_EQUAL(Target.Queries, 0);
    EXPECT_STATUS(IoUnregisterPlugPlayNotificationEx(Entry), STATUS_SUCCESS);
    Event.Event = CustomEvent;
    EXPECT_STATUS(IoReportTargetDeviceChange(CHILD->Pdo, &Event), STATUS_SUCCESS);
    EXPECT_EQUAL(Target.Customs, 2); /* not after it unregistered */
    ObDereferenceObject(Target.File);
    TestBusUnplug(0);
}

TEST_TABLE(io_interface){
    TEST(InterfaceRegisteredAndEnabled, TEST_DEVICE),
    TEST(InterfaceReferenceString, TEST_DEVICE),
    TEST(InterfaceAlias, TEST_DEVICE),
    TEST(InterfaceOfNoPdo, TEST_DEVICE),
    TEST(NotificationOfInterfaces, TEST_DEVICE),
    TEST(NotificationOfRemoval, TEST_DEVICE),
    TEST(NotificationOfSurprise, TEST_DEVICE),
    TEST(NotificationOfOwnEvents, TEST_DEVICE),
    TEST_END,
};
