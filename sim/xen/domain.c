/*
 * Domains: domain 0 (its code is the host's tasks) and the guest on the machine's vCPUs and RAM; what a toolstack does
 * to them through domctl.
 */
#include <string.h>

#include "machine/fail.h"
#include "machine/rng.h"
#include "xen/hypervisor.h"

/* Where libxc puts an HVM guest's special pages: eight frames that end below 0xFF000. */
#define SPECIAL_FIRST_GFN UINT64_C(0xFEFF8)
#define STORE_GFN (SPECIAL_FIRST_GFN + 4)
#define CONSOLE_GFN (SPECIAL_FIRST_GFN + 7)
#define SPECIAL_PAGES 2u
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

    return domain != NULL && !domain->guest ? domain : NULL;
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

static struct domain *domain_new(uint16_t domid, const struct xen_domain_config *config)
{
    unsigned vcpus = config->vcpus;
    struct domain *domain = image_alloc(sizeof(*domain));
    struct domain **link = &xen_state()->domains;

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
        domain->vcpu[i].runstate.state_entry_time = clock_now();
    }
    while (*link != NULL && (*link)->domid < domid)
        link = &(*link)->next;
    domain->next = *link;
    *link = domain;
    return domain;
}

struct xen_domain_config xen_domain_default_config(unsigned vcpus)
{
    return (struct xen_domain_config){
        .vcpus = vcpus,
        .max_grant_frames = 64,
        .max_maptrack_frames = 1024,
        .max_grant_version = machine->config.host.grant_v1 ? 1 : 2,
        .viridian = machine->config.host.viridian,
        .event_channels = 1023,
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
    make_handle(domain->handle);
    domain->tot_pages = guest_ram_pages();
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
    connect_toolstack(domain);
    return domain->domid;
}

/* ---- end ---- */

static void tell_dom0(void)
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
    struct domain **link = &xen_state()->domains;

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

    while (*link != domain)
        link = &(*link)->next;
    *link = domain->next;
    image_free(domain->frame);
    image_free(domain->vcpu);
    image_free(domain);
    tell_dom0();
}

bool xen_domain_exists(unsigned domid)
{
    return domain_find(domid) != NULL;
}

/* ---- pausing ---- */

static void pause_domain(struct domain *domain)
{
    if (domain->pauses++ != 0)
        return;
    for (unsigned i = 0; i < domain->vcpus; i++)
        vcpu_hold(i);
}

/* The guest of this number, whose vCPUs the machine runs, or why there is none. */
static int find_pausable(unsigned domid, struct domain **domain)
{
    *domain = domain_find(domid);
    if (*domain == NULL)
        return -XEN_ESRCH;
    return (*domain)->guest ? 0 : -XEN_EINVAL;
}

int xen_domain_pause(unsigned domid)
{
    struct domain *domain;
    int error = find_pausable(domid, &domain);

    if (error == 0)
        pause_domain(domain);
    return error;
}

int xen_domain_unpause(unsigned domid)
{
    struct domain *domain;
    int error = find_pausable(domid, &domain);

    if (error != 0)
        return error;
    if (domain->pauses == 0)
        return -XEN_EINVAL;
    if (--domain->pauses == 0)
        for (unsigned i = 0; i < domain->vcpus; i++)
            vcpu_let_go(i);
    return 0;
}

bool xen_domain_stands(unsigned domid)
{
    const struct domain *domain = domain_find(domid);

    if (domain == NULL || !domain->guest)
        return false;
    for (unsigned i = 0; i < domain->vcpus; i++)
        if (!vcpu_stands(i))
            return false;
    return true;
}

/* ---- shutdown and resume ---- */

void domain_shutdown(struct domain *domain, uint8_t reason)
{
    if (domain->shutdown_code == XEN_SHUTDOWN_NONE)
        domain->shutdown_code = reason;
    if (domain->shutting_down)
        return;
    domain->shutting_down = true;
    log_line(LOG_INFO, "xen", "domain %u shuts down with reason %d", domain->domid, domain->shutdown_code);
    tell_dom0();
}

static bool must_stop(const struct xen_vcpu *vcpu)
{
    return vcpu->domain->shutting_down || vcpu->down;
}

void domain_wait_while_stopped(struct domain *domain)
{
    struct xen_vcpu *vcpu;

    if (vcpu_current_index() < 0)
        return;
    vcpu = domain_current_vcpu(domain);
    if (!must_stop(vcpu))
        return;
    xen_runstate_set(vcpu, RUNSTATE_offline);
    vcpu->stopped = true;
    while (must_stop(vcpu))
        vcpu_suspend_current();
    vcpu->stopped = false;
    xen_runstate_set(vcpu, RUNSTATE_running);
}

int xen_domain_shutdown_reason(unsigned domid)
{
    const struct domain *domain = domain_find(domid);

    return domain != NULL && domain->shutting_down ? domain->shutdown_code : XEN_SHUTDOWN_NONE;
}

/* The guest's memory goes on; everything that Xen kept for it is new. */
static void replace_hypervisor(struct domain *domain)
{
    evtchn_set_callback(domain, 0);
    domain->param[HVM_PARAM_CALLBACK_IRQ] = 0;
    evtchn_close_all(domain);
    grant_reset(domain);
    for (unsigned i = 0; i < domain->vcpus; i++)
        xen_vcpu_reset(&domain->vcpu[i]);
    xen_watchdogs_stop(domain);
    domain->vm_assist = 0;
    domain->incarnation++;
    shared_info_destroy(domain);
    shared_info_create(domain);
    xen_platform_new_model();
    connect_toolstack(domain);
}

/* The suspended guest of this number, or why there is none. */
static int find_suspended(unsigned domid, struct domain **domain)
{
    *domain = domain_find(domid);
    if (*domain == NULL)
        return -XEN_ESRCH;
    if (!(*domain)->guest || !(*domain)->shutting_down || (*domain)->shutdown_code != SHUTDOWN_suspend)
        return -XEN_EINVAL;
    return 0;
}

static void go_on(struct domain *domain)
{
    for (unsigned i = 0; i < domain->vcpus; i++)
        if (domain->vcpu[i].stopped)
            vcpu_resume(i);
}

/* The suspended guest is to go on under a new hypervisor. */
static void begin_again(struct domain *domain)
{
    replace_hypervisor(domain);
    domain->resume_result = 0;
    domain->shutdown_code = XEN_SHUTDOWN_NONE;
    domain->shutting_down = false;
    go_on(domain);
}

int xen_domain_restore(unsigned domid)
{
    struct domain *domain;
    int error = find_suspended(domid, &domain);

    if (error != 0)
        return error;
    pause_domain(domain);
    begin_again(domain);
    return 0;
}

int xen_domain_resume(unsigned domid, bool cancelled)
{
    struct domain *domain;
    int error = find_suspended(domid, &domain);

    if (error != 0)
        return error;
    if (!cancelled) {
        begin_again(domain);
        return 0;
    }
    domain->resume_result = 1;
    domain->shutdown_code = XEN_SHUTDOWN_NONE;
    domain->shutting_down = false;
    go_on(domain);
    return 0;
}
