/*
 * Whose memory a hypercall's pointers lead to, and hypercalls of the domains whose code is the host's: domain 0 and
 * driver domains, by way of their programs' libraries.
 */
#include <string.h>

#include "machine/peer.h"
#include "xen/hypervisor.h"

/* ---- the caller's memory ---- */

void *xen_caller_range(uint64_t address, uint64_t bytes)
{
    const struct xen_memory *memory = xen_state()->memory;
    uint64_t offset = address - memory->base;

    if (address < memory->base || offset > memory->bytes || bytes > memory->bytes - offset)
        return NULL;
    return (uint8_t *)memory->host + offset;
}

bool xen_copy_in(void *to, uint64_t from, size_t bytes)
{
    const void *host;

    if (bytes == 0)
        return true;
    if (!xen_host_calls())
        return guest_copy_in(to, (const void *)(uintptr_t)from, bytes);
    host = xen_caller_range(from, bytes);
    if (host == NULL)
        return false;
    peers_read_memory((void *)(uintptr_t)host, bytes);
    memcpy(to, host, bytes);
    return true;
}

bool xen_copy_out(uint64_t to, const void *from, size_t bytes)
{
    void *host;

    if (bytes == 0)
        return true;
    if (!xen_host_calls())
        return guest_copy_out((void *)(uintptr_t)to, from, bytes);
    host = xen_caller_range(to, bytes);
    if (host == NULL)
        return false;
    memcpy(host, from, bytes);
    return true;
}

/* ---- the call ---- */

int64_t xen_host_hypercall(unsigned domid, uint64_t operation, const uint64_t arg[5], const struct xen_memory *memory)
{
    static const struct xen_memory none;
    struct domain *domain = domain_find_host(domid);
    int64_t result;

    if (domain == NULL)
        return -XEN_ESRCH;
    xen_state()->memory = memory != NULL ? memory : &none;
    result = hypercall_dispatch(&domain->vcpu[0], (uint32_t)operation, arg);
    xen_state()->memory = NULL;
    return result;
}
