/*
 * What \Device\PvsimAgent understands: the guest agent's driver, bound to the IFACE child of XENBUS. It stands in for
 * the interface driver by which a service of Windows hears of the toolstack's requests (control/shutdown): it announces
 * that they are heard (control/feature-*), takes each off the store, and hands it to the program that waits.
 */
#ifndef AGENT_IOCTL_H
#define AGENT_IOCTL_H

#include <ntddk.h>

#define AGENT_DEVICE_NAME L"\\Device\\PvsimAgent"
#define AGENT_DEVICE_TYPE 0x8003

/*
 * out: ULONG, an AGENT_REQUEST. Pends until there is one. STATUS_BUFFER_TOO_SMALL; STATUS_DEVICE_BUSY: somebody waits
 * already; STATUS_DELETE_PENDING: the device goes.
 */
#define IOCTL_AGENT_WAIT ((ULONG)CTL_CODE(AGENT_DEVICE_TYPE, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS))

typedef enum _AGENT_REQUEST {
    AgentNone = 0,
    AgentPowerOff = 1,
    AgentReboot = 2,
    AgentSleep = 3 /* S3 */
} AGENT_REQUEST;

#endif /* AGENT_IOCTL_H */
