/*
 * Kernel APCs: when they are delivered and at which IRQL, what holds them off, what they do to waits, requests that
 * complete through one, and the end of a thread. After "Types of APCs", "Disabling APCs", "Waits and APCs",
 * KeEnterCriticalRegion, KeEnterGuardedRegion, KeWaitForSingleObject and IoBuildDeviceIoControlRequest (wdm.h,
 * ntddk.h).
 */
#include "surface.h"

#define APCS 6
#define IOCTL_TEST CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

static struct {
    KAPC apcs[APCS];
    unsigned kernel_runs, normal_runs, rundowns;
    unsigned order[64]; /* number of the APC, +100 for its normal routine */
    unsigned ran;
    PKTHREAD thread;
    KEVENT go, there, other;
    NTSTATUS status;
    PIRP irp;
    IO_STATUS_BLOCK result;
    bool flag;
} test;

static unsigned number_of(PKAPC apc)
{
    return (unsigned)(apc - test.apcs);
}

static VOID NTAPI kernel_routine(PKAPC apc, PKNORMAL_ROUTINE *normal, PVOID *context, PVOID *argument1,
                                 PVOID *argument2)
{
    (void)normal;
    (void)context;
    ck_assert_uint_eq(KeGetCurrentIrql(), APC_LEVEL);
    ck_assert_ptr_eq(KeGetCurrentThread(), apc->Thread);
    ck_assert_ptr_eq(*argument1, &test);
    ck_assert_ptr_eq(*argument2, apc);
    test.kernel_runs++;
    test.order[test.ran++] = number_of(apc);
}

static VOID NTAPI normal_routine(PVOID context, PVOID argument1, PVOID argument2)
{
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ck_assert_ptr_eq(argument1, &test);
    test.normal_runs++;
    test.order[test.ran++] = number_of(argument2) + 100;
    if (context != NULL) {
        PKEVENT event = context;

        ck_assert_int_eq(KeWaitForSingleObject(event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    }
}

static VOID NTAPI rundown_routine(PKAPC apc)
{
    (void)apc;
    test.rundowns++;
}

static void apc_init(unsigned number, PKTHREAD thread, bool special, PVOID context)
{
    KeInitializeApc(&test.apcs[number], thread, OriginalApcEnvironment, kernel_routine, rundown_routine,
                    special ? NULL : normal_routine, KernelMode, context);
}

static BOOLEAN apc_insert(unsigned number)
{
    return KeInsertQueueApc(&test.apcs[number], &test, &test.apcs[number], IO_NO_INCREMENT);
}

static void start(void)
{
    memset(&test, 0, sizeof(test));
    KeInitializeEvent(&test.go, SynchronizationEvent, FALSE);
    KeInitializeEvent(&test.there, SynchronizationEvent, FALSE);
    KeInitializeEvent(&test.other, NotificationEvent, FALSE);
}

/* ---- delivery to the current thread ---- */

static void to_self(void *argument)
{
    PKTHREAD self = KeGetCurrentThread();
    KIRQL irql;

    (void)argument;
    start();
    apc_init(0, self, true, NULL);
    ck_assert(apc_insert(0));
    ck_assert_uint_eq(test.kernel_runs, 1); /* before KeInsertQueueApc returned */
    apc_init(1, self, false, NULL);
    ck_assert(apc_insert(1));
    ck_assert_uint_eq(test.kernel_runs, 2);
    ck_assert_uint_eq(test.normal_runs, 1);

    /* At APC_LEVEL nothing comes, below it everything does, the special ones first. */
    KeRaiseIrql(APC_LEVEL, &irql);
    apc_init(2, self, false, NULL);
    apc_init(3, self, true, NULL);
    apc_init(4, self, false, NULL);
    apc_init(5, self, true, NULL);
    test.ran = 0;
    for (unsigned number = 2; number < APCS; number++)
        ck_assert(apc_insert(number));
    ck_assert(!apc_insert(2)); /* it is queued */
    ck_assert_uint_eq(test.ran, 0);
    KeLowerIrql(irql);
    ck_assert_uint_eq(test.ran, 6);
    ck_assert_uint_eq(test.order[0], 3);
    ck_assert_uint_eq(test.order[1], 5);
    ck_assert_uint_eq(test.order[2], 2);
    ck_assert_uint_eq(test.order[3], 102);
    ck_assert_uint_eq(test.order[4], 4);
    ck_assert_uint_eq(test.order[5], 104);
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);

    /* From a DPC's IRQL too: KeInsertQueueApc may be called there. */
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert(apc_insert(3));
    ck_assert(KeRemoveQueueApc(&test.apcs[3]));
    ck_assert(!KeRemoveQueueApc(&test.apcs[3]));
    ck_assert(apc_insert(5));
    KeLowerIrql(irql);
    ck_assert_uint_eq(test.ran, 7);
    ck_assert_uint_eq(test.order[6], 5);
}

START_TEST(test_to_self)
{
    over_schedules(2, 10, to_self, NULL);
}
END_TEST

/* ---- regions ---- */

static void regions(void *argument)
{
    PKTHREAD self = KeGetCurrentThread();
    KMUTEX mutex;
    FAST_MUTEX fast;

    (void)argument;
    start();
    ck_assert(!KeAreApcsDisabled());
    ck_assert(!KeAreAllApcsDisabled());

    KeEnterCriticalRegion();
    KeEnterCriticalRegion();
    ck_assert(KeAreApcsDisabled());
    ck_assert(!KeAreAllApcsDisabled());
    apc_init(0, self, false, NULL);
    apc_init(1, self, true, NULL);
    ck_assert(apc_insert(0));
    ck_assert(apc_insert(1));
    ck_assert_uint_eq(test.ran, 1); /* the special one */
    KeLeaveCriticalRegion();
    ck_assert_uint_eq(test.ran, 1);
    KeLeaveCriticalRegion();
    ck_assert_uint_eq(test.ran, 3);

    KeEnterGuardedRegion();
    ck_assert(KeAreApcsDisabled());
    ck_assert(KeAreAllApcsDisabled());
    ck_assert(apc_insert(0));
    ck_assert(apc_insert(1));
    ck_assert_uint_eq(test.ran, 3);
    KeEnterCriticalRegion();
    KeLeaveGuardedRegion();
    ck_assert_uint_eq(test.ran, 4);
    KeLeaveCriticalRegion();
    ck_assert_uint_eq(test.ran, 6);

    /* Who owns a mutex gets no normal kernel APC, who owns a fast mutex runs at APC_LEVEL. */
    KeInitializeMutex(&mutex, 0);
    ck_assert_int_eq(KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert_int_eq(KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert(KeAreApcsDisabled());
    ck_assert(apc_insert(0));
    ck_assert(apc_insert(1));
    ck_assert_uint_eq(test.ran, 7);
    KeReleaseMutex(&mutex, FALSE);
    ck_assert_uint_eq(test.ran, 7);
    KeReleaseMutex(&mutex, FALSE);
    ck_assert_uint_eq(test.ran, 9);
    ExInitializeFastMutex(&fast);
    ExAcquireFastMutex(&fast);
    ck_assert(KeAreAllApcsDisabled());
    ck_assert(!KeAreApcsDisabled());
    ck_assert(apc_insert(1));
    ck_assert_uint_eq(test.ran, 9);
    ExReleaseFastMutex(&fast);
    ck_assert_uint_eq(test.ran, 10);
}

START_TEST(test_regions)
{
    over_schedules(2, 10, regions, NULL);
}
END_TEST

static void leave_too_often(void *argument)
{
    (void)argument;
    KeEnterCriticalRegion();
    KeLeaveGuardedRegion();
}

static VOID NTAPI ends_in_region(PVOID context)
{
    (void)context;
    KeEnterCriticalRegion();
}

static void end_in_region(void *argument)
{
    (void)argument;
    thread_join(thread_start(ends_in_region, NULL));
}

/* ---- waits ---- */

/* Whoever can go on has gone on. In real time that takes as long as processors are busy with others. */
static void settle(void)
{
#ifdef MACHINE_THREAD_SANITIZER
    sleep_ms(30);
#else
    sleep_ms(1);
#endif
}

static VOID NTAPI waits(PVOID context)
{
    LARGE_INTEGER long_time = in_ms(50);
    ULONG how = (ULONG)(ULONG_PTR)context;
    KIRQL irql;

    test.thread = KeGetCurrentThread();
    if (how == 1)
        KeRaiseIrql(APC_LEVEL, &irql);
    if (how == 2)
        KeEnterCriticalRegion();
    (void)KeSetEvent(&test.there, IO_NO_INCREMENT, FALSE);
    if (how == 3)
        test.status = KeDelayExecutionThread(KernelMode, FALSE, &long_time);
    else
        test.status = KeWaitForSingleObject(&test.go, Executive, KernelMode, FALSE, how == 4 ? &long_time : NULL);
    test.flag = true;
    if (how == 1)
        KeLowerIrql(irql);
    if (how == 2)
        KeLeaveCriticalRegion();
}

static PKTHREAD waiter(ULONG how)
{
    PKTHREAD thread;

    start();
    thread = thread_start(waits, (PVOID)(ULONG_PTR)how);
    ck_assert_int_eq(KeWaitForSingleObject(&test.there, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    settle();
    apc_init(0, thread, true, NULL);
    apc_init(1, thread, false, NULL);
    return thread;
}

/* The wait goes on after the APC, to its end and no other. */
static void in_a_wait(void *argument)
{
    PKTHREAD thread = waiter(0);

    (void)argument;
    ck_assert(apc_insert(0));
    ck_assert(apc_insert(1));
    settle();
    ck_assert_uint_eq(test.ran, 3);
    ck_assert(!test.flag);
    KeSetEvent(&test.go, IO_NO_INCREMENT, FALSE);
    thread_join(thread);
    ck_assert_int_eq(test.status, STATUS_SUCCESS);

    thread = waiter(1); /* at APC_LEVEL */
    ck_assert(apc_insert(0));
    settle();
    ck_assert_uint_eq(test.ran, 0);
    KeSetEvent(&test.go, IO_NO_INCREMENT, FALSE);
    thread_join(thread);
    ck_assert_uint_eq(test.ran, 1);

    thread = waiter(2); /* in a critical region */
    ck_assert(apc_insert(1));
    ck_assert(apc_insert(0));
    settle();
    ck_assert_uint_eq(test.ran, 1);
    KeSetEvent(&test.go, IO_NO_INCREMENT, FALSE);
    thread_join(thread);
    ck_assert_uint_eq(test.ran, 3);
}

START_TEST(test_in_a_wait)
{
    over_schedules(2, 10, in_a_wait, NULL);
}
END_TEST

static bool has_ended(PKTHREAD thread)
{
    LARGE_INTEGER now = {.QuadPart = 0};

    return KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, &now) == STATUS_SUCCESS;
}

/* A time-out keeps its end whatever APCs come between. */
static void timeouts(void *argument)
{
    static const struct {
        ULONG how;
        NTSTATUS status;
    } cases[] = {{3, STATUS_SUCCESS}, {4, STATUS_TIMEOUT}};

    (void)argument;
    for (unsigned index = 0; index < RTL_NUMBER_OF(cases); index++) {
        ULONGLONG before = KeQueryInterruptTime();
        PKTHREAD thread = waiter(cases[index].how);

        for (unsigned i = 0; i < 10; i++) {
            /* A busy vCPU of the parallel engine has not run the last one yet, or the host's time is over. */
            while (!apc_insert(i % 2) && !has_ended(thread))
                sleep_ms(1);
            sleep_ms(2);
        }
        thread_join(thread);
        ck_assert_uint_ge(test.ran, 1);
        ck_assert_int_eq(test.status, cases[index].status);
        ck_assert_uint_ge(KeQueryInterruptTime() - before, 49 * MILLISECOND);
#ifndef MACHINE_THREAD_SANITIZER /* in real time nothing is on time */
        ck_assert_uint_ge(test.ran, 10);
        ck_assert_uint_lt(KeQueryInterruptTime() - before, 80 * MILLISECOND);
#endif
    }
}

START_TEST(test_timeouts)
{
    over_schedules(2, 5, timeouts, NULL);
}
END_TEST

/* A normal routine may wait; another normal APC waits for it, a special one does not. */
static void normal_waits(void *argument)
{
    PKTHREAD thread = waiter(0);

    (void)argument;
    apc_init(1, thread, false, &test.other);
    apc_init(2, thread, false, NULL);
    ck_assert(apc_insert(1));
    settle();
    ck_assert_uint_eq(test.ran, 2);
    ck_assert(apc_insert(2));
    ck_assert(apc_insert(0));
    settle();
    ck_assert_uint_eq(test.ran, 3);
    ck_assert_uint_eq(test.order[2], 0);
    KeSetEvent(&test.other, IO_NO_INCREMENT, FALSE);
    settle();
    ck_assert_uint_eq(test.ran, 5);
    ck_assert(!test.flag);
    KeSetEvent(&test.go, IO_NO_INCREMENT, FALSE);
    thread_join(thread);
}

START_TEST(test_normal_waits)
{
    over_schedules(2, 5, normal_waits, NULL);
}
END_TEST

/* ---- alerts ---- */

static VOID NTAPI waits_alertable(PVOID context)
{
    KPROCESSOR_MODE mode = (KPROCESSOR_MODE)(ULONG_PTR)context;

    (void)KeSetEvent(&test.there, IO_NO_INCREMENT, FALSE);
    test.status = KeWaitForSingleObject(&test.go, Executive, mode, TRUE, NULL);
}

static PKTHREAD alertable(KPROCESSOR_MODE mode)
{
    PKTHREAD thread;

    start();
    thread = thread_start(waits_alertable, (PVOID)(ULONG_PTR)mode);
    ck_assert_int_eq(KeWaitForSingleObject(&test.there, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    settle();
    return thread;
}

static void alerts(void *argument)
{
    LARGE_INTEGER pause = in_ms(1);
    LARGE_INTEGER zero = {.QuadPart = 0};
    PKTHREAD self = KeGetCurrentThread();
    PKTHREAD thread = alertable(KernelMode);

    (void)argument;
    ck_assert(!KeAlertThread(thread, KernelMode));
    thread_join(thread);
    ck_assert_int_eq(test.status, STATUS_ALERTED);

    /* An APC for user mode ends an alertable wait of WaitMode UserMode only; it is run down with the thread. */
    thread = alertable(UserMode);
    KeInitializeApc(&test.apcs[0], thread, OriginalApcEnvironment, kernel_routine, rundown_routine, normal_routine,
                    UserMode, NULL);
    ck_assert(apc_insert(0));
    thread_join(thread);
    ck_assert_int_eq(test.status, STATUS_USER_APC);
    ck_assert_uint_eq(test.ran, 0);
    ck_assert_uint_eq(test.rundowns, 1);
    thread = alertable(KernelMode);
    KeInitializeApc(&test.apcs[0], thread, OriginalApcEnvironment, kernel_routine, rundown_routine, normal_routine,
                    UserMode, NULL);
    ck_assert(apc_insert(0));
    settle();
    ck_assert(!is_set(&test.go));
    KeSetEvent(&test.go, IO_NO_INCREMENT, FALSE);
    thread_join(thread);
    ck_assert_int_eq(test.status, STATUS_SUCCESS);

    /* An alert is remembered until an alertable wait, or KeTestAlertThread, takes it. */
    start();
    ck_assert(!KeAlertThread(self, KernelMode));
    ck_assert(KeAlertThread(self, KernelMode));
    ck_assert_int_eq(KeWaitForSingleObject(&test.go, Executive, KernelMode, FALSE, &pause), STATUS_TIMEOUT);
    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, TRUE, &pause), STATUS_ALERTED);
    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, TRUE, &pause), STATUS_SUCCESS);
    ck_assert(!KeAlertThread(self, KernelMode));
    ck_assert(KeTestAlertThread(KernelMode));
    ck_assert(!KeTestAlertThread(KernelMode));
    /* What is signalled is taken before an alert is looked at. */
    ck_assert(!KeAlertThread(self, KernelMode));
    KeSetEvent(&test.go, IO_NO_INCREMENT, FALSE);
    ck_assert_int_eq(KeWaitForSingleObject(&test.go, Executive, KernelMode, TRUE, NULL), STATUS_SUCCESS);
    ck_assert_int_eq(KeWaitForSingleObject(&test.go, Executive, KernelMode, TRUE, &zero), STATUS_ALERTED);
}

START_TEST(test_alerts)
{
    over_schedules(2, 5, alerts, NULL);
}
END_TEST

/* ---- requests ---- */

static NTSTATUS NTAPI pends(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    IoMarkIrpPending(irp);
    test.irp = irp;
    KeSetEvent(&test.go, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING;
}

static VOID NTAPI completes(PVOID context)
{
    (void)context;
    ck_assert_int_eq(KeWaitForSingleObject(&test.go, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    *(ULONG *)test.irp->AssociatedIrp.SystemBuffer = 7;
    (void)surface_complete(test.irp, STATUS_SUCCESS, sizeof(ULONG));
    test.flag = true;
}

/* Nothing reaches the requestor before its thread can take an APC, and everything does then. */
static void through_an_apc(void *argument)
{
    PDEVICE_OBJECT device;
    ULONG answer = 0;
    PKTHREAD thread;
    KEVENT done;
    KIRQL irql;
    PIRP irp;

    (void)argument;
    start();
    device = surface_device(pends);
    thread = thread_start(completes, NULL);
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    irp =
        IoBuildDeviceIoControlRequest(IOCTL_TEST, device, NULL, 0, &answer, sizeof(answer), FALSE, &done, &test.result);
    ck_assert_ptr_nonnull(irp);
    test.result.Status = STATUS_UNSUCCESSFUL;
    KeRaiseIrql(APC_LEVEL, &irql);
    ck_assert_int_eq(IoCallDriver(device, irp), STATUS_PENDING);
    while (!test.flag)
        KeStallExecutionProcessor(10);
    ck_assert(!is_set(&done));
    ck_assert_uint_eq(answer, 0);
    ck_assert_int_eq(test.result.Status, STATUS_UNSUCCESSFUL);
    KeLowerIrql(irql);
    ck_assert(is_set(&done));
    ck_assert_uint_eq(answer, 7);
    ck_assert_int_eq(test.result.Status, STATUS_SUCCESS);
    ck_assert_uint_eq(test.result.Information, sizeof(ULONG));
    thread_join(thread);
    surface_remove(device);
}

START_TEST(test_through_an_apc)
{
    over_schedules(2, 10, through_an_apc, NULL);
}
END_TEST

/* The trap that the documentation warns of. */
static void waits_for_request_at_apc_level(void *argument)
{
    PDEVICE_OBJECT device;
    ULONG answer = 0;
    KEVENT done;
    KIRQL irql;
    PIRP irp;

    (void)argument;
    start();
    device = surface_device(pends);
    (void)thread_start(completes, NULL);
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    irp =
        IoBuildDeviceIoControlRequest(IOCTL_TEST, device, NULL, 0, &answer, sizeof(answer), FALSE, &done, &test.result);
    KeRaiseIrql(APC_LEVEL, &irql);
    (void)IoCallDriver(device, irp);
    (void)KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
}

static void builds_in_guarded_region(void *argument)
{
    PDEVICE_OBJECT device = surface_device(pends);
    KEVENT done;

    (void)argument;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    KeEnterGuardedRegion();
    (void)IoBuildSynchronousFsdRequest(IRP_MJ_FLUSH_BUFFERS, device, NULL, 0, NULL, &done, &test.result);
}

START_TEST(test_waits_for_request_at_apc_level)
{
    struct machine_config config = guest_config(2);

    config.log_level = LOG_NONE;
    /* A machine in which nothing can run. */
    ck_assert_ptr_nonnull(guest_run_may_fail(&config, waits_for_request_at_apc_level, NULL));
}
END_TEST

/* ---- the end of a thread ---- */

static VOID NTAPI cancel_request(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    (void)surface_complete(irp, STATUS_CANCELLED, 0);
    test.flag = true;
}

static NTSTATUS NTAPI pends_cancelable(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    IoMarkIrpPending(irp);
    (void)IoSetCancelRoutine(irp, cancel_request);
    return STATUS_PENDING;
}

static VOID NTAPI sends_and_ends(PVOID context)
{
    PDEVICE_OBJECT device = context;
    PIRP irp = IoBuildDeviceIoControlRequest(IOCTL_TEST, device, NULL, 0, NULL, 0, FALSE, &test.other, &test.result);

    ck_assert_int_eq(IoCallDriver(device, irp), STATUS_PENDING);
    test.thread = KeGetCurrentThread();
}

static void end_cancels(void *argument)
{
    PDEVICE_OBJECT device;
    PKTHREAD thread;

    (void)argument;
    start();
    device = surface_device(pends_cancelable);
    thread = thread_start(sends_and_ends, device);
    ck_assert_int_eq(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert(test.flag);
    ck_assert(is_set(&test.other));
    ck_assert_int_eq(test.result.Status, STATUS_CANCELLED);
    /* Nothing can be queued to it any more. */
    apc_init(0, thread, true, NULL);
    ck_assert(!apc_insert(0));
    ObDereferenceObject(thread);
    surface_remove(device);
}

START_TEST(test_end_cancels)
{
    guest_run(end_cancels, NULL);
}
END_TEST

#ifndef MACHINE_THREAD_SANITIZER /* where the clock is the host's */
/* A request that nobody can cancel is waited for, five minutes long; then the thread ends without it. */
static void end_gives_up(void *argument)
{
    PDEVICE_OBJECT device;
    PKTHREAD thread;

    (void)argument;
    start();
    device = surface_device(pends);
    thread = thread_start(sends_and_ends, device);
    ck_assert_int_eq(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ObDereferenceObject(thread);
    (void)surface_complete(test.irp, STATUS_SUCCESS, 0);
    ck_assert(!is_set(&test.other));
    surface_remove(device);
}

START_TEST(test_end_gives_up)
{
    guest_run(end_gives_up, NULL);
}
END_TEST
#endif

/* ---- Zw requests with an APC routine ---- */

static NTSTATUS NTAPI completes_at_once(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    return surface_complete(irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI request_apc(PVOID context, PIO_STATUS_BLOCK result, ULONG reserved)
{
    ck_assert_uint_eq(reserved, 0);
    ck_assert_ptr_eq(result, &test.result);
    ck_assert_ptr_eq(context, &test);
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    test.normal_runs++;
}

static void apc_routine(void *argument)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Surface");
    OBJECT_ATTRIBUTES attributes;
    PDEVICE_OBJECT device;
    IO_STATUS_BLOCK result;
    HANDLE file;

    (void)argument;
    start();
    device = surface_device(completes_at_once);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwOpenFile(&file, GENERIC_READ, &attributes, &result, 0, 0), STATUS_SUCCESS);
    KeEnterCriticalRegion();
    ck_assert_int_eq(ZwDeviceIoControlFile(file, NULL, request_apc, &test, &test.result, IOCTL_TEST, NULL, 0, NULL, 0),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(test.normal_runs, 0); /* a normal APC */
    KeLeaveCriticalRegion();
    ck_assert_uint_eq(test.normal_runs, 1);
    ck_assert_int_eq(ZwClose(file), STATUS_SUCCESS);
    surface_remove(device);
}

START_TEST(test_apc_routine)
{
    over_schedules(2, 5, apc_routine, NULL);
}
END_TEST

/* An alert cancels a synchronous request on a file that was opened with FILE_SYNCHRONOUS_IO_ALERT. */
static VOID NTAPI alerts_soon(PVOID context)
{
    sleep_ms(2);
    (void)KeAlertThread(context, KernelMode);
}

static void alert_cancels(void *argument)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Surface");
    OBJECT_ATTRIBUTES attributes;
    PDEVICE_OBJECT device;
    PKTHREAD thread;
    HANDLE file;

    (void)argument;
    start();
    device = surface_device(pends_cancelable);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(
        ZwOpenFile(&file, GENERIC_READ | SYNCHRONIZE, &attributes, &test.result, 0, FILE_SYNCHRONOUS_IO_ALERT),
        STATUS_SUCCESS);
    thread = thread_start(alerts_soon, KeGetCurrentThread());
    ck_assert_int_eq(ZwDeviceIoControlFile(file, NULL, NULL, NULL, &test.result, IOCTL_TEST, NULL, 0, NULL, 0),
                     STATUS_CANCELLED);
    ck_assert(test.flag);
    thread_join(thread);
    ck_assert_int_eq(ZwClose(file), STATUS_SUCCESS);
    surface_remove(device);
}

START_TEST(test_alert_cancels)
{
    over_schedules(2, 5, alert_cancels, NULL);
}
END_TEST

/* ---- limits ---- */

static void uninitialised(void *argument)
{
    (void)argument;
    start();
    (void)apc_insert(0);
}

static void no_kernel_routine(void *argument)
{
    (void)argument;
    KeInitializeApc(&test.apcs[0], KeGetCurrentThread(), OriginalApcEnvironment, NULL, NULL, normal_routine, KernelMode,
                    NULL);
}

static void insert_too_high(void *argument)
{
    KIRQL irql;

    (void)argument;
    start();
    apc_init(0, KeGetCurrentThread(), true, NULL);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    (void)apc_insert(0);
}

static VOID NTAPI changes_irql(PKAPC apc, PKNORMAL_ROUTINE *normal, PVOID *context, PVOID *argument1, PVOID *argument2)
{
    KIRQL irql;

    (void)apc;
    (void)normal;
    (void)context;
    (void)argument1;
    (void)argument2;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
}

static VOID NTAPI leaves_raised(PVOID context, PVOID argument1, PVOID argument2)
{
    KIRQL irql;

    (void)context;
    (void)argument1;
    (void)argument2;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
}

static VOID NTAPI leaves_irql(PKAPC apc, PKNORMAL_ROUTINE *normal, PVOID *context, PVOID *argument1, PVOID *argument2)
{
    (void)apc;
    (void)normal;
    (void)context;
    (void)argument1;
    (void)argument2;
}

/* Bug Check 0xC8: IRQL, IRQL expected and kind of APC; kernel routine; APC; normal routine. */
static const struct irql_change {
    PKKERNEL_ROUTINE kernel;
    PKNORMAL_ROUTINE normal;
    uint64_t first;
} irql_changes[] = {
    {changes_irql, NULL, DISPATCH_LEVEL << 16 | APC_LEVEL << 8},
    {changes_irql, leaves_raised, DISPATCH_LEVEL << 16 | APC_LEVEL << 8 | 1},
    {leaves_irql, leaves_raised, DISPATCH_LEVEL << 16 | PASSIVE_LEVEL << 8 | 1},
};

static void irql_changed(void *argument)
{
    const struct irql_change *change = &irql_changes[*(const int *)argument];

    start();
    KeInitializeApc(&test.apcs[0], KeGetCurrentThread(), OriginalApcEnvironment, change->kernel, NULL, change->normal,
                    KernelMode, NULL);
    (void)apc_insert(0);
}

START_TEST(test_irql_changed)
{
    struct machine_config config = guest_config(1);
    int which = _i;
    const struct failure *failure = guest_must_fail(&config, irql_changed, &which, "irql-changed");

    ck_assert_uint_eq(failure->code, IRQL_UNEXPECTED_VALUE);
    ck_assert_uint_eq(failure->parameter[0], irql_changes[_i].first);
    ck_assert_uint_eq(failure->parameter[1], (uintptr_t)irql_changes[_i].kernel);
    ck_assert_uint_eq(failure->parameter[2], (uintptr_t)&test.apcs[0]);
    ck_assert_uint_eq(failure->parameter[3], (uintptr_t)irql_changes[_i].normal);
}
END_TEST

static const struct {
    void (*function)(void *);
    const char *rule;
    uint32_t code;
} breaks[] = {
    {uninitialised, "apc-not-initialised", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {no_kernel_routine, "apc-kernel-routine", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {insert_too_high, "irql", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {leave_too_often, "critical-region", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {end_in_region, "critical-region", KERNEL_APC_PENDING_DURING_EXIT},
    {builds_in_guarded_region, "apcs-disabled", DRIVER_VERIFIER_DETECTED_VIOLATION},
};

START_TEST(test_breaks)
{
    ck_assert_uint_eq(must_break(1, breaks[_i].function, breaks[_i].rule)->code, breaks[_i].code);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("surface/apcs");
    TCase *cases = tcase_create("apcs");

    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, test_to_self);
    tcase_add_test(cases, test_regions);
    tcase_add_test(cases, test_in_a_wait);
    tcase_add_test(cases, test_timeouts);
    tcase_add_test(cases, test_normal_waits);
    tcase_add_test(cases, test_alerts);
    tcase_add_test(cases, test_through_an_apc);
    tcase_add_test(cases, test_waits_for_request_at_apc_level);
    tcase_add_test(cases, test_end_cancels);
#ifndef MACHINE_THREAD_SANITIZER
    tcase_add_test(cases, test_end_gives_up);
#endif
    tcase_add_test(cases, test_apc_routine);
    tcase_add_test(cases, test_alert_cancels);
    tcase_add_loop_test(cases, test_irql_changed, 0, RTL_NUMBER_OF(irql_changes));
    tcase_add_loop_test(cases, test_breaks, 0, RTL_NUMBER_OF(breaks));
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
