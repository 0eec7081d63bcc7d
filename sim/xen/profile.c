/*
 * What the simulated hypervisor is: releases of Xen as far as a guest can tell them apart, and what a host may turn off
 * or a toolstack on (--host).
 */
#include <stdio.h>
#include <string.h>

#include "xen/hypervisor.h"
#include "xen/profile.h"

#define DEFAULT_MINOR 17u
#define NO_XEN "none"

static const struct xen_profile profiles[] = {
    {.name = "xen-4.13", .minor = 13, .extra = ".5"},
    {.name = "xen-4.17",
     .minor = 17,
     .extra = ".5",
     .hypfs = true,
     .direct_map_features = true,
     .upcall_vector_leaf = true,
     .unlimited_processors = true},
    {.name = "xen-4.19",
     .minor = 19,
     .extra = ".2",
     .hypfs = true,
     .direct_map_features = true,
     .upcall_vector_leaf = true,
     .unlimited_processors = true},
};

#define PROFILES (sizeof(profiles) / sizeof(profiles[0]))

const struct xen_profile *xen_profile(void)
{
    unsigned minor = machine->config.host.xen_minor != 0 ? machine->config.host.xen_minor : DEFAULT_MINOR;
    unsigned index = 0;

    while (index < PROFILES - 1 && profiles[index].minor != minor)
        index++;
    return &profiles[index];
}

/* ---- its name ---- */

static bool take_word(const char *word, size_t length, struct machine_host *host)
{
    static const struct {
        const char *name;
        size_t offset;
    } features[] = {
        {"grant-v1", offsetof(struct machine_host, grant_v1)},
        {"no-vectors", offsetof(struct machine_host, no_vectors)},
        {"viridian", offsetof(struct machine_host, viridian)},
    };

    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++)
        if (strlen(features[i].name) == length && memcmp(features[i].name, word, length) == 0) {
            *(bool *)((uint8_t *)host + features[i].offset) = true;
            return true;
        }
    return false;
}

bool xen_host_parse(const char *text, struct machine_host *host)
{
    size_t length = strcspn(text, ",");
    struct machine_host parsed = {0};

    for (unsigned i = 0; i < PROFILES; i++)
        if (strlen(profiles[i].name) == length && memcmp(profiles[i].name, text, length) == 0)
            parsed.xen_minor = profiles[i].minor;
    if (strlen(NO_XEN) == length && memcmp(NO_XEN, text, length) == 0)
        parsed.xen_minor = XEN_MINOR_NONE;
    if (parsed.xen_minor == 0)
        return false;
    for (text += length; *text == ','; text += length) {
        text++;
        length = strcspn(text, ",");
        if (!take_word(text, length, &parsed))
            return false;
    }
    if (parsed.xen_minor == XEN_MINOR_NONE && (parsed.grant_v1 || parsed.no_vectors)) /* which are Xen's */
        return false;
    *host = parsed;
    return true;
}
