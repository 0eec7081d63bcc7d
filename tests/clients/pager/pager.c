/*
 * A driver with pageable code, data and pool, to see what strict paging makes of it: the tests call its exports at the
 * IRQL that they like.
 */
#include <ntddk.h>

#define PAGER_TAG 0x72676150u /* "Pagr" */
#define PAGER_BYTES 64

DRIVER_INITIALIZE DriverEntry;

#define PAGER_CODE __attribute__((section("PAGE"), noinline))
#define PAGER_DATA __attribute__((section("PAGEDATA"), aligned(PAGE_SIZE)))

PAGER_DATA static volatile ULONG Table[2 * PAGE_SIZE / sizeof(ULONG)] = {5};

DECLSPEC_EXPORT PAGER_CODE ULONG NTAPI PagerCall(ULONG Number);
DECLSPEC_EXPORT ULONG NTAPI PagerReadData(VOID);
DECLSPEC_EXPORT ULONG NTAPI PagerReadPool(volatile ULONG *Block);
DECLSPEC_EXPORT VOID NTAPI PagerWritePool(volatile ULONG *Block);
DECLSPEC_EXPORT PVOID NTAPI PagerAllocate(VOID);
DECLSPEC_EXPORT PVOID NTAPI PagerLockCode(VOID);
DECLSPEC_EXPORT PVOID NTAPI PagerLockData(VOID);

ULONG NTAPI PagerCall(ULONG Number)
{
    return Number + 1;
}

ULONG NTAPI PagerReadData(VOID)
{
    return Table[0];
}

ULONG NTAPI PagerReadPool(volatile ULONG *Block)
{
    return Block[0];
}

VOID NTAPI PagerWritePool(volatile ULONG *Block)
{
    Block[0] = 7;
}

PVOID NTAPI PagerAllocate(VOID)
{
    return ExAllocatePoolWithTag(PagedPool, PAGER_BYTES, PAGER_TAG);
}

PVOID NTAPI PagerLockCode(VOID)
{
    return MmLockPagableCodeSection((PVOID)(ULONG_PTR)PagerCall);
}

PVOID NTAPI PagerLockData(VOID)
{
    return MmLockPagableDataSection((PVOID)(ULONG_PTR)Table);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    return STATUS_SUCCESS;
}
