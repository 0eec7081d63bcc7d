/* The operator when the machine is saved, and on the host where it goes on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control.h"
#include "cli/guest_domain.h"
#include "cli/operator_internal.h"
#include "cli/vif_spec.h"
#include "cli/xlcfg.h"
#include "dom0/heap.h"
#include "machine/clock.h"
#include "machine/fail.h"
#include "machine/log.h"
#include "machine/peer.h"
#include "machine/sched.h"
#include "machine/snapshot.h"
#include "netback.h"
#include "xen/abi.h"
#include "xen/xen.h"

#include <xen/sched.h>

#define SETTLE_POLL_NS UINT64_C(1000000)
#define ALONE_NS UINT64_C(1000000000)

bool operator_waits(const struct operator_state *state)
{
    return state->waiting != 0;
}

const char *operator_save_refused(const struct operator_state *state)
{
    const char *refused = snapshot_refused();

    if (refused != NULL)
        return refused;
    if (state->options.store != STORE_BUILTIN)
        return "a machine whose store is a program beside it cannot be saved: what that holds would stay behind";
    if (operator_waits(state))
        return "an interface still waits for its backend; save the machine when one has come";
    if (control_calls(state->control) > 1)
        return "another command is at work on this machine; save it when that is done";
    return NULL;
}

struct operator_errand *operator_errand(struct operator_state *state)
{
    return &state->errand;
}

const char *operator_error(const struct operator_state *state)
{
    return state->errand.text;
}

static void drop_config(struct operator_state *state)
{
    free(state->config_name);
    free(state->config);
    state->config_name = NULL;
    state->config = NULL;
}

/* False: operator_error(). */
static bool set_config(struct operator_state *state, const char *path)
{
    size_t length;

    drop_config(state);
    if (path == NULL)
        return true;
    state->config = malloc(XLCFG_MAX + 1);
    if (!xlcfg_load(path, state->config, &length, state->errand.text, sizeof(state->errand.text))) {
        drop_config(state);
        return false;
    }
    state->config_name = strdup(path);
    return true;
}

bool operator_config(const struct operator_state *state, const char **name, const char **text)
{
    *name = state->config_name;
    *text = state->config;
    return state->config != NULL;
}

static bool run_errand(struct operator_state *state, enum operator_errand_kind kind, const char *path)
{
    struct operator_errand *errand = &state->errand;

    errand->kind = kind;
    errand->machine = state;
    errand->good = false;
    errand->text[0] = '\0';
    snprintf(errand->path, sizeof(errand->path), "%s", path);
    machine_pause();
    errand->kind = OPERATOR_ERRAND_NONE;
    return errand->good;
}

/* ---- on the new host ---- */

static void wait_until_settled(void)
{
    while (!peers_settled())
        (void)task_park(clock_now() + SETTLE_POLL_NS, "the end of connections");
}

/* The old host's. */
static void end_netback(struct operator_state *state)
{
    if (state->netback == NULL)
        return;
    state->netback_ends = true;
    netback_stop(state->netback);
    while (state->netback != NULL)
        (void)task_park(clock_now() + SETTLE_POLL_NS, "netback to end");
    state->netback_ends = false;
}

static bool attach_all(struct operator_state *state, struct toolstack *toolstack, const struct toolstack_vifs *vifs)
{
    const struct toolstack_vif *old;

    for (unsigned index = 0; (old = toolstack_vifs_item(vifs, index)) != NULL; index++) {
        struct toolstack_vif vif = *old;

        vif.domid = state->domain.domid;
        if (!operator_attach(state, toolstack, &vif))
            return false;
    }
    return true;
}

static bool attach_configured(struct operator_state *state, struct toolstack *toolstack)
{
    for (unsigned index = 0; index < state->options.run.vifs; index++) {
        struct toolstack_vif vif = state->options.vif[index].vif;

        vif.domid = state->domain.domid;
        vif.backend_domid = state->options.run.backend.domid;
        if (!operator_attach(state, toolstack, &vif))
            return false;
    }
    return true;
}

/* The store of a host that has just started, with the guest's domain in it. */
static bool make_domain(struct operator_state *state, struct toolstack *toolstack)
{
    unsigned old = state->domain.domid;
    struct toolstack_vifs *vifs = toolstack_vifs_read(toolstack, old);
    int domid = xen_domain_restore(old);
    bool good;

    if (domid < 0)
        fail("scenario", "the guest was not restored: %s", strerror(-domid));
    state->domain.domid = (unsigned)domid;
    if (!state->configured)
        state->domain.target_kib = toolstack_memory_target(toolstack, old);
    guest_domain_read_ports(&state->domain);
    good = vifs != NULL && toolstack_domain_destroy(toolstack, old) && toolstack_host_started(toolstack) &&
           guest_domain_name_driver(toolstack, state->options.run.backend.domid);
    xen_domain_destroy(old);
    if (good)
        operator_start_backend(state);
    good = good && toolstack_domain_create(toolstack, &state->domain) &&
           (state->configured ? attach_configured(state, toolstack) : attach_all(state, toolstack, vifs));
    if (vifs != NULL)
        toolstack_vifs_free(vifs);
    return good;
}

static void arrive(struct operator_state *state, struct toolstack *toolstack)
{
    wait_until_settled();
    end_netback(state);
    if (!make_domain(state, toolstack))
        fail("scenario", "%s", toolstack_error(toolstack));
    if (state->asks_to_start && !run_errand(state, OPERATOR_ERRAND_START, ""))
        fail("scenario", "%s", state->errand.text);
    if (!state->stays_paused)
        (void)xen_domain_unpause(state->domain.domid);
    state->options.vif = NULL;
    state->configured = false;
    drop_config(state);
    log_line(LOG_INFO, "operator", "the guest goes on as domain %u of this host", state->domain.domid);
    state->up(state->context, NULL);
}

void operator_on_new_host(struct operator_state *state, const struct run_dir *dir, bool paused, bool asks,
                          void (*up)(void *context, const char *note), void *context)
{
    state->dir = *dir;
    state->up = up;
    state->context = context;
    state->arrived = true;
    state->stays_paused = paused;
    state->asks_to_start = asks;
}

void operator_use_options(struct operator_state *state, const struct create_options *options)
{
    state->options.preserved = options->preserved;
    state->options.restarted = options->restarted;
    state->options.run.vifs = options->run.vifs;
    state->options.vif = options->vif;
    state->domain.name = strdup(options->name);
    state->options.name = state->domain.name;
    if (options->uuid != NULL)
        state->domain.uuid = strdup(options->uuid);
    state->domain.target_kib = options->target_kib;
    state->configured = true;
}

struct control *operator_control(const struct operator_state *state)
{
    return state->control;
}

const struct create_options *operator_options(const struct operator_state *state)
{
    return &state->options;
}

/* ---- on the old one ---- */

void operator_wait_alone(const struct operator_state *state)
{
    uint64_t deadline = clock_now() + ALONE_NS;

    wait_until_settled();
    while (control_calls(state->control) > 1 && clock_now() < deadline) {
        (void)task_park(clock_now() + SETTLE_POLL_NS, "other verbs under way");
        wait_until_settled();
    }
}

/* While the machine settled, others may have been about it. NULL: the guest is as it was then. */
static const char *guest_went_on(unsigned domid)
{
    if (!xen_domain_exists(domid))
        return "it is gone";
    if (xen_domain_shutdown_reason(domid) != SHUTDOWN_suspend || !xen_domain_stands(domid))
        return "it was resumed meanwhile";
    return NULL;
}

enum operator_outcome operator_move(struct operator_state *state, struct toolstack *toolstack,
                                    const struct operator_journey *journey)
{
    const char *refused;
    bool good;

    operator_wait_alone(state);
    refused = operator_save_refused(state);
    if (refused == NULL)
        refused = guest_went_on(state->domain.domid);
    if (refused != NULL) {
        snprintf(state->errand.text, sizeof(state->errand.text), "%s", refused);
        return OPERATOR_STAYED;
    }
    if (!set_config(state, journey->config))
        return OPERATOR_STAYED;
    state->arrived = false;
    state->errand.paused = journey->paused;
    good = run_errand(state, journey->kind, journey->path);
    if (!state->arrived) {
        drop_config(state);
        return good ? OPERATOR_MOVED : OPERATOR_STAYED;
    }
    arrive(state, toolstack);
    return OPERATOR_ARRIVED;
}
