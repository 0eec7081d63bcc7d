/*
 * What the drop-in libraries have in common: a handle is a connection to the gate of a running machine
 * (dom0/gate_protocol.h). Linked into each of them.
 */
#ifndef DOM0_LIB_DROPIN_H
#define DOM0_LIB_DROPIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/event_channel.h>
#include <xentoollog.h>

#include "dom0/gate_protocol.h"

#define DROPIN_PAGE 4096u

/* ---- libxentoolcore's, for xentoolcore_restrict_all(): its header for libraries is not in libxen-dev ---- */

struct toolcore_handle {
    int (*restrict_callback)(struct toolcore_handle *handle, domid_t domid);
    struct {
        struct toolcore_handle *next;
        struct toolcore_handle **previous;
    } entry;
};

void xentoolcore__register_active_handle(struct toolcore_handle *handle);
void xentoolcore__deregister_active_handle(struct toolcore_handle *handle);
int xentoolcore__restrict_by_dup2_null(int fd);

/* ---- the connection ---- */

struct dropin {
    struct toolcore_handle active; /* the first: its callback gets its address */
    const char *library;
    xentoollog_logger *logger;
    xentoollog_logger *own_logger;
    pthread_mutex_t lock; /* one request at a time */
    int fd;
    int kept; /* after a restriction: keeps what the handle holds, and says no more */
};

/* Memory that a handle and the gate share. */
struct dropin_arena {
    uint8_t *start;
    size_t bytes;
};

/*
 * Connect. arena: NULL, or made with that many bytes. brought: what the gate sends along, NULL: nothing. value: of the
 * answer. False with errno; what was made is gone again, but not the handle itself.
 */
bool dropin_open(struct dropin *dropin, const char *library, xentoollog_logger *logger,
                 int (*restrict_callback)(struct toolcore_handle *handle, domid_t domid), enum gate_kind kind,
                 struct dropin_arena *arena, int *brought);
/* Take over a connection. */
void dropin_adopt(struct dropin *dropin, const char *library, xentoollog_logger *logger,
                  int (*restrict_callback)(struct toolcore_handle *handle, domid_t domid), int fd);
void dropin_close(struct dropin *dropin);
void dropin_arena_close(struct dropin_arena *arena);

/* A request and its answer; what follows it goes to `more`. -1 with errno, the gate's or the connection's. */
int dropin_ask(struct dropin *dropin, const void *request, size_t bytes, int64_t *value, void *more, size_t room);
/* A request without an answer. */
int dropin_tell(struct dropin *dropin, const void *request, size_t bytes);
/* GATE_RESTRICT. */
int dropin_restrict(struct dropin *dropin, domid_t domid);
/* The same as libxentoolcore calls it. */
int dropin_restrict_active(struct toolcore_handle *handle, domid_t domid);
/* As the device files that know no restriction: nothing new can be had, what is held stays until the handle closes. */
int dropin_retire(struct toolcore_handle *handle, domid_t domid);
/* Log an error; errno stays. */
void dropin_error(struct dropin *dropin, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- pages (only those libraries that map have it) ---- */

/* Mapped pages, held by one or more numbers of the gate. */
struct dropin_mapping {
    struct dropin_mapping *next;
    uint8_t *address;
    size_t pages;
    size_t count;
    uint32_t number[];
};

/* A range of addresses where nothing can be accessed yet. NULL with errno. */
struct dropin_mapping *dropin_reserve(void *at, int flags, size_t pages);
/* A page of guest RAM there. */
bool dropin_show(const struct dropin_mapping *mapping, size_t index, int ram, uint32_t page, int prot);
void dropin_unreserve(struct dropin_mapping *mapping);
/* Give up by this request type what the mapping has, its addresses and itself; errno stays unless the gate refuses. */
int dropin_give_up(struct dropin *dropin, struct dropin_mapping *mapping, enum gate_type type);
/* Unlink the mapping that has this address and size; NULL with errno. */
struct dropin_mapping *dropin_take(struct dropin *dropin, struct dropin_mapping **list, const void *address,
                                   size_t pages);
/*
 * Keep a mapping. What lies in the same place and was kept before has been unmapped by the program itself, as is done
 * with foreign pages: it is given up by this request type.
 */
void dropin_link(struct dropin *dropin, struct dropin_mapping **list, struct dropin_mapping *mapping,
                 enum gate_type type);

#endif
