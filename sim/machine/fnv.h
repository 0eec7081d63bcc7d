/*
 * FNV-1a, of 64 bits: tells accidental differences apart, no more is to be asked of it. Any context; the same in every
 * process.
 */
#ifndef MACHINE_FNV_H
#define MACHINE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV1A_START UINT64_C(0xCBF29CE484222325)

/* Goes on from `hash`, which is FNV1A_START at first, with `count` bytes. */
static inline uint64_t fnv1a(uint64_t hash, const void *bytes, size_t count)
{
    for (size_t index = 0; index < count; index++)
        hash = (hash ^ ((const uint8_t *)bytes)[index]) * UINT64_C(0x100000001B3);
    return hash;
}

#endif
