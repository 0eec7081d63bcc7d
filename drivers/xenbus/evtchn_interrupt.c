/*
 * The interrupts that bring events: one message interrupt a processor, of which Xen is told the vector, and the
 * platform device's line for vCPU 0 when that has none.
 */
#include "evtchn_private.h"

#include "log.h"
#include "pool.h"
#include "xen.h"

#include <xen/xen.h>
#include <xen/hvm/params.h>

#define EVTCHN_INTERRUPT_TAG POOL_TAG('E', 'V', 'I', 'N')

#define CALLBACK_VIA(_Type, _Value) (((ULONGLONG)(_Type) << 56) | (_Value))

static NTSTATUS EvtchnConnect(_In_ PEVTCHN_SOURCE Source, _In_ PDEVICE_OBJECT Pdo,
                              _In_ const XENBUS_INTERRUPT *Interrupt)
{
    IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
    NTSTATUS Status;

    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Version = CONNECT_FULLY_SPECIFIED_GROUP;
    Parameters.FullySpecified.PhysicalDeviceObject = Pdo;
    Parameters.FullySpecified.InterruptObject = &Source->Interrupt;
    Parameters.FullySpecified.ServiceRoutine = EvtchnInterrupt;
    Parameters.FullySpecified.ServiceContext = Source;
    Parameters.FullySpecified.SynchronizeIrql = Interrupt->Irql;
    Parameters.FullySpecified.ShareVector = Interrupt->Share;
    Parameters.FullySpecified.Vector = Interrupt->Vector;
    Parameters.FullySpecified.Irql = Interrupt->Irql;
    Parameters.FullySpecified.InterruptMode = Interrupt->Mode;
    Parameters.FullySpecified.ProcessorEnableMask = Interrupt->Affinity;
    Parameters.FullySpecified.Group = Interrupt->Group;

    Status = IoConnectInterruptEx(&Parameters);
    if (!NT_SUCCESS(Status)) {
        Error("vector %02x cannot be connected (%08x)", Interrupt->Vector, Status);
        return Status;
    }

    Source->Message = Interrupt->Message;
    Source->Vector = Interrupt->Vector;
    return STATUS_SUCCESS;
}

static VOID EvtchnDisconnect(_In_ PEVTCHN_SOURCE Source)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS Parameters;

    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.Version = CONNECT_FULLY_SPECIFIED_GROUP;
    Parameters.ConnectionContext.InterruptObject = Source->Interrupt;

    IoDisconnectInterruptEx(&Parameters);
}

/* The processor that a message interrupt is for: the one that it may be delivered to. */
static ULONG EvtchnInterruptProcessor(_In_ const XENBUS_INTERRUPT *Interrupt)
{
    PROCESSOR_NUMBER Number;
    KAFFINITY Affinity = Interrupt->Affinity;

    RtlZeroMemory(&Number, sizeof(Number));
    Number.Group = Interrupt->Group;

    if (Affinity == 0 || (Affinity & (Affinity - 1)) != 0)
        return INVALID_PROCESSOR_INDEX;

    while ((Affinity & 1) == 0) {
        Affinity >>= 1;
        Number.Number++;
    }

    return KeGetProcessorIndexFromNumber(&Number);
}

static VOID EvtchnConnectMessage(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PDEVICE_OBJECT Pdo,
                                 _In_ const XENBUS_INTERRUPT *Interrupt)
{
    ULONG Index = EvtchnInterruptProcessor(Interrupt);
    PEVTCHN_SOURCE Source;
    NTSTATUS Status;

    if (Index >= Context->ProcessorCount || Context->Processor[Index].Source != NULL ||
        !Context->Abi.IsProcessorSupported(Context->Abi.Context, Index)) {
        Warning("vector %02x is for no processor that can use it", Interrupt->Vector);
        return;
    }

    Source = &Context->Source[Context->SourceCount];
    EvtchnSourceInitialize(Context, Source);
    Source->Index = Index;

    Status = EvtchnConnect(Source, Pdo, Interrupt);
    if (!NT_SUCCESS(Status))
        return;

    Status = XenHvmSetEvtchnUpcallVector(Context->Processor[Index].VcpuId, (UCHAR)Interrupt->Vector);
    if (!NT_SUCCESS(Status)) {
        Warning("vCPU %u takes no upcall at vector %02x (%08x)", Context->Processor[Index].VcpuId, Interrupt->Vector,
                Status);
        EvtchnDisconnect(Source);
        return;
    }

    Context->SourceCount++;
    /* Its interrupt may have come already, and that of the line looks too. */
    WritePointerRelease((PVOID *)&Context->Processor[Index].Source, Source);
}

static VOID EvtchnConnectLine(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PDEVICE_OBJECT Pdo,
                              _In_ const XENBUS_INTERRUPT *Interrupt)
{
    PEVTCHN_SOURCE Source = &Context->Source[Context->SourceCount];

    EvtchnSourceInitialize(Context, Source);
    Source->Index = Context->Boot;

    if (!NT_SUCCESS(EvtchnConnect(Source, Pdo, Interrupt)))
        return;

    Context->SourceCount++;
    Context->CallbackVia = CALLBACK_VIA(HVM_PARAM_CALLBACK_TYPE_GSI, Interrupt->Line);
}

static VOID EvtchnConnectKind(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PDEVICE_OBJECT Pdo,
                              _In_ const XENBUS_RESOURCES *Resources, _In_ BOOLEAN Message)
{
    ULONG Index;

    for (Index = 0; Index < Resources->InterruptCount; Index++) {
        const XENBUS_INTERRUPT *Interrupt = &Resources->Interrupt[Index];

        if (Interrupt->Message != Message)
            continue;

        if (Message)
            EvtchnConnectMessage(Context, Pdo, Interrupt);
        else if (Context->SourceCount == 0)
            EvtchnConnectLine(Context, Pdo, Interrupt);
    }
}

NTSTATUS EvtchnConnectInterrupts(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PDEVICE_OBJECT Pdo,
                                 _In_ const XENBUS_RESOURCES *Resources, _In_ BOOLEAN UseUpcall)
{
    NTSTATUS Status;

    if (Resources->InterruptCount == 0)
        return STATUS_DEVICE_CONFIGURATION_ERROR;

    Context->Source = PoolAllocateArray(Resources->InterruptCount, sizeof(EVTCHN_SOURCE), EVTCHN_INTERRUPT_TAG);
    if (Context->Source == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    EvtchnConnectKind(Context, Pdo, Resources, FALSE);
    if (UseUpcall)
        EvtchnConnectKind(Context, Pdo, Resources, TRUE);

    Status = STATUS_DEVICE_CONFIGURATION_ERROR;
    if (Context->SourceCount == 0)
        goto fail1;

    /*
     * The parameter is what tells the toolstack that this domain has PV drivers, so it is never 0, whether the line is
     * used or not: without a line it names the first message interrupt.
     */
    if (Context->CallbackVia == 0)
        Context->CallbackVia = CALLBACK_VIA(HVM_PARAM_CALLBACK_TYPE_VECTOR, Context->Source[0].Vector);

    Status = XenHvmSetParameter(HVM_PARAM_CALLBACK_IRQ, Context->CallbackVia);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Info("%u interrupt(s), %u processor(s), callback via %llx", Context->SourceCount, Context->ProcessorCount,
         Context->CallbackVia);
    return STATUS_SUCCESS;

fail1:
    Error("no interrupt can be used for events (%08x)", Status);

    EvtchnDisconnectInterrupts(Context);
    return Status;
}

VOID EvtchnDisconnectInterrupts(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    /* With every port masked, nothing raises an upcall any more. A vector cannot be taken back, the line can. */
    (VOID) XenHvmSetParameter(HVM_PARAM_CALLBACK_IRQ, 0);
    Context->CallbackVia = 0;

    /* The DPC of a source uses its interrupt. */
    KeFlushQueuedDpcs();

    while (Context->SourceCount != 0) {
        PEVTCHN_SOURCE Source = &Context->Source[--Context->SourceCount];

        if (Source->Message)
            WritePointerRelease((PVOID *)&Context->Processor[Source->Index].Source, NULL);
        EvtchnDisconnect(Source);
    }

    PoolFree(Context->Source, EVTCHN_INTERRUPT_TAG);
    Context->Source = NULL;
}

VOID EvtchnResumeInterrupts(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    ULONG Index;
    NTSTATUS Status;

    Status = XenHvmSetParameter(HVM_PARAM_CALLBACK_IRQ, Context->CallbackVia);
    if (!NT_SUCCESS(Status))
        Critical("callback via %llx (%08x)", Context->CallbackVia, Status);

    for (Index = 0; Index < Context->SourceCount; Index++) {
        PEVTCHN_SOURCE Source = &Context->Source[Index];

        if (!Source->Message)
            continue;

        Status = XenHvmSetEvtchnUpcallVector(Context->Processor[Source->Index].VcpuId, (UCHAR)Source->Vector);
        if (!NT_SUCCESS(Status))
            Critical("vCPU %u, vector %02x (%08x)", Context->Processor[Source->Index].VcpuId, Source->Vector, Status);
    }
}

BOOLEAN EvtchnIsForgotten(VOID)
{
    ULONGLONG Value;

    return NT_SUCCESS(XenHvmQueryParameter(HVM_PARAM_CALLBACK_IRQ, &Value)) && Value == 0;
}
