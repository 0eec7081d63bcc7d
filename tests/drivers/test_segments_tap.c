/*
 * Segments as drivers/common/segment.c and netback make them, and those that XENVIF sends, are the Linux kernel's of
 * the same packet: a packet socket hands the packet to a TAP device that takes none larger than a frame, and what comes
 * out of the device is held against ours, byte by byte. In a network namespace of its own.
 */
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
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "packet.h"

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

/* The kernel's next segment is this one. */
static void assert_kernels(const char *whose, const struct inet_packet *packet, unsigned size, unsigned k,
                           const uint8_t *segment, size_t length)
{
    const uint8_t *kernels = got + sizeof(struct virtio_net_hdr);
    size_t at = 0;

    while (at < length && kernels[at] == segment[at])
        at++;
    ck_assert_msg(at == length, "IPv%u, %zu bytes in segments of %u: segment %u of %s differs from the kernel's at %zu",
                  packet->version, packet->payload, size, k, whose, at);
}

/* As netback cuts a packet, for a guest that takes no large ones. */
static void netback_segment(const struct packet *whole, uint32_t offset, uint32_t length, unsigned k)
{
    packet_segment(expected, large, whole, offset, length, k);
    memcpy(expected + whole->payload, large + whole->payload + offset, length);
    packet_complete(expected, whole, expected + whole->payload, length);
}

static void driver_segment(const SEGMENTATION *segmentation, const struct inet_layout *at, ULONG offset, ULONG length,
                           unsigned k)
{
    CHECKSUM checksum;

    SegmentBegin(segmentation, k, expected, &checksum);
    memcpy(expected + at->payload, large + at->payload + offset, length);
    ChecksumAdd(&checksum, expected + at->payload, length);
    SegmentEnd(segmentation, expected, &checksum);
}

static void compare(const struct inet_packet *packet, unsigned size)
{
    size_t length = inet_make(large, packet);
    struct inet_layout at;
    struct packet whole;
    SEGMENTATION segmentation;

    ck_assert(inet_parse(large, length, &at));
    inet_make_blank(large, length);
    give(length, &at, size);
    packet_parse(large, (uint32_t)length, &whole);
    ck_assert_uint_eq(whole.payload, at.payload);
    ck_assert(SegmentationInitialize(&segmentation, large, (ULONG)at.payload, (UCHAR)at.version, (ULONG)at.ip,
                                     (ULONG)at.transport, (ULONG)packet->payload, size));
    ck_assert_uint_gt(segmentation.Count, 1);
    for (unsigned k = 0; k < segmentation.Count; k++) {
        ULONG offset, payload = SegmentPayload(&segmentation, k, &offset);

        ck_assert_uint_eq(take(), at.payload + payload);
        driver_segment(&segmentation, &at, offset, payload, k);
        assert_kernels("segment.c", packet, size, k, expected, at.payload + payload);
        netback_segment(&whole, offset, payload, k);
        assert_kernels("netback", packet, size, k, expected, at.payload + payload);
    }
}

/* A packet that a client leaves to the driver, which cuts it because the backend does not; and to the kernel. */
static void compare_sent(const struct inet_packet *packet, unsigned size)
{
    static struct vif_backend_packet sent;
    struct vif_client_packet send = {.data = large, .mss = (uint16_t)size, .piece = 3000, .skew = 11};
    struct inet_layout at;

    send.length = inet_make(large, packet);
    send.options.Value =
        packet->version == 4 ? OPTION(OffloadIpVersion4LargePacket) : OPTION(OffloadIpVersion6LargePacket);
    ck_assert(inet_parse(large, send.length, &at));
    inet_make_blank(large, send.length);
    ck_assert_int_eq(vif_client_send(&send), STATUS_SUCCESS);
    give(send.length, &at, size);
    for (unsigned k = 0; k * size < packet->payload; k++) {
        vif_backend_await(&sent, NETIF_RSP_OKAY);
        ck_assert_uint_eq(sent.gso_type, XEN_NETIF_GSO_TYPE_NONE);
        ck_assert_uint_eq(take(), sent.length);
        assert_kernels("the driver", packet, size, k, sent.data, sent.length);
    }
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    ck_assert(!vif_backend_take(&sent, NETIF_RSP_OKAY));
}

/* Packets of all kinds. */
static void each_packet(unsigned version, void (*try)(const struct inet_packet *packet, unsigned size))
{
    static const unsigned flags[] = {INET_ACK, INET_ACK | INET_PSH, INET_ACK | INET_PSH | INET_FIN,
                                     INET_ACK | INET_CWR | INET_ECE};
    static const unsigned sizes[] = {1448, 536, 9, 1460, 1000};
    static const size_t payloads[] = {1461, 2920, 20001, 64000};
    unsigned tried = 0;

    for (unsigned i = 0; i < 4 * 5 * 4; i++) {
        struct inet_packet packet = {.version = version,
                                     .protocol = INET_TCP,
                                     .flags = flags[i % 4],
                                     .payload = payloads[i / 4 % 4],
                                     .tcp_options = i % 3 == 0   ? 12
                                                    : i % 3 == 1 ? 0
                                                                 : 40,
                                     .sequence = 0xFFFFF000u + i,
                                     .id = (uint16_t)(0xFFFE + i),
                                     .seed = i,
                                     .tagged = i % 5 == 4};
        unsigned size = sizes[i / 16];

        if (packet.payload / size > 100) /* as many frames as a TAP device's queue has room for */
            packet.payload = 100 * size + 1;
        if (size > 1400) /* what goes into a frame, whatever the headers */
            size = packet.tcp_options == 40 ? 1400 : size - (version == 6 ? 20 : 0) - packet.tcp_options;
        if (packet.payload <= size)
            continue;
        try(&packet, size);
        tried++;
    }
    ck_assert_uint_gt(tried, 60);
}

START_TEST(as_the_kernel_does)
{
    each_packet(_i == 0 ? 4 : 6, compare);
}
END_TEST

STACK_TEST(sent_as_by_the_kernel, .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make)
{
    vif_backend_features("feature-sg=1,feature-no-csum-offload=1");
    vif_client_begin();
    for (unsigned version = 4; version <= 6; version += 2)
        each_packet(version, compare_sent);
    vif_client_finish();
}

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
    tcase_add_test(tcase, sent_as_by_the_kernel);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
