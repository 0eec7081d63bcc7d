#include "users.h"

#include "bug.h"

VOID UsersInitialize(_Out_ PINTERFACE_USERS Users, _In_z_ const CHAR *Name)
{
    Users->Name = Name;
    Users->Count = 0;
}

VOID UsersEnable(_Inout_ PINTERFACE_USERS Users)
{
    LONG Old = InterlockedCompareExchange(&Users->Count, 1, 0);

    ASSERT(Old == 0);
    UNREFERENCED_PARAMETER(Old);
}

VOID UsersDisable(_Inout_ PINTERFACE_USERS Users)
{
    LONG Old = InterlockedCompareExchange(&Users->Count, 0, 1);

    if (Old == 1)
        return;

    Critical("%s goes while %d client(s) hold it", Users->Name, Old - 1);
    BUG("a client has not released an interface whose provider goes");
}

NTSTATUS UsersAcquire(_Inout_ PINTERFACE_USERS Users)
{
    LONG Old = ReadNoFence(&Users->Count);

    while (Old != 0) {
        LONG Seen = InterlockedCompareExchange(&Users->Count, Old + 1, Old);

        if (Seen == Old)
            return STATUS_SUCCESS;
        Old = Seen;
    }

    Warning("%s is not ready", Users->Name);
    return STATUS_DEVICE_NOT_READY;
}

VOID UsersRelease(_Inout_ PINTERFACE_USERS Users)
{
    LONG Old = InterlockedDecrement(&Users->Count) + 1;

    if (Old >= 2)
        return;

    Critical("%s is released more often than acquired", Users->Name);
    BUG("an interface is released that is not held");
}

ULONG UsersCount(_In_ PINTERFACE_USERS Users)
{
    LONG Count = ReadAcquire(&Users->Count);

    return Count > 1 ? (ULONG)(Count - 1) : 0;
}
