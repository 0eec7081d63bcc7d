/* DMA adapters for children of XENBUS, which IoGetDmaAdapter finds by the child's BUS_INTERFACE_STANDARD. */
#include <string.h>

#include "common/irps.h"
#include "common/runs_out.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>
#include <wdmguid.h>

#define CHILD "XENBUS\\VEN_XP0001&DEV_IFACE"
#define PLATFORM "PCI\\VEN_5853&DEV_0001"
#define PAGES 5u

static struct devnode *find(const char *device)
{
    struct devnode *node = pnp_root();

    while (node != NULL && strncmp(pnp_instance_path(node), device, strlen(device)) != 0)
        node = pnp_next(node);
    ck_assert_msg(node != NULL, "there is no %s", device);
    return node;
}

static PDMA_ADAPTER get(const char *device, ULONG version, ULONG *registers)
{
    DEVICE_DESCRIPTION description = {
        .Version = version,
        .Master = TRUE,
        .ScatterGather = TRUE,
        .Dma32BitAddresses = TRUE,
        .Dma64BitAddresses = TRUE,
        .InterfaceType = Internal,
        .MaximumLength = PAGES * PAGE_SIZE,
        .DmaAddressWidth = 64,
    };

    *registers = 0;
    return IoGetDmaAdapter(pnp_pdo(find(device)), &description, registers);
}

static void use_common_buffer(PDMA_ADAPTER adapter)
{
    PHYSICAL_ADDRESS logical = {.QuadPart = -1};
    PVOID buffer = adapter->DmaOperations->AllocateCommonBuffer(adapter, 2 * PAGE_SIZE, &logical, TRUE);

    ck_assert_ptr_nonnull(buffer);
    memset(buffer, 0x5a, 2 * PAGE_SIZE);
    ck_assert_int_eq(logical.QuadPart, MmGetPhysicalAddress(buffer).QuadPart);
    ck_assert_int_eq(logical.QuadPart + PAGE_SIZE, MmGetPhysicalAddress((PUCHAR)buffer + PAGE_SIZE).QuadPart);
    adapter->DmaOperations->FreeCommonBuffer(adapter, 2 * PAGE_SIZE, logical, buffer, TRUE);
}

static PSCATTER_GATHER_LIST list_given;

static VOID NTAPI on_list(PDEVICE_OBJECT device, PIRP irp, PSCATTER_GATHER_LIST list, PVOID context)
{
    KERNEL_SCOPE();

    (void)irp;
    ck_assert_ptr_eq(device, context);
    list_given = list;
}

static void use_list(PDMA_ADAPTER adapter)
{
    PDEVICE_OBJECT device = pnp_pdo(find(CHILD));
    PUCHAR buffer = ExAllocatePoolWithTag(NonPagedPoolNx, PAGES * PAGE_SIZE, STACK_TAG);
    PMDL mdl = IoAllocateMdl(buffer, PAGES * PAGE_SIZE, FALSE, FALSE, NULL);
    ULONG length = 0;
    KIRQL irql;

    ck_assert_ptr_nonnull(buffer);
    ck_assert_ptr_nonnull(mdl);
    MmBuildMdlForNonPagedPool(mdl);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    list_given = NULL;
    ck_assert_int_eq(adapter->DmaOperations->GetScatterGatherList(adapter, device, mdl, buffer + 100,
                                                                  PAGES * PAGE_SIZE - 200, on_list, device, TRUE),
                     STATUS_SUCCESS);
    ck_assert_ptr_nonnull(list_given);
    for (ULONG i = 0; i < list_given->NumberOfElements; i++) {
        ck_assert_int_eq(list_given->Elements[i].Address.QuadPart,
                         MmGetPhysicalAddress(buffer + 100 + length).QuadPart);
        length += list_given->Elements[i].Length;
    }
    ck_assert_uint_eq(length, PAGES * PAGE_SIZE - 200);
    adapter->DmaOperations->PutScatterGatherList(adapter, list_given, TRUE);
    KeLowerIrql(irql);
    IoFreeMdl(mdl);
    ExFreePoolWithTag(buffer, STACK_TAG);
}

static void put(PDMA_ADAPTER adapter)
{
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    adapter->DmaOperations->PutDmaAdapter(adapter);
    KeLowerIrql(irql);
}

/* Of every version, and a second one while the first is out. */
STACK_TEST(adapters, .drivers = STACK_PROBE)
{
    PDMA_ADAPTER parents;
    ULONG registers;

    parents = get(PLATFORM, DEVICE_DESCRIPTION_VERSION, &registers);
    ck_assert_ptr_nonnull(parents);
    for (ULONG version = DEVICE_DESCRIPTION_VERSION; version <= DEVICE_DESCRIPTION_VERSION3; version++) {
        PDMA_ADAPTER first = get(CHILD, version, &registers);
        PDMA_ADAPTER second;

        ck_assert_ptr_nonnull(first);
        ck_assert_uint_ge(registers, PAGES + 1);
        ck_assert_uint_eq(first->Version, version < DEVICE_DESCRIPTION_VERSION2 ? 1 : version);
        /* The bus has its part in it. */
        ck_assert(first->DmaOperations->PutDmaAdapter != parents->DmaOperations->PutDmaAdapter);
        use_common_buffer(first);
        second = get(CHILD, version, &registers);
        ck_assert_ptr_nonnull(second);
        use_list(first);
        put(first);
        use_list(second);
        if (version == DEVICE_DESCRIPTION_VERSION3) {
            DMA_ADAPTER_INFO info = {.Version = DMA_ADAPTER_INFO_VERSION1};

            ck_assert_int_eq(second->DmaOperations->GetDmaAdapterInfo(second, &info), STATUS_SUCCESS);
            ck_assert_uint_eq(info.V1.DmaAddressWidth, 64);
        }
        put(second);
    }
    ck_assert_ptr_null(get(CHILD, DEVICE_DESCRIPTION_VERSION3 + 1, &registers));
    put(parents);
}

STACK_TEST(no_system_dma, .drivers = STACK_PROBE, .quiet = true)
{
    DEVICE_DESCRIPTION description = {.Version = DEVICE_DESCRIPTION_VERSION, .MaximumLength = PAGE_SIZE};
    ULONG registers;

    ck_assert_ptr_null(IoGetDmaAdapter(pnp_pdo(find(CHILD)), &description, &registers));
}

STACK_TEST(interface, .drivers = STACK_PROBE)
{
    const PHYSICAL_ADDRESS address = {.QuadPart = 0x123456789};
    PHYSICAL_ADDRESS translated = {.QuadPart = 0};
    BUS_INTERFACE_STANDARD bus;
    UCHAR data[4] = {0xcc, 0xcc, 0xcc, 0xcc};
    ULONG space = 0;

    ck_assert_int_eq(stack_query("_", &GUID_BUS_INTERFACE_STANDARD, 2, sizeof(bus), (PINTERFACE)&bus),
                     STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(stack_query("_", &GUID_BUS_INTERFACE_STANDARD, 1, sizeof(bus) - 1, (PINTERFACE)&bus),
                     STATUS_BUFFER_TOO_SMALL);
    ck_assert_int_eq(stack_query("_", &GUID_BUS_INTERFACE_STANDARD, 1, sizeof(bus), (PINTERFACE)&bus), STATUS_SUCCESS);
    ck_assert_uint_eq(bus.Version, 1);
    ck_assert_uint_eq(bus.Size, sizeof(bus));
    ck_assert(bus.TranslateBusAddress(bus.Context, address, PAGE_SIZE, &space, &translated));
    ck_assert_int_eq(translated.QuadPart, address.QuadPart);
    ck_assert_uint_eq(space, 0);
    /* A child has no configuration space, least of all the platform device's. */
    ck_assert_uint_eq(bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, data, 0, sizeof(data)), 0);
    ck_assert_uint_eq(bus.SetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, data, 4, sizeof(data)), 0);
    ck_assert_uint_eq(data[0], 0xcc);
    bus.InterfaceReference(bus.Context);
    bus.InterfaceDereference(bus.Context);
    ck_assert(bus.TranslateBusAddress(bus.Context, address, PAGE_SIZE, &space, &translated));
    bus.InterfaceDereference(bus.Context);
}

/* The child's driver goes while an adapter and an interface are out, and comes back. */
static void outlive(bool surprise)
{
    BUS_INTERFACE_STANDARD bus;
    PDMA_ADAPTER adapter;
    ULONG registers;

    adapter = get(CHILD, DEVICE_DESCRIPTION_VERSION3, &registers);
    ck_assert_ptr_nonnull(adapter);
    ck_assert_int_eq(stack_query("_", &GUID_BUS_INTERFACE_STANDARD, 1, sizeof(bus), (PINTERFACE)&bus), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_remove_device(find(CHILD), surprise), STATUS_SUCCESS);
    use_common_buffer(adapter);
    ck_assert_int_eq(pnp_rescan(find(PLATFORM)), STATUS_SUCCESS);
    pnp_wait_quiet();
    use_common_buffer(adapter);
    put(adapter);
    bus.InterfaceReference(bus.Context);
    bus.InterfaceDereference(bus.Context);
    adapter = bus.GetDmaAdapter(
        bus.Context, &(DEVICE_DESCRIPTION){.Master = TRUE, .ScatterGather = TRUE, .MaximumLength = PAGE_SIZE},
        &registers);
    ck_assert_ptr_nonnull(adapter);
    use_common_buffer(adapter);
    put(adapter);
    bus.InterfaceDereference(bus.Context);
}

/* A VIF that is pulled out takes the child that stands for its class away for good. */
STACK_TEST(outlives_its_class, .drivers = STACK_XENVIF, .vifs = 1)
{
    PDMA_ADAPTER adapter;
    ULONG registers;

    adapter = get("XENBUS\\VEN_XP0001&DEV_VIF", DEVICE_DESCRIPTION_VERSION2, &registers);
    ck_assert_ptr_nonnull(adapter);
    stack_detach(0);
    stack_store_remove(stack_path("device/vif"));
    pnp_wait_quiet();
    use_common_buffer(adapter);
    put(adapter);
}

STACK_TEST(outlives_its_child, .drivers = STACK_PROBE)
{
    outlive(false);
}

STACK_TEST(outlives_its_child_by_surprise, .drivers = STACK_PROBE)
{
    outlive(true);
}

/* ---- what it takes runs out, or is refused ---- */

static NTSTATUS an_interface(void)
{
    BUS_INTERFACE_STANDARD bus;
    NTSTATUS status = stack_query("_", &GUID_BUS_INTERFACE_STANDARD, 1, sizeof(bus), (PINTERFACE)&bus);

    if (NT_SUCCESS(status))
        bus.InterfaceDereference(bus.Context);
    return status;
}

static NTSTATUS an_adapter(void)
{
    ULONG registers;
    PDMA_ADAPTER adapter = get(CHILD, DEVICE_DESCRIPTION_VERSION, &registers);

    if (adapter == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    put(adapter);
    return STATUS_SUCCESS;
}

STACK_TEST(memory_runs_out, .drivers = STACK_PROBE, .quiet = true, RUNS_OUT)
{
    runs_out_off();
    ck_assert_uint_ge(runs_out_each("QUERY_INTERFACE", an_interface), 2);
    ck_assert_uint_ge(runs_out_some("IoGetDmaAdapter", an_adapter), 1);
}

static bool refuse(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)location;
    return irps_answer(irp, STATUS_NOT_SUPPORTED, 0, status);
}

/* A parent without such an interface: its child has none. */
STACK_TEST(parent_without_one, .drivers = STACK_PROBE, .quiet = true)
{
    irps_intercept(irps_bottom(PLATFORM), false, IRP_MJ_PNP, IRP_MN_QUERY_INTERFACE, refuse);
    ck_assert_int_eq(an_interface(), STATUS_NOT_SUPPORTED);
    irps_let_pass();
    ck_assert_int_eq(an_interface(), STATUS_SUCCESS);
}

int main(void)
{
    Suite *suite = suite_create("dma");
    TCase *tcase = tcase_create("dma");

    tcase_add_test(tcase, adapters);
    tcase_add_test(tcase, no_system_dma);
    tcase_add_test(tcase, interface);
    tcase_add_test(tcase, outlives_its_child);
    tcase_add_test(tcase, outlives_its_child_by_surprise);
    tcase_add_test(tcase, memory_runs_out);
    tcase_add_test(tcase, parent_without_one);
    tcase_add_test(tcase, outlives_its_class);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
