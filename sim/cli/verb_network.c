/* Verbs on network interfaces. */
#include <string.h>

#include "cli/cli.h"
#include "cli/guest_domain.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "cli/vif_spec.h"
#include "xen/xen.h"

#define ERROR_MAX 256

/* One of the words behind the domain. False after a line. */
static bool take_word(struct verb_call *call, const char *word, struct vif_spec *spec)
{
    char error[ERROR_MAX];

    switch (vif_spec_take(spec, word, error, sizeof(error))) {
    case VIF_WORD_REFUSED:
        verb_complain(call, "%s; see 'pvsim network-attach --help'", error);
        return false;
    case VIF_WORD_IGNORED:
        verb_complain(call, "'%s' has no meaning here: leave it out", word);
        return false;
    default:
        return true;
    }
}

static bool take_words(struct verb_call *call, struct vif_spec *spec)
{
    for (unsigned index = 1; index < verb_count(call); index++)
        if (!take_word(call, verb_word(call, index), spec))
            return false;
    if (spec->model != NULL || (spec->type != NULL && strcmp(spec->type, "vif") != 0)) {
        verb_complain(call, "an emulated card can't be plugged into a machine that is up: leave model= and type=ioemu "
                            "out, and give the board its cards with 'pvsim create --board'");
        return false;
    }
    return spec->backend == NULL || verb_domain(call, spec->backend, &spec->vif.backend_domid);
}

/* What the words leave open. False after a line. */
static bool number(struct verb_call *call, unsigned domid, struct vif_spec *spec)
{
    if (!spec->devid_given)
        spec->vif.handle = toolstack_network_next(verb_toolstack(call), domid);
    if (spec->vif.handle >= VIFS_MAX) {
        verb_complain(call, "domain %u has interface number %u: %d interfaces are the most", domid, VIFS_MAX - 1,
                      VIFS_MAX);
        return false;
    }
    if (!spec->mac_given) /* where xl makes one up */
        guest_domain_vif_mac(&spec->vif);
    return true;
}

int verb_network_attach(struct verb_call *call)
{
    struct toolstack *toolstack = verb_toolstack(call);
    struct vif_spec spec = {.rate = ""};
    unsigned domid;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if (domid == XEN_DOM0) {
        verb_complain(call, "domain 0 has no interfaces of a backend's");
        return EXIT_FAILED;
    }
    spec.vif = guest_domain_vif(domid, 0);
    if (!take_words(call, &spec))
        return EXIT_USAGE;
    do {
        if (!number(call, domid, &spec))
            return EXIT_FAILED;
        if (toolstack_network_attach(toolstack, &spec.vif,
                                     operator_timeout(verb_operator(call), TOOLSTACK_ATTACH_TIMEOUT_MS)))
            return EXIT_PASSED;
    } while (!spec.devid_given && toolstack_network_exists(toolstack)); /* another one was quicker */
    verb_complain(call, "%s", toolstack_error(toolstack));
    return EXIT_FAILED;
}

int verb_network_detach(struct verb_call *call)
{
    struct toolstack *toolstack = verb_toolstack(call);
    const char *word = verb_word(call, 1);
    unsigned handle = 0;
    unsigned backend = 0;
    unsigned domid;
    uint8_t mac[6];
    bool by_mac = strchr(word, ':') != NULL;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if ((by_mac ? !vif_read_mac(word, mac) : !vif_read_number(word, UINT16_MAX, &handle)) ||
        !toolstack_network_find(toolstack, domid, by_mac ? mac : NULL, &handle, &backend)) {
        verb_complain(call, "Unknown device %s.", word);
        return EXIT_FAILED;
    }
    if (toolstack_network_detach(toolstack, domid, backend, handle,
                                 operator_timeout(verb_operator(call), TOOLSTACK_DETACH_TIMEOUT_MS), NULL))
        return EXIT_PASSED;
    verb_complain(call, "%s", toolstack_error(toolstack));
    return EXIT_FAILED;
}
