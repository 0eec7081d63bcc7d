#include "machine/parallel.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "machine/clock.h"
#include "machine/clock_internal.h"
#include "machine/fail.h"
#include "machine/fail_internal.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/machine.h"
#include "machine/peer_internal.h"

#define TASK_SLICE_NS 1000000u     /* a task that others wait for gives way after so long */
#define STOP_GRACE_NS 1000000000u  /* for a vCPU to come to a switch point by itself; then it is interrupted */
#define STOP_LIMIT_NS 10000000000u /* and then it will never stop */
#define POINTS_BEFORE_CLOCK 8      /* inside the kernel: switch points between two looks at the clock */
#define PAUSES_BEFORE_YIELD 16     /* a spin outside the kernel: processor pauses between two turns given away */
#define PAUSES_BEFORE_KERNEL 64    /* and between two full switch points */
#define PAUSES_BEFORE_SLEEP 64     /* a spin inside the kernel sleeps a little from here on */
#define PAUSE_SLEEP_NS 50000
#define STOP_SIGNAL SIGUSR2
/* Where the host has a processor for each of them, its threads look for work so long before they sleep: always, ... */
#define SPIN_NS 20000u
#define SPIN_MAX_NS 200000u      /* ... and at most, when that would have been enough the last time; ... */
#define PENALTY_MIN_NS 500000u   /* ... but not for so long after that was in vain: twice as long each time, ... */
#define PENALTY_MAX_NS 50000000u /* ... up to this */
#define SPINS_BEFORE_CLOCK 16

/* One host thread that executes runners. */
struct seat {
    pthread_t thread;
    struct runner *runner; /* a vCPU's seat: the vCPU */
    struct fiber host;     /* the thread's own stack */
    bool signalled;        /* the thread's alone: it is on its way out of a signal's handler */
    uint32_t ended;
};

struct parallel_state {
    struct seat dom0;
    struct seat vcpus[MACHINE_MAX_VCPUS];
    unsigned vcpu_count;
    struct runner watch; /* the dom0 thread between tasks */
    struct fiber watch_fiber;
    unsigned last_task; /* slot in the table of runners */
    uint64_t watch_until;
    bool watch_sleeps;
    bool spins;              /* there is a processor of the host for each thread */
    bool watch_polls;        /* it sleeps where peers wake it (peer.h) */
    uint32_t stopping;       /* the machine has ended, or ... */
    struct runner *survivor; /* ... goes on alone until it ends */
};

/* What the host thread executes. The host's, not the machine's: it is the processor's register for "who am I". */
__thread struct runner *parallel_here;
__thread struct runner *parallel_outside;
static __thread struct seat *here_seat;
static __thread struct runner *to_wake; /* whom the host is to wake when the kernel lock has been released */

/* Out of line: a fiber that has moved to another thread must not use the address of the old one's variable. */
__attribute__((noinline)) static void set_here(struct runner *runner)
{
    __asm__ volatile("" : : : "memory");
    parallel_here = runner;
    parallel_outside = NULL; /* a runner begins and ends inside */
}

__attribute__((noinline)) void parallel_crossed(bool outside)
{
    __asm__ volatile("" : : : "memory");
    parallel_outside = outside && parallel_here != NULL && parallel_here->is_vcpu ? parallel_here : NULL;
}

__attribute__((noinline)) struct runner *parallel_current(void)
{
    __asm__ volatile("" : : : "memory");
    return parallel_here;
}

__attribute__((noinline)) static struct seat *current_seat(void)
{
    __asm__ volatile("" : : : "memory");
    return here_seat;
}

static struct parallel_state *state(void)
{
    return machine->parallel;
}

void parallel_init(void)
{
    cpu_set_t processors;

    machine->parallel = image_alloc(sizeof(*machine->parallel));
    machine->parallel->spins = sched_getaffinity(0, sizeof(processors), &processors) == 0 &&
                               (unsigned)CPU_COUNT(&processors) > machine->config.vcpus;
}

bool parallel_is_task(const struct runner *runner)
{
    return runner != NULL && !runner->is_vcpu && runner != &state()->watch;
}

/* ---- sleeping and waking of host threads ---- */

static void futex_wait(uint32_t *word, uint32_t value, const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout, NULL, 0);
}

static void futex_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void parallel_wake_noted(void)
{
    struct runner *runner = to_wake;

    if (__builtin_expect(runner == NULL, true))
        return;
    to_wake = NULL;
    futex_wake(&runner->signal);
}

/*
 * Have the runner's host thread look again. What it needs first is the kernel lock, which is ours: it is woken when
 * that is free, or at our next switch point.
 */
static void notify(struct runner *runner)
{
    __atomic_fetch_add(&runner->signal, 1, __ATOMIC_SEQ_CST);
    if (runner == &state()->watch && state()->watch_polls) {
        peers_wake();
    } else if (__atomic_load_n(&runner->sleeps, __ATOMIC_SEQ_CST) && to_wake != runner) {
        parallel_wake_noted();
        to_wake = runner;
    }
}

/* False: the time is over. */
static bool spin_until(const struct runner *runner, uint32_t signal, uint64_t end)
{
    for (unsigned turn = 1; __atomic_load_n(&runner->signal, __ATOMIC_ACQUIRE) == signal; turn++) {
        if (turn % SPINS_BEFORE_CLOCK == 0 && clock_now() >= end)
            return false;
        __builtin_ia32_pause();
    }
    return true;
}

/* It tells that it sleeps before the host looks at the signal once more: whoever finds it awake has changed that. */
static void sleep_for(struct runner *runner, uint32_t signal, uint64_t until)
{
    uint64_t now = clock_now();
    uint64_t left = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};

    __atomic_store_n(&runner->sleeps, true, __ATOMIC_SEQ_CST);
    futex_wait(&runner->signal, signal, until == CLOCK_NEVER ? NULL : &timeout);
    __atomic_store_n(&runner->sleeps, false, __ATOMIC_RELAXED);
}

/* How often the host has taken its processor from the calling thread for another one. */
static long times_displaced(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/* Looking for longer was in vain: not again for a while. */
static void penalise(struct runner *runner)
{
    uint64_t penalty = runner->spin_penalty * 2;

    if (penalty < PENALTY_MIN_NS)
        penalty = PENALTY_MIN_NS;
    if (penalty > PENALTY_MAX_NS)
        penalty = PENALTY_MAX_NS;
    runner->spin_penalty = penalty;
    runner->spin_again = clock_now() + penalty;
    runner->spin_ns = 0;
}

/*
 * As long as the work has lately taken to come. If the host has something else for the processor to do, it may be what
 * is to notify us.
 */
static bool spin_longer(struct runner *runner, uint32_t signal, uint64_t end)
{
    long displaced = times_displaced();
    bool found = spin_until(runner, signal, end);

    if (found && times_displaced() == displaced)
        runner->spin_penalty /= 2;
    else
        penalise(runner);
    return found;
}

/* To be notified by a store is cheaper, for both, than by the host's kernel. */
static void spin_or_sleep(struct runner *runner, uint32_t signal, uint64_t until)
{
    uint64_t start = clock_now(), end = start + SPIN_NS, longer = start + runner->spin_ns, waited;

    if (spin_until(runner, signal, end < until ? end : until))
        return;
    if (longer > end && longer <= until && spin_longer(runner, signal, longer))
        return;
    sleep_for(runner, signal, until);
    waited = clock_now() - start;
    if (waited >= SPIN_MAX_NS || start < runner->spin_again)
        runner->spin_ns = 0;
    else
        runner->spin_ns = waited * 2 < SPIN_MAX_NS ? (uint32_t)waited * 2 : SPIN_MAX_NS;
}

/* Sleep, without the lock, until notified or until the time is over (UINT64_MAX: never). */
static void doze(struct runner *runner, uint64_t until)
{
    uint32_t signal = __atomic_load_n(&runner->signal, __ATOMIC_RELAXED);

    kernel_lock_release();
    if (state()->spins)
        spin_or_sleep(runner, signal, until);
    else
        sleep_for(runner, signal, until);
    kernel_lock_acquire();
    if (runner->over)
        parallel_stop();
}

/* The same of the watch, which peers may wake too. */
static void doze_in_watch(struct runner *watch, uint64_t until)
{
    if (machine->peer == NULL) {
        doze(watch, until);
        return;
    }
    state()->watch_polls = true;
    peers_doze(until);
    state()->watch_polls = false;
}

static void notify_watch(void)
{
    if (state()->watch_sleeps)
        notify(&state()->watch);
}

void parallel_peers_opened(void)
{
    notify_watch();
}

void parallel_deadline_moved(void)
{
    if (state()->watch_sleeps && clock_next() < state()->watch_until)
        notify(&state()->watch);
}

void parallel_wake(struct runner *runner)
{
    if (runner->runnable)
        return;
    runner->runnable = true;
    if (runner->is_vcpu)
        notify(runner);
    else
        notify_watch();
}

/* ---- tasks ---- */

static struct runner *next_task(struct parallel_state *parallel)
{
    const struct runner_table *table = runner_table();

    for (unsigned step = 1; step <= table->count; step++) {
        unsigned slot = (parallel->last_task + step) % table->count;
        struct runner *runner = table->slot[slot];

        if (runner != NULL && !runner->is_vcpu && runner->runnable) {
            parallel->last_task = slot;
            return runner;
        }
    }
    return NULL;
}

static bool vcpu_can_run(void)
{
    const struct runner_table *table = runner_table();

    for (unsigned slot = 0; slot < table->count; slot++)
        if (table->slot[slot] != NULL && table->slot[slot]->is_vcpu && table->slot[slot]->runnable)
            return true;
    return false;
}

static void run_task(struct parallel_state *parallel, struct runner *task)
{
    task->slice_end = clock_now() + TASK_SLICE_NS;
    set_here(task);
    runner_begins(task);
    fiber_switch(&parallel->watch_fiber, task->fiber);
    runner_ends();
    set_here(&parallel->watch);
    sched_reap();
}

static void watch_main(void *argument)
{
    struct parallel_state *parallel = argument;

    for (;;) {
        struct runner *task;

        if (clock_due())
            clock_fire_due();
        if (peers_look_at() <= clock_now())
            peers_look();
        task = next_task(parallel);
        if (task != NULL) {
            run_task(parallel, task);
            kernel_lock_yield();
            continue;
        }
        /* Whatever else may be pending, the run's own time-out changes nothing for anybody. */
        if (!vcpu_can_run() && clock_only_deadline(&machine->timeout) && (machine->peer == NULL || !peers_may_speak()))
            sched_no_progress();
        parallel->watch_until = clock_next();
        parallel->watch_sleeps = true;
        doze_in_watch(&parallel->watch, parallel->watch_until);
        parallel->watch_sleeps = false;
    }
}

static void back_to_watch(struct runner *task)
{
    fiber_switch(task->fiber, &state()->watch_fiber);
}

/* In the kernel: the current vCPU goes no further while it is held. */
static void stand_while_held(struct runner *runner)
{
    runner->stands = runner->held;
    while (runner->held)
        doze(runner, CLOCK_NEVER);
    runner->stands = false;
}

void parallel_block(const char *why)
{
    struct runner *runner = parallel_current();

    runner->runnable = false;
    runner->why = why;
    runner->pauses = 0;
    if (!runner->is_vcpu) {
        back_to_watch(runner);
        return;
    }
    notify_watch(); /* it may have been the last that could run */
    while (!runner->runnable)
        doze(runner, CLOCK_NEVER);
    stand_while_held(runner);
}

void parallel_let_go(struct runner *runner)
{
    notify(runner);
}

_Noreturn void parallel_exit(void)
{
    fiber_leave(parallel_current()->fiber, &state()->watch_fiber);
}

void parallel_switch_fiber(struct fiber *from, struct fiber *to)
{
    parallel_current()->fiber = to;
    fiber_switch(from, to);
}

/* ---- switch points ---- */

/* Out of the kernel: nothing of the simulator may be touched, and most of the time nothing has to be done. */
static void light_point(struct runner *runner, enum sched_point kind)
{
    if (kind == POINT_PAUSE) {
        runner->pauses++;
        if (runner->pauses % PAUSES_BEFORE_KERNEL == 0) {
            KERNEL_SCOPE();

            parallel_point(kind);
            return;
        }
        if (runner->pauses % PAUSES_BEFORE_YIELD == 0)
            sched_yield();
        else
            __builtin_ia32_pause();
    }
    if (ke_wants_attention(runner)) {
        KERNEL_SCOPE();

        stand_while_held(runner);
        ke_attention_now();
    }
}

static void pause_in_kernel(struct runner *runner)
{
    kernel_lock_release();
    if (++runner->pauses % PAUSES_BEFORE_SLEEP == 0) {
        const struct timespec time = {0, PAUSE_SLEEP_NS};

        nanosleep(&time, NULL);
    } else {
        sched_yield();
    }
    kernel_lock_acquire();
}

void parallel_point(enum sched_point kind)
{
    struct runner *runner = parallel_current();
    bool looks;

    if (runner == NULL)
        return;
    if (!runner->fiber->in_kernel) {
        if (kind == POINT_PAUSE || __atomic_load_n(&runner->work, __ATOMIC_RELAXED) != 0)
            light_point(runner, kind);
        return;
    }
    looks = kind == POINT_PAUSE || ++runner->points % POINTS_BEFORE_CLOCK == 0;
    if (looks && clock_due())
        clock_fire_due();
    if (kind == POINT_PAUSE)
        pause_in_kernel(runner);
    else
        kernel_lock_yield();
    if (runner->is_vcpu) {
        stand_while_held(runner);
        ke_attention();
    } else if (looks && parallel_is_task(runner) && (kind == POINT_PAUSE || clock_now() >= runner->slice_end)) {
        back_to_watch(runner);
    }
}

/* ---- the end ---- */

bool parallel_must_stop(void)
{
    const struct parallel_state *parallel = state();

    return __builtin_expect(__atomic_load_n(&parallel->stopping, __ATOMIC_ACQUIRE) != 0, 0) && current_seat() != NULL &&
           parallel_current() != __atomic_load_n(&parallel->survivor, __ATOMIC_RELAXED);
}

/*
 * The thread goes back to its own stack; the fiber is never entered again. In the watch and in a vCPU's main function
 * the thread is on its own stack as soon as its runner is gone.
 */
_Noreturn void parallel_stop(void)
{
    struct runner *runner = parallel_current();
    struct fiber *fiber = runner->fiber;

    if (fiber->in_kernel) {
        kernel_lock_release();
        fiber->in_kernel = false;
    }
    set_here(NULL);
    fiber_leave(fiber, &current_seat()->host);
}

/* Under the lock: from now on nobody but the survivor gets any further than to its next switch point. */
static void stop_all(struct runner *survivor)
{
    struct parallel_state *parallel = state();
    const struct runner_table *table = runner_table();

    __atomic_store_n(&parallel->survivor, survivor, __ATOMIC_RELAXED);
    __atomic_store_n(&parallel->stopping, 1, __ATOMIC_RELEASE);
    for (unsigned slot = 0; slot < table->count; slot++)
        if (table->slot[slot] != NULL && table->slot[slot]->is_vcpu) {
            ke_interrupt_for_stop(table->slot[slot]);
            notify(table->slot[slot]);
        }
    notify(&parallel->watch);
}

_Noreturn void parallel_leave(void)
{
    if (!parallel_current()->fiber->in_kernel)
        (void)kernel_enter();
    stop_all(NULL);
    parallel_stop();
}

/*
 * A signal has found the thread in driver code that has gone on for a second without a switch point. The handler does
 * not return, so the next signal is not held off; and before it is left AddressSanitizer looks for the thread's stack,
 * under a lock.
 */
static void on_stop_signal(int number)
{
    struct runner *runner = parallel_current();
    struct seat *seat = current_seat();

    (void)number;
    if (runner == NULL || runner->fiber->in_kernel || !parallel_must_stop() || seat->signalled)
        return;
    seat->signalled = true;
    parallel_stop();
}

static bool seat_is_over(const struct seat *seat, const struct runner *survivor)
{
    return seat->runner == survivor || __atomic_load_n(&seat->ended, __ATOMIC_ACQUIRE) != 0;
}

/* Wait, without the lock, until every other vCPU's thread has left the machine. */
static void await_stop(const struct runner *survivor)
{
    struct parallel_state *parallel = state();
    const struct timespec time = {0, 200000};
    uint64_t start = clock_host();

    for (unsigned index = 0; index < parallel->vcpu_count; index++) {
        const struct seat *seat = &parallel->vcpus[index];

        while (!seat_is_over(seat, survivor)) {
            uint64_t waited = clock_host() - start;

            if (waited > STOP_LIMIT_NS) {
                fprintf(stderr, "pvsim: %s does not stop: its host thread hangs\n", seat->runner->name);
                abort();
            }
            if (waited > STOP_GRACE_NS)
                pthread_kill(seat->thread, STOP_SIGNAL);
            nanosleep(&time, NULL);
        }
    }
}

void parallel_freeze(void)
{
    struct runner *runner = parallel_current();

    stop_all(runner);
    kernel_lock_release();
    await_stop(runner);
    kernel_lock_acquire();
}

/* ---- the host's threads ---- */

static void enter(struct seat *seat, struct runner *runner)
{
    here_seat = seat;
    fiber_adopt_host(&seat->host);
    set_here(runner);
    kernel_lock_acquire_always();
    if (parallel_must_stop())
        kernel_lock_release();
    else
        fiber_switch(&seat->host, runner->fiber);
    here_seat = NULL;
    set_here(NULL);
}

static void *vcpu_thread(void *argument)
{
    struct seat *seat = argument;
    void *signal_stack = fail_adopt_thread();

    enter(seat, seat->runner);
    __atomic_store_n(&seat->ended, 1, __ATOMIC_RELEASE);
    fail_release_thread(signal_stack);
    return NULL;
}

static void start_vcpu(struct parallel_state *parallel, struct runner *runner)
{
    struct seat *seat = &parallel->vcpus[parallel->vcpu_count++];
    int error;

    seat->runner = runner;
    seat->ended = 0;
    seat->signalled = false;
    runner->runnable = true;
    error = pthread_create(&seat->thread, NULL, vcpu_thread, seat);
    if (error != 0) {
        fprintf(stderr, "pvsim: no host thread for %s: %s\n", runner->name, strerror(error));
        exit(125);
    }
}

void parallel_start_vcpus(void)
{
    const struct runner_table *table = runner_table();

    for (unsigned slot = 0; slot < table->count; slot++)
        if (table->slot[slot] != NULL && table->slot[slot]->is_vcpu)
            start_vcpu(state(), table->slot[slot]);
}

/* Each sleeps where it stands, or is about to; without the lock it can't find out that it is over. */
void parallel_stop_vcpus(void)
{
    struct parallel_state *parallel = state();

    for (unsigned index = 0; index < parallel->vcpu_count; index++) {
        parallel->vcpus[index].runner->over = true;
        notify(parallel->vcpus[index].runner);
    }
    kernel_lock_release();
    for (unsigned index = 0; index < parallel->vcpu_count; index++)
        pthread_join(parallel->vcpus[index].thread, NULL);
    kernel_lock_acquire();
    parallel->vcpu_count = 0;
}

void parallel_run(void)
{
    struct parallel_state *parallel = state();
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};

    if (parallel->stopping) {
        fprintf(stderr, "pvsim: a machine of the parallel engine runs once\n");
        exit(1);
    }
    sigemptyset(&action.sa_mask);
    sigaction(STOP_SIGNAL, &action, NULL);
    snprintf(parallel->watch.name, sizeof(parallel->watch.name), "dom0");
    fiber_create(&parallel->watch_fiber, parallel->watch.name, FIBER_TASK_STACK_SIZE, watch_main, parallel);
    parallel->watch.fiber = &parallel->watch_fiber;
    parallel->watch.runnable = true;
    kernel_lock_acquire_always(); /* a vCPU that has its thread already looks at the others */
    parallel_start_vcpus();
    parallel->dom0.runner = &parallel->watch;
    kernel_lock_release();
    enter(&parallel->dom0, &parallel->watch);
    await_stop(NULL);
    for (unsigned index = 0; index < parallel->vcpu_count; index++)
        pthread_join(parallel->vcpus[index].thread, NULL);
}
