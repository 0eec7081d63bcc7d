/* Files: ZwCreateFile on a volume, ZwReadFile, ZwWriteFile, ZwQueryInformationFile, ZwSetInformationFile. */
#include "nttest.h"

#define FOLDER L"\\??\\C:\\Windows\\Temp\\nttest"
#define NAME FOLDER L"\\data.txt"
#define OTHER FOLDER L"\\other.txt"
#define FOLDER_OPTIONS (FILE_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT)
#define FILE_OPTIONS (FILE_NON_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT)

static IO_STATUS_BLOCK Result;

static NTSTATUS Create(PHANDLE Handle, PCWSTR Path, ACCESS_MASK Access, ULONG Share, ULONG Disposition, ULONG Options)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    return ZwCreateFile(Handle, Access | SYNCHRONIZE, &Attributes, &Result, NULL, FILE_ATTRIBUTE_NORMAL, Share,
                        Disposition, Options, NULL, 0);
}

static VOID MakeFolder(VOID)
{
    HANDLE Folder;

    CHECK(Create(&Folder, FOLDER, GENERIC_READ, FILE_SHARE_READ, FILE_OPEN_IF, FOLDER_OPTIONS) == STATUS_SUCCESS);
    CHECK(ZwClose(Folder) == STATUS_SUCCESS);
}

static VOID Delete(PCWSTR Path, ULONG Options)
{
    HANDLE Handle;

    if (NT_SUCCESS(Create(&Handle, Path, DELETE, 0, FILE_OPEN, Options | FILE_DELETE_ON_CLOSE)))
        CHECK(ZwClose(Handle) == STATUS_SUCCESS);
}

static HANDLE MakeFile(VOID)
{
    HANDLE File = NULL;

    MakeFolder();
    CHECK(Create(&File, NAME, GENERIC_READ | GENERIC_WRITE | DELETE, 0, FILE_SUPERSEDE, FILE_OPTIONS) ==
          STATUS_SUCCESS);
    return File;
}

static VOID RemoveAll(HANDLE File)
{
    if (File != NULL)
        CHECK(ZwClose(File) == STATUS_SUCCESS);
    Delete(NAME, FILE_OPTIONS);
    Delete(FOLDER, FOLDER_OPTIONS);
}

static NTSTATUS Write(HANDLE File, PCSTR Text, LONGLONG Offset)
{
    LARGE_INTEGER Position = {.QuadPart = Offset};

    return ZwWriteFile(File, NULL, NULL, NULL, &Result, (PVOID)(ULONG_PTR)Text, (ULONG)strlen(Text),
                       Offset < 0 ? NULL : &Position, NULL);
}

static VOID FileReadWrite(VOID)
{
    HANDLE File = MakeFile();
    LARGE_INTEGER Offset = {.QuadPart = 2}, End = {.LowPart = FILE_WRITE_TO_END_OF_FILE, .HighPart = -1};
    CHAR Buffer[32] = {0};

    EXPECT_STATUS(Write(File, "hello ", -1), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, 6);
    EXPECT_STATUS(Write(File, "world", -1), STATUS_SUCCESS); /* where the first one ended */
    EXPECT_STATUS(ZwReadFile(File, NULL, NULL, NULL, &Result, Buffer, 5, &Offset, NULL), STATUS_SUCCESS);
    EXPECT_TEXT(Buffer, "llo w");
    EXPECT_STATUS(ZwReadFile(File, NULL, NULL, NULL, &Result, Buffer, 20, NULL, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, 4);
    EXPECT_STATUS(ZwReadFile(File, NULL, NULL, NULL, &Result, Buffer, 20, NULL, NULL), STATUS_END_OF_FILE);
    EXPECT_STATUS(ZwWriteFile(File, NULL, NULL, NULL, &Result, (PVOID)(ULONG_PTR) "!", 1, &End, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(Write(File, "?", -1), STATUS_SUCCESS);
    EXPECT_STATUS(Write(File, "far", 20), STATUS_SUCCESS); /* the gap reads as zeros */
    Offset.QuadPart = 11;
    RtlFillMemory(Buffer, sizeof(Buffer), 'x');
    EXPECT_STATUS(ZwReadFile(File, NULL, NULL, NULL, &Result, Buffer, 32, &Offset, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, 12);
    EXPECT_TRUE(Buffer[0] == '!' && Buffer[1] == '?' && Buffer[2] == 0 && Buffer[8] == 0 && Buffer[9] == 'f');
    RemoveAll(File);
}

static VOID FileDispositions(VOID)
{
    HANDLE File;

    MakeFolder();
    EXPECT_STATUS(Create(&File, NAME, GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_WRITE, 0, FILE_OVERWRITE, FILE_OPTIONS), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Create(&File, FOLDER L"\\none\\x", GENERIC_READ, 0, FILE_CREATE, FILE_OPTIONS),
                  STATUS_OBJECT_PATH_NOT_FOUND);
    EXPECT_STATUS(Create(&File, FOLDER L"\\a*b", GENERIC_READ, 0, FILE_CREATE, FILE_OPTIONS),
                  STATUS_OBJECT_NAME_INVALID);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_WRITE, 0, FILE_CREATE, FILE_OPTIONS), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, FILE_CREATED);
    CHECK(Write(File, "x", -1) == STATUS_SUCCESS);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_WRITE, 0, FILE_CREATE, FILE_OPTIONS), STATUS_OBJECT_NAME_COLLISION);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_READ, 0, FILE_OPEN_IF, FILE_OPTIONS), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, FILE_OPENED);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_WRITE, 0, FILE_OVERWRITE_IF, FILE_OPTIONS), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, FILE_OVERWRITTEN);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_READ, 0, FILE_OPEN, FOLDER_OPTIONS), STATUS_NOT_A_DIRECTORY);
    EXPECT_STATUS(Create(&File, FOLDER, GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS), STATUS_FILE_IS_A_DIRECTORY);
    /* The same file by other names: letter case, and the system's own name for its folder. */
    EXPECT_STATUS(Create(&File, L"\\SystemRoot\\TEMP\\NtTest\\DATA.TXT", GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS),
                  STATUS_SUCCESS);
    RemoveAll(File);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS), STATUS_OBJECT_PATH_NOT_FOUND);
}

static VOID FileSharing(VOID)
{
    HANDLE File = NULL, Second = NULL;

    MakeFolder();
    CHECK(Create(&File, NAME, GENERIC_WRITE, FILE_SHARE_READ, FILE_CREATE, FILE_OPTIONS) == STATUS_SUCCESS);
    EXPECT_STATUS(Create(&Second, NAME, GENERIC_READ, FILE_SHARE_READ, FILE_OPEN, FILE_OPTIONS),
                  STATUS_SHARING_VIOLATION); /* does not let the first one write */
    EXPECT_STATUS(Create(&Second, NAME, GENERIC_WRITE, FILE_SHARE_WRITE, FILE_OPEN, FILE_OPTIONS),
                  STATUS_SHARING_VIOLATION); /* the first one does not let it write */
    EXPECT_STATUS(Create(&Second, NAME, GENERIC_READ, FILE_SHARE_WRITE, FILE_OPEN, FILE_OPTIONS), STATUS_SUCCESS);
    EXPECT_STATUS(Write(Second, "x", -1), STATUS_ACCESS_DENIED);
    CHECK(ZwClose(Second) == STATUS_SUCCESS);
    RemoveAll(File);
}

static VOID FileInformation(VOID)
{
    HANDLE File = MakeFile();
    FILE_STANDARD_INFORMATION Standard;
    FILE_BASIC_INFORMATION Basic;
    FILE_POSITION_INFORMATION Position;
    FILE_END_OF_FILE_INFORMATION End;
    struct {
        FILE_NAME_INFORMATION Name;
        WCHAR Room[64];
    } Name = {0};

    CHECK(Write(File, "0123456789", -1) == STATUS_SUCCESS);
    EXPECT_STATUS(ZwQueryInformationFile(File, &Result, &Standard, sizeof(Standard), FileStandardInformation),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Information, sizeof(Standard));
    EXPECT_EQUAL(Standard.EndOfFile.QuadPart, 10);
    EXPECT_EQUAL(Standard.NumberOfLinks, 1);
    EXPECT_FALSE(Standard.Directory);
    EXPECT_FALSE(Standard.DeletePending);
    EXPECT_STATUS(ZwQueryInformationFile(File, &Result, &Standard, 4, FileStandardInformation),
                  STATUS_INFO_LENGTH_MISMATCH);
    EXPECT_STATUS(ZwQueryInformationFile(File, &Result, &Basic, sizeof(Basic), FileBasicInformation), STATUS_SUCCESS);
    EXPECT_EQUAL(Basic.FileAttributes & FILE_ATTRIBUTE_DIRECTORY, 0);
    EXPECT_TRUE(Basic.LastWriteTime.QuadPart >= Basic.CreationTime.QuadPart);
    EXPECT_STATUS(ZwQueryInformationFile(File, &Result, &Position, sizeof(Position), FilePositionInformation),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Position.CurrentByteOffset.QuadPart, 10);
    EXPECT_STATUS(ZwQueryInformationFile(File, &Result, &Name, sizeof(Name), FileNameInformation), STATUS_SUCCESS);
    EXPECT_WIDE(Name.Name.FileName, L"\\Windows\\Temp\\nttest\\data.txt");
    EXPECT_STATUS(ZwQueryInformationFile(File, &Result, &Name, 16, FileNameInformation), STATUS_BUFFER_OVERFLOW);

    Position.CurrentByteOffset.QuadPart = 3;
    EXPECT_STATUS(ZwSetInformationFile(File, &Result, &Position, sizeof(Position), FilePositionInformation),
                  STATUS_SUCCESS);
    CHECK(Write(File, "x", -1) == STATUS_SUCCESS);
    End.EndOfFile.QuadPart = 5;
    EXPECT_STATUS(ZwSetInformationFile(File, &Result, &End, sizeof(End), FileEndOfFileInformation), STATUS_SUCCESS);
    CHECK(ZwQueryInformationFile(File, &Result, &Standard, sizeof(Standard), FileStandardInformation) ==
          STATUS_SUCCESS);
    EXPECT_EQUAL(Standard.EndOfFile.QuadPart, 5);
    EXPECT_STATUS(ZwSetInformationFile(File, &Result, &End, 1, FileEndOfFileInformation), STATUS_INFO_LENGTH_MISMATCH);
    EXPECT_STATUS(ZwQueryInformationFile(NULL, &Result, &Standard, sizeof(Standard), FileStandardInformation),
                  STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwSetInformationFile(NULL, &Result, &End, sizeof(End), FileEndOfFileInformation),
                  STATUS_INVALID_HANDLE);
    RemoveAll(File);
}

static VOID FileDisposed(VOID)
{
    HANDLE File = MakeFile(), Folder = NULL, Other = NULL;
    FILE_DISPOSITION_INFORMATION Disposition = {.DeleteFile = TRUE};

    CHECK(Create(&Folder, FOLDER, DELETE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, FILE_OPEN,
                 FOLDER_OPTIONS) == STATUS_SUCCESS);
    EXPECT_STATUS(ZwSetInformationFile(Folder, &Result, &Disposition, sizeof(Disposition), FileDispositionInformation),
                  STATUS_DIRECTORY_NOT_EMPTY);
    EXPECT_STATUS(ZwSetInformationFile(File, &Result, &Disposition, sizeof(Disposition), FileDispositionInformation),
                  STATUS_SUCCESS);
    EXPECT_STATUS(Create(&Other, NAME, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, FILE_OPEN,
                         FILE_OPTIONS),
                  STATUS_DELETE_PENDING);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    EXPECT_STATUS(Create(&Other, NAME, GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS), STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(ZwClose(Folder) == STATUS_SUCCESS);
    RemoveAll(NULL);
}

/* A buffer for a new name, as FILE_RENAME_INFORMATION wants it. */
static NTSTATUS RenameBelow(HANDLE File, HANDLE Root, PCWSTR Path, BOOLEAN Replace)
{
    static union {
        FILE_RENAME_INFORMATION Rename;
        UCHAR Space[256];
    } Buffer;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    RtlZeroMemory(&Buffer, sizeof(Buffer));
    Buffer.Rename.ReplaceIfExists = Replace;
    Buffer.Rename.RootDirectory = Root;
    Buffer.Rename.FileNameLength = Name.Length;
    RtlCopyMemory(Buffer.Rename.FileName, Name.Buffer, Name.Length);
    return ZwSetInformationFile(File, &Result, &Buffer,
                                FIELD_OFFSET(FILE_RENAME_INFORMATION, FileName) + Name.Length + sizeof(WCHAR),
                                FileRenameInformation);
}

static NTSTATUS Rename(HANDLE File, PCWSTR Path, BOOLEAN Replace)
{
    return RenameBelow(File, NULL, Path, Replace);
}

/* "If the file is to be moved to another directory, and RootDirectory is a handle to it, FileName is relative to it."
 */
static VOID FileRenamedBelowAHandle(VOID)
{
    HANDLE File = MakeFile(), Folder = NULL, Other = NULL;
    HANDLE Event;
    OBJECT_ATTRIBUTES Attributes;

    CHECK(Create(&Folder, L"\\??\\C:\\Windows\\Temp\\nttest2", GENERIC_READ | DELETE,
                 FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN_IF, FOLDER_OPTIONS) == STATUS_SUCCESS);
    EXPECT_STATUS(RenameBelow(File, Folder, L"moved.txt", FALSE), STATUS_SUCCESS);
    EXPECT_STATUS(Create(&Other, NAME, GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(RenameBelow(File, Folder, L"nowhere\\x.txt", FALSE), STATUS_OBJECT_PATH_NOT_FOUND);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    CHECK(Create(&File, L"\\??\\C:\\Windows\\Temp\\nttest2\\moved.txt", GENERIC_READ | DELETE, 0, FILE_OPEN,
                 FILE_OPTIONS) == STATUS_SUCCESS);
    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK(ZwCreateEvent(&Event, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE) == STATUS_SUCCESS);
    EXPECT_STATUS(RenameBelow(File, Event, L"x.txt", FALSE), STATUS_OBJECT_TYPE_MISMATCH);
    CHECK(ZwClose(Event) == STATUS_SUCCESS);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    CHECK(ZwClose(Folder) == STATUS_SUCCESS);
    Delete(L"\\??\\C:\\Windows\\Temp\\nttest2\\moved.txt", FILE_OPTIONS);
    Delete(L"\\??\\C:\\Windows\\Temp\\nttest2", FOLDER_OPTIONS);
    RemoveAll(NULL);
}

static VOID FileRenamed(VOID)
{
    FILE_STANDARD_INFORMATION Standard;
    HANDLE File = MakeFile(), Other = NULL;

    CHECK(Write(File, "one", -1) == STATUS_SUCCESS);
    EXPECT_STATUS(Rename(File, L"other.txt", FALSE), STATUS_SUCCESS); /* in the folder where it is */
    EXPECT_STATUS(Create(&Other, NAME, GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Rename(File, L"\\??\\C:\\Windows\\Temp\\nowhere\\x.txt", FALSE), STATUS_OBJECT_PATH_NOT_FOUND);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    File = MakeFile();
    CHECK(Write(File, "second", -1) == STATUS_SUCCESS);
    EXPECT_STATUS(Rename(File, OTHER, FALSE), STATUS_OBJECT_NAME_COLLISION);
    EXPECT_STATUS(Rename(File, OTHER, TRUE), STATUS_SUCCESS);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    CHECK(Create(&Other, OTHER, GENERIC_READ, 0, FILE_OPEN, FILE_OPTIONS) == STATUS_SUCCESS);
    CHECK(ZwQueryInformationFile(Other, &Result, &Standard, sizeof(Standard), FileStandardInformation) ==
          STATUS_SUCCESS);
    EXPECT_EQUAL(Standard.EndOfFile.QuadPart, 6);
    EXPECT_STATUS(Rename(Other, L"third.txt", FALSE), STATUS_ACCESS_DENIED); /* it was not opened for DELETE */
    CHECK(ZwClose(Other) == STATUS_SUCCESS);
    Delete(OTHER, FILE_OPTIONS);
    RemoveAll(NULL);
}

static NTSTATUS DeleteByName(PCWSTR Path, HANDLE Root)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, Root, NULL);
    return ZwDeleteFile(&Attributes);
}

static VOID FileDeletedByName(VOID)
{
    HANDLE File = MakeFile(), Folder = NULL;

    CHECK(ZwClose(File) == STATUS_SUCCESS);
    EXPECT_STATUS(DeleteByName(NAME, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(DeleteByName(NAME, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(DeleteByName(FOLDER L"\\nowhere\\x.txt", NULL), STATUS_OBJECT_PATH_NOT_FOUND);
    File = MakeFile();
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    CHECK(Create(&Folder, FOLDER, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, FILE_OPEN,
                 FOLDER_OPTIONS) == STATUS_SUCCESS);
    EXPECT_STATUS(DeleteByName(L"data.txt", Folder), STATUS_SUCCESS);
    EXPECT_STATUS(DeleteByName(L"data.txt", Folder), STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK(ZwClose(Folder) == STATUS_SUCCESS);
    RemoveAll(NULL);
}

static VOID FileBelowAHandle(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"data.txt");
    union {
        FILE_NAME_INFORMATION Name;
        UCHAR Space[256];
    } Full;
    HANDLE Folder = NULL, File = NULL;

    MakeFolder();
    CHECK(Create(&Folder, FOLDER, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, FOLDER_OPTIONS) ==
          STATUS_SUCCESS);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, Folder, NULL);
    EXPECT_STATUS(ZwCreateFile(&File, GENERIC_WRITE | SYNCHRONIZE, &Attributes, &Result, NULL, FILE_ATTRIBUTE_NORMAL, 0,
                               FILE_CREATE, FILE_OPTIONS, NULL, 0),
                  STATUS_SUCCESS);
    RtlZeroMemory(&Full, sizeof(Full));
    EXPECT_STATUS(ZwQueryInformationFile(File, &Result, &Full, sizeof(Full), FileNameInformation), STATUS_SUCCESS);
    EXPECT_WIDE(Full.Name.FileName, L"\\Windows\\Temp\\nttest\\data.txt");
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    EXPECT_STATUS(Create(&File, NAME, GENERIC_READ, FILE_SHARE_READ, FILE_OPEN, FILE_OPTIONS), STATUS_SUCCESS);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    CHECK(ZwClose(Folder) == STATUS_SUCCESS);
    RemoveAll(NULL);
}

/* The last reference may go at DISPATCH_LEVEL: the file is closed later then. */
static VOID FileReleasedAtDispatchLevel(VOID)
{
    HANDLE File = MakeFile(), Again = NULL;
    PFILE_OBJECT Object = NULL;
    KIRQL Irql;

    CHECK(ObReferenceObjectByHandle(File, 0, *IoFileObjectType, KernelMode, (PVOID *)&Object, NULL) == STATUS_SUCCESS);
    REQUIRE(Object != NULL);
    CHECK(ZwClose(File) == STATUS_SUCCESS);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ObDereferenceObject(Object);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Create(&Again, NAME, GENERIC_READ | DELETE, 0, FILE_OPEN, FILE_OPTIONS), STATUS_SUCCESS);
    RemoveAll(Again);
}

TEST_TABLE(io_file_data){TEST(FileReadWrite, 0),
                         TEST(FileDispositions, 0),
                         TEST(FileSharing, 0),
                         TEST(FileInformation, 0),
                         TEST(FileDisposed, 0),
                         TEST(FileRenamed, 0),
                         TEST(FileRenamedBelowAHandle, 0),
                         TEST(FileDeletedByName, 0),
                         TEST(FileBelowAHandle, 0),
                         TEST(FileReleasedAtDispatchLevel, 0),
                         TEST_END};
