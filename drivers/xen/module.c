/*
 * Which module an address lies in. The kernel tells of each image that it loads from now on, and lists those that it
 * has loaded before; of an unloaded one it does not tell, so that a module is known until another takes its place.
 *
 * A bugcheck looks here when it runs alone and can wait for nobody: each change of the list is a single store, so that
 * the list is whole whenever the changes stop.
 */
#include "driver.h"
#include "log.h"
#include "pool.h"
#include "text.h"

#define MODULE_NAME_SIZE 64

#define MODULE_ATTEMPTS 8 /* at a list that grows while it is asked for */
#define MODULE_SLACK 16   /* more of them than there were a moment ago */

struct _XEN_MODULE {
    PXEN_MODULE Next;
    ULONG_PTR Base;
    SIZE_T Size;
    CHAR Name[MODULE_NAME_SIZE];
};

/* As ZwQuerySystemInformation gives SystemModuleInformation. Not in the driver kit's headers. */
#define SYSTEM_MODULE_INFORMATION 11

typedef struct _MODULE_LIST_ENTRY {
    PVOID Reserved[2];
    PVOID ImageBase;
    ULONG ImageSize;
    ULONG Flags;
    USHORT LoadOrderIndex;
    USHORT InitOrderIndex;
    USHORT LoadCount;
    USHORT OffsetToFileName;
    CHAR FullPathName[256];
} MODULE_LIST_ENTRY;

typedef struct _MODULE_LIST {
    ULONG Count;
    MODULE_LIST_ENTRY Entry[1];
} MODULE_LIST, *PMODULE_LIST;

typedef NTSTATUS(NTAPI *QUERY_SYSTEM_INFORMATION)(_In_ ULONG Class, _Out_writes_bytes_(Size) PVOID Buffer,
                                                  _In_ ULONG Size, _Out_opt_ PULONG Needed);

/* HIGH_LEVEL, as whoever looks up an address may be there. */
static KIRQL ModulesLock(_Inout_ PXEN_MODULES Modules)
{
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    KeAcquireSpinLockAtDpcLevel(&Modules->Lock);

    return Irql;
}

static VOID ModulesUnlock(_Inout_ PXEN_MODULES Modules, _In_ KIRQL Irql)
{
    KeReleaseSpinLockFromDpcLevel(&Modules->Lock);
    KeLowerIrql(Irql);
}

/* What a new image lies over is gone, and is handed back as a list. Called with the lock held. */
static PXEN_MODULE TakeOverlapped(_Inout_ PXEN_MODULES Modules, _In_ const XEN_MODULE *New)
{
    PXEN_MODULE volatile *Link = &Modules->First;
    PXEN_MODULE Taken = NULL;

    while (*Link != NULL) {
        PXEN_MODULE Module = *Link;

        if (Module->Base < New->Base + New->Size && New->Base < Module->Base + Module->Size) {
            *Link = Module->Next;
            Module->Next = Taken;
            Taken = Module;
        } else {
            Link = (PXEN_MODULE volatile *)&Module->Next;
        }
    }

    return Taken;
}

static VOID FreeModules(_In_opt_ PXEN_MODULE Module)
{
    while (Module != NULL) {
        PXEN_MODULE Next = Module->Next;

        PoolFree(Module, XEN_TAG);
        Module = Next;
    }
}

/* Takes over New. */
static VOID AddModule(_Inout_ PXEN_MODULES Modules, _In_ PXEN_MODULE New)
{
    PXEN_MODULE Taken;
    KIRQL Irql;

    Irql = ModulesLock(Modules);
    Taken = TakeOverlapped(Modules, New);
    New->Next = Modules->First;
    WritePointerRelease((PVOID volatile *)&Modules->First, New);
    ModulesUnlock(Modules, Irql);

    FreeModules(Taken);
}

PAGED_FUNCTION static PXEN_MODULE MakeModule(_In_ PVOID Base, _In_ SIZE_T Size)
{
    PXEN_MODULE Module;

    if (Size == 0 || (ULONG_PTR)Base + Size < (ULONG_PTR)Base)
        return NULL;

    Module = PoolAllocate(sizeof(XEN_MODULE), XEN_TAG);
    if (Module == NULL) {
        Warning("no memory to remember an image at %p", Base);
        return NULL;
    }

    Module->Base = (ULONG_PTR)Base;
    Module->Size = Size;

    return Module;
}

/* An image has been loaded, and has not run yet. It may be one of a process, which is nobody's concern here. */
PAGED_FUNCTION static VOID NTAPI ImageLoaded(_In_opt_ PUNICODE_STRING Path, _In_ HANDLE ProcessId,
                                             _In_ PIMAGE_INFO Image)
{
    PXEN_MODULE Module;
    ULONG Length = 0;
    ULONG Index;

    PAGED_CODE();

    UNREFERENCED_PARAMETER(ProcessId);

    if (!Image->SystemModeImage)
        return;

    Module = MakeModule(Image->ImageBase, Image->ImageSize);
    if (Module == NULL)
        return;

    for (Index = 0; Path != NULL && Index < Path->Length / sizeof(WCHAR); Index++) {
        WCHAR Character = Path->Buffer[Index];

        if (Character == L'\\')
            Length = 0;
        else if (Length < MODULE_NAME_SIZE - 1)
            Module->Name[Length++] = (Character >= 0x20 && Character < 0x7F) ? (CHAR)Character : '?';
    }
    Module->Name[Length] = '\0';

    AddModule(&XenGetContext()->Modules, Module);
}

/* The kernel's list, to be freed by PoolFree; NULL if it cannot be had. */
PAGED_FUNCTION static PMODULE_LIST QueryModuleList(VOID)
{
    QUERY_SYSTEM_INFORMATION Query;
    PMODULE_LIST List;
    UNICODE_STRING Name;
    ULONG Attempt;
    ULONG Needed = 0;
    NTSTATUS Status;

    /* May go from one Windows to the next, as its documentation says: looked for by name. */
    RtlInitUnicodeString(&Name, L"ZwQuerySystemInformation");
    Query = (QUERY_SYSTEM_INFORMATION)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    if (Query == NULL)
        return NULL;

    for (Attempt = 0; Attempt < MODULE_ATTEMPTS; Attempt++) {
        ULONG Size = Needed + MODULE_SLACK * sizeof(MODULE_LIST_ENTRY);

        List = PoolAllocate(Size, XEN_TAG);
        if (List == NULL)
            return NULL;

        Status = Query(SYSTEM_MODULE_INFORMATION, List, Size, &Needed);
        if (NT_SUCCESS(Status))
            return List;

        PoolFree(List, XEN_TAG);
        if (Status != STATUS_INFO_LENGTH_MISMATCH)
            return NULL;
    }

    return NULL;
}

static BOOLEAN ModuleIsKnown(_Inout_ PXEN_MODULES Modules, _In_ PVOID Base)
{
    BOOLEAN Known;
    KIRQL Irql;

    Irql = ModulesLock(Modules);
    Known = ModuleFind(Modules, (ULONG_PTR)Base) != NULL;
    ModulesUnlock(Modules, Irql);

    return Known;
}

PAGED_FUNCTION static VOID AddListed(_Inout_ PXEN_MODULES Modules, _In_ const MODULE_LIST_ENTRY *Entry)
{
    PXEN_MODULE Module;
    PCSTR Name = Entry->FullPathName;
    SIZE_T Length;

    if (ModuleIsKnown(Modules, Entry->ImageBase))
        return; /* loaded since, and told of */

    Module = MakeModule(Entry->ImageBase, Entry->ImageSize);
    if (Module == NULL)
        return;

    if (Entry->OffsetToFileName < sizeof(Entry->FullPathName))
        Name += Entry->OffsetToFileName;
    Length = TextLength(
        Name, min((SIZE_T)(Entry->FullPathName + sizeof(Entry->FullPathName) - Name), (SIZE_T)MODULE_NAME_SIZE - 1));
    RtlCopyMemory(Module->Name, Name, Length);
    Module->Name[Length] = '\0';

    AddModule(Modules, Module);
}

PAGED_FUNCTION VOID ModulesInitialize(_Out_ PXEN_MODULES Modules)
{
    PMODULE_LIST List;
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    RtlZeroMemory(Modules, sizeof(XEN_MODULES));
    KeInitializeSpinLock(&Modules->Lock);

    /* Before the list is asked for, so that none is missed. */
    Status = PsSetLoadImageNotifyRoutine(ImageLoaded);
    Modules->Notified = NT_SUCCESS(Status);
    if (!Modules->Notified)
        Warning("images that are loaded from now on will have no name (%08x)", Status);

    List = QueryModuleList();
    if (List == NULL) {
        Warning("images that are there have no name");
        return;
    }

    for (Index = 0; Index < List->Count; Index++)
        AddListed(Modules, &List->Entry[Index]);

    PoolFree(List, XEN_TAG);
}

PAGED_FUNCTION VOID ModulesTeardown(_Inout_ PXEN_MODULES Modules)
{
    PAGED_CODE();

    if (Modules->Notified)
        (VOID) PsRemoveLoadImageNotifyRoutine(ImageLoaded);
    Modules->Notified = FALSE;

    FreeModules(Modules->First);
    Modules->First = NULL;
}

PXEN_MODULE
ModuleFind(_In_ PXEN_MODULES Modules, _In_ ULONG_PTR Address)
{
    PXEN_MODULE Module;

    for (Module = ReadPointerAcquire((PVOID const volatile *)&Modules->First); Module != NULL; Module = Module->Next)
        if (Address - Module->Base < Module->Size)
            return Module;

    return NULL;
}

VOID ModuleDescribe(_In_ PXEN_MODULES Modules, _In_ ULONG_PTR Address, _Out_writes_(Size) PSTR Text, _In_ SIZE_T Size)
{
    PXEN_MODULE Module = ModuleFind(Modules, Address);

    if (Module != NULL)
        (VOID) TextPrint(Text, Size, "%s+0x%llx", Module->Name, (ULONGLONG)(Address - Module->Base));
    else
        (VOID) TextPrint(Text, Size, "?");
}

NTSTATUS NTAPI XenQueryModule(_In_ PVOID Address, _Out_writes_(Size) PSTR Name, _In_ SIZE_T Size, _Out_ PVOID *Base)
{
    PXEN_MODULES Modules = &XenGetContext()->Modules;
    PXEN_MODULE Module;
    NTSTATUS Status = STATUS_NOT_FOUND;
    KIRQL Irql;

    Irql = ModulesLock(Modules);
    Module = ModuleFind(Modules, (ULONG_PTR)Address);
    if (Module != NULL)
        Status = TextPrint(Name, Size, "%s", Module->Name);
    if (NT_SUCCESS(Status))
        *Base = (PVOID)Module->Base;
    ModulesUnlock(Modules, Irql);

    return Status;
}
