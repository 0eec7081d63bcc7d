/*
 * The operations that DMA adapters of version 3 have besides (wdm.h, "DMA_OPERATIONS"): transfers are given by an
 * offset into a chain of MDLs, and whoever asks for it (DMA_SYNCHRONOUS_CALLBACK) has the answer when the call returns.
 * There is always room: no request waits, so that there is nothing to cancel.
 */
#include "nt/io/dma.h"

#define CONTEXT_MAGIC 0x33414d44u /* "DMA3" */

/* In the caller's DMA_TRANSFER_CONTEXT_SIZE_V1 bytes. */
struct transfer_context {
    uint32_t magic;
    const struct adapter *adapter;
};

_Static_assert(sizeof(struct transfer_context) <= DMA_TRANSFER_CONTEXT_SIZE_V1, "the context is the caller's memory");

static bool is_context(const struct adapter *adapter, const void *context)
{
    const struct transfer_context *transfer = context;

    return transfer != NULL && transfer->magic == CONTEXT_MAGIC && transfer->adapter == adapter;
}

/* The MDL of the chain that the offset lies in, and the address there; NULL: behind the end. */
static PMDL seek(PMDL mdl, ULONGLONG offset, ULONG length, PVOID *current)
{
    ULONGLONG left = 0;

    for (PMDL next = mdl; next != NULL; next = next->Next)
        left += next->ByteCount;
    if (length == 0 || offset >= left || length > left - offset)
        return NULL;
    for (; offset >= mdl->ByteCount; mdl = mdl->Next)
        offset -= mdl->ByteCount;
    *current = (PUCHAR)MmGetMdlVirtualAddress(mdl) + offset;
    return mdl;
}

NTSTATUS NTAPI dma_get_adapter_info(PDMA_ADAPTER DmaAdapter, PDMA_ADAPTER_INFO AdapterInfo)
{
    const struct adapter *adapter = adapter_of(DmaAdapter);

    NT_CALL(DISPATCH_LEVEL);
    if (AdapterInfo->Version != DMA_ADAPTER_INFO_VERSION1)
        return STATUS_NOT_SUPPORTED;
    AdapterInfo->V1 = (DMA_ADAPTER_INFO_V1){
        .ScatterGatherLimit = ALL_MAP_REGISTERS,
        .DmaAddressWidth = adapter->highest == MAXLONGLONG ? 64 : (ULONG)(64 - __builtin_clzll(adapter->highest)),
        .Flags = ADAPTER_INFO_SYNCHRONOUS_CALLBACK,
        .MinimumTransferUnit = 1,
    };
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI dma_get_transfer_info(PDMA_ADAPTER DmaAdapter, PMDL Mdl, ULONGLONG Offset, ULONG Length,
                                     BOOLEAN WriteOnly, PDMA_TRANSFER_INFO TransferInfo)
{
    const struct adapter *adapter = adapter_of(DmaAdapter);
    ULONG elements;
    PVOID current;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(WriteOnly);
    if (TransferInfo->Version != DMA_TRANSFER_INFO_VERSION1 && TransferInfo->Version != DMA_TRANSFER_INFO_VERSION2)
        return STATUS_NOT_SUPPORTED;
    Mdl = seek(Mdl, Offset, Length, &current);
    if (Mdl == NULL)
        return STATUS_INVALID_PARAMETER;
    elements = dma_fill(adapter, Mdl, current, Length, NULL);
    TransferInfo->V1 = (DMA_TRANSFER_INFO_V1){
        .MapRegisterCount = ADDRESS_AND_SIZE_TO_SPAN_PAGES(current, Length),
        .ScatterGatherElementCount = elements,
        .ScatterGatherListSize = dma_list_size(elements),
    };
    if (TransferInfo->Version == DMA_TRANSFER_INFO_VERSION2)
        TransferInfo->V2.LogicalPageCount = TransferInfo->V1.MapRegisterCount;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI dma_initialize_context(PDMA_ADAPTER DmaAdapter, PVOID DmaTransferContext)
{
    struct transfer_context *context = DmaTransferContext;

    NT_CALL(DISPATCH_LEVEL);
    RtlZeroMemory(context, DMA_TRANSFER_CONTEXT_SIZE_V1);
    context->magic = CONTEXT_MAGIC;
    context->adapter = adapter_of(DmaAdapter);
    return STATUS_SUCCESS;
}

PVOID NTAPI dma_allocate_common_ex(PDMA_ADAPTER DmaAdapter, PPHYSICAL_ADDRESS MaximumAddress, ULONG Length,
                                   PPHYSICAL_ADDRESS LogicalAddress, BOOLEAN CacheEnabled,
                                   NODE_REQUIREMENT PreferredNode)
{
    struct adapter *adapter = adapter_of(DmaAdapter);
    PHYSICAL_ADDRESS highest = {.QuadPart = (LONGLONG)adapter->highest};

    NT_CALL(PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(CacheEnabled); /* DMA is coherent with the caches on x86 */
    UNREFERENCED_PARAMETER(PreferredNode);
    if (MaximumAddress != NULL && MaximumAddress->QuadPart < highest.QuadPart)
        highest = *MaximumAddress;
    return dma_common_buffer(adapter, highest, Length, LogicalAddress, __builtin_return_address(0));
}

/* Execution routines run at DISPATCH_LEVEL. */
static IO_ALLOCATION_ACTION call_control(PDRIVER_CONTROL routine, PDEVICE_OBJECT device, PVOID registers, PVOID context)
{
    IO_ALLOCATION_ACTION action;
    KIRQL irql = ke_irql();

    if (irql < DISPATCH_LEVEL)
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
    action = DRIVER_CALLOUT("DMA execution routine", routine, device, device->CurrentIrp, registers, context);
    if (irql < DISPATCH_LEVEL)
        KeLowerIrql(irql);
    return action;
}

NTSTATUS NTAPI dma_allocate_channel_ex(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext,
                                       ULONG NumberOfMapRegisters, ULONG Flags, PDRIVER_CONTROL ExecutionRoutine,
                                       PVOID ExecutionContext, PVOID *MapRegisterBase)
{
    bool synchronous = (Flags & DMA_SYNCHRONOUS_CALLBACK) != 0;
    struct adapter *adapter = adapter_of(DmaAdapter);
    IO_ALLOCATION_ACTION action;

    NT_CALL(DISPATCH_LEVEL);
    if (!is_context(adapter, DmaTransferContext) || (!synchronous && ExecutionRoutine == NULL) ||
        (ExecutionRoutine == NULL && MapRegisterBase == NULL))
        return STATUS_INVALID_PARAMETER;
    if (NumberOfMapRegisters > ALL_MAP_REGISTERS)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (MapRegisterBase != NULL)
        *MapRegisterBase = DmaAdapter;
    adapter->registers += NumberOfMapRegisters;
    if (ExecutionRoutine == NULL) {
        adapter->synchronously += NumberOfMapRegisters;
        return STATUS_SUCCESS;
    }
    action = call_control(ExecutionRoutine, DeviceObject, DmaAdapter, ExecutionContext);
    if (action == KeepObject)
        nt_violation("dma-adapter-control", "an AdapterControl routine of a bus master must return "
                                            "DeallocateObjectKeepRegisters or DeallocateObject");
    if (action == DeallocateObject)
        dma_return_registers(adapter, DmaAdapter, NumberOfMapRegisters);
    return STATUS_SUCCESS;
}

/* For DMA controllers with functions of their own; a bus master has none. */
NTSTATUS NTAPI dma_configure_channel(PDMA_ADAPTER DmaAdapter, ULONG FunctionNumber, PVOID Context)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(DmaAdapter);
    UNREFERENCED_PARAMETER(FunctionNumber);
    UNREFERENCED_PARAMETER(Context);
    return STATUS_NOT_IMPLEMENTED;
}

BOOLEAN NTAPI dma_cancel_channel(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(DmaAdapter);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(DmaTransferContext);
    return FALSE; /* no request ever waits */
}

/* As much of the transfer as the caller's list holds; *Length says how much that is. */
NTSTATUS NTAPI dma_map_transfer_ex(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, ULONGLONG Offset,
                                   ULONG DeviceOffset, PULONG Length, BOOLEAN WriteToDevice,
                                   PSCATTER_GATHER_LIST ScatterGatherBuffer, ULONG ScatterGatherBufferLength,
                                   PDMA_COMPLETION_ROUTINE DmaCompletionRoutine, PVOID CompletionContext)
{
    const struct adapter *adapter = adapter_of(DmaAdapter);
    ULONG length = *Length;
    PVOID current;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(WriteToDevice);
    UNREFERENCED_PARAMETER(CompletionContext);
    if (MapRegisterBase != DmaAdapter)
        nt_violation_sub("dma-map-registers", 1, 0, 0,
                         "MapTransferEx with %p, which AllocateAdapterChannelEx did not give", MapRegisterBase);
    Mdl = seek(Mdl, Offset, length, &current);
    if (Mdl == NULL || DeviceOffset != 0 || DmaCompletionRoutine != NULL) /* both are for system DMA */
        return STATUS_INVALID_PARAMETER;
    if (ScatterGatherBuffer == NULL || ScatterGatherBufferLength < dma_list_size(1))
        return STATUS_BUFFER_TOO_SMALL;
    while (dma_list_size(dma_fill(adapter, Mdl, current, length, NULL)) > ScatterGatherBufferLength)
        length -= length > PAGE_SIZE ? PAGE_SIZE : length / 2;
    ScatterGatherBuffer->NumberOfElements = dma_fill(adapter, Mdl, current, length, ScatterGatherBuffer);
    ScatterGatherBuffer->Reserved = 0;
    *Length = length;
    return STATUS_SUCCESS;
}

static void call_list(PDRIVER_LIST_CONTROL routine, PDEVICE_OBJECT device, PSCATTER_GATHER_LIST list, PVOID context)
{
    KIRQL irql = ke_irql();

    if (routine == NULL)
        return;
    if (irql < DISPATCH_LEVEL)
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
    DRIVER_CALLOUT("DMA execution routine", routine, device, device->CurrentIrp, list, context);
    if (irql < DISPATCH_LEVEL)
        KeLowerIrql(irql);
}

struct list_request {
    PVOID context;
    ULONG flags;
    PDRIVER_LIST_CONTROL routine;
    PDMA_COMPLETION_ROUTINE completion;
};

static bool request_is_sound(const struct adapter *adapter, const struct list_request *request)
{
    return is_context(adapter, request->context) && request->completion == NULL &&
           ((request->flags & DMA_SYNCHRONOUS_CALLBACK) != 0 || request->routine != NULL);
}

NTSTATUS NTAPI dma_get_list_ex(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext, PMDL Mdl,
                               ULONGLONG Offset, ULONG Length, ULONG Flags, PDRIVER_LIST_CONTROL ExecutionRoutine,
                               PVOID Context, BOOLEAN WriteToDevice, PDMA_COMPLETION_ROUTINE DmaCompletionRoutine,
                               PVOID CompletionContext, PSCATTER_GATHER_LIST *ScatterGatherList)
{
    const struct list_request request = {DmaTransferContext, Flags, ExecutionRoutine, DmaCompletionRoutine};
    struct adapter *adapter = adapter_of(DmaAdapter);
    PSCATTER_GATHER_LIST list;
    PVOID current;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(WriteToDevice);
    UNREFERENCED_PARAMETER(CompletionContext);
    Mdl = seek(Mdl, Offset, Length, &current);
    if (Mdl == NULL || !request_is_sound(adapter, &request) || (ExecutionRoutine == NULL && ScatterGatherList == NULL))
        return STATUS_INVALID_PARAMETER;
    list = fault_inject(FAULT_POOL, "GetScatterGatherList", __builtin_return_address(0))
               ? NULL
               : ExAllocatePoolWithTag(NonPagedPoolNx, dma_list_size(dma_fill(adapter, Mdl, current, Length, NULL)),
                                       IO_TAG_GENERAL);
    if (list == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    list->NumberOfElements = dma_fill(adapter, Mdl, current, Length, list);
    list->Reserved = (ULONG_PTR)adapter; /* ours to free */
    adapter->lists++;
    if (ScatterGatherList != NULL)
        *ScatterGatherList = list;
    call_list(ExecutionRoutine, DeviceObject, list, Context);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI dma_build_list_ex(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext,
                                 PMDL Mdl, ULONGLONG Offset, ULONG Length, ULONG Flags,
                                 PDRIVER_LIST_CONTROL ExecutionRoutine, PVOID Context, BOOLEAN WriteToDevice,
                                 PVOID ScatterGatherBuffer, ULONG ScatterGatherLength,
                                 PDMA_COMPLETION_ROUTINE DmaCompletionRoutine, PVOID CompletionContext,
                                 PVOID ScatterGatherList)
{
    const struct list_request request = {DmaTransferContext, Flags, ExecutionRoutine, DmaCompletionRoutine};
    struct adapter *adapter = adapter_of(DmaAdapter);
    PSCATTER_GATHER_LIST list = ScatterGatherBuffer;
    PVOID current;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(WriteToDevice);
    UNREFERENCED_PARAMETER(CompletionContext);
    Mdl = seek(Mdl, Offset, Length, &current);
    if (Mdl == NULL || list == NULL || !request_is_sound(adapter, &request))
        return STATUS_INVALID_PARAMETER;
    if (ScatterGatherLength < dma_list_size(dma_fill(adapter, Mdl, current, Length, NULL)))
        return STATUS_BUFFER_TOO_SMALL;
    list->NumberOfElements = dma_fill(adapter, Mdl, current, Length, list);
    list->Reserved = 0; /* the caller's memory: PutScatterGatherList does not free it */
    adapter->lists++;
    if (ScatterGatherList != NULL)
        *(PSCATTER_GATHER_LIST *)ScatterGatherList = list;
    call_list(ExecutionRoutine, DeviceObject, list, Context);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI dma_flush_ex(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, ULONGLONG Offset, ULONG Length,
                            BOOLEAN WriteToDevice)
{
    PVOID current;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(WriteToDevice); /* nothing was copied, and there are no caches to flush */
    if (MapRegisterBase != DmaAdapter)
        nt_violation_sub("dma-map-registers", 1, 0, 0,
                         "FlushAdapterBuffersEx with %p, which AllocateAdapterChannelEx did not give", MapRegisterBase);
    return seek(Mdl, Offset, Length, &current) != NULL ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

/* The channel goes back, and with DeallocateObject the map registers that came with it. */
VOID NTAPI dma_free_adapter_object(PDMA_ADAPTER DmaAdapter, IO_ALLOCATION_ACTION AllocationAction)
{
    struct adapter *adapter = adapter_of(DmaAdapter);

    NT_CALL(DISPATCH_LEVEL);
    if (AllocationAction == KeepObject)
        nt_violation("dma-adapter-control", "FreeAdapterObject with KeepObject");
    if (AllocationAction == DeallocateObject)
        dma_return_registers(adapter, DmaAdapter, adapter->synchronously);
    adapter->synchronously = 0;
}

/* Transfers of a bus master are under way in the device, where nobody else can stop them. The page names no status. */
NTSTATUS NTAPI dma_cancel_mapped(PDMA_ADAPTER DmaAdapter, PVOID DmaTransferContext)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(DmaAdapter);
    UNREFERENCED_PARAMETER(DmaTransferContext);
    return STATUS_NOT_IMPLEMENTED;
}
