/*
 * What all providers of interfaces have in common.
 */
#ifndef DRIVER_INTERFACE_H
#define DRIVER_INTERFACE_H

#include "compat.h"

/*
 * A provider's answer to IRP_MN_QUERY_INTERFACE: fills Interface, of Size bytes, with the methods of Version.
 * STATUS_NOT_SUPPORTED: no such version. STATUS_BUFFER_TOO_SMALL: Size is less than the version's structure.
 */
typedef NTSTATUS (*INTERFACE_GET)(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                                  _In_ ULONG Size);

/* Copies the Length bytes of Methods, a table with an empty header, to Interface and makes the header. */
_Must_inspect_result_ NTSTATUS InterfaceFill(_Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size,
                                             _In_reads_bytes_(Length) const VOID *Methods, _In_ ULONG Length,
                                             _In_ ULONG Version, _In_ PVOID Context);

#endif /* DRIVER_INTERFACE_H */
