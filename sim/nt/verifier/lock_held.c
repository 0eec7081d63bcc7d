/* Lock rules: the lists of what is held, and what must hold for them. */
#include "nt/verifier/lock.h"

#include <stdio.h>
#include <string.h>

#include "image/loader.h"
#include "machine/guest_ram.h"
#include "nt/verifier/stacks.h"
#include "nt/ke/ke.h"
#include "nt/verifier/lock_state.h"

static const struct {
    const char *name;
    const char *release;
} kinds[LOCK_KINDS] = {
    [LOCK_SPIN] = {"spin lock", "KeReleaseSpinLock"},
    [LOCK_SPIN_DPC] = {"spin lock", "KeReleaseSpinLockFromDpcLevel"},
    [LOCK_QUEUED] = {"queued spin lock", "KeReleaseInStackQueuedSpinLock"},
    [LOCK_QUEUED_DPC] = {"queued spin lock", "KeReleaseInStackQueuedSpinLockFromDpcLevel"},
    [LOCK_INTERRUPT] = {"interrupt spin lock", "KeReleaseInterruptSpinLock"},
    [LOCK_RW_EXCLUSIVE] = {"reader-writer spin lock", "ExReleaseSpinLockExclusive"},
    [LOCK_RW_EXCLUSIVE_DPC] = {"reader-writer spin lock", "ExReleaseSpinLockExclusiveFromDpcLevel"},
    [LOCK_RW_SHARED] = {"reader-writer spin lock", "ExReleaseSpinLockShared"},
    [LOCK_RW_SHARED_DPC] = {"reader-writer spin lock", "ExReleaseSpinLockSharedFromDpcLevel"},
    [LOCK_MUTEX] = {"mutex", "KeReleaseMutex"},
    [LOCK_FAST_MUTEX] = {"fast mutex", "ExReleaseFastMutex"},
    [LOCK_FAST_MUTEX_UNSAFE] = {"fast mutex", "ExReleaseFastMutexUnsafe"},
    [LOCK_GUARDED_MUTEX] = {"guarded mutex", "KeReleaseGuardedMutex"},
    [LOCK_RESOURCE] = {"resource", "ExReleaseResourceLite"},
    [LOCK_PUSH_EXCLUSIVE] = {"push lock", "ExReleasePushLockExclusive"},
    [LOCK_PUSH_SHARED] = {"push lock", "ExReleasePushLockShared"},
};

const char *lock_kind_name(enum lock_kind kind)
{
    return kinds[kind].name;
}

void lock_describe(char *buffer, size_t size, const void *lock, enum lock_kind kind)
{
    char what[256], where[LOADER_DESCRIPTION_MAX];

    if (guest_ram_address(lock) && guest_address_describe(lock, what, sizeof(what)))
        snprintf(buffer, size, "%s %p (%s)", kinds[kind].name, lock, what);
    else if (loader_find(lock) != NULL)
        snprintf(buffer, size, "%s %p (%s)", kinds[kind].name, lock, loader_name(lock, where, sizeof(where)));
    else
        snprintf(buffer, size, "%s %p", kinds[kind].name, lock);
}

void lock_note_stack(const void *caller, uint32_t stack, const char *title)
{
    void *const *frames;
    int count = stacks_frames(stack, &frames);
    void *alone[1] = {(void *)(uintptr_t)caller};

    if (count > 0)
        fail_note_stack(frames, count, "%s", title);
    else
        fail_note_stack(alone, 1, "%s", title);
}

/* ---- lists ---- */

#define FIRST_CAPACITY 8u

void lock_list_init(struct lock_list *list)
{
    memset(list, 0, sizeof(*list));
    list->capacity = FIRST_CAPACITY;
    list->held = image_alloc(FIRST_CAPACITY * sizeof(*list->held));
    list->room = stacks_wanted() ? 0 : list->capacity;
}

void lock_list_free(struct lock_list *list)
{
    image_free(list->held);
    memset(list, 0, sizeof(*list));
}

void lock_add_slow(struct lock_list *list, const void *lock, enum lock_kind kind, const void *handle,
                   const void *caller)
{
    KERNEL_SCOPE();

    if (list->count == list->capacity) {
        list->capacity *= 2;
        list->held = image_realloc(list->held, list->capacity * sizeof(*list->held));
        if (!stacks_wanted())
            list->room = list->capacity;
    }
    list->held[list->count++] = (struct lock_held){
        .lock = lock,
        .caller = caller,
        .handle = handle,
        .stack = stacks_wanted() ? stacks_capture(caller) : 0,
        .kind = (uint8_t)kind,
    };
}

struct lock_held *lock_find(const struct lock_list *list, const void *lock, enum lock_kind first, enum lock_kind last)
{
    for (unsigned index = list->count; index-- > list->base;) {
        struct lock_held *held = &list->held[index];

        if (held->lock == lock && held->kind >= first && held->kind <= last)
            return held;
    }
    return NULL;
}

void lock_drop(struct lock_list *list, struct lock_held *held)
{
    list->count--;
    memmove(held, held + 1, (size_t)(&list->held[list->count] - held) * sizeof(*held));
}

void lock_thread_give(struct _KTHREAD *thread, const void *lock, enum lock_kind kind, const void *caller,
                      uint32_t stack)
{
    lock_add(&thread->locks, lock, kind, NULL, caller);
    thread->locks.held[thread->locks.count - 1].stack = stack;
    machine->lock->threads_hold++;
}

void lock_thread_add(const void *lock, enum lock_kind kind, const void *caller)
{
    lock_add(&ke_thread()->locks, lock, kind, NULL, caller);
    machine->lock->threads_hold++;
}

void lock_thread_remove(const void *lock, enum lock_kind kind, const char *routine)
{
    lock_remove(&ke_thread()->locks, lock, kind, NULL, routine);
    machine->lock->threads_hold--;
}

/* ---- who holds what ---- */

struct search {
    const void *start;
    size_t size;
    const struct lock_held *held;
    const struct _KTHREAD *thread; /* NULL: a vCPU's own */
    char owner[RUNNER_NAME_MAX + 8];
};

static bool search_list(struct search *search, const struct lock_list *list)
{
    for (unsigned index = 0; index < list->count; index++)
        if ((uintptr_t)list->held[index].lock - (uintptr_t)search->start < search->size) {
            search->held = &list->held[index];
            return true;
        }
    return false;
}

/* Under the parallel engine the others' lists change at any time: there only the own one is looked at. */
static bool search_vcpus(struct search *search)
{
    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        const struct vcpu *vcpu = machine->vcpu[index];

        if (engine_is_parallel() && vcpu != ke_vcpu())
            continue;
        if (vcpu->locks.count != 0 && search_list(search, &vcpu->locks)) {
            search->thread = vcpu->current;
            snprintf(search->owner, sizeof(search->owner), "vCPU %u", index);
            return true;
        }
    }
    return false;
}

static bool search_threads(struct search *search)
{
    const LIST_ENTRY *threads = &machine->ke->threads;
    unsigned left = machine->lock->threads_hold; /* entries in the lists that have not been looked at */

    for (PLIST_ENTRY entry = threads->Flink; entry != threads && left != 0; entry = entry->Flink) {
        const struct _KTHREAD *thread = CONTAINING_RECORD(entry, struct _KTHREAD, all_entry);

        left -= thread->locks.count < left ? thread->locks.count : left;
        if (search_list(search, &thread->locks)) {
            search->thread = thread;
            snprintf(search->owner, sizeof(search->owner), "thread %s", thread->name);
            return true;
        }
    }
    return false;
}

void lock_walk(void (*visit)(void *context, const char *owner, const struct lock_held *held), void *context)
{
    const LIST_ENTRY *threads = &machine->ke->threads;

    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        const struct vcpu *vcpu = machine->vcpu[index];

        for (unsigned held = 0; held < vcpu->locks.count; held++)
            visit(context, vcpu->runner.name, &vcpu->locks.held[held]);
    }
    for (PLIST_ENTRY entry = threads->Flink; entry != threads; entry = entry->Flink) {
        const struct _KTHREAD *thread = CONTAINING_RECORD(entry, struct _KTHREAD, all_entry);

        for (unsigned held = 0; held < thread->locks.count; held++)
            visit(context, thread->name, &thread->locks.held[held]);
    }
}

static void note_acquisition(const struct lock_held *held)
{
    lock_note_stack(held->caller, held->stack, "it was acquired here:");
}

/* ---- releasing ---- */

_Noreturn static void report_mismatch(const struct lock_held *held, const char *routine)
{
    char what[384];

    lock_describe(what, sizeof(what), held->lock, held->kind);
    note_acquisition(held);
    nt_violation_sub("lock-release-mismatch", (uintptr_t)held->lock, 0, 0,
                     "%s of the %s, whose acquisition asks for %s", routine, what, kinds[held->kind].release);
}

_Noreturn static void report_handle(const struct lock_list *list, const void *lock, const void *handle,
                                    const char *routine)
{
    static const char rule[] = "the handle of a queued spin lock is released once, by whom it was acquired with";

    for (unsigned index = list->count; index-- > list->base;) {
        const struct lock_held *held = &list->held[index];

        if (held->lock != lock)
            continue;
        note_acquisition(held);
        nt_violation_sub("queued-lock-handle", (uintptr_t)rule, 0, 0,
                         "%s with the handle %p for the spin lock %p, which was acquired with the handle %p", routine,
                         handle, lock, held->handle);
    }
    nt_violation_sub("queued-lock-handle", (uintptr_t)rule, 0, 0,
                     "%s with the handle %p, which holds no lock: it was released before or never acquired one "
                     "(its lock is %p)",
                     routine, handle, lock);
}

_Noreturn void lock_report_not_owner(const void *lock, enum lock_kind kind, const char *routine)
{
    struct search search = {.start = lock, .size = 1};
    uint64_t parameter[4] = {0x1007, (uintptr_t)lock, 0, 0};
    char what[384];

    lock_describe(what, sizeof(what), lock, kind);
    snprintf(search.owner, sizeof(search.owner), "nobody");
    if (search_threads(&search)) {
        parameter[0] = 0x1004;
        parameter[2] = (uintptr_t)search.thread;
        parameter[3] = (uintptr_t)ke_thread();
        note_acquisition(search.held);
    }
    if (kind == LOCK_PUSH_EXCLUSIVE || kind == LOCK_PUSH_SHARED)
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "push-lock-release",
                          "%s of the %s by thread %s, but %s owns it", routine, what, ke_thread()->name, search.owner);
    nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "mutex-not-owner",
                      "%s of the %s by thread %s, but %s owns it", routine, what, ke_thread()->name, search.owner);
}

_Noreturn void lock_report_self(const void *lock, enum lock_kind kind, const char *routine)
{
    const struct lock_held *held = lock_find(&ke_thread()->locks, lock, LOCK_MUTEX, LOCK_KINDS - 1);
    char what[384], text[512];

    lock_describe(what, sizeof(what), lock, kind);
    snprintf(text, sizeof(text), "%s of the %s: thread %s owns it and would wait for itself", routine, what,
             ke_thread()->name);
    if (held != NULL)
        note_acquisition(held);
    if (kind == LOCK_PUSH_EXCLUSIVE || kind == LOCK_PUSH_SHARED)
        nt_violation_sub("push-lock-recursive", (uintptr_t)lock, 0, 0, "%s", text);
    if (kind == LOCK_RESOURCE)
        nt_violation_sub("resource-deadlock", (uintptr_t)lock, 0, 0, "%s", text);
    nt_violation_sub("mutex-recursive", (uintptr_t)lock, 0, 0, "%s", text);
}

_Noreturn static void report_spin_not_owner(const void *lock, enum lock_kind kind, const char *routine)
{
    const uint64_t parameter[4] = {(uintptr_t)lock, 0, 0, 0};
    struct search search = {.start = lock, .size = 1};
    char what[384];

    lock_describe(what, sizeof(what), lock, kind);
    if (search_vcpus(&search)) {
        note_acquisition(search.held);
        nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner",
                          "%s of the %s by vCPU %u, but %s holds it", routine, what, ke_vcpu()->index, search.owner);
    }
    nt_violation_code(SPIN_LOCK_NOT_OWNED, parameter, "spinlock-not-owner", "%s of the %s, which nobody holds", routine,
                      what);
}

void lock_remove_slow(struct lock_list *list, const void *lock, enum lock_kind kind, const void *handle,
                      const char *routine)
{
    enum lock_kind first = kind < LOCK_MUTEX ? LOCK_SPIN : LOCK_MUTEX;
    enum lock_kind last = kind < LOCK_MUTEX ? LOCK_MUTEX - 1 : LOCK_KINDS - 1;
    struct lock_held *held = NULL;

    /* A reader may hold a lock shared more than once over different flavours: the same one first. */
    for (unsigned index = list->count; index-- > list->base && held == NULL;)
        if (list->held[index].lock == lock && list->held[index].kind == kind && list->held[index].handle == handle)
            held = &list->held[index];
    if (held != NULL) {
        lock_drop(list, held);
        return;
    }
    held = lock_find(list, lock, first, last);
    if (handle != NULL && (held == NULL || held->handle != NULL))
        report_handle(list, lock, handle, routine);
    if (held != NULL)
        report_mismatch(held, routine);
    if (kind < LOCK_MUTEX)
        report_spin_not_owner(lock, kind, routine);
    lock_report_not_owner(lock, kind, routine);
}

/* ---- initialising, freeing ---- */

void lock_initialised(const void *lock, const char *routine)
{
    struct search search = {.start = lock, .size = 1};
    KERNEL_SCOPE();

    lock_forget(lock, 1);
    if (ke_vcpu() == NULL || (!search_vcpus(&search) && !search_threads(&search)))
        return;
    note_acquisition(search.held);
    nt_violation_sub("lock-initialised-held", (uintptr_t)lock, 0, 0, "%s(%p): %s holds this %s", routine, lock,
                     search.owner, kinds[search.held->kind].name);
}

void lock_check_freed(const void *start, size_t size)
{
    struct search search = {.start = start, .size = size};
    char what[384];

    if (!search_vcpus(&search) && !search_threads(&search))
        return;
    lock_describe(what, sizeof(what), search.held->lock, search.held->kind);
    note_acquisition(search.held);
    nt_violation_sub("lock-freed-held", (uintptr_t)search.held->lock, (uintptr_t)search.thread, 0,
                     "the memory at %p, %zu bytes, is freed while %s holds the %s inside", start, size, search.owner,
                     what);
}

/* ---- waiting, lowering, returning, ending ---- */

static const struct lock_held *last_spin_lock(const struct vcpu *vcpu)
{
    return vcpu->locks.count > vcpu->locks.base ? &vcpu->locks.held[vcpu->locks.count - 1] : NULL;
}

void lock_check_wait(const void *object, const void *timeout, const char *routine)
{
    const struct vcpu *vcpu = ke_vcpu();
    const struct lock_held *held = last_spin_lock(vcpu);
    char what[384];

    if (held == NULL)
        return;
    const uint64_t parameter[4] = {timeout == NULL ? 0x121 : 0x122, (uintptr_t)&vcpu->irql, (uintptr_t)object,
                                   (uintptr_t)timeout};
    lock_describe(what, sizeof(what), held->lock, held->kind);
    note_acquisition(held);
    nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "spinlock-held-at-wait",
                      "%s would wait while the vCPU holds the %s", routine, what);
}

void lock_check_lower(unsigned irql, const char *routine)
{
    const struct vcpu *vcpu = ke_vcpu();
    const struct lock_held *held = irql < DISPATCH_LEVEL ? last_spin_lock(vcpu) : NULL;
    char what[384];

    if (held == NULL)
        return;
    lock_describe(what, sizeof(what), held->lock, held->kind);
    note_acquisition(held);
    nt_violation_sub("spinlock-held-at-lower", vcpu->irql, irql, 0,
                     "%s lowers the IRQL from %u to %u while the vCPU holds the %s", routine, vcpu->irql, irql, what);
}

void lock_check_release_order(const void *released, unsigned irql, const char *routine)
{
    const struct lock_held *held = irql < DISPATCH_LEVEL ? last_spin_lock(ke_vcpu()) : NULL;
    char what[384];

    if (held == NULL)
        return;
    lock_describe(what, sizeof(what), held->lock, held->kind);
    note_acquisition(held);
    nt_violation_sub("lock-release-order", (uintptr_t)released, (uintptr_t)held->lock, 0,
                     "%s(%p) goes back to IRQL %u while the vCPU holds the %s, which must be released first", routine,
                     released, irql, what);
}

int lock_apc_disable_count(const struct _KTHREAD *thread)
{
    return -(int)thread->critical_region - (int)thread->mutex_regions;
}

struct lock_mark lock_mark(void)
{
    const struct vcpu *vcpu = ke_vcpu();

    return (struct lock_mark){vcpu->locks.count, vcpu->current->locks.count, lock_apc_disable_count(vcpu->current)};
}

void lock_check_return(struct lock_mark mark, const void *routine, const char *what)
{
    static const char rule[] = "a routine returns with the spin locks held that were held when it was called";
    const struct vcpu *vcpu = ke_vcpu();
    const struct lock_list *locks = &vcpu->locks;
    const struct lock_list *waited = &vcpu->current->locks;
    bool spin = locks->count != mark.spin;
    const uint64_t spin_parameter[4] = {0x00040009, (uintptr_t)rule, 0, 0};
    const uint64_t thread_parameter[4] = {0xC5, (uintptr_t)routine,
                                          (uint64_t)(int64_t)lock_apc_disable_count(vcpu->current),
                                          (uint64_t)(int64_t)mark.apc_disable_count};
    const uint64_t *parameter = spin ? spin_parameter : thread_parameter;
    char where[LOADER_DESCRIPTION_MAX], lock[384];

    if (!spin && waited->count == mark.thread)
        return;
    loader_name(routine, where, sizeof(where));
    if (locks->count < mark.spin || waited->count < mark.thread)
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "lock-held-at-return",
                          "the %s %s released a lock that its caller had acquired", what, where);
    const struct lock_held *held = spin ? &locks->held[locks->count - 1] : &waited->held[waited->count - 1];
    lock_describe(lock, sizeof(lock), held->lock, held->kind);
    note_acquisition(held);
    nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "lock-held-at-return",
                      "the %s %s returned with the %s held", what, where, lock);
}

void lock_check_exit(void)
{
    const struct _KTHREAD *thread = ke_thread();
    char what[384];

    if (thread->locks.count == 0)
        return;
    const struct lock_held *held = &thread->locks.held[thread->locks.count - 1];
    lock_describe(what, sizeof(what), held->lock, held->kind);
    note_acquisition(held);
    nt_violation_sub("lock-held-at-exit", (uintptr_t)thread, (uintptr_t)held->lock, 0,
                     "thread %s ends while it holds the %s", thread->name, what);
}
