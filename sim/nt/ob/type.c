/* The object types that drivers name: PsThreadType and its like. */
#include "nt/ke/ke.h"
#include "nt/ob/ob_internal.h"

struct _OBJECT_TYPE {
    enum ob_type type;
};

static const struct _OBJECT_TYPE public_types[OB_TYPE_COUNT] = {
    [OB_DEVICE] = {OB_DEVICE},       [OB_DRIVER] = {OB_DRIVER},     [OB_FILE] = {OB_FILE},
    [OB_THREAD] = {OB_THREAD},       [OB_EVENT] = {OB_EVENT},       [OB_KEY] = {OB_KEY},
    [OB_INTERRUPT] = {OB_INTERRUPT}, [OB_CALLBACK] = {OB_CALLBACK}, [OB_SYMBOLIC_LINK] = {OB_SYMBOLIC_LINK},
};

static const POBJECT_TYPE public_pointers[OB_TYPE_COUNT] = {
    [OB_DEVICE] = (POBJECT_TYPE)&public_types[OB_DEVICE], [OB_DRIVER] = (POBJECT_TYPE)&public_types[OB_DRIVER],
    [OB_FILE] = (POBJECT_TYPE)&public_types[OB_FILE],     [OB_THREAD] = (POBJECT_TYPE)&public_types[OB_THREAD],
    [OB_EVENT] = (POBJECT_TYPE)&public_types[OB_EVENT],   [OB_KEY] = (POBJECT_TYPE)&public_types[OB_KEY],
};

enum ob_type ob_type_from_public(POBJECT_TYPE type)
{
    return type->type;
}

POBJECT_TYPE *NTAPI KxObjectType(ULONG Which)
{
    switch (Which) {
    case KX_OBJECT_TYPE_EVENT:
        return (POBJECT_TYPE *)&public_pointers[OB_EVENT];
    case KX_OBJECT_TYPE_THREAD:
        return (POBJECT_TYPE *)&public_pointers[OB_THREAD];
    case KX_OBJECT_TYPE_FILE:
        return (POBJECT_TYPE *)&public_pointers[OB_FILE];
    case KX_OBJECT_TYPE_DEVICE:
        return (POBJECT_TYPE *)&public_pointers[OB_DEVICE];
    case KX_OBJECT_TYPE_DRIVER:
        return (POBJECT_TYPE *)&public_pointers[OB_DRIVER];
    case KX_OBJECT_TYPE_KEY:
        return (POBJECT_TYPE *)&public_pointers[OB_KEY];
    default:
        NT_UNIMPLEMENTED("this object type (those of events, threads, files, devices, drivers and keys are),");
    }
}
