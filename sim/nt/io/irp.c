/*
 * IRPs: making and freeing them. Follows the reference pages of IoAllocateIrp, IoInitializeIrp, IoReuseIrp and
 * IoFreeIrp (wdm.h).
 */
#include "nt/io/io_internal.h"

static void initialize(PIRP irp, USHORT packet_size, CCHAR stack_size)
{
    RtlZeroMemory(irp, packet_size);
    irp->Type = IO_TYPE_IRP;
    irp->Size = packet_size;
    irp->StackCount = stack_size;
    irp->CurrentLocation = (CHAR)(stack_size + 1);
    InitializeListHead(&irp->ThreadListEntry);
    irp->Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(irp + 1) + stack_size;
}

PIRP irp_allocate(CCHAR stack_size, const void *caller)
{
    PIRP irp;

    if (stack_size <= 0)
        nt_violation("irp-stack-size", "an IRP with %d stack locations was asked for", stack_size);
    irp = ExAllocatePoolWithTag(NonPagedPoolNx, IoSizeOfIrp(stack_size), IO_TAG_IRP);
    if (irp == NULL)
        return NULL;
    initialize(irp, IoSizeOfIrp(stack_size), stack_size);
    irp_record_add(irp, caller);
    return irp;
}

void irp_free(PIRP irp)
{
    struct irp_record *record = irp_record_find(irp);

    if (record == NULL)
        nt_violation_code(MULTIPLE_IRP_COMPLETE_REQUESTS, (uint64_t[4]){(uintptr_t)irp}, "irp-free",
                          "IoFreeIrp of %p, which is no IRP that IoAllocateIrp gave out, or has been freed already",
                          irp);
    if (irp->Type != IO_TYPE_IRP)
        nt_violation_sub("irp-free", (uintptr_t)irp, 0, 0,
                         "IoFreeIrp of IRP %p, whose type field has been overwritten (0x%x)", irp, irp->Type);
    if (record->sent && !record->completed && irp->CurrentLocation <= irp->StackCount)
        nt_violation_sub("irp-free-in-flight", 0, (uintptr_t)irp, 0,
                         "IoFreeIrp of IRP %p while a driver still has it (location %d of %d)", irp,
                         irp->CurrentLocation, irp->StackCount);
    if (irp->CancelRoutine != NULL)
        nt_violation("irp-free-cancel", "IoFreeIrp of IRP %p with a cancel routine set", irp);
    RemoveEntryList(&irp->ThreadListEntry);
    irp_record_remove(record);
    irp->Type = 0;
    ExFreePoolWithTag(irp, IO_TAG_IRP);
}

PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return NULL;
    (void)ChargeQuota; /* to the process, which is the system's and has no limit */
    return irp_allocate(StackSize, __builtin_return_address(0));
}

VOID NTAPI IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize)
{
    NT_CALL(DISPATCH_LEVEL);
    if (irp_record_find(Irp) != NULL)
        nt_violation_sub("irp-initialize", 0, (uintptr_t)Irp, 0,
                         "IoInitializeIrp of IRP %p, which came from IoAllocateIrp (use IoReuseIrp)", Irp);
    if (StackSize <= 0 || PacketSize < IoSizeOfIrp(StackSize))
        nt_violation("irp-size", "IoInitializeIrp of %p: %u bytes do not hold %d stack locations", Irp, PacketSize,
                     StackSize);
    initialize(Irp, PacketSize, StackSize);
}

VOID NTAPI IoReuseIrp(PIRP Irp, NTSTATUS Status)
{
    struct irp_record *record;
    USHORT size;
    CCHAR stack_size;

    NT_CALL(DISPATCH_LEVEL);
    record = irp_record_find(Irp);
    if (record != NULL && record->threaded)
        nt_violation("irp-reuse",
                     "IoReuseIrp of IRP %p, which IoBuild... made; only those of IoAllocateIrp may be reused", Irp);
    if (record != NULL && record->sent && !record->completed && Irp->CurrentLocation <= Irp->StackCount)
        nt_violation("irp-reuse", "IoReuseIrp of IRP %p while a driver still has it (location %d of %d)", Irp,
                     Irp->CurrentLocation, Irp->StackCount);
    if (Irp->CancelRoutine != NULL)
        nt_violation("irp-reuse", "IoReuseIrp of IRP %p with a cancel routine set", Irp);
    size = Irp->Size;
    stack_size = Irp->StackCount;
    if (record != NULL) {
        irp_abandon_passes(record);
        deadline_cancel(&record->cancelled);
        record->sent = false;
        record->completed = false;
        record->mdl = NULL;
    }
    initialize(Irp, size, stack_size);
    Irp->IoStatus.Status = Status;
}

VOID NTAPI IoFreeIrp(PIRP Irp)
{
    NT_CALL(DISPATCH_LEVEL);
    irp_free(Irp);
}

PIRP NTAPI IoGetTopLevelIrp(VOID)
{
    NT_CALL(APC_LEVEL);
    return NULL; /* only file systems set it, and none is here to call IoSetTopLevelIrp */
}

PIRP NTAPI IoAllocateIrpEx(PDEVICE_OBJECT DeviceObject, CCHAR StackSize, BOOLEAN ChargeQuota)
{
    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return NULL;
    (void)ChargeQuota;  /* to the process, which is the system's and has no limit */
    (void)DeviceObject; /* Windows sizes the IRP's extension by it; there is none here */
    return irp_allocate(StackSize, __builtin_return_address(0));
}
