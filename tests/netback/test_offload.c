/*
 * netback's side of what frames leave to others (io/netif.h): blank checksums, frames to be cut, hashes, multicast
 * addresses, in both directions, offered or not, legal or not.
 */
#include "common/backend.h"

#include "packet.h"

#include <xen/io/xenbus.h>

#include "dom0/heap.h"

#define OFFLOAD "tests/captures/lan-offload.pcap"
#define LAN "tests/captures/lan-wire.pcap"
#define VLAN "tests/captures/vlan-wire.pcap"

/* ---- guest to network ---- */

/* A frame with what its metadata say, in pages or in slots of a size. */
static void send_frame(struct netfront *front, const struct port_frame *frame, uint32_t slot_size)
{
    const netif_extra_info_t gso = {.type = XEN_NETIF_EXTRA_TYPE_GSO,
                                    .u.gso = {.size = frame->gso_size, .type = frame->gso}};
    uint16_t size[XEN_NETIF_NR_SLOTS_MIN];
    unsigned slots = 0;

    for (uint32_t left = frame->length; left; left -= size[slots++])
        size[slots] = (uint16_t)(left < slot_size || slots == XEN_NETIF_NR_SLOTS_MIN - 1 ? left : slot_size);
    if (front->tx_prod - front->tx_cons + slots + 1 > NETFRONT_SLOTS) {
        netfront_tx_push(front);
        netfront_tx_drain(front);
    }
    netfront_tx_offloaded(front, frame->data, size, slots,
                          frame->checksum == PORT_CHECKSUM_BLANK ? NETTXF_csum_blank | NETTXF_data_validated : 0, &gso,
                          frame->gso != PORT_GSO_NONE);
    netfront_tx_push(front);
}

static struct netfront *connected(void)
{
    struct netfront *front = backend_begin();

    netfront_connect(front, true);
    return front;
}

static void send_all(struct netfront *front)
{
    for (unsigned i = 0; i < backend_received.count; i++)
        send_frame(front, &backend_received.frame[i], 4096);
    netfront_tx_drain(front);
    ck_assert_uint_eq(front->tx_error, 0);
    backend_assert_good(backend_received.count);
    ck_assert_uint_eq(backend_statistics()->tx.frames, backend_received.count);
    ck_assert_uint_eq(backend_statistics()->tx.bytes, backend_received.bytes);
}

GUEST_TEST(frames_leave_as_the_guest_left_them)
{
    backend_load(&backend_received, OFFLOAD);
    backend_offer("all,queues=1");
    send_all(connected());
    ck_assert_uint_eq(backend_statistics()->tx.large, 43);
    ck_assert_uint_eq(backend_statistics()->tx.blank, 170);
    ck_assert_uint_eq(backend_statistics()->tx.cut, 0);
    ck_assert_uint_eq(backend_statistics()->tx.summed, 0);
}

GUEST_TEST(frames_leave_as_a_wire_needs_them)
{
    backend_load(&backend_received, OFFLOAD);
    backend_offer("all,queues=1,wire");
    send_all(connected());
    ck_assert_uint_eq(backend_statistics()->tx.cut, 43);
    ck_assert_uint_eq(port_checker_verdict(backend_checker).frames,
                      backend_statistics()->tx.summed + backend_received.count - 170);
}

GUEST_TEST(frames_of_a_wire_leave_unchanged)
{
    backend_load(&backend_received, LAN);
    backend_offer("all,queues=1,wire");
    send_all(connected());
    ck_assert_uint_eq(backend_statistics()->tx.summed, 0);
}

GUEST_TEST(tagged_frames_leave_unchanged)
{
    backend_load(&backend_received, VLAN);
    backend_offer("none,sg");
    send_all(connected());
}

/* A TCP frame of IPv4 with a blank checksum, its data `length` bytes. */
static struct port_frame make_tcp(uint8_t *data, uint32_t length)
{
    struct packet packet;

    memset(data, 0, 54);
    packet_put16(data + 12, 0x0800);
    data[14] = 0x45;
    packet_put16(data + 16, 40 + length);
    data[22] = 64;
    data[23] = PACKET_TCP;
    packet_put32(data + 26, 0x0a000001);
    packet_put32(data + 30, 0x0a000002);
    packet_put32(data + 34, 0x12345678); /* ports */
    data[46] = 0x50;
    data[47] = 0x18;
    for (uint32_t i = 0; i < length; i++)
        data[54 + i] = (uint8_t)(i * 31 + 7);
    packet_parse(data, 54 + length, &packet);
    packet_set_partial(data, &packet);
    return (struct port_frame){.data = data, .length = 54 + length, .checksum = PORT_CHECKSUM_BLANK};
}

static uint8_t bytes[8][65536];
static struct port_frame made[8];

/* Frames whose headers are spread over as many slots as there are, one byte in each (field bug FB12). */
GUEST_TEST(headers_in_slots_of_one_byte)
{
    struct netfront *front;

    made[0] = make_tcp(bytes[0], 1000);
    made[1] = make_tcp(bytes[1], 3000);
    made[1].gso = PORT_GSO_TCPV4;
    made[1].gso_size = 1000;
    made[2] = made[0];
    backend_received = (struct capture){.count = 3, .frame = made};
    backend_offer("all,queues=1,wire");
    front = connected();
    send_frame(front, &made[0], 1);
    send_frame(front, &made[1], 1);
    send_frame(front, &made[2], 4);
    netfront_tx_drain(front);
    ck_assert_uint_eq(front->tx_error, 0);
    backend_assert_good(3);
}

/* What the end of the VIF is handed. */
static struct port_frame last_transmitted;
static unsigned transmitted;

static void note_transmitted(struct port *port, const struct port_frame *frame)
{
    (void)port;
    last_transmitted = *frame;
    transmitted++;
}

static struct netfront *connected_with_notes(void)
{
    static struct port_ops ops;
    struct netfront *front = connected();

    ops = *backend_end->ops;
    ops.transmit = note_transmitted;
    backend_end->ops = &ops;
    return front;
}

static unsigned errors_of(struct netfront *front)
{
    unsigned before = front->tx_error;

    netfront_tx_push(front);
    netfront_tx_drain(front);
    return front->tx_error - before;
}

/* A frame in one slot with extras; is it refused, by one error response, and nothing transmitted? */
static bool refused(struct netfront *front, const struct port_frame *frame, uint16_t flags,
                    const netif_extra_info_t *extras, unsigned count)
{
    const uint16_t size = (uint16_t)frame->length;
    unsigned before = transmitted, errors;

    netfront_tx_offloaded(front, frame->data, &size, 1, flags, extras, count);
    errors = errors_of(front);
    ck_assert_uint_le(errors, 1);
    ck_assert_uint_eq(transmitted - before, errors ? 0 : 1);
    return errors == 1;
}

static netif_extra_info_t gso_extra(uint8_t type, uint16_t size)
{
    return (netif_extra_info_t){.type = XEN_NETIF_EXTRA_TYPE_GSO, .u.gso = {.size = size, .type = type}};
}

static netif_extra_info_t hash_extra(uint8_t algorithm, uint8_t type)
{
    return (netif_extra_info_t){.type = XEN_NETIF_EXTRA_TYPE_HASH,
                                .u.hash = {.type = type, .algorithm = algorithm, .value = {0x78, 0x56, 0x34, 0x12}}};
}

GUEST_TEST(flags_and_extras_reach_the_port)
{
    netif_extra_info_t extras[2] = {hash_extra(1, 3), gso_extra(1, 700)};
    struct netfront *front;

    made[0] = make_tcp(bytes[0], 2000);
    backend_offer("all");
    front = connected_with_notes();
    ck_assert(!refused(front, &made[0], NETTXF_data_validated, extras, 1));
    ck_assert_uint_eq(last_transmitted.checksum, PORT_CHECKSUM_VALIDATED);
    ck_assert_uint_eq(last_transmitted.hash_algorithm, 1);
    ck_assert_uint_eq(last_transmitted.hash_type, 3);
    ck_assert_uint_eq(last_transmitted.hash, 0x12345678);
    ck_assert(!refused(front, &made[0], NETTXF_csum_blank, extras, 2));
    ck_assert_uint_eq(last_transmitted.checksum, PORT_CHECKSUM_BLANK);
    ck_assert_uint_eq(last_transmitted.gso, PORT_GSO_TCPV4);
    ck_assert_uint_eq(last_transmitted.gso_size, 700);
    ck_assert_uint_eq(last_transmitted.hash, 0x12345678);
    ck_assert(!refused(front, &made[0], 0, NULL, 0));
    ck_assert_uint_eq(last_transmitted.checksum, PORT_CHECKSUM_NONE);
    ck_assert_uint_eq(last_transmitted.gso, PORT_GSO_NONE);
    ck_assert_uint_eq(last_transmitted.hash_algorithm, 0);
    extras[0] = gso_extra(1, 2000); /* it is one segment anyway */
    ck_assert(!refused(front, &made[0], NETTXF_csum_blank, extras, 1));
    ck_assert_uint_eq(last_transmitted.gso, PORT_GSO_NONE);
    ck_assert_uint_eq(last_transmitted.checksum, PORT_CHECKSUM_BLANK);
}

/* A frame to be cut has a blank checksum whether it says so or not: some frontends forget the flag. */
GUEST_TEST(segments_without_the_flag_of_a_blank_checksum)
{
    const netif_extra_info_t extra = gso_extra(1, 1000);
    const uint16_t size = 3054;
    struct netfront *front;

    made[0] = make_tcp(bytes[0], 3000);
    made[0].gso = PORT_GSO_TCPV4;
    made[0].gso_size = 1000;
    backend_received = (struct capture){.count = 1, .frame = made};
    backend_offer("all,queues=1,wire");
    front = connected();
    memcpy(bytes[1], bytes[0], sizeof(bytes[1]));
    packet_put16(bytes[1] + 50, 0xdead);
    netfront_tx_offloaded(front, bytes[1], &size, 1, 0, &extra, 1);
    ck_assert_uint_eq(errors_of(front), 0);
    backend_assert_good(1);
    ck_assert_uint_eq(port_checker_verdict(backend_checker).frames, 3);
}

GUEST_TEST(what_was_not_offered_is_refused)
{
    const netif_extra_info_t gso4 = gso_extra(1, 700), gso6 = gso_extra(2, 700), hash = hash_extra(1, 1);
    const netif_extra_info_t add = {.type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD, .u.mcast.addr = {1, 0, 0x5e, 0, 0, 1}};
    struct netfront *front;

    made[0] = make_tcp(bytes[0], 2000);
    backend_offer("none,sg");
    front = connected_with_notes();
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, NULL, 0));
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, &gso4, 1));
    ck_assert(refused(front, &made[0], 0, &gso6, 1));
    ck_assert(refused(front, &made[0], 0, &hash, 1));
    ck_assert(refused(front, &made[0], 0, &add, 1));
    ck_assert_uint_eq(backend_statistics()->tx.errors, 5);
    ck_assert(!refused(front, &made[0], NETTXF_data_validated, NULL, 0));
}

GUEST_TEST(several_slots_that_were_not_offered_are_refused)
{
    const uint16_t size[2] = {100, 20};
    struct netfront *front;

    made[0] = make_tcp(bytes[0], 46);
    backend_offer("all,-sg");
    front = connected_with_notes();
    netfront_tx_offloaded(front, bytes[0], size, 2, 0, NULL, 0);
    ck_assert_uint_eq(errors_of(front), 2);
    ck_assert_uint_eq(transmitted, 0);
    ck_assert_uint_eq(backend_statistics()->tx.errors, 1);
    ck_assert(!refused(front, &made[0], NETTXF_csum_blank, NULL, 0));
}

GUEST_TEST(illegal_extras_are_refused)
{
    static uint8_t udp[100];
    netif_extra_info_t extras[5];
    struct port_frame other = {.data = udp, .length = sizeof(udp)};
    struct netfront *front;

    made[0] = make_tcp(bytes[0], 2000);
    backend_offer("all");
    front = connected_with_notes();
    extras[0] = gso_extra(1, 0);
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, extras, 1));
    extras[0] = gso_extra(1, 47);
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, extras, 1));
    extras[0] = gso_extra(0, 700);
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, extras, 1));
    extras[0] = gso_extra(3, 700);
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, extras, 1));
    extras[0] = gso_extra(2, 700); /* of IPv6, in a frame of IPv4 */
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, extras, 1));
    extras[0] = extras[1] = gso_extra(1, 700); /* twice */
    ck_assert(refused(front, &made[0], NETTXF_csum_blank, extras, 2));
    for (uint8_t type = 0; type < 3; type++) {
        extras[0] = (netif_extra_info_t){.type = (uint8_t[]){0, 5, 255}[type]};
        ck_assert(refused(front, &made[0], 0, extras, 1));
    }
    extras[0] = hash_extra(0, 1);
    ck_assert(refused(front, &made[0], 0, extras, 1));
    extras[0] = hash_extra(1, 4);
    ck_assert(refused(front, &made[0], 0, extras, 1));
    /* A blank checksum in frames that have none: no IP, a packet that is longer than the frame, a fragment, ICMP. */
    ck_assert(refused(front, &other, NETTXF_csum_blank, NULL, 0));
    memcpy(udp, bytes[0], sizeof(udp));
    ck_assert(refused(front, &other, NETTXF_csum_blank, NULL, 0));
    packet_put16(udp + 16, 86);
    ck_assert(!refused(front, &other, NETTXF_csum_blank, NULL, 0));
    packet_put16(udp + 20, 0x2000);
    ck_assert(refused(front, &other, NETTXF_csum_blank, NULL, 0));
    packet_put16(udp + 20, 0x4000); /* not to be fragmented: nor is it one */
    ck_assert(!refused(front, &other, NETTXF_csum_blank, NULL, 0));
    udp[23] = 1;
    ck_assert(refused(front, &other, NETTXF_csum_blank, NULL, 0));
    udp[23] = PACKET_TCP;
    udp[46] = 0xf0; /* options to behind the end */
    packet_put16(udp + 16, 70);
    ck_assert(refused(front, &other, NETTXF_csum_blank, NULL, 0));
    udp[23] = PACKET_UDP;
    ck_assert(!refused(front, &other, NETTXF_csum_blank, NULL, 0));
    extras[0] = gso_extra(1, 700); /* segments of UDP */
    ck_assert(refused(front, &other, NETTXF_csum_blank, extras, 1));
}

/* A chain that goes on to the end of the ring is refused with what is in it; one that never ends closes the VIF. */
GUEST_TEST(long_chains_of_extras)
{
    struct netfront *front;

    made[0] = make_tcp(bytes[0], 100);
    backend_offer("all");
    front = connected_with_notes();
    netfront_tx_request(front, 0, 154, NETTXF_extra_info);
    for (unsigned i = 0; i < 200; i++)
        netfront_tx_extra(front, XEN_NETIF_EXTRA_TYPE_GSO, i < 199 ? XEN_NETIF_EXTRA_FLAG_MORE : 0);
    ck_assert_uint_eq(errors_of(front), 1);
    ck_assert_uint_eq(front->tx_null, 200);
    ck_assert(!refused(front, &made[0], NETTXF_csum_blank, NULL, 0));
    netfront_tx_request(front, 0, 154, NETTXF_extra_info);
    for (unsigned i = 1; i < NETFRONT_SLOTS; i++)
        netfront_tx_extra(front, XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE);
    netfront_tx_push(front);
    netfront_wait_backend(front, XenbusStateClosing, false);
}

/* ---- multicast addresses ---- */

static netif_extra_info_t address_extra(uint8_t type, uint8_t last)
{
    return (netif_extra_info_t){.type = type, .u.mcast.addr = {1, 0, 0x5e, 0, 0, last}};
}

/* A request to change the filter; is it answered by an error? */
static bool filter_refused(struct netfront *front, uint8_t type, uint8_t last)
{
    const netif_extra_info_t extra = address_extra(type, last);
    const uint16_t size = 14; /* of a frame that nobody looks at */

    netfront_tx_offloaded(front, bytes[0], &size, 1, 0, &extra, 1);
    return errors_of(front) != 0;
}

static void make_frames_to(const uint8_t (*address)[6], unsigned count)
{
    static uint32_t length[16];

    for (unsigned i = 0; i < count; i++)
        length[i] = 100;
    backend_make_frames(&backend_sent, length, count);
    for (unsigned i = 0; i < count; i++)
        memcpy((uint8_t *)(uintptr_t)backend_sent.frame[i].data, address[i], 6);
}

static void assert_received(struct netfront *front, unsigned number)
{
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    ck_assert_mem_eq(front->frame, backend_sent.frame[number].data, 100);
}

#define MULTICAST(n)                                                                                                   \
    {                                                                                                                  \
        1, 0, 0x5e, 0, 0, n                                                                                            \
    }

GUEST_TEST(multicast_frames_are_filtered_when_that_is_asked_for)
{
    static const uint8_t address[][6] = {
        MULTICAST(1), MULTICAST(2), {2, 0, 0, 0, 0, 1}, MULTICAST(3), {255, 255, 255, 255, 255, 255}, MULTICAST(2)};
    struct netfront *front;

    make_frames_to(address, 6);
    backend_offer("all,queues=1");
    front = backend_begin();
    front->multicast = true;
    netfront_connect(front, true);
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 2));
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 3));
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 2)); /* again */
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_DEL, 3));
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_DEL, 9)); /* was not there */
    netfront_rx_post(front, 16);
    port_capture_go(backend_end);
    assert_received(front, 1);
    assert_received(front, 2);
    assert_received(front, 4);
    assert_received(front, 5);
    ck_assert(!netfront_rx_frame(front, 10));
    ck_assert_uint_eq(backend_statistics()->filtered, 2);
    ck_assert_uint_eq(backend_statistics()->rx.drops, 0);
    ck_assert_uint_eq(backend_statistics()->tx.frames, 0);
}

GUEST_TEST(the_filter_may_be_asked_for_at_any_time)
{
    static const uint8_t address[][6] = {MULTICAST(1), MULTICAST(2), MULTICAST(1), MULTICAST(1)};
    struct netfront *front;

    make_frames_to(address, 4);
    backend_offer("all,queues=1");
    front = connected();
    port_capture_go(backend_end);
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 2));
    netfront_rx_post(front, 1);
    assert_received(front, 0); /* nobody asked */
    netfront_write(front, "request-multicast-control", "1");
    netfront_pause(3);
    netfront_rx_post(front, 1);
    assert_received(front, 1);
    ck_assert(!netfront_rx_frame(front, 5));
    netfront_write(front, "request-multicast-control", "0");
    netfront_pause(3);
    ck_assert_uint_eq(backend_statistics()->filtered, 0); /* the next was not taken off its end while no request was */
    netfront_rx_post(front, 1);
    assert_received(front, 2);
}

GUEST_TEST(the_filter_is_for_good_where_it_is_not_dynamic)
{
    static const uint8_t address[][6] = {MULTICAST(1), MULTICAST(2)};
    struct netfront *front;

    make_frames_to(address, 2);
    backend_offer("all,queues=1,-dynamic-multicast-control");
    front = connected();
    netfront_write(front, "request-multicast-control", "1");
    netfront_pause(3);
    netfront_rx_post(front, 4);
    port_capture_go(backend_end);
    assert_received(front, 0);
    assert_received(front, 1);
}

GUEST_TEST(addresses_have_their_limit_and_no_company)
{
    netif_extra_info_t extras[2] = {address_extra(XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 1), hash_extra(1, 1)};
    const uint16_t size[2] = {100, 20};
    struct netfront *front;

    backend_offer("all");
    front = connected_with_notes();
    for (unsigned i = 0; i < 64; i++)
        ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, (uint8_t)i));
    ck_assert(filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 64));
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 63));
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_DEL, 0));
    ck_assert(!filter_refused(front, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 64));
    netfront_tx_offloaded(front, bytes[0], size, 1, 0, extras, 2);
    ck_assert_uint_eq(errors_of(front), 1);
    extras[1] = address_extra(XEN_NETIF_EXTRA_TYPE_MCAST_DEL, 1);
    netfront_tx_offloaded(front, bytes[0], size, 1, 0, extras, 2);
    ck_assert_uint_eq(errors_of(front), 1);
    netfront_tx_offloaded(front, bytes[0], size, 2, 0, extras, 1);
    ck_assert_uint_eq(errors_of(front), 2);
    ck_assert_uint_eq(transmitted, 0);
}

/* ---- network to guest ---- */

/* All that the end sends comes, in the form that the frontend takes, and right. */
static void receive_all(const char *words, bool gso, bool csum, bool sg, uint64_t large, uint64_t cut, uint64_t drops)
{
    struct netfront *front;
    struct checker *checker;
    struct checker_verdict verdict;

    backend_offer(words);
    front = backend_begin();
    front->gso_tcpv4 = front->gso_tcpv6 = gso;
    front->csum = front->csum_ipv6 = csum;
    front->sg = sg;
    netfront_connect(front, true);
    checker = checker_create(&backend_sent, "to the guest", &backend_logger);
    port_capture_go(backend_end);
    netfront_rx_post(front, NETFRONT_SLOTS);
    while (netfront_rx_frame(front, checker_verdict(checker).good < backend_sent.count ? NETFRONT_PATIENCE : 20)) {
        const netif_extra_info_t *extra = &front->frame_extra[XEN_NETIF_EXTRA_TYPE_GSO];
        struct port_frame frame = {.data = front->frame, .length = front->frame_length};

        if (front->frame_flags & NETRXF_csum_blank)
            frame.checksum = PORT_CHECKSUM_BLANK;
        if (extra->type) {
            frame.gso = extra->u.gso.type;
            frame.gso_size = extra->u.gso.size;
            ck_assert_uint_eq(frame.gso_size, frame.gso == PORT_GSO_TCPV4 ? 1448 : 1428);
        }
        ck_assert(!front->frame_bad);
        ck_assert(csum || !(front->frame_flags & NETRXF_csum_blank));
        checker_take(checker, &frame);
        netfront_rx_post(front, front->frame_slots);
    }
    verdict = checker_verdict(checker);
    ck_assert_uint_eq(verdict.good, backend_sent.count);
    ck_assert_uint_eq(checker_bad(&verdict), 0);
    ck_assert_uint_eq(backend_statistics()->rx.frames, verdict.frames);
    ck_assert_uint_eq(backend_statistics()->rx.bytes, verdict.bytes);
    ck_assert_uint_eq(backend_statistics()->rx.large, large);
    ck_assert_uint_eq(backend_statistics()->rx.cut, cut);
    ck_assert_uint_eq(backend_statistics()->rx.drops, drops);
    checker_destroy(checker);
}

GUEST_TEST(large_frames_reach_a_guest_that_takes_them)
{
    backend_load(&backend_sent, OFFLOAD);
    receive_all("all,queues=1", true, true, true, 43, 0, 0);
}

GUEST_TEST(a_guest_that_takes_blank_checksums_alone)
{
    backend_load(&backend_sent, OFFLOAD);
    receive_all("all,queues=1", false, true, true, 0, 43, 0);
    ck_assert_uint_eq(backend_statistics()->rx.blank, 170 - 43);
}

GUEST_TEST(a_guest_that_takes_neither)
{
    backend_load(&backend_sent, OFFLOAD);
    receive_all("all,queues=1", false, false, true, 0, 43, 0);
    ck_assert_uint_eq(backend_statistics()->rx.blank, 0);
}

GUEST_TEST(a_guest_that_takes_one_slot_a_frame)
{
    backend_load(&backend_sent, OFFLOAD);
    receive_all("all,queues=1", true, true, false, 0, 43, 0);
}

GUEST_TEST(what_is_not_offered_is_not_given)
{
    backend_load(&backend_sent, OFFLOAD);
    receive_all("none,sg", true, true, true, 0, 43, 0);
    ck_assert_uint_eq(backend_statistics()->rx.blank, 0);
}

GUEST_TEST(frames_of_a_wire_arrive_unchanged)
{
    backend_load(&backend_sent, VLAN);
    receive_all("all,queues=1", true, true, true, 0, 0, 0);
    ck_assert_uint_eq(backend_statistics()->rx.summed, 0);
}

/* Put `length` bytes into a frame; its TCP checksum stays that of the pseudo-header. */
static void insert(struct port_frame *frame, uint8_t *data, uint32_t at, const uint8_t *what, uint32_t length)
{
    memmove(data + at + length, data + at, frame->length - at);
    memcpy(data + at, what, length);
    frame->length += length;
}

/* A TCP frame of IPv6 with a routing header (RFC 8200, 4.4) that has no segments left: the destination is the last. */
static struct port_frame make_routed(uint8_t *data, uint32_t length)
{
    static const uint8_t routing[8] = {PACKET_TCP, 0, 253};
    struct port_frame frame = make_tcp(data, length);
    struct packet packet;
    uint8_t ip[20] = {0};

    memset(data + 14, 0, 20);
    insert(&frame, data, 14, ip, sizeof(ip));
    insert(&frame, data, 54, routing, sizeof(routing));
    packet_put16(data + 12, 0x86dd);
    data[14] = 0x60;
    packet_put16(data + 18, 8 + 20 + length);
    data[20] = 43;
    data[21] = 64;
    data[22] = data[38] = 0xfd;
    data[37] = 1;
    data[53] = 2;
    packet_parse(data, frame.length, &packet);
    ck_assert_uint_eq(packet.protocol, PACKET_TCP);
    packet_set_partial(data, &packet);
    return frame;
}

/*
 * What a frontend may not find its way in (two tags, a routing header) is not left to it: whole frames are cut, and
 * checksums completed, whatever it takes. What is beside such frames is left as ever.
 */
GUEST_TEST(frames_of_rare_headers_leave_nothing_to_the_guest)
{
    static const uint8_t tag[4] = {0x81, 0, 0, 5}, tags[8] = {0x88, 0xa8, 0, 9, 0x81, 0, 0, 5};

    for (unsigned i = 0; i < 8; i++)
        made[i] = i % 4 == 3 ? make_routed(bytes[i], i < 4 ? 1000 : 4000) : make_tcp(bytes[i], i < 4 ? 1000 : 4000);
    for (unsigned i = 0; i < 8; i += 4) {
        insert(&made[i + 1], bytes[i + 1], 12, tag, sizeof(tag));
        insert(&made[i + 2], bytes[i + 2], 12, tags, sizeof(tags));
    }
    for (unsigned i = 4; i < 8; i++) {
        made[i].gso = i == 7 ? PORT_GSO_TCPV6 : PORT_GSO_TCPV4;
        made[i].gso_size = i == 7 ? 1428 : 1448;
    }
    backend_sent = (struct capture){.count = 8, .frame = made};
    receive_all("all,queues=1", true, true, true, 2, 2, 0);
    ck_assert_uint_eq(backend_statistics()->rx.blank, 4);
    ck_assert_uint_eq(backend_statistics()->rx.summed, 2 + 3 + 3);
}

GUEST_TEST(flags_tell_what_is_known_of_a_checksum)
{
    struct netfront *front;

    for (unsigned i = 0; i < 3; i++)
        made[i] = make_tcp(bytes[i], 100);
    made[0].checksum = PORT_CHECKSUM_NONE;
    made[1].checksum = PORT_CHECKSUM_VALIDATED;
    backend_sent = (struct capture){.count = 3, .frame = made};
    backend_offer("all,queues=1");
    front = backend_begin();
    front->csum = true;
    netfront_connect(front, true);
    netfront_rx_post(front, 3);
    port_capture_go(backend_end);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    ck_assert_uint_eq(front->frame_flags, 0);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    ck_assert_uint_eq(front->frame_flags, NETRXF_data_validated);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    ck_assert_uint_eq(front->frame_flags, NETRXF_data_validated | NETRXF_csum_blank);
}

/* Segments of one frame wait for requests, one by one, and go on after the guest has connected anew. */
GUEST_TEST(segments_wait_for_requests)
{
    struct netfront *front;
    struct checker *checker;
    struct checker_verdict verdict;

    made[0] = make_tcp(bytes[0], 10000);
    made[0].gso = PORT_GSO_TCPV4;
    made[0].gso_size = 1000;
    backend_sent = (struct capture){.count = 1, .frame = made};
    checker = checker_create(&backend_sent, "to the guest", &backend_logger);
    backend_offer("all,queues=1");
    front = connected();
    port_capture_go(backend_end);
    for (unsigned i = 0; i < 10; i++) {
        if (i == 5) {
            netfront_close(front);
            netfront_set_state(front, XenbusStateInitialising);
            netfront_wait_backend(front, XenbusStateInitWait, false);
            front->gso_tcpv4 = front->csum = true; /* it takes the whole now, but not its second half */
            netfront_connect(front, true);
        }
        ck_assert(!netfront_rx_frame(front, 2));
        netfront_rx_post(front, 1);
        ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
        ck_assert_uint_eq(front->frame_length, 1054);
        checker_take(checker, &(struct port_frame){.data = front->frame, .length = front->frame_length});
    }
    verdict = checker_verdict(checker);
    ck_assert_uint_eq(verdict.good, 1);
    ck_assert_uint_eq(checker_bad(&verdict), 0);
    checker_destroy(checker);
}

int main(void)
{
    const TTest *const tests[] = {
        frames_leave_as_the_guest_left_them,
        frames_leave_as_a_wire_needs_them,
        frames_of_a_wire_leave_unchanged,
        tagged_frames_leave_unchanged,
        headers_in_slots_of_one_byte,
        flags_and_extras_reach_the_port,
        segments_without_the_flag_of_a_blank_checksum,
        what_was_not_offered_is_refused,
        several_slots_that_were_not_offered_are_refused,
        illegal_extras_are_refused,
        long_chains_of_extras,
        multicast_frames_are_filtered_when_that_is_asked_for,
        the_filter_may_be_asked_for_at_any_time,
        the_filter_is_for_good_where_it_is_not_dynamic,
        addresses_have_their_limit_and_no_company,
        large_frames_reach_a_guest_that_takes_them,
        a_guest_that_takes_blank_checksums_alone,
        a_guest_that_takes_neither,
        a_guest_that_takes_one_slot_a_frame,
        what_is_not_offered_is_not_given,
        frames_of_a_wire_arrive_unchanged,
        frames_of_rare_headers_leave_nothing_to_the_guest,
        flags_tell_what_is_known_of_a_checksum,
        segments_wait_for_requests,
    };
    Suite *suite = suite_create("offload");
    TCase *tcase = tcase_create("offload");

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
