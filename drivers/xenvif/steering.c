#include "compat.h"
#include "frontend.h"
#include "pool.h"
#include "steering.h"
#include "toeplitz.h"

#define STEERING_TAG POOL_TAG('V', 's', 't', 'e')

#define STEERING_CHANGE (STEERING_COUNT_MASK + 1)

C_ASSERT(FRONTEND_MAXIMUM_QUEUES <= STEERING_COUNT_MASK);

/* A key for packets that the client has not hashed: any will do that has no pattern. */
static const UCHAR SteeringKey[TOEPLITZ_KEY_SIZE] = {0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15, 0xf3, 0x9c,
                                                     0xc0, 0x60, 0x5c, 0xed, 0xc8, 0x34, 0x10, 0x82, 0x27, 0x6b,
                                                     0xf3, 0xa2, 0x72, 0x51, 0xf8, 0x6c, 0x6a, 0x11, 0xd0, 0xc1,
                                                     0x8e, 0x95, 0x27, 0x67, 0xf0, 0xb1, 0x53, 0xd2, 0x7b, 0x7f};

PAGED_FUNCTION NTSTATUS SteeringInitialize(_Outptr_ PXENVIF_STEERING *Steering)
{
    PXENVIF_STEERING New;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_STEERING), STEERING_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    ToeplitzInitialize(&New->Toeplitz, SteeringKey);
    New->State = 1;

    *Steering = New;

    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID SteeringTeardown(_In_ PXENVIF_STEERING Steering)
{
    PAGED_CODE();

    PoolFree(Steering, STEERING_TAG);
}

/*
 * Only TCP's ports count: another protocol's datagrams may be fragmented, and then have no ports to be seen. What is
 * not IP is one flow.
 */
static ULONG SteeringHash(_In_ PXENVIF_STEERING Steering, _In_ const UCHAR *Header,
                          _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    UCHAR Input[TOEPLITZ_INPUT_SIZE];
    ULONG Length;

    if (Layout->Info.IpHeader.Length == 0)
        return 0;

    Length = PacketHashInput(Header, Layout, Layout->Info.TcpHeader.Length != 0, Input);

    return ToeplitzHash(&Steering->Toeplitz, Input, Length);
}

ULONG SteeringSelectOf(_In_ PXENVIF_STEERING Steering, _In_ ULONG Version, _In_ const STEERING_FLOW *Flow,
                       _In_ const UCHAR *Header, _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    ULONG Size = ReadULongNoFence(&Steering->MappingSize);
    ULONG Value = Flow->Hashed ? Flow->Value : SteeringHash(Steering, Header, Layout);

    /* What is read while somebody changes it may not fit together, and is found out by the version; but it is used. */
    return (Size != 0) ? ReadULongNoFence(&Steering->Mapping[Value & (Size - 1)])
                       : Value % (Version & STEERING_COUNT_MASK);
}

VOID SteeringSet(_Inout_ PXENVIF_STEERING Steering, _In_ ULONG Count, _In_ const STEERING_MAPPING *Mapping)
{
    ULONG Index;

    for (Index = 0; Index < Mapping->Size; Index++)
        WriteULongNoFence(&Steering->Mapping[Index], Mapping->Queue[Index]);

    WriteULongNoFence(&Steering->MappingSize, Mapping->Size);
    WriteULongRelease(&Steering->State, (Steering->State & ~STEERING_COUNT_MASK) + STEERING_CHANGE + Count);
}
