/* The pools: what drivers call. */
#include "nt/ex/pool_small.h"

/* Of such pool types everything that there is to check is checked by the first allocation of a kind. */
#define PLAIN ((unsigned)NonPagedPoolNx | (unsigned)NonPagedPoolCacheAligned)

/* 'BIG ' is the tag of the kernel's own table of large blocks; no driver may use it. */
#define RESERVED_TAG POOL_TAG('B', 'I', 'G', ' ')

static bool has_letter_or_digit(ULONG tag)
{
    for (int i = 0; i < 4; i++) {
        unsigned byte = tag >> (8 * i) & 0xFF;
        if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z'))
            return true;
    }
    return false;
}

__attribute__((cold)) static void bad_tag(const char *routine, POOL_TYPE type, SIZE_T size, ULONG tag,
                                          const void *caller)
{
    uint64_t parameter[4] = {0x9B, (uint64_t)type, size, (uintptr_t)caller};

    if (tag == 0)
        nt_violation_code(BAD_POOL_CALLER, parameter, "pool-zero-tag", "%s: the tag is 0", routine);
    parameter[0] = 0x9C;
    if (tag == RESERVED_TAG)
        nt_violation_code(BAD_POOL_CALLER, parameter, "pool-bad-tag", "%s: the tag \"BIG \" is the kernel's", routine);
    parameter[0] = 0x9D;
    parameter[1] = tag;
    parameter[2] = (uint64_t)type;
    nt_violation_code(BAD_POOL_CALLER, parameter, "pool-bad-tag", "%s: the tag %#x has no letter and no digit", routine,
                      tag);
}

static inline void check_tag(const char *routine, POOL_TYPE type, SIZE_T size, ULONG tag, const void *caller)
{
    if (tag == 0 || tag == RESERVED_TAG || !has_letter_or_digit(tag & 0x7FFFFFFF))
        bad_tag(routine, type, size, tag, caller);
}

static inline void check_size(const char *routine, POOL_TYPE type, SIZE_T size)
{
    if (size != 0)
        return;
    nt_violation_sub("pool-zero-size", ke_irql(), (uint64_t)type, size, "%s: 0 bytes asked for", routine);
}

static inline void check_irql(const char *routine, POOL_TYPE type, SIZE_T size)
{
    if ((type & PagedPool) == 0 || ke_irql() <= APC_LEVEL)
        return;
    const uint64_t parameter[4] = {0x08, ke_irql(), (uint64_t)type, size};
    nt_violation_code(BAD_POOL_CALLER, parameter, "pool-irql", "%s: paged pool at IRQL %u, above APC_LEVEL", routine,
                      ke_irql());
}

/*
 * NonPagedPool, paged or not, cache-aligned or not, and flags. `raise`: STATUS_INSUFFICIENT_RESOURCES instead of NULL.
 * Cold allocations are a hint to the pager, of which there is none.
 */
static void *allocate(const char *routine, POOL_TYPE type, SIZE_T size, ULONG tag, const void *caller)
{
    const unsigned known = PagedPool | NonPagedPoolMustSucceed | NonPagedPoolCacheAligned | NonPagedPoolNx |
                           POOL_RAISE_IF_ALLOCATION_FAILURE | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE | POOL_COLD_ALLOCATION |
                           POOL_ZERO_ALLOCATION;

    if (((unsigned)type & NonPagedPoolMustSucceed) != 0) {
        const uint64_t parameter[4] = {0x9A, (uint64_t)type, size, tag};
        nt_violation_code(BAD_POOL_CALLER, parameter, "pool-must-succeed", "%s: pool type %#x is must-succeed", routine,
                          (unsigned)type);
    }
    if (((unsigned)type & ~known) != 0)
        nt_violation("not-implemented", "%s: pool type %#x is not implemented", routine, (unsigned)type);
    check_irql(routine, type, size);
    check_tag(routine, type, size, tag, caller);
    check_size(routine, type, size);

    void *block = fault_inject(FAULT_POOL, routine, caller) ? NULL : pool_allocate(type, size, tag, caller);
    if (((unsigned)type & ~PLAIN) == 0)
        pool_shape_checked(type, size, tag);
    if (block == NULL && ((unsigned)type & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0)
        ke_raise_status(STATUS_INSUFFICIENT_RESOURCES, caller);
    return block;
}

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    PVOID block = pool_take_quiet((unsigned)PoolType, NumberOfBytes, Tag, __builtin_return_address(0));

    if (block != NULL)
        return block;
    NT_CALL(DISPATCH_LEVEL);
    return allocate(__func__, PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
}

PVOID NTAPI ExAllocatePoolUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    NT_CALL(DISPATCH_LEVEL);
    return allocate(__func__, PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
}

PVOID NTAPI ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    NT_CALL(DISPATCH_LEVEL);
    return allocate(__func__, (POOL_TYPE)((unsigned)PoolType | POOL_ZERO_ALLOCATION), NumberOfBytes, Tag,
                    __builtin_return_address(0));
}

/*
 * As memory runs low, requests of low priority fail first, then those of normal priority (at a sixteenth and a 64th of
 * RAM left). The special-pool variants ask for what every block here has.
 */
PVOID NTAPI ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                          EX_POOL_PRIORITY Priority)
{
    uint32_t kept = Priority >= HighPoolPriority     ? 0
                    : Priority >= NormalPoolPriority ? guest_ram_pages() / 64
                                                     : guest_ram_pages() / 16;

    NT_CALL(DISPATCH_LEVEL);
    if (page_free_count() < kept) {
        if (((unsigned)PoolType & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0)
            ke_raise_status(STATUS_INSUFFICIENT_RESOURCES, __builtin_return_address(0));
        return NULL;
    }
    return allocate(__func__, PoolType, NumberOfBytes, Tag, __builtin_return_address(0));
}

/* The pool type that the flags of ExAllocatePool2 mean; false if they are no valid combination. */
static bool decode_flags(POOL_FLAGS flags, POOL_TYPE *type)
{
    const POOL_FLAGS kinds = POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED;
    const POOL_FLAGS required = kinds | POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_SESSION |
                                POOL_FLAG_CACHE_ALIGNED | POOL_FLAG_RAISE_ON_FAILURE;
    unsigned result;

    if ((flags & (POOL_FLAG_OPTIONAL_START - 1) & ~required) != 0)
        return false;
    switch (flags & kinds) {
    case POOL_FLAG_NON_PAGED:
        result = NonPagedPoolNx;
        break;
    case POOL_FLAG_NON_PAGED_EXECUTE:
        result = NonPagedPool;
        break;
    case POOL_FLAG_PAGED:
        result = PagedPool;
        break;
    default:
        return false;
    }
    if ((flags & POOL_FLAG_CACHE_ALIGNED) != 0)
        result |= NonPagedPoolCacheAligned;
    if ((flags & POOL_FLAG_UNINITIALIZED) == 0)
        result |= POOL_ZERO_ALLOCATION;
    *type = (POOL_TYPE)result;
    return true;
}

/*
 * Optional flags that are not known are ignored, as documented. POOL_FLAG_USE_QUOTA charges the current process;
 * drivers here run in the system process, which has no quota.
 */
PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    bool raises = (Flags & POOL_FLAG_RAISE_ON_FAILURE) != 0;
    POOL_TYPE type;

    NT_CALL(DISPATCH_LEVEL);
    if (!decode_flags(Flags, &type) || Tag == 0) {
        if (raises)
            ke_raise_status(STATUS_INVALID_PARAMETER, __builtin_return_address(0));
        return NULL;
    }
    if ((Flags & POOL_FLAG_SESSION) != 0)
        NT_UNIMPLEMENTED("session pool (there are no sessions: take paged or nonpaged pool)");
    void *block = allocate(__func__, type, NumberOfBytes, Tag, __builtin_return_address(0));
    if (block == NULL && raises)
        ke_raise_status(STATUS_INSUFFICIENT_RESOURCES, __builtin_return_address(0));
    return block;
}

VOID NTAPI ExFreePool(PVOID P)
{
    if (pool_give_quiet(P, 0, __builtin_return_address(0)))
        return;
    NT_CALL(DISPATCH_LEVEL);
    pool_free(P, 0, __func__, __builtin_return_address(0));
}

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    if (pool_give_quiet(P, Tag, __builtin_return_address(0)))
        return;
    NT_CALL(DISPATCH_LEVEL);
    pool_free(P, Tag, __func__, __builtin_return_address(0));
}

VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, PVOID ExtendedParameters, ULONG ExtendedParametersCount)
{
    NT_CALL(DISPATCH_LEVEL);
    if (ExtendedParameters != NULL || ExtendedParametersCount != 0)
        NT_UNIMPLEMENTED("an extended parameter (pass NULL and 0)");
    pool_free(P, Tag, __func__, __builtin_return_address(0));
}
