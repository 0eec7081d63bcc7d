/*
 * What a toolstack asks of the hypervisor (public/domctl.h, public/sysctl.h), as far as programs of dom0 beside the
 * machine do: information on domains and on the host, and a domain's memory limit. Domains are created, stopped and
 * destroyed by the machine's own toolstack.
 */
#include "xen/hypervisor.h"

#include <stddef.h>
#include <string.h>

#include <xen/domctl.h>
#include <xen/sysctl.h>

#include "xen/platform.h"

#define KIB_PER_PAGE (GUEST_PAGE_SIZE / 1024u)

/* ---- vCPUs ---- */

/* Waits for an interrupt, or would if it were not held; not what is kept inside Xen. */
static bool vcpu_is_blocked(const struct xen_vcpu *vcpu)
{
    return vcpu->domain->guest && !vcpu->stopped && !vcpu_has_work(vcpu->index);
}

/* Domain 0's is the time of its tasks. What programs of a driver domain do takes none of the machine's time. */
static uint64_t vcpu_time(const struct xen_vcpu *vcpu)
{
    uint64_t time = vcpu->runstate.time[RUNSTATE_running];

    if (vcpu->domain->privileged)
        return sched_task_time();
    if (vcpu->domain->guest && vcpu->runstate.state == RUNSTATE_running)
        time += clock_now() - vcpu->runstate.state_entry_time;
    return time;
}

/* ---- domains ---- */

static uint8_t address_bits(void)
{
    uint8_t bits = GUEST_PAGE_SHIFT;

    for (uint64_t frames = GUEST_GFN_LIMIT; frames > 1; frames >>= 1)
        bits++;
    return bits;
}

static uint32_t domain_flags(const struct domain *domain)
{
    uint32_t flags = domain->guest || domain->left ? XEN_DOMINF_hvm_guest | XEN_DOMINF_hap : 0;
    bool blocked = !domain->left;

    for (unsigned index = 0; index < domain->vcpus; index++)
        blocked = blocked && (domain->vcpu[index].down || vcpu_is_blocked(&domain->vcpu[index]));
    if (blocked)
        flags |= XEN_DOMINF_blocked;
    else if (domain->pauses == 0 && !domain->shutting_down && !domain->asleep)
        flags |= XEN_DOMINF_running;
    if (domain->dying)
        flags |= XEN_DOMINF_dying;
    if (domain->pauses != 0)
        flags |= XEN_DOMINF_paused;
    if (domain->shutting_down)
        flags |= XEN_DOMINF_shutdown | (uint32_t)domain->shutdown_code << XEN_DOMINF_shutdownshift;
    return flags;
}

static void describe_domain(const struct domain *domain, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->domain = domain->domid;
    info->flags = domain_flags(domain);
    info->tot_pages = domain->tot_pages;
    info->max_pages = domain->max_pages;
    info->shared_info_frame = domain->shared_gfn;
    for (unsigned index = 0; index < domain->vcpus; index++) {
        info->cpu_time += vcpu_time(&domain->vcpu[index]);
        info->nr_online_vcpus += !domain->vcpu[index].down;
    }
    info->max_vcpu_id = domain->vcpus - 1;
    memcpy(info->handle, domain->handle, sizeof(info->handle));
    info->gpaddr_bits = address_bits();
    if (domain->guest) /* as libxl asks for an HVM domain */
        info->arch_config.emulation_flags = XEN_X86_EMU_ALL & ~(XEN_X86_EMU_USE_PIRQ | XEN_X86_EMU_VPCI);
}

/* The first domain with this number or a higher one. */
static const struct domain *domain_from(unsigned domid)
{
    const struct domain *domain = xen_state()->domains;

    while (domain != NULL && domain->domid < domid)
        domain = domain->next;
    return domain;
}

/* ---- domctl ---- */

static int64_t get_domain_info(struct xen_domctl *op)
{
    const struct domain *domain = domain_from(op->domain);

    if (op->domain >= DOMID_FIRST_RESERVED)
        return -XEN_EINVAL;
    if (domain == NULL)
        return -XEN_ESRCH;
    describe_domain(domain, &op->u.getdomaininfo);
    op->domain = domain->domid;
    return 0;
}

static int64_t get_vcpu_info(const struct domain *domain, struct xen_domctl_getvcpuinfo *info)
{
    const struct xen_vcpu *vcpu;

    if (info->vcpu >= domain->vcpus)
        return -XEN_ESRCH;
    vcpu = &domain->vcpu[info->vcpu];
    info->online = !vcpu->down;
    info->blocked = vcpu_is_blocked(vcpu);
    info->running = !info->blocked && domain->pauses == 0 && !domain->shutting_down;
    info->cpu_time = vcpu_time(vcpu);
    info->cpu = info->vcpu; /* each has a processor of its own */
    return 0;
}

/* As Xen, it may be less than the domain has: then it gets no more. */
static int64_t set_max_mem(struct domain *domain, const struct xen_domctl_max_mem *limit)
{
    domain->max_pages = limit->max_memkb / KIB_PER_PAGE;
    return 0;
}

int64_t domctl_op(struct domain *caller, uint64_t arg)
{
    struct xen_domctl op;
    struct domain *domain;
    int64_t result;

    if (!caller->privileged)
        return -XEN_EPERM;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return -XEN_EACCES;
    if (op.cmd == XEN_DOMCTL_getdomaininfo) {
        result = get_domain_info(&op);
        return result == 0 && !xen_copy_out(arg, &op, sizeof(op)) ? -XEN_EFAULT : result;
    }
    domain = domain_find(op.domain);
    if (domain == NULL)
        return -XEN_ESRCH;
    switch (op.cmd) {
    case XEN_DOMCTL_getvcpuinfo:
        result = get_vcpu_info(domain, &op.u.getvcpuinfo);
        return result == 0 && !xen_copy_out(arg, &op, sizeof(op)) ? -XEN_EFAULT : result;
    case XEN_DOMCTL_max_mem:
        return set_max_mem(domain, &op.u.max_mem);
    default:
        return hypercall_missing(__HYPERVISOR_domctl, op.cmd, "this operation on a domain");
    }
}

/* ---- sysctl ---- */

/* The host has the machine's memory, RAM and what lies behind it, and a processor for each of its vCPUs. */
static void describe_host(struct xen_sysctl_physinfo *info)
{
    memset(info, 0, sizeof(*info));
    info->threads_per_core = 1;
    info->cores_per_socket = machine->config.vcpus;
    info->nr_cpus = machine->config.vcpus;
    info->max_cpu_id = machine->config.vcpus - 1;
    info->nr_nodes = 1;
    info->cpu_khz = XEN_TSC_KHZ;
    info->capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap | XEN_SYSCTL_PHYSCAP_gnttab_v1;
    info->total_pages = guest_ram_pages();
    info->free_pages = info->total_pages;
    for (const struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        info->free_pages -= domain->tot_pages < info->free_pages ? domain->tot_pages : info->free_pages;
    info->max_mfn = info->total_pages - 1;
}

static int64_t list_domains(struct xen_sysctl_getdomaininfolist *list)
{
    const struct domain *domain = domain_from(list->first_domain);
    uint64_t at = (uintptr_t)list->buffer.p;

    list->num_domains = 0;
    for (; domain != NULL && list->num_domains < list->max_domains; domain = domain->next) {
        struct xen_domctl_getdomaininfo info;

        describe_domain(domain, &info);
        if (!xen_copy_out(at + list->num_domains * sizeof(info), &info, sizeof(info)))
            return -XEN_EFAULT;
        list->num_domains++;
    }
    return 0;
}

int64_t sysctl_op(struct domain *caller, uint64_t arg)
{
    struct xen_sysctl op;
    int64_t result = 0;

    if (!caller->privileged)
        return -XEN_EPERM;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -XEN_EACCES;
    switch (op.cmd) {
    case XEN_SYSCTL_physinfo:
        describe_host(&op.u.physinfo);
        break;
    case XEN_SYSCTL_sched_id:
        op.u.sched_id.sched_id = XEN_SCHEDULER_CREDIT2;
        break;
    case XEN_SYSCTL_getdomaininfolist:
        result = list_domains(&op.u.getdomaininfolist);
        break;
    case XEN_SYSCTL_debug_keys:
        result = debug_keys_op(&op.u.debug_keys);
        break;
    default:
        return hypercall_missing(__HYPERVISOR_sysctl, op.cmd, "this operation on the host");
    }
    return result == 0 && !xen_copy_out(arg, &op, sizeof(op)) ? -XEN_EFAULT : result;
}
