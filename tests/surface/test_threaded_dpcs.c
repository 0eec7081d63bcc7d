/*
 * Threaded DPCs, after "Introduction to Threaded DPCs", KeInitializeThreadedDpc, KeInsertQueueDpc and
 * KeFlushQueuedDpcs (wdm.h).
 */
#include "surface.h"

#include "nt/cm/cm.h"

#define DPCS 4

static struct {
    KDPC dpcs[DPCS];
    KDPC ordinary;
    KTIMER timer;
    KEVENT done;
    unsigned order[DPCS];
    volatile LONG ran, ordinary_ran;
    KIRQL irql;
    ULONG processor;
    volatile LONG inside;
} test;

static VOID NTAPI threaded(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    KIRQL irql = KeGetCurrentIrql();

    test.irql = irql;
    test.processor = KeGetCurrentProcessorNumberEx(NULL);
    ck_assert_ptr_eq(context, &test);
    ck_assert(argument1 == NULL || argument1 == &test.dpcs);
    ck_assert(argument2 == NULL || argument2 == &test.order);
    ck_assert_int_eq(InterlockedIncrement(&test.inside), 1); /* no other thread of this processor comes between */
    KeStallExecutionProcessor(50);
    InterlockedDecrement(&test.inside);
    test.order[test.ran++] = (unsigned)(dpc - test.dpcs);
    KeSetEvent(&test.done, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI ordinary(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    InterlockedIncrement(&test.ordinary_ran);
}

static void start(void)
{
    memset(&test, 0, sizeof(test));
    for (unsigned number = 0; number < DPCS; number++)
        KeInitializeThreadedDpc(&test.dpcs[number], threaded, &test);
    KeInitializeDpc(&test.ordinary, ordinary, NULL);
    KeInitializeEvent(&test.done, SynchronizationEvent, FALSE);
}

static void at_passive_level(void *argument)
{
    KIRQL irql;

    (void)argument;
    start();
    ck_assert(KeInsertQueueDpc(&test.dpcs[0], &test.dpcs, &test.order));
    ck_assert_int_eq(KeWaitForSingleObject(&test.done, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert_uint_eq(test.irql, PASSIVE_LEVEL);

    /* In order of insertion, HighImportance first; one that is queued is not queued again, and can be removed. */
    test.ran = 0;
    stay_on(0);
    KeSetImportanceDpc(&test.dpcs[2], HighImportance);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    for (unsigned number = 0; number < DPCS; number++)
        ck_assert(KeInsertQueueDpc(&test.dpcs[number], &test.dpcs, &test.order));
    ck_assert(!KeInsertQueueDpc(&test.dpcs[0], NULL, NULL));
    ck_assert(KeRemoveQueueDpc(&test.dpcs[3]));
    ck_assert(!KeRemoveQueueDpc(&test.dpcs[3]));
    KeLowerIrql(irql);
    KeFlushQueuedDpcs();
    ck_assert_int_eq(test.ran, 3);
    ck_assert_uint_eq(test.order[0], 2);
    ck_assert_uint_eq(test.order[1], 0);
    ck_assert_uint_eq(test.order[2], 1);
    ck_assert_uint_eq(test.processor, 0);

    /* On the processor that it is meant for. */
    KeSetTargetProcessorDpc(&test.dpcs[3], 1);
    ck_assert(KeInsertQueueDpc(&test.dpcs[3], &test.dpcs, &test.order));
    KeFlushQueuedDpcs();
    ck_assert_uint_eq(test.processor, 1);
}

START_TEST(test_at_passive_level)
{
    over_schedules(2, 10, at_passive_level, NULL);
}
END_TEST

/* An ordinary DPC interrupts a threaded one; a thread of whatever priority does not. */
static VOID NTAPI long_one(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    test.inside = 1;
    for (unsigned i = 0; i < 1000 && test.ordinary_ran == 0; i++)
        KeStallExecutionProcessor(10);
    test.inside = 0;
    test.ran++;
}

static VOID NTAPI strong_thread(PVOID context)
{
    LARGE_INTEGER pause = in_ms(1);

    (void)context;
    stay_on(0);
    (void)KeSetPriorityThread(KeGetCurrentThread(), HIGH_PRIORITY - 1);
    while (test.ran == 0) {
        ck_assert_int_eq(test.inside, 0);
        (void)KeDelayExecutionThread(KernelMode, FALSE, &pause);
    }
}

static void precedence(void *argument)
{
    LARGE_INTEGER due = in_ms(5);
    PKTHREAD thread;

    (void)argument;
    start();
    stay_on(1);
    KeInitializeThreadedDpc(&test.dpcs[0], long_one, NULL);
    KeSetTargetProcessorDpc(&test.dpcs[0], 0);
    KeSetTargetProcessorDpc(&test.ordinary, 0);
    KeInitializeTimer(&test.timer);
    thread = thread_start(strong_thread, NULL);
    sleep_ms(3);
    KeSetTimer(&test.timer, due, &test.ordinary);
    ck_assert(KeInsertQueueDpc(&test.dpcs[0], NULL, NULL));
    thread_join(thread);
    ck_assert_int_eq(test.ordinary_ran, 1);
    ck_assert_int_eq(test.ran, 1);
}

START_TEST(test_precedence)
{
    guest_run(precedence, NULL);
}
END_TEST

/* A timer's DPC may be a threaded one. */
static void of_a_timer(void *argument)
{
    LARGE_INTEGER due = in_ms(2);

    (void)argument;
    start();
    KeInitializeTimer(&test.timer);
    KeSetTimer(&test.timer, due, &test.dpcs[1]);
    ck_assert_int_eq(KeWaitForSingleObject(&test.done, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert_uint_eq(test.irql, PASSIVE_LEVEL);
}

START_TEST(test_of_a_timer)
{
    over_schedules(2, 5, of_a_timer, NULL);
}
END_TEST

/* The system's switch. */
static void switched_off(void *argument)
{
    (void)argument;
    cm_value_set_dword(cm_key_create(CM_CONTROL "\\Session Manager\\kernel"), "ThreadDpcEnable", 0);
    start();
    ck_assert(KeInsertQueueDpc(&test.dpcs[0], &test.dpcs, &test.order));
    KeFlushQueuedDpcs();
    ck_assert_uint_eq(test.irql, DISPATCH_LEVEL);
}

START_TEST(test_switched_off)
{
    over_schedules(2, 5, switched_off, NULL);
}
END_TEST

/* ---- what its routine may not do ---- */

static VOID NTAPI waits(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    LARGE_INTEGER zero = {.QuadPart = 0};

    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    ck_assert_int_eq(KeWaitForSingleObject(&test.done, Executive, KernelMode, FALSE, &zero), STATUS_TIMEOUT);
    (void)KeWaitForSingleObject(&test.done, Executive, KernelMode, FALSE, NULL);
}

static VOID NTAPI raises(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    KIRQL irql;

    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
}

static void run_waits(void *argument)
{
    (void)argument;
    start();
    KeInitializeThreadedDpc(&test.dpcs[0], waits, NULL);
    ck_assert(KeInsertQueueDpc(&test.dpcs[0], NULL, NULL));
    KeFlushQueuedDpcs();
}

static void run_raises(void *argument)
{
    (void)argument;
    start();
    KeInitializeThreadedDpc(&test.dpcs[0], raises, NULL);
    ck_assert(KeInsertQueueDpc(&test.dpcs[0], NULL, NULL));
    KeFlushQueuedDpcs();
}

static void freed_while_queued(void *argument)
{
    PKDPC dpc;
    KIRQL irql;

    (void)argument;
    start();
    dpc = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*dpc), TEST_TAG);
    KeInitializeThreadedDpc(dpc, threaded, &test);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert(KeInsertQueueDpc(dpc, NULL, NULL));
    ExFreePoolWithTag(dpc, TEST_TAG);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} breaks[] = {
    {run_waits, "wait-at-dispatch"},
    {run_raises, "irql-changed"},
    {freed_while_queued, "freed-in-use"},
};

START_TEST(test_breaks)
{
    (void)must_break(1, breaks[_i].function, breaks[_i].rule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("surface/threaded-dpcs");
    TCase *cases = tcase_create("threaded-dpcs");

    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_at_passive_level);
    tcase_add_test(cases, test_precedence);
    tcase_add_test(cases, test_of_a_timer);
    tcase_add_test(cases, test_switched_off);
    tcase_add_loop_test(cases, test_breaks, 0, RTL_NUMBER_OF(breaks));
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
