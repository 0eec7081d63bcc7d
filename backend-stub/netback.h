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

#include "netback_features.h"
#include "log.h"
#include "port.h"

struct netback;

/* As long as netback may look for requests before it sleeps. */
#define NETBACK_BUSY_POLL_MAX_US 1000u

struct netback_options {
    unsigned domid;                          /* the domain it runs in */
    const struct netback_features *features; /* NULL: the default; read once */
    /*
     * Make the end of a VIF that has appeared; NULL refuses the VIF. netback destroys the end with the VIF, which is
     * when its directory is gone, or in netback_destroy().
     */
    struct port *(*open_port)(void *context, unsigned domid, unsigned handle);
    void *context;
    /*
     * After a turn that has used up what was on the rings, look for more from the guests so many microseconds (at most
     * NETBACK_BUSY_POLL_MAX_US) before asking for an event: an event costs both sides more, if the processor has
     * nothing else to do. What else comes up waits eight times as long at most. An event for a guest that is slower
     * than netback waits as long as netback looks (tx.c). 0: ask, and tell, at once.
     */
    unsigned busy_poll_us;
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
    uint64_t large;  /* frames carried that are to be cut into segments */
    uint64_t blank;  /* frames carried with a blank checksum, those included */
    uint64_t cut;    /* frames that netback has cut into segments, since the receiver can't */
    uint64_t summed; /* checksums that netback has completed, those of segments included */
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
    uint64_t filters;                       /* times that the guest has asked for a filter of multicast addresses */
    uint64_t filtered;                      /* frames for a multicast address that the guest does not want */
    uint64_t control;                       /* requests of the control ring that were answered */
    unsigned queues;                        /* of the connection there is, or was last */
    struct {
        uint64_t tx_frames, rx_frames;
    } queue[FEATURES_QUEUES_MAX];
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
