/* A failed ASSERT() of a checked build: with no debugger attached it ends the run. */
#include "nt/rtl/rtl.h"

VOID NTAPI RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PSTR Message)
{
    nt_violation("assertion", "%s%sassertion failed: %s, file %s, line %u", Message != NULL ? Message : "",
                 Message != NULL ? ": " : "", (const char *)FailedAssertion, (const char *)FileName, LineNumber);
}
