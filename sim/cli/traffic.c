#include "cli/traffic.h"

#include <string.h>

#include "capture.h"
#include "checker.h"
#include "cli/traffic_counters.h"
#include "cli/traffic_device.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "nt/ke/ke.h"
#include "nt/nt_init.h"
#include "packet.h"

#define WINDOW 64 /* requests on their way at once */
/* Requests that carry several frames, and their bytes, unless one frame alone is longer. */
#define READ_ROW_WINDOW 8
#define READ_ROW_BYTES (256u << 10)
/* What is written is looked at when it is given and when it comes back: it is to stay in the processor's cache. */
#define WRITE_ROW_WINDOW 4
#define WRITE_ROW_BYTES (128u << 10)
#define TAG ((ULONG)'t' | (ULONG)'r' << 8 | (ULONG)'a' << 16 | (ULONG)'f' << 24)

/* One request on its way. */
struct slot {
    KEVENT done;
    IO_STATUS_BLOCK status;
    PIRP irp;
    uint8_t *buffer;
    uint32_t frames; /* of a row that is written */
    uint32_t bytes;  /* of those */
    bool busy;
};

struct flow {
    struct traffic_vif *vif;
    struct traffic_count *count;
    struct traffic_device device;
    struct traffic_counters counters;
    UCHAR major;     /* IRP_MJ_WRITE or IRP_MJ_READ */
    uint32_t size;   /* of a slot's buffer */
    unsigned window; /* slots in use */
    uint32_t next;   /* frame to ask for next */
    uint32_t total;  /* requests at most */
    bool cut;        /* frames may come in segments: there may be fewer than `total` */
    bool impatient;
    struct slot slots[WINDOW];
};

static NTSTATUS NTAPI request_done(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    struct slot *slot = Context;

    UNREFERENCED_PARAMETER(DeviceObject);
    slot->status = Irp->IoStatus;
    while (Irp->MdlAddress != NULL) {
        PMDL mdl = Irp->MdlAddress;

        Irp->MdlAddress = mdl->Next;
        MmUnlockPages(mdl);
        IoFreeMdl(mdl);
    }
    KeSetEvent(&slot->done, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS submit(struct flow *flow, struct slot *slot, uint32_t length, uint64_t left)
{
    LARGE_INTEGER offset = {.QuadPart = (LONGLONG)left};
    PIRP irp = IoBuildAsynchronousFsdRequest(flow->major, flow->device.object, slot->buffer, length, &offset, NULL);

    if (irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    IoGetNextIrpStackLocation(irp)->FileObject = flow->device.file;
    IoSetCompletionRoutine(irp, request_done, slot, TRUE, TRUE, TRUE);
    slot->irp = irp; /* ours until collected, so that it can be cancelled at any time */
    KeClearEvent(&slot->done);
    slot->busy = true;
    (void)IoCallDriver(flow->device.object, irp);
    return STATUS_SUCCESS;
}

static void note_bad(struct traffic_count *count, uint32_t number, NTSTATUS status)
{
    if (count->first_bad != 0)
        return;
    count->first_bad = number + 1;
    count->first_status = status;
}

static bool wait_done(struct flow *flow, struct slot *slot)
{
    LARGE_INTEGER patience = {.QuadPart = -(LONGLONG)(flow->vif->patience / 100)};

    return KeWaitForSingleObject(&slot->done, Executive, KernelMode, FALSE,
                                 flow->vif->patience != 0 ? &patience : NULL) == STATUS_SUCCESS;
}

/* What does not end within the user's patience is cancelled, as by a program that gives up; that has to end it. */
static void await(struct flow *flow, struct slot *slot, uint32_t number)
{
    if (!flow->impatient && wait_done(flow, slot))
        return;
    flow->impatient = true; /* the ones behind it get no time of their own */
    (void)IoCancelIrp(slot->irp);
    if (!wait_done(flow, slot))
        fail("hang", "VIF %u: the %s of frame %u was not completed %llu ms after it was cancelled", flow->vif->index,
             flow->major == IRP_MJ_WRITE ? "write" : "read", number + 1,
             (unsigned long long)(flow->vif->patience / 1000000));
}

static void take(struct flow *flow, uint32_t number, const uint8_t *data, uint32_t length)
{
    struct traffic_vif *vif = flow->vif;
    struct traffic_count *count = flow->count;
    struct checker_verdict verdict;
    uint64_t bad;

    if (vif->received != NULL)
        vif->received(vif->received_context, data, length);
    checker_take_bytes(vif->checker, data, length);
    verdict = checker_verdict(vif->checker);
    bad = checker_bad(&verdict);
    if (bad > count->corrupt)
        note_bad(count, number, 0);
    count->frames = verdict.good;
    count->bytes = verdict.bytes;
    count->corrupt = bad;
}

/* Wait for the request of a frame and account for it. */
static void collect(struct flow *flow, uint32_t number)
{
    struct slot *slot = &flow->slots[number % WINDOW];
    struct traffic_vif *vif = flow->vif;

    if (!slot->busy)
        return;
    await(flow, slot, number);
    IoFreeIrp(slot->irp);
    slot->busy = false;
    if (!NT_SUCCESS(slot->status.Status)) {
        flow->count->failed++;
        note_bad(flow->count, number, slot->status.Status);
    } else if (flow->major == IRP_MJ_READ) {
        take(flow, number, slot->buffer, (uint32_t)slot->status.Information);
    } else {
        flow->count->frames++;
        flow->count->bytes += vif->tx->frame[number].length;
    }
    if (vif->progress != NULL)
        vif->progress(vif->progress_context);
}

static void tell_ready(struct flow *flow)
{
    if (flow->major != IRP_MJ_READ || flow->vif->ready)
        return;
    flow->vif->ready = true;
    task_unpark(flow->vif->waiter);
}

/* ---- requests that carry rows of frames ---- */

/* Fill a request with frames from this one on; how many. */
static uint32_t fill_row(const struct flow *flow, struct slot *slot, uint32_t first, uint32_t *length)
{
    const struct capture *capture = flow->vif->tx;
    uint32_t at = 0;
    uint32_t number;
    KERNEL_OUTSIDE();

    slot->bytes = 0;
    for (number = first; number < capture->count && number - first < flow->vif->batch; number++) {
        const struct port_frame *frame = &capture->frame[number];
        NETCLIENT_ENTRY *entry = (NETCLIENT_ENTRY *)(slot->buffer + at);

        if (flow->size - at < NETCLIENT_ENTRY_SIZE(frame->length))
            break;
        *entry = (NETCLIENT_ENTRY){.Length = frame->length, .Left = (uint32_t)traffic_left_to_card(frame)};
        memcpy(entry + 1, frame->data, frame->length);
        slot->bytes += frame->length;
        at += NETCLIENT_ENTRY_SIZE(frame->length);
    }
    *length = at;
    slot->frames = number - first;
    return slot->frames;
}

static void take_row(struct flow *flow, const struct slot *slot)
{
    uint32_t length = (uint32_t)slot->status.Information;
    KERNEL_OUTSIDE();

    for (uint32_t at = 0; at < length;) {
        const NETCLIENT_ENTRY *entry = (const NETCLIENT_ENTRY *)(slot->buffer + at);

        take(flow, flow->next++, (const uint8_t *)(entry + 1), entry->Length);
        at += NETCLIENT_ENTRY_SIZE(entry->Length);
    }
}

/* Wait for a request and account for its frames. */
static void collect_row(struct flow *flow, struct slot *slot)
{
    struct traffic_count *count = flow->count;
    bool good;

    if (!slot->busy)
        return;
    await(flow, slot, flow->next);
    IoFreeIrp(slot->irp);
    slot->busy = false;
    good = NT_SUCCESS(slot->status.Status);
    if (flow->major == IRP_MJ_WRITE) {
        count->frames += slot->status.Information;
        count->bytes += good ? slot->bytes : 0;
        count->failed += slot->frames - slot->status.Information;
    } else if (good) {
        take_row(flow, slot);
    } else {
        count->failed++;
    }
    if (!good)
        note_bad(count, flow->next, slot->status.Status);
    if (flow->vif->progress != NULL)
        flow->vif->progress(flow->vif->progress_context);
}

static void write_rows(struct flow *flow)
{
    uint32_t next = 0;
    uint32_t number;

    for (number = 0; next < flow->total; number++) {
        struct slot *slot = &flow->slots[number % flow->window];
        NTSTATUS status;
        uint32_t length;

        collect_row(flow, slot);
        flow->next = next;
        next += fill_row(flow, slot, next, &length);
        status = submit(flow, slot, length, 0);
        if (!NT_SUCCESS(status)) {
            flow->count->failed += slot->frames;
            note_bad(flow->count, flow->next, status);
        }
    }
    for (unsigned index = 0; index < flow->window; index++)
        collect_row(flow, &flow->slots[(number + index) % flow->window]);
}

/* As many frames have come as can, or all that there are. */
static bool rows_are_over(const struct flow *flow)
{
    return flow->next >= flow->total || (flow->cut && checker_verdict(flow->vif->checker).lost == 0);
}

static bool ask_for_row(struct flow *flow, struct slot *slot)
{
    NTSTATUS status = submit(flow, slot, flow->size, 0);

    if (NT_SUCCESS(status))
        return true;
    flow->count->failed++;
    note_bad(flow->count, flow->next, status);
    return false;
}

static void read_rows(struct flow *flow)
{
    bool asked = flow->total != 0;
    uint32_t number;

    for (number = 0; asked && number < flow->window; number++)
        asked = ask_for_row(flow, &flow->slots[number]);
    tell_ready(flow);
    for (number = 0; asked && !rows_are_over(flow); number++) {
        struct slot *slot = &flow->slots[number % flow->window];

        collect_row(flow, slot);
        asked = rows_are_over(flow) || ask_for_row(flow, slot);
    }
    flow->impatient = true;
    for (unsigned index = 0; index < flow->window; index++) {
        struct slot *slot = &flow->slots[(number + index) % flow->window];

        if (!slot->busy)
            continue;
        await(flow, slot, flow->next);
        if (NT_SUCCESS(slot->status.Status)) { /* something has come for it all the same */
            collect_row(flow, slot);
            continue;
        }
        IoFreeIrp(slot->irp);
        slot->busy = false;
    }
}

static NTSTATUS ask_for_rows(const struct flow *flow)
{
    NETCLIENT_MODE mode = {.Rows = 1};
    NTSTATUS status = traffic_control(&flow->device, IOCTL_NETCLIENT_SET_MODE, &mode, sizeof(mode), 0);

    return NT_SUCCESS(status) ? traffic_ask_for_whole(&flow->device) : status;
}

/* The reader's part comes before anything is sent to it. */
static NTSTATUS set_up(const struct flow *flow, const struct capture *capture)
{
    NTSTATUS status = flow->vif->batch > 1 ? ask_for_rows(flow) : STATUS_SUCCESS;

    if (!NT_SUCCESS(status) || flow->major != IRP_MJ_READ)
        return status;
    return traffic_ask_for_wishes(&flow->device, flow->vif, capture);
}

/* ---- requests that carry a frame each ---- */

/* All that can come has come. */
static bool is_over(const struct flow *flow)
{
    return flow->cut && checker_verdict(flow->vif->checker).lost == 0;
}

/* A read that nothing will come for. */
static void take_back(struct flow *flow, uint32_t number)
{
    struct slot *slot = &flow->slots[number % WINDOW];

    if (!slot->busy)
        return;
    flow->impatient = true;
    await(flow, slot, number);
    if (NT_SUCCESS(slot->status.Status)) { /* but it has */
        collect(flow, number);
        return;
    }
    IoFreeIrp(slot->irp);
    slot->busy = false;
}

static void run_flow(struct flow *flow)
{
    struct traffic_vif *vif = flow->vif;
    uint32_t number, next;

    for (number = 0; number < flow->total && !is_over(flow); number++) {
        struct slot *slot = &flow->slots[number % WINDOW];
        uint32_t length = flow->size;
        uint64_t left = 0;
        NTSTATUS status;

        if (number >= WINDOW) {
            tell_ready(flow);
            collect(flow, number - WINDOW);
        }
        if (flow->major == IRP_MJ_WRITE) {
            length = vif->tx->frame[number].length;
            memcpy(slot->buffer, vif->tx->frame[number].data, length);
            left = traffic_left_to_card(&vif->tx->frame[number]);
        }
        status = submit(flow, slot, length, left);
        if (!NT_SUCCESS(status)) {
            flow->count->failed++;
            note_bad(flow->count, number, status);
        }
    }
    tell_ready(flow);
    next = number > WINDOW ? number - WINDOW : 0;
    for (; next < number && !is_over(flow); next++)
        collect(flow, next);
    for (; next < number; next++)
        take_back(flow, next);
}

/* As many frames as there are when all that can be cut is. */
static uint32_t most_frames(const struct capture *capture)
{
    uint32_t most = capture->count;

    for (uint32_t index = 0; index < capture->count; index++) {
        const struct port_frame *frame = &capture->frame[index];
        struct packet packet;

        if (frame->gso == PORT_GSO_NONE)
            continue;
        packet_parse(frame->data, frame->length, &packet);
        most += (packet.end - packet.payload - 1) / frame->gso_size;
    }
    return most;
}

static uint32_t longest(const struct capture *capture)
{
    uint32_t length = 2048;

    for (uint32_t index = 0; index < capture->count; index++)
        if (capture->frame[index].length > length)
            length = capture->frame[index].length;
    return length;
}

static void log_difference(void *context, enum backend_log_level level, const char *line)
{
    KERNEL_SCOPE();

    (void)level;
    log_line(LOG_WARNING, "traffic", "VIF %u: %s", ((struct traffic_vif *)context)->index, line);
}

static uint32_t row_size(UCHAR major, uint32_t longest_frame)
{
    uint32_t size = major == IRP_MJ_READ ? READ_ROW_BYTES : WRITE_ROW_BYTES;

    return longest_frame < size - sizeof(NETCLIENT_ENTRY) ? size : (uint32_t)NETCLIENT_ENTRY_SIZE(longest_frame);
}

static void flow_main(struct traffic_vif *vif, UCHAR major)
{
    static const struct capture nothing;
    const struct capture *capture = major == IRP_MJ_WRITE ? vif->tx : vif->rx;
    const struct backend_logger logger = {.write = log_difference, .context = vif};
    struct flow *flow = image_alloc(sizeof(*flow));
    bool rows = vif->batch > 1;
    uint8_t *memory = NULL;

    if (capture == NULL)
        capture = &nothing;
    flow->vif = vif;
    flow->major = major;
    flow->count = major == IRP_MJ_WRITE ? &vif->sent : &vif->got;
    flow->total = major == IRP_MJ_READ ? most_frames(capture) : capture->count;
    flow->cut = flow->total != capture->count;
    flow->size = rows ? row_size(major, longest(capture)) : longest(capture);
    flow->window = !rows ? WINDOW : major == IRP_MJ_READ ? READ_ROW_WINDOW : WRITE_ROW_WINDOW;
    if (major == IRP_MJ_READ) {
        vif->checker = checker_create(capture, "to the guest", &logger);
        if (vif->by_flow)
            checker_order_by_flow(vif->checker);
    }
    vif->open_status = traffic_open(vif->index, &flow->device);
    if (NT_SUCCESS(vif->open_status)) {
        NTSTATUS status = set_up(flow, capture);

        memory =
            NT_SUCCESS(status) ? ExAllocatePool2(POOL_FLAG_NON_PAGED, (SIZE_T)flow->size * flow->window, TAG) : NULL;
        if (memory == NULL) {
            vif->open_status = NT_SUCCESS(status) ? STATUS_INSUFFICIENT_RESOURCES : status;
        } else {
            for (unsigned index = 0; index < flow->window; index++) {
                flow->slots[index].buffer = memory + (size_t)index * flow->size;
                KeInitializeEvent(&flow->slots[index].done, NotificationEvent, FALSE);
            }
            traffic_counters_begin(&flow->counters, &flow->device);
            if (!rows)
                run_flow(flow);
            else if (major == IRP_MJ_READ)
                read_rows(flow);
            else
                write_rows(flow);
            traffic_counters_end(&flow->counters, &flow->device, major == IRP_MJ_READ, flow->count, vif);
            ExFreePoolWithTag(memory, TAG);
        }
        ObDereferenceObject(flow->device.file);
    }
    tell_ready(flow);
    if (major == IRP_MJ_READ) {
        checker_destroy(vif->checker);
        vif->checker = NULL;
    }
    image_free(flow);
    vif->running--;
    task_unpark(vif->waiter);
}

static void writer(void *argument)
{
    flow_main(argument, IRP_MJ_WRITE);
}

static void reader(void *argument)
{
    flow_main(argument, IRP_MJ_READ);
}

void traffic_start_reader(struct traffic_vif *vif)
{
    vif->running++;
    nt_thread_start("traffic reader", reader, vif);
}

void traffic_start_writer(struct traffic_vif *vif)
{
    vif->running++;
    nt_thread_start("traffic writer", writer, vif);
}

void traffic_start(struct traffic_vif *vif)
{
    traffic_start_reader(vif);
    traffic_start_writer(vif);
}
