#include "image/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/image.h"

#define ELF_PAGE UINT64_C(4096)

/* The file, mapped read-only. Offsets and counts in it are checked before they are used. */
struct elf_view {
    const uint8_t *bytes;
    size_t size;
    const char *path;
    char *error;
    size_t error_size;
};

static bool complain(const struct elf_view *view, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool complain(const struct elf_view *view, const char *format, ...)
{
    va_list arguments;
    int length = snprintf(view->error, view->error_size, "%s: ", view->path);

    if (length < 0 || (size_t)length >= view->error_size)
        return false;
    va_start(arguments, format);
    vsnprintf(view->error + length, view->error_size - (size_t)length, format, arguments);
    va_end(arguments);
    return false;
}

static const void *view_range(const struct elf_view *view, uint64_t offset, uint64_t bytes)
{
    if (offset > view->size || bytes > view->size - offset)
        return NULL;
    return view->bytes + offset;
}

/* A string that ends inside its table. */
static const char *table_string(const struct elf_view *view, const Elf64_Shdr *table, uint64_t index)
{
    const char *strings = view_range(view, table->sh_offset, table->sh_size);

    if (strings == NULL || index >= table->sh_size)
        return NULL;
    if (memchr(strings + index, 0, table->sh_size - index) == NULL)
        return NULL;
    return strings + index;
}

static void append(char ***list, unsigned *count, const char *string)
{
    *list = image_realloc(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = image_strdup(string);
}

static bool read_dynamic(const struct elf_view *view, const Elf64_Shdr *sections, unsigned count,
                         const Elf64_Shdr *section, struct elf_info *info)
{
    const Elf64_Dyn *entry = view_range(view, section->sh_offset, section->sh_size);
    uint64_t entries = section->sh_size / sizeof(*entry);

    if (entry == NULL || section->sh_link >= count)
        return complain(view, "the dynamic section lies outside the file");
    for (uint64_t i = 0; i < entries && entry[i].d_tag != DT_NULL; i++) {
        const char *string;

        if (entry[i].d_tag != DT_NEEDED && entry[i].d_tag != DT_SONAME)
            continue;
        string = table_string(view, &sections[section->sh_link], entry[i].d_un.d_val);
        if (string == NULL)
            return complain(view, "dynamic entry %llu has a bad string", (unsigned long long)i);
        if (entry[i].d_tag == DT_NEEDED) {
            append(&info->needed, &info->needed_count, string);
        } else {
            image_free(info->soname);
            info->soname = image_strdup(string);
        }
    }
    return true;
}

static bool read_symbols(const struct elf_view *view, const Elf64_Shdr *sections, unsigned count,
                         const Elf64_Shdr *section, struct elf_info *info)
{
    const Elf64_Sym *symbol = view_range(view, section->sh_offset, section->sh_size);
    uint64_t symbols = section->sh_size / sizeof(*symbol);

    if (symbol == NULL || section->sh_link >= count)
        return complain(view, "the dynamic symbol table lies outside the file");
    for (uint64_t i = 1; i < symbols; i++) {
        const char *name;

        if (ELF64_ST_BIND(symbol[i].st_info) != STB_GLOBAL)
            continue;
        name = table_string(view, &sections[section->sh_link], symbol[i].st_name);
        if (name == NULL)
            return complain(view, "dynamic symbol %llu has a bad name", (unsigned long long)i);
        if (symbol[i].st_shndx != SHN_UNDEF) {
            info->driver_entry = info->driver_entry || strcmp(name, "DriverEntry") == 0;
            info->dll_initialize = info->dll_initialize || strcmp(name, "DllInitialize") == 0;
            continue;
        }
        append(&info->undefined, &info->undefined_count, name);
    }
    return true;
}

/* The section table, checked; NULL (and the complaint) when the file is no module for this machine. */
static const Elf64_Shdr *read_sections(const struct elf_view *view, unsigned *count)
{
    const Elf64_Ehdr *header = view_range(view, 0, sizeof(*header));
    const Elf64_Shdr *sections;

    if (header == NULL || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
        complain(view, "not an ELF file");
        return NULL;
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64 || header->e_type != ET_DYN) {
        complain(view, "not a shared object for x86-64");
        return NULL;
    }
    if (header->e_shentsize != sizeof(*sections) || header->e_shoff % _Alignof(Elf64_Shdr) != 0) {
        complain(view, "the section table is damaged");
        return NULL;
    }
    sections = view_range(view, header->e_shoff, (uint64_t)header->e_shnum * sizeof(*sections));
    if (sections == NULL) {
        complain(view, "the section table lies outside the file");
        return NULL;
    }
    *count = header->e_shnum;
    for (unsigned i = 0; i < *count; i++) {
        uint32_t type = sections[i].sh_type;

        if (sections[i].sh_offset % 8 != 0 && (type == SHT_DYNAMIC || type == SHT_DYNSYM || type == SHT_SYMTAB)) {
            complain(view, "section %u is not aligned", i);
            return NULL;
        }
    }
    return sections;
}

static bool overlaps(const Elf64_Shdr *sections, unsigned count, const Elf64_Shdr *but, uint64_t page)
{
    for (unsigned i = 0; i < count; i++) {
        const Elf64_Shdr *section = &sections[i];

        if (section != but && (section->sh_flags & SHF_ALLOC) != 0 && section->sh_size != 0 &&
            section->sh_addr < page + ELF_PAGE && section->sh_addr + section->sh_size > page)
            return true;
    }
    return false;
}

static bool read_pageable(const struct elf_view *view, const Elf64_Shdr *sections, unsigned count,
                          struct elf_info *info)
{
    const Elf64_Ehdr *header = view_range(view, 0, sizeof(*header));
    const Elf64_Shdr *names = header->e_shstrndx < count ? &sections[header->e_shstrndx] : NULL;

    for (unsigned i = 0; names != NULL && i < count; i++) {
        const Elf64_Shdr *section = &sections[i];
        const char *name = table_string(view, names, section->sh_name);
        uint64_t start = section->sh_addr & ~(ELF_PAGE - 1);
        uint64_t end = (section->sh_addr + section->sh_size + ELF_PAGE - 1) & ~(ELF_PAGE - 1);

        if (name == NULL)
            return complain(view, "section %u has a bad name", i);
        if (strncmp(name, "PAGE", 4) != 0 || (section->sh_flags & SHF_ALLOC) == 0 || section->sh_size == 0)
            continue;
        if (end < start || end > UINT32_MAX)
            return complain(view, "section %s lies outside of the address space", name);
        while (start < end && overlaps(sections, count, section, start))
            start += ELF_PAGE;
        while (start < end && overlaps(sections, count, section, end - ELF_PAGE))
            end -= ELF_PAGE;
        if (start == end)
            continue;
        info->pageable = image_realloc(info->pageable, (info->pageable_count + 1) * sizeof(*info->pageable));
        info->pageable[info->pageable_count++] =
            (struct elf_pageable){.address = start,
                                  .size = end - start,
                                  .writable = (section->sh_flags & SHF_WRITE) != 0,
                                  .executable = (section->sh_flags & SHF_EXECINSTR) != 0};
    }
    return true;
}

/* An object that wants to be aligned gets more than it needs, to be aligned in. */
static bool read_room(const struct elf_view *view, struct elf_info *info)
{
    const Elf64_Ehdr *header = view_range(view, 0, sizeof(*header));
    const Elf64_Phdr *part = view_range(view, header->e_phoff, header->e_phnum * sizeof(*part));
    uint64_t first = UINT64_MAX;
    uint64_t end = 0;
    uint64_t alignment = ELF_PAGE;

    if (part == NULL || header->e_phoff % _Alignof(Elf64_Phdr) != 0)
        return complain(view, "bad program headers");
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (part[i].p_type != PT_LOAD)
            continue;
        if (part[i].p_vaddr < first)
            first = part[i].p_vaddr & ~(ELF_PAGE - 1);
        if (part[i].p_vaddr + part[i].p_memsz > end)
            end = part[i].p_vaddr + part[i].p_memsz;
        if (part[i].p_align > alignment)
            alignment = part[i].p_align;
    }
    if (end <= first || end - first > UINT32_MAX || alignment > UINT32_MAX)
        return complain(view, "its parts lie outside of the address space");
    info->room = ((end - first + ELF_PAGE - 1) & ~(ELF_PAGE - 1)) + (alignment > ELF_PAGE ? alignment : 0);
    return true;
}

static bool read_view(const struct elf_view *view, struct elf_info *info)
{
    unsigned count;
    const Elf64_Shdr *sections = read_sections(view, &count);
    bool dynamic = false;

    if (sections == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (sections[i].sh_type == SHT_DYNAMIC) {
            dynamic = true;
            if (!read_dynamic(view, sections, count, &sections[i], info))
                return false;
        } else if (sections[i].sh_type == SHT_DYNSYM) {
            if (!read_symbols(view, sections, count, &sections[i], info))
                return false;
        }
    }
    if (!dynamic)
        return complain(view, "no dynamic section");
    return read_pageable(view, sections, count, info) && read_room(view, info);
}

/* The function symbol of one table that covers the address; its name stays the view's. */
static const char *find_function(const struct elf_view *view, const Elf64_Shdr *sections, unsigned count,
                                 const Elf64_Shdr *section, uint64_t address, uint64_t *offset)
{
    const Elf64_Sym *symbol = view_range(view, section->sh_offset, section->sh_size);
    uint64_t symbols = section->sh_size / sizeof(*symbol);

    if (symbol == NULL || section->sh_link >= count)
        return NULL;
    for (uint64_t i = 1; i < symbols; i++) {
        if (ELF64_ST_TYPE(symbol[i].st_info) != STT_FUNC || symbol[i].st_shndx == SHN_UNDEF)
            continue;
        if (address < symbol[i].st_value || address - symbol[i].st_value >= symbol[i].st_size)
            continue;
        *offset = address - symbol[i].st_value;
        return table_string(view, &sections[section->sh_link], symbol[i].st_name);
    }
    return NULL;
}

static bool view_open(struct elf_view *view)
{
    struct stat status;
    void *bytes;
    int file = open(view->path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return complain(view, "%s", strerror(errno));
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
        close(file);
        return complain(view, "not a regular file with content");
    }
    view->size = (size_t)status.st_size;
    bytes = mmap(NULL, view->size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED)
        return complain(view, "%s", strerror(errno));
    view->bytes = bytes;
    return true;
}

bool elf_read(const char *path, struct elf_info *info, char *error, size_t error_size)
{
    struct elf_view view = {.path = path, .error = error, .error_size = error_size};
    bool good;

    memset(info, 0, sizeof(*info));
    if (!view_open(&view))
        return false;
    good = read_view(&view, info);
    munmap((void *)(uintptr_t)view.bytes, view.size);
    if (!good)
        elf_free(info);
    return good;
}

bool elf_symbol(const char *path, uint64_t address, char *name, size_t name_size, uint64_t *offset)
{
    char error[128];
    struct elf_view view = {.path = path, .error = error, .error_size = sizeof(error)};
    const Elf64_Shdr *sections;
    const char *found = NULL;
    unsigned count;

    if (!view_open(&view))
        return false;
    sections = read_sections(&view, &count);
    for (unsigned i = 0; sections != NULL && found == NULL && i < count; i++) {
        if (sections[i].sh_type == SHT_SYMTAB)
            found = find_function(&view, sections, count, &sections[i], address, offset);
    }
    if (found != NULL)
        snprintf(name, name_size, "%s", found);
    munmap((void *)(uintptr_t)view.bytes, view.size);
    return found != NULL;
}

void elf_free(struct elf_info *info)
{
    for (unsigned i = 0; i < info->needed_count; i++)
        image_free(info->needed[i]);
    for (unsigned i = 0; i < info->undefined_count; i++)
        image_free(info->undefined[i]);
    image_free(info->needed);
    image_free(info->undefined);
    image_free(info->soname);
    image_free(info->pageable);
    memset(info, 0, sizeof(*info));
}
