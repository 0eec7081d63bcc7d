/*
 * Device queues: KeInitializeDeviceQueue, KeInsertDeviceQueue, KeInsertByKeyDeviceQueue, KeRemoveDeviceQueue,
 * KeRemoveByKeyDeviceQueue, KeRemoveByKeyDeviceQueueIfBusy, KeRemoveEntryDeviceQueue, "Driver-Managed IRP Queues".
 */
#include "nttest.h"

#define ENTRIES 4

typedef struct _QUEUE {
    KDEVICE_QUEUE Queue;
    KDEVICE_QUEUE_ENTRY Entry[ENTRIES];
} QUEUE;

/* The number of an entry, -1 for none. */
static LONG NumberOf(const QUEUE *Queue, PKDEVICE_QUEUE_ENTRY Entry)
{
    return (Entry != NULL) ? (LONG)(Entry - Queue->Entry) : -1;
}

static KIRQL Prepare(QUEUE *Queue)
{
    RtlZeroMemory(Queue, sizeof(*Queue));
    KeInitializeDeviceQueue(&Queue->Queue);
    return KeRaiseIrqlToDpcLevel();
}

/* The first comer makes the queue busy and is not queued; the others come out in the order in which they came. */
static VOID DeviceQueueInOrder(VOID)
{
    QUEUE Queue;
    KIRQL Irql = Prepare(&Queue);

    EXPECT_FALSE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[0]));
    EXPECT_TRUE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[1]));
    EXPECT_TRUE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[2]));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), 1);
    EXPECT_TRUE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[3]));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), 2);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), 3);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), -1); /* it is not busy any more */
    EXPECT_FALSE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[0]));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), -1);
    KeLowerIrql(Irql);
}

/* By key, lowest first, equals in the order of their coming. */
static VOID DeviceQueueByKey(VOID)
{
    QUEUE Queue;
    KIRQL Irql = Prepare(&Queue);

    EXPECT_FALSE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[0], 9));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[1], 20));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[2], 10));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[3], 20));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), 2);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), 1);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), 3);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), -1);
    KeLowerIrql(Irql);
}

/* From the key on, and from the beginning again when nothing is left there. */
static VOID DeviceQueueRemovedByKey(VOID)
{
    QUEUE Queue;
    KIRQL Irql = Prepare(&Queue);

    EXPECT_FALSE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[0], 0));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[1], 10));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[2], 20));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[3], 30));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueue(&Queue.Queue, 15)), 2);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueue(&Queue.Queue, 30)), 3);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueue(&Queue.Queue, 30)), 1);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueue(&Queue.Queue, 0)), -1);
    EXPECT_FALSE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[0])); /* it was set to not busy */
    KeLowerIrql(Irql);
}

static VOID DeviceQueueRemovedIfBusy(VOID)
{
    QUEUE Queue;
    KIRQL Irql = Prepare(&Queue);

    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueueIfBusy(&Queue.Queue, 0)), -1);
    EXPECT_FALSE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[0], 0));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[1], 10));
    EXPECT_TRUE(KeInsertByKeyDeviceQueue(&Queue.Queue, &Queue.Entry[2], 20));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueueIfBusy(&Queue.Queue, 15)), 2);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueueIfBusy(&Queue.Queue, 15)), 1);
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveByKeyDeviceQueueIfBusy(&Queue.Queue, 15)), -1);
    EXPECT_FALSE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[0]));
    KeLowerIrql(Irql);
}

static VOID DeviceQueueEntryRemoved(VOID)
{
    QUEUE Queue;
    KIRQL Irql = Prepare(&Queue);

    EXPECT_FALSE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[0]));
    EXPECT_TRUE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[1]));
    EXPECT_TRUE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[2]));
    EXPECT_FALSE(KeRemoveEntryDeviceQueue(&Queue.Queue, &Queue.Entry[0])); /* it never was in the queue */
    EXPECT_TRUE(KeRemoveEntryDeviceQueue(&Queue.Queue, &Queue.Entry[1]));
    EXPECT_FALSE(KeRemoveEntryDeviceQueue(&Queue.Queue, &Queue.Entry[1]));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), 2);
    EXPECT_FALSE(KeRemoveEntryDeviceQueue(&Queue.Queue, &Queue.Entry[2]));
    EXPECT_EQUAL(NumberOf(&Queue, KeRemoveDeviceQueue(&Queue.Queue)), -1);
    KeLowerIrql(Irql);
}

static VOID DeviceQueueInitializedAtDispatchLevel(VOID)
{
    QUEUE Queue;
    KIRQL Irql;

    RtlZeroMemory(&Queue, sizeof(Queue));
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeInitializeDeviceQueue(&Queue.Queue);
    EXPECT_FALSE(KeInsertDeviceQueue(&Queue.Queue, &Queue.Entry[0])); /* not busy to begin with */
    KeLowerIrql(Irql);
}

TEST_TABLE(ke_device_queue){
    TEST(DeviceQueueInOrder, 0),
    TEST(DeviceQueueByKey, 0),
    TEST(DeviceQueueRemovedByKey, 0),
    TEST(DeviceQueueRemovedIfBusy, 0),
    TEST(DeviceQueueEntryRemoved, 0),
    TEST(DeviceQueueInitializedAtDispatchLevel, 0),
    TEST_END,
};
