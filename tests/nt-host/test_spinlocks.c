/*
 * Spin locks, after "Introduction to Spin Locks", "Queued Spin Locks", "Reader-Writer Spin Locks" and the routines'
 * reference pages.
 */
#include "guest_threads.h"

#define THREADS 4
#define ROUNDS 15

static struct {
    KSPIN_LOCK lock;
    EX_SPIN_LOCK rw_lock;
    volatile LONG inside;
    volatile LONG readers;
    volatile LONG most_readers;
    LONG total; /* not interlocked: the lock protects it */
} shared;

static void alone(void)
{
    LONG before = shared.total;

    ck_assert_int_eq(InterlockedIncrement(&shared.inside), 1);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeStallExecutionProcessor(1);
    shared.total = before + 1;
    ck_assert_int_eq(InterlockedDecrement(&shared.inside), 0);
}

/* ---- each way of holding the lock, once ---- */

static void by_acquire(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&shared.lock, &irql);
    ck_assert_uint_eq(irql, PASSIVE_LEVEL);
    alone();
    KeReleaseSpinLock(&shared.lock, irql);
}

static void at_dpc_level(void)
{
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    KeAcquireSpinLockAtDpcLevel(&shared.lock);
    alone();
    KeReleaseSpinLockFromDpcLevel(&shared.lock);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(irql);
}

static void by_trying(void)
{
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    while (!KeTryToAcquireSpinLockAtDpcLevel(&shared.lock))
        YieldProcessor();
    alone();
    KeReleaseSpinLockFromDpcLevel(&shared.lock);
    KeLowerIrql(irql);
}

static void in_stack_queued(void)
{
    KLOCK_QUEUE_HANDLE handle;

    KeAcquireInStackQueuedSpinLock(&shared.lock, &handle);
    alone();
    KeReleaseInStackQueuedSpinLock(&handle);
}

static void in_stack_queued_at_dpc_level(void)
{
    KLOCK_QUEUE_HANDLE handle;
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    KeAcquireInStackQueuedSpinLockAtDpcLevel(&shared.lock, &handle);
    alone();
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handle);
    KeLowerIrql(irql);
}

static void exclusively(void)
{
    KIRQL irql = ExAcquireSpinLockExclusive(&shared.rw_lock);

    ck_assert_int_eq(shared.readers, 0);
    alone();
    ExReleaseSpinLockExclusive(&shared.rw_lock, irql);
}

static void shared_mode(void)
{
    KIRQL irql = ExAcquireSpinLockShared(&shared.rw_lock);
    LONG readers = InterlockedIncrement(&shared.readers);

    ck_assert_int_eq(shared.inside, 0);
    if (readers > shared.most_readers)
        shared.most_readers = readers;
    KeStallExecutionProcessor(2);
    ck_assert_int_eq(shared.inside, 0);
    (void)InterlockedDecrement(&shared.readers);
    ExReleaseSpinLockShared(&shared.rw_lock, irql);
}

/* Two ways of taking turns by one lock; a thread's rounds alternate between them. */
static const struct contest {
    void (*even)(void);
    void (*odd)(void);
} contests[] = {
    {by_acquire, by_acquire},
    {by_acquire, at_dpc_level},
    {by_trying, by_acquire},
    {in_stack_queued, in_stack_queued},
    {in_stack_queued, in_stack_queued_at_dpc_level},
    {exclusively, exclusively},
};

static VOID NTAPI take_turns(PVOID context)
{
    const struct contest *contest = context;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 2 == 0)
            contest->even();
        else
            contest->odd();
        ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void exclusion(void *argument)
{
    PKTHREAD thread[THREADS];

    memset(&shared, 0, sizeof(shared));
    KeInitializeSpinLock(&shared.lock);
    ExInitializeSpinLock(&shared.rw_lock);
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = thread_start(take_turns, argument);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(thread[i]);
    ck_assert_int_eq(shared.total, THREADS * ROUNDS);
}

START_TEST(test_exclusion)
{
    over_schedules(4, 20, exclusion, (void *)(uintptr_t)&contests[_i]);
}
END_TEST

/* The same without the lock goes wrong: what the tests above see is the lock's doing, not the schedule's. */
static VOID NTAPI take_no_turns(PVOID context)
{
    volatile LONG *lost = context;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (InterlockedIncrement(&shared.inside) != 1)
            (void)InterlockedIncrement(lost);
        KeStallExecutionProcessor(1);
        (void)InterlockedDecrement(&shared.inside);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static volatile LONG collisions;

static void no_lock(void *argument)
{
    PKTHREAD thread[THREADS];

    (void)argument;
    memset(&shared, 0, sizeof(shared));
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = thread_start(take_no_turns, (PVOID)&collisions);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(thread[i]);
}

START_TEST(test_schedules_do_collide)
{
    collisions = 0;
    over_schedules(4, 20, no_lock, NULL);
    ck_assert_int_gt(collisions, 0);
}
END_TEST

/* Readers of a reader-writer lock are inside together; a writer is not. */
static const struct contest readers_and_writers = {shared_mode, exclusively};
static volatile LONG readers_together;

static void readers(void *argument)
{
    PKTHREAD thread[THREADS];

    memset(&shared, 0, sizeof(shared));
    for (unsigned i = 0; i < THREADS; i++)
        thread[i] = thread_start(take_turns, argument);
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(thread[i]);
    ck_assert_int_eq(shared.total, THREADS * (ROUNDS / 2));
    if (shared.most_readers > readers_together)
        readers_together = shared.most_readers;
}

START_TEST(test_readers_and_writers)
{
    readers_together = 0;
    over_schedules(4, 20, readers, (void *)(uintptr_t)&readers_and_writers);
    ck_assert_int_gt(readers_together, 1);
}
END_TEST

static void try_modes(void *argument)
{
    KIRQL irql;

    (void)argument;
    memset(&shared, 0, sizeof(shared));
    irql = ExAcquireSpinLockShared(&shared.rw_lock);
    ck_assert(ExTryAcquireSpinLockSharedAtDpcLevel(&shared.rw_lock));
    ck_assert(!ExTryAcquireSpinLockExclusiveAtDpcLevel(&shared.rw_lock));
    ck_assert(!ExTryConvertSharedSpinLockExclusive(&shared.rw_lock)); /* there is another reader */
    ExReleaseSpinLockSharedFromDpcLevel(&shared.rw_lock);
    ck_assert(ExTryConvertSharedSpinLockExclusive(&shared.rw_lock));
    ck_assert(!ExTryAcquireSpinLockSharedAtDpcLevel(&shared.rw_lock));
    ExReleaseSpinLockExclusive(&shared.rw_lock, irql);
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

START_TEST(test_try_modes)
{
    guest_run(try_modes, NULL);
}
END_TEST

static void test_and_try(void *argument)
{
    KIRQL irql;

    (void)argument;
    KeInitializeSpinLock(&shared.lock);
    ck_assert(KeTestSpinLock(&shared.lock)); /* TRUE: free */
    irql = KeRaiseIrqlToDpcLevel();
    ck_assert(KeTryToAcquireSpinLockAtDpcLevel(&shared.lock));
    ck_assert(!KeTestSpinLock(&shared.lock));
    KeReleaseSpinLockFromDpcLevel(&shared.lock);
    ck_assert(KeTestSpinLock(&shared.lock));
    KeLowerIrql(irql);
}

START_TEST(test_test_and_try)
{
    guest_run(test_and_try, NULL);
}
END_TEST

/* A lock that a thread and a DPC share: the DPC cannot break in on the processor that holds it. */
static VOID NTAPI break_in(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    KeAcquireSpinLockAtDpcLevel(&shared.lock);
    alone();
    KeReleaseSpinLockFromDpcLevel(&shared.lock);
}

static void with_dpcs(void *argument)
{
    KDPC dpc[4];
    LONG queued = 0;

    (void)argument;
    memset(&shared, 0, sizeof(shared));
    KeInitializeSpinLock(&shared.lock);
    for (unsigned i = 0; i < 4; i++) {
        KeInitializeDpc(&dpc[i], break_in, NULL);
        KeSetTargetProcessorDpc(&dpc[i], (CCHAR)i);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < 4; i++)
            queued += KeInsertQueueDpc(&dpc[i], NULL, NULL);
        by_acquire();
    }
    KeFlushQueuedDpcs();
    ck_assert_int_eq(shared.total, ROUNDS + queued);
}

START_TEST(test_with_dpcs)
{
    over_schedules(4, 20, with_dpcs, NULL);
}
END_TEST

/* ---- broken rules ---- */

static void recursive(void *argument)
{
    KIRQL irql;

    (void)argument;
    KeInitializeSpinLock(&shared.lock);
    KeAcquireSpinLock(&shared.lock, &irql);
    KeAcquireSpinLockAtDpcLevel(&shared.lock);
}

static void recursive_queued(void *argument)
{
    KLOCK_QUEUE_HANDLE first, second;

    (void)argument;
    KeInitializeSpinLock(&shared.lock);
    KeAcquireInStackQueuedSpinLock(&shared.lock, &first);
    KeAcquireInStackQueuedSpinLock(&shared.lock, &second);
}

static void recursive_exclusive(void *argument)
{
    (void)argument;
    shared.rw_lock = 0;
    (void)ExAcquireSpinLockExclusive(&shared.rw_lock);
    (void)ExAcquireSpinLockExclusive(&shared.rw_lock);
}

static void release_of_a_free_one(void *argument)
{
    (void)argument;
    KeInitializeSpinLock(&shared.lock);
    (void)KeRaiseIrqlToDpcLevel();
    KeReleaseSpinLock(&shared.lock, PASSIVE_LEVEL);
}

static VOID NTAPI release_it(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    KeReleaseSpinLockFromDpcLevel(&shared.lock);
}

static void release_of_anothers(void *argument)
{
    KDPC dpc;
    KIRQL irql;

    (void)argument;
    stay_on(0);
    KeInitializeSpinLock(&shared.lock);
    KeInitializeDpc(&dpc, release_it, NULL);
    KeSetTargetProcessorDpc(&dpc, 1);
    KeAcquireSpinLock(&shared.lock, &irql);
    (void)KeInsertQueueDpc(&dpc, NULL, NULL);
    KeStallExecutionProcessor(100000);
    KeReleaseSpinLock(&shared.lock, irql);
}

static void not_initialised(void *argument)
{
    KIRQL irql;

    (void)argument;
    memset(&shared.lock, 0xC7, sizeof(shared.lock));
    KeAcquireSpinLock(&shared.lock, &irql);
}

static void lowered_while_held(void *argument)
{
    KIRQL irql;

    (void)argument;
    KeInitializeSpinLock(&shared.lock);
    KeAcquireSpinLock(&shared.lock, &irql);
    KeReleaseSpinLock(&shared.lock, HIGH_LEVEL);
}

static void release_shared_of_a_free_one(void *argument)
{
    (void)argument;
    shared.rw_lock = 0;
    (void)KeRaiseIrqlToDpcLevel();
    ExReleaseSpinLockShared(&shared.rw_lock, PASSIVE_LEVEL);
}

static const struct {
    void (*function)(void *);
    const char *rule;
} broken[] = {
    {recursive, "spinlock-recursive"},           {recursive_queued, "spinlock-recursive"},
    {recursive_exclusive, "spinlock-recursive"}, {release_of_a_free_one, "spinlock-not-owner"},
    {release_of_anothers, "spinlock-not-owner"}, {not_initialised, "spinlock-not-initialised"},
    {lowered_while_held, "irql-lower"},          {release_shared_of_a_free_one, "spinlock-not-owner"},
};

START_TEST(test_broken_rule)
{
    must_break(2, broken[_i].function, broken[_i].rule);
}
END_TEST

/* Two locks in opposite orders: under some schedule the machine stands still, and says where each processor spins. */
static KSPIN_LOCK lock_a, lock_b;

static void both(PKSPIN_LOCK first, PKSPIN_LOCK second)
{
    KIRQL irql;

    KeAcquireSpinLock(first, &irql);
    KeAcquireSpinLockAtDpcLevel(second);
    KeReleaseSpinLockFromDpcLevel(second);
    KeReleaseSpinLock(first, irql);
}

static VOID NTAPI b_then_a(PVOID context)
{
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++)
        both(&lock_b, &lock_a);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void opposite_orders(void *argument)
{
    PKTHREAD thread;

    (void)argument;
    KeInitializeSpinLock(&lock_a);
    KeInitializeSpinLock(&lock_b);
    thread = thread_start(b_then_a, NULL);
    for (unsigned i = 0; i < ROUNDS; i++)
        both(&lock_a, &lock_b);
    thread_join(thread);
}

START_TEST(test_deadlock_is_found)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure = NULL;

    config.policy = POLICY_RANDOM;
    config.log_level = LOG_NONE;
    config.timeout_ns = 0;
    for (config.seed = 1; failure == NULL && config.seed <= 200; config.seed++)
        failure = guest_run_may_fail(&config, opposite_orders, NULL);
    ck_assert_ptr_nonnull(failure);
    ck_assert_str_eq(failure->rule, "lock-order"); /* before the threads really wait for each other */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/spinlocks");
    TCase *tcase = tcase_create("spin locks");

    tcase_add_loop_test(tcase, test_exclusion, 0, (int)RTL_NUMBER_OF(contests));
    tcase_add_test(tcase, test_schedules_do_collide);
    tcase_add_test(tcase, test_readers_and_writers);
    tcase_add_test(tcase, test_try_modes);
    tcase_add_test(tcase, test_test_and_try);
    tcase_add_test(tcase, test_with_dpcs);
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    tcase_add_test(tcase, test_deadlock_is_found);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
