#include "common/inet.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"

static const uint8_t destination_mac[6] = {0x00, 0x16, 0x3e, 0x5a, 0x00, 0x00};
static const uint8_t source_mac[6] = {0x00, 0x16, 0x3e, 0x01, 0x02, 0x03};

uint16_t inet_sum(const void *bytes, size_t length, uint32_t start)
{
    const uint8_t *byte = bytes;
    uint32_t sum = start;

    for (size_t i = 0; i < length; i++) {
        sum += i % 2 == 0 ? (uint32_t)byte[i] << 8 : byte[i];
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    return (uint16_t)((sum & 0xFFFF) + (sum >> 16));
}

uint16_t inet_pseudo_sum(const uint8_t *frame, const struct inet_layout *layout)
{
    const uint8_t *ip = frame + layout->ip;
    uint32_t length = (uint32_t)(layout->end - layout->transport);
    uint32_t start = layout->protocol + (length >> 16) + (length & 0xFFFF);

    return layout->version == 4 ? inet_sum(ip + 12, 8, start) : inet_sum(ip + 8, 32, start);
}

uint8_t *inet_checksum_field(uint8_t *frame, const struct inet_layout *layout)
{
    return frame + layout->transport + (layout->protocol == INET_TCP ? 16 : 6);
}

static size_t put_ipv4(uint8_t *ip, const struct inet_packet *packet, size_t transport)
{
    size_t size = 20 + packet->ip_options;

    memset(ip, 0, size);
    ip[0] = (uint8_t)(0x40 | size / 4);
    inet_put16(ip + 2, (uint16_t)(size + transport));
    inet_put16(ip + 4, packet->id);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = (uint8_t)packet->protocol;
    memcpy(ip + 12, (const uint8_t[]){10, 20, 30, 41, 10, 20, 31, 42}, 8);
    memset(ip + 20, 1, packet->ip_options); /* no operation */
    inet_put16(ip + 10, (uint16_t)~inet_sum(ip, size, 0));
    return size;
}

static size_t put_ipv6(uint8_t *ip, const struct inet_packet *packet, size_t transport)
{
    size_t size = 40 + packet->ip_options;

    memset(ip, 0, size);
    ip[0] = 0x60;
    inet_put16(ip + 4, (uint16_t)(packet->ip_options + transport));
    ip[6] = (uint8_t)(packet->ip_options != 0 ? 60 : packet->protocol);
    ip[7] = 64;
    for (unsigned i = 0; i < 32; i++)
        ip[8 + i] = (uint8_t)(0x20 + 7 * i);
    if (packet->ip_options != 0) { /* destination options, padded */
        ip[40] = (uint8_t)packet->protocol;
        ip[41] = (uint8_t)(packet->ip_options / 8 - 1);
        ip[42] = 1;
        ip[43] = (uint8_t)(packet->ip_options - 4);
    }
    return size;
}

static size_t put_transport(uint8_t *transport, const struct inet_packet *packet)
{
    size_t size = packet->protocol == INET_TCP ? 20 + packet->tcp_options : 8;

    memset(transport, 0, size);
    inet_put16(transport, packet->source_port != 0 ? packet->source_port : 40001);
    inet_put16(transport + 2, packet->destination_port != 0 ? packet->destination_port : 80);
    if (packet->protocol == INET_UDP) {
        inet_put16(transport + 4, (uint16_t)(8 + packet->payload));
        return size;
    }
    inet_put32(transport + 4, packet->sequence);
    inet_put32(transport + 8, 0x12345678);
    transport[12] = (uint8_t)(size / 4 << 4);
    transport[13] = (uint8_t)packet->flags;
    inet_put16(transport + 14, 4096);
    memset(transport + 20, 1, packet->tcp_options);
    return size;
}

size_t inet_make(uint8_t *frame, const struct inet_packet *packet)
{
    size_t size = packet->protocol == INET_TCP ? 20 + packet->tcp_options : 8;
    struct inet_layout layout;
    uint16_t checksum;
    uint8_t *next = frame;

    memcpy(next, destination_mac, 6);
    memcpy(next + 6, source_mac, 6);
    next += 12;
    if (packet->tagged) {
        inet_put16(next, 0x8100);
        inet_put16(next + 2, 5 << 13 | 42);
        next += 4;
    }
    inet_put16(next, packet->version == 4 ? 0x0800 : 0x86DD);
    next += 2;
    next += packet->version == 4 ? put_ipv4(next, packet, size + packet->payload)
                                 : put_ipv6(next, packet, size + packet->payload);
    next += put_transport(next, packet);
    for (size_t i = 0; i < packet->payload; i++)
        *next++ = (uint8_t)((i * 2654435761u + packet->seed * 40503u) >> 11);

    if (!inet_parse(frame, (size_t)(next - frame), &layout))
        return 0;
    checksum =
        (uint16_t)~inet_sum(frame + layout.transport, layout.end - layout.transport, inet_pseudo_sum(frame, &layout));
    inet_put16(inet_checksum_field(frame, &layout), checksum == 0 && packet->protocol == INET_UDP ? 0xFFFF : checksum);
    return (size_t)(next - frame);
}

static bool parse_ipv6(const uint8_t *frame, size_t length, struct inet_layout *layout)
{
    const uint8_t *ip = frame + layout->ip;
    size_t offset = layout->ip + 40;
    unsigned next;

    if (length < offset)
        return false;
    layout->end = offset + inet_get16(ip + 4);
    if (layout->end > length)
        return false;
    for (next = ip[6]; next == 0 || next == 60;
         offset += 8u * (frame[offset + 1] + 1u), next = frame[layout->transport]) {
        layout->transport = offset;
        if (offset + 8 > layout->end)
            return false;
    }
    layout->protocol = next;
    layout->fragment = next == 44;
    layout->transport = offset;
    return true;
}

static bool parse_ipv4(const uint8_t *frame, size_t length, struct inet_layout *layout)
{
    const uint8_t *ip = frame + layout->ip;

    if (length < layout->ip + 20)
        return false;
    layout->end = layout->ip + inet_get16(ip + 2);
    layout->transport = layout->ip + (ip[0] & 15u) * 4u;
    layout->protocol = ip[9];
    layout->fragment = (inet_get16(ip + 6) & 0x3FFF) != 0;
    return layout->end <= length;
}

bool inet_parse(const uint8_t *frame, size_t length, struct inet_layout *layout)
{
    unsigned type;
    size_t size;

    memset(layout, 0, sizeof(*layout));
    if (length < 18)
        return false;
    layout->ip = 14;
    type = inet_get16(frame + 12);
    if (type == 0x8100) {
        layout->tagged = true;
        layout->ip = 18;
        type = inet_get16(frame + 16);
    }
    layout->version = type == 0x0800 ? 4 : type == 0x86DD ? 6 : 0;
    if (layout->version == 0 || !(layout->version == 4 ? parse_ipv4 : parse_ipv6)(frame, length, layout))
        return false;
    if (layout->fragment || (layout->protocol != INET_TCP && layout->protocol != INET_UDP))
        return false;
    size = 8;
    if (layout->protocol == INET_TCP)
        size = layout->transport + 13 <= layout->end ? (frame[layout->transport + 12] >> 4) * 4u : SIZE_MAX / 2;
    layout->payload = layout->transport + size;
    return layout->payload <= layout->end;
}

void inet_make_blank(uint8_t *frame, size_t length)
{
    struct inet_layout layout;

    if (inet_parse(frame, length, &layout))
        inet_put16(inet_checksum_field(frame, &layout), inet_pseudo_sum(frame, &layout));
}

const char *inet_fault(const uint8_t *frame, size_t length)
{
    struct inet_layout layout;
    bool transport = inet_parse(frame, length, &layout);

    if (layout.version == 4 && layout.end > length)
        return "the IP header says more than there is";
    if (layout.version == 4 && inet_sum(frame + layout.ip, layout.transport - layout.ip, 0) != 0xFFFF)
        return "the IP header's checksum";
    if (!transport)
        return NULL;
    if (layout.protocol == INET_UDP && inet_get16(frame + layout.transport + 6) == 0)
        return layout.version == 4 ? NULL : "no UDP checksum";
    if (inet_sum(frame + layout.transport, layout.end - layout.transport, inet_pseudo_sum(frame, &layout)) != 0xFFFF)
        return layout.protocol == INET_TCP ? "the TCP checksum" : "the UDP checksum";
    if (length > layout.end && length > 60)
        return "bytes behind the packet";
    return NULL;
}

#define FLOWS 16u

struct capture *inet_make_flows(unsigned count, size_t length)
{
    bool large = length > 1514;
    struct capture *capture = calloc(1, sizeof(*capture));

    capture->count = count;
    capture->bytes = count * length;
    capture->storage = malloc(capture->bytes);
    capture->frame = calloc(count, sizeof(*capture->frame));
    for (unsigned index = 0; index < count; index++) {
        struct inet_packet packet = {.version = 4,
                                     .protocol = large ? INET_TCP : INET_UDP,
                                     .flags = INET_ACK,
                                     .id = (uint16_t)index,
                                     .sequence = index,
                                     .source_port = (uint16_t)(2000 + index % FLOWS * 7),
                                     .destination_port = 4000,
                                     .seed = index,
                                     .payload = length - (large ? 54 : 42)};
        uint8_t *data = capture->storage + index * length;

        if (inet_make(data, &packet) != length)
            abort();
        capture->frame[index] = (struct port_frame){.data = data, .length = (uint32_t)length};
        if (!large)
            continue;
        inet_make_blank(data, length);
        capture->frame[index].checksum = PORT_CHECKSUM_BLANK;
        capture->frame[index].gso = PORT_GSO_TCPV4;
        capture->frame[index].gso_size = 1460;
    }
    return capture;
}
