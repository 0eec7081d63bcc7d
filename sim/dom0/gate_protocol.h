/*
 * What the drop-in libxen* libraries of a program and the gate of a running machine say to each other. The libraries
 * (sim/dom0/lib) and the gate (sim/dom0/gate*.c) both include this and nothing else of each other's.
 *
 * A handle of a library is a SOCK_SEQPACKET connection to the machine's dom0.sock, made when it is opened; its
 * lifetime is the handle's. As with Xen's device files, the end of the connection (close, exit, kill) gives back
 * whatever the handle held: ports are closed, grants unmapped with their unmap notification, foreign pages dropped,
 * shared pages revoked.
 *
 * A packet is a struct of this file, the first of its connection GATE_HELLO. Each request but GATE_NOTIFY and
 * GATE_UNMASK is answered by one struct gate_reply, in order; what follows it in the packet is said at the request. A
 * handle has one request outstanding at a time. Numbers are the host's (both ends are on one), errors Linux's errno.
 * A packet that breaks these rules ends the connection.
 *
 * Guest pages are named by their number in the RAM memfd that the hello's answer brings: the page lies at number *
 * 4096, and is mapped from there.
 */
#ifndef DOM0_GATE_PROTOCOL_H
#define DOM0_GATE_PROTOCOL_H

#include <stdint.h>

#define GATE_VERSION 1u
#define GATE_PAGES_MAX 4096u /* pages or references of one request; a library splits larger ones */
#define GATE_COPIES_MAX 1024u
#define GATE_NONE UINT32_MAX /* no notification byte, no port, no domain */

/* Environment of a program of dom0: where dom0.sock is, and which domain the program runs in (none: 0). */
#define GATE_SOCKET_VARIABLE "PVSIM_GATE"
#define GATE_DOMID_VARIABLE "PVSIM_DOMID"

enum gate_kind {
    GATE_EVTCHN = 1, /* xenevtchn */
    GATE_GNTTAB,     /* xengnttab, the mapping side */
    GATE_GNTSHR,     /* xengntshr */
    GATE_FOREIGN,    /* xenforeignmemory */
    GATE_CALL        /* xencall, xendevicemodel */
};

enum gate_type {
    GATE_HELLO = 1,
    GATE_RESTRICT, /* the handle acts on one domain only from now on */
    /* of GATE_EVTCHN */
    GATE_BIND_UNBOUND,
    GATE_BIND_INTERDOMAIN,
    GATE_BIND_VIRQ,
    GATE_UNBIND,
    GATE_NOTIFY, /* no answer */
    GATE_UNMASK, /* no answer */
    /* of GATE_GNTTAB */
    GATE_MAP_GRANTS,
    GATE_UNMAP_GRANTS,
    GATE_COPY_GRANTS,
    /* of GATE_GNTSHR */
    GATE_SHARE,
    GATE_UNSHARE,
    /* of GATE_FOREIGN */
    GATE_MAP_FOREIGN,
    GATE_UNMAP_FOREIGN,
    GATE_MAP_RESOURCE,
    GATE_RESOURCE_SIZE,
    /* of GATE_CALL */
    GATE_HYPERCALL
};

struct gate_reply {
    int32_t error; /* 0, or errno */
    uint32_t reserved;
    int64_t value;
};

/*
 * With a descriptor of the arena, if the kind has one: a memfd of `arena_bytes`, sealed against shrinking, that the
 * library shares with the gate.
 * GATE_CALL: it lies at `arena_address` of the program, and every pointer of a hypercall points into it. GATE_GNTTAB:
 * local ends of copies lie there.
 * Answer: GATE_EVTCHN: a stream socket from which the numbers of ports that have fired come, 4 bytes each; a port that
 * has comes again only after GATE_UNMASK. Others but GATE_CALL: the RAM memfd. value: its size in pages.
 */
struct gate_hello {
    uint32_t type;
    uint32_t version;
    uint32_t kind;
    uint32_t domid; /* that the program runs in */
    uint64_t arena_address;
    uint64_t arena_bytes;
};

/*
 * GATE_RESTRICT, GATE_BIND_UNBOUND: domid. GATE_BIND_INTERDOMAIN: domid and its port. GATE_BIND_VIRQ: port is the
 * VIRQ. GATE_UNBIND, _NOTIFY, _UNMASK: port. Those that bind answer with the local port.
 */
struct gate_port {
    uint32_t type;
    uint32_t domid;
    uint32_t port;
    uint32_t reserved;
};

struct gate_reference {
    uint32_t domid;
    uint32_t reference;
};

/*
 * GATE_MAP_GRANTS: answer value: the mapping's number, for GATE_UNMAP_GRANTS; followed by `count` page numbers
 * (uint32_t). notify_offset: byte of the first page that is cleared, notify_port: port of the program's domain that is
 * signalled when the mapping goes, by whatever; GATE_NONE: none.
 */
struct gate_map_grants {
    uint32_t type;
    uint32_t count;
    uint32_t writable;
    uint32_t notify_offset;
    uint32_t notify_port;
    uint32_t reserved;
    struct gate_reference grant[];
};

/* GATE_UNMAP_GRANTS, GATE_UNSHARE, GATE_UNMAP_FOREIGN: by the number that the mapping got. */
struct gate_unmap {
    uint32_t type;
    uint32_t number;
};

/*
 * GATE_COPY_GRANTS: segments as of xengnttab_grant_copy(), but that a local end is an offset into the arena, and no
 * end crosses a page of it. Answer: followed by `count` statuses GNTST_* (int16_t).
 */
struct gate_copy {
    uint16_t flags;
    uint16_t length;
    uint32_t source_domid;     /* of a grant */
    uint32_t source_reference; /* of a grant */
    uint32_t source_offset;    /* in the granted page, or in the arena */
    uint32_t dest_domid;
    uint32_t dest_reference;
    uint32_t dest_offset;
};

struct gate_copy_grants {
    uint32_t type;
    uint32_t count;
    struct gate_copy segment[];
};

/* Answer value: number, for GATE_UNSHARE; followed by `count` struct gate_shared. */
struct gate_share {
    uint32_t type;
    uint32_t domid;
    uint32_t count;
    uint32_t writable; /* to the other domain */
    uint32_t notify_offset;
    uint32_t notify_port;
};

struct gate_shared {
    uint32_t reference;
    uint32_t page;
};

/*
 * GATE_MAP_FOREIGN. Answer value: number, for GATE_UNMAP_FOREIGN; followed by `count` struct gate_foreign. The whole
 * fails only if the domain does not exist or must not be looked at; a frame fails by its own error.
 */
struct gate_map_foreign {
    uint32_t type;
    uint32_t domid;
    uint32_t writable;
    uint32_t count;
    uint64_t frame[];
};

struct gate_foreign {
    int32_t error; /* errno, and then no page */
    uint32_t page;
};

/* GATE_MAP_RESOURCE: as GATE_MAP_FOREIGN. GATE_RESOURCE_SIZE: answer value: bytes. XENMEM_resource_*. */
struct gate_resource {
    uint32_t type;
    uint32_t domid;
    uint32_t resource;
    uint32_t id;
    uint64_t frame;
    uint32_t count;
    uint32_t reserved;
};

/* GATE_HYPERCALL: answer value: what the hypercall gave, errors too (negative); error is only the gate's own. */
struct gate_hypercall {
    uint32_t type;
    uint32_t op; /* __HYPERVISOR_* */
    uint64_t argument[5];
};

#endif
