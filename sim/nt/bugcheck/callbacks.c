/*
 * Bugcheck callbacks, in the order of Windows (Windows Internals, "Crash dump generation", and "Writing a Bug Check
 * Reason Callback Routine"): first those of KeRegisterBugCheckCallback, so that devices are quiet; then the dump: its
 * pages are asked for (KbCallbackRemovePages says which it shall be without, then KbCallbackAddPages and
 * KbCallbackTriageDumpData), header and body are written, then the secondary data (KbCallbackSecondaryDumpData, once
 * for the size, once for the data; KbCallbackSecondaryMultiPartDumpData, a call a part), each shown to KbCallbackDumpIo
 * as it is written, in sequence; last the dump is complete. Callbacks of a kind run in the order of their registration,
 * on which the documentation is silent. A record's State tells how far it came.
 *
 * There is no disk here: the dump goes to the DumpIo callbacks, and the failure's notes say what is in it.
 */
#include <stdio.h>
#include <string.h>

#include "machine/guest_ram.h"
#include "nt/ke/ke.h"

#define DUMP_HEADER_SIZE 0x2000u /* of a 64-bit dump */
#define IN_BUFFER_SIZE 4096u
#define SECONDARY_MAX (1024u * 1024)
#define TRIAGE_MAX (1024u * 1024)
#define ADD_PAGES_CALLS_MAX 1024u
#define DUMP_TYPE_AUTOMATIC 7 /* Windows' default */

struct removed_pages {
    KBUGCHECK_REMOVE_PAGES *range;
    unsigned count;
};

static void call_plain(PKBUGCHECK_CALLBACK_RECORD record)
{
    machine->ke->bugcheck_callback = (const void *)(uintptr_t)record->CallbackRoutine;
    machine->ke->bugcheck_callback_state = &record->State;
    record->State = BufferStarted;
    KERNEL_CALLOUT(record->CallbackRoutine, record->Buffer, record->Length);
    record->State = BufferFinished;
}

static void call_reason(PKBUGCHECK_REASON_CALLBACK_RECORD record, void *data, ULONG size)
{
    machine->ke->bugcheck_callback = (const void *)(uintptr_t)record->CallbackRoutine;
    machine->ke->bugcheck_callback_state = &record->State;
    record->State = BufferStarted;
    KERNEL_CALLOUT(record->CallbackRoutine, record->Reason, record, data, size);
    record->State = BufferFinished;
}

static PKBUGCHECK_REASON_CALLBACK_RECORD next_with_reason(PKBUGCHECK_REASON_CALLBACK_RECORD record,
                                                          KBUGCHECK_CALLBACK_REASON reason)
{
    PLIST_ENTRY list = &machine->ke->bugcheck_reason_callbacks;

    for (PLIST_ENTRY entry = record == NULL ? list->Flink : record->Entry.Flink; entry != list; entry = entry->Flink) {
        record = CONTAINING_RECORD(entry, KBUGCHECK_REASON_CALLBACK_RECORD, Entry);
        if (record->Reason == reason)
            return record;
    }
    return NULL;
}

/* ---- writing the dump ---- */

static void write_dump(KBUGCHECK_DUMP_IO_TYPE type, void *buffer, ULONG length)
{
    PKBUGCHECK_REASON_CALLBACK_RECORD record = NULL;

    while ((record = next_with_reason(record, KbCallbackDumpIo)) != NULL) {
        KBUGCHECK_DUMP_IO io = {.Offset = UINT64_MAX, .Buffer = buffer, .BufferLength = length, .Type = type};

        call_reason(record, &io, sizeof(io));
    }
}

static void note_callback(const void *routine, const char *what, uint64_t address, uint64_t size)
{
    char name[128];

    loader_describe(name, sizeof(name), routine);
    fail_note("bugcheck callback %s: %s, %llu bytes at %#llx", name, what, (unsigned long long)size,
              (unsigned long long)address);
}

/* The fields of a 64-bit dump's header that a crash of this machine has. */
static void write_header(uint32_t code, const uint64_t parameter[4])
{
    uint8_t *header = image_alloc(DUMP_HEADER_SIZE);
    const uint32_t machine_type = 0x8664;
    const uint32_t processors = ke_processors();

    memset(header, 'P', DUMP_HEADER_SIZE);
    memcpy(header, "PAGEDU64", 8);
    memcpy(header + 0x30, &machine_type, sizeof(machine_type));
    memcpy(header + 0x34, &processors, sizeof(processors));
    memcpy(header + 0x38, &code, sizeof(code));
    memcpy(header + 0x40, parameter, 4 * sizeof(*parameter));
    write_dump(KbDumpIoHeader, header, DUMP_HEADER_SIZE);
}

/* The page at an address of either kind, NULL if it is not there. */
static void *page_at(ULONG_PTR start, ULONG_PTR index, ULONG flags)
{
    uint64_t address = (start & ~(uint64_t)(PAGE_SIZE - 1)) + index * PAGE_SIZE;
    void *page = (void *)(uintptr_t)address;

    if ((flags & KB_ADD_PAGES_FLAG_PHYSICAL_ADDRESS) != 0) {
        uint32_t number = guest_ram_virtual_page(address >> PAGE_SHIFT);

        page = number == UINT32_MAX ? NULL : (void *)(IMAGE_RAM_BASE + (uint64_t)number * PAGE_SIZE);
    }
    return page != NULL && guest_range_valid(page, PAGE_SIZE) ? page : NULL;
}

/* By their frames: a page may be added by one address and removed by another. */
static bool is_removed(const struct removed_pages *removed, const void *page)
{
    for (unsigned range = 0; range < removed->count; range++) {
        const KBUGCHECK_REMOVE_PAGES *pages = &removed->range[range];

        for (ULONG_PTR index = 0; index < pages->Count; index++) {
            const void *other = page_at(pages->Address, index, pages->Flags);

            if (other != NULL && guest_virtual_to_gfn(other) == guest_virtual_to_gfn(page))
                return true;
        }
    }
    return false;
}

/* `count` pages from an address of either kind; those that are not there are left out of the dump, as on Windows. */
static void write_pages(const KBUGCHECK_ADD_PAGES *pages, const struct removed_pages *removed)
{
    for (ULONG_PTR index = 0; index < pages->Count; index++) {
        void *page = page_at(pages->Address, index, pages->Flags);

        if (page != NULL && !is_removed(removed, page))
            write_dump(KbDumpIoBody, page, PAGE_SIZE);
    }
}

/* Whether a request for `count` pages says what kind of address it has: one of the two. */
static bool good_kind(ULONG flags)
{
    const ULONG kinds = KB_ADD_PAGES_FLAG_VIRTUAL_ADDRESS | KB_ADD_PAGES_FLAG_PHYSICAL_ADDRESS;

    return (flags & kinds) != 0 && (flags & kinds) != kinds;
}

static void remove_pages(uint32_t code, struct removed_pages *removed)
{
    PKBUGCHECK_REASON_CALLBACK_RECORD record = NULL;

    while ((record = next_with_reason(record, KbCallbackRemovePages)) != NULL) {
        const void *routine = (const void *)(uintptr_t)record->CallbackRoutine;
        KBUGCHECK_REMOVE_PAGES pages = {.BugCheckCode = code};

        for (unsigned calls = 0; calls < ADD_PAGES_CALLS_MAX; calls++) {
            pages.Flags = 0;
            pages.Address = 0;
            pages.Count = 0;
            call_reason(record, &pages, sizeof(pages));
            if (pages.Count != 0 && !good_kind(pages.Flags)) {
                note_callback(routine, "removal refused, Flags has not one of virtual and physical", pages.Address,
                              pages.Count * PAGE_SIZE);
                break;
            }
            if (pages.Count != 0) {
                note_callback(routine, "pages removed", pages.Address, pages.Count * PAGE_SIZE);
                removed->range = image_realloc(removed->range, (removed->count + 1) * sizeof(*removed->range));
                removed->range[removed->count++] = pages;
            }
            if ((pages.Flags & KB_REMOVE_PAGES_FLAG_ADDITIONAL_RANGES_EXIST) == 0)
                break;
        }
    }
}

static void add_pages(uint32_t code, const struct removed_pages *removed)
{
    PKBUGCHECK_REASON_CALLBACK_RECORD record = NULL;

    while ((record = next_with_reason(record, KbCallbackAddPages)) != NULL) {
        const void *routine = (const void *)(uintptr_t)record->CallbackRoutine;
        KBUGCHECK_ADD_PAGES pages = {.BugCheckCode = code};

        for (unsigned calls = 0; calls < ADD_PAGES_CALLS_MAX; calls++) {
            pages.Flags = 0;
            pages.Address = 0;
            pages.Count = 0;
            call_reason(record, &pages, sizeof(pages));
            if (pages.Count != 0 && !good_kind(pages.Flags)) {
                note_callback(routine, "pages refused, Flags has not one of virtual and physical", pages.Address,
                              pages.Count * PAGE_SIZE);
                break;
            }
            if (pages.Count != 0) {
                note_callback(routine, "pages added", pages.Address, pages.Count * PAGE_SIZE);
                write_pages(&pages, removed);
            }
            if ((pages.Flags & KB_ADD_PAGES_FLAG_ADDITIONAL_RANGES_EXIST) == 0)
                break;
        }
    }
}

static void add_triage_data(uint32_t code, const uint64_t parameter[4])
{
    PKBUGCHECK_REASON_CALLBACK_RECORD record = NULL;

    while ((record = next_with_reason(record, KbCallbackTriageDumpData)) != NULL) {
        const void *routine = (const void *)(uintptr_t)record->CallbackRoutine;
        KBUGCHECK_TRIAGE_DUMP_DATA data = {.Flags = KB_TRIAGE_DUMP_DATA_FLAG_BUGCHECK_ACTIVE,
                                           .MaxVirtMemSize = TRIAGE_MAX,
                                           .BugCheckCode = code,
                                           .BugCheckParameter1 = parameter[0],
                                           .BugCheckParameter2 = parameter[1],
                                           .BugCheckParameter3 = parameter[2],
                                           .BugCheckParameter4 = parameter[3]};

        call_reason(record, &data, sizeof(data));
        if (data.DataArray == NULL)
            continue;
        if (data.DataArray->DataSize > TRIAGE_MAX) {
            note_callback(routine, "triage data refused, more than MaxVirtMemSize", (uintptr_t)data.DataArray,
                          data.DataArray->DataSize);
            continue;
        }
        for (ULONG index = 0; index < data.DataArray->NumBlocksUsed; index++) {
            KADDRESS_RANGE *block = &data.DataArray->Blocks[index];

            note_callback(routine, "triage data added", (uintptr_t)block->Address, block->Size);
            write_dump(KbDumpIoBody, block->Address, (ULONG)block->Size);
        }
    }
}

static void write_secondary(const void *routine, const GUID *guid, void *data, ULONG length)
{
    char what[96];

    snprintf(what, sizeof(what), "secondary data {%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}", guid->Data1,
             guid->Data2, guid->Data3, guid->Data4[0], guid->Data4[1], guid->Data4[2], guid->Data4[3], guid->Data4[4],
             guid->Data4[5], guid->Data4[6], guid->Data4[7]);
    note_callback(routine, what, (uintptr_t)data, length);
    write_dump(KbDumpIoSecondaryData, data, length);
}

/* Part after part, as long as the routine asks for another call; what it keeps in Context it finds there again. */
static void add_secondary_parts(uint32_t code, const uint64_t parameter[4])
{
    PKBUGCHECK_REASON_CALLBACK_RECORD record = NULL;
    void *buffer = image_alloc(IN_BUFFER_SIZE);

    while ((record = next_with_reason(record, KbCallbackSecondaryMultiPartDumpData)) != NULL) {
        const void *routine = (const void *)(uintptr_t)record->CallbackRoutine;
        KBUGCHECK_SECONDARY_DUMP_DATA_EX data = {.MaximumAllowed = SECONDARY_MAX};

        do {
            data.InBuffer = buffer;
            data.InBufferLength = IN_BUFFER_SIZE;
            data.OutBuffer = NULL;
            data.OutBufferLength = 0;
            data.Flags = 0;
            data.DumpType = DUMP_TYPE_AUTOMATIC;
            data.BugCheckCode = code;
            data.BugCheckParameter1 = parameter[0];
            data.BugCheckParameter2 = parameter[1];
            data.BugCheckParameter3 = parameter[2];
            data.BugCheckParameter4 = parameter[3];
            call_reason(record, &data, sizeof(data));
            if (data.OutBuffer == NULL || data.OutBufferLength == 0)
                break;
            if (data.OutBufferLength > data.MaximumAllowed) {
                note_callback(routine, "secondary data refused, more than MaximumAllowed", (uintptr_t)data.OutBuffer,
                              data.OutBufferLength);
                break;
            }
            write_secondary(routine, &data.Guid, data.OutBuffer, data.OutBufferLength);
            data.MaximumAllowed -= data.OutBufferLength;
        } while ((data.Flags & KB_SECONDARY_DATA_FLAG_ADDITIONAL_DATA) != 0);
    }
}

static void add_secondary_data(void)
{
    PKBUGCHECK_REASON_CALLBACK_RECORD record = NULL;
    void *buffer = image_alloc(IN_BUFFER_SIZE);

    while ((record = next_with_reason(record, KbCallbackSecondaryDumpData)) != NULL) {
        const void *routine = (const void *)(uintptr_t)record->CallbackRoutine;
        KBUGCHECK_SECONDARY_DUMP_DATA data = {
            .InBuffer = buffer, .InBufferLength = IN_BUFFER_SIZE, .MaximumAllowed = SECONDARY_MAX};

        call_reason(record, &data, sizeof(data)); /* OutBuffer is NULL: how much will it be? */
        if (data.OutBufferLength == 0)
            continue;
        if (data.OutBufferLength > SECONDARY_MAX) {
            note_callback(routine, "secondary data refused, more than MaximumAllowed", (uintptr_t)data.OutBuffer,
                          data.OutBufferLength);
            continue;
        }
        data.InBuffer = buffer;
        data.OutBuffer = buffer;
        call_reason(record, &data, sizeof(data));
        if (data.OutBuffer == NULL || data.OutBufferLength == 0 || data.OutBufferLength > SECONDARY_MAX)
            continue;
        write_secondary(routine, &data.Guid, data.OutBuffer, data.OutBufferLength);
    }
}

void bugcheck_run_callbacks(uint32_t code, const uint64_t parameter[4])
{
    PLIST_ENTRY list = &machine->ke->bugcheck_callbacks;
    struct removed_pages removed = {NULL, 0};

    for (PLIST_ENTRY entry = list->Flink; entry != list; entry = entry->Flink)
        call_plain(CONTAINING_RECORD(entry, KBUGCHECK_CALLBACK_RECORD, Entry));
    if (IsListEmpty(&machine->ke->bugcheck_reason_callbacks))
        return;
    write_header(code, parameter);
    remove_pages(code, &removed);
    add_pages(code, &removed);
    add_triage_data(code, parameter);
    add_secondary_data();
    add_secondary_parts(code, parameter);
    write_dump(KbDumpIoComplete, NULL, 0);
}

/* ---- triage data: on the statuses of both routines the documentation is silent ---- */

NTSTATUS NTAPI KeInitializeTriageDumpDataArray(PKTRIAGE_DUMP_DATA_ARRAY KtriageDumpDataArray, ULONG Size)
{
    NT_CALL_ANY();
    if (Size < sizeof(KTRIAGE_DUMP_DATA_ARRAY))
        return STATUS_INVALID_PARAMETER;
    memset(KtriageDumpDataArray, 0, sizeof(*KtriageDumpDataArray));
    InitializeListHead(&KtriageDumpDataArray->List);
    KtriageDumpDataArray->NumBlocksTotal =
        (ULONG)((Size - FIELD_OFFSET(KTRIAGE_DUMP_DATA_ARRAY, Blocks)) / sizeof(KADDRESS_RANGE));
    KtriageDumpDataArray->MaxDataSize = TRIAGE_MAX;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI KeAddTriageDumpDataBlock(PKTRIAGE_DUMP_DATA_ARRAY KtriageDumpDataArray, PVOID Address, SIZE_T Size)
{
    PKTRIAGE_DUMP_DATA_ARRAY array = KtriageDumpDataArray;

    NT_CALL_ANY();
    if (Size == 0 || Size > array->MaxDataSize)
        return STATUS_INVALID_PARAMETER;
    for (ULONG index = 0; index < array->NumBlocksUsed; index++)
        if (array->Blocks[index].Address == Address && array->Blocks[index].Size == Size)
            return STATUS_SUCCESS;
    if (array->NumBlocksUsed == array->NumBlocksTotal || Size > array->MaxDataSize - array->DataSize)
        return STATUS_INSUFFICIENT_RESOURCES;
    array->Blocks[array->NumBlocksUsed++] = (KADDRESS_RANGE){.Address = Address, .Size = Size};
    array->DataSize += (ULONG)Size;
    return STATUS_SUCCESS;
}

/* ---- registration ---- */

BOOLEAN NTAPI KeRegisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord,
                                         PKBUGCHECK_CALLBACK_ROUTINE CallbackRoutine, PVOID Buffer, ULONG Length,
                                         PUCHAR Component)
{
    NT_CALL_ANY();
    if (CallbackRecord->State != BufferEmpty)
        return FALSE;
    CallbackRecord->CallbackRoutine = CallbackRoutine;
    CallbackRecord->Buffer = Buffer;
    CallbackRecord->Length = Length;
    CallbackRecord->Component = Component;
    CallbackRecord->State = BufferInserted;
    InsertTailList(&machine->ke->bugcheck_callbacks, &CallbackRecord->Entry);
    return TRUE;
}

static BOOLEAN deregister(PLIST_ENTRY entry, PUCHAR state)
{
    if (*state != BufferInserted)
        return FALSE;
    RemoveEntryList(entry);
    *state = BufferEmpty;
    return TRUE;
}

BOOLEAN NTAPI KeDeregisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord)
{
    NT_CALL_ANY();
    return deregister(&CallbackRecord->Entry, &CallbackRecord->State);
}

BOOLEAN NTAPI KeRegisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord,
                                               PKBUGCHECK_REASON_CALLBACK_ROUTINE CallbackRoutine,
                                               KBUGCHECK_CALLBACK_REASON Reason, PUCHAR Component)
{
    NT_CALL_ANY();
    if (CallbackRecord->State != BufferEmpty || Reason < KbCallbackSecondaryDumpData ||
        Reason > KbCallbackTriageDumpData)
        return FALSE;
    CallbackRecord->CallbackRoutine = CallbackRoutine;
    CallbackRecord->Reason = Reason;
    CallbackRecord->Component = Component;
    CallbackRecord->State = BufferInserted;
    InsertTailList(&machine->ke->bugcheck_reason_callbacks, &CallbackRecord->Entry);
    return TRUE;
}

BOOLEAN NTAPI KeDeregisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord)
{
    NT_CALL_ANY();
    return deregister(&CallbackRecord->Entry, &CallbackRecord->State);
}
