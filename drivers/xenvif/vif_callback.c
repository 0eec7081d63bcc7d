#include "compat.h"
#include "vif_callback.h"

/* The parameters of version 9 are the beginning of those of version 10. */
#define VIF_CALLBACK_SAME(_Field)                                                                                      \
    C_ASSERT(FIELD_OFFSET(union _XENVIF_VIF_CALLBACK_PARAMETERS_V9, _Field) ==                                         \
             FIELD_OFFSET(union _XENVIF_VIF_CALLBACK_PARAMETERS_V10, _Field))

VIF_CALLBACK_SAME(TransmitterReturnPacket.Cookie);
VIF_CALLBACK_SAME(TransmitterReturnPacket.Completion);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Index);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Mdl);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Offset);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Length);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Flags);
VIF_CALLBACK_SAME(ReceiverQueuePacket.MaximumSegmentSize);
VIF_CALLBACK_SAME(ReceiverQueuePacket.TagControlInformation);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Info);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Hash);
VIF_CALLBACK_SAME(ReceiverQueuePacket.More);
VIF_CALLBACK_SAME(ReceiverQueuePacket.Cookie);

/* For the versions that take a pointer. */
static VOID VifCallbackCall(_In_ const VIF_CALLBACK *Callback, _In_ XENVIF_VIF_CALLBACK_TYPE Type,
                            _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    if (Callback->Version == 9)
        Callback->Function.Version9(Callback->Argument, Type,
                                    (union _XENVIF_VIF_CALLBACK_PARAMETERS_V9 *)(PVOID)Parameters);
    else
        Callback->Function.Version10(Callback->Argument, Type, Parameters);
}

VOID VifCallbackReturnPacket(_In_ const VIF_CALLBACK *Callback, _In_opt_ PVOID Cookie,
                             _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion)
{
    XENVIF_VIF_CALLBACK_PARAMETERS Parameters;

    if (Callback->Version == 8) {
        Callback->Function.Version8(Callback->Argument, XENVIF_TRANSMITTER_RETURN_PACKET, Cookie, Completion);
        return;
    }

    Parameters.TransmitterReturnPacket.Cookie = Cookie;
    Parameters.TransmitterReturnPacket.Completion = Completion;

    VifCallbackCall(Callback, XENVIF_TRANSMITTER_RETURN_PACKET, &Parameters);
}

BOOLEAN VifCallbackQueuePacket(_In_ const VIF_CALLBACK *Callback, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    if (Callback->Version == 8) {
        Callback->Function.Version8(
            Callback->Argument, XENVIF_RECEIVER_QUEUE_PACKET, Parameters->ReceiverQueuePacket.Index,
            Parameters->ReceiverQueuePacket.Mdl, Parameters->ReceiverQueuePacket.Offset,
            Parameters->ReceiverQueuePacket.Length, Parameters->ReceiverQueuePacket.Flags,
            Parameters->ReceiverQueuePacket.MaximumSegmentSize, Parameters->ReceiverQueuePacket.TagControlInformation,
            Parameters->ReceiverQueuePacket.Info, Parameters->ReceiverQueuePacket.Hash,
            Parameters->ReceiverQueuePacket.More, Parameters->ReceiverQueuePacket.Cookie);
        return FALSE;
    }

    Parameters->ReceiverQueuePacket.Pause = FALSE;
    VifCallbackCall(Callback, XENVIF_RECEIVER_QUEUE_PACKET, Parameters);

    return Parameters->ReceiverQueuePacket.Pause;
}

VOID VifCallbackStateChange(_In_ const VIF_CALLBACK *Callback)
{
    XENVIF_VIF_CALLBACK_PARAMETERS Parameters;

    if (Callback->Version == 8) {
        Callback->Function.Version8(Callback->Argument, XENVIF_MAC_STATE_CHANGE);
        return;
    }

    RtlZeroMemory(&Parameters, sizeof(Parameters));
    VifCallbackCall(Callback, XENVIF_MAC_STATE_CHANGE, &Parameters);
}
