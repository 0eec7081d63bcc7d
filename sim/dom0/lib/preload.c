/*
 * Preloaded into programs of dom0: the few files and sockets that they have by fixed names on a Xen host are those of
 * the machine's folder (PVSIM_RUN_DIR). A preload rather than a mount namespace: it needs no rights.
 *
 *   /proc/xen/xsd_port, /proc/xen/xsd_kva, /dev/xen/xsd_kva       where a store finds domain 0's ring
 *   /var/run/xenstored and what is below it, /run/xenstored too   a store's socket, pid file and saved state
 *
 * A limit on open files beyond what the host grants becomes what it grants: oxenstored asks for the most that a kernel
 * can have, and has no option for it.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define RUN_DIR_VARIABLE "PVSIM_RUN_DIR"
#define ROOM 4096

/* The next one of this name: libc's. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* Where this path lies, in `buffer` if elsewhere. */
static const char *place(const char *path, char *buffer)
{
    static const struct {
        const char *from;
        const char *to;
        bool below;
    } places[] = {
        {"/proc/xen/xsd_port", "/xsd_port", false}, {"/proc/xen/xsd_kva", "/xsd_kva", false},
        {"/dev/xen/xsd_kva", "/xsd_kva", false},    {"/var/run/xenstored", "/xenstored", true},
        {"/run/xenstored", "/xenstored", true},
    };
    const char *folder = getenv(RUN_DIR_VARIABLE);

    if (folder == NULL || path == NULL || *path != '/')
        return path;
    for (size_t index = 0; index < sizeof(places) / sizeof(places[0]); index++) {
        size_t length = strlen(places[index].from);

        if (strncmp(path, places[index].from, length) != 0 ||
            (path[length] != '\0' && !(places[index].below && path[length] == '/')))
            continue;
        if ((size_t)snprintf(buffer, ROOM, "%s%s%s", folder, places[index].to, path + length) < ROOM)
            return buffer;
    }
    return path;
}

/* ---- opening ---- */

#define MODE_OF(flags, last)                                                                                           \
    __extension__({                                                                                                    \
        va_list arguments;                                                                                             \
        mode_t found = 0;                                                                                              \
                                                                                                                       \
        va_start(arguments, last);                                                                                     \
        if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE)                                                \
            found = va_arg(arguments, mode_t);                                                                         \
        va_end(arguments);                                                                                             \
        found;                                                                                                         \
    })

int open(const char *path, int flags, ...)
{
    char buffer[ROOM];

    return NEXT(open)(place(path, buffer), flags, MODE_OF(flags, flags));
}

int open64(const char *path, int flags, ...)
{
    char buffer[ROOM];

    return NEXT(open64)(place(path, buffer), flags, MODE_OF(flags, flags));
}

int openat(int folder, const char *path, int flags, ...)
{
    char buffer[ROOM];

    return NEXT(openat)(folder, place(path, buffer), flags, MODE_OF(flags, flags));
}

/* What a fortified open() becomes. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    char buffer[ROOM];

    return NEXT(__open_2)(place(path, buffer), flags);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    char buffer[ROOM];

    return NEXT(__open64_2)(place(path, buffer), flags);
}

FILE *fopen(const char *path, const char *mode)
{
    char buffer[ROOM];

    return NEXT(fopen)(place(path, buffer), mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    char buffer[ROOM];

    return NEXT(fopen64)(place(path, buffer), mode);
}

DIR *opendir(const char *path)
{
    DIR *(*next)(const char *) = NEXT(opendir);
    char buffer[ROOM];

    return next(place(path, buffer));
}

/* ---- names ---- */

int stat(const char *path, struct stat *status)
{
    char buffer[ROOM];

    return NEXT(stat)(place(path, buffer), status);
}

int stat64(const char *path, struct stat64 *status)
{
    char buffer[ROOM];

    return NEXT(stat64)(place(path, buffer), status);
}

int lstat(const char *path, struct stat *status)
{
    char buffer[ROOM];

    return NEXT(lstat)(place(path, buffer), status);
}

int access(const char *path, int mode)
{
    char buffer[ROOM];

    return NEXT(access)(place(path, buffer), mode);
}

int mkdir(const char *path, mode_t mode)
{
    char buffer[ROOM];

    return NEXT(mkdir)(place(path, buffer), mode);
}

int rmdir(const char *path)
{
    char buffer[ROOM];

    return NEXT(rmdir)(place(path, buffer));
}

int chmod(const char *path, mode_t mode)
{
    char buffer[ROOM];

    return NEXT(chmod)(place(path, buffer), mode);
}

int unlink(const char *path)
{
    char buffer[ROOM];

    return NEXT(unlink)(place(path, buffer));
}

int rename(const char *from, const char *to)
{
    char from_buffer[ROOM];
    char to_buffer[ROOM];

    return NEXT(rename)(place(from, from_buffer), place(to, to_buffer));
}

/* ---- sockets ---- */

/* The address, in `moved` if it is elsewhere. False with errno: there it is too long for an address. */
static bool place_socket(__CONST_SOCKADDR_ARG *address, socklen_t *length, struct sockaddr_un *moved)
{
    char path[sizeof(moved->sun_path) + 1] = {0};
    char buffer[ROOM];
    const char *placed;

    if (*length <= sizeof(sa_family_t) || *length > sizeof(*moved) || address->__sockaddr__->sa_family != AF_UNIX)
        return true;
    memcpy(path, address->__sockaddr_un__->sun_path, *length - sizeof(sa_family_t));
    placed = place(path, buffer);
    if (placed == path)
        return true;
    if (strlen(placed) >= sizeof(moved->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memset(moved, 0, sizeof(*moved));
    moved->sun_family = AF_UNIX;
    strcpy(moved->sun_path, placed);
    address->__sockaddr_un__ = moved;
    *length = sizeof(*moved);
    return true;
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    struct sockaddr_un moved;

    return place_socket(&address, &length, &moved) ? NEXT(bind)(fd, address, length) : -1;
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    struct sockaddr_un moved;

    return place_socket(&address, &length, &moved) ? NEXT(connect)(fd, address, length) : -1;
}

/* ---- the limit on open files ---- */

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    struct rlimit granted;
    struct rlimit wanted = *limit;

    if (resource == RLIMIT_NOFILE && getrlimit(resource, &granted) == 0) {
        wanted.rlim_cur = wanted.rlim_cur < granted.rlim_max ? wanted.rlim_cur : granted.rlim_max;
        wanted.rlim_max = wanted.rlim_max < granted.rlim_max ? wanted.rlim_max : granted.rlim_max;
    }
    return NEXT(setrlimit)(resource, &wanted);
}
