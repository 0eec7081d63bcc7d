#include "veto.h"

/* ---- text: there is no library ---- */

static char VetoUpper(char Character)
{
    return Character >= 'a' && Character <= 'z' ? (char)(Character - 'a' + 'A') : Character;
}

static int VetoEqual(const char *Text, const char *Other)
{
    while (*Text != '\0' && VetoUpper(*Text) == VetoUpper(*Other)) {
        Text++;
        Other++;
    }

    return VetoUpper(*Text) == VetoUpper(*Other);
}

/* What stands behind Start at the beginning of Text; NULL: Text begins otherwise. */
static const char *VetoBehind(const char *Text, const char *Start)
{
    while (*Start != '\0') {
        if (VetoUpper(*Text++) != VetoUpper(*Start++))
            return NULL;
    }

    return Text;
}

/* Text that is put together in a buffer; it is cut where that ends. */
typedef struct _VETO_BUFFER {
    char *Text;
    size_t Size;
    size_t Length;
    int Cut;
} VETO_BUFFER;

static void VetoAppend(VETO_BUFFER *Buffer, const char *Text)
{
    for (; *Text != '\0'; Text++) {
        if (Buffer->Length + 1 >= Buffer->Size) {
            Buffer->Cut = 1;
            break;
        }
        Buffer->Text[Buffer->Length++] = *Text;
    }

    if (Buffer->Size != 0)
        Buffer->Text[Buffer->Length] = '\0';
}

/* Digits: so many at least. */
static void VetoAppendNumber(VETO_BUFFER *Buffer, uint32_t Number, unsigned Base, unsigned Digits)
{
    char Text[12];
    unsigned Index = sizeof(Text) - 1;

    Text[Index] = '\0';
    do {
        Text[--Index] = "0123456789ABCDEF"[Number % Base];
        Number /= Base;
    } while (Number != 0 || sizeof(Text) - 1 - Index < Digits);

    VetoAppend(Buffer, &Text[Index]);
}

/* The parts with a backslash between them; 0: they do not fit into the VETO_PATH_LENGTH bytes at Path. */
static int VetoJoin(char *Path, const char *First, const char *Second, const char *Third)
{
    VETO_BUFFER Buffer = {Path, VETO_PATH_LENGTH, 0, 0};

    VetoAppend(&Buffer, First);
    VetoAppend(&Buffer, "\\");
    VetoAppend(&Buffer, Second);
    if (Third != NULL) {
        VetoAppend(&Buffer, "\\");
        VetoAppend(&Buffer, Third);
    }

    return !Buffer.Cut;
}

/* ---- what the package has ---- */

static unsigned VetoFindInterface(const VETO_PROVIDER *Provider, const char *Name)
{
    unsigned Index = 0;

    while (Index < Provider->InterfaceCount && !VetoEqual(Provider->Interface[Index].Name, Name))
        Index++;

    return Index;
}

/* Whether what the row says of an interface is there, as far as the row's own provider and those above it go. */
static int VetoIsGiven(const VETO_PROVIDER *Providers, unsigned Index, unsigned Interface, uint32_t Version)
{
    const VETO_INTERFACE *Entry = &Providers[Index].Interface[Interface];

    return !Entry->IsPassedOn || (Index != 0 && VetoHasVersion(Providers, Index - 1, Entry->Name, Version));
}

static int VetoIsOffered(const VETO_PROVIDER *Providers, unsigned Index, const VETO_REVISION *Row)
{
    unsigned Interface;

    for (Interface = 0; Interface < Providers[Index].InterfaceCount; Interface++) {
        if (!VetoIsGiven(Providers, Index, Interface, Row->Version[Interface]))
            return 0;
    }

    return 1;
}

int VetoHasVersion(const VETO_PROVIDER *Providers, unsigned Index, const char *Interface, uint32_t Version)
{
    const VETO_PROVIDER *Provider = &Providers[Index];
    unsigned Column = VetoFindInterface(Provider, Interface);
    unsigned Row;

    for (Row = 0; Column < Provider->InterfaceCount && Row < Provider->RevisionCount; Row++) {
        if (Provider->Revision[Row].Version[Column] == Version &&
            VetoIsOffered(Providers, Index, &Provider->Revision[Row]))
            return 1;
    }

    return 0;
}

static const VETO_REVISION *VetoFindRevision(const VETO_REVISION *Rows, unsigned Count, uint32_t Revision)
{
    unsigned Row;

    for (Row = 0; Row < Count; Row++) {
        if (Rows[Row].Revision == Revision)
            return &Rows[Row];
    }

    return NULL;
}

int VetoHasRevision(const VETO_PROVIDER *Providers, unsigned Index, uint32_t Revision)
{
    const VETO_PROVIDER *Provider = &Providers[Index];
    const VETO_REVISION *Row = VetoFindRevision(Provider->Revision, Provider->RevisionCount, Revision);

    return Row != NULL && VetoIsOffered(Providers, Index, Row);
}

/* ---- the check ---- */

typedef struct _VETO_CHECK {
    const VETO_PROVIDER *Providers;
    unsigned Index; /* of the provider whose clients are looked at */
    const VETO_REGISTRY *Registry;
    VETO_TELL Tell;
    void *Context;
    unsigned Findings;
} VETO_CHECK;

static void VetoFind(VETO_CHECK *Check, const VETO_FINDING *Finding)
{
    Check->Findings++;
    Check->Tell(Check->Context, Finding);
}

static void VetoFindUnreadable(VETO_CHECK *Check, const char *Subscriber, const char *Where)
{
    const VETO_FINDING Finding = {.Reason = VETO_BY_REGISTRY,
                                  .Provider = Check->Providers[Check->Index].Service,
                                  .Subscriber = Subscriber,
                                  .Where = Where};

    VetoFind(Check, &Finding);
}

/* ---- subscriptions ---- */

static void VetoCheckSubscription(VETO_CHECK *Check, const char *Client, const char *Key, const char *Interface)
{
    VETO_FINDING Finding = {.Reason = VETO_BY_SUBSCRIPTION,
                            .Provider = Check->Providers[Check->Index].Service,
                            .Subscriber = Client,
                            .Where = Key,
                            .Interface = Interface};

    if (Check->Registry->QueryNumber(Check->Registry->Context, Key, Interface, &Finding.Version) != VETO_FOUND)
        VetoFindUnreadable(Check, Client, Key);
    else if (!VetoHasVersion(Check->Providers, Check->Index, Interface, Finding.Version))
        VetoFind(Check, &Finding);
}

static void VetoCheckSubscriber(VETO_CHECK *Check, const char *Interfaces, const char *Client)
{
    const VETO_REGISTRY *Registry = Check->Registry;
    char Interface[VETO_NAME_LENGTH];
    char Key[VETO_PATH_LENGTH];
    VETO_RESULT Result;
    unsigned Index;

    if (!VetoJoin(Key, Interfaces, Client, NULL)) {
        VetoFindUnreadable(Check, Client, Interfaces);
        return;
    }

    for (Index = 0;; Index++) {
        Result = Registry->GetValue(Registry->Context, Key, Index, Interface, sizeof(Interface));
        if (Result != VETO_FOUND)
            break;
        VetoCheckSubscription(Check, Client, Key, Interface);
    }

    if (Result != VETO_NONE)
        VetoFindUnreadable(Check, Client, Key);
}

static void VetoCheckSubscribers(VETO_CHECK *Check)
{
    const VETO_REGISTRY *Registry = Check->Registry;
    char Interfaces[VETO_PATH_LENGTH];
    char Client[VETO_NAME_LENGTH];
    VETO_RESULT Result = VETO_UNREADABLE;
    unsigned Index;

    if (!VetoJoin(Interfaces, "Services", Check->Providers[Check->Index].Service, "Interfaces")) {
        VetoFindUnreadable(Check, "", "Services");
        return;
    }

    for (Index = 0;; Index++) {
        Result = Registry->GetSubkey(Registry->Context, Interfaces, Index, Client, sizeof(Client));
        if (Result != VETO_FOUND)
            break;
        VetoCheckSubscriber(Check, Interfaces, Client);
    }

    if (Result != VETO_NONE)
        VetoFindUnreadable(Check, "", Interfaces);
}

/* ---- devices ---- */

/* The revision that an ID of the provider's children names; 0: it names none. */
static int VetoReadRevision(const char *Id, const char *Enumerator, uint32_t *Revision)
{
    unsigned Digits = 0;
    const char *At = VetoBehind(Id, Enumerator);

    if (At == NULL || *At != '\\')
        return 0;

    while (*At != '\0' && VetoBehind(At, "&REV_") == NULL)
        At++;
    if (*At == '\0')
        return 0;

    *Revision = 0;
    for (At = VetoBehind(At, "&REV_"); Digits < 8; Digits++, At++) {
        char Digit = VetoUpper(*At);

        if (Digit >= '0' && Digit <= '9')
            *Revision = *Revision * 16 + (uint32_t)(Digit - '0');
        else if (Digit >= 'A' && Digit <= 'F')
            *Revision = *Revision * 16 + (uint32_t)(Digit - 'A' + 10);
        else
            return 0;
    }

    return *At == '\0' || *At == '&';
}

/* What a device that is bound to the revision lacks. */
static void VetoFindStranded(VETO_CHECK *Check, const char *Client, const char *Instance, uint32_t Revision)
{
    const VETO_PROVIDER *Provider = &Check->Providers[Check->Index];
    const VETO_REVISION *Row = VetoFindRevision(Provider->Revision, Provider->RevisionCount, Revision);
    unsigned Findings = Check->Findings;
    VETO_FINDING Finding = {.Reason = VETO_BY_DEVICE,
                            .Provider = Provider->Service,
                            .Subscriber = Client,
                            .Where = Instance,
                            .Revision = Revision};
    unsigned Interface;

    if (Row == NULL)
        Row = VetoFindRevision(Provider->Removed, Provider->RemovedCount, Revision);

    for (Interface = 0; Row != NULL && Interface < Provider->InterfaceCount; Interface++) {
        Finding.Interface = Provider->Interface[Interface].Name;
        Finding.Version = Row->Version[Interface];
        if (!VetoHasVersion(Check->Providers, Check->Index, Finding.Interface, Finding.Version))
            VetoFind(Check, &Finding);
    }

    /* One that is not known, or whose versions are all there and only not together. */
    if (Check->Findings == Findings) {
        Finding.Interface = NULL;
        Finding.Version = 0;
        VetoFind(Check, &Finding);
    }
}

static void VetoCheckDevice(VETO_CHECK *Check, const char *Instance)
{
    const VETO_REGISTRY *Registry = Check->Registry;
    const char *Enumerator = Check->Providers[Check->Index].Service;
    char Client[VETO_NAME_LENGTH];
    char Key[VETO_PATH_LENGTH];
    char Text[VETO_PATH_LENGTH];
    uint32_t Revision;
    VETO_RESULT Result;

    if (!Registry->IsPresent(Registry->Context, Instance))
        return;

    if (!VetoJoin(Key, "Enum", Instance, NULL)) {
        VetoFindUnreadable(Check, "", Instance);
        return;
    }

    /* One without a driver has nothing to lose. */
    Result = Registry->QueryString(Registry->Context, Key, "Service", Client, sizeof(Client));
    if (Result == VETO_FOUND)
        Result = Registry->QueryString(Registry->Context, Key, "Driver", Text, sizeof(Text));
    if (Result == VETO_NONE)
        return;

    if (Result == VETO_FOUND && VetoJoin(Key, "Control\\Class", Text, NULL))
        Result = Registry->QueryString(Registry->Context, Key, "MatchingDeviceId", Text, sizeof(Text));
    else
        Result = VETO_UNREADABLE;

    if (Result != VETO_FOUND)
        VetoFindUnreadable(Check, "", Instance);
    else if (VetoReadRevision(Text, Enumerator, &Revision) &&
             !VetoHasRevision(Check->Providers, Check->Index, Revision))
        VetoFindStranded(Check, Client, Instance, Revision);
}

static void VetoCheckInstances(VETO_CHECK *Check, const char *Device)
{
    const VETO_REGISTRY *Registry = Check->Registry;
    const char *Enumerator = Check->Providers[Check->Index].Service;
    char Name[VETO_PATH_LENGTH];
    char Path[VETO_PATH_LENGTH];
    VETO_RESULT Result;
    unsigned Index;

    if (!VetoJoin(Path, "Enum", Enumerator, Device)) {
        VetoFindUnreadable(Check, "", Device);
        return;
    }

    for (Index = 0;; Index++) {
        char Instance[VETO_PATH_LENGTH];

        Result = Registry->GetSubkey(Registry->Context, Path, Index, Name, sizeof(Name));
        if (Result != VETO_FOUND)
            break;
        if (VetoJoin(Instance, Enumerator, Device, Name))
            VetoCheckDevice(Check, Instance);
        else
            VetoFindUnreadable(Check, "", Path);
    }

    if (Result != VETO_NONE)
        VetoFindUnreadable(Check, "", Path);
}

static void VetoCheckDevices(VETO_CHECK *Check)
{
    const VETO_REGISTRY *Registry = Check->Registry;
    char Enumerator[VETO_PATH_LENGTH];
    char Device[VETO_PATH_LENGTH];
    VETO_RESULT Result;
    unsigned Index;

    if (!VetoJoin(Enumerator, "Enum", Check->Providers[Check->Index].Service, NULL)) {
        VetoFindUnreadable(Check, "", "Enum");
        return;
    }

    for (Index = 0;; Index++) {
        Result = Registry->GetSubkey(Registry->Context, Enumerator, Index, Device, sizeof(Device));
        if (Result != VETO_FOUND)
            break;
        VetoCheckInstances(Check, Device);
    }

    if (Result != VETO_NONE)
        VetoFindUnreadable(Check, "", Enumerator);
}

unsigned VetoCheck(const VETO_PROVIDER *Providers, unsigned Count, const VETO_REGISTRY *Registry, VETO_TELL Tell,
                   void *Context)
{
    VETO_CHECK Check = {.Providers = Providers, .Registry = Registry, .Tell = Tell, .Context = Context};

    for (Check.Index = 0; Check.Index < Count; Check.Index++) {
        VetoCheckSubscribers(&Check);
        VetoCheckDevices(&Check);
    }

    return Check.Findings;
}

/* ---- reports ---- */

void VetoPrint(const VETO_FINDING *Finding, char *Text, size_t Size)
{
    VETO_BUFFER Buffer = {Text, Size, 0, 0};

    if (Finding->Reason == VETO_BY_REGISTRY) {
        VetoAppend(&Buffer, "what the clients of ");
        VetoAppend(&Buffer, Finding->Provider);
        VetoAppend(&Buffer, " need cannot be read: ");
        VetoAppend(&Buffer, Finding->Where);
        return;
    }

    VetoAppend(&Buffer, Finding->Subscriber);
    VetoAppend(&Buffer, " needs ");
    if (Finding->Interface != NULL) {
        VetoAppend(&Buffer, "version ");
        VetoAppendNumber(&Buffer, Finding->Version, 10, 1);
        VetoAppend(&Buffer, " of ");
        VetoAppend(&Buffer, Finding->Provider);
        VetoAppend(&Buffer, " interface ");
        VetoAppend(&Buffer, Finding->Interface);
    }
    if (Finding->Reason == VETO_BY_DEVICE) {
        VetoAppend(&Buffer, Finding->Interface != NULL ? " (revision " : "revision ");
        VetoAppendNumber(&Buffer, Finding->Revision, 16, 8);
        if (Finding->Interface == NULL) {
            VetoAppend(&Buffer, " of ");
            VetoAppend(&Buffer, Finding->Provider);
        } else {
            VetoAppend(&Buffer, ")");
        }
    }
    VetoAppend(&Buffer, ", which this package does not have: ");
    VetoAppend(&Buffer, Finding->Where);
}
