/*
 * Bitmaps (RTL_BITMAP): bit n is bit n % 32 of word n / 32. Callable at any IRQL on resident memory; the caller
 * serialises. A bit or range outside the bitmap is a violation, since on Windows it would change or read memory behind
 * it.
 */
#include "nt/rtl/rtl.h"

#define NOT_FOUND 0xFFFFFFFFu

static void check_range(const RTL_BITMAP *map, ULONG start, ULONG count, const char *routine)
{
    if (start > map->SizeOfBitMap || count > map->SizeOfBitMap - start)
        nt_violation("bitmap-range", "%s: %u bits from bit %u on, of a bitmap of %u", routine, count, start,
                     map->SizeOfBitMap);
}

static bool get(const RTL_BITMAP *map, ULONG bit)
{
    return (map->Buffer[bit / 32] >> (bit % 32) & 1) != 0;
}

/* The next bit from `from` on that has the value, the bitmap's size if there is none. Whole words are skipped at once.
 */
static ULONG next_with(const RTL_BITMAP *map, ULONG from, bool value)
{
    while (from < map->SizeOfBitMap) {
        ULONG word = map->Buffer[from / 32];

        word = (value ? word : ~word) >> (from % 32);
        if (word != 0) {
            from += (ULONG)__builtin_ctz(word);
            return from < map->SizeOfBitMap ? from : map->SizeOfBitMap;
        }
        from = (from / 32 + 1) * 32;
    }
    return map->SizeOfBitMap;
}

static void fill(PRTL_BITMAP map, ULONG start, ULONG count, bool value)
{
    while (count > 0) {
        ULONG in_word = 32 - start % 32 < count ? 32 - start % 32 : count;
        ULONG mask = (in_word == 32 ? ~0u : (1u << in_word) - 1) << (start % 32);

        if (value)
            map->Buffer[start / 32] |= mask;
        else
            map->Buffer[start / 32] &= ~mask;
        start += in_word;
        count -= in_word;
    }
}

/* The first run of `count` bits of the value that begins at or behind `from` and below `below`. */
static ULONG find_run(const RTL_BITMAP *map, ULONG count, ULONG from, ULONG below, bool value)
{
    while (from < below) {
        ULONG start = next_with(map, from, value);
        ULONG end = next_with(map, start, !value);

        if (start >= below)
            break;
        if (end - start >= count)
            return start;
        from = end;
    }
    return NOT_FOUND;
}

/* From the hint on, then from the beginning. Zero bits are found at the hint's byte, as on Windows. */
static ULONG find(const RTL_BITMAP *map, ULONG count, ULONG hint, bool value)
{
    ULONG found;

    if (hint >= map->SizeOfBitMap)
        hint = 0;
    if (count == 0)
        return hint & ~7u;
    found = find_run(map, count, hint, map->SizeOfBitMap, value);
    return found != NOT_FOUND || hint == 0 ? found : find_run(map, count, 0, hint, value);
}

VOID NTAPI RtlInitializeBitMap(PRTL_BITMAP BitMapHeader, PULONG BitMapBuffer, ULONG SizeOfBitMap)
{
    BitMapHeader->SizeOfBitMap = SizeOfBitMap;
    BitMapHeader->Buffer = BitMapBuffer;
}

VOID NTAPI RtlClearBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    check_range(BitMapHeader, BitNumber, 1, __func__);
    fill(BitMapHeader, BitNumber, 1, false);
}

VOID NTAPI RtlSetBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    check_range(BitMapHeader, BitNumber, 1, __func__);
    fill(BitMapHeader, BitNumber, 1, true);
}

BOOLEAN NTAPI RtlTestBit(PRTL_BITMAP BitMapHeader, ULONG BitNumber)
{
    check_range(BitMapHeader, BitNumber, 1, __func__);
    return get(BitMapHeader, BitNumber);
}

/* The whole words, as on Windows: also the bits behind the bitmap's last in its last word. */
VOID NTAPI RtlClearAllBits(PRTL_BITMAP BitMapHeader)
{
    memset(BitMapHeader->Buffer, 0, (BitMapHeader->SizeOfBitMap + 31ull) / 32 * sizeof(ULONG));
}

VOID NTAPI RtlSetAllBits(PRTL_BITMAP BitMapHeader)
{
    memset(BitMapHeader->Buffer, 0xFF, (BitMapHeader->SizeOfBitMap + 31ull) / 32 * sizeof(ULONG));
}

VOID NTAPI RtlClearBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToClear)
{
    check_range(BitMapHeader, StartingIndex, NumberToClear, __func__);
    fill(BitMapHeader, StartingIndex, NumberToClear, false);
}

VOID NTAPI RtlSetBits(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG NumberToSet)
{
    check_range(BitMapHeader, StartingIndex, NumberToSet, __func__);
    fill(BitMapHeader, StartingIndex, NumberToSet, true);
}

/* FALSE for no bits at all and for a range that leaves the bitmap. */
static BOOLEAN all_are(const RTL_BITMAP *map, ULONG start, ULONG count, bool value)
{
    if (count == 0 || start >= map->SizeOfBitMap || count > map->SizeOfBitMap - start)
        return FALSE;
    return next_with(map, start, !value) >= start + count;
}

BOOLEAN NTAPI RtlAreBitsClear(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return all_are(BitMapHeader, StartingIndex, Length, false);
}

BOOLEAN NTAPI RtlAreBitsSet(PRTL_BITMAP BitMapHeader, ULONG StartingIndex, ULONG Length)
{
    return all_are(BitMapHeader, StartingIndex, Length, true);
}

ULONG NTAPI RtlFindClearBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return find(BitMapHeader, NumberToFind, HintIndex, false);
}

ULONG NTAPI RtlFindSetBits(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    return find(BitMapHeader, NumberToFind, HintIndex, true);
}

ULONG NTAPI RtlFindClearBitsAndSet(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    ULONG found = find(BitMapHeader, NumberToFind, HintIndex, false);

    if (found != NOT_FOUND)
        fill(BitMapHeader, found, NumberToFind, true);
    return found;
}

ULONG NTAPI RtlFindSetBitsAndClear(PRTL_BITMAP BitMapHeader, ULONG NumberToFind, ULONG HintIndex)
{
    ULONG found = find(BitMapHeader, NumberToFind, HintIndex, true);

    if (found != NOT_FOUND)
        fill(BitMapHeader, found, NumberToFind, false);
    return found;
}

/* Length of the first run of clear bits at or behind FromIndex, 0 if there is none. */
ULONG NTAPI RtlFindNextForwardRunClear(PRTL_BITMAP BitMapHeader, ULONG FromIndex, PULONG StartingRunIndex)
{
    ULONG start = next_with(BitMapHeader, FromIndex, false);

    *StartingRunIndex = start < BitMapHeader->SizeOfBitMap ? start : FromIndex;
    return next_with(BitMapHeader, start, true) - start;
}

ULONG NTAPI RtlFindFirstRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)
{
    return RtlFindNextForwardRunClear(BitMapHeader, 0, StartingIndex);
}

/*
 * Runs of clear bits: the first ones in order, or the longest ones, longest first (of equal ones the one that comes
 * first). Returns how many were stored.
 */
ULONG NTAPI RtlFindClearRuns(PRTL_BITMAP BitMapHeader, PRTL_BITMAP_RUN RunArray, ULONG SizeOfRunArray,
                             BOOLEAN LocateLongestRuns)
{
    ULONG stored = 0, from = 0, start, length;

    while ((length = RtlFindNextForwardRunClear(BitMapHeader, from, &start)) != 0) {
        ULONG place = stored;

        if (!LocateLongestRuns && stored == SizeOfRunArray)
            break;
        if (LocateLongestRuns)
            while (place > 0 && RunArray[place - 1].NumberOfBits < length)
                place--;
        if (place < SizeOfRunArray) {
            ULONG last = stored < SizeOfRunArray ? stored++ : SizeOfRunArray - 1;

            memmove(&RunArray[place + 1], &RunArray[place], (last - place) * sizeof(*RunArray));
            RunArray[place].StartingIndex = start;
            RunArray[place].NumberOfBits = length;
        }
        from = start + length;
    }
    return stored;
}

ULONG NTAPI RtlFindLongestRunClear(PRTL_BITMAP BitMapHeader, PULONG StartingIndex)
{
    RTL_BITMAP_RUN longest = {.StartingIndex = 0, .NumberOfBits = 0};

    RtlFindClearRuns(BitMapHeader, &longest, 1, TRUE);
    *StartingIndex = longest.StartingIndex;
    return longest.NumberOfBits;
}

ULONG NTAPI RtlNumberOfSetBits(PRTL_BITMAP BitMapHeader)
{
    ULONG count = 0, full = BitMapHeader->SizeOfBitMap / 32, rest = BitMapHeader->SizeOfBitMap % 32;

    for (ULONG index = 0; index < full; index++)
        count += (ULONG)__builtin_popcount(BitMapHeader->Buffer[index]);
    if (rest != 0)
        count += (ULONG)__builtin_popcount(BitMapHeader->Buffer[full] & ((1u << rest) - 1));
    return count;
}

ULONG NTAPI RtlNumberOfClearBits(PRTL_BITMAP BitMapHeader)
{
    return BitMapHeader->SizeOfBitMap - RtlNumberOfSetBits(BitMapHeader);
}

ULONG NTAPI RtlNumberOfSetBitsUlongPtr(ULONG_PTR Target)
{
    return (ULONG)__builtin_popcountll(Target);
}

/* -1 if no bit is set. */
CCHAR NTAPI RtlFindLeastSignificantBit(ULONGLONG Set)
{
    return Set == 0 ? -1 : (CCHAR)__builtin_ctzll(Set);
}

CCHAR NTAPI RtlFindMostSignificantBit(ULONGLONG Set)
{
    return Set == 0 ? -1 : (CCHAR)(63 - __builtin_clzll(Set));
}
