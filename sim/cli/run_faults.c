/*
 * The main job under a plan of faults. A device that does not start, a VIF that does not connect, a frame that is lost:
 * that is what a fault may do. It must not crash, hang, corrupt or leak; and once faults are off the devices must start
 * again in the same machine and carry the captures whole.
 */
#include <inttypes.h>

#include "cli/guest.h"
#include "cli/run_internal.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "nt/pnp/pnp.h"

#define CONNECT_MS 5000                  /* under faults */
#define PATIENCE_NS UINT64_C(2000000000) /* for a frame under faults */

/* Faults are off and the machine is up: the devices must come back. First themselves, then with the whole bus. */
static void restart(struct run *run, struct toolstack *toolstack)
{
    netback_task_again(run->netback);
    if (!guest_restart_clients())
        give_up("after the fault a device could not be disabled: %s", pnp_refusal());
    if (!run_connected(run, toolstack, CONNECT_MS)) {
        run->report.bus_restarted = true;
        if (!guest_restart_bus())
            give_up("after the fault the bus could not be disabled: %s", pnp_refusal());
        if (!run_connected(run, toolstack, CONNECT_MS))
            give_up("after the fault, with faults off and the bus restarted: %s", run->unconnected);
    }
    (void)guest_wait_quiet();
    run_carry_all(run);
}

/* Through S3: the devices go and come back connected, but for what a fault does to them. */
static void go_to_sleep(struct run *run, struct toolstack *toolstack)
{
    bool slept = guest_sleep_and_wake();
    bool connected = run_connected(run, toolstack, CONNECT_MS);

    if (fault_injected() != 0)
        return;
    if (!slept)
        give_up("a device refused to sleep");
    if (!connected)
        give_up("after sleep: %s", run->unconnected);
}

/* To another host: the guest suspends, and its devices come back connected, but for what a fault does. */
static void migrate(struct run *run, struct toolstack *toolstack)
{
    bool good = run_migrate(run, toolstack, CONNECT_MS) && run_connected(run, toolstack, CONNECT_MS);

    if (!good && fault_injected() == 0)
        give_up("in a migration: %s", run->unconnected);
}

/* Boot, connect and traffic. */
static void come_up(struct run *run, struct toolstack *toolstack)
{
    uint64_t power_on = clock_now();

    fault_enter(FAULT_BOOT);
    (void)guest_boot();
    fault_enter(FAULT_CONNECT);
    if (run_connected(run, toolstack, CONNECT_MS)) {
        run_note_connected(run, power_on);
        (void)guest_wait_quiet();
        run_leave_boot(run);
        if (!guest_describe_devices() && fault_injected() == 0)
            give_up("a device did not say of itself what its bus can say");
        go_to_sleep(run, toolstack);
        migrate(run, toolstack);
        fault_enter(FAULT_TRAFFIC);
        (void)run_carry_traffic(run, PATIENCE_NS);
    } else if (fault_injected() == 0) {
        give_up("%s", run->unconnected);
    }
    if (fault_injected() == 0)
        return;
    fault_suspend();
    restart(run, toolstack);
    fault_resume();
}

void run_with_faults(struct run *run, struct toolstack *toolstack)
{
    uint64_t injected;
    bool down;

    come_up(run, toolstack);
    injected = fault_injected();
    fault_enter(FAULT_TEARDOWN);
    down = run_go_down(run, toolstack);
    fault_suspend();
    if (fault_injected() == injected) {
        if (!down)
            give_up("%s", run->not_down);
        return;
    }
    /* A VIF that did not close is gone by force; a tree that a fault kept from going must go now. */
    if (guest_is_up() && !guest_shutdown())
        give_up("after the fault the device tree could not be taken down: %s", pnp_refusal());
    netback_task_again(run->netback);
    run_attach_vifs(run, toolstack);
    run_scenario(run, toolstack);
}
