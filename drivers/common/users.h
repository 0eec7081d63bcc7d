/*
 * Who uses an interface: the reference count behind every Acquire and Release, and the rule that a provider does not go
 * while a client still holds it.
 *
 * A count of 0 is a provider that is not enabled; enabling makes it 1 and each Acquire adds one. All routines may be
 * called at any IRQL and need no lock.
 */
#ifndef DRIVER_USERS_H
#define DRIVER_USERS_H

#include "compat.h"

typedef struct _INTERFACE_USERS {
    const CHAR *Name;
    LONG volatile Count;
} INTERFACE_USERS, *PINTERFACE_USERS;

/* Not enabled: UsersAcquire fails. Name, a string constant, is how reports call the interface. */
VOID UsersInitialize(_Out_ PINTERFACE_USERS Users, _In_z_ const CHAR *Name);

/* The provider is ready for clients. */
VOID UsersEnable(_Inout_ PINTERFACE_USERS Users);

/*
 * The provider is about to go. A client that has not released its interface would call into freed memory later, so
 * that is a bugcheck here and now, with the interface's name in the log.
 */
VOID UsersDisable(_Inout_ PINTERFACE_USERS Users);

/* STATUS_DEVICE_NOT_READY: the provider is not enabled. */
_Must_inspect_result_ NTSTATUS UsersAcquire(_Inout_ PINTERFACE_USERS Users);
VOID UsersRelease(_Inout_ PINTERFACE_USERS Users);

/* How many clients hold the interface now. */
ULONG UsersCount(_In_ PINTERFACE_USERS Users);

#endif /* DRIVER_USERS_H */
