/* Mapping of physical address ranges: device memory, and Xen's pages at frames that the guest was told of. */
#include "nt/mm/mm.h"

/* What MmMapIoSpaceEx's Protect asks for; false if it is no combination that it takes. */
static bool decode_protect(ULONG protect, bool *writable, bool *executable)
{
    ULONG access = protect & ~(ULONG)(PAGE_NOCACHE | PAGE_WRITECOMBINE);

    if ((protect & PAGE_NOCACHE) != 0 && (protect & PAGE_WRITECOMBINE) != 0)
        return false;
    *writable = access == PAGE_READWRITE || access == PAGE_EXECUTE_READWRITE;
    *executable = access == PAGE_EXECUTE || access == PAGE_EXECUTE_READ || access == PAGE_EXECUTE_READWRITE;
    return *writable || *executable || access == PAGE_READONLY;
}

static void *map(const char *routine, const void *caller, PHYSICAL_ADDRESS physical, SIZE_T bytes, bool writable)
{
    uint64_t first = (uint64_t)physical.QuadPart >> PAGE_SHIFT;
    uint64_t last = ((uint64_t)physical.QuadPart + bytes - 1) >> PAGE_SHIFT;

    if (bytes == 0)
        nt_violation("iospace-zero-size", "%s: 0 bytes asked for", routine);
    if (last < first || last >= GUEST_GFN_LIMIT)
        return NULL;

    size_t count = last - first + 1;
    uint64_t *gfns = image_alloc(count * sizeof *gfns);
    for (size_t i = 0; i < count; i++) {
        uint32_t page = guest_ram_virtual_page(first + i);
        if (page != UINT32_MAX && page_info(page)->use == PAGE_FREE)
            nt_violation_sub("iospace-unlocked", (uint64_t)physical.QuadPart, bytes, first + i,
                             "%s(%#llx, %zu): frame %#llx is RAM that nobody has allocated", routine,
                             (unsigned long long)physical.QuadPart, bytes, (unsigned long long)(first + i));
        gfns[i] = first + i;
    }
    void *address = guest_map_frames(gfns, count, writable);
    image_free(gfns);
    if (address == NULL)
        return NULL;

    struct mm_record *record = mm_record_add(RECORD_IO_SPACE, address, caller);
    record->address = address;
    record->pages = count;
    return (char *)address + (physical.QuadPart & (PAGE_SIZE - 1));
}

/* The cache type has no effect to see: every access of the simulated machine is coherent. */
PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(MAPPING))
        return NULL;
    if ((unsigned)CacheType >= MmMaximumCacheType)
        return NULL;
    return map(__func__, __builtin_return_address(0), PhysicalAddress, NumberOfBytes, true);
}

PVOID NTAPI MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, ULONG Protect)
{
    bool writable, executable;
    PVOID address;

    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(MAPPING))
        return NULL;
    if (!decode_protect(Protect, &writable, &executable))
        return NULL;
    address = map(__func__, __builtin_return_address(0), PhysicalAddress, NumberOfBytes, writable);
    if (address != NULL && executable)
        guest_protect_frames(PAGE_ALIGN(address), ADDRESS_AND_SIZE_TO_SPAN_PAGES(address, NumberOfBytes),
                             GUEST_ACCESS_READ | GUEST_ACCESS_EXECUTE | (writable ? GUEST_ACCESS_WRITE : 0));
    return address;
}

VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes)
{
    NT_CALL(DISPATCH_LEVEL);
    struct mm_record *record = mm_record_find(RECORD_IO_SPACE, PAGE_ALIGN(BaseAddress));
    if (record == NULL)
        nt_violation("iospace-unmap", "MmUnmapIoSpace(%p): MmMapIoSpace has mapped nothing there", BaseAddress);
    if (ADDRESS_AND_SIZE_TO_SPAN_PAGES(BaseAddress, NumberOfBytes) != record->pages)
        nt_violation("iospace-unmap", "MmUnmapIoSpace(%p, %zu): the mapping has %zu pages", BaseAddress, NumberOfBytes,
                     record->pages);
    guest_unmap_frames(record->address, record->pages);
    mm_record_remove(record);
}
