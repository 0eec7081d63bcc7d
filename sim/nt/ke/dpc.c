/* Deferred procedure calls. */
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

/* KDPC.Number holds the target vCPU plus one; 0: wherever it is queued. DpcData is the queue that it is in. */

static void initialise(PRKDPC dpc, UCHAR type, PKDEFERRED_ROUTINE routine, PVOID context)
{
    RtlZeroMemory(dpc, sizeof(*dpc));
    dpc->Type = type;
    dpc->Importance = MediumImportance;
    dpc->DeferredRoutine = routine;
    dpc->DeferredContext = context;
}

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    NT_CALL_ANY();
    initialise(Dpc, DpcObject, DeferredRoutine, DeferredContext);
}

VOID NTAPI KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext)
{
    NT_CALL_ANY();
    initialise(Dpc, ThreadedDpcObject, DeferredRoutine, DeferredContext);
    ke_threaded_dpcs_start();
}

VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance)
{
    NT_CALL_ANY();
    Dpc->Importance = (UCHAR)Importance;
}

static void set_target(PRKDPC dpc, unsigned index)
{
    if (dpc->DpcData != NULL)
        nt_violation("dpc-target-queued", "the target of the DPC %p is set while it is queued", (void *)dpc);
    dpc->Number = (USHORT)(index + 1);
}

VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number)
{
    NT_CALL_ANY();
    if (Number < 0 || (unsigned)Number >= ke_processors())
        nt_violation("dpc-target", "KeSetTargetProcessorDpc: there is no processor %d", Number);
    set_target(Dpc, (unsigned)Number);
}

NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber)
{
    ULONG index;

    NT_CALL_ANY();
    index = KeGetProcessorIndexFromNumber(ProcNumber);
    if (index == INVALID_PROCESSOR_INDEX)
        return STATUS_INVALID_PARAMETER;
    set_target(Dpc, index);
    return STATUS_SUCCESS;
}

static void release_queue(void *argument)
{
    struct vcpu *vcpu = argument;

    vcpu->dpc_held = false;
    ke_vcpu_attend(vcpu);
}

/*
 * --delay: a queue that was empty is looked at later, where the documentation does not promise that it is at once; a
 * DPC that has the promise ends the delay.
 */
static void hold_queue(struct vcpu *vcpu, const KDPC *dpc)
{
    uint64_t delay;

    if (dpc->Importance != LowImportance && (vcpu == ke_vcpu() || dpc->Importance != MediumImportance)) {
        deadline_cancel(&vcpu->dpc_hold);
        vcpu->dpc_held = false;
        return;
    }
    if (vcpu->dpc_depth > 1)
        return;
    delay = delay_draw(DELAY_DPC_QUEUE);
    if (delay == 0)
        return;
    vcpu->dpc_held = true;
    deadline_set(&vcpu->dpc_hold, clock_now() + delay, release_queue, vcpu);
}

static bool is_threaded(const KDPC *dpc)
{
    return dpc->Type == ThreadedDpcObject && ke_threaded_dpcs();
}

void ke_dpc_queue(struct vcpu *vcpu, PKDPC dpc)
{
    bool threaded = is_threaded(dpc);
    PSINGLE_LIST_ENTRY head = threaded ? &vcpu->threaded_queue : &vcpu->dpc_queue;
    PSINGLE_LIST_ENTRY *last = threaded ? &vcpu->threaded_last : &vcpu->dpc_last;

    dpc->DpcData = vcpu;
    pool_note_inside(dpc);
    dpc->DpcListEntry.Next = NULL;
    if (dpc->Importance == HighImportance) {
        dpc->DpcListEntry.Next = head->Next;
        head->Next = &dpc->DpcListEntry;
        if (*last == NULL)
            *last = &dpc->DpcListEntry;
    } else {
        if (*last != NULL)
            (*last)->Next = &dpc->DpcListEntry;
        else
            head->Next = &dpc->DpcListEntry;
        *last = &dpc->DpcListEntry;
    }
    vcpu->dpc_depth++;
    if (threaded)
        vcpu->threaded_waiting = true;
    else
        hold_queue(vcpu, dpc);
    ke_vcpu_attend(vcpu);
}

PKDPC ke_dpc_pop(struct vcpu *vcpu, bool threaded)
{
    PSINGLE_LIST_ENTRY head = threaded ? &vcpu->threaded_queue : &vcpu->dpc_queue;
    PSINGLE_LIST_ENTRY entry = head->Next;
    PKDPC dpc;

    if (entry == NULL || (!threaded && vcpu->dpc_held))
        return NULL;
    dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
    head->Next = entry->Next;
    if (entry->Next == NULL)
        *(threaded ? &vcpu->threaded_last : &vcpu->dpc_last) = NULL;
    vcpu->dpc_depth--;
    dpc->DpcData = NULL;
    return dpc;
}

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2)
{
    struct vcpu *target;

    NT_CALL_ANY();
    if (Dpc->Type != DpcObject && Dpc->Type != ThreadedDpcObject)
        nt_violation("dpc-not-initialised", "KeInsertQueueDpc: %p is no initialised DPC", (void *)Dpc);
    if (Dpc->DpcData != NULL)
        return FALSE;
    target = Dpc->Number != 0 ? machine->vcpu[Dpc->Number - 1] : ke_vcpu();
    Dpc->SystemArgument1 = SystemArgument1;
    Dpc->SystemArgument2 = SystemArgument2;
    ke_dpc_queue(target, Dpc);
    ke_attention(); /* below DISPATCH_LEVEL a DPC for this processor runs before the call returns */
    return TRUE;
}

BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc)
{
    struct vcpu *vcpu;
    PSINGLE_LIST_ENTRY previous;
    PSINGLE_LIST_ENTRY head;
    PSINGLE_LIST_ENTRY *last;

    NT_CALL_ANY();
    vcpu = Dpc->DpcData;
    if (vcpu == NULL)
        return FALSE;
    head = is_threaded(Dpc) ? &vcpu->threaded_queue : &vcpu->dpc_queue;
    last = is_threaded(Dpc) ? &vcpu->threaded_last : &vcpu->dpc_last;
    previous = head;
    while (previous->Next != &Dpc->DpcListEntry)
        previous = previous->Next;
    previous->Next = Dpc->DpcListEntry.Next;
    if (*last == &Dpc->DpcListEntry)
        *last = previous == head ? NULL : previous;
    vcpu->dpc_depth--;
    Dpc->DpcData = NULL;
    return TRUE;
}

static bool dpcs_outstanding(void)
{
    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        const struct vcpu *vcpu = machine->vcpu[index];

        if (vcpu->dpc_depth != 0 || vcpu->dpc_active || vcpu->threaded_active)
            return true;
    }
    return false;
}

VOID NTAPI KeFlushQueuedDpcs(VOID)
{
    NT_CALL(PASSIVE_LEVEL);
    for (unsigned index = 0; index < machine->config.vcpus; index++)
        if (deadline_cancel(&machine->vcpu[index]->dpc_hold))
            release_queue(machine->vcpu[index]);
    while (dpcs_outstanding())
        sched_point(POINT_PAUSE);
}

LOGICAL NTAPI KeShouldYieldProcessor(VOID)
{
    const struct vcpu *vcpu;

    NT_CALL_ANY();
    vcpu = ke_vcpu();
    return vcpu->dpc_queue.Next != NULL;
}

/* ---- generic DPC calls ---- */

struct generic_call {
    LONG left;       /* processors that have not signalled done */
    LONG arrived;    /* at the barrier */
    LONG generation; /* of the barrier */
    unsigned count;
    KDPC dpc[MACHINE_MAX_VCPUS];
};

VOID NTAPI KeGenericCallDpc(PKDEFERRED_ROUTINE Routine, PVOID Context)
{
    struct generic_call *call;
    KIRQL irql;

    NT_CALL(APC_LEVEL);
    call = image_alloc(sizeof(*call));
    call->count = ke_processors();
    call->left = (LONG)call->count;
    irql = ke_irql();
    ke_set_irql(DISPATCH_LEVEL);
    for (unsigned index = 0; index < call->count; index++) {
        initialise(&call->dpc[index], DpcObject, Routine, Context);
        set_target(&call->dpc[index], index);
        call->dpc[index].SystemArgument1 = call;
        call->dpc[index].SystemArgument2 = call;
        ke_dpc_queue(machine->vcpu[index], &call->dpc[index]);
    }
    ke_set_irql(irql);
    while (call->left > 0)
        sched_point(POINT_PAUSE);
    image_free(call);
}

VOID NTAPI KeSignalCallDpcDone(PVOID SystemArgument1)
{
    struct generic_call *call = SystemArgument1;

    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    call->left--;
}

LOGICAL NTAPI KeSignalCallDpcSynchronize(PVOID SystemArgument2)
{
    struct generic_call *call = SystemArgument2;
    LONG generation;

    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    generation = call->generation;
    if (++call->arrived == (LONG)call->count) {
        call->arrived = 0;
        call->generation++;
        return TRUE;
    }
    while (call->generation == generation)
        sched_point(POINT_PAUSE);
    return FALSE;
}
