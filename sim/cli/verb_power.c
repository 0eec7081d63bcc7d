/* Verbs that ask the guest to end, begin anew or sleep, and those that press its buttons. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xen/abi.h"

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#define END_POLL_NS UINT64_C(10000000)

bool verb_has_pv_control(unsigned domid)
{
    uint64_t value = 0;

    return xen_hvm_param_get(domid, HVM_PARAM_CALLBACK_IRQ, &value) == 0 && value != 0;
}

/* ---- trigger ---- */

static void press(struct verb_call *call, unsigned domid, const char *button)
{
    guest_press_button(strcmp(button, "sleep") == 0 ? GUEST_SLEEP : GUEST_POWER_OFF);
    log_line(LOG_INFO, "operator", "the %s button of domain %u is pressed (%s)", button, domid,
             verb_flag(call, 'F') ? "shutdown -F" : "trigger");
}

/* As XEN_DOMCTL_sendtrigger, for those that this Xen has; waking up is a parameter of the domain. */
static int send_trigger(struct verb_call *call, unsigned domid, const char *name)
{
    if (strcmp(name, "s3resume") == 0)
        return xen_domain_wake(domid);
    if (strcmp(name, "nmi") == 0)
        return xen_domain_send_nmi(domid, verb_word(call, 2) != NULL ? (unsigned)atoi(verb_word(call, 2)) : 0);
    if (strcmp(name, "power") != 0 && strcmp(name, "sleep") != 0)
        return -ENOSYS;
    if (domid == XEN_DOM0 || xen_guest_domid() != (int)domid || xen_domain_shutdown_reason(domid) >= 0)
        return -EINVAL;
    press(call, domid, name);
    return 0;
}

/* Of a name that libxl has; false after a line. */
static bool trigger(struct verb_call *call, unsigned domid, const char *name)
{
    int error = send_trigger(call, domid, name);

    if (error != 0)
        verb_complain(call, "Send trigger '%s' failed: %s", name, strerror(-error));
    return error == 0;
}

static bool is_trigger(const char *name)
{
    static const char *const names[] = {"power", "sleep", "nmi", "init", "reset", "s3resume"};

    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++)
        if (strcmp(names[index], name) == 0)
            return true;
    return false;
}

/* The vCPU is for those that go to one; it has to be there all the same. */
static bool vcpu_is_good(struct verb_call *call, unsigned domid, const char *word)
{
    unsigned long number;
    char *end;

    if (word == NULL)
        return true;
    number = strtoul(word, &end, 10);
    if (*word != '\0' && *end == '\0' && strchr(word, '-') == NULL && number < xen_domain_vcpus(domid))
        return true;
    verb_complain(call, "domain %u has no vCPU %s", domid, word);
    return false;
}

int verb_trigger(struct verb_call *call)
{
    const char *name = verb_word(call, 1);
    unsigned domid;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if (!is_trigger(name)) {
        verb_complain(call, "Invalid trigger \"%s\": there are power, sleep, nmi, init, reset and s3resume", name);
        return EXIT_USAGE;
    }
    return vcpu_is_good(call, domid, verb_word(call, 2)) && trigger(call, domid, name) ? EXIT_PASSED : EXIT_FAILED;
}

/* ---- shutdown, reboot ---- */

struct ending {
    const char *verb;
    const char *what;
    const char *reason; /* in control/shutdown */
    const char *button;
    const char *trigger;
};

static void wait_for_end(unsigned domid)
{
    while (xen_domain_exists(domid) && xen_domain_shutdown_reason(domid) < 0)
        (void)task_park(clock_now() + END_POLL_NS, "the guest's shutdown");
}

/* By control/shutdown, or by a button if the guest cannot be asked so. */
static bool ask(struct verb_call *call, unsigned domid, const struct ending *ending)
{
    struct toolstack *toolstack = verb_toolstack(call);

    if (verb_has_pv_control(domid)) {
        if (toolstack_domain_request(toolstack, domid, ending->reason,
                                     operator_timeout(verb_operator(call), TOOLSTACK_CONTROL_TIMEOUT_MS)))
            return true;
        verb_complain(call, "%s", toolstack_error(toolstack));
        return false;
    }
    if (verb_flag(call, 'F')) {
        verb_note(call, "PV control interface not available: sending ACPI %s button event.\n", ending->button);
        return trigger(call, domid, ending->trigger);
    }
    verb_complain(call,
                  "PV control interface not available: external graceful %s not possible; use 'pvsim %s -F' for the "
                  "ACPI %s button, or 'pvsim destroy'",
                  ending->verb, ending->verb, ending->button);
    return false;
}

static int end_domain(struct verb_call *call, unsigned domid, const struct ending *ending)
{
    if (domid == XEN_DOM0) {
        verb_complain(call, "domain 0 is the host: 'pvsim destroy' of the guest ends the machine");
        return EXIT_FAILED;
    }
    verb_note(call, "%s domain %u\n", ending->what, domid);
    if (!ask(call, domid, ending))
        return EXIT_FAILED;
    if (verb_flag(call, 'w'))
        wait_for_end(domid);
    return EXIT_PASSED;
}

/* The one that is named, or all guests that there are: one at most. */
static int end_some(struct verb_call *call, const struct ending *ending)
{
    bool all = verb_flag(call, 'a');
    unsigned domid;

    if (verb_count(call) == 0 && !all) {
        verb_complain(call, "You must specify -a or a domain id.");
        return EXIT_USAGE;
    }
    if (all)
        return xen_guest_domid() < 0 ? EXIT_PASSED : end_domain(call, (unsigned)xen_guest_domid(), ending);
    return verb_domain(call, verb_word(call, 0), &domid) ? end_domain(call, domid, ending) : EXIT_FAILED;
}

int verb_shutdown(struct verb_call *call)
{
    static const struct ending poweroff = {"shutdown", "Shutting down", "poweroff", "power", "power"};

    return end_some(call, &poweroff);
}

int verb_reboot(struct verb_call *call)
{
    static const struct ending reboot = {"reboot", "Rebooting", "reboot", "reset", "reset"};

    return end_some(call, &reboot);
}
