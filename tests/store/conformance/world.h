/*
 * The world of a real xenstored that runs without Xen: which domains there are, their ring pages, and a socket that
 * carries event channels. Shared by the test that starts the daemon (daemon.h) and the object preloaded into it
 * (preload.c), by two descriptors whose numbers are in the daemon's environment.
 */
#ifndef TESTS_STORE_CONFORMANCE_WORLD_H
#define TESTS_STORE_CONFORMANCE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#define WORLD_DOMAINS 4u
#define WORLD_PAGE 4096u
/* The file of the world: a page with this structure, then the ring pages of domains 0, 1, ... */
#define WORLD_SIZE (WORLD_PAGE * (1 + WORLD_DOMAINS))
#define WORLD_VARIABLE "XENSTORED_WORLD"
#define WORLD_EVENTS_VARIABLE "XENSTORED_WORLD_EVENTS"

/* Ports of the daemon's own: fixed, so that both sides know them. A port on the events socket is four bytes. */
#define WORLD_VIRQ_PORT 1u
#define WORLD_PORT(domid) (2u + (domid))

struct world {
    struct world_domain {
        bool exists, dying, shutdown;
        uint32_t port; /* the one that the domain has offered to the daemon */
    } domain[WORLD_DOMAINS];
};

#endif
