/*
 * The configuration manager: the registry. Keys and values as in Windows; names are not case-sensitive and keep their
 * spelling; subkeys and values enumerate in the order of creation. The routines that drivers call are in zw_key.c;
 * this is for the kernel's own components (PnP, INF installer, loader) and for tests.
 *
 * Paths here are UTF-8 with backslashes from the root, e.g.
 * "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\xen". CurrentControlSet is a link to ControlSet001. String
 * data is UTF-16 with its terminating zero, as Windows stores it.
 */
#ifndef NT_CM_H
#define NT_CM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nt/nt.h"

#define CM_SERVICES "\\Registry\\Machine\\System\\CurrentControlSet\\Services"
#define CM_ENUM "\\Registry\\Machine\\System\\CurrentControlSet\\Enum"
#define CM_CLASS "\\Registry\\Machine\\System\\CurrentControlSet\\Control\\Class"
#define CM_CURRENT_PROFILE                                                                                             \
    "\\Registry\\Machine\\System\\CurrentControlSet\\Hardware Profiles\\Current\\System\\CurrentControlSet"
#define CM_CONTROL "\\Registry\\Machine\\System\\CurrentControlSet\\Control"

struct cm_key;

/* A key by path, NULL if it is not there. Keys live until they are deleted; nothing is referenced. */
struct cm_key *cm_key_open(const char *path);
/* The same, and every missing key on the way is created. */
struct cm_key *cm_key_create(const char *path);
/* Relative to a key; `path` without a leading backslash. */
struct cm_key *cm_key_open_at(struct cm_key *key, const char *path);
struct cm_key *cm_key_create_at(struct cm_key *key, const char *path);
/* The same of a key that does not outlive the system, nor what lies below it: it is not written to the disk. */
struct cm_key *cm_key_create_volatile_at(struct cm_key *key, const char *path);
/* Delete with everything below it. */
void cm_key_delete(struct cm_key *key);

struct cm_key *cm_key_child(const struct cm_key *key, unsigned index); /* NULL behind the last */
const char *cm_key_name(const struct cm_key *key);
/* The full path (machine heap; image_free() it). */
char *cm_key_path(const struct cm_key *key);

/* A handle for a driver. */
NTSTATUS cm_key_handle(struct cm_key *key, PHANDLE handle);
/* The key behind a handle, NULL if it is none or deleted. */
struct cm_key *cm_key_of_handle(HANDLE handle);

/* Write the keys that are not volatile to the disk (nt/disk.h). */
void cm_save(void);

/* Values. Data is copied. `name` "" is the default value. */
void cm_value_set(struct cm_key *key, const char *name, ULONG type, const void *data, size_t size);
void cm_value_set_dword(struct cm_key *key, const char *name, ULONG value);
void cm_value_set_string(struct cm_key *key, const char *name, ULONG type,
                         const char *utf8); /* REG_SZ, REG_EXPAND_SZ */
/* REG_MULTI_SZ from `count` UTF-8 strings. */
void cm_value_set_multi(struct cm_key *key, const char *name, const char *const *strings, unsigned count);
bool cm_value_delete(struct cm_key *key, const char *name);

/* NULL if it is not there. The data stays the registry's, valid until the value changes. */
const void *cm_value_get(const struct cm_key *key, const char *name, ULONG *type, size_t *size);
bool cm_value_get_dword(const struct cm_key *key, const char *name, ULONG *value);
/* The string in UTF-8 (machine heap; image_free() it), NULL if it is not there or no string. */
char *cm_value_get_string(const struct cm_key *key, const char *name);
/* String `index` of a REG_MULTI_SZ (a REG_SZ counts as one string); likewise. */
char *cm_value_get_multi(const struct cm_key *key, const char *name, unsigned index);
/* Name of value `index`, NULL behind the last. */
const char *cm_value_name(const struct cm_key *key, unsigned index);

/* Conversions, machine heap; lengths in characters without the terminating zero. */
char *cm_utf8_from_utf16(const WCHAR *string, size_t length);
WCHAR *cm_utf16_from_utf8(const char *string, size_t *length);

#endif
