/* What both sides of libxengnttab on the simulated Xen share: the header gives their handles the same type. */
#ifndef DOM0_XENGNTTAB_HANDLE_H
#define DOM0_XENGNTTAB_HANDLE_H

#include "dom0/dom0.h"

#define GRANT_PAGE_SIZE 4096u
#define NO_NOTIFY UINT32_MAX /* xengnttab.h's -1 */

/* Pages that are seen: grants of others that are mapped, or pages that are shared with others. */
struct grant_pages {
    struct grant_pages *next;
    uint8_t *address;
    uint32_t count;
    uint32_t notify_offset; /* byte to clear at the end, or NO_NOTIFY */
    uint32_t notify_port;   /* port to signal then, or NO_NOTIFY */
    uint32_t item[];        /* of each page the handle of its mapping, or the reference of its grant */
};

struct xengntdev_handle {
    unsigned domid;
    uint32_t max_grants;
    uint32_t mapped;
    struct grant_pages *pages;
    struct dom0_fd fd;
};

/* NULL with EINVAL for a flag. */
struct xengntdev_handle *grant_handle_open(unsigned flags);
/* What is still there ends as `end` has it. */
int grant_handle_close(struct xengntdev_handle *handle,
                       void (*end)(struct xengntdev_handle *handle, struct grant_pages *pages));

/* A notification that can be asked for: EINVAL, or 0. */
int grant_notify_check(const struct xengntdev_handle *handle, uint32_t count, uint32_t offset, uint32_t port);
/* Take the pages that begin at this address, and are so many, from the handle; NULL with EINVAL: there are none. */
struct grant_pages *grant_pages_take(struct xengntdev_handle *handle, const void *address, uint32_t count);
/* The unmap notification, and the window closes. */
void grant_pages_leave(const struct xengntdev_handle *handle, const struct grant_pages *pages);

#endif
