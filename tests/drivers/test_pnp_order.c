/*
 * What the PnP and power managers may ask of xenbus, of xenfilt and of a child, one thing after any other, with and
 * without a failure of what lies below, and with each thing that can run out running out: afterwards the bus is there
 * again, or can be had again, and works.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"
#include "machine/fault.h"
#include "machine/kernel_lock.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/xen.h"

#include <initguid.h>

#include "store_interface.h"

#define DRIVERS (STACK_PROBE | STACK_XENFILT)
#define PLATFORM "PCI\\VEN_5853&DEV_0001"
#define CHILD "XENBUS\\VEN_XP0001&DEV_IFACE"

/* ---- what is asked ---- */

static void rescan_above(void)
{
    struct devnode *pci = stack_device("ACPI\\PNP0A03");

    ck_assert_ptr_nonnull(pci);
    (void)pnp_rescan(pci);
}

static void restart_bus(void)
{
    (void)pnp_restart_device(stack_device(PLATFORM)); /* refused while a child is started */
}

static void restart_child(void)
{
    (void)pnp_restart_device(stack_device(CHILD));
}

static void remove_child(void)
{
    (void)pnp_remove_device(stack_device(CHILD), false);
}

static void lose_child(void)
{
    (void)pnp_remove_device(stack_device(CHILD), true);
}

/* With no child in the way a bus can be stopped. */
static void restart_idle_bus(void)
{
    (void)pnp_remove_device(stack_device(CHILD), false);
    (void)pnp_restart_device(stack_device(PLATFORM));
}

static void remove_bus(void)
{
    (void)pnp_remove_device(stack_device(PLATFORM), false);
}

static void lose_bus(void)
{
    (void)pnp_remove_device(stack_device(PLATFORM), true);
}

static void rescan_bus(void)
{
    (void)pnp_rescan(stack_device(PLATFORM));
}

static void sleep_and_wake(void)
{
    if (NT_SUCCESS(po_set_system_state(PowerSystemSleeping3)))
        (void)po_set_system_state(PowerSystemWorking);
}

static void hibernate_in_vain(void)
{
    if (NT_SUCCESS(po_set_system_state(PowerSystemHibernate)))
        (void)po_set_system_state(PowerSystemWorking);
}

static const struct {
    const char *name;
    void (*run)(void);
    bool takes; /* something that can run out */
} actions[] = {
    {"restart of the bus", restart_bus, false},
    {"restart of the bus without children", restart_idle_bus, true},
    {"restart of the child", restart_child, false},
    {"removal of the child", remove_child, false},
    {"loss of the child", lose_child, false},
    {"removal of the bus", remove_bus, true},
    {"loss of the bus", lose_bus, true},
    {"rescan", rescan_bus, false},
    {"sleep", sleep_and_wake, false},
    {"hibernation", hibernate_in_vain, false},
};

#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

/* ---- afterwards ---- */

/* As somebody at the Device Manager would. */
static void mend(void)
{
    for (unsigned attempt = 0; attempt < 3 && !stack_device_started(CHILD); attempt++) {
        pnp_wait_quiet();
        if (stack_device(PLATFORM) == NULL)
            rescan_above();
        else if (!stack_device_started(PLATFORM))
            (void)pnp_retry_device(stack_device(PLATFORM));
        pnp_wait_quiet();
        if (stack_device_started(PLATFORM) && stack_device(CHILD) != NULL && !stack_device_started(CHILD))
            (void)pnp_retry_device(stack_device(CHILD));
        rescan_above();
        if (stack_device_started(PLATFORM))
            (void)pnp_rescan(stack_device(PLATFORM));
        pnp_wait_quiet();
    }
}

static void assert_works(const char *after)
{
    static unsigned round;
    XENBUS_STORE_INTERFACE_V2 store;
    char value[16], seen[16];

    mend();
    ck_assert_msg(stack_device_started(PLATFORM), "after %s there is no bus", after);
    ck_assert_msg(stack_device_started(CHILD), "after %s there is no child", after);
    snprintf(value, sizeof(value), "%u", ++round);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_msg(XENBUS_STORE_CALL(&store, Acquire) == STATUS_SUCCESS, "after %s there is no store", after);
    ck_assert_msg(XENBUS_STORE_CALL(&store, Printf, NULL, (PSTR)(uintptr_t) "data", (PSTR)(uintptr_t) "pnp", "%s",
                                    value) == STATUS_SUCCESS,
                  "after %s the store does not work", after);
    XENBUS_STORE_CALL(&store, Release);
    ck_assert(stack_store_read(stack_path("data/pnp"), seen, sizeof(seen)));
    ck_assert_str_eq(seen, value);
}

/* ---- any order: each thing after each other, and again ---- */

static void any_order_scenario(__attribute__((unused)) void *argument)
{
    for (unsigned stride = 1; stride < ACTIONS; stride++)
        for (unsigned i = 0, at = 0; i < ACTIONS; i++, at = (at + stride) % ACTIONS) {
            actions[at].run();
            pnp_wait_quiet();
            assert_works(actions[at].name);
        }
    stack_store_remove(stack_path("data/pnp"));
}

START_TEST(any_order)
{
    struct stack_options options = {.drivers = DRIVERS, .quiet = true};

    stack_run(&options, any_order_scenario, NULL);
    options.policy = POLICY_PCT;
    options.seed = 1;
    options.vcpus = 4;
    stack_run(&options, any_order_scenario, NULL);
}
END_TEST

/* Nobody mends in between: where a device is gone, what is asked of it is asked of nobody. */
static void without_mending_scenario(__attribute__((unused)) void *argument)
{
    uint32_t random = 12345;

    for (unsigned i = 0; i < 120; i++) {
        unsigned at;

        random = random * 1664525 + 1013904223;
        at = (random >> 16) % ACTIONS;
        if (!stack_device_started(PLATFORM) || !stack_device_started(CHILD)) {
            if (stack_device_started(PLATFORM))
                rescan_bus();
            else
                rescan_above();
            pnp_wait_quiet();
        }
        if (stack_device_started(PLATFORM) && stack_device_started(CHILD))
            actions[at].run();
    }
    pnp_wait_quiet();
    assert_works("all of it");
    stack_store_remove(stack_path("data/pnp"));
}

START_TEST(without_mending)
{
    struct stack_options options = {.drivers = DRIVERS, .quiet = true};

    stack_run(&options, without_mending_scenario, NULL);
}
END_TEST

/* ---- what lies below fails ---- */

static struct {
    PDEVICE_OBJECT device;
    PDRIVER_DISPATCH original;
    UCHAR minor;
    unsigned left; /* so many IRPs more */
    unsigned failed;
} breakage;

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    if (device != breakage.device || IoGetCurrentIrpStackLocation(irp)->MinorFunction != breakage.minor ||
        breakage.left == 0)
        return breakage.original(device, irp);
    breakage.left--;
    breakage.failed++;
    irp->IoStatus.Status = STATUS_UNSUCCESSFUL;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_UNSUCCESSFUL;
}

/* The bottom of the device's stack fails these IRPs from now on. */
static void break_device(const char *device, UCHAR minor)
{
    breakage.device = pnp_pdo(stack_device(device));
    breakage.original = breakage.device->DriverObject->MajorFunction[IRP_MJ_PNP];
    breakage.minor = minor;
    breakage.left = 2;
    breakage.device->DriverObject->MajorFunction[IRP_MJ_PNP] = dispatch;
}

static const struct {
    const char *device;
    UCHAR minor;
    void (*run)(void);
} broken[] = {
    {PLATFORM, IRP_MN_START_DEVICE, restart_idle_bus},
    {PLATFORM, IRP_MN_QUERY_STOP_DEVICE, restart_idle_bus},
    {PLATFORM, IRP_MN_QUERY_REMOVE_DEVICE, remove_bus},
    {PLATFORM, IRP_MN_QUERY_INTERFACE, restart_idle_bus},
    {PLATFORM, IRP_MN_QUERY_CAPABILITIES, restart_idle_bus},
    {PLATFORM, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, restart_idle_bus},
    {CHILD, IRP_MN_START_DEVICE, restart_child},
    {CHILD, IRP_MN_QUERY_STOP_DEVICE, restart_child},
    {CHILD, IRP_MN_QUERY_REMOVE_DEVICE, remove_child},
    {CHILD, IRP_MN_QUERY_REMOVE_DEVICE, remove_bus},
    {CHILD, IRP_MN_QUERY_CAPABILITIES, restart_child},
};

static void below_fails_scenario(void *argument)
{
    unsigned at = (unsigned)(uintptr_t)argument;
    char what[40];
    PDRIVER_OBJECT driver;

    snprintf(what, sizeof(what), "failure %u of what is below", at);
    assert_works("the start");
    memset(&breakage, 0, sizeof(breakage));
    break_device(broken[at].device, broken[at].minor);
    driver = breakage.device->DriverObject;
    ObReferenceObject(driver);
    broken[at].run();
    pnp_wait_quiet();
    if (driver->MajorFunction[IRP_MJ_PNP] == dispatch)
        driver->MajorFunction[IRP_MJ_PNP] = breakage.original;
    ObDereferenceObject(driver);
    assert_works(what);
    stack_store_remove(stack_path("data/pnp"));
}

START_TEST(below_fails)
{
    struct stack_options options = {.drivers = DRIVERS, .quiet = true};

    stack_run(&options, below_fails_scenario, (void *)(uintptr_t)_i);
}
END_TEST

/* ---- each thing that can run out does ---- */

#define STRIDE 13 /* of the calls; PNP_STRIDE=1 in the environment: each of them */

static unsigned stride(void)
{
    const char *text = getenv("PNP_STRIDE");

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : STRIDE;
}

static void runs_out_scenario(void *argument)
{
    unsigned at = (unsigned)(uintptr_t)argument;
    char what[96];
    uint64_t before;
    uint64_t nth = 1;

    fault_suspend();
    assert_works("the start");
    do {
        before = fault_injected();
        machine->config.faults.rule[0].nth = nth;
        machine->fault->matched[0] = 0;
        fault_resume();
        actions[at].run();
        pnp_wait_quiet();
        fault_suspend();
        snprintf(what, sizeof(what), "failure of call %llu in %s", (unsigned long long)nth, actions[at].name);
        assert_works(what);
        nth += stride();
    } while (fault_injected() != before);
    ck_assert(!actions[at].takes || fault_injected() > 0);
    stack_store_remove(stack_path("data/pnp"));
}

START_TEST(runs_out)
{
    struct stack_options options = {
        .drivers = DRIVERS,
        .quiet = true,
        .fail = "kind=pool+mdl+workitem+thread+interrupt+mapping+registry+hypercall,nth=100000000",
    };

    stack_run(&options, runs_out_scenario, (void *)(uintptr_t)_i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pnp");
    TCase *tcase = tcase_create("order");

    tcase_add_test(tcase, any_order);
    tcase_add_test(tcase, without_mending);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("failures");
    tcase_add_loop_test(tcase, below_fails, 0, sizeof(broken) / sizeof(broken[0]));
    tcase_add_loop_test(tcase, runs_out, 0, ACTIONS);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
