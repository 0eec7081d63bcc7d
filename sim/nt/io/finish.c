/*
 * The last stage of a request that the I/O manager built for a thread: the driver's answer goes to the requestor's
 * buffer, status block and event, and everything that the request held is given back. On Windows a special kernel APC
 * does this in the requestor's thread; all threads here share one address space, so it is done where the driver
 * completed the request.
 */
#include "nt/io/io_internal.h"

void irp_release_mdls(PIRP irp)
{
    PMDL mdl = irp->MdlAddress;

    irp->MdlAddress = NULL;
    while (mdl != NULL) {
        PMDL next = mdl->Next;

        if (mdl->MdlFlags & MDL_PAGES_LOCKED)
            MmUnlockPages(mdl);
        IoFreeMdl(mdl);
        mdl = next;
    }
}

static void release_system_buffer(PIRP irp, bool answer)
{
    if (!(irp->Flags & IRP_BUFFERED_IO))
        return;
    if (answer && (irp->Flags & IRP_INPUT_OPERATION) && irp->UserBuffer != NULL)
        RtlCopyMemory(irp->UserBuffer, irp->AssociatedIrp.SystemBuffer, irp->IoStatus.Information);
    if (irp->Flags & IRP_DEALLOCATE_BUFFER)
        ExFreePoolWithTag(irp->AssociatedIrp.SystemBuffer, IO_TAG_BUFFER);
    irp->AssociatedIrp.SystemBuffer = NULL;
}

void irp_finish(PIRP irp, struct irp_record *record, KPRIORITY increment)
{
    IO_STATUS_BLOCK result = irp->IoStatus;
    PFILE_OBJECT file = record->file;
    PKEVENT referenced = record->event;
    PKEVENT event = irp->UserEvent;
    /*
     * A request that failed before anybody returned STATUS_PENDING tells so by its return value alone: neither the
     * status block nor the event is touched.
     */
    bool tell = !NT_ERROR(result.Status) || irp->PendingReturned;

    if (irp->UserIosb == NULL && (irp->Flags & IRP_CLOSE_OPERATION) == 0)
        nt_violation("irp-status-block", "IRP %p was sent without an I/O status block", irp);
    if ((irp->Flags & IRP_INPUT_OPERATION) && record->answer_room < result.Information && !NT_ERROR(result.Status))
        nt_violation("irp-information", "IRP %p was completed with Information %llu for an output buffer of %llu bytes",
                     irp, (unsigned long long)result.Information, (unsigned long long)record->answer_room);
    release_system_buffer(irp, !NT_ERROR(result.Status));
    irp_release_mdls(irp);
    if (tell && irp->UserIosb != NULL)
        *irp->UserIosb = result;
    irp->UserEvent = NULL;
    irp_free(irp);

    if (file != NULL && tell) {
        file->FinalStatus = result.Status;
        if (event == NULL || (file->Flags & FO_SYNCHRONOUS_IO))
            KeSetEvent(&file->Event, increment, FALSE);
    }
    if (event != NULL && tell)
        KeSetEvent(event, increment, FALSE);
    if (referenced != NULL)
        ob_dereference(referenced);
    if (file != NULL)
        io_file_release(file);
}
