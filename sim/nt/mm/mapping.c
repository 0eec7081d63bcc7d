/*
 * Mapping the pages of an MDL. A mapping is an alias in the system PTE window that is gone when it is unmapped, so that
 * a stale pointer faults. A single page of RAM is mapped as the RAM window has it, which costs no system call, and
 * under the parallel engine so are pages that lie in a row there; a build with AddressSanitizer makes an alias of these
 * too.
 */
#include "nt/mm/mm.h"

#if defined(IMAGE_SANITIZED)
#define DIRECT_MAPPINGS false
#else
#define DIRECT_MAPPINGS true
#endif

#define PRIORITY_FLAGS (MdlMappingNoWrite | MdlMappingNoExecute | MdlMappingWithGuardPtes)

/* As they lie in the RAM window. */
static bool lie_in_row(const PFN_NUMBER *frames, uint32_t count)
{
    uint32_t first = guest_ram_virtual_page(frames[0]);

    if (first == UINT32_MAX || (count > 1 && !engine_is_parallel()))
        return false;
    for (uint32_t i = 1; i < count; i++)
        if (guest_ram_virtual_page(frames[i]) != first + i)
            return false;
    return true;
}

static void *map_frames(const PFN_NUMBER *frames, uint32_t count, bool writable, bool *direct)
{
    *direct = DIRECT_MAPPINGS && writable && lie_in_row(frames, count);
    if (*direct)
        return page_address(guest_ram_virtual_page(frames[0]));

    /* PFN_NUMBER and uint64_t are the same type by two names. */
    uint64_t few[32];
    uint64_t *gfns = count <= 32 ? few : image_alloc(count * sizeof(uint64_t));
    for (uint32_t i = 0; i < count; i++)
        gfns[i] = frames[i];
    void *address = guest_map_frames(gfns, count, writable);
    if (gfns != few)
        image_free(gfns);
    return address;
}

static void check_mappable(const MDL *mdl)
{
    if ((mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) != 0)
        nt_violation_sub("mdl-map", (uintptr_t)mdl, (USHORT)mdl->MdlFlags, MDL_MAPPED_TO_SYSTEM_VA,
                         "the MDL %p is mapped already, at %p", (const void *)mdl, mdl->MappedSystemVa);
    if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL)) == 0)
        nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION,
                          (uint64_t[4]){0xB3, (uintptr_t)mdl, (USHORT)mdl->MdlFlags, MDL_PAGES_LOCKED | MDL_PARTIAL},
                          "mdl-map", "the MDL %p has no locked pages to map (flags %#x)", (const void *)mdl,
                          (unsigned)(USHORT)mdl->MdlFlags);
    if (mdl->ByteOffset >= PAGE_SIZE || mdl_pages(mdl) == 0)
        nt_violation("mdl-map", "the MDL %p describes no memory (offset %u, %u bytes)", (const void *)mdl,
                     mdl->ByteOffset, mdl->ByteCount);
}

PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                         MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress, ULONG BugCheckOnFailure,
                                         ULONG Priority)
{
    PMDL mdl = MemoryDescriptorList;
    ULONG priority = Priority & ~PRIORITY_FLAGS;

    NT_CALL(DISPATCH_LEVEL);
    if (AccessMode != KernelMode)
        NT_UNIMPLEMENTED("a mapping into user mode (there are no user processes: AccessMode is KernelMode)");
    if (RequestedAddress != NULL)
        nt_violation("mdl-map", "MmMapLockedPagesSpecifyCache: RequestedAddress is %p, not NULL, for KernelMode",
                     RequestedAddress);
    if ((unsigned)CacheType >= MmMaximumCacheType)
        nt_violation("mdl-map", "MmMapLockedPagesSpecifyCache: %d is no cache type", CacheType);
    if (priority != LowPagePriority && priority != NormalPagePriority && priority != HighPagePriority)
        nt_violation("mdl-map", "MmMapLockedPagesSpecifyCache: %#x is no MM_PAGE_PRIORITY", Priority);
    if ((mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL) != 0) {
        fault_note_infallible();
        return mdl->MappedSystemVa; /* nonpaged pool is mapped where it is */
    }
    check_mappable(mdl);

    bool direct;
    uint32_t count = mdl_pages(mdl);
    void *address =
        FAULT(MAPPING) ? NULL : map_frames(MmGetMdlPfnArray(mdl), count, (Priority & MdlMappingNoWrite) == 0, &direct);
    if (address == NULL) {
        if (BugCheckOnFailure) {
            const uint64_t parameter[4] = {0, count, 0, 0};
            nt_violation_code(NO_MORE_SYSTEM_PTES, parameter, "mdl-map",
                              "no room to map the %u pages of the MDL %p, and the caller wants a bugcheck for it",
                              count, (void *)mdl);
        }
        return NULL;
    }

    struct mm_record *record = mm_record_add(RECORD_MDL_MAPPING, mdl, __builtin_return_address(0));
    record->address = address;
    record->pages = count;
    record->direct = direct;
    mdl->MappedSystemVa = (char *)address + mdl->ByteOffset;
    mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if ((mdl->MdlFlags & MDL_PARTIAL) != 0)
        mdl->MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    return mdl->MappedSystemVa;
}

PVOID NTAPI MmMapLockedPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode)
{
    return MmMapLockedPagesSpecifyCache(MemoryDescriptorList, AccessMode, MmCached, NULL, TRUE, HighPagePriority);
}

void mm_unmap_mdl(PMDL mdl, struct mm_record *record)
{
    if (!record->direct)
        guest_unmap_frames(record->address, record->pages);
    for (size_t i = 0; record->direct && i < record->pages; i++)
        if (page_info(page_of(record->address) + i)->protected)
            page_set_access(page_of(record->address) + i, GUEST_ACCESS_READ | GUEST_ACCESS_WRITE);
    mm_record_remove(record);
    mdl->MdlFlags &= ~(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
    mdl->MappedSystemVa = NULL;
}

VOID NTAPI MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList)
{
    PMDL mdl = MemoryDescriptorList;

    NT_CALL(DISPATCH_LEVEL);
    struct mm_record *record = mm_record_find(RECORD_MDL_MAPPING, mdl);
    if (record == NULL)
        nt_violation_sub("mdl-unmap", (uintptr_t)mdl, (USHORT)mdl->MdlFlags, MDL_MAPPED_TO_SYSTEM_VA,
                         "MmUnmapLockedPages(%p): the MDL %p is not mapped by MmMapLockedPagesSpecifyCache%s",
                         BaseAddress, (void *)mdl,
                         (mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL) != 0 ? " (it describes nonpaged pool)" : "");
    if (PAGE_ALIGN(BaseAddress) != record->address)
        nt_violation("mdl-unmap", "MmUnmapLockedPages(%p): the MDL %p is mapped at %p", BaseAddress, (void *)mdl,
                     record->address);
    mm_unmap_mdl(mdl, record);
}

/*
 * Some mapping of RAM is the pages' own address. Where nobody else knows it (MmAllocatePagesForMdl's pages have no
 * address but that of their mapping) the page itself is protected.
 */
static void protect_page(uint32_t page, enum guest_access access)
{
    if (page_info(page)->use != PAGE_MDL)
        NT_UNIMPLEMENTED(
            "protecting the mapping of one page of pool, which is the pool's own address here (map it with "
            "MdlMappingNoWrite, or describe two pages),");
    page_set_access(page, access);
}

static void protect(const struct mm_record *record, enum guest_access access)
{
    if (!record->direct) {
        guest_protect_frames(record->address, record->pages, access);
        return;
    }
    for (size_t i = 0; i < record->pages; i++)
        protect_page(page_of(record->address) + i, access);
}

NTSTATUS NTAPI MmProtectMdlSystemAddress(PMDL MemoryDescriptorList, ULONG NewProtect)
{
    enum guest_access access = GUEST_ACCESS_READ;
    const struct mm_record *record;

    NT_CALL(DISPATCH_LEVEL);
    switch (NewProtect) {
    case PAGE_NOACCESS:
        access = GUEST_ACCESS_NONE;
        break;
    case PAGE_READONLY:
        break;
    case PAGE_READWRITE:
        access |= GUEST_ACCESS_WRITE;
        break;
    case PAGE_EXECUTE: /* what an x64 processor can execute it can read */
    case PAGE_EXECUTE_READ:
        access |= GUEST_ACCESS_EXECUTE;
        break;
    case PAGE_EXECUTE_READWRITE:
        access |= GUEST_ACCESS_WRITE | GUEST_ACCESS_EXECUTE;
        break;
    default:
        return STATUS_INVALID_PAGE_PROTECTION;
    }
    record = mm_record_find(RECORD_MDL_MAPPING, MemoryDescriptorList);
    if (record == NULL)
        return STATUS_NOT_MAPPED_VIEW;
    protect(record, access);
    return STATUS_SUCCESS;
}
