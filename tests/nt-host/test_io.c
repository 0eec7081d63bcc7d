/*
 * The I/O manager: devices, IRPs down and up a stack, completion, cancellation, files. Rules are
 * those of Microsoft's wdm.h reference and of "Rules for WDM Drivers".
 */
#include "common/guest.h"

#include <string.h>

#include "nt/ex/pool.h"
#include "nt/io/io.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

#define TAG POOL_TAG('T', 'e', 's', 't')
#define READ_BYTES 64u
#define IOCTL_SUM CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_FILL CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_OUT_DIRECT, FILE_ANY_ACCESS)
#define IOCTL_RAW CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_NEITHER, FILE_ANY_ACCESS)

/* What the test driver's lower device does with a request. */
enum behaviour {
    COMPLETES,
    PENDS, /* marks, hands to a thread, returns STATUS_PENDING */
    PENDS_UNMARKED,
    MARKS_AND_COMPLETES, /* marked pending, but another status returned */
    LIES,                /* completes with one status, returns another */
    CHANGES_IRQL,
    COMPLETES_TWICE,
    COMPLETES_PENDING, /* with STATUS_PENDING in the IRP */
    QUEUES             /* in a cancel-safe queue */
};

struct extension {
    PDEVICE_OBJECT lower; /* NULL: the bottom */
    enum behaviour behaviour;
};

static struct {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT bottom;
    PDEVICE_OBJECT top;
    unsigned creates, cleanups, closes, order;
    unsigned cleanup_at, close_at;
    unsigned passed; /* completion routine of the top */
    BOOLEAN pending_returned;
    PDEVICE_OBJECT completion_device;
    NTSTATUS completion_answer;
    bool no_completion_routine; /* the top passes requests on and forgets them */
    PIRP waiting;
    KEVENT given; /* `waiting` is set */
    IO_CSQ csq;
    LIST_ENTRY queue;
    KSPIN_LOCK queue_lock;
    unsigned cancelled;
} test;

static struct extension *extension_of(PDEVICE_OBJECT device)
{
    return device->DeviceExtension;
}

static NTSTATUS finish(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI top_done(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)context;
    test.passed++;
    test.completion_device = device;
    test.pending_returned = irp->PendingReturned;
    if (test.completion_answer != STATUS_MORE_PROCESSING_REQUIRED && irp->PendingReturned)
        IoMarkIrpPending(irp);
    return test.completion_answer;
}

static NTSTATUS behave(PDEVICE_OBJECT device, PIRP irp)
{
    KIRQL irql;

    switch (extension_of(device)->behaviour) {
    case COMPLETES:
        return finish(irp, STATUS_SUCCESS, 0);
    case PENDS:
        IoMarkIrpPending(irp);
        test.waiting = irp;
        KeSetEvent(&test.given, IO_NO_INCREMENT, FALSE);
        return STATUS_PENDING;
    case PENDS_UNMARKED:
        (void)finish(irp, STATUS_SUCCESS, 0);
        return STATUS_PENDING;
    case MARKS_AND_COMPLETES:
        IoMarkIrpPending(irp);
        return finish(irp, STATUS_SUCCESS, 0);
    case LIES:
        (void)finish(irp, STATUS_SUCCESS, 0);
        return STATUS_UNSUCCESSFUL;
    case CHANGES_IRQL:
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        return finish(irp, STATUS_SUCCESS, 0);
    case COMPLETES_TWICE:
        (void)finish(irp, STATUS_SUCCESS, 0);
        return finish(irp, STATUS_SUCCESS, 0);
    case COMPLETES_PENDING:
        return finish(irp, STATUS_PENDING, 0);
    case QUEUES:
        IoCsqInsertIrp(&test.csq, irp, NULL);
        return STATUS_PENDING;
    }
    return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static NTSTATUS NTAPI dispatch_read(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    struct extension *extension = extension_of(device);

    if (extension->lower != NULL) {
        IoCopyCurrentIrpStackLocationToNext(irp);
        if (!test.no_completion_routine)
            IoSetCompletionRoutine(irp, top_done, NULL, TRUE, TRUE, TRUE);
        return IoCallDriver(extension->lower, irp);
    }
    if (extension->behaviour == COMPLETES && stack->Parameters.Read.Length != 0) {
        void *buffer = irp->MdlAddress != NULL ? MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority)
                                               : irp->AssociatedIrp.SystemBuffer;

        memset(buffer, 0x5a, stack->Parameters.Read.Length);
        return finish(irp, STATUS_SUCCESS, stack->Parameters.Read.Length);
    }
    return behave(device, irp);
}

static NTSTATUS NTAPI dispatch_control(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    ULONG output = stack->Parameters.DeviceIoControl.OutputBufferLength;
    const UCHAR *bytes = irp->AssociatedIrp.SystemBuffer;
    ULONG sum = 0;

    (void)device;
    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_SUM:
        for (ULONG i = 0; i < stack->Parameters.DeviceIoControl.InputBufferLength; i++)
            sum += bytes[i];
        if (output < sizeof(sum))
            return finish(irp, STATUS_BUFFER_TOO_SMALL, 0);
        memcpy(irp->AssociatedIrp.SystemBuffer, &sum, sizeof(sum));
        return finish(irp, STATUS_SUCCESS, sizeof(sum));
    case IOCTL_FILL:
        memset(MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority), bytes[0], output);
        return finish(irp, STATUS_SUCCESS, output);
    case IOCTL_RAW:
        memcpy(irp->UserBuffer, stack->Parameters.DeviceIoControl.Type3InputBuffer, output);
        return finish(irp, STATUS_SUCCESS, output);
    default:
        return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static NTSTATUS NTAPI dispatch_file(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    test.order++;
    switch (IoGetCurrentIrpStackLocation(irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        test.creates++;
        break;
    case IRP_MJ_CLEANUP:
        test.cleanups++;
        test.cleanup_at = test.order;
        break;
    default:
        test.closes++;
        test.close_at = test.order;
        break;
    }
    return finish(irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    (void)driver;
}

static NTSTATUS NTAPI driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    driver->MajorFunction[IRP_MJ_READ] = dispatch_read;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch_control;
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_file;
    driver->MajorFunction[IRP_MJ_CLEANUP] = dispatch_file;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_file;
    return STATUS_SUCCESS;
}

static PDEVICE_OBJECT make_device(const WCHAR *name, enum behaviour behaviour)
{
    PDEVICE_OBJECT device;
    UNICODE_STRING string;

    if (name != NULL)
        RtlInitUnicodeString(&string, name);
    ck_assert_int_eq(IoCreateDevice(test.driver, sizeof(struct extension), name != NULL ? &string : NULL,
                                    FILE_DEVICE_UNKNOWN, 0, FALSE, &device),
                     STATUS_SUCCESS);
    extension_of(device)->behaviour = behaviour;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return device;
}

/* A stack of two devices; the lower behaves as asked. */
static void set_up(enum behaviour behaviour)
{
    memset(&test, 0, sizeof(test));
    ck_assert_int_eq(io_create_builtin_driver("tester", driver_entry, &test.driver), STATUS_SUCCESS);
    KeInitializeEvent(&test.given, SynchronizationEvent, FALSE);
    test.bottom = make_device(L"\\Device\\Tester", behaviour);
    test.top = make_device(NULL, COMPLETES);
    extension_of(test.top)->lower = IoAttachDeviceToDeviceStack(test.top, test.bottom);
    ck_assert_ptr_eq(extension_of(test.top)->lower, test.bottom);
    ck_assert_int_eq(test.top->StackSize, 2);
}

static void tear_down(void)
{
    struct census *census;

    IoDetachDevice(test.bottom);
    IoDeleteDevice(test.top);
    IoDeleteDevice(test.bottom);
    ck_assert_int_eq(io_unload_driver(test.driver), STATUS_SUCCESS);
    ob_dereference(test.driver);
    census = census_take();
    ck_assert_uint_eq(census_total(census, "device object"), 0);
    ck_assert_uint_eq(census_total(census, "driver"), 0);
    ck_assert_uint_eq(census_total(census, "irp"), 0);
    ck_assert_uint_eq(census_total(census, "interrupt"), 0);
    ck_assert_uint_eq(census_total(census, "handle"), 0);
    census_free(census);
}

static NTSTATUS send_read(void)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_READ};

    return io_send_synchronous(test.bottom, &stack, STATUS_NOT_SUPPORTED, NULL);
}

/* ---- devices ---- */

static void device_names(void *argument)
{
    UNICODE_STRING name;
    UNICODE_STRING link;
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    (void)argument;
    set_up(COMPLETES);
    RtlInitUnicodeString(&name, L"\\Device\\Tester");
    ck_assert_int_eq(IoCreateDevice(test.driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device),
                     STATUS_OBJECT_NAME_COLLISION);
    ck_assert_ptr_null(device);
    RtlInitUnicodeString(&link, L"\\DosDevices\\TestLink");
    ck_assert_int_eq(IoCreateSymbolicLink(&link, &name), STATUS_SUCCESS);
    ck_assert_int_eq(IoCreateSymbolicLink(&link, &name), STATUS_OBJECT_NAME_COLLISION);
    ck_assert_int_eq(IoGetDeviceObjectPointer(&link, FILE_READ_DATA, &file, &device), STATUS_SUCCESS);
    ck_assert_ptr_eq(device, test.top); /* the top of the stack, not the named device */
    ck_assert_ptr_eq(file->DeviceObject, test.bottom);
    ck_assert_uint_eq(test.cleanups, 1); /* the handle is closed, the reference keeps the file object */
    ck_assert_uint_eq(test.closes, 0);
    ObDereferenceObject(file);
    ck_assert_uint_eq(test.closes, 1);
    ck_assert_int_eq(IoDeleteSymbolicLink(&link), STATUS_SUCCESS);
    ck_assert_int_eq(IoGetDeviceObjectPointer(&link, FILE_READ_DATA, &file, &device), STATUS_OBJECT_NAME_NOT_FOUND);
    tear_down();
}

START_TEST(test_device_names)
{
    guest_run(device_names, NULL);
}
END_TEST

static uint64_t device_count(void)
{
    struct census *census = census_take();
    uint64_t count = census_total(census, "device object");

    census_free(census);
    return count;
}

static void delete_waits_for_close(void *argument)
{
    UNICODE_STRING name;
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    (void)argument;
    set_up(COMPLETES);
    device = make_device(L"\\Device\\Short", COMPLETES);
    RtlInitUnicodeString(&name, L"\\Device\\Short");
    ck_assert_int_eq(IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device), STATUS_SUCCESS);
    IoDeleteDevice(device);
    ck_assert_ptr_eq(file->DeviceObject, device);
    ck_assert_uint_eq(device_count(), 3);
    ObDereferenceObject(file);
    ck_assert_uint_eq(device_count(), 2);
    tear_down();
}

START_TEST(test_delete_waits_for_close)
{
    guest_run(delete_waits_for_close, NULL);
}
END_TEST

/* A bus driver deletes a child's device before the driver above, which passed the request down, has detached. */
static void delete_attached(void *argument)
{
    (void)argument;
    set_up(COMPLETES);
    IoDeleteDevice(test.bottom);
    ck_assert_uint_eq(device_count(), 2);
    IoDetachDevice(test.bottom);
    ck_assert_uint_eq(device_count(), 1);
    IoDeleteDevice(test.top);
    ck_assert_uint_eq(device_count(), 0);
    ck_assert_int_eq(io_unload_driver(test.driver), STATUS_SUCCESS);
    ob_dereference(test.driver);
}

START_TEST(test_delete_attached)
{
    guest_run(delete_attached, NULL);
}
END_TEST

static void delete_while_attached_to_another(void *argument)
{
    (void)argument;
    set_up(COMPLETES);
    IoDeleteDevice(test.top); /* without IoDetachDevice */
}

START_TEST(test_delete_while_attached_to_another)
{
    struct machine_config config = guest_config(1);

    guest_must_fail(&config, delete_while_attached_to_another, NULL, "device-delete");
}
END_TEST

/* ---- IRPs ---- */

static void round_trip(void *argument)
{
    (void)argument;
    set_up(COMPLETES);
    test.completion_answer = STATUS_CONTINUE_COMPLETION;
    ck_assert_int_eq(send_read(), STATUS_SUCCESS);
    ck_assert_uint_eq(test.passed, 1);
    ck_assert(!test.pending_returned);
    ck_assert_ptr_eq(test.completion_device, test.top); /* a completion routine is given its own driver's device */
    tear_down();
}

START_TEST(test_round_trip)
{
    guest_run(round_trip, NULL);
}
END_TEST

static VOID NTAPI complete_waiting(PVOID argument)
{
    (void)argument;
    KeWaitForSingleObject(&test.given, Executive, KernelMode, FALSE, NULL);
    (void)finish(test.waiting, STATUS_DEVICE_NOT_CONNECTED, 0);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void start_thread(PKSTART_ROUTINE routine)
{
    HANDLE handle;

    ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, NULL), STATUS_SUCCESS);
    ZwClose(handle);
}

static void pending(void *argument)
{
    (void)argument;
    set_up(PENDS);
    test.completion_answer = STATUS_CONTINUE_COMPLETION;
    start_thread(complete_waiting);
    ck_assert_int_eq(send_read(), STATUS_DEVICE_NOT_CONNECTED);
    ck_assert_uint_eq(test.passed, 1);
    ck_assert(test.pending_returned);
    tear_down();
}

START_TEST(test_pending)
{
    guest_run(pending, NULL);
}
END_TEST

/* A driver without a completion routine returns what the lower one did: the mark comes up to its location by itself. */
static void pending_through(void *argument)
{
    (void)argument;
    set_up(PENDS);
    test.no_completion_routine = true;
    start_thread(complete_waiting);
    ck_assert_int_eq(send_read(), STATUS_DEVICE_NOT_CONNECTED);
    ck_assert_uint_eq(test.passed, 0);
    tear_down();
}

START_TEST(test_pending_through)
{
    guest_run(pending_through, NULL);
}
END_TEST

static NTSTATUS NTAPI take_back(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)irp;
    ck_assert_ptr_null(device); /* the creator has no stack location and so no device */
    *(bool *)context = true;
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void own_irp(void *argument)
{
    bool back = false;
    PIRP irp;

    (void)argument;
    set_up(COMPLETES);
    irp = IoAllocateIrp(test.bottom->StackSize, FALSE);
    ck_assert_ptr_nonnull(irp);
    for (unsigned round = 0; round < 3; round++) {
        IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
        IoSetCompletionRoutine(irp, take_back, &back, TRUE, TRUE, TRUE);
        ck_assert_int_eq(IoCallDriver(test.bottom, irp), STATUS_SUCCESS);
        ck_assert(back);
        ck_assert_int_eq(irp->IoStatus.Status, STATUS_SUCCESS);
        IoReuseIrp(irp, STATUS_UNSUCCESSFUL);
        ck_assert_int_eq(irp->IoStatus.Status, STATUS_UNSUCCESSFUL);
        back = false;
    }
    IoFreeIrp(irp);
    tear_down();
}

START_TEST(test_own_irp)
{
    guest_run(own_irp, NULL);
}
END_TEST

static void send_with_behaviour(void *argument)
{
    set_up(*(enum behaviour *)argument);
    (void)send_read();
}

static const struct {
    enum behaviour behaviour;
    const char *rule;
    uint32_t code;
} misbehaviours[] = {
    {PENDS_UNMARKED, "irp-pending-not-marked", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {MARKS_AND_COMPLETES, "irp-marked-not-pending", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {LIES, "irp-status", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {CHANGES_IRQL, "irp-irql-changed", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {COMPLETES_TWICE, "irp-double-completion", MULTIPLE_IRP_COMPLETE_REQUESTS},
    {COMPLETES_PENDING, "irp-complete-pending", DRIVER_VERIFIER_DETECTED_VIOLATION},
};

START_TEST(test_misbehaviour)
{
    struct machine_config config = guest_config(1);
    enum behaviour behaviour = misbehaviours[_i].behaviour;
    const struct failure *failure = guest_must_fail(&config, send_with_behaviour, &behaviour, misbehaviours[_i].rule);

    ck_assert_uint_eq(failure->code, misbehaviours[_i].code);
}
END_TEST

static void no_stack_left(void *argument)
{
    PIRP irp;

    (void)argument;
    set_up(COMPLETES);
    irp = IoAllocateIrp(1, FALSE);
    IoSetNextIrpStackLocation(irp); /* a location for the sender itself, and none is left for the driver */
    (void)IoCallDriver(test.bottom, irp);
}

START_TEST(test_no_stack_left)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, no_stack_left, NULL, "irp-stack");

    ck_assert_uint_eq(failure->code, NO_MORE_IRP_STACK_LOCATIONS);
}
END_TEST

static void unclaimed(void *argument)
{
    PIRP irp;

    (void)argument;
    set_up(COMPLETES);
    irp = IoAllocateIrp(test.bottom->StackSize, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
    (void)IoCallDriver(test.bottom, irp);
}

START_TEST(test_unclaimed)
{
    struct machine_config config = guest_config(1);

    guest_must_fail(&config, unclaimed, NULL, "irp-unclaimed");
}
END_TEST

static void free_in_flight(void *argument)
{
    PIRP irp;

    (void)argument;
    set_up(PENDS);
    irp = IoAllocateIrp(test.bottom->StackSize, FALSE);
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
    ck_assert_int_eq(IoCallDriver(test.bottom, irp), STATUS_PENDING);
    IoFreeIrp(irp);
}

START_TEST(test_free_in_flight)
{
    struct machine_config config = guest_config(1);

    guest_must_fail(&config, free_in_flight, NULL, "irp-free-in-flight");
}
END_TEST

/* ---- requests with buffers ---- */

static NTSTATUS control(ULONG code, void *input, ULONG input_length, void *output, ULONG output_length,
                        IO_STATUS_BLOCK *result)
{
    KEVENT event;
    NTSTATUS status;
    PIRP irp;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(code, test.bottom, input, input_length, output, output_length, FALSE, &event,
                                        result);
    ck_assert_ptr_nonnull(irp);
    status = IoCallDriver(test.bottom, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        status = result->Status;
    }
    return status;
}

static void transfer_methods(void *argument)
{
    UCHAR input[5] = {1, 2, 3, 4, 5};
    UCHAR raw[5] = {0};
    ULONG sum = 0;
    UCHAR *filled = ExAllocatePoolWithTag(NonPagedPoolNx, PAGE_SIZE * 2, TAG);
    IO_STATUS_BLOCK result = {.Status = STATUS_TIMEOUT};

    (void)argument;
    set_up(COMPLETES);
    ck_assert_int_eq(control(IOCTL_SUM, input, sizeof(input), &sum, sizeof(sum), &result), STATUS_SUCCESS);
    ck_assert_uint_eq(sum, 15);
    ck_assert_uint_eq(result.Information, sizeof(sum));
    result.Status = STATUS_TIMEOUT;
    ck_assert_int_eq(control(IOCTL_SUM, input, sizeof(input), &sum, 2, &result), STATUS_BUFFER_TOO_SMALL);
    ck_assert_int_eq(result.Status, STATUS_TIMEOUT); /* an immediate failure leaves the status block alone */
    memset(filled, 0, PAGE_SIZE * 2);
    ck_assert_int_eq(control(IOCTL_FILL, input, 1, filled + 100, PAGE_SIZE, &result), STATUS_SUCCESS);
    ck_assert_uint_eq(filled[99], 0);
    ck_assert_uint_eq(filled[100], 1);
    ck_assert_uint_eq(filled[PAGE_SIZE + 99], 1);
    ck_assert_uint_eq(filled[PAGE_SIZE + 100], 0);
    ck_assert_int_eq(control(IOCTL_RAW, input, sizeof(input), raw, sizeof(raw), &result), STATUS_SUCCESS);
    ck_assert_mem_eq(raw, input, sizeof(raw));
    ExFreePoolWithTag(filled, TAG);
    tear_down();
}

START_TEST(test_transfer_methods)
{
    guest_run(transfer_methods, NULL);
}
END_TEST

static void synchronous_read(void *argument)
{
    ULONG flags = *(ULONG *)argument;
    UCHAR *buffer = ExAllocatePoolZero(NonPagedPoolNx, READ_BYTES, TAG);
    LARGE_INTEGER offset = {.QuadPart = 0};
    IO_STATUS_BLOCK result;
    KEVENT event;
    PIRP irp;

    set_up(COMPLETES);
    test.bottom->Flags |= flags;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_READ, test.bottom, buffer, READ_BYTES, &offset, &event, &result);
    ck_assert_ptr_nonnull(irp);
    ck_assert_int_eq(IoCallDriver(test.bottom, irp), STATUS_SUCCESS);
    ck_assert_int_eq(result.Status, STATUS_SUCCESS);
    ck_assert_uint_eq(result.Information, READ_BYTES);
    ck_assert_int_ne(KeReadStateEvent(&event), 0);
    for (unsigned i = 0; i < READ_BYTES; i++)
        ck_assert_uint_eq(buffer[i], 0x5a);
    ExFreePoolWithTag(buffer, TAG);
    tear_down();
}

START_TEST(test_synchronous_read)
{
    ULONG flags[] = {DO_BUFFERED_IO, DO_DIRECT_IO};

    guest_run(synchronous_read, &flags[_i]);
}
END_TEST

/* ---- files ---- */

static NTSTATUS open_file(const WCHAR *path, ULONG options, HANDLE *handle)
{
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK result;
    UNICODE_STRING name;

    RtlInitUnicodeString(&name, path);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwCreateFile(handle, GENERIC_READ | SYNCHRONIZE, &attributes, &result, NULL, 0, 0, FILE_OPEN, options, NULL,
                        0);
}

static void synchronous_file(void *argument)
{
    UCHAR buffer[READ_BYTES];
    IO_STATUS_BLOCK result;
    LARGE_INTEGER offset = {.QuadPart = 0};
    HANDLE handle;

    (void)argument;
    set_up(COMPLETES);
    IoDetachDevice(test.bottom); /* the bottom alone answers */
    test.bottom->Flags |= DO_BUFFERED_IO;
    ck_assert_int_eq(open_file(L"\\Device\\Nothing", 0, &handle), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(open_file(L"\\Device\\Tester\\name", FILE_SYNCHRONOUS_IO_NONALERT, &handle), STATUS_SUCCESS);
    ck_assert_uint_eq(test.creates, 1);
    ck_assert_int_eq(ZwReadFile(handle, NULL, NULL, NULL, &result, buffer, sizeof(buffer), &offset, NULL),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(result.Information, sizeof(buffer));
    ck_assert_uint_eq(buffer[READ_BYTES - 1], 0x5a);
    ck_assert_int_eq(ZwWriteFile(handle, NULL, NULL, NULL, &result, buffer, sizeof(buffer), &offset, NULL),
                     STATUS_ACCESS_DENIED);
    extension_of(test.bottom)->behaviour = PENDS;
    start_thread(complete_waiting);
    ck_assert_int_eq(ZwReadFile(handle, NULL, NULL, NULL, &result, buffer, sizeof(buffer), &offset, NULL),
                     STATUS_DEVICE_NOT_CONNECTED); /* waits, and returns what the driver answered */
    ZwClose(handle);
    ck_assert_uint_eq(test.cleanups, 1);
    ck_assert_uint_eq(test.closes, 1);
    ck_assert_uint_lt(test.cleanup_at, test.close_at);
    ck_assert_int_eq(test.bottom->ReferenceCount, 0);
    extension_of(test.top)->lower = IoAttachDeviceToDeviceStack(test.top, test.bottom);
    tear_down();
}

START_TEST(test_synchronous_file)
{
    guest_run(synchronous_file, NULL);
}
END_TEST

static void asynchronous_file(void *argument)
{
    UCHAR buffer[READ_BYTES];
    IO_STATUS_BLOCK result = {.Status = STATUS_TIMEOUT};
    LARGE_INTEGER offset = {.QuadPart = 0};
    PKEVENT event = ob_create(OB_EVENT, sizeof(*event), NULL);
    HANDLE event_handle;
    HANDLE handle;

    (void)argument;
    set_up(PENDS);
    IoDetachDevice(test.bottom);
    test.bottom->Flags |= DO_BUFFERED_IO;
    KeInitializeEvent(event, NotificationEvent, TRUE);
    ck_assert_int_eq(ob_handle_create(event, &event_handle), STATUS_SUCCESS);
    ck_assert_int_eq(open_file(L"\\Device\\Tester", 0, &handle), STATUS_SUCCESS);
    ck_assert_int_eq(ZwReadFile(handle, event_handle, NULL, NULL, &result, buffer, sizeof(buffer), NULL, NULL),
                     STATUS_INVALID_PARAMETER); /* no position to read from */
    ck_assert_int_eq(ZwReadFile(handle, event_handle, NULL, NULL, &result, buffer, sizeof(buffer), &offset, NULL),
                     STATUS_PENDING);
    ck_assert_int_eq(KeReadStateEvent(event), 0); /* the request reset it */
    memset(test.waiting->AssociatedIrp.SystemBuffer, 0x11, 10);
    (void)finish(test.waiting, STATUS_SUCCESS, 10);
    ck_assert_int_ne(KeReadStateEvent(event), 0);
    ck_assert_int_eq(result.Status, STATUS_SUCCESS);
    ck_assert_uint_eq(result.Information, 10);
    ck_assert_uint_eq(buffer[9], 0x11);
    ZwClose(handle);
    ZwClose(event_handle);
    ob_dereference(event);
    extension_of(test.top)->lower = IoAttachDeviceToDeviceStack(test.top, test.bottom);
    tear_down();
}

START_TEST(test_asynchronous_file)
{
    guest_run(asynchronous_file, NULL);
}
END_TEST

/* ---- cancellation ---- */

static VOID NTAPI csq_insert(PIO_CSQ csq, PIRP irp)
{
    (void)csq;
    InsertTailList(&test.queue, &irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI csq_remove(PIO_CSQ csq, PIRP irp)
{
    (void)csq;
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI csq_peek(PIO_CSQ csq, PIRP irp, PVOID context)
{
    PLIST_ENTRY next = irp != NULL ? irp->Tail.Overlay.ListEntry.Flink : test.queue.Flink;

    (void)csq;
    (void)context;
    return next == &test.queue ? NULL : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
}

static VOID NTAPI csq_acquire(PIO_CSQ csq, PKIRQL irql)
{
    (void)csq;
    KeAcquireSpinLock(&test.queue_lock, irql);
}

static VOID NTAPI csq_release(PIO_CSQ csq, KIRQL irql)
{
    (void)csq;
    KeReleaseSpinLock(&test.queue_lock, irql);
}

static VOID NTAPI csq_complete(PIO_CSQ csq, PIRP irp)
{
    (void)csq;
    test.cancelled++;
    (void)finish(irp, STATUS_CANCELLED, 0);
}

static PIRP new_read(bool *back)
{
    PIRP irp = IoAllocateIrp(test.bottom->StackSize, FALSE);

    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
    IoSetCompletionRoutine(irp, take_back, back, TRUE, TRUE, TRUE);
    return irp;
}

static void cancel_safe_queue(void *argument)
{
    bool back[3] = {false};
    PIRP irp[3];

    (void)argument;
    set_up(QUEUES);
    InitializeListHead(&test.queue);
    IoCsqInitialize(&test.csq, csq_insert, csq_remove, csq_peek, csq_acquire, csq_release, csq_complete);
    for (unsigned i = 0; i < 3; i++)
        irp[i] = new_read(&back[i]);
    ck_assert_int_eq(IoCallDriver(test.bottom, irp[0]), STATUS_PENDING);
    ck_assert_int_eq(IoCallDriver(test.bottom, irp[1]), STATUS_PENDING);
    ck_assert(IoCancelIrp(irp[0]));
    ck_assert(back[0]);
    ck_assert_int_eq(irp[0]->IoStatus.Status, STATUS_CANCELLED);
    ck_assert_ptr_eq(IoCsqRemoveNextIrp(&test.csq, NULL), irp[1]);
    ck_assert(!IoCancelIrp(irp[1])); /* nobody's cancel routine is on it any more */
    (void)finish(irp[1], STATUS_SUCCESS, 0);
    ck_assert(back[1]);
    ck_assert(!IoCancelIrp(irp[2])); /* before it is sent: noticed when it is queued */
    ck_assert_int_eq(IoCallDriver(test.bottom, irp[2]), STATUS_PENDING);
    ck_assert(back[2]);
    ck_assert_int_eq(irp[2]->IoStatus.Status, STATUS_CANCELLED);
    ck_assert_uint_eq(test.cancelled, 2);
    ck_assert_ptr_null(IoCsqRemoveNextIrp(&test.csq, NULL));
    for (unsigned i = 0; i < 3; i++)
        IoFreeIrp(irp[i]);
    tear_down();
}

START_TEST(test_cancel_safe_queue)
{
    guest_run(cancel_safe_queue, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/io");
    TCase *devices = tcase_create("devices");
    TCase *irps = tcase_create("irps");
    TCase *files = tcase_create("files");
    TCase *cancel = tcase_create("cancel");

    tcase_add_test(devices, test_device_names);
    tcase_add_test(devices, test_delete_waits_for_close);
    tcase_add_test(devices, test_delete_attached);
    tcase_add_test(devices, test_delete_while_attached_to_another);
    tcase_add_test(irps, test_round_trip);
    tcase_add_test(irps, test_pending);
    tcase_add_test(irps, test_pending_through);
    tcase_add_test(irps, test_own_irp);
    tcase_add_loop_test(irps, test_misbehaviour, 0, (int)RTL_NUMBER_OF(misbehaviours));
    tcase_add_test(irps, test_no_stack_left);
    tcase_add_test(irps, test_unclaimed);
    tcase_add_test(irps, test_free_in_flight);
    tcase_add_test(irps, test_transfer_methods);
    tcase_add_loop_test(irps, test_synchronous_read, 0, 2);
    tcase_add_test(files, test_synchronous_file);
    tcase_add_test(files, test_asynchronous_file);
    tcase_add_test(cancel, test_cancel_safe_queue);
    suite_add_tcase(suite, devices);
    suite_add_tcase(suite, irps);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, cancel);
    return guest_suite_run(suite);
}
