/*
 * Rules of spin locks and of the order of locks ("Bug Check 0xC4", "Deadlock Detection", "Introduction to Spin Locks",
 * the routines' pages); what is allowed passes.
 */
#include "lock_rules.h"

/* ---- spin locks ---- */

static void recursive(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeAcquireSpinLockAtDpcLevel(&it.spin[0]);
}

static void release_free(void)
{
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    KeReleaseSpinLock(&it.spin[0], irql);
}

static void hold_spin(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeSetEvent(&it.event, IO_NO_INCREMENT, FALSE);
    for (;;)
        KeStallExecutionProcessor(10);
}

static void release_of_another(void)
{
    KIRQL irql;

    thread_start(call, (PVOID)(uintptr_t)hold_spin);
    KeWaitForSingleObject(&it.event, Executive, KernelMode, FALSE, NULL);
    irql = KeRaiseIrqlToDpcLevel();
    KeReleaseSpinLock(&it.spin[0], irql);
}

static void dpc_release_of_plain(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeReleaseSpinLockFromDpcLevel(&it.spin[0]);
}

static void plain_release_of_dpc(void)
{
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    KeAcquireSpinLockAtDpcLevel(&it.spin[0]);
    KeReleaseSpinLock(&it.spin[0], irql);
}

static void plain_release_of_queued(void)
{
    KeAcquireInStackQueuedSpinLock(&it.spin[0], &it.handle[0]);
    KeReleaseSpinLock(&it.spin[0], PASSIVE_LEVEL);
}

static void queued_release_of_plain(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    it.handle[0].LockQueue.Lock = &it.spin[0];
    it.handle[0].OldIrql = irql;
    KeReleaseInStackQueuedSpinLock(&it.handle[0]);
}

static void plain_after_queued(void)
{
    KIRQL irql;

    KeAcquireInStackQueuedSpinLock(&it.spin[0], &it.handle[0]);
    KeReleaseInStackQueuedSpinLock(&it.handle[0]);
    KeAcquireSpinLock(&it.spin[0], &irql);
}

static void handle_released_twice(void)
{
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    KeAcquireInStackQueuedSpinLockAtDpcLevel(&it.spin[0], &it.handle[0]);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&it.handle[0]);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&it.handle[0]);
    KeLowerIrql(irql);
}

static void wrong_handle(void)
{
    KeAcquireInStackQueuedSpinLock(&it.spin[0], &it.handle[0]);
    it.handle[1] = it.handle[0];
    KeReleaseInStackQueuedSpinLock(&it.handle[1]);
}

static void not_a_lock(void)
{
    KIRQL irql;

    it.spin[0] = 0x5A5A5A5A;
    KeAcquireSpinLock(&it.spin[0], &irql);
}

static void wait_holding(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeWaitForSingleObject(&it.event, Executive, KernelMode, FALSE, NULL);
}

static void timed_wait_holding(void)
{
    LARGE_INTEGER due = in_ms(1);
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeWaitForSingleObject(&it.event, Executive, KernelMode, FALSE, &due);
}

static void look_holding(void)
{
    LARGE_INTEGER none = {.QuadPart = 0};
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    ck_assert_int_eq(KeWaitForSingleObject(&it.event, Executive, KernelMode, FALSE, &none), STATUS_TIMEOUT);
    KeReleaseSpinLock(&it.spin[0], irql);
}

static void lower_holding(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeLowerIrql(irql);
}

static void first_before_second(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeAcquireSpinLockAtDpcLevel(&it.spin[1]);
    KeReleaseSpinLock(&it.spin[0], irql);
}

/* Not nested, and allowed: the IRQL stays where it is until the last has gone. */
static void overlapping(void)
{
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    KeAcquireSpinLockAtDpcLevel(&it.spin[0]);
    KeAcquireSpinLockAtDpcLevel(&it.spin[1]);
    KeReleaseSpinLockFromDpcLevel(&it.spin[0]);
    KeAcquireSpinLockAtDpcLevel(&it.spin[2]);
    KeReleaseSpinLockFromDpcLevel(&it.spin[1]);
    KeReleaseSpinLockFromDpcLevel(&it.spin[2]);
    KeLowerIrql(irql);
}

static void initialise_held(void)
{
    KIRQL irql;

    KeAcquireSpinLock(&it.spin[0], &irql);
    KeInitializeSpinLock(&it.spin[0]);
}

static VOID NTAPI dpc_keeps_lock(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    KeAcquireSpinLockAtDpcLevel(&it.spin[0]);
}

static void held_at_return_of_dpc(void)
{
    KeInitializeDpc(&it.dpc, dpc_keeps_lock, NULL);
    KeInsertQueueDpc(&it.dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

static VOID NTAPI dpc_drops_lock(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    ExAcquireSpinLockSharedAtDpcLevel(&it.rw);
    ExReleaseSpinLockSharedFromDpcLevel(&it.rw);
    KeReleaseSpinLockFromDpcLevel(&it.spin[0]);
}

/* The lock is the vCPU's, but not this DPC's: it was never acquired there. */
static void release_in_dpc(void)
{
    KeInitializeDpc(&it.dpc, dpc_drops_lock, NULL);
    KeInsertQueueDpc(&it.dpc, NULL, NULL);
    KeFlushQueuedDpcs();
}

static void free_with_held(void)
{
    PKSPIN_LOCK lock = ExAllocatePoolWithTag(NonPagedPoolNx, 64, TEST_TAG);
    KIRQL irql;

    KeInitializeSpinLock(&lock[2]);
    KeAcquireSpinLock(&lock[2], &irql);
    ExFreePoolWithTag(lock, TEST_TAG);
}

/* ---- reader-writer spin locks ---- */

static void rw_recursive(void)
{
    ExAcquireSpinLockExclusive(&it.rw);
    ExAcquireSpinLockSharedAtDpcLevel(&it.rw);
}

static void rw_shared_twice(void)
{
    ExAcquireSpinLockShared(&it.rw);
    ExAcquireSpinLockSharedAtDpcLevel(&it.rw);
}

static void rw_shared_release_of_exclusive(void)
{
    KIRQL irql = ExAcquireSpinLockExclusive(&it.rw);

    ExReleaseSpinLockShared(&it.rw, irql);
}

static void rw_release_free(void)
{
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    ExReleaseSpinLockExclusive(&it.rw, irql);
}

static void rw_convert(void)
{
    KIRQL irql = ExAcquireSpinLockShared(&it.rw);

    ck_assert(ExTryConvertSharedSpinLockExclusive(&it.rw));
    ExReleaseSpinLockExclusive(&it.rw, irql);
}

/* ---- order ---- */

static __attribute__((noinline)) void take_two(PKSPIN_LOCK first, PKSPIN_LOCK second)
{
    KIRQL irql;

    KeAcquireSpinLock(first, &irql);
    KeAcquireSpinLockAtDpcLevel(second);
    KeReleaseSpinLockFromDpcLevel(second);
    KeReleaseSpinLock(first, irql);
    it.taken++; /* no tail call: the callers stay on the stack */
}

static void take_0_1(void)
{
    take_two(&it.spin[0], &it.spin[1]);
    it.taken++;
}

static void take_1_2(void)
{
    take_two(&it.spin[1], &it.spin[2]);
}

static void order_of_two(void)
{
    elsewhere(take_0_1);
    take_two(&it.spin[1], &it.spin[0]);
    it.taken++;
}

static void order_of_three(void)
{
    elsewhere(take_0_1);
    elsewhere(take_1_2);
    take_two(&it.spin[2], &it.spin[0]);
}

static void order_kept(void)
{
    elsewhere(take_0_1);
    elsewhere(take_1_2);
    take_two(&it.spin[0], &it.spin[2]);
    take_two(&it.spin[0], &it.spin[1]);
}

/* A try does not wait: against the order it is no deadlock. */
static void order_by_trying(void)
{
    KIRQL irql;

    elsewhere(take_0_1);
    KeAcquireSpinLock(&it.spin[1], &irql);
    ck_assert(KeTryToAcquireSpinLockAtDpcLevel(&it.spin[0]));
    KeReleaseSpinLockFromDpcLevel(&it.spin[0]);
    KeReleaseSpinLock(&it.spin[1], irql);
}

/* A block in the place of one that was freed just now. */
static PVOID again(PVOID freed, SIZE_T size)
{
    PVOID other;
    unsigned turns;

    /* at once, or when its turn comes: under AddressSanitizer the pool gives the longest free first */
    for (turns = 0; (other = ExAllocatePoolWithTag(NonPagedPoolNx, size, TEST_TAG)) != freed; turns++) {
        ck_assert_uint_lt(turns, 4096);
        ExFreePoolWithTag(other, TEST_TAG);
    }
    return other;
}

/* The locks at its beginning, in its middle and at its end. */
static void forget_in_block(SIZE_T size)
{
    const SIZE_T places[] = {0, size / 16 * 8, size - sizeof(KSPIN_LOCK)};
    PUCHAR block = ExAllocatePoolWithTag(NonPagedPoolNx, size, TEST_TAG);

    for (unsigned i = 0; i < ARRAYSIZE(places); i++) {
        KeInitializeSpinLock((PKSPIN_LOCK)(block + places[i]));
        take_two(&it.spin[2], (PKSPIN_LOCK)(block + places[i]));
    }
    ExFreePoolWithTag(block, TEST_TAG);
    (void)again(block, size);
    for (unsigned i = 0; i < ARRAYSIZE(places); i++) {
        *(PKSPIN_LOCK)(block + places[i]) = 0;
        take_two((PKSPIN_LOCK)(block + places[i]), &it.spin[2]);
    }
    ExFreePoolWithTag(block, TEST_TAG);
}

/* What was known of a lock ends with its initialisation, and with the memory that it lies in. */
static void order_forgotten(void)
{
    take_two(&it.spin[0], &it.spin[1]);
    KeInitializeSpinLock(&it.spin[1]);
    take_two(&it.spin[1], &it.spin[0]);
    forget_in_block(64);
    forget_in_block(1000);
    forget_in_block(40000);
    forget_in_block(600000);
}

static void fast_then_spin(void)
{
    KIRQL irql;

    ExAcquireFastMutex(&it.fast[0]);
    ExAcquireFastMutex(&it.fast[1]);
    KeAcquireSpinLock(&it.spin[0], &irql);
    KeReleaseSpinLock(&it.spin[0], irql);
    ExReleaseFastMutex(&it.fast[1]);
    ExReleaseFastMutex(&it.fast[0]);
}

static void order_across_kinds(void)
{
    elsewhere(fast_then_spin);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&it.resource, TRUE);
    ExAcquireFastMutex(&it.fast[0]);
    ExReleaseFastMutex(&it.fast[0]);
    ExReleaseResourceLite(&it.resource);
    ExAcquireFastMutex(&it.fast[1]);
    ExAcquireResourceExclusiveLite(&it.resource, TRUE);
}

static void order_of_mutex(void)
{
    KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, NULL);
    ExAcquireFastMutex(&it.fast[0]);
    ExReleaseFastMutex(&it.fast[0]);
    KeReleaseMutex(&it.mutex, FALSE);
    ExAcquireFastMutex(&it.fast[0]);
    KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, NULL);
}

/* With a time-out the wait ends. */
static void order_of_mutex_timed(void)
{
    LARGE_INTEGER due = in_ms(1);

    KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, NULL);
    ExAcquireFastMutex(&it.fast[0]);
    ExReleaseFastMutex(&it.fast[0]);
    KeReleaseMutex(&it.mutex, FALSE);
    ExAcquireFastMutex(&it.fast[0]);
    ck_assert_int_eq(KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, &due), STATUS_SUCCESS);
    KeReleaseMutex(&it.mutex, FALSE);
    ExReleaseFastMutex(&it.fast[0]);
}

/* ---- the tables ---- */

#define SPIN0 (uintptr_t) & it.spin[0]

static const struct broken_rule broken[] = {
    {recursive, "spinlock-recursive", SPIN_LOCK_ALREADY_OWNED, {SPIN0, 0, 0, 0}},
    {release_free, "spinlock-not-owner", SPIN_LOCK_NOT_OWNED, {SPIN0, 0, 0, 0}},
    {release_of_another, "spinlock-not-owner", SPIN_LOCK_NOT_OWNED, {SPIN0, 0, 0, 0}},
    {release_in_dpc, "spinlock-not-owner", SPIN_LOCK_NOT_OWNED, {SPIN0, 0, 0, 0}},
    {dpc_release_of_plain, "lock-release-mismatch", DV, {0x1009, SPIN0, 0, 0}},
    {plain_release_of_dpc, "lock-release-mismatch", DV, {0x1009, SPIN0, 0, 0}},
    {plain_release_of_queued, "lock-release-mismatch", DV, {0x1009, SPIN0, 0, 0}},
    {queued_release_of_plain, "lock-release-mismatch", DV, {0x1009, SPIN0, 0, 0}},
    {plain_after_queued, "lock-acquire-mismatch", DV, {0x1008, SPIN0, 0, 0}},
    {handle_released_twice, "queued-lock-handle", DV, {0x40007, ANY, 0, 0}},
    {wrong_handle, "queued-lock-handle", DV, {0x40007, ANY, 0, 0}},
    {not_a_lock, "spinlock-not-initialised", DV, {0x1002, SPIN0, 0, 0}},
    {wait_holding, "spinlock-held-at-wait", DV, {0x121, ANY, (uintptr_t)&it.event, 0}},
    {timed_wait_holding, "spinlock-held-at-wait", DV, {0x122, ANY, (uintptr_t)&it.event, ANY}},
    {lower_holding, "spinlock-held-at-lower", DV, {0x31, DISPATCH_LEVEL, PASSIVE_LEVEL, 0}},
    {first_before_second, "lock-release-order", DV, {0x1003, SPIN0, (uintptr_t)&it.spin[1], 0}},
    {initialise_held, "lock-initialised-held", DV, {0x1005, SPIN0, 0, 0}},
    {held_at_return_of_dpc, "lock-held-at-return", DV, {0x40009, ANY, 0, 0}},
    {free_with_held, "lock-freed-held", DV, {0x100B, ANY, ANY, 0}},
    {rw_recursive, "spinlock-recursive", SPIN_LOCK_ALREADY_OWNED, {(uintptr_t)&it.rw, 0, 0, 0}},
    {rw_shared_twice, "spinlock-recursive", SPIN_LOCK_ALREADY_OWNED, {(uintptr_t)&it.rw, 0, 0, 0}},
    {rw_shared_release_of_exclusive, "lock-release-mismatch", DV, {0x1009, (uintptr_t)&it.rw, 0, 0}},
    {rw_release_free, "spinlock-not-owner", SPIN_LOCK_NOT_OWNED, {(uintptr_t)&it.rw, 0, 0, 0}},
    {order_of_two, "lock-order", DV, {0x1001, SPIN0, 0, 0}},
    {order_of_three, "lock-order", DV, {0x1001, SPIN0, 0, 0}},
    {order_across_kinds, "lock-order", DV, {0x1001, (uintptr_t)&it.resource, 0, 0}},
    {order_of_mutex, "lock-order", DV, {0x1001, (uintptr_t)&it.mutex, 0, 0}},
};

START_TEST(breaks)
{
    breaks_rule(&broken[_i]);
}
END_TEST

/* As a driver's code is under the parallel engine, where locks have ways of their own. */
static void run_outside(void *argument)
{
    prepare();
    KERNEL_OUTSIDE();
    ((void (*)(void))argument)();
}

START_TEST(breaks_in_parallel)
{
    struct machine_config config = guest_config(2);

    config.engine = ENGINE_PARALLEL;
    breaks_rule_with(&config, run_outside, &broken[_i]);
}
END_TEST

static void (*const allowed[])(void) = {look_holding,    overlapping,     rw_convert,          order_kept,
                                        order_by_trying, order_forgotten, order_of_mutex_timed};

START_TEST(passes)
{
    must_pass(allowed[_i]);
}
END_TEST

/* ---- the stacks of a cycle ---- */

static const char *stack_with(const struct failure *failure, const char *title)
{
    for (int index = 0; index < failure->stacks.count; index++)
        if (strstr(failure->stacks.stack[index].title, title) != NULL)
            return failure->stacks.stack[index].text;
    ck_abort_msg("the report has no stack titled '%s'", title);
}

START_TEST(cycle_shows_both_sides)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;

    config.stacks = _i == 1;
    failure = guest_must_fail(&config, run_case, (void *)(uintptr_t)order_of_two, "lock-order");
    ck_assert_ptr_nonnull(strstr(failure->text, "thread"));
    ck_assert_int_eq(failure->stacks.count, 4);
    /* The wanted side is a whole stack in any case, the held one when stacks are kept. */
    ck_assert_ptr_nonnull(strstr(stack_with(failure, "now: the lock that is held"), "take_two"));
    ck_assert_ptr_nonnull(strstr(stack_with(failure, "now: the lock that is wanted"), "order_of_two"));
    ck_assert_ptr_nonnull(strstr(stack_with(failure, "was acquired here"), "take_two"));
    ck_assert_ptr_nonnull(strstr(stack_with(failure, "then spin lock"), "take_0_1"));
    ck_assert_int_eq(strstr(stack_with(failure, "now: the lock that is held"), "order_of_two") != NULL, _i == 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lock rules");
    TCase *test = tcase_create("locks");

    tcase_set_timeout(test, 60);
    tcase_add_loop_test(test, breaks, 0, ARRAYSIZE(broken));
    tcase_add_loop_test(test, breaks_in_parallel, 0, ARRAYSIZE(broken));
    tcase_add_loop_test(test, passes, 0, ARRAYSIZE(allowed));
    tcase_add_loop_test(test, cycle_shows_both_sides, 0, 2);
    suite_add_tcase(suite, test);
    return guest_suite_run(suite);
}
