/* Every host that the machine can be: each release with each set of settings (--host). */
#ifndef TESTS_COMMON_HOSTS_H
#define TESTS_COMMON_HOSTS_H

#include <stdbool.h>

#define HOST_RELEASES 3
#define HOST_SETTINGS 3
#define HOSTS (HOST_RELEASES << HOST_SETTINGS)
#define HOST_NAME_MAX 48

/* The name of host `index`, below HOSTS, in a buffer of the caller's. */
const char *host_name(unsigned index, char name[HOST_NAME_MAX]);
unsigned host_minor(unsigned index); /* of its release of Xen 4 */

enum host_setting { HOST_GRANT_V1, HOST_NO_VECTORS, HOST_VIRIDIAN };
static inline bool host_has(unsigned index, enum host_setting setting)
{
    return (index & 1u << setting) != 0;
}

/*
 * Is it one of those that every run of the suites has: a release with no setting, one, or all of them? With PVSIM_HOSTS
 * in the environment (`make hosts`) each is.
 */
bool host_is_tried(unsigned index);

#endif
