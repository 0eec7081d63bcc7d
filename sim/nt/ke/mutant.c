/* Mutexes. */
#include "nt/ke/ke.h"

VOID NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level)
{
    NT_CALL_ANY();
    UNREFERENCED_PARAMETER(Level);
    lock_initialised(Mutex, __func__);
    Mutex->Header.Lock = 0;
    Mutex->Header.Type = MutantObject;
    Mutex->Header.Size = sizeof(*Mutex) / sizeof(LONG);
    Mutex->Header.SignalState = 1;
    InitializeListHead(&Mutex->Header.WaitListHead);
    Mutex->OwnerThread = NULL;
    Mutex->Abandoned = FALSE;
    Mutex->ApcDisable = 1;
}

LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait)
{
    LONG old;

    NT_CALL(DISPATCH_LEVEL);
    if (Wait && ke_irql() > APC_LEVEL)
        nt_violation_sub("irql", ke_irql(), 0, 0, "KeReleaseMutex with Wait = TRUE at IRQL %u", ke_irql());
    if (Mutex->OwnerThread != ke_thread())
        lock_report_not_owner(Mutex, LOCK_MUTEX, __func__);
    old = Mutex->Header.SignalState;
    if (old + 1 == 1) {
        lock_thread_remove(Mutex, LOCK_MUTEX, __func__);
        RemoveEntryList(&Mutex->MutantListEntry);
        Mutex->OwnerThread = NULL;
        ke_thread()->mutex_regions -= Mutex->ApcDisable;
    }
    ke_signal(&Mutex->Header, old + 1, 1);
    ke_apcs_allowed();
    sched_point(POINT_CALL);
    return old;
}

LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex)
{
    NT_CALL(DISPATCH_LEVEL);
    return Mutex->Header.SignalState;
}

void ke_abandon_mutants(struct _KTHREAD *thread)
{
    if (!IsListEmpty(&thread->mutants)) {
        const uint64_t parameter[4] = {(uint64_t)(uintptr_t)thread, (uint64_t)(uintptr_t)thread->mutants.Flink, 0, 0};

        nt_violation_code(THREAD_TERMINATE_HELD_MUTEX, parameter, "mutex-held-at-exit",
                          "thread %s ends while it owns a mutex", thread->name);
    }
}
