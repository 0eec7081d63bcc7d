/*
 * What the files of the store share. Errors are errno values (0: done), as they go into XS_ERROR replies.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/store.h"

#include <xenstore_lib.h>

#define STORE_NO_GENERATION UINT64_MAX
#define STORE_NO_DOMAIN 0x7ff4u /* DOMID_INVALID */

/* ---- tree.c: nodes by path ---- */

struct store_permission {
    unsigned domid;
    unsigned access; /* XS_PERM_READ, XS_PERM_WRITE */
    bool ignored;    /* the domain was not there, or has gone since: one that gets its number later inherits nothing */
};

struct store_node {
    struct store_node *next; /* in the bucket */
    uint32_t hash;
    char *path;
    uint64_t generation; /* of the last change of this node: value, permissions or set of children */
    unsigned permission_count;
    struct store_permission *permission; /* the first: the owner, and what all others may do */
    uint32_t value_length;
    uint8_t *value;
    uint32_t children_length;
    char *children; /* leaf names, each with its NUL, in the order of creation: the payload of XS_DIRECTORY */

    bool accounted;          /* it counts as its owner's memory */
    unsigned account_prefix; /* bytes that it has beyond its path in xenstored's data base */
    unsigned account_domid;  /* who has been charged for it, and with what */
    unsigned account_serial;
    uint32_t account_bytes;
};

struct store_table {
    struct store_node **bucket;
    unsigned bucket_count;
    unsigned node_count;
    bool accounted;
    unsigned account_prefix;
};

/* A path's hash; of a longer one that begins with it: the same, put on from there. */
#define STORE_HASH_START 2166136261u
static inline uint32_t store_hash_put(uint32_t hash, char next)
{
    return (hash ^ (uint8_t)next) * 16777619u;
}
uint32_t store_hash(const char *path);

struct store_node *store_table_find(const struct store_table *table, const char *path);
/* The path must be absent. The new node has no permissions, value or children. */
struct store_node *store_table_add(struct store_table *table, const char *path);
void store_table_remove(struct store_table *table, struct store_node *node); /* and free it */
void store_table_clear(struct store_table *table);

void store_node_set_value(struct store_node *node, const void *value, uint32_t length);
void store_node_set_permissions(struct store_node *node, const struct store_permission *permission, unsigned count);
void store_node_add_child(struct store_node *node, const char *leaf);
void store_node_remove_child(struct store_node *node, const char *leaf);
/* Value, permissions, children and generation of `from`. */
void store_node_assign(struct store_node *node, const struct store_node *from);
/* Size that counts against the quota. */
size_t store_node_size(const struct store_node *node);
size_t store_node_record_size(unsigned permissions, uint32_t value_length, uint32_t children_length);
static inline unsigned store_node_owner(const struct store_node *node)
{
    return node->permission[0].domid;
}

/* The parent's path in machine heap ("/" for "/a"). Not for "/" itself. */
char *store_path_parent(const char *path);
const char *store_path_leaf(const char *path);
/* The path as an absolute one in machine heap: a relative one begins at the connection's /local/domain/<domid>. */
char *store_path_absolute(const struct store_connection *connection, const char *path);
/* The same, or NULL when it is not a valid node name. */
char *store_path_resolve(const struct store_connection *connection, const char *path);
static inline bool store_path_is_special(const char *path)
{
    return path[0] == '@';
}

/* ---- memory.c: what a domain's nodes, watches and messages take ---- */

void store_memory_add(unsigned domid, int bytes);
/* So many more would be more than the domain may have. */
bool store_memory_refused(unsigned domid, int bytes);
/* It has more than it may have: nothing is read from its ring. */
bool store_memory_exhausted(unsigned domid);
size_t store_memory_of_node(const struct store_node *node);
/* Charge the node's owner with what it takes now. */
void store_memory_account(struct store_node *node);

/* ---- permissions.c ---- */

/*
 * "@introduceDomain", "@releaseDomain": events with permissions, but no nodes.
 */
struct store_special {
    const char *name;
    struct store_permission *permission;
    unsigned permission_count;
};

/* NULL: there is no such event. */
struct store_special *store_special_find(const char *name);
/* The permissions of both at the start: domain 0's. */
void store_specials_init(void);
/* Note for each entry whether its domain is there. */
void store_permissions_settle(struct store_permission *permission, unsigned count);

/* What the connection may do with a node of these permissions: XS_PERM_READ, XS_PERM_WRITE, XS_PERM_OWNER. */
unsigned store_permissions_of(const struct store_connection *connection, const struct store_permission *permission,
                              unsigned count);
/* "r0" -> entry; false when it is none. */
bool store_permission_parse(const char *string, struct store_permission *permission);
/* Writes "r0" and a NUL; returns the bytes with the NUL. `buffer` has room for 16. */
size_t store_permission_format(const struct store_permission *permission, char *buffer);
bool store_connection_privileged(const struct store_connection *connection);

/* ---- transaction.c: what a connection sees of the tree, and changes ---- */

struct store_access;

struct store_transaction {
    struct store_transaction *next;
    uint32_t id;
    uint64_t generation;        /* at its start */
    bool failed;                /* a limit was hit inside: it can't be committed */
    struct store_table changed; /* this transaction's copies of nodes */
    struct store_access *access, **access_tail;
    unsigned access_count;
    struct store_access **bucket; /* them by path */
    unsigned bucket_count;
    struct store_charge { /* nodes gained or lost, by owner */
        struct store_charge *next;
        unsigned domid;
        int nodes;
    } * charge;
};

/* Start one; its identifier goes to *id. */
int store_transaction_start(struct store_connection *connection, uint32_t *id);
struct store_transaction *store_transaction_find(struct store_connection *connection, uint32_t id);
/* End it: EAGAIN when something that it read has changed since. It is gone in any case. */
int store_transaction_end(struct store_connection *connection, struct store_transaction *transaction, bool commit);
void store_transactions_drop(struct store_connection *connection);

/*
 * The node as seen (transaction NULL: the tree itself), or NULL with errno ENOENT or ENOSPC. Reading inside a
 * transaction takes a copy and notes the node's generation for the check at the end.
 */
struct store_node *store_view_read(struct store_connection *connection, struct store_transaction *transaction,
                                   const char *path, int *error);
/* The node to change, added if absent. Gives it a new generation. */
struct store_node *store_view_change(struct store_connection *connection, struct store_transaction *transaction,
                                     const char *path, int *error);
void store_view_delete(struct store_connection *connection, struct store_transaction *transaction, const char *path);
/* The transaction can't be committed any more: a limit was hit in the middle of an operation. NULL: none to fail. */
void store_view_fail(struct store_transaction *transaction);
void store_view_charge(struct store_transaction *transaction, unsigned domid, int nodes);
/*
 * A change that watchers are to hear of: now, or when the transaction is committed. `before`: the node as it was before
 * a change of permissions or its removal, NULL otherwise. `exact`: only watches of this very path.
 */
void store_view_fire(struct store_connection *connection, struct store_transaction *transaction, const char *path,
                     bool exact, const struct store_node *before);

/* ---- watch.c ---- */

struct store_watch {
    struct store_connection *connection;
    struct store_watch *next, **link; /* of the connection, in the order of arrival */
    struct store_watch *below;        /* in the bucket */
    struct store_watch *match;        /* the next one that hears of what is being fired */
    uint64_t number;                  /* rises with arrival */
    uint32_t hash;
    char *path; /* absolute, or special */
    char *token;
    size_t relative_to; /* bytes to cut from an event's path; 0: an absolute watch */
};

/* All watches of all connections, by path. */
struct store_watches {
    struct store_watch **bucket;
    unsigned bucket_count;
    unsigned count;
    uint64_t number; /* of the latest */
};

/* The new watch is the connection's last. */
int store_watch_add(struct store_connection *connection, const char *path, const char *token);
int store_watch_remove(struct store_connection *connection, const char *path, const char *token);
/* The event that a new watch begins with: the connection's last. */
void store_watch_fire_first(struct store_connection *connection);
void store_watches_drop(struct store_connection *connection);
/*
 * Events of a node's change to all who may hear of it: by the permissions that it had before (may be NULL), those that
 * it has, or its parent's. `removed`: the node has just been removed; otherwise one that is not there has no events.
 */
void store_watches_fire(const char *path, bool exact, const struct store_permission *before, unsigned before_count,
                        bool removed);
void store_watches_fire_special(const char *name);

/* ---- domain.c ---- */

struct store_domain {
    struct store_domain *next; /* by domid */
    unsigned domid;
    bool existed; /* Xen has known it: when it does no more, the domain has ended */
    bool introduced;
    bool shutdown;                       /* reported by @releaseDomain already */
    struct store_connection *connection; /* NULL before it is introduced */
    struct xenstore_domain_interface *interface;
    uint32_t grant_handle;
    uint32_t port;   /* local end; 0: none */
    bool event;      /* the port fired */
    unsigned nodes;  /* owned in the tree */
    unsigned serial; /* of this record: a later domain of the same number has another */
    int64_t memory;
    bool hard_told, soft_told; /* that it exceeds a memory quota */
};

/* The record of a domain, made if absent. */
struct store_domain *store_domain_get(unsigned domid);
struct store_domain *store_domain_find(unsigned domid);
int store_domain_introduce(unsigned domid, uint32_t remote_port);
/* The domain that RELEASE names, to be released once it is answered. */
int store_domain_to_release(unsigned domid, struct store_domain **domain);
/* Nothing of the domain stays: connection, nodes, record. Watchers of @releaseDomain hear of it. */
void store_domain_remove(struct store_domain *domain);
int store_domain_resume(unsigned domid);
int store_domain_set_target(unsigned domid, unsigned target);
bool store_domain_is_introduced(unsigned domid);
/* VIRQ_DOM_EXC: look which domains shut down or ended. */
void store_domains_check(void);

/* ---- ring.c: a domain's shared page ---- */

/* Move messages in and out, and handle at most one request. True if anything moved. */
bool store_ring_serve(struct store_connection *connection);
/* Empty ring, no error, no watches, transactions or messages. */
void store_ring_reset(struct store_domain *domain);

/* ---- connection.c ---- */

struct store_connection {
    struct store_connection *next; /* in order of arrival */
    unsigned number;
    unsigned domid;
    unsigned target;             /* domain that this one acts for (a stub device model), or STORE_NO_DOMAIN */
    struct store_domain *domain; /* with a ring; NULL: in process */
    bool broken;                 /* violated the protocol: nothing more is read from it */
    bool closed;                 /* to be freed by the daemon */

    struct store_watch *watch, **watch_tail;
    unsigned watch_count;
    struct store_transaction *transaction, **transaction_tail;
    unsigned transaction_count;
    uint32_t next_transaction;

    struct store_message *out, **out_tail; /* to the client */
    unsigned out_count;

    struct store_message *in, **in_tail; /* requests of an in-process client */
    void (*wakeup)(void *argument);
    void *argument;
    struct peer *peer; /* with a store elsewhere: the daemon; NULL: lost */

    struct store_message *partial; /* request that is coming in over the ring */
    struct xsd_sockmsg partial_header;
    uint32_t partial_done; /* bytes of header and payload so far */
};

struct store_connection *store_connection_create(unsigned domid);
/* Queue a message; `payload` is copied. */
void store_connection_send(struct store_connection *connection, uint32_t type, uint32_t request, uint32_t transaction,
                           const void *payload, uint32_t length);
/* Drop what has waited too long for domains to take it. */
void store_connections_expire(void);
void store_connection_drop_messages(struct store_connection *connection);
/* The client broke the protocol: nothing of it stays, and nothing more is read. */
void store_connection_break(struct store_connection *connection, uint32_t ring_error);
/* Make the daemon look for work. Callable from anywhere, no switch point. */
void store_wake(void);
/*
 * Bytes that a socket's client has sent: the first request is handled if it is whole. Returns how many bytes it was, 0:
 * it is not whole; -1: it is longer than the protocol allows.
 */
int64_t store_stream(struct store_connection *connection, const uint8_t *bytes, size_t count);
/* A client's request: handled at once, or queued when the daemon is in the middle of one or older ones wait. */
void store_serve(struct store_connection *connection, const struct xsd_sockmsg *header, const uint8_t *payload);

/* ---- elsewhere.c: a client's connection to another store ---- */

void store_elsewhere_connect(struct store_connection *connection);
void store_elsewhere_submit(struct store_connection *connection, const struct xsd_sockmsg *header, const void *payload);
void store_elsewhere_disconnect(struct store_connection *connection);
void store_free_closed(void);

/* ---- wire.c, operations.c, control.c: one request ---- */

struct store_request {
    struct store_connection *connection;
    struct store_transaction *transaction;
    const struct xsd_sockmsg *header;
    const uint8_t *payload;
    uint32_t length;
};

/* Handle a complete request and queue its reply. */
void store_wire_handle(struct store_connection *connection, const struct xsd_sockmsg *header, const uint8_t *payload);
void store_wire_reply(const struct store_request *request, const void *payload,
                      size_t length); /* E2BIG when too long */
void store_wire_reply_ok(const struct store_request *request);
/* The payload is exactly one string: it, or NULL. */
const char *store_wire_one_string(const struct store_request *request);
/* Pointers to the first `count` strings; returns how many strings there are (unterminated rest not counted). */
unsigned store_wire_strings(const struct store_request *request, const char **string, unsigned count);

/* Each returns an errno for the error reply, or 0 when it has replied. */
int store_operation_directory(const struct store_request *request);
int store_operation_directory_part(const struct store_request *request);
int store_operation_read(const struct store_request *request);
int store_operation_write(const struct store_request *request);
int store_operation_mkdir(const struct store_request *request);
int store_operation_rm(const struct store_request *request);
int store_operation_get_permissions(const struct store_request *request);
int store_operation_set_permissions(const struct store_request *request);
int store_operation_control(const struct store_request *request);

/* Remove the nodes that a domain owned that is going, and have its entries in the permissions of others ignored. */
void store_operation_forget_domain(unsigned domid);

/* Tree invariants: every child has its node, every node its parent, every owner its count. Returns a description of the
 * first breach in machine heap, or NULL. */
char *store_check(void);

/* ---- quota.c ---- */

struct store_limit {
    const char *name;
    const char *control; /* the name in the control command's table, of the hard or the soft ones; NULL: not there */
    bool soft;
    size_t offset; /* in struct store_quota */
    const char *meaning;
};

extern const struct store_limit store_limits[]; /* up to one without name */
unsigned *store_limit_value(struct store_quota *quota, const struct store_limit *limit);
/* The defaults, and what the machine's configuration has instead. */
void store_quota_init(struct store_quota *quota);

/* ---- store.c ---- */

struct task;

struct store_state {
    struct store_table tree;
    struct store_watches watches;
    uint64_t generation;
    struct store_connection *connections, **connections_tail;
    unsigned connection_number;
    unsigned domain_serial;
    bool trace;       /* every request goes to the log, or to a file: */
    char *trace_file; /* NULL: to the log */
    struct store_domain *domains;
    struct store_special special[2];
    struct store_quota quota;
    struct task *task;
    bool work;         /* something happened since the daemon last looked */
    bool pumping;      /* the daemon is at work (in its task or in store_pump()) */
    bool domain_event; /* VIRQ_DOM_EXC */
    int virq_port;
    bool moved_out;
    char *elsewhere; /* the socket of the daemon in the place of this one; NULL: there is none */
};

static inline uint64_t store_next_generation(struct store_state *store)
{
    return store->generation++;
}

#endif
