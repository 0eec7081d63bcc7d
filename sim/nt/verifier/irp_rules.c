#include "nt/verifier/irp_rules.h"

#include "nt/mm/mm.h"

/* Windows' drivers know none of these; Driver Verifier's requests have minor functions out of everybody's range too. */
#define UNKNOWN_MINOR 0xFEu
#define UNKNOWN_INFORMATION ((ULONG_PTR)0x50560000u)

/* ---- stack locations ---- */

/* The dispatch call that has the IRP now: of those under way the lowest in the stack, of equal ones the latest. */
static const struct irp_pass *holder(const struct irp_record *record)
{
    const struct irp_pass *lowest = NULL;

    for (const struct irp_pass *pass = record->passes; pass != NULL; pass = pass->next)
        if (lowest == NULL || pass->location < lowest->location)
            lowest = pass;
    return lowest;
}

void irp_rule_location(PIRP irp, const struct irp_record *record)
{
    const struct irp_pass *pass = record != NULL ? holder(record) : NULL;

    if (pass != NULL && irp->CurrentLocation != pass->location)
        nt_violation("irp-location",
                     "IRP %p (major 0x%02x minor 0x%02x) is completed with stack location %d of %d; driver %s got it "
                     "with location %d: it has %s",
                     (void *)irp, pass->major, pass->minor, irp->CurrentLocation, irp->StackCount,
                     io_driver_name(pass->driver), pass->location,
                     irp->CurrentLocation > pass->location
                         ? "skipped its location (IoSkipCurrentIrpStackLocation) and not sent the IRP on"
                         : "set the next location (IoSetNextIrpStackLocation) and not sent the IRP on");
}

/* ---- invariant MDLs ---- */

void irp_rule_mdl(PIRP irp, struct irp_record *record, UCHAR major, PDRIVER_OBJECT driver)
{
    uint64_t signature;

    if (record == NULL || irp->MdlAddress == NULL || (major != IRP_MJ_WRITE && record->mdl == NULL))
        return;
    signature = mm_mdl_signature(irp->MdlAddress);
    if (record->mdl == irp->MdlAddress && record->mdl_signature != signature)
        nt_violation_sub("mdl-invariant", (uintptr_t)(record->passes != NULL ? record->passes->device : NULL),
                         (uintptr_t)irp, (uintptr_t)irp->MdlAddress->MappedSystemVa,
                         "the buffer of write request %p (MDL %p) changed while driver %s had it: from IoCallDriver to "
                         "IoCompleteRequest nobody may write to it, its creator included",
                         (void *)irp, (void *)irp->MdlAddress, io_driver_name(driver));
    record->mdl = irp->MdlAddress;
    record->mdl_signature = signature;
}

/* ---- cancelled requests ---- */

/* The page names no limit: a minute more than a thread that ends waits for the requests that it has cancelled. */
#define CANCEL_MS 360000u

static void not_completed(void *argument)
{
    const struct irp_record *record = argument;
    const struct irp_pass *pass = holder(record);

    nt_violation_sub("irp-cancel-time", (uintptr_t)record->irp, CANCEL_MS, 0,
                     "IRP %p was cancelled six minutes ago and is not completed; it was last sent to driver %s",
                     (void *)record->irp, pass != NULL ? io_driver_name(pass->driver) : "that is gone");
}

void irp_rule_cancelled(struct irp_record *record)
{
    if (!deadline_is_set(&record->cancelled))
        deadline_set(&record->cancelled, clock_now() + CANCEL_MS * UINT64_C(1000000), not_completed, record);
}

/* ---- devices that go ---- */

/* Whether the device still has the request: it is the last that got it, or its completion routine is to be called. */
static bool device_has(const struct irp_record *record, const struct irp_pass *pass)
{
    const IO_STACK_LOCATION *locations = (const IO_STACK_LOCATION *)(record->irp + 1);

    for (const struct irp_pass *later = record->passes; later != pass; later = later->next)
        if (later->location == pass->location)
            return false; /* it skipped its location and sent the request on */
    if (pass == holder(record))
        return true;
    return locations[pass->location - 2].CompletionRoutine != NULL;
}

void irp_rule_device_gone(PDEVICE_OBJECT device)
{
    for (PLIST_ENTRY entry = machine->io->irps.Flink; entry != &machine->io->irps; entry = entry->Flink) {
        const struct irp_record *record = CONTAINING_RECORD(entry, struct irp_record, entry);

        for (const struct irp_pass *pass = record->passes; pass != NULL; pass = pass->next) {
            if (pass->device != device || (pass->major == IRP_MJ_PNP && pass->minor == IRP_MN_REMOVE_DEVICE))
                continue;
            if (device_has(record, pass))
                nt_violation("device-removed-busy",
                             "IoDeleteDevice of a device object of driver %s, which still has IRP %p (major 0x%02x "
                             "minor 0x%02x): a remove lock would have held the removal back",
                             io_driver_name(device->DriverObject), (void *)record->irp, pass->major, pass->minor);
        }
    }
}

/* ---- unknown minor functions ---- */

static NTSTATUS NTAPI unknown_done(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    KeSetEvent(context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void send_unknown(PDEVICE_OBJECT top, UCHAR major)
{
    PIO_STACK_LOCATION stack;
    KEVENT event;
    PIRP irp = irp_allocate(top->StackSize, __builtin_return_address(0));

    if (irp == NULL)
        return; /* a request that cannot be sent shows nothing */
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp_record_find(irp)->unknown_minor = true;
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    irp->IoStatus.Information = UNKNOWN_INFORMATION;
    irp->Tail.Overlay.Thread = (PETHREAD)KeGetCurrentThread();
    stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction = major;
    stack->MinorFunction = UNKNOWN_MINOR;
    IoSetCompletionRoutine(irp, unknown_done, &event, TRUE, TRUE, TRUE);
    (void)irp_call(top, irp);
    (void)KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    irp_free(irp);
}

void irp_rule_unknown_minors(PDEVICE_OBJECT device)
{
    static const UCHAR majors[] = {IRP_MJ_PNP, IRP_MJ_POWER, IRP_MJ_SYSTEM_CONTROL};
    PDEVICE_OBJECT top = IoGetAttachedDeviceReference(device);

    for (size_t index = 0; index < RTL_NUMBER_OF(majors); index++)
        send_unknown(top, majors[index]);
    ObDereferenceObject(top);
}

void irp_rule_unchanged(PIRP irp, const struct irp_record *record, const struct irp_pass *pass)
{
    if (!record->unknown_minor)
        return;
    if (irp->IoStatus.Status != STATUS_NOT_SUPPORTED)
        nt_violation_sub("irp-unknown-minor", 0, (uintptr_t)irp, (uintptr_t)pass->device,
                         "driver %s does not know minor function 0x%02x and changed the request's status to 0x%08x: "
                         "it must complete it as it came, or pass it on",
                         io_driver_name(pass->driver), UNKNOWN_MINOR, (unsigned)irp->IoStatus.Status);
    if (irp->IoStatus.Information != UNKNOWN_INFORMATION)
        nt_violation_sub("irp-unknown-minor-information", 0, (uintptr_t)irp, (uintptr_t)pass->device,
                         "driver %s does not know minor function 0x%02x and changed the request's information to "
                         "0x%llx: it must complete it as it came, or pass it on",
                         io_driver_name(pass->driver), UNKNOWN_MINOR, (unsigned long long)irp->IoStatus.Information);
}
