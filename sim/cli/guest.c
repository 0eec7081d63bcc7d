#include "cli/guest.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "image/elf.h"
#include "image/memory_hooks.h"
#include "machine/clock.h"
#include "machine/fail.h"
#include "machine/fault.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "nt/ex/pool.h"
#include "nt/io/io.h"
#include "nt/ke/ke.h"
#include "nt/mm/mm.h"
#include "nt/nt_init.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/xen.h"

/* The driver of this name that was brought along, or NULL. */
static const struct machine_driver *brought_along(const struct machine_config *config, const char *name, size_t length)
{
    for (unsigned index = 0; index < config->driver_count; index++)
        if (strlen(config->driver[index].name) == length && strncmp(config->driver[index].name, name, length) == 0)
            return &config->driver[index];
    return NULL;
}

static bool in_folder(const char *folder, const char *file)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    return access(path, R_OK) == 0;
}

int guest_check_drivers(const struct machine_config *config)
{
    static const char *const names[] = {"xen.so",     "xenbus.so",    "xenbus.inf",   "xenvif.so",
                                        "xenvif.inf", "netclient.so", "netclient.inf"};

    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        const struct machine_driver *driver = brought_along(config, names[index], strcspn(names[index], "."));

        if (driver != NULL && (strstr(names[index], ".so") != NULL || driver->inf != NULL))
            continue;
        if (!in_folder(config->driver_dir, names[index])) {
            complain("%s/%s is not there; build the drivers with 'make', or name their folder with --drivers",
                     config->driver_dir, names[index]);
            return EXIT_USAGE;
        }
    }
    for (unsigned index = 0; index < config->driver_count; index++) {
        const struct machine_driver *driver = &config->driver[index];
        char file[64];

        snprintf(file, sizeof(file), "%s.so", driver->name);
        if (driver->inf == NULL && !in_folder(config->driver_dir, file)) {
            complain("--driver %s has no INF: let --inf follow it (only a driver that replaces one of %s does without)",
                     driver->module, config->driver_dir);
            return EXIT_USAGE;
        }
    }
    return 0;
}

static int is_module(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot != NULL && strcmp(dot, ".so") == 0;
}

static int check_memory_hooks(const char *path)
{
    if (memory_hooks_used(path) == 1)
        return 0;
    complain("%s was not compiled for --preempt=memory (-fsanitize=thread, linked without it; see the manual)", path);
    return EXIT_NOT_HERE;
}

int guest_check_memory_hooks(const struct machine_config *config)
{
    struct dirent **entries;
    int status = 0;
    int count;

    if (!memory_hooks_available()) {
        complain("--preempt=memory cannot be had in a build under ThreadSanitizer");
        return EXIT_NOT_HERE;
    }
    count = scandir(config->driver_dir, &entries, is_module, alphasort);
    for (int index = 0; index < count; index++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", config->driver_dir, entries[index]->d_name);
        if (status == 0)
            status = check_memory_hooks(path);
        free(entries[index]);
    }
    if (count >= 0)
        free(entries);
    for (unsigned index = 0; status == 0 && index < config->driver_count; index++)
        status = check_memory_hooks(config->driver[index].module);
    return status;
}

/* A module that Windows' loader would take for a driver? */
static bool check_module(const char *path, char *error, size_t error_size)
{
    struct elf_info info;
    bool good = elf_read(path, &info, error, error_size);

    if (good && !info.driver_entry && !info.dll_initialize) {
        snprintf(error, error_size, "%s exports neither DriverEntry nor DllInitialize; build drivers with pvsim-cc",
                 path);
        good = false;
    }
    elf_free(&info);
    return good;
}

int guest_install(const struct machine_config *config)
{
    char error[1024];
    bool good = pnp_install_directory(config->driver_dir, error, sizeof(error));

    for (unsigned index = 0; good && index < config->driver_count; index++) {
        const struct machine_driver *driver = &config->driver[index];

        good = check_module(driver->module, error, sizeof(error)) &&
               (driver->inf == NULL || pnp_install_driver(driver, error, sizeof(error)));
    }
    if (good)
        return 0;
    complain("%s", error);
    return EXIT_USAGE;
}

struct call {
    void (*function)(struct call *call);
    bool good;
};

static void call_main(void *argument)
{
    struct call *call = argument;

    call->function(call);
}

/* False as well when the guest was reset meanwhile. */
static bool call_in_guest(const char *name, void (*function)(struct call *call))
{
    struct call call = {.function = function, .good = true};

    return nt_thread_run(name, call_main, &call) && call.good;
}

static void boot(struct call *call)
{
    (void)call;
    pnp_boot();
}

bool guest_boot(void)
{
    return call_in_guest("boot", boot);
}

static void shut_down(struct call *call)
{
    po_shutdown(PowerActionShutdownOff);
    call->good = pnp_shutdown_all();
    pool_check_all();
}

bool guest_shutdown(void)
{
    return call_in_guest("shutdown", shut_down);
}

bool guest_is_up(void)
{
    return pnp_root() != NULL;
}

bool guest_memory_ran_out(void)
{
    return page_ran_out();
}

bool guest_memory_is_short(void)
{
    return page_is_short();
}

static void find_starved_device(struct call *call)
{
    struct devnode *node;

    pnp_hold();
    for (node = pnp_root(); node != NULL; node = pnp_next(node))
        if (pnp_problem(node) != PROBLEM_NONE && pnp_problem_status(node) == STATUS_INSUFFICIENT_RESOURCES)
            break;
    call->good = node != NULL;
    pnp_release();
}

bool guest_has_starved_device(void)
{
    return call_in_guest("looker", find_starved_device);
}

static void wait_quiet(struct call *call)
{
    (void)call;
    pnp_wait_quiet();
}

bool guest_wait_quiet(void)
{
    return call_in_guest("waiter", wait_quiet);
}

/* ---- what somebody at the guest's Device Manager does ---- */

static bool disable(struct devnode *node)
{
    return pnp_state(node) != DEVNODE_STARTED || NT_SUCCESS(pnp_remove_device(node, false));
}

/* Enable every device that has a problem; one that comes up may bring others. */
static void enable_failed(void)
{
    struct devnode *node = pnp_root();

    while (node != NULL) {
        bool retry = pnp_problem(node) != PROBLEM_NONE && pnp_state(node) != DEVNODE_STARTED;

        node = retry && NT_SUCCESS(pnp_retry_device(node)) ? pnp_root() : pnp_next(node);
    }
    pnp_wait_quiet();
}

static void scan(void)
{
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node))
        if (pnp_state(node) == DEVNODE_STARTED)
            (void)pnp_rescan(node);
    pnp_wait_quiet();
}

static struct devnode *first_of_service(const char *service)
{
    struct devnode *node = pnp_root();

    while (node != NULL &&
           (pnp_service(node) == NULL || strcmp(pnp_service(node), service) != 0 || pnp_state(node) != DEVNODE_STARTED))
        node = pnp_next(node);
    return node;
}

static void restart_service(struct call *call, const char *service)
{
    struct devnode *node;

    enable_failed();
    scan();
    while (call->good && (node = first_of_service(service)) != NULL)
        call->good = disable(node);
    enable_failed();
}

static void restart_clients(struct call *call)
{
    restart_service(call, "netclient");
}

static void restart_bus(struct call *call)
{
    restart_service(call, "xenbus");
}

bool guest_restart_clients(void)
{
    return call_in_guest("restart", restart_clients);
}

bool guest_restart_bus(void)
{
    return call_in_guest("restart", restart_bus);
}

/* ---- what the system asks of every device ---- */

static bool ask_target(PDEVICE_OBJECT pdo)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_PNP,
                               .MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS,
                               .Parameters.QueryDeviceRelations.Type = TargetDeviceRelation};
    ULONG_PTR information = 0;
    NTSTATUS status = io_send_synchronous(pdo, &stack, STATUS_NOT_SUPPORTED, &information);
    PDEVICE_RELATIONS relations = (PDEVICE_RELATIONS)information;
    bool good = NT_SUCCESS(status) && relations != NULL && relations->Count == 1 && relations->Objects[0] == pdo;

    if (NT_SUCCESS(status) && relations != NULL) {
        for (ULONG index = 0; index < relations->Count; index++)
            ObDereferenceObject(relations->Objects[index]);
        ExFreePool(relations);
    }
    return good;
}

/* A bus may not take such files, and leaves the request as it was. */
static bool tell_usage(PDEVICE_OBJECT pdo, BOOLEAN in_path)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_PNP,
                               .MinorFunction = IRP_MN_DEVICE_USAGE_NOTIFICATION,
                               .Parameters.UsageNotification = {.InPath = in_path, .Type = DeviceUsageTypeDumpFile}};
    NTSTATUS status = io_send_synchronous(pdo, &stack, STATUS_NOT_SUPPORTED, NULL);

    return NT_SUCCESS(status) || status == STATUS_NOT_SUPPORTED;
}

/* A dump file comes and goes. What was told is taken back, without faults if they are in the way. */
static bool use_for_dump(PDEVICE_OBJECT pdo)
{
    bool good;

    if (!tell_usage(pdo, TRUE))
        return false;
    if (tell_usage(pdo, FALSE))
        return true;
    fault_suspend();
    good = tell_usage(pdo, FALSE);
    fault_resume();
    if (!good)
        fail("scenario", "a device could not be told that no dump file lies on it any more");
    return false;
}

static void describe_devices(struct call *call)
{
    for (struct devnode *node = first_of_service("xenbus"); node != NULL; node = pnp_next(node)) {
        if (pnp_state(node) != DEVNODE_STARTED)
            continue;
        call->good = ask_target(pnp_pdo(node)) && call->good;
        call->good = use_for_dump(pnp_pdo(node)) && call->good;
    }
}

bool guest_describe_devices(void)
{
    return call_in_guest("describer", describe_devices);
}

/* ---- what the board tells the system ---- */

void guest_plug_processors(unsigned count)
{
    ke_processors_announce(count);
}

/* ---- the power manager's, and what somebody at the buttons does ---- */

static void end_system(bool reset)
{
    po_shutdown(reset ? PowerActionShutdownReset : PowerActionShutdownOff);
    xen_guest_ends(reset);
}

static void fall_asleep(void)
{
    NTSTATUS status = po_set_system_state(PowerSystemSleeping3);

    if (!NT_SUCCESS(status)) {
        log_line(LOG_WARNING, "po", "the system does not sleep: a device refuses to (0x%08x)", (unsigned)status);
        return;
    }
    xen_guest_sleeps();
    (void)po_set_system_state(PowerSystemWorking);
}

static void turn_off(void)
{
    xen_guest_ends(false);
}

static void hibernate(void)
{
    NTSTATUS status = po_set_system_state(PowerSystemHibernate);

    if (!NT_SUCCESS(status)) {
        log_line(LOG_WARNING, "po", "the system does not hibernate: a device refuses to (0x%08x)", (unsigned)status);
        return;
    }
    po_with_processors_held(turn_off);
    (void)po_set_system_state(PowerSystemWorking);
}

void guest_power(enum guest_power action)
{
    if (action == GUEST_SLEEP)
        fall_asleep();
    else if (action == GUEST_HIBERNATE)
        hibernate();
    else
        end_system(action == GUEST_RESET);
}

static void pressed(void *argument)
{
    guest_power((enum guest_power)(uintptr_t)argument);
}

void guest_press_button(enum guest_power action)
{
    nt_thread_start("button", pressed, (void *)(uintptr_t)action);
}

static void sleep_and_wake(struct call *call)
{
    call->good = NT_SUCCESS(po_set_system_state(PowerSystemSleeping3));
    if (call->good)
        (void)po_set_system_state(PowerSystemWorking);
    pnp_wait_quiet();
}

bool guest_sleep_and_wake(void)
{
    return call_in_guest("sleeper", sleep_and_wake);
}
