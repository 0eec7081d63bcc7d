/*
 * The system's error log: IoAllocateErrorLogEntry, IoWriteErrorLogEntry, IoFreeErrorLogEntry (wdm.h). What drivers
 * write is a warning in the machine's log and stays with the machine, oldest first, for io_error_log().
 */
#include <string.h>

#include "nt/cm/cm.h"
#include "nt/io/io_internal.h"

#define LOG_ENTRIES_MAX 256u /* the log is a ring: the oldest go */

struct error_entry {
    LIST_ENTRY entry; /* of io_state.error_allocated or error_log */
    PVOID object;     /* device or driver; referenced while the entry is allocated */
    UCHAR size;
    const void *caller;
    UCHAR packet[ERROR_LOG_LIMIT_SIZE]; /* IO_ERROR_LOG_PACKET: what the driver has */
};

static struct error_entry *of_packet(PVOID packet, const char *routine)
{
    PLIST_ENTRY head = &machine->io->error_allocated;

    for (PLIST_ENTRY entry = head->Flink; entry != head; entry = entry->Flink)
        if (CONTAINING_RECORD(entry, struct error_entry, entry)->packet == packet)
            return CONTAINING_RECORD(entry, struct error_entry, entry);
    nt_violation("error-log", "%s: %p is no error log entry that IoAllocateErrorLogEntry gave out, or is gone", routine,
                 packet);
}

PVOID NTAPI IoAllocateErrorLogEntry(PVOID IoObject, UCHAR EntrySize)
{
    struct error_entry *entry;

    NT_CALL(DISPATCH_LEVEL);
    if (EntrySize < sizeof(IO_ERROR_LOG_PACKET) || EntrySize > ERROR_LOG_MAXIMUM_SIZE)
        return NULL;
    if (!ob_is(IoObject, OB_DEVICE) && !ob_is(IoObject, OB_DRIVER))
        return NULL;
    if (FAULT(POOL))
        return NULL;
    entry = image_alloc(sizeof(*entry));
    entry->object = IoObject;
    entry->size = EntrySize;
    entry->caller = __builtin_return_address(0);
    ob_reference(IoObject);
    InsertTailList(&machine->io->error_allocated, &entry->entry);
    return entry->packet;
}

static const char *driver_of(PVOID object)
{
    return io_driver_name(ob_type_of(object) == OB_DEVICE ? ((PDEVICE_OBJECT)object)->DriverObject
                                                          : (PDRIVER_OBJECT)object);
}

/* The insertion strings, one space between them; machine heap. */
static char *strings_of(const struct error_entry *entry, const IO_ERROR_LOG_PACKET *packet)
{
    size_t at = packet->StringOffset;
    char *all = image_strdup("");

    for (unsigned index = 0; index < packet->NumberOfStrings && at + sizeof(WCHAR) <= entry->size; index++) {
        const WCHAR *string = (const WCHAR *)(const void *)(entry->packet + at);
        size_t length = 0;
        char *text;
        char *joined;

        while (at + (length + 1) * sizeof(WCHAR) <= entry->size && string[length] != 0)
            length++;
        text = cm_utf8_from_utf16(string, length);
        joined = image_printf("%s %s", all, text);
        image_free(all);
        image_free(text);
        all = joined;
        at += (length + 1) * sizeof(WCHAR);
    }
    return all;
}

VOID NTAPI IoWriteErrorLogEntry(PVOID ElEntry)
{
    struct io_state *io = machine->io;
    struct error_entry *entry;
    IO_ERROR_LOG_PACKET *packet;
    char *strings;

    NT_CALL(DISPATCH_LEVEL);
    entry = of_packet(ElEntry, __func__);
    packet = (IO_ERROR_LOG_PACKET *)entry->packet;
    packet->SequenceNumber = ++io->error_sequence;
    strings = strings_of(entry, packet);
    log_line(LOG_WARNING, "errorlog", "driver %s: error 0x%08x, unique value %#x, final status 0x%08x%s",
             driver_of(entry->object), (unsigned)packet->ErrorCode, packet->UniqueErrorValue,
             (unsigned)packet->FinalStatus, strings);
    image_free(strings);
    ob_dereference(entry->object);
    entry->object = NULL;
    RemoveEntryList(&entry->entry);
    InsertTailList(&io->error_log, &entry->entry);
    if (++io->error_count > LOG_ENTRIES_MAX) {
        image_free(CONTAINING_RECORD(RemoveHeadList(&io->error_log), struct error_entry, entry));
        io->error_count--;
    }
}

VOID NTAPI IoFreeErrorLogEntry(PVOID ElEntry)
{
    struct error_entry *entry;

    NT_CALL(DISPATCH_LEVEL);
    entry = of_packet(ElEntry, __func__);
    RemoveEntryList(&entry->entry);
    ob_dereference(entry->object);
    image_free(entry);
}

const IO_ERROR_LOG_PACKET *io_error_log(unsigned index)
{
    for (PLIST_ENTRY entry = machine->io->error_log.Flink; entry != &machine->io->error_log; entry = entry->Flink)
        if (index-- == 0)
            return (const IO_ERROR_LOG_PACKET *)CONTAINING_RECORD(entry, struct error_entry, entry)->packet;
    return NULL;
}

void error_log_census(struct census *census)
{
    PLIST_ENTRY head = &machine->io->error_allocated;

    for (PLIST_ENTRY entry = head->Flink; entry != head; entry = entry->Flink)
        census_item(census, "error log entry", 1, CONTAINING_RECORD(entry, struct error_entry, entry)->caller,
                    "allocated, not written");
}
