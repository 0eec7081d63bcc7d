/* The store's side: a thread that watches control/shutdown while the device is there and in D0. */
#include "agent.h"

#define AGENT_RETRY (-1000000LL) /* 100 ms, for a bus that is not ready again yet */

static const struct {
    PCSTR Feature; /* NULL: no toolstack asks whether it is heard */
    PCSTR Name;
    ULONG Request;
} AgentRequests[] = {
    {"feature-poweroff", "poweroff", AgentPowerOff},
    {NULL, "halt", AgentPowerOff},
    {"feature-reboot", "reboot", AgentReboot},
    {"feature-s3", "s3", AgentSleep},
};

/* The store's methods take strings that they do not change. */
static PSTR AgentText(_In_ PCSTR Text)
{
    return (PSTR)(ULONG_PTR)Text;
}

static BOOLEAN AgentEqual(_In_ PCSTR Left, _In_ PCSTR Right)
{
    while (*Left != '\0' && *Left == *Right) {
        Left++;
        Right++;
    }

    return *Left == *Right;
}

static VOID AgentSetFeature(_Inout_ PAGENT Agent, _In_ PCSTR Feature, _In_ PCSTR Wanted)
{
    PSTR Value;
    BOOLEAN Set;

    if (!NT_SUCCESS(XENBUS_STORE_CALL(&Agent->Store, Read, NULL, AgentText("control"), AgentText(Feature), &Value)))
        return; /* this toolstack does not know it */

    Set = AgentEqual(Value, Wanted);
    XENBUS_STORE_CALL(&Agent->Store, Free, Value);
    if (!Set)
        (VOID) XENBUS_STORE_CALL(&Agent->Store, Printf, NULL, AgentText("control"), AgentText(Feature), "%s", Wanted);
}

/* A domain's first moments, and those after it was restored: nobody has told the toolstack yet. */
static VOID AgentAnnounce(_Inout_ PAGENT Agent, _In_ PCSTR Wanted)
{
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(AgentRequests); Index++)
        if (AgentRequests[Index].Feature != NULL)
            AgentSetFeature(Agent, AgentRequests[Index].Feature, Wanted);
}

/* What is asked for is taken off the store, in one transaction: the toolstack may take it back. */
static ULONG AgentTakeInTransaction(_Inout_ PAGENT Agent, _In_ PXENBUS_STORE_TRANSACTION Transaction)
{
    ULONG Request = AgentNone;
    ULONG Index;
    PSTR Value;

    if (!NT_SUCCESS(
            XENBUS_STORE_CALL(&Agent->Store, Read, Transaction, AgentText("control"), AgentText("shutdown"), &Value)))
        return AgentNone;

    for (Index = 0; Index < RTL_NUMBER_OF(AgentRequests); Index++)
        if (AgentEqual(Value, AgentRequests[Index].Name))
            Request = AgentRequests[Index].Request;
    XENBUS_STORE_CALL(&Agent->Store, Free, Value);

    if (Request != AgentNone && !NT_SUCCESS(XENBUS_STORE_CALL(&Agent->Store, Printf, Transaction, AgentText("control"),
                                                              AgentText("shutdown"), "%s", "")))
        return AgentNone;

    return Request;
}

static ULONG AgentTake(_Inout_ PAGENT Agent)
{
    PXENBUS_STORE_TRANSACTION Transaction;
    NTSTATUS Status;
    ULONG Request;

    do {
        Status = XENBUS_STORE_CALL(&Agent->Store, TransactionStart, &Transaction);
        if (!NT_SUCCESS(Status))
            return AgentNone;
        Request = AgentTakeInTransaction(Agent, Transaction);
        Status = XENBUS_STORE_CALL(&Agent->Store, TransactionEnd, Transaction, Request != AgentNone);
    } while (Status == STATUS_RETRY);

    return NT_SUCCESS(Status) ? Request : AgentNone;
}

static VOID AgentLook(_Inout_ PAGENT Agent)
{
    ULONG Request;

    AgentAnnounce(Agent, "1");
    Request = AgentTake(Agent);
    if (Request != AgentNone)
        AgentHandOver(Agent, Request);
}

static VOID AgentConnect(_Inout_ PAGENT Agent)
{
    if (!NT_SUCCESS(XENBUS_STORE_CALL(&Agent->Store, Acquire)))
        return;

    if (!NT_SUCCESS(XENBUS_STORE_CALL(&Agent->Store, WatchAdd, AgentText("control"), AgentText("shutdown"),
                                      &Agent->Wake, &Agent->Watch))) {
        XENBUS_STORE_CALL(&Agent->Store, Release);
        return;
    }

    Agent->Connected = TRUE;
}

static VOID AgentDisconnect(_Inout_ PAGENT Agent)
{
    if (Agent->Connected) {
        AgentAnnounce(Agent, "");
        (VOID) XENBUS_STORE_CALL(&Agent->Store, WatchRemove, Agent->Watch);
        XENBUS_STORE_CALL(&Agent->Store, Release);
    }

    Agent->Connected = FALSE;
    (VOID) KeSetEvent(&Agent->Quiet, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI AgentMain(_In_ PVOID Context)
{
    PAGENT Agent = Context;
    LARGE_INTEGER Retry;

    Retry.QuadPart = AGENT_RETRY;
    while (!Agent->Ended) {
        (VOID) KeWaitForSingleObject(&Agent->Wake, Executive, KernelMode, FALSE,
                                     Agent->Wanted && !Agent->Connected ? &Retry : NULL);
        if (!Agent->Wanted) {
            AgentDisconnect(Agent);
            continue;
        }
        if (!Agent->Connected)
            AgentConnect(Agent);
        if (Agent->Connected)
            AgentLook(Agent);
    }

    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS AgentStartThread(_Inout_ PAGENT Agent)
{
    HANDLE Handle;
    PVOID Thread;
    NTSTATUS Status;

    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, AgentMain, Agent);
    if (!NT_SUCCESS(Status))
        return Status;

    /* A handle that is ours and valid: it cannot fail. */
    (VOID) ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, &Thread, NULL);
    Agent->Thread = Thread;
    (VOID) ZwClose(Handle);

    return STATUS_SUCCESS;
}

NTSTATUS AgentListen(_Inout_ PAGENT Agent)
{
    NTSTATUS Status;

    if (Agent->Thread == NULL) {
        Status = AgentStartThread(Agent);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    KeClearEvent(&Agent->Quiet);
    (VOID) InterlockedExchange(&Agent->Wanted, TRUE);
    (VOID) KeSetEvent(&Agent->Wake, IO_NO_INCREMENT, FALSE);

    return STATUS_SUCCESS;
}

VOID AgentIgnore(_Inout_ PAGENT Agent)
{
    if (!InterlockedExchange(&Agent->Wanted, FALSE))
        return;

    (VOID) KeSetEvent(&Agent->Wake, IO_NO_INCREMENT, FALSE);
    (VOID) KeWaitForSingleObject(&Agent->Quiet, Executive, KernelMode, FALSE, NULL);
}

VOID AgentEndThread(_Inout_ PAGENT Agent)
{
    if (Agent->Thread == NULL)
        return;

    (VOID) InterlockedExchange(&Agent->Ended, TRUE);
    (VOID) KeSetEvent(&Agent->Wake, IO_NO_INCREMENT, FALSE);
    (VOID) KeWaitForSingleObject(Agent->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Agent->Thread);
    Agent->Thread = NULL;
}
