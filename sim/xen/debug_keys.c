/* Keys of Xen's console: what they print goes to the machine's log. */
#include "machine/log.h"
#include "xen/hypervisor.h"

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

static const struct {
    char key;
    void (*handle)(void);
} keys[] = {{'e', event_channels}, {'q', domains}};

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
            return hypercall_missing(__HYPERVISOR_sysctl, XEN_SYSCTL_debug_keys, "a key but e and q");
    }
    return 0;
}
