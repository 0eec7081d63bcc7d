/* Names of objects and symbolic links. */
#include <string.h>

#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"

#define LINK_DEPTH_MAX 8
#define NAME_MAX_BYTES 512

struct symbolic_link {
    char target[NAME_MAX_BYTES];
};

/*
 * Object names are ASCII in this system (INFs and drivers make no others). Converts and brings the DosDevices
 * directories to one spelling.
 */
static NTSTATUS to_path(PCUNICODE_STRING name, char *path, size_t size)
{
    static const char *const dos[] = {"\\DosDevices\\", "\\??\\", "\\GLOBAL??\\"};
    size_t length = name->Length / sizeof(WCHAR);

    if (length == 0 || length >= size || name->Buffer[0] != L'\\')
        return STATUS_OBJECT_NAME_INVALID;
    for (size_t index = 0; index < length; index++) {
        if (name->Buffer[index] == 0 || name->Buffer[index] > 0x7e)
            return STATUS_OBJECT_NAME_INVALID;
        path[index] = (char)name->Buffer[index];
    }
    path[length] = '\0';
    for (size_t index = 1; index < ARRAYSIZE(dos); index++) {
        size_t prefix = strlen(dos[index]);

        if (strncasecmp(path, dos[index], prefix) != 0)
            continue;
        if (length - prefix + strlen(dos[0]) >= size)
            return STATUS_OBJECT_NAME_INVALID;
        memmove(path + strlen(dos[0]), path + prefix, length - prefix + 1);
        memcpy(path, dos[0], strlen(dos[0]));
    }
    return STATUS_SUCCESS;
}

/* The object whose name is `path` or a path above it; `used` is the length of its name. */
static struct ob_header *find(const char *path, size_t *used)
{
    struct ob_state *ob = machine->ob;

    for (PLIST_ENTRY entry = ob->objects.Flink; entry != &ob->objects; entry = entry->Flink) {
        struct ob_header *header = CONTAINING_RECORD(entry, struct ob_header, entry);
        size_t length;

        if (header->name == NULL)
            continue;
        length = strlen(header->name);
        if (strncasecmp(header->name, path, length) == 0 && (path[length] == '\0' || path[length] == '\\')) {
            *used = length;
            return header;
        }
    }
    return NULL;
}

NTSTATUS ob_name_insert(void *body, PCUNICODE_STRING name)
{
    struct ob_header *header = ob_header_of(body);
    char path[NAME_MAX_BYTES];
    NTSTATUS status = to_path(name, path, sizeof(path));
    struct ob_header *other;
    size_t used;

    if (!NT_SUCCESS(status))
        return status;
    other = find(path, &used);
    if (other != NULL && path[used] == '\0')
        return STATUS_OBJECT_NAME_COLLISION;
    header->name = image_strdup(path);
    return STATUS_SUCCESS;
}

void ob_name_remove(void *body)
{
    struct ob_header *header = ob_header_of(body);

    image_free(header->name);
    header->name = NULL;
}

const char *ob_name(const void *body)
{
    return ob_header_of(body)->name;
}

NTSTATUS ob_lookup(PCUNICODE_STRING name, void **body, PUNICODE_STRING rest)
{
    char path[NAME_MAX_BYTES];
    NTSTATUS status = to_path(name, path, sizeof(path));

    if (!NT_SUCCESS(status))
        return status;
    for (unsigned depth = 0; depth < LINK_DEPTH_MAX; depth++) {
        size_t used = 0;
        struct ob_header *header = find(path, &used);
        char joined[NAME_MAX_BYTES];
        const struct symbolic_link *link;

        if (header == NULL || (path[used] != '\0' && rest == NULL && header->type != OB_SYMBOLIC_LINK))
            return STATUS_OBJECT_NAME_NOT_FOUND;
        if (header->type != OB_SYMBOLIC_LINK) {
            if (rest != NULL) {
                USHORT bytes = (USHORT)(strlen(path + used) * sizeof(WCHAR));

                rest->Length = rest->MaximumLength = bytes;
                rest->Buffer = name->Buffer + (name->Length - bytes) / sizeof(WCHAR);
            }
            ob_reference(header + 1);
            *body = header + 1;
            return STATUS_SUCCESS;
        }
        link = (const struct symbolic_link *)(header + 1);
        if (strlen(link->target) + strlen(path + used) >= sizeof(joined))
            return STATUS_OBJECT_NAME_INVALID;
        memcpy(joined, link->target, strlen(link->target));
        memcpy(joined + strlen(link->target), path + used, strlen(path + used) + 1);
        memcpy(path, joined, sizeof(path));
    }
    return STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS ob_symbolic_link_create(PCUNICODE_STRING link, PCUNICODE_STRING target)
{
    struct symbolic_link *body = ob_create(OB_SYMBOLIC_LINK, sizeof(*body), NULL);
    NTSTATUS status = to_path(target, body->target, sizeof(body->target));

    if (NT_SUCCESS(status))
        status = ob_name_insert(body, link);
    if (!NT_SUCCESS(status))
        ob_dereference(body); /* a link that stays keeps the reference it was made with */
    return status;
}

NTSTATUS ob_symbolic_link_delete(PCUNICODE_STRING link)
{
    char path[NAME_MAX_BYTES];
    NTSTATUS status = to_path(link, path, sizeof(path));
    struct ob_header *header;
    size_t used;

    if (!NT_SUCCESS(status))
        return status;
    header = find(path, &used);
    if (header == NULL || path[used] != '\0' || header->type != OB_SYMBOLIC_LINK)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    ob_dereference(header + 1);
    return STATUS_SUCCESS;
}
