/*
 * Routines of the I/O and object managers: events by name and handle, the once-a-second timers, StartIo queues, the
 * error log, secure device objects, objects by name and pointer (wdm.h, ntddk.h, ntifs.h, wdmsec.h).
 */
#include <wdm/se.h>
#include <wdmsec.h>

#include "surface.h"

static struct {
    unsigned ticks, started;
    PIRP order[4];
    unsigned cancelled;
    KIRQL irql;
    bool next_inside;
} test;

/* ---- events ---- */

static void events(void *argument)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\BaseNamedObjects\\Surface");
    UNICODE_STRING device_name = RTL_CONSTANT_STRING(L"\\Device\\Surface");
    LARGE_INTEGER zero = {.QuadPart = 0};
    OBJECT_ATTRIBUTES attributes;
    PDEVICE_OBJECT device;
    HANDLE handle;
    HANDLE other;
    PKEVENT event;
    LONG before;

    (void)argument;
    event = IoCreateNotificationEvent(&name, &handle);
    ck_assert_ptr_nonnull(event);
    ck_assert_int_ne(KeReadStateEvent(event), 0); /* signalled */
    KeClearEvent(event);
    ck_assert_ptr_eq(IoCreateNotificationEvent(&name, &other), event); /* the same one */
    ck_assert_int_eq(KeReadStateEvent(event), 0);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwWaitForSingleObject(handle, FALSE, &zero), STATUS_TIMEOUT);
    ck_assert_int_eq(ZwSetEvent(other, &before), STATUS_SUCCESS);
    ck_assert_int_eq(before, 0);
    ck_assert_int_eq(ZwWaitForSingleObject(handle, FALSE, &zero), STATUS_SUCCESS);
    ck_assert_int_eq(ZwResetEvent(handle, &before), STATUS_SUCCESS);
    ck_assert_int_ne(before, 0);
    ck_assert_int_eq(ZwClose(other), STATUS_SUCCESS);
    ck_assert_int_eq(ZwCreateEvent(&other, EVENT_ALL_ACCESS, &attributes, SynchronizationEvent, FALSE),
                     STATUS_OBJECT_NAME_COLLISION);
    ck_assert_int_eq(ZwOpenEvent(&other, EVENT_ALL_ACCESS, &attributes), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(other), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    ck_assert_int_eq(ZwOpenEvent(&other, EVENT_ALL_ACCESS, &attributes), STATUS_OBJECT_NAME_NOT_FOUND); /* gone */

    /* Permanent: stays without handles. */
    attributes.Attributes |= OBJ_PERMANENT;
    ck_assert_int_eq(ZwCreateEvent(&handle, EVENT_ALL_ACCESS, &attributes, SynchronizationEvent, TRUE), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    attributes.Attributes = OBJ_OPENIF;
    ck_assert_int_eq(ZwCreateEvent(&handle, EVENT_ALL_ACCESS, &attributes, SynchronizationEvent, FALSE),
                     STATUS_OBJECT_NAME_EXISTS);
    ck_assert_int_eq(ZwWaitForSingleObject(handle, FALSE, &zero), STATUS_SUCCESS);
    ck_assert_int_eq(ZwWaitForSingleObject(handle, FALSE, &zero), STATUS_TIMEOUT); /* a synchronization event */
    ck_assert_int_eq(ZwMakeTemporaryObject(handle), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    ck_assert_int_eq(ZwOpenEvent(&other, EVENT_ALL_ACCESS, &attributes), STATUS_OBJECT_NAME_NOT_FOUND);

    device = surface_device(NULL);
    InitializeObjectAttributes(&attributes, &device_name, OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwOpenEvent(&other, EVENT_ALL_ACCESS, &attributes), STATUS_OBJECT_TYPE_MISMATCH);
    ck_assert_ptr_null(IoCreateSynchronizationEvent(&device_name, &other));
    surface_remove(device);
    ck_assert_int_eq(ZwSetEvent((HANDLE)(ULONG_PTR)0x7770, NULL), STATUS_INVALID_HANDLE);
    ck_assert_int_eq(ZwCreateEvent(&handle, EVENT_ALL_ACCESS, NULL, (EVENT_TYPE)7, FALSE), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(ZwOpenEvent(&handle, EVENT_ALL_ACCESS, NULL), STATUS_INVALID_PARAMETER);
}

START_TEST(test_events)
{
    guest_run(events, NULL);
}
END_TEST

/* ---- objects ---- */

static void objects(void *argument)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Surface");
    struct {
        OBJECT_NAME_INFORMATION information;
        WCHAR room[64];
    } buffer;
    PDEVICE_OBJECT device;
    HANDLE handle;
    PVOID object;
    ULONG length;

    (void)argument;
    device = surface_device(NULL);
    ck_assert_int_eq(ObReferenceObjectByName(&name, 0, NULL, 0, *IoDeviceObjectType, KernelMode, NULL, &object),
                     STATUS_SUCCESS);
    ck_assert_ptr_eq(object, device);
    ck_assert_int_eq(ObReferenceObjectByName(&name, 0, NULL, 0, *ExEventObjectType, KernelMode, NULL, &object),
                     STATUS_OBJECT_TYPE_MISMATCH);
    ck_assert_int_eq(ObQueryNameString(device, &buffer.information, sizeof(OBJECT_NAME_INFORMATION), &length),
                     STATUS_INFO_LENGTH_MISMATCH);
    ck_assert_uint_eq(length, sizeof(OBJECT_NAME_INFORMATION) + name.Length + sizeof(WCHAR));
    ck_assert_int_eq(ObQueryNameString(device, &buffer.information, sizeof(buffer), &length), STATUS_SUCCESS);
    ck_assert(RtlEqualUnicodeString(&buffer.information.Name, &name, TRUE));
    ck_assert_int_eq(ObQueryNameString(KeGetCurrentThread(), &buffer.information, sizeof(buffer), &length),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(buffer.information.Name.Length, 0); /* has none */

    ck_assert_int_eq(ObOpenObjectByPointer(device, OBJ_KERNEL_HANDLE, NULL, 0, *ExEventObjectType, KernelMode, &handle),
                     STATUS_OBJECT_TYPE_MISMATCH);
    ck_assert_int_eq(
        ObOpenObjectByPointer(device, OBJ_KERNEL_HANDLE, NULL, 0, *IoDeviceObjectType, KernelMode, &handle),
        STATUS_SUCCESS);
    ck_assert_int_eq(ObOpenObjectByPointer(device, 0x80000000, NULL, 0, NULL, KernelMode, &object),
                     STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    ObDereferenceObjectDeferDelete(device);
    surface_remove(device);
}

START_TEST(test_objects)
{
    guest_run(objects, NULL);
}
END_TEST

/* ---- timers ---- */

static VOID NTAPI timer_routine(PDEVICE_OBJECT device, PVOID context)
{
    (void)device;
    ck_assert_ptr_eq(context, &test);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    test.ticks++;
}

static void timers(void *argument)
{
    PDEVICE_OBJECT device;

    (void)argument;
    memset(&test, 0, sizeof(test));
    device = surface_device(NULL);
    ck_assert_int_eq(IoInitializeTimer(device, timer_routine, &test), STATUS_SUCCESS);
    sleep_ms(3000);
    ck_assert_uint_eq(test.ticks, 0);
    IoStartTimer(device);
    IoStartTimer(device);
    sleep_ms(5500);
    ck_assert_uint_eq(test.ticks, 5); /* once a second */
    IoStopTimer(device);
    sleep_ms(3000);
    ck_assert_uint_eq(test.ticks, 5);
    IoStartTimer(device);
    surface_remove(device); /* and the timer with it */
    sleep_ms(3000);
    ck_assert_uint_eq(test.ticks, 5);
}

START_TEST(test_timers)
{
    guest_run(timers, NULL);
}
END_TEST

/* ---- StartIo ---- */

static VOID NTAPI start_io(PDEVICE_OBJECT device, PIRP irp)
{
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ck_assert_ptr_eq(device->CurrentIrp, irp);
    test.order[test.started++] = irp;
    if (test.next_inside) {
        unsigned before = test.started;

        IoStartNextPacket(device, FALSE);
        if (before == 1)
            ck_assert_uint_eq(test.started, 1); /* deferred */
    }
}

static VOID NTAPI cancel_queued(PDEVICE_OBJECT device, PIRP irp)
{
    if (irp != device->CurrentIrp)
        ck_assert(KeRemoveEntryDeviceQueue(&device->DeviceQueue, &irp->Tail.Overlay.DeviceQueueEntry));
    IoReleaseCancelSpinLock(irp->CancelIrql);
    test.cancelled++;
}

/* An IRP of our own, in a stack location of our own. */
static void prepare(PIRP irp, PDEVICE_OBJECT device)
{
    IoSetNextIrpStackLocation(irp);
    IoGetCurrentIrpStackLocation(irp)->DeviceObject = device;
}

static void queues(void *argument)
{
    PDEVICE_OBJECT device;
    ULONG keys[] = {30, 10, 20};
    PIRP irps[4];
    KIRQL irql;

    (void)argument;
    memset(&test, 0, sizeof(test));
    device = surface_device(NULL);
    device->DriverObject->DriverStartIo = start_io;
    for (unsigned i = 0; i < 4; i++) {
        irps[i] = IoAllocateIrp(1, FALSE);
        prepare(irps[i], device);
    }

    /* In order of arrival, one at a time. */
    IoStartPacket(device, irps[0], NULL, NULL);
    IoStartPacket(device, irps[1], NULL, cancel_queued);
    IoStartPacket(device, irps[2], NULL, cancel_queued);
    ck_assert_uint_eq(test.started, 1);
    ck_assert(IoCancelIrp(irps[1]));
    ck_assert_uint_eq(test.cancelled, 1);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    IoStartNextPacket(device, TRUE);
    ck_assert_uint_eq(test.started, 2);
    ck_assert_ptr_eq(test.order[1], irps[2]);
    IoStartNextPacket(device, TRUE);
    ck_assert_ptr_null(device->CurrentIrp);
    KeLowerIrql(irql);
    (void)IoSetCancelRoutine(irps[2], NULL);

    /* One that was cancelled before it came is not queued behind another. */
    IoReuseIrp(irps[1], STATUS_SUCCESS);
    prepare(irps[1], device);
    IoStartPacket(device, irps[0], NULL, NULL);
    irps[1]->Cancel = TRUE;
    IoStartPacket(device, irps[1], NULL, cancel_queued);
    ck_assert_uint_eq(test.cancelled, 2);

    /* By key. */
    test.started = 0;
    for (unsigned i = 1; i < 4; i++) {
        IoReuseIrp(irps[i], STATUS_SUCCESS);
        prepare(irps[i], device);
        IoStartPacket(device, irps[i], &keys[i - 1], NULL);
    }
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    IoStartNextPacketByKey(device, FALSE, 15);
    IoStartNextPacket(device, FALSE);
    IoStartNextPacket(device, FALSE);
    IoStartNextPacket(device, FALSE);
    KeLowerIrql(irql);
    ck_assert_uint_eq(test.started, 3);
    ck_assert_ptr_eq(test.order[0], irps[3]); /* 20 */
    ck_assert_ptr_eq(test.order[1], irps[2]); /* 10 */
    ck_assert_ptr_eq(test.order[2], irps[1]); /* 30 */

    /* Deferred: StartIo is not called inside StartIo. */
    IoSetStartIoAttributes(device, TRUE, FALSE);
    test.started = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    IoStartPacket(device, irps[0], NULL, NULL);
    IoStartPacket(device, irps[1], NULL, NULL);
    IoStartPacket(device, irps[2], NULL, NULL);
    test.started = 0;
    test.next_inside = true;
    IoStartNextPacket(device, FALSE);
    KeLowerIrql(irql);
    ck_assert_uint_eq(test.started, 2);
    for (unsigned i = 0; i < 4; i++)
        IoFreeIrp(irps[i]);
    surface_remove(device);
}

START_TEST(test_queues)
{
    guest_run(queues, NULL);
}
END_TEST

/* ---- the error log ---- */

static void error_log(void *argument)
{
    PDEVICE_OBJECT device;
    PIO_ERROR_LOG_PACKET packet;
    struct census *before;
    struct census *after;

    (void)argument;
    device = surface_device(NULL);
    before = census_take();
    ck_assert_ptr_null(IoAllocateErrorLogEntry(device, sizeof(IO_ERROR_LOG_PACKET) - 1));
    ck_assert_ptr_null(IoAllocateErrorLogEntry(device, ERROR_LOG_MAXIMUM_SIZE + 1));
    packet = IoAllocateErrorLogEntry(device, sizeof(IO_ERROR_LOG_PACKET));
    ck_assert_ptr_nonnull(packet);
    IoFreeErrorLogEntry(packet);
    packet = IoAllocateErrorLogEntry(device->DriverObject, sizeof(IO_ERROR_LOG_PACKET) + 8);
    packet->ErrorCode = (NTSTATUS)0xC0040001;
    packet->UniqueErrorValue = 77;
    packet->NumberOfStrings = 1;
    packet->StringOffset = sizeof(IO_ERROR_LOG_PACKET);
    RtlCopyMemory(packet + 1, L"abc", 8);
    IoWriteErrorLogEntry(packet);
    ck_assert_uint_eq(io_error_log(0)->UniqueErrorValue, 77);
    ck_assert_uint_eq(io_error_log(0)->SequenceNumber, 1);
    ck_assert_ptr_null(io_error_log(1));
    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, NULL, NULL), 0);
    census_free(after);
    census_free(before);
    surface_remove(device);
}

START_TEST(test_error_log)
{
    struct machine_config config = guest_config(1);

    config.log_level = LOG_NONE;
    guest_run_with(&config, error_log, NULL);
}
END_TEST

/* ---- secure devices ---- */

static NTSTATUS create(PDRIVER_OBJECT driver, PCWSTR sddl, PDEVICE_OBJECT *device)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Secure");
    UNICODE_STRING string;

    RtlInitUnicodeString(&string, sddl);
    return IoCreateDeviceSecure(driver, 8, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &string, NULL, device);
}

static void secure(void *argument)
{
    static const PCWSTR wrong[] = {
        L"",       L"D:P(A;;GA;;;XX)", L"D:P(A;;QQ;;;SY)", L"D:P(X;;GA;;;SY)", L"D:P(A;;GA;;;SY", L"D:P(A;;GA;;SY)",
        L"D:PD:P", L"whatever"};
    PDRIVER_OBJECT driver = surface_driver();
    const SECURITY_DESCRIPTOR_RELATIVE *descriptor;
    const ACCESS_ALLOWED_ACE *ace;
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Secure");
    PDEVICE_OBJECT device;
    const ACL *acl;
    const SID *sid;

    (void)argument;
    for (unsigned i = 0; i < RTL_NUMBER_OF(wrong); i++) {
        ck_assert_int_eq(create(driver, wrong[i], &device), STATUS_INVALID_PARAMETER);
        ck_assert_ptr_null(device);
    }
    ck_assert_int_eq(IoCreateDeviceSecure(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &SDDL_DEVOBJ_SYS_ALL_ADM_RX,
                                          NULL, &device),
                     STATUS_SUCCESS);
    descriptor = device->SecurityDescriptor;
    ck_assert_uint_eq(descriptor->Control, SE_SELF_RELATIVE | SE_DACL_PRESENT | SE_DACL_PROTECTED);
    acl = (const ACL *)((const char *)descriptor + descriptor->Dacl);
    ck_assert_uint_eq(acl->AceCount, 2);
    ace = (const ACCESS_ALLOWED_ACE *)((const char *)(acl + 1) + ((const ACE_HEADER *)(acl + 1))->AceSize);
    ck_assert_uint_eq(ace->Mask, GENERIC_READ | GENERIC_EXECUTE);
    sid = (const SID *)&ace->SidStart;
    ck_assert_uint_eq(sid->SubAuthorityCount, 2); /* S-1-5-32-544: administrators */
    ck_assert_uint_eq(sid->SubAuthority[0], 32);
    ck_assert_uint_eq((&sid->SubAuthority[0])[1], 544);
    ck_assert_int_eq(create(driver, L"D:P", &device), STATUS_OBJECT_NAME_COLLISION);
    ck_assert_int_eq(ObReferenceObjectByName(&name, 0, NULL, 0, NULL, KernelMode, NULL, (PVOID *)&device),
                     STATUS_SUCCESS);
    ObDereferenceObject(device);
    IoDeleteDevice(device);
    ck_assert_int_eq(create(driver, L"O:BAG:S-1-5-18D:P(D;OICI;0x1;;;S-1-1-0)", &device), STATUS_SUCCESS);
    IoDeleteDevice(device);
    ObDereferenceObject(driver);
}

START_TEST(test_secure)
{
    guest_run(secure, NULL);
}
END_TEST

/* ---- rules ---- */

static void start_without_routine(void *argument)
{
    PDEVICE_OBJECT device = surface_device(NULL);

    (void)argument;
    IoStartPacket(device, IoAllocateIrp(1, FALSE), NULL, NULL);
}

static void timer_without_init(void *argument)
{
    (void)argument;
    IoStartTimer(surface_device(NULL));
}

static void free_log_twice(void *argument)
{
    PVOID packet = IoAllocateErrorLogEntry(surface_device(NULL), sizeof(IO_ERROR_LOG_PACKET));

    (void)argument;
    IoFreeErrorLogEntry(packet);
    IoWriteErrorLogEntry(packet);
}

static void next_too_low(void *argument)
{
    (void)argument;
    IoStartNextPacket(surface_device(NULL), FALSE);
}

static void event_too_high(void *argument)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\BaseNamedObjects\\Surface");
    HANDLE handle;
    KIRQL irql;

    (void)argument;
    KeRaiseIrql(APC_LEVEL, &irql);
    (void)IoCreateNotificationEvent(&name, &handle);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} breaks[] = {
    {start_without_routine, "start-io"},
    {timer_without_init, "io-timer"},
    {free_log_twice, "error-log"},
    {next_too_low, "irql"},
    {event_too_high, "irql"},
};

START_TEST(test_breaks)
{
    (void)must_break(1, breaks[_i].function, breaks[_i].rule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("surface/io-manager");
    TCase *cases = tcase_create("io-manager");

    tcase_add_test(cases, test_events);
    tcase_add_test(cases, test_objects);
    tcase_add_test(cases, test_timers);
    tcase_add_test(cases, test_queues);
    tcase_add_test(cases, test_error_log);
    tcase_add_test(cases, test_secure);
    tcase_add_loop_test(cases, test_breaks, 0, RTL_NUMBER_OF(breaks));
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
