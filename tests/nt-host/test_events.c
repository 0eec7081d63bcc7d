/* Events, after "Event Objects" and KeSetEvent, KeResetEvent, KeClearEvent, KeReadStateEvent of wdm.h. */
#include "guest_threads.h"

#define WAITERS 4

/* ---- states and return values ---- */

static void return_values(void *argument)
{
    static const EVENT_TYPE types[] = {NotificationEvent, SynchronizationEvent};

    (void)argument;
    for (unsigned i = 0; i < RTL_NUMBER_OF(types); i++) {
        KEVENT event;

        KeInitializeEvent(&event, types[i], TRUE);
        ck_assert_int_ne(KeReadStateEvent(&event), 0);
        KeInitializeEvent(&event, types[i], FALSE);
        ck_assert_int_eq(KeReadStateEvent(&event), 0);
        ck_assert_int_eq(KeSetEvent(&event, IO_NO_INCREMENT, FALSE), 0); /* the state before */
        ck_assert_int_ne(KeSetEvent(&event, IO_NO_INCREMENT, FALSE), 0);
        ck_assert_int_ne(KeReadStateEvent(&event), 0); /* reading consumes nothing */
        ck_assert_int_ne(KeReadStateEvent(&event), 0);
        ck_assert_int_ne(KeResetEvent(&event), 0);
        ck_assert_int_eq(KeResetEvent(&event), 0);
        (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
        KeClearEvent(&event);
        ck_assert_int_eq(KeReadStateEvent(&event), 0);
    }
}

START_TEST(test_return_values)
{
    guest_run(return_values, NULL);
}
END_TEST

static void a_wait_consumes(void *argument)
{
    LARGE_INTEGER zero = {.QuadPart = 0};
    KEVENT notification;
    KEVENT synchronization;

    (void)argument;
    KeInitializeEvent(&notification, NotificationEvent, TRUE);
    KeInitializeEvent(&synchronization, SynchronizationEvent, TRUE);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(KeWaitForSingleObject(&notification, Executive, KernelMode, FALSE, &zero), STATUS_SUCCESS);
    ck_assert_int_eq(KeWaitForSingleObject(&synchronization, Executive, KernelMode, FALSE, &zero), STATUS_SUCCESS);
    ck_assert_int_eq(KeWaitForSingleObject(&synchronization, Executive, KernelMode, FALSE, &zero), STATUS_TIMEOUT);
    ck_assert(is_set(&notification));
    ck_assert(!is_set(&synchronization));

    /* Setting twice is setting once: an event does not count. */
    (void)KeSetEvent(&synchronization, IO_NO_INCREMENT, FALSE);
    (void)KeSetEvent(&synchronization, IO_NO_INCREMENT, FALSE);
    ck_assert_int_eq(KeWaitForSingleObject(&synchronization, Executive, KernelMode, FALSE, &zero), STATUS_SUCCESS);
    ck_assert_int_eq(KeWaitForSingleObject(&synchronization, Executive, KernelMode, FALSE, &zero), STATUS_TIMEOUT);
}

START_TEST(test_a_wait_consumes)
{
    guest_run(a_wait_consumes, NULL);
}
END_TEST

/* ---- waiters ---- */

struct waiters {
    KEVENT event;
    volatile LONG waiting; /* threads that are about to wait */
    volatile LONG released;
    volatile LONG order[WAITERS]; /* whose wait ended as which */
    PKTHREAD thread[WAITERS];
};

struct waiter {
    struct waiters *all;
    LONG number;
};

static VOID NTAPI wait_once(PVOID context)
{
    struct waiter *waiter = context;

    (void)InterlockedIncrement(&waiter->all->waiting);
    ck_assert_int_eq(KeWaitForSingleObject(&waiter->all->event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    waiter->all->order[InterlockedIncrement(&waiter->all->released) - 1] = waiter->number;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void start_waiters(struct waiters *all, struct waiter *waiter, EVENT_TYPE type)
{
    KeInitializeEvent(&all->event, type, FALSE);
    all->waiting = 0;
    all->released = 0;
    for (LONG i = 0; i < WAITERS; i++) {
        waiter[i] = (struct waiter){.all = all, .number = i};
        all->thread[i] = thread_start(wait_once, &waiter[i]);
        sleep_ms(1); /* it waits before the next one does */
        ck_assert_int_eq(all->waiting, i + 1);
    }
    ck_assert_int_eq(all->released, 0);
}

static void notification_releases_all(void *argument)
{
    struct waiters all;
    struct waiter waiter[WAITERS];

    (void)argument;
    start_waiters(&all, waiter, NotificationEvent);
    ck_assert_int_eq(KeSetEvent(&all.event, IO_NO_INCREMENT, FALSE), 0);
    for (unsigned i = 0; i < WAITERS; i++)
        thread_join(all.thread[i]);
    ck_assert_int_eq(all.released, WAITERS);
    ck_assert(is_set(&all.event));
}

START_TEST(test_notification_releases_all)
{
    over_schedules(4, 10, notification_releases_all, NULL);
}
END_TEST

static void synchronization_releases_one(void *argument)
{
    struct waiters all;
    struct waiter waiter[WAITERS];

    (void)argument;
    start_waiters(&all, waiter, SynchronizationEvent);
    for (LONG i = 1; i <= WAITERS; i++) {
        ck_assert_int_eq(KeSetEvent(&all.event, IO_NO_INCREMENT, FALSE), 0); /* it was taken by the one before */
        sleep_ms(1);
        ck_assert_int_eq(all.released, i);
        ck_assert(!is_set(&all.event));
    }
    for (LONG i = 0; i < WAITERS; i++) {
        ck_assert_int_eq(all.order[i], i); /* who waited first is released first */
        thread_join(all.thread[i]);
    }
}

START_TEST(test_synchronization_releases_one)
{
    over_schedules(4, 10, synchronization_releases_one, NULL);
}
END_TEST

/* Two threads hand a counter to and fro: no wake-up is lost, and never do both go on. */
#define TURNS 50

struct table_tennis {
    KEVENT ping;
    KEVENT pong;
    LONG counter;
};

static VOID NTAPI return_the_ball(PVOID context)
{
    struct table_tennis *game = context;

    for (LONG turn = 0; turn < TURNS; turn++) {
        ck_assert_int_eq(KeWaitForSingleObject(&game->ping, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        ck_assert_int_eq(game->counter, 2 * turn + 1);
        game->counter++;
        ck_assert_int_eq(KeSetEvent(&game->pong, IO_NO_INCREMENT, FALSE), 0);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void no_wake_up_is_lost(void *argument)
{
    struct table_tennis game = {.counter = 0};
    PKTHREAD thread;

    (void)argument;
    KeInitializeEvent(&game.ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&game.pong, SynchronizationEvent, FALSE);
    thread = thread_start(return_the_ball, &game);
    for (LONG turn = 0; turn < TURNS; turn++) {
        ck_assert_int_eq(game.counter, 2 * turn);
        game.counter++;
        ck_assert_int_eq(KeSetEvent(&game.ping, IO_NO_INCREMENT, FALSE), 0);
        ck_assert_int_eq(KeWaitForSingleObject(&game.pong, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    }
    thread_join(thread);
    ck_assert_int_eq(game.counter, 2 * TURNS);
}

START_TEST(test_no_wake_up_is_lost)
{
    over_schedules(2, 20, no_wake_up_is_lost, NULL);
}
END_TEST

/* An event can be set where nothing may wait: in a DPC. */
static VOID NTAPI set_it(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)argument1;
    (void)argument2;
    (void)KeSetEvent(context, IO_NO_INCREMENT, FALSE);
}

static void set_in_a_dpc(void *argument)
{
    KEVENT event;
    KDPC dpc;

    (void)argument;
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&dpc, set_it, &event);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert(KeInsertQueueDpc(&dpc, NULL, NULL));
        ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    }
}

START_TEST(test_set_in_a_dpc)
{
    over_schedules(2, 10, set_in_a_dpc, NULL);
}
END_TEST

/* ---- broken rules ---- */

static void above_dispatch(void *argument)
{
    KEVENT event;
    KIRQL irql;

    (void)argument;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &irql);
    (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
}

START_TEST(test_above_dispatch)
{
    const struct failure *failure = must_break(1, above_dispatch, "irql");

    ck_assert_uint_eq(failure->code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    ck_assert_ptr_nonnull(strstr(failure->text, "KeSetEvent"));
}
END_TEST

static KEVENT forgotten;

static VOID NTAPI wait_for_the_forgotten(PVOID context)
{
    (void)KeWaitForSingleObject(context, Executive, KernelMode, FALSE, NULL);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Nobody will ever set it: the machine says so instead of hanging. */
static void nobody_sets_it(void *argument)
{
    (void)argument;
    KeInitializeEvent(&forgotten, NotificationEvent, FALSE);
    thread_join(thread_start(wait_for_the_forgotten, &forgotten));
}

START_TEST(test_nobody_sets_it)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;

    config.timeout_ns = 0; /* no end of the run in sight either */
    config.log_level = LOG_NONE;
    failure = guest_must_fail(&config, nobody_sets_it, NULL, "no-progress");
    ck_assert_msg(strstr(failure->text, "waiting for object of type 0") != NULL, "%s", failure->text);
    ck_assert_msg(strstr(failure->text, "thread test (") != NULL, "%s", failure->text);
}
END_TEST

static void freed_with_a_waiter(void *argument)
{
    PKEVENT event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), TEST_TAG);

    (void)argument;
    KeInitializeEvent(event, NotificationEvent, FALSE);
    (void)thread_start(wait_for_the_forgotten, event);
    sleep_ms(1);
    ExFreePoolWithTag(event, TEST_TAG);
}

START_TEST(test_freed_with_a_waiter)
{
    must_break(2, freed_with_a_waiter, "freed-in-use");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/events");
    TCase *tcase = tcase_create("events");

    tcase_add_test(tcase, test_return_values);
    tcase_add_test(tcase, test_a_wait_consumes);
    tcase_add_test(tcase, test_notification_releases_all);
    tcase_add_test(tcase, test_synchronization_releases_one);
    tcase_add_test(tcase, test_no_wake_up_is_lost);
    tcase_add_test(tcase, test_set_in_a_dpc);
    tcase_add_test(tcase, test_above_dispatch);
    tcase_add_test(tcase, test_nobody_sets_it);
    tcase_add_test(tcase, test_freed_with_a_waiter);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
