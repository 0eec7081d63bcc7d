/*
 * The I/O manager's timers: IoInitializeTimer, IoStartTimer, IoStopTimer (wdm.h). One tick a second, at DISPATCH_LEVEL,
 * calls the routine of every device whose timer is started.
 */
#include "nt/io/io_internal.h"

#define SECOND_MS 1000

struct _IO_TIMER {
    LIST_ENTRY entry; /* io_state.timers */
    PDEVICE_OBJECT device;
    PIO_TIMER_ROUTINE routine;
    PVOID context;
    bool started;
    uint64_t called; /* the tick that called it last */
};

/* One that this tick has yet to call; the routines run outside the simulator and may change the list. */
static struct _IO_TIMER *next_due(uint64_t now)
{
    for (PLIST_ENTRY entry = machine->io->timers.Flink; entry != &machine->io->timers; entry = entry->Flink) {
        struct _IO_TIMER *timer = CONTAINING_RECORD(entry, struct _IO_TIMER, entry);

        if (timer->started && timer->called != now)
            return timer;
    }
    return NULL;
}

static VOID NTAPI tick(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    uint64_t now = ++machine->io->timer_ticks;
    struct _IO_TIMER *timer;

    (void)dpc;
    (void)context;
    (void)argument1;
    (void)argument2;
    while ((timer = next_due(now)) != NULL) {
        timer->called = now;
        DRIVER_CALLOUT("I/O timer routine", timer->routine, timer->device, timer->context);
    }
}

void io_timer_init(void)
{
    struct io_state *io = machine->io;

    InitializeListHead(&io->timers);
    KeInitializeTimer(&io->tick);
    KeInitializeDpc(&io->tick_dpc, tick, NULL);
}

NTSTATUS NTAPI IoInitializeTimer(PDEVICE_OBJECT DeviceObject, PIO_TIMER_ROUTINE TimerRoutine, PVOID Context)
{
    struct _IO_TIMER *timer;

    NT_CALL(PASSIVE_LEVEL);
    timer = DeviceObject->Timer;
    if (timer == NULL) {
        timer = image_alloc(sizeof(*timer));
        timer->device = DeviceObject;
        InsertTailList(&machine->io->timers, &timer->entry);
        DeviceObject->Timer = timer;
    }
    timer->routine = TimerRoutine;
    timer->context = Context;
    return STATUS_SUCCESS;
}

static struct _IO_TIMER *timer_of(PDEVICE_OBJECT device, const char *routine)
{
    if (device->Timer == NULL)
        nt_violation("io-timer", "%s of a device object of driver %s without IoInitializeTimer", routine,
                     io_driver_name(device->DriverObject));
    return device->Timer;
}

VOID NTAPI IoStartTimer(PDEVICE_OBJECT DeviceObject)
{
    LARGE_INTEGER due = {.QuadPart = -SECOND_MS * 10000LL};
    struct _IO_TIMER *timer;

    NT_CALL(DISPATCH_LEVEL);
    timer = timer_of(DeviceObject, __func__);
    if (timer->started)
        return;
    timer->started = true;
    if (machine->io->timers_started++ == 0)
        (void)KeSetTimerEx(&machine->io->tick, due, SECOND_MS, &machine->io->tick_dpc);
}

static void stop(struct _IO_TIMER *timer)
{
    if (!timer->started)
        return;
    timer->started = false;
    if (--machine->io->timers_started == 0)
        (void)KeCancelTimer(&machine->io->tick);
}

VOID NTAPI IoStopTimer(PDEVICE_OBJECT DeviceObject)
{
    NT_CALL(DISPATCH_LEVEL);
    stop(timer_of(DeviceObject, __func__));
}

void io_timer_delete(PDEVICE_OBJECT device)
{
    if (device->Timer == NULL)
        return;
    stop(device->Timer);
    RemoveEntryList(&device->Timer->entry);
    image_free(device->Timer);
    device->Timer = NULL;
}
