/* What a driver leaves behind at its unload, by kind and with who took it. The driver is tests/clients/leaver. */
#include <string.h>

#include "common/guest.h"
#include "image/loader.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"
#include "nt/ke/ke.h"

#define TAG 0x74736554u /* "Test" */

static NTSTATUS NTAPI entry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    return STATUS_SUCCESS;
}

static PDEVICE_OBJECT make_device(void)
{
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT device;

    ck_assert_int_eq(io_create_builtin_driver("host", entry, &driver), STATUS_SUCCESS);
    ck_assert_int_eq(IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device), STATUS_SUCCESS);
    return device;
}

static bool takes_a_device(const char *routine)
{
    return strcmp(routine, "LeaveWorkItem") == 0 || strcmp(routine, "LeaveShutdown") == 0 ||
           strcmp(routine, "LeaveRegisters") == 0;
}

static void leave(void *argument)
{
    const char *routine = argument;
    void *given = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, TAG);
    VOID(NTAPI * function)(PVOID);
    struct loader_module *module;

    ck_assert_int_eq(loader_load("leaver", &module), STATUS_SUCCESS);
    function = loader_module_symbol(module, routine);
    ck_assert_ptr_nonnull(function);
    function(takes_a_device(routine) ? make_device() : given);
    loader_release(module);
}

static const struct {
    const char *routine;
    const char *rule;
    uint32_t code;
    const char *what;
} left[] = {
    {"LeaveMdl", "pool-leak-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 with tag \"Mdl \""},
    {"LeaveCommonBuffer", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 dma common buffer"},
    {"LeaveAdapter", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 dma adapter"},
    {"LeaveRegisters", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "3 dma map register"},
    {"LeaveShutdown", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 shutdown notification"},
    {"LeaveIoSpace", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 mapping (I/O space)"},
    {"LeaveHandle", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 handle (event)"},
    {"LeaveKey", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 handle (key"},
    {"LeaveReference", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 object reference (thread"},
    {"LeaveWorkItem", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 io work item"},
    {"LeaveContiguous", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "4096 contiguous memory"},
    {"LeaveSection", "left-at-unload", DRIVER_VERIFIER_DETECTED_VIOLATION, "1 locked section"},
    {"LeaveTimer", "freed-in-use", TIMER_OR_DPC_INVALID, "timer"},
};

START_TEST(what_is_left_is_reported_with_who_took_it)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    failure = guest_must_fail(&config, leave, (void *)(uintptr_t)left[_i].routine, left[_i].rule);
    ck_assert_uint_eq(failure->code, left[_i].code);
    ck_assert_msg(strstr(failure->text, left[_i].what) != NULL, "%s", failure->text);
    if (strcmp(left[_i].rule, "left-at-unload") == 0)
        ck_assert_msg(strstr(failure->text, "leaver") != NULL, "%s", failure->text);
}
END_TEST

/* An MDL that stays is a block of pool too: what it locks and maps is looked at first. */
static const char *const held[][2] = {{"LeaveLockedPages", "1 locked pages"}, {"LeaveMapping", "1 mapping (MDL)"}};

START_TEST(locked_pages_and_mappings)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    failure = guest_must_fail(&config, leave, (void *)(uintptr_t)held[_i][0], "left-at-unload");
    ck_assert_msg(strstr(failure->text, held[_i][1]) != NULL, "%s", failure->text);
}
END_TEST

/* What would call into a driver that its DriverUnload lets go. */
static const char *const registered[][2] = {{"LeaveInterrupt", "service routine"},
                                            {"LeaveProcessNotify", "process notify routine"},
                                            {"LeaveNotification", "notification routine of plug and play"}};

static void unload(void *argument)
{
    struct cm_key *key = cm_key_create(CM_SERVICES "\\leaver");
    VOID(NTAPI * function)(PVOID);
    struct loader_module *module;
    PDRIVER_OBJECT driver;

    cm_value_set_dword(key, "Type", 1);
    cm_value_set_dword(key, "Start", 3);
    cm_value_set_string(key, "ImagePath", REG_EXPAND_SZ, "system32\\drivers\\leaver.sys");
    ck_assert_int_eq(io_load_driver("leaver", &driver), STATUS_SUCCESS);
    ck_assert_int_eq(loader_load("leaver", &module), STATUS_SUCCESS);
    function = loader_module_symbol(module, argument);
    ck_assert_ptr_nonnull(function);
    function(driver);
    io_unload_driver(driver);
}

START_TEST(callbacks_left_at_driver_unload)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    failure = guest_must_fail(&config, unload, (void *)(uintptr_t)registered[_i][0], "driver-unload");
    ck_assert_uint_eq(failure->code, DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS);
    ck_assert_msg(strstr(failure->text, registered[_i][1]) != NULL, "%s", failure->text);
    ck_assert_msg(strstr(failure->text, "leaver.so!") != NULL, "%s", failure->text);
    ck_assert_uint_ne(failure->parameter[0], 0);
}
END_TEST

/* Not left, for once: BugCheckOnFailure, and no room. */
START_TEST(no_room_for_a_mapping)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    config.faults.count = 1;
    config.faults.rule[0] = (struct fault_rule){
        .kinds = 1u << FAULT_MAPPING, .phases = (1u << FAULT_PHASES) - 1, .call = "MmMapLockedPagesSpecifyCache"};
    failure = guest_must_fail(&config, leave, "LeaveMappingOrBugCheck", "mdl-map");
    ck_assert_uint_eq(failure->code, NO_MORE_SYSTEM_PTES);
    ck_assert_uint_eq(failure->parameter[1], 1); /* page */
}
END_TEST

START_TEST(nothing_left_is_fine)
{
    struct machine_config config = guest_config(1);

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    guest_run_with(&config, leave, "LeaveNothing");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unload");
    TCase *cases = tcase_create("unload");

    tcase_add_loop_test(cases, what_is_left_is_reported_with_who_took_it, 0, sizeof(left) / sizeof(left[0]));
    tcase_add_loop_test(cases, locked_pages_and_mappings, 0, sizeof(held) / sizeof(held[0]));
    tcase_add_loop_test(cases, callbacks_left_at_driver_unload, 0, sizeof(registered) / sizeof(registered[0]));
    tcase_add_test(cases, no_room_for_a_mapping);
    tcase_add_test(cases, nothing_left_is_fine);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
