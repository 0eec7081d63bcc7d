/*
 * Lists and counters under a spin lock of the caller's, and sequenced lists: ExInterlockedInsertHeadList,
 * ExInterlockedAddUlong, ExInterlockedPushEntrySList, ... A lock given to these is used with nothing else.
 */
#include "nttest.h"

#define THREADS 4
#define ROUNDS 50
#define NODES 6

typedef struct _NODE {
    SLIST_ENTRY Sequenced; /* first: aligned to 16 bytes, as the pool's blocks are */
    LIST_ENTRY Link;
    SINGLE_LIST_ENTRY Single;
    LONG volatile Owner;
} DECLSPEC_ALIGN(16) NODE;

typedef struct _SHARED {
    SLIST_HEADER Sequenced;
    NODE Node[NODES];
    LIST_ENTRY List;
    SINGLE_LIST_ENTRY Single;
    KSPIN_LOCK Lock;
    ULONG Count;
    LARGE_INTEGER Sum;
} SHARED;

static SHARED *Prepare(VOID)
{
    SHARED *Shared = TestAllocate(sizeof(*Shared));

    if (Shared == NULL)
        return NULL;
    InitializeSListHead(&Shared->Sequenced);
    InitializeListHead(&Shared->List);
    KeInitializeSpinLock(&Shared->Lock);
    return Shared;
}

/* ---- what they return ---- */

static VOID ExInterlockedLists(VOID)
{
    SHARED *Shared = Prepare();
    NODE *Node;

    REQUIRE(Shared != NULL);
    Node = Shared->Node;
    EXPECT_TRUE(ExInterlockedRemoveHeadList(&Shared->List, &Shared->Lock) == NULL);
    EXPECT_TRUE(ExInterlockedInsertTailList(&Shared->List, &Node[0].Link, &Shared->Lock) == NULL); /* was empty */
    EXPECT_TRUE(ExInterlockedInsertTailList(&Shared->List, &Node[1].Link, &Shared->Lock) == &Node[0].Link);
    EXPECT_TRUE(ExInterlockedInsertHeadList(&Shared->List, &Node[2].Link, &Shared->Lock) == &Node[0].Link);
    EXPECT_TRUE(ExInterlockedRemoveHeadList(&Shared->List, &Shared->Lock) == &Node[2].Link);
    EXPECT_TRUE(ExInterlockedRemoveHeadList(&Shared->List, &Shared->Lock) == &Node[0].Link);
    EXPECT_TRUE(ExInterlockedRemoveHeadList(&Shared->List, &Shared->Lock) == &Node[1].Link);
    EXPECT_TRUE(IsListEmpty(&Shared->List));
    EXPECT_TRUE(ExInterlockedInsertHeadList(&Shared->List, &Node[3].Link, &Shared->Lock) == NULL);
    EXPECT_TRUE(Shared->List.Flink == &Node[3].Link);
    TestFree(Shared);
}

static VOID ExInterlockedSingleLists(VOID)
{
    SHARED *Shared = Prepare();
    NODE *Node;

    REQUIRE(Shared != NULL);
    Node = Shared->Node;
    EXPECT_TRUE(ExInterlockedPopEntryList(&Shared->Single, &Shared->Lock) == NULL);
    EXPECT_TRUE(ExInterlockedPushEntryList(&Shared->Single, &Node[0].Single, &Shared->Lock) == NULL);
    EXPECT_TRUE(ExInterlockedPushEntryList(&Shared->Single, &Node[1].Single, &Shared->Lock) == &Node[0].Single);
    EXPECT_TRUE(ExInterlockedPopEntryList(&Shared->Single, &Shared->Lock) == &Node[1].Single); /* last in, first out */
    EXPECT_TRUE(ExInterlockedPopEntryList(&Shared->Single, &Shared->Lock) == &Node[0].Single);
    EXPECT_TRUE(Shared->Single.Next == NULL);
    TestFree(Shared);
}

/* The value before the addition comes back; sums wrap around. */
static VOID ExInterlockedAdditions(VOID)
{
    SHARED *Shared = Prepare();
    LARGE_INTEGER Increment;

    REQUIRE(Shared != NULL);
    Shared->Count = 5;
    EXPECT_EQUAL(ExInterlockedAddUlong(&Shared->Count, 7, &Shared->Lock), 5);
    EXPECT_EQUAL(Shared->Count, 12);
    EXPECT_EQUAL(ExInterlockedAddUlong(&Shared->Count, (ULONG)-12, &Shared->Lock), 12);
    EXPECT_EQUAL(Shared->Count, 0);
    Increment.QuadPart = 0x100000000;
    Shared->Sum.QuadPart = 0xFFFFFFFF;
    EXPECT_EQUAL(ExInterlockedAddLargeInteger(&Shared->Sum, Increment, &Shared->Lock).QuadPart, 0xFFFFFFFF);
    EXPECT_EQUAL(Shared->Sum.QuadPart, 0x1FFFFFFFF);
    Increment.QuadPart = -0x200000000;
    (VOID) ExInterlockedAddLargeInteger(&Shared->Sum, Increment, &Shared->Lock);
    EXPECT_EQUAL(Shared->Sum.QuadPart, -1);
    TestFree(Shared);
}

static VOID ExInterlockedSequenced(VOID)
{
    SHARED *Shared = Prepare();
    NODE *Node;

    REQUIRE(Shared != NULL);
    Node = Shared->Node;
    EXPECT_EQUAL(ExQueryDepthSList(&Shared->Sequenced), 0);
    EXPECT_TRUE(ExInterlockedPopEntrySList(&Shared->Sequenced, &Shared->Lock) == NULL);
    EXPECT_TRUE(ExInterlockedFlushSList(&Shared->Sequenced) == NULL);
    EXPECT_TRUE(ExInterlockedPushEntrySList(&Shared->Sequenced, &Node[0].Sequenced, &Shared->Lock) == NULL);
    EXPECT_TRUE(ExpInterlockedPushEntrySList(&Shared->Sequenced, &Node[1].Sequenced) == &Node[0].Sequenced);
    EXPECT_TRUE(ExInterlockedPushEntrySList(&Shared->Sequenced, &Node[2].Sequenced, &Shared->Lock) ==
                &Node[1].Sequenced);
    EXPECT_EQUAL(ExQueryDepthSList(&Shared->Sequenced), 3);
    EXPECT_TRUE(ExInterlockedPopEntrySList(&Shared->Sequenced, &Shared->Lock) == &Node[2].Sequenced);
    EXPECT_TRUE(ExpInterlockedPushEntrySList(&Shared->Sequenced, &Node[2].Sequenced) == &Node[1].Sequenced);
    EXPECT_TRUE(ExpInterlockedPopEntrySList(&Shared->Sequenced) == &Node[2].Sequenced);
    EXPECT_TRUE(ExInterlockedFlushSList(&Shared->Sequenced) == &Node[1].Sequenced); /* the rest, linked */
    EXPECT_TRUE(Node[1].Sequenced.Next == &Node[0].Sequenced);
    EXPECT_TRUE(Node[0].Sequenced.Next == NULL);
    EXPECT_EQUAL(ExQueryDepthSList(&Shared->Sequenced), 0);
    (VOID) ExpInterlockedPushEntrySList(&Shared->Sequenced, &Node[0].Sequenced);
    EXPECT_TRUE(ExpInterlockedFlushSList(&Shared->Sequenced) == &Node[0].Sequenced);
    EXPECT_TRUE(ExpInterlockedFlushSList(&Shared->Sequenced) == NULL);
    EXPECT_TRUE(ExpInterlockedPopEntrySList(&Shared->Sequenced) == NULL);
    TestFree(Shared);
}

/* ---- atomicity ---- */

/* A node is on a list or with one thread. */
static VOID Own(NODE *Node)
{
    CHECK(InterlockedExchange(&Node->Owner, 1) == 0);
    KeStallExecutionProcessor(1);
    CHECK(InterlockedExchange(&Node->Owner, 0) == 1);
}

static VOID NTAPI Shuffle(PVOID Context)
{
    SHARED *Shared = Context;
    PSINGLE_LIST_ENTRY Single;
    LARGE_INTEGER One = {.QuadPart = 1};
    PSLIST_ENTRY Sequenced;
    PLIST_ENTRY Link;
    LONG Round;

    for (Round = 0; Round < ROUNDS; Round++) {
        (VOID) ExInterlockedAddUlong(&Shared->Count, 1, &Shared->Lock);
        (VOID) ExInterlockedAddLargeInteger(&Shared->Sum, One, &Shared->Lock);
        Link = ExInterlockedRemoveHeadList(&Shared->List, &Shared->Lock);
        if (Link != NULL) {
            Own(CONTAINING_RECORD(Link, NODE, Link));
            if (Round % 2 == 0)
                (VOID) ExInterlockedInsertTailList(&Shared->List, Link, &Shared->Lock);
            else
                (VOID) ExInterlockedInsertHeadList(&Shared->List, Link, &Shared->Lock);
        }
        Single = ExInterlockedPopEntryList(&Shared->Single, &Shared->Lock);
        if (Single != NULL) {
            Own(CONTAINING_RECORD(Single, NODE, Single));
            (VOID) ExInterlockedPushEntryList(&Shared->Single, Single, &Shared->Lock);
        }
        Sequenced = ExInterlockedPopEntrySList(&Shared->Sequenced, &Shared->Lock);
        if (Sequenced != NULL) {
            Own(CONTAINING_RECORD(Sequenced, NODE, Sequenced));
            (VOID) ExInterlockedPushEntrySList(&Shared->Sequenced, Sequenced, &Shared->Lock);
        }
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID ExInterlockedAtomic(VOID)
{
    SHARED *Shared = Prepare();
    PVOID Thread[THREADS];
    LONG Links = 0;
    LONG Singles = 0;
    LONG Index;

    REQUIRE(Shared != NULL);
    for (Index = 0; Index < NODES; Index++) {
        if (Index % 3 == 0)
            (VOID) ExInterlockedInsertTailList(&Shared->List, &Shared->Node[Index].Link, &Shared->Lock);
        else if (Index % 3 == 1)
            (VOID) ExInterlockedPushEntryList(&Shared->Single, &Shared->Node[Index].Single, &Shared->Lock);
        else
            (VOID) ExInterlockedPushEntrySList(&Shared->Sequenced, &Shared->Node[Index].Sequenced, &Shared->Lock);
    }
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(Shuffle, Shared);
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Shared->Count, THREADS * ROUNDS);
    EXPECT_EQUAL(Shared->Sum.QuadPart, THREADS * ROUNDS);
    while (ExInterlockedRemoveHeadList(&Shared->List, &Shared->Lock) != NULL)
        Links++;
    while (ExInterlockedPopEntryList(&Shared->Single, &Shared->Lock) != NULL)
        Singles++;
    EXPECT_EQUAL(Links, NODES / 3);
    EXPECT_EQUAL(Singles, NODES / 3);
    EXPECT_EQUAL(ExQueryDepthSList(&Shared->Sequenced), NODES / 3);
    TestFree(Shared);
}

/* ---- levels ---- */

static VOID ExInterlockedAtHighLevel(VOID)
{
    SHARED *Shared = Prepare();
    LARGE_INTEGER One = {.QuadPart = 1};
    BOOLEAN Good[5];
    NODE *Node;
    KIRQL Irql;

    REQUIRE(Shared != NULL);
    Node = Shared->Node;
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    (VOID) ExInterlockedInsertHeadList(&Shared->List, &Node[0].Link, &Shared->Lock);
    (VOID) ExInterlockedInsertTailList(&Shared->List, &Node[1].Link, &Shared->Lock);
    Good[0] = ExInterlockedRemoveHeadList(&Shared->List, &Shared->Lock) == &Node[0].Link;
    (VOID) ExInterlockedPushEntryList(&Shared->Single, &Node[2].Single, &Shared->Lock);
    Good[1] = ExInterlockedPopEntryList(&Shared->Single, &Shared->Lock) == &Node[2].Single;
    (VOID) ExInterlockedAddUlong(&Shared->Count, 1, &Shared->Lock);
    (VOID) ExInterlockedAddLargeInteger(&Shared->Sum, One, &Shared->Lock);
    Good[2] = Shared->Count == 1 && Shared->Sum.QuadPart == 1;
    (VOID) ExInterlockedPushEntrySList(&Shared->Sequenced, &Node[3].Sequenced, &Shared->Lock);
    (VOID) ExpInterlockedPushEntrySList(&Shared->Sequenced, &Node[4].Sequenced);
    (VOID) ExInterlockedPushEntrySList(&Shared->Sequenced, &Node[5].Sequenced, &Shared->Lock);
    Good[3] = ExInterlockedPopEntrySList(&Shared->Sequenced, &Shared->Lock) == &Node[5].Sequenced &&
              ExpInterlockedPopEntrySList(&Shared->Sequenced) == &Node[4].Sequenced;
    Good[4] = ExInterlockedFlushSList(&Shared->Sequenced) == &Node[3].Sequenced &&
              ExpInterlockedFlushSList(&Shared->Sequenced) == NULL && KeGetCurrentIrql() == HIGH_LEVEL;
    KeLowerIrql(Irql);
    EXPECT_TRUE(Good[0]);
    EXPECT_TRUE(Good[1]);
    EXPECT_TRUE(Good[2]);
    EXPECT_TRUE(Good[3]);
    EXPECT_TRUE(Good[4]);
    TestFree(Shared);
}

static VOID ExQueryDepthAtDispatchLevel(VOID)
{
    SHARED *Shared = Prepare();
    KIRQL Irql;

    REQUIRE(Shared != NULL);
    (VOID) ExpInterlockedPushEntrySList(&Shared->Sequenced, &Shared->Node[0].Sequenced);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_EQUAL(ExQueryDepthSList(&Shared->Sequenced), 1);
    KeLowerIrql(Irql);
    TestFree(Shared);
}

/* ---- broken rules ---- */

static VOID ExInterlockedPushedTwice(VOID)
{
    SHARED *Shared = Prepare();

    REQUIRE(Shared != NULL);
    (VOID) ExInterlockedPushEntrySList(&Shared->Sequenced, &Shared->Node[0].Sequenced, &Shared->Lock);
    (VOID) ExInterlockedPushEntrySList(&Shared->Sequenced, &Shared->Node[0].Sequenced, &Shared->Lock);
}

TEST_TABLE(ex_interlocked){
    TEST(ExInterlockedLists, 0),
    TEST(ExInterlockedSingleLists, 0),
    TEST(ExInterlockedAdditions, 0),
    TEST(ExInterlockedSequenced, 0),
    TEST(ExInterlockedAtomic, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(ExInterlockedAtHighLevel, 0),
    TEST(ExQueryDepthAtDispatchLevel, 0),
    TEST_VIOLATION(ExInterlockedPushedTwice, "slist-double-push", 0),
    TEST_END,
};
