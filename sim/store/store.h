/*
 * XenStore, as C xenstored 4.17 keeps and serves it: docs/misc/xenstore.txt and xenstore-ring.txt of Xen, io/xs_wire.h.
 *
 * One dom0 task, the daemon, takes requests one after the other, a message a connection in turn, and answers them.
 * Clients are domains on their shared ring (made known by XS_INTRODUCE) and in-process clients, which exchange whole
 * messages and otherwise are what a connection over the daemon's socket is. All memory is machine heap.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <errno.h> /* before xs_wire.h, whose table of errors needs it */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <xen/io/xs_wire.h>

struct store_connection;

/* A message to or from a client. One block of machine heap. */
struct store_message {
    struct store_message *next;
    uint32_t done;     /* bytes of header and payload already on the ring */
    uint64_t deadline; /* by the machine's clock: an event that no ring has taken by then is dropped; 0: never */
    struct xsd_sockmsg header;
    uint8_t payload[]; /* header.len bytes, right behind the header */
};

/* Component initialisation, after xen_init(): the tree with its first nodes, and the daemon's task. */
void store_init(void);

/*
 * Serve clients of a domain, 0 or a driver domain, on a Unix socket at this path (XENSTORED_PATH of libxenstore): false
 * with errno. From a task, or the host's stack before the machine runs.
 */
bool store_listen(const char *path, unsigned domid);

/*
 * Before anybody has connected: nothing of the above is used. The store will be a program beside the machine, and
 * clients in the machine, which are of domain 0 then, are connected to its socket, which store_find() is to be given.
 * False with errno: nobody answers there (yet); until somebody has, no client may connect. From a task.
 */
void store_move_out(void);
bool store_find(const char *path);
bool store_is_elsewhere(void);

/*
 * Connect a client of domain `domid`; 0 is privileged, others are treated as that domain.
 * `wakeup` is called (it must not block) whenever a message for the client has come.
 */
struct store_connection *store_connect(unsigned domid, void (*wakeup)(void *argument), void *argument);
/* Drops the client's watches and transactions and unread messages. The pointer is dead afterwards. */
void store_disconnect(struct store_connection *connection);

/* Queue a request. The payload is copied; more than XENSTORE_PAYLOAD_MAX bytes cuts the connection, as on the wire. */
void store_submit(struct store_connection *connection, uint32_t type, uint32_t request, uint32_t transaction,
                  const void *payload, uint32_t length);
/* The oldest message for the client, or NULL. The caller frees it with image_free(). */
struct store_message *store_receive(struct store_connection *connection);
/* The daemon has cut the connection (protocol violation). */
bool store_connection_broken(const struct store_connection *connection);

/*
 * Let the daemon work until nothing is left to do. For callers that are no dom0 task (the host's stack before the
 * machine runs, host tests, guest threads of tests); a task waits for its wakeup instead.
 */
void store_pump(void);

struct census;
void store_census(struct census *census);

/* Limits on what an unprivileged domain may hold. They are C xenstored's, or the machine's configuration has others. */
struct store_quota {
    unsigned nodes;             /* owned by a domain; then ENOSPC */
    unsigned watches;           /* E2BIG when a domain holds more than this */
    unsigned transactions;      /* ENOSPC when a domain has more than this open */
    unsigned node_size;         /* bytes of a node: header, permissions, value, names of children; then ENOSPC */
    unsigned permissions;       /* entries of a node; then ENOSPC */
    unsigned path_length;       /* bytes of a path below the domain's own; then EINVAL */
    unsigned outstanding;       /* unread messages to a domain; its requests wait while there are as many */
    unsigned transaction_nodes; /* touched by one transaction; then ENOSPC */
    unsigned memory;            /* bytes of nodes, watches, messages; then errors, and requests wait. 0: no limit */
    unsigned memory_soft;       /* bytes at which there is a warning. 0: none */
    unsigned watch_event;       /* seconds that an event waits for room on a domain's ring. 0: for ever */
};
struct store_quota *store_quota(void);
/* Has the domain as many watches as it may have? Of a store that is a program beside the machine nobody knows. */
bool store_watches_are_used_up(unsigned domid);

/* The name of a limit for machine_config.store_limit, NULL: there is none of these letters. A table of them. */
const char *store_limit_name(const char *name, size_t length);
void store_limits_list(FILE *file);

#endif
