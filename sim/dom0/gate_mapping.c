/* Pages that programs hold, however they came by them, and what happens when they are given back. */
#include "dom0/gate_internal.h"

#include <errno.h>
#include <string.h>

#include "dom0/shares.h"
#include "machine/guest_ram.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "xen/xen.h"

struct gate_mapping *gate_mapping_new(struct gate_handle *handle, enum gate_mapping_kind kind, bool writable,
                                      uint32_t count)
{
    struct gate_mapping *mapping = image_alloc(sizeof(*mapping) + count * sizeof(mapping->item[0]));

    mapping->kind = kind;
    mapping->writable = writable;
    mapping->count = count;
    mapping->number = ++handle->last_number;
    mapping->notify_offset = GATE_NONE;
    mapping->notify_port = GATE_NONE;
    for (uint32_t index = 0; index < count; index++)
        mapping->item[index].handle = -1;
    mapping->next = handle->mappings;
    handle->mappings = mapping;
    return mapping;
}

void gate_mapping_set(struct gate_handle *handle, struct gate_mapping *mapping, uint32_t index, int64_t held,
                      void *page)
{
    mapping->item[index].handle = held;
    mapping->item[index].page = page;
    if (mapping->writable)
        peer_share(handle->peer, gate_page_number(page));
}

static void release(const struct gate_handle *handle, const struct gate_mapping *mapping, const struct gate_item *item)
{
    if (item->handle < 0)
        return;
    if (mapping->writable)
        peer_unshare(handle->peer, gate_page_number(item->page));
    switch (mapping->kind) {
    case GATE_OF_GRANTS:
        (void)xen_grant_unmap(handle->domid, (uint32_t)item->handle);
        break;
    case GATE_OF_SHARES:
        share_revoke(handle->domid, (uint32_t)item->handle);
        break;
    case GATE_OF_FRAMES:
        xen_foreign_unmap(item->handle);
        break;
    }
}

static void remove_mapping(struct gate_handle *handle, struct gate_mapping *mapping)
{
    struct gate_mapping **link = &handle->mappings;

    while (*link != mapping)
        link = &(*link)->next;
    *link = mapping->next;
    for (uint32_t index = 0; index < mapping->count; index++)
        release(handle, mapping, &mapping->item[index]);
    image_free(mapping);
}

void gate_mapping_undo(struct gate_handle *handle, struct gate_mapping *mapping)
{
    mapping->notify_port = GATE_NONE;
    remove_mapping(handle, mapping);
}

int gate_mapping_notify(struct gate_handle *handle, struct gate_mapping *mapping, uint32_t offset, uint32_t port)
{
    if (offset != GATE_NONE && offset / GUEST_PAGE_SIZE >= mapping->count)
        return EINVAL;
    if (port != GATE_NONE && !gate_port_is_bound(handle->domid, port))
        return EINVAL;
    mapping->notify_offset = offset;
    mapping->notify_port = port;
    return 0;
}

static struct gate_mapping *find_by_port(unsigned domid, uint32_t port)
{
    for (const struct gate_handle *handle = machine->gate->handles; handle != NULL; handle = handle->next)
        for (struct gate_mapping *mapping = handle->mappings; mapping != NULL; mapping = mapping->next)
            if (handle->domid == domid && mapping->notify_port == port)
                return mapping;
    return NULL;
}

bool gate_mapping_takes_port(unsigned domid, struct gate_bound *port)
{
    struct gate_mapping *mapping = find_by_port(domid, port->number);

    if (mapping == NULL)
        return false;
    port->handle = NULL;
    mapping->port = port;
    return true;
}

/* The unmap notification: a byte that is cleared, a port that is signalled. */
static void end(struct gate_handle *handle, struct gate_mapping *mapping)
{
    uint32_t offset = mapping->notify_offset;
    struct gate_bound *port = mapping->port;

    if (offset != GATE_NONE)
        __atomic_store_n(mapping->item[offset / GUEST_PAGE_SIZE].page + offset % GUEST_PAGE_SIZE, (uint8_t)0,
                         __ATOMIC_RELEASE);
    if (mapping->notify_port != GATE_NONE)
        (void)xen_evtchn_send(handle->domid, mapping->notify_port);
    mapping->notify_port = GATE_NONE;
    if (port != NULL && !gate_mapping_takes_port(handle->domid, port)) {
        (void)xen_evtchn_close(handle->domid, port->number);
        image_free(port);
    }
    remove_mapping(handle, mapping);
}

bool gate_unmap(struct gate_handle *handle, enum gate_mapping_kind kind, const void *packet, size_t bytes)
{
    struct gate_mapping *mapping = handle->mappings;
    struct gate_unmap request;

    if (bytes != sizeof(request))
        return false;
    memcpy(&request, packet, sizeof(request));
    while (mapping != NULL && (mapping->number != request.number || mapping->kind != kind))
        mapping = mapping->next;
    if (mapping != NULL)
        end(handle, mapping);
    gate_reply(handle, mapping != NULL ? 0 : EINVAL, 0, NULL, 0);
    return true;
}

void gate_mappings_close(struct gate_handle *handle)
{
    while (handle->mappings != NULL)
        end(handle, handle->mappings);
}
