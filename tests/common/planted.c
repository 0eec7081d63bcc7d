#include "common/planted.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/process.h"

static char folder_path[256];
static unsigned folders;

static void link_files(const char *from)
{
    char *source = realpath(from, NULL);
    struct dirent **entries;
    int count;

    ck_assert_msg(source != NULL, "%s is not there", from);
    count = scandir(source, &entries, NULL, alphasort);
    ck_assert_int_gt(count, 0);
    for (int index = 0; index < count; index++) {
        char file[600];
        char link[600];

        snprintf(file, sizeof(file), "%s/%s", source, entries[index]->d_name);
        snprintf(link, sizeof(link), "%s/%s", folder_path, entries[index]->d_name);
        if (entries[index]->d_name[0] != '.')
            ck_assert_int_eq(symlink(file, link), 0);
        free(entries[index]);
    }
    free(entries);
    free(source);
}

static void link_module(const char *folder, const char *driver)
{
    char relative[600];
    char link[600];
    char *file;

    snprintf(relative, sizeof(relative), "%s/%s.so", folder, driver);
    snprintf(link, sizeof(link), "%s/%s.so", folder_path, driver);
    file = realpath(relative, NULL);
    ck_assert_msg(file != NULL, "%s is not there", relative);
    ck_assert_int_eq(symlink(file, link), 0);
    free(file);
}

/* A copy of the driver's INF in which one line is another. */
static void write_inf(const char *driver, const char *line, const char *instead)
{
    char name[600];
    char text[256];
    bool found = false;
    FILE *from;
    FILE *to;

    snprintf(name, sizeof(name), "tests/clients/%s/%s.inf", driver, driver);
    from = fopen(name, "r");
    ck_assert_msg(from != NULL, "%s cannot be read", name);
    snprintf(name, sizeof(name), "%s/%s.inf", folder_path, driver);
    to = fopen(name, "w");
    ck_assert_msg(to != NULL, "%s cannot be written", name);
    while (fgets(text, sizeof(text), from) != NULL) {
        bool same = strncmp(text, line, strlen(line)) == 0;

        found |= same;
        fputs(same ? instead : text, to);
    }
    ck_assert_msg(found, "the INF of %s has no line %s", driver, line);
    fclose(from);
    fclose(to);
}

static void new_folder(bool memory)
{
    snprintf(folder_path, sizeof(folder_path), "%s/drivers-%u", scratch(), ++folders);
    ck_assert_int_eq(mkdir(folder_path, 0777), 0);
    link_files(memory ? PVSIM_BUILD "/drivers-memory" : PVSIM_BUILD "/drivers");
}

const char *planted_folder(enum planted_bug bug, bool memory)
{
    char line[64];

    new_folder(memory);
    link_module(memory ? PVSIM_BUILD "/test-drivers-memory" : PVSIM_BUILD "/test-drivers", "planted");
    snprintf(line, sizeof(line), "HKR,,Bug,0x00010001,%d\n", bug);
    write_inf("planted", "HKR,,Bug,", line);
    return folder_path;
}

const char *racer_folder(void)
{
    new_folder(false);
    link_module(PVSIM_BUILD "/test-drivers", "racer");
    write_inf("racer", "StartType", "StartType = 0\n");
    return folder_path;
}
