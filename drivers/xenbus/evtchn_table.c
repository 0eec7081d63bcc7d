/* Channels by port. Ports are few and low, but the FIFO ABI has room for many. */
#include "evtchn_private.h"

#include "pool.h"

#define EVTCHN_TABLE_TAG POOL_TAG('E', 'V', 'T', 'B')

static PVOID volatile *EvtchnSlot(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ ULONG Port)
{
    PVOID volatile *Bucket = ReadPointerAcquire((PVOID volatile *)&Context->Bucket[Port / EVTCHN_BUCKET_PORTS]);

    return Bucket != NULL ? &Bucket[Port % EVTCHN_BUCKET_PORTS] : NULL;
}

PXENBUS_EVTCHN_CHANNEL EvtchnFindChannel(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ ULONG Port)
{
    PVOID volatile *Slot = EvtchnSlot(Context, Port);

    return Slot != NULL ? ReadPointerAcquire(Slot) : NULL;
}

static NTSTATUS EvtchnMakeBucket(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ ULONG Index)
{
    PVOID New = PoolAllocateArray(EVTCHN_BUCKET_PORTS, sizeof(PVOID), EVTCHN_TABLE_TAG);

    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    WritePointerRelease((PVOID volatile *)&Context->Bucket[Index], New);
    return STATUS_SUCCESS;
}

NTSTATUS EvtchnAddChannel(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    NTSTATUS Status;

    if (EvtchnSlot(Context, Channel->Port) == NULL) {
        Status = EvtchnMakeBucket(Context, Channel->Port / EVTCHN_BUCKET_PORTS);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    if (InterlockedCompareExchangePointer(EvtchnSlot(Context, Channel->Port), Channel, NULL) != NULL)
        return STATUS_SHARING_VIOLATION;

    return STATUS_SUCCESS;
}

VOID EvtchnRemoveChannel(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    InterlockedExchangePointer(EvtchnSlot(Context, Channel->Port), NULL);
}

VOID EvtchnFreeTable(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    ULONG Index;

    for (Index = 0; Index < EVTCHN_BUCKETS; Index++) {
        PVOID Bucket = (PVOID)(ULONG_PTR)Context->Bucket[Index];

        if (Bucket != NULL)
            PoolFree(Bucket, EVTCHN_TABLE_TAG);
        Context->Bucket[Index] = NULL;
    }
}
