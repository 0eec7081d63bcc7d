/* Objects and their references. */
#include <stdio.h>

#include "image/loader.h"
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

/* It may be memory that has been freed: that is what this is to find out, so AddressSanitizer has no say. */
__attribute__((no_sanitize("address"))) static bool is_live(const struct ob_header *header)
{
    return header->magic == OB_MAGIC && header->references > 0;
}

static struct ob_header *live(const void *body, const char *routine)
{
    struct ob_header *header = ob_header_of(body);

    if (!is_live(header)) {
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

static void forget_holders(struct ob_header *header)
{
    while (header->holders != NULL) {
        struct ob_holder *holder = header->holders;

        header->holders = holder->next;
        image_free(holder);
    }
}

void ob_note_holder(void *body, LONG change, const void *caller)
{
    const struct loader_module *module = loader_find(caller);
    struct ob_header *header = ob_header_of(body);
    struct ob_holder *holder = header->holders;
    const void *base;

    if (module == NULL)
        return;
    base = loader_module_base(module);
    while (holder != NULL && holder->base != base)
        holder = holder->next;
    if (holder == NULL) {
        holder = image_alloc(sizeof(*holder));
        *holder = (struct ob_holder){.next = header->holders, .base = base};
        header->holders = holder;
    }
    holder->references += change;
    if (change > 0)
        holder->caller = caller;
}

void ob_dereference(void *body)
{
    struct ob_header *header = live(body, "ObDereferenceObject");

    /* The end of a file object is told to its driver, at PASSIVE_LEVEL. */
    if (header->references == 1 && header->type == OB_FILE && ke_irql() > PASSIVE_LEVEL) {
        ob_dereference_by_worker(body);
        return;
    }
    if (--header->references > 0)
        return;
    forget_holders(header); /* before its driver may go with it, and be asked what it holds */
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

const char *ob_described(const void *body)
{
    const struct ob_header *header = ob_header_of(body);
    static _Thread_local char text[120];

    snprintf(text, sizeof(text), "%s%s%s", types[header->type].name, header->name != NULL ? " " : "",
             header->name != NULL ? header->name : "");
    return text;
}

/* References that a driver took for itself: none that others gave back for it. */
static void holders_census(struct census *census, const struct ob_header *header)
{
    LONG all = 0;

    for (const struct ob_holder *holder = header->holders; holder != NULL; holder = holder->next)
        all += holder->references;
    for (const struct ob_holder *holder = header->holders; holder != NULL && all > 0; holder = holder->next)
        if (holder->references > 0)
            census_item(census, "object reference", (uint64_t)(holder->references < all ? holder->references : all),
                        holder->caller, "%s", ob_described(header + 1));
}

void ob_census(struct census *census)
{
    struct ob_state *ob = machine->ob;

    ob_handle_census(census);

    for (PLIST_ENTRY entry = ob->objects.Flink; entry != &ob->objects; entry = entry->Flink) {
        const struct ob_header *header = CONTAINING_RECORD(entry, struct ob_header, entry);

        if (census_is_by_caller(census))
            holders_census(census, header);
        else
            census_item(census, "object reference", (uint64_t)header->references, NULL, "%s", ob_described(header + 1));
    }
}

/* ---- what drivers call ---- */

LONG_PTR NTAPI ObfReferenceObject(PVOID Object)
{
    NT_CALL(DISPATCH_LEVEL);
    ob_reference(Object);
    ob_note_holder(Object, 1, __builtin_return_address(0));
    return ob_header_of(Object)->references;
}

LONG_PTR NTAPI ObfDereferenceObject(PVOID Object)
{
    LONG left;

    NT_CALL(DISPATCH_LEVEL);
    left = live(Object, "ObDereferenceObject")->references - 1;
    ob_note_holder(Object, -1, __builtin_return_address(0));
    ob_dereference(Object);
    return left;
}

LONG_PTR NTAPI ObReferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(Tag); /* tags serve a debugger's reference trace */
    ob_reference(Object);
    ob_note_holder(Object, 1, __builtin_return_address(0));
    return ob_header_of(Object)->references;
}

LONG_PTR NTAPI ObDereferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    LONG left;

    NT_CALL(DISPATCH_LEVEL);
    UNREFERENCED_PARAMETER(Tag);
    left = live(Object, "ObDereferenceObjectWithTag")->references - 1;
    ob_note_holder(Object, -1, __builtin_return_address(0));
    ob_dereference(Object);
    return left;
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
    ob_note_holder(Object, 1, __builtin_return_address(0));
    return STATUS_SUCCESS;
}
