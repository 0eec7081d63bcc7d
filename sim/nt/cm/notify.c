/*
 * ZwNotifyChangeKey (ntifs.h): one change of a key, or of it and what lies below it, completes the request. The page
 * leaves open what IoStatusBlock says then; Windows says STATUS_NOTIFY_ENUM_DIR for a change, STATUS_NOTIFY_CLEANUP
 * when the handle is closed first, STATUS_KEY_DELETED when the key goes.
 */
#include "nt/cm/cm_internal.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"

#define FILTERS                                                                                                        \
    (REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_ATTRIBUTES | REG_NOTIFY_CHANGE_LAST_SET | REG_NOTIFY_CHANGE_SECURITY)

struct watch {
    LIST_ENTRY entry;
    const struct cm_key *key;
    const void *handle_body; /* the key object of the handle that it was made with */
    ULONG filter;
    bool tree;
    KEVENT done; /* for who waits in the call */
    bool waited;
    PKEVENT event; /* referenced, NULL if there is none */
    PIO_STATUS_BLOCK result;
    PWORK_QUEUE_ITEM item;
    WORK_QUEUE_TYPE queue;
};

static void complete(struct watch *watch, NTSTATUS status)
{
    RemoveEntryList(&watch->entry);
    watch->result->Status = status;
    watch->result->Information = 0;
    if (watch->event != NULL) {
        KeSetEvent(watch->event, IO_NO_INCREMENT, FALSE);
        ob_dereference(watch->event);
    }
    if (watch->item != NULL)
        ExQueueWorkItem(watch->item, watch->queue);
    if (watch->waited)
        KeSetEvent(&watch->done, IO_NO_INCREMENT, FALSE); /* the waiter frees it */
    else
        image_free(watch);
}

static bool sees(const struct watch *watch, const struct cm_key *key)
{
    if (watch->key == key)
        return true;
    for (; watch->tree && key != NULL; key = key->parent)
        if (watch->key == key)
            return true;
    return false;
}

void cm_notify(struct cm_key *key, ULONG change)
{
    PLIST_ENTRY entry = machine->cm->watches.Flink;

    while (entry != &machine->cm->watches) {
        struct watch *watch = CONTAINING_RECORD(entry, struct watch, entry);

        entry = entry->Flink;
        if ((watch->filter & change) != 0 && sees(watch, key))
            complete(watch, STATUS_NOTIFY_ENUM_DIR);
    }
}

static void end_watches(const struct cm_key *key, const void *handle_body, NTSTATUS status)
{
    PLIST_ENTRY entry = machine->cm->watches.Flink;

    while (entry != &machine->cm->watches) {
        struct watch *watch = CONTAINING_RECORD(entry, struct watch, entry);

        entry = entry->Flink;
        if (watch->key == key && (handle_body == NULL || watch->handle_body == handle_body))
            complete(watch, status);
    }
}

void cm_notify_deleted(const struct cm_key *key)
{
    end_watches(key, NULL, STATUS_KEY_DELETED);
}

static void handle_closed(void *body)
{
    const struct cm_key_object *object = body;

    if (ob_header_of(body)->handles == 0)
        end_watches(object->key, object, STATUS_NOTIFY_CLEANUP);
}

void cm_notify_init(void)
{
    InitializeListHead(&machine->cm->watches);
    ob_handle_on_close(OB_KEY, handle_closed);
}

/* In kernel mode ApcRoutine is a WORK_QUEUE_ITEM and ApcContext the queue that it goes to. */
NTSTATUS NTAPI ZwNotifyChangeKey(HANDLE KeyHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                                 PIO_STATUS_BLOCK IoStatusBlock, ULONG CompletionFilter, BOOLEAN WatchTree,
                                 PVOID Buffer, ULONG BufferSize, BOOLEAN Asynchronous)
{
    struct cm_key_object *object;
    struct watch *watch;
    PKEVENT event = NULL;
    void *body;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    if (CompletionFilter == 0 || (CompletionFilter & ~(ULONG)FILTERS) != 0)
        return STATUS_INVALID_PARAMETER;
    UNREFERENCED_PARAMETER(Buffer); /* nothing is ever written there: Windows' registry has no list of changes */
    UNREFERENCED_PARAMETER(BufferSize);
    status =
        ObReferenceObjectByHandle(KeyHandle, KEY_NOTIFY, *KxObjectType(KX_OBJECT_TYPE_KEY), KernelMode, &body, NULL);
    if (!NT_SUCCESS(status))
        return status;
    object = body;
    if (object->key->deleted) {
        ob_dereference(body);
        return STATUS_KEY_DELETED;
    }
    if (Event != NULL)
        status = ObReferenceObjectByHandle(Event, EVENT_MODIFY_STATE, *KxObjectType(KX_OBJECT_TYPE_EVENT), KernelMode,
                                           (PVOID *)&event, NULL);
    if (!NT_SUCCESS(status)) {
        ob_dereference(body);
        return status;
    }
    if (event != NULL)
        KeClearEvent(event);
    watch = image_alloc(sizeof(*watch));
    watch->key = object->key;
    watch->handle_body = object;
    watch->filter = CompletionFilter;
    watch->tree = WatchTree;
    watch->event = event;
    watch->result = IoStatusBlock;
    watch->item = (PWORK_QUEUE_ITEM)(uintptr_t)ApcRoutine;
    watch->queue = (WORK_QUEUE_TYPE)(uintptr_t)ApcContext;
    watch->waited = !Asynchronous;
    KeInitializeEvent(&watch->done, NotificationEvent, FALSE);
    InsertTailList(&machine->cm->watches, &watch->entry);
    ob_dereference(body); /* the handle keeps the key; its closing ends the watch */
    if (Asynchronous)
        return STATUS_PENDING;
    KeWaitForSingleObject(&watch->done, Executive, KernelMode, FALSE, NULL);
    image_free(watch);
    return IoStatusBlock->Status;
}
