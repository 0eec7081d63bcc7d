/* Each kind of operation at which a schedule may change is a switch point of its own. */
#include "common/guest.h"
#include "machine/sched.h"

#include <ntddk.h>

static KSPIN_LOCK lock;
static KEVENT event;
static volatile LONG number;
static PVOID volatile pointer;
static SLIST_HEADER list;
static KIRQL irql;

static void acquire(void)
{
    KeAcquireSpinLock(&lock, &irql);
}

static void release(void)
{
    KeReleaseSpinLock(&lock, irql);
}

static void raise(void)
{
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
}

static void lower(void)
{
    KeLowerIrql(irql);
}

static void call(void)
{
    (void)KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
}

static void call_that_waits(void)
{
    (void)KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
}

static void increment(void)
{
    (void)InterlockedIncrement(&number);
}

static void compare_exchange(void)
{
    (void)InterlockedCompareExchange(&number, 2, 1);
}

static void exchange_pointer(void)
{
    (void)InterlockedExchangePointer((PVOID *)&pointer, NULL);
}

static void push(void)
{
    static SLIST_ENTRY entry;

    (void)InterlockedPushEntrySList(&list, &entry);
}

static void pop(void)
{
    (void)InterlockedPopEntrySList(&list);
}

static void pause_processor(void)
{
    YieldProcessor();
}

static void stall(void)
{
    KeStallExecutionProcessor(1);
}

static void read_clock(void)
{
    (void)KeQueryPerformanceCounter(NULL);
}

static const struct {
    const char *name;
    void (*function)(void);
} operations[] = {
    {"KeAcquireSpinLock", acquire},
    {"KeReleaseSpinLock", release},
    {"KeRaiseIrql", raise},
    {"KeLowerIrql", lower},
    {"KeSetEvent", call},
    {"KeWaitForSingleObject", call_that_waits},
    {"InterlockedIncrement", increment},
    {"InterlockedCompareExchange", compare_exchange},
    {"InterlockedExchangePointer", exchange_pointer},
    {"InterlockedPushEntrySList", push},
    {"InterlockedPopEntrySList", pop},
    {"YieldProcessor", pause_processor},
    {"KeStallExecutionProcessor", stall},
    {"KeQueryPerformanceCounter", read_clock},
};

static void try_all(void *argument)
{
    (void)argument;
    KeInitializeSpinLock(&lock);
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    InitializeSListHead(&list);
    for (size_t index = 0; index < sizeof(operations) / sizeof(operations[0]); index++) {
        uint64_t before = sched_points();

        operations[index].function();
        ck_assert_msg(sched_points() > before, "%s is no switch point", operations[index].name);
    }
}

START_TEST(every_kind)
{
    struct machine_config config = guest_config(1);

    config.engine = ENGINE_DETERMINISTIC;
    guest_run_with(&config, try_all, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("switch points");
    TCase *tcase = tcase_create("kinds");

    tcase_add_test(tcase, every_kind);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
