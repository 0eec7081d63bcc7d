/*
 * The PnP manager: a device through every transition and the failures of each. The rules are those of Microsoft's
 * "Removing a device", "Understanding when remove IRPs are issued" and "Stopping a device".
 */
#include "nt-host/toy_machine.h"

/* ---- children come and go ---- */

static void pdo_left(void *argument)
{
    (void)argument;
    boot_with(1);
    toy.KeepPdos = TRUE;
    report(0);
}

START_TEST(test_pdo_left)
{
    must_fail(pdo_left, "pnp-pdo-left");
}
END_TEST

/* ---- orderly removal ---- */

static void removal_refused(void *argument)
{
    struct devnode *child;
    HANDLE handle;

    (void)argument;
    boot_with(1);
    child = pnp_find(CHILD(0));
    toy.QueryRemoveStatus = STATUS_DEVICE_BUSY;
    forget();
    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_UNSUCCESSFUL);
    ck_assert_ptr_nonnull(strstr(pnp_refusal(), "toybus refused"));
    ck_assert_order({'C', IRP_MN_QUERY_REMOVE_DEVICE, 0}, {'C', IRP_MN_CANCEL_REMOVE_DEVICE, 0});
    ck_assert(!seen('F', IRP_MN_QUERY_REMOVE_DEVICE, 0)); /* the child was asked first, and said no */
    ck_assert(!seen('C', IRP_MN_REMOVE_DEVICE, 0));
    ck_assert_int_eq(pnp_state(child), DEVNODE_STARTED);
    ck_assert(!pnp_shutdown_all());

    toy.QueryRemoveStatus = STATUS_SUCCESS;
    handle = open_child(0);
    forget();
    ck_assert_int_eq(pnp_remove_device(child, false), STATUS_UNSUCCESSFUL);
    ck_assert_ptr_nonnull(strstr(pnp_refusal(), "handle"));
    ck_assert(!seen('C', IRP_MN_QUERY_REMOVE_DEVICE, 0));
    ZwClose(handle);

    ck_assert_int_eq(pnp_remove_device(child, false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_state(child), DEVNODE_REMOVED);
    ck_assert_order({'C', IRP_MN_QUERY_REMOVE_DEVICE, 0}, {'C', IRP_MN_REMOVE_DEVICE, 0});
    forget();
    ck_assert_int_eq(pnp_rescan(bus()), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_state(child), DEVNODE_STARTED);
    ck_assert(seen('C', IRP_MN_START_DEVICE, 0));
    finish();
}

START_TEST(test_removal_refused)
{
    run_in(2, removal_refused);
}
END_TEST

static void removal_unloads(void *argument)
{
    (void)argument;
    boot_with(1);
    ck_assert_uint_eq(toy.Loads, 1);
    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_SUCCESS);
    ck_assert_ptr_null(pnp_find(CHILD(0)));
    ck_assert(seen('F', TOY_UNLOAD, 0));
    ck_assert_ptr_null(loader_next(NULL));
    ck_assert_int_eq(pnp_rescan(pnp_parent(bus())), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_state(bus()), DEVNODE_STARTED);
    ck_assert_uint_eq(toy.Loads, 1); /* the image came back with fresh data */
    ck_assert_int_eq(pnp_state(pnp_find(CHILD(0))), DEVNODE_STARTED);
    finish();
}

START_TEST(test_removal_unloads)
{
    run_in(1, removal_unloads);
}
END_TEST

static void surprise_of_the_bus(void *argument)
{
    (void)argument;
    boot_with(3);
    forget();
    ck_assert_int_eq(pnp_remove_device(bus(), true), STATUS_SUCCESS);
    ck_assert_order({'C', IRP_MN_SURPRISE_REMOVAL, 0}, {'C', IRP_MN_SURPRISE_REMOVAL, 1},
                    {'F', IRP_MN_SURPRISE_REMOVAL, 0}, {'C', IRP_MN_REMOVE_DEVICE, 0}, {'F', IRP_MN_REMOVE_DEVICE, 0},
                    {'F', TOY_UNLOAD, 0});
    finish();
}

START_TEST(test_surprise_of_the_bus)
{
    run_in(2, surprise_of_the_bus);
}
END_TEST

/* ---- stopping ---- */

static void stop_and_start(void *argument)
{
    struct devnode *child;

    (void)argument;
    boot_with(1);
    child = pnp_find(CHILD(0));
    toy.QueryStopStatus = STATUS_DEVICE_BUSY;
    forget();
    ck_assert_int_eq(pnp_restart_device(child), STATUS_DEVICE_BUSY);
    ck_assert_order({'C', IRP_MN_QUERY_STOP_DEVICE, 0}, {'C', IRP_MN_CANCEL_STOP_DEVICE, 0});
    ck_assert(!seen('C', IRP_MN_STOP_DEVICE, 0));
    toy.QueryStopStatus = STATUS_SUCCESS;
    forget();
    ck_assert_int_eq(pnp_restart_device(child), STATUS_SUCCESS);
    ck_assert_order({'C', IRP_MN_QUERY_STOP_DEVICE, 0}, {'C', IRP_MN_STOP_DEVICE, 0},
                    {'C', IRP_MN_FILTER_RESOURCE_REQUIREMENTS, 0}, {'C', IRP_MN_START_DEVICE, 0});
    /* The bus, with its resources: the same ones again. */
    forget();
    ck_assert_int_eq(pnp_restart_device(bus()), STATUS_SUCCESS);
    ck_assert_uint_eq(resource(toy.Raw, toy.RawCount, CmResourceTypePort, 0)->u.Port.Length, 256);
    /* A device that does not start again after a stop is lost to its drivers. */
    toy.StartStatus = STATUS_DEVICE_CONFIGURATION_ERROR;
    forget();
    ck_assert_int_eq(pnp_restart_device(child), STATUS_DEVICE_CONFIGURATION_ERROR);
    ck_assert_order({'C', IRP_MN_START_DEVICE, 0}, {'C', IRP_MN_SURPRISE_REMOVAL, 0}, {'C', IRP_MN_REMOVE_DEVICE, 0});
    ck_assert_int_eq(pnp_problem(child), PROBLEM_FAILED_START);
    finish();
}

START_TEST(test_stop_and_start)
{
    run_in(1, stop_and_start);
}
END_TEST

/* ---- failures on the way up ---- */

static void start_fails(void *argument)
{
    struct devnode *child;

    (void)argument;
    boot();
    toy.StartStatus = STATUS_PNP_REBOOT_REQUIRED;
    report(1);
    child = pnp_find(CHILD(0));
    ck_assert_int_eq(pnp_problem(child), PROBLEM_NEED_RESTART);
    ck_assert_int_eq(pnp_problem_status(child), STATUS_PNP_REBOOT_REQUIRED);
    ck_assert_order({'C', IRP_MN_START_DEVICE, 0}, {'C', IRP_MN_REMOVE_DEVICE, 0});
    ck_assert(!seen('C', IRP_MN_SURPRISE_REMOVAL, 0));
    toy.StartStatus = STATUS_IO_DEVICE_ERROR;
    ck_assert_int_eq(pnp_retry_device(child), STATUS_IO_DEVICE_ERROR);
    ck_assert_int_eq(pnp_problem(child), PROBLEM_FAILED_START);
    toy.StartStatus = STATUS_SUCCESS;
    ck_assert_int_eq(pnp_retry_device(child), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_problem(child), PROBLEM_NONE);
    toy.AddStatus = STATUS_INSUFFICIENT_RESOURCES;
    report(3);
    ck_assert_int_eq(pnp_problem(pnp_find(CHILD(1))), PROBLEM_FAILED_ADD);
    toy.AddStatus = STATUS_SUCCESS;
    report(1); /* a device that never came up vanishes: no surprise, its PDO is deleted */
    ck_assert(!seen('B', IRP_MN_SURPRISE_REMOVAL, 1));
    ck_assert(seen('B', IRP_MN_REMOVE_DEVICE, 1));
    ck_assert_ptr_null(pnp_find(CHILD(1)));
    finish();
}

START_TEST(test_start_fails)
{
    run_in(1, start_fails);
}
END_TEST

static void set_start_type(ULONG type)
{
    cm_value_set_dword(cm_key_open(CM_SERVICES "\\toybus"), "Start", type);
}

static void driver_does_not_load(void *argument)
{
    (void)argument;
    memset(&toy, 0, sizeof(toy));
    toy.EntryStatus = STATUS_UNSUCCESSFUL;
    install("toybus");
    pnp_boot();
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_FAILED_DRIVER_ENTRY);
    ck_assert_ptr_null(loader_next(NULL));
    toy.EntryStatus = STATUS_SUCCESS;
    set_start_type(4);
    ck_assert(!NT_SUCCESS(pnp_retry_device(bus())));
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_DISABLED_SERVICE);
    set_start_type(3);
    cm_value_set_string(cm_key_open(CM_SERVICES "\\toybus"), "ImagePath", REG_EXPAND_SZ,
                        "\\SystemRoot\\System32\\drivers\\nothing.sys");
    ck_assert(!NT_SUCCESS(pnp_retry_device(bus())));
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_DRIVER_FAILED_LOAD);
    ck_assert_ptr_nonnull(strstr(loader_error(), "nothing"));
    cm_key_delete(cm_key_open(CM_SERVICES "\\toybus"));
    ck_assert(!NT_SUCCESS(pnp_retry_device(bus())));
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_REGISTRY);
    finish();
}

START_TEST(test_driver_does_not_load)
{
    run_in(1, driver_does_not_load);
}
END_TEST

static void no_driver(void *argument)
{
    (void)argument;
    pnp_boot();
    ck_assert_int_eq(pnp_problem(bus()), PROBLEM_FAILED_INSTALL);
    finish();
}

START_TEST(test_no_driver)
{
    run_in(1, no_driver);
}
END_TEST

static void device_fails(void *argument)
{
    struct devnode *child;

    (void)argument;
    boot_with(1);
    child = pnp_find(CHILD(0));
    toy.DeviceState = PNP_DEVICE_FAILED;
    forget();
    IoInvalidateDeviceState(toy.ChildPdo[0]);
    pnp_wait_quiet();
    ck_assert_order({'C', IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {'C', IRP_MN_SURPRISE_REMOVAL, 0},
                    {'C', IRP_MN_REMOVE_DEVICE, 0});
    ck_assert_int_eq(pnp_problem(child), PROBLEM_FAILED_POST_START);
    toy.DeviceState = 0;
    ck_assert_int_eq(pnp_retry_device(child), STATUS_SUCCESS);
    finish();
}

START_TEST(test_device_fails)
{
    run_in(1, device_fails);
}
END_TEST

static void initializing_left(void *argument)
{
    (void)argument;
    memset(&toy, 0, sizeof(toy));
    toy.LeaveInitializing = TRUE;
    install("toybus");
    pnp_boot();
}

START_TEST(test_initializing_left)
{
    must_fail(initializing_left, "device-initializing");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/pnp state");
    TCase *changes = tcase_create("arrival and removal");
    TCase *failures = tcase_create("failures");

    tcase_add_test(changes, test_removal_refused);
    tcase_add_test(changes, test_removal_unloads);
    tcase_add_test(changes, test_surprise_of_the_bus);
    tcase_add_test(changes, test_stop_and_start);
    tcase_add_test(failures, test_start_fails);
    tcase_add_test(failures, test_driver_does_not_load);
    tcase_add_test(failures, test_no_driver);
    tcase_add_test(failures, test_device_fails);
    tcase_add_test(failures, test_initializing_left);
    tcase_add_test(failures, test_pdo_left);
    suite_add_tcase(suite, changes);
    suite_add_tcase(suite, failures);
    return guest_suite_run(suite);
}
