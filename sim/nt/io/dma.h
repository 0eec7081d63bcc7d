/* Between dma.c and dma_extended.c. */
#ifndef NT_IO_DMA_H
#define NT_IO_DMA_H

#include "nt/io/io_internal.h"

#define ALL_MAP_REGISTERS 0xFFFFu /* pages of the largest transfer */

struct adapter {
    DMA_ADAPTER public;
    LIST_ENTRY entry; /* io_state.adapters */
    uint64_t highest; /* address that the device reaches */
    unsigned common_buffers;
    unsigned lists;         /* scatter/gather lists out */
    unsigned registers;     /* map registers out */
    unsigned synchronously; /* those of them that AllocateAdapterChannelEx gave to its caller with the channel */
    const void *caller;
};

static inline struct adapter *adapter_of(PDMA_ADAPTER adapter)
{
    return CONTAINING_RECORD(adapter, struct adapter, public);
}

/* Elements of a transfer; written to `list` unless it is NULL. Goes on to chained MDLs. */
ULONG dma_fill(const struct adapter *adapter, PMDL mdl, PVOID current, ULONG length, PSCATTER_GATHER_LIST list);
/* Bytes of a list of so many elements. */
ULONG dma_list_size(ULONG elements);

/* A common buffer below the highest address, for the driver at `caller`. NULL when there is none. */
PVOID dma_common_buffer(struct adapter *adapter, PHYSICAL_ADDRESS highest, ULONG length, PPHYSICAL_ADDRESS logical,
                        const void *caller);

/* Map registers come back to the adapter. */
void dma_return_registers(struct adapter *adapter, PVOID base, ULONG count);

/* ---- version 3 (dma_extended.c): types as in DMA_OPERATIONS ---- */
NTSTATUS NTAPI dma_get_adapter_info(PDMA_ADAPTER DmaAdapter, PDMA_ADAPTER_INFO AdapterInfo);
NTSTATUS NTAPI dma_get_transfer_info(PDMA_ADAPTER DmaAdapter, PMDL Mdl, ULONGLONG Offset, ULONG Length,
                                     BOOLEAN WriteOnly, PDMA_TRANSFER_INFO TransferInfo);
NTSTATUS NTAPI dma_initialize_context(PDMA_ADAPTER DmaAdapter, PVOID DmaTransferContext);
PVOID NTAPI dma_allocate_common_ex(PDMA_ADAPTER DmaAdapter, PPHYSICAL_ADDRESS MaximumAddress, ULONG Length,
                                   PPHYSICAL_ADDRESS LogicalAddress, BOOLEAN CacheEnabled,
                                   NODE_REQUIREMENT PreferredNode);
NTSTATUS NTAPI dma_allocate_channel_ex(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext,
                                       ULONG NumberOfMapRegisters, ULONG Flags, PDRIVER_CONTROL ExecutionRoutine,
                                       PVOID ExecutionContext, PVOID *MapRegisterBase);
NTSTATUS NTAPI dma_configure_channel(PDMA_ADAPTER DmaAdapter, ULONG FunctionNumber, PVOID Context);
BOOLEAN NTAPI dma_cancel_channel(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext);
NTSTATUS NTAPI dma_map_transfer_ex(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, ULONGLONG Offset,
                                   ULONG DeviceOffset, PULONG Length, BOOLEAN WriteToDevice,
                                   PSCATTER_GATHER_LIST ScatterGatherBuffer, ULONG ScatterGatherBufferLength,
                                   PDMA_COMPLETION_ROUTINE DmaCompletionRoutine, PVOID CompletionContext);
NTSTATUS NTAPI dma_get_list_ex(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext, PMDL Mdl,
                               ULONGLONG Offset, ULONG Length, ULONG Flags, PDRIVER_LIST_CONTROL ExecutionRoutine,
                               PVOID Context, BOOLEAN WriteToDevice, PDMA_COMPLETION_ROUTINE DmaCompletionRoutine,
                               PVOID CompletionContext, PSCATTER_GATHER_LIST *ScatterGatherList);
NTSTATUS NTAPI dma_build_list_ex(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PVOID DmaTransferContext,
                                 PMDL Mdl, ULONGLONG Offset, ULONG Length, ULONG Flags,
                                 PDRIVER_LIST_CONTROL ExecutionRoutine, PVOID Context, BOOLEAN WriteToDevice,
                                 PVOID ScatterGatherBuffer, ULONG ScatterGatherLength,
                                 PDMA_COMPLETION_ROUTINE DmaCompletionRoutine, PVOID CompletionContext,
                                 PVOID ScatterGatherList);
NTSTATUS NTAPI dma_flush_ex(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, ULONGLONG Offset, ULONG Length,
                            BOOLEAN WriteToDevice);
VOID NTAPI dma_free_adapter_object(PDMA_ADAPTER DmaAdapter, IO_ALLOCATION_ACTION AllocationAction);
NTSTATUS NTAPI dma_cancel_mapped(PDMA_ADAPTER DmaAdapter, PVOID DmaTransferContext);

#endif
