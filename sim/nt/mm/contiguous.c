/* Physically contiguous memory, and noncached memory. */
#include <string.h>

#include "nt/mm/mm.h"

static void *allocate(const char *routine, const void *caller, SIZE_T bytes, uint64_t lowest, uint64_t highest,
                      uint64_t boundary, MEMORY_CACHING_TYPE cache_type)
{
    if (bytes == 0)
        nt_violation("contiguous-zero-size", "%s: 0 bytes asked for", routine);
    if ((boundary & (boundary - 1)) != 0 || (boundary != 0 && boundary < PAGE_SIZE))
        nt_violation("contiguous-boundary", "%s: BoundaryAddressMultiple %#llx is no power of two of at least a page",
                     routine, (unsigned long long)boundary);
    if ((unsigned)cache_type >= MmMaximumCacheType)
        nt_violation("contiguous-cache-type", "%s: %d is no cache type", routine, cache_type);

    uint64_t count = (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
    if (count < bytes / PAGE_SIZE || count > guest_ram_pages() || highest >> PAGE_SHIFT == 0)
        return NULL;
    uint32_t page = page_alloc_contiguous((uint32_t)count, page_count(lowest), highest >> PAGE_SHIFT,
                                          boundary >> PAGE_SHIFT, 1, PAGE_CONTIGUOUS, caller);
    if (page == PAGE_NOT_FOUND)
        return NULL;
    page_info(page)->attribute = (uint8_t)cache_type;
    return memset(page_address(page), PAGE_FILL, (size_t)count * PAGE_SIZE);
}

PVOID NTAPI MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return NULL;
    return allocate(__func__, __builtin_return_address(0), NumberOfBytes, 0,
                    (uint64_t)HighestAcceptableAddress.QuadPart, 0, MmCached);
}

PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                                                   PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                   PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                                   MEMORY_CACHING_TYPE CacheType)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return NULL;
    return allocate(__func__, __builtin_return_address(0), NumberOfBytes, (uint64_t)LowestAcceptableAddress.QuadPart,
                    (uint64_t)HighestAcceptableAddress.QuadPart, (uint64_t)BoundaryAddressMultiple.QuadPart, CacheType);
}

/* A node that does not exist can be preferred but not required. */
static bool node_exists(NODE_REQUIREMENT node)
{
    return (node & MM_ANY_NODE_OK) != 0 || node < MM_NODES;
}

PVOID NTAPI MmAllocateContiguousMemorySpecifyCacheNode(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                                                       PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                       PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                                       MEMORY_CACHING_TYPE CacheType, NODE_REQUIREMENT PreferredNode)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return NULL;
    if (!node_exists(PreferredNode))
        return NULL;
    return allocate(__func__, __builtin_return_address(0), NumberOfBytes, (uint64_t)LowestAcceptableAddress.QuadPart,
                    (uint64_t)HighestAcceptableAddress.QuadPart, (uint64_t)BoundaryAddressMultiple.QuadPart, CacheType);
}

PVOID NTAPI MmAllocateContiguousNodeMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                                           PHYSICAL_ADDRESS HighestAcceptableAddress,
                                           PHYSICAL_ADDRESS BoundaryAddressMultiple, ULONG Protect,
                                           NODE_REQUIREMENT PreferredNode)
{
    ULONG access = Protect & ~(ULONG)(PAGE_NOCACHE | PAGE_WRITECOMBINE);
    MEMORY_CACHING_TYPE cache_type = (Protect & PAGE_NOCACHE) != 0        ? MmNonCached
                                     : (Protect & PAGE_WRITECOMBINE) != 0 ? MmWriteCombined
                                                                          : MmCached;
    PVOID memory;

    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return NULL;
    if ((Protect & PAGE_NOCACHE) != 0 && (Protect & PAGE_WRITECOMBINE) != 0)
        return NULL;
    if (access != PAGE_READWRITE && access != PAGE_EXECUTE_READWRITE)
        return NULL;
    if (!node_exists(PreferredNode))
        return NULL;
    memory =
        allocate(__func__, __builtin_return_address(0), NumberOfBytes, (uint64_t)LowestAcceptableAddress.QuadPart,
                 (uint64_t)HighestAcceptableAddress.QuadPart, (uint64_t)BoundaryAddressMultiple.QuadPart, cache_type);
    if (memory != NULL && access == PAGE_EXECUTE_READWRITE)
        page_set_access(page_of(memory), GUEST_ACCESS_READ | GUEST_ACCESS_WRITE | GUEST_ACCESS_EXECUTE);
    return memory;
}

/* The first page of the allocation at `base`; anything else is BAD_POOL_CALLER 0x60, as on Windows. */
static uint32_t check_base(const char *routine, const void *base, enum page_use use)
{
    if (guest_ram_address(base) && (uintptr_t)base % PAGE_SIZE == 0) {
        uint32_t page = page_of(base);
        if (page_info(page)->use == use && page_info(page)->run != 0)
            return page;
    }
    const uint64_t parameter[4] = {0x60, (uintptr_t)base, 0, 0};
    nt_violation_code(BAD_POOL_CALLER, parameter, "contiguous-bad-free", "%s(%p): no such allocation starts there",
                      routine, base);
}

static void check_size(const char *routine, uint32_t page, SIZE_T bytes)
{
    if ((bytes + PAGE_SIZE - 1) / PAGE_SIZE != page_info(page)->run)
        nt_violation("contiguous-bad-free", "%s(%p): %zu bytes freed, %zu were allocated (rounded up to pages)",
                     routine, page_address(page), bytes, (size_t)page_info(page)->run * PAGE_SIZE);
}

VOID NTAPI MmFreeContiguousMemory(PVOID BaseAddress)
{
    NT_CALL(DISPATCH_LEVEL);
    page_free(check_base(__func__, BaseAddress, PAGE_CONTIGUOUS), __func__);
}

VOID NTAPI MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType)
{
    NT_CALL(DISPATCH_LEVEL);
    uint32_t page = check_base(__func__, BaseAddress, PAGE_CONTIGUOUS);
    check_size(__func__, page, NumberOfBytes);
    if (page_info(page)->attribute != CacheType)
        nt_violation("contiguous-bad-free", "%s(%p): freed as cache type %d, allocated as %d", __func__, BaseAddress,
                     CacheType, page_info(page)->attribute);
    page_free(page, __func__);
}

PVOID NTAPI MmAllocateNonCachedMemory(SIZE_T NumberOfBytes)
{
    NT_CALL(APC_LEVEL);
    if (FAULT(POOL))
        return NULL;
    uint64_t count = (NumberOfBytes + PAGE_SIZE - 1) / PAGE_SIZE;
    if (NumberOfBytes == 0 || count < NumberOfBytes / PAGE_SIZE || count > guest_ram_pages())
        return NULL;
    uint32_t page = page_alloc((uint32_t)count, PAGE_NONCACHED, __builtin_return_address(0));
    return page == PAGE_NOT_FOUND ? NULL : memset(page_address(page), PAGE_FILL, (size_t)count * PAGE_SIZE);
}

VOID NTAPI MmFreeNonCachedMemory(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    NT_CALL(APC_LEVEL);
    uint32_t page = check_base(__func__, BaseAddress, PAGE_NONCACHED);
    check_size(__func__, page, NumberOfBytes);
    page_free(page, __func__);
}
