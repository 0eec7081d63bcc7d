/* The guest's domain as the harness of a run and the operator of a machine that stays up make it. From a dom0 task. */
#ifndef CLI_GUEST_DOMAIN_H
#define CLI_GUEST_DOMAIN_H

#include "toolstack.h"

/* What is known of the domain beside its machine. */
struct guest_domain_spec {
    const char *name;
    const char *uuid;    /* NULL: one by guest_domain_make_uuid(), of no host */
    uint32_t target_kib; /* of its memory what it is asked to keep; 0: all of it */
    unsigned max_vcpus;  /* beyond the machine's: offline; 0: there are none */
};

/* On the machine's RAM and vCPUs, in the hypervisor and in the store. False: toolstack_error(). */
bool guest_domain_create(struct toolstack *toolstack, struct toolstack_domain *domain,
                         const struct guest_domain_spec *spec);
/*
 * A UUID for a domain that was given none: of this name and the machine's seed on this host always the same, of another
 * one another (xl would take a random one).
 */
#define GUEST_DOMAIN_UUID_MAX 37
void guest_domain_make_uuid(const char *name, const char *host, char text[GUEST_DOMAIN_UUID_MAX]);
/* "01234567-89ab-cdef-0123-456789abcdef"; false: it is none. */
bool guest_domain_read_uuid(const char *text, uint8_t uuid[16]);
/* The store's and the console's frames and ports; the ports change with a migration. */
void guest_domain_read_ports(struct toolstack_domain *domain);
/* A driver domain, unless it is 0: its nodes, too. Likewise. */
bool guest_domain_create_driver(struct toolstack *toolstack, unsigned domid);
/* Its nodes alone, in a store that is new. */
bool guest_domain_name_driver(struct toolstack *toolstack, unsigned domid);
/* VIF number `handle` with nothing particular about it. */
struct toolstack_vif guest_domain_vif(unsigned domid, unsigned handle);
/* The address that it then has. */
void guest_domain_vif_mac(struct toolstack_vif *vif);

#endif
