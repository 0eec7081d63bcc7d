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

void netfront_pause(unsigned milliseconds)
{
    uint64_t end = clock_now() + (uint64_t)milliseconds * 1000000u;

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

struct netfront *netfront_create(unsigned domid, unsigned handle)
{
    struct netfront *front = calloc(1, sizeof(*front));
    uint8_t *pages = ExAllocatePoolWithTag(NonPagedPoolNx, (2 + 2 * NETFRONT_SLOTS) * 4096, TAG);
    char *backend;

    ck_assert_ptr_nonnull(pages);
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
    front->tx = (netif_tx_sring_t *)pages;
    front->rx = (netif_rx_sring_t *)(pages + 4096);
    front->tx_ring_ref = grant_page(front->tx, false);
    front->rx_ring_ref = grant_page(front->rx, false);
    for (unsigned i = 0; i < NETFRONT_SLOTS; i++) {
        front->tx_page[i] = pages + (2 + i) * 4096;
        front->rx_page[i] = pages + (2 + NETFRONT_SLOTS + i) * 4096;
        front->tx_ref[i] = grant_page(front->tx_page[i], true);
        front->rx_ref[i] = grant_page(front->rx_page[i], false);
    }
    return front;
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

    for (unsigned i = 0; i < 100; i++) {
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

void netfront_connect(struct netfront *front, bool wait)
{
    reset_rings(front);
    front->tx_port = alloc_port();
    front->rx_port = front->split ? alloc_port() : front->tx_port;
    write_number(front, "tx-ring-ref", front->tx_ring_ref);
    write_number(front, "rx-ring-ref", front->rx_ring_ref);
    write_number(front, front->split ? "event-channel-tx" : "event-channel", front->tx_port);
    if (front->split)
        write_number(front, "event-channel-rx", front->rx_port);
    write_number(front, "request-rx-copy", front->rx_copy);
    write_number(front, "feature-rx-notify", front->rx_notify);
    write_number(front, "feature-sg", front->sg);
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
    const uint8_t *from = data;
    uint32_t total = 0;

    for (unsigned i = 0; i < slots; i++)
        total += size[i];
    for (unsigned i = 0; i < slots; i++) {
        uint16_t offset = (uint16_t)((4096 - size[i]) * i / (slots > 1 ? slots - 1 : 1));
        unsigned number = netfront_tx_request(front, offset, (uint16_t)(i ? size[i] : total),
                                              (uint16_t)(i + 1 < slots ? NETTXF_more_data : 0));

        memcpy(front->tx_page[number] + offset, from, size[i]);
        from += size[i];
    }
}

void netfront_tx_drain(struct netfront *front)
{
    for (unsigned i = 0; front->tx_cons != front->tx_prod; i++) {
        RING_IDX produced = ring_load(&front->tx->rsp_prod);

        ck_assert_uint_le(produced - front->tx_cons, front->tx_prod - front->tx_cons);
        ck_assert_msg(i < 1000, "%u requests are not answered", front->tx_prod - front->tx_cons);
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

/* A response, when there is one within the time. */
static bool take_response(struct netfront *front, unsigned timeout_ms, netif_rx_response_t *response)
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
    *response = front->rx->ring[front->rx_cons % NETFRONT_SLOTS].rsp;
    ck_assert_uint_eq(response->id, front->rx_cons % NETFRONT_SLOTS);
    front->rx_cons++;
    front->rx->rsp_event = front->rx_cons + 1;
    return true;
}

bool netfront_rx_frame(struct netfront *front, unsigned timeout_ms)
{
    netif_rx_response_t response;

    front->frame_length = 0;
    front->frame_bad = false;
    do {
        if (!take_response(front, timeout_ms, &response)) {
            ck_assert_msg(front->frame_length == 0, "a frame that is not complete");
            return false;
        }
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
