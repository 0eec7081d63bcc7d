/* The power manager. */

#ifndef PVSIM_WDM_PO_H
#define PVSIM_WDM_PO_H

#include <wdm/pnp.h>

_Function_class_(REQUEST_POWER_COMPLETE)
_IRQL_requires_max_(DISPATCH_LEVEL)
typedef VOID NTAPI REQUEST_POWER_COMPLETE(_In_ PDEVICE_OBJECT DeviceObject, _In_ UCHAR MinorFunction,
                                          _In_ POWER_STATE PowerState, _In_opt_ PVOID Context,
                                          _In_ PIO_STATUS_BLOCK IoStatus);
typedef REQUEST_POWER_COMPLETE *PREQUEST_POWER_COMPLETE;
_Function_class_(POWER_SETTING_CALLBACK)
_IRQL_requires_(PASSIVE_LEVEL)
typedef NTSTATUS NTAPI POWER_SETTING_CALLBACK(_In_ LPCGUID SettingGuid, _In_ PVOID Value, _In_ ULONG ValueLength,
                                              _In_opt_ PVOID Context);
typedef POWER_SETTING_CALLBACK *PPOWER_SETTING_CALLBACK;

_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI PoRequestPowerIrp(_In_ PDEVICE_OBJECT DeviceObject, _In_ UCHAR MinorFunction,
                                             _In_ POWER_STATE PowerState,
                                             _In_opt_ PREQUEST_POWER_COMPLETE CompletionFunction,
                                             _In_opt_ PVOID Context, _Outptr_opt_ PIRP *Irp);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI POWER_STATE NTAPI PoSetPowerState(_In_ PDEVICE_OBJECT DeviceObject, _In_ POWER_STATE_TYPE Type,
                                              _In_ POWER_STATE State);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI VOID NTAPI PoStartNextPowerIrp(_Inout_ PIRP Irp);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI NTSTATUS NTAPI PoCallDriver(_In_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI PULONG NTAPI PoRegisterDeviceForIdleDetection(_In_ PDEVICE_OBJECT DeviceObject,
                                                          _In_ ULONG ConservationIdleTime,
                                                          _In_ ULONG PerformanceIdleTime,
                                                          _In_ DEVICE_POWER_STATE State);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI PoRegisterPowerSettingCallback(_In_opt_ PDEVICE_OBJECT DeviceObject,
                                                          _In_ LPCGUID SettingGuid,
                                                          _In_ PPOWER_SETTING_CALLBACK Callback, _In_opt_ PVOID Context,
                                                          _Outptr_opt_ PVOID *Handle);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NTSTATUS NTAPI PoUnregisterPowerSettingCallback(_Inout_ PVOID Handle);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI PoSetDeviceBusyEx(_Inout_ PULONG IdlePointer);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI PoStartDeviceBusy(_Inout_ PULONG IdlePointer);
_IRQL_requires_max_(HIGH_LEVEL)
NTKERNELAPI VOID NTAPI PoEndDeviceBusy(_Inout_ PULONG IdlePointer);
#define PoSetDeviceBusy(IdlePointer) (*(IdlePointer) = 0)
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI VOID NTAPI PoSetSystemWake(_Inout_ PIRP Irp);
_IRQL_requires_max_(DISPATCH_LEVEL)
NTKERNELAPI BOOLEAN NTAPI PoGetSystemWake(_In_ PIRP Irp);

#endif
