/*
 * A guest's life: paused and unpaused by its toolstack, shut down, resumed where it was, and restored as another
 * domain.
 */
#include "machine/log.h"
#include "machine/vcpu.h"
#include "xen/hypervisor.h"

/* ---- standing still ---- */

/* One that waits for an interrupt, or stays in Xen, is in the same state held or not. */
static void count_hold(struct xen_vcpu *vcpu, bool hold)
{
    if (vcpu->stopped || vcpu->runstate.state != (hold ? RUNSTATE_running : RUNSTATE_offline))
        return;
    if (!hold && vcpu_stands(vcpu->index))
        xen_runstate_set(vcpu, RUNSTATE_running);
    else
        xen_runstate_count(vcpu, hold ? RUNSTATE_offline : RUNSTATE_running);
}

/*
 * While the domain is paused or shut down each vCPU stands still wherever it is. The one that calls to shut it down is
 * not held, but stays in Xen (domain_wait_while_stopped()).
 */
static void hold_or_let_go(struct domain *domain)
{
    bool hold = domain->pauses != 0 || domain->shutting_down || domain->asleep;

    for (unsigned i = 0; domain->guest && i < domain->vcpus; i++) {
        struct xen_vcpu *vcpu = &domain->vcpu[i];

        if (vcpu->held == hold || (hold && vcpu_current_index() == (int)i))
            continue;
        count_hold(vcpu, hold);
        vcpu->held = hold;
        if (hold)
            vcpu_hold(i);
        else
            vcpu_let_go(i);
    }
}

/* ---- pausing ---- */

static void pause_domain(struct domain *domain)
{
    domain->pauses++;
    hold_or_let_go(domain);
}

#define PAUSES_MAX 255u /* of a toolstack, as Xen has it */

/* The guest of this number, or what it has left behind, or why there is none. */
static int find_guest(unsigned domid, struct domain **domain)
{
    *domain = domain_find(domid);
    if (*domain == NULL)
        return -XEN_ESRCH;
    return (*domain)->guest || (*domain)->left ? 0 : -XEN_EINVAL;
}

int xen_domain_pause(unsigned domid)
{
    struct domain *domain;
    int error = find_guest(domid, &domain);

    if (error == 0 && domain->pauses == PAUSES_MAX)
        error = -XEN_EOVERFLOW;
    if (error == 0)
        pause_domain(domain);
    return error;
}

int xen_domain_unpause(unsigned domid)
{
    struct domain *domain;
    int error = find_guest(domid, &domain);

    if (error != 0)
        return error;
    if (domain->pauses == 0)
        return -XEN_EINVAL;
    domain->pauses--;
    hold_or_let_go(domain);
    return 0;
}

bool xen_domain_stands(unsigned domid)
{
    const struct domain *domain = domain_find(domid);

    if (domain == NULL || !(domain->guest || domain->left))
        return false;
    for (unsigned i = 0; domain->guest && i < domain->vcpus; i++)
        if (!(domain->vcpu[i].held ? vcpu_stands(i) : domain->vcpu[i].stopped))
            return false;
    return true;
}

/* ---- shutdown and resume ---- */

void domain_shutdown(struct domain *domain, uint8_t reason)
{
    if (domain->shutdown_code == XEN_SHUTDOWN_NONE)
        domain->shutdown_code = reason;
    if (domain->shutting_down)
        return;
    domain->shutting_down = true;
    hold_or_let_go(domain);
    log_line(LOG_INFO, "xen", "domain %u shuts down with reason %d", domain->domid, domain->shutdown_code);
    domain_tell_dom0();
}

int xen_domain_shutdown(unsigned domid, uint8_t reason)
{
    struct domain *domain;
    int error = find_guest(domid, &domain);

    if (error == 0)
        domain_shutdown(domain, reason);
    return error;
}

static bool must_stop(const struct xen_vcpu *vcpu)
{
    return vcpu->domain->shutting_down || vcpu->domain->asleep || vcpu->down;
}

void domain_wait_while_stopped(struct domain *domain)
{
    struct xen_vcpu *vcpu;

    if (vcpu_current_index() < 0)
        return;
    vcpu = domain_current_vcpu(domain);
    if (!must_stop(vcpu))
        return;
    xen_runstate_set(vcpu, RUNSTATE_offline);
    vcpu->stopped = true;
    while (must_stop(vcpu))
        vcpu_suspend_current();
    vcpu->stopped = false;
    xen_runstate_set(vcpu, RUNSTATE_running);
}

int xen_domain_shutdown_reason(unsigned domid)
{
    const struct domain *domain = domain_find(domid);

    return domain != NULL && domain->shutting_down ? domain->shutdown_code : XEN_SHUTDOWN_NONE;
}

/* The suspended guest of this number, or why there is none. */
static int find_suspended(unsigned domid, struct domain **domain)
{
    *domain = domain_find(domid);
    if (*domain == NULL)
        return -XEN_ESRCH;
    if (!(*domain)->guest || !(*domain)->shutting_down || (*domain)->shutdown_code != SHUTDOWN_suspend)
        return -XEN_EINVAL;
    return 0;
}

static void resume_vcpus(struct domain *domain)
{
    for (unsigned i = 0; i < domain->vcpus; i++)
        if (domain->vcpu[i].stopped)
            vcpu_resume(i);
    hold_or_let_go(domain);
}

static void go_on(struct domain *domain, int64_t result)
{
    domain->resume_result = result;
    domain->shutdown_code = XEN_SHUTDOWN_NONE;
    domain->shutting_down = false;
    resume_vcpus(domain);
}

int xen_domain_resume(unsigned domid, bool cancelled)
{
    struct domain *domain;
    int error = find_suspended(domid, &domain);

    if (error == 0)
        go_on(domain, cancelled ? 1 : 0);
    return error;
}

/* ---- sleep ---- */

void xen_guest_sleeps(void)
{
    struct domain *domain = domain_current();

    domain->asleep = true;
    hold_or_let_go(domain);
    log_line(LOG_INFO, "xen", "domain %u sleeps", domain->domid);
    domain_wait_while_stopped(domain);
}

int xen_domain_wake(unsigned domid)
{
    struct domain *domain;
    int error = find_guest(domid, &domain);

    if (error != 0)
        return error;
    if (domain->asleep) {
        domain->asleep = false;
        resume_vcpus(domain);
    }
    return 0;
}

int xen_domain_send_nmi(unsigned domid, unsigned vcpu)
{
    struct domain *domain;
    int error = find_guest(domid, &domain);

    if (error != 0)
        return error;
    if (!domain->guest || vcpu >= domain->vcpus || domain->shutting_down)
        return -XEN_EINVAL;
    vcpu_raise_nmi(domain->vcpu[vcpu].index);
    return 0;
}

/* ---- restoration ---- */

/* The guest's memory goes on; everything that Xen kept for it is gone. */
static void leave_hypervisor(struct domain *domain)
{
    evtchn_set_callback(domain, 0);
    domain->param[HVM_PARAM_CALLBACK_IRQ] = 0;
    evtchn_close_all(domain);
    grant_reset(domain);
    for (unsigned i = 0; i < domain->vcpus; i++)
        xen_vcpu_reset(&domain->vcpu[i]);
    xen_watchdogs_stop(domain);
    domain->vm_assist = 0;
    domain->incarnation++;
    shared_info_destroy(domain);
    shared_info_create(domain);
    xen_platform_new_model();
}

int xen_domain_restore(unsigned domid)
{
    struct domain *domain;
    int error = find_suspended(domid, &domain);

    if (error != 0)
        return error;
    leave_hypervisor(domain);
    domain_take_new_number(domain);
    log_line(LOG_INFO, "xen", "the guest of domain %u goes on as domain %u", domid, domain->domid);
    pause_domain(domain);
    go_on(domain, 0);
    return domain->domid;
}

int xen_domain_wake_from_disk(unsigned domid)
{
    struct domain *domain = domain_find(domid);
    int old;

    if (domain == NULL)
        return -XEN_ESRCH;
    if (!domain->guest || !domain->shutting_down || domain->shutdown_code != SHUTDOWN_poweroff)
        return -XEN_EINVAL;
    old = domain->domid;
    leave_hypervisor(domain);
    vcpu_clear_interrupts();
    domain_rebuild_memory(domain);
    domain_take_new_number(domain);
    log_line(LOG_INFO, "xen", "domain %d has the memory that the guest of domain %d wrote to disk", domain->domid, old);
    pause_domain(domain);
    go_on(domain, 0);
    return domain->domid;
}
