#include "bug.h"
#include "buffer.h"
#include "pool.h"

#define BUFFER_TAG POOL_TAG('V', 'b', 'u', 'f')
#define PAGE_TAG POOL_TAG('V', 'p', 'a', 'g')

PXENVIF_BUFFER BufferAllocate(VOID)
{
    PXENVIF_BUFFER Buffer;

    Buffer = PoolAllocate(sizeof(XENVIF_BUFFER), BUFFER_TAG);
    if (Buffer == NULL)
        return NULL;

    /* An allocation of a page or more begins on a page. */
    Buffer->Address = PoolAllocate(PAGE_SIZE, PAGE_TAG);
    if (Buffer->Address == NULL)
        goto fail1;

    ASSERT(BYTE_OFFSET(Buffer->Address) == 0);

    Buffer->Mdl = IoAllocateMdl(Buffer->Address, PAGE_SIZE, FALSE, FALSE, NULL);
    if (Buffer->Mdl == NULL)
        goto fail2;

    MmBuildMdlForNonPagedPool(Buffer->Mdl);
    Buffer->Pfn = MmGetMdlPfnArray(Buffer->Mdl)[0];
    InitializeListHead(&Buffer->ListEntry);

    return Buffer;

fail2:
    PoolFree(Buffer->Address, PAGE_TAG);

fail1:
    PoolFree(Buffer, BUFFER_TAG);

    return NULL;
}

VOID BufferFree(_In_ PXENVIF_BUFFER Buffer)
{
    ASSERT(Buffer->Grant == NULL);

    IoFreeMdl(Buffer->Mdl);
    PoolFree(Buffer->Address, PAGE_TAG);
    PoolFree(Buffer, BUFFER_TAG);
}

VOID BufferPoolInitialize(_Out_ PXENVIF_BUFFER_POOL Pool, _In_ ULONG Cap)
{
    InitializeListHead(&Pool->Free);
    Pool->FreeCount = 0;
    Pool->Count = 0;
    Pool->Cap = Cap;
}

PXENVIF_BUFFER BufferPoolGrow(_Inout_ PXENVIF_BUFFER_POOL Pool)
{
    PXENVIF_BUFFER Buffer;

    if (Pool->Count == Pool->Cap)
        return NULL;

    Buffer = BufferAllocate();
    if (Buffer != NULL)
        Pool->Count++;

    return Buffer;
}

VOID BufferPoolForget(_Inout_ PXENVIF_BUFFER_POOL Pool)
{
    ASSERT(Pool->Count != 0);

    Pool->Count--;
}

PXENVIF_BUFFER BufferPoolRemove(_Inout_ PXENVIF_BUFFER_POOL Pool)
{
    if (IsListEmpty(&Pool->Free))
        return NULL;

    BufferPoolForget(Pool);
    Pool->FreeCount--;

    return CONTAINING_RECORD(RemoveHeadList(&Pool->Free), XENVIF_BUFFER, ListEntry);
}

VOID BufferPoolTrim(_Inout_ PXENVIF_BUFFER_POOL Pool)
{
    PXENVIF_BUFFER Buffer;

    while ((Buffer = BufferPoolRemove(Pool)) != NULL)
        BufferFree(Buffer);
}

VOID BufferPoolTeardown(_Inout_ PXENVIF_BUFFER_POOL Pool)
{
    BufferPoolTrim(Pool);

    BUG_ON(Pool->Count != 0);
}
