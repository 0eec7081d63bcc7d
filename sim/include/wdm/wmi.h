/* WMI registration with the I/O manager. The library's structures are in <wmilib.h>, the data blocks' in <wmistr.h>. */

#ifndef PVSIM_WDM_WMI_H
#define PVSIM_WDM_WMI_H

#include <wdm/io.h>

#define WMIREG_ACTION_REGISTER 1
#define WMIREG_ACTION_DEREGISTER 2
#define WMIREG_ACTION_REREGISTER 3
#define WMIREG_ACTION_UPDATE_GUIDS 4
#define WMIREG_ACTION_BLOCK_IRPS 5

_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMIRegistrationControl(_In_ PDEVICE_OBJECT DeviceObject, _In_ ULONG Action);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMIWriteEvent(_Inout_ PVOID WnodeEventItem);

/* Consumers of data blocks. The object is given back with ObDereferenceObject. */
typedef VOID(NTAPI *WMI_NOTIFICATION_CALLBACK)(_In_ PVOID Wnode, _In_ PVOID Context);

_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMIOpenBlock(_In_ const GUID *Guid, _In_ ULONG DesiredAccess,
                                          _Out_ PVOID *DataBlockObject);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMIQueryAllData(_In_ PVOID DataBlockObject, _Inout_ ULONG *InOutBufferSize,
                                             _Out_opt_ PVOID OutBuffer);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMIQuerySingleInstance(_In_ PVOID DataBlockObject, _In_ PUNICODE_STRING InstanceName,
                                                    _Inout_ ULONG *InOutBufferSize, _Out_opt_ PVOID OutBuffer);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMISetSingleInstance(_In_ PVOID DataBlockObject, _In_ PUNICODE_STRING InstanceName,
                                                  _In_ ULONG Version, _In_ ULONG ValueBufferSize,
                                                  _In_ PVOID ValueBuffer);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMISetSingleItem(_In_ PVOID DataBlockObject, _In_ PUNICODE_STRING InstanceName,
                                              _In_ ULONG DataItemId, _In_ ULONG Version, _In_ ULONG ValueBufferSize,
                                              _In_ PVOID ValueBuffer);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMIExecuteMethod(_In_ PVOID DataBlockObject, _In_ PUNICODE_STRING InstanceName,
                                              _In_ ULONG MethodId, _In_ ULONG InBufferSize,
                                              _Inout_ PULONG OutBufferSize, _Inout_opt_ PUCHAR InOutBuffer);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NTSTATUS NTAPI IoWMISetNotificationCallback(_Inout_ PVOID Object, _In_ WMI_NOTIFICATION_CALLBACK Callback,
                                                        _In_opt_ PVOID Context);

#endif
