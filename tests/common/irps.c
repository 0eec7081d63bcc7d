#include "common/irps.h"

#include <string.h>
#include <strings.h>

#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

static struct {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT device; /* NULL: all of the driver's */
    UCHAR major;
    UCHAR minor;
    PDRIVER_DISPATCH original;
    irps_interceptor routine;
    volatile unsigned times;
} way;

PDEVICE_OBJECT irps_bottom(const char *path)
{
    ck_assert_msg(stack_device(path) != NULL, "there is no %s", path);
    return pnp_pdo(stack_device(path));
}

PDEVICE_OBJECT irps_of_driver(const char *path, const char *driver)
{
    for (PDEVICE_OBJECT device = irps_bottom(path); device != NULL; device = device->AttachedDevice) {
        UNICODE_STRING *name = &device->DriverObject->DriverName;
        char *text = cm_utf8_from_utf16(name->Buffer, name->Length / sizeof(WCHAR));
        const char *last = strrchr(text, '\\');
        bool found = strcasecmp(last != NULL ? last + 1 : text, driver) == 0;

        image_free(text);
        if (found)
            return device;
    }
    ck_abort_msg("%s is not in the stack of %s", driver, path);
}

NTSTATUS irps_send(PDEVICE_OBJECT target, UCHAR major, const IO_STACK_LOCATION *what, ULONG_PTR *information)
{
    IO_STATUS_BLOCK *result = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*result), STACK_TAG);
    KEVENT *event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    PIO_STACK_LOCATION next;
    NTSTATUS status;
    PIRP irp;

    KeInitializeEvent(event, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, target, NULL, 0, NULL, event, result);
    ck_assert_ptr_nonnull(irp);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    irp->IoStatus.Information = *information;
    next = IoGetNextIrpStackLocation(irp);
    next->MajorFunction = major;
    next->MinorFunction = what->MinorFunction;
    next->Parameters = what->Parameters;
    status = IoCallDriver(target, irp);
    if (status == STATUS_PENDING) {
        (void)KeWaitForSingleObject(event, Executive, KernelMode, FALSE, NULL);
        status = result->Status;
    }
    *information = result->Information;
    ExFreePoolWithTag(event, STACK_TAG);
    ExFreePoolWithTag(result, STACK_TAG);
    return status;
}

NTSTATUS irps_send_minor(PDEVICE_OBJECT target, UCHAR minor)
{
    const IO_STACK_LOCATION what = {.MinorFunction = minor};
    ULONG_PTR information = 0;

    return irps_send(target, IRP_MJ_PNP, &what, &information);
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status;
    KERNEL_SCOPE();

    if ((way.device == NULL || device == way.device) && location->MinorFunction == way.minor) {
        way.times++;
        if (way.routine(device, irp, location, &status))
            return status;
    }
    return way.original(device, irp);
}

void irps_intercept(PDEVICE_OBJECT device, bool all, UCHAR major, UCHAR minor, irps_interceptor routine)
{
    way.driver = device->DriverObject;
    ObReferenceObject(way.driver);
    way.device = all ? NULL : device;
    way.major = major;
    way.minor = minor;
    way.original = way.driver->MajorFunction[major];
    way.routine = routine;
    way.times = 0;
    way.driver->MajorFunction[major] = dispatch;
}

void irps_let_pass(void)
{
    way.driver->MajorFunction[way.major] = way.original;
    ObDereferenceObject(way.driver);
    ck_assert_uint_ne(way.times, 0);
}

unsigned irps_intercepted(void)
{
    return way.times;
}

NTSTATUS irps_go_on(PDEVICE_OBJECT device, PIRP irp)
{
    return way.original(device, irp);
}

bool irps_answer(PIRP irp, NTSTATUS wanted, ULONG_PTR information, NTSTATUS *status)
{
    irp->IoStatus.Status = wanted;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    *status = wanted;
    return true;
}

/* ---- a device that goes while an IRP is under way ---- */

static struct {
    const struct irps_going *what;
    KEVENT gate;
    volatile bool inside, removed;
} going;

static bool keep(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)irp;
    (void)location;
    (void)status;
    going.inside = true;
    (void)KeWaitForSingleObject(&going.gate, Executive, KernelMode, FALSE, NULL);
    return false;
}

static VOID NTAPI sender(PVOID unused)
{
    (void)unused;
    going.what->send();
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI remover(PVOID unused)
{
    (void)unused;
    ck_assert_int_eq(pnp_remove_device(stack_device(going.what->path), false), STATUS_SUCCESS);
    going.removed = true;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool is_inside(void *unused)
{
    (void)unused;
    return going.inside;
}

void irps_go_during(const struct irps_going *what)
{
    PKTHREAD sending, removing;

    going.what = what;
    going.inside = going.removed = false;
    KeInitializeEvent(&going.gate, NotificationEvent, FALSE);
    irps_intercept(what->below, false, IRP_MJ_PNP, what->minor, keep);
    sending = stack_thread(sender, NULL);
    ck_assert(stack_wait(is_inside, NULL, 1000));
    removing = stack_thread(remover, NULL);
    stack_sleep_us(500000);
    ck_assert(!going.removed);
    what->meanwhile();
    ck_assert(!going.removed);
    (void)KeSetEvent(&going.gate, IO_NO_INCREMENT, FALSE);
    stack_join(sending);
    stack_join(removing);
    irps_let_pass();
}
