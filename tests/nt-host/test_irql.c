/*
 * IRQL: raising and lowering, after KeRaiseIrql and KeLowerIrql of wdm.h, and the level up to which each routine may be
 * called, which its page in the wdm.h and ntddk.h reference names.
 */
#include <stdio.h>

#include "guest_threads.h"

/* ---- raise and lower ---- */

static void raise_and_lower(void *argument)
{
    KIRQL first;
    KIRQL second;

    (void)argument;
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(APC_LEVEL, &first);
    ck_assert_uint_eq(first, PASSIVE_LEVEL);
    ck_assert_uint_eq(KeGetCurrentIrql(), APC_LEVEL);
    second = KeRaiseIrqlToDpcLevel();
    ck_assert_uint_eq(second, APC_LEVEL);
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &second); /* the same level is no fall */
    ck_assert_uint_eq(second, DISPATCH_LEVEL);
    KeRaiseIrql(HIGH_LEVEL, &second);
    ck_assert_uint_eq(second, DISPATCH_LEVEL);
    ck_assert_uint_eq(KeGetCurrentIrql(), HIGH_LEVEL);
    KeLowerIrql(DISPATCH_LEVEL);
    KeLowerIrql(APC_LEVEL);
    KeLowerIrql(first);
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

START_TEST(test_raise_and_lower)
{
    over_schedules(2, 5, raise_and_lower, NULL);
}
END_TEST

/* At DISPATCH_LEVEL no other thread gets the processor, however important it is. */
static struct {
    volatile bool raised;
    volatile LONG ran;
} level;

static VOID NTAPI want_the_processor(PVOID context)
{
    (void)context;
    stay_on(0);
    ck_assert(!level.raised);
    (void)InterlockedIncrement(&level.ran);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void no_thread_at_dispatch(void *argument)
{
    PKTHREAD thread;
    KIRQL irql;

    (void)argument;
    level.ran = 0;
    stay_on(0);
    thread = thread_start(want_the_processor, NULL);
    irql = KeRaiseIrqlToDpcLevel();
    level.raised = true;
    for (unsigned i = 0; i < 50; i++) {
        KeStallExecutionProcessor(1000); /* longer than any quantum, all in all */
        ck_assert_uint_eq(KeGetCurrentProcessorNumberEx(NULL), 0);
    }
    level.raised = false;
    KeLowerIrql(irql);
    thread_join(thread);
    ck_assert_int_eq(level.ran, 1);
}

START_TEST(test_no_thread_at_dispatch)
{
    over_schedules(2, 10, no_thread_at_dispatch, NULL);
}
END_TEST

static void raise_downwards(void *argument)
{
    KIRQL irql;

    (void)argument;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeRaiseIrql(APC_LEVEL, &irql);
}

static void lower_upwards(void *argument)
{
    (void)argument;
    KeLowerIrql(DISPATCH_LEVEL);
}

static void dpc_level_from_above(void *argument)
{
    KIRQL irql;

    (void)argument;
    KeRaiseIrql(CLOCK_LEVEL, &irql);
    (void)KeRaiseIrqlToDpcLevel();
}

static VOID NTAPI end_raised(PVOID context)
{
    KIRQL irql;

    (void)context;
    KeRaiseIrql(APC_LEVEL, &irql);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void thread_ends_raised(void *argument)
{
    (void)argument;
    thread_join(thread_start(end_raised, NULL));
}

static void paged_code(void *argument)
{
    (void)argument;
    (void)KeRaiseIrqlToDpcLevel();
    PAGED_CODE();
}

static const struct {
    void (*function)(void *);
    const char *rule;
} broken[] = {
    {raise_downwards, "irql-raise"}, {lower_upwards, "irql-lower"}, {dpc_level_from_above, "irql"},
    {thread_ends_raised, "irql"},    {paged_code, "paged-code"},
};

START_TEST(test_broken_rule)
{
    must_break(1, broken[_i].function, broken[_i].rule);
}
END_TEST

/* ---- the limits of routines ---- */

static KEVENT event;
static KSEMAPHORE semaphore;
static KTIMER timer;
static KMUTEX mutex;
static KDPC dpc;
static KSPIN_LOCK lock;
static KLOCK_QUEUE_HANDLE queue_handle;
static EX_SPIN_LOCK rw_lock;
static FAST_MUTEX fast_mutex;
static ERESOURCE resource;
static EX_RUNDOWN_REF rundown;
static NPAGED_LOOKASIDE_LIST nonpaged_list;
static PAGED_LOOKASIDE_LIST paged_list;
static IO_REMOVE_LOCK remove_lock;
static WORK_QUEUE_ITEM work_item;
static LARGE_INTEGER interval = {.QuadPart = -10};
static UNICODE_STRING name, other_name;
static ANSI_STRING ansi;
static OBJECT_ATTRIBUTES attributes;
static HANDLE handle;
static ULONG length;
static PVOID object;
static GUID guid;
static GROUP_AFFINITY group;
static PDEVICE_OBJECT device;
static PFILE_OBJECT file;
static KIRQL old_irql;
static PHYSICAL_ADDRESS address;
static UCHAR bytes[64];
static MDL mdl;

static VOID NTAPI do_nothing(PVOID context)
{
    (void)context;
}

static VOID NTAPI do_nothing_deferred(PKDPC unused, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)unused;
    (void)context;
    (void)argument1;
    (void)argument2;
}

static VOID NTAPI signal_done(PKDPC unused, PVOID context, PVOID argument1, PVOID argument2)
{
    (void)unused;
    (void)context;
    (void)argument2;
    KeSignalCallDpcDone(argument1);
}

/* The routine, the highest level at which it may be called, a call. The rule is broken before arguments are looked at.
 */
#define LIMITS(X)                                                                                                      \
    X(KeSetEvent, DISPATCH_LEVEL, KeSetEvent(&event, 0, FALSE))                                                        \
    X(KeResetEvent, DISPATCH_LEVEL, KeResetEvent(&event))                                                              \
    X(KeClearEvent, DISPATCH_LEVEL, KeClearEvent(&event))                                                              \
    X(KeReadStateEvent, DISPATCH_LEVEL, KeReadStateEvent(&event))                                                      \
    X(KeReleaseSemaphore, DISPATCH_LEVEL, KeReleaseSemaphore(&semaphore, 0, 1, FALSE))                                 \
    X(KeReadStateSemaphore, DISPATCH_LEVEL, KeReadStateSemaphore(&semaphore))                                          \
    X(KeReleaseMutex, DISPATCH_LEVEL, KeReleaseMutex(&mutex, FALSE))                                                   \
    X(KeReadStateMutex, DISPATCH_LEVEL, KeReadStateMutex(&mutex))                                                      \
    X(KeWaitForSingleObject, DISPATCH_LEVEL, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &interval))   \
    X(KeWaitForMultipleObjects, DISPATCH_LEVEL,                                                                        \
      KeWaitForMultipleObjects(1, &object, WaitAny, Executive, KernelMode, FALSE, &interval, NULL))                    \
    X(KeDelayExecutionThread, APC_LEVEL, KeDelayExecutionThread(KernelMode, FALSE, &interval))                         \
    X(KeSetTimerEx, DISPATCH_LEVEL, KeSetTimerEx(&timer, interval, 0, NULL))                                           \
    X(KeCancelTimer, DISPATCH_LEVEL, KeCancelTimer(&timer))                                                            \
    X(KeReadStateTimer, DISPATCH_LEVEL, KeReadStateTimer(&timer))                                                      \
    X(KeFlushQueuedDpcs, PASSIVE_LEVEL, KeFlushQueuedDpcs())                                                           \
    X(KeGenericCallDpc, APC_LEVEL, KeGenericCallDpc(signal_done, NULL))                                                \
    X(KeRaiseIrqlToDpcLevel, DISPATCH_LEVEL, KeRaiseIrqlToDpcLevel())                                                  \
    X(KeAcquireSpinLockRaiseToDpc, DISPATCH_LEVEL, KeAcquireSpinLock(&lock, &old_irql))                                \
    X(KeAcquireInStackQueuedSpinLock, DISPATCH_LEVEL, KeAcquireInStackQueuedSpinLock(&lock, &queue_handle))            \
    X(ExAcquireSpinLockExclusive, DISPATCH_LEVEL, ExAcquireSpinLockExclusive(&rw_lock))                                \
    X(ExAcquireSpinLockShared, DISPATCH_LEVEL, ExAcquireSpinLockShared(&rw_lock))                                      \
    X(KeSetPriorityThread, PASSIVE_LEVEL, KeSetPriorityThread(KeGetCurrentThread(), 8))                                \
    X(KeSetSystemAffinityThreadEx, APC_LEVEL, KeSetSystemAffinityThreadEx(1))                                          \
    X(KeRevertToUserAffinityThreadEx, APC_LEVEL, KeRevertToUserAffinityThreadEx(0))                                    \
    X(KeSetSystemGroupAffinityThread, APC_LEVEL, KeSetSystemGroupAffinityThread(&group, NULL))                         \
    X(KeEnterCriticalRegion, APC_LEVEL, KeEnterCriticalRegion())                                                       \
    X(PsCreateSystemThread, PASSIVE_LEVEL,                                                                             \
      PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, do_nothing, NULL))                            \
    X(PsTerminateSystemThread, PASSIVE_LEVEL, PsTerminateSystemThread(0))                                              \
    X(ObReferenceObjectByHandle, PASSIVE_LEVEL, ObReferenceObjectByHandle(NULL, 0, NULL, KernelMode, &object, NULL))   \
    X(ObfReferenceObject, DISPATCH_LEVEL, ObReferenceObject(KeGetCurrentThread()))                                     \
    X(ObfDereferenceObject, DISPATCH_LEVEL, ObDereferenceObject(KeGetCurrentThread()))                                 \
    X(ZwClose, PASSIVE_LEVEL, ZwClose(NULL))                                                                           \
    X(ZwCreateKey, PASSIVE_LEVEL, ZwCreateKey(&handle, KEY_READ, &attributes, 0, NULL, 0, NULL))                       \
    X(ZwOpenKey, PASSIVE_LEVEL, ZwOpenKey(&handle, KEY_READ, &attributes))                                             \
    X(ZwDeleteKey, PASSIVE_LEVEL, ZwDeleteKey(NULL))                                                                   \
    X(ZwDeleteValueKey, PASSIVE_LEVEL, ZwDeleteValueKey(NULL, &name))                                                  \
    X(ZwEnumerateKey, PASSIVE_LEVEL, ZwEnumerateKey(NULL, 0, KeyBasicInformation, NULL, 0, &length))                   \
    X(ZwEnumerateValueKey, PASSIVE_LEVEL, ZwEnumerateValueKey(NULL, 0, KeyValueBasicInformation, NULL, 0, &length))    \
    X(ZwQueryKey, PASSIVE_LEVEL, ZwQueryKey(NULL, KeyBasicInformation, NULL, 0, &length))                              \
    X(ZwQueryValueKey, PASSIVE_LEVEL, ZwQueryValueKey(NULL, &name, KeyValueBasicInformation, NULL, 0, &length))        \
    X(ZwSetValueKey, PASSIVE_LEVEL, ZwSetValueKey(NULL, &name, 0, REG_NONE, NULL, 0))                                  \
    X(ZwFlushKey, PASSIVE_LEVEL, ZwFlushKey(NULL))                                                                     \
    X(ExAllocatePoolWithTag, DISPATCH_LEVEL, ExAllocatePoolWithTag(NonPagedPoolNx, 16, TEST_TAG))                      \
    X(ExAllocatePool2, DISPATCH_LEVEL, ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, TEST_TAG))                             \
    X(ExFreePoolWithTag, DISPATCH_LEVEL, ExFreePoolWithTag(bytes, TEST_TAG))                                           \
    X(ExAllocateFromNPagedLookasideList, DISPATCH_LEVEL, ExAllocateFromNPagedLookasideList(&nonpaged_list))            \
    X(ExFreeToNPagedLookasideList, DISPATCH_LEVEL, ExFreeToNPagedLookasideList(&nonpaged_list, bytes))                 \
    X(ExAllocateFromPagedLookasideList, APC_LEVEL, ExAllocateFromPagedLookasideList(&paged_list))                      \
    X(ExFreeToPagedLookasideList, APC_LEVEL, ExFreeToPagedLookasideList(&paged_list, bytes))                           \
    X(ExAcquireFastMutex, APC_LEVEL, ExAcquireFastMutex(&fast_mutex))                                                  \
    X(ExTryToAcquireFastMutex, APC_LEVEL, ExTryToAcquireFastMutex(&fast_mutex))                                        \
    X(KeAcquireGuardedMutex, APC_LEVEL, KeAcquireGuardedMutex(&fast_mutex))                                            \
    X(ExInitializeResourceLite, DISPATCH_LEVEL, ExInitializeResourceLite(&resource))                                   \
    X(ExDeleteResourceLite, DISPATCH_LEVEL, ExDeleteResourceLite(&resource))                                           \
    X(ExAcquireResourceExclusiveLite, APC_LEVEL, ExAcquireResourceExclusiveLite(&resource, TRUE))                      \
    X(ExAcquireResourceSharedLite, APC_LEVEL, ExAcquireResourceSharedLite(&resource, TRUE))                            \
    X(ExReleaseResourceLite, DISPATCH_LEVEL, ExReleaseResourceLite(&resource))                                         \
    X(ExWaitForRundownProtectionRelease, APC_LEVEL, ExWaitForRundownProtectionRelease(&rundown))                       \
    X(ExQueueWorkItem, DISPATCH_LEVEL, ExQueueWorkItem(&work_item, DelayedWorkQueue))                                  \
    X(IoCreateDevice, APC_LEVEL, IoCreateDevice(NULL, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device))                \
    X(IoDeleteDevice, APC_LEVEL, IoDeleteDevice(NULL))                                                                 \
    X(IoAttachDeviceToDeviceStack, DISPATCH_LEVEL, IoAttachDeviceToDeviceStack(NULL, NULL))                            \
    X(IoGetAttachedDeviceReference, DISPATCH_LEVEL, IoGetAttachedDeviceReference(NULL))                                \
    X(IoGetDeviceObjectPointer, PASSIVE_LEVEL, IoGetDeviceObjectPointer(&name, FILE_READ_DATA, &file, &device))        \
    X(IoCreateSymbolicLink, PASSIVE_LEVEL, IoCreateSymbolicLink(&name, &name))                                         \
    X(IoDeleteSymbolicLink, PASSIVE_LEVEL, IoDeleteSymbolicLink(&name))                                                \
    X(IoRegisterDeviceInterface, PASSIVE_LEVEL, IoRegisterDeviceInterface(NULL, &guid, NULL, &name))                   \
    X(IoAllocateIrp, DISPATCH_LEVEL, IoAllocateIrp(1, FALSE))                                                          \
    X(IoFreeIrp, DISPATCH_LEVEL, IoFreeIrp(NULL))                                                                      \
    X(IofCallDriver, DISPATCH_LEVEL, IoCallDriver(NULL, NULL))                                                         \
    X(IofCompleteRequest, DISPATCH_LEVEL, IoCompleteRequest(NULL, 0))                                                  \
    X(IoCancelIrp, DISPATCH_LEVEL, IoCancelIrp(NULL))                                                                  \
    X(IoAcquireCancelSpinLock, DISPATCH_LEVEL, IoAcquireCancelSpinLock(&old_irql))                                     \
    X(IoAcquireRemoveLockEx, DISPATCH_LEVEL, IoAcquireRemoveLock(&remove_lock, NULL))                                  \
    X(IoReleaseRemoveLockEx, DISPATCH_LEVEL, IoReleaseRemoveLock(&remove_lock, NULL))                                  \
    X(IoReleaseRemoveLockAndWaitEx, PASSIVE_LEVEL, IoReleaseRemoveLockAndWait(&remove_lock, NULL))                     \
    X(IoAllocateWorkItem, DISPATCH_LEVEL, IoAllocateWorkItem(NULL))                                                    \
    X(IoFreeWorkItem, DISPATCH_LEVEL, IoFreeWorkItem(NULL))                                                            \
    X(IoQueueWorkItem, DISPATCH_LEVEL, IoQueueWorkItem(NULL, NULL, DelayedWorkQueue, NULL))                            \
    X(IoAllocateMdl, DISPATCH_LEVEL, IoAllocateMdl(bytes, 16, FALSE, FALSE, NULL))                                     \
    X(IoFreeMdl, DISPATCH_LEVEL, IoFreeMdl(NULL))                                                                      \
    X(MmBuildMdlForNonPagedPool, DISPATCH_LEVEL, MmBuildMdlForNonPagedPool(&mdl))                                      \
    X(MmMapLockedPagesSpecifyCache, DISPATCH_LEVEL,                                                                    \
      MmMapLockedPagesSpecifyCache(NULL, KernelMode, MmCached, NULL, FALSE, NormalPagePriority))                       \
    X(MmUnmapLockedPages, DISPATCH_LEVEL, MmUnmapLockedPages(NULL, NULL))                                              \
    X(MmAllocateContiguousMemory, DISPATCH_LEVEL, MmAllocateContiguousMemory(PAGE_SIZE, address))                      \
    X(MmFreePagesFromMdl, DISPATCH_LEVEL, MmFreePagesFromMdl(&mdl))                                                    \
    X(MmMapIoSpace, DISPATCH_LEVEL, MmMapIoSpace(address, PAGE_SIZE, MmNonCached))                                     \
    X(MmUnmapIoSpace, DISPATCH_LEVEL, MmUnmapIoSpace(bytes, PAGE_SIZE))                                                \
    X(MmGetPhysicalMemoryRanges, PASSIVE_LEVEL, MmGetPhysicalMemoryRanges())                                           \
    X(MmGetSystemRoutineAddress, PASSIVE_LEVEL, MmGetSystemRoutineAddress(&name))                                      \
    X(RtlAnsiStringToUnicodeString, PASSIVE_LEVEL, RtlAnsiStringToUnicodeString(&name, &ansi, TRUE))                   \
    X(RtlUnicodeStringToAnsiString, PASSIVE_LEVEL, RtlUnicodeStringToAnsiString(&ansi, &name, TRUE))                   \
    X(RtlCompareUnicodeString, PASSIVE_LEVEL, RtlCompareUnicodeString(&name, &other_name, TRUE))                       \
    X(RtlEqualUnicodeString, PASSIVE_LEVEL, RtlEqualUnicodeString(&name, &other_name, TRUE))                           \
    X(RtlPrefixUnicodeString, PASSIVE_LEVEL, RtlPrefixUnicodeString(&name, &other_name, TRUE))                         \
    X(RtlSuffixUnicodeString, PASSIVE_LEVEL, RtlSuffixUnicodeString(&name, &other_name, TRUE))                         \
    X(RtlDowncaseUnicodeString, APC_LEVEL, RtlDowncaseUnicodeString(&name, &other_name, TRUE))                         \
    X(RtlUpcaseUnicodeString, APC_LEVEL, RtlUpcaseUnicodeString(&name, &other_name, TRUE))                             \
    X(RtlFreeUnicodeString, APC_LEVEL, RtlFreeUnicodeString(&name))

#define DEFINE_CALL(routine, maximum, call)                                                                            \
    static void call_##routine(void)                                                                                   \
    {                                                                                                                  \
        (void)(call);                                                                                                  \
    }
LIMITS(DEFINE_CALL)

#define DEFINE_ENTRY(routine, maximum, call) {#routine, maximum, call_##routine},

static const struct limit {
    const char *routine;
    KIRQL maximum;
    void (*call)(void);
} limits[] = {LIMITS(DEFINE_ENTRY)};

static void prepare(void)
{
    KeInitializeEvent(&event, NotificationEvent, TRUE);
    KeInitializeTimer(&timer);
    KeInitializeDpc(&dpc, do_nothing_deferred, NULL);
    KeInitializeSpinLock(&lock);
    KeInitializeMutex(&mutex, 0);
    KeInitializeSemaphore(&semaphore, 0, 100);
    ExInitializeFastMutex(&fast_mutex);
    object = &event;
}

static void call_above(void *argument)
{
    const struct limit *limit = argument;
    KIRQL irql;

    prepare();
    KeRaiseIrql((KIRQL)(limit->maximum + 1), &irql);
    limit->call();
}

static void call_at(void *argument)
{
    const struct limit *limit = argument;
    KIRQL irql;

    prepare();
    KeRaiseIrql(limit->maximum, &irql);
    limit->call();
    KeLowerIrql(irql);
}

START_TEST(test_limit)
{
    struct machine_config config = guest_config(1);
    const struct limit *limit = &limits[_i];
    const struct failure *failure;

    config.log_level = LOG_NONE;
    failure = guest_must_fail(&config, call_above, (void *)(uintptr_t)limit, "irql");
    ck_assert_uint_eq(failure->code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    ck_assert_msg(strstr(failure->text, limit->routine) != NULL, "%s does not name %s", failure->text, limit->routine);
}
END_TEST

/* At the highest level itself the call is allowed: what comes of it (some arguments are nobody's) is not this rule's.
 */
START_TEST(test_at_limit)
{
    struct machine_config config = guest_config(1);
    const struct limit *limit = &limits[_i];
    const struct failure *failure;

    config.log_level = LOG_NONE;
    failure = guest_run_may_fail(&config, call_at, (void *)(uintptr_t)limit);
    ck_assert_msg(failure == NULL || strcmp(failure->rule, "irql") != 0, "%s: %s", limit->routine, failure->text);
}
END_TEST

/* Routines that only run at DISPATCH_LEVEL or above. */
#define MINIMA(X)                                                                                                      \
    X(KeAcquireSpinLockAtDpcLevel, DISPATCH_LEVEL, KeAcquireSpinLockAtDpcLevel(&lock))                                 \
    X(KeReleaseSpinLockFromDpcLevel, DISPATCH_LEVEL, KeReleaseSpinLockFromDpcLevel(&lock))                             \
    X(KeTryToAcquireSpinLockAtDpcLevel, DISPATCH_LEVEL, KeTryToAcquireSpinLockAtDpcLevel(&lock))                       \
    X(KeReleaseSpinLock, DISPATCH_LEVEL, KeReleaseSpinLock(&lock, PASSIVE_LEVEL))                                      \
    X(KeAcquireInStackQueuedSpinLockAtDpcLevel, DISPATCH_LEVEL,                                                        \
      KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &queue_handle))                                                  \
    X(KeReleaseInStackQueuedSpinLock, DISPATCH_LEVEL, KeReleaseInStackQueuedSpinLock(&queue_handle))                   \
    X(ExAcquireSpinLockExclusiveAtDpcLevel, DISPATCH_LEVEL, ExAcquireSpinLockExclusiveAtDpcLevel(&rw_lock))            \
    X(ExReleaseSpinLockShared, DISPATCH_LEVEL, ExReleaseSpinLockShared(&rw_lock, PASSIVE_LEVEL))                       \
    X(KeSignalCallDpcDone, DISPATCH_LEVEL, KeSignalCallDpcDone(NULL))                                                  \
    X(ExReleaseFastMutex, APC_LEVEL, ExReleaseFastMutex(&fast_mutex))

#define DEFINE_LOW_CALL(routine, minimum, call)                                                                        \
    static void low_##routine(void)                                                                                    \
    {                                                                                                                  \
        (void)(call);                                                                                                  \
    }
MINIMA(DEFINE_LOW_CALL)

#define DEFINE_LOW_ENTRY(routine, minimum, call) {#routine, minimum, low_##routine},

static const struct limit minima[] = {MINIMA(DEFINE_LOW_ENTRY)};

static void call_below(void *argument)
{
    const struct limit *limit = argument;
    KIRQL irql;

    KeInitializeSpinLock(&lock);
    ExInitializeFastMutex(&fast_mutex);
    if (limit->maximum > APC_LEVEL)
        KeRaiseIrql(APC_LEVEL, &irql);
    limit->call();
}

START_TEST(test_minimum)
{
    struct machine_config config = guest_config(1);
    const struct limit *limit = &minima[_i];
    const struct failure *failure;

    config.log_level = LOG_NONE;
    failure = guest_must_fail(&config, call_below, (void *)(uintptr_t)limit, "irql");
    ck_assert_msg(strstr(failure->text, limit->routine) != NULL, "%s does not name %s", failure->text, limit->routine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/irql");
    TCase *tcase = tcase_create("raise and lower");

    tcase_add_test(tcase, test_raise_and_lower);
    tcase_add_test(tcase, test_no_thread_at_dispatch);
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("limits");
    tcase_add_loop_test(tcase, test_limit, 0, (int)RTL_NUMBER_OF(limits));
    if (IS_SANITIZED)
        printf(
            "nt/irql: calls at the limit are left out: the sanitizer takes an argument that is nobody's for its own\n");
    else
        tcase_add_loop_test(tcase, test_at_limit, 0, (int)RTL_NUMBER_OF(limits));
    tcase_add_loop_test(tcase, test_minimum, 0, (int)RTL_NUMBER_OF(minima));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
