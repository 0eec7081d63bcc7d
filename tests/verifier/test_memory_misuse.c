/* Rules of single calls about memory and DMA: each broken once through public routines, as test_misuse.c does. */
#include "misuse.h"

#include "machine/guest_ram.h"
#include "nt/io/io.h"

static const PHYSICAL_ADDRESS lowest = {.QuadPart = 0};
static const PHYSICAL_ADDRESS highest = {.QuadPart = MAXLONGLONG};

static void no_contiguous_bytes(void)
{
    MmAllocateContiguousMemory(0, highest);
}

static void strange_boundary(void)
{
    MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, lowest, highest, (PHYSICAL_ADDRESS){.QuadPart = 12345}, MmCached);
}

static void strange_cache_type(void)
{
    MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, lowest, highest, lowest, (MEMORY_CACHING_TYPE)77);
}

static void no_io_space(void)
{
    MmMapIoSpace((PHYSICAL_ADDRESS){.QuadPart = 0xF2000000}, 0, MmNonCached);
}

static void free_memory_mapped(void)
{
    PHYSICAL_ADDRESS free;
    char *page = MmAllocateContiguousMemory(PAGE_SIZE, highest);

    free = MmGetPhysicalAddress(page);
    MmFreeContiguousMemory(page);
    MmMapIoSpace(free, PAGE_SIZE, MmCached);
}

static PMDL new_mdl(POOL_TYPE type)
{
    PMDL mdl = IoAllocateMdl(ExAllocatePoolWithTag(type, 64, TEST_TAG), 64, FALSE, FALSE, NULL);

    ck_assert_ptr_nonnull(mdl);
    return mdl;
}

static void second_mdl_without_an_irp(void)
{
    IoAllocateMdl(zeroed(16), 16, TRUE, FALSE, NULL);
}

static void locked_twice(void)
{
    PMDL mdl = new_mdl(PagedPool);

    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
}

static void pages_of_a_strange_cache_type(void)
{
    MmAllocatePagesForMdlEx(lowest, highest, lowest, PAGE_SIZE, (MEMORY_CACHING_TYPE)77, 0);
}

static void pages_with_a_strange_skip(void)
{
    MmAllocatePagesForMdlEx(lowest, highest, (PHYSICAL_ADDRESS){.QuadPart = 1}, PAGE_SIZE, MmCached, 0);
}

/* What XENMEM_decrease_reservation does to a page. */
static void page_without_ram_freed(void)
{
    char *page = MmAllocateContiguousMemory(PAGE_SIZE, highest);

    p2m_set((uint64_t)MmGetPhysicalAddress(page).QuadPart >> PAGE_SHIFT, BACKING_NONE);
    MmFreeContiguousMemory(page);
}

static void physical_address_of_nothing(void)
{
    MmGetPhysicalAddress(NOTHING);
}

static void section_of_nothing(void)
{
    MmLockPagableDataSection(NOTHING);
}

/* ---- DMA ---- */

static PDEVICE_OBJECT device;

static NTSTATUS NTAPI entry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    return STATUS_SUCCESS;
}

static PDMA_ADAPTER dma_adapter(void)
{
    DEVICE_DESCRIPTION description = {.Version = DEVICE_DESCRIPTION_VERSION,
                                      .Master = TRUE,
                                      .ScatterGather = TRUE,
                                      .Dma64BitAddresses = TRUE,
                                      .InterfaceType = PCIBus,
                                      .MaximumLength = 16 * PAGE_SIZE};
    PDRIVER_OBJECT driver;
    PDMA_ADAPTER adapter;
    ULONG registers;

    ck_assert_int_eq(io_create_builtin_driver("misuser", entry, &driver), STATUS_SUCCESS);
    ck_assert_int_eq(IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device), STATUS_SUCCESS);
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    adapter = IoGetDmaAdapter(NULL, &description, &registers);
    ck_assert_ptr_nonnull(adapter);
    return adapter;
}

static IO_ALLOCATION_ACTION NTAPI keeps_the_object(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Base, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Base);
    UNREFERENCED_PARAMETER(Context);
    return KeepObject;
}

static void control_routine_keeps_the_object(void)
{
    PDMA_ADAPTER adapter = dma_adapter();

    KeRaiseIrqlToDpcLevel();
    adapter->DmaOperations->AllocateAdapterChannel(adapter, device, 1, keeps_the_object, NULL);
}

static IO_ALLOCATION_ACTION NTAPI keeps_the_registers(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Base, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    *(PVOID *)Context = Base;
    return DeallocateObjectKeepRegisters;
}

static PVOID take_registers(PDMA_ADAPTER adapter, ULONG count)
{
    PVOID base = NULL;
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    adapter->DmaOperations->AllocateAdapterChannel(adapter, device, count, keeps_the_registers, &base);
    KeLowerIrql(irql);
    return base;
}

static void adapter_put_with_registers(void)
{
    PDMA_ADAPTER adapter = dma_adapter();

    take_registers(adapter, 5);
    adapter->DmaOperations->PutDmaAdapter(adapter);
}

static void registers_freed_twice(void)
{
    PDMA_ADAPTER adapter = dma_adapter();
    PVOID base = take_registers(adapter, 5);

    KeRaiseIrqlToDpcLevel();
    adapter->DmaOperations->FreeMapRegisters(adapter, base, 5);
    adapter->DmaOperations->FreeMapRegisters(adapter, base, 5);
}

static void adapter_put_with_a_buffer(void)
{
    PDMA_ADAPTER adapter = dma_adapter();
    PHYSICAL_ADDRESS logical;

    adapter->DmaOperations->AllocateCommonBuffer(adapter, PAGE_SIZE, &logical, TRUE);
    adapter->DmaOperations->PutDmaAdapter(adapter);
}

static VOID NTAPI list_made(PDEVICE_OBJECT DeviceObject, PIRP Irp, PSCATTER_GATHER_LIST List, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    *(PSCATTER_GATHER_LIST *)Context = List;
}

static PSCATTER_GATHER_LIST make_list(PDMA_ADAPTER adapter, ULONG bytes)
{
    PSCATTER_GATHER_LIST list = NULL;
    PMDL mdl = new_mdl(NonPagedPoolNx);
    KIRQL irql;

    MmBuildMdlForNonPagedPool(mdl);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    adapter->DmaOperations->GetScatterGatherList(adapter, device, mdl, MmGetMdlVirtualAddress(mdl), bytes, list_made,
                                                 &list, TRUE);
    KeLowerIrql(irql);
    return list;
}

static void adapter_put_with_a_list(void)
{
    PDMA_ADAPTER adapter = dma_adapter();

    make_list(adapter, 64);
    adapter->DmaOperations->PutDmaAdapter(adapter);
}

static void buffer_freed_twice(void)
{
    PDMA_ADAPTER adapter = dma_adapter();

    adapter->DmaOperations->FreeCommonBuffer(adapter, PAGE_SIZE, lowest, zeroed(16), TRUE);
}

static void list_put_twice(void)
{
    PDMA_ADAPTER adapter = dma_adapter();
    PSCATTER_GATHER_LIST list = make_list(adapter, 64);

    KeRaiseIrqlToDpcLevel();
    adapter->DmaOperations->PutScatterGatherList(adapter, list, TRUE);
    adapter->DmaOperations->PutScatterGatherList(adapter, list, TRUE);
}

static void strange_registers_freed(void)
{
    PDMA_ADAPTER adapter = dma_adapter();

    KeRaiseIrqlToDpcLevel();
    adapter->DmaOperations->FreeMapRegisters(adapter, NOTHING, 3);
}

static void transfer_beyond_its_mdl(void)
{
    make_list(dma_adapter(), 2 * PAGE_SIZE);
}

/* ---- the table ---- */

static const struct broken_rule broken[] = {
    {no_contiguous_bytes, "contiguous-zero-size", DV, OWN},
    {strange_boundary, "contiguous-boundary", DV, OWN},
    {strange_cache_type, "contiguous-cache-type", DV, OWN},
    {no_io_space, "iospace-zero-size", DV, OWN},
    {free_memory_mapped, "iospace-unlocked", DV, {0x83, ANY, PAGE_SIZE, ANY}},
    {second_mdl_without_an_irp, "mdl-allocate", DV, OWN},
    {locked_twice, "mdl-lock", DV, {0xB0, ANY, ANY, MDL_PAGES_LOCKED}},
    {pages_of_a_strange_cache_type, "mdl-pages-cache-type", DV, OWN},
    {pages_with_a_strange_skip, "mdl-pages-skip", DV, OWN},
    {page_without_ram_freed, "page-freed-without-ram", DV, OWN},
    {physical_address_of_nothing, "physical-address", DV, OWN},
    {section_of_nothing, "section-lock", DV, OWN},

    {control_routine_keeps_the_object, "dma-adapter-control", DV, OWN},
    {adapter_put_with_a_buffer, "dma-adapter-buffers", DMA, {0x07, ANY, 1}},
    {adapter_put_with_a_list, "dma-adapter-lists", DMA, {0x0A, ANY, 1}},
    {adapter_put_with_registers, "dma-adapter-registers", DMA, {0x09, ANY, 5}},
    {registers_freed_twice, "dma-map-registers", DMA, {0x05, 5}},
    {buffer_freed_twice, "dma-common-buffer", DMA, {0x03, 1}},
    {list_put_twice, "dma-list", DMA, {0x06, 0, 1}},
    {strange_registers_freed, "dma-map-registers", DMA, {0x05, 3}},
    {transfer_beyond_its_mdl, "dma-range", DMA, {0x1F, ANY, ANY, ANY}},
};

int main(void)
{
    return misuse_run("misuse of memory", broken, sizeof(broken) / sizeof(broken[0]));
}
