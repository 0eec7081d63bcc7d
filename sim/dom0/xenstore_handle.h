/* A connection of the in-process libxenstore, between xenstore.c (requests) and xenstore_watch.c (events). */
#ifndef DOM0_XENSTORE_HANDLE_H
#define DOM0_XENSTORE_HANDLE_H

#include "dom0/dom0.h"
#include "store/store.h"

#include <xenstore.h>

struct xs_handle {
    struct store_connection *connection;
    bool filter_unwatched; /* XS_UNWATCH_FILTER */
    uint32_t last_request;
    struct store_message *replies, **replies_tail;
    struct store_message *events, **events_tail;
    struct dom0_waiter *waiters; /* for a reply */
    struct dom0_fd fd;           /* readable while events wait; its waiters wait for one */
};

struct xs_part {
    const void *data;
    size_t length;
};

/*
 * Send a request of the given parts and wait for its reply. Returns the reply's payload with a NUL behind it, to be
 * freed by the caller, and its length; NULL with errno when the request failed.
 */
char *xs_request(struct xs_handle *handle, xs_transaction_t transaction, uint32_t type, const struct xs_part *part,
                 unsigned parts, uint32_t *length);
/* The same for requests whose reply carries nothing. */
bool xs_command(struct xs_handle *handle, xs_transaction_t transaction, uint32_t type, const struct xs_part *part,
                unsigned parts);

static inline struct xs_part xs_string(const char *string)
{
    return (struct xs_part){string, __builtin_strlen(string) + 1};
}

#endif
