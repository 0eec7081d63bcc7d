/*
 * Requests that the I/O manager builds, and files: IoBuildDeviceIoControlRequest, IoBuildSynchronousFsdRequest,
 * IoBuildAsynchronousFsdRequest, ZwCreateFile, ZwReadFile, ZwWriteFile, ZwDeviceIoControlFile, ZwClose.
 */
#include "nttest.h"

#define NAME L"\\Device\\NtTestBuild"
#ifndef FILE_OPENED
#define FILE_OPENED 1
#endif
#define BYTES 64u
#define IOCTL(_Number, _Method) CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + (_Number), _Method, FILE_ANY_ACCESS)
#define IOCTL_SUM IOCTL(0, METHOD_BUFFERED)
#define IOCTL_FILL IOCTL(1, METHOD_OUT_DIRECT)
#define IOCTL_COPY IOCTL(2, METHOD_NEITHER)
#define IOCTL_SUM_DIRECT IOCTL(3, METHOD_IN_DIRECT)

/* What the device saw, and is to do. */
typedef struct _SEEN {
    UCHAR Major;
    LONGLONG Offset;
    ULONG Length;
    ULONG Creates;
    ULONG Cleanups;
    ULONG Closes;
    ULONG Order;
    ULONG CleanupAt;
    ULONG CloseAt;
    ULONG Options;
    BOOLEAN Pends;
    NTSTATUS Answer; /* to a request for data */
    KEVENT Given;
    PIRP Waiting;
    PFILE_OBJECT File;
} SEEN;

static DRIVER_DISPATCH Serve;
static IO_COMPLETION_ROUTINE FreeIt;

static PUCHAR BufferOf(PIRP Irp)
{
    if (Irp->MdlAddress != NULL)
        return MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    if (Irp->AssociatedIrp.SystemBuffer != NULL)
        return Irp->AssociatedIrp.SystemBuffer;
    return Irp->UserBuffer;
}

static NTSTATUS Control(PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG Input = Stack->Parameters.DeviceIoControl.InputBufferLength;
    ULONG Output = Stack->Parameters.DeviceIoControl.OutputBufferLength;
    PUCHAR Bytes = Irp->AssociatedIrp.SystemBuffer;
    ULONG Sum = 0;
    ULONG Index;

    switch (Stack->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_SUM:
        for (Index = 0; Index < Input; Index++)
            Sum += Bytes[Index];
        if (Output < sizeof(Sum))
            return TestComplete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        RtlCopyMemory(Bytes, &Sum, sizeof(Sum)); /* one buffer for both directions */
        return TestComplete(Irp, STATUS_SUCCESS, sizeof(Sum));
    case IOCTL_FILL:
        RtlFillMemory(BufferOf(Irp), Output, Bytes[0]);
        return TestComplete(Irp, STATUS_SUCCESS, Output);
    case IOCTL_SUM_DIRECT: /* the MDL describes what the driver reads, too */
        for (Index = 0; Index < Output; Index++)
            Sum += BufferOf(Irp)[Index];
        return TestComplete(Irp, Sum == Bytes[0] ? STATUS_SUCCESS : STATUS_DATA_ERROR, 0);
    case IOCTL_COPY:
        RtlCopyMemory(Irp->UserBuffer, Stack->Parameters.DeviceIoControl.Type3InputBuffer, Output);
        return TestComplete(Irp, STATUS_SUCCESS, Output);
    default:
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static NTSTATUS Data(SEEN *Seen, PIRP Irp)
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    Seen->Offset = Stack->Parameters.Read.ByteOffset.QuadPart;
    Seen->Length = Stack->Parameters.Read.Length;
    if (Seen->Pends) {
        IoMarkIrpPending(Irp);
        Seen->Waiting = Irp;
        (VOID) KeSetEvent(&Seen->Given, IO_NO_INCREMENT, FALSE);
        return STATUS_PENDING;
    }
    if (!NT_SUCCESS(Seen->Answer))
        return TestComplete(Irp, Seen->Answer, 0);
    if (Stack->MajorFunction == IRP_MJ_READ)
        RtlFillMemory(BufferOf(Irp), Seen->Length, 0x5A);
    else if (BufferOf(Irp)[0] != 0x33)
        return TestComplete(Irp, STATUS_DATA_ERROR, 0);
    return TestComplete(Irp, STATUS_SUCCESS, Seen->Length);
}

static NTSTATUS NTAPI Serve(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    SEEN *Seen = TestExtension(DeviceObject);
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);

    Seen->Major = Stack->MajorFunction;
    Seen->File = Stack->FileObject;
    Seen->Order++;
    switch (Stack->MajorFunction) {
    case IRP_MJ_CREATE:
        Seen->Creates++;
        Seen->Options = Stack->Parameters.Create.Options;
        return TestComplete(Irp, STATUS_SUCCESS, FILE_OPENED);
    case IRP_MJ_CLEANUP:
        Seen->Cleanups++;
        Seen->CleanupAt = Seen->Order;
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    case IRP_MJ_CLOSE:
        Seen->Closes++;
        Seen->CloseAt = Seen->Order;
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        return Data(Seen, Irp);
    case IRP_MJ_DEVICE_CONTROL:
    case IRP_MJ_INTERNAL_DEVICE_CONTROL:
        return Control(Irp);
    case IRP_MJ_FLUSH_BUFFERS:
    case IRP_MJ_SHUTDOWN:
        return TestComplete(Irp, STATUS_SUCCESS, 0);
    default:
        return TestComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static PDEVICE_OBJECT Create(PCWSTR Name, ULONG Flags)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(Name, sizeof(SEEN), Serve);

    if (DeviceObject == NULL)
        return NULL;
    KeInitializeEvent(&((SEEN *)TestExtension(DeviceObject))->Given, SynchronizationEvent, FALSE);
    DeviceObject->Flags |= Flags;
    return DeviceObject;
}

static VOID NTAPI CompleteLater(PVOID Context)
{
    SEEN *Seen = Context;

    (VOID) KeWaitForSingleObject(&Seen->Given, Executive, KernelMode, FALSE, NULL);
    SleepMilliseconds(20);
    (VOID) TestComplete(Seen->Waiting, STATUS_DEVICE_NOT_CONNECTED, 0);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- IoBuildDeviceIoControlRequest ---- */

static NTSTATUS SendControl(PDEVICE_OBJECT DeviceObject, ULONG Code, PVOID Input, ULONG InputLength, PVOID Output,
                            ULONG OutputLength, BOOLEAN Internal, PIO_STATUS_BLOCK Result)
{
    NTSTATUS Status;
    KEVENT Event;
    PIRP Irp;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp = IoBuildDeviceIoControlRequest(Code, DeviceObject, Input, InputLength, Output, OutputLength, Internal, &Event,
                                        Result);
    CHECK(Irp != NULL);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Status = IoCallDriver(DeviceObject, Irp);
    if (Status == STATUS_PENDING) {
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        Status = Result->Status;
    }
    return Status;
}

/* Each method hands the buffers over in its own way. */
static VOID ControlMethods(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NULL, 0);
    PUCHAR Filled = TestAllocate(2 * PAGE_SIZE);
    UCHAR Input[5] = {1, 2, 3, 4, 5};
    UCHAR Raw[5] = {0};
    ULONG Sum = 0;
    UCHAR Expected = 5; /* five ones */
    IO_STATUS_BLOCK Result;
    SEEN *Seen;

    REQUIRE(DeviceObject != NULL && Filled != NULL);
    Seen = TestExtension(DeviceObject);
    EXPECT_STATUS(SendControl(DeviceObject, IOCTL_SUM, Input, sizeof(Input), &Sum, sizeof(Sum), FALSE, &Result),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Sum, 15);
    EXPECT_EQUAL(Result.Information, sizeof(Sum));
    EXPECT_EQUAL(Seen->Major, IRP_MJ_DEVICE_CONTROL);
    EXPECT_STATUS(SendControl(DeviceObject, IOCTL_SUM, Input, sizeof(Input), &Sum, 2, TRUE, &Result),
                  STATUS_BUFFER_TOO_SMALL);
    EXPECT_EQUAL(Seen->Major, IRP_MJ_INTERNAL_DEVICE_CONTROL);
    EXPECT_STATUS(SendControl(DeviceObject, IOCTL_FILL, Input, 1, Filled + 100, PAGE_SIZE, FALSE, &Result),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Filled[99], 0);
    EXPECT_EQUAL(Filled[100], 1);
    EXPECT_EQUAL(Filled[PAGE_SIZE + 99], 1);
    EXPECT_EQUAL(Filled[PAGE_SIZE + 100], 0);
    EXPECT_STATUS(SendControl(DeviceObject, IOCTL_SUM_DIRECT, &Expected, 1, Filled + 100, 5, FALSE, &Result),
                  STATUS_SUCCESS);
    EXPECT_STATUS(SendControl(DeviceObject, IOCTL_COPY, Input, sizeof(Input), Raw, sizeof(Raw), FALSE, &Result),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Raw[4], 5);
    EXPECT_STATUS(SendControl(DeviceObject, IOCTL(9, METHOD_BUFFERED), NULL, 0, NULL, 0, FALSE, &Result),
                  STATUS_INVALID_DEVICE_REQUEST);
    TestFree(Filled);
    IoDeleteDevice(DeviceObject);
}

/* ---- IoBuild...FsdRequest ---- */

static VOID SynchronousRequests(VOID)
{
    static const ULONG Kinds[] = {DO_BUFFERED_IO, DO_DIRECT_IO, 0};
    static const UCHAR Majors[] = {IRP_MJ_READ, IRP_MJ_WRITE, IRP_MJ_FLUSH_BUFFERS, IRP_MJ_SHUTDOWN};
    LARGE_INTEGER Offset = {.QuadPart = 0x1234};
    ULONG Kind;
    ULONG Major;

    for (Kind = 0; Kind < ARRAYSIZE(Kinds); Kind++) {
        PDEVICE_OBJECT DeviceObject = Create(NULL, Kinds[Kind]);
        SEEN *Seen;

        REQUIRE(DeviceObject != NULL);
        Seen = TestExtension(DeviceObject);
        for (Major = 0; Major < ARRAYSIZE(Majors); Major++) {
            BOOLEAN Moves = Majors[Major] == IRP_MJ_READ || Majors[Major] == IRP_MJ_WRITE;
            PUCHAR Buffer = TestAllocate(BYTES);
            IO_STATUS_BLOCK Result;
            KEVENT Event;
            PIRP Irp;

            REQUIRE(Buffer != NULL);
            RtlFillMemory(Buffer, BYTES, 0x33);
            KeInitializeEvent(&Event, NotificationEvent, FALSE);
            Irp = IoBuildSynchronousFsdRequest(Majors[Major], DeviceObject, Moves ? Buffer : NULL, Moves ? BYTES : 0,
                                               Moves ? &Offset : NULL, &Event, &Result);
            REQUIRE(Irp != NULL);
            EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_SUCCESS);
            (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
            EXPECT_STATUS(Result.Status, STATUS_SUCCESS);
            EXPECT_EQUAL(Seen->Major, Majors[Major]);
            if (Moves) {
                EXPECT_EQUAL(Result.Information, BYTES);
                EXPECT_EQUAL(Seen->Offset, 0x1234);
                EXPECT_EQUAL(Buffer[BYTES - 1], Majors[Major] == IRP_MJ_READ ? 0x5A : 0x33);
            }
            TestFree(Buffer);
        }
        IoDeleteDevice(DeviceObject);
    }
}

/* The event is set, and the status there, when a driver completes it later. */
static VOID SynchronousRequestPends(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NULL, DO_BUFFERED_IO);
    LARGE_INTEGER Offset = {.QuadPart = 0};
    UCHAR Buffer[BYTES];
    IO_STATUS_BLOCK Result;
    PVOID Thread;
    KEVENT Event;
    SEEN *Seen;
    PIRP Irp;

    REQUIRE(DeviceObject != NULL);
    Seen = TestExtension(DeviceObject);
    Seen->Pends = TRUE;
    Thread = TestStart(CompleteLater, Seen);
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_READ, DeviceObject, Buffer, BYTES, &Offset, &Event, &Result);
    REQUIRE(Irp != NULL);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_PENDING);
    (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
    EXPECT_STATUS(Result.Status, STATUS_DEVICE_NOT_CONNECTED);
    TestJoin(Thread);
    IoDeleteDevice(DeviceObject);
}

static NTSTATUS NTAPI FreeIt(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    *(NTSTATUS *)Context = Irp->IoStatus.Status;
    if (Irp->AssociatedIrp.SystemBuffer != NULL && (Irp->Flags & IRP_DEALLOCATE_BUFFER))
        ExFreePool(Irp->AssociatedIrp.SystemBuffer);
    if (Irp->MdlAddress != NULL) {
        if (Irp->MdlAddress->MdlFlags & MDL_PAGES_LOCKED)
            MmUnlockPages(Irp->MdlAddress);
        IoFreeMdl(Irp->MdlAddress);
    }
    IoFreeIrp(Irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* The sender's completion routine takes the IRP back and frees it; at DISPATCH_LEVEL too. */
static VOID AsynchronousRequest(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NULL, 0);
    PUCHAR Buffer = TestAllocate(BYTES);
    LARGE_INTEGER Offset = {.QuadPart = 0x4321};
    NTSTATUS Answer = STATUS_PENDING;
    IO_STATUS_BLOCK Result;
    NTSTATUS Status;
    KIRQL Irql;
    SEEN *Seen;
    PIRP Irp;

    REQUIRE(DeviceObject != NULL && Buffer != NULL);
    Seen = TestExtension(DeviceObject);
    Irp = IoBuildAsynchronousFsdRequest(IRP_MJ_READ, DeviceObject, Buffer, BYTES, &Offset, &Result);
    REQUIRE(Irp != NULL);
    IoSetCompletionRoutine(Irp, FreeIt, &Answer, TRUE, TRUE, TRUE);
    EXPECT_STATUS(IoCallDriver(DeviceObject, Irp), STATUS_SUCCESS);
    EXPECT_STATUS(Answer, STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Offset, 0x4321);
    EXPECT_EQUAL(Buffer[BYTES - 1], 0x5A);
    KeRaiseIrql(APC_LEVEL, &Irql);
    Irp = IoBuildAsynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, DeviceObject, NULL, 0, NULL, NULL);
    Status = STATUS_INSUFFICIENT_RESOURCES;
    if (Irp != NULL) {
        IoSetCompletionRoutine(Irp, FreeIt, &Answer, TRUE, TRUE, TRUE);
        Status = IoCallDriver(DeviceObject, Irp);
    }
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Major, IRP_MJ_FLUSH_BUFFERS);
    TestFree(Buffer);
    IoDeleteDevice(DeviceObject);
}

static VOID AsynchronousRequestUnclaimed(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NULL, 0);

    (VOID) IoCallDriver(DeviceObject,
                        IoBuildAsynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, DeviceObject, NULL, 0, NULL, NULL));
}

/* ---- files ---- */

static NTSTATUS Open(PCWSTR Path, ACCESS_MASK Access, ULONG Options, PHANDLE Handle, PIO_STATUS_BLOCK Result)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    return ZwCreateFile(Handle, Access, &Attributes, Result, NULL, FILE_ATTRIBUTE_NORMAL, 0, FILE_OPEN, Options, NULL,
                        0);
}

/* Opened for synchronous use, a request returns when it is done, with the driver's answer. */
static VOID FileSynchronous(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NAME, DO_BUFFERED_IO);
    LARGE_INTEGER Offset = {.QuadPart = 0x100};
    UCHAR Buffer[BYTES];
    IO_STATUS_BLOCK Result;
    UCHAR Input[3] = {1, 2, 3};
    ULONG Sum = 0;
    HANDLE Handle;
    PVOID Thread;
    SEEN *Seen;

    REQUIRE(DeviceObject != NULL);
    Seen = TestExtension(DeviceObject);
    EXPECT_STATUS(Open(L"\\Device\\NtTestNothing", GENERIC_READ, 0, &Handle, &Result), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Open(NAME L"\\file", GENERIC_READ | SYNCHRONIZE, FILE_SYNCHRONOUS_IO_NONALERT, &Handle, &Result),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, FILE_OPENED);
    EXPECT_EQUAL(Seen->Creates, 1);
    EXPECT_EQUAL(Seen->Options >> 24, FILE_OPEN);
    EXPECT_UNICODE(&Seen->File->FileName, L"\\file");
    EXPECT_STATUS(ZwReadFile(Handle, NULL, NULL, NULL, &Result, Buffer, BYTES, &Offset, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, BYTES);
    EXPECT_EQUAL(Buffer[BYTES - 1], 0x5A);
    EXPECT_EQUAL(Seen->Offset, 0x100);
    EXPECT_STATUS(ZwWriteFile(Handle, NULL, NULL, NULL, &Result, Buffer, BYTES, &Offset, NULL), STATUS_ACCESS_DENIED);
    EXPECT_STATUS(
        ZwDeviceIoControlFile(Handle, NULL, NULL, NULL, &Result, IOCTL_SUM, Input, sizeof(Input), &Sum, sizeof(Sum)),
        STATUS_SUCCESS);
    EXPECT_EQUAL(Sum, 6);
    EXPECT_STATUS(ZwDeviceIoControlFile(Handle, NULL, NULL, NULL, &Result, IOCTL(9, METHOD_BUFFERED), NULL, 0, NULL, 0),
                  STATUS_INVALID_DEVICE_REQUEST);
    Seen->Pends = TRUE;
    Thread = TestStart(CompleteLater, Seen);
    EXPECT_STATUS(ZwReadFile(Handle, NULL, NULL, NULL, &Result, Buffer, BYTES, &Offset, NULL),
                  STATUS_DEVICE_NOT_CONNECTED);
    TestJoin(Thread);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Cleanups, 1);
    EXPECT_EQUAL(Seen->Closes, 1);
    EXPECT_TRUE(Seen->CleanupAt < Seen->CloseAt);

    Seen->Pends = FALSE;
    EXPECT_STATUS(Open(NAME, GENERIC_WRITE | SYNCHRONIZE, FILE_SYNCHRONOUS_IO_NONALERT, &Handle, &Result),
                  STATUS_SUCCESS);
    RtlFillMemory(Buffer, BYTES, 0x33);
    EXPECT_STATUS(ZwWriteFile(Handle, NULL, NULL, NULL, &Result, Buffer, BYTES, &Offset, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, BYTES);
    Seen->Answer = STATUS_DISK_FULL;
    EXPECT_STATUS(ZwWriteFile(Handle, NULL, NULL, NULL, &Result, Buffer, BYTES, &Offset, NULL), STATUS_DISK_FULL);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    IoDeleteDevice(DeviceObject);
}

/* Otherwise STATUS_PENDING comes back, and the file object is set when the request is done. */
static VOID FileAsynchronous(VOID)
{
    PDEVICE_OBJECT DeviceObject = Create(NAME, DO_BUFFERED_IO);
    LARGE_INTEGER Offset = {.QuadPart = 0};
    IO_STATUS_BLOCK Result = {.Information = 0};
    UCHAR Buffer[BYTES];
    HANDLE Handle;
    HANDLE EventHandle;
    PKEVENT Event = NULL;
    OBJECT_ATTRIBUTES Attributes;
    SEEN *Seen;

    REQUIRE(DeviceObject != NULL);
    Seen = TestExtension(DeviceObject);
    Seen->Pends = TRUE;
    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    EXPECT_STATUS(ZwCreateEvent(&EventHandle, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, TRUE), STATUS_SUCCESS);
    EXPECT_STATUS(
        ObReferenceObjectByHandle(EventHandle, EVENT_ALL_ACCESS, *ExEventObjectType, KernelMode, (PVOID *)&Event, NULL),
        STATUS_SUCCESS);
    REQUIRE(Event != NULL);
    EXPECT_STATUS(Open(NAME, GENERIC_READ, 0, &Handle, &Result), STATUS_SUCCESS);
    EXPECT_STATUS(ZwReadFile(Handle, EventHandle, NULL, NULL, &Result, Buffer, BYTES, NULL, NULL),
                  STATUS_INVALID_PARAMETER); /* an asynchronous file has no position */
    EXPECT_STATUS(ZwReadFile(Handle, EventHandle, NULL, NULL, &Result, Buffer, BYTES, &Offset, NULL), STATUS_PENDING);
    EXPECT_EQUAL(KeReadStateEvent(Event), 0); /* the request reset it */
    RtlFillMemory(Seen->Waiting->AssociatedIrp.SystemBuffer, 10, 0x11);
    (VOID) TestComplete(Seen->Waiting, STATUS_SUCCESS, 10);
    (VOID) KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, NULL);
    EXPECT_STATUS(Result.Status, STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, 10);
    EXPECT_EQUAL(Buffer[9], 0x11);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    ObDereferenceObject(Event);
    EXPECT_STATUS(ZwClose(EventHandle), STATUS_SUCCESS);
    IoDeleteDevice(DeviceObject);
}

static VOID ControlCode(VOID)
{
    EXPECT_EQUAL(IoGetFunctionCodeFromCtlCode(IOCTL_SUM), 0x800);
    EXPECT_EQUAL(IoGetFunctionCodeFromCtlCode(CTL_CODE(0x7, 0x12, METHOD_NEITHER, FILE_READ_ACCESS)), 0x12);
    EXPECT_EQUAL(IoGetFunctionCodeFromCtlCode(CTL_CODE(0x7, 0xFFF, METHOD_BUFFERED, FILE_ANY_ACCESS)), 0xFFF);
}

TEST_TABLE(io_build){
    TEST(ControlMethods, 0),
    TEST(SynchronousRequests, 0),
    TEST(SynchronousRequestPends, TEST_SCHEDULES),
    TEST(AsynchronousRequest, 0),
    TEST_VIOLATION(AsynchronousRequestUnclaimed, "irp-unclaimed", 0),
    TEST(FileSynchronous, TEST_SCHEDULES),
    TEST(FileAsynchronous, 0),
    TEST(ControlCode, 0),
    TEST_END,
};
