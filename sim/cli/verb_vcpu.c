/* pvsim vcpu-set: how many vCPUs the guest is to have. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/guest.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "machine/log.h"
#include "xen/xen.h"

static bool read_count(struct verb_call *call, const char *word, unsigned *count)
{
    char *end;
    unsigned long number = strtoul(word, &end, 10);

    if (*word == '\0' || *end != '\0' || strchr(word, '-') != NULL || number > UINT16_MAX) {
        verb_complain(call, "Invalid argument: '%s' is no number of vCPUs", word);
        return false;
    }
    *count = (unsigned)number;
    return true;
}

/* As xl and libxl: no more than the host has processors, unless that is to be ignored, nor than the domain can have. */
static bool is_good(struct verb_call *call, unsigned domid, unsigned count)
{
    unsigned max = xen_domain_vcpus(domid);
    unsigned host = machine->config.vcpus;

    if (!verb_flag(call, 'i') && count > xen_domain_online_vcpus(domid) && count > host) {
        verb_complain(call,
                      "You are overcommmitting! You have %u physical CPUs and want %u vCPUs! Aborting, use -i to "
                      "continue",
                      host, count);
        return false;
    }
    if (count == 0)
        verb_complain(call, "Requested 0 VCPUs!");
    else if (count > max)
        verb_complain(call, "Requested %u VCPUs, however maxcpus is %u!", count, max);
    return count != 0 && count <= max;
}

int verb_vcpu_set(struct verb_call *call)
{
    struct toolstack *toolstack = verb_toolstack(call);
    unsigned domid, count, online;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if (!read_count(call, verb_word(call, 1), &count))
        return EXIT_USAGE;
    if (domid == XEN_DOM0 || xen_guest_domid() != (int)domid) {
        verb_complain(call, "domain %u is not the guest: its vCPUs are not set", domid);
        return EXIT_FAILED;
    }
    if (!is_good(call, domid, count))
        return EXIT_FAILED;
    online = xen_domain_online_vcpus(domid);
    guest_plug_processors(count);
    if (!toolstack_vcpus_set(toolstack, domid, count, xen_domain_vcpus(domid))) {
        verb_complain(call, "%s", toolstack_error(toolstack));
        return EXIT_FAILED;
    }
    operator_note_vcpus(verb_operator(call), count);
    log_line(LOG_INFO, "operator", "domain %u is to have %u vCPUs", domid, count);
    if (count < online)
        verb_note(call,
                  "vCPUs are not taken from an HVM guest: Windows goes on with the %u that it has; the others are "
                  "offline in the store alone\n",
                  online);
    return EXIT_PASSED;
}
