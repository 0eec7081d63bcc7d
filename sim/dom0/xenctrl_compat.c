/* The names that libxenevtchn's and libxengnttab's calls had in libxenctrl (xenctrl_compat.h of the distribution). */
#include "dom0/heap.h"

#include "xen/abi.h" /* before the tools' header, which goes by what it defines */

#define XC_WANT_COMPAT_EVTCHN_API
#define XC_WANT_COMPAT_GNTTAB_API

#include <xenctrl.h>

#include <xenevtchn.h>
#include <xengnttab.h>

/* ---- event channels ---- */

xc_evtchn *xc_evtchn_open(xentoollog_logger *logger, unsigned open_flags)
{
    return xenevtchn_open(logger, open_flags);
}

int xc_evtchn_close(xc_evtchn *xce)
{
    return xenevtchn_close(xce);
}

int xc_evtchn_fd(xc_evtchn *xce)
{
    return xenevtchn_fd(xce);
}

int xc_evtchn_notify(xc_evtchn *xce, evtchn_port_t port)
{
    return xenevtchn_notify(xce, port);
}

xc_evtchn_port_or_error_t xc_evtchn_bind_unbound_port(xc_evtchn *xce, uint32_t domid)
{
    return xenevtchn_bind_unbound_port(xce, domid);
}

xc_evtchn_port_or_error_t xc_evtchn_bind_interdomain(xc_evtchn *xce, uint32_t domid, evtchn_port_t remote_port)
{
    return xenevtchn_bind_interdomain(xce, domid, remote_port);
}

xc_evtchn_port_or_error_t xc_evtchn_bind_virq(xc_evtchn *xce, unsigned int virq)
{
    return xenevtchn_bind_virq(xce, virq);
}

int xc_evtchn_unbind(xc_evtchn *xce, evtchn_port_t port)
{
    return xenevtchn_unbind(xce, port);
}

xc_evtchn_port_or_error_t xc_evtchn_pending(xc_evtchn *xce)
{
    return xenevtchn_pending(xce);
}

int xc_evtchn_unmask(xc_evtchn *xce, evtchn_port_t port)
{
    return xenevtchn_unmask(xce, port);
}

/* ---- grants of others ---- */

xc_gnttab *xc_gnttab_open(xentoollog_logger *logger, unsigned open_flags)
{
    return xengnttab_open(logger, open_flags);
}

int xc_gnttab_close(xc_gnttab *xcg)
{
    return xengnttab_close(xcg);
}

int xc_gnttab_set_max_grants(xc_gnttab *xcg, uint32_t count)
{
    return xengnttab_set_max_grants(xcg, count);
}

void *xc_gnttab_map_grant_ref(xc_gnttab *xcg, uint32_t domid, uint32_t ref, int prot)
{
    return xengnttab_map_grant_ref(xcg, domid, ref, prot);
}

void *xc_gnttab_map_grant_refs(xc_gnttab *xcg, uint32_t count, uint32_t *domids, uint32_t *refs, int prot)
{
    return xengnttab_map_grant_refs(xcg, count, domids, refs, prot);
}

void *xc_gnttab_map_domain_grant_refs(xc_gnttab *xcg, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
    return xengnttab_map_domain_grant_refs(xcg, count, domid, refs, prot);
}

void *xc_gnttab_map_grant_ref_notify(xc_gnttab *xcg, uint32_t domid, uint32_t ref, int prot, uint32_t notify_offset,
                                     evtchn_port_t notify_port)
{
    return xengnttab_map_grant_ref_notify(xcg, domid, ref, prot, notify_offset, notify_port);
}

int xc_gnttab_munmap(xc_gnttab *xcg, void *start_address, uint32_t count)
{
    return xengnttab_unmap(xcg, start_address, count);
}

/* ---- pages of one's own ---- */

xc_gntshr *xc_gntshr_open(xentoollog_logger *logger, unsigned open_flags)
{
    return xengntshr_open(logger, open_flags);
}

int xc_gntshr_close(xc_gntshr *xcg)
{
    return xengntshr_close(xcg);
}

void *xc_gntshr_share_pages(xc_gntshr *xcg, uint32_t domid, int count, uint32_t *refs, int writable)
{
    return xengntshr_share_pages(xcg, domid, count, refs, writable);
}

void *xc_gntshr_share_page_notify(xc_gntshr *xcg, uint32_t domid, uint32_t *ref, int writable, uint32_t notify_offset,
                                  evtchn_port_t notify_port)
{
    return xengntshr_share_page_notify(xcg, domid, ref, writable, notify_offset, notify_port);
}

int xc_gntshr_munmap(xc_gntshr *xcg, void *start_address, uint32_t count)
{
    return xengntshr_unshare(xcg, start_address, count);
}
