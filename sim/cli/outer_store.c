#include "cli/outer_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/beside.h"
#include "machine/clock.h"
#include "machine/fail.h"
#include "machine/guest_ram.h"
#include "machine/sched.h"
#include "store/store.h"
#include "xen/xen.h"

#define WAIT_NS UINT64_C(60000000000)
#define LOOK_NS UINT64_C(10000000)

static void write_file(const char *path, const char *text, off_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || ftruncate(fd, bytes) != 0)
        fail("scenario", "%s cannot be made: %s", path, strerror(errno));
    close(fd);
}

/*
 * Domain 0's own ring, which its kernel would be at, and nobody is here: programs of domain 0 are on the socket. The
 * daemon binds the port, and signals it once.
 */
static void make_ring(const struct run_dir *dir)
{
    int port = xen_evtchn_alloc_unbound(XEN_DOM0, XEN_DOM0, NULL, NULL);
    char path[RUN_DIR_PATH_MAX];
    char text[16];

    if (port < 0)
        fail("scenario", "no port for domain 0's ring: %s", strerror(-port));
    snprintf(text, sizeof(text), "%d", port);
    write_file(run_dir_path(dir, RUN_DIR_STORE_PORT, path), text, (off_t)strlen(text));
    write_file(run_dir_path(dir, RUN_DIR_STORE_RING, path), "", (off_t)GUEST_PAGE_SIZE);
}

/* xenstored listens where XENSTORED_PATH says; oxenstored at /var/run/xenstored/socket, to which that leads so. */
static void lead_to_socket(const struct run_dir *dir)
{
    char path[RUN_DIR_PATH_MAX];

    if (symlink(RUN_DIR_STORE_FOLDER "/socket", run_dir_path(dir, RUN_DIR_STORE, path)) != 0)
        fail("scenario", "%s cannot be made: %s", path, strerror(errno));
}

static void daemon_ended(void *context, int status)
{
    char text[32];

    fail("scenario", "the store '%s' has ended: %s", (const char *)context, beside_status(status, text));
}

void outer_store_open(const struct run_dir *dir, const char *command)
{
    uint64_t deadline = clock_now() + WAIT_NS;
    char path[RUN_DIR_PATH_MAX];

    store_move_out();
    make_ring(dir);
    lead_to_socket(dir);
    if (command != NULL)
        (void)beside_start(dir, XEN_DOM0, command, daemon_ended, (void *)(uintptr_t)command);
    (void)run_dir_path(dir, RUN_DIR_STORE, path);
    while (!store_find(path)) {
        if (clock_now() > deadline)
            fail("scenario",
                 "no store has come to %s within 60 s; with --store external one is started by 'pvsim dom0'", path);
        (void)task_park(clock_now() + LOOK_NS, "a store");
    }
}
