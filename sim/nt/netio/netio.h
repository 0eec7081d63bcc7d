/* The IP stack's table of addresses, for the components that look for what a driver leaves behind. */
#ifndef NT_NETIO_H
#define NT_NETIO_H

#include "nt/nt.h"

void netio_init(void);

/* A change callback inside [base, base + size) that is still registered, NULL if there is none. */
const void *netio_callback_in_range(const void *base, size_t size);

#endif
