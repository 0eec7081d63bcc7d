/*
 * The store's socket against the real daemon's, side by side in one run: the distribution's libxenstore in a process of
 * its own reads, writes and changes a node in a transaction, in turns on both. Fails when ours is slower.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#include "machine/clock.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "machine/sched.h"
#include "store/conformance/daemon.h"
#include "store/store.h"

#define ROUNDS 40
#define CALLS 50 /* of each kind a round and side */
#define TARGET 1.0
#define LIBRARY "libxenstore.so.4"

/* The client library under test; the functions of the same names in this program are the machine's. */
static struct {
    struct xs_handle *(*open)(unsigned long flags);
    void *(*read)(struct xs_handle *, xs_transaction_t, const char *, unsigned *);
    bool (*write)(struct xs_handle *, xs_transaction_t, const char *, const void *, unsigned);
    xs_transaction_t (*start)(struct xs_handle *);
    bool (*end)(struct xs_handle *, xs_transaction_t, bool abort);
} library;

static void die(const char *what)
{
    fprintf(stderr, "bench_store: %s\n", what);
    _exit(1);
}

static void load_library(void)
{
    void *object = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

    if (!object)
        die(dlerror());
    *(void **)&library.open = dlsym(object, "xs_open");
    *(void **)&library.read = dlsym(object, "xs_read");
    *(void **)&library.write = dlsym(object, "xs_write");
    *(void **)&library.start = dlsym(object, "xs_transaction_start");
    *(void **)&library.end = dlsym(object, "xs_transaction_end");
}

static double now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void read_once(struct xs_handle *xs)
{
    unsigned length;
    void *value = library.read(xs, XBT_NULL, "/bench/node", &length);

    if (!value)
        die("read");
    free(value);
}

static void write_once(struct xs_handle *xs)
{
    if (!library.write(xs, XBT_NULL, "/bench/node", "0123456789", 10))
        die("write");
}

static void change_once(struct xs_handle *xs)
{
    xs_transaction_t transaction = library.start(xs);
    unsigned length;
    void *value = library.read(xs, transaction, "/bench/node", &length);

    if (!value || !library.write(xs, transaction, "/bench/node", value, length) || !library.end(xs, transaction, false))
        die("transaction");
    free(value);
}

static const struct {
    const char *name;
    void (*run)(struct xs_handle *xs);
} kinds[] = {{"read", read_once}, {"write", write_once}, {"read, write in a transaction", change_once}};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define SAMPLES (ROUNDS * CALLS)

static double sample[2][KINDS][SAMPLES];

static int compare(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;

    return (difference > 0) - (difference < 0);
}

static struct xs_handle *connect_to(const char *path)
{
    struct xs_handle *xs;

    setenv("XENSTORED_PATH", path, 1);
    xs = library.open(0);
    if (!xs)
        die(path);
    write_once(xs);
    return xs;
}

static int measure(const char *ours, const char *real)
{
    struct xs_handle *side[2];
    int status = 0;

    load_library();
    side[0] = connect_to(ours);
    side[1] = connect_to(real);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned which = 0; which < 2; which++) {
            for (size_t kind = 0; kind < KINDS; kind++) {
                for (unsigned call = 0; call < CALLS; call++) {
                    double start = now_us();

                    kinds[kind].run(side[which]);
                    sample[which][kind][round * CALLS + call] = now_us() - start;
                }
            }
        }
    }
    printf("%-32s %10s %10s %7s\n", "store, by libxenstore, median", "pvsim us", "xenstored", "ratio");
    for (size_t kind = 0; kind < KINDS; kind++) {
        double median[2];

        for (unsigned which = 0; which < 2; which++) {
            qsort(sample[which][kind], SAMPLES, sizeof(double), compare);
            median[which] = sample[which][kind][SAMPLES / 2];
        }
        printf("%-32s %10.1f %10.1f %7.2f%s\n", kinds[kind].name, median[0], median[1], median[0] / median[1],
               median[0] / median[1] > TARGET ? "  over the target" : "");
        status |= median[0] / median[1] > TARGET;
    }
    fflush(stdout);
    return status;
}

static pid_t child;
static int child_status;

static void until_it_ends(void *argument)
{
    (void)argument;
    while (waitpid(child, &child_status, WNOHANG) == 0)
        task_park(clock_now() + UINT64_C(20000000), "the client");
    machine_stop();
}

int main(void)
{
    char *program = xen_program("lib/xen-4.17/bin", "xenstored");
    struct machine_config config = machine_default_config();
    char path[256];
    const char *why = "";
    struct daemon *daemon;

    if (!program) {
        fprintf(stderr,
                "skipped: xen-utils: no xenstored of the package xen-utils-4.17 here; \"make xen-tools\" unpacks "
                "it\n");
        return 125;
    }
    daemon = daemon_start(program, &why);
    if (!daemon)
        die(why);
    config.stay_up = true;
    config.log_level = LOG_NONE;
    snprintf(path, sizeof(path), "%s/pvsim.sock", daemon->directory);
    machine_create(&config);
    if (!store_listen(path, 0))
        die(strerror(errno));
    child = fork();
    if (child == 0)
        _exit(measure(path, daemon->socket));
    task_create("bench", until_it_ends, NULL);
    if (machine_run() != MACHINE_DONE)
        die("the machine failed");
    machine_destroy();
    unlink(path);
    daemon_stop(daemon);
    return WIFEXITED(child_status) ? WEXITSTATUS(child_status) : 1;
}
