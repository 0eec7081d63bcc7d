# Lint and the like.

LINT_C := $(shell git ls-files -co --exclude-standard '*.c' '*.h' 2>/dev/null)

.PHONY: format
format: ## Reformat every source file
	$(Q)clang-format -i $(LINT_C)

.PHONY: lint
lint: ## clang-format and cppcheck, warnings are errors
	$(Q)$(MAKE) --no-print-directory build/.setup-build build/.setup-lint $(XEN_HEADERS)
	$(Q)clang-format --dry-run --Werror $(LINT_C)
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --suppressions-list=.cppcheck \
		--enable=warning,portability --max-configs=1 -Isim -Isim/include sim backend-stub

compile_commands.json: Makefile ## For clangd and other tools
	$(Q)$(MAKE) -Bnwk V=1 all tests 2>/dev/null | python3 tools/compile_commands.py > $@
