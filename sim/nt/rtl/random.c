/*
 * Pseudo-random numbers for drivers, in [0, MAXLONG - 1]. RtlUniform is the documented linear congruential generator
 * (Lehmer 1948); RtlRandom and RtlRandomEx shuffle its numbers through a table that the whole system shares (Bays and
 * Durham), filled from the machine's seed.
 */
#include "nt/rtl/rtl.h"

#define MODULUS 0x7FFFFFFFull

void rtl_random_init(struct rtl_state *rtl)
{
    for (size_t index = 0; index < ARRAYSIZE(rtl->random); index++)
        rtl->random[index] = (ULONG)rng_below(RNG_GUEST, MODULUS);
}

ULONG NTAPI RtlUniform(PULONG Seed)
{
    *Seed = (ULONG)((*Seed * 0x7FFFFFEDull + 0x7FFFFFC3ull) % MODULUS);
    return *Seed;
}

static ULONG shuffled(PULONG seed)
{
    struct rtl_state *rtl = machine->rtl;
    ULONG fresh = RtlUniform(seed);
    ULONG *slot = &rtl->random[fresh % ARRAYSIZE(rtl->random)];
    ULONG value = *slot;

    *slot = RtlUniform(seed);
    return value;
}

ULONG NTAPI RtlRandom(PULONG Seed)
{
    NT_CALL(APC_LEVEL);
    return shuffled(Seed);
}

ULONG NTAPI RtlRandomEx(PULONG Seed)
{
    NT_CALL(APC_LEVEL);
    return shuffled(Seed);
}
