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
		python3 tools/bench_boot.py --pvsim $(BUILD)/pvsim || status=1; exit $$status

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
