#include "thread.h"
#include "bug.h"
#include "pool.h"

#define THREAD_TAG POOL_TAG('D', 't', 'h', 'r')

struct _DRIVER_THREAD {
    DRIVER_THREAD_FUNCTION Function;
    PVOID Context;
    KEVENT Event;
    KEVENT Started;
    LONG Alerted;
    PVOID Object; /* the kernel's thread object, referenced */
    NTSTATUS Result;
};

/*
 * The thread takes the reference to its own object: that cannot fail, while a handle can fail to become a reference
 * when the thread already runs.
 */
static VOID NTAPI ThreadStart(_In_ PVOID Argument)
{
    PDRIVER_THREAD Self = Argument;

    Self->Object = PsGetCurrentThread();
    ObReferenceObject(Self->Object);
    (VOID) KeSetEvent(&Self->Started, IO_NO_INCREMENT, FALSE);

    Self->Result = Self->Function(Self, Self->Context);

    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
    BUG("a system thread went on after its end");
}

PAGED_FUNCTION NTSTATUS ThreadCreate(_In_ DRIVER_THREAD_FUNCTION Function, _In_opt_ PVOID Context,
                                     _Outptr_ PDRIVER_THREAD *Thread)
{
    PDRIVER_THREAD New;
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Handle;
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(DRIVER_THREAD), THREAD_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Function = Function;
    New->Context = Context;
    KeInitializeEvent(&New->Event, SynchronizationEvent, FALSE);
    KeInitializeEvent(&New->Started, NotificationEvent, FALSE);

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);

    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, &Attributes, NULL, NULL, ThreadStart, New);
    if (!NT_SUCCESS(Status))
        goto fail;

    (VOID) ZwClose(Handle);
    (VOID) KeWaitForSingleObject(&New->Started, Executive, KernelMode, FALSE, NULL);

    *Thread = New;

    return STATUS_SUCCESS;

fail:
    Error("PsCreateSystemThread failed (%08x)", Status);
    PoolFree(New, THREAD_TAG);

    return Status;
}

PKEVENT
ThreadGetEvent(_In_ PDRIVER_THREAD Thread)
{
    return &Thread->Event;
}

VOID ThreadWake(_In_ PDRIVER_THREAD Thread)
{
    (VOID) KeSetEvent(&Thread->Event, IO_NO_INCREMENT, FALSE);
}

VOID ThreadAlert(_In_ PDRIVER_THREAD Thread)
{
    (VOID) InterlockedExchange(&Thread->Alerted, TRUE);
    ThreadWake(Thread);
}

BOOLEAN
ThreadIsAlerted(_In_ PDRIVER_THREAD Self)
{
    return ReadAcquire(&Self->Alerted) != FALSE;
}

NTSTATUS
ThreadWait(_In_ PDRIVER_THREAD Self, _In_opt_ PLARGE_INTEGER Timeout)
{
    return KeWaitForSingleObject(&Self->Event, Executive, KernelMode, FALSE, Timeout);
}

PAGED_FUNCTION NTSTATUS ThreadJoin(_In_ PDRIVER_THREAD Thread)
{
    NTSTATUS Result;

    PAGED_CODE();

    ASSERT(ThreadIsAlerted(Thread));

    (VOID) KeWaitForSingleObject(Thread->Object, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread->Object);

    Result = Thread->Result;
    PoolFree(Thread, THREAD_TAG);

    return Result;
}
