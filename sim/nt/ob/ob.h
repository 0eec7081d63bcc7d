/*
 * The object manager: reference-counted objects, names, handles.
 *
 * An object is created with one reference, the caller's. Its body's address is what drivers see (PDEVICE_OBJECT,
 * PKTHREAD,
 * ...). When the last reference goes the type's or the object's destroy routine runs and the memory is freed; that may
 * happen at any IRQL up to DISPATCH_LEVEL.
 */
#ifndef NT_OB_H
#define NT_OB_H

#include <stdbool.h>
#include <stddef.h>

#include "nt/nt.h"

enum ob_type {
    OB_DEVICE,
    OB_DRIVER,
    OB_FILE,
    OB_THREAD,
    OB_EVENT,
    OB_KEY,
    OB_INTERRUPT,
    OB_CALLBACK,
    OB_SYMBOLIC_LINK,
    OB_DATA_BLOCK, /* WMI's */
    OB_TYPE_COUNT
};

/*
 * Objects that drivers have memory of their own in (device, driver, file) come from nonpaged pool, the others from the
 * machine heap. Zeroed; NULL only if the pool refuses. `destroy` may be NULL.
 */
void *ob_create(enum ob_type type, size_t size, void (*destroy)(void *body));

/*
 * A notification event that the kernel keeps under this name for as long as it runs; the kernel's part is to set it and
 * to clear it.
 */
PKEVENT ob_standard_event(const char *name, bool state);

void ob_reference(void *body);
void ob_dereference(void *body);
/* The same later, in a worker's thread; DISPATCH_LEVEL at most. */
void ob_dereference_by_worker(void *body);
/* A driver, by an address in it, has got a reference of its own (1), or given it away (-1). */
void ob_note_holder(void *body, LONG change, const void *caller);
LONG ob_references(const void *body);
enum ob_type ob_type_of(const void *body);
/* Is this the body of a live object of the type? Any address may be asked about. */
bool ob_is(const void *body, enum ob_type type);

/*
 * Names are absolute paths such as \Device\Foo or \DosDevices\Foo (the same as \?? and \GLOBAL??), not case-sensitive.
 * A named object keeps its name until ob_name_remove() or its end.
 */
NTSTATUS ob_name_insert(void *body, PCUNICODE_STRING name);
void ob_name_remove(void *body);
/* The name in UTF-8, NULL if it has none. */
const char *ob_name(const void *body);
/*
 * Find by name, following symbolic links; a path below an object (\Device\Foo\bar) finds the object and, with `rest`
 * not NULL, gives what follows its name. The object is referenced. STATUS_OBJECT_NAME_NOT_FOUND,
 * STATUS_OBJECT_NAME_INVALID.
 */
NTSTATUS ob_lookup(PCUNICODE_STRING name, void **body, PUNICODE_STRING rest);

NTSTATUS ob_symbolic_link_create(PCUNICODE_STRING link, PCUNICODE_STRING target);
NTSTATUS ob_symbolic_link_delete(PCUNICODE_STRING link);

/* A handle holds a reference of its own. ob_handle_lookup() gives a further one to the caller. */
NTSTATUS ob_handle_create(void *body, PHANDLE handle);
NTSTATUS ob_handle_lookup(HANDLE handle, void **body);
/* Called when a handle to an object of the type is closed (IRP_MJ_CLEANUP for files). One a type. */
void ob_handle_on_close(enum ob_type type, void (*closed)(void *body));

#endif
