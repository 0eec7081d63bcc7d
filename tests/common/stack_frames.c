/* Frames of a test through a NetClient's device. */
#include "common/stack.h"
#include "common/stack_dom0.h"

#include <stdio.h>
#include <string.h>

#include "checker.h"

NTSTATUS stack_transfer(UCHAR major, PFILE_OBJECT file, PDEVICE_OBJECT device, void *buffer, ULONG length, ULONG *done)
{
    LARGE_INTEGER offset = {.QuadPart = 0};
    IO_STATUS_BLOCK block = {0}; /* a request that is refused at once does not write it */
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

void stack_read_into(unsigned vif, struct checker *checker)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    NETCLIENT_STATISTICS statistics = stack_statistics(vif);
    uint64_t there = statistics.Received - statistics.ReceivedRead - statistics.ReceivedReturned;
    char name[16];
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    ck_assert_uint_eq(statistics.ReceivedLost, 0);
    snprintf(name, sizeof(name), "NetClient%u", vif);
    stack_open(name, &file, &device);
    for (uint64_t count = 0; count < there; count++) {
        ULONG length;

        ck_assert_int_eq(stack_transfer(IRP_MJ_READ, file, device, buffer, 65536, &length), STATUS_SUCCESS);
        checker_take_bytes(checker, buffer, length);
    }
    ObDereferenceObject(file);
    ExFreePoolWithTag(buffer, STACK_TAG);
}

struct checker_verdict stack_read_verdict(unsigned vif, const struct capture *capture)
{
    struct checker *checker = checker_create(capture, "to the guest", &stack_logger);
    struct checker_verdict verdict;

    if (stack.features.max_queues > 1)
        checker_order_by_flow(checker);
    stack_read_into(vif, checker);
    verdict = checker_verdict(checker);
    checker_destroy(checker);
    return verdict;
}

unsigned stack_read_all(unsigned vif, const struct capture *capture)
{
    struct checker_verdict verdict = stack_read_verdict(vif, capture);

    ck_assert_msg(checker_bad(&verdict) == 0, "%llu of the frames are corrupt, %llu out of order, %llu too many",
                  (unsigned long long)verdict.corrupt, (unsigned long long)verdict.reordered,
                  (unsigned long long)verdict.extra);
    return (unsigned)verdict.good;
}
