/* The Toeplitz hash over a packet's addresses and ports, as io/netif.h defines it. */
#ifndef BACKEND_TOEPLITZ_H
#define BACKEND_TOEPLITZ_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/* Of a key, and of what is hashed of a packet: two addresses of IPv6 and two ports. */
#define TOEPLITZ_KEY_SIZE 40u
#define TOEPLITZ_INPUT_MAX 36u

uint32_t toeplitz(const uint8_t key[TOEPLITZ_KEY_SIZE], const uint8_t *input, unsigned length);

/*
 * Of a packet, by the greatest of the types in `flags` (XEN_NETIF_CTRL_HASH_TYPE_*) that suits it, whose number
 * (_XEN_NETIF_CTRL_HASH_TYPE_*) is told. False: none does.
 */
bool toeplitz_packet(const uint8_t key[TOEPLITZ_KEY_SIZE], uint32_t flags, const uint8_t *data,
                     const struct packet *packet, uint32_t *value, uint8_t *type);

#endif
