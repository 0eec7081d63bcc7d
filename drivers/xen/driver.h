/*
 * The module's state: one structure, of which each part belongs to the source file that it is named for.
 */
#ifndef XEN_DRIVER_H
#define XEN_DRIVER_H

#include "compat.h"
#include "xen.h"

#define XEN_TAG POOL_TAG('X', 'e', 'n', ' ')

/* What CPUID says of the hypervisor (hypervisor.c). Constant after DllInitialize. */
typedef struct _XEN_HYPERVISOR {
    BOOLEAN Present;
    ULONG BaseLeaf;
    ULONG Major;
    ULONG Minor;
} XEN_HYPERVISOR, *PXEN_HYPERVISOR;

/* vCPU IDs by processor index (processor.c). */
typedef struct _XEN_PROCESSORS {
    volatile ULONG *VcpuId; /* VCPU_ID_UNKNOWN, or the ID, which never changes */
    ULONG Count;
    PVOID Callback; /* for processors that are added */
} XEN_PROCESSORS, *PXEN_PROCESSORS;

/* A page of vcpu_info, for vCPUs from XEN_LEGACY_MAX_VCPUS up (vcpu_info.c). */
typedef struct _XEN_VCPU_INFO_PAGE {
    PVOID Address;  /* NULL: none has been needed */
    ULONG64 Placed; /* those that Xen has taken */
} XEN_VCPU_INFO_PAGE, *PXEN_VCPU_INFO_PAGE;

/* Together they have room for twice the processors that Windows can have. */
#define XEN_VCPU_INFO_PAGES 64

/* The log's dispositions (logger.c). */
#define XEN_LOG_MAXIMUM_DISPOSITIONS 8

struct _XEN_LOG_DISPOSITION {
    ULONG Mask;
    XEN_LOG_FUNCTION Function; /* NULL: the place is free */
    PVOID Argument;
};

/* Processors beyond these write no messages; Windows has no more. */
#define XEN_LOG_MAXIMUM_PROCESSORS 2048

typedef struct _XEN_LOGGER {
    KSPIN_LOCK Lock;        /* taken at HIGH_LEVEL; guards the dispositions and keeps lines whole */
    volatile ULONG Enabled; /* all masks together */
    BOOLEAN Crashing;       /* in a bugcheck: one processor runs, and the lock may be held by another for good */

    /* By processor, changed by itself at HIGH_LEVEL: it is writing a message, and what it is called for writes none. */
    volatile UCHAR Writing[XEN_LOG_MAXIMUM_PROCESSORS];

    XEN_LOG_DISPOSITION Disposition[XEN_LOG_MAXIMUM_DISPOSITIONS];
    PXEN_LOG_DISPOSITION Emulator;
    PXEN_LOG_DISPOSITION Hypervisor;
} XEN_LOGGER, *PXEN_LOGGER;

/* What is printed for a debugger (debugger.c). */
typedef struct _XEN_DEBUGGER {
    BOOLEAN Registered;
    LONG volatile Running; /* calls of the routine */
} XEN_DEBUGGER, *PXEN_DEBUGGER;

/* The images that are loaded (module.c). */
typedef struct _XEN_MODULE XEN_MODULE, *PXEN_MODULE;

typedef struct _XEN_MODULES {
    KSPIN_LOCK Lock; /* taken at HIGH_LEVEL; guards the list, which a bugcheck reads without it */
    PXEN_MODULE volatile First;
    BOOLEAN Notified;
} XEN_MODULES, *PXEN_MODULES;

/* What is written in a bugcheck (bugcheck.c). */
typedef struct _XEN_BUGCHECK {
    KBUGCHECK_CALLBACK_RECORD StackRecord;
    KBUGCHECK_REASON_CALLBACK_RECORD ReasonRecord;
    ULONG_PTR Kernel; /* an address in the kernel */
    CONTEXT Captured;
    CONTEXT Frame;
} XEN_BUGCHECK, *PXEN_BUGCHECK;

/* What was unplugged in this boot (unplug.c). Constant after DllInitialize. */
typedef struct _XEN_UNPLUG {
    XEN_UNPLUG_POLICY Policy;
    BOOLEAN Requested[XEN_UNPLUG_TYPE_COUNT];
    BOOLEAN Done[XEN_UNPLUG_TYPE_COUNT];
} XEN_UNPLUG, *PXEN_UNPLUG;

/* Who is the active device (configuration.c). Guarded by ConfigurationMutex. */
typedef struct _XEN_ACTIVE_DEVICE {
    PSTR DeviceId; /* NULL: nobody has claimed the part */
    PSTR InstanceId;
    BOOLEAN VendorDevice; /* one has come in this boot, or had the part in an earlier one */
} XEN_ACTIVE_DEVICE, *PXEN_ACTIVE_DEVICE;

typedef struct _XEN_CONTEXT {
    UNICODE_STRING RegistryPath; /* of the service key, a copy in pool */
    KMUTEX ConfigurationMutex;   /* one change of the configuration at a time; PASSIVE_LEVEL */
    XEN_HYPERVISOR Hypervisor;
    XEN_PROCESSORS Processors;
    XEN_VCPU_INFO_PAGE VcpuInfoPage[XEN_VCPU_INFO_PAGES];
    XEN_LOGGER Logger;
    XEN_DEBUGGER Debugger;
    XEN_MODULES Modules;
    XEN_BUGCHECK Bugcheck;
    XEN_UNPLUG Unplug;
    XEN_ACTIVE_DEVICE ActiveDevice;
} XEN_CONTEXT, *PXEN_CONTEXT;

/* The module's one context. */
PXEN_CONTEXT XenGetContext(VOID);

/* Each part's beginning and end; PASSIVE_LEVEL, from DllInitialize and DllUnload. */
VOID HypervisorInitialize(_Out_ PXEN_HYPERVISOR Hypervisor);

NTSTATUS ProcessorsInitialize(_Out_ PXEN_PROCESSORS Processors);
VOID ProcessorsTeardown(_Inout_ PXEN_PROCESSORS Processors);

/* Nobody looks at a vcpu_info any more. */
VOID VcpuInfoTeardown(_Inout_updates_(XEN_VCPU_INFO_PAGES) PXEN_VCPU_INFO_PAGE Pages);

/* Parameters is the service's Parameters key, or NULL if it has none. */
NTSTATUS LoggerInitialize(_Out_ PXEN_LOGGER Logger, _In_opt_ HANDLE Parameters);
VOID LoggerTeardown(_Inout_ PXEN_LOGGER Logger);

/* A bugcheck: from now on messages are written without the lock, also if this processor was writing one. */
VOID LoggerCrash(_Inout_ PXEN_LOGGER Logger);

/* What these three lack when they fail, the log says; the machine goes on without. */
VOID DebuggerInitialize(_Out_ PXEN_DEBUGGER Debugger);
VOID DebuggerTeardown(_Inout_ PXEN_DEBUGGER Debugger);

VOID ModulesInitialize(_Out_ PXEN_MODULES Modules);
VOID ModulesTeardown(_Inout_ PXEN_MODULES Modules);

VOID BugcheckInitialize(_Out_ PXEN_BUGCHECK Bugcheck);
VOID BugcheckTeardown(_Inout_ PXEN_BUGCHECK Bugcheck);

/* The module that an address is in, NULL if none. Called with the lock held, or in a bugcheck. */
PXEN_MODULE ModuleFind(_In_ PXEN_MODULES Modules, _In_ ULONG_PTR Address);

/* "xenbus.sys+0x1234", or "?". Called as ModuleFind. */
VOID ModuleDescribe(_In_ PXEN_MODULES Modules, _In_ ULONG_PTR Address, _Out_writes_(Size) PSTR Text, _In_ SIZE_T Size);

/* Reads and deletes the requests and unplugs what they ask for. Service is the service key. */
VOID UnplugInitialize(_Out_ PXEN_UNPLUG Unplug, _In_ HANDLE Service);

/* Serialises changes of the registry. PASSIVE_LEVEL. */
VOID ConfigurationAcquire(VOID);
VOID ConfigurationRelease(VOID);

#endif /* XEN_DRIVER_H */
