/* The kernel's components in the order of their start, and its threads for the harness. */
#include "nt/nt_init.h"

#include "nt/disk.h"
#include "nt/ke/ke.h"
#include "nt/nt.h"
#include "nt/ob/ob.h"
#include "nt/netio/netio.h"
#include "nt/ps/ps.h"
#include "nt/wmi/wmi.h"

void nt_init(void)
{
    ke_init();
    ob_init();
    mm_init();
    ex_init();
    rtl_init();
    cm_init();
    hal_init();
    ps_init();
    cng_init();
    netio_init();
    wmi_init();
    loader_init();
    io_init();
    po_init();
    pnp_init();
}

void nt_close(void)
{
    loader_close();
}

void nt_thread_start(const char *name, void (*function)(void *), void *argument)
{
    ob_dereference(ke_thread_create_host(name, function, argument));
}

/* On the stack of the task that waits. */
struct nt_waiter {
    struct nt_waiter *next;
    void (*function)(void *);
    void *argument;
    struct task *task;
    bool done;
    bool lost; /* the guest was reset */
};

static void run_main(void *argument)
{
    struct nt_waiter *waiter = argument;

    waiter->function(waiter->argument);
    waiter->done = true;
    task_unpark(waiter->task);
}

static void strike_off(const struct nt_waiter *waiter)
{
    struct nt_waiter **link = &machine->waiters;

    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
}

bool nt_thread_run(const char *name, void (*function)(void *), void *argument)
{
    struct nt_waiter waiter = {
        .next = machine->waiters, .function = function, .argument = argument, .task = task_current()};

    machine->waiters = &waiter;
    nt_thread_start(name, run_main, &waiter);
    while (!waiter.done && !waiter.lost)
        (void)task_park(CLOCK_NEVER, name);
    strike_off(&waiter);
    return waiter.done;
}

void nt_waiters_go_on(void)
{
    for (struct nt_waiter *waiter = machine->waiters; waiter != NULL; waiter = waiter->next) {
        waiter->lost = !waiter->done;
        task_unpark(waiter->task);
    }
}
