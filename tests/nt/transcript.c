/*
 * The transcript's way out. Each line goes to the debugger; where Parameters\Transcript (REG_SZ) names a file, in the
 * form \??\C:\Windows\Temp\nttest.txt, it goes there too.
 */
#include "nttest.h"

static HANDLE File;

/* A string value of a key, with its zero, in pool; NULL if it has none. */
static PWCHAR QueryString(HANDLE Key, PCWSTR Name)
{
    KEY_VALUE_PARTIAL_INFORMATION *Value;
    UNICODE_STRING String;
    PWCHAR Text = NULL;
    ULONG Length = 0;
    NTSTATUS Status;

    RtlInitUnicodeString(&String, Name);
    Status = ZwQueryValueKey(Key, &String, KeyValuePartialInformation, NULL, 0, &Length);
    if (Status != STATUS_BUFFER_TOO_SMALL && Status != STATUS_BUFFER_OVERFLOW)
        return NULL;
    Value = ExAllocatePoolWithTag(NonPagedPoolNx, Length, TEST_TAG);
    if (Value == NULL)
        return NULL;
    Status = ZwQueryValueKey(Key, &String, KeyValuePartialInformation, Value, Length, &Length);
    if (NT_SUCCESS(Status) && Value->Type == REG_SZ && Value->DataLength >= sizeof(WCHAR)) {
        Text = ExAllocatePoolWithTag(NonPagedPoolNx, Value->DataLength + sizeof(WCHAR), TEST_TAG);
        if (Text != NULL) {
            RtlCopyMemory(Text, Value->Data, Value->DataLength);
            Text[Value->DataLength / sizeof(WCHAR)] = L'\0';
        }
    }
    ExFreePoolWithTag(Value, TEST_TAG);
    return Text;
}

static VOID OpenFile(PWCHAR Path)
{
    OBJECT_ATTRIBUTES Attributes;
    IO_STATUS_BLOCK Result;
    UNICODE_STRING Name;
    NTSTATUS Status;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    Status = ZwCreateFile(&File, GENERIC_WRITE | SYNCHRONIZE, &Attributes, &Result, NULL, FILE_ATTRIBUTE_NORMAL,
                          FILE_SHARE_READ, FILE_OVERWRITE_IF, FILE_SYNCHRONOUS_IO_NONALERT | FILE_NON_DIRECTORY_FILE,
                          NULL, 0);
    if (NT_SUCCESS(Status))
        return;
    File = NULL;
    (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL,
                      "nttest: cannot write the transcript to %ws: status 0x%08x\n", Path, Status);
}

VOID TestTranscriptOpen(HANDLE Parameters)
{
    PWCHAR Path = QueryString(Parameters, L"Transcript");

    if (Path == NULL)
        return;
    OpenFile(Path);
    ExFreePoolWithTag(Path, TEST_TAG);
}

static VOID WriteToFile(PCSTR Text, ULONG Length)
{
    IO_STATUS_BLOCK Result;
    NTSTATUS Status;

    Status = ZwWriteFile(File, NULL, NULL, NULL, &Result, (PVOID)(ULONG_PTR)Text, Length, NULL, NULL);
    if (NT_SUCCESS(Status))
        return;
    (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "nttest: the transcript ends here: status 0x%08x\n",
                      Status);
    TestTranscriptClose();
}

VOID TestTranscriptLine(PCSTR Text)
{
    ULONG Length = 0;

    (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "%s\n", Text);
    while (Text[Length] != '\0')
        Length++;
    if (File != NULL)
        WriteToFile(Text, Length);
    if (File != NULL)
        WriteToFile("\r\n", 2);
}

VOID TestTranscriptClose(VOID)
{
    if (File != NULL)
        (VOID) ZwClose(File);
    File = NULL;
}
