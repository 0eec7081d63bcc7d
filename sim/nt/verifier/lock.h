/*
 * Lock rules: who holds which lock, how it was acquired, and in which order locks are acquired.
 *
 * Spin locks of every flavour are held by a vCPU (a thread that holds one cannot leave it), everything that is waited
 * for (mutexes, fast and guarded mutexes, resources, push locks) by a thread. Each has a list of what it holds; an
 * entry knows the lock, the flavour of its acquisition and the caller. An acquisition while something is held adds to
 * the order graph (lock_order.c).
 */
#ifndef NT_VERIFIER_LOCK_H
#define NT_VERIFIER_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lock_kind {
    LOCK_SPIN,       /* KeAcquireSpinLock */
    LOCK_SPIN_DPC,   /* KeAcquireSpinLockAtDpcLevel and the try of it */
    LOCK_QUEUED,     /* KeAcquireInStackQueuedSpinLock */
    LOCK_QUEUED_DPC, /* ... AtDpcLevel */
    LOCK_INTERRUPT,  /* an interrupt object's */
    LOCK_RW_EXCLUSIVE,
    LOCK_RW_EXCLUSIVE_DPC,
    LOCK_RW_SHARED,
    LOCK_RW_SHARED_DPC,
    LOCK_MUTEX, /* from here on a thread's */
    LOCK_FAST_MUTEX,
    LOCK_FAST_MUTEX_UNSAFE,
    LOCK_GUARDED_MUTEX,
    LOCK_RESOURCE, /* exclusive or shared, recursive */
    LOCK_PUSH_EXCLUSIVE,
    LOCK_PUSH_SHARED,
    LOCK_KINDS
};

struct lock_held {
    const void *lock;
    const void *caller;
    const void *handle; /* queued: the KLOCK_QUEUE_HANDLE */
    uint32_t stack;     /* machine/stacks.h; 0: the caller only */
    uint8_t kind;
};

struct lock_list {
    struct lock_held *held;
    unsigned count;
    unsigned base; /* entries below belong to what the running service routine or DPC has interrupted */
    unsigned room; /* entries up to which the fast path may add by itself */
    unsigned capacity;
};

void lock_list_init(struct lock_list *list);
void lock_list_free(struct lock_list *list);

/* lock_add() when there is no room, or when whole stacks are wanted. */
void lock_add_slow(struct lock_list *list, const void *lock, enum lock_kind kind, const void *handle,
                   const void *caller);

/* `list` holds the lock from now on. */
static inline void lock_add(struct lock_list *list, const void *lock, enum lock_kind kind, const void *handle,
                            const void *caller)
{
    if (__builtin_expect(list->count < list->room, 1)) {
        struct lock_held *held = &list->held[list->count++];

        held->lock = lock;
        held->caller = caller;
        held->handle = handle;
        held->stack = 0;
        held->kind = (uint8_t)kind;
    } else {
        lock_add_slow(list, lock, kind, handle, caller);
    }
}

/* lock_remove() when the lock is not the last one acquired, not so, or not held at all: the rules are checked there. */
void lock_remove_slow(struct lock_list *list, const void *lock, enum lock_kind kind, const void *handle,
                      const char *routine);

/* `list` gives the lock back by `routine`, which belongs to `kind`. */
static inline void lock_remove(struct lock_list *list, const void *lock, enum lock_kind kind, const void *handle,
                               const char *routine)
{
    if (__builtin_expect(list->count > list->base, 1)) {
        const struct lock_held *held = &list->held[list->count - 1];

        if (__builtin_expect(held->lock == lock && held->kind == kind && held->handle == handle, 1)) {
            list->count--;
            return;
        }
    }
    lock_remove_slow(list, lock, kind, handle, routine);
}

/* The list's entry of a lock, of a kind from `first` to `last`; NULL if there is none. */
struct lock_held *lock_find(const struct lock_list *list, const void *lock, enum lock_kind first, enum lock_kind last);
/* Remove an entry that lock_find() gave. */
void lock_drop(struct lock_list *list, struct lock_held *held);

/* The same for a thread's list: the current one's, or, of a thread that was given the lock while it waits, that one's.
 */
struct _KTHREAD;
void lock_thread_give(struct _KTHREAD *thread, const void *lock, enum lock_kind kind, const void *caller,
                      uint32_t stack);
void lock_thread_add(const void *lock, enum lock_kind kind, const void *caller);
void lock_thread_remove(const void *lock, enum lock_kind kind, const char *routine);

/*
 * One more lock is about to be waited for: each lock that is held comes before it from now on, and a cycle in that
 * order is a violation, whether or not it has ever led to a deadlock. Cheap when nothing is held.
 */
void lock_order(const void *lock, enum lock_kind kind, const void *caller);

/* ---- rules ---- */

/* `routine` releases a lock that the current thread does not own. */
_Noreturn void lock_report_not_owner(const void *lock, enum lock_kind kind, const char *routine);
/* The current thread wants a lock that it has, so that it would wait for itself. */
_Noreturn void lock_report_self(const void *lock, enum lock_kind kind, const char *routine);

/* A lock is initialised: nobody may hold it; what is known of its order is forgotten. */
void lock_initialised(const void *lock, const char *routine);
/* A KSPIN_LOCK is acquired as a queued (or else as an ordinary) one: it must always be. */
void lock_check_flavour(const void *lock, bool queued, const char *routine);
/* Memory goes: a lock inside that somebody holds is a violation. Ask lock_anything_held() first (lock_state.h). */
void lock_check_freed(const void *start, size_t size);
/* The same memory, when locks of the order graph may lie in it: forget them. */
void lock_forget(const void *start, size_t size);
/* The current thread is about to block, the IRQL to fall below DISPATCH_LEVEL: no spin lock may be held. */
void lock_check_wait(const void *object, const void *timeout, const char *routine);
void lock_check_lower(unsigned irql, const char *routine);
/* A spin lock was released by a routine that goes back to `irql`. */
void lock_check_release_order(const void *released, unsigned irql, const char *routine);
/* The current thread ends. */
void lock_check_exit(void);

/* A thread's count as Windows counts it: one down for each thing that disables normal kernel APCs. */
int lock_apc_disable_count(const struct _KTHREAD *thread);

/* What is held when a driver's routine is called; it must be the same when it returns. */
struct lock_mark {
    unsigned spin;
    unsigned thread;
    int apc_disable_count;
};

struct lock_mark lock_mark(void);
void lock_check_return(struct lock_mark mark, const void *routine, const char *what);

struct lock_callout {
    struct lock_mark mark;
    const void *routine;
    const char *what;
};

static inline struct lock_callout lock_callout_begin(const char *what, const void *routine)
{
    return (struct lock_callout){lock_mark(), routine, what};
}

static inline void lock_callout_end(const struct lock_callout *callout)
{
    lock_check_return(callout->mark, callout->routine, callout->what);
}

/* KERNEL_CALLOUT (machine/kernel_lock.h) of a routine that must return with the locks held that it was called with. */
#define DRIVER_CALLOUT(what, routine, ...)                                                                             \
    __extension__({                                                                                                    \
        __attribute__((cleanup(lock_callout_end), unused)) const struct lock_callout lock_callout_now =                \
            lock_callout_begin((what), (const void *)(uintptr_t)(routine));                                            \
        KERNEL_CALLOUT(routine, ##__VA_ARGS__);                                                                        \
    })

/* ---- for reports ---- */

const char *lock_kind_name(enum lock_kind kind);
/* "spin lock 0x... (the block ..., tag "XVIF")" */
void lock_describe(char *buffer, size_t size, const void *lock, enum lock_kind kind);
/* Add the stack of an acquisition to the coming report: whole if it was kept, else its caller. */
void lock_note_stack(const void *caller, uint32_t stack, const char *title);

struct lock_state;
void lock_init(void);

/* For lists of what is held (debugger views): each entry with its owner's name. */
void lock_walk(void (*visit)(void *context, const char *owner, const struct lock_held *held), void *context);

#endif
