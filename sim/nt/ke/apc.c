/*
 * Kernel APCs, and alerts. A special kernel APC (no NormalRoutine) runs its kernel routine in its thread at APC_LEVEL
 * whenever that thread is below APC_LEVEL and in no guarded region; a normal one, queued behind the special ones, also
 * runs its normal routine at PASSIVE_LEVEL, if the thread is in no critical region, owns no mutex and has no other
 * normal APC in progress ("Types of APCs", "Disabling APCs", "Waits and APCs"). A thread that waits below APC_LEVEL is
 * woken for the APC and then goes on waiting. APCs for user mode stay queued: no thread here goes there, but an
 * alertable wait with WaitMode UserMode ends for them.
 *
 * KeInitializeApc, KeInsertQueueApc, KeRemoveQueueApc, KeAlertThread and KeTestAlertThread are exported and have no
 * reference page; they are as drivers have used them since Windows NT.
 */
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

bool ke_normal_apcs_off(const struct _KTHREAD *thread)
{
    return thread->critical_region != 0 || thread->mutex_regions != 0 || thread->guarded_region != 0;
}

bool ke_apcs_off(void)
{
    return ke_irql() >= APC_LEVEL || ke_normal_apcs_off(ke_thread());
}

bool ke_apc_deliverable(const struct _KTHREAD *thread)
{
    const KAPC *first;

    if (IsListEmpty(&thread->apcs[KernelMode]) || thread->guarded_region != 0)
        return false;
    first = CONTAINING_RECORD(thread->apcs[KernelMode].Flink, KAPC, ApcListEntry);
    return first->NormalRoutine == NULL || (!thread->normal_apc_active && !ke_normal_apcs_off(thread));
}

static PKAPC pop(struct _KTHREAD *thread)
{
    PKAPC apc = CONTAINING_RECORD(RemoveHeadList(&thread->apcs[KernelMode]), KAPC, ApcListEntry);

    apc->Inserted = FALSE;
    return apc;
}

/* What a bugcheck tells of an APC, which its kernel routine may free. */
struct told_apc {
    const void *apc;
    const void *kernel;
    const void *normal;
};

/* Bug Check 0xC8: its page gives two values for APCs and does not say which is whose. */
enum { SPECIAL_APC = 0, NORMAL_APC = 1 };

static void check_irql(const struct told_apc *told, const void *routine, KIRQL expected)
{
    const KIRQL irql = ke_irql();

    if (irql != expected) {
        const uint64_t which = told->normal == NULL ? SPECIAL_APC : NORMAL_APC;
        const uint64_t parameter[4] = {(uint64_t)irql << 16 | (uint64_t)expected << 8 | which, (uintptr_t)told->kernel,
                                       (uintptr_t)told->apc, (uintptr_t)told->normal};
        char name[LOADER_DESCRIPTION_MAX];

        loader_describe(name, sizeof(name), routine);
        nt_violation_code(IRQL_UNEXPECTED_VALUE, parameter, "irql-changed",
                          "the APC routine %s was called at IRQL %u and returned at IRQL %u", name, expected, irql);
    }
}

/* Deliver one APC of the current thread, which is below APC_LEVEL. */
void ke_apc_deliver(void)
{
    struct _KTHREAD *thread = ke_thread();
    PKAPC apc = pop(thread);
    PKKERNEL_ROUTINE kernel = apc->KernelRoutine;
    PKNORMAL_ROUTINE normal = apc->NormalRoutine;
    PVOID context = apc->NormalContext;
    PVOID argument1 = apc->SystemArgument1;
    PVOID argument2 = apc->SystemArgument2;
    const struct told_apc told = {apc, (const void *)(uintptr_t)kernel, (const void *)(uintptr_t)normal};

    eventlog_add(EVENT_APC, thread->id, normal != NULL, 0);
    ke_vcpu()->irql = APC_LEVEL;
    DRIVER_CALLOUT("APC routine", kernel, apc, &normal, &context, &argument1, &argument2); /* may free the APC */
    check_irql(&told, told.kernel, APC_LEVEL);
    if (normal != NULL) {
        thread->normal_apc_active = true;
        ke_set_irql(PASSIVE_LEVEL);
        DRIVER_CALLOUT("APC routine", normal, context, argument1, argument2);
        check_irql(&told, (const void *)(uintptr_t)normal, PASSIVE_LEVEL);
        ke_vcpu()->irql = APC_LEVEL;
        thread->normal_apc_active = false;
    }
    ke_vcpu()->irql = PASSIVE_LEVEL;
}

/* Something about the thread has changed that may let its APCs through: have the processor that runs it look. */
static void notice(struct _KTHREAD *thread)
{
    if (!ke_apc_deliverable(thread))
        return;
    if (thread->state == THREAD_RUNNING)
        ke_vcpu_attend(machine->vcpu[thread->vcpu]);
    else if (thread->state == THREAD_WAITING && thread->irql < APC_LEVEL)
        ke_wait_abort(thread, STATUS_KERNEL_APC);
}

void ke_apcs_allowed(void)
{
    struct _KTHREAD *thread = ke_thread();

    if (ke_irql() < APC_LEVEL && ke_apc_deliverable(thread)) {
        notice(thread);
        ke_attention();
    }
}

VOID NTAPI KeInitializeApc(PRKAPC Apc, PKTHREAD Thread, KAPC_ENVIRONMENT Environment, PKKERNEL_ROUTINE KernelRoutine,
                           PKRUNDOWN_ROUTINE RundownRoutine, PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode,
                           PVOID NormalContext)
{
    NT_CALL_ANY();
    if (KernelRoutine == NULL)
        nt_violation("apc-kernel-routine", "KeInitializeApc of %p without a kernel routine", (void *)Apc);
    RtlZeroMemory(Apc, sizeof(*Apc));
    Apc->Type = ApcObject;
    Apc->Size = sizeof(*Apc);
    Apc->Thread = Thread;
    Apc->ApcStateIndex = (CCHAR)Environment; /* no thread here attaches to another process: all environments are one */
    Apc->KernelRoutine = KernelRoutine;
    Apc->RundownRoutine = RundownRoutine;
    Apc->NormalRoutine = NormalRoutine;
    Apc->ApcMode = NormalRoutine != NULL ? ApcMode : KernelMode; /* a special APC is one of the kernel's */
    Apc->NormalContext = NormalRoutine != NULL ? NormalContext : NULL;
}

static void enqueue(struct _KTHREAD *thread, PKAPC apc)
{
    PLIST_ENTRY list = &thread->apcs[(int)apc->ApcMode];
    PLIST_ENTRY before = list;

    /* Special APCs before the normal ones, each kind in order of insertion. */
    if (apc->NormalRoutine == NULL)
        for (before = list->Flink;
             before != list && CONTAINING_RECORD(before, KAPC, ApcListEntry)->NormalRoutine == NULL;
             before = before->Flink)
            ;
    pool_note_inside(apc);
    InsertTailList(before, &apc->ApcListEntry);
    apc->Inserted = TRUE;
}

bool ke_apc_insert(PKAPC apc, PVOID argument1, PVOID argument2)
{
    struct _KTHREAD *thread = apc->Thread;

    if (apc->Inserted || !thread->apc_queueable)
        return false;
    apc->SystemArgument1 = argument1;
    apc->SystemArgument2 = argument2;
    enqueue(thread, apc);
    if (apc->ApcMode == KernelMode)
        notice(thread);
    else if (thread->state == THREAD_WAITING && thread->wait_alertable && thread->wait_mode == UserMode)
        ke_wait_abort(thread, STATUS_USER_APC);
    return true;
}

BOOLEAN NTAPI KeInsertQueueApc(PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2, KPRIORITY Increment)
{
    BOOLEAN inserted;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(Increment); /* a boost of the woken thread, which decays at once here */
    if (Apc->Type != ApcObject)
        nt_violation("apc-not-initialised", "KeInsertQueueApc: %p is no initialised APC", (void *)Apc);
    inserted = ke_apc_insert(Apc, SystemArgument1, SystemArgument2);
    sched_point(POINT_CALL); /* one for the caller itself is delivered before the call returns */
    return inserted;
}

BOOLEAN NTAPI KeRemoveQueueApc(PRKAPC Apc)
{
    NT_CALL(DISPATCH_LEVEL);
    if (!Apc->Inserted)
        return FALSE;
    RemoveEntryList(&Apc->ApcListEntry);
    Apc->Inserted = FALSE;
    return TRUE;
}

/* The thread ends: nothing is queued to it any more, and what is queued is told so. */
void ke_apc_rundown(struct _KTHREAD *thread)
{
    thread->apc_queueable = false;
    for (int mode = KernelMode; mode <= UserMode; mode++) {
        while (!IsListEmpty(&thread->apcs[mode])) {
            PKAPC apc = CONTAINING_RECORD(RemoveHeadList(&thread->apcs[mode]), KAPC, ApcListEntry);

            apc->Inserted = FALSE;
            if (apc->RundownRoutine != NULL)
                DRIVER_CALLOUT("APC routine", apc->RundownRoutine, apc);
        }
    }
}

/* ---- regions ---- */

VOID NTAPI KeEnterCriticalRegion(VOID)
{
    NT_CALL(APC_LEVEL);
    ke_thread()->critical_region++;
}

void ke_leave_critical_region(const char *routine)
{
    if (ke_thread()->critical_region == 0)
        nt_violation_sub("critical-region", 0, 0, 0, "%s without KeEnterCriticalRegion", routine);
    if (--ke_thread()->critical_region == 0)
        ke_apcs_allowed();
}

VOID NTAPI KeLeaveCriticalRegion(VOID)
{
    NT_CALL(APC_LEVEL);
    ke_leave_critical_region(__func__);
}

VOID NTAPI KeEnterGuardedRegion(VOID)
{
    NT_CALL(APC_LEVEL);
    ke_thread()->guarded_region++;
}

VOID NTAPI KeLeaveGuardedRegion(VOID)
{
    NT_CALL(APC_LEVEL);
    if (ke_thread()->guarded_region == 0)
        nt_violation_sub("critical-region", 0, 0, 0, "KeLeaveGuardedRegion without KeEnterGuardedRegion");
    if (--ke_thread()->guarded_region == 0)
        ke_apcs_allowed();
}

BOOLEAN NTAPI KeAreApcsDisabled(VOID)
{
    NT_CALL(DISPATCH_LEVEL);
    return ke_normal_apcs_off(ke_thread());
}

BOOLEAN NTAPI KeAreAllApcsDisabled(VOID)
{
    NT_CALL(DISPATCH_LEVEL);
    return ke_irql() >= APC_LEVEL || ke_thread()->guarded_region != 0;
}

/* ---- alerts ---- */

/* Whether a wait in `mode` may not begin or go on: the status that it ends with, else STATUS_PENDING. */
NTSTATUS ke_alert_pending(struct _KTHREAD *thread, KPROCESSOR_MODE mode, bool alertable)
{
    if (!alertable)
        return STATUS_PENDING;
    if (thread->alerted[(int)mode]) {
        thread->alerted[(int)mode] = false;
        return STATUS_ALERTED;
    }
    if (mode == UserMode && !IsListEmpty(&thread->apcs[UserMode]))
        return STATUS_USER_APC;
    if (thread->alerted[KernelMode]) {
        thread->alerted[KernelMode] = false;
        return STATUS_ALERTED;
    }
    return STATUS_PENDING;
}

BOOLEAN NTAPI KeAlertThread(PKTHREAD Thread, KPROCESSOR_MODE AlertMode)
{
    bool before;

    NT_CALL(DISPATCH_LEVEL);
    before = Thread->alerted[(int)AlertMode];
    if (before)
        return TRUE;
    if (Thread->state == THREAD_WAITING && Thread->wait_alertable && AlertMode <= Thread->wait_mode)
        ke_wait_abort(Thread, STATUS_ALERTED);
    else
        Thread->alerted[(int)AlertMode] = true;
    sched_point(POINT_CALL);
    return FALSE;
}

BOOLEAN NTAPI KeTestAlertThread(KPROCESSOR_MODE AlertMode)
{
    struct _KTHREAD *thread;
    bool alerted;

    NT_CALL(DISPATCH_LEVEL);
    thread = ke_thread();
    alerted = thread->alerted[(int)AlertMode];
    thread->alerted[(int)AlertMode] = false;
    return alerted;
}
