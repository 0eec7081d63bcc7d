# Tests of the store against Xen's own programs: the differential test's two sides, and what is preloaded into xenstored.
# They look for the programs in the system and in build/xen-tools.

.PHONY: xen-tools
xen-tools: ## Unpack xenstored, test-xenstore and the xenstore-* tools into build/xen-tools, for the tests against them
	$(Q)sh tools/xen_tools.sh

STORE_SIDES := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/preload.c,$(wildcard tests/store/conformance/*.c)))
XENSTORED_PRELOAD := $(BUILD)/tests/store/xenstored_preload.so

$(BUILD)/tests/store/test_conformance: $(STORE_SIDES) | $(XENSTORED_PRELOAD)
$(BUILD)/tests/store/test_tools $(BUILD)/tests/dom0/test_programs $(BUILD)/tests/real/test_stores: $(BUILD)/obj/tests/store/conformance/daemon.o

# Without sanitizers: the daemon that it goes into has none.
$(XENSTORED_PRELOAD): tests/store/conformance/preload.c tests/store/conformance/world.h | $(SETUP)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(filter-out -fsanitize=% -fno-sanitize-recover=% -DPVSIM_SANITIZE,$(COMMON_CFLAGS)) \
		-D_GNU_SOURCE $(XEN_CPPFLAGS) -Itests -fPIC -shared $< -o $@ -ldl

# ---- speed ----

$(BUILD)/tests/bench/bench_store: $(BUILD)/obj/tests/store/conformance/daemon.o | $(XENSTORED_PRELOAD)

.PHONY: bench-store
bench-store: ## The store's socket against the real xenstored's, by libxenstore, in one run
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test xen-tools
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/bench/bench_store
	$(BUILD)/tests/bench/bench_store
