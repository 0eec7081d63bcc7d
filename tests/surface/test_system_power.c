/*
 * The system's power: shutdown notification and S5, sleep and wake-up, a refused sleep, wait/wake requests, idle
 * detection, the firmware. After IoRegisterShutdownNotification, IoRegisterLastChanceShutdownNotification,
 * "Handling IRP_MN_SET_POWER for System Power States", PoRequestPowerIrp, PoSetSystemWake,
 * PoRegisterDeviceForIdleDetection and PoRegisterPowerSettingCallback (wdm.h, ntifs.h).
 */
#include "nt-host/toy_machine.h"
#include "surface.h"

#include "nt/po/po.h"

/* ---- the tree ---- */

#define SET(state) ((unsigned)(TOY_SET_POWER + (state)))

/* One after another in the journal, from where the one before was found. */
static void expect(const unsigned what, char first, int first_child, char second, int second_child)
{
    int at = find_entry(0, first, what, first_child);

    ck_assert_int_ge(at, 0);
    ck_assert_int_ge(find_entry((unsigned)at, second, what, second_child), 0);
    ck_assert_int_lt(find_entry((unsigned)at + 1, first, what, first_child), 0); /* once */
}

static void sleep_and_wake(void)
{
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    ck_assert_int_eq(po_system_state(), PowerSystemSleeping3);
    expect(TOY_QUERY_POWER, 'C', 0, 'F', -1);
    expect(TOY_QUERY_POWER, 'C', 1, 'F', -1);
    expect(SET(PowerSystemSleeping3), 'C', 0, 'F', -1); /* children first */
    expect(SET(PowerSystemSleeping3), 'C', 1, 'F', -1);
    ck_assert_int_lt(find_entry(0, 'F', TOY_QUERY_POWER, -1), find_entry(0, 'C', SET(PowerSystemSleeping3), -1));
    ck_assert_int_eq(toy.ShutdownType, PowerActionSleep);
    forget();
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    expect(SET(PowerSystemWorking), 'F', -1, 'C', 0); /* parents first */
    ck_assert(!seen('F', TOY_QUERY_POWER, -1));       /* waking up is no question */
    ck_assert_int_eq(toy.ShutdownType, PowerActionNone);
    forget();
}

static void refused_sleep(void)
{
    toy.QueryPowerStatus = STATUS_DEVICE_BUSY;
    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_DEVICE_BUSY);
    ck_assert_int_eq(po_system_state(), PowerSystemWorking);
    ck_assert(!seen('C', SET(PowerSystemHibernate), -1));
    expect(SET(PowerSystemWorking), 'C', 1, 'C', 0); /* those that had agreed */
    ck_assert(!seen('F', SET(PowerSystemWorking), -1));
    toy.QueryPowerStatus = STATUS_SUCCESS;
    forget();
}

static void tree(void *argument)
{
    (void)argument;
    boot_with(3);
    forget();
    sleep_and_wake();
    refused_sleep();
    po_shutdown(PowerActionShutdownReset);
    expect(SET(PowerSystemShutdown), 'C', 1, 'F', -1);
    ck_assert_int_eq(toy.ShutdownType, PowerActionShutdownReset);
    ck_assert(!seen('F', TOY_QUERY_POWER, -1));
    ck_assert_int_eq(po_system_state(), PowerSystemShutdown);
    finish();
}

START_TEST(test_tree)
{
    run_in(2, tree);
}
END_TEST

/* A device's power relations are on before it is, and off only after. */
static void related(void *argument)
{
    (void)argument;
    boot_with(7);
    toy.PowerRelations[1] = 1u << 0 | 1u << 2;
    IoInvalidateDeviceRelations(toy.ChildPdo[1], PowerRelations);
    toy.PowerRelations[2] = 1u << 0;
    IoInvalidateDeviceRelations(toy.ChildPdo[2], PowerRelations);
    pnp_wait_quiet();
    forget();
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    expect(SET(PowerSystemSleeping3), 'C', 1, 'C', 2);
    expect(SET(PowerSystemSleeping3), 'C', 2, 'C', 0);
    expect(SET(PowerSystemSleeping3), 'C', 0, 'F', -1);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    expect(SET(PowerSystemWorking), 'F', -1, 'C', 0);
    expect(SET(PowerSystemWorking), 'C', 0, 'C', 2);
    expect(SET(PowerSystemWorking), 'C', 2, 'C', 1);

    /* What is gone is needed by nobody; what a driver does not say again is not so any more. */
    report(3);
    toy.PowerRelations[1] = 0;
    toy.PowerRelations[0] = 1u << 1;
    IoInvalidateDeviceRelations(toy.ChildPdo[1], PowerRelations);
    IoInvalidateDeviceRelations(toy.ChildPdo[0], PowerRelations);
    pnp_wait_quiet();
    forget();
    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_SUCCESS);
    expect(SET(PowerSystemHibernate), 'C', 0, 'C', 1);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);

    /* Two that need each other go all the same. */
    toy.PowerRelations[1] = 1u << 0;
    IoInvalidateDeviceRelations(toy.ChildPdo[1], PowerRelations);
    pnp_wait_quiet();
    forget();
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    ck_assert(seen('C', SET(PowerSystemSleeping3), 0) && seen('C', SET(PowerSystemSleeping3), 1));
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    finish();
}

START_TEST(test_related)
{
    run_in(2, related);
}
END_TEST

/* No device comes or goes while the system changes its state: what is asked for waits until the tree is let go. */
static void held(void *argument)
{
    LARGE_INTEGER interval = {.QuadPart = -100000};

    (void)argument;
    boot_with(1);
    forget();
    pnp_hold();
    IoInvalidateDeviceRelations(toy.Pdo, BusRelations);
    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
    ck_assert(!seen('F', IRP_MN_QUERY_DEVICE_RELATIONS, -1));
    pnp_release();
    pnp_wait_quiet();
    ck_assert(seen('F', IRP_MN_QUERY_DEVICE_RELATIONS, -1));
    finish();
}

START_TEST(test_held)
{
    run_in(2, held);
}
END_TEST

/* ---- notification ---- */

static struct {
    PDEVICE_OBJECT order[4];
    unsigned seen, powered;
    PIRP irp;
    POWER_STATE state;
    NTSTATUS status;
    unsigned values;
    ULONG value;
} test;

static NTSTATUS NTAPI notified(PDEVICE_OBJECT device, PIRP irp)
{
    ck_assert_int_eq(IoGetCurrentIrpStackLocation(irp)->MajorFunction, IRP_MJ_SHUTDOWN);
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ck_assert_int_eq(po_system_state(), PowerSystemWorking); /* before the set-power IRPs */
    test.order[test.seen++] = device;
    return surface_complete(irp, STATUS_SUCCESS, 0);
}

static void notification(void *argument)
{
    PDEVICE_OBJECT device;
    PDEVICE_OBJECT others[2];

    (void)argument;
    memset(&test, 0, sizeof(test));
    boot();
    device = surface_device(notified);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(IoCreateDevice(device->DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &others[i]),
                         STATUS_SUCCESS);
        others[i]->Flags &= ~DO_DEVICE_INITIALIZING;
    }
    ck_assert_int_eq(IoRegisterLastChanceShutdownNotification(device), STATUS_SUCCESS);
    ck_assert_int_eq(IoRegisterShutdownNotification(others[0]), STATUS_SUCCESS);
    ck_assert_int_eq(IoRegisterShutdownNotification(others[1]), STATUS_SUCCESS);
    IoUnregisterShutdownNotification(others[1]);
    po_shutdown(PowerActionShutdownOff);
    ck_assert_uint_eq(test.seen, 2);
    ck_assert_ptr_eq(test.order[0], others[0]);
    ck_assert_ptr_eq(test.order[1], device); /* the last chance */
    for (unsigned i = 0; i < 2; i++)
        IoDeleteDevice(others[i]);
    surface_remove(device);
    finish();
}

START_TEST(test_notification)
{
    run_in(1, notification);
}
END_TEST

/* ---- wait/wake ---- */

static NTSTATUS NTAPI waits_for_wake(PDEVICE_OBJECT device, PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    (void)device;
    ck_assert_int_eq(stack->MajorFunction, IRP_MJ_POWER);
    if (stack->MinorFunction != IRP_MN_WAIT_WAKE) {
        test.powered++;
        test.state = stack->Parameters.Power.State;
        PoSetPowerState(device, DevicePowerState, test.state);
        return surface_complete(irp, STATUS_SUCCESS, 0);
    }
    ck_assert_int_eq(stack->Parameters.WaitWake.PowerState, PowerSystemSleeping3);
    IoMarkIrpPending(irp);
    test.irp = irp;
    return STATUS_PENDING;
}

static VOID NTAPI woken(PDEVICE_OBJECT device, UCHAR minor, POWER_STATE state, PVOID context, PIO_STATUS_BLOCK result)
{
    (void)device;
    ck_assert_uint_eq(minor, IRP_MN_WAIT_WAKE);
    ck_assert_int_eq(state.SystemState, PowerSystemSleeping3);
    ck_assert_ptr_eq(context, &test);
    test.status = result->Status;
    test.seen++;
}

static void wait_wake(void *argument)
{
    POWER_STATE state = {.SystemState = PowerSystemSleeping3};
    PDEVICE_OBJECT device;
    PIRP irp;

    (void)argument;
    memset(&test, 0, sizeof(test));
    device = surface_device(waits_for_wake);
    ck_assert_int_eq(PoRequestPowerIrp(device, IRP_MN_POWER_SEQUENCE, state, NULL, NULL, NULL),
                     STATUS_INVALID_PARAMETER_2);
    ck_assert_int_eq(PoRequestPowerIrp(device, IRP_MN_WAIT_WAKE, state, woken, &test, &irp), STATUS_PENDING);
    ck_assert_ptr_eq(irp, test.irp);
    ck_assert(!PoGetSystemWake(irp));
    PoSetSystemWake(irp);
    ck_assert(PoGetSystemWake(irp));
    (void)surface_complete(test.irp, STATUS_SUCCESS, 0);
    ck_assert_uint_eq(test.seen, 1);
    ck_assert_int_eq(test.status, STATUS_SUCCESS);
    surface_remove(device);
}

START_TEST(test_wait_wake)
{
    guest_run(wait_wake, NULL);
}
END_TEST

/* ---- idle detection ---- */

#ifndef MACHINE_THREAD_SANITIZER /* a minute, where the clock is the host's */
static void idle(void *argument)
{
    PDEVICE_OBJECT device;
    PULONG counter;

    (void)argument;
    memset(&test, 0, sizeof(test));
    device = surface_device(waits_for_wake);
    ck_assert_ptr_null(PoRegisterDeviceForIdleDetection(device, MAXULONG, MAXULONG, PowerDeviceD3)); /* no disk */
    ck_assert_ptr_null(PoRegisterDeviceForIdleDetection(device, 0, 0, PowerDeviceD3));
    counter = PoRegisterDeviceForIdleDetection(device, 2, 5, PowerDeviceD3);
    ck_assert_ptr_nonnull(counter);
    for (unsigned i = 0; i < 4; i++) {
        sleep_ms(3000);
        if (i % 2 == 0)
            PoSetDeviceBusy(counter);
        else
            PoSetDeviceBusyEx(counter);
    }
    ck_assert_uint_eq(test.powered, 0);
    PoStartDeviceBusy(counter);
    sleep_ms(20000);
    ck_assert_uint_eq(test.powered, 0);
    PoEndDeviceBusy(counter);
    sleep_ms(7000);
    ck_assert_uint_eq(test.powered, 1); /* after five seconds, the performance policy's */
    ck_assert_int_eq(test.state.DeviceState, PowerDeviceD3);
    sleep_ms(20000);
    ck_assert_uint_eq(test.powered, 1); /* once */
    ck_assert_ptr_null(PoRegisterDeviceForIdleDetection(device, 0, 0, PowerDeviceD3));
    surface_remove(device);
}

START_TEST(test_idle)
{
    guest_run(idle, NULL);
}
END_TEST
#endif

static void wrong_counter(void *argument)
{
    ULONG counter = 0;

    (void)argument;
    PoSetDeviceBusyEx(&counter);
}

static void idle_too_high(void *argument)
{
    PDEVICE_OBJECT device = surface_device(waits_for_wake);
    KIRQL irql;

    (void)argument;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)PoRegisterDeviceForIdleDetection(device, 1, 1, PowerDeviceD3);
}

static void wrong_firmware(void *argument)
{
    (void)argument;
    HalReturnToFirmware(HalInteractiveModeRoutine);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} breaks[] = {{wrong_counter, "idle-pointer"}, {wrong_firmware, "firmware"}, {idle_too_high, "irql"}};

START_TEST(test_breaks)
{
    (void)must_break(1, breaks[_i].function, breaks[_i].rule);
}
END_TEST

/* ---- settings ---- */

static NTSTATUS NTAPI setting(LPCGUID guid, PVOID value, ULONG length, PVOID context)
{
    (void)guid;
    ck_assert_ptr_eq(context, &test);
    ck_assert_uint_eq(length, sizeof(ULONG));
    test.value = *(ULONG *)value;
    test.values++;
    return STATUS_SUCCESS;
}

static void settings(void *argument)
{
    static const GUID power_source = {0x5d3e9a59, 0xe9d5, 0x4b00, {0xa6, 0xbd, 0xff, 0x34, 0xff, 0x51, 0x65, 0x48}};
    static const GUID unknown = {0x12345678, 1, 2, {3}};
    PVOID handle;

    (void)argument;
    memset(&test, 0, sizeof(test));
    test.value = 77;
    ck_assert_int_eq(PoRegisterPowerSettingCallback(NULL, &power_source, setting, &test, &handle), STATUS_SUCCESS);
    ck_assert_uint_eq(test.values, 1);
    ck_assert_uint_eq(test.value, 0); /* PoAc */
    ck_assert_int_eq(PoUnregisterPowerSettingCallback(handle), STATUS_SUCCESS);
    ck_assert_int_eq(PoRegisterPowerSettingCallback(NULL, &unknown, setting, &test, &handle), STATUS_SUCCESS);
    ck_assert_uint_eq(test.values, 1);
    ck_assert_int_eq(PoUnregisterPowerSettingCallback(handle), STATUS_SUCCESS);
    ck_assert_int_eq(PoUnregisterPowerSettingCallback(handle), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(PoRegisterPowerSettingCallback(NULL, &unknown, NULL, NULL, &handle), STATUS_INVALID_PARAMETER);
}

START_TEST(test_settings)
{
    guest_run(settings, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("surface/system-power");
    TCase *cases = tcase_create("system-power");

    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_tree);
    tcase_add_test(cases, test_related);
    tcase_add_test(cases, test_held);
    tcase_add_test(cases, test_notification);
    tcase_add_test(cases, test_wait_wake);
#ifndef MACHINE_THREAD_SANITIZER
    tcase_add_test(cases, test_idle);
#endif
    tcase_add_test(cases, test_settings);
    tcase_add_loop_test(cases, test_breaks, 0, RTL_NUMBER_OF(breaks));
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
