/* Whether a module was compiled for --preempt=memory: then it imports the compiler's hook for a module's start. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/memory_hooks.h"

static bool inside(size_t size, uint64_t offset, uint64_t bytes)
{
    return offset <= size && bytes <= size - offset;
}

static bool table_names(const uint8_t *file, size_t size, const Elf64_Shdr *symbols, const Elf64_Shdr *strings)
{
    if (!inside(size, symbols->sh_offset, symbols->sh_size) || !inside(size, strings->sh_offset, strings->sh_size))
        return false;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols->sh_size; at += sizeof(Elf64_Sym)) {
        const Elf64_Sym *symbol = (const Elf64_Sym *)(file + symbols->sh_offset + at);
        const char *name = (const char *)file + strings->sh_offset + symbol->st_name;

        if (symbol->st_shndx == SHN_UNDEF && symbol->st_name < strings->sh_size &&
            strncmp(name, "__tsan_init", strings->sh_size - symbol->st_name) == 0)
            return true;
    }
    return false;
}

static bool imports_hooks(const uint8_t *file, size_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(file + header->e_shoff);

    if (!inside(size, header->e_shoff, (uint64_t)header->e_shnum * sizeof(*sections)))
        return false;
    for (unsigned index = 0; index < header->e_shnum; index++)
        if (sections[index].sh_type == SHT_DYNSYM && sections[index].sh_link < header->e_shnum &&
            table_names(file, size, &sections[index], &sections[sections[index].sh_link]))
            return true;
    return false;
}

int memory_hooks_used(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    int result = -1;
    void *map;

    if (file < 0)
        return -1;
    if (fstat(file, &status) == 0 && (size_t)status.st_size >= sizeof(Elf64_Ehdr)) {
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (map != MAP_FAILED) {
            if (memcmp(map, ELFMAG, SELFMAG) == 0)
                result = imports_hooks(map, (size_t)status.st_size);
            else
                errno = ENOEXEC;
            munmap(map, (size_t)status.st_size);
        }
    } else {
        errno = ENOEXEC;
    }
    close(file);
    return result;
}
