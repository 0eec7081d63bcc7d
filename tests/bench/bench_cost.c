/*
 * What the simulator costs against the host's own means, measured side by side in one process: batches of both kinds
 * alternate, and the time that nine batches in ten exceed counts, on both sides: little else ran on the host then. The
 * figures on the left are what a driver module pays for its calls under the deterministic engine with every check on.
 *
 * Exit status: 0 when each ratio is within its target, 1 otherwise.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "image/loader.h"
#include "machine/fiber.h"
#include "machine/machine.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"

#define BATCHES 201
#define BATCH 5000u

typedef uint64_t(NTAPI *meter_function)(ULONG count);

static struct {
    meter_function spin_lock;
    meter_function pool;
} meter;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void expect(uint64_t got, uint64_t wanted)
{
    if (got == wanted)
        return;
    fprintf(stderr, "bench_cost: a loop came to %" PRIu64 " instead of %" PRIu64 "\n", got, wanted);
    exit(1);
}

#define SUM(count) ((uint64_t)(count) * ((count)-1) / 2)

/* ---- spin locks ---- */

static void our_spin_lock(void)
{
    expect(meter.spin_lock(BATCH), SUM(BATCH));
}

static pthread_spinlock_t host_lock;
static uint64_t host_total;

static void host_spin_lock(void)
{
    host_total = 0;
    for (unsigned index = 0; index < BATCH; index++) {
        pthread_spin_lock(&host_lock);
        host_total += index;
        pthread_spin_unlock(&host_lock);
    }
    expect(host_total, SUM(BATCH));
}

/* ---- pool ---- */

static void our_pool(void)
{
    expect(meter.pool(BATCH), SUM(BATCH) + BATCH);
}

static void host_pool(void)
{
    uint64_t total = 0;

    for (unsigned index = 0; index < BATCH; index++) {
        volatile uint32_t *block = malloc(128);

        if (block == NULL)
            abort();
        block[0] = index;
        block[31] = 1;
        total += block[0] + block[31];
        free((void *)(uintptr_t)block);
    }
    expect(total, SUM(BATCH) + BATCH);
}

/* ---- switches: there and back is two ---- */

static struct {
    struct fiber here, there;
    ucontext_t host_here, host_there;
    uint64_t turns;
} switches;

static void fiber_partner(void *argument)
{
    (void)argument;
    for (;;) {
        switches.turns++;
        fiber_switch(&switches.there, &switches.here);
    }
}

static void our_switch(void)
{
    switches.turns = 0;
    for (unsigned index = 0; index < BATCH / 2; index++)
        fiber_switch(&switches.here, &switches.there);
    expect(switches.turns, BATCH / 2);
}

static void context_partner(void)
{
    for (;;) {
        switches.turns++;
        swapcontext(&switches.host_there, &switches.host_here);
    }
}

static void host_switch(void)
{
    switches.turns = 0;
    for (unsigned index = 0; index < BATCH / 2; index++)
        swapcontext(&switches.host_here, &switches.host_there);
    expect(switches.turns, BATCH / 2);
}

static void prepare_switches(void)
{
    size_t size = 64 * 1024;

    fiber_create(&switches.there, "partner", FIBER_STACK_SIZE, fiber_partner, NULL);
    getcontext(&switches.host_there);
    switches.host_there.uc_stack.ss_sp = malloc(size);
    switches.host_there.uc_stack.ss_size = size;
    switches.host_there.uc_link = NULL;
    makecontext(&switches.host_there, context_partner, 0);
}

/* ---- the comparison ---- */

struct comparison {
    const char *ours, *theirs;
    void (*our_batch)(void);
    void (*their_batch)(void);
    double limit; /* ours at most so many times theirs */
};

static const struct comparison comparisons[] = {
    {"KeAcquireSpinLock, KeReleaseSpinLock", "pthread_spin_lock, _unlock", our_spin_lock, host_spin_lock, 3.0},
    {"fiber switch", "swapcontext", our_switch, host_switch, 0.2},
    {"pool allocate, free of 128 bytes", "malloc, free", our_pool, host_pool, 3.0},
};

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double undisturbed(double *values)
{
    qsort(values, BATCHES, sizeof(*values), by_value);
    return values[BATCHES / 10];
}

static bool compare(const struct comparison *comparison)
{
    double ours[BATCHES], theirs[BATCHES];
    double our_time, their_time, ratio;

    comparison->our_batch();
    comparison->their_batch();
    for (unsigned index = 0; index < BATCHES; index++) {
        double start = now(), middle;

        comparison->our_batch();
        middle = now();
        comparison->their_batch();
        ours[index] = (middle - start) / BATCH;
        theirs[index] = (now() - middle) / BATCH;
    }
    our_time = undisturbed(ours);
    their_time = undisturbed(theirs);
    ratio = our_time / their_time;
    printf("%-37s %7.2f ns   %-27s %7.2f ns   ratio %5.2f, at most %4.2f: %s\n", comparison->ours, our_time,
           comparison->theirs, their_time, ratio, comparison->limit, ratio <= comparison->limit ? "met" : "MISSED");
    fflush(stdout);
    return ratio <= comparison->limit;
}

static meter_function find(const char *symbol)
{
    for (const struct loader_module *module = loader_next(NULL); module != NULL; module = loader_next(module))
        if (strcmp(loader_module_name(module), "meter") == 0)
            return (meter_function)loader_module_symbol(module, symbol);
    return NULL;
}

static void run(void *argument)
{
    struct cm_key *key = cm_key_create(CM_SERVICES "\\meter");
    PDRIVER_OBJECT driver = NULL;
    bool *met = argument;

    cm_value_set_dword(key, "Type", 1);
    cm_value_set_dword(key, "Start", 3);
    cm_value_set_string(key, "ImagePath", REG_EXPAND_SZ, "system32\\drivers\\meter.sys");
    if (io_load_driver("meter", &driver) != STATUS_SUCCESS) {
        fprintf(stderr, "bench_cost: %s\n", loader_error());
        exit(1);
    }
    meter.spin_lock = find("MeterSpinLock");
    meter.pool = find("MeterPool");
    prepare_switches();
    for (size_t index = 0; index < sizeof(comparisons) / sizeof(comparisons[0]); index++)
        *met = compare(&comparisons[index]) && *met;
    fiber_destroy(&switches.there);
    free(switches.host_there.uc_stack.ss_sp);
    io_unload_driver(driver);
    ObDereferenceObject(driver);
}

int main(void)
{
    struct machine_config config = machine_default_config();
    bool met = true;

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    pthread_spin_init(&host_lock, PTHREAD_PROCESS_PRIVATE);
    if (machine_run_in_guest(&config, run, &met) != MACHINE_DONE) {
        fprintf(stderr, "bench_cost: %s: %s\n", machine_failure()->rule, machine_failure()->text);
        return 1;
    }
    return met ? 0 : 1;
}
