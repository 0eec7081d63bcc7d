#include "packet.h"

#include <string.h>

#define ETHERNET_HEADER 14u
#define TYPE_IPV4 0x0800u
#define TYPE_IPV6 0x86ddu
#define TYPE_VLAN 0x8100u
#define TYPE_SERVICE_VLAN 0x88a8u
#define TAGS_MAX 2u

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define IPV6_HOP_BY_HOP 0u
#define IPV6_ROUTING 43u
#define IPV6_FRAGMENT 44u
#define IPV6_AUTHENTICATION 51u
#define IPV6_DESTINATION 60u

#define TCP_HEADER 20u
#define TCP_SEQUENCE 4u
#define TCP_FLAGS 13u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u
#define UDP_HEADER 8u

/* ---- headers ---- */

static bool parse_ipv4(const uint8_t *data, uint32_t length, struct packet *packet)
{
    const uint8_t *ip = data + packet->network;
    uint32_t header, total;

    if (packet->network + IPV4_HEADER > length || ip[0] >> 4 != 4)
        return false;
    header = (ip[0] & 15u) * 4;
    total = packet_get16(ip + 2);
    if (header < IPV4_HEADER || total < header || packet->network + total > length)
        return false;
    packet->version = 4;
    packet->protocol = ip[9];
    packet->fragment = (packet_get16(ip + 6) & 0x3fff) != 0; /* more of them, or not the first */
    packet->transport = (uint16_t)(packet->network + header);
    packet->end = packet->network + total;
    return true;
}

/* Bytes that an extension header has, 0 when it is none or can't be. */
static uint32_t extension_length(uint8_t kind, const uint8_t *header)
{
    switch (kind) {
    case IPV6_HOP_BY_HOP:
    case IPV6_ROUTING:
    case IPV6_DESTINATION:
        return (header[1] + 1u) * 8;
    case IPV6_FRAGMENT:
        return 8;
    case IPV6_AUTHENTICATION:
        return (header[1] + 2u) * 4;
    default:
        return 0;
    }
}

static bool parse_ipv6(const uint8_t *data, uint32_t length, struct packet *packet)
{
    const uint8_t *ip = data + packet->network;
    uint32_t at = packet->network + IPV6_HEADER, size;

    if (at > length || ip[0] >> 4 != 6)
        return false;
    packet->end = at + packet_get16(ip + 4);
    if (packet->end > length)
        return false;
    packet->version = 6;
    packet->protocol = ip[6];
    while (at + 8 <= packet->end && at + 8 <= PACKET_HEADERS_MAX && !packet->fragment &&
           (size = extension_length(packet->protocol, data + at)) != 0) {
        packet->fragment = packet->protocol == IPV6_FRAGMENT;
        packet->common = packet->common && packet->protocol != IPV6_ROUTING;
        packet->protocol = data[at];
        at += size;
    }
    packet->transport = (uint16_t)(at < packet->end ? at : packet->end);
    return true;
}

static void parse_transport(const uint8_t *data, struct packet *packet)
{
    const uint8_t *header = data + packet->transport;
    uint32_t size;

    if (packet->protocol == PACKET_TCP && packet->transport + TCP_HEADER <= packet->end) {
        size = (header[12] >> 4) * 4u;
        if (size < TCP_HEADER)
            return;
    } else if (packet->protocol == PACKET_UDP) {
        size = UDP_HEADER;
    } else {
        return;
    }
    if (packet->transport + size > packet->end || packet->transport + size > PACKET_HEADERS_MAX)
        return;
    packet->payload = (uint16_t)(packet->transport + size);
    packet->checksum = (uint16_t)(packet->transport + (packet->protocol == PACKET_TCP ? 16 : 6));
}

void packet_parse(const uint8_t *data, uint32_t length, struct packet *packet)
{
    uint32_t at = ETHERNET_HEADER, type;
    bool whole = false;

    memset(packet, 0, sizeof(*packet));
    if (length < at)
        return;
    type = packet_get16(data + at - 2);
    for (unsigned tags = 0; tags < TAGS_MAX && (type == TYPE_VLAN || type == TYPE_SERVICE_VLAN); tags++) {
        at += 4;
        if (at > length)
            return;
        type = packet_get16(data + at - 2);
    }
    packet->network = (uint16_t)at;
    packet->common = at <= ETHERNET_HEADER + 4;
    if (type == TYPE_IPV4)
        whole = parse_ipv4(data, length, packet);
    else if (type == TYPE_IPV6)
        whole = parse_ipv6(data, length, packet);
    if (whole && !packet->fragment)
        parse_transport(data, packet);
}

/* ---- flows ---- */

static uint32_t mix(uint32_t hash, const uint8_t *data, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        hash = (hash ^ data[i]) * 16777619u; /* FNV-1a */
    return hash;
}

uint32_t packet_flow(const uint8_t *data, const struct packet *packet)
{
    const uint8_t *ip = data + packet->network;
    uint32_t hash = 2166136261u;

    if (!packet->version)
        return 0;
    hash = packet->version == 4 ? mix(hash, ip + 12, 8) : mix(hash, ip + 8, 32);
    hash = mix(hash, &packet->protocol, 1);
    if (packet->payload)
        hash = mix(hash, data + packet->transport, 4);
    hash ^= hash >> 16;
    return hash ? hash : 1;
}

/* ---- checksums ---- */

/*
 * The sum of 16-bit words, which is the same in either byte order but for the order of its own two bytes: they are
 * taken and put as they lie in memory. The start counts as even; a last odd byte has a zero behind it.
 */
static uint64_t sum(const uint8_t *data, uint32_t length, uint64_t before)
{
    uint32_t word;
    uint16_t half = 0;

    for (; length >= sizeof(word); data += sizeof(word), length -= (uint32_t)sizeof(word)) {
        memcpy(&word, data, sizeof(word));
        before += word;
    }
    if (length >= sizeof(half)) {
        memcpy(&half, data, sizeof(half));
        before += half;
        data += sizeof(half);
        length -= (uint32_t)sizeof(half);
    }
    if (length) {
        half = 0;
        memcpy(&half, data, 1);
        before += half;
    }
    return before;
}

static uint16_t fold(uint64_t value)
{
    value = (value & UINT32_MAX) + (value >> 32);
    value = (value & UINT32_MAX) + (value >> 32);
    value = (value & UINT16_MAX) + (value >> 16);
    value = (value & UINT16_MAX) + (value >> 16);
    return (uint16_t)value;
}

/* Of addresses, protocol and length (RFC 9293, RFC 8200). */
static uint64_t sum_pseudo_header(const uint8_t *data, const struct packet *packet)
{
    const uint8_t *ip = data + packet->network;
    uint8_t rest[8] = {0};

    packet_put32(rest, packet->end - packet->transport);
    rest[7] = packet->protocol;
    return sum(rest, sizeof(rest), packet->version == 4 ? sum(ip + 12, 8, 0) : sum(ip + 8, 32, 0));
}

void packet_set_partial(uint8_t *headers, const struct packet *packet)
{
    uint16_t field = fold(sum_pseudo_header(headers, packet));

    memcpy(headers + packet->checksum, &field, sizeof(field));
}

void packet_complete(uint8_t *headers, const struct packet *packet, const uint8_t *payload, uint32_t length)
{
    uint64_t all = sum(headers + packet->transport, (uint32_t)(packet->payload - packet->transport), 0);
    uint16_t field = (uint16_t)~fold(sum(payload, length, all));

    if (!field && packet->protocol == PACKET_UDP)
        field = UINT16_MAX; /* zero means that there is none */
    memcpy(headers + packet->checksum, &field, sizeof(field));
}

bool packet_is_partial(const uint8_t *data, const struct packet *packet)
{
    uint16_t expected = fold(sum_pseudo_header(data, packet)), field;

    memcpy(&field, data + packet->checksum, sizeof(field));
    return field == expected;
}

bool packet_is_right(const uint8_t *data, const struct packet *packet)
{
    uint64_t pseudo = sum_pseudo_header(data, packet);

    if (packet->protocol == PACKET_UDP && packet->version == 4 && packet_get16(data + packet->checksum) == 0)
        return true;
    return fold(sum(data + packet->transport, packet->end - packet->transport, pseudo)) == UINT16_MAX;
}

bool packet_header_is_right(const uint8_t *data, const struct packet *packet)
{
    return fold(sum(data + packet->network, (data[packet->network] & 15u) * 4, 0)) == UINT16_MAX;
}

/* ---- segments ---- */

static void set_ipv4_length(uint8_t *ip, uint32_t total, unsigned number)
{
    uint16_t field;

    packet_put16(ip + 2, total);
    packet_put16(ip + 4, packet_get16(ip + 4) + number);
    packet_put16(ip + 10, 0);
    field = (uint16_t)~fold(sum(ip, (ip[0] & 15u) * 4, 0));
    memcpy(ip + 10, &field, sizeof(field));
}

/* The pseudo-header's sum with another length. What the sum was otherwise stays, right or not: it is the guest's. */
static void set_partial_length(uint8_t *checksum, uint32_t before, uint32_t after)
{
    uint32_t value = packet_get16(checksum) + (UINT16_MAX - before) + after;

    value = (value & UINT16_MAX) + (value >> 16);
    packet_put16(checksum, (value & UINT16_MAX) + (value >> 16));
}

void packet_segment(uint8_t *to, const uint8_t *from, const struct packet *packet, uint32_t offset, uint32_t length,
                    unsigned number)
{
    uint8_t *ip = to + packet->network, *tcp = to + packet->transport;
    uint32_t header = (uint32_t)(packet->payload - packet->transport);

    memcpy(to, from, packet->payload);
    if (packet->version == 4)
        set_ipv4_length(ip, packet->payload - packet->network + length, number);
    else
        packet_put16(ip + 4, packet->payload - packet->network - IPV6_HEADER + length);
    packet_put32(tcp + TCP_SEQUENCE, packet_get32(tcp + TCP_SEQUENCE) + offset);
    if (packet->payload + offset + length < packet->end)
        tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (number)
        tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    set_partial_length(to + packet->checksum, packet->end - packet->transport, header + length);
}
