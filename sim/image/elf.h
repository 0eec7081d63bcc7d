/*
 * What the loader wants to know of a driver module before the dynamic linker sees it: its name, the modules that it
 * needs and the symbols that it imports. Follows the System V ABI, "Object Files" and "Dynamic Linking" (ELF64,
 * x86-64).
 */
#ifndef IMAGE_ELF_H
#define IMAGE_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pageable section: one whose name begins with PAGE. Whole pages, less those that other sections reach into. */
struct elf_pageable {
    uint64_t address; /* from the file's load address */
    uint64_t size;
    bool writable, executable;
};

struct elf_info {
    char *soname;  /* NULL if the file has none */
    char **needed; /* DT_NEEDED, in order */
    unsigned needed_count;
    char **undefined; /* imported symbols that are not weak, in the order of the symbol table */
    unsigned undefined_count;
    struct elf_pageable *pageable;
    unsigned pageable_count;
    bool driver_entry;   /* exports DriverEntry */
    uint64_t room;       /* address space that the dynamic linker wants for it */
    bool dll_initialize; /* exports DllInitialize: an export driver */
};

/*
 * Read `path`. Strings are machine heap; release with elf_free(). On failure false, `info` is empty and `error` says
 * what is wrong with the file.
 */
bool elf_read(const char *path, struct elf_info *info, char *error, size_t error_size);
void elf_free(struct elf_info *info);

/*
 * Name of the function that the address lies in, counted from the file's load address, by the file's own symbol table
 * (which also has what the module does not export). False if none is known; otherwise *offset is the distance from its
 * start.
 */
bool elf_symbol(const char *path, uint64_t address, char *name, size_t name_size, uint64_t *offset);

#endif
