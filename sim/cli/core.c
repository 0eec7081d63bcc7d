/*
 * The kernel writes the core file of a child that is a copy of this process, so that this one can go on to its report.
 * The child works in a folder of its own: whatever name the host gives the file, it is the only one there.
 */
#include "cli/core.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

#define PATTERN "/proc/sys/kernel/core_pattern"

/* Anonymous and file-backed mappings, private and shared: guest RAM is a memfd. */
#define FILTER "0x3f"

bool core_possible(void)
{
    char pattern[256] = "";
    struct rlimit limit;
    FILE *file = fopen(PATTERN, "r");

    if (file == NULL || fgets(pattern, sizeof(pattern), file) == NULL)
        snprintf(pattern, sizeof(pattern), "core");
    if (file != NULL)
        fclose(file);
    pattern[strcspn(pattern, "\n")] = '\0';
    if (pattern[0] == '|' || strchr(pattern, '/') != NULL || pattern[0] == '\0') {
        complain("--on-bugcheck core: this host sends core files elsewhere (%s is '%s'); as root: echo core > %s",
                 PATTERN, pattern, PATTERN);
        return false;
    }
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max == 0) {
        complain("--on-bugcheck core: core files are limited to nothing here (hard limit); raise it with ulimit -Hc "
                 "unlimited");
        return false;
    }
    return true;
}

_Noreturn static void dump(const char *folder)
{
    struct rlimit limit;
    FILE *filter;

    getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CORE, &limit);
    prctl(PR_SET_DUMPABLE, 1);
    filter = fopen("/proc/self/coredump_filter", "w");
    if (filter != NULL) {
        fputs(FILTER, filter);
        fclose(filter);
    }
    signal(SIGABRT, SIG_DFL);
    if (chdir(folder) == 0)
        abort();
    _exit(1);
}

static bool only_file(const char *folder, char *path, size_t size)
{
    DIR *directory = opendir(folder);
    bool found = false;

    if (directory == NULL)
        return false;
    for (struct dirent *entry = readdir(directory); entry != NULL && !found; entry = readdir(directory))
        if (entry->d_name[0] != '.') {
            snprintf(path, size, "%s/%s", folder, entry->d_name);
            found = true;
        }
    closedir(directory);
    return found;
}

bool core_leave(const char *directory, uint64_t seed, uint64_t event, char *path, size_t size)
{
    char folder[PATH_MAX];
    char dumped[PATH_MAX + NAME_MAX + 2];
    int status = 0;
    bool good = false;
    pid_t child;

    snprintf(folder, sizeof(folder), "%s/pvsim-core-XXXXXX", directory);
    if (mkdtemp(folder) == NULL) {
        complain("no core file: cannot make a folder in %s: %s", directory, strerror(errno));
        return false;
    }
    fflush(NULL);
    child = fork();
    if (child == 0)
        dump(folder);
    if (child < 0 || waitpid(child, &status, 0) != child)
        complain("no core file: %s", strerror(errno));
    else if (!WIFSIGNALED(status) || !WCOREDUMP(status) || !only_file(folder, dumped, sizeof(dumped)))
        complain("no core file: the host has not written one (space left in %s?)", directory);
    else {
        snprintf(path, size, "%s/pvsim-%" PRIu64 "-%" PRIu64 ".core", directory, seed, event);
        good = rename(dumped, path) == 0;
        if (!good)
            complain("no core file: cannot rename %s to %s: %s", dumped, path, strerror(errno));
    }
    rmdir(folder);
    return good;
}
