/* Between registry.c and registry_query.c. */
#ifndef NT_RTL_REGISTRY_H
#define NT_RTL_REGISTRY_H

#include "nt/rtl/rtl.h"

#define RTL_REGISTRY_TAG ((ULONG)'R' | (ULONG)'q' << 8 | (ULONG)'r' << 16 | (ULONG)'v' << 24)

/*
 * The key that RelativeTo and Path of the Rtl registry routines name. With RTL_REGISTRY_HANDLE that is the caller's
 * handle, which rtl_registry_close() leaves open. `create`: the last component is made if it is missing.
 */
NTSTATUS rtl_registry_open(ULONG relative_to, PCWSTR path, bool create, HANDLE *handle);
void rtl_registry_close(ULONG relative_to, HANDLE handle);

#endif
