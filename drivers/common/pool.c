#include "pool.h"

PVOID
PoolAllocate(_In_ SIZE_T Size, _In_ ULONG Tag)
{
    PVOID Buffer;

    if (Size == 0)
        return NULL;

    Buffer = ExAllocatePoolWithTag(NonPagedPoolNx, Size, Tag);
    if (Buffer != NULL)
        RtlZeroMemory(Buffer, Size);

    return Buffer;
}

PVOID
PoolAllocateArray(_In_ SIZE_T Count, _In_ SIZE_T Size, _In_ ULONG Tag)
{
    if (Size != 0 && Count > (SIZE_T)-1 / Size)
        return NULL;

    return PoolAllocate(Count * Size, Tag);
}

VOID PoolFree(_In_ PVOID Buffer, _In_ ULONG Tag)
{
    ExFreePoolWithTag(Buffer, Tag);
}
