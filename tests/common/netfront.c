#include "common/netfront.h"

#include "common/guest.h"

#include <errno.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>

#include "dom0/dom0.h"
#include "dom0/heap.h"
#include "keys.h"
#include "machine/clock.h"
#include "machine/guest_ram.h"
#include "machine/sched.h"
#include "nt/nt.h"
#include "xen/platform.h"
#include "xen/xen.h"

#define GRANT_FRAMES 4u
#define FIRST_REF 8u /* below: reserved */
#define OTHER_BUFFERS 32u
#define TAG 0x6E546374u

static grant_entry_v1_t *grants;
static uint32_t next_ref;

static int64_t memory_op(unsigned op, void *argument)
{
    return xen_hypercall(__HYPERVISOR_memory_op, op, (uint64_t)(uintptr_t)argument, 0, 0, 0);
}

static int64_t event_op(unsigned op, void *argument)
{
    return xen_hypercall(__HYPERVISOR_event_channel_op, op, (uint64_t)(uintptr_t)argument, 0, 0, 0);
}

unsigned netfront_domain(void)
{
    uint64_t gfn[GRANT_FRAMES];
    struct xen_domain_config config = xen_domain_default_config(machine->config.vcpus);
    int domid = xen_domain_create(&config);

    ck_assert_int_gt(domid, 0);
    for (unsigned i = 0; i < GRANT_FRAMES; i++) {
        xen_add_to_physmap_t add = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .idx = i};

        gfn[i] = GUEST_HOLE_FIRST_GFN + i;
        add.gpfn = gfn[i];
        ck_assert_int_eq(memory_op(XENMEM_add_to_physmap, &add), 0);
    }
    grants = guest_map_frames(gfn, GRANT_FRAMES, true);
    ck_assert_ptr_nonnull(grants);
    next_ref = FIRST_REF;
    return (unsigned)domid;
}

static uint32_t grant_page(const void *page, bool readonly)
{
    uint32_t ref = next_ref++;

    ck_assert_uint_lt(ref, GRANT_FRAMES * 512);
    grants[ref].domid = 0;
    grants[ref].frame = (uint32_t)guest_virtual_to_gfn(page);
    __atomic_store_n(&grants[ref].flags, (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)),
                     __ATOMIC_RELEASE);
    return ref;
}

static uint32_t alloc_port(void)
{
    evtchn_alloc_unbound_t alloc = {.dom = DOMID_SELF, .remote_dom = 0};

    ck_assert_int_eq(event_op(EVTCHNOP_alloc_unbound, &alloc), 0);
    return alloc.port;
}

static void send_event(uint32_t port)
{
    evtchn_send_t send = {.port = port};

    ck_assert_int_eq(event_op(EVTCHNOP_send, &send), 0);
}

/* By the wall clock others may not have a processor in a few milliseconds. */
#ifdef MACHINE_THREAD_SANITIZER
#define PAUSE_SCALE 10u
#else
#define PAUSE_SCALE 1u
#endif

void netfront_pause(unsigned milliseconds)
{
    uint64_t end = clock_now() + (uint64_t)milliseconds * (milliseconds > 1 ? PAUSE_SCALE : 1) * 1000000u;

    do {
        sched_point(POINT_PAUSE);
        clock_charge(1000);
    } while (clock_now() < end);
}

void netfront_kick(struct netfront *front)
{
    send_event(front->tx_port);
    if (front->rx_port != front->tx_port)
        send_event(front->rx_port);
}

static void *pages_of(unsigned count)
{
    void *pages = ExAllocatePoolWithTag(NonPagedPoolNx, count * 4096, TAG);

    ck_assert_ptr_nonnull(pages);
    return pages;
}

/* Rings, and buffers for so many requests each way. */
static void make_rings(struct netfront *front, unsigned buffers)
{
    uint8_t *pages = pages_of(2 + 2 * buffers);

    front->tx = (netif_tx_sring_t *)pages;
    front->rx = (netif_rx_sring_t *)(pages + 4096);
    front->tx_ring_ref = grant_page(front->tx, false);
    front->rx_ring_ref = grant_page(front->rx, false);
    for (unsigned i = 0; i < NETFRONT_SLOTS; i++) {
        if (i >= buffers) {
            front->tx_page[i] = front->tx_page[i % buffers];
            front->rx_page[i] = front->rx_page[i % buffers];
            front->tx_ref[i] = front->tx_ref[i % buffers];
            front->rx_ref[i] = front->rx_ref[i % buffers];
            continue;
        }
        front->tx_page[i] = pages + (2 + i) * 4096;
        front->rx_page[i] = pages + (2 + buffers + i) * 4096;
        front->tx_ref[i] = grant_page(front->tx_page[i], true);
        front->rx_ref[i] = grant_page(front->rx_page[i], false);
    }
}

struct netfront *netfront_create(unsigned domid, unsigned handle)
{
    struct netfront *front = calloc(1, sizeof(*front));
    char *backend;

    dom0_set_domid(domid); /* the handle is the guest's */
    front->xs = xs_open(0);
    dom0_set_domid(0);
    front->domid = domid;
    front->handle = handle;
    snprintf(front->path, sizeof(front->path), "device/vif/%u", handle);
    backend = key_read(front->xs, XBT_NULL, "%s/backend", front->path);
    ck_assert_msg(backend != NULL, "%s/backend: %s", front->path, strerror(errno));
    snprintf(front->backend, sizeof(front->backend), "%s", backend);
    free(backend);
    front->sg = front->rx_notify = front->rx_copy = true;
    front->rings = 1;
    make_rings(front, NETFRONT_SLOTS);
    front->ctrl = pages_of(2);
    front->ctrl_page = (uint8_t *)front->ctrl + 4096;
    front->ctrl_ring_ref = grant_page(front->ctrl, false);
    front->ctrl_page_ref = grant_page(front->ctrl_page, true);
    return front;
}

void netfront_add_queues(struct netfront *front, unsigned count)
{
    front->rings = front->queues = count;
    for (unsigned i = 1; i < count; i++) {
        struct netfront *queue;

        if (front->other[i])
            continue;
        front->other[i] = queue = malloc(sizeof(*queue));
        *queue = *front;
        queue->index = i;
        make_rings(queue, OTHER_BUFFERS);
    }
}

struct netfront *netfront_queue(struct netfront *front, unsigned index)
{
    return index ? front->other[index] : front;
}

void netfront_write(struct netfront *front, const char *key, const char *value)
{
    ck_assert_msg(key_write(front->xs, XBT_NULL, value, "%s/%s", front->path, key), "%s: %s", key, strerror(errno));
}

static void write_number(struct netfront *front, const char *key, unsigned value)
{
    ck_assert_msg(key_write_number(front->xs, XBT_NULL, value, "%s/%s", front->path, key), "%s: %s", key,
                  strerror(errno));
}

void netfront_set_state(struct netfront *front, unsigned state)
{
    write_number(front, "state", state);
}

bool netfront_wait_backend(struct netfront *front, unsigned state, bool may)
{
    uint32_t now = 0;

    for (unsigned i = 0; i < (may ? 100 : NETFRONT_PATIENCE); i++) {
        if (key_read_number(front->xs, XBT_NULL, 99, &now, "%s/state", front->backend) && now == state)
            return true;
        netfront_pause(1);
    }
    ck_assert_msg(may, "the backend is in state %u, not %u", now, state);
    return false;
}

static void reset_rings(struct netfront *front)
{
    memset(front->tx, 0, 4096);
    memset(front->rx, 0, 4096);
    front->tx->req_event = front->tx->rsp_event = 1;
    front->rx->req_event = front->rx->rsp_event = 1;
    front->tx_prod = front->tx_cons = front->rx_prod = front->rx_cons = 0;
}

static void write_of_queue(struct netfront *front, const struct netfront *queue, const char *key, unsigned value)
{
    char name[64];

    snprintf(name, sizeof(name), front->rings > 1 ? "queue-%u/%s" : "%.0u%s", queue->index, key);
    write_number(front, name, value);
}

static void connect_queue(struct netfront *front, struct netfront *queue)
{
    reset_rings(queue);
    queue->tx_port = alloc_port();
    queue->rx_port = front->split ? alloc_port() : queue->tx_port;
    write_of_queue(front, queue, "tx-ring-ref", queue->tx_ring_ref);
    write_of_queue(front, queue, "rx-ring-ref", queue->rx_ring_ref);
    write_of_queue(front, queue, front->split ? "event-channel-tx" : "event-channel", queue->tx_port);
    if (front->split)
        write_of_queue(front, queue, "event-channel-rx", queue->rx_port);
}

static void connect_control(struct netfront *front)
{
    memset(front->ctrl, 0, 4096);
    front->ctrl->req_event = front->ctrl->rsp_event = 1;
    front->ctrl_prod = front->ctrl_cons = 0;
    front->ctrl_port = alloc_port();
    write_number(front, "ctrl-ring-ref", front->ctrl_ring_ref);
    write_number(front, "event-channel-ctrl", front->ctrl_port);
}

void netfront_connect(struct netfront *front, bool wait)
{
    for (unsigned i = 0; i < front->rings; i++)
        connect_queue(front, netfront_queue(front, i));
    if (front->control)
        connect_control(front);
    write_number(front, "request-rx-copy", front->rx_copy);
    write_number(front, "feature-rx-notify", front->rx_notify);
    write_number(front, "feature-sg", front->sg);
    write_number(front, "feature-gso-tcpv4", front->gso_tcpv4);
    write_number(front, "feature-gso-tcpv6", front->gso_tcpv6);
    write_number(front, "feature-no-csum-offload", !front->csum);
    write_number(front, "feature-ipv6-csum-offload", front->csum_ipv6);
    write_number(front, "request-multicast-control", front->multicast);
    if (front->queues)
        write_number(front, "multi-queue-num-queues", front->queues);
    netfront_set_state(front, 4);
    if (wait)
        netfront_wait_backend(front, 4, false);
}

void netfront_close(struct netfront *front)
{
    netfront_set_state(front, 5);
    netfront_wait_backend(front, 5, false);
    netfront_set_state(front, 6);
    netfront_wait_backend(front, 6, false);
}

/* ---- transmit ---- */

unsigned netfront_tx_raw(struct netfront *front, const netif_tx_request_t *request)
{
    unsigned number = front->tx_prod % NETFRONT_SLOTS;

    ck_assert_uint_lt(front->tx_prod - front->tx_cons, NETFRONT_SLOTS);
    front->tx->ring[number].req = *request;
    front->tx_prod++;
    return number;
}

unsigned netfront_tx_request(struct netfront *front, uint16_t offset, uint16_t size, uint16_t flags)
{
    unsigned number = front->tx_prod % NETFRONT_SLOTS;
    netif_tx_request_t request = {
        .gref = front->tx_ref[number], .offset = offset, .flags = flags, .id = (uint16_t)number, .size = size};

    return netfront_tx_raw(front, &request);
}

void netfront_tx_extra(struct netfront *front, uint8_t type, uint8_t flags)
{
    netif_tx_request_t request = {0};
    netif_extra_info_t extra = {.type = type, .flags = flags};

    memcpy(&request, &extra, sizeof(extra));
    netfront_tx_raw(front, &request);
}

bool netfront_tx_push(struct netfront *front)
{
    bool wanted = ring_publish(&front->tx->req_prod, &front->tx->req_event, front->tx->req_prod, front->tx_prod);

    if (wanted)
        send_event(front->tx_port);
    return wanted;
}

void netfront_tx_frame(struct netfront *front, const void *data, const uint16_t *size, unsigned slots)
{
    netfront_tx_offloaded(front, data, size, slots, 0, NULL, 0);
}

static void put_extras(struct netfront *front, const netif_extra_info_t *extras, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        netif_tx_request_t request = {0};
        netif_extra_info_t extra = extras[i];

        if (i + 1 < count)
            extra.flags |= XEN_NETIF_EXTRA_FLAG_MORE;
        memcpy(&request, &extra, sizeof(extra));
        netfront_tx_raw(front, &request);
    }
}

void netfront_tx_offloaded(struct netfront *front, const void *data, const uint16_t *size, unsigned slots,
                           uint16_t flags, const netif_extra_info_t *extras, unsigned count)
{
    const uint8_t *from = data;
    uint32_t total = 0;

    for (unsigned i = 0; i < slots; i++)
        total += size[i];
    for (unsigned i = 0; i < slots; i++) {
        uint16_t offset = (uint16_t)((4096 - size[i]) * i / (slots > 1 ? slots - 1 : 1));
        uint16_t more = i + 1 < slots ? NETTXF_more_data : 0;
        uint16_t first = i ? 0 : (uint16_t)(flags | (count ? NETTXF_extra_info : 0));
        unsigned number = netfront_tx_request(front, offset, (uint16_t)(i ? size[i] : total), more | first);

        memcpy(front->tx_page[number] + offset, from, size[i]);
        from += size[i];
        if (!i)
            put_extras(front, extras, count);
    }
}

void netfront_tx_drain(struct netfront *front)
{
    for (unsigned i = 0; front->tx_cons != front->tx_prod; i++) {
        RING_IDX produced = ring_load(&front->tx->rsp_prod);

        ck_assert_uint_le(produced - front->tx_cons, front->tx_prod - front->tx_cons);
        ck_assert_msg(i < NETFRONT_PATIENCE, "%u requests are not answered", front->tx_prod - front->tx_cons);
        for (; front->tx_cons != produced; front->tx_cons++) {
            const netif_tx_response_t *response = &front->tx->ring[front->tx_cons % NETFRONT_SLOTS].rsp;

            switch (response->status) {
            case NETIF_RSP_OKAY:
                front->tx_okay++;
                break;
            case NETIF_RSP_NULL:
                front->tx_null++;
                continue;
            default:
                ck_assert_int_eq(response->status, NETIF_RSP_ERROR);
                front->tx_error++;
            }
            ck_assert_uint_eq(response->id, front->tx_cons % NETFRONT_SLOTS);
        }
        netfront_pause(1);
    }
}

/* ---- receive ---- */

void netfront_rx_post(struct netfront *front, unsigned count)
{
    RING_IDX published = front->rx_prod;

    for (unsigned i = 0; i < count; i++) {
        unsigned number = front->rx_prod % NETFRONT_SLOTS;

        ck_assert_uint_lt(front->rx_prod - front->rx_cons, NETFRONT_SLOTS);
        front->rx->ring[number].req = (netif_rx_request_t){.id = (uint16_t)number, .gref = front->rx_ref[number]};
        front->rx_prod++;
    }
    if (ring_publish(&front->rx->req_prod, &front->rx->req_event, published, front->rx_prod))
        send_event(front->rx_port);
}

/* What lies in the next slot that is answered, when there is one within the time; returns its number. */
static bool take_slot(struct netfront *front, unsigned timeout_ms, void *slot, unsigned *number)
{
    for (unsigned i = 0;; i++) {
        RING_IDX produced = ring_load(&front->rx->rsp_prod);

        ck_assert_uint_le(produced - front->rx_cons, front->rx_prod - front->rx_cons);
        if (produced != front->rx_cons)
            break;
        if (i == timeout_ms)
            return false;
        netfront_pause(1);
    }
    *number = front->rx_cons % NETFRONT_SLOTS;
    memcpy(slot, &front->rx->ring[*number], sizeof(netif_rx_response_t));
    front->rx_cons++;
    front->rx->rsp_event = front->rx_cons + 1;
    front->frame_slots++;
    return true;
}

/* The extra infos behind a frame's first slot: each kind once, all there with the frame. */
static void take_extras(struct netfront *front)
{
    netif_extra_info_t extra;
    unsigned number;

    do {
        ck_assert_msg(take_slot(front, 0, &extra, &number), "an extra info that is announced and not there");
        ck_assert_uint_gt(extra.type, XEN_NETIF_EXTRA_TYPE_NONE);
        ck_assert_uint_lt(extra.type, XEN_NETIF_EXTRA_TYPE_MAX);
        ck_assert_uint_eq(front->frame_extra[extra.type].type, 0);
        front->frame_extra[extra.type] = extra;
    } while (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE);
}

bool netfront_rx_frame(struct netfront *front, unsigned timeout_ms)
{
    netif_rx_response_t response;
    bool first = true;
    unsigned number;

    front->frame_length = front->frame_slots = 0;
    front->frame_bad = false;
    memset(front->frame_extra, 0, sizeof(front->frame_extra));
    do {
        if (!take_slot(front, first ? timeout_ms : 0, &response, &number)) {
            ck_assert_msg(first, "a frame that is not complete");
            return false;
        }
        ck_assert_uint_eq(response.id, number);
        if (first)
            front->frame_flags = response.flags;
        if (first && (response.flags & NETRXF_extra_info))
            take_extras(front);
        first = false;
        if (response.status < 0) {
            front->frame_bad = true;
            continue;
        }
        ck_assert_uint_le((uint32_t)response.offset + (uint32_t)response.status, 4096);
        ck_assert_uint_le(front->frame_length + (uint32_t)response.status, sizeof(front->frame));
        memcpy(front->frame + front->frame_length, front->rx_page[response.id] + response.offset,
               (size_t)response.status);
        front->frame_length += (uint32_t)response.status;
    } while (response.flags & NETRXF_more_data);
    return true;
}

/* ---- control ---- */

uint32_t netfront_control(struct netfront *front, uint16_t type, uint32_t data0, uint32_t data1, uint32_t data2,
                          uint32_t *data)
{
    const struct xen_netif_ctrl_request request = {
        .id = (uint16_t)(front->ctrl_prod * 7), .type = type, .data = {data0, data1, data2}};
    struct xen_netif_ctrl_response response;
    RING_IDX published = front->ctrl_prod;

    front->ctrl->ring[front->ctrl_prod++ % CONTROL_SLOTS].req = request;
    if (ring_publish(&front->ctrl->req_prod, &front->ctrl->req_event, published, front->ctrl_prod))
        send_event(front->ctrl_port);
    for (unsigned i = 0; ring_load(&front->ctrl->rsp_prod) == front->ctrl_cons; i++) {
        ck_assert_msg(i < 100, "control request of type %u is not answered", type);
        netfront_pause(1);
    }
    response = front->ctrl->ring[front->ctrl_cons++ % CONTROL_SLOTS].rsp;
    ck_assert_uint_eq(ring_load(&front->ctrl->rsp_prod), front->ctrl_cons);
    ck_assert_uint_eq(response.id, request.id);
    ck_assert_uint_eq(response.type, type);
    if (data)
        *data = response.data;
    return response.status;
}
