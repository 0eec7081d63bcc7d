/* Debug output: formatted, filtered by component and level, shown to the registered callbacks and written to the log.
 */
#include <stdio.h>
#include <string.h>

#include "nt/ke/ke.h"
#include "nt/rtl/rtl.h"

#define TEXT_MAX 512 /* the documented limit of one call */

struct rtl_debug_callback {
    struct rtl_debug_callback *next;
    PDEBUG_PRINT_CALLBACK function;
};

static ULONG *mask_of(ULONG component)
{
    struct rtl_state *rtl = machine->rtl;

    return &rtl->debug_mask[component < ARRAYSIZE(rtl->debug_mask) ? component : DPFLTR_DEFAULT_ID];
}

/* A level below 32 is a bit's number, anything else is a mask. */
static ULONG bits_of(ULONG level)
{
    return level < 32 ? 1u << level : level;
}

void rtl_log(int level, const char *text, size_t length)
{
    struct rtl_state *rtl = machine->rtl;

    for (size_t index = 0; index < length; index++) {
        bool end = text[index] == '\n';

        if (!end && text[index] != '\r') {
            WCHAR wide = rtl_wide_from_ansi(text[index]);

            rtl_utf8(rtl->partial + rtl->partial_length, sizeof(rtl->partial) - rtl->partial_length, &wide, 1);
            rtl->partial_length += strlen(rtl->partial + rtl->partial_length);
        }
        if (!end && rtl->partial_length < sizeof(rtl->partial) - 4)
            continue;
        if (rtl->partial_length > 0)
            log_line((enum log_level)level, "guest", "%.*s", (int)rtl->partial_length, rtl->partial);
        rtl->partial_length = 0;
    }
}

static ULONG print(const char *prefix, ULONG component, ULONG level, const char *format, va_list arguments)
{
    static const enum log_level levels[] = {LOG_ERROR, LOG_WARNING, LOG_TRACE, LOG_INFO};
    KERNEL_SCOPE();
    char text[TEXT_MAX + 1];
    size_t length = strlen(prefix);

    if (length > TEXT_MAX)
        length = TEXT_MAX;
    memcpy(text, prefix, length);
    length += rtl_format(text + length, TEXT_MAX - length, format, arguments);
    if (length > TEXT_MAX)
        length = TEXT_MAX;
    text[length] = '\0';
    machine->rtl->debug_printing++;
    for (struct rtl_debug_callback *callback = machine->rtl->debug_callbacks; callback != NULL;
         callback = callback->next) {
        STRING string = {.Length = (USHORT)length, .MaximumLength = (USHORT)(length + 1), .Buffer = text};

        KERNEL_CALLOUT(callback->function, &string, component, level);
    }
    machine->rtl->debug_printing--;
    if ((*mask_of(component) & bits_of(level)) != 0)
        rtl_log(level < ARRAYSIZE(levels) ? levels[level] : LOG_DEBUG, text, length);
    return STATUS_SUCCESS;
}

ULONG NTAPI vDbgPrintExWithPrefix(PCCH Prefix, ULONG ComponentId, ULONG Level, PCCH Format, va_list Arguments)
{
    return print(Prefix, ComponentId, Level, Format, Arguments);
}

ULONG NTAPI vDbgPrintEx(ULONG ComponentId, ULONG Level, PCCH Format, va_list Arguments)
{
    return print("", ComponentId, Level, Format, Arguments);
}

ULONG NTAPI DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)
{
    va_list arguments;
    ULONG status;

    va_start(arguments, Format);
    status = print("", ComponentId, Level, Format, arguments);
    va_end(arguments);
    return status;
}

ULONG NTAPI DbgPrint(PCSTR Format, ...)
{
    va_list arguments;
    ULONG status;

    va_start(arguments, Format);
    status = print("", DPFLTR_DEFAULT_ID, DPFLTR_INFO_LEVEL, Format, arguments);
    va_end(arguments);
    return status;
}

NTSTATUS NTAPI DbgQueryDebugFilterState(ULONG ComponentId, ULONG Level)
{
    KERNEL_SCOPE();

    return (*mask_of(ComponentId) & bits_of(Level)) != 0;
}

NTSTATUS NTAPI DbgSetDebugFilterState(ULONG ComponentId, ULONG Level, BOOLEAN State)
{
    KERNEL_SCOPE();

    if (State)
        *mask_of(ComponentId) |= bits_of(Level);
    else
        *mask_of(ComponentId) &= ~bits_of(Level);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI DbgSetDebugPrintCallback(PDEBUG_PRINT_CALLBACK DebugPrintCallback, BOOLEAN Enable)
{
    struct rtl_debug_callback **link = &machine->rtl->debug_callbacks;
    KERNEL_SCOPE();

    while (*link != NULL && (*link)->function != DebugPrintCallback)
        link = &(*link)->next;
    if (Enable) {
        if (*link != NULL)
            return STATUS_OBJECT_NAME_COLLISION;
        *link = image_alloc(sizeof(**link));
        (*link)->function = DebugPrintCallback;
        return STATUS_SUCCESS;
    }
    if (*link == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;

    struct rtl_debug_callback *callback = *link;

    *link = callback->next;
    /* Its code may go as soon as this is back. */
    while (machine->rtl->debug_printing != 0) {
        LARGE_INTEGER moment = {.QuadPart = -10};

        (void)KeDelayExecutionThread(KernelMode, FALSE, &moment);
    }
    image_free(callback);
    return STATUS_SUCCESS;
}

/* The exception that no debugger handles. */
static void break_in(const char *routine, const void *caller)
{
    const uint64_t parameter[4] = {(uint32_t)STATUS_BREAKPOINT, (uintptr_t)caller};

    nt_violation_code(KMODE_EXCEPTION_NOT_HANDLED, parameter, "breakpoint",
                      "%s called from %p with no debugger attached", routine, caller);
}

VOID NTAPI DbgBreakPoint(VOID)
{
    break_in("DbgBreakPoint", __builtin_return_address(0));
}

VOID NTAPI DbgBreakPointWithStatus(ULONG Status)
{
    char routine[48];

    snprintf(routine, sizeof(routine), "DbgBreakPointWithStatus(0x%08X)", Status);
    break_in(routine, __builtin_return_address(0));
}

BOOLEAN NTAPI KdRefreshDebuggerNotPresent(VOID)
{
    return TRUE;
}
