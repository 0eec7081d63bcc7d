/* The state of vCPUs and threads for people: reports of failures, on the host's stack. */
#include <stdio.h>
#include <stdlib.h>

#include "machine/backtrace.h"
#include "nt/ke/ke.h"

#define STACK_FRAMES 32

static const char *const state_names[] = {"ready", "running", "waiting", "terminated"};

const char *ke_irql_name(KIRQL irql)
{
    switch (irql) {
    case PASSIVE_LEVEL:
        return "PASSIVE_LEVEL";
    case APC_LEVEL:
        return "APC_LEVEL";
    case DISPATCH_LEVEL:
        return "DISPATCH_LEVEL";
    case CLOCK_LEVEL:
        return "CLOCK_LEVEL";
    case IPI_LEVEL:
        return "IPI_LEVEL";
    case HIGH_LEVEL:
        return "HIGH_LEVEL";
    default:
        return "device";
    }
}

static void describe_code(FILE *out, const void *address)
{
    char name[160];

    loader_describe(name, sizeof(name), address);
    fputs(name, out);
}

static void describe_pending(FILE *out, const struct vcpu *vcpu)
{
    bool any = false;

    fputs(", pending vectors", out);
    for (unsigned vector = 0; vector < 256; vector++)
        if ((vcpu->pending[vector / 64] >> (vector % 64) & 1) != 0) {
            fprintf(out, " 0x%02x", vector);
            any = true;
        }
    if (!any)
        fputs(" none", out);
}

static void describe_work(FILE *out, const struct vcpu *vcpu)
{
    if (vcpu->isr_depth != 0)
        fprintf(out, "a service routine of vector 0x%02x on top of ", vcpu->isr_vector);
    if (vcpu->dpc_active && vcpu->dpc_routine != NULL) {
        fputs("the DPC routine ", out);
        describe_code(out, vcpu->dpc_routine);
        fputs(" on top of ", out);
    } else if (vcpu->dpc_active) {
        fputs("its DPC queue on top of ", out);
    }
    fprintf(out, "%s%s", vcpu->current == vcpu->idle ? "" : "thread ", vcpu->current->name);
    if (vcpu->current != vcpu->idle)
        fprintf(out, " (%u)", vcpu->current->id);
}

static void describe_held(FILE *out, const struct lock_list *list)
{
    char what[320];

    for (unsigned index = 0; index < list->count; index++) {
        const struct lock_held *held = &list->held[index];

        lock_describe(what, sizeof(what), held->lock, held->kind);
        fprintf(out, "  holds %s, acquired at ", what);
        describe_code(out, held->caller);
        fputc('\n', out);
    }
}

void ke_describe_vcpu(FILE *out, const struct runner *runner)
{
    const struct vcpu *vcpu = CONTAINING_RECORD(runner, struct vcpu, runner);
    KIRQL irql = machine->ke->bugcheck_vcpu == vcpu ? machine->ke->bugcheck_irql : vcpu->irql;

    fprintf(out, "vCPU %u: IRQL %u (%s)%s, runs ", vcpu->index, irql, ke_irql_name(irql),
            vcpu->interrupts_off ? ", interrupts off" : "");
    describe_work(out, vcpu);
    describe_pending(out, vcpu);
    fprintf(out, ", %u DPCs queued", vcpu->dpc_depth);
    if (runner->where != NULL) {
        KSPIN_LOCK holder = *(const KSPIN_LOCK *)runner->where;

        fprintf(out, ", waits for the spin lock %p", runner->where);
        if (holder >= 1 && holder <= machine->config.vcpus)
            fprintf(out, " that vCPU %llu holds", (unsigned long long)holder - 1);
    } else if (!runner->runnable && runner->why != NULL) {
        fprintf(out, ", waits: %s", runner->why);
    }
    fputc('\n', out);
    describe_held(out, &vcpu->locks);
    describe_held(out, &vcpu->current->locks);
}

/* ---- threads ---- */

void ke_describe_owner(FILE *out, const struct _KTHREAD *thread)
{
    if (thread == NULL)
        fputs(" nobody", out);
    else
        fprintf(out, " thread %s (%u)", thread->name, thread->id);
}

static const char *object_name(const DISPATCHER_HEADER *header)
{
    switch (header->Type) {
    case EventNotificationObject:
        return "notification event";
    case EventSynchronizationObject:
        return "synchronization event";
    case MutantObject:
        return "mutex";
    case SemaphoreObject:
        return "semaphore";
    case ThreadObject:
        return "end of";
    case TimerNotificationObject:
        return "notification timer";
    case TimerSynchronizationObject:
        return "synchronization timer";
    default:
        return "object";
    }
}

static void describe_object(FILE *out, const void *object)
{
    const DISPATCHER_HEADER *header = object;

    fprintf(out, " %s", object_name(header));
    if (header->Type == ThreadObject) {
        ke_describe_owner(out, object);
        return;
    }
    fprintf(out, " %p", object);
    if (header->Type == MutantObject) {
        fputs(" owned by", out);
        ke_describe_owner(out, ((const KMUTANT *)object)->OwnerThread);
    }
}

static void describe_wait(FILE *out, const struct _KTHREAD *thread)
{
    if (thread->wait_note != NULL) {
        fprintf(out, " for the %s %p", thread->wait_note->kind, thread->wait_note->object);
        if (thread->wait_note->describe != NULL)
            thread->wait_note->describe(out, thread->wait_note->object);
    } else if (thread->wait_count == 0) {
        fputs(" for time to pass", out);
    } else {
        fprintf(out, " for%s", thread->wait_count == 1 ? "" : thread->wait_type == WaitAll ? " all of" : " any of");
        for (ULONG index = 0; index < thread->wait_count; index++) {
            if (index != 0)
                fputc(',', out);
            describe_object(out, thread->wait_blocks[index].Object);
        }
    }
    fputs(", called from ", out);
    describe_code(out, thread->wait_caller);
}

static bool runs(const struct _KTHREAD *thread)
{
    return thread->vcpu >= 0 && machine->vcpu[thread->vcpu]->current == thread;
}

/* Of a thread that a vCPU has taken a DPC on top of, the vCPU runs the DPC's fiber; the thread's own is parked. */
static void describe_stack(FILE *out, const struct _KTHREAD *thread)
{
    void *frames[STACK_FRAMES];
    char *stack = backtrace_text(frames, fiber_backtrace(&thread->fiber, frames, STACK_FRAMES));

    fputs(stack, out);
    free(stack);
}

void ke_describe_threads(FILE *out)
{
    struct ke_state *ke = machine->ke;

    for (PLIST_ENTRY entry = ke->threads.Flink; entry != &ke->threads; entry = entry->Flink) {
        const struct _KTHREAD *thread = CONTAINING_RECORD(entry, struct _KTHREAD, all_entry);

        fprintf(out, "thread %s (%u), priority %d, IRQL %u, %s", thread->name, thread->id, thread->priority,
                (unsigned)(runs(thread) ? machine->vcpu[thread->vcpu]->irql : thread->irql),
                state_names[thread->state]);
        if (thread->state == THREAD_WAITING)
            describe_wait(out, thread);
        fputc('\n', out);
        describe_held(out, &thread->locks);
        describe_stack(out, thread);
    }
}
