/*
 * Spin locks under contention, for the parallel engine and its sanitizer. What their pages say is held by the cases of
 * tests/nt (ke/spinlock.c, ex/spin_lock.c).
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

int main(void)
{
    Suite *suite = suite_create("nt-host/spinlocks");
    TCase *tcase = tcase_create("spin locks");

    tcase_add_loop_test(tcase, test_exclusion, 0, (int)RTL_NUMBER_OF(contests));
    tcase_add_test(tcase, test_readers_and_writers);
    tcase_add_test(tcase, test_with_dpcs);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
