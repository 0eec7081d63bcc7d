/*
 * The base types of Windows NT, for a Linux x86-64 build.
 *
 * LONG and ULONG are 32-bit, WCHAR is 16-bit (build with -fshort-wchar), pointers and SIZE_T 64-bit, structures have
 * the x64 Windows layout. NTAPI is the calling convention of every kernel routine and callback: empty for native
 * drivers, overridable for a build that serves Windows binaries.
 */

#ifndef PVSIM_NTDEF_H
#define PVSIM_NTDEF_H

/* clang in Microsoft's dialect (-fms-extensions): what that compiler takes without a word. */
#ifdef __has_declspec_attribute
#if __has_declspec_attribute(align)
#define PVSIM_MS_DIALECT
#endif
#endif
#ifdef PVSIM_MS_DIALECT
#pragma clang diagnostic ignored "-Wmicrosoft"
#pragma clang diagnostic ignored "-Winvalid-token-paste"
#pragma clang diagnostic ignored "-Wunknown-pragmas"
#pragma clang diagnostic ignored "-Wignored-pragmas"
#pragma clang diagnostic ignored "-Wpragma-pack"
#pragma clang diagnostic ignored "-Wmultichar"
#endif

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sal.h>
#include <guiddef.h>

#ifndef NTAPI
#define NTAPI
#endif
#define FASTCALL NTAPI
#define WINAPI NTAPI
#define CALLBACK NTAPI
#define APIENTRY NTAPI
#define __cdecl
#define __stdcall
#define __fastcall
#define _cdecl
#define _stdcall

/* What the kernel exports to drivers is declared with one of these, one routine a statement. */
#define NTKERNELAPI __attribute__((visibility("default")))
#define NTSYSAPI __attribute__((visibility("default")))
#define NTHALAPI __attribute__((visibility("default")))
#define NTSYSCALLAPI NTSYSAPI

#define DECLSPEC_IMPORT
#define DECLSPEC_EXPORT __attribute__((visibility("default"), used))
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define DECLSPEC_ALIGN(bytes) __attribute__((aligned(bytes)))
#define DECLSPEC_CACHEALIGN DECLSPEC_ALIGN(SYSTEM_CACHE_ALIGNMENT_SIZE)
#define DECLSPEC_SELECTANY __attribute__((weak))
#define DECLSPEC_DEPRECATED __attribute__((deprecated))
#define DECLSPEC_RESTRICT
#define DECLSPEC_NOTHROW
#define DECLSPEC_UUID(text)
#define DECLSPEC_NOVTABLE
#ifndef __declspec
#define __declspec(what) PVSIM_DECLSPEC_##what
#define PVSIM_DECLSPEC_dllexport DECLSPEC_EXPORT
#define PVSIM_DECLSPEC_dllimport
#define PVSIM_DECLSPEC_noreturn __attribute__((noreturn))
#define PVSIM_DECLSPEC_noinline __attribute__((noinline))
#define PVSIM_DECLSPEC_selectany __attribute__((weak))
#define PVSIM_DECLSPEC_thread __thread
#define PVSIM_DECLSPEC_nothrow
#define PVSIM_DECLSPEC_noalias
#define PVSIM_DECLSPEC_novtable
#define PVSIM_DECLSPEC_restrict
#define PVSIM_DECLSPEC_deprecated __attribute__((deprecated))
#define PVSIM_DECLSPEC_uuid(text)
#define PVSIM_DECLSPEC_allocate(name) __attribute__((section(name)))
#define PVSIM_DECLSPEC_code_seg(name) __attribute__((section(name)))
#ifdef PVSIM_MS_DIALECT
/* The compiler's own, which may also stand before the structure that it aligns. */
#define PVSIM_DECLSPEC_align(bytes) __declspec(align(bytes))
#else
#define PVSIM_DECLSPEC_align(bytes) __attribute__((aligned(bytes)))
#endif
#endif

#ifndef FORCEINLINE
#define FORCEINLINE static inline __attribute__((always_inline, unused))
#endif
#define CFORCEINLINE FORCEINLINE
#define __forceinline inline __attribute__((always_inline, unused))
#define UNALIGNED
#define RESTRICTED_POINTER __restrict__
#define POINTER_ALIGNMENT DECLSPEC_ALIGN(8)
#define MEMORY_ALLOCATION_ALIGNMENT 16
#define SYSTEM_CACHE_ALIGNMENT_SIZE 64
#define POINTER_32
#define POINTER_64
#define EXTERN_C extern
#define FAR
#define NEAR
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define VOID void

typedef char CHAR, CCHAR;
typedef unsigned char UCHAR, BOOLEAN, BYTE;
typedef short SHORT, CSHORT;
typedef unsigned short USHORT, WORD, LANGID;
typedef int LONG, INT, BOOL;
typedef unsigned int ULONG, UINT, DWORD, CLONG, LCID, LOGICAL;
typedef long long LONGLONG, LONG64, INT64, USN;
typedef unsigned long long ULONGLONG, ULONG64, UINT64, DWORDLONG, DWORD64;
typedef signed char INT8, SCHAR;
typedef unsigned char UINT8;
typedef short INT16;
typedef unsigned short UINT16;
typedef int INT32, LONG32;
typedef unsigned int UINT32, ULONG32, DWORD32;
typedef float FLOAT;
typedef double DOUBLE;
typedef long long LONG_PTR, INT_PTR;
typedef unsigned long long ULONG_PTR, UINT_PTR, DWORD_PTR;
typedef size_t SIZE_T;
typedef ptrdiff_t SSIZE_T;
typedef ULONG_PTR KAFFINITY;
typedef wchar_t WCHAR;
typedef LONG NTSTATUS;
typedef LONG HRESULT;
typedef void *PVOID, *LPVOID, *HANDLE, *PVOID64;
typedef const void *PCVOID, *LPCVOID;
typedef HANDLE *PHANDLE;

typedef CHAR *PCHAR, *PSTR, *LPSTR, *PCCHAR, *PSZ, *NPSTR, *PNZCH, *PCH;
typedef const CHAR *PCSTR, *LPCSTR, *PCSZ, *PCNZCH, *PCCH, *LPCCH;
typedef WCHAR *PWCHAR, *PWSTR, *LPWSTR, *PWCH, *NWPSTR, *PZZWSTR;
typedef const WCHAR *PCWSTR, *LPCWSTR, *PCWCH, *PCZZWSTR;
typedef UCHAR *PUCHAR, *PBOOLEAN, *PBYTE;
typedef const UCHAR *PCUCHAR;
typedef SHORT *PSHORT, *PCSHORT;
typedef USHORT *PUSHORT, *PWORD;
typedef LONG *PLONG, *PINT, *PBOOL;
typedef ULONG *PULONG, *PUINT, *PDWORD, *PLCID, *PLOGICAL;
typedef const ULONG *PCULONG;
typedef LONGLONG *PLONGLONG, *PLONG64, *PINT64;
typedef ULONGLONG *PULONGLONG, *PULONG64, *PUINT64, *PDWORDLONG;
typedef SCHAR *PSCHAR, *PINT8;
typedef UINT8 *PUINT8;
typedef INT16 *PINT16;
typedef UINT16 *PUINT16;
typedef INT32 *PINT32, *PLONG32;
typedef UINT32 *PUINT32, *PULONG32;
typedef LONG_PTR *PLONG_PTR, *PINT_PTR;
typedef ULONG_PTR *PULONG_PTR, *PUINT_PTR, *PDWORD_PTR;
typedef SIZE_T *PSIZE_T;
typedef SSIZE_T *PSSIZE_T;
typedef KAFFINITY *PKAFFINITY;
typedef NTSTATUS *PNTSTATUS;
#ifndef __int64
#define __int64 long long
#define __int32 int
#define __int16 short
#define __int8 char
#endif

_Static_assert(sizeof(WCHAR) == 2, "build with -fshort-wchar");
_Static_assert(sizeof(ULONG) == 4 && sizeof(ULONG_PTR) == sizeof(void *) && sizeof(SIZE_T) == 8, "LLP64 base types");

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#define ANSI_NULL ((CHAR)0)
#define UNICODE_NULL ((WCHAR)0)
#define UNICODE_STRING_MAX_BYTES ((USHORT)65534)
#define UNICODE_STRING_MAX_CHARS 32767
#define MINCHAR 0x80
#define MAXCHAR 0x7f
#define MINSHORT 0x8000
#define MAXSHORT 0x7fff
#define MINLONG 0x80000000
#define MAXLONG 0x7fffffff
#define MAXUCHAR 0xff
#define MAXUSHORT 0xffff
#define MAXULONG 0xffffffffu
#define MAXDWORD 0xffffffffu
#define MAXLONGLONG 0x7fffffffffffffffLL
#define MAXLONG64 0x7fffffffffffffffLL
#define MINLONG64 (-MAXLONG64 - 1)
#define MAXULONGLONG 0xffffffffffffffffULL
#define MAXULONG64 0xffffffffffffffffULL
#define MAXULONG_PTR ((ULONG_PTR) ~(ULONG_PTR)0)
#define MAXLONG_PTR ((LONG_PTR)(MAXULONG_PTR >> 1))
#define MAXSIZE_T ((SIZE_T) ~(SIZE_T)0)
#define MAXIMUM_PROCESSORS 64

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    struct {
        ULONG LowPart;
        ULONG HighPart;
    };
    struct {
        ULONG LowPart;
        ULONG HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _LUID {
    ULONG LowPart;
    LONG HighPart;
} LUID, *PLUID;

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY, *RESTRICTED_POINTER PRLIST_ENTRY;
typedef const LIST_ENTRY *PCLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

typedef struct _STRING {
    USHORT Length;
    USHORT MaximumLength;
    PCHAR Buffer;
} STRING, *PSTRING, ANSI_STRING, *PANSI_STRING, OEM_STRING, *POEM_STRING, UTF8_STRING, *PUTF8_STRING;
typedef const STRING *PCSTRING, *PCANSI_STRING, *PCOEM_STRING, *PCUTF8_STRING;

typedef struct _UNICODE_STRING {
    USHORT Length;
    USHORT MaximumLength;
    PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;
typedef const OBJECT_ATTRIBUTES *PCOBJECT_ATTRIBUTES;

_Static_assert(sizeof(UNICODE_STRING) == 0x10, "UNICODE_STRING");
_Static_assert(sizeof(OBJECT_ATTRIBUTES) == 0x30, "OBJECT_ATTRIBUTES");

#define OBJ_INHERIT 0x00000002
#define OBJ_PERMANENT 0x00000010
#define OBJ_EXCLUSIVE 0x00000020
#define OBJ_CASE_INSENSITIVE 0x00000040
#define OBJ_OPENIF 0x00000080
#define OBJ_OPENLINK 0x00000100
#define OBJ_KERNEL_HANDLE 0x00000200
#define OBJ_FORCE_ACCESS_CHECK 0x00000400
#define OBJ_IGNORE_IMPERSONATED_DEVICEMAP 0x00000800
#define OBJ_DONT_REPARSE 0x00001000
#define OBJ_VALID_ATTRIBUTES 0x00001FF2

#define InitializeObjectAttributes(p, n, a, r, s)                                                                      \
    do {                                                                                                               \
        (p)->Length = sizeof(OBJECT_ATTRIBUTES);                                                                       \
        (p)->RootDirectory = (r);                                                                                      \
        (p)->Attributes = (a);                                                                                         \
        (p)->ObjectName = (n);                                                                                         \
        (p)->SecurityDescriptor = (s);                                                                                 \
        (p)->SecurityQualityOfService = NULL;                                                                          \
    } while (0)

#define RTL_CONSTANT_OBJECT_ATTRIBUTES(n, a)                                                                           \
    {                                                                                                                  \
        sizeof(OBJECT_ATTRIBUTES), NULL, (PUNICODE_STRING)(n), (a), NULL, NULL                                         \
    }

typedef struct _PROCESSOR_NUMBER {
    USHORT Group;
    UCHAR Number;
    UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

typedef struct _GROUP_AFFINITY {
    KAFFINITY Mask;
    USHORT Group;
    USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;

#define ALL_PROCESSOR_GROUPS 0xffff

typedef enum _EVENT_TYPE { NotificationEvent, SynchronizationEvent } EVENT_TYPE;
typedef enum _TIMER_TYPE { NotificationTimer, SynchronizationTimer } TIMER_TYPE;
typedef enum _WAIT_TYPE { WaitAll, WaitAny, WaitNotification, WaitDequeue, WaitDpc } WAIT_TYPE;

#define FIELD_OFFSET(type, field) ((LONG)offsetof(type, field))
#define UFIELD_OFFSET(type, field) ((ULONG)offsetof(type, field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define RTL_SIZEOF_THROUGH_FIELD(type, field) (offsetof(type, field) + RTL_FIELD_SIZE(type, field))
#define RTL_CONTAINS_FIELD(structure, size, field)                                                                     \
    ((((PCHAR)(&(structure)->field)) + sizeof((structure)->field)) <= (((PCHAR)(structure)) + (size)))
#define RTL_NUMBER_OF(array) (sizeof(array) / sizeof((array)[0]))
#define RTL_NUMBER_OF_V1(array) RTL_NUMBER_OF(array)
#define RTL_NUMBER_OF_V2(array) RTL_NUMBER_OF(array)
#define ARRAYSIZE(array) RTL_NUMBER_OF(array)
#define _ARRAYSIZE(array) RTL_NUMBER_OF(array)
#define _countof(array) RTL_NUMBER_OF(array)
#define CONTAINING_RECORD(address, type, field) ((type *)((PCHAR)(address)-offsetof(type, field)))
#define C_ASSERT(expression) _Static_assert(expression, #expression)
#define UNREFERENCED_PARAMETER(name) ((void)(name))
#define DBG_UNREFERENCED_PARAMETER(name) ((void)(name))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(name) ((void)(name))
#define DEFAULT_UNREACHABLE                                                                                            \
    default:                                                                                                           \
        __builtin_unreachable()
#define __assume(expression) ((void)0)
#define __noop(...) ((void)0)

#define DECLARE_HANDLE(name)                                                                                           \
    typedef struct name##__ {                                                                                          \
        int unused;                                                                                                    \
    } * name

#define NT_SUCCESS(status) (((NTSTATUS)(status)) >= 0)
#define NT_INFORMATION(status) ((((ULONG)(status)) >> 30) == 1)
#define NT_WARNING(status) ((((ULONG)(status)) >> 30) == 2)
#define NT_ERROR(status) ((((ULONG)(status)) >> 30) == 3)

#define RTL_CONSTANT_STRING(s)                                                                                         \
    {                                                                                                                  \
        sizeof(s) - sizeof((s)[0]), sizeof(s), (void *)(s)                                                             \
    }
#define DECLARE_CONST_UNICODE_STRING(name, text)                                                                       \
    static const WCHAR name##_buffer[] = text;                                                                         \
    static const UNICODE_STRING name = {sizeof(text) - sizeof(WCHAR), sizeof(text), (PWCH)name##_buffer}
#define DECLARE_UNICODE_STRING_SIZE(name, size)                                                                        \
    WCHAR name##_buffer[size];                                                                                         \
    UNICODE_STRING name = {0, (size) * sizeof(WCHAR), name##_buffer}

#define ALIGN_DOWN_BY(length, alignment) ((ULONG_PTR)(length) & ~((ULONG_PTR)(alignment)-1))
#define ALIGN_UP_BY(length, alignment) ALIGN_DOWN_BY(((ULONG_PTR)(length) + (alignment)-1), alignment)
#define ALIGN_DOWN(length, type) ALIGN_DOWN_BY(length, sizeof(type))
#define ALIGN_UP(length, type) ALIGN_UP_BY(length, sizeof(type))
#define ALIGN_DOWN_POINTER_BY(address, alignment) ((PVOID)ALIGN_DOWN_BY(address, alignment))
#define ALIGN_UP_POINTER_BY(address, alignment) ((PVOID)ALIGN_UP_BY(address, alignment))
#define ALIGN_DOWN_POINTER(address, type) ALIGN_DOWN_POINTER_BY(address, sizeof(type))
#define ALIGN_UP_POINTER(address, type) ALIGN_UP_POINTER_BY(address, sizeof(type))

#define LOBYTE(w) ((UCHAR)((ULONG_PTR)(w)&0xff))
#define HIBYTE(w) ((UCHAR)(((ULONG_PTR)(w) >> 8) & 0xff))
#define LOWORD(l) ((USHORT)((ULONG_PTR)(l)&0xffff))
#define HIWORD(l) ((USHORT)(((ULONG_PTR)(l) >> 16) & 0xffff))
#define Int32x32To64(a, b) (((LONGLONG)(LONG)(a)) * ((LONGLONG)(LONG)(b)))
#define UInt32x32To64(a, b) (((ULONGLONG)(ULONG)(a)) * ((ULONGLONG)(ULONG)(b)))
#define UlongToPtr(value) ((PVOID)(ULONG_PTR)(ULONG)(value))
#define LongToPtr(value) ((PVOID)(LONG_PTR)(LONG)(value))
#define ULongToPtr(value) UlongToPtr(value)
#define UlongToHandle(value) ((HANDLE)(ULONG_PTR)(ULONG)(value))
#define LongToHandle(value) ((HANDLE)(LONG_PTR)(LONG)(value))
#define PtrToUlong(pointer) ((ULONG)(ULONG_PTR)(pointer))
#define PtrToLong(pointer) ((LONG)(LONG_PTR)(pointer))
#define HandleToUlong(handle) ((ULONG)(ULONG_PTR)(handle))
#define HandleToULong(handle) HandleToUlong(handle)
#define HandleToLong(handle) ((LONG)(LONG_PTR)(handle))
#define PtrToUint(pointer) ((UINT)(ULONG_PTR)(pointer))

#define MAKELANGID(primary, sub) ((((USHORT)(sub)) << 10) | (USHORT)(primary))
#define LANG_NEUTRAL 0x00
#define SUBLANG_NEUTRAL 0x00

#define _WIN32_WINNT_WIN7 0x0601
#define _WIN32_WINNT_WIN8 0x0602
#define _WIN32_WINNT_WIN10 0x0A00
#define NTDDI_WIN7 0x06010000
#define NTDDI_WIN8 0x06020000
#define NTDDI_WIN10 0x0A000000
#ifndef _WIN32_WINNT
#define _WIN32_WINNT _WIN32_WINNT_WIN10
#endif
#ifndef NTDDI_VERSION
#define NTDDI_VERSION NTDDI_WIN10
#endif
#ifndef _AMD64_
#define _AMD64_ 1
#endif
#ifndef _WIN64
#define _WIN64 1
#endif
#ifndef DBG
#define DBG 0
#endif

#endif
