/*
 * A driver whose exports `make bench` times: what a driver pays for the kernel's most frequent routines. Each loop does
 * a little work with what it gets and returns a sum of it.
 */
#include <ntddk.h>

#define METER_TAG 0x7265744Du /* "Mter" */
#define METER_BYTES 128

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD DriverUnload;

static struct {
    KSPIN_LOCK Lock;
    ULONG64 Total;
} Context;

DECLSPEC_EXPORT ULONG64 NTAPI MeterSpinLock(ULONG Count)
{
    ULONG Index;
    KIRQL Irql;

    Context.Total = 0;
    for (Index = 0; Index < Count; Index++) {
        KeAcquireSpinLock(&Context.Lock, &Irql);
        Context.Total += Index;
        KeReleaseSpinLock(&Context.Lock, Irql);
    }
    return Context.Total;
}

DECLSPEC_EXPORT ULONG64 NTAPI MeterPool(ULONG Count)
{
    ULONG64 Total = 0;
    ULONG Index;

    for (Index = 0; Index < Count; Index++) {
        volatile ULONG *Block = ExAllocatePoolWithTag(NonPagedPoolNx, METER_BYTES, METER_TAG);

        if (Block == NULL)
            return 0;
        Block[0] = Index;
        Block[METER_BYTES / sizeof(*Block) - 1] = 1;
        Total += Block[0] + Block[METER_BYTES / sizeof(*Block) - 1];
        ExFreePoolWithTag((PVOID)(ULONG_PTR)Block, METER_TAG);
    }
    return Total;
}

static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    KeInitializeSpinLock(&Context.Lock);
    return STATUS_SUCCESS;
}
