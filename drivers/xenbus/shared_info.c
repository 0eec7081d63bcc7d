#include "shared_info.h"

#include "bug.h"
#include "interface.h"
#include "pool.h"
#include "registry.h"
#include "users.h"
#include "xen.h"

#include <xen/xen.h>
#include <xen/memory.h>

#define SHARED_INFO_TAG POOL_TAG('S', 'H', 'I', 'N')

#define WORD_BITS 64u

/* Reads of a clock that Xen may be changing, before giving up on a consistent one. */
#define CLOCK_ATTEMPTS 10000

/* 100 ns units from 1601, Windows's epoch, to 1970, Xen's. */
#define EPOCH_DIFFERENCE 116444736000000000ll

typedef struct _SHARED_INFO_PROCESSOR {
    struct vcpu_info *Info; /* NULL: the processor has none, and takes no upcall */
    ULONG VcpuId;
    PFN_NUMBER HeldFrame; /* where Info lies if it was registered */
    ULONG HeldOffset;
} SHARED_INFO_PROCESSOR, *PSHARED_INFO_PROCESSOR;

struct _XENBUS_SHARED_INFO_CONTEXT {
    INTERFACE_USERS Users;
    BOOLEAN Local;
    PXENBUS_HOLE Hole;
    XENBUS_HOLE_AREA Area;
    struct shared_info *Shared;
    PSHARED_INFO_PROCESSOR Processor;
    ULONG ProcessorCount;
};

C_ASSERT(sizeof(((struct shared_info *)0)->evtchn_pending) * 8 == SHARED_INFO_PORTS);
C_ASSERT(sizeof(((struct shared_info *)0)->evtchn_pending[0]) == sizeof(LONG64));
C_ASSERT(FIELD_OFFSET(struct vcpu_info, evtchn_pending_sel) == 8);

static LONG64 volatile *SharedInfoWord(_In_ xen_ulong_t *Words, _In_ ULONG Port)
{
    ASSERT(Port < SHARED_INFO_PORTS);

    return (LONG64 volatile *)&Words[Port / WORD_BITS];
}

static ULONG64 SharedInfoBit(_In_ ULONG Port)
{
    return 1ull << (Port % WORD_BITS);
}

/* The number of the lowest bit that is set in Word, which is not 0. */
static ULONG SharedInfoLowestBit(_In_ ULONG64 Word)
{
    ULONG Bit = 0;

    while ((Word & 0xFF) == 0) {
        Word >>= 8;
        Bit += 8;
    }
    while ((Word & 1) == 0) {
        Word >>= 1;
        Bit++;
    }

    return Bit;
}

static PSHARED_INFO_PROCESSOR SharedInfoProcessor(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index)
{
    if (Index >= Context->ProcessorCount || Context->Processor[Index].Info == NULL)
        return NULL;

    return &Context->Processor[Index];
}

BOOLEAN SharedInfoIsUpcallSupported(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index)
{
    return SharedInfoProcessor(Context, Index) != NULL;
}

BOOLEAN SharedInfoTakeUpcall(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index)
{
    PSHARED_INFO_PROCESSOR Processor = SharedInfoProcessor(Context, Index);

    if (Processor == NULL)
        return FALSE;

    /* The flag is the first byte; the three after it are unused, so the whole word can be changed at once. */
    return (InterlockedAnd((LONG volatile *)&Processor->Info->evtchn_upcall_pending, ~0xFF) & 0xFF) != 0;
}

BOOLEAN SharedInfoPoll(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index, _In_ XENBUS_SHARED_INFO_EVENT Event,
                       _In_opt_ PVOID Argument, _Inout_ PULONG Budget)
{
    PSHARED_INFO_PROCESSOR Processor = SharedInfoProcessor(Context, Index);
    struct shared_info *Shared = Context->Shared;
    BOOLEAN Done = FALSE;
    ULONG64 Selector;

    if (Processor == NULL)
        return FALSE;

    Selector = (ULONG64)InterlockedExchange64((LONG64 volatile *)&Processor->Info->evtchn_pending_sel, 0);

    for (; Selector != 0 && *Budget != 0; Selector &= Selector - 1) {
        ULONG First = SharedInfoLowestBit(Selector) * WORD_BITS;
        ULONG64 Pending = ReadULong64Acquire((ULONG64 volatile *)SharedInfoWord(Shared->evtchn_pending, First));

        Pending &= ~ReadULong64Acquire((ULONG64 volatile *)SharedInfoWord(Shared->evtchn_mask, First));

        for (; Pending != 0 && *Budget != 0; Pending &= Pending - 1) {
            --*Budget;
            Done |= Event(Argument, First + SharedInfoLowestBit(Pending));
        }

        if (Pending != 0)
            break;
    }

    if (Selector != 0)
        InterlockedOr64((LONG64 volatile *)&Processor->Info->evtchn_pending_sel, (LONG64)Selector);

    return Done;
}

VOID SharedInfoAck(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port)
{
    InterlockedAnd64(SharedInfoWord(Context->Shared->evtchn_pending, Port), (LONG64)~SharedInfoBit(Port));
}

BOOLEAN SharedInfoMask(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port)
{
    LONG64 Old = InterlockedOr64(SharedInfoWord(Context->Shared->evtchn_mask, Port), (LONG64)SharedInfoBit(Port));

    return ((ULONG64)Old & SharedInfoBit(Port)) != 0;
}

BOOLEAN SharedInfoIsPending(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port)
{
    ULONG64 Word = ReadULong64Acquire((ULONG64 volatile *)SharedInfoWord(Context->Shared->evtchn_pending, Port));

    return (Word & SharedInfoBit(Port)) != 0;
}

VOID SharedInfoSetPending(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port)
{
    InterlockedOr64(SharedInfoWord(Context->Shared->evtchn_pending, Port), (LONG64)SharedInfoBit(Port));
}

BOOLEAN SharedInfoUnmask(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Port)
{
    InterlockedAnd64(SharedInfoWord(Context->Shared->evtchn_mask, Port), (LONG64)~SharedInfoBit(Port));

    /* An event that came while the port was masked has raised nothing and never will. */
    return SharedInfoIsPending(Context, Port);
}

static VOID SharedInfoMaskAll(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    ULONG Port;

    for (Port = 0; Port < SHARED_INFO_PORTS; Port += WORD_BITS)
        InterlockedExchange64(SharedInfoWord(Context->Shared->evtchn_mask, Port), -1);
}

/* Nanoseconds of Xen's since the host started, by the copy of the clock that Info holds. */
static BOOLEAN SharedInfoSystemTime(_In_ struct vcpu_info *Info, _Out_ PULONG64 Nanoseconds)
{
    struct vcpu_time_info *Clock = &Info->time;
    ULONG Attempt;

    for (Attempt = 0; Attempt < CLOCK_ATTEMPTS; Attempt++) {
        ULONG Version = ReadULongAcquire((ULONG volatile *)&Clock->version);
        struct vcpu_time_info Copy = *Clock;
        ULONG64 Delta;

        KeMemoryBarrier();
        if ((Version & 1) != 0 || ReadULongAcquire((ULONG volatile *)&Clock->version) != Version) {
            YieldProcessor();
            continue;
        }

        Delta = __rdtsc() - Copy.tsc_timestamp;
        Delta = Copy.tsc_shift >= 0 ? Delta << (Copy.tsc_shift & 63) : Delta >> (-Copy.tsc_shift & 63);

        /* Delta * multiplier >> 32, in two halves so that nothing overflows. */
        *Nanoseconds = Copy.system_time + (Delta >> 32) * Copy.tsc_to_system_mul +
                       (((Delta & MAXULONG) * Copy.tsc_to_system_mul) >> 32);
        return TRUE;
    }

    return FALSE;
}

/* Nanoseconds from 1970 to the host's start, as the domain sees it. */
static BOOLEAN SharedInfoWallClock(_In_ struct shared_info *Shared, _Out_ PULONG64 Seconds, _Out_ PULONG64 Nanoseconds)
{
    ULONG Attempt;

    for (Attempt = 0; Attempt < CLOCK_ATTEMPTS; Attempt++) {
        ULONG Version = ReadULongAcquire((ULONG volatile *)&Shared->wc_version);

        *Seconds = ((ULONG64)ReadULongAcquire((ULONG volatile *)&Shared->wc_sec_hi) << 32) |
                   ReadULongAcquire((ULONG volatile *)&Shared->wc_sec);
        *Nanoseconds = ReadULongAcquire((ULONG volatile *)&Shared->wc_nsec);

        KeMemoryBarrier();
        if ((Version & 1) == 0 && ReadULongAcquire((ULONG volatile *)&Shared->wc_version) == Version)
            return TRUE;

        YieldProcessor();
    }

    return FALSE;
}

static VOID NTAPI SharedInfoGetTime(_In_ PINTERFACE Interface, _Out_ PLARGE_INTEGER Time, _Out_ PBOOLEAN Local)
{
    PXENBUS_SHARED_INFO_CONTEXT Context = Interface->Context;
    struct vcpu_info *Info;
    ULONG64 Seconds;
    ULONG64 Nanoseconds;
    ULONG64 SystemTime;
    BOOLEAN Valid;
    KIRQL Irql;

    *Local = Context->Local;

    /* A vCPU's copy of the clock goes with that vCPU's time stamp counter: stay on it. */
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);

    Info = &Context->Shared->vcpu_info[0];
    if (SharedInfoIsUpcallSupported(Context, KeGetCurrentProcessorNumberEx(NULL)))
        Info = Context->Processor[KeGetCurrentProcessorNumberEx(NULL)].Info;

    Valid = SharedInfoWallClock(Context->Shared, &Seconds, &Nanoseconds) && SharedInfoSystemTime(Info, &SystemTime);

    KeLowerIrql(Irql);

    if (!Valid) {
        Error("Xen's clock does not settle");
        KeQuerySystemTime(Time);
        return;
    }

    Time->QuadPart = EPOCH_DIFFERENCE + (LONGLONG)(Seconds * 10000000) + (LONGLONG)((Nanoseconds + SystemTime) / 100);
}

static NTSTATUS NTAPI SharedInfoAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_SHARED_INFO_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI SharedInfoRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_SHARED_INFO_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static BOOLEAN NTAPI SharedInfoUpcallSupported(_In_ PINTERFACE Interface, _In_ ULONG Index)
{
    return SharedInfoIsUpcallSupported(Interface->Context, Index);
}

static BOOLEAN NTAPI SharedInfoUpcallPending(_In_ PINTERFACE Interface, _In_ ULONG Index)
{
    return SharedInfoTakeUpcall(Interface->Context, Index);
}

static BOOLEAN NTAPI SharedInfoEvtchnPoll(_In_ PINTERFACE Interface, _In_ ULONG Index,
                                          _In_ XENBUS_SHARED_INFO_EVENT Event, _In_opt_ PVOID Argument)
{
    ULONG Budget = SHARED_INFO_PORTS;

    return SharedInfoPoll(Interface->Context, Index, Event, Argument, &Budget);
}

static VOID NTAPI SharedInfoEvtchnAck(_In_ PINTERFACE Interface, _In_ ULONG Port)
{
    if (Port < SHARED_INFO_PORTS)
        SharedInfoAck(Interface->Context, Port);
}

static VOID NTAPI SharedInfoEvtchnMask(_In_ PINTERFACE Interface, _In_ ULONG Port)
{
    if (Port < SHARED_INFO_PORTS)
        (VOID) SharedInfoMask(Interface->Context, Port);
}

static BOOLEAN NTAPI SharedInfoEvtchnUnmask(_In_ PINTERFACE Interface, _In_ ULONG Port)
{
    return Port < SHARED_INFO_PORTS && SharedInfoUnmask(Interface->Context, Port);
}

static const XENBUS_SHARED_INFO_INTERFACE_V3 SharedInfoInterfaceV3 = {
    .SharedInfoAcquire = SharedInfoAcquire,
    .SharedInfoRelease = SharedInfoRelease,
    .SharedInfoUpcallPending = SharedInfoUpcallPending,
    .SharedInfoEvtchnPoll = SharedInfoEvtchnPoll,
    .SharedInfoEvtchnAck = SharedInfoEvtchnAck,
    .SharedInfoEvtchnMask = SharedInfoEvtchnMask,
    .SharedInfoEvtchnUnmask = SharedInfoEvtchnUnmask,
    .SharedInfoGetTime = SharedInfoGetTime,
};

static const XENBUS_SHARED_INFO_INTERFACE_V4 SharedInfoInterfaceV4 = {
    .SharedInfoAcquire = SharedInfoAcquire,
    .SharedInfoRelease = SharedInfoRelease,
    .SharedInfoUpcallSupported = SharedInfoUpcallSupported,
    .SharedInfoUpcallPending = SharedInfoUpcallPending,
    .SharedInfoEvtchnPoll = SharedInfoEvtchnPoll,
    .SharedInfoEvtchnAck = SharedInfoEvtchnAck,
    .SharedInfoEvtchnMask = SharedInfoEvtchnMask,
    .SharedInfoEvtchnUnmask = SharedInfoEvtchnUnmask,
    .SharedInfoGetTime = SharedInfoGetTime,
};

NTSTATUS SharedInfoGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                                _In_ ULONG Size)
{
    switch (Version) {
    case 3:
        return InterfaceFill(Interface, Size, &SharedInfoInterfaceV3, sizeof(SharedInfoInterfaceV3), Version, Context);

    case 4:
        return InterfaceFill(Interface, Size, &SharedInfoInterfaceV4, sizeof(SharedInfoInterfaceV4), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS SharedInfoMap(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ PXENBUS_HOLE Hole)
{
    NTSTATUS Status;

    Status = HoleAllocate(Hole, 1, &Context->Area);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XenMemoryAddToPhysMap(XENMAPSPACE_shared_info, 0, Context->Area.Frame);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Context->Shared = HoleMap(Hole, &Context->Area);
    if (Context->Shared == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail3;
    }

    Context->Hole = Hole;
    return STATUS_SUCCESS;

fail3:
    (VOID) XenMemoryRemoveFromPhysMap(Context->Area.Frame);

fail2:
    HoleFree(Hole, &Context->Area);

fail1:
    Error("the shared info page cannot be mapped (%08x)", Status);
    return Status;
}

static VOID SharedInfoUnmap(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    NTSTATUS Status;

    HoleUnmap(Context->Hole, &Context->Area, Context->Shared);
    Context->Shared = NULL;

    Status = XenMemoryRemoveFromPhysMap(Context->Area.Frame);
    if (!NT_SUCCESS(Status))
        Error("the shared info page stays at frame %llx (%08x)", (ULONGLONG)Context->Area.Frame, Status);

    HoleFree(Context->Hole, &Context->Area);
    Context->Hole = NULL;
}

/* Moves to the processor to have its vcpu_info placed, and back: Xen takes it from the vCPU itself only. */
static VOID SharedInfoPlace(_In_ PSHARED_INFO_PROCESSOR Processor, _In_ ULONG Index)
{
    PROCESSOR_NUMBER Number;
    GROUP_AFFINITY Affinity;
    GROUP_AFFINITY Previous;
    PVOID Info;
    NTSTATUS Status;

    Status = KeGetProcessorNumberFromIndex(Index, &Number);
    if (!NT_SUCCESS(Status))
        goto fail1;

    RtlZeroMemory(&Affinity, sizeof(Affinity));
    Affinity.Group = Number.Group;
    Affinity.Mask = (KAFFINITY)1 << Number.Number;

    KeSetSystemGroupAffinityThread(&Affinity, &Previous);
    Status = XenVcpuPlaceInfo(Processor->VcpuId, &Info);
    KeRevertToUserGroupAffinityThread(&Previous);

    if (!NT_SUCCESS(Status))
        goto fail1;

    Processor->Info = Info;
    Processor->HeldFrame = (PFN_NUMBER)(MmGetPhysicalAddress(Info).QuadPart >> PAGE_SHIFT);
    Processor->HeldOffset = (ULONG)((ULONG_PTR)Info & (PAGE_SIZE - 1));
    return;

fail1:
    Warning("vCPU %u has no vcpu_info and takes no upcall (%08x)", Processor->VcpuId, Status);
}

/*
 * With every port masked: an upcall or a selector bit that was set before would keep Xen from ever raising the next
 * event, since it raises on the change of the flag.
 */
static VOID SharedInfoClear(_In_ PSHARED_INFO_PROCESSOR Processor)
{
    if (Processor->Info == NULL)
        return;

    InterlockedExchange64((LONG64 volatile *)&Processor->Info->evtchn_pending_sel, 0);
    InterlockedAnd((LONG volatile *)&Processor->Info->evtchn_upcall_pending, ~0xFF);
}

static VOID SharedInfoFreeProcessors(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    PoolFree(Context->Processor, SHARED_INFO_TAG);
    Context->Processor = NULL;
    Context->ProcessorCount = 0;
}

static NTSTATUS SharedInfoFindProcessors(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    ULONG Count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    ULONG Index;
    NTSTATUS Status;

    Context->Processor = PoolAllocateArray(Count, sizeof(SHARED_INFO_PROCESSOR), SHARED_INFO_TAG);
    if (Context->Processor == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    for (Index = 0; Index < Count; Index++) {
        PSHARED_INFO_PROCESSOR Processor = &Context->Processor[Index];

        Status = XenQueryVcpuId(Index, &Processor->VcpuId);
        if (!NT_SUCCESS(Status))
            goto fail1;

        if (Processor->VcpuId < XEN_LEGACY_MAX_VCPUS)
            Processor->Info = &Context->Shared->vcpu_info[Processor->VcpuId];
    }

    Context->ProcessorCount = Count;

    for (Index = 0; Index < Count; Index++) {
        if (Context->Processor[Index].VcpuId >= XEN_LEGACY_MAX_VCPUS)
            SharedInfoPlace(&Context->Processor[Index], Index);
        SharedInfoClear(&Context->Processor[Index]);
    }

    return STATUS_SUCCESS;

fail1:
    Error("processor %u of %u (%08x)", Index, Count, Status);

    SharedInfoFreeProcessors(Context);
    return Status;
}

NTSTATUS SharedInfoEnable(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ PXENBUS_HOLE Hole)
{
    NTSTATUS Status;

    Status = SharedInfoMap(Context, Hole);
    if (!NT_SUCCESS(Status))
        return Status;

    SharedInfoMaskAll(Context);

    Status = SharedInfoFindProcessors(Context);
    if (!NT_SUCCESS(Status))
        goto fail1;

    UsersEnable(&Context->Users);
    return STATUS_SUCCESS;

fail1:
    SharedInfoUnmap(Context);
    return Status;
}

ULONG SharedInfoCountUsers(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    return UsersCount(&Context->Users);
}

VOID SharedInfoDisable(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    UsersDisable(&Context->Users);
    SharedInfoFreeProcessors(Context);
    SharedInfoUnmap(Context);
}

VOID SharedInfoResume(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    HolePutAgain(&Context->Area, XENMAPSPACE_shared_info, 0);
    SharedInfoMaskAll(Context);
}

VOID SharedInfoResumeProcessor(_In_ PXENBUS_SHARED_INFO_CONTEXT Context, _In_ ULONG Index)
{
    PSHARED_INFO_PROCESSOR Processor;
    NTSTATUS Status;

    if (Index >= Context->ProcessorCount)
        return;

    Processor = &Context->Processor[Index];

    if (Processor->VcpuId >= XEN_LEGACY_MAX_VCPUS && Processor->Info != NULL) {
        /* A resume in place has forgotten nothing and refuses: the registration of old is still good. */
        Status = XenVcpuRegisterInfo(Processor->VcpuId, Processor->HeldFrame, Processor->HeldOffset);
        if (!NT_SUCCESS(Status))
            Info("vCPU %u keeps its vcpu_info (%08x)", Processor->VcpuId, Status);
    }

    SharedInfoClear(Processor);
}

/* Whether the hardware clock of this Windows runs in local time, which is what Xen's wall clock was set for. */
PAGED_FUNCTION static BOOLEAN SharedInfoClockIsLocal(VOID)
{
    static const WCHAR Path[] = L"\\Registry\\Machine\\SYSTEM\\CurrentControlSet\\Control\\TimeZoneInformation";
    ULONG Universal = 0;
    HANDLE Key;

    PAGED_CODE();

    if (!NT_SUCCESS(RegistryOpenKey(NULL, Path, KEY_READ, &Key)))
        return TRUE;

    if (!NT_SUCCESS(RegistryQueryDword(Key, L"RealTimeIsUniversal", &Universal)))
        Universal = 0;

    RegistryCloseKey(Key);
    return Universal == 0;
}

PAGED_FUNCTION NTSTATUS SharedInfoInitialize(_Outptr_ PXENBUS_SHARED_INFO_CONTEXT *Context)
{
    PAGED_CODE();

    *Context = PoolAllocate(sizeof(XENBUS_SHARED_INFO_CONTEXT), SHARED_INFO_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "SHARED_INFO");
    (*Context)->Local = SharedInfoClockIsLocal();
    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID SharedInfoTeardown(_In_ PXENBUS_SHARED_INFO_CONTEXT Context)
{
    PAGED_CODE();

    PoolFree(Context, SHARED_INFO_TAG);
}
