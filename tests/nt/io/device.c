/* Device objects, their stacks and names: IoCreateDevice, IoAttachDeviceToDeviceStack, IoCreateSymbolicLink, ... */
#include "nttest.h"

#define NAME L"\\Device\\NtTestDevice"

static DRIVER_DISPATCH Succeed;

/* What came to a device. */
typedef struct _COUNTS {
    ULONG Creates;
    ULONG Cleanups;
    ULONG Closes;
} COUNTS;

static NTSTATUS NTAPI Succeed(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    COUNTS *Counts = TestExtension(DeviceObject);

    switch (IoGetCurrentIrpStackLocation(Irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        Counts->Creates++;
        break;
    case IRP_MJ_CLEANUP:
        Counts->Cleanups++;
        break;
    case IRP_MJ_CLOSE:
        Counts->Closes++;
        break;
    default:
        break;
    }
    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

static PDEVICE_OBJECT Create(PCWSTR Name)
{
    return TestCreateDevice(Name, sizeof(COUNTS), Succeed);
}

static VOID DeviceStackOfTheDriver(VOID)
{
    PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(TestPhysicalDevice());
    PDEVICE_OBJECT Same = IoGetAttachedDeviceReference(TestDevice());

    EXPECT_TRUE(Top == Same);
    EXPECT_TRUE(Top->StackSize > TestPhysicalDevice()->StackSize);
    ObDereferenceObject(Same);
    ObDereferenceObject(Top);
}

/* ---- creation ---- */

static VOID DeviceCreated(VOID)
{
    PDEVICE_OBJECT DeviceObject = NULL;
    PUCHAR Extension;
    ULONG Index;
    KIRQL Irql;
    NTSTATUS Status;

    KeRaiseIrql(APC_LEVEL, &Irql);
    Status =
        IoCreateDevice(TestDriver(), 100, NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    REQUIRE(DeviceObject != NULL);
    EXPECT_TRUE(DeviceObject->DriverObject == TestDriver());
    EXPECT_EQUAL(DeviceObject->DeviceType, FILE_DEVICE_UNKNOWN);
    EXPECT_EQUAL(DeviceObject->StackSize, 1);
    EXPECT_TRUE((DeviceObject->Flags & DO_DEVICE_INITIALIZING) != 0);
    EXPECT_TRUE((DeviceObject->Characteristics & FILE_DEVICE_SECURE_OPEN) != 0);
    EXPECT_TRUE(TestDriver()->DeviceObject == DeviceObject); /* the newest is first in the driver's list */
    Extension = DeviceObject->DeviceExtension;
    REQUIRE(Extension != NULL);
    for (Index = 0; Index < 100 && Extension[Index] == 0; Index++)
        ;
    EXPECT_EQUAL(Index, 100); /* the extension is zeroed */
    ((TEST_EXTENSION *)Extension)->Dispatch = Succeed;
    KeRaiseIrql(APC_LEVEL, &Irql);
    IoDeleteDevice(DeviceObject);
    KeLowerIrql(Irql);
    EXPECT_TRUE(TestDriver()->DeviceObject != DeviceObject);
}

static VOID DeviceNameTaken(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NAME);
    PDEVICE_OBJECT Second = NULL;
    UNICODE_STRING Name;

    REQUIRE(DeviceObject != NULL);
    RtlInitUnicodeString(&Name, NAME);
    EXPECT_STATUS(IoCreateDevice(TestDriver(), 0, &Name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Second),
                  STATUS_OBJECT_NAME_COLLISION);
    IoDeleteDevice(DeviceObject);
    DeviceObject = Create(NAME); /* free again */
    REQUIRE(DeviceObject != NULL);
    IoDeleteDevice(DeviceObject);
}

/* ---- opening by name ---- */

static VOID DeviceOpenedByName(VOID)
{
    PDEVICE_OBJECT Bottom = Create(NAME);
    PDEVICE_OBJECT Top = Create(NULL);
    PDEVICE_OBJECT Found = NULL;
    PFILE_OBJECT File = NULL;
    UNICODE_STRING Name;
    UNICODE_STRING Link;
    COUNTS *Counts;

    REQUIRE(Bottom != NULL && Top != NULL);
    Counts = TestExtension(Bottom);
    EXPECT_TRUE(IoAttachDeviceToDeviceStack(Top, Bottom) == Bottom);
    RtlInitUnicodeString(&Name, NAME);
    RtlInitUnicodeString(&Link, L"\\DosDevices\\NtTestLink");
    EXPECT_STATUS(IoCreateSymbolicLink(&Link, &Name), STATUS_SUCCESS);
    EXPECT_STATUS(IoCreateSymbolicLink(&Link, &Name), STATUS_OBJECT_NAME_COLLISION);
    EXPECT_STATUS(IoGetDeviceObjectPointer(&Link, FILE_READ_DATA, &File, &Found), STATUS_SUCCESS);
    EXPECT_TRUE(Found == Top); /* the top of the named device's stack */
    EXPECT_TRUE(File->DeviceObject == Bottom);
    Counts = TestExtension(Top);
    EXPECT_EQUAL(Counts->Creates + ((COUNTS *)TestExtension(Bottom))->Creates, 1);
    EXPECT_EQUAL(Counts->Cleanups + ((COUNTS *)TestExtension(Bottom))->Cleanups, 1); /* the handle is closed */
    EXPECT_EQUAL(Counts->Closes + ((COUNTS *)TestExtension(Bottom))->Closes, 0);     /* the reference is held */
    ObDereferenceObject(File);
    EXPECT_EQUAL(Counts->Closes + ((COUNTS *)TestExtension(Bottom))->Closes, 1);
    EXPECT_STATUS(IoDeleteSymbolicLink(&Link), STATUS_SUCCESS);
    EXPECT_STATUS(IoDeleteSymbolicLink(&Link), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(IoGetDeviceObjectPointer(&Link, FILE_READ_DATA, &File, &Found), STATUS_OBJECT_NAME_NOT_FOUND);
    IoDetachDevice(Bottom);
    IoDeleteDevice(Top);
    IoDeleteDevice(Bottom);
}

/* An open file keeps a device that has been deleted. */
static VOID DeviceDeletedWhileOpen(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NAME);
    PDEVICE_OBJECT Found;
    PFILE_OBJECT File;
    UNICODE_STRING Name;

    REQUIRE(DeviceObject != NULL);
    RtlInitUnicodeString(&Name, NAME);
    EXPECT_STATUS(IoGetDeviceObjectPointer(&Name, FILE_READ_DATA, &File, &Found), STATUS_SUCCESS);
    IoDeleteDevice(DeviceObject);
    EXPECT_TRUE(File->DeviceObject == DeviceObject);
    EXPECT_EQUAL(DeviceObject->Type, IO_TYPE_DEVICE);
    ObDereferenceObject(File);
    DeviceObject = Create(NAME); /* now it has gone */
    REQUIRE(DeviceObject != NULL);
    IoDeleteDevice(DeviceObject);
}

/* ---- stacks ---- */

static VOID DeviceStack(VOID)
{
    PDEVICE_OBJECT Device[3];
    PDEVICE_OBJECT Lower = NULL;
    PDEVICE_OBJECT Found;
    ULONG Index;
    KIRQL Irql;

    for (Index = 0; Index < ARRAYSIZE(Device); Index++) {
        Device[Index] = Create(NULL);
        REQUIRE(Device[Index] != NULL);
    }
    Device[0]->AlignmentRequirement = FILE_LONG_ALIGNMENT;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(IoAttachDeviceToDeviceStack(Device[1], Device[0]) == Device[0]);
    /* To the top of the stack, whichever of its devices is named. */
    EXPECT_STATUS(IoAttachDeviceToDeviceStackSafe(Device[2], Device[0], &Lower), STATUS_SUCCESS);
    EXPECT_TRUE(Lower == Device[1]);
    EXPECT_EQUAL(Device[1]->StackSize, 2);
    EXPECT_EQUAL(Device[2]->StackSize, 3);
    EXPECT_EQUAL(Device[2]->AlignmentRequirement, FILE_LONG_ALIGNMENT);
    EXPECT_TRUE(IoGetAttachedDevice(Device[0]) == Device[2]);
    Found = IoGetAttachedDeviceReference(Device[1]);
    EXPECT_TRUE(Found == Device[2]);
    ObDereferenceObject(Found);
    Found = IoGetAttachedDeviceReference(Device[2]); /* nothing above: itself */
    EXPECT_TRUE(Found == Device[2]);
    ObDereferenceObject(Found);
    Found = IoGetLowerDeviceObject(Device[2]);
    EXPECT_TRUE(Found == Device[1]);
    ObDereferenceObject(Found);
    EXPECT_TRUE(IoGetLowerDeviceObject(Device[0]) == NULL);
    KeLowerIrql(Irql);
    IoDetachDevice(Device[1]);
    EXPECT_TRUE(IoGetAttachedDevice(Device[0]) == Device[1]);
    IoDetachDevice(Device[0]);
    EXPECT_TRUE(IoGetAttachedDevice(Device[0]) == Device[0]);
    for (Index = ARRAYSIZE(Device); Index-- > 0;)
        IoDeleteDevice(Device[Index]);
}

/* "NULL if it could not attach, for example if the target device was being deleted", or is not yet initialised. */
static VOID DeviceAttachRefused(VOID)
{
    PDEVICE_OBJECT Source = Create(NULL);
    PDEVICE_OBJECT Lower = NULL;
    PDEVICE_OBJECT Target;

    REQUIRE(Source != NULL);
    REQUIRE(NT_SUCCESS(IoCreateDevice(TestDriver(), sizeof(TEST_EXTENSION) + sizeof(COUNTS), NULL, FILE_DEVICE_UNKNOWN,
                                      0, FALSE, &Target)));
    ((TEST_EXTENSION *)Target->DeviceExtension)->Dispatch = Succeed;
    EXPECT_TRUE(IoAttachDeviceToDeviceStack(Source, Target) == NULL); /* DO_DEVICE_INITIALIZING */
    EXPECT_STATUS(IoAttachDeviceToDeviceStackSafe(Source, Target, &Lower), STATUS_NO_SUCH_DEVICE);
    EXPECT_TRUE(Lower == NULL);
    Target->Flags &= ~DO_DEVICE_INITIALIZING;
    EXPECT_TRUE(IoAttachDeviceToDeviceStack(Source, Target) == Target);
    IoDetachDevice(Target);
    IoDeleteDevice(Source);
    IoDeleteDevice(Target);
}

/* A bus driver deletes its device ahead of the driver above, which passed the request down, detaches. */
static VOID DeviceDeletedUnderAnother(VOID)
{
    PDEVICE_OBJECT Bottom = Create(NAME);
    PDEVICE_OBJECT Top = Create(NULL);

    REQUIRE(Bottom != NULL && Top != NULL);
    EXPECT_TRUE(IoAttachDeviceToDeviceStack(Top, Bottom) == Bottom);
    IoDeleteDevice(Bottom);
    IoDetachDevice(Bottom);
    IoDeleteDevice(Top);
    Bottom = Create(NAME); /* it has gone with the detachment */
    REQUIRE(Bottom != NULL);
    IoDeleteDevice(Bottom);
}

static VOID DeviceDeletedAttached(VOID)
{
    PDEVICE_OBJECT Bottom = Create(NULL);
    PDEVICE_OBJECT Top = Create(NULL);

    (VOID) IoAttachDeviceToDeviceStack(Top, Bottom);
    IoDeleteDevice(Top);
}

static VOID DeviceDetachedTwice(VOID)
{
    PDEVICE_OBJECT Bottom = Create(NULL);
    PDEVICE_OBJECT Top = Create(NULL);

    (VOID) IoAttachDeviceToDeviceStack(Top, Bottom);
    IoDetachDevice(Bottom);
    IoDetachDevice(Bottom);
}

/* ---- driver objects ---- */

/* One block of memory for each identifier, zeroed, and freed with the driver object. */
static VOID DriverObjectExtension(VOID)
{
    static ULONG Identifier;
    static ULONG Unknown;
    PVOID First = NULL;
    PVOID Second = NULL;
    NTSTATUS Status;
    KIRQL Irql;

    First = IoGetDriverObjectExtension(TestDriver(), &Identifier);
    if (First == NULL) { /* not yet by an earlier run of this case */
        KeRaiseIrql(DISPATCH_LEVEL, &Irql);
        Status = IoAllocateDriverObjectExtension(TestDriver(), &Identifier, 64, &First);
        KeLowerIrql(Irql);
        EXPECT_STATUS(Status, STATUS_SUCCESS);
    }
    REQUIRE(First != NULL);
    EXPECT_STATUS(IoAllocateDriverObjectExtension(TestDriver(), &Identifier, 64, &Second),
                  STATUS_OBJECT_NAME_COLLISION);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(IoGetDriverObjectExtension(TestDriver(), &Identifier) == First);
    EXPECT_TRUE(IoGetDriverObjectExtension(TestDriver(), &Unknown) == NULL);
    KeLowerIrql(Irql);
}

/* ---- shutdown ---- */

/* Registered and unregistered again, the device can be deleted; while registered it must not be. */
static VOID ShutdownRegistered(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NULL);

    REQUIRE(DeviceObject != NULL);
    EXPECT_STATUS(IoRegisterShutdownNotification(DeviceObject), STATUS_SUCCESS);
    IoUnregisterShutdownNotification(DeviceObject);
    EXPECT_STATUS(IoRegisterLastChanceShutdownNotification(DeviceObject), STATUS_SUCCESS);
    EXPECT_STATUS(IoRegisterShutdownNotification(DeviceObject), STATUS_SUCCESS);
    IoUnregisterShutdownNotification(DeviceObject); /* from both */
    IoDeleteDevice(DeviceObject);
}

static VOID ShutdownRegisteredAtDeletion(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NULL);

    (VOID) IoRegisterLastChanceShutdownNotification(DeviceObject);
    IoDeleteDevice(DeviceObject);
}

TEST_TABLE(io_device){
    TEST(DeviceStackOfTheDriver, TEST_DEVICE),
    TEST(DeviceCreated, 0),
    TEST(DeviceNameTaken, 0),
    TEST(DeviceOpenedByName, 0),
    TEST(DeviceDeletedWhileOpen, 0),
    TEST(DeviceStack, 0),
    TEST(DeviceAttachRefused, 0),
    TEST(DeviceDeletedUnderAnother, 0),
    TEST_VIOLATION(DeviceDeletedAttached, "device-deleted-attached", 0xC9),
    TEST_VIOLATION(DeviceDetachedTwice, "device-detach", 0),
    TEST(DriverObjectExtension, 0),
    TEST(ShutdownRegistered, 0),
    TEST_VIOLATION(ShutdownRegisteredAtDeletion, "device-delete", 0),
    TEST_END,
};
