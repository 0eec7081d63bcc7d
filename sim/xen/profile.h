/* Releases of Xen that the simulated one can be, and the names of hosts (--host). */
#ifndef XEN_PROFILE_H
#define XEN_PROFILE_H

#include <stdbool.h>

#include "machine/machine.h"

/* In struct machine_host, in the place of a release's number: a plain machine, or with `viridian` one under another
 * hypervisor. */
#define XEN_MINOR_NONE 0xFFFFFFFFu

/* A release, by what a guest can tell. */
struct xen_profile {
    const char *name;
    unsigned minor;            /* of Xen 4 */
    const char *extra;         /* XENVER_extraversion */
    bool hypfs;                /* hypfs_op exists, though not for guests */
    bool direct_map_features;  /* XENFEAT_not_direct_mapped is told */
    bool upcall_vector_leaf;   /* CPUID says that upcall vectors are not of the local APIC's rules */
    bool unlimited_processors; /* Viridian: no limit of 64 vCPUs, and vCPUs may be added */
};

/* The release of the machine that runs. */
const struct xen_profile *xen_profile(void);

/*
 * xen-4.13|4.17|4.19[,grant-v1][,no-vectors][,viridian], or none[,viridian]; false: `text` is none of that, and *host
 * stays.
 */
bool xen_host_parse(const char *text, struct machine_host *host);

#endif
