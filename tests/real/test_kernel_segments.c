/*
 * netback's segments against those that the Linux kernel makes of the same frames: a frame to be cut goes into one TAP
 * device with its virtio_net header, through a bridge, and out of another that takes no offloads. In a network
 * namespace of the test's own; skipped (exit status 125) where there are no TAP devices or namespaces.
 */
#include <check.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "packet.h"

#define OFFLOAD "tests/captures/lan-offload.pcap"
#define HEADER ((int)sizeof(struct virtio_net_hdr))
#define BRIDGE "pvsim-br"

/* Of all frames, to and from: the bridge knows nothing of whom they are for, and passes them on. */
static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

static int in, out;       /* the TAP devices */
static const char *lacks; /* what this host lacks */

static int control(unsigned long request, struct ifreq *argument)
{
    int file = socket(AF_INET, SOCK_DGRAM, 0);
    int result = ioctl(file, request, argument);

    close(file);
    return result;
}

static bool bring_up(const char *name)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_PROMISC;
    return control(SIOCSIFFLAGS, &request) == 0;
}

static bool join_bridge(const char *name)
{
    struct ifreq request = {.ifr_name = BRIDGE};

    request.ifr_ifindex = (int)if_nametoindex(name);
    return control(SIOCBRADDIF, &request) == 0 && bring_up(name);
}

static int open_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int size = HEADER, file = open("/dev/net/tun", O_RDWR);

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (file < 0 || ioctl(file, TUNSETIFF, &request) != 0 || ioctl(file, TUNSETVNETHDRSZ, &size) != 0 ||
        ioctl(file, TUNSETOFFLOAD, 0) != 0)
        return -1;
    return file;
}

static void send_frame(const struct port_frame *frame, const struct packet *packet)
{
    static uint8_t buffer[65536 + sizeof(struct virtio_net_hdr)];
    struct virtio_net_hdr header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = frame->gso == PORT_GSO_TCPV4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
        .hdr_len = packet->payload,
        .gso_size = frame->gso_size,
        .csum_start = packet->transport,
        .csum_offset = (uint16_t)(packet->checksum - packet->transport),
    };
    ssize_t length = (ssize_t)frame->length + HEADER;

    memcpy(buffer, &header, sizeof(header));
    memcpy(buffer + HEADER, frame->data, frame->length);
    ck_assert_int_eq(write(in, buffer, (size_t)length), length);
}

/*
 * The next frame of our sender that the kernel sends; others are its own. Returns the length, 0 when there is none
 * within the time.
 */
static uint32_t take_frame(int timeout_ms, uint8_t frame[2048])
{
    uint8_t buffer[2048 + sizeof(struct virtio_net_hdr)];
    struct pollfd ready = {.fd = out, .events = POLLIN};
    struct timespec start, now;
    ssize_t length;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 > timeout_ms)
            return 0;
        if (poll(&ready, 1, timeout_ms) != 1)
            continue;
        length = read(out, buffer, sizeof(buffer));
        if (length > HEADER + 14 && memcmp(buffer + HEADER, addresses, sizeof(addresses)) == 0)
            break;
    }
    memcpy(frame, buffer + HEADER, (size_t)(length - HEADER));
    return (uint32_t)(length - HEADER);
}

/* A bridge forwards some time after its ports are up. */
static bool forwards(void)
{
    uint8_t probe[60 + sizeof(struct virtio_net_hdr)] = {0}, got[2048];
    unsigned left = 100;

    memcpy(probe + HEADER, addresses, sizeof(addresses));
    do {
        if (write(in, probe, sizeof(probe)) != (ssize_t)sizeof(probe))
            return false;
    } while (take_frame(100, got) == 0 && --left != 0);
    while (take_frame(200, got) != 0)
        ;
    return left != 0;
}

static bool prepare(void)
{
    char name[] = BRIDGE;
    int file;

    lacks = "network namespaces (unshare)";
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    lacks = "TAP devices (/dev/net/tun)";
    in = open_tap("pvsim-in");
    out = open_tap("pvsim-out");
    if (in < 0 || out < 0)
        return false;
    lacks = "bridges";
    file = socket(AF_INET, SOCK_DGRAM, 0);
    if (ioctl(file, SIOCBRADDBR, name) != 0)
        return false;
    close(file);
    return bring_up(BRIDGE) && join_bridge("pvsim-in") && join_bridge("pvsim-out") && forwards();
}

/* Cut a frame here, and compare each segment with the kernel's. */
static void compare(const struct port_frame *frame, unsigned number)
{
    uint8_t segment[2048], theirs[2048];
    struct packet packet;
    uint32_t offset = 0, length;

    packet_parse(frame->data, frame->length, &packet);
    send_frame(frame, &packet);
    for (unsigned at = 0; packet.payload + offset < packet.end; at++, offset += length) {
        length = packet.end - packet.payload - offset;
        length = length < frame->gso_size ? length : frame->gso_size;
        packet_segment(segment, frame->data, &packet, offset, length, at);
        memcpy(segment + packet.payload, frame->data + packet.payload + offset, length);
        packet_complete(segment, &packet, segment + packet.payload, length);
        ck_assert_uint_eq(take_frame(5000, theirs), packet.payload + length);
        if (memcmp(theirs, segment, packet.payload + length) != 0)
            ck_abort_msg("frame %u, segment %u: differs from the kernel's", number + 1, at);
    }
}

/*
 * A copy of a frame with addresses that the bridge knows nothing of: those of the capture would come to be known on the
 * device that frames come from, and frames to them would not be forwarded.
 */
static struct port_frame strange(const struct port_frame *frame, uint8_t *copy)
{
    struct port_frame strange = *frame;

    memcpy(copy, frame->data, frame->length);
    memcpy(copy, addresses, sizeof(addresses));
    strange.data = copy;
    return strange;
}

/* Each frame as it is; with other flags, and with another size that goes up in the data or does not. */
START_TEST(segments_are_those_of_the_kernel)
{
    static uint8_t copy[PORT_FRAME_MAX];
    char error[CAPTURE_ERROR_MAX] = "";
    struct capture *capture = capture_load(OFFLOAD, error);
    unsigned compared = 0;

    ck_assert_msg(capture != NULL, "%s", error);
    for (unsigned i = 0; i < capture->count; i++) {
        struct port_frame frame = strange(&capture->frame[i], copy);
        struct packet packet;

        if (frame.gso == PORT_GSO_NONE)
            continue;
        compare(&frame, i);
        packet_parse(copy, frame.length, &packet);
        copy[packet.transport + 13] |= 0x09; /* PSH, FIN */
        frame.gso_size = (uint16_t)((packet.end - packet.payload) / 4);
        if (i % 2 || frame.gso_size > 1400)
            frame.gso_size = 1000;
        compare(&frame, i);
        compared++;
    }
    ck_assert_uint_eq(compared, 43);
    capture_free(capture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernel-segments");
    TCase *tcase = tcase_create("kernel-segments");
    SRunner *runner;
    int failed;

    if (!prepare()) {
        fprintf(stderr, "skipped: tap: no %s here: %s\n", lacks, strerror(errno));
        return 125;
    }
    tcase_add_test(tcase, segments_are_those_of_the_kernel);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
