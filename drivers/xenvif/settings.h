/*
 * What the registry holds of an adapter's addresses, routes and name servers, carried from one adapter to another that
 * takes its place: from the emulated card of the same MAC address to the VIF, and from a VIF that was removed to a
 * later one (field bug FB13). README.md has the keys.
 *
 * Mac is the VIF's permanent address; Adapter its NetCfgInstanceId. Failures are logged, and tried again the next time.
 */
#ifndef XENVIF_SETTINGS_H
#define XENVIF_SETTINGS_H

#include <ntddk.h>

#include "ethernet.h"

/* Characters of a GUID as text, with the NUL: what an adapter is named by. */
#define SETTINGS_ADAPTER_SIZE 39

/*
 * The device starts, and its network driver after it: gives the adapter what is kept for its MAC address, unless it has
 * had that before, or has addresses of its own. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID SettingsGive(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac, _In_z_ PCWSTR Adapter);

/*
 * The device has a twin (twin.h): keeps the twin's settings, as long as it is started, for an adapter that has had none
 * yet. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID SettingsKeep(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac, _In_z_ PCWSTR Adapter);

/* The device stops, and has no twin: keeps the adapter's own settings. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID SettingsTake(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac, _In_z_ PCWSTR Adapter);

#endif /* XENVIF_SETTINGS_H */
