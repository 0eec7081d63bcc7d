/* HVM_OP: parameters with their permissions, upcall vectors, and the rest (public/hvm/hvm_op.h, public/hvm/params.h).
 */
#include "xen/hypervisor.h"

#define TSS32_SIZE 104u /* the least that HVM_PARAM_VM86_TSS_SIZED may have */

/* ---- parameters ---- */

static bool guest_may_get(uint32_t index)
{
    switch (index) {
    case HVM_PARAM_CALLBACK_IRQ:
    case HVM_PARAM_VM86_TSS:
    case HVM_PARAM_VM86_TSS_SIZED:
    case HVM_PARAM_ACPI_IOPORTS_LOCATION:
    case HVM_PARAM_VM_GENERATION_ID_ADDR:
    case HVM_PARAM_STORE_PFN:
    case HVM_PARAM_STORE_EVTCHN:
    case HVM_PARAM_CONSOLE_PFN:
    case HVM_PARAM_CONSOLE_EVTCHN:
    case HVM_PARAM_ALTP2M:
    case HVM_PARAM_X87_FIP_WIDTH:
        return true;
    default:
        return false;
    }
}

static bool guest_may_set(uint32_t index)
{
    switch (index) {
    case HVM_PARAM_CALLBACK_IRQ:
    case HVM_PARAM_VM86_TSS:
    case HVM_PARAM_VM86_TSS_SIZED:
    case HVM_PARAM_ACPI_IOPORTS_LOCATION:
    case HVM_PARAM_VM_GENERATION_ID_ADDR:
    case HVM_PARAM_STORE_EVTCHN:
    case HVM_PARAM_CONSOLE_EVTCHN:
    case HVM_PARAM_X87_FIP_WIDTH:
        return true;
    default:
        return false;
    }
}

static bool is_deprecated(uint32_t index)
{
    switch (index) {
    case HVM_PARAM_PAE_ENABLED:
    case HVM_PARAM_DM_DOMAIN:
    case HVM_PARAM_MEMORY_EVENT_CR0:
    case HVM_PARAM_MEMORY_EVENT_CR3:
    case HVM_PARAM_MEMORY_EVENT_CR4:
    case HVM_PARAM_MEMORY_EVENT_INT3:
    case HVM_PARAM_NESTEDHVM:
    case HVM_PARAM_MEMORY_EVENT_SINGLE_STEP:
    case HVM_PARAM_BUFIOREQ_EVTCHN:
    case HVM_PARAM_MEMORY_EVENT_MSR:
        return true;
    default:
        return false;
    }
}

/* Once the toolstack has given these a value, they keep it. */
static bool is_write_once(uint32_t index)
{
    switch (index) {
    case HVM_PARAM_VIRIDIAN:
    case HVM_PARAM_IOREQ_SERVER_PFN:
    case HVM_PARAM_NR_IOREQ_SERVER_PAGES:
    case HVM_PARAM_ALTP2M:
    case HVM_PARAM_MCA_CAP:
        return true;
    default:
        return false;
    }
}

static int set_param(struct domain *domain, uint32_t index, uint64_t value)
{
    if (is_write_once(index) && domain->param[index] != 0 && domain->param[index] != value)
        return -XEN_EEXIST;
    switch (index) {
    case HVM_PARAM_VM86_TSS:
        if (value > UINT32_MAX)
            return -XEN_EINVAL;
        break;
    case HVM_PARAM_VM86_TSS_SIZED:
        if (value >> 32 < TSS32_SIZE)
            return -XEN_EINVAL;
        break;
    case HVM_PARAM_ACPI_IOPORTS_LOCATION:
        if (value > 1)
            return -XEN_EINVAL;
        break;
    case HVM_PARAM_X87_FIP_WIDTH:
        if (value != 0 && value != 4 && value != 8)
            return -XEN_EINVAL;
        break;
    default:
        break;
    }
    domain->param[index] = value;
    if (index == HVM_PARAM_CALLBACK_IRQ)
        evtchn_set_callback(domain, value);
    return 0;
}

int xen_hvm_param_get(unsigned domid, uint32_t index, uint64_t *value)
{
    const struct domain *domain = domain_find(domid);

    if (domain == NULL)
        return -XEN_ESRCH;
    if (!domain->guest || index >= HVM_NR_PARAMS)
        return -XEN_EINVAL;
    *value = domain->param[index];
    return 0;
}

/* The domain of a parameter: an HVM domain under the caller's control. 0 or an error. */
static int64_t find_hvm(struct domain *caller, domid_t domid, struct domain **domain)
{
    *domain = domain_find_any(caller, domid);
    if (*domain == NULL)
        return -XEN_ESRCH;
    if (!(*domain)->guest)
        return -XEN_EINVAL;
    return domain_may_control(caller, *domain) ? 0 : -XEN_EPERM;
}

/* The parameter that a guest's call is about, and the domain whose it is. 0 or an error. */
static int64_t take_param_call(struct domain *caller, uint64_t arg, struct xen_hvm_param *op, struct domain **domain)
{
    int64_t result;

    if (!xen_copy_in(op, arg, sizeof(*op)))
        return -XEN_EFAULT;
    if (op->index >= HVM_NR_PARAMS)
        return -XEN_EINVAL;
    result = find_hvm(caller, op->domid, domain);
    if (result != 0)
        return result;
    return is_deprecated(op->index) ? -XEN_EINVAL : 0;
}

static int64_t op_get_param(struct domain *caller, uint64_t arg)
{
    struct xen_hvm_param op;
    struct domain *domain;
    int64_t result = take_param_call(caller, arg, &op, &domain);

    if (result != 0)
        return result;
    if (!caller->privileged && !guest_may_get(op.index))
        return -XEN_EPERM;
    op.value = domain->param[op.index];
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_set_param(struct domain *caller, uint64_t arg)
{
    struct xen_hvm_param op;
    struct domain *domain;
    int64_t result = take_param_call(caller, arg, &op, &domain);

    if (result != 0)
        return result;
    if (!caller->privileged && !guest_may_set(op.index))
        return -XEN_EPERM;
    return set_param(domain, op.index, op.value);
}

/* ---- the rest ---- */

static int64_t op_set_upcall_vector(struct domain *domain, uint64_t arg)
{
    struct xen_hvm_evtchn_upcall_vector op;
    struct xen_vcpu *vcpu;

    if (!domain->guest) /* not an HVM domain */
        return -XEN_EINVAL;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    vcpu = domain_vcpu(domain, op.vcpu);
    if (vcpu == NULL)
        return -XEN_ENOENT;
    if (op.vector < XEN_UPCALL_VECTOR_MIN)
        return -XEN_EINVAL;
    vcpu->upcall_vector = op.vector;
    evtchn_inject(vcpu); /* whether or not something is pending */
    return 0;
}

static int64_t op_get_time(uint64_t arg)
{
    struct xen_hvm_get_time op = {.now = clock_now()};

    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_xentrace(uint64_t arg)
{
    struct xen_hvm_xentrace op;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.extra_bytes > sizeof(op.extra))
        return -XEN_EINVAL;
    log_line(LOG_TRACE, "xen", "guest trace event %#x with %u bytes", op.event, op.extra_bytes);
    return 0;
}

static int64_t op_get_mem_type(struct domain *caller, uint64_t arg)
{
    struct xen_hvm_get_mem_type op;
    struct domain *domain;
    int64_t result;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    result = domain_find_controlled(caller, op.domid, &domain);
    if (result != 0)
        return result;
    if (!domain->guest)
        return -XEN_EINVAL;
    op.mem_type = p2m_lookup(op.pfn) != BACKING_NONE ? HVMMEM_ram_rw : HVMMEM_mmio_dm;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_pagetable_dying(struct domain *caller, uint64_t arg)
{
    struct xen_hvm_pagetable_dying op;
    const struct domain *domain;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    domain = domain_find_any(caller, op.domid);
    if (domain == NULL)
        return -XEN_ESRCH;
    /* A hint for shadow paging of one's own domain, which has hardware-assisted paging. */
    return domain == caller ? -XEN_EINVAL : -XEN_EOPNOTSUPP;
}

int64_t hvm_op(struct domain *domain, uint64_t op, uint64_t arg)
{
    switch (op) {
    case HVMOP_set_param:
        return op_set_param(domain, arg);
    case HVMOP_get_param:
        return op_get_param(domain, arg);
    case HVMOP_flush_tlbs:
        return arg != 0 ? -XEN_EINVAL : 0; /* mappings change at once everywhere: nothing is stale */
    case HVMOP_pagetable_dying:
        return op_pagetable_dying(domain, arg);
    case HVMOP_get_time:
        return op_get_time(arg);
    case HVMOP_xentrace:
        return op_xentrace(arg);
    case HVMOP_get_mem_type:
        return op_get_mem_type(domain, arg);
    case HVMOP_set_evtchn_upcall_vector:
        return machine->config.host.no_vectors ? -XEN_ENOSYS : op_set_upcall_vector(domain, arg);
    case HVMOP_guest_request_vm_event:
        return arg != 0 ? -XEN_EINVAL : 0; /* no monitor listens */
    case HVMOP_altp2m:
        return -XEN_EOPNOTSUPP;
    default:
        return -XEN_ENOSYS;
    }
}
