/*
 * Between the toy drivers of the PnP tests and the tests: what the drivers are to do, and what was asked of them. The
 * test leaves the structure's address in the service's key (Parameters\Toy, REG_QWORD).
 */
#ifndef TOY_H
#define TOY_H

#define TOY_ENTRIES 1024u
#define TOY_CHILDREN 4u

typedef struct _TOY_ENTRY {
    CHAR Who; /* 'F' function driver of the PCI device, 'B' a child's PDO, 'C' function driver of a child, 'U' filter */
    UCHAR What;  /* IRP_MN_..., or one of TOY_... */
    ULONG Child; /* of B and C */
} TOY_ENTRY;

#define TOY_DRIVER_ENTRY 0xf0
#define TOY_ADD_DEVICE 0xf1
#define TOY_UNLOAD 0xf2
/* Power IRPs for the system, of F and C only. */
#define TOY_QUERY_POWER 0xe0
#define TOY_SET_POWER 0xe1 /* and the SYSTEM_POWER_STATE on top */

/* Rules that the drivers break once. */
typedef enum _TOY_SIN {
    TOY_SINLESS,
    TOY_REPORTS_TWICE,        /* the bus reports one child twice */
    TOY_REPORTS_NULL,         /* the bus reports a child and NULL behind it */
    TOY_REPORTS_DRIVER,       /* the bus reports a driver object */
    TOY_REPORTS_DELETED,      /* the bus reports a child that it has deleted */
    TOY_REPORTS_ITSELF,       /* the bus reports its own PDO, which is a child of another */
    TOY_TAKES_NO_REFERENCE,   /* the bus reports a child without a reference, and deletes it later */
    TOY_COMMA,                /* a child's hardware IDs have a comma */
    TOY_SLASH,                /* a child's instance ID has a backslash */
    TOY_FLAT_ID,              /* a child's device ID names no enumerator */
    TOY_MANY_RESOURCES,       /* a child's PDO claims more descriptors than there are */
    TOY_KEEPS_IRP,            /* a child's function returns success for IRP_MN_QUERY_PNP_DEVICE_STATE and keeps it */
    TOY_FAILS_REMOVAL,        /* a child's function fails IRP_MN_REMOVE_DEVICE */
    TOY_STAYS_ATTACHED,       /* a child's function does not detach in IRP_MN_REMOVE_DEVICE */
    TOY_WAITS_FOR_ITS_CHANGE, /* a child's function calls IoReportTargetDeviceChange in IRP_MN_START_DEVICE */
    TOY_NO_RELATION,          /* a child's PDO reports NULL among its removal relations */
    TOY_DELETED_RELATION,     /* a child's PDO reports a deleted device among its removal relations */
    TOY_NEEDS_A_FUNCTION,     /* a child's function names its own device object among its power relations */
    TOY_OTHER_TARGET,         /* a child's PDO names the top of its stack as the target of a file */
    TOY_RAISES_WHEN_TOLD,     /* the bus's notification callback returns at DISPATCH_LEVEL */
    TOY_KEEPS_POWER_IRP,      /* a child\'s PDO keeps IRP_MN_SET_POWER for a device state */
    TOY_SLEEPS_EARLY /* and a child\'s function asks for D3 when the system goes to sleep, and waits for nothing */
} TOY_SIN;

typedef struct _TOY {
    /* what the drivers do */
    TOY_SIN Sin;
    NTSTATUS EntryStatus;
    NTSTATUS AddStatus; /* of a child's function driver; so the next four */
    NTSTATUS StartStatus;
    NTSTATUS QueryRemoveStatus;
    NTSTATUS QueryStopStatus;
    NTSTATUS QueryPowerStatus;          /* for the system; of the bus */
    ULONG DeviceState;                  /* of a child: answer to IRP_MN_QUERY_PNP_DEVICE_STATE */
    ULONG Children;                     /* bit mask of the children that the bus reports */
    BOOLEAN LeaveInitializing;          /* AddDevice leaves DO_DEVICE_INITIALIZING set */
    BOOLEAN KeepPdos;                   /* the bus forgets to delete its children */
    BOOLEAN SameIds;                    /* all children have the ID of the first */
    ULONG PowerRelations[TOY_CHILDREN]; /* bit masks: the children whose power a child's function needs */
    BOOLEAN ConnectMessages;            /* the bus asks for a message interrupt a processor and connects them */

    /* what happened */
    ULONG Count;
    TOY_ENTRY Entry[TOY_ENTRIES];
    ULONG Loads; /* a static variable of the bus driver, incremented once a DriverEntry: 1 after every load */

    /* of the bus's last start */
    PDEVICE_OBJECT Pdo;
    ULONG RawCount;
    ULONG TranslatedCount;
    CM_PARTIAL_RESOURCE_DESCRIPTOR Raw[16];
    CM_PARTIAL_RESOURCE_DESCRIPTOR Translated[16];
    ULONG Interrupts[8]; /* calls of the message service routine by message */
    ULONG InterruptProcessor[8];
    UCHAR Config[8]; /* configuration space through BUS_INTERFACE_STANDARD */
    PDEVICE_OBJECT ChildPdo[TOY_CHILDREN];
    PVOID NotificationEntry;
    ULONG Arrivals;
    ULONG Removals;
    POWER_ACTION ShutdownType; /* of the last system power IRP */
} TOY, *PTOY;

#ifdef TOY_DRIVER
static PTOY Toy;

static VOID ToyNote(CHAR Who, UCHAR What, ULONG Child)
{
    ULONG Index = (ULONG)InterlockedIncrement((LONG volatile *)&Toy->Count) - 1;

    if (Index >= TOY_ENTRIES)
        return;
    Toy->Entry[Index].Who = Who;
    Toy->Entry[Index].What = What;
    Toy->Entry[Index].Child = Child;
}

static NTSTATUS ToyFind(PUNICODE_STRING RegistryPath)
{
    struct {
        KEY_VALUE_PARTIAL_INFORMATION Information;
        UCHAR Space[16];
    } Value;
    WCHAR Buffer[256];
    UNICODE_STRING Path = {0, sizeof(Buffer), Buffer};
    UNICODE_STRING Name;
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Key;
    ULONG Length;
    NTSTATUS Status;

    RtlCopyUnicodeString(&Path, RegistryPath);
    Status = RtlAppendUnicodeToString(&Path, L"\\Parameters");
    if (!NT_SUCCESS(Status))
        return Status;
    InitializeObjectAttributes(&Attributes, &Path, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    Status = ZwOpenKey(&Key, KEY_READ, &Attributes);
    if (!NT_SUCCESS(Status))
        return Status;
    RtlInitUnicodeString(&Name, L"Toy");
    Status = ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, &Value, sizeof(Value), &Length);
    (VOID) ZwClose(Key);
    if (NT_SUCCESS(Status))
        RtlCopyMemory(&Toy, Value.Information.Data, sizeof(Toy));
    return Status;
}
#endif

#endif
