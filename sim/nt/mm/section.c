/*
 * Locking of pageable sections of a driver's image. Each lock is counted and shows in the census until it is undone;
 * with strict paging a locked section stays in reach at DISPATCH_LEVEL.
 */
#include <dlfcn.h>

#include "nt/mm/mm.h"

static void *image_base(const char *routine, const void *address)
{
    Dl_info module;

    if (dladdr(address, &module) == 0)
        nt_violation("section-lock", "%s(%p): the address is in no driver's image", routine, address);
    return module.dli_fbase;
}

/* The handle of a section is where it begins, or the base of the image when the address lies in none that pages. */
PVOID NTAPI MmLockPagableDataSection(PVOID AddressWithinSection)
{
    NT_CALL(APC_LEVEL);
    void *handle = (void *)mm_paged_section_of(AddressWithinSection);
    if (handle == NULL)
        handle = image_base(__func__, AddressWithinSection);
    struct mm_record *record = mm_record_find(RECORD_SECTION, handle);
    mm_paged_show();
    if (record == NULL)
        record = mm_record_add(RECORD_SECTION, handle, __builtin_return_address(0));
    record->count++;
    return handle;
}

VOID NTAPI MmUnlockPagableImageSection(PVOID ImageSectionHandle)
{
    NT_CALL(APC_LEVEL);
    struct mm_record *record = mm_record_find(RECORD_SECTION, ImageSectionHandle);
    if (record == NULL)
        nt_violation("section-unlock", "MmUnlockPagableImageSection(%p): no section is locked by that handle",
                     ImageSectionHandle);
    mm_paged_show();
    if (--record->count == 0)
        mm_record_remove(record);
}

/* Paging attributes of a whole image; with nothing that pages there is nothing to change. Returns the image's base. */
PVOID NTAPI MmPageEntireDriver(PVOID AddressWithinSection)
{
    NT_CALL(PASSIVE_LEVEL);
    void *base = image_base(__func__, AddressWithinSection);
    if (mm_record_find(RECORD_SECTION, base) != NULL)
        nt_violation("section-lock", "MmPageEntireDriver(%p): a section of the image is locked", AddressWithinSection);
    return base;
}

VOID NTAPI MmResetDriverPaging(PVOID AddressWithinSection)
{
    NT_CALL(PASSIVE_LEVEL);
    image_base(__func__, AddressWithinSection);
}
