/* The list of modules: AuxKlibQueryModuleInformation, and ZwQuerySystemInformation, whose page lists few classes. */
#include "nttest.h"

#if defined(__MINGW32__) /* it has no aux_klib.h and no library for it */
TEST_TABLE(ob_modules){TEST_END};
#else
#include <aux_klib.h>

/* Any address of this driver. */
#define MINE ((ULONG_PTR)&QueryModules)

static PVOID QueryModules(ULONG ElementSize, PULONG Count)
{
    ULONG Size = 0;
    PVOID List;

    CHECK(AuxKlibQueryModuleInformation(&Size, ElementSize, NULL) == STATUS_SUCCESS);
    CHECK(Size != 0 && Size % ElementSize == 0);
    List = TestAllocate(Size);
    if (List == NULL)
        return NULL;
    CHECK(AuxKlibQueryModuleInformation(&Size, ElementSize, List) == STATUS_SUCCESS);
    *Count = Size / ElementSize;
    return List;
}

static BOOLEAN EndsWith(PCSTR Name, PCSTR End)
{
    SIZE_T Length = strlen(Name);

    return Length >= strlen(End) && strcmp(Name + Length - strlen(End), End) == 0;
}

static VOID ModulesExtended(VOID)
{
    PAUX_MODULE_EXTENDED_INFO Modules;
    ULONG Count = 0, Mine = 0;

    EXPECT_STATUS(AuxKlibInitialize(), STATUS_SUCCESS);
    EXPECT_STATUS(AuxKlibInitialize(), STATUS_SUCCESS); /* as often as one likes */
    Modules = QueryModules(sizeof(*Modules), &Count);
    REQUIRE(Modules != NULL);
    EXPECT_TRUE(EndsWith((PCSTR)Modules[0].FullPathName, "ntoskrnl.exe"));
    EXPECT_TEXT((PCSTR)Modules[0].FullPathName + Modules[0].FileNameOffset, "ntoskrnl.exe");
    for (ULONG Index = 0; Index < Count; Index++) {
        CHECK(Modules[Index].FullPathName[0] == '\\');
        CHECK(Modules[Index].FullPathName[Modules[Index].FileNameOffset - 1] == '\\');
        if (MINE - (ULONG_PTR)Modules[Index].BasicInfo.ImageBase >= Modules[Index].ImageSize)
            continue;
        Mine++;
        EXPECT_TEXT((PCSTR)Modules[Index].FullPathName + Modules[Index].FileNameOffset, "nttest.sys");
    }
    EXPECT_EQUAL(Mine, 1);
    TestFree(Modules);
}

static VOID ModulesBasic(VOID)
{
    PAUX_MODULE_EXTENDED_INFO Extended;
    PAUX_MODULE_BASIC_INFO Basic;
    ULONG Count = 0, Number = 0;

    CHECK(AuxKlibInitialize() == STATUS_SUCCESS);
    Extended = QueryModules(sizeof(*Extended), &Count);
    Basic = QueryModules(sizeof(*Basic), &Number);
    REQUIRE(Extended != NULL && Basic != NULL);
    EXPECT_TRUE(Count == Number);
    for (ULONG Index = 0; Index < Count; Index++)
        CHECK(Basic[Index].ImageBase == Extended[Index].BasicInfo.ImageBase);
    TestFree(Basic);
    TestFree(Extended);
}

static VOID ModulesFailures(VOID)
{
    AUX_MODULE_BASIC_INFO One;
    ULONG Size = 1;

    CHECK(AuxKlibInitialize() == STATUS_SUCCESS);
    EXPECT_STATUS(AuxKlibQueryModuleInformation(&Size, sizeof(One), &One), STATUS_BUFFER_TOO_SMALL);
    /* Other sizes may not be passed; with which status that ends is not on the page. */
    CHECK(!NT_SUCCESS(AuxKlibQueryModuleInformation(&Size, sizeof(One) + 1, NULL)));
}

static VOID ModulesWithoutInitialize(VOID)
{
    ULONG Size = 0;

    (VOID) AuxKlibQueryModuleInformation(&Size, sizeof(AUX_MODULE_BASIC_INFO), NULL);
}

static VOID SystemModules(VOID)
{
    PRTL_PROCESS_MODULES Modules;
    ULONG Size = 0, Mine = 0;

    EXPECT_STATUS(ZwQuerySystemInformation(SystemModuleInformation, NULL, 0, &Size), STATUS_INFO_LENGTH_MISMATCH);
    Modules = TestAllocate(Size);
    REQUIRE(Modules != NULL);
    EXPECT_STATUS(ZwQuerySystemInformation(SystemModuleInformation, Modules, Size, NULL), STATUS_SUCCESS);
    EXPECT_TEXT((PCSTR)Modules->Modules[0].FullPathName + Modules->Modules[0].OffsetToFileName, "ntoskrnl.exe");
    for (ULONG Index = 0; Index < Modules->NumberOfModules; Index++)
        if (MINE - (ULONG_PTR)Modules->Modules[Index].ImageBase < Modules->Modules[Index].ImageSize)
            Mine++;
    EXPECT_EQUAL(Mine, 1);
    TestFree(Modules);
}

static VOID SystemBasics(VOID)
{
    SYSTEM_BASIC_INFORMATION Basic;
    SYSTEM_PROCESSOR_INFORMATION Processor;
    SYSTEM_TIMEOFDAY_INFORMATION Time;
    ULONG Size = 0;

    EXPECT_STATUS(ZwQuerySystemInformation(SystemBasicInformation, &Basic, sizeof(Basic), &Size), STATUS_SUCCESS);
    EXPECT_EQUAL(Size, 0x40);
    EXPECT_EQUAL(Basic.PageSize, PAGE_SIZE);
    EXPECT_TRUE((ULONG)Basic.NumberOfProcessors == KeQueryActiveProcessorCount(NULL));
    EXPECT_TRUE(Basic.HighestPhysicalPageNumber - Basic.LowestPhysicalPageNumber + 1 >= Basic.NumberOfPhysicalPages);
    EXPECT_STATUS(ZwQuerySystemInformation(SystemBasicInformation, &Basic, sizeof(Basic) - 1, &Size),
                  STATUS_INFO_LENGTH_MISMATCH);
    EXPECT_STATUS(ZwQuerySystemInformation(SystemProcessorInformation, &Processor, sizeof(Processor), NULL),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Processor.ProcessorArchitecture, 9); /* PROCESSOR_ARCHITECTURE_AMD64 */
    EXPECT_STATUS(ZwQuerySystemInformation(SystemTimeOfDayInformation, &Time, sizeof(Time), NULL), STATUS_SUCCESS);
    EXPECT_TRUE(Time.CurrentTime.QuadPart >= Time.BootTime.QuadPart);
    EXPECT_STATUS(ZwQuerySystemInformation((SYSTEM_INFORMATION_CLASS)0x7000, &Basic, sizeof(Basic), NULL),
                  STATUS_INVALID_INFO_CLASS);
}

static VOID SystemDebuggerAndIntegrity(VOID)
{
    SYSTEM_KERNEL_DEBUGGER_INFORMATION Debugger = {.KernelDebuggerEnabled = 7};
    SYSTEM_CODEINTEGRITY_INFORMATION Integrity = {.Length = sizeof(Integrity)};
    ULONG Size = 0;

    EXPECT_STATUS(ZwQuerySystemInformation(SystemKernelDebuggerInformation, &Debugger, sizeof(Debugger), &Size),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Size, 2);
    EXPECT_TRUE(Debugger.KernelDebuggerEnabled <= TRUE);
    OBSERVE("debugger not there", Debugger.KernelDebuggerNotPresent);
    EXPECT_STATUS(ZwQuerySystemInformation(SystemKernelDebuggerInformation, &Debugger, 1, NULL),
                  STATUS_INFO_LENGTH_MISMATCH);
    EXPECT_STATUS(ZwQuerySystemInformation(SystemCodeIntegrityInformation, &Integrity, sizeof(Integrity), &Size),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Size, sizeof(Integrity));
    EXPECT_TRUE((Integrity.CodeIntegrityOptions & CODEINTEGRITY_OPTION_ENABLED) != 0);
    EXPECT_TRUE((Integrity.CodeIntegrityOptions & CODEINTEGRITY_OPTION_TESTSIGN) != 0); /* this driver was loaded */
    EXPECT_STATUS(ZwQuerySystemInformation(SystemCodeIntegrityInformation, &Integrity, sizeof(ULONG), NULL),
                  STATUS_INFO_LENGTH_MISMATCH);
}

TEST_TABLE(ob_modules){TEST(ModulesExtended, 0),
                       TEST(ModulesBasic, 0),
                       TEST(ModulesFailures, 0),
                       TEST_VIOLATION(ModulesWithoutInitialize, "aux-klib", 0xC4),
                       TEST(SystemModules, 0),
                       TEST(SystemBasics, 0),
                       TEST(SystemDebuggerAndIntegrity, 0),
                       TEST_END};
#endif
