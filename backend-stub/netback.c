/* netback's loop: store events, event channels, and a turn for each VIF that has work. */
#include "netback.h"

#include "keys.h"
#include "vif.h"
#include "wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOME_TOKEN "backend"
#define BUSY_TURNS 8     /* of busy polling, before other events are looked for */
#define SETTLE_LOOK_MS 1 /* between two looks whether a frontend has taken its frames */

const struct netback_statistics *netback_statistics(const struct netback *netback, unsigned index)
{
    return index < netback->statistics_count ? netback->statistics[index] : NULL;
}

unsigned netback_active(const struct netback *netback)
{
    const struct vif *vif;
    unsigned active = 0;

    for (vif = netback->vifs; vif; vif = vif->next)
        active += vif->state != XenbusStateClosed;
    return active;
}

/* The record of a VIF, which outlives it: a VIF of the same number counts on. */
static struct netback_statistics *statistics_get(struct netback *netback, unsigned domid, unsigned handle)
{
    struct netback_statistics *statistics;

    for (unsigned i = 0; i < netback->statistics_count; i++) {
        if (netback->statistics[i]->domid == domid && netback->statistics[i]->handle == handle)
            return netback->statistics[i];
    }
    statistics = calloc(1, sizeof(*statistics));
    statistics->domid = domid;
    statistics->handle = handle;
    netback->statistics =
        realloc(netback->statistics, (netback->statistics_count + 1) * sizeof(struct netback_statistics *));
    netback->statistics[netback->statistics_count++] = statistics;
    return statistics;
}

/* ---- which VIFs there are ---- */

/* Where a VIF of this number is, or would be. */
static struct vif **vif_place(struct netback *netback, unsigned domid, unsigned handle)
{
    struct vif **link = &netback->vifs;

    while (*link && ((*link)->domid < domid || ((*link)->domid == domid && (*link)->handle < handle)))
        link = &(*link)->next;
    return link;
}

static void evaluate(struct netback *netback)
{
    struct vif **link = &netback->vifs;

    while (*link) {
        struct vif *vif = *link;

        if (vif->changed)
            vif_evaluate(vif);
        if (!vif->gone) {
            link = &vif->next;
            continue;
        }
        *link = vif->next;
        vif_log(vif, BACKEND_LOG_INFO, "gone");
        vif_destroy(vif);
    }
}

static void look_at(struct netback *netback, unsigned domid, unsigned handle)
{
    struct vif **link = vif_place(netback, domid, handle), *vif = *link;

    if (!vif || vif->domid != domid || vif->handle != handle) {
        evaluate(netback); /* one that is gone may still have the end that this one is to get */
        link = vif_place(netback, domid, handle);
        vif = vif_create(netback, domid, handle);
        if (!vif)
            return;
        vif->statistics = statistics_get(netback, domid, handle);
        vif->next = *link;
        *link = vif;
    }
    vif->changed = true;
}

/* Call `function` for each child of a directory whose name is a number, in the order of the store. */
static void for_each_number(struct netback *netback, const char *path, unsigned argument,
                            void (*function)(struct netback *netback, unsigned argument, unsigned number))
{
    unsigned count;
    char **name = xs_directory(netback->xs, XBT_NULL, path, &count);

    for (unsigned i = 0; name && i < count; i++) {
        char *end;
        unsigned long number = strtoul(name[i], &end, 10);

        if (end != name[i] && !*end && number <= UINT16_MAX)
            function(netback, argument, (unsigned)number);
    }
    free(name);
}

static void scan_domain(struct netback *netback, unsigned unused, unsigned domid)
{
    char path[KEY_PATH_MAX];

    (void)unused;
    snprintf(path, sizeof(path), "%s/%u", netback->home, domid);
    for_each_number(netback, path, domid, look_at);
}

static void scan(struct netback *netback)
{
    struct vif *vif;

    for (vif = netback->vifs; vif; vif = vif->next)
        vif->changed = true; /* it may be gone */
    for_each_number(netback, netback->home, 0, scan_domain);
}

/* Something at or below the home directory changed. */
static void home_event(struct netback *netback, const char *path)
{
    size_t length = strlen(netback->home);
    unsigned domid, handle;

    if (strncmp(path, netback->home, length) != 0 || sscanf(path + length, "/%u/%u", &domid, &handle) != 2)
        scan(netback); /* the directory itself, or a domain's */
    else if (domid <= UINT16_MAX && handle <= UINT16_MAX)
        look_at(netback, domid, handle);
}

static void store_events(struct netback *netback)
{
    char **event;

    while ((event = xs_check_watch(netback->xs))) {
        unsigned domid, handle;

        if (strcmp(event[XS_WATCH_TOKEN], HOME_TOKEN) == 0) {
            home_event(netback, event[XS_WATCH_PATH]);
        } else if (sscanf(event[XS_WATCH_TOKEN], "f %u %u", &domid, &handle) == 2) {
            struct vif *vif = *vif_place(netback, domid, handle);

            if (vif && vif->domid == domid && vif->handle == handle)
                vif->changed = true;
        }
        free(event);
    }
}

/* ---- the loop ---- */

void netback_set_channel(struct netback *netback, evtchn_port_t port, const struct channel *channel)
{
    if (port >= netback->channels) {
        unsigned count = (port / 64 + 1) * 64;

        netback->channel = realloc(netback->channel, count * sizeof(*netback->channel));
        memset(netback->channel + netback->channels, 0, (count - netback->channels) * sizeof(*netback->channel));
        netback->channels = count;
    }
    netback->channel[port] = *channel;
}

void vif_notify(struct vif *vif, evtchn_port_t port, bool wanted, struct netback_ring_statistics *statistics)
{
    if (!wanted) {
        statistics->notifications_suppressed++;
        return;
    }
    statistics->notifications_sent++;
    if (xenevtchn_notify(vif->netback->xce, port) != 0)
        vif_log(vif, BACKEND_LOG_WARNING, "the frontend can't be notified: %s", strerror(errno));
}

static void ring_event(struct netback *netback, evtchn_port_t port)
{
    const struct channel *channel = port < netback->channels ? &netback->channel[port] : NULL;
    struct vif *vif = channel ? channel->vif : NULL;

    if (!vif || !vif->flowing)
        return;
    if (channel->tx) {
        vif->queue[channel->queue].work = true;
        vif->statistics->tx.ring.events++;
    }
    if (channel->rx) {
        vif->rx_work = true;
        vif->statistics->rx.ring.events++;
    }
    vif->control.work |= channel->control;
}

/* Take the events that there are, one of each port at most: a port that fires again waits for its unmasking. */
static bool channel_events(struct netback *netback)
{
    struct pollfd fd = {.fd = xenevtchn_fd(netback->xce), .events = POLLIN};

    /* Look anew each time: closing a VIF takes its events off the queue, and reading an empty queue blocks. */
    for (;;) {
        xenevtchn_port_or_error_t port;
        int ready = backend_wait(&fd, 1, 0);

        if (ready <= 0)
            return ready == 0;
        port = xenevtchn_pending(netback->xce);
        if (port < 0) {
            backend_log(netback->options.logger, BACKEND_LOG_ERROR, "event channels can't be read: %s",
                        strerror(errno));
            return false;
        }
        ring_event(netback, (evtchn_port_t)port);
        xenevtchn_unmask(netback->xce, (evtchn_port_t)port); /* before the rings are looked at: no event is lost */
    }
}

/* A turn of a VIF: its control ring, which says how frames are steered, its queues in order, frames for the guest. */
static bool serve_vif(struct vif *vif)
{
    bool more = false;

    if (vif->control.work)
        more |= vif->control.work = control_poll(vif);
    for (unsigned i = 0; vif->flowing && i < vif->queues; i++) {
        struct vif_queue *queue = &vif->queue[i];

        if (queue->work)
            more |= queue->work = tx_poll(queue);
    }
    if (vif->flowing && vif->rx_work)
        more |= vif->rx_work = rx_poll(vif);
    return vif->flowing && more;
}

/* One turn of each VIF that has work; how long the loop may sleep then, as backend_wait() has it. */
static int serve(struct netback *netback)
{
    struct vif *vif;
    bool more = false, settles = false;

    for (vif = netback->vifs; vif; vif = vif->next) {
        if (!vif->flowing)
            continue;
        if (__atomic_exchange_n(&vif->port->wake, false, __ATOMIC_ACQUIRE)) {
            vif->rx_work = true;
            vif_publish_link(vif);
        }
        vif->rx_work |= vif->settle_by != 0; /* no event tells that it has come to rest */
        more |= serve_vif(vif);
        settles |= vif->flowing && vif->settle_by;
    }
    return more ? 0 : settles ? SETTLE_LOOK_MS : -1;
}

/* Has anything come that is seen without an event? The next turn takes it. */
static bool has_more(struct vif *vif)
{
    bool more = false;

    if ((vif->rx_work && !vif->rx_lacks) || (vif->rx_lacks && rx_has_requests(vif)) || vif->control.work ||
        __atomic_load_n(&vif->port->wake, __ATOMIC_RELAXED))
        return true;
    for (unsigned i = 0; i < vif->queues; i++) {
        struct vif_queue *queue = &vif->queue[i];

        if (ring_load(&queue->tx.ring->req_prod) != queue->tx.seen)
            more = queue->work = true;
    }
    return more;
}

static bool any_has_more(struct netback *netback)
{
    for (struct vif *vif = netback->vifs; vif; vif = vif->next) {
        if (vif->flowing && has_more(vif))
            return true;
    }
    return false;
}

/* Before the turn that finds nothing and asks for events: who has just sent often goes on. False: nothing has come. */
static bool busy_poll(struct netback *netback)
{
    unsigned long long now, end = 0;

    while (!any_has_more(netback)) {
        now = backend_clock();
        if (!end)
            end = now + netback->options.busy_poll_us * 1000ull;
        if (now >= end)
            return false;
    }
    return true;
}

/* As serve(), and again while there is more on the rings, some turns at most: then other events are looked for. */
static int serve_busily(struct netback *netback)
{
    unsigned turns = netback->options.busy_poll_us ? BUSY_TURNS : 1;
    int sleep;

    do
        sleep = serve(netback);
    while (--turns && sleep == 0 && busy_poll(netback));
    return sleep;
}

bool netback_run(struct netback *netback)
{
    int sleep = -1;

    while (!__atomic_load_n(&netback->stop, __ATOMIC_ACQUIRE)) {
        struct pollfd fds[2] = {
            {.fd = xs_fileno(netback->xs), .events = POLLIN},
            {.fd = xenevtchn_fd(netback->xce), .events = POLLIN},
        };

        if (backend_wait(fds, 2, sleep) < 0) {
            backend_log(netback->options.logger, BACKEND_LOG_ERROR, "waiting failed: %s", strerror(errno));
            return false;
        }
        if (fds[0].revents) {
            store_events(netback);
            if (errno != EAGAIN) {
                backend_log(netback->options.logger, BACKEND_LOG_ERROR, "the store's connection is lost: %s",
                            strerror(errno));
                return false;
            }
            evaluate(netback);
        }
        if ((fds[1].revents & POLLIN) && !channel_events(netback))
            return false;
        sleep = serve_busily(netback);
    }
    return true;
}

void netback_stop(struct netback *netback)
{
    __atomic_store_n(&netback->stop, true, __ATOMIC_RELEASE);
    backend_interrupt();
}

struct netback *netback_create(const struct netback_options *options)
{
    struct netback *netback = calloc(1, sizeof(*netback));
    const char *missing = NULL;

    netback->options = *options;
    netback->features = options->features ? *options->features : features_default;
    snprintf(netback->home, sizeof(netback->home), "/local/domain/%u/backend/vif", options->domid);
    netback->tx_batch = tx_batch_create();
    netback->rx_batch = rx_batch_create();
    if (!netback->tx_batch || !netback->rx_batch)
        missing = "memory";
    else if (!(netback->xs = xs_open(XS_UNWATCH_FILTER)))
        missing = "the store (xenstored)";
    else if (!(netback->xce = xenevtchn_open(NULL, 0)))
        missing = "event channels (/dev/xen/evtchn)";
    else if (!(netback->xgt = xengnttab_open(NULL, 0)))
        missing = "grants (/dev/xen/gntdev)";
    else if (!xs_watch(netback->xs, netback->home, HOME_TOKEN))
        missing = "a watch in the store";
    if (!missing)
        return netback;
    backend_log(options->logger, BACKEND_LOG_ERROR, "netback can't have %s: %s", missing, strerror(errno));
    netback_destroy(netback);
    return NULL;
}

void netback_destroy(struct netback *netback)
{
    if (!netback)
        return;
    while (netback->vifs) {
        struct vif *vif = netback->vifs;

        netback->vifs = vif->next;
        vif_destroy(vif);
    }
    xs_close(netback->xs);
    if (netback->xce)
        xenevtchn_close(netback->xce);
    if (netback->xgt)
        xengnttab_close(netback->xgt);
    for (unsigned i = 0; i < netback->statistics_count; i++)
        free(netback->statistics[i]);
    free(netback->statistics);
    free(netback->channel);
    tx_batch_destroy(netback->tx_batch);
    rx_batch_destroy(netback->rx_batch);
    free(netback);
}
