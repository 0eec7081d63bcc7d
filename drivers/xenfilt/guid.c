/* The GUIDs that this driver names, once. */
#include <ntddk.h>

#include <initguid.h>

#include "emulated_interface.h"
