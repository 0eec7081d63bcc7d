/* The firmware's ACPI tables: AuxKlibEnumerateSystemFirmwareTables, AuxKlibGetSystemFirmwareTable. */
#include "nttest.h"

#if defined(__MINGW32__) /* it has no aux_klib.h and no library for it */
TEST_TABLE(ob_firmware_tables){TEST_END};
#else
#include <aux_klib.h>

#define ACPI 0x41435049u /* 'ACPI' */
#define FACP 0x50434146u /* 'PCAF' */
#define APIC 0x43495041u /* 'CIPA' */
#define NONE 0x30303030u /* '0000': no such table */

#define HEADER 36u
#define ENTRIES 44u /* of the APIC table: where they begin */

static BOOLEAN SumIsZero(const UCHAR *Table, ULONG Length)
{
    UCHAR Sum = 0;

    for (ULONG Index = 0; Index < Length; Index++)
        Sum = (UCHAR)(Sum + Table[Index]);
    return Sum == 0;
}

static PUCHAR GetTable(ULONG Signature, PULONG Length)
{
    PUCHAR Table;
    ULONG Returned = 0;

    *Length = 0;
    (VOID) AuxKlibGetSystemFirmwareTable(ACPI, Signature, NULL, 0, Length);
    CHECK(*Length > HEADER);
    Table = TestAllocate(*Length);
    if (Table == NULL)
        return NULL;
    CHECK(AuxKlibGetSystemFirmwareTable(ACPI, Signature, Table, *Length, &Returned) == STATUS_SUCCESS);
    CHECK(Returned == *Length);
    CHECK(*(ULONG *)(PVOID)Table == Signature);
    CHECK(*(ULONG *)(PVOID)(Table + 4) == *Length);
    CHECK(SumIsZero(Table, *Length));
    return Table;
}

static VOID FirmwareTablesListed(VOID)
{
    ULONG Length = 0, Returned = 0, Facp = 0, Apic = 0;
    PULONG List;

    REQUIRE(AuxKlibInitialize() == STATUS_SUCCESS);
    OBSERVE("without a buffer",
            AuxKlibEnumerateSystemFirmwareTables(ACPI, NULL, 0, &Length)); /* the length is written */
    REQUIRE(Length != 0);
    EXPECT_EQUAL(Length % sizeof(ULONG), 0);
    List = TestAllocate(Length);
    REQUIRE(List != NULL);
    EXPECT_STATUS(AuxKlibEnumerateSystemFirmwareTables(ACPI, List, Length, &Returned), STATUS_SUCCESS);
    EXPECT_TRUE(Returned == Length);
    for (ULONG Index = 0; Index < Length / sizeof(ULONG); Index++) {
        PUCHAR Table;
        ULONG Bytes;

        Facp += List[Index] == FACP;
        Apic += List[Index] == APIC;
        Table = GetTable(List[Index], &Bytes);
        if (Table != NULL)
            TestFree(Table);
    }
    EXPECT_EQUAL(Facp, 1);
    EXPECT_EQUAL(Apic, 1);
    EXPECT_STATUS(AuxKlibEnumerateSystemFirmwareTables(ACPI, List, sizeof(ULONG) - 1, &Returned),
                  STATUS_BUFFER_TOO_SMALL);
    EXPECT_TRUE(Returned == Length);
    EXPECT_STATUS(AuxKlibEnumerateSystemFirmwareTables(ACPI, List, Length, NULL), STATUS_SUCCESS);
    TestFree(List);
}

/* Each active processor has an entry of type 0 (a local APIC's) or 9 (an x2APIC's) that is enabled. */
static VOID FirmwareTableProcessors(VOID)
{
    PUCHAR Table;
    ULONG Length, Processors = 0;

    REQUIRE(AuxKlibInitialize() == STATUS_SUCCESS);
    Table = GetTable(APIC, &Length);
    REQUIRE(Table != NULL);
    for (ULONG At = ENTRIES; At + 2 <= Length && Table[At + 1] >= 2; At += Table[At + 1]) {
        if (Table[At] == 0)
            Processors += Table[At + 4] & 1;
        else if (Table[At] == 9)
            Processors += Table[At + 8] & 1;
    }
    EXPECT_TRUE(Processors >= KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));
    TestFree(Table);
}

static VOID FirmwareTableFailures(VOID)
{
    UCHAR Few[8] = {0};
    ULONG Length = 0, Needed = 0;

    REQUIRE(AuxKlibInitialize() == STATUS_SUCCESS);
    EXPECT_STATUS(AuxKlibGetSystemFirmwareTable(ACPI, FACP, Few, sizeof(Few), &Length), STATUS_BUFFER_TOO_SMALL);
    OBSERVE("without a buffer", AuxKlibGetSystemFirmwareTable(ACPI, FACP, NULL, 0, &Needed));
    EXPECT_TRUE(Needed == Length && Length > HEADER);
    EXPECT_TRUE(!NT_SUCCESS(AuxKlibGetSystemFirmwareTable(ACPI, NONE, Few, sizeof(Few), &Length)));
    EXPECT_STATUS(AuxKlibGetSystemFirmwareTable(0x3F3F3F3F, FACP, Few, sizeof(Few), &Length), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(AuxKlibEnumerateSystemFirmwareTables(0x3F3F3F3F, Few, sizeof(Few), &Length),
                  STATUS_INVALID_PARAMETER);
}

static VOID FirmwareListWithoutInitialize(VOID)
{
    (VOID) AuxKlibEnumerateSystemFirmwareTables(ACPI, NULL, 0, NULL);
}

static VOID FirmwareTableWithoutInitialize(VOID)
{
    (VOID) AuxKlibGetSystemFirmwareTable(ACPI, FACP, NULL, 0, NULL);
}

TEST_TABLE(ob_firmware_tables){TEST(FirmwareTablesListed, 0),
                               TEST(FirmwareTableProcessors, 0),
                               TEST(FirmwareTableFailures, 0),
                               TEST_VIOLATION(FirmwareListWithoutInitialize, "aux-klib", 0xC4),
                               TEST_VIOLATION(FirmwareTableWithoutInitialize, "aux-klib", 0xC4),
                               TEST_END};
#endif
