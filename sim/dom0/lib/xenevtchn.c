/*
 * libxenevtchn over the gate of a running machine. The descriptor that xenevtchn_fd() gives is a stream of the numbers
 * of ports that have fired; the connection on which requests go bears a name that is made of that stream's inode, by
 * which xenevtchn_fdopen() finds it, after an exec as well.
 */
#include "dropin.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenevtchn.h>

struct xenevtchn_handle {
    struct dropin dropin;
    int events;
    bool adopted;   /* opened by its descriptor: which ports it has is not known here */
    uint8_t *bound; /* by port */
    size_t ports;
};

/* ---- the connection's name ---- */

static bool name_of(int events, struct sockaddr_un *address, socklen_t *length)
{
    struct stat status;

    memset(address, 0, sizeof(*address));
    if (fstat(events, &status) != 0)
        return false;
    address->sun_family = AF_UNIX; /* in the abstract space: the name goes with the socket */
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1);
    *length += (socklen_t)snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "pvsim-evtchn-%llu",
                                   (unsigned long long)status.st_ino);
    return true;
}

static int find_connection(int events)
{
    struct sockaddr_un wanted;
    socklen_t wanted_length = 0;
    struct rlimit files = {.rlim_cur = 1024};

    if (!name_of(events, &wanted, &wanted_length))
        return -1;
    (void)getrlimit(RLIMIT_NOFILE, &files);
    for (int fd = 0; fd < (int)files.rlim_cur; fd++) {
        struct sockaddr_un name = {0};
        socklen_t length = sizeof(name);

        if (getsockname(fd, (struct sockaddr *)&name, &length) == 0 && length == wanted_length &&
            memcmp(&name, &wanted, length) == 0)
            return fd;
    }
    errno = EINVAL;
    return -1;
}

/* ---- open and close ---- */

static bool make_usable(struct xenevtchn_handle *handle, unsigned flags)
{
    struct sockaddr_un name;
    socklen_t length = 0;

    if (!name_of(handle->events, &name, &length) || bind(handle->dropin.fd, (struct sockaddr *)&name, length) != 0)
        return false;
    return (flags & XENEVTCHN_NO_CLOEXEC) == 0 ||
           (fcntl(handle->dropin.fd, F_SETFD, 0) == 0 && fcntl(handle->events, F_SETFD, 0) == 0);
}

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    struct xenevtchn_handle *handle;

    if ((flags & ~(unsigned)XENEVTCHN_NO_CLOEXEC) != 0) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    if (handle == NULL)
        return NULL;
    handle->events = -1;
    if (!dropin_open(&handle->dropin, "xenevtchn", logger, dropin_restrict_active, GATE_EVTCHN, NULL,
                     &handle->events)) {
        free(handle);
        return NULL;
    }
    if (handle->events >= 0 && make_usable(handle, flags))
        return handle;
    dropin_error(&handle->dropin, "no stream of events");
    xenevtchn_close(handle);
    return NULL;
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned open_flags)
{
    struct xenevtchn_handle *handle;
    int connection;

    if (open_flags != 0) {
        errno = EINVAL;
        return NULL;
    }
    connection = find_connection(fd);
    handle = connection < 0 ? NULL : calloc(1, sizeof(*handle));
    if (handle == NULL)
        return NULL;
    dropin_adopt(&handle->dropin, "xenevtchn", logger, dropin_restrict_active, connection);
    handle->events = fd;
    handle->adopted = true;
    return handle;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
    int error = errno;

    if (xce == NULL)
        return 0;
    dropin_close(&xce->dropin);
    if (xce->events >= 0)
        close(xce->events);
    free(xce->bound);
    free(xce);
    errno = error;
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    return xce->events;
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
    return dropin_restrict(&xce->dropin, domid);
}

/* ---- ports ---- */

static void note_bound(xenevtchn_handle *xce, uint32_t port, bool bound)
{
    pthread_mutex_lock(&xce->dropin.lock);
    if (port >= xce->ports) {
        size_t ports = (size_t)port + 64;
        uint8_t *grown = realloc(xce->bound, ports);

        if (grown != NULL) {
            memset(grown + xce->ports, 0, ports - xce->ports);
            xce->bound = grown;
            xce->ports = ports;
        }
    }
    if (port < xce->ports)
        xce->bound[port] = bound;
    else
        xce->adopted = true; /* without memory for it, the gate alone knows */
    pthread_mutex_unlock(&xce->dropin.lock);
}

static bool is_bound(xenevtchn_handle *xce, uint32_t port)
{
    bool bound;

    pthread_mutex_lock(&xce->dropin.lock);
    bound = xce->adopted || (port < xce->ports && xce->bound[port]);
    pthread_mutex_unlock(&xce->dropin.lock);
    return bound;
}

static xenevtchn_port_or_error_t bind_port(xenevtchn_handle *xce, enum gate_type type, uint32_t domid, uint32_t port)
{
    const struct gate_port request = {.type = type, .domid = domid, .port = port};
    int64_t value;

    if (dropin_ask(&xce->dropin, &request, sizeof(request), &value, NULL, 0) != 0)
        return -1;
    note_bound(xce, (uint32_t)value, true);
    return (xenevtchn_port_or_error_t)value;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
    return bind_port(xce, GATE_BIND_UNBOUND, domid, 0);
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port)
{
    return bind_port(xce, GATE_BIND_INTERDOMAIN, domid, remote_port);
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
    return bind_port(xce, GATE_BIND_VIRQ, 0, virq);
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    const struct gate_port request = {.type = GATE_UNBIND, .port = port};

    if (dropin_ask(&xce->dropin, &request, sizeof(request), NULL, NULL, 0) != 0)
        return -1;
    note_bound(xce, port, false);
    return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    const struct gate_port request = {.type = GATE_NOTIFY, .port = port};

    if (is_bound(xce, port))
        return dropin_tell(&xce->dropin, &request, sizeof(request));
    errno = ENOTCONN;
    return -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    const struct gate_port request = {.type = GATE_UNMASK, .port = port};

    return dropin_tell(&xce->dropin, &request, sizeof(request));
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    uint32_t port;
    ssize_t count = read(xce->events, &port, sizeof(port));

    if (count == (ssize_t)sizeof(port))
        return (xenevtchn_port_or_error_t)port;
    if (count >= 0) /* the machine is gone */
        errno = EIO;
    return -1;
}
