/* Nothing here but static assertions: the layouts that other drivers and Xen rely on hold in this build. */
#include "interface_layout.h"
#include "xen_layout.h"
