#include "cli/operator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xen/sched.h>
#include <xenstore.h>

#include "cli/beside.h"
#include "cli/console_task.h"
#include "cli/control.h"
#include "cli/dom0_environment.h"
#include "cli/guest.h"
#include "cli/guest_agent.h"
#include "cli/guest_domain.h"
#include "cli/operator_internal.h"
#include "cli/outer_store.h"
#include "cli/vif_spec.h"
#include "dom0/dom0.h"
#include "dom0/heap.h"
#include "machine/clock.h"
#include "machine/fail.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "netback.h"
#include "port_capture.h"
#include "store/store.h"
#include "toolstack.h"
#include "wait.h"
#include "xen/xen.h"

#define NOTE_MAX 400
#define STAND_POLL_NS UINT64_C(100000)
#define BOOTS_IN_VAIN 5 /* in a row: then there will be no other */

static void log_toolstack(void *context, enum backend_log_level level, const char *line)
{
    (void)context;
    log_line(level == BACKEND_LOG_ERROR     ? LOG_ERROR
             : level == BACKEND_LOG_WARNING ? LOG_WARNING
                                            : LOG_INFO,
             "toolstack", "%s", line);
}

static void log_netback(void *context, enum backend_log_level level, const char *line)
{
    (void)context;
    log_line(level == BACKEND_LOG_ERROR ? LOG_ERROR : LOG_INFO, "netback", "%s", line);
}

const struct backend_logger operator_logger = {.write = log_toolstack};
static const struct backend_logger netback_logger = {.write = log_netback};

/* ---- netback ---- */

/* A wire with nobody at its other end. */
static struct port *open_port(void *context, unsigned domid, unsigned handle)
{
    (void)context;
    (void)domid;
    (void)handle;
    return port_capture_create(NULL, NULL);
}

static void netback_main(void *argument)
{
    struct operator_state *state = argument;
    unsigned domid = state->options.run.backend.domid;
    const struct netback_options options = {.domid = domid,
                                            .features = &state->options.run.backend.features,
                                            .open_port = open_port,
                                            .busy_poll_us = state->options.run.backend.busy_poll_us,
                                            .logger = &netback_logger};

    if (domid != XEN_DOM0)
        dom0_enter_domain(domid);
    state->netback = netback_create(&options);
    if (state->netback == NULL)
        fail("netback", "netback could not open its libraries");
    if (!netback_run(state->netback) || !state->netback_ends)
        fail("netback", "netback gave up: its store or event channels failed");
    netback_destroy(state->netback);
    if (domid != XEN_DOM0)
        dom0_leave_domain();
    state->netback = NULL;
}

/* A machine that is up goes on: another one may take its place. */
static void program_ended(void *context, int status)
{
    const struct operator_state *state = context;
    const char *command = state->options.run.backend.command;
    char text[32];

    if (!state->is_up)
        fail("scenario", "the backend '%s' has ended before the guest was up: %s", command,
             beside_status(status, text));
    log_line(LOG_ERROR, "operator", "the backend '%s' has ended: %s", command, beside_status(status, text));
}

/* The store's socket for programs of the driver domain. */
static void open_store(const struct operator_state *state)
{
    unsigned domid = state->options.run.backend.domid;
    char name[DOM0_STORE_NAME_MAX];
    char path[RUN_DIR_PATH_MAX];

    if (domid != XEN_DOM0 && !store_listen(run_dir_path(&state->dir, dom0_store_name(domid, name), path), domid))
        fail("scenario", "%s cannot be opened: %s", path, strerror(errno));
}

void operator_start_backend(struct operator_state *state)
{
    const struct backend_choice *backend = &state->options.run.backend;

    open_store(state);
    if (backend->kind == BACKEND_STUB)
        (void)task_create("netback", netback_main, state);
    else if (backend->kind == BACKEND_EXEC)
        (void)beside_start(&state->dir, backend->domid, backend->command, program_ended, state);
}

/* ---- for the verbs ---- */

int operator_timeout(const struct operator_state *state, int libxl_ms)
{
    return state->options.timeout_ms != 0 ? (int)state->options.timeout_ms : libxl_ms;
}

void operator_note_vcpus(struct operator_state *state, unsigned count)
{
    state->domain.vcpus = count;
}

struct console_task *operator_consoles(const struct operator_state *state)
{
    return state->consoles;
}

void operator_wait_standing(unsigned domid)
{
    while (xen_domain_exists(domid) && !xen_domain_stands(domid))
        (void)task_park(clock_now() + STAND_POLL_NS, "the guest's vCPUs");
}

int operator_restore(struct operator_state *state, struct toolstack *toolstack, bool paused, unsigned *without)
{
    struct toolstack_domain *domain = &state->domain;
    unsigned old = domain->domid;
    int domid = xen_domain_restore(old);

    if (domid < 0)
        return domid;
    domain->domid = (unsigned)domid;
    domain->target_kib = toolstack_memory_target(toolstack, old);
    guest_domain_read_ports(domain);
    if (!toolstack_domain_restore(toolstack, old, domain, operator_timeout(state, TOOLSTACK_ATTACH_TIMEOUT_MS),
                                  without))
        return -EIO;
    xen_domain_destroy(old);
    if (!paused)
        (void)xen_domain_unpause(domain->domid);
    return domid;
}

/* ---- the domain ---- */

/* An interface that waits for its backend; its strings are its own. */
struct waiting {
    struct operator_state *state;
    struct toolstack_vif vif;
};

static void for_strings(struct toolstack_vif *vif, void (*function)(const char **string))
{
    const char **string[] = {&vif->bridge, &vif->script,     &vif->ip,     &vif->ifname,
                             &vif->rate,   &vif->gatewaydev, &vif->trusted};

    for (size_t index = 0; index < sizeof(string) / sizeof(string[0]); index++)
        function(string[index]);
}

static void keep_string(const char **string)
{
    if (*string != NULL)
        *string = strdup(*string);
}

static void drop_string(const char **string)
{
    free((void *)(uintptr_t)*string);
}

/* Without a backend so far: whenever one comes. Nothing comes of it when the domain goes before. */
static void attach_main(void *argument)
{
    struct waiting *waiting = argument;
    struct toolstack *toolstack = toolstack_open(&operator_logger);

    if (toolstack == NULL || (!toolstack_network_attach(toolstack, &waiting->vif, TOOLSTACK_NO_TIMEOUT) &&
                              xen_domain_exists(waiting->vif.domid)))
        fail("scenario", "VIF %u was not attached", waiting->vif.handle);
    toolstack_close(toolstack);
    waiting->state->waiting--;
    for_strings(&waiting->vif, drop_string);
    free(waiting);
}

bool operator_attach(struct operator_state *state, struct toolstack *toolstack, const struct toolstack_vif *vif)
{
    struct waiting *waiting;

    if (state->options.run.backend.kind != BACKEND_NONE)
        return toolstack_network_attach(toolstack, vif, operator_timeout(state, TOOLSTACK_ATTACH_TIMEOUT_MS));
    waiting = malloc(sizeof(*waiting));
    waiting->state = state;
    waiting->vif = *vif;
    for_strings(&waiting->vif, keep_string);
    state->waiting++;
    (void)task_create("attach", attach_main, waiting);
    return true;
}

static bool attach(struct operator_state *state, unsigned index)
{
    const struct vif_spec *spec = state->options.vif;
    struct toolstack_vif vif = spec != NULL ? spec[index].vif : guest_domain_vif(0, index);

    vif.domid = state->domain.domid;
    vif.backend_domid = state->options.run.backend.domid;
    return operator_attach(state, state->toolstack, &vif);
}

static bool create_domain(struct operator_state *state)
{
    const struct create_options *options = &state->options;
    const struct guest_domain_spec spec = {.name = options->name,
                                           .uuid = options->uuid,
                                           .target_kib = options->target_kib,
                                           .max_vcpus = options->max_vcpus};

    return guest_domain_create(state->toolstack, &state->domain, &spec);
}

static void make_domain(struct operator_state *state)
{
    struct create_options *options = &state->options;
    bool good = guest_domain_create_driver(state->toolstack, options->run.backend.domid) && create_domain(state);

    if (good)
        operator_start_backend(state);
    for (unsigned index = 0; good && index < options->run.vifs; index++)
        good = attach(state, index);
    if (!good)
        fail("scenario", "%s", toolstack_error(state->toolstack));
    options->vif = NULL;
}

/* ---- its guest ---- */

/* Unless it ends before that: then somebody else looks after what comes next. */
static void boot_main(void *argument)
{
    struct operator_state *state = argument;
    char note[NOTE_MAX];
    bool missing;

    if (!guest_boot() || !guest_wait_quiet())
        return;
    if (state->options.agent)
        guest_agent_start();
    state->boots_in_vain = 0;
    log_line(LOG_INFO, "operator", "the guest of domain %u is up", state->domain.domid);
    missing = state->options.run.backend.kind == BACKEND_STUB && operator_vifs_missing(state, note, sizeof(note));
    if (missing)
        log_line(LOG_WARNING, "operator", "%s", note);
    if (!state->is_up)
        state->up(state->context, missing ? note : NULL);
    state->is_up = true;
}

/* That is all there is to wait for: it begins when its user has it unpaused. */
static void leave_paused(struct operator_state *state)
{
    (void)xen_domain_pause(state->domain.domid);
    state->up(state->context, NULL);
    state->is_up = true;
}

static void start_guest(struct operator_state *state)
{
    state->boots_in_vain++;
    (void)task_create("boot", boot_main, state);
}

/* As libxl: it stands still, its devices and nodes go, then the domain does. */
static void destroy_domain(struct operator_state *state)
{
    unsigned domid = state->domain.domid;

    (void)xen_domain_pause(domid); /* those of its vCPUs that did not ask for the end, too */
    operator_wait_standing(domid);
    if (!toolstack_domain_destroy(state->toolstack, domid))
        log_line(LOG_ERROR, "operator", "%s", toolstack_error(state->toolstack));
    xen_domain_destroy(domid);
}

_Noreturn static void end(struct operator_state *state, int status)
{
    control_wait(state->control);
    operator_stop(state, status);
}

/* A new domain of the same name with the interfaces of the one that was; false: toolstack_error(). */
static bool make_domain_again(struct operator_state *state, const struct toolstack_vifs *vifs)
{
    const struct toolstack_vif *item;
    bool good = create_domain(state);

    for (unsigned index = 0; good && (item = toolstack_vifs_item(vifs, index)) != NULL; index++) {
        struct toolstack_vif vif = *item;

        vif.domid = state->domain.domid;
        good = operator_attach(state, state->toolstack, &vif);
    }
    return good;
}

/* As xl: the domain is destroyed and created again, with the interfaces and vCPUs that it was given last. When that
 * cannot be there is none left. */
static void restart(struct operator_state *state)
{
    struct toolstack_vifs *vifs = toolstack_vifs_read(state->toolstack, state->domain.domid);
    unsigned old = state->domain.domid;
    bool good;

    destroy_domain(state);
    machine->config.start_vcpus = state->domain.vcpus < machine->config.vcpus ? state->domain.vcpus : 0;
    machine_reset_guest();
    good = vifs != NULL && make_domain_again(state, vifs);
    if (vifs != NULL)
        toolstack_vifs_free(vifs);
    if (!good) {
        log_line(LOG_ERROR, "operator", "domain %u is not started again: %s", old, toolstack_error(state->toolstack));
        if (state->domain.domid != old)
            destroy_domain(state);
        end(state, EXIT_FAILED);
    }
    log_line(LOG_INFO, "operator", "domain %u is started again as domain %u", old, state->domain.domid);
    start_guest(state);
}

/* xl would begin again and again what ends before it is up. */
static bool may_restart(const struct operator_state *state)
{
    if (state->boots_in_vain < BOOTS_IN_VAIN)
        return true;
    log_line(LOG_ERROR, "operator", "the guest has ended %u times in a row before it was up: it is not started again",
             state->boots_in_vain);
    return false;
}

/* Whether a domain that is destroyed has ended as it should is for the machine's status. */
static void domain_ended(struct operator_state *state, int reason)
{
    bool again = (state->options.restarted >> reason & 1) != 0;

    log_line(LOG_WARNING, "operator", "domain %u has shut down, reason code %d: %s", state->domain.domid, reason,
             again ? "destroyed and started again" : "destroyed");
    if (again && may_restart(state)) {
        restart(state);
        return;
    }
    destroy_domain(state);
    end(state, reason == SHUTDOWN_poweroff ? EXIT_PASSED : EXIT_FAILED);
}

/* on_poweroff = "preserve" and its like: it stays for its user to look at, and destroy. */
static void domain_preserved(struct operator_state *state, int reason)
{
    log_line(LOG_WARNING, "operator", "domain %u has shut down, reason code %d: preserved", state->domain.domid,
             reason);
    state->preserved = true;
}

static void watch_domain(struct operator_state *state, struct xs_handle *xs)
{
    struct pollfd fd = {.fd = xs_fileno(xs), .events = POLLIN};

    for (;;) {
        int reason = xen_domain_shutdown_reason(state->domain.domid);
        char **event;

        if (reason >= 0 && reason != SHUTDOWN_suspend && !state->preserved) {
            if ((state->options.preserved >> reason & 1) != 0)
                domain_preserved(state, reason);
            else
                domain_ended(state, reason);
        }
        if (backend_wait(&fd, 1, -1) < 0)
            fail("scenario", "the operator cannot wait for the store");
        while ((event = xs_check_watch(xs)) != NULL)
            free(event);
    }
}

static void operator_main(void *argument)
{
    struct operator_state *state = argument;
    struct xs_handle *xs;

    if (state->options.store != STORE_BUILTIN)
        outer_store_open(&state->dir, state->options.store_command);
    xs = xs_open(0);
    state->toolstack = toolstack_open(&operator_logger);
    if (xs == NULL || state->toolstack == NULL || !xs_watch(xs, "@releaseDomain", "operator"))
        fail("scenario", "the operator could not connect to the store");
    if (state->options.console)
        state->consoles = console_task_start(&operator_logger);
    make_domain(state);
    if (state->options.paused)
        leave_paused(state);
    start_guest(state);
    watch_domain(state, xs);
}

/* What is needed for as long as the machine is up becomes a part of it. */
static void keep_options(struct operator_state *state, const struct create_options *options)
{
    char uuid[GUEST_DOMAIN_UUID_MAX];

    state->options = *options;
    if (options->uuid == NULL) {
        guest_domain_make_uuid(options->name, state->dir.path, uuid);
        state->options.uuid = uuid;
    }
    keep_string(&state->options.name);
    keep_string(&state->options.uuid);
    keep_string(&state->options.store_command);
    keep_string(&state->options.run.backend.command);
    state->options.file = NULL;
}

struct operator_state *operator_start(const struct create_options *options, const struct run_dir *dir,
                                      struct control *control, void (*up)(void *context, const char *note),
                                      void *context)
{
    struct operator_state *state = calloc(1, sizeof(*state)); /* of the machine's heap (dom0/heap.h) */

    state->dir = *dir;
    keep_options(state, options);
    state->control = control;
    state->up = up;
    state->context = context;
    state->status = EXIT_FAILED;
    control_set_operator(control, state);
    (void)task_create("operator", operator_main, state);
    return state;
}

_Noreturn void operator_stop(struct operator_state *state, int status)
{
    state->status = status;
    machine_stop();
}

int operator_status(const struct operator_state *state)
{
    return state->status;
}
