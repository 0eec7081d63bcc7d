/* Who may do what with a node: wiki.xenproject.org/wiki/XenBus, "Permissions", and docs/misc/xenstore.txt. */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/machine.h"
#include "xen/xen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool store_connection_privileged(const struct store_connection *connection)
{
    return connection->domid == 0;
}

unsigned store_permissions_of(const struct store_connection *connection, const struct store_permission *permission,
                              unsigned count)
{
    const unsigned all = XS_PERM_READ | XS_PERM_WRITE | XS_PERM_OWNER;

    if (store_connection_privileged(connection))
        return all;
    if (permission[0].domid == connection->domid || permission[0].domid == connection->target)
        return all;
    for (unsigned i = 1; i < count; i++) {
        if (!permission[i].ignored &&
            (permission[i].domid == connection->domid || permission[i].domid == connection->target))
            return permission[i].access;
    }
    return permission[0].access;
}

void store_permissions_settle(struct store_permission *permission, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (store_domain_find(permission[i].domid))
            continue;
        if (xen_domain_exists(permission[i].domid))
            store_domain_get(permission[i].domid);
        else
            permission[i].ignored = true;
    }
}

struct store_special *store_special_find(const char *name)
{
    struct store_special *special = machine->store->special;

    for (unsigned i = 0; i < 2; i++) {
        if (strcmp(special[i].name, name) == 0)
            return &special[i];
    }
    return NULL;
}

void store_specials_init(void)
{
    static const char *const names[] = {"@introduceDomain", "@releaseDomain"};
    struct store_special *special = machine->store->special;

    for (unsigned i = 0; i < 2; i++) {
        special[i].name = names[i];
        special[i].permission = image_alloc(sizeof(*special[i].permission));
        special[i].permission[0] = (struct store_permission){.domid = 0, .access = XS_PERM_NONE};
        special[i].permission_count = 1;
    }
}

bool store_permission_parse(const char *string, struct store_permission *permission)
{
    char *end;

    switch (string[0]) {
    case 'r':
        permission->access = XS_PERM_READ;
        break;
    case 'w':
        permission->access = XS_PERM_WRITE;
        break;
    case 'b':
        permission->access = XS_PERM_READ | XS_PERM_WRITE;
        break;
    case 'n':
        permission->access = XS_PERM_NONE;
        break;
    default:
        return false;
    }
    /* As the daemon reads numbers: spaces and a sign are fine, and of one that is too large the low bits count. */
    permission->domid = (unsigned)strtol(string + 1, &end, 0);
    permission->ignored = false;
    return end != string + 1 && *end == '\0';
}

size_t store_permission_format(const struct store_permission *permission, char *buffer)
{
    static const char letter[] = {'n', 'r', 'w', 'b'};

    return (size_t)snprintf(buffer, 16, "%c%u", letter[permission->access & (XS_PERM_READ | XS_PERM_WRITE)],
                            permission->domid) +
           1;
}
