/*
 * What the drivers around the bus may do that those of this machine do not: the one below answers late, fails what it
 * never fails, has no location or another name; the PnP manager assigns something else than was asked for. The bus does
 * without, or does not start, and can be had again.
 */
#include <stdio.h>
#include <string.h>

#include "common/irps.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"

#include <initguid.h>

#include "store_interface.h"

#define DRIVERS (STACK_PROBE | STACK_XENFILT)
#define PLATFORM "PCI\\VEN_5853&DEV_0001"
#define BRIDGE "ACPI\\PNP0A03"
#define CHILD "XENBUS\\VEN_XP0001&DEV_IFACE"

/* ---- the bus ---- */

static void rescan_above(void)
{
    ck_assert_ptr_nonnull(stack_device(BRIDGE));
    (void)pnp_rescan(stack_device(BRIDGE));
    pnp_wait_quiet();
}

static void restart_bus(void)
{
    (void)pnp_remove_device(stack_device(CHILD), false);
    (void)pnp_restart_device(stack_device(PLATFORM));
    pnp_wait_quiet();
}

static void mend(void)
{
    for (unsigned attempt = 0; attempt < 3 && !stack_device_started(CHILD); attempt++) {
        if (stack_device(PLATFORM) != NULL && !stack_device_started(PLATFORM))
            (void)pnp_retry_device(stack_device(PLATFORM));
        rescan_above();
        if (stack_device_started(PLATFORM) && stack_device(CHILD) != NULL)
            (void)pnp_retry_device(stack_device(CHILD));
        if (stack_device_started(PLATFORM))
            (void)pnp_rescan(stack_device(PLATFORM));
        pnp_wait_quiet();
    }
}

static void assert_works(void)
{
    XENBUS_STORE_INTERFACE_V2 store;
    PSTR value;

    ck_assert(stack_device_started(PLATFORM));
    ck_assert(stack_device_started(CHILD));
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Read, NULL, NULL, (PSTR)(uintptr_t) "vm", &value), STATUS_SUCCESS);
    XENBUS_STORE_CALL(&store, Free, value);
    XENBUS_STORE_CALL(&store, Release);
}

/* ---- what is assigned ---- */

static struct {
    CM_RESOURCE_LIST *raw, *translated;
} assigned;

static bool is_interrupt(const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor)
{
    return descriptor->Type == CmResourceTypeInterrupt;
}

static CM_RESOURCE_LIST *copy_without(const CM_RESOURCE_LIST *list,
                                      bool (*leave)(const CM_PARTIAL_RESOURCE_DESCRIPTOR *))
{
    ULONG count = list->List[0].PartialResourceList.Count;
    size_t size = 2 * sizeof(*list) + count * sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR);
    CM_RESOURCE_LIST *copy = ExAllocatePool2(POOL_FLAG_PAGED, size, STACK_TAG);

    memcpy(copy, list, sizeof(*list) - sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR));
    copy->List[0].PartialResourceList.Count = 0;
    for (ULONG i = 0; i < count; i++)
        if (!leave(&list->List[0].PartialResourceList.PartialDescriptors[i]))
            copy->List[0].PartialResourceList.PartialDescriptors[copy->List[0].PartialResourceList.Count++] =
                list->List[0].PartialResourceList.PartialDescriptors[i];
    return copy;
}

static bool is_none(const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor)
{
    (void)descriptor;
    return false;
}

/* Of two buses. */
static bool assign_two_lists(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)irp;
    (void)status;
    assigned.raw = copy_without(location->Parameters.StartDevice.AllocatedResources, is_none);
    assigned.raw->Count = 2;
    location->Parameters.StartDevice.AllocatedResources = assigned.raw;
    return false;
}

static bool assign_two_counts(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)irp;
    (void)status;
    assigned.raw = copy_without(location->Parameters.StartDevice.AllocatedResources, is_interrupt);
    location->Parameters.StartDevice.AllocatedResources = assigned.raw;
    return false;
}

static bool assign_no_interrupt(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)irp;
    (void)status;
    assigned.raw = copy_without(location->Parameters.StartDevice.AllocatedResources, is_interrupt);
    assigned.translated = copy_without(location->Parameters.StartDevice.AllocatedResourcesTranslated, is_interrupt);
    location->Parameters.StartDevice.AllocatedResources = assigned.raw;
    location->Parameters.StartDevice.AllocatedResourcesTranslated = assigned.translated;
    return false;
}

static bool is_line(const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor)
{
    return is_interrupt(descriptor) && (descriptor->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) == 0;
}

/* Message interrupts that may go to any of two processors, and no line. */
static bool assign_to_several(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    CM_PARTIAL_RESOURCE_LIST *list;

    (void)device;
    (void)irp;
    (void)status;
    assigned.raw = copy_without(location->Parameters.StartDevice.AllocatedResources, is_line);
    assigned.translated = copy_without(location->Parameters.StartDevice.AllocatedResourcesTranslated, is_line);
    list = &assigned.translated->List[0].PartialResourceList;
    for (ULONG i = 0; i < list->Count; i++)
        if (is_interrupt(&list->PartialDescriptors[i]))
            list->PartialDescriptors[i].u.MessageInterrupt.Translated.Affinity = 3;
    location->Parameters.StartDevice.AllocatedResources = assigned.raw;
    location->Parameters.StartDevice.AllocatedResourcesTranslated = assigned.translated;
    return false;
}

static void assigned_oddly(void *routine)
{
    memset(&assigned, 0, sizeof(assigned));
    assert_works();
    irps_intercept(irps_of_driver(PLATFORM, "xenbus"), false, IRP_MJ_PNP, IRP_MN_START_DEVICE,
                   (irps_interceptor)(uintptr_t)routine);
    restart_bus();
    irps_let_pass();
    ck_assert(!stack_device_started(PLATFORM));
    mend();
    assert_works();
    if (assigned.raw != NULL)
        ExFreePoolWithTag(assigned.raw, STACK_TAG);
    if (assigned.translated != NULL)
        ExFreePoolWithTag(assigned.translated, STACK_TAG);
}

START_TEST(does_not_start_with)
{
    static const irps_interceptor routine[] = {assign_two_lists, assign_two_counts, assign_no_interrupt,
                                               assign_to_several};
    const struct stack_options options = {.drivers = DRIVERS, .quiet = true};

    stack_run(&options, assigned_oddly, (void *)(uintptr_t)routine[_i]);
}
END_TEST

/* ---- requirements ---- */

static bool no_requirements(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    ULONG_PTR list = irp->IoStatus.Information;

    (void)device;
    (void)location;
    if (list != 0)
        ExFreePool((void *)list);
    return irps_answer(irp, STATUS_SUCCESS, 0, status);
}

static bool fail_requirements(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)location;
    return irps_answer(irp, STATUS_INSUFFICIENT_RESOURCES, irp->IoStatus.Information, status);
}

static void requirements(void *routine)
{
    assert_works();
    irps_intercept(irps_bottom(PLATFORM), false, IRP_MJ_PNP, IRP_MN_FILTER_RESOURCE_REQUIREMENTS,
                   (irps_interceptor)(uintptr_t)routine);
    (void)pnp_remove_device(stack_device(PLATFORM), false);
    rescan_above();
    irps_let_pass();
    (void)pnp_remove_device(stack_device(PLATFORM), false);
    mend();
    assert_works();
}

START_TEST(without_requirements)
{
    static const irps_interceptor routine[] = {no_requirements, fail_requirements};
    const struct stack_options options = {.drivers = DRIVERS, .quiet = true};

    stack_run(&options, requirements, (void *)(uintptr_t)routine[_i]);
}
END_TEST

/* ---- names ---- */

static bool another_name(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    static const WCHAR name[] = L"PCI\\VEN_5853&DEV_00";
    WCHAR *copy;

    /* The manager has asked before the stack is there. */
    if (location->Parameters.QueryId.IdType != BusQueryDeviceID || device->AttachedDevice == NULL)
        return false;
    copy = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(name), STACK_TAG);
    memcpy(copy, name, sizeof(name));
    return irps_answer(irp, STATUS_SUCCESS, (ULONG_PTR)copy, status);
}

/* A device whose ID does not say which of the three it is cannot be the bus. */
STACK_TEST(device_of_another_name, .drivers = DRIVERS, .quiet = true)
{
    irps_intercept(irps_bottom(PLATFORM), true, IRP_MJ_PNP, IRP_MN_QUERY_ID, another_name);
    (void)pnp_remove_device(stack_device(PLATFORM), false);
    rescan_above();
    irps_let_pass();
    ck_assert(stack_device(CHILD) == NULL || !stack_device_started(CHILD));
    mend();
    assert_works();
}

/* One of which it is not known where it is is the bus all the same. */
STACK_TEST(device_without_location, .drivers = DRIVERS, .quiet = true)
{
    char path[256];

    snprintf(path, sizeof(path), CM_ENUM "\\%s", pnp_instance_path(stack_device(PLATFORM)));
    (void)pnp_remove_device(stack_device(PLATFORM), false);
    ck_assert(cm_value_delete(cm_key_open(path), "LocationInformation"));
    rescan_above();
    assert_works();
}

/* ---- late answers ---- */

static struct {
    PIRP irp;
    PDEVICE_OBJECT device;
} late;

static VOID NTAPI answer_late(PVOID unused)
{
    (void)unused;
    stack_sleep_us(1000);
    (void)irps_go_on(late.device, late.irp);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static PKTHREAD answering[16];
static unsigned answers;

/* The next driver's answer comes from another thread, after the call is back. */
static bool keep(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)location;
    if (device->AttachedDevice == NULL || answers == ARRAYSIZE(answering))
        return false;
    IoMarkIrpPending(irp);
    late.irp = irp;
    late.device = device;
    answering[answers++] = stack_thread(answer_late, NULL);
    *status = STATUS_PENDING;
    return true;
}

static void late_answers(void *minor)
{
    answers = 0;
    irps_intercept(irps_bottom(PLATFORM), true, IRP_MJ_PNP, (UCHAR)(uintptr_t)minor, keep);
    (void)pnp_remove_device(stack_device(PLATFORM), false);
    rescan_above();
    pnp_wait_quiet();
    irps_let_pass();
    ck_assert_uint_ne(answers, 0);
    for (unsigned i = 0; i < answers; i++)
        stack_join(answering[i]);
    mend();
    assert_works();
}

START_TEST(answers_late)
{
    static const UCHAR minor[] = {IRP_MN_QUERY_ID, IRP_MN_START_DEVICE, IRP_MN_FILTER_RESOURCE_REQUIREMENTS};
    const struct stack_options options = {.drivers = STACK_PROBE | (_i % 2 == 0 ? STACK_XENFILT : 0), .quiet = true};

    stack_run(&options, late_answers, (void *)(uintptr_t)minor[_i / 2]);
}
END_TEST

/* ---- children ---- */

static bool report_none(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)status;
    if (location->Parameters.QueryDeviceRelations.Type == BusRelations)
        irp->IoStatus.Information = (ULONG_PTR)ExAllocatePool2(POOL_FLAG_PAGED, sizeof(DEVICE_RELATIONS), STACK_TAG);
    return false;
}

static PDEVICE_OBJECT another;

static bool report_another(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    PDEVICE_RELATIONS relations;

    (void)device;
    (void)status;
    if (location->Parameters.QueryDeviceRelations.Type == BusRelations) {
        relations = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(DEVICE_RELATIONS), STACK_TAG);
        relations->Count = 1;
        relations->Objects[0] = another;
        ObReferenceObject(another);
        irp->IoStatus.Information = (ULONG_PTR)relations;
    }
    return false;
}

static PDEVICE_RELATIONS ask_for_children(void)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(irps_bottom(PLATFORM));
    ULONG_PTR information = 0;

    what.Parameters.QueryDeviceRelations.Type = BusRelations;
    ck_assert_int_eq(irps_send(top, IRP_MJ_PNP, &what, &information), STATUS_SUCCESS);
    ObDereferenceObject(top);
    return (PDEVICE_RELATIONS)information;
}

static void free_relations(PDEVICE_RELATIONS relations)
{
    for (ULONG i = 0; i < relations->Count; i++)
        ObDereferenceObject(relations->Objects[i]);
    ExFreePool(relations);
}

/* A filter above has children of its own: the bus adds its to them. */
STACK_TEST(children_of_others, .drivers = STACK_PROBE)
{
    PDEVICE_RELATIONS relations = ask_for_children();
    ULONG count = relations->Count;

    free_relations(relations);
    ck_assert_uint_ge(count, 1);
    irps_intercept(irps_of_driver(PLATFORM, "xenbus"), false, IRP_MJ_PNP, IRP_MN_QUERY_DEVICE_RELATIONS, report_none);
    relations = ask_for_children();
    irps_let_pass();
    ck_assert_uint_eq(relations->Count, count);
    free_relations(relations);

    another = irps_bottom(BRIDGE);
    irps_intercept(irps_of_driver(PLATFORM, "xenbus"), false, IRP_MJ_PNP, IRP_MN_QUERY_DEVICE_RELATIONS,
                   report_another);
    relations = ask_for_children();
    irps_let_pass();
    ck_assert_uint_eq(relations->Count, count + 1);
    ck_assert_ptr_eq(relations->Objects[0], another);
    free_relations(relations);
}

static bool forget_vif(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)irp;
    (void)status;
    if (location->Parameters.QueryDeviceRelations.Type == BusRelations && irps_intercepted() == 1) {
        stack_store_remove(stack_path("device/vif"));
        stack_sleep_us(5000);
    }
    return false;
}

/* A class that has come and gone before anybody has asked for the children was never there. */
STACK_TEST(child_of_a_moment, .drivers = STACK_PROBE, .quiet = true)
{
    irps_intercept(irps_of_driver(PLATFORM, "xenbus"), false, IRP_MJ_PNP, IRP_MN_QUERY_DEVICE_RELATIONS, forget_vif);
    stack_store_write(stack_path("device/vif"), "");
    stack_sleep_us(10000);
    pnp_wait_quiet();
    irps_let_pass();
    ck_assert_ptr_null(stack_device("XENBUS\\VEN_XP0001&DEV_VIF"));
    assert_works();
}

#define LONG_CLASS "A23456789B23456789C23456789D23456789E23456789F23456789G23456789H23456789"

/* A name in the registry that is too long for a class is no class's. */
STACK_TEST(class_with_a_long_name, .drivers = STACK_PROBE, .quiet = true)
{
    static const char *const classes[] = {"A23456789B23456789C23456789D23456789", "IFACE"};

    cm_value_set_multi(cm_key_open(CM_SERVICES "\\xenbus\\Parameters"), "SyntheticClasses", classes,
                       ARRAYSIZE(classes));
    (void)pnp_remove_device(stack_device(PLATFORM), false);
    rescan_above();
    assert_works();
    ck_assert_ptr_null(stack_device("XENBUS\\VEN_XP0001&DEV_A2"));
    ck_assert_ptr_null(stack_device("XENBUS\\VEN_XP0001&DEV_CONS"));
}

/* ---- power ---- */

static bool no_power(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    if (location->Parameters.Power.Type != DevicePowerState ||
        location->Parameters.Power.State.DeviceState != PowerDeviceD0)
        return false;
    PoStartNextPowerIrp(irp);
    return irps_answer(irp, STATUS_DEVICE_POWER_FAILURE, 0, status);
}

/* A bus whose child has no driver goes off when the system sleeps. */
#define NO_CHILD .drivers = STACK_XENFILT, .quiet = true

static void mend_bus(void)
{
    for (unsigned attempt = 0; attempt < 3 && !stack_device_started(PLATFORM); attempt++) {
        if (stack_device(PLATFORM) != NULL)
            (void)pnp_retry_device(stack_device(PLATFORM));
        rescan_above();
    }
}

static void assert_is_up(void)
{
    ck_assert(stack_device_started(PLATFORM));
    stack_store_await(stack_path("control/feature-suspend"), "1", 1000);
}

static void fall_asleep(void)
{
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    stack_store_await(stack_path("control/feature-suspend"), "", 1000);
}

/* A device that gets no power is taken away, and comes back when somebody has it started again. */
STACK_TEST(does_not_wake, NO_CHILD)
{
    assert_is_up();
    irps_intercept(irps_bottom(PLATFORM), false, IRP_MJ_POWER, IRP_MN_SET_POWER, no_power);
    fall_asleep();
    (void)po_set_system_state(PowerSystemWorking);
    pnp_wait_quiet();
    irps_let_pass();
    ck_assert(!stack_device_started(PLATFORM));
    mend_bus();
    assert_is_up();
}

/* With VIFs, which close their devices before the bus goes: nobody waits for a store that is left alone in sleep. */
static void does_not_wake_with_vifs(void *state)
{
    uint64_t start;

    for (unsigned round = 0; round < 2; round++) {
        ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
        irps_intercept(irps_bottom(PLATFORM), false, IRP_MJ_POWER, IRP_MN_SET_POWER, no_power);
        ck_assert_int_eq(po_set_system_state((SYSTEM_POWER_STATE)(uintptr_t)state), STATUS_SUCCESS);
        start = clock_now();
        (void)po_set_system_state(PowerSystemWorking);
        pnp_wait_quiet();
        irps_let_pass();
        ck_assert(!stack_device_started(PLATFORM));
        ck_assert_uint_lt(clock_now() - start, UINT64_C(5000000000));
        mend_bus();
        assert_is_up();
        stack_wait_connected(0);
    }
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
}

START_TEST(vifs_of_a_bus_that_does_not_wake)
{
    static const SYSTEM_POWER_STATE state[] = {PowerSystemSleeping3, PowerSystemHibernate};
    static const struct stack_options options = {.drivers = STACK_XENFILT | STACK_XENVIF | STACK_NETCLIENT,
                                                 .vifs = 1,
                                                 .wait = true,
                                                 .quiet = true,
                                                 .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, does_not_wake_with_vifs, (void *)(uintptr_t)state[_i]);
}
END_TEST

/* Something runs out when power comes back, one call after the other. */
static void wake(void *state)
{
    unsigned failures = 0;
    uint64_t before, nth = 1;

    fault_suspend();
    do {
        before = fault_injected();
        ck_assert(stack_device_started(PLATFORM));
        ck_assert_int_eq(po_set_system_state((SYSTEM_POWER_STATE)(uintptr_t)state), STATUS_SUCCESS);
        machine->config.faults.rule[0].nth = nth++;
        machine->fault->matched[0] = 0;
        fault_resume();
        (void)po_set_system_state(PowerSystemWorking);
        fault_suspend();
        pnp_wait_quiet();
        failures += !stack_device_started(PLATFORM);
        mend_bus();
    } while (fault_injected() != before);
    assert_is_up();
    ck_assert_uint_ne(failures, 0);
}

START_TEST(wakes_short)
{
    static const SYSTEM_POWER_STATE state[] = {PowerSystemSleeping3, PowerSystemHibernate};
    const struct stack_options options = {
        NO_CHILD, .fail = "kind=pool+mdl+thread+interrupt+mapping+registry+hypercall,nth=100000000"};

    stack_run(&options, wake, (void *)(uintptr_t)state[_i]);
}
END_TEST

/* The last child went while the bus was off: back, the bus tells the manager of the one that it makes anew. */
STACK_TEST(children_change_in_sleep, .drivers = STACK_XENFILT, .quiet = true, .vifs = 0)
{
    assert_is_up();
    fall_asleep();
    stack_store_write(stack_path("device/vif"), "");
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_ptr_nonnull(stack_device("XENBUS\\VEN_XP0001&DEV_VIF"));
    stack_store_remove(stack_path("device/vif"));
    pnp_wait_quiet();
}

/* A toolstack that has made no such node, nor lets the guest make one, is told nothing, and finds none afterwards. */
STACK_TEST(nobody_wants_to_know, NO_CHILD)
{
    assert_is_up();
    fall_asleep();
    stack_store_remove(stack_path("control/feature-suspend"));
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
        ck_assert(stack_device_started(PLATFORM));
        stack_store_await(stack_path("control/feature-suspend"), "(absent)", 1000);
        ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    }
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
}

int main(void)
{
    Suite *suite = suite_create("around the bus");
    TCase *tcase = tcase_create("start");

    tcase_add_loop_test(tcase, does_not_start_with, 0, 4);
    tcase_add_loop_test(tcase, without_requirements, 0, 2);
    tcase_add_test(tcase, device_of_another_name);
    tcase_add_test(tcase, device_without_location);
    tcase_add_loop_test(tcase, answers_late, 0, 6);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("children");
    tcase_add_test(tcase, children_of_others);
    tcase_add_test(tcase, child_of_a_moment);
    tcase_add_test(tcase, class_with_a_long_name);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("power");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, does_not_wake);
    tcase_add_loop_test(tcase, vifs_of_a_bus_that_does_not_wake, 0, 2);
    tcase_add_loop_test(tcase, wakes_short, 0, 2);
    tcase_add_test(tcase, children_change_in_sleep);
    tcase_add_test(tcase, nobody_wants_to_know);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
