/*
 * The file system: a driver of the kernel's own whose devices are the volume \Device\HarddiskVolume1, C:, and
 * \SystemRoot, which is its folder \Windows. Requests come to it as to any driver.
 */
#include <string.h>
#include <strings.h>

#include "nt/cm/cm.h"
#include "nt/fs/fs_internal.h"

#define SERVICE "pvsimfs"

/* FILE_OBJECT.FsContext is the node; this is FsContext2. */
struct open_file {
    bool read, write, deletes;
    bool share_read, share_write, share_delete;
    bool delete_on_close;
};

static NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* ---- opening and closing ---- */

static bool may_share(const struct fs_node *node, const struct open_file *want)
{
    return !((want->read && node->shared_read != node->opens) || (want->write && node->shared_write != node->opens) ||
             (want->deletes && node->shared_delete != node->opens) || (node->readers != 0 && !want->share_read) ||
             (node->writers != 0 && !want->share_write) || (node->deleters != 0 && !want->share_delete));
}

static void count_open(struct fs_node *node, const struct open_file *open, int by)
{
    node->opens += (unsigned)by;
    node->readers += (unsigned)(by * open->read);
    node->writers += (unsigned)(by * open->write);
    node->deleters += (unsigned)(by * open->deletes);
    node->shared_read += (unsigned)(by * open->share_read);
    node->shared_write += (unsigned)(by * open->share_write);
    node->shared_delete += (unsigned)(by * open->share_delete);
}

static bool good_name(const char *path)
{
    for (; *path != '\0'; path++)
        if ((unsigned char)*path < ' ' || strchr("\"*/:<>?|", *path) != NULL)
            return false;
    return true;
}

static NTSTATUS open_existing(struct fs_node *node, ULONG disposition, ULONG options, const struct open_file *want,
                              ULONG_PTR *information)
{
    if (node->delete_pending)
        return STATUS_DELETE_PENDING;
    if (disposition == FILE_CREATE) {
        *information = FILE_EXISTS;
        return STATUS_OBJECT_NAME_COLLISION;
    }
    if (node->directory && (options & FILE_NON_DIRECTORY_FILE))
        return STATUS_FILE_IS_A_DIRECTORY;
    if (!node->directory && (options & FILE_DIRECTORY_FILE))
        return STATUS_NOT_A_DIRECTORY;
    if (want->delete_on_close && (node->attributes & FILE_ATTRIBUTE_READONLY))
        return STATUS_CANNOT_DELETE;
    if (!may_share(node, want))
        return STATUS_SHARING_VIOLATION;
    *information = FILE_OPENED;
    if (disposition == FILE_SUPERSEDE || disposition == FILE_OVERWRITE || disposition == FILE_OVERWRITE_IF) {
        if (node->directory)
            return STATUS_OBJECT_NAME_COLLISION;
        (void)fs_resize(node, 0);
        fs_written(node);
        *information = disposition == FILE_SUPERSEDE ? FILE_SUPERSEDED : FILE_OVERWRITTEN;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS create(PIO_STACK_LOCATION stack, const char *path, ULONG_PTR *information)
{
    PFILE_OBJECT file = stack->FileObject;
    ULONG disposition = stack->Parameters.Create.Options >> 24;
    ULONG options = stack->Parameters.Create.Options & 0x00ffffff;
    struct open_file want = {.read = file->ReadAccess,
                             .write = file->WriteAccess,
                             .deletes = file->DeleteAccess || (options & FILE_DELETE_ON_CLOSE) != 0,
                             .share_read = file->SharedRead,
                             .share_write = file->SharedWrite,
                             .share_delete = file->SharedDelete,
                             .delete_on_close = (options & FILE_DELETE_ON_CLOSE) != 0};
    struct fs_node *node, *parent;
    const char *last;
    NTSTATUS status;

    if (!good_name(path))
        return STATUS_OBJECT_NAME_INVALID;
    if (options & FILE_DIRECTORY_FILE) {
        if ((options & FILE_NON_DIRECTORY_FILE) || disposition == FILE_SUPERSEDE || disposition >= FILE_OVERWRITE)
            return STATUS_INVALID_PARAMETER;
    }
    node = fs_walk(path, &parent, &last);
    if (node != NULL) {
        status = open_existing(node, disposition, options, &want, information);
        if (!NT_SUCCESS(status))
            return status;
    } else {
        if (parent == NULL)
            return STATUS_OBJECT_PATH_NOT_FOUND;
        if (disposition == FILE_OPEN || disposition == FILE_OVERWRITE) {
            *information = FILE_DOES_NOT_EXIST;
            return STATUS_OBJECT_NAME_NOT_FOUND;
        }
        node = fs_create(parent, last, (options & FILE_DIRECTORY_FILE) != 0);
        node->attributes = stack->Parameters.Create.FileAttributes & ~(ULONG)FILE_ATTRIBUTE_NORMAL;
        *information = FILE_CREATED;
    }
    count_open(node, &want, 1);
    file->FsContext = node;
    file->FsContext2 = image_alloc(sizeof(want));
    *(struct open_file *)file->FsContext2 = want;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI dispatch_create(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    const UNICODE_STRING *name = &stack->FileObject->FileName;
    char *rest = cm_utf8_from_utf16(name->Buffer, name->Length / sizeof(WCHAR));
    const struct fs_node *root =
        stack->FileObject->RelatedFileObject != NULL ? stack->FileObject->RelatedFileObject->FsContext : NULL;
    char *base = root != NULL ? fs_path(root) : image_strdup(*(const char *const *)device->DeviceExtension);
    char *path = image_printf("%s%s%s", base, root != NULL ? "\\" : "", rest);
    ULONG_PTR information = 0;
    NTSTATUS status = root != NULL && rest[0] == '\\' ? STATUS_OBJECT_NAME_INVALID : create(stack, path, &information);

    image_free(path);
    image_free(base);
    image_free(rest);
    return complete(irp, status, information);
}

/* The last handle is gone: sharing ends, and with the last open a file that is to be deleted goes. */
static NTSTATUS NTAPI dispatch_cleanup(PDEVICE_OBJECT device, PIRP irp)
{
    PFILE_OBJECT file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    struct fs_node *node = file->FsContext;
    struct open_file *open = file->FsContext2;

    UNREFERENCED_PARAMETER(device);
    if (open->delete_on_close && IsListEmpty(&node->children))
        node->delete_pending = true;
    count_open(node, open, -1);
    if (node->delete_pending && node->opens == 0) {
        fs_remove(node);
        file->FsContext = NULL;
    }
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI dispatch_close(PDEVICE_OBJECT device, PIRP irp)
{
    PFILE_OBJECT file = IoGetCurrentIrpStackLocation(irp)->FileObject;

    UNREFERENCED_PARAMETER(device);
    image_free(file->FsContext2);
    return complete(irp, STATUS_SUCCESS, 0);
}

/* ---- data ---- */

static NTSTATUS NTAPI dispatch_read(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    const struct fs_node *node = stack->FileObject->FsContext;
    LONGLONG offset = stack->Parameters.Read.ByteOffset.QuadPart;
    size_t length = stack->Parameters.Read.Length;

    UNREFERENCED_PARAMETER(device);
    if (node->directory)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    if (offset < 0)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    if (length == 0)
        return complete(irp, STATUS_SUCCESS, 0);
    if ((uint64_t)offset >= node->size)
        return complete(irp, STATUS_END_OF_FILE, 0);
    if (length > node->size - (size_t)offset)
        length = node->size - (size_t)offset;
    memcpy(irp->AssociatedIrp.SystemBuffer, node->data + offset, length);
    return complete(irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI dispatch_write(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    struct fs_node *node = stack->FileObject->FsContext;
    LARGE_INTEGER offset = stack->Parameters.Write.ByteOffset;
    size_t length = stack->Parameters.Write.Length;

    UNREFERENCED_PARAMETER(device);
    if (node->directory)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    if (offset.HighPart == -1 && offset.LowPart == FILE_WRITE_TO_END_OF_FILE)
        offset.QuadPart = (LONGLONG)node->size;
    if (offset.QuadPart < 0)
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    if (length == 0)
        return complete(irp, STATUS_SUCCESS, 0);
    if ((uint64_t)offset.QuadPart > FS_VOLUME_BYTES ||
        (offset.QuadPart + length > node->size && !fs_resize(node, (size_t)offset.QuadPart + length)))
        return complete(irp, STATUS_DISK_FULL, 0);
    memcpy(node->data + offset.QuadPart, irp->AssociatedIrp.SystemBuffer, length);
    fs_written(node);
    stack->FileObject->CurrentByteOffset.QuadPart = offset.QuadPart + (LONGLONG)length;
    return complete(irp, STATUS_SUCCESS, length);
}

/* ---- information ---- */

static ULONG attributes_of(const struct fs_node *node)
{
    ULONG attributes = node->attributes | (node->directory ? FILE_ATTRIBUTE_DIRECTORY : 0);

    return attributes != 0 ? attributes : FILE_ATTRIBUTE_NORMAL;
}

static NTSTATUS answer(PIRP irp, const void *value, size_t size)
{
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.QueryFile.Length < size)
        return complete(irp, STATUS_INFO_LENGTH_MISMATCH, 0);
    memcpy(irp->AssociatedIrp.SystemBuffer, value, size);
    return complete(irp, STATUS_SUCCESS, size);
}

/* As much of the name as there is room for, and its whole length. */
static NTSTATUS answer_name(PIRP irp, const struct fs_node *node)
{
    ULONG room = IoGetCurrentIrpStackLocation(irp)->Parameters.QueryFile.Length;
    PFILE_NAME_INFORMATION out = irp->AssociatedIrp.SystemBuffer;
    char *path = fs_path(node);
    size_t length, copied;
    WCHAR *wide = cm_utf16_from_utf8(path[0] != '\0' ? path : "\\", &length);
    NTSTATUS status = STATUS_INFO_LENGTH_MISMATCH;

    length *= sizeof(WCHAR);
    copied = 0;
    if (room >= sizeof(*out)) {
        room -= FIELD_OFFSET(FILE_NAME_INFORMATION, FileName);
        copied = length <= room ? length : room & ~1u;
        out->FileNameLength = (ULONG)length;
        memcpy(out->FileName, wide, copied);
        status = copied == length ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
        copied += FIELD_OFFSET(FILE_NAME_INFORMATION, FileName);
    }
    image_free(wide);
    image_free(path);
    return complete(irp, status, copied);
}

static NTSTATUS NTAPI dispatch_query(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    const struct fs_node *node = stack->FileObject->FsContext;

    UNREFERENCED_PARAMETER(device);
    switch (stack->Parameters.QueryFile.FileInformationClass) {
    case FileBasicInformation: {
        FILE_BASIC_INFORMATION basic = {.CreationTime.QuadPart = (LONGLONG)node->created,
                                        .LastAccessTime.QuadPart = (LONGLONG)node->written,
                                        .LastWriteTime.QuadPart = (LONGLONG)node->written,
                                        .ChangeTime.QuadPart = (LONGLONG)node->written,
                                        .FileAttributes = attributes_of(node)};

        return answer(irp, &basic, sizeof(basic));
    }
    case FileStandardInformation: {
        FILE_STANDARD_INFORMATION standard = {.AllocationSize.QuadPart = (LONGLONG)ROUND_TO_PAGES(node->size),
                                              .EndOfFile.QuadPart = (LONGLONG)node->size,
                                              .NumberOfLinks = node->delete_pending ? 0 : 1,
                                              .DeletePending = node->delete_pending,
                                              .Directory = node->directory};

        return answer(irp, &standard, sizeof(standard));
    }
    case FilePositionInformation: {
        FILE_POSITION_INFORMATION position = {.CurrentByteOffset = stack->FileObject->CurrentByteOffset};

        return answer(irp, &position, sizeof(position));
    }
    case FileNameInformation:
        return answer_name(irp, node);
    default:
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    }
}

/* ---- renaming ---- */

static const struct {
    const char *prefix;
    const char *folder;
} prefixes[] = {{"\\??\\C:", ""},
                {"\\DosDevices\\C:", ""},
                {"\\GLOBAL??\\C:", ""},
                {"\\SystemRoot", "\\Windows"},
                {"\\Device\\HarddiskVolume1", ""}};

/* The path on the volume that a new name means: a bare name stays in the folder; NULL: it is on no volume of ours. */
static char *path_of_name(const struct fs_node *node, const char *name)
{
    char *folder, *path;

    if (strchr(name, '\\') == NULL) {
        folder = fs_path(node->parent);
        path = image_printf("%s\\%s", folder, name);
        image_free(folder);
        return path;
    }
    for (size_t i = 0; i < ARRAYSIZE(prefixes); i++)
        if (strncasecmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0)
            return image_printf("%s%s", prefixes[i].folder, name + strlen(prefixes[i].prefix));
    return NULL;
}

/* The path of a new name below an open directory. */
static NTSTATUS path_below(HANDLE root, const FILE_OBJECT *file, const char *name, char **path)
{
    const struct fs_node *folder;
    PFILE_OBJECT object;
    NTSTATUS status;
    char *above;

    status = ObReferenceObjectByHandle(root, 0, *IoFileObjectType, KernelMode, (PVOID *)&object, NULL);
    if (!NT_SUCCESS(status))
        return status;
    if (object->DeviceObject != file->DeviceObject) {
        ob_dereference(object);
        return STATUS_NOT_SAME_DEVICE;
    }
    folder = object->FsContext;
    if (folder != NULL && folder->directory) {
        above = fs_path(folder);
        *path = image_printf("%s\\%s", above, name);
        image_free(above);
    }
    ob_dereference(object); /* the handle keeps it */
    return folder != NULL && folder->directory ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

static bool is_open_below(const struct fs_node *node)
{
    for (PLIST_ENTRY entry = node->children.Flink; entry != &node->children; entry = entry->Flink) {
        const struct fs_node *child = CONTAINING_RECORD(entry, struct fs_node, entry);

        if (child->opens != 0 || is_open_below(child))
            return true;
    }
    return false;
}

static NTSTATUS move_to(struct fs_node *node, const char *path, bool replace)
{
    struct fs_node *parent, *target;
    const char *last;

    if (!good_name(path))
        return STATUS_OBJECT_NAME_INVALID;
    target = fs_walk(path, &parent, &last);
    if (target == NULL && parent == NULL)
        return STATUS_OBJECT_PATH_NOT_FOUND;
    if (node->parent == NULL || is_open_below(node))
        return STATUS_ACCESS_DENIED;
    if (target != NULL) {
        parent = target->parent;
        last = strrchr(path, '\\') + 1;
        if (target != node && !replace)
            return STATUS_OBJECT_NAME_COLLISION;
        if (parent == NULL || (target != node && (target->directory || target->opens != 0)))
            return STATUS_ACCESS_DENIED;
    }
    for (const struct fs_node *above = parent; above != NULL; above = above->parent)
        if (above == node)
            return STATUS_INVALID_PARAMETER; /* into itself */
    if (target != NULL && target != node)
        fs_remove(target);
    fs_move(node, parent, last);
    return STATUS_SUCCESS;
}

static NTSTATUS rename_file(const FILE_OBJECT *file, struct fs_node *node, const FILE_RENAME_INFORMATION *value,
                            ULONG length)
{
    NTSTATUS status = STATUS_NOT_SAME_DEVICE;
    char *name, *path = NULL;

    if (length < sizeof(*value))
        return STATUS_INFO_LENGTH_MISMATCH;
    if (value->FileNameLength == 0 || value->FileNameLength % sizeof(WCHAR) != 0 ||
        value->FileNameLength > length - FIELD_OFFSET(FILE_RENAME_INFORMATION, FileName))
        return STATUS_INVALID_PARAMETER;
    if (!file->DeleteAccess)
        return STATUS_ACCESS_DENIED;
    name = cm_utf8_from_utf16(value->FileName, value->FileNameLength / sizeof(WCHAR));
    if (value->RootDirectory != NULL)
        status = path_below(value->RootDirectory, file, name, &path);
    else
        path = path_of_name(node, name);
    if (path != NULL)
        status = move_to(node, path, value->ReplaceIfExists);
    image_free(path);
    image_free(name);
    return status;
}

static NTSTATUS set(PFILE_OBJECT file, struct fs_node *node, ULONG class, const void *value, ULONG length)
{
    switch (class) {
    case FileBasicInformation: {
        const FILE_BASIC_INFORMATION *basic = value;

        if (length < sizeof(*basic))
            return STATUS_INFO_LENGTH_MISMATCH;
        if (basic->CreationTime.QuadPart > 0) /* 0: as it is; -1: as it is, and from now on */
            node->created = (uint64_t)basic->CreationTime.QuadPart;
        if (basic->LastWriteTime.QuadPart > 0)
            node->written = (uint64_t)basic->LastWriteTime.QuadPart;
        if (basic->FileAttributes != 0)
            node->attributes = basic->FileAttributes & ~(ULONG)(FILE_ATTRIBUTE_NORMAL | FILE_ATTRIBUTE_DIRECTORY);
        return STATUS_SUCCESS;
    }
    case FilePositionInformation:
        if (length < sizeof(FILE_POSITION_INFORMATION))
            return STATUS_INFO_LENGTH_MISMATCH;
        if (((const FILE_POSITION_INFORMATION *)value)->CurrentByteOffset.QuadPart < 0)
            return STATUS_INVALID_PARAMETER;
        file->CurrentByteOffset = ((const FILE_POSITION_INFORMATION *)value)->CurrentByteOffset;
        return STATUS_SUCCESS;
    case FileEndOfFileInformation: {
        const FILE_END_OF_FILE_INFORMATION *end = value;

        if (length < sizeof(*end))
            return STATUS_INFO_LENGTH_MISMATCH;
        if (!file->WriteAccess)
            return STATUS_ACCESS_DENIED;
        if (node->directory || end->EndOfFile.QuadPart < 0)
            return STATUS_INVALID_PARAMETER;
        if (!fs_resize(node, (size_t)end->EndOfFile.QuadPart))
            return STATUS_DISK_FULL;
        fs_written(node);
        return STATUS_SUCCESS;
    }
    case FileRenameInformation:
        return rename_file(file, node, value, length);
    case FileDispositionInformation:
        if (length < sizeof(FILE_DISPOSITION_INFORMATION))
            return STATUS_INFO_LENGTH_MISMATCH;
        if (!file->DeleteAccess)
            return STATUS_ACCESS_DENIED;
        if (node->parent == NULL || (node->attributes & FILE_ATTRIBUTE_READONLY))
            return STATUS_CANNOT_DELETE;
        if (!IsListEmpty(&node->children))
            return STATUS_DIRECTORY_NOT_EMPTY;
        node->delete_pending = ((const FILE_DISPOSITION_INFORMATION *)value)->DeleteFile;
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

static NTSTATUS NTAPI dispatch_set(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

    UNREFERENCED_PARAMETER(device);
    return complete(irp,
                    set(stack->FileObject, stack->FileObject->FsContext, stack->Parameters.SetFile.FileInformationClass,
                        irp->AssociatedIrp.SystemBuffer, stack->Parameters.SetFile.Length),
                    0);
}

/* ---- mounting ---- */

static PDEVICE_OBJECT create_device(PDRIVER_OBJECT driver, PCWSTR name, const char *folder)
{
    PDEVICE_OBJECT device;
    UNICODE_STRING string;
    NTSTATUS status;

    RtlInitUnicodeString(&string, name);
    status = IoCreateDevice(driver, sizeof(const char *), &string, FILE_DEVICE_DISK_FILE_SYSTEM, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        fail("fs", "the volume cannot be mounted (status 0x%08x)", (unsigned)status);
    *(const char **)device->DeviceExtension = folder;
    device->Flags |= DO_BUFFERED_IO;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return device;
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    UNREFERENCED_PARAMETER(driver); /* its devices have gone before */
}

static NTSTATUS NTAPI driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    UNICODE_STRING link, target;

    UNREFERENCED_PARAMETER(path);
    driver->DriverUnload = unload;
    driver->MajorFunction[IRP_MJ_CREATE] = dispatch_create;
    driver->MajorFunction[IRP_MJ_CLEANUP] = dispatch_cleanup;
    driver->MajorFunction[IRP_MJ_CLOSE] = dispatch_close;
    driver->MajorFunction[IRP_MJ_READ] = dispatch_read;
    driver->MajorFunction[IRP_MJ_WRITE] = dispatch_write;
    driver->MajorFunction[IRP_MJ_QUERY_INFORMATION] = dispatch_query;
    driver->MajorFunction[IRP_MJ_SET_INFORMATION] = dispatch_set;
    (void)create_device(driver, L"\\Device\\HarddiskVolume1", "");
    (void)create_device(driver, L"\\SystemRoot", "\\Windows");
    RtlInitUnicodeString(&link, L"\\DosDevices\\C:");
    RtlInitUnicodeString(&target, L"\\Device\\HarddiskVolume1");
    return ob_symbolic_link_create(&link, &target);
}

static bool begins_with(PCUNICODE_STRING name, const char *prefix)
{
    for (size_t i = 0; prefix[i] != '\0'; i++)
        if (i >= name->Length / sizeof(WCHAR) || name->Buffer[i] > 0x7e ||
            strncasecmp(&(const char){(char)name->Buffer[i]}, &prefix[i], 1) != 0)
            return false;
    return true;
}

void fs_mount_for(PCUNICODE_STRING name)
{
    NTSTATUS status;

    for (size_t i = 0; fs_driver() == NULL && i < ARRAYSIZE(prefixes); i++) {
        if (!begins_with(name, prefixes[i].prefix))
            continue;
        if (machine->fs == NULL)
            fs_tree_init();
        status = io_create_builtin_driver(SERVICE, driver_entry, &machine->fs->driver);
        if (!NT_SUCCESS(status))
            fail("fs", "the file system does not start (status 0x%08x)", (unsigned)status);
    }
}

PDRIVER_OBJECT fs_driver(void)
{
    return machine->fs != NULL ? machine->fs->driver : NULL;
}

bool fs_unmount(void)
{
    PDRIVER_OBJECT driver = fs_driver();
    UNICODE_STRING link;

    if (driver == NULL)
        return true;
    for (PDEVICE_OBJECT device = driver->DeviceObject; device != NULL; device = device->NextDevice)
        if (device->ReferenceCount != 0)
            return false;
    RtlInitUnicodeString(&link, L"\\DosDevices\\C:");
    (void)ob_symbolic_link_delete(&link);
    while (driver->DeviceObject != NULL)
        IoDeleteDevice(driver->DeviceObject);
    machine->fs->driver = NULL;
    (void)io_unload_driver(driver);
    ob_dereference(driver);
    return true;
}
