/*
 * XENBUS_GNTTAB: grants of the domain's pages to other domains, and mappings of theirs. Provided by XENBUS.
 *
 * Grants are taken from a cache that the client makes; the cache is guarded by the client's lock as in
 * cache_interface.h.
 */
#ifndef XENBUS_GNTTAB_INTERFACE_H
#define XENBUS_GNTTAB_INTERFACE_H

#include "cache_interface.h"
#include "interface_call.h"

/* {763679C5-E5C2-4A6D-8B88-6BB02EC42D8E} */
DEFINE_GUID(GUID_XENBUS_GNTTAB_INTERFACE, 0x763679c5, 0xe5c2, 0x4a6d, 0x8b, 0x88, 0x6b, 0xb0, 0x2e, 0xc4, 0x2d, 0x8e);

#define XENBUS_GNTTAB_INTERFACE_VERSION_MIN 4
#define XENBUS_GNTTAB_INTERFACE_VERSION_MAX 4

/* Opaque, owned by the provider. */
typedef struct _XENBUS_GNTTAB_CACHE XENBUS_GNTTAB_CACHE, *PXENBUS_GNTTAB_CACHE;
typedef struct _XENBUS_GNTTAB_ENTRY XENBUS_GNTTAB_ENTRY, *PXENBUS_GNTTAB_ENTRY;

typedef NTSTATUS(NTAPI *XENBUS_GNTTAB_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_GNTTAB_RELEASE)(_In_ PINTERFACE Interface);

/*
 * Makes a cache of grant entries. Up to DISPATCH_LEVEL. Name, Reservation, Cap and the lock as for CacheCreate.
 * STATUS_INSUFFICIENT_RESOURCES: no memory, or no references left for the reservation.
 */
typedef NTSTATUS(NTAPI *XENBUS_GNTTAB_CREATE_CACHE)(_In_ PINTERFACE Interface, _In_ PCSTR Name, _In_ ULONG Reservation,
                                                    _In_ ULONG Cap, _In_ XENBUS_CACHE_ACQUIRE_LOCK AcquireLock,
                                                    _In_ XENBUS_CACHE_RELEASE_LOCK ReleaseLock, _In_opt_ PVOID Argument,
                                                    _Outptr_ PXENBUS_GNTTAB_CACHE *Cache);

/*
 * Lets Domain use the page with frame number Pfn. Up to DISPATCH_LEVEL. The page must stay allocated until the grant
 * is revoked. STATUS_INSUFFICIENT_RESOURCES: no entry left.
 */
typedef NTSTATUS(NTAPI *XENBUS_GNTTAB_PERMIT_FOREIGN_ACCESS)(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_CACHE Cache,
                                                             _In_ BOOLEAN Locked, _In_ USHORT Domain,
                                                             _In_ PFN_NUMBER Pfn, _In_ BOOLEAN ReadOnly,
                                                             _Outptr_ PXENBUS_GNTTAB_ENTRY *Entry);

/*
 * Ends a grant and gives the entry back. Up to DISPATCH_LEVEL. STATUS_UNSUCCESSFUL: the other side still has the page
 * mapped; the entry is still the caller's and the page must not be reused or freed.
 */
typedef NTSTATUS(NTAPI *XENBUS_GNTTAB_REVOKE_FOREIGN_ACCESS)(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_CACHE Cache,
                                                             _In_ BOOLEAN Locked, _In_ PXENBUS_GNTTAB_ENTRY Entry);

/* The reference of an entry, to be told to the other side. Any IRQL. */
typedef ULONG(NTAPI *XENBUS_GNTTAB_GET_REFERENCE)(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_ENTRY Entry);

/*
 * What a reference of this domain grants. Up to DISPATCH_LEVEL. STATUS_INVALID_PARAMETER: past the table, or the
 * entry grants nothing.
 */
typedef NTSTATUS(NTAPI *XENBUS_GNTTAB_QUERY_REFERENCE)(_In_ PINTERFACE Interface, _In_ ULONG Reference,
                                                       _Out_opt_ PPFN_NUMBER Pfn, _Out_opt_ PBOOLEAN ReadOnly);

/* Releases a cache; all its entries must have been revoked. Up to DISPATCH_LEVEL. */
typedef VOID(NTAPI *XENBUS_GNTTAB_DESTROY_CACHE)(_In_ PINTERFACE Interface, _In_ PXENBUS_GNTTAB_CACHE Cache);

/*
 * Maps NumberPages pages that Domain has granted, in a row, at a physical address of the provider's choice, which the
 * caller may map with MmMapIoSpace. Up to DISPATCH_LEVEL. STATUS_INSUFFICIENT_RESOURCES: no room or memory;
 * otherwise the grant operation's error, and nothing is mapped.
 */
typedef NTSTATUS(NTAPI *XENBUS_GNTTAB_MAP_FOREIGN_PAGES)(_In_ PINTERFACE Interface, _In_ USHORT Domain,
                                                         _In_ ULONG NumberPages,
                                                         _In_reads_(NumberPages) PULONG References,
                                                         _In_ BOOLEAN ReadOnly, _Out_ PHYSICAL_ADDRESS *Address);

/* Ends a mapping made by GnttabMapForeignPages. Up to DISPATCH_LEVEL. STATUS_INVALID_PARAMETER: no such mapping. */
typedef NTSTATUS(NTAPI *XENBUS_GNTTAB_UNMAP_FOREIGN_PAGES)(_In_ PINTERFACE Interface, _In_ PHYSICAL_ADDRESS Address);

struct _XENBUS_GNTTAB_INTERFACE_V4 {
    INTERFACE Interface;
    XENBUS_GNTTAB_ACQUIRE GnttabAcquire;
    XENBUS_GNTTAB_RELEASE GnttabRelease;
    XENBUS_GNTTAB_CREATE_CACHE GnttabCreateCache;
    XENBUS_GNTTAB_PERMIT_FOREIGN_ACCESS GnttabPermitForeignAccess;
    XENBUS_GNTTAB_REVOKE_FOREIGN_ACCESS GnttabRevokeForeignAccess;
    XENBUS_GNTTAB_GET_REFERENCE GnttabGetReference;
    XENBUS_GNTTAB_QUERY_REFERENCE GnttabQueryReference;
    XENBUS_GNTTAB_DESTROY_CACHE GnttabDestroyCache;
    XENBUS_GNTTAB_MAP_FOREIGN_PAGES GnttabMapForeignPages;
    XENBUS_GNTTAB_UNMAP_FOREIGN_PAGES GnttabUnmapForeignPages;
};

typedef struct _XENBUS_GNTTAB_INTERFACE_V4 XENBUS_GNTTAB_INTERFACE_V4, *PXENBUS_GNTTAB_INTERFACE_V4;
typedef XENBUS_GNTTAB_INTERFACE_V4 XENBUS_GNTTAB_INTERFACE, *PXENBUS_GNTTAB_INTERFACE;

#define XENBUS_GNTTAB_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Gnttab##_Method, ##__VA_ARGS__)

#endif /* XENBUS_GNTTAB_INTERFACE_H */
