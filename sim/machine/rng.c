#include "machine/rng.h"

#include "machine/image.h"
#include "machine/machine.h"

/* xoshiro256**, by Blackman and Vigna, one generator a stream, seeded through splitmix64. */
struct rng_state {
    uint64_t word[RNG_STREAMS][4];
};

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static struct rng_state *state(void)
{
    if (machine->rng == NULL)
        rng_seed(machine->config.seed);
    return machine->rng;
}

void rng_seed(uint64_t seed)
{
    if (machine->rng == NULL)
        machine->rng = image_alloc(sizeof(*machine->rng));
    for (unsigned stream = 0; stream < RNG_STREAMS; stream++) {
        uint64_t x = seed * UINT64_C(0x2545f4914f6cdd1d) + stream * UINT64_C(0xda942042e4dd58b5);

        for (unsigned index = 0; index < 4; index++)
            machine->rng->word[stream][index] = splitmix64(&x);
    }
}

uint64_t rng_next(enum rng_stream stream)
{
    uint64_t *s = state()->word[stream];
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t rng_below(enum rng_stream stream, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)rng_next(stream) * bound) >> 64);
}
