/*
 * Memory that comes and goes while the machine runs: MmAddPhysicalMemory, MmRemovePhysicalMemory (ntddk.h). The board
 * has as many frames as the machine was made with; what is taken away can be brought back. The pages say little of
 * failures: the statuses here are those of Windows' neighbours (STATUS_CONFLICTING_ADDRESSES for memory that is there
 * already).
 */
#include "nt/mm/mm.h"

/* The frames of a range of bytes; false: it is no whole number of pages, or it wraps. */
static bool frames_of(const PHYSICAL_ADDRESS *start, const LARGE_INTEGER *bytes, uint64_t *first, uint64_t *count)
{
    uint64_t from = (uint64_t)start->QuadPart, length = (uint64_t)bytes->QuadPart;

    *first = from >> PAGE_SHIFT;
    *count = length >> PAGE_SHIFT;
    return length != 0 && from % PAGE_SIZE == 0 && length % PAGE_SIZE == 0 && from + length > from &&
           *first + *count <= GUEST_GFN_LIMIT;
}

NTSTATUS NTAPI MmAddPhysicalMemory(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes)
{
    uint64_t first, count;

    NT_CALL(APC_LEVEL);
    if (!frames_of(StartAddress, NumberOfBytes, &first, &count))
        return STATUS_INVALID_PARAMETER;
    for (uint64_t gfn = first; gfn < first + count; gfn++) {
        uint32_t page = guest_ram_virtual_page(gfn);

        if (page == UINT32_MAX)
            return STATUS_INVALID_PARAMETER; /* no memory module is there */
        if (page_info(page)->use != PAGE_ABSENT)
            return STATUS_CONFLICTING_ADDRESSES;
    }
    for (uint64_t gfn = first; gfn < first + count; gfn++)
        page_free(guest_ram_virtual_page(gfn), __func__);
    return STATUS_SUCCESS;
}

/* Contents are not moved elsewhere: a range with a page in use stays whole. */
NTSTATUS NTAPI MmRemovePhysicalMemory(PPHYSICAL_ADDRESS StartAddress, PLARGE_INTEGER NumberOfBytes)
{
    const void *caller = __builtin_return_address(0);
    uint64_t first, count, taken;

    NT_CALL(APC_LEVEL);
    if (!frames_of(StartAddress, NumberOfBytes, &first, &count))
        return STATUS_INVALID_PARAMETER;
    for (taken = 0; taken < count; taken++) {
        uint32_t page = guest_ram_virtual_page(first + taken);

        if (page == UINT32_MAX || page_info(page)->use == PAGE_ABSENT) {
            while (taken-- != 0)
                page_free(guest_ram_virtual_page(first + taken), __func__);
            return STATUS_INVALID_PARAMETER;
        }
        if (!page_take(page, PAGE_ABSENT, caller)) {
            while (taken-- != 0)
                page_free(guest_ram_virtual_page(first + taken), __func__);
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_SUCCESS;
}
