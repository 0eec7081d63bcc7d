/*
 * Processors that come while the system runs, and who wants to hear of them: the page of
 * KeRegisterProcessorChangeCallback and that of its callback, PROCESSOR_CALLBACK_FUNCTION. Before one is added each
 * callback is asked; if one refuses, all hear that it failed. Windows takes no processor away.
 */
#include "nt/ke/ke.h"
#include "nt/nt_init.h"
#include "xen/xen.h"

struct processor_callback {
    LIST_ENTRY entry;
    PPROCESSOR_CALLBACK_FUNCTION function;
    PVOID context;
};

/* ---- callbacks ---- */

/* What the callback makes of it; it can refuse a start alone. */
static NTSTATUS notify(const struct processor_callback *callback, KE_PROCESSOR_CHANGE_NOTIFY_STATE state, ULONG index,
                       NTSTATUS why)
{
    KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change = {
        .State = state,
        .NtNumber = index,
        .Status = why,
        .ProcNumber = {.Group = (USHORT)(index / 64), .Number = (UCHAR)(index % 64)},
    };
    NTSTATUS status = STATUS_SUCCESS;

    DRIVER_CALLOUT("processor callback", callback->function, callback->context, &change, &status);
    return state == KeProcessorAddStartNotify ? status : STATUS_SUCCESS;
}

static NTSTATUS notify_all(KE_PROCESSOR_CHANGE_NOTIFY_STATE state, ULONG index, NTSTATUS why)
{
    const PLIST_ENTRY all = &machine->ke->processor_callbacks;
    NTSTATUS result = STATUS_SUCCESS;

    for (PLIST_ENTRY entry = all->Flink; entry != all && NT_SUCCESS(result);) {
        const struct processor_callback *callback = CONTAINING_RECORD(entry, struct processor_callback, entry);

        entry = entry->Flink; /* it may deregister itself */
        result = notify(callback, state, index, why);
    }
    return result;
}

PVOID NTAPI KeRegisterProcessorChangeCallback(PPROCESSOR_CALLBACK_FUNCTION CallbackFunction, PVOID CallbackContext,
                                              ULONG Flags)
{
    static const KE_PROCESSOR_CHANGE_NOTIFY_STATE states[] = {KeProcessorAddStartNotify, KeProcessorAddCompleteNotify};
    struct processor_callback *callback;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return NULL;
    if ((Flags & ~(ULONG)KE_PROCESSOR_CHANGE_ADD_EXISTING) != 0)
        return NULL;
    while (machine->ke->adding &&
           machine->ke->adder != ke_thread()) /* it hears of the whole of a processor or nothing */
        sched_point(POINT_PAUSE);
    callback = image_alloc(sizeof(*callback));
    callback->function = CallbackFunction;
    callback->context = CallbackContext;
    InsertTailList(&machine->ke->processor_callbacks, &callback->entry);
    if ((Flags & KE_PROCESSOR_CHANGE_ADD_EXISTING) == 0)
        return callback;
    for (unsigned step = 0; step < ARRAYSIZE(states); step++) {
        for (ULONG index = 0; index < ke_processors(); index++) {
            if (NT_SUCCESS(notify(callback, states[step], index, STATUS_SUCCESS)))
                continue;
            RemoveEntryList(&callback->entry);
            image_free(callback);
            return NULL;
        }
    }
    return callback;
}

VOID NTAPI KeDeregisterProcessorChangeCallback(PVOID CallbackHandle)
{
    struct processor_callback *callback = CallbackHandle;

    NT_CALL(PASSIVE_LEVEL);
    while (machine->ke->adding && machine->ke->adder != ke_thread()) /* it may be running */
        sched_point(POINT_PAUSE);
    RemoveEntryList(&callback->entry);
    image_free(callback);
}

/* ---- addition ---- */

/* Threads that may run on every processor may run on this one. */
static void widen_affinities(unsigned index)
{
    const PLIST_ENTRY threads = &machine->ke->threads;

    for (PLIST_ENTRY entry = threads->Flink; entry != threads; entry = entry->Flink) {
        struct _KTHREAD *thread = CONTAINING_RECORD(entry, struct _KTHREAD, all_entry);
        bool everywhere = true;

        for (unsigned other = 0; other < index; other++)
            everywhere = everywhere && ke_affinity_allows(thread, other);
        if (everywhere)
            thread->affinity[index / 64] |= UINT64_C(1) << (index % 64);
    }
}

static bool add(unsigned index)
{
    NTSTATUS status = notify_all(KeProcessorAddStartNotify, index, STATUS_SUCCESS);

    if (!NT_SUCCESS(status)) {
        log_line(LOG_WARNING, "ke", "processor %u is not added: a driver refuses it (0x%08x)", index, (unsigned)status);
        (void)notify_all(KeProcessorAddFailureNotify, index, status);
        return false;
    }
    xen_vcpu_start(index);
    machine->ke->processors = index + 1;
    widen_affinities(index);
    ke_threaded_dpcs_add(machine->vcpu[index]);
    log_line(LOG_INFO, "ke", "processor %u is added", index);
    (void)notify_all(KeProcessorAddCompleteNotify, index, STATUS_SUCCESS);
    return true;
}

static void add_all(void *unused)
{
    struct ke_state *ke = machine->ke;

    (void)unused;
    ke->adder = ke_thread();
    while (ke->processors < ke->announced)
        if (!add(ke->processors))
            ke->announced = ke->processors; /* nor those behind it */
    ke->adder = NULL;
    ke->adding = false;
}

void ke_processors_announce(unsigned count)
{
    struct ke_state *ke = machine->ke;

    if (count > machine->config.vcpus)
        fail("internal", "%u processors are announced, and the machine has %u", count, machine->config.vcpus);
    if (count > ke->announced)
        ke->announced = count;
    if (ke->adding || ke->processors >= ke->announced)
        return;
    ke->adding = true;
    nt_thread_start("processor addition", add_all, NULL);
}

bool ke_processors_settled(void)
{
    return !machine->ke->adding;
}
