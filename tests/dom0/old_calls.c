/*
 * The event channels and grants that libxenctrl itself had before there were libraries of their own, and still has for
 * programs that were written then: a part of tests/dom0/program.c.
 */
#define XC_WANT_COMPAT_EVTCHN_API
#define XC_WANT_COMPAT_GNTTAB_API
#include "library_cases.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include <xenctrl.h>

static bool readable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    return poll(&entry, 1, 10000) == 1 && entry.revents == POLLIN;
}

static void try_events(unsigned near_port)
{
    xc_evtchn *handle = xc_evtchn_open(NULL, 0);
    int port;

    CHECK(handle != NULL);
    port = xc_evtchn_bind_interdomain(handle, 0, near_port);
    CHECK(port > 0);
    CHECK(readable(xc_evtchn_fd(handle)) && xc_evtchn_pending(handle) == port);
    CHECK(xc_evtchn_unmask(handle, (evtchn_port_t)port) == 0);
    CHECK(xc_evtchn_notify(handle, (evtchn_port_t)port) == 0); /* which is answered */
    CHECK(readable(xc_evtchn_fd(handle)) && xc_evtchn_pending(handle) == port);
    CHECK(xc_evtchn_unbind(handle, (evtchn_port_t)port) == 0);
    CHECK_FAILS(xc_evtchn_notify(handle, (evtchn_port_t)port) < 0, ENOTCONN);
    port = xc_evtchn_bind_unbound_port(handle, GUEST);
    CHECK(port > 0 && xc_evtchn_unbind(handle, (evtchn_port_t)port) == 0);
    CHECK(xc_evtchn_bind_virq(handle, VIRQ_DEBUGGER) > 0);
    CHECK(xc_evtchn_close(handle) == 0);
}

static void try_grants(void)
{
    uint32_t domids[2] = {GUEST, GUEST};
    uint32_t references[2] = {STORE_REFERENCE, CONSOLE_REFERENCE};
    xc_gnttab *handle = xc_gnttab_open(NULL, 0);
    uint8_t *page, *two;

    CHECK(handle != NULL);
    page = xc_gnttab_map_grant_ref(handle, GUEST, CONSOLE_REFERENCE, PROT_READ | PROT_WRITE);
    CHECK(page != NULL && memcmp(page + 100, "guest", 5) == 0);
    page[600] = 7;
    two = xc_gnttab_map_grant_refs(handle, 2, domids, references, PROT_READ);
    CHECK(two != NULL && two[PAGE + 600] == 7 && xc_gnttab_munmap(handle, two, 2) == 0);
    two = xc_gnttab_map_domain_grant_refs(handle, 2, GUEST, references, PROT_READ);
    CHECK(two != NULL && two[PAGE + 600] == 7 && xc_gnttab_munmap(handle, two, 2) == 0);
    CHECK_FAILS(xc_gnttab_map_grant_ref(handle, NO_DOMAIN, 0, PROT_READ) == NULL, ESRCH);
    two = xc_gnttab_map_grant_ref_notify(handle, GUEST, CONSOLE_REFERENCE, PROT_READ | PROT_WRITE, 600, -1u);
    CHECK(two != NULL && xc_gnttab_munmap(handle, two, 1) == 0);
    CHECK(page[600] == 0); /* that it is unmapped is told there */
    CHECK(xc_gnttab_munmap(handle, page, 1) == 0 && xc_gnttab_set_max_grants(handle, 10) == 0);
    CHECK(xc_gnttab_close(handle) == 0);
}

static void try_shares(void)
{
    xc_gntshr *handle = xc_gntshr_open(NULL, 0);
    xc_gnttab *mapper = xc_gnttab_open(NULL, 0);
    uint32_t reference;
    uint8_t *page = xc_gntshr_share_pages(handle, 0, 1, &reference, 1);
    uint8_t *seen;

    CHECK(page != NULL);
    strcpy((char *)page, "shared");
    seen = xc_gnttab_map_grant_ref(mapper, 0, reference, PROT_READ);
    CHECK(seen != NULL && strcmp((char *)seen, "shared") == 0);
    CHECK(xc_gnttab_munmap(mapper, seen, 1) == 0 && xc_gntshr_munmap(handle, page, 1) == 0);
    CHECK(xc_gntshr_close(handle) == 0 && xc_gnttab_close(mapper) == 0);
}

static void try_tables(void)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    struct gnttab_query_size size = {.dom = GUEST};

    CHECK(xc != NULL && xc_gnttab_query_size(xc, &size) == 0);
    CHECK(size.status == GNTST_okay && size.nr_frames >= 1 && size.max_nr_frames == 64);
    CHECK(xc_gnttab_get_version(xc, GUEST) == 1);
    CHECK(xc_interface_close(xc) == 0);
}

void old_calls(unsigned near_port)
{
    try_events(near_port);
    try_grants();
    try_shares();
    try_tables();
}
