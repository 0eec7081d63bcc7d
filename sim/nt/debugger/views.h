/*
 * Debugger views of a machine that has stopped, as a Windows developer asks the kernel debugger for them (!devstack,
 * !irpfind, !poolused, !locks, !process 0 17, !dpcs). They read the machine's image, on the host's stack, and change
 * nothing.
 */
#ifndef NT_DEBUGGER_VIEWS_H
#define NT_DEBUGGER_VIEWS_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Add the views of a comma-separated list to a set of them (bit n: the n-th view). False: one is unknown or the list is
 * empty, the set as it was.
 */
bool debugger_views_parse(const char *list, unsigned *views);
/* "devstack, irp, ..." for a usage error. */
const char *debugger_views_names(void);
/* The views of a set, each under a heading. */
void debugger_views_print(unsigned views, FILE *out);

/* ---- implemented in the files of this folder ---- */
void view_devstack(FILE *out);
void view_dpcs(FILE *out);
void view_irp(FILE *out);
void view_locks(FILE *out);
void view_pool(FILE *out);
void view_threads(FILE *out);

/* `before`, "xenbus.so!FdoStart+0x12 (fdo.c:120)", `after`. */
void view_code(FILE *out, const char *before, const void *address, const char *after);

#endif
