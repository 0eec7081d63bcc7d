/*
 * The WMI library (wmilib.h): takes IRP_MJ_SYSTEM_CONTROL apart for a driver that describes its blocks by a
 * WMILIB_CONTEXT, and puts its answers into the form that WMI wants.
 */
#include <wmilib.h>
#include <wmistr.h>
#include <string.h>

#include "nt/ex/pool.h"
#include "nt/io/io.h"
#include "nt/ke/ke.h"
#include "nt/wmi/wmi_internal.h"

static PIO_STACK_LOCATION request_of(PIRP irp)
{
    return IoGetCurrentIrpStackLocation(irp);
}

static NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR information, CCHAR boost)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, boost);
    return status;
}

/* ---- registration ---- */

static ULONG string_bytes(PCUNICODE_STRING string)
{
    return string != NULL && string->Buffer != NULL ? (ULONG)sizeof(USHORT) + string->Length : (ULONG)sizeof(USHORT);
}

static ULONG put_string(uint8_t *buffer, ULONG at, PCUNICODE_STRING string)
{
    USHORT length = (USHORT)(string_bytes(string) - sizeof(USHORT));

    memcpy(buffer + at, &length, sizeof(length));
    if (length != 0)
        memcpy(buffer + at + sizeof(length), string->Buffer, length);
    return (at + (ULONG)sizeof(length) + length + 7u) & ~7u;
}

static NTSTATUS registration(PWMILIB_CONTEXT context, PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = request_of(irp);
    UNICODE_STRING name = {0}, mof = {0};
    PUNICODE_STRING path = NULL;
    PDEVICE_OBJECT pdo = NULL;
    PWMIREGINFOW info = stack->Parameters.WMI.Buffer;
    ULONG flags = 0, size, at;
    NTSTATUS status;

    status = DRIVER_CALLOUT("QueryWmiRegInfo", context->QueryWmiRegInfo, device, &flags, &name, &path, &mof, &pdo);
    if (!NT_SUCCESS(status))
        return complete(irp, status, 0, IO_NO_INCREMENT);
    at = (ULONG)(sizeof(*info) + context->GuidCount * sizeof(info->WmiRegGuid[0]));
    at = (at + 7u) & ~7u;
    size =
        at + ((string_bytes(&name) + 7u) & ~7u) + ((string_bytes(path) + 7u) & ~7u) + ((string_bytes(&mof) + 7u) & ~7u);
    if (stack->Parameters.WMI.BufferSize < size) {
        if (stack->Parameters.WMI.BufferSize >= sizeof(ULONG))
            *(PULONG)stack->Parameters.WMI.Buffer = size;
        status = STATUS_BUFFER_TOO_SMALL;
        size = sizeof(ULONG);
    } else {
        memset(info, 0, size);
        info->BufferSize = size;
        info->GuidCount = context->GuidCount;
        for (ULONG i = 0; i < context->GuidCount; i++) {
            PWMIREGGUIDW guid = &info->WmiRegGuid[i];

            guid->Guid = *context->GuidList[i].Guid;
            guid->InstanceCount = context->GuidList[i].InstanceCount;
            guid->Flags = context->GuidList[i].Flags | flags;
            if ((flags & WMIREG_FLAG_INSTANCE_PDO) != 0) {
                guid->Pdo = (ULONG_PTR)pdo;
                ObReferenceObject(pdo); /* WMI gives it back */
            } else {
                guid->BaseNameOffset = at;
            }
        }
        at = put_string((uint8_t *)info, at, &name);
        info->RegistryPath = at;
        at = put_string((uint8_t *)info, at, path);
        info->MofResourceName = at;
        (void)put_string((uint8_t *)info, at, &mof);
        status = STATUS_SUCCESS;
    }
    if ((flags & WMIREG_FLAG_INSTANCE_PDO) == 0 && name.Buffer != NULL)
        ExFreePool(name.Buffer); /* the callback has allocated it, the library frees it (page of the callback) */
    return complete(irp, status, size, IO_NO_INCREMENT);
}

/* ---- requests ---- */

static LONG find_guid(const WMILIB_CONTEXT *context, const GUID *guid)
{
    for (ULONG i = 0; i < context->GuidCount; i++)
        if (wmi_same_guid(context->GuidList[i].Guid, guid))
            return (LONG)i;
    return -1;
}

static ULONG room_behind(const IO_STACK_LOCATION *stack, ULONG offset)
{
    return stack->Parameters.WMI.BufferSize > offset ? stack->Parameters.WMI.BufferSize - offset : 0;
}

/* WNODE_ALL_DATA with room for the instances' places; the data behind, aligned to 8 bytes. */
static ULONG all_data_offset(ULONG instances)
{
    ULONG head = FIELD_OFFSET(WNODE_ALL_DATA, OffsetInstanceDataAndLength) +
                 instances * (ULONG)sizeof(OFFSETINSTANCEDATAANDLENGTH);

    return (head + 7u) & ~7u;
}

static NTSTATUS query_all(PWMILIB_CONTEXT context, PDEVICE_OBJECT device, PIRP irp, ULONG index)
{
    PIO_STACK_LOCATION stack = request_of(irp);
    PWNODE_ALL_DATA all = stack->Parameters.WMI.Buffer;
    ULONG instances = context->GuidList[index].InstanceCount;
    ULONG offset = all_data_offset(instances);
    bool room = room_behind(stack, offset) != 0;

    all->InstanceCount = instances;
    if (room) {
        all->DataBlockOffset = offset;
        all->OffsetInstanceNameOffsets = 0;
    }
    /* The driver puts the instances' lengths where WmiCompleteRequest() makes pairs of places and lengths of them. */
    return DRIVER_CALLOUT("QueryWmiDataBlock", context->QueryWmiDataBlock, device, irp, index, 0, instances,
                          room ? &all->OffsetInstanceDataAndLength[0].OffsetInstanceData : NULL,
                          room_behind(stack, offset), room ? (PUCHAR)all + offset : NULL);
}

/* Unknown GUIDs and instances: the driver completes the request with the status. */
static NTSTATUS refuse(PIRP irp, NTSTATUS status, PSYSCTL_IRP_DISPOSITION disposition)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    *disposition = IrpNotCompleted;
    return status;
}

NTSTATUS NTAPI WmiSystemControl(PWMILIB_CONTEXT WmiLibInfo, PDEVICE_OBJECT DeviceObject, PIRP Irp,
                                PSYSCTL_IRP_DISPOSITION IrpDisposition)
{
    PWNODE_SINGLE_INSTANCE instance;
    PIO_STACK_LOCATION stack;
    PWNODE_METHOD_ITEM item;
    PUCHAR data;
    UCHAR minor;
    LONG found;
    ULONG index;

    NT_CALL(PASSIVE_LEVEL);
    stack = request_of(Irp);
    instance = stack->Parameters.WMI.Buffer;
    item = stack->Parameters.WMI.Buffer;
    minor = stack->MinorFunction;
    if (minor > IRP_MN_REGINFO_EX || minor == IRP_MN_REGINFO_EX - 1) {
        *IrpDisposition = IrpNotWmi;
        return Irp->IoStatus.Status;
    }
    if (stack->Parameters.WMI.ProviderId != (ULONG_PTR)DeviceObject) {
        *IrpDisposition = IrpForward;
        return Irp->IoStatus.Status;
    }
    *IrpDisposition = IrpProcessed;
    if (minor == IRP_MN_REGINFO || minor == IRP_MN_REGINFO_EX)
        return registration(WmiLibInfo, DeviceObject, Irp);
    found = find_guid(WmiLibInfo, stack->Parameters.WMI.DataPath);
    if (found < 0)
        return refuse(Irp, STATUS_WMI_GUID_NOT_FOUND, IrpDisposition);
    index = (ULONG)found;
    if ((minor == IRP_MN_QUERY_SINGLE_INSTANCE || minor == IRP_MN_CHANGE_SINGLE_INSTANCE ||
         minor == IRP_MN_CHANGE_SINGLE_ITEM || minor == IRP_MN_EXECUTE_METHOD) &&
        ((instance->WnodeHeader.Flags & WNODE_FLAG_STATIC_INSTANCE_NAMES) == 0 ||
         instance->InstanceIndex >= WmiLibInfo->GuidList[index].InstanceCount))
        return refuse(Irp, STATUS_WMI_INSTANCE_NOT_FOUND, IrpDisposition);
    switch (minor) {
    case IRP_MN_QUERY_ALL_DATA:
        return query_all(WmiLibInfo, DeviceObject, Irp, index);
    case IRP_MN_QUERY_SINGLE_INSTANCE:
        return DRIVER_CALLOUT(
            "QueryWmiDataBlock", WmiLibInfo->QueryWmiDataBlock, DeviceObject, Irp, index, instance->InstanceIndex, 1,
            &instance->SizeDataBlock, room_behind(stack, instance->DataBlockOffset),
            room_behind(stack, instance->DataBlockOffset) != 0 ? (PUCHAR)instance + instance->DataBlockOffset : NULL);
    case IRP_MN_CHANGE_SINGLE_INSTANCE:
        if (WmiLibInfo->SetWmiDataBlock == NULL)
            return refuse(Irp, STATUS_WMI_READ_ONLY, IrpDisposition);
        return DRIVER_CALLOUT("SetWmiDataBlock", WmiLibInfo->SetWmiDataBlock, DeviceObject, Irp, index,
                              instance->InstanceIndex, instance->SizeDataBlock,
                              (PUCHAR)instance + instance->DataBlockOffset);
    case IRP_MN_CHANGE_SINGLE_ITEM:
        if (WmiLibInfo->SetWmiDataItem == NULL)
            return refuse(Irp, STATUS_WMI_READ_ONLY, IrpDisposition);
        return DRIVER_CALLOUT("SetWmiDataItem", WmiLibInfo->SetWmiDataItem, DeviceObject, Irp, index,
                              item->InstanceIndex, item->MethodId, item->SizeDataBlock,
                              (PUCHAR)item + item->DataBlockOffset);
    case IRP_MN_EXECUTE_METHOD:
        if (WmiLibInfo->ExecuteWmiMethod == NULL)
            return refuse(Irp, STATUS_INVALID_DEVICE_REQUEST, IrpDisposition);
        data = (PUCHAR)item + item->DataBlockOffset;
        return DRIVER_CALLOUT("ExecuteWmiMethod", WmiLibInfo->ExecuteWmiMethod, DeviceObject, Irp, index,
                              item->InstanceIndex, item->MethodId, item->SizeDataBlock,
                              room_behind(stack, item->DataBlockOffset), data);
    default: /* events or collection, on or off */
        if (WmiLibInfo->WmiFunctionControl == NULL)
            return complete(Irp, STATUS_SUCCESS, 0, IO_NO_INCREMENT);
        return DRIVER_CALLOUT("WmiFunctionControl", WmiLibInfo->WmiFunctionControl, DeviceObject, Irp, index,
                              minor == IRP_MN_ENABLE_EVENTS || minor == IRP_MN_DISABLE_EVENTS ? WmiEventControl
                                                                                              : WmiDataBlockControl,
                              minor == IRP_MN_ENABLE_EVENTS || minor == IRP_MN_ENABLE_COLLECTION);
    }
}

/* The places of the instances, from the lengths that the driver's callback has put there. */
static ULONG place_instances(PWNODE_ALL_DATA all)
{
    ULONG at = all->DataBlockOffset;
    const ULONG *lengths = (const ULONG *)all->OffsetInstanceDataAndLength;

    /* The lengths are an array that the pairs lie over: from the last to the first nothing is overwritten early. */
    for (ULONG i = all->InstanceCount; i-- > 0;)
        all->OffsetInstanceDataAndLength[i].LengthInstanceData = lengths[i];
    for (ULONG i = 0; i < all->InstanceCount; i++) {
        all->OffsetInstanceDataAndLength[i].OffsetInstanceData = at;
        at = (at + all->OffsetInstanceDataAndLength[i].LengthInstanceData + 7u) & ~7u;
    }
    return at;
}

NTSTATUS NTAPI WmiCompleteRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp, NTSTATUS Status, ULONG BufferUsed,
                                  CCHAR PriorityBoost)
{
    ULONG offset = 0, used = 0;
    PIO_STACK_LOCATION stack;
    PWNODE_HEADER header;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(DeviceObject);
    stack = request_of(Irp);
    header = stack->Parameters.WMI.Buffer;
    switch (stack->MinorFunction) {
    case IRP_MN_QUERY_ALL_DATA:
        offset = (header->Flags & WNODE_FLAG_ALL_DATA) != 0 ? ((PWNODE_ALL_DATA)header)->DataBlockOffset : 0;
        break;
    case IRP_MN_QUERY_SINGLE_INSTANCE:
        offset = ((PWNODE_SINGLE_INSTANCE)header)->DataBlockOffset;
        break;
    case IRP_MN_EXECUTE_METHOD:
        offset = ((PWNODE_METHOD_ITEM)header)->DataBlockOffset;
        break;
    default:
        return complete(Irp, Status, NT_SUCCESS(Status) ? BufferUsed : 0, PriorityBoost);
    }
    if (Status == STATUS_BUFFER_TOO_SMALL) {
        PWNODE_TOO_SMALL small = (PWNODE_TOO_SMALL)header;

        small->WnodeHeader.BufferSize = sizeof(*small);
        small->WnodeHeader.Flags |= WNODE_FLAG_TOO_SMALL;
        small->SizeNeeded =
            (offset != 0 ? offset : all_data_offset(((PWNODE_ALL_DATA)header)->InstanceCount)) + BufferUsed;
        return complete(Irp, STATUS_SUCCESS, sizeof(*small), PriorityBoost);
    }
    if (!NT_SUCCESS(Status))
        return complete(Irp, Status, 0, PriorityBoost);
    used = offset + BufferUsed;
    if (stack->MinorFunction == IRP_MN_QUERY_ALL_DATA)
        used = place_instances((PWNODE_ALL_DATA)header);
    else if (stack->MinorFunction == IRP_MN_QUERY_SINGLE_INSTANCE)
        ((PWNODE_SINGLE_INSTANCE)header)->SizeDataBlock = BufferUsed;
    else
        ((PWNODE_METHOD_ITEM)header)->SizeDataBlock = BufferUsed;
    header->BufferSize = used < stack->Parameters.WMI.BufferSize ? used : stack->Parameters.WMI.BufferSize;
    KeQuerySystemTime(&header->TimeStamp);
    return complete(Irp, STATUS_SUCCESS, header->BufferSize, PriorityBoost);
}

/* ---- events ---- */

/* EventData is pool of the driver's, which the library frees in any case. */
NTSTATUS NTAPI WmiFireEvent(PDEVICE_OBJECT DeviceObject, LPCGUID Guid, ULONG InstanceIndex, ULONG EventDataSize,
                            PVOID EventData)
{
    ULONG offset = (FIELD_OFFSET(WNODE_SINGLE_INSTANCE, VariableData) + 7u) & ~7u;
    PWNODE_SINGLE_INSTANCE node;
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;

    NT_CALL(DISPATCH_LEVEL);
    node = FAULT(POOL) ? NULL : ExAllocatePoolWithTag(NonPagedPoolNx, offset + EventDataSize, WMI_TAG);
    if (node != NULL) {
        memset(node, 0, offset);
        node->WnodeHeader.BufferSize = offset + EventDataSize;
        node->WnodeHeader.ProviderId = (ULONG)(ULONG_PTR)DeviceObject;
        node->WnodeHeader.Version = 1;
        node->WnodeHeader.Guid = *Guid;
        node->WnodeHeader.Flags = WNODE_FLAG_SINGLE_INSTANCE | WNODE_FLAG_EVENT_ITEM | WNODE_FLAG_STATIC_INSTANCE_NAMES;
        KeQuerySystemTime(&node->WnodeHeader.TimeStamp);
        node->InstanceIndex = InstanceIndex;
        node->DataBlockOffset = offset;
        node->SizeDataBlock = EventDataSize;
        if (EventDataSize != 0)
            memcpy((char *)node + offset, EventData, EventDataSize);
        status = wmi_write_event(&node->WnodeHeader);
        if (!NT_SUCCESS(status))
            ExFreePoolWithTag(node, WMI_TAG);
    }
    if (EventData != NULL)
        ExFreePool(EventData);
    return status;
}
