/*
 * Processors that come while the system runs: the pages of KeRegisterProcessorChangeCallback, of its callback, and of
 * KeQueryActiveProcessorCountEx and KeQueryMaximumProcessorCountEx.
 */
#include <string.h>

#include "common/guest.h"
#include "nt/ke/ke.h"

#define START 2u
#define ALL 4u

struct heard {
    KE_PROCESSOR_CHANGE_NOTIFY_STATE state;
    ULONG index;
    NTSTATUS status;
    ULONG active; /* at that moment */
    char who;
};

static struct heard heard[32];
static unsigned count;
static ULONG refused; /* a processor */

static VOID NTAPI changed(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status)
{
    char who = *(const char *)context;

    ck_assert_int_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ck_assert_uint_lt(count, sizeof(heard) / sizeof(heard[0]));
    ck_assert_uint_eq(change->ProcNumber.Number, change->NtNumber);
    heard[count++] = (struct heard){.state = change->State,
                                    .index = change->NtNumber,
                                    .status = change->Status,
                                    .active = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS),
                                    .who = who};
    if (who == 'b' && change->State == KeProcessorAddStartNotify && change->NtNumber == refused)
        *status = STATUS_INSUFFICIENT_RESOURCES;
}

static void sleep_a_moment(void)
{
    LARGE_INTEGER moment = {.QuadPart = -1000};

    (void)KeDelayExecutionThread(KernelMode, FALSE, &moment);
}

static void announce(unsigned processors)
{
    ke_processors_announce(processors);
    while (!ke_processors_settled())
        sleep_a_moment();
}

static void assert_heard(unsigned at, char who, KE_PROCESSOR_CHANGE_NOTIFY_STATE state, ULONG index, ULONG active)
{
    ck_assert_uint_lt(at, count);
    ck_assert_msg(heard[at].who == who && heard[at].state == state && heard[at].index == index &&
                      heard[at].active == active,
                  "%u: %c heard of state %d of processor %lu with %lu active", at, heard[at].who, heard[at].state,
                  (unsigned long)heard[at].index, (unsigned long)heard[at].active);
}

static ULONG processor_of_thread(ULONG index)
{
    GROUP_AFFINITY affinity = {.Mask = (KAFFINITY)1 << index}, previous;
    ULONG here;

    KeSetSystemGroupAffinityThread(&affinity, &previous);
    here = KeGetCurrentProcessorNumberEx(NULL);
    KeRevertToUserGroupAffinityThread(&previous);
    return here;
}

static volatile LONG visits;

static ULONG_PTR NTAPI visit(ULONG_PTR mask)
{
    InterlockedOr((volatile LONG *)mask, 1 << KeGetCurrentProcessorNumberEx(NULL));
    InterlockedIncrement(&visits);
    return 0;
}

static void added(void *unused)
{
    static char a = 'a', b = 'b';
    volatile LONG mask = 0;
    PROCESSOR_NUMBER number;
    KAFFINITY active;
    PVOID first = KeRegisterProcessorChangeCallback(changed, &a, 0);
    PVOID second = KeRegisterProcessorChangeCallback(changed, &b, 0);

    (void)unused;
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), START);
    ck_assert_uint_eq(KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS), ALL);
    ck_assert_uint_eq(KeQueryMaximumProcessorCount(), ALL);
    ck_assert_int_eq(KeGetProcessorNumberFromIndex(START, &number), STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(KeIpiGenericCall(visit, (ULONG_PTR)&mask), 0);
    ck_assert_int_eq(mask, 3);

    refused = ALL;
    announce(START + 1);
    ck_assert_uint_eq(count, 4);
    assert_heard(0, 'a', KeProcessorAddStartNotify, 2, 2);
    assert_heard(1, 'b', KeProcessorAddStartNotify, 2, 2);
    assert_heard(2, 'a', KeProcessorAddCompleteNotify, 2, 3);
    assert_heard(3, 'b', KeProcessorAddCompleteNotify, 2, 3);
    ck_assert_uint_eq(KeQueryActiveProcessorCount(&active), 3);
    ck_assert_uint_eq(active, 7);
    ck_assert_uint_eq(KeQueryActiveProcessors(), 7);
    ck_assert_int_eq(KeGetProcessorNumberFromIndex(2, &number), STATUS_SUCCESS);
    ck_assert_uint_eq(processor_of_thread(2), 2);
    mask = 0;
    visits = 0;
    (void)KeIpiGenericCall(visit, (ULONG_PTR)&mask);
    ck_assert_int_eq(mask, 7);
    ck_assert_int_eq(visits, 3);

    /* One driver that refuses is enough, and all hear of that. */
    count = 0;
    refused = 3;
    announce(ALL);
    ck_assert_uint_eq(count, 4);
    assert_heard(0, 'a', KeProcessorAddStartNotify, 3, 3);
    assert_heard(1, 'b', KeProcessorAddStartNotify, 3, 3);
    assert_heard(2, 'a', KeProcessorAddFailureNotify, 3, 3);
    assert_heard(3, 'b', KeProcessorAddFailureNotify, 3, 3);
    ck_assert_int_eq(heard[2].status, STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_uint_eq(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), 3);

    KeDeregisterProcessorChangeCallback(second);
    count = 0;
    announce(ALL);
    ck_assert_uint_eq(count, 2);
    assert_heard(1, 'a', KeProcessorAddCompleteNotify, 3, 4);
    announce(START); /* none goes */
    ck_assert_uint_eq(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), ALL);
    KeDeregisterProcessorChangeCallback(first);

    /* Those that exist, the new ones included. */
    count = 0;
    first = KeRegisterProcessorChangeCallback(changed, &a, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    ck_assert_ptr_nonnull(first);
    ck_assert_uint_eq(count, 2 * ALL);
    KeDeregisterProcessorChangeCallback(first);
}

/* Threads that may run anywhere get to the new ones, busy as the old ones are. */
static volatile LONG seen;
static volatile LONG over;

static VOID NTAPI worker(PVOID unused)
{
    (void)unused;
    while (!over) {
        InterlockedOr(&seen, 1 << KeGetCurrentProcessorNumberEx(NULL));
        YieldProcessor();
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static void spread(void *unused)
{
    PVOID thread[6];

    (void)unused;
    seen = 0;
    over = 0;
    for (unsigned i = 0; i < 6; i++) {
        HANDLE handle;

        ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, worker, NULL),
                         STATUS_SUCCESS);
        ck_assert_int_eq(ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &thread[i], NULL),
                         STATUS_SUCCESS);
        ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    }
    for (unsigned i = 0; i < 100; i++)
        sleep_a_moment();
    ck_assert_int_eq(seen, 3);
    announce(ALL);
    for (unsigned i = 0; i < 10000 && seen != 15; i++)
        sleep_a_moment();
    ck_assert_int_eq(seen, 15);
    over = 1;
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_int_eq(KeWaitForSingleObject(thread[i], Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        ObDereferenceObject(thread[i]);
    }
}

static void run(enum machine_policy policy, void (*function)(void *))
{
    struct machine_config config = guest_config(ALL);

    config.start_vcpus = START;
    config.policy = policy;
    count = 0;
    guest_run_with(&config, function, NULL);
}

START_TEST(processors_are_added)
{
    run(POLICY_FIFO, added);
    run(POLICY_RANDOM, added);
}
END_TEST

START_TEST(threads_spread)
{
    run(POLICY_FIFO, spread);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("processor addition");
    TCase *tcase = tcase_create("processor addition");

    tcase_add_test(tcase, processors_are_added);
    tcase_add_test(tcase, threads_spread);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
