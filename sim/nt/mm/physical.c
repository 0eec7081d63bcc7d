/* Physical addresses and what lies at them. */
#include <dlfcn.h>
#include <string.h>

#include "nt/mm/mm.h"

#define MM_TAG_RANGES POOL_TAG('M', 'm', 'R', 'n')

PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress)
{
    PHYSICAL_ADDRESS physical;

    NT_CALL_ANY();
    uint64_t gfn = guest_virtual_to_gfn(BaseAddress);
    if (gfn == GFN_INVALID && guest_range_valid(BaseAddress, 1))
        NT_UNIMPLEMENTED("the physical address of a stack or an image, which have no guest frames (take pool memory),");
    if (gfn == GFN_INVALID)
        nt_violation("physical-address", "MmGetPhysicalAddress(%p): nothing is mapped there", BaseAddress);
    physical.QuadPart = (LONGLONG)(gfn << PAGE_SHIFT | BYTE_OFFSET(BaseAddress));
    return physical;
}

PVOID NTAPI MmGetVirtualForPhysical(PHYSICAL_ADDRESS PhysicalAddress)
{
    NT_CALL(DISPATCH_LEVEL);
    uint32_t page = guest_ram_virtual_page((uint64_t)PhysicalAddress.QuadPart >> PAGE_SHIFT);
    if (page == UINT32_MAX)
        nt_violation("physical-address", "MmGetVirtualForPhysical(%#llx): no RAM is there",
                     (unsigned long long)PhysicalAddress.QuadPart);
    return (char *)page_address(page) + (PhysicalAddress.QuadPart & (PAGE_SIZE - 1));
}

BOOLEAN NTAPI MmIsAddressValid(PVOID VirtualAddress)
{
    Dl_info module;

    NT_CALL(DISPATCH_LEVEL);
    if (guest_range_valid(VirtualAddress, 1))
        return TRUE;
    if (image_is_heap(VirtualAddress))
        return image_heap_contains(VirtualAddress); /* NT's own objects */
    return dladdr(VirtualAddress, &module) != 0;    /* code and data of the kernel and of modules */
}

/* The frames of RAM in their order: low RAM, then what continues above the device hole. */
static uint64_t ram_frame(uint64_t index)
{
    uint64_t low = GUEST_LOW_RAM_END_GFN - GUEST_RAM_FIRST_GFN;

    return index < low ? GUEST_RAM_FIRST_GFN + index : GUEST_HIGH_RAM_GFN + index - low;
}

/* The next run of frames with memory from RAM's frame *index on; false: there is none. */
static bool next_range(uint64_t *index, uint64_t *first, uint64_t *count)
{
    *first = 0;
    *count = 0;
    for (; *index < guest_ram_pages(); ++*index) {
        uint64_t gfn = ram_frame(*index);
        bool there = page_info(guest_ram_virtual_page(gfn))->use != PAGE_ABSENT;

        if (*count != 0 && (!there || gfn != *first + *count))
            break;
        if (there && (*count)++ == 0)
            *first = gfn;
    }
    return *count != 0;
}

/* The list ends with an entry of zeros; the caller frees it. */
PPHYSICAL_MEMORY_RANGE NTAPI MmGetPhysicalMemoryRanges(VOID)
{
    uint64_t index = 0, first, count;
    size_t ranges = 1, i = 0;
    PPHYSICAL_MEMORY_RANGE list;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return NULL;
    while (next_range(&index, &first, &count))
        ranges++;
    list = pool_allocate(NonPagedPoolNx, ranges * sizeof(*list), MM_TAG_RANGES, __builtin_return_address(0));
    if (list == NULL)
        return NULL;
    for (index = 0; next_range(&index, &first, &count); i++) {
        list[i].BaseAddress.QuadPart = (LONGLONG)(first << PAGE_SHIFT);
        list[i].NumberOfBytes.QuadPart = (LONGLONG)(count << PAGE_SHIFT);
    }
    memset(&list[i], 0, sizeof(list[i]));
    return list;
}

/* Windows' thresholds for a client system. */
MM_SYSTEMSIZE NTAPI MmQuerySystemSize(VOID)
{
    uint64_t megabytes = (uint64_t)guest_ram_pages() * PAGE_SIZE >> 20;

    NT_CALL_ANY();
    return megabytes <= 12 ? MmSmallSystem : megabytes <= 19 ? MmMediumSystem : MmLargeSystem;
}

/*
 * A kernel routine by name: what the executable exports to drivers, and nothing of the C library behind it. A name that
 * the kernel does not have gives NULL.
 */
PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName)
{
    char name[128];
    size_t length = SystemRoutineName->Length / sizeof(WCHAR);
    Dl_info kernel, found;

    NT_CALL(PASSIVE_LEVEL);
    if (length == 0 || length >= sizeof name)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (SystemRoutineName->Buffer[i] == 0 || SystemRoutineName->Buffer[i] > 0x7E)
            return NULL;
        name[i] = (char)SystemRoutineName->Buffer[i];
    }
    name[length] = '\0';

    void *address = dlsym(RTLD_DEFAULT, name);
    if (address == NULL || dladdr(address, &found) == 0 || dladdr((void *)MmGetPhysicalAddress, &kernel) == 0)
        return NULL;
    return found.dli_fbase == kernel.dli_fbase ? address : NULL;
}
