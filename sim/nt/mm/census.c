/* What of memory management is taken, for the leak check: newest first, so that the caller named is the latest. */
#include "nt/mm/mm.h"

void mm_census(struct census *census)
{
    LIST_ENTRY *records = &machine->mm->records;

    for (LIST_ENTRY *entry = records->Blink; entry != records; entry = entry->Blink) {
        const struct mm_record *record = CONTAINING_RECORD(entry, struct mm_record, entry);
        switch (record->kind) {
        case RECORD_MDL_MAPPING:
            census_item(census, "mapping", 1, record->caller, "MDL");
            break;
        case RECORD_IO_SPACE:
            census_item(census, "mapping", 1, record->caller, "I/O space");
            break;
        case RECORD_MDL_LOCK:
            census_item(census, "locked pages", record->pages, record->caller, "pages of MmProbeAndLockPages");
            break;
        case RECORD_SECTION:
            census_item(census, "locked section", record->count, record->caller, "MmLockPagableDataSection");
            break;
        }
    }

    for (uint32_t page = 0; page < guest_ram_pages(); page += page_info(page)->run) {
        const struct mm_page *run = page_info(page);
        if (run->use == PAGE_CONTIGUOUS)
            census_item(census, "contiguous memory", (uint64_t)run->run * PAGE_SIZE, run->owner,
                        "bytes of MmAllocateContiguousMemory");
        else if (run->use == PAGE_MDL)
            census_item(census, "mdl pages", 1, run->owner, "pages of MmAllocatePagesForMdl");
        else if (run->use == PAGE_NONCACHED)
            census_item(census, "noncached memory", (uint64_t)run->run * PAGE_SIZE, run->owner,
                        "bytes of MmAllocateNonCachedMemory");
    }
}
