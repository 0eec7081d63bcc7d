/*
 * The headers whose declarations `make abi-check` compares. Included natively from sim/include, for Windows from the
 * mingw-w64 DDK, which does not have all of them: what it lacks is among the exceptions.
 */
#include <ntifs.h>
#include <ntddk.h>
#include <ntstrsafe.h>
#include <ntintsafe.h>
#include <bugcodes.h>
#include <wdmguid.h>
#include <devguid.h>
#if __has_include(<aux_klib.h>)
#include <aux_klib.h>
#endif
