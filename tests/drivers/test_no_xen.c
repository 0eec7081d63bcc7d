/*
 * A machine that is not Xen's, or whose xen.sys is another package's: the drivers decline, xenfilt is in no stack, and
 * everything else starts as if they were not there.
 */
#include <string.h>

#include "common/process.h"
#include "common/stack.h"
#include "image/loader.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"
#include "nt/ob/ob.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>

#include "store_interface.h"
#include "version.h"

#define DRIVERS (STACK_XENVIF | STACK_NETCLIENT | STACK_XENFILT | STACK_NIC | STACK_IDE)
#define XENSERVER_PLATFORM "PCI\\VEN_5853&DEV_0002"

/* A network card and a disk, which the system has drivers for. */
#define BOARD .nic = {{.model = MACHINE_NIC_E1000, .mac = MACHINE_VIF_MAC(0)}}, .nics = 1, .disks = 1

static void assert_started(const char *path, const char *service)
{
    struct devnode *node = stack_device(path);

    ck_assert_msg(node != NULL, "there is no %s", path);
    ck_assert_int_eq(pnp_state(node), DEVNODE_STARTED);
    ck_assert_str_eq(pnp_service(node), service);
}

/* No device is anybody's of the package, and those that are not Xen's all work. */
static void assert_untouched(void)
{
    PDRIVER_OBJECT filter = io_find_driver("xenfilt");

    ck_assert_ptr_null(io_find_driver("xenbus"));
    ck_assert_ptr_null(io_find_driver("xenvif"));
    ck_assert_ptr_nonnull(filter);
    ck_assert_ptr_null(filter->DeviceObject);
    ob_dereference(filter);
    assert_started("PCI\\VEN_8086&DEV_100E", "nic");
    assert_started("PCI\\VEN_8086&DEV_7010", "ide");
    assert_started("PCIIDE\\IDEChannel", "ide");
    assert_started("IDE\\DiskQEMU_HARDDISK", "ide");
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        if (strncmp(pnp_instance_path(node), "PCI\\VEN_5853", 12) == 0)
            continue;
        ck_assert_msg(pnp_problem(node) == PROBLEM_NONE || pnp_problem(node) == PROBLEM_FAILED_INSTALL,
                      "%s has problem %s", pnp_instance_path(node), pnp_problem_name(pnp_problem(node)));
    }
}

/* What xen.sys says to a driver of this version. */
static NTSTATUS touch(unsigned build)
{
    NTSTATUS(NTAPI * XenTouch)(PCSTR Name, ULONG Major, ULONG Minor, ULONG Micro, ULONG Build);
    const struct loader_module *module = loader_next(NULL);

    while (module != NULL && strcmp(loader_module_name(module), "xen") != 0)
        module = loader_next(module);
    ck_assert_msg(module != NULL, "xen is not loaded");
    XenTouch = loader_module_symbol(module, "XenTouch");
    ck_assert_ptr_nonnull(XenTouch);
    return XenTouch("TEST", MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION, build);
}

/* ---- no Xen ---- */

static void ask_for_unplug(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen\\Unplug"), "NICS", 1);
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen"), "ForceUnplug", 1);
}

static void plain(void *unused)
{
    ULONG count = 0;

    (void)unused;
    assert_untouched();
    ck_assert_ptr_null(stack_device("PCI\\VEN_5853"));
    ck_assert_int_eq(touch(BUILD_NUMBER), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(touch(BUILD_NUMBER + 1), STATUS_NOT_SUPPORTED);
    /* What a client has asked for is for a boot under Xen. */
    ck_assert(cm_value_get_dword(cm_key_open(CM_SERVICES "\\xen\\Unplug"), "NICS", &count));
    ck_assert_uint_eq(count, 1);
}

static const char *const hosts[] = {"none", "none,viridian"};

START_TEST(without_xen)
{
    struct stack_options options = {
        .drivers = DRIVERS, .host = hosts[_i], .board = {BOARD}, .prepare = ask_for_unplug, .quiet = true};

    stack_run(&options, plain, NULL);
}
END_TEST

/* An emulator can be told to have the platform device: its driver cannot start, and that is all. */
static void with_device(void *unused)
{
    struct devnode *node = stack_device(XENSERVER_PLATFORM);

    (void)unused;
    assert_untouched();
    ck_assert_ptr_nonnull(node);
    ck_assert_int_eq(pnp_problem(node), PROBLEM_FAILED_DRIVER_ENTRY);
    ck_assert_int_eq(touch(BUILD_NUMBER), STATUS_NOT_SUPPORTED);
}

START_TEST(platform_device_without_xen)
{
    struct stack_options options = {
        .drivers = DRIVERS, .host = hosts[_i], .board = {BOARD, .xenserver_platform = true}, .quiet = true};

    stack_run(&options, with_device, NULL);
}
END_TEST

/* ---- another package's xen.sys ---- */

STACK_TEST(beside_another_version, .drivers = DRIVERS | STACK_OTHER_XEN, .board = {BOARD}, .quiet = true)
{
    struct devnode *node = stack_device("PCI\\VEN_5853&DEV_0001");

    assert_untouched();
    ck_assert_ptr_nonnull(node);
    ck_assert_int_eq(pnp_problem(node), PROBLEM_FAILED_DRIVER_ENTRY);
    ck_assert_int_eq(touch(BUILD_NUMBER), STATUS_INCOMPATIBLE_DRIVER_BLOCKED);
    ck_assert_int_eq(touch(BUILD_NUMBER + 1), STATUS_SUCCESS);
}

/* One driver of another package above those of this one: it declines, and the bus below it works. */
STACK_TEST(xenvif_of_another_version, .drivers = STACK_PROBE | STACK_XENVIF | STACK_OTHER_XENVIF, .vifs = 1,
           .quiet = true)
{
    XENBUS_STORE_INTERFACE_V2 store;
    struct devnode *node = stack_device("XENBUS\\VEN_XP0001&DEV_VIF");

    ck_assert_ptr_nonnull(node);
    ck_assert_int_eq(pnp_problem(node), PROBLEM_FAILED_DRIVER_ENTRY);
    ck_assert_ptr_null(io_find_driver("xenvif"));
    ck_assert_ptr_null(stack_device("XENVIF\\"));
    ck_assert(stack_device_started("PCI\\VEN_5853&DEV_0001"));
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    stack_store_await(stack_path("device/vif/0/state"), "1", 1); /* nobody has touched it */
}

/* Its own version is what it takes, each part of it. */
STACK_TEST(versions_of_xen, .drivers = STACK_PROBE, .quiet = true)
{
    ck_assert_int_eq(touch(BUILD_NUMBER), STATUS_SUCCESS);
    ck_assert_int_eq(touch(BUILD_NUMBER + 1), STATUS_INCOMPATIBLE_DRIVER_BLOCKED);
}

/* ---- the command ---- */

static void passes(const char *options)
{
    struct process_result result = pvsim("run %s", options);
    char line[512];

    ck_assert_msg(result.status == 0, "%s: exit status %d\n%s%s", options, result.status, result.output, result.error);
    ck_assert_str_eq(last_line(result.output, line, sizeof(line)), "PASS tx=0 rx=0 lost=0 corrupt=0 leaks=0");
    ck_assert_ptr_nonnull(strstr(result.output, " 0 VIFs"));
    process_free(&result);
}

static void refuses(const char *command, const char *what)
{
    struct process_result result = pvsim("%s", command);

    ck_assert_int_eq(result.status, 2);
    ck_assert_uint_eq(line_count(result.error), 1);
    ck_assert_msg(strstr(result.error, what) != NULL, "%s", result.error);
    process_free(&result);
}

START_TEST(command)
{
    passes("--host none --log none");
    passes("--host none,viridian --board e1000,hda,c000 --log none");
    refuses("run --host none --tx tests/captures/few-wire.pcap", "a machine without Xen has no VIF");
    refuses("run --host none --vifs 1", "a machine without Xen has no VIF");
    refuses("run --host none --fail nth=1", "--host none with --fail");
    refuses("run --host none,grant-v1", "--host takes");
    refuses("create --host none", "--host none with create");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("no Xen");
    TCase *tcase = tcase_create("no Xen");

    tcase_add_loop_test(tcase, without_xen, 0, sizeof(hosts) / sizeof(hosts[0]));
    tcase_add_loop_test(tcase, platform_device_without_xen, 0, sizeof(hosts) / sizeof(hosts[0]));
    tcase_add_test(tcase, beside_another_version);
    tcase_add_test(tcase, xenvif_of_another_version);
    tcase_add_test(tcase, versions_of_xen);
    tcase_add_test(tcase, command);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
