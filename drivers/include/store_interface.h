/*
 * XENBUS_STORE: XenStore. Provided by XENBUS.
 *
 * Every method may be called up to DISPATCH_LEVEL, also from a LATE suspend callback with every other processor held:
 * there the request is completed by polling the ring, for a time that leaves half of what Windows' DPC watchdog allows,
 * and then fails with STATUS_IO_TIMEOUT. Below DISPATCH_LEVEL a request waits up to 60 s.
 *
 * A path is Prefix, a slash and Node, or Node alone when Prefix is NULL; one that does not begin with a slash is
 * relative to the domain's own directory. Transaction is NULL outside a transaction. Strings are ANSI, NUL-terminated.
 *
 * Errors common to all requests: the store's own (STATUS_OBJECT_NAME_NOT_FOUND for ENOENT, STATUS_ACCESS_DENIED for
 * EACCES, STATUS_QUOTA_EXCEEDED for ENOSPC and so on, as XenErrnoToStatus in xen.h maps them), STATUS_IO_TIMEOUT when
 * the daemon does not answer in time, STATUS_INSUFFICIENT_RESOURCES, STATUS_BUFFER_OVERFLOW for a path or a value past
 * the protocol's limit, STATUS_DATA_ERROR for an answer that breaks the protocol.
 */
#ifndef XENBUS_STORE_INTERFACE_H
#define XENBUS_STORE_INTERFACE_H

#include "interface_call.h"

/* {86824C3B-D34E-4753-B281-2F1E3AD214D7} */
DEFINE_GUID(GUID_XENBUS_STORE_INTERFACE, 0x86824c3b, 0xd34e, 0x4753, 0xb2, 0x81, 0x2f, 0x1e, 0x3a, 0xd2, 0x14, 0xd7);

#define XENBUS_STORE_INTERFACE_VERSION_MIN 2
#define XENBUS_STORE_INTERFACE_VERSION_MAX 2

/* Opaque, owned by the provider; a transaction ends with StoreTransactionEnd, a watch with StoreWatchRemove. */
typedef struct _XENBUS_STORE_TRANSACTION XENBUS_STORE_TRANSACTION, *PXENBUS_STORE_TRANSACTION;
typedef struct _XENBUS_STORE_WATCH XENBUS_STORE_WATCH, *PXENBUS_STORE_WATCH;

typedef enum _XENBUS_STORE_PERMISSION_MASK {
    XENBUS_STORE_PERM_NONE = 0,
    XENBUS_STORE_PERM_READ = 1,
    XENBUS_STORE_PERM_WRITE = 2
} XENBUS_STORE_PERMISSION_MASK,
    *PXENBUS_STORE_PERMISSION_MASK;

/* What Domain may do with a node. The first entry of a list names the owner and what all others may do. */
typedef struct _XENBUS_STORE_PERMISSION {
    USHORT Domain;
    XENBUS_STORE_PERMISSION_MASK Mask;
} XENBUS_STORE_PERMISSION, *PXENBUS_STORE_PERMISSION;

typedef NTSTATUS(NTAPI *XENBUS_STORE_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_STORE_RELEASE)(_In_ PINTERFACE Interface);

/* Frees a buffer that StoreRead or StoreDirectory returned. */
typedef VOID(NTAPI *XENBUS_STORE_FREE)(_In_ PINTERFACE Interface, _In_ PSTR Buffer);

/* Reads a node's value. *Buffer is NUL-terminated and the caller's, to be freed by StoreFree. */
typedef NTSTATUS(NTAPI *XENBUS_STORE_READ)(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                           _In_opt_ PSTR Prefix, _In_ PSTR Node, _Outptr_ PSTR *Buffer);

/* Writes a node's value, made from Format as printf does; the node and missing ancestors are created. */
typedef NTSTATUS(NTAPI *XENBUS_STORE_PRINTF)(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                             _In_opt_ PSTR Prefix, _In_ PSTR Node, _In_ PCSTR Format, ...);

/* Replaces a node's permissions with the NumberPermissions entries at Permissions. */
typedef NTSTATUS(NTAPI *XENBUS_STORE_PERMISSIONS_SET)(
    _In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction, _In_opt_ PSTR Prefix, _In_ PSTR Node,
    _In_reads_(NumberPermissions) PXENBUS_STORE_PERMISSION Permissions, _In_ ULONG NumberPermissions);

/* Removes a node and all below it. */
typedef NTSTATUS(NTAPI *XENBUS_STORE_REMOVE)(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_STORE_TRANSACTION Transaction,
                                             _In_opt_ PSTR Prefix, _In_ PSTR Node);

/*
 * Lists a node's children. *Buffer holds the names, each closed by a NUL, the list by one more NUL; it is the
 * caller's, to be freed by StoreFree. A node without children gives an empty list.
 */
typedef NTSTATUS(NTAPI *XENBUS_STORE_DIRECTORY)(_In_ PINTERFACE Interface,
                                                _In_opt_ PXENBUS_STORE_TRANSACTION Transaction, _In_opt_ PSTR Prefix,
                                                _In_ PSTR Node, _Outptr_ PSTR *Buffer);

/* Starts a transaction. On success StoreTransactionEnd must follow. */
typedef NTSTATUS(NTAPI *XENBUS_STORE_TRANSACTION_START)(_In_ PINTERFACE Interface,
                                                        _Outptr_ PXENBUS_STORE_TRANSACTION *Transaction);

/*
 * Ends a transaction, committing it or giving it up; Transaction is gone whatever the result. STATUS_RETRY: another
 * writer was faster, or the domain was suspended meanwhile; nothing was written and the caller starts again.
 */
typedef NTSTATUS(NTAPI *XENBUS_STORE_TRANSACTION_END)(_In_ PINTERFACE Interface,
                                                      _In_ PXENBUS_STORE_TRANSACTION Transaction, _In_ BOOLEAN Commit);

/*
 * Sets Event whenever the node or anything below it changes, and once at the start. Event is the caller's and must
 * live until StoreWatchRemove has returned. The watch survives suspend and resume, after which it fires.
 */
typedef NTSTATUS(NTAPI *XENBUS_STORE_WATCH_ADD)(_In_ PINTERFACE Interface, _In_opt_ PSTR Prefix, _In_ PSTR Node,
                                                _In_ PKEVENT Event, _Outptr_ PXENBUS_STORE_WATCH *Watch);

/* Ends a watch; once it has returned Event is not touched again. Watch is gone whatever the result. */
typedef NTSTATUS(NTAPI *XENBUS_STORE_WATCH_REMOVE)(_In_ PINTERFACE Interface, _In_ PXENBUS_STORE_WATCH Watch);

/* Processes what is on the ring now, for callers that wait with interrupts held off. */
typedef VOID(NTAPI *XENBUS_STORE_POLL)(_In_ PINTERFACE Interface);

struct _XENBUS_STORE_INTERFACE_V2 {
    INTERFACE Interface;
    XENBUS_STORE_ACQUIRE StoreAcquire;
    XENBUS_STORE_RELEASE StoreRelease;
    XENBUS_STORE_FREE StoreFree;
    XENBUS_STORE_READ StoreRead;
    XENBUS_STORE_PRINTF StorePrintf;
    XENBUS_STORE_PERMISSIONS_SET StorePermissionsSet;
    XENBUS_STORE_REMOVE StoreRemove;
    XENBUS_STORE_DIRECTORY StoreDirectory;
    XENBUS_STORE_TRANSACTION_START StoreTransactionStart;
    XENBUS_STORE_TRANSACTION_END StoreTransactionEnd;
    XENBUS_STORE_WATCH_ADD StoreWatchAdd;
    XENBUS_STORE_WATCH_REMOVE StoreWatchRemove;
    XENBUS_STORE_POLL StorePoll;
};

typedef struct _XENBUS_STORE_INTERFACE_V2 XENBUS_STORE_INTERFACE_V2, *PXENBUS_STORE_INTERFACE_V2;
typedef XENBUS_STORE_INTERFACE_V2 XENBUS_STORE_INTERFACE, *PXENBUS_STORE_INTERFACE;

#define XENBUS_STORE_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Store##_Method, ##__VA_ARGS__)

#endif /* XENBUS_STORE_INTERFACE_H */
