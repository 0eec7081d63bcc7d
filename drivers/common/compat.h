/*
 * Fills the gaps between the kernel headers that the drivers are built with: the Windows driver kit, mingw-w64's DDK
 * and the headers of a Linux build. Included after <ntddk.h>. Each definition is one of the driver kit's own, with its
 * documented meaning, and takes effect only where the headers in use lack it.
 */
#ifndef DRIVER_COMPAT_H
#define DRIVER_COMPAT_H

#include <ntddk.h>
#include <stdarg.h>
#include <stddef.h>

#ifndef DBG
#define DBG 0
#endif

/*
 * mingw-w64's DDK (version 10) has no accessors that order memory. They are macros here because a newer version may
 * have them as inline functions, which cannot be asked for.
 */
#if defined(__MINGW32__)

#include <intrin.h>

#define ReadULongAcquire(_Source) __atomic_load_n((const volatile ULONG *)(_Source), __ATOMIC_ACQUIRE)
#define ReadULongNoFence(_Source) __atomic_load_n((const volatile ULONG *)(_Source), __ATOMIC_RELAXED)
#define WriteULongRelease(_Target, _Value) __atomic_store_n((volatile ULONG *)(_Target), (_Value), __ATOMIC_RELEASE)
#define WriteULongNoFence(_Target, _Value) __atomic_store_n((volatile ULONG *)(_Target), (_Value), __ATOMIC_RELAXED)

#define ReadAcquire(_Source) __atomic_load_n((const volatile LONG *)(_Source), __ATOMIC_ACQUIRE)
#define ReadNoFence(_Source) __atomic_load_n((const volatile LONG *)(_Source), __ATOMIC_RELAXED)
#define WriteRelease(_Target, _Value) __atomic_store_n((volatile LONG *)(_Target), (_Value), __ATOMIC_RELEASE)
#define WriteNoFence(_Target, _Value) __atomic_store_n((volatile LONG *)(_Target), (_Value), __ATOMIC_RELAXED)

#define ReadULong64Acquire(_Source) __atomic_load_n((const volatile ULONG64 *)(_Source), __ATOMIC_ACQUIRE)
#define ReadULong64NoFence(_Source) __atomic_load_n((const volatile ULONG64 *)(_Source), __ATOMIC_RELAXED)
#define WriteULong64Release(_Target, _Value) __atomic_store_n((volatile ULONG64 *)(_Target), (_Value), __ATOMIC_RELEASE)

#define ReadPointerAcquire(_Source) __atomic_load_n((PVOID const volatile *)(_Source), __ATOMIC_ACQUIRE)
#define WritePointerRelease(_Target, _Value) __atomic_store_n((PVOID volatile *)(_Target), (_Value), __ATOMIC_RELEASE)

/* Declared there for 32-bit processors only. */
#if !defined(KeMemoryBarrier)
#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

/* Declared there for programs only. */
#if !defined(PreFetchCacheLine)
#define PF_TEMPORAL_LEVEL_1 3
#define PF_TEMPORAL_LEVEL_2 2
#define PreFetchCacheLine(_Level, _Address) __builtin_prefetch((_Address), 0, (_Level))
#define PrefetchForWrite(_Address) __asm__ volatile("prefetchw %0" : : "m"(*(const volatile CHAR *)(_Address)))
#endif

/* Not declared there: unwinding, what is printed for a debugger, what a bugcheck's triage data callback is given. */
typedef struct _RUNTIME_FUNCTION {
    ULONG BeginAddress;
    ULONG EndAddress;
    ULONG UnwindData;
} RUNTIME_FUNCTION, *PRUNTIME_FUNCTION;

struct _UNWIND_HISTORY_TABLE;
struct _KNONVOLATILE_CONTEXT_POINTERS;

#define UNW_FLAG_NHANDLER 0

NTSYSAPI VOID NTAPI RtlCaptureContext(PCONTEXT ContextRecord);
NTSYSAPI PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase,
                                                        struct _UNWIND_HISTORY_TABLE *HistoryTable);
NTSYSAPI PVOID NTAPI RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc,
                                      PRUNTIME_FUNCTION FunctionEntry, PCONTEXT ContextRecord, PVOID *HandlerData,
                                      PULONG64 EstablisherFrame,
                                      struct _KNONVOLATILE_CONTEXT_POINTERS *ContextPointers);

#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3

typedef VOID(NTAPI *PDEBUG_PRINT_CALLBACK)(PSTRING Output, ULONG ComponentId, ULONG Level);
NTSYSAPI NTSTATUS NTAPI DbgSetDebugPrintCallback(PDEBUG_PRINT_CALLBACK DebugPrintCallback, BOOLEAN Enable);

#define KB_TRIAGE_DUMP_DATA_FLAG_BUGCHECK_ACTIVE 0x00000001

typedef struct _KBUGCHECK_TRIAGE_DUMP_DATA {
    struct _KTRIAGE_DUMP_DATA_ARRAY *DataArray;
    ULONG Flags;
    ULONG MaxVirtMemSize;
    ULONG BugCheckCode;
    ULONG_PTR BugCheckParameter1;
    ULONG_PTR BugCheckParameter2;
    ULONG_PTR BugCheckParameter3;
    ULONG_PTR BugCheckParameter4;
} KBUGCHECK_TRIAGE_DUMP_DATA, *PKBUGCHECK_TRIAGE_DUMP_DATA;

/* There, the argument is not in parentheses. */
#undef KeInitializeCallbackRecord
#define KeInitializeCallbackRecord(_Record) ((VOID)((_Record)->State = BufferEmpty))

#endif /* __MINGW32__ */

#ifndef min
#define min(_A, _B) (((_A) < (_B)) ? (_A) : (_B))
#endif

#ifndef max
#define max(_A, _B) (((_A) > (_B)) ? (_A) : (_B))
#endif

#ifndef MdlMappingNoExecute
#define MdlMappingNoExecute 0x40000000
#endif

/* Code that may be paged out. Ahead of a definition. */
#if defined(__GNUC__)
#define PAGED_FUNCTION __attribute__((section("PAGE")))
#else
#define PAGED_FUNCTION __declspec(code_seg("PAGE"))
#endif

/* The one name, beside exports, that a driver shows to its loader: in a Linux module symbols are hidden otherwise. */
#if !defined(_WIN32)
__attribute__((visibility("default")))
#endif
DRIVER_INITIALIZE DriverEntry;

/* A pool tag from four characters, in the order in which the tools show them. */
#define POOL_TAG(_A, _B, _C, _D)                                                                                       \
    ((ULONG)(UCHAR)(_A) | ((ULONG)(UCHAR)(_B) << 8) | ((ULONG)(UCHAR)(_C) << 16) | ((ULONG)(UCHAR)(_D) << 24))

/* Annotations for static analysis. */
#ifndef _IRQL_requires_
#define _IRQL_requires_(_Irql)
#endif
#ifndef _IRQL_requires_max_
#define _IRQL_requires_max_(_Irql)
#endif
#ifndef _IRQL_requires_min_
#define _IRQL_requires_min_(_Irql)
#endif
#ifndef _IRQL_requires_same_
#define _IRQL_requires_same_
#endif
#ifndef _IRQL_raises_
#define _IRQL_raises_(_Irql)
#endif
#ifndef _IRQL_saves_
#define _IRQL_saves_
#endif
#ifndef _IRQL_restores_
#define _IRQL_restores_
#endif
#ifndef _Dispatch_type_
#define _Dispatch_type_(_Type)
#endif
#ifndef _Function_class_
#define _Function_class_(_Class)
#endif
#ifndef _Use_decl_annotations_
#define _Use_decl_annotations_
#endif
#ifndef _Must_inspect_result_
#define _Must_inspect_result_
#endif
#ifndef _Requires_lock_held_
#define _Requires_lock_held_(_Lock)
#endif
#ifndef _Requires_lock_not_held_
#define _Requires_lock_not_held_(_Lock)
#endif
#ifndef _Acquires_lock_
#define _Acquires_lock_(_Lock)
#endif
#ifndef _Releases_lock_
#define _Releases_lock_(_Lock)
#endif
#ifndef _Printf_format_string_
#define _Printf_format_string_
#endif

#endif /* DRIVER_COMPAT_H */
