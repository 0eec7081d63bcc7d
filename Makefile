# pvsim: build, test, demonstrate. `make help` lists the targets.
#
#   SAN=address,undefined   build and test under sanitizers (in a build folder of its own)
#   CC=clang                the other compiler
#   V=1                     show commands

comma := ,
SAN ?=
BUILD ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

VERSION := 0.1.0

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

# ---- flags ----

WARNINGS := -Wall -Wextra -Werror
COMMON_CFLAGS := -std=gnu11 -O2 -g -fno-strict-aliasing -fno-omit-frame-pointer $(WARNINGS)
# Windows' structures end in arrays of one element that stand for many, one inside the other (CM_RESOURCE_LIST): gcc takes
# such an array's bound for the bound of a loop over it, and ends the loop after one turn.
ifneq ($(findstring clang,$(CC)),clang)
COMMON_CFLAGS += -fno-aggressive-loop-optimizations
endif
ifneq ($(SAN),)
COMMON_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all -DPVSIM_SANITIZE
SAN_LDFLAGS := -fsanitize=$(SAN)
endif
XEN_CPPFLAGS := -D__XEN_INTERFACE_VERSION__=__XEN_LATEST_INTERFACE_VERSION__

SIM_CFLAGS := $(COMMON_CFLAGS) -fshort-wchar -D_GNU_SOURCE -Isim -Isim/include $(XEN_CPPFLAGS) -fPIE
# What is not inline by its source stays out of functions in PAGE sections: it may raise the IRQL.
GCC_SECTION_CFLAGS := -fno-inline-functions -fno-inline-small-functions -fno-inline-functions-called-once \
	-fno-partial-inlining -fno-ipa-icf
SECTION_CFLAGS := $(if $(findstring clang,$(CC)),-finline-hint-functions,$(GCC_SECTION_CFLAGS))
BACKEND_CFLAGS := $(COMMON_CFLAGS) -D_GNU_SOURCE -Ibackend-stub -fPIE
# A call at the end of a routine stays a call: its return address tells which driver made it. Imports are called by their
# addresses in a table, as a Windows driver calls its own.
DRIVER_CFLAGS := $(COMMON_CFLAGS) $(SECTION_CFLAGS) -fno-optimize-sibling-calls -fno-plt -DDBG=1 -fshort-wchar -fPIC \
	-fvisibility=hidden -Isim/include -Idrivers/include -Idrivers/common -I$(BUILD)/include
# `make coverage`: the drivers count what they execute. libgcov is in their modules, and uses the C library.
ifneq ($(COVERAGE),)
COVERAGE_CFLAGS := --coverage -fprofile-update=atomic -O0
COVERAGE_LDFLAGS := --coverage
endif
SIM_LIBS := -lpcap -lxxhash -ljansson -ldw -lelf -lnettle -lxlutil -lxenlight -ldl -pthread
CHECK_LIBS = $(shell pkg-config --libs check)
# Each test program holds the whole machine: a fast linker is half of the build.
ifneq ($(shell command -v mold 2>/dev/null),)
LD_FAST := -fuse-ld=mold
endif

# ---- sources ----

SIM_SOURCES := $(filter-out sim/image/gate.c,$(wildcard sim/machine/*.c sim/nt/*.c sim/nt/*/*.c sim/image/*.c \
	sim/xen/*.c sim/store/*.c sim/dom0/*.c))
SIM_ASM := $(wildcard sim/machine/*.S sim/nt/*/*.S sim/image/*.S sim/xen/*.S)
CLI_SOURCES := $(wildcard sim/cli/*.c)
CLI_MAIN := sim/cli/main.c
BACKEND_STANDALONE := backend-stub/main.c backend-stub/wait_poll.c
# The libraries that take the place of the distribution's in programs of dom0; those of them that map guest pages.
DROPINS := xencall xenevtchn xengnttab xenforeignmemory xendevicemodel
DROPINS_WITH_PAGES := xengnttab xenforeignmemory
DROPIN_LIBRARIES := $(DROPINS:%=$(BUILD)/lib/pvsim-dom0/lib%.so.1) $(BUILD)/lib/pvsim-dom0/libpvsim-dom0.so
BACKEND_SOURCES := $(filter-out $(BACKEND_STANDALONE),$(wildcard backend-stub/*.c))

SIM_OBJECTS := $(SIM_SOURCES:%.c=$(BUILD)/obj/%.o) $(SIM_ASM:%.S=$(BUILD)/obj/%.o)
CLI_OBJECTS := $(filter-out $(CLI_MAIN:%.c=$(BUILD)/obj/%.o),$(CLI_SOURCES:%.c=$(BUILD)/obj/%.o))
BACKEND_OBJECTS := $(BACKEND_SOURCES:%.c=$(BUILD)/obj/%.o)
MACHINE_OBJECTS := $(SIM_OBJECTS) $(BACKEND_OBJECTS) $(CLI_OBJECTS)

DRIVERS := xen xenbus xenfilt xenvif
# netclient is part of the main job's machine; the other drivers of the tests stay out of its folder.
CLIENTS := netclient
# The guest agent's driver (sim/agent) has a folder of its own there: machines that stay up have it (pvsim create --agent).
AGENT := agent
AGENT_FILES := $(BUILD)/drivers/$(AGENT)/$(AGENT).so $(BUILD)/drivers/$(AGENT)/$(AGENT).inf
TEST_DRIVERS := $(filter-out $(CLIENTS),$(notdir $(patsubst %/,%,$(wildcard tests/clients/*/))))
MODULES := $(DRIVERS:%=$(BUILD)/drivers/%.so) $(CLIENTS:%=$(BUILD)/drivers/%.so)
# Drivers of other packages: with other tables of revisions (tests/upgrade/tables), and xen.sys and xenvif.sys of another version.
PACKAGES_OF_TABLES := $(patsubst tests/upgrade/tables/%.h,%,$(wildcard tests/upgrade/tables/*.h))
OTHER_PACKAGES := $(foreach p,$(PACKAGES_OF_TABLES),$(foreach d,xenbus xenvif,$(BUILD)/test-drivers/$(p)/$(d).so)) \
	$(BUILD)/test-drivers/other-version/xen.so $(BUILD)/test-drivers/other-version/xenvif.so
MEMORY_TEST_DRIVERS := $(if $(findstring thread,$(SAN)),,planted)
TEST_MODULES := $(MEMORY_TEST_DRIVERS:%=$(BUILD)/test-drivers-memory/%.so) $(foreach d,$(TEST_DRIVERS),$(BUILD)/test-drivers/$(d).so $(BUILD)/test-drivers/$(d).inf) \
	$(OTHER_PACKAGES)
INFS := $(patsubst drivers/%,$(BUILD)/drivers/%,$(foreach d,$(DRIVERS),$(if $(wildcard drivers/$(d)/$(d).inf),drivers/$(d).inf))) \
	$(foreach c,$(CLIENTS),$(BUILD)/drivers/$(c).inf)

# The same drivers compiled so that each of their loads and stores calls a hook (pvsim run --preempt=memory).
ifeq ($(findstring thread,$(SAN)),)
MEMORY_MODULES := $(MODULES:$(BUILD)/drivers/%=$(BUILD)/drivers-memory/%)
MEMORY_INFS := $(INFS:$(BUILD)/drivers/%=$(BUILD)/drivers-memory/%)
MEMORY_AGENT_FILES := $(AGENT_FILES:$(BUILD)/drivers/%=$(BUILD)/drivers-memory/%)
endif

TEST_SOURCES := $(wildcard tests/*/test_*.c)
# Under ThreadSanitizer the suites run on the parallel engine; those of which that makes no sense are left out. Under
# AddressSanitizer those that run nothing new are (SKIP_LIST= for every suite).
ifneq ($(findstring thread,$(SAN)),)
SKIP_LIST := tests/thread.skip
JOBS := $(shell expr 2 \* $$(nproc)) # machines of the parallel engine wait in real time
else ifneq ($(findstring address,$(SAN)),)
SKIP_LIST := tests/address.skip
endif
ifneq ($(SKIP_LIST),)
TEST_SOURCES := $(filter-out $(foreach p,$(shell sed -n 's/^\([a-z][^ ]*\) .*/\1/p' $(SKIP_LIST)),$(wildcard tests/$(p).c)),$(TEST_SOURCES))
endif
TESTS := $(TEST_SOURCES:tests/%.c=$(BUILD)/tests/%)
TEST_COMMON := $(wildcard tests/common/*.c)
TEST_COMMON_OBJECTS := $(TEST_COMMON:%.c=$(BUILD)/obj/%.o)

# ---- targets ----

.PHONY: all
all: $(BUILD)/pvsim $(BUILD)/pvsim-netback $(DROPIN_LIBRARIES) modules ## Build the machine and the driver modules

.PHONY: modules
modules: $(MODULES) $(INFS) $(AGENT_FILES) $(MEMORY_MODULES) $(MEMORY_INFS) $(MEMORY_AGENT_FILES)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  %-18s %s\n", $$1, $$2}'

# Packages. A stamp a group; tools/setup.sh installs what is missing or says what to install.
SETUP := build/.setup-build
build/.setup-%: tools/setup.sh
	$(Q)sh tools/setup.sh $*
	$(Q)mkdir -p build && touch $@

.PHONY: demo
demo: ## Install what is missing, build, and run the main job
	$(Q)$(MAKE) --no-print-directory build/.setup-build
	$(Q)$(MAKE) --no-print-directory all
	$(BUILD)/pvsim run --tx tests/captures/lan-wire.pcap --rx tests/captures/lan-wire.pcap

.PHONY: check
check: ## Install what is missing, build, and pass every test (SUITE=name, or several in quotes, for some; TAP=dir, JUNIT=file for reports; REQUIRE=xen-utils,gdb,parallel,tap: no skips)
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test
	-$(Q)sh tools/xen_tools.sh
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)python3 tests/run.py --build $(BUILD) $(if $(SUITE),--suite "$(SUITE)") $(if $(TAP),--tap $(TAP)) \
		$(if $(JUNIT),--junit $(JUNIT)) $(if $(REQUIRE),--require $(REQUIRE)) $(if $(SKIP_LIST),--skipped $(SKIP_LIST)) \
		$(if $(JOBS),--jobs $(JOBS)) $(TESTS)

SEEDS ?= 1-5000
LAN := tests/captures/lan-wire.pcap
OFFLOAD := tests/captures/lan-offload.pcap
ROUNDS ?= 100
.PHONY: rounds
rounds: ## Suspend and reboot the guest 100 times in a row under traffic, in each way (ROUNDS=N for another number)
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test
	$(Q)$(MAKE) --no-print-directory all test-modules $(BUILD)/tests/toolstack/test_rounds $(BUILD)/tests/toolstack/test_reboot_rounds
	PVSIM_ROUNDS=$(ROUNDS) $(BUILD)/tests/toolstack/test_rounds
	PVSIM_ROUNDS=$(ROUNDS) $(BUILD)/tests/toolstack/test_reboot_rounds

.PHONY: upgrades
upgrades: ## From each package to each other, with clients of every age: who the veto says is stranded is, and nobody else
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test
	$(Q)$(MAKE) --no-print-directory tests
	PVSIM_UPGRADES=all CK_DEFAULT_TIMEOUT=1200 $(BUILD)/tests/upgrade/test_upgrade

.PHONY: hosts
hosts: ## The main job and a guest's life on every host that --host can name, with 1, 2 and 4 vCPUs, under several schedules
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test
	$(Q)$(MAKE) --no-print-directory all test-modules $(BUILD)/tests/endtoend/test_host
	PVSIM_HOSTS=all CK_DEFAULT_TIMEOUT=1200 $(BUILD)/tests/endtoend/test_host

.PHONY: sweep
sweep: ## Build and run the main job, plain and with all that netback offers on four queues, under 5,000 pct schedules (SEEDS=A-B for others)
	$(Q)$(MAKE) --no-print-directory build/.setup-build
	$(Q)$(MAKE) --no-print-directory all
	$(BUILD)/pvsim sweep --seeds $(SEEDS) --policy pct -- run --tx $(LAN) --rx $(LAN)
	$(BUILD)/pvsim sweep --seeds $(SEEDS) --policy pct -- run --vcpus 4 --batch 16 --backend-features all,queues=4 --tx $(OFFLOAD) --rx $(OFFLOAD)

QUEUES ?= 1-16
.PHONY: matrix
matrix: ## Every combination of what netback can offer, with each capture in both directions (QUEUES=A-B for some numbers of queues)
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/endtoend/test_offers
	PVSIM_OFFERS=$(QUEUES) $(BUILD)/tests/endtoend/test_offers

FEW := tests/captures/few-wire.pcap
.PHONY: lives
lives: ## Build and have the guest live whole lives (boot, load, sleep, hibernation, suspends, resumes, traffic, teardown) under 5,000 pct schedules (SEEDS=A-B for others)
	$(Q)$(MAKE) --no-print-directory build/.setup-build
	$(Q)$(MAKE) --no-print-directory all
	$(BUILD)/pvsim sweep --seeds $(SEEDS) --policy pct -- run --through suspend,sleep,slow,hibernate,migrate --tx $(FEW) --rx $(FEW)

EVERY ?= 1
.PHONY: fail-all
fail-all: ## Build and fail every call of the drivers that can fail, one a run (EVERY=K for each K-th)
	$(Q)$(MAKE) --no-print-directory build/.setup-build
	$(Q)$(MAKE) --no-print-directory all
	$(BUILD)/pvsim sweep --fail-all --every $(EVERY) -- run --tx $(FEW) --rx $(FEW)

.PHONY: windows
windows: ## Install what is missing and build xen.sys, xenbus.sys, xenfilt.sys, xenvif.sys with mingw-w64
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-windows
	$(Q)$(MAKE) --no-print-directory windows-drivers

.PHONY: gdb
gdb: $(BUILD)/pvsim ## Look into a core file of --on-bugcheck core: guest threads, vCPUs (CORE=file)
	gdb -q -x tools/pvsim-gdb.py $(BUILD)/pvsim $(CORE)

.PHONY: test-modules
test-modules: $(TEST_MODULES) $(BUILD)/dom0-program

# Those of $(TESTS) that have one of the words of SUITE in their names, as tests/run.py takes them; without SUITE all.
WANTED = $(if $(SUITE),$(foreach test,$(TESTS),$(if $(strip $(foreach word,$(SUITE),$(findstring $(word),$(test)))),$(test))),$(TESTS))

.PHONY: tests
tests: $(WANTED) test-modules nttest all ## Build the test programs (SUITE=name, or several in quotes, for some)

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf build

# ---- rules ----

# The objects of the guest lie in an arena of their own (sim/machine/image.h).
$(BUILD)/obj/sim/%.o: sim/%.c | $(SETUP)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(SIM_CFLAGS) $(if $(filter sim/nt/% sim/image/%,$<),-DIMAGE_ARENA=IMAGE_GUEST) $(if $(filter sim/cli/%,$<),-Ibackend-stub -DPVSIM_VERSION='"$(VERSION)"') -MMD -MP -c $< -o $@

# The loader lets libgcov into a module.
ifneq ($(COVERAGE),)
$(BUILD)/obj/sim/image/imports.o: SIM_CFLAGS += -DPVSIM_COVERAGE
endif

# Xen's tools' header names <xen/xen.h> and <xen/platform.h>, of which sim/xen has its own.
$(BUILD)/obj/sim/dom0/xenctrl.o $(BUILD)/obj/sim/dom0/xenctrl_compat.o $(BUILD)/obj/tests/dom0/library_cases.o: SIM_CFLAGS := $(patsubst -Isim,-iquote sim,$(SIM_CFLAGS))

$(BUILD)/obj/sim/%.o: sim/%.S | $(SETUP)
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D) && $(CC) -g -c $< -o $@

# In process, the heap of netback is that of the machine: its state is part of the machine image. Captures are input and
# output, not state.
$(BUILD)/obj/backend-stub/%.o: backend-stub/%.c | $(SETUP)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(BACKEND_CFLAGS) $(if $(filter %/capture.c,$<),,-Isim -include sim/dom0/heap.h) -MMD -MP -c $< -o $@

$(BUILD)/obj/standalone/%.o: backend-stub/%.c | $(SETUP)
	$(call say,CC,"$< (standalone)")
	$(Q)mkdir -p $(@D) && $(CC) $(BACKEND_CFLAGS) -MMD -MP -c $< -o $@

# They use __try, see sim/include/wdm/seh.h.
# test_termination has frames with a part for outgoing arguments, which a filter must not share with a call that it interrupts.
$(BUILD)/obj/tests/nt-host/test_termination.o: SIM_CFLAGS += -O0 $(if $(findstring clang,$(CC)),,-maccumulate-outgoing-args)
ifneq ($(findstring clang,$(CC)),)
$(BUILD)/obj/tests/nt-host/test_exceptions.o: SIM_CFLAGS += -O0
endif

$(BUILD)/obj/tests/%.o: tests/%.c | $(SETUP) build/.setup-test
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(SIM_CFLAGS) -Itests -Ibackend-stub -Idrivers/include -Idrivers -DPVSIM_BUILD='"$(BUILD)"' -MMD -MP -c $< -o $@

# Parts of drivers that need no machine.
OFFLOAD_PARTS := $(patsubst %,$(BUILD)/obj/module/xenvif/common/%.o,checksum segment toeplitz)
$(BUILD)/tests/drivers/test_offload_parts $(BUILD)/tests/drivers/test_segments_tap: $(OFFLOAD_PARTS)

# What drivers can import: the kernel routines that sim/include declares.
$(BUILD)/ntoskrnl.list: tools/kernel_exports.py $(wildcard sim/include/*.h sim/include/wdm/*.h)
	$(Q)mkdir -p $(@D) && python3 tools/kernel_exports.py sim/include > $@

EXPORTS = -Wl,--dynamic-list=$(BUILD)/ntoskrnl.list $(if $(findstring thread,$(SAN)),,-Wl$(comma)--dynamic-list=sim/image/memory_hooks.list)

$(BUILD)/pvsim: $(MACHINE_OBJECTS) $(CLI_MAIN:%.c=$(BUILD)/obj/%.o) $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)$(CC) $(LD_FAST) $(SAN_LDFLAGS) -pie -Wl,--build-id $(EXPORTS) $(filter %.o,$^) -o $@ $(SIM_LIBS) \
		&& python3 tools/check_exports.py $@ $(BUILD)/ntoskrnl.list

$(BUILD)/pvsim-netback: $(patsubst backend-stub/%.c,$(BUILD)/obj/standalone/%.o,$(BACKEND_SOURCES) $(BACKEND_STANDALONE))
	$(call say,LINK,$@)
	$(Q)$(CC) $(LD_FAST) $(SAN_LDFLAGS) -pie $^ -o $@ -lxenstore -lxenevtchn -lxengnttab -lpcap

# They are loaded into programs that were not built here: no sanitizers.
DROPIN_CFLAGS = $(filter-out -fsanitize=% -fno-sanitize-recover=% -DPVSIM_SANITIZE,$(COMMON_CFLAGS)) -D_GNU_SOURCE \
	-iquote sim -fPIC $(XEN_CPPFLAGS)

$(BUILD)/obj/dropin/%.o: sim/dom0/lib/%.c | $(SETUP)
	$(call say,CC,"$< (library)")
	$(Q)mkdir -p $(@D) && $(CC) $(DROPIN_CFLAGS) -MMD -MP -c $< -o $@

define dropin_rule
$(BUILD)/lib/pvsim-dom0/lib$(1).so.1: $(BUILD)/obj/dropin/$(1).o $(BUILD)/obj/dropin/dropin.o \
		$(if $(filter $(1),$(DROPINS_WITH_PAGES)),$(BUILD)/obj/dropin/dropin_pages.o) sim/dom0/lib/$(1).map
	$$(call say,LINK,$$@)
	$(Q)mkdir -p $$(@D) && $(CC) -shared -Wl,--build-id -Wl,-z,defs -Wl,-soname,lib$(1).so.1 \
		-Wl,--version-script=sim/dom0/lib/$(1).map $$(filter %.o,$$^) -o $$@ -lxentoolcore -lxentoollog -pthread
endef
$(foreach library,$(DROPINS),$(eval $(call dropin_rule,$(library))))

$(BUILD)/lib/pvsim-dom0/libpvsim-dom0.so: $(BUILD)/obj/dropin/preload.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) -shared -Wl,--build-id -Wl,-z,defs -Wl,-soname,$(@F) $^ -o $@ -ldl

# A program of dom0 for the tests, built for the distribution's libraries.
$(BUILD)/dom0-program: tests/dom0/program.c tests/dom0/old_calls.c tests/dom0/library_cases.c tests/dom0/library_cases.h | $(SETUP)
	$(call say,LINK,$@)
	$(Q)$(CC) $(DROPIN_CFLAGS) $(filter %.c,$^) -o $@ $(DROPINS:%=-l%) -lxenctrl -lxenstore -lxentoolcore

# The same on the libraries inside the machine.
$(BUILD)/obj/tests/dom0/library_cases.o: SIM_CFLAGS += -include sim/dom0/heap.h
$(BUILD)/tests/dom0/test_libraries: $(BUILD)/obj/tests/dom0/library_cases.o

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(MACHINE_OBJECTS) $(TEST_COMMON_OBJECTS) $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LD_FAST) $(SAN_LDFLAGS) $(COVERAGE_LDFLAGS) -pie -Wl,--build-id $(EXPORTS) $(filter %.o,$^) -o $@ $(SIM_LIBS) $(CHECK_LIBS)

# The veto as a program has it, with the tables of each package that the tests upgrade from and to.
VETO_OBJECTS := $(BUILD)/obj/veto/veto.o $(BUILD)/obj/veto/current.o $(PACKAGES_OF_TABLES:%=$(BUILD)/obj/veto/%.o)
VETO_CFLAGS = $(COMMON_CFLAGS) $(COVERAGE_CFLAGS) -std=c11 -ffreestanding -fPIE -Idrivers/include

$(BUILD)/obj/veto/%.o: drivers/common/veto/%.c | $(SETUP)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(VETO_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/veto/current.o: drivers/common/veto/veto_tables.c | $(SETUP)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(VETO_CFLAGS) -MMD -MP -c $< -o $@

$(PACKAGES_OF_TABLES:%=$(BUILD)/obj/veto/%.o): $(BUILD)/obj/veto/%.o: drivers/common/veto/veto_tables.c tests/upgrade/tables/%.h | $(SETUP)
	$(call say,CC,"$< ($*)")
	$(Q)mkdir -p $(@D) && $(CC) $(VETO_CFLAGS) -include tests/upgrade/tables/$*.h -DVetoProviders=VetoProviders_$* -MMD -MP -c $< -o $@

$(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/upgrade/test_*.c)): $(VETO_OBJECTS)

# ---- driver modules ----

XEN_HEADERS := $(BUILD)/include/.imported
$(XEN_HEADERS): drivers/windows/get_xen_headers.py | $(SETUP)
	$(call say,GEN,$(@D)/xen)
	$(Q)python3 $< --source /usr/include/xen --output $(@D)/xen && touch $@

# $(1): source. Where no routine of a file is pageable nothing can get into one.
driver_cflags = $(if $(shell grep -l PAGED_FUNCTION $(1)),$(DRIVER_CFLAGS),$(filter-out $(SECTION_CFLAGS),$(DRIVER_CFLAGS)))

$(BUILD)/obj/module/%.o: drivers/%.c $(XEN_HEADERS)
	$(call say,CC,"$< (module)")
	$(Q)mkdir -p $(@D) && $(CC) $(call driver_cflags,$<) $(COVERAGE_CFLAGS) -DMODULE_NAME='"$(firstword $(subst /, ,$*))"' -MMD -MP -c $< -o $@

$(BUILD)/obj/module/clients/%.o: tests/clients/%.c $(XEN_HEADERS)
	$(call say,CC,"$< (module)")
	$(Q)mkdir -p $(@D) && $(CC) $(DRIVER_CFLAGS) -MMD -MP -c $< -o $@

# Shared code is compiled once for each driver, as in the Windows build.
define common_rule
$(BUILD)/obj/module/$(1)/common/%.o: drivers/common/%.c $(XEN_HEADERS)
	$$(call say,CC,"$$< ($(1))")
	$(Q)mkdir -p $$(@D) && $$(CC) $$(call driver_cflags,$$<) $$(COVERAGE_CFLAGS) -DMODULE_NAME='"$(1)"' -MMD -MP -c $$< -o $$@
endef
$(foreach driver,$(DRIVERS),$(eval $(call common_rule,$(driver))))

module_objects = $(patsubst drivers/%.c,$(BUILD)/obj/module/%.o,$(wildcard drivers/$(1)/*.c)) \
	$(patsubst drivers/common/%.c,$(BUILD)/obj/module/$(1)/common/%.o,$(wildcard drivers/common/*.c))
$(BUILD)/obj/module/$(AGENT)/%.o: sim/$(AGENT)/%.c $(XEN_HEADERS)
	$(call say,CC,"$< (module)")
	$(Q)mkdir -p $(@D) && $(CC) $(DRIVER_CFLAGS) -MMD -MP -c $< -o $@

client_objects = $(patsubst tests/clients/%.c,$(BUILD)/obj/module/clients/%.o,$(wildcard tests/clients/$(1)/*.c))

$(BUILD)/obj/module/gate.o: sim/image/gate.c | $(SETUP)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(DRIVER_CFLAGS) -MMD -MP -c $< -o $@

link_module = $(CC) $(if $(1),$(1),$(SAN_LDFLAGS) $(COVERAGE_LDFLAGS)) -shared -Wl,--build-id -Wl,-soname,$(@F) -Wl,-Bsymbolic \
	-Wl,-T,sim/image/driver.ld $(filter %.o,$^) \
	$(filter %.so,$^) -o $@ && python3 tools/check_imports.py $(if $(COVERAGE),--libgcov) $@ $(BUILD)/ntoskrnl.list $(filter %.so,$^)

$(BUILD)/drivers/xen.so: $(call module_objects,xen) $(BUILD)/obj/module/gate.o $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(link_module)

define module_rule
$(BUILD)/drivers/$(1).so: $(call module_objects,$(1)) $(BUILD)/drivers/xen.so $(BUILD)/ntoskrnl.list
	$$(call say,LINK,$$@)
	$(Q)mkdir -p $$(@D) && $$(link_module)
endef
$(foreach driver,$(filter-out xen,$(DRIVERS)),$(eval $(call module_rule,$(driver))))

# $(1): tables, $(2): driver. The one object of a driver that the table makes is another.
define tables_rule
$(BUILD)/obj/packages/$(1)/$(2)/pdo_id.o: drivers/$(2)/pdo_id.c tests/upgrade/tables/$(1).h $(XEN_HEADERS)
	$$(call say,CC,"$$< ($(1))")
	$(Q)mkdir -p $$(@D) && $$(CC) $$(DRIVER_CFLAGS) $$(COVERAGE_CFLAGS) -include tests/upgrade/tables/$(1).h -DMODULE_NAME='"$(2)"' -MMD -MP -c $$< -o $$@

$(BUILD)/test-drivers/$(1)/$(2).so: $(filter-out %/$(2)/pdo_id.o,$(call module_objects,$(2))) $(BUILD)/obj/packages/$(1)/$(2)/pdo_id.o \
		$(BUILD)/drivers/xen.so $(BUILD)/ntoskrnl.list
	$$(call say,LINK,$$@)
	$(Q)mkdir -p $$(@D) && $$(link_module)
endef
$(foreach package,$(PACKAGES_OF_TABLES),$(foreach driver,xenbus xenvif,$(eval $(call tables_rule,$(package),$(driver)))))

$(BUILD)/obj/packages/other-version/%/driver.o: drivers/%/driver.c $(XEN_HEADERS)
	$(call say,CC,"$< (other version)")
	$(Q)mkdir -p $(@D) && $(CC) $(DRIVER_CFLAGS) $(COVERAGE_CFLAGS) -DBUILD_NUMBER=1 -DMODULE_NAME='"$*"' -MMD -MP -c $< -o $@

$(BUILD)/test-drivers/other-version/xen.so: $(filter-out %/xen/driver.o,$(call module_objects,xen)) \
		$(BUILD)/obj/packages/other-version/xen/driver.o $(BUILD)/obj/module/gate.o $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(link_module)

$(BUILD)/test-drivers/other-version/xenvif.so: $(filter-out %/xenvif/driver.o,$(call module_objects,xenvif)) \
		$(BUILD)/obj/packages/other-version/xenvif/driver.o $(BUILD)/drivers/xen.so $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(link_module)

# The modules for --preempt=memory: the compiler's hooks of ThreadSanitizer, of which pvsim has its own.
MEMORY_CFLAGS = $(filter-out -fsanitize=% -fno-sanitize-recover=% -DPVSIM_SANITIZE,$(DRIVER_CFLAGS)) -fsanitize=thread \
	-fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset -fno-builtin-memcmp
MEMORY_LDFLAGS := -Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset,--wrap=memcmp

memory_objects = $(patsubst drivers/%.c,$(BUILD)/obj/memory/$(1)/%.o,$(wildcard drivers/$(1)/*.c drivers/common/*.c))

# $(1): driver
define memory_rule
$(BUILD)/obj/memory/$(1)/%.o: drivers/%.c $(XEN_HEADERS)
	$$(call say,CC,"$$< ($(1), memory)")
	$(Q)mkdir -p $$(@D) && $$(CC) $$(MEMORY_CFLAGS) -DMODULE_NAME='"$(1)"' -MMD -MP -c $$< -o $$@

$(BUILD)/drivers-memory/$(1).so: $(call memory_objects,$(1)) $(if $(filter xen,$(1)),$(BUILD)/obj/module/gate.o,$(BUILD)/drivers-memory/xen.so) $(BUILD)/ntoskrnl.list
	$$(call say,LINK,$$@)
	$(Q)mkdir -p $$(@D) && $$(call link_module,$$(MEMORY_LDFLAGS))
endef
$(foreach driver,$(DRIVERS),$(eval $(call memory_rule,$(driver))))

$(BUILD)/obj/memory/clients/%.o: tests/clients/%.c $(XEN_HEADERS)
	$(call say,CC,"$< (memory)")
	$(Q)mkdir -p $(@D) && $(CC) $(MEMORY_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/memory/$(AGENT)/%.o: sim/$(AGENT)/%.c $(XEN_HEADERS)
	$(call say,CC,"$< (memory)")
	$(Q)mkdir -p $(@D) && $(CC) $(MEMORY_CFLAGS) -MMD -MP -c $< -o $@

# $(1): driver, $(2): folder, $(3): objects
define memory_client_rule
$(BUILD)/$(2)/$(1).so: $(3) $(BUILD)/ntoskrnl.list
	$$(call say,LINK,$$@)
	$(Q)mkdir -p $$(@D) && $$(call link_module,$$(MEMORY_LDFLAGS))
endef
memory_client_objects = $(patsubst tests/clients/%.c,$(BUILD)/obj/memory/clients/%.o,$(wildcard tests/clients/$(1)/*.c))
$(foreach client,$(CLIENTS),$(eval $(call memory_client_rule,$(client),drivers-memory,$(call memory_client_objects,$(client)))))
$(foreach driver,$(MEMORY_TEST_DRIVERS),$(eval $(call memory_client_rule,$(driver),test-drivers-memory,$(call memory_client_objects,$(driver)))))
$(eval $(call memory_client_rule,$(AGENT),drivers-memory/$(AGENT),$(patsubst sim/%.c,$(BUILD)/obj/memory/%.o,$(wildcard sim/$(AGENT)/*.c))))

$(BUILD)/drivers-memory/%.inf: $(BUILD)/drivers/%.inf
	$(Q)mkdir -p $(@D) && cp $< $@

# $(1): driver, $(2): folder, $(3): folder of its INF, $(4): objects
define client_rule
$(BUILD)/$(2)/$(1).so: $(4) $(BUILD)/ntoskrnl.list
	$$(call say,LINK,$$@)
	$(Q)mkdir -p $$(@D) && $$(link_module)

$(BUILD)/$(2)/$(1).inf: $(3)/$(1).inf
	$(Q)mkdir -p $$(@D) && cp $$< $$@
endef
$(foreach client,$(CLIENTS),$(eval $(call client_rule,$(client),drivers,tests/clients/$(client),$(call client_objects,$(client)))))
$(foreach driver,$(TEST_DRIVERS),$(eval $(call client_rule,$(driver),test-drivers,tests/clients/$(driver),$(call client_objects,$(driver)))))
$(eval $(call client_rule,$(AGENT),drivers/$(AGENT),sim/$(AGENT),$(patsubst sim/%.c,$(BUILD)/obj/module/%.o,$(wildcard sim/$(AGENT)/*.c))))

define inf_rule
$(BUILD)/drivers/$(1).inf: drivers/$(1)/$(1).inf
	$(Q)mkdir -p $$(@D) && cp $$< $$@
endef
$(foreach driver,$(DRIVERS),$(eval $(call inf_rule,$(driver))))

# ---- Windows build, lint, the rest ----

-include drivers/windows/mingw.mk
include tests/nt/nttest.mk
include tests/store/store.mk
include tests/fuzz/fuzz.mk
include tools/quality.mk
include tools/install.mk

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
