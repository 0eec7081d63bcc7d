/*
 * The backend's filter of multicast frames (xen/io/netif.h: feature-multicast-control): it is told, by extra info on
 * the ring, of the groups that the client wants, and asked to send no others. The MAC filters on its own all the same;
 * this spares the frames' way.
 *
 * A backend whose filter is dynamic is asked once it has answered for every address, so that no frame is missed; of
 * another one it has to be known before the connection is made. Where the client wants all groups, or more than filters
 * have room for, or the backend refuses one, there is no filter: one that is not dynamic is got rid of by another
 * connection.
 */
#include "bug.h"
#include "frontend_state.h"

typedef struct _MULTICAST_WISH {
    ULONG Count;
    ULONG Change;
    ETHERNET_ADDRESS Addresses[FRONTEND_MULTICAST_ADDRESSES];
} MULTICAST_WISH;

/* FALSE: there is to be no filter. */
static BOOLEAN MulticastReadWish(_In_ PXENVIF_FRONTEND Frontend, _Out_ MULTICAST_WISH *Wish)
{
    return MacQueryMulticastFilter(Frontend->Mac, Wish->Addresses, FRONTEND_MULTICAST_ADDRESSES, &Wish->Count,
                                   &Wish->Change);
}

VOID FrontendPrepareMulticast(_Inout_ PXENVIF_FRONTEND Frontend)
{
    FRONTEND_MULTICAST *Multicast = &Frontend->Multicast;
    MULTICAST_WISH Wish;
    BOOLEAN Wanted = MulticastReadWish(Frontend, &Wish);

    Multicast->Count = 0;
    Multicast->Stale = FALSE;
    Multicast->Refused = Multicast->HasRefused && Multicast->RefusedAt == Wish.Change;
    Multicast->Offered =
        !Multicast->Disabled && FrontendReadBackendNumber(Frontend, "feature-multicast-control", 0) != 0;
    Multicast->Dynamic =
        Multicast->Offered && FrontendReadBackendNumber(Frontend, "feature-dynamic-multicast-control", 0) != 0;
    Multicast->Asked = Multicast->Offered && !Multicast->Dynamic && Wanted && !Multicast->Refused;
}

static BOOLEAN MulticastHas(_In_reads_(Count) const ETHERNET_ADDRESS *Addresses, _In_ ULONG Count,
                            _In_ const ETHERNET_ADDRESS *Address)
{
    ULONG Index;

    for (Index = 0; Index < Count; Index++)
        if (RtlEqualMemory(&Addresses[Index], Address, sizeof(ETHERNET_ADDRESS)))
            return TRUE;

    return FALSE;
}

/* FALSE: there is no room on the ring, and more to send. What is no longer wanted goes first, and makes room. */
static BOOLEAN MulticastSend(_Inout_ PXENVIF_FRONTEND Frontend, _In_ const MULTICAST_WISH *Wish)
{
    PXENVIF_TRANSMITTER Transmitter = FrontendGetTransmitter(Frontend, 0);
    FRONTEND_MULTICAST *Multicast = &Frontend->Multicast;
    ULONG Index = 0;

    while (Index < Multicast->Count) {
        if (MulticastHas(Wish->Addresses, Wish->Count, &Multicast->Addresses[Index])) {
            Index++;
            continue;
        }

        if (!TransmitterSendMulticast(Transmitter, &Multicast->Addresses[Index], FALSE))
            return FALSE;

        Multicast->Addresses[Index] = Multicast->Addresses[--Multicast->Count];
    }

    for (Index = 0; Index < Wish->Count; Index++) {
        if (MulticastHas(Multicast->Addresses, Multicast->Count, &Wish->Addresses[Index]))
            continue;

        if (!TransmitterSendMulticast(Transmitter, &Wish->Addresses[Index], TRUE))
            return FALSE;

        Multicast->Addresses[Multicast->Count++] = Wish->Addresses[Index];
    }

    return TRUE;
}

static VOID MulticastAsk(_Inout_ PXENVIF_FRONTEND Frontend, _In_ BOOLEAN Asked)
{
    NTSTATUS Status;

    Status = FrontendWriteMulticast(Frontend, Asked);
    if (NT_SUCCESS(Status)) {
        Frontend->Multicast.Asked = Asked;
        return;
    }

    Warning("vif %u: request-multicast-control cannot be written (%08x)", Frontend->Number, Status);
    Frontend->RetryAt = FrontendLater(FRONTEND_RETRY_TIME);
}

static VOID MulticastEnd(_Inout_ PXENVIF_FRONTEND Frontend)
{
    if (!Frontend->Multicast.Asked)
        return;

    if (Frontend->Multicast.Dynamic) {
        MulticastAsk(Frontend, FALSE);
        return;
    }

    Info("vif %u: the backend filters multicast frames for as long as we are connected: once more", Frontend->Number);
    Frontend->Multicast.Stale = TRUE;
    FrontendWake(Frontend);
}

VOID FrontendUpdateMulticast(_Inout_ PXENVIF_FRONTEND Frontend)
{
    FRONTEND_MULTICAST *Multicast = &Frontend->Multicast;
    TRANSMITTER_MULTICAST_STATE State;
    MULTICAST_WISH Wish;
    BOOLEAN Wanted;

    if (Frontend->State != FRONTEND_CONNECTED || !Multicast->Offered || Multicast->Stale)
        return;

    Wanted = MulticastReadWish(Frontend, &Wish);

    State = TransmitterQueryMulticast(FrontendGetTransmitter(Frontend, 0));
    if (State == TRANSMITTER_MULTICAST_REFUSED && !Multicast->Refused) {
        Warning("vif %u: the backend does not take a multicast address, and is not to filter", Frontend->Number);
        Multicast->Refused = TRUE;
        Multicast->HasRefused = TRUE;
        Multicast->RefusedAt = Wish.Change;
    }

    if (!Wanted || Multicast->Refused) {
        MulticastEnd(Frontend);
        return;
    }

    /* It does not filter now, and cannot be asked to before the next connection. */
    if (!Multicast->Asked && !Multicast->Dynamic)
        return;

    if (!MulticastSend(Frontend, &Wish))
        return;

    State = TransmitterQueryMulticast(FrontendGetTransmitter(Frontend, 0));
    if (!Multicast->Asked && State == TRANSMITTER_MULTICAST_KNOWN)
        MulticastAsk(Frontend, TRUE);
}
