/* Handles. There is one table: the system process's. */
#include "image/loader.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"

static struct ob_handle *slot_of(HANDLE handle)
{
    struct ob_state *ob = machine->ob;
    uintptr_t value = (uintptr_t)handle;

    if (value == 0 || value % 4 != 0 || value / 4 > ob->handle_count)
        return NULL;
    return &ob->handles[value / 4 - 1];
}

NTSTATUS ob_handle_create(void *body, PHANDLE handle)
{
    struct ob_state *ob = machine->ob;
    unsigned index = 0;

    while (index < ob->handle_count && ob->handles[index].body != NULL)
        index++;
    if (index == OB_HANDLES_MAX)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (index == ob->handle_count) {
        if (ob->handle_count == ob->handle_capacity) {
            ob->handle_capacity = ob->handle_capacity == 0 ? 64 : ob->handle_capacity * 2;
            ob->handles = image_realloc(ob->handles, ob->handle_capacity * sizeof(*ob->handles));
        }
        ob->handle_count++;
    }
    ob_reference(body);
    ob_header_of(body)->handles++;
    ob->handles[index] = (struct ob_handle){body, loader_calling_driver()};
    *handle = (HANDLE)(uintptr_t)((index + 1) * 4);
    return STATUS_SUCCESS;
}

NTSTATUS ob_handle_lookup(HANDLE handle, void **body)
{
    const struct ob_handle *slot = slot_of(handle);

    if (slot == NULL || slot->body == NULL)
        return STATUS_INVALID_HANDLE;
    ob_reference(slot->body);
    *body = slot->body;
    return STATUS_SUCCESS;
}

void ob_handle_on_close(enum ob_type type, void (*closed)(void *body))
{
    machine->ob->on_close[type] = closed;
}

NTSTATUS NTAPI ZwClose(HANDLE Handle)
{
    struct ob_handle *slot;
    void *body;
    enum ob_type type;

    NT_CALL(PASSIVE_LEVEL);
    slot = slot_of(Handle);
    if (slot == NULL || slot->body == NULL)
        nt_violation_code(INVALID_KERNEL_HANDLE, (uint64_t[4]){(uintptr_t)Handle, 1}, "handle-invalid",
                          "ZwClose: %p is no open handle", Handle);
    body = slot->body;
    slot->body = NULL;
    ob_header_of(body)->handles--;
    type = ob_type_of(body);
    if (machine->ob->on_close[type] != NULL)
        machine->ob->on_close[type](body);
    ob_dereference(body);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                         KPROCESSOR_MODE AccessMode, PVOID *Object,
                                         POBJECT_HANDLE_INFORMATION HandleInformation)
{
    NTSTATUS status;
    void *body;

    NT_CALL(PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(DesiredAccess); /* handles of the system process grant everything */
    UNREFERENCED_PARAMETER(AccessMode);
    *Object = NULL;
    status = ob_handle_lookup(Handle, &body);
    if (!NT_SUCCESS(status))
        return status;
    if (ObjectType != NULL && ob_type_of(body) != ob_type_from_public(ObjectType)) {
        ob_dereference(body);
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (HandleInformation != NULL) {
        HandleInformation->HandleAttributes = 0;
        HandleInformation->GrantedAccess = GENERIC_ALL;
    }
    ob_note_holder(body, 1, __builtin_return_address(0));
    *Object = body;
    return STATUS_SUCCESS;
}

void ob_handle_census(struct census *census)
{
    const struct ob_state *ob = machine->ob;

    for (unsigned index = 0; index < ob->handle_count; index++) {
        const struct ob_handle *slot = &ob->handles[index];

        if (slot->body != NULL)
            census_item(census, "handle", 1, slot->caller, "%s", ob_described(slot->body));
    }
}
