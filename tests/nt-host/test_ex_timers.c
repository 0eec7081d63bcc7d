/* EX_TIMER: ExAllocateTimer, ExSetTimer, ExCancelTimer, ExDeleteTimer of wdm.h. */
#include "guest_threads.h"

static VOID NTAPI ex_tick(PEX_TIMER timer, PVOID context)
{
    ck_assert_ptr_nonnull(timer);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    (void)InterlockedIncrement(context);
}

static void await_count(const volatile LONG *count, LONG wanted)
{
    LONG start = 0;

    while (*count < wanted && start++ < 5000)
        sleep_ms(2);
    ck_assert_int_ge(*count, wanted);
}

static void ex_timers(void *argument)
{
    volatile LONG count = 0;
    PEX_TIMER timer = ExAllocateTimer(ex_tick, (PVOID)&count, EX_TIMER_HIGH_RESOLUTION);
    LONG before;

    (void)argument;
    ck_assert_ptr_nonnull(timer);
    ck_assert(!ExSetTimer(timer, -500 * MILLISECOND, 0, NULL)); /* far enough for the parallel engine's real time */
    ck_assert(ExCancelTimer(timer, NULL));
    ck_assert(!ExCancelTimer(timer, NULL));
    sleep_ms(600);
    ck_assert_int_eq(count, 0);
    ck_assert(!ExSetTimer(timer, -5 * MILLISECOND, 0, NULL));
    await_count(&count, 1);
    sleep_ms(40);
    ck_assert_int_eq(count, 1);
    ck_assert(!ExSetTimer(timer, -5 * MILLISECOND, 2 * MILLISECOND, NULL)); /* periodic; in 100 ns units here */
    await_count(&count, 11);
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

int main(void)
{
    Suite *suite = suite_create("nt-host/ex timers");
    TCase *tcase = tcase_create("ex timers");

    tcase_add_test(tcase, test_ex_timers);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
