#include "cli/guest_domain.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "machine/fail.h"
#include "machine/fnv.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "xen/xen.h"

#include <xen/hvm/params.h>

static uint64_t hvm_param(unsigned domid, uint32_t index)
{
    uint64_t value = 0;

    if (xen_hvm_param_get(domid, index, &value) != 0)
        fail("scenario", "domain %u has no HVM parameter %u", domid, index);
    return value;
}

void guest_domain_read_ports(struct toolstack_domain *domain)
{
    domain->store_frame = hvm_param(domain->domid, HVM_PARAM_STORE_PFN);
    domain->store_port = (uint32_t)hvm_param(domain->domid, HVM_PARAM_STORE_EVTCHN);
    domain->console_frame = hvm_param(domain->domid, HVM_PARAM_CONSOLE_PFN);
    domain->console_port = (uint32_t)hvm_param(domain->domid, HVM_PARAM_CONSOLE_EVTCHN);
}

bool guest_domain_read_uuid(const char *text, uint8_t uuid[16])
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    unsigned digits = 0;

    if (strlen(text) != sizeof(form) - 1)
        return false;
    memset(uuid, 0, 16);
    for (size_t index = 0; index < sizeof(form) - 1; index++) {
        int letter = tolower((unsigned char)text[index]);

        if ((form[index] == '-') != (letter == '-') || (letter != '-' && !isxdigit(letter)))
            return false;
        if (letter == '-')
            continue;
        uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | (isdigit(letter) ? letter - '0' : letter - 'a' + 10));
        digits++;
    }
    return true;
}

void guest_domain_make_uuid(const char *name, const char *host, char text[GUEST_DOMAIN_UUID_MAX])
{
    uint64_t half[2];

    for (unsigned index = 0; index < 2; index++) {
        uint64_t value = fnv1a(FNV1A_START, &index, sizeof(index));

        value = fnv1a(value, &machine->config.seed, sizeof(machine->config.seed));
        value = fnv1a(value, name, strlen(name) + 1);
        half[index] = fnv1a(value, host, strlen(host) + 1);
    }
    /* Version 4, variant 1. */
    snprintf(text, GUEST_DOMAIN_UUID_MAX, "%08" PRIx32 "-%04x-4%03x-%x%03x-%012" PRIx64, (uint32_t)(half[0] >> 32),
             (unsigned)(half[0] >> 16 & 0xFFFF), (unsigned)(half[0] & 0xFFF), 8 | (unsigned)(half[1] >> 62),
             (unsigned)(half[1] >> 48 & 0xFFF), half[1] & UINT64_C(0xFFFFFFFFFFFF));
}

static const char *make_uuid(const char *name)
{
    char *text = image_alloc(GUEST_DOMAIN_UUID_MAX);

    guest_domain_make_uuid(name, "", text);
    return text;
}

bool guest_domain_create(struct toolstack *toolstack, struct toolstack_domain *domain,
                         const struct guest_domain_spec *spec)
{
    struct xen_domain_config config = xen_domain_default_config(machine->config.vcpus);
    const char *uuid = spec->uuid != NULL ? spec->uuid : make_uuid(spec->name);
    int domid;

    config.handle_given = guest_domain_read_uuid(uuid, config.handle);
    domid = xen_domain_create(&config);
    if (domid < 0)
        fail("scenario", "the domain was not created: %s", strerror(-domid));
    *domain = (struct toolstack_domain){
        .domid = (unsigned)domid,
        .name = spec->name,
        .uuid = uuid,
        .memory_kib = (uint32_t)(machine->config.ram_bytes / 1024),
        .target_kib = spec->target_kib,
        .vcpus = machine->config.start_vcpus != 0 ? machine->config.start_vcpus : machine->config.vcpus,
        .max_vcpus = spec->max_vcpus,
    };
    guest_domain_read_ports(domain);
    return toolstack_domain_create(toolstack, domain);
}

bool guest_domain_create_driver(struct toolstack *toolstack, unsigned domid)
{
    if (domid != XEN_DOM0 && xen_domain_create_host(domid) != 0)
        fail("scenario", "driver domain %u was not created", domid);
    return guest_domain_name_driver(toolstack, domid);
}

bool guest_domain_name_driver(struct toolstack *toolstack, unsigned domid)
{
    char name[24];

    if (domid == XEN_DOM0)
        return true;
    snprintf(name, sizeof(name), "driver-%u", domid);
    return toolstack_driver_domain_create(toolstack, domid, name);
}

struct toolstack_vif guest_domain_vif(unsigned domid, unsigned handle)
{
    return (struct toolstack_vif){
        .domid = domid,
        .handle = handle,
        .mac = MACHINE_VIF_MAC(handle),
        .mtu = 1500,
    };
}

void guest_domain_vif_mac(struct toolstack_vif *vif)
{
    const struct toolstack_vif plain = guest_domain_vif(vif->domid, vif->handle);

    memcpy(vif->mac, plain.mac, sizeof(vif->mac));
}
