/*
 * The part of libxenctrl on the simulated Xen that backends and stores use: xenctrl.h of the distribution says what
 * each call does. What it has no routine for here does not link.
 */
#include "dom0/heap.h"

#include "xen/abi.h" /* before the tools' header, which goes by what it defines */

#define XC_WANT_COMPAT_MAP_FOREIGN_API

#include <xenctrl.h>

#include "dom0/dom0.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <errno.h>
#include <xenforeignmemory.h>

struct xc_interface_core {
    unsigned domid;
    xenforeignmemory_handle *foreign;
};

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned open_flags)
{
    struct xc_interface_core *xch;

    (void)logger;
    (void)dombuild_logger;
    if (open_flags & ~(unsigned)(XC_OPENFLAG_DUMMY | XC_OPENFLAG_NON_REENTRANT)) {
        errno = EINVAL;
        return NULL;
    }
    xch = calloc(1, sizeof(*xch));
    xch->domid = dom0_domid();
    xch->foreign = xenforeignmemory_open(NULL, 0);
    return xch;
}

int xc_interface_close(xc_interface *xch)
{
    if (!xch)
        return 0;
    xenforeignmemory_close(xch->foreign);
    free(xch);
    return 0;
}

/* ---- hypercalls ---- */

/* With one structure, which may have a buffer behind it, in `block` of so many bytes. */
static int call(const xc_interface *xch, unsigned operation, uint64_t command, void *block, size_t bytes)
{
    const struct xen_memory memory = {.base = (uintptr_t)block, .bytes = bytes, .host = block};
    const uint64_t with_command[5] = {command, (uintptr_t)block};
    const uint64_t alone[5] = {(uintptr_t)block};
    bool is_alone = operation == __HYPERVISOR_domctl || operation == __HYPERVISOR_sysctl;

    sched_point(POINT_DOM0);
    return dom0_result(
        (int)xen_host_hypercall(xch->domid, operation, is_alone ? alone : with_command, bytes ? &memory : NULL));
}

int xc_version(xc_interface *xch, int cmd, void *arg)
{
    static const size_t sizes[] = {[XENVER_extraversion] = sizeof(xen_extraversion_t),
                                   [XENVER_compile_info] = sizeof(xen_compile_info_t),
                                   [XENVER_capabilities] = sizeof(xen_capabilities_info_t),
                                   [XENVER_changeset] = sizeof(xen_changeset_info_t),
                                   [XENVER_platform_parameters] = sizeof(xen_platform_parameters_t),
                                   [XENVER_get_features] = sizeof(xen_feature_info_t),
                                   [XENVER_guest_handle] = sizeof(xen_domain_handle_t),
                                   [XENVER_commandline] = sizeof(xen_commandline_t)};

    if (cmd < 0 || (size_t)cmd >= sizeof(sizes) / sizeof(sizes[0])) {
        errno = ENOSYS;
        return -1;
    }
    return call(xch, __HYPERVISOR_xen_version, (uint64_t)cmd, arg, sizes[cmd]);
}

int xc_evtchn_status(xc_interface *xch, xc_evtchn_status_t *status)
{
    return call(xch, __HYPERVISOR_event_channel_op, EVTCHNOP_status, status, sizeof(*status));
}

int xc_hvm_param_get(xc_interface *handle, uint32_t dom, uint32_t param, uint64_t *value)
{
    struct xen_hvm_param op = {.domid = (domid_t)dom, .index = param};
    int result = call(handle, __HYPERVISOR_hvm_op, HVMOP_get_param, &op, sizeof(op));

    if (result == 0)
        *value = op.value;
    return result;
}

int xc_hvm_param_set(xc_interface *handle, uint32_t dom, uint32_t param, uint64_t value)
{
    struct xen_hvm_param op = {.domid = (domid_t)dom, .index = param, .value = value};

    return call(handle, __HYPERVISOR_hvm_op, HVMOP_set_param, &op, sizeof(op));
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain, unsigned int max_domains, xc_domaininfo_t *info)
{
    size_t bytes = sizeof(xen_sysctl_t) + max_domains * sizeof(*info);
    xen_sysctl_t *op = calloc(1, bytes);
    int result;

    op->cmd = XEN_SYSCTL_getdomaininfolist;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    op->u.getdomaininfolist.first_domain = (domid_t)first_domain;
    op->u.getdomaininfolist.max_domains = max_domains;
    set_xen_guest_handle_raw(op->u.getdomaininfolist.buffer, (xen_domctl_getdomaininfo_t *)(void *)(op + 1));
    result = call(xch, __HYPERVISOR_sysctl, 0, op, bytes);
    if (result == 0) {
        result = (int)op->u.getdomaininfolist.num_domains;
        memcpy(info, op + 1, (size_t)result * sizeof(*info));
    }
    free(op);
    return result;
}

int xc_readconsolering(xc_interface *xch, char *buffer, unsigned int *pnr_chars, int clear, int incremental,
                       uint32_t *pindex)
{
    size_t bytes = sizeof(xen_sysctl_t) + *pnr_chars;
    xen_sysctl_t *op = calloc(1, bytes);
    int result;

    op->cmd = XEN_SYSCTL_readconsole;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    op->u.readconsole.clear = (uint8_t)clear;
    op->u.readconsole.incremental = (uint8_t)incremental;
    op->u.readconsole.index = pindex ? *pindex : 0;
    op->u.readconsole.count = *pnr_chars;
    set_xen_guest_handle_raw(op->u.readconsole.buffer, (char *)(op + 1));
    result = call(xch, __HYPERVISOR_sysctl, 0, op, bytes);
    if (result == 0) {
        *pnr_chars = op->u.readconsole.count;
        if (pindex)
            *pindex = op->u.readconsole.index;
        memcpy(buffer, op + 1, *pnr_chars);
    }
    free(op);
    return result;
}

static xc_dominfo_t dominfo(const xen_domctl_getdomaininfo_t *from)
{
    xc_dominfo_t info = {
        .domid = from->domain,
        .ssidref = from->ssidref,
        .dying = (from->flags & XEN_DOMINF_dying) != 0,
        .shutdown = (from->flags & XEN_DOMINF_shutdown) != 0,
        .paused = (from->flags & XEN_DOMINF_paused) != 0,
        .blocked = (from->flags & XEN_DOMINF_blocked) != 0,
        .running = (from->flags & XEN_DOMINF_running) != 0,
        .hvm = (from->flags & XEN_DOMINF_hvm_guest) != 0,
        .debugged = (from->flags & XEN_DOMINF_debugged) != 0,
        .xenstore = (from->flags & XEN_DOMINF_xs_domain) != 0,
        .hap = (from->flags & XEN_DOMINF_hap) != 0,
        .shutdown_reason = from->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask,
        .nr_pages = from->tot_pages,
        .nr_outstanding_pages = from->outstanding_pages,
        .nr_shared_pages = from->shr_pages,
        .nr_paged_pages = from->paged_pages,
        .shared_info_frame = from->shared_info_frame,
        .cpu_time = from->cpu_time,
        .max_memkb = from->max_pages * (XC_PAGE_SIZE / 1024),
        .nr_online_vcpus = from->nr_online_vcpus,
        .max_vcpu_id = from->max_vcpu_id,
        .cpupool = from->cpupool,
        .gpaddr_bits = from->gpaddr_bits,
        .arch_config = from->arch_config,
    };

    if (info.shutdown && info.shutdown_reason == SHUTDOWN_crash) {
        info.shutdown = 0;
        info.crashed = 1;
    }
    memcpy(info.handle, from->handle, sizeof(info.handle));
    return info;
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid, unsigned int max_doms, xc_dominfo_t *info)
{
    uint32_t next = first_domid;
    unsigned count = 0;

    while (count < max_doms) {
        xen_domctl_t op = {.cmd = XEN_DOMCTL_getdomaininfo,
                           .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
                           .domain = (domid_t)next};

        if (call(xch, __HYPERVISOR_domctl, 0, &op, sizeof(op)) < 0)
            return count ? (int)count : -1;
        info[count++] = dominfo(&op.u.getdomaininfo);
        next = (uint32_t)op.domain + 1;
    }
    return (int)count;
}

/* ---- foreign memory, as it was asked for before there was libxenforeignmemory ---- */

void *xc_map_foreign_bulk(xc_interface *xch, uint32_t dom, int prot, const xen_pfn_t *arr, int *err, unsigned int num)
{
    return xenforeignmemory_map(xch->foreign, dom, prot, num, arr, err);
}

void *xc_map_foreign_pages(xc_interface *xch, uint32_t dom, int prot, const xen_pfn_t *arr, int num)
{
    if (num < 0) {
        errno = EINVAL;
        return NULL;
    }
    return xenforeignmemory_map(xch->foreign, dom, prot, (size_t)num, arr, NULL);
}

void *xc_map_foreign_range(xc_interface *xch, uint32_t dom, int size, int prot, unsigned long mfn)
{
    size_t count = ((size_t)size + XC_PAGE_SIZE - 1) / XC_PAGE_SIZE;
    xen_pfn_t *frames = calloc(count, sizeof(*frames));
    void *address;

    for (size_t i = 0; i < count; i++)
        frames[i] = mfn + i;
    address = xenforeignmemory_map(xch->foreign, dom, prot, count, frames, NULL);
    free(frames);
    return address;
}
