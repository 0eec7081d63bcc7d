/* Makes the DEFINE_GUID that follow in this source file definitions. Include it before the headers with GUIDs. */

#ifndef INITGUID
#define INITGUID
#endif

#include <guiddef.h>
