#include "common/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned minors[HOST_RELEASES] = {13, 17, 19};
static const char *const settings[HOST_SETTINGS] = {
    [HOST_GRANT_V1] = "grant-v1", [HOST_NO_VECTORS] = "no-vectors", [HOST_VIRIDIAN] = "viridian"};

unsigned host_minor(unsigned index)
{
    return minors[index >> HOST_SETTINGS];
}

const char *host_name(unsigned index, char name[HOST_NAME_MAX])
{
    int length = snprintf(name, HOST_NAME_MAX, "xen-4.%u", host_minor(index));

    for (unsigned i = 0; i < HOST_SETTINGS; i++)
        if (host_has(index, (enum host_setting)i))
            length += snprintf(name + length, (size_t)(HOST_NAME_MAX - length), ",%s", settings[i]);
    return name;
}

bool host_is_tried(unsigned index)
{
    unsigned count = (unsigned)__builtin_popcount(index & ((1u << HOST_SETTINGS) - 1));

    return getenv("PVSIM_HOSTS") != NULL || count <= 1 || count == HOST_SETTINGS;
}
