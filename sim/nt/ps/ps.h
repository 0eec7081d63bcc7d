/* What drivers want to be told of processes and images, for the components that have something to tell. */
#ifndef NT_PS_H
#define NT_PS_H

#include "nt/nt.h"

void ps_init(void);

/* A driver image has been loaded; `path` as Windows would name its file. PASSIVE_LEVEL, in a guest thread. */
void ps_image_loaded(const char *path, void *base, size_t size);

/* A routine inside [base, base + size) that is still registered, NULL if there is none; `what` names the list. */
const void *ps_notify_in_range(const void *base, size_t size, const char **what);

#endif
