/* Event channels of programs: as /dev/xen/evtchn has them. */
#include "dom0/gate_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "machine/image.h"
#include "machine/machine.h"
#include "xen/xen.h"

static void ignore(struct peer *peer)
{
    size_t bytes;

    while (peer_input(peer, &bytes) != NULL) /* nothing is said on it in this direction */
        peer_consume(peer, bytes);
}

static void stream_closed(struct peer *peer)
{
    struct gate_handle *handle = peer_data(peer);

    handle->events = NULL;
}

static const struct peer_service stream = {
    .name = "gate's events", .turns = true, .input = ignore, .closed = stream_closed};

int gate_evtchn_open(struct gate_handle *handle)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    handle->events = peer_open_beside(handle->peer, ends[0], &stream, handle);
    if (handle->events != NULL)
        return ends[1];
    close(ends[0]);
    close(ends[1]);
    return -1;
}

static struct gate_bound *find(const struct gate_handle *handle, uint32_t number)
{
    struct gate_bound *port = handle->ports;

    while (port != NULL && port->number != number)
        port = port->next;
    return port;
}

bool gate_port_is_bound(unsigned domid, uint32_t number)
{
    for (const struct gate_handle *handle = machine->gate->handles; handle != NULL; handle = handle->next)
        if (handle->kind == GATE_EVTCHN && handle->domid == domid && find(handle, number) != NULL)
            return true;
    return false;
}

static void fired(void *argument, uint32_t number)
{
    struct gate_bound *port = argument;
    struct gate_handle *handle = port->handle;

    if (handle == NULL || handle->events == NULL)
        return;
    port->fired = true;
    peer_owe(handle->peer, 1);
    peer_write(handle->events, &number, sizeof(number));
}

/* The program has seen what the port told. */
static void acknowledge(struct gate_bound *port)
{
    if (port->fired)
        peer_owe(port->handle->peer, -1);
    port->fired = false;
}

static void bind_port(struct gate_handle *handle, uint32_t type, const struct gate_port *request)
{
    struct gate_bound **link = &handle->ports;
    struct gate_bound *port;
    int number;

    if (type == GATE_BIND_VIRQ ? handle->restricted != GATE_NONE : !gate_may(handle, request->domid)) {
        gate_reply(handle, EACCES, 0, NULL, 0);
        return;
    }
    port = image_alloc(sizeof(*port));
    port->handle = handle;
    if (type == GATE_BIND_UNBOUND)
        number = xen_evtchn_alloc_unbound(handle->domid, request->domid, fired, port);
    else if (type == GATE_BIND_INTERDOMAIN)
        number = xen_evtchn_bind_interdomain(handle->domid, request->domid, request->port, fired, port);
    else
        number = xen_evtchn_bind_virq(handle->domid, request->port, fired, port);
    if (number < 0) {
        image_free(port);
        gate_reply(handle, number, 0, NULL, 0);
        return;
    }
    port->number = (uint32_t)number;
    while (*link != NULL)
        link = &(*link)->next;
    *link = port;
    gate_reply(handle, 0, number, NULL, 0);
}

static void unbind(struct gate_handle *handle, struct gate_bound *port)
{
    struct gate_bound **link = &handle->ports;

    acknowledge(port);
    while (*link != port)
        link = &(*link)->next;
    *link = port->next;
    /* As in Linux, a mapping that is to signal a port at its end keeps it. */
    if (gate_mapping_takes_port(handle->domid, port))
        return;
    (void)xen_evtchn_close(handle->domid, port->number);
    image_free(port);
}

bool gate_evtchn_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes)
{
    struct gate_port request;
    struct gate_bound *port;

    if (bytes != sizeof(request))
        return false;
    memcpy(&request, packet, sizeof(request));
    port = find(handle, request.port);
    switch (type) {
    case GATE_BIND_UNBOUND:
    case GATE_BIND_INTERDOMAIN:
    case GATE_BIND_VIRQ:
        bind_port(handle, type, &request);
        return true;
    case GATE_UNBIND:
        if (port != NULL)
            unbind(handle, port);
        gate_reply(handle, port != NULL ? 0 : ENOTCONN, 0, NULL, 0);
        return true;
    case GATE_NOTIFY:
        if (port != NULL)
            (void)xen_evtchn_send(handle->domid, request.port);
        return true;
    case GATE_UNMASK:
        if (port == NULL)
            return true;
        acknowledge(port);
        (void)xen_evtchn_unmask(handle->domid, request.port);
        return true;
    default:
        return false;
    }
}

void gate_evtchn_close(struct gate_handle *handle)
{
    while (handle->ports != NULL)
        unbind(handle, handle->ports);
    if (handle->events != NULL)
        peer_close(handle->events);
}
