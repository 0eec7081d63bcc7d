/*
 * netback: the backend of Xen's network interfaces (io/netif.h) for the domain that it runs in, over libxenstore,
 * libxenevtchn and libxengnttab.
 *
 * It serves every VIF that the store shows below /local/domain/<domid>/backend/vif, in one loop, in the order of domain
 * and handle, each within a budget a turn. The frames come from and go to the network end (port.h) of each VIF.
 */
#ifndef BACKEND_NETBACK_H
#define BACKEND_NETBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"
#include "port.h"

struct netback;

struct netback_options {
    unsigned domid;            /* the domain it runs in */
    bool no_sg;                /* do not offer feature-sg: frames to and from the guest fit one page */
    bool split_event_channels; /* offer an event channel for each direction */
    /*
     * Make the end of a VIF that has appeared; NULL refuses the VIF. netback destroys the end with the VIF, which is
     * when its directory is gone, or in netback_destroy().
     */
    struct port *(*open_port)(void *context, unsigned domid, unsigned handle);
    void *context;
    const struct backend_logger *logger;
};

/* What went over one shared ring. */
struct netback_ring_statistics {
    uint64_t requests;
    uint64_t responses;
    uint64_t notifications_sent;
    uint64_t notifications_suppressed; /* responses published that the frontend did not want to be told of */
    uint64_t events;                   /* notifications from the frontend */
};

/* One direction of a VIF. */
struct netback_direction_statistics {
    uint64_t frames; /* carried, with their bytes */
    uint64_t bytes;
    uint64_t drops;  /* for want of room, or because the frontend can't take them */
    uint64_t errors; /* malformed, or their memory could not be reached */
    struct netback_ring_statistics ring;
};

/* Counted over all connections of a VIF; kept after the VIF is gone. */
struct netback_statistics {
    unsigned domid;
    unsigned handle;
    bool connected;
    unsigned connections;                   /* how often it came to Connected */
    struct netback_direction_statistics tx; /* from the guest */
    struct netback_direction_statistics rx; /* to the guest */
};

/* Opens the libraries' handles. NULL, with a line in the log, when one can't be opened. */
struct netback *netback_create(const struct netback_options *options);
/* Serve until netback_stop(). False when the store or the event channels failed. */
bool netback_run(struct netback *netback);
/* From another thread of control, or a signal handler. */
void netback_stop(struct netback *netback);
/* Closes what is connected, as far as this side goes, and frees everything. After netback_run() has returned. */
void netback_destroy(struct netback *netback);

/* The statistics of the VIFs that there are and were, in order of their first appearance; NULL after the last. */
const struct netback_statistics *netback_statistics(const struct netback *netback, unsigned index);
/* VIFs that are neither gone nor closed. */
unsigned netback_active(const struct netback *netback);

#endif
