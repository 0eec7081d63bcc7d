/*
 * Providers of WMI data: IoWMIRegistrationControl (wdm.h). A registered device is asked what blocks it has by
 * IRP_MN_REGINFO_EX, from a worker: the driver's routine that registers is not called back in the middle.
 */
#include "nt/wmi/wmi_internal.h"

#include <string.h>

#include "nt/cm/cm.h"

#define FIRST_SIZE 1024u
#define TRIES 4u

/* A question that a worker is to ask. */
struct question {
    WORK_QUEUE_ITEM item;
    struct wmi_provider *provider;
    ULONG_PTR kind; /* WMIREGISTER, WMIUPDATE */
};

void wmi_init(void)
{
    machine->wmi = image_alloc(sizeof(*machine->wmi));
    InitializeListHead(&machine->wmi->providers);
    InitializeListHead(&machine->wmi->consumers);
    KeInitializeEvent(&machine->wmi->control, SynchronizationEvent, TRUE);
}

static struct wmi_provider *find_provider(const DEVICE_OBJECT *device)
{
    for (PLIST_ENTRY entry = machine->wmi->providers.Flink; entry != &machine->wmi->providers; entry = entry->Flink) {
        struct wmi_provider *provider = CONTAINING_RECORD(entry, struct wmi_provider, entry);

        if (provider->device == device)
            return provider;
    }
    return NULL;
}

bool wmi_is_registered(const DEVICE_OBJECT *device)
{
    return find_provider(device) != NULL;
}

const struct wmi_block *wmi_find_block(const struct wmi_provider *provider, const GUID *guid)
{
    for (unsigned i = 0; i < provider->block_count; i++)
        if (wmi_same_guid(&provider->blocks[i].guid, guid))
            return &provider->blocks[i];
    return NULL;
}

static NTSTATUS send_here(const struct wmi_provider *provider, UCHAR minor, PVOID data, PVOID buffer, ULONG size,
                          ULONG_PTR *information)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_SYSTEM_CONTROL, .MinorFunction = minor};

    stack.Parameters.WMI.ProviderId = (ULONG_PTR)provider->device;
    stack.Parameters.WMI.DataPath = data;
    stack.Parameters.WMI.BufferSize = size;
    stack.Parameters.WMI.Buffer = buffer;
    *information = 0;
    return io_send_synchronous(provider->device, &stack, STATUS_NOT_SUPPORTED, information);
}

/* A request that a worker sends. */
struct errand {
    WORK_QUEUE_ITEM item;
    const struct wmi_provider *provider;
    UCHAR minor;
    PVOID data, buffer;
    ULONG size;
    ULONG_PTR *information;
    NTSTATUS status;
    KEVENT done;
};

static VOID NTAPI run_errand(PVOID parameter)
{
    struct errand *errand = parameter;

    KERNEL_SCOPE();
    errand->status =
        send_here(errand->provider, errand->minor, errand->data, errand->buffer, errand->size, errand->information);
    KeSetEvent(&errand->done, IO_NO_INCREMENT, FALSE);
}

NTSTATUS wmi_send(const struct wmi_provider *provider, UCHAR minor, PVOID data, PVOID buffer, ULONG size,
                  ULONG_PTR *information)
{
    struct errand *errand;
    NTSTATUS status;

    if (ke_irql() == PASSIVE_LEVEL)
        return send_here(provider, minor, data, buffer, size, information);
    errand = image_alloc(sizeof(*errand));
    *errand = (struct errand){
        .provider = provider, .minor = minor, .data = data, .buffer = buffer, .size = size, .information = information};
    KeInitializeEvent(&errand->done, NotificationEvent, FALSE);
    ExInitializeWorkItem(&errand->item, run_errand, errand);
    ExQueueWorkItem(&errand->item, CriticalWorkQueue); /* not behind one that waits for this one's end */
    KeWaitForSingleObject(&errand->done, Executive, KernelMode, FALSE, NULL);
    status = errand->status;
    image_free(errand);
    return status;
}

/* ---- what a device has ---- */

void wmi_hold(struct wmi_provider *provider)
{
    provider->users++;
    KeClearEvent(&provider->idle);
}

void wmi_release(struct wmi_provider *provider)
{
    if (--provider->users == 0)
        KeSetEvent(&provider->idle, IO_NO_INCREMENT, FALSE);
}

static void free_blocks(struct wmi_block *blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        image_free(blocks[i].base_name);
    image_free(blocks);
}

static void forget_blocks(struct wmi_provider *provider)
{
    free_blocks(provider->blocks, provider->block_count);
    provider->blocks = NULL;
    provider->block_count = 0;
}

/* A counted string at an offset of the answer: its length in bytes, then the characters. */
static char *counted_string(const uint8_t *answer, size_t size, size_t offset)
{
    USHORT length;

    if (offset == 0 || offset + sizeof(length) > size)
        return image_strdup("");
    memcpy(&length, answer + offset, sizeof(length));
    if (offset + sizeof(length) + length > size)
        return image_strdup("");
    return cm_utf8_from_utf16((const WCHAR *)(const void *)(answer + offset + sizeof(length)), length / sizeof(WCHAR));
}

static char *device_name(ULONG_PTR pdo)
{
    WCHAR name[256];
    ULONG length = 0;

    if (!NT_SUCCESS(IoGetDeviceProperty((PDEVICE_OBJECT)pdo, DevicePropertyPhysicalDeviceObjectName, sizeof(name), name,
                                        &length)) ||
        length < sizeof(WCHAR))
        return image_strdup("");
    return cm_utf8_from_utf16(name, length / sizeof(WCHAR) - 1);
}

static void take_blocks(struct wmi_provider *provider, const uint8_t *answer, size_t size)
{
    const WMIREGINFOW *info = (const void *)answer;
    unsigned count = size >= sizeof(*info) ? info->GuidCount : 0;
    struct wmi_block *taken;
    unsigned taken_count = 0;

    if (count > (size - sizeof(*info)) / sizeof(info->WmiRegGuid[0]))
        nt_violation("wmi-reginfo", "the answer to IRP_MN_REGINFO_EX says %u blocks, and has %zu bytes", count, size);
    taken = image_alloc((count + 1) * sizeof(*taken));
    for (unsigned i = 0; i < count; i++) {
        const WMIREGGUIDW *guid = &info->WmiRegGuid[i];
        const struct wmi_block *before = wmi_find_block(provider, &guid->Guid);
        struct wmi_block *block;

        if ((guid->Flags & WMIREG_FLAG_REMOVE_GUID) != 0)
            continue;
        block = &taken[taken_count++];
        block->guid = guid->Guid;
        block->events = before != NULL && before->events;
        block->collecting = before != NULL && before->collecting;
        block->flags = guid->Flags;
        block->instances = guid->InstanceCount;
        if ((guid->Flags & WMIREG_FLAG_INSTANCE_PDO) != 0) {
            block->base_name = device_name(guid->Pdo);
            ObDereferenceObject((PVOID)guid->Pdo); /* the provider has referenced it for us */
        } else {
            block->base_name = counted_string(answer, size, guid->BaseNameOffset);
        }
    }
    forget_blocks(provider);
    provider->blocks = taken;
    provider->block_count = taken_count;
}

static void ask(struct wmi_provider *provider, ULONG_PTR kind)
{
    ULONG size = FIRST_SIZE;

    for (unsigned try = 0; try < TRIES; try++) {
        void *buffer = ExAllocatePoolWithTag(NonPagedPoolNx, size, WMI_TAG);
        ULONG_PTR used;
        ULONG needed;
        NTSTATUS status;

        if (buffer == NULL)
            return;
        memset(buffer, 0, size);
        status = wmi_send(provider, IRP_MN_REGINFO_EX, (PVOID)kind, buffer, size, &used);
        needed = *(const ULONG *)buffer;
        if (NT_SUCCESS(status))
            take_blocks(provider, buffer, used < size ? used : size);
        ExFreePoolWithTag(buffer, WMI_TAG);
        if (status != STATUS_BUFFER_TOO_SMALL || needed <= size)
            return;
        size = needed;
    }
}

static VOID NTAPI answer_question(PVOID parameter)
{
    struct question *question = parameter;
    struct wmi_provider *provider = question->provider;

    KERNEL_SCOPE();
    if (!provider->blocked)
        ask(provider, question->kind);
    image_free(question);
    wmi_release(provider);
    wmi_settle(); /* somebody may have waited for the block */
}

static void ask_later(struct wmi_provider *provider, ULONG_PTR kind)
{
    struct question *question = image_alloc(sizeof(*question));

    question->provider = provider;
    question->kind = kind;
    wmi_hold(provider);
    ExInitializeWorkItem(&question->item, answer_question, question);
    ExQueueWorkItem(&question->item, DelayedWorkQueue);
}

static void let_finish(struct wmi_provider *provider)
{
    provider->blocked = true;
    KeWaitForSingleObject(&provider->idle, Executive, KernelMode, FALSE, NULL);
}

NTSTATUS NTAPI IoWMIRegistrationControl(PDEVICE_OBJECT DeviceObject, ULONG Action)
{
    struct wmi_provider *provider;

    NT_CALL(PASSIVE_LEVEL);
    provider = find_provider(DeviceObject);
    switch (Action) {
    case WMIREG_ACTION_REGISTER:
        if (provider != NULL)
            return STATUS_OBJECT_NAME_COLLISION;
        if (FAULT(POOL))
            return STATUS_INSUFFICIENT_RESOURCES;
        provider = image_alloc(sizeof(*provider));
        provider->device = DeviceObject;
        KeInitializeEvent(&provider->idle, NotificationEvent, TRUE);
        InsertTailList(&machine->wmi->providers, &provider->entry);
        ask_later(provider, WMIREGISTER);
        return STATUS_SUCCESS;
    case WMIREG_ACTION_DEREGISTER:
        if (provider == NULL)
            return STATUS_INVALID_PARAMETER;
        let_finish(provider);
        RemoveEntryList(&provider->entry);
        forget_blocks(provider);
        image_free(provider);
        return STATUS_SUCCESS;
    case WMIREG_ACTION_REREGISTER:
    case WMIREG_ACTION_UPDATE_GUIDS:
        if (provider == NULL || provider->blocked)
            return STATUS_INVALID_PARAMETER;
        ask_later(provider, Action == WMIREG_ACTION_UPDATE_GUIDS ? WMIUPDATE : WMIREGISTER);
        return STATUS_SUCCESS;
    case WMIREG_ACTION_BLOCK_IRPS:
        if (provider == NULL)
            return STATUS_INVALID_PARAMETER;
        let_finish(provider);
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}
