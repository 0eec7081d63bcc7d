/*
 * System threads that come and go, and inter-processor calls, for the parallel engine and its sanitizer; that the
 * kernel keeps nothing of a thread. What the pages say is held by the cases of tests/nt (ob/thread.c, ke/thread.c,
 * ke/processor.c).
 */
#include "guest_threads.h"

#define VCPUS 4

/* ---- life ---- */

static volatile LONG ran;

static VOID NTAPI end_with(PVOID context)
{
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ck_assert(PsIsSystemThread(PsGetCurrentThread()));
    (void)InterlockedIncrement(&ran);
    (void)PsTerminateSystemThread((NTSTATUS)(LONG_PTR)context);
    ck_abort_msg("PsTerminateSystemThread came back");
}

static VOID NTAPI return_from_start(PVOID context)
{
    (void)context;
    (void)InterlockedIncrement(&ran);
}

static void life(void *argument)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    PKTHREAD thread;

    (void)argument;
    ran = 0;
    thread = thread_start(end_with, (PVOID)(LONG_PTR)STATUS_DEVICE_BUSY);
    ck_assert_ptr_ne(thread, KeGetCurrentThread());
    ck_assert_ptr_ne(PsGetThreadId(thread), PsGetCurrentThreadId());
    ck_assert_int_eq(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert_int_eq(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, &zero), STATUS_SUCCESS); /* for good */
    ck_assert_int_eq(ran, 1);
    ck_assert_int_eq(thread->exit_status, STATUS_DEVICE_BUSY);
    ObDereferenceObject(thread);
    thread_join(thread_start(return_from_start, NULL));
    ck_assert_int_eq(ran, 2);
}

START_TEST(test_life)
{
    over_schedules(2, 10, life, NULL);
}
END_TEST

/* A thread goes with its last reference, and no sooner. */
static void references(void *argument)
{
    struct census *before = census_take();
    PKTHREAD threads[8];
    struct census *after;

    (void)argument;
    for (unsigned i = 0; i < RTL_NUMBER_OF(threads); i++)
        threads[i] = thread_start(end_with, NULL);
    for (unsigned i = 0; i < RTL_NUMBER_OF(threads); i++)
        thread_join(threads[i]);
    sleep_ms(1);
    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, NULL, NULL), 0);
    census_free(after);
    census_free(before);
}

START_TEST(test_references)
{
    over_schedules(2, 5, references, NULL);
}
END_TEST

/* ---- calls on every processor ---- */

static struct {
    volatile LONG inside;
    volatile LONG vcpus;
    volatile LONG together;
} call;

static ULONG_PTR NTAPI meet(ULONG_PTR argument)
{
    ck_assert_uint_eq(KeGetCurrentIrql(), IPI_LEVEL);
    (void)InterlockedOr(&call.vcpus, 1 << KeGetCurrentProcessorNumberEx(NULL));
    (void)InterlockedIncrement(&call.inside);
    while (call.inside < VCPUS) /* ends only if all processors are in here at once */
        YieldProcessor();
    (void)InterlockedIncrement(&call.together);
    return argument + KeGetCurrentProcessorNumberEx(NULL);
}

static volatile bool stop;

static VOID NTAPI keep_busy(PVOID context)
{
    KIRQL irql;

    (void)context;
    while (!stop) { /* sometimes above the level at which an inter-processor interrupt could come */
        KeRaiseIrql(HIGH_LEVEL, &irql);
        KeStallExecutionProcessor(3);
        KeLowerIrql(irql);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void ipi(void *argument)
{
    PKTHREAD thread[2];

    (void)argument;
    stop = false;
    stay_on(2);
    for (unsigned i = 0; i < 2; i++)
        thread[i] = thread_start(keep_busy, NULL);
    for (unsigned round = 0; round < 5; round++) {
        memset(&call, 0, sizeof(call));
        ck_assert_uint_eq(KeIpiGenericCall(meet, 1000), 1002); /* what the caller's own processor returned */
        ck_assert_int_eq(call.vcpus, (1 << VCPUS) - 1);
        ck_assert_int_eq(call.together, VCPUS); /* it returns when all have */
        ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
    stop = true;
    for (unsigned i = 0; i < 2; i++)
        thread_join(thread[i]);
}

START_TEST(test_ipi)
{
    over_schedules(VCPUS, 10, ipi, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/threads");
    TCase *tcase = tcase_create("threads");

    tcase_add_test(tcase, test_life);
    tcase_add_test(tcase, test_references);
    tcase_add_test(tcase, test_ipi);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
