/* Waits, after KeWaitForSingleObject, KeWaitForMultipleObjects and KeDelayExecutionThread of wdm.h. */
#include "guest_threads.h"

#define MANY MAXIMUM_WAIT_OBJECTS

static NTSTATUS wait_many(ULONG count, PVOID *objects, WAIT_TYPE type, PLARGE_INTEGER timeout, PKWAIT_BLOCK blocks)
{
    return KeWaitForMultipleObjects(count, objects, type, Executive, KernelMode, FALSE, timeout, blocks);
}

static VOID NTAPI set_later(PVOID event)
{
    sleep_ms(3);
    (void)KeSetEvent(event, IO_NO_INCREMENT, FALSE);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- several objects ---- */

static void any(void *argument)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    KEVENT event[3];
    PVOID objects[3] = {&event[0], &event[1], &event[2]};
    PKTHREAD thread;

    (void)argument;
    for (unsigned i = 0; i < 3; i++)
        KeInitializeEvent(&event[i], SynchronizationEvent, FALSE);
    ck_assert_int_eq(wait_many(3, objects, WaitAny, &zero, NULL), STATUS_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        (void)KeSetEvent(&event[i], IO_NO_INCREMENT, FALSE);
        ck_assert_int_eq(wait_many(3, objects, WaitAny, NULL, NULL), STATUS_WAIT_0 + i);
        ck_assert(!is_set(&event[i])); /* the one that satisfied the wait is consumed */
    }
    (void)KeSetEvent(&event[2], IO_NO_INCREMENT, FALSE);
    (void)KeSetEvent(&event[1], IO_NO_INCREMENT, FALSE);
    ck_assert_int_eq(wait_many(3, objects, WaitAny, NULL, NULL), STATUS_WAIT_0 + 1);
    ck_assert(!is_set(&event[1]) && is_set(&event[2])); /* the other one is not */
    KeClearEvent(&event[2]);

    for (int i = 0; i < 3; i++) { /* while it waits */
        thread = thread_start(set_later, &event[i]);
        ck_assert_int_eq(wait_many(3, objects, WaitAny, NULL, NULL), STATUS_WAIT_0 + i);
        ck_assert(!is_set(&event[0]) && !is_set(&event[1]) && !is_set(&event[2]));
        thread_join(thread);
    }
}

START_TEST(test_any)
{
    over_schedules(2, 10, any, NULL);
}
END_TEST

static void all(void *argument)
{
    LARGE_INTEGER timeout = in_ms(5);
    KEVENT event[3];
    PVOID objects[3] = {&event[0], &event[1], &event[2]};
    PKTHREAD thread;

    (void)argument;
    for (unsigned i = 0; i < 3; i++)
        KeInitializeEvent(&event[i], SynchronizationEvent, i < 2);
    ck_assert_int_eq(wait_many(3, objects, WaitAll, &timeout, NULL), STATUS_TIMEOUT);
    ck_assert(is_set(&event[0]) && is_set(&event[1])); /* nothing is taken as long as one is missing */
    (void)KeSetEvent(&event[2], IO_NO_INCREMENT, FALSE);
    ck_assert_int_eq(wait_many(3, objects, WaitAll, &timeout, NULL), STATUS_SUCCESS);
    for (unsigned i = 0; i < 3; i++)
        ck_assert(!is_set(&event[i]));

    (void)KeSetEvent(&event[0], IO_NO_INCREMENT, FALSE);
    (void)KeSetEvent(&event[2], IO_NO_INCREMENT, FALSE);
    thread = thread_start(set_later, &event[1]);
    ck_assert_int_eq(wait_many(3, objects, WaitAll, NULL, NULL), STATUS_SUCCESS);
    for (unsigned i = 0; i < 3; i++)
        ck_assert(!is_set(&event[i]));
    thread_join(thread);
}

START_TEST(test_all)
{
    over_schedules(2, 10, all, NULL);
}
END_TEST

struct rivals {
    KEVENT first, second;
    volatile LONG whole;
};

static VOID NTAPI take_both(PVOID context)
{
    struct rivals *rivals = context;
    PVOID objects[2] = {&rivals->first, &rivals->second};

    ck_assert_int_eq(wait_many(2, objects, WaitAll, NULL, NULL), STATUS_SUCCESS);
    (void)InterlockedIncrement(&rivals->whole);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Who waits for all does not stand in the way of who waits for one of them, nor take it away half. */
static void all_takes_nothing_half(void *argument)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    struct rivals rivals = {.whole = 0};
    PKTHREAD thread;

    (void)argument;
    KeInitializeEvent(&rivals.first, SynchronizationEvent, FALSE);
    KeInitializeEvent(&rivals.second, SynchronizationEvent, FALSE);
    thread = thread_start(take_both, &rivals);
    sleep_ms(1);
    (void)KeSetEvent(&rivals.first, IO_NO_INCREMENT, FALSE);
    sleep_ms(1);
    ck_assert_int_eq(rivals.whole, 0);
    ck_assert_int_eq(KeWaitForSingleObject(&rivals.first, Executive, KernelMode, FALSE, &zero), STATUS_SUCCESS);
    (void)KeSetEvent(&rivals.second, IO_NO_INCREMENT, FALSE);
    sleep_ms(1);
    ck_assert_int_eq(rivals.whole, 0); /* the first has been taken meanwhile */
    (void)KeSetEvent(&rivals.first, IO_NO_INCREMENT, FALSE);
    thread_join(thread);
    ck_assert(!is_set(&rivals.first) && !is_set(&rivals.second));
}

START_TEST(test_all_takes_nothing_half)
{
    over_schedules(2, 10, all_takes_nothing_half, NULL);
}
END_TEST

static void sixty_four(void *argument)
{
    PKWAIT_BLOCK blocks = ExAllocatePool2(POOL_FLAG_NON_PAGED, MANY * sizeof(*blocks), TEST_TAG);
    PKEVENT events = ExAllocatePool2(POOL_FLAG_NON_PAGED, MANY * sizeof(*events), TEST_TAG);
    LARGE_INTEGER timeout = in_ms(1);
    PVOID objects[MANY];
    PKTHREAD thread;

    (void)argument;
    for (unsigned i = 0; i < MANY; i++) {
        KeInitializeEvent(&events[i], NotificationEvent, FALSE);
        objects[i] = &events[i];
    }
    ck_assert_int_eq(wait_many(MANY, objects, WaitAny, &timeout, blocks), STATUS_TIMEOUT);
    thread = thread_start(set_later, &events[MANY - 1]);
    ck_assert_int_eq(wait_many(MANY, objects, WaitAny, NULL, blocks), STATUS_WAIT_0 + MANY - 1);
    thread_join(thread);
    for (unsigned i = 1; i < MANY; i++)
        (void)KeSetEvent(&events[i], IO_NO_INCREMENT, FALSE);
    ck_assert_int_eq(wait_many(MANY, objects, WaitAll, &timeout, blocks), STATUS_TIMEOUT);
    thread = thread_start(set_later, &events[0]);
    ck_assert_int_eq(wait_many(MANY, objects, WaitAll, NULL, blocks), STATUS_SUCCESS);
    thread_join(thread);
    ExFreePoolWithTag(events, TEST_TAG);
    ExFreePoolWithTag(blocks, TEST_TAG);
}

START_TEST(test_sixty_four)
{
    guest_run(sixty_four, NULL);
}
END_TEST

/* Different kinds in one wait; each is consumed after its own manner. */
static void mixed(void *argument)
{
    KEVENT event;
    KSEMAPHORE semaphore;
    KMUTEX mutex;
    KTIMER timer;
    KWAIT_BLOCK blocks[4];
    PVOID objects[4] = {&event, &semaphore, &mutex, &timer};

    (void)argument;
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    KeInitializeSemaphore(&semaphore, 2, 2);
    KeInitializeMutex(&mutex, 0);
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    (void)KeSetTimer(&timer, in_ms(2), NULL);
    ck_assert_int_eq(wait_many(4, objects, WaitAll, NULL, blocks), STATUS_SUCCESS);
    ck_assert(is_set(&event));
    ck_assert_int_eq(KeReadStateSemaphore(&semaphore), 1);
    ck_assert_int_eq(KeReadStateMutex(&mutex), 0);
    ck_assert(!KeReadStateTimer(&timer));
    ck_assert_int_eq(KeReleaseMutex(&mutex, FALSE), 0);
}

START_TEST(test_mixed)
{
    guest_run(mixed, NULL);
}
END_TEST

/* ---- time ---- */

static void timeouts(void *argument)
{
    LARGE_INTEGER timeout;
    LARGE_INTEGER now;
    ULONGLONG start;
    KEVENT event;

    (void)argument;
    KeInitializeEvent(&event, NotificationEvent, FALSE);

    start = KeQueryInterruptTime();
    timeout = in_ms(25);
    ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout), STATUS_TIMEOUT);
    ck_assert_int_ge((LONGLONG)(KeQueryInterruptTime() - start), 25 * MILLISECOND);
    ck_assert_int_le((LONGLONG)(KeQueryInterruptTime() - start), 60 * MILLISECOND); /* two clock ticks more at most */

    KeQuerySystemTime(&now);
    timeout.QuadPart = now.QuadPart + 25 * MILLISECOND; /* positive: a point of system time */
    ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout), STATUS_TIMEOUT);
    KeQuerySystemTime(&now);
    ck_assert_int_ge(now.QuadPart, timeout.QuadPart);
    ck_assert_int_le(now.QuadPart, timeout.QuadPart + 35 * MILLISECOND);

    start = KeQueryInterruptTime();
    timeout.QuadPart = now.QuadPart - MILLISECOND; /* in the past */
    ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout), STATUS_TIMEOUT);
    timeout.QuadPart = 0;
    ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout), STATUS_TIMEOUT);
    ck_assert_int_lt((LONGLONG)(KeQueryInterruptTime() - start), 20 * MILLISECOND);

    (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE); /* a signalled object comes before any timeout */
    ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &timeout), STATUS_SUCCESS);
}

START_TEST(test_timeouts)
{
    over_schedules(2, 5, timeouts, NULL);
}
END_TEST

static void delays(void *argument)
{
    LARGE_INTEGER interval = in_ms(7);
    LARGE_INTEGER now;
    ULONGLONG start = KeQueryInterruptTime();
    KIRQL irql;

    (void)argument;
    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
    ck_assert_int_ge((LONGLONG)(KeQueryInterruptTime() - start), 7 * MILLISECOND);
    KeRaiseIrql(APC_LEVEL, &irql);
    KeQuerySystemTime(&now);
    interval.QuadPart = now.QuadPart + 7 * MILLISECOND;
    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
    KeQuerySystemTime(&now);
    ck_assert_int_ge(now.QuadPart, interval.QuadPart);
    KeLowerIrql(irql);
}

START_TEST(test_delays)
{
    over_schedules(2, 5, delays, NULL);
}
END_TEST

/* ---- IRQL ---- */

static void levels(void *argument)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    KEVENT event[2];
    PVOID objects[2] = {&event[0], &event[1]};
    PKTHREAD thread;
    KIRQL irql;

    (void)argument;
    KeInitializeEvent(&event[0], SynchronizationEvent, FALSE);
    KeInitializeEvent(&event[1], SynchronizationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert_int_eq(KeWaitForSingleObject(&event[0], Executive, KernelMode, FALSE, &zero), STATUS_TIMEOUT);
    ck_assert_int_eq(KeWaitForSingleObject(&event[1], Executive, KernelMode, FALSE, &zero), STATUS_SUCCESS);
    ck_assert_int_eq(wait_many(2, objects, WaitAny, &zero, NULL), STATUS_TIMEOUT);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(irql);

    thread = thread_start(set_later, &event[0]);
    KeRaiseIrql(APC_LEVEL, &irql);
    ck_assert_int_eq(KeWaitForSingleObject(&event[0], Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert_uint_eq(KeGetCurrentIrql(), APC_LEVEL); /* the thread goes on at the level at which it waited */
    KeLowerIrql(irql);
    thread_join(thread);
}

START_TEST(test_levels)
{
    over_schedules(2, 5, levels, NULL);
}
END_TEST

static KEVENT set_event;

static void at_dispatch_without_timeout(void *argument)
{
    (void)argument;
    KeInitializeEvent(&set_event, NotificationEvent, TRUE); /* even so: it is the call that is wrong */
    (void)KeRaiseIrqlToDpcLevel();
    (void)KeWaitForSingleObject(&set_event, Executive, KernelMode, FALSE, NULL);
}

static void at_dispatch_with_timeout(void *argument)
{
    LARGE_INTEGER timeout = in_ms(1);

    (void)argument;
    KeInitializeEvent(&set_event, NotificationEvent, TRUE);
    (void)KeRaiseIrqlToDpcLevel();
    (void)KeWaitForSingleObject(&set_event, Executive, KernelMode, FALSE, &timeout);
}

static void many_at_dispatch(void *argument)
{
    PVOID objects[1] = {&set_event};

    (void)argument;
    KeInitializeEvent(&set_event, NotificationEvent, TRUE);
    (void)KeRaiseIrqlToDpcLevel();
    (void)wait_many(1, objects, WaitAny, NULL, NULL);
}

static VOID NTAPI wait_in_dpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)argument1;
    (void)argument2;
    (void)KeWaitForSingleObject(context, Executive, KernelMode, FALSE, NULL);
}

static void in_a_dpc(void *argument)
{
    static KDPC dpc;

    (void)argument;
    KeInitializeEvent(&set_event, NotificationEvent, FALSE);
    KeInitializeDpc(&dpc, wait_in_dpc, &set_event);
    (void)KeInsertQueueDpc(&dpc, NULL, NULL);
    sleep_ms(1);
}

static void under_a_spin_lock(void *argument)
{
    static KSPIN_LOCK lock;
    KIRQL irql;

    (void)argument;
    KeInitializeSpinLock(&lock);
    KeInitializeEvent(&set_event, NotificationEvent, FALSE);
    KeAcquireSpinLock(&lock, &irql);
    (void)KeWaitForSingleObject(&set_event, Executive, KernelMode, FALSE, NULL);
}

static void delay_at_dispatch(void *argument)
{
    (void)argument;
    (void)KeRaiseIrqlToDpcLevel();
    sleep_ms(1);
}

static void above_dispatch(void *argument)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    KIRQL irql;

    (void)argument;
    KeInitializeEvent(&set_event, NotificationEvent, TRUE);
    KeRaiseIrql(CLOCK_LEVEL, &irql);
    (void)KeWaitForSingleObject(&set_event, Executive, KernelMode, FALSE, &zero);
}

/* ---- other broken rules ---- */

static void four_without_blocks(void *argument)
{
    PVOID objects[THREAD_WAIT_OBJECTS + 1];

    (void)argument;
    KeInitializeEvent(&set_event, NotificationEvent, TRUE);
    for (unsigned i = 0; i < RTL_NUMBER_OF(objects); i++)
        objects[i] = &set_event;
    (void)wait_many(RTL_NUMBER_OF(objects), objects, WaitAny, NULL, NULL);
}

static void sixty_five(void *argument)
{
    static KWAIT_BLOCK blocks[MANY + 1];
    PVOID objects[MANY + 1];

    (void)argument;
    KeInitializeEvent(&set_event, NotificationEvent, TRUE);
    for (unsigned i = 0; i < MANY + 1; i++)
        objects[i] = &set_event;
    (void)wait_many(MANY + 1, objects, WaitAny, NULL, blocks);
}

static void not_initialised(void *argument)
{
    static KEVENT event;

    (void)argument;
    memset(&event, 0xA5, sizeof(event));
    (void)KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
}

static const struct {
    void (*function)(void *);
    const char *rule;
    uint32_t code;
} broken[] = {
    {at_dispatch_without_timeout, "wait-at-dispatch", 0},
    {at_dispatch_with_timeout, "wait-at-dispatch", 0},
    {many_at_dispatch, "wait-at-dispatch", 0},
    {in_a_dpc, "wait-at-dispatch", 0},
    {under_a_spin_lock, "wait-at-dispatch", 0},
    {delay_at_dispatch, "irql", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {above_dispatch, "irql", DRIVER_VERIFIER_DETECTED_VIOLATION},
    {four_without_blocks, "wait-objects", MAXIMUM_WAIT_OBJECTS_EXCEEDED},
    {sixty_five, "wait-objects", MAXIMUM_WAIT_OBJECTS_EXCEEDED},
    {not_initialised, "wait-object", 0},
};

START_TEST(test_broken_rule)
{
    const struct failure *failure = must_break(2, broken[_i].function, broken[_i].rule);

    if (broken[_i].code != 0)
        ck_assert_uint_eq(failure->code, broken[_i].code);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/waits");
    TCase *tcase = tcase_create("waits");

    tcase_add_test(tcase, test_any);
    tcase_add_test(tcase, test_all);
    tcase_add_test(tcase, test_all_takes_nothing_half);
    tcase_add_test(tcase, test_sixty_four);
    tcase_add_test(tcase, test_mixed);
    tcase_add_test(tcase, test_timeouts);
    tcase_add_test(tcase, test_delays);
    tcase_add_test(tcase, test_levels);
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
