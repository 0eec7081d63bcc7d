/* Verbs that suspend the guest, and have it go on. */
#include <errno.h>
#include <string.h>

#include "xen/abi.h"

#include <xen/sched.h>

#include "cli/cli.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#define SUSPEND_POLL_NS UINT64_C(1000000)

static bool is_suspended(unsigned domid)
{
    return xen_domain_shutdown_reason(domid) == SHUTDOWN_suspend;
}

/* Wherever its vCPUs are: the guest notices nothing. */
static bool force(struct verb_call *call, unsigned domid)
{
    int error = xen_domain_shutdown(domid, SHUTDOWN_suspend);

    if (error != 0) {
        verb_complain(call, "Failed to suspend domain %u: %s", domid, strerror(-error));
        return false;
    }
    log_line(LOG_INFO, "operator", "domain %u is suspended without its drivers", domid);
    operator_wait_standing(domid);
    return true;
}

/* By control/shutdown; the drivers do their part, and the last of it is the hypercall. */
static bool ask(struct verb_call *call, unsigned domid)
{
    struct toolstack *toolstack = verb_toolstack(call);
    int timeout_ms = operator_timeout(verb_operator(call), TOOLSTACK_CONTROL_TIMEOUT_MS);
    uint64_t deadline;

    if (!toolstack_domain_request(toolstack, domid, "suspend", timeout_ms)) {
        verb_complain(call, "%s", toolstack_error(toolstack));
        return false;
    }
    deadline = clock_now() + (unsigned)timeout_ms * UINT64_C(1000000);
    while (xen_domain_shutdown_reason(domid) < 0 && xen_domain_exists(domid) && clock_now() < deadline)
        (void)task_park(clock_now() + SUSPEND_POLL_NS, "the guest's suspension");
    if (is_suspended(domid))
        return true;
    if (!xen_domain_exists(domid))
        verb_complain(call, "domain %u was destroyed while it was to suspend", domid);
    else if (xen_domain_shutdown_reason(domid) >= 0)
        verb_complain(call, "domain %u shut down while it was to suspend, reason code %d", domid,
                      xen_domain_shutdown_reason(domid));
    else
        verb_complain(call, "domain %u took the request to suspend, and did not suspend within %d ms", domid,
                      timeout_ms);
    return false;
}

/* As libxl: a guest without PV drivers is not asked. */
bool verb_suspend_domain(struct verb_call *call, unsigned domid, bool forced)
{
    if (domid == XEN_DOM0) {
        verb_complain(call, "domain 0 is the host: it cannot be suspended");
        return false;
    }
    if (is_suspended(domid)) {
        verb_complain(call, "domain %u is suspended already", domid);
        return false;
    }
    if (xen_domain_shutdown_reason(domid) >= 0) {
        verb_complain(call, "domain %u has shut down, reason code %d: there is nothing left to suspend", domid,
                      xen_domain_shutdown_reason(domid));
        return false;
    }
    return forced || !verb_has_pv_control(domid) ? force(call, domid) : ask(call, domid);
}

int verb_suspend(struct verb_call *call)
{
    unsigned domid;

    return verb_domain(call, verb_word(call, 0), &domid) && verb_suspend_domain(call, domid, verb_flag(call, 'f'))
               ? EXIT_PASSED
               : EXIT_FAILED;
}

/* A slow one says that the suspend is over, and the guest connects to everything anew. */
static bool resume(struct verb_call *call, unsigned domid, bool slowly)
{
    struct toolstack *toolstack = verb_toolstack(call);

    if (xen_domain_resume(domid, !slowly) != 0) {
        verb_complain(call, "Failed to resume domain %u: it is not suspended", domid);
        return false;
    }
    if (toolstack_domain_resumed(toolstack, domid))
        return true;
    verb_complain(call, "%s", toolstack_error(toolstack));
    return false;
}

bool verb_cancel_suspend(struct verb_call *call, unsigned domid)
{
    return resume(call, domid, false);
}

int verb_resume(struct verb_call *call)
{
    unsigned domid;

    return verb_domain(call, verb_word(call, 0), &domid) && resume(call, domid, verb_flag(call, 's')) ? EXIT_PASSED
                                                                                                      : EXIT_FAILED;
}
