/* Verbs on network interfaces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/guest_domain.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "xen/xen.h"

#define MTU_MIN 68 /* of IPv4 */
#define MTU_MAX 65535

static bool read_mac(const char *text, uint8_t mac[6])
{
    int length = 0;

    return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5],
                  &length) == 6 &&
           text[length] == '\0';
}

static bool read_number(const char *text, unsigned limit, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *number = (unsigned)value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value <= limit;
}

static bool take_mac(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    if (read_mac(value, vif->mac) && (vif->mac[0] & 1) == 0)
        return true;
    verb_complain(call, "mac= takes the address of an interface, such as 00:16:3e:01:02:03, not '%s'", value);
    return false;
}

static bool take_mtu(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    if (read_number(value, MTU_MAX, &vif->mtu) && vif->mtu >= MTU_MIN)
        return true;
    verb_complain(call, "mtu= takes a number from %d to %d, not '%s'", MTU_MIN, MTU_MAX, value);
    return false;
}

static bool take_devid(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    if (read_number(value, VIFS_MAX - 1, &vif->handle))
        return true;
    verb_complain(call, "devid= takes a number from 0 to %d, not '%s'", VIFS_MAX - 1, value);
    return false;
}

static bool take_bridge(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    (void)call;
    vif->bridge = value;
    return true;
}

static bool take_script(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    (void)call;
    vif->script = value;
    return true;
}

static bool take_ip(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    (void)call;
    vif->ip = value;
    return true;
}

static bool take_vifname(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    (void)call;
    vif->ifname = value;
    return true;
}

static bool take_backend(struct verb_call *call, const char *value, struct toolstack_vif *vif)
{
    return verb_domain(call, value, &vif->backend_domid);
}

static const struct {
    const char *name;
    bool (*take)(struct verb_call *call, const char *value, struct toolstack_vif *vif);
} keys[] = {
    {"mac", take_mac}, {"bridge", take_bridge},   {"script", take_script},   {"ip", take_ip},
    {"mtu", take_mtu}, {"vifname", take_vifname}, {"backend", take_backend}, {"devid", take_devid},
};

static bool take_key(struct verb_call *call, const char *word, struct toolstack_vif *vif)
{
    const char *value = strchr(word, '=');

    for (size_t index = 0; value != NULL && index < sizeof(keys) / sizeof(keys[0]); index++)
        if (strlen(keys[index].name) == (size_t)(value - word) &&
            strncmp(keys[index].name, word, (size_t)(value - word)) == 0)
            return keys[index].take(call, value + 1, vif);
    verb_complain(call, "unrecognized argument '%s'; see 'pvsim network-attach --help'", word);
    return false;
}

/* Where xl makes an address up. */
static struct toolstack_vif with_mac_of_number(struct toolstack_vif vif)
{
    const struct toolstack_vif plain = guest_domain_vif(vif.domid, vif.handle);

    memcpy(vif.mac, plain.mac, sizeof(vif.mac));
    return vif;
}

int verb_network_attach(struct verb_call *call)
{
    static const uint8_t none[6];
    struct toolstack *toolstack = verb_toolstack(call);
    struct toolstack_vif vif;
    unsigned domid;

    if (!verb_domain(call, verb_word(call, 0), &domid))
        return EXIT_FAILED;
    if (domid == XEN_DOM0) {
        verb_complain(call, "domain 0 has no interfaces of a backend's");
        return EXIT_FAILED;
    }
    vif = guest_domain_vif(domid, toolstack_network_next(toolstack, domid));
    memset(vif.mac, 0, sizeof(vif.mac));
    for (unsigned index = 1; index < verb_count(call); index++)
        if (!take_key(call, verb_word(call, index), &vif))
            return EXIT_USAGE;
    if (memcmp(vif.mac, none, sizeof(none)) == 0)
        vif = with_mac_of_number(vif);
    if (vif.handle >= VIFS_MAX) {
        verb_complain(call, "domain %u has interface number %u: %d interfaces are the most", domid, VIFS_MAX - 1,
                      VIFS_MAX);
        return EXIT_FAILED;
    }
    if (toolstack_network_attach(toolstack, &vif, operator_timeout(verb_operator(call), TOOLSTACK_ATTACH_TIMEOUT_MS)))
        return EXIT_PASSED;
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
    if ((by_mac ? !read_mac(word, mac) : !read_number(word, UINT16_MAX, &handle)) ||
        !toolstack_network_find(toolstack, domid, by_mac ? mac : NULL, &handle, &backend)) {
        verb_complain(call, "Unknown device %s.", word);
        return EXIT_FAILED;
    }
    if (toolstack_network_detach(toolstack, domid, backend, handle,
                                 operator_timeout(verb_operator(call), TOOLSTACK_DETACH_TIMEOUT_MS)))
        return EXIT_PASSED;
    verb_complain(call, "%s", toolstack_error(toolstack));
    return EXIT_FAILED;
}
