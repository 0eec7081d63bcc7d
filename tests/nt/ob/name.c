/*
 * Objects by pointer and name: ObOpenObjectByPointer, ObQueryNameString, ObDereferenceObjectDeferDelete,
 * ZwMakeTemporaryObject; a device's file by ZwOpenFile.
 */
#include "nttest.h"

#define EVENT_NAME L"\\BaseNamedObjects\\NtTestNamed"
#define DEVICE_NAME L"\\Device\\NtTestNamed"

static HANDLE NamedEvent(PCWSTR Name, ULONG Flags, NTSTATUS *Status)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING String;
    HANDLE Handle = NULL;

    RtlInitUnicodeString(&String, Name);
    InitializeObjectAttributes(&Attributes, Name != NULL ? &String : NULL, OBJ_KERNEL_HANDLE | Flags, NULL, NULL);
    *Status = ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE);
    return Handle;
}

static NTSTATUS OpenEvent(PHANDLE Handle)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, EVENT_NAME);
    InitializeObjectAttributes(&Attributes, &String, OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwOpenEvent(Handle, EVENT_ALL_ACCESS, &Attributes);
}

static PKEVENT EventOf(HANDLE Handle)
{
    PVOID Event = NULL;

    CHECK(ObReferenceObjectByHandle(Handle, EVENT_ALL_ACCESS, *ExEventObjectType, KernelMode, &Event, NULL) ==
          STATUS_SUCCESS);
    return Event;
}

/* ---- handles ---- */

static VOID ObjectOpenedByPointer(VOID)
{
    NTSTATUS Status;
    HANDLE Handle = NamedEvent(NULL, 0, &Status);
    HANDLE Second = NULL;
    PKEVENT Event = EventOf(Handle);

    REQUIRE(Event != NULL);
    EXPECT_STATUS(
        ObOpenObjectByPointer(Event, OBJ_KERNEL_HANDLE, NULL, EVENT_ALL_ACCESS, *PsThreadType, KernelMode, &Second),
        STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT_STATUS(ObOpenObjectByPointer(Event, OBJ_KERNEL_HANDLE, NULL, EVENT_ALL_ACCESS, *ExEventObjectType,
                                        KernelMode, &Second),
                  STATUS_SUCCESS);
    EXPECT_TRUE(Second != NULL && Second != Handle);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_STATUS(ZwSetEvent(Second, NULL), STATUS_SUCCESS); /* the same event, by a handle of its own */
    EXPECT_TRUE(KeReadStateEvent(Event) != 0);
    ObDereferenceObject(Event);
    EXPECT_STATUS(ZwResetEvent(Second, NULL), STATUS_SUCCESS); /* which keeps it without the reference */
    EXPECT_STATUS(ZwClose(Second), STATUS_SUCCESS);
}

/* For a caller in kernel mode the type is optional. */
static VOID ObjectOpenedByPointerOfAnyType(VOID)
{
    NTSTATUS Status;
    HANDLE Handle = NamedEvent(NULL, 0, &Status);
    HANDLE Second = NULL;
    PKEVENT Event = EventOf(Handle);

    REQUIRE(Event != NULL);
    EXPECT_STATUS(ObOpenObjectByPointer(Event, OBJ_KERNEL_HANDLE, NULL, EVENT_ALL_ACCESS, NULL, KernelMode, &Second),
                  STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Second), STATUS_SUCCESS);
    ObDereferenceObject(Event);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
}

/* ---- names ---- */

static VOID ObjectName(VOID)
{
    ULONG_PTR Buffer[32];
    POBJECT_NAME_INFORMATION Information = (POBJECT_NAME_INFORMATION)Buffer;
    NTSTATUS Status;
    HANDLE Handle = NamedEvent(EVENT_NAME, 0, &Status);
    PKEVENT Event = EventOf(Handle);
    ULONG Needed = 0;
    ULONG Length = 0;

    REQUIRE(Event != NULL);
    EXPECT_STATUS(ObQueryNameString(Event, NULL, 0, &Needed), STATUS_INFO_LENGTH_MISMATCH);
    EXPECT_TRUE(Needed >= sizeof(OBJECT_NAME_INFORMATION) + sizeof(EVENT_NAME));
    REQUIRE(Needed <= sizeof(Buffer));
    EXPECT_STATUS(ObQueryNameString(Event, Information, Needed - 1, &Length), STATUS_INFO_LENGTH_MISMATCH);
    EXPECT_TRUE(Length == Needed);
    EXPECT_STATUS(ObQueryNameString(Event, Information, Needed, &Length), STATUS_SUCCESS);
    EXPECT_UNICODE(&Information->Name, EVENT_NAME);
    EXPECT_WIDE(Information->Name.Buffer, EVENT_NAME); /* with a terminator */
    ObDereferenceObject(Event);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
}

static VOID ObjectWithoutName(VOID)
{
    ULONG_PTR Buffer[8];
    POBJECT_NAME_INFORMATION Information = (POBJECT_NAME_INFORMATION)Buffer;
    NTSTATUS Status;
    HANDLE Handle = NamedEvent(NULL, 0, &Status);
    PKEVENT Event = EventOf(Handle);
    ULONG Length = 0;

    REQUIRE(Event != NULL);
    RtlFillMemory(Buffer, sizeof(Buffer), 0x5A);
    EXPECT_STATUS(ObQueryNameString(Event, Information, sizeof(Buffer), &Length), STATUS_SUCCESS);
    EXPECT_TRUE(Information->Name.Buffer == NULL);
    EXPECT_EQUAL(Information->Name.Length, 0);
    EXPECT_EQUAL(Information->Name.MaximumLength, 0);
    ObDereferenceObject(Event);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
}

/* A permanent object keeps its name without a handle, a temporary one does not. */
static VOID ObjectMadeTemporary(VOID)
{
    NTSTATUS Status;
    HANDLE Handle = NamedEvent(EVENT_NAME, OBJ_PERMANENT, &Status);

    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_STATUS(OpenEvent(&Handle), STATUS_SUCCESS);
    EXPECT_STATUS(ZwMakeTemporaryObject(Handle), STATUS_SUCCESS);
    EXPECT_STATUS(ZwMakeTemporaryObject(Handle), STATUS_SUCCESS); /* it is already: nothing happens */
    EXPECT_STATUS(ZwSetEvent(Handle, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_STATUS(ZwMakeTemporaryObject(Handle), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(OpenEvent(&Handle), STATUS_OBJECT_NAME_NOT_FOUND);
}

/* ---- files of a device ---- */

static struct {
    KEVENT Closed;
    ULONG Options;
    ULONG ShareAccess;
    KIRQL Irql;      /* of IRP_MJ_CLOSE */
    PKTHREAD Thread; /* and whose it came in */
    BOOLEAN Refuses;
} Named;

static NTSTATUS NTAPI Dispatch(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    BOOLEAN Close = Stack->MajorFunction == IRP_MJ_CLOSE;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(DeviceObject);
    if (Stack->MajorFunction == IRP_MJ_CREATE) {
        Named.Options = Stack->Parameters.Create.Options;
        Named.ShareAccess = Stack->Parameters.Create.ShareAccess;
        if (Named.Refuses)
            return TestComplete(Irp, STATUS_ACCESS_DENIED, 0);
    }
    if (Close) {
        Named.Irql = KeGetCurrentIrql();
        Named.Thread = KeGetCurrentThread();
    }
    Status = TestComplete(Irp, STATUS_SUCCESS, Stack->MajorFunction == IRP_MJ_CREATE ? FILE_OPENED : 0);
    if (Close)
        (VOID) KeSetEvent(&Named.Closed, IO_NO_INCREMENT, FALSE);
    return Status;
}

static PDEVICE_OBJECT NamedDevice(VOID)
{
    RtlZeroMemory(&Named, sizeof(Named));
    KeInitializeEvent(&Named.Closed, NotificationEvent, FALSE);
    return TestCreateDevice(DEVICE_NAME, 0, Dispatch);
}

static NTSTATUS OpenFile(PCWSTR Path, PHANDLE Handle, PIO_STATUS_BLOCK Result)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwOpenFile(Handle, GENERIC_READ | SYNCHRONIZE, &Attributes, Result, FILE_SHARE_READ,
                      FILE_SYNCHRONOUS_IO_NONALERT);
}

static VOID FileOpenedOfADevice(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(5000);
    PDEVICE_OBJECT DeviceObject = NamedDevice();
    IO_STATUS_BLOCK Result;
    HANDLE Handle = NULL;

    REQUIRE(DeviceObject != NULL);
    EXPECT_STATUS(OpenFile(DEVICE_NAME L"Not", &Handle, &Result), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(OpenFile(DEVICE_NAME, &Handle, &Result), STATUS_SUCCESS);
    EXPECT_STATUS(Result.Status, STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, FILE_OPENED);
    EXPECT_EQUAL(Named.Options >> 24, FILE_OPEN); /* never creates one */
    EXPECT_TRUE((Named.Options & FILE_SYNCHRONOUS_IO_NONALERT) != 0);
    EXPECT_EQUAL(Named.ShareAccess, FILE_SHARE_READ);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(&Named.Closed, Executive, KernelMode, FALSE, &Timeout), STATUS_SUCCESS);
    Named.Refuses = TRUE;
    EXPECT_STATUS(OpenFile(DEVICE_NAME, &Handle, &Result), STATUS_ACCESS_DENIED); /* the driver's */
    IoDeleteDevice(DeviceObject);
}

/* The last reference goes at DISPATCH_LEVEL, and the file at PASSIVE_LEVEL in a worker thread. */
static VOID ObjectDeletedLater(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(5000);
    PDEVICE_OBJECT DeviceObject = NamedDevice();
    IO_STATUS_BLOCK Result;
    HANDLE Handle = NULL;
    PVOID File = NULL;
    KIRQL Irql;

    REQUIRE(DeviceObject != NULL);
    EXPECT_STATUS(OpenFile(DEVICE_NAME, &Handle, &Result), STATUS_SUCCESS);
    EXPECT_STATUS(ObReferenceObjectByHandle(Handle, 0, *IoFileObjectType, KernelMode, &File, NULL), STATUS_SUCCESS);
    REQUIRE(File != NULL);
    ObReferenceObject(File);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ObDereferenceObjectDeferDelete(File);
    KeLowerIrql(Irql);
    SleepMilliseconds(50);
    EXPECT_EQUAL(KeReadStateEvent(&Named.Closed), 0); /* a reference is left */
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ObDereferenceObjectDeferDelete(File);
    KeLowerIrql(Irql);
    EXPECT_STATUS(KeWaitForSingleObject(&Named.Closed, Executive, KernelMode, FALSE, &Timeout), STATUS_SUCCESS);
    EXPECT_EQUAL(Named.Irql, PASSIVE_LEVEL);
    EXPECT_TRUE(Named.Thread != KeGetCurrentThread());
    IoDeleteDevice(DeviceObject);
}

TEST_TABLE(ob_name){
    TEST(ObjectOpenedByPointer, 0),
    TEST(ObjectOpenedByPointerOfAnyType, 0),
    TEST(ObjectName, 0),
    TEST(ObjectWithoutName, 0),
    TEST(ObjectMadeTemporary, 0),
    TEST(FileOpenedOfADevice, 0),
    TEST(ObjectDeletedLater, TEST_SCHEDULES),
    TEST_END,
};
