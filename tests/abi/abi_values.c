/*
 * Emits the values of the table's rows: one object a row, named for the row's line, in a section of its own that
 * tools/abi_check.py reads. Compiled natively and with x86_64-w64-mingw32-gcc; nothing of it runs. ABI_TABLE is the
 * table, or what is left of it without the rows that the DDK lacks.
 */
#define INITGUID
#include "abi_headers.h"

#define ABI_PASTE(a, b) a##b
#define ABI_NAME(line) ABI_PASTE(abi_row_, line)
#define ABI_ROW(type) __attribute__((section(".abi"), used)) const type ABI_NAME(__LINE__)

#define SIZE(type) ABI_ROW(unsigned long long) = sizeof(type);
#define OFFSET(type, field) ABI_ROW(unsigned long long) = __builtin_offsetof(type, field);
/* The structure with all bits of the field set, and no other. */
#define BITS(type, field) ABI_ROW(type) = {.field = -1};
#define CONSTANT(name) ABI_ROW(unsigned long long) = (unsigned long long)(name);
#define GUID(name) ABI_ROW(struct _GUID) = name;

#include ABI_TABLE
