/* Help texts. The man page, pvsim.1, says the same at greater length: keep them together. */
#include <string.h>

#include "cli/cli.h"

static const char general[] =
    "pvsim - boot the Windows PV network drivers on a simulated machine and push traffic through them\n"
    "\n"
    "usage: pvsim COMMAND [OPTION...]\n"
    "\n"
    "  run       boot a guest, carry captures through the drivers in both directions, tear down, check everything\n"
    "  replay    run a failure again from its bundle\n"
    "  verifier  list the rules that drivers are held to\n"
    "  sweep     make a run under many seeds, on all processors\n"
    "  minimize  make the failing run of a bundle small, and name the two operations whose order decides\n"
    "  help      show a command's help\n"
    "\n"
    "A machine that stays up, and xl's verbs for it:\n"
    "  create    boot a guest and keep it up until 'pvsim destroy'\n"
    "  list      list the domains\n"
    "  console   attach to the guest's console\n"
    "  destroy   end the guest's domain at once, and the machine with it\n"
    "  shutdown, reboot\n"
    "            have the guest shut down, and begin anew\n"
    "  pause, unpause\n"
    "            have the guest's vCPUs stand still, and go on\n"
    "  save, restore\n"
    "            write the machine to a file, and go on with it as another host\n"
    "  migrate   have the guest go on as another domain, here or on a second host\n"
    "  trigger   press the guest's power or sleep button, wake it up\n"
    "  mem-set, vcpu-set\n"
    "            how much memory and how many vCPUs the guest is to have\n"
    "  network-attach, network-detach\n"
    "            plug a virtual interface in, and pull one out\n"
    "  dom0      run a program of dom0, or of a driver domain\n"
    "\n"
    "'pvsim COMMAND --help' shows a command's options; 'pvsim --version' the version.\n"
    "\n"
    "Exit status: 0 passed, 1 failed, 2 usage error (one line says what), 125 could not be tried on this host.\n";

static const char run[] =
    "usage: pvsim run [OPTION...]\n"
    "\n"
    "Boots a guest with the drivers xen, xenbus, xenvif and a client on each VIF, sends every frame of --tx from the "
    "client\n"
    "out through netback, injects every frame of --rx at netback for the client, compares each one byte for byte and "
    "in\n"
    "order and the VIF's counters with what the client had, takes the stack down and checks that everything it took "
    "is\n"
    "back. The last line is PASS or FAIL with figures.\n"
    "\n"
    "Machine:\n"
    "  --vcpus N              vCPUs, 1 to 128 (2)\n"
    "  --vifs N               virtual interfaces, 1 to 128; each carries the whole captures (1)\n"
    "  --memory MIB           guest RAM in MiB, 64 to 4096 (128)\n"
    "  --host HOST            the hypervisor: xen-4.13, xen-4.17 or xen-4.19, with any of ,grant-v1 ,no-vectors "
    ",viridian (xen-4.17);\n"
    "                         none or none,viridian: no Xen; the machine is booted and taken down, without VIFs\n"
    "  --board LIST           further devices of the board: c000 (vendor device), 0002 (instead of platform device "
    "0001),\n"
    "                         rtl8139 or e1000[=MAC] (emulated NICs, up to four), hda to hdd, cdrom (none)\n"
    "  --unplug HOW           the emulator's answer to unplug requests: refuse, absent (no such protocol), or\n"
    "                         blacklist=PRODUCT[:BUILD] (it does as it is told)\n"
    "  --max-grant-frames N   pages of a domain's grant table, 1 to 1024 (64)\n"
    "  --store-quota NAME=N   a limit on what a domain may hold in the store; repeatable; list: which there are\n"
    "  --drivers DIR          folder with the driver modules and INFs (the one that came with pvsim)\n"
    "  --driver NAME.so       add a driver of your own (see pvsim-cc), or put it in the place of the one of that "
    "name;\n"
    "  --inf NAME.inf         its INF. Both may be given again for more drivers\n"
    "Schedule:\n"
    "  --engine ENGINE        det, the deterministic engine, or par: one host thread a vCPU, real time, real races;\n"
    "                         takes no --policy and no --clock virtual, and a run is not repeatable (det)\n"
    "  --seed S               seed of everything random (1)\n"
    "  --boot-seed B          another seed until every VIF is connected (the seed)\n"
    "  --policy POLICY        fifo, random, or pct[:DEPTH] for bugs of DEPTH ordered operations (fifo; pct:4)\n"
    "  --preempt POINTS       call: runners change at kernel calls, locks, interlocked operations and pauses; memory: "
    "at "
    "each load\n"
    "                         and store of driver code, too (call)\n"
    "  --delay P              postpone DPCs, timers, interrupts, work items and completions with this probability; "
    "list: show\n"
    "                         by how much at most and why\n"
    "  --clock CLOCK          virtual; paced: the same, but it does not jump when nothing can run; or wall for the "
    "host's\n"
    "                         (virtual)\n"
    "  --timeout T            bound on the run by the machine's clock: 60s, 500ms, 2m (60s)\n"
    "Verifier:\n"
    "  --on-bugcheck DO       report, or core to leave a core file for gdb in --bundle-dir as well (report)\n"
    "  --isr-limit T          bound on one service routine by the machine's clock, or none (500ms)\n"
    "  --dpc-limit T          bound on one DPC, or none (500ms)\n"
    "  --dispatch-limit T     bound on the time in a row at DISPATCH_LEVEL and above, or none (2s)\n"
    "  --paged MODE           plain, or strict: paged pool and pageable code fault at DISPATCH_LEVEL and above "
    "(plain)\n"
    "What the guest goes through:\n"
    "  --through LIST         once every VIF is connected, and before the traffic, with commas between: sleep (S3 and "
    "back),\n"
    "                         hibernate (S4: memory that comes back under another Xen), suspend (and the suspend is\n"
    "                         cancelled, as 'pvsim resume' does), slow (resumed as 'pvsim resume -s' does), migrate "
    "(as a new\n"
    "                         domain). Every VIF has to be connected again after each (nothing)\n"
    "Traffic:\n"
    "  --tx FILE.pcap         frames that the client sends\n"
    "  --rx FILE.pcap         frames that the client is to receive\n"
    "  --tx-frames A-B,C      only these frames of --tx, in rising order, or none; --rx-frames likewise (all)\n"
    "  --batch N              frames that the client is given, or gives, in one request at most, as NDIS's lists have "
    "them, and\n"
    "                         large ones whole where netback sends them so; 1: one, and what is large is cut (1)\n"
    "  --pktgen N             a packet generator in the guest's kernel carries each capture N times in the place of "
    "the\n"
    "                         application: nothing is copied, and of each frame the length and the first 64 bytes are\n"
    "                         compared at its end, in order, or those up to the checksum of TCP or UDP if it ends "
    "within\n"
    "                         96; the payload behind them is not. --batch N: packets in a row, 1 to 256. One queue; "
    "no\n"
    "                         frames that are cut on their way\n"
    "  --rss                  the client has received frames hashed (Toeplitz), and spread over the processors where\n"
    "                         there are several queues, as Windows does it; by the backend where that offers it\n"
    "  --multicast-filter     the client wants multicast frames of the groups in --rx alone, not all of them\n"
    "  --out-tx FILE.pcap     write the frames that left through netback; with several VIFs one file each "
    "(FILE-N.pcap)\n"
    "  --out-rx FILE.pcap     write the frames that the client was handed; likewise\n"
    "Backend:\n"
    "  --backend WHO          who serves the interfaces: stub, netback in the machine; exec:COMMAND, a program that "
    "the "
    "run\n"
    "                         starts by a shell, as 'pvsim dom0' would, and ends with SIGTERM; or none, one that comes "
    "by\n"
    "                         'pvsim dom0' once the run says that it waits. Such a program sends what --rx has, and "
    "its "
    "exit\n"
    "                         status other than 0 fails the run; the clock is paced. --out-tx, --fail and 'pvsim "
    "sweep' "
    "are\n"
    "                         for the stub alone (stub)\n"
    "  --backend-domid N      the domain that it runs in, a driver domain if it is not 0 (0)\n"
    "  --backend-features L   what netback offers, with commas between: NAME, or -NAME not to, from the default on, "
    "which\n"
    "                         is sg,queues=1; names: sg, gso-tcpv4, gso-tcpv6, csum-offload, ipv6-csum-offload,\n"
    "                         split-event-channels, multicast-control, dynamic-multicast-control, ctrl-ring, carrier,\n"
    "                         rx-copy; queues=N (1 to 16); all, none, default; wire: netback cuts and completes what "
    "the guest\n"
    "                         leaves to it before it is compared and written\n"
    "  --busy-poll US         having served a ring netback looks for more so many microseconds before it asks for an "
    "event\n"
    "                         (0, to 1000): fewer events, if there is a processor for dom0 alone\n"
    "  --run-dir DIR          where a program comes in (with exec a temporary folder, else as for 'pvsim create')\n"
    "Faults:\n"
    "  --fail WHAT            have calls of the drivers fail for lack of resources; repeatable. WHAT joins by commas:\n"
    "                           nth=N            the N-th of the matching calls\n"
    "                           rate=P,seed=S    each of them with this probability (the run's seed)\n"
    "                           call=NAME        calls of this routine alone\n"
    "                           kind=A+B         pool, mdl, workitem, thread, interrupt, mapping, registry, hypercall\n"
    "                           phase=A+B        boot, connect, traffic, teardown\n"
    "                         Afterwards, with faults off, the devices must start again and carry the captures whole.\n"
    "  --fail list            the routines that can be failed, and how each fails\n"
    "Report:\n"
    "  --format text|json     report on standard output; with json the verdict line goes to standard error (text)\n"
    "  --log LEVEL            none, error, warning, info, debug or trace, on standard error (error)\n"
    "  --bundle-dir DIR       where a failed run leaves its bundle (the current folder)\n"
    "  --no-bundle            leave none\n"
    "  --stacks               keep the whole stack of every lock acquisition and pool allocation for the report, not "
    "the\n"
    "                         caller alone; slower; a replay does\n"
    "  --help                 this text\n"
    "\n"
    "Equal seed, inputs and build give equal runs, whatever --log and --format say; the event-log hash in the report "
    "proves it.\n"
    "\n"
    "Example:\n"
    "  pvsim run --vcpus 4 --policy pct --seed 7 --tx tests/captures/lan-wire.pcap --rx tests/captures/lan-wire.pcap\n";

static const char replay[] = "usage: pvsim replay [--log LEVEL] [--until EVENT] [--show VIEW] BUNDLE\n"
                             "\n"
                             "Runs the failure of a bundle again and compares: same rule, same event, same hash. "
                             "Refuses a bundle of another build or\n"
                             "of inputs that have changed. The record of a backend's program, NAME.peers beside the "
                             "bundle, takes its place.\n"
                             "\n"
                             "  --log LEVEL            as in 'pvsim run' (error)\n"
                             "  --until EVENT          stop before this event and show the last ones\n"
                             "  --show VIEW            show the machine where it stopped; repeatable, or joined by "
                             "commas:\n"
                             "                           devstack  the device tree, each device's stack from the top "
                             "down\n"
                             "                           irp       requests, where each of them is, and who made it\n"
                             "                           pool      pool in use by tag, the largest first\n"
                             "                           locks     locks that are held, by whom, and where they were "
                             "acquired\n"
                             "                           threads   threads, what they wait for, and their stacks\n"
                             "                           dpcs      DPCs that are queued or run, and timers that are "
                             "set\n"
                             "  --help                 this text\n"
                             "\n"
                             "Exit status: 0 the same failure came again, 1 it did not, 2 usage error or unreadable "
                             "bundle, 125 another build or\n"
                             "changed inputs.\n";

static const char verifier[] =
    "usage: pvsim verifier --list [--format text|json]\n"
    "\n"
    "Lists every rule that drivers are held to: its name, the bugcheck that breaking it ends "
    "in, the bugcheck's parameters,\n"
    "how it is checked and what the check costs, and Microsoft's page or routine that states "
    "it. Then the other ways in\n"
    "which a run can fail.\n"
    "\n"
    "  --list                 list the rules\n"
    "  --format text|json     as a table, or as JSON for programs (text)\n"
    "  --help                 this text\n";
static const char sweep[] =
    "usage: pvsim sweep --seeds A-B [OPTION...] -- run [OPTION...]\n"
    "       pvsim sweep --fail-all [--range A-B] [--every K] [-j N] [--limit T] [-v] -- run [OPTION...]\n"
    "\n"
    "Makes the run behind -- once with every seed of the range, both ends included, several at once in processes of "
    "their "
    "own.\n"
    "Each failure is printed with the commands that show it again; the last line is PASS or FAIL with figures.\n"
    "\n"
    "  --seeds A-B            the seeds\n"
    "  --policy POLICY        as in 'pvsim run'\n"
    "  -j, --jobs N           runs at once (the number of processors)\n"
    "  --shard I/N            only the I-th of N parts of the range\n"
    "  --from POINT           power-on: each seed decides from the start on, as 'pvsim run --seed S' does (power-on);\n"
    "                         connected: boot once, with --boot-seed of the run (1), and let each seed decide from "
    "there on\n"
    "  --limit T              bound on each run by the host's clock (120s)\n"
    "  -v, --verbose          a line for the seeds that passed, too\n"
    "  --help                 this text\n"
    "\n"
    "With --fail-all the run is made with its first call that can fail failed, then with the second, and so on through "
    "boot,\n"
    "connect, traffic and teardown until a run has none left ('pvsim run --help', --fail): no crash, hang or leak at "
    "any, "
    "and\n"
    "the devices come back each time. At the end the drivers' call sites that no run reached are listed.\n"
    "\n"
    "  --range A-B            only the calls of these numbers\n"
    "  --every K              only each K-th of them, for a quick look\n"
    "\n"
    "Several hosts: parallel -S hostA,hostB --workdir . pvsim sweep --seeds 1-10000 --shard {}/8 -- run ... ::: 1 2 3 "
    "4 5 6 7 8\n"
    "\n"
    "Exit status: 0 every seed passed, 1 a seed failed, 2 usage error, 125 a seed could not be tried here and none "
    "failed.\n";

static const char minimize[] =
    "usage: pvsim minimize [OPTION...] NAME.bundle\n"
    "\n"
    "Leaves out of a failing run what the failure does not need: decisions of the schedule, frames, faults, delays; "
    "then "
    "names the\n"
    "two operations whose order decides. Writes NAME.min.bundle, which 'pvsim replay' takes, and NAME.min.txt;\n"
    "of NAME.min.bundle it goes on and replaces them.\n"
    "\n"
    "  --timeout T            bound on the search by the host's clock (10m)\n"
    "  --runs N               bound on the number of runs (20000)\n"
    "  -j, --jobs N           runs at once (the number of processors)\n"
    "  --help                 this text\n"
    "\n"
    "Exit status: 0 done, 1 the failure does not come again, 2 usage error or unreadable bundle, 125 another build or "
    "changed inputs.\n";

static const char create[] =
    "usage: pvsim create [FILE.cfg] [OPTION...]\n"
    "\n"
    "Boots a guest as 'pvsim run' does and keeps it up, in a process of its own, until 'pvsim destroy' or until it "
    "shuts "
    "down.\n"
    "Returns when the guest has booted.\n"
    "\n"
    "  --run-dir DIR          the folder of this machine: one machine a folder ($XDG_RUNTIME_DIR/pvsim, else\n"
    "                         /tmp/pvsim-UID). In it are xenstored.sock, the store for XENSTORED_PATH of xenstore-ls "
    "and "
    "its\n"
    "                         like, dom0.sock for the drop-in libraries, control.sock for the verbs, and the log\n"
    "  --name NAME            the domain's name (guest)\n"
    "  --backend WHO          who serves its interfaces: stub, pvsim's own, as wires with nobody at the other end; "
    "none,\n"
    "                         until somebody's program comes by 'pvsim dom0'; or exec:COMMAND, a program of dom0 that\n"
    "                         the machine starts by a shell, as 'pvsim dom0' would (stub)\n"
    "  --backend-domid N      the domain that the backend runs in, a driver domain if it is not 0 (0)\n"
    "  --backend-features L   what pvsim's own offers, as for 'pvsim run'\n"
    "  --busy-poll US         how long pvsim's own looks for more, as for 'pvsim run' (0)\n"
    "  --toolstack-timeout T  how long the verbs wait for guest and backend (libxl's 10s and 60s)\n"
    "  --store WHICH          builtin; external, one that comes by 'pvsim dom0' within a minute, such as xenstored or\n"
    "                         oxenstored; or exec:COMMAND, one that the machine starts likewise (builtin)\n"
    "  --maxvcpus N           vCPUs that it can be given by 'pvsim vcpu-set' (those of --vcpus)\n"
    "  --console WHO          who keeps the guest's PV console: builtin, for 'pvsim console'; or external, a program "
    "that "
    "comes\n"
    "                         by 'pvsim dom0', such as xenconsoled (builtin)\n"
    "  --agent on|off         has the guest an agent that does what shutdown and reboot ask for? (on)\n"
    "  -p                     leave the domain paused: the guest begins to boot when it is unpaused ('pvsim unpause')\n"
    "  -c                     attach to its console, as 'pvsim console' does\n"
    "  --help                 this text\n"
    "\n"
    "FILE.cfg is a configuration of the guest as 'xl create' takes it (xl.cfg(5), see also the manual). Options "
    "override\n"
    "it; keys that have no meaning here are reported and ignored. Without a vif= in it there is no interface.\n"
    "\n"
    "The options of 'pvsim run' on the machine, the schedule, the verifier's limits and --log are taken, too; with "
    "the\n"
    "deterministic engine the clock is paced. See 'pvsim run --help'.\n"
    "\n"
    "Exit status: 0 it is up, 1 it failed (the log says how) or the folder has a machine, 2 usage error, 125 not to be "
    "had here.\n";

/* The end of each verb's help. */
#define OF_A_VERB                                                                                                      \
    "  --run-dir DIR          the folder of the machine (as for 'pvsim create')\n"                                     \
    "  --help                 this text\n"                                                                             \
    "\n"                                                                                                               \
    "Exit status: 0 done, 1 it could not be done (one line says why), 2 usage error.\n"

static const char console[] =
    "usage: pvsim console [OPTION...] DOMAIN\n"
    "\n"
    "Attaches to the guest's PV console: shows what it has printed, its last 64 KiB, and what it prints (xenbus sends "
    "the "
    "drivers'\n"
    "warnings and errors there), and sends what is typed. Ctrl-], the end of the input, or the domain's end ends it.\n"
    "\n"
    "  -t pv                  the kind of console; of xl's other kinds, serial and vuart, the board has none\n"
    "  -n 0                   its number\n" OF_A_VERB;

static const char list[] =
    "usage: pvsim list [OPTION...] [DOMAIN]\n"
    "\n"
    "Lists the machine's domains as xl does, or the one named by its name or number.\n"
    "\n"
    "  -v, --verbose          with UUIDs, the reason codes of those that have shut down, and "
    "security labels\n"
    "  -Z, --context          with security labels: '-', as on a host that gives none\n" OF_A_VERB;

static const char destroy[] = "usage: pvsim destroy [OPTION...] DOMAIN\n"
                              "\n"
                              "Ends a domain at once, as if its power went, and the machine with it.\n"
                              "\n" OF_A_VERB;

static const char shut_down[] =
    "usage: pvsim shutdown [OPTION...] -a|DOMAIN\n"
    "\n"
    "Asks the guest's agent by control/shutdown to power off, and waits up to a minute until it has taken the request. "
    "When\n"
    "the guest has shut down its domain is destroyed, and the machine ends.\n"
    "\n"
    "  -F                     press the power button if the guest has no PV drivers that could be asked\n"
    "  -w, --wait             wait until it has shut down\n"
    "  -a, --all              whichever guest there is\n" OF_A_VERB;

static const char reboot[] =
    "usage: pvsim reboot [OPTION...] -a|DOMAIN\n"
    "\n"
    "Asks the guest's agent by control/shutdown to restart, and waits up to a minute until it has taken the request. "
    "When\n"
    "the guest has shut down its domain is destroyed, and it starts again from its disk in a new domain of the same "
    "name,\n"
    "with the same interfaces.\n"
    "\n"
    "  -F                     press the reset button if the guest has no PV drivers that could be asked; this Xen, as "
    "the\n"
    "                         real one, has none\n"
    "  -w, --wait             wait until it has shut down\n"
    "  -a, --all              whichever guest there is\n" OF_A_VERB;

static const char pause_text[] = "usage: pvsim pause [OPTION...] DOMAIN\n"
                                 "\n"
                                 "Has the guest's vCPUs stand still wherever they are. Backends and the store go on. "
                                 "It goes on when it is unpaused as "
                                 "often\n"
                                 "as it was paused.\n"
                                 "\n" OF_A_VERB;

static const char unpause_text[] = "usage: pvsim unpause [OPTION...] DOMAIN\n"
                                   "\n"
                                   "Takes one pause back.\n"
                                   "\n" OF_A_VERB;

static const char suspend[] =
    "usage: pvsim suspend [OPTION...] DOMAIN\n"
    "\n"
    "Asks the guest by control/shutdown to suspend, and waits until it has; a guest without PV drivers is stopped "
    "where "
    "it\n"
    "is. Its domain stays, for 'pvsim resume'.\n"
    "\n"
    "  -f                     stop it where it is all the same: its drivers notice nothing\n" OF_A_VERB;

static const char resume[] =
    "usage: pvsim resume [OPTION...] DOMAIN\n"
    "\n"
    "Has a suspended guest go on in its domain. What it called to suspend says that the suspend was cancelled: nothing "
    "has\n"
    "changed for it.\n"
    "\n"
    "  -s                     slow: it says that the suspend is over, and the guest connects to everything "
    "anew\n" OF_A_VERB;

static const char migrate[] =
    "usage: pvsim migrate [OPTION...] DOMAIN HOST\n"
    "\n"
    "Asks the guest to suspend, and has it go on as a new domain with new event channels, grants and backends, as 'xl "
    "migrate'\n"
    "does. HOST is localhost, for a domain of this host, or a second simulated host: the run-dir that it is to have, a "
    "path\n"
    "with a '/' in it, in which no machine runs. Then this host's machine ends as soon as the guest runs there. When "
    "the "
    "guest\n"
    "does not suspend, or the other host fails, it goes on where it is. What cannot be saved cannot migrate to a "
    "second "
    "host.\n"
    "\n"
    "  -p                     the domain that it goes on as stays paused\n" OF_A_VERB;

static const char save[] = "usage: pvsim save [OPTION...] DOMAIN FILE [CONFIG]\n"
                           "\n"
                           "Asks the guest to suspend, writes the machine to FILE, and ends it: 'pvsim restore' goes "
                           "on with it. When the guest "
                           "does\n"
                           "not suspend, or FILE cannot be written, it goes on. Not to be saved are machines with "
                           "--engine par or --store other "
                           "than\n"
                           "builtin, and machines that another command is at work on for more than a second, 'pvsim "
                           "console' aside.\n"
                           "CONFIG is a configuration file (see 'pvsim create --help') by which the guest's domain is "
                           "made when it is restored: "
                           "its\n"
                           "name, interfaces, uuid and on_... keys.\n"
                           "\n"
                           "  -c                     a checkpoint: the guest goes on where it was\n"
                           "  -p                     it does, and is paused\n" OF_A_VERB;

static const char restore[] =
    "usage: pvsim restore [OPTION...] [CONFIG] FILE\n"
    "\n"
    "Goes on with the machine that 'pvsim save' wrote to FILE, as a host of its own: the guest is a new domain, "
    "connected "
    "to\n"
    "backends of this host, whose store is new; a backend that 'create' started (exec:) is started again. FILE stays "
    "as "
    "it is,\n"
    "and may be restored several times. It takes the build of pvsim and of the drivers that saved it; exit status 125 "
    "says that\n"
    "this is another one.\n"
    "CONFIG is a configuration file in the place of one that was saved with the machine.\n"
    "\n"
    "  -p                     the domain stays paused\n" OF_A_VERB;

static const char mem_set[] = "usage: pvsim mem-set [OPTION...] DOMAIN MEMORY\n"
                              "\n"
                              "Tells the guest's balloon driver how much memory to have (memory/target), and the "
                              "hypervisor to let it have no more.\n"
                              "MEMORY is in MiB, or has one of the letters t, g, m, k, b behind it. A guest without a "
                              "balloon driver keeps what it "
                              "has.\n"
                              "\n" OF_A_VERB;

static const char vcpu_set[] =
    "usage: pvsim vcpu-set [OPTION...] DOMAIN VCPUS\n"
    "\n"
    "Gives the guest vCPUs, up to create's --maxvcpus: the board announces them, and the system adds them while it "
    "runs. "
    "Fewer\n"
    "than it has are noted in the store (cpu/N/availability) and change nothing: Windows takes no processor away.\n"
    "\n"
    "  -i, --ignore-host      more than the host has processors, too\n" OF_A_VERB;

static const char debug_keys[] = "usage: pvsim debug-keys [OPTION...] KEYS\n"
                                 "\n"
                                 "Presses keys of Xen's console, whose output goes to the machine's log: e, every "
                                 "event channel; g, grant\n"
                                 "tables; h, these keys; q, the domains, and the guest's drivers are told to print "
                                 "what they know\n"
                                 "(VIRQ_DEBUG); r, what each vCPU is about; t, clocks.\n"
                                 "\n" OF_A_VERB;

static const char trigger[] =
    "usage: pvsim trigger [OPTION...] DOMAIN power|sleep|s3resume|nmi|init|reset [VCPU]\n"
    "\n"
    "Presses the guest's power button (it shuts down) or its sleep button (S3, when its devices agree), or wakes it\n"
    "from that (s3resume). Does not wait. A non-maskable interrupt (nmi) to a vCPU is a bugcheck, which ends the\n"
    "machine. init and reset fail, as Xen has neither.\n"
    "\n" OF_A_VERB;

static const char network_attach[] =
    "usage: pvsim network-attach [OPTION...] DOMAIN [KEY=VALUE...]\n"
    "\n"
    "Plugs a virtual interface into the guest and waits until its backend is ready.\n"
    "\n"
    "  mac=ADDRESS            its address (one made of its number)\n"
    "  devid=N                its number (the next one)\n"
    "  mtu=N                  68 to 65535 (1500)\n"
    "  backend=DOMAIN         the domain of its backend (0)\n"
    "  bridge=NAME, script=PATH, ip=ADDRESS, vifname=NAME, gatewaydev=NAME, rate=AMOUNT[@INTERVAL]\n"
    "                         written to the backend's nodes as xl does\n"
    "  trusted, untrusted     what the guest is told of its backend\n" OF_A_VERB;

static const char network_detach[] =
    "usage: pvsim network-detach [OPTION...] DOMAIN DEVID|MAC\n"
    "\n"
    "Pulls a virtual interface out: asks both sides to close and waits for the backend. After 10 s the guest's nodes "
    "go, "
    "so\n"
    "that the backend need not wait for it; after as long again everything does, and that is a failure.\n"
    "\n" OF_A_VERB;

static const char dom0[] =
    "usage: pvsim dom0 [--run-dir DIR] [--domid N] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs a program as one of domain 0, or of driver domain N, of the machine that stays up in DIR. The program finds "
    "the\n"
    "machine's store (XENSTORED_PATH) and, in the place of the distribution's libxencall, libxenevtchn, libxengnttab,\n"
    "libxenforeignmemory and libxendevicemodel, those of pvsim, which speak to the machine; libxenctrl, libxenstore "
    "and\n"
    "what stands on them are the distribution's. What runs so, unchanged: everything on the libxen* libraries. What "
    "does\n"
    "not: kernel backends, and programs that open Xen's device files or make hypercalls themselves.\n"
    "\n"
    "  --run-dir DIR          folder of the machine ($XDG_RUNTIME_DIR/pvsim, else /tmp/pvsim-UID)\n"
    "  --domid N              the domain that the program runs in: 0, or the driver domain of create's --backend-domid "
    "(0)\n"
    "\n"
    "The exit status is the program's; 1 if no machine runs there, 2 if the program cannot be started.\n";

static const struct {
    const char *command;
    const char *text;
} texts[] = {
    {"", general},
    {"run", run},
    {"replay", replay},
    {"minimize", minimize},
    {"sweep", sweep},
    {"verifier", verifier},
    {"create", create},
    {"list", list},
    {"console", console},
    {"destroy", destroy},
    {"shutdown", shut_down},
    {"reboot", reboot},
    {"pause", pause_text},
    {"unpause", unpause_text},
    {"suspend", suspend},
    {"resume", resume},
    {"save", save},
    {"restore", restore},
    {"migrate", migrate},
    {"mem-set", mem_set},
    {"vcpu-set", vcpu_set},
    {"debug-keys", debug_keys},
    {"trigger", trigger},
    {"network-attach", network_attach},
    {"network-detach", network_detach},
    {"dom0", dom0},
};

bool help_has(const char *command)
{
    for (size_t index = 1; index < sizeof(texts) / sizeof(texts[0]); index++)
        if (strcmp(texts[index].command, command) == 0)
            return true;
    return false;
}

void help_print(FILE *file, const char *command)
{
    for (size_t index = 0; index < sizeof(texts) / sizeof(texts[0]); index++)
        if (strcmp(texts[index].command, command) == 0)
            fputs(texts[index].text, file);
}
