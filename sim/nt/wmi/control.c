/*
 * What consumers want of a block beyond its data: events while somebody listens, and data that is expensive to gather
 * (WMIREG_FLAG_EXPENSIVE) while somebody asks for it. Providers hear of it by IRP_MN_ENABLE_EVENTS,
 * IRP_MN_DISABLE_EVENTS, IRP_MN_ENABLE_COLLECTION and IRP_MN_DISABLE_COLLECTION.
 */
#include "nt/wmi/wmi_internal.h"

static bool events_wanted(const struct wmi_block *block)
{
    for (PLIST_ENTRY entry = machine->wmi->consumers.Flink; entry != &machine->wmi->consumers; entry = entry->Flink) {
        const struct wmi_consumer *consumer = CONTAINING_RECORD(entry, struct wmi_consumer, entry);

        if (consumer->callback != NULL && wmi_same_guid(&consumer->guid, &block->guid))
            return true;
    }
    return false;
}

static bool collection_wanted(const struct wmi_block *block)
{
    if ((block->flags & WMIREG_FLAG_EXPENSIVE) == 0)
        return false;
    for (PLIST_ENTRY entry = machine->wmi->consumers.Flink; entry != &machine->wmi->consumers; entry = entry->Flink) {
        const struct wmi_consumer *consumer = CONTAINING_RECORD(entry, struct wmi_consumer, entry);

        if (consumer->asked && wmi_same_guid(&consumer->guid, &block->guid))
            return true;
    }
    return false;
}

/* The request that the block's provider is due, from now on taken as sent. */
static bool is_due(struct wmi_block *block, UCHAR *minor)
{
    bool events = events_wanted(block);
    bool collecting = collection_wanted(block);

    if (events != block->events) {
        block->events = events;
        *minor = events ? IRP_MN_ENABLE_EVENTS : IRP_MN_DISABLE_EVENTS;
        return true;
    }
    if (collecting != block->collecting) {
        block->collecting = collecting;
        *minor = collecting ? IRP_MN_ENABLE_COLLECTION : IRP_MN_DISABLE_COLLECTION;
        return true;
    }
    return false;
}

/* The first provider that is due a request, held; NULL: none is. */
static struct wmi_provider *next_due(GUID *guid, UCHAR *minor)
{
    for (PLIST_ENTRY entry = machine->wmi->providers.Flink; entry != &machine->wmi->providers; entry = entry->Flink) {
        struct wmi_provider *provider = CONTAINING_RECORD(entry, struct wmi_provider, entry);

        for (unsigned i = 0; !provider->blocked && i < provider->block_count; i++) {
            if (!is_due(&provider->blocks[i], minor))
                continue;
            *guid = provider->blocks[i].guid;
            wmi_hold(provider);
            return provider;
        }
    }
    return NULL;
}

void wmi_settle(void)
{
    struct wmi_provider *provider;
    GUID guid;
    UCHAR minor;

    if (machine->wmi->controller == ke_thread()) {
        wmi_settle_later(); /* a provider that is being told is a consumer too */
        return;
    }
    KeWaitForSingleObject(&machine->wmi->control, Executive, KernelMode, FALSE, NULL);
    machine->wmi->controller = ke_thread();
    while ((provider = next_due(&guid, &minor)) != NULL) {
        WNODE_HEADER header = {.BufferSize = sizeof(header)};
        ULONG_PTR used;

        wmi_fill_header(&header, provider, &guid, sizeof(header), 0);
        (void)wmi_send(provider, minor, &header.Guid, &header, sizeof(header), &used);
        wmi_release(provider);
    }
    machine->wmi->controller = NULL;
    KeSetEvent(&machine->wmi->control, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI settle(PVOID parameter)
{
    KERNEL_SCOPE();
    image_free(parameter);
    wmi_settle();
}

void wmi_settle_later(void)
{
    PWORK_QUEUE_ITEM item = image_alloc(sizeof(*item));

    ExInitializeWorkItem(item, settle, item);
    ExQueueWorkItem(item, DelayedWorkQueue);
}
