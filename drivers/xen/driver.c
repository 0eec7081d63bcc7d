/*
 * The export driver itself: it is loaded because another driver imports from it, DllInitialize and DllUnload are its
 * beginning and end, and DriverEntry is never called.
 *
 * On a machine without Xen it loads all the same, so that those who import from it can decline by themselves: XenTouch
 * tells them.
 */
#include "driver.h"
#include "bug.h"
#include "pool.h"
#include "registry.h"
#include "version.h"

/* Called by the kernel by these names. */
XEN_API NTSTATUS NTAPI DllInitialize(_In_ PUNICODE_STRING RegistryPath);
XEN_API NTSTATUS NTAPI DllUnload(VOID);

static XEN_CONTEXT XenContext;

PXEN_CONTEXT
XenGetContext(VOID)
{
    return &XenContext;
}

PAGED_FUNCTION VOID ConfigurationAcquire(VOID)
{
    PAGED_CODE();

    (VOID) KeWaitForSingleObject(&XenContext.ConfigurationMutex, Executive, KernelMode, FALSE, NULL);
}

PAGED_FUNCTION VOID ConfigurationRelease(VOID)
{
    PAGED_CODE();

    (VOID) KeReleaseMutex(&XenContext.ConfigurationMutex, FALSE);
}

/* A copy that outlives the caller's. */
PAGED_FUNCTION static NTSTATUS CopyRegistryPath(_Out_ PUNICODE_STRING Copy, _In_ PCUNICODE_STRING Path)
{
    Copy->Buffer = PoolAllocate((SIZE_T)Path->Length + sizeof(WCHAR), XEN_TAG);
    if (Copy->Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlCopyMemory(Copy->Buffer, Path->Buffer, Path->Length);
    Copy->Length = Path->Length;
    Copy->MaximumLength = (USHORT)(Path->Length + sizeof(WCHAR));

    return STATUS_SUCCESS;
}

PAGED_FUNCTION NTSTATUS NTAPI DllInitialize(_In_ PUNICODE_STRING RegistryPath)
{
    PXEN_CONTEXT Context = XenGetContext();
    HANDLE Service;
    HANDLE Parameters;
    NTSTATUS Status;

    PAGED_CODE();

    RtlZeroMemory(Context, sizeof(XEN_CONTEXT));
    KeInitializeMutex(&Context->ConfigurationMutex, 0);

    HypervisorInitialize(&Context->Hypervisor);
    if (!Context->Hypervisor.Present)
        return STATUS_SUCCESS;

    Status = CopyRegistryPath(&Context->RegistryPath, RegistryPath);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = RegistryOpenPath(RegistryPath, KEY_READ | KEY_WRITE, &Service);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = RegistryOpenKey(Service, L"Parameters", KEY_READ, &Parameters);
    if (!NT_SUCCESS(Status))
        Parameters = NULL;

    Status = LoggerInitialize(&Context->Logger, Parameters);
    if (!NT_SUCCESS(Status))
        goto fail3;

    DebuggerInitialize(&Context->Debugger);
    ModulesInitialize(&Context->Modules);
    BugcheckInitialize(&Context->Bugcheck);

    Info("%s, on Xen %u.%u", VERSION_STR, Context->Hypervisor.Major, Context->Hypervisor.Minor);

    Status = ProcessorsInitialize(&Context->Processors);
    if (!NT_SUCCESS(Status))
        goto fail4;

    UnplugInitialize(&Context->Unplug, Service);

    if (Parameters != NULL)
        RegistryCloseKey(Parameters);
    RegistryCloseKey(Service);

    return STATUS_SUCCESS;

fail4:
    Error("fail4 (%08x)", Status);
    BugcheckTeardown(&Context->Bugcheck);
    ModulesTeardown(&Context->Modules);
    DebuggerTeardown(&Context->Debugger);
    LoggerTeardown(&Context->Logger);

fail3:
    if (Parameters != NULL)
        RegistryCloseKey(Parameters);
    RegistryCloseKey(Service);

fail2:
    PoolFree(Context->RegistryPath.Buffer, XEN_TAG);

fail1:
    RtlZeroMemory(Context, sizeof(XEN_CONTEXT));

    return Status;
}

PAGED_FUNCTION NTSTATUS NTAPI DllUnload(VOID)
{
    PXEN_CONTEXT Context = XenGetContext();

    PAGED_CODE();

    if (!Context->Hypervisor.Present)
        return STATUS_SUCCESS;

    Trace("====>");

    XenActiveDeviceRelease();
    VcpuInfoTeardown(Context->VcpuInfoPage);
    ProcessorsTeardown(&Context->Processors);
    BugcheckTeardown(&Context->Bugcheck);
    ModulesTeardown(&Context->Modules);
    DebuggerTeardown(&Context->Debugger);
    LoggerTeardown(&Context->Logger);
    PoolFree(Context->RegistryPath.Buffer, XEN_TAG);

    RtlZeroMemory(Context, sizeof(XEN_CONTEXT));

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI DriverEntry(_In_ PDRIVER_OBJECT DriverObject, _In_ PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);

    return STATUS_NOT_SUPPORTED;
}

PAGED_FUNCTION NTSTATUS NTAPI XenTouch(_In_ PCSTR Name, _In_ ULONG Major, _In_ ULONG Minor, _In_ ULONG Micro,
                                       _In_ ULONG Build)
{
    PAGED_CODE();

    if (!XenGetContext()->Hypervisor.Present)
        return STATUS_NOT_SUPPORTED;

    if (Major != MAJOR_VERSION || Minor != MINOR_VERSION || Micro != MICRO_VERSION || Build != BUILD_NUMBER) {
        Error("%s is of version %u.%u.%u.%u, this is %s: install all drivers of the package in one version", Name,
              Major, Minor, Micro, Build, VERSION_STR);
        return STATUS_INCOMPATIBLE_DRIVER_BLOCKED;
    }

    Trace("%s", Name);

    return STATUS_SUCCESS;
}
