/*
 * For debuggers: at the bugcheck a request is pending in the driver's device, a thread that owns a mutex waits, and the
 * processor holds a spin lock, with a DPC in its queue and a timer set.
 */
#include "planted.h"

#define POOL_BYTES 4321

typedef struct _SCENE {
    KSPIN_LOCK Lock;
    KMUTEX Mutex;
    KEVENT Owned;
    KEVENT Never;
    KDPC Dpc;
    KDPC TimerDpc;
    KTIMER Timer;
} SCENE;

static SCENE Scene;

static DRIVER_DISPATCH SceneControl;
static IO_COMPLETION_ROUTINE SceneCompleted;
static KSTART_ROUTINE SceneOwner;
static KDEFERRED_ROUTINE SceneDpc;
static KDEFERRED_ROUTINE SceneTimerDpc;

static NTSTATUS NTAPI SceneControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    IoMarkIrpPending(Irp);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI SceneCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static VOID NTAPI SceneOwner(PVOID Argument)
{
    UNREFERENCED_PARAMETER(Argument);
    (VOID) KeWaitForSingleObject(&Scene.Mutex, Executive, KernelMode, FALSE, NULL);
    (VOID) KeSetEvent(&Scene.Owned, IO_NO_INCREMENT, FALSE);
    (VOID) KeWaitForSingleObject(&Scene.Never, Executive, KernelMode, FALSE, NULL);
    (VOID) KeReleaseMutex(&Scene.Mutex, FALSE);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI SceneDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
}

static VOID NTAPI SceneTimerDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    SceneDpc(Dpc, DeferredContext, SystemArgument1, SystemArgument2);
}

static VOID SendRequest(PDRIVER_OBJECT DriverObject)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\Device\\PlantedScene");
    PDEVICE_OBJECT DeviceObject;
    PIRP Irp;

    DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = SceneControl;
    if (!NT_SUCCESS(
            IoCreateDevice(DriverObject, 0, &Name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject)))
        return;
    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    Irp = IoAllocateIrp(DeviceObject->StackSize, FALSE);
    if (Irp == NULL)
        return;
    IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
    IoSetCompletionRoutine(Irp, SceneCompleted, NULL, TRUE, TRUE, TRUE);
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    (VOID) IoCallDriver(DeviceObject, Irp);
}

static VOID StartOwner(VOID)
{
    HANDLE Handle;

    KeInitializeMutex(&Scene.Mutex, 0);
    KeInitializeEvent(&Scene.Owned, NotificationEvent, FALSE);
    KeInitializeEvent(&Scene.Never, NotificationEvent, FALSE);
    if (!NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, SceneOwner, NULL)))
        return;
    (VOID) ZwClose(Handle);
    (VOID) KeWaitForSingleObject(&Scene.Owned, Executive, KernelMode, FALSE, NULL);
}

VOID PlantedScene(PDRIVER_OBJECT DriverObject)
{
    LARGE_INTEGER Millisecond;
    LARGE_INTEGER Hour;
    KIRQL Irql;

    Millisecond.QuadPart = -10000;
    Hour.QuadPart = -36000000000LL;
    (VOID) ExAllocatePoolZero(NonPagedPoolNx, POOL_BYTES, PLANTED_TAG);
    SendRequest(DriverObject);
    StartOwner();
    (VOID) KeDelayExecutionThread(KernelMode, FALSE, &Millisecond); /* the owner waits by now */
    KeInitializeSpinLock(&Scene.Lock);
    KeInitializeDpc(&Scene.Dpc, SceneDpc, NULL);
    KeInitializeDpc(&Scene.TimerDpc, SceneTimerDpc, NULL);
    KeInitializeTimer(&Scene.Timer);
    (VOID) KeSetTimerEx(&Scene.Timer, Hour, 250, &Scene.TimerDpc);
    KeAcquireSpinLock(&Scene.Lock, &Irql);
    (VOID) KeInsertQueueDpc(&Scene.Dpc, NULL, NULL);
    KeBugCheckEx(PLANTED_BUG, BugScene, 0, 0, 0);
}
