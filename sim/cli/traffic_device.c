#include "cli/traffic_device.h"

#include <string.h>

#include "capture.h"
#include "cli/traffic.h"
#include "machine/image.h"
#include "packet.h"
#include "../../tests/clients/netclient/netclient_ioctl.h"

#define TOEPLITZ 2u        /* XENVIF_PACKET_HASH_ALGORITHM */
#define TOEPLITZ_ALL 0x1Eu /* IPv4 and IPv6, and TCP over each */
#define MAPPING 16u
#define TYPE_MULTICAST 2u /* ETHERNET_ADDRESS_TYPE */
#define SETTLE 200000u    /* 100 ns: a backend is told of groups by the ring, and asked by the store */
#define LEVEL_MATCHING 1u /* XENVIF_MAC_FILTER_LEVEL */

NTSTATUS traffic_open(unsigned index, struct traffic_device *device)
{
    WCHAR text[] = L"\\Device\\NetClient\0\0\0\0";
    UNICODE_STRING name = {.Buffer = text, .MaximumLength = sizeof(text)};
    unsigned digits = index >= 100 ? 3 : index >= 10 ? 2 : 1;
    size_t length = ARRAYSIZE(L"\\Device\\NetClient") - 1;

    for (unsigned at = digits; at > 0; at--) {
        text[length + at - 1] = (WCHAR)(L'0' + index % 10);
        index /= 10;
    }
    name.Length = (USHORT)((length + digits) * sizeof(WCHAR));
    return IoGetDeviceObjectPointer(&name, FILE_ALL_ACCESS, &device->file, &device->object);
}

NTSTATUS traffic_control(const struct traffic_device *device, ULONG code, void *buffer, ULONG input, ULONG output)
{
    IO_STATUS_BLOCK block;
    KEVENT done;
    PIRP irp;
    NTSTATUS status;

    KeInitializeEvent(&done, NotificationEvent, FALSE);
    irp = IoBuildDeviceIoControlRequest(code, device->object, buffer, input, buffer, output, FALSE, &done, &block);
    if (irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = IoCallDriver(device->object, irp);
    if (status == STATUS_PENDING) {
        (void)KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        status = block.Status;
    }
    return status;
}

/* XENVIF_VIF_OFFLOAD_OPTIONS */
enum { LARGE4 = 1 << 1, TCP4 = 1 << 3, UDP4 = 1 << 4, LARGE6 = 1 << 5, TCP6 = 1 << 6, UDP6 = 1 << 7 };

/*
 * What a frame's sender leaves to the card goes along with the write, as its byte offset: the options in the
 * lowest 16 bits, the maximum segment size in the next.
 */
uint64_t traffic_left_to_card(const struct port_frame *frame)
{
    struct packet packet;
    bool tcp, four;
    uint64_t options;

    if (frame->checksum != PORT_CHECKSUM_BLANK)
        return 0;
    packet_parse(frame->data, frame->length, &packet);
    tcp = packet.protocol == PACKET_TCP;
    four = packet.version == 4;
    options = four ? (tcp ? TCP4 : UDP4) : (tcp ? TCP6 : UDP6);
    if (frame->gso != PORT_GSO_NONE)
        options |= (four ? LARGE4 : LARGE6) | (uint64_t)frame->gso_size << 16;
    return options;
}

NTSTATUS traffic_ask_for_whole(const struct traffic_device *device)
{
    NETCLIENT_OFFLOAD offload = {.ReceiverOptions = LARGE4 | TCP4 | UDP4 | LARGE6 | TCP6 | UDP6};

    return traffic_control(device, IOCTL_NETCLIENT_SET_OFFLOAD, &offload, sizeof(offload), 0);
}

/* Frames of a flow go to one processor, whichever it is. */
static NTSTATUS spread(const struct traffic_device *device)
{
    ULONG processors = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    PROCESSOR_NUMBER mapping[MAPPING];

    for (ULONG index = 0; index < MAPPING; index++)
        (void)KeGetProcessorNumberFromIndex(index % processors, &mapping[index]);
    return traffic_control(device, IOCTL_NETCLIENT_SET_HASH_MAPPING, mapping, sizeof(mapping), 0);
}

static NTSTATUS ask_for_hash(const struct traffic_device *device)
{
    NETCLIENT_HASH hash = {.Types = TOEPLITZ_ALL};
    ULONG algorithm = TOEPLITZ;
    NETCLIENT_LINK link = {.RingCount = 0};
    NTSTATUS status = traffic_control(device, IOCTL_NETCLIENT_SET_HASH_ALGORITHM, &algorithm, sizeof(algorithm), 0);

    for (unsigned index = 0; index < sizeof(hash.Key); index++)
        hash.Key[index] = (UCHAR)(index * 151 + 109);
    if (NT_SUCCESS(status))
        status = traffic_control(device, IOCTL_NETCLIENT_SET_HASH_PARAMETERS, &hash, sizeof(hash), 0);
    if (NT_SUCCESS(status))
        status = traffic_control(device, IOCTL_NETCLIENT_QUERY_LINK, &link, 0, sizeof(link));
    return NT_SUCCESS(status) && link.RingCount > 1 ? spread(device) : status;
}

/* The groups that frames of a capture are for, each once; how many. */
static unsigned find_groups(const struct capture *capture, uint8_t (*groups)[6])
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    unsigned count = 0;

    for (uint32_t number = 0; number < capture->count; number++) {
        const uint8_t *address = capture->frame[number].data;
        unsigned at = 0;

        if ((address[0] & 1) == 0 || memcmp(address, broadcast, sizeof(broadcast)) == 0)
            continue;
        while (at < count && memcmp(groups[at], address, sizeof(groups[at])) != 0)
            at++;
        if (at == count)
            memcpy(groups[count++], address, sizeof(groups[at]));
    }
    return count;
}

static NTSTATUS ask_for_groups(const struct traffic_device *device, const struct capture *capture)
{
    NETCLIENT_FILTER filter = {TYPE_MULTICAST, LEVEL_MATCHING};
    LARGE_INTEGER settle = {.QuadPart = -(LONGLONG)SETTLE};
    uint8_t(*groups)[6] = image_alloc((capture->count + 1) * sizeof(*groups));
    unsigned count = find_groups(capture, groups);
    NTSTATUS status = traffic_control(device, IOCTL_NETCLIENT_SET_MULTICAST, groups, count * (ULONG)sizeof(*groups), 0);

    image_free(groups);
    if (NT_SUCCESS(status))
        status = traffic_control(device, IOCTL_NETCLIENT_SET_FILTER, &filter, sizeof(filter), 0);
    if (NT_SUCCESS(status))
        (void)KeDelayExecutionThread(KernelMode, FALSE, &settle);
    return status;
}

NTSTATUS traffic_ask_for_wishes(const struct traffic_device *device, const struct traffic_vif *vif,
                                const struct capture *capture)
{
    NTSTATUS status = vif->rss ? ask_for_hash(device) : STATUS_SUCCESS;

    return NT_SUCCESS(status) && vif->multicast_filter ? ask_for_groups(device, capture) : status;
}
