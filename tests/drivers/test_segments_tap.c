/*
 * Segments as drivers/common/segment.c makes them are those that the Linux kernel makes of the same packet: a packet
 * socket hands the packet to a TAP device that takes none larger than a frame, and what comes out of the device is held
 * against ours, byte by byte. In a network namespace of its own.
 */
#include <check.h>
#undef fail
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../drivers/common/segment.h"
#include "common/guest.h"
#include "common/inet.h"

#define SKIPPED 125

static int tap, packets;

/* The name of the step that this host does not allow; NULL when the device is there. */
static const char *open_tap(void)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int on = 1;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return "a network namespace";
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tap < 0)
        return "/dev/net/tun";
    strcpy(request.ifr_name, "segments0");
    if (ioctl(tap, TUNSETIFF, &request) != 0)
        return "TUNSETIFF";
    if (ioctl(tap, TUNSETOFFLOAD, 0) != 0) /* no checksum is left to the reader, and no segmentation */
        return "TUNSETOFFLOAD";
    packets = socket(AF_PACKET, SOCK_RAW, 0);
    if (packets < 0)
        return "a packet socket";
    if (setsockopt(packets, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0)
        return "PACKET_VNET_HDR";
    address.sll_ifindex = (int)if_nametoindex("segments0");
    request.ifr_flags = IFF_UP | IFF_NOARP;
    if (ioctl(packets, SIOCSIFFLAGS, &request) != 0)
        return "SIOCSIFFLAGS";
    if (bind(packets, (struct sockaddr *)&address, sizeof(address)) != 0)
        return "bind";
    return NULL;
}

static uint8_t frame[sizeof(struct virtio_net_hdr) + INET_FRAME_MAX], expected[INET_FRAME_MAX],
    got[sizeof(struct virtio_net_hdr) + INET_FRAME_MAX];
static uint8_t *const large = frame + sizeof(struct virtio_net_hdr);

static void give(size_t length, const struct inet_layout *at, unsigned size)
{
    struct virtio_net_hdr header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = at->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
        .hdr_len = (uint16_t)at->payload,
        .gso_size = (uint16_t)size,
        .csum_start = (uint16_t)at->transport,
        .csum_offset = 16,
    };

    if (large[at->transport + 13] & INET_CWR)
        header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    memcpy(frame, &header, sizeof(header));
    ck_assert_msg(send(packets, frame, sizeof(header) + length, 0) == (ssize_t)(sizeof(header) + length), "send: %s",
                  strerror(errno));
}

/* The next frame of ours: the kernel has things to say of its own on a new interface. */
static size_t take(void)
{
    for (;;) {
        struct pollfd ready = {.fd = tap, .events = POLLIN};
        ssize_t length;

        ck_assert_msg(poll(&ready, 1, 2000) == 1, "the kernel has sent less");
        length = read(tap, got, sizeof(got));
        ck_assert_int_gt(length, (ssize_t)sizeof(struct virtio_net_hdr) + 14);
        if (memcmp(got + sizeof(struct virtio_net_hdr), large, 12) == 0)
            return (size_t)length - sizeof(struct virtio_net_hdr);
    }
}

/* The first byte that is not as expected. */
static size_t difference(size_t length)
{
    size_t i = 0;

    while (i < length && got[sizeof(struct virtio_net_hdr) + i] == expected[i])
        i++;
    return i;
}

static void compare(const struct inet_packet *packet, unsigned size)
{
    size_t length = inet_make(large, packet);
    struct inet_layout at;
    SEGMENTATION segmentation;

    ck_assert(inet_parse(large, length, &at));
    inet_make_blank(large, length);
    give(length, &at, size);
    ck_assert(SegmentationInitialize(&segmentation, large, (ULONG)at.payload, (UCHAR)at.version, (ULONG)at.ip,
                                     (ULONG)at.transport, (ULONG)packet->payload, size));
    ck_assert_uint_gt(segmentation.Count, 1);
    for (unsigned k = 0; k < segmentation.Count; k++) {
        CHECKSUM checksum;
        ULONG offset, payload = SegmentPayload(&segmentation, k, &offset);

        SegmentBegin(&segmentation, k, expected, &checksum);
        memcpy(expected + at.payload, large + at.payload + offset, payload);
        ChecksumAdd(&checksum, expected + at.payload, payload);
        SegmentEnd(&segmentation, expected, &checksum);
        ck_assert_uint_eq(take(), at.payload + payload);
        ck_assert_msg(memcmp(got + sizeof(struct virtio_net_hdr), expected, at.payload + payload) == 0,
                      "IPv%u, %zu bytes in segments of %u: segment %u differs from the kernel's at byte %zu",
                      at.version, packet->payload, size, k, difference(at.payload + payload));
    }
}

START_TEST(as_the_kernel_does)
{
    static const unsigned flags[] = {INET_ACK, INET_ACK | INET_PSH, INET_ACK | INET_PSH | INET_FIN,
                                     INET_ACK | INET_CWR | INET_ECE};
    static const unsigned sizes[] = {1448, 536, 9, 1460, 1000};
    static const size_t payloads[] = {1461, 2920, 20001, 64000};
    unsigned tried = 0;

    for (unsigned i = 0; i < 4 * 5 * 4; i++) {
        struct inet_packet packet = {.version = _i == 0 ? 4 : 6,
                                     .protocol = INET_TCP,
                                     .flags = flags[i % 4],
                                     .payload = payloads[i / 4 % 4],
                                     .tcp_options = i % 3 == 0   ? 12
                                                    : i % 3 == 1 ? 0
                                                                 : 40,
                                     .sequence = 0xFFFFF000u + i,
                                     .id = (uint16_t)(0xFFFE + i),
                                     .seed = i};
        unsigned size = sizes[i / 16];

        if (packet.payload / size > 100) /* as many frames as a TAP device's queue has room for */
            packet.payload = 100 * size + 1;
        if (size > 1400 && packet.tcp_options == 40)
            size = 1400;
        if (packet.payload <= size)
            continue;
        compare(&packet, size);
        tried++;
    }
    ck_assert_uint_gt(tried, 60);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Segments and the Linux kernel's");
    TCase *tcase = tcase_create("segments");
    const char *lacking = open_tap();

    if (lacking != NULL) {
        fprintf(stderr, "skipped: tap: no TAP device can be made here (%s: %s); run as root, with /dev/net/tun\n",
                lacking, strerror(errno));
        return SKIPPED;
    }
    tcase_add_loop_test(tcase, as_the_kernel_does, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
