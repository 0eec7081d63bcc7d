/*
 * Power requests of drivers (PoRequestPowerIrp), their passing on, power states of devices, and power setting callbacks
 * (wdm.h).
 */
#include <initguid.h>

#include "nt/po/po_internal.h"
#include "nt/verifier/power_rules.h"

/* Settings that the machine has: it runs on mains, its display is on. */
DEFINE_GUID(setting_power_source, 0x5d3e9a59, 0xe9d5, 0x4b00, 0xa6, 0xbd, 0xff, 0x34, 0xff, 0x51, 0x65, 0x48);
DEFINE_GUID(setting_display, 0x6fe69556, 0x704a, 0x47a0, 0x8f, 0x24, 0xc2, 0x8d, 0x93, 0x6f, 0xda, 0x47);

static const struct {
    const GUID *setting;
    ULONG value;
} settings[] = {
    {&setting_power_source, 0}, /* PoAc */
    {&setting_display, 1},      /* on */
};

/* A request of PoRequestPowerIrp under way. */
struct power_request {
    LIST_ENTRY entry;
    WORK_QUEUE_ITEM item; /* for a caller at raised IRQL */
    PIRP irp;
    PDEVICE_OBJECT device; /* as given; referenced */
    PDEVICE_OBJECT top;    /* of its stack; referenced */
    UCHAR minor;
    POWER_STATE state;
    PREQUEST_POWER_COMPLETE function;
    PVOID context;
    const void *caller;
    bool completed;
    struct deadline blocked; /* not of IRP_MN_WAIT_WAKE, which waits as long as it must */
};

struct power_setting {
    LIST_ENTRY entry;
    GUID setting;
    PPOWER_SETTING_CALLBACK callback;
    PVOID context;
    const void *caller;
};

void po_init(void)
{
    struct po_state *po = image_alloc(sizeof(*po));

    InitializeListHead(&po->requests);
    InitializeListHead(&po->settings);
    po->system = PowerSystemWorking;
    machine->po = po;
    po_idle_init();
}

/* ---- requests ---- */

PIRP po_device_request(unsigned index, PDEVICE_OBJECT *device)
{
    for (PLIST_ENTRY entry = machine->po->requests.Flink; entry != &machine->po->requests; entry = entry->Flink) {
        struct power_request *request = CONTAINING_RECORD(entry, struct power_request, entry);

        if (request->minor != IRP_MN_SET_POWER || request->completed || index-- != 0)
            continue;
        *device = request->device;
        return request->irp;
    }
    return NULL;
}

static NTSTATUS NTAPI request_done(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct power_request *request = context;
    IO_STATUS_BLOCK result = irp->IoStatus;

    (void)device;
    request->completed = true;
    deadline_cancel(&request->blocked);
    power_rule_done(request->device, irp, request->minor, request->state, result.Status);
    if (request->function != NULL)
        DRIVER_CALLOUT("power completion routine", request->function, request->device, request->minor, request->state,
                       request->context, &result);
    RemoveEntryList(&request->entry);
    irp_free(irp);
    ob_dereference(request->top);
    ob_dereference(request->device);
    image_free(request);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

#define BLOCKED_NS UINT64_C(600000000000) /* Windows' limit */
#define BLOCKED 3u                        /* Bug Check 0x9F: a device object has been blocking an IRP for too long */

static void request_blocked(void *argument)
{
    const struct power_request *request = argument;
    const uint64_t parameter[4] = {BLOCKED, (uintptr_t)request->device, (uintptr_t)request->top,
                                   (uintptr_t)request->irp};

    nt_violation_code(DRIVER_POWER_STATE_FAILURE, parameter, "power-irp-blocked",
                      "the drivers of a device have had power IRP %p for ten minutes; its stack's top is of driver %s",
                      (void *)request->irp, io_driver_name(request->top->DriverObject));
}

static VOID NTAPI send_request(PVOID parameter)
{
    struct power_request *request = parameter;

    (void)irp_call(request->top, request->irp); /* request_done() hears of the end, whatever this returns */
}

NTSTATUS NTAPI PoRequestPowerIrp(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState,
                                 PREQUEST_POWER_COMPLETE CompletionFunction, PVOID Context, PIRP *Irp)
{
    struct power_request *request;
    PIO_STACK_LOCATION stack;

    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    if (MinorFunction != IRP_MN_SET_POWER && MinorFunction != IRP_MN_QUERY_POWER && MinorFunction != IRP_MN_WAIT_WAKE)
        return STATUS_INVALID_PARAMETER_2;
    request = image_alloc(sizeof(*request));
    request->top = IoGetAttachedDeviceReference(DeviceObject);
    request->device = DeviceObject;
    ob_reference(DeviceObject);
    request->minor = MinorFunction;
    request->state = PowerState;
    request->function = CompletionFunction;
    request->context = Context;
    request->caller = __builtin_return_address(0);
    request->irp = irp_allocate(request->top->StackSize, request->caller);
    if (request->irp == NULL) {
        ob_dereference(request->top);
        ob_dereference(DeviceObject);
        image_free(request);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    request->irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    stack = IoGetNextIrpStackLocation(request->irp);
    stack->MajorFunction = IRP_MJ_POWER;
    stack->MinorFunction = MinorFunction;
    if (MinorFunction == IRP_MN_WAIT_WAKE) {
        stack->Parameters.WaitWake.PowerState = PowerState.SystemState;
    } else {
        stack->Parameters.Power.SystemContext = 0;
        stack->Parameters.Power.Type = DevicePowerState;
        stack->Parameters.Power.State = PowerState;
        stack->Parameters.Power.ShutdownType = machine->po->action; /* of the change that this may belong to */
    }
    IoSetCompletionRoutine(request->irp, request_done, request, TRUE, TRUE, TRUE);
    InsertTailList(&machine->po->requests, &request->entry);
    power_rule_requested(DeviceObject, MinorFunction);
    if (MinorFunction != IRP_MN_WAIT_WAKE)
        deadline_set(&request->blocked, clock_now() + BLOCKED_NS, request_blocked, request);
    if (Irp != NULL)
        *Irp = request->irp;
    /* Drivers of pageable devices get power requests at PASSIVE_LEVEL. */
    if (ke_irql() == PASSIVE_LEVEL) {
        send_request(request);
    } else {
        ExInitializeWorkItem(&request->item, send_request, request);
        ExQueueWorkItem(&request->item, CriticalWorkQueue);
    }
    return STATUS_PENDING;
}

NTSTATUS NTAPI PoCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    NT_CALL(DISPATCH_LEVEL);
    return irp_call(DeviceObject, Irp);
}

VOID NTAPI PoStartNextPowerIrp(PIRP Irp)
{
    NT_CALL(DISPATCH_LEVEL);
    /* Since Windows Vista nothing waits for this call; drivers for older systems still make it. */
    if (Irp->Type != IO_TYPE_IRP)
        nt_violation("power-irp", "PoStartNextPowerIrp with %p, which is no IRP", Irp);
}

POWER_STATE NTAPI PoSetPowerState(PDEVICE_OBJECT DeviceObject, POWER_STATE_TYPE Type, POWER_STATE State)
{
    PDEVOBJ_EXTENSION extension;
    POWER_STATE before;

    NT_CALL(DISPATCH_LEVEL);
    extension = DeviceObject->DeviceObjectExtension;
    if (Type == SystemPowerState) {
        before.SystemState = (SYSTEM_POWER_STATE)(extension->PowerFlags & POWER_FLAGS_SYSTEM);
        extension->PowerFlags = (extension->PowerFlags & ~POWER_FLAGS_SYSTEM) | (ULONG)State.SystemState;
    } else {
        before.DeviceState =
            (DEVICE_POWER_STATE)((extension->PowerFlags & POWER_FLAGS_DEVICE) >> POWER_FLAGS_DEVICE_SHIFT);
        extension->PowerFlags = (extension->PowerFlags & ~POWER_FLAGS_DEVICE) | (ULONG)State.DeviceState
                                                                                    << POWER_FLAGS_DEVICE_SHIFT;
    }
    return before;
}

/* ---- wake-up ---- */

static struct irp_record *wake_record(PIRP irp, const char *routine)
{
    struct irp_record *record = irp_record_find(irp);

    if (record == NULL)
        nt_violation("power-irp", "%s with %p, which is no IRP of the power manager", routine, irp);
    return record;
}

VOID NTAPI PoSetSystemWake(PIRP Irp)
{
    NT_CALL(DISPATCH_LEVEL);
    wake_record(Irp, __func__)->system_wake = true;
}

BOOLEAN NTAPI PoGetSystemWake(PIRP Irp)
{
    NT_CALL(DISPATCH_LEVEL);
    return wake_record(Irp, __func__)->system_wake;
}

/* ---- settings ---- */

NTSTATUS NTAPI PoRegisterPowerSettingCallback(PDEVICE_OBJECT DeviceObject, LPCGUID SettingGuid,
                                              PPOWER_SETTING_CALLBACK Callback, PVOID Context, PVOID *Handle)
{
    struct power_setting *setting;

    NT_CALL(PASSIVE_LEVEL);
    (void)DeviceObject; /* only says who asks */
    if (Callback == NULL || Handle == NULL)
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    setting = image_alloc(sizeof(*setting));
    setting->setting = *SettingGuid;
    setting->callback = Callback;
    setting->context = Context;
    setting->caller = __builtin_return_address(0);
    InsertTailList(&machine->po->settings, &setting->entry);
    *Handle = setting;
    /* The present value comes at once; the machine's settings never change. */
    for (unsigned index = 0; index < RTL_NUMBER_OF(settings); index++) {
        ULONG value = settings[index].value;

        if (RtlEqualMemory(SettingGuid, settings[index].setting, sizeof(GUID)))
            (void)DRIVER_CALLOUT("power setting callback", Callback, SettingGuid, &value, sizeof(value), Context);
    }
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI PoUnregisterPowerSettingCallback(PVOID Handle)
{
    NT_CALL(PASSIVE_LEVEL);
    for (PLIST_ENTRY entry = machine->po->settings.Flink; entry != &machine->po->settings; entry = entry->Flink) {
        if (entry != &((struct power_setting *)Handle)->entry)
            continue;
        RemoveEntryList(entry);
        image_free(Handle);
        return STATUS_SUCCESS;
    }
    return STATUS_INVALID_PARAMETER;
}

void po_census(struct census *census)
{
    for (PLIST_ENTRY entry = machine->po->requests.Flink; entry != &machine->po->requests; entry = entry->Flink)
        census_item(census, "power request", 1, CONTAINING_RECORD(entry, struct power_request, entry)->caller,
                    "in flight");
    for (PLIST_ENTRY entry = machine->po->settings.Flink; entry != &machine->po->settings; entry = entry->Flink)
        census_item(census, "power setting callback", 1, CONTAINING_RECORD(entry, struct power_setting, entry)->caller,
                    "registered");
    po_idle_census(census);
}
