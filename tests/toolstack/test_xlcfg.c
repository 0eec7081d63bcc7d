/* pvsim create with a configuration file of xl's: what each key does, what is said of it, and what overrides it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/vif_spec.h"
#include "cli/xlcfg.h"
#include "common/guest.h"
#include "common/process.h"
#include "common/standing.h"

#include <xen/sched.h>

#define FILE_NAME "guest.cfg"

static char path[96];

static void write_file(const char *text)
{
    FILE *file;

    snprintf(path, sizeof(path), "%s/" FILE_NAME, scratch());
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* ---- what it means ---- */

static char lines[4096]; /* what was said on the standard error */

static void read_lines(const char *said)
{
    FILE *file;

    fflush(stderr);
    file = fopen(said, "r");
    ck_assert_ptr_nonnull(file);
    lines[fread(lines, 1, sizeof(lines) - 1, file)] = '\0';
    fclose(file);
}

/* Parse "create FILE" with these arguments behind it. */
static int parse(const char *text, struct create_options *options, const char *first, ...)
{
    const char *argv[16] = {"create", path};
    char said[96];
    int argc = 2;
    int status;
    va_list arguments;

    write_file(text);
    va_start(arguments, first);
    for (const char *word = first; word != NULL; word = va_arg(arguments, const char *))
        argv[argc++] = word;
    va_end(arguments);
    snprintf(said, sizeof(said), "%s/said", scratch());
    ck_assert_ptr_nonnull(freopen(said, "w", stderr));
    status = options_parse_create(argc, (char **)(uintptr_t)argv, options);
    read_lines(said);
    return status;
}

static void good(const char *text, struct create_options *options)
{
    int status = parse(text, options, NULL);

    ck_assert_msg(status == 0 && lines[0] == '\0', "%s: status %d: %s", text, status, lines);
}

START_TEST(domain)
{
    struct create_options options;

    good("type = \"hvm\"\n"
         "name = 'win10'\n"
         "uuid = 'AB1F2C7E-5d0a-4b53-9a3c-0d1e5f7a9b11'\n"
         "memory = 256; maxmem = '512' # both\n"
         "vcpus = 3\n"
         "maxvcpus = 0x4\n"
         "max_grant_frames = 128\n"
         "max_grant_version = 1\n"
         "event_channels = 4095\n"
         "vendor_device = 'xenserver'",
         &options);
    ck_assert_str_eq(options.name, "win10");
    ck_assert_str_eq(options.uuid, "ab1f2c7e-5d0a-4b53-9a3c-0d1e5f7a9b11");
    ck_assert_uint_eq(options.run.machine.ram_bytes, UINT64_C(512) << 20);
    ck_assert_uint_eq(options.target_kib, 256 << 10);
    ck_assert_uint_eq(options.run.machine.vcpus, 3);
    ck_assert_uint_eq(options.max_vcpus, 4);
    ck_assert_uint_eq(options.run.machine.max_grant_frames, 128);
    ck_assert(options.run.machine.host.grant_v1);
    ck_assert_uint_eq(options.run.machine.event_channels, 4095);
    ck_assert(options.run.machine.board.vendor_device);
    ck_assert(!options.run.machine.host.viridian);
    ck_assert_uint_eq(options.preserved, 0);
    ck_assert_uint_eq(options.run.vifs, 0); /* none is named */
    xlcfg_close(options.file);
}
END_TEST

START_TEST(defaults)
{
    struct create_options options;

    good("builder = 'hvm'\nmemory = 96\nmax_grant_version = 2\nvendor_device = 'none'\n", &options);
    ck_assert_str_eq(options.name, "guest");
    ck_assert_ptr_null(options.uuid);
    ck_assert_uint_eq(options.run.machine.ram_bytes, 96 << 20);
    ck_assert_uint_eq(options.target_kib, 0);
    ck_assert_uint_eq(options.run.machine.vcpus, 2);
    ck_assert(!options.run.machine.host.grant_v1);
    ck_assert(!options.run.machine.board.vendor_device);
    xlcfg_close(options.file);

    good("maxvcpus = 1\nmaxmem = 80\n", &options);
    ck_assert_uint_eq(options.run.machine.vcpus, 1);
    ck_assert_uint_eq(options.run.machine.ram_bytes, 80 << 20);
    ck_assert_uint_eq(options.target_kib, 0);
    xlcfg_close(options.file);

    good("", &options);
    ck_assert_uint_eq(options.run.vifs, 0);
    xlcfg_close(options.file);
}
END_TEST

/* The last of several assignments counts, and lists grow. */
START_TEST(assigned_again)
{
    struct create_options options;

    good("memory = 64\nvif = [ 'type=vif' ]\nvif += [\n 'type=vif', # \"]\"\n]\nmemory = 100\n", &options);
    ck_assert_uint_eq(options.run.machine.ram_bytes, 100 << 20);
    ck_assert_uint_eq(options.run.vifs, 2);
    xlcfg_close(options.file);
}
END_TEST

static const struct {
    const char *text;
    bool on;
} viridians[] = {
    {"viridian = 1\n", true},
    {"viridian = 0\n", false},
    {"viridian = [ 'base' ]\n", true},
    {"viridian = [ 'defaults' ]\n", true},
    {"viridian = [ 'all', '!base' ]\n", false},
    {"viridian = [ '!all', 'base' ]\n", false},
};

START_TEST(viridian)
{
    struct create_options options;

    good(viridians[_i].text, &options);
    ck_assert(options.run.machine.host.viridian == viridians[_i].on);
    xlcfg_close(options.file);
}
END_TEST

START_TEST(actions)
{
    struct create_options options;

    good("on_poweroff = 'preserve'\non_reboot = 'destroy'\non_crash = 'preserve'\non_watchdog = 'preserve'\n",
         &options);
    ck_assert_uint_eq(options.preserved, 1u << SHUTDOWN_poweroff | 1u << SHUTDOWN_crash | 1u << SHUTDOWN_watchdog);
    ck_assert_uint_eq(options.restarted, 0);
    xlcfg_close(options.file);

    good("on_reboot = 'preserve'\n", &options);
    ck_assert_uint_eq(options.preserved, 1u << SHUTDOWN_reboot);
    ck_assert_uint_eq(options.restarted, 0);
    xlcfg_close(options.file);

    good("on_crash = 'restart'\non_reboot = 'restart'\n", &options);
    ck_assert_uint_eq(options.preserved, 0);
    ck_assert_uint_eq(options.restarted, 1u << SHUTDOWN_reboot | 1u << SHUTDOWN_crash);
    xlcfg_close(options.file);
}
END_TEST

START_TEST(interfaces)
{
    static const uint8_t mac[6] = {0x00, 0x16, 0x3e, 1, 2, 3};
    static const uint8_t made_up[6] = MACHINE_VIF_MAC(6);
    struct create_options options;
    const struct machine_board *board = &options.run.machine.board;

    good("vif = [ 'mac=00:16:3E:01:02:03, bridge=br7,script=vif-nat,ip=10.0.0.1,rate=10Mb/s@20ms,mtu=9000,vifname=tap7,"
         "devid=5,untrusted,gatewaydev=eth1,type=ioemu,model=e1000,backend=3',\n"
         "        'backend=driver-3', 'type=vif,trusted,backend=3,netdev=eth2' ]\n",
         &options);
    ck_assert_uint_eq(options.run.vifs, 3);
    ck_assert_uint_eq(options.run.backend.domid, 3);
    ck_assert(memcmp(options.vif[0].vif.mac, mac, 6) == 0);
    ck_assert_str_eq(options.vif[0].vif.bridge, "br7");
    ck_assert_str_eq(options.vif[0].vif.script, "vif-nat");
    ck_assert_str_eq(options.vif[0].vif.ip, "10.0.0.1");
    ck_assert_str_eq(options.vif[0].vif.rate, "25000,20000"); /* 1.25 million bytes a second */
    ck_assert_uint_eq(options.vif[0].vif.mtu, 9000);
    ck_assert_str_eq(options.vif[0].vif.ifname, "tap7");
    ck_assert_str_eq(options.vif[0].vif.gatewaydev, "eth1");
    ck_assert_str_eq(options.vif[0].vif.trusted, "0");
    ck_assert_uint_eq(options.vif[0].vif.handle, 5);
    ck_assert_uint_eq(options.vif[1].vif.handle, 6); /* beyond those that are given */
    ck_assert(memcmp(options.vif[1].vif.mac, made_up, 6) == 0);
    ck_assert_uint_eq(options.vif[1].vif.mtu, 1500);
    ck_assert_ptr_null(options.vif[1].vif.rate);
    ck_assert_ptr_null(options.vif[1].vif.trusted);
    ck_assert_uint_eq(options.vif[2].vif.handle, 7);
    ck_assert_str_eq(options.vif[2].vif.trusted, "1");
    ck_assert_str_eq(options.vif[2].vif.gatewaydev, "eth2");

    ck_assert_uint_eq(board->nics, 2);
    ck_assert_int_eq(board->nic[0].model, MACHINE_NIC_E1000);
    ck_assert(memcmp(board->nic[0].mac, mac, 6) == 0);
    ck_assert_int_eq(board->nic[1].model, MACHINE_NIC_RTL8139);
    ck_assert(memcmp(board->nic[1].mac, made_up, 6) == 0);
    ck_assert(options.vif[0].vif.emulated && options.vif[1].vif.emulated && !options.vif[2].vif.emulated);
    xlcfg_close(options.file);

    good("vif = [ 'backend=Domain-0', '' ]\n", &options);
    ck_assert_uint_eq(options.run.backend.domid, 0);
    xlcfg_close(options.file);
}
END_TEST

START_TEST(disks)
{
    struct create_options options;

    good("disk = [ '/dev/vg/guest-volume,raw,xvda,rw', 'vdev=hdb,target=/x.qcow2,format=qcow2',\n"
         "         'format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/x.iso' ]\n",
         &options);
    ck_assert_uint_eq(options.run.machine.board.disks, 3);
    ck_assert_uint_eq(options.run.machine.board.cdroms, 4);
    xlcfg_close(options.file);
}
END_TEST

START_TEST(overridden)
{
    struct create_options options;
    int status = parse("name = 'a'\nmemory = 256\nmaxmem = 512\nvcpus = 3\nmaxvcpus = 4\nviridian = 1\n"
                       "max_grant_version = 1\nmax_grant_frames = 128\nvif = [ 'backend=2', 'backend=2' ]\n"
                       "disk = [ 'vdev=hda,target=/x' ]\nvendor_device = 'xenserver'\n",
                       &options, "--name", "b", "--memory=128", "--vcpus", "1", "--host", "xen-4.19", "--vifs", "1",
                       "--board=hdd", "--max-grant-frames=32", "--backend-domid=0", NULL);

    ck_assert_msg(status == 0 && lines[0] == '\0', "status %d: %s", status, lines);
    ck_assert_str_eq(options.name, "b");
    ck_assert_uint_eq(options.run.machine.ram_bytes, 128 << 20);
    ck_assert_uint_eq(options.target_kib, 0);
    ck_assert_uint_eq(options.run.machine.vcpus, 1);
    ck_assert_uint_eq(options.max_vcpus, 0);
    ck_assert_uint_eq(options.run.machine.host.xen_minor, 19);
    ck_assert(!options.run.machine.host.viridian && !options.run.machine.host.grant_v1);
    ck_assert_uint_eq(options.run.vifs, 1);
    ck_assert_ptr_null(options.vif);
    ck_assert_uint_eq(options.run.machine.board.disks, 8);
    ck_assert_uint_eq(options.run.machine.board.nics, 0);
    ck_assert(!options.run.machine.board.vendor_device);
    ck_assert_uint_eq(options.run.machine.max_grant_frames, 32);
    ck_assert_uint_eq(options.run.backend.domid, 0);
    xlcfg_close(options.file);

    /* The file's interfaces go with their emulated cards; cards of an option stay, wherever it stands. */
    ck_assert_int_eq(
        parse("vif = [ 'model=e1000', '' ]\ndisk = [ 'vdev=hda,target=/x' ]\n", &options, "--vifs=3", NULL), 0);
    ck_assert_uint_eq(options.run.vifs, 3);
    ck_assert_uint_eq(options.run.machine.board.nics, 0);
    ck_assert_uint_eq(options.run.machine.board.disks, 1);
    xlcfg_close(options.file);
    ck_assert_int_eq(parse("vif = [ '', '' ]\n", &options, "--board=e1000", "--vifs=3", NULL), 0);
    ck_assert_uint_eq(options.run.machine.board.nics, 1);
    ck_assert_int_eq(options.run.machine.board.nic[0].model, MACHINE_NIC_E1000);
    xlcfg_close(options.file);
    ck_assert_int_eq(parse("vif = [ '', '' ]\n", &options, "--vifs=3", "--board=e1000", NULL), 0);
    ck_assert_uint_eq(options.run.machine.board.nics, 1);
    xlcfg_close(options.file);
}
END_TEST

/* ---- what is said ---- */

/* Each is refused, with file, line and this. */
static const struct {
    const char *text;
    unsigned line;
    const char *says;
} wrong[] = {
    {"name = ''\n", 1, "name takes 1 to 40 characters"},
    {"name = '12'\n", 1, "name takes 1 to 40 characters"},
    {"name = [ 'a' ]\n", 1, "name takes a single value, not a list"},
    {"\nuuid = 'ab1f2c7e'\n", 2, "uuid takes a UUID as uuidgen prints them, not 'ab1f2c7e'"},
    {"uuid = 'ab1f2c7e-5d0a-4b53-9a3c-0d1e5f7a9b1g'\n", 1, "uuid takes a UUID"},
    {"type = 'pv'\n", 1, "type takes hvm here"},
    {"builder = 'generic'\n", 1, "builder takes hvm here"},
    {"# 1\n\nmemory = 63\n", 3, "memory takes a whole number from 64 to 4096, not '63'"},
    {"memory = 4097\n", 1, "not '4097'"},
    {"memory = 'much'\n", 1, "not 'much'"},
    {"memory += 128\n", 1, "memory takes a whole number"},
    {"maxmem = 5000\n", 1, "maxmem takes a whole number from 64 to 4096"},
    {"memory = 128\nmaxmem = 64\n", 2, "maxmem = 64 is less than memory = 128"},
    {"vcpus = 0\n", 1, "vcpus takes a whole number from 1 to 128, not '0'"},
    {"maxvcpus = 129\n", 1, "maxvcpus takes a whole number from 1 to 128"},
    {"maxvcpus = 2\nvcpus = 3\n", 1, "maxvcpus = 2 is less than vcpus = 3"},
    {"max_grant_frames = 1025\n", 1, "max_grant_frames takes a whole number from 1 to 1024"},
    {"max_grant_version = 3\n", 1, "max_grant_version takes a whole number from 1 to 2"},
    {"event_channels = 1\n", 1, "event_channels takes a whole number from 2 to 131071"},
    {"vendor_device = 'citrix'\n", 1, "vendor_device takes none or xenserver, not 'citrix'"},
    {"viridian = 2\n", 1, "viridian takes a whole number from 0 to 1"},
    {"viridian = [ 'base', 'fast' ]\n", 1, "viridian[1]: there is no enlightenment 'fast'"},
    {"on_poweroff = 'sleep'\n", 1, "on_poweroff takes destroy, restart or preserve here, not 'sleep'"},
    {"on_reboot = 1\n", 1, "on_reboot takes destroy, restart or preserve"},
    {"on_crash = ''\n", 1, "on_crash takes destroy, restart or preserve"},
    {"on_watchdog = 'bark'\n", 1, "on_watchdog takes destroy, restart or preserve"},
    {"vif = 'bridge=br0'\n", 1, "vif takes a list, such as vif = [ 'bridge=xenbr0' ]"},
    {"vif = [ [ 'bridge=br0' ] ]\n", 1, "vif[0] is a list"},
    {"vif = [ '',\n 'mac=1:2' ]\n", 1, "vif[1]: mac= takes the address of an interface"},
    {"vif = [ 'mac=01:16:3e:00:00:01' ]\n", 1, "vif[0]: mac= takes the address"},
    {"vif = [ 'mtu=67' ]\n", 1, "mtu= takes a number from 68 to 65535, not '67'"},
    {"vif = [ 'devid=128' ]\n", 1, "devid= takes a number from 0 to 127, not '128'"},
    {"vif = [ 'devid=3', 'devid=3' ]\n", 1, "vif[1]: devid=3 is another interface's already"},
    {"vif = [ 'devid=127', '' ]\n", 1, "vif[1]: there is no number left for it"},
    {"vif = [ 'rate=10' ]\n", 1, "rate= takes an amount"},
    {"vif = [ 'type=netfront' ]\n", 1, "type= takes vif or ioemu, not 'netfront'"},
    {"vif = [ 'model=virtio-net' ]\n", 1, "model= takes rtl8139 or e1000, not 'virtio-net'"},
    {"vif = [ 'bridge=' ]\n", 1, "bridge= takes a bridge, not ''"},
    {"vif = [ 'speed=1' ]\n", 1, "unrecognized argument 'speed=1'"},
    {"vif = [ 'bridge' ]\n", 1, "unrecognized argument 'bridge'"},
    {"vif = [ 'backend=store' ]\n", 1, "backend= takes Domain-0, or a driver domain's number"},
    {"vif = [ 'backend=3', '' ]\n", 1, "vif[1]: its backend is in domain 0, and that of vif[0] in domain 3"},
    {"vif = [ '', '', '', '', '' ]\n", 1, "vif[4]: there is no place for its emulated card, 4 are the most"},
    {"disk = 'hda'\n", 1, "disk takes a list"},
    {"disk = [ 'vdev=hda,target=/a', 'vdev=xvda,target=/b' ]\n", 1, "disk[1]: the place of 'xvda' is another disk's"},
    {"disk = [ 'target=/a' ]\n", 1, "no vdev specified in `target=/a'; see xl-disk-configuration(5)"},
    {"disk = [ 'vdev=hda,format=floppy,target=/a' ]\n", 1, "disk[0]: config parsing error in disk specification"},
    {"memory = 128\nmemory 256\n", 2, "config parsing error near"},
    {"vif = [ 'a'\n", 1, "config parsing error near"},
    {"name = 'win\n", 1, "config parsing error near"},
    {"memory = 128 + 1\n", 1, "config parsing error near"},
};

START_TEST(refused)
{
    struct process_result result;
    char place[128];

    write_file(wrong[_i].text);
    result = pvsim("create %s --run-dir %s", path, standing_dir);
    snprintf(place, sizeof(place), "pvsim: %s:%u: ", path, wrong[_i].line);
    ck_assert_msg(strncmp(result.error, place, strlen(place)) == 0, "it said: %s", result.error);
    expect_complaint(result, 2, wrong[_i].says);
    ck_assert(!standing_is_there());
}
END_TEST

START_TEST(unreadable)
{
    expect_complaint(pvsim("create /nowhere/x.cfg --run-dir %s", standing_dir), 2,
                     "/nowhere/x.cfg cannot be read: No such file or directory");
    expect_complaint(pvsim("create /tmp --run-dir %s", standing_dir), 2, "/tmp cannot be read: Is a directory");
    expect_complaint(pvsim("create /dev/zero --run-dir %s", standing_dir), 2, "longer than 1 MiB");
    expect_complaint(pvsim("create x.cfg y.cfg --run-dir %s", standing_dir), 2, "unexpected argument 'y.cfg'");
    write_file("memory = 128\n");
    expect_complaint(pvsim("create %s --vcpus 0 --run-dir %s", path, standing_dir), 2, "--vcpus takes");
    expect_complaint(pvsim("create %s --no-such --run-dir %s", path, standing_dir), 2, "unknown option --no-such");
}
END_TEST

/* What does nothing here is told of once, and the rest is taken. */
START_TEST(ignored)
{
    struct create_options options;
    char wanted[2048];
    int status = parse("sdl = 1\n"
                       "memory = 96\n"
                       "sdl = 0\n"
                       "serial = [ 'pty' ]\n"
                       "on_reboot = 'rename-restart'\n"
                       "viridian = [ 'base', 'stimer' ]\n"
                       "vif = [ 'accel=0,colo_compare_out=a,bridge=br1', 'type=vif,model=e1000' ]\n"
                       "disk = [ 'vdev=sda,target=/a' ]\n",
                       &options, NULL);

    snprintf(wanted, sizeof(wanted),
             "pvsim: %s:3: 'sdl' has no meaning here and is ignored\n"
             "pvsim: %s:4: 'serial' has no meaning here and is ignored\n"
             "pvsim: %s:5: on_reboot = \"rename-restart\" can't be done here and is ignored: the domain is destroyed\n"
             "pvsim: %s:6: viridian[1]: 'stimer' is ignored: the interface is there as a whole or not at all\n"
             "pvsim: %s:7: vif[0]: 'accel=0' has no meaning here and is ignored\n"
             "pvsim: %s:7: vif[0]: 'colo_compare_out=a' has no meaning here and is ignored\n"
             "pvsim: %s:7: vif[1]: model= has no meaning with type=vif and is ignored\n"
             "pvsim: %s:8: disk[0]: 'sda' is ignored: only hda to hdd and xvda to xvdd have a place on the board\n",
             path, path, path, path, path, path, path, path);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(lines, wanted);
    ck_assert_uint_eq(options.run.machine.ram_bytes, 96 << 20);
    ck_assert(options.run.machine.host.viridian);
    ck_assert_str_eq(options.vif[0].vif.bridge, "br1");
    ck_assert_uint_eq(options.run.machine.board.disks, 0);
    ck_assert_uint_eq(options.preserved, 0);
    xlcfg_close(options.file);
}
END_TEST

/* ---- the machine ---- */

/* The example of xen-utils-common, without its comments. */
START_TEST(example)
{
    struct process_result result;
    char wanted[256];

    write_file("type = \"hvm\"\n"
               "name = \"example.hvm\"\n"
               "#uuid = \"XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX\"\n"
               "memory = 128\n"
               "#maxmem = 512\n"
               "vcpus = 2\n"
               "vif = [ '' ]\n"
               "disk = [ '/dev/vg/guest-volume,raw,xvda,rw' ]\n"
               "sdl = 1\n"
               "#vnc = 1\n");
    snprintf(wanted, sizeof(wanted), "pvsim: %s:9: 'sdl' has no meaning here and is ignored\n", path);
    expect_result(pvsim("create %s --run-dir %s", path, standing_dir), 0, "", wanted);
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/0/type"), "vif_ioemu");
    result = VERB("list", "example.hvm", standing_dir);
    snprintf(wanted, sizeof(wanted), STANDING_LIST_HEADER "%-40s %5d %5d %5d     ", "example.hvm", 1, 128, 2);
    ck_assert_msg(strncmp(result.output, wanted, strlen(wanted)) == 0, "it printed: %s", result.output);
    process_free(&result);
    expect_result(VERB("destroy", "example.hvm", standing_dir), 0, "", "");
}
END_TEST

#define UUID "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"

/* What the file says is in the store, and goes along to a new domain. */
START_TEST(in_the_store)
{
    write_file("name = 'guest'\nuuid = '" UUID "'\nmemory = 96\nmaxmem = 128\nvcpus = 1\nmaxvcpus = 2\n"
               "vif = [ 'mac=00:16:3e:01:02:03,rate=1MB/s,gatewaydev=eth1,untrusted,devid=2,type=vif', '' ]\n");
    expect_result(pvsim("create --run-dir %s %s", standing_dir, path), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/2/state", "4");
    standing_wait_for_node("/local/domain/1/device/vif/3/state", "4");
    ck_assert_str_eq(standing_read("/local/domain/1/vm"), "/vm/" UUID);
    ck_assert_str_eq(standing_read("/local/domain/1/memory/static-max"), "131072");
    ck_assert_str_eq(standing_read("/local/domain/1/memory/target"), "98304");
    ck_assert_str_eq(standing_read("/local/domain/1/cpu/0/availability"), "online");
    ck_assert_str_eq(standing_read("/local/domain/1/cpu/1/availability"), "offline");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/2/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/2/type"), "vif");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/3/mac"), "00:16:3e:5a:00:03");

    expect_result(VERB("migrate", "guest localhost", standing_dir), 0, "", "Migration successful.\n");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/2/rate"), "50000,50000");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/2/gatewaydev"), "eth1");
    ck_assert_str_eq(standing_read("/local/domain/2/device/vif/2/trusted"), "0");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/3/type"), "vif_ioemu");
    standing_wait_for_node("/local/domain/2/device/vif/2/state", "4");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* A guest that turns itself off stays for a look, and goes when it is destroyed. */
START_TEST(preserved)
{
    write_file("on_poweroff = 'preserve'\nvif = [ 'type=vif' ]\n");
    expect_result(pvsim("create %s --run-dir %s", path, standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_result(VERB("trigger", "guest power", standing_dir), 0, "", "");
    for (unsigned waited = 0; standing_state()[3] != 's'; waited += 10) {
        ck_assert_uint_lt(waited, 60000);
        standing_sleep_ms(10);
    }
    ck_assert_str_eq(standing_read("/local/domain/1/name"), "guest");
    expect_complaint(VERB("suspend", "-f guest", standing_dir), 1, "has shut down, reason code 0");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    ck_assert(!standing_is_there());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("xlcfg");
    TCase *meaning = tcase_create("meaning");
    TCase *saying = tcase_create("saying");
    TCase *running = tcase_create("machine");
    int status;

    if (!standing_init())
        return 125;
    tcase_add_test(meaning, domain);
    tcase_add_test(meaning, defaults);
    tcase_add_test(meaning, assigned_again);
    tcase_add_loop_test(meaning, viridian, 0, sizeof(viridians) / sizeof(viridians[0]));
    tcase_add_test(meaning, actions);
    tcase_add_test(meaning, interfaces);
    tcase_add_test(meaning, disks);
    tcase_add_test(meaning, overridden);
    tcase_add_test(meaning, ignored);
    suite_add_tcase(suite, meaning);
    tcase_add_loop_test(saying, refused, 0, sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(saying, unreadable);
    standing_add(suite, saying);
    tcase_add_test(running, example);
    tcase_add_test(running, in_the_store);
    tcase_add_test(running, preserved);
    standing_add(suite, running);
    status = guest_suite_run(suite);
    standing_end_last();
    return status;
}
