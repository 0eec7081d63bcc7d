/*
 * Consumers of WMI data in kernel mode: IoWMIOpenBlock and what is done with the object that it gives (wdm.h), and
 * events. Each provider of the GUID is asked by an IRP of its own.
 */
#include <string.h>
#include <strings.h>

#include "nt/cm/cm.h"
#include "nt/wmi/wmi_internal.h"

#define FIRST_SIZE 256u

static void consumer_closed(void *body)
{
    struct wmi_consumer *consumer = body;

    RemoveEntryList(&consumer->entry);
    if (consumer->callback != NULL || consumer->asked)
        wmi_settle_later();
}

/* The next provider of the GUID behind `previous` (NULL: the first one), held; `previous` is let go. */
static struct wmi_provider *next_provider(const GUID *guid, struct wmi_provider *previous)
{
    PLIST_ENTRY entry = previous != NULL ? previous->entry.Flink : machine->wmi->providers.Flink;
    struct wmi_provider *found = NULL;

    for (; found == NULL && entry != &machine->wmi->providers; entry = entry->Flink) {
        struct wmi_provider *provider = CONTAINING_RECORD(entry, struct wmi_provider, entry);

        if (!provider->blocked && wmi_find_block(provider, guid) != NULL)
            found = provider;
    }
    if (found != NULL)
        wmi_hold(found);
    if (previous != NULL)
        wmi_release(previous);
    return found;
}

static bool has_provider(const GUID *guid)
{
    struct wmi_provider *provider = next_provider(guid, NULL);

    if (provider != NULL)
        wmi_release(provider);
    return provider != NULL;
}

NTSTATUS NTAPI IoWMIOpenBlock(const GUID *Guid, ULONG DesiredAccess, PVOID *DataBlockObject)
{
    struct wmi_consumer *consumer;

    NT_CALL(APC_LEVEL);
    /* Somebody may want to hear of events of a block that comes later. */
    if (!has_provider(Guid) && (DesiredAccess & WMIGUID_NOTIFICATION) == 0)
        return STATUS_WMI_GUID_NOT_FOUND;
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    consumer = ob_create(OB_DATA_BLOCK, sizeof(*consumer), consumer_closed);
    consumer->guid = *Guid;
    consumer->access = DesiredAccess;
    InsertTailList(&machine->wmi->consumers, &consumer->entry);
    *DataBlockObject = consumer;
    return STATUS_SUCCESS;
}

static struct wmi_consumer *consumer_of(PVOID object, const char *routine)
{
    if (!ob_is(object, OB_DATA_BLOCK))
        nt_violation("wmi-object", "%s: %p comes from no IoWMIOpenBlock", routine, object);
    return object;
}

/* The first question has the providers gather what is expensive to gather; it ends with the last consumer that asked.
 */
static void begin_asking(struct wmi_consumer *consumer)
{
    if (consumer->asked)
        return;
    consumer->asked = true;
    wmi_settle();
}

/* ---- all instances ---- */

void wmi_fill_header(PWNODE_HEADER header, const struct wmi_provider *provider, const GUID *guid, ULONG size,
                     ULONG flags)
{
    header->BufferSize = size;
    header->ProviderId = (ULONG)(ULONG_PTR)provider->device;
    header->Version = 1;
    header->Guid = *guid;
    header->Flags = flags | WNODE_FLAG_STATIC_INSTANCE_NAMES;
}

/*
 * Ask for all data of one provider, with more room until it is enough. *answer is pool of ours. A provider says what it
 * needs by a WNODE_TOO_SMALL.
 */
static NTSTATUS query_provider(const struct wmi_provider *provider, UCHAR minor, const GUID *guid, ULONG index,
                               PWNODE_HEADER *answer)
{
    ULONG size = FIRST_SIZE;

    for (;;) {
        PWNODE_HEADER header = ExAllocatePoolWithTag(NonPagedPoolNx, size, WMI_TAG);
        ULONG_PTR used;
        NTSTATUS status;
        ULONG needed;

        if (header == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
        memset(header, 0, size);
        wmi_fill_header(header, provider, guid, size,
                        minor == IRP_MN_QUERY_ALL_DATA ? WNODE_FLAG_ALL_DATA : WNODE_FLAG_SINGLE_INSTANCE);
        if (minor == IRP_MN_QUERY_SINGLE_INSTANCE) {
            ((PWNODE_SINGLE_INSTANCE)header)->InstanceIndex = index;
            ((PWNODE_SINGLE_INSTANCE)header)->DataBlockOffset = FIELD_OFFSET(WNODE_SINGLE_INSTANCE, VariableData);
        }
        status = wmi_send(provider, minor, &header->Guid, header, size, &used);
        needed = (header->Flags & WNODE_FLAG_TOO_SMALL) != 0 ? ((PWNODE_TOO_SMALL)header)->SizeNeeded : 0;
        if (NT_SUCCESS(status) && needed == 0) {
            *answer = header;
            return STATUS_SUCCESS;
        }
        ExFreePoolWithTag(header, WMI_TAG);
        if (!NT_SUCCESS(status) || needed <= size)
            return NT_SUCCESS(status) ? STATUS_UNSUCCESSFUL : status;
        size = needed;
    }
}

static NTSTATUS give(PWNODE_HEADER answer, ULONG *size, PVOID out)
{
    ULONG room = *size;

    *size = answer->BufferSize;
    if (out == NULL || room < answer->BufferSize)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(out, answer, answer->BufferSize);
    return STATUS_SUCCESS;
}

/* Answers of several providers lie one behind the other, each with the way to the next one. */
NTSTATUS NTAPI IoWMIQueryAllData(PVOID DataBlockObject, ULONG *InOutBufferSize, PVOID OutBuffer)
{
    struct wmi_provider *provider = NULL;
    struct wmi_consumer *consumer;
    PWNODE_HEADER last = NULL;
    ULONG used = 0;
    NTSTATUS status = STATUS_WMI_GUID_NOT_FOUND;

    NT_CALL(APC_LEVEL);
    consumer = consumer_of(DataBlockObject, __func__);
    if ((consumer->access & WMIGUID_QUERY) == 0)
        return STATUS_ACCESS_DENIED;
    begin_asking(consumer);
    while ((provider = next_provider(&consumer->guid, provider)) != NULL) {
        PWNODE_HEADER answer;
        ULONG at = (used + 7) & ~7u;

        status = query_provider(provider, IRP_MN_QUERY_ALL_DATA, &consumer->guid, 0, &answer);
        if (!NT_SUCCESS(status)) {
            wmi_release(provider);
            return status;
        }
        used = at + answer->BufferSize;
        if (OutBuffer != NULL && used <= *InOutBufferSize) {
            memcpy((char *)OutBuffer + at, answer, answer->BufferSize);
            if (last != NULL)
                last->Linkage = (ULONG)((char *)OutBuffer + at - (char *)last);
            last = (PWNODE_HEADER)((char *)OutBuffer + at);
        }
        ExFreePoolWithTag(answer, WMI_TAG);
    }
    if (!NT_SUCCESS(status))
        return status;
    status = OutBuffer != NULL && used <= *InOutBufferSize ? STATUS_SUCCESS : STATUS_BUFFER_TOO_SMALL;
    *InOutBufferSize = used;
    return status;
}

/* ---- one instance ---- */

/* Whose instance has the name, held, and which one; NULL: nobody's. */
static struct wmi_provider *find_instance(const GUID *guid, PCUNICODE_STRING name, ULONG *index)
{
    char *wanted = cm_utf8_from_utf16(name->Buffer, name->Length / sizeof(WCHAR));
    struct wmi_provider *provider = NULL;
    bool found = false;

    while (!found && (provider = next_provider(guid, provider)) != NULL) {
        const struct wmi_block *block = wmi_find_block(provider, guid);

        for (*index = 0; !found && *index < block->instances; *index += !found) {
            char *instance = image_printf("%s_%u", block->base_name, *index);

            found = strcasecmp(instance, wanted) == 0;
            image_free(instance);
        }
    }
    image_free(wanted);
    return provider;
}

NTSTATUS NTAPI IoWMIQuerySingleInstance(PVOID DataBlockObject, PUNICODE_STRING InstanceName, ULONG *InOutBufferSize,
                                        PVOID OutBuffer)
{
    struct wmi_consumer *consumer;
    struct wmi_provider *provider;
    PWNODE_HEADER answer;
    NTSTATUS status;
    ULONG index;

    NT_CALL(APC_LEVEL);
    consumer = consumer_of(DataBlockObject, __func__);
    if ((consumer->access & WMIGUID_QUERY) == 0)
        return STATUS_ACCESS_DENIED;
    begin_asking(consumer);
    provider = find_instance(&consumer->guid, InstanceName, &index);
    if (provider == NULL)
        return STATUS_WMI_INSTANCE_NOT_FOUND;
    status = query_provider(provider, IRP_MN_QUERY_SINGLE_INSTANCE, &consumer->guid, index, &answer);
    wmi_release(provider);
    if (!NT_SUCCESS(status))
        return status;
    status = give(answer, InOutBufferSize, OutBuffer);
    ExFreePoolWithTag(answer, WMI_TAG);
    return status;
}

struct change {
    UCHAR minor;
    ULONG access; /* that it takes */
    ULONG item;   /* of IRP_MN_CHANGE_SINGLE_ITEM, or the method */
    ULONG size;
    const void *value;
};

/* One request with a value: WNODE_SINGLE_INSTANCE, _ITEM or WNODE_METHOD_ITEM, which differ by one member. */
static NTSTATUS send_change(PVOID object, PUNICODE_STRING name, const struct change *change, PULONG out_size,
                            PUCHAR out, const char *routine)
{
    const struct wmi_consumer *consumer = consumer_of(object, routine);
    bool single = change->minor == IRP_MN_CHANGE_SINGLE_INSTANCE;
    bool method = change->minor == IRP_MN_EXECUTE_METHOD;
    ULONG offset = single ? FIELD_OFFSET(WNODE_SINGLE_INSTANCE, VariableData)
                          : (FIELD_OFFSET(WNODE_METHOD_ITEM, VariableData) + 7u) & ~7u;
    ULONG room = out_size != NULL && *out_size > change->size ? *out_size : change->size;
    ULONG index, used_size;
    struct wmi_provider *provider;
    PWNODE_METHOD_ITEM node;
    ULONG_PTR used;
    NTSTATUS status;

    if ((consumer->access & change->access) == 0)
        return STATUS_ACCESS_DENIED;
    provider = find_instance(&consumer->guid, name, &index);
    if (provider == NULL)
        return STATUS_WMI_INSTANCE_NOT_FOUND;
    node = ExAllocatePoolWithTag(NonPagedPoolNx, offset + room, WMI_TAG);
    if (node == NULL) {
        wmi_release(provider);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    memset(node, 0, offset + room);
    wmi_fill_header(&node->WnodeHeader, provider, &consumer->guid, offset + room,
                    single   ? WNODE_FLAG_SINGLE_INSTANCE
                    : method ? WNODE_FLAG_METHOD_ITEM
                             : WNODE_FLAG_SINGLE_ITEM);
    node->InstanceIndex = index;
    if (single) {
        ((PWNODE_SINGLE_INSTANCE)node)->DataBlockOffset = offset;
        ((PWNODE_SINGLE_INSTANCE)node)->SizeDataBlock = change->size;
    } else {
        node->MethodId = change->item;
        node->DataBlockOffset = offset;
        node->SizeDataBlock = change->size;
    }
    if (change->size != 0)
        memcpy((char *)node + offset, change->value, change->size);
    status = wmi_send(provider, change->minor, &node->WnodeHeader.Guid, node, offset + room, &used);
    wmi_release(provider);
    if (NT_SUCCESS(status) && method) {
        bool too_small = (node->WnodeHeader.Flags & WNODE_FLAG_TOO_SMALL) != 0;

        used_size = too_small ? ((PWNODE_TOO_SMALL)node)->SizeNeeded - offset : node->SizeDataBlock;
        if (too_small || used_size > *out_size)
            status = STATUS_BUFFER_TOO_SMALL;
        else if (used_size != 0)
            memcpy(out, (char *)node + node->DataBlockOffset, used_size);
        *out_size = used_size;
    }
    ExFreePoolWithTag(node, WMI_TAG);
    return status;
}

NTSTATUS NTAPI IoWMISetSingleInstance(PVOID DataBlockObject, PUNICODE_STRING InstanceName, ULONG Version,
                                      ULONG ValueBufferSize, PVOID ValueBuffer)
{
    const struct change change = {
        .minor = IRP_MN_CHANGE_SINGLE_INSTANCE, .access = WMIGUID_SET, .size = ValueBufferSize, .value = ValueBuffer};

    NT_CALL(APC_LEVEL);
    UNREFERENCED_PARAMETER(Version); /* of the class; there is one */
    return send_change(DataBlockObject, InstanceName, &change, NULL, NULL, __func__);
}

NTSTATUS NTAPI IoWMISetSingleItem(PVOID DataBlockObject, PUNICODE_STRING InstanceName, ULONG DataItemId, ULONG Version,
                                  ULONG ValueBufferSize, PVOID ValueBuffer)
{
    const struct change change = {.minor = IRP_MN_CHANGE_SINGLE_ITEM,
                                  .access = WMIGUID_SET,
                                  .item = DataItemId,
                                  .size = ValueBufferSize,
                                  .value = ValueBuffer};

    NT_CALL(APC_LEVEL);
    UNREFERENCED_PARAMETER(Version);
    return send_change(DataBlockObject, InstanceName, &change, NULL, NULL, __func__);
}

NTSTATUS NTAPI IoWMIExecuteMethod(PVOID DataBlockObject, PUNICODE_STRING InstanceName, ULONG MethodId,
                                  ULONG InBufferSize, PULONG OutBufferSize, PUCHAR InOutBuffer)
{
    const struct change change = {.minor = IRP_MN_EXECUTE_METHOD,
                                  .access = WMIGUID_EXECUTE,
                                  .item = MethodId,
                                  .size = InBufferSize,
                                  .value = InOutBuffer};

    NT_CALL(APC_LEVEL);
    return send_change(DataBlockObject, InstanceName, &change, OutBufferSize, InOutBuffer, __func__);
}

/* ---- events ---- */

/* The first listener has the providers turn their events on, and the last one's end turns them off again. */
NTSTATUS NTAPI IoWMISetNotificationCallback(PVOID Object, WMI_NOTIFICATION_CALLBACK Callback, PVOID Context)
{
    struct wmi_consumer *consumer;

    NT_CALL(APC_LEVEL);
    consumer = consumer_of(Object, __func__);
    if ((consumer->access & WMIGUID_NOTIFICATION) == 0)
        return STATUS_ACCESS_DENIED;
    consumer->callback = Callback;
    consumer->context = Context;
    wmi_settle();
    return STATUS_SUCCESS;
}

/* An event on its way to the listeners. */
struct event {
    WORK_QUEUE_ITEM item;
    PWNODE_HEADER node;
};

static VOID NTAPI deliver(PVOID parameter)
{
    struct event *event = parameter;
    PLIST_ENTRY entry = machine->wmi->consumers.Flink;

    KERNEL_SCOPE();
    while (entry != &machine->wmi->consumers) {
        struct wmi_consumer *consumer = CONTAINING_RECORD(entry, struct wmi_consumer, entry);

        if (consumer->callback == NULL || !wmi_same_guid(&consumer->guid, &event->node->Guid)) {
            entry = entry->Flink;
            continue;
        }
        ob_reference(consumer);
        DRIVER_CALLOUT("WMI notification callback", consumer->callback, event->node, consumer->context);
        entry = consumer->entry.Flink;
        ob_dereference(consumer);
    }
    ExFreePool(event->node);
    image_free(event);
}

NTSTATUS wmi_write_event(PWNODE_HEADER node)
{
    struct event *event = image_alloc(sizeof(*event));

    event->node = node;
    ExInitializeWorkItem(&event->item, deliver, event);
    ExQueueWorkItem(&event->item, DelayedWorkQueue);
    return STATUS_SUCCESS;
}

/* On success the item, which is pool of the driver's, is ours to free. Items for a trace may come at any IRQL. */
NTSTATUS NTAPI IoWMIWriteEvent(PVOID WnodeEventItem)
{
    bool traced = (((PWNODE_HEADER)WnodeEventItem)->Flags & WNODE_FLAG_TRACED_GUID) != 0;

    NT_CALL(traced ? HIGH_LEVEL : APC_LEVEL);
    if (traced)
        NT_UNIMPLEMENTED("WNODE_FLAG_TRACED_GUID, an event for a trace session (consumers of WMI get the others),");
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    return wmi_write_event(WnodeEventItem);
}
