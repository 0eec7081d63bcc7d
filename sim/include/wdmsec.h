/* Device objects with a security descriptor; IoCreateDeviceSecure itself is in <wdm.h>. */

#ifndef PVSIM_WDMSEC_H
#define PVSIM_WDMSEC_H

#include <wdm.h>

#define WdmlibIoCreateDeviceSecure IoCreateDeviceSecure

/* Microsoft's "SDDL for Device Objects". */
#define PVSIM_SDDL(name, text)                                                                                         \
    DECLSPEC_SELECTANY extern const UNICODE_STRING name;                                                               \
    DECLSPEC_SELECTANY const UNICODE_STRING name = {sizeof(text) - sizeof(WCHAR), sizeof(text), (PWCH)(text)}

PVSIM_SDDL(SDDL_DEVOBJ_KERNEL_ONLY, L"D:P");
PVSIM_SDDL(SDDL_DEVOBJ_SYS_ALL, L"D:P(A;;GA;;;SY)");
PVSIM_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_ALL, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
PVSIM_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RX, L"D:P(A;;GA;;;SY)(A;;GRGX;;;BA)");
PVSIM_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)");
PVSIM_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_R_RES_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)(A;;GR;;;RC)");
PVSIM_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RW_RES_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGW;;;WD)(A;;GR;;;RC)");
PVSIM_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RWX_RES_RWX,
           L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGWGX;;;WD)(A;;GRGWGX;;;RC)");

#endif
