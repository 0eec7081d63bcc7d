/* The component's start, and what ntoskrnl has of the C library beside the host's. */
#include <strings.h>

#include "nt/ke/ke.h"
#include "nt/rtl/rtl.h"

void rtl_init(void)
{
    struct rtl_state *rtl = image_alloc(sizeof(*rtl));

    /* As on Windows: of the components only errors are shown, of the default one everything that DbgPrint says. */
    for (size_t index = 0; index < ARRAYSIZE(rtl->debug_mask); index++)
        rtl->debug_mask[index] = 1u << DPFLTR_ERROR_LEVEL;
    rtl->debug_mask[DPFLTR_DEFAULT_ID] = 0xffffffffu;
    rtl->debug_mask[DPFLTR_IHVDRIVER_ID] = 0xffffffffu;
    rtl_random_init(rtl);
    machine->rtl = rtl;
}

int NTAPI _stricmp(const char *First, const char *Second)
{
    return strcasecmp(First, Second);
}

int NTAPI _strnicmp(const char *First, const char *Second, size_t Count)
{
    return strncasecmp(First, Second, Count);
}
