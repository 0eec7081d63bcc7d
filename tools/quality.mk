# Lint and the like.

LINT_C := $(shell git ls-files -co --exclude-standard '*.c' '*.h' 2>/dev/null)

.PHONY: format
format: ## Reformat every source file
	$(Q)clang-format -i $(LINT_C)

.PHONY: lint
lint: ## clang-format and cppcheck, warnings are errors
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-lint $(XEN_HEADERS)
	$(Q)clang-format --dry-run --Werror $(LINT_C)
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -j2 --enable=warning,portability --max-configs=1 -Isim -Isim/include sim backend-stub

compile_commands.json: Makefile ## For clangd and other tools
	$(Q)$(MAKE) -Bnwk V=1 all tests 2>/dev/null | python3 tools/compile_commands.py > $@

.PHONY: mutants
mutants: ## Remove one safeguard of the drivers at a time and see a test fail
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)python3 tools/mutants.py --build $(BUILD)

.PHONY: bench
bench: ## Costs against the host's own means, as ratios with targets; power-on to Connected: 50 runs, user instructions
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-bench
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/bench/bench_cost $(BUILD)/test-drivers/meter.so $(BUILD)/test-drivers/meter.inf
	$(Q)status=0; $(BUILD)/tests/bench/bench_cost || status=1; \
		python3 tools/bench_boot.py --pvsim $(BUILD)/pvsim || status=1; \
		$(MAKE) --no-print-directory bench-network NETWORK="--strict" || status=1; exit $$status

# A program of its own: nothing of the machine is in it.
$(BUILD)/tests/bench/bench_ring: tests/bench/bench_ring.c | $(SETUP)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) -std=c11 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE $(XEN_CPPFLAGS) $< -o $@ -pthread

.PHONY: bench-network
bench-network: ## Frames a second through the drivers against the bare ring and a copy, in build/bench/report.html (NETWORK="--rounds 1" and others)
	$(Q)$(MAKE) --no-print-directory build/.setup-build
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/bench/bench_ring
	$(Q)python3 tools/bench_network.py --pvsim $(BUILD)/pvsim --ring $(BUILD)/tests/bench/bench_ring $(NETWORK)

.PHONY: bench-scale
bench-scale: ## What a VIF costs on a machine of 8 and of 128 of them, in one run
	$(Q)$(MAKE) --no-print-directory build/.setup-build all
	$(Q)python3 tools/bench_scale.py --pvsim $(BUILD)/pvsim

.PHONY: abi-check
abi-check: ## Compare the kernel headers with the mingw-w64 DDK, row by row, and hold them to their rules
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-windows
	$(Q)python3 tools/check_headers.py sim/include sim/nt tests/abi/unchecked.txt
	$(Q)python3 tools/abi_check.py --ddk "$(MINGW_DDK)" --prefix "$(MINGW)" --sizes tests/abi/sizes.txt

.PHONY: abi-table
abi-table: ## Write tests/abi/abi_table.h anew from the headers
	$(Q)python3 tools/abi_table.py sim/include > $(BUILD)/abi_table.h && mv $(BUILD)/abi_table.h tests/abi/abi_table.h

# The suites that load the drivers, and a sweep in which each call that can fail does: what a driver does then is a good
# part of it. What the drivers have executed is written when a module leaves memory, or with its process's orderly end,
# and is summed up in the build's folder by libgcov.
COVERAGE_BUILD := build/coverage
COVERAGE_SUITES := drivers upgrade machine endtoend toolstack teardown dom0 netback
# Without the one that knows where the drivers' call sites are: they are elsewhere where nothing is inlined.
COVERAGE_PROGRAMS := $(filter-out %/test_fault_sweep,$(foreach suite,$(COVERAGE_SUITES),$(patsubst tests/%.c,$(COVERAGE_BUILD)/tests/%,$(wildcard tests/$(suite)/test_*.c))))
COVERAGE_PACKAGE := xen xenbus xenfilt xenvif common
COVERAGE_EVERY ?= 1

.PHONY: coverage
coverage: ## What of the drivers the tests execute: HTML, thresholds of each package, a reason for each region that they do not (long; COVERAGE_EVERY=K: fail each K-th call only; REPORT=1: of the last run)
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-test build/.setup-coverage
	$(Q)test -n "$(REPORT)" || $(MAKE) --no-print-directory coverage-run
	$(Q)python3 tools/coverage.py --build $(COVERAGE_BUILD) --reasons drivers/coverage.reasons \
		--lines 90 --branches 80 $(COVERAGE_PACKAGE:%=drivers/%)

.PHONY: coverage-run
coverage-run:
	$(Q)find $(COVERAGE_BUILD) -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(MAKE) --no-print-directory BUILD=$(COVERAGE_BUILD) COVERAGE=1 CC=gcc all test-modules $(COVERAGE_PROGRAMS)
	$(Q)PNP_STRIDE=5 python3 tests/run.py --build $(COVERAGE_BUILD) $(if $(SUITE),--suite "$(SUITE)") $(COVERAGE_PROGRAMS)
	$(COVERAGE_BUILD)/pvsim sweep --fail-all --every $(COVERAGE_EVERY) -- run --no-bundle --tx $(FEW) --rx $(FEW)
