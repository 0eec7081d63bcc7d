/*
 * Requests built for a caller: IoBuildSynchronousFsdRequest, IoBuildAsynchronousFsdRequest,
 * IoBuildDeviceIoControlRequest (wdm.h), and the buffers behind them, which file.c uses as well.
 */
#include "nt/io/io_internal.h"

static NTSTATUS attach_system_buffer(PIRP irp, SIZE_T bytes)
{
    irp->AssociatedIrp.SystemBuffer = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, IO_TAG_BUFFER);
    if (irp->AssociatedIrp.SystemBuffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    irp->Flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER;
    return STATUS_SUCCESS;
}

static NTSTATUS attach_mdl(PIRP irp, PVOID buffer, ULONG length, LOCK_OPERATION operation)
{
    if (IoAllocateMdl(buffer, length, FALSE, FALSE, irp) == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    MmProbeAndLockPages(irp->MdlAddress, KernelMode, operation);
    return STATUS_SUCCESS;
}

NTSTATUS irp_attach_buffered(PIRP irp, struct irp_record *record, bool from_driver, PVOID buffer, ULONG length)
{
    NTSTATUS status;

    irp->UserBuffer = buffer;
    if (length == 0)
        return STATUS_SUCCESS;
    status = attach_system_buffer(irp, length);
    if (!NT_SUCCESS(status))
        return status;
    if (from_driver) {
        /* What the driver does not fill in must not show another request's bytes. */
        RtlZeroMemory(irp->AssociatedIrp.SystemBuffer, length);
        irp->Flags |= IRP_INPUT_OPERATION;
        record->answer_room = length;
    } else {
        RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, buffer, length);
    }
    return STATUS_SUCCESS;
}

NTSTATUS irp_attach_transfer(PIRP irp, struct irp_record *record, PDEVICE_OBJECT device, bool read, PVOID buffer,
                             ULONG length)
{
    irp->Flags |= read ? IRP_READ_OPERATION : IRP_WRITE_OPERATION;
    if (device->Flags & DO_BUFFERED_IO)
        return irp_attach_buffered(irp, record, read, buffer, length);
    if (device->Flags & DO_DIRECT_IO)
        return length == 0 ? STATUS_SUCCESS : attach_mdl(irp, buffer, length, read ? IoWriteAccess : IoReadAccess);
    irp->UserBuffer = buffer;
    return STATUS_SUCCESS;
}

NTSTATUS irp_attach_control(PIRP irp, struct irp_record *record, PIO_STACK_LOCATION stack, ULONG code, PVOID input,
                            ULONG input_length, PVOID output, ULONG output_length)
{
    ULONG method = METHOD_FROM_CTL_CODE(code);
    ULONG bytes = input_length;
    NTSTATUS status;

    stack->Parameters.DeviceIoControl.OutputBufferLength = output_length;
    stack->Parameters.DeviceIoControl.InputBufferLength = input_length;
    stack->Parameters.DeviceIoControl.IoControlCode = code;
    if (method == METHOD_NEITHER) {
        irp->UserBuffer = output;
        stack->Parameters.DeviceIoControl.Type3InputBuffer = input;
        return STATUS_SUCCESS;
    }
    if (method == METHOD_BUFFERED) {
        irp->UserBuffer = output;
        if (output_length > bytes)
            bytes = output_length;
    }
    if (bytes != 0) {
        status = attach_system_buffer(irp, bytes);
        if (!NT_SUCCESS(status))
            return status;
        RtlZeroMemory(irp->AssociatedIrp.SystemBuffer, bytes);
        if (input_length != 0)
            RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, input, input_length);
    }
    if (method == METHOD_BUFFERED) {
        if (output_length != 0) {
            irp->Flags |= IRP_INPUT_OPERATION;
            record->answer_room = output_length;
        }
        return STATUS_SUCCESS;
    }
    if (output_length == 0)
        return STATUS_SUCCESS;
    return attach_mdl(irp, output, output_length, method == METHOD_IN_DIRECT ? IoReadAccess : IoWriteAccess);
}

void irp_discard(PIRP irp)
{
    irp_release_mdls(irp);
    if (irp->Flags & IRP_DEALLOCATE_BUFFER)
        ExFreePoolWithTag(irp->AssociatedIrp.SystemBuffer, IO_TAG_BUFFER);
    irp_free(irp);
}

static PIRP build_transfer(ULONG major, PDEVICE_OBJECT device, PVOID buffer, ULONG length, PLARGE_INTEGER offset,
                           const void *caller)
{
    PIRP irp = irp_allocate(device->StackSize, caller);
    PIO_STACK_LOCATION stack;
    NTSTATUS status = STATUS_SUCCESS;

    if (irp == NULL)
        return NULL;
    stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction = (UCHAR)major;
    irp->Tail.Overlay.Thread = (PETHREAD)KeGetCurrentThread();
    switch (major) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        status = irp_attach_transfer(irp, irp_record_find(irp), device, major == IRP_MJ_READ, buffer, length);
        /* Read and Write have one layout. */
        stack->Parameters.Read.Length = length;
        if (offset != NULL)
            stack->Parameters.Read.ByteOffset = *offset;
        break;
    case IRP_MJ_FLUSH_BUFFERS:
    case IRP_MJ_SHUTDOWN:
    case IRP_MJ_PNP:
    case IRP_MJ_POWER:
        break;
    default:
        nt_violation("irp-build",
                     "a file system style request with major function 0x%02x: only read, write, flush, "
                     "shutdown, PnP and power can be built",
                     major);
    }
    if (!NT_SUCCESS(status)) {
        irp_discard(irp);
        return NULL;
    }
    return irp;
}

PIRP NTAPI IoBuildAsynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length,
                                         PLARGE_INTEGER StartingOffset, PIO_STATUS_BLOCK IoStatusBlock)
{
    PIRP irp;

    NT_CALL(APC_LEVEL);
    if (FAULT(POOL))
        return NULL;
    irp = build_transfer(MajorFunction, DeviceObject, Buffer, Length, StartingOffset, __builtin_return_address(0));
    if (irp != NULL)
        irp->UserIosb = IoStatusBlock;
    return irp;
}

PIRP NTAPI IoBuildSynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length,
                                        PLARGE_INTEGER StartingOffset, PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock)
{
    PIRP irp;

    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    if (FAULT(POOL))
        return NULL;
    irp = build_transfer(MajorFunction, DeviceObject, Buffer, Length, StartingOffset, __builtin_return_address(0));
    if (irp == NULL)
        return NULL;
    irp->Flags |= IRP_SYNCHRONOUS_API;
    irp->UserIosb = IoStatusBlock;
    irp->UserEvent = Event;
    irp_queue_to_thread(irp, irp_record_find(irp));
    return irp;
}

PIRP NTAPI IoBuildDeviceIoControlRequest(ULONG IoControlCode, PDEVICE_OBJECT DeviceObject, PVOID InputBuffer,
                                         ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength,
                                         BOOLEAN InternalDeviceIoControl, PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock)
{
    PIO_STACK_LOCATION stack;
    struct irp_record *record;
    PIRP irp;

    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    if (FAULT(POOL))
        return NULL;
    irp = irp_allocate(DeviceObject->StackSize, __builtin_return_address(0));
    if (irp == NULL)
        return NULL;
    record = irp_record_find(irp);
    stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction = InternalDeviceIoControl ? IRP_MJ_INTERNAL_DEVICE_CONTROL : IRP_MJ_DEVICE_CONTROL;
    if (!NT_SUCCESS(irp_attach_control(irp, record, stack, IoControlCode, InputBuffer, InputBufferLength, OutputBuffer,
                                       OutputBufferLength))) {
        irp_discard(irp);
        return NULL;
    }
    irp->Flags |= IRP_SYNCHRONOUS_API;
    irp->UserIosb = IoStatusBlock;
    irp->UserEvent = Event;
    irp_queue_to_thread(irp, record);
    return irp;
}
