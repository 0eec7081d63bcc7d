/*
 * The kernel core inside the simulator: vCPUs with their IRQL, threads, DPC and interrupt delivery, waits.
 * Drivers see only the routines of <ntddk.h>.
 */
#ifndef NT_KE_H
#define NT_KE_H

#include "machine/delay.h"
#include "machine/fiber.h"
#include "machine/parallel.h"
#include "machine/point.h"
#include "machine/policy.h"
#include "machine/runner.h"
#include "image/loader.h"
#include "machine/vcpu.h"
#include "nt/mm/mm.h"
#include "nt/nt.h"
#include "nt/verifier/lock.h"

/* What a thread waits for inside a kernel component that has locks of its own, for reports of a machine that hangs. */
struct ke_wait_note {
    const char *kind; /* "fast mutex" */
    const void *object;
    void (*describe)(FILE *out, const void *object); /* who owns it: " owned by ..."; NULL if nobody can */
};

enum thread_state { THREAD_READY, THREAD_RUNNING, THREAD_WAITING, THREAD_TERMINATED };

/* The object behind PKTHREAD / PETHREAD. Allocated as an object of ob/. */
struct _KTHREAD {
    DISPATCHER_HEADER Header; /* signalled when the thread has ended */
    struct fiber fiber;
    unsigned id; /* from 1, in order of creation; the thread ID is id * 4 */
    enum thread_state state;
    KPRIORITY priority;
    KIRQL irql; /* at which it goes on */
    int vcpu;   /* where it runs or ran last */
    uint64_t affinity[MACHINE_MAX_VCPUS / 64];
    LIST_ENTRY ready_entry; /* in ke_state.ready[priority] */
    LIST_ENTRY all_entry;
    uint64_t quantum_end;
    bool of_kernel;       /* of the processor or of a work queue, comes and goes as the kernel likes: no leak */
    bool in_threaded_dpc; /* runs the routine of one: may not wait */

    /* the wait in progress */
    const struct ke_wait_note *wait_note; /* NULL: the objects say it all */
    PKWAIT_BLOCK wait_blocks;
    ULONG wait_count;
    WAIT_TYPE wait_type;
    BOOLEAN wait_alertable;
    KPROCESSOR_MODE wait_mode;
    NTSTATUS wait_status;
    KWAIT_REASON wait_reason;
    const void *wait_caller;
    uint32_t wait_stack; /* machine/stacks.h */
    struct deadline wait_deadline;
    KWAIT_BLOCK builtin_blocks[THREAD_WAIT_OBJECTS];

    LIST_ENTRY mutants;     /* owned KMUTANTs */
    struct lock_list locks; /* mutexes, resources and push locks that it holds */

    /* APCs (apc.c) */
    LIST_ENTRY apcs[2]; /* KAPC.ApcListEntry by mode; in KernelMode the special ones first */
    bool apc_queueable;
    bool normal_apc_active;
    bool alerted[2];          /* by mode */
    unsigned critical_region; /* KeEnterCriticalRegion: no normal kernel APC */
    unsigned mutex_regions;   /* the same, through the mutexes that it owns */
    unsigned guarded_region;  /* KeEnterGuardedRegion: no APC */
    LIST_ENTRY irps;          /* IRP.ThreadListEntry of requests that complete through an APC (nt/io) */

    PKSTART_ROUTINE start_routine;
    void (*host_routine)(void *); /* instead of start_routine: code of the simulator */
    PVOID start_context;
    NTSTATUS exit_status;
    char name[RUNNER_NAME_MAX];
};

struct vcpu {
    struct runner runner;
    unsigned index;
    KIRQL irql;
    bool interrupts_off;
    struct _KTHREAD *current;
    struct _KTHREAD *idle;
    bool attention;      /* something may be deliverable: pending vector, DPC, timer, preemption */
    uint64_t pending[4]; /* interrupt vectors */
    bool nmi_pending;
    SINGLE_LIST_ENTRY dpc_queue; /* through KDPC.DpcListEntry */
    PSINGLE_LIST_ENTRY dpc_last;
    unsigned dpc_depth; /* DPCs queued, threaded ones included */
    bool dpc_held;      /* the queue is not looked at until dpc_hold */
    struct deadline dpc_hold;
    uint64_t late[4]; /* vectors that become pending at late_until */
    struct deadline late_until;
    /* Threaded DPCs (threaded_dpc.c): their queue, their thread and what it waits for. */
    SINGLE_LIST_ENTRY threaded_queue;
    PSINGLE_LIST_ENTRY threaded_last;
    struct _KTHREAD *threaded_thread; /* NULL until the first one is initialised */
    bool threaded_waiting;            /* the thread has to be told of what is queued */
    bool threaded_active;
    KEVENT threaded_event;
    bool dpc_active;
    bool timer_expired; /* the clock interrupt has seen due timers */
    bool preempt;
    bool suspended; /* inside vcpu_suspend_current() */
    struct fiber dpc_fiber;
    struct fiber *dpc_return;
    PKDPC running_dpc;
    const void *dpc_routine; /* its routine: the KDPC may be gone */
    unsigned isr_depth;
    uint8_t isr_vector;      /* the innermost one in service */
    struct lock_list locks;  /* spin locks that it holds */
    const void *irql_raiser; /* who raised the IRQL last, for reports */
    uint64_t dpcs, interrupts;
    uint64_t spin_acquisitions; /* of spin locks, by drivers; only the vCPU itself counts */
    uint64_t processor_calls;   /* of other processors, by this one; likewise */
    uint64_t isr_since; /* clock when the service routine that runs now, the outermost, began; the same of the */
    uint64_t dpc_since; /* DPC, and of the time at DISPATCH_LEVEL and above (0: below) */
    uint64_t dispatch_since;
};

/* Everything of ke that is not a vCPU's or a thread's. */
struct ke_state {
    unsigned processors; /* active: the first of machine->vcpu */
    unsigned announced;  /* that the board has; the rest is being added */
    bool adding;         /* a thread is at that */
    const struct _KTHREAD *adder;
    LIST_ENTRY ready[32]; /* threads that wait for a processor, by priority */
    uint32_t ready_mask;
    LIST_ENTRY threads; /* all, in order of creation */
    unsigned threads_created;
    struct _KTHREAD *dead; /* has left its stack for good; freed by whoever runs next */
    LIST_ENTRY timers;     /* KTIMER.TimerListEntry by due time */
    struct deadline timer_deadline;
    uint64_t timer_expiries;
    unsigned spinning;             /* vCPUs that wait for a spin lock */
    bool sleeper_fences;           /* the parallel engine's: a release of a spin lock needs no fence */
    struct spin_waiter *spin_line; /* who waits for a queued spin lock, in the order of coming */
    uint8_t line_vector[48];
    bool line_level[48];
    struct ke_ipi *ipi;               /* the generic call in progress */
    const struct vcpu *bugcheck_vcpu; /* the machine has died there, at this IRQL */
    KIRQL bugcheck_irql;
    const void *bugcheck_callback; /* the callback that runs, and its record's State */
    UCHAR *bugcheck_callback_state;
    LIST_ENTRY bugcheck_callbacks;
    LIST_ENTRY bugcheck_reason_callbacks;
    LIST_ENTRY processor_callbacks;
    uint64_t spurious_interrupts;
    enum { THREADED_DPCS_UNKNOWN, THREADED_DPCS_ON, THREADED_DPCS_OFF } threaded_dpcs;
};

static inline unsigned ke_processors(void)
{
    return machine->ke->processors;
}
/*
 * processor_add.c. The board has got so many processors in all (ACPI's notification): the system adds those that it
 * does not have yet, one after the other, in a thread of its own. From a task, or a guest thread.
 */
void ke_processors_announce(unsigned count);
/* The system has dealt with what was announced. */
bool ke_processors_settled(void);

struct vcpu *ke_vcpu(void); /* the current one; NULL in a task or on the host's stack */
/* The same, for routines that no fiber enters on one host thread and leaves on another. */
static inline struct vcpu *ke_vcpu_here(void)
{
    if (!engine_is_parallel())
        return ke_vcpu();
    return parallel_here != NULL && parallel_here->is_vcpu ? CONTAINING_RECORD(parallel_here, struct vcpu, runner)
                                                           : NULL;
}

/* Of runner.work, under the parallel engine: bit n: something pending that an IRQL below n admits. */
#define WORK_STOP (1u << 31)
#define WORK_NMI (1u << 30)

static inline bool ke_work_admitted(const struct vcpu *vcpu)
{
    uint32_t work = __atomic_load_n(&vcpu->runner.work, __ATOMIC_RELAXED);

    return __builtin_expect(work != 0, false) &&
           ((work >> (vcpu->irql + 1) != 0 && !vcpu->interrupts_off) || (work & (WORK_STOP | WORK_NMI)) != 0);
}

/*
 * Under the parallel engine the current vCPU, if it is outside the kernel and a switch point is nothing to it, so that
 * a routine which touches nothing else may go its short way; NULL otherwise.
 */
static inline struct vcpu *ke_vcpu_outside(void)
{
    struct runner *runner = parallel_outside;
    struct vcpu *vcpu = CONTAINING_RECORD(runner, struct vcpu, runner);

    return runner != NULL && !ke_work_admitted(vcpu) ? vcpu : NULL;
}

/* sched_point() of what drivers call most, not for POINT_PAUSE: nothing comes of it outside the kernel mostly. */
static inline void ke_light_point(enum sched_point kind)
{
    if (ke_vcpu_outside() == NULL)
        sched_point(kind);
}

struct _KTHREAD *ke_thread(void); /* the current thread, NULL likewise */

/* IRQL without the switch point and checks of the public routines, for use inside the kernel. */
KIRQL ke_irql(void);
/* After every change of a vCPU's IRQL, the machine's own included. */
static inline void ke_irql_changed(const struct vcpu *vcpu)
{
    if (__builtin_expect(machine->config.paged_strict, false) && vcpu->irql >= DISPATCH_LEVEL)
        mm_paged_hide();
}
void ke_set_irql(KIRQL irql); /* raise or lower; lowering delivers what became deliverable */
/* Lower the IRQL of what ke_vcpu_outside() gave. */
static inline void ke_lower_outside(struct vcpu *vcpu, KIRQL irql)
{
    if (__builtin_expect(__atomic_load_n(&vcpu->runner.work, __ATOMIC_RELAXED) == 0, true)) {
        vcpu->irql = irql;
        ke_irql_changed(vcpu);
    } else {
        ke_set_irql(irql);
    }
}

/* Threads of the simulator's own code (boot, harness): run `routine` at PASSIVE_LEVEL. Not a handle, one reference
 * owned by the caller. */
struct _KTHREAD *ke_thread_create_host(const char *name, void (*routine)(void *), void *argument);
struct _KTHREAD *ke_thread_create(const char *name, PKSTART_ROUTINE start, void (*host)(void *), PVOID context,
                                  KPRIORITY priority);
void ke_thread_set_priority(struct _KTHREAD *thread, KPRIORITY priority);
void ke_thread_bind(struct _KTHREAD *thread, unsigned vcpu); /* it runs on this vCPU only */
_Noreturn void ke_thread_exit(NTSTATUS status);

/*
 * Interrupts: ke calls this on the vCPU with its IRQL raised to vector >> 4 (hal/io dispatches to the connected service
 * routines). False: nobody has the vector connected (counted and logged).
 */
bool hal_interrupt(unsigned vcpu, uint8_t vector);
/* After a line's service routines are done: sample the line again (level-triggered). Implemented by ke. */
void ke_line_end_of_interrupt(uint8_t vector);

#define KE_VECTOR_CLOCK 0xD1
#define KE_VECTOR_IPI 0xE1

/* Spin locks at raised IRQL without the checks of the public routines (interrupt locks, kernel components). */
void ke_spin_acquire(PKSPIN_LOCK lock);
void ke_spin_release(PKSPIN_LOCK lock);
/* Acquisitions of spin locks by drivers so far, on all vCPUs. */
uint64_t ke_spin_acquisitions(void);
/*
 * Times that a processor had another one look at something so far, on all vCPUs: a DPC or an APC for it, a thread that
 * may run there, a generic call. On Windows each is an inter-processor interrupt.
 */
uint64_t ke_processor_calls(void);
/* The parallel engine's: what the host has for them is found out once. */
void ke_parallel_spin_init(void);
/* Compare and exchange, outside the kernel unless there is somebody to wait for or to wake. */
void ke_parallel_spin_acquire(PKSPIN_LOCK lock);
void ke_parallel_spin_release(PKSPIN_LOCK lock);
bool ke_parallel_spin_try(PKSPIN_LOCK lock);
/* Of who waits for a spin lock, between saying so and the last look at it. */
void ke_parallel_spin_fence(void);
void ke_spin_check(const KSPIN_LOCK *lock, KSPIN_LOCK value);
_Noreturn void ke_spin_recursive(const KSPIN_LOCK *lock);
_Noreturn void ke_spin_not_owner(const KSPIN_LOCK *lock, KSPIN_LOCK value);
/*
 * For locks of other kinds: the current vCPU, at DISPATCH_LEVEL or above, spins until ke_spin_wake() is called with the
 * same address (or an interrupt has come: look at the lock again).
 */
void ke_spin_wait(const void *lock);
/*
 * The same, unless `over` says that the wait is over, which it is asked, in the kernel, after the vCPU is counted as
 * one that spins: who releases looks at the count after the release, so one of the two sees the other.
 */
void ke_spin_wait_unless(const void *lock, bool (*over)(const void *argument), const void *argument);
void ke_spin_wake(const void *lock);

/* Lets go of a lock that is held, and wakes whoever sleeps for it. */
static inline void ke_parallel_spin_free(PKSPIN_LOCK lock)
{
    if (__builtin_expect(machine->ke->sleeper_fences, true)) {
        __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } else {
        __atomic_exchange_n(lock, 0, __ATOMIC_SEQ_CST);
    }
    if (__builtin_expect(__atomic_load_n(&machine->ke->spinning, __ATOMIC_RELAXED) != 0, false)) {
        KERNEL_SCOPE();

        ke_spin_wake(lock);
    }
}

/* ---- time limits (limits.c) ---- */

/* At a switch point of the vCPU: bugcheck DPC_WATCHDOG_VIOLATION if it has been at raised IRQL for too long. */
void ke_limits_look(struct vcpu *vcpu);
/* The machine stood still, its clock did not: count anew. */
void ke_limits_restart(void);
/* The vector comes again and again, and nothing else does. Implemented by io. */
_Noreturn void hal_interrupt_storm(unsigned vcpu, uint8_t vector, unsigned count);

static inline void ke_limits_check(struct vcpu *vcpu)
{
    if (vcpu->irql < DISPATCH_LEVEL)
        vcpu->dispatch_since = 0;
    else
        ke_limits_look(vcpu);
}

/* Before this time no limit is reached by the vCPU, whatever it does meanwhile. */
uint64_t ke_limits_next(const struct vcpu *vcpu);

/* ---- switch points without the scheduler (machine/point.h) ---- */

/* The current vCPU, if its switch points can be over here; NULL otherwise. */
static inline struct vcpu *ke_vcpu_quiet(void)
{
    const struct point *point = point_state();

    return point->limit != 0 ? CONTAINING_RECORD(point->current, struct vcpu, runner) : NULL;
}

/* point_passes() for what ke_vcpu_quiet() gave. */
static inline bool ke_point_passes(struct vcpu *vcpu, enum sched_point kind)
{
    if (!point_passes(point_state(), kind))
        return false;
    if (vcpu->irql < DISPATCH_LEVEL)
        vcpu->dispatch_since = 0;
    else if (vcpu->dispatch_since == 0)
        vcpu->dispatch_since = point_state()->now;
    return true;
}

/* A violation if the fiber has come within a KiB of the end of its stack. `kind` and `name` say whose it is. */
void ke_check_stack(const struct fiber *fiber, const char *kind, const char *name);

/* ---- between the files of ke ---- */
void ke_ready(struct _KTHREAD *thread, KPRIORITY increment); /* no switch happens here */
void ke_thread_wait(struct _KTHREAD *thread); /* the current thread is WAITING: run others until it is ready */
void ke_preempt(void);                        /* let a thread that deserves the processor more have it */
void ke_yield_to_affinity(void);              /* the current thread may not stay on this vCPU */
void ke_vcpu_attend(struct vcpu *vcpu);       /* something came up for it: have it look */
void ke_timers_expire(struct vcpu *vcpu);
void ke_dpc_queue(struct vcpu *vcpu, PKDPC dpc);
PKDPC ke_dpc_pop(struct vcpu *vcpu, bool threaded);
bool ke_threaded_dpcs(void);                   /* whether the system runs them in threads */
void ke_threaded_dpcs_start(void);             /* one was initialised: have the threads */
void ke_threaded_dpcs_add(struct vcpu *vcpu);  /* a processor has come */
void ke_threaded_dpcs_tell(struct vcpu *vcpu); /* wake the thread; at DISPATCH_LEVEL on the vCPU */
void ke_ipi_deliver(struct vcpu *vcpu);
void ke_reap(void);
bool ke_affinity_allows(const struct _KTHREAD *thread, unsigned vcpu);
void ke_abandon_mutants(struct _KTHREAD *thread);
void ke_wait_abort(struct _KTHREAD *thread, NTSTATUS status); /* the thread is WAITING: end its wait with `status` */
bool ke_apc_deliverable(const struct _KTHREAD *thread);       /* as far as the thread is concerned; the IRQL aside */
void ke_apc_deliver(void);
void ke_apc_rundown(struct _KTHREAD *thread);
NTSTATUS ke_alert_pending(struct _KTHREAD *thread, KPROCESSOR_MODE mode, bool alertable);
void ke_processors_start(void);
void ke_idle_main(void *argument);

/*
 * APCs. Normal kernel APCs are off for the thread; for the current thread at its IRQL. A region of the current thread
 * has ended: deliver what waited for that.
 */
bool ke_normal_apcs_off(const struct _KTHREAD *thread);
bool ke_apcs_off(void);
void ke_apcs_allowed(void);
/* KeInsertQueueApc for kernel components; up to DISPATCH_LEVEL, no switch happens here. */
bool ke_apc_insert(PKAPC apc, PVOID argument1, PVOID argument2);
/* Implemented by nt/io: cancel the requests of the current thread, which ends, and wait until the last is completed. */
void io_cancel_thread_irps(void);

/*
 * Memory is about to be freed: a timer that is set, a DPC that is queued, or an object with waiters inside it is a
 * violation ("freed-in-use").
 */
void ke_check_freed(const void *start, size_t size);

/* Queue of threads that wait for an object; for kernel components with dispatcher objects of their own. */
void ke_signal(DISPATCHER_HEADER *header, LONG state, KPRIORITY increment);

/* Wait for a dispatcher object of a component's own, for as long as it takes; `note` is for reports. */
void ke_wait_noted(void *object, const struct ke_wait_note *note);
/* " thread NAME (ID)" */
void ke_describe_owner(FILE *out, const struct _KTHREAD *thread);
const char *ke_irql_name(KIRQL irql);

/* The end of a critical region, at any IRQL; `routine` is named if the thread is in none. */
void ke_leave_critical_region(const char *routine);

/* Raise an exception for the caller, at `address`, of a routine that does so at the caller's IRQL, whatever it is. */
_Noreturn void ke_raise_status(NTSTATUS status, const void *address);

/* ---- bugchecks (nt/bugcheck) ---- */

/* The bugcheck callbacks, all of them, in Windows' order; the machine has been frozen. */
void bugcheck_run_callbacks(uint32_t code, const uint64_t parameter[4]);
/* Run the bugcheck callbacks, then end the run. */
_Noreturn void ke_bugcheck(uint32_t code, const uint64_t parameter[4], const char *rule, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

#endif
