/* The IP interfaces and their addresses, for the components that announce adapters or look for what a driver leaves. */
#ifndef NT_NETIO_H
#define NT_NETIO_H

#include <netioapi.h>

#include "nt/nt.h"

struct cm_key;

void netio_init(void);

/*
 * A network adapter has started: its interface comes up, with the name (NetCfgInstanceId), LUID (NetLuidIndex, *IfType)
 * and description (DriverDesc) that its software key says, the addresses that its driver gave, and the static IPv4
 * addresses that the registry has for it. Nothing happens if the key has no name. An adapter that goes takes its
 * interface along.
 */
struct netio_physical {
    ULONG length; /* 0: the driver knows of no addresses */
    UCHAR current[6], permanent[6];
};
void netio_adapter_started(PDEVICE_OBJECT pdo, const struct cm_key *software, const struct netio_physical *physical);
void netio_adapter_gone(PDEVICE_OBJECT pdo);

/*
 * Duplicate address detection says so of an address: it looks anew (tentative: the link was down), has found another
 * owner, or none. Whoever wants to know of changes is told. False: the interface has no such address.
 */
bool netio_address_detected(NET_LUID luid, const SOCKADDR_INET *address, NL_DAD_STATE state);

/* A change callback inside [base, base + size) that is still registered, NULL if there is none. */
const void *netio_callback_in_range(const void *base, size_t size);

#endif
