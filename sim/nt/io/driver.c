/*
 * Driver objects: loading and unloading the driver of a service, driver object extensions
 * (IoAllocateDriverObjectExtension), and reinitialization routines (ntddk.h).
 */
#include <ctype.h>
#include <string.h>

#include "nt/cm/cm.h"
#include "nt/io/interrupt.h"
#include "nt/io/io_internal.h"
#include "nt/netio/netio.h"
#include "nt/ps/ps.h"

/* What a client keeps with the driver object; the memory behind it is the client's. */
struct client_extension {
    struct client_extension *next;
    PVOID id;
    PVOID memory;
};

/* DriverExtension points to the first member. */
struct io_driver {
    DRIVER_EXTENSION extension;
    LIST_ENTRY entry; /* io_state.drivers, in order of loading */
    char *service;
    WCHAR *wide_name;    /* behind DRIVER_OBJECT.DriverName */
    WCHAR *wide_service; /* behind DRIVER_EXTENSION.ServiceKeyName */
    struct loader_module *module;
    struct client_extension *clients;
    unsigned calls; /* of its dispatch routines that have not returned */
    bool unloaded;
};

enum reinitialization_list {
    REINITIALIZE_BOOT, /* IoRegisterBootDriverReinitialization: once, at the boot's end */
    REINITIALIZE_ALL,
};

struct reinitialization {
    LIST_ENTRY entry;
    PDRIVER_OBJECT driver;
    PDRIVER_REINITIALIZE routine;
    PVOID context;
};

static struct io_driver *private_of(PDRIVER_OBJECT driver)
{
    return CONTAINING_RECORD(driver->DriverExtension, struct io_driver, extension);
}

const char *io_driver_name(PDRIVER_OBJECT driver)
{
    if (driver->DriverExtension == NULL)
        return "(unloaded)"; /* somebody still refers to one of its devices */
    return private_of(driver)->service;
}

void io_driver_enter(PDRIVER_OBJECT driver)
{
    if (driver->DriverExtension != NULL)
        (void)__atomic_add_fetch(&private_of(driver)->calls, 1, __ATOMIC_SEQ_CST);
}

void io_driver_leave(PDRIVER_OBJECT driver)
{
    if (driver->DriverExtension != NULL)
        (void)__atomic_sub_fetch(&private_of(driver)->calls, 1, __ATOMIC_SEQ_CST);
}

/*
 * A dispatch routine whose last act was to let its device be removed is on its way out of the image. On Windows the way
 * from there to the image's end is long, and it is through by then; here it is waited for.
 */
static void await_dispatch_routines(PDRIVER_OBJECT driver)
{
    LARGE_INTEGER moment = {.QuadPart = -100};

    while (__atomic_load_n(&private_of(driver)->calls, __ATOMIC_SEQ_CST) != 0)
        (void)KeDelayExecutionThread(KernelMode, FALSE, &moment);
}

static NTSTATUS NTAPI invalid_request(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}

static void driver_destroyed(void *body)
{
    PDRIVER_OBJECT driver = body;
    struct io_driver *private;

    if (driver->DriverExtension == NULL)
        return;
    private = private_of(driver);
    if (!private->unloaded)
        nt_violation_code(REFERENCE_BY_POINTER, (uint64_t[4]){0, (uintptr_t)body}, "driver-reference",
                          "driver %s lost the last reference to its driver object while it is loaded",
                          private->service);
    if (ke_irql() != PASSIVE_LEVEL)
        nt_violation("driver-reference",
                     "the last reference to driver %s went away at IRQL %u: its image can only be "
                     "unmapped at PASSIVE_LEVEL",
                     private->service, ke_irql());
    RemoveEntryList(&private->entry);
    while (private->clients != NULL) {
        struct client_extension *next = private->clients->next;

        ExFreePoolWithTag(private->clients->memory, IO_TAG_GENERAL);
        image_free(private->clients);
        private->clients = next;
    }
    if (private->module != NULL)
        loader_release(private->module);
    image_free(private->service);
    image_free(private->wide_name);
    image_free(private->wide_service);
    image_free(private);
}

static void point_string(PUNICODE_STRING string, WCHAR *buffer, size_t length)
{
    string->Buffer = buffer;
    string->Length = (USHORT)(length * sizeof(WCHAR));
    string->MaximumLength = (USHORT)((length + 1) * sizeof(WCHAR));
}

static NTSTATUS create_driver_object(const char *service, PDRIVER_OBJECT *result)
{
    PDRIVER_OBJECT driver = ob_create(OB_DRIVER, sizeof(*driver), driver_destroyed);
    struct io_driver *private;
    size_t length;
    NTSTATUS status;
    char *name;

    if (driver == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    private = image_alloc(sizeof(*private));
    private->service = image_strdup(service);
    private->extension.DriverObject = driver;
    name = image_printf("\\Driver\\%s", service);
    private->wide_name = cm_utf16_from_utf8(name, &length);
    image_free(name);
    point_string(&driver->DriverName, private->wide_name, length);
    private->wide_service = cm_utf16_from_utf8(service, &length);
    point_string(&private->extension.ServiceKeyName, private->wide_service, length);
    driver->DriverExtension = &private->extension;
    driver->Type = IO_TYPE_DRIVER;
    driver->Size = sizeof(*driver);
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver->MajorFunction[i] = invalid_request;
    InsertTailList(&machine->io->drivers, &private->entry);

    status = ob_name_insert(driver, &driver->DriverName);
    if (!NT_SUCCESS(status)) {
        private->unloaded = true;
        ob_dereference(driver);
        return status;
    }
    *result = driver;
    return STATUS_SUCCESS;
}

/* ---- reinitialization ---- */

#define SERVICE_BOOT_START 0u

static void register_reinitialization(enum reinitialization_list list, PDRIVER_OBJECT driver,
                                      PDRIVER_REINITIALIZE routine, PVOID context)
{
    struct reinitialization *request = image_alloc(sizeof(*request));

    request->driver = driver;
    request->routine = routine;
    request->context = context;
    InsertTailList(&machine->io->reinitialize[list], &request->entry);
}

VOID NTAPI IoRegisterBootDriverReinitialization(PDRIVER_OBJECT DriverObject,
                                                PDRIVER_REINITIALIZE DriverReinitializationRoutine, PVOID Context)
{
    NT_CALL(PASSIVE_LEVEL);
    register_reinitialization(REINITIALIZE_BOOT, DriverObject, DriverReinitializationRoutine, Context);
}

VOID NTAPI IoRegisterDriverReinitialization(PDRIVER_OBJECT DriverObject,
                                            PDRIVER_REINITIALIZE DriverReinitializationRoutine, PVOID Context)
{
    NT_CALL(PASSIVE_LEVEL);
    register_reinitialization(REINITIALIZE_ALL, DriverObject, DriverReinitializationRoutine, Context);
}

static bool has_reinitialization(PDRIVER_OBJECT driver)
{
    for (unsigned i = 0; i < RTL_NUMBER_OF(machine->io->reinitialize); i++) {
        PLIST_ENTRY list = &machine->io->reinitialize[i];

        for (PLIST_ENTRY entry = list->Flink; entry != list; entry = entry->Flink) {
            if (CONTAINING_RECORD(entry, struct reinitialization, entry)->driver == driver)
                return true;
        }
    }
    return false;
}

static void forget_reinitialization(PDRIVER_OBJECT driver)
{
    for (unsigned i = 0; i < RTL_NUMBER_OF(machine->io->reinitialize); i++) {
        PLIST_ENTRY entry = machine->io->reinitialize[i].Flink;

        while (entry != &machine->io->reinitialize[i]) {
            struct reinitialization *request = CONTAINING_RECORD(entry, struct reinitialization, entry);

            entry = entry->Flink;
            if (request->driver == driver) {
                RemoveEntryList(&request->entry);
                image_free(request);
            }
        }
    }
}

static bool is_boot_driver(PDRIVER_OBJECT driver)
{
    char *path = image_printf("%s\\%s", CM_SERVICES, io_driver_name(driver));
    struct cm_key *key = cm_key_open(path);
    ULONG start;

    image_free(path);
    return key != NULL && cm_value_get_dword(key, "Start", &start) && start == SERVICE_BOOT_START;
}

static void call_reinitialization(struct reinitialization *request)
{
    PDRIVER_OBJECT driver = request->driver;
    ULONG count = ++driver->DriverExtension->Count;
    KIRQL irql = ke_irql();

    ob_reference(driver);
    DRIVER_CALLOUT("reinitialization routine", request->routine, driver, request->context, count);
    image_free(request);
    if (ke_irql() != irql)
        nt_violation("irql-changed",
                     "the reinitialization routine of driver %s was called at IRQL %u and returned at %u",
                     io_driver_name(driver), irql, ke_irql());
    ob_dereference(driver);
}

/* A routine may register again: it comes after those of the other drivers then. */
static void reinitialize_drivers(enum reinitialization_list which)
{
    PLIST_ENTRY list = &machine->io->reinitialize[which];

    while (!IsListEmpty(list)) {
        struct reinitialization *request = CONTAINING_RECORD(RemoveHeadList(list), struct reinitialization, entry);

        if (which == REINITIALIZE_BOOT && !is_boot_driver(request->driver)) {
            log_line(LOG_WARNING, "io",
                     "driver %s is none that the boot loads: its routine of IoRegisterBootDriverReinitialization "
                     "is not called",
                     io_driver_name(request->driver));
            image_free(request);
            continue;
        }
        call_reinitialization(request);
    }
}

void io_begin_boot(void)
{
    machine->io->booting = true;
}

void io_end_boot(void)
{
    machine->io->booting = false;
    reinitialize_drivers(REINITIALIZE_BOOT);
    reinitialize_drivers(REINITIALIZE_ALL);
}

/* ---- loading and unloading ---- */

static NTSTATUS initialize_driver(PDRIVER_OBJECT driver, PDRIVER_INITIALIZE entry)
{
    struct io_driver *private = private_of(driver);
    KIRQL irql = ke_irql();
    UNICODE_STRING path;
    NTSTATUS status;
    size_t length;
    char *text = image_printf("%s\\%s", CM_SERVICES, private->service);
    WCHAR *wide = cm_utf16_from_utf8(text, &length);

    image_free(text);
    point_string(&path, wide, length);
    driver->DriverInit = entry;
    status = DRIVER_CALLOUT("DriverEntry", entry, driver, &path);
    image_free(wide); /* the string is the driver's for the time of DriverEntry alone */
    if (ke_irql() != irql)
        nt_violation("irql-changed", "DriverEntry of driver %s was called at IRQL %u and returned at %u",
                     private->service, irql, ke_irql());
    if (!NT_SUCCESS(status)) {
        if (driver->DeviceObject != NULL)
            nt_violation("driver-entry", "DriverEntry of driver %s failed with 0x%08x and left a device object behind",
                         private->service, (unsigned)status);
        if (has_reinitialization(driver))
            nt_violation("driver-entry",
                         "DriverEntry of driver %s failed with 0x%08x after registering a reinitialization routine",
                         private->service, (unsigned)status);
        log_line(LOG_ERROR, "io", "driver %s: DriverEntry failed with status 0x%08x", private->service,
                 (unsigned)status);
        return STATUS_FAILED_DRIVER_ENTRY;
    }
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++) {
        if (driver->MajorFunction[i] == NULL)
            driver->MajorFunction[i] = invalid_request;
    }
    /* The I/O manager does this for what DriverEntry made; AddDevice must do it itself. */
    for (PDEVICE_OBJECT device = driver->DeviceObject; device != NULL; device = device->NextDevice)
        device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static NTSTATUS start_driver(PDRIVER_OBJECT driver, PDRIVER_INITIALIZE entry, PDRIVER_OBJECT *result)
{
    NTSTATUS status = initialize_driver(driver, entry);

    if (!NT_SUCCESS(status)) {
        private_of(driver)->unloaded = true;
        ob_dereference(driver);
        return status;
    }
    ob_reference(driver);
    /* Those of a driver that the boot loads wait for its end. */
    if (!machine->io->booting)
        reinitialize_drivers(REINITIALIZE_ALL);
    *result = driver;
    return STATUS_SUCCESS;
}

/* "\SystemRoot\System32\drivers\xenbus.sys" names the image xenbus; without ImagePath it is called as the service is.
 */
static char *image_name(struct cm_key *key, const char *service)
{
    char *path = cm_value_get_string(key, "ImagePath");
    const char *file;
    char *name;
    size_t length;

    if (path == NULL)
        return image_strdup(service);
    file = strrchr(path, '\\') != NULL ? strrchr(path, '\\') + 1 : path;
    length = strlen(file);
    if (length > 4 && _stricmp(file + length - 4, ".sys") == 0)
        length -= 4;
    name = image_printf("%.*s", (int)length, file);
    image_free(path);
    return name;
}

PDRIVER_OBJECT io_next_driver(PDRIVER_OBJECT driver)
{
    PLIST_ENTRY entry = driver == NULL ? machine->io->drivers.Flink : private_of(driver)->entry.Flink;

    if (entry == &machine->io->drivers)
        return NULL;
    return CONTAINING_RECORD(entry, struct io_driver, entry)->extension.DriverObject;
}

PDRIVER_OBJECT io_find_driver(const char *service)
{
    PDRIVER_OBJECT driver = NULL;

    while ((driver = io_next_driver(driver)) != NULL) {
        if (!private_of(driver)->unloaded && _stricmp(io_driver_name(driver), service) == 0) {
            ob_reference(driver);
            return driver;
        }
    }
    return NULL;
}

NTSTATUS io_load_driver(const char *service, PDRIVER_OBJECT *result)
{
    char *path = image_printf("%s\\%s", CM_SERVICES, service);
    struct cm_key *key = cm_key_open(path);
    struct loader_module *module;
    PDRIVER_INITIALIZE entry;
    PDRIVER_OBJECT driver;
    NTSTATUS status;
    char *image;

    image_free(path);
    *result = io_find_driver(service);
    if (*result != NULL)
        return STATUS_IMAGE_ALREADY_LOADED;
    if (key == NULL) {
        log_line(LOG_ERROR, "io", "driver %s: there is no service of that name", service);
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    image = image_name(key, service);
    status = loader_load(image, &module);
    image_free(image);
    if (!NT_SUCCESS(status))
        return status;
    for (driver = io_next_driver(NULL); driver != NULL; driver = io_next_driver(driver)) {
        if (private_of(driver)->module != module)
            continue;
        log_line(LOG_ERROR, "io", "driver %s: %s is the driver of service %s already", service,
                 loader_module_path(module), io_driver_name(driver));
        loader_release(module);
        return STATUS_CONFLICTING_ADDRESSES;
    }
    entry = (PDRIVER_INITIALIZE)(uintptr_t)loader_module_symbol(module, "DriverEntry");
    if (entry == NULL) {
        log_line(LOG_ERROR, "io", "driver %s: %s exports no DriverEntry", service, loader_module_path(module));
        loader_release(module);
        return STATUS_DRIVER_ENTRYPOINT_NOT_FOUND;
    }
    status = create_driver_object(service, &driver);
    if (!NT_SUCCESS(status)) {
        loader_release(module);
        return status;
    }
    private_of(driver)->module = module;
    driver->DriverStart = loader_module_base(module);
    driver->DriverSize = (ULONG)loader_module_size(module);
    driver->DriverSection = module;
    return start_driver(driver, entry, result);
}

NTSTATUS io_create_builtin_driver(const char *service, PDRIVER_INITIALIZE entry, PDRIVER_OBJECT *result)
{
    PDRIVER_OBJECT driver;
    NTSTATUS status = create_driver_object(service, &driver);

    if (!NT_SUCCESS(status))
        return status;
    driver->Flags |= DRVO_BUILTIN_DRIVER;
    return start_driver(driver, entry, result);
}

static void check_unloaded(PDRIVER_OBJECT driver)
{
    const struct loader_module *module = private_of(driver)->module;
    char where[LOADER_DESCRIPTION_MAX];
    const void *routine;
    const char *what;

    if (driver->DeviceObject != NULL)
        nt_violation("driver-unload", "driver %s still has a device object after DriverUnload", io_driver_name(driver));
    if (module == NULL)
        return;
    routine = io_interrupt_in_range(loader_module_base(module), loader_module_size(module));
    if (routine != NULL)
        nt_violation_code(DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, (uint64_t[4]){(uintptr_t)routine},
                          "driver-unload",
                          "driver %s was unloaded with its service routine %s still connected to an "
                          "interrupt",
                          io_driver_name(driver), loader_name(routine, where, sizeof(where)));
    routine = ps_notify_in_range(loader_module_base(module), loader_module_size(module), &what);
    if (routine == NULL) {
        what = "notification routine of plug and play";
        routine = notification_in_range(loader_module_base(module), loader_module_size(module));
    }
    if (routine == NULL) {
        what = "address change callback";
        routine = netio_callback_in_range(loader_module_base(module), loader_module_size(module));
    }
    if (routine != NULL)
        nt_violation_code(DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, (uint64_t[4]){(uintptr_t)routine},
                          "driver-unload", "driver %s was unloaded with its %s %s still registered",
                          io_driver_name(driver), what, loader_name(routine, where, sizeof(where)));
}

NTSTATUS io_unload_driver(PDRIVER_OBJECT driver)
{
    KIRQL irql = ke_irql();

    if (driver->DriverUnload == NULL)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (driver->DeviceObject != NULL)
        return STATUS_DEVICE_BUSY;
    await_dispatch_routines(driver);
    driver->Flags |= DRVO_UNLOAD_INVOKED;
    DRIVER_CALLOUT("DriverUnload", driver->DriverUnload, driver);
    if (ke_irql() != irql)
        nt_violation("irql-changed", "DriverUnload of driver %s was called at IRQL %u and returned at %u",
                     io_driver_name(driver), irql, ke_irql());
    check_unloaded(driver);
    forget_reinitialization(driver);
    private_of(driver)->unloaded = true;
    ob_name_remove(driver);
    ob_dereference(driver);
    return STATUS_SUCCESS;
}

/* ---- extensions of the driver object ---- */

static struct client_extension *find_client(PDRIVER_OBJECT driver, PVOID id)
{
    struct client_extension *client = private_of(driver)->clients;

    while (client != NULL && client->id != id)
        client = client->next;
    return client;
}

NTSTATUS NTAPI IoAllocateDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress,
                                               ULONG DriverObjectExtensionSize, PVOID *DriverObjectExtension)
{
    struct client_extension *client;

    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    *DriverObjectExtension = NULL;
    if (find_client(DriverObject, ClientIdentificationAddress) != NULL)
        return STATUS_OBJECT_NAME_COLLISION;
    client = image_alloc(sizeof(*client));
    client->id = ClientIdentificationAddress;
    client->memory = ExAllocatePoolWithTag(NonPagedPoolNx, DriverObjectExtensionSize, IO_TAG_GENERAL);
    if (client->memory == NULL) {
        image_free(client);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlZeroMemory(client->memory, DriverObjectExtensionSize);
    client->next = private_of(DriverObject)->clients;
    private_of(DriverObject)->clients = client;
    *DriverObjectExtension = client->memory;
    return STATUS_SUCCESS;
}

PVOID NTAPI IoGetDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress)
{
    const struct client_extension *client;

    NT_CALL(DISPATCH_LEVEL);
    client = find_client(DriverObject, ClientIdentificationAddress);
    return client != NULL ? client->memory : NULL;
}

void driver_census(struct census *census)
{
    for (PDRIVER_OBJECT driver = io_next_driver(NULL); driver != NULL; driver = io_next_driver(driver))
        census_item(census, "driver", 1, NULL, "%s", io_driver_name(driver));
}
