#include "common/vif_client.h"

#include "common/vif_backend.h"

#include <string.h>

#include <initguid.h>

DEFINE_GUID(GUID_OF_VIF, 0x76f279cd, 0xca11, 0x418b, 0x92, 0xe8, 0xc5, 0x7f, 0x77, 0xde, 0x0e, 0x2e);

#define PIECES_MAX 65600u

XENVIF_VIF_INTERFACE vif_client;
struct vif_client_mode vif_client_mode;

static struct vif_client_received kept[VIF_CLIENT_KEPT];
static PVOID held[VIF_CLIENT_HELD];
static KSPIN_LOCK lock; /* the queues' processors deliver at the same time */
static unsigned received, held_count, total;

static unsigned outstanding; /* packets that are not back */
static XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO completion;
static PMDL sending;
static void *piece_memory[PIECES_MAX];
static unsigned pieces;

static void keep(const XENVIF_VIF_CALLBACK_PARAMETERS *parameters)
{
    struct vif_client_received *packet = &kept[received];
    PMDL mdl = parameters->ReceiverQueuePacket.Mdl;
    size_t offset = parameters->ReceiverQueuePacket.Offset;

    memset(packet, 0, offsetof(struct vif_client_received, data));
    packet->length = parameters->ReceiverQueuePacket.Length;
    packet->offset = offset;
    packet->page_offset = MmGetMdlByteOffset(mdl);
    packet->flags = parameters->ReceiverQueuePacket.Flags;
    packet->mss = parameters->ReceiverQueuePacket.MaximumSegmentSize;
    packet->tci = parameters->ReceiverQueuePacket.TagControlInformation;
    packet->info = *parameters->ReceiverQueuePacket.Info;
    packet->hash = *parameters->ReceiverQueuePacket.Hash;
    packet->index = parameters->ReceiverQueuePacket.Index;
    packet->more = parameters->ReceiverQueuePacket.More;
    packet->mdls = 0;
    for (size_t done = 0; done < packet->length; mdl = mdl->Next, packet->mdls++) {
        size_t length = MmGetMdlByteCount(mdl) - offset;
        const uint8_t *bytes = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);

        if (length > packet->length - done)
            length = packet->length - done;
        memcpy(packet->data + done, bytes + offset, length);
        if (packet->mdls == 0)
            packet->first = length;
        done += length;
        offset = 0;
    }
}

static VOID NTAPI callback(PVOID argument, XENVIF_VIF_CALLBACK_TYPE type, PXENVIF_VIF_CALLBACK_PARAMETERS parameters)
{
    ck_assert_ptr_eq(argument, &vif_client);
    ck_assert_int_eq(KeGetCurrentIrql(), DISPATCH_LEVEL);
    switch (type) {
    case XENVIF_TRANSMITTER_RETURN_PACKET:
        ck_assert_ptr_eq(parameters->TransmitterReturnPacket.Cookie, sending);
        ck_assert(!vif_client_is_back());
        completion = *parameters->TransmitterReturnPacket.Completion;
        (void)__atomic_sub_fetch(&outstanding, 1, __ATOMIC_RELEASE);
        break;
    case XENVIF_RECEIVER_QUEUE_PACKET:
        KeAcquireSpinLockAtDpcLevel(&lock);
        ck_assert_uint_lt(received, VIF_CLIENT_KEPT);
        if (vif_client_mode.look != NULL)
            vif_client_mode.look(total);
        keep(parameters);
        total++;
        if (vif_client_mode.pause_every != 0 && total % vif_client_mode.pause_every == 0)
            parameters->ReceiverQueuePacket.Pause = TRUE;
        if (vif_client_mode.hold) {
            ck_assert_uint_lt(held_count, VIF_CLIENT_HELD);
            held[held_count++] = parameters->ReceiverQueuePacket.Cookie;
        }
        __atomic_store_n(&received, received + 1, __ATOMIC_RELEASE);
        KeReleaseSpinLockFromDpcLevel(&lock);
        if (!vif_client_mode.hold)
            XENVIF_VIF_CALL(&vif_client, ReceiverReturnPacket, parameters->ReceiverQueuePacket.Cookie);
        break;
    default:
        break;
    }
}

void vif_client_acquire(void)
{
    KeInitializeSpinLock(&lock);
    ck_assert_int_eq(stack_query("1", &GUID_OF_VIF, 10, sizeof(vif_client), &vif_client.Interface), STATUS_SUCCESS);
    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, Acquire), STATUS_SUCCESS);
}

void vif_client_enable(void)
{
    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, Enable, callback, &vif_client), STATUS_SUCCESS);
    for (unsigned type = ETHERNET_ADDRESS_UNICAST; type <= ETHERNET_ADDRESS_BROADCAST; type++)
        ck_assert_int_eq(
            XENVIF_VIF_CALL(&vif_client, MacSetFilterLevel, (ETHERNET_ADDRESS_TYPE)type, XENVIF_MAC_FILTER_ALL),
            STATUS_SUCCESS);
}

void vif_client_disable(void)
{
    XENVIF_VIF_CALL(&vif_client, Disable);
}

void vif_client_release(void)
{
    XENVIF_VIF_CALL(&vif_client, Release);
}

void vif_client_await_link(bool up)
{
    NET_IF_MEDIA_CONNECT_STATE state;

    for (unsigned tries = 0;; tries++) {
        XENVIF_VIF_CALL(&vif_client, MacQueryState, &state, NULL, NULL);
        if ((state == MediaConnectStateConnected) == up)
            return;
        ck_assert_uint_lt(tries, 20000);
        stack_sleep_us(1000);
    }
}

void vif_client_begin(void)
{
    vif_client_acquire();
    vif_client_enable();
    vif_backend_connect();
    vif_client_await_link(true);
}

void vif_client_finish(void)
{
    vif_backend_close();
    vif_client_disable();
    vif_client_release();
    vif_backend_end();
}

/* ---- sending ---- */

static PMDL make_mdl(const uint8_t *data, size_t length, size_t skew)
{
    uint8_t *memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE + length, STACK_TAG);
    uint8_t *start;
    PMDL mdl;

    ck_assert_ptr_nonnull(memory);
    ck_assert_uint_lt(pieces, PIECES_MAX);
    piece_memory[pieces++] = memory;
    memset(memory, 0xA5, 2 * PAGE_SIZE + length); /* what is beside the packet is not for the backend */
    start = (uint8_t *)(((uintptr_t)memory + PAGE_SIZE - 1) & ~(uintptr_t)(PAGE_SIZE - 1)) + skew % PAGE_SIZE;
    if (data != NULL)
        memcpy(start, data, length);
    mdl = IoAllocateMdl(start, (ULONG)length, FALSE, FALSE, NULL);
    ck_assert_ptr_nonnull(mdl);
    MmBuildMdlForNonPagedPool(mdl);
    return mdl;
}

static PMDL make_chain(const struct vif_client_packet *packet)
{
    size_t done = 0, skew = packet->skew;
    PMDL chain = NULL, *link = &chain;

    if (packet->ahead != 0) {
        *link = make_mdl(NULL, packet->ahead, skew);
        link = &(*link)->Next;
    }
    if (packet->empty) {
        *link = make_mdl(NULL, 1, skew);
        (*link)->ByteCount = 0;
        link = &(*link)->Next;
    }
    while (done < packet->length) {
        size_t length = packet->piece != 0 ? packet->piece : packet->length;

        if (done == 0 && packet->first != 0)
            length = packet->first;
        if (length > packet->length - done)
            length = packet->length - done;
        *link = make_mdl(packet->data + done, length, skew);
        link = &(*link)->Next;
        skew += packet->skew;
        done += length;
    }
    return chain;
}

static void free_chain(void)
{
    for (PMDL mdl = sending, next; mdl != NULL; mdl = next) {
        next = mdl->Next;
        IoFreeMdl(mdl);
    }
    while (pieces != 0)
        ExFreePoolWithTag(piece_memory[--pieces], STACK_TAG);
    sending = NULL;
}

NTSTATUS vif_client_repeat(const struct vif_client_packet *packet)
{
    NTSTATUS status;

    (void)__atomic_add_fetch(&outstanding, 1, __ATOMIC_RELEASE);
    status = XENVIF_VIF_CALL(&vif_client, TransmitterQueuePacket, sending, (ULONG)packet->ahead, (ULONG)packet->length,
                             packet->options, packet->mss, packet->tci, (PXENVIF_PACKET_HASH)packet->hash, packet->more,
                             sending);
    if (!NT_SUCCESS(status))
        (void)__atomic_sub_fetch(&outstanding, 1, __ATOMIC_RELEASE);
    return status;
}

NTSTATUS vif_client_send(const struct vif_client_packet *packet)
{
    NTSTATUS status;

    ck_assert_ptr_null(sending);
    ck_assert(vif_client_is_back());
    sending = make_chain(packet);
    status = vif_client_repeat(packet);
    if (!NT_SUCCESS(status))
        free_chain();
    return status;
}

bool vif_client_is_back(void)
{
    return __atomic_load_n(&outstanding, __ATOMIC_ACQUIRE) == 0;
}

XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO vif_client_await_sent(void)
{
    for (unsigned tries = 0; !vif_client_is_back(); tries++) {
        ck_assert_msg(tries < 10000, "the packet does not come back");
        stack_sleep_us(1000);
    }
    free_chain();
    return completion;
}

/* ---- receiving ---- */

unsigned vif_client_received_count(void)
{
    return __atomic_load_n(&received, __ATOMIC_ACQUIRE);
}

void vif_client_forget(void)
{
    __atomic_store_n(&received, 0, __ATOMIC_RELEASE);
}

const struct vif_client_received *vif_client_received(unsigned index)
{
    ck_assert_uint_lt(index, vif_client_received_count());
    return &kept[index];
}

void vif_client_await_received(unsigned count)
{
    for (unsigned tries = 0; vif_client_received_count() < count; tries++) {
        ck_assert_msg(tries < 2000, "%u packets have come, not %u", vif_client_received_count(), count);
        stack_sleep_us(500);
    }
    stack_sleep_us(5000);
    ck_assert_uint_eq(vif_client_received_count(), count);
}

void vif_client_return_some(unsigned count)
{
    ck_assert_uint_le(count, held_count);
    while (count-- != 0)
        XENVIF_VIF_CALL(&vif_client, ReceiverReturnPacket, held[--held_count]);
}

void vif_client_return(void)
{
    vif_client_return_some(held_count);
}

uint64_t vif_client_statistic(XENVIF_VIF_STATISTIC index)
{
    ULONGLONG value;

    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, QueryStatistic, index, &value), STATUS_SUCCESS);
    return value;
}
