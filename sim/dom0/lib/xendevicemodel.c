/*
 * libxendevicemodel over the gate of a running machine: each call is one dm_op hypercall, whose operation and buffers
 * lie in the handle's arena. What the machine's hypervisor does not do fails with its error, and is logged by its name.
 */
#include "dropin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xendevicemodel.h>

#define ARENA_BYTES (4u << 20)
#define EXTRA_OFFSET DROPIN_PAGE /* of the second buffer; the operation and the buffers' list lie in the first page */
#define LIST_OFFSET 1024u

struct xendevicemodel_handle {
    struct dropin dropin;
    struct dropin_arena arena;
    pthread_mutex_t calling;
};

_Static_assert(sizeof(struct xen_dm_op) <= LIST_OFFSET, "the operation reaches into the list of buffers");

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger, unsigned int open_flags)
{
    struct xendevicemodel_handle *handle;

    if (open_flags != 0) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    if (handle == NULL)
        return NULL;
    handle->arena.bytes = ARENA_BYTES;
    pthread_mutex_init(&handle->calling, NULL);
    if (dropin_open(&handle->dropin, "xendevicemodel", logger, dropin_restrict_active, GATE_CALL, &handle->arena, NULL))
        return handle;
    free(handle);
    return NULL;
}

int xendevicemodel_close(xendevicemodel_handle *dmod)
{
    if (dmod == NULL)
        return 0;
    dropin_close(&dmod->dropin);
    dropin_arena_close(&dmod->arena);
    pthread_mutex_destroy(&dmod->calling);
    free(dmod);
    return 0;
}

int xendevicemodel_restrict(xendevicemodel_handle *dmod, domid_t domid)
{
    return dropin_restrict(&dmod->dropin, domid);
}

/* The operation comes back with its answer, and so does what `extra` points to. */
static int call_with(xendevicemodel_handle *dmod, domid_t domid, struct xen_dm_op *op, void *extra, size_t bytes,
                     const char *name)
{
    struct xen_dm_op_buf list[2] = {{.size = sizeof(*op)}, {.size = bytes}};
    struct gate_hypercall request = {.type = GATE_HYPERCALL, .op = __HYPERVISOR_dm_op};
    uint8_t *start = dmod->arena.start;
    int64_t result = 0;
    int error;

    if (bytes > dmod->arena.bytes - EXTRA_OFFSET) {
        errno = E2BIG;
        dropin_error(&dmod->dropin, "%s: a buffer of %zu bytes", name, bytes);
        return -1;
    }
    set_xen_guest_handle(list[0].h, start);
    set_xen_guest_handle(list[1].h, start + EXTRA_OFFSET);
    request.argument[0] = domid;
    request.argument[1] = bytes != 0 ? 2 : 1;
    request.argument[2] = (uintptr_t)(start + LIST_OFFSET);
    pthread_mutex_lock(&dmod->calling);
    memcpy(start, op, sizeof(*op));
    memcpy(start + LIST_OFFSET, list, sizeof(list));
    if (bytes != 0)
        memcpy(start + EXTRA_OFFSET, extra, bytes);
    error = dropin_ask(&dmod->dropin, &request, sizeof(request), &result, NULL, 0) != 0 ? errno : 0;
    memcpy(op, start, sizeof(*op));
    if (bytes != 0)
        memcpy(extra, start + EXTRA_OFFSET, bytes);
    pthread_mutex_unlock(&dmod->calling);
    if (error == 0 && result >= 0)
        return (int)result;
    errno = error != 0 ? error : (int)-result;
    dropin_error(&dmod->dropin, "dm_op %s on domain %u", name, domid);
    return -1;
}

#define CALL(dmod, domid, op) call_with(dmod, domid, op, NULL, 0, __func__)

/* ---- I/O request servers ---- */

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, int handle_bufioreq, ioservid_t *id)
{
    struct xen_dm_op op = {.op = XEN_DMOP_create_ioreq_server,
                           .u.create_ioreq_server.handle_bufioreq = (uint8_t)handle_bufioreq};
    int result = CALL(dmod, domid, &op);

    if (result == 0)
        *id = op.u.create_ioreq_server.id;
    return result;
}

int xendevicemodel_get_ioreq_server_info(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                         xen_pfn_t *ioreq_gfn, xen_pfn_t *bufioreq_gfn, evtchn_port_t *bufioreq_port)
{
    struct xen_dm_op op = {.op = XEN_DMOP_get_ioreq_server_info, .u.get_ioreq_server_info.id = id};
    int result;

    if (ioreq_gfn == NULL && bufioreq_gfn == NULL)
        op.u.get_ioreq_server_info.flags |= XEN_DMOP_no_gfns;
    result = CALL(dmod, domid, &op);
    if (result != 0)
        return result;
    if (ioreq_gfn != NULL)
        *ioreq_gfn = op.u.get_ioreq_server_info.ioreq_gfn;
    if (bufioreq_gfn != NULL)
        *bufioreq_gfn = op.u.get_ioreq_server_info.bufioreq_gfn;
    if (bufioreq_port != NULL)
        *bufioreq_port = op.u.get_ioreq_server_info.bufioreq_port;
    return 0;
}

static struct xen_dm_op range_op(uint32_t number, ioservid_t id, uint32_t type, uint64_t start, uint64_t end)
{
    return (struct xen_dm_op){.op = number,
                              .u.map_io_range_to_ioreq_server = {.id = id, .type = type, .start = start, .end = end}};
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id, int is_mmio,
                                                uint64_t start, uint64_t end)
{
    struct xen_dm_op op = range_op(XEN_DMOP_map_io_range_to_ioreq_server, id,
                                   is_mmio ? XEN_DMOP_IO_RANGE_MEMORY : XEN_DMOP_IO_RANGE_PORT, start, end);

    return CALL(dmod, domid, &op);
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                                    int is_mmio, uint64_t start, uint64_t end)
{
    struct xen_dm_op op = range_op(XEN_DMOP_unmap_io_range_from_ioreq_server, id,
                                   is_mmio ? XEN_DMOP_IO_RANGE_MEMORY : XEN_DMOP_IO_RANGE_PORT, start, end);

    return CALL(dmod, domid, &op);
}

static int pci_call(xendevicemodel_handle *dmod, domid_t domid, uint32_t number, ioservid_t id, uint16_t segment,
                    uint8_t bus, uint8_t device, uint8_t function)
{
    uint64_t address = XEN_DMOP_PCI_SBDF((uint64_t)segment, bus, device, function);
    struct xen_dm_op op = range_op(number, id, XEN_DMOP_IO_RANGE_PCI, address, address);

    if (device > 0x1f || function > 0x7) {
        errno = EINVAL;
        return -1;
    }
    return CALL(dmod, domid, &op);
}

int xendevicemodel_map_pcidev_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                              uint16_t segment, uint8_t bus, uint8_t device, uint8_t function)
{
    return pci_call(dmod, domid, XEN_DMOP_map_io_range_to_ioreq_server, id, segment, bus, device, function);
}

int xendevicemodel_unmap_pcidev_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                                  uint16_t segment, uint8_t bus, uint8_t device, uint8_t function)
{
    return pci_call(dmod, domid, XEN_DMOP_unmap_io_range_from_ioreq_server, id, segment, bus, device, function);
}

int xendevicemodel_map_mem_type_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                                uint16_t type, uint32_t flags)
{
    struct xen_dm_op op = {.op = XEN_DMOP_map_mem_type_to_ioreq_server,
                           .u.map_mem_type_to_ioreq_server = {.id = id, .type = type, .flags = flags}};

    if (type != HVMMEM_ioreq_server || (flags & ~XEN_DMOP_IOREQ_MEM_ACCESS_WRITE) != 0) {
        errno = EINVAL;
        return -1;
    }
    return CALL(dmod, domid, &op);
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id)
{
    struct xen_dm_op op = {.op = XEN_DMOP_destroy_ioreq_server, .u.destroy_ioreq_server.id = id};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id, int enabled)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_ioreq_server_state,
                           .u.set_ioreq_server_state = {.id = id, .enabled = enabled != 0}};

    return CALL(dmod, domid, &op);
}

/* ---- interrupts ---- */

int xendevicemodel_set_pci_intx_level(xendevicemodel_handle *dmod, domid_t domid, uint16_t segment, uint8_t bus,
                                      uint8_t device, uint8_t intx, unsigned int level)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_pci_intx_level,
                           .u.set_pci_intx_level = {
                               .domain = segment, .bus = bus, .device = device, .intx = intx, .level = (uint8_t)level}};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_set_isa_irq_level(xendevicemodel_handle *dmod, domid_t domid, uint8_t irq, unsigned int level)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_isa_irq_level,
                           .u.set_isa_irq_level = {.isa_irq = irq, .level = (uint8_t)level}};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_set_irq_level(xendevicemodel_handle *dmod, domid_t domid, unsigned int irq, unsigned int level)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_irq_level, .u.set_irq_level = {.irq = irq, .level = (uint8_t)level}};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_set_pci_link_route(xendevicemodel_handle *dmod, domid_t domid, uint8_t link, uint8_t irq)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_pci_link_route, .u.set_pci_link_route = {.link = link, .isa_irq = irq}};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_inject_msi(xendevicemodel_handle *dmod, domid_t domid, uint64_t msi_addr, uint32_t msi_data)
{
    struct xen_dm_op op = {.op = XEN_DMOP_inject_msi, .u.inject_msi = {.data = msi_data, .addr = msi_addr}};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_inject_event(xendevicemodel_handle *dmod, domid_t domid, int vcpu, uint8_t vector, uint8_t type,
                                uint32_t error_code, uint8_t insn_len, uint64_t extra)
{
    struct xen_dm_op op = {.op = XEN_DMOP_inject_event,
                           .u.inject_event = {.vcpuid = (uint32_t)vcpu,
                                              .vector = vector,
                                              .type = type,
                                              .insn_len = insn_len,
                                              .error_code = error_code,
                                              .cr2 = extra}};

    return CALL(dmod, domid, &op);
}

/* ---- memory ---- */

int xendevicemodel_track_dirty_vram(xendevicemodel_handle *dmod, domid_t domid, uint64_t first_pfn, uint32_t nr,
                                    unsigned long *dirty_bitmap)
{
    struct xen_dm_op op = {.op = XEN_DMOP_track_dirty_vram, .u.track_dirty_vram = {.nr = nr, .first_pfn = first_pfn}};

    return call_with(dmod, domid, &op, dirty_bitmap, ((size_t)nr + 7) / 8, __func__);
}

int xendevicemodel_modified_memory_bulk(xendevicemodel_handle *dmod, domid_t domid,
                                        struct xen_dm_op_modified_memory_extent extents[], uint32_t nr)
{
    struct xen_dm_op op = {.op = XEN_DMOP_modified_memory, .u.modified_memory.nr_extents = nr};

    return call_with(dmod, domid, &op, extents, nr * sizeof(extents[0]), __func__);
}

int xendevicemodel_modified_memory(xendevicemodel_handle *dmod, domid_t domid, uint64_t first_pfn, uint32_t nr)
{
    struct xen_dm_op_modified_memory_extent extent = {.first_pfn = first_pfn, .nr = nr};

    return xendevicemodel_modified_memory_bulk(dmod, domid, &extent, 1);
}

int xendevicemodel_set_mem_type(xendevicemodel_handle *dmod, domid_t domid, hvmmem_type_t mem_type, uint64_t first_pfn,
                                uint32_t nr)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_mem_type,
                           .u.set_mem_type = {.nr = nr, .mem_type = (uint16_t)mem_type, .first_pfn = first_pfn}};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_relocate_memory(xendevicemodel_handle *dmod, domid_t domid, uint32_t size, uint64_t src_gfn,
                                   uint64_t dst_gfn)
{
    struct xen_dm_op op = {.op = XEN_DMOP_relocate_memory,
                           .u.relocate_memory = {.size = size, .src_gfn = src_gfn, .dst_gfn = dst_gfn}};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_pin_memory_cacheattr(xendevicemodel_handle *dmod, domid_t domid, uint64_t start, uint64_t end,
                                        uint32_t type)
{
    struct xen_dm_op op = {.op = XEN_DMOP_pin_memory_cacheattr,
                           .u.pin_memory_cacheattr = {.start = start, .end = end, .type = type}};

    return CALL(dmod, domid, &op);
}

/* ---- the domain ---- */

int xendevicemodel_shutdown(xendevicemodel_handle *dmod, domid_t domid, unsigned int reason)
{
    struct xen_dm_op op = {.op = XEN_DMOP_remote_shutdown, .u.remote_shutdown.reason = reason};

    return CALL(dmod, domid, &op);
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *dmod, domid_t domid, unsigned int *vcpus)
{
    struct xen_dm_op op = {.op = XEN_DMOP_nr_vcpus};
    int result = CALL(dmod, domid, &op);

    if (result == 0)
        *vcpus = op.u.nr_vcpus.vcpus;
    return result;
}
