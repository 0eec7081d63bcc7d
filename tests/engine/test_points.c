/*
 * The fast half of the switch point (machine/point.h) changes nothing: a run under fifo, which takes it, and one that
 * follows an empty list of decisions, which is fifo with a full switch point each time, are the same run, to the last
 * event, switch point and nanosecond.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "machine/clock.h"
#include "machine/eventlog.h"
#include "machine/log.h"
#include "machine/schedule.h"
#include "nt-host/guest_threads.h"

#define THREADS 5

struct seen {
    uint64_t hash, events, points, switches, now;
    char rule[64];
    uint64_t failed_at;
};

static struct shared {
    KSPIN_LOCK lock, inner;
    KEVENT event;
    KDPC dpc;
    KTIMER timer;
    ULONG total;
    ULONG ticks;
    struct seen seen;
} * shared;

static void tick_locked(void)
{
    KeAcquireSpinLockAtDpcLevel(&shared->lock);
    shared->ticks++;
    KeReleaseSpinLockFromDpcLevel(&shared->lock);
}

static VOID NTAPI tick(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)dpc, (void)context, (void)argument1, (void)argument2;
    tick_locked();
    (void)KeSetEvent(&shared->event, IO_NO_INCREMENT, FALSE);
}

/* Locks held for a while or not, with and without another inside, blocks of the pool, waits, and time that passes. */
static VOID NTAPI worker(PVOID context)
{
    unsigned me = (unsigned)(uintptr_t)context;
    LARGE_INTEGER little = {.QuadPart = -2000};
    KIRQL irql, other;

    for (unsigned turn = 0; turn < 300; turn++) {
        PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 16 + turn, TEST_TAG);

        ck_assert_ptr_nonnull(block);
        KeAcquireSpinLock(&shared->lock, &irql);
        shared->total += me;
        if (turn % 7 == me) {
            KeAcquireSpinLock(&shared->inner, &other);
            KeReleaseSpinLock(&shared->inner, other);
        }
        for (unsigned index = 0; index < turn % 11; index++)
            (void)KeQueryPerformanceCounter(NULL);
        if (turn % 13 == me)
            (void)KeInsertQueueDpc(&shared->dpc, NULL, NULL);
        KeReleaseSpinLock(&shared->lock, irql);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        if (turn % 17 == me)
            KeStallExecutionProcessor(20);
        KeLowerIrql(irql);
        if (turn % 50 == 10 * me)
            (void)KeDelayExecutionThread(KernelMode, FALSE, &little);
        if (turn % 60 == 10 * me)
            (void)KeWaitForSingleObject(&shared->event, Executive, KernelMode, FALSE, &little);
        ExFreePoolWithTag(block, TEST_TAG);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void look(struct seen *seen)
{
    seen->hash = eventlog_hash();
    seen->events = eventlog_count();
    seen->points = sched_points();
    seen->switches = sched_switches();
    seen->now = clock_now();
}

static void busy(void *argument)
{
    PKTHREAD threads[THREADS];

    (void)argument;
    shared = ExAllocatePoolZero(NonPagedPoolNx, sizeof(*shared), TEST_TAG);
    KeInitializeSpinLock(&shared->lock);
    KeInitializeSpinLock(&shared->inner);
    KeInitializeEvent(&shared->event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&shared->dpc, tick, NULL);
    KeInitializeTimer(&shared->timer);
    (void)KeSetTimerEx(&shared->timer, in_ms(1), 1, &shared->dpc);
    for (unsigned index = 0; index < THREADS; index++)
        threads[index] = thread_start(worker, (PVOID)(uintptr_t)index);
    for (unsigned index = 0; index < THREADS; index++)
        thread_join(threads[index]);
    ck_assert_uint_eq(shared->total, 300 * (0 + 1 + 2 + 3 + 4));
    (void)KeCancelTimer(&shared->timer);
    KeFlushQueuedDpcs();
    look(argument);
    ExFreePoolWithTag(shared, TEST_TAG);
}

/* In a process of its own: a machine that has failed leaves no room for another. */
static struct seen run(struct machine_config config, void (*function)(void *), bool full)
{
    static const struct schedule nothing;
    struct seen *seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct seen copy;
    int status;
    pid_t child;

    ck_assert(seen != MAP_FAILED);
    config.log_level = LOG_NONE;
    config.policy = full ? POLICY_TRACE : POLICY_FIFO;
    config.schedule = &nothing;
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const struct failure *failure = guest_run_may_fail(&config, function, seen);

        if (failure != NULL) {
            snprintf(seen->rule, sizeof(seen->rule), "%s", failure->rule);
            seen->failed_at = failure->event;
        }
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    copy = *seen;
    munmap(seen, sizeof(*seen));
    return copy;
}

static struct seen both(struct machine_config config, void (*function)(void *))
{
    struct seen quick = run(config, function, false);
    struct seen full = run(config, function, true);

    ck_assert_uint_eq(quick.hash, full.hash);
    ck_assert_uint_eq(quick.events, full.events);
    ck_assert_uint_eq(quick.points, full.points);
    ck_assert_uint_eq(quick.switches, full.switches);
    ck_assert_uint_eq(quick.now, full.now);
    ck_assert_str_eq(quick.rule, full.rule);
    ck_assert_uint_eq(quick.failed_at, full.failed_at);
    return quick;
}

START_TEST(same_run)
{
    struct seen seen = both(guest_config((unsigned)_i), busy);

    ck_assert_str_eq(seen.rule, "");
    ck_assert_uint_gt(seen.points, 15000);
}
END_TEST

/* Nearly all of the time is at DISPATCH_LEVEL, but never much of it in a row. */
static void mostly_held(void *argument)
{
    KSPIN_LOCK *lock = ExAllocatePoolZero(NonPagedPoolNx, sizeof(*lock), TEST_TAG);
    KIRQL irql;

    KeInitializeSpinLock(lock);
    for (unsigned turn = 0; turn < 20000; turn++) {
        KeAcquireSpinLock(lock, &irql);
        for (unsigned index = 0; index < 5; index++)
            (void)KeQueryPerformanceCounter(NULL);
        KeReleaseSpinLock(lock, irql);
    }
    ExFreePoolWithTag(lock, TEST_TAG);
    look(argument);
}

/* One long hold. */
static void held_long(void *argument)
{
    KSPIN_LOCK *lock = ExAllocatePoolZero(NonPagedPoolNx, sizeof(*lock), TEST_TAG);
    KIRQL irql;

    KeInitializeSpinLock(lock);
    for (unsigned turn = 0; turn < 1000; turn++) {
        KeAcquireSpinLock(lock, &irql);
        KeReleaseSpinLock(lock, irql);
    }
    KeAcquireSpinLock(lock, &irql);
    for (;;) {
        (void)KeTestSpinLock(lock);
        look(argument);
    }
}

START_TEST(limits_count_the_same)
{
    struct machine_config config = guest_config(1);

    config.limits.dispatch = 5000; /* less than the time between two full points */
    ck_assert_str_eq(both(config, mostly_held).rule, "");
    ck_assert_str_eq(both(config, held_long).rule, "dispatch-time");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("points");
    TCase *tcase = tcase_create("fast and full");

    tcase_add_loop_test(tcase, same_run, 1, 4);
    tcase_add_test(tcase, limits_count_the_same);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
