/*
 * DMA adapters: IoGetDmaAdapter and the operations of versions 1 and 2 (wdm.h) for bus masters with scatter/gather,
 * which reach all memory themselves: map registers are but a count, and nothing is ever copied. Version 3 is in
 * dma_extended.c.
 */
#include "nt/io/dma.h"

#include <wdmguid.h>

#include "nt/pnp/pnp.h"

static VOID NTAPI put_adapter(PDMA_ADAPTER DmaAdapter)
{
    struct adapter *adapter = adapter_of(DmaAdapter);

    NT_CALL(DISPATCH_LEVEL);
    if (adapter->common_buffers != 0)
        nt_violation_sub("dma-adapter-buffers", (uintptr_t)DmaAdapter, adapter->common_buffers, 0,
                         "PutDmaAdapter with %u common buffers still out", adapter->common_buffers);
    if (adapter->lists != 0)
        nt_violation_sub("dma-adapter-lists", (uintptr_t)DmaAdapter, adapter->lists, 0,
                         "PutDmaAdapter with %u scatter/gather lists still out", adapter->lists);
    if (adapter->registers != 0)
        nt_violation_sub("dma-adapter-registers", (uintptr_t)DmaAdapter, adapter->registers, 0,
                         "PutDmaAdapter with %u map registers still out", adapter->registers);
    RemoveEntryList(&adapter->entry);
    ExFreePoolWithTag(adapter, IO_TAG_GENERAL);
}

PVOID dma_common_buffer(struct adapter *adapter, PHYSICAL_ADDRESS highest, ULONG length, PPHYSICAL_ADDRESS logical,
                        const void *caller)
{
    PVOID buffer;

    if (fault_inject(FAULT_POOL, "AllocateCommonBuffer", caller))
        return NULL;
    buffer = MmAllocateContiguousMemory(length, highest);
    if (buffer == NULL)
        return NULL;
    *logical = MmGetPhysicalAddress(buffer);
    adapter->common_buffers++;
    return buffer;
}

static PVOID NTAPI allocate_common(PDMA_ADAPTER DmaAdapter, ULONG Length, PPHYSICAL_ADDRESS LogicalAddress,
                                   BOOLEAN CacheEnabled)
{
    struct adapter *adapter = adapter_of(DmaAdapter);
    PHYSICAL_ADDRESS highest = {.QuadPart = (LONGLONG)adapter->highest};

    NT_CALL(PASSIVE_LEVEL);
    (void)CacheEnabled; /* DMA is coherent with the caches on x86 */
    return dma_common_buffer(adapter, highest, Length, LogicalAddress, __builtin_return_address(0));
}

static VOID NTAPI free_common(PDMA_ADAPTER DmaAdapter, ULONG Length, PHYSICAL_ADDRESS LogicalAddress,
                              PVOID VirtualAddress, BOOLEAN CacheEnabled)
{
    struct adapter *adapter = adapter_of(DmaAdapter);

    NT_CALL(PASSIVE_LEVEL);
    (void)Length;
    (void)CacheEnabled;
    if (adapter->common_buffers == 0 || MmGetPhysicalAddress(VirtualAddress).QuadPart != LogicalAddress.QuadPart)
        nt_violation_sub("dma-common-buffer", 1, 0, 0,
                         "FreeCommonBuffer of %p, which is no common buffer with that logical address", VirtualAddress);
    adapter->common_buffers--;
    MmFreeContiguousMemory(VirtualAddress);
}

static ULONG NTAPI get_alignment(PDMA_ADAPTER DmaAdapter)
{
    (void)DmaAdapter;
    NT_CALL(PASSIVE_LEVEL);
    return 1;
}

static ULONG NTAPI read_counter(PDMA_ADAPTER DmaAdapter)
{
    (void)DmaAdapter;
    NT_UNIMPLEMENTED("ReadDmaCounter, which is for system DMA (a bus master knows itself how far it is),");
}

/* ---- one transfer after another ---- */

static NTSTATUS NTAPI allocate_channel(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, ULONG NumberOfMapRegisters,
                                       PDRIVER_CONTROL ExecutionRoutine, PVOID Context)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    if (NumberOfMapRegisters > ALL_MAP_REGISTERS ||
        fault_inject(FAULT_POOL, "AllocateAdapterChannel", __builtin_return_address(0)))
        return STATUS_INSUFFICIENT_RESOURCES;
    adapter_of(DmaAdapter)->registers += NumberOfMapRegisters;
    if (DRIVER_CALLOUT("DMA execution routine", ExecutionRoutine, DeviceObject, DeviceObject->CurrentIrp, DmaAdapter,
                       Context) != DeallocateObjectKeepRegisters)
        nt_violation("dma-adapter-control", "an AdapterControl routine of a bus master must return "
                                            "DeallocateObjectKeepRegisters");
    return STATUS_SUCCESS;
}

/* The physical address of a byte of an MDL, and how many bytes from there on lie in a row. */
static PHYSICAL_ADDRESS locate(const struct adapter *adapter, PMDL mdl, PVOID current, ULONG length, ULONG *run)
{
    ULONG_PTR from_page = (ULONG_PTR)current - (ULONG_PTR)mdl->StartVa;
    const PFN_NUMBER *frames = MmGetMdlPfnArray(mdl);
    PHYSICAL_ADDRESS address;
    ULONG in_row;

    if ((ULONG_PTR)current < (ULONG_PTR)MmGetMdlVirtualAddress(mdl) ||
        from_page - mdl->ByteOffset + length > mdl->ByteCount || length == 0)
        nt_violation_sub("dma-range", (ULONG_PTR)current < (ULONG_PTR)MmGetMdlVirtualAddress(mdl) ? 1 : 2,
                         (ULONG_PTR)current, (ULONG_PTR)mdl, "a DMA transfer of %u bytes from %p lies outside its MDL",
                         length, current);
    address.QuadPart = (LONGLONG)((frames[from_page >> PAGE_SHIFT] << PAGE_SHIFT) + (from_page & (PAGE_SIZE - 1)));
    in_row = PAGE_SIZE - (ULONG)(from_page & (PAGE_SIZE - 1));
    while (in_row < length &&
           frames[(from_page + in_row) >> PAGE_SHIFT] == frames[(from_page + in_row - 1) >> PAGE_SHIFT] + 1)
        in_row += PAGE_SIZE;
    *run = in_row < length ? in_row : length;
    if ((uint64_t)address.QuadPart + *run - 1 > adapter->highest)
        NT_UNIMPLEMENTED("a transfer of memory that lies too high for the device, through bounce buffers (allocate it "
                         "with MmAllocateContiguousMemorySpecifyCache, or as a common buffer),");
    return address;
}

static PHYSICAL_ADDRESS NTAPI map_transfer(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, PVOID CurrentVa,
                                           PULONG Length, BOOLEAN WriteToDevice)
{
    (void)MapRegisterBase;
    (void)WriteToDevice; /* nothing is copied either way */
    NT_CALL(DISPATCH_LEVEL);
    return locate(adapter_of(DmaAdapter), Mdl, CurrentVa, *Length, Length);
}

static BOOLEAN NTAPI flush_buffers(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID MapRegisterBase, PVOID CurrentVa,
                                   ULONG Length, BOOLEAN WriteToDevice)
{
    (void)DmaAdapter;
    (void)Mdl;
    (void)MapRegisterBase;
    (void)CurrentVa;
    (void)Length;
    (void)WriteToDevice;
    NT_CALL(DISPATCH_LEVEL);
    return TRUE; /* there are no bounce buffers and no caches to flush */
}

static VOID NTAPI free_channel(PDMA_ADAPTER DmaAdapter)
{
    (void)DmaAdapter;
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
}

void dma_return_registers(struct adapter *adapter, PVOID base, ULONG count)
{
    if (base != &adapter->public)
        nt_violation_sub("dma-map-registers", count, 0, 0,
                         "FreeMapRegisters of %p, which AllocateAdapterChannel did not give", base);
    if (count > adapter->registers)
        nt_violation_sub("dma-map-registers", count - adapter->registers, 0, 0,
                         "FreeMapRegisters of %u registers while %u are out", count, adapter->registers);
    adapter->registers -= count;
}

static VOID NTAPI free_registers(PDMA_ADAPTER DmaAdapter, PVOID MapRegisterBase, ULONG NumberOfMapRegisters)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    dma_return_registers(adapter_of(DmaAdapter), MapRegisterBase, NumberOfMapRegisters);
}

/* ---- scatter/gather lists ---- */

ULONG dma_fill(const struct adapter *adapter, PMDL mdl, PVOID current, ULONG length, PSCATTER_GATHER_LIST list)
{
    ULONG count = 0;

    while (length != 0) {
        ULONG left = mdl->ByteCount - (ULONG)((ULONG_PTR)current - (ULONG_PTR)MmGetMdlVirtualAddress(mdl));
        ULONG part = left < length ? left : length;

        length -= part;
        while (part != 0) {
            ULONG run;
            PHYSICAL_ADDRESS address = locate(adapter, mdl, current, part, &run);

            if (list != NULL) {
                list->Elements[count].Address = address;
                list->Elements[count].Length = run;
                list->Elements[count].Reserved = 0;
            }
            count++;
            current = (PUCHAR)current + run;
            part -= run;
        }
        if (length == 0)
            break;
        if (mdl->Next == NULL)
            nt_violation_sub("dma-range", 3, (ULONG_PTR)mdl, length, "a DMA transfer goes %u bytes beyond its MDL",
                             length);
        mdl = mdl->Next;
        current = MmGetMdlVirtualAddress(mdl);
    }
    return count;
}

ULONG dma_list_size(ULONG elements)
{
    return (ULONG)(sizeof(SCATTER_GATHER_LIST) + elements * sizeof(SCATTER_GATHER_ELEMENT));
}

static NTSTATUS NTAPI calculate_list(PDMA_ADAPTER DmaAdapter, PMDL Mdl, PVOID CurrentVa, ULONG Length,
                                     PULONG ScatterGatherListSize, PULONG NumberOfMapRegisters)
{
    ULONG pages = 0;

    NT_CALL(DISPATCH_LEVEL);
    (void)DmaAdapter;
    if (Mdl != NULL) {
        for (; Mdl != NULL; Mdl = Mdl->Next)
            pages += ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(Mdl), Mdl->ByteCount);
    } else {
        pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(CurrentVa, Length);
    }
    *ScatterGatherListSize = dma_list_size(pages);
    if (NumberOfMapRegisters != NULL)
        *NumberOfMapRegisters = pages;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI build_list(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PMDL Mdl, PVOID CurrentVa,
                                 ULONG Length, PDRIVER_LIST_CONTROL ExecutionRoutine, PVOID Context,
                                 BOOLEAN WriteToDevice, PVOID ScatterGatherBuffer, ULONG ScatterGatherLength)
{
    struct adapter *adapter = adapter_of(DmaAdapter);
    PSCATTER_GATHER_LIST list = ScatterGatherBuffer;
    ULONG count;

    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    (void)WriteToDevice;
    count = dma_fill(adapter, Mdl, CurrentVa, Length, NULL);
    if (ScatterGatherLength < dma_list_size(count))
        return STATUS_BUFFER_TOO_SMALL;
    list->NumberOfElements = count;
    list->Reserved = 0; /* the caller's memory: PutScatterGatherList does not free it */
    (void)dma_fill(adapter, Mdl, CurrentVa, Length, list);
    adapter->lists++;
    DRIVER_CALLOUT("DMA execution routine", ExecutionRoutine, DeviceObject, DeviceObject->CurrentIrp, list, Context);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI get_list(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, PMDL Mdl, PVOID CurrentVa,
                               ULONG Length, PDRIVER_LIST_CONTROL ExecutionRoutine, PVOID Context,
                               BOOLEAN WriteToDevice)
{
    struct adapter *adapter = adapter_of(DmaAdapter);
    PSCATTER_GATHER_LIST list;
    ULONG count;

    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    (void)WriteToDevice;
    count = dma_fill(adapter, Mdl, CurrentVa, Length, NULL);
    list = fault_inject(FAULT_POOL, "GetScatterGatherList", __builtin_return_address(0))
               ? NULL
               : ExAllocatePoolWithTag(NonPagedPoolNx, dma_list_size(count), IO_TAG_GENERAL);
    if (list == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    list->NumberOfElements = count;
    list->Reserved = (ULONG_PTR)adapter; /* ours to free */
    (void)dma_fill(adapter, Mdl, CurrentVa, Length, list);
    adapter->lists++;
    DRIVER_CALLOUT("DMA execution routine", ExecutionRoutine, DeviceObject, DeviceObject->CurrentIrp, list, Context);
    return STATUS_SUCCESS;
}

static VOID NTAPI put_list(PDMA_ADAPTER DmaAdapter, PSCATTER_GATHER_LIST ScatterGather, BOOLEAN WriteToDevice)
{
    struct adapter *adapter = adapter_of(DmaAdapter);

    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    (void)WriteToDevice;
    if (adapter->lists == 0 || (ScatterGather->Reserved != 0 && ScatterGather->Reserved != (ULONG_PTR)adapter))
        nt_violation_sub("dma-list", adapter->lists, 1, 0,
                         "PutScatterGatherList of %p, which this adapter did not make", ScatterGather);
    adapter->lists--;
    if (ScatterGather->Reserved != 0)
        ExFreePoolWithTag(ScatterGather, IO_TAG_GENERAL);
}

static NTSTATUS NTAPI build_mdl(PDMA_ADAPTER DmaAdapter, PSCATTER_GATHER_LIST ScatterGather, PMDL OriginalMdl,
                                PMDL *TargetMdl)
{
    NT_CALL(DISPATCH_LEVEL);
    (void)DmaAdapter;
    (void)ScatterGather;
    *TargetMdl = OriginalMdl; /* the device sees the frames of the original */
    return STATUS_SUCCESS;
}

#define OPERATIONS_1_AND_2                                                                                             \
    .PutDmaAdapter = put_adapter, .AllocateCommonBuffer = allocate_common, .FreeCommonBuffer = free_common,            \
    .AllocateAdapterChannel = allocate_channel, .FlushAdapterBuffers = flush_buffers,                                  \
    .FreeAdapterChannel = free_channel, .FreeMapRegisters = free_registers, .MapTransfer = map_transfer,               \
    .GetDmaAlignment = get_alignment, .ReadDmaCounter = read_counter, .GetScatterGatherList = get_list,                \
    .PutScatterGatherList = put_list, .CalculateScatterGatherList = calculate_list,                                    \
    .BuildScatterGatherList = build_list, .BuildMdlFromScatterGatherList = build_mdl

static const DMA_OPERATIONS operations = {.Size = offsetof(DMA_OPERATIONS, GetDmaAdapterInfo), OPERATIONS_1_AND_2};

static const DMA_OPERATIONS extended_operations = {
    .Size = sizeof(DMA_OPERATIONS),
    OPERATIONS_1_AND_2,
    .GetDmaAdapterInfo = dma_get_adapter_info,
    .GetDmaTransferInfo = dma_get_transfer_info,
    .InitializeDmaTransferContext = dma_initialize_context,
    .AllocateCommonBufferEx = dma_allocate_common_ex,
    .AllocateAdapterChannelEx = dma_allocate_channel_ex,
    .ConfigureAdapterChannel = dma_configure_channel,
    .CancelAdapterChannel = dma_cancel_channel,
    .MapTransferEx = dma_map_transfer_ex,
    .GetScatterGatherListEx = dma_get_list_ex,
    .BuildScatterGatherListEx = dma_build_list_ex,
    .FlushAdapterBuffersEx = dma_flush_ex,
    .FreeAdapterObject = dma_free_adapter_object,
    .CancelMappedTransfer = dma_cancel_mapped,
};

static uint64_t highest_address(const DEVICE_DESCRIPTION *description)
{
    if (description->Version < DEVICE_DESCRIPTION_VERSION3)
        return description->Dma64BitAddresses ? MAXLONGLONG : 0xFFFFFFFF;
    return description->DmaAddressWidth == 0 || description->DmaAddressWidth >= 63
               ? MAXLONGLONG
               : (UINT64_C(1) << description->DmaAddressWidth) - 1;
}

PDMA_ADAPTER dma_adapter_create(const DEVICE_DESCRIPTION *description, ULONG *map_registers, const void *caller)
{
    struct adapter *adapter;
    ULONG pages;

    if (description->Version > DEVICE_DESCRIPTION_VERSION3)
        return NULL;
    if (!description->Master)
        NT_UNIMPLEMENTED("system DMA (there is no DMA controller: Master is TRUE)");
    pages = BYTES_TO_PAGES(description->MaximumLength) + 1;
    adapter = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*adapter), IO_TAG_GENERAL);
    if (adapter == NULL)
        return NULL;
    RtlZeroMemory(adapter, sizeof(*adapter));
    adapter->public.Version = description->Version >= DEVICE_DESCRIPTION_VERSION2 ? (USHORT)description->Version : 1;
    adapter->public.Size = sizeof(adapter->public);
    adapter->public.DmaOperations =
        (PDMA_OPERATIONS)(uintptr_t)(description->Version >= DEVICE_DESCRIPTION_VERSION3 ? &extended_operations
                                                                                         : &operations);
    adapter->highest = highest_address(description);
    adapter->caller = caller;
    InsertTailList(&machine->io->adapters, &adapter->entry);
    *map_registers = pages < ALL_MAP_REGISTERS ? pages : ALL_MAP_REGISTERS;
    return &adapter->public;
}

/* The standard interface of the bus that a device is on; false: the bus has none. */
static bool query_bus(PDEVICE_OBJECT pdo, BUS_INTERFACE_STANDARD *bus)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_PNP, .MinorFunction = IRP_MN_QUERY_INTERFACE};

    RtlZeroMemory(bus, sizeof(*bus));
    stack.Parameters.QueryInterface.InterfaceType = &GUID_BUS_INTERFACE_STANDARD;
    stack.Parameters.QueryInterface.Size = sizeof(*bus);
    stack.Parameters.QueryInterface.Version = 1;
    stack.Parameters.QueryInterface.Interface = (PINTERFACE)bus;
    return NT_SUCCESS(io_send_synchronous(pdo, &stack, STATUS_NOT_SUPPORTED, NULL));
}

/* Whose leak it is that an adapter stays: the driver's that has got it of the bus. */
static void note_caller(PDMA_ADAPTER public, const void *caller)
{
    for (PLIST_ENTRY entry = machine->io->adapters.Flink; entry != &machine->io->adapters; entry = entry->Flink) {
        struct adapter *adapter = CONTAINING_RECORD(entry, struct adapter, entry);

        if (&adapter->public == public)
            adapter->caller = caller;
    }
}

PDMA_ADAPTER NTAPI IoGetDmaAdapter(PDEVICE_OBJECT PhysicalDeviceObject, PDEVICE_DESCRIPTION DeviceDescription,
                                   PULONG NumberOfMapRegisters)
{
    const void *caller = __builtin_return_address(0);
    BUS_INTERFACE_STANDARD bus;
    PDMA_ADAPTER adapter;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return NULL;
    if (PhysicalDeviceObject != NULL && PhysicalDeviceObject->Type != IO_TYPE_DEVICE)
        nt_violation("device-object", "IoGetDmaAdapter with %p, which is no device object", PhysicalDeviceObject);
    if (PhysicalDeviceObject == NULL || pnp_node_of(PhysicalDeviceObject) == NULL ||
        !query_bus(PhysicalDeviceObject, &bus))
        return dma_adapter_create(DeviceDescription, NumberOfMapRegisters, caller);
    adapter = DRIVER_CALLOUT("GetDmaAdapter", bus.GetDmaAdapter, bus.Context, DeviceDescription, NumberOfMapRegisters);
    (void)DRIVER_CALLOUT("InterfaceDereference", bus.InterfaceDereference, bus.Context);
    note_caller(adapter, caller);
    return adapter;
}

void dma_census(struct census *census)
{
    for (PLIST_ENTRY entry = machine->io->adapters.Flink; entry != &machine->io->adapters; entry = entry->Flink) {
        const struct adapter *adapter = CONTAINING_RECORD(entry, struct adapter, entry);

        census_item(census, "dma adapter", 1, adapter->caller, "adapter");
        if (adapter->common_buffers != 0)
            census_item(census, "dma common buffer", adapter->common_buffers, adapter->caller, "common buffer");
        if (adapter->registers != 0)
            census_item(census, "dma map register", adapter->registers, adapter->caller, "map register");
        if (adapter->lists != 0)
            census_item(census, "dma list", adapter->lists, adapter->caller, "scatter/gather list");
    }
}
