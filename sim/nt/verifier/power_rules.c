#include "nt/verifier/power_rules.h"

#include "nt/pnp/pnp_internal.h"

#define DEVICE_GONE 1u /* Bug Check 0x9F: a device object is freed that has a power request */

static struct devnode *node_of(PDEVICE_OBJECT device)
{
    while (io_device(device)->extension.AttachedTo != NULL)
        device = io_device(device)->extension.AttachedTo;
    return pnp_node_of(device);
}

void power_rule_requested(PDEVICE_OBJECT device, UCHAR minor)
{
    struct devnode *node = node_of(device);

    if (node == NULL)
        return;
    if (minor == IRP_MN_QUERY_POWER && node->power_queried)
        nt_violation("power-query-open",
                     "%s: IRP_MN_QUERY_POWER for a device state succeeded, and its driver asks again: it must set the "
                     "state that it asked for, or the present one",
                     pnp_instance_path(node));
    if (minor == IRP_MN_SET_POWER)
        node->power_queried = false;
}

/* A child that nobody manages the power of counts only while the system works: then its bus goes down alone. */
static bool is_up(const struct devnode *child)
{
    bool working = machine->po->system == PowerSystemWorking && machine->po->action == PowerActionNone;

    return child->state == DEVNODE_STARTED &&
           (child->power == PowerDeviceD0 || (child->power == PowerDeviceUnspecified && working));
}

static void check_order(const struct devnode *node, PIRP irp, DEVICE_POWER_STATE state)
{
    if (state == PowerDeviceD0) {
        if (node->parent != NULL && node->parent->power > PowerDeviceD0)
            nt_violation("power-child-up", "%s is in D0 (IRP %p) while its parent %s is in D%d: the bus comes first",
                         pnp_instance_path(node), (void *)irp, pnp_instance_path(node->parent),
                         node->parent->power - PowerDeviceD0);
        return;
    }
    for (const struct devnode *child = node->children; child != NULL; child = child->next)
        if (is_up(child))
            nt_violation("power-parent-down", "%s is in D%d (IRP %p) while its child %s is in D0: the bus goes last",
                         pnp_instance_path(node), state - PowerDeviceD0, (void *)irp, pnp_instance_path(child));
}

void power_rule_done(PDEVICE_OBJECT device, PIRP irp, UCHAR minor, POWER_STATE state, NTSTATUS status)
{
    struct devnode *node = node_of(device);

    if (node == NULL || !NT_SUCCESS(status))
        return;
    if (minor == IRP_MN_QUERY_POWER)
        node->power_queried = true;
    if (minor != IRP_MN_SET_POWER)
        return;
    check_order(node, irp, state.DeviceState);
    node->power = state.DeviceState;
}

void power_rule_system_done(PDEVICE_OBJECT pdo, UCHAR minor, SYSTEM_POWER_STATE state, NTSTATUS status)
{
    struct devnode *node = pnp_node_of(pdo);
    PDEVICE_OBJECT device;
    PIRP irp;

    if (node == NULL || minor != IRP_MN_SET_POWER || state <= PowerSystemWorking)
        return;
    /* One whose driver could not follow has no state that its bus can be held to. */
    if (!NT_SUCCESS(status) && status != STATUS_NOT_SUPPORTED)
        node->power = PowerDeviceUnspecified;
    for (unsigned index = 0; (irp = po_device_request(index, &device)) != NULL; index++)
        if (node_of(device) == node)
            nt_violation("power-system-first",
                         "%s: IRP_MN_SET_POWER for system state S%d was completed before the request for the device's "
                         "own state (IRP %p) that it led to",
                         pnp_instance_path(node), state - PowerSystemWorking, (void *)irp);
}

void power_rule_device_gone(PDEVICE_OBJECT device)
{
    struct devnode *node = pnp_node_of(device);
    PDEVICE_OBJECT asked;
    PIRP irp;

    for (unsigned index = 0; (irp = po_device_request(index, &asked)) != NULL; index++)
        if (asked == device)
            nt_violation_code(DRIVER_POWER_STATE_FAILURE, (uint64_t[4]){DEVICE_GONE, (uintptr_t)device},
                              "power-device-gone",
                              "IoDeleteDevice of a device object of driver %s, whose power request (IRP %p) is not "
                              "completed",
                              io_driver_name(device->DriverObject), (void *)irp);
    if (node != NULL && node->power_queried)
        nt_violation("power-query-open",
                     "%s goes after a successful IRP_MN_QUERY_POWER for a device state that IRP_MN_SET_POWER never "
                     "followed",
                     pnp_instance_path(node));
}
