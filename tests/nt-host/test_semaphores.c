/* Semaphores, after "Semaphore Objects", KeInitializeSemaphore, KeReleaseSemaphore and KeReadStateSemaphore of wdm.h.
 */
#include "guest_threads.h"

#define CONSUMERS 3
#define ITEMS 60

static NTSTATUS try_wait(PVOID object)
{
    LARGE_INTEGER zero = {.QuadPart = 0};

    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &zero);
}

static void counts(void *argument)
{
    KSEMAPHORE semaphore;

    (void)argument;
    KeInitializeSemaphore(&semaphore, 2, 5);
    ck_assert_int_eq(KeReadStateSemaphore(&semaphore), 2);
    ck_assert_int_eq(try_wait(&semaphore), STATUS_SUCCESS);
    ck_assert_int_eq(KeReadStateSemaphore(&semaphore), 1);
    ck_assert_int_eq(try_wait(&semaphore), STATUS_SUCCESS);
    ck_assert_int_eq(try_wait(&semaphore), STATUS_TIMEOUT);
    ck_assert_int_eq(KeReadStateSemaphore(&semaphore), 0);
    ck_assert_int_eq(KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 3, FALSE), 0); /* the count before */
    ck_assert_int_eq(KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 2, FALSE), 3);
    ck_assert_int_eq(KeReadStateSemaphore(&semaphore), 5);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(try_wait(&semaphore), STATUS_SUCCESS);
    ck_assert_int_eq(try_wait(&semaphore), STATUS_TIMEOUT);
}

START_TEST(test_counts)
{
    guest_run(counts, NULL);
}
END_TEST

struct waiters {
    KSEMAPHORE semaphore;
    volatile LONG through;
};

static VOID NTAPI go_through(PVOID context)
{
    struct waiters *waiters = context;

    ck_assert_int_eq(KeWaitForSingleObject(&waiters->semaphore, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    (void)InterlockedIncrement(&waiters->through);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void releases_as_many_as_counted(void *argument)
{
    struct waiters waiters = {.through = 0};
    PKTHREAD thread[5];

    (void)argument;
    KeInitializeSemaphore(&waiters.semaphore, 0, 10);
    for (unsigned i = 0; i < RTL_NUMBER_OF(thread); i++)
        thread[i] = thread_start(go_through, &waiters);
    sleep_ms(1);
    ck_assert_int_eq(waiters.through, 0);
    ck_assert_int_eq(KeReleaseSemaphore(&waiters.semaphore, IO_NO_INCREMENT, 3, FALSE), 0);
    sleep_ms(1);
    ck_assert_int_eq(waiters.through, 3);
    ck_assert_int_eq(KeReleaseSemaphore(&waiters.semaphore, IO_NO_INCREMENT, 4, FALSE), 0);
    for (unsigned i = 0; i < RTL_NUMBER_OF(thread); i++)
        thread_join(thread[i]);
    ck_assert_int_eq(waiters.through, 5);
    ck_assert_int_eq(KeReadStateSemaphore(&waiters.semaphore), 2); /* what no waiter took is kept */
}

START_TEST(test_releases_as_many_as_counted)
{
    over_schedules(4, 10, releases_as_many_as_counted, NULL);
}
END_TEST

/* A bounded buffer: each item comes out once, and there are never more inside than fit. */
struct buffer {
    KSEMAPHORE filled, empty;
    KSPIN_LOCK lock;
    LONG slot[4];
    unsigned head, tail;
    volatile LONG consumed[ITEMS];
};

static VOID NTAPI consume(PVOID context)
{
    struct buffer *buffer = context;
    LONG item;
    KIRQL irql;

    do {
        ck_assert_int_eq(KeWaitForSingleObject(&buffer->filled, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        KeAcquireSpinLock(&buffer->lock, &irql);
        ck_assert_uint_ne(buffer->head, buffer->tail);
        item = buffer->slot[buffer->tail++ % RTL_NUMBER_OF(buffer->slot)];
        KeReleaseSpinLock(&buffer->lock, irql);
        (void)KeReleaseSemaphore(&buffer->empty, IO_NO_INCREMENT, 1, FALSE);
        if (item >= 0)
            ck_assert_int_eq(InterlockedIncrement(&buffer->consumed[item]), 1);
    } while (item >= 0);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void produce(struct buffer *buffer, LONG item)
{
    KIRQL irql;

    ck_assert_int_eq(KeWaitForSingleObject(&buffer->empty, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    KeAcquireSpinLock(&buffer->lock, &irql);
    ck_assert_uint_lt(buffer->head - buffer->tail, RTL_NUMBER_OF(buffer->slot));
    buffer->slot[buffer->head++ % RTL_NUMBER_OF(buffer->slot)] = item;
    KeReleaseSpinLock(&buffer->lock, irql);
    (void)KeReleaseSemaphore(&buffer->filled, IO_NO_INCREMENT, 1, FALSE);
}

static void bounded_buffer(void *argument)
{
    static struct buffer buffer;
    PKTHREAD thread[CONSUMERS];

    (void)argument;
    memset(&buffer, 0, sizeof(buffer));
    KeInitializeSpinLock(&buffer.lock);
    KeInitializeSemaphore(&buffer.filled, 0, RTL_NUMBER_OF(buffer.slot));
    KeInitializeSemaphore(&buffer.empty, RTL_NUMBER_OF(buffer.slot), RTL_NUMBER_OF(buffer.slot));
    for (unsigned i = 0; i < CONSUMERS; i++)
        thread[i] = thread_start(consume, &buffer);
    for (LONG item = 0; item < ITEMS; item++)
        produce(&buffer, item);
    for (unsigned i = 0; i < CONSUMERS; i++)
        produce(&buffer, -1);
    for (unsigned i = 0; i < CONSUMERS; i++)
        thread_join(thread[i]);
    for (unsigned item = 0; item < ITEMS; item++)
        ck_assert_int_eq(buffer.consumed[item], 1);
}

START_TEST(test_bounded_buffer)
{
    over_schedules(4, 15, bounded_buffer, NULL);
}
END_TEST

/* "Drivers must not exceed the limit": STATUS_SEMAPHORE_LIMIT_EXCEEDED is raised. */
static void over_the_limit(void *argument)
{
    KSEMAPHORE semaphore;

    (void)argument;
    KeInitializeSemaphore(&semaphore, 1, 2);
    (void)KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 2, FALSE);
}

START_TEST(test_over_the_limit)
{
    const struct failure *failure = must_break(1, over_the_limit, "exception");

    ck_assert_uint_eq((uint32_t)failure->parameter[0], (uint32_t)STATUS_SEMAPHORE_LIMIT_EXCEEDED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/semaphores");
    TCase *tcase = tcase_create("semaphores");

    tcase_add_test(tcase, test_counts);
    tcase_add_test(tcase, test_releases_as_many_as_counted);
    tcase_add_test(tcase, test_bounded_buffer);
    tcase_add_test(tcase, test_over_the_limit);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
