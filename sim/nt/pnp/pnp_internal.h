/* What the files of sim/nt/pnp share. */
#ifndef NT_PNP_INTERNAL_H
#define NT_PNP_INTERNAL_H

#include "nt/cm/cm.h"
#include "nt/io/interrupt.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"
#include "nt/pnp/inf.h"
#include "nt/pnp/pnp.h"

#define PNP_TAG 0x20706e50u       /* "Pnp " */
#define PNP_TAG_OFFER 0x52706e50u /* "PnpR": requirements lent to drivers, one list at a time */
#define DEVNODE_MAX_DRIVERS 16

/* One resource that a device holds. */
struct assignment {
    UCHAR type; /* CmResourceType... */
    UCHAR share;
    USHORT flags;
    union {
        struct {
            uint64_t start;
            uint64_t length;
        } range; /* ports, memory, bus numbers */
        struct {
            unsigned irq; /* line; 0: message */
            uint8_t vector;
            USHORT group;
            KAFFINITY mask;
            struct io_processor_set processors;
        } interrupt;
        ULONG data[3]; /* types that nobody arbitrates: passed through */
    };
};

struct devnode {
    struct devnode *parent;
    struct devnode *children; /* in the order in which the bus first reported them */
    struct devnode *next;     /* sibling */
    unsigned number;          /* from 1, in order of creation */
    unsigned level;           /* 0: root */
    PDEVICE_OBJECT pdo;       /* referenced */
    enum devnode_state state;
    enum devnode_problem problem;
    NTSTATUS problem_status;

    char *device_id;
    char *instance_id; /* with the parent's prefix where the bus asks for one */
    char *instance_path;
    char **hardware_ids; /* closed by NULL; NULL if there are none */
    char **compatible_ids;
    DEVICE_CAPABILITIES capabilities;
    PNP_BUS_INFORMATION bus;
    bool has_bus;
    PCM_RESOURCE_LIST boot; /* machine heap, NULL if none; likewise the next three */
    PIO_RESOURCE_REQUIREMENTS_LIST requirements;
    PCM_RESOURCE_LIST raw;
    PCM_RESOURCE_LIST translated;
    struct assignment *assigned;
    unsigned assigned_count;

    struct devnode **power_relations; /* must be on before this is, and off only after; without gaps */
    unsigned power_relation_count;

    char *service;
    PDRIVER_OBJECT drivers[DEVNODE_MAX_DRIVERS]; /* whose AddDevice was called; each referenced */
    unsigned driver_count;

    bool enumerate;     /* its children must be asked for */
    bool reported;      /* scratch of one enumeration: the bus still has it */
    bool missing;       /* the bus does not report it any more */
    bool was_started;   /* since its drivers were added */
    bool query_pending; /* has had a query-remove that is not decided yet */
    PNP_DEVICE_STATE device_state;
    DEVICE_POWER_STATE power; /* of the last request that was completed; PowerDeviceUnspecified: none was */
    bool power_queried;       /* a device state was asked about with success, and not set since */
};

enum pnp_action_kind {
    ACTION_ENUMERATE,       /* device: bus relations changed */
    ACTION_POWER_RELATIONS, /* device: its power relations changed */
    ACTION_STATE,           /* device: IoInvalidateDeviceState */
    ACTION_EJECT,
    ACTION_REMOVE,
    ACTION_SURPRISE,
    ACTION_RESTART,
    ACTION_RETRY,
    ACTION_RESCAN, /* as ENUMERATE, asked for by the harness */
    ACTION_BOOT,
    ACTION_SHUTDOWN,
    ACTION_CUSTOM /* IoReportTargetDeviceChange(Asynchronous): `custom` delivers and frees the action */
};

struct pnp_action {
    LIST_ENTRY entry;
    enum pnp_action_kind kind;
    PDEVICE_OBJECT device; /* referenced, NULL if the action has none */
    void (*custom)(struct pnp_action *action);
    NTSTATUS *result; /* of the thread that waits, NULL if nobody does */
    KEVENT *done;
};

struct driver_package; /* install.c */

struct pnp_state {
    struct devnode *root;
    unsigned nodes; /* ever made */
    LIST_ENTRY actions;
    KSPIN_LOCK lock; /* actions, kicked, busy, held */
    bool kicked;
    bool held;
    bool busy;
    bool running;
    KEVENT wake;
    KEVENT idle;
    PKTHREAD worker;
    struct driver_package *packages; /* the driver store, in order of installation */
    char refusal[256];
};

/* ---- irps.c: requests to a device's stack; logged, and in the event log ---- */
NTSTATUS pnp_send(struct devnode *node, IO_STACK_LOCATION *stack, NTSTATUS initial, ULONG_PTR *information);
NTSTATUS pnp_send_minor(struct devnode *node, UCHAR minor);
/* A request that drivers must not fail: a failure is a violation. */
void pnp_send_must_succeed(struct devnode *node, UCHAR minor);
/* Pool memory of the driver's, NULL if the stack does not answer; the caller frees it with ExFreePool(). */
NTSTATUS pnp_query_id(struct devnode *node, BUS_QUERY_ID_TYPE type, WCHAR **id);
WCHAR *pnp_query_text(struct devnode *node, DEVICE_TEXT_TYPE type);
NTSTATUS pnp_query_relations(struct devnode *node, DEVICE_RELATION_TYPE type, PDEVICE_RELATIONS *relations);
/* The node of one of a device's removal or ejection relations, NULL if it has none yet; no live device: a violation. */
struct devnode *pnp_removal_relation(const struct devnode *node, const DEVICE_RELATIONS *relations, ULONG index);
/* Gives back a reference that a driver took for us when it answered with device relations. */
void pnp_release_relation(PDEVICE_OBJECT pdo);
NTSTATUS pnp_query_capabilities(struct devnode *node, PDEVICE_CAPABILITIES capabilities);

/* ---- devnode.c ---- */
struct devnode *devnode_create(struct devnode *parent, PDEVICE_OBJECT pdo);
/* Unlink and free a node without children; drops the reference to its PDO. */
void devnode_destroy(struct devnode *node);
/* IDs and path: the device is to be asked again. */
void devnode_forget_identity(struct devnode *node);
void devnode_set_problem(struct devnode *node, enum devnode_problem problem, NTSTATUS status);
/* The registry key Enum\<instance path>, made if it is not there. */
struct cm_key *devnode_key(const struct devnode *node);
void devnode_set_open_refusal(struct devnode *node, ULONG bits, bool set);

/* ---- identify.c ---- */
void devnode_identify(struct devnode *node);
/* Devices that another one kept out: its place may be free now. */
void devnode_retry_duplicates(void);

/* ---- install.c ---- */
/* Make sure that the device's registry key names its drivers; PROBLEM_FAILED_INSTALL when no package has any. */
bool devnode_install(struct devnode *node);
void packages_init(void);

/* ---- net_class.c: what the class installer and NDIS do for a network adapter; other devices are passed over ---- */
void net_class_install(const struct devnode *node);
void net_class_started(const struct devnode *node);
/* Before the device's drivers are stopped or removed, or told that it is gone. */
void net_class_gone(const struct devnode *node);

/* ---- start.c ---- */
void devnode_add_drivers(struct devnode *node);
void devnode_assign_resources(struct devnode *node);
void devnode_start(struct devnode *node);
void devnode_query_state(struct devnode *node);
NTSTATUS devnode_restart(struct devnode *node);
/* The device has no function driver any more. */
void devnode_forget_service(struct devnode *node);
/* Load the driver of a service, built-in ones included; as io_load_driver(). */
NTSTATUS pnp_load_driver(const char *service, PDRIVER_OBJECT *driver);

/* ---- relations.c ---- */
void devnode_enumerate(struct devnode *node);
void devnode_query_power_relations(struct devnode *node);
/* Its drivers go, and what they have said of it. */
void devnode_forget_power_relations(struct devnode *node);
/* It goes itself: no other device needs it any more. */
void devnode_drop_from_power_relations(struct devnode *node);

/* ---- remove.c ---- */
NTSTATUS devnode_remove_orderly(struct devnode *node, bool eject);
/* Surprise removal: the device is gone, or has failed for good. */
void devnode_remove_surprise(struct devnode *node);
/* Take the stack down after a failed AddDevice or start; the node stays with its problem. */
void devnode_remove_failed(struct devnode *node);
/* Nodes in DEVNODE_SURPRISE_REMOVED whose last handle has been closed: finish them. True if there were some. */
bool devnode_finish_removals(void);
NTSTATUS pnp_remove_tree(void);

/* ---- resources.c ---- */
/* Copies in the machine heap; sizes checked against the counts inside. NULL for an empty or absent list. */
PCM_RESOURCE_LIST resources_copy(const CM_RESOURCE_LIST *list);
PIO_RESOURCE_REQUIREMENTS_LIST requirements_copy(const IO_RESOURCE_REQUIREMENTS_LIST *list);
size_t resources_size(const CM_RESOURCE_LIST *list);
/* Requirements that only this configuration meets. */
PIO_RESOURCE_REQUIREMENTS_LIST requirements_from_resources(const CM_RESOURCE_LIST *list);
/* Fill node->raw and node->translated from node->assigned. */
void resources_build_lists(struct devnode *node);

/* ---- arbiter.c ---- */
/* Find resources that satisfy one of the alternatives; fills node->assigned. */
NTSTATUS arbiter_assign(struct devnode *node, const IO_RESOURCE_REQUIREMENTS_LIST *requirements);
void arbiter_release(struct devnode *node);

/* ---- boot.c ---- */
void pnp_start_boot_drivers(void);

/* ---- root.c, pci.c: the built-in bus drivers ---- */
DRIVER_INITIALIZE root_driver_entry;
DRIVER_INITIALIZE pci_driver_entry;
/* The root bus's own device, made by root_driver_entry. */
PDEVICE_OBJECT root_device(PDRIVER_OBJECT driver);
/* The INF that installs the built-in drivers, as the one that comes with Windows does. */
extern const char machine_inf[];

/* ---- manager.c ---- */
/* Queue an action and, with `wait`, wait for its result. Without: any IRQL up to DISPATCH_LEVEL. */
NTSTATUS pnp_request(enum pnp_action_kind kind, PDEVICE_OBJECT device, bool wait);
void pnp_enqueue(struct pnp_action *action);

#endif
