/* Allocating, freeing and cutting MDLs: the I/O manager's part of them. The rest is in nt/mm. */
#include <string.h>

#include "nt/mm/mm.h"

/* Hang an MDL on an IRP: as its only one, or behind those that are there. */
static void attach(PIRP irp, PMDL mdl, bool secondary)
{
    PMDL *link = &irp->MdlAddress;

    if (!secondary && *link != NULL)
        nt_violation("mdl-allocate", "IoAllocateMdl: the IRP %p has an MDL already (%p) and SecondaryBuffer is FALSE",
                     (void *)irp, (void *)*link);
    if (secondary && *link == NULL)
        nt_violation("mdl-allocate", "IoAllocateMdl: the IRP %p has no MDL and SecondaryBuffer is TRUE", (void *)irp);
    while (*link != NULL)
        link = &(*link)->Next;
    *link = mdl;
}

/*
 * ChargeQuota charges the requesting process; drivers here run in the system process, which has no quota. A
 * SecondaryBuffer without an IRP has nothing to be second to.
 */
PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN ChargeQuota, PIRP Irp)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(MDL))
        return NULL;
    (void)ChargeQuota;
    if (SecondaryBuffer && Irp == NULL)
        nt_violation("mdl-allocate", "IoAllocateMdl: SecondaryBuffer is TRUE and there is no IRP");
    if (Length > UINT32_MAX - PAGE_SIZE) /* the largest buffer that is documented */
        return NULL;

    SIZE_T size = sizeof(MDL) + sizeof(PFN_NUMBER) * ADDRESS_AND_SIZE_TO_SPAN_PAGES(VirtualAddress, Length);
    PMDL mdl = pool_allocate(NonPagedPoolNx, size, MM_TAG_MDL, __builtin_return_address(0));
    if (mdl == NULL)
        return NULL;
    memset(mdl, 0, size);
    mdl->Size = (CSHORT)size;
    mdl->StartVa = PAGE_ALIGN(VirtualAddress);
    mdl->ByteOffset = BYTE_OFFSET(VirtualAddress);
    mdl->ByteCount = Length;
    if (Irp != NULL)
        attach(Irp, mdl, SecondaryBuffer);
    return mdl;
}

VOID NTAPI IoFreeMdl(PMDL Mdl)
{
    NT_CALL(DISPATCH_LEVEL);
    if ((Mdl->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED) != 0) { /* as documented, a partial MDL's mapping goes with it */
        struct mm_record *mapping = mm_record_find(RECORD_MDL_MAPPING, Mdl);
        if (mapping != NULL)
            mm_unmap_mdl(Mdl, mapping);
    }
    mm_check_mdl_freed(Mdl, __func__);
    pool_free(Mdl, MM_TAG_MDL, __func__, __builtin_return_address(0));
}

/*
 * The target describes part of what the source does. It has the source's frames, and its system address if the source
 * has one; it holds no lock of its own.
 */
VOID NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length)
{
    uintptr_t source = (uintptr_t)MmGetMdlVirtualAddress(SourceMdl);
    uintptr_t start = (uintptr_t)VirtualAddress;

    NT_CALL(DISPATCH_LEVEL);
    if (start < source || start - source > SourceMdl->ByteCount)
        nt_violation("mdl-partial", "IoBuildPartialMdl: %p is outside the source MDL, %p and %u bytes", VirtualAddress,
                     (void *)source, SourceMdl->ByteCount);
    ULONG offset = (ULONG)(start - source);
    if (Length == 0) /* all that follows */
        Length = SourceMdl->ByteCount - offset;
    if (Length > SourceMdl->ByteCount - offset)
        nt_violation("mdl-partial", "IoBuildPartialMdl: %u bytes at offset %u of a source MDL of %u bytes", Length,
                     offset, SourceMdl->ByteCount);
    if ((TargetMdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_PARTIAL_HAS_BEEN_MAPPED)) != 0)
        nt_violation("mdl-partial", "IoBuildPartialMdl: the target MDL %p is in use (flags %#x)", (void *)TargetMdl,
                     (unsigned)(USHORT)TargetMdl->MdlFlags);

    uint32_t count = ADDRESS_AND_SIZE_TO_SPAN_PAGES(VirtualAddress, Length);
    if (sizeof(MDL) + count * sizeof(PFN_NUMBER) > (USHORT)TargetMdl->Size) {
        const uint64_t parameter[4] = {(uintptr_t)TargetMdl, 0, 0, 0};
        nt_violation_code(TARGET_MDL_TOO_SMALL, parameter, "mdl-partial",
                          "IoBuildPartialMdl: the target MDL %p has no room for %u pages", (void *)TargetMdl, count);
    }

    TargetMdl->StartVa = PAGE_ALIGN(VirtualAddress);
    TargetMdl->ByteOffset = BYTE_OFFSET(VirtualAddress);
    TargetMdl->ByteCount = Length;
    TargetMdl->Process = SourceMdl->Process;
    TargetMdl->MdlFlags = MDL_PARTIAL | (SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA |
                                                                MDL_IO_PAGE_READ | MDL_WRITE_OPERATION));
    TargetMdl->MappedSystemVa = NULL;
    if ((SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA)) != 0)
        TargetMdl->MappedSystemVa = (char *)SourceMdl->MappedSystemVa + offset;

    uint32_t first = (uint32_t)(((uintptr_t)TargetMdl->StartVa - (uintptr_t)SourceMdl->StartVa) / PAGE_SIZE);
    memcpy(MmGetMdlPfnArray(TargetMdl), MmGetMdlPfnArray(SourceMdl) + first, count * sizeof(PFN_NUMBER));
}
