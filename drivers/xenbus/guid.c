/* The GUIDs that this driver names, once. */
#include <ntddk.h>

#include <initguid.h>
#include <wdmguid.h>

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "emulated_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"
