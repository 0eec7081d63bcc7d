/* The files of the machine: a volume in memory, C:, with \Windows and \SystemRoot. */
#ifndef NT_FS_H
#define NT_FS_H

#include "nt/nt.h"

/*
 * The volume is mounted when somebody opens the first name below it, as on Windows. PASSIVE_LEVEL, in a guest thread.
 */
void fs_mount_for(PCUNICODE_STRING name);
/* The file system's driver, NULL while the volume is not mounted. */
PDRIVER_OBJECT fs_driver(void);
/* The shutdown: the driver goes, the files stay. False: a file is still open. */
bool fs_unmount(void);

/* Write the files to the disk (nt/disk.h). */
void fs_save(void);

/* A file's content, for the harness: NULL if there is none. `path` as "\\Windows\\Temp\\x.txt". */
const void *fs_content(const char *path, size_t *size);

#endif
