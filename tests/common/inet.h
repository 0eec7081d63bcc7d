/*
 * Ethernet frames with IP, TCP and UDP for the tests of offloads: made, taken apart and judged by code that shares
 * nothing with what it judges.
 */
#ifndef TESTS_COMMON_INET_H
#define TESTS_COMMON_INET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;

#define INET_FRAME_MAX 65535u
#define INET_TCP 6u
#define INET_UDP 17u

#define INET_FIN 0x01u
#define INET_SYN 0x02u
#define INET_RST 0x04u
#define INET_PSH 0x08u
#define INET_ACK 0x10u
#define INET_URG 0x20u
#define INET_ECE 0x40u
#define INET_CWR 0x80u

/* A frame to make. The payload's bytes depend on their place and on `seed`. */
struct inet_packet {
    unsigned version;     /* 4 or 6 */
    unsigned protocol;    /* INET_TCP or INET_UDP */
    bool tagged;          /* VLAN 42, priority 5 */
    unsigned ip_options;  /* bytes: a multiple of 4 up to 40, of IPv4; of 8, of IPv6's extension headers */
    unsigned tcp_options; /* a multiple of 4 up to 40 */
    unsigned flags;       /* INET_FIN and so on */
    uint32_t sequence;
    uint16_t id;
    uint16_t source_port, destination_port; /* 0: ports of its own choice */
    size_t payload;
    unsigned seed;
};

/* Where what is in a frame. */
struct inet_layout {
    unsigned version;
    unsigned protocol; /* of the transport */
    bool tagged, fragment;
    size_t ip, transport, payload; /* offsets */
    size_t end;                    /* of the payload */
};

/* The frame with all lengths and checksums right; its length, at most INET_FRAME_MAX. */
size_t inet_make(uint8_t *frame, const struct inet_packet *packet);

/* False: it is not TCP or UDP over IP, or not all there. */
bool inet_parse(const uint8_t *frame, size_t length, struct inet_layout *layout);

/* The one's complement sum of bytes, in host order. */
uint16_t inet_sum(const void *bytes, size_t length, uint32_t start);

/* The sum of TCP's or UDP's pseudo-header, and the place of the transport's checksum. */
uint16_t inet_pseudo_sum(const uint8_t *frame, const struct inet_layout *layout);
uint8_t *inet_checksum_field(uint8_t *frame, const struct inet_layout *layout);

/* Leave the checksum to a card: the pseudo-header's sum takes its place. */
void inet_make_blank(uint8_t *frame, size_t length);

/*
 * So many frames of a length, of 16 flows in turn: UDP, or, if they are longer than 1,514 bytes, TCP of IPv4 that a
 * card is to cut. They stay until the process ends.
 */
struct capture *inet_make_flows(unsigned count, size_t length);

/* What is wrong with a frame as it is on a wire: a checksum, a length. NULL: nothing is. Other protocols are never. */
const char *inet_fault(const uint8_t *frame, size_t length);

static inline uint16_t inet_get16(const uint8_t *field)
{
    return (uint16_t)(field[0] << 8 | field[1]);
}

static inline uint32_t inet_get32(const uint8_t *field)
{
    return (uint32_t)inet_get16(field) << 16 | inet_get16(field + 2);
}

static inline void inet_put16(uint8_t *field, uint16_t value)
{
    field[0] = (uint8_t)(value >> 8);
    field[1] = (uint8_t)value;
}

static inline void inet_put32(uint8_t *field, uint32_t value)
{
    inet_put16(field, (uint16_t)(value >> 16));
    inet_put16(field + 2, (uint16_t)value);
}

#endif
