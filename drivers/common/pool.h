/*
 * Memory of the drivers: non-paged, not executable, zeroed, tagged.
 *
 * ExAllocatePool2 is not used: Windows 10 before version 2004 does not export it, and a driver that imports it is not
 * loaded there.
 */
#ifndef DRIVER_POOL_H
#define DRIVER_POOL_H

#include "compat.h"

/* Allocates Size bytes, zeroed; NULL if there is no memory or Size is 0. IRQL <= DISPATCH_LEVEL. Freed by PoolFree. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PVOID PoolAllocate(_In_ SIZE_T Size, _In_ ULONG Tag);

/* As PoolAllocate for Count elements of Size bytes; NULL also if the product overflows. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_ PVOID PoolAllocateArray(_In_ SIZE_T Count, _In_ SIZE_T Size, _In_ ULONG Tag);

/* Frees what PoolAllocate or PoolAllocateArray gave under the same tag. IRQL <= DISPATCH_LEVEL. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PoolFree(_In_ PVOID Buffer, _In_ ULONG Tag);

#endif /* DRIVER_POOL_H */
