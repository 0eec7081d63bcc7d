/*
 * How the exported interfaces are used, and the one macro that calls a method.
 *
 * Every interface in this folder is a structure whose slot 0 is the driver kit's INTERFACE header and whose further
 * slots are function pointers; each method takes the INTERFACE pointer first (the three query methods of EMULATED,
 * whose parameter is a PVOID, take its Context as well). A client:
 *
 *   1. sends IRP_MN_QUERY_INTERFACE with the GUID, the version and the size of the structure to its own PDO's stack
 *      (PASSIVE_LEVEL). A version that the provider does not have fails with STATUS_NOT_SUPPORTED, a structure that
 *      is too small with STATUS_BUFFER_TOO_SMALL. A successful query takes no reference: InterfaceReference and
 *      InterfaceDereference are NULL and must not be called;
 *   2. calls Acquire. Only a client that has acquired an interface may call its other methods;
 *   3. calls Release once for each Acquire, after it has given back all that it took through the interface.
 *
 * Acquire and Release may be called up to DISPATCH_LEVEL unless the interface says otherwise. Acquire fails with the
 * provider's reason (for example STATUS_DEVICE_NOT_READY before the provider is started) and then holds nothing.
 *
 * Slot order, parameter order and structure layout are an ABI shared with drivers built elsewhere: a change is a new
 * version and a new row in revision.h, never an edit. interface_layout.h holds the layout by static assertions.
 */
#ifndef XEN_INTERFACE_CALL_H
#define XEN_INTERFACE_CALL_H

#include <ntddk.h>

/* Calls _Slot of the interface structure that _Pointer points to, passing the INTERFACE header ahead of the rest. */
#define XEN_INTERFACE_CALL(_Pointer, _Slot, ...) ((_Pointer)->_Slot(&(_Pointer)->Interface, ##__VA_ARGS__))

#endif /* XEN_INTERFACE_CALL_H */
