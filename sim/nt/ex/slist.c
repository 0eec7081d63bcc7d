/*
 * Sequenced singly linked lists. The header is that of x64 Windows: depth and sequence in its first half, the address
 * of the first entry in its second.
 */
#include "nt/nt.h"

static PSLIST_ENTRY first_entry(const SLIST_HEADER *head)
{
    return (PSLIST_ENTRY)(uintptr_t)(head->HeaderX64.NextEntry << 4);
}

static void set_first(PSLIST_HEADER head, const SLIST_ENTRY *entry, int depth_change)
{
    head->HeaderX64.NextEntry = (uintptr_t)entry >> 4;
    head->HeaderX64.Depth = (uint16_t)((int)head->HeaderX64.Depth + depth_change);
    head->HeaderX64.Sequence++;
}

static void check_head(const SLIST_HEADER *head, const char *routine)
{
    if ((uintptr_t)head % 16 != 0)
        nt_violation("slist-alignment", "%s: the list header %p is not aligned to 16 bytes", routine,
                     (const void *)head);
}

VOID NTAPI InitializeSListHead(PSLIST_HEADER SListHead)
{
    NT_CALL_ANY();
    check_head(SListHead, __func__);
    SListHead->Alignment = 0;
    SListHead->Region = 0;
}

PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_INTERLOCKED);
    check_head(ListHead, __func__);
    if ((uintptr_t)ListEntry % 16 != 0)
        nt_violation("slist-alignment", "%s: the entry %p is not aligned to 16 bytes", __func__, (void *)ListEntry);

    PSLIST_ENTRY previous = first_entry(ListHead);
    if (previous == ListEntry)
        nt_violation("slist-double-push", "%s: the entry %p is the first of the list %p already", __func__,
                     (void *)ListEntry, (void *)ListHead);
    ListEntry->Next = previous;
    set_first(ListHead, ListEntry, 1);
    return previous;
}

PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_INTERLOCKED);
    check_head(ListHead, __func__);
    PSLIST_ENTRY entry = first_entry(ListHead);
    if (entry != NULL)
        set_first(ListHead, entry->Next, -1);
    return entry;
}

PSLIST_ENTRY NTAPI ExpInterlockedFlushSList(PSLIST_HEADER ListHead)
{
    NT_CALL_AT(HIGH_LEVEL, POINT_INTERLOCKED);
    check_head(ListHead, __func__);
    PSLIST_ENTRY entry = first_entry(ListHead);
    if (entry != NULL)
        set_first(ListHead, NULL, -(int)ListHead->HeaderX64.Depth);
    return entry;
}

USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER SListHead)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_INTERLOCKED);
    check_head(SListHead, __func__);
    return (USHORT)SListHead->HeaderX64.Depth;
}
