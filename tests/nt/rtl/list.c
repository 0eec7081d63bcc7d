/*
 * LIST_ENTRY, SINGLE_LIST_ENTRY and SLIST_HEADER: "Singly and Doubly Linked Lists" and the pages of their routines.
 * Corrupt links: Bug Check 0x139, parameter 1 = 3.
 */
#include "nttest.h"

#define ENTRIES 4

typedef struct _ITEM {
    LONG Number;
    LIST_ENTRY Link;
} ITEM;

static VOID MakeItems(ITEM *Item)
{
    LONG Index;

    for (Index = 0; Index < ENTRIES; Index++)
        Item[Index].Number = Index;
}

/* The numbers from head to tail as decimal digits behind a 1, by Flink; -1 if the Blinks don't say the same. */
static LONG Order(const LIST_ENTRY *Head)
{
    const LIST_ENTRY *Link;
    LONG Digits = 1;

    for (Link = Head->Flink; Link != Head; Link = Link->Flink) {
        if (Link->Flink->Blink != Link || Link->Blink->Flink != Link)
            return -1;
        Digits = Digits * 10 + CONTAINING_RECORD(Link, const ITEM, Link)->Number;
    }
    return Digits;
}

/* ---- doubly linked ---- */

static VOID ListEntries(VOID)
{
    ITEM Item[ENTRIES];
    LIST_ENTRY Head;

    MakeItems(Item);
    RtlZeroMemory(&Head, sizeof(Head));
    InitializeListHead(&Head);
    EXPECT_TRUE(Head.Flink == &Head && Head.Blink == &Head);
    EXPECT_TRUE(IsListEmpty(&Head));
    InsertTailList(&Head, &Item[1].Link);
    EXPECT_FALSE(IsListEmpty(&Head));
    EXPECT_TRUE(Head.Flink == &Item[1].Link && Head.Blink == &Item[1].Link);
    InsertTailList(&Head, &Item[2].Link);
    InsertHeadList(&Head, &Item[0].Link);
    InsertTailList(&Head, &Item[3].Link);
    EXPECT_EQUAL(Order(&Head), 10123);
    EXPECT_TRUE(RemoveHeadList(&Head) == &Item[0].Link);
    EXPECT_EQUAL(Order(&Head), 1123);
    EXPECT_TRUE(RemoveTailList(&Head) == &Item[3].Link);
    EXPECT_EQUAL(Order(&Head), 112);
    EXPECT_FALSE(RemoveEntryList(&Item[1].Link)); /* the list isn't empty yet */
    EXPECT_EQUAL(Order(&Head), 12);
    EXPECT_TRUE(RemoveEntryList(&Item[2].Link)); /* and now it is */
    EXPECT_TRUE(IsListEmpty(&Head));
}

/* Removing from an empty list returns the head and changes nothing. */
static VOID ListRemoveFromEmpty(VOID)
{
    LIST_ENTRY Head;

    InitializeListHead(&Head);
    EXPECT_TRUE(RemoveHeadList(&Head) == &Head);
    EXPECT_TRUE(RemoveTailList(&Head) == &Head);
    EXPECT_TRUE(IsListEmpty(&Head));
    EXPECT_TRUE(Head.Flink == &Head && Head.Blink == &Head);
}

/* An entry from the middle leaves its neighbours linked to each other. */
static VOID ListRemoveFromTheMiddle(VOID)
{
    ITEM Item[ENTRIES];
    LIST_ENTRY Head;
    LONG Index;

    MakeItems(Item);
    InitializeListHead(&Head);
    for (Index = 0; Index < ENTRIES; Index++)
        InsertTailList(&Head, &Item[Index].Link);
    EXPECT_FALSE(RemoveEntryList(&Item[1].Link));
    EXPECT_TRUE(Item[0].Link.Flink == &Item[2].Link && Item[2].Link.Blink == &Item[0].Link);
    EXPECT_EQUAL(Order(&Head), 1023);
}

/* ListToAppend has no head of its own: each of its entries comes behind the last one of the list, in their order. */
static VOID ListAppend(VOID)
{
    ITEM Item[ENTRIES];
    LIST_ENTRY Head;

    MakeItems(Item);
    InitializeListHead(&Head);
    InsertTailList(&Head, &Item[0].Link);
    InsertTailList(&Head, &Item[1].Link);
    InitializeListHead(&Item[2].Link);
    InsertTailList(&Item[2].Link, &Item[3].Link);
    AppendTailList(&Head, &Item[2].Link);
    EXPECT_EQUAL(Order(&Head), 10123);
    EXPECT_TRUE(Head.Blink == &Item[3].Link);

    InitializeListHead(&Head);
    InitializeListHead(&Item[0].Link); /* a list of one, to an empty list */
    AppendTailList(&Head, &Item[0].Link);
    EXPECT_EQUAL(Order(&Head), 10);
}

/* ---- singly linked ---- */

static VOID ListSingleEntries(VOID)
{
    SINGLE_LIST_ENTRY Entry[2];
    SINGLE_LIST_ENTRY Head;

    Head.Next = NULL; /* an empty list */
    EXPECT_TRUE(PopEntryList(&Head) == NULL);
    PushEntryList(&Head, &Entry[0]);
    EXPECT_TRUE(Head.Next == &Entry[0] && Entry[0].Next == NULL);
    PushEntryList(&Head, &Entry[1]);
    EXPECT_TRUE(Head.Next == &Entry[1] && Entry[1].Next == &Entry[0]);
    EXPECT_TRUE(PopEntryList(&Head) == &Entry[1]); /* the last one in is the first one out */
    EXPECT_TRUE(PopEntryList(&Head) == &Entry[0]);
    EXPECT_TRUE(PopEntryList(&Head) == NULL);
    EXPECT_TRUE(Head.Next == NULL);
}

/* ---- sequenced ---- */

/* The type of an entry gives it the alignment that it must have. */
static VOID ListSequencedEntries(VOID)
{
    SLIST_ENTRY Entry[3];
    SLIST_HEADER Head;

    InitializeSListHead(&Head);
    EXPECT_TRUE(InterlockedPopEntrySList(&Head) == NULL);
    EXPECT_TRUE(InterlockedFlushSList(&Head) == NULL);
    EXPECT_TRUE(InterlockedPushEntrySList(&Head, &Entry[0]) == NULL); /* what was first before */
    EXPECT_TRUE(InterlockedPushEntrySList(&Head, &Entry[1]) == &Entry[0]);
    EXPECT_TRUE(InterlockedPushEntrySList(&Head, &Entry[2]) == &Entry[1]);
    EXPECT_TRUE(InterlockedPopEntrySList(&Head) == &Entry[2]);
    EXPECT_TRUE(InterlockedFlushSList(&Head) == &Entry[1]); /* all, the last one in first */
    EXPECT_TRUE(Entry[1].Next == &Entry[0] && Entry[0].Next == NULL);
    EXPECT_TRUE(InterlockedPopEntrySList(&Head) == NULL);
}

static VOID ListSequencedDepth(VOID)
{
    SLIST_ENTRY Entry[3];
    SLIST_HEADER Head;

    InitializeSListHead(&Head);
    EXPECT_EQUAL(QueryDepthSList(&Head), 0);
    (VOID) InterlockedPushEntrySList(&Head, &Entry[0]);
    (VOID) InterlockedPushEntrySList(&Head, &Entry[1]);
    (VOID) InterlockedPushEntrySList(&Head, &Entry[2]);
    EXPECT_EQUAL(QueryDepthSList(&Head), 3);
    (VOID) InterlockedPopEntrySList(&Head);
    EXPECT_EQUAL(QueryDepthSList(&Head), 2);
    (VOID) InterlockedFlushSList(&Head);
    EXPECT_EQUAL(QueryDepthSList(&Head), 0);
}

#define TAKERS 3
#define TURNS 30

typedef struct _SHARED_LIST {
    SLIST_HEADER Head;
    SLIST_ENTRY Entry[TAKERS];
    LONG volatile Owners[TAKERS]; /* of each entry */
} SHARED_LIST;

static VOID NTAPI TakeAndReturn(PVOID Context)
{
    SHARED_LIST *Shared = Context;
    PSLIST_ENTRY Entry;
    LONG Turn;

    for (Turn = 0; Turn < TURNS; Turn++) {
        Entry = InterlockedPopEntrySList(&Shared->Head);
        CHECK(Entry != NULL); /* there are as many as takers */
        if (Entry == NULL)
            break;
        CHECK(InterlockedIncrement(&Shared->Owners[Entry - Shared->Entry]) == 1); /* and each has one owner */
        CHECK(InterlockedDecrement(&Shared->Owners[Entry - Shared->Entry]) == 0);
        (VOID) InterlockedPushEntrySList(&Shared->Head, Entry);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* The sequence number in the head: an entry that went and came back while another thread popped is not handed out
 * twice. */
static VOID ListSequencedHasOneOwner(VOID)
{
    SHARED_LIST Shared;
    PVOID Thread[TAKERS];
    LONG Index;

    RtlZeroMemory(&Shared, sizeof(Shared));
    InitializeSListHead(&Shared.Head);
    for (Index = 0; Index < TAKERS; Index++)
        (VOID) InterlockedPushEntrySList(&Shared.Head, &Shared.Entry[Index]);
    for (Index = 0; Index < TAKERS; Index++)
        Thread[Index] = TestStart(TakeAndReturn, &Shared);
    for (Index = 0; Index < TAKERS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(QueryDepthSList(&Shared.Head), TAKERS);
}

/* Any level, if the storage is resident. */
static VOID ListAtHighLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    ListEntries();
    ListRemoveFromEmpty();
    ListAppend();
    ListSingleEntries();
    ListSequencedEntries();
    KeLowerIrql(Irql);
}

/* ---- broken rules ---- */

static VOID MakeCorrupt(PLIST_ENTRY Head, PLIST_ENTRY Entry)
{
    Head->Flink = Head->Blink = Entry;
    Entry->Flink = Entry->Blink = Entry; /* in no list, while the head says that it is */
}

static VOID ListEntryRemovedTwice(VOID)
{
    LIST_ENTRY Head;
    LIST_ENTRY Entry[2];

    InitializeListHead(&Head);
    InsertTailList(&Head, &Entry[0]);
    InsertTailList(&Head, &Entry[1]);
    (VOID) RemoveEntryList(&Entry[0]);
    (VOID) RemoveEntryList(&Entry[0]);
}

static VOID ListRemoveHeadCorrupt(VOID)
{
    LIST_ENTRY Head;
    LIST_ENTRY Entry;

    MakeCorrupt(&Head, &Entry);
    (VOID) RemoveHeadList(&Head);
}

static VOID ListRemoveTailCorrupt(VOID)
{
    LIST_ENTRY Head;
    LIST_ENTRY Entry;

    MakeCorrupt(&Head, &Entry);
    (VOID) RemoveTailList(&Head);
}

static VOID ListInsertHeadCorrupt(VOID)
{
    LIST_ENTRY Head;
    LIST_ENTRY Entry;
    LIST_ENTRY Other;

    MakeCorrupt(&Head, &Entry);
    InsertHeadList(&Head, &Other);
}

static VOID ListInsertTailCorrupt(VOID)
{
    LIST_ENTRY Head;
    LIST_ENTRY Entry;
    LIST_ENTRY Other;

    MakeCorrupt(&Head, &Entry);
    InsertTailList(&Head, &Other);
}

static VOID ListAppendCorrupt(VOID)
{
    LIST_ENTRY Head;
    LIST_ENTRY Entry;
    LIST_ENTRY Other;

    MakeCorrupt(&Head, &Entry);
    InitializeListHead(&Other);
    AppendTailList(&Head, &Other);
}

/* The header must be aligned to 16 bytes. */
static VOID ListSequencedMisaligned(VOID)
{
    PUCHAR Memory = TestAllocate(3 * sizeof(SLIST_HEADER));

    REQUIRE(Memory != NULL);
    InitializeSListHead((PSLIST_HEADER)(PVOID)(Memory + 8));
}

TEST_TABLE(rtl_list){
    TEST(ListEntries, 0),
    TEST(ListRemoveFromEmpty, 0),
    TEST(ListRemoveFromTheMiddle, 0),
    TEST(ListAppend, 0),
    TEST(ListSingleEntries, 0),
    TEST(ListSequencedEntries, 0),
    TEST(ListSequencedDepth, 0),
    TEST(ListSequencedHasOneOwner, TEST_SCHEDULES),
    TEST(ListAtHighLevel, 0),
    TEST_VIOLATION(ListEntryRemovedTwice, "list-corrupt", 0x139),
    TEST_VIOLATION(ListRemoveHeadCorrupt, "list-corrupt", 0x139),
    TEST_VIOLATION(ListRemoveTailCorrupt, "list-corrupt", 0x139),
    TEST_VIOLATION(ListInsertHeadCorrupt, "list-corrupt", 0x139),
    TEST_VIOLATION(ListInsertTailCorrupt, "list-corrupt", 0x139),
    TEST_VIOLATION(ListAppendCorrupt, "list-corrupt", 0x139),
    TEST_VIOLATION(ListSequencedMisaligned, "slist-alignment", 0),
    TEST_END,
};
