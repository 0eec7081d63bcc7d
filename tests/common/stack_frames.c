/* Frames of a test through a NetClient's device. */
#include "common/stack.h"

#include <stdio.h>
#include <string.h>

NTSTATUS stack_transfer(UCHAR major, PFILE_OBJECT file, PDEVICE_OBJECT device, void *buffer, ULONG length, ULONG *done)
{
    LARGE_INTEGER offset = {.QuadPart = 0};
    IO_STATUS_BLOCK block;
    KEVENT event;
    NTSTATUS status;
    PIRP irp;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(major, device, buffer, length, &offset, &event, &block);
    ck_assert_ptr_nonnull(irp);
    IoGetNextIrpStackLocation(irp)->FileObject = file;
    status = IoCallDriver(device, irp);
    if (status == STATUS_PENDING) {
        ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        status = block.Status;
    }
    *done = (ULONG)block.Information;
    return status;
}

unsigned stack_read_all(unsigned vif, const struct capture *capture)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    NETCLIENT_STATISTICS statistics = stack_statistics(vif);
    uint64_t there = statistics.Received - statistics.ReceivedRead - statistics.ReceivedReturned;
    unsigned next = 0, count = 0;
    char name[16];
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    ck_assert_uint_eq(statistics.ReceivedLost, 0);
    snprintf(name, sizeof(name), "NetClient%u", vif);
    stack_open(name, &file, &device);
    for (; count < there; count++) {
        ULONG length;

        ck_assert_int_eq(stack_transfer(IRP_MJ_READ, file, device, buffer, 65536, &length), STATUS_SUCCESS);
        while (next < capture->count &&
               (length != capture->frame[next].length || memcmp(buffer, capture->frame[next].data, length) != 0))
            next++;
        ck_assert_msg(next < capture->count, "frame %u is none of the capture's, or came out of order", count);
        next++;
    }
    ObDereferenceObject(file);
    ExFreePoolWithTag(buffer, STACK_TAG);
    return count;
}
