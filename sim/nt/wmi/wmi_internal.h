/* Between the files of wmi/. */
#ifndef NT_WMI_INTERNAL_H
#define NT_WMI_INTERNAL_H

#include <wmistr.h>

#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/io/io.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"
#include "nt/wmi/wmi.h"

#define WMI_TAG POOL_TAG('W', 'm', 'i', ' ')

/* A block that a device has. */
struct wmi_block {
    GUID guid;
    ULONG flags;
    ULONG instances;
    char *base_name; /* instances are called so, with _0, _1, ... */
    bool events;     /* its provider has been told to send them */
    bool collecting; /* and to gather data that is expensive to gather */
};

/* A registered device. */
struct wmi_provider {
    LIST_ENTRY entry; /* in order of registration */
    PDEVICE_OBJECT device;
    struct wmi_block *blocks;
    unsigned block_count;
    bool blocked;   /* no requests any more */
    unsigned users; /* requests and questions on their way, which deregistration waits for */
    KEVENT idle;    /* there are none */
};

/* What IoWMIOpenBlock gives out. */
struct wmi_consumer {
    LIST_ENTRY entry;
    GUID guid;
    ULONG access;
    WMI_NOTIFICATION_CALLBACK callback;
    PVOID context;
    bool asked; /* for data */
};

struct wmi_state {
    LIST_ENTRY providers;
    LIST_ENTRY consumers;
    KEVENT control; /* one turns events and collection on or off at a time: */
    const struct _KTHREAD *controller;
};

static inline bool wmi_same_guid(const GUID *a, const GUID *b)
{
    return RtlCompareMemory(a, b, sizeof(*a)) == sizeof(*a);
}

/* Keep a provider until it is released. */
void wmi_hold(struct wmi_provider *provider);
void wmi_release(struct wmi_provider *provider);

/* The device's block of the GUID, NULL if it has none. */
const struct wmi_block *wmi_find_block(const struct wmi_provider *provider, const GUID *guid);

void wmi_fill_header(PWNODE_HEADER header, const struct wmi_provider *provider, const GUID *guid, ULONG size,
                     ULONG flags);

/*
 * Have events and collection of each block on exactly where a consumer wants them: now, at APC_LEVEL at most, or by a
 * worker (control.c).
 */
void wmi_settle(void);
void wmi_settle_later(void);

/* IoWMIWriteEvent without its limit. */
NTSTATUS wmi_write_event(PWNODE_HEADER node);

/*
 * Send a request about a block to a provider, at PASSIVE_LEVEL: for a caller at APC_LEVEL a worker does it. `data` is
 * the request's DataPath (the GUID, or a flag); on return *information is what the driver said it used.
 */
NTSTATUS wmi_send(const struct wmi_provider *provider, UCHAR minor, PVOID data, PVOID buffer, ULONG size,
                  ULONG_PTR *information);

#endif
