/*
 * File objects and the requests that come through handles: ZwCreateFile, ZwOpenFile, ZwReadFile, ZwWriteFile,
 * ZwDeviceIoControlFile on devices (wdm.h, ntifs.h). IRP_MJ_CLEANUP is sent when the last handle of a file object is
 * closed, IRP_MJ_CLOSE when its last reference goes.
 */
#include "nt/fs/fs.h"
#include "nt/io/io_internal.h"
#include "nt/ob/ob_internal.h"

#define FO_FILE_OPEN 0x00000001
#define FO_ALERTABLE_IO 0x00000004
#define FO_CLEANUP_COMPLETE 0x00004000
#define FO_HANDLE_CREATED 0x00040000

/* Bits of DEVOBJ_EXTENSION.ExtensionFlags with which a device refuses to be opened (set by the PnP manager). */
#define DEVICE_REFUSES_OPEN (IO_DEVICE_REMOVE_PENDING | IO_DEVICE_REMOVE_PROCESSED | IO_DEVICE_START_PENDING)

static void tell_driver(PFILE_OBJECT file, UCHAR major)
{
    IO_STACK_LOCATION stack = {.MajorFunction = major, .FileObject = file};

    (void)io_send_synchronous(file->DeviceObject, &stack, STATUS_SUCCESS, NULL);
}

static void handle_closed(void *body)
{
    PFILE_OBJECT file = body;

    if (ob_header_of(file)->handles != 0 || !(file->Flags & FO_FILE_OPEN) || (file->Flags & FO_CLEANUP_COMPLETE))
        return;
    tell_driver(file, IRP_MJ_CLEANUP);
    file->Flags |= FO_CLEANUP_COMPLETE;
}

static void file_destroyed(void *body)
{
    PFILE_OBJECT file = body;

    if (file->DeviceObject == NULL)
        return;
    if (file->Flags & FO_FILE_OPEN)
        tell_driver(file, IRP_MJ_CLOSE);
    if (file->FileName.Buffer != NULL)
        ExFreePoolWithTag(file->FileName.Buffer, IO_TAG_GENERAL);
    io_device_closed(file->DeviceObject);
}

void io_file_init(void)
{
    ob_handle_on_close(OB_FILE, handle_closed);
}

/* ---- opening ---- */

static NTSTATUS may_open(PDEVICE_OBJECT device)
{
    const struct io_device *private = io_device(device);
    PDEVICE_OBJECT bottom = io_stack_bottom(device);

    if (private->delete_pending || (device->Flags & DO_DEVICE_INITIALIZING))
        return STATUS_NO_SUCH_DEVICE;
    if (io_device(bottom)->extension.ExtensionFlags & DEVICE_REFUSES_OPEN)
        return STATUS_NO_SUCH_DEVICE;
    if ((device->Flags & DO_EXCLUSIVE) && device->ReferenceCount != 0)
        return STATUS_ACCESS_DENIED;
    return STATUS_SUCCESS;
}

static NTSTATUS set_file_name(PFILE_OBJECT file, PCUNICODE_STRING rest)
{
    if (rest->Length == 0)
        return STATUS_SUCCESS;
    file->FileName.Buffer = ExAllocatePoolWithTag(PagedPool, rest->Length, IO_TAG_GENERAL);
    if (file->FileName.Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlCopyMemory(file->FileName.Buffer, rest->Buffer, rest->Length);
    file->FileName.Length = rest->Length;
    file->FileName.MaximumLength = rest->Length;
    return STATUS_SUCCESS;
}

/* The whole name of a file that was opened below another one; its driver has seen the two parts. */
static NTSTATUS complete_file_name(PFILE_OBJECT file, const FILE_OBJECT *root)
{
    UNICODE_STRING rest = file->FileName;
    UNICODE_STRING whole = {.MaximumLength = (USHORT)(root->FileName.Length + sizeof(WCHAR) + rest.Length)};

    whole.Buffer = ExAllocatePoolWithTag(PagedPool, whole.MaximumLength, IO_TAG_GENERAL);
    if (whole.Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlCopyUnicodeString(&whole, &root->FileName);
    if (rest.Length != 0)
        (void)RtlAppendUnicodeToString(&whole, L"\\");
    (void)RtlAppendUnicodeStringToString(&whole, &rest);
    if (rest.Buffer != NULL)
        ExFreePoolWithTag(rest.Buffer, IO_TAG_GENERAL);
    file->FileName = whole;
    return STATUS_SUCCESS;
}

static NTSTATUS open_device(PDEVICE_OBJECT device, PFILE_OBJECT root, PCUNICODE_STRING rest, ACCESS_MASK access,
                            ULONG attributes, ULONG share, ULONG disposition, ULONG options, PIO_STATUS_BLOCK result,
                            PHANDLE handle)
{
    IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_CREATE};
    ULONG_PTR information = 0;
    PFILE_OBJECT file;
    NTSTATUS status = may_open(device);

    if (!NT_SUCCESS(status))
        return status;
    file = ob_create(OB_FILE, sizeof(*file), file_destroyed);
    if (file == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    file->Type = IO_TYPE_FILE;
    file->Size = sizeof(*file);
    file->DeviceObject = device;
    file->ReadAccess = (access & (FILE_READ_DATA | GENERIC_READ | GENERIC_ALL)) != 0;
    file->WriteAccess = (access & (FILE_WRITE_DATA | FILE_APPEND_DATA | GENERIC_WRITE | GENERIC_ALL)) != 0;
    file->DeleteAccess = (access & DELETE) != 0;
    file->SharedRead = (share & FILE_SHARE_READ) != 0;
    file->SharedWrite = (share & FILE_SHARE_WRITE) != 0;
    file->SharedDelete = (share & FILE_SHARE_DELETE) != 0;
    if (options & (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT))
        file->Flags |= FO_SYNCHRONOUS_IO;
    if (options & FILE_SYNCHRONOUS_IO_ALERT)
        file->Flags |= FO_ALERTABLE_IO;
    if (options & FILE_NO_INTERMEDIATE_BUFFERING)
        file->Flags |= FO_NO_INTERMEDIATE_BUFFERING;
    KeInitializeEvent(&file->Lock, SynchronizationEvent, TRUE);
    KeInitializeEvent(&file->Event, NotificationEvent, FALSE);
    InitializeListHead(&file->IrpList);
    io_device_opened(device);
    file->RelatedFileObject = root;
    status = set_file_name(file, rest);
    if (!NT_SUCCESS(status)) {
        ob_dereference(file);
        return status;
    }

    stack.FileObject = file;
    stack.Parameters.Create.Options = (disposition << 24) | (options & 0x00ffffff);
    stack.Parameters.Create.FileAttributes = (USHORT)attributes;
    stack.Parameters.Create.ShareAccess = (USHORT)share;
    status = io_send_synchronous(device, &stack, STATUS_SUCCESS, &information);
    if (!NT_SUCCESS(status)) {
        ob_dereference(file); /* not open: the driver hears nothing more of it */
        return status;
    }
    file->Flags |= FO_FILE_OPEN;
    file->RelatedFileObject = NULL; /* for the time of IRP_MJ_CREATE */
    status = root != NULL ? complete_file_name(file, root) : STATUS_SUCCESS;
    if (NT_SUCCESS(status))
        status = ob_handle_create(file, handle);
    if (NT_SUCCESS(status)) {
        file->Flags |= FO_HANDLE_CREATED;
        result->Status = STATUS_SUCCESS;
        result->Information = information;
    } else {
        handle_closed(file);
    }
    ob_dereference(file);
    return status;
}

struct file_wanted {
    ACCESS_MASK access;
    ULONG attributes;
    ULONG share;
    ULONG disposition;
    ULONG options;
};

/* The device that a name leads to and the rest of the name, or the root's device and the whole name. */
static NTSTATUS find_device(const OBJECT_ATTRIBUTES *attributes, PFILE_OBJECT *root, PDEVICE_OBJECT *device,
                            PUNICODE_STRING rest)
{
    NTSTATUS status;
    void *body;

    *root = NULL;
    if (attributes->RootDirectory != NULL) {
        status =
            ObReferenceObjectByHandle(attributes->RootDirectory, 0, *IoFileObjectType, KernelMode, (PVOID *)root, NULL);
        if (!NT_SUCCESS(status))
            return status;
        *rest = *attributes->ObjectName;
        *device = (*root)->DeviceObject;
        ob_reference(*device);
        return STATUS_SUCCESS;
    }
    fs_mount_for(attributes->ObjectName);
    status = ob_lookup(attributes->ObjectName, &body, rest);
    if (!NT_SUCCESS(status))
        return status;
    if (ob_type_of(body) != OB_DEVICE) {
        ob_dereference(body);
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    *device = body;
    return STATUS_SUCCESS;
}

static NTSTATUS create_file(PHANDLE handle, const OBJECT_ATTRIBUTES *attributes, const struct file_wanted *wanted,
                            PIO_STATUS_BLOCK result)
{
    PDEVICE_OBJECT device;
    UNICODE_STRING rest;
    PFILE_OBJECT root;
    NTSTATUS status;

    if ((wanted->options & (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT)) != 0 &&
        !(wanted->access & (SYNCHRONIZE | GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE | GENERIC_ALL)))
        return STATUS_INVALID_PARAMETER;
    if (wanted->disposition > FILE_OVERWRITE_IF)
        return STATUS_INVALID_PARAMETER;
    status = find_device(attributes, &root, &device, &rest);
    if (!NT_SUCCESS(status))
        return status;
    status = open_device(device, root, &rest, wanted->access, wanted->attributes, wanted->share, wanted->disposition,
                         wanted->options, result, handle);
    ob_dereference(device);
    if (root != NULL)
        ob_dereference(root);
    return status;
}

NTSTATUS NTAPI ZwCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                            PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize, ULONG FileAttributes,
                            ULONG ShareAccess, ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer,
                            ULONG EaLength)
{
    const struct file_wanted wanted = {DesiredAccess, FileAttributes, ShareAccess, CreateDisposition, CreateOptions};

    NT_CALL(PASSIVE_LEVEL);
    if (EaBuffer != NULL || EaLength != 0)
        NT_UNIMPLEMENTED("a file with extended attributes (pass no EaBuffer)");
    (void)AllocationSize; /* concerns a file system that makes or overwrites a file */
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    return create_file(FileHandle, ObjectAttributes, &wanted, IoStatusBlock);
}

NTSTATUS NTAPI ZwOpenFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                          PIO_STATUS_BLOCK IoStatusBlock, ULONG ShareAccess, ULONG OpenOptions)
{
    const struct file_wanted wanted = {DesiredAccess, 0, ShareAccess, FILE_OPEN, OpenOptions};

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    return create_file(FileHandle, ObjectAttributes, &wanted, IoStatusBlock);
}

NTSTATUS NTAPI ZwDeleteFile(POBJECT_ATTRIBUTES ObjectAttributes)
{
    const struct file_wanted wanted = {DELETE, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, FILE_OPEN,
                                       FILE_DELETE_ON_CLOSE};
    IO_STATUS_BLOCK result;
    NTSTATUS status;
    HANDLE handle;

    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    if (ObjectAttributes == NULL)
        return STATUS_INVALID_PARAMETER;
    status = create_file(&handle, ObjectAttributes, &wanted, &result);
    return NT_SUCCESS(status) ? ZwClose(handle) : status;
}

/* ---- requests ---- */

struct file_request {
    PFILE_OBJECT file;
    PKEVENT event;
    PDEVICE_OBJECT top;
    PIRP irp;
    struct irp_record *record;
    PIO_STACK_LOCATION stack;
    bool synchronous;
};

static void abandon_request(struct file_request *request)
{
    if (request->irp != NULL)
        irp_discard(request->irp);
    if (request->synchronous)
        KeSetEvent(&request->file->Lock, IO_NO_INCREMENT, FALSE);
    if (request->event != NULL)
        ob_dereference(request->event);
    if (request->top != NULL)
        ob_dereference(request->top);
    ob_dereference(request->file);
}

/* How the requestor of an I/O request wants to hear of its end. */
struct answer {
    HANDLE event;
    PIO_APC_ROUTINE routine;
    PVOID context;
    PIO_STATUS_BLOCK result;
};

static NTSTATUS begin_request(struct file_request *request, HANDLE handle, const struct answer *answer, UCHAR major,
                              const void *caller)
{
    BOOLEAN alertable;
    NTSTATUS status;

    RtlZeroMemory(request, sizeof(*request));
    status = ObReferenceObjectByHandle(handle, 0, *IoFileObjectType, KernelMode, (PVOID *)&request->file, NULL);
    if (!NT_SUCCESS(status))
        return status;
    if (answer->event != NULL) {
        status =
            ObReferenceObjectByHandle(answer->event, 0, *ExEventObjectType, KernelMode, (PVOID *)&request->event, NULL);
        if (!NT_SUCCESS(status)) {
            ob_dereference(request->file);
            return status;
        }
        KeClearEvent(request->event);
    }
    if (request->file->Flags & FO_SYNCHRONOUS_IO) {
        alertable = (request->file->Flags & FO_ALERTABLE_IO) != 0;
        status = KeWaitForSingleObject(&request->file->Lock, Executive, KernelMode, alertable, NULL);
        if (status != STATUS_SUCCESS) {
            abandon_request(request);
            return status; /* alerted */
        }
        request->synchronous = true;
    }
    KeClearEvent(&request->file->Event);
    request->top = IoGetAttachedDeviceReference(request->file->DeviceObject);
    request->irp = irp_allocate(request->top->StackSize, caller);
    if (request->irp == NULL) {
        abandon_request(request);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    request->record = irp_record_find(request->irp);
    request->irp->UserIosb = answer->result;
    request->irp->Overlay.AsynchronousParameters.UserApcRoutine = answer->routine;
    request->irp->Overlay.AsynchronousParameters.UserApcContext = answer->context;
    request->irp->Tail.Overlay.OriginalFileObject = request->file;
    request->stack = IoGetNextIrpStackLocation(request->irp);
    request->stack->MajorFunction = major;
    request->stack->FileObject = request->file;
    return STATUS_SUCCESS;
}

/*
 * Wait for the end of a synchronous request. An alert, where the file was opened for that, cancels it: as long as its
 * completion APC can not be delivered and the event is not set, the IRP is there to be cancelled.
 */
static NTSTATUS await_request(struct file_request *request)
{
    PFILE_OBJECT file = request->file;
    BOOLEAN alertable = (file->Flags & FO_ALERTABLE_IO) != 0;
    KIRQL irql;

    if (KeWaitForSingleObject(&file->Event, Executive, KernelMode, alertable, NULL) == STATUS_SUCCESS)
        return file->FinalStatus;
    irql = KfRaiseIrql(APC_LEVEL);
    if (KeReadStateEvent(&file->Event) == 0)
        (void)IoCancelIrp(request->irp);
    KeLowerIrql(irql);
    (void)KeWaitForSingleObject(&file->Event, Executive, KernelMode, FALSE, NULL);
    return file->FinalStatus;
}

static NTSTATUS send_request(struct file_request *request)
{
    NTSTATUS status;

    /* What the request holds now goes with the IRP; the caller keeps the file for the time of a synchronous wait. */
    irp_queue_to_thread(request->irp, request->record);
    request->record->file = request->file;
    request->record->event = request->event;
    request->irp->UserEvent = request->event;
    ob_reference(request->file);
    status = irp_call(request->top, request->irp);
    if (request->synchronous) {
        if (status == STATUS_PENDING)
            status = await_request(request);
        KeSetEvent(&request->file->Lock, IO_NO_INCREMENT, FALSE);
    }
    ob_dereference(request->top);
    ob_dereference(request->file);
    return status;
}

static NTSTATUS transfer(HANDLE handle, const struct answer *answer, bool read, PVOID buffer, ULONG length,
                         PLARGE_INTEGER offset, PULONG key, const void *caller)
{
    struct file_request request;
    LARGE_INTEGER position = {.QuadPart = 0};
    bool at_pointer;
    NTSTATUS status;

    status = begin_request(&request, handle, answer, read ? IRP_MJ_READ : IRP_MJ_WRITE, caller);
    if (!NT_SUCCESS(status))
        return status;
    if (read ? !request.file->ReadAccess : !request.file->WriteAccess) {
        abandon_request(&request);
        return STATUS_ACCESS_DENIED;
    }
    at_pointer = offset == NULL || (offset->HighPart == -1 && offset->LowPart == FILE_USE_FILE_POINTER_POSITION);
    if (at_pointer && !request.synchronous) {
        abandon_request(&request);
        return STATUS_INVALID_PARAMETER; /* an asynchronous file object has no position */
    }
    position = at_pointer ? request.file->CurrentByteOffset : *offset;
    request.stack->Parameters.Read.Length = length;
    request.stack->Parameters.Read.Key = key != NULL ? *key : 0;
    request.stack->Parameters.Read.ByteOffset = position;
    status = irp_attach_transfer(request.irp, request.record, request.top, read, buffer, length);
    if (!NT_SUCCESS(status)) {
        abandon_request(&request);
        return status;
    }
    if (request.synchronous) {
        PFILE_OBJECT file = request.file;

        ob_reference(file);
        status = send_request(&request);
        if (NT_SUCCESS(status) && position.QuadPart >= 0) /* else the driver knows where the end was */
            file->CurrentByteOffset.QuadPart = position.QuadPart + (LONGLONG)answer->result->Information;
        ob_dereference(file);
        return status;
    }
    return send_request(&request);
}

NTSTATUS NTAPI ZwReadFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                          PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, PLARGE_INTEGER ByteOffset,
                          PULONG Key)
{
    struct answer answer = {Event, ApcRoutine, ApcContext, IoStatusBlock};

    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    return transfer(FileHandle, &answer, true, Buffer, Length, ByteOffset, Key, __builtin_return_address(0));
}

NTSTATUS NTAPI ZwWriteFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                           PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, PLARGE_INTEGER ByteOffset,
                           PULONG Key)
{
    struct answer answer = {Event, ApcRoutine, ApcContext, IoStatusBlock};

    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    return transfer(FileHandle, &answer, false, Buffer, Length, ByteOffset, Key, __builtin_return_address(0));
}

NTSTATUS NTAPI ZwDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                                     PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer,
                                     ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength)
{
    struct answer answer = {Event, ApcRoutine, ApcContext, IoStatusBlock};
    struct file_request request;
    ULONG access = (IoControlCode >> 14) & 3;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    status = begin_request(&request, FileHandle, &answer, IRP_MJ_DEVICE_CONTROL, __builtin_return_address(0));
    if (!NT_SUCCESS(status))
        return status;
    if (((access & FILE_READ_ACCESS) && !request.file->ReadAccess) ||
        ((access & FILE_WRITE_ACCESS) && !request.file->WriteAccess)) {
        abandon_request(&request);
        return STATUS_ACCESS_DENIED;
    }
    status = irp_attach_control(request.irp, request.record, request.stack, IoControlCode, InputBuffer,
                                InputBufferLength, OutputBuffer, OutputBufferLength);
    if (!NT_SUCCESS(status)) {
        abandon_request(&request);
        return status;
    }
    return send_request(&request);
}

static NTSTATUS information(HANDLE handle, PIO_STATUS_BLOCK result, bool query, PVOID buffer, ULONG length,
                            FILE_INFORMATION_CLASS class, const void *caller)
{
    struct answer answer = {NULL, NULL, NULL, result};
    struct file_request request;
    NTSTATUS status;

    status =
        begin_request(&request, handle, &answer, query ? IRP_MJ_QUERY_INFORMATION : IRP_MJ_SET_INFORMATION, caller);
    if (!NT_SUCCESS(status))
        return status;
    request.stack->Parameters.QueryFile.Length = length;
    request.stack->Parameters.QueryFile.FileInformationClass = class;
    status = irp_attach_buffered(request.irp, request.record, query, buffer, length);
    if (!NT_SUCCESS(status)) {
        abandon_request(&request);
        return status;
    }
    return send_request(&request);
}

NTSTATUS NTAPI ZwQueryInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation,
                                      ULONG Length, FILE_INFORMATION_CLASS FileInformationClass)
{
    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    return information(FileHandle, IoStatusBlock, true, FileInformation, Length, FileInformationClass,
                       __builtin_return_address(0));
}

NTSTATUS NTAPI ZwSetInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation,
                                    ULONG Length, FILE_INFORMATION_CLASS FileInformationClass)
{
    NT_CALL(PASSIVE_LEVEL);
    io_check_special_apcs(__func__);
    return information(FileHandle, IoStatusBlock, false, FileInformation, Length, FileInformationClass,
                       __builtin_return_address(0));
}
