/*
 * Rules of single calls (those of memory: test_memory_misuse.c): each broken once by what a driver can do through
 * public routines, and seen with its Windows bugcheck and parameters. test_rules.c holds that no rule of the table is
 * without such a test.
 */
#include "misuse.h"

#include <ntstrsafe.h>
#include <wmistr.h>

#include "machine/vcpu.h"
#include "nt/io/io.h"
#include "nt/ob/ob.h"

#define INVALID_ARGUMENT 5 /* of __fastfail(), FAST_FAIL_INVALID_ARG */

/* An object that is neither device nor driver nor callback. */
static void *some_object(void)
{
    return KeGetCurrentThread();
}

/* ---- executive: callbacks, lookaside lists, timers, work items ---- */

static VOID NTAPI callback(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static void callback_dereferenced_too_often(void)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Callback\\Misused");
    OBJECT_ATTRIBUTES attributes;
    PCALLBACK_OBJECT object;

    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    ck_assert_int_eq(ExCreateCallback(&object, &attributes, TRUE, TRUE), STATUS_SUCCESS);
    ck_assert_ptr_nonnull(ExRegisterCallback(object, callback, NULL));
    ObDereferenceObject(object);
    ObDereferenceObject(object);
}

static void callback_registered_with_a_thread(void)
{
    ExRegisterCallback(some_object(), callback, NULL);
}

static void callback_unregistered_by_no_handle(void)
{
    ExUnregisterCallback(NOTHING);
}

static struct {
    ULONGLONG shift; /* puts a list that follows it out of line */
    NPAGED_LOOKASIDE_LIST list;
    NPAGED_LOOKASIDE_LIST other;
} __attribute__((aligned(16))) aside;

static void initialise_list(void *list, ULONG flags, SIZE_T size, ULONG tag, USHORT depth)
{
    ExInitializeNPagedLookasideList(list, NULL, NULL, flags, size, tag, depth);
}

static void list_out_of_line(void)
{
    initialise_list((char *)&aside + 8, 0, 32, TEST_TAG, 0);
}

static void list_with_a_depth(void)
{
    initialise_list(&aside.list, 0, 32, TEST_TAG, 4);
}

static void list_without_a_size(void)
{
    initialise_list(&aside.list, 0, 0, TEST_TAG, 0);
}

static void list_with_strange_flags(void)
{
    initialise_list(&aside.list, 0x40000000, 32, TEST_TAG, 0);
}

static void list_initialised_twice(void)
{
    initialise_list(&aside.list, 0, 32, TEST_TAG, 0);
    initialise_list(&aside.list, 0, 32, TEST_TAG, 0);
}

static void list_not_initialised(void)
{
    ExDeleteNPagedLookasideList(&aside.other);
}

static void entry_out_of_line(void)
{
    char *entry;

    initialise_list(&aside.list, 0, 32, TEST_TAG, 0);
    entry = ExAllocateFromNPagedLookasideList(&aside.list);
    ExFreeToNPagedLookasideList(&aside.list, entry + 8);
}

static void tags_made_up(void)
{
    for (ULONG number = 0; number < 4000; number++)
        ck_assert_ptr_nonnull(
            ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 0x41414141u + (number / 26) * 256 + number % 26));
}

static void unknown_pool_type(void)
{
    ExAllocatePoolWithTag((POOL_TYPE)0x10000, 16, TEST_TAG);
}

static void unknown_run_time_flags(void)
{
    ExInitializeDriverRuntime(0x80000000);
}

static void timer_with_a_negative_period(void)
{
    PEX_TIMER timer = ExAllocateTimer(NULL, NULL, 0);

    ck_assert_ptr_nonnull(timer);
    ExSetTimer(timer, -10000, -1, NULL);
}

static IO_WORKITEM_ROUTINE work;

static VOID NTAPI work(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Context);
}

/* ---- a driver with devices ---- */

static struct {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT device;
    PIRP irp;
    IO_STATUS_BLOCK result;
    KEVENT done;
    ULONG_PTR information;
    PKINTERRUPT interrupt;
    bool leaves_device;   /* DriverUnload makes one */
    bool entry_fails;     /* with a device made */
    bool entry_registers; /* a reinitialization routine, and fails */
} io;

static PDEVICE_OBJECT make_device(void)
{
    PDEVICE_OBJECT device;

    ck_assert_int_eq(IoCreateDevice(io.driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device), STATUS_SUCCESS);
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return device;
}

static NTSTATUS NTAPI complete(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = io.information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI claim_blocks(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    WMIREGINFOW *info = stack->Parameters.WMI.Buffer;

    UNREFERENCED_PARAMETER(DeviceObject);
    RtlZeroMemory(info, sizeof(*info));
    info->BufferSize = sizeof(*info);
    info->GuidCount = 1000;
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = sizeof(*info);
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static VOID NTAPI unload(PDRIVER_OBJECT DriverObject)
{
    io.driver = DriverObject;
    if (io.leaves_device)
        make_device();
}

static VOID NTAPI reinitialize(PDRIVER_OBJECT DriverObject, PVOID Context, ULONG Count)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Count);
}

static NTSTATUS NTAPI entry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = unload;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = complete;
    DriverObject->MajorFunction[IRP_MJ_FLUSH_BUFFERS] = complete;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = claim_blocks;
    io.driver = DriverObject;
    if (io.entry_fails)
        make_device();
    if (io.entry_registers)
        IoRegisterDriverReinitialization(DriverObject, reinitialize, NULL);
    return io.entry_fails || io.entry_registers ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}

static void load_driver(void)
{
    KeInitializeEvent(&io.done, NotificationEvent, FALSE);
    ck_assert_int_eq(io_create_builtin_driver("misuser", entry, &io.driver), STATUS_SUCCESS);
    io.device = make_device();
}

static PIRP new_irp(void)
{
    PIRP irp = IoAllocateIrp(2, FALSE);

    ck_assert_ptr_nonnull(irp);
    return irp;
}

static PIRP control(ULONG output, PIO_STATUS_BLOCK result)
{
    static UCHAR buffer[64];
    PIRP irp = IoBuildDeviceIoControlRequest(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS),
                                             io.device, buffer, 4, buffer, output, FALSE, &io.done, result);

    ck_assert_ptr_nonnull(irp);
    return irp;
}

static VOID NTAPI cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp); /* and the cancel spin lock is kept */
}

static void item_of_a_thread(void)
{
    IoAllocateWorkItem(some_object());
}

static void initialised_item_freed(void)
{
    PIO_WORKITEM item;

    load_driver();
    item = zeroed(IoSizeofWorkItem());
    IoInitializeWorkItem(io.device, item);
    IoFreeWorkItem(item);
}

static void item_initialised_twice(void)
{
    PIO_WORKITEM item;

    load_driver();
    item = zeroed(IoSizeofWorkItem());
    IoInitializeWorkItem(io.device, item);
    IoInitializeWorkItem(io.device, item);
}

static void item_not_initialised(void)
{
    IoQueueWorkItem(zeroed(IoSizeofWorkItem()), work, DelayedWorkQueue, NULL);
}

static void item_of_an_unknown_queue(void)
{
    load_driver();
    IoQueueWorkItem(IoAllocateWorkItem(io.device), work, (WORK_QUEUE_TYPE)31, NULL);
}

static void queued_item_freed(void)
{
    PIO_WORKITEM item;
    KIRQL irql;

    load_driver();
    item = IoAllocateWorkItem(io.device);
    KeSetPriorityThread(KeGetCurrentThread(), HIGH_PRIORITY);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    IoQueueWorkItem(item, work, DelayedWorkQueue, NULL);
    IoFreeWorkItem(item);
}

/* ---- IRPs ---- */

static void built_of_an_unknown_kind(void)
{
    load_driver();
    IoBuildAsynchronousFsdRequest(IRP_MJ_CREATE, io.device, NULL, 0, NULL, NULL);
}

static void completed_one_sent_again(void)
{
    KIRQL irql;
    PIRP irp;

    load_driver();
    irp = control(16, &io.result);
    KeRaiseIrql(APC_LEVEL, &irql); /* the APC that frees it has to wait */
    IoCallDriver(io.device, irp);
    IoCallDriver(io.device, irp);
}

static void unknown_major(void)
{
    PIRP irp = new_irp();

    load_driver();
    IoGetNextIrpStackLocation(irp)->MajorFunction = 0x7F;
    IoCallDriver(io.device, irp);
}

static void sent_to_a_thread(void)
{
    IoCallDriver(zeroed(sizeof(DEVICE_OBJECT)), new_irp());
}

static void no_irp_sent(void)
{
    load_driver();
    IoCallDriver(io.device, zeroed(sizeof(IRP)));
}

static void cancelable_one_sent(void)
{
    PIRP irp = new_irp();

    load_driver();
    IoSetCancelRoutine(irp, cancel);
    IoCallDriver(io.device, irp);
}

static void cancelable_one_completed(void)
{
    PIRP irp = new_irp();

    IoSetNextIrpStackLocation(irp);
    IoSetCancelRoutine(irp, cancel);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

static void no_irp_cancelled(void)
{
    IoCancelIrp(zeroed(sizeof(IRP)));
}

static void cancel_lock_kept(void)
{
    PIRP irp = new_irp();

    IoSetNextIrpStackLocation(irp);
    IoSetCancelRoutine(irp, cancel);
    IoCancelIrp(irp);
}

static IO_CSQ queue;
static LIST_ENTRY queued;

static VOID NTAPI csq_insert(PIO_CSQ Csq, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);
    InsertTailList(&queued, &Irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI csq_remove(PIO_CSQ Csq, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI csq_peek(PIO_CSQ Csq, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(Csq);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    return NULL;
}

static VOID NTAPI csq_acquire(PIO_CSQ Csq, PKIRQL Irql)
{
    UNREFERENCED_PARAMETER(Csq);
    KeAcquireSpinLock(&it.spin[0], Irql);
}

static VOID NTAPI csq_release(PIO_CSQ Csq, KIRQL Irql)
{
    UNREFERENCED_PARAMETER(Csq);
    KeReleaseSpinLock(&it.spin[0], Irql);
}

static VOID NTAPI csq_cancelled(PIO_CSQ Csq, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);
    UNREFERENCED_PARAMETER(Irp);
}

static void cancelable_one_queued(void)
{
    PIRP irp = new_irp();

    InitializeListHead(&queued);
    IoCsqInitialize(&queue, csq_insert, csq_remove, csq_peek, csq_acquire, csq_release, csq_cancelled);
    IoSetNextIrpStackLocation(irp);
    IoSetCancelRoutine(irp, cancel);
    IoCsqInsertIrp(&queue, irp, NULL);
}

static void without_a_status_block(void)
{
    load_driver();
    IoCallDriver(io.device, control(16, NULL));
}

static void more_than_fits(void)
{
    load_driver();
    io.information = 32;
    IoCallDriver(io.device, control(16, &io.result));
}

static void without_stack_locations(void)
{
    IoAllocateIrp(0, FALSE);
}

static void cancelable_one_freed(void)
{
    PIRP irp = new_irp();

    IoSetCancelRoutine(irp, cancel);
    IoFreeIrp(irp);
}

static void overwritten_one_freed(void)
{
    PIRP irp = new_irp();

    irp->Type = 0;
    IoFreeIrp(irp);
}

static void freed_twice(void)
{
    PIRP irp = new_irp();

    IoFreeIrp(irp);
    IoFreeIrp(irp);
}

static void in_too_little_memory(void)
{
    IoInitializeIrp(zeroed(sizeof(IRP)), sizeof(IRP), 2);
}

static void allocated_one_initialised(void)
{
    IoInitializeIrp(new_irp(), IoSizeOfIrp(2), 2);
}

static void built_one_reused(void)
{
    load_driver();
    IoReuseIrp(control(16, &io.result), STATUS_SUCCESS);
}

static NTSTATUS NTAPI completed_raised(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    KIRQL irql;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void completion_routine_raises(void)
{
    PIRP irp = new_irp();

    load_driver();
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_FLUSH_BUFFERS;
    IoSetCompletionRoutine(irp, completed_raised, NULL, TRUE, TRUE, TRUE);
    IoCallDriver(io.device, irp);
}

static void no_power_irp(void)
{
    PoStartNextPowerIrp(zeroed(sizeof(IRP)));
}

/* ---- devices and drivers ---- */

static void device_of_a_thread(void)
{
    PDEVICE_OBJECT device;

    IoCreateDevice(some_object(), 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
}

static void no_device_deleted(void)
{
    IoDeleteDevice(some_object());
}

static void device_deleted_twice(void)
{
    load_driver();
    ObReferenceObject(io.device);
    IoDeleteDevice(io.device);
    IoDeleteDevice(io.device);
}

static void device_dereferenced_too_often(void)
{
    load_driver();
    ObDereferenceObject(io.device);
}

static void no_device_attached_to(void)
{
    load_driver();
    IoAttachDeviceToDeviceStack(io.device, zeroed(sizeof(DEVICE_OBJECT)));
}

static void device_attached_twice(void)
{
    PDEVICE_OBJECT upper;
    PDEVICE_OBJECT other;

    load_driver();
    upper = make_device();
    other = make_device();
    IoAttachDeviceToDeviceStack(upper, io.device);
    IoAttachDeviceToDeviceStack(upper, other);
}

static void nothing_detached(void)
{
    load_driver();
    IoDetachDevice(io.device);
}

static void driver_dereferenced_too_often(void)
{
    load_driver();
    for (;;)
        ObDereferenceObject(io.driver);
}

static void driver_goes_at_dispatch_level(void)
{
    load_driver();
    IoDeleteDevice(io.device);
    ck_assert_int_eq(io_unload_driver(io.driver), STATUS_SUCCESS);
    KeRaiseIrqlToDpcLevel();
    ObDereferenceObject(io.driver);
}

static void driver_entry_leaves_a_device(void)
{
    io.entry_fails = true;
    io_create_builtin_driver("misuser", entry, &io.driver);
}

static void driver_entry_leaves_a_routine(void)
{
    io.entry_registers = true;
    io_create_builtin_driver("misuser", entry, &io.driver);
}

static void unload_leaves_a_device(void)
{
    load_driver();
    IoDeleteDevice(io.device);
    io.leaves_device = true;
    io_unload_driver(io.driver);
}

static void no_pdo(void)
{
    load_driver();
    IoInvalidateDeviceRelations(io.device, BusRelations);
}

/* The question is a worker's to ask. */
static void blocks_that_are_not_there(void)
{
    LARGE_INTEGER second = {.QuadPart = -10000000};

    load_driver();
    IoWMIRegistrationControl(io.device, WMIREG_ACTION_REGISTER);
    KeDelayExecutionThread(KernelMode, FALSE, &second);
}

static void shutdown_of_no_device(void)
{
    IoRegisterShutdownNotification(zeroed(sizeof(DEVICE_OBJECT)));
}

/* ---- interrupts, DPCs, the processor ---- */

static BOOLEAN NTAPI service(PKINTERRUPT Interrupt, PVOID Context)
{
    KIRQL irql;

    UNREFERENCED_PARAMETER(Interrupt);
    if (Context != NULL)
        KeRaiseIrql(HIGH_LEVEL, &irql);
    return TRUE;
}

static void connect(PVOID context)
{
    ck_assert_int_eq(IoConnectInterrupt(&io.interrupt, service, context, NULL, 0x53, 5, 5, Latched, FALSE, 1, FALSE),
                     STATUS_SUCCESS);
}

static void no_interrupt_disconnected(void)
{
    IoDisconnectInterrupt(zeroed(512));
}

static void disconnected_as_of_no_version(void)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = 77};

    IoDisconnectInterruptEx(&parameters);
}

static void interrupt_lock_released_below(void)
{
    KIRQL irql;

    connect(NULL);
    irql = KeAcquireInterruptSpinLock(io.interrupt);
    KeLowerIrql(DISPATCH_LEVEL);
    KeReleaseInterruptSpinLock(io.interrupt, irql);
}

static BOOLEAN NTAPI raises(PVOID Context)
{
    KIRQL irql;

    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    return TRUE;
}

static void synchronized_routine_raises(void)
{
    connect(NULL);
    KeSynchronizeExecution(io.interrupt, raises, NULL);
}

static void service_routine_raises(void)
{
    connect(&io);
    vcpu_raise_vector(0, 0x53);
    for (unsigned ms = 0; ms < 2000; ms++) /* vCPU 0 may be another's */
        sleep_ms(1);
}

static VOID NTAPI dpc_routine(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static void queued_dpc_sent_elsewhere(void)
{
    KeInitializeDpc(&it.dpc, dpc_routine, NULL);
    KeRaiseIrqlToDpcLevel();
    KeInsertQueueDpc(&it.dpc, NULL, NULL);
    KeSetTargetProcessorDpc(&it.dpc, 1);
}

static void halts_with_interrupts_off(void)
{
    _disable();
    __halt();
}

static void fails_fast(void)
{
    __fastfail(INVALID_ARGUMENT);
}

static void breaks(void)
{
    DbgBreakPoint();
}

/* Nothing holds it off. */
static void interrupted_at_high_level(void)
{
    KIRQL old;

    KeRaiseIrql(HIGH_LEVEL, &old);
    _disable();
    vcpu_raise_nmi(0);
    for (unsigned turn = 0; turn < 100; turn++)
        KeStallExecutionProcessor(1);
    ck_abort_msg("it was held off");
}

static void asserts(void)
{
    RtlAssert((PVOID) "1 == 2", (PVOID) "here.c", 7, NULL);
}

static void unknown_conversion(void)
{
    char text[16];

    (void)RtlStringCbPrintfA(text, sizeof(text), "%y", 1);
}

static void wide_conversion_raised(void)
{
    char text[16];

    KeRaiseIrqlToDpcLevel();
    (void)RtlStringCbPrintfA(text, sizeof(text), "%S", L"wide");
}

static void writes_a_strange_cr8(void)
{
    __writecr8(16);
}

static void paged_code_raised(void)
{
    KeRaiseIrqlToDpcLevel();
    PAGED_CODE();
}

/* ---- the table ---- */

static const struct broken_rule broken[] = {
    {callback_dereferenced_too_often, "callback-destroyed", DV, OWN},
    {callback_registered_with_a_thread, "callback-object", DV, OWN},
    {callback_unregistered_by_no_handle, "callback-unregister", DV, OWN},
    {list_out_of_line, "lookaside-alignment", DV, OWN},
    {list_with_a_depth, "lookaside-depth", DV, OWN},
    {list_without_a_size, "lookaside-size", DV, {0xCD, (uintptr_t)&aside.list, 0, 1}},
    {list_with_strange_flags, "lookaside-flags", DV, OWN},
    {list_initialised_twice, "lookaside-initialised-twice", DV, {0xCA, (uintptr_t)&aside.list}},
    {list_not_initialised, "lookaside-not-initialised", DV, {0xCB, (uintptr_t)&aside.other}},
    {entry_out_of_line, "lookaside-bad-free", DV, OWN},
    {tags_made_up, "pool-tags", DV, OWN},
    {unknown_pool_type, "not-implemented", DV, OWN},
    {unknown_run_time_flags, "driver-runtime", DV, OWN},
    {timer_with_a_negative_period, "ex-timer", DV, OWN},
    {item_of_a_thread, "work-item-object", WORKER_INVALID, {3, ANY, ANY}},
    {initialised_item_freed, "work-item-free", DV, OWN},
    {item_initialised_twice, "work-item-initialised-twice", DV, OWN},
    {item_not_initialised, "work-item-not-initialised", DV, OWN},
    {item_of_an_unknown_queue, "work-item-queue", WORKER_INVALID, {6, ANY, 31}},
    {queued_item_freed, "work-item-freed-queued", WORKER_INVALID, {2, ANY, (uintptr_t)work, 0}},

    {built_of_an_unknown_kind, "irp-build", DV, OWN},
    {completed_one_sent_again, "irp-forward-completed", DV, OWN},
    {unknown_major, "irp-major", DV, OWN},
    {sent_to_a_thread, "irp-device", IOM, {0x04, ANY}},
    {no_irp_sent, "irp-type", IOM, {0x03, ANY}},
    {cancelable_one_sent, "irp-forward-cancelable", IOM, {0x203, ANY, ANY, ANY}},
    {cancelable_one_completed, "irp-complete-cancelable", IOM, {0x07, (uintptr_t)cancel, ANY}},
    {no_irp_cancelled, "irp-cancel", DV, OWN},
    {cancel_lock_kept, "irp-cancel-lock", DV, OWN},
    {cancelable_one_queued, "irp-csq", DV, OWN},
    {without_a_status_block, "irp-status-block", DV, OWN},
    {more_than_fits, "irp-information", DV, OWN},
    {without_stack_locations, "irp-stack-size", DV, OWN},
    {cancelable_one_freed, "irp-free-cancel", DV, OWN},
    {overwritten_one_freed, "irp-free", IOM, {0x01, ANY}},
    {freed_twice, "irp-free", MULTIPLE_IRP_COMPLETE_REQUESTS, {ANY}},
    {in_too_little_memory, "irp-size", DV, OWN},
    {allocated_one_initialised, "irp-initialize", IOM, {0x20D, ANY, ANY, 0}},
    {built_one_reused, "irp-reuse", DV, OWN},
    {completion_routine_raises, "completion-irql-changed", DV, {0xFA, (uintptr_t)completed_raised, 0, DISPATCH_LEVEL}},
    {no_power_irp, "power-irp", DV, OWN},

    {device_of_a_thread, "device-create", DV, OWN},
    {no_device_deleted, "device-delete", DV, OWN},
    {device_deleted_twice, "device-deleted-twice", IOM, {0x240, ANY, 0, ANY}},
    {device_dereferenced_too_often, "device-reference", REFERENCE_BY_POINTER, {0, ANY}},
    {no_device_attached_to, "device-object", DV, OWN},
    {device_attached_twice, "device-attach", DV, OWN},
    {nothing_detached, "device-detach", IOM, {0x202, ANY, 0, ANY}},
    {driver_dereferenced_too_often, "driver-reference", REFERENCE_BY_POINTER, {0, ANY}},
    {driver_goes_at_dispatch_level, "driver-reference", DV, OWN},
    {driver_entry_leaves_a_device, "driver-entry", DV, OWN},
    {driver_entry_leaves_a_routine, "driver-entry", DV, OWN},
    {unload_leaves_a_device, "driver-unload", DV, OWN},
    {no_pdo, "pnp-not-a-pdo", PNP_DETECTED_FATAL_ERROR, {2, ANY, ANY}},
    {blocks_that_are_not_there, "wmi-reginfo", DV, OWN},
    {shutdown_of_no_device, "shutdown-register", DV, OWN},

    {no_interrupt_disconnected, "interrupt-object", DV, OWN},
    {disconnected_as_of_no_version, "interrupt-object", PNP_DETECTED_FATAL_ERROR, {9, 77}},
    {interrupt_lock_released_below, "interrupt-lock", DV, OWN},
    {synchronized_routine_raises, "interrupt-lock", DV, OWN},
    {service_routine_raises, "isr-irql-changed", DV, {0x111, (uintptr_t)service, 5, HIGH_LEVEL}},
    {queued_dpc_sent_elsewhere, "dpc-target-queued", DV, OWN},
    {halts_with_interrupts_off, "halt", DV, OWN},
    {fails_fast, "fast-fail", KERNEL_SECURITY_CHECK_FAILURE, {INVALID_ARGUMENT}},
    {interrupted_at_high_level, "nmi", NMI_HARDWARE_FAILURE, {0x4F4454, 0, 0, 0}},
    {breaks, "breakpoint", KMODE_EXCEPTION_NOT_HANDLED, {0x80000003, ANY}},
    {asserts, "assertion", KMODE_EXCEPTION_NOT_HANDLED, {0xC0000420, ANY}},
    {unknown_conversion, "format", DV, OWN},
    {wide_conversion_raised, "format-irql", DV, {0xE5, DISPATCH_LEVEL}},
    {paged_code_raised, "paged-code", IRQL_NOT_LESS_OR_EQUAL, {0, DISPATCH_LEVEL, 0, 0}},
    {writes_a_strange_cr8, "irql-raise", DV, {0x30, 0, 16}},
};

int main(void)
{
    return misuse_run("misuse", broken, sizeof(broken) / sizeof(broken[0]));
}
