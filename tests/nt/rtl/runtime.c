/*
 * Memory, the C library's routines that ntoskrnl exports, byte order, random numbers, version and stack traces. Those
 * of wdm.h after their pages; the C library's after the language's standard, since the driver kit documents no more of
 * them.
 */
#include "nttest.h"

/* mingw-w64 (version 10) has these in its C library alone. */
#if defined(__MINGW32__)
#define _byteswap_ushort(_Value) __builtin_bswap16(_Value)
#define _byteswap_ulong(_Value) __builtin_bswap32(_Value)
#define _byteswap_uint64(_Value) __builtin_bswap64(_Value)
#endif

#define BEFORE "........"

/* ---- memory ---- */

static VOID MemoryCopy(VOID)
{
    CHAR Buffer[9] = BEFORE;

    RtlCopyMemory(Buffer + 1, "abc", 3);
    EXPECT_TEXT(Buffer, ".abc....");
    RtlCopyMemory(Buffer, "x", 0);
    EXPECT_TEXT(Buffer, ".abc....");
    EXPECT_TRUE(memcpy(Buffer + 5, "yz", 2) == Buffer + 5);
    EXPECT_TEXT(Buffer, ".abc.yz.");
}

/* The blocks may overlap, in either direction. */
static VOID MemoryMove(VOID)
{
    CHAR Buffer[9] = "abcdefgh";

    RtlMoveMemory(Buffer + 2, Buffer, 4);
    EXPECT_TEXT(Buffer, "ababcdgh");
    RtlMoveMemory(Buffer, Buffer + 2, 4);
    EXPECT_TEXT(Buffer, "abcdcdgh");
    EXPECT_TRUE(memmove(Buffer + 1, Buffer, 7) == Buffer + 1);
    EXPECT_TEXT(Buffer, "aabcdcdg");
}

static VOID MemoryFill(VOID)
{
    CHAR Buffer[9] = BEFORE;

    RtlFillMemory(Buffer + 1, 3, 'f');
    EXPECT_TEXT(Buffer, ".fff....");
    RtlFillMemory(Buffer, 0, 'x');
    RtlZeroMemory(Buffer + 2, 1);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, ".f\0f....", 8), 8);
    (VOID) RtlSecureZeroMemory(Buffer + 6, 2);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, ".f\0f..\0\0", 8), 8);
    EXPECT_TRUE(memset(Buffer, 0x141, 2) == Buffer); /* as an unsigned char */
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "AA\0f", 4), 4);
}

static VOID MemoryCompare(VOID)
{
    EXPECT_EQUAL(RtlCompareMemory("abcd", "abxd", 4), 2);
    EXPECT_EQUAL(RtlCompareMemory("abcd", "abcd", 4), 4);
    EXPECT_EQUAL(RtlCompareMemory("abcd", "xbcd", 4), 0);
    EXPECT_EQUAL(RtlCompareMemory("abcd", "abcd", 0), 0);
    EXPECT_TRUE(RtlEqualMemory("a\0b", "a\0b", 3));
    EXPECT_FALSE(RtlEqualMemory("a\0b", "a\0c", 3));
    EXPECT_TRUE(RtlEqualMemory("a\0b", "a\0c", 2));
    EXPECT_TRUE(memcmp("abc", "abd", 3) < 0);
    EXPECT_TRUE(memcmp("a\x80", "a\x7F", 2) > 0); /* as unsigned chars */
    EXPECT_EQUAL(memcmp("abc", "abd", 2), 0);
}

static VOID MemorySearch(VOID)
{
    static const CHAR Text[] = "a\0bab";

    EXPECT_TRUE(memchr(Text, 'b', 5) == Text + 2);
    EXPECT_TRUE(memchr(Text, 0, 5) == Text + 1);
    EXPECT_TRUE(memchr(Text, 'b', 2) == NULL);
    EXPECT_TRUE(memchr(Text, 0x161, 5) == Text); /* as an unsigned char */
}

/* Nothing but time shows what it does. */
static VOID MemoryPrefetch(VOID)
{
    CHAR Buffer[200];

    RtlFillMemory(Buffer, sizeof(Buffer), 'p');
    RtlPrefetchMemoryNonTemporal(Buffer, sizeof(Buffer));
    EXPECT_EQUAL(Buffer[199], 'p');
}

static VOID MemoryAtHighLevel(VOID)
{
    CHAR Buffer[9] = BEFORE;
    SIZE_T Same;
    BOOLEAN Equal;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    RtlCopyMemory(Buffer, "abcd", 4);
    RtlMoveMemory(Buffer + 1, Buffer, 3);
    RtlFillMemory(Buffer + 4, 1, 'f');
    RtlZeroMemory(Buffer + 6, 1);
    (VOID) RtlSecureZeroMemory(Buffer + 7, 1);
    Same = RtlCompareMemory(Buffer, "aabx", 4);
    Equal = RtlEqualMemory(Buffer, "aabc", 4);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Same, 3);
    EXPECT_TRUE(Equal);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "aabcf.\0\0", 8), 8);
}

/* ---- strings of the C library ---- */

static VOID CharsLengths(VOID)
{
    EXPECT_EQUAL(strlen(""), 0);
    EXPECT_EQUAL(strlen("four"), 4);
    EXPECT_EQUAL(strnlen("four", 2), 2);
    EXPECT_EQUAL(strnlen("four", 9), 4);
    EXPECT_EQUAL(strspn("aabxa", "ab"), 3);
    EXPECT_EQUAL(strspn("xab", "ab"), 0);
    EXPECT_EQUAL(strspn("ab", "ba"), 2);
}

static VOID CharsCompare(VOID)
{
    EXPECT_EQUAL(strcmp("abc", "abc"), 0);
    EXPECT_TRUE(strcmp("abc", "abd") < 0);
    EXPECT_TRUE(strcmp("abc", "ab") > 0);
    EXPECT_TRUE(strcmp("\x80", "\x7F") > 0); /* as unsigned chars */
    EXPECT_EQUAL(strncmp("abc", "abd", 2), 0);
    EXPECT_TRUE(strncmp("abc", "abd", 3) < 0);
    EXPECT_EQUAL(strncmp("ab", "ab\0c", 9), 0); /* not beyond the zero */
}

static VOID CharsSearch(VOID)
{
    static const CHAR Text[] = "banana";

    EXPECT_TRUE(strchr(Text, 'n') == Text + 2);
    EXPECT_TRUE(strrchr(Text, 'n') == Text + 4);
    EXPECT_TRUE(strchr(Text, 0) == Text + 6);
    EXPECT_TRUE(strrchr(Text, 0) == Text + 6);
    EXPECT_TRUE(strchr(Text, 'x') == NULL);
    EXPECT_TRUE(strrchr(Text, 'x') == NULL);
    EXPECT_TRUE(strstr(Text, "nan") == Text + 2);
    EXPECT_TRUE(strstr(Text, "") == Text);
    EXPECT_TRUE(strstr(Text, "nab") == NULL);
}

static VOID CharsCopy(VOID)
{
    CHAR Buffer[9] = BEFORE;
    volatile SIZE_T Two = 2; /* compilers warn of what they know to be cut */

    EXPECT_TRUE(strcpy(Buffer, "ab") == Buffer);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "ab\0.....", 8), 8);
    EXPECT_TRUE(strcat(Buffer, "cd") == Buffer);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "abcd\0...", 8), 8);
    EXPECT_TRUE(strncat(Buffer, "efg", Two) == Buffer); /* two, and a zero */
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "abcdef\0.", 8), 8);
    EXPECT_TRUE(strncpy(Buffer, "xyz", Two) == Buffer); /* no zero behind two of three */
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "xycdef\0.", 8), 8);
    (VOID) strncpy(Buffer, "q", 5); /* zeros up to the count */
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "q\0\0\0\0f\0.", 8), 8);
}

/* ---- byte order and integers ---- */

static VOID IntegerByteSwaps(VOID)
{
    volatile USHORT Short = 0x1234;
    volatile ULONG Long = 0x12345678;
    volatile ULONGLONG LongLong = 0x123456789ABCDEF0ULL;

    EXPECT_EQUAL(RtlUshortByteSwap(Short), 0x3412);
    EXPECT_EQUAL(RtlUlongByteSwap(Long), 0x78563412);
    EXPECT_EQUAL(RtlUlonglongByteSwap(LongLong), (LONGLONG)0xF0DEBC9A78563412ULL);
    EXPECT_EQUAL(_byteswap_ushort(Short), 0x3412);
    EXPECT_EQUAL(_byteswap_ulong(Long), 0x78563412);
    EXPECT_EQUAL(_byteswap_uint64(LongLong), (LONGLONG)0xF0DEBC9A78563412ULL);
}

static VOID IntegerToLarge(VOID)
{
    EXPECT_EQUAL(RtlConvertLongToLargeInteger(-5).QuadPart, -5);
    EXPECT_EQUAL(RtlConvertLongToLargeInteger(MAXLONG).QuadPart, MAXLONG);
    EXPECT_EQUAL(RtlConvertUlongToLargeInteger(5).QuadPart, 5);
    EXPECT_EQUAL(RtlConvertUlongToLargeInteger(0xFFFFFFFBU).QuadPart, 0xFFFFFFFBLL); /* no sign */
}

static VOID IntegerAtHighLevel(VOID)
{
    volatile ULONG Value = 0x12345678;
    LONGLONG Signed, Unsigned;
    ULONGLONG Swapped;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Swapped = RtlUlonglongByteSwap((ULONGLONG)RtlUlongByteSwap(Value)) >> 32 | RtlUshortByteSwap(1);
    Signed = RtlConvertLongToLargeInteger(-1).QuadPart;
    Unsigned = RtlConvertUlongToLargeInteger(Value).QuadPart;
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Swapped, 0x12345678 | 0x100);
    EXPECT_EQUAL(Signed, -1);
    EXPECT_EQUAL(Unsigned, 0x12345678);
}

/* ---- random numbers ---- */

typedef ULONG(NTAPI *RANDOM)(PULONG Seed);

/* In [0, MAXLONG - 1], and over all of it: no quarter of it is left out. */
static VOID CheckRandom(RANDOM Random)
{
    ULONG Seed = 1, Index, Value, Quarters = 0;

    for (Index = 0; Index < 200; Index++) {
        Value = Random(&Seed);
        CHECK(Value < MAXLONG);
        Quarters |= 1U << (Value / (MAXLONG / 4 + 1));
    }
    EXPECT_EQUAL(Quarters, 0xF);
    EXPECT_TRUE(Seed != 1);
}

static VOID RandomRange(VOID)
{
    CheckRandom(RtlRandom);
    CheckRandom(RtlRandomEx);
}

/* RtlUniform is in no import library of mingw-w64: looked up. It is a function of its seed alone. */
static VOID RandomUniform(VOID)
{
    UNICODE_STRING Name;
    ULONG First = 7, Second = 7, Index;
    RANDOM Uniform;

    RtlInitUnicodeString(&Name, L"RtlUniform");
    Uniform = (RANDOM)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    REQUIRE(Uniform != NULL);
    CheckRandom(Uniform);
    for (Index = 0; Index < 10; Index++)
        CHECK(Uniform(&First) == Uniform(&Second));
    EXPECT_EQUAL(First, Second);
}

static VOID RandomAtApcLevel(VOID)
{
    ULONG Seed = 3, Values[2];
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    Values[0] = RtlRandom(&Seed);
    Values[1] = RtlRandomEx(&Seed);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Values[0] < MAXLONG);
    EXPECT_TRUE(Values[1] < MAXLONG);
}

/* ---- version ---- */

static VOID VersionOfTheSystem(VOID)
{
    RTL_OSVERSIONINFOEXW Long = {.dwOSVersionInfoSize = sizeof(Long), .wProductType = 0xFF};
    struct {
        RTL_OSVERSIONINFOW Short;
        ULONG Behind;
    } Information = {.Short.dwOSVersionInfoSize = sizeof(RTL_OSVERSIONINFOW), .Behind = 0x5A5A5A5A};
    ULONG Major, Minor, Build;

    EXPECT_STATUS(RtlGetVersion((PRTL_OSVERSIONINFOW)&Long), STATUS_SUCCESS);
    EXPECT_TRUE(Long.dwMajorVersion >= 10);
    EXPECT_EQUAL(Long.dwPlatformId, VER_PLATFORM_WIN32_NT);
    EXPECT_TRUE(Long.wProductType >= VER_NT_WORKSTATION && Long.wProductType <= VER_NT_SERVER);
    EXPECT_STATUS(RtlGetVersion(&Information.Short), STATUS_SUCCESS); /* the size says which of the two it is */
    EXPECT_EQUAL(Information.Short.dwBuildNumber, Long.dwBuildNumber);
    EXPECT_EQUAL(Information.Behind, 0x5A5A5A5A);
    (VOID) PsGetVersion(&Major, &Minor, &Build, NULL);
    EXPECT_EQUAL(Major, Long.dwMajorVersion);
    EXPECT_EQUAL(Minor, Long.dwMinorVersion);
    EXPECT_EQUAL(Build, Long.dwBuildNumber);
    OBSERVE("build", Build);
}

/* In the driver kit a library's routine stands for it: the kernel's own is looked up. */
static VOID VersionAvailable(VOID)
{
    BOOLEAN(NTAPI * Available)(ULONG Version);
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, L"RtlIsNtDdiVersionAvailable");
    Available = (BOOLEAN(NTAPI *)(ULONG))(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    REQUIRE(Available != NULL);
    EXPECT_TRUE(Available(0x05000000)); /* NTDDI_WIN2K: the same or later */
    EXPECT_TRUE(Available(0x06010000)); /* NTDDI_WIN7 */
    EXPECT_TRUE(Available(0x06030000)); /* NTDDI_WINBLUE */
    EXPECT_FALSE(Available(0x7F000000));
}

/* ---- stack traces ---- */

static __attribute__((noinline)) USHORT Capture(ULONG Skip, ULONG Count, PVOID *Frames, PULONG Hash)
{
    USHORT Captured = RtlCaptureStackBackTrace(Skip, Count, Frames, Hash);

    __asm__ volatile("" : : : "memory"); /* no tail call */
    return Captured;
}

static VOID StackCapture(VOID)
{
    PVOID Frames[8] = {NULL}, Again[8] = {NULL}, *Into[2] = {Frames, Again};
    volatile ULONG Times = 2; /* one call, that no compiler makes two of: the same stack */
    ULONG Hashes[2] = {0, 1}, Index;
    USHORT Captured[2];

    for (Index = 0; Index < Times; Index++)
        Captured[Index] = Capture(0, 8, Into[Index], &Hashes[Index]);
    EXPECT_TRUE(Captured[0] >= 2);
    EXPECT_EQUAL(Captured[1], Captured[0]);
    EXPECT_EQUAL(Hashes[0], Hashes[1]);
    EXPECT_TRUE((PUCHAR)Frames[0] > (PUCHAR)(ULONG_PTR)Capture && (PUCHAR)Frames[0] < (PUCHAR)(ULONG_PTR)Capture + 512);
}

static VOID StackSkipAndCount(VOID)
{
    PVOID Frames[8] = {NULL}, Skipped[8] = {NULL}, *Into[2] = {Frames, Skipped};
    volatile ULONG Times = 2; /* as above */
    USHORT Captured[2];
    ULONG Index;

    for (Index = 0; Index < Times; Index++)
        Captured[Index] = Capture(Index, 8 - Index, Into[Index], NULL);
    EXPECT_TRUE(Captured[0] >= 2);
    EXPECT_EQUAL(Captured[1], Captured[0] - 1);
    EXPECT_TRUE(Skipped[0] == Frames[1]);
    EXPECT_EQUAL(Capture(0, 1, Skipped, NULL), 1);
    EXPECT_EQUAL(Capture(1000, 8, Skipped, NULL), 0);
}

static VOID StackAtDispatchLevel(VOID)
{
    PVOID Frames[4];
    USHORT Captured;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Captured = Capture(0, 4, Frames, NULL);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Captured >= 2);
}

/* RtlWalkFrameChain: declared by ntddk.h, and no page tells more. */
static VOID StackWalk(VOID)
{
    PVOID Frames[8] = {NULL};
    ULONG Count = RtlWalkFrameChain(Frames, 8, 0);

    EXPECT_TRUE(Count >= 1 && Count <= 8);
    EXPECT_TRUE(Frames[0] != NULL);
    EXPECT_EQUAL(RtlWalkFrameChain(Frames, 1, 0), 1);
}

/* ---- object attributes ---- */

static VOID ObjectAttributesInitialized(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    ULONG Security; /* any address */

    RtlInitUnicodeString(&Name, L"\\Driver");
    RtlFillMemory(&Attributes, sizeof(Attributes), 0xFF);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, (HANDLE)&Name, &Security);
    EXPECT_EQUAL(Attributes.Length, sizeof(Attributes));
    EXPECT_TRUE(Attributes.ObjectName == &Name);
    EXPECT_EQUAL(Attributes.Attributes, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE);
    EXPECT_TRUE(Attributes.RootDirectory == (HANDLE)&Name);
    EXPECT_TRUE(Attributes.SecurityDescriptor == &Security);
    EXPECT_TRUE(Attributes.SecurityQualityOfService == NULL); /* always */
}

TEST_TABLE(rtl_runtime){
    TEST(MemoryCopy, 0),
    TEST(MemoryMove, 0),
    TEST(MemoryFill, 0),
    TEST(MemoryCompare, 0),
    TEST(MemorySearch, 0),
    TEST(MemoryPrefetch, 0),
    TEST(MemoryAtHighLevel, 0),
    TEST(CharsLengths, 0),
    TEST(CharsCompare, 0),
    TEST(CharsSearch, 0),
    TEST(CharsCopy, 0),
    TEST(IntegerByteSwaps, 0),
    TEST(IntegerToLarge, 0),
    TEST(IntegerAtHighLevel, 0),
    TEST(RandomRange, 0),
    TEST(RandomUniform, 0),
    TEST(RandomAtApcLevel, 0),
    TEST(VersionOfTheSystem, 0),
    TEST(VersionAvailable, 0),
    TEST(StackCapture, 0),
    TEST(StackSkipAndCount, 0),
    TEST(StackAtDispatchLevel, 0),
    TEST(StackWalk, 0),
    TEST(ObjectAttributesInitialized, 0),
    TEST_END,
};
