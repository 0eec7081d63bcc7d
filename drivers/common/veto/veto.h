/*
 * The check that refuses an upgrade of the package which would strand a client.
 *
 * A client driver binds to a child of XENBUS or XENVIF by a hardware ID that names a revision, and a revision stands
 * for one version of each interface (../../include/revision.h). A package that no longer has a revision, or a version
 * of an interface, leaves whoever needs it without a device. The installer asks here first.
 *
 * A client shows what it needs in two ways, and each is looked at:
 *
 *  - its subscriptions, DWORDs that its INF writes:
 *        HKLM\SYSTEM\CurrentControlSet\Services\<provider>\Interfaces\<client>\<interface> = version
 *    Each of them must be a version that a revision of the new package stands for. Whose driver is uninstalled has to
 *    take them away again: they count whether the client is there or not.
 *  - the MatchingDeviceId in the software key of each device that is there now, which is what published clients have
 *    instead of subscriptions: the new package must have the revision that it names. One that names no revision
 *    (XENCLASS, XENDEVICE) fits every package. A client whose INF lists other revisions as well, so that it would be
 *    installed anew, is refused all the same: it is to be upgraded first.
 *
 * A revision of XENVIF is there only while the bus has the versions that it passes on: an upgrade of the bus is held
 * against the clients of both.
 *
 * Plain C without a library and without a kernel: the co-installer, a program of the user's and the tests build the
 * same source, and read the registry by routines of their own. Nothing is allocated, nothing is written, there is no
 * state; it may be called from any thread.
 */
#ifndef DRIVER_VETO_H
#define DRIVER_VETO_H

#include <stddef.h>
#include <stdint.h>

#define VETO_INTERFACES_MAX 16
#define VETO_NAME_LENGTH 64  /* of a service, client or interface, with its NUL; longer ones cannot be read */
#define VETO_PATH_LENGTH 512 /* of a registry key */
#define VETO_TEXT_LENGTH 320 /* of what VetoPrint writes at most */

/* ---- what a package has ---- */

typedef struct _VETO_REVISION {
    uint32_t Revision;
    uint16_t Version[VETO_INTERFACES_MAX]; /* of each interface of the provider */
} VETO_REVISION;

typedef struct _VETO_INTERFACE {
    const char *Name; /* as subscriptions call it: "STORE" */
    int IsPassedOn;   /* the parent's, which has to have the version */
} VETO_INTERFACE;

typedef struct _VETO_PROVIDER {
    const char *Service; /* "XENBUS": its service, and the enumerator of its children */
    const VETO_INTERFACE *Interface;
    unsigned InterfaceCount;
    const VETO_REVISION *Revision;
    unsigned RevisionCount;
    const VETO_REVISION *Removed; /* known from earlier packages: to say what is lacking */
    unsigned RemovedCount;
} VETO_PROVIDER;

/* Those of this build (veto_tables.c), the bus first. */
#define VETO_PROVIDERS 2
extern const VETO_PROVIDER VetoProviders[VETO_PROVIDERS];

/* ---- the registry ---- */

typedef enum _VETO_RESULT {
    VETO_FOUND,
    VETO_NONE,      /* no such key, value or index */
    VETO_UNREADABLE /* or not of that type, or too long */
} VETO_RESULT;

/*
 * Keys are paths below HKLM\SYSTEM\CurrentControlSet without a backslash at either end. Names are not case-sensitive.
 * Text is ASCII and is closed by a NUL within Size bytes.
 */
typedef struct _VETO_REGISTRY {
    void *Context;

    /* Name of subkey Index of a key. */
    VETO_RESULT (*GetSubkey)(void *Context, const char *Key, unsigned Index, char *Name, size_t Size);
    /* Name of value Index of a key. */
    VETO_RESULT (*GetValue)(void *Context, const char *Key, unsigned Index, char *Name, size_t Size);
    /* Contents of a REG_DWORD and of a REG_SZ. */
    VETO_RESULT (*QueryNumber)(void *Context, const char *Key, const char *Value, uint32_t *Number);
    VETO_RESULT (*QueryString)(void *Context, const char *Key, const char *Value, char *Text, size_t Size);
    /*
     * Whether the device of this instance ("XENBUS\VEN_XP0001&DEV_VIF&REV_0900000C\_") is there now: Windows keeps
     * the keys of those that were.
     */
    int (*IsPresent)(void *Context, const char *Instance);
} VETO_REGISTRY;

/* ---- the check ---- */

typedef enum _VETO_REASON {
    VETO_BY_SUBSCRIPTION, /* Interface and Version are the subscription */
    VETO_BY_DEVICE,       /* Revision is what the device is bound to, Interface and Version what the package lacks */
    VETO_BY_REGISTRY      /* something could not be read: nobody can say that all is well */
} VETO_REASON;

/* Why an upgrade is refused; its strings live as long as the call of VETO_TELL that it is given to. */
typedef struct _VETO_FINDING {
    VETO_REASON Reason;
    const char *Provider;   /* its service */
    const char *Subscriber; /* the client as its subscription names it, or its service; "" (BY_REGISTRY): unknown */
    const char *Where;      /* the key of the subscription, or the device's instance */
    const char *Interface;  /* NULL (BY_DEVICE): a revision of which this package knows nothing */
    uint32_t Version;
    uint32_t Revision;
} VETO_FINDING;

typedef void (*VETO_TELL)(void *Context, const VETO_FINDING *Finding);

/*
 * Holds what Providers, Count of them from the bus down, will have against what the clients need. Returns how many
 * findings it has told, which is 0 if nobody is stranded and the upgrade may go on.
 */
unsigned VetoCheck(const VETO_PROVIDER *Providers, unsigned Count, const VETO_REGISTRY *Registry, VETO_TELL Tell,
                   void *Context);

/* Whether a package with these Providers has a revision, or gives a version of an interface, of provider Index. */
int VetoHasRevision(const VETO_PROVIDER *Providers, unsigned Index, uint32_t Revision);
int VetoHasVersion(const VETO_PROVIDER *Providers, unsigned Index, const char *Interface, uint32_t Version);

/* A line for a user or a log, cut to Size bytes with its NUL. */
void VetoPrint(const VETO_FINDING *Finding, char *Text, size_t Size);

#endif /* DRIVER_VETO_H */
