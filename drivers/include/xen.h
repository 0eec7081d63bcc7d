/*
 * What xen.sys gives the other drivers of the package: hypercalls as NTSTATUS routines, what Xen says of the machine,
 * the log, unplug of emulated devices, and the package's configuration.
 *
 * Common to all: a driver calls XenTouch first, from DriverEntry, and nothing else unless it succeeded. Unless a
 * routine says otherwise it may be called at any IRQL up to HIGH_LEVEL, its pointers must point to resident memory, and
 * it keeps none of them. A hypercall that Xen refuses gives the error that XenErrnoToStatus maps its errno to; output
 * parameters are then untouched.
 *
 * Frame numbers are guest frames (physical address >> PAGE_SHIFT), vCPU IDs Xen's, processor indices Windows's.
 * Numbers of operations, spaces, parameters and errors are those of the public Xen headers (<xen/...>), whose documents
 * say what each operation means.
 */
#ifndef XEN_EXPORT_H
#define XEN_EXPORT_H

#include <ntddk.h>
#include <stdarg.h>

#if defined(_WIN32)
#if defined(XEN_EXPORTS)
#define XEN_API __declspec(dllexport)
#else
#define XEN_API __declspec(dllimport)
#endif
#else
#define XEN_API __attribute__((visibility("default")))
#endif

/* ---- Module ---- */

/*
 * Binds a client to this xen.sys. PASSIVE_LEVEL. The numbers are the client's MAJOR_VERSION, MINOR_VERSION,
 * MICRO_VERSION and BUILD_NUMBER (version.h).
 * STATUS_INCOMPATIBLE_DRIVER_BLOCKED: the client is of another version; the log names both.
 * STATUS_NOT_SUPPORTED: this machine does not run on Xen; the client declines to start, without noise.
 */
XEN_API NTSTATUS NTAPI XenTouch(_In_ PCSTR Name, _In_ ULONG Major, _In_ ULONG Minor, _In_ ULONG Micro,
                                _In_ ULONG Build);

/*
 * The status for a result of a hypercall or of the store protocol: Error is an errno of Xen's, of either sign; 0 and
 * what is not an errno of Xen's give STATUS_SUCCESS and STATUS_UNSUCCESSFUL.
 */
XEN_API NTSTATUS NTAPI XenErrnoToStatus(_In_ LONG_PTR Error);

/* ---- What Xen says of itself and of this domain (xen/version.h, CPUID leaves base+1 to base+4) ---- */

/* The hypervisor's version. */
XEN_API VOID NTAPI XenQueryVersion(_Out_ PULONG Major, _Out_ PULONG Minor);

/* The features mask of one submap (XENVER_get_features, xen/features.h). */
XEN_API NTSTATUS NTAPI XenQueryFeatures(_In_ ULONG Submap, _Out_ PULONG Mask);

/* The domain's ID, where Xen tells (XEN_HVM_CPUID_DOMID_PRESENT). STATUS_NOT_SUPPORTED: the store's "domid" does. */
XEN_API NTSTATUS NTAPI XenQueryDomainId(_Out_ PUSHORT DomainId);

/*
 * The vCPU ID of a processor. STATUS_INVALID_PARAMETER: there is no such processor, or it is being added at the moment
 * and this is not called on it.
 */
XEN_API NTSTATUS NTAPI XenQueryVcpuId(_In_ ULONG ProcessorIndex, _Out_ PULONG VcpuId);

/* ---- Memory (xen/memory.h) ---- */

/* Puts the Xen page (Space, Index) at Frame; RAM that was there is freed, a page mapped elsewhere moves. */
XEN_API NTSTATUS NTAPI XenMemoryAddToPhysMap(_In_ ULONG Space, _In_ ULONG_PTR Index, _In_ PFN_NUMBER Frame);

/* Leaves a hole at Frame. */
XEN_API NTSTATUS NTAPI XenMemoryRemoveFromPhysMap(_In_ PFN_NUMBER Frame);

/*
 * Returns extents of 2^Order pages to Xen, or asks for them. *Done is how many of the Count extents, from the first,
 * were done: fewer than Count is STATUS_SUCCESS too.
 */
XEN_API NTSTATUS NTAPI XenMemoryDecreaseReservation(_In_ ULONG Order, _In_ ULONG Count,
                                                    _In_reads_(Count) const PFN_NUMBER *Frames, _Out_ PULONG Done);
XEN_API NTSTATUS NTAPI XenMemoryPopulatePhysMap(_In_ ULONG Order, _In_ ULONG Count,
                                                _In_reads_(Count) const PFN_NUMBER *Frames, _Out_ PULONG Done);

/* Pages that the domain has, and that it may have at most. */
XEN_API NTSTATUS NTAPI XenMemoryQueryReservation(_Out_ PULONGLONG Current, _Out_ PULONGLONG Maximum);

/* ---- Event channels (xen/event_channel.h) ---- */

typedef enum _XEN_EVENT_TYPE {
    XEN_EVENT_CLOSED,
    XEN_EVENT_UNBOUND,
    XEN_EVENT_INTER_DOMAIN,
    XEN_EVENT_PHYSICAL_IRQ,
    XEN_EVENT_VIRQ,
    XEN_EVENT_IPI
} XEN_EVENT_TYPE;

typedef struct _XEN_EVENT_STATUS {
    XEN_EVENT_TYPE Type;
    ULONG VcpuId;        /* where it is delivered */
    USHORT RemoteDomain; /* UNBOUND and INTER_DOMAIN */
    ULONG RemotePort;    /* INTER_DOMAIN */
    ULONG Number;        /* PHYSICAL_IRQ: the IRQ; VIRQ: the virtual interrupt */
} XEN_EVENT_STATUS, *PXEN_EVENT_STATUS;

XEN_API NTSTATUS NTAPI XenEventAllocateUnbound(_In_ USHORT RemoteDomain, _Out_ PULONG Port);
XEN_API NTSTATUS NTAPI XenEventBindInterDomain(_In_ USHORT RemoteDomain, _In_ ULONG RemotePort, _Out_ PULONG Port);
XEN_API NTSTATUS NTAPI XenEventBindVirq(_In_ ULONG Virq, _In_ ULONG VcpuId, _Out_ PULONG Port);
XEN_API NTSTATUS NTAPI XenEventBindVcpu(_In_ ULONG Port, _In_ ULONG VcpuId);
XEN_API NTSTATUS NTAPI XenEventClose(_In_ ULONG Port);
XEN_API NTSTATUS NTAPI XenEventSend(_In_ ULONG Port);

/* Unmasks in the hypervisor, which raises the event where it belongs if it is pending. */
XEN_API NTSTATUS NTAPI XenEventUnmask(_In_ ULONG Port);

XEN_API NTSTATUS NTAPI XenEventQueryStatus(_In_ ULONG Port, _Out_ PXEN_EVENT_STATUS Status);

/* Closes every port of the domain and goes back to the two-level ABI. */
XEN_API NTSTATUS NTAPI XenEventReset(VOID);

/*
 * The FIFO ABI. InitControl: the control block of the vCPU lies at Offset in Frame; *LinkBits is the width of a link.
 * STATUS_NOT_IMPLEMENTED: Xen is too old for it.
 */
XEN_API NTSTATUS NTAPI XenEventInitControl(_In_ ULONG VcpuId, _In_ PFN_NUMBER Frame, _In_ ULONG Offset,
                                           _Out_ PUCHAR LinkBits);
XEN_API NTSTATUS NTAPI XenEventExpandArray(_In_ PFN_NUMBER Frame);
XEN_API NTSTATUS NTAPI XenEventSetPriority(_In_ ULONG Port, _In_ ULONG Priority);

/* ---- Grant tables (xen/grant_table.h); the frames are mapped with XenMemoryAddToPhysMap, XENMAPSPACE_grant_table ----
 */

/* Frames in the table now, and at most. */
XEN_API NTSTATUS NTAPI XenGrantTableQuerySize(_Out_ PULONG CurrentFrames, _Out_ PULONG MaximumFrames);

XEN_API NTSTATUS NTAPI XenGrantTableQueryVersion(_Out_ PULONG Version);

/* Sets the version of the entries' format, 1 or 2. Only while the table beyond the reserved entries is not in use. */
XEN_API NTSTATUS NTAPI XenGrantTableSetVersion(_In_ ULONG Version);

/* Copies between granted and own pages. The result is that of the call; each operation's own is in its status. */
struct gnttab_copy;
XEN_API NTSTATUS NTAPI XenGrantTableCopy(_In_ ULONG Count, _Inout_updates_(Count) struct gnttab_copy *Operations);

/* Maps a page that Domain has granted at Address, page aligned; *Handle is for the unmap. */
XEN_API NTSTATUS NTAPI XenGrantTableMapForeignPage(_In_ USHORT Domain, _In_ ULONG Reference,
                                                   _In_ PHYSICAL_ADDRESS Address, _In_ BOOLEAN ReadOnly,
                                                   _Out_ PULONG Handle);
XEN_API NTSTATUS NTAPI XenGrantTableUnmapForeignPage(_In_ ULONG Handle, _In_ PHYSICAL_ADDRESS Address);

/* ---- HVM (xen/hvm/params.h, xen/hvm/hvm_op.h) ---- */

XEN_API NTSTATUS NTAPI XenHvmQueryParameter(_In_ ULONG Index, _Out_ PULONGLONG Value);
XEN_API NTSTATUS NTAPI XenHvmSetParameter(_In_ ULONG Index, _In_ ULONGLONG Value);

/* Has the vCPU interrupted at Vector (0x10 to 0xFF) when an event is pending; it cannot be unset. */
XEN_API NTSTATUS NTAPI XenHvmSetEvtchnUpcallVector(_In_ ULONG VcpuId, _In_ UCHAR Vector);

/* ---- Scheduling and vCPUs (xen/sched.h, xen/vcpu.h) ---- */

/* Gives the rest of the time slice to other vCPUs. */
XEN_API VOID NTAPI XenSchedYield(VOID);

/*
 * Shuts the domain down for Reason (SHUTDOWN_poweroff, SHUTDOWN_reboot, SHUTDOWN_suspend, SHUTDOWN_crash). It returns
 * with STATUS_SUCCESS for SHUTDOWN_suspend only, when the domain runs again; *Cancelled is TRUE if the suspend was
 * cancelled and nothing is lost, FALSE on a resume. Suspend: with interrupts off and every other processor held.
 */
XEN_API NTSTATUS NTAPI XenSchedShutdown(_In_ ULONG Reason, _Out_ PBOOLEAN Cancelled);

/*
 * The domain's watchdog. *Id 0 and Seconds: starts one, *Id is its number; *Id and Seconds: starts it anew; *Id and
 * 0: stops it.
 */
XEN_API NTSTATUS NTAPI XenSchedWatchdog(_Inout_ PULONG Id, _In_ ULONG Seconds);

/* Puts the vCPU's vcpu_info at Offset in Frame; it must not cross the page. Once a vCPU in a domain's life. */
XEN_API NTSTATUS NTAPI XenVcpuRegisterInfo(_In_ ULONG VcpuId, _In_ PFN_NUMBER Frame, _In_ ULONG Offset);

/*
 * Gives the calling processor's vCPU, of an ID that shared_info has no room for, a vcpu_info in a page of this
 * module's, which stays for as long as the module does: *Info is where Xen has it, also if it was placed before in this
 * domain's life. IRQL <= DISPATCH_LEVEL, on that processor throughout; not on two at once. STATUS_INVALID_PARAMETER:
 * not such an ID, or Xen has it elsewhere. STATUS_INSUFFICIENT_RESOURCES: no page.
 */
XEN_API NTSTATUS NTAPI XenVcpuPlaceInfo(_In_ ULONG VcpuId, _Outptr_ PVOID *Info);

/* ---- The log ---- */

/* A message has one level, a disposition a mask of them. */
#define XEN_LOG_TRACE 0x01
#define XEN_LOG_INFO 0x02
#define XEN_LOG_WARNING 0x04
#define XEN_LOG_ERROR 0x08
#define XEN_LOG_CRITICAL 0x10

#define XEN_LOG_LINE_SIZE 256 /* bytes of the longest message, the closing NUL included; the rest is cut */

/*
 * Writes one message to every disposition whose mask has Level. Format as for printf, without wide strings and
 * floating point. Drivers use the macros of drivers/common/log.h. XenLogIsEnabled is TRUE if any disposition has Level:
 * what would be costly to print need not be gathered.
 */
XEN_API VOID NTAPI XenLogPrintf(_In_ ULONG Level, _In_ PCSTR Format, ...);
XEN_API VOID NTAPI XenLogVPrintf(_In_ ULONG Level, _In_ PCSTR Format, _In_ va_list Arguments);
XEN_API BOOLEAN NTAPI XenLogIsEnabled(_In_ ULONG Level);

/*
 * A place that messages go to beside the emulator's log port and Xen's debug port. Function gets Length bytes at Text,
 * a whole line with its line feed, at HIGH_LEVEL and one call at a time; what it logs or prints for a debugger itself
 * goes nowhere. The registration is opaque, and is ended by XenLogRemoveDisposition; once that has returned Function
 * neither runs nor will run. PASSIVE_LEVEL.
 * STATUS_INSUFFICIENT_RESOURCES: all places are taken.
 */
typedef VOID(NTAPI *XEN_LOG_FUNCTION)(_In_opt_ PVOID Argument, _In_reads_(Length) PCSTR Text, _In_ ULONG Length);
typedef struct _XEN_LOG_DISPOSITION XEN_LOG_DISPOSITION, *PXEN_LOG_DISPOSITION;

XEN_API NTSTATUS NTAPI XenLogAddDisposition(_In_ ULONG Mask, _In_ XEN_LOG_FUNCTION Function, _In_opt_ PVOID Argument,
                                            _Outptr_ PXEN_LOG_DISPOSITION *Disposition);
XEN_API VOID NTAPI XenLogRemoveDisposition(_In_ PXEN_LOG_DISPOSITION Disposition);

/* ---- Modules ---- */

/*
 * The module that Address is in: its file's name ("xenbus.sys") in Name of Size bytes, and where it begins. A module
 * that was unloaded is known until another takes its place. STATUS_NOT_FOUND: Address is in none, or memory was short
 * when it was loaded. STATUS_BUFFER_OVERFLOW: the name is longer, and cut; *Base is as it was.
 */
XEN_API NTSTATUS NTAPI XenQueryModule(_In_ PVOID Address, _Out_writes_(Size) PSTR Name, _In_ SIZE_T Size,
                                      _Out_ PVOID *Base);

/* ---- Start options ---- */

/*
 * The value of the start option XEN:<Name>=<Value> (SystemStartOptions in the Control key; names in any case, the value
 * up to the next space), in Value of Size bytes. PASSIVE_LEVEL. STATUS_OBJECT_NAME_NOT_FOUND: it is not there.
 * STATUS_BUFFER_OVERFLOW: it is longer, and cut. Value, of one byte at least, is a string whatever the status.
 */
XEN_API NTSTATUS NTAPI XenQueryStartOption(_In_ PCSTR Name, _Out_writes_(Size) PSTR Value, _In_ SIZE_T Size);

/* ---- Emulated devices ---- */

typedef enum _XEN_UNPLUG_TYPE { XEN_UNPLUG_NICS, XEN_UNPLUG_DISKS, XEN_UNPLUG_TYPE_COUNT } XEN_UNPLUG_TYPE;

/*
 * Who decides about the emulated devices in this boot: the clients' requests; the start option XEN:BOOT_EMULATED=TRUE,
 * by which they stay whatever is asked for; or ForceUnplug under the service key, by which they go unasked. The start
 * option wins over the registry. Constant.
 */
typedef enum _XEN_UNPLUG_POLICY { XEN_UNPLUG_ON_REQUEST, XEN_UNPLUG_NEVER, XEN_UNPLUG_ALWAYS } XEN_UNPLUG_POLICY;

XEN_API XEN_UNPLUG_POLICY NTAPI XenUnplugQueryPolicy(VOID);

/* Counts one request more or less for the next boot (XEN\Unplug, values NICS and DISKS). PASSIVE_LEVEL. */
XEN_API NTSTATUS NTAPI XenUnplugRequest(_In_ XEN_UNPLUG_TYPE Type, _In_ BOOLEAN Make);

/* TRUE if the registry asked at this boot that the emulated devices of Type be unplugged, by a count or by force. */
XEN_API BOOLEAN NTAPI XenUnplugIsRequested(_In_ XEN_UNPLUG_TYPE Type);

/*
 * TRUE if the emulated devices of Type were unplugged in this boot: asked for, and the emulator took it. When FALSE
 * after it was asked for, the log says why (no protocol, blacklisted, kept by the start option).
 */
XEN_API BOOLEAN NTAPI XenUnplugIsDone(_In_ XEN_UNPLUG_TYPE Type);

/*
 * Unplugs again what was unplugged at boot: after a resume the emulator is a new one. To be called before EARLY
 * callbacks. The emulator's refusal.
 */
XEN_API NTSTATUS NTAPI XenUnplugRepeat(VOID);

/* ---- Configuration ---- */

/*
 * Claims the part of the one active platform device, kept under XENFILT\Parameters (ActiveDeviceID, ActiveInstanceID,
 * ActiveLocationInformation). PASSIVE_LEVEL. A device C000 wins over the others, from the boot after it was first seen
 * on; among the others the first to claim wins. *Active is TRUE if the caller is the active device from now on, or was
 * already; if FALSE it must make no children. The active device gives its claim back when it goes; the record stays.
 * Another device that is turned away because of a C000 that has not come in this boot takes the record away: C000
 * records itself again when it comes, and without it the next boot's first is active.
 */
XEN_API NTSTATUS NTAPI XenActiveDeviceClaim(_In_ PCSTR DeviceId, _In_ PCSTR InstanceId,
                                            _In_opt_ PCSTR LocationInformation, _Out_ PBOOLEAN Active);
XEN_API VOID NTAPI XenActiveDeviceRelease(VOID);

/* Asks for a reboot in the name of Module: xenbus_monitor\Request\<Module>\Reboot = 1. PASSIVE_LEVEL. */
XEN_API NTSTATUS NTAPI XenRequestReboot(_In_ PCSTR Module);

#endif /* XEN_EXPORT_H */
