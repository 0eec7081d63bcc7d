#include "cli/call_sites.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/driver_lines.h"

#define GATE "KxHypercall"
#define ROUNDS_MAX 16

struct function {
    uint64_t start;
    uint64_t end;
    const char *sink; /* the routine that calls of it are counted for; NULL: they are not */
    bool wraps;       /* likewise, and its own calls of the routine are not */
    unsigned calls;   /* of it, in its module */
    const char *name;
    bool exported;
    bool live; /* something leads to it */
};

/* A call or a jump out of a function that goes to a fallible routine or to a function of the module. */
struct transfer {
    uint64_t next;         /* address behind the instruction */
    bool jump;             /* leaves no return address */
    struct function *from; /* NULL: code that no symbol covers */
    struct function *to;   /* NULL: to a routine */
    const char *routine;   /* likewise */
};

/* The address of a function is taken, or a jump leads into it. */
struct reference {
    struct function *from; /* NULL: code that no symbol covers */
    struct function *to;
};

struct slot {
    uint64_t address; /* of the linkage table's slot, or of the code that jumps through it */
    const char *routine;
};

/* A growing array. */
#define LIST(type)                                                                                                     \
    struct {                                                                                                           \
        type *item;                                                                                                    \
        size_t count;                                                                                                  \
        size_t room;                                                                                                   \
    }

struct module {
    char name[FAULT_MODULE_MAX];
    int file;
    Elf *elf;
    LIST(struct function) functions;
    LIST(struct transfer) transfers;
    LIST(struct reference) references;
    LIST(struct slot) slots;
    LIST(struct slot) stubs;
};

struct call_sites {
    LIST(struct call_site) sites;
    LIST(struct fault_frame) inner; /* return addresses inside what is looked through */
    LIST(char *) imports;           /* names that the modules have from elsewhere */
};

static void *grown(void *items, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return items;
    *room = *room == 0 ? 64 : *room * 2;
    items = realloc(items, *room * size);
    if (items == NULL)
        abort();
    return items;
}

#define ADD(list)                                                                                                      \
    ((list).item = grown((list).item, &(list).room, (list).count, sizeof(*(list).item)), &(list).item[(list).count++])

/* ---- the file ---- */

/* The table's own string for a name that can be failed. */
static const char *fallible(const char *name)
{
    const struct fault_point *point = fault_point_find(name);

    if (strcmp(name, GATE) == 0)
        return "hypercall";
    return point != NULL && point->kind != FAULT_HYPERCALL ? point->routine : NULL;
}

static void read_slots(struct module *module, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    Elf_Scn *symbols = elf_getscn(module->elf, header->sh_link);
    Elf_Data *table = symbols != NULL ? elf_getdata(symbols, NULL) : NULL;
    GElf_Shdr symbols_header;

    if (data == NULL || table == NULL || gelf_getshdr(symbols, &symbols_header) == NULL)
        return;
    for (size_t index = 0; index < header->sh_size / header->sh_entsize; index++) {
        GElf_Rela relocation;
        GElf_Sym symbol;
        const char *name;

        if (gelf_getrela(data, (int)index, &relocation) == NULL ||
            gelf_getsym(table, (int)GELF_R_SYM(relocation.r_info), &symbol) == NULL)
            continue;
        name = elf_strptr(module->elf, symbols_header.sh_link, symbol.st_name);
        if (name != NULL && fallible(name) != NULL)
            *ADD(module->slots) = (struct slot){relocation.r_offset, fallible(name)};
    }
}

static void read_functions(struct module *module, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);

    for (size_t index = 0; data != NULL && index < header->sh_size / header->sh_entsize; index++) {
        GElf_Sym symbol;

        if (gelf_getsym(data, (int)index, &symbol) != NULL && GELF_ST_TYPE(symbol.st_info) == STT_FUNC &&
            symbol.st_size != 0)
            *ADD(module->functions) =
                (struct function){.start = symbol.st_value,
                                  .end = symbol.st_value + symbol.st_size,
                                  .name = elf_strptr(module->elf, header->sh_link, symbol.st_name),
                                  .exported = GELF_ST_BIND(symbol.st_info) != STB_LOCAL};
    }
}

static int by_start(const void *a, const void *b)
{
    uint64_t left = ((const struct function *)a)->start;
    uint64_t right = ((const struct function *)b)->start;

    return left < right ? -1 : left > right;
}

static struct function *function_at(const struct module *module, uint64_t address, bool start)
{
    size_t low = 0;
    size_t high = module->functions.count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        struct function *function = &module->functions.item[middle];

        if (address < function->start)
            high = middle;
        else if (address >= function->end)
            low = middle + 1;
        else
            return !start || address == function->start ? function : NULL;
    }
    return NULL;
}

static const char *find_slot(const struct slot *item, size_t count, uint64_t address)
{
    for (size_t index = 0; index < count; index++)
        if (item[index].address == address)
            return item[index].routine;
    return NULL;
}

#define FIND(list, address) find_slot((list).item, (list).count, (address))

/* ---- the code ---- */

static int32_t displacement(const uint8_t *code)
{
    int32_t value;

    memcpy(&value, code, sizeof(value));
    return value;
}

/* Linkage stubs: "jmp *slot(%rip)" somewhere in an entry of the section's entry size. */
static void read_stubs(struct module *module, const uint8_t *code, size_t size, uint64_t address, uint64_t entry)
{
    for (size_t at = 0; at + 6 <= size; at++) {
        const char *routine;

        if (code[at] != 0xFF || code[at + 1] != 0x25)
            continue;
        routine = FIND(module->slots, address + at + 6 + (uint64_t)(int64_t)displacement(code + at + 2));
        if (routine != NULL)
            *ADD(module->stubs) = (struct slot){address + at - at % entry, routine};
    }
}

/*
 * "lea address(%rip)" of a function, and a jump into the middle of the part that the compiler has moved away from a
 * function: transfers know only their starts.
 */
static void read_reference(struct module *module, const uint8_t *code, size_t left, uint64_t address)
{
    bool lea = left >= 7 && (code[0] & 0xFB) == 0x48 && code[1] == 0x8D && (code[2] & 0xC7) == 0x05;
    bool conditional = left >= 6 && code[0] == 0x0F && (code[1] & 0xF0) == 0x80;
    size_t length = lea ? 7 : conditional ? 6 : 5;
    struct reference reference = {.from = function_at(module, address, false)};

    if (!lea && !conditional && (left < 5 || code[0] != 0xE9))
        return;
    reference.to = function_at(module, address + length + (uint64_t)(int64_t)displacement(code + length - 4), lea);
    if (reference.to != NULL && reference.to != reference.from && (lea || strstr(reference.to->name, ".cold") != NULL))
        *ADD(module->references) = reference;
}

/* An instruction that goes to a place known to us is one: that other bytes look like it is out of all likelihood. */
static void read_instruction(struct module *module, const uint8_t *code, size_t left, uint64_t address)
{
    struct transfer transfer = {.from = function_at(module, address, false)};
    uint64_t target;
    size_t length;

    if (left >= 5 && (code[0] == 0xE8 || code[0] == 0xE9)) {
        length = 5;
        transfer.jump = code[0] == 0xE9;
    } else if (left >= 6 && code[0] == 0x0F && (code[1] & 0xF0) == 0x80) {
        length = 6;
        transfer.jump = true;
    } else if (left >= 6 && code[0] == 0xFF && (code[1] == 0x15 || code[1] == 0x25)) {
        length = 6;
        transfer.jump = code[1] == 0x25;
    } else {
        return;
    }
    transfer.next = address + length;
    target = transfer.next + (uint64_t)(int64_t)displacement(code + length - 4);
    if (code[0] == 0xFF) {
        transfer.routine = FIND(module->slots, target);
    } else {
        transfer.routine = FIND(module->stubs, target);
        transfer.to = function_at(module, target, true);
    }
    if (transfer.routine == NULL && (transfer.to == NULL || (transfer.jump && transfer.to == transfer.from)))
        return;
    if (transfer.to != NULL)
        transfer.to->calls++;
    *ADD(module->transfers) = transfer;
}

static void each_section(struct module *module, void (*visit)(struct module *, Elf_Scn *, const GElf_Shdr *))
{
    Elf_Scn *section = NULL;

    while ((section = elf_nextscn(module->elf, section)) != NULL) {
        GElf_Shdr header;

        if (gelf_getshdr(section, &header) != NULL)
            visit(module, section, &header);
    }
}

static void visit_tables(struct module *module, Elf_Scn *section, const GElf_Shdr *header)
{
    if (header->sh_type == SHT_RELA && header->sh_entsize != 0)
        read_slots(module, section, header);
    else if (header->sh_type == SHT_SYMTAB && header->sh_entsize != 0)
        read_functions(module, section, header);
}

static bool is_stubs(const struct module *module, const GElf_Shdr *header)
{
    size_t strings;
    const char *name = NULL;

    if (elf_getshdrstrndx(module->elf, &strings) == 0)
        name = elf_strptr(module->elf, strings, header->sh_name);
    return name != NULL && strncmp(name, ".plt", 4) == 0;
}

static void visit_stubs(struct module *module, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = (header->sh_flags & SHF_EXECINSTR) != 0 ? elf_getdata(section, NULL) : NULL;

    if (data != NULL && data->d_buf != NULL && is_stubs(module, header))
        read_stubs(module, data->d_buf, data->d_size, header->sh_addr,
                   header->sh_entsize > 1 ? header->sh_entsize : 16);
}

static void visit_code(struct module *module, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = (header->sh_flags & SHF_EXECINSTR) != 0 ? elf_getdata(section, NULL) : NULL;

    if (data == NULL || data->d_buf == NULL || is_stubs(module, header))
        return;
    for (size_t at = 0; at < data->d_size; at++) {
        read_instruction(module, (const uint8_t *)data->d_buf + at, data->d_size - at, header->sh_addr + at);
        read_reference(module, (const uint8_t *)data->d_buf + at, data->d_size - at, header->sh_addr + at);
    }
}

/* ---- what is used ---- */

/* Functions whose addresses the module's data holds, or that its linkage table leads to. */
static void visit_addresses(struct module *module, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = header->sh_type == SHT_RELA ? elf_getdata(section, NULL) : NULL;
    Elf_Scn *symbols = elf_getscn(module->elf, header->sh_link);
    Elf_Data *table = symbols != NULL ? elf_getdata(symbols, NULL) : NULL;

    for (size_t index = 0; data != NULL && index < header->sh_size / header->sh_entsize; index++) {
        GElf_Rela relocation;
        GElf_Sym symbol = {.st_value = 0};
        struct function *function;

        if (gelf_getrela(data, (int)index, &relocation) == NULL)
            continue;
        if (GELF_R_SYM(relocation.r_info) != 0 && table != NULL)
            (void)gelf_getsym(table, (int)GELF_R_SYM(relocation.r_info), &symbol);
        function = function_at(module, symbol.st_value + (uint64_t)relocation.r_addend, true);
        if (function != NULL)
            function->live = true;
    }
}

static bool is_entry(const struct call_sites *sites, const struct function *function)
{
    static const char *const entries[] = {"DriverEntry", "DllInitialize", "DllUnload"};

    if (!function->exported)
        return false;
    for (size_t index = 0; index < sizeof(entries) / sizeof(entries[0]); index++)
        if (strcmp(function->name, entries[index]) == 0)
            return true;
    for (size_t index = 0; index < sites->imports.count; index++)
        if (strcmp(function->name, sites->imports.item[index]) == 0)
            return true;
    return false;
}

static bool lead(const struct function *from, struct function *to)
{
    bool news = to != NULL && !to->live && (from == NULL || from->live);

    if (news)
        to->live = true;
    return news;
}

static void find_live(const struct call_sites *sites, struct module *module)
{
    bool changed = true;

    each_section(module, visit_addresses);
    for (size_t index = 0; index < module->functions.count; index++)
        module->functions.item[index].live |= is_entry(sites, &module->functions.item[index]);
    while (changed) {
        changed = false;
        for (size_t index = 0; index < module->transfers.count; index++)
            changed = lead(module->transfers.item[index].from, module->transfers.item[index].to) || changed;
        for (size_t index = 0; index < module->references.count; index++)
            changed = lead(module->references.item[index].from, module->references.item[index].to) || changed;
    }
}

static enum call_site_use use_of(const struct function *function)
{
    if (function == NULL || function->live)
        return CALL_SITE_USED;
    return function->exported ? CALL_SITE_NOT_IMPORTED : CALL_SITE_NOT_CALLED;
}

/* ---- sites ---- */

static const char *reaches(const struct transfer *transfer)
{
    return transfer->routine != NULL ? transfer->routine : transfer->to->sink;
}

/*
 * Whether calls of the function are the sites, as things stand. They have to be when it jumps to a routine: that leaves
 * no return address in it. They are better than what is inside when that is one call, which several come to, and other
 * modules do not.
 */
static void judge(const struct module *module, struct function *function)
{
    const struct transfer *first = NULL;
    bool jumps = false;
    unsigned ways = 0;

    for (size_t index = 0; index < module->transfers.count; index++) {
        const struct transfer *transfer = &module->transfers.item[index];

        if (transfer->from != function || reaches(transfer) == NULL)
            continue;
        if (ways++ == 0)
            first = transfer;
        jumps = jumps || transfer->jump;
    }
    function->wraps = ways == 1 && (jumps || (function->calls >= 2 && !function->exported));
    function->sink = jumps || function->wraps ? reaches(first) : NULL;
}

/* Wrappers of wrappers: until nothing changes. */
static void find_wrappers(struct module *module)
{
    bool changed = true;

    for (unsigned round = 0; changed && round < ROUNDS_MAX; round++) {
        changed = false;
        for (size_t index = 0; index < module->functions.count; index++) {
            struct function *function = &module->functions.item[index];
            struct function before = *function;

            judge(module, function);
            changed = changed || before.sink != function->sink || before.wraps != function->wraps;
        }
    }
}

static struct fault_frame frame_of(const struct module *module, uint64_t next)
{
    struct fault_frame frame = {.offset = next};

    memcpy(frame.module, module->name, sizeof(frame.module));
    return frame;
}

static void collect(struct call_sites *sites, const struct module *module)
{
    for (size_t index = 0; index < module->transfers.count; index++) {
        const struct transfer *transfer = &module->transfers.item[index];
        const char *routine = reaches(transfer);

        if (routine == NULL || transfer->jump)
            continue;
        if (transfer->from != NULL && transfer->from->wraps)
            *ADD(sites->inner) = frame_of(module, transfer->next);
        else
            *ADD(sites->sites) = (struct call_site){frame_of(module, transfer->next), routine, use_of(transfer->from)};
    }
}

/* Names in the dynamic symbol table that the module does not define. */
static void read_imports(struct call_sites *sites, Elf *elf)
{
    Elf_Scn *section = NULL;

    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        Elf_Data *data = elf_getdata(section, NULL);

        if (data == NULL || gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_DYNSYM)
            continue;
        for (size_t index = 1; index < header.sh_size / header.sh_entsize; index++) {
            GElf_Sym symbol;
            const char *name = NULL;

            if (gelf_getsym(data, (int)index, &symbol) != NULL && symbol.st_shndx == SHN_UNDEF)
                name = elf_strptr(elf, header.sh_link, symbol.st_name);
            if (name != NULL && (*ADD(sites->imports) = strdup(name)) == NULL)
                abort();
        }
    }
}

static void read_code(struct call_sites *sites, struct module *module)
{
    each_section(module, visit_tables);
    qsort(module->functions.item, module->functions.count, sizeof(*module->functions.item), by_start);
    each_section(module, visit_stubs);
    each_section(module, visit_code);
    find_wrappers(module);
    find_live(sites, module);
    collect(sites, module);
    free(module->functions.item);
    free(module->transfers.item);
    free(module->references.item);
    free(module->slots.item);
    free(module->stubs.item);
}

static bool open_module(struct module *module, const struct machine_config *config, const char *name)
{
    char path[PATH_MAX];

    *module = (struct module){.elf = NULL};
    snprintf(module->name, sizeof(module->name), "%s", name);
    driver_lines_path(path, sizeof(path), config, name);
    module->file = open(path, O_RDONLY | O_CLOEXEC);
    if (module->file < 0) {
        complain("%s cannot be read: %s", path, strerror(errno));
        return false;
    }
    module->elf = elf_begin(module->file, ELF_C_READ, NULL);
    return true;
}

/* Imports first: they say which of the others' exports are used. */
static bool read_module(struct call_sites *sites, const struct machine_config *config, const char *name, bool imports)
{
    struct module module;
    bool good;

    if (!open_module(&module, config, name))
        return false;
    if (module.elf != NULL && imports)
        read_imports(sites, module.elf);
    else if (module.elf != NULL)
        read_code(sites, &module);
    good = imports || module.functions.count != 0;
    elf_end(module.elf);
    close(module.file);
    if (!good)
        complain("%s.so: no functions are named in it; its call sites cannot be found (was it stripped?)", name);
    return good;
}

struct call_sites *call_sites_read(const struct machine_config *config, const char *const *names, unsigned count)
{
    struct call_sites *sites = calloc(1, sizeof(*sites));

    if (sites == NULL)
        abort();
    elf_version(EV_CURRENT);
    for (unsigned index = 0; index < 2 * count; index++)
        if (!read_module(sites, config, names[index % count], index < count)) {
            call_sites_free(sites);
            return NULL;
        }
    return sites;
}

void call_sites_free(struct call_sites *sites)
{
    if (sites == NULL)
        return;
    free(sites->sites.item);
    free(sites->inner.item);
    for (size_t index = 0; index < sites->imports.count; index++)
        free(sites->imports.item[index]);
    free(sites->imports.item);
    free(sites);
}

unsigned call_sites_count(const struct call_sites *sites)
{
    return (unsigned)sites->sites.count;
}

const struct call_site *call_sites_get(const struct call_sites *sites, unsigned index)
{
    return &sites->sites.item[index];
}

static bool same(const struct fault_frame *a, const struct fault_frame *b)
{
    return a->offset == b->offset && strcmp(a->module, b->module) == 0;
}

int call_sites_match(const struct call_sites *sites, const struct fault_stack *stack)
{
    for (unsigned depth = 0; depth < stack->count; depth++) {
        size_t inner = 0;

        for (size_t index = 0; index < sites->sites.count; index++)
            if (same(&sites->sites.item[index].frame, &stack->frame[depth]))
                return (int)index;
        while (inner < sites->inner.count && !same(&sites->inner.item[inner], &stack->frame[depth]))
            inner++;
        if (inner == sites->inner.count)
            return -1;
    }
    return -1;
}
