/*
 * XENVIF's receive side against a backend that gives it everything that xen/io/netif.h allows, and some of what it does
 * not: what the client is given is right whatever the backend said of it, in the form that the client asked for, and
 * the counters say what became of every frame.
 */
#include <stdio.h>
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "nt/cm/cm.h"

#define PLAYED .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make
#define CHECKSUMS                                                                                                      \
    (OPTION(OffloadIpVersion4HeaderChecksum) | OPTION(OffloadIpVersion4TcpChecksum) |                                  \
     OPTION(OffloadIpVersion4UdpChecksum) | OPTION(OffloadIpVersion6TcpChecksum) |                                     \
     OPTION(OffloadIpVersion6UdpChecksum))
#define LARGE (OPTION(OffloadIpVersion4LargePacket) | OPTION(OffloadIpVersion6LargePacket))

static uint8_t frame[INET_FRAME_MAX], right[INET_FRAME_MAX];

static void begin(void)
{
    vif_backend_features("feature-sg=1");
    vif_client_begin();
}

static void want(uint16_t options)
{
    XENVIF_VIF_CALL(&vif_client, ReceiverSetOffloadOptions, (XENVIF_VIF_OFFLOAD_OPTIONS){.Value = options});
}

static void give(const uint8_t *data, size_t length, uint16_t flags, uint8_t gso, uint16_t mss)
{
    struct vif_backend_frame given = {.data = data, .length = length, .flags = flags};

    if (gso != 0) {
        given.extras = 1;
        given.extra[0] = vif_backend_gso(gso, mss);
    }
    while (vif_backend_room() < 24)
        stack_sleep_us(100);
    vif_backend_give(&given);
}

static uint8_t gso_type(unsigned version)
{
    return version == 4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
}

static void await_statistic(XENVIF_VIF_STATISTIC index, uint64_t value)
{
    for (unsigned tries = 0; vif_client_statistic(index) != value; tries++) {
        ck_assert_msg(tries < 2000, "statistic %u is %llu", index, (unsigned long long)vif_client_statistic(index));
        stack_sleep_us(1000);
    }
}

/* ---- checksums ---- */

enum verdict { NOTHING = 0, SUCCEEDED = 1, FAILED = 2, NOT_VALIDATED = 4 };

static void assert_flags(const struct vif_client_received *got, const struct inet_packet *packet, unsigned ip,
                         unsigned transport)
{
    unsigned expected = packet->version == 4 ? ip : 0;

    expected |= packet->protocol == INET_TCP ? transport << 3 : transport << 6;
    ck_assert_msg(got->flags.Value == expected, "flags %03x, not %03x", (unsigned)got->flags.Value, expected);
}

static const struct inet_packet kinds[] = {
    {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 1001},
    {.version = 4, .protocol = INET_UDP, .payload = 1400, .ip_options = 8},
    {.version = 6, .protocol = INET_TCP, .flags = INET_ACK, .payload = 0, .tcp_options = 12},
    {.version = 6, .protocol = INET_UDP, .payload = 7, .ip_options = 8},
};

/* What the backend says, what the client wants, what the frame has: what the client gets. */
static void checksum_case(const struct inet_packet *packet, uint16_t said, uint16_t options, bool wrong)
{
    bool blank = (said & NETRXF_csum_blank) != 0, wanted = (options & CHECKSUMS) != 0;
    size_t length = inet_make(right, packet);
    const struct vif_client_received *got;
    struct inet_layout layout;
    unsigned transport;

    memcpy(frame, right, length);
    ck_assert(inet_parse(frame, length, &layout));
    if (blank)
        inet_make_blank(frame, length);
    else if (wrong)
        inet_put16(inet_checksum_field(frame, &layout),
                   (uint16_t)(inet_get16(inet_checksum_field(frame, &layout)) ^ 0x0101));
    vif_client_forget();
    want(options);
    give(frame, length, said, 0, 0);
    vif_client_await_received(1);
    got = vif_client_received(0);
    ck_assert_uint_eq(got->length, length);
    ck_assert_uint_eq(got->mss, 0);
    ck_assert_uint_eq(got->tci, 0);
    ck_assert_uint_eq(got->info.Length, layout.payload);

    /* Who wants to hear of checksums takes a blank one, unless he needs it filled in. */
    if (blank && wanted && !(options & OPTION(NeedChecksumValue)))
        ck_assert_mem_eq(got->data, frame, length);
    else
        ck_assert_mem_eq(got->data, blank ? right : frame, length);
    transport = !wanted ? NOT_VALIDATED : said != 0 || !wrong ? SUCCEEDED : FAILED;
    assert_flags(got, packet, wanted ? SUCCEEDED : NOT_VALIDATED, transport);
}

STACK_TEST(checksums, PLAYED)
{
    static const uint16_t said[] = {0, NETRXF_data_validated, NETRXF_csum_blank | NETRXF_data_validated,
                                    NETRXF_csum_blank};
    static const uint16_t wishes[] = {0, CHECKSUMS, CHECKSUMS | OPTION(NeedChecksumValue), OPTION(NeedChecksumValue)};
    struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 50};
    struct inet_layout layout;
    size_t length;

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(kinds) * ARRAYSIZE(said) * ARRAYSIZE(wishes) * 2; i++)
        checksum_case(&kinds[i / 32], said[i / 8 % 4], wishes[i / 2 % 4], i % 2 != 0);

    /* UDP without a checksum, which only IPv4 has; an IPv4 header that is damaged. */
    want(CHECKSUMS);
    for (packet.version = 4; packet.version <= 6; packet.version += 2) {
        length = inet_make(frame, &packet);
        ck_assert(inet_parse(frame, length, &layout));
        inet_put16(inet_checksum_field(frame, &layout), 0);
        vif_client_forget();
        give(frame, length, 0, 0, 0);
        vif_client_await_received(1);
        assert_flags(vif_client_received(0), &packet, SUCCEEDED, packet.version == 4 ? NOT_VALIDATED : FAILED);
    }
    length = inet_make(frame, &kinds[0]);
    frame[14 + 8]++;
    vif_client_forget();
    give(frame, length, NETRXF_data_validated, 0, 0);
    vif_client_await_received(1);
    assert_flags(vif_client_received(0), &kinds[0], FAILED, SUCCEEDED);
    vif_client_finish();
}

/* ---- large frames ---- */

static const struct inet_packet large[] = {
    {.payload = 20000, .flags = INET_ACK | INET_PSH, .tcp_options = 12, .sequence = 0xFFFFF000, .id = 0xFFFE},
    {.payload = 64000, .flags = INET_ACK, .id = 5},
    {.payload = 2897, .flags = INET_ACK | INET_ECE, .tcp_options = 12, .tagged = true},
};

static void assert_segments(const struct inet_packet *packet, const struct inet_layout *whole, unsigned mss)
{
    size_t done = 0;

    for (unsigned k = 0; done < packet->payload; k++) {
        const struct vif_client_received *got = vif_client_received(k);
        struct inet_layout layout;
        size_t payload;

        ck_assert_msg(inet_fault(got->data, got->length) == NULL, "segment %u: %s", k,
                      inet_fault(got->data, got->length));
        ck_assert(inet_parse(got->data, got->length, &layout));
        ck_assert_uint_eq(layout.end, got->length);
        payload = got->length - layout.payload;
        ck_assert_uint_eq(payload, packet->payload - done < mss ? packet->payload - done : mss);
        ck_assert_mem_eq(got->data + layout.payload, right + whole->payload + done, payload);
        ck_assert_uint_eq(inet_get32(got->data + layout.transport + 4), packet->sequence + (uint32_t)done);
        if (packet->version == 4)
            ck_assert_uint_eq(inet_get16(got->data + layout.ip + 4), (uint16_t)(packet->id + k));
        ck_assert_uint_eq(got->mss, 0);
        ck_assert_uint_eq(got->mdls, 1);
        done += payload;
        ck_assert_uint_eq(got->data[layout.transport + 13],
                          packet->flags &
                              ~((done < packet->payload ? INET_PSH | INET_FIN : 0) | (k != 0 ? INET_CWR : 0)));
    }
}

/* FB4: whatever flags the response had, and whatever checksum the frame, every segment has one that is right. */
STACK_TEST(fb4_segments_have_checksums_of_their_own, PLAYED)
{
    static const uint16_t said[] = {0, NETRXF_data_validated, NETRXF_csum_blank | NETRXF_data_validated};
    static const uint16_t wishes[] = {0, CHECKSUMS, LARGE | OPTION(NeedLargePacketSplit)};

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(large) * 2 * 9; i++) {
        struct inet_packet packet = large[i / 18];
        uint16_t wish = wishes[i / 3 % 3];
        unsigned mss = i % 2 != 0 ? 1448 : 1000;
        struct inet_layout layout;
        size_t length;

        packet.version = i / 9 % 2 == 0 ? 4 : 6;
        packet.protocol = INET_TCP;
        packet.seed = i;
        length = inet_make(right, &packet);
        memcpy(frame, right, length);
        ck_assert(inet_parse(frame, length, &layout));
        if (said[i % 3] & NETRXF_csum_blank)
            inet_make_blank(frame, length);
        else if (packet.version == 4)
            inet_put16(inet_checksum_field(frame, &layout), 0x4711);
        if (mss > 1500 - (layout.payload - layout.ip)) /* what goes into a frame */
            mss = (unsigned)(1500 - (layout.payload - layout.ip));
        vif_client_forget();
        want(wish);
        give(frame, length, said[i % 3], gso_type(packet.version), (uint16_t)mss);
        vif_client_await_received((unsigned)(packet.payload + mss - 1) / mss);
        assert_segments(&packet, &layout, mss);
        for (unsigned k = 0; k < vif_client_received_count(); k++)
            assert_flags(vif_client_received(k), &packet, wish == CHECKSUMS ? SUCCEEDED : NOT_VALIDATED,
                         wish == CHECKSUMS ? SUCCEEDED : NOT_VALIDATED);
    }
    vif_client_finish();
}

STACK_TEST(large_frames_whole, PLAYED)
{
    begin();
    for (unsigned i = 0; i < ARRAYSIZE(large) * 2 * 4; i++) {
        struct inet_packet packet = large[i / 8];
        bool value = i % 2 != 0, wanted = i / 2 % 2 != 0;
        const struct vif_client_received *got;
        struct inet_layout layout;
        size_t length;

        packet.version = i / 4 % 2 == 0 ? 4 : 6;
        packet.protocol = INET_TCP;
        length = inet_make(right, &packet);
        memcpy(frame, right, length);
        inet_make_blank(frame, length);
        ck_assert(inet_parse(frame, length, &layout));
        vif_client_forget();
        want((uint16_t)(LARGE | (wanted ? CHECKSUMS : 0) | (value ? OPTION(NeedChecksumValue) : 0)));
        give(frame, length, NETRXF_csum_blank | NETRXF_data_validated, gso_type(packet.version), 1400);
        vif_client_await_received(1);
        got = vif_client_received(0);
        ck_assert_uint_eq(got->length, length);
        ck_assert_uint_eq(got->mss, 1400);
        ck_assert_mem_eq(got->data, value || !wanted ? right : frame, length);
        ck_assert_uint_ge(got->first, layout.payload);
        assert_flags(got, &packet, wanted ? SUCCEEDED : NOT_VALIDATED, wanted ? SUCCEEDED : NOT_VALIDATED);
    }
    vif_client_finish();
}

/* What is no plain data of a connection is not passed up as one packet, and what is one segment is no large packet. */
STACK_TEST(large_frames_that_do_not_stay_whole, PLAYED)
{
    static const struct inet_packet odd[] = {
        {.version = 4, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK | INET_FIN},
        {.version = 6, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK | INET_CWR},
        {.version = 4, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK, .ip_options = 8},
        {.version = 6, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK, .ip_options = 8},
    };
    struct inet_packet one = {.version = 4, .protocol = INET_TCP, .payload = 1000, .flags = INET_ACK};
    struct inet_layout layout;
    size_t length;

    begin();
    want(LARGE);
    for (unsigned i = 0; i < ARRAYSIZE(odd); i++) {
        length = inet_make(right, &odd[i]);
        ck_assert(inet_parse(right, length, &layout));
        vif_client_forget();
        give(right, length, 0, gso_type(odd[i].version), 1000);
        vif_client_await_received(3);
        assert_segments(&odd[i], &layout, 1000);
    }
    length = inet_make(right, &one);
    memcpy(frame, right, length);
    inet_make_blank(frame, length);
    vif_client_forget();
    give(frame, length, NETRXF_data_validated, XEN_NETIF_GSO_TYPE_TCPV4, 1000);
    vif_client_await_received(1);
    ck_assert_uint_eq(vif_client_received(0)->mss, 0);
    ck_assert_mem_eq(vif_client_received(0)->data, right, length);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_GSO_PACKETS), 4);

    /* Segments that the link would not have: they are made smaller. */
    one.payload = 5000;
    length = inet_make(right, &one);
    ck_assert(inet_parse(right, length, &layout));
    want(0);
    vif_client_forget();
    give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 3000);
    vif_client_await_received(4);
    assert_segments(&one, &layout, 1460);
    vif_client_finish();
}

/* ---- tags ---- */

STACK_TEST(tags, PLAYED)
{
    const struct vif_client_received *got;

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++) {
        struct inet_packet packet = kinds[i];
        size_t length, plain = inet_make(right, &packet);

        packet.tagged = true;
        length = inet_make(frame, &packet);
        ck_assert_uint_eq(length, plain + 4);
        want(0);
        vif_client_forget();
        give(frame, length, 0, 0, 0);
        vif_client_await_received(1);
        got = vif_client_received(0);
        ck_assert_uint_eq(got->tci, 0);
        ck_assert_uint_eq(got->length, length);
        ck_assert_mem_eq(got->data, frame, length);

        want(OPTION(OffloadTagManipulation) | CHECKSUMS);
        vif_client_forget();
        give(frame, length, 0, 0, 0);
        vif_client_await_received(1);
        got = vif_client_received(0);
        ck_assert_uint_eq(got->tci, 5 << 13 | 42);
        ck_assert_uint_eq(got->length, plain);
        ck_assert_mem_eq(got->data, right, plain);
        ck_assert_uint_eq(got->info.EthernetHeader.Length, 14);
        ck_assert_uint_eq(got->info.IpHeader.Offset, 14);
        assert_flags(got, &packet, SUCCEEDED, SUCCEEDED);
    }

    /* Every segment of a large one. */
    {
        struct inet_packet packet = {
            .version = 6, .protocol = INET_TCP, .payload = 4000, .flags = INET_ACK, .tagged = true};
        struct inet_layout layout;
        size_t length = inet_make(right, &packet);

        ck_assert(inet_parse(right, length, &layout));
        vif_client_forget();
        give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV6, 1000);
        vif_client_await_received(4);
        assert_segments(&packet, &layout, 1000);
        for (unsigned k = 0; k < 4; k++)
            ck_assert_uint_eq(vif_client_received(k)->tci, 5 << 13 | 42);
    }
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_TAGGED_PACKETS), 2 * ARRAYSIZE(kinds) + 4);
    vif_client_finish();
}

/* ---- where it lies ---- */

/* FB12: every legal split, the headers in one piece for the client, and room ahead of them if it wants some. */
STACK_TEST(fb12_any_legal_split, PLAYED)
{
    static const struct {
        unsigned first, slot, offset;
    } splits[] = {{0, 0, 0}, {1, 4000, 96}, {1, 0, 0}, {13, 0, 0}, {53, 3900, 7}, {4096, 0, 0}, {2, 3500, 500}};
    static const unsigned backfills[] = {0, 16, 200, 3700};
    struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK};

    begin();
    want(LARGE);
    for (unsigned i = 0; i < ARRAYSIZE(splits) * ARRAYSIZE(backfills); i++) {
        for (unsigned k = 0; k < 3; k++) {
            struct vif_backend_frame given = {.data = right,
                                              .first = splits[i / 4].first,
                                              .slot = k == 0 ? 100 : splits[i / 4].slot,
                                              .offset = splits[i / 4].offset};
            const struct vif_client_received *got;
            struct inet_layout layout;

            packet.payload = k == 0 ? 1400 : k == 1 ? 1460 : 50000;
            packet.version = i % 2 == 0 ? 4 : 6;
            if (k == 1 && packet.version == 6)
                packet.payload = 1440;
            packet.seed = i;
            given.length = inet_make(right, &packet);
            ck_assert(inet_parse(right, given.length, &layout));
            if (k == 2) {
                given.extras = 1;
                given.extra[0] = vif_backend_gso(gso_type(packet.version), 1400);
            }
            XENVIF_VIF_CALL(&vif_client, ReceiverSetBackfillSize, backfills[i % 4]);
            vif_client_forget();
            while (vif_backend_room() < 24)
                stack_sleep_us(100);
            vif_backend_give(&given);
            vif_client_await_received(1);
            got = vif_client_received(0);
            ck_assert_uint_eq(got->length, given.length);
            ck_assert_mem_eq(got->data, right, given.length);
            ck_assert_uint_ge(got->first, layout.payload);
            ck_assert_uint_ge(got->offset, backfills[i % 4]);
        }
    }
    vif_client_finish();
}

/* ---- pauses ---- */

/* A large frame waits in one piece for a client that pauses, and for one that keeps its packets. */
STACK_TEST(back_pressure, PLAYED)
{
    struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 64000, .flags = INET_ACK};
    struct inet_layout layout;
    size_t length = inet_make(right, &packet);

    ck_assert(inet_parse(right, length, &layout));
    begin();
    for (unsigned every = 1; every <= 7; every += 3) {
        vif_client_mode = (struct vif_client_mode){.pause_every = every};
        vif_client_forget();
        give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 1448);
        vif_client_await_received(45);
        assert_segments(&packet, &layout, 1448);
    }
    vif_client_mode = (struct vif_client_mode){.hold = true, .pause_every = 11};
    for (unsigned round = 0; round < 3; round++) {
        vif_client_forget();
        for (unsigned k = 0; k < 2; k++)
            give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 1448);
        vif_client_await_received(90);
        vif_client_return();
    }
    vif_client_mode = (struct vif_client_mode){0};
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS), 0);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_PACKETS_DROPPED), 0);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_UNICAST_PACKETS), 3 * 45 + 3 * 90);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_GSO_PACKETS), 9);
    vif_client_finish();
}

/* Pages that the client keeps are missed on the ring; each frame that it gives back is room for the next one. */
STACK_TEST(kept_until_there_is_no_room, PLAYED)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 60000};
    struct vif_backend_frame given = {.data = right, .length = inet_make(right, &packet)};
    unsigned pages = (unsigned)(given.length + 4095) / 4096, frames = 0, room;

    stack_store_write(stack_path("device/vif/1/mtu"), "65521");
    begin();
    vif_client_mode = (struct vif_client_mode){.hold = true};
    while (vif_backend_room() >= pages) {
        vif_backend_give(&given);
        vif_client_await_received(++frames);
    }
    ck_assert_uint_ge(frames * pages, 1024 - 256);
    room = vif_backend_room();
    vif_client_return();
    ck_assert_uint_ge(vif_backend_room(), 128); /* before an event */
    ck_assert_uint_gt(vif_backend_room(), room);
    vif_client_mode = (struct vif_client_mode){0};
    vif_client_forget();
    vif_backend_give(&given);
    vif_client_await_received(1);
    ck_assert_mem_eq(vif_client_received(0)->data, right, given.length);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS), 0);
    vif_client_finish();
}

/*
 * A small frame is a copy, and its page is on the ring again at once; when there is no page for a copy the client gets
 * that page itself, until there are none.
 */
STACK_TEST(small_frames_kept_until_there_is_no_room, PLAYED)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 150};
    struct vif_backend_frame given = {.data = right, .length = inet_make(right, &packet), .offset = 7};
    unsigned frames = 0;

    begin();
    vif_client_mode = (struct vif_client_mode){.hold = true};
    while (vif_backend_room() != 0) {
        vif_client_forget();
        vif_backend_give(&given);
        vif_client_await_received(1);
        ck_assert_mem_eq(vif_client_received(0)->data, right, given.length);
        frames++;
    }
    ck_assert_uint_eq(frames, 1024);
    vif_client_return();
    ck_assert_uint_ge(vif_backend_room(), 128); /* before an event */
    vif_backend_check_pages();
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS), 0);
    vif_client_mode = (struct vif_client_mode){0};
    vif_client_finish();
}

static void await_one(void)
{
    for (unsigned tries = 0; vif_client_received_count() == 0; tries++) {
        ck_assert_uint_lt(tries, 2000);
        stack_sleep_us(100);
    }
}

#define HELD_BACK 20000 /* 100 ns: as long as few pages wait for more */

static bool has_room(void *room)
{
    return vif_backend_room() == *(const unsigned *)room;
}

static void await_room(unsigned room)
{
    if (!stack_wait(has_room, &room, 5000))
        ck_abort_msg("%u pages are on the ring, and %u are to be", vif_backend_room(), room);
}

/* The client keeps frames like this one until no more than so many pages are on the ring. */
static void keep_until(unsigned room, const struct vif_backend_frame *given)
{
    vif_client_mode = (struct vif_client_mode){.hold = true};
    while (vif_backend_room() > room) {
        vif_client_forget();
        vif_backend_give(given);
        vif_client_await_received(1);
    }
}

static void give_all_back(void)
{
    vif_client_return();
    vif_client_mode = (struct vif_client_mode){0};
    vif_client_finish();
}

/*
 * Pages that come back to a ring without any do not each go there by themselves: the first does, and the others
 * together, as soon as there are so many as the longest frame may need.
 */
STACK_TEST(pages_come_back_together, PLAYED)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 150};
    struct vif_backend_frame given = {.data = right, .length = inet_make(right, &packet)};
    unsigned room = 0, times = 0;
    ULONGLONG start;

    begin();
    keep_until(0, &given);
    start = KeQueryInterruptTime();
    for (unsigned returned = 1; returned <= 128; returned++) {
        vif_client_return_some(1);
        times += vif_backend_room() != room;
        room = vif_backend_room();
        ck_assert_uint_ge(room, 1);
        ck_assert_uint_ge(room + 32, returned);
        ck_assert(room >= 19 || returned < 32);
    }
    ck_assert_uint_le(times, 9 + (KeQueryInterruptTime() - start) / HELD_BACK); /* or the timer has put some there */
    await_room(128);
    vif_client_return_some(9);
    vif_backend_give(&given); /* a poll puts there what there is, but for the page that this frame is copied to */
    vif_client_await_received(2);
    ck_assert_uint_eq(vif_backend_room(), 128 + 9 - 1);
    give_all_back();
}

/* Too few pages to go to the ring by themselves do not wait there for more: the backend's next frame may need them. */
STACK_TEST(few_pages_come_back, PLAYED)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 150};
    struct vif_backend_frame given = {.data = right, .length = inet_make(right, &packet)};

    begin();
    keep_until(0, &given);
    vif_client_return_some(1);
    for (unsigned room = 1; room < 13; room += 4) {
        ULONGLONG start = KeQueryInterruptTime();
        unsigned at_once;

        vif_client_return_some(4);
        at_once = vif_backend_room();
        ck_assert(at_once == room || KeQueryInterruptTime() - start >= HELD_BACK);
        await_room(room + 4);
        ck_assert(KeQueryInterruptTime() - start >= HELD_BACK);
    }
    give_all_back();
}

/* The pages of a large frame are enough to go there by themselves: the backend waits for no second one. */
STACK_TEST(pages_of_a_large_frame_come_back, PLAYED)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 65000};
    struct vif_backend_frame given = {.data = right, .length = inet_make(right, &packet)};

    stack_store_write(stack_path("device/vif/1/mtu"), "65521");
    begin();
    keep_until(96, &given);
    ck_assert_uint_eq(vif_backend_room(), 96);
    vif_client_return_some(1);
    ck_assert_uint_eq(vif_backend_room(), 96 + 16);
    give_all_back();
}

/* A pause is over as soon as ever, also when a page comes back meanwhile to a ring that has none. */
STACK_TEST(a_pause_on_an_empty_ring, PLAYED)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 150};
    struct vif_backend_frame given = {.data = right, .length = inet_make(right, &packet)};
    ULONGLONG start;

    begin();
    vif_client_mode = (struct vif_client_mode){.hold = true};
    while (vif_backend_room() != 0) {
        vif_client_mode.pause_every = vif_backend_room() == 1;
        vif_client_forget();
        vif_backend_give(&given);
        await_one();
    }
    start = KeQueryInterruptTime();
    vif_client_mode.pause_every = 0;
    vif_client_return_some(1);
    vif_client_forget();
    vif_backend_give(&given);
    await_one();
    ck_assert_uint_ge(KeQueryInterruptTime() - start, 10000);
    ck_assert_uint_le(KeQueryInterruptTime() - start, 300000); /* of 500000 that a starved ring waits */
    give_all_back();
}

/* ---- the filter ---- */

#define DROP XENVIF_MAC_FILTER_NONE
#define MATCH XENVIF_MAC_FILTER_MATCHING
#define ALL XENVIF_MAC_FILTER_ALL

/* Of each type's levels, what is let in: the address is ours, or in the list, or another one. */
STACK_TEST(filter_levels, PLAYED)
{
    static const struct {
        uint8_t address[6];
        ETHERNET_ADDRESS_TYPE type;
        bool matches;
    } frames[] = {{{0x00, 0x16, 0x3e, 0x5a, 0x00, 0x01}, ETHERNET_ADDRESS_UNICAST, true},
                  {{0x00, 0x16, 0x3e, 0x5a, 0x00, 0x02}, ETHERNET_ADDRESS_UNICAST, false},
                  {{0x01, 0x00, 0x5e, 0x00, 0x00, 0x07}, ETHERNET_ADDRESS_MULTICAST, true},
                  {{0x01, 0x00, 0x5e, 0x00, 0x00, 0x08}, ETHERNET_ADDRESS_MULTICAST, false},
                  {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ETHERNET_ADDRESS_BROADCAST, true}};
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = 100};
    ETHERNET_ADDRESS group = {{0x01, 0x00, 0x5e, 0x00, 0x00, 0x07}};
    size_t length = inet_make(right, &packet);
    uint64_t dropped = 0;

    begin();
    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, MacSetMulticastAddresses, &group, 1), STATUS_SUCCESS);
    for (unsigned level = DROP; level <= ALL; level++) {
        for (unsigned i = 0; i < ARRAYSIZE(frames); i++) {
            bool admitted = level == ALL || (level == MATCH && frames[i].matches);

            /* The other types' are the opposite. */
            for (unsigned type = ETHERNET_ADDRESS_UNICAST; type <= ETHERNET_ADDRESS_BROADCAST; type++)
                ck_assert_int_eq(
                    XENVIF_VIF_CALL(&vif_client, MacSetFilterLevel, (ETHERNET_ADDRESS_TYPE)type,
                                    (XENVIF_MAC_FILTER_LEVEL)(type == frames[i].type ? level : ALL - level)),
                    STATUS_SUCCESS);
            memcpy(right, frames[i].address, 6);
            vif_client_forget();
            give(right, length, 0, 0, 0);
            if (admitted)
                vif_client_await_received(1);
            else
                await_statistic(XENVIF_RECEIVER_PACKETS_DROPPED, ++dropped);
            ck_assert_msg(vif_client_received_count() == admitted, "level %u, frame %u", level, i);
            ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_PACKETS_DROPPED), dropped);
        }
    }
    vif_client_finish();
}

/* ---- what a backend must not say ---- */

STACK_TEST(fb10_extra_info_that_makes_no_sense, PLAYED)
{
    const netif_extra_info_t good = vif_backend_gso(XEN_NETIF_GSO_TYPE_TCPV4, 1000);
    const netif_extra_info_t bad[] = {
        vif_backend_gso(XEN_NETIF_GSO_TYPE_TCPV4, 0),
        vif_backend_gso(XEN_NETIF_GSO_TYPE_NONE, 1000),
        vif_backend_gso(3, 1000),
        vif_backend_gso(XEN_NETIF_GSO_TYPE_TCPV6, 1000), /* the packet is of version 4 */
        {.type = XEN_NETIF_EXTRA_TYPE_NONE},
        {.type = XEN_NETIF_EXTRA_TYPE_MCAST_ADD},
        {.type = XEN_NETIF_EXTRA_TYPE_MCAST_DEL},
        {.type = XEN_NETIF_EXTRA_TYPE_MAX},
        {.type = 255},
        {.type = XEN_NETIF_EXTRA_TYPE_HASH, .u.hash = {.type = 4, .algorithm = 1}},
        {.type = XEN_NETIF_EXTRA_TYPE_HASH, .u.hash = {.type = 0, .algorithm = 1}}, /* nobody has asked for it */
    };
    const struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK};
    const struct inet_packet udp = {.version = 4, .protocol = INET_UDP, .payload = 3000};
    struct vif_backend_frame given = {.data = right, .length = inet_make(right, &packet), .extras = 1};
    uint64_t errors = 0;

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(bad); i++) {
        given.extra[0] = bad[i];
        vif_backend_give(&given);
        errors++;
    }
    given.extras = 2; /* twice */
    given.extra[0] = given.extra[1] = good;
    vif_backend_give(&given);
    given.extras = 0; /* too long for what it is */
    vif_backend_give(&given);
    given.length = inet_make(right, &udp); /* not TCP */
    given.extras = 1;
    given.extra[0] = good;
    vif_backend_give(&given);
    memset(right + 12, 0x08, 2); /* no IP at all, and a checksum to fill in */
    given.length = 60;
    given.extras = 0;
    given.flags = NETRXF_csum_blank;
    vif_backend_give(&given);
    errors += 4;

    given = (struct vif_backend_frame){.data = right, .length = inet_make(right, &packet), .extras = 1};
    given.extra[0] = good;
    vif_backend_give(&given);
    vif_client_await_received(3);
    ck_assert_uint_eq(vif_client_received(0)->hash.Algorithm, XENVIF_PACKET_HASH_ALGORITHM_NONE);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), errors);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_UNICAST_PACKETS), 3);
    vif_client_finish();
}

/* Headers that are longer than a frame may be: there is no way to split it. The client takes the next one. */
STACK_TEST(fb10_headers_longer_than_a_frame, PLAYED)
{
    const struct inet_packet packets[] = {
        {.version = 4, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK, .ip_options = 40, .tcp_options = 40},
        {.version = 4, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK}};

    stack_store_write(stack_path("device/vif/1/mtu"), "100");
    begin();
    give(right, inet_make(right, &packets[0]), 0, XEN_NETIF_GSO_TYPE_TCPV4, 60);
    await_statistic(XENVIF_RECEIVER_BACKEND_ERRORS, 1);
    ck_assert_uint_eq(vif_client_received_count(), 0);

    give(right, inet_make(right, &packets[1]), 0, XEN_NETIF_GSO_TYPE_TCPV4, 60);
    vif_client_await_received(50);
    for (unsigned i = 0; i < 50; i++)
        ck_assert_uint_eq(vif_client_received(i)->length, 54 + 60);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), 1);
    vif_client_finish();
}

/* ---- what the registry says ---- */

static bool forbid;

static void set_registry(void)
{
    const char *key = CM_SERVICES "\\xenvif\\Parameters";

    cm_value_set_dword(cm_key_create(key), "ReceiverAllowGsoPackets", !forbid);
    cm_value_set_dword(cm_key_create(key), "ReceiverCalculateChecksums", 1);
    cm_value_set_dword(cm_key_create(key), "ReceiverIpAlignOffset", 2);
    cm_value_set_dword(cm_key_create(key), "ReceiverAlwaysPullup", 1);
}

static void with_registry(void *unused)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 20000, .flags = INET_ACK};
    const struct vif_client_received *got;
    size_t length;

    (void)unused;
    begin();
    ck_assert_uint_eq(vif_backend_front_number("feature-gso-tcpv4"), !forbid);
    ck_assert_uint_eq(vif_backend_front_number("feature-gso-tcpv6"), !forbid);
    ck_assert_uint_eq(vif_backend_front_number("feature-no-csum-offload"), 0);
    ck_assert_uint_eq(vif_backend_front_number("feature-ipv6-csum-offload"), 1);
    XENVIF_VIF_CALL(&vif_client, ReceiverSetBackfillSize, 32);
    want(CHECKSUMS | LARGE);
    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++) {
        length = inet_make(right, &kinds[i]);
        memcpy(frame, right, length);
        inet_make_blank(frame, length);
        vif_client_forget();
        give(frame, length, NETRXF_csum_blank, 0, 0);
        vif_client_await_received(1);
        got = vif_client_received(0);
        ck_assert_mem_eq(got->data, right, length);
        ck_assert_uint_eq((got->page_offset + got->offset + 14) % 4, 0);
        ck_assert_uint_eq(got->offset, 34);
    }
    vif_client_forget();
    length = inet_make(right, &packet);
    give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 1400);
    if (forbid) {
        vif_client_await_received(0);
        ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), 1);
    } else {
        vif_client_await_received(1);
        got = vif_client_received(0);
        ck_assert_mem_eq(got->data, right, length);
        ck_assert_uint_eq(got->first, 4096 - 34);
        ck_assert_uint_eq((got->page_offset + got->offset + 14) % 4, 0);

        /* Segments that are made here, with their tags taken out or without any. */
        for (unsigned tagged = 0; tagged < 2; tagged++) {
            struct inet_packet cut = packet;
            struct inet_layout layout;

            cut.tagged = tagged;
            want(CHECKSUMS | OPTION(OffloadTagManipulation));
            vif_client_forget();
            length = inet_make(right, &cut);
            ck_assert(inet_parse(right, length, &layout));
            give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 1400);
            vif_client_await_received(15);
            assert_segments(&cut, &layout, 1400);
            for (unsigned i = 0; i < 15; i++) {
                got = vif_client_received(i);
                ck_assert_uint_eq((got->page_offset + got->offset + 14) % 4, 0);
                ck_assert_uint_ge(got->offset, 32);
            }
        }
    }
    vif_client_finish();
}

START_TEST(registry)
{
    static const struct stack_options options = {PLAYED, .prepare = set_registry};

    forbid = _i != 0;
    stack_run(&options, with_registry, NULL);
}
END_TEST

/* ---- counters ---- */

static uint64_t counters[XENVIF_VIF_STATISTIC_COUNT];

static void assert_counters(void)
{
    for (unsigned i = 0; i < XENVIF_VIF_STATISTIC_COUNT; i++)
        ck_assert_msg(vif_client_statistic((XENVIF_VIF_STATISTIC)i) == counters[i], "counter %u is %llu, not %llu", i,
                      (unsigned long long)vif_client_statistic((XENVIF_VIF_STATISTIC)i),
                      (unsigned long long)counters[i]);
}

#define COUNT(name, value) counters[XENVIF_RECEIVER_##name] += (value)

STACK_TEST(counts, PLAYED)
{
    struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 3000, .flags = INET_ACK};
    size_t length;

    begin();

    /* One large packet, three segments. */
    want(CHECKSUMS);
    length = inet_make(right, &packet);
    give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 1000);
    vif_client_await_received(3);
    COUNT(UNICAST_PACKETS, 3);
    COUNT(UNICAST_OCTETS, 3 * 1054);
    COUNT(IPV4_PACKETS, 3);
    COUNT(TCP_PACKETS, 3);
    COUNT(GSO_PACKETS, 1);
    COUNT(IPV4_CHECKSUM_SUCCEEDED, 3);
    COUNT(TCP_CHECKSUM_SUCCEEDED, 3);
    assert_counters();

    /* The same, in one piece. */
    want(LARGE);
    give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 1000);
    vif_client_await_received(4);
    COUNT(UNICAST_PACKETS, 1);
    COUNT(UNICAST_OCTETS, length);
    COUNT(IPV4_PACKETS, 1);
    COUNT(TCP_PACKETS, 1);
    COUNT(GSO_PACKETS, 1);
    COUNT(IPV4_CHECKSUM_NOT_VALIDATED, 1);
    COUNT(TCP_CHECKSUM_NOT_VALIDATED, 1);
    assert_counters();

    /* To all, with a wrong checksum and a tag that is taken out. */
    want(CHECKSUMS | OPTION(OffloadTagManipulation));
    packet = (struct inet_packet){.version = 6, .protocol = INET_UDP, .payload = 100, .tagged = true};
    length = inet_make(right, &packet);
    memset(right, 0xFF, 6);
    right[length - 1] ^= 0x10;
    give(right, length, 0, 0, 0);
    vif_client_await_received(5);
    COUNT(BROADCAST_PACKETS, 1);
    COUNT(BROADCAST_OCTETS, length - 4);
    COUNT(TAGGED_PACKETS, 1);
    COUNT(IPV6_PACKETS, 1);
    COUNT(UDP_PACKETS, 1);
    COUNT(UDP_CHECKSUM_FAILED, 1);
    assert_counters();

    /* Kept out by the filter, large or not, and one frame in all. */
    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, MacSetFilterLevel, ETHERNET_ADDRESS_UNICAST, XENVIF_MAC_FILTER_NONE),
                     STATUS_SUCCESS);
    packet = (struct inet_packet){.version = 4, .protocol = INET_TCP, .payload = 9000, .flags = INET_ACK};
    length = inet_make(right, &packet);
    give(right, length, 0, XEN_NETIF_GSO_TYPE_TCPV4, 1000);
    packet.payload = 10;
    length = inet_make(right, &packet);
    give(right, length, NETRXF_data_validated, 0, 0);
    vif_client_await_received(5);
    COUNT(PACKETS_DROPPED, 2);
    assert_counters();
    vif_client_finish();
}

/* ---- what the backend is told of them ---- */

#define BURSTS 20u
#define BURST 24u

static void assert_not_before(unsigned before)
{
    uint32_t taken = vif_backend_rx_taken();

    ck_assert_msg(taken <= before, "frame %u comes, and the backend has been told that %u are taken", before, taken);
}

/*
 * The event that is asked for says which frames the client has had: a backend goes by that where a flow is to change
 * its queue, so that it is never ahead of them, and says so of all in the end.
 */
static void taken_when_it_is_said(void *pause_every)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 100};
    size_t length = inet_make(frame, &kind);

    vif_client_mode.look = assert_not_before;
    vif_client_mode.pause_every = (unsigned)(uintptr_t)pause_every;
    begin();
    for (unsigned burst = 0; burst < BURSTS; burst++) {
        vif_client_forget();
        for (unsigned i = 0; i < BURST; i++)
            give(frame, length, 0, 0, 0);
        vif_client_await_received(BURST);
        ck_assert_uint_eq(vif_backend_rx_taken(), (burst + 1) * BURST);
    }
    vif_client_finish();
}

START_TEST(taken_is_what_the_client_has_had)
{
    const struct stack_options options = {PLAYED, .engine = ENGINE_DETERMINISTIC,
                                          .policy = _i == 0 ? POLICY_FIFO : POLICY_RANDOM, .seed = (uint64_t)_i};

    stack_run(&options, taken_when_it_is_said, (void *)(uintptr_t)(_i % 2 != 0 ? 5 : 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIF receive offloads");
    TCase *tcase = tcase_create("offloads");

    tcase_add_test(tcase, checksums);
    tcase_add_test(tcase, fb4_segments_have_checksums_of_their_own);
    tcase_add_test(tcase, large_frames_whole);
    tcase_add_test(tcase, large_frames_that_do_not_stay_whole);
    tcase_add_test(tcase, tags);
    tcase_add_test(tcase, fb12_any_legal_split);
    tcase_add_test(tcase, back_pressure);
    tcase_add_test(tcase, kept_until_there_is_no_room);
    tcase_add_test(tcase, small_frames_kept_until_there_is_no_room);
    tcase_add_test(tcase, pages_come_back_together);
    tcase_add_test(tcase, pages_of_a_large_frame_come_back);
    tcase_add_test(tcase, a_pause_on_an_empty_ring);
    tcase_add_test(tcase, few_pages_come_back);
    tcase_add_test(tcase, filter_levels);
    tcase_add_test(tcase, fb10_extra_info_that_makes_no_sense);
    tcase_add_test(tcase, fb10_headers_longer_than_a_frame);
    tcase_add_loop_test(tcase, registry, 0, 2);
    tcase_add_test(tcase, counts);
    tcase_add_loop_test(tcase, taken_is_what_the_client_has_had, 0, 4);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
