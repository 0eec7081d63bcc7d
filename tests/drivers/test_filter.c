/*
 * xenfilt above buses that say what is out of the ordinary: drives of other names, a channel that does not know its
 * number, a drive that nobody has done anything with, an ID that is none; and what it answers while it goes.
 */
#include <stdio.h>
#include <string.h>

#include "common/irps.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>

#include "emulated_interface.h"

#define DRIVERS (STACK_PROBE | STACK_XENFILT | STACK_IDE)
#define CONTROLLER "PCI\\VEN_8086&DEV_7010"

/* All four drives are disks. */
#define BOARD                                                                                                          \
    {                                                                                                                  \
        .disks = 0xF                                                                                                   \
    }

static XENFILT_EMULATED_INTERFACE_V3 emulated;

static void begin(void)
{
    STACK_GET(GUID_XENFILT_EMULATED_INTERFACE, 3, &emulated);
    ck_assert_int_eq(emulated.EmulatedAcquire(&emulated.Interface), STATUS_SUCCESS);
}

static void end(void)
{
    emulated.EmulatedRelease(&emulated.Interface);
}

static unsigned disks_present(void)
{
    unsigned disks = 0;

    for (ULONG i = 0; i < 8; i++)
        if (XENFILT_EMULATED_CALL(&emulated, IsDiskPresent, i))
            disks |= 1u << i;
    return disks;
}

/* The instance path of a channel of the controller. */
static const char *channel(unsigned number)
{
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        const char *path = pnp_instance_path(node);

        if (strncmp(path, "PCIIDE\\", 7) == 0 && path[strlen(path) - 1] == (char)('0' + number))
            return path;
    }
    ck_abort_msg("there is no channel %u", number);
}

/* The channel goes and comes back, and what is on it with it. */
static void renew_channel(unsigned number)
{
    ck_assert_int_eq(pnp_remove_device(stack_device(channel(number)), false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(stack_device(CONTROLLER)), STATUS_SUCCESS);
    pnp_wait_quiet();
}

/* ---- names of drives ---- */

static const char *instance; /* of the drive that the driver of the bus gives a name */

static bool name(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    size_t length = strlen(instance);
    WCHAR *copy;

    (void)device;
    if (location->Parameters.QueryId.IdType != BusQueryInstanceID || irps_intercepted() == 0)
        return false;
    copy = ExAllocatePool2(POOL_FLAG_PAGED, (length + 1) * sizeof(WCHAR), STACK_TAG);
    for (size_t i = 0; i < length; i++)
        copy[i] = (WCHAR)instance[i];
    instance = "5&0.9.0"; /* of the next one */
    return irps_answer(irp, STATUS_SUCCESS, (ULONG_PTR)copy, status);
}

static const struct {
    const char *instance;
    unsigned disks; /* of the first channel */
} names[] = {
    {"5&1a2b&0&0.1.0", 2},               /* what comes before is the manager's, as of a bus whose IDs are not unique */
    {"0.0.0", 1},          {"0.5.0", 0}, /* there is no such target */
    {"disk.0.0", 0},       {"0.0", 0},   {"0.0.0.0", 0}, {"5&", 0},
};

/* Which disk of its channel a drive is its instance ID says; one that does not is a drive all the same, and no disk. */
static void drive_of_a_name(void *argument)
{
    const char *given = names[(uintptr_t)argument].instance;

    begin();
    instance = given;
    ck_assert_uint_eq(disks_present(), 0xF);
    ck_assert_int_eq(pnp_remove_device(stack_device(channel(0)), false), STATUS_SUCCESS);
    irps_intercept(irps_of_driver(CONTROLLER, "ide"), true, IRP_MJ_PNP, IRP_MN_QUERY_ID, name);
    ck_assert_int_eq(pnp_rescan(stack_device(CONTROLLER)), STATUS_SUCCESS);
    pnp_wait_quiet();
    irps_let_pass();
    ck_assert_uint_eq(disks_present() & 3, names[(uintptr_t)argument].disks);
    end();
}

START_TEST(drives_of_other_names)
{
    const struct stack_options options = {.drivers = DRIVERS, .quiet = true, .board = BOARD};

    stack_run(&options, drive_of_a_name, (void *)(uintptr_t)_i);
}
END_TEST

/* ---- a channel without a number ---- */

/* The drives of a channel that does not know its number are taken for those of the first one. */
STACK_TEST(channel_without_a_number, .drivers = DRIVERS, .board = {.disks = 0x8})
{
    char path[300];

    begin();
    ck_assert_uint_eq(disks_present(), 0x8);
    snprintf(path, sizeof(path), CM_ENUM "\\%s", channel(1));
    ck_assert(cm_value_delete(cm_key_open(path), "Address"));
    renew_channel(1);
    ck_assert_uint_eq(disks_present(), 0x2);
    end();
}

/* ---- a drive that nobody has done anything with ---- */

static PDEVICE_OBJECT controller;

static bool keep_one(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    PDEVICE_RELATIONS relations;

    if (location->Parameters.QueryDeviceRelations.Type != BusRelations || device == controller)
        return false;
    *status = irps_go_on(device, irp);
    relations = (PDEVICE_RELATIONS)irp->IoStatus.Information;
    if (relations != NULL && relations->Count == 2)
        ObDereferenceObject(relations->Objects[--relations->Count]);
    return true;
}

/* The bus reports a drive of which the manager has not heard, and goes: the filter that was made for it goes, too. */
STACK_TEST(drive_of_a_moment, .drivers = DRIVERS, .board = {.disks = 0x3}, .quiet = true)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};
    PDEVICE_RELATIONS relations;
    ULONG_PTR information = 0;
    PDEVICE_OBJECT top;

    begin();
    ck_assert_uint_eq(disks_present(), 3);
    ck_assert_int_eq(pnp_remove_device(stack_device(channel(0)), false), STATUS_SUCCESS);
    controller = irps_of_driver(CONTROLLER, "ide");
    irps_intercept(controller, true, IRP_MJ_PNP, IRP_MN_QUERY_DEVICE_RELATIONS, keep_one);
    ck_assert_int_eq(pnp_rescan(stack_device(CONTROLLER)), STATUS_SUCCESS);
    pnp_wait_quiet();
    irps_let_pass();
    ck_assert_uint_eq(disks_present(), 1);

    what.Parameters.QueryDeviceRelations.Type = BusRelations;
    top = IoGetAttachedDeviceReference(irps_bottom(channel(0)));
    ck_assert_int_eq(irps_send(top, IRP_MJ_PNP, &what, &information), STATUS_SUCCESS);
    ObDereferenceObject(top);
    relations = (PDEVICE_RELATIONS)information;
    ck_assert_uint_eq(relations->Count, 2);
    ck_assert_ptr_nonnull(relations->Objects[1]->AttachedDevice);
    renew_channel(0);
    ck_assert_ptr_null(relations->Objects[1]->AttachedDevice);
    for (ULONG i = 0; i < relations->Count; i++)
        ObDereferenceObject(relations->Objects[i]);
    ExFreePool(relations);
    end();
}

/* ---- an ID that is none ---- */

static bool no_id(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)location;
    return irps_answer(irp, STATUS_SUCCESS, 0, status);
}

STACK_TEST(id_of_nothing, .drivers = DRIVERS, .board = BOARD)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_ID};
    ULONG_PTR information = 0;

    begin();
    what.Parameters.QueryId.IdType = BusQueryInstanceID;
    irps_intercept(irps_bottom("IDE\\Disk"), false, IRP_MJ_PNP, IRP_MN_QUERY_ID, no_id);
    ck_assert_int_eq(irps_send(irps_of_driver("IDE\\Disk", "xenfilt"), IRP_MJ_PNP, &what, &information),
                     STATUS_SUCCESS);
    irps_let_pass();
    ck_assert_uint_eq(information, 0);
    ck_assert_uint_eq(disks_present(), 0xF);
    end();
}

int main(void)
{
    Suite *suite = suite_create("xenfilt");
    TCase *tcase = tcase_create("buses");

    tcase_add_loop_test(tcase, drives_of_other_names, 0, ARRAYSIZE(names));
    tcase_add_test(tcase, channel_without_a_number);
    tcase_add_test(tcase, drive_of_a_moment);
    tcase_add_test(tcase, id_of_nothing);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
