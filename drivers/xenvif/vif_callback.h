/*
 * The client's callback, in the form of the interface version with which it enabled the VIF: version 8 is given values
 * as variadic arguments, versions 9 and 10 a pointer to a union. Nothing else in the driver knows of the difference.
 */
#ifndef XENVIF_VIF_CALLBACK_H
#define XENVIF_VIF_CALLBACK_H

#include <ntddk.h>

#include "vif_interface.h"

typedef struct _VIF_CALLBACK {
    ULONG Version; /* 8, 9 or 10; 0: none */
    union {
        XENVIF_VIF_CALLBACK_V8 Version8;
        XENVIF_VIF_CALLBACK_V9 Version9;
        XENVIF_VIF_CALLBACK Version10;
    } Function;
    PVOID Argument;
} VIF_CALLBACK, *PVIF_CALLBACK;

_IRQL_requires_(DISPATCH_LEVEL)
VOID VifCallbackReturnPacket(_In_ const VIF_CALLBACK *Callback, _In_opt_ PVOID Cookie,
                             _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion);

/* TRUE: the client asks for a pause, which only version 10 can. Parameters as of version 10. */
_IRQL_requires_(DISPATCH_LEVEL)
BOOLEAN VifCallbackQueuePacket(_In_ const VIF_CALLBACK *Callback, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters);

_IRQL_requires_(DISPATCH_LEVEL)
VOID VifCallbackStateChange(_In_ const VIF_CALLBACK *Callback);

#endif /* XENVIF_VIF_CALLBACK_H */
