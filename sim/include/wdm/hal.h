/*
 * Port and device-memory access.
 *
 * Ports are those of the simulated machine. Register accesses go through routines so that emulated device memory sees
 * them; buffers of the _BUFFER_ forms are counted in elements.
 */

#ifndef PVSIM_WDM_HAL_H
#define PVSIM_WDM_HAL_H

#include <wdm/base.h>

NTHALAPI UCHAR NTAPI READ_PORT_UCHAR(_In_ PUCHAR Port);
NTHALAPI USHORT NTAPI READ_PORT_USHORT(_In_ PUSHORT Port);
NTHALAPI ULONG NTAPI READ_PORT_ULONG(_In_ PULONG Port);
NTHALAPI VOID NTAPI READ_PORT_BUFFER_UCHAR(_In_ PUCHAR Port, _In_ PUCHAR Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI READ_PORT_BUFFER_USHORT(_In_ PUSHORT Port, _In_ PUSHORT Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI READ_PORT_BUFFER_ULONG(_In_ PULONG Port, _In_ PULONG Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI WRITE_PORT_UCHAR(_In_ PUCHAR Port, _In_ UCHAR Value);
NTHALAPI VOID NTAPI WRITE_PORT_USHORT(_In_ PUSHORT Port, _In_ USHORT Value);
NTHALAPI VOID NTAPI WRITE_PORT_ULONG(_In_ PULONG Port, _In_ ULONG Value);
NTHALAPI VOID NTAPI WRITE_PORT_BUFFER_UCHAR(_In_ PUCHAR Port, _In_ PUCHAR Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI WRITE_PORT_BUFFER_USHORT(_In_ PUSHORT Port, _In_ PUSHORT Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI WRITE_PORT_BUFFER_ULONG(_In_ PULONG Port, _In_ PULONG Buffer, _In_ ULONG Count);
NTHALAPI UCHAR NTAPI READ_REGISTER_UCHAR(_In_ volatile UCHAR *Register);
NTHALAPI USHORT NTAPI READ_REGISTER_USHORT(_In_ volatile USHORT *Register);
NTHALAPI ULONG NTAPI READ_REGISTER_ULONG(_In_ volatile ULONG *Register);
NTHALAPI ULONG64 NTAPI READ_REGISTER_ULONG64(_Inout_ volatile ULONG64 *Register);
NTHALAPI VOID NTAPI READ_REGISTER_BUFFER_UCHAR(_In_ volatile UCHAR *Register, _In_ PUCHAR Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI READ_REGISTER_BUFFER_USHORT(_In_ volatile USHORT *Register, _In_ PUSHORT Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI READ_REGISTER_BUFFER_ULONG(_In_ volatile ULONG *Register, _In_ PULONG Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI WRITE_REGISTER_UCHAR(_In_ volatile UCHAR *Register, _In_ UCHAR Value);
NTHALAPI VOID NTAPI WRITE_REGISTER_USHORT(_In_ volatile USHORT *Register, _In_ USHORT Value);
NTHALAPI VOID NTAPI WRITE_REGISTER_ULONG(_In_ volatile ULONG *Register, _In_ ULONG Value);
NTHALAPI VOID NTAPI WRITE_REGISTER_ULONG64(_Inout_ volatile ULONG64 *Register, _In_ ULONG64 Value);
NTHALAPI VOID NTAPI WRITE_REGISTER_BUFFER_UCHAR(_In_ volatile UCHAR *Register, _In_ PUCHAR Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI WRITE_REGISTER_BUFFER_USHORT(_In_ volatile USHORT *Register, _In_ PUSHORT Buffer, _In_ ULONG Count);
NTHALAPI VOID NTAPI WRITE_REGISTER_BUFFER_ULONG(_In_ volatile ULONG *Register, _In_ PULONG Buffer, _In_ ULONG Count);

/* How a processor restart or power-off is asked for. */
typedef enum _FIRMWARE_REENTRY {
    HalHaltRoutine,
    HalPowerDownRoutine,
    HalRestartRoutine,
    HalRebootRoutine,
    HalInteractiveModeRoutine,
    HalMaximumRoutine
} FIRMWARE_REENTRY;
_IRQL_requires_max_(HIGH_LEVEL)
NTHALAPI VOID NTAPI HalReturnToFirmware(_In_ FIRMWARE_REENTRY Routine);

/* The processor's hypercall instruction, for the hypercall gate that modules link on Linux (sim/image/gate.c). */
NTHALAPI ULONG_PTR NTAPI KxHypercall(_In_ ULONG Op, _In_ ULONG_PTR A1, _In_ ULONG_PTR A2, _In_ ULONG_PTR A3,
                                     _In_ ULONG_PTR A4, _In_ ULONG_PTR A5);

#endif
