/* libxenstore on the built-in store: requests about domains, and control. */
#include "dom0/heap.h"

#include "dom0/xenstore_handle.h"

#include <errno.h>

static struct xs_part number(char text[16], unsigned value)
{
    return (struct xs_part){text, (size_t)snprintf(text, 16, "%u", value) + 1};
}

bool xs_introduce_domain(struct xs_handle *h, unsigned int domid, unsigned long mfn, unsigned int eventchn)
{
    char id[16], frame[24], port[16];
    struct xs_part part[3] = {
        number(id, domid),
        {frame, (size_t)snprintf(frame, sizeof(frame), "%lu", mfn) + 1},
        number(port, eventchn),
    };

    return xs_command(h, XBT_NULL, XS_INTRODUCE, part, 3);
}

bool xs_set_target(struct xs_handle *h, unsigned int domid, unsigned int target)
{
    char id[16], other[16];
    struct xs_part part[2] = {number(id, domid), number(other, target)};

    return xs_command(h, XBT_NULL, XS_SET_TARGET, part, 2);
}

bool xs_resume_domain(struct xs_handle *h, unsigned int domid)
{
    char id[16];
    struct xs_part part = number(id, domid);

    return xs_command(h, XBT_NULL, XS_RESUME, &part, 1);
}

bool xs_release_domain(struct xs_handle *h, unsigned int domid)
{
    char id[16];
    struct xs_part part = number(id, domid);

    return xs_command(h, XBT_NULL, XS_RELEASE, &part, 1);
}

char *xs_get_domain_path(struct xs_handle *h, unsigned int domid)
{
    char id[16];
    struct xs_part part = number(id, domid);

    return xs_request(h, XBT_NULL, XS_GET_DOMAIN_PATH, &part, 1, NULL);
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
    char id[16];
    struct xs_part part = number(id, domid);
    char *answer = xs_request(h, XBT_NULL, XS_IS_DOMAIN_INTRODUCED, &part, 1, NULL);
    bool introduced = answer && answer[0] == 'T';

    free(answer);
    return introduced;
}

char *xs_control_command(struct xs_handle *h, const char *cmd, void *data, unsigned int len)
{
    struct xs_part part[2] = {xs_string(cmd), {data, len}};

    return xs_request(h, XBT_NULL, XS_CONTROL, part, 2, NULL);
}

char *xs_debug_command(struct xs_handle *h, const char *cmd, void *data, unsigned int len)
{
    return xs_control_command(h, cmd, data, len);
}

int xs_suspend_evtchn_port(int domid)
{
    struct xs_handle *h = xs_open(0);
    char path[64], *value, *end;
    unsigned length;
    long port = -1;

    snprintf(path, sizeof(path), "/local/domain/%d/device/suspend/event-channel", domid);
    value = xs_read(h, XBT_NULL, path, &length);
    if (value && length) {
        errno = 0;
        port = strtol(value, &end, 10);
        if (errno || *end || port < 0 || port > INT_MAX)
            port = -1;
    }
    free(value);
    xs_close(h);
    return (int)port;
}
