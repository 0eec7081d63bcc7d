/* System threads, as drivers make them. */
#include <stdio.h>

#include "machine/backtrace.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                                    HANDLE ProcessHandle, PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext)
{
    struct _KTHREAD *thread;
    char name[RUNNER_NAME_MAX];
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(THREAD))
        return STATUS_INSUFFICIENT_RESOURCES;
    UNREFERENCED_PARAMETER(DesiredAccess); /* kernel callers are not checked for access */
    UNREFERENCED_PARAMETER(ObjectAttributes);
    if (ProcessHandle != NULL)
        NT_UNIMPLEMENTED("a thread in another process than System (leave ProcessHandle NULL)");
    loader_describe(name, sizeof(name), (const void *)(uintptr_t)StartRoutine);
    thread = ke_thread_create(name, StartRoutine, NULL, StartContext, 8);
    if (ClientId != NULL) {
        ClientId->UniqueProcess = (HANDLE)(ULONG_PTR)4;
        ClientId->UniqueThread = (HANDLE)(ULONG_PTR)(thread->id * 4);
    }
    status = ob_handle_create(thread, ThreadHandle);
    ob_dereference(thread);
    return status;
}

NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus)
{
    NT_CALL(PASSIVE_LEVEL);
    ke_thread_exit(ExitStatus);
}

HANDLE NTAPI PsGetCurrentThreadId(VOID)
{
    NT_CALL_ANY();
    return (HANDLE)(ULONG_PTR)(ke_thread()->id * 4);
}

HANDLE NTAPI PsGetCurrentProcessId(VOID)
{
    NT_CALL_ANY();
    return (HANDLE)(ULONG_PTR)4; /* System */
}

PKTHREAD NTAPI KeGetCurrentThread(VOID)
{
    return ke_thread();
}

KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority)
{
    KPRIORITY old;

    NT_CALL(PASSIVE_LEVEL);
    if (Priority < 1 || Priority > 31)
        nt_violation("thread-priority", "KeSetPriorityThread with the priority %d", Priority);
    old = Thread->priority;
    ke_thread_set_priority(Thread, Priority);
    sched_point(POINT_CALL); /* one that is ready may deserve the processor more now */
    return old;
}

KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread)
{
    NT_CALL(PASSIVE_LEVEL);
    return Thread->priority;
}
