/*
 * Plug and Play notification: IoRegisterPlugPlayNotification, IoUnregisterPlugPlayNotification(Ex),
 * IoReportTargetDeviceChange(Asynchronous) (wdm.h). Callbacks run at PASSIVE_LEVEL in the PnP worker; those for
 * interfaces that exist already run in the registering thread.
 */
#include <string.h>

#include <wdmguid.h>

#include "nt/cm/cm.h"
#include "nt/io/io_internal.h"
#include "nt/pnp/pnp_internal.h"

struct notification {
    LIST_ENTRY entry;
    IO_NOTIFICATION_EVENT_CATEGORY category;
    GUID class;            /* device interface changes */
    PDEVICE_OBJECT pdo;    /* target device changes: referenced */
    PFILE_OBJECT file;     /* as registered, for the callback */
    PDRIVER_OBJECT driver; /* referenced: its image stays for the callback */
    PDRIVER_NOTIFICATION_CALLBACK_ROUTINE callback;
    PVOID context;
    const void *registered_by;
    bool asked;      /* has been sent a query-remove that is not decided */
    bool dead;       /* unregistered while its callback ran */
    PKTHREAD caller; /* thread inside the callback */
    KEVENT *waiter;  /* unregistration that waits for the callback's end */
    unsigned seen;   /* last interface change or round that it was called for */
};

struct interface_change {
    LIST_ENTRY entry;
    GUID event;
    GUID class;
    char *link;
};

static void destroy(struct notification *notification)
{
    RemoveEntryList(&notification->entry);
    if (notification->pdo != NULL)
        ob_dereference(notification->pdo);
    ob_dereference(notification->driver);
    image_free(notification);
}

/* Returns what the callback returned; the registration may be gone afterwards. */
static NTSTATUS call(struct notification *notification, PVOID structure)
{
    KIRQL irql = ke_irql();
    KEVENT *waiter;
    NTSTATUS status;

    notification->caller = KeGetCurrentThread();
    status = DRIVER_CALLOUT("notification callback", notification->callback, structure, notification->context);
    if (ke_irql() != irql) {
        const int64_t disabled = lock_apc_disable_count(ke_thread());
        const uint64_t parameter[4] = {0xA, (uintptr_t)notification->driver, ke_irql(), (uint64_t)disabled};
        char where[LOADER_DESCRIPTION_MAX];

        nt_violation_code(PNP_DETECTED_FATAL_ERROR, parameter, "irql-changed",
                          "the notification callback %s was called at IRQL %u and returned at %u",
                          loader_name((const void *)(uintptr_t)notification->callback, where, sizeof(where)), irql,
                          ke_irql());
    }
    notification->caller = NULL;
    waiter = notification->waiter;
    if (notification->dead)
        destroy(notification);
    if (waiter != NULL)
        KeSetEvent(waiter, IO_NO_INCREMENT, FALSE);
    return status;
}

/* ---- interface changes ---- */

void notify_interface(const GUID *event, const GUID *class, const char *link)
{
    struct interface_change *change = image_alloc(sizeof(*change));

    change->event = *event;
    change->class = *class;
    change->link = image_strdup(link);
    InsertTailList(&machine->io->changes, &change->entry);
    pnp_kick();
}

static void call_for_link(struct notification *notification, const GUID *event, const GUID *class, const char *link)
{
    DEVICE_INTERFACE_CHANGE_NOTIFICATION structure = {
        .Version = 1, .Size = sizeof(structure), .Event = *event, .InterfaceClassGuid = *class};
    UNICODE_STRING name;
    size_t length;

    name.Buffer = cm_utf16_from_utf8(link, &length);
    name.Length = (USHORT)(length * sizeof(WCHAR));
    name.MaximumLength = (USHORT)(name.Length + sizeof(WCHAR));
    structure.SymbolicLinkName = &name;
    (void)call(notification, &structure); /* its status means nothing here */
    image_free(name.Buffer);
}

/* The first registration that has not been called in this round; callbacks may change the list. */
static struct notification *next_for(unsigned round, const GUID *class, PDEVICE_OBJECT pdo)
{
    for (PLIST_ENTRY entry = machine->io->notifications.Flink; entry != &machine->io->notifications;
         entry = entry->Flink) {
        struct notification *notification = CONTAINING_RECORD(entry, struct notification, entry);

        if (notification->seen >= round || notification->dead)
            continue;
        if (class != NULL && notification->category == EventCategoryDeviceInterfaceChange &&
            IsEqualGUID(&notification->class, class))
            return notification;
        if (pdo != NULL && notification->pdo == pdo)
            return notification;
    }
    return NULL;
}

bool io_deliver_notifications(void)
{
    struct io_state *io = machine->io;
    struct interface_change *change;
    struct notification *notification;
    unsigned round;

    if (IsListEmpty(&io->changes))
        return false;
    change = CONTAINING_RECORD(RemoveHeadList(&io->changes), struct interface_change, entry);
    round = ++io->changes_made;
    while ((notification = next_for(round, &change->class, NULL)) != NULL) {
        notification->seen = round;
        call_for_link(notification, &change->event, &change->class, change->link);
    }
    image_free(change->link);
    image_free(change);
    return true;
}

/* ---- target device changes ---- */

NTSTATUS io_notify_target(PDEVICE_OBJECT pdo, const GUID *event, const char **veto)
{
    bool query = IsEqualGUID(event, &GUID_TARGET_DEVICE_QUERY_REMOVE);
    bool cancel = IsEqualGUID(event, &GUID_TARGET_DEVICE_REMOVE_CANCELLED);
    unsigned round = ++machine->io->changes_made;
    struct notification *notification;

    while ((notification = next_for(round, NULL, pdo)) != NULL) {
        TARGET_DEVICE_REMOVAL_NOTIFICATION structure = {
            .Version = 1, .Size = sizeof(structure), .Event = *event, .FileObject = notification->file};
        PDRIVER_OBJECT driver = notification->driver;
        bool wanted = !cancel || notification->asked;
        NTSTATUS status;

        notification->seen = round;
        notification->asked = query;
        if (!wanted)
            continue;
        status = call(notification, &structure);
        if (query && !NT_SUCCESS(status)) {
            if (veto != NULL)
                *veto = io_driver_name(driver);
            return status;
        }
    }
    return STATUS_SUCCESS;
}

struct custom_change {
    struct pnp_action action;
    PTARGET_DEVICE_CUSTOM_NOTIFICATION structure; /* machine heap */
    PDEVICE_CHANGE_COMPLETE_CALLBACK callback;
    PVOID context;
    KEVENT *done;
};

static void deliver_custom(PDEVICE_OBJECT pdo, PTARGET_DEVICE_CUSTOM_NOTIFICATION structure)
{
    unsigned round = ++machine->io->changes_made;
    struct notification *notification;

    while ((notification = next_for(round, NULL, pdo)) != NULL) {
        notification->seen = round;
        structure->FileObject = notification->file;
        (void)call(notification, structure);
    }
}

static void perform_custom(struct pnp_action *action)
{
    struct custom_change *change = CONTAINING_RECORD(action, struct custom_change, action);

    deliver_custom(action->device, change->structure);
    if (change->callback != NULL)
        DRIVER_CALLOUT("notification callback", change->callback, change->context);
    if (change->done != NULL)
        KeSetEvent(change->done, IO_NO_INCREMENT, FALSE);
    ob_dereference(action->device);
    image_free(change->structure);
    image_free(change);
}

static bool is_system_event(const GUID *event)
{
    return IsEqualGUID(event, &GUID_TARGET_DEVICE_QUERY_REMOVE) ||
           IsEqualGUID(event, &GUID_TARGET_DEVICE_REMOVE_CANCELLED) ||
           IsEqualGUID(event, &GUID_TARGET_DEVICE_REMOVE_COMPLETE);
}

static NTSTATUS report(PDEVICE_OBJECT pdo, PTARGET_DEVICE_CUSTOM_NOTIFICATION structure,
                       PDEVICE_CHANGE_COMPLETE_CALLBACK callback, PVOID context, KEVENT *done)
{
    struct custom_change *change;

    if (pnp_node_of(pdo) == NULL || is_system_event(&structure->Event))
        return STATUS_INVALID_DEVICE_REQUEST;
    if (structure->Size < offsetof(TARGET_DEVICE_CUSTOM_NOTIFICATION, CustomDataBuffer))
        return STATUS_INVALID_PARAMETER;
    change = image_alloc(sizeof(*change));
    change->structure = image_alloc(structure->Size);
    memcpy(change->structure, structure, structure->Size);
    change->callback = callback;
    change->context = context;
    change->done = done;
    change->action.kind = ACTION_CUSTOM;
    change->action.device = pdo;
    change->action.custom = perform_custom;
    ob_reference(pdo);
    pnp_enqueue(&change->action);
    return STATUS_PENDING;
}

NTSTATUS NTAPI IoReportTargetDeviceChange(PDEVICE_OBJECT PhysicalDeviceObject, PVOID NotificationStructure)
{
    KEVENT done;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (KeGetCurrentThread() == machine->pnp->worker)
        nt_violation("pnp-deadlock", "IoReportTargetDeviceChange from a PnP routine waits for itself: use "
                                     "IoReportTargetDeviceChangeAsynchronous");
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    status = report(PhysicalDeviceObject, NotificationStructure, NULL, NULL, &done);
    if (status != STATUS_PENDING)
        return status;
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoReportTargetDeviceChangeAsynchronous(PDEVICE_OBJECT PhysicalDeviceObject, PVOID NotificationStructure,
                                                      PDEVICE_CHANGE_COMPLETE_CALLBACK Callback, PVOID Context)
{
    NT_CALL(DISPATCH_LEVEL);
    return report(PhysicalDeviceObject, NotificationStructure, Callback, Context, NULL);
}

/* ---- registration ---- */

struct existing {
    struct notification *notification;
    char **links;
    unsigned count;
};

static void note_existing(void *context, const char *link)
{
    struct existing *existing = context;

    existing->links = image_realloc(existing->links, (existing->count + 1) * sizeof(*existing->links));
    existing->links[existing->count++] = image_strdup(link);
}

/* Those that are active already, in the caller's thread. */
static void call_for_existing(struct notification *notification)
{
    struct existing existing = {.notification = notification};
    GUID class = notification->class;

    interface_for_each(&class, note_existing, &existing);
    for (unsigned i = 0; i < existing.count; i++) {
        call_for_link(notification, &GUID_DEVICE_INTERFACE_ARRIVAL, &class, existing.links[i]);
        image_free(existing.links[i]);
    }
    image_free(existing.links);
}

/* The PDO behind a file, as its device stack names it (IRP_MN_QUERY_DEVICE_RELATIONS for TargetDeviceRelation). */
static NTSTATUS target_of(PFILE_OBJECT file, PDEVICE_OBJECT *pdo)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_PNP,
                               .MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS,
                               .FileObject = file,
                               .Parameters.QueryDeviceRelations.Type = TargetDeviceRelation};
    ULONG_PTR information = 0;
    PDEVICE_RELATIONS relations;
    NTSTATUS status = io_send_synchronous(file->DeviceObject, &stack, STATUS_NOT_SUPPORTED, &information);

    if (!NT_SUCCESS(status))
        return status;
    relations = (PDEVICE_RELATIONS)information;
    if (relations == NULL || relations->Count != 1 || pnp_node_of(relations->Objects[0]) == NULL)
        nt_violation("pnp-relations",
                     "the stack of a file's device answers TargetDeviceRelation with something else than "
                     "its one physical device object");
    *pdo = relations->Objects[0];
    ExFreePool(relations);
    return status;
}

NTSTATUS NTAPI IoRegisterPlugPlayNotification(IO_NOTIFICATION_EVENT_CATEGORY EventCategory, ULONG EventCategoryFlags,
                                              PVOID EventCategoryData, PDRIVER_OBJECT DriverObject,
                                              PDRIVER_NOTIFICATION_CALLBACK_ROUTINE CallbackRoutine, PVOID Context,
                                              PVOID *NotificationEntry)
{
    struct notification *notification;
    PFILE_OBJECT file = NULL;
    PDEVICE_OBJECT pdo = NULL;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    switch (EventCategory) {
    case EventCategoryDeviceInterfaceChange:
        if (EventCategoryData == NULL)
            return STATUS_INVALID_PARAMETER;
        break;
    case EventCategoryTargetDeviceChange:
        file = EventCategoryData;
        if (file == NULL || !ob_is(file, OB_FILE))
            return STATUS_INVALID_PARAMETER;
        status = target_of(file, &pdo);
        if (!NT_SUCCESS(status))
            return status;
        break;
    case EventCategoryHardwareProfileChange:
        break; /* never happens: there is no dock */
    default:
        NT_UNIMPLEMENTED("this event category (there are hardware profile, interface and target device changes)");
    }
    notification = image_alloc(sizeof(*notification));
    notification->category = EventCategory;
    notification->callback = CallbackRoutine;
    notification->context = Context;
    notification->driver = DriverObject;
    notification->registered_by = __builtin_return_address(0);
    ob_reference(DriverObject);
    notification->seen = machine->io->changes_made;
    if (EventCategory == EventCategoryDeviceInterfaceChange)
        notification->class = *(const GUID *)EventCategoryData;
    if (pdo != NULL) {
        notification->pdo = pdo; /* with the reference that its bus driver took */
        notification->file = file;
    }
    InsertTailList(&machine->io->notifications, &notification->entry);
    if (EventCategory == EventCategoryDeviceInterfaceChange &&
        (EventCategoryFlags & PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES))
        call_for_existing(notification);
    *NotificationEntry = notification; /* nobody can unregister it before */
    return STATUS_SUCCESS;
}

static NTSTATUS unregister(PVOID entry)
{
    struct notification *notification = entry;
    KEVENT ended;

    if (notification->caller == NULL) {
        destroy(notification);
        return STATUS_SUCCESS;
    }
    notification->dead = true; /* whoever is in the callback destroys it */
    if (notification->caller == KeGetCurrentThread())
        return STATUS_SUCCESS;
    KeInitializeEvent(&ended, NotificationEvent, FALSE);
    notification->waiter = &ended;
    KeWaitForSingleObject(&ended, Executive, KernelMode, FALSE, NULL);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoUnregisterPlugPlayNotification(PVOID NotificationEntry)
{
    NT_CALL(PASSIVE_LEVEL);
    return unregister(NotificationEntry);
}

NTSTATUS NTAPI IoUnregisterPlugPlayNotificationEx(PVOID NotificationEntry)
{
    NT_CALL(PASSIVE_LEVEL);
    return unregister(NotificationEntry);
}

void notification_census(struct census *census)
{
    for (PLIST_ENTRY entry = machine->io->notifications.Flink; entry != &machine->io->notifications;
         entry = entry->Flink)
        census_item(census, "pnp notification", 1, CONTAINING_RECORD(entry, struct notification, entry)->registered_by,
                    "of driver %s", io_driver_name(CONTAINING_RECORD(entry, struct notification, entry)->driver));
}

const void *notification_in_range(const void *start, size_t size)
{
    for (PLIST_ENTRY entry = machine->io->notifications.Flink; entry != &machine->io->notifications;
         entry = entry->Flink) {
        PDRIVER_NOTIFICATION_CALLBACK_ROUTINE callback = CONTAINING_RECORD(entry, struct notification, entry)->callback;

        if ((uintptr_t)callback - (uintptr_t)start < size)
            return (const void *)(uintptr_t)callback;
    }
    return NULL;
}
