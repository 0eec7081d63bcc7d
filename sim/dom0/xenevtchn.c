/* libxenevtchn on the simulated Xen: xenevtchn.h of the distribution says what each call does. */
#include "dom0/heap.h"

#include "dom0/dom0.h"

#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <errno.h>
#include <xenevtchn.h>

#define NOT_RESTRICTED UINT32_MAX

struct port {
    struct port *next;         /* of the handle, in the order of binding */
    struct port *next_pending; /* in the order of firing */
    struct xenevtchn_handle *handle;
    uint32_t number;
    bool pending;
};

struct xenevtchn_handle {
    unsigned domid;
    uint32_t restricted;
    struct port *ports;
    struct port *pending, **pending_tail;
    struct dom0_fd fd;
};

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    struct xenevtchn_handle *handle;
    KERNEL_SCOPE();

    (void)logger;
    if (flags & ~(unsigned)XENEVTCHN_NO_CLOEXEC) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    handle->domid = dom0_domid();
    handle->restricted = NOT_RESTRICTED;
    handle->pending_tail = &handle->pending;
    dom0_fd_open(&handle->fd);
    return handle;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    return xce->fd.number;
}

static void on_event(void *argument, uint32_t number)
{
    struct port *port = argument;
    struct xenevtchn_handle *handle = port->handle;

    (void)number;
    if (port->pending)
        return;
    port->pending = true;
    port->next_pending = NULL;
    *handle->pending_tail = port;
    handle->pending_tail = &port->next_pending;
    dom0_fd_set_readable(&handle->fd, true);
}

static struct port *port_find(const struct xenevtchn_handle *handle, uint32_t number)
{
    struct port *port;

    for (port = handle->ports; port; port = port->next) {
        if (port->number == number)
            return port;
    }
    return NULL;
}

static struct port *port_create(struct xenevtchn_handle *handle)
{
    struct port *port = calloc(1, sizeof(*port));

    port->handle = handle;
    return port;
}

/* The call that binds has made `result` of it. */
static xenevtchn_port_or_error_t port_bound(struct port *port, int result)
{
    struct port **link = &port->handle->ports;

    if (result < 0) {
        free(port);
        return dom0_result(result);
    }
    port->number = (uint32_t)result;
    while (*link)
        link = &(*link)->next;
    *link = port;
    return result;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
    struct port *port;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (xce->restricted != NOT_RESTRICTED && xce->restricted != domid) {
        errno = EACCES;
        return -1;
    }
    port = port_create(xce);
    return port_bound(port, xen_evtchn_alloc_unbound(xce->domid, domid, on_event, port));
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port)
{
    struct port *port;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (xce->restricted != NOT_RESTRICTED && xce->restricted != domid) {
        errno = EACCES;
        return -1;
    }
    port = port_create(xce);
    return port_bound(port, xen_evtchn_bind_interdomain(xce->domid, domid, remote_port, on_event, port));
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
    struct port *port;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (xce->restricted != NOT_RESTRICTED) {
        errno = EACCES;
        return -1;
    }
    port = port_create(xce);
    return port_bound(port, xen_evtchn_bind_virq(xce->domid, virq, on_event, port));
}

static void pending_remove(struct xenevtchn_handle *handle, struct port *port)
{
    struct port **link = &handle->pending;

    if (!port->pending)
        return;
    while (*link != port)
        link = &(*link)->next_pending;
    *link = port->next_pending;
    if (handle->pending_tail == &port->next_pending)
        handle->pending_tail = link;
    port->pending = false;
    if (!handle->pending)
        dom0_fd_set_readable(&handle->fd, false);
}

static int port_close(struct xenevtchn_handle *handle, struct port *port)
{
    struct port **link = &handle->ports;
    int result = xen_evtchn_close(handle->domid, port->number);

    pending_remove(handle, port);
    while (*link != port)
        link = &(*link)->next;
    *link = port->next;
    free(port);
    return dom0_result(result);
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t number)
{
    struct port *port = port_find(xce, number);

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!port) {
        errno = ENOTCONN;
        return -1;
    }
    return port_close(xce, port);
}

int xenevtchn_close(xenevtchn_handle *xce)
{
    KERNEL_SCOPE();

    if (!xce)
        return 0;
    while (xce->ports)
        port_close(xce, xce->ports);
    dom0_fd_close(&xce->fd);
    free(xce);
    return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t number)
{
    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!port_find(xce, number)) {
        errno = ENOTCONN;
        return -1;
    }
    return dom0_result(xen_evtchn_send(xce->domid, number));
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    struct port *port;
    unsigned tries = 0;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    while (!xce->pending) {
        if (!dom0_wait(&xce->fd.waiters, "event channel", &tries)) {
            errno = EDEADLK;
            return -1;
        }
    }
    port = xce->pending;
    pending_remove(xce, port);
    return (xenevtchn_port_or_error_t)port->number;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t number)
{
    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!port_find(xce, number)) {
        errno = ENOTCONN;
        return -1;
    }
    return dom0_result(xen_evtchn_unmask(xce->domid, number));
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
    if (xce->restricted != NOT_RESTRICTED) {
        errno = EACCES;
        return -1;
    }
    xce->restricted = domid;
    return 0;
}
