/*
 * Lookaside lists: entries of one size that are kept for the next request instead of being freed. How many are kept
 * (Depth) starts small and follows the misses up to a maximum, as Windows' balance manager has it, but at the misses
 * themselves and not once a second.
 *
 * An entry in the list holds POOL_FILL behind its link; AddressSanitizer is told that nobody may touch it.
 */
#include "nt/ex/pool_internal.h"

#define MINIMUM_DEPTH 4
#define MAXIMUM_DEPTH 256

static const char lookaside_kind[] = "lookaside list";

/* The three public types begin with the same fields. */
_Static_assert(sizeof(GENERAL_LOOKASIDE_POOL) <= sizeof(GENERAL_LOOKASIDE), "one layout");
_Static_assert(offsetof(GENERAL_LOOKASIDE_POOL, Future) == offsetof(GENERAL_LOOKASIDE, Future), "one layout");

static PSLIST_ENTRY first_entry(const GENERAL_LOOKASIDE_POOL *list)
{
    return (PSLIST_ENTRY)(uintptr_t)(list->ListHead.HeaderX64.NextEntry << 4);
}

static void set_first(GENERAL_LOOKASIDE_POOL *list, const SLIST_ENTRY *entry, int change)
{
    list->ListHead.HeaderX64.NextEntry = (uintptr_t)entry >> 4;
    list->ListHead.HeaderX64.Depth = (uint16_t)((int)list->ListHead.HeaderX64.Depth + change);
    list->ListHead.HeaderX64.Sequence++;
}

/* What of an entry is filled while it is in the list. */
static uint8_t *body(PSLIST_ENTRY entry)
{
    return (uint8_t *)entry + sizeof(SLIST_ENTRY);
}

static size_t body_size(const GENERAL_LOOKASIDE_POOL *list)
{
    return list->Size > sizeof(SLIST_ENTRY) ? list->Size - sizeof(SLIST_ENTRY) : 0;
}

/* ---- life ---- */

static void initialise(GENERAL_LOOKASIDE_POOL *list, POOL_TYPE type, SIZE_T size, ULONG tag, USHORT depth,
                       const char *routine, const void *caller)
{
    if ((uintptr_t)list % 16 != 0)
        nt_violation("lookaside-alignment", "%s: the list %p is not aligned to 16 bytes", routine, (void *)list);
    if (depth != 0)
        nt_violation("lookaside-depth", "%s: Depth is %u; it is reserved and must be 0", routine, depth);
    if (tag == 0)
        nt_violation("pool-zero-tag", "%s: the tag is 0", routine);
    if (size == 0 || size > UINT32_MAX)
        nt_violation_sub("lookaside-size", (uintptr_t)list, size, 1, "%s: entries of %zu bytes", routine, size);
    if (ex_object_find(lookaside_kind, list) != NULL)
        nt_violation_sub("lookaside-initialised-twice", (uintptr_t)list, 0, 0,
                         "%s: %p is an initialised lookaside list already", routine, (void *)list);

    memset(list, 0, sizeof *list);
    list->Depth = MINIMUM_DEPTH;
    list->MaximumDepth = MAXIMUM_DEPTH;
    list->Type = type;
    list->Tag = tag;
    list->Size = size < sizeof(SLIST_ENTRY) ? sizeof(SLIST_ENTRY) : (ULONG)size;
    InitializeListHead(&list->ListEntry);
    ex_object_add(lookaside_kind, 0xCC, list, sizeof *list, caller);
}

static void check(const GENERAL_LOOKASIDE_POOL *list, const char *routine)
{
    if (list->MaximumDepth != MAXIMUM_DEPTH || list->ListEntry.Flink != &list->ListEntry)
        nt_violation_sub("lookaside-not-initialised", (uintptr_t)list, 0, 0, "%s: %p is no initialised lookaside list",
                         routine, (const void *)list);
}

/* ---- entries ---- */

/* A free block of the list may not have been written to. */
static void check_entry(const GENERAL_LOOKASIDE_POOL *list, PSLIST_ENTRY entry)
{
    char what[512];

    ASAN_UNPOISON_MEMORY_REGION(body(entry), body_size(list));
    if (pool_is_filled(body(entry), body_size(list)))
        return;
    size_t at = 0;
    while (body(entry)[at] == POOL_FILL)
        at++;
    if (!pool_address_describe(entry, what, sizeof what))
        strcpy(what, "an entry that the driver allocates itself");
    nt_violation(
        "pool-write-after-free",
        "the entry %p of the lookaside list %p was written to at offset %zu after it had been freed to the list: %s",
        (void *)entry, (const void *)list, at + sizeof(SLIST_ENTRY), what);
}

static PSLIST_ENTRY pop(GENERAL_LOOKASIDE_POOL *list)
{
    PSLIST_ENTRY entry = first_entry(list);

    if (entry == NULL)
        return NULL;
    set_first(list, entry->Next, -1);
    check_entry(list, entry);
    return entry;
}

/* Whether an entry is in the list; asked only of one whose contents say that it may be. */
static bool contains(const GENERAL_LOOKASIDE_POOL *list, const SLIST_ENTRY *wanted)
{
    for (PSLIST_ENTRY entry = first_entry(list); entry != NULL; entry = entry->Next)
        if (entry == wanted)
            return true;
    return false;
}

static void push(GENERAL_LOOKASIDE_POOL *list, PSLIST_ENTRY entry)
{
    entry->Next = first_entry(list);
    set_first(list, entry, 1);
    memset(body(entry), POOL_FILL, body_size(list));
    ASAN_POISON_MEMORY_REGION(body(entry), body_size(list));
}

static void count_miss(GENERAL_LOOKASIDE_POOL *list)
{
    list->AllocateMisses++;
    if (list->AllocateMisses - list->LastAllocateMisses < list->Depth)
        return;
    list->LastAllocateMisses = list->AllocateMisses;
    list->Depth = list->Depth < list->MaximumDepth / 2 ? (USHORT)(list->Depth * 2) : list->MaximumDepth;
}

/* An entry from the list, or NULL: the caller gets one from the pool. */
static void *allocate(GENERAL_LOOKASIDE_POOL *list, const char *routine)
{
    check(list, routine);
    list->TotalAllocates++;
    PSLIST_ENTRY entry = pop(list);
    if (entry == NULL)
        count_miss(list);
    return entry;
}

/* False: the list is full, and the caller gives the entry back to the pool. */
static bool keep(GENERAL_LOOKASIDE_POOL *list, void *entry, const char *routine)
{
    check(list, routine);
    list->TotalFrees++;
    if ((uintptr_t)entry % 16 != 0)
        nt_violation("lookaside-bad-free", "%s: the entry %p is not aligned to 16 bytes", routine, entry);
#ifdef POOL_POISONING
    bool may_be_there = body_size(list) != 0 && __asan_address_is_poisoned(body(entry)) != 0;
#else
    bool may_be_there = body_size(list) == 0 || pool_is_filled(body(entry), body_size(list));
#endif
    if (may_be_there && contains(list, entry))
        nt_violation("lookaside-double-free", "%s: the entry %p is in the list %p already", routine, entry,
                     (void *)list);
    if (list->ListHead.HeaderX64.Depth >= list->Depth) {
        list->FreeMisses++;
        return false;
    }
    push(list, entry);
    return true;
}

/* ---- the pool behind a list ---- */

static void *from_pool(GENERAL_LOOKASIDE_POOL *list, const char *routine, const void *caller)
{
    void *entry =
        fault_inject(FAULT_POOL, routine, caller) ? NULL : pool_allocate(list->Type, list->Size, list->Tag, caller);

    if (entry == NULL && ((unsigned)list->Type & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0)
        ke_raise_status(STATUS_INSUFFICIENT_RESOURCES, caller);
    return entry;
}

static void *get(GENERAL_LOOKASIDE_POOL *list, const char *routine, const void *caller)
{
    void *entry = allocate(list, routine);

    if (entry != NULL)
        return entry;
    if (list->Allocate != NULL)
        return DRIVER_CALLOUT("routine of a lookaside list", list->Allocate, list->Type, list->Size, list->Tag);
    return from_pool(list, routine, caller);
}

static void give_to_pool(GENERAL_LOOKASIDE_POOL *list, void *entry, const char *routine, const void *caller)
{
    if (list->Free != NULL)
        DRIVER_CALLOUT("routine of a lookaside list", list->Free, entry);
    else
        pool_free(entry, list->Tag, routine, caller);
}

static void put(GENERAL_LOOKASIDE_POOL *list, void *entry, const char *routine, const void *caller)
{
    if (!keep(list, entry, routine))
        give_to_pool(list, entry, routine, caller);
}

static void delete (GENERAL_LOOKASIDE_POOL *list, const char *routine, const void *caller)
{
    check(list, routine);
    for (PSLIST_ENTRY entry = pop(list); entry != NULL; entry = pop(list))
        give_to_pool(list, entry, routine, caller);
    ex_object_remove(ex_object_find(lookaside_kind, list));
    memset(list, 0, sizeof *list);
}

/* ---- nonpaged lists ---- */

static GENERAL_LOOKASIDE_POOL *fields(void *list)
{
    return list;
}

VOID NTAPI ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                           PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    GENERAL_LOOKASIDE_POOL *list = fields(Lookaside);

    NT_CALL(DISPATCH_LEVEL);
    if ((Flags & ~(ULONG)(POOL_RAISE_IF_ALLOCATION_FAILURE | POOL_NX_ALLOCATION)) != 0)
        nt_violation("lookaside-flags", "%s: flags %#x", __func__, Flags);
    initialise(list, (POOL_TYPE)(NonPagedPool | Flags), Size, Tag, Depth, __func__, __builtin_return_address(0));
    list->Allocate = Allocate;
    list->Free = Free;
}

VOID NTAPI ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    NT_CALL(DISPATCH_LEVEL);
    delete (fields(Lookaside), __func__, __builtin_return_address(0));
}

PVOID NTAPI ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_INTERLOCKED);
    return get(fields(Lookaside), __func__, __builtin_return_address(0));
}

VOID NTAPI ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_INTERLOCKED);
    put(fields(Lookaside), Entry, __func__, __builtin_return_address(0));
}

/* ---- paged lists ---- */

VOID NTAPI ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                          PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth)
{
    GENERAL_LOOKASIDE_POOL *list = fields(Lookaside);

    NT_CALL(APC_LEVEL);
    if ((Flags & ~(ULONG)POOL_RAISE_IF_ALLOCATION_FAILURE) != 0)
        nt_violation("lookaside-flags", "%s: flags %#x", __func__, Flags);
    initialise(list, (POOL_TYPE)(PagedPool | Flags), Size, Tag, Depth, __func__, __builtin_return_address(0));
    list->Allocate = Allocate;
    list->Free = Free;
}

VOID NTAPI ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    NT_CALL(APC_LEVEL);
    delete (fields(Lookaside), __func__, __builtin_return_address(0));
}

PVOID NTAPI ExAllocateFromPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside)
{
    NT_CALL_AT(APC_LEVEL, POINT_INTERLOCKED);
    return get(fields(Lookaside), __func__, __builtin_return_address(0));
}

VOID NTAPI ExFreeToPagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PVOID Entry)
{
    NT_CALL_AT(APC_LEVEL, POINT_INTERLOCKED);
    put(fields(Lookaside), Entry, __func__, __builtin_return_address(0));
}

/* ---- lists of either kind, with routines that know their list ---- */

static void check_irql_ex(const GENERAL_LOOKASIDE_POOL *list, const char *routine)
{
    if (((unsigned)list->Type & PagedPool) != 0 && ke_irql() > APC_LEVEL)
        nt_violation_sub("irql", ke_irql(), 0, 0, "%s: a list of paged pool at IRQL %u, above APC_LEVEL", routine,
                         ke_irql());
}

/*
 * EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL and ...FAIL_NO_RAISE add to the pool type that the allocation routine gets
 * what the documentation of ALLOCATE_FUNCTION_EX says; they exclude one another.
 */
NTSTATUS NTAPI ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PALLOCATE_FUNCTION_EX Allocate,
                                           PFREE_FUNCTION_EX Free, POOL_TYPE PoolType, ULONG Flags, SIZE_T Size,
                                           ULONG Tag, USHORT Depth)
{
    GENERAL_LOOKASIDE_POOL *list = fields(Lookaside);
    unsigned type = PoolType;

    NT_CALL(DISPATCH_LEVEL);
    if ((type & ~(unsigned)(PagedPool | NonPagedPoolCacheAligned | NonPagedPoolNx)) != 0)
        return STATUS_INVALID_PARAMETER_4;
    switch (Flags) {
    case 0:
        break;
    case EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL:
        type |= POOL_RAISE_IF_ALLOCATION_FAILURE;
        break;
    case EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE:
        if (Allocate == NULL)
            return STATUS_INVALID_PARAMETER_5;
        type |= POOL_QUOTA_FAIL_INSTEAD_OF_RAISE;
        break;
    default:
        return STATUS_INVALID_PARAMETER_5;
    }
    initialise(list, (POOL_TYPE)type, Size, Tag, Depth, __func__, __builtin_return_address(0));
    list->AllocateEx = Allocate;
    list->FreeEx = Free;
    return STATUS_SUCCESS;
}

static void give_to_pool_ex(PLOOKASIDE_LIST_EX list, void *entry, const char *routine, const void *caller)
{
    if (list->L.FreeEx != NULL)
        DRIVER_CALLOUT("routine of a lookaside list", list->L.FreeEx, entry, list);
    else
        pool_free(entry, list->L.Tag, routine, caller);
}

static void flush_ex(PLOOKASIDE_LIST_EX list, const char *routine, const void *caller)
{
    check(&list->L, routine);
    check_irql_ex(&list->L, routine);
    for (PSLIST_ENTRY entry = pop(&list->L); entry != NULL; entry = pop(&list->L))
        give_to_pool_ex(list, entry, routine, caller);
}

VOID NTAPI ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    NT_CALL(DISPATCH_LEVEL);
    flush_ex(Lookaside, __func__, __builtin_return_address(0));
}

VOID NTAPI ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    NT_CALL(DISPATCH_LEVEL);
    flush_ex(Lookaside, __func__, __builtin_return_address(0));
    ex_object_remove(ex_object_find(lookaside_kind, Lookaside));
    memset(Lookaside, 0, sizeof *Lookaside);
}

PVOID NTAPI ExAllocateFromLookasideListEx(PLOOKASIDE_LIST_EX Lookaside)
{
    GENERAL_LOOKASIDE_POOL *list = &Lookaside->L;

    NT_CALL_AT(DISPATCH_LEVEL, POINT_INTERLOCKED);
    check_irql_ex(list, __func__);
    void *entry = allocate(list, __func__);
    if (entry != NULL)
        return entry;
    if (list->AllocateEx != NULL)
        return DRIVER_CALLOUT("routine of a lookaside list", list->AllocateEx, list->Type, list->Size, list->Tag,
                              Lookaside);
    return from_pool(list, __func__, __builtin_return_address(0));
}

VOID NTAPI ExFreeToLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PVOID Entry)
{
    NT_CALL_AT(DISPATCH_LEVEL, POINT_INTERLOCKED);
    check_irql_ex(&Lookaside->L, __func__);
    if (!keep(&Lookaside->L, Entry, __func__))
        give_to_pool_ex(Lookaside, Entry, __func__, __builtin_return_address(0));
}
