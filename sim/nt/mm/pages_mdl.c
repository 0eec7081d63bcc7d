/*
 * Physical pages without a virtual address, described by an MDL. The machine has one node, and pages are not cached
 * under any type but the processor's own coherence, so that the node and the cache type are checked and make no
 * difference.
 */
#include <string.h>

#include "nt/mm/mm.h"

#define KNOWN_FLAGS                                                                                                    \
    (MM_DONT_ZERO_ALLOCATION | MM_ALLOCATE_FROM_LOCAL_NODE_ONLY | MM_ALLOCATE_FULLY_REQUIRED | MM_ALLOCATE_NO_WAIT |   \
     MM_ALLOCATE_PREFER_CONTIGUOUS | MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS)

struct request {
    uint64_t first_gfn; /* range of frames that may be taken now */
    uint64_t last_gfn;
    uint64_t skip; /* frames from one range to the next; 0: one range */
    uint32_t wanted;
    uint32_t chunk; /* pages that come in a row */
    const void *caller;
};

/* Pages of one attempt: `chunk` of them as a run, each its own afterwards. */
static uint32_t take_chunk(const struct request *request)
{
    bool anywhere = request->first_gfn == 0 && request->last_gfn >= GUEST_GFN_LIMIT - 1;
    uint32_t page;

    if (request->chunk > 1)
        page = page_alloc_contiguous(request->chunk, request->first_gfn, request->last_gfn, 0, request->chunk, PAGE_MDL,
                                     request->caller);
    else if (anywhere)
        page = page_alloc(1, PAGE_MDL, request->caller);
    else
        page = page_alloc_in_range(request->first_gfn, request->last_gfn, PAGE_MDL, request->caller);
    if (page != PAGE_NOT_FOUND)
        page_split(page);
    return page;
}

/* Fill `pages` as far as memory goes, range after range; returns how many there are. */
static uint32_t take_pages(struct request *request, uint32_t *pages)
{
    uint32_t count = 0;

    for (;;) {
        while (count < request->wanted) {
            uint32_t page = take_chunk(request);
            if (page == PAGE_NOT_FOUND)
                break;
            for (uint32_t i = 0; i < request->chunk; i++)
                pages[count++] = page + i;
        }
        if (count == request->wanted || request->skip == 0 || request->first_gfn + request->skip >= GUEST_GFN_LIMIT)
            return count;
        request->first_gfn += request->skip;
        request->last_gfn += request->skip;
    }
}

static void give_back(const uint32_t *pages, uint32_t count)
{
    for (uint32_t i = count; i > 0; i--)
        page_free(pages[i - 1], "MmAllocatePagesForMdlEx");
}

static PMDL make_mdl(const uint32_t *pages, uint32_t count, bool zero, const void *caller)
{
    PMDL mdl = pool_allocate(NonPagedPoolNx, sizeof(MDL) + count * sizeof(PFN_NUMBER), MM_TAG_PAGES_MDL, caller);

    if (mdl == NULL)
        return NULL;
    memset(mdl, 0, sizeof *mdl);
    mdl->Size = (CSHORT)(sizeof(MDL) + count * sizeof(PFN_NUMBER));
    mdl->MdlFlags = MDL_PAGES_LOCKED;
    mdl->ByteCount = count * PAGE_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        MmGetMdlPfnArray(mdl)[i] = guest_ram_gfn(pages[i]);
        memset(page_address(pages[i]), zero ? 0 : PAGE_FILL, PAGE_SIZE);
    }
    return mdl;
}

static PMDL allocate(const char *routine, const void *caller, PHYSICAL_ADDRESS low, PHYSICAL_ADDRESS high,
                     PHYSICAL_ADDRESS skip, SIZE_T bytes, MEMORY_CACHING_TYPE cache_type, ULONG flags)
{
    if ((flags & ~(ULONG)KNOWN_FLAGS) != 0)
        nt_violation("not-implemented", "%s: flags %#x are not implemented", routine, flags & ~(ULONG)KNOWN_FLAGS);
    if ((unsigned)cache_type >= MmMaximumCacheType)
        nt_violation("mdl-pages-cache-type", "%s: %d is no cache type", routine, cache_type);
    if (skip.QuadPart % PAGE_SIZE != 0 || skip.QuadPart < 0)
        nt_violation("mdl-pages-skip", "%s: SkipBytes %#llx is no multiple of the page size", routine,
                     (unsigned long long)skip.QuadPart);
    if (bytes == 0 || (uint64_t)high.QuadPart < (uint64_t)low.QuadPart)
        return NULL;

    struct request request = {
        .first_gfn = page_count((uint64_t)low.QuadPart),
        .last_gfn = (uint64_t)high.QuadPart >> PAGE_SHIFT,
        .skip = (uint64_t)skip.QuadPart >> PAGE_SHIFT,
        .chunk = 1,
        .caller = caller,
    };
    uint64_t most = (UINT64_C(0x100000000) - PAGE_SIZE) / PAGE_SIZE; /* what ByteCount can say */
    uint64_t wanted = (bytes - 1) / PAGE_SIZE + 1;
    if ((flags & MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) != 0) { /* SkipBytes is then the size of a chunk */
        if (request.skip == 0 || (request.skip & (request.skip - 1)) != 0 || wanted % request.skip != 0)
            nt_violation("mdl-pages-skip",
                         "%s: MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS with SkipBytes %#llx: must be a power of two that "
                         "divides TotalBytes",
                         routine, (unsigned long long)skip.QuadPart);
        if (request.skip > guest_ram_pages())
            return NULL;
        request.chunk = (uint32_t)request.skip;
        request.skip = 0;
        most -= most % request.chunk;
    }
    if (wanted > most) {
        if ((flags & MM_ALLOCATE_FULLY_REQUIRED) != 0)
            return NULL;
        wanted = most;
    }
    if (wanted > guest_ram_pages()) {
        if ((flags & MM_ALLOCATE_FULLY_REQUIRED) != 0)
            return NULL;
        wanted = guest_ram_pages() - guest_ram_pages() % request.chunk;
    }
    request.wanted = (uint32_t)wanted;

    uint32_t *pages = image_alloc(wanted * sizeof *pages);
    uint32_t count = 0;
    if ((flags & MM_ALLOCATE_PREFER_CONTIGUOUS) != 0 && request.chunk == 1) {
        uint32_t page =
            page_alloc_contiguous(request.wanted, request.first_gfn, request.last_gfn, 0, 1, PAGE_MDL, caller);
        if (page != PAGE_NOT_FOUND) {
            page_split(page);
            for (count = 0; count < request.wanted; count++)
                pages[count] = page + count;
        }
    }
    if (count == 0)
        count = take_pages(&request, pages);

    PMDL mdl = NULL;
    if (count != 0 && (count == request.wanted || (flags & MM_ALLOCATE_FULLY_REQUIRED) == 0))
        mdl = make_mdl(pages, count, (flags & MM_DONT_ZERO_ALLOCATION) == 0, caller);
    if (mdl == NULL)
        give_back(pages, count);
    image_free(pages);
    return mdl;
}

PMDL NTAPI MmAllocatePagesForMdl(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress, PHYSICAL_ADDRESS SkipBytes,
                                 SIZE_T TotalBytes)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(MDL))
        return NULL;
    return allocate(__func__, __builtin_return_address(0), LowAddress, HighAddress, SkipBytes, TotalBytes, MmCached, 0);
}

PMDL NTAPI MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress,
                                   PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType,
                                   ULONG Flags)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(MDL))
        return NULL;
    return allocate(__func__, __builtin_return_address(0), LowAddress, HighAddress, SkipBytes, TotalBytes, CacheType,
                    Flags);
}

PMDL NTAPI MmAllocateNodePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress,
                                       PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType,
                                       ULONG IdealNode, ULONG Flags)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(MDL))
        return NULL;
    if (IdealNode >= MM_NODES)
        return NULL;
    return allocate(__func__, __builtin_return_address(0), LowAddress, HighAddress, SkipBytes, TotalBytes, CacheType,
                    Flags);
}

VOID NTAPI MmFreePagesFromMdl(PMDL MemoryDescriptorList)
{
    PMDL mdl = MemoryDescriptorList;
    uint32_t count = mdl_pages(mdl);

    NT_CALL(DISPATCH_LEVEL);
    const struct mm_record *mapping = mm_record_find(RECORD_MDL_MAPPING, mdl);
    if (mapping != NULL)
        nt_violation_sub("mdl-freed-mapped", (uintptr_t)mdl, (USHORT)mdl->MdlFlags, 0,
                         "MmFreePagesFromMdl: the MDL %p is still mapped at %p", (void *)mdl, mapping->address);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = guest_ram_virtual_page(MmGetMdlPfnArray(mdl)[i]);
        if (page == UINT32_MAX || page_info(page)->use != PAGE_MDL)
            nt_violation(
                "mdl-pages-bad-free",
                "MmFreePagesFromMdl: page %u of the MDL %p (frame %#llx) is no page of MmAllocatePagesForMdl%s", i,
                (void *)mdl, (unsigned long long)MmGetMdlPfnArray(mdl)[i],
                page != UINT32_MAX && page_info(page)->use == PAGE_FREE && page_info(page)->last_use == PAGE_MDL
                    ? ": it was freed already"
                    : "");
        page_free(page, __func__);
    }
    mdl->MdlFlags &= ~MDL_PAGES_LOCKED;
}
