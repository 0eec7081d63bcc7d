/*
 * Relations of devices (IRP_MN_QUERY_DEVICE_RELATIONS): asking a bus for its children and bringing the tree in line,
 * and which devices need others' power.
 */
#include "nt/pnp/pnp_internal.h"

void pnp_release_relation(PDEVICE_OBJECT pdo)
{
    ob_note_holder(pdo, -1, pdo->DriverObject->DriverStart);
    ob_dereference(pdo);
}

/* The kinds of bug check 0xCA are those of its page: parameter 1 and what it gives the others. */
static _Noreturn void refuse(const struct devnode *node, uint64_t kind, const void *pdo, uint64_t third,
                             uint64_t fourth, const char *what)
{
    nt_violation_code(PNP_DETECTED_FATAL_ERROR, (uint64_t[4]){kind, (uintptr_t)pdo, third, fourth}, "pnp-relations",
                      "%s reports %s among its device relations", pnp_instance_path(node), what);
}

struct devnode *pnp_removal_relation(const struct devnode *node, const DEVICE_RELATIONS *relations, ULONG index)
{
    PDEVICE_OBJECT pdo = relations->Objects[index];

    if (pdo == NULL || !ob_is(pdo, OB_DEVICE))
        refuse(node, 2, pdo, 0, 0, "something that is no device object");
    if (io_device(pdo)->delete_pending)
        refuse(node, 0xB, pdo, (uintptr_t)relations, 0, "a device object that has been deleted");
    return pnp_node_of(pdo);
}

static void check_relation(const struct devnode *bus, const DEVICE_RELATIONS *relations, ULONG index)
{
    PDEVICE_OBJECT pdo = relations->Objects[index];

    if (pdo == NULL)
        refuse(bus, 8, bus->pdo, relations->Count, index, "a device object that is NULL");
    if (!ob_is(pdo, OB_DEVICE))
        refuse(bus, 2, pdo, 0, 0, "something that is no device object");
    if (io_device(pdo)->delete_pending)
        refuse(bus, 4, pdo, 0, 0, "a device object that it has deleted");
    for (ULONG i = 0; i < index; i++) {
        if (relations->Objects[i] == pdo)
            refuse(bus, 1, pdo, (uintptr_t)pdo, 0, "the same device twice");
    }
    /* The page has no kind for this. */
    if (pnp_node_of(pdo) != NULL && pnp_node_of(pdo)->parent != bus)
        nt_violation("pnp-relations", "%s reports another bus's device among its device relations",
                     pnp_instance_path(bus));
}

static void remove_missing(struct devnode *bus)
{
    struct devnode *child = bus->children;

    while (child != NULL) {
        struct devnode *next = child->next;

        if (!child->reported && !child->missing) {
            child->missing = true;
            log_line(LOG_INFO, "pnp", "%s is gone", pnp_instance_path(child));
            if (child->state == DEVNODE_REMOVED)
                child->state = DEVNODE_SURPRISE_REMOVED; /* its PDO has not heard of the end yet */
            if (child->state == DEVNODE_SURPRISE_REMOVED)
                (void)devnode_finish_removals();
            else
                devnode_remove_surprise(child);
            /* Relations may have taken siblings along. */
            next = bus->children;
        }
        child = next;
    }
}

void devnode_enumerate(struct devnode *node)
{
    PDEVICE_RELATIONS relations;
    struct devnode *child;
    NTSTATUS status;

    node->enumerate = false;
    status = pnp_query_relations(node, BusRelations, &relations);
    if (!NT_SUCCESS(status) && status != STATUS_NOT_SUPPORTED) {
        log_line(LOG_WARNING, "pnp", "%s cannot say what its children are (status 0x%08x): they stay as they were",
                 pnp_instance_path(node), (unsigned)status);
        return;
    }
    for (child = node->children; child != NULL; child = child->next)
        child->reported = false;
    for (ULONG i = 0; relations != NULL && i < relations->Count; i++) {
        check_relation(node, relations, i);
        child = pnp_node_of(relations->Objects[i]);
        if (child == NULL) {
            child = devnode_create(node, relations->Objects[i]);
            child->reported = true;
        } else {
            child->reported = true;
            if (child->state == DEVNODE_REMOVED && child->problem == PROBLEM_DEVICE_NOT_THERE) {
                child->state = DEVNODE_INITIALIZED; /* removed by request, and still there */
                child->problem = PROBLEM_NONE;
            }
        }
        pnp_release_relation(relations->Objects[i]);
    }
    if (relations != NULL)
        ExFreePool(relations);
    remove_missing(node);
}

/* ---- power relations ---- */

void devnode_forget_power_relations(struct devnode *node)
{
    image_free(node->power_relations);
    node->power_relations = NULL;
    node->power_relation_count = 0;
}

void devnode_drop_from_power_relations(struct devnode *node)
{
    devnode_forget_power_relations(node);
    for (struct devnode *other = pnp_root(); other != NULL; other = pnp_next(other)) {
        unsigned left = 0;

        for (unsigned i = 0; i < other->power_relation_count; i++) {
            if (other->power_relations[i] != node)
                other->power_relations[left++] = other->power_relations[i];
        }
        other->power_relation_count = left;
    }
}

/* Devices outside of the tree's order: "must be turned on before the target device is turned on". */
void devnode_query_power_relations(struct devnode *node)
{
    PDEVICE_RELATIONS relations;

    devnode_forget_power_relations(node);
    (void)pnp_query_relations(node, PowerRelations, &relations);
    if (relations == NULL)
        return;
    node->power_relations = image_alloc((relations->Count + 1) * sizeof(*node->power_relations));
    for (ULONG i = 0; i < relations->Count; i++) {
        PDEVICE_OBJECT pdo = relations->Objects[i];

        if (pdo == NULL || !ob_is(pdo, OB_DEVICE) || pnp_node_of(pdo) == NULL)
            refuse(node, 2, pdo, pdo != NULL && ob_is(pdo, OB_DEVICE) ? (uintptr_t)pdo->DriverObject : 0, 0,
                   "something that is no physical device object which its bus has reported");
        node->power_relations[node->power_relation_count++] = pnp_node_of(pdo);
        pnp_release_relation(pdo);
    }
    ExFreePool(relations);
}

bool pnp_needs_power_of(const struct devnode *node, const struct devnode *other)
{
    for (unsigned i = 0; i < node->power_relation_count; i++) {
        if (node->power_relations[i] == other)
            return true;
    }
    return node->parent == other;
}
