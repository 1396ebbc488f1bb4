# Everything a checkout needs, from a Python 3.11 to 3.13 and make alone; `make help` lists it.
# Kept to what GNU make 3.81 and a POSIX shell understand.

# What `make VARIABLE=...` may change. Plain `=`: a stray COUNT or OUT in the environment changes nothing.
COUNT = 1e6
OUT = data/digits-1m
ARGS =
INSTALLER = uv

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

# Stamps. MADE_IN holds the folder the environment was made in: a copied or moved checkout must not run
# the code of the original, which its scripts and its editable install would still point at.
MADE_IN := $(VENV)/.made-in
RUN_ENV := $(VENV)/.run-environment
DEV_ENV := $(VENV)/.dev-environment

CANDIDATES = $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3)
FITS = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
NO_PYTHON = gangen needs Python 3.11, 3.12 or 3.13 with venv and ensurepip, found none in $(CANDIDATES): \
	install one (Debian and Ubuntu: python3-venv too) or name it with make PYTHON=/path/to/python

ifeq ($(INSTALLER),pip)
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
INSTALL_NEEDS := $(MADE_IN)
else
INSTALL := $(BIN)/uv pip install --python $(BIN)/python
INSTALL_NEEDS := $(BIN)/uv
endif

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run env test test-slow test-cluster bench lint format lock clean force

##@ Use
run: $(RUN_ENV) ## Write 1,000,000 labelled digits to data/digits-1m (COUNT=, OUT=, ARGS=)
	$(BIN)/gangen generate --count $(COUNT) --out $(OUT) $(ARGS)

env: $(RUN_ENV) ## Make .venv with the pinned packages and gangen (PYTHON=, INSTALLER=uv|pip)

##@ Develop
test: $(DEV_ENV) ## Run every test that is not marked slow (ARGS="-k plan")
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-slow: $(DEV_ENV) ## Run the slow tests: a million rows, faults at every point of a run, real object stores (ARGS=)
	$(BIN)/python -m pytest -m slow --ignore=tests/cluster $(ARGS)

test-cluster: $(DEV_ENV) ## Run jobs on several hosts made of network namespaces while hosts fail; needs root (ARGS=)
	$(BIN)/python -m pytest tests/cluster $(ARGS)

bench: $(DEV_ENV) ## Measure everything of docs/performance.md into data/bench, half an hour (ARGS=--quick)
	$(BIN)/python -m benchmarks.bench $(ARGS)

lint: $(DEV_ENV) ## Check style, formatting, types and spelling; change nothing
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m codespell_lib

format: $(DEV_ENV) ## Format the code and mend what ruff can mend
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

##@ Maintain
# The larger set is resolved first and constrains the smaller: one .venv can hold both.
lock: $(BIN)/uv ## Pin the packages again from pyproject.toml (ARGS=--upgrade for the newest)
	$(LOCK) --group dev --output-file requirements-dev.lock pyproject.toml
	$(LOCK) --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml

clean: ## Remove .venv, builds and caches; data and trained models stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

ifneq ($(shell cat $(MADE_IN) 2>/dev/null),$(CURDIR))
$(MADE_IN): force
endif

# An environment without our stamp (`uv run`, an interrupted make) is completed, never thrown away.
$(MADE_IN):
	@if [ ! -e $@ ] && $(BIN)/python -c '$(FITS)' 2>/dev/null; then \
		echo "completing the $(VENV) that is here"; \
	else \
		for python in $(CANDIDATES); do \
			"$$python" -c '$(FITS)' >/dev/null 2>&1 && found=$$python && break; \
		done; \
		[ -n "$$found" ] || { echo '$(NO_PYTHON)' >&2; exit 1; }; \
		echo "making $(VENV) with $$found ($$("$$found" --version))"; \
		"$$found" -m venv --clear $(VENV); \
	fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@printf '%s\n' '$(CURDIR)' >$@

$(BIN)/uv: $(MADE_IN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# No build isolation: gangen is built by the setuptools the lock pins, not by the newest one.
$(RUN_ENV): requirements.lock pyproject.toml $(INSTALL_NEEDS)
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_ENV): requirements-dev.lock $(RUN_ENV)
	$(INSTALL) --require-hashes --no-build-isolation -r requirements-dev.lock
	@touch $@
