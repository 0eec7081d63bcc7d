/* Objects and their references. */
#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"

#define TAG(a, b, c, d) ((ULONG)(a) | (ULONG)(b) << 8 | (ULONG)(c) << 16 | (ULONG)(d) << 24)

static const struct {
    const char *name;
    ULONG tag; /* of nonpaged pool, 0: machine heap */
} types[OB_TYPE_COUNT] = {
    [OB_DEVICE] = {"device", TAG('D', 'e', 'v', 'i')},
    [OB_DRIVER] = {"driver", TAG('D', 'r', 'i', 'v')},
    [OB_FILE] = {"file", TAG('F', 'i', 'l', 'e')},
    [OB_THREAD] = {"thread", 0},
    [OB_EVENT] = {"event", TAG('E', 'v', 'e', 'n')},
    [OB_KEY] = {"key", 0},
    [OB_INTERRUPT] = {"interrupt", 0},
    [OB_CALLBACK] = {"callback", 0},
    [OB_SYMBOLIC_LINK] = {"symbolic link", 0},
    [OB_DATA_BLOCK] = {"WMI data block", 0},
};

void ob_init(void)
{
    struct ob_state *ob = image_alloc(sizeof(*ob));

    InitializeListHead(&ob->objects);
    machine->ob = ob;
    ob_event_init();
}

void *ob_create(enum ob_type type, size_t size, void (*destroy)(void *body))
{
    size_t bytes = sizeof(struct ob_header) + size;
    struct ob_header *header;

    if (types[type].tag != 0)
        header = ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes, types[type].tag);
    else
        header = image_alloc(bytes);
    if (header == NULL)
        return NULL;
    header->magic = OB_MAGIC;
    header->type = type;
    header->references = 1;
    header->destroy = destroy;
    InsertTailList(&machine->ob->objects, &header->entry);
    return header + 1;
}

static struct ob_header *live(const void *body, const char *routine)
{
    struct ob_header *header = ob_header_of(body);

    if (header->magic != OB_MAGIC || header->references <= 0) {
        const uint64_t parameter[4] = {0, (uint64_t)(uintptr_t)body, 0, 0};

        nt_violation_code(REFERENCE_BY_POINTER, parameter, "object-reference", "%s: %p is no live object", routine,
                          body);
    }
    return header;
}

void ob_reference(void *body)
{
    live(body, "ObReferenceObject")->references++;
}

void ob_dereference(void *body)
{
    struct ob_header *header = live(body, "ObDereferenceObject");

    if (--header->references > 0)
        return;
    if (header->destroy != NULL)
        header->destroy(body);
    ob_name_remove(body);
    RemoveEntryList(&header->entry);
    header->magic = 0;
    if (types[header->type].tag != 0)
        ExFreePoolWithTag(header, types[header->type].tag);
    else
        image_free(header);
}

LONG ob_references(const void *body)
{
    return live(body, "ob_references")->references;
}

enum ob_type ob_type_of(const void *body)
{
    return live(body, "ob_type_of")->type;
}

bool ob_is(const void *body, enum ob_type type)
{
    struct ob_state *ob = machine->ob;

    for (PLIST_ENTRY entry = ob->objects.Flink; entry != &ob->objects; entry = entry->Flink) {
        const struct ob_header *header = CONTAINING_RECORD(entry, struct ob_header, entry);

        if (header + 1 == body)
            return header->type == type;
    }
    return false;
}

void ob_census(struct census *census)
{
    struct ob_state *ob = machine->ob;

    for (PLIST_ENTRY entry = ob->objects.Flink; entry != &ob->objects; entry = entry->Flink) {
        const struct ob_header *header = CONTAINING_RECORD(entry, struct ob_header, entry);

        census_item(census, "object reference", (uint64_t)header->references, NULL, "%s%s%s", types[header->type].name,
                    header->name != NULL ? " " : "", header->name != NULL ? header->name : "");
        census_item(census, "handle", (uint64_t)header->handles, NULL, "%s%s%s", types[header->type].name,
                    header->name != NULL ? " " : "", header->name != NULL ? header->name : "");
    }
}

/* ---- what drivers call ---- */

LONG_PTR NTAPI ObfReferenceObject(PVOID Object)
{
    NT_CALL(DISPATCH_LEVEL);
    ob_reference(Object);
    return ob_header_of(Object)->references;
}

LONG_PTR NTAPI ObfDereferenceObject(PVOID Object)
{
    LONG left;

    NT_CALL(DISPATCH_LEVEL);
    left = live(Object, "ObDereferenceObject")->references - 1;
    ob_dereference(Object);
    return left;
}

LONG_PTR NTAPI ObReferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    UNREFERENCED_PARAMETER(Tag); /* tags serve a debugger's reference trace */
    return ObfReferenceObject(Object);
}

LONG_PTR NTAPI ObDereferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    UNREFERENCED_PARAMETER(Tag);
    return ObfDereferenceObject(Object);
}

NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                          KPROCESSOR_MODE AccessMode)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(DesiredAccess); /* not checked for kernel callers */
    UNREFERENCED_PARAMETER(AccessMode);
    if (ObjectType != NULL && ob_type_of(Object) != ob_type_from_public(ObjectType))
        return STATUS_OBJECT_TYPE_MISMATCH;
    ob_reference(Object);
    return STATUS_SUCCESS;
}
