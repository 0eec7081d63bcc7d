# Fuzz targets: tests/fuzz/NAME.c with an LLVMFuzzerTestOneInput(), over the whole machine, with AddressSanitizer and
# UndefinedBehaviorSanitizer. libFuzzer comes with clang. Inputs that are worth keeping: tests/fuzz/corpus/NAME.

FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
TARGET ?= $(FUZZ_TARGETS)
TIME ?= 60
FUZZ_BUILD := build/fuzz
FUZZ_MAKE = $(MAKE) --no-print-directory CC=clang SAN=address,undefined,fuzzer-no-link BUILD=$(FUZZ_BUILD)

.PHONY: fuzz
fuzz: ## Build the fuzz targets and run each under ASan and UBSan (TARGET=name for one, TIME=600 seconds each)
	$(Q)for t in $(TARGET); do test -f tests/fuzz/$$t.c || { echo "no fuzz target $$t: there are $(FUZZ_TARGETS)"; exit 2; }; done
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-fuzz
	$(Q)$(FUZZ_MAKE) $(TARGET:%=$(FUZZ_BUILD)/fuzz/%)
	$(Q)for t in $(TARGET); do mkdir -p $(FUZZ_BUILD)/corpus/$$t && echo "$(FUZZ_BUILD)/fuzz/$$t for $(TIME) s" && \
		$(FUZZ_BUILD)/fuzz/$$t -max_total_time=$(TIME) -timeout=60 -rss_limit_mb=4096 -max_len=4096 -len_control=0 -print_final_stats=1 \
		-artifact_prefix=$(FUZZ_BUILD)/$$t- $(FUZZ_BUILD)/corpus/$$t tests/fuzz/corpus/$$t || exit 1; done

$(FUZZ_BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(MACHINE_OBJECTS) $(TEST_COMMON_OBJECTS) $(BUILD)/obj/tests/fuzz/common/assert.o $(BUILD)/ntoskrnl.list
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LD_FAST) -fsanitize=address,undefined,fuzzer -pie -Wl,--wrap=_mark_point,--wrap=_ck_assert_failed -Wl,--build-id $(EXPORTS) \
		$(filter %.o,$^) -o $@ $(SIM_LIBS) $(CHECK_LIBS)
