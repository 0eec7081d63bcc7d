/*
 * Preloaded into an unmodified xenstored: the seventeen functions that it calls of libxenctrl, libxenevtchn and
 * libxengnttab, over the world of world.h, and the two files that tell it of domain 0's ring.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "store/conformance/world.h"

static int number_of(const char *variable)
{
    const char *value = getenv(variable);

    if (!value) {
        fprintf(stderr, "preload.c: %s is not set\n", variable);
        abort();
    }
    return atoi(value);
}

static const struct world *the_world(void)
{
    static const struct world *world;

    if (!world) {
        world = mmap(NULL, WORLD_PAGE, PROT_READ, MAP_SHARED, number_of(WORLD_VARIABLE), 0);
        if (world == MAP_FAILED)
            abort();
    }
    return world;
}

static const struct world_domain *domain_of(uint32_t domid)
{
    const struct world *world = the_world();

    return domid < WORLD_DOMAINS && world->domain[domid].exists ? &world->domain[domid] : NULL;
}

/* ---- libxenctrl ---- */

static int handle; /* what an opaque handle points to */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned flags)
{
    (void)logger;
    (void)dombuild_logger;
    (void)flags;
    return (xc_interface *)&handle;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

/* The first domains from `first` on, as many as there are. */
int xc_domain_getinfo(xc_interface *xch, uint32_t first, unsigned max, xc_dominfo_t *info)
{
    unsigned found = 0;

    (void)xch;
    for (uint32_t domid = first; domid < WORLD_DOMAINS && found < max; domid++) {
        const struct world_domain *domain = domain_of(domid);

        if (!domain)
            continue;
        memset(&info[found], 0, sizeof(info[found]));
        info[found].domid = domid;
        info[found].dying = domain->dying;
        info[found].shutdown = domain->shutdown;
        info[found].running = !domain->dying && !domain->shutdown;
        found++;
    }
    return (int)found;
}

/* ---- libxenevtchn ---- */

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger;
    (void)flags;
    return (xenevtchn_handle *)&handle;
}

xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *logger, int fd, unsigned flags)
{
    (void)fd;
    return xenevtchn_open(logger, flags);
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    (void)xce;
    return number_of(WORLD_EVENTS_VARIABLE);
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    return write(xenevtchn_fd(xce), &port, sizeof(port)) == (ssize_t)sizeof(port) ? 0 : -1;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port)
{
    const struct world_domain *domain = domain_of(domid);

    (void)xce;
    if (!domain || domain->dying) {
        errno = ESRCH;
        return -1;
    }
    if (domain->port != remote_port) {
        errno = EINVAL;
        return -1;
    }
    return (int)WORLD_PORT(domid);
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned virq)
{
    (void)xce;
    (void)virq;
    return (int)WORLD_VIRQ_PORT;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    evtchn_port_t port;

    return read(xenevtchn_fd(xce), &port, sizeof(port)) == (ssize_t)sizeof(port) ? (int)port : -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

/* ---- libxengnttab ---- */

xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned flags)
{
    (void)logger;
    (void)flags;
    return (xengnttab_handle *)&handle;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    (void)xgt;
    return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
    (void)xgt;
    (void)nr_grants;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    const struct world_domain *domain = domain_of(domid);
    void *page;

    (void)xgt;
    if (!domain || domain->dying || ref != GNTTAB_RESERVED_XENSTORE) {
        errno = EINVAL; /* as Linux' grant device answers, whatever Xen's status was */
        return NULL;
    }
    page = mmap(NULL, WORLD_PAGE, prot, MAP_SHARED, number_of(WORLD_VARIABLE), (off_t)WORLD_PAGE * (1 + domid));
    return page == MAP_FAILED ? NULL : page;
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
    (void)xgt;
    return munmap(start_address, (size_t)count * WORLD_PAGE);
}

/* ---- the files of the kernel's xenfs ---- */

/* A descriptor for a file of Xen's, or -1 when the path is none. */
static int world_file(const char *path)
{
    if (strcmp(path, "/proc/xen/xsd_kva") == 0 || strcmp(path, "/dev/xen/xsd_kva") == 0) {
        int page = memfd_create("xsd_kva", 0); /* domain 0's ring: nobody is on it */

        return page >= 0 && ftruncate(page, WORLD_PAGE) == 0 ? page : -1;
    }
    if (strcmp(path, "/proc/xen/xsd_port") == 0) {
        int file = memfd_create("xsd_port", 0);

        if (file < 0 || write(file, "1", 1) != 1 || lseek(file, 0, SEEK_SET) != 0)
            return -1;
        return file;
    }
    return -1;
}

/* open() and open64() are one function here: off_t has 64 bits. */
static int open_file(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    int file = world_file(path);

    return file >= 0 ? file : real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_file("open64", path, flags, mode);
}
