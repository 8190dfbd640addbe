# `make setup`, `make demo` and `make test` work on a fresh machine with Python 3.11 or newer; uv is used where it is there.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# the first that really runs: a version manager may have names for versions that are not there
PYTHON ?= $(or $(shell for each in python3.11 python3.12 python3.13 python3; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.ready-to-run
DEV := $(VENV)/.ready-to-test
# --no-compile: Python compiles what is imported when it is; all of it beforehand takes a minute
INSTALL = install() { if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python "$$@"; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile "$$@"; fi; }; install

DURATION ?= 60
BROKER ?= tansu
REPORT ?=
JOBS ?= 3
ARGS ?=
BENCH ?= throughput detection training api beside forecasts forecast_wave forecast_fleet

.PHONY: help setup demo test test-long check format bench quality chaos fuzz generated lock audit licences clean

help: ## show this overview
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  DURATION=$(DURATION) seconds, BROKER=$(BROKER) (or kafka), REPORT=file.json: for make demo"
	@echo "  ARGS=\"-k alerts\": for make test; JOBS=$(JOBS): test processes, one more than cores as many wait for brokers"

setup: $(DEV) ## make the virtual environment with all that is locked (again when a lock file changes)

# what runs, and the project itself; enough for the demo
$(RUN): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"Nexova needs Python 3.11 or newer and $(PYTHON) is not; install one, or say which: make PYTHON=/path/to/it" >&2; \
		exit 1; }
	@echo "setting up $(VENV) (once, about a minute)" >&2
	@if command -v uv >/dev/null; then \
		test -x $(BIN)/python || uv venv --quiet --python "$(PYTHON)" $(VENV); \
	else \
		test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); \
	fi
	@$(INSTALL) --require-hashes -r requirements.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# and what checks
$(DEV): requirements-dev.txt $(RUN)
	@echo "adding the tools that test and check" >&2
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@

demo: $(RUN) ## watch machines being produced, scored, alerted on and advised, for DURATION seconds
	@$(BIN)/nexova demo --duration $(DURATION) --broker $(BROKER) $(if $(REPORT),--report "$(REPORT)")

test: setup ## run all tests but the long ones, on both brokers
	@# compiled once here, not by all test processes at the same time
	@$(BIN)/python -m cli.demo.work compile >/dev/null
	@$(BIN)/pytest -n $(JOBS) --dist loadscope --max-worker-restart=0 -m "not long" $(ARGS)

test-long: setup ## run the tests that take long, such as those of kills, clusters and thousands of runs
	@$(BIN)/python -m cli.demo.work compile >/dev/null
	@# one after the other: they await what a busy machine delays
	@$(BIN)/pytest -m long $(ARGS)

check: setup ## run ruff, mypy and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## let ruff mend and format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

chaos: setup ## faults on a seeded schedule against real processes: make chaos SEED=7 MINUTES=5
	$(BIN)/python -m tests.chaos.harness --seed $(or $(SEED),1) --minutes $(or $(MINUTES),5)

fuzz: setup ## hostile readings among good ones through the rules: make fuzz MESSAGES=1000000 SEED=1
	@$(BIN)/python -m tests.fuzz.readings --messages $(or $(MESSAGES),100000) --seed $(or $(SEED),1)

bench: setup ## print what was measured, all of it or BENCH="throughput" alone, with ARGS
	@for each in $(BENCH); do $(BIN)/python -m benchmarks.$$each $(ARGS); done

generated: setup ## write anew what is made from the code: .env.example and tables of the docs
	@$(BIN)/python -m runtime.settings_reference
	@$(BIN)/nexova docs write

# no address of an index goes into a lock file: whoever installs brings their own
LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --no-header

quality: setup ## print the figures of detection that README and docs quote, measured anew
	@$(BIN)/python -m benchmarks.quality

lock: ## resolve the locked requirements anew, keeping what still fits (needs uv; ARGS=--upgrade for all)
	@$(or $(shell command -v uv),$(BIN)/uv) $(LOCK) $(ARGS) --extra build pyproject.toml -o requirements.txt
	@$(or $(shell command -v uv),$(BIN)/uv) $(LOCK) $(ARGS) --constraint requirements.txt --extra build --extra dev --extra forecasters pyproject.toml -o requirements-dev.txt

audit: ## compare the locked packages with known weaknesses (needs uv, and a network)
	@$(or $(shell command -v uvx),$(BIN)/uvx) pip-audit --strict --disable-pip --require-hashes -r requirements.txt || \
		{ echo "make audit: a weakness was found, or the advisories of a package could not be asked for: see above" >&2; \
		exit 1; }

licences: setup ## list the licences of the installed packages
	@$(BIN)/python -m deploy.licences

clean: ## remove the virtual environment and all caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

include deploy/pipeline.mk
