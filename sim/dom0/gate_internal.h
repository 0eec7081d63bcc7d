/* Between the files of the gate. */
#ifndef DOM0_GATE_INTERNAL_H
#define DOM0_GATE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dom0/gate.h"
#include "dom0/gate_protocol.h"
#include "machine/peer.h"

struct gate_handle;

/* A port that a handle has bound. */
struct gate_bound {
    struct gate_bound *next; /* in the order of binding */
    struct gate_handle *handle;
    uint32_t number;
    bool fired; /* and not unmasked since: the program owes that */
};

enum gate_mapping_kind { GATE_OF_GRANTS, GATE_OF_SHARES, GATE_OF_FRAMES };

struct gate_item {
    int64_t handle; /* of the grant or frame, or the reference; negative: nothing */
    uint8_t *page;
};

/* Pages that a program holds by one request. */
struct gate_mapping {
    struct gate_mapping *next;
    uint32_t number;
    enum gate_mapping_kind kind;
    uint32_t notify_offset;
    uint32_t notify_port;
    struct gate_bound *port; /* that one, when its handle is gone: the last mapping that names it closes it */
    bool writable;           /* to the program */
    uint32_t count;
    struct gate_item item[];
};

/* A handle of a library in a program. */
struct gate_handle {
    struct gate_handle *next; /* in the order of opening */
    struct peer *peer;
    uint32_t kind; /* enum gate_kind; 0: the hello has yet to come */
    unsigned domid;
    uint32_t restricted; /* GATE_NONE: to no domain */
    struct peer *events; /* GATE_EVTCHN: where fired ports go */
    struct gate_bound *ports;
    struct gate_mapping *mappings;
    uint32_t last_number;
    uint8_t *arena; /* the program's memory, mapped here; the host's, NULL: none */
    uint64_t arena_address;
    uint64_t arena_bytes;
};

struct gate_state {
    struct gate_handle *handles;
};

/* ---- gate.c ---- */

/* Answer: error (positive errno, or a negative result of xen.h), value, and what follows. */
void gate_reply(struct gate_handle *handle, int error, int64_t value, const void *more, size_t bytes);
/* The page's number in the RAM memfd. */
uint32_t gate_page_number(const void *page);
/* The handle is not restricted to another domain. */
bool gate_may(const struct gate_handle *handle, unsigned domid);

/* ---- the kinds: a request; false: the packet breaks the protocol ---- */

bool gate_evtchn_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes);
bool gate_gnttab_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes);
bool gate_gntshr_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes);
bool gate_foreign_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes);
bool gate_call_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes);

/* ---- gate_evtchn.c ---- */

/* The handle's stream of fired ports; the program's end, to be closed once it is sent. -1 with errno. */
int gate_evtchn_open(struct gate_handle *handle);
void gate_evtchn_close(struct gate_handle *handle);
/* Does a program of this domain have the port? */
bool gate_port_is_bound(unsigned domid, uint32_t port);

/* ---- gate_mapping.c ---- */

struct gate_mapping *gate_mapping_new(struct gate_handle *handle, enum gate_mapping_kind kind, bool writable,
                                      uint32_t count);
/* The mapping holds this, and the page is the program's to see. */
void gate_mapping_set(struct gate_handle *handle, struct gate_mapping *mapping, uint32_t index, int64_t held,
                      void *page);
/* A mapping that is not complete goes, without notification. */
void gate_mapping_undo(struct gate_handle *handle, struct gate_mapping *mapping);
/* What asks for a notification at its end: 0 or errno. */
int gate_mapping_notify(struct gate_handle *handle, struct gate_mapping *mapping, uint32_t offset, uint32_t port);
/* GATE_UNMAP_*, GATE_UNSHARE. */
bool gate_unmap(struct gate_handle *handle, enum gate_mapping_kind kind, const void *packet, size_t bytes);
void gate_mappings_close(struct gate_handle *handle);
/* The port's handle is gone: a mapping that will signal it has it now. False if there is none. */
bool gate_mapping_takes_port(unsigned domid, struct gate_bound *port);

#endif
