/*
 * What Xen refuses an HVM guest, operation by operation and sub-operation by sub-operation, with Xen's error. The
 * argument is zeros in the guest's memory unless a row says otherwise.
 */
#include "xen/xen_guest.h"

#include <xen/physdev.h>

struct refusal {
    unsigned operation;
    unsigned sub;
    int error;
};

#define ALL(operation, error)                                                                                          \
    {                                                                                                                  \
        __HYPERVISOR_##operation, 0, XEN_##error                                                                       \
    }
#define SUB(operation, sub, error)                                                                                     \
    {                                                                                                                  \
        __HYPERVISOR_##operation, sub, XEN_##error                                                                     \
    }

static const struct refusal refusals[] = {
    /* PV guests' */
    ALL(set_trap_table, ENOSYS),
    ALL(mmu_update, ENOSYS),
    ALL(set_gdt, ENOSYS),
    ALL(stack_switch, ENOSYS),
    ALL(set_callbacks, ENOSYS),
    ALL(fpu_taskswitch, ENOSYS),
    ALL(sched_op_compat, ENOSYS),
    ALL(set_debugreg, ENOSYS),
    ALL(get_debugreg, ENOSYS),
    ALL(update_descriptor, ENOSYS),
    ALL(update_va_mapping, ENOSYS),
    ALL(event_channel_op_compat, ENOSYS),
    ALL(physdev_op_compat, ENOSYS),
    ALL(update_va_mapping_otherdomain, ENOSYS),
    ALL(iret, ENOSYS),
    ALL(set_segment_base, ENOSYS),
    ALL(nmi_op, ENOSYS),
    ALL(callback_op, ENOSYS),
    ALL(xenoprof_op, ENOSYS),
    /* privileged domains' */
    ALL(platform_op, EPERM),
    ALL(console_io, EPERM),
    ALL(sysctl, EPERM),
    ALL(domctl, EPERM),
    ALL(dm_op, EPERM),
    ALL(hypfs_op, EPERM),
    /* not on this hypervisor */
    ALL(xsm_op, ENOSYS),
    ALL(kexec_op, ENOSYS),
    ALL(tmem_op, ENOSYS),
    ALL(argo_op, EOPNOTSUPP),
    ALL(xenpmu_op, EOPNOTSUPP),
    SUB(arch_1, 0, EPERM),
    SUB(arch_2, 0, ENOSYS),
    SUB(arch_7, 0, ENOSYS),
    {43, 0, XEN_ENOSYS},
    {47, 0, XEN_ENOSYS},
    {64, 0, XEN_ENOSYS},
    {UINT32_MAX, 0, XEN_ENOSYS},
    /* memory_op */
    SUB(memory_op, XENMEM_machine_memory_map, ENOSYS),
    SUB(memory_op, XENMEM_machphys_mapping, ENOSYS),
    SUB(memory_op, 8, ENOSYS),
    SUB(memory_op, 29, ENOSYS),
    SUB(memory_op, 63, ENOSYS),
    SUB(memory_op, XENMEM_set_memory_map, EPERM),
    SUB(memory_op, XENMEM_set_pod_target, EPERM),
    SUB(memory_op, XENMEM_get_pod_target, EPERM),
    SUB(memory_op, 24, EPERM),
    SUB(memory_op, XENMEM_acquire_resource, EPERM),
    SUB(memory_op, XENMEM_get_vnumainfo, EPERM), /* of domain 0, that is */
    /* grant_table_op */
    SUB(grant_table_op, GNTTABOP_dump_table, ENOSYS),
    SUB(grant_table_op, GNTTABOP_transfer, ENOSYS),
    SUB(grant_table_op, GNTTABOP_unmap_and_replace, ENOSYS),
    SUB(grant_table_op, GNTTABOP_get_status_frames, ENOSYS),
    SUB(grant_table_op, GNTTABOP_cache_flush, ENOSYS),
    SUB(grant_table_op, 13, ENOSYS),
    /* event_channel_op */
    SUB(event_channel_op, 14, EPERM), /* a reset that goes on: of domain 0 */
    SUB(event_channel_op, 15, ENOSYS),
    SUB(event_channel_op, UINT32_MAX, ENOSYS),
    SUB(event_channel_op, EVTCHNOP_expand_array, EOPNOTSUPP),
    /* hvm_op */
    SUB(hvm_op, HVMOP_altp2m, EOPNOTSUPP),
    SUB(hvm_op, 2, ENOSYS), /* the ones of device models, which are dm_op's now */
    SUB(hvm_op, 3, ENOSYS),
    SUB(hvm_op, 4, ENOSYS),
    SUB(hvm_op, 26, ENOSYS),
    SUB(hvm_op, 100, ENOSYS),
    SUB(hvm_op, HVMOP_pagetable_dying, ESRCH), /* domain 0 exists, see below */
    /* sched_op */
    SUB(sched_op, SCHEDOP_remote_shutdown, EPERM), /* of domain 0 */
    SUB(sched_op, SCHEDOP_pin_override, EPERM),
    SUB(sched_op, 8, ENOSYS),
    SUB(sched_op, UINT32_MAX, ENOSYS),
    /* xen_version */
    SUB(xen_version, XENVER_build_id, EPERM),
    SUB(xen_version, 11, ENOSYS),
    SUB(xen_version, UINT32_MAX, ENOSYS),
    /* physdev_op: the domain has no PIRQs, and no devices */
    SUB(physdev_op, PHYSDEVOP_eoi, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_irq_status_query, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_set_iopl, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_apic_read, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_alloc_irq_vector, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_map_pirq, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_unmap_pirq, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_manage_pci_add, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_setup_gsi, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_get_free_pirq, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_pci_mmcfg_reserved, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_pci_device_add, ENOSYS),
    SUB(physdev_op, PHYSDEVOP_dbgp_op, ENOSYS),
};

static uint8_t *argument;

static bool is_by_arguments(const struct refusal *refusal)
{
    return refusal->operation == __HYPERVISOR_hvm_op && refusal->sub == HVMOP_pagetable_dying;
}

static int64_t call(const struct refusal *refusal)
{
    unsigned third = refusal->operation == __HYPERVISOR_grant_table_op ? 1 : 0;

    memset(argument, 0, GUEST_PAGE_SIZE);
    if (is_by_arguments(refusal))
        ((struct xen_hvm_pagetable_dying *)argument)->domid = NO_DOMAIN;
    return xen_hypercall(refusal->operation, refusal->sub, at(argument), third, 0, 0);
}

XEN_TEST(every_refusal)
{
    uint8_t before[GUEST_PAGE_SIZE];

    argument = pages_take(1, 0);
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        int64_t result = call(&refusals[i]);

        ck_assert_msg(result == -refusals[i].error, "operation %u, sub-operation %u: %lld instead of %d",
                      refusals[i].operation, refusals[i].sub, (long long)result, -refusals[i].error);
        /* And nothing was done on the way. */
        memcpy(before, argument, sizeof(before));
        if (is_by_arguments(&refusals[i]))
            continue;
        for (unsigned byte = 0; byte < GUEST_PAGE_SIZE; byte++)
            ck_assert_msg(before[byte] == 0, "operation %u, sub-operation %u writes", refusals[i].operation,
                          refusals[i].sub);
    }
}

/* The same as members of a multicall. */
XEN_TEST(every_refusal_in_a_multicall)
{
    struct multicall_entry *entries = (struct multicall_entry *)pages_take(3, 0);
    unsigned count = sizeof(refusals) / sizeof(refusals[0]);

    argument = pages_take(1, 0);
    ck_assert_uint_lt(count * sizeof(*entries), 3 * GUEST_PAGE_SIZE);
    for (unsigned i = 0; i < count; i++) {
        entries[i].op = refusals[i].operation;
        entries[i].args[0] = refusals[i].sub;
        entries[i].args[1] = at(argument);
        entries[i].args[2] = refusals[i].operation == __HYPERVISOR_grant_table_op ? 1 : 0;
    }
    ((struct xen_hvm_pagetable_dying *)argument)->domid = 0;
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_multicall, at(entries), count, 0, 0, 0), 0);
    for (unsigned i = 0; i < count; i++)
        if (!is_by_arguments(&refusals[i]))
            ck_assert_msg((int64_t)entries[i].result == -refusals[i].error, "operation %u, sub-operation %u",
                          refusals[i].operation, refusals[i].sub);
}

/* Page tables of PV domains: whose they would be decides about the error. */
XEN_TEST(mmuext)
{
    argument = pages_take(1, 0);
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_mmuext_op, at(argument), 1, 0, DOMID_SELF, 0), XEN_EINVAL);
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_mmuext_op, at(argument), 1, 0, 0, 0), XEN_EPERM);
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_mmuext_op, at(argument), 1, 0, DOMID_IO, 0), XEN_EPERM);
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_mmuext_op, at(argument), 1, 0, DOMID_XEN, 0), XEN_EPERM);
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_mmuext_op, at(argument), 1, 0, 1, 0), XEN_ESRCH); /* itself */
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_mmuext_op, at(argument), 1, 0, NO_DOMAIN, 0), XEN_ESRCH);
}

/* Parameters: whose they are to set, and to read. */
XEN_TEST(parameters)
{
    static const struct {
        unsigned index;
        int set; /* to what it is */
        int get;
    } rows[] = {
        {HVM_PARAM_CALLBACK_IRQ, 0, 0},
        {HVM_PARAM_STORE_PFN, XEN_EPERM, 0},
        {HVM_PARAM_STORE_EVTCHN, 0, 0},
        {HVM_PARAM_CONSOLE_PFN, XEN_EPERM, 0},
        {HVM_PARAM_CONSOLE_EVTCHN, 0, 0},
        {4, XEN_EINVAL, XEN_EINVAL},
        {HVM_PARAM_IOREQ_PFN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_BUFIOREQ_PFN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_VIRIDIAN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_TIMER_MODE, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_HPET_ENABLED, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_IDENT_PT, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_ACPI_S_STATE, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_VPT_ALIGN, XEN_EPERM, XEN_EPERM},
        {13, XEN_EINVAL, XEN_EINVAL},
        {24, XEN_EINVAL, XEN_EINVAL},
        {HVM_PARAM_PAGING_RING_PFN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_MONITOR_RING_PFN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_SHARING_RING_PFN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_TRIPLE_FAULT_REASON, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_IOREQ_SERVER_PFN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_NR_IOREQ_SERVER_PAGES, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_VM_GENERATION_ID_ADDR, 0, 0},
        {HVM_PARAM_ALTP2M, XEN_EPERM, 0},
        {HVM_PARAM_X87_FIP_WIDTH, 0, 0},
        {HVM_PARAM_MCA_CAP, XEN_EPERM, XEN_EPERM},
        {HVM_NR_PARAMS, XEN_EINVAL, XEN_EINVAL},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 0;

        ck_assert_msg(param_get(rows[i].index, &value) == -rows[i].get, "reading parameter %u", rows[i].index);
        ck_assert_msg(param_set(rows[i].index, value) == -rows[i].set, "setting parameter %u", rows[i].index);
    }
}

/* What the toolstack gives once keeps its value, whoever asks. */
XEN_TEST(parameters_set_once)
{
    static const unsigned once[] = {HVM_PARAM_VIRIDIAN, HVM_PARAM_IOREQ_SERVER_PFN, HVM_PARAM_NR_IOREQ_SERVER_PAGES,
                                    HVM_PARAM_ALTP2M, HVM_PARAM_MCA_CAP};
    struct xen_hvm_param op = {.domid = 1};
    const struct xen_memory memory = {.base = 0x1000, .bytes = sizeof(op), .host = &op};
    const uint64_t arg[5] = {HVMOP_set_param, 0x1000};

    for (unsigned i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        op.index = once[i];
        op.value = 1;
        ck_assert_int_eq(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_hvm_op, arg, &memory), 0);
        ck_assert_int_eq(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_hvm_op, arg, &memory), 0); /* the same */
        op.value = 2;
        ck_assert_xen_error(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_hvm_op, arg, &memory), XEN_EEXIST);
    }
    op.index = HVM_PARAM_TIMER_MODE; /* not so these */
    ck_assert_int_eq(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_hvm_op, arg, &memory), 0);
    op.value = 1;
    ck_assert_int_eq(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_hvm_op, arg, &memory), 0);
}

int main(void)
{
    Suite *suite = suite_create("refused");
    TCase *tcase = tcase_create("refused");

    tcase_add_test(tcase, every_refusal);
    tcase_add_test(tcase, every_refusal_in_a_multicall);
    tcase_add_test(tcase, mmuext);
    tcase_add_test(tcase, parameters);
    tcase_add_test(tcase, parameters_set_once);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
