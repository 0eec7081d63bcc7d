/*
 * Which of the platform devices 0001, 0002 and C000 is the bus: boot by boot, with the devices that the machine has in
 * each. The one that is has the children, and its digits are in their IDs; another one is started and has none.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "common/stack_dom0.h"
#include "machine/image.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

#define RECORD CM_SERVICES "\\XENFILT\\Parameters"

static const char *const devices[] = {"0001", "0002", "C000"};

static struct devnode *platform_device(const char *digits)
{
    char path[32];

    snprintf(path, sizeof(path), "PCI\\VEN_5853&DEV_%s", digits);
    return stack_device(path);
}

static unsigned children(const struct devnode *bus)
{
    unsigned count = 0;

    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node))
        if (pnp_parent(node) == bus)
            count++;
    return count;
}

/* A child of the class, whose IDs name the bus and its revisions, newest first. */
static void assert_child(const struct devnode *bus, const char *digits, const char *class)
{
    static const char *const revisions[] = {"0900000C", "0900000B", "0900000A", "09000009", "09000008"};
    char expected[64], path[160];
    struct devnode *child;
    struct cm_key *key;

    snprintf(expected, sizeof(expected), "XENBUS\\VEN_XP%s&DEV_%s&REV_%s\\", digits, class, revisions[0]);
    child = stack_device(expected);
    ck_assert_msg(child != NULL, "there is no %s", expected);
    ck_assert_ptr_eq(pnp_parent(child), bus);
    snprintf(path, sizeof(path), "%s\\%s", CM_ENUM, pnp_instance_path(child));
    key = cm_key_open(path);
    for (unsigned i = 0; i <= ARRAYSIZE(revisions); i++) {
        char *id = cm_value_get_multi(key, "HardwareID", i);

        if (i < ARRAYSIZE(revisions))
            snprintf(expected, sizeof(expected), "XENBUS\\VEN_XP%s&DEV_%s&REV_%s", digits, class, revisions[i]);
        else
            snprintf(expected, sizeof(expected), "XENCLASS");
        ck_assert_msg(id != NULL && strcmp(id, expected) == 0, "ID %u of %s is %s", i, pnp_instance_path(child),
                      id != NULL ? id : "(absent)");
        image_free(id);
    }
}

/* What is recorded is the device; NULL: nothing. */
static void assert_recorded(const char *digits)
{
    struct cm_key *key = cm_key_open(RECORD);
    char *id = cm_value_get_string(key, "ActiveDeviceID");
    char *instance = cm_value_get_string(key, "ActiveInstanceID");
    char *location = cm_value_get_string(key, "ActiveLocationInformation");

    ck_assert_int_eq(id != NULL, digits != NULL);
    ck_assert_int_eq(instance != NULL, digits != NULL);
    ck_assert_int_eq(location != NULL, digits != NULL);
    if (digits != NULL) {
        const char *path = pnp_instance_path(platform_device(digits));
        size_t length = strrchr(path, '\\') - path;

        ck_assert_msg(strlen(id) == length && strncmp(id, path, length) == 0, "%s is recorded, not %s", id, path);
        ck_assert_str_eq(instance, strrchr(path, '&') + 1); /* as the bus has it, before the manager makes it unique */
    }
    image_free(id);
    image_free(instance);
    image_free(location);
}

/* `active` is the bus, NULL: there is none; whatever else there is is started, and has no children. */
static void assert_bus(const char *active, const char *recorded)
{
    for (unsigned i = 0; i < ARRAYSIZE(devices); i++) {
        struct devnode *bus = platform_device(devices[i]);

        if (bus == NULL)
            continue;
        ck_assert_msg(pnp_state(bus) == DEVNODE_STARTED, "%s is not started", devices[i]);
        if (active == NULL || strcmp(active, devices[i]) != 0) {
            ck_assert_msg(children(bus) == 0, "%s has children", devices[i]);
            continue;
        }
        ck_assert_uint_eq(children(bus), 3);
        assert_child(bus, active, "IFACE");
        assert_child(bus, active, "CONS");
        assert_child(bus, active, "VIF");
    }
    ck_assert(active == NULL || platform_device(active) != NULL);
    assert_recorded(recorded);
}

static void boot_again(void)
{
    stack_stop_now();
    stack_boot_again_now();
}

/* Alone, either is the bus, in every boot. */
static void alone(void *digits)
{
    assert_bus(digits, digits);
    boot_again();
    assert_bus(digits, digits);
}

/* C000 is the bus from the boot after it was first seen on, with VIFs and all; its elder stays beside it. */
static void vendor_device(void *elder)
{
    assert_bus(elder, "C000");
    for (unsigned i = 0; i < 2; i++) {
        boot_again();
        assert_bus("C000", "C000");
        ck_assert_ptr_nonnull(stack_device("XENVIF\\VEN_XPC000&DEV_NET"));
        ck_assert_ptr_nonnull(platform_device(elder));
    }
}

/* Without C000, which is recorded: it is waited for in one boot. */
static void vendor_device_missed(void *elder)
{
    assert_bus(NULL, NULL);
    for (unsigned i = 0; i < 2; i++) {
        boot_again();
        assert_bus(elder, elder);
    }
}

/* ---- from host to host: the guest's disk goes along, that is its registry ---- */

static const char *const values[] = {"ActiveDeviceID", "ActiveInstanceID", "ActiveLocationInformation"};
static char disk[ARRAYSIZE(values)][128];
static void (*part)(void *);

static void write_disk(void)
{
    for (unsigned i = 0; i < ARRAYSIZE(values); i++)
        if (disk[i][0] != '\0')
            cm_value_set_string(cm_key_create(RECORD), values[i], REG_SZ, disk[i]);
}

static void read_disk(void *elder)
{
    part(elder);
    for (unsigned i = 0; i < ARRAYSIZE(values); i++) {
        char *value = cm_value_get_string(cm_key_open(RECORD), values[i]);

        snprintf(disk[i], sizeof(disk[i]), "%s", value != NULL ? value : "");
        image_free(value);
    }
}

/* Run it on a host with or without a C000. */
static void on_host(void (*scenario)(void *), unsigned elder, bool vendor)
{
    struct stack_options options = {
        .drivers = STACK_XENVIF, .vifs = 1, .quiet = true, .from_dom0 = true, .prepare = write_disk};

    options.board.xenserver_platform = elder != 0;
    options.board.vendor_device = vendor;
    part = scenario;
    stack_run(&options, read_disk, (void *)(uintptr_t)devices[elder]);
}

START_TEST(only_one)
{
    on_host(alone, (unsigned)_i, false);
}
END_TEST

START_TEST(beside_a_vendor_device)
{
    on_host(vendor_device, (unsigned)_i, true);
}
END_TEST

START_TEST(vendor_device_comes_and_goes)
{
    on_host(alone, (unsigned)_i, false);
    for (unsigned i = 0; i < 2; i++) {
        on_host(vendor_device, (unsigned)_i, true);
        on_host(vendor_device_missed, (unsigned)_i, false);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("the active device");
    TCase *tcase = tcase_create("boots");

    tcase_add_loop_test(tcase, only_one, 0, 2);
    tcase_add_loop_test(tcase, beside_a_vendor_device, 0, 2);
    tcase_add_loop_test(tcase, vendor_device_comes_and_goes, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
