/* What cases use and is no test itself. */
#include "nttest.h"

LARGE_INTEGER InMilliseconds(LONGLONG Milliseconds)
{
    LARGE_INTEGER Due;

    Due.QuadPart = -Milliseconds * MILLISECOND;
    return Due;
}

VOID SleepMilliseconds(LONGLONG Milliseconds)
{
    LARGE_INTEGER Interval = InMilliseconds(Milliseconds);

    (VOID) KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

PVOID TestStart(PKSTART_ROUTINE Routine, PVOID Context)
{
    OBJECT_ATTRIBUTES Attributes;
    PVOID Thread = NULL;
    HANDLE Handle;
    NTSTATUS Status;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, &Attributes, NULL, NULL, Routine, Context);
    CHECK(NT_SUCCESS(Status));
    if (!NT_SUCCESS(Status))
        return NULL;
    Status = ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, &Thread, NULL);
    CHECK(NT_SUCCESS(Status));
    (VOID) ZwClose(Handle);
    return Thread;
}

VOID TestJoin(PVOID Thread)
{
    if (Thread == NULL)
        return;
    CHECK(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    ObDereferenceObject(Thread);
}

VOID StayOn(ULONG Processor)
{
    (VOID) KeSetSystemAffinityThreadEx((KAFFINITY)1 << Processor);
}

VOID MoveFreely(VOID)
{
    KeRevertToUserAffinityThreadEx(0);
}

PVOID TestAllocate(SIZE_T Size)
{
    PVOID Memory = ExAllocatePoolWithTag(NonPagedPoolNx, Size, TEST_TAG);

    CHECK(Memory != NULL);
    if (Memory != NULL)
        RtlZeroMemory(Memory, Size);
    return Memory;
}

VOID TestFree(PVOID Memory)
{
    if (Memory != NULL)
        ExFreePoolWithTag(Memory, TEST_TAG);
}
