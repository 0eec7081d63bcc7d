/* The process a request comes from: there is one, the system's, and it is 64-bit (ntddk.h, wdm.h). */
#include "nt/io/io_internal.h"

PEPROCESS NTAPI IoGetCurrentProcess(VOID)
{
    return PsGetCurrentProcess();
}

BOOLEAN NTAPI IoIs32bitProcess(PIRP Irp)
{
    NT_CALL(APC_LEVEL);
    (void)Irp; /* whoever made it lives in the same address space */
    return FALSE;
}
