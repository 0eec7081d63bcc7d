#include "cli/vif_spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxlutil.h>

#include "cli/cli.h"

#define MTU_MIN 68 /* of IPv4 */
#define MTU_MAX 65535

bool vif_read_mac(const char *text, uint8_t mac[6])
{
    int length = 0;

    return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5],
                  &length) == 6 &&
           text[length] == '\0';
}

bool vif_read_number(const char *text, unsigned limit, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *number = (unsigned)value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value <= limit;
}

bool vif_model(const char *name, enum machine_nic_model *model)
{
    *model = strcmp(name, "e1000") == 0 ? MACHINE_NIC_E1000 : MACHINE_NIC_RTL8139;
    return *model == MACHINE_NIC_E1000 || strcmp(name, "rtl8139") == 0;
}

static bool take_mac(struct vif_spec *spec, const char *value)
{
    spec->mac_given = vif_read_mac(value, spec->vif.mac) && (spec->vif.mac[0] & 1) == 0;
    return spec->mac_given;
}

static bool take_mtu(struct vif_spec *spec, const char *value)
{
    return vif_read_number(value, MTU_MAX, &spec->vif.mtu) && spec->vif.mtu >= MTU_MIN;
}

static bool take_devid(struct vif_spec *spec, const char *value)
{
    spec->devid_given = vif_read_number(value, VIFS_MAX - 1, &spec->vif.handle);
    return spec->devid_given;
}

/* The library says what is wrong with it in words of its own, which nobody reads. */
static bool take_rate(struct vif_spec *spec, const char *value)
{
    libxl_device_nic nic = {0};
    char *report = NULL;
    size_t report_size = 0;
    FILE *stream = open_memstream(&report, &report_size);
    XLU_Config *config = stream != NULL ? xlu_cfg_init(stream, "rate") : NULL;
    bool good = config != NULL && xlu_vif_parse_rate(config, value, &nic) == 0;

    if (config != NULL)
        xlu_cfg_destroy(config);
    if (stream != NULL)
        fclose(stream);
    free(report);
    snprintf(spec->rate, sizeof(spec->rate), "%" PRIu64 ",%" PRIu32, nic.rate_bytes_per_interval,
             nic.rate_interval_usecs);
    spec->vif.rate = spec->rate;
    return good;
}

static bool take_type(struct vif_spec *spec, const char *value)
{
    spec->type = value;
    return strcmp(value, "vif") == 0 || strcmp(value, "ioemu") == 0;
}

static bool take_model(struct vif_spec *spec, const char *value)
{
    enum machine_nic_model model;

    spec->model = value;
    return vif_model(value, &model);
}

static bool take_bridge(struct vif_spec *spec, const char *value)
{
    spec->vif.bridge = value;
    return true;
}

static bool take_script(struct vif_spec *spec, const char *value)
{
    spec->vif.script = value;
    return true;
}

static bool take_ip(struct vif_spec *spec, const char *value)
{
    spec->vif.ip = value;
    return true;
}

static bool take_vifname(struct vif_spec *spec, const char *value)
{
    spec->vif.ifname = value;
    return true;
}

static bool take_gatewaydev(struct vif_spec *spec, const char *value)
{
    spec->vif.gatewaydev = value;
    return true;
}

static bool take_backend(struct vif_spec *spec, const char *value)
{
    spec->backend = value;
    return true;
}

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

/* `takes` is for the line on a value that is refused. */
static const struct {
    const char *name;
    bool (*take)(struct vif_spec *spec, const char *value);
    const char *takes;
} keys[] = {
    {"mac", take_mac, "the address of an interface, such as 00:16:3e:01:02:03"},
    {"bridge", take_bridge, "a bridge"},
    {"script", take_script, "a script"},
    {"ip", take_ip, "an address"},
    {"mtu", take_mtu, "a number from " TEXT_OF(MTU_MIN) " to " TEXT_OF(MTU_MAX)},
    {"vifname", take_vifname, "a name"},
    {"backend", take_backend, "a domain"},
    {"devid", take_devid, "a number from 0 to 127"},
    {"rate", take_rate, "an amount and perhaps an interval, such as 10Mb/s or 1MB/s@20ms"},
    {"type", take_type, "vif or ioemu"},
    {"model", take_model, "rtl8139 or e1000"},
    {"gatewaydev", take_gatewaydev, "a device"},
    {"netdev", take_gatewaydev, "a device"}, /* its old name */
};

_Static_assert(VIFS_MAX == 128, "the line on devid");

/* For Xen's COLO, and what libxl itself does not do; a key whose name ends in '_' stands for all that begin so. */
static const char *const ignored[] = {"forwarddev", "accel", "vlan", "colo_"};

static bool is_ignored(const char *word, size_t length)
{
    for (size_t index = 0; index < sizeof(ignored) / sizeof(ignored[0]); index++) {
        size_t its = strlen(ignored[index]);

        if (strncmp(word, ignored[index], its) == 0 && (its == length || ignored[index][its - 1] == '_'))
            return true;
    }
    return false;
}

enum vif_word vif_spec_take(struct vif_spec *spec, const char *word, char *error, size_t error_size)
{
    size_t length = strcspn(word, "=");
    const char *value = word[length] == '=' ? word + length + 1 : NULL;

    for (size_t index = 0; value != NULL && index < sizeof(keys) / sizeof(keys[0]); index++) {
        if (strlen(keys[index].name) != length || strncmp(keys[index].name, word, length) != 0)
            continue;
        if (*value != '\0' && keys[index].take(spec, value))
            return VIF_WORD_TAKEN;
        snprintf(error, error_size, "%s= takes %s, not '%s'", keys[index].name, keys[index].takes, value);
        return VIF_WORD_REFUSED;
    }
    if (value == NULL && (strcmp(word, "trusted") == 0 || strcmp(word, "untrusted") == 0)) {
        spec->vif.trusted = *word == 't' ? "1" : "0";
        return VIF_WORD_TAKEN;
    }
    if (value != NULL && is_ignored(word, length))
        return VIF_WORD_IGNORED;
    snprintf(error, error_size, "unrecognized argument '%s'", word);
    return VIF_WORD_REFUSED;
}
