/* What the offloads are made of (drivers/common): the Toeplitz hash, Internet checksums, segments. */
#include <check.h>
#undef fail
#include <stdlib.h>
#include <string.h>

#include <ntddk.h>

#include "../drivers/common/checksum.h"
#include "../drivers/common/segment.h"
#include "../drivers/common/toeplitz.h"
#include "common/guest.h"
#include "common/inet.h"

static uint8_t frame[INET_FRAME_MAX + 1], segment[INET_FRAME_MAX + 1];

/* ---- Toeplitz ---- */

static const uint8_t key[TOEPLITZ_KEY_SIZE] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                               0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                               0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                               0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

struct vector {
    uint8_t input[TOEPLITZ_INPUT_SIZE]; /* source, destination, ports */
    unsigned addresses;                 /* bytes of the addresses */
    uint32_t hash, hash_with_ports;
};

#define PORTS(source, destination)                                                                                     \
    (uint8_t)((source) >> 8), (uint8_t)(source), (uint8_t)((destination) >> 8), (uint8_t)(destination)

/* The vectors that Microsoft publishes with "Verifying the RSS Hash Calculation". */
static const struct vector vectors[] = {
    {{66, 9, 149, 187, 161, 142, 100, 80, PORTS(2794, 1766)}, 8, 0x323e8fc2, 0x51ccc178},
    {{199, 92, 111, 2, 65, 69, 140, 83, PORTS(14230, 4739)}, 8, 0xd718262a, 0xc626b0ea},
    {{24, 19, 198, 95, 12, 22, 207, 184, PORTS(12898, 38024)}, 8, 0xd2d0a5de, 0x5c2b394a},
    {{38, 27, 205, 30, 209, 142, 163, 6, PORTS(48228, 2217)}, 8, 0x82989176, 0xafc7327f},
    {{153, 39, 163, 191, 202, 188, 127, 2, PORTS(44251, 1303)}, 8, 0x5d1809c5, 0x10e828a2},
    {{0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0,    0,    0,
      0,    0,    0,    0,    7,    0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00,
      0x00, 0x03, 0,    0,    0,    0,    0,    0,    0,    1,    PORTS(2794, 1766)},
     32,
     0x2cc18cd5,
     0x40207d3d},
    {{0x3f, 0xfe, 0x05, 0x01, 0x00, 0x08, 0,    0, 0x02, 0x60, 0x97,
      0xff, 0xfe, 0x40, 0xef, 0xab, 0xff, 0x02, 0, 0,    0,    0,
      0,    0,    0,    0,    0,    0,    0,    0, 0,    1,    PORTS(14230, 4739)},
     32,
     0x0f0c461c,
     0xdde51bbf},
    {{0x3f, 0xfe, 0x19, 0x00, 0x45, 0x45, 0,    3,    0x02, 0,    0xf8,
      0xff, 0xfe, 0x21, 0x67, 0xcf, 0xfe, 0x80, 0,    0,    0,    0,
      0,    0,    0x02, 0,    0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf, PORTS(44251, 38024)},
     32,
     0x4b61e985,
     0x02d1feef},
};

START_TEST(toeplitz_vectors)
{
    const struct vector *vector = &vectors[_i];
    TOEPLITZ toeplitz;

    ToeplitzInitialize(&toeplitz, key);
    ck_assert_uint_eq(ToeplitzHash(&toeplitz, vector->input, vector->addresses), vector->hash);
    ck_assert_uint_eq(ToeplitzHash(&toeplitz, vector->input, vector->addresses + 4), vector->hash_with_ports);
    ck_assert_uint_eq(ToeplitzHash(&toeplitz, vector->input, 0), 0);
}
END_TEST

/* As xen/io/netif.h words it: a register that is shifted bit by bit. */
static uint32_t shift_hash(const uint8_t *with, const uint8_t *input, unsigned length)
{
    uint8_t shift[TOEPLITZ_KEY_SIZE];
    uint32_t value = 0;

    memcpy(shift, with, sizeof(shift));
    for (unsigned bit = 0; bit < 8 * length; bit++) {
        if (input[bit / 8] & 0x80u >> bit % 8)
            value ^= inet_get32(shift);
        for (unsigned i = 0; i < sizeof(shift); i++)
            shift[i] = (uint8_t)(shift[i] << 1 | (i + 1 < sizeof(shift) ? shift[i + 1] >> 7 : 0));
    }
    return value;
}

START_TEST(toeplitz_of_any_key)
{
    uint8_t random_key[TOEPLITZ_KEY_SIZE], input[TOEPLITZ_INPUT_SIZE];
    TOEPLITZ toeplitz;

    srand(7);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < sizeof(random_key); i++)
            random_key[i] = (uint8_t)rand();
        for (unsigned i = 0; i < sizeof(input); i++)
            input[i] = (uint8_t)rand();
        ToeplitzInitialize(&toeplitz, random_key);
        for (unsigned length = 0; length <= sizeof(input); length++)
            ck_assert_uint_eq(ToeplitzHash(&toeplitz, input, length), shift_hash(random_key, input, length));
    }
}
END_TEST

/* ---- checksums ---- */

/* Every length, start and cut: the sum is that of the bytes in a row. */
START_TEST(checksum_of_pieces)
{
    srand(11);
    for (unsigned i = 0; i < 4096; i++)
        frame[i] = (uint8_t)rand();
    for (unsigned length = 0; length < 300; length++) {
        for (unsigned round = 0; round < 20; round++) {
            unsigned start = (unsigned)rand() % 16, done = 0;
            CHECKSUM checksum;

            ChecksumInitialize(&checksum);
            while (done < length) {
                unsigned piece = (unsigned)rand() % (round < 10 ? 4 : 40);

                if (piece > length - done)
                    piece = length - done;
                ChecksumAdd(&checksum, frame + start + done, piece);
                done += piece;
            }
            ck_assert_uint_eq(ChecksumFold(&checksum), inet_sum(frame + start, length, 0));
            ck_assert_uint_eq(ChecksumFinish(&checksum), 0xFFFF - inet_sum(frame + start, length, 0));
        }
    }
}
END_TEST

/* The longest packets, of the bytes that carry most. */
START_TEST(checksum_of_ones)
{
    CHECKSUM checksum;

    memset(frame, 0xFF, sizeof(frame));
    ChecksumInitialize(&checksum);
    for (unsigned i = 0; i < 1001; i++)
        ChecksumAdd(&checksum, frame, 65535);
    ck_assert_uint_eq(ChecksumFold(&checksum), 0xFF00); /* an odd number of bytes in all */
    ChecksumInitialize(&checksum);
    ck_assert_uint_eq(ChecksumFinish(&checksum), 0xFFFF);
    memset(frame, 0, sizeof(frame));
    ChecksumAdd(&checksum, frame, 65535);
    ck_assert_uint_eq(ChecksumFinish(&checksum), 0xFFFF);
}
END_TEST

static const struct inet_packet packets[] = {
    {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 1448},
    {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 0, .tcp_options = 12},
    {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = 7, .ip_options = 40, .tcp_options = 40},
    {.version = 4, .protocol = INET_UDP, .payload = 33},
    {.version = 4, .protocol = INET_UDP, .payload = 1471, .tagged = true},
    {.version = 6, .protocol = INET_TCP, .flags = INET_ACK, .payload = 999},
    {.version = 6, .protocol = INET_TCP, .flags = INET_ACK, .payload = 64000, .ip_options = 24, .tcp_options = 12},
    {.version = 6, .protocol = INET_UDP, .payload = 0},
    {.version = 6, .protocol = INET_UDP, .payload = 2001, .ip_options = 8, .tagged = true},
};

START_TEST(checksum_of_packets)
{
    const struct inet_packet *packet = &packets[_i];
    size_t length = inet_make(frame, packet);
    struct inet_layout layout;
    unsigned addresses = packet->version == 4 ? 8 : 32;
    uint16_t right;
    CHECKSUM checksum;

    ck_assert(inet_parse(frame, length, &layout));
    ck_assert_ptr_null(inet_fault(frame, length));
    right = inet_get16(inet_checksum_field(frame, &layout));

    ChecksumInitialize(&checksum);
    ChecksumAddPseudoHeader(&checksum, frame + layout.ip + (packet->version == 4 ? 12 : 8), addresses,
                            (UCHAR)packet->protocol, (ULONG)(layout.end - layout.transport));
    ck_assert_uint_eq(ChecksumFold(&checksum), inet_pseudo_sum(frame, &layout));
    ChecksumStore(inet_checksum_field(frame, &layout), 0);
    ChecksumAdd(&checksum, frame + layout.transport, (ULONG)(layout.end - layout.transport));
    ck_assert_uint_eq(ChecksumFinish(&checksum), right);
    ChecksumStore(inet_checksum_field(frame, &layout), ChecksumFinish(&checksum));
    ck_assert_ptr_null(inet_fault(frame, length));

    if (packet->version == 4) {
        ck_assert(ChecksumVerifyIpVersion4(frame + layout.ip));
        frame[layout.ip + 8]--;
        ck_assert(!ChecksumVerifyIpVersion4(frame + layout.ip));
        ChecksumStoreIpVersion4(frame + layout.ip);
        ck_assert(ChecksumVerifyIpVersion4(frame + layout.ip));
        ck_assert_ptr_null(inet_fault(frame, length));
    }
}
END_TEST

/* ---- segments ---- */

static const struct {
    struct inet_packet packet;
    unsigned size;
} large[] = {
    {{.payload = 64000, .flags = INET_ACK, .id = 0xFFF0, .sequence = 0xFFFFFF00}, 1448},
    {{.payload = 1448 * 3, .flags = INET_ACK | INET_PSH, .tcp_options = 12}, 1448},
    {{.payload = 1448 * 3 + 1, .flags = INET_ACK | INET_PSH | INET_FIN | INET_CWR, .tcp_options = 12}, 1448},
    {{.payload = 4001, .flags = INET_ACK | INET_CWR | INET_ECE, .tagged = true}, 536},
    {{.payload = 301, .flags = INET_ACK | INET_PSH, .tcp_options = 40}, 1},
    {{.payload = 8000, .flags = INET_ACK, .tcp_options = 8, .ip_options = 24}, 777},
    {{.payload = 20000, .flags = INET_ACK | INET_FIN, .ip_options = 40, .tagged = true}, 8961},
    {{.payload = 100, .flags = INET_ACK | INET_PSH | INET_CWR}, 100},
    {{.payload = 0, .flags = INET_ACK | INET_FIN}, 1460},
};

static void cut(const struct inet_packet *packet, unsigned size)
{
    size_t length = inet_make(frame, packet);
    struct inet_layout whole, part;
    SEGMENTATION segmentation;
    size_t done = 0;

    ck_assert(inet_parse(frame, length, &whole));
    /* Whatever the packet says of its checksum and its lengths. */
    inet_put16(inet_checksum_field(frame, &whole), 0xBAD1);
    inet_put16(frame + whole.ip + (packet->version == 4 ? 2 : 4), 0);
    ck_assert(SegmentationInitialize(&segmentation, frame, (ULONG)whole.payload, (UCHAR)packet->version,
                                     (ULONG)whole.ip, (ULONG)whole.transport, (ULONG)packet->payload, size));
    ck_assert_uint_eq(segmentation.Count, packet->payload == 0 ? 1 : (packet->payload + size - 1) / size);

    for (unsigned k = 0; k < segmentation.Count; k++) {
        bool last = k + 1 == segmentation.Count;
        CHECKSUM checksum;
        ULONG offset, payload = SegmentPayload(&segmentation, k, &offset);
        unsigned flags = packet->flags;

        ck_assert_uint_eq(offset, done);
        ck_assert(last ? done + payload == packet->payload : payload == size);
        SegmentBegin(&segmentation, k, segment, &checksum);
        memcpy(segment + whole.payload, frame + whole.payload + offset, payload);
        ChecksumAdd(&checksum, segment + whole.payload, payload / 3);
        ChecksumAdd(&checksum, segment + whole.payload + payload / 3, payload - payload / 3);
        SegmentEnd(&segmentation, segment, &checksum);

        ck_assert_msg(inet_fault(segment, whole.payload + payload) == NULL, "segment %u: %s", k,
                      inet_fault(segment, whole.payload + payload));
        ck_assert(inet_parse(segment, whole.payload + payload, &part));
        ck_assert_uint_eq(part.end, whole.payload + payload);
        ck_assert_uint_eq(inet_get32(segment + part.transport + 4), packet->sequence + (uint32_t)offset);
        if (!last)
            flags &= ~(INET_FIN | INET_PSH);
        if (k != 0)
            flags &= ~INET_CWR;
        ck_assert_uint_eq(segment[part.transport + 13], flags);
        if (packet->version == 4)
            ck_assert_uint_eq(inet_get16(segment + part.ip + 4), (uint16_t)(packet->id + k));
        done += payload;
    }
    ck_assert_uint_eq(done, packet->payload);
}

START_TEST(segments)
{
    struct inet_packet packet = large[_i].packet;

    packet.protocol = INET_TCP;
    for (packet.version = 4; packet.version <= 6; packet.version += 2)
        cut(&packet, large[_i].size);
}
END_TEST

START_TEST(what_cannot_be_cut)
{
    const struct inet_packet packet = {.version = 4, .protocol = INET_TCP, .payload = 5000, .tcp_options = 8};
    size_t length = inet_make(frame, &packet);
    struct inet_layout at;
    SEGMENTATION s;
    ULONG ip, tcp, headers, payload = 5000;

    ck_assert(inet_parse(frame, length, &at));
    ip = (ULONG)at.ip;
    tcp = (ULONG)at.transport;
    headers = (ULONG)at.payload;
    ck_assert(SegmentationInitialize(&s, frame, headers, 4, ip, tcp, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, headers, 4, ip, tcp, payload, 0));
    ck_assert(!SegmentationInitialize(&s, frame, headers, 5, ip, tcp, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, headers, 6, ip, tcp, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, headers - 4, 4, ip, tcp, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, headers + 4, 4, ip, tcp, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, tcp + 16, 4, ip, tcp, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, headers, 4, ip, tcp - 4, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, headers + 4, 4, ip, tcp + 4, payload, 1000)); /* IP has no options */
    ck_assert(!SegmentationInitialize(&s, frame, headers, 4, 10, tcp, payload, 1000));
    ck_assert(!SegmentationInitialize(&s, frame, headers, 4, ip, tcp, 65536, 65536));
    ck_assert(!SegmentationInitialize(&s, frame, headers, 4, ip, tcp, 65536, 65535 - 20 - 28 + 1));
    ck_assert(SegmentationInitialize(&s, frame, headers, 4, ip, tcp, 65536, 65535 - 20 - 28));
    ck_assert_uint_eq(s.Count, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Parts of offloads");
    TCase *tcase = tcase_create("parts");

    tcase_add_loop_test(tcase, toeplitz_vectors, 0, sizeof(vectors) / sizeof(*vectors));
    tcase_add_test(tcase, toeplitz_of_any_key);
    tcase_add_test(tcase, checksum_of_pieces);
    tcase_add_test(tcase, checksum_of_ones);
    tcase_add_loop_test(tcase, checksum_of_packets, 0, sizeof(packets) / sizeof(*packets));
    tcase_add_loop_test(tcase, segments, 0, sizeof(large) / sizeof(*large));
    tcase_add_test(tcase, what_cannot_be_cut);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
