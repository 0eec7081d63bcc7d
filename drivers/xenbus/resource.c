/* The group of a processor is part of an interrupt resource: the driver kit shows it to those who ask. */
#ifndef NT_PROCESSOR_GROUPS
#define NT_PROCESSOR_GROUPS 1
#endif

#include "resource.h"

#include "log.h"
#include "pool.h"

#define RESOURCE_TAG POOL_TAG('R', 'S', 'R', 'C')

/*
 * IO_RESOURCE_DESCRIPTOR for an interrupt, as the driver kit declares it for builds that know processor groups; the
 * headers of mingw-w64 end it after the vectors.
 */
typedef struct _RESOURCE_INTERRUPT {
    UCHAR Option;
    UCHAR Type;
    UCHAR ShareDisposition;
    UCHAR Spare1;
    USHORT Flags;
    USHORT Spare2;
    ULONG MinimumVector;
    ULONG MaximumVector;
    USHORT AffinityPolicy;
    USHORT Group;
    ULONG PriorityPolicy;
    KAFFINITY TargetedProcessors;
} RESOURCE_INTERRUPT, *PRESOURCE_INTERRUPT;

C_ASSERT(sizeof(RESOURCE_INTERRUPT) == sizeof(IO_RESOURCE_DESCRIPTOR));
C_ASSERT(FIELD_OFFSET(RESOURCE_INTERRUPT, MinimumVector) ==
         FIELD_OFFSET(IO_RESOURCE_DESCRIPTOR, u.Interrupt.MinimumVector));
C_ASSERT(FIELD_OFFSET(RESOURCE_INTERRUPT, TargetedProcessors) == 24);

PAGED_FUNCTION static VOID ResourceParseInterrupt(_In_ const CM_PARTIAL_RESOURCE_DESCRIPTOR *Raw,
                                                  _In_ const CM_PARTIAL_RESOURCE_DESCRIPTOR *Translated,
                                                  _Out_ PXENBUS_INTERRUPT Interrupt)
{
    PAGED_CODE();

    RtlZeroMemory(Interrupt, sizeof(XENBUS_INTERRUPT));

    Interrupt->Mode = (Translated->Flags & CM_RESOURCE_INTERRUPT_LATCHED) != 0 ? Latched : LevelSensitive;
    Interrupt->Share = (Translated->ShareDisposition == CmResourceShareShared);

    if ((Translated->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0) {
        Interrupt->Message = TRUE;
        Interrupt->Irql = (KIRQL)Translated->u.MessageInterrupt.Translated.Level;
        Interrupt->Vector = Translated->u.MessageInterrupt.Translated.Vector;
        Interrupt->Group = Translated->u.MessageInterrupt.Translated.Group;
        Interrupt->Affinity = Translated->u.MessageInterrupt.Translated.Affinity;
    } else {
        Interrupt->Irql = (KIRQL)Translated->u.Interrupt.Level;
        Interrupt->Vector = Translated->u.Interrupt.Vector;
        Interrupt->Line = Raw->u.Interrupt.Vector;
        Interrupt->Group = Translated->u.Interrupt.Group;
        Interrupt->Affinity = Translated->u.Interrupt.Affinity;
    }

    Trace("%s interrupt: vector %02x, IRQL %u, group %u, affinity %llx", Interrupt->Message ? "message" : "line",
          Interrupt->Vector, Interrupt->Irql, Interrupt->Group, (ULONGLONG)Interrupt->Affinity);
}

PAGED_FUNCTION static VOID ResourceParseOne(_In_ const CM_PARTIAL_RESOURCE_DESCRIPTOR *Raw,
                                            _In_ const CM_PARTIAL_RESOURCE_DESCRIPTOR *Translated,
                                            _Inout_ PXENBUS_RESOURCES Resources)
{
    PAGED_CODE();

    switch (Translated->Type) {
    case CmResourceTypePort:
        Resources->PortStart = Translated->u.Port.Start;
        Resources->PortLength = Translated->u.Port.Length;
        Trace("ports: %u from %llx", Resources->PortLength, (ULONGLONG)Resources->PortStart.QuadPart);
        break;

    case CmResourceTypeMemory:
        Resources->MemoryStart = Translated->u.Memory.Start;
        Resources->MemoryLength = Translated->u.Memory.Length;
        Trace("memory: %llu bytes from %llx", Resources->MemoryLength, (ULONGLONG)Resources->MemoryStart.QuadPart);
        break;

    case CmResourceTypeInterrupt:
        ResourceParseInterrupt(Raw, Translated, &Resources->Interrupt[Resources->InterruptCount++]);
        break;

    default:
        break;
    }
}

PAGED_FUNCTION NTSTATUS ResourceParse(_In_opt_ const CM_RESOURCE_LIST *Raw, _In_opt_ const CM_RESOURCE_LIST *Translated,
                                      _Outptr_ PXENBUS_RESOURCES *Resources)
{
    const CM_PARTIAL_RESOURCE_LIST *RawList;
    const CM_PARTIAL_RESOURCE_LIST *TranslatedList;
    ULONG Index;

    PAGED_CODE();

    *Resources = NULL;

    if (Raw == NULL || Translated == NULL || Raw->Count != 1 || Translated->Count != 1)
        return STATUS_DEVICE_CONFIGURATION_ERROR;

    RawList = &Raw->List[0].PartialResourceList;
    TranslatedList = &Translated->List[0].PartialResourceList;
    if (RawList->Count != TranslatedList->Count)
        return STATUS_DEVICE_CONFIGURATION_ERROR;

    *Resources = PoolAllocate(FIELD_OFFSET(XENBUS_RESOURCES, Interrupt) +
                                  (SIZE_T)(TranslatedList->Count + 1) * sizeof(XENBUS_INTERRUPT),
                              RESOURCE_TAG);
    if (*Resources == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    for (Index = 0; Index < TranslatedList->Count; Index++)
        ResourceParseOne(&RawList->PartialDescriptors[Index], &TranslatedList->PartialDescriptors[Index], *Resources);

    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID ResourceFree(_In_ PXENBUS_RESOURCES Resources)
{
    PAGED_CODE();

    PoolFree(Resources, RESOURCE_TAG);
}

PAGED_FUNCTION static VOID ResourceMessage(_In_ ULONG Index, _Out_ PIO_RESOURCE_DESCRIPTOR Descriptor)
{
    PRESOURCE_INTERRUPT Interrupt = (PRESOURCE_INTERRUPT)Descriptor;
    PROCESSOR_NUMBER Number = {0};

    PAGED_CODE();

    (VOID) KeGetProcessorNumberFromIndex(Index, &Number);

    RtlZeroMemory(Interrupt, sizeof(RESOURCE_INTERRUPT));
    Interrupt->Type = CmResourceTypeInterrupt;
    Interrupt->ShareDisposition = CmResourceShareDeviceExclusive;
    Interrupt->Flags =
        CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE | CM_RESOURCE_INTERRUPT_POLICY_INCLUDED;
    Interrupt->MinimumVector = CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN;
    Interrupt->MaximumVector = CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN;
    Interrupt->AffinityPolicy = IrqPolicySpecifiedProcessors;
    Interrupt->Group = Number.Group;
    Interrupt->PriorityPolicy = IrqPriorityUndefined;
    Interrupt->TargetedProcessors = (KAFFINITY)1 << Number.Number;
}

/* Steps from one alternative of a requirements list to the next. */
PAGED_FUNCTION static SIZE_T ResourceListSize(_In_ ULONG Count)
{
    PAGED_CODE();

    return FIELD_OFFSET(IO_RESOURCE_LIST, Descriptors) + (SIZE_T)Count * sizeof(IO_RESOURCE_DESCRIPTOR);
}

PAGED_FUNCTION NTSTATUS ResourceAddMessages(_In_ const IO_RESOURCE_REQUIREMENTS_LIST *Requirements,
                                            _Outptr_ PIO_RESOURCE_REQUIREMENTS_LIST *Extended)
{
    ULONG Processors = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    SIZE_T Size =
        Requirements->ListSize + (SIZE_T)Requirements->AlternativeLists * Processors * sizeof(IO_RESOURCE_DESCRIPTOR);
    PIO_RESOURCE_REQUIREMENTS_LIST New;
    const UCHAR *From;
    PUCHAR To;
    ULONG Alternative;
    ULONG Index;

    PAGED_CODE();

    *Extended = NULL;

    /* The PnP manager frees it with ExFreePool, as documented: pageable pool, at PASSIVE_LEVEL. */
    New = ExAllocatePoolWithTag(PagedPool, Size, RESOURCE_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlZeroMemory(New, Size);
    RtlCopyMemory(New, Requirements, FIELD_OFFSET(IO_RESOURCE_REQUIREMENTS_LIST, List));
    New->ListSize = (ULONG)Size;

    From = (const UCHAR *)Requirements->List;
    To = (PUCHAR)New->List;

    for (Alternative = 0; Alternative < Requirements->AlternativeLists; Alternative++) {
        const IO_RESOURCE_LIST *Old = (const IO_RESOURCE_LIST *)From;
        PIO_RESOURCE_LIST List = (PIO_RESOURCE_LIST)To;

        RtlCopyMemory(List, Old, ResourceListSize(Old->Count));
        for (Index = 0; Index < Processors; Index++)
            ResourceMessage(Index, &List->Descriptors[Old->Count + Index]);
        List->Count = Old->Count + Processors;

        From += ResourceListSize(Old->Count);
        To += ResourceListSize(List->Count);
    }

    *Extended = New;
    return STATUS_SUCCESS;
}
