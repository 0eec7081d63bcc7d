/*
 * XENBUS_CACHE: caches of equal objects that stay constructed while they are free. Provided by XENBUS.
 *
 * The cache is guarded by the client's lock, through the two lock callbacks: CacheGet and CachePut take it unless the
 * caller says, with Locked, that it holds it already.
 */
#ifndef XENBUS_CACHE_INTERFACE_H
#define XENBUS_CACHE_INTERFACE_H

#include "interface_call.h"

/* {A98DFD78-416A-4949-92A5-E084F2F4B44E} */
DEFINE_GUID(GUID_XENBUS_CACHE_INTERFACE, 0xa98dfd78, 0x416a, 0x4949, 0x92, 0xa5, 0xe0, 0x84, 0xf2, 0xf4, 0xb4, 0x4e);

#define XENBUS_CACHE_INTERFACE_VERSION_MIN 2
#define XENBUS_CACHE_INTERFACE_VERSION_MAX 2

/* Opaque, owned by the provider, released by CacheDestroy. */
typedef struct _XENBUS_CACHE XENBUS_CACHE, *PXENBUS_CACHE;

typedef NTSTATUS(NTAPI *XENBUS_CACHE_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_CACHE_RELEASE)(_In_ PINTERFACE Interface);

/*
 * The client's constructor and destructor of an object (Size bytes, zeroed before the constructor). Up to
 * DISPATCH_LEVEL; the lock may or may not be held. A constructor that fails leaves nothing behind.
 */
typedef NTSTATUS(NTAPI *XENBUS_CACHE_CTOR)(_In_opt_ PVOID Argument, _In_ PVOID Object);
typedef VOID(NTAPI *XENBUS_CACHE_DTOR)(_In_opt_ PVOID Argument, _In_ PVOID Object);

/* The client's lock. Called up to DISPATCH_LEVEL, leaving the processor at DISPATCH_LEVEL until released. */
typedef VOID(NTAPI *XENBUS_CACHE_ACQUIRE_LOCK)(_In_opt_ PVOID Argument);
typedef VOID(NTAPI *XENBUS_CACHE_RELEASE_LOCK)(_In_opt_ PVOID Argument);

/*
 * Makes a cache of objects of Size bytes. PASSIVE_LEVEL up to DISPATCH_LEVEL. Name is copied and used in the log.
 * Reservation objects are constructed at once and always kept; as many as were in use of late are kept too; Cap bounds
 * the number of objects in existence, 0 means no bound. STATUS_INVALID_PARAMETER: Size is 0, or Reservation is past
 * Cap. STATUS_INSUFFICIENT_RESOURCES, or the constructor's error.
 */
typedef NTSTATUS(NTAPI *XENBUS_CACHE_CREATE)(_In_ PINTERFACE Interface, _In_ PCSTR Name, _In_ ULONG Size,
                                             _In_ ULONG Reservation, _In_ ULONG Cap, _In_ XENBUS_CACHE_CTOR Ctor,
                                             _In_ XENBUS_CACHE_DTOR Dtor, _In_ XENBUS_CACHE_ACQUIRE_LOCK AcquireLock,
                                             _In_ XENBUS_CACHE_RELEASE_LOCK ReleaseLock, _In_opt_ PVOID Argument,
                                             _Outptr_ PXENBUS_CACHE *Cache);

/* Takes an object, constructed; NULL at the cap or without memory. IRQL <= DISPATCH_LEVEL. */
typedef PVOID(NTAPI *XENBUS_CACHE_GET)(_In_ PINTERFACE Interface, _In_ PXENBUS_CACHE Cache, _In_ BOOLEAN Locked);

/* Gives an object back, in the state in which the constructor left it. IRQL <= DISPATCH_LEVEL. */
typedef VOID(NTAPI *XENBUS_CACHE_PUT)(_In_ PINTERFACE Interface, _In_ PXENBUS_CACHE Cache, _In_ PVOID Object,
                                      _In_ BOOLEAN Locked);

/* Releases the cache; all objects must have been put back. IRQL <= DISPATCH_LEVEL. */
typedef VOID(NTAPI *XENBUS_CACHE_DESTROY)(_In_ PINTERFACE Interface, _In_ PXENBUS_CACHE Cache);

struct _XENBUS_CACHE_INTERFACE_V2 {
    INTERFACE Interface;
    XENBUS_CACHE_ACQUIRE CacheAcquire;
    XENBUS_CACHE_RELEASE CacheRelease;
    XENBUS_CACHE_CREATE CacheCreate;
    XENBUS_CACHE_GET CacheGet;
    XENBUS_CACHE_PUT CachePut;
    XENBUS_CACHE_DESTROY CacheDestroy;
};

typedef struct _XENBUS_CACHE_INTERFACE_V2 XENBUS_CACHE_INTERFACE_V2, *PXENBUS_CACHE_INTERFACE_V2;
typedef XENBUS_CACHE_INTERFACE_V2 XENBUS_CACHE_INTERFACE, *PXENBUS_CACHE_INTERFACE;

#define XENBUS_CACHE_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Cache##_Method, ##__VA_ARGS__)

#endif /* XENBUS_CACHE_INTERFACE_H */
