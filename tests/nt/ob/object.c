/*
 * Objects, their references and handles: ObReferenceObjectByHandle, ObReferenceObjectByPointer, ObReferenceObject,
 * ObDereferenceObject, ZwClose; events by handle: ZwCreateEvent, ZwOpenEvent, ZwSetEvent, ZwResetEvent, ZwClearEvent,
 * IoCreateNotificationEvent, IoCreateSynchronizationEvent.
 */
#include "nttest.h"

#define NAME L"\\BaseNamedObjects\\NtTestEvent"

static HANDLE CreateEvent(PCWSTR Name, ULONG Flags, EVENT_TYPE Type, BOOLEAN State, NTSTATUS *Status)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING String;
    HANDLE Handle = NULL;

    RtlInitUnicodeString(&String, Name);
    InitializeObjectAttributes(&Attributes, Name != NULL ? &String : NULL, OBJ_KERNEL_HANDLE | Flags, NULL, NULL);
    *Status = ZwCreateEvent(&Handle, EVENT_ALL_ACCESS, &Attributes, Type, State);
    return Handle;
}

static PKEVENT EventOf(HANDLE Handle)
{
    PVOID Event = NULL;

    CHECK(ObReferenceObjectByHandle(Handle, EVENT_ALL_ACCESS, *ExEventObjectType, KernelMode, &Event, NULL) ==
          STATUS_SUCCESS);
    return Event;
}

/* ---- references ---- */

static VOID ObjectByHandle(VOID)
{
    OBJECT_HANDLE_INFORMATION Information;
    PVOID Object = (PVOID)1;
    NTSTATUS Status;
    HANDLE Handle = CreateEvent(NULL, 0, NotificationEvent, TRUE, &Status);

    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_STATUS(
        ObReferenceObjectByHandle(Handle, EVENT_MODIFY_STATE, *ExEventObjectType, KernelMode, &Object, &Information),
        STATUS_SUCCESS);
    EXPECT_TRUE(KeReadStateEvent(Object) != 0); /* it is the event */
    ObDereferenceObject(Object);
    EXPECT_STATUS(ObReferenceObjectByHandle(Handle, 0, NULL, KernelMode, &Object, NULL), STATUS_SUCCESS); /* any type */
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_TRUE(KeReadStateEvent(Object) != 0); /* the reference keeps it, without a handle */
    ObDereferenceObject(Object);
    EXPECT_STATUS(ObReferenceObjectByHandle(Handle, 0, NULL, KernelMode, &Object, NULL), STATUS_INVALID_HANDLE);
    EXPECT_TRUE(Object == NULL);
}

static VOID ObjectOfAnotherType(VOID)
{
    PVOID Object;
    NTSTATUS Status;
    HANDLE Handle = CreateEvent(NULL, 0, NotificationEvent, FALSE, &Status);
    PKEVENT Event = EventOf(Handle);

    REQUIRE(Event != NULL);
    EXPECT_STATUS(ObReferenceObjectByHandle(Handle, 0, *PsThreadType, KernelMode, &Object, NULL),
                  STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT_STATUS(ObReferenceObjectByPointer(Event, 0, *PsThreadType, KernelMode), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT_STATUS(ObReferenceObjectByPointer(Event, 0, *ExEventObjectType, KernelMode), STATUS_SUCCESS);
    ObDereferenceObject(Event);
    ObDereferenceObject(Event);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
}

static VOID ObjectReferencesAtDispatchLevel(VOID)
{
    NTSTATUS Status;
    HANDLE Handle = CreateEvent(NULL, 0, NotificationEvent, TRUE, &Status);
    PKEVENT Event = EventOf(Handle);
    KIRQL Irql;

    REQUIRE(Event != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_STATUS(ObReferenceObjectByPointer(Event, 0, *ExEventObjectType, KernelMode), STATUS_SUCCESS);
    (VOID) ObReferenceObject(Event);
    (VOID) ObReferenceObjectWithTag(Event, TEST_TAG);
    (VOID) ObDereferenceObject(Event);
    (VOID) ObDereferenceObjectWithTag(Event, TEST_TAG);
    (VOID) ObDereferenceObject(Event);
    KeLowerIrql(Irql);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_TRUE(KeReadStateEvent(Event) != 0); /* each reference taken has been given back, and this one is left */
    ObDereferenceObject(Event);
}

static VOID ObjectDereferencedTooOften(VOID)
{
    NTSTATUS Status;
    HANDLE Handle = CreateEvent(NULL, 0, NotificationEvent, TRUE, &Status);
    PKEVENT Event = EventOf(Handle);

    (VOID) ZwClose(Handle);
    ObDereferenceObject(Event);
    ObDereferenceObject(Event);
}

static VOID HandleClosedTwice(VOID)
{
    NTSTATUS Status;
    HANDLE Handle = CreateEvent(NULL, 0, NotificationEvent, TRUE, &Status);

    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    (VOID) ZwClose(Handle);
}

/* ---- events by handle ---- */

static VOID EventByHandle(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    NTSTATUS Status;
    HANDLE Handle = CreateEvent(NULL, 0, SynchronizationEvent, FALSE, &Status);
    LONG Before = 77;

    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_STATUS(ZwSetEvent(Handle, &Before), STATUS_SUCCESS);
    EXPECT_EQUAL(Before, 0);
    EXPECT_STATUS(ZwSetEvent(Handle, &Before), STATUS_SUCCESS);
    EXPECT_TRUE(Before != 0);
    EXPECT_STATUS(ZwWaitForSingleObject(Handle, FALSE, &Zero), STATUS_SUCCESS);
    EXPECT_STATUS(ZwWaitForSingleObject(Handle, FALSE, &Zero), STATUS_TIMEOUT);
    EXPECT_STATUS(ZwSetEvent(Handle, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(ZwResetEvent(Handle, &Before), STATUS_SUCCESS);
    EXPECT_TRUE(Before != 0);
    EXPECT_STATUS(ZwWaitForSingleObject(Handle, FALSE, &Zero), STATUS_TIMEOUT);
    EXPECT_STATUS(ZwSetEvent(Handle, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClearEvent(Handle), STATUS_SUCCESS);
    EXPECT_STATUS(ZwWaitForSingleObject(Handle, FALSE, &Zero), STATUS_TIMEOUT);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    EXPECT_STATUS(ZwSetEvent(Handle, NULL), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwResetEvent(Handle, NULL), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwClearEvent(Handle), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwWaitForSingleObject(Handle, FALSE, &Zero), STATUS_INVALID_HANDLE);
}

static VOID EventByName(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    NTSTATUS Status;
    HANDLE Handle[2] = {NULL, NULL};
    PKEVENT Event[2];

    RtlInitUnicodeString(&Name, NAME);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE, NULL, NULL);
    EXPECT_STATUS(ZwOpenEvent(&Handle[0], EVENT_ALL_ACCESS, &Attributes), STATUS_OBJECT_NAME_NOT_FOUND);
    Handle[0] = CreateEvent(NAME, 0, NotificationEvent, TRUE, &Status);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    (VOID) CreateEvent(NAME, 0, NotificationEvent, TRUE, &Status);
    EXPECT_STATUS(Status, STATUS_OBJECT_NAME_COLLISION);
    EXPECT_STATUS(ZwOpenEvent(&Handle[1], EVENT_ALL_ACCESS, &Attributes), STATUS_SUCCESS);
    Event[0] = EventOf(Handle[0]);
    Event[1] = EventOf(Handle[1]);
    EXPECT_TRUE(Event[0] == Event[1]);
    ObDereferenceObject(Event[0]);
    ObDereferenceObject(Event[1]);
    EXPECT_STATUS(ZwClose(Handle[1]), STATUS_SUCCESS);
    Handle[1] = CreateEvent(NAME, OBJ_OPENIF, NotificationEvent, FALSE, &Status); /* the one that is there */
    EXPECT_STATUS(Status, STATUS_OBJECT_NAME_EXISTS);
    EXPECT_STATUS(ZwClose(Handle[1]), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Handle[0]), STATUS_SUCCESS);
    EXPECT_STATUS(ZwOpenEvent(&Handle[0], EVENT_ALL_ACCESS, &Attributes), STATUS_OBJECT_NAME_NOT_FOUND);
}

/* The first call makes it, signalled; the next one opens it. */
static VOID EventOfTheIoManager(VOID)
{
    HANDLE Handle[2] = {NULL, NULL};
    UNICODE_STRING Name;
    PKEVENT Event[2];

    RtlInitUnicodeString(&Name, NAME);
    Event[0] = IoCreateNotificationEvent(&Name, &Handle[0]);
    REQUIRE(Event[0] != NULL);
    EXPECT_TRUE(KeReadStateEvent(Event[0]) != 0);
    Event[1] = IoCreateNotificationEvent(&Name, &Handle[1]);
    EXPECT_TRUE(Event[1] == Event[0]);
    (VOID) KeWaitForSingleObject(Event[0], Executive, KernelMode, FALSE, NULL);
    EXPECT_TRUE(KeReadStateEvent(Event[0]) != 0); /* a wait leaves it */
    KeClearEvent(Event[0]);
    EXPECT_EQUAL(KeReadStateEvent(Event[1]), 0);
    EXPECT_STATUS(ZwClose(Handle[1]), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Handle[0]), STATUS_SUCCESS);

    RtlInitUnicodeString(&Name, NAME L"Synchronization");
    Event[0] = IoCreateSynchronizationEvent(&Name, &Handle[0]);
    REQUIRE(Event[0] != NULL);
    EXPECT_TRUE(KeReadStateEvent(Event[0]) != 0);
    Event[1] = IoCreateSynchronizationEvent(&Name, &Handle[1]);
    EXPECT_TRUE(Event[1] == Event[0]);
    (VOID) KeWaitForSingleObject(Event[0], Executive, KernelMode, FALSE, NULL);
    EXPECT_EQUAL(KeReadStateEvent(Event[0]), 0); /* a wait takes it */
    EXPECT_STATUS(ZwClose(Handle[1]), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Handle[0]), STATUS_SUCCESS);
}

TEST_TABLE(ob_object){
    TEST(ObjectByHandle, 0),
    TEST(ObjectOfAnotherType, 0),
    TEST(ObjectReferencesAtDispatchLevel, 0),
    TEST_VIOLATION(ObjectDereferencedTooOften, "object-reference", 0x18),
    TEST_VIOLATION(HandleClosedTwice, "handle-invalid", 0),
    TEST(EventByHandle, 0),
    TEST(EventByName, 0),
    TEST(EventOfTheIoManager, 0),
    TEST_END,
};
