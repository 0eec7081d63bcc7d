/* Keys of Xen's console: what they print goes to the machine's log. */
#include "machine/clock.h"
#include "machine/log.h"
#include "xen/grant.h"

#include <xen/sysctl.h>

static void print_domain(const struct domain *domain)
{
    log_line(LOG_WARNING, "xen", "domain %u: %u vCPUs, %llu pages of at most %llu, paused %u times, shutdown code %d",
             domain->domid, domain->vcpus, (unsigned long long)domain->tot_pages, (unsigned long long)domain->max_pages,
             domain->pauses, domain->shutdown_code);
}

/* 'q': the domains, and VIRQ_DEBUG to each vCPU of the guest. */
static void domains(void)
{
    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next) {
        print_domain(domain);
        for (unsigned i = 0; domain->guest && i < domain->vcpus; i++) {
            struct xen_vcpu *vcpu = &domain->vcpu[i];

            log_line(LOG_WARNING, "xen", "notifying guest %u:%u (virq %d, port %u)", domain->domid, i, VIRQ_DEBUG,
                     vcpu->virq_port[VIRQ_DEBUG]);
            evtchn_raise_virq(vcpu, VIRQ_DEBUG);
        }
    }
}

/* 'e': every event channel in use. */
static void event_channels(void)
{
    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        for (uint32_t port = 1; port < domain->config.event_channels; port++) {
            const struct evtchn *channel = evtchn_find(domain, port);

            if (channel != NULL && channel->state != EVTCHNSTAT_closed)
                log_line(LOG_WARNING, "xen", "domain %u port %u: status %d, vCPU %u", domain->domid, port,
                         (int)channel->state, channel->vcpu);
        }
}

/* Entries that say anything, and of the table's frames those that there are. */
static void print_grants(const struct domain *domain)
{
    const struct grant_table *table = domain->grants;
    uint32_t entries = grant_entries(domain);
    uint32_t given = 0;

    for (grant_ref_t reference = 0; reference < entries; reference++)
        given += (__atomic_load_n(grant_word(domain, reference), __ATOMIC_RELAXED) & GTF_type_mask) != 0;
    log_line(LOG_WARNING, "xen", "grant-table for domain %u (v%u): %u frames (%u max), %u of %u entries in use",
             domain->domid, table->version, table->frames, domain->config.max_grant_frames, given, entries);
    for (grant_ref_t reference = 0; reference < entries; reference++) {
        const struct grant_active *active = grant_active(domain, reference);

        if (grant_is_pinned(domain, reference))
            log_line(LOG_WARNING, "xen", "domain %u grant %u: pinned by domain %u, %u for reading, %u for writing",
                     domain->domid, reference, active->domid, active->readers, active->writers);
    }
}

/* 'g': grant tables. */
static void grants(void)
{
    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        if (domain->grants != NULL)
            print_grants(domain);
}

/* 'r': what each vCPU of the guest is about. */
static void run_queues(void)
{
    static const char *const states[] = {[RUNSTATE_running] = "running",
                                         [RUNSTATE_runnable] = "runnable",
                                         [RUNSTATE_blocked] = "blocked",
                                         [RUNSTATE_offline] = "offline"};
    uint64_t now = clock_now();

    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        for (unsigned i = 0; domain->guest && i < domain->vcpus; i++) {
            const struct xen_vcpu *vcpu = &domain->vcpu[i];

            log_line(LOG_WARNING, "xen", "vCPU %u:%u: %s for %llu ns%s%s%s", domain->domid, i,
                     states[vcpu->runstate.state], (unsigned long long)(now - vcpu->runstate.state_entry_time),
                     vcpu->down ? ", down" : "", vcpu->polling ? ", in a poll" : "",
                     vcpu->singleshot.slot != 0 ? ", a timer is set" : "");
        }
}

/* 't': the clock. */
static void clocks(void)
{
    log_line(LOG_WARNING, "xen", "system time: %llu ns", (unsigned long long)clock_now());
    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        for (unsigned i = 0; domain->guest && i < domain->vcpus; i++) {
            const struct vcpu_time_info *time = &domain->vcpu[i].info->time;

            log_line(LOG_WARNING, "xen", "vCPU %u:%u: time page version %u, system time %llu ns at TSC %llu",
                     domain->domid, i, time->version, (unsigned long long)time->system_time,
                     (unsigned long long)time->tsc_timestamp);
        }
}

static void help(void);

/* Those of Xen's that there is something to print for here, with its letters. */
static const struct {
    char key;
    void (*handle)(void);
    const char *text;
} keys[] = {{'e', event_channels, "dump evtchn info"}, {'g', grants, "print grant table usage"},
            {'h', help, "show this message"},          {'q', domains, "dump domain (and guest debug) info"},
            {'r', run_queues, "dump run queues"},      {'t', clocks, "display multi-cpu clock info"}};

static void help(void)
{
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        log_line(LOG_WARNING, "xen", "key '%c': %s", keys[i].key, keys[i].text);
}

bool xen_debug_key(char key)
{
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].key == key) {
            log_line(LOG_WARNING, "xen", "'%c' pressed", key);
            keys[i].handle();
            return true;
        }
    return false;
}

int64_t debug_keys_op(const struct xen_sysctl_debug_keys *op)
{
    for (uint32_t i = 0; i < op->nr_keys; i++) {
        char key;

        if (!xen_copy_in(&key, (uintptr_t)op->keys.p + i, 1))
            return -XEN_EFAULT;
        if (!xen_debug_key(key))
            return hypercall_missing(__HYPERVISOR_sysctl, XEN_SYSCTL_debug_keys, "a key but e, g, h, q, r and t");
    }
    return 0;
}
