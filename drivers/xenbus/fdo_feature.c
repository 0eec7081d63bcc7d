/*
 * Nodes control/feature-<name>, by which the bus tells the toolstack what it does. One belongs to the bus while it has
 * the power, and is left as it was found.
 */
#include "fdo.h"

PAGED_FUNCTION VOID FdoFeatureBegin(_In_ PXENBUS_FDO Fdo, _Out_ PXENBUS_FEATURE Feature, _In_ PSTR Name)
{
    NTSTATUS Status;

    PAGED_CODE();

    Feature->Name = Name;

    Status = XENBUS_STORE_CALL(&Fdo->StoreInterface, Read, NULL, "control", Name, &Feature->Before);
    Feature->Absent = (Status == STATUS_OBJECT_NAME_NOT_FOUND);
    if (!NT_SUCCESS(Status))
        Feature->Before = NULL;
}

PAGED_FUNCTION NTSTATUS FdoFeatureAnnounce(_In_ PXENBUS_FDO Fdo, _In_ PXENBUS_FEATURE Feature)
{
    PAGED_CODE();

    return XENBUS_STORE_CALL(&Fdo->StoreInterface, Printf, NULL, "control", Feature->Name, "%u", 1);
}

PAGED_FUNCTION VOID FdoFeatureEnd(_In_ PXENBUS_FDO Fdo, _Inout_ PXENBUS_FEATURE Feature)
{
    PAGED_CODE();

    if (Feature->Absent) {
        (VOID) XENBUS_STORE_CALL(&Fdo->StoreInterface, Remove, NULL, "control", Feature->Name);
        return;
    }

    /* Of one that could not be read, nothing: where a toolstack has made it, the guest may not make it again. */
    (VOID) XENBUS_STORE_CALL(&Fdo->StoreInterface, Printf, NULL, "control", Feature->Name, "%s",
                             Feature->Before != NULL ? Feature->Before : "");
    if (Feature->Before != NULL)
        XENBUS_STORE_CALL(&Fdo->StoreInterface, Free, Feature->Before);
    Feature->Before = NULL;
}
