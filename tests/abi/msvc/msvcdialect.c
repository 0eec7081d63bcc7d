/*
 * A driver as somebody writes it for Microsoft's compiler. It is built with clang 19 and -fms-compatibility, see
 * tests/abi/test_msvc.c, and checks at its start that each construct means what it means there.
 */
#include <ntifs.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <ntstrsafe.h>
#include <wdmsec.h>
#include <procgrp.h>
#include <aux_klib.h>

#pragma warning(push)
#pragma warning(disable : 4201 4214 4057)
#pragma warning(suppress : 28118)
#pragma comment(lib, "wdmsec.lib")

#define DIALECT_TAG 'tlaD'

/* __FUNCTION__ joins with its neighbours, and a comma before an empty __VA_ARGS__ goes. */
#define Trace(_Format, ...)                                                                                            \
    DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "msvcdialect|" __FUNCTION__ ": " _Format, __VA_ARGS__)
#define Name() "msvcdialect|" __FUNCTION__

/* Pasting behind an arrow. */
#define FIELD(_Pointer, _Name) ((_Pointer)->##_Name)

/* Bit-fields in nameless structures and unions. */
typedef struct _FLAGS {
    union {
        struct {
            ULONG Low : 4;
            ULONG Middle : 12;
            ULONG High : 16;
        };
        ULONG All;
    };
} FLAGS, *PFLAGS;

/* A structure with a name as a nameless member. */
typedef struct _HEADER {
    USHORT Kind;
    USHORT Length;
} HEADER;

typedef struct _MESSAGE {
    struct _HEADER;
    ULONG Body;
} MESSAGE, *PMESSAGE;

#include <pshpack1.h>
typedef struct _PACKED {
    UCHAR First;
    ULONG Second;
} PACKED;
#include <poppack.h>

typedef __declspec(align(64)) struct _LINE {
    ULONG Word;
} LINE;

__declspec(selectany) ULONG Shared = 7;
__declspec(allocate("INITDATA")) static ULONG InitialValue = 3;

static __declspec(noinline) __int64 Widen(__int32 Value)
{
    return (unsigned __int64)(unsigned __int32)Value << 32 | 0x12345678i64;
}

static __forceinline unsigned __int8 Narrow(unsigned __int16 Value)
{
    return (unsigned __int8)Value;
}

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD DriverUnload;

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, DriverUnload)
#endif

static VOID DriverUnload(_In_ PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    Trace("unloaded\n");
}

static BOOLEAN Preprocessor(VOID)
{
    FLAGS Flags;
    PFLAGS Pointer = &Flags;

    Trace("<====>\n");
    Trace("%s %d\n", "arguments", 2);
    Flags.All = 0xABCD1234;
    return strcmp(Name(), "msvcdialect|Preprocessor") == 0 && FIELD(Pointer, Low) == 4 && Flags.Middle == 0x123 &&
           FIELD(Pointer, High) == 0xABCD;
}

static BOOLEAN Layout(VOID)
{
    MESSAGE Message = {{1, 2}, 3};
    wchar_t Wide[] = L"wide";

    C_ASSERT(sizeof(long long) == 8 && sizeof(LONG) == 4 && sizeof(wchar_t) == 2);
    C_ASSERT(sizeof(PACKED) == 5);
    C_ASSERT(sizeof(LINE) == 64);
    return Message.Kind == 1 && Message.Length == 2 && Message.Body == 3 && sizeof(Wide) == 10 &&
           DIALECT_TAG == 0x746C6144 && Shared == 7 && InitialValue == 3 && Widen(-1) == 0xFFFFFFFF12345678i64 &&
           Narrow(0x1234) == 0x34;
}

static NTSTATUS Guarded(ULONG Case, PULONG Runs)
{
    PVOID Block = NULL;
    NTSTATUS Status = STATUS_SUCCESS;

    __try {
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 16, DIALECT_TAG);
        if (Block == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
        switch (Case) {
        case 0:
            ExFreePoolWithTag(Block, DIALECT_TAG);
            return STATUS_ALERTED;
        case 1:
            ExRaiseStatus(STATUS_CANCELLED);
        case 2:
            *(volatile ULONG *)0x1000 = 1;
            break;
        case 3:
            __leave;
        default:
            ProbeForRead((PVOID)1, 8, 8);
        }
        (*Runs)++;
    } __except (GetExceptionCode() == STATUS_CANCELLED || GetExceptionCode() == STATUS_ACCESS_VIOLATION ||
                        GetExceptionCode() == STATUS_DATATYPE_MISALIGNMENT
                    ? EXCEPTION_EXECUTE_HANDLER
                    : EXCEPTION_CONTINUE_SEARCH) {
        Status = GetExceptionCode();
    }
    ExFreePoolWithTag(Block, DIALECT_TAG);
    return Status;
}

static BOOLEAN Finally(VOID)
{
    ULONG Normal = 0;
    ULONG Abnormal = 0;
    ULONG Round;

    for (Round = 0; Round < 2; Round++) {
        __try {
            __try {
                if (Round == 1)
                    ExRaiseStatus(STATUS_TIMEOUT);
            } __finally {
                if (AbnormalTermination())
                    Abnormal++;
                else
                    Normal++;
            }
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            if (GetExceptionCode() != STATUS_TIMEOUT)
                return FALSE;
        }
    }
    return Normal == 1 && Abnormal == 1;
}

static ULONG LeaveBody(PULONG Runs)
{
    ULONG Value = 5;

    __try {
        return Value;
    } __finally {
        if (AbnormalTermination())
            (*Runs)++;
        Value = 6;
    }
    return Value;
}

static BOOLEAN Exceptions(VOID)
{
    ULONG Runs = 0;

    return Guarded(0, &Runs) == STATUS_ALERTED && Guarded(1, &Runs) == STATUS_CANCELLED &&
           Guarded(2, &Runs) == STATUS_ACCESS_VIOLATION && Guarded(3, &Runs) == STATUS_SUCCESS &&
           Guarded(4, &Runs) == STATUS_DATATYPE_MISALIGNMENT && Runs == 0 && LeaveBody(&Runs) == 5 && Runs == 1;
}

NTSTATUS DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    BOOLEAN Good = Preprocessor();

    UNREFERENCED_PARAMETER(RegistryPath);
    Good = Layout() && Good;
    Good = Exceptions() && Good;
    Good = Finally() && Good;
    Trace("%s\n", Good ? "all as with Microsoft's compiler" : "FAILED");
    DriverObject->DriverUnload = DriverUnload;
    return Good ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}

#pragma warning(pop)
