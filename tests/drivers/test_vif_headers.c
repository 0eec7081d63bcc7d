/*
 * What XENVIF tells of a received frame's headers, whatever is in the frame: it comes through as it is, each header is
 * told of only if all of it is there, and nothing is made of bytes that are not.
 */
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"

#define PLAYED .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make
#define ALL_CHECKSUMS                                                                                                  \
    (OPTION(OffloadIpVersion4HeaderChecksum) | OPTION(OffloadIpVersion4TcpChecksum) |                                  \
     OPTION(OffloadIpVersion4UdpChecksum) | OPTION(OffloadIpVersion6TcpChecksum) |                                     \
     OPTION(OffloadIpVersion6UdpChecksum))

static uint8_t frame[INET_FRAME_MAX];

static const struct inet_packet kinds[] = {
    {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .ip_options = 8, .tcp_options = 12, .payload = 20},
    {.version = 4, .protocol = INET_UDP, .tagged = true, .payload = 20},
    {.version = 6, .protocol = INET_TCP, .flags = INET_ACK, .ip_options = 16, .tcp_options = 4, .payload = 20},
    {.version = 6, .protocol = INET_UDP, .tagged = true, .payload = 20},
};

static void begin(void)
{
    vif_backend_features("feature-sg=1");
    vif_client_begin();
    XENVIF_VIF_CALL(&vif_client, ReceiverSetOffloadOptions, (XENVIF_VIF_OFFLOAD_OPTIONS){.Value = ALL_CHECKSUMS});
}

static void assert_inside(const XENVIF_PACKET_HEADER *header, size_t length)
{
    ck_assert_uint_le(header->Length, length);
    ck_assert_uint_le(header->Offset, length - header->Length);
}

/* It comes as it is; no header is longer than the frame, and the flags name each checksum once at most. */
static const struct vif_client_received *give(size_t length)
{
    struct vif_backend_frame given = {.data = frame, .length = length};
    const struct vif_client_received *got;

    while (vif_backend_room() < 8)
        stack_sleep_us(100);
    vif_client_forget();
    vif_backend_give(&given);
    for (unsigned tries = 0; vif_client_received_count() == 0; tries++) {
        ck_assert_msg(tries < 10000, "a frame of %zu bytes does not come", length);
        stack_sleep_us(100);
    }
    got = vif_client_received(0);
    ck_assert_uint_eq(got->length, length);
    ck_assert_mem_eq(got->data, frame, length);
    ck_assert_uint_le(got->info.Length, length);
    assert_inside(&got->info.EthernetHeader, length);
    assert_inside(&got->info.LLCSnapHeader, length);
    assert_inside(&got->info.IpHeader, length);
    assert_inside(&got->info.IpOptions, length);
    assert_inside(&got->info.TcpHeader, length);
    assert_inside(&got->info.TcpOptions, length);
    assert_inside(&got->info.UdpHeader, length);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_le(__builtin_popcount(got->flags.Value >> 3 * i & 7), 1);
    ck_assert(got->info.TcpHeader.Length == 0 || got->info.UdpHeader.Length == 0);
    return got;
}

/* A frame that ends anywhere: no transport checksum of it is right or wrong, since it is not all there. */
STACK_TEST(frames_that_end_early, PLAYED)
{
    begin();
    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++) {
        size_t full = inet_make(frame, &kinds[i]);
        const struct vif_client_received *got = give(full);

        ck_assert_uint_ne(got->info.IpHeader.Length, 0);
        ck_assert_uint_ne((kinds[i].protocol == INET_TCP ? got->info.TcpHeader : got->info.UdpHeader).Length, 0);
        ck_assert(got->flags.TcpChecksumSucceeded || got->flags.UdpChecksumSucceeded);
        for (size_t length = 14; length < full; length++) {
            got = give(length);
            ck_assert(!got->flags.TcpChecksumSucceeded && !got->flags.UdpChecksumSucceeded);
            ck_assert(!got->flags.TcpChecksumFailed && !got->flags.UdpChecksumFailed);
        }
    }
    vif_client_finish();
}

/* Each byte of the headers turned over, in each way that matters to who reads lengths and numbers there. */
STACK_TEST(headers_with_any_byte_wrong, PLAYED)
{
    static const uint8_t turns[] = {0x01, 0x0F, 0xF0, 0xFF, 0x80};

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++) {
        struct inet_layout layout;
        size_t full = inet_make(frame, &kinds[i]);

        ck_assert(inet_parse(frame, full, &layout));
        for (size_t at = 12; at < layout.payload; at++)
            for (unsigned turn = 0; turn < ARRAYSIZE(turns); turn++) {
                frame[at] ^= turns[turn];
                (void)give(full);
                frame[at] ^= turns[turn];
            }
    }
    vif_client_finish();
}

/* IP says that the packet ends early, at any place, and the frame ends there or goes on: nothing beyond is a header. */
STACK_TEST(packets_that_end_early, PLAYED)
{
    static uint8_t whole[INET_FRAME_MAX];

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++) {
        struct inet_layout layout;
        size_t full = inet_make(whole, &kinds[i]), fixed = kinds[i].version == 4 ? 0 : 40;

        ck_assert(inet_parse(whole, full, &layout));
        for (size_t length = 0; length < full - layout.ip - fixed; length++)
            for (unsigned cut = 0; cut < 2; cut++) {
                size_t end = layout.ip + fixed + length;
                const struct vif_client_received *got;

                memcpy(frame, whole, full);
                inet_put16(frame + layout.ip + (kinds[i].version == 4 ? 2 : 4), (uint16_t)length);
                got = give(cut && end >= 14 ? end : full);
                ck_assert(got->info.TcpHeader.Length == 0 ||
                          got->info.TcpHeader.Offset + got->info.TcpHeader.Length + got->info.TcpOptions.Length <= end);
                ck_assert(got->info.UdpHeader.Length == 0 ||
                          got->info.UdpHeader.Offset + got->info.UdpHeader.Length <= end);
                ck_assert(!got->flags.TcpChecksumSucceeded && !got->flags.UdpChecksumSucceeded);
            }
    }
    vif_client_finish();
}

/* IEEE 802.2 with SNAP: its own header, and IP behind it; without SNAP there is no more to tell. */
STACK_TEST(llc_and_snap, PLAYED)
{
    static const uint8_t snap[] = {0xAA, 0xAA, 0x03, 0x00, 0x00, 0x00};
    static uint8_t plain[INET_FRAME_MAX];
    const struct vif_client_received *got;
    struct inet_layout layout;
    size_t length = inet_make(plain, &kinds[0]);
    uint64_t counted;

    begin();
    ck_assert(inet_parse(plain, length, &layout));
    memcpy(frame, plain, 12);
    inet_put16(frame + 12, (uint16_t)(length - 14 + 8));
    memcpy(frame + 14, snap, sizeof(snap));
    memcpy(frame + 20, plain + 12, length - 12);
    length += 8;
    counted = vif_client_statistic(XENVIF_RECEIVER_LLC_SNAP_PACKETS);
    got = give(length);
    ck_assert_uint_eq(got->info.EthernetHeader.Length, 14);
    ck_assert_uint_eq(got->info.LLCSnapHeader.Offset, 14);
    ck_assert_uint_eq(got->info.LLCSnapHeader.Length, 8);
    ck_assert_uint_eq(got->info.IpHeader.Offset, 22);
    ck_assert_uint_ne(got->info.TcpHeader.Length, 0);
    ck_assert(got->flags.IpChecksumSucceeded && got->flags.TcpChecksumSucceeded);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_LLC_SNAP_PACKETS), counted + 1);

    for (unsigned i = 0; i < sizeof(snap); i++) {
        frame[14 + i] ^= 1;
        got = give(length);
        frame[14 + i] ^= 1;
        ck_assert_uint_eq(got->info.LLCSnapHeader.Length, 0);
        ck_assert_uint_eq(got->info.IpHeader.Length, 0);
    }
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_LLC_SNAP_PACKETS), counted + 1);
    for (size_t cut = 14; cut < length; cut++)
        (void)give(cut);
    vif_client_finish();
}

/* A chain of IPv6's extension headers, as long as they are known, fit, and come in a number that makes sense. */
STACK_TEST(extension_headers, PLAYED)
{
    static const uint8_t types[] = {0, 60, 51, 44, 43, 135, 59, 255};
    const struct inet_packet kind = {.version = 6, .protocol = INET_UDP, .ip_options = 24, .payload = 64};
    struct inet_layout layout;
    size_t length;

    begin();
    length = inet_make(frame, &kind);
    ck_assert(inet_parse(frame, length, &layout));
    for (unsigned i = 0; i < ARRAYSIZE(types); i++)
        for (unsigned size = 0; size < 256; size += 51) {
            frame[layout.ip + 6] = types[i];
            frame[layout.ip + 40] = types[(i + size) % ARRAYSIZE(types)];
            frame[layout.ip + 41] = (uint8_t)size;
            (void)give(length);
        }
    vif_client_finish();
}

int main(void)
{
    Suite *suite = suite_create("headers that VIFs receive");
    TCase *tcase = tcase_create("headers");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, frames_that_end_early);
    tcase_add_test(tcase, headers_with_any_byte_wrong);
    tcase_add_test(tcase, packets_that_end_early);
    tcase_add_test(tcase, llc_and_snap);
    tcase_add_test(tcase, extension_headers);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
