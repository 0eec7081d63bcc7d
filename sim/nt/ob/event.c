/*
 * Events as objects, by handle and by name: ZwCreateEvent, ZwOpenEvent, ZwSetEvent, ZwResetEvent, ZwClearEvent,
 * ZwWaitForSingleObject (ntifs.h), IoCreateNotificationEvent, IoCreateSynchronizationEvent (wdm.h). A name goes with
 * the last handle, unless the object is permanent.
 */
#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"

static void handle_closed(void *body)
{
    struct ob_header *header = ob_header_of(body);

    if (header->handles == 0 && !header->permanent)
        ob_name_remove(body);
}

void ob_event_init(void)
{
    ob_handle_on_close(OB_EVENT, handle_closed);
}

PKEVENT ob_standard_event(const char *name, bool state)
{
    struct ob_header *header = image_alloc(sizeof(*header) + sizeof(KEVENT));
    PKEVENT event = (PKEVENT)(header + 1);

    *header = (struct ob_header){
        .magic = OB_MAGIC,
        .type = OB_EVENT,
        .name = image_strdup(name),
        .references = 2, /* the kernel's, and that of a permanent object */
        .permanent = true,
    };
    InsertTailList(&machine->ob->objects, &header->entry);
    event->Header.Type = EventNotificationObject;
    event->Header.Size = sizeof(*event) / sizeof(LONG);
    event->Header.SignalState = state;
    InitializeListHead(&event->Header.WaitListHead);
    return event;
}

static NTSTATUS open_existing(const OBJECT_ATTRIBUTES *attributes, PHANDLE handle)
{
    void *body;
    NTSTATUS status = ob_lookup(attributes->ObjectName, &body, NULL);

    if (!NT_SUCCESS(status))
        return status;
    if (ob_type_of(body) == OB_EVENT)
        status = ob_handle_create(body, handle);
    else
        status = STATUS_OBJECT_TYPE_MISMATCH;
    ob_dereference(body);
    return status;
}

NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                             EVENT_TYPE EventType, BOOLEAN InitialState)
{
    bool named = ObjectAttributes != NULL && ObjectAttributes->ObjectName != NULL;
    PKEVENT event;
    NTSTATUS status = STATUS_SUCCESS;

    NT_CALL(PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(DesiredAccess); /* kernel callers are granted what they ask for */
    if (EventType != NotificationEvent && EventType != SynchronizationEvent)
        return STATUS_INVALID_PARAMETER;
    event = FAULT(POOL) ? NULL : ob_create(OB_EVENT, sizeof(*event), NULL);
    if (event == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    KeInitializeEvent(event, EventType, InitialState);
    if (named)
        status = ob_name_insert(event, ObjectAttributes->ObjectName);
    if (status == STATUS_OBJECT_NAME_COLLISION && (ObjectAttributes->Attributes & OBJ_OPENIF)) {
        ob_dereference(event);
        status = open_existing(ObjectAttributes, EventHandle);
        return NT_SUCCESS(status) ? STATUS_OBJECT_NAME_EXISTS : status;
    }
    if (NT_SUCCESS(status)) {
        ob_header_of(event)->permanent = named && (ObjectAttributes->Attributes & OBJ_PERMANENT) != 0;
        status = ob_handle_create(event, EventHandle);
    }
    if (!NT_SUCCESS(status) || !ob_header_of(event)->permanent)
        ob_dereference(event); /* a permanent object keeps the reference it was made with */
    return status;
}

NTSTATUS NTAPI ZwOpenEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes)
{
    NT_CALL(PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(DesiredAccess);
    if (ObjectAttributes == NULL || ObjectAttributes->ObjectName == NULL)
        return STATUS_INVALID_PARAMETER;
    return open_existing(ObjectAttributes, EventHandle);
}

NTSTATUS NTAPI ZwMakeTemporaryObject(HANDLE Handle)
{
    struct ob_header *header;
    NTSTATUS status;
    void *body;

    NT_CALL(PASSIVE_LEVEL);
    status = ob_handle_lookup(Handle, &body);
    if (!NT_SUCCESS(status))
        return status;
    header = ob_header_of(body);
    if (header->permanent) {
        header->permanent = false;
        ob_dereference(body); /* the reference that kept it */
    }
    ob_dereference(body);
    return STATUS_SUCCESS;
}

static NTSTATUS event_of(HANDLE handle, PKEVENT *event)
{
    return ObReferenceObjectByHandle(handle, EVENT_MODIFY_STATE, *ExEventObjectType, KernelMode, (PVOID *)event, NULL);
}

static NTSTATUS change_event(HANDLE handle, bool set, PLONG before)
{
    PKEVENT event;
    NTSTATUS status = event_of(handle, &event);
    LONG state;

    if (!NT_SUCCESS(status))
        return status;
    state = set ? KeSetEvent(event, EVENT_INCREMENT, FALSE) : KeResetEvent(event);
    if (before != NULL)
        *before = state;
    ob_dereference(event);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ZwSetEvent(HANDLE EventHandle, PLONG PreviousState)
{
    NT_CALL(PASSIVE_LEVEL);
    return change_event(EventHandle, true, PreviousState);
}

NTSTATUS NTAPI ZwResetEvent(HANDLE EventHandle, PLONG PreviousState)
{
    NT_CALL(PASSIVE_LEVEL);
    return change_event(EventHandle, false, PreviousState);
}

NTSTATUS NTAPI ZwClearEvent(HANDLE EventHandle)
{
    NT_CALL(PASSIVE_LEVEL);
    return change_event(EventHandle, false, NULL);
}

/* What a wait for the object waits for, NULL for a type that nobody can wait for. */
static PVOID waitable(void *body)
{
    switch (ob_type_of(body)) {
    case OB_EVENT:
    case OB_THREAD:
        return body;
    case OB_FILE:
        return &((PFILE_OBJECT)body)->Event;
    default:
        return NULL;
    }
}

NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    NTSTATUS status;
    void *body;

    NT_CALL(PASSIVE_LEVEL);
    status = ob_handle_lookup(Handle, &body);
    if (!NT_SUCCESS(status))
        return status;
    if (waitable(body) == NULL)
        status = STATUS_OBJECT_TYPE_MISMATCH;
    else
        status = KeWaitForSingleObject(waitable(body), UserRequest, KernelMode, Alertable, Timeout);
    ob_dereference(body);
    return status;
}

/* ---- the I/O manager's form ---- */

/* The event stays while the handle is open; the pointer carries no reference. NULL when it cannot be made. */
static PKEVENT named_event(PUNICODE_STRING name, EVENT_TYPE type, PHANDLE handle)
{
    OBJECT_ATTRIBUTES attributes;
    PVOID event;

    InitializeObjectAttributes(&attributes, name, OBJ_OPENIF | OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwCreateEvent(handle, EVENT_ALL_ACCESS, &attributes, type, TRUE)))
        return NULL;
    if (!NT_SUCCESS(ObReferenceObjectByHandle(*handle, 0, *ExEventObjectType, KernelMode, &event, NULL)))
        return NULL;
    ob_dereference(event);
    return event;
}

PKEVENT NTAPI IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    NT_CALL(PASSIVE_LEVEL);
    return FAULT(POOL) ? NULL : named_event(EventName, NotificationEvent, EventHandle);
}

PKEVENT NTAPI IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle)
{
    NT_CALL(PASSIVE_LEVEL);
    return FAULT(POOL) ? NULL : named_event(EventName, SynchronizationEvent, EventHandle);
}
