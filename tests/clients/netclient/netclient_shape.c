#include "netclient.h"

/* A frame as it was written, copied into a chain of the shape that was asked for. */
typedef struct _NETCLIENT_CHAIN {
    PMDL First;
    ULONG Offset; /* of the frame in the chain */
    PUCHAR Memory;
} NETCLIENT_CHAIN, *PNETCLIENT_CHAIN;

/* The bytes of memory that a frame takes with the gaps between its fragments. */
static SIZE_T NetClientChainSize(_In_ const NETCLIENT_SHAPE *Shape, _In_ ULONG Length)
{
    ULONG Fragments = (Length + Shape->FragmentSize - 1) / Shape->FragmentSize;

    return (SIZE_T)Shape->PageOffset + Shape->LeadingBytes + Length + (SIZE_T)Fragments * Shape->Gap;
}

static VOID NetClientFreeChain(_In_ PNETCLIENT_CHAIN Chain)
{
    while (Chain->First != NULL) {
        PMDL Mdl = Chain->First;

        Chain->First = Mdl->Next;
        IoFreeMdl(Mdl);
    }

    if (Chain->Memory != NULL)
        ExFreePoolWithTag(Chain->Memory, NETCLIENT_TAG);
    ExFreePoolWithTag(Chain, NETCLIENT_TAG);
}

/* Adds an MDL of Length bytes at Address to the end of a chain. */
static NTSTATUS NetClientAddMdl(_Inout_ PMDL **Tail, _In_ PUCHAR Address, _In_ ULONG Length)
{
    PMDL Mdl;

    Mdl = IoAllocateMdl(Address, Length, FALSE, FALSE, NULL);
    if (Mdl == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    MmBuildMdlForNonPagedPool(Mdl);
    **Tail = Mdl;
    *Tail = &Mdl->Next;

    return STATUS_SUCCESS;
}

/* Lays a frame out. What lies around it, and is in the first MDL ahead of it, is other than zero. */
static NTSTATUS NetClientFillChain(_Inout_ PNETCLIENT_CHAIN Chain, _In_ const NETCLIENT_SHAPE *Shape,
                                   _In_reads_(Length) const UCHAR *Frame, _In_ ULONG Length)
{
    PUCHAR Place = Chain->Memory + Shape->PageOffset;
    ULONG Lead = Shape->LeadingBytes;
    PMDL *Tail = &Chain->First;
    ULONG Done = 0;

    while (Done < Length) {
        ULONG Part = (Length - Done < Shape->FragmentSize) ? Length - Done : Shape->FragmentSize;
        NTSTATUS Status;

        RtlCopyMemory(Place + Lead, Frame + Done, Part);

        Status = NetClientAddMdl(&Tail, Place, Lead + Part);
        if (!NT_SUCCESS(Status))
            return Status;

        Place += Lead + Part + Shape->Gap;
        Done += Part;
        Lead = 0;
    }

    return STATUS_SUCCESS;
}

NTSTATUS NetClientShape(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp, _Out_ PMDL *Mdl, _Out_ PULONG Offset)
{
    NETCLIENT_SHAPE Shape = Client->Shape;
    ULONG Length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
    PNETCLIENT_CHAIN Chain;
    PUCHAR Frame;
    NTSTATUS Status;

    Irp->Tail.Overlay.DriverContext[0] = NULL;
    *Mdl = Irp->MdlAddress;
    *Offset = 0;
    if (Shape.FragmentSize == 0)
        return STATUS_SUCCESS;

    Frame = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    if (Frame == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Chain = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(NETCLIENT_CHAIN), NETCLIENT_TAG);
    if (Chain == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Chain->First = NULL;
    Chain->Offset = Shape.LeadingBytes;

    /* From a page on the pool's memory begins where a page does. */
    Status = STATUS_INSUFFICIENT_RESOURCES;
    Chain->Memory =
        ExAllocatePoolWithTag(NonPagedPoolNx, NetClientChainSize(&Shape, Length) + PAGE_SIZE, NETCLIENT_TAG);
    if (Chain->Memory == NULL)
        goto fail;

    RtlFillMemory(Chain->Memory, NetClientChainSize(&Shape, Length), 0xA5);

    Status = NetClientFillChain(Chain, &Shape, Frame, Length);
    if (!NT_SUCCESS(Status))
        goto fail;

    Irp->Tail.Overlay.DriverContext[0] = Chain;
    *Mdl = Chain->First;
    *Offset = Chain->Offset;

    return STATUS_SUCCESS;

fail:
    NetClientFreeChain(Chain);

    return Status;
}

VOID NetClientUnshape(_Inout_ PIRP Irp)
{
    PNETCLIENT_CHAIN Chain = Irp->Tail.Overlay.DriverContext[0];

    Irp->Tail.Overlay.DriverContext[0] = NULL;
    if (Chain != NULL)
        NetClientFreeChain(Chain);
}
