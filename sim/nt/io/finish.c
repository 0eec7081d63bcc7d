/*
 * The last stage of a request that the I/O manager built for a thread: a special kernel APC in that thread takes the
 * driver's answer to the requestor's buffer, status block and event and gives back what the request held. A requestor
 * that waits at APC_LEVEL or in a guarded region therefore waits for ever ("IoBuildDeviceIoControlRequest": special
 * kernel APCs must be enabled). A thread's end cancels its requests and waits for them.
 */
#include "nt/io/io_internal.h"

/* How long the end of a thread waits for its cancelled requests: five minutes, as Windows does. */
#define CANCEL_POLL 1000000LL /* 100 ms */
#define CANCEL_POLLS 3000u

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

/* The requestor is gone: nobody is told. */
static void drop(PIRP irp)
{
    struct irp_record *record = irp_record_find(irp);
    PFILE_OBJECT file = record->file;
    PKEVENT referenced = record->event;

    release_system_buffer(irp, false);
    irp_release_mdls(irp);
    irp->UserEvent = NULL;
    irp_free(irp);
    if (referenced != NULL)
        ob_dereference(referenced);
    if (file != NULL)
        ob_dereference(file);
}

static VOID NTAPI dropped(PKAPC apc)
{
    drop(CONTAINING_RECORD(apc, IRP, Tail.Apc));
}

/* The requestor's own APC routine is about to run, or never will: the IRP has carried the APC and goes. */
static VOID NTAPI told_by_apc(PKAPC apc, PKNORMAL_ROUTINE *normal, PVOID *context, PVOID *argument1, PVOID *argument2)
{
    (void)normal;
    (void)context;
    (void)argument1;
    (void)argument2;
    irp_free(CONTAINING_RECORD(apc, IRP, Tail.Apc));
}

static VOID NTAPI not_told_by_apc(PKAPC apc)
{
    irp_free(CONTAINING_RECORD(apc, IRP, Tail.Apc));
}

static void tell_by_apc(PIRP irp, PKTHREAD thread)
{
    PIO_APC_ROUTINE routine = irp->Overlay.AsynchronousParameters.UserApcRoutine;

    KeInitializeApc(&irp->Tail.Apc, thread, CurrentApcEnvironment, told_by_apc, not_told_by_apc,
                    (PKNORMAL_ROUTINE)(uintptr_t)routine, irp->RequestorMode,
                    irp->Overlay.AsynchronousParameters.UserApcContext);
    if (!ke_apc_insert(&irp->Tail.Apc, irp->UserIosb, NULL))
        irp_free(irp);
}

static VOID NTAPI finish_in_thread(PKAPC apc, PKNORMAL_ROUTINE *normal, PVOID *context, PVOID *argument1,
                                   PVOID *argument2)
{
    PIRP irp = CONTAINING_RECORD(apc, IRP, Tail.Apc);
    struct irp_record *record = irp_record_find(irp);
    IO_STATUS_BLOCK result = irp->IoStatus;
    PFILE_OBJECT file = record->file;
    PKEVENT referenced = record->event;
    PKEVENT event = irp->UserEvent;
    KPRIORITY increment = record->boost;
    /*
     * A request that failed before anybody returned STATUS_PENDING tells so by its return value alone: neither the
     * status block nor the event is touched.
     */
    bool tell = !NT_ERROR(result.Status) || irp->PendingReturned;

    (void)normal;
    (void)context;
    (void)argument1;
    (void)argument2;
    release_system_buffer(irp, !NT_ERROR(result.Status));
    irp_release_mdls(irp);
    if (tell && irp->UserIosb != NULL)
        *irp->UserIosb = result;
    irp->UserEvent = NULL;
    RemoveEntryList(&irp->ThreadListEntry);
    InitializeListHead(&irp->ThreadListEntry);
    if (tell && file != NULL && irp->Overlay.AsynchronousParameters.UserApcRoutine != NULL)
        tell_by_apc(irp, ke_thread());
    else
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
        ob_dereference(file);
}

void irp_finish(PIRP irp, struct irp_record *record, KPRIORITY increment)
{
    PKTHREAD thread = (PKTHREAD)irp->Tail.Overlay.Thread;

    if (irp->UserIosb == NULL && (irp->Flags & IRP_CLOSE_OPERATION) == 0)
        nt_violation("irp-status-block", "IRP %p was sent without an I/O status block", irp);
    if ((irp->Flags & IRP_INPUT_OPERATION) && record->answer_room < irp->IoStatus.Information &&
        !NT_ERROR(irp->IoStatus.Status))
        nt_violation("irp-information", "IRP %p was completed with Information %llu for an output buffer of %llu bytes",
                     irp, (unsigned long long)irp->IoStatus.Information, (unsigned long long)record->answer_room);
    for (PMDL mdl = irp->MdlAddress; mdl != NULL; mdl = mdl->Next)
        if (mdl->MdlFlags & MDL_PAGES_LOCKED)
            MmUnlockPages(mdl);
    if (record->orphan) {
        drop(irp);
        return;
    }
    record->boost = increment;
    KeInitializeApc(&irp->Tail.Apc, thread, OriginalApcEnvironment, finish_in_thread, dropped, NULL, KernelMode, NULL);
    if (!ke_apc_insert(&irp->Tail.Apc, NULL, NULL)) {
        drop(irp);
        return;
    }
    sched_point(POINT_CALL); /* a request of this very thread is finished before the call returns */
}

void io_check_special_apcs(const char *routine)
{
    if (ke_thread()->guarded_region != 0)
        nt_violation(
            "apcs-disabled",
            "%s in a guarded region: the request completes through a special kernel APC, which is disabled there",
            routine);
}

void irp_queue_to_thread(PIRP irp, struct irp_record *record)
{
    PKTHREAD thread = ke_thread();

    irp->Tail.Overlay.Thread = (PETHREAD)thread;
    InsertTailList(&thread->irps, &irp->ThreadListEntry);
    record->threaded = true;
}

void io_cancel_thread_irps(void)
{
    PKTHREAD thread = ke_thread();
    LARGE_INTEGER pause = {.QuadPart = -CANCEL_POLL};

    if (IsListEmpty(&thread->irps))
        return;
    for (PLIST_ENTRY entry = thread->irps.Flink; entry != &thread->irps;) {
        PIRP irp = CONTAINING_RECORD(entry, IRP, ThreadListEntry);

        if (!irp->Cancel && irp_record_find(irp)->sent) {
            (void)IoCancelIrp(irp);
            entry = thread->irps.Flink; /* it may be gone, and others with it */
            continue;
        }
        entry = entry->Flink;
    }
    for (unsigned polls = 0; !IsListEmpty(&thread->irps) && polls < CANCEL_POLLS; polls++)
        (void)KeDelayExecutionThread(KernelMode, FALSE, &pause);
    while (!IsListEmpty(&thread->irps)) {
        PIRP irp = CONTAINING_RECORD(RemoveHeadList(&thread->irps), IRP, ThreadListEntry);

        log_line(LOG_WARNING, "io",
                 "thread %s ends, and IRP %p, which it sent and which was cancelled, is not completed", thread->name,
                 (void *)irp);
        InitializeListHead(&irp->ThreadListEntry);
        irp->Tail.Overlay.Thread = NULL;
        irp_record_find(irp)->orphan = true;
    }
}
