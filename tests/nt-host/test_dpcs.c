/*
 * Deferred procedure calls, after "Introduction to DPC Objects", "Organization of DPC Queues", KeInsertQueueDpc,
 * KeSetImportanceDpc, KeSetTargetProcessorDpcEx, KeRemoveQueueDpc and KeFlushQueuedDpcs.
 */
#include "guest_threads.h"

#define DPCS 5
#define VCPUS 4

static struct {
    volatile LONG count;
    volatile LONG order[DPCS];
    ULONG vcpu;
    KIRQL irql;
    PVOID argument1, argument2;
    PKTHREAD thread;
} seen;

static VOID NTAPI note(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    seen.order[seen.count++ % DPCS] = (LONG)(LONG_PTR)context;
    seen.vcpu = KeGetCurrentProcessorNumberEx(NULL);
    seen.irql = KeGetCurrentIrql();
    seen.argument1 = argument1;
    seen.argument2 = argument2;
    seen.thread = KeGetCurrentThread();
}

/* ---- where and how ---- */

static void at_once_in_the_interrupted_thread(void *argument)
{
    KDPC dpc;

    (void)argument;
    memset(&seen, 0, sizeof(seen));
    stay_on(0);
    KeInitializeDpc(&dpc, note, NULL);
    ck_assert(KeInsertQueueDpc(&dpc, &seen, &dpc)); /* below DISPATCH_LEVEL it runs before this returns */
    ck_assert_int_eq(seen.count, 1);
    ck_assert_uint_eq(seen.vcpu, 0);
    ck_assert_uint_eq(seen.irql, DISPATCH_LEVEL);
    ck_assert_ptr_eq(seen.argument1, &seen);
    ck_assert_ptr_eq(seen.argument2, &dpc);
    ck_assert_ptr_eq(seen.thread, KeGetCurrentThread());
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

START_TEST(test_at_once_in_the_interrupted_thread)
{
    struct machine_config config = guest_config(1);

    guest_run_with(&config, at_once_in_the_interrupted_thread, NULL);
}
END_TEST

static void queued_twice_runs_once(void *argument)
{
    KDPC dpc;
    KIRQL irql;

    (void)argument;
    memset(&seen, 0, sizeof(seen));
    KeInitializeDpc(&dpc, note, NULL);
    irql = KeRaiseIrqlToDpcLevel();
    ck_assert(KeInsertQueueDpc(&dpc, (PVOID)1, NULL));
    ck_assert(!KeInsertQueueDpc(&dpc, (PVOID)2, NULL)); /* queued already: nothing happens */
    ck_assert_int_eq(seen.count, 0);                    /* not before the IRQL falls */
    KeLowerIrql(irql);
    ck_assert_int_eq(seen.count, 1);
    ck_assert_ptr_eq(seen.argument1, (PVOID)1);
    ck_assert(KeInsertQueueDpc(&dpc, (PVOID)3, NULL)); /* and then it can be queued again */
    ck_assert_int_eq(seen.count, 2);
    ck_assert_ptr_eq(seen.argument1, (PVOID)3);
}

START_TEST(test_queued_twice_runs_once)
{
    struct machine_config config = guest_config(1);

    guest_run_with(&config, queued_twice_runs_once, NULL);
}
END_TEST

static void order_by_importance(void *argument)
{
    static const KDPC_IMPORTANCE importance[DPCS] = {MediumImportance, LowImportance, HighImportance,
                                                     MediumHighImportance, HighImportance};
    static const LONG expected[DPCS] = {4, 2, 0, 1,
                                        3}; /* high ones at the head, each before the other; the rest in order */
    KDPC dpc[DPCS];
    KIRQL irql;

    (void)argument;
    memset(&seen, 0, sizeof(seen));
    for (LONG i = 0; i < DPCS; i++) {
        KeInitializeDpc(&dpc[i], note, (PVOID)(LONG_PTR)i);
        KeSetImportanceDpc(&dpc[i], importance[i]);
    }
    irql = KeRaiseIrqlToDpcLevel();
    for (LONG i = 0; i < DPCS; i++)
        ck_assert(KeInsertQueueDpc(&dpc[i], NULL, NULL));
    KeLowerIrql(irql);
    ck_assert_int_eq(seen.count, DPCS);
    for (unsigned i = 0; i < DPCS; i++)
        ck_assert_int_eq(seen.order[i], expected[i]);
}

START_TEST(test_order_by_importance)
{
    struct machine_config config = guest_config(1);

    guest_run_with(&config, order_by_importance, NULL);
}
END_TEST

static void on_the_target(void *argument)
{
    KDPC dpc;
    PROCESSOR_NUMBER number;

    (void)argument;
    for (ULONG vcpu = 0; vcpu < VCPUS; vcpu++) {
        memset(&seen, 0, sizeof(seen));
        KeInitializeDpc(&dpc, note, NULL);
        ck_assert_int_eq(KeGetProcessorNumberFromIndex(vcpu, &number), STATUS_SUCCESS);
        ck_assert_int_eq(KeSetTargetProcessorDpcEx(&dpc, &number), STATUS_SUCCESS);
        ck_assert(KeInsertQueueDpc(&dpc, NULL, NULL));
        KeFlushQueuedDpcs();
        ck_assert_int_eq(seen.count, 1);
        ck_assert_uint_eq(seen.vcpu, vcpu);
    }
    number = (PROCESSOR_NUMBER){.Group = 0, .Number = 63};
    ck_assert_int_eq(KeSetTargetProcessorDpcEx(&dpc, &number), STATUS_INVALID_PARAMETER);
}

START_TEST(test_on_the_target)
{
    over_schedules(VCPUS, 10, on_the_target, NULL);
}
END_TEST

static void removed(void *argument)
{
    KDPC dpc;
    KIRQL irql;

    (void)argument;
    memset(&seen, 0, sizeof(seen));
    KeInitializeDpc(&dpc, note, NULL);
    ck_assert(!KeRemoveQueueDpc(&dpc)); /* not queued */
    irql = KeRaiseIrqlToDpcLevel();
    ck_assert(KeInsertQueueDpc(&dpc, NULL, NULL));
    ck_assert(KeRemoveQueueDpc(&dpc));
    ck_assert(!KeRemoveQueueDpc(&dpc));
    KeLowerIrql(irql);
    ck_assert_int_eq(seen.count, 0);
    ck_assert(KeInsertQueueDpc(&dpc, NULL, NULL));
    ck_assert_int_eq(seen.count, 1);
}

START_TEST(test_removed)
{
    struct machine_config config = guest_config(1);

    guest_run_with(&config, removed, NULL);
}
END_TEST

/* ---- nothing else runs on the processor meanwhile ---- */

static struct {
    volatile LONG inside[VCPUS];
    volatile LONG runs;
} solo;

static VOID NTAPI be_alone(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    ULONG vcpu = KeGetCurrentProcessorNumberEx(NULL);

    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    ck_assert_int_eq(InterlockedIncrement(&solo.inside[vcpu]), 1); /* no other DPC */
    for (unsigned i = 0; i < 20; i++) {
        KeStallExecutionProcessor(1);
        ck_assert_uint_eq(KeGetCurrentProcessorNumberEx(NULL), vcpu);
        ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    }
    ck_assert_int_eq(InterlockedDecrement(&solo.inside[vcpu]), 0);
    (void)InterlockedIncrement(&solo.runs);
}

/* A thread of the highest priority on each processor looks whether it ever runs while a DPC does. */
static VOID NTAPI watch(PVOID context)
{
    ULONG vcpu = (ULONG)(ULONG_PTR)context;

    stay_on(vcpu);
    (void)KeSetPriorityThread(KeGetCurrentThread(), HIGH_PRIORITY);
    while (solo.runs < 4 * VCPUS) {
        ck_assert_uint_eq(KeGetCurrentProcessorNumberEx(NULL), vcpu);
        ck_assert_int_eq(solo.inside[vcpu], 0);
        sleep_ms(1);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void alone_on_its_processor(void *argument)
{
    KDPC dpc[4 * VCPUS];
    PKTHREAD thread[VCPUS];

    (void)argument;
    memset(&solo, 0, sizeof(solo));
    for (ULONG_PTR i = 0; i < VCPUS; i++)
        thread[i] = thread_start(watch, (PVOID)i);
    for (unsigned i = 0; i < RTL_NUMBER_OF(dpc); i++) {
        KeInitializeDpc(&dpc[i], be_alone, NULL);
        KeSetTargetProcessorDpc(&dpc[i], (CCHAR)(i % VCPUS));
        ck_assert(KeInsertQueueDpc(&dpc[i], NULL, NULL));
    }
    for (unsigned i = 0; i < VCPUS; i++)
        thread_join(thread[i]);
    KeFlushQueuedDpcs();
    ck_assert_int_eq(solo.runs, RTL_NUMBER_OF(dpc));
}

START_TEST(test_alone_on_its_processor)
{
    over_schedules(VCPUS, 10, alone_on_its_processor, NULL);
}
END_TEST

/* ---- flush ---- */

static VOID NTAPI run_long(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)argument1;
    (void)argument2;
    KeStallExecutionProcessor(50);
    (void)InterlockedIncrement(context);
}

static void flush_waits_for_all(void *argument)
{
    KDPC dpc[VCPUS];
    volatile LONG done = 0;

    (void)argument;
    for (unsigned i = 0; i < VCPUS; i++) {
        KeInitializeDpc(&dpc[i], run_long, (PVOID)&done);
        KeSetTargetProcessorDpc(&dpc[i], (CCHAR)i);
        KeSetImportanceDpc(&dpc[i], i % 2 != 0 ? LowImportance : MediumImportance);
        (void)KeInsertQueueDpc(&dpc[i], NULL, NULL);
    }
    KeFlushQueuedDpcs(); /* those that were queued, on every processor, have run to their end */
    ck_assert_int_eq(done, VCPUS);
}

START_TEST(test_flush_waits_for_all)
{
    over_schedules(VCPUS, 20, flush_waits_for_all, NULL);
}
END_TEST

/* ---- DPCs that queue ---- */

static KDPC again;

static VOID NTAPI queue_again(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)argument1;
    (void)argument2;
    if (InterlockedIncrement(context) < 5)
        ck_assert(KeInsertQueueDpc(dpc, NULL, NULL)); /* it is off the queue when it runs */
}

static void queues_itself(void *argument)
{
    volatile LONG runs = 0;

    (void)argument;
    KeInitializeDpc(&again, queue_again, (PVOID)&runs);
    (void)KeInsertQueueDpc(&again, NULL, NULL);
    sleep_ms(1);
    ck_assert_int_eq(runs, 5);
}

START_TEST(test_queues_itself)
{
    over_schedules(2, 5, queues_itself, NULL);
}
END_TEST

/* KeGenericCallDpc: on every processor, and the pair that makes them meet. */
struct everywhere {
    volatile LONG vcpus;
    volatile LONG elected;
    volatile LONG met;
};

static VOID NTAPI on_each(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct everywhere *everywhere = context;

    (void)dpc;
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    (void)InterlockedOr(&everywhere->vcpus, 1 << KeGetCurrentProcessorNumberEx(NULL));
    if (KeSignalCallDpcSynchronize(argument2))
        (void)InterlockedIncrement(&everywhere->elected);
    ck_assert_int_eq(everywhere->vcpus, (1 << VCPUS) - 1); /* all have come */
    (void)InterlockedIncrement(&everywhere->met);
    KeSignalCallDpcDone(argument1);
}

static void generic_call(void *argument)
{
    struct everywhere everywhere = {.vcpus = 0};

    (void)argument;
    KeGenericCallDpc(on_each, &everywhere);
    ck_assert_int_eq(everywhere.met, VCPUS);
    ck_assert_int_eq(everywhere.elected, 1); /* TRUE for one of them */
}

START_TEST(test_generic_call)
{
    over_schedules(VCPUS, 10, generic_call, NULL);
}
END_TEST

/* ---- broken rules ---- */

static void not_initialised(void *argument)
{
    static KDPC dpc;

    (void)argument;
    memset(&dpc, 0, sizeof(dpc));
    (void)KeInsertQueueDpc(&dpc, NULL, NULL);
}

static VOID NTAPI return_raised(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    KIRQL irql;

    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    KeRaiseIrql(CLOCK_LEVEL, &irql);
}

static void returns_raised(void *argument)
{
    static KDPC dpc;

    (void)argument;
    KeInitializeDpc(&dpc, return_raised, NULL);
    (void)KeInsertQueueDpc(&dpc, NULL, NULL);
    sleep_ms(1);
}

static VOID NTAPI lower(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    KeLowerIrql(PASSIVE_LEVEL);
}

static void lowers(void *argument)
{
    static KDPC dpc;

    (void)argument;
    KeInitializeDpc(&dpc, lower, NULL);
    (void)KeInsertQueueDpc(&dpc, NULL, NULL);
    sleep_ms(1);
}

static void no_such_processor(void *argument)
{
    static KDPC dpc;

    (void)argument;
    KeInitializeDpc(&dpc, note, NULL);
    KeSetTargetProcessorDpc(&dpc, 100);
}

static void freed_while_queued(void *argument)
{
    PKDPC dpc = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*dpc), TEST_TAG);

    (void)argument;
    (void)KeRaiseIrqlToDpcLevel();
    KeInitializeDpc(dpc, note, NULL);
    (void)KeInsertQueueDpc(dpc, NULL, NULL);
    ExFreePoolWithTag(dpc, TEST_TAG);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} broken[] = {
    {not_initialised, "dpc-not-initialised"}, {returns_raised, "irql-changed"},     {lowers, "irql-changed"},
    {no_such_processor, "dpc-target"},        {freed_while_queued, "freed-in-use"},
};

START_TEST(test_broken_rule)
{
    must_break(1, broken[_i].function, broken[_i].rule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/dpcs");
    TCase *tcase = tcase_create("dpcs");

    tcase_add_test(tcase, test_at_once_in_the_interrupted_thread);
    tcase_add_test(tcase, test_queued_twice_runs_once);
    tcase_add_test(tcase, test_order_by_importance);
    tcase_add_test(tcase, test_on_the_target);
    tcase_add_test(tcase, test_removed);
    tcase_add_test(tcase, test_alone_on_its_processor);
    tcase_add_test(tcase, test_flush_waits_for_all);
    tcase_add_test(tcase, test_queues_itself);
    tcase_add_test(tcase, test_generic_call);
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
