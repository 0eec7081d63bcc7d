/*
 * For the tests of tests/surface: a driver of the test's own with one named device \Device\Surface, whose requests go
 * to the dispatch routine of the test.
 */
#ifndef TESTS_SURFACE_SURFACE_H
#define TESTS_SURFACE_SURFACE_H

#include "nt-host/guest_threads.h"
#include "nt/io/io.h"

static PDRIVER_DISPATCH surface_dispatch;

static inline NTSTATUS surface_complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI surface_request(PDEVICE_OBJECT device, PIRP irp)
{
    const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    if (stack->MajorFunction == IRP_MJ_CREATE || stack->MajorFunction == IRP_MJ_CLEANUP ||
        stack->MajorFunction == IRP_MJ_CLOSE)
        return surface_complete(irp, STATUS_SUCCESS, 0);
    return surface_dispatch(device, irp);
}

static VOID NTAPI surface_unload(PDRIVER_OBJECT driver)
{
    (void)driver;
}

static NTSTATUS NTAPI surface_entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = surface_unload;
    for (unsigned major = 0; major <= IRP_MJ_MAXIMUM_FUNCTION; major++)
        driver->MajorFunction[major] = surface_request;
    return STATUS_SUCCESS;
}

static inline PDRIVER_OBJECT surface_driver(void)
{
    PDRIVER_OBJECT driver;

    ck_assert_int_eq(io_create_builtin_driver("surface", surface_entry, &driver), STATUS_SUCCESS);
    return driver;
}

/* The device, ready; `dispatch` gets what is not create, cleanup and close. */
static inline PDEVICE_OBJECT surface_device(PDRIVER_DISPATCH dispatch)
{
    PDRIVER_OBJECT driver = surface_driver();
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Surface");
    PDEVICE_OBJECT device;

    surface_dispatch = dispatch;
    ck_assert_int_eq(IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device), STATUS_SUCCESS);
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return device;
}

static inline void surface_remove(PDEVICE_OBJECT device)
{
    PDRIVER_OBJECT driver = device->DriverObject;

    IoDeleteDevice(device);
    ObDereferenceObject(driver);
}

#endif
