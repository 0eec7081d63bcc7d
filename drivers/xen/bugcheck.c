/*
 * What the log says of a bugcheck: its code and parameters, the registers, and the stack as offsets in modules.
 *
 * It is written at HIGH_LEVEL by the one processor that still runs: no lock is taken, nothing is allocated or waited
 * for. Windows calls the first callback, which knows the stack, in any bugcheck, and the second, which is told the code
 * and its parameters, when it prepares the dump; without one (or before Windows 10 version 1809) the code is not known
 * here.
 */
#include "driver.h"
#include "log.h"

#define BUGCHECK_FRAMES 64 /* of a stack, the innermost; also the end of one that goes round in circles */

#define BUGCHECK_TEXT_SIZE 96

static UCHAR BugcheckComponent[] = "XEN";

/*
 * Goes on to the calling function; FALSE if there is none, or it cannot be found. A function without an entry in its
 * module's table is a leaf, which has nothing on the stack but its return address.
 */
static BOOLEAN GoToCaller(_In_ PXEN_MODULES Modules, _Inout_ PCONTEXT Frame)
{
    PRUNTIME_FUNCTION Function;
    ULONG64 ImageBase = 0;
    ULONG64 EstablisherFrame;
    PVOID HandlerData;

    if (ModuleFind(Modules, (ULONG_PTR)Frame->Rip) == NULL)
        return FALSE;

    Function = RtlLookupFunctionEntry(Frame->Rip, &ImageBase, NULL);
    if (Function != NULL) {
        (VOID) RtlVirtualUnwind(UNW_FLAG_NHANDLER, ImageBase, Frame->Rip, Function, Frame, &HandlerData,
                                &EstablisherFrame, NULL);
    } else {
        Frame->Rip = *(PULONG64)(ULONG_PTR)Frame->Rsp;
        Frame->Rsp += sizeof(ULONG64);
    }

    return Frame->Rip != 0;
}

/*
 * From here through the kernel, which has stopped the machine, to whoever made it do that. FALSE, and Frame as it was:
 * the kernel's own frames were never left.
 */
static BOOLEAN GoToCulprit(_In_ PXEN_BUGCHECK Bugcheck, _In_ PXEN_MODULES Modules, _Inout_ PCONTEXT Frame)
{
    BOOLEAN InKernel = FALSE;
    ULONG Count;

    for (Count = 0; Count < BUGCHECK_FRAMES; Count++) {
        PXEN_MODULE Module = ModuleFind(Modules, (ULONG_PTR)Frame->Rip);

        if (Module == NULL)
            break;
        if (Module == ModuleFind(Modules, Bugcheck->Kernel))
            InKernel = TRUE;
        else if (InKernel)
            return TRUE;
        if (!GoToCaller(Modules, Frame))
            break;
    }

    *Frame = Bugcheck->Captured;

    return FALSE;
}

static VOID LogRegisters(_In_ PXEN_MODULES Modules, _In_ const CONTEXT *Frame, _In_ BOOLEAN Culprit)
{
    CHAR Where[BUGCHECK_TEXT_SIZE];

    ModuleDescribe(Modules, (ULONG_PTR)Frame->Rip, Where, sizeof(Where));

    Critical("registers %s %s:", Culprit ? "in" : "of the callback, in", Where);
    Critical("rip %016llx rsp %016llx rbp %016llx efl %08x", Frame->Rip, Frame->Rsp, Frame->Rbp, Frame->EFlags);
    Critical("rax %016llx rbx %016llx rcx %016llx rdx %016llx", Frame->Rax, Frame->Rbx, Frame->Rcx, Frame->Rdx);
    Critical("rsi %016llx rdi %016llx r8  %016llx r9  %016llx", Frame->Rsi, Frame->Rdi, Frame->R8, Frame->R9);
    Critical("r10 %016llx r11 %016llx r12 %016llx r13 %016llx", Frame->R10, Frame->R11, Frame->R12, Frame->R13);
    Critical("r14 %016llx r15 %016llx", Frame->R14, Frame->R15);
}

static VOID LogStack(_In_ PXEN_MODULES Modules, _Inout_ PCONTEXT Frame)
{
    CHAR Where[BUGCHECK_TEXT_SIZE];
    ULONG Count = 0;

    Critical("stack of processor %u:", KeGetCurrentProcessorNumberEx(NULL));

    do {
        ModuleDescribe(Modules, (ULONG_PTR)Frame->Rip, Where, sizeof(Where));
        Critical("%02u %016llx %016llx %s", Count, Frame->Rsp, Frame->Rip, Where);
    } while (++Count < BUGCHECK_FRAMES && GoToCaller(Modules, Frame));
}

_Function_class_(KBUGCHECK_CALLBACK_ROUTINE)
static VOID NTAPI BugcheckStack(_In_ PVOID Buffer, _In_ ULONG Length)
{
    PXEN_MODULES Modules = &XenGetContext()->Modules;
    PXEN_BUGCHECK Bugcheck = Buffer;
    BOOLEAN Culprit;

    UNREFERENCED_PARAMETER(Length);

    LoggerCrash(&XenGetContext()->Logger);

    /* Both are in the module's data, as there may be little of the stack left. */
    RtlCaptureContext(&Bugcheck->Captured);

    Bugcheck->Frame = Bugcheck->Captured;
    Culprit = GoToCulprit(Bugcheck, Modules, &Bugcheck->Frame);
    LogRegisters(Modules, &Bugcheck->Frame, Culprit);

    Bugcheck->Frame = Bugcheck->Captured;
    LogStack(Modules, &Bugcheck->Frame);
}

_Function_class_(KBUGCHECK_REASON_CALLBACK_ROUTINE)
static VOID NTAPI BugcheckReason(_In_ KBUGCHECK_CALLBACK_REASON Reason,
                                 _In_ struct _KBUGCHECK_REASON_CALLBACK_RECORD *Record, _Inout_ PVOID Data,
                                 _In_ ULONG Length)
{
    PKBUGCHECK_TRIAGE_DUMP_DATA Triage = Data;
    PXEN_MODULES Modules = &XenGetContext()->Modules;
    ULONG_PTR Parameter[4];
    ULONG Index;

    UNREFERENCED_PARAMETER(Record);

    if (Reason != KbCallbackTriageDumpData || Length < sizeof(KBUGCHECK_TRIAGE_DUMP_DATA) ||
        (Triage->Flags & KB_TRIAGE_DUMP_DATA_FLAG_BUGCHECK_ACTIVE) == 0)
        return;

    LoggerCrash(&XenGetContext()->Logger);

    Parameter[0] = Triage->BugCheckParameter1;
    Parameter[1] = Triage->BugCheckParameter2;
    Parameter[2] = Triage->BugCheckParameter3;
    Parameter[3] = Triage->BugCheckParameter4;

    Critical("bugcheck %08x (%016llx, %016llx, %016llx, %016llx)", Triage->BugCheckCode, (ULONGLONG)Parameter[0],
             (ULONGLONG)Parameter[1], (ULONGLONG)Parameter[2], (ULONGLONG)Parameter[3]);

    for (Index = 0; Index < RTL_NUMBER_OF(Parameter); Index++) {
        CHAR Where[BUGCHECK_TEXT_SIZE];

        if (ModuleFind(Modules, Parameter[Index]) == NULL)
            continue;
        ModuleDescribe(Modules, Parameter[Index], Where, sizeof(Where));
        Critical("parameter %u is %s", Index + 1, Where);
    }
}

PAGED_FUNCTION VOID BugcheckInitialize(_Out_ PXEN_BUGCHECK Bugcheck)
{
    UNICODE_STRING Name;

    PAGED_CODE();

    RtlZeroMemory(Bugcheck, sizeof(XEN_BUGCHECK));

    /* By name: the address that an import gives may be that of a jump of our own. */
    RtlInitUnicodeString(&Name, L"KeBugCheckEx");
    Bugcheck->Kernel = (ULONG_PTR)MmGetSystemRoutineAddress(&Name);

    KeInitializeCallbackRecord(&Bugcheck->StackRecord);
    if (!KeRegisterBugCheckCallback(&Bugcheck->StackRecord, BugcheckStack, Bugcheck, sizeof(XEN_BUGCHECK),
                                    BugcheckComponent))
        Warning("the log will not show the stack of a bugcheck");

    KeInitializeCallbackRecord(&Bugcheck->ReasonRecord);
    if (!KeRegisterBugCheckReasonCallback(&Bugcheck->ReasonRecord, BugcheckReason, KbCallbackTriageDumpData,
                                          BugcheckComponent))
        Warning("the log will not show the code of a bugcheck");
}

PAGED_FUNCTION VOID BugcheckTeardown(_Inout_ PXEN_BUGCHECK Bugcheck)
{
    PAGED_CODE();

    /* Each does nothing to a record that is not registered. */
    (VOID) KeDeregisterBugCheckReasonCallback(&Bugcheck->ReasonRecord);
    (VOID) KeDeregisterBugCheckCallback(&Bugcheck->StackRecord);
}
