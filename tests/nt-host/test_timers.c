/* Timers, after "Timer Objects", KeSetTimer, KeSetTimerEx, KeCancelTimer, KeReadStateTimer of wdm.h, and EX_TIMER. */
#include "guest_threads.h"

#define LATE                                                                                                           \
    (35 * MILLISECOND) /* what a timer may be late by: the clock ticks every 15.6 ms, and somebody must run            \
                        */

static NTSTATUS try_wait(PVOID object)
{
    LARGE_INTEGER zero = {.QuadPart = 0};

    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &zero);
}

static void wait_for(PVOID object)
{
    ck_assert_int_eq(KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
}

/* ---- timer objects ---- */

static void one_shot(void *argument)
{
    ULONGLONG start;
    LARGE_INTEGER due;
    KTIMER timer;

    (void)argument;
    KeInitializeTimer(&timer);
    ck_assert(!KeReadStateTimer(&timer));
    start = KeQueryInterruptTime();
    ck_assert(!KeSetTimer(&timer, in_ms(20), NULL)); /* it was not set */
    ck_assert(!KeReadStateTimer(&timer));
    ck_assert_int_eq(try_wait(&timer), STATUS_TIMEOUT);
    wait_for(&timer);
    ck_assert_int_ge((LONGLONG)(KeQueryInterruptTime() - start), 20 * MILLISECOND);
    ck_assert_int_le((LONGLONG)(KeQueryInterruptTime() - start), 20 * MILLISECOND + LATE);
    ck_assert(KeReadStateTimer(&timer));
    ck_assert(!KeCancelTimer(&timer)); /* expired: no longer in the queue */

    KeQuerySystemTime(&due);
    due.QuadPart += 20 * MILLISECOND; /* absolute */
    ck_assert(!KeSetTimer(&timer, due, NULL));
    ck_assert(!KeReadStateTimer(&timer)); /* setting it takes the signal away */
    wait_for(&timer);
    KeQuerySystemTime(&due);

    due.QuadPart -= MILLISECOND; /* in the past: at once */
    (void)KeSetTimer(&timer, due, NULL);
    wait_for(&timer);
}

START_TEST(test_one_shot)
{
    over_schedules(2, 5, one_shot, NULL);
}
END_TEST

static void kinds(void *argument)
{
    KTIMER notification;
    KTIMER synchronization;

    (void)argument;
    KeInitializeTimerEx(&notification, NotificationTimer);
    KeInitializeTimerEx(&synchronization, SynchronizationTimer);
    (void)KeSetTimer(&notification, in_ms(2), NULL);
    (void)KeSetTimer(&synchronization, in_ms(2), NULL);
    sleep_ms(60);
    ck_assert(KeReadStateTimer(&notification) && KeReadStateTimer(&synchronization));
    ck_assert_int_eq(try_wait(&notification), STATUS_SUCCESS);
    ck_assert_int_eq(try_wait(&notification), STATUS_SUCCESS); /* until it is set again */
    ck_assert_int_eq(try_wait(&synchronization), STATUS_SUCCESS);
    ck_assert_int_eq(try_wait(&synchronization), STATUS_TIMEOUT); /* one wait takes the signal */
}

START_TEST(test_kinds)
{
    guest_run(kinds, NULL);
}
END_TEST

static void cancel_and_set_again(void *argument)
{
    KTIMER timer;
    ULONGLONG start;

    (void)argument;
    KeInitializeTimer(&timer);
    ck_assert(!KeCancelTimer(&timer)); /* never set */
    ck_assert(!KeSetTimer(&timer, in_ms(10), NULL));
    ck_assert(KeCancelTimer(&timer));
    ck_assert(!KeCancelTimer(&timer));
    sleep_ms(60);
    ck_assert(!KeReadStateTimer(&timer)); /* a cancelled timer is not signalled */

    start = KeQueryInterruptTime();
    ck_assert(!KeSetTimer(&timer, in_ms(10), NULL));
    ck_assert(KeSetTimer(&timer, in_ms(100), NULL)); /* it was set: the new time replaces the old */
    wait_for(&timer);
    ck_assert_int_ge((LONGLONG)(KeQueryInterruptTime() - start), 100 * MILLISECOND);
}

START_TEST(test_cancel_and_set_again)
{
    over_schedules(2, 5, cancel_and_set_again, NULL);
}
END_TEST

static void periodic(void *argument)
{
    KTIMER timer;
    ULONGLONG start;

    (void)argument;
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    start = KeQueryInterruptTime();
    ck_assert(!KeSetTimerEx(&timer, in_ms(50), 20, NULL));
    for (LONGLONG i = 0; i < 10; i++) {
        LONGLONG expected = (50 + 20 * i) * MILLISECOND;

        wait_for(&timer);
        ck_assert_int_ge((LONGLONG)(KeQueryInterruptTime() - start), expected);
        ck_assert_int_le((LONGLONG)(KeQueryInterruptTime() - start), expected + LATE); /* lateness does not add up */
    }
    ck_assert(KeCancelTimer(&timer)); /* a periodic timer stays in the queue until it is cancelled */
    ck_assert(!KeCancelTimer(&timer));
    (void)try_wait(&timer);
    sleep_ms(60);
    ck_assert_int_eq(try_wait(&timer), STATUS_TIMEOUT);
}

START_TEST(test_periodic)
{
    over_schedules(2, 5, periodic, NULL);
}
END_TEST

/* ---- the timer's DPC ---- */

struct tick {
    KTIMER timer;
    KDPC dpc;
    KEVENT event;
    LONG count;
    LONG stop_at; /* cancels itself then; 0: never */
    ULONG vcpu;
    KIRQL irql;
};

static VOID NTAPI on_tick(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct tick *tick = context;

    (void)argument1;
    (void)argument2;
    ck_assert_ptr_eq(dpc, &tick->dpc);
    tick->vcpu = KeGetCurrentProcessorNumberEx(NULL);
    tick->irql = KeGetCurrentIrql();
    tick->count++;
    if (tick->stop_at != 0 && tick->count == tick->stop_at)
        ck_assert(KeCancelTimer(&tick->timer));
    (void)KeSetEvent(&tick->event, IO_NO_INCREMENT, FALSE);
}

static void init_tick(struct tick *tick)
{
    memset(tick, 0, sizeof(*tick));
    KeInitializeTimer(&tick->timer);
    KeInitializeDpc(&tick->dpc, on_tick, tick);
    KeInitializeEvent(&tick->event, SynchronizationEvent, FALSE);
}

static void dpc_on_target(void *argument)
{
    struct tick tick;

    (void)argument;
    for (ULONG vcpu = 0; vcpu < 4; vcpu++) {
        init_tick(&tick);
        KeSetTargetProcessorDpc(&tick.dpc, (CCHAR)vcpu);
        (void)KeSetTimer(&tick.timer, in_ms(3), &tick.dpc);
        wait_for(&tick.event);
        ck_assert_int_eq(tick.count, 1);
        ck_assert_uint_eq(tick.irql, DISPATCH_LEVEL);
        ck_assert_uint_eq(tick.vcpu, vcpu);
        ck_assert(KeReadStateTimer(&tick.timer));
    }
}

START_TEST(test_dpc_on_target)
{
    over_schedules(4, 5, dpc_on_target, NULL);
}
END_TEST

static void cancelled_before_its_dpc(void *argument)
{
    struct tick tick;

    (void)argument;
    init_tick(&tick);
    (void)KeSetTimer(&tick.timer, in_ms(5), &tick.dpc);
    if (KeCancelTimer(&tick.timer)) { /* TRUE: it has not expired, so the DPC will not run */
        sleep_ms(60);
        ck_assert_int_eq(tick.count, 0);
    }

    init_tick(&tick);
    (void)KeSetTimerEx(&tick.timer, in_ms(5), 5, &tick.dpc);
    sleep_ms(60);
    (void)KeCancelTimer(&tick.timer);
    KeFlushQueuedDpcs(); /* what had been queued has run */
    tick.stop_at = tick.count;
    ck_assert_int_ge(tick.stop_at, 1);
    sleep_ms(60);
    ck_assert_int_eq(tick.count, tick.stop_at);
}

START_TEST(test_cancelled_before_its_dpc)
{
    over_schedules(4, 10, cancelled_before_its_dpc, NULL);
}
END_TEST

static void cancelled_by_its_dpc(void *argument)
{
    struct tick tick;

    (void)argument;
    init_tick(&tick);
    tick.stop_at = 3;
    (void)KeSetTimerEx(&tick.timer, in_ms(5), 5, &tick.dpc);
    sleep_ms(200);
    ck_assert_int_eq(tick.count, 3);
}

START_TEST(test_cancelled_by_its_dpc)
{
    over_schedules(2, 5, cancelled_by_its_dpc, NULL);
}
END_TEST

/* Timers expire in the order of their due times, whatever the order in which they were set. */
static struct {
    volatile LONG next;
    volatile LONG order[5];
} race;

static VOID NTAPI note_order(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)argument1;
    (void)argument2;
    race.order[race.next++] = (LONG)(LONG_PTR)context;
}

static void order_of_due_times(void *argument)
{
    static const LONG due[] = {120, 40, 200, 80, 160};
    KTIMER timer[RTL_NUMBER_OF(due)];
    KDPC dpc[RTL_NUMBER_OF(due)];

    (void)argument;
    race.next = 0;
    for (unsigned i = 0; i < RTL_NUMBER_OF(due); i++) {
        KeInitializeTimer(&timer[i]);
        KeInitializeDpc(&dpc[i], note_order, (PVOID)(LONG_PTR)due[i]);
        KeSetTargetProcessorDpc(&dpc[i], 0);
        (void)KeSetTimer(&timer[i], in_ms(due[i]), &dpc[i]);
    }
    sleep_ms(300);
    ck_assert_int_eq(race.next, RTL_NUMBER_OF(due));
    for (unsigned i = 0; i < RTL_NUMBER_OF(due); i++)
        ck_assert_int_eq(race.order[i], 40 * (LONG)(i + 1));
}

START_TEST(test_order_of_due_times)
{
    over_schedules(2, 5, order_of_due_times, NULL);
}
END_TEST

/* ---- EX_TIMER ---- */

static VOID NTAPI ex_tick(PEX_TIMER timer, PVOID context)
{
    ck_assert_ptr_nonnull(timer);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    (void)InterlockedIncrement(context);
}

static void ex_timers(void *argument)
{
    volatile LONG count = 0;
    PEX_TIMER timer = ExAllocateTimer(ex_tick, (PVOID)&count, EX_TIMER_HIGH_RESOLUTION);
    LONG before;

    (void)argument;
    ck_assert_ptr_nonnull(timer);
    ck_assert(!ExSetTimer(timer, -5 * MILLISECOND, 0, NULL));
    ck_assert(ExCancelTimer(timer, NULL));
    ck_assert(!ExCancelTimer(timer, NULL));
    sleep_ms(20);
    ck_assert_int_eq(count, 0);
    ck_assert(!ExSetTimer(timer, -5 * MILLISECOND, 0, NULL));
    sleep_ms(40);
    ck_assert_int_eq(count, 1);
    ck_assert(!ExSetTimer(timer, -5 * MILLISECOND, 2 * MILLISECOND, NULL)); /* periodic; in 100 ns units here */
    sleep_ms(60);
    before = count;
    ck_assert_int_ge(before, 10);
    ck_assert(ExDeleteTimer(timer, TRUE, TRUE, NULL)); /* cancelled, and no callback runs any more */
    before = count;
    sleep_ms(60);
    ck_assert_int_eq(count, before);
}

START_TEST(test_ex_timers)
{
    over_schedules(2, 5, ex_timers, NULL);
}
END_TEST

/* ---- broken rules ---- */

static void negative_period(void *argument)
{
    KTIMER timer;

    (void)argument;
    KeInitializeTimer(&timer);
    (void)KeSetTimerEx(&timer, in_ms(1), -1, NULL);
}

static void not_initialised(void *argument)
{
    static KTIMER timer;

    (void)argument;
    memset(&timer, 0xA5, sizeof(timer));
    (void)KeSetTimer(&timer, in_ms(1), NULL);
}

static void cancel_of_none(void *argument)
{
    static KTIMER timer;

    (void)argument;
    memset(&timer, 0, sizeof(timer));
    (void)KeCancelTimer(&timer);
}

static void initialised_while_set(void *argument)
{
    static KTIMER timer;

    (void)argument;
    KeInitializeTimer(&timer);
    (void)KeSetTimer(&timer, in_ms(1), NULL);
    KeInitializeTimerEx(&timer, SynchronizationTimer);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} broken[] = {
    {negative_period, "timer-period"},
    {not_initialised, "timer-not-initialised"},
    {cancel_of_none, "timer-not-initialised"},
    {initialised_while_set, "timer-in-use"},
};

START_TEST(test_broken_rule)
{
    must_break(1, broken[_i].function, broken[_i].rule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/timers");
    TCase *tcase = tcase_create("timers");

    tcase_add_test(tcase, test_one_shot);
    tcase_add_test(tcase, test_kinds);
    tcase_add_test(tcase, test_cancel_and_set_again);
    tcase_add_test(tcase, test_periodic);
    tcase_add_test(tcase, test_dpc_on_target);
    tcase_add_test(tcase, test_cancelled_before_its_dpc);
    tcase_add_test(tcase, test_cancelled_by_its_dpc);
    tcase_add_test(tcase, test_order_of_due_times);
    tcase_add_test(tcase, test_ex_timers);
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
