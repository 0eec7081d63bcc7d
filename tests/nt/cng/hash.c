/* Hashes: BCryptOpenAlgorithmProvider to BCryptDestroyHash, for SHA-1 and SHA-256 and their HMACs. */
#include "nttest.h"

#if defined(__MINGW32__) /* it has no library of cng.sys */
TEST_TABLE(cng_hash){TEST_END};
#else
#include <bcrypt.h>

/* FIPS 180-4's examples: "abc". */
static const UCHAR Sha1OfAbc[20] = {0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
                                    0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
static const UCHAR Sha256OfAbc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                      0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                      0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
/* RFC 4231, test case 2: key "Jefe", "what do ya want for nothing?". */
static const UCHAR HmacOfJefe[32] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                                     0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                                     0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};

static BCRYPT_ALG_HANDLE Open(PCWSTR Algorithm, ULONG Flags)
{
    BCRYPT_ALG_HANDLE Provider = NULL;

    CHECK(BCryptOpenAlgorithmProvider(&Provider, Algorithm, NULL, Flags) == STATUS_SUCCESS);
    return Provider;
}

static VOID Close(BCRYPT_ALG_HANDLE Provider)
{
    CHECK(BCryptCloseAlgorithmProvider(Provider, 0) == STATUS_SUCCESS);
}

static ULONG Property(BCRYPT_HANDLE Object, PCWSTR Name)
{
    ULONG Value = 0, Size = 0;

    CHECK(BCryptGetProperty(Object, Name, (PUCHAR)&Value, sizeof(Value), &Size, 0) == STATUS_SUCCESS);
    CHECK(Size == sizeof(Value));
    return Value;
}

static VOID HashAbc(PCWSTR Algorithm, const UCHAR *Expected, ULONG Length)
{
    BCRYPT_ALG_HANDLE Provider = Open(Algorithm, 0);
    BCRYPT_HASH_HANDLE Hash = NULL;
    ULONG Size = Property(Provider, BCRYPT_OBJECT_LENGTH);
    PUCHAR Object = TestAllocate(Size);
    UCHAR Digest[32] = {0};

    EXPECT_EQUAL(Property(Provider, BCRYPT_HASH_LENGTH), Length);
    EXPECT_STATUS(BCryptCreateHash(Provider, &Hash, Object, Size, NULL, 0, 0), STATUS_SUCCESS);
    EXPECT_STATUS(BCryptHashData(Hash, (PUCHAR)(ULONG_PTR) "a", 1, 0), STATUS_SUCCESS);
    EXPECT_STATUS(BCryptHashData(Hash, (PUCHAR)(ULONG_PTR) "bc", 2, 0), STATUS_SUCCESS);
    EXPECT_STATUS(BCryptFinishHash(Hash, Digest, Length, 0), STATUS_SUCCESS);
    EXPECT_EQUAL(RtlCompareMemory(Digest, Expected, Length), Length);
    EXPECT_STATUS(BCryptDestroyHash(Hash), STATUS_SUCCESS);
    TestFree(Object);
    Close(Provider);
}

static VOID HashSha1(VOID)
{
    HashAbc(BCRYPT_SHA1_ALGORITHM, Sha1OfAbc, sizeof(Sha1OfAbc));
}

static VOID HashSha256(VOID)
{
    HashAbc(BCRYPT_SHA256_ALGORITHM, Sha256OfAbc, sizeof(Sha256OfAbc));
}

static VOID HashHmac(VOID)
{
    BCRYPT_ALG_HANDLE Provider = Open(BCRYPT_SHA256_ALGORITHM, BCRYPT_ALG_HANDLE_HMAC_FLAG);
    BCRYPT_HASH_HANDLE Hash = NULL;
    UCHAR Digest[32];

    /* Without memory of the caller's: since Windows 7 the library has its own. */
    EXPECT_STATUS(BCryptCreateHash(Provider, &Hash, NULL, 0, (PUCHAR)(ULONG_PTR) "Jefe", 4, 0), STATUS_SUCCESS);
    CHECK(BCryptHashData(Hash, (PUCHAR)(ULONG_PTR) "what do ya want for nothing?", 28, 0) == STATUS_SUCCESS);
    CHECK(BCryptFinishHash(Hash, Digest, sizeof(Digest), 0) == STATUS_SUCCESS);
    EXPECT_EQUAL(RtlCompareMemory(Digest, HmacOfJefe, sizeof(Digest)), sizeof(Digest));
    CHECK(BCryptDestroyHash(Hash) == STATUS_SUCCESS);
    Close(Provider);
}

/* A copy goes its own way; a finished hash has no state to copy. */
static VOID HashDuplicate(VOID)
{
    BCRYPT_ALG_HANDLE Provider = Open(BCRYPT_SHA1_ALGORITHM, 0);
    BCRYPT_HASH_HANDLE First, Second;
    UCHAR Digest[20];

    CHECK(BCryptCreateHash(Provider, &First, NULL, 0, NULL, 0, 0) == STATUS_SUCCESS);
    CHECK(BCryptHashData(First, (PUCHAR)(ULONG_PTR) "ab", 2, 0) == STATUS_SUCCESS);
    EXPECT_STATUS(BCryptDuplicateHash(First, &Second, NULL, 0, 0), STATUS_SUCCESS);
    CHECK(BCryptHashData(First, (PUCHAR)(ULONG_PTR) "x", 1, 0) == STATUS_SUCCESS);
    CHECK(BCryptHashData(Second, (PUCHAR)(ULONG_PTR) "c", 1, 0) == STATUS_SUCCESS);
    CHECK(BCryptFinishHash(Second, Digest, sizeof(Digest), 0) == STATUS_SUCCESS);
    EXPECT_EQUAL(RtlCompareMemory(Digest, Sha1OfAbc, sizeof(Digest)), sizeof(Digest));
    CHECK(BCryptFinishHash(First, Digest, sizeof(Digest), 0) == STATUS_SUCCESS);
    EXPECT_TRUE(RtlCompareMemory(Digest, Sha1OfAbc, sizeof(Digest)) != sizeof(Digest));
    EXPECT_STATUS(BCryptHashData(First, Digest, 1, 0), STATUS_INVALID_HANDLE);
    CHECK(BCryptDestroyHash(First) == STATUS_SUCCESS);
    CHECK(BCryptDestroyHash(Second) == STATUS_SUCCESS);
    Close(Provider);
}

static VOID HashReusable(VOID)
{
    BCRYPT_ALG_HANDLE Provider = Open(BCRYPT_SHA256_ALGORITHM, 0);
    BCRYPT_HASH_HANDLE Hash;
    UCHAR Digest[32];

    CHECK(BCryptCreateHash(Provider, &Hash, NULL, 0, NULL, 0, BCRYPT_HASH_REUSABLE_FLAG) == STATUS_SUCCESS);
    for (ULONG Turn = 0; Turn < 2; Turn++) {
        CHECK(BCryptHashData(Hash, (PUCHAR)(ULONG_PTR) "abc", 3, 0) == STATUS_SUCCESS);
        EXPECT_STATUS(BCryptFinishHash(Hash, Digest, sizeof(Digest), 0), STATUS_SUCCESS);
        EXPECT_EQUAL(RtlCompareMemory(Digest, Sha256OfAbc, sizeof(Digest)), sizeof(Digest));
    }
    CHECK(BCryptDestroyHash(Hash) == STATUS_SUCCESS);
    Close(Provider);
}

static VOID HashAtDispatchLevel(VOID)
{
    BCRYPT_ALG_HANDLE Provider = Open(BCRYPT_SHA1_ALGORITHM, BCRYPT_PROV_DISPATCH);
    ULONG Size = Property(Provider, BCRYPT_OBJECT_LENGTH), Length = 0, Result = 0;
    PUCHAR Object = TestAllocate(2 * Size);
    BCRYPT_HASH_HANDLE Hash = NULL, Copy = NULL;
    NTSTATUS Status[7];
    UCHAR Digest[20];
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status[0] = BCryptGetProperty(Provider, BCRYPT_HASH_LENGTH, (PUCHAR)&Length, sizeof(Length), &Result, 0);
    Status[1] = BCryptCreateHash(Provider, &Hash, Object, Size, NULL, 0, 0);
    Status[2] = BCryptHashData(Hash, (PUCHAR)(ULONG_PTR) "abc", 3, 0);
    Status[3] = BCryptDuplicateHash(Hash, &Copy, Object + Size, Size, 0);
    Status[4] = BCryptFinishHash(Hash, Digest, sizeof(Digest), 0);
    Status[5] = BCryptDestroyHash(Hash);
    Status[6] = BCryptDestroyHash(Copy);
    KeLowerIrql(Irql);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Status); Index++)
        EXPECT_STATUS(Status[Index], STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 20);
    TestFree(Object);
    Close(Provider);
}

/* Without BCRYPT_PROV_DISPATCH the limit is PASSIVE_LEVEL. */
static VOID HashAtDispatchLevelWithoutTheFlag(VOID)
{
    BCRYPT_ALG_HANDLE Provider = Open(BCRYPT_SHA1_ALGORITHM, 0);
    BCRYPT_HASH_HANDLE Hash;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) BCryptCreateHash(Provider, &Hash, NULL, 0, NULL, 0, 0);
    KeLowerIrql(Irql);
}

static VOID HashProviderFailures(VOID)
{
    BCRYPT_ALG_HANDLE Provider = NULL;
    ULONG Value = 0, Size = 0;

    EXPECT_STATUS(BCryptOpenAlgorithmProvider(&Provider, L"NoSuchHash", NULL, 0), STATUS_NOT_FOUND);
    EXPECT_STATUS(BCryptOpenAlgorithmProvider(&Provider, BCRYPT_SHA1_ALGORITHM, L"Nobody", 0), STATUS_NOT_FOUND);
    EXPECT_STATUS(BCryptOpenAlgorithmProvider(NULL, BCRYPT_SHA1_ALGORITHM, NULL, 0), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(BCryptOpenAlgorithmProvider(&Provider, BCRYPT_SHA1_ALGORITHM, NULL, 0x80000000),
                  STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(BCryptCloseAlgorithmProvider(NULL, 0), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(BCryptOpenAlgorithmProvider(&Provider, BCRYPT_SHA1_ALGORITHM, MS_PRIMITIVE_PROVIDER, 0),
                  STATUS_SUCCESS);
    EXPECT_STATUS(BCryptGetProperty(Provider, BCRYPT_HASH_LENGTH, NULL, 0, &Size, 0), STATUS_SUCCESS);
    EXPECT_EQUAL(Size, sizeof(ULONG));
    EXPECT_STATUS(BCryptGetProperty(Provider, BCRYPT_HASH_LENGTH, (PUCHAR)&Value, 1, &Size, 0),
                  STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(BCryptGetProperty(Provider, L"NoSuchProperty", (PUCHAR)&Value, sizeof(Value), &Size, 0),
                  STATUS_NOT_SUPPORTED);
    EXPECT_STATUS(BCryptGetProperty(Provider, BCRYPT_HASH_LENGTH, (PUCHAR)&Value, sizeof(Value), &Size, 1),
                  STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(BCryptGetProperty(NULL, BCRYPT_HASH_LENGTH, (PUCHAR)&Value, sizeof(Value), &Size, 0),
                  STATUS_INVALID_HANDLE);
    EXPECT_STATUS(BCryptCloseAlgorithmProvider(Provider, 1), STATUS_INVALID_PARAMETER);
    Close(Provider);
}

static VOID HashFailures(VOID)
{
    BCRYPT_ALG_HANDLE Provider = Open(BCRYPT_SHA1_ALGORITHM, 0);
    BCRYPT_HASH_HANDLE Hash = NULL, Copy = NULL;
    UCHAR Digest[20], Small[4];

    EXPECT_STATUS(BCryptCreateHash(NULL, &Hash, NULL, 0, NULL, 0, 0), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(BCryptCreateHash(Provider, NULL, NULL, 0, NULL, 0, 0), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(BCryptCreateHash(Provider, &Hash, Small, sizeof(Small), NULL, 0, 0), STATUS_BUFFER_TOO_SMALL);
    CHECK(BCryptCreateHash(Provider, &Hash, NULL, 0, NULL, 0, 0) == STATUS_SUCCESS);
    EXPECT_STATUS(BCryptHashData(NULL, Digest, 1, 0), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(BCryptHashData(Hash, Digest, 1, 7), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(BCryptDuplicateHash(NULL, &Copy, NULL, 0, 0), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(BCryptDuplicateHash(Hash, &Copy, Small, sizeof(Small), 0), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(BCryptDuplicateHash(Hash, NULL, NULL, 0, 0), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(BCryptFinishHash(Hash, Digest, sizeof(Digest) - 1, 0), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(BCryptFinishHash(NULL, Digest, sizeof(Digest), 0), STATUS_INVALID_HANDLE);
    CHECK(BCryptFinishHash(Hash, Digest, sizeof(Digest), 0) == STATUS_SUCCESS);
    EXPECT_STATUS(BCryptFinishHash(Hash, Digest, sizeof(Digest), 0), STATUS_INVALID_HANDLE);
    CHECK(BCryptDestroyHash(Hash) == STATUS_SUCCESS);
    EXPECT_STATUS(BCryptDestroyHash(NULL), STATUS_INVALID_HANDLE);
    Close(Provider);
}

TEST_TABLE(cng_hash){TEST(HashSha1, 0),
                     TEST(HashSha256, 0),
                     TEST(HashHmac, 0),
                     TEST(HashDuplicate, 0),
                     TEST(HashReusable, 0),
                     TEST(HashAtDispatchLevel, 0),
                     TEST_VIOLATION(HashAtDispatchLevelWithoutTheFlag, "irql", 0xC4),
                     TEST(HashProviderFailures, 0),
                     TEST(HashFailures, 0),
                     TEST_END};
#endif
