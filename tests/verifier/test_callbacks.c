/* Bugcheck callbacks: their order, what each kind is given and gives, and that one that fails is the last. */
#include <string.h>

#include "common/guest.h"
#include "nt/ke/ke.h"

/* What was called, in order: a letter each. The bugcheck ends the machine's run, not the process. */
static char order[64];
static unsigned calls;
static UCHAR component[] = "test";

static void called(char letter)
{
    ck_assert_uint_lt(calls, sizeof(order) - 1);
    order[calls++] = letter;
}

/* The notes name a routine of this program by its address: it is in no driver. */
static void assert_noted(const struct failure *failure, const void *routine, const char *what)
{
    char name[64];

    snprintf(name, sizeof(name), "%p", routine);
    ck_assert_msg(strstr(failure->notes, name) != NULL && strstr(failure->notes, what) != NULL, "no '%s' with '%s': %s",
                  name, what, failure->notes);
}

static KBUGCHECK_CALLBACK_RECORD first;
static KBUGCHECK_CALLBACK_RECORD second;
static KBUGCHECK_REASON_CALLBACK_RECORD reasons[6];
static char buffer[16];

static VOID NTAPI on_first(PVOID Buffer, ULONG Length)
{
    called('1');
    ck_assert_ptr_eq(Buffer, buffer);
    ck_assert_uint_eq(Length, sizeof(buffer));
    ck_assert_uint_eq(KeGetCurrentIrql(), HIGH_LEVEL);
}

static VOID NTAPI on_second(PVOID Buffer, ULONG Length)
{
    UNREFERENCED_PARAMETER(Buffer);
    UNREFERENCED_PARAMETER(Length);
    called('2');
}

/* Three calls: a page by its virtual address, the same by its physical address, one that another routine removes. */
static char *page_to_add;
static char *page_to_remove;

static VOID NTAPI on_add_pages(KBUGCHECK_CALLBACK_REASON Reason, PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data,
                               ULONG Length)
{
    PKBUGCHECK_ADD_PAGES pages = Data;

    called('a');
    ck_assert_int_eq(Reason, KbCallbackAddPages);
    ck_assert_ptr_eq(Record, &reasons[1]);
    ck_assert_uint_eq(Length, sizeof(*pages));
    ck_assert_uint_eq(pages->BugCheckCode, MANUALLY_INITIATED_CRASH);
    ck_assert_uint_eq(pages->Flags, 0);
    pages->Count = 1;
    if (pages->Context == NULL) {
        pages->Context = buffer;
        pages->Flags = KB_ADD_PAGES_FLAG_VIRTUAL_ADDRESS | KB_ADD_PAGES_FLAG_ADDITIONAL_RANGES_EXIST;
        pages->Address = (ULONG_PTR)page_to_add;
    } else if (pages->Context == buffer) {
        pages->Context = buffer + 1;
        pages->Flags = KB_ADD_PAGES_FLAG_PHYSICAL_ADDRESS | KB_ADD_PAGES_FLAG_ADDITIONAL_RANGES_EXIST;
        pages->Address = (ULONG_PTR)MmGetPhysicalAddress(page_to_add).QuadPart;
    } else { /* it is removed by its other address */
        pages->Flags = KB_ADD_PAGES_FLAG_PHYSICAL_ADDRESS;
        pages->Address = (ULONG_PTR)MmGetPhysicalAddress(page_to_remove).QuadPart;
    }
}

static VOID NTAPI on_secondary(KBUGCHECK_CALLBACK_REASON Reason, PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data,
                               ULONG Length)
{
    static const GUID guid = {0x11223344, 0x5566, 0x7788, {0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00}};
    PKBUGCHECK_SECONDARY_DUMP_DATA data = Data;

    UNREFERENCED_PARAMETER(Reason);
    UNREFERENCED_PARAMETER(Record);
    ck_assert_uint_eq(Length, sizeof(*data));
    ck_assert_uint_ge(data->MaximumAllowed, data->InBufferLength);
    called(data->OutBuffer == NULL ? 's' : 'S');
    if (data->OutBuffer != NULL) {
        ck_assert_ptr_eq(data->OutBuffer, data->InBuffer);
        memcpy(data->OutBuffer, "secondary", 9);
    }
    data->Guid = guid;
    data->OutBuffer = data->InBuffer;
    data->OutBufferLength = 9;
}

/* Three calls: the system's buffer, memory of ours, no more data. */
static VOID NTAPI on_parts(KBUGCHECK_CALLBACK_REASON Reason, PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data,
                           ULONG Length)
{
    static const GUID guid = {0xaabbccdd, 1, 2, {3}};
    static char rest[16];
    static ULONG allowed;
    PKBUGCHECK_SECONDARY_DUMP_DATA_EX data = Data;
    ULONG_PTR part = (ULONG_PTR)data->Context;

    called('p');
    ck_assert_int_eq(Reason, KbCallbackSecondaryMultiPartDumpData);
    ck_assert_ptr_eq(Record, &reasons[4]);
    ck_assert_uint_eq(Length, sizeof(*data));
    ck_assert_uint_eq(data->BugCheckCode, MANUALLY_INITIATED_CRASH);
    ck_assert_uint_eq(data->BugCheckParameter2, 12);
    ck_assert_uint_eq(data->Flags, 0);
    ck_assert_ptr_null(data->OutBuffer);
    if (part != 0)
        ck_assert_uint_eq(data->MaximumAllowed, allowed - 9);
    allowed = data->MaximumAllowed;
    data->Context = (PVOID)(part + 1);
    data->Guid = guid;
    if (part == 2)
        return;
    data->OutBuffer = part == 0 ? data->InBuffer : rest;
    memcpy(data->OutBuffer, "secondary", 9);
    data->OutBufferLength = 9;
    data->Flags = KB_SECONDARY_DATA_FLAG_ADDITIONAL_DATA;
}

static VOID NTAPI on_remove_pages(KBUGCHECK_CALLBACK_REASON Reason, PKBUGCHECK_REASON_CALLBACK_RECORD Record,
                                  PVOID Data, ULONG Length)
{
    PKBUGCHECK_REMOVE_PAGES pages = Data;

    called('r');
    ck_assert_int_eq(Reason, KbCallbackRemovePages);
    ck_assert_ptr_eq(Record, &reasons[5]);
    ck_assert_uint_eq(Length, sizeof(*pages));
    ck_assert_uint_eq(pages->BugCheckCode, MANUALLY_INITIATED_CRASH);
    ck_assert_ptr_null(pages->Context);
    pages->Flags = KB_REMOVE_PAGES_FLAG_VIRTUAL_ADDRESS;
    pages->Address = (ULONG_PTR)page_to_remove;
    pages->Count = 1;
}

static PKTRIAGE_DUMP_DATA_ARRAY triage_array;

static VOID NTAPI on_triage(KBUGCHECK_CALLBACK_REASON Reason, PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data,
                            ULONG Length)
{
    PKBUGCHECK_TRIAGE_DUMP_DATA data = Data;

    UNREFERENCED_PARAMETER(Reason);
    UNREFERENCED_PARAMETER(Record);
    called('t');
    ck_assert_uint_eq(Length, sizeof(*data));
    ck_assert_uint_eq(data->Flags, KB_TRIAGE_DUMP_DATA_FLAG_BUGCHECK_ACTIVE);
    ck_assert_uint_eq(data->BugCheckParameter1, 11);
    ck_assert_uint_eq(data->BugCheckParameter4, 14);
    ck_assert_int_eq(KeAddTriageDumpDataBlock(triage_array, buffer, sizeof(buffer)), STATUS_SUCCESS);
    ck_assert_int_eq(KeAddTriageDumpDataBlock(triage_array, buffer, sizeof(buffer)), STATUS_SUCCESS);
    ck_assert_uint_eq(triage_array->NumBlocksUsed, 1);
    data->DataArray = triage_array;
}

/* Type and content of what was written. */
static VOID NTAPI on_dump_io(KBUGCHECK_CALLBACK_REASON Reason, PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data,
                             ULONG Length)
{
    PKBUGCHECK_DUMP_IO io = Data;
    ULONG code;

    UNREFERENCED_PARAMETER(Reason);
    UNREFERENCED_PARAMETER(Record);
    ck_assert_uint_eq(Length, sizeof(*io));
    ck_assert_uint_eq(io->Offset, UINT64_MAX);
    switch (io->Type) {
    case KbDumpIoHeader:
        called('H');
        ck_assert_int_eq(memcmp(io->Buffer, "PAGEDU64", 8), 0);
        memcpy(&code, (char *)io->Buffer + 0x38, sizeof(code));
        ck_assert_uint_eq(code, MANUALLY_INITIATED_CRASH);
        break;
    case KbDumpIoBody:
        if (io->Buffer == buffer) {
            called('T');
            break;
        }
        called('B');
        ck_assert_uint_eq(io->BufferLength, PAGE_SIZE);
        ck_assert_str_eq(io->Buffer, "the page");
        break;
    case KbDumpIoSecondaryData:
        called('D');
        ck_assert_uint_eq(io->BufferLength, 9);
        ck_assert_int_eq(memcmp(io->Buffer, "secondary", 9), 0);
        break;
    case KbDumpIoComplete:
        called('C');
        ck_assert_ptr_null(io->Buffer);
        ck_assert_uint_eq(io->BufferLength, 0);
        break;
    default:
        ck_abort_msg("type %d", io->Type);
    }
}

static void register_reason(unsigned index, PKBUGCHECK_REASON_CALLBACK_ROUTINE routine,
                            KBUGCHECK_CALLBACK_REASON reason)
{
    KeInitializeCallbackRecord(&reasons[index]);
    ck_assert(KeRegisterBugCheckReasonCallback(&reasons[index], routine, reason, component));
    ck_assert(!KeRegisterBugCheckReasonCallback(&reasons[index], routine, reason, component));
}

static void register_plain(PKBUGCHECK_CALLBACK_RECORD record, PKBUGCHECK_CALLBACK_ROUTINE routine)
{
    KeInitializeCallbackRecord(record);
    ck_assert(KeRegisterBugCheckCallback(record, routine, buffer, sizeof(buffer), component));
}

static void crash_with_all(void *argument)
{
    (void)argument;
    page_to_add = ExAllocatePoolWithTag(NonPagedPoolNx, PAGE_SIZE, 0x74736554);
    strcpy(page_to_add, "the page");
    page_to_remove = ExAllocatePoolWithTag(NonPagedPoolNx, PAGE_SIZE, 0x74736554);
    strcpy(page_to_remove, "secret");
    triage_array = ExAllocatePoolWithTag(NonPagedPoolNx, PAGE_SIZE, 0x74736554);
    ck_assert_int_eq(KeInitializeTriageDumpDataArray(triage_array, PAGE_SIZE), STATUS_SUCCESS);
    ck_assert_int_eq(KeInitializeTriageDumpDataArray(triage_array, 16), STATUS_INVALID_PARAMETER);
    /* Against the order in which they will be called. */
    register_reason(3, on_dump_io, KbCallbackDumpIo);
    register_reason(2, on_secondary, KbCallbackSecondaryDumpData);
    register_reason(0, on_triage, KbCallbackTriageDumpData);
    register_reason(4, on_parts, KbCallbackSecondaryMultiPartDumpData);
    register_reason(1, on_add_pages, KbCallbackAddPages);
    register_reason(5, on_remove_pages, KbCallbackRemovePages);
    register_plain(&first, on_first);
    register_plain(&second, on_second);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 11, 12, 13, 14);
}

START_TEST(callbacks_run_in_order_and_exchange_their_data)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure = guest_must_fail(&config, crash_with_all, NULL, "bugcheck");

    ck_assert_str_eq(order, "12HraBaBatTsSDpDpDpC");
    ck_assert_str_eq(failure->title, "MANUALLY_INITIATED_CRASH");
    ck_assert_uint_eq(failure->parameter[2], 13);
    assert_noted(failure, (void *)(uintptr_t)on_secondary,
                 "secondary data {11223344-5566-7788-99aa-bbccddeeff00}, 9 bytes");
    assert_noted(failure, (void *)(uintptr_t)on_parts,
                 "secondary data {aabbccdd-0001-0002-0300-000000000000}, 9 bytes");
    assert_noted(failure, (void *)(uintptr_t)on_remove_pages, "pages removed, 4096 bytes");
    assert_noted(failure, (void *)(uintptr_t)on_triage, "triage data added, 16 bytes");
    assert_noted(failure, (void *)(uintptr_t)on_add_pages, "pages added, 4096 bytes");
    ck_assert_uint_eq(first.State, BufferFinished);
    ck_assert_uint_eq(reasons[3].State, BufferFinished);
}
END_TEST

/* ---- callbacks that fail ---- */

static VOID NTAPI on_broken(PVOID Buffer, ULONG Length)
{
    KIRQL irql;

    UNREFERENCED_PARAMETER(Buffer);
    UNREFERENCED_PARAMETER(Length);
    called('x');
    /* Synchronization is not for callbacks; this one may not even be called at this IRQL. */
    KeAcquireSpinLock((PKSPIN_LOCK)buffer, &irql);
}

static void crash_with_broken(void *argument)
{
    PKBUGCHECK_CALLBACK_ROUTINE routine = argument;

    register_plain(&first, routine);
    register_plain(&second, on_second);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 0, 0, 0, 0);
}

START_TEST(a_callback_that_breaks_a_rule_is_the_last)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure =
        guest_must_fail(&config, crash_with_broken, (void *)(uintptr_t)on_broken, "bugcheck");

    ck_assert_str_eq(order, "x");
    ck_assert_uint_eq(failure->code, MANUALLY_INITIATED_CRASH);
    assert_noted(failure, (void *)(uintptr_t)on_broken, "(rule irql)");
    ck_assert_uint_eq(first.State, BufferIncomplete);
    ck_assert_uint_eq(second.State, BufferInserted);
}
END_TEST

#ifndef PVSIM_SANITIZE
static VOID NTAPI on_faulty(PVOID Buffer, ULONG Length)
{
    UNREFERENCED_PARAMETER(Buffer);
    UNREFERENCED_PARAMETER(Length);
    called('f');
    *(volatile char *)0x1234 = 1;
}

START_TEST(a_callback_that_faults_is_the_last)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure =
        guest_must_fail(&config, crash_with_broken, (void *)(uintptr_t)on_faulty, "bugcheck");

    ck_assert_str_eq(order, "f");
    assert_noted(failure, (void *)(uintptr_t)on_faulty, "(rule fault)");
}
END_TEST

static void crash_by_fault(void *argument)
{
    (void)argument;
    register_plain(&first, on_first);
    *(volatile char *)0x1234 = 1;
}

START_TEST(a_fault_runs_the_callbacks)
{
    struct machine_config config = guest_config(2);

    guest_must_fail(&config, crash_by_fault, NULL, "fault");
    ck_assert_str_eq(order, "1");
}
END_TEST
#endif

static void break_a_rule(void *argument)
{
    (void)argument;
    register_plain(&first, on_first);
    KeLeaveCriticalRegion();
}

START_TEST(a_violation_runs_the_callbacks)
{
    struct machine_config config = guest_config(2);

    guest_must_fail(&config, break_a_rule, NULL, "critical-region");
    ck_assert_str_eq(order, "1");
}
END_TEST

static void deregister(void *argument)
{
    (void)argument;
    register_plain(&first, on_first);
    register_reason(3, on_dump_io, KbCallbackDumpIo);
    ck_assert(KeDeregisterBugCheckCallback(&first));
    ck_assert(!KeDeregisterBugCheckCallback(&first));
    ck_assert(KeDeregisterBugCheckReasonCallback(&reasons[3]));
    ck_assert(!KeDeregisterBugCheckReasonCallback(&reasons[3]));
    KeBugCheck(MANUALLY_INITIATED_CRASH);
}

START_TEST(a_deregistered_callback_is_not_called)
{
    struct machine_config config = guest_config(1);

    guest_must_fail(&config, deregister, NULL, "bugcheck");
    ck_assert_str_eq(order, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("callbacks");
    TCase *cases = tcase_create("bugcheck");

    tcase_add_test(cases, callbacks_run_in_order_and_exchange_their_data);
    tcase_add_test(cases, a_callback_that_breaks_a_rule_is_the_last);
#ifndef PVSIM_SANITIZE
    tcase_add_test(cases, a_callback_that_faults_is_the_last);
    tcase_add_test(cases, a_fault_runs_the_callbacks);
#endif
    tcase_add_test(cases, a_violation_runs_the_callbacks);
    tcase_add_test(cases, a_deregistered_callback_is_not_called);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
