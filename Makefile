# Two commands: `make demo` (no root) and `make test`. Both set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check format lock clean packages

help: ## this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.run ## the whole cluster on loopback, and its weekly failure, live
	@$(BIN)/pimedic lab demo $(ARGS)

test: check packages ## the gate, then every test (root also installs the Debian packages they use)
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: $(VENV)/.dev ## the gate alone: format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## rewrite in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## pin every dependency anew (needs uv)
	uv pip compile -q --universal --upgrade --generate-hashes --no-annotate --no-header \
		--python-version 3.11 pyproject.toml --extra lab -o requirements/run.lock
	uv pip compile -q --universal --generate-hashes --no-annotate --no-header -c requirements/run.lock \
		--python-version 3.11 pyproject.toml --extra lab --group dev -o requirements/dev.lock
	uv pip compile -q --universal --generate-hashes --no-annotate --no-header -c requirements/dev.lock \
		--python-version 3.11 requirements/build.in -o requirements/build.lock

clean: ## forget the set-up
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

packages:
	@sh tests/packages.sh

$(VENV)/.run: requirements/run.lock requirements/build.lock pyproject.toml
	@sh requirements/venv.sh $(PYTHON) $(VENV) requirements/build.lock requirements/run.lock
	@touch $@

$(VENV)/.dev: requirements/dev.lock requirements/build.lock pyproject.toml
	@sh requirements/venv.sh $(PYTHON) $(VENV) requirements/build.lock requirements/dev.lock
	@touch $@ $(VENV)/.run
