/* Notification of processes and images: registration. That images are reported is in tests/machine/test_loader.c. */
#include "nttest.h"

#if defined(__MINGW32__) /* its driver headers (version 10) lack most of these */
TEST_TABLE(ob_notify){TEST_END};
#else

static VOID NTAPI OnProcess(HANDLE ParentId, HANDLE ProcessId, BOOLEAN Create)
{
    UNREFERENCED_PARAMETER(ParentId);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(Create);
}

static VOID NTAPI OnProcessEx(PEPROCESS Process, HANDLE ProcessId, PPS_CREATE_NOTIFY_INFO CreateInfo)
{
    UNREFERENCED_PARAMETER(Process);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(CreateInfo);
}

static VOID NTAPI OnImage(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo)
{
    UNREFERENCED_PARAMETER(FullImageName);
    UNREFERENCED_PARAMETER(ProcessId);
    UNREFERENCED_PARAMETER(ImageInfo);
}

static VOID ProcessNotifyRegistration(VOID)
{
    EXPECT_STATUS(PsSetCreateProcessNotifyRoutine(OnProcess, FALSE), STATUS_SUCCESS);
    EXPECT_STATUS(PsSetCreateProcessNotifyRoutine(OnProcess, FALSE), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(PsSetCreateProcessNotifyRoutine(OnProcess, TRUE), STATUS_SUCCESS);
    /* The page is silent about the removal of what is not registered. */
    CHECK(!NT_SUCCESS(PsSetCreateProcessNotifyRoutine(OnProcess, TRUE)));
    EXPECT_STATUS(PsSetCreateProcessNotifyRoutine(OnProcess, FALSE), STATUS_SUCCESS);
    EXPECT_STATUS(PsSetCreateProcessNotifyRoutine(OnProcess, TRUE), STATUS_SUCCESS);
}

/* On Windows STATUS_ACCESS_DENIED for a driver that is not linked with /INTEGRITYCHECK. */
static VOID ProcessNotifyExRegistration(VOID)
{
    NTSTATUS Status = PsSetCreateProcessNotifyRoutineEx(OnProcessEx, FALSE);

    OBSERVE("linked for integrity checks", Status == STATUS_SUCCESS);
    CHECK(Status == STATUS_SUCCESS || Status == STATUS_ACCESS_DENIED);
    if (Status != STATUS_SUCCESS)
        return;
    CHECK(PsSetCreateProcessNotifyRoutineEx(OnProcessEx, FALSE) == STATUS_INVALID_PARAMETER);
    CHECK(PsSetCreateProcessNotifyRoutineEx(OnProcessEx, TRUE) == STATUS_SUCCESS);
    CHECK(!NT_SUCCESS(PsSetCreateProcessNotifyRoutineEx(OnProcessEx, TRUE)));
}

static VOID ImageNotifyRegistration(VOID)
{
    EXPECT_STATUS(PsSetLoadImageNotifyRoutine(OnImage), STATUS_SUCCESS);
    EXPECT_STATUS(PsRemoveLoadImageNotifyRoutine(OnImage), STATUS_SUCCESS);
    EXPECT_STATUS(PsRemoveLoadImageNotifyRoutine(OnImage), STATUS_PROCEDURE_NOT_FOUND);
}

/* 64 routines at most; other drivers of a Windows machine have some of the places. */
static VOID ImageNotifyLimit(VOID)
{
    ULONG Count = 0;
    NTSTATUS Status;

    while ((Status = PsSetLoadImageNotifyRoutine(OnImage)) == STATUS_SUCCESS)
        Count++;
    EXPECT_STATUS(Status, STATUS_INSUFFICIENT_RESOURCES);
    EXPECT_TRUE(Count <= 64);
    while (Count-- > 0)
        CHECK(PsRemoveLoadImageNotifyRoutine(OnImage) == STATUS_SUCCESS);
}

TEST_TABLE(ob_notify){TEST(ProcessNotifyRegistration, 0), TEST(ProcessNotifyExRegistration, 0),
                      TEST(ImageNotifyRegistration, 0), TEST(ImageNotifyLimit, 0), TEST_END};
#endif
