# The conformance driver: $(BUILD)/nttest/nttest.so and, with mingw-w64, $(WINDOWS)/nttest.sys. Included by the Makefile.

NTTEST := $(BUILD)/nttest
NTTEST_CASES := $(sort $(wildcard tests/nt/*/*.c))
NTTEST_SOURCES := $(sort $(wildcard tests/nt/*.c)) $(NTTEST_CASES)
NTTEST_MATRIX := $(sort $(wildcard tests/nt/matrix/*.txt))
NTTEST_CFLAGS := -Itests/nt

# The list of the case files' tables, and the table of IRQL limits out of the matrix.
$(NTTEST)/suites.c: tools/conformance.py $(NTTEST_CASES)
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D) && python3 tools/conformance.py suites tests/nt > $@.new && mv $@.new $@

$(NTTEST)/limits_table.c: tools/conformance.py $(NTTEST_MATRIX)
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D) && python3 tools/conformance.py limits tests/nt > $@.new && mv $@.new $@

NTTEST_OBJECTS := $(NTTEST_SOURCES:tests/nt/%.c=$(BUILD)/obj/module/nttest/%.o) \
	$(BUILD)/obj/module/nttest/suites.o $(BUILD)/obj/module/nttest/limits_table.o

# It uses __try, see sim/include/wdm/seh.h.
$(BUILD)/obj/module/nttest/ex/try.o: DRIVER_CFLAGS += -O0

$(BUILD)/obj/module/nttest/%.o: tests/nt/%.c | $(SETUP)
	$(call say,CC,"$< (module)")
	$(Q)mkdir -p $(@D) && $(CC) $(DRIVER_CFLAGS) $(NTTEST_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/module/nttest/%.o: $(NTTEST)/%.c | $(SETUP)
	$(call say,CC,"$< (module)")
	$(Q)mkdir -p $(@D) && $(CC) $(DRIVER_CFLAGS) $(NTTEST_CFLAGS) -MMD -MP -c $< -o $@

$(NTTEST)/nttest.so: $(NTTEST_OBJECTS) $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(link_module)

.PHONY: nttest
nttest: $(NTTEST)/nttest.so $(NTTEST)/nttest.inf

$(NTTEST)/nttest.inf: tests/nt/nttest.inf
	$(Q)mkdir -p $(@D) && cp $< $@

$(BUILD)/tests/conformance/test_nt: $(BUILD)/obj/tests/conformance/conform.o

.PHONY: transcript
transcript: nttest $(BUILD)/tests/conformance/test_nt ## The transcript of the conformance driver, to compare with Windows'
	$(Q)$(BUILD)/tests/conformance/test_nt --transcript

# ---- Windows ----

NTTEST_WINDOWS_OBJECTS := $(NTTEST_SOURCES:tests/nt/%.c=$(WINDOWS_OBJ)/nttest/%.o) \
	$(WINDOWS_OBJ)/nttest/suites.o $(WINDOWS_OBJ)/nttest/limits_table.o

windows-drivers: $(WINDOWS)/nttest.sys $(WINDOWS)/nttest.inf

$(WINDOWS_OBJ)/nttest/%.o: tests/nt/%.c | $(WINDOWS_OBJ)/.toolchain
	$(call say,CC,"$< (windows)")
	$(Q)mkdir -p $(@D) && $(MINGW)gcc $(WINDOWS_CFLAGS) $(NTTEST_CFLAGS) -MMD -MP -c $< -o $@

$(WINDOWS_OBJ)/nttest/%.o: $(NTTEST)/%.c | $(WINDOWS_OBJ)/.toolchain
	$(call say,CC,"$< (windows)")
	$(Q)mkdir -p $(@D) && $(MINGW)gcc $(WINDOWS_CFLAGS) $(NTTEST_CFLAGS) -MMD -MP -c $< -o $@

$(WINDOWS)/nttest.sys: $(NTTEST_WINDOWS_OBJECTS) drivers/windows/check_imports.py drivers/windows/pe.py
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(MINGW)gcc $(WINDOWS_LDFLAGS) $(filter %.o,$^) -lntoskrnl -lhal -o $@
	$(Q)python3 drivers/windows/check_imports.py --objdump $(MINGW)objdump --nm $(MINGW)nm \
		--library $$($(MINGW)gcc -print-file-name=libntoskrnl.a) --library $$($(MINGW)gcc -print-file-name=libhal.a) $@

$(WINDOWS)/nttest.inf: tests/nt/nttest.inf
	$(Q)mkdir -p $(@D) && cp $< $@
