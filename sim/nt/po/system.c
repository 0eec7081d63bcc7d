/*
 * States of the whole system: sleep, wake-up, shutdown ("System Power States", "Handling IRP_MN_QUERY_POWER for System
 * Power States", IoRegisterShutdownNotification). The power manager sends the IRPs one after the other; Windows sends
 * those of one level of the tree together, and says nothing of their order. No device comes or goes while the system
 * changes its state: the PnP manager is held.
 */
#include <string.h>

#include "nt/pnp/pnp.h"
#include "nt/po/po_internal.h"
#include "nt/verifier/power_rules.h"

struct stacks {
    PDEVICE_OBJECT *pdos; /* each referenced; nothing before what needs its power */
    unsigned count;
};

static unsigned level_of(struct devnode *node)
{
    unsigned level = 0;

    while ((node = pnp_parent(node)) != NULL)
        level++;
    return level;
}

/* Every started device, children before parents. */
static struct devnode **by_level(unsigned *count)
{
    struct devnode **nodes = NULL;
    unsigned deepest = 0;

    *count = 0;
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node))
        if (level_of(node) > deepest)
            deepest = level_of(node);
    for (unsigned level = deepest + 1; level-- > 0;) {
        for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
            if (level_of(node) != level || pnp_state(node) != DEVNODE_STARTED)
                continue;
            nodes = image_realloc(nodes, (*count + 1) * sizeof(*nodes));
            nodes[(*count)++] = node;
        }
    }
    return nodes;
}

static bool is_needed(const struct devnode *node, struct devnode *const *others, unsigned count)
{
    for (unsigned index = 0; index < count; index++)
        if (others[index] != node && pnp_needs_power_of(others[index], node))
            return true;
    return false;
}

/*
 * In the order in which they are turned off: nothing before what needs its power. Of devices that need each other, on
 * which the documentation is silent, the one deepest in the tree goes first.
 */
static struct stacks collect(void)
{
    struct stacks stacks = {NULL, 0};
    unsigned left;
    struct devnode **nodes = by_level(&left);

    stacks.pdos = image_alloc((left + 1) * sizeof(*stacks.pdos));
    while (left != 0) {
        unsigned next = 0;

        while (next < left && is_needed(nodes[next], nodes, left))
            next++;
        if (next == left)
            next = 0;
        stacks.pdos[stacks.count++] = pnp_pdo(nodes[next]);
        ob_reference(pnp_pdo(nodes[next]));
        left--;
        memmove(&nodes[next], &nodes[next + 1], (left - next) * sizeof(*nodes));
    }
    image_free(nodes);
    return stacks;
}

static void release(struct stacks *stacks)
{
    for (unsigned index = 0; index < stacks->count; index++)
        ob_dereference(stacks->pdos[index]);
    image_free(stacks->pdos);
}

static NTSTATUS send(PDEVICE_OBJECT pdo, UCHAR minor, SYSTEM_POWER_STATE state)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_POWER, .MinorFunction = minor};
    NTSTATUS status;

    stack.Parameters.Power.SystemPowerStateContext.TargetSystemState = (ULONG)state;
    stack.Parameters.Power.SystemPowerStateContext.EffectiveSystemState = (ULONG)state;
    stack.Parameters.Power.SystemPowerStateContext.CurrentSystemState = (ULONG)machine->po->system;
    stack.Parameters.Power.Type = SystemPowerState;
    stack.Parameters.Power.State.SystemState = state;
    stack.Parameters.Power.ShutdownType = machine->po->action;
    status = io_send_synchronous(pdo, &stack, STATUS_NOT_SUPPORTED, NULL);
    power_rule_system_done(pdo, minor, state, status);
    /* Nobody in the stack has an opinion. */
    return status == STATUS_NOT_SUPPORTED ? STATUS_SUCCESS : status;
}

/* A driver may refuse to be asked; what it is told it has to do. */
static void set(PDEVICE_OBJECT pdo, SYSTEM_POWER_STATE state)
{
    NTSTATUS status = send(pdo, IRP_MN_SET_POWER, state);

    if (!NT_SUCCESS(status))
        log_line(LOG_WARNING, "po", "the device of driver %s failed IRP_MN_SET_POWER for system state %d: 0x%08x",
                 io_driver_name(pdo->DriverObject), state, (unsigned)status);
}

static void set_all(const struct stacks *stacks, SYSTEM_POWER_STATE state)
{
    for (unsigned index = 0; index < stacks->count; index++)
        set(stacks->pdos[index], state);
    machine->po->system = state;
}

SYSTEM_POWER_STATE po_system_state(void)
{
    return machine->po->system;
}

void po_shutdown(POWER_ACTION action)
{
    struct stacks stacks;

    io_shutdown_notify();
    machine->po->action = action;
    pnp_hold();
    stacks = collect();
    set_all(&stacks, PowerSystemShutdown);
    release(&stacks);
    pnp_release();
    machine->po->action = PowerActionNone;
}

static NTSTATUS sleep(const struct stacks *stacks, SYSTEM_POWER_STATE state)
{
    for (unsigned index = 0; index < stacks->count; index++) {
        NTSTATUS status = send(stacks->pdos[index], IRP_MN_QUERY_POWER, state);

        if (NT_SUCCESS(status))
            continue;
        machine->po->action = PowerActionNone;
        while (index-- > 0)
            set(stacks->pdos[index], PowerSystemWorking);
        return status;
    }
    set_all(stacks, state);
    return STATUS_SUCCESS;
}

static void wake(const struct stacks *stacks)
{
    for (unsigned index = stacks->count; index-- > 0;)
        set(stacks->pdos[index], PowerSystemWorking);
    machine->po->system = PowerSystemWorking;
}

NTSTATUS po_set_system_state(SYSTEM_POWER_STATE state)
{
    struct stacks stacks;
    NTSTATUS status = STATUS_SUCCESS;

    if (state < PowerSystemWorking || state > PowerSystemHibernate)
        return STATUS_INVALID_PARAMETER;
    if (state == machine->po->system)
        return STATUS_SUCCESS;
    pnp_hold();
    stacks = collect();
    if (state == PowerSystemWorking) {
        wake(&stacks);
    } else {
        machine->po->action = state == PowerSystemHibernate ? PowerActionHibernate : PowerActionSleep;
        status = sleep(&stacks, state);
        machine->po->action = PowerActionNone;
    }
    release(&stacks);
    pnp_release();
    return status;
}

/* ---- the moment in which memory is written to disk ---- */

static VOID NTAPI hold(PKDPC dpc, PVOID act, PVOID done, PVOID barrier)
{
    (void)dpc;
    if (KeSignalCallDpcSynchronize(barrier))
        ((void (*)(void))act)();
    (void)KeSignalCallDpcSynchronize(barrier);
    KeSignalCallDpcDone(done);
}

void po_with_processors_held(void (*act)(void))
{
    KeGenericCallDpc(hold, (PVOID)act);
}
