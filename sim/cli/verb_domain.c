/* Verbs on domains: what they are, whether they are there, their memory. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "xen/abi.h"

#include <xen/domctl.h>
#include <xen/sysctl.h>

#include "cli/cli.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "dom0/heap.h"
#include "machine/fail.h"
#include "xen/xen.h"

#define DOMAINS_MAX 64

/* ---- list ---- */

/* The hypercall and its buffer, in memory that is a caller's. */
struct list {
    struct xen_sysctl op;
    struct xen_domctl_getdomaininfo info[DOMAINS_MAX];
};

static unsigned ask_hypervisor(struct list *list)
{
    const struct xen_memory memory = {.base = (uintptr_t)list, .bytes = sizeof(*list), .host = list};
    const uint64_t arg[5] = {(uintptr_t)&list->op};
    int64_t result;

    list->op.cmd = XEN_SYSCTL_getdomaininfolist;
    list->op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    list->op.u.getdomaininfolist.max_domains = DOMAINS_MAX;
    list->op.u.getdomaininfolist.buffer.p = list->info;
    result = xen_host_hypercall(XEN_DOM0, __HYPERVISOR_sysctl, arg, &memory);
    if (result < 0)
        fail("internal", "the hypervisor does not list its domains: %" PRId64, result);
    return list->op.u.getdomaininfolist.num_domains;
}

static void print_uuid(struct verb_call *call, const uint8_t uuid[16])
{
    verb_print(call, " ");
    for (unsigned index = 0; index < 16; index++)
        verb_print(call, "%s%02x", index == 4 || index == 6 || index == 8 || index == 10 ? "-" : "", uuid[index]);
}

/* What -v and -Z add: no domain has a security label, for no module that would give it one is loaded. */
static void print_more(struct verb_call *call, const struct xen_domctl_getdomaininfo *info, unsigned reason)
{
    if (verb_flag(call, 'v')) {
        print_uuid(call, info->handle);
        if ((info->flags & XEN_DOMINF_shutdown) != 0)
            verb_print(call, " %8x", reason);
        else
            verb_print(call, " %8s", "-");
    }
    if (verb_flag(call, 'v') || verb_flag(call, 'Z'))
        verb_print(call, " %16s", "-");
    verb_print(call, "\n");
}

static void print_header(struct verb_call *call)
{
    verb_print(call, "Name                                        ID   Mem VCPUs\tState\tTime(s)%s\n",
               verb_flag(call, 'v')   ? "   UUID                            Reason-Code\tSecurity Label"
               : verb_flag(call, 'Z') ? "   Security Label"
                                      : "");
}

static void print_domain(struct verb_call *call, const struct xen_domctl_getdomaininfo *info)
{
    static const char reasons[] = "-rscwS";
    unsigned flags = info->flags;
    unsigned reason = flags & XEN_DOMINF_shutdown ? (flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask : 0;
    char *name = toolstack_domain_name(verb_toolstack(call), info->domain);

    verb_print(call, "%-40s %5d %5lu %5d     %c%c%c%c%c%c  %8.1f", name != NULL ? name : "(null)", info->domain,
               (unsigned long)(info->tot_pages / 256), (int)info->nr_online_vcpus,
               flags & XEN_DOMINF_running ? 'r' : '-', flags & XEN_DOMINF_blocked ? 'b' : '-',
               flags & XEN_DOMINF_paused ? 'p' : '-', flags & XEN_DOMINF_shutdown ? 's' : '-',
               reason < sizeof(reasons) - 1 ? reasons[reason] : '?', flags & XEN_DOMINF_dying ? 'd' : '-',
               (double)info->cpu_time / 1e9);
    print_more(call, info, reason);
    free(name);
}

int verb_list(struct verb_call *call)
{
    const char *word = verb_word(call, 0);
    struct list *list;
    unsigned count;
    unsigned domid = 0;

    if (word != NULL && !verb_domain(call, word, &domid))
        return EXIT_FAILED;
    list = calloc(1, sizeof(*list));
    count = ask_hypervisor(list);
    print_header(call);
    for (unsigned index = 0; index < count; index++)
        if (word == NULL || list->info[index].domain == domid)
            print_domain(call, &list->info[index]);
    free(list);
    return EXIT_PASSED;
}

/* ---- pause, unpause, destroy ---- */

static bool pause_and_wait(struct verb_call *call, unsigned domid)
{
    int error = xen_domain_pause(domid);

    if (error != 0) {
        verb_complain(call, "Failed to pause domain %u: %s", domid, strerror(-error));
        return false;
    }
    operator_wait_standing(domid);
    return true;
}

int verb_pause(struct verb_call *call)
{
    unsigned domid;

    return verb_domain(call, verb_word(call, 0), &domid) && pause_and_wait(call, domid) ? EXIT_PASSED : EXIT_FAILED;
}

int verb_unpause(struct verb_call *call)
{
    unsigned domid;
    int error;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    error = xen_domain_unpause(domid);
    if (error == 0)
        return EXIT_PASSED;
    verb_complain(call, "Failed to unpause domain %u: %s", domid, strerror(-error));
    return EXIT_FAILED;
}

bool verb_destroy_domain(struct verb_call *call, unsigned domid)
{
    if (!toolstack_domain_destroy(verb_toolstack(call), domid)) {
        verb_complain(call, "%s", toolstack_error(verb_toolstack(call)));
        return false;
    }
    xen_domain_destroy(domid);
    return true;
}

/* As libxl: it stands still, its devices and nodes go, then the domain does. */
int verb_destroy(struct verb_call *call)
{
    unsigned domid;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if (domid == XEN_DOM0) {
        verb_complain(call, "Cannot destroy privileged domain 0.");
        return EXIT_FAILED;
    }
    if (!pause_and_wait(call, domid))
        return EXIT_FAILED;
    if (!verb_destroy_domain(call, domid))
        return EXIT_FAILED;
    verb_ends_machine(call);
    return EXIT_PASSED;
}

/* ---- mem-set ---- */

#define MAX_MEM_SLACK_KIB 1024u /* libxl's, beyond the target */
#define MEMORY_MAX_KIB UINT64_C(0x40000000)

/* As xl: MiB, or with one of the letters t, g, m, k, b behind it. False: it is none. */
static bool read_memory(const char *text, uint32_t *kib)
{
    static const char letters[] = "kmgt";
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    const char *letter = *end != '\0' ? strchr(letters, *end | 0x20) : letters + 1;

    if (end == text || *text == '-' || (*end != '\0' && end[1] != '\0') || value > MEMORY_MAX_KIB)
        return false;
    if ((*end | 0x20) == 'b') {
        value /= 1024;
    } else if (letter == NULL) {
        return false;
    } else {
        for (; letter != letters && value <= MEMORY_MAX_KIB; letter--)
            value *= 1024;
    }
    *kib = (uint32_t)value;
    return value != 0 && value <= MEMORY_MAX_KIB;
}

/* The hypervisor lets the guest have no more than this. */
static int64_t limit_memory(unsigned domid, uint32_t kib)
{
    struct xen_domctl *op = calloc(1, sizeof(*op)); /* memory that is a caller's */
    const struct xen_memory memory = {.base = (uintptr_t)op, .bytes = sizeof(*op), .host = op};
    const uint64_t arg[5] = {(uintptr_t)op};
    int64_t result;

    op->cmd = XEN_DOMCTL_max_mem;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = (domid_t)domid;
    op->u.max_mem.max_memkb = (uint64_t)kib + MAX_MEM_SLACK_KIB;
    result = xen_host_hypercall(XEN_DOM0, __HYPERVISOR_domctl, arg, &memory);
    free(op);
    return result;
}

/* The target is for the guest's balloon driver to reach. */
int verb_mem_set(struct verb_call *call)
{
    struct toolstack *toolstack = verb_toolstack(call);
    const char *word = verb_word(call, 1);
    unsigned domid;
    uint32_t kib;
    int64_t error;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if (domid == XEN_DOM0) {
        verb_complain(call, "domain 0 is the host: its memory is not set");
        return EXIT_FAILED;
    }
    if (!read_memory(word, &kib)) {
        verb_complain(call, "invalid memory size: %s", word);
        return EXIT_USAGE;
    }
    if (!toolstack_memory_set(toolstack, domid, kib)) {
        verb_complain(call, "%s", toolstack_error(toolstack));
        return EXIT_FAILED;
    }
    error = limit_memory(domid, kib);
    if (error == 0)
        return EXIT_PASSED;
    verb_complain(call, "the hypervisor's limit for domain %u was not set: %s", domid, strerror((int)-error));
    return EXIT_FAILED;
}

/* ---- debug-keys ---- */

int verb_debug_keys(struct verb_call *call)
{
    const char *keys = verb_word(call, 0);

    for (; *keys != '\0'; keys++)
        if (!xen_debug_key(*keys)) {
            verb_complain(call, "there is no key '%c' here; there are e, g, h, q, r and t (h has the log explain them)",
                          *keys);
            return EXIT_FAILED;
        }
    return EXIT_PASSED;
}
