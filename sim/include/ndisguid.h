/* GUIDs of network devices, as in Microsoft's "ndisguid.h header". */

#ifndef PVSIM_NDISGUID_H
#define PVSIM_NDISGUID_H

#include <guiddef.h>

/* Device interfaces of network adapters. */
DEFINE_GUID(GUID_DEVINTERFACE_NET, 0xCAC88484, 0x7515, 0x4C03, 0x82, 0xE6, 0x71, 0xA8, 0x7A, 0xBA, 0xC3, 0x61);

#endif
