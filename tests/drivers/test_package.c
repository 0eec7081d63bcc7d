/*
 * What the registry tells the drivers of the package: requests for unplug, the classes that have children, and the
 * values that turn a part of xenbus off, under traffic. And what installation leaves in it.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>

#include "unplug_interface.h"

#define TRAFFIC (STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT)
#define UNPLUG(method, ...) XENBUS_UNPLUG_CALL(&unplug, method, ##__VA_ARGS__)

static struct capture *few;
static XENBUS_UNPLUG_INTERFACE_V3 unplug;

static struct devnode *platform_device(void)
{
    struct devnode *node = stack_device("PCI\\VEN_5853&DEV_0001");

    ck_assert_ptr_nonnull(node);
    return node;
}

/* ---- requests ---- */

static void acquire_unplug(void)
{
    STACK_GET(GUID_XENBUS_UNPLUG_INTERFACE, 3, &unplug);
    ck_assert_int_eq(UNPLUG(Acquire), STATUS_SUCCESS);
}

/* Requests for the next boot; 0: there is no value. */
static ULONG requests(const char *kind)
{
    struct cm_key *key = cm_key_open(CM_SERVICES "\\xen\\Unplug");
    ULONG count = 0;

    ck_assert_ptr_nonnull(key);
    if (cm_value_get_dword(key, kind, &count))
        ck_assert_uint_ne(count, 0);
    return count;
}

STACK_TEST(unplug_requests, .drivers = STACK_PROBE, .quiet = true)
{
    acquire_unplug();
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_NICS, TRUE);
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_NICS, TRUE);
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, TRUE);
    ck_assert_uint_eq(requests("NICS"), 2);
    ck_assert_uint_eq(requests("DISKS"), 1);
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_NICS, FALSE);
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, FALSE);
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, FALSE); /* one that nobody has made */
    ck_assert_uint_eq(requests("NICS"), 1);
    ck_assert_uint_eq(requests("DISKS"), 0);
    ck_assert(!UNPLUG(IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_NICS)); /* that is for the next boot */

    /* A count that somebody has spoilt is counted anew, one that is full stays. */
    cm_value_set_string(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "NICS", REG_SZ, "many");
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_NICS, TRUE);
    ck_assert_uint_eq(requests("NICS"), 1);
    cm_value_set_dword(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "NICS", MAXULONG);
    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_NICS, TRUE);
    ck_assert_uint_eq(requests("NICS"), MAXULONG);

    UNPLUG(Request, XENBUS_UNPLUG_DEVICE_TYPE_INVALID, TRUE);
    ck_assert(!UNPLUG(IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_INVALID));
    UNPLUG(Release);
}

static void ask_for_nics(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen\\Unplug"), "NICS", 1);
}

/* All versions count together. */
STACK_TEST(unplug_by_old_versions, .drivers = STACK_PROBE, .prepare = ask_for_nics)
{
    XENBUS_UNPLUG_INTERFACE_V1 first;
    XENBUS_UNPLUG_INTERFACE_V2 second;

    STACK_GET(GUID_XENBUS_UNPLUG_INTERFACE, 1, &first);
    STACK_GET(GUID_XENBUS_UNPLUG_INTERFACE, 2, &second);
    ck_assert_int_eq(XENBUS_UNPLUG_CALL(&first, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_UNPLUG_CALL(&second, Acquire), STATUS_SUCCESS);
    ck_assert(XENBUS_UNPLUG_CALL(&second, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_NICS));
    ck_assert(!XENBUS_UNPLUG_CALL(&second, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_DISKS));
    XENBUS_UNPLUG_CALL(&first, Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, TRUE);
    ck_assert_uint_eq(requests("DISKS"), 1);
    XENBUS_UNPLUG_CALL(&second, Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, TRUE);
    ck_assert_uint_eq(requests("DISKS"), 2);
    ck_assert(!XENBUS_UNPLUG_CALL(&second, IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_DISKS)); /* for the next boot */
    XENBUS_UNPLUG_CALL(&first, Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, FALSE);
    ck_assert_uint_eq(requests("DISKS"), 1);
    XENBUS_UNPLUG_CALL(&second, Request, XENBUS_UNPLUG_DEVICE_TYPE_DISKS, FALSE);
    ck_assert_uint_eq(requests("DISKS"), 0);
    ck_assert_uint_eq(requests("NICS"), 0);
    XENBUS_UNPLUG_CALL(&second, Release);
    XENBUS_UNPLUG_CALL(&first, Release);
}

static void spoilt_requests(void)
{
    cm_value_set_string(cm_key_create(CM_SERVICES "\\xen\\Unplug"), "NICS", REG_SZ, "many");
}

/* What is no count asks for nothing, and goes as a count goes. */
STACK_TEST(unplug_request_that_is_no_count, .drivers = STACK_PROBE, .quiet = true, .prepare = spoilt_requests)
{
    acquire_unplug();
    ck_assert(!UNPLUG(IsRequested, XENBUS_UNPLUG_DEVICE_TYPE_NICS));
    ck_assert_ptr_null(cm_value_get(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "NICS", NULL, NULL));
    STACK_ASSERT_LOGGED("the count for NICs is not readable");
    UNPLUG(Release);
}

static bool has_child(const char *device)
{
    struct devnode *node = pnp_root();

    while (node != NULL && strstr(pnp_instance_path(node), device) == NULL)
        node = pnp_next(node);
    return node != NULL;
}

/* Of the store's devices none has a child then; what is there without a device is there. */
STACK_TEST(no_supported_classes, .drivers = STACK_PROBE | STACK_XENVIF, .vifs = 1, .quiet = true)
{
    struct devnode *bus = platform_device();
    struct devnode *parent = pnp_parent(bus);

    ck_assert(has_child("DEV_VIF"));
    cm_value_set_dword(cm_key_open(CM_SERVICES "\\xenbus\\Parameters"), "SupportedClasses", 1);
    ck_assert_int_eq(pnp_remove_device(bus, false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
    pnp_wait_quiet();
    STACK_ASSERT_LOGGED("no SupportedClasses: no children will be made of the store's devices");
    ck_assert(has_child("DEV_IFACE"));
    ck_assert(!has_child("DEV_VIF"));
    acquire_unplug();
    UNPLUG(Release);
}

static bool is_child_there(void *device)
{
    return has_child(device);
}

static bool is_child_gone(void *device)
{
    return !has_child(device);
}

/* The supported classes by default; of another one the store may show what it wants. */
STACK_TEST(classes, .drivers = 0, .quiet = true)
{
    static const char *const nodes[] = {"device/vbd", "device/vkbd"};
    static char *const children[] = {(char *)"XP0001&DEV_VBD&", (char *)"XP0001&DEV_VKBD&"};

    for (unsigned i = 0; i < ARRAYSIZE(nodes); i++) {
        ck_assert(!has_child(children[i]));
        stack_store_write(stack_path("device/vfb/0/backend-id"), "0");
        stack_store_write(stack_path("%s/0/backend-id", nodes[i]), "0");
        ck_assert(stack_wait(is_child_there, children[i], 1000));
        ck_assert(!has_child("DEV_VFB"));
        stack_store_remove(stack_path("%s", nodes[i]));
        ck_assert(stack_wait(is_child_gone, children[i], 1000));
        stack_store_remove(stack_path("device/vfb"));
    }
}

/* ---- interrupts ---- */

static void assert_interrupts(const char *key, const char *name)
{
    char path[256];
    ULONG value;

    snprintf(path, sizeof(path), "%s\\%s\\Device Parameters\\Interrupt Management\\%s", CM_ENUM,
             pnp_instance_path(platform_device()), key);
    ck_assert_ptr_nonnull(cm_key_open(path));
    ck_assert(cm_value_get_dword(cm_key_open(path), name, &value));
    ck_assert_uint_eq(value, 1);
}

/* What Windows wants to see before it gives out message interrupts, on processors of every group. */
STACK_TEST(hardware_key, .drivers = 0)
{
    assert_interrupts("MessageSignaledInterruptProperties", "MSISupported");
    assert_interrupts("Affinity Policy", "GroupPolicy");
}

/* ---- parts of xenbus that are turned off ---- */

static void switch_off(const char *name)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), name, 0);
}

static void no_upcalls(void)
{
    switch_off("UseEvtchnUpcall");
}

static void no_hole(void)
{
    switch_off("UseMemoryHole");
}

static void nothing(void)
{
    no_upcalls();
    no_hole();
    switch_off("UseEvtchnFifoAbi");
}

/* Traffic both ways, the device restarted, and again; that nothing is left is the harness's to see. */
static void works(void *unused)
{
    struct devnode *bus = platform_device();
    struct devnode *parent = pnp_parent(bus);

    (void)unused;
    stack_carry(0, few, few);
    ck_assert_int_eq(pnp_remove_device(bus, false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
    stack_wait_connected(0);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, few, few);
}

START_TEST(turned_off)
{
    static void (*const prepare[])(void) = {no_upcalls, no_hole, nothing};
    const struct stack_options options = {
        .drivers = TRAFFIC, .vcpus = 4, .vifs = 1, .wait = true, .prepare = prepare[_i], .quiet = true};

    stack_run(&options, works, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("package");
    TCase *tcase = tcase_create("package");

    few = stack_capture("tests/captures/few-wire.pcap");
    tcase_add_test(tcase, unplug_requests);
    tcase_add_test(tcase, unplug_by_old_versions);
    tcase_add_test(tcase, unplug_request_that_is_no_count);
    tcase_add_test(tcase, no_supported_classes);
    tcase_add_test(tcase, classes);
    tcase_add_test(tcase, hardware_key);
    tcase_add_loop_test(tcase, turned_off, 0, 3);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
