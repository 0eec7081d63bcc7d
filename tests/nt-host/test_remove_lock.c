/* Remove locks: what holds them, who waits, and misuse. Rules are those of IoAcquireRemoveLock and its family (wdm.h).
 */
#include "common/guest.h"

#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

static IO_REMOVE_LOCK remove_lock;
static bool drained;

static bool is_being_removed(void)
{
    if (IoAcquireRemoveLock(&remove_lock, NULL) == STATUS_DELETE_PENDING)
        return true;
    IoReleaseRemoveLock(&remove_lock, NULL);
    return false;
}

static VOID NTAPI hold_a_while(PVOID argument)
{
    LARGE_INTEGER interval = {.QuadPart = -10000};

    (void)argument;
    while (!is_being_removed())
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    ck_assert(!drained);
    ck_assert_int_eq(IoAcquireRemoveLock(&remove_lock, NULL), STATUS_DELETE_PENDING);
    IoReleaseRemoveLock(&remove_lock, NULL);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void start_thread(PKSTART_ROUTINE routine)
{
    HANDLE handle;

    ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, NULL), STATUS_SUCCESS);
    ZwClose(handle);
}

static void remove_lock_drains(void *argument)
{
    (void)argument;
    drained = false;
    IoInitializeRemoveLock(&remove_lock, POOL_TAG('L', 'o', 'c', 'k'), 0, 0);
    ck_assert_int_eq(IoAcquireRemoveLock(&remove_lock, NULL), STATUS_SUCCESS); /* for the thread */
    ck_assert_int_eq(IoAcquireRemoveLock(&remove_lock, NULL), STATUS_SUCCESS); /* for this */
    start_thread(hold_a_while);
    IoReleaseRemoveLockAndWait(&remove_lock, NULL);
    drained = true;
    ck_assert_int_eq(IoAcquireRemoveLock(&remove_lock, NULL), STATUS_DELETE_PENDING);
}

START_TEST(test_remove_lock_drains)
{
    guest_run(remove_lock_drains, NULL);
}
END_TEST

static void remove_lock_over_release(void *argument)
{
    (void)argument;
    IoInitializeRemoveLock(&remove_lock, POOL_TAG('L', 'o', 'c', 'k'), 0, 0);
    IoReleaseRemoveLock(&remove_lock, NULL);
}

START_TEST(test_remove_lock_over_release)
{
    struct machine_config config = guest_config(1);

    guest_must_fail(&config, remove_lock_over_release, NULL, "remove-lock-tag");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/remove lock");
    TCase *locks = tcase_create("remove lock");

    tcase_add_test(locks, test_remove_lock_drains);
    tcase_add_test(locks, test_remove_lock_over_release);
    suite_add_tcase(suite, locks);
    return guest_suite_run(suite);
}
