/*
 * Callback objects: named or not, with routines that are called in the order of their registration at the IRQL of
 * whoever notifies. Taking a routine out waits until no call of it is under way.
 */
#include "nt/ex/ex.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

struct _CALLBACK_OBJECT {
    LIST_ENTRY registrations; /* struct callback_registration.entry */
    BOOLEAN allow_multiple;
};

struct callback_registration {
    LIST_ENTRY entry;        /* _CALLBACK_OBJECT.registrations */
    LIST_ENTRY all_entry;    /* ex_state.callbacks */
    PCALLBACK_OBJECT object; /* referenced */
    PCALLBACK_FUNCTION function;
    PVOID context;
    unsigned calls; /* under way */
    bool leaving;
    KEVENT idle; /* no call is under way any more; used when leaving */
    const void *caller;
};

static void destroyed(void *body)
{
    const CALLBACK_OBJECT *object = body;

    if (!IsListEmpty(&object->registrations))
        nt_violation("callback-destroyed", "the callback object %p goes with a routine registered", body);
}

static PCALLBACK_OBJECT create(bool allow_multiple)
{
    PCALLBACK_OBJECT object = ob_create(OB_CALLBACK, sizeof *object, destroyed);

    if (object == NULL)
        return NULL;
    InitializeListHead(&object->registrations);
    object->allow_multiple = allow_multiple;
    return object;
}

/* The callback objects that the system has ("ExCreateCallback function (wdm.h)"); they stay for ever. */
void ex_callback_init(void)
{
    static const WCHAR *const names[] = {L"\\Callback\\SetSystemTime", L"\\Callback\\PowerState",
                                         L"\\Callback\\ProcessorAdd"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        PCALLBACK_OBJECT object = create(true);
        UNICODE_STRING name;
        USHORT length = 0;

        while (names[i][length] != 0)
            length++;
        name.Buffer = (PWCH)names[i];
        name.Length = (USHORT)(length * sizeof(WCHAR));
        name.MaximumLength = (USHORT)(name.Length + sizeof(WCHAR));
        NTSTATUS status = ob_name_insert(object, &name);
        if (!NT_SUCCESS(status))
            fail("internal", "the system's callback object %zu cannot be named: %#x", i, (unsigned)status);
    }
}

static NTSTATUS open_named(PCALLBACK_OBJECT *object, PCUNICODE_STRING name)
{
    void *body;
    NTSTATUS status = ob_lookup(name, &body, NULL);

    if (!NT_SUCCESS(status))
        return status;
    if (!ob_is(body, OB_CALLBACK)) {
        ob_dereference(body);
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    *object = body;
    return STATUS_SUCCESS;
}

/* A root must be an object directory; there is no routine here that gives a handle to one, so it is something else. */
static NTSTATUS refuse_root(HANDLE root)
{
    void *body;
    NTSTATUS status = ob_handle_lookup(root, &body);

    if (!NT_SUCCESS(status))
        return status;
    ob_dereference(body);
    return STATUS_OBJECT_TYPE_MISMATCH;
}

NTSTATUS NTAPI ExCreateCallback(PCALLBACK_OBJECT *CallbackObject, POBJECT_ATTRIBUTES ObjectAttributes, BOOLEAN Create,
                                BOOLEAN AllowMultipleCallbacks)
{
    PCUNICODE_STRING name = ObjectAttributes != NULL ? ObjectAttributes->ObjectName : NULL;
    NTSTATUS status;

    NT_CALL(APC_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    *CallbackObject = NULL;
    if (name == NULL)
        return STATUS_UNSUCCESSFUL; /* "unnamed callback objects are not permitted" */
    if (ObjectAttributes->RootDirectory != NULL)
        return refuse_root(ObjectAttributes->RootDirectory);
    status = open_named(CallbackObject, name);
    if (status != STATUS_OBJECT_NAME_NOT_FOUND || !Create)
        return status;

    PCALLBACK_OBJECT object = create(AllowMultipleCallbacks);
    if (object == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = ob_name_insert(object, name);
    if (!NT_SUCCESS(status)) {
        ob_dereference(object);
        return status;
    }
    if ((ObjectAttributes->Attributes & OBJ_PERMANENT) != 0)
        ob_reference(object);
    *CallbackObject = object;
    return STATUS_SUCCESS;
}

/* NULL when the object admits one routine and has it. */
PVOID NTAPI ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction,
                               PVOID CallbackContext)
{
    NT_CALL(APC_LEVEL);
    if (FAULT(POOL))
        return NULL;
    if (!ob_is(CallbackObject, OB_CALLBACK))
        nt_violation("callback-object", "ExRegisterCallback: %p is no callback object", (void *)CallbackObject);
    if (!CallbackObject->allow_multiple && !IsListEmpty(&CallbackObject->registrations))
        return NULL;

    struct callback_registration *registration = image_alloc(sizeof *registration);
    registration->object = CallbackObject;
    registration->function = CallbackFunction;
    registration->context = CallbackContext;
    registration->caller = __builtin_return_address(0);
    registration->idle.Header.Type = EventNotificationObject;
    InitializeListHead(&registration->idle.Header.WaitListHead);
    ob_reference(CallbackObject);
    InsertTailList(&CallbackObject->registrations, &registration->entry);
    InsertTailList(&machine->ex->callbacks, &registration->all_entry);
    return registration;
}

static struct callback_registration *find(const void *handle)
{
    LIST_ENTRY *all = &machine->ex->callbacks;

    for (LIST_ENTRY *entry = all->Flink; entry != all; entry = entry->Flink) {
        struct callback_registration *registration = CONTAINING_RECORD(entry, struct callback_registration, all_entry);
        if (registration == handle)
            return registration;
    }
    return NULL;
}

VOID NTAPI ExUnregisterCallback(PVOID CallbackRegistration)
{
    NT_CALL(APC_LEVEL);
    struct callback_registration *registration = find(CallbackRegistration);
    if (registration == NULL || registration->leaving)
        nt_violation("callback-unregister", "ExUnregisterCallback(%p): no routine is registered by that handle",
                     CallbackRegistration);
    registration->leaving = true;
    if (registration->calls != 0)
        KeWaitForSingleObject(&registration->idle, Executive, KernelMode, FALSE, NULL);
    RemoveEntryList(&registration->entry);
    RemoveEntryList(&registration->all_entry);
    ob_dereference(registration->object);
    image_free(registration);
}

static void call(struct callback_registration *registration, PVOID argument1, PVOID argument2)
{
    KIRQL irql = ke_irql();

    registration->calls++;
    DRIVER_CALLOUT("callback", registration->function, registration->context, argument1, argument2);
    if (ke_irql() != irql) {
        char name[256];
        loader_describe(name, sizeof name, (const void *)(uintptr_t)registration->function);
        nt_violation("irql-changed", "the callback routine %s was called at IRQL %u and returned at %u", name, irql,
                     ke_irql());
    }
}

/* A call is over. The registration may be gone afterwards. */
static void call_done(struct callback_registration *registration)
{
    if (--registration->calls == 0 && registration->leaving)
        KeSetEvent(&registration->idle, IO_NO_INCREMENT, FALSE);
}

VOID NTAPI ExNotifyCallback(PVOID CallbackObject, PVOID Argument1, PVOID Argument2)
{
    PCALLBACK_OBJECT object = CallbackObject;
    struct callback_registration *previous = NULL;

    NT_CALL(DISPATCH_LEVEL);
    if (!ob_is(object, OB_CALLBACK))
        nt_violation("callback-object", "ExNotifyCallback: %p is no callback object", CallbackObject);

    /* The call of one routine counts as under way until the next is found, so that the list cannot fall away under us.
     */
    ob_reference(object);
    for (LIST_ENTRY *entry = object->registrations.Flink; entry != &object->registrations; entry = entry->Flink) {
        struct callback_registration *registration = CONTAINING_RECORD(entry, struct callback_registration, entry);
        if (registration->leaving)
            continue;
        if (previous != NULL) {
            registration->calls++; /* hold it over the switch point of call_done() */
            call_done(previous);
            registration->calls--;
        }
        call(registration, Argument1, Argument2);
        previous = registration;
    }
    if (previous != NULL)
        call_done(previous);
    ob_dereference(object);
}

void ex_callback_census(struct census *census)
{
    LIST_ENTRY *all = &machine->ex->callbacks;

    for (LIST_ENTRY *entry = all->Blink; entry != all; entry = entry->Blink)
        census_item(census, "callback", 1, CONTAINING_RECORD(entry, struct callback_registration, all_entry)->caller,
                    "ExRegisterCallback");
}
