/* A failed ASSERT() of a checked build: with no debugger attached it ends the run. */
#include "nt/rtl/rtl.h"

VOID NTAPI RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PSTR Message)
{
    const uint64_t parameter[4] = {(uint32_t)STATUS_ASSERTION_FAILURE, (uintptr_t)__builtin_return_address(0)};

    nt_violation_code(KMODE_EXCEPTION_NOT_HANDLED, parameter, "assertion", "%s%sassertion failed: %s, file %s, line %u",
                      Message != NULL ? Message : "", Message != NULL ? ": " : "", (const char *)FailedAssertion,
                      (const char *)FileName, LineNumber);
}
