/* What the files of sim/nt/netio share. */
#ifndef NT_NETIO_INTERNAL_H
#define NT_NETIO_INTERNAL_H

#include <netioapi.h>

#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
#include "nt/netio/netio.h"

/* Of the tables that FreeMibTable frees. */
#define NETIO_TAG_TABLE POOL_TAG('N', 't', 'I', 'p')

struct netio_interface {
    LIST_ENTRY entry; /* in order of arrival */
    NET_LUID luid;
    NET_IFINDEX index; /* from 1; none is given twice */
    GUID guid;
    PDEVICE_OBJECT pdo; /* NULL: no adapter's */
    struct netio_physical physical;
    char *description;
};

struct netio_state {
    LIST_ENTRY interfaces;
    NET_IFINDEX last_index;
    LIST_ENTRY addresses;
    LIST_ENTRY registrations;
};

/* ---- interface.c ---- */
/* By LUID, or by index where the LUID is zero. NULL: there is none. */
const struct netio_interface *netio_interface(NET_LUID luid, NET_IFINDEX index);

/* ---- address.c ---- */
/* An address that comes with the interface; who wants to know is told. */
void netio_address_add(const struct netio_interface *interface, const SOCKADDR_INET *address, unsigned prefix,
                       NL_PREFIX_ORIGIN origin);
/* All of the interface's. */
void netio_addresses_go(const struct netio_interface *interface);

#endif
