/* Who may do what with a node: wiki.xenproject.org/wiki/XenBus, "Permissions", and docs/misc/xenstore.txt. */
#include "store/store_internal.h"

#include <stdio.h>
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
        if (permission[i].domid == connection->domid || permission[i].domid == connection->target)
            return permission[i].access;
    }
    return permission[0].access;
}

bool store_permission_parse(const char *string, struct store_permission *permission)
{
    size_t digits;
    unsigned long domid = 0;

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
    digits = strspn(string + 1, "0123456789");
    if (!digits || digits > 5 || string[1 + digits] != '\0')
        return false;
    for (size_t i = 1; i <= digits; i++)
        domid = domid * 10 + (unsigned long)(string[i] - '0');
    if (domid > UINT16_MAX)
        return false;
    permission->domid = (unsigned)domid;
    return true;
}

size_t store_permission_format(const struct store_permission *permission, char *buffer)
{
    static const char letter[] = {'n', 'r', 'w', 'b'};

    return (size_t)snprintf(buffer, 16, "%c%u", letter[permission->access & (XS_PERM_READ | XS_PERM_WRITE)],
                            permission->domid) +
           1;
}
