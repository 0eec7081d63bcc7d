#include "cli/driver_lines.h"

#include <elfutils/libdwfl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* The module's first segment is at 0 in the file, so that offsets from its base are addresses of the file. */
static void describe(Dwfl_Module *module, char *buffer, size_t size, const char *name, uint64_t address)
{
    GElf_Off into = 0;
    GElf_Sym symbol;
    int number = 0;
    const char *function = dwfl_module_addrinfo(module, address, &into, &symbol, NULL, NULL, NULL);
    Dwfl_Line *line = dwfl_module_getsrc(module, address);
    const char *source = line != NULL ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;

    if (source != NULL)
        snprintf(buffer, size, "%s.so!%s (%s:%d)", name, function != NULL ? function : "?", base_name(source), number);
    else
        snprintf(buffer, size, "%s.so!%s", name, function != NULL ? function : "?");
}

void driver_lines_path(char *buffer, size_t size, const struct machine_config *config, const char *name)
{
    for (unsigned index = 0; index < config->driver_count; index++)
        if (strcmp(config->driver[index].name, name) == 0) {
            snprintf(buffer, size, "%s", config->driver[index].module);
            return;
        }
    snprintf(buffer, size, "%s/%s.so", config->driver_dir, name);
}

void driver_lines_call(char *buffer, size_t size, const struct machine_config *config, const struct fault_frame *frame)
{
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .section_address = dwfl_offline_section_address,
    };
    Dwfl *dwfl = dwfl_begin(&callbacks);
    Dwfl_Module *module = NULL;
    char path[PATH_MAX];
    GElf_Addr bias;

    driver_lines_path(path, sizeof(path), config, frame->module);
    snprintf(buffer, size, "%s.so+0x%llx", frame->module, (unsigned long long)frame->offset);
    if (dwfl == NULL)
        return;
    module = dwfl_report_elf(dwfl, frame->module, path, -1, 0, true);
    if (module != NULL && dwfl_report_end(dwfl, NULL, NULL) == 0 && dwfl_module_getelf(module, &bias) != NULL)
        describe(module, buffer, size, frame->module, frame->offset - 1); /* the call, not what follows it */
    dwfl_end(dwfl);
}

void driver_lines_stack(char *buffer, size_t size, const struct machine_config *config, const struct fault_stack *stack)
{
    size_t length = 0;

    buffer[0] = '\0';
    for (unsigned index = 0; index < stack->count && length < size; index++) {
        char text[256];
        int written;

        driver_lines_call(text, sizeof(text), config, &stack->frame[index]);
        written = snprintf(buffer + length, size - length, "%s%s", index == 0 ? "" : " < ", text);
        if (written < 0)
            break;
        length += (size_t)written;
    }
}
