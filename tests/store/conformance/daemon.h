/* An unmodified xenstored of the distribution, run without Xen over a world that the test controls. */
#ifndef TESTS_STORE_CONFORMANCE_DAEMON_H
#define TESTS_STORE_CONFORMANCE_DAEMON_H

#include <stdint.h>
#include <sys/types.h>

#include <xen/io/xs_wire.h>

#include "store/conformance/world.h"

struct daemon {
    pid_t pid;
    int world_file, events; /* events: our end */
    struct world *world;
    char directory[64]; /* socket and pid file */
    char socket[80];
};

/*
 * The file of a program of Xen's packages, installed or unpacked into build/xen-tools (make xen-tools); NULL when it is
 * nowhere. `folder`: "lib/xen-4.17/bin", "bin". The caller frees it.
 */
char *xen_program(const char *folder, const char *name);

/* Start `program` and wait until it serves its socket; NULL when it doesn't, with *why for the reader. */
struct daemon *daemon_start(const char *program, const char **why);
/* Ends the process, and checks that it had not ended by itself: then false. */
bool daemon_stop(struct daemon *daemon);

/* The ring page of a domain. */
struct xenstore_domain_interface *daemon_ring(struct daemon *daemon, unsigned domid);
/* The domain's event channel, or VIRQ_DOM_EXC: WORLD_PORT(domid), WORLD_VIRQ_PORT. */
void daemon_event(struct daemon *daemon, uint32_t port);
/* Take the notifications that the daemon sent, and forget them. */
void daemon_drain(struct daemon *daemon);

#endif
