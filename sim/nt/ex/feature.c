/* Processor features by the numbers of winnt.h (PF_...). */
#include <ntddk.h>
#include <intrin.h>

#include "nt/nt.h"

enum cpuid_register { EAX, EBX, ECX, EDX };

struct feature {
    uint8_t number;
    bool always; /* every processor that Windows 10 runs on has it */
    uint32_t leaf;
    uint8_t reg; /* enum cpuid_register */
    uint8_t bit;
};

static const struct feature features[] = {
    {.number = 2, .always = true},                             /* PF_COMPARE_EXCHANGE_DOUBLE */
    {.number = 3, .always = true},                             /* PF_MMX_INSTRUCTIONS_AVAILABLE */
    {.number = 6, .always = true},                             /* PF_XMMI_INSTRUCTIONS_AVAILABLE */
    {.number = 8, .always = true},                             /* PF_RDTSC_INSTRUCTION_AVAILABLE */
    {.number = 9, .always = true},                             /* PF_PAE_ENABLED */
    {.number = 10, .always = true},                            /* PF_XMMI64_INSTRUCTIONS_AVAILABLE */
    {.number = 12, .always = true},                            /* PF_NX_ENABLED */
    {.number = 14, .always = true},                            /* PF_COMPARE_EXCHANGE128 */
    {.number = 23, .always = true},                            /* PF_FASTFAIL_AVAILABLE */
    {.number = 13, .leaf = 1, .reg = ECX, .bit = 0},           /* PF_SSE3_INSTRUCTIONS_AVAILABLE */
    {.number = 17, .leaf = 1, .reg = ECX, .bit = 26},          /* PF_XSAVE_ENABLED */
    {.number = 22, .leaf = 7, .reg = EBX, .bit = 0},           /* PF_RDWRFSGSBASE_AVAILABLE */
    {.number = 28, .leaf = 1, .reg = ECX, .bit = 30},          /* PF_RDRAND_INSTRUCTION_AVAILABLE */
    {.number = 32, .leaf = 0x80000001, .reg = EDX, .bit = 27}, /* PF_RDTSCP_INSTRUCTION_AVAILABLE */
    {.number = 36, .leaf = 1, .reg = ECX, .bit = 9},           /* PF_SSSE3_INSTRUCTIONS_AVAILABLE */
    {.number = 37, .leaf = 1, .reg = ECX, .bit = 19},          /* PF_SSE4_1_INSTRUCTIONS_AVAILABLE */
    {.number = 38, .leaf = 1, .reg = ECX, .bit = 20},          /* PF_SSE4_2_INSTRUCTIONS_AVAILABLE */
    {.number = 39, .leaf = 1, .reg = ECX, .bit = 28},          /* PF_AVX_INSTRUCTIONS_AVAILABLE */
    {.number = 40, .leaf = 7, .reg = EBX, .bit = 5},           /* PF_AVX2_INSTRUCTIONS_AVAILABLE */
    {.number = 41, .leaf = 7, .reg = EBX, .bit = 16},          /* PF_AVX512F_INSTRUCTIONS_AVAILABLE */
};

/* A number that is not known is a feature that is not there, as documented. */
BOOLEAN NTAPI ExIsProcessorFeaturePresent(ULONG ProcessorFeature)
{
    NT_CALL_ANY();
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        int registers[4];

        if (features[i].number != ProcessorFeature)
            continue;
        if (features[i].always)
            return TRUE;
        __cpuid(registers, (int)(features[i].leaf & 0x80000000));
        if ((uint32_t)registers[EAX] < features[i].leaf)
            return FALSE;
        __cpuidex(registers, (int)features[i].leaf, 0);
        return ((uint32_t)registers[features[i].reg] >> features[i].bit & 1) != 0;
    }
    return FALSE;
}
