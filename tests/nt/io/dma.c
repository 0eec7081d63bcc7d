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

/* ---- version 3, which the driver headers of mingw-w64 (version 10) lack ---- */

#if !defined(__MINGW32__)

static PDMA_ADAPTER OpenVersion3(VOID)
{
    DEVICE_DESCRIPTION Description;
    PDMA_ADAPTER Adapter;
    ULONG Registers = 0;

    Describe(&Description);
    Description.Version = DEVICE_DESCRIPTION_VERSION3;
    Description.DmaAddressWidth = 64;
    Adapter = IoGetDmaAdapter(TestPhysicalDevice(), &Description, &Registers);
    CHECK(Adapter != NULL);
    return Adapter;
}

static VOID DmaVersion3(VOID)
{
    DECLSPEC_ALIGN(16) UCHAR Context[DMA_TRANSFER_CONTEXT_SIZE_V1];
    PDMA_ADAPTER Adapter = OpenVersion3();
    DMA_ADAPTER_INFO Info = {.Version = DMA_ADAPTER_INFO_VERSION1};
    DMA_TRANSFER_INFO Size = {.Version = DMA_TRANSFER_INFO_VERSION1};
    PSCATTER_GATHER_LIST List = NULL, Mine;
    PDMA_OPERATIONS Operations;
    PVOID Registers = NULL;
    ULONG Length, Bytes = 0;
    NTSTATUS Status[6];
    PUCHAR Buffer;
    KIRQL Irql;
    PMDL Mdl;

    REQUIRE(Adapter != NULL);
    Operations = Adapter->DmaOperations;
    EXPECT_EQUAL(Adapter->Version, 3);
    EXPECT_STATUS(Operations->GetDmaAdapterInfo(Adapter, &Info), STATUS_SUCCESS);
    EXPECT_EQUAL(Info.V1.DmaAddressWidth, 64);
    EXPECT_STATUS(Operations->InitializeDmaTransferContext(Adapter, Context), STATUS_SUCCESS);
    Buffer = TestAllocate(DMA_PAGES * PAGE_SIZE);
    Mdl = IoAllocateMdl(Buffer, DMA_PAGES * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Buffer != NULL && Mdl != NULL);
    MmBuildMdlForNonPagedPool(Mdl);
    Length = DMA_PAGES * PAGE_SIZE - OFFSET;
    EXPECT_STATUS(Operations->GetDmaTransferInfo(Adapter, Mdl, OFFSET, Length, FALSE, &Size), STATUS_SUCCESS);
    EXPECT_TRUE(Size.V1.ScatterGatherElementCount >= 1 && Size.V1.ScatterGatherElementCount <= DMA_PAGES);
    EXPECT_STATUS(Operations->GetDmaTransferInfo(Adapter, Mdl, OFFSET, Length + 1, FALSE, &Size),
                  STATUS_INVALID_PARAMETER);
    Mine = TestAllocate(Size.V1.ScatterGatherListSize);
    REQUIRE(Mine != NULL);

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status[0] = Operations->GetScatterGatherListEx(Adapter, TestDevice(), Context, Mdl, OFFSET, Length,
                                                   DMA_SYNCHRONOUS_CALLBACK, NULL, NULL, TRUE, NULL, NULL, &List);
    for (ULONG Index = 0; List != NULL && Index < List->NumberOfElements; Index++) {
        CHECK(List->Elements[Index].Address.QuadPart == MmGetPhysicalAddress(Buffer + OFFSET + Bytes).QuadPart);
        Bytes += List->Elements[Index].Length;
    }
    if (List != NULL)
        Operations->PutScatterGatherList(Adapter, List, TRUE);
    Status[1] = Operations->AllocateAdapterChannelEx(Adapter, TestDevice(), Context, DMA_PAGES,
                                                     DMA_SYNCHRONOUS_CALLBACK, NULL, NULL, &Registers);
    Status[2] = Operations->MapTransferEx(Adapter, Mdl, Registers, OFFSET, 0, &Length, TRUE, Mine,
                                          Size.V1.ScatterGatherListSize, NULL, NULL);
    Status[3] = Operations->FlushAdapterBuffersEx(Adapter, Mdl, Registers, OFFSET, Length, TRUE);
    Operations->FreeAdapterObject(Adapter, DeallocateObject);
    Status[4] =
        Operations->AllocateAdapterChannelEx(Adapter, TestDevice(), Context, DMA_PAGES, 0, NULL, NULL, &Registers);
    Status[5] = Operations->ConfigureAdapterChannel(Adapter, 0, NULL);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status[0], STATUS_SUCCESS);
    EXPECT_EQUAL(Bytes, DMA_PAGES * PAGE_SIZE - OFFSET);
    EXPECT_STATUS(Status[1], STATUS_SUCCESS);
    EXPECT_STATUS(Status[2], STATUS_SUCCESS);
    EXPECT_EQUAL(Length, DMA_PAGES * PAGE_SIZE - OFFSET);
    EXPECT_TRUE(Mine->NumberOfElements == Size.V1.ScatterGatherElementCount);
    EXPECT_STATUS(Status[3], STATUS_SUCCESS);
    EXPECT_STATUS(Status[4], STATUS_INVALID_PARAMETER); /* asynchronous, and nobody to call */
    EXPECT_STATUS(Status[5], STATUS_NOT_IMPLEMENTED);
    TestFree(Mine);
    IoFreeMdl(Mdl);
    TestFree(Buffer);
    Operations->PutDmaAdapter(Adapter);
}

static VOID DmaCommonBufferEx(VOID)
{
    PDMA_ADAPTER Adapter = OpenVersion3();
    PHYSICAL_ADDRESS Logical, Highest = {.QuadPart = 0xFFFFFFFF};
    PUCHAR Common;

    REQUIRE(Adapter != NULL);
    Common =
        Adapter->DmaOperations->AllocateCommonBufferEx(Adapter, &Highest, PAGE_SIZE, &Logical, TRUE, MM_ANY_NODE_OK);
    REQUIRE(Common != NULL);
    EXPECT_TRUE(MmGetPhysicalAddress(Common).QuadPart == Logical.QuadPart);
    EXPECT_TRUE(Logical.QuadPart + PAGE_SIZE - 1 <= Highest.QuadPart);
    Adapter->DmaOperations->FreeCommonBuffer(Adapter, PAGE_SIZE, Logical, Common, TRUE);
    Adapter->DmaOperations->PutDmaAdapter(Adapter);
}

#endif

TEST_TABLE(io_dma)
{
#if !defined(__MINGW32__)
    TEST(DmaVersion3, TEST_DEVICE), TEST(DmaCommonBufferEx, TEST_DEVICE),
#endif
        TEST(DmaScatterGather, TEST_DEVICE), TEST(DmaCommonBuffer, TEST_DEVICE), TEST_END,
};
