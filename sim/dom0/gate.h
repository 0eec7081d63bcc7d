/*
 * The gate: where programs on the host that are linked with the drop-in libxen* libraries come into the machine, as
 * programs of domain 0 or of a driver domain (gate_protocol.h is what they say).
 */
#ifndef DOM0_GATE_H
#define DOM0_GATE_H

#include <stdbool.h>

/* Open it at this path (dom0.sock); false with errno. From a task, or the host's stack before the machine runs. */
bool gate_open(const char *path);

/* The machine goes on in another process, where the memory of programs is not. */
void gate_on_new_host(void);

struct census;
/* What programs hold: ports, mappings, shared pages. */
void gate_census(struct census *census);

#endif
