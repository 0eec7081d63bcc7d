/* The GUIDs of wdmguid.h, once for all case files. */
#include "nttest.h"

#include <initguid.h>
#include <wdmguid.h>
