/*
 * What the drivers of the package do for each other and for the administrator: xen.sys's table of errors, requests for
 * unplug and reboot in the registry, the values that turn a part of xenbus off, and clients that break the rule of
 * Acquire and Release.
 */
#include <string.h>

#include "common/stack.h"
#include "image/loader.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>

#include "store_interface.h"
#include "unplug_interface.h"

#include <xen/errno.h>

#define TRAFFIC (STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT)
#define UNPLUG(method, ...) XENBUS_UNPLUG_CALL(&unplug, method, ##__VA_ARGS__)

static struct capture *few;
static XENBUS_UNPLUG_INTERFACE_V3 unplug;
static XENBUS_STORE_INTERFACE_V2 store;

/* A routine that xen.sys exports. */
static void *export(const char *name)
{
    const struct loader_module *module = loader_next(NULL);
    void *routine;

    while (module != NULL && strcmp(loader_module_name(module), "xen") != 0)
        module = loader_next(module);
    ck_assert_ptr_nonnull(module);
    routine = loader_module_symbol(module, name);
    ck_assert_msg(routine != NULL, "xen exports no %s", name);
    return routine;
}

static struct devnode *platform_device(void)
{
    static const char path[] = "PCI\\VEN_5853&DEV_0001";
    struct devnode *node = pnp_root();

    while (node != NULL && strncmp(pnp_instance_path(node), path, strlen(path)) != 0)
        node = pnp_next(node);
    ck_assert_ptr_nonnull(node);
    return node;
}

/* ---- errors ---- */

STACK_TEST(errors, .drivers = STACK_PROBE)
{
    static const struct {
        int error;
        NTSTATUS status;
    } rows[] = {
        {0, STATUS_SUCCESS},
        {XEN_EPERM, STATUS_ACCESS_DENIED},
        {XEN_ENOENT, STATUS_OBJECT_NAME_NOT_FOUND},
        {XEN_ESRCH, STATUS_NOT_FOUND},
        {XEN_EIO, STATUS_IO_DEVICE_ERROR},
        {XEN_E2BIG, STATUS_ALLOTTED_SPACE_EXCEEDED},
        {XEN_EAGAIN, STATUS_RETRY},
        {XEN_ENOMEM, STATUS_INSUFFICIENT_RESOURCES},
        {XEN_EACCES, STATUS_ACCESS_DENIED},
        {XEN_EBUSY, STATUS_DEVICE_BUSY},
        {XEN_EEXIST, STATUS_OBJECT_NAME_COLLISION},
        {XEN_EINVAL, STATUS_INVALID_PARAMETER},
        {XEN_ENOSPC, STATUS_QUOTA_EXCEEDED},
        {XEN_ENOSYS, STATUS_NOT_IMPLEMENTED},
        {XEN_EOPNOTSUPP, STATUS_NOT_SUPPORTED},
        {XEN_ETIMEDOUT, STATUS_IO_TIMEOUT},
        {XEN_EISCONN, STATUS_CONNECTION_ACTIVE},
        {9999, STATUS_UNSUCCESSFUL},
    };
    NTSTATUS(NTAPI * XenErrnoToStatus)(LONG_PTR Error) = export("XenErrnoToStatus");

    for (unsigned i = 0; i < ARRAYSIZE(rows); i++) {
        ck_assert_int_eq(XenErrnoToStatus(rows[i].error), rows[i].status);
        ck_assert_int_eq(XenErrnoToStatus(-rows[i].error), rows[i].status);
    }
    ck_assert_int_eq(XenErrnoToStatus(INT64_MIN), STATUS_UNSUCCESSFUL);
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

static bool reboot_is_asked_by(const char *module)
{
    char path[256];
    struct cm_key *key;
    ULONG value = 0;

    snprintf(path, sizeof(path), CM_SERVICES "\\xenbus_monitor\\Request\\%s", module);
    key = cm_key_open(path);
    return key != NULL && cm_value_get_dword(key, "Reboot", &value) && value == 1;
}

static PSTR text(const char *string)
{
    return (PSTR)(uintptr_t)string;
}

STACK_TEST(reboot_request, .drivers = STACK_PROBE, .quiet = true)
{
    char name[80];

    acquire_unplug();
    UNPLUG(Reboot, text("XENVBD")); /* the monitor is not installed */
    ck_assert_ptr_null(cm_key_open(CM_SERVICES "\\xenbus_monitor"));
    (void)cm_key_create(CM_SERVICES "\\xenbus_monitor");
    UNPLUG(Reboot, text("XENVBD"));
    ck_assert(reboot_is_asked_by("XENVBD"));
    memset(name, 'A', sizeof(name));
    name[64] = '\0';
    UNPLUG(Reboot, name);
    ck_assert(reboot_is_asked_by(name));

    /* Names that are none are not cut to one. */
    name[64] = 'A';
    name[65] = '\0';
    UNPLUG(Reboot, name);
    UNPLUG(Reboot, text(""));
    UNPLUG(Reboot, text("XEN\\VBD"));
    UNPLUG(Reboot, text("XEN\x80VBD"));
    UNPLUG(Reboot, text("XEN\nVBD"));
    ck_assert_ptr_nonnull(cm_key_child(cm_key_open(CM_SERVICES "\\xenbus_monitor\\Request"), 1));
    ck_assert_ptr_null(cm_key_child(cm_key_open(CM_SERVICES "\\xenbus_monitor\\Request"), 2));
    UNPLUG(Release);
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

/* ---- Acquire and Release ---- */

static void keeps_it(void *unused)
{
    struct devnode *bus = platform_device();

    (void)unused;
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    (void)pnp_remove_device(bus, true);
}

/* Surprise removal: the client has not let go, and would call into memory that is gone. */
START_TEST(not_released)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    (void)stack_must_fail(&options, keeps_it, NULL, "bugcheck");
}
END_TEST

static void releases_twice(void *unused)
{
    (void)unused;
    acquire_unplug();
    UNPLUG(Release);
    UNPLUG(Release);
}

START_TEST(released_twice)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    (void)stack_must_fail(&options, releases_twice, NULL, "bugcheck");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("package");
    TCase *tcase = tcase_create("package");

    few = stack_capture("tests/captures/few-wire.pcap");
    tcase_add_test(tcase, errors);
    tcase_add_test(tcase, unplug_requests);
    tcase_add_test(tcase, reboot_request);
    tcase_add_loop_test(tcase, turned_off, 0, 3);
    tcase_add_test(tcase, not_released);
    tcase_add_test(tcase, released_twice);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
