/*
 * What netback has to know of an Ethernet frame: where its headers are, its flow, and the checksums of IP (RFC 791,
 * 1071), TCP and UDP. Everything works on the bytes alone, allocates nothing, and believes no length that a header
 * claims before it is held against the frame's.
 */
#ifndef BACKEND_PACKET_H
#define BACKEND_PACKET_H

#include <stdbool.h>
#include <stdint.h>

/* Headers further from the start of a frame than this are not looked for. */
#define PACKET_HEADERS_MAX 256u

#define PACKET_TCP 6u
#define PACKET_UDP 17u

struct packet {
    uint8_t version;    /* of IP: 4 or 6, 0: no IP packet that is there as a whole */
    uint8_t protocol;   /* behind IP and its extension headers */
    bool fragment;      /* a part of a packet */
    bool common;        /* one tag at most, and no routing header: what every frontend finds its way in */
    uint16_t network;   /* where the IP header begins */
    uint16_t transport; /* where the header of `protocol` begins */
    uint16_t payload;   /* where the data of TCP or UDP begins; 0: it is neither, or not there as a whole */
    uint16_t checksum;  /* where the checksum of TCP or UDP is; 0 likewise */
    uint32_t end;       /* of the IP packet: an Ethernet frame may go on with padding */
};

/* 802.1Q and 802.1ad tags are passed over, two at most. */
void packet_parse(const uint8_t *data, uint32_t length, struct packet *packet);

/* Frames of which the order must be kept have one value: addresses, protocol and, for TCP and UDP, ports; 0: no IP. */
uint32_t packet_flow(const uint8_t *data, const struct packet *packet);

/* For packets that have a `checksum`: put the sum of the pseudo-header there, as whoever leaves the rest to others. */
void packet_set_partial(uint8_t *headers, const struct packet *packet);
/*
 * Complete such a checksum. The headers, up to `payload`, and what follows them may be in different places; of the
 * latter there are `length` bytes.
 */
void packet_complete(uint8_t *headers, const struct packet *packet, const uint8_t *payload, uint32_t length);
/* Is it the pseudo-header's sum? Is it right for the whole packet (an absent one of UDP over IPv4 is)? */
bool packet_is_partial(const uint8_t *data, const struct packet *packet);
bool packet_is_right(const uint8_t *data, const struct packet *packet);
/* Is the checksum of the IPv4 header right? */
bool packet_header_is_right(const uint8_t *data, const struct packet *packet);

/*
 * Cutting a TCP packet that is too large for the wire into segments: the headers of the one with `length` bytes of
 * data, `offset` bytes into them, the `number`-th from 0. `from` are the headers of the whole, its checksum partial;
 * those of the segment, in `to`, have a partial one too.
 */
void packet_segment(uint8_t *to, const uint8_t *from, const struct packet *packet, uint32_t offset, uint32_t length,
                    unsigned number);

static inline uint16_t packet_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t packet_get32(const uint8_t *at)
{
    return (uint32_t)packet_get16(at) << 16 | packet_get16(at + 2);
}

static inline void packet_put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void packet_put32(uint8_t *at, uint32_t value)
{
    packet_put16(at, value >> 16);
    packet_put16(at + 2, value);
}

#endif
