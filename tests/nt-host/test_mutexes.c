/*
 * Mutexes, fast mutexes and guarded mutexes, after "Mutex Objects", "Fast Mutexes and Guarded Mutexes", KeReleaseMutex,
 * KeReadStateMutex and ExAcquireFastMutex of wdm.h.
 */
#include "guest_threads.h"

#define THREADS 4
#define ROUNDS 10

static NTSTATUS try_wait(PVOID object)
{
    LARGE_INTEGER zero = {.QuadPart = 0};

    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &zero);
}

/* ---- mutex objects ---- */

static void recursion(void *argument)
{
    KMUTEX mutex;

    (void)argument;
    KeInitializeMutex(&mutex, 0);
    ck_assert_int_eq(KeReadStateMutex(&mutex), 1);
    ck_assert_int_eq(try_wait(&mutex), STATUS_SUCCESS);
    ck_assert_int_eq(KeReadStateMutex(&mutex), 0);
    ck_assert_int_eq(try_wait(&mutex), STATUS_SUCCESS); /* the owner may take it again */
    ck_assert_int_eq(KeWaitForMutexObject(&mutex, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert_int_ne(KeReleaseMutex(&mutex, FALSE), 0);
    ck_assert_int_ne(KeReleaseMutex(&mutex, FALSE), 0);
    ck_assert_int_eq(KeReadStateMutex(&mutex), 0);
    ck_assert_int_eq(KeReleaseMutex(&mutex, FALSE), 0); /* zero: it is free now */
    ck_assert_int_eq(KeReadStateMutex(&mutex), 1);
}

START_TEST(test_recursion)
{
    guest_run(recursion, NULL);
}
END_TEST

struct shared {
    KMUTEX mutex;
    FAST_MUTEX fast;
    volatile LONG inside;
    volatile LONG total;
    volatile bool owned;
};

static VOID NTAPI try_anothers(PVOID context)
{
    struct shared *shared = context;

    ck_assert_int_eq(try_wait(&shared->mutex), STATUS_TIMEOUT);
    ck_assert_int_eq(KeWaitForSingleObject(&shared->mutex, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ck_assert(!shared->owned);
    ck_assert_int_eq(KeReleaseMutex(&shared->mutex, FALSE), 0);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void one_owner(void *argument)
{
    struct shared shared = {.owned = true};
    PKTHREAD thread;

    (void)argument;
    KeInitializeMutex(&shared.mutex, 0);
    ck_assert_int_eq(try_wait(&shared.mutex), STATUS_SUCCESS);
    ck_assert_int_eq(try_wait(&shared.mutex), STATUS_SUCCESS);
    thread = thread_start(try_anothers, &shared);
    sleep_ms(1);
    ck_assert_int_ne(KeReleaseMutex(&shared.mutex, FALSE), 0); /* one of two: still owned */
    sleep_ms(1);
    shared.owned = false;
    ck_assert_int_eq(KeReleaseMutex(&shared.mutex, FALSE), 0);
    thread_join(thread);
    ck_assert_int_eq(KeReadStateMutex(&shared.mutex), 1);
}

START_TEST(test_one_owner)
{
    over_schedules(2, 10, one_owner, NULL);
}
END_TEST

static void alone(struct shared *shared)
{
    LONG before = shared->total;

    ck_assert_int_eq(InterlockedIncrement(&shared->inside), 1);
    KeStallExecutionProcessor(1);
    shared->total = before + 1; /* wrong if anybody else got in */
    ck_assert_int_eq(InterlockedDecrement(&shared->inside), 0);
}

static VOID NTAPI take_turns(PVOID context)
{
    struct shared *shared = context;

    for (unsigned i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(KeWaitForSingleObject(&shared->mutex, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        alone(shared);
        ck_assert_int_eq(KeReleaseMutex(&shared->mutex, FALSE), 0);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI take_fast_turns(PVOID context)
{
    struct shared *shared = context;

    for (unsigned i = 0; i < ROUNDS; i++) {
        ExAcquireFastMutex(&shared->fast);
        ck_assert_uint_eq(KeGetCurrentIrql(), APC_LEVEL);
        alone(shared);
        ExReleaseFastMutex(&shared->fast);
        ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI take_guarded_turns(PVOID context)
{
    struct shared *shared = context;

    for (unsigned i = 0; i < ROUNDS; i++) {
        KeAcquireGuardedMutex(&shared->fast);
        ck_assert(KeAreAllApcsDisabled());
        alone(shared);
        KeReleaseGuardedMutex(&shared->fast);
        ck_assert(!KeAreAllApcsDisabled());
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

struct contest {
    PKSTART_ROUTINE routine;
};

static void exclusion(void *argument)
{
    const struct contest *contest = argument;
    struct shared shared = {.total = 0};
    PKTHREAD thread[THREADS];

    KeInitializeMutex(&shared.mutex, 0);
    if (contest->routine == take_guarded_turns)
        KeInitializeGuardedMutex(&shared.fast);
    else
        ExInitializeFastMutex(&shared.fast);
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = thread_start(contest->routine, &shared);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(thread[i]);
    ck_assert_int_eq(shared.total, THREADS * ROUNDS);
}

static struct contest contests[] = {{take_turns}, {take_fast_turns}, {take_guarded_turns}};

START_TEST(test_exclusion)
{
    over_schedules(4, 15, exclusion, &contests[_i]);
}
END_TEST

/* ---- fast mutexes ---- */

static VOID NTAPI try_fast(PVOID context)
{
    struct shared *shared = context;

    ck_assert(!ExTryToAcquireFastMutex(&shared->fast));
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void fast_try(void *argument)
{
    struct shared shared = {.total = 0};

    (void)argument;
    ExInitializeFastMutex(&shared.fast);
    ck_assert(ExTryToAcquireFastMutex(&shared.fast));
    ck_assert_uint_eq(KeGetCurrentIrql(), APC_LEVEL);
    ExReleaseFastMutex(&shared.fast);
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&shared.fast); /* leaves the IRQL alone */
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    thread_join(thread_start(try_fast, &shared));
    ExReleaseFastMutexUnsafe(&shared.fast);
    KeLeaveCriticalRegion();
}

START_TEST(test_fast_try)
{
    over_schedules(2, 5, fast_try, NULL);
}
END_TEST

/* ---- broken rules ---- */

static KMUTEX mutex;
static FAST_MUTEX fast;

static void release_of_nobodys(void *argument)
{
    (void)argument;
    KeInitializeMutex(&mutex, 0);
    (void)KeReleaseMutex(&mutex, FALSE);
}

static void release_once_too_often(void *argument)
{
    (void)argument;
    KeInitializeMutex(&mutex, 0);
    (void)try_wait(&mutex);
    (void)KeReleaseMutex(&mutex, FALSE);
    (void)KeReleaseMutex(&mutex, FALSE);
}

static VOID NTAPI take_and_wait(PVOID context)
{
    (void)context;
    (void)try_wait(&mutex);
    sleep_ms(1000);
    (void)KeReleaseMutex(&mutex, FALSE);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void release_of_anothers(void *argument)
{
    (void)argument;
    KeInitializeMutex(&mutex, 0);
    (void)thread_start(take_and_wait, NULL);
    sleep_ms(5);
    (void)KeReleaseMutex(&mutex, FALSE);
}

static VOID NTAPI take_and_end(PVOID context)
{
    (void)context;
    (void)try_wait(&mutex);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void held_at_the_end(void *argument)
{
    (void)argument;
    KeInitializeMutex(&mutex, 0);
    thread_join(thread_start(take_and_end, NULL));
}

static void fast_twice(void *argument)
{
    (void)argument;
    ExInitializeFastMutex(&fast);
    ExAcquireFastMutex(&fast);
    ExAcquireFastMutex(&fast);
}

static void fast_release_of_nobodys(void *argument)
{
    KIRQL irql;

    (void)argument;
    ExInitializeFastMutex(&fast);
    KeRaiseIrql(APC_LEVEL, &irql);
    ExReleaseFastMutex(&fast);
}

static void fast_at_dispatch(void *argument)
{
    (void)argument;
    ExInitializeFastMutex(&fast);
    (void)KeRaiseIrqlToDpcLevel();
    ExAcquireFastMutex(&fast);
}

static void fast_unsafe_with_apcs(void *argument)
{
    (void)argument;
    ExInitializeFastMutex(&fast);
    ExAcquireFastMutexUnsafe(&fast);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} broken[] = {
    {release_of_nobodys, "mutex-not-owner"},
    {release_once_too_often, "mutex-not-owner"},
    {release_of_anothers, "mutex-not-owner"},
    {held_at_the_end, "mutex-held-at-exit"},
    {fast_twice, "mutex-recursive"},
    {fast_release_of_nobodys, "mutex-not-owner"},
    {fast_at_dispatch, "irql"},
    {fast_unsafe_with_apcs, "apcs-enabled"},
};

START_TEST(test_broken_rule)
{
    must_break(2, broken[_i].function, broken[_i].rule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/mutexes");
    TCase *tcase = tcase_create("mutexes");

    tcase_add_test(tcase, test_recursion);
    tcase_add_test(tcase, test_one_owner);
    tcase_add_loop_test(tcase, test_exclusion, 0, (int)RTL_NUMBER_OF(contests));
    tcase_add_test(tcase, test_fast_try);
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
