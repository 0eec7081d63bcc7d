/*
 * The VIF's counters, held against the frames that were carried: each is right to the frame. What a frame is, is said
 * by the backend's parser, which shares nothing with the driver's.
 */
#include "common/stack.h"

#include <string.h>

#include "vif_interface.h"

#include "capture.h"
#include "packet.h"

#define SETTLE_MS 1000u

/* By the transmit side's counters; the receive side's follow one another in the same order. */
#define RECEIVER(counter)                                                                                              \
    ((counter) + ((counter) < XENVIF_RECEIVER_PACKETS_DROPPED                                                          \
                      ? XENVIF_RECEIVER_PACKETS_DROPPED                                                                \
                      : XENVIF_RECEIVER_TAGGED_PACKETS - XENVIF_TRANSMITTER_TAGGED_PACKETS))

/* What is added to the counters of one direction. */
struct counted {
    uint64_t value[XENVIF_RECEIVER_TAGGED_PACKETS];
    bool large; /* some frame is: who takes it apart, and whether at all, is not said here */
};

static void count_frame(struct counted *counted, const struct port_frame *frame)
{
    static const uint8_t broadcast[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    bool all = memcmp(frame->data, broadcast, 6) == 0, group = (frame->data[0] & 1) != 0;
    unsigned kind = all     ? XENVIF_TRANSMITTER_BROADCAST_PACKETS
                    : group ? XENVIF_TRANSMITTER_MULTICAST_PACKETS
                            : XENVIF_TRANSMITTER_UNICAST_PACKETS;
    struct packet packet;

    packet_parse(frame->data, frame->length, &packet);
    counted->value[kind]++;
    counted->value[kind + 1] += frame->length;
    counted->value[XENVIF_TRANSMITTER_TAGGED_PACKETS] += packet_get16(frame->data + 12) == 0x8100;
    counted->value[XENVIF_TRANSMITTER_IPV4_PACKETS] += packet.version == 4;
    counted->value[XENVIF_TRANSMITTER_IPV6_PACKETS] += packet.version == 6;
    counted->value[XENVIF_TRANSMITTER_TCP_PACKETS] += packet.payload != 0 && packet.protocol == PACKET_TCP;
    counted->value[XENVIF_TRANSMITTER_UDP_PACKETS] += packet.payload != 0 && packet.protocol == PACKET_UDP;
    counted->value[XENVIF_TRANSMITTER_GSO_PACKETS] += frame->gso != PORT_GSO_NONE;
    counted->large |= frame->gso != PORT_GSO_NONE;
}

static struct counted count(const struct capture *capture)
{
    struct counted counted = {.large = false};

    for (unsigned i = 0; capture != NULL && i < capture->count; i++)
        count_frame(&counted, &capture->frame[i]);
    return counted;
}

struct comparison {
    unsigned vif;
    const NETCLIENT_STATISTICS *before;
    NETCLIENT_STATISTICS after;
    struct counted sent, received;
    /* What is not as it should be: */
    bool receiver;
    const char *what;
    uint64_t is, should_be;
};

static bool equal(struct comparison *comparison, const char *what, uint64_t is, uint64_t should_be)
{
    comparison->what = what;
    comparison->is = is;
    comparison->should_be = should_be;
    return is == should_be;
}

/* To a counter of the direction that is looked at. */
static uint64_t added(const struct comparison *comparison, unsigned counter)
{
    unsigned at = comparison->receiver ? RECEIVER(counter) : counter;

    return comparison->after.Vif[at] - comparison->before->Vif[at];
}

static bool frames_add_up(struct comparison *comparison)
{
    static const struct {
        unsigned counter;
        const char *name;
    } counters[] = {
        {XENVIF_TRANSMITTER_PACKETS_DROPPED, "packets dropped"},
        {XENVIF_TRANSMITTER_BACKEND_ERRORS, "backend errors"},
        {XENVIF_TRANSMITTER_FRONTEND_ERRORS, "frontend errors"},
        {XENVIF_TRANSMITTER_UNICAST_PACKETS, "unicast packets"},
        {XENVIF_TRANSMITTER_UNICAST_OCTETS, "unicast octets"},
        {XENVIF_TRANSMITTER_MULTICAST_PACKETS, "multicast packets"},
        {XENVIF_TRANSMITTER_MULTICAST_OCTETS, "multicast octets"},
        {XENVIF_TRANSMITTER_BROADCAST_PACKETS, "broadcast packets"},
        {XENVIF_TRANSMITTER_BROADCAST_OCTETS, "broadcast octets"},
        {XENVIF_TRANSMITTER_TAGGED_PACKETS, "tagged packets"},
        {XENVIF_TRANSMITTER_LLC_SNAP_PACKETS, "packets with SNAP"},
        {XENVIF_TRANSMITTER_IPV4_PACKETS, "IPv4 packets"},
        {XENVIF_TRANSMITTER_IPV6_PACKETS, "IPv6 packets"},
        {XENVIF_TRANSMITTER_TCP_PACKETS, "TCP packets"},
        {XENVIF_TRANSMITTER_UDP_PACKETS, "UDP packets"},
        {XENVIF_TRANSMITTER_GSO_PACKETS, "large packets"},
    };
    const struct counted *counted = comparison->receiver ? &comparison->received : &comparison->sent;

    for (unsigned i = 0; i < ARRAYSIZE(counters); i++) {
        unsigned counter = counters[i].counter;
        bool known = !comparison->receiver || !counted->large || counter < XENVIF_TRANSMITTER_UNICAST_PACKETS;

        if (known && !equal(comparison, counters[i].name, added(comparison, counter), counted->value[counter]))
            return false;
    }
    return true;
}

/* Each packet that has a checksum has one of three verdicts about it, and none is wrong. */
static bool checksums_add_up(struct comparison *comparison)
{
    static const struct {
        unsigned packets, succeeded, failed, not_validated;
        const char *name;
    } kinds[] = {
        {XENVIF_TRANSMITTER_IPV4_PACKETS, XENVIF_TRANSMITTER_IPV4_CHECKSUM_SUCCEEDED,
         XENVIF_TRANSMITTER_IPV4_CHECKSUM_FAILED, XENVIF_TRANSMITTER_IPV4_CHECKSUM_NOT_VALIDATED, "IPv4 checksums"},
        {XENVIF_TRANSMITTER_TCP_PACKETS, XENVIF_TRANSMITTER_TCP_CHECKSUM_SUCCEEDED,
         XENVIF_TRANSMITTER_TCP_CHECKSUM_FAILED, XENVIF_TRANSMITTER_TCP_CHECKSUM_NOT_VALIDATED, "TCP checksums"},
        {XENVIF_TRANSMITTER_UDP_PACKETS, XENVIF_TRANSMITTER_UDP_CHECKSUM_SUCCEEDED,
         XENVIF_TRANSMITTER_UDP_CHECKSUM_FAILED, XENVIF_TRANSMITTER_UDP_CHECKSUM_NOT_VALIDATED, "UDP checksums"},
    };

    for (unsigned i = 0; i < ARRAYSIZE(kinds); i++)
        if (!equal(comparison, kinds[i].name,
                   added(comparison, kinds[i].succeeded) + added(comparison, kinds[i].not_validated),
                   added(comparison, kinds[i].packets)) ||
            !equal(comparison, kinds[i].name, added(comparison, kinds[i].failed), 0))
            return false;
    return true;
}

static bool direction_adds_up(struct comparison *comparison, bool receiver)
{
    comparison->receiver = receiver;
    return frames_add_up(comparison) && checksums_add_up(comparison);
}

/* The client has had what has been counted. */
static bool client_had_it(struct comparison *comparison)
{
    uint64_t packets = added(comparison, XENVIF_TRANSMITTER_UNICAST_PACKETS) +
                       added(comparison, XENVIF_TRANSMITTER_MULTICAST_PACKETS) +
                       added(comparison, XENVIF_TRANSMITTER_BROADCAST_PACKETS);

    return equal(comparison, "packets", packets, comparison->after.Received - comparison->before->Received);
}

static bool adds_up(void *argument)
{
    struct comparison *comparison = argument;

    comparison->after = stack_statistics(comparison->vif);
    return direction_adds_up(comparison, false) && direction_adds_up(comparison, true) && client_had_it(comparison);
}

/* Received frames are counted when a poll is at its end, and a client may have read them before. */
void stack_assert_counted(unsigned vif, const NETCLIENT_STATISTICS *before, const struct capture *tx,
                          const struct capture *rx)
{
    struct comparison comparison = {.vif = vif, .before = before, .sent = count(tx), .received = count(rx)};

    if (!stack_wait(adds_up, &comparison, SETTLE_MS))
        ck_abort_msg("VIF %u has counted %llu %s %s, and not %llu", vif, (unsigned long long)comparison.is,
                     comparison.receiver ? "received" : "sent", comparison.what,
                     (unsigned long long)comparison.should_be);
}
