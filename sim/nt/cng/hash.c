/*
 * Hashes by bcrypt.h: SHA-1 and SHA-256, and HMACs of them, computed by nettle. A hash's state lies in the memory that
 * the driver gives for it; what the kernel knows of the handle is in the machine image.
 */
#include <bcrypt.h>
#include <string.h>

#include <nettle/hmac.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

#define TAG_HASH POOL_TAG('B', 'c', 'H', 'a')
#define ALIGNMENT 16u

enum algorithm_id { SHA1, SHA256, ALGORITHMS };

static const struct {
    PCWSTR name;
    ULONG digest;
    ULONG block;
} algorithms[ALGORITHMS] = {
    [SHA1] = {BCRYPT_SHA1_ALGORITHM, SHA1_DIGEST_SIZE, SHA1_BLOCK_SIZE},
    [SHA256] = {BCRYPT_SHA256_ALGORITHM, SHA256_DIGEST_SIZE, SHA256_BLOCK_SIZE},
};

struct provider {
    LIST_ENTRY entry;
    enum algorithm_id id;
    ULONG flags;
};

/* In the driver's memory. */
union hash_state {
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct hmac_sha1_ctx hmac_sha1;
    struct hmac_sha256_ctx hmac_sha256;
};

#define OBJECT_LENGTH ((ULONG)(sizeof(union hash_state) + ALIGNMENT))

struct hash {
    LIST_ENTRY entry;
    enum algorithm_id id;
    bool keyed;
    bool reusable;
    bool finished;
    ULONG provider_flags;
    union hash_state *state;
    void *owned; /* pool of ours, when the driver gave no memory */
};

struct cng_state {
    LIST_ENTRY providers;
    LIST_ENTRY hashes;
};

void cng_init(void)
{
    struct cng_state *cng = image_alloc(sizeof(*cng));

    InitializeListHead(&cng->providers);
    InitializeListHead(&cng->hashes);
    machine->cng = cng;
}

static bool in_list(const LIST_ENTRY *list, const LIST_ENTRY *which)
{
    for (const LIST_ENTRY *entry = list->Flink; entry != list; entry = entry->Flink)
        if (entry == which)
            return true;
    return false;
}

static struct provider *provider_of(BCRYPT_HANDLE handle)
{
    struct provider *provider = handle;

    return handle != NULL && in_list(&machine->cng->providers, &provider->entry) ? provider : NULL;
}

static struct hash *hash_of(BCRYPT_HANDLE handle)
{
    struct hash *hash = handle;

    return handle != NULL && in_list(&machine->cng->hashes, &hash->entry) ? hash : NULL;
}

/* The limit depends on how the provider was opened. */
static KIRQL limit_of(BCRYPT_HANDLE handle)
{
    const struct provider *provider = provider_of(handle);
    const struct hash *hash = hash_of(handle);
    ULONG flags = provider != NULL ? provider->flags : hash != NULL ? hash->provider_flags : 0;

    return (flags & BCRYPT_PROV_DISPATCH) != 0 ? DISPATCH_LEVEL : PASSIVE_LEVEL;
}

#define CNG_CALL(handle)                                                                                               \
    KERNEL_SCOPE();                                                                                                    \
    nt_call(__func__, __builtin_return_address(0), 0, limit_of(handle), POINT_CALL)

/* ---- providers ---- */

static bool same_text(PCWSTR a, PCWSTR b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

NTSTATUS NTAPI BCryptOpenAlgorithmProvider(BCRYPT_ALG_HANDLE *phAlgorithm, PCWSTR pszAlgId, PCWSTR pszImplementation,
                                           ULONG dwFlags)
{
    const ULONG known = BCRYPT_PROV_DISPATCH | BCRYPT_ALG_HANDLE_HMAC_FLAG | BCRYPT_HASH_REUSABLE_FLAG;
    struct provider *provider;
    unsigned id = 0;

    NT_CALL(PASSIVE_LEVEL);
    if (phAlgorithm == NULL || pszAlgId == NULL || (dwFlags & ~known) != 0)
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    while (id < ALGORITHMS && !same_text(pszAlgId, algorithms[id].name))
        id++;
    if (id == ALGORITHMS || (pszImplementation != NULL && !same_text(pszImplementation, MS_PRIMITIVE_PROVIDER)))
        return STATUS_NOT_FOUND;
    provider = image_alloc(sizeof(*provider));
    provider->id = (enum algorithm_id)id;
    provider->flags = dwFlags;
    InsertTailList(&machine->cng->providers, &provider->entry);
    *phAlgorithm = provider;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI BCryptCloseAlgorithmProvider(BCRYPT_ALG_HANDLE hAlgorithm, ULONG dwFlags)
{
    struct provider *provider;

    NT_CALL(PASSIVE_LEVEL);
    provider = provider_of(hAlgorithm);
    if (provider == NULL)
        return STATUS_INVALID_HANDLE;
    if (dwFlags != 0)
        return STATUS_INVALID_PARAMETER;
    RemoveEntryList(&provider->entry);
    image_free(provider);
    return STATUS_SUCCESS;
}

static NTSTATUS give_property(const void *value, ULONG size, PUCHAR output, ULONG room, ULONG *result)
{
    *result = size;
    if (output == NULL)
        return STATUS_SUCCESS; /* the size was asked for */
    if (room < size)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(output, value, size);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI BCryptGetProperty(BCRYPT_HANDLE hObject, PCWSTR pszProperty, PUCHAR pbOutput, ULONG cbOutput,
                                 ULONG *pcbResult, ULONG dwFlags)
{
    const struct provider *provider;
    const struct hash *hash;
    enum algorithm_id id;
    ULONG number;

    CNG_CALL(hObject);
    provider = provider_of(hObject);
    hash = hash_of(hObject);
    if (provider == NULL && hash == NULL)
        return STATUS_INVALID_HANDLE;
    if (pszProperty == NULL || pcbResult == NULL || dwFlags != 0)
        return STATUS_INVALID_PARAMETER;
    id = provider != NULL ? provider->id : hash->id;
    if (same_text(pszProperty, BCRYPT_ALGORITHM_NAME)) {
        PCWSTR name = algorithms[id].name;
        ULONG length = 0;

        while (name[length] != 0)
            length++;
        return give_property(name, (length + 1) * sizeof(WCHAR), pbOutput, cbOutput, pcbResult);
    }
    if (same_text(pszProperty, BCRYPT_OBJECT_LENGTH) && provider != NULL)
        number = OBJECT_LENGTH;
    else if (same_text(pszProperty, BCRYPT_HASH_LENGTH))
        number = algorithms[id].digest;
    else if (same_text(pszProperty, BCRYPT_HASH_BLOCK_LENGTH))
        number = algorithms[id].block;
    else
        return STATUS_NOT_SUPPORTED;
    return give_property(&number, sizeof(number), pbOutput, cbOutput, pcbResult);
}

/* ---- hashes ---- */

static void begin(struct hash *hash, const UCHAR *secret, ULONG length)
{
    if (!hash->keyed && hash->id == SHA1)
        sha1_init(&hash->state->sha1);
    else if (!hash->keyed)
        sha256_init(&hash->state->sha256);
    else if (hash->id == SHA1)
        hmac_sha1_set_key(&hash->state->hmac_sha1, length, secret);
    else
        hmac_sha256_set_key(&hash->state->hmac_sha256, length, secret);
}

/* A hash with room for its state, in the driver's memory or in ours. */
static NTSTATUS make_hash(PUCHAR object, ULONG room, const void *caller, struct hash **result)
{
    void *owned = NULL;
    struct hash *hash;

    if (object != NULL && room < OBJECT_LENGTH)
        return STATUS_BUFFER_TOO_SMALL;
    if (object == NULL) {
        owned = pool_allocate(NonPagedPoolNx, OBJECT_LENGTH, TAG_HASH, caller);
        if (owned == NULL)
            return STATUS_NO_MEMORY;
        object = owned;
    }
    hash = image_alloc(sizeof(*hash));
    hash->owned = owned;
    hash->state = (union hash_state *)(((uintptr_t)object + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
    InsertTailList(&machine->cng->hashes, &hash->entry);
    *result = hash;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI BCryptCreateHash(BCRYPT_ALG_HANDLE hAlgorithm, BCRYPT_HASH_HANDLE *phHash, PUCHAR pbHashObject,
                                ULONG cbHashObject, PUCHAR pbSecret, ULONG cbSecret, ULONG dwFlags)
{
    const struct provider *provider;
    struct hash *hash;
    bool keyed;
    NTSTATUS status;

    CNG_CALL(hAlgorithm);
    provider = provider_of(hAlgorithm);
    if (provider == NULL)
        return STATUS_INVALID_HANDLE;
    keyed = (provider->flags & BCRYPT_ALG_HANDLE_HMAC_FLAG) != 0;
    if (phHash == NULL || (dwFlags & ~(ULONG)BCRYPT_HASH_REUSABLE_FLAG) != 0 || (pbSecret == NULL && cbSecret != 0) ||
        (!keyed && cbSecret != 0))
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    status = make_hash(pbHashObject, cbHashObject, __builtin_return_address(0), &hash);
    if (!NT_SUCCESS(status))
        return status;
    hash->id = provider->id;
    hash->keyed = keyed;
    hash->reusable = ((dwFlags | provider->flags) & BCRYPT_HASH_REUSABLE_FLAG) != 0;
    hash->provider_flags = provider->flags;
    begin(hash, pbSecret != NULL ? pbSecret : (const UCHAR *)"", cbSecret);
    *phHash = hash;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI BCryptDuplicateHash(BCRYPT_HASH_HANDLE hHash, BCRYPT_HASH_HANDLE *phNewHash, PUCHAR pbHashObject,
                                   ULONG cbHashObject, ULONG dwFlags)
{
    const struct hash *hash;
    struct hash *copy;
    NTSTATUS status;

    CNG_CALL(hHash);
    hash = hash_of(hHash);
    if (hash == NULL || hash->finished)
        return STATUS_INVALID_HANDLE;
    if (phNewHash == NULL || dwFlags != 0)
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    status = make_hash(pbHashObject, cbHashObject, __builtin_return_address(0), &copy);
    if (!NT_SUCCESS(status))
        return status;
    copy->id = hash->id;
    copy->keyed = hash->keyed;
    copy->reusable = hash->reusable;
    copy->provider_flags = hash->provider_flags;
    memcpy(copy->state, hash->state, sizeof(*copy->state));
    *phNewHash = copy;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI BCryptHashData(BCRYPT_HASH_HANDLE hHash, PUCHAR pbInput, ULONG cbInput, ULONG dwFlags)
{
    struct hash *hash;

    CNG_CALL(hHash);
    hash = hash_of(hHash);
    if (hash == NULL || hash->finished)
        return STATUS_INVALID_HANDLE;
    if (dwFlags != 0 || (pbInput == NULL && cbInput != 0))
        return STATUS_INVALID_PARAMETER;
    if (!hash->keyed && hash->id == SHA1)
        sha1_update(&hash->state->sha1, cbInput, pbInput);
    else if (!hash->keyed)
        sha256_update(&hash->state->sha256, cbInput, pbInput);
    else if (hash->id == SHA1)
        hmac_sha1_update(&hash->state->hmac_sha1, cbInput, pbInput);
    else
        hmac_sha256_update(&hash->state->hmac_sha256, cbInput, pbInput);
    return STATUS_SUCCESS;
}

/* nettle's digest routines start the next message with the same key, which is what a reusable hash does. */
NTSTATUS NTAPI BCryptFinishHash(BCRYPT_HASH_HANDLE hHash, PUCHAR pbOutput, ULONG cbOutput, ULONG dwFlags)
{
    struct hash *hash;

    CNG_CALL(hHash);
    hash = hash_of(hHash);
    if (hash == NULL || hash->finished)
        return STATUS_INVALID_HANDLE;
    if (dwFlags != 0 || pbOutput == NULL || cbOutput != algorithms[hash->id].digest)
        return STATUS_INVALID_PARAMETER;
    if (!hash->keyed && hash->id == SHA1)
        sha1_digest(&hash->state->sha1, cbOutput, pbOutput);
    else if (!hash->keyed)
        sha256_digest(&hash->state->sha256, cbOutput, pbOutput);
    else if (hash->id == SHA1)
        hmac_sha1_digest(&hash->state->hmac_sha1, cbOutput, pbOutput);
    else
        hmac_sha256_digest(&hash->state->hmac_sha256, cbOutput, pbOutput);
    hash->finished = !hash->reusable;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI BCryptDestroyHash(BCRYPT_HASH_HANDLE hHash)
{
    struct hash *hash;

    CNG_CALL(hHash);
    hash = hash_of(hHash);
    if (hash == NULL)
        return STATUS_INVALID_HANDLE;
    RemoveEntryList(&hash->entry);
    memset(hash->state, 0, sizeof(*hash->state)); /* it may hold a key */
    if (hash->owned != NULL)
        ExFreePoolWithTag(hash->owned, TAG_HASH);
    image_free(hash);
    return STATUS_SUCCESS;
}
