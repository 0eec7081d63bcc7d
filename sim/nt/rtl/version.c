/* The Windows that this kernel says it is: Windows 10 22H2 for workstations. */
#include "nt/rtl/rtl.h"

#define VERSION_MAJOR 10
#define VERSION_MINOR 0
#define VERSION_BUILD 19045
#define SUITE_SINGLE_USER_TERMINAL_SERVICES 0x0100

/* The caller's size says whether it has the longer structure. */
NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW VersionInformation)
{
    NT_CALL(PASSIVE_LEVEL);
    VersionInformation->dwMajorVersion = VERSION_MAJOR;
    VersionInformation->dwMinorVersion = VERSION_MINOR;
    VersionInformation->dwBuildNumber = VERSION_BUILD;
    VersionInformation->dwPlatformId = VER_PLATFORM_WIN32_NT;
    memset(VersionInformation->szCSDVersion, 0, sizeof(VersionInformation->szCSDVersion));
    if (VersionInformation->dwOSVersionInfoSize == sizeof(RTL_OSVERSIONINFOEXW)) {
        PRTL_OSVERSIONINFOEXW extended = (PRTL_OSVERSIONINFOEXW)VersionInformation;

        extended->wServicePackMajor = 0;
        extended->wServicePackMinor = 0;
        extended->wSuiteMask = SUITE_SINGLE_USER_TERMINAL_SERVICES;
        extended->wProductType = VER_NT_WORKSTATION;
        extended->wReserved = 0;
    }
    return STATUS_SUCCESS;
}

/* An NTDDI version without a service pack (the low half zero), of this Windows or an earlier one. */
BOOLEAN NTAPI RtlIsNtDdiVersionAvailable(ULONG Version)
{
    NT_CALL(PASSIVE_LEVEL);
    return (Version & 0xFFFF) == 0 && Version <= NTDDI_WIN10;
}

/* FALSE: a free build. There is no service pack, so CSDVersion becomes empty. */
BOOLEAN NTAPI PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber, PUNICODE_STRING CSDVersion)
{
    NT_CALL(PASSIVE_LEVEL);
    if (MajorVersion != NULL)
        *MajorVersion = VERSION_MAJOR;
    if (MinorVersion != NULL)
        *MinorVersion = VERSION_MINOR;
    if (BuildNumber != NULL)
        *BuildNumber = VERSION_BUILD;
    if (CSDVersion != NULL)
        RtlInitUnicodeString(CSDVersion, L"");
    return FALSE;
}
