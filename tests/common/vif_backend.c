#include "common/vif_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/io/ring.h>

#define BACKEND "/local/domain/0/backend/played/1"
#define RING 256u
#define PAGE 4096u

static struct {
    struct xs_handle *xs;
    xenevtchn_handle *events;
    xengnttab_handle *grants;
    evtchn_port_t port;
    netif_tx_sring_t *tx;
    netif_rx_sring_t *rx;
    RING_IDX tx_taken, rx_taken;
    bool keep;
    grant_ref_t kept_reference[VIF_BACKEND_KEPT];
    void *kept[VIF_BACKEND_KEPT];
    unsigned kept_count;
    const char *features; /* as vif_backend_features() was given them last */
} backend;

static void put(const char *directory, const char *node, const char *value)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, node);
    ck_assert(xs_write(backend.xs, XBT_NULL, path, value, (unsigned)strlen(value)));
}

static void put_features(void *list)
{
    char *copy = strdup(list), *save = NULL;

    for (char *node = strtok_r(copy, ",", &save); node != NULL; node = strtok_r(NULL, ",", &save)) {
        char *value = strchr(node, '=');

        ck_assert_ptr_nonnull(value);
        *value++ = 0;
        put(BACKEND, node, value);
    }
    free(copy);
}

/* The backend's directory. It is at InitWait when all of it is there. */
static void make_back(void)
{
    struct xs_permissions back[] = {{0, XS_PERM_NONE}, {stack.domain.domid, XS_PERM_READ}};

    ck_assert(xs_mkdir(backend.xs, XBT_NULL, BACKEND));
    ck_assert(xs_set_permissions(backend.xs, XBT_NULL, BACKEND, back, 2));
    put(BACKEND, "frontend", stack_path("device/vif/1"));
    put(BACKEND, "online", "1");
    put(BACKEND, "feature-rx-copy", "1");
    if (backend.features != NULL)
        put_features((void *)backend.features);
    put(BACKEND, "state", "2");
}

static void make_front(void)
{
    struct xs_permissions front[] = {{stack.domain.domid, XS_PERM_NONE}, {0, XS_PERM_READ}};
    const char *frontend = stack_path("device/vif/1");

    ck_assert(xs_mkdir(backend.xs, XBT_NULL, frontend));
    ck_assert(xs_set_permissions(backend.xs, XBT_NULL, frontend, front, 2));
    put(frontend, "backend-id", "0");
    put(frontend, "handle", "1");
    put(frontend, "mac", "00:16:3e:5a:00:01");
    put(frontend, "mtu", "1500");
    put(frontend, "state", "1");
    put(frontend, "backend", BACKEND);
}

void vif_backend_make(void *unused)
{
    (void)unused;
    backend.xs = xs_open(0);
    backend.events = xenevtchn_open(NULL, 0);
    backend.grants = xengnttab_open(NULL, 0);
    backend.features = NULL;
    make_back();
    make_front();
}

void vif_backend_features(const char *list)
{
    backend.features = list;
    stack_in_dom0(put_features, (void *)list);
}

unsigned vif_backend_front_number(const char *node)
{
    char value[32];

    ck_assert_msg(stack_store_read(stack_path("device/vif/1/%s", node), value, sizeof(value)), "no %s", node);
    return (unsigned)strtoul(value, NULL, 10);
}

static struct {
    unsigned channel, tx, rx;
} published;

static void *map_ring(unsigned reference)
{
    void *page = xengnttab_map_grant_ref(backend.grants, stack.domain.domid, reference, PROT_READ | PROT_WRITE);

    ck_assert_ptr_nonnull(page);
    return page;
}

static void connect_rings(void *unused)
{
    int port = xenevtchn_bind_interdomain(backend.events, stack.domain.domid, published.channel);

    (void)unused;
    ck_assert_int_ge(port, 0);
    backend.port = (evtchn_port_t)port;
    backend.tx = map_ring(published.tx);
    backend.rx = map_ring(published.rx);
    backend.tx_taken = 0;
    backend.rx_taken = 0;
}

/* Of the first queue: a frontend with one has the nodes in its own directory. */
static unsigned queue_number(const char *node)
{
    char path[64], value[32];

    snprintf(path, sizeof(path), "queue-0/%s", node);
    if (!stack_store_read(stack_path("device/vif/1/%s", path), value, sizeof(value)))
        return vif_backend_front_number(node);
    return vif_backend_front_number(path);
}

void vif_backend_map(void)
{
    stack_store_await(stack_path("device/vif/1/state"), "4", 20000);
    published.channel = queue_number("event-channel");
    published.tx = queue_number("tx-ring-ref");
    published.rx = queue_number("rx-ring-ref");
    stack_in_dom0(connect_rings, NULL);
}

void vif_backend_connect(void)
{
    vif_backend_map();
    stack_store_write(BACKEND "/state", "4");
}

static void disconnect_rings(void *unused)
{
    (void)unused;
    if (backend.tx == NULL)
        return;
    ck_assert_int_eq(xengnttab_unmap(backend.grants, backend.tx, 1), 0);
    ck_assert_int_eq(xengnttab_unmap(backend.grants, backend.rx, 1), 0);
    (void)xenevtchn_unbind(backend.events, backend.port);
    backend.tx = NULL;
}

void vif_backend_state(const char *state)
{
    stack_store_write(BACKEND "/state", state);
}

void vif_backend_let_go(void)
{
    stack_in_dom0(disconnect_rings, NULL);
}

void vif_backend_suspended(void *unused)
{
    disconnect_rings(unused);
    ck_assert(xs_rm(backend.xs, XBT_NULL, BACKEND));
}

void vif_backend_restored(void *unused)
{
    (void)unused;
    make_back();
    make_front();
}

void vif_backend_vanish(void)
{
    stack_in_dom0(vif_backend_suspended, NULL);
}

static void come_back(void *unused)
{
    (void)unused;
    make_back();
}

void vif_backend_return(void)
{
    stack_in_dom0(come_back, NULL);
}

void vif_backend_close(void)
{
    stack_store_write(BACKEND "/state", "5");
    stack_store_await(stack_path("device/vif/1/state"), "6", 20000);
    stack_in_dom0(disconnect_rings, NULL);
    stack_store_write(BACKEND "/state", "6");
    stack_store_await(stack_path("device/vif/1/state"), "1", 20000);
}

void vif_backend_disconnect(void)
{
    vif_backend_close();
    stack_store_write(BACKEND "/state", "2");
}

static void end_vif(void *unused)
{
    disconnect_rings(unused);
    (void)xs_rm(backend.xs, XBT_NULL, stack_path("device/vif/1"));
    (void)xs_rm(backend.xs, XBT_NULL, BACKEND);
    xengnttab_close(backend.grants);
    xenevtchn_close(backend.events);
    xs_close(backend.xs);
}

void vif_backend_end(void)
{
    stack_in_dom0(end_vif, NULL);
}

/* ---- from the frontend ---- */

struct taking {
    struct vif_backend_packet *packet;
    int16_t status;
    bool taken;
};

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* A grant that is mapped stands: the reference is that of the page that has been kept. */
static bool is_kept(grant_ref_t reference)
{
    for (unsigned i = 0; i < backend.kept_count; i++)
        if (backend.kept_reference[i] == reference)
            return true;
    return false;
}

#define ADDRESSES 12u
#define TAG 4u
#define CHANGED 6u /* lengths and checksums of IPv4 and TCP */

/*
 * Are the bytes in front of what is sent from a page those of the client that the packet's first slot, which is here,
 * stands for? It may have got a tag, and has lengths and checksums of its own.
 */
static bool is_header(const struct vif_backend_packet *packet, const uint8_t *page, size_t length)
{
    size_t tag = packet->length - length;
    unsigned changed = 0;

    if (length < ADDRESSES || length > packet->length || (tag != 0 && tag != TAG) ||
        memcmp(page, packet->data, ADDRESSES) != 0)
        return false;
    for (size_t i = ADDRESSES; i < length; i++)
        changed += page[i] != packet->data[i + tag];
    return changed <= CHANGED;
}

static void copy_slot(struct vif_backend_packet *packet, const netif_tx_request_t *request, size_t length)
{
    uint8_t *page = xengnttab_map_grant_ref(backend.grants, stack.domain.domid, request->gref, PROT_READ);
    size_t end = request->offset + length;

    ck_assert_ptr_nonnull(page);
    ck_assert_uint_le(end, PAGE);
    ck_assert_uint_le(packet->length + length, sizeof(packet->data));
    ck_assert_msg((is_zero(page, request->offset) || is_header(packet, page, request->offset)) &&
                      is_zero(page + end, PAGE - end),
                  "there is more in a page than the packet");
    memcpy(packet->data + packet->length, page + request->offset, length);
    packet->length += length;
    if (backend.keep && !is_kept(request->gref)) {
        ck_assert_uint_lt(backend.kept_count, VIF_BACKEND_KEPT);
        backend.kept_reference[backend.kept_count] = request->gref;
        backend.kept[backend.kept_count++] = page;
        return;
    }
    ck_assert_int_eq(xengnttab_unmap(backend.grants, page, 1), 0);
}

static void note_extra(struct vif_backend_packet *packet, const netif_extra_info_t *extra)
{
    switch (extra->type) {
    case XEN_NETIF_EXTRA_TYPE_GSO:
        ck_assert_uint_eq(packet->gso_type, 0);
        packet->gso_type = extra->u.gso.type;
        packet->gso_size = extra->u.gso.size;
        break;
    case XEN_NETIF_EXTRA_TYPE_HASH:
        ck_assert(!packet->hashed);
        packet->hashed = true;
        packet->hash_type = extra->u.hash.type;
        packet->hash_algorithm = extra->u.hash.algorithm;
        memcpy(&packet->hash, extra->u.hash.value, 4);
        break;
    case XEN_NETIF_EXTRA_TYPE_MCAST_ADD:
    case XEN_NETIF_EXTRA_TYPE_MCAST_DEL:
        packet->multicast = extra->type;
        memcpy(packet->data, extra->u.mcast.addr, sizeof(extra->u.mcast.addr));
        break;
    default:
        ck_abort_msg("extra info of type %u", extra->type);
    }
}

/* The slots of the packet at tx_taken: which are data, which extra info. */
static void take(void *context)
{
    struct taking *taking = context;
    struct vif_backend_packet *packet = taking->packet;
    RING_IDX end = __atomic_load_n(&backend.tx->req_prod, __ATOMIC_ACQUIRE), next = backend.tx_taken;
    netif_tx_request_t request[VIF_BACKEND_SLOTS];
    bool extra[VIF_BACKEND_SLOTS] = {false}, more_extra = false, more = true;
    unsigned slots = 0, data = 0;
    size_t total, rest = 0;

    taking->taken = false;
    if (next == end) {
        __atomic_exchange_n(&backend.tx->req_event, next + 1, __ATOMIC_SEQ_CST);
        return;
    }
    memset(packet, 0, sizeof(*packet));
    for (; more || more_extra; slots++, next++) {
        ck_assert_msg(next != end, "a packet that does not end");
        ck_assert_uint_lt(slots, VIF_BACKEND_SLOTS);
        memcpy(&request[slots], &backend.tx->ring[next % RING].req, sizeof(request[slots]));
        extra[slots] = more_extra;
        if (more_extra) {
            netif_extra_info_t info;

            memcpy(&info, &request[slots], sizeof(info));
            note_extra(packet, &info);
            more_extra = (info.flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0;
            continue;
        }
        if (data++ == 0)
            packet->flags = request[slots].flags;
        else
            rest += request[slots].size;
        more = (request[slots].flags & NETTXF_more_data) != 0;
        more_extra = slots == 0 && (request[slots].flags & NETTXF_extra_info) != 0;
    }
    total = request[0].size;
    ck_assert(packet->multicast ? total == 0 && data == 1 : total > rest);
    packet->slots = data;
    packet->first = total - rest;
    for (unsigned i = 0; i < slots; i++)
        if (!extra[i] && !packet->multicast)
            copy_slot(packet, &request[i], i == 0 ? packet->first : request[i].size);
    for (unsigned i = 0; i < slots; i++, backend.tx_taken++) {
        netif_tx_response_t *response = &backend.tx->ring[backend.tx_taken % RING].rsp;

        response->id = extra[i] ? 0xFFFF : request[i].id;
        response->status = extra[i] ? NETIF_RSP_NULL : taking->status;
    }
    __atomic_store_n(&backend.tx->rsp_prod, backend.tx_taken, __ATOMIC_RELEASE);
    ck_assert_int_eq(xenevtchn_notify(backend.events, backend.port), 0);
    taking->taken = true;
}

bool vif_backend_take(struct vif_backend_packet *packet, int16_t status)
{
    struct taking taking = {.packet = packet, .status = status};

    stack_in_dom0(take, &taking);
    return taking.taken;
}

void vif_backend_await(struct vif_backend_packet *packet, int16_t status)
{
    for (unsigned tries = 0; !vif_backend_take(packet, status); tries++) {
        ck_assert_msg(tries < 1000, "the frontend sends nothing");
        stack_sleep_us(1000);
    }
}

/* ---- to the frontend ---- */

/* Pages for reception as they were left when they were answered, by their grants. */
#define LEFT 1024u
static struct {
    grant_ref_t gref;
    uint8_t page[PAGE];
} left[LEFT];

static void answer(const void *bytes, netif_rx_response_t *response)
{
    netif_rx_request_t request = backend.rx->ring[backend.rx_taken % RING].req;
    uint8_t *page = xengnttab_map_grant_ref(backend.grants, stack.domain.domid, request.gref, PROT_READ | PROT_WRITE);

    ck_assert_ptr_nonnull(page);
    memcpy(page + response->offset, bytes, (size_t)response->status);
    left[request.gref % LEFT].gref = request.gref;
    memcpy(left[request.gref % LEFT].page, page, PAGE);
    ck_assert_int_eq(xengnttab_unmap(backend.grants, page, 1), 0);
    response->id = request.id;
    backend.rx->ring[backend.rx_taken++ % RING].rsp = *response;
}

static void give(void *context)
{
    const struct vif_backend_frame *frame = context;
    size_t done = 0;

    while (done < frame->length) {
        netif_rx_response_t response = {.offset = (uint16_t)frame->offset};
        size_t length = frame->slot != 0 ? frame->slot : PAGE - frame->offset;

        if (done == 0 && frame->first != 0)
            length = frame->first;
        if (length > frame->length - done)
            length = frame->length - done;
        if (done == 0)
            response.flags = (uint16_t)(frame->flags | (frame->extras != 0 ? NETRXF_extra_info : 0));
        if (done + length < frame->length)
            response.flags |= NETRXF_more_data;
        response.status = (int16_t)length;
        answer(frame->data + done, &response);
        for (unsigned i = 0; done == 0 && i < frame->extras; i++) {
            netif_extra_info_t extra = frame->extra[i];

            extra.flags |= i + 1 < frame->extras ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
            memcpy(&backend.rx->ring[backend.rx_taken++ % RING], &extra, sizeof(extra));
        }
        done += length;
    }
    __atomic_store_n(&backend.rx->rsp_prod, backend.rx_taken, __ATOMIC_RELEASE);
    ck_assert_int_eq(xenevtchn_notify(backend.events, backend.port), 0);
}

void vif_backend_give(const struct vif_backend_frame *frame)
{
    stack_in_dom0(give, (void *)frame);
}

static void count_room(void *room)
{
    *(unsigned *)room = __atomic_load_n(&backend.rx->req_prod, __ATOMIC_ACQUIRE) - backend.rx_taken;
}

uint32_t vif_backend_rx_taken(void)
{
    return __atomic_load_n(&backend.rx->rsp_event, __ATOMIC_ACQUIRE) - 1;
}

unsigned vif_backend_room(void)
{
    unsigned room;

    stack_in_dom0(count_room, &room);
    return room;
}

/* The pages that are out for reception, and what of the rings' pages is no entry. */
static void check_pages(void *unused)
{
    RING_IDX end = __atomic_load_n(&backend.rx->req_prod, __ATOMIC_ACQUIRE);
    const size_t tx_end = offsetof(netif_tx_sring_t, ring) + RING * sizeof(backend.tx->ring[0]);
    const size_t rx_end = offsetof(netif_rx_sring_t, ring) + RING * sizeof(backend.rx->ring[0]);

    (void)unused;
    ck_assert(is_zero((const uint8_t *)backend.tx + tx_end, PAGE - tx_end));
    ck_assert(is_zero((const uint8_t *)backend.rx + rx_end, PAGE - rx_end));
    for (RING_IDX i = backend.rx_taken; i != end; i++) {
        grant_ref_t gref = backend.rx->ring[i % RING].req.gref;
        uint8_t *page = xengnttab_map_grant_ref(backend.grants, stack.domain.domid, gref, PROT_READ);

        ck_assert_ptr_nonnull(page);
        ck_assert_msg(is_zero(page, PAGE) ||
                          (left[gref % LEFT].gref == gref && memcmp(page, left[gref % LEFT].page, PAGE) == 0),
                      "page %u for reception has something in it that this backend has not written", i);
        ck_assert_int_eq(xengnttab_unmap(backend.grants, page, 1), 0);
    }
}

void vif_backend_check_pages(void)
{
    stack_in_dom0(check_pages, NULL);
}

void vif_backend_keep(void)
{
    backend.keep = true;
}

static void release(void *unused)
{
    (void)unused;
    while (backend.kept_count != 0)
        ck_assert_int_eq(xengnttab_unmap(backend.grants, backend.kept[--backend.kept_count], 1), 0);
    backend.keep = false;
}

void vif_backend_release(void)
{
    stack_in_dom0(release, NULL);
}

static void sum_kept(void *argument)
{
    uint64_t *sum = argument;

    for (unsigned i = 0; i < backend.kept_count; i++)
        for (unsigned byte = 0; byte < PAGE; byte++)
            *sum = *sum * 31 + ((const uint8_t *)backend.kept[i])[byte];
}

uint64_t vif_backend_sum_kept(void)
{
    uint64_t sum = 0;

    stack_in_dom0(sum_kept, &sum);
    return sum;
}

/* ---- what no backend does that is well ---- */

static struct {
    uint16_t wrong; /* in the ID */
    int16_t status;
    netif_rx_response_t response;
    bool tx;
    uint32_t by;
} odd;

static void produce_tx(RING_IDX index)
{
    __atomic_store_n(&backend.tx->rsp_prod, index, __ATOMIC_RELEASE);
    ck_assert_int_eq(xenevtchn_notify(backend.events, backend.port), 0);
}

static void produce_rx(RING_IDX index)
{
    __atomic_store_n(&backend.rx->rsp_prod, index, __ATOMIC_RELEASE);
    ck_assert_int_eq(xenevtchn_notify(backend.events, backend.port), 0);
}

static void odd_tx(void *unused)
{
    union netif_tx_sring_entry *entry = &backend.tx->ring[backend.tx_taken % RING];

    (void)unused;
    ck_assert_uint_ne(backend.tx_taken, __atomic_load_n(&backend.tx->req_prod, __ATOMIC_ACQUIRE));
    entry->rsp = (netif_tx_response_t){.id = (uint16_t)(entry->req.id ^ odd.wrong), .status = odd.status};
    produce_tx(++backend.tx_taken);
}

static void same_tx(void *unused)
{
    (void)unused;
    backend.tx->ring[backend.tx_taken % RING].rsp = backend.tx->ring[(backend.tx_taken - 1) % RING].rsp;
    produce_tx(++backend.tx_taken);
}

void vif_backend_same_tx(void)
{
    stack_in_dom0(same_tx, NULL);
}

void vif_backend_odd_tx(uint16_t wrong, int16_t status)
{
    odd.wrong = wrong;
    odd.status = status;
    stack_in_dom0(odd_tx, NULL);
}

static void odd_rx(void *unused)
{
    union netif_rx_sring_entry *entry = &backend.rx->ring[backend.rx_taken % RING];

    (void)unused;
    ck_assert_uint_ne(backend.rx_taken, __atomic_load_n(&backend.rx->req_prod, __ATOMIC_ACQUIRE));
    odd.response.id = (uint16_t)(entry->req.id ^ odd.wrong);
    entry->rsp = odd.response;
    produce_rx(++backend.rx_taken);
}

void vif_backend_odd_rx(uint16_t wrong, netif_rx_response_t response)
{
    odd.wrong = wrong;
    odd.response = response;
    stack_in_dom0(odd_rx, NULL);
}

static void odd_extra(void *extra)
{
    memcpy(&backend.rx->ring[backend.rx_taken % RING], extra, sizeof(netif_extra_info_t));
    produce_rx(++backend.rx_taken);
}

void vif_backend_odd_extra(netif_extra_info_t extra)
{
    stack_in_dom0(odd_extra, &extra);
}

static void odd_producer(void *unused)
{
    (void)unused;
    if (odd.tx)
        produce_tx(backend.tx_taken + odd.by);
    else
        produce_rx(backend.rx_taken + odd.by);
}

void vif_backend_odd_producer(bool tx, uint32_t by)
{
    odd.tx = tx;
    odd.by = by;
    stack_in_dom0(odd_producer, NULL);
}
