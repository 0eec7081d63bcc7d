/*
 * For the tests of kernel semantics: threads of a guest that are started and joined, time, and runs over many
 * schedules. Everything but over_schedules() is called in a guest thread.
 */
#ifndef TESTS_NT_HOST_GUEST_THREADS_H
#define TESTS_NT_HOST_GUEST_THREADS_H

#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "nt/ke/ke.h"
#include "nt/nt.h"

#define TEST_TAG ((ULONG)'T' | (ULONG)'e' << 8 | (ULONG)'s' << 16 | (ULONG)'t' << 24)

/* Sanitizers end the program at a wild access, where other builds make a failure of it. */
#ifdef IMAGE_SANITIZED
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* In units of 100 ns. */
#define MILLISECOND 10000LL

static inline LARGE_INTEGER in_ms(LONGLONG milliseconds)
{
    LARGE_INTEGER due = {.QuadPart = -milliseconds * MILLISECOND};

    return due;
}

static inline void sleep_ms(LONGLONG milliseconds)
{
    LARGE_INTEGER interval = in_ms(milliseconds);

    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
}

/* A system thread; the reference that comes back is thread_join()'s. */
static inline PKTHREAD thread_start(PKSTART_ROUTINE routine, PVOID context)
{
    HANDLE handle;
    PVOID thread;

    ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, context),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &thread, NULL),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    return thread;
}

static inline void thread_join(PKTHREAD thread)
{
    ck_assert_int_eq(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ObDereferenceObject(thread);
}

/* Let the current thread run on one processor only. */
static inline void stay_on(unsigned vcpu)
{
    (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << vcpu);
}

/* Whether an event is set, without a wait. */
static inline bool is_set(PKEVENT event)
{
    return KeReadStateEvent(event) != 0;
}

/* Run a guest function under fifo, then under `seeds` seeds of random and of pct. */
static inline void over_schedules(unsigned vcpus, unsigned seeds, void (*function)(void *), void *argument)
{
    struct machine_config config = guest_config(vcpus);

    guest_run_with(&config, function, argument);
    for (unsigned seed = 1; seed <= seeds; seed++) {
        config.seed = seed;
        config.policy = POLICY_PCT;
        guest_run_with(&config, function, argument);
        config.policy = POLICY_RANDOM;
        guest_run_with(&config, function, argument);
    }
}

/* A broken rule on a machine of `vcpus` processors. */
static inline const struct failure *must_break(unsigned vcpus, void (*function)(void *), const char *rule)
{
    struct machine_config config = guest_config(vcpus);

    config.log_level = LOG_NONE;
    return guest_must_fail(&config, function, NULL, rule);
}

#endif
