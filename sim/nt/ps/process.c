/* Processes: there is one, System. */
#include <string.h>

#include "nt/ke/ke.h"

/* What PEPROCESS points to. Drivers never look inside. */
struct _EPROCESS {
    char image_name[16];
};

static const struct _EPROCESS system_process = {.image_name = "System"};

PEPROCESS NTAPI PsGetCurrentProcess(VOID)
{
    NT_CALL_ANY();
    return (PEPROCESS)&system_process;
}

HANDLE NTAPI PsGetProcessId(PEPROCESS Process)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(Process); /* only System's can have been handed out */
    return (HANDLE)(ULONG_PTR)4;
}

PSTR NTAPI PsGetProcessImageFileName(PEPROCESS Process)
{
    NT_CALL(DISPATCH_LEVEL);
    return ((struct _EPROCESS *)Process)->image_name;
}

HANDLE NTAPI PsGetThreadId(PETHREAD Thread)
{
    NT_CALL(DISPATCH_LEVEL);
    return (HANDLE)(ULONG_PTR)(((PKTHREAD)Thread)->id * 4);
}

BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(Thread); /* there are no others */
    return TRUE;
}
