/* Domains: domain 0 (its code is the host's tasks) and the guest on the machine's vCPUs and RAM; their creation and
 * end. */
#include <string.h>

#include "machine/fail.h"
#include "machine/rng.h"
#include "xen/hypervisor.h"
#include "xen/platform_device.h"

/* Where libxc puts an HVM guest's special pages: eight frames that end below 0xFF000. */
#define SPECIAL_FIRST_GFN UINT64_C(0xFEFF8)
#define STORE_GFN (SPECIAL_FIRST_GFN + 4)
#define CONSOLE_GFN (SPECIAL_FIRST_GFN + 7)
#define MAX_PAGES_SLACK 256u /* libxl lets a domain have 1 MiB more than its memory */
#define FIRST_GUEST_DOMID 1u

/* ---- lookup ---- */

struct domain *domain_find(unsigned domid)
{
    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        if (domain->domid == domid)
            return domain;
    return NULL;
}

struct domain *domain_find_host(unsigned domid)
{
    struct domain *domain = domain_find(domid);

    return domain != NULL && !domain->guest && !domain->left ? domain : NULL;
}

struct domain *domain_find_any(struct domain *caller, domid_t domid)
{
    return domid == DOMID_SELF ? caller : domain_find(domid);
}

bool domain_may_control(const struct domain *caller, const struct domain *target)
{
    return caller == target || caller->privileged;
}

int domain_find_controlled(struct domain *caller, domid_t domid, struct domain **domain)
{
    *domain = domain_find_any(caller, domid);
    if (*domain == NULL)
        return -XEN_ESRCH;
    return domain_may_control(caller, *domain) ? 0 : -XEN_EPERM;
}

struct domain *domain_current(void)
{
    if (xen_state()->guest == NULL)
        fail("xen", "the guest calls Xen, but no guest domain exists");
    return xen_state()->guest;
}

struct xen_vcpu *domain_current_vcpu(struct domain *domain)
{
    int index = vcpu_current_index();

    if (index < 0) /* the host's stack stands in for vCPU 0 */
        index = 0;
    if ((unsigned)index >= domain->vcpus)
        fail("xen", "vCPU %d runs, but domain %u has %u vCPUs", index, domain->domid, domain->vcpus);
    return &domain->vcpu[index];
}

struct xen_vcpu *domain_vcpu(struct domain *domain, uint32_t index)
{
    return index < domain->vcpus ? &domain->vcpu[index] : NULL;
}

/* ---- creation ---- */

static void enlist(struct domain *domain)
{
    struct domain **link = &xen_state()->domains;

    while (*link != NULL && (*link)->domid < domain->domid)
        link = &(*link)->next;
    domain->next = *link;
    *link = domain;
}

static void strike_off(struct domain *domain)
{
    struct domain **link = &xen_state()->domains;

    while (*link != domain)
        link = &(*link)->next;
    *link = domain->next;
}

static struct domain *domain_new(uint16_t domid, const struct xen_domain_config *config)
{
    unsigned vcpus = config->vcpus;
    struct domain *domain = image_alloc(sizeof(*domain));

    domain->domid = domid;
    domain->config = *config;
    domain->vcpus = vcpus;
    domain->vcpu = image_alloc(vcpus * sizeof(*domain->vcpu));
    domain->shutdown_code = XEN_SHUTDOWN_NONE;
    domain->shared_backing = BACKING_NONE;
    domain->shared_gfn = GFN_INVALID;
    for (unsigned i = 0; i < vcpus; i++) {
        domain->vcpu[i].domain = domain;
        domain->vcpu[i].index = i;
        domain->vcpu[i].info_backing = BACKING_NONE;
        domain->vcpu[i].initialised = config->start_vcpus == 0 || i < config->start_vcpus;
        domain->vcpu[i].down = !domain->vcpu[i].initialised;
        domain->vcpu[i].runstate.state_entry_time = clock_now();
    }
    enlist(domain);
    return domain;
}

struct xen_domain_config xen_domain_default_config(unsigned vcpus)
{
    unsigned grant_frames = machine->config.max_grant_frames;

    return (struct xen_domain_config){
        .vcpus = vcpus,
        .start_vcpus = machine->config.start_vcpus < vcpus ? machine->config.start_vcpus : 0,
        .max_grant_frames = grant_frames != 0 ? grant_frames : 64,
        .max_maptrack_frames = 1024,
        .max_grant_version = machine->config.host.grant_v1 ? 1 : 2,
        .viridian = machine->config.host.viridian,
        .event_channels = machine->config.event_channels != 0 ? machine->config.event_channels : 1023,
    };
}

/* A domain whose code is the host's; its kernel would use the FIFO ABI. */
static struct domain *host_domain_new(uint16_t domid)
{
    struct xen_domain_config config = xen_domain_default_config(1);
    struct domain *domain;

    config.event_channels = XEN_EVENT_CHANNELS_LIMIT;
    config.viridian = false;
    config.max_grant_version = 1; /* what the code in its place knows (xen_grant_share()) */
    domain = domain_new(domid, &config);
    evtchn_init(domain);
    grant_init(domain);
    return domain;
}

int xen_domain_create_host(unsigned domid)
{
    if (domid >= DOMID_FIRST_RESERVED)
        return -XEN_EINVAL;
    if (domain_find(domid) != NULL)
        return -XEN_EEXIST;
    (void)host_domain_new((uint16_t)domid);
    return 0;
}

void xen_init(void)
{
    machine->xen = image_alloc(sizeof(*machine->xen));
    machine->xen->next_domid = FIRST_GUEST_DOMID;
    xen_pages_init();
    host_domain_new(XEN_DOM0)->privileged = true;
    xen_platform_init();
}

/* Zeroed page of the domain's at a frame outside its RAM. */
static void add_special_page(struct domain *domain, uint64_t gfn)
{
    physmap_place(domain, gfn, xen_page_allocate(domain, gfn), 0, 0);
}

/* What the toolstack leaves for the guest to find: ports and reserved grants of its store and console. */
static void connect_toolstack(struct domain *domain)
{
    domain->param[HVM_PARAM_STORE_EVTCHN] = (uint64_t)xen_evtchn_toolstack_alloc(domain->domid, XEN_DOM0);
    domain->param[HVM_PARAM_CONSOLE_EVTCHN] = (uint64_t)xen_evtchn_toolstack_alloc(domain->domid, XEN_DOM0);
    grant_seed(domain, GNTTAB_RESERVED_CONSOLE, XEN_DOM0, CONSOLE_GFN);
    grant_seed(domain, GNTTAB_RESERVED_XENSTORE, XEN_DOM0, STORE_GFN);
}

/* A random (version 4, variant 1) UUID. */
static void make_handle(uint8_t handle[16])
{
    for (unsigned i = 0; i < 16; i++)
        handle[i] = (uint8_t)rng_next(RNG_XEN);
    handle[6] = (uint8_t)((handle[6] & 0x0F) | 0x40);
    handle[8] = (uint8_t)((handle[8] & 0x3F) | 0x80);
}

static bool config_is_valid(const struct xen_domain_config *config)
{
    return config->vcpus != 0 && config->vcpus <= machine->config.vcpus && config->max_grant_frames != 0 &&
           config->max_grant_frames <= XEN_GRANT_FRAMES_LIMIT && config->max_grant_version >= 1 &&
           config->max_grant_version <= 2 && config->event_channels != 0 &&
           config->event_channels <= XEN_EVENT_CHANNELS_LIMIT;
}

/* The next one that no driver domain has. */
static uint16_t take_domid(void)
{
    while (domain_find(xen_state()->next_domid) != NULL)
        xen_state()->next_domid++;
    return xen_state()->next_domid++;
}

int xen_domain_create(const struct xen_domain_config *config)
{
    struct domain *domain;

    if (xen_state()->guest != NULL)
        return -XEN_EEXIST;
    if (!config_is_valid(config))
        return -XEN_EINVAL;
    domain = domain_new(take_domid(), config);
    domain->guest = true;
    domain->incarnation = 1;
    xen_state()->guest = domain;
    if (config->handle_given)
        memcpy(domain->handle, config->handle, sizeof(domain->handle));
    else
        make_handle(domain->handle);
    domain->tot_pages = guest_ram_pages() + XEN_FIRMWARE_PAGES;
    domain->max_pages = domain->tot_pages + MAX_PAGES_SLACK;
    domain->max_gfn = guest_ram_gfn(guest_ram_pages() - 1); /* the last page is in the zone with frames in order */
    evtchn_init(domain);
    grant_init(domain);
    shared_info_create(domain);
    add_special_page(domain, STORE_GFN);
    add_special_page(domain, CONSOLE_GFN);
    domain->start_pages = domain->tot_pages;
    domain->param[HVM_PARAM_STORE_PFN] = STORE_GFN;
    domain->param[HVM_PARAM_CONSOLE_PFN] = CONSOLE_GFN;
    domain->param[HVM_PARAM_ACPI_IOPORTS_LOCATION] = 1;
    domain->param[HVM_PARAM_X87_FIP_WIDTH] = 8;
    for (unsigned i = 0; i < domain->vcpus; i++)
        domain->vcpu[i].runstate.state = domain->vcpu[i].down ? RUNSTATE_offline
                                         : vcpu_has_work(i)   ? RUNSTATE_running
                                                              : RUNSTATE_blocked;
    connect_toolstack(domain);
    return domain->domid;
}

/*
 * What the guest leaves under its old number is a domain that has shut down: its name, its vCPUs' count, and the memory
 * that others still map.
 */
void domain_take_new_number(struct domain *guest)
{
    struct domain *left;

    strike_off(guest);
    left = domain_new(guest->domid, &guest->config);
    left->left = true;
    left->shutting_down = true;
    left->shutdown_code = guest->shutdown_code;
    memcpy(left->handle, guest->handle, sizeof(left->handle));
    evtchn_init(left);
    grant_init(left);
    left->tot_pages = xen_pages_given_up_by(guest);
    guest->tot_pages -= left->tot_pages;
    guest->domid = take_domid();
    enlist(guest);
    connect_toolstack(guest);
}

void domain_rebuild_memory(struct domain *guest)
{
    guest->tot_pages -= guest->detached_pages;
    guest->detached_pages = 0;
    guest->max_pages = guest->start_pages + MAX_PAGES_SLACK;
    physmap_rebuild(guest);
    acpi_put_tables();
    guest->tot_pages += XEN_FIRMWARE_PAGES;
    add_special_page(guest, STORE_GFN);
    add_special_page(guest, CONSOLE_GFN);
}

/* ---- end ---- */

void domain_tell_dom0(void)
{
    struct domain *dom0 = domain_find(XEN_DOM0);

    evtchn_raise_virq(&dom0->vcpu[0], VIRQ_DOM_EXC);
}

static void destroy_guest(struct domain *domain)
{
    shared_info_destroy(domain);
    (void)physmap_remove(domain, STORE_GFN, true); /* the guest may have taken them away */
    (void)physmap_remove(domain, CONSOLE_GFN, true);
    xen_state()->guest = NULL;
}

void xen_domain_destroy(unsigned domid)
{
    struct domain *domain = domain_find(domid);

    if (domain == NULL || domid == XEN_DOM0)
        return;
    domain->dying = true;
    for (unsigned i = 0; i < domain->vcpus; i++)
        xen_vcpu_stop_timers(&domain->vcpu[i]);
    xen_watchdogs_stop(domain);
    if (domain->guest)
        evtchn_set_callback(domain, 0);
    evtchn_destroy(domain);
    grant_destroy(domain);
    if (domain->guest)
        destroy_guest(domain);

    strike_off(domain);
    image_free(domain->frame);
    image_free(domain->vcpu);
    image_free(domain);
    domain_tell_dom0();
}

bool xen_domain_exists(unsigned domid)
{
    return domain_find(domid) != NULL;
}

unsigned xen_domain_vcpus(unsigned domid)
{
    const struct domain *domain = domain_find(domid);

    return domain != NULL ? domain->vcpus : 0;
}

unsigned xen_domain_online_vcpus(unsigned domid)
{
    const struct domain *domain = domain_find(domid);
    unsigned online = 0;

    for (unsigned i = 0; domain != NULL && i < domain->vcpus; i++)
        online += !domain->vcpu[i].down;
    return online;
}

int xen_guest_domid(void)
{
    return xen_state()->guest != NULL ? xen_state()->guest->domid : -1;
}
