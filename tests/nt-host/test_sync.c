/*
 * The executive's other ways to synchronise: sequenced and interlocked lists, resources, push locks, rundown
 * protection, callback objects; after their wdm.h pages.
 */
#include "guest_threads.h"

#define THREADS 4
#define ROUNDS 12

/* ---- lists ---- */

struct node {
    SLIST_ENTRY entry;
    LIST_ENTRY link;
    LONG owner; /* 0: on a list */
};

static struct {
    SLIST_HEADER slist;
    LIST_ENTRY list;
    KSPIN_LOCK lock;
    struct node node[6];
} lists;

static void sequenced(void *argument)
{
    (void)argument;
    InitializeSListHead(&lists.slist);
    ck_assert_uint_eq(QueryDepthSList(&lists.slist), 0);
    ck_assert_ptr_null(InterlockedPopEntrySList(&lists.slist));
    ck_assert_ptr_null(InterlockedPushEntrySList(&lists.slist, &lists.node[0].entry)); /* the first before: none */
    ck_assert_ptr_eq(InterlockedPushEntrySList(&lists.slist, &lists.node[1].entry), &lists.node[0].entry);
    ck_assert_ptr_eq(InterlockedPushEntrySList(&lists.slist, &lists.node[2].entry), &lists.node[1].entry);
    ck_assert_uint_eq(QueryDepthSList(&lists.slist), 3);
    ck_assert_ptr_eq(InterlockedPopEntrySList(&lists.slist), &lists.node[2].entry); /* last in, first out */
    ck_assert_ptr_eq(InterlockedFlushSList(&lists.slist), &lists.node[1].entry);
    ck_assert_ptr_eq(lists.node[1].entry.Next, &lists.node[0].entry);
    ck_assert_ptr_null(lists.node[0].entry.Next);
    ck_assert_uint_eq(QueryDepthSList(&lists.slist), 0);
}

START_TEST(test_sequenced)
{
    guest_run(sequenced, NULL);
}
END_TEST

static void interlocked_lists(void *argument)
{
    (void)argument;
    InitializeListHead(&lists.list);
    KeInitializeSpinLock(&lists.lock);
    ck_assert_ptr_null(ExInterlockedRemoveHeadList(&lists.list, &lists.lock));
    ck_assert_ptr_null(ExInterlockedInsertTailList(&lists.list, &lists.node[0].link, &lists.lock)); /* was empty */
    ck_assert_ptr_eq(ExInterlockedInsertTailList(&lists.list, &lists.node[1].link, &lists.lock), &lists.node[0].link);
    ck_assert_ptr_eq(ExInterlockedInsertHeadList(&lists.list, &lists.node[2].link, &lists.lock), &lists.node[0].link);
    ck_assert_ptr_eq(ExInterlockedRemoveHeadList(&lists.list, &lists.lock), &lists.node[2].link);
    ck_assert_ptr_eq(ExInterlockedRemoveHeadList(&lists.list, &lists.lock), &lists.node[0].link);
    ck_assert_ptr_eq(ExInterlockedRemoveHeadList(&lists.list, &lists.lock), &lists.node[1].link);
    ck_assert(IsListEmpty(&lists.list));
}

START_TEST(test_interlocked_lists)
{
    guest_run(interlocked_lists, NULL);
}
END_TEST

/* A node is with one thread or on the list, whatever the schedule. */
static VOID NTAPI shuffle_slist(PVOID context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        PSLIST_ENTRY entry = InterlockedPopEntrySList(&lists.slist);
        struct node *node;

        if (entry == NULL)
            continue;
        node = CONTAINING_RECORD(entry, struct node, entry);
        ck_assert_int_eq(InterlockedExchange(&node->owner, 1), 0);
        KeStallExecutionProcessor(1);
        ck_assert_int_eq(InterlockedExchange(&node->owner, 0), 1);
        (void)InterlockedPushEntrySList(&lists.slist, entry);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI shuffle_list(PVOID context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        PLIST_ENTRY entry = ExInterlockedRemoveHeadList(&lists.list, &lists.lock);
        struct node *node;

        if (entry == NULL)
            continue;
        node = CONTAINING_RECORD(entry, struct node, link);
        ck_assert_int_eq(InterlockedExchange(&node->owner, 1), 0);
        KeStallExecutionProcessor(1);
        ck_assert_int_eq(InterlockedExchange(&node->owner, 0), 1);
        (void)ExInterlockedInsertTailList(&lists.list, entry, &lists.lock);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void shuffle(void *argument)
{
    PKTHREAD thread[THREADS];
    unsigned count = 0;

    (void)argument;
    memset(&lists, 0, sizeof(lists));
    InitializeSListHead(&lists.slist);
    InitializeListHead(&lists.list);
    for (unsigned i = 0; i < RTL_NUMBER_OF(lists.node); i++) {
        if (i % 2 == 0)
            (void)InterlockedPushEntrySList(&lists.slist, &lists.node[i].entry);
        else
            InsertTailList(&lists.list, &lists.node[i].link);
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = thread_start(i % 2 == 0 ? shuffle_slist : shuffle_list, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(thread[i]);
    ck_assert_uint_eq(QueryDepthSList(&lists.slist), RTL_NUMBER_OF(lists.node) / 2);
    while (ExInterlockedRemoveHeadList(&lists.list, &lists.lock) != NULL)
        count++;
    ck_assert_uint_eq(count, RTL_NUMBER_OF(lists.node) / 2);
}

START_TEST(test_shuffle)
{
    over_schedules(4, 15, shuffle, NULL);
}
END_TEST

/* ---- resources and push locks: many readers or one writer ---- */

static struct {
    ERESOURCE resource;
    EX_PUSH_LOCK push_lock;
    volatile LONG readers;
    volatile LONG writers;
    volatile LONG together;
    LONG total;
} shared;

static void as_writer(void)
{
    LONG before = shared.total;

    ck_assert_int_eq(InterlockedIncrement(&shared.writers), 1);
    ck_assert_int_eq(shared.readers, 0);
    KeStallExecutionProcessor(1);
    shared.total = before + 1;
    ck_assert_int_eq(shared.readers, 0);
    ck_assert_int_eq(InterlockedDecrement(&shared.writers), 0);
}

static void as_reader(void)
{
    LONG readers = InterlockedIncrement(&shared.readers);

    ck_assert_int_eq(shared.writers, 0);
    if (readers > shared.together)
        shared.together = readers;
    KeStallExecutionProcessor(2);
    ck_assert_int_eq(shared.writers, 0);
    (void)InterlockedDecrement(&shared.readers);
}

static VOID NTAPI by_resource(PVOID context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        KeEnterCriticalRegion();
        if (i % 3 == 0) {
            ck_assert(ExAcquireResourceExclusiveLite(&shared.resource, TRUE));
            ck_assert(ExIsResourceAcquiredExclusiveLite(&shared.resource));
            as_writer();
        } else {
            ck_assert(ExAcquireResourceSharedLite(&shared.resource, TRUE));
            ck_assert(!ExIsResourceAcquiredExclusiveLite(&shared.resource));
            ck_assert_uint_ne(ExIsResourceAcquiredSharedLite(&shared.resource), 0);
            as_reader();
        }
        ExReleaseResourceLite(&shared.resource);
        KeLeaveCriticalRegion();
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI by_push_lock(PVOID context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        KeEnterCriticalRegion();
        if (i % 3 == 0) {
            ExAcquirePushLockExclusive(&shared.push_lock);
            as_writer();
            ExReleasePushLockExclusive(&shared.push_lock);
        } else {
            ExAcquirePushLockShared(&shared.push_lock);
            as_reader();
            ExReleasePushLockShared(&shared.push_lock);
        }
        KeLeaveCriticalRegion();
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static const struct contest {
    PKSTART_ROUTINE routine;
} contests[] = {{by_resource}, {by_push_lock}};
static LONG most_together;

static void readers_and_writers(void *argument)
{
    const struct contest *contest = argument;
    PKTHREAD thread[THREADS];

    memset(&shared, 0, sizeof(shared));
    ck_assert_int_eq(ExInitializeResourceLite(&shared.resource), STATUS_SUCCESS);
    ExInitializePushLock(&shared.push_lock);
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = thread_start(contest->routine, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(thread[i]);
    ck_assert_int_eq(shared.total, THREADS * ROUNDS / 3);
    ck_assert_int_eq(ExDeleteResourceLite(&shared.resource), STATUS_SUCCESS);
    if (shared.together > most_together)
        most_together = shared.together;
}

START_TEST(test_readers_and_writers)
{
    most_together = 0;
    over_schedules(4, 15, readers_and_writers, (void *)(uintptr_t)&contests[_i]);
    ck_assert_int_gt(most_together, 1); /* readers do share it */
}
END_TEST

static VOID NTAPI find_it_owned(PVOID context)
{
    (void)context;
    KeEnterCriticalRegion();
    ck_assert(!ExAcquireResourceExclusiveLite(&shared.resource, FALSE)); /* without waiting */
    ck_assert(!ExAcquireResourceSharedLite(&shared.resource, FALSE));
    KeLeaveCriticalRegion();
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI find_it_shared(PVOID context)
{
    (void)context;
    KeEnterCriticalRegion();
    ck_assert(!ExAcquireResourceExclusiveLite(&shared.resource, FALSE));
    ck_assert(ExAcquireResourceSharedLite(&shared.resource, FALSE));
    ExReleaseResourceLite(&shared.resource);
    KeLeaveCriticalRegion();
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void resource_ownership(void *argument)
{
    (void)argument;
    (void)ExInitializeResourceLite(&shared.resource);
    KeEnterCriticalRegion();
    ck_assert(ExAcquireResourceExclusiveLite(&shared.resource, TRUE));
    ck_assert(ExAcquireResourceExclusiveLite(&shared.resource, FALSE)); /* the owner may, again */
    ck_assert(ExAcquireResourceSharedLite(&shared.resource, FALSE));
    thread_join(thread_start(find_it_owned, NULL));
    ExReleaseResourceLite(&shared.resource);
    ExReleaseResourceLite(&shared.resource);
    ck_assert(ExIsResourceAcquiredExclusiveLite(&shared.resource));
    ExConvertExclusiveToSharedLite(&shared.resource);
    ck_assert(!ExIsResourceAcquiredExclusiveLite(&shared.resource));
    thread_join(thread_start(find_it_shared, NULL));
    ExReleaseResourceLite(&shared.resource);
    ck_assert_uint_eq(ExIsResourceAcquiredSharedLite(&shared.resource), 0);
    KeLeaveCriticalRegion();
    (void)ExDeleteResourceLite(&shared.resource);
}

START_TEST(test_resource_ownership)
{
    over_schedules(2, 5, resource_ownership, NULL);
}
END_TEST

/* ---- rundown protection ---- */

static struct {
    EX_RUNDOWN_REF ref;
    volatile bool gone;
    volatile LONG uses;
} object;

static VOID NTAPI use_it(PVOID context)
{
    (void)context;
    while (ExAcquireRundownProtection(&object.ref)) {
        ck_assert(!object.gone);
        sleep_ms(1); /* most of the time somebody is inside */
        ck_assert(!object.gone);
        (void)InterlockedIncrement(&object.uses);
        ExReleaseRundownProtection(&object.ref);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void rundown(void *argument)
{
    PKTHREAD thread[THREADS];

    (void)argument;
    memset(&object, 0, sizeof(object));
    ExInitializeRundownProtection(&object.ref);
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = thread_start(use_it, NULL);
    do
        sleep_ms(5);
    while (object.uses == 0);
    ExWaitForRundownProtectionRelease(&object.ref);
    object.gone = true; /* nobody is inside, and nobody gets in */
    ck_assert(!ExAcquireRundownProtection(&object.ref));
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(thread[i]);
    ck_assert_int_gt(object.uses, 0);
    ExRundownCompleted(&object.ref);
    ExReInitializeRundownProtection(&object.ref);
    ck_assert(ExAcquireRundownProtection(&object.ref));
    ExReleaseRundownProtection(&object.ref);
}

START_TEST(test_rundown)
{
    over_schedules(4, 15, rundown, NULL);
}
END_TEST

/* ---- callbacks ---- */

static VOID NTAPI called_back(PVOID context, PVOID argument1, PVOID argument2)
{
    ck_assert_ptr_eq(argument1, &shared);
    ck_assert_ptr_eq(argument2, &object);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL); /* at the level of ExNotifyCallback's caller */
    (*(LONG *)context)++;
}

static void callbacks(void *argument)
{
    PCALLBACK_OBJECT callback;
    OBJECT_ATTRIBUTES attributes;
    LONG count[2] = {0, 0};
    PVOID registration[2];
    KIRQL irql;

    (void)argument;
    InitializeObjectAttributes(&attributes, NULL, 0, NULL, NULL);
    ck_assert_int_eq(ExCreateCallback(&callback, &attributes, TRUE, TRUE), STATUS_SUCCESS);
    for (unsigned i = 0; i < 2; i++) {
        registration[i] = ExRegisterCallback(callback, called_back, &count[i]);
        ck_assert_ptr_nonnull(registration[i]);
    }
    irql = KeRaiseIrqlToDpcLevel();
    ExNotifyCallback(callback, &shared, &object);
    KeLowerIrql(irql);
    ExUnregisterCallback(registration[0]);
    irql = KeRaiseIrqlToDpcLevel();
    ExNotifyCallback(callback, &shared, &object);
    KeLowerIrql(irql);
    ck_assert_int_eq(count[0], 1);
    ck_assert_int_eq(count[1], 2);
    ExUnregisterCallback(registration[1]);
    ObDereferenceObject(callback);

    ck_assert_int_eq(ExCreateCallback(&callback, &attributes, TRUE, FALSE), STATUS_SUCCESS);
    registration[0] = ExRegisterCallback(callback, called_back, &count[0]);
    ck_assert_ptr_null(ExRegisterCallback(callback, called_back, &count[1])); /* one is all that it takes */
    ExUnregisterCallback(registration[0]);
    ObDereferenceObject(callback);
}

START_TEST(test_callbacks)
{
    guest_run(callbacks, NULL);
}
END_TEST

/* ---- work items ---- */

static struct {
    WORK_QUEUE_ITEM item;
    KEVENT done;
    PKTHREAD thread;
    KIRQL irql;
    LONG runs;
} work;

static VOID NTAPI do_work(PVOID context)
{
    ck_assert_ptr_eq(context, &work);
    work.thread = KeGetCurrentThread();
    work.irql = KeGetCurrentIrql();
    ck_assert(PsIsSystemThread(PsGetCurrentThread()));
    work.runs++;
    sleep_ms(1); /* it may wait */
    (void)KeSetEvent(&work.done, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI queue_work(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    ExQueueWorkItem(&work.item, DelayedWorkQueue);
}

static void work_items(void *argument)
{
    KDPC dpc;

    (void)argument;
    memset(&work, 0, sizeof(work));
    KeInitializeEvent(&work.done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&dpc, queue_work, NULL);
    for (LONG i = 1; i <= 3; i++) {
        ExInitializeWorkItem(&work.item, do_work, &work);
        (void)KeInsertQueueDpc(&dpc, NULL, NULL); /* from DISPATCH_LEVEL to PASSIVE_LEVEL */
        (void)KeWaitForSingleObject(&work.done, Executive, KernelMode, FALSE, NULL);
        ck_assert_int_eq(work.runs, i);
        ck_assert_uint_eq(work.irql, PASSIVE_LEVEL);
        ck_assert_ptr_ne(work.thread, KeGetCurrentThread());
    }
}

START_TEST(test_work_items)
{
    over_schedules(2, 10, work_items, NULL);
}
END_TEST

/* ---- broken rules ---- */

static void pushed_twice(void *argument)
{
    (void)argument;
    InitializeSListHead(&lists.slist);
    (void)InterlockedPushEntrySList(&lists.slist, &lists.node[0].entry);
    (void)InterlockedPushEntrySList(&lists.slist, &lists.node[0].entry);
}

static void resource_with_apcs(void *argument)
{
    (void)argument;
    (void)ExInitializeResourceLite(&shared.resource);
    (void)ExAcquireResourceExclusiveLite(&shared.resource, TRUE);
}

static void resource_not_owned(void *argument)
{
    (void)argument;
    (void)ExInitializeResourceLite(&shared.resource);
    KeEnterCriticalRegion();
    ExReleaseResourceLite(&shared.resource);
}

static void resource_shared_then_exclusive(void *argument)
{
    (void)argument;
    (void)ExInitializeResourceLite(&shared.resource);
    KeEnterCriticalRegion();
    (void)ExAcquireResourceSharedLite(&shared.resource, TRUE);
    (void)ExAcquireResourceExclusiveLite(&shared.resource, TRUE);
}

static void resource_deleted_owned(void *argument)
{
    (void)argument;
    (void)ExInitializeResourceLite(&shared.resource);
    KeEnterCriticalRegion();
    (void)ExAcquireResourceSharedLite(&shared.resource, TRUE);
    (void)ExDeleteResourceLite(&shared.resource);
}

static void resource_uninitialised(void *argument)
{
    static ERESOURCE none;

    (void)argument;
    KeEnterCriticalRegion();
    (void)ExAcquireResourceSharedLite(&none, TRUE);
}

static void rundown_released_too_often(void *argument)
{
    (void)argument;
    ExInitializeRundownProtection(&object.ref);
    ExReleaseRundownProtection(&object.ref);
}

static void push_lock_released_free(void *argument)
{
    (void)argument;
    ExInitializePushLock(&shared.push_lock);
    KeEnterCriticalRegion();
    ExReleasePushLockExclusive(&shared.push_lock);
}

static void work_queued_twice(void *argument)
{
    (void)argument;
    KeInitializeEvent(&work.done, SynchronizationEvent, FALSE);
    ExInitializeWorkItem(&work.item, do_work, &work);
    (void)KeRaiseIrqlToDpcLevel();
    ExQueueWorkItem(&work.item, DelayedWorkQueue);
    ExQueueWorkItem(&work.item, DelayedWorkQueue);
}

static VOID NTAPI return_raised(PVOID context)
{
    KIRQL irql;

    (void)context;
    KeRaiseIrql(APC_LEVEL, &irql);
}

static void work_returns_raised(void *argument)
{
    (void)argument;
    ExInitializeWorkItem(&work.item, return_raised, NULL);
    ExQueueWorkItem(&work.item, DelayedWorkQueue);
    sleep_ms(2000);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} broken[] = {
    {pushed_twice, "slist-double-push"},
    {resource_with_apcs, "apcs-enabled"},
    {resource_not_owned, "resource-not-owned"},
    {resource_shared_then_exclusive, "resource-deadlock"},
    {resource_deleted_owned, "resource-deleted-owned"},
    {resource_uninitialised, "resource-not-initialised"},
    {rundown_released_too_often, "rundown-over-release"},
    {push_lock_released_free, "push-lock-release"},
    {work_queued_twice, "work-item-queued-twice"},
    {work_returns_raised, "irql-changed"},
};

START_TEST(test_broken_rule)
{
    must_break(1, broken[_i].function, broken[_i].rule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/sync");
    TCase *tcase = tcase_create("lists");

    tcase_add_test(tcase, test_sequenced);
    tcase_add_test(tcase, test_interlocked_lists);
    tcase_add_test(tcase, test_shuffle);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("locks");
    tcase_add_loop_test(tcase, test_readers_and_writers, 0, (int)RTL_NUMBER_OF(contests));
    tcase_add_test(tcase, test_resource_ownership);
    tcase_add_test(tcase, test_rundown);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("callbacks and work items");
    tcase_add_test(tcase, test_callbacks);
    tcase_add_test(tcase, test_work_items);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("broken rules");
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
