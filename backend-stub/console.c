#include "console.h"

#include "keys.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/grant_table.h>
#include <xen/io/console.h>

#define TOKEN "console"
#define TYPE "xenconsoled"

struct console {
    struct console *next; /* by ascending domid */
    unsigned domid;
    uint32_t remote_port;           /* as the store names it */
    struct xencons_interface *ring; /* NULL: taken */
    evtchn_port_t port;
    bool seen; /* at the scan that is under way */

    char history[CONSOLE_HISTORY];
    uint64_t written; /* bytes of output so far */
    char typed[CONSOLE_TYPED];
    size_t typed_count;
};

struct consoles {
    struct consoles_options options;
    struct xs_handle *xs;
    xenevtchn_handle *xce;
    xengnttab_handle *xgt;
    struct console *first;
    bool stop;
};

static void news(const struct consoles *consoles)
{
    consoles->options.news(consoles->options.context);
}

/* ---- the ring ---- */

/* What the guest has written: the history takes it. Indices that cannot be are the guest's own loss. */
static bool take_output(struct console *console)
{
    struct xencons_interface *ring = console->ring;
    XENCONS_RING_IDX consumed = __atomic_load_n(&ring->out_cons, __ATOMIC_RELAXED);
    XENCONS_RING_IDX produced = __atomic_load_n(&ring->out_prod, __ATOMIC_ACQUIRE);

    if (produced == consumed || produced - consumed > sizeof(ring->out))
        return false;
    for (; consumed != produced; consumed++)
        console->history[console->written++ % CONSOLE_HISTORY] = ring->out[MASK_XENCONS_IDX(consumed, ring->out)];
    __atomic_store_n(&ring->out_cons, consumed, __ATOMIC_RELEASE);
    return true;
}

static bool give_input(struct console *console)
{
    struct xencons_interface *ring = console->ring;
    XENCONS_RING_IDX produced = __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED);
    XENCONS_RING_IDX consumed = __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
    size_t given = 0;

    if (produced - consumed > sizeof(ring->in))
        return false;
    for (; given < console->typed_count && produced - consumed < sizeof(ring->in); given++)
        ring->in[MASK_XENCONS_IDX(produced++, ring->in)] = console->typed[given];
    if (given == 0)
        return false;
    __atomic_store_n(&ring->in_prod, produced, __ATOMIC_RELEASE);
    console->typed_count -= given;
    memmove(console->typed, console->typed + given, console->typed_count);
    return true;
}

/* What was typed while the loop was at work has interrupted nothing. */
static bool can_give_input(const struct consoles *consoles)
{
    for (const struct console *console = consoles->first; console; console = console->next) {
        const struct xencons_interface *ring = console->ring;

        if (ring && console->typed_count != 0 &&
            __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED) - __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE) <
                sizeof(ring->in))
            return true;
    }
    return false;
}

static void serve(struct consoles *consoles, struct console *console)
{
    bool output = take_output(console);
    bool input = give_input(console);

    if (!output && !input)
        return;
    xenevtchn_notify(consoles->xce, console->port);
    news(consoles);
}

/* ---- which there are ---- */

static struct console **place(struct consoles *consoles, unsigned domid)
{
    struct console **link = &consoles->first;

    while (*link && (*link)->domid < domid)
        link = &(*link)->next;
    return link;
}

static struct console *find(const struct consoles *consoles, unsigned domid)
{
    struct console *console = consoles->first;

    while (console && console->domid != domid)
        console = console->next;
    return console;
}

static void close_console(struct consoles *consoles, struct console **link)
{
    struct console *console = *link;

    *link = console->next;
    if (console->ring) {
        xenevtchn_unbind(consoles->xce, console->port);
        xengnttab_unmap(consoles->xgt, console->ring, 1);
    }
    free(console);
    news(consoles);
}

/* The reserved grant, which the toolstack has seeded, and the port; false: another program has that one. */
static bool connect_console(struct consoles *consoles, struct console *console)
{
    xenevtchn_port_or_error_t port;

    console->ring =
        xengnttab_map_grant_ref(consoles->xgt, console->domid, GNTTAB_RESERVED_CONSOLE, PROT_READ | PROT_WRITE);
    if (!console->ring)
        return false;
    port = xenevtchn_bind_interdomain(consoles->xce, console->domid, console->remote_port);
    if (port < 0) {
        xengnttab_unmap(consoles->xgt, console->ring, 1);
        console->ring = NULL;
        return false;
    }
    console->port = (evtchn_port_t)port;
    return true;
}

static void try_console(struct consoles *consoles, struct console *console)
{
    if (connect_console(consoles, console))
        serve(consoles, console);
    else
        backend_log(consoles->options.logger, BACKEND_LOG_INFO, "the console of domain %u is not to be had: %s",
                    console->domid, strerror(errno));
    news(consoles);
}

static void open_console(struct consoles *consoles, unsigned domid, uint32_t port)
{
    struct console **link = place(consoles, domid);
    struct console *console = *link;

    if (console && console->domid == domid && console->remote_port == port) {
        console->seen = true;
        if (!console->ring)
            try_console(consoles, console);
        return;
    }
    if (console && console->domid == domid) /* the domain has another one */
        close_console(consoles, link);
    console = calloc(1, sizeof(*console));
    console->domid = domid;
    console->remote_port = port;
    console->seen = true;
    console->next = *link;
    *link = console;
    try_console(consoles, console);
}

static void look_at(struct consoles *consoles, unsigned domid)
{
    uint32_t port;
    char *type = key_read(consoles->xs, XBT_NULL, "/local/domain/%u/console/type", domid);
    bool ours = type && strcmp(type, TYPE) == 0;

    free(type);
    if (ours && key_read_number(consoles->xs, XBT_NULL, UINT32_MAX, &port, "/local/domain/%u/console/port", domid))
        open_console(consoles, domid, port);
}

static void scan(struct consoles *consoles)
{
    unsigned count = 0;
    char **name = xs_directory(consoles->xs, XBT_NULL, "/local/domain", &count);
    struct console **link = &consoles->first;

    for (struct console *console = consoles->first; console; console = console->next)
        console->seen = false;
    for (unsigned i = 0; name && i < count; i++) {
        unsigned long domid = strtoul(name[i], NULL, 10);

        if (domid != 0 && domid < DOMID_FIRST_RESERVED)
            look_at(consoles, (unsigned)domid);
    }
    free(name);
    while (*link) {
        if ((*link)->seen)
            link = &(*link)->next;
        else
            close_console(consoles, link);
    }
}

/* ---- the loop ---- */

static void store_events(struct consoles *consoles)
{
    bool changed = false;
    char **event;

    while ((event = xs_check_watch(consoles->xs))) {
        changed = true;
        free(event);
    }
    if (changed)
        scan(consoles);
}

static void port_event(struct consoles *consoles)
{
    xenevtchn_port_or_error_t port = xenevtchn_pending(consoles->xce);
    struct console *console = consoles->first;

    if (port < 0)
        return;
    while (console && !(console->ring && console->port == (evtchn_port_t)port))
        console = console->next;
    xenevtchn_unmask(consoles->xce, (evtchn_port_t)port); /* before the ring is looked at: no event is lost */
    if (console)
        serve(consoles, console);
}

bool consoles_run(struct consoles *consoles)
{
    while (!__atomic_load_n(&consoles->stop, __ATOMIC_ACQUIRE)) {
        struct pollfd fds[2] = {
            {.fd = xs_fileno(consoles->xs), .events = POLLIN},
            {.fd = xenevtchn_fd(consoles->xce), .events = POLLIN},
        };
        int ready = backend_wait(fds, 2, can_give_input(consoles) ? 0 : -1);

        if (ready < 0) {
            backend_log(consoles->options.logger, BACKEND_LOG_ERROR, "waiting failed: %s", strerror(errno));
            return false;
        }
        if (fds[0].revents)
            store_events(consoles);
        if (fds[1].revents & POLLIN)
            port_event(consoles);
        for (struct console *console = consoles->first; console; console = console->next)
            if (console->ring)
                serve(consoles, console);
    }
    return true;
}

void consoles_stop(struct consoles *consoles)
{
    __atomic_store_n(&consoles->stop, true, __ATOMIC_RELEASE);
    backend_interrupt();
}

struct consoles *consoles_create(const struct consoles_options *options)
{
    struct consoles *consoles = calloc(1, sizeof(*consoles));
    const char *missing = NULL;

    consoles->options = *options;
    if (!(consoles->xs = xs_open(XS_UNWATCH_FILTER)))
        missing = "the store (xenstored)";
    else if (!(consoles->xce = xenevtchn_open(NULL, 0)))
        missing = "event channels (/dev/xen/evtchn)";
    else if (!(consoles->xgt = xengnttab_open(NULL, 0)))
        missing = "grants (/dev/xen/gntdev)";
    else if (!xs_watch(consoles->xs, "@introduceDomain", TOKEN) || !xs_watch(consoles->xs, "@releaseDomain", TOKEN))
        missing = "a watch in the store";
    if (!missing)
        return consoles;
    backend_log(options->logger, BACKEND_LOG_ERROR, "the consoles can't have %s: %s", missing, strerror(errno));
    consoles_destroy(consoles);
    return NULL;
}

void consoles_destroy(struct consoles *consoles)
{
    if (!consoles)
        return;
    while (consoles->first)
        close_console(consoles, &consoles->first);
    xs_close(consoles->xs);
    if (consoles->xce)
        xenevtchn_close(consoles->xce);
    if (consoles->xgt)
        xengnttab_close(consoles->xgt);
    free(consoles);
}

/* ---- for who is attached ---- */

enum console_state consoles_state(const struct consoles *consoles, unsigned domid)
{
    const struct console *console = find(consoles, domid);

    if (!console)
        return CONSOLE_NONE;
    return console->ring ? CONSOLE_OPEN : CONSOLE_TAKEN;
}

void consoles_retry(struct consoles *consoles, unsigned domid)
{
    struct console *console = find(consoles, domid);

    if (console && !console->ring)
        try_console(consoles, console);
}

size_t consoles_read(const struct consoles *consoles, unsigned domid, uint64_t *position, char *buffer, size_t size)
{
    const struct console *console = find(consoles, domid);
    size_t count = 0;

    if (!console)
        return 0;
    if (console->written > CONSOLE_HISTORY && *position < console->written - CONSOLE_HISTORY)
        *position = console->written - CONSOLE_HISTORY;
    while (count < size && *position < console->written)
        buffer[count++] = console->history[(*position)++ % CONSOLE_HISTORY];
    return count;
}

size_t consoles_write(struct consoles *consoles, unsigned domid, const char *bytes, size_t count)
{
    struct console *console = find(consoles, domid);

    if (!console || !console->ring)
        return 0;
    if (count > CONSOLE_TYPED - console->typed_count)
        count = CONSOLE_TYPED - console->typed_count;
    if (count == 0)
        return 0;
    memcpy(console->typed + console->typed_count, bytes, count);
    console->typed_count += count;
    backend_interrupt();
    return count;
}
