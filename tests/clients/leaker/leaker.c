/* A driver that leaves pool behind when it is unloaded, to see that this is reported. */
#include <ntddk.h>

#define LEAKER_TAG 0x6B61654Cu   /* "Leak" */
#define LEAKER_OTHER 0x7274784Fu /* "Oxtr" */

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD DriverUnload;

static PVOID Freed;

static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ExFreePoolWithTag(Freed, LEAKER_TAG);
}

static DECLSPEC_NOINLINE PVOID LeakSmall(VOID)
{
    PVOID Block = ExAllocatePoolWithTag(NonPagedPoolNx, 40, LEAKER_TAG);

    if (Block != NULL)
        RtlZeroMemory(Block, 40);
    return Block;
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG Index;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Freed = ExAllocatePoolWithTag(NonPagedPoolNx, 100, LEAKER_TAG);
    for (Index = 0; Index < 2; Index++)
        if (LeakSmall() == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
    if (ExAllocatePoolWithTag(PagedPool, 3 * PAGE_SIZE, LEAKER_OTHER) == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    return STATUS_SUCCESS;
}
