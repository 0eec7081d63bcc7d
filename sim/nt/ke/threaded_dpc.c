/*
 * Threaded DPCs ("Introduction to Threaded DPCs"): a thread of each processor, of the highest priority, runs them one
 * after the other at PASSIVE_LEVEL; ordinary DPCs interrupt it, other threads don't. With the value ThreadDpcEnable 0
 * in Control\Session Manager\kernel they are ordinary DPCs. Windows reads that at boot, this machine when the first one
 * is initialised.
 */
#include <stdio.h>

#include "nt/cm/cm.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

bool ke_threaded_dpcs(void)
{
    return machine->ke->threaded_dpcs == THREADED_DPCS_ON;
}

static void run(PKDPC dpc, unsigned vcpu)
{
    PKDEFERRED_ROUTINE routine = dpc->DeferredRoutine;
    PVOID context = dpc->DeferredContext;
    PVOID argument1 = dpc->SystemArgument1;
    PVOID argument2 = dpc->SystemArgument2;
    struct _KTHREAD *thread = ke_thread();

    eventlog_add(EVENT_DPC, vcpu, ++machine->vcpu[vcpu]->dpcs, 0);
    thread->in_threaded_dpc = true;
    DRIVER_CALLOUT("DPC routine", routine, dpc, context, argument1,
                   argument2); /* may queue the DPC again, or free it */
    thread->in_threaded_dpc = false;
    if (ke_irql() != PASSIVE_LEVEL)
        nt_violation("irql-changed", "a threaded DPC routine returned at IRQL %u, it was called at PASSIVE_LEVEL",
                     ke_irql());
}

static void threaded_main(void *argument)
{
    struct vcpu *vcpu = argument;

    for (;;) {
        PKDPC dpc;

        (void)KeWaitForSingleObject(&vcpu->threaded_event, Executive, KernelMode, FALSE, NULL);
        while ((dpc = ke_dpc_pop(vcpu, true)) != NULL) {
            vcpu->threaded_active = true;
            run(dpc, vcpu->index);
            vcpu->threaded_active = false;
            sched_point(POINT_CALL);
        }
    }
}

static void start_thread(struct vcpu *vcpu)
{
    struct _KTHREAD *thread;
    char name[RUNNER_NAME_MAX];

    KeInitializeEvent(&vcpu->threaded_event, SynchronizationEvent, FALSE);
    snprintf(name, sizeof(name), "threaded DPCs of vCPU %u", vcpu->index);
    thread = ke_thread_create(name, NULL, threaded_main, vcpu, HIGH_PRIORITY);
    thread->of_kernel = true;
    ke_thread_bind(thread, vcpu->index);
    vcpu->threaded_thread = thread;
}

void ke_threaded_dpcs_start(void)
{
    struct ke_state *ke = machine->ke;
    struct cm_key *key;
    ULONG enabled = 1;

    if (ke->threaded_dpcs != THREADED_DPCS_UNKNOWN)
        return;
    key = cm_key_open(CM_CONTROL "\\Session Manager\\kernel");
    if (key != NULL)
        (void)cm_value_get_dword(key, "ThreadDpcEnable", &enabled);
    if (enabled == 0) {
        ke->threaded_dpcs = THREADED_DPCS_OFF;
        return;
    }
    ke->threaded_dpcs = THREADED_DPCS_ON;
    for (unsigned index = 0; index < ke_processors(); index++)
        start_thread(machine->vcpu[index]);
}

void ke_threaded_dpcs_add(struct vcpu *vcpu)
{
    if (ke_threaded_dpcs())
        start_thread(vcpu);
}

void ke_threaded_dpcs_tell(struct vcpu *vcpu)
{
    if (!vcpu->threaded_waiting)
        return;
    vcpu->threaded_waiting = false;
    if (vcpu->threaded_queue.Next != NULL)
        ke_signal(&vcpu->threaded_event.Header, 1, 0);
}
