/* Views of devices and requests. */
#include <stdint.h>

#include "nt/debugger/views.h"
#include "nt/io/io_internal.h"
#include "nt/pnp/pnp_internal.h"

static const char *const major_names[] = {
    "CREATE",
    "CREATE_NAMED_PIPE",
    "CLOSE",
    "READ",
    "WRITE",
    "QUERY_INFORMATION",
    "SET_INFORMATION",
    "QUERY_EA",
    "SET_EA",
    "FLUSH_BUFFERS",
    "QUERY_VOLUME_INFORMATION",
    "SET_VOLUME_INFORMATION",
    "DIRECTORY_CONTROL",
    "FILE_SYSTEM_CONTROL",
    "DEVICE_CONTROL",
    "INTERNAL_DEVICE_CONTROL",
    "SHUTDOWN",
    "LOCK_CONTROL",
    "CLEANUP",
    "CREATE_MAILSLOT",
    "QUERY_SECURITY",
    "SET_SECURITY",
    "POWER",
    "SYSTEM_CONTROL",
    "DEVICE_CHANGE",
    "QUERY_QUOTA",
    "SET_QUOTA",
    "PNP",
};

#define MAJORS (sizeof(major_names) / sizeof(major_names[0]))

/* ---- devices ---- */

static void print_device(FILE *out, PDEVICE_OBJECT device)
{
    const struct io_device *private = io_device(device);

    fprintf(out, "  %p  %-10s  device %u", (void *)device, io_driver_name(device->DriverObject), private->number);
    if (ob_name(device) != NULL)
        fprintf(out, " %s", ob_name(device));
    fprintf(out, ", flags 0x%x", device->Flags);
    if (device->ReferenceCount != 0)
        fprintf(out, ", %d open", device->ReferenceCount);
    fputs(private->delete_pending ? ", deleted but still open or attached to\n" : "\n", out);
}

/* The device above another, and so on: the top is printed first. */
static void print_from_top(FILE *out, PDEVICE_OBJECT device)
{
    if (io_stack_above(device) != NULL)
        print_from_top(out, io_stack_above(device));
    print_device(out, device);
}

static void print_node(FILE *out, const struct devnode *node)
{
    fprintf(out, "devnode %u: %s, %s", node->number,
            node->instance_path != NULL ? node->instance_path : "not identified", pnp_state_name(node->state));
    if (node->service != NULL)
        fprintf(out, ", service %s", node->service);
    if (node->problem != PROBLEM_NONE)
        fprintf(out, ", problem %d (%s), status 0x%08x", node->problem, pnp_problem_name(node->problem),
                (unsigned)node->problem_status);
    fputc('\n', out);
    print_from_top(out, node->pdo);
}

void view_devstack(FILE *out)
{
    const LIST_ENTRY *devices = &machine->io->devices;

    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node))
        print_node(out, node);
    for (PLIST_ENTRY entry = devices->Flink; entry != devices; entry = entry->Flink) {
        const struct io_device *private = CONTAINING_RECORD(entry, struct io_device, entry);
        PDEVICE_OBJECT device = private->extension.DeviceObject;

        if (io_device(io_stack_bottom(device))->devnode != NULL)
            continue;
        view_code(out, "in no stack of the tree, created at ", private->caller, "\n");
        print_device(out, device);
    }
}

/* ---- requests ---- */

/* The dispatch call on a location that the request has not left: of several, the last. */
static const struct irp_pass *pass_of(const struct irp_record *record, int location)
{
    const struct irp_pass *pass = record->passes;

    while (pass != NULL && (pass->location != location || pass->passed))
        pass = pass->next;
    return pass;
}

static void print_location(FILE *out, const struct irp_record *record, int location)
{
    const IRP *irp = record->irp;
    const IO_STACK_LOCATION *stack = (const IO_STACK_LOCATION *)(irp + 1) + location - 1;
    const struct irp_pass *pass = pass_of(record, location);

    fprintf(out, " %c[%d] ", irp->CurrentLocation == location ? '>' : ' ', location);
    if (pass == NULL) {
        fputs(location < irp->CurrentLocation ? "not sent so far\n" : "passed\n", out);
        return;
    }
    fprintf(out, "IRP_MJ_%s(0x%x), minor 0x%02x, %s, device %p", pass->major < MAJORS ? major_names[pass->major] : "?",
            pass->major, pass->minor, io_driver_name(pass->driver), (void *)pass->device);
    if ((stack->Control & SL_PENDING_RETURNED) != 0)
        fputs(", marked pending", out);
    if (pass->returned)
        fprintf(out, ", dispatch routine returned 0x%08x", (unsigned)pass->status);
    else
        fputs(", dispatch routine has not returned", out);
    fputc('\n', out);
    if (stack->CompletionRoutine != NULL)
        view_code(out, "       completion routine ", (const void *)(uintptr_t)stack->CompletionRoutine, "\n");
}

static void print_irp(FILE *out, const struct irp_record *record)
{
    const IRP *irp = record->irp;

    fprintf(out, "IRP %p: %s, status 0x%08x, information 0x%llx%s\n", (const void *)irp,
            record->completed                        ? "completed, not freed"
            : !record->sent                          ? "not sent"
            : irp->CurrentLocation > irp->StackCount ? "back with its maker"
                                                     : "in flight",
            (unsigned)irp->IoStatus.Status, (unsigned long long)irp->IoStatus.Information,
            irp->Cancel ? ", cancelled" : "");
    view_code(out, "    made at ", record->caller, "\n");
    if (irp->MdlAddress != NULL)
        fprintf(out, "    MDL %p, %u bytes\n", (void *)irp->MdlAddress, irp->MdlAddress->ByteCount);
    if (irp->CancelRoutine != NULL)
        view_code(out, "    cancel routine ", (const void *)(uintptr_t)irp->CancelRoutine, "\n");
    for (int location = irp->StackCount; location > 0 && record->sent && !record->completed; location--)
        print_location(out, record, location);
}

void view_irp(FILE *out)
{
    const LIST_ENTRY *irps = &machine->io->irps;

    for (PLIST_ENTRY entry = irps->Flink; entry != irps; entry = entry->Flink)
        print_irp(out, CONTAINING_RECORD(entry, struct irp_record, entry));
    if (irps->Flink == irps)
        fputs("there is none\n", out);
}
