#include "cli/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

/* Its lock is the machine's; what it says is for people. */
#define LOCK "pid"

static const char *const files[] = {RUN_DIR_CONTROL, RUN_DIR_GATE, RUN_DIR_STORE, RUN_DIR_STORE_RING,
                                    RUN_DIR_STORE_PORT};

const char *run_dir_path(const struct run_dir *dir, const char *name, char *buffer)
{
    snprintf(buffer, RUN_DIR_PATH_MAX, "%s/%s", dir->path, name);
    return buffer;
}

bool run_dir_find(struct run_dir *dir, const char *option)
{
    const char *of_user = getenv("XDG_RUNTIME_DIR");
    char path[4096];

    dir->lock = -1;
    if (option != NULL)
        snprintf(path, sizeof(path), "%s", option);
    else if (of_user != NULL && *of_user == '/')
        snprintf(path, sizeof(path), "%s/pvsim", of_user);
    else
        snprintf(path, sizeof(path), "/tmp/pvsim-%u", (unsigned)getuid());
    if (*path != '\0' && strlen(path) < sizeof(dir->path)) {
        strcpy(dir->path, path);
        return true;
    }
    complain("--run-dir takes a path of 1 to %d characters, not '%s'", RUN_DIR_MAX - 1, path);
    return false;
}

/* A folder of the user's own, closed to others. */
static int make_folder(const struct run_dir *dir)
{
    struct stat status;

    if (mkdir(dir->path, 0700) != 0 && errno != EEXIST) {
        complain("%s cannot be made: %s", dir->path, strerror(errno));
        return EXIT_USAGE;
    }
    if (lstat(dir->path, &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid()) {
        complain("%s is not a folder of yours; name another one with --run-dir", dir->path);
        return EXIT_USAGE;
    }
    if ((status.st_mode & 077) != 0 && chmod(dir->path, 0700) != 0) {
        complain("%s cannot be closed to other users: %s", dir->path, strerror(errno));
        return EXIT_USAGE;
    }
    return 0;
}

static void remove_sockets(const struct run_dir *dir)
{
    char path[RUN_DIR_PATH_MAX];
    DIR *folder = opendir(dir->path);
    const struct dirent *entry;

    for (size_t index = 0; index < sizeof(files) / sizeof(files[0]); index++)
        (void)unlink(run_dir_path(dir, files[index], path));
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (fnmatch(RUN_DIR_DOMAIN_STORES, entry->d_name, 0) == 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
}

int run_dir_take(struct run_dir *dir)
{
    char path[RUN_DIR_PATH_MAX];
    int status = make_folder(dir);

    if (status != 0)
        return status;
    dir->lock = open(run_dir_path(dir, LOCK, path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (dir->lock < 0) {
        complain("%s cannot be opened: %s", path, strerror(errno));
        return EXIT_USAGE;
    }
    if (flock(dir->lock, LOCK_EX | LOCK_NB) != 0) {
        complain("a machine runs in %s already; end it with 'pvsim destroy', or name another folder with --run-dir",
                 dir->path);
        close(dir->lock);
        dir->lock = -1;
        return EXIT_FAILED;
    }
    remove_sockets(dir); /* of a machine that did not end in order */
    return 0;
}

void run_dir_leave(const struct run_dir *dir)
{
    remove_sockets(dir);
}

int run_dir_make(struct run_dir *dir)
{
    const char *parent = getenv("TMPDIR");
    char path[4096];

    snprintf(path, sizeof(path), "%s/pvsim-run-XXXXXX", parent != NULL && *parent == '/' ? parent : "/tmp");
    if (strlen(path) >= sizeof(dir->path)) /* sockets would not fit */
        strcpy(path, "/tmp/pvsim-run-XXXXXX");
    if (mkdtemp(path) == NULL) {
        complain("%s cannot be made: %s", path, strerror(errno));
        return EXIT_NOT_HERE;
    }
    strcpy(dir->path, path);
    return run_dir_take(dir);
}

void run_dir_remove(const struct run_dir *dir)
{
    char path[RUN_DIR_PATH_MAX];

    remove_sockets(dir);
    (void)rmdir(run_dir_path(dir, RUN_DIR_STORE_FOLDER, path));
    (void)unlink(run_dir_path(dir, LOCK, path));
    if (rmdir(dir->path) != 0)
        complain("%s stays behind: %s", dir->path, strerror(errno));
}

void run_dir_wait(const struct run_dir *dir)
{
    char path[RUN_DIR_PATH_MAX];
    int fd = open(run_dir_path(dir, LOCK, path), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    while (flock(fd, LOCK_SH) != 0 && errno == EINTR)
        ;
    close(fd);
}
