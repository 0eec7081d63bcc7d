/*
 * The PnP worker: one thread that takes what drivers and the harness ask for, one action after another, and after each
 * brings every device node as far as it can go.
 */
#include <stdio.h>

#include "nt/ex/ex.h"
#include "nt/fs/fs.h"
#include "nt/pnp/pnp_internal.h"

void pnp_init(void)
{
    struct pnp_state *pnp = image_alloc(sizeof(*pnp));

    machine->pnp = pnp;
    InitializeListHead(&pnp->actions);
    packages_init();
}

static KIRQL lock(void)
{
    KIRQL irql = ke_irql();

    if (irql < DISPATCH_LEVEL)
        ke_set_irql(DISPATCH_LEVEL);
    ke_spin_acquire(&machine->pnp->lock);
    return irql;
}

static void unlock(KIRQL irql)
{
    ke_spin_release(&machine->pnp->lock);
    if (irql < DISPATCH_LEVEL)
        ke_set_irql(irql);
}

/* ---- asking the worker ---- */

void pnp_enqueue(struct pnp_action *action)
{
    KIRQL irql = lock();

    InsertTailList(&machine->pnp->actions, &action->entry);
    KeClearEvent(&machine->pnp->idle);
    unlock(irql);
    KeSetEvent(&machine->pnp->wake, IO_NO_INCREMENT, FALSE);
}

NTSTATUS pnp_request(enum pnp_action_kind kind, PDEVICE_OBJECT device, bool wait)
{
    struct pnp_action *action;
    NTSTATUS result = STATUS_SUCCESS;
    KEVENT done;

    if (!machine->pnp->running)
        return STATUS_DEVICE_NOT_READY;
    action = image_alloc(sizeof(*action));
    action->kind = kind;
    action->device = device;
    if (device != NULL)
        ob_reference(device);
    if (wait) {
        if (KeGetCurrentThread() == machine->pnp->worker)
            nt_violation("pnp-deadlock", "the PnP worker would wait for itself");
        KeInitializeEvent(&done, NotificationEvent, FALSE);
        action->result = &result;
        action->done = &done;
    }
    pnp_enqueue(action);
    if (wait)
        KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    return result;
}

void pnp_kick(void)
{
    struct pnp_state *pnp = machine->pnp;
    KIRQL irql;

    if (!pnp->running)
        return;
    irql = lock();
    pnp->kicked = true;
    KeClearEvent(&pnp->idle);
    unlock(irql);
    KeSetEvent(&pnp->wake, IO_NO_INCREMENT, FALSE);
}

bool pnp_quiet(void)
{
    const struct pnp_state *pnp = machine->pnp;

    return !pnp->running || (!pnp->busy && !pnp->kicked && IsListEmpty(&pnp->actions));
}

void pnp_wait_quiet(void)
{
    while (!pnp_quiet())
        KeWaitForSingleObject(&machine->pnp->idle, Executive, KernelMode, FALSE, NULL);
}

void pnp_hold(void)
{
    struct pnp_state *pnp = machine->pnp;

    while (!pnp->held) {
        KIRQL irql;

        pnp_wait_quiet();
        irql = lock();
        pnp->held = pnp_quiet();
        unlock(irql);
    }
}

void pnp_release(void)
{
    struct pnp_state *pnp = machine->pnp;
    KIRQL irql = lock();

    pnp->held = false;
    unlock(irql);
    if (pnp->running)
        KeSetEvent(&pnp->wake, IO_NO_INCREMENT, FALSE);
}

/* ---- bringing nodes as far as they go ---- */

static bool has_work(const struct devnode *node)
{
    switch (node->state) {
    case DEVNODE_UNINITIALIZED:
    case DEVNODE_DRIVERS_ADDED:
    case DEVNODE_RESOURCES_ASSIGNED:
        return true;
    case DEVNODE_INITIALIZED:
        return node->problem == PROBLEM_NONE;
    case DEVNODE_STARTED:
        return node->enumerate;
    case DEVNODE_STOPPED:
    case DEVNODE_SURPRISE_REMOVED:
    case DEVNODE_REMOVED:
        return false;
    }
    return false;
}

static void step(struct devnode *node)
{
    switch (node->state) {
    case DEVNODE_UNINITIALIZED:
        devnode_identify(node);
        break;
    case DEVNODE_INITIALIZED:
        devnode_add_drivers(node);
        break;
    case DEVNODE_DRIVERS_ADDED:
        devnode_assign_resources(node);
        break;
    case DEVNODE_RESOURCES_ASSIGNED:
        devnode_start(node);
        break;
    case DEVNODE_STARTED:
        devnode_enumerate(node);
        break;
    default:
        break;
    }
}

/* One step at a time from the top of the tree: a step may change the tree anywhere. */
static void settle(void)
{
    for (;;) {
        struct devnode *node = pnp_root();

        while (node != NULL && !has_work(node))
            node = pnp_next(node);
        if (node == NULL)
            return;
        step(node);
    }
}

static NTSTATUS retry(struct devnode *node)
{
    if (node->state != DEVNODE_INITIALIZED && node->state != DEVNODE_REMOVED)
        return STATUS_INVALID_DEVICE_STATE;
    if (node->parent->state != DEVNODE_STARTED || node->missing)
        return STATUS_NO_SUCH_DEVICE;
    node->problem = PROBLEM_NONE;
    node->problem_status = STATUS_SUCCESS;
    node->state = node->instance_path != NULL ? DEVNODE_INITIALIZED : DEVNODE_UNINITIALIZED;
    settle();
    return node->state == DEVNODE_STARTED ? STATUS_SUCCESS : node->problem_status;
}

static NTSTATUS perform(const struct pnp_action *action)
{
    struct devnode *node = pnp_node_of(action->device);

    if (action->kind == ACTION_BOOT) {
        pnp_start_boot_drivers();
        return STATUS_SUCCESS;
    }
    if (action->kind == ACTION_SHUTDOWN)
        return pnp_remove_tree();
    if (node == NULL)
        return STATUS_NO_SUCH_DEVICE; /* it went away while the action waited */
    switch (action->kind) {
    case ACTION_ENUMERATE:
    case ACTION_RESCAN:
        if (node->state != DEVNODE_STARTED)
            return STATUS_INVALID_DEVICE_STATE; /* its start asks for them anyway */
        node->enumerate = true;
        return STATUS_SUCCESS;
    case ACTION_POWER_RELATIONS:
        devnode_query_power_relations(node);
        return STATUS_SUCCESS;
    case ACTION_STATE:
        devnode_query_state(node);
        return STATUS_SUCCESS;
    case ACTION_EJECT:
        return node->parent == NULL ? STATUS_INVALID_DEVICE_REQUEST : devnode_remove_orderly(node, true);
    case ACTION_REMOVE:
        return node->parent == NULL ? STATUS_INVALID_DEVICE_REQUEST : devnode_remove_orderly(node, false);
    case ACTION_SURPRISE:
        if (node->parent == NULL)
            return STATUS_INVALID_DEVICE_REQUEST;
        devnode_remove_surprise(node);
        return STATUS_SUCCESS;
    case ACTION_RESTART:
        return devnode_restart(node);
    case ACTION_RETRY:
        return retry(node);
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

/* Whether the worker may go on: nobody holds it, and nobody can until it rests. */
static bool begin(void)
{
    KIRQL irql = lock();
    bool may = !machine->pnp->held;

    machine->pnp->busy |= may;
    unlock(irql);
    return may;
}

static struct pnp_action *next_action(void)
{
    struct pnp_state *pnp = machine->pnp;
    struct pnp_action *action = NULL;
    KIRQL irql = lock();

    pnp->kicked = false;
    if (!IsListEmpty(&pnp->actions))
        action = CONTAINING_RECORD(RemoveHeadList(&pnp->actions), struct pnp_action, entry);
    pnp->busy = true;
    unlock(irql);
    return action;
}

/* True when nothing came in meanwhile and the worker may sleep. */
static bool rest(void)
{
    struct pnp_state *pnp = machine->pnp;
    KIRQL irql = lock();
    bool idle = IsListEmpty(&pnp->actions) && !pnp->kicked;

    if (idle) {
        pnp->busy = false;
        KeSetEvent(&pnp->idle, IO_NO_INCREMENT, FALSE);
    }
    unlock(irql);
    return idle;
}

static void finish_action(struct pnp_action *action, NTSTATUS result)
{
    if (action->result != NULL)
        *action->result = result;
    if (action->done != NULL)
        KeSetEvent(action->done, IO_NO_INCREMENT, FALSE);
    if (action->device != NULL)
        ob_dereference(action->device);
    image_free(action);
}

static void worker_main(void *argument)
{
    struct pnp_state *pnp = machine->pnp;
    struct pnp_action *action;

    (void)argument;
    while (pnp->running) {
        NTSTATUS result = STATUS_SUCCESS;

        if (!begin()) {
            KeWaitForSingleObject(&pnp->wake, Executive, KernelMode, FALSE, NULL);
            continue;
        }
        action = next_action();
        if (action != NULL && action->kind == ACTION_CUSTOM) {
            action->custom(action); /* its owner's to free: it may be gone */
            action = NULL;
        } else if (action != NULL) {
            result = perform(action);
        }
        settle();
        while (devnode_finish_removals() || io_deliver_notifications())
            settle();
        if (action != NULL && action->kind == ACTION_SHUTDOWN && NT_SUCCESS(result))
            pnp->running = false;
        if (action != NULL)
            finish_action(action, result);
        if (rest() && pnp->running)
            KeWaitForSingleObject(&pnp->wake, Executive, KernelMode, FALSE, NULL);
    }
    /* What was asked for while the tree went down concerns devices that are gone. */
    while ((action = next_action()) != NULL) {
        if (action->kind == ACTION_CUSTOM)
            action->custom(action);
        else
            finish_action(action, STATUS_NO_SUCH_DEVICE);
    }
    (void)rest();
    ke_thread_exit(STATUS_SUCCESS);
}

/* ---- the harness's calls ---- */

static void start_worker(void)
{
    struct pnp_state *pnp = machine->pnp;

    KeInitializeEvent(&pnp->wake, SynchronizationEvent, FALSE);
    KeInitializeEvent(&pnp->idle, NotificationEvent, FALSE);
    pnp->running = true;
    pnp->worker = ke_thread_create_host("pnp", worker_main, NULL);
}

static void end_worker(void)
{
    struct pnp_state *pnp = machine->pnp;

    KeWaitForSingleObject(pnp->worker, Executive, KernelMode, FALSE, NULL);
    ob_dereference(pnp->worker);
    pnp->worker = NULL;
}

void pnp_boot(void)
{
    if (machine->pnp->running)
        fail("pnp-boot", "the machine has booted already");
    io_begin_boot();
    start_worker();
    (void)pnp_request(ACTION_BOOT, NULL, true);
    pnp_wait_quiet();
    io_end_boot();
    pnp_wait_quiet();
}

/* What is loaded without having a device any more: the last loaded first, since it may build on the others. */
static bool unload_drivers(void)
{
    PDRIVER_OBJECT *list = NULL;
    unsigned count = 0;
    bool good = true;

    for (PDRIVER_OBJECT driver = io_next_driver(NULL); driver != NULL; driver = io_next_driver(driver)) {
        if (driver->Flags & DRVO_UNLOAD_INVOKED)
            continue; /* unloaded; a reference to one of its objects keeps it from going */
        if (driver == fs_driver())
            continue; /* the others may still write their files */
        list = image_realloc(list, (count + 1) * sizeof(*list));
        list[count++] = driver;
        ob_reference(driver);
    }
    while (count-- != 0) {
        PDRIVER_OBJECT driver = list[count];

        if (!NT_SUCCESS(io_unload_driver(driver))) {
            snprintf(machine->pnp->refusal, sizeof(machine->pnp->refusal), "driver %s cannot be unloaded: it has %s",
                     io_driver_name(driver), driver->DriverUnload == NULL ? "no DriverUnload" : "device objects left");
            log_line(LOG_WARNING, "pnp", "%s", machine->pnp->refusal);
            good = false;
        }
        ob_dereference(driver);
    }
    image_free(list);
    if (good && !fs_unmount()) {
        snprintf(machine->pnp->refusal, sizeof(machine->pnp->refusal),
                 "the file system cannot be unloaded: a file is still open");
        log_line(LOG_WARNING, "pnp", "%s", machine->pnp->refusal);
        good = false;
    }
    return good;
}

bool pnp_shutdown_all(void)
{
    pnp_wait_quiet();
    if (!NT_SUCCESS(pnp_request(ACTION_SHUTDOWN, NULL, true)))
        return false;
    end_worker();
    ex_workers_drain();
    return unload_drivers();
}

NTSTATUS pnp_remove_device(struct devnode *node, bool surprise)
{
    return pnp_request(surprise ? ACTION_SURPRISE : ACTION_REMOVE, node->pdo, true);
}

NTSTATUS pnp_rescan(struct devnode *node)
{
    return pnp_request(ACTION_RESCAN, node->pdo, true);
}

NTSTATUS pnp_restart_device(struct devnode *node)
{
    return pnp_request(ACTION_RESTART, node->pdo, true);
}

NTSTATUS pnp_eject_device(struct devnode *node)
{
    return pnp_request(ACTION_EJECT, node->pdo, true);
}

NTSTATUS pnp_retry_device(struct devnode *node)
{
    return pnp_request(ACTION_RETRY, node->pdo, true);
}

/* ---- what drivers ask for (wdm.h) ---- */

VOID NTAPI IoInvalidateDeviceRelations(PDEVICE_OBJECT DeviceObject, DEVICE_RELATION_TYPE Type)
{
    NT_CALL(DISPATCH_LEVEL);
    (void)pnp_require_pdo(DeviceObject, __func__);
    switch (Type) {
    case BusRelations:
    case SingleBusRelations:
        (void)pnp_request(ACTION_ENUMERATE, DeviceObject, false);
        break;
    case PowerRelations:
        (void)pnp_request(ACTION_POWER_RELATIONS, DeviceObject, false);
        break;
    case EjectionRelations:
    case RemovalRelations:
    case TransportRelations:
        break; /* asked for afresh whenever they are needed */
    default:
        nt_violation("pnp-relations", "IoInvalidateDeviceRelations with relation type %d", Type);
    }
}

VOID NTAPI IoInvalidateDeviceState(PDEVICE_OBJECT PhysicalDeviceObject)
{
    NT_CALL(DISPATCH_LEVEL);
    (void)pnp_require_pdo(PhysicalDeviceObject, __func__);
    (void)pnp_request(ACTION_STATE, PhysicalDeviceObject, false);
}

VOID NTAPI IoRequestDeviceEject(PDEVICE_OBJECT PhysicalDeviceObject)
{
    NT_CALL(DISPATCH_LEVEL);
    (void)pnp_require_pdo(PhysicalDeviceObject, __func__);
    (void)pnp_request(ACTION_EJECT, PhysicalDeviceObject, false);
}
