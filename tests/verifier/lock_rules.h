/*
 * For the tests of the lock rules: the locks, and a table of cases that each break a rule once and are seen with their
 * Windows bugcheck and parameters. A test includes it once and has `broken` and `allowed`.
 */
#ifndef TESTS_VERIFIER_LOCK_RULES_H
#define TESTS_VERIFIER_LOCK_RULES_H

#include <string.h>

#include "../nt-host/guest_threads.h"

#define DV DRIVER_VERIFIER_DETECTED_VIOLATION

static struct {
    KSPIN_LOCK spin[3];
    EX_SPIN_LOCK rw;
    KLOCK_QUEUE_HANDLE handle[2];
    KMUTEX mutex;
    FAST_MUTEX fast[2];
    KGUARDED_MUTEX guarded;
    ERESOURCE resource;
    EX_PUSH_LOCK push;
    EX_RUNDOWN_REF rundown;
    IO_REMOVE_LOCK remove;
    KEVENT event;
    KEVENT other;
    KDPC dpc;
    WORK_QUEUE_ITEM item;
    PKTHREAD thread;
    unsigned taken;
} it;

static inline void prepare(void)
{
    for (int index = 0; index < 3; index++)
        KeInitializeSpinLock(&it.spin[index]);
    ExInitializeSpinLock(&it.rw);
    KeInitializeMutex(&it.mutex, 0);
    ExInitializeFastMutex(&it.fast[0]);
    ExInitializeFastMutex(&it.fast[1]);
    KeInitializeGuardedMutex(&it.guarded);
    ExInitializeResourceLite(&it.resource);
    ExInitializePushLock(&it.push);
    ExInitializeRundownProtection(&it.rundown);
    IoInitializeRemoveLock(&it.remove, TEST_TAG, 0, 0);
    KeInitializeEvent(&it.event, NotificationEvent, FALSE);
    KeInitializeEvent(&it.other, NotificationEvent, FALSE);
}

static inline void run_case(void *argument)
{
    prepare();
    ((void (*)(void))argument)();
}

static inline void must_pass(void (*function)(void))
{
    guest_run(run_case, (void *)(uintptr_t)function);
}

/* In a thread of its own, to its end. */
static inline VOID NTAPI call(PVOID context)
{
    ((void (*)(void))context)();
}

static inline void elsewhere(void (*function)(void))
{
    thread_join(thread_start(call, (PVOID)(uintptr_t)function));
}

/* ---- the tables ---- */

#define ANY UINT64_MAX

struct broken_rule {
    void (*function)(void);
    const char *rule;
    uint32_t code;
    uint64_t parameter[4]; /* ANY: whatever */
};

static inline void breaks_rule_with(const struct machine_config *config, void (*run)(void *),
                                    const struct broken_rule *broken)
{
    const struct failure *failure = guest_must_fail(config, run, (void *)(uintptr_t)broken->function, broken->rule);

    ck_assert_msg(failure->code == broken->code, "%s: bugcheck 0x%X instead of 0x%X: %s", broken->rule, failure->code,
                  broken->code, failure->text);
    for (int index = 0; index < 4; index++)
        ck_assert_msg(broken->parameter[index] == ANY || failure->parameter[index] == broken->parameter[index],
                      "%s: parameter %d is 0x%llx instead of 0x%llx: %s", broken->rule, index + 1,
                      (unsigned long long)failure->parameter[index], (unsigned long long)broken->parameter[index],
                      failure->text);
}

static inline void breaks_rule(const struct broken_rule *broken)
{
    struct machine_config config = guest_config(2);

    breaks_rule_with(&config, run_case, broken);
}

#endif
