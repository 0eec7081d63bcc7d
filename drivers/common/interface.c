#include "interface.h"

NTSTATUS InterfaceFill(_Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size,
                       _In_reads_bytes_(Length) const VOID *Methods, _In_ ULONG Length, _In_ ULONG Version,
                       _In_ PVOID Context)
{
    if (Size < Length)
        return STATUS_BUFFER_TOO_SMALL;

    RtlCopyMemory(Interface, Methods, Length);

    /* Only Acquire and Release count: the published clients never dereference. */
    Interface->Size = (USHORT)Length;
    Interface->Version = (USHORT)Version;
    Interface->Context = Context;
    Interface->InterfaceReference = NULL;
    Interface->InterfaceDereference = NULL;
    return STATUS_SUCCESS;
}
