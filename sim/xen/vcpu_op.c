/* VCPU_OP: vcpu_info and time areas, run states, Xen's timers, up and down (public/vcpu.h). */
#include <string.h>

#include "xen/hypervisor.h"

#define NS_PER_MS UINT64_C(1000000)
#define TIME_MAX ((uint64_t)INT64_MAX) /* Xen's time is signed */

/* ---- run states ---- */

static void write_runstate(struct xen_vcpu *vcpu)
{
    struct vcpu_runstate_info area = vcpu->runstate;
    struct vcpu_runstate_info *at = (struct vcpu_runstate_info *)(uintptr_t)vcpu->runstate_area;

    if (vcpu->runstate_area == 0)
        return;
    if ((vcpu->domain->vm_assist & 1u << VMASST_TYPE_runstate_update_flag) != 0) {
        uint64_t updating = area.state_entry_time | XEN_RUNSTATE_UPDATE;

        if (!guest_copy_out(&at->state_entry_time, &updating, sizeof(updating)))
            return;
        area.state_entry_time = updating;
        __asm__ volatile("" : : : "memory");           /* stores of this processor are seen in order */
        (void)guest_copy_out(at, &area, sizeof(area)); /* as Xen: an area gone bad is passed over */
        __asm__ volatile("" : : : "memory");           /* stores of this processor are seen in order */
        (void)guest_copy_out(&at->state_entry_time, &vcpu->runstate.state_entry_time, sizeof(uint64_t));
        return;
    }
    (void)guest_copy_out(at, &area, sizeof(area));
}

void xen_runstate_count(struct xen_vcpu *vcpu, int state)
{
    uint64_t now = clock_now();

    vcpu->runstate.time[vcpu->runstate.state] += now - vcpu->runstate.state_entry_time;
    vcpu->runstate.state = state;
    vcpu->runstate.state_entry_time = now;
}

void xen_runstate_set(struct xen_vcpu *vcpu, int state)
{
    xen_runstate_count(vcpu, state);
    if (state == RUNSTATE_running) { /* the guest looks at its own area only while it runs */
        write_runstate(vcpu);
        xen_time_update(vcpu, true);
    }
}

void xen_vcpu_start(unsigned index)
{
    struct domain *guest = xen_state()->guest;

    if (guest == NULL || index >= guest->vcpus)
        return;
    guest->vcpu[index].initialised = true;
    guest->vcpu[index].down = false;
    xen_runstate_set(&guest->vcpu[index], vcpu_has_work(index) ? RUNSTATE_running : RUNSTATE_blocked);
}

void xen_vcpu_halted(unsigned index, bool halted)
{
    struct domain *guest = xen_state() != NULL ? xen_state()->guest : NULL;

    if (guest != NULL && index < guest->vcpus && !guest->vcpu[index].down)
        xen_runstate_set(&guest->vcpu[index], halted ? RUNSTATE_blocked : RUNSTATE_running);
}

static int64_t get_runstate(const struct xen_vcpu *vcpu, uint64_t arg)
{
    struct vcpu_runstate_info info = vcpu->runstate;

    info.time[info.state] += clock_now() - info.state_entry_time;
    return xen_copy_out(arg, &info, sizeof(info)) ? 0 : -XEN_EFAULT;
}

static int64_t register_runstate_area(struct xen_vcpu *vcpu, uint64_t arg)
{
    struct vcpu_register_runstate_memory_area op;
    struct vcpu_runstate_info probe;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (!xen_copy_in(&probe, op.addr.p, sizeof(probe)))
        return -XEN_EFAULT;
    vcpu->runstate_area = op.addr.p;
    write_runstate(vcpu);
    return 0;
}

static int64_t register_time_area(struct xen_vcpu *vcpu, uint64_t arg)
{
    struct vcpu_register_time_memory_area op;
    struct vcpu_time_info probe;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (!xen_copy_in(&probe, op.addr.p, sizeof(probe)))
        return -XEN_EFAULT;
    vcpu->time_area = op.addr.p;
    xen_time_update(vcpu, true);
    return 0;
}

static int64_t register_info(struct xen_vcpu *vcpu, uint64_t arg)
{
    struct vcpu_register_vcpu_info op;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    return shared_info_place(vcpu, op.mfn, op.offset);
}

/* ---- timers: they raise VIRQ_TIMER ---- */

static void singleshot_expires(void *argument)
{
    struct xen_vcpu *vcpu = argument;

    evtchn_raise_virq(vcpu, VIRQ_TIMER);
}

static void period_expires(void *argument)
{
    struct xen_vcpu *vcpu = argument;

    deadline_set(&vcpu->periodic, vcpu->periodic.when + vcpu->period, period_expires, vcpu);
    evtchn_raise_virq(vcpu, VIRQ_TIMER);
}

void xen_vcpu_stop_timers(struct xen_vcpu *vcpu)
{
    (void)deadline_cancel(&vcpu->periodic); /* set or not */
    (void)deadline_cancel(&vcpu->singleshot);
}

static int64_t set_periodic(struct xen_vcpu *vcpu, uint64_t arg)
{
    struct vcpu_set_periodic_timer op;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.period_ns < NS_PER_MS || op.period_ns > TIME_MAX)
        return -XEN_EINVAL;
    (void)deadline_cancel(&vcpu->periodic);
    vcpu->period = op.period_ns;
    deadline_set(&vcpu->periodic, clock_now() + op.period_ns, period_expires, vcpu);
    return 0;
}

int xen_vcpu_set_singleshot(struct xen_vcpu *vcpu, uint64_t when, uint32_t flags)
{
    uint64_t now = clock_now();

    if (when > TIME_MAX)
        return -XEN_EINVAL;
    if ((flags & VCPU_SSHOTTMR_future) != 0 && when < now)
        return -XEN_ETIME;
    (void)deadline_cancel(&vcpu->singleshot);
    if (when <= now)
        evtchn_raise_virq(vcpu, VIRQ_TIMER);
    else
        deadline_set(&vcpu->singleshot, when, singleshot_expires, vcpu);
    return 0;
}

static int64_t set_singleshot(struct xen_vcpu *vcpu, uint64_t arg)
{
    struct vcpu_set_singleshot_timer op;

    if (vcpu != domain_current_vcpu(vcpu->domain))
        return -XEN_EINVAL;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    return xen_vcpu_set_singleshot(vcpu, op.timeout_abs_ns, op.flags);
}

void xen_vcpu_reset(struct xen_vcpu *vcpu)
{
    xen_vcpu_stop_timers(vcpu);
    vcpu->upcall_vector = 0;
    vcpu->time_area = 0;
    vcpu->runstate_area = 0;
    memset(vcpu->runstate.time, 0, sizeof(vcpu->runstate.time));
    xen_runstate_set(vcpu, vcpu->runstate.state);
}

/* ---- up and down ---- */

static bool others_are_down(const struct xen_vcpu *vcpu)
{
    for (unsigned i = 0; i < vcpu->domain->vcpus; i++)
        if (i != vcpu->index && !vcpu->domain->vcpu[i].down)
            return false;
    return true;
}

/* A domain whose last vCPU goes down has turned itself off. */
static int64_t down(struct xen_vcpu *vcpu, const struct xen_vcpu *current)
{
    if (vcpu->down)
        return 0;
    if (others_are_down(vcpu)) {
        domain_shutdown(vcpu->domain, SHUTDOWN_poweroff);
    } else {
        if (vcpu != current || vcpu_current_index() < 0)
            return hypercall_missing(__HYPERVISOR_vcpu_op, VCPUOP_down, "taking down a vCPU but the caller's own");
        vcpu->down = true;
    }
    domain_wait_while_stopped(vcpu->domain);
    return 0;
}

static int64_t up(struct xen_vcpu *vcpu)
{
    if (!vcpu->initialised)
        return -XEN_EINVAL;
    vcpu->down = false;
    if (vcpu->stopped)
        vcpu_resume(vcpu->index);
    return 0;
}

static int64_t send_nmi(const struct xen_vcpu *vcpu)
{
    vcpu_raise_nmi(vcpu->index);
    return 0;
}

int64_t xen_vcpu_op(struct xen_vcpu *current, uint64_t cmd, uint32_t index, uint64_t arg)
{
    struct xen_vcpu *vcpu = domain_vcpu(current->domain, index);

    if (vcpu == NULL)
        return -XEN_ENOENT;
    switch ((int)cmd) {
    case VCPUOP_initialise:
        if (vcpu->initialised) /* the board's start-up has done that */
            return -XEN_EEXIST;
        return hypercall_missing(__HYPERVISOR_vcpu_op, cmd, "starting a vCPU otherwise than by the board");
    case VCPUOP_up:
        return up(vcpu);
    case VCPUOP_is_up:
        return !vcpu->down;
    case VCPUOP_down:
        return down(vcpu, current);
    case VCPUOP_get_runstate_info:
        return get_runstate(vcpu, arg);
    case VCPUOP_register_runstate_memory_area:
        return register_runstate_area(vcpu, arg);
    case VCPUOP_set_periodic_timer:
        return set_periodic(vcpu, arg);
    case VCPUOP_stop_periodic_timer:
        (void)deadline_cancel(&vcpu->periodic);
        return 0;
    case VCPUOP_set_singleshot_timer:
        return set_singleshot(vcpu, arg);
    case VCPUOP_stop_singleshot_timer:
        if (vcpu != current)
            return -XEN_EINVAL;
        (void)deadline_cancel(&vcpu->singleshot);
        return 0;
    case VCPUOP_register_vcpu_info:
        return register_info(vcpu, arg);
    case VCPUOP_register_vcpu_time_memory_area:
        return register_time_area(vcpu, arg);
    case VCPUOP_send_nmi:
        return arg != 0 ? -XEN_EINVAL : send_nmi(vcpu);
    case VCPUOP_get_physid:
        return -XEN_EINVAL; /* of vCPUs of the hardware domain that are pinned */
    default:
        return -XEN_ENOSYS;
    }
}
