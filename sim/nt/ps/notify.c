/*
 * Notification of processes and images (ntddk.h): PsSetCreateProcessNotifyRoutine(Ex), PsSetLoadImageNotifyRoutine. Up
 * to 64 routines each, called in the order of their registration, at PASSIVE_LEVEL inside a critical region. There is
 * one process here, which is there from the start, so that routines for processes wait in vain.
 */
#include "nt/ps/ps.h"

#include <string.h>

#include "nt/cm/cm.h"
#include "nt/ke/ke.h"

#define ROUTINES_MAX 64u

struct notify_list {
    const void *routine[ROUTINES_MAX];
    unsigned count;
};

struct ps_state {
    struct notify_list process;
    struct notify_list process_ex;
    struct notify_list image;
};

void ps_init(void)
{
    machine->ps = image_alloc(sizeof(*machine->ps));
}

static unsigned find(const struct notify_list *list, const void *routine)
{
    unsigned index = 0;

    while (index < list->count && list->routine[index] != routine)
        index++;
    return index;
}

static bool add(struct notify_list *list, const void *routine)
{
    if (list->count == ROUTINES_MAX)
        return false;
    list->routine[list->count++] = routine;
    return true;
}

static bool take_out(struct notify_list *list, const void *routine)
{
    unsigned index = find(list, routine);

    if (index == list->count)
        return false;
    list->count--;
    memmove(&list->routine[index], &list->routine[index + 1], (list->count - index) * sizeof(list->routine[0]));
    return true;
}

/* For want of another documented status, a removal of what is not there fails as a second registration does. */
static NTSTATUS change_process_list(struct notify_list *list, const void *routine, bool remove)
{
    if (remove)
        return take_out(list, routine) ? STATUS_SUCCESS : STATUS_PROCEDURE_NOT_FOUND;
    if (find(list, routine) != list->count || !add(list, routine))
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI PsSetCreateProcessNotifyRoutine(PCREATE_PROCESS_NOTIFY_ROUTINE NotifyRoutine, BOOLEAN Remove)
{
    NT_CALL(PASSIVE_LEVEL);
    return change_process_list(&machine->ps->process, (const void *)(uintptr_t)NotifyRoutine, Remove);
}

/*
 * STATUS_ACCESS_DENIED is for an image without IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY; a module of ours has no such
 * header, and passes.
 */
NTSTATUS NTAPI PsSetCreateProcessNotifyRoutineEx(PCREATE_PROCESS_NOTIFY_ROUTINE_EX NotifyRoutine, BOOLEAN Remove)
{
    NT_CALL(PASSIVE_LEVEL);
    return change_process_list(&machine->ps->process_ex, (const void *)(uintptr_t)NotifyRoutine, Remove);
}

NTSTATUS NTAPI PsSetLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine)
{
    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    return add(&machine->ps->image, (const void *)(uintptr_t)NotifyRoutine) ? STATUS_SUCCESS
                                                                            : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS NTAPI PsRemoveLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine)
{
    NT_CALL(PASSIVE_LEVEL);
    return take_out(&machine->ps->image, (const void *)(uintptr_t)NotifyRoutine) ? STATUS_SUCCESS
                                                                                 : STATUS_PROCEDURE_NOT_FOUND;
}

void ps_image_loaded(const char *path, void *base, size_t size)
{
    const struct notify_list list = machine->ps->image; /* a routine may remove itself */
    IMAGE_INFO info = {.ImageAddressingMode = IMAGE_ADDRESSING_MODE_32BIT, .SystemModeImage = 1};
    UNICODE_STRING name;
    size_t length;

    if (list.count == 0)
        return;
    info.ImageBase = base;
    info.ImageSize = size;
    name.Buffer = cm_utf16_from_utf8(path, &length);
    name.Length = (USHORT)(length * sizeof(WCHAR));
    name.MaximumLength = (USHORT)(name.Length + sizeof(WCHAR));
    KeEnterCriticalRegion();
    for (unsigned index = 0; index < list.count; index++)
        if (find(&machine->ps->image, list.routine[index]) != machine->ps->image.count)
            DRIVER_CALLOUT("load-image notify routine", (PLOAD_IMAGE_NOTIFY_ROUTINE)(uintptr_t)list.routine[index],
                           &name, NULL, &info);
    KeLeaveCriticalRegion();
    image_free(name.Buffer);
}

const void *ps_notify_in_range(const void *base, size_t size, const char **what)
{
    const struct {
        const struct notify_list *list;
        const char *what;
    } lists[] = {
        {&machine->ps->process, "process notify routine"},
        {&machine->ps->process_ex, "process notify routine"},
        {&machine->ps->image, "load-image notify routine"},
    };

    for (size_t kind = 0; kind < ARRAYSIZE(lists); kind++)
        for (unsigned index = 0; index < lists[kind].list->count; index++) {
            const void *routine = lists[kind].list->routine[index];

            if ((uintptr_t)routine - (uintptr_t)base < size) {
                *what = lists[kind].what;
                return routine;
            }
        }
    return NULL;
}
