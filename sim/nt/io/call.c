/*
 * IRPs on their way down and up: IoCallDriver and IoCompleteRequest, with the rules that a dispatch routine must keep
 * ("Rules for WDM Drivers": MarkIrpPending, PendedCompletedRequest, DoubleCompletion, ForwardedAtBadIrql, ...).
 */
#include "nt/io/io_internal.h"
#include "nt/verifier/irp_rules.h"

static const char *driver_of(PDRIVER_OBJECT driver)
{
    return io_driver_name(driver);
}

/* Both ends of a dispatch call are known: hold them against each other. */
static void judge_pass(const struct irp_pass *pass, const void *irp)
{
    if (pass->status == STATUS_PENDING && !pass->marked)
        nt_violation_sub(
            "irp-pending-not-marked", 0, (uintptr_t)irp, (uintptr_t)pass->device,
            "driver %s returned STATUS_PENDING for IRP %p (major 0x%02x minor 0x%02x) without IoMarkIrpPending",
            driver_of(pass->driver), irp, pass->major, pass->minor);
    if (pass->status != STATUS_PENDING && pass->marked)
        nt_violation_sub("irp-marked-not-pending", 0, (uintptr_t)irp, (uintptr_t)pass->device,
                         "driver %s marked IRP %p (major 0x%02x minor 0x%02x) pending but returned 0x%08x",
                         driver_of(pass->driver), irp, pass->major, pass->minor, (unsigned)pass->status);
    if (pass->status != STATUS_PENDING && pass->status != pass->final_status)
        nt_violation_sub(
            "irp-status", 0, (uintptr_t)irp, (uintptr_t)pass->device,
            "driver %s returned 0x%08x for IRP %p (major 0x%02x minor 0x%02x), which completed with 0x%08x",
            driver_of(pass->driver), (unsigned)pass->status, irp, pass->major, pass->minor,
            (unsigned)pass->final_status);
}

/* Completion leaves `location`: note how for every dispatch call that was made with it. */
static void pass_location(struct irp_record *record, PIRP irp, CHAR location, bool marked)
{
    struct irp_pass **link = &record->passes;

    while (*link != NULL) {
        struct irp_pass *pass = *link;

        if (pass->location != location) {
            link = &pass->next;
            continue;
        }
        *link = pass->next;
        pass->next = NULL;
        pass->passed = true;
        pass->marked = marked;
        pass->final_status = irp->IoStatus.Status;
        irp_rule_unchanged(irp, record, pass);
        if (pass->returned) {
            judge_pass(pass, irp);
            image_free(pass);
        }
    }
}

static void check_forward(PDEVICE_OBJECT device, PIRP irp, const struct irp_record *record)
{
    if (irp->Type != IO_TYPE_IRP)
        nt_violation_sub("irp-type", (uintptr_t)irp, 0, 0, "IoCallDriver with %p, which is no IRP or has been freed",
                         irp);
    if (device == NULL || device->Type != IO_TYPE_DEVICE)
        nt_violation_sub("irp-device", (uintptr_t)device, 0, 0,
                         "IoCallDriver of IRP %p to %p, which is no device object", irp, device);
    if (record != NULL && record->completed)
        nt_violation("irp-forward-completed", "IoCallDriver of IRP %p, which has been completed", irp);
    if (irp->CancelRoutine != NULL)
        nt_violation_sub("irp-forward-cancelable", 0, (uintptr_t)irp, (uintptr_t)device,
                         "IoCallDriver of IRP %p while a cancel routine is set on it", irp);
}

NTSTATUS irp_call(PDEVICE_OBJECT device, PIRP irp)
{
    struct irp_record *record = irp_record_find(irp);
    PDRIVER_OBJECT driver;
    PIO_STACK_LOCATION stack;
    struct irp_pass *pass = NULL;
    KIRQL irql;
    NTSTATUS status;
    UCHAR major;
    UCHAR minor;

    check_forward(device, irp, record);
    irp->CurrentLocation--;
    if (irp->CurrentLocation <= 0)
        nt_violation_code(NO_MORE_IRP_STACK_LOCATIONS, (uint64_t[4]){(uintptr_t)irp}, "irp-stack",
                          "IoCallDriver of IRP %p to a device of driver %s: none of its %d stack locations is left",
                          irp, driver_of(device->DriverObject), irp->StackCount);
    stack = --irp->Tail.Overlay.CurrentStackLocation;
    stack->DeviceObject = device;
    driver = device->DriverObject;
    major = stack->MajorFunction;
    minor = stack->MinorFunction;
    if (major > IRP_MJ_MAXIMUM_FUNCTION)
        nt_violation("irp-major", "IoCallDriver of IRP %p with major function 0x%02x", irp, major);

    if (record != NULL) {
        irp_rule_mdl(irp, record, major, record->passes != NULL ? record->passes->driver : NULL);
        record->sent = true;
        pass = image_alloc(sizeof(*pass));
        pass->driver = driver;
        pass->device = device;
        pass->location = irp->CurrentLocation;
        pass->major = major;
        pass->minor = minor;
        pass->next = record->passes;
        record->passes = pass;
    }
    irql = ke_irql();
    io_driver_enter(driver);
    status = DRIVER_CALLOUT("dispatch routine", driver->MajorFunction[major], device, irp);
    io_driver_leave(driver);
    if (ke_irql() != irql)
        nt_violation_sub(
            "irp-irql-changed", (uintptr_t)device, irql, ke_irql(),
            "the dispatch routine of driver %s (major 0x%02x minor 0x%02x) was called at IRQL %u and returned at "
            "IRQL %u",
            driver_of(driver), major, minor, irql, ke_irql());
    if (pass != NULL) {
        pass->returned = true;
        pass->status = status;
        if (pass->passed)
            judge_pass(pass, irp);
        if (pass->passed || pass->abandoned)
            image_free(pass);
    }
    return status;
}

NTSTATUS NTAPI IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    NT_CALL(DISPATCH_LEVEL);
    return irp_call(DeviceObject, Irp);
}

static void check_completion(PIRP irp, const struct irp_record *record)
{
    bool over = irp->CurrentLocation > irp->StackCount + 1 || (record != NULL && record->completed);

    /* Its creator has it back, so that whoever completes it now has done so before. */
    if (record != NULL && !record->threaded && irp->CurrentLocation == irp->StackCount + 1)
        over = true;
    if (irp->Type != IO_TYPE_IRP || over)
        nt_violation_code(MULTIPLE_IRP_COMPLETE_REQUESTS, (uint64_t[4]){(uintptr_t)irp}, "irp-double-completion",
                          "IoCompleteRequest of IRP %p, which has been completed already", irp);
    if (irp->IoStatus.Status == STATUS_PENDING || irp->IoStatus.Status == (NTSTATUS)0xFFFFFFFF)
        nt_violation_sub("irp-complete-pending", (uint32_t)irp->IoStatus.Status, (uintptr_t)irp, 0,
                         "IoCompleteRequest of IRP %p with status 0x%08x", irp, (unsigned)irp->IoStatus.Status);
    if (irp->CancelRoutine != NULL)
        nt_violation_sub("irp-complete-cancelable", (uintptr_t)irp->CancelRoutine, (uintptr_t)irp, 0,
                         "IoCompleteRequest of IRP %p while a cancel routine is set on it", irp);
}

static bool wants_completion(PIRP irp, const IO_STACK_LOCATION *stack)
{
    if (NT_SUCCESS(irp->IoStatus.Status) && (stack->Control & SL_INVOKE_ON_SUCCESS))
        return true;
    if (!NT_SUCCESS(irp->IoStatus.Status) && (stack->Control & SL_INVOKE_ON_ERROR))
        return true;
    return irp->Cancel && (stack->Control & SL_INVOKE_ON_CANCEL);
}

/* What the location told its driver is nobody's business any more. */
static void clear_location(PIO_STACK_LOCATION stack)
{
    stack->MinorFunction = 0;
    stack->Flags = 0;
    stack->Control = 0;
    RtlZeroMemory(&stack->Parameters, sizeof(stack->Parameters));
    stack->FileObject = NULL;
}

static NTSTATUS call_completion(PIO_COMPLETION_ROUTINE routine, PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    KIRQL irql = ke_irql();
    NTSTATUS status = DRIVER_CALLOUT("completion routine", routine, device, irp, context);

    if (ke_irql() != irql) {
        char where[LOADER_DESCRIPTION_MAX];

        nt_violation_sub("completion-irql-changed", (uintptr_t)routine, irql, ke_irql(),
                         "the completion routine %s was called at IRQL %u and returned at IRQL %u",
                         loader_name((const void *)(uintptr_t)routine, where, sizeof(where)), irql, ke_irql());
    }
    return status;
}

VOID NTAPI IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost)
{
    struct irp_record *record;

    NT_CALL(DISPATCH_LEVEL);
    record = irp_record_find(Irp);
    check_completion(Irp, record);
    irp_rule_location(Irp, record);
    if (record != NULL && record->passes != NULL)
        irp_rule_mdl(Irp, record, record->passes->major, record->passes->driver);
    if (record != NULL)
        deadline_cancel(&record->cancelled);

    while (Irp->CurrentLocation <= Irp->StackCount) {
        PIO_STACK_LOCATION stack = Irp->Tail.Overlay.CurrentStackLocation;
        PIO_COMPLETION_ROUTINE routine = stack->CompletionRoutine;
        PVOID context = stack->Context;
        bool marked = (stack->Control & SL_PENDING_RETURNED) != 0;
        bool call = wants_completion(Irp, stack);

        if (record != NULL)
            pass_location(record, Irp, Irp->CurrentLocation, marked);
        Irp->PendingReturned = marked;
        clear_location(stack);
        Irp->CurrentLocation++;
        Irp->Tail.Overlay.CurrentStackLocation++;

        if (call) {
            bool last = Irp->CurrentLocation == Irp->StackCount + 1;
            PDEVICE_OBJECT device = last ? NULL : Irp->Tail.Overlay.CurrentStackLocation->DeviceObject;

            if (call_completion(routine, device, Irp, context) == STATUS_MORE_PROCESSING_REQUIRED)
                return;
        } else if (marked && Irp->CurrentLocation <= Irp->StackCount) {
            Irp->Tail.Overlay.CurrentStackLocation->Control |= SL_PENDING_RETURNED;
        }
    }

    if (record == NULL)
        return;             /* the driver's own memory: nothing is left to do with it */
    Irp->CurrentLocation++; /* past every location: what a second completion is known by */
    record->completed = true;
    if (!record->threaded)
        nt_violation(
            "irp-unclaimed",
            "IRP %p of IoAllocateIrp or IoBuildAsynchronousFsdRequest was completed to its end: its creator set no "
            "completion routine that takes it back with STATUS_MORE_PROCESSING_REQUIRED",
            Irp);
    irp_finish(Irp, record, PriorityBoost);
}

/* ---- requests of the kernel's own that wait for the answer ---- */

static NTSTATUS NTAPI synchronous_done(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    KeSetEvent(context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

NTSTATUS io_send_synchronous(PDEVICE_OBJECT device, const IO_STACK_LOCATION *parameters, NTSTATUS initial,
                             ULONG_PTR *information)
{
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(device);
    PIO_STACK_LOCATION stack;
    KEVENT event;
    NTSTATUS status;
    PIRP irp = irp_allocate(top->StackSize, __builtin_return_address(0));

    if (irp == NULL) {
        ObDereferenceObject(top);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp->IoStatus.Status = initial;
    irp->IoStatus.Information = information != NULL ? *information : 0;
    irp->Tail.Overlay.Thread = (PETHREAD)KeGetCurrentThread();
    stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction = parameters->MajorFunction;
    stack->MinorFunction = parameters->MinorFunction;
    stack->Flags = parameters->Flags;
    stack->Parameters = parameters->Parameters;
    stack->FileObject = parameters->FileObject;
    IoSetCompletionRoutine(irp, synchronous_done, &event, TRUE, TRUE, TRUE);

    status = irp_call(top, irp);
    if (status == STATUS_PENDING)
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    else if (KeReadStateEvent(&event) == 0)
        nt_violation_sub("irp-not-completed", 0, (uintptr_t)irp, (uintptr_t)top,
                         "driver %s returned 0x%08x for IRP %p (major 0x%02x minor 0x%02x) and never completed it",
                         driver_of(top->DriverObject), (unsigned)status, irp, parameters->MajorFunction,
                         parameters->MinorFunction);
    status = irp->IoStatus.Status;
    if (information != NULL)
        *information = irp->IoStatus.Information;
    irp_free(irp);
    ObDereferenceObject(top);
    return status;
}
