/* Callback objects: "Callback Objects", ExCreateCallback, ExRegisterCallback, ExNotifyCallback, ExUnregisterCallback.
 */
#include "nttest.h"

static LONG volatile Order;
static LONG Argument1;
static LONG Argument2;

typedef struct _LISTENER {
    LONG volatile Calls;
    LONG volatile Order; /* of its last call among all */
    KIRQL volatile Irql;
} LISTENER;

static VOID NTAPI Listen(PVOID CallbackContext, PVOID First, PVOID Second)
{
    LISTENER *Listener = CallbackContext;

    CHECK(First == &Argument1);
    CHECK(Second == &Argument2);
    Listener->Irql = KeGetCurrentIrql();
    Listener->Order = InterlockedIncrement(&Order);
    (VOID) InterlockedIncrement(&Listener->Calls);
}

static NTSTATUS Open(PCALLBACK_OBJECT *Object, PCWSTR ObjectName, ULONG Attributes, BOOLEAN Create, BOOLEAN Multiple)
{
    OBJECT_ATTRIBUTES ObjectAttributes;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, ObjectName);
    InitializeObjectAttributes(&ObjectAttributes, &Name, OBJ_CASE_INSENSITIVE | Attributes, NULL, NULL);
    return ExCreateCallback(Object, &ObjectAttributes, Create, Multiple);
}

/* ---- objects ---- */

/* Created under a name, opened by it, the system's own too; an object that is not there is created if that is wanted.
 */
static VOID CallbackCreatedAndOpened(VOID)
{
    PCALLBACK_OBJECT Created;
    PCALLBACK_OBJECT Opened;
    PCALLBACK_OBJECT System;

    EXPECT_FALSE(NT_SUCCESS(Open(&Opened, L"\\Callback\\NtTestCreated", 0, FALSE, TRUE)));
    EXPECT_STATUS(Open(&Created, L"\\Callback\\NtTestCreated", 0, TRUE, TRUE), STATUS_SUCCESS);
    EXPECT_STATUS(Open(&Opened, L"\\Callback\\NtTestCreated", 0, FALSE, FALSE), STATUS_SUCCESS);
    EXPECT_TRUE(Opened == Created);
    ObDereferenceObject(Opened);
    EXPECT_STATUS(Open(&Opened, L"\\Callback\\NtTestCreated", 0, TRUE, FALSE), STATUS_SUCCESS); /* opens it as well */
    EXPECT_TRUE(Opened == Created);
    ObDereferenceObject(Opened);
    ObDereferenceObject(Created);
    EXPECT_FALSE(NT_SUCCESS(Open(&Opened, L"\\Callback\\NtTestCreated", 0, FALSE, TRUE))); /* it was not permanent */
    EXPECT_STATUS(Open(&System, L"\\Callback\\SetSystemTime", 0, FALSE, TRUE), STATUS_SUCCESS);
    ObDereferenceObject(System);
    EXPECT_STATUS(Open(&System, L"\\Callback\\PowerState", 0, FALSE, TRUE), STATUS_SUCCESS);
    ObDereferenceObject(System);
}

/* The root of a name is an object directory. */
static VOID CallbackBelowAHandle(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"NtTestBelow");
    OBJECT_ATTRIBUTES Attributes;
    PCALLBACK_OBJECT Object = NULL;
    HANDLE Event;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    REQUIRE(NT_SUCCESS(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE)));
    InitializeObjectAttributes(&Attributes, &Name, OBJ_CASE_INSENSITIVE, Event, NULL);
    EXPECT_STATUS(ExCreateCallback(&Object, &Attributes, TRUE, TRUE), STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT_TRUE(NT_SUCCESS(ZwClose(Event)));
}

/* An object without a name is not permitted. */
static VOID CallbackUnnamed(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    PCALLBACK_OBJECT Object = NULL;

    InitializeObjectAttributes(&Attributes, NULL, 0, NULL, NULL);
    EXPECT_STATUS(ExCreateCallback(&Object, &Attributes, TRUE, TRUE), STATUS_UNSUCCESSFUL);
}

/* ---- notification ---- */

/* All that are registered are called, in the order of their registration, with the arguments given. */
static VOID CallbackNotifies(VOID)
{
    LISTENER Listener[3] = {{.Calls = 0}};
    PVOID Registration[3];
    PCALLBACK_OBJECT Object;
    ULONG Index;

    REQUIRE(NT_SUCCESS(Open(&Object, L"\\Callback\\NtTestNotifies", 0, TRUE, TRUE)));
    ExNotifyCallback(Object, &Argument1, &Argument2); /* nobody listens */
    for (Index = 0; Index < 3; Index++) {
        Registration[Index] = ExRegisterCallback(Object, Listen, &Listener[Index]);
        EXPECT_TRUE(Registration[Index] != NULL);
    }
    ExNotifyCallback(Object, &Argument1, &Argument2);
    for (Index = 0; Index < 3; Index++)
        EXPECT_EQUAL(Listener[Index].Calls, 1);
    EXPECT_TRUE(Listener[0].Order < Listener[1].Order && Listener[1].Order < Listener[2].Order);
    ExUnregisterCallback(Registration[1]);
    ExNotifyCallback(Object, &Argument1, &Argument2);
    EXPECT_EQUAL(Listener[0].Calls, 2);
    EXPECT_EQUAL(Listener[1].Calls, 1);
    EXPECT_EQUAL(Listener[2].Calls, 2);
    ExUnregisterCallback(Registration[0]);
    ExUnregisterCallback(Registration[2]);
    ExNotifyCallback(Object, &Argument1, &Argument2);
    EXPECT_EQUAL(Listener[0].Calls, 2);
    ObDereferenceObject(Object);
}

static VOID CallbackOneOnly(VOID)
{
    LISTENER Listener = {.Calls = 0};
    PCALLBACK_OBJECT Object;
    PVOID Registration;

    REQUIRE(NT_SUCCESS(Open(&Object, L"\\Callback\\NtTestOneOnly", 0, TRUE, FALSE)));
    Registration = ExRegisterCallback(Object, Listen, &Listener);
    EXPECT_TRUE(Registration != NULL);
    EXPECT_TRUE(ExRegisterCallback(Object, Listen, &Listener) == NULL);
    ExUnregisterCallback(Registration);
    Registration = ExRegisterCallback(Object, Listen, &Listener);
    EXPECT_TRUE(Registration != NULL);
    ExUnregisterCallback(Registration);
    ObDereferenceObject(Object);
}

/* Routines are called at the level of whoever notifies. */
static VOID CallbackAtDispatchLevel(VOID)
{
    LISTENER Listener = {.Calls = 0};
    PCALLBACK_OBJECT Object;
    PVOID Registration;
    KIRQL Irql;

    REQUIRE(NT_SUCCESS(Open(&Object, L"\\Callback\\NtTestDispatch", 0, TRUE, TRUE)));
    Registration = ExRegisterCallback(Object, Listen, &Listener);
    REQUIRE(Registration != NULL);
    ExNotifyCallback(Object, &Argument1, &Argument2);
    EXPECT_EQUAL(Listener.Irql, PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ExNotifyCallback(Object, &Argument1, &Argument2);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Listener.Irql, DISPATCH_LEVEL);
    EXPECT_EQUAL(Listener.Calls, 2);
    ExUnregisterCallback(Registration);
    ObDereferenceObject(Object);
}

static VOID CallbackAtApcLevel(VOID)
{
    LISTENER Listener = {.Calls = 0};
    PCALLBACK_OBJECT Object = NULL;
    PVOID Registration;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_STATUS(Open(&Object, L"\\Callback\\NtTestApc", 0, TRUE, TRUE), STATUS_SUCCESS);
    if (Object != NULL) {
        Registration = ExRegisterCallback(Object, Listen, &Listener);
        EXPECT_TRUE(Registration != NULL);
        ExUnregisterCallback(Registration);
        ObDereferenceObject(Object);
    }
    KeLowerIrql(Irql);
}

/* ---- taking a routine out while it is called ---- */

static struct {
    KEVENT Called;
    KEVENT Return;
    LONG volatile Returned;
    PCALLBACK_OBJECT Object;
} Slow;

static VOID NTAPI ListenSlowly(PVOID CallbackContext, PVOID First, PVOID Second)
{
    UNREFERENCED_PARAMETER(CallbackContext);
    UNREFERENCED_PARAMETER(First);
    UNREFERENCED_PARAMETER(Second);
    (VOID) KeSetEvent(&Slow.Called, IO_NO_INCREMENT, FALSE);
    (VOID) KeWaitForSingleObject(&Slow.Return, Executive, KernelMode, FALSE, NULL);
    SleepMilliseconds(20);
    (VOID) InterlockedIncrement(&Slow.Returned);
}

static VOID NTAPI NotifySlow(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    ExNotifyCallback(Slow.Object, NULL, NULL);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ExUnregisterCallback is back when no call of the routine is under way. */
static VOID CallbackUnregisterWaits(VOID)
{
    PVOID Registration;
    PVOID Thread;

    REQUIRE(NT_SUCCESS(Open(&Slow.Object, L"\\Callback\\NtTestWaits", 0, TRUE, TRUE)));
    KeInitializeEvent(&Slow.Called, NotificationEvent, FALSE);
    KeInitializeEvent(&Slow.Return, NotificationEvent, FALSE);
    Slow.Returned = 0;
    Registration = ExRegisterCallback(Slow.Object, ListenSlowly, NULL);
    REQUIRE(Registration != NULL);
    Thread = TestStart(NotifySlow, NULL);
    (VOID) KeWaitForSingleObject(&Slow.Called, Executive, KernelMode, FALSE, NULL);
    (VOID) KeSetEvent(&Slow.Return, IO_NO_INCREMENT, FALSE);
    ExUnregisterCallback(Registration);
    EXPECT_EQUAL(Slow.Returned, 1);
    TestJoin(Thread);
    ObDereferenceObject(Slow.Object);
}

/* ---- broken rules ---- */

static VOID CallbackUnregisteredTwice(VOID)
{
    LISTENER Listener = {.Calls = 0};
    PCALLBACK_OBJECT Object;
    PVOID Registration;

    REQUIRE(NT_SUCCESS(Open(&Object, L"\\Callback\\NtTestTwice", 0, TRUE, TRUE)));
    Registration = ExRegisterCallback(Object, Listen, &Listener);
    ExUnregisterCallback(Registration);
    ExUnregisterCallback(Registration);
}

TEST_TABLE(ex_callback){
    TEST(CallbackCreatedAndOpened, 0),
    TEST(CallbackUnnamed, 0),
    TEST(CallbackBelowAHandle, 0),
    TEST(CallbackNotifies, 0),
    TEST(CallbackOneOnly, 0),
    TEST(CallbackAtDispatchLevel, 0),
    TEST(CallbackAtApcLevel, 0),
    TEST(CallbackUnregisterWaits, TEST_SCHEDULES),
    TEST_VIOLATION(CallbackUnregisteredTwice, "callback-unregister", 0),
    TEST_END,
};
