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
    void (*function)(void);
    struct task *waiter;
    bool done;
};

static void call_main(void *argument)
{
    struct call *call = argument;

    call->function();
    call->done = true;
    task_unpark(call->waiter);
}

static void call_in_guest(const char *name, void (*function)(void))
{
    struct call call = {.function = function, .waiter = task_current()};

    nt_thread_start(name, call_main, &call);
    while (!call.done)
        (void)task_park(CLOCK_NEVER, name);
}

void guest_boot(void)
{
    call_in_guest("boot", pnp_boot);
}

static void shut_down(void)
{
    if (!pnp_shutdown_all())
        fail("shutdown", "the device tree could not be taken down: %s", pnp_refusal());
    pool_check_all();
}

void guest_shutdown(void)
{
    call_in_guest("shutdown", shut_down);
}

void guest_wait_quiet(void)
{
    call_in_guest("waiter", pnp_wait_quiet);
}
