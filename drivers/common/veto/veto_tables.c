/* What this build of the package has: revision.h as the veto reads it. */
#include "veto.h"

#include "revision.h"

#define VETO_COUNT(_Array) (sizeof(_Array) / sizeof((_Array)[0]))

#define VETO_ROW(_Revision, ...) {_Revision, {__VA_ARGS__}},
#define VETO_NO_ROW                                                                                                    \
    {                                                                                                                  \
        0,                                                                                                             \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    } /* a table may be empty */

static const VETO_INTERFACE VetoXenbusInterfaces[] = {
    {.Name = "SUSPEND"}, {.Name = "SHARED_INFO"}, {.Name = "EVTCHN"},   {.Name = "DEBUG"},
    {.Name = "STORE"},   {.Name = "RANGE_SET"},   {.Name = "CACHE"},    {.Name = "GNTTAB"},
    {.Name = "UNPLUG"},  {.Name = "CONSOLE"},     {.Name = "EMULATED"},
};

static const VETO_REVISION VetoXenbusRevisions[] = {XENBUS_REVISION_TABLE(VETO_ROW)};
static const VETO_REVISION VetoXenbusRemoved[] = {XENBUS_REVISION_REMOVED(VETO_ROW) VETO_NO_ROW};

static const VETO_INTERFACE VetoXenvifInterfaces[] = {
    {.Name = "CACHE", .IsPassedOn = 1},  {.Name = "VIF"},
    {.Name = "STORE", .IsPassedOn = 1},  {.Name = "SUSPEND", .IsPassedOn = 1},
    {.Name = "UNPLUG", .IsPassedOn = 1},
};

static const VETO_REVISION VetoXenvifRevisions[] = {XENVIF_REVISION_TABLE(VETO_ROW)};
static const VETO_REVISION VetoXenvifRemoved[] = {XENVIF_REVISION_REMOVED(VETO_ROW) VETO_NO_ROW};

const VETO_PROVIDER VetoProviders[VETO_PROVIDERS] = {
    {
        .Service = "XENBUS",
        .Interface = VetoXenbusInterfaces,
        .InterfaceCount = VETO_COUNT(VetoXenbusInterfaces),
        .Revision = VetoXenbusRevisions,
        .RevisionCount = VETO_COUNT(VetoXenbusRevisions),
        .Removed = VetoXenbusRemoved,
        .RemovedCount = VETO_COUNT(VetoXenbusRemoved) - 1,
    },
    {
        .Service = "XENVIF",
        .Interface = VetoXenvifInterfaces,
        .InterfaceCount = VETO_COUNT(VetoXenvifInterfaces),
        .Revision = VetoXenvifRevisions,
        .RevisionCount = VETO_COUNT(VetoXenvifRevisions),
        .Removed = VetoXenvifRemoved,
        .RemovedCount = VETO_COUNT(VetoXenvifRemoved) - 1,
    },
};
