/*
 * The standard event objects for physical memory, \KernelObjects\LowMemoryCondition and HighMemoryCondition: set while
 * few pages are free, or many. The levels are Windows's defaults, as CreateMemoryResourceNotification documents them:
 * 32 MiB of free memory for each 4 GiB of RAM, 64 MiB at most, are low, and three times as much is high.
 */
#include "nt/ke/ke.h"
#include "nt/mm/mm.h"
#include "nt/ob/ob.h"

#define LOW_PART 128u /* of all pages */
#define LOW_PAGES_MAX (UINT32_C(64) << (20 - PAGE_SHIFT))
#define HIGH_TIMES 3u

static bool is_low(void)
{
    uint32_t low = guest_ram_pages() / LOW_PART;

    return machine->mm->free_pages <= (low < LOW_PAGES_MAX ? low : LOW_PAGES_MAX);
}

static bool is_high(void)
{
    uint32_t low = guest_ram_pages() / LOW_PART;

    return machine->mm->free_pages >= HIGH_TIMES * (low < LOW_PAGES_MAX ? low : LOW_PAGES_MAX);
}

void mm_conditions_init(void)
{
    machine->mm->low_memory = ob_standard_event("\\KernelObjects\\LowMemoryCondition", is_low());
    machine->mm->high_memory = ob_standard_event("\\KernelObjects\\HighMemoryCondition", is_high());
}

static void follow(PKEVENT event, bool state)
{
    if ((event->Header.SignalState != 0) == state)
        return;
    if (state)
        ke_signal(&event->Header, 1, 0);
    else
        event->Header.SignalState = 0;
}

void mm_conditions_look(void)
{
    follow(machine->mm->low_memory, is_low());
    follow(machine->mm->high_memory, is_high());
}
