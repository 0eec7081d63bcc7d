/* SCHED_OP: yielding, blocking, polling, shutting down, the domain's watchdogs (public/sched.h). */
#include "xen/hypervisor.h"

#define POLL_PORTS_MAX 128u

/*
 * A vCPU in SCHEDOP_poll comes back on any interrupt of its own, which every guest tolerates: the call is only a hint
 * to wait. The machine's own interrupts do not reach Xen, so the guest's clock tick stands for them all.
 */
#define POLL_TICK_NS UINT64_C(15625000)

/* ---- poll ---- */

void xen_poll_wake(struct xen_vcpu *vcpu, uint32_t port)
{
    bool awaited = port == 0;

    if (!vcpu->polling)
        return;
    for (unsigned i = 0; i < vcpu->poll_count && !awaited; i++)
        awaited = vcpu->poll_ports[i] == port;
    if (!awaited)
        return;
    vcpu->polling = false;
    vcpu_resume(vcpu->index);
}

static void poll_ends(void *argument)
{
    xen_poll_wake(argument, 0);
}

static int64_t poll(struct xen_vcpu *vcpu, uint64_t arg)
{
    struct sched_poll op;
    evtchn_port_t ports[POLL_PORTS_MAX] = {0};
    uint64_t end = clock_now() + POLL_TICK_NS;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.nr_ports > POLL_PORTS_MAX)
        return -XEN_EINVAL;
    if (!xen_copy_in(ports, (uint64_t)(uintptr_t)op.ports.p, op.nr_ports * sizeof(ports[0])))
        return -XEN_EFAULT;
    for (unsigned i = 0; i < op.nr_ports; i++) {
        if (evtchn_find(vcpu->domain, ports[i]) == NULL)
            return -XEN_EINVAL;
        if (evtchn_is_pending(vcpu->domain, ports[i]))
            return 0;
    }
    if (vcpu_current_index() < 0) /* the host's stack cannot be stopped */
        return 0;
    if (op.timeout != 0 && op.timeout < end)
        end = op.timeout;
    if (end <= clock_now())
        return 0;

    vcpu->polling = true;
    vcpu->poll_ports = ports;
    vcpu->poll_count = op.nr_ports;
    xen_runstate_set(vcpu, RUNSTATE_blocked);
    deadline_set(&vcpu->poll_end, end, poll_ends, vcpu);
    while (vcpu->polling)
        vcpu_suspend_current();
    (void)deadline_cancel(&vcpu->poll_end); /* not set any more if it is what ended the wait */
    vcpu->poll_ports = NULL;
    vcpu->poll_count = 0;
    xen_runstate_set(vcpu, RUNSTATE_running);
    return 0;
}

static int64_t block(struct xen_vcpu *vcpu)
{
    if (vcpu_current_index() < 0)
        return 0;
    xen_runstate_set(vcpu, RUNSTATE_blocked);
    (void)vcpu_wait_interrupt(CLOCK_NEVER); /* there is no deadline to pass */
    xen_runstate_set(vcpu, RUNSTATE_running);
    return 0;
}

/* ---- shutdown ---- */

static int64_t shutdown(struct domain *domain, uint64_t arg)
{
    struct sched_shutdown op;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    domain_shutdown(domain, (uint8_t)op.reason);
    domain_wait_while_stopped(domain);
    return domain->resume_result;
}

void xen_guest_ends(bool reboot)
{
    struct domain *domain = domain_current();

    domain_shutdown(domain, reboot ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
    domain_wait_while_stopped(domain);
}

static int64_t shutdown_code(struct domain *domain, uint64_t arg)
{
    struct sched_shutdown op;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (domain->shutdown_code == XEN_SHUTDOWN_NONE)
        domain->shutdown_code = (uint8_t)op.reason;
    return 0;
}

static int64_t remote_shutdown(struct domain *caller, uint64_t arg)
{
    struct sched_remote_shutdown op;
    struct domain *domain;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    domain = domain_find(op.domain_id);
    if (domain == NULL)
        return -XEN_ESRCH;
    if (!caller->privileged || domain == caller) { /* nor for a device model's domain: a guest is nobody's */
        log_line(LOG_INFO, "xen", "domain %u may not shut down domain %u", caller->domid, op.domain_id);
        return -XEN_EPERM;
    }
    if (!domain->guest)
        return hypercall_missing(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, "shutting down a driver domain");
    domain_shutdown(domain, (uint8_t)op.reason);
    return 0;
}

/* ---- watchdogs ---- */

static void watchdog_expires(void *argument)
{
    struct watchdog *watchdog = argument;

    log_line(LOG_WARNING, "xen", "watchdog %u of domain %u expired",
             (unsigned)(watchdog - watchdog->domain->watchdog) + 1, watchdog->domain->domid);
    domain_shutdown(watchdog->domain, SHUTDOWN_watchdog);
}

static void watchdog_arm(struct domain *domain, struct watchdog *watchdog, uint32_t seconds)
{
    watchdog->domain = domain;
    (void)deadline_cancel(&watchdog->deadline);
    deadline_set(&watchdog->deadline, clock_now() + seconds * UINT64_C(1000000000), watchdog_expires, watchdog);
}

void xen_watchdogs_stop(struct domain *domain)
{
    for (unsigned i = 0; i < WATCHDOG_TIMERS; i++) {
        (void)deadline_cancel(&domain->watchdog[i].deadline);
        domain->watchdog[i].in_use = false;
    }
}

static int64_t watchdog(struct domain *domain, uint64_t arg)
{
    struct sched_watchdog op;
    struct watchdog *chosen;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.id > WATCHDOG_TIMERS)
        return -XEN_EINVAL;
    if (op.id == 0) {
        if (op.timeout == 0)
            return -XEN_EINVAL;
        for (unsigned i = 0; i < WATCHDOG_TIMERS; i++) {
            if (domain->watchdog[i].in_use)
                continue;
            domain->watchdog[i].in_use = true;
            watchdog_arm(domain, &domain->watchdog[i], op.timeout);
            return i + 1;
        }
        return -XEN_ENOSPC;
    }
    chosen = &domain->watchdog[op.id - 1];
    if (!chosen->in_use)
        return -XEN_EINVAL;
    if (op.timeout == 0) {
        (void)deadline_cancel(&chosen->deadline);
        chosen->in_use = false;
    } else {
        watchdog_arm(domain, chosen, op.timeout);
    }
    return 0;
}

int64_t xen_sched_op(struct xen_vcpu *vcpu, uint64_t cmd, uint64_t arg)
{
    struct domain *domain = vcpu->domain;

    switch ((int)cmd) {
    case SCHEDOP_yield:
        if (domain->guest)
            sched_point(POINT_PAUSE);
        return 0;
    case SCHEDOP_remote_shutdown:
        return remote_shutdown(domain, arg);
    default:
        break;
    }
    if (!domain->guest)
        return hypercall_missing(__HYPERVISOR_sched_op, cmd, "this operation, for a domain whose code is the host's,");
    switch ((int)cmd) {
    case SCHEDOP_block:
        return block(vcpu);
    case SCHEDOP_shutdown:
        return shutdown(domain, arg);
    case SCHEDOP_poll:
        return poll(vcpu, arg);
    case SCHEDOP_shutdown_code:
        return shutdown_code(domain, arg);
    case SCHEDOP_watchdog:
        return watchdog(domain, arg);
    case SCHEDOP_pin_override:
        return -XEN_EPERM; /* the hardware domain's */
    default:
        return -XEN_ENOSYS;
    }
}
