/* A machine in which nothing can run says who waits for what instead of hanging. */
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

int main(void)
{
    Suite *suite = suite_create("machine/no progress");
    TCase *tcase = tcase_create("no progress");

    tcase_add_test(tcase, test_nobody_sets_it);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
