/*
 * XENVIF's transmit side with everything that a client may leave to it, against backends with every combination of
 * features: whatever the backend has, what leaves is right, and the client is told and the counters say what became of
 * it.
 */
#include <stdio.h>
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "nt/cm/cm.h"

#define PLAYED .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make
#define BLANK (NETTXF_csum_blank | NETTXF_data_validated)

static uint8_t frame[INET_FRAME_MAX], wanted[INET_FRAME_MAX];
static struct vif_backend_packet got;

/* ---- backends ---- */

enum feature { SG = 1, CSUM4 = 2, CSUM6 = 4, GSO4 = 8, GSO6 = 16 };
#define COMBINATIONS 32u

static void write_features(char *list, size_t size, unsigned features)
{
    snprintf(list, size,
             "feature-sg=%d,feature-no-csum-offload=%d,feature-ipv6-csum-offload=%d,feature-gso-tcpv4=%d,feature-gso-"
             "tcpv6=%d",
             (features & SG) != 0, (features & CSUM4) == 0, (features & CSUM6) != 0, (features & GSO4) != 0,
             (features & GSO6) != 0);
}

static void say(unsigned features)
{
    char list[256];

    write_features(list, sizeof(list), features);
    vif_backend_features(list);
}

static void begin(unsigned features)
{
    say(features);
    vif_client_begin();
}

static bool leaves_checksum(unsigned features, unsigned version)
{
    return (features & (version == 4 ? CSUM4 : CSUM6)) != 0;
}

static bool leaves_cutting(unsigned features, unsigned version)
{
    return leaves_checksum(features, version) && (features & SG) && (features & (version == 4 ? GSO4 : GSO6));
}

/* ---- what was sent is what came ---- */

static XENVIF_VIF_OFFLOAD_OPTIONS options_for(const struct inet_packet *packet, bool large)
{
    XENVIF_VIF_OFFLOAD_OPTIONS options = {.Value = 0};
    bool tcp = packet->protocol == INET_TCP;

    if (packet->version == 4) {
        options.OffloadIpVersion4HeaderChecksum = 1;
        options.OffloadIpVersion4TcpChecksum = tcp;
        options.OffloadIpVersion4UdpChecksum = !tcp;
        options.OffloadIpVersion4LargePacket = large;
    } else {
        options.OffloadIpVersion6TcpChecksum = tcp;
        options.OffloadIpVersion6UdpChecksum = !tcp;
        options.OffloadIpVersion6LargePacket = large;
    }
    return options;
}

static void assert_sent(size_t length, size_t payload)
{
    XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO info = vif_client_await_sent();

    ck_assert_uint_eq(info.Status, XENVIF_TRANSMITTER_PACKET_OK);
    ck_assert_uint_eq(info.Type, ETHERNET_ADDRESS_UNICAST);
    ck_assert_uint_eq(info.PacketLength, length);
    ck_assert_uint_eq(info.PayloadLength, payload);
}

/* The headers of what came lie in one slot. */
static void assert_pulled_up(void)
{
    struct inet_layout layout;

    ck_assert(inet_parse(got.data, got.length, &layout));
    ck_assert_uint_ge(got.first, layout.payload);
    ck_assert_uint_le(got.slots, 18);
}

static size_t insert_tag(uint8_t *bytes, size_t length, uint16_t tci)
{
    memmove(bytes + 16, bytes + 12, length - 12);
    inet_put16(bytes + 12, 0x8100);
    inet_put16(bytes + 14, tci);
    return length + 4;
}

/* A packet that fits into a frame, its checksums left to the driver. */
static void carry_one(unsigned features, const struct inet_packet *packet, bool tag)
{
    size_t length = inet_make(wanted, packet), wanted_length = length;
    struct vif_client_packet send = {.data = frame, .length = length, .options = options_for(packet, false)};
    struct inet_layout layout;

    ck_assert(inet_parse(wanted, length, &layout));
    memcpy(frame, wanted, length);
    inet_put16(inet_checksum_field(frame, &layout), 0x5555);
    if (packet->version == 4)
        inet_put16(frame + layout.ip + 10, 0x6666);
    if (leaves_checksum(features, packet->version))
        inet_make_blank(wanted, length);
    if (tag) {
        send.options.OffloadTagManipulation = 1;
        send.tci = 3 << 13 | 77;
        wanted_length = insert_tag(wanted, length, send.tci);
    }
    ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
    vif_backend_await(&got, NETIF_RSP_OKAY);
    assert_sent(length, length - layout.payload);
    ck_assert_uint_eq(got.length, wanted_length);
    ck_assert_mem_eq(got.data, wanted, wanted_length);
    ck_assert_uint_eq(got.flags & BLANK, leaves_checksum(features, packet->version) ? BLANK : 0);
    ck_assert_uint_eq(got.gso_type, 0);
    if (!leaves_checksum(features, packet->version))
        ck_assert_ptr_null(inet_fault(got.data, got.length));
    assert_pulled_up();
    if (!(features & SG))
        ck_assert_uint_eq(got.slots, 1);
}

/* A client's own checksums stay as they are, right or wrong. */
static void carry_as_is(unsigned features, const struct inet_packet *packet)
{
    size_t length = inet_make(frame, packet);
    struct vif_client_packet send = {.data = frame, .length = length};
    struct inet_layout layout;

    ck_assert(inet_parse(frame, length, &layout));
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        inet_put16(inet_checksum_field(frame, &layout),
                   (uint16_t)(inet_get16(inet_checksum_field(frame, &layout)) + wrong));
        ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
        vif_backend_await(&got, NETIF_RSP_OKAY);
        assert_sent(length, length - layout.payload);
        ck_assert_uint_eq(got.length, length);
        ck_assert_mem_eq(got.data, frame, length);
        ck_assert_uint_eq(got.flags & BLANK, 0);
        if (!(features & SG))
            ck_assert_uint_eq(got.slots, 1);
    }
}

/* Whose tag a large packet has: none, the client's own in its bytes, one that the driver puts in. */
static enum { UNTAGGED, ITS_OWN, INSERTED, TAGS } tags;
#define LARGE_TCI (6u << 13 | 4094u)
#define INET_TCI (5u << 13 | 42u) /* of inet_make() */

static void assert_tag(void)
{
    if (tags == UNTAGGED) {
        ck_assert_uint_ne(inet_get16(got.data + 12), 0x8100);
        return;
    }
    ck_assert_uint_eq(inet_get16(got.data + 12), 0x8100);
    ck_assert_uint_eq(inet_get16(got.data + 14), tags == INSERTED ? LARGE_TCI : INET_TCI);
}

/* The segments, one by one: right by themselves, and together the packet. */
static void take_segments(unsigned features, const struct inet_packet *packet, const struct inet_layout *large,
                          unsigned mss)
{
    bool checksum = !leaves_checksum(features, packet->version);
    size_t done = 0;

    for (unsigned k = 0; done < packet->payload; k++) {
        struct inet_layout layout;
        size_t payload;
        unsigned flags;

        vif_backend_await(&got, NETIF_RSP_OKAY);
        ck_assert(inet_parse(got.data, got.length, &layout));
        assert_tag();
        ck_assert_uint_eq(got.gso_type, 0);
        if (checksum || !(got.flags & NETTXF_csum_blank))
            ck_assert_msg(inet_fault(got.data, got.length) == NULL, "segment %u: %s", k,
                          inet_fault(got.data, got.length));
        payload = got.length - layout.payload;
        ck_assert_uint_eq(payload, packet->payload - done < mss ? packet->payload - done : mss);
        ck_assert_mem_eq(got.data + layout.payload, frame + large->payload + done, payload);
        ck_assert_uint_eq(inet_get32(got.data + layout.transport + 4), packet->sequence + (uint32_t)done);
        done += payload;
        flags = packet->flags & ~((done < packet->payload ? INET_FIN | INET_PSH : 0) | (k != 0 ? INET_CWR : 0));
        ck_assert_uint_eq(got.data[layout.transport + 13], flags);
        if (packet->version == 4)
            ck_assert_uint_eq(inet_get16(got.data + layout.ip + 4), (uint16_t)(packet->id + k));
        assert_pulled_up();
        if (!(features & SG))
            ck_assert_uint_eq(got.slots, 1);
    }
}

static void carry_large(unsigned features, const struct inet_packet *packet, unsigned mss, size_t piece, size_t skew)
{
    size_t length = inet_make(frame, packet), wanted_length = length;
    struct vif_client_packet send = {.data = frame,
                                     .length = length,
                                     .options = options_for(packet, true),
                                     .mss = (uint16_t)mss,
                                     .piece = piece,
                                     .skew = skew};
    struct inet_layout layout, large;

    ck_assert(inet_parse(frame, length, &large));
    memcpy(wanted, frame, length);
    /* As a stack leaves them: the total length is nobody's business, the checksum a part of one. */
    inet_put16(inet_checksum_field(frame, &large), 0x1234);
    inet_put16(frame + large.ip + (packet->version == 4 ? 2 : 4), 0);
    if (tags == INSERTED) {
        send.options.OffloadTagManipulation = 1;
        send.tci = LARGE_TCI;
    }
    ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
    if (leaves_cutting(features, packet->version) && packet->payload > mss) {
        vif_backend_await(&got, NETIF_RSP_OKAY);
        inet_make_blank(wanted, length);
        if (tags == INSERTED)
            wanted_length = insert_tag(wanted, length, LARGE_TCI);
        ck_assert_uint_eq(got.length, wanted_length);
        ck_assert_mem_eq(got.data, wanted, wanted_length);
        ck_assert_uint_eq(got.flags & BLANK, BLANK);
        ck_assert_uint_eq(got.gso_type, packet->version == 4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6);
        ck_assert_uint_eq(got.gso_size, mss);
        ck_assert(inet_parse(got.data, got.length, &layout));
        assert_pulled_up();
    } else {
        take_segments(features, packet, &large, mss);
    }
    assert_sent(length, length - large.payload);
    ck_assert(!vif_backend_take(&got, NETIF_RSP_OKAY));
}

static const struct inet_packet small[] = {
    {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 1448, .tcp_options = 12},
    {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 0},
    {.version = 4, .protocol = INET_UDP, .payload = 101, .ip_options = 8},
    {.version = 6, .protocol = INET_TCP, .flags = INET_ACK | INET_PSH, .payload = 3, .ip_options = 16},
    {.version = 6, .protocol = INET_UDP, .payload = 1452},
};

static const struct large_case {
    struct inet_packet packet;
    unsigned mss;
    size_t piece, skew;
} larges[] = {
    {{.payload = 64000, .flags = INET_ACK | INET_PSH, .tcp_options = 12, .sequence = 0xFFFFFF00}, 1448, 0, 0},
    {{.payload = 9000, .flags = INET_ACK | INET_FIN | INET_CWR, .id = 0xFFFF}, 1460, 1000, 77},
    {{.payload = 1448, .flags = INET_ACK, .tcp_options = 12}, 1448, 0, 100}, /* one segment is no large packet */
    {{.payload = 20480, .flags = INET_ACK, .ip_options = 8}, 1400, 4096, 0},
};

static void every_combination(void *unused)
{
    (void)unused;
    begin(0);
    for (unsigned features = 0; features < COMBINATIONS; features++) {
        if (features != 0) {
            say(features);
            vif_backend_disconnect();
            vif_client_await_link(false);
            vif_backend_connect();
            vif_client_await_link(true);
        }
        for (unsigned i = 0; i < ARRAYSIZE(small); i++) {
            carry_one(features, &small[i], false);
            carry_one(features, &small[i], true);
            carry_as_is(features, &small[i]);
        }
        for (unsigned i = 0; i < TAGS * ARRAYSIZE(larges); i++) {
            const struct large_case *large = &larges[i / TAGS];
            struct inet_packet packet = large->packet;

            tags = i % TAGS;
            packet.tagged = tags == ITS_OWN;
            packet.protocol = INET_TCP;
            packet.version = 4;
            carry_large(features, &packet, large->mss, large->piece, large->skew);
            /* The longer header leaves less room in a frame. */
            packet.version = 6;
            packet.payload -= packet.payload == large->mss ? 20 : 0;
            carry_large(features, &packet, large->mss - 20, large->piece, large->skew);
        }
    }
    vif_client_finish();
}

START_TEST(combinations)
{
    static const struct stack_options options = {PLAYED};

    stack_run(&options, every_combination, NULL);
}
END_TEST

/* ---- features of a backend that has changed before the client came ---- */

static void say_split(unsigned features, bool split)
{
    char list[256];

    write_features(list, sizeof(list), features);
    snprintf(list + strlen(list), sizeof(list) - strlen(list), ",feature-split-event-channels=%d", split);
    vif_backend_features(list);
}

/* The frontend has seen one backend at InitWait; what it connects to is another. */
static void changed_while_prepared(void *to_all)
{
    const unsigned all = SG | CSUM4 | CSUM6 | GSO4 | GSO6;
    const unsigned features = to_all != NULL ? all : 0;
    struct inet_packet packet = {.protocol = INET_TCP, .flags = INET_ACK, .payload = 9000};
    char value[8];

    say_split(all & ~features, to_all == NULL);
    vif_client_acquire();
    stack_store_await(stack_path("device/vif/1/state"), "1", 5000);
    stack_sleep_us(100000);
    say_split(features, false);
    vif_client_enable();
    stack_store_await(stack_path("device/vif/1/state"), "4", 5000);
    ck_assert(stack_store_read(stack_path("device/vif/1/event-channel"), value, sizeof(value)));
    ck_assert(!stack_store_read(stack_path("device/vif/1/event-channel-tx"), value, sizeof(value)));
    vif_backend_connect();
    vif_client_await_link(true);
    for (unsigned i = 0; i < ARRAYSIZE(small); i++)
        carry_one(features, &small[i], false);
    for (packet.version = 4; packet.version <= 6; packet.version += 2)
        carry_large(features, &packet, 1400, 0, 0);
    vif_client_finish();
}

START_TEST(features_of_the_backend_that_is_connected_to)
{
    static const struct stack_options options = {PLAYED};

    stack_run(&options, changed_while_prepared, _i == 0 ? NULL : "all");
}
END_TEST

/* ---- chains of any shape ---- */

static void shapes_scenario(void *unused)
{
    static const size_t shapes[][3] = {/* first, piece, skew */
                                       {0, 1, 1},     {1, 0, 4095},  {13, 700, 4090}, {14, 4096, 0}, {33, 4096, 2},
                                       {53, 4097, 1}, {54, 4096, 0}, {100, 8192, 0},  {0, 3641, 5},  {4096, 4096, 0}};
    struct inet_packet packet = {.protocol = INET_TCP, .flags = INET_ACK, .payload = 65000};
    unsigned features = SG | CSUM4 | CSUM6 | GSO4 | GSO6;

    (void)unused;
    begin(features);
    for (unsigned i = 0; i < ARRAYSIZE(shapes); i++) {
        for (packet.version = 4; packet.version <= 6; packet.version += 2) {
            size_t length;
            struct inet_layout at;
            struct vif_client_packet send = {.data = frame, .ahead = i % 3 == 0 ? 0 : 200 * i};

            packet.seed = i;
            packet.payload = shapes[i][1] == 1 ? 2000 : 65000;
            length = inet_make(frame, &packet);
            ck_assert(inet_parse(frame, length, &at));
            send.length = length;
            send.options = options_for(&packet, true);
            send.mss = 1440;
            send.first = shapes[i][0];
            send.piece = shapes[i][1];
            send.skew = shapes[i][2];
            ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
            vif_backend_await(&got, NETIF_RSP_OKAY);
            inet_make_blank(frame, length);
            ck_assert_uint_eq(got.length, length);
            ck_assert_mem_eq(got.data, frame, length);
            assert_pulled_up();
            assert_sent(length, length - at.payload);
        }
    }
    vif_client_finish();
}

START_TEST(fb12_chains_of_any_shape)
{
    static const struct stack_options options = {PLAYED};

    stack_run(&options, shapes_scenario, NULL);
}
END_TEST

/* ---- what is offered, and what is refused ---- */

static NTSTATUS try(const struct inet_packet *packet, uint16_t bits, uint16_t mss, uint16_t tci)
{
    struct vif_client_packet send = {.data = frame, .length = inet_make(frame, packet), .mss = mss, .tci = tci};
    NTSTATUS status;

    send.options.Value = bits;
    status = vif_client_send(&send);
    if (NT_SUCCESS(status)) {
        vif_backend_await(&got, NETIF_RSP_OKAY);
        (void)vif_client_await_sent();
    }
    return status;
}

STACK_TEST(options, PLAYED)
{
    const struct inet_packet tcp4 = {.version = 4, .protocol = INET_TCP, .payload = 1000};
    const struct inet_packet tcp6 = {.version = 6, .protocol = INET_TCP, .payload = 1000};
    const struct inet_packet udp4 = {.version = 4, .protocol = INET_UDP, .payload = 1000};
    const struct inet_packet udp6 = {.version = 6, .protocol = INET_UDP, .payload = 1000};
    const struct inet_packet tagged4 = {.version = 4, .protocol = INET_TCP, .payload = 1000, .tagged = true};
    const struct inet_packet *const all[] = {&tcp4, &tcp6, &udp4, &udp6, &tagged4};
    static const struct {
        uint16_t bit;
        unsigned right; /* of the five */
    } bits[] = {
        {OPTION(OffloadIpVersion4HeaderChecksum), 0x15}, {OPTION(OffloadIpVersion4TcpChecksum), 0x11},
        {OPTION(OffloadIpVersion4UdpChecksum), 0x04},    {OPTION(OffloadIpVersion6TcpChecksum), 0x02},
        {OPTION(OffloadIpVersion6UdpChecksum), 0x08},    {OPTION(OffloadTagManipulation), 0x0F},
    };
    XENVIF_VIF_OFFLOAD_OPTIONS offered;
    ULONG size;

    begin(SG | CSUM4);
    XENVIF_VIF_CALL(&vif_client, TransmitterQueryOffloadOptions, &offered);
    ck_assert_uint_eq(offered.Value, 0xFF);
    for (unsigned version = 0; version < 10; version++) {
        XENVIF_VIF_CALL(&vif_client, TransmitterQueryLargePacketSize, (UCHAR)version, &size);
        ck_assert_uint_eq(size, version == 4 || version == 6 ? 65275 : 0);
    }

    for (unsigned i = 0; i < ARRAYSIZE(bits); i++)
        for (unsigned k = 0; k < ARRAYSIZE(all); k++)
            ck_assert_int_eq(try(all[k], bits[i].bit, 0, 0),
                             bits[i].right & 1u << k ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER);

    ck_assert_int_eq(try(&tcp4, OPTION(NeedChecksumValue), 0, 0), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(try(&tcp4, OPTION(NeedLargePacketSplit), 0, 0), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(try(&tcp4, 0x8000, 0, 0), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(try(&tcp4, 0, 1448, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&tcp4, OPTION(OffloadIpVersion4TcpChecksum), 1448, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&tcp4, 0, 0, 77), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&tcp4, OPTION(OffloadIpVersion4LargePacket), 0, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&udp4, OPTION(OffloadIpVersion4LargePacket), 500, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&tcp6, OPTION(OffloadIpVersion4LargePacket), 500, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&tcp4, OPTION(OffloadIpVersion6LargePacket), 500, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&tcp4, OPTION(OffloadIpVersion4LargePacket) | OPTION(OffloadIpVersion6LargePacket), 500, 0),
                     STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(try(&tcp4, OPTION(OffloadTagManipulation), 0, 0), STATUS_SUCCESS);
    ck_assert(!vif_backend_take(&got, NETIF_RSP_OKAY));
    vif_client_finish();
}

/* ---- sizes ---- */

STACK_TEST(sizes, PLAYED)
{
    struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 1461};
    struct vif_client_packet send = {.data = frame};

    begin(SG | CSUM4 | GSO4);
    ck_assert_int_eq(try(&packet, 0, 0, 0), STATUS_INVALID_PARAMETER); /* a byte too long */
    packet.payload = 1460;
    ck_assert_int_eq(try(&packet, 0, 0, 0), STATUS_SUCCESS);
    ck_assert_int_eq(try(&packet, OPTION(OffloadTagManipulation), 0, 9), STATUS_SUCCESS);
    ck_assert_uint_eq(got.length, 1518);
    packet.tagged = true;
    ck_assert_int_eq(try(&packet, 0, 0, 0), STATUS_SUCCESS);
    packet.tagged = false;

    packet.payload = 65275;
    ck_assert_int_eq(try(&packet, OPTION(OffloadIpVersion4LargePacket), 1460, 0), STATUS_SUCCESS);
    ck_assert_uint_eq(got.length, 65275 + 54);
    ck_assert_int_eq(try(&packet, OPTION(OffloadIpVersion4LargePacket), 1461, 0), STATUS_INVALID_PARAMETER);
    packet.payload = 65276;
    ck_assert_int_eq(try(&packet, OPTION(OffloadIpVersion4LargePacket), 1460, 0), STATUS_INVALID_PARAMETER);

    for (send.length = 0; send.length < 14; send.length += 13)
        ck_assert_int_eq(vif_client_send(&send), STATUS_INVALID_PARAMETER);

    /* With a tag it is longer than any frame may be. */
    memset(frame + 54, 0, INET_FRAME_MAX - 54);
    send.length = INET_FRAME_MAX;
    send.options.Value = OPTION(OffloadTagManipulation);
    ck_assert_int_eq(vif_client_send(&send), STATUS_INVALID_PARAMETER);
    vif_client_finish();
}

/* A link in the chain that has nothing in it is none. */
STACK_TEST(empty_links, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 1000};
    struct vif_client_packet send = {.data = frame, .length = inet_make(frame, &kind), .empty = true};

    begin(SG);
    for (send.ahead = 0; send.ahead <= 100; send.ahead += 100) {
        ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
        vif_backend_await(&got, NETIF_RSP_OKAY);
        assert_sent(send.length, 1000);
        ck_assert_uint_eq(got.length, send.length);
        ck_assert_mem_eq(got.data, frame, send.length);
    }
    vif_client_finish();
}

/* IEEE 802.3 with SNAP has a length in the place of the type: no frame of it can be a large one. */
STACK_TEST(no_large_packet_with_a_length, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 1000};
    static uint8_t plain[INET_FRAME_MAX];
    struct vif_client_packet send = {.data = frame, .length = inet_make(plain, &kind) + 8};

    begin(SG | CSUM4 | GSO4);
    memcpy(frame, plain, 12);
    inet_put16(frame + 12, (uint16_t)(send.length - 14));
    memcpy(frame + 14, "\xAA\xAA\x03\x00\x00\x00", 6);
    memcpy(frame + 20, plain + 12, send.length - 20);
    ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
    vif_backend_await(&got, NETIF_RSP_OKAY);
    assert_sent(send.length, 1000);
    send.options = options_for(&kind, true);
    send.mss = 500;
    ck_assert_int_eq(vif_client_send(&send), STATUS_INVALID_PARAMETER);
    vif_client_finish();
}

/* ---- counters ---- */

static uint64_t counters[XENVIF_VIF_STATISTIC_COUNT];

static void assert_counters(void)
{
    for (unsigned i = 0; i < XENVIF_VIF_STATISTIC_COUNT; i++)
        ck_assert_msg(vif_client_statistic((XENVIF_VIF_STATISTIC)i) == counters[i], "counter %u is %llu, not %llu", i,
                      (unsigned long long)vif_client_statistic((XENVIF_VIF_STATISTIC)i),
                      (unsigned long long)counters[i]);
}

#define COUNT(name, value) counters[XENVIF_TRANSMITTER_##name] += (value)

static bool validates;

static void count_packets(void *unused)
{
    struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 100};
    size_t length;

    (void)unused;
    begin(SG | CSUM4);
    memset(counters, 0, sizeof(counters));
    length = inet_make(frame, &packet);

    ck_assert_int_eq(try(&packet, 0, 0, 0), STATUS_SUCCESS);
    COUNT(UNICAST_PACKETS, 1);
    COUNT(UNICAST_OCTETS, length);
    COUNT(IPV4_PACKETS, 1);
    COUNT(TCP_PACKETS, 1);
    if (validates) {
        COUNT(IPV4_CHECKSUM_SUCCEEDED, 1);
        COUNT(TCP_CHECKSUM_SUCCEEDED, 1);
    } else {
        COUNT(IPV4_CHECKSUM_NOT_VALIDATED, 1);
        COUNT(TCP_CHECKSUM_NOT_VALIDATED, 1);
    }
    assert_counters();

    ck_assert_int_eq(try(&packet, OPTION(OffloadIpVersion4TcpChecksum) | OPTION(OffloadTagManipulation), 0, 5),
                     STATUS_SUCCESS);
    COUNT(UNICAST_PACKETS, 1);
    COUNT(UNICAST_OCTETS, length);
    COUNT(TAGGED_PACKETS, 1);
    COUNT(IPV4_PACKETS, 1);
    COUNT(TCP_PACKETS, 1);
    if (validates)
        COUNT(IPV4_CHECKSUM_SUCCEEDED, 1);
    else
        COUNT(IPV4_CHECKSUM_NOT_VALIDATED, 1);
    COUNT(TCP_CHECKSUM_SUCCEEDED, 1);
    assert_counters();

    /* A large packet is one packet, whoever cuts it. */
    packet.version = 6;
    packet.payload = 3000;
    length = inet_make(frame, &packet);
    {
        struct vif_client_packet send = {
            .data = frame, .length = length, .options = options_for(&packet, true), .mss = 1000};

        ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
        for (unsigned i = 0; i < 3; i++)
            vif_backend_await(&got, NETIF_RSP_OKAY);
        assert_sent(length, 3000);
    }
    COUNT(UNICAST_PACKETS, 1);
    COUNT(UNICAST_OCTETS, length);
    COUNT(IPV6_PACKETS, 1);
    COUNT(TCP_PACKETS, 1);
    COUNT(GSO_PACKETS, 1);
    COUNT(TCP_CHECKSUM_SUCCEEDED, 1);
    assert_counters();

    /* Wrong ones, to a group and to all. */
    packet = (struct inet_packet){.version = 4, .protocol = INET_UDP, .payload = 60};
    length = inet_make(frame, &packet);
    for (unsigned kind = 0; kind < 2; kind++) {
        struct vif_client_packet send = {.data = frame, .length = length};

        memcpy(frame, kind == 0 ? "\x01\x00\x5e\x00\x00\x01" : "\xff\xff\xff\xff\xff\xff", 6);
        frame[length - 1] ^= 1;
        ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
        vif_backend_await(&got, NETIF_RSP_OKAY);
        ck_assert_uint_eq(vif_client_await_sent().Type,
                          kind == 0 ? ETHERNET_ADDRESS_MULTICAST : ETHERNET_ADDRESS_BROADCAST);
        COUNT(IPV4_PACKETS, 1);
        COUNT(UDP_PACKETS, 1);
        if (validates) {
            COUNT(IPV4_CHECKSUM_SUCCEEDED, 1);
            counters[kind == 0 ? XENVIF_TRANSMITTER_UDP_CHECKSUM_FAILED : XENVIF_TRANSMITTER_UDP_CHECKSUM_SUCCEEDED]++;
        } else {
            COUNT(IPV4_CHECKSUM_NOT_VALIDATED, 1);
            COUNT(UDP_CHECKSUM_NOT_VALIDATED, 1);
        }
        counters[kind == 0 ? XENVIF_TRANSMITTER_MULTICAST_PACKETS : XENVIF_TRANSMITTER_BROADCAST_PACKETS]++;
        counters[kind == 0 ? XENVIF_TRANSMITTER_MULTICAST_OCTETS : XENVIF_TRANSMITTER_BROADCAST_OCTETS] += length;
        assert_counters();
    }

    /* UDP without a checksum, which IPv4 has and IPv6 has not. */
    for (packet.version = 4; packet.version <= 6; packet.version += 2) {
        struct vif_client_packet send = {.data = frame, .length = length = inet_make(frame, &packet)};
        struct inet_layout layout;

        ck_assert(inet_parse(frame, length, &layout));
        inet_put16(inet_checksum_field(frame, &layout), 0);
        ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
        vif_backend_await(&got, NETIF_RSP_OKAY);
        (void)vif_client_await_sent();
        COUNT(UNICAST_PACKETS, 1);
        COUNT(UNICAST_OCTETS, length);
        COUNT(UDP_PACKETS, 1);
        if (packet.version == 4) {
            COUNT(IPV4_PACKETS, 1);
            counters[validates ? XENVIF_TRANSMITTER_IPV4_CHECKSUM_SUCCEEDED
                               : XENVIF_TRANSMITTER_IPV4_CHECKSUM_NOT_VALIDATED]++;
        } else {
            COUNT(IPV6_PACKETS, 1);
        }
        counters[validates && packet.version == 6 ? XENVIF_TRANSMITTER_UDP_CHECKSUM_FAILED
                                                  : XENVIF_TRANSMITTER_UDP_CHECKSUM_NOT_VALIDATED]++;
        assert_counters();
    }

    /* What the backend drops or refuses, of a packet of three frames: the worst answer is the packet's. */
    for (unsigned kind = 0; kind < 2; kind++) {
        struct inet_packet big = {.version = 6, .protocol = INET_TCP, .payload = 3000};
        struct vif_client_packet send = {
            .data = frame, .length = inet_make(frame, &big), .options = options_for(&big, true), .mss = 1000};

        ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
        for (unsigned i = 0; i < 3; i++)
            vif_backend_await(&got, i != 1 ? NETIF_RSP_OKAY : kind == 0 ? NETIF_RSP_DROPPED : NETIF_RSP_ERROR);
        ck_assert_uint_eq(vif_client_await_sent().Status,
                          kind == 0 ? XENVIF_TRANSMITTER_PACKET_DROPPED : XENVIF_TRANSMITTER_PACKET_ERROR);
        counters[kind == 0 ? XENVIF_TRANSMITTER_PACKETS_DROPPED : XENVIF_TRANSMITTER_BACKEND_ERRORS]++;
        assert_counters();
    }
    vif_client_finish();
}

static void set_validation(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenvif\\Parameters"), "TransmitterValidateChecksums", validates);
}

START_TEST(counts)
{
    static const struct stack_options options = {PLAYED, .prepare = set_validation};

    validates = _i != 0;
    stack_run(&options, count_packets, NULL);
}
END_TEST

/* ---- connections that end in the middle ---- */

/* More segments than the ring has room for, and the backend goes: nothing of the packet is seen twice. */
STACK_TEST(cut_off, PLAYED)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 60000, .flags = INET_ACK};
    const struct inet_packet next = {.version = 4, .protocol = INET_UDP, .payload = 10};
    struct vif_client_packet send = {.data = frame, .options = options_for(&packet, true), .mss = 100};
    struct inet_layout layout;
    XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO info;

    begin(CSUM4);
    send.length = inet_make(frame, &packet);
    ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
    for (unsigned i = 0; i < 100; i++) {
        vif_backend_await(&got, NETIF_RSP_OKAY);
        ck_assert(inet_parse(got.data, got.length, &layout));
        ck_assert_uint_eq(inet_get32(got.data + layout.transport + 4), 100 * i);
    }
    ck_assert(!vif_client_is_back());
    vif_backend_disconnect();
    info = vif_client_await_sent();
    ck_assert_uint_eq(info.Status, XENVIF_TRANSMITTER_PACKET_DROPPED);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_PACKETS_DROPPED), 1);
    vif_client_await_link(false);
    vif_backend_connect();
    vif_client_await_link(true);
    ck_assert_int_eq(try(&next, 0, 0, 0), STATUS_SUCCESS);
    ck_assert(inet_parse(got.data, got.length, &layout));
    ck_assert_uint_eq(layout.protocol, INET_UDP);

    /* And the client goes. */
    send.length = inet_make(frame, &packet);
    ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
    vif_backend_await(&got, NETIF_RSP_OKAY);
    vif_client_disable();
    ck_assert(vif_client_is_back());
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_DROPPED);
    vif_client_release();
    vif_backend_end();
}

/* ---- rows ---- */

#define ROW 32u /* packets of a row after which the backend is told */

static void assert_next(const struct vif_client_packet *packet)
{
    vif_backend_await(&got, NETIF_RSP_OKAY);
    ck_assert_uint_eq(got.length, packet->length);
    ck_assert_mem_eq(got.data, frame, got.length);
}

/* Nothing more is there, after a while either. */
static void assert_held_back(void)
{
    stack_sleep_us(20000);
    ck_assert(!vif_backend_take(&got, NETIF_RSP_OKAY));
}

/*
 * While more is to follow the backend is not told of each packet: of all at the end, however that comes, or of many. Or
 * by a round of the poller's that another event has asked for: with processors of their own such a round may come after
 * the packet before is back.
 */
STACK_TEST(rows, PLAYED, .engine = ENGINE_DETERMINISTIC)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 100};
    struct vif_client_packet packet = {.data = frame, .more = true};
    struct vif_client_packet last = {.data = frame}, bad = {.data = frame, .length = 10};

    begin(SG);
    packet.length = last.length = inet_make(frame, &kind);
    for (unsigned end = 0; end < 3; end++) {
        ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
        assert_held_back();
        switch (end) {
        case 0: /* the last one */
            ck_assert_int_eq(vif_client_repeat(&last), STATUS_SUCCESS);
            assert_next(&last);
            break;
        case 1: /* one that is not taken, whatever was to follow it */
            bad.more = true;
            ck_assert_int_eq(vif_client_repeat(&bad), STATUS_INVALID_PARAMETER);
            break;
        default: /* so many that they are a row by themselves */
            for (unsigned i = 2; i < ROW; i++)
                ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
            for (unsigned i = 2; i < ROW; i++)
                assert_next(&packet);
            break;
        }
        assert_next(&packet);
        assert_next(&packet);
        ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
        assert_held_back();
    }
    vif_client_finish();
}

/* Of large packets the backend is told when they take a quarter of the ring, and of those that fill it, then. */
STACK_TEST(row_that_fills_the_ring, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 60000 - 42};
    struct vif_client_packet packet = {.data = frame, .piece = 5000, .more = true};
    const unsigned quarter = 64 / 15 + 1, all = 256 / 15; /* of 15 pages each */

    say(SG);
    stack_store_write(stack_path("device/vif/1/mtu"), "65521");
    vif_client_begin();
    packet.length = inet_make(frame, &kind);
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (unsigned i = 1; i < quarter - 1; i++)
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    assert_held_back();
    ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    for (unsigned i = 0; i < quarter; i++)
        assert_next(&packet);
    for (unsigned i = 0; i <= all; i++) /* the last one has no room */
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    for (unsigned i = 0; i <= all; i++)
        assert_next(&packet);
    ck_assert_uint_eq(got.slots, 15);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    vif_client_finish();
}

/* The packet that has no room is ready for this connection when that ends, and goes by the next one. */
STACK_TEST(room_that_comes_with_a_connection, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 60000 - 42};
    struct vif_client_packet packet = {.data = frame, .piece = 5000};
    const unsigned all = 256 / 15;

    say(SG);
    stack_store_write(stack_path("device/vif/1/mtu"), "65521");
    vif_client_begin();
    packet.length = inet_make(frame, &kind);
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (unsigned i = 1; i <= all; i++)
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    vif_backend_disconnect();
    vif_client_await_link(false);
    ck_assert(!vif_client_is_back());
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_PACKETS_DROPPED), all);
    vif_backend_connect();
    vif_client_await_link(true);
    assert_next(&packet);
    ck_assert_uint_eq(got.slots, 15);
    assert_held_back();
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    vif_client_finish();
}

/* What the backend has not been told of when the connection ends has not been sent. */
STACK_TEST(row_that_is_cut_off, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 100};
    struct vif_client_packet packet = {.data = frame, .more = true};
    struct vif_client_packet last = {.data = frame};

    begin(SG);
    packet.length = last.length = inet_make(frame, &kind);
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    vif_backend_disconnect();
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_DROPPED);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_PACKETS_DROPPED), 2);
    vif_client_await_link(false);
    vif_backend_connect();
    vif_client_await_link(true);
    ck_assert_int_eq(vif_client_send(&last), STATUS_SUCCESS);
    assert_next(&last);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    assert_held_back();
    vif_client_finish();
}

/* ---- in place, or copied ---- */

/*
 * What is granted in place is the client's memory: it does not get it back while the backend has a page of it mapped. A
 * copy is not the client's business. (Pages that a packet does not fill are copied always, as a backend without scatter
 * and gather has it.)
 */
static const struct policy_case {
    ULONG always_copy;
    unsigned features;
    size_t length;
    bool in_place;
} policies[] = {
    {0, SG, 12000, true},  {0, SG, 4095, false}, {0, 0, 4000, false},
    {1, SG, 12000, false}, {1, SG, 4095, false}, {1, 0, 4000, false},
};

static ULONG always_copy;

static void set_always_copy(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenvif\\Parameters"), "TransmitterAlwaysCopy", always_copy);
}

static void keep_a_packet(void *argument)
{
    const struct policy_case *policy = argument;
    struct vif_client_packet send = {.data = frame, .length = policy->length, .piece = 4096};
    const struct inet_packet packet = {.version = 4, .protocol = INET_UDP, .payload = policy->length - 42};

    stack_store_write(stack_path("device/vif/1/mtu"), policy->features & SG ? "20000" : "4078");
    begin(policy->features);
    ck_assert_uint_eq(inet_make(frame, &packet), policy->length);
    vif_backend_keep();
    ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
    vif_backend_await(&got, NETIF_RSP_OKAY);
    ck_assert_uint_eq(got.length, policy->length);
    ck_assert_mem_eq(got.data, frame, policy->length);
    stack_sleep_us(50000);
    ck_assert_int_eq(vif_client_is_back(), !policy->in_place);
    vif_backend_release();
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    vif_client_finish();
}

START_TEST(granted_in_place_or_copied)
{
    static const struct stack_options options = {PLAYED, .prepare = set_always_copy, .quiet = true};
    struct policy_case policy = policies[_i];

    always_copy = policy.always_copy;
    stack_run(&options, keep_a_packet, &policy);
}
END_TEST

/*
 * A page is granted in place if all of it is the packet's, headers that go from a copy included. So many bytes of a
 * packet of two pages and a bit lie in its first MDL, from there in a page; in so many slots it goes.
 */
static const struct page_case {
    size_t first, skew;
    unsigned slots;
} page_cases[] = {
    {9000, 0, 4},    /* headers, two pages, the end */
    {9000, 1, 3},    /* a byte of the page is another's: one page in place between two copies */
    {9000, 2000, 3}, /* likewise */
    {42, 0, 4},      /* headers by themselves, two pages that begin behind them, the end */
    {42, 20, 4},     /* what is in front of the second MDL is another's: two copies, a page in place, the end */
    {42, 100, 3},    /* likewise, and one copy takes it */
    {4096, 0, 4},    /* as the first, by MDLs of a page */
    {4096, 10, 3},   /* no page is filled */
};

STACK_TEST(pages_that_the_packet_fills, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 9000 - 42};

    stack_store_write(stack_path("device/vif/1/mtu"), "9000");
    begin(SG);
    for (unsigned i = 0; i < ARRAYSIZE(page_cases); i++) {
        struct vif_client_packet send = {.data = frame, .first = page_cases[i].first, .skew = page_cases[i].skew};

        send.piece = send.first == 4096 ? 4096 : 0;
        send.length = inet_make(frame, &kind);
        ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
        vif_backend_await(&got, NETIF_RSP_OKAY);
        ck_assert_uint_eq(got.length, send.length);
        ck_assert_mem_eq(got.data, frame, send.length);
        ck_assert_msg(got.slots == page_cases[i].slots, "case %u: %u slots", i, got.slots);
        ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    }
    vif_client_finish();
}

int main(void)
{
    Suite *suite = suite_create("VIF transmit offloads");
    TCase *tcase = tcase_create("offloads");

    tcase_add_test(tcase, combinations);
    tcase_add_loop_test(tcase, features_of_the_backend_that_is_connected_to, 0, 2);
    tcase_add_test(tcase, fb12_chains_of_any_shape);
    tcase_add_test(tcase, options);
    tcase_add_test(tcase, sizes);
    tcase_add_test(tcase, empty_links);
    tcase_add_test(tcase, no_large_packet_with_a_length);
    tcase_add_loop_test(tcase, counts, 0, 2);
    tcase_add_test(tcase, cut_off);
    tcase_add_test(tcase, rows);
    tcase_add_test(tcase, row_that_fills_the_ring);
    tcase_add_test(tcase, room_that_comes_with_a_connection);
    tcase_add_test(tcase, row_that_is_cut_off);
    tcase_add_test(tcase, pages_that_the_packet_fills);
    tcase_add_loop_test(tcase, granted_in_place_or_copied, 0, ARRAYSIZE(policies));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
