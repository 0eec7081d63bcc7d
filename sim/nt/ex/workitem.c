/*
 * The system's worker threads. There is a queue for each priority. The classic three have threads from power-on; any
 * queue gets another thread when an item comes and every thread of it is busy, up to a limit, so that a routine that
 * waits for another work item does not keep it from running. Such a thread ends as soon as nothing is left for it.
 * Items of a queue start in the order of queueing.
 */
#include <stdio.h>

#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

#define PRIORITIES 32
#define THREADS_A_QUEUE 16
#define DRAIN_MS 1000u
#define DRAIN_LOOK_MS 1

struct ex_worker_queue {
    LIST_ENTRY items;     /* WORK_QUEUE_ITEM.List */
    KSEMAPHORE available; /* counts the items that no thread has come for */
    unsigned count;       /* items in the list */
    unsigned threads;
    unsigned permanent; /* threads that stay */
    unsigned idle;      /* threads that execute no routine */
    unsigned late;      /* items of --delay that the threads do not see yet; in `count`, not in `items` */
    unsigned started;   /* threads ever, for their names */
    KPRIORITY priority;
};

/* An item that --delay keeps from its queue for a while. */
struct late_item {
    LIST_ENTRY entry; /* in ex_workers.late */
    struct deadline deadline;
    struct ex_worker_queue *queue;
    PWORK_QUEUE_ITEM item;
};

struct ex_workers {
    struct ex_worker_queue queues[PRIORITIES];
    LIST_ENTRY late; /* late_item.entry */
    unsigned queued; /* items in all queues */
};

/* "WORK_QUEUE_TYPE enumeration (wdm.h)" gives each type its priority. */
static struct ex_worker_queue *queue_for(PWORK_QUEUE_ITEM item, WORK_QUEUE_TYPE type, const char *routine)
{
    static const uint8_t priority[MaximumWorkQueue] = {
        [CriticalWorkQueue] = 13,  [DelayedWorkQueue] = 12,  [HyperCriticalWorkQueue] = 15, [NormalWorkQueue] = 8,
        [BackgroundWorkQueue] = 7, [RealTimeWorkQueue] = 18, [SuperCriticalWorkQueue] = 14,
    };
    unsigned number = (unsigned)type;

    if (number < MaximumWorkQueue)
        return &machine->ex->workers->queues[priority[number]];
    if (number >= CustomPriorityWorkQueue && number < CustomPriorityWorkQueue + PRIORITIES)
        return &machine->ex->workers->queues[number - CustomPriorityWorkQueue];
    nt_violation_code(WORKER_INVALID, (uint64_t[4]){0x6, (uintptr_t)item, number}, "work-item-queue",
                      "%s: %u is no WORK_QUEUE_TYPE", routine, number);
}

void ex_worker_check_return(const void *routine, const void *item, const void *context)
{
    const struct _KTHREAD *thread = ke_thread();
    char name[256];

    if (ke_irql() == PASSIVE_LEVEL && thread->critical_region == 0 && thread->guarded_region == 0 &&
        thread->locks.count == 0)
        return;
    loader_describe(name, sizeof name, routine);
    if (ke_irql() != PASSIVE_LEVEL) {
        const uint64_t parameter[4] = {(uintptr_t)routine, ke_irql(), (uintptr_t)context, (uintptr_t)item};
        nt_violation_code(WORKER_THREAD_RETURNED_AT_BAD_IRQL, parameter, "irql-changed",
                          "the work item's routine %s returned at IRQL %u", name, ke_irql());
    }
    if (thread->critical_region != 0 || thread->guarded_region != 0)
        nt_violation("work-item-return", "the work item's routine %s returned in a critical or guarded region", name);
    const struct lock_held *held = &thread->locks.held[thread->locks.count - 1];
    lock_note_stack(held->caller, held->stack, "it was acquired here:");
    nt_violation("work-item-return", "the work item's routine %s returned with the %s %p owned", name,
                 lock_kind_name(held->kind), held->lock);
}

static void worker_main(void *argument)
{
    struct ex_worker_queue *queue = argument;

    /* Another thread may have taken the item that this one was made for. */
    while (queue->threads <= queue->permanent || queue->available.Header.SignalState > 0 || queue->late > 0) {
        KeWaitForSingleObject(&queue->available, Executive, KernelMode, FALSE, NULL);
        PWORK_QUEUE_ITEM item = CONTAINING_RECORD(RemoveHeadList(&queue->items), WORK_QUEUE_ITEM, List);
        PWORKER_THREAD_ROUTINE routine = item->WorkerRoutine;
        PVOID parameter = item->Parameter;

        queue->idle--;
        queue->count--;
        machine->ex->workers->queued--;
        item->List.Flink = NULL; /* from here on the routine may free the item or queue it again */
        KERNEL_CALLOUT(routine, parameter);
        ex_worker_check_return((const void *)(uintptr_t)routine, item, parameter);
        queue->idle++;
    }
    queue->idle--;
    queue->threads--;
}

static void start_thread(struct ex_worker_queue *queue)
{
    struct _KTHREAD *thread;
    char name[48];

    queue->threads++;
    queue->idle++;
    snprintf(name, sizeof name, "worker %d.%u", (int)queue->priority, queue->started++);
    thread = ke_thread_create(name, NULL, worker_main, queue, queue->priority);
    thread->of_kernel = true;
    ob_dereference(thread);
}

static void item_arrives(void *argument)
{
    struct late_item *late = argument;
    struct ex_worker_queue *queue = late->queue;

    queue->late--;
    InsertTailList(&queue->items, &late->item->List);
    ke_signal(&queue->available.Header, queue->available.Header.SignalState + 1, IO_NO_INCREMENT);
    RemoveEntryList(&late->entry);
    image_free(late);
}

static void queue_late(struct ex_worker_queue *queue, PWORK_QUEUE_ITEM item, uint64_t delay)
{
    struct late_item *late = image_alloc(sizeof(*late));

    late->queue = queue;
    late->item = item;
    InitializeListHead(&item->List); /* not NULL: it is queued */
    InsertTailList(&machine->ex->workers->late, &late->entry);
    queue->late++;
    deadline_set(&late->deadline, clock_now() + delay, item_arrives, late);
}

void ex_worker_queue(PWORK_QUEUE_ITEM item, WORK_QUEUE_TYPE type, const char *routine)
{
    struct ex_worker_queue *queue = queue_for(item, type, routine);
    uint64_t delay;

    if (item->List.Flink != NULL) {
        const uint64_t parameter[4] = {0x1, (uintptr_t)item, (uint64_t)type, 0};
        nt_violation_code(WORKER_INVALID, parameter, "work-item-queued-twice",
                          "%s: the work item %p is queued already, or was not initialised", routine, (void *)item);
    }
    pool_note_inside(item);
    delay = delay_draw(DELAY_WORK_ITEM);
    if (delay != 0)
        queue_late(queue, item, delay);
    else
        InsertTailList(&queue->items, &item->List);
    queue->count++;
    machine->ex->workers->queued++;
    if (queue->idle < queue->count && queue->threads < THREADS_A_QUEUE)
        start_thread(queue);
    if (delay == 0)
        KeReleaseSemaphore(&queue->available, IO_NO_INCREMENT, 1, FALSE);
}

VOID NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType)
{
    NT_CALL(DISPATCH_LEVEL);
    if (WorkItem->WorkerRoutine == NULL)
        nt_violation("work-item-not-initialised", "ExQueueWorkItem: the work item %p has no routine", (void *)WorkItem);
    ex_worker_queue(WorkItem, QueueType, __func__);
}

void ex_worker_init(void)
{
    static const struct {
        uint8_t priority, threads;
    } permanent[] = {{13, 2}, {12, 2}, {15, 1}}; /* critical, delayed, hypercritical */
    struct ex_workers *workers = image_alloc(sizeof *workers);

    machine->ex->workers = workers;
    InitializeListHead(&workers->late);
    for (int i = 0; i < PRIORITIES; i++) {
        struct ex_worker_queue *queue = &workers->queues[i];

        queue->priority = i;
        InitializeListHead(&queue->items);
        KeInitializeSemaphore(&queue->available, 0, MAXLONG);
    }
    for (size_t i = 0; i < sizeof permanent / sizeof permanent[0]; i++) {
        struct ex_worker_queue *queue = &workers->queues[permanent[i].priority];

        queue->permanent = permanent[i].threads;
        while (queue->threads < queue->permanent)
            start_thread(queue);
    }
}

const WORK_QUEUE_ITEM *ex_worker_find_queued(const void *start, size_t size)
{
    struct ex_workers *workers = machine->ex->workers;

    if (workers->queued == 0)
        return NULL;
    for (LIST_ENTRY *entry = workers->late.Flink; entry != &workers->late; entry = entry->Flink) {
        const WORK_QUEUE_ITEM *item = CONTAINING_RECORD(entry, struct late_item, entry)->item;

        if ((uintptr_t)item - (uintptr_t)start < size)
            return item;
    }
    for (int i = 0; i < PRIORITIES; i++) {
        LIST_ENTRY *items = &workers->queues[i].items;
        for (LIST_ENTRY *entry = items->Flink; entry != items; entry = entry->Flink)
            if ((uintptr_t)entry - (uintptr_t)start < size)
                return CONTAINING_RECORD(entry, WORK_QUEUE_ITEM, List);
    }
    return NULL;
}

static bool workers_busy(void)
{
    for (int i = 0; i < PRIORITIES; i++) {
        const struct ex_worker_queue *queue = &machine->ex->workers->queues[i];

        if (queue->count != 0 || queue->idle < queue->threads)
            return true;
    }
    return false;
}

void ex_workers_drain(void)
{
    LARGE_INTEGER interval = {.QuadPart = -DRAIN_LOOK_MS * 10000LL};

    for (unsigned waited = 0; waited < DRAIN_MS && workers_busy(); waited += DRAIN_LOOK_MS)
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

void ex_worker_census(struct census *census)
{
    LIST_ENTRY *late = &machine->ex->workers->late;

    for (LIST_ENTRY *entry = late->Blink; entry != late; entry = entry->Blink)
        census_item(census, "work item", 1,
                    (const void *)(uintptr_t)CONTAINING_RECORD(entry, struct late_item, entry)->item->WorkerRoutine,
                    "queued");
    for (int i = 0; i < PRIORITIES; i++) {
        LIST_ENTRY *items = &machine->ex->workers->queues[i].items;
        for (LIST_ENTRY *entry = items->Blink; entry != items; entry = entry->Blink) {
            const WORK_QUEUE_ITEM *item = CONTAINING_RECORD(entry, WORK_QUEUE_ITEM, List);
            census_item(census, "work item", 1, (const void *)(uintptr_t)item->WorkerRoutine, "queued");
        }
    }
}
