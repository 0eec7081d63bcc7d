/* DMA adapters of bus masters: IoGetDmaAdapter and the adapter's operations. */
#include "bus.h"

#define DMA_PAGES 5u
#define OFFSET 100u

typedef struct _TRANSFER {
    PDMA_ADAPTER Adapter;
    PUCHAR Buffer;
    ULONG Bytes; /* that the list's elements stand for */
    KIRQL Irql;
    BOOLEAN Called;
    BOOLEAN Wrong;
} TRANSFER;

static DRIVER_LIST_CONTROL ListBuilt;

static VOID NTAPI ListBuilt(PDEVICE_OBJECT DeviceObject, PIRP Irp, PSCATTER_GATHER_LIST List, PVOID Context)
{
    TRANSFER *Transfer = Context;
    ULONG Index;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    Transfer->Irql = KeGetCurrentIrql();
    for (Index = 0; Index < List->NumberOfElements; Index++) {
        PHYSICAL_ADDRESS Expected = MmGetPhysicalAddress(Transfer->Buffer + OFFSET + Transfer->Bytes);

        if (List->Elements[Index].Address.QuadPart != Expected.QuadPart)
            Transfer->Wrong = TRUE; /* without map registers in between, which a 64-bit bus master needs none of */
        Transfer->Bytes += List->Elements[Index].Length;
    }
    Transfer->Called = TRUE;
    Transfer->Adapter->DmaOperations->PutScatterGatherList(Transfer->Adapter, List, TRUE);
}

static VOID Describe(PDEVICE_DESCRIPTION Description)
{
    RtlZeroMemory(Description, sizeof(*Description));
    Description->Version = DEVICE_DESCRIPTION_VERSION;
    Description->Master = TRUE;
    Description->ScatterGather = TRUE;
    Description->Dma64BitAddresses = TRUE;
    Description->InterfaceType = PCIBus;
    Description->MaximumLength = DMA_PAGES * PAGE_SIZE;
}

static VOID DmaScatterGather(VOID)
{
    ULONG Length = DMA_PAGES * PAGE_SIZE - 2 * OFFSET;
    TRANSFER Transfer = {.Bytes = 0};
    DEVICE_DESCRIPTION Description;
    ULONG Registers = 0;
    NTSTATUS Status;
    KIRQL Irql;
    PMDL Mdl;

    Describe(&Description);
    Transfer.Adapter = IoGetDmaAdapter(TestPhysicalDevice(), &Description, &Registers);
    REQUIRE(Transfer.Adapter != NULL);
    EXPECT_TRUE(Registers >= DMA_PAGES);
    Transfer.Buffer = TestAllocate(DMA_PAGES * PAGE_SIZE);
    REQUIRE(Transfer.Buffer != NULL);
    Mdl = IoAllocateMdl(Transfer.Buffer + OFFSET, Length, FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    MmBuildMdlForNonPagedPool(Mdl);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status = Transfer.Adapter->DmaOperations->GetScatterGatherList(
        Transfer.Adapter, TestDevice(), Mdl, Transfer.Buffer + OFFSET, Length, ListBuilt, &Transfer, TRUE);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_TRUE(Transfer.Called);
    EXPECT_FALSE(Transfer.Wrong);
    EXPECT_EQUAL(Transfer.Irql, DISPATCH_LEVEL);
    EXPECT_EQUAL(Transfer.Bytes, Length);
    IoFreeMdl(Mdl);
    TestFree(Transfer.Buffer);
    Transfer.Adapter->DmaOperations->PutDmaAdapter(Transfer.Adapter);
}

/* Both see the same memory: the driver by its address, the device by the logical one. */
static VOID DmaCommonBuffer(VOID)
{
    DEVICE_DESCRIPTION Description;
    PHYSICAL_ADDRESS Logical;
    PDMA_ADAPTER Adapter;
    ULONG Registers;
    PUCHAR Common;

    Describe(&Description);
    Adapter = IoGetDmaAdapter(TestPhysicalDevice(), &Description, &Registers);
    REQUIRE(Adapter != NULL);
    Common = Adapter->DmaOperations->AllocateCommonBuffer(Adapter, 3 * PAGE_SIZE, &Logical, TRUE);
    REQUIRE(Common != NULL);
    EXPECT_TRUE(MmGetPhysicalAddress(Common + 2 * PAGE_SIZE).QuadPart == Logical.QuadPart + 2 * PAGE_SIZE);
    Adapter->DmaOperations->FreeCommonBuffer(Adapter, 3 * PAGE_SIZE, Logical, Common, TRUE);
    Adapter->DmaOperations->PutDmaAdapter(Adapter);
}

TEST_TABLE(io_dma){
    TEST(DmaScatterGather, TEST_DEVICE),
    TEST(DmaCommonBuffer, TEST_DEVICE),
    TEST_END,
};
