/*
 * Device queues (wdm.h): the first entry that comes makes the queue busy and is not queued; the others wait, in order
 * of arrival or of their keys, until the device is free for one.
 */
#include "nt/ke/ke.h"

VOID NTAPI KeInitializeDeviceQueue(PKDEVICE_QUEUE DeviceQueue)
{
    NT_CALL(DISPATCH_LEVEL);
    RtlZeroMemory(DeviceQueue, sizeof(*DeviceQueue));
    DeviceQueue->Type = DeviceQueueObject;
    DeviceQueue->Size = sizeof(*DeviceQueue);
    InitializeListHead(&DeviceQueue->DeviceListHead);
}

static PKDEVICE_QUEUE_ENTRY entry_of(PLIST_ENTRY link)
{
    return CONTAINING_RECORD(link, KDEVICE_QUEUE_ENTRY, DeviceListEntry);
}

/* True if it was queued; false if the queue was free and is busy with it now. */
static BOOLEAN insert(PKDEVICE_QUEUE queue, PKDEVICE_QUEUE_ENTRY entry, PLIST_ENTRY before)
{
    entry->Inserted = queue->Busy;
    if (queue->Busy)
        InsertTailList(before, &entry->DeviceListEntry);
    queue->Busy = TRUE;
    return entry->Inserted;
}

BOOLEAN NTAPI KeInsertDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    return insert(DeviceQueue, DeviceQueueEntry, &DeviceQueue->DeviceListHead);
}

BOOLEAN NTAPI KeInsertByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry, ULONG SortKey)
{
    PLIST_ENTRY before;

    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    DeviceQueueEntry->SortKey = SortKey;
    for (before = DeviceQueue->DeviceListHead.Flink;
         before != &DeviceQueue->DeviceListHead && entry_of(before)->SortKey <= SortKey; before = before->Flink)
        ;
    return insert(DeviceQueue, DeviceQueueEntry, before);
}

static PKDEVICE_QUEUE_ENTRY take(PKDEVICE_QUEUE queue, PLIST_ENTRY link)
{
    if (link == &queue->DeviceListHead) {
        queue->Busy = FALSE;
        return NULL;
    }
    RemoveEntryList(link);
    entry_of(link)->Inserted = FALSE;
    return entry_of(link);
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveDeviceQueue(PKDEVICE_QUEUE DeviceQueue)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    return take(DeviceQueue, DeviceQueue->DeviceListHead.Flink);
}

/* The first entry whose key is not below `SortKey`, else the first. */
static PKDEVICE_QUEUE_ENTRY take_by_key(PKDEVICE_QUEUE queue, ULONG key)
{
    PLIST_ENTRY link = queue->DeviceListHead.Flink;

    while (link != &queue->DeviceListHead && entry_of(link)->SortKey < key)
        link = link->Flink;
    return take(queue, link != &queue->DeviceListHead ? link : queue->DeviceListHead.Flink);
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueue(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    return take_by_key(DeviceQueue, SortKey);
}

PKDEVICE_QUEUE_ENTRY NTAPI KeRemoveByKeyDeviceQueueIfBusy(PKDEVICE_QUEUE DeviceQueue, ULONG SortKey)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    return DeviceQueue->Busy ? take_by_key(DeviceQueue, SortKey) : NULL;
}

BOOLEAN NTAPI KeRemoveEntryDeviceQueue(PKDEVICE_QUEUE DeviceQueue, PKDEVICE_QUEUE_ENTRY DeviceQueueEntry)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(DeviceQueue);
    if (!DeviceQueueEntry->Inserted)
        return FALSE;
    RemoveEntryList(&DeviceQueueEntry->DeviceListEntry);
    DeviceQueueEntry->Inserted = FALSE;
    return TRUE;
}
