/* A machine in which nothing can run says who waits for what instead of hanging. */
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "machine/log.h"
#include "nt/nt.h"

static KEVENT forgotten;

static VOID NTAPI wait_for_the_forgotten(PVOID context)
{
    (void)KeWaitForSingleObject(context, Executive, KernelMode, FALSE, NULL);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void nobody_sets_it(void *argument)
{
    HANDLE handle;

    (void)argument;
    KeInitializeEvent(&forgotten, NotificationEvent, FALSE);
    ck_assert_int_eq(
        PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, wait_for_the_forgotten, &forgotten),
        STATUS_SUCCESS);
    (void)KeWaitForSingleObject(&forgotten, Executive, KernelMode, FALSE, NULL);
}

START_TEST(test_nobody_sets_it)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;

    config.timeout_ns = 0; /* no end of the run in sight either */
    config.log_level = LOG_NONE;
    failure = guest_must_fail(&config, nobody_sets_it, NULL, "no-progress");
    ck_assert_msg(strstr(failure->state, "waiting for notification event") != NULL, "%s", failure->state);
    ck_assert_msg(strstr(failure->state, "thread test (") != NULL, "%s", failure->state);
}
END_TEST

static KMUTEX mutex;
static FAST_MUTEX fast;

static VOID NTAPI wait_for_the_mutex(PVOID context)
{
    (void)KeWaitForSingleObject(context, Executive, KernelMode, FALSE, NULL);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI wait_for_the_fast_mutex(PVOID context)
{
    ExAcquireFastMutex(context);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void owner_waits(void *argument)
{
    HANDLE handle;

    (void)argument;
    KeInitializeEvent(&forgotten, NotificationEvent, FALSE);
    KeInitializeMutex(&mutex, 0);
    ExInitializeFastMutex(&fast);
    (void)KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, NULL);
    ExAcquireFastMutexUnsafe(&fast); /* (a wait on a KMUTEX has the thread in a critical region) */
    ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, wait_for_the_mutex, &mutex),
                     STATUS_SUCCESS);
    ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, wait_for_the_fast_mutex, &fast),
                     STATUS_SUCCESS);
    (void)KeWaitForSingleObject(&forgotten, Executive, KernelMode, FALSE, NULL);
}

/* `line` of the report, and `frame` in the stack below it, ahead of the next thread. */
static void assert_thread(const char *state, const char *line, const char *frame)
{
    const char *at = strstr(state, line);
    const char *next = at != NULL ? strstr(at, "\nthread ") : NULL;
    const char *found = at != NULL ? strstr(at, frame) : NULL;

    ck_assert_msg(found != NULL && (next == NULL || found < next), "no '%s' with '%s':\n%s", line, frame, state);
}

/* Each thread with its wait, the owner of what it waits for, and its stack with source lines. */
START_TEST(test_owner_waits)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;
    char line[96];

    config.timeout_ns = 0;
    config.log_level = LOG_NONE;
    failure = guest_must_fail(&config, owner_waits, NULL, "no-progress");
    snprintf(line, sizeof(line), "waiting for mutex %p owned by thread test (", (void *)&mutex);
    assert_thread(failure->state, line, "!wait_for_the_mutex+");
    assert_thread(failure->state, line, "(test_no_progress.c:");
    snprintf(line, sizeof(line), "waiting for the fast mutex %p owned by thread test (", (void *)&fast);
    assert_thread(failure->state, line, "!wait_for_the_fast_mutex+");
    snprintf(line, sizeof(line), "waiting for notification event %p", (void *)&forgotten);
    assert_thread(failure->state, line, "  holds ");
    assert_thread(failure->state, line, "!owner_waits+");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine/no progress");
    TCase *tcase = tcase_create("no progress");

    tcase_add_test(tcase, test_nobody_sets_it);
    tcase_add_test(tcase, test_owner_waits);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
