#include "machine/backtrace.h"

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/runner.h"

/* A Dwfl session over this process. Failures are rare: opened and closed for each report. */
static Dwfl *symbols_open(void)
{
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_linux_proc_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
    };
    Dwfl *dwfl = dwfl_begin(&callbacks);

    if (dwfl == NULL)
        return NULL;
    if (dwfl_linux_proc_report(dwfl, getpid()) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0) {
        dwfl_end(dwfl);
        return NULL;
    }
    return dwfl;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void describe(Dwfl *dwfl, char *buffer, size_t size, uintptr_t address)
{
    Dwfl_Module *module = dwfl != NULL ? dwfl_addrmodule(dwfl, address) : NULL;
    const char *file = NULL;
    const char *symbol = NULL;
    GElf_Off offset = 0;
    GElf_Sym entry;
    int length;

    if (module == NULL) {
        snprintf(buffer, size, "%#lx", (unsigned long)address);
        return;
    }
    file = base_name(dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
    symbol = dwfl_module_addrinfo(module, address, &offset, &entry, NULL, NULL, NULL);
    if (symbol != NULL)
        length = snprintf(buffer, size, "%s!%s+%#lx", file, symbol, (unsigned long)offset);
    else
        length = snprintf(buffer, size, "%s!?", file);

    Dwfl_Line *line = dwfl_module_getsrc(module, address);
    int number = 0;
    const char *source = line != NULL ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;

    if (source != NULL && length > 0 && (size_t)length < size)
        snprintf(buffer + length, size - (size_t)length, " (%s:%d)", base_name(source), number);
}

char *backtrace_text(void *const *frames, int count)
{
    Dwfl *dwfl = symbols_open();
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        abort();
    for (int index = 0; index < count; index++) {
        char line[512];

        /* A return address lies behind its call. */
        describe(dwfl, line, sizeof(line), (uintptr_t)frames[index] - (index > 0 ? 1 : 0));
        fprintf(out, "  #%d %s\n", index, line);
    }
    if (dwfl != NULL)
        dwfl_end(dwfl);
    if (fclose(out) != 0)
        abort();
    return text;
}

int backtrace_collect(void **frames, int limit)
{
    int count = backtrace(frames, limit);

    /* Not this function itself. */
    if (count <= 1)
        return 0;
    memmove(frames, frames + 1, (size_t)(count - 1) * sizeof(*frames));
    return count - 1;
}

int backtrace_collect_context(void **frames, int limit, const ucontext_t *context)
{
    void *fault = (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    int count = backtrace(frames, limit);
    int first = 0;

    while (first < count && frames[first] != fault)
        first++;
    if (first == count) {
        frames[0] = fault;
        return 1;
    }
    memmove(frames, frames + first, (size_t)(count - first) * sizeof(*frames));
    return count - first;
}

int backtrace_walk(void **frames, int limit, const void *frame)
{
    const struct runner *runner = runner_current();
    uintptr_t at = (uintptr_t)frame;
    uintptr_t end;
    int count = 0;

    if (runner == NULL)
        return 0;
    end = (uintptr_t)runner->fiber->stack_base + runner->fiber->stack_size;
    while (count < limit && at >= (uintptr_t)runner->fiber->stack_base && at + 2 * sizeof(void *) <= end &&
           at % sizeof(void *) == 0) {
        const uintptr_t *link = (const uintptr_t *)at;

        if (link[1] == 0)
            break;
        frames[count++] = (void *)link[1];
        if (link[0] <= at)
            break;
        at = link[0];
    }
    return count;
}

void backtrace_describe(char *buffer, size_t size, const void *address)
{
    Dwfl *dwfl = symbols_open();

    describe(dwfl, buffer, size, (uintptr_t)address);
    if (dwfl != NULL)
        dwfl_end(dwfl);
}
