/*
 * Interrupt objects: IoConnectInterruptEx and its relatives, the dispatch of a vector to the service routines that are
 * connected to it, and the interrupt spin lock (wdm.h, ntddk.h).
 */
#include "nt/io/interrupt.h"

#include "nt/ke/ke.h"
#include "nt/pnp/pnp.h"

struct _KINTERRUPT {
    LIST_ENTRY entry; /* io_interrupts.all */
    PKSERVICE_ROUTINE service;
    PKMESSAGE_SERVICE_ROUTINE message_service;
    PVOID context;
    ULONG message;
    KSPIN_LOCK own_lock;
    PKSPIN_LOCK lock;
    KIRQL irql;
    KIRQL synchronize_irql;
    uint8_t vector;
    KINTERRUPT_MODE mode;
    bool share;
    struct io_processor_set processors;
    const void *caller;
};

/* The message table of a device is followed by nothing; its interrupt objects are in it. */
struct vector_link {
    struct vector_link *next;
    PKINTERRUPT interrupt;
};

struct io_interrupts {
    LIST_ENTRY all;             /* in order of connection */
    struct vector_link **chain; /* [processor * 256 + vector] */
    unsigned *running;          /* same index: dispatches of the vector in progress */
};

void io_interrupt_init(void)
{
    struct io_interrupts *interrupts = image_alloc(sizeof(*interrupts));

    InitializeListHead(&interrupts->all);
    interrupts->chain = image_alloc((size_t)machine->config.vcpus * 256 * sizeof(*interrupts->chain));
    interrupts->running = image_alloc((size_t)machine->config.vcpus * 256 * sizeof(*interrupts->running));
    machine->io->interrupts = interrupts;
    io_vectors_init();
}

/* ---- dispatch ---- */

static const void *service_of(const PKINTERRUPT interrupt)
{
    return interrupt->message_service != NULL ? (const void *)interrupt->message_service
                                              : (const void *)interrupt->service;
}

static void acquire_lock(PKINTERRUPT interrupt, const void *caller)
{
    lock_order(interrupt->lock, LOCK_INTERRUPT, caller);
    ke_spin_acquire(interrupt->lock);
    lock_add(&ke_vcpu()->locks, interrupt->lock, LOCK_INTERRUPT, NULL, caller);
}

static void release_lock(PKINTERRUPT interrupt, const char *routine)
{
    lock_remove(&ke_vcpu()->locks, interrupt->lock, LOCK_INTERRUPT, NULL, routine);
    ke_spin_release(interrupt->lock);
}

static bool call_service(PKINTERRUPT interrupt)
{
    KIRQL irql = ke_irql();
    BOOLEAN claimed;

    if (interrupt->synchronize_irql > irql)
        ke_set_irql(interrupt->synchronize_irql);
    acquire_lock(interrupt, service_of(interrupt));
    if (interrupt->message_service != NULL)
        claimed = DRIVER_CALLOUT("service routine", interrupt->message_service, interrupt, interrupt->context,
                                 interrupt->message);
    else
        claimed = DRIVER_CALLOUT("service routine", interrupt->service, interrupt, interrupt->context);
    if (ke_irql() != (interrupt->synchronize_irql > irql ? interrupt->synchronize_irql : irql)) {
        const void *routine = service_of(interrupt);
        char where[LOADER_DESCRIPTION_MAX];

        nt_violation_sub("isr-irql-changed", (uintptr_t)routine, interrupt->synchronize_irql, ke_irql(),
                         "the service routine %s (vector 0x%02x) was called at IRQL %u and returned at %u",
                         loader_name(routine, where, sizeof(where)), interrupt->vector, interrupt->synchronize_irql,
                         ke_irql());
    }
    release_lock(interrupt, "the return of a service routine");
    if (ke_irql() != irql)
        ke_set_irql(irql);
    return claimed;
}

bool hal_interrupt(unsigned vcpu, uint8_t vector)
{
    struct io_interrupts *interrupts = machine->io->interrupts;
    unsigned slot = vcpu * 256 + vector;
    struct vector_link *link = interrupts->chain[slot];
    bool level;
    bool again;

    if (link == NULL)
        return false;
    level = link->interrupt->mode == LevelSensitive;
    interrupts->running[slot]++;
    /*
     * A level-sensitive line stays asserted for whoever has not been served yet, so that the first claim ends the walk.
     * An edge that several devices share is lost once taken: ask until nobody claims it any more.
     */
    do {
        again = false;
        for (link = interrupts->chain[slot]; link != NULL; link = link->next) {
            bool claimed = call_service(link->interrupt);

            if (claimed && level)
                break;
            if (claimed && interrupts->chain[slot]->next != NULL)
                again = true;
        }
    } while (again && interrupts->chain[slot] != NULL);
    interrupts->running[slot]--;
    if (io_line_of_vector(vcpu, vector) >= 0)
        ke_line_end_of_interrupt(vector);
    return true;
}

_Noreturn void hal_interrupt_storm(unsigned vcpu, uint8_t vector, unsigned count)
{
    const struct vector_link *link = machine->io->interrupts->chain[vcpu * 256 + vector];
    const void *routine = NULL;
    uint64_t parameter[4] = {0, 0, 0, 1};
    char name[LOADER_DESCRIPTION_MAX];

    if (link != NULL) {
        PKINTERRUPT interrupt = link->interrupt;

        routine = interrupt->message_service != NULL ? (const void *)interrupt->message_service
                                                     : (const void *)interrupt->service;
        parameter[0] = (uintptr_t)routine;
        parameter[1] = (uintptr_t)interrupt->context;
        parameter[2] = (uintptr_t)interrupt;
        parameter[3] = link->next != NULL ? 2 : 1;
    }
    nt_violation_code(
        HARDWARE_INTERRUPT_STORM, parameter, "interrupt-storm",
        "vCPU %u took the vector 0x%02x %u times in a row and did nothing else; its service routine is %s", vcpu,
        vector, count, routine != NULL ? loader_name(routine, name, sizeof(name)) : "not connected");
}

/* ---- connection ---- */

static bool chain_admits(const PKINTERRUPT interrupt)
{
    struct io_interrupts *interrupts = machine->io->interrupts;

    for (unsigned i = 0; i < machine->config.vcpus; i++) {
        const struct vector_link *link;

        if (!io_processor_set_has(&interrupt->processors, i))
            continue;
        link = interrupts->chain[i * 256 + interrupt->vector];
        if (link != NULL && (!link->interrupt->share || !interrupt->share || link->interrupt->mode != interrupt->mode))
            return false;
    }
    return true;
}

/* -1: it is a message, or on processors that lines do not reach. */
static int line_of(const struct _KINTERRUPT *interrupt)
{
    return io_processor_set_has(&interrupt->processors, 0) ? io_line_of_vector(0, interrupt->vector) : -1;
}

static void chain_add(PKINTERRUPT interrupt)
{
    struct io_interrupts *interrupts = machine->io->interrupts;
    int line = line_of(interrupt);

    for (unsigned i = 0; i < machine->config.vcpus; i++) {
        struct vector_link **last = &interrupts->chain[i * 256 + interrupt->vector];

        if (!io_processor_set_has(&interrupt->processors, i))
            continue;
        while (*last != NULL)
            last = &(*last)->next;
        *last = image_alloc(sizeof(**last));
        (*last)->interrupt = interrupt;
    }
    InsertTailList(&interrupts->all, &interrupt->entry);
    if (line >= 0)
        vcpu_bind_line((unsigned)line, interrupt->vector);
}

static void chain_remove(PKINTERRUPT interrupt)
{
    struct io_interrupts *interrupts = machine->io->interrupts;
    int line = line_of(interrupt);
    struct vector_link *unlinked = NULL;
    bool last = true;

    for (unsigned i = 0; i < machine->config.vcpus; i++) {
        unsigned slot = i * 256 + interrupt->vector;
        struct vector_link **link = &interrupts->chain[slot];
        struct vector_link *own;

        if (!io_processor_set_has(&interrupt->processors, i))
            continue;
        while ((*link)->interrupt != interrupt)
            link = &(*link)->next;
        own = *link;
        *link = own->next;
        if (interrupts->chain[slot] != NULL)
            last = false;
        /* The vector may be being served on that processor: its walk must be over before the link goes. */
        while (interrupts->running[slot] != 0)
            sched_point(POINT_PAUSE);
        own->next = unlinked;
        unlinked = own;
    }
    RemoveEntryList(&interrupt->entry);
    if (line >= 0 && last)
        vcpu_bind_line((unsigned)line, 0);
    while (unlinked != NULL) {
        struct vector_link *next = unlinked->next;

        image_free(unlinked);
        unlinked = next;
    }
}

static NTSTATUS connect(PKINTERRUPT wanted, PKSPIN_LOCK lock, KIRQL synchronize_irql, PKINTERRUPT *result)
{
    PKINTERRUPT interrupt;

    if (wanted->service == NULL && wanted->message_service == NULL)
        return STATUS_INVALID_PARAMETER;
    if (wanted->irql <= DISPATCH_LEVEL || wanted->irql != wanted->vector >> 4)
        return STATUS_INVALID_PARAMETER;
    if (synchronize_irql == 0)
        synchronize_irql = wanted->irql;
    if (synchronize_irql < wanted->irql || synchronize_irql > HIGH_LEVEL)
        return STATUS_INVALID_PARAMETER;
    if (!chain_admits(wanted))
        return STATUS_INVALID_PARAMETER; /* connected already, and not to be shared */
    interrupt = image_alloc(sizeof(*interrupt));
    *interrupt = *wanted;
    interrupt->own_lock = 0;
    interrupt->lock = lock != NULL ? lock : &interrupt->own_lock;
    interrupt->synchronize_irql = synchronize_irql;
    chain_add(interrupt);
    *result = interrupt;
    return STATUS_SUCCESS;
}

static void disconnect(PKINTERRUPT interrupt)
{
    const PLIST_ENTRY all = &machine->io->interrupts->all;
    PLIST_ENTRY entry;

    for (entry = all->Flink; entry != all && entry != &interrupt->entry; entry = entry->Flink)
        ;
    if (entry == all)
        nt_violation("interrupt-object", "%p is disconnected, which is no connected interrupt object", interrupt);
    chain_remove(interrupt);
    image_free(interrupt);
}

/* Processors of an affinity mask in a group; false if it names none that exists. */
static bool processor_set(KAFFINITY affinity, USHORT group, struct io_processor_set *set)
{
    RtlZeroMemory(set, sizeof(*set));
    if (group >= MACHINE_MAX_VCPUS / 64 || affinity == 0)
        return false;
    set->mask[group] = affinity;
    for (unsigned i = 0; i < ke_processors(); i++) {
        if (io_processor_set_has(set, i))
            return true;
    }
    return false;
}

/* ---- from the translated resources of a device ---- */

static void from_resource(PKINTERRUPT wanted, const CM_PARTIAL_RESOURCE_DESCRIPTOR *translated)
{
    bool message = (translated->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0;

    if (message) {
        wanted->vector = (uint8_t)translated->u.MessageInterrupt.Translated.Vector;
        wanted->irql = (KIRQL)translated->u.MessageInterrupt.Translated.Level;
        processor_set(translated->u.MessageInterrupt.Translated.Affinity,
                      translated->u.MessageInterrupt.Translated.Group, &wanted->processors);
    } else {
        wanted->vector = (uint8_t)translated->u.Interrupt.Vector;
        wanted->irql = (KIRQL)translated->u.Interrupt.Level;
        processor_set(translated->u.Interrupt.Affinity, translated->u.Interrupt.Group, &wanted->processors);
    }
    wanted->mode = (translated->Flags & CM_RESOURCE_INTERRUPT_LATCHED) ? Latched : LevelSensitive;
    wanted->share = translated->ShareDisposition == CmResourceShareShared;
}

/* The n-th interrupt of the device that is a message, or a line; NULL when there are fewer. */
static const CM_PARTIAL_RESOURCE_DESCRIPTOR *find_interrupt(PDEVICE_OBJECT pdo, bool message, unsigned index)
{
    const CM_RESOURCE_LIST *list = pnp_translated_resources(pdo);
    const CM_PARTIAL_RESOURCE_LIST *partial;

    if (list == NULL || list->Count == 0)
        return NULL;
    partial = &list->List->PartialResourceList;
    for (ULONG i = 0; i < partial->Count; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor = &partial->PartialDescriptors[i];

        if (descriptor->Type != CmResourceTypeInterrupt ||
            ((descriptor->Flags & CM_RESOURCE_INTERRUPT_MESSAGE) != 0) != message)
            continue;
        if (index-- == 0)
            return descriptor;
    }
    return NULL;
}

static NTSTATUS connect_line(PIO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS line, const void *caller)
{
    const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor = find_interrupt(line->PhysicalDeviceObject, false, 0);
    struct _KINTERRUPT wanted = {.service = line->ServiceRoutine, .context = line->ServiceContext, .caller = caller};

    if (descriptor == NULL)
        return STATUS_NOT_FOUND;
    from_resource(&wanted, descriptor);
    return connect(&wanted, line->SpinLock, line->SynchronizeIrql, line->InterruptObject);
}

static NTSTATUS connect_messages(PIO_CONNECT_INTERRUPT_PARAMETERS parameters, const void *caller)
{
    PIO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS message = &parameters->MessageBased;
    PIO_INTERRUPT_MESSAGE_INFO table;
    unsigned count = 0;
    KIRQL unified = 0;
    NTSTATUS status = STATUS_SUCCESS;

    while (find_interrupt(message->PhysicalDeviceObject, true, count) != NULL)
        count++;
    if (count == 0) {
        IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS line = {
            .PhysicalDeviceObject = message->PhysicalDeviceObject,
            .InterruptObject = message->ConnectionContext.InterruptObject,
            .ServiceRoutine = message->FallBackServiceRoutine,
            .ServiceContext = message->ServiceContext,
            .SpinLock = message->SpinLock,
            .SynchronizeIrql = message->SynchronizeIrql,
        };

        if (message->FallBackServiceRoutine == NULL)
            return STATUS_NOT_FOUND;
        status = connect_line(&line, caller);
        if (NT_SUCCESS(status))
            parameters->Version = CONNECT_LINE_BASED;
        return status;
    }

    table = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*table) + (count - 1) * sizeof(table->MessageInfo[0]),
                                  IO_TAG_GENERAL);
    if (table == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(table, sizeof(*table) + (count - 1) * sizeof(table->MessageInfo[0]));
    for (unsigned i = 0; i < count; i++) {
        struct _KINTERRUPT wanted = {.vector = 0};

        from_resource(&wanted, find_interrupt(message->PhysicalDeviceObject, true, i));
        if (wanted.irql > unified)
            unified = wanted.irql;
    }
    for (unsigned i = 0; i < count && NT_SUCCESS(status); i++) {
        PIO_INTERRUPT_MESSAGE_INFO_ENTRY info = &table->MessageInfo[i];
        struct _KINTERRUPT wanted = {.message_service = message->MessageServiceRoutine,
                                     .context = message->ServiceContext,
                                     .message = i,
                                     .caller = caller};
        KIRQL synchronize = message->SynchronizeIrql;

        from_resource(&wanted, find_interrupt(message->PhysicalDeviceObject, true, i));
        /* One lock for several messages must be taken at the highest of their IRQLs. */
        if (synchronize == 0 && message->SpinLock != NULL)
            synchronize = unified;
        status = connect(&wanted, message->SpinLock, synchronize, &info->InterruptObject);
        if (!NT_SUCCESS(status))
            break;
        info->TargetProcessorSet = wanted.processors.mask[0];
        info->MessageAddress.QuadPart = (LONGLONG)0xFEE00000;
        info->MessageData = wanted.vector;
        info->Vector = wanted.vector;
        info->Irql = wanted.irql;
        info->Mode = wanted.mode;
        info->Polarity = InterruptActiveHigh;
        table->MessageCount = i + 1;
    }
    if (!NT_SUCCESS(status)) {
        for (ULONG i = 0; i < table->MessageCount; i++)
            disconnect(table->MessageInfo[i].InterruptObject);
        ExFreePoolWithTag(table, IO_TAG_GENERAL);
        return status;
    }
    table->UnifiedIrql = unified;
    *message->ConnectionContext.InterruptMessageTable = table;
    return STATUS_SUCCESS;
}

static NTSTATUS connect_specified(PIO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS full, USHORT group,
                                  const void *caller)
{
    struct _KINTERRUPT wanted = {.service = full->ServiceRoutine,
                                 .context = full->ServiceContext,
                                 .irql = full->Irql,
                                 .vector = (uint8_t)full->Vector,
                                 .mode = full->InterruptMode,
                                 .share = full->ShareVector,
                                 .caller = caller};

    if (full->FloatingSave || full->Vector > 0xFF)
        return STATUS_INVALID_PARAMETER;
    if (!processor_set(full->ProcessorEnableMask, group, &wanted.processors))
        return STATUS_INVALID_PARAMETER;
    return connect(&wanted, full->SpinLock, full->SynchronizeIrql, full->InterruptObject);
}

NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters)
{
    const void *caller = __builtin_return_address(0);

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(INTERRUPT))
        return STATUS_INSUFFICIENT_RESOURCES;
    switch (Parameters->Version) {
    case CONNECT_FULLY_SPECIFIED:
        if (Parameters->FullySpecified.ProcessorEnableMask == 0)
            return STATUS_INVALID_PARAMETER_10;
        return connect_specified(&Parameters->FullySpecified, 0, caller);
    case CONNECT_FULLY_SPECIFIED_GROUP:
        if (Parameters->FullySpecified.ProcessorEnableMask == 0)
            return STATUS_INVALID_PARAMETER_10;
        return connect_specified(&Parameters->FullySpecified, Parameters->FullySpecified.Group, caller);
    case CONNECT_LINE_BASED:
        if (Parameters->LineBased.PhysicalDeviceObject == NULL || Parameters->LineBased.FloatingSave)
            return STATUS_INVALID_PARAMETER;
        return connect_line(&Parameters->LineBased, caller);
    case CONNECT_MESSAGE_BASED:
        if (Parameters->MessageBased.PhysicalDeviceObject == NULL || Parameters->MessageBased.FloatingSave)
            return STATUS_INVALID_PARAMETER;
        return connect_messages(Parameters, caller);
    case CONNECT_MESSAGE_BASED_PASSIVE:
        NT_UNIMPLEMENTED("CONNECT_MESSAGE_BASED_PASSIVE (connect with CONNECT_MESSAGE_BASED and queue a work item)");
    default:
        return STATUS_INVALID_PARAMETER_1;
    }
}

VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters)
{
    PIO_INTERRUPT_MESSAGE_INFO table;

    NT_CALL(PASSIVE_LEVEL);
    switch (Parameters->Version) {
    case CONNECT_FULLY_SPECIFIED:
    case CONNECT_FULLY_SPECIFIED_GROUP:
    case CONNECT_LINE_BASED:
        disconnect(Parameters->ConnectionContext.InterruptObject);
        return;
    case CONNECT_MESSAGE_BASED:
        table = Parameters->ConnectionContext.InterruptMessageTable;
        for (ULONG i = 0; i < table->MessageCount; i++)
            disconnect(table->MessageInfo[i].InterruptObject);
        ExFreePoolWithTag(table, IO_TAG_GENERAL);
        return;
    default:
        nt_violation_code(PNP_DETECTED_FATAL_ERROR, (uint64_t[4]){9, Parameters->Version}, "interrupt-object",
                          "IoDisconnectInterruptEx with version %u: the one that IoConnectInterruptEx left "
                          "in its parameters is wanted",
                          Parameters->Version);
    }
}

NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine, PVOID ServiceContext,
                                  PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql, KIRQL SynchronizeIrql,
                                  KINTERRUPT_MODE InterruptMode, BOOLEAN ShareVector, KAFFINITY ProcessorEnableMask,
                                  BOOLEAN FloatingSave)
{
    IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS full = {.InterruptObject = InterruptObject,
                                                            .ServiceRoutine = ServiceRoutine,
                                                            .ServiceContext = ServiceContext,
                                                            .SpinLock = SpinLock,
                                                            .SynchronizeIrql = SynchronizeIrql,
                                                            .FloatingSave = FloatingSave,
                                                            .ShareVector = ShareVector,
                                                            .Vector = Vector,
                                                            .Irql = Irql,
                                                            .InterruptMode = InterruptMode,
                                                            .ProcessorEnableMask = ProcessorEnableMask};

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(INTERRUPT))
        return STATUS_INSUFFICIENT_RESOURCES;
    return connect_specified(&full, 0, __builtin_return_address(0));
}

VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject)
{
    NT_CALL(PASSIVE_LEVEL);
    disconnect(InterruptObject);
}

/* ---- the interrupt's lock ---- */

KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt)
{
    KIRQL irql;

    NT_CALL_AT(Interrupt->synchronize_irql, POINT_LOCK);
    irql = ke_irql();
    ke_set_irql(Interrupt->synchronize_irql);
    acquire_lock(Interrupt, __builtin_return_address(0));
    return irql;
}

VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql)
{
    NT_CALL_AT(Interrupt->synchronize_irql, POINT_LOCK);
    if (ke_irql() != Interrupt->synchronize_irql)
        nt_violation("interrupt-lock", "KeReleaseInterruptSpinLock at IRQL %u; the lock was taken at %u", ke_irql(),
                     Interrupt->synchronize_irql);
    release_lock(Interrupt, __func__);
    ke_set_irql(OldIrql);
}

BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                     PVOID SynchronizeContext)
{
    BOOLEAN result;
    KIRQL irql;

    NT_CALL_AT(Interrupt->synchronize_irql, POINT_LOCK);
    irql = ke_irql();
    ke_set_irql(Interrupt->synchronize_irql);
    acquire_lock(Interrupt, __builtin_return_address(0));
    result = DRIVER_CALLOUT("routine of KeSynchronizeExecution", SynchronizeRoutine, SynchronizeContext);
    if (ke_irql() != Interrupt->synchronize_irql)
        nt_violation("interrupt-lock", "the routine of KeSynchronizeExecution was called at IRQL %u and returned at %u",
                     Interrupt->synchronize_irql, ke_irql());
    release_lock(Interrupt, __func__);
    ke_set_irql(irql);
    return result;
}

/* ---- what is there ---- */

const void *io_interrupt_in_range(const void *start, size_t bytes)
{
    const PLIST_ENTRY all = &machine->io->interrupts->all;

    for (PLIST_ENTRY entry = all->Flink; entry != all; entry = entry->Flink) {
        const PKINTERRUPT interrupt = CONTAINING_RECORD(entry, struct _KINTERRUPT, entry);
        const void *routine = service_of(interrupt);

        if ((uintptr_t)routine >= (uintptr_t)start && (uintptr_t)routine - (uintptr_t)start < bytes)
            return routine;
    }
    return NULL;
}

void interrupt_census(struct census *census)
{
    const PLIST_ENTRY all = &machine->io->interrupts->all;

    for (PLIST_ENTRY entry = all->Flink; entry != all; entry = entry->Flink) {
        const PKINTERRUPT interrupt = CONTAINING_RECORD(entry, struct _KINTERRUPT, entry);

        census_item(census, "interrupt", 1, interrupt->caller, "vector 0x%02x", interrupt->vector);
    }
}
