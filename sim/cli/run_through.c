/*
 * What the guest of the main job goes through between its connection and the traffic (--through): sleep, hibernation,
 * suspends. Its devices have to be connected again after each.
 */
#include <string.h>

#include "cli/guest.h"
#include "cli/guest_domain.h"
#include "cli/run_internal.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <xen/sched.h>

#define SUSPEND_TIMEOUT_MS 10000u
#define CONNECT_TIMEOUT_MS 30000
#define POLL_NS UINT64_C(100000)
#define RESUME_NS UINT64_C(50000000) /* in which the guest notices that it goes on, and lets go of what it had */

/* ---- the option ---- */

static const char *const names[] = {
    [THROUGH_SLEEP] = "sleep", [THROUGH_HIBERNATE] = "hibernate", [THROUGH_SUSPEND] = "suspend",
    [THROUGH_SLOW] = "slow",   [THROUGH_MIGRATE] = "migrate",
};

static bool parse_one(const char *text, size_t length, enum through *stage)
{
    for (unsigned i = 0; i < THROUGH_KINDS; i++) {
        if (strlen(names[i]) != length || strncmp(names[i], text, length) != 0)
            continue;
        *stage = (enum through)i;
        return true;
    }
    return false;
}

bool through_parse(const char *text, struct through_list *list)
{
    list->count = 0;
    for (;;) {
        size_t length = strcspn(text, ",");

        if (list->count == THROUGH_MAX) {
            complain("--through takes %u stages at most", THROUGH_MAX);
            return false;
        }
        if (!parse_one(text, length, &list->stage[list->count])) {
            complain("--through takes sleep, hibernate, suspend, slow and migrate joined by commas, not '%.*s'",
                     (int)length, text);
            return false;
        }
        list->count++;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

/* ---- the stages ---- */

static void suspend(struct run *run, struct toolstack *toolstack, bool cancelled)
{
    unsigned domid = run->domain.domid;

    if (!run_suspend(run, toolstack, SUSPEND_TIMEOUT_MS))
        give_up("%s", run->unconnected);
    while (!xen_domain_stands(domid))
        (void)task_park(clock_now() + POLL_NS, "the guest's suspension");
    if (xen_domain_resume(domid, cancelled) != 0)
        give_up("the domain was not resumed");
    if (!toolstack_domain_resumed(toolstack, domid))
        give_up("%s", toolstack_error(toolstack));
}

/* The guest writes its memory to disk and turns itself off; turned on, it finds a Xen that does not know it. */
static void hibernate(struct run *run, struct toolstack *toolstack)
{
    uint64_t deadline = clock_now() + SUSPEND_TIMEOUT_MS * UINT64_C(1000000);
    unsigned domid = run->domain.domid;
    int woken;

    guest_press_button(GUEST_HIBERNATE);
    while (xen_domain_shutdown_reason(domid) != SHUTDOWN_poweroff) {
        if (clock_now() >= deadline)
            give_up("the guest did not hibernate within %u ms", SUSPEND_TIMEOUT_MS);
        (void)task_park(clock_now() + POLL_NS, "the guest's hibernation");
    }
    if (!toolstack_domain_destroy(toolstack, domid))
        give_up("%s", toolstack_error(toolstack));
    woken = xen_domain_wake_from_disk(domid);
    if (woken < 0)
        give_up("the hibernated domain was not made again");
    (void)xen_domain_destroy(domid);
    run->domain.domid = (unsigned)woken;
    guest_domain_read_ports(&run->domain);
    if (!toolstack_domain_create(toolstack, &run->domain))
        give_up("%s", toolstack_error(toolstack));
    run_attach_vifs(run, toolstack);
    (void)xen_domain_unpause(run->domain.domid);
}

static void go_through(struct run *run, struct toolstack *toolstack, enum through stage)
{
    switch (stage) {
    case THROUGH_SLEEP:
        if (!guest_sleep_and_wake())
            give_up("a device refused to sleep");
        return;
    case THROUGH_HIBERNATE:
        hibernate(run, toolstack);
        break;
    case THROUGH_SUSPEND:
    case THROUGH_SLOW:
        suspend(run, toolstack, stage == THROUGH_SUSPEND);
        break;
    default:
        if (!run_migrate(run, toolstack, SUSPEND_TIMEOUT_MS))
            give_up("%s", run->unconnected);
        return;
    }
    (void)task_park(clock_now() + RESUME_NS, "the guest's resumption");
}

void run_go_through(struct run *run, struct toolstack *toolstack)
{
    const struct through_list *list = &run->options.through;

    for (unsigned i = 0; i < list->count; i++) {
        go_through(run, toolstack, list->stage[i]);
        if (!run_connected(run, toolstack, CONNECT_TIMEOUT_MS))
            give_up("after %s: %s", names[list->stage[i]], run->unconnected);
        (void)guest_wait_quiet();
    }
}
