/* The lists of devices in a configuration file, and what they put on the machine's board. */
#include <stdlib.h>
#include <string.h>

#include "cli/dom0_environment.h"
#include "cli/guest_domain.h"
#include "cli/vif_spec.h"
#include "cli/xlcfg_internal.h"

#define ERROR_MAX 256
#define IDE_UNITS 4

/* ---- interfaces ---- */

/* As xl: words with commas between them, and blanks in front of each. */
static bool read_vif(struct xlcfg *file, const char *key, int index)
{
    struct vif_spec *spec = &file->vif[index];
    char error[ERROR_MAX];
    char *rest = NULL;

    for (char *word = strtok_r(file->vif_text[index], ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        word += strspn(word, " ");
        switch (vif_spec_take(spec, word, error, sizeof(error))) {
        case VIF_WORD_REFUSED:
            return xlcfg_refuse(file, key, "vif[%d]: %s; see xl-network-configuration(5)", index, error);
        case VIF_WORD_IGNORED:
            xlcfg_note(file, key, "vif[%d]: '%s' has no meaning here and is ignored", index, word);
            break;
        default:
            break;
        }
    }
    return true;
}

/* Who has no number gets one beyond those that are given, as with libxl. */
static bool number_vifs(struct xlcfg *file, const char *key)
{
    bool taken[VIFS_MAX] = {false};
    unsigned next = 0;

    for (int index = 0; index < file->vifs; index++) {
        struct vif_spec *spec = &file->vif[index];

        if (!spec->devid_given)
            continue;
        if (taken[spec->vif.handle])
            return xlcfg_refuse(file, key, "vif[%d]: devid=%u is another interface's already", index, spec->vif.handle);
        taken[spec->vif.handle] = true;
        if (spec->vif.handle >= next)
            next = spec->vif.handle + 1;
    }
    for (int index = 0; index < file->vifs; index++) {
        if (file->vif[index].devid_given)
            continue;
        if (next == VIFS_MAX)
            return xlcfg_refuse(file, key, "vif[%d]: there is no number left for it up to %d, which is the highest",
                                index, VIFS_MAX - 1);
        file->vif[index].vif.handle = next++;
    }
    return true;
}

static bool read_domain(const char *name, unsigned *domid)
{
    if (strcmp(name, "Domain-0") == 0) {
        *domid = 0;
        return true;
    }
    if (strncmp(name, "driver-", 7) == 0)
        name += 7;
    return vif_read_number(name, DOM0_DOMID_MAX, domid);
}

/* All have one backend here. */
static bool choose_backend(struct xlcfg *file, const char *key)
{
    unsigned *chosen = &file->options->run.backend.domid;

    for (int index = 0; index < file->vifs; index++) {
        const char *name = file->vif[index].backend;
        unsigned domid = 0;

        if (name != NULL && !read_domain(name, &domid))
            return xlcfg_refuse(file, key,
                                "vif[%d]: backend= takes Domain-0, or a driver domain's number up to %u, not '%s'",
                                index, DOM0_DOMID_MAX, name);
        if (index != 0 && domid != *chosen)
            return xlcfg_refuse(file, key,
                                "vif[%d]: its backend is in domain %u, and that of vif[0] in domain %u: give all of "
                                "them one backend=",
                                index, domid, *chosen);
        *chosen = domid;
    }
    return true;
}

/* An emulated card for each interface that is not "vif" alone: libxl's default for an HVM guest. */
static bool add_cards(struct xlcfg *file, const char *key)
{
    struct machine_board *board = &file->options->run.machine.board;

    for (int index = 0; index < file->vifs; index++) {
        struct vif_spec *spec = &file->vif[index];
        struct machine_nic *nic = &board->nic[board->nics];

        if (spec->type != NULL && strcmp(spec->type, "vif") == 0) {
            if (spec->model != NULL)
                xlcfg_note(file, key, "vif[%d]: model= has no meaning with type=vif and is ignored", index);
            continue;
        }
        if (board->nics == MACHINE_MAX_NICS)
            return xlcfg_refuse(file, key,
                                "vif[%d]: there is no place for its emulated card, %d are the most: add type=vif to "
                                "interfaces that need none",
                                index, MACHINE_MAX_NICS);
        nic->model = MACHINE_NIC_RTL8139;
        if (spec->model != NULL)
            (void)vif_model(spec->model, &nic->model);
        memcpy(nic->mac, spec->vif.mac, sizeof(nic->mac));
        spec->vif.emulated = true;
        board->nics++;
    }
    return true;
}

bool xlcfg_take_vif(struct xlcfg *file, const char *key)
{
    XLU_ConfigList *list;
    int count;

    if (!xlcfg_list(file, key, "[ 'bridge=xenbr0' ]", &list, &count))
        return false;
    if (count > VIFS_MAX)
        return xlcfg_refuse(file, key, "vif has %d interfaces: %d are the most", count, VIFS_MAX);
    file->vif = calloc((size_t)count + 1, sizeof(*file->vif));
    file->vif_text = calloc((size_t)count + 1, sizeof(*file->vif_text));
    file->vifs = count;
    for (int index = 0; index < count; index++) {
        file->vif[index].vif = guest_domain_vif(0, 0);
        file->vif_text[index] = strdup(xlu_cfg_get_listitem(list, index));
    }
    for (int index = 0; index < count; index++)
        if (!read_vif(file, key, index))
            return false;
    if (!number_vifs(file, key))
        return false;
    for (int index = 0; index < count; index++)
        if (!file->vif[index].mac_given)
            guest_domain_vif_mac(&file->vif[index].vif);
    return choose_backend(file, key) && add_cards(file, key);
}

/* ---- disks ---- */

/* The place on the IDE channels where a disk of this name is, IDE_UNITS: none. */
static unsigned ide_unit(const char *vdev)
{
    if (strncmp(vdev, "xvd", 3) == 0)
        vdev++;
    else if (strncmp(vdev, "hd", 2) != 0)
        return IDE_UNITS;
    return vdev[2] >= 'a' && vdev[2] < 'a' + IDE_UNITS && vdev[3] == '\0' ? (unsigned)(vdev[2] - 'a') : IDE_UNITS;
}

static bool add_disk(struct xlcfg *file, const char *key, int index, const libxl_device_disk *disk)
{
    struct machine_board *board = &file->options->run.machine.board;
    unsigned unit = ide_unit(disk->vdev); /* the library refuses a disk without */

    if (unit == IDE_UNITS) {
        xlcfg_note(file, key, "disk[%d]: '%s' is ignored: only hda to hdd and xvda to xvdd have a place on the board",
                   index, disk->vdev);
        return true;
    }
    if (((board->disks | board->cdroms) >> unit & 1) != 0)
        return xlcfg_refuse(file, key, "disk[%d]: the place of '%s' is another disk's already", index, disk->vdev);
    if (disk->is_cdrom)
        board->cdroms |= (uint8_t)(1u << unit);
    else
        board->disks |= (uint8_t)(1u << unit);
    return true;
}

bool xlcfg_take_disk(struct xlcfg *file, const char *key)
{
    XLU_ConfigList *list;
    int count;

    if (!xlcfg_list(file, key, "[ 'vdev=hda,target=disk.img' ]", &list, &count))
        return false;
    for (int index = 0; index < count; index++) {
        const char *text = xlu_cfg_get_listitem(list, index);
        size_t mark = xlcfg_report_mark(file);
        libxl_device_disk disk;
        bool good;

        libxl_device_disk_init(&disk);
        good = xlu_disk_parse(file->config, 1, &text, &disk) == 0;
        if (!good)
            (void)xlcfg_refuse(file, key, "disk[%d]: %s; see xl-disk-configuration(5)", index,
                               xlcfg_report_since(file, mark));
        good = good && add_disk(file, key, index, &disk);
        libxl_device_disk_dispose(&disk);
        if (!good)
            return false;
    }
    return true;
}

void xlcfg_free_devices(struct xlcfg *file)
{
    for (int index = 0; index < file->vifs; index++)
        free(file->vif_text[index]);
    free(file->vif_text);
    free(file->vif);
}
