/*
 * Device power requests (PoRequestPowerIrp, PoSetPowerState) and DMA adapters (IoGetDmaAdapter), on a device of the
 * test's own.
 */
#include "common/guest.h"

#include <string.h>

#include "nt/ex/pool.h"
#include "nt/io/io.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

#define TAG POOL_TAG('T', 'e', 's', 't')

static struct {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT device;
    KIRQL irql;
    POWER_STATE before;
    unsigned done;
} test;

static NTSTATUS NTAPI dispatch_power(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

    ck_assert_int_eq(stack->MinorFunction, IRP_MN_SET_POWER);
    ck_assert_int_eq(stack->Parameters.Power.Type, DevicePowerState);
    test.irql = KeGetCurrentIrql();
    test.before = PoSetPowerState(device, DevicePowerState, stack->Parameters.Power.State);
    PoStartNextPowerIrp(irp);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    (void)driver;
}

static NTSTATUS NTAPI driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    driver->MajorFunction[IRP_MJ_POWER] = dispatch_power;
    return STATUS_SUCCESS;
}

static void set_up(void)
{
    memset(&test, 0, sizeof(test));
    ck_assert_int_eq(io_create_builtin_driver("tester", driver_entry, &test.driver), STATUS_SUCCESS);
    ck_assert_int_eq(IoCreateDevice(test.driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &test.device), STATUS_SUCCESS);
    test.device->Flags &= ~DO_DEVICE_INITIALIZING;
}

static void tear_down(void)
{
    struct census *census;

    IoDeleteDevice(test.device);
    ck_assert_int_eq(io_unload_driver(test.driver), STATUS_SUCCESS);
    ob_dereference(test.driver);
    census = census_take();
    ck_assert_uint_eq(census_total(census, "power request"), 0);
    ck_assert_uint_eq(census_total(census, "dma adapter"), 0);
    ck_assert_uint_eq(census_total(census, "dma common buffer"), 0);
    ck_assert_uint_eq(census_total(census, "irp"), 0);
    census_free(census);
}

/* ---- power ---- */

static VOID NTAPI power_done(PDEVICE_OBJECT device, UCHAR minor, POWER_STATE state, PVOID context,
                             PIO_STATUS_BLOCK result)
{
    ck_assert_ptr_eq(device, test.device);
    ck_assert_uint_eq(minor, IRP_MN_SET_POWER);
    ck_assert_int_eq(result->Status, STATUS_SUCCESS);
    ck_assert_int_eq(state.DeviceState, PowerDeviceD0 + (int)test.done * 3);
    test.done++;
    KeSetEvent(context, IO_NO_INCREMENT, FALSE);
}

static void power_request(void *argument)
{
    POWER_STATE state = {.DeviceState = PowerDeviceD0};
    KEVENT done;
    KIRQL irql;

    (void)argument;
    set_up();
    KeInitializeEvent(&done, SynchronizationEvent, FALSE);
    ck_assert_int_eq(PoRequestPowerIrp(test.device, IRP_MN_SET_POWER, state, power_done, &done, NULL), STATUS_PENDING);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    ck_assert_int_eq(test.before.DeviceState, PowerDeviceUnspecified);
    state.DeviceState = PowerDeviceD3;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert_int_eq(PoRequestPowerIrp(test.device, IRP_MN_SET_POWER, state, power_done, &done, NULL), STATUS_PENDING);
    KeLowerIrql(irql);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    ck_assert_uint_eq(test.irql, PASSIVE_LEVEL); /* asked for at DISPATCH_LEVEL, sent at PASSIVE_LEVEL */
    ck_assert_int_eq(test.before.DeviceState, PowerDeviceD0);
    ck_assert_uint_eq(test.done, 2);
    tear_down();
}

START_TEST(test_power_request)
{
    guest_run(power_request, NULL);
}
END_TEST

/* ---- DMA ---- */

#define DMA_PAGES 5u

struct transfer {
    PDMA_ADAPTER adapter;
    UCHAR *buffer;
    ULONG bytes; /* that the list's elements stand for */
    bool called;
};

static VOID NTAPI list_built(PDEVICE_OBJECT device, PIRP irp, PSCATTER_GATHER_LIST list, PVOID context)
{
    struct transfer *transfer = context;

    (void)device;
    (void)irp;
    ck_assert_uint_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    for (ULONG i = 0; i < list->NumberOfElements; i++) {
        ck_assert_int_eq(list->Elements[i].Address.QuadPart,
                         MmGetPhysicalAddress(transfer->buffer + 100 + transfer->bytes).QuadPart);
        transfer->bytes += list->Elements[i].Length;
    }
    transfer->called = true;
    transfer->adapter->DmaOperations->PutScatterGatherList(transfer->adapter, list, TRUE);
}

static void scatter_gather(void *argument)
{
    DEVICE_DESCRIPTION description = {.Version = DEVICE_DESCRIPTION_VERSION,
                                      .Master = TRUE,
                                      .ScatterGather = TRUE,
                                      .Dma64BitAddresses = TRUE,
                                      .MaximumLength = DMA_PAGES * PAGE_SIZE};
    struct transfer transfer = {.bytes = 0};
    ULONG length = DMA_PAGES * PAGE_SIZE - 200;
    PHYSICAL_ADDRESS logical;
    PVOID common;
    ULONG registers;
    KIRQL irql;
    PMDL mdl;

    (void)argument;
    set_up();
    transfer.adapter = IoGetDmaAdapter(test.device, &description, &registers);
    ck_assert_ptr_nonnull(transfer.adapter);
    ck_assert_uint_ge(registers, DMA_PAGES);
    common = transfer.adapter->DmaOperations->AllocateCommonBuffer(transfer.adapter, 3 * PAGE_SIZE, &logical, TRUE);
    ck_assert_ptr_nonnull(common);
    ck_assert_int_eq(MmGetPhysicalAddress((UCHAR *)common + 2 * PAGE_SIZE).QuadPart, logical.QuadPart + 2 * PAGE_SIZE);
    transfer.buffer = ExAllocatePoolWithTag(NonPagedPoolNx, DMA_PAGES * PAGE_SIZE, TAG);
    mdl = IoAllocateMdl(transfer.buffer + 100, length, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(mdl);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert_int_eq(transfer.adapter->DmaOperations->GetScatterGatherList(transfer.adapter, test.device, mdl,
                                                                           transfer.buffer + 100, length, list_built,
                                                                           &transfer, TRUE),
                     STATUS_SUCCESS);
    KeLowerIrql(irql);
    ck_assert(transfer.called);
    ck_assert_uint_eq(transfer.bytes, length);
    IoFreeMdl(mdl);
    ExFreePoolWithTag(transfer.buffer, TAG);
    transfer.adapter->DmaOperations->FreeCommonBuffer(transfer.adapter, 3 * PAGE_SIZE, logical, common, TRUE);
    transfer.adapter->DmaOperations->PutDmaAdapter(transfer.adapter);
    tear_down();
}

START_TEST(test_scatter_gather)
{
    guest_run(scatter_gather, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/power");
    TCase *power = tcase_create("power");
    TCase *dma = tcase_create("dma");

    tcase_add_test(power, test_power_request);
    tcase_add_test(dma, test_scatter_gather);
    suite_add_tcase(suite, power);
    suite_add_tcase(suite, dma);
    return guest_suite_run(suite);
}
