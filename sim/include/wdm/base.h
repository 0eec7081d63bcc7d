/* What all of the kernel headers stand on: IRQLs, pages, processor modes, access rights, the opaque object types. */

#ifndef PVSIM_WDM_BASE_H
#define PVSIM_WDM_BASE_H

#include <ntdef.h>
#include <ntstatus.h>
#include <bugcodes.h>

typedef UCHAR KIRQL;
typedef KIRQL *PKIRQL;

#define PASSIVE_LEVEL 0
#define LOW_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2
#define CMCI_LEVEL 5
#define CLOCK_LEVEL 13
#define IPI_LEVEL 14
#define DRS_LEVEL 14
#define POWER_LEVEL 14
#define PROFILE_LEVEL 15
#define HIGH_LEVEL 15

#ifndef PAGE_SIZE
#define PAGE_SIZE 0x1000
#endif
#ifndef PAGE_SHIFT
#define PAGE_SHIFT 12L
#endif
#define PAGE_ALIGN(address) ((PVOID)((ULONG_PTR)(address) & ~(ULONG_PTR)(PAGE_SIZE - 1)))
#define BYTE_OFFSET(address) ((ULONG)((ULONG_PTR)(address) & (PAGE_SIZE - 1)))
#define ROUND_TO_PAGES(size) (((ULONG_PTR)(size) + PAGE_SIZE - 1) & ~(ULONG_PTR)(PAGE_SIZE - 1))
#define BYTES_TO_PAGES(size) ((ULONG)(((ULONG_PTR)(size) >> PAGE_SHIFT) + (((size) & (PAGE_SIZE - 1)) != 0)))
#define ADDRESS_AND_SIZE_TO_SPAN_PAGES(address, size)                                                                  \
    ((ULONG)((BYTE_OFFSET(address) + (ULONG_PTR)(size) + (PAGE_SIZE - 1)) >> PAGE_SHIFT))
#define COMPUTE_PAGES_SPANNED(address, size) ADDRESS_AND_SIZE_TO_SPAN_PAGES(address, size)

#define MAXIMUM_WAIT_OBJECTS 64
#define THREAD_WAIT_OBJECTS 3
#define MAXIMUM_SUSPEND_COUNT MAXCHAR
#define EVENT_INCREMENT 1
#define IO_NO_INCREMENT 0
#define IO_CD_ROM_INCREMENT 1
#define IO_DISK_INCREMENT 1
#define IO_KEYBOARD_INCREMENT 6
#define IO_MAILSLOT_INCREMENT 2
#define IO_MOUSE_INCREMENT 6
#define IO_NAMED_PIPE_INCREMENT 2
#define IO_NETWORK_INCREMENT 2
#define IO_PARALLEL_INCREMENT 1
#define IO_SERIAL_INCREMENT 2
#define IO_SOUND_INCREMENT 8
#define IO_VIDEO_INCREMENT 1
#define SEMAPHORE_INCREMENT 1
#define LOW_PRIORITY 0
#define LOW_REALTIME_PRIORITY 16
#define HIGH_PRIORITY 31
#define MAXIMUM_PRIORITY 32

typedef CCHAR KPROCESSOR_MODE;
typedef enum _MODE { KernelMode, UserMode, MaximumMode } MODE;
typedef LONG KPRIORITY;

typedef ULONG ACCESS_MASK, *PACCESS_MASK;
#define DELETE 0x00010000
#define READ_CONTROL 0x00020000
#define WRITE_DAC 0x00040000
#define WRITE_OWNER 0x00080000
#define SYNCHRONIZE 0x00100000
#define STANDARD_RIGHTS_REQUIRED 0x000F0000
#define STANDARD_RIGHTS_READ READ_CONTROL
#define STANDARD_RIGHTS_WRITE READ_CONTROL
#define STANDARD_RIGHTS_EXECUTE READ_CONTROL
#define STANDARD_RIGHTS_ALL 0x001F0000
#define SPECIFIC_RIGHTS_ALL 0x0000FFFF
#define ACCESS_SYSTEM_SECURITY 0x01000000
#define MAXIMUM_ALLOWED 0x02000000
#define GENERIC_READ 0x80000000
#define GENERIC_WRITE 0x40000000
#define GENERIC_EXECUTE 0x20000000
#define GENERIC_ALL 0x10000000
#define EVENT_QUERY_STATE 0x0001
#define EVENT_MODIFY_STATE 0x0002
#define EVENT_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x3)
#define THREAD_TERMINATE 0x0001
#define THREAD_SUSPEND_RESUME 0x0002
#define THREAD_ALERT 0x0004
#define THREAD_GET_CONTEXT 0x0008
#define THREAD_SET_CONTEXT 0x0010
#define THREAD_SET_INFORMATION 0x0020
#define THREAD_QUERY_INFORMATION 0x0040
#define THREAD_SET_LIMITED_INFORMATION 0x0400
#define THREAD_QUERY_LIMITED_INFORMATION 0x0800
#define THREAD_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0xFFFF)
#define DIRECTORY_QUERY 0x0001
#define DIRECTORY_TRAVERSE 0x0002
#define DIRECTORY_CREATE_OBJECT 0x0004
#define DIRECTORY_CREATE_SUBDIRECTORY 0x0008
#define DIRECTORY_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | 0xF)

typedef PVOID PSECURITY_DESCRIPTOR;
typedef ULONG SECURITY_INFORMATION, *PSECURITY_INFORMATION;
typedef PVOID PACCESS_TOKEN, PSID;
typedef struct _ACCESS_STATE ACCESS_STATE, *PACCESS_STATE;
typedef struct _SECURITY_QUALITY_OF_SERVICE SECURITY_QUALITY_OF_SERVICE, *PSECURITY_QUALITY_OF_SERVICE;
typedef struct _IO_SECURITY_CONTEXT IO_SECURITY_CONTEXT, *PIO_SECURITY_CONTEXT;

/* Objects that drivers hold by pointer only. */
typedef struct _KTHREAD *PKTHREAD, *PRKTHREAD;
typedef struct _KTHREAD *PETHREAD;
typedef struct _KPROCESS *PKPROCESS, *PRKPROCESS;
typedef struct _KPROCESS *PEPROCESS;
typedef struct _OBJECT_TYPE *POBJECT_TYPE;
typedef struct _KINTERRUPT KINTERRUPT, *PKINTERRUPT;
typedef struct _CALLBACK_OBJECT CALLBACK_OBJECT, *PCALLBACK_OBJECT;
typedef struct _IO_WORKITEM IO_WORKITEM, *PIO_WORKITEM;
typedef struct _EX_TIMER EX_TIMER, *PEX_TIMER;
typedef struct _IRP IRP, *PIRP;
typedef struct _MDL MDL, *PMDL, *PMDLX;
typedef struct _DEVICE_OBJECT DEVICE_OBJECT, *PDEVICE_OBJECT;
typedef struct _DRIVER_OBJECT DRIVER_OBJECT, *PDRIVER_OBJECT;
typedef struct _FILE_OBJECT FILE_OBJECT, *PFILE_OBJECT;
typedef struct _CONTEXT CONTEXT, *PCONTEXT;

typedef struct _CLIENT_ID {
    HANDLE UniqueProcess;
    HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

typedef struct _IO_STATUS_BLOCK {
    union {
        NTSTATUS Status;
        PVOID Pointer;
    };
    ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;
_Static_assert(sizeof(IO_STATUS_BLOCK) == 0x10, "IO_STATUS_BLOCK");

typedef enum _INTERFACE_TYPE {
    InterfaceTypeUndefined = -1,
    Internal,
    Isa,
    Eisa,
    MicroChannel,
    TurboChannel,
    PCIBus,
    VMEBus,
    NuBus,
    PCMCIABus,
    CBus,
    MPIBus,
    MPSABus,
    ProcessorInternal,
    InternalPowerBus,
    PNPISABus,
    PNPBus,
    Vmcs,
    ACPIBus,
    MaximumInterfaceType
} INTERFACE_TYPE,
    *PINTERFACE_TYPE;

typedef enum _KINTERRUPT_MODE { LevelSensitive, Latched } KINTERRUPT_MODE;
typedef enum _KINTERRUPT_POLARITY {
    InterruptPolarityUnknown,
    InterruptActiveHigh,
    InterruptRisingEdge = InterruptActiveHigh,
    InterruptActiveLow,
    InterruptFallingEdge = InterruptActiveLow,
    InterruptActiveBoth,
    InterruptActiveBothTriggerLow = InterruptActiveBoth,
    InterruptActiveBothTriggerHigh
} KINTERRUPT_POLARITY,
    *PKINTERRUPT_POLARITY;

typedef enum _MEMORY_CACHING_TYPE {
    MmNonCached = 0,
    MmCached = 1,
    MmWriteCombined = 2,
    MmHardwareCoherentCached,
    MmNonCachedUnordered,
    MmUSWCCached,
    MmMaximumCacheType,
    MmNotMapped = -1
} MEMORY_CACHING_TYPE;

#define PAGE_NOACCESS 0x01
#define PAGE_READONLY 0x02
#define PAGE_READWRITE 0x04
#define PAGE_WRITECOPY 0x08
#define PAGE_EXECUTE 0x10
#define PAGE_EXECUTE_READ 0x20
#define PAGE_EXECUTE_READWRITE 0x40
#define PAGE_GUARD 0x100
#define PAGE_NOCACHE 0x200
#define PAGE_WRITECOMBINE 0x400

/*
 * Paged code, checked. ALLOC_PRAGMA stays undefined, as gcc knows no alloc_text pragma: PAGED_CODE() holds the rule
 * then. Functions in a section whose name begins with PAGE (code_seg, a section attribute) are out of reach at
 * DISPATCH_LEVEL with `pvsim run --paged strict`.
 */
#define PAGED_CODE() KxPagedCode(__func__)
#define PAGED_CODE_LOCKED() ((void)0)
NTKERNELAPI VOID NTAPI KxPagedCode(_In_ PCSTR Routine);

#if DBG
#define ASSERT(expression) ((expression) ? (void)0 : RtlAssert((PVOID) #expression, (PVOID)__FILE__, __LINE__, NULL))
#define ASSERTMSG(message, expression)                                                                                 \
    ((expression) ? (void)0 : RtlAssert((PVOID) #expression, (PVOID)__FILE__, __LINE__, (PSTR)(message)))
#define NT_ASSERT(expression) ASSERT(expression)
#define NT_VERIFY(expression) ASSERT(expression)
#else
#define ASSERT(expression) ((void)0)
#define ASSERTMSG(message, expression) ((void)0)
#define NT_ASSERT(expression) ((void)0)
#define NT_VERIFY(expression) ((void)(expression))
#endif
#define NT_ASSERTMSG(message, expression) ASSERTMSG(message, expression)
#define NT_ANALYSIS_ASSUME(expression) ((void)0)
NTSYSAPI VOID NTAPI RtlAssert(_In_ PVOID FailedAssertion, _In_ PVOID FileName, _In_ ULONG LineNumber,
                              _In_ PSTR Message);

/* The C run-time part of the kernel's exports. */
NTSYSAPI void *NTAPI memcpy(_Out_ void *Destination, _In_ const void *Source, _In_ size_t Size);
NTSYSAPI void *NTAPI memmove(_Out_ void *Destination, _In_ const void *Source, _In_ size_t Size);
NTSYSAPI void *NTAPI memset(_Out_ void *Destination, _In_ int Value, _In_ size_t Size);
NTSYSAPI int NTAPI memcmp(_In_ const void *First, _In_ const void *Second, _In_ size_t Size);
NTSYSAPI void *NTAPI memchr(_In_ const void *Memory, _In_ int Value, _In_ size_t Size);
NTSYSAPI size_t NTAPI strlen(_In_ const char *String);
NTSYSAPI int NTAPI strcmp(_In_ const char *First, _In_ const char *Second);
NTSYSAPI int NTAPI strncmp(_In_ const char *First, _In_ const char *Second, _In_ size_t Count);
NTSYSAPI char *NTAPI strchr(_In_ const char *String, _In_ int Character);
NTSYSAPI char *NTAPI strrchr(_In_ const char *String, _In_ int Character);
NTSYSAPI char *NTAPI strstr(_In_ const char *String, _In_ const char *Pattern);
NTSYSAPI size_t NTAPI strspn(_In_ const char *String, _In_ const char *Set);
NTSYSAPI char *NTAPI strcpy(_Out_ char *Destination, _In_ const char *Source);
NTSYSAPI char *NTAPI strncpy(_Out_ char *Destination, _In_ const char *Source, _In_ size_t Count);
NTSYSAPI char *NTAPI strcat(_Inout_ char *Destination, _In_ const char *Source);
NTSYSAPI char *NTAPI strncat(_Inout_ char *Destination, _In_ const char *Source, _In_ size_t Count);
NTSYSAPI int NTAPI _stricmp(_In_ const char *First, _In_ const char *Second);
NTSYSAPI int NTAPI _strnicmp(_In_ const char *First, _In_ const char *Second, _In_ size_t Count);
NTSYSAPI size_t NTAPI strnlen(_In_ const char *String, _In_ size_t Maximum);

/* Windows' formatting, see sim/nt/rtl/format.c: no NUL is written when the text fills the buffer; -1 when cut. */
NTSYSAPI int NTAPI _vsnprintf(_Out_ char *Buffer, _In_ size_t Count, _In_ const char *Format, _In_ va_list Arguments);
NTSYSAPI int NTAPI _snprintf(_Out_ char *Buffer, _In_ size_t Count, _In_ const char *Format, ...);
NTSYSAPI int NTAPI _vsnwprintf(_Out_ WCHAR *Buffer, _In_ size_t Count, _In_ const WCHAR *Format,
                               _In_ va_list Arguments);
NTSYSAPI int NTAPI _snwprintf(_Out_ WCHAR *Buffer, _In_ size_t Count, _In_ const WCHAR *Format, ...);

/* 16-bit wide strings under names of our own: the host's wchar_t functions have other types. */
#define wcslen nt_wcslen
#define wcsnlen nt_wcsnlen
#define wcscmp nt_wcscmp
#define wcsncmp nt_wcsncmp
#define wcscpy nt_wcscpy
#define wcsncpy nt_wcsncpy
#define wcscat nt_wcscat
#define wcschr nt_wcschr
#define wcsrchr nt_wcsrchr
#define wcsstr nt_wcsstr
#define _wcsicmp nt_wcsicmp
#define _wcsnicmp nt_wcsnicmp
NTSYSAPI size_t NTAPI nt_wcslen(_In_ const WCHAR *String);
NTSYSAPI size_t NTAPI nt_wcsnlen(_In_ const WCHAR *String, _In_ size_t Maximum);
NTSYSAPI int NTAPI nt_wcscmp(_In_ const WCHAR *First, _In_ const WCHAR *Second);
NTSYSAPI int NTAPI nt_wcsncmp(_In_ const WCHAR *First, _In_ const WCHAR *Second, _In_ size_t Count);
NTSYSAPI WCHAR *NTAPI nt_wcscpy(_Out_ WCHAR *Destination, _In_ const WCHAR *Source);
NTSYSAPI WCHAR *NTAPI nt_wcsncpy(_Out_ WCHAR *Destination, _In_ const WCHAR *Source, _In_ size_t Count);
NTSYSAPI WCHAR *NTAPI nt_wcscat(_Inout_ WCHAR *Destination, _In_ const WCHAR *Source);
NTSYSAPI WCHAR *NTAPI nt_wcschr(_In_ const WCHAR *String, _In_ WCHAR Character);
NTSYSAPI WCHAR *NTAPI nt_wcsrchr(_In_ const WCHAR *String, _In_ WCHAR Character);
NTSYSAPI WCHAR *NTAPI nt_wcsstr(_In_ const WCHAR *String, _In_ const WCHAR *Pattern);
NTSYSAPI int NTAPI nt_wcsicmp(_In_ const WCHAR *First, _In_ const WCHAR *Second);
NTSYSAPI int NTAPI nt_wcsnicmp(_In_ const WCHAR *First, _In_ const WCHAR *Second, _In_ size_t Count);

#endif
