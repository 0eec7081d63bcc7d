# make install, make uninstall. Included by the Makefile.
#
#   PREFIX=/usr/local       where; everything finds the rest from where it lies itself, so that the tree can be moved
#   DESTDIR=                a root to install under, for packages

PREFIX ?= /usr/local
DESTDIR ?=
INSTALL_ROOT = $(DESTDIR)$(PREFIX)
INSTALL ?= install

$(BUILD)/libpvsim-driver.a: $(BUILD)/obj/module/gate.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

.PHONY: install
install: all $(BUILD)/libpvsim-driver.a ## Install pvsim, pvsim-cc, headers and drivers under PREFIX (DESTDIR for packages)
	$(Q)rm -rf '$(INSTALL_ROOT)/include/pvsim' '$(INSTALL_ROOT)/lib/pvsim' '$(INSTALL_ROOT)/lib/pvsim-dom0'
	$(Q)$(INSTALL) -d '$(INSTALL_ROOT)/bin' '$(INSTALL_ROOT)/lib/pvsim/drivers' '$(INSTALL_ROOT)/lib/pkgconfig' \
		'$(INSTALL_ROOT)/lib/pvsim-dom0' \
		'$(INSTALL_ROOT)/include/pvsim/kernel/wdm' '$(INSTALL_ROOT)/include/pvsim/interface' \
		'$(INSTALL_ROOT)/share/man/man1'
	$(Q)$(INSTALL) -m 755 $(BUILD)/pvsim $(BUILD)/pvsim-netback tools/pvsim-cc '$(INSTALL_ROOT)/bin'
	$(Q)$(INSTALL) -m 644 sim/include/*.h '$(INSTALL_ROOT)/include/pvsim/kernel'
	$(Q)$(INSTALL) -m 644 sim/include/wdm/*.h '$(INSTALL_ROOT)/include/pvsim/kernel/wdm'
	$(Q)$(INSTALL) -m 644 drivers/include/*.h '$(INSTALL_ROOT)/include/pvsim/interface'
	$(Q)cp -R $(BUILD)/include/xen '$(INSTALL_ROOT)/include/pvsim/interface'
	$(Q)$(INSTALL) -m 644 $(MODULES) $(INFS) '$(INSTALL_ROOT)/lib/pvsim/drivers'
	$(Q)$(INSTALL) -d '$(INSTALL_ROOT)/lib/pvsim/drivers/$(AGENT)' && \
		$(INSTALL) -m 644 $(AGENT_FILES) '$(INSTALL_ROOT)/lib/pvsim/drivers/$(AGENT)'
	$(Q)$(INSTALL) -m 644 $(DROPIN_LIBRARIES) '$(INSTALL_ROOT)/lib/pvsim-dom0'
	$(if $(MEMORY_MODULES),$(Q)$(INSTALL) -d '$(INSTALL_ROOT)/lib/pvsim/drivers-memory' && \
		$(INSTALL) -m 644 $(MEMORY_MODULES) $(MEMORY_INFS) '$(INSTALL_ROOT)/lib/pvsim/drivers-memory' && \
		$(INSTALL) -d '$(INSTALL_ROOT)/lib/pvsim/drivers-memory/$(AGENT)' && \
		$(INSTALL) -m 644 $(MEMORY_AGENT_FILES) '$(INSTALL_ROOT)/lib/pvsim/drivers-memory/$(AGENT)')
	$(Q)$(INSTALL) -m 644 $(BUILD)/libpvsim-driver.a $(BUILD)/ntoskrnl.list tools/check_imports.py sim/image/driver.ld \
		'$(INSTALL_ROOT)/lib/pvsim'
	$(Q)echo $(VERSION) > '$(INSTALL_ROOT)/lib/pvsim/version'
	$(Q)echo '$(SAN)' > '$(INSTALL_ROOT)/lib/pvsim/sanitizers'
	$(Q)sed 's/@VERSION@/$(VERSION)/' tools/pvsim-driver.pc.in > '$(INSTALL_ROOT)/lib/pkgconfig/pvsim-driver.pc'
	$(Q)$(INSTALL) -m 644 sim/cli/pvsim.1 sim/cli/pvsim-cc.1 '$(INSTALL_ROOT)/share/man/man1'

.PHONY: uninstall
uninstall: ## Remove what make install with the same PREFIX and DESTDIR put there
	$(Q)rm -rf '$(INSTALL_ROOT)/include/pvsim' '$(INSTALL_ROOT)/lib/pvsim' '$(INSTALL_ROOT)/lib/pvsim-dom0'
	$(Q)rm -f '$(INSTALL_ROOT)/bin/pvsim' '$(INSTALL_ROOT)/bin/pvsim-cc' '$(INSTALL_ROOT)/bin/pvsim-netback' \
		'$(INSTALL_ROOT)/lib/pkgconfig/pvsim-driver.pc' '$(INSTALL_ROOT)/share/man/man1/pvsim.1' \
		'$(INSTALL_ROOT)/share/man/man1/pvsim-cc.1'
