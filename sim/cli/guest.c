#include "cli/guest.h"

#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "machine/clock.h"
#include "machine/fail.h"
#include "machine/sched.h"
#include "nt/ex/pool.h"
#include "nt/nt_init.h"
#include "nt/pnp/pnp.h"

int guest_check_drivers(const char *driver_dir)
{
    static const char *const names[] = {"xen.so",     "xenbus.so",    "xenbus.inf",   "xenvif.so",
                                        "xenvif.inf", "netclient.so", "netclient.inf"};

    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s", driver_dir, names[index]);
        if (access(path, R_OK) != 0) {
            complain("%s is not there; build the drivers with 'make', or name their folder with --drivers", path);
            return EXIT_USAGE;
        }
    }
    return 0;
}

int guest_install(const char *driver_dir)
{
    char error[1024];

    if (pnp_install_directory(driver_dir, error, sizeof(error)))
        return 0;
    complain("%s", error);
    return EXIT_USAGE;
}

struct call {
    void (*function)(struct call *call);
    struct task *waiter;
    bool done;
    bool good;
};

static void call_main(void *argument)
{
    struct call *call = argument;

    call->function(call);
    call->done = true;
    task_unpark(call->waiter);
}

static bool call_in_guest(const char *name, void (*function)(struct call *call))
{
    struct call call = {.function = function, .waiter = task_current(), .good = true};

    nt_thread_start(name, call_main, &call);
    while (!call.done)
        (void)task_park(CLOCK_NEVER, name);
    return call.good;
}

static void boot(struct call *call)
{
    (void)call;
    pnp_boot();
}

void guest_boot(void)
{
    (void)call_in_guest("boot", boot);
}

static void shut_down(struct call *call)
{
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

static void wait_quiet(struct call *call)
{
    (void)call;
    pnp_wait_quiet();
}

void guest_wait_quiet(void)
{
    (void)call_in_guest("waiter", wait_quiet);
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
