/* Memory routines that are more than a macro on the C library. Any IRQL on resident memory. */
#include "nt/rtl/rtl.h"

/* The number of bytes before the first difference. */
SIZE_T NTAPI RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length)
{
    const UCHAR *first = Source1, *second = Source2;
    SIZE_T index = 0;

    while (index < Length && first[index] == second[index])
        index++;
    return index;
}

/* The stores may not be left out although nobody reads them. */
PVOID NTAPI RtlSecureZeroMemory(PVOID Pointer, SIZE_T Size)
{
    memset(Pointer, 0, Size);
    __asm__ volatile("" : : "r"(Pointer) : "memory");
    return Pointer;
}

VOID NTAPI RtlPrefetchMemoryNonTemporal(const VOID *Source, SIZE_T Length)
{
    for (SIZE_T offset = 0; offset < Length; offset += SYSTEM_CACHE_ALIGNMENT_SIZE)
        __builtin_prefetch((const UCHAR *)Source + offset, 0, 0);
}
