# The Windows build of the drivers with mingw-w64: $(BUILD)/windows/{xen,xenbus,xenfilt,xenvif}.sys from the same sources as
# the Linux modules. Included by the Makefile, which provides BUILD, DRIVERS, XEN_HEADERS, say and Q. `make windows`.
#
#   VENDOR_NAME, VENDOR_PREFIX, PRODUCT_NAME, MAJOR_VERSION, MINOR_VERSION, MICRO_VERSION, BUILD_NUMBER
#                           override what drivers/include/version.h says

MINGW ?= x86_64-w64-mingw32-
MINGW_DDK ?= $(firstword $(wildcard /usr/share/mingw-w64/include/ddk /usr/x86_64-w64-mingw32/include/ddk))
WINDOWS_DRIVERS := $(DRIVERS)
WINDOWS := $(BUILD)/windows
WINDOWS_OBJ := $(BUILD)/obj/windows

WINDOWS_VERSION := $(foreach name,MAJOR_VERSION MINOR_VERSION MICRO_VERSION BUILD_NUMBER PRODUCT_NUMBER,\
	$(if $($(name)),-D$(name)=$($(name)))) \
	$(if $(VENDOR_NAME),'-DVENDOR_NAME_STR="$(VENDOR_NAME)"') \
	$(if $(VENDOR_PREFIX),'-DVENDOR_PREFIX_STR="$(VENDOR_PREFIX)"') \
	$(if $(PRODUCT_NAME),'-DPRODUCT_NAME_STR="$(PRODUCT_NAME)"')

# A kernel stack is 24 KiB and there is no one to grow it: no stack probes, and no frame that would need them. The
# first page holds what the processor's segment registers point to, so address 0 plus a little is a place
# (min-pagesize). No stack protector: ntoskrnl.exe does not export what gcc's wants.
WINDOWS_CFLAGS := -std=gnu11 -O2 $(GCC_SECTION_CFLAGS) -Wall -Wextra -Werror -Wframe-larger-than=2048 \
	-fshort-wchar -fno-strict-aliasing -fno-aggressive-loop-optimizations -fno-stack-protector -mno-stack-arg-probe --param=min-pagesize=0 \
	-ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=. \
	-D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000000 -DDBG=0 $(WINDOWS_VERSION) \
	-isystem $(MINGW_DDK) -Idrivers/include -Idrivers/common -I$(BUILD)/include

# A driver is an executable of the native subsystem that says nothing of when it was built; see ld(1), i386 PE.
WINDOWS_LDFLAGS := -nostdlib -nostartfiles -s -Wl,--fatal-warnings -Wl,--gc-sections -Wl,--entry,DriverEntry \
	-Wl,--subsystem,native:10.0 -Wl,--image-base,0x140000000 -Wl,--major-os-version,10 -Wl,--minor-os-version,0 \
	-Wl,--major-image-version,10 -Wl,--minor-image-version,0 \
	-Wl,--dynamicbase -Wl,--high-entropy-va -Wl,--nxcompat -Wl,--wdmdriver \
	-Wl,--exclude-all-symbols -Wl,--disable-auto-import -Wl,--no-insert-timestamp

.PHONY: windows-drivers
windows-drivers: $(WINDOWS_DRIVERS:%=$(WINDOWS)/%.sys)

# Compiling for Windows needs its compiler and headers; say so once, in one line.
$(WINDOWS_OBJ)/.toolchain:
	$(Q)command -v $(MINGW)gcc >/dev/null && test -n "$(MINGW_DDK)" || { \
		echo "windows: $(MINGW)gcc or its DDK headers are missing: apt install gcc-mingw-w64-x86-64" >&2; exit 125; }
	$(Q)mkdir -p $(@D) && touch $@

define windows_objects
$(patsubst drivers/%.c,$(WINDOWS_OBJ)/%.o,$(wildcard drivers/$(1)/*.c)) \
$(patsubst drivers/common/%.c,$(WINDOWS_OBJ)/$(1)/common/%.o,$(wildcard drivers/common/*.c)) \
$(patsubst drivers/%.rc,$(WINDOWS_OBJ)/%.rc.o,$(wildcard drivers/$(1)/$(1).rc))
endef

# xen.sys exports to the others what is marked XEN_API; they link with the import library that comes with it.
WINDOWS_CFLAGS_xen := -DXEN_EXPORTS
# What a driver imports from beside ntoskrnl.exe, hal.dll and xen.sys.
WINDOWS_IMPORTS_xenvif := netio
WINDOWS_OBJECTS_xen := $(patsubst drivers/windows/%.S,$(WINDOWS_OBJ)/gate/%.o,$(wildcard drivers/windows/amd64/*.S))
WINDOWS_LIBRARY := $(WINDOWS)/libxen.a

$(WINDOWS_OBJ)/gate/%.o: drivers/windows/%.S | $(WINDOWS_OBJ)/.toolchain
	$(call say,AS,"$< (windows)")
	$(Q)mkdir -p $(@D) && $(MINGW)gcc -c $< -o $@

define windows_rules
$(WINDOWS_OBJ)/$(1)/%.o: drivers/$(1)/%.c $(XEN_HEADERS) | $(WINDOWS_OBJ)/.toolchain
	$$(call say,CC,"$$< (windows)")
	$$(Q)mkdir -p $$(@D) && $(MINGW)gcc $$(WINDOWS_CFLAGS) $$(WINDOWS_CFLAGS_$(1)) -DMODULE_NAME='"$(1)"' \
		-MMD -MP -c $$< -o $$@

$(WINDOWS_OBJ)/$(1)/common/%.o: drivers/common/%.c $(XEN_HEADERS) | $(WINDOWS_OBJ)/.toolchain
	$$(call say,CC,"$$< (windows, $(1))")
	$$(Q)mkdir -p $$(@D) && $(MINGW)gcc $$(WINDOWS_CFLAGS) $$(WINDOWS_CFLAGS_$(1)) -DMODULE_NAME='"$(1)"' \
		-MMD -MP -c $$< -o $$@

$(WINDOWS_OBJ)/$(1)/%.rc.o: drivers/$(1)/%.rc drivers/common/version_resource.rc drivers/include/version.h \
		| $(WINDOWS_OBJ)/.toolchain
	$$(call say,RC,$$<)
	$$(Q)mkdir -p $$(@D) && $(MINGW)windres -c 65001 $$(WINDOWS_VERSION) -Idrivers/common -Idrivers/include $$< \
		-O coff -o $$@

$(WINDOWS)/$(1).sys: $(call windows_objects,$(1)) $(WINDOWS_OBJECTS_$(1)) $(if $(filter xen,$(1)),,$(WINDOWS_LIBRARY)) \
		drivers/windows/check_imports.py drivers/windows/pe.py
	$$(call say,LINK,$$@)
	$$(Q)mkdir -p $$(@D) && $(MINGW)gcc $$(WINDOWS_LDFLAGS) $$(filter %.o,$$^) \
		$$(if $$(filter xen,$(1)),,$$(WINDOWS_LIBRARY)) -lntoskrnl -lhal $(WINDOWS_IMPORTS_$(1):%=-l%) -o $$@
	$$(Q)python3 drivers/windows/check_imports.py --objdump $(MINGW)objdump --nm $(MINGW)nm \
		--library $$$$($(MINGW)gcc -print-file-name=libntoskrnl.a) --library $$$$($(MINGW)gcc -print-file-name=libhal.a) \
		$(foreach name,$(WINDOWS_IMPORTS_$(1)),--library $$$$($(MINGW)gcc -print-file-name=lib$(name).a)) \
		$$(if $$(filter xen,$(1)),,--library $$(WINDOWS_LIBRARY)) $$@
endef

$(foreach driver,$(WINDOWS_DRIVERS),$(eval $(call windows_rules,$(driver))))

$(WINDOWS_LIBRARY): $(WINDOWS)/xen.sys drivers/windows/make_def.py drivers/windows/pe.py
	$(call say,LIB,$@)
	$(Q)python3 drivers/windows/make_def.py --objdump $(MINGW)objdump $< > $(WINDOWS)/xen.def
	$(Q)$(MINGW)dlltool --deterministic-libraries -d $(WINDOWS)/xen.def -l $@

# The veto is for programs: that it compiles for one, without a library, is seen here; the co-installer links it.
VETO_WINDOWS := $(patsubst drivers/common/veto/%.c,$(WINDOWS_OBJ)/veto/%.o,$(wildcard drivers/common/veto/*.c))

$(WINDOWS_OBJ)/veto/%.o: drivers/common/veto/%.c | $(WINDOWS_OBJ)/.toolchain
	$(call say,CC,"$< (windows)")
	$(Q)mkdir -p $(@D) && $(MINGW)gcc -std=c11 -O2 -ffreestanding -Wall -Wextra -Werror -Idrivers/include -MMD -MP -c $< -o $@

windows-drivers: $(VETO_WINDOWS)
