/* A driver that takes one thing of each kind, by an export each, and gives none back: what is seen of it at its unload.
 */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

DECLSPEC_EXPORT VOID NTAPI LeaveMdl(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveMapping(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveMappingOrBugCheck(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveIoSpace(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveLockedPages(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveCommonBuffer(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveAdapter(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveHandle(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveKey(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveReference(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveWorkItem(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveContiguous(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveSection(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveTimer(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveShutdown(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveInterrupt(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveProcessNotify(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveNotification(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveRegisters(PVOID Block);
DECLSPEC_EXPORT VOID NTAPI LeaveNothing(PVOID Block);

static KTIMER Timer;
static KDPC Dpc;

static PMDL Lock(PVOID Block)
{
    PMDL Mdl = IoAllocateMdl(Block, PAGE_SIZE, FALSE, FALSE, NULL);

    if (Mdl != NULL)
        MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    return Mdl;
}

VOID NTAPI LeaveMdl(PVOID Block)
{
    (VOID) IoAllocateMdl(Block, PAGE_SIZE, FALSE, FALSE, NULL);
}

VOID NTAPI LeaveLockedPages(PVOID Block)
{
    (VOID) Lock(Block);
}

VOID NTAPI LeaveMapping(PVOID Block)
{
    PMDL Mdl = Lock(Block);

    if (Mdl != NULL)
        (VOID) MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
}

VOID NTAPI LeaveMappingOrBugCheck(PVOID Block)
{
    PMDL Mdl = Lock(Block);

    if (Mdl != NULL)
        (VOID) MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, TRUE, NormalPagePriority);
}

VOID NTAPI LeaveIoSpace(PVOID Block)
{
    (VOID) MmMapIoSpace(MmGetPhysicalAddress(Block), PAGE_SIZE, MmCached);
}

static PDMA_ADAPTER Adapter(VOID)
{
    DEVICE_DESCRIPTION Description = {.Version = DEVICE_DESCRIPTION_VERSION,
                                      .Master = TRUE,
                                      .ScatterGather = TRUE,
                                      .Dma64BitAddresses = TRUE,
                                      .InterfaceType = PCIBus,
                                      .MaximumLength = PAGE_SIZE};
    ULONG Registers;

    return IoGetDmaAdapter(NULL, &Description, &Registers);
}

VOID NTAPI LeaveAdapter(PVOID Block)
{
    UNREFERENCED_PARAMETER(Block);
    (VOID) Adapter();
}

VOID NTAPI LeaveCommonBuffer(PVOID Block)
{
    PDMA_ADAPTER Dma = Adapter();
    PHYSICAL_ADDRESS Logical;

    UNREFERENCED_PARAMETER(Block);
    if (Dma != NULL)
        (VOID) Dma->DmaOperations->AllocateCommonBuffer(Dma, PAGE_SIZE, &Logical, TRUE);
}

VOID NTAPI LeaveHandle(PVOID Block)
{
    HANDLE Handle;

    UNREFERENCED_PARAMETER(Block);
    (VOID) ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, NULL, NotificationEvent, FALSE);
}

VOID NTAPI LeaveKey(PVOID Block)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\Registry\\Machine\\System");
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Key;

    UNREFERENCED_PARAMETER(Block);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    (VOID) ZwOpenKey(&Key, KEY_READ, &Attributes);
}

VOID NTAPI LeaveReference(PVOID Block)
{
    UNREFERENCED_PARAMETER(Block);
    ObReferenceObject(KeGetCurrentThread());
    ObReferenceObject(KeGetCurrentThread());
    ObDereferenceObject(KeGetCurrentThread());
}

VOID NTAPI LeaveWorkItem(PVOID Block)
{
    (VOID) IoAllocateWorkItem(Block);
}

VOID NTAPI LeaveContiguous(PVOID Block)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = MAXLONGLONG};

    UNREFERENCED_PARAMETER(Block);
    (VOID) MmAllocateContiguousMemory(PAGE_SIZE, Highest);
}

VOID NTAPI LeaveSection(PVOID Block)
{
    UNREFERENCED_PARAMETER(Block);
    (VOID) MmLockPagableCodeSection((PVOID)(ULONG_PTR)LeaveSection);
}

static VOID NTAPI Expired(PKDPC TimerDpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(TimerDpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

VOID NTAPI LeaveTimer(PVOID Block)
{
    LARGE_INTEGER Due = {.QuadPart = -10000000};

    UNREFERENCED_PARAMETER(Block);
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, Expired, NULL);
    (VOID) KeSetTimer(&Timer, Due, &Dpc);
}

/* Block: a device object. */
VOID NTAPI LeaveShutdown(PVOID Block)
{
    (VOID) IoRegisterShutdownNotification(Block);
}

static BOOLEAN NTAPI Service(PKINTERRUPT Interrupt, PVOID Context)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Context);
    return TRUE;
}

VOID NTAPI LeaveInterrupt(PVOID Block)
{
    PKINTERRUPT Interrupt;

    UNREFERENCED_PARAMETER(Block);
    (VOID) IoConnectInterrupt(&Interrupt, Service, NULL, NULL, 0x53, 5, 5, Latched, FALSE, 1, FALSE);
}

static VOID NTAPI ProcessNotify(HANDLE Parent, HANDLE Process, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(Parent);
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(Create);
}

VOID NTAPI LeaveProcessNotify(PVOID Block)
{
    UNREFERENCED_PARAMETER(Block);
    (VOID) PsSetCreateProcessNotifyRoutine(ProcessNotify, FALSE);
}

static NTSTATUS NTAPI Changed(PVOID Notification, PVOID Context)
{
    UNREFERENCED_PARAMETER(Notification);
    UNREFERENCED_PARAMETER(Context);
    return STATUS_SUCCESS;
}

/* Block: a driver object. */
VOID NTAPI LeaveNotification(PVOID Block)
{
    static const GUID AnyClass = {0x5056, 0, 0, {0}};
    PVOID Entry;

    (VOID) IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange, 0, (PVOID)(ULONG_PTR)&AnyClass, Block,
                                          Changed, NULL, &Entry);
}

static IO_ALLOCATION_ACTION NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID MapRegisterBase, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(MapRegisterBase);
    UNREFERENCED_PARAMETER(Context);
    return DeallocateObjectKeepRegisters;
}

/* Block: a device object. */
VOID NTAPI LeaveRegisters(PVOID Block)
{
    PDMA_ADAPTER Dma = Adapter();
    KIRQL Irql;

    if (Dma == NULL)
        return;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) Dma->DmaOperations->AllocateAdapterChannel(Dma, Block, 3, Control, NULL);
    KeLowerIrql(Irql);
}

VOID NTAPI LeaveNothing(PVOID Block)
{
    PMDL Mdl = Lock(Block);

    if (Mdl == NULL)
        return;
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    ObReferenceObject(KeGetCurrentThread());
    ObDereferenceObject(KeGetCurrentThread());
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
