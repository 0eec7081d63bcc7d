# Fuzz targets: tests/fuzz/NAME.c with an LLVMFuzzerTestOneInput(), over the whole machine, with AddressSanitizer and
# UndefinedBehaviorSanitizer. libFuzzer comes with clang. Inputs that are worth keeping: tests/fuzz/corpus/NAME.

TARGET ?= hypercall
TIME ?= 60
FUZZ_BUILD := build/fuzz
FUZZ_CORPUS = $(FUZZ_BUILD)/corpus/$(TARGET)

.PHONY: fuzz
fuzz: ## Build a fuzz target and run it with ASan and UBSan (TARGET=name, TIME=seconds)
	$(Q)test -f tests/fuzz/$(TARGET).c || { echo "no fuzz target $(TARGET): there are $(basename $(notdir $(wildcard tests/fuzz/*.c)))"; exit 2; }
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=address,undefined,fuzzer-no-link BUILD=$(FUZZ_BUILD) $(FUZZ_BUILD)/fuzz/$(TARGET)
	$(Q)mkdir -p $(FUZZ_CORPUS) tests/fuzz/corpus/$(TARGET)
	$(FUZZ_BUILD)/fuzz/$(TARGET) -max_total_time=$(TIME) -timeout=60 -rss_limit_mb=4096 -max_len=4096 \
		-artifact_prefix=$(FUZZ_BUILD)/ $(FUZZ_CORPUS) tests/fuzz/corpus/$(TARGET)

$(FUZZ_BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(MACHINE_OBJECTS) $(TEST_COMMON_OBJECTS) $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LD_FAST) -fsanitize=address,undefined,fuzzer -pie -Wl,--build-id $(EXPORTS) \
		$(filter %.o,$^) -o $@ $(SIM_LIBS) $(CHECK_LIBS)
