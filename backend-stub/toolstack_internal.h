/* Between toolstack.c (domains) and toolstack_vif.c (network interfaces). */
#ifndef BACKEND_TOOLSTACK_INTERNAL_H
#define BACKEND_TOOLSTACK_INTERNAL_H

#include "toolstack.h"

#include <xenstore.h>

#define TOOLSTACK_PATH_MAX 256

struct toolstack {
    struct xs_handle *xs;
    const struct backend_logger *logger;
    char error[256];
    bool exists; /* toolstack_network_exists() */
};

/* Keep and log why a call failed. Always false. */
bool toolstack_fail(struct toolstack *toolstack, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Several changes in one transaction, tried again while others interfere. False with errno; `change` returns false,
 * with errno, to give up.
 */
bool toolstack_transaction(struct toolstack *toolstack,
                           bool (*change)(struct toolstack *toolstack, xs_transaction_t transaction,
                                          const void *argument),
                           const void *argument);

/* Wait until `reached` says so of the node, whose changes it is called at. False: not within the time. */
bool toolstack_wait_node(struct toolstack *toolstack, const char *path,
                         bool (*reached)(struct toolstack *toolstack, const char *path, void *argument), void *argument,
                         int timeout_ms);

/* Make a node whose owner is `owner`, with no access for others, and `access` for `domid`. */
bool toolstack_make_node(struct toolstack *toolstack, xs_transaction_t transaction, const char *path, unsigned owner,
                         unsigned domid, unsigned access);
/* Remove a node with all below it, and each directory above it that is empty then. */
bool toolstack_remove(struct toolstack *toolstack, xs_transaction_t transaction, const char *path);

#endif
