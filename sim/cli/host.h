/*
 * The process of a machine that stays up: a simulated host with one guest, in its run-dir. It boots the guest that
 * 'pvsim create' describes, or goes on with one that was saved or comes from another host.
 */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include "cli/cli.h"
#include "cli/run_dir.h"

struct host {
    struct create_options options;
    struct run_dir dir;
    int command;  /* a byte goes to who waits for the machine when it is up; -1: it has been told */
    int terminal; /* its standard error, until then */

    /* One that goes on. */
    int image; /* the machine, see machine/snapshot.h */
    const char *image_name;
    const char *config; /* a configuration file for its domain; NULL: the one that was saved with it, if any */
    bool paused;        /* its domain stays so */
    bool asks;          /* `command` is the host that sent it, and says when the guest may go on */
};

/* Between the host that sends a machine and the one that gets it, in this order; the last is that of `command`. */
#define HOST_READY 'R'
#define HOST_START 'S'
#define HOST_UP EXIT_PASSED

/*
 * Be the machine's process, whose command (host->command) waits; an exit status. The folder is taken and is left.
 */
int host_create(struct host *host);
/* The same for a machine that goes on. Ends the process. */
_Noreturn void host_restore(struct host *host);

/* Make a process of the machine's own, and wait until the machine is up; an exit status. The folder is taken. */
int host_start(struct host *host, int (*be)(struct host *host));

#endif
