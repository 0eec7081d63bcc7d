#include "toeplitz.h"

#include "ring.h"

uint32_t toeplitz(const uint8_t key[TOEPLITZ_KEY_SIZE], const uint8_t *input, unsigned length)
{
    uint32_t window = packet_get32(key), value = 0;
    unsigned next = 4; /* byte of the key that slides into the window */

    for (unsigned i = 0; i < length; i++, next++) {
        uint8_t follows = next < TOEPLITZ_KEY_SIZE ? key[next] : 0;

        for (unsigned bit = 8; bit-- != 0;) {
            if (input[i] >> bit & 1)
                value ^= window;
            window = window << 1 | (follows >> bit & 1u);
        }
    }
    return value;
}

bool toeplitz_packet(const uint8_t key[TOEPLITZ_KEY_SIZE], uint32_t flags, const uint8_t *data,
                     const struct packet *packet, uint32_t *value, uint8_t *type)
{
    uint8_t input[TOEPLITZ_INPUT_MAX];
    bool ports = packet->protocol == PACKET_TCP && packet->payload;
    unsigned addresses;

    if (packet->version == 4) {
        ports = ports && (flags & XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP);
        *type = ports ? _XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP : _XEN_NETIF_CTRL_HASH_TYPE_IPV4;
        addresses = 8;
        memcpy(input, data + packet->network + 12, addresses);
    } else if (packet->version == 6) {
        ports = ports && (flags & XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP);
        *type = ports ? _XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP : _XEN_NETIF_CTRL_HASH_TYPE_IPV6;
        addresses = 32;
        memcpy(input, data + packet->network + 8, addresses);
    } else {
        return false;
    }
    if (!(flags & 1u << *type))
        return false;
    if (ports)
        memcpy(input + addresses, data + packet->transport, 4);
    *value = toeplitz(key, input, addresses + (ports ? 4 : 0));
    return true;
}
