/* The order of power requests: a bus before its children, a device before the system, a set after each query. */
#include "nt-host/toy_machine.h"

#include "nt/po/po.h"

static void request(PDEVICE_OBJECT pdo, UCHAR minor, DEVICE_POWER_STATE device_state)
{
    POWER_STATE state = {.DeviceState = device_state};

    ck_assert_int_eq(PoRequestPowerIrp(pdo, minor, state, NULL, NULL, NULL), STATUS_PENDING);
}

static PDEVICE_OBJECT child(void)
{
    return pnp_pdo(pnp_find(CHILD(0)));
}

static void in_order(void *argument)
{
    (void)argument;
    boot_with(1);
    request(child(), IRP_MN_QUERY_POWER, PowerDeviceD3);
    request(child(), IRP_MN_SET_POWER, PowerDeviceD3);
    request(toy.Pdo, IRP_MN_SET_POWER, PowerDeviceD3);
    request(toy.Pdo, IRP_MN_SET_POWER, PowerDeviceD0);
    request(child(), IRP_MN_SET_POWER, PowerDeviceD0);
    request(child(), IRP_MN_QUERY_POWER, PowerDeviceD3);
    request(child(), IRP_MN_SET_POWER, PowerDeviceD0);
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping1), STATUS_SUCCESS);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    finish();
}

START_TEST(the_right_order_is_fine)
{
    run_in(1, in_order);
}
END_TEST

static void parent_goes_first(void *argument)
{
    (void)argument;
    boot_with(1);
    request(toy.Pdo, IRP_MN_SET_POWER, PowerDeviceD3);
}

static void child_comes_first(void *argument)
{
    (void)argument;
    boot_with(1);
    request(child(), IRP_MN_SET_POWER, PowerDeviceD3);
    request(toy.Pdo, IRP_MN_SET_POWER, PowerDeviceD3);
    request(child(), IRP_MN_SET_POWER, PowerDeviceD0);
}

static void asked_twice(void *argument)
{
    (void)argument;
    boot_with(1);
    request(child(), IRP_MN_QUERY_POWER, PowerDeviceD3);
    request(child(), IRP_MN_QUERY_POWER, PowerDeviceD2);
}

static void asked_and_gone(void *argument)
{
    (void)argument;
    boot_with(1);
    request(child(), IRP_MN_QUERY_POWER, PowerDeviceD3);
    report(0);
}

static void sleeps_early(void *argument)
{
    (void)argument;
    boot_with(1);
    toy.Sin = TOY_SLEEPS_EARLY;
    po_set_system_state(PowerSystemSleeping1);
}

static void gone_with_a_request(void *argument)
{
    (void)argument;
    boot_with(1);
    toy.Sin = TOY_KEEPS_POWER_IRP;
    request(child(), IRP_MN_SET_POWER, PowerDeviceD3);
    report(0);
}

#ifndef MACHINE_THREAD_SANITIZER /* ten minutes, where the clock is the host's */
static void kept_for_long(void *argument)
{
    LARGE_INTEGER interval = {.QuadPart = -(LONGLONG)10000000 * 601};

    (void)argument;
    boot_with(1);
    toy.Sin = TOY_KEEPS_POWER_IRP;
    request(child(), IRP_MN_SET_POWER, PowerDeviceD3);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}
#endif

static const struct {
    void (*function)(void *);
    const char *rule;
    uint32_t code;
    uint64_t first;
} broken[] = {
    {parent_goes_first, "power-parent-down", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {child_comes_first, "power-child-up", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {asked_twice, "power-query-open", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {asked_and_gone, "power-query-open", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {sleeps_early, "power-system-first", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {gone_with_a_request, "power-device-gone", DRIVER_POWER_STATE_FAILURE, 1},
#ifndef MACHINE_THREAD_SANITIZER
    {kept_for_long, "power-irp-blocked", DRIVER_POWER_STATE_FAILURE, 3},
#endif
};

START_TEST(a_broken_rule_is_reported)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.driver_dir = TEST_DRIVERS;
    config.timeout_ns = 0;
    failure = guest_must_fail(&config, broken[_i].function, NULL, broken[_i].rule);
    ck_assert_uint_eq(failure->code, broken[_i].code);
    ck_assert_uint_eq(failure->parameter[0], broken[_i].first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power rules");
    TCase *cases = tcase_create("power rules");

    tcase_add_test(cases, the_right_order_is_fine);
    tcase_add_loop_test(cases, a_broken_rule_is_reported, 0, sizeof(broken) / sizeof(broken[0]));
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
