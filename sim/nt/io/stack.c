/* Device stacks: attaching, detaching and walking them (wdm.h), and IoGetDeviceObjectPointer. */
#include "nt/io/io_internal.h"

static void check_device(PDEVICE_OBJECT device, const char *routine)
{
    if (device == NULL || device->Type != IO_TYPE_DEVICE)
        nt_violation("device-object", "%s with %p, which is no device object", routine, device);
}

static PDEVICE_OBJECT top_of(PDEVICE_OBJECT device)
{
    while (device->AttachedDevice != NULL)
        device = device->AttachedDevice;
    return device;
}

PDEVICE_OBJECT io_stack_bottom(PDEVICE_OBJECT device)
{
    while (io_device(device)->extension.AttachedTo != NULL)
        device = io_device(device)->extension.AttachedTo;
    return device;
}

PDEVICE_OBJECT io_stack_above(PDEVICE_OBJECT device)
{
    return device->AttachedDevice;
}

unsigned io_stack_open_count(PDEVICE_OBJECT bottom)
{
    unsigned count = 0;

    for (PDEVICE_OBJECT device = bottom; device != NULL; device = device->AttachedDevice)
        count += (unsigned)device->ReferenceCount;
    return count;
}

/* The lower device, or NULL if the stack is going away. `keep` is where the result goes before anybody can use it. */
static PDEVICE_OBJECT attach(PDEVICE_OBJECT source, PDEVICE_OBJECT target, PDEVICE_OBJECT *keep)
{
    PDEVICE_OBJECT lower;
    KIRQL irql;

    irql = io_lock();
    lower = top_of(target);
    if (io_device(lower)->delete_pending || (lower->Flags & DO_DEVICE_INITIALIZING)) {
        io_unlock(irql);
        return NULL;
    }
    if (source->AttachedDevice != NULL || io_device(source)->extension.AttachedTo != NULL) {
        io_unlock(irql);
        nt_violation("device-attach", "a device object of driver %s is attached twice",
                     io_driver_name(source->DriverObject));
    }
    source->StackSize = (CCHAR)(lower->StackSize + 1);
    source->AlignmentRequirement = lower->AlignmentRequirement;
    source->SectorSize = lower->SectorSize;
    io_device(source)->extension.AttachedTo = lower;
    if (keep != NULL)
        *keep = lower;
    lower->AttachedDevice = source;
    io_unlock(irql);
    return lower;
}

PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice)
{
    NT_CALL(DISPATCH_LEVEL);
    check_device(SourceDevice, __func__);
    check_device(TargetDevice, __func__);
    return attach(SourceDevice, TargetDevice, NULL);
}

NTSTATUS NTAPI IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice,
                                               PDEVICE_OBJECT *AttachedToDeviceObject)
{
    NT_CALL(DISPATCH_LEVEL);
    check_device(SourceDevice, __func__);
    check_device(TargetDevice, __func__);
    if (*AttachedToDeviceObject != NULL)
        nt_violation("device-attach", "IoAttachDeviceToDeviceStackSafe: AttachedToDeviceObject is not NULL on entry");
    return attach(SourceDevice, TargetDevice, AttachedToDeviceObject) != NULL ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

VOID NTAPI IoDetachDevice(PDEVICE_OBJECT TargetDevice)
{
    PDEVICE_OBJECT upper;
    KIRQL irql;

    NT_CALL(PASSIVE_LEVEL);
    check_device(TargetDevice, __func__);
    irql = io_lock();
    upper = TargetDevice->AttachedDevice;
    if (upper == NULL) {
        io_unlock(irql);
        nt_violation_sub("device-detach", 0, 0, (uintptr_t)TargetDevice,
                         "IoDetachDevice from a device object of driver %s, to which nothing is attached",
                         io_driver_name(TargetDevice->DriverObject));
    }
    TargetDevice->AttachedDevice = NULL;
    io_device(upper)->extension.AttachedTo = NULL;
    io_unlock(irql);
    io_device_delete_if_unused(TargetDevice);
}

PDEVICE_OBJECT NTAPI IoGetAttachedDevice(PDEVICE_OBJECT DeviceObject)
{
    PDEVICE_OBJECT top;
    KIRQL irql;

    NT_CALL(DISPATCH_LEVEL);
    check_device(DeviceObject, __func__);
    irql = io_lock();
    top = top_of(DeviceObject);
    io_unlock(irql);
    return top;
}

PDEVICE_OBJECT NTAPI IoGetAttachedDeviceReference(PDEVICE_OBJECT DeviceObject)
{
    PDEVICE_OBJECT top;
    KIRQL irql;

    NT_CALL(DISPATCH_LEVEL);
    check_device(DeviceObject, __func__);
    irql = io_lock();
    top = top_of(DeviceObject);
    ob_reference(top);
    io_unlock(irql);
    return top;
}

PDEVICE_OBJECT NTAPI IoGetLowerDeviceObject(PDEVICE_OBJECT DeviceObject)
{
    PDEVICE_OBJECT lower;
    KIRQL irql;

    NT_CALL(DISPATCH_LEVEL);
    check_device(DeviceObject, __func__);
    irql = io_lock();
    lower = io_device(DeviceObject)->delete_pending ? NULL : io_device(DeviceObject)->extension.AttachedTo;
    if (lower != NULL)
        ob_reference(lower);
    io_unlock(irql);
    return lower;
}

NTSTATUS NTAPI IoGetDeviceObjectPointer(PUNICODE_STRING ObjectName, ACCESS_MASK DesiredAccess, PFILE_OBJECT *FileObject,
                                        PDEVICE_OBJECT *DeviceObject)
{
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK result;
    PFILE_OBJECT file;
    HANDLE handle;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    InitializeObjectAttributes(&attributes, ObjectName, OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ZwOpenFile(&handle, DesiredAccess, &attributes, &result, 0, FILE_NON_DIRECTORY_FILE);
    if (!NT_SUCCESS(status))
        return status;
    status = ObReferenceObjectByHandle(handle, 0, *IoFileObjectType, KernelMode, (PVOID *)&file, NULL);
    if (NT_SUCCESS(status)) {
        *FileObject = file;
        *DeviceObject = IoGetAttachedDevice(file->DeviceObject);
    }
    /* The reference outlives the handle: the driver sees IRP_MJ_CLEANUP now and IRP_MJ_CLOSE when the reference goes.
     */
    ZwClose(handle);
    return status;
}
