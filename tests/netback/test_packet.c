/* Packets as netback and its checker see them: headers, checksums, segments, hashes, and the words for features. */
#include "common/backend.h"
#include "common/inet.h"

#include "packet.h"
#include "toeplitz.h"

#include <arpa/inet.h>

#include "dom0/heap.h"

#define LAN "tests/captures/lan-wire.pcap"
#define OFFLOAD "tests/captures/lan-offload.pcap"

static struct capture *load(const char *path)
{
    char error[CAPTURE_ERROR_MAX] = "";
    struct capture *capture = capture_load(path, error);

    ck_assert_msg(capture != NULL, "%s", error);
    return capture;
}

/* ---- headers and checksums ---- */

GUEST_TEST(checksums_of_real_traffic_are_found_right)
{
    struct capture *lan = load(LAN);
    unsigned with = 0, without = 0;

    for (unsigned i = 0; i < lan->count; i++) {
        const struct port_frame *frame = &lan->frame[i];
        uint8_t *copy = malloc(frame->length);
        struct packet packet;

        memcpy(copy, frame->data, frame->length);
        packet_parse(copy, frame->length, &packet);
        ck_assert_uint_eq(frame->checksum, PORT_CHECKSUM_NONE);
        if (packet.version == 4)
            ck_assert(packet_header_is_right(copy, &packet));
        with += packet.checksum != 0;
        without += packet.checksum == 0;
        if (packet.checksum) {
            ck_assert(packet_is_right(copy, &packet));
            copy[packet.end - 1] ^= 1;
            ck_assert(!packet_is_right(copy, &packet));
            copy[packet.end - 1] ^= 1;
            packet_set_partial(copy, &packet);
            ck_assert(packet_is_partial(copy, &packet));
            packet_complete(copy, &packet, copy + packet.payload, packet.end - packet.payload);
            ck_assert_mem_eq(copy, frame->data, frame->length);
        }
        free(copy);
    }
    ck_assert_uint_eq(with, 1098); /* TCP in whole packets; the rest are ARP, ICMP and fragments */
    ck_assert_uint_eq(without, 34);
    capture_free(lan);
}

GUEST_TEST(frames_left_to_a_card_are_known)
{
    struct capture *offload = load(OFFLOAD);
    unsigned blank = 0, large[3] = {0};

    for (unsigned i = 0; i < offload->count; i++) {
        const struct port_frame *frame = &offload->frame[i];

        blank += frame->checksum == PORT_CHECKSUM_BLANK;
        large[frame->gso]++;
        if (frame->length > 1514)
            ck_assert_uint_eq(frame->gso_size, frame->gso == PORT_GSO_TCPV4 ? 1448 : 1428);
    }
    ck_assert_uint_eq(blank, 170);
    ck_assert_uint_eq(large[PORT_GSO_TCPV4], 32);
    ck_assert_uint_eq(large[PORT_GSO_TCPV6], 11);
    capture_free(offload);
}

/* A frame cut short anywhere, or with any one byte changed: nothing behind its end is looked at (by ASan) or found. */
GUEST_TEST(no_length_in_a_header_is_believed)
{
    struct capture *lan = load(LAN);
    struct packet packet;

    for (unsigned i = 0; i < lan->count; i += 9) {
        const struct port_frame *frame = &lan->frame[i];
        uint32_t limit = frame->length < 120 ? frame->length : 120;

        for (uint32_t length = 0; length < limit; length++) {
            uint8_t *copy = malloc(length ? length : 1);

            memcpy(copy, frame->data, length);
            packet_parse(copy, length, &packet);
            ck_assert(!packet.version || packet.end <= length);
            ck_assert(!packet.payload || packet.payload <= packet.end);
            packet_flow(copy, &packet);
            if (length >= 60) {
                copy[length - 46] ^= 0xff; /* an address, a length, a protocol, ... as the length goes on */
                packet_parse(copy, length, &packet);
                ck_assert(!packet.version || packet.end <= length);
                ck_assert(packet.payload <= PACKET_HEADERS_MAX);
                packet_flow(copy, &packet);
            }
            free(copy);
        }
    }
    capture_free(lan);
}

GUEST_TEST(extension_headers_and_tags_are_passed_over)
{
    uint8_t data[14 + 8 + 40 + 200 + 8 + 10] = {0};
    struct packet packet;
    uint8_t *ip = data + 22;

    packet_put16(data + 12, 0x88a8);
    packet_put16(data + 16, 0x8100);
    packet_put16(data + 20, 0x86dd);
    ip[0] = 0x60;
    packet_put16(ip + 4, 16 + 24 + 8 + 10);
    ip[6] = 0;   /* hop by hop, 16 bytes, then ... */
    ip[40] = 60; /* ... destination options, 24 bytes, then ... */
    ip[41] = 1;
    ip[56] = PACKET_UDP;
    ip[57] = 2;
    packet_parse(data, sizeof(data), &packet);
    ck_assert_uint_eq(packet.version, 6);
    ck_assert_uint_eq(packet.protocol, PACKET_UDP);
    ck_assert_uint_eq(packet.network, 22);
    ck_assert_uint_eq(packet.transport, 22 + 40 + 16 + 24);
    ck_assert_uint_eq(packet.payload, packet.transport + 8);
    ck_assert_uint_eq(packet.checksum, packet.transport + 6);
    ck_assert_uint_eq(packet.end, packet.payload + 10);
    ip[57] = 30; /* more than there is */
    packet_parse(data, sizeof(data), &packet);
    ck_assert_uint_eq(packet.payload, 0);
    ip[57] = 2;
    ip[40] = 44; /* a fragment has no ports that count */
    packet_parse(data, sizeof(data), &packet);
    ck_assert(packet.fragment);
    ck_assert_uint_eq(packet.checksum, 0);
    packet_put16(data + 16, 0x88a8); /* a third tag */
    packet_put16(data + 20, 0x8100);
    packet_parse(data, sizeof(data), &packet);
    ck_assert_uint_eq(packet.version, 0);
}

GUEST_TEST(a_udp_checksum_is_never_zero)
{
    uint8_t data[14 + 20 + 8 + 2] = {0};
    struct packet packet;

    packet_put16(data + 12, 0x0800);
    data[14] = 0x45;
    packet_put16(data + 16, 30);
    data[23] = PACKET_UDP;
    packet_parse(data, sizeof(data), &packet);
    packet_set_partial(data, &packet);
    packet_put16(data + 42, 0xffff - 17 - 10); /* makes the sum 0xffff */
    packet_complete(data, &packet, data + packet.payload, 2);
    ck_assert_uint_eq(packet_get16(data + packet.checksum), 0xffff);
    ck_assert(packet_is_right(data, &packet));
    packet_put16(data + packet.checksum, 0);
    ck_assert(packet_is_right(data, &packet)); /* none at all */
}

/* ---- segments ---- */

/* The segments of a frame, handed to the checker; one byte of one of them may be changed. */
static struct checker_verdict judge_segments(const struct capture *capture, unsigned changed_segment, uint32_t changed)
{
    struct checker *checker = checker_create(capture, "from a test", NULL);
    const struct port_frame *frame = &capture->frame[0];
    struct checker_verdict verdict;
    struct packet packet;
    uint32_t offset = 0, length;

    packet_parse(frame->data, frame->length, &packet);
    for (unsigned number = 0; packet.payload + offset < packet.end; number++, offset += length) {
        uint8_t segment[PACKET_HEADERS_MAX + 1500];

        length = packet.end - packet.payload - offset;
        length = length < frame->gso_size ? length : frame->gso_size;
        packet_segment(segment, frame->data, &packet, offset, length, number);
        memcpy(segment + packet.payload, frame->data + packet.payload + offset, length);
        packet_complete(segment, &packet, segment + packet.payload, length);
        if (number == changed_segment)
            segment[changed] ^= 0x10;
        checker_take(checker, &(struct port_frame){.data = segment, .length = packet.payload + length});
    }
    verdict = checker_verdict(checker);
    checker_destroy(checker);
    return verdict;
}

GUEST_TEST(a_large_frame_equals_its_segments)
{
    struct capture *offload = load(OFFLOAD);
    unsigned looked_at = 0;

    for (unsigned i = 0; i < offload->count; i++) {
        struct capture one = {.count = 1, .frame = &offload->frame[i]};
        struct packet packet;
        struct checker_verdict verdict;

        if (one.frame->gso == PORT_GSO_NONE)
            continue;
        verdict = judge_segments(&one, UINT32_MAX, 0);
        ck_assert_msg(verdict.good == 1 && !verdict.lost && !checker_bad(&verdict), "frame %u", i + 1);
        if (looked_at++ % 8)
            continue;
        /* No bit of any header, and no byte of data, goes unnoticed: in the first segment, the second and the last. */
        packet_parse(one.frame->data, one.frame->length, &packet);
        for (uint32_t at = 0; at < packet.payload + 3u; at++) {
            unsigned last = (packet.end - packet.payload - 1) / one.frame->gso_size;

            verdict = judge_segments(&one, at % 3 == 2 ? last : at % 3, at);
            ck_assert_msg(verdict.good == 0 && checker_bad(&verdict), "frame %u, byte %u", i + 1, at);
        }
    }
    ck_assert_uint_eq(looked_at, 43);
    capture_free(offload);
}

/* ---- segments that are missing, and others that nobody should take for those ---- */

#define CUT_FRAMES 3u
#define CUT_SEGMENTS 5u /* of each */
#define CUT_SIZE 1000u
#define CUT_DATA (4 * CUT_SIZE + 500)

/* Three frames of five segments: "abcde", "fghij" and "klmno". A capital letter is a segment that is damaged. */
static const struct cut {
    const char *segments;
    struct checker_verdict verdict;
} cuts[] = {
    {"abcdefghijklmno", {.good = 3}},
    /* a gap at the beginning */
    {"cdefghijklmno", {.good = 2, .lost = 1}},
    {"abcdeghijklmno", {.good = 2, .lost = 1}},
    {"abcdejklmno", {.good = 2, .lost = 1}},
    {"abcdefghijo", {.good = 2, .lost = 1}},
    /* in the middle */
    {"abcdefhijklmno", {.good = 2, .lost = 1}},
    {"abcdefhjklmno", {.good = 2, .lost = 1}},
    {"abdefghijklmno", {.good = 2, .lost = 1}},
    /* at the end */
    {"abcdfghijklmno", {.good = 2, .lost = 1}},
    {"abcdefghijk", {.good = 2, .lost = 1}},
    /* over the end of a frame, and over one in between */
    {"abcijklmno", {.good = 1, .lost = 2}},
    {"abcmno", {.lost = 3}},
    /* a segment that comes twice, without a gap and behind one */
    {"aabcdefghijklmno", {.good = 3, .extra = 1}},
    {"abcbdefghijklmno", {.good = 3, .extra = 1}},
    {"ababcdefghijklmno", {.good = 3, .extra = 2}},
    {"abcdeefghijklmno", {.good = 3, .extra = 1}},
    {"abcdefghijklmnoo", {.good = 3, .extra = 1}},
    {"abcdehhijklmno", {.good = 2, .lost = 1, .extra = 1}},
    {"abcdehihjklmno", {.good = 2, .lost = 1, .extra = 1}},
    {"abcdehdijklmno", {.good = 2, .lost = 1, .extra = 1}},
    {"abcdefhfijklmno", {.good = 2, .lost = 1, .extra = 1}},
    /* one that comes too late */
    {"acbdefghijklmno", {.good = 2, .reordered = 1}},
    {"bacdefghijklmno", {.good = 2, .reordered = 1}},
    {"abcdeihjklmno", {.good = 2, .reordered = 1}},
    {"abcdehjiklmno", {.good = 2, .reordered = 1}},
    {"abcdhegijklmno", {.good = 1, .reordered = 2}},
    {"abcdfeghijklmno", {.good = 2, .reordered = 1}},
    {"fghijabcdeklmno", {.good = 2, .reordered = 1}},
    {"abcdeklmnofghij", {.good = 2, .reordered = 1}},
    /* one that is damaged */
    {"abCdefghijklmno", {.good = 2, .corrupt = 1}},
    {"AbcdefghijklmNo", {.good = 1, .corrupt = 2}},
    {"abcdEfghijklmno", {.good = 2, .corrupt = 1}},
    {"abcdeHijklmno", {.good = 2, .corrupt = 1}},
    {"abcdefHijklmno", {.good = 2, .corrupt = 1}},
    {"abcdehIjklmno", {.good = 2, .corrupt = 1}},
    {"abcdehiJklmno", {.good = 2, .corrupt = 1}},
    {"abcdeJklmno", {.good = 2, .corrupt = 1}},
    {"ABCDEfghijklmno", {.good = 2, .corrupt = 1}},
    {"ABCDEFGHIJKLMNO", {.corrupt = 3}},
    /* and one that is damaged beside the right one */
    {"abCcdefghijklmno", {.good = 3, .extra = 1}},
    {"abCBcdefghijklmno", {.good = 3, .extra = 2}},
    {"abcdeEfghijklmno", {.good = 3, .extra = 1}},
};

enum damage { DAMAGED_DATA, DAMAGED_DATA_SUMMED, DAMAGED_SEQUENCE, DAMAGED_FLAGS, DAMAGES };

/* One segment, as a sender makes it, or damaged: but for the first kind with a checksum that is right. */
static void make_cut(uint8_t *segment, const struct port_frame *whole, unsigned number, bool damaged,
                     enum damage damage)
{
    uint32_t offset = number * CUT_SIZE, length = number == CUT_SEGMENTS - 1 ? 500 : CUT_SIZE;
    struct packet packet;

    packet_parse(whole->data, whole->length, &packet);
    packet_segment(segment, whole->data, &packet, offset, length, number);
    memcpy(segment + packet.payload, whole->data + packet.payload + offset, length);
    if (damaged && damage == DAMAGED_DATA_SUMMED)
        segment[packet.payload + 77] ^= 1;
    if (damaged && damage == DAMAGED_SEQUENCE)
        packet_put32(segment + packet.transport + 4, packet_get32(segment + packet.transport + 4) + CUT_SIZE);
    if (damaged && damage == DAMAGED_FLAGS)
        segment[packet.transport + 13] ^= 2; /* SYN */
    packet_complete(segment, &packet, segment + packet.payload, length);
    if (damaged && damage == DAMAGED_DATA)
        segment[packet.payload + 77] ^= 1;
}

static struct checker_verdict judge_cut(const struct capture *capture, const char *segments, enum damage damage,
                                        bool bytes_only)
{
    struct checker *checker = checker_create(capture, "from a test", NULL);
    struct checker_verdict verdict;

    for (; *segments; segments++) {
        bool damaged = *segments < 'a';
        unsigned number = (unsigned)(*segments - (damaged ? 'A' : 'a')), last = number % CUT_SEGMENTS + 1;
        const struct port_frame *whole = &capture->frame[number / CUT_SEGMENTS];
        uint32_t length = whole->length - CUT_DATA + (last == CUT_SEGMENTS ? 500 : CUT_SIZE);
        uint8_t segment[PACKET_HEADERS_MAX + CUT_SIZE];

        make_cut(segment, whole, last - 1, damaged, damage);
        if (bytes_only)
            checker_take_bytes(checker, segment, length);
        else
            checker_take(checker, &(struct port_frame){.data = segment, .length = length});
    }
    verdict = checker_verdict(checker);
    checker_destroy(checker);
    return verdict;
}

static void judge_cuts(unsigned version)
{
    static uint8_t data[CUT_FRAMES][100 + CUT_DATA];
    struct port_frame frame[CUT_FRAMES];
    struct capture capture = {.count = CUT_FRAMES, .frame = frame};

    for (unsigned i = 0; i < CUT_FRAMES; i++) {
        const struct inet_packet packet = {.version = version,
                                           .protocol = INET_TCP,
                                           .flags = INET_ACK | INET_PSH | INET_CWR,
                                           .sequence = UINT32_MAX - 6000 + i * CUT_DATA,
                                           .id = (uint16_t)(UINT16_MAX - 3 + i * CUT_SEGMENTS),
                                           .source_port = 1000,
                                           .destination_port = 2000,
                                           .payload = CUT_DATA,
                                           .seed = i};
        size_t length = inet_make(data[i], &packet);

        inet_make_blank(data[i], length);
        frame[i] = (struct port_frame){.data = data[i],
                                       .length = (uint32_t)length,
                                       .checksum = PORT_CHECKSUM_BLANK,
                                       .gso = version == 4 ? PORT_GSO_TCPV4 : PORT_GSO_TCPV6,
                                       .gso_size = CUT_SIZE};
    }
    for (unsigned i = 0; i < sizeof(cuts) / sizeof(cuts[0]) * DAMAGES * 2; i++) {
        const struct cut *cut = &cuts[i / 2 / DAMAGES];
        const struct checker_verdict now = judge_cut(&capture, cut->segments, i / 2 % DAMAGES, i % 2);

        ck_assert_msg(now.good == cut->verdict.good && now.lost == cut->verdict.lost &&
                          now.corrupt == cut->verdict.corrupt && now.reordered == cut->verdict.reordered &&
                          now.extra == cut->verdict.extra,
                      "IPv%u, %s, damage %u: %u good, %u lost, %u corrupt, %u reordered, %u extra", version,
                      cut->segments, i / 2 % DAMAGES, (unsigned)now.good, (unsigned)now.lost, (unsigned)now.corrupt,
                      (unsigned)now.reordered, (unsigned)now.extra);
    }
}

GUEST_TEST(segments_that_are_missing_are_no_others)
{
    judge_cuts(4);
    judge_cuts(6);
}

GUEST_TEST(a_blank_checksum_has_to_be_announced_or_completed)
{
    struct capture *offload = load(OFFLOAD);
    struct capture one = {.count = 1};
    struct packet packet;
    uint8_t bytes[1514];
    struct port_frame frame;
    struct checker *checker;
    struct checker_verdict verdict;
    unsigned i = 0;

    while (offload->frame[i].checksum != PORT_CHECKSUM_BLANK || offload->frame[i].gso != PORT_GSO_NONE)
        i++;
    one.frame = &offload->frame[i];
    frame = *one.frame;
    for (unsigned way = 0; way < 6; way++) {
        bool good = way == 0 || way == 2 || way == 4 || way == 5;

        memcpy(bytes, one.frame->data, frame.length);
        frame.data = bytes;
        packet_parse(bytes, frame.length, &packet);
        frame.checksum = way == 0 || way == 3 ? PORT_CHECKSUM_BLANK : PORT_CHECKSUM_NONE; /* 1: unannounced */
        if (way == 2 || way == 3 || way == 5)
            packet_complete(bytes, &packet, bytes + packet.payload, packet.end - packet.payload);
        checker = checker_create(&one, "from a test", NULL);
        if (way < 4)
            checker_take(checker, &frame);
        else
            checker_take_bytes(checker, bytes, frame.length); /* either form */
        verdict = checker_verdict(checker);
        ck_assert_msg((verdict.good == 1) == good && (checker_bad(&verdict) == 0) == good, "way %u", way);
        checker_destroy(checker);
    }
    capture_free(offload);
}

/* Flows that are shuffled against one another are in order as far as each is concerned; a flow out of order is not. */
GUEST_TEST(order_is_by_flow_where_that_is_asked_for)
{
    struct capture *lan = load(LAN);
    struct checker *checker = checker_create(lan, "from a test", NULL);
    struct checker_verdict verdict;
    struct packet packet;
    unsigned tcp[2] = {0}, found = 0;

    checker_order_by_flow(checker);
    for (uint32_t remainder = 0; remainder < 3; remainder++) {
        for (unsigned i = 0; i < lan->count; i++) {
            packet_parse(lan->frame[i].data, lan->frame[i].length, &packet);
            if (packet_flow(lan->frame[i].data, &packet) % 3 == remainder)
                checker_take(checker, &lan->frame[i]);
        }
    }
    verdict = checker_verdict(checker);
    ck_assert_uint_eq(verdict.good, lan->count);
    ck_assert_uint_eq(checker_bad(&verdict), 0);
    checker_destroy(checker);
    for (unsigned i = 0; found < 2; i++) { /* two frames of one flow, with other contents */
        struct packet first;

        packet_parse(lan->frame[i].data, lan->frame[i].length, &packet);
        if (!packet.payload)
            continue;
        if (found == 0)
            tcp[found++] = i;
        packet_parse(lan->frame[tcp[0]].data, lan->frame[tcp[0]].length, &first);
        if (i != tcp[0] && packet_flow(lan->frame[i].data, &packet) == packet_flow(lan->frame[tcp[0]].data, &first))
            tcp[found++] = i;
    }
    checker = checker_create(lan, "from a test", NULL);
    checker_order_by_flow(checker);
    checker_take(checker, &lan->frame[tcp[1]]);
    checker_take(checker, &lan->frame[tcp[0]]);
    verdict = checker_verdict(checker);
    ck_assert_uint_eq(verdict.reordered, 1);
    checker_destroy(checker);
    capture_free(lan);
}

/* ---- hashes: facts/toeplitz.md ---- */

static const uint8_t key[TOEPLITZ_KEY_SIZE] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                               0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                               0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                               0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static const struct {
    const char *source, *destination;
    uint16_t source_port, destination_port;
    uint32_t addresses, ports;
} vectors[] = {
    {"66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2, 0x51ccc178},
    {"199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a, 0xc626b0ea},
    {"24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de, 0x5c2b394a},
    {"38.27.205.30", "209.142.163.6", 48228, 2217, 0x82989176, 0xafc7327f},
    {"153.39.163.191", "202.188.127.2", 44251, 1303, 0x5d1809c5, 0x10e828a2},
    {"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x2cc18cd5, 0x40207d3d},
    {"3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c, 0xdde51bbf},
    {"3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024, 0x4b61e985, 0x02d1feef},
};

GUEST_TEST(hashes_are_those_of_the_vectors)
{
    for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        bool six = strchr(vectors[i].source, ':') != NULL;
        uint8_t data[14 + 40 + 20] = {0}, *ip = data + 14, *tcp = ip + (six ? 40 : 20), type;
        uint32_t length = six ? sizeof(data) : sizeof(data) - 20, value;
        struct packet packet;

        packet_put16(data + 12, six ? 0x86dd : 0x0800);
        ip[0] = six ? 0x60 : 0x45;
        packet_put16(ip + (six ? 4 : 2), six ? 20 : 40);
        ip[six ? 6 : 9] = PACKET_TCP;
        ck_assert_int_eq(inet_pton(six ? AF_INET6 : AF_INET, vectors[i].source, ip + (six ? 8 : 12)), 1);
        ck_assert_int_eq(inet_pton(six ? AF_INET6 : AF_INET, vectors[i].destination, ip + (six ? 24 : 16)), 1);
        packet_put16(tcp, vectors[i].source_port);
        packet_put16(tcp + 2, vectors[i].destination_port);
        tcp[12] = 0x50;
        packet_parse(data, length, &packet);
        ck_assert(toeplitz_packet(key, 15, data, &packet, &value, &type));
        ck_assert_uint_eq(value, vectors[i].ports);
        ck_assert_uint_eq(type, six ? 3 : 1);
        ck_assert(toeplitz_packet(key, six ? 4 : 1, data, &packet, &value, &type));
        ck_assert_uint_eq(value, vectors[i].addresses);
        ck_assert_uint_eq(type, six ? 2 : 0);
        ck_assert(!toeplitz_packet(key, six ? 3 : 12, data, &packet, &value, &type));
        ip[six ? 6 : 9] = PACKET_UDP; /* for which there is no type with ports */
        packet_parse(data, length, &packet);
        ck_assert(toeplitz_packet(key, 15, data, &packet, &value, &type));
        ck_assert_uint_eq(value, vectors[i].addresses);
        ck_assert(!toeplitz_packet(key, six ? 8 : 2, data, &packet, &value, &type));
    }
}

/* ---- the words for features ---- */

GUEST_TEST(features_by_their_words)
{
    struct netback_features features;
    char error[FEATURES_ERROR_MAX] = "";

    ck_assert(features_parse("none,wire,gso-tcpv4,queues=16,-gso-tcpv4,ctrl-ring", &features, error));
    ck_assert(!features.sg && features.wire && !features.gso_tcpv4 && features.ctrl_ring && features.rx_copy);
    ck_assert_uint_eq(features.max_queues, 16);
    ck_assert(features_parse("all,-rx-copy,-sg", &features, error));
    ck_assert(!features.sg && !features.wire && features.gso_tcpv6 && features.csum_offload && !features.rx_copy &&
              features.ipv6_csum_offload && features.split_event_channels && features.multicast_control &&
              features.dynamic_multicast_control);
    ck_assert(features_parse("all,default", &features, error));
    ck_assert_mem_eq(&features, &features_default, sizeof(features));
    ck_assert(!features_parse("sg,", &features, error));
    ck_assert(!features_parse("queues=17", &features, error));
    ck_assert(!features_parse("queues=0", &features, error));
    ck_assert(!features_parse("queues=2x", &features, error));
    ck_assert(!features_parse("-all", &features, error));
    ck_assert(!features_parse("sg,a-word-that-is-longer-than-any-feature-has", &features, error));
    ck_assert(!features_parse("gso", &features, error));
    ck_assert_ptr_nonnull(strstr(error, "'gso' is no feature"));
    ck_assert_ptr_null(strchr(error, '\n'));
    ck_assert_uint_lt(strlen(error), FEATURES_ERROR_MAX - 1);
}

int main(void)
{
    const TTest *const tests[] = {
        checksums_of_real_traffic_are_found_right,
        frames_left_to_a_card_are_known,
        no_length_in_a_header_is_believed,
        extension_headers_and_tags_are_passed_over,
        a_udp_checksum_is_never_zero,
        a_large_frame_equals_its_segments,
        segments_that_are_missing_are_no_others,
        a_blank_checksum_has_to_be_announced_or_completed,
        order_is_by_flow_where_that_is_asked_for,
        hashes_are_those_of_the_vectors,
        features_by_their_words,
    };
    Suite *suite = suite_create("packet");
    TCase *tcase = tcase_create("packet");

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
