/*
 * Hypercalls: the table, dispatch, multicalls, counts, and the classic hypercall page (public/xen.h,
 * public/arch-x86/xen-x86_64.h).
 */
#include <string.h>

#include "machine/fail.h"
#include "machine/kernel_lock.h"
#include "xen/hypervisor.h"
#include "xen/platform.h"
#include "xen/profile.h"

#define STUB_BYTES 32u
#define PREEMPT_EVERY 32u /* items of a list between two switch points */

/* The gate behind the hypercall page's stubs; hypercall_entry.S. Not callable from C. */
void xen_hypercall_entry(void);

/* ---- what the table points to ---- */

static int64_t call_memory_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return memory_op(vcpu->domain, arg[0], arg[1]);
}

static int64_t call_set_timer_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    if (arg[0] == 0) {
        (void)deadline_cancel(&vcpu->singleshot); /* set or not */
        return 0;
    }
    /* A time beyond Xen's signed range is "now": a guest that lost count of time gets its tick. */
    return xen_vcpu_set_singleshot(vcpu, arg[0] > (uint64_t)INT64_MAX ? 0 : arg[0], 0);
}

static int64_t call_xen_version(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return version_op(vcpu->domain, arg[0], arg[1]);
}

static int64_t call_grant_table_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return grant_table_op(vcpu->domain, arg[0], arg[1], arg[2]);
}

static int64_t call_vm_assist(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    uint64_t bit = UINT64_C(1) << VMASST_TYPE_runstate_update_flag;

    if ((uint32_t)arg[1] != VMASST_TYPE_runstate_update_flag) /* the others are of PV guests */
        return -XEN_EINVAL;
    switch ((uint32_t)arg[0]) {
    case VMASST_CMD_enable:
        vcpu->domain->vm_assist |= bit;
        return 0;
    case VMASST_CMD_disable:
        vcpu->domain->vm_assist &= ~bit;
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

static int64_t call_vcpu_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return xen_vcpu_op(vcpu, arg[0], (uint32_t)arg[1], arg[2]);
}

static int64_t call_sched_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return xen_sched_op(vcpu, arg[0], arg[1]);
}

static int64_t call_event_channel_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return evtchn_op(vcpu->domain, arg[0], arg[1]);
}

static int64_t call_hvm_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return hvm_op(vcpu->domain, arg[0], arg[1]);
}

static int64_t call_domctl(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return domctl_op(vcpu->domain, arg[0]);
}

static int64_t call_sysctl(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    return sysctl_op(vcpu->domain, arg[0]);
}

/* Page tables of PV domains: their own, and there are none. */
static int64_t call_mmuext_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    const struct domain *domain;

    if ((domid_t)arg[3] == DOMID_SELF)
        return -XEN_EINVAL;
    if ((domid_t)arg[3] == DOMID_IO || (domid_t)arg[3] == DOMID_XEN)
        return -XEN_EPERM;
    domain = domain_find((domid_t)arg[3]);
    if (domain == NULL || domain == vcpu->domain) /* one does not name oneself so */
        return -XEN_ESRCH;
    return domain_may_control(vcpu->domain, domain) ? -XEN_EINVAL : -XEN_EPERM;
}

static int64_t call_hypfs_op(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    if (!xen_profile()->hypfs)
        return -XEN_ENOSYS;
    return vcpu->domain->privileged ? hypercall_missing(__HYPERVISOR_hypfs_op, arg[0], "this operation") : -XEN_EPERM;
}

static int64_t call_multicall(struct xen_vcpu *vcpu, const uint64_t arg[5]);

struct hypercall {
    const char *name;
    int64_t (*call)(struct xen_vcpu *vcpu, const uint64_t arg[5]);
    int refusal;      /* without a call: what Xen answers an unprivileged HVM guest */
    bool has_sub_op;  /* in the first argument */
    bool kernel_only; /* what a domain's kernel does with its own vCPUs: missing here for domains of the host's */
};

#define REFUSED(op, error) [__HYPERVISOR_##op] = {.name = #op, .refusal = -(error)}
#define PV_ONLY(op) REFUSED(op, XEN_ENOSYS)

static const struct hypercall table[HYPERCALL_OPS] = {
    PV_ONLY(set_trap_table),
    PV_ONLY(mmu_update),
    PV_ONLY(set_gdt),
    PV_ONLY(stack_switch),
    PV_ONLY(set_callbacks),
    PV_ONLY(fpu_taskswitch),
    PV_ONLY(sched_op_compat),
    REFUSED(platform_op, XEN_EPERM),
    PV_ONLY(set_debugreg),
    PV_ONLY(get_debugreg),
    PV_ONLY(update_descriptor),
    [__HYPERVISOR_memory_op] = {.name = "memory_op", .call = call_memory_op, .has_sub_op = true},
    [__HYPERVISOR_multicall] = {.name = "multicall", .call = call_multicall},
    PV_ONLY(update_va_mapping),
    [__HYPERVISOR_set_timer_op] = {.name = "set_timer_op", .call = call_set_timer_op, .kernel_only = true},
    PV_ONLY(event_channel_op_compat),
    [__HYPERVISOR_xen_version] = {.name = "xen_version", .call = call_xen_version, .has_sub_op = true},
    /* The console is for privileged domains; others may write to it under a hypervisor built for debugging only. */
    REFUSED(console_io, XEN_EPERM),
    PV_ONLY(physdev_op_compat),
    [__HYPERVISOR_grant_table_op] = {.name = "grant_table_op", .call = call_grant_table_op, .has_sub_op = true},
    [__HYPERVISOR_vm_assist] = {.name = "vm_assist", .call = call_vm_assist, .has_sub_op = true, .kernel_only = true},
    PV_ONLY(update_va_mapping_otherdomain),
    PV_ONLY(iret),
    [__HYPERVISOR_vcpu_op] = {.name = "vcpu_op", .call = call_vcpu_op, .has_sub_op = true, .kernel_only = true},
    PV_ONLY(set_segment_base),
    [__HYPERVISOR_mmuext_op] = {.name = "mmuext_op", .call = call_mmuext_op},
    REFUSED(xsm_op, XEN_ENOSYS), /* no security module is loaded */
    PV_ONLY(nmi_op),
    [__HYPERVISOR_sched_op] = {.name = "sched_op", .call = call_sched_op, .has_sub_op = true},
    PV_ONLY(callback_op),
    PV_ONLY(xenoprof_op),
    [__HYPERVISOR_event_channel_op] = {.name = "event_channel_op", .call = call_event_channel_op, .has_sub_op = true},
    /* Physical interrupts reach only domains with emulated PIRQs or devices of their own; this one has neither. */
    REFUSED(physdev_op, XEN_ENOSYS),
    [__HYPERVISOR_hvm_op] = {.name = "hvm_op", .call = call_hvm_op, .has_sub_op = true},
    [__HYPERVISOR_sysctl] = {.name = "sysctl", .call = call_sysctl},
    [__HYPERVISOR_domctl] = {.name = "domctl", .call = call_domctl},
    REFUSED(kexec_op, XEN_ENOSYS),
    REFUSED(tmem_op, XEN_ENOSYS),
    REFUSED(argo_op, XEN_EOPNOTSUPP), /* not enabled on the hypervisor's command line */
    REFUSED(xenpmu_op, XEN_EOPNOTSUPP),
    REFUSED(dm_op, XEN_EPERM),
    [__HYPERVISOR_hypfs_op] = {.name = "hypfs_op", .call = call_hypfs_op, .has_sub_op = true},
    REFUSED(arch_1, XEN_EPERM),
};

/* ---- dispatch ---- */

int64_t hypercall_missing(unsigned op, uint64_t sub, const char *what)
{
    uint64_t bit = UINT64_C(1) << (sub < 64 ? sub : 63);
    uint64_t *warned = &xen_state()->warned[op < HYPERCALL_OPS ? op : 0];
    enum log_level level = (*warned & bit) != 0 ? LOG_DEBUG : LOG_WARNING;

    *warned |= bit;
    log_line(level, "xen", "hypercall %u (%s), sub-operation %llu: %s is not implemented; the caller gets -ENOSYS", op,
             op < HYPERCALL_OPS && table[op].name != NULL ? table[op].name : "no name", (unsigned long long)sub, what);
    return -XEN_ENOSYS;
}

void hypercall_preempt(uint64_t done)
{
    if (!xen_host_calls() && done != 0 && done % PREEMPT_EVERY == 0)
        sched_point(POINT_HYPERCALL);
}

/* Frame numbers do not belong in the event log. */
static int64_t loggable(unsigned op, uint64_t sub, int64_t result)
{
    bool frame = op == __HYPERVISOR_memory_op && (sub == XENMEM_maximum_gpfn || sub == XENMEM_maximum_ram_page);

    return frame && result > 0 ? 0 : result;
}

static int64_t call(struct xen_vcpu *vcpu, unsigned op, uint64_t sub, const uint64_t arg[5])
{
    const struct hypercall *entry = &table[op];
    bool guest = vcpu->domain->guest;
    int64_t result;

    if (guest)
        xen_state()->hypercalls[op]++;
    if (guest && hypercall_fault(op, arg, &result))
        return result; /* as the plan of faults has it */
    if (!guest && entry->kernel_only)
        return hypercall_missing(op, sub, "this operation, for a domain whose code is the host's,");
    if (entry->call != NULL)
        return entry->call(vcpu, arg);
    /* What only privilege gives is missing for who has that. */
    if (entry->refusal == -XEN_EPERM && vcpu->domain->privileged)
        return hypercall_missing(op, sub, "this operation");
    return entry->refusal;
}

int64_t hypercall_dispatch(struct xen_vcpu *vcpu, unsigned op, const uint64_t arg[5])
{
    uint64_t sub = 0;
    int64_t result;

    if (op >= HYPERCALL_OPS || table[op].name == NULL) {
        result = -XEN_ENOSYS; /* Xen has none of this number either */
    } else {
        sub = table[op].has_sub_op ? (uint32_t)arg[0] : 0;
        result = call(vcpu, op, sub, arg);
    }
    eventlog_add(EVENT_HYPERCALL, op, sub, (uint64_t)loggable(op, sub, result));
    return result;
}

static int64_t call_multicall(struct xen_vcpu *vcpu, const uint64_t arg[5])
{
    uint32_t calls = (uint32_t)arg[1];

    for (uint32_t i = 0; i < calls; i++) {
        uint64_t at = arg[0] + (uint64_t)i * sizeof(struct multicall_entry);
        struct multicall_entry entry;
        uint64_t args[5];

        if (i != 0 && !xen_host_calls()) {
            sched_point(POINT_HYPERCALL);
            vcpu = domain_current_vcpu(vcpu->domain); /* the thread may have moved */
        }
        if (!xen_copy_in(&entry, at, sizeof(entry)))
            return -XEN_EFAULT;
        for (unsigned j = 0; j < 5; j++)
            args[j] = entry.args[j];
        if ((uint32_t)entry.op == __HYPERVISOR_multicall)
            entry.result = (xen_ulong_t)-XEN_EINVAL; /* no multicall in a multicall */
        else
            entry.result = (xen_ulong_t)hypercall_dispatch(vcpu, (uint32_t)entry.op, args);
        if (!xen_copy_out(at + offsetof(struct multicall_entry, result), &entry.result, sizeof(entry.result)))
            return -XEN_EFAULT;
    }
    return 0;
}

int64_t xen_hypercall(uint64_t operation, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    const uint64_t arg[5] = {a1, a2, a3, a4, a5};
    struct xen_vcpu *vcpu;

    KERNEL_SCOPE();

    sched_point(POINT_HYPERCALL);
    domain_wait_while_stopped(domain_current());
    vcpu = domain_current_vcpu(domain_current()); /* now: the thread may have moved */
    xen_time_update(vcpu, false);
    return hypercall_dispatch(vcpu, (uint32_t)operation, arg);
}

uint64_t xen_hypercall_count(unsigned op)
{
    return op < HYPERCALL_OPS ? xen_state()->hypercalls[op] : 0;
}

/* ---- the hypercall page ---- */

/* mov $op, %eax; jmp *0(%rip); the gate's address. No register but rax changes on the way. */
static void write_stub(uint8_t *stub, uint32_t op)
{
    static const uint8_t jump[] = {0xFF, 0x25, 0, 0, 0, 0};
    void (*gate)(void) = xen_hypercall_entry;

    stub[0] = 0xB8;
    memcpy(stub + 1, &op, sizeof(op));
    memcpy(stub + 5, jump, sizeof(jump));
    memcpy(stub + 5 + sizeof(jump), &gate, sizeof(gate));
}

bool hypercall_page_install(uint64_t gfn)
{
    struct domain *domain = domain_current();
    uint32_t backing = physmap_own_page(domain, gfn);
    uint8_t *page;

    if (backing == BACKING_NONE) {
        log_line(LOG_INFO, "xen", "hypercall page: nothing of the guest's own lies at the frame");
        return false;
    }
    page = backing_page(backing);
    memset(page, 0xCC, GUEST_PAGE_SIZE); /* int3 */
    for (uint32_t op = 0; op < GUEST_PAGE_SIZE / STUB_BYTES; op++) {
        uint8_t *stub = page + op * STUB_BYTES;

        if (op == __HYPERVISOR_iret) { /* not for HVM guests: ud2 */
            stub[0] = 0x0F;
            stub[1] = 0x0B;
        } else {
            write_stub(stub, op);
        }
    }
    if (guest_ram_virtual_page(gfn) != UINT32_MAX)
        guest_ram_make_executable(gfn);
    else
        log_line(LOG_WARNING, "xen",
                 "the hypercall page is at a frame outside RAM, which the guest cannot execute here");
    return true;
}
