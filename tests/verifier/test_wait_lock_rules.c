/*
 * Rules of what threads wait for: mutexes, fast and guarded mutexes, resources, push locks; and of rundown protection
 * and remove locks ("Bug Check 0xC4", "Bug Check 0xE3", the routines' pages); what is allowed passes.
 */
#include "lock_rules.h"

/* ---- mutexes ---- */

static void mutex_not_owned(void)
{
    KeReleaseMutex(&it.mutex, FALSE);
}

static void hold_mutex(void)
{
    KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, NULL);
    KeSetEvent(&it.event, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(&it.other, Executive, KernelMode, FALSE, NULL);
}

static void mutex_of_another(void)
{
    it.thread = thread_start(call, (PVOID)(uintptr_t)hold_mutex);
    KeWaitForSingleObject(&it.event, Executive, KernelMode, FALSE, NULL);
    KeReleaseMutex(&it.mutex, FALSE);
}

static void mutex_at_exit(void)
{
    KeSetEvent(&it.other, IO_NO_INCREMENT, FALSE);
    elsewhere(hold_mutex);
}

static void mutex_recursive_allowed(void)
{
    for (int index = 0; index < 3; index++)
        KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, NULL);
    for (int index = 0; index < 3; index++)
        KeReleaseMutex(&it.mutex, FALSE);
}

static void mutex_initialised_held(void)
{
    KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, NULL);
    KeInitializeMutex(&it.mutex, 0);
}

static void fast_recursive(void)
{
    ExAcquireFastMutex(&it.fast[0]);
    ExAcquireFastMutex(&it.fast[0]);
}

static void fast_not_owned(void)
{
    KIRQL irql;

    KeRaiseIrql(APC_LEVEL, &irql);
    ExReleaseFastMutex(&it.fast[0]);
}

static void fast_flavour(void)
{
    ExAcquireFastMutex(&it.fast[0]);
    ExReleaseFastMutexUnsafe(&it.fast[0]);
}

static void fast_not_initialised(void)
{
    RtlZeroMemory(&it.fast[0], sizeof(it.fast[0]));
    ExAcquireFastMutex(&it.fast[0]);
}

static void fast_unsafe_with_apcs(void)
{
    ExAcquireFastMutexUnsafe(&it.fast[0]);
}

static void hold_fast_unsafe(void)
{
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&it.fast[0]);
    KeLeaveCriticalRegion();
}

static void fast_at_exit(void)
{
    elsewhere(hold_fast_unsafe);
}

static void guarded_recursive(void)
{
    KeAcquireGuardedMutex(&it.guarded);
    KeAcquireGuardedMutex(&it.guarded);
}

static void fast_freed(void)
{
    PFAST_MUTEX mutex = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*mutex), TEST_TAG);

    ExInitializeFastMutex(mutex);
    ExAcquireFastMutex(mutex);
    ExFreePoolWithTag(mutex, TEST_TAG);
}

static VOID NTAPI keep_mutex(PVOID context)
{
    UNREFERENCED_PARAMETER(context);
    KeWaitForSingleObject(&it.mutex, Executive, KernelMode, FALSE, NULL);
    KeSetEvent(&it.event, IO_NO_INCREMENT, FALSE);
}

static void held_at_return_of_work_item(void)
{
    ExInitializeWorkItem(&it.item, keep_mutex, NULL);
    ExQueueWorkItem(&it.item, DelayedWorkQueue);
    KeWaitForSingleObject(&it.event, Executive, KernelMode, FALSE, NULL);
    sleep_ms(1);
}

/* ---- resources ---- */

static void resource_not_owned(void)
{
    KeEnterCriticalRegion();
    ExReleaseResourceLite(&it.resource);
}

static void resource_upgrade(void)
{
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&it.resource, TRUE);
    ExAcquireResourceExclusiveLite(&it.resource, TRUE);
}

static void resource_deleted_owned(void)
{
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&it.resource, TRUE);
    ExDeleteResourceLite(&it.resource);
}

static void resource_twice(void)
{
    ExInitializeResourceLite(&it.resource);
}

static void resource_deleted_twice(void)
{
    ExDeleteResourceLite(&it.resource);
    ExDeleteResourceLite(&it.resource);
}

static void resource_with_apcs(void)
{
    ExAcquireResourceSharedLite(&it.resource, TRUE);
}

static void resource_not_initialised(void)
{
    RtlZeroMemory(&it.resource, sizeof(it.resource));
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&it.resource, TRUE);
}

static void resource_recursive_allowed(void)
{
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&it.resource, TRUE);
    ExAcquireResourceSharedLite(&it.resource, TRUE);
    ExReleaseResourceLite(&it.resource);
    ExReleaseResourceLite(&it.resource);
    KeLeaveCriticalRegion();
}

static void hold_resource(void)
{
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(&it.resource, TRUE);
    KeLeaveCriticalRegion();
}

static void resource_at_exit(void)
{
    elsewhere(hold_resource);
}

static void resource_freed(void)
{
    PERESOURCE resource = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*resource), TEST_TAG);

    ExInitializeResourceLite(resource);
    ExFreePoolWithTag(resource, TEST_TAG);
}

/* ---- push locks ---- */

static void push_recursive(void)
{
    KeEnterCriticalRegion();
    ExAcquirePushLockShared(&it.push);
    ExAcquirePushLockShared(&it.push);
}

static void push_flavour(void)
{
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusive(&it.push);
    ExReleasePushLockShared(&it.push);
}

static void push_not_owned(void)
{
    KeEnterCriticalRegion();
    ExReleasePushLockExclusive(&it.push);
}

static void push_with_apcs(void)
{
    ExAcquirePushLockExclusive(&it.push);
}

static void push_release_with_apcs(void)
{
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusive(&it.push);
    KeLeaveCriticalRegion();
    ExReleasePushLockExclusive(&it.push);
}

/* ---- rundown protection and remove locks ---- */

static void rundown_over_release(void)
{
    ExAcquireRundownProtection(&it.rundown);
    ExReleaseRundownProtection(&it.rundown);
    ExReleaseRundownProtection(&it.rundown);
}

static void rundown_freed(void)
{
    PEX_RUNDOWN_REF reference = ExAllocatePoolWithTag(NonPagedPoolNx, 64, TEST_TAG);

    ExInitializeRundownProtection(reference);
    ExAcquireRundownProtection(reference);
    ExFreePoolWithTag(reference, TEST_TAG);
}

static void rundown_initialised_held(void)
{
    ExAcquireRundownProtection(&it.rundown);
    ExInitializeRundownProtection(&it.rundown);
}

static void rundown_reinitialised_early(void)
{
    ExReInitializeRundownProtection(&it.rundown);
}

static void remove_lock_wrong_tag(void)
{
    IoAcquireRemoveLock(&it.remove, (PVOID)1);
    IoReleaseRemoveLock(&it.remove, (PVOID)2);
}

static void remove_lock_over_release(void)
{
    IoAcquireRemoveLock(&it.remove, (PVOID)1);
    IoReleaseRemoveLock(&it.remove, (PVOID)1);
    IoReleaseRemoveLock(&it.remove, (PVOID)1);
}

static void remove_lock_wait_wrong_tag(void)
{
    IoAcquireRemoveLock(&it.remove, (PVOID)1);
    IoReleaseRemoveLockAndWait(&it.remove, (PVOID)2);
}

static void remove_lock_wait_twice(void)
{
    IoAcquireRemoveLock(&it.remove, (PVOID)1);
    IoReleaseRemoveLockAndWait(&it.remove, (PVOID)1);
    IoReleaseRemoveLockAndWait(&it.remove, (PVOID)1);
}

static void remove_lock_twice(void)
{
    IoInitializeRemoveLock(&it.remove, TEST_TAG, 0, 0);
}

static void remove_lock_not_initialised(void)
{
    static IO_REMOVE_LOCK lock;

    IoAcquireRemoveLock(&lock, NULL);
}

static void remove_lock_freed(void)
{
    PIO_REMOVE_LOCK lock = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*lock), TEST_TAG);

    IoInitializeRemoveLock(lock, TEST_TAG, 0, 0);
    IoAcquireRemoveLock(lock, (PVOID)7);
    ExFreePoolWithTag(lock, TEST_TAG);
}

/* A lock goes with its memory: what comes to lie there may be initialised. */
static void remove_lock_forgotten(void)
{
    for (int index = 0; index < 3; index++) {
        PIO_REMOVE_LOCK lock = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*lock), TEST_TAG);

        IoInitializeRemoveLock(lock, TEST_TAG, 0, 0);
        ck_assert_int_eq(IoAcquireRemoveLock(lock, lock), STATUS_SUCCESS);
        IoReleaseRemoveLockAndWait(lock, lock);
        ck_assert_int_eq(IoAcquireRemoveLock(lock, lock), STATUS_DELETE_PENDING);
        ExFreePoolWithTag(lock, TEST_TAG);
    }
}

/* ---- the tables ---- */

static const struct broken_rule broken[] = {
    {mutex_not_owned, "mutex-not-owner", DV, {0x1007, (uintptr_t)&it.mutex, 0, 0}},
    {mutex_of_another, "mutex-not-owner", DV, {0x1004, (uintptr_t)&it.mutex, ANY, ANY}},
    {mutex_at_exit, "mutex-held-at-exit", THREAD_TERMINATE_HELD_MUTEX, {ANY, ANY, 0, 0}},
    {mutex_initialised_held, "lock-initialised-held", DV, {0x1005, (uintptr_t)&it.mutex, 0, 0}},
    {held_at_return_of_work_item, "work-item-return", DV, {ANY, ANY, ANY, 0}},
    {fast_recursive, "mutex-recursive", DV, {0x1000, (uintptr_t)&it.fast[0], 0, 0}},
    {fast_not_owned, "mutex-not-owner", DV, {0x1007, (uintptr_t)&it.fast[0], 0, 0}},
    {fast_flavour, "lock-release-mismatch", DV, {0x1009, (uintptr_t)&it.fast[0], 0, 0}},
    {fast_not_initialised, "mutex-not-initialised", DV, {0x1002, (uintptr_t)&it.fast[0], 0, 0}},
    {fast_unsafe_with_apcs, "apcs-enabled", DV, {0x39, PASSIVE_LEVEL, 0, (uintptr_t)&it.fast[0]}},
    {fast_at_exit, "lock-held-at-exit", DV, {0x100A, ANY, (uintptr_t)&it.fast[0], 0}},
    {fast_freed, "lock-freed-held", DV, {0x100B, ANY, ANY, 0}},
    {guarded_recursive, "mutex-recursive", DV, {0x1000, (uintptr_t)&it.guarded, 0, 0}},
    {resource_not_owned, "resource-not-owned", RESOURCE_NOT_OWNED, {(uintptr_t)&it.resource, ANY, ANY, 0}},
    {resource_upgrade, "resource-deadlock", DV, {0x1000, (uintptr_t)&it.resource, 0, 0}},
    {resource_deleted_owned, "resource-deleted-owned", DV, {0x100B, (uintptr_t)&it.resource, ANY, 0}},
    {resource_twice, "resource-initialised-twice", DV, {0xD0, (uintptr_t)&it.resource, 0, 0}},
    {resource_deleted_twice, "resource-not-initialised", DV, {0xD1, (uintptr_t)&it.resource, 0, 0}},
    {resource_not_initialised, "resource-not-initialised", DV, {0x1002, (uintptr_t)&it.resource, 0, 0}},
    {resource_with_apcs, "apcs-enabled", DV, {0x37, PASSIVE_LEVEL, 0, (uintptr_t)&it.resource}},
    {resource_at_exit, "lock-held-at-exit", DV, {0x100A, ANY, (uintptr_t)&it.resource, 0}},
    {resource_freed, "freed-in-use", DV, {0xD2, ANY, ANY, sizeof(ERESOURCE)}},
    {push_recursive, "push-lock-recursive", DV, {0x1000, (uintptr_t)&it.push, 0, 0}},
    {push_flavour, "lock-release-mismatch", DV, {0x1009, (uintptr_t)&it.push, 0, 0}},
    {push_not_owned, "push-lock-release", DV, {0x1007, (uintptr_t)&it.push, 0, 0}},
    {push_with_apcs, "apcs-enabled", DV, {0xEA, PASSIVE_LEVEL, 0, (uintptr_t)&it.push}},
    {push_release_with_apcs, "apcs-enabled", DV, {0xEB, PASSIVE_LEVEL, 0, (uintptr_t)&it.push}},
    {rundown_over_release, "rundown-over-release", DV, {0x1007, (uintptr_t)&it.rundown, 0, 0}},
    {rundown_freed, "lock-freed-held", DV, {0x100B, ANY, 0, 0}},
    {rundown_initialised_held, "lock-initialised-held", DV, {0x1005, (uintptr_t)&it.rundown, 0, 0}},
    {rundown_reinitialised_early, "rundown", DV, {ANY, ANY, ANY, 0}},
    {remove_lock_wrong_tag, "remove-lock-tag", DV, {0xD5, (uintptr_t)&it.remove, 2, 0}},
    {remove_lock_over_release, "remove-lock-tag", DV, {0xD5, (uintptr_t)&it.remove, 1, 0}},
    {remove_lock_wait_wrong_tag, "remove-lock-wait-tag", DV, {0xD6, (uintptr_t)&it.remove, 2, 1}},
    {remove_lock_wait_twice, "remove-lock-wait-tag", DV, {0xD6, (uintptr_t)&it.remove, 1, 0}},
    {remove_lock_twice, "remove-lock-initialised-twice", DV, {0xD7, ANY, (uintptr_t)&it.remove, 0}},
    {remove_lock_not_initialised, "remove-lock", DV, {ANY, ANY, ANY, 0}},
    {remove_lock_freed, "lock-freed-held", DV, {0x100B, ANY, 0, 0}},
};

START_TEST(breaks)
{
    breaks_rule(&broken[_i]);
}
END_TEST

static void (*const allowed[])(void) = {mutex_recursive_allowed, remove_lock_forgotten, resource_recursive_allowed};

START_TEST(passes)
{
    must_pass(allowed[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rules of locks that are waited for");
    TCase *test = tcase_create("locks");

    tcase_set_timeout(test, 60);
    tcase_add_loop_test(test, breaks, 0, ARRAYSIZE(broken));
    tcase_add_loop_test(test, passes, 0, ARRAYSIZE(allowed));
    suite_add_tcase(suite, test);
    return guest_suite_run(suite);
}
