/*
 * Taking devices away: orderly removal (query, cancel, remove), surprise removal, and what follows from a failed start
 * ("Removing a device", "Understanding when remove IRPs are issued"). Children go before their parents; devices that a
 * driver names as removal or ejection relations go along. Drivers that lost their last device are unloaded.
 */
#include <stdio.h>

#include <wdmguid.h>

#include "nt/pnp/pnp_internal.h"

/* The devices that one removal takes, children before parents. */
struct removal {
    struct devnode **nodes;
    unsigned count;
    PDRIVER_OBJECT *drivers; /* that lost a device by it; each referenced */
    unsigned driver_count;
};

const char *pnp_refusal(void)
{
    return machine->pnp->refusal;
}

static void refuse(const struct devnode *node, const char *who, const char *what)
{
    snprintf(machine->pnp->refusal, sizeof(machine->pnp->refusal), "%s cannot be removed: %s%s",
             pnp_instance_path(node), who != NULL ? who : "", what);
    log_line(LOG_WARNING, "pnp", "%s", machine->pnp->refusal);
}

/* ---- which devices ---- */

static bool contains(const struct removal *removal, const struct devnode *node)
{
    for (unsigned i = 0; i < removal->count; i++) {
        if (removal->nodes[i] == node)
            return true;
    }
    return false;
}

static void append(struct removal *removal, struct devnode *node)
{
    if (contains(removal, node))
        return;
    removal->nodes = image_realloc(removal->nodes, (removal->count + 1) * sizeof(*removal->nodes));
    removal->nodes[removal->count++] = node;
}

/* The subtree below and with `top`, children first. */
static void append_tree(struct removal *removal, struct devnode *top)
{
    struct devnode *node = top;

    while (node->children != NULL)
        node = node->children;
    for (;;) {
        append(removal, node);
        if (node == top)
            return;
        if (node->next != NULL) {
            node = node->next;
            while (node->children != NULL)
                node = node->children;
        } else {
            node = node->parent;
        }
    }
}

static void append_relations(struct removal *removal, struct devnode *node, DEVICE_RELATION_TYPE type)
{
    PDEVICE_RELATIONS relations;

    (void)pnp_query_relations(node, type, &relations); /* most drivers have none, and do not answer */
    if (relations == NULL)
        return;
    for (ULONG i = 0; i < relations->Count; i++) {
        struct devnode *other = pnp_removal_relation(node, relations, i);

        if (other != NULL && other->parent != NULL)
            append_tree(removal, other);
        pnp_release_relation(relations->Objects[i]);
    }
    ExFreePool(relations);
}

static void collect(struct removal *removal, struct devnode *top, bool eject)
{
    append_tree(removal, top);
    /* Relations have relations: the list grows while it is gone through. */
    for (unsigned i = 0; i < removal->count; i++) {
        if (removal->nodes[i]->state != DEVNODE_STARTED)
            continue;
        append_relations(removal, removal->nodes[i], RemovalRelations);
        if (eject)
            append_relations(removal, removal->nodes[i], EjectionRelations);
    }
}

/* ---- the end of a stack ---- */

static void take_drivers(struct removal *removal, struct devnode *node)
{
    while (node->driver_count != 0) {
        removal->drivers = image_realloc(removal->drivers, (removal->driver_count + 1) * sizeof(*removal->drivers));
        removal->drivers[removal->driver_count++] = node->drivers[--node->driver_count];
    }
}

/* IRP_MN_REMOVE_DEVICE and what the manager knows to be true afterwards. */
static void remove_stack(struct removal *removal, struct devnode *node)
{
    PDEVICE_OBJECT left;

    pnp_send_must_succeed(node, IRP_MN_REMOVE_DEVICE);
    left = io_stack_above(node->pdo);
    if (left != NULL)
        nt_violation_sub("pnp-not-detached", 0, 0, (uintptr_t)left,
                         "%s: driver %s did not detach its device object in IRP_MN_REMOVE_DEVICE",
                         pnp_instance_path(node), io_driver_name(left->DriverObject));
    if (node->missing && !io_device(node->pdo)->delete_pending)
        nt_violation_sub("pnp-pdo-left", 0, 0, (uintptr_t)node->pdo,
                         "%s: driver %s does not report the device any more and yet did not delete it in "
                         "IRP_MN_REMOVE_DEVICE",
                         pnp_instance_path(node), io_driver_name(node->pdo->DriverObject));
    io_interfaces_forget(node->pdo);
    arbiter_release(node);
    devnode_forget_service(node);
    devnode_set_open_refusal(node, IO_DEVICE_REMOVE_PENDING | IO_DEVICE_START_PENDING, false);
    devnode_set_open_refusal(node, IO_DEVICE_REMOVE_PROCESSED, true);
    node->state = DEVNODE_REMOVED;
    node->was_started = false;
    node->enumerate = false;
    devnode_forget_power_relations(node);
    take_drivers(removal, node);
    log_line(LOG_INFO, "pnp", "%s removed", pnp_instance_path(node));
}

static bool driver_in_use(PDRIVER_OBJECT driver)
{
    if (driver->DeviceObject != NULL)
        return true;
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        for (unsigned i = 0; i < node->driver_count; i++) {
            if (node->drivers[i] == driver)
                return true;
        }
    }
    return false;
}

static void finish(struct removal *removal)
{
    for (unsigned i = 0; i < removal->driver_count; i++) {
        PDRIVER_OBJECT driver = removal->drivers[i];

        if (!(driver->Flags & DRVO_UNLOAD_INVOKED) && !driver_in_use(driver) &&
            io_unload_driver(driver) == STATUS_INVALID_DEVICE_REQUEST)
            log_line(LOG_INFO, "pnp", "driver %s has no DriverUnload and stays", io_driver_name(driver));
        ob_dereference(driver);
    }
    image_free(removal->drivers);
    image_free(removal->nodes);
}

/* A child's PDO ends with the stack that made it. */
static void destroy_child(struct devnode *node)
{
    if (!io_device(node->pdo)->delete_pending)
        nt_violation_sub("pnp-pdo-left", 0, 0, (uintptr_t)node->pdo,
                         "%s: driver %s was removed from its parent device and yet did not delete the child",
                         pnp_instance_path(node), io_driver_name(node->pdo->DriverObject));
    devnode_destroy(node);
}

/* After the stacks: nodes that are no more leave the tree. A node goes if its parent went, or if its bus lost it. */
static void prune(struct removal *removal)
{
    for (unsigned i = 0; i < removal->count; i++) {
        struct devnode *node = removal->nodes[i];

        if (node->state != DEVNODE_REMOVED || node->children != NULL)
            continue;
        if (contains(removal, node->parent) && node->parent->state == DEVNODE_REMOVED)
            destroy_child(node);
        else if (node->missing)
            devnode_destroy(node);
    }
}

/* ---- orderly removal ---- */

static bool asked_to_leave(const struct devnode *node)
{
    return node->state != DEVNODE_UNINITIALIZED && node->state != DEVNODE_REMOVED &&
           node->state != DEVNODE_SURPRISE_REMOVED;
}

static void cancel_query(struct removal *removal)
{
    for (unsigned i = removal->count; i-- > 0;) {
        struct devnode *node = removal->nodes[i];

        if (!node->query_pending)
            continue;
        pnp_send_must_succeed(node, IRP_MN_CANCEL_REMOVE_DEVICE);
        devnode_set_open_refusal(node, IO_DEVICE_REMOVE_PENDING, false);
        node->query_pending = false;
    }
    for (unsigned i = 0; i < removal->count; i++)
        (void)io_notify_target(removal->nodes[i]->pdo, &GUID_TARGET_DEVICE_REMOVE_CANCELLED, NULL);
}

static bool query(struct removal *removal)
{
    for (unsigned i = 0; i < removal->count; i++) {
        const char *veto = NULL;

        if (NT_SUCCESS(io_notify_target(removal->nodes[i]->pdo, &GUID_TARGET_DEVICE_QUERY_REMOVE, &veto)))
            continue;
        refuse(removal->nodes[i], veto, " refused when it was notified");
        return false;
    }
    for (unsigned i = 0; i < removal->count; i++) {
        if (io_stack_open_count(removal->nodes[i]->pdo) == 0)
            continue;
        refuse(removal->nodes[i], NULL, "a handle to it is open");
        return false;
    }
    for (unsigned i = 0; i < removal->count; i++) {
        struct devnode *node = removal->nodes[i];

        if (!asked_to_leave(node))
            continue;
        node->query_pending = true;
        devnode_set_open_refusal(node, IO_DEVICE_REMOVE_PENDING, true);
        if (NT_SUCCESS(pnp_send_minor(node, IRP_MN_QUERY_REMOVE_DEVICE)))
            continue;
        refuse(node, node->service, " refused IRP_MN_QUERY_REMOVE_DEVICE");
        return false;
    }
    return true;
}

static bool remove_orderly(struct removal *removal)
{
    machine->pnp->refusal[0] = 0;
    if (!query(removal)) {
        cancel_query(removal);
        return false;
    }
    for (unsigned i = 0; i < removal->count; i++)
        (void)io_notify_target(removal->nodes[i]->pdo, &GUID_TARGET_DEVICE_REMOVE_COMPLETE, NULL);
    for (unsigned i = 0; i < removal->count; i++) {
        struct devnode *node = removal->nodes[i];

        if (!asked_to_leave(node)) {
            node->state = node->state == DEVNODE_SURPRISE_REMOVED ? node->state : DEVNODE_REMOVED;
            continue;
        }
        node->query_pending = false;
        net_class_gone(node);
        io_interfaces_removed(node->pdo);
        remove_stack(removal, node);
    }
    return true;
}

NTSTATUS devnode_remove_orderly(struct devnode *node, bool eject)
{
    struct removal removal = {0};
    bool removed;

    collect(&removal, node, eject);
    removed = remove_orderly(&removal);
    if (removed) {
        if (eject && node->capabilities.EjectSupported && node->state == DEVNODE_REMOVED) {
            NTSTATUS status = pnp_send_minor(node, IRP_MN_EJECT);

            if (!NT_SUCCESS(status))
                log_line(LOG_WARNING, "pnp", "%s: IRP_MN_EJECT failed with 0x%08x", pnp_instance_path(node),
                         (unsigned)status);
        }
        for (unsigned i = 0; i < removal.count; i++) {
            if (!contains(&removal, removal.nodes[i]->parent))
                devnode_set_problem(removal.nodes[i], PROBLEM_DEVICE_NOT_THERE, STATUS_SUCCESS);
        }
        if (eject && node->parent->state == DEVNODE_STARTED)
            node->parent->enumerate = true; /* is it gone? */
        prune(&removal);
    }
    finish(&removal);
    return removed ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

NTSTATUS pnp_remove_tree(void)
{
    struct removal removal = {0};
    bool removed;

    append_tree(&removal, pnp_root());
    removed = remove_orderly(&removal);
    if (removed) {
        for (unsigned i = 0; i < removal.count; i++)
            destroy_child(removal.nodes[i]);
    }
    finish(&removal);
    return removed ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

/* ---- surprise ---- */

/* Stacks whose handles are all closed and below which nothing waits any more end now. */
static void remove_surprised(struct removal *removal)
{
    for (unsigned i = 0; i < removal->count; i++) {
        struct devnode *node = removal->nodes[i];
        bool waits = false;

        if (node->state != DEVNODE_SURPRISE_REMOVED)
            continue;
        for (const struct devnode *child = node->children; child != NULL; child = child->next)
            waits = waits || child->state != DEVNODE_REMOVED;
        if (waits || io_stack_open_count(node->pdo) != 0) {
            log_line(LOG_INFO, "pnp", "%s waits for its %s", pnp_instance_path(node),
                     waits ? "children's removal" : "handles to be closed");
            continue;
        }
        remove_stack(removal, node);
    }
}

void devnode_remove_surprise(struct devnode *node)
{
    struct removal removal = {0};

    collect(&removal, node, false);
    for (unsigned i = 0; i < removal.count; i++) {
        struct devnode *gone = removal.nodes[i];

        if (gone->state == DEVNODE_REMOVED || gone->state == DEVNODE_SURPRISE_REMOVED)
            continue;
        net_class_gone(gone);
        if (gone->was_started) {
            pnp_send_must_succeed(gone, IRP_MN_SURPRISE_REMOVAL);
            io_interfaces_removed(gone->pdo);
        }
        devnode_set_open_refusal(gone, IO_DEVICE_REMOVE_PENDING, true);
        gone->state = DEVNODE_SURPRISE_REMOVED;
        gone->enumerate = false;
    }
    for (unsigned i = 0; i < removal.count; i++)
        (void)io_notify_target(removal.nodes[i]->pdo, &GUID_TARGET_DEVICE_REMOVE_COMPLETE, NULL);
    remove_surprised(&removal);
    prune(&removal);
    finish(&removal);
}

bool devnode_finish_removals(void)
{
    struct removal removal = {0};
    bool some = false;

    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        if (node->state == DEVNODE_SURPRISE_REMOVED && io_stack_open_count(node->pdo) == 0) {
            append_tree(&removal, node);
            some = true;
        }
    }
    if (!some)
        return false;
    remove_surprised(&removal);
    some = removal.driver_count != 0;
    for (unsigned i = 0; i < removal.count; i++)
        some = some || removal.nodes[i]->state == DEVNODE_REMOVED;
    prune(&removal);
    finish(&removal);
    devnode_retry_duplicates();
    return some;
}

/* ---- failures on the way up ---- */

void devnode_remove_failed(struct devnode *node)
{
    struct removal removal = {0};

    if (node->was_started) {
        /* Stopped for a rebalance and not startable again: its drivers learn that the device is lost to them. */
        devnode_remove_surprise(node);
        return;
    }
    append(&removal, node);
    if (node->driver_count != 0 || io_stack_above(node->pdo) != NULL || node->state == DEVNODE_RESOURCES_ASSIGNED)
        remove_stack(&removal, node);
    devnode_forget_service(node);
    devnode_set_open_refusal(node, IO_DEVICE_START_PENDING, false);
    node->state = DEVNODE_REMOVED;
    finish(&removal);
}
