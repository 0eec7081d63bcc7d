/*
 * Where driver modules call what can be failed: found in their code, so that what no run reached can be named.
 *
 * A call of a fallible routine is a site. A function that does little but wrap one such call, with two callers or more
 * in its module and none in another, is looked through: its callers are the sites. Code is read as the compilers write
 * it on x86-64: calls and jumps by a 32-bit displacement, to the linkage table or through the table's slot, or to a
 * function of the module.
 *
 * No run can reach a site in a function that nothing leads to: from the driver's entry points, from an export that
 * another module read with it imports, or from a function whose address is taken.
 */
#ifndef CLI_CALL_SITES_H
#define CLI_CALL_SITES_H

#include "machine/machine.h"

enum call_site_use {
    CALL_SITE_USED,
    CALL_SITE_NOT_CALLED,  /* nothing in its module leads to the function */
    CALL_SITE_NOT_IMPORTED /* nor does another module import the function, which is exported */
};

struct call_site {
    struct fault_frame frame; /* where the call returns to */
    const char *routine;      /* that is called in the end: a routine of the table, or "hypercall" */
    enum call_site_use use;
};

struct call_sites;

/* Read these modules of a machine. NULL after one line on stderr. */
struct call_sites *call_sites_read(const struct machine_config *config, const char *const *names, unsigned count);
void call_sites_free(struct call_sites *sites);

unsigned call_sites_count(const struct call_sites *sites);
const struct call_site *call_sites_get(const struct call_sites *sites, unsigned index);
/* The site that a call came from by its stack; -1 if it is none that was found. */
int call_sites_match(const struct call_sites *sites, const struct fault_stack *stack);

#endif
