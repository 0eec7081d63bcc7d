#include "nt/debugger/views.h"

#include <string.h>

#include "machine/backtrace.h"

static const struct {
    const char *name;
    const char *what;
    void (*print)(FILE *out);
} views[] = {
    {"devstack", "the device tree, each device's stack from the top down", view_devstack},
    {"irp", "requests, where each of them is, and who made it", view_irp},
    {"pool", "pool in use by tag, the largest first", view_pool},
    {"locks", "locks that are held, by whom, and where they were acquired", view_locks},
    {"threads", "threads, what they wait for, and their stacks", view_threads},
    {"dpcs", "DPCs that are queued or run, and timers that are set", view_dpcs},
};

#define VIEWS (sizeof(views) / sizeof(views[0]))

static bool add_view(const char *name, size_t length, unsigned *set)
{
    for (size_t index = 0; index < VIEWS; index++)
        if (strlen(views[index].name) == length && memcmp(views[index].name, name, length) == 0) {
            *set |= 1u << index;
            return true;
        }
    return false;
}

bool debugger_views_parse(const char *list, unsigned *set)
{
    unsigned wanted = *set;

    for (;;) {
        size_t length = strcspn(list, ",");

        if (!add_view(list, length, &wanted))
            return false;
        if (list[length] == '\0')
            break;
        list += length + 1;
    }
    *set = wanted;
    return true;
}

const char *debugger_views_names(void)
{
    static char names[128];
    size_t length = 0;

    for (size_t index = 0; index < VIEWS; index++)
        length +=
            (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", index == 0 ? "" : ", ", views[index].name);
    return names;
}

void debugger_views_print(unsigned set, FILE *out)
{
    for (size_t index = 0; index < VIEWS; index++)
        if ((set >> index & 1) != 0) {
            fprintf(out, "---- %s: %s ----\n", views[index].name, views[index].what);
            views[index].print(out);
        }
}

void view_code(FILE *out, const char *before, const void *address, const char *after)
{
    char text[512];

    backtrace_describe(text, sizeof(text), address);
    fprintf(out, "%s%s%s", before, text, after);
}
