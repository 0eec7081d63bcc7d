/*
 * I/O work items: work for a system worker thread on behalf of a device or a driver. The object is referenced from the
 * queueing to the routine's return, so that neither it nor the driver's image goes while the routine is to run.
 */
#include "nt/ex/ex.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"
#include "nt/verifier/rules.h"

#define ITEM_MAGIC UINT64_C(0x4D455449204F2F49)

static const char item_kind[] = "io work item";

struct _IO_WORKITEM {
    WORK_QUEUE_ITEM item;
    uint64_t magic;
    LIST_ENTRY entry; /* ex_state.io_items, of those that IoAllocateWorkItem made */
    PVOID object;
    PIO_WORKITEM_ROUTINE routine;
    PIO_WORKITEM_ROUTINE_EX routine_ex; /* one of the two */
    PVOID context;
    bool allocated;
    const void *caller;
};

static void initialise(PIO_WORKITEM item, PVOID object, bool allocated, const void *caller, const char *routine)
{
    if (!ob_is(object, OB_DEVICE) && !ob_is(object, OB_DRIVER))
        nt_violation_code(WORKER_INVALID, (uint64_t[4]){0x3, (uintptr_t)item, (uintptr_t)object}, "work-item-object",
                          "%s: %p is no device and no driver object", routine, object);
    RtlZeroMemory(item, sizeof *item);
    item->magic = ITEM_MAGIC;
    item->object = object;
    item->allocated = allocated;
    item->caller = caller;
}

static void check(PIO_WORKITEM item, const char *routine)
{
    if (item == NULL || item->magic != ITEM_MAGIC)
        nt_violation("work-item-not-initialised", "%s: %p is no I/O work item", routine, (void *)item);
}

static void check_not_queued(PIO_WORKITEM item, const char *routine)
{
    if (item->item.List.Flink != NULL) {
        const uint64_t routine_address = item->routine != NULL ? (uintptr_t)item->routine : (uintptr_t)item->routine_ex;
        const uint64_t parameter[4] = {0x2, (uintptr_t)&item->item, routine_address, 0};
        nt_violation_code(WORKER_INVALID, parameter, "work-item-freed-queued", "%s: the work item %p is queued",
                          routine, (void *)item);
    }
}

PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(WORKITEM))
        return NULL;
    PIO_WORKITEM item = image_alloc(sizeof *item);
    initialise(item, DeviceObject, true, __builtin_return_address(0), __func__);
    InsertTailList(&machine->ex->io_items, &item->entry);
    return item;
}

VOID NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem)
{
    NT_CALL(DISPATCH_LEVEL);
    check(IoWorkItem, __func__);
    check_not_queued(IoWorkItem, __func__);
    if (!IoWorkItem->allocated)
        nt_violation("work-item-free", "IoFreeWorkItem(%p): the item is of IoInitializeWorkItem", (void *)IoWorkItem);
    RemoveEntryList(&IoWorkItem->entry);
    IoWorkItem->magic = 0;
    image_free(IoWorkItem);
}

ULONG NTAPI IoSizeofWorkItem(VOID)
{
    NT_CALL_ANY();
    return sizeof(IO_WORKITEM);
}

VOID NTAPI IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem)
{
    NT_CALL(DISPATCH_LEVEL);
    if (ex_object_find(item_kind, IoWorkItem) != NULL)
        nt_violation("work-item-initialised-twice", "IoInitializeWorkItem: %p is an initialised item already",
                     (void *)IoWorkItem);
    initialise(IoWorkItem, IoObject, false, __builtin_return_address(0), __func__);
    ex_object_add(item_kind, VERIFIER_OWN, IoWorkItem, sizeof *IoWorkItem, __builtin_return_address(0));
}

VOID NTAPI IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem)
{
    NT_CALL(DISPATCH_LEVEL);
    check(IoWorkItem, __func__);
    check_not_queued(IoWorkItem, __func__);
    if (IoWorkItem->allocated)
        nt_violation("work-item-free", "IoUninitializeWorkItem(%p): the item is of IoAllocateWorkItem",
                     (void *)IoWorkItem);
    ex_object_remove(ex_object_find(item_kind, IoWorkItem));
    IoWorkItem->magic = 0;
}

/* In a worker thread. The routine may free the item or queue it again. */
static VOID NTAPI run(PVOID parameter)
{
    PIO_WORKITEM item = parameter;
    PVOID object = item->object;
    PVOID context = item->context;
    PIO_WORKITEM_ROUTINE routine = item->routine;
    PIO_WORKITEM_ROUTINE_EX routine_ex = item->routine_ex;

    if (routine_ex != NULL) {
        KERNEL_CALLOUT(routine_ex, object, context, item);
        ex_worker_check_return((const void *)(uintptr_t)routine_ex, item, context);
    } else {
        KERNEL_CALLOUT(routine, object, context);
        ex_worker_check_return((const void *)(uintptr_t)routine, item, context);
    }
    ob_dereference(object);
}

static void queue(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, PIO_WORKITEM_ROUTINE_EX routine_ex,
                  WORK_QUEUE_TYPE type, PVOID context, const char *caller)
{
    check(item, caller);
    if (routine == NULL && routine_ex == NULL)
        nt_violation("work-item-not-initialised", "%s: the work item %p is queued without a routine", caller,
                     (void *)item);
    if (item->item.List.Flink == NULL) { /* else ex_worker_queue() reports it */
        item->routine = routine;
        item->routine_ex = routine_ex;
        item->context = context;
        item->item.WorkerRoutine = run;
        item->item.Parameter = item;
        ob_reference(item->object);
    }
    ex_worker_queue(&item->item, type, caller);
}

VOID NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine, WORK_QUEUE_TYPE QueueType,
                           PVOID Context)
{
    NT_CALL(DISPATCH_LEVEL);
    queue(IoWorkItem, WorkerRoutine, NULL, QueueType, Context, __func__);
}

VOID NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, WORK_QUEUE_TYPE QueueType,
                             PVOID Context)
{
    NT_CALL(DISPATCH_LEVEL);
    queue(IoWorkItem, NULL, WorkerRoutine, QueueType, Context, __func__);
}

void io_workitem_census(struct census *census)
{
    LIST_ENTRY *items = &machine->ex->io_items;

    for (LIST_ENTRY *entry = items->Blink; entry != items; entry = entry->Blink)
        census_item(census, item_kind, 1, CONTAINING_RECORD(entry, struct _IO_WORKITEM, entry)->caller,
                    "IoAllocateWorkItem");
}
