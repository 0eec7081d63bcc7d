/* PnP requests as the manager sends them: IRP_MJ_PNP to the top of a device's stack. */
#include "nt/pnp/pnp_internal.h"

static const char *const minor_names[] = {
    [IRP_MN_START_DEVICE] = "START_DEVICE",
    [IRP_MN_QUERY_REMOVE_DEVICE] = "QUERY_REMOVE_DEVICE",
    [IRP_MN_REMOVE_DEVICE] = "REMOVE_DEVICE",
    [IRP_MN_CANCEL_REMOVE_DEVICE] = "CANCEL_REMOVE_DEVICE",
    [IRP_MN_STOP_DEVICE] = "STOP_DEVICE",
    [IRP_MN_QUERY_STOP_DEVICE] = "QUERY_STOP_DEVICE",
    [IRP_MN_CANCEL_STOP_DEVICE] = "CANCEL_STOP_DEVICE",
    [IRP_MN_QUERY_DEVICE_RELATIONS] = "QUERY_DEVICE_RELATIONS",
    [IRP_MN_QUERY_INTERFACE] = "QUERY_INTERFACE",
    [IRP_MN_QUERY_CAPABILITIES] = "QUERY_CAPABILITIES",
    [IRP_MN_QUERY_RESOURCES] = "QUERY_RESOURCES",
    [IRP_MN_QUERY_RESOURCE_REQUIREMENTS] = "QUERY_RESOURCE_REQUIREMENTS",
    [IRP_MN_QUERY_DEVICE_TEXT] = "QUERY_DEVICE_TEXT",
    [IRP_MN_FILTER_RESOURCE_REQUIREMENTS] = "FILTER_RESOURCE_REQUIREMENTS",
    [IRP_MN_READ_CONFIG] = "READ_CONFIG",
    [IRP_MN_WRITE_CONFIG] = "WRITE_CONFIG",
    [IRP_MN_EJECT] = "EJECT",
    [IRP_MN_SET_LOCK] = "SET_LOCK",
    [IRP_MN_QUERY_ID] = "QUERY_ID",
    [IRP_MN_QUERY_PNP_DEVICE_STATE] = "QUERY_PNP_DEVICE_STATE",
    [IRP_MN_QUERY_BUS_INFORMATION] = "QUERY_BUS_INFORMATION",
    [IRP_MN_DEVICE_USAGE_NOTIFICATION] = "DEVICE_USAGE_NOTIFICATION",
    [IRP_MN_SURPRISE_REMOVAL] = "SURPRISE_REMOVAL",
    [IRP_MN_DEVICE_ENUMERATED] = "DEVICE_ENUMERATED",
};

static const char *minor_name(UCHAR minor)
{
    if (minor < RTL_NUMBER_OF(minor_names) && minor_names[minor] != NULL)
        return minor_names[minor];
    return "?";
}

static const char *name_of(const struct devnode *node)
{
    if (node->instance_path != NULL)
        return node->instance_path;
    return node->device_id != NULL ? node->device_id : "(new device)";
}

NTSTATUS pnp_send(struct devnode *node, IO_STACK_LOCATION *stack, NTSTATUS initial, ULONG_PTR *information)
{
    unsigned number = node->number;
    NTSTATUS status;

    stack->MajorFunction = IRP_MJ_PNP;
    log_line(LOG_TRACE, "pnp", "%s: IRP_MN_%s", name_of(node), minor_name(stack->MinorFunction));
    status = io_send_synchronous(node->pdo, stack, initial, information);
    eventlog_add(EVENT_PNP, number, stack->MinorFunction, (uint32_t)status);
    log_line(LOG_DEBUG, "pnp", "%s: IRP_MN_%s: 0x%08x", name_of(node), minor_name(stack->MinorFunction),
             (unsigned)status);
    return status;
}

NTSTATUS pnp_send_minor(struct devnode *node, UCHAR minor)
{
    IO_STACK_LOCATION stack = {.MinorFunction = minor};

    return pnp_send(node, &stack, STATUS_NOT_SUPPORTED, NULL);
}

void pnp_send_must_succeed(struct devnode *node, UCHAR minor)
{
    NTSTATUS status = pnp_send_minor(node, minor);

    if (!NT_SUCCESS(status))
        nt_violation_sub("pnp-must-succeed", 0, 0, (uintptr_t)node->pdo,
                         "%s: its drivers failed IRP_MN_%s with 0x%08x, which no driver may fail", name_of(node),
                         minor_name(minor), (unsigned)status);
}

NTSTATUS pnp_query_id(struct devnode *node, BUS_QUERY_ID_TYPE type, WCHAR **id)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_QUERY_ID, .Parameters.QueryId.IdType = type};
    ULONG_PTR information = 0;
    NTSTATUS status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);

    *id = NT_SUCCESS(status) ? (WCHAR *)information : NULL;
    return status;
}

WCHAR *pnp_query_text(struct devnode *node, DEVICE_TEXT_TYPE type)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_QUERY_DEVICE_TEXT,
                               .Parameters.QueryDeviceText = {.DeviceTextType = type, .LocaleId = 0x0409}};
    ULONG_PTR information = 0;
    NTSTATUS status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);

    return NT_SUCCESS(status) ? (WCHAR *)information : NULL;
}

NTSTATUS pnp_query_relations(struct devnode *node, DEVICE_RELATION_TYPE type, PDEVICE_RELATIONS *relations)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS,
                               .Parameters.QueryDeviceRelations.Type = type};
    ULONG_PTR information = 0;
    NTSTATUS status = pnp_send(node, &stack, STATUS_NOT_SUPPORTED, &information);

    *relations = NT_SUCCESS(status) ? (PDEVICE_RELATIONS)information : NULL;
    return status;
}

NTSTATUS pnp_query_capabilities(struct devnode *node, PDEVICE_CAPABILITIES capabilities)
{
    IO_STACK_LOCATION stack = {.MinorFunction = IRP_MN_QUERY_CAPABILITIES,
                               .Parameters.DeviceCapabilities.Capabilities = capabilities};

    RtlZeroMemory(capabilities, sizeof(*capabilities));
    capabilities->Size = sizeof(*capabilities);
    capabilities->Version = 1;
    capabilities->Address = 0xFFFFFFFF;
    capabilities->UINumber = 0xFFFFFFFF;
    return pnp_send(node, &stack, STATUS_NOT_SUPPORTED, NULL);
}
