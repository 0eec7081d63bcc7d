/* The auxiliary kernel library: the list of loaded modules, the firmware's tables. */

#ifndef PVSIM_AUX_KLIB_H
#define PVSIM_AUX_KLIB_H

#include <wdm.h>

#define AUX_KLIB_MODULE_PATH_LEN 256

typedef struct _AUX_MODULE_BASIC_INFO {
    PVOID ImageBase;
} AUX_MODULE_BASIC_INFO, *PAUX_MODULE_BASIC_INFO;

typedef struct _AUX_MODULE_EXTENDED_INFO {
    AUX_MODULE_BASIC_INFO BasicInfo;
    ULONG ImageSize;
    USHORT FileNameOffset;
    UCHAR FullPathName[AUX_KLIB_MODULE_PATH_LEN];
} AUX_MODULE_EXTENDED_INFO, *PAUX_MODULE_EXTENDED_INFO;

/* SystemModuleInformation of ZwQuerySystemInformation. */
typedef struct _RTL_PROCESS_MODULE_INFORMATION {
    HANDLE Section;
    PVOID MappedBase;
    PVOID ImageBase;
    ULONG ImageSize;
    ULONG Flags;
    USHORT LoadOrderIndex;
    USHORT InitOrderIndex;
    USHORT LoadCount;
    USHORT OffsetToFileName;
    UCHAR FullPathName[256];
} RTL_PROCESS_MODULE_INFORMATION, *PRTL_PROCESS_MODULE_INFORMATION;

typedef struct _RTL_PROCESS_MODULES {
    ULONG NumberOfModules;
    RTL_PROCESS_MODULE_INFORMATION Modules[1];
} RTL_PROCESS_MODULES, *PRTL_PROCESS_MODULES;

_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI AuxKlibInitialize(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI AuxKlibQueryModuleInformation(_Inout_ PULONG BufferSize, _In_ ULONG ElementSize,
                                                         _Out_opt_ PVOID QueryInfo);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI AuxKlibEnumerateSystemFirmwareTables(_In_ ULONG FirmwareTableProviderSignature,
                                                                _Out_opt_ PVOID FirmwareTableBuffer,
                                                                _In_ ULONG BufferLength, _Out_opt_ PULONG ReturnLength);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI AuxKlibGetSystemFirmwareTable(_In_ ULONG FirmwareTableProviderSignature,
                                                         _In_ ULONG FirmwareTableID,
                                                         _Out_opt_ PVOID FirmwareTableBuffer, _In_ ULONG BufferLength,
                                                         _Out_opt_ PULONG ReturnLength);

#endif
