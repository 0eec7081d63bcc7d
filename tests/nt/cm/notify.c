/*
 * ZwNotifyChangeKey and ZwOpenKeyEx. What IoStatusBlock says of a change is not on the page; Windows gives the statuses
 * that are observed here.
 */
#include "nttest.h"

#if defined(__MINGW32__) /* its driver headers (version 10) lack the flags */
TEST_TABLE(cm_notify){TEST_END};
#else

#define BASE L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\nttest\\Notify"

static HANDLE Create(PCWSTR Path)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    HANDLE Key = NULL;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    CHECK(ZwCreateKey(&Key, KEY_ALL_ACCESS, &Attributes, 0, NULL, REG_OPTION_VOLATILE, NULL) == STATUS_SUCCESS);
    return Key;
}

static VOID Set(HANDLE Key, ULONG Value)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, L"Value");
    CHECK(ZwSetValueKey(Key, &Name, 0, REG_DWORD, &Value, sizeof(Value)) == STATUS_SUCCESS);
}

/* In kernel mode the request completes by a work item, for want of user APCs. */
typedef struct _REQUEST {
    WORK_QUEUE_ITEM Item;
    KEVENT Done;
    IO_STATUS_BLOCK Result;
} REQUEST;

static VOID NTAPI OnChange(PVOID Parameter)
{
    REQUEST *Request = Parameter;

    (VOID) KeSetEvent(&Request->Done, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS Watch(REQUEST *Request, HANDLE Key, ULONG Filter, BOOLEAN Tree)
{
    RtlZeroMemory(Request, sizeof(*Request));
    KeInitializeEvent(&Request->Done, NotificationEvent, FALSE);
    ExInitializeWorkItem(&Request->Item, OnChange, Request);
    return ZwNotifyChangeKey(Key, NULL, (PIO_APC_ROUTINE)(ULONG_PTR)&Request->Item, (PVOID)(ULONG_PTR)DelayedWorkQueue,
                             &Request->Result, Filter, Tree, NULL, 0, TRUE);
}

static BOOLEAN Done(REQUEST *Request)
{
    LARGE_INTEGER Timeout = InMilliseconds(50);

    return KeWaitForSingleObject(&Request->Done, Executive, KernelMode, FALSE, &Timeout) == STATUS_SUCCESS;
}

static VOID NotifyOfAValue(VOID)
{
    HANDLE Key = Create(BASE);
    REQUEST Value, Name;

    REQUIRE(Key != NULL);
    EXPECT_STATUS(Watch(&Value, Key, REG_NOTIFY_CHANGE_LAST_SET, FALSE), STATUS_PENDING);
    EXPECT_STATUS(Watch(&Name, Key, REG_NOTIFY_CHANGE_NAME, FALSE), STATUS_PENDING);
    EXPECT_FALSE(Done(&Value));
    Set(Key, 1);
    EXPECT_TRUE(Done(&Value));
    EXPECT_STATUS(Value.Result.Status, STATUS_NOTIFY_ENUM_DIR);
    EXPECT_FALSE(Done(&Name));
    Value.Result.Status = STATUS_PENDING;
    Set(Key, 2); /* the request was for one change */
    EXPECT_STATUS(Value.Result.Status, STATUS_PENDING);
    CHECK(ZwDeleteKey(Key) == STATUS_SUCCESS);
    EXPECT_TRUE(Done(&Name));
    (VOID) ZwClose(Key);
}

static VOID NotifyOfSubkeys(VOID)
{
    HANDLE Key = Create(BASE), Child;
    REQUEST Name, Value, Tree;

    REQUIRE(Key != NULL);
    CHECK(Watch(&Name, Key, REG_NOTIFY_CHANGE_NAME, FALSE) == STATUS_PENDING);
    Child = Create(BASE L"\\Child");
    EXPECT_TRUE(Done(&Name));
    CHECK(Watch(&Value, Key, REG_NOTIFY_CHANGE_LAST_SET, FALSE) == STATUS_PENDING);
    CHECK(Watch(&Tree, Key, REG_NOTIFY_CHANGE_LAST_SET, TRUE) == STATUS_PENDING);
    Set(Child, 1);
    EXPECT_TRUE(Done(&Tree)); /* what lies below counts with WatchTree alone */
    EXPECT_FALSE(Done(&Value));
    CHECK(Watch(&Name, Key, REG_NOTIFY_CHANGE_NAME, FALSE) == STATUS_PENDING);
    CHECK(ZwDeleteKey(Child) == STATUS_SUCCESS);
    EXPECT_TRUE(Done(&Name));
    (VOID) ZwClose(Child);
    CHECK(ZwDeleteKey(Key) == STATUS_SUCCESS);
    EXPECT_TRUE(Done(&Value));
    (VOID) ZwClose(Key);
}

static VOID NotifyEndsWithTheHandle(VOID)
{
    HANDLE Key = Create(BASE), Other = Create(BASE);
    REQUEST Request;

    CHECK(Watch(&Request, Other, REG_NOTIFY_CHANGE_LAST_SET, FALSE) == STATUS_PENDING);
    (VOID) ZwClose(Other);
    EXPECT_TRUE(Done(&Request));
    EXPECT_STATUS(Request.Result.Status, STATUS_NOTIFY_CLEANUP);
    CHECK(ZwDeleteKey(Key) == STATUS_SUCCESS);
    EXPECT_STATUS(Watch(&Request, Key, REG_NOTIFY_CHANGE_LAST_SET, FALSE), STATUS_KEY_DELETED);
    (VOID) ZwClose(Key);
}

static VOID NTAPI SetSoon(PVOID Context)
{
    SleepMilliseconds(20);
    Set(Context, 3);
}

static VOID NotifySynchronous(VOID)
{
    HANDLE Key = Create(BASE);
    IO_STATUS_BLOCK Result = {.Status = STATUS_PENDING};
    PVOID Thread = TestStart(SetSoon, Key);
    NTSTATUS Status;

    Status = ZwNotifyChangeKey(Key, NULL, NULL, NULL, &Result, REG_NOTIFY_CHANGE_LAST_SET, FALSE, NULL, 0, FALSE);
    CHECK(NT_SUCCESS(Status));
    EXPECT_TRUE(Status == Result.Status);
    TestJoin(Thread);
    CHECK(ZwDeleteKey(Key) == STATUS_SUCCESS);
    (VOID) ZwClose(Key);
}

static VOID NotifyFailures(VOID)
{
    HANDLE Key = Create(BASE);
    REQUEST Request;

    EXPECT_STATUS(Watch(&Request, Key, 0, FALSE), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(Watch(&Request, Key, 0x100, FALSE), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(Watch(&Request, NULL, REG_NOTIFY_CHANGE_NAME, FALSE), STATUS_INVALID_HANDLE);
    CHECK(ZwDeleteKey(Key) == STATUS_SUCCESS);
    (VOID) ZwClose(Key);
}

static VOID OpenKeyEx(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    HANDLE Key = Create(BASE), Again = NULL;

    RtlInitUnicodeString(&Name, BASE);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    EXPECT_STATUS(ZwOpenKeyEx(&Again, KEY_READ, &Attributes, 0), STATUS_SUCCESS);
    CHECK(ZwClose(Again) == STATUS_SUCCESS);
    EXPECT_STATUS(ZwOpenKeyEx(&Again, KEY_READ, &Attributes, REG_OPTION_BACKUP_RESTORE), STATUS_SUCCESS);
    CHECK(ZwClose(Again) == STATUS_SUCCESS);
    EXPECT_STATUS(ZwOpenKeyEx(&Again, KEY_READ, &Attributes, 0x8000), STATUS_INVALID_PARAMETER);
    CHECK(ZwDeleteKey(Key) == STATUS_SUCCESS);
    EXPECT_STATUS(ZwOpenKeyEx(&Again, KEY_READ, &Attributes, 0), STATUS_OBJECT_NAME_NOT_FOUND);
    (VOID) ZwClose(Key);
}

TEST_TABLE(cm_notify){TEST(NotifyOfAValue, 0),
                      TEST(NotifyOfSubkeys, 0),
                      TEST(NotifyEndsWithTheHandle, 0),
                      TEST(NotifySynchronous, 0),
                      TEST(NotifyFailures, 0),
                      TEST(OpenKeyEx, 0),
                      TEST_END};
#endif
