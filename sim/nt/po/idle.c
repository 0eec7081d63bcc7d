/*
 * Idle detection: PoRegisterDeviceForIdleDetection, PoSetDeviceBusyEx, PoStartDeviceBusy, PoEndDeviceBusy (ntifs.h,
 * "Using Power Manager Routines for Idle Detection"). The machine runs on mains, so that its policy is performance. The
 * counter that the driver has is of seconds without work; the DPC of a timer adds to it, and asks for the device state
 * when it gets to the time-out.
 */
#include "nt/po/po_internal.h"

#define SECOND_MS 1000
#define STANDARD_DISK_TIMEOUT 1200u /* of the performance policy: twenty minutes */

struct idle_device {
    LIST_ENTRY entry;
    PDEVICE_OBJECT device;
    ULONG timeout; /* seconds; 0: never */
    DEVICE_POWER_STATE state;
    volatile ULONG counter; /* what the driver's pointer points to */
    LONG busy;              /* PoStartDeviceBusy without its end */
    const void *caller;
};

static void add_second(struct idle_device *idle)
{
    POWER_STATE state = {.DeviceState = idle->state};

    if (idle->busy != 0) {
        idle->counter = 0;
        return;
    }
    if (idle->timeout != 0 && ++idle->counter == idle->timeout)
        (void)PoRequestPowerIrp(idle->device, IRP_MN_SET_POWER, state, NULL, NULL, NULL);
}

static VOID NTAPI tick(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    PLIST_ENTRY entry = machine->po->idle.Flink;

    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    while (entry != &machine->po->idle) {
        struct idle_device *idle = CONTAINING_RECORD(entry, struct idle_device, entry);

        entry = entry->Flink;
        add_second(idle);
    }
}

void po_idle_init(void)
{
    InitializeListHead(&machine->po->idle);
    KeInitializeTimer(&machine->po->idle_timer);
    KeInitializeDpc(&machine->po->idle_dpc, tick, NULL);
}

static struct idle_device *find(PDEVICE_OBJECT device)
{
    for (PLIST_ENTRY entry = machine->po->idle.Flink; entry != &machine->po->idle; entry = entry->Flink) {
        struct idle_device *idle = CONTAINING_RECORD(entry, struct idle_device, entry);

        if (idle->device == device)
            return idle;
    }
    return NULL;
}

static void forget(struct idle_device *idle)
{
    RemoveEntryList(&idle->entry);
    image_free(idle);
    if (IsListEmpty(&machine->po->idle))
        (void)KeCancelTimer(&machine->po->idle_timer);
}

void po_device_deleted(PDEVICE_OBJECT device)
{
    struct idle_device *idle = find(device);

    if (idle != NULL)
        forget(idle);
}

static bool standard_class(PDEVICE_OBJECT device)
{
    return device->DeviceType == FILE_DEVICE_DISK || device->DeviceType == FILE_DEVICE_MASS_STORAGE;
}

PULONG NTAPI PoRegisterDeviceForIdleDetection(PDEVICE_OBJECT DeviceObject, ULONG ConservationIdleTime,
                                              ULONG PerformanceIdleTime, DEVICE_POWER_STATE State)
{
    bool standard = ConservationIdleTime == MAXULONG || PerformanceIdleTime == MAXULONG;
    struct idle_device *idle;
    LARGE_INTEGER due = {.QuadPart = -SECOND_MS * 10000LL};

    NT_CALL(APC_LEVEL);
    idle = find(DeviceObject);
    if (ConservationIdleTime == 0 && PerformanceIdleTime == 0) {
        if (idle != NULL)
            forget(idle);
        return NULL;
    }
    if (standard && (ConservationIdleTime != PerformanceIdleTime || !standard_class(DeviceObject)))
        return NULL;
    if (idle == NULL) {
        if (FAULT(POOL))
            return NULL;
        if (IsListEmpty(&machine->po->idle))
            (void)KeSetTimerEx(&machine->po->idle_timer, due, SECOND_MS, &machine->po->idle_dpc);
        idle = image_alloc(sizeof(*idle));
        idle->device = DeviceObject;
        InsertTailList(&machine->po->idle, &idle->entry);
    }
    idle->timeout = standard ? STANDARD_DISK_TIMEOUT : PerformanceIdleTime;
    idle->state = State;
    idle->counter = 0;
    idle->caller = __builtin_return_address(0);
    return (PULONG)&idle->counter;
}

static struct idle_device *of_pointer(PULONG pointer, const char *routine)
{
    for (PLIST_ENTRY entry = machine->po->idle.Flink; entry != &machine->po->idle; entry = entry->Flink) {
        struct idle_device *idle = CONTAINING_RECORD(entry, struct idle_device, entry);

        if (&idle->counter == pointer)
            return idle;
    }
    nt_violation("idle-pointer", "%s: %p is no idle counter of PoRegisterDeviceForIdleDetection", routine,
                 (void *)pointer);
}

VOID NTAPI PoSetDeviceBusyEx(PULONG IdlePointer)
{
    NT_CALL_ANY();
    of_pointer(IdlePointer, __func__)->counter = 0;
}

VOID NTAPI PoStartDeviceBusy(PULONG IdlePointer)
{
    struct idle_device *idle;

    NT_CALL_ANY();
    idle = of_pointer(IdlePointer, __func__);
    idle->busy++;
    idle->counter = 0;
}

VOID NTAPI PoEndDeviceBusy(PULONG IdlePointer)
{
    struct idle_device *idle;

    NT_CALL_ANY();
    idle = of_pointer(IdlePointer, __func__);
    if (idle->busy == 0)
        nt_violation("idle-pointer", "PoEndDeviceBusy without PoStartDeviceBusy");
    idle->busy--;
    idle->counter = 0;
}

void po_idle_census(struct census *census)
{
    for (PLIST_ENTRY entry = machine->po->idle.Flink; entry != &machine->po->idle; entry = entry->Flink)
        census_item(census, "idle detection", 1, CONTAINING_RECORD(entry, struct idle_device, entry)->caller,
                    "PoRegisterDeviceForIdleDetection");
}
