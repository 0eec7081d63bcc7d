/*
 * IRPs that reach the bus, its child and the filter above the bus, but that the managers of this machine send seldom or
 * never: notices of a paging file, relations, device states, WMI, and what a device is asked that is no one's concern.
 */
#include "common/irps.h"
#include "common/stack.h"
#include "machine/fault.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>

#include "emulated_interface.h"

#include <wdmguid.h>

#define DRIVERS (STACK_PROBE | STACK_XENFILT)
#define PLATFORM "PCI\\VEN_5853&DEV_0001"
#define BRIDGE "ACPI\\PNP0A03"
#define CHILD "XENBUS\\VEN_XP0001&DEV_IFACE"

/* Of the device's stack: the top, with a reference. */
static PDEVICE_OBJECT top(const char *device)
{
    return IoGetAttachedDeviceReference(irps_bottom(device));
}

/* ---- a paging file on the bus ---- */

static NTSTATUS notify(PDEVICE_OBJECT target, bool in_path)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_DEVICE_USAGE_NOTIFICATION};
    ULONG_PTR information = 0;

    what.Parameters.UsageNotification.InPath = in_path;
    what.Parameters.UsageNotification.Type = DeviceUsageTypePaging;
    return irps_send(target, IRP_MJ_PNP, &what, &information);
}

static ULONG_PTR device_state(const char *device)
{
    const IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_PNP_DEVICE_STATE};
    PDEVICE_OBJECT target = top(device);
    ULONG_PTR information = 0;

    (void)irps_send(target, IRP_MJ_PNP, &what, &information);
    ObDereferenceObject(target);
    return information;
}

/* Told of the child, the bus may neither be stopped, removed nor disabled, as long as one of two files is there. */
STACK_TEST(paging_file, .drivers = DRIVERS)
{
    PDEVICE_OBJECT bus;

    ck_assert_uint_eq(device_state(PLATFORM) & PNP_DEVICE_NOT_DISABLEABLE, 0);
    ck_assert_int_eq(notify(irps_bottom(CHILD), true), STATUS_SUCCESS);
    ck_assert_int_eq(notify(irps_bottom(CHILD), true), STATUS_SUCCESS);
    ck_assert_int_eq(notify(irps_bottom(CHILD), false), STATUS_SUCCESS);
    ck_assert_uint_ne(device_state(PLATFORM) & PNP_DEVICE_NOT_DISABLEABLE, 0);
    bus = top(PLATFORM);
    ck_assert_int_eq(irps_send_minor(bus, IRP_MN_QUERY_STOP_DEVICE), STATUS_DEVICE_BUSY);
    ck_assert_int_eq(irps_send_minor(bus, IRP_MN_QUERY_REMOVE_DEVICE), STATUS_DEVICE_BUSY);
    ck_assert(!NT_SUCCESS(pnp_remove_device(stack_device(PLATFORM), false)));
    ck_assert_int_eq(pnp_state(stack_device(PLATFORM)), DEVNODE_STARTED);

    ck_assert_int_eq(notify(bus, false), STATUS_SUCCESS);
    ck_assert_uint_eq(device_state(PLATFORM) & PNP_DEVICE_NOT_DISABLEABLE, 0);
    ck_assert_int_eq(irps_send_minor(bus, IRP_MN_QUERY_REMOVE_DEVICE), STATUS_SUCCESS);
    ck_assert_int_eq(irps_send_minor(bus, IRP_MN_CANCEL_REMOVE_DEVICE), STATUS_SUCCESS);
    ObDereferenceObject(bus);
    pnp_wait_quiet();
}

static bool refuse_usage(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)location;
    return irps_answer(irp, STATUS_DEVICE_NOT_READY, 0, status);
}

/* What the device below refuses has not happened: the bus is as free as before. */
STACK_TEST(paging_file_refused, .drivers = DRIVERS)
{
    PDEVICE_OBJECT bus = top(PLATFORM);

    irps_intercept(irps_bottom(PLATFORM), false, IRP_MJ_PNP, IRP_MN_DEVICE_USAGE_NOTIFICATION, refuse_usage);
    ck_assert_int_eq(notify(irps_bottom(CHILD), true), STATUS_DEVICE_NOT_READY);
    irps_let_pass();
    ck_assert_uint_eq(device_state(PLATFORM) & PNP_DEVICE_NOT_DISABLEABLE, 0);
    ck_assert_int_eq(irps_send_minor(bus, IRP_MN_QUERY_REMOVE_DEVICE), STATUS_SUCCESS);
    ck_assert_int_eq(irps_send_minor(bus, IRP_MN_CANCEL_REMOVE_DEVICE), STATUS_SUCCESS);
    ObDereferenceObject(bus);
}

/* ---- the filter ---- */

/* The filter answers for its own interface; what is asked of the bus below is the bus's to answer. */
STACK_TEST(interfaces_past_the_filter, .drivers = DRIVERS)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_INTERFACE};
    PDEVICE_OBJECT filter = irps_of_driver(PLATFORM, "xenfilt");
    BUS_INTERFACE_STANDARD *bus = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*bus), STACK_TAG);
    ULONG_PTR information = 0;

    what.Parameters.QueryInterface.InterfaceType = &GUID_BUS_INTERFACE_STANDARD;
    what.Parameters.QueryInterface.Size = sizeof(*bus);
    what.Parameters.QueryInterface.Version = 1;
    what.Parameters.QueryInterface.Interface = (PINTERFACE)bus;
    ck_assert_int_eq(irps_send(filter, IRP_MJ_PNP, &what, &information), STATUS_SUCCESS);
    ck_assert_uint_eq(bus->Version, 1);
    bus->InterfaceDereference(bus->Context);

    what.Parameters.QueryInterface.InterfaceType = &GUID_XENFILT_EMULATED_INTERFACE;
    what.Parameters.QueryInterface.Version = 99;
    ck_assert_int_eq(irps_send(filter, IRP_MJ_PNP, &what, &information), STATUS_NOT_SUPPORTED);
    ExFreePoolWithTag(bus, STACK_TAG);
}

/* Above a bus the filter has nothing to say about a paging file: the answer is the one from below. */
STACK_TEST(paging_file_past_the_filter, .drivers = DRIVERS)
{
    PDEVICE_OBJECT filter = irps_of_driver(BRIDGE, "xenfilt");
    PDEVICE_OBJECT below = irps_bottom(BRIDGE);

    while (below->AttachedDevice != filter)
        below = below->AttachedDevice;
    ck_assert_int_eq(notify(filter, true), notify(below, true));
    ck_assert_int_eq(notify(filter, false), notify(below, false));
    ck_assert_uint_eq(filter->Flags & DO_POWER_PAGABLE, below->Flags & DO_POWER_PAGABLE);
}

/* ---- a device that goes ---- */

static PDEVICE_OBJECT going_device;

/* What lies below keeps a notice of a paging file. */
static void tell_usage(void)
{
    ck_assert_int_eq(notify(going_device, true), STATUS_SUCCESS);
}

static void assert_refused(void)
{
    IO_STACK_LOCATION what = {.MinorFunction = 0};
    ULONG_PTR information = 0;

    ck_assert_int_eq(irps_send_minor(going_device, IRP_MN_QUERY_CAPABILITIES), STATUS_DELETE_PENDING);
    ck_assert_int_eq(irps_send(going_device, IRP_MJ_SYSTEM_CONTROL, &what, &information), STATUS_DELETE_PENDING);
    what.MinorFunction = IRP_MN_QUERY_POWER;
    ck_assert_int_eq(irps_send(going_device, IRP_MJ_POWER, &what, &information), STATUS_DELETE_PENDING);
}

/* One that waits for an IRP under way before it goes takes no other, and goes when that is done. */
static void going(void *name)
{
    const struct irps_going during = {PLATFORM, irps_bottom(PLATFORM), IRP_MN_DEVICE_USAGE_NOTIFICATION, tell_usage,
                                      assert_refused};

    going_device = irps_of_driver(PLATFORM, name);
    irps_go_during(&during);
    ck_assert_int_eq(pnp_rescan(stack_device(BRIDGE)), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_int_eq(pnp_state(stack_device(PLATFORM)), DEVNODE_STARTED);
}

START_TEST(refused_while_it_goes)
{
    static const char *const names[] = {"xenbus", "xenfilt"};
    static const struct stack_options options = {.drivers = DRIVERS};

    stack_run(&options, going, (void *)(uintptr_t)names[_i]);
}
END_TEST

/* ---- a child ---- */

STACK_TEST(target_relation, .drivers = DRIVERS)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};
    PDEVICE_OBJECT child = irps_bottom(CHILD);
    PDEVICE_RELATIONS relations;
    ULONG_PTR information = 0;

    what.Parameters.QueryDeviceRelations.Type = TargetDeviceRelation;
    ck_assert_int_eq(irps_send(child, IRP_MJ_PNP, &what, &information), STATUS_SUCCESS);
    relations = (PDEVICE_RELATIONS)information;
    ck_assert_uint_eq(relations->Count, 1);
    ck_assert_ptr_eq(relations->Objects[0], child);
    ObDereferenceObject(relations->Objects[0]);
    ExFreePool(relations);

    /* A child has no children, nor goes with anything else. */
    what.Parameters.QueryDeviceRelations.Type = BusRelations;
    information = 0;
    ck_assert_int_eq(irps_send(child, IRP_MJ_PNP, &what, &information), STATUS_NOT_SUPPORTED);
    ck_assert_uint_eq(information, 0);
    what.Parameters.QueryDeviceRelations.Type = EjectionRelations;
    ck_assert_int_eq(irps_send(child, IRP_MJ_PNP, &what, &information), STATUS_NOT_SUPPORTED);
}

STACK_TEST(target_relation_without_memory, .drivers = DRIVERS, .quiet = true, .fail = "kind=pool,nth=100000000")
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};
    ULONG_PTR information = 0;

    fault_suspend();
    what.Parameters.QueryDeviceRelations.Type = TargetDeviceRelation;
    machine->config.faults.rule[0].nth = 1;
    machine->fault->matched[0] = 0;
    fault_resume();
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_PNP, &what, &information), STATUS_INSUFFICIENT_RESOURCES);
    fault_suspend();
    ck_assert_uint_eq(information, 0);
}

/* What a child does not have is told by the status that the IRP came with. */
STACK_TEST(not_of_a_child, .drivers = DRIVERS)
{
    static const UCHAR minors[] = {
        IRP_MN_QUERY_RESOURCES, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, IRP_MN_FILTER_RESOURCE_REQUIREMENTS, IRP_MN_EJECT,
        IRP_MN_SET_LOCK,        IRP_MN_QUERY_PNP_DEVICE_STATE,
    };
    IO_STACK_LOCATION what = {.MinorFunction = 0};
    ULONG_PTR information = 0;

    for (unsigned i = 0; i < ARRAYSIZE(minors); i++)
        ck_assert_msg(irps_send_minor(irps_bottom(CHILD), minors[i]) == STATUS_NOT_SUPPORTED, "minor function %02x",
                      minors[i]);
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_SYSTEM_CONTROL, &what, &information), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_DEVICE_CONTROL, &what, &information),
                     STATUS_INVALID_DEVICE_REQUEST);
}

STACK_TEST(unknown_texts_and_ids, .drivers = DRIVERS)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_DEVICE_TEXT};
    ULONG_PTR information = 0;

    what.Parameters.QueryDeviceText.DeviceTextType = (DEVICE_TEXT_TYPE)17;
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_PNP, &what, &information), STATUS_NOT_SUPPORTED);
    what = (IO_STACK_LOCATION){.MinorFunction = IRP_MN_QUERY_ID};
    what.Parameters.QueryId.IdType = (BUS_QUERY_ID_TYPE)17;
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_PNP, &what, &information), STATUS_NOT_SUPPORTED);
    ck_assert_uint_eq(information, 0);
}

/* Capabilities of a version that nobody knows are not filled in. */
STACK_TEST(capabilities_of_another_version, .drivers = DRIVERS)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_CAPABILITIES};
    DEVICE_CAPABILITIES capabilities = {.Size = sizeof(capabilities), .Version = 2, .UINumber = 4711};
    ULONG_PTR information = 0;

    what.Parameters.DeviceCapabilities.Capabilities = &capabilities;
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_PNP, &what, &information), STATUS_UNSUCCESSFUL);
    capabilities.Version = 1;
    capabilities.Size--;
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_PNP, &what, &information), STATUS_UNSUCCESSFUL);
    ck_assert_uint_eq(capabilities.UINumber, 4711);
    capabilities.Size++;
    ck_assert_int_eq(irps_send(irps_bottom(CHILD), IRP_MJ_PNP, &what, &information), STATUS_SUCCESS);
    ck_assert_uint_ne(capabilities.UINumber, 4711);
}

int main(void)
{
    Suite *suite = suite_create("minor functions");
    TCase *tcase = tcase_create("minor functions");

    tcase_add_test(tcase, paging_file);
    tcase_add_test(tcase, paging_file_refused);
    tcase_add_test(tcase, interfaces_past_the_filter);
    tcase_add_test(tcase, paging_file_past_the_filter);
    tcase_add_loop_test(tcase, refused_while_it_goes, 0, 2);
    tcase_add_test(tcase, target_relation);
    tcase_add_test(tcase, target_relation_without_memory);
    tcase_add_test(tcase, not_of_a_child);
    tcase_add_test(tcase, unknown_texts_and_ids);
    tcase_add_test(tcase, capabilities_of_another_version);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
