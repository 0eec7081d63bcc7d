/* MDLs: building them for nonpaged pool, probing and locking. */
#include <string.h>
#include <xxh_x86dispatch.h>

#include "nt/ke/ke.h"
#include "nt/mm/mm.h"

bool mm_range_has_frames(const void *start, size_t bytes)
{
    uintptr_t first = (uintptr_t)start & ~(uintptr_t)(PAGE_SIZE - 1);
    uintptr_t last = (uintptr_t)start + (bytes == 0 ? 0 : bytes - 1);

    for (uintptr_t page = first; page <= last; page += PAGE_SIZE)
        if (guest_virtual_to_gfn((const void *)page) == GFN_INVALID)
            return false;
    return true;
}

static void fill_frames(PMDL mdl)
{
    PPFN_NUMBER frames = MmGetMdlPfnArray(mdl);
    uint32_t count = mdl_pages(mdl);

    for (uint32_t i = 0; i < count; i++)
        frames[i] = guest_virtual_to_gfn((const char *)mdl->StartVa + (size_t)i * PAGE_SIZE);
}

SIZE_T NTAPI MmSizeOfMdl(PVOID Base, SIZE_T Length)
{
    NT_CALL_ANY();
    return sizeof(MDL) + sizeof(PFN_NUMBER) * (SIZE_T)((BYTE_OFFSET(Base) + Length + PAGE_SIZE - 1) >> PAGE_SHIFT);
}

VOID NTAPI MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList)
{
    PMDL mdl = MemoryDescriptorList;
    const void *address = MmGetMdlVirtualAddress(mdl);

    NT_CALL(DISPATCH_LEVEL);
    if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)) != 0)
        nt_violation("mdl-build", "MmBuildMdlForNonPagedPool on the MDL %p that is in use already (flags %#x)",
                     (void *)mdl, (unsigned)(USHORT)mdl->MdlFlags);
    if (pool_is_paged(address))
        nt_violation_sub("mdl-build", ke_irql(), (uintptr_t)mdl, (USHORT)mdl->MdlFlags,
                         "MmBuildMdlForNonPagedPool on %p, which is paged pool", address);
    if (!mm_range_has_frames(address, mdl->ByteCount))
        nt_violation("mdl-build",
                     "MmBuildMdlForNonPagedPool on %p, %u bytes: not nonpaged pool (stacks and images have no guest "
                     "frames in pvsim)",
                     address, mdl->ByteCount);
    fill_frames(mdl);
    mdl->Process = NULL;
    mdl->MappedSystemVa = (PVOID)address;
    mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
}

VOID NTAPI MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation)
{
    PMDL mdl = MemoryDescriptorList;
    const void *address = MmGetMdlVirtualAddress(mdl);

    NT_CALL(DISPATCH_LEVEL);
    if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)) != 0)
        nt_violation_sub("mdl-lock", (uintptr_t)mdl, (USHORT)mdl->MdlFlags,
                         (USHORT)mdl->MdlFlags &
                             (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL),
                         "MmProbeAndLockPages on the MDL %p that is in use already (flags %#x)", (void *)mdl,
                         (unsigned)(USHORT)mdl->MdlFlags);
    if (pool_is_paged(address) && ke_irql() > APC_LEVEL)
        nt_violation("mdl-lock", "MmProbeAndLockPages on paged pool %p at IRQL %u, above APC_LEVEL", address,
                     ke_irql());

    bool writes = Operation != IoReadAccess;
    if (AccessMode != KernelMode || !guest_range_valid(address, mdl->ByteCount) ||
        (writes && !guest_range_writable(address, mdl->ByteCount)))
        ke_raise_status(STATUS_ACCESS_VIOLATION, __builtin_return_address(0)); /* no user addresses exist here */
    if (!mm_range_has_frames(address, mdl->ByteCount))
        NT_UNIMPLEMENTED("locking a stack or an image, which have no guest frames (describe pool memory),");

    fill_frames(mdl);
    mdl->Process = NULL;
    mdl->MdlFlags |= MDL_PAGES_LOCKED;
    if (writes)
        mdl->MdlFlags |= MDL_WRITE_OPERATION;
    else
        mdl->MdlFlags &= ~MDL_WRITE_OPERATION;
    struct mm_record *record = mm_record_add(RECORD_MDL_LOCK, mdl, __builtin_return_address(0));
    record->pages = mdl_pages(mdl);
    mm_paged_lock(address, mdl->ByteCount, true);
}

VOID NTAPI MmUnlockPages(PMDL MemoryDescriptorList)
{
    PMDL mdl = MemoryDescriptorList;

    NT_CALL(DISPATCH_LEVEL);
    struct mm_record *lock = mm_record_find(RECORD_MDL_LOCK, mdl);
    if (lock == NULL || (mdl->MdlFlags & MDL_PAGES_LOCKED) == 0)
        nt_violation_sub("mdl-unlock", (uintptr_t)mdl, (USHORT)mdl->MdlFlags, 0,
                         "MmUnlockPages on the MDL %p that MmProbeAndLockPages has not locked (flags %#x)", (void *)mdl,
                         (unsigned)(USHORT)mdl->MdlFlags);
    struct mm_record *mapping = mm_record_find(RECORD_MDL_MAPPING, mdl);
    if (mapping != NULL)
        mm_unmap_mdl(mdl, mapping); /* as documented: a system mapping goes with the lock */
    mdl->MdlFlags &= ~(MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
    mm_paged_lock(MmGetMdlVirtualAddress(mdl), mdl->ByteCount, false);
    mm_record_remove(lock);
}

void mm_check_mdl_freed(PMDL mdl, const char *routine)
{
    const struct mm_record *mapping = mm_record_find(RECORD_MDL_MAPPING, mdl);
    const struct mm_record *lock = mm_record_find(RECORD_MDL_LOCK, mdl);

    if (mapping != NULL)
        nt_violation_sub("mdl-freed-mapped", (uintptr_t)mdl, (USHORT)mdl->MdlFlags, 0,
                         "%s frees the MDL %p, which is still mapped at %p (%zu pages)", routine, (void *)mdl,
                         mapping->address, mapping->pages);
    if (lock != NULL)
        nt_violation("mdl-freed-locked", "%s frees the MDL %p, which still holds %zu pages locked", routine,
                     (void *)mdl, lock->pages);
}

/* ---- contents ---- */

uint64_t mm_mdl_signature(PMDL mdl)
{
    uint64_t state = 1;

    for (; mdl != NULL; mdl = mdl->Next) {
        const PFN_NUMBER *frames = MmGetMdlPfnArray(mdl);
        size_t offset = mdl->ByteOffset;
        size_t left = mdl->ByteCount;

        if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)) == 0)
            return 0;
        for (size_t page = 0; left != 0; page++) {
            size_t chunk = left < PAGE_SIZE - offset ? left : PAGE_SIZE - offset;
            const uint8_t *bytes = guest_frame(frames[page]);

            if (bytes == NULL)
                return 0;
            state = XXH3_64bits_withSeed(bytes + offset, chunk, state);
            left -= chunk;
            offset = 0;
        }
    }
    return state;
}
