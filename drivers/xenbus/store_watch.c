/*
 * Watches. A watch is known by its token, a number of ours: paths come back as the daemon likes to write them.
 */
#include "clock.h"
#include "log.h"
#include "pool.h"
#include "status.h"
#include "store_private.h"
#include "text.h"

#define STORE_TOKEN_SIZE sizeof("FFFFFFFF")

/* How often after a resume, and with what pause in between, a watch is registered that is refused for a moment. */
#define STORE_RESTORE_ATTEMPTS 16
#define STORE_RESTORE_PAUSE CLOCK_MILLISECONDS(500)

static NTSTATUS StoreCopyPath(_In_opt_ PCSTR Prefix, _In_ PCSTR Node, _Outptr_ PSTR *Path)
{
    SIZE_T PrefixLength = Prefix != NULL ? TextLength(Prefix, XENSTORE_ABS_PATH_MAX + 1) + 1 : 0;
    SIZE_T Size = PrefixLength + TextLength(Node, XENSTORE_ABS_PATH_MAX + 1) + 1;

    *Path = NULL;

    if (Size > XENSTORE_ABS_PATH_MAX)
        return STATUS_BUFFER_OVERFLOW;

    *Path = PoolAllocate(Size, STORE_TAG);
    if (*Path == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    return TextPrint(*Path, Size, "%s%s%s", Prefix != NULL ? Prefix : "", Prefix != NULL ? "/" : "", Node);
}

/* One request for the beginning and the end of a watch, whose payloads are the same: path and token. */
static NTSTATUS StoreCreateWatchRequest(_In_ PCSTR Path, _In_ ULONG Id, _Outptr_ PSTORE_REQUEST *Request)
{
    CHAR Token[STORE_TOKEN_SIZE];
    STORE_SEGMENT Segments[2];

    (VOID) TextPrint(Token, sizeof(Token), "%08X", Id);

    Segments[0].Data = Path;
    Segments[0].Length = TextLength(Path, XENSTORE_ABS_PATH_MAX) + 1;
    Segments[1].Data = Token;
    Segments[1].Length = sizeof(Token);

    return StoreCreateRequest(XS_WATCH, 0, Segments, RTL_NUMBER_OF(Segments), Request);
}

static VOID StoreFreeWatch(_In_ PXENBUS_STORE_WATCH Watch)
{
    if (Watch->Request != NULL)
        StoreFreeRequest(Watch->Request);
    PoolFree(Watch->Path, STORE_TAG);
    PoolFree(Watch, STORE_TAG);
}

static VOID StoreUnlinkWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PXENBUS_STORE_WATCH Watch)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    RemoveEntryList(&Watch->ListEntry);
    if (Watch->Request != NULL)
        Watch->Request->Restored = NULL;
    KeReleaseSpinLock(&Context->Lock, Irql);
}

NTSTATUS StoreAddWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_opt_ PCSTR Prefix, _In_ PCSTR Node, _In_ PKEVENT Event,
                       _Outptr_ PXENBUS_STORE_WATCH *Watch)
{
    PXENBUS_STORE_WATCH New;
    NTSTATUS Status;
    KIRQL Irql;

    *Watch = NULL;

    New = PoolAllocate(sizeof(XENBUS_STORE_WATCH), STORE_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Event = Event;

    Status = StoreCopyPath(Prefix, Node, &New->Path);
    if (!NT_SUCCESS(Status))
        goto fail1;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    New->Id = ++Context->LastWatchId;
    KeReleaseSpinLock(&Context->Lock, Irql);

    Status = StoreCreateWatchRequest(New->Path, New->Id, &New->Request);
    if (!NT_SUCCESS(Status))
        goto fail1;

    /* Known before the daemon is told: it fires the watch at once. */
    KeAcquireSpinLock(&Context->Lock, &Irql);
    InsertTailList(&Context->Watches, &New->ListEntry);
    StoreSubmitRequest(Context, NULL, New->Request);
    KeReleaseSpinLock(&Context->Lock, Irql);

    /* A token is never used twice: where the daemon knows it, a resume has told it meanwhile. */
    Status = StoreAwaitRequest(Context, &New->Request);
    if (!NT_SUCCESS(Status) && Status != STATUS_OBJECT_NAME_COLLISION) {
        Error("%s (%08x)", New->Path, Status);
        (VOID) StoreRemoveWatch(Context, New);
        return Status;
    }

    *Watch = New;
    return STATUS_SUCCESS;

fail1:
    if (New->Path != NULL)
        PoolFree(New->Path, STORE_TAG);
    PoolFree(New, STORE_TAG);
    return Status;
}

NTSTATUS StoreRemoveWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PXENBUS_STORE_WATCH Watch)
{
    NTSTATUS Status = STATUS_SUCCESS;

    /* The event is set under the lock, of what is in the list: not any more from here on. */
    StoreUnlinkWatch(Context, Watch);

    /* A resume may have it on its way to the daemon once more. */
    if (Watch->Request != NULL)
        Status = StoreAwaitRequest(Context, &Watch->Request);
    if (Watch->Request != NULL) {
        Watch->Request->Header.type = XS_UNWATCH;
        Status = StoreExecuteRequest(Context, NULL, &Watch->Request);
    }
    if (!NT_SUCCESS(Status))
        Warning("%s (%08x)", Watch->Path, Status);

    StoreFreeWatch(Watch);
    return Status;
}

VOID StoreFinishRestore(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PXENBUS_STORE_WATCH Watch, _In_ NTSTATUS Status)
{
    LARGE_INTEGER Pause;

    if (StatusIsForNow(Status) && ++Watch->Refusals < STORE_RESTORE_ATTEMPTS) {
        Pause.QuadPart = -(LONGLONG)STORE_RESTORE_PAUSE;
        (VOID) KeSetTimer(&Context->RestoreTimer, Pause, &Context->RestoreDpc);
        return;
    }

    Watch->Refusals = 0;

    /* A resume in place has lost nothing: the daemon knows the watch, and what changed meanwhile is unknown. */
    if (Status == STATUS_OBJECT_NAME_COLLISION)
        (VOID) KeSetEvent(Watch->Event, IO_NO_INCREMENT, FALSE);
    else if (!NT_SUCCESS(Status))
        Error("%s is not watched any more (%08x)", Watch->Path, Status);
}

/* Lock is held. */
static VOID StoreRestoreWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_ PXENBUS_STORE_WATCH Watch)
{
    /* One that is being added is on its way to the new daemon already, or was given up. */
    if (Watch->Request == NULL || Watch->Request->State != STORE_REQUEST_DONE)
        return;

    Watch->Request->Header.type = XS_WATCH;
    Watch->Request->Restored = Watch;
    StoreSubmitRequest(Context, NULL, Watch->Request);
}

VOID StoreRestoreWatches(_In_ PXENBUS_STORE_CONTEXT Context)
{
    PLIST_ENTRY ListEntry;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);

    for (ListEntry = Context->Watches.Flink; ListEntry != &Context->Watches; ListEntry = ListEntry->Flink) {
        PXENBUS_STORE_WATCH Watch = CONTAINING_RECORD(ListEntry, XENBUS_STORE_WATCH, ListEntry);

        Watch->Refusals = 0;
        StoreRestoreWatch(Context, Watch);
    }

    KeReleaseSpinLock(&Context->Lock, Irql);
}

_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI StoreRestoreDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1,
                                  _In_opt_ PVOID Argument2)
{
    PXENBUS_STORE_CONTEXT Context = Argument;
    PLIST_ENTRY ListEntry;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    KeAcquireSpinLockAtDpcLevel(&Context->Lock);

    for (ListEntry = Context->Watches.Flink; ListEntry != &Context->Watches; ListEntry = ListEntry->Flink) {
        PXENBUS_STORE_WATCH Watch = CONTAINING_RECORD(ListEntry, XENBUS_STORE_WATCH, ListEntry);

        if (Watch->Refusals != 0)
            StoreRestoreWatch(Context, Watch);
    }

    KeReleaseSpinLockFromDpcLevel(&Context->Lock);
}

VOID StoreInitializeRestore(_In_ PXENBUS_STORE_CONTEXT Context)
{
    KeInitializeTimer(&Context->RestoreTimer);
    KeInitializeDpc(&Context->RestoreDpc, StoreRestoreDpc, Context);
}

VOID StoreEndRestore(_In_ PXENBUS_STORE_CONTEXT Context)
{
    (VOID) KeCancelTimer(&Context->RestoreTimer);
}

VOID StoreFireWatch(_In_ PXENBUS_STORE_CONTEXT Context, _In_reads_(Length) PCSTR Payload, _In_ ULONG Length)
{
    SIZE_T PathLength = TextLength(Payload, Length);
    PLIST_ENTRY ListEntry;
    ULONG Id;

    /* Both strings end within the message; the NUL after it makes the second one a string in any case. */
    if (PathLength == Length || !NT_SUCCESS(TextToUlong(Payload + PathLength + 1, 16, &Id))) {
        Warning("a watch event without a token of ours");
        return;
    }

    for (ListEntry = Context->Watches.Flink; ListEntry != &Context->Watches; ListEntry = ListEntry->Flink) {
        PXENBUS_STORE_WATCH Watch = CONTAINING_RECORD(ListEntry, XENBUS_STORE_WATCH, ListEntry);

        if (Watch->Id == Id) {
            (VOID) KeSetEvent(Watch->Event, IO_NO_INCREMENT, FALSE);
            return;
        }
    }

    Trace("%s: token %08X is of no watch, or of one that was just removed", Payload, Id);
}
