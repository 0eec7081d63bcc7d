/* Verbs that move the guest: to a file, to another host, to another domain of this one. */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "machine/log.h"
#include "xen/abi.h"
#include "xen/xen.h"

#include <xen/sched.h>

/* It has drivers that suspend it. False after a line. */
static bool can_suspend(struct verb_call *call, unsigned domid)
{
    if (domid == XEN_DOM0 || xen_domain_shutdown_reason(domid) == SHUTDOWN_suspend || verb_has_pv_control(domid))
        return true; /* or verb_suspend_domain() has a line */
    verb_complain(call, "domain %u has no PV drivers yet that could suspend it", domid);
    return false;
}

/*
 * The guest, suspended, with all that is the machine. Whatever goes wrong, it goes on where it is. OPERATOR_ARRIVED: on
 * the other host, where nobody has asked for anything.
 */
static enum operator_outcome move(struct verb_call *call, unsigned domid, const struct operator_journey *journey)
{
    struct operator_state *operator= verb_operator(call);
    enum operator_outcome outcome;
    const char *refused;

    operator_wait_alone(operator);
    refused = operator_save_refused(operator);
    if (refused != NULL) {
        verb_complain(call, "%s", refused);
        return OPERATOR_STAYED;
    }
    if (!can_suspend(call, domid) || !verb_suspend_domain(call, domid, false))
        return OPERATOR_STAYED;
    operator_wait_standing(domid);
    outcome = operator_move(operator, verb_toolstack(call), journey);
    if (outcome != OPERATOR_STAYED)
        return outcome;
    verb_complain(call, "domain %u was not moved and goes on: %s", domid, operator_error(operator));
    if (xen_domain_shutdown_reason(domid) == SHUTDOWN_suspend)
        (void)verb_cancel_suspend(call, domid);
    return outcome;
}

static int leave(struct verb_call *call, unsigned domid)
{
    if (!verb_destroy_domain(call, domid))
        return EXIT_FAILED;
    verb_ends_machine(call);
    return EXIT_PASSED;
}

int verb_save(struct verb_call *call)
{
    const struct operator_journey journey = {
        .kind = OPERATOR_ERRAND_SAVE, .path = verb_word(call, 1), .config = verb_word(call, 2)};
    bool paused = verb_flag(call, 'p');
    unsigned domid;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    switch (move(call, domid, &journey)) {
    case OPERATOR_STAYED:
        return EXIT_FAILED;
    case OPERATOR_ARRIVED:
        return EXIT_PASSED;
    case OPERATOR_MOVED:
        break;
    }
    log_line(LOG_INFO, "operator", "domain %u is saved to %s", domid, journey.path);
    if (!paused && !verb_flag(call, 'c'))
        return leave(call, domid);
    if (paused)
        (void)xen_domain_pause(domid);
    return verb_cancel_suspend(call, domid) ? EXIT_PASSED : EXIT_FAILED;
}

/* To a machine in another run-dir, of which this one's process is the parent. */
static int migrate_away(struct verb_call *call, unsigned domid, const char *run_dir)
{
    const struct operator_journey journey = {
        .kind = OPERATOR_ERRAND_SEND, .path = run_dir, .paused = verb_flag(call, 'p')};

    switch (move(call, domid, &journey)) {
    case OPERATOR_STAYED:
        return EXIT_FAILED;
    case OPERATOR_ARRIVED:
        return EXIT_PASSED;
    case OPERATOR_MOVED:
        break;
    }
    verb_note(call, "Migration successful.\n");
    log_line(LOG_INFO, "operator", "domain %u has migrated to %s", domid, run_dir);
    return leave(call, domid);
}

/* As 'xl migrate DOMAIN localhost', a new domain with new ports, grants and backends. */
static int migrate_here(struct verb_call *call, unsigned domid)
{
    struct toolstack *toolstack = verb_toolstack(call);
    unsigned without;
    int restored;

    if (operator_waits(verb_operator(call))) {
        verb_complain(call, "an interface still waits for its backend; migrate the guest when one has come");
        return EXIT_FAILED;
    }
    if (!can_suspend(call, domid) || !verb_suspend_domain(call, domid, false))
        return EXIT_FAILED;
    restored = operator_restore(verb_operator(call), toolstack, verb_flag(call, 'p'), &without);
    if (restored < 0) {
        verb_complain(call, "%s", restored == -EIO ? toolstack_error(toolstack) : strerror(-restored));
        return EXIT_FAILED;
    }
    log_line(LOG_INFO, "operator", "domain %u has migrated and is domain %d", domid, restored);
    if (without != 0) {
        verb_complain(call,
                      "domain %u goes on as domain %d, %u of its interfaces without a backend: %s; when there is one "
                      "again, detach and attach them",
                      domid, restored, without, toolstack_error(toolstack));
        return EXIT_FAILED;
    }
    verb_note(call, "Migration successful.\n");
    return EXIT_PASSED;
}

int verb_migrate(struct verb_call *call)
{
    const char *host = verb_word(call, 1);
    unsigned domid;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if (strcmp(host, "localhost") == 0)
        return migrate_here(call, domid);
    if (strchr(host, '/') != NULL)
        return migrate_away(call, domid, host);
    verb_complain(call, "there is no host '%s': it is localhost, or the run-dir of another one, with a '/' in it",
                  host);
    return EXIT_FAILED;
}
