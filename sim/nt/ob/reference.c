/*
 * Objects by name and pointer: ObReferenceObjectByName, ObOpenObjectByPointer, ObQueryNameString,
 * ObDereferenceObjectDeferDelete (wdm.h, ntifs.h).
 */
#include <string.h>

#include "nt/cm/cm.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"

static bool is_of_type(const void *body, POBJECT_TYPE type)
{
    return type == NULL || ob_type_of(body) == ob_type_from_public(type);
}

NTSTATUS NTAPI ObReferenceObjectByName(PUNICODE_STRING ObjectName, ULONG Attributes, PACCESS_STATE AccessState,
                                       ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                       PVOID ParseContext, PVOID *Object)
{
    NTSTATUS status;
    void *body;

    NT_CALL(PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(Attributes); /* names are never case-sensitive here */
    UNREFERENCED_PARAMETER(AccessState);
    UNREFERENCED_PARAMETER(DesiredAccess); /* kernel callers are granted what they ask for */
    UNREFERENCED_PARAMETER(AccessMode);
    UNREFERENCED_PARAMETER(
        ParseContext); /* for the types that parse the rest of a name, none of which takes one here */
    *Object = NULL;
    status = ob_lookup(ObjectName, &body, NULL);
    if (!NT_SUCCESS(status))
        return status;
    if (!is_of_type(body, ObjectType)) {
        ob_dereference(body);
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    *Object = body; /* with the reference of ob_lookup() */
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes, PACCESS_STATE PassedAccessState,
                                     ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                     PHANDLE Handle)
{
    NT_CALL(PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(PassedAccessState);
    UNREFERENCED_PARAMETER(DesiredAccess);
    *Handle = NULL;
    if (HandleAttributes & ~(ULONG)OBJ_VALID_ATTRIBUTES)
        return STATUS_INVALID_PARAMETER;
    if (ObjectType == NULL && AccessMode != KernelMode)
        return STATUS_OBJECT_TYPE_MISMATCH;
    if (!is_of_type(Object, ObjectType))
        return STATUS_OBJECT_TYPE_MISMATCH;
    return ob_handle_create(Object, Handle);
}

/* The full name in UTF-8 (machine heap), NULL if the object has none. */
static char *full_name(void *body)
{
    const FILE_OBJECT *file = body;
    const char *device;
    char *rest;
    char *name;

    if (ob_type_of(body) != OB_FILE)
        return ob_name(body) != NULL ? image_strdup(ob_name(body)) : NULL;
    device = file->DeviceObject != NULL ? ob_name(file->DeviceObject) : NULL;
    rest = cm_utf8_from_utf16(file->FileName.Buffer, file->FileName.Length / sizeof(WCHAR));
    name = image_printf("%s%s", device != NULL ? device : "", rest);
    image_free(rest);
    return name;
}

NTSTATUS NTAPI ObQueryNameString(PVOID Object, POBJECT_NAME_INFORMATION ObjectNameInfo, ULONG Length,
                                 PULONG ReturnLength)
{
    size_t characters = 0;
    WCHAR *wide = NULL;
    ULONG needed = sizeof(*ObjectNameInfo);
    char *name;

    NT_CALL(PASSIVE_LEVEL);
    name = full_name(Object);
    if (name != NULL) {
        wide = cm_utf16_from_utf8(name, &characters);
        needed += (ULONG)((characters + 1) * sizeof(WCHAR));
        image_free(name);
    }
    *ReturnLength = needed;
    if (Length < needed) {
        image_free(wide);
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    RtlZeroMemory(ObjectNameInfo, sizeof(*ObjectNameInfo));
    if (wide != NULL) {
        ObjectNameInfo->Name.Buffer = (PWCH)(ObjectNameInfo + 1);
        ObjectNameInfo->Name.Length = (USHORT)(characters * sizeof(WCHAR));
        ObjectNameInfo->Name.MaximumLength = (USHORT)((characters + 1) * sizeof(WCHAR));
        memcpy(ObjectNameInfo->Name.Buffer, wide, (characters + 1) * sizeof(WCHAR));
        image_free(wide);
    }
    return STATUS_SUCCESS;
}

/* ---- deferred deletion ---- */

struct deferred_delete {
    WORK_QUEUE_ITEM item;
    PVOID object;
};

static VOID NTAPI delete_later(PVOID parameter)
{
    struct deferred_delete *deferred = parameter;

    ob_dereference(deferred->object);
    image_free(deferred);
}

void ob_dereference_by_worker(void *body)
{
    struct deferred_delete *deferred = image_alloc(sizeof(*deferred));

    deferred->object = body;
    ExInitializeWorkItem(&deferred->item, delete_later, deferred);
    ExQueueWorkItem(&deferred->item, DelayedWorkQueue);
}

/* For callers that hold what the deletion would want: the last reference goes in a worker's thread. */
VOID NTAPI ObDereferenceObjectDeferDelete(PVOID Object)
{
    NT_CALL(DISPATCH_LEVEL);
    if (ob_references(Object) > 1)
        ob_dereference(Object);
    else
        ob_dereference_by_worker(Object);
}
