/* The guest's domain as the harness of a run and the operator of a machine that stays up make it. From a dom0 task. */
#ifndef CLI_GUEST_DOMAIN_H
#define CLI_GUEST_DOMAIN_H

#include "toolstack.h"

/* On the machine's RAM and vCPUs, in the hypervisor and in the store. False: toolstack_error(). */
bool guest_domain_create(struct toolstack *toolstack, struct toolstack_domain *domain, const char *name);
/* The store's and the console's frames and ports; the ports change with a migration. */
void guest_domain_read_ports(struct toolstack_domain *domain);
/* A driver domain, unless it is 0: its nodes, too. Likewise. */
bool guest_domain_create_driver(struct toolstack *toolstack, unsigned domid);
/* VIF number `handle` with nothing particular about it. */
struct toolstack_vif guest_domain_vif(unsigned domid, unsigned handle);

#endif
