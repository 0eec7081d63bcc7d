#include "debug.h"

#include "bug.h"
#include "interface.h"
#include "pool.h"
#include "text.h"
#include "users.h"
#include "xen.h"

#define DEBUG_TAG POOL_TAG('D', 'B', 'U', 'G')

#define DEBUG_PREFIX_SIZE 32

/* In a bugcheck the lock may be held by a processor that is stopped: how often it is tried. */
#define DEBUG_CRASH_ATTEMPTS 100000

struct _XENBUS_DEBUG_CALLBACK {
    LIST_ENTRY ListEntry;
    XENBUS_DEBUG_FUNCTION Function;
    PVOID Argument;
    CHAR Prefix[DEBUG_PREFIX_SIZE];
};

/*
 * The lock is held at HIGH_LEVEL, while callbacks run too: they may be wanted in an interrupt. It guards all that
 * follows it.
 */
struct _XENBUS_DEBUG_CONTEXT {
    INTERFACE_USERS Users;
    KBUGCHECK_CALLBACK_RECORD Record;
    LONG volatile Lock;
    LIST_ENTRY Callbacks;
    PXENBUS_DEBUG_CALLBACK Running;
    CHAR Line[XEN_LOG_LINE_SIZE];
};

static KIRQL DebugAcquireLock(_In_ PXENBUS_DEBUG_CONTEXT Context)
{
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    while (InterlockedCompareExchange(&Context->Lock, 1, 0) != 0)
        YieldProcessor();

    return Irql;
}

static VOID DebugReleaseLock(_In_ PXENBUS_DEBUG_CONTEXT Context, _In_ KIRQL Irql)
{
    InterlockedExchange(&Context->Lock, 0);
    KeLowerIrql(Irql);
}

static VOID DebugRun(_In_ PXENBUS_DEBUG_CONTEXT Context, _In_ PXENBUS_DEBUG_CALLBACK Callback, _In_ BOOLEAN Crashing)
{
    Context->Running = Callback;
    Callback->Function(Callback->Argument, Crashing);
    Context->Running = NULL;
}

static VOID DebugRunAll(_In_ PXENBUS_DEBUG_CONTEXT Context, _In_ BOOLEAN Crashing)
{
    PLIST_ENTRY ListEntry;

    for (ListEntry = Context->Callbacks.Flink; ListEntry != &Context->Callbacks; ListEntry = ListEntry->Flink)
        DebugRun(Context, CONTAINING_RECORD(ListEntry, XENBUS_DEBUG_CALLBACK, ListEntry), Crashing);
}

static NTSTATUS NTAPI DebugRegister(_In_ PINTERFACE Interface, _In_ PSTR Prefix, _In_ XENBUS_DEBUG_FUNCTION Function,
                                    _In_opt_ PVOID Argument, _Outptr_ PXENBUS_DEBUG_CALLBACK *Callback)
{
    PXENBUS_DEBUG_CONTEXT Context = Interface->Context;
    KIRQL Irql;

    *Callback = PoolAllocate(sizeof(XENBUS_DEBUG_CALLBACK), DEBUG_TAG);
    if (*Callback == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (*Callback)->Function = Function;
    (*Callback)->Argument = Argument;
    (VOID) TextPrint((*Callback)->Prefix, sizeof((*Callback)->Prefix), "%s", Prefix);

    Irql = DebugAcquireLock(Context);
    InsertTailList(&Context->Callbacks, &(*Callback)->ListEntry);
    DebugReleaseLock(Context, Irql);

    return STATUS_SUCCESS;
}

static VOID NTAPI DebugDeregister(_In_ PINTERFACE Interface, _In_ PXENBUS_DEBUG_CALLBACK Callback)
{
    PXENBUS_DEBUG_CONTEXT Context = Interface->Context;
    KIRQL Irql;

    /* The lock is held while callbacks run: this one has run when it is got. */
    Irql = DebugAcquireLock(Context);
    RemoveEntryList(&Callback->ListEntry);
    DebugReleaseLock(Context, Irql);

    PoolFree(Callback, DEBUG_TAG);
}

static VOID NTAPI DebugPrintf(_In_ PINTERFACE Interface, _In_ PCSTR Format, ...)
{
    PXENBUS_DEBUG_CONTEXT Context = Interface->Context;
    PXENBUS_DEBUG_CALLBACK Callback = Context->Running;
    va_list Arguments;
    SIZE_T Length;

    if (Callback == NULL) {
        Warning("'%s' is printed outside a debug callback", Format);
        return;
    }

    va_start(Arguments, Format);
    (VOID) TextVPrint(Context->Line, sizeof(Context->Line), Format, Arguments);
    va_end(Arguments);

    /* Clients end a line as they are used to; the log does that by itself. */
    Length = TextLength(Context->Line, sizeof(Context->Line));
    while (Length != 0 && (Context->Line[Length - 1] == '\n' || Context->Line[Length - 1] == '\r'))
        Context->Line[--Length] = '\0';

    XenLogPrintf(XEN_LOG_INFO, "%s: %s", Callback->Prefix, Context->Line);
}

static VOID NTAPI DebugTrigger(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_DEBUG_CALLBACK Callback)
{
    PXENBUS_DEBUG_CONTEXT Context = Interface->Context;
    KIRQL Irql = DebugAcquireLock(Context);

    if (Callback != NULL)
        DebugRun(Context, Callback, FALSE);
    else
        DebugRunAll(Context, FALSE);

    DebugReleaseLock(Context, Irql);
}

/* In a bugcheck: at HIGH_LEVEL, every other processor stopped wherever it was. */
static VOID NTAPI DebugCrash(_In_opt_ PVOID Buffer, _In_ ULONG Length)
{
    PXENBUS_DEBUG_CONTEXT Context = Buffer;
    ULONG Attempt;

    UNREFERENCED_PARAMETER(Length);

    for (Attempt = 0; Attempt < DEBUG_CRASH_ATTEMPTS; Attempt++) {
        if (InterlockedCompareExchange(&Context->Lock, 1, 0) == 0) {
            DebugRunAll(Context, TRUE);
            InterlockedExchange(&Context->Lock, 0);
            return;
        }
        YieldProcessor();
    }

    Warning("the list of debug callbacks is in use: none is run");
}

static NTSTATUS NTAPI DebugAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_DEBUG_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI DebugRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_DEBUG_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_DEBUG_INTERFACE_V1 DebugInterfaceV1 = {
    .DebugAcquire = DebugAcquire,
    .DebugRelease = DebugRelease,
    .DebugRegister = DebugRegister,
    .DebugPrintf = DebugPrintf,
    .DebugTrigger = DebugTrigger,
    .DebugDeregister = DebugDeregister,
};

NTSTATUS DebugGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                           _In_ ULONG Size)
{
    switch (Version) {
    case 1:
        return InterfaceFill(Interface, Size, &DebugInterfaceV1, sizeof(DebugInterfaceV1), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

NTSTATUS DebugInitialize(_Outptr_ PXENBUS_DEBUG_CONTEXT *Context)
{
    static UCHAR Component[] = "XENBUS";
    PKBUGCHECK_CALLBACK_RECORD Record;

    *Context = PoolAllocate(sizeof(XENBUS_DEBUG_CONTEXT), DEBUG_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "DEBUG");
    InitializeListHead(&(*Context)->Callbacks);

    Record = &(*Context)->Record;
    KeInitializeCallbackRecord(Record);
    if (!KeRegisterBugCheckCallback(Record, DebugCrash, *Context, sizeof(XENBUS_DEBUG_CONTEXT), Component))
        goto fail1;

    UsersEnable(&(*Context)->Users);
    return STATUS_SUCCESS;

fail1:
    Error("no bugcheck callback");

    PoolFree(*Context, DEBUG_TAG);
    *Context = NULL;
    return STATUS_UNSUCCESSFUL;
}

VOID DebugTeardown(_In_ PXENBUS_DEBUG_CONTEXT Context)
{
    UsersDisable(&Context->Users);

    if (!IsListEmpty(&Context->Callbacks)) {
        Critical("%s is still registered",
                 CONTAINING_RECORD(Context->Callbacks.Flink, XENBUS_DEBUG_CALLBACK, ListEntry)->Prefix);
        BUG("a client has released DEBUG with a callback");
    }

    (VOID) KeDeregisterBugCheckCallback(&Context->Record);
    PoolFree(Context, DEBUG_TAG);
}
