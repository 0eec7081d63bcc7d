/* Device nodes: the tree, their registry keys, and what others may ask of them. */
#include <string.h>

#include "nt/pnp/pnp_internal.h"

struct devnode *devnode_create(struct devnode *parent, PDEVICE_OBJECT pdo)
{
    struct devnode *node = image_alloc(sizeof(*node));
    struct devnode **last;

    node->number = ++machine->pnp->nodes;
    node->parent = parent;
    node->pdo = pdo;
    ob_reference(pdo);
    io_device(pdo)->devnode = node;
    io_device(pdo)->extension.DeviceNode = node;
    pdo->Flags |= DO_BUS_ENUMERATED_DEVICE;
    if (parent == NULL) {
        machine->pnp->root = node;
        return node;
    }
    node->level = parent->level + 1;
    for (last = &parent->children; *last != NULL; last = &(*last)->next)
        ;
    *last = node;
    return node;
}

static void free_list(char **list)
{
    for (char **string = list; string != NULL && *string != NULL; string++)
        image_free(*string);
    image_free(list);
}

void devnode_forget_identity(struct devnode *node)
{
    image_free(node->device_id);
    image_free(node->instance_id);
    image_free(node->instance_path);
    free_list(node->hardware_ids);
    free_list(node->compatible_ids);
    node->device_id = NULL;
    node->instance_id = NULL;
    node->instance_path = NULL;
    node->hardware_ids = NULL;
    node->compatible_ids = NULL;
}

void devnode_destroy(struct devnode *node)
{
    struct devnode **link = node->parent != NULL ? &node->parent->children : &machine->pnp->root;

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    devnode_drop_from_power_relations(node);
    arbiter_release(node);
    io_device(node->pdo)->devnode = NULL;
    io_device(node->pdo)->extension.DeviceNode = NULL;
    ob_dereference(node->pdo);
    devnode_forget_identity(node);
    image_free(node->boot);
    image_free(node->requirements);
    image_free(node->service);
    image_free(node);
}

void devnode_set_problem(struct devnode *node, enum devnode_problem problem, NTSTATUS status)
{
    node->problem = problem;
    node->problem_status = status;
    log_line(LOG_WARNING, "pnp", "%s: code %u, %s (status 0x%08x)",
             node->instance_path != NULL ? node->instance_path : "(new device)", problem, pnp_problem_name(problem),
             (unsigned)status);
}

struct cm_key *devnode_key(const struct devnode *node)
{
    char *path = image_printf("%s\\%s", CM_ENUM, node->instance_path);
    struct cm_key *key = cm_key_create(path);

    image_free(path);
    return key;
}

void devnode_set_open_refusal(struct devnode *node, ULONG bits, bool set)
{
    ULONG *flags = &io_device(node->pdo)->extension.ExtensionFlags;

    *flags = set ? *flags | bits : *flags & ~bits;
}

/* ---- looking at the tree ---- */

struct devnode *pnp_root(void)
{
    return machine->pnp->root;
}

struct devnode *pnp_parent(struct devnode *node)
{
    return node->parent;
}

struct devnode *pnp_next(struct devnode *node)
{
    if (node->children != NULL)
        return node->children;
    while (node != NULL && node->next == NULL)
        node = node->parent;
    return node != NULL ? node->next : NULL;
}

struct devnode *pnp_find(const char *id)
{
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        if (node->instance_path != NULL && _stricmp(node->instance_path, id) == 0)
            return node;
        for (char **hardware = node->hardware_ids; hardware != NULL && *hardware != NULL; hardware++) {
            if (_stricmp(*hardware, id) == 0)
                return node;
        }
    }
    return NULL;
}

struct devnode *pnp_node_of(PDEVICE_OBJECT pdo)
{
    if (pdo == NULL || pdo->Type != IO_TYPE_DEVICE)
        return NULL;
    return io_device(pdo)->devnode;
}

struct devnode *pnp_require_pdo(PDEVICE_OBJECT device, const char *routine)
{
    struct devnode *node = pnp_node_of(device);
    const void *driver = device != NULL && device->Type == IO_TYPE_DEVICE ? device->DriverObject : NULL;

    if (node == NULL)
        nt_violation_code(PNP_DETECTED_FATAL_ERROR, (uint64_t[4]){2, (uintptr_t)device, (uintptr_t)driver},
                          "pnp-not-a-pdo", "%s with %p, which is no physical device object that its bus has reported",
                          routine, device);
    return node;
}

bool pnp_is_started(PDEVICE_OBJECT pdo)
{
    const struct devnode *node = pnp_node_of(pdo);

    return node != NULL && node->state == DEVNODE_STARTED;
}

const CM_RESOURCE_LIST *pnp_translated_resources(PDEVICE_OBJECT pdo)
{
    const struct devnode *node = pnp_node_of(pdo);

    return node != NULL ? node->translated : NULL;
}

const PNP_BUS_INFORMATION *pnp_bus_information(const struct devnode *node)
{
    return node->has_bus ? &node->bus : NULL;
}

const DEVICE_CAPABILITIES *pnp_capabilities(const struct devnode *node)
{
    return &node->capabilities;
}

const char *pnp_instance_path(const struct devnode *node)
{
    return node->instance_path != NULL ? node->instance_path : "(not identified)";
}

const char *pnp_service(const struct devnode *node)
{
    return node->service;
}

enum devnode_state pnp_state(const struct devnode *node)
{
    return node->state;
}

enum devnode_problem pnp_problem(const struct devnode *node)
{
    return node->problem;
}

NTSTATUS pnp_problem_status(const struct devnode *node)
{
    return node->problem_status;
}

PDEVICE_OBJECT pnp_pdo(const struct devnode *node)
{
    return node->pdo;
}

const char *pnp_state_name(enum devnode_state state)
{
    static const char *const names[] = {
        [DEVNODE_UNINITIALIZED] = "uninitialized",
        [DEVNODE_INITIALIZED] = "initialized",
        [DEVNODE_DRIVERS_ADDED] = "drivers added",
        [DEVNODE_RESOURCES_ASSIGNED] = "resources assigned",
        [DEVNODE_STARTED] = "started",
        [DEVNODE_STOPPED] = "stopped",
        [DEVNODE_SURPRISE_REMOVED] = "surprise removed",
        [DEVNODE_REMOVED] = "removed",
    };

    return names[state];
}

const char *pnp_problem_name(enum devnode_problem problem)
{
    switch (problem) {
    case PROBLEM_NONE:
        return "no problem";
    case PROBLEM_INVALID_DATA:
        return "the bus driver's identification is unusable";
    case PROBLEM_FAILED_START:
        return "the device cannot start";
    case PROBLEM_NORMAL_CONFLICT:
        return "no free resources for the device";
    case PROBLEM_NEED_RESTART:
        return "the device works after a restart of the computer";
    case PROBLEM_REGISTRY:
        return "its configuration in the registry is damaged: a driver that it names is not there";
    case PROBLEM_WILL_BE_REMOVED:
        return "the device is being removed";
    case PROBLEM_DISABLED:
        return "the device is disabled";
    case PROBLEM_DEVICE_NOT_THERE:
        return "the device was removed";
    case PROBLEM_FAILED_INSTALL:
        return "no driver is installed for the device";
    case PROBLEM_FAILED_ADD:
        return "a driver does not take the device";
    case PROBLEM_DISABLED_SERVICE:
        return "a driver of the device is disabled";
    case PROBLEM_FAILED_DRIVER_ENTRY:
        return "a driver of the device failed to initialise";
    case PROBLEM_DRIVER_FAILED_LOAD:
        return "a driver of the device could not be loaded";
    case PROBLEM_DUPLICATE_DEVICE:
        return "another device with this identification is still there";
    case PROBLEM_FAILED_POST_START:
        return "the driver reported that the device has failed";
    }
    return "?";
}
