/*
 * Bringing a device up: the drivers of its stack in their order, resources, IRP_MN_START_DEVICE, and what the manager
 * asks once the device runs ("PnP driver design", "Starting a device", IRP_MN_FILTER_RESOURCE_REQUIREMENTS).
 */
#include <string.h>

#include "nt/ex/pool.h"
#include "nt/pnp/pnp_internal.h"
#include "nt/verifier/irp_rules.h"

#define SERVICE_DISABLED 4u
#define CONFIGFLAG_DISABLED 0x1u

static const struct {
    const char *service;
    PDRIVER_INITIALIZE entry;
} builtin_drivers[] = {
    {"PnpManager", root_driver_entry},
    {"pci", pci_driver_entry},
};

NTSTATUS pnp_load_driver(const char *service, PDRIVER_OBJECT *driver)
{
    *driver = io_find_driver(service);
    if (*driver != NULL)
        return STATUS_SUCCESS;
    for (size_t i = 0; i < RTL_NUMBER_OF(builtin_drivers); i++) {
        if (_stricmp(service, builtin_drivers[i].service) == 0)
            return io_create_builtin_driver(builtin_drivers[i].service, builtin_drivers[i].entry, driver);
    }
    return io_load_driver(service, driver);
}

/* ---- AddDevice ---- */

static bool load_failed(struct devnode *node, const char *service, NTSTATUS status)
{
    enum devnode_problem problem = PROBLEM_DRIVER_FAILED_LOAD;

    if (status == STATUS_FAILED_DRIVER_ENTRY)
        problem = PROBLEM_FAILED_DRIVER_ENTRY;
    log_line(LOG_ERROR, "pnp", "%s: driver %s is not available", node->instance_path, service);
    devnode_set_problem(node, problem, status);
    return false;
}

/* AddDevice must leave a started stack of initialised devices behind. */
static void check_added(const struct devnode *node, PDRIVER_OBJECT driver)
{
    for (PDEVICE_OBJECT device = io_stack_above(node->pdo); device != NULL; device = io_stack_above(device)) {
        if (device->DriverObject == driver && (device->Flags & DO_DEVICE_INITIALIZING))
            nt_violation_sub("device-initializing", 0, 0, (uintptr_t)device,
                             "AddDevice of driver %s left DO_DEVICE_INITIALIZING set in its device "
                             "object",
                             io_driver_name(driver));
    }
}

static bool add_driver(struct devnode *node, const char *service)
{
    char *path = image_printf("%s\\%s", CM_SERVICES, service);
    struct cm_key *key = cm_key_open(path);
    PDRIVER_OBJECT driver;
    ULONG start = 0;
    NTSTATUS status;
    KIRQL irql;

    image_free(path);
    if (key == NULL) {
        log_line(LOG_ERROR, "pnp", "%s: its registry key names the service %s, which is not there", node->instance_path,
                 service);
        devnode_set_problem(node, PROBLEM_REGISTRY, STATUS_OBJECT_NAME_NOT_FOUND);
        return false;
    }
    if (cm_value_get_dword(key, "Start", &start) && start == SERVICE_DISABLED) {
        devnode_set_problem(node, PROBLEM_DISABLED_SERVICE, STATUS_PLUGPLAY_NO_DEVICE);
        return false;
    }
    status = pnp_load_driver(service, &driver);
    if (!NT_SUCCESS(status))
        return load_failed(node, service, status);
    if (node->driver_count == DEVNODE_MAX_DRIVERS)
        fail("pnp-stack", "%s has more than %u drivers", node->instance_path, DEVNODE_MAX_DRIVERS);
    node->drivers[node->driver_count++] = driver; /* with the reference of pnp_load_driver() */
    if (driver->DriverExtension->AddDevice == NULL) {
        log_line(LOG_ERROR, "pnp", "%s: driver %s has no AddDevice", node->instance_path, service);
        devnode_set_problem(node, PROBLEM_FAILED_ADD, STATUS_PLUGPLAY_NO_DEVICE);
        return false;
    }
    irql = ke_irql();
    status = DRIVER_CALLOUT("AddDevice", driver->DriverExtension->AddDevice, driver, node->pdo);
    if (ke_irql() != irql)
        nt_violation("irql-changed", "AddDevice of driver %s was called at IRQL %u and returned at %u", service, irql,
                     ke_irql());
    log_line(LOG_DEBUG, "pnp", "%s: AddDevice of %s: 0x%08x", node->instance_path, service, (unsigned)status);
    if (!NT_SUCCESS(status)) {
        devnode_set_problem(node, PROBLEM_FAILED_ADD, status);
        return false;
    }
    check_added(node, driver);
    return true;
}

static bool add_filters(struct devnode *node, const struct cm_key *key, const char *value)
{
    bool good = true;
    char *service;

    if (key == NULL)
        return true;
    for (unsigned i = 0; good && (service = cm_value_get_multi(key, value, i)) != NULL; i++) {
        good = add_driver(node, service);
        image_free(service);
    }
    return good;
}

static struct cm_key *class_key(const struct cm_key *device)
{
    char *guid = cm_value_get_string(device, "ClassGUID");
    struct cm_key *key = NULL;
    char *path;

    if (guid == NULL)
        return NULL;
    path = image_printf("%s\\%s", CM_CLASS, guid);
    key = cm_key_open(path);
    image_free(path);
    image_free(guid);
    return key;
}

/* The service's Enum key lists the devices that it has, as on Windows. */
static void note_service_device(const struct devnode *node, bool add)
{
    char *path = image_printf("%s\\%s", CM_SERVICES, node->service);
    struct cm_key *key = cm_key_open(path);
    ULONG count = 0;
    bool there = false;

    image_free(path);
    if (key == NULL)
        return;
    key = cm_key_create_volatile_at(key, "Enum");
    (void)cm_value_get_dword(key, "Count", &count);
    for (ULONG i = 0; i < count; i++) {
        char *name = image_printf("%u", i);
        char *instance = cm_value_get_string(key, name);

        if (there) { /* close the gap that the removed entry left */
            char *before = image_printf("%u", i - 1);

            cm_value_set_string(key, before, REG_SZ, instance);
            image_free(before);
        } else if (_stricmp(instance, node->instance_path) == 0) {
            there = true;
            if (add) {
                image_free(name);
                image_free(instance);
                return;
            }
        }
        image_free(name);
        image_free(instance);
    }
    if (add) {
        char *name = image_printf("%u", count++);

        cm_value_set_string(key, name, REG_SZ, node->instance_path);
        image_free(name);
    } else if (there) {
        char *name = image_printf("%u", --count);

        cm_value_delete(key, name);
        image_free(name);
    }
    cm_value_set_dword(key, "Count", count);
    cm_value_set_dword(key, "NextInstance", count);
}

void devnode_forget_service(struct devnode *node)
{
    if (node->service == NULL)
        return;
    note_service_device(node, false);
    image_free(node->service);
    node->service = NULL;
}

void devnode_add_drivers(struct devnode *node)
{
    struct cm_key *key = devnode_key(node);
    struct cm_key *class;
    ULONG flags = 0;
    bool good;

    if (cm_value_get_dword(key, "ConfigFlags", &flags) && (flags & CONFIGFLAG_DISABLED)) {
        devnode_set_problem(node, PROBLEM_DISABLED, STATUS_SUCCESS);
        return;
    }
    if (!devnode_install(node))
        return;
    key = devnode_key(node);
    class = class_key(key);
    node->service = cm_value_get_string(key, "Service");
    if (node->service != NULL)
        note_service_device(node, true);
    /* Without one the device runs by its bus driver alone: a raw device, or one whose INF says that it needs none. */
    devnode_set_open_refusal(node, IO_DEVICE_REMOVE_PROCESSED | IO_DEVICE_REMOVE_PENDING, false);
    devnode_set_open_refusal(node, IO_DEVICE_START_PENDING, true);
    good = add_filters(node, key, "LowerFilters") && add_filters(node, class, "LowerFilters") &&
           (node->service == NULL || add_driver(node, node->service)) && add_filters(node, key, "UpperFilters") &&
           add_filters(node, class, "UpperFilters");
    if (good)
        node->state = DEVNODE_DRIVERS_ADDED;
    else
        devnode_remove_failed(node);
}

/* ---- resources ---- */

/*
 * What the stack makes of the device's requirements: a copy in the machine heap, NULL if there are none. A driver that
 * returns a list of its own frees the one it was given, as the rules for QUERY_RESOURCE_REQUIREMENTS say, or leaves it
 * to us: the documentation of this request does not tell.
 */
static PIO_RESOURCE_REQUIREMENTS_LIST filter_requirements(struct devnode *node, NTSTATUS *result)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_FILTER_RESOURCE_REQUIREMENTS};
    PIO_RESOURCE_REQUIREMENTS_LIST own = requirements_copy(node->requirements);
    PIO_RESOURCE_REQUIREMENTS_LIST offered = NULL;
    PIO_RESOURCE_REQUIREMENTS_LIST answer;
    ULONG_PTR information;
    NTSTATUS status;

    *result = STATUS_SUCCESS;
    if (own == NULL && node->boot != NULL)
        own = requirements_from_resources(node->boot);
    if (own != NULL) {
        offered = ExAllocatePoolWithTag(PagedPool, own->ListSize, PNP_TAG_OFFER);
        if (offered == NULL) {
            *result = STATUS_INSUFFICIENT_RESOURCES;
            image_free(own);
            return NULL;
        }
        memcpy(offered, own, own->ListSize);
    }
    stack.Parameters.FilterResourceRequirements.IoResourceRequirementList = offered;
    information = (ULONG_PTR)offered;
    status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);
    answer = (PIO_RESOURCE_REQUIREMENTS_LIST)information;
    if (NT_SUCCESS(status)) {
        image_free(own);
        own = requirements_copy(answer);
        if (answer != NULL && answer != offered)
            ExFreePool(answer);
    } else if (status != STATUS_NOT_SUPPORTED) {
        *result = status;
    }
    if (offered != NULL && pool_tag_bytes(PNP_TAG_OFFER) != 0)
        ExFreePoolWithTag(offered, PNP_TAG_OFFER);
    return own;
}

void devnode_assign_resources(struct devnode *node)
{
    NTSTATUS status;
    PIO_RESOURCE_REQUIREMENTS_LIST requirements = filter_requirements(node, &status);

    if (NT_SUCCESS(status) && requirements != NULL)
        status = arbiter_assign(node, requirements);
    image_free(requirements);
    if (!NT_SUCCESS(status)) {
        devnode_set_problem(node, PROBLEM_NORMAL_CONFLICT, status);
        devnode_remove_failed(node);
        return;
    }
    node->state = DEVNODE_RESOURCES_ASSIGNED;
}

/* ---- start ---- */

/* A copy in pool memory that is gone after the request: drivers copy what they want to keep. */
static NTSTATUS lend(const CM_RESOURCE_LIST *list, PCM_RESOURCE_LIST *copy)
{
    *copy = NULL;
    if (list == NULL)
        return STATUS_SUCCESS;
    *copy = ExAllocatePoolWithTag(PagedPool, resources_size(list), PNP_TAG);
    if (*copy == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    memcpy(*copy, list, resources_size(list));
    return STATUS_SUCCESS;
}

static NTSTATUS send_start(struct devnode *node)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_START_DEVICE};
    PCM_RESOURCE_LIST raw = NULL;
    PCM_RESOURCE_LIST translated = NULL;
    NTSTATUS status = lend(node->raw, &raw);

    if (NT_SUCCESS(status))
        status = lend(node->translated, &translated);
    if (NT_SUCCESS(status)) {
        stack.Parameters.StartDevice.AllocatedResources = raw;
        stack.Parameters.StartDevice.AllocatedResourcesTranslated = translated;
        status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, NULL);
    }
    if (raw != NULL)
        ExFreePoolWithTag(raw, PNP_TAG);
    if (translated != NULL)
        ExFreePoolWithTag(translated, PNP_TAG);
    return status;
}

static void note_running(struct devnode *node)
{
    struct cm_key *control = cm_key_create_volatile_at(devnode_key(node), "Control");

    if (node->service != NULL)
        cm_value_set_string(control, "ActiveService", REG_SZ, node->service);
    if (node->raw != NULL)
        cm_value_set(control, "AllocConfig", REG_RESOURCE_LIST, node->raw, resources_size(node->raw));
}

/* ---- other resources than before ---- */

static void query_requirements_again(struct devnode *node)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_QUERY_RESOURCE_REQUIREMENTS};
    ULONG_PTR information = 0;
    NTSTATUS status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);

    if (!NT_SUCCESS(status) || information == 0)
        return;
    image_free(node->requirements);
    node->requirements = requirements_copy((PIO_RESOURCE_REQUIREMENTS_LIST)information);
    ExFreePool((PVOID)information);
}

static NTSTATUS assign_and_start(struct devnode *node)
{
    arbiter_release(node);
    devnode_assign_resources(node);
    if (node->state == DEVNODE_RESOURCES_ASSIGNED)
        devnode_start(node);
    return node->state == DEVNODE_STARTED ? STATUS_SUCCESS : node->problem_status;
}

/*
 * Stop and start again. `changed`: the device requires other resources than before, of which a bus driver may also tell
 * in its answer to the query.
 */
static NTSTATUS restart(struct devnode *node, bool changed)
{
    NTSTATUS status;

    if (node->state != DEVNODE_STARTED)
        return STATUS_INVALID_DEVICE_STATE;
    status = pnp_send_minor(node, IRP_MN_QUERY_STOP_DEVICE);
    if (!NT_SUCCESS(status)) {
        pnp_send_must_succeed(node, IRP_MN_CANCEL_STOP_DEVICE);
        return status;
    }
    if (changed || status == STATUS_RESOURCE_REQUIREMENTS_CHANGED)
        query_requirements_again(node);
    net_class_gone(node);
    pnp_send_must_succeed(node, IRP_MN_STOP_DEVICE);
    node->state = DEVNODE_STOPPED;
    return assign_and_start(node);
}

/* IRP_MN_START_DEVICE for a device that is started already. */
static void give_new_resources(struct devnode *node)
{
    query_requirements_again(node);
    net_class_gone(node);
    (void)assign_and_start(node);
}

void devnode_start(struct devnode *node)
{
    DEVICE_CAPABILITIES capabilities;
    bool first = !node->was_started;
    NTSTATUS status = send_start(node);

    if (!NT_SUCCESS(status)) {
        devnode_set_problem(node, status == STATUS_PNP_REBOOT_REQUIRED ? PROBLEM_NEED_RESTART : PROBLEM_FAILED_START,
                            status);
        devnode_remove_failed(node);
        return;
    }
    node->state = DEVNODE_STARTED;
    node->was_started = true;
    devnode_set_open_refusal(node, IO_DEVICE_START_PENDING, false);
    note_running(node);
    log_line(LOG_INFO, "pnp", "%s started%s%s", node->instance_path, node->service != NULL ? " by " : "",
             node->service != NULL ? node->service : "");
    /* A bus filter or the driver may know more of the device now that it runs. */
    if (NT_SUCCESS(pnp_query_capabilities(node, &capabilities)))
        node->capabilities = capabilities;
    irp_rule_unknown_minors(node->pdo);
    io_interfaces_started(node->pdo);
    net_class_started(node);
    if (first) /* not after a stop */
        devnode_query_state(node);
    node->enumerate = node->state == DEVNODE_STARTED;
}

void devnode_query_state(struct devnode *node)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_QUERY_PNP_DEVICE_STATE};
    ULONG_PTR information = 0;
    NTSTATUS status;

    if (node->state != DEVNODE_STARTED)
        return;
    status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);
    node->device_state = NT_SUCCESS(status) ? (PNP_DEVICE_STATE)information : 0;
    if (node->device_state & PNP_DEVICE_RESOURCE_REQUIREMENTS_CHANGED) {
        /* A device that has failed must be stopped for it; another one is given its new resources as it runs. */
        if (node->device_state & PNP_DEVICE_FAILED)
            (void)restart(node, true);
        else
            give_new_resources(node);
    } else if (node->device_state &
               (PNP_DEVICE_FAILED | PNP_DEVICE_DISABLED | PNP_DEVICE_REMOVED | PNP_DEVICE_DISCONNECTED)) {
        enum devnode_problem problem =
            (node->device_state & PNP_DEVICE_DISABLED) ? PROBLEM_DISABLED : PROBLEM_FAILED_POST_START;

        devnode_set_problem(node, problem, STATUS_DEVICE_NOT_READY);
        devnode_remove_surprise(node);
    }
}

NTSTATUS devnode_restart(struct devnode *node)
{
    return restart(node, false);
}
