/*
 * Hypercalls that fail by the plan of faults: those that take memory or a slot of something in Xen, with what Xen
 * answers when there is none (xen/common/event_channel.c, event_fifo.c, grant_table.c,
 * memory.c, domain.c, sched/core.c).
 */
#include "machine/fault.h"
#include "xen/hypervisor.h"

static const char *event_channel_point(uint64_t cmd)
{
    switch ((uint32_t)cmd) {
    case EVTCHNOP_init_control:
        return "EVTCHNOP_init_control";
    case EVTCHNOP_expand_array:
        return "EVTCHNOP_expand_array";
    case EVTCHNOP_alloc_unbound:
        return "EVTCHNOP_alloc_unbound";
    case EVTCHNOP_bind_interdomain:
        return "EVTCHNOP_bind_interdomain";
    case EVTCHNOP_bind_virq:
        return "EVTCHNOP_bind_virq";
    case EVTCHNOP_bind_ipi:
        return "EVTCHNOP_bind_ipi";
    default:
        return NULL;
    }
}

static const char *memory_point(uint64_t cmd)
{
    switch ((uint32_t)cmd & MEMOP_CMD_MASK) {
    case XENMEM_increase_reservation:
        return "XENMEM_increase_reservation";
    case XENMEM_decrease_reservation:
        return "XENMEM_decrease_reservation";
    case XENMEM_populate_physmap:
        return "XENMEM_populate_physmap";
    case XENMEM_add_to_physmap:
        return "XENMEM_add_to_physmap";
    default:
        return NULL;
    }
}

static const char *grant_table_point(uint64_t cmd)
{
    switch ((uint32_t)cmd) {
    case GNTTABOP_map_grant_ref:
        return "GNTTABOP_map_grant_ref";
    case GNTTABOP_setup_table:
        return "GNTTABOP_setup_table";
    case GNTTABOP_set_version:
        return "GNTTABOP_set_version";
    default:
        return NULL;
    }
}

/* One that starts a watchdog takes a slot; the others have theirs. */
static const char *sched_op_point(uint64_t cmd, uint64_t arg)
{
    struct sched_watchdog operation;

    if ((uint32_t)cmd != SCHEDOP_watchdog || !xen_copy_in(&operation, arg, sizeof(operation)))
        return NULL;
    return operation.id == 0 && operation.timeout != 0 ? "SCHEDOP_watchdog" : NULL;
}

static const char *point_of(unsigned op, const uint64_t arg[5])
{
    switch (op) {
    case __HYPERVISOR_event_channel_op:
        return event_channel_point(arg[0]);
    case __HYPERVISOR_memory_op:
        return memory_point(arg[0]);
    case __HYPERVISOR_grant_table_op:
        return grant_table_point(arg[0]);
    case __HYPERVISOR_vcpu_op:
        return (uint32_t)arg[0] == VCPUOP_register_vcpu_info ? "VCPUOP_register_vcpu_info" : NULL;
    case __HYPERVISOR_sched_op:
        return sched_op_point(arg[0], arg[1]);
    default:
        return NULL;
    }
}

/* The call succeeds, and each operation of its list carries the error. */
static int64_t refuse_maps(uint64_t list, uint32_t count)
{
    struct gnttab_map_grant_ref operation;

    for (uint32_t index = 0; index < count; index++) {
        uint64_t at = list + (uint64_t)index * sizeof(operation);

        if (!xen_copy_in(&operation, at, sizeof(operation)))
            return -XEN_EFAULT;
        operation.status = GNTST_no_device_space;
        if (!xen_copy_out(at, &operation, sizeof(operation)))
            return -XEN_EFAULT;
    }
    return 0;
}

static int64_t refuse_setup(uint64_t at)
{
    struct gnttab_setup_table operation;

    if (!xen_copy_in(&operation, at, sizeof(operation)))
        return -XEN_EFAULT;
    operation.status = GNTST_general_error;
    return xen_copy_out(at, &operation, sizeof(operation)) ? 0 : -XEN_EFAULT;
}

static int64_t refusal(unsigned op, const uint64_t arg[5])
{
    if (op == __HYPERVISOR_memory_op && ((uint32_t)arg[0] & MEMOP_CMD_MASK) != XENMEM_add_to_physmap)
        return (int64_t)(arg[0] >> MEMOP_EXTENT_SHIFT); /* extents done so far, and no more */
    if (op == __HYPERVISOR_grant_table_op && (uint32_t)arg[0] == GNTTABOP_map_grant_ref)
        return refuse_maps(arg[1], (uint32_t)arg[2]);
    if (op == __HYPERVISOR_grant_table_op && (uint32_t)arg[0] == GNTTABOP_setup_table)
        return refuse_setup(arg[1]);
    if (op == __HYPERVISOR_sched_op)
        return -XEN_ENOSPC;
    return -XEN_ENOMEM;
}

bool hypercall_fault(unsigned op, const uint64_t arg[5], int64_t *result)
{
    const char *point;

    if (!fault_is_on())
        return false;
    point = point_of(op, arg);
    if (point == NULL) {
        fault_note_infallible();
        return false;
    }
    if (!fault_inject(FAULT_HYPERCALL, point, NULL))
        return false;
    *result = refusal(op, arg);
    return true;
}
