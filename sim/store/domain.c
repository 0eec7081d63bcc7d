/* Domains as the store knows them: introduction, release, resume, and what their shutdown and end mean. */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "xen/xen.h"

#include <xen/grant_table.h>

/* Xen's and the host's numbers of the errors that the calls below give are the same ones (public/errno.h). */
static int errno_of(int result)
{
    return result < 0 ? -result : 0;
}

struct store_domain *store_domain_find(unsigned domid)
{
    struct store_domain *domain;

    for (domain = machine->store->domains; domain; domain = domain->next) {
        if (domain->domid == domid)
            return domain;
    }
    return NULL;
}

struct store_domain *store_domain_get(unsigned domid)
{
    struct store_domain **link = &machine->store->domains;
    struct store_domain *domain = store_domain_find(domid);

    if (domain)
        return domain;
    while (*link && (*link)->domid < domid)
        link = &(*link)->next;
    domain = image_alloc(sizeof(*domain));
    domain->domid = domid;
    domain->existed = xen_domain_exists(domid);
    domain->serial = ++machine->store->domain_serial;
    domain->next = *link;
    *link = domain;
    return domain;
}

static void on_event(void *argument, uint32_t port)
{
    struct store_domain *domain = argument;

    (void)port;
    domain->event = true;
    store_wake();
}

static int bind_port(struct store_domain *domain, uint32_t remote_port)
{
    int port = xen_evtchn_bind_interdomain(XEN_DOM0, domain->domid, remote_port, on_event, domain);

    if (port < 0)
        return errno_of(port);
    domain->port = (uint32_t)port;
    return 0;
}

static void unbind_port(struct store_domain *domain)
{
    if (domain->port)
        xen_evtchn_close(XEN_DOM0, domain->port);
    domain->port = 0;
    domain->event = false;
}

static int map_ring(struct store_domain *domain)
{
    void *page;
    int error =
        errno_of(xen_grant_map(XEN_DOM0, domain->domid, GNTTAB_RESERVED_XENSTORE, false, &page, &domain->grant_handle));

    if (!error)
        domain->interface = page;
    return error;
}

static void unmap_ring(struct store_domain *domain)
{
    xen_grant_unmap(XEN_DOM0, domain->grant_handle);
    domain->interface = NULL;
}

int store_domain_introduce(unsigned domid, uint32_t remote_port)
{
    struct store_domain *domain = store_domain_get(domid);
    bool first = !domain->introduced;
    int error;

    if (first) {
        error = map_ring(domain);
        if (error)
            return error;
        error = bind_port(domain, remote_port);
        if (error) {
            unmap_ring(domain);
            return error;
        }
        domain->connection = store_connection_create(domid);
        domain->connection->domain = domain;
        domain->introduced = true;
        domain->shutdown = false;
        log_line(LOG_DEBUG, "store", "domain %u introduced, port %u", domid, domain->port);
    } else {
        /* The domain lives on in a new place: event channel and grant were made anew, and the page may be a copy. */
        uint32_t old = domain->grant_handle;

        unbind_port(domain);
        error = map_ring(domain);
        if (error)
            return error;
        xen_grant_unmap(XEN_DOM0, old);
        error = bind_port(domain, remote_port);
        if (error)
            return error;
        log_line(LOG_DEBUG, "store", "domain %u introduced again, port %u", domid, domain->port);
    }
    store_ring_reset(domain);
    xen_evtchn_send(XEN_DOM0, domain->port);
    if (first)
        store_watches_fire_special("@introduceDomain");
    return 0;
}

static void domain_disconnect(struct store_domain *domain)
{
    unbind_port(domain);
    unmap_ring(domain);
    domain->introduced = false;
    domain->connection->domain = NULL;
    store_disconnect(domain->connection);
    domain->connection = NULL;
    log_line(LOG_DEBUG, "store", "domain %u released", domain->domid);
}

/* The introduced domain that a request of domain 0 is about; never domain 0 itself, where the daemon runs. */
static int find_introduced(unsigned domid, struct store_domain **domain)
{
    if (domid == XEN_DOM0)
        return EINVAL;
    *domain = store_domain_find(domid);
    return *domain && (*domain)->introduced ? 0 : ENOENT;
}

int store_domain_to_release(unsigned domid, struct store_domain **domain)
{
    return find_introduced(domid, domain);
}

void store_domain_remove(struct store_domain *domain)
{
    struct store_domain **link = &machine->store->domains;
    bool introduced = domain->introduced;

    if (introduced)
        domain_disconnect(domain);
    store_operation_forget_domain(domain->domid);
    while (*link != domain)
        link = &(*link)->next;
    *link = domain->next;
    image_free(domain);
    if (introduced)
        store_watches_fire_special("@releaseDomain");
}

int store_domain_resume(unsigned domid)
{
    struct store_domain *domain;
    int error = find_introduced(domid, &domain);

    if (error)
        return error;
    domain->shutdown = false;
    return 0;
}

int store_domain_set_target(unsigned domid, unsigned target)
{
    struct store_domain *domain = store_domain_find(domid);
    struct store_domain *other = store_domain_find(target);

    if (!domain || !domain->introduced || !other || !other->introduced)
        return ENOENT;
    domain->connection->target = target;
    return 0;
}

bool store_domain_is_introduced(unsigned domid)
{
    const struct store_domain *domain = store_domain_find(domid);

    return domain && domain->introduced;
}

/* The first domain that Xen knew and knows no more. */
static struct store_domain *ended_domain(void)
{
    struct store_domain *domain;

    for (domain = machine->store->domains; domain; domain = domain->next) {
        if (domain->domid == XEN_DOM0)
            continue;
        if (!xen_domain_exists(domain->domid)) {
            if (domain->existed)
                return domain;
        } else {
            domain->existed = true;
        }
    }
    return NULL;
}

void store_domains_check(void)
{
    struct store_domain *domain;
    bool fire = false;

    while ((domain = ended_domain()))
        store_domain_remove(domain);
    for (domain = machine->store->domains; domain; domain = domain->next) {
        if (domain->introduced && !domain->shutdown && xen_domain_shutdown_reason(domain->domid) >= 0) {
            domain->shutdown = true;
            fire = true;
        }
    }
    if (fire)
        store_watches_fire_special("@releaseDomain");
}
