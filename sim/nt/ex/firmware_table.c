/*
 * The firmware's tables, as the auxiliary kernel library shows them (aux_klib.h). The kernel finds ACPI's as an
 * operating system does: by the root pointer below 1 MiB (ACPI 4.0, 5.2.5.1), then through the extended list.
 */
#include <aux_klib.h>
#include <string.h>

#include "image/loader.h"
#include "machine/guest_ram.h"
#include "nt/ke/ke.h"

#define PROVIDER_ACPI 0x41435049u
#define PROVIDER_FIRMWARE 0x4649524Du /* memory below 1 MiB */
#define PROVIDER_SMBIOS 0x52534D42u

#define ROOT_FIRST 0xE0000u /* where a root pointer can be, at multiples of 16 */
#define ROOT_LAST 0xFFFE0u
#define ROOT_ALIGNMENT 16u
#define ROOT_CHECKED_BYTES 20u
#define ROOT_XSDT 24u
#define HEADER_BYTES 36u
#define HEADER_LENGTH 4u
#define TABLE_BYTES_MAX 0x100000u
#define FACP_X_DSDT 140u

#define SIGNATURE_FACP 0x50434146u

/* ---- physical memory ---- */

/* False if there is none at some of it. */
static bool physical_read(uint64_t address, void *to, size_t bytes)
{
    while (bytes != 0) {
        size_t offset = address % GUEST_PAGE_SIZE;
        size_t part = bytes < GUEST_PAGE_SIZE - offset ? bytes : GUEST_PAGE_SIZE - offset;
        const uint8_t *frame =
            address >> GUEST_PAGE_SHIFT < GUEST_GFN_LIMIT ? guest_frame(address >> GUEST_PAGE_SHIFT) : NULL;

        if (frame == NULL)
            return false;
        memcpy(to, frame + offset, part);
        to = (uint8_t *)to + part;
        address += part;
        bytes -= part;
    }
    return true;
}

static uint64_t physical_number(uint64_t address, size_t bytes)
{
    uint64_t value = 0;

    return physical_read(address, &value, bytes) ? value : 0;
}

/* ---- ACPI ---- */

static uint64_t find_root(void)
{
    for (uint64_t at = ROOT_FIRST; at <= ROOT_LAST; at += ROOT_ALIGNMENT) {
        uint8_t root[ROOT_CHECKED_BYTES];
        uint8_t sum = 0;

        if (!physical_read(at, root, sizeof(root)) || memcmp(root, "RSD PTR ", 8) != 0)
            continue;
        for (unsigned i = 0; i < sizeof(root); i++)
            sum += root[i];
        if (sum == 0)
            return at;
    }
    return 0;
}

/* Address and length of table `index` in the order of the list, the DSDT behind them; false: there are no more. */
static bool table_at(unsigned index, uint64_t *address, uint32_t *bytes)
{
    uint64_t root = find_root();
    uint64_t list = root != 0 ? physical_number(root + ROOT_XSDT, 8) : 0;
    uint32_t list_bytes = (uint32_t)physical_number(list + HEADER_LENGTH, 4);
    unsigned tables;

    if (list == 0 || list_bytes < HEADER_BYTES || list_bytes > TABLE_BYTES_MAX)
        return false;
    tables = (list_bytes - HEADER_BYTES) / 8;
    if (index < tables) {
        *address = physical_number(list + HEADER_BYTES + 8 * index, 8);
    } else {
        *address = 0;
        for (unsigned i = 0; index == tables && i < tables; i++) {
            uint64_t table = physical_number(list + HEADER_BYTES + 8 * i, 8);

            if (physical_number(table, 4) == SIGNATURE_FACP)
                *address = physical_number(table + FACP_X_DSDT, 8);
        }
    }
    *bytes = (uint32_t)physical_number(*address + HEADER_LENGTH, 4);
    return *address != 0 && *bytes >= HEADER_BYTES && *bytes <= TABLE_BYTES_MAX;
}

static NTSTATUS acpi_list(void *buffer, ULONG room, ULONG *needed)
{
    uint64_t address;
    uint32_t bytes;
    unsigned count = 0;

    while (table_at(count, &address, &bytes))
        count++;
    *needed = count * sizeof(uint32_t);
    if (buffer == NULL || room < *needed)
        return STATUS_BUFFER_TOO_SMALL;
    for (unsigned i = 0; i < count && table_at(i, &address, &bytes); i++)
        (void)physical_read(address, (uint8_t *)buffer + i * sizeof(uint32_t), sizeof(uint32_t));
    return STATUS_SUCCESS;
}

static NTSTATUS acpi_table(uint32_t signature, void *buffer, ULONG room, ULONG *needed)
{
    uint64_t address;
    uint32_t bytes;

    for (unsigned i = 0; table_at(i, &address, &bytes); i++) {
        if ((uint32_t)physical_number(address, 4) != signature)
            continue;
        *needed = bytes;
        if (buffer == NULL || room < bytes)
            return STATUS_BUFFER_TOO_SMALL;
        return physical_read(address, buffer, bytes) ? STATUS_SUCCESS : STATUS_NOT_FOUND;
    }
    return STATUS_NOT_FOUND;
}

/* ---- the library ---- */

static void must_be_initialised(const char *routine, const void *caller)
{
    if (!loader_aux_klib_is_initialised(caller))
        nt_violation("aux-klib", "%s without AuxKlibInitialize", routine);
}

NTSTATUS NTAPI AuxKlibEnumerateSystemFirmwareTables(ULONG FirmwareTableProviderSignature, PVOID FirmwareTableBuffer,
                                                    ULONG BufferLength, PULONG ReturnLength)
{
    ULONG needed = 0;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    must_be_initialised(__func__, __builtin_return_address(0));
    if (FirmwareTableProviderSignature == PROVIDER_FIRMWARE || FirmwareTableProviderSignature == PROVIDER_SMBIOS)
        NT_UNIMPLEMENTED("a provider other than 'ACPI'");
    if (FirmwareTableProviderSignature != PROVIDER_ACPI)
        return STATUS_INVALID_PARAMETER;
    status = acpi_list(FirmwareTableBuffer, BufferLength, &needed);
    if (ReturnLength != NULL)
        *ReturnLength = needed;
    return status;
}

NTSTATUS NTAPI AuxKlibGetSystemFirmwareTable(ULONG FirmwareTableProviderSignature, ULONG FirmwareTableID,
                                             PVOID FirmwareTableBuffer, ULONG BufferLength, PULONG ReturnLength)
{
    ULONG needed = 0;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    must_be_initialised(__func__, __builtin_return_address(0));
    if (FirmwareTableProviderSignature == PROVIDER_FIRMWARE || FirmwareTableProviderSignature == PROVIDER_SMBIOS)
        NT_UNIMPLEMENTED("a provider other than 'ACPI'");
    if (FirmwareTableProviderSignature != PROVIDER_ACPI)
        return STATUS_INVALID_PARAMETER;
    status = acpi_table(FirmwareTableID, FirmwareTableBuffer, BufferLength, &needed);
    if (ReturnLength != NULL)
        *ReturnLength = needed;
    return status;
}
