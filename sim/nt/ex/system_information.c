/*
 * What there is to know of the system: ZwQuerySystemInformation, and the auxiliary kernel library's list of modules
 * (aux_klib.h). The kernel comes first in both lists, then the drivers in the order of their loading.
 */
#include <aux_klib.h>
#include <string.h>

#include "image/loader.h"
#include "machine/guest_ram.h"
#include "nt/ke/ke.h"

#define CLASSES 0xF0u /* Windows 10 knows about so many */
#define ARCHITECTURE_AMD64 9

struct module {
    void *base;
    size_t size;
    char path[AUX_KLIB_MODULE_PATH_LEN];
    unsigned name_offset; /* of the file's name in the path */
};

/* Module `index`, 0 the kernel; false behind the last. */
static bool module_at(unsigned index, struct module *module)
{
    const struct loader_module *driver = NULL;
    const char *slash;

    memset(module, 0, sizeof(*module));
    if (index == 0) {
        module->base = loader_kernel_base();
        module->size = loader_kernel_size();
        strcpy(module->path, LOADER_KERNEL_NT_PATH);
    } else {
        char *path;

        do
            driver = loader_next(driver);
        while (driver != NULL && --index != 0);
        if (driver == NULL)
            return false;
        module->base = loader_module_base(driver);
        module->size = loader_module_size(driver);
        path = loader_module_nt_path(driver);
        strncpy(module->path, path, sizeof(module->path) - 1);
        image_free(path);
    }
    slash = strrchr(module->path, '\\');
    module->name_offset = (unsigned)(slash + 1 - module->path);
    return true;
}

static unsigned module_count(void)
{
    const struct loader_module *driver = NULL;
    unsigned count = 1;

    while ((driver = loader_next(driver)) != NULL)
        count++;
    return count;
}

/* ---- ZwQuerySystemInformation ---- */

static NTSTATUS answer(PVOID buffer, ULONG length, const void *from, size_t size, PULONG returned)
{
    if (returned != NULL)
        *returned = (ULONG)size;
    if (length < size)
        return STATUS_INFO_LENGTH_MISMATCH;
    memcpy(buffer, from, size);
    return STATUS_SUCCESS;
}

static NTSTATUS basic_information(PVOID buffer, ULONG length, PULONG returned)
{
    ULONG pages = guest_ram_pages();
    ULONG low = (ULONG)(GUEST_LOW_RAM_END_GFN - GUEST_RAM_FIRST_GFN);
    unsigned vcpus = ke_processors();
    SYSTEM_BASIC_INFORMATION basic = {
        .TimerResolution = KeQueryTimeIncrement(),
        .PageSize = PAGE_SIZE,
        .NumberOfPhysicalPages = pages,
        .LowestPhysicalPageNumber = (ULONG)GUEST_RAM_FIRST_GFN,
        .HighestPhysicalPageNumber =
            pages <= low ? (ULONG)GUEST_RAM_FIRST_GFN + pages - 1 : (ULONG)GUEST_HIGH_RAM_GFN + pages - low - 1,
        .AllocationGranularity = 0x10000,
        .MinimumUserModeAddress = 0x10000,
        .MaximumUserModeAddress = 0x7FFFFFFEFFFF,
        .ActiveProcessorsAffinityMask = vcpus >= 64 ? ~(ULONG_PTR)0 : ((ULONG_PTR)1 << vcpus) - 1,
        .NumberOfProcessors = (CCHAR)(vcpus < 64 ? vcpus : 64), /* of the caller's group */
    };

    return answer(buffer, length, &basic, sizeof(basic), returned);
}

static NTSTATUS processor_information(PVOID buffer, ULONG length, PULONG returned)
{
    int leaf[4];
    SYSTEM_PROCESSOR_INFORMATION processor = {.ProcessorArchitecture = ARCHITECTURE_AMD64};
    ULONG signature, model;

    __cpuid(leaf, 1);
    signature = (ULONG)leaf[0];
    processor.ProcessorLevel = (USHORT)((signature >> 8) & 0xF);
    model = (signature >> 4 & 0xF) | (signature >> 12 & 0xF0);
    processor.ProcessorRevision = (USHORT)(model << 8 | (signature & 0xF));
    processor.MaximumProcessors = (USHORT)machine->config.vcpus;
    return answer(buffer, length, &processor, sizeof(processor), returned);
}

static NTSTATUS time_information(PVOID buffer, ULONG length, PULONG returned)
{
    SYSTEM_TIMEOFDAY_INFORMATION time = {.BootTime.QuadPart = (LONGLONG)CLOCK_BOOT_SYSTEM_TIME};

    KeQuerySystemTime(&time.CurrentTime);
    return answer(buffer, length, &time, sizeof(time), returned);
}

static NTSTATUS module_information(PVOID buffer, ULONG length, PULONG returned)
{
    PRTL_PROCESS_MODULES modules = buffer;
    ULONG needed = FIELD_OFFSET(RTL_PROCESS_MODULES, Modules) + module_count() * (ULONG)sizeof(modules->Modules[0]);
    struct module module;

    if (returned != NULL)
        *returned = needed;
    if (length < needed)
        return STATUS_INFO_LENGTH_MISMATCH;
    for (unsigned index = 0; module_at(index, &module); index++) {
        PRTL_PROCESS_MODULE_INFORMATION out = &modules->Modules[index];

        memset(out, 0, sizeof(*out));
        out->ImageBase = module.base;
        out->ImageSize = (ULONG)module.size;
        out->LoadOrderIndex = (USHORT)index;
        out->LoadCount = 1;
        out->OffsetToFileName = (USHORT)module.name_offset;
        memcpy(out->FullPathName, module.path, sizeof(out->FullPathName));
        modules->NumberOfModules = index + 1;
    }
    return STATUS_SUCCESS;
}

/* What looks into the machine (gdb, a replay) does so from outside: no kernel debugger is attached. */
static NTSTATUS debugger_information(PVOID buffer, ULONG length, PULONG returned)
{
    const SYSTEM_KERNEL_DEBUGGER_INFORMATION debugger = {.KernelDebuggerNotPresent = TRUE};

    return answer(buffer, length, &debugger, sizeof(debugger), returned);
}

/* Drivers need no signature here: as on a machine with test signing. */
static NTSTATUS code_integrity_information(PVOID buffer, ULONG length, PULONG returned)
{
    SYSTEM_CODEINTEGRITY_INFORMATION integrity = {.Length = sizeof(integrity),
                                                  .CodeIntegrityOptions =
                                                      CODEINTEGRITY_OPTION_ENABLED | CODEINTEGRITY_OPTION_TESTSIGN};

    /* "Length: the size of this structure", which the caller states. */
    if (length >= sizeof(integrity) && ((PSYSTEM_CODEINTEGRITY_INFORMATION)buffer)->Length != sizeof(integrity))
        return STATUS_INFO_LENGTH_MISMATCH;
    return answer(buffer, length, &integrity, sizeof(integrity), returned);
}

NTSTATUS NTAPI ZwQuerySystemInformation(SYSTEM_INFORMATION_CLASS SystemInformationClass, PVOID SystemInformation,
                                        ULONG SystemInformationLength, PULONG ReturnLength)
{
    NT_CALL(PASSIVE_LEVEL);
    if ((ULONG)SystemInformationClass >= CLASSES)
        return STATUS_INVALID_INFO_CLASS;
    switch (SystemInformationClass) {
    case SystemBasicInformation:
        return basic_information(SystemInformation, SystemInformationLength, ReturnLength);
    case SystemProcessorInformation:
        return processor_information(SystemInformation, SystemInformationLength, ReturnLength);
    case SystemTimeOfDayInformation:
        return time_information(SystemInformation, SystemInformationLength, ReturnLength);
    case SystemModuleInformation:
        return module_information(SystemInformation, SystemInformationLength, ReturnLength);
    case SystemKernelDebuggerInformation:
        return debugger_information(SystemInformation, SystemInformationLength, ReturnLength);
    case SystemCodeIntegrityInformation:
        return code_integrity_information(SystemInformation, SystemInformationLength, ReturnLength);
    default:
        nt_violation("not-implemented",
                     "ZwQuerySystemInformation: class %u is not implemented (those of SYSTEM_INFORMATION_CLASS in "
                     "wdm.h are)",
                     (unsigned)SystemInformationClass);
    }
}

/* ---- the auxiliary library ---- */

NTSTATUS NTAPI AuxKlibInitialize(VOID)
{
    NT_CALL(PASSIVE_LEVEL);
    loader_aux_klib_initialised(__builtin_return_address(0));
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI AuxKlibQueryModuleInformation(PULONG BufferSize, ULONG ElementSize, PVOID QueryInfo)
{
    ULONG needed;
    struct module module;

    NT_CALL(PASSIVE_LEVEL);
    if (!loader_aux_klib_is_initialised(__builtin_return_address(0)))
        nt_violation("aux-klib", "AuxKlibQueryModuleInformation without AuxKlibInitialize");
    if (ElementSize != sizeof(AUX_MODULE_BASIC_INFO) && ElementSize != sizeof(AUX_MODULE_EXTENDED_INFO))
        return STATUS_INVALID_PARAMETER;
    needed = module_count() * ElementSize;
    if (QueryInfo == NULL) {
        *BufferSize = needed;
        return STATUS_SUCCESS;
    }
    if (*BufferSize < needed)
        return STATUS_BUFFER_TOO_SMALL;
    for (unsigned index = 0; module_at(index, &module); index++) {
        PAUX_MODULE_EXTENDED_INFO out = (PAUX_MODULE_EXTENDED_INFO)((char *)QueryInfo + index * ElementSize);

        out->BasicInfo.ImageBase = module.base;
        if (ElementSize == sizeof(AUX_MODULE_BASIC_INFO))
            continue;
        out->ImageSize = (ULONG)module.size;
        out->FileNameOffset = (USHORT)module.name_offset;
        memcpy(out->FullPathName, module.path, sizeof(out->FullPathName));
    }
    return STATUS_SUCCESS;
}
