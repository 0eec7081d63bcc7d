/* A probe in words: which routine was called, or which memory accessed, from which line of a driver, and by whom. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "machine/backtrace.h"
#include "machine/schedule.h"

static bool in_driver(const void *address)
{
    Dl_info info;
    Dl_info own;
    const char *dot;

    if (dladdr(address, &info) == 0 || dladdr((const void *)(uintptr_t)probe_describe, &own) == 0 ||
        info.dli_fbase == own.dli_fbase)
        return false;
    dot = strrchr(info.dli_fname, '.');
    return dot != NULL && strcmp(dot, ".so") == 0 && strstr(info.dli_fname, "/lib/x86_64-linux-gnu/") == NULL;
}

/* "KeSetEvent" of "pvsim!KeSetEvent+0x12 (event.c:30)". */
static void routine_name(char *buffer, size_t size, const void *address)
{
    char text[256];
    const char *name;

    backtrace_describe(text, sizeof(text), address);
    name = strchr(text, '!') != NULL ? strchr(text, '!') + 1 : text;
    snprintf(buffer, size, "%.*s", (int)strcspn(name, "+"), name);
}

void probe_describe(struct probe *probe)
{
    char routine[128] = "";
    char caller[256] = "";
    int driver = 0;

    while (driver < probe->frame_count && !in_driver(probe->frames[driver]))
        driver++;
    if (driver < probe->frame_count) {
        /* A return address lies behind its call. */
        backtrace_describe(caller, sizeof(caller), (const char *)probe->frames[driver] - 1);
        if (driver > 0)
            routine_name(routine, sizeof(routine), (const char *)probe->frames[driver - 1] - 1);
    } else if (probe->frame_count > 3) {
        backtrace_describe(caller, sizeof(caller), (const char *)probe->frames[3] - 1);
    }
    if (probe->kind == POINT_MEMORY)
        snprintf(probe->text, sizeof(probe->text), "access to %p at %s; %s", probe->address, caller, probe->context);
    else if (routine[0] != '\0')
        snprintf(probe->text, sizeof(probe->text), "%s called at %s; %s", routine, caller, probe->context);
    else
        snprintf(probe->text, sizeof(probe->text), "%s; %s", caller, probe->context);
}
