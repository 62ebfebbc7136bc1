# Everything starts from here: `make` alone lists the targets. All of them set themselves up.

PYTHON := $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
STAMP := .venv/.installed
# How many processes run the tests: one a core, unless told otherwise (`make test WORKERS=0`).
WORKERS ?= auto
# `make lock LOCK=--upgrade` takes the newest of everything, otherwise pins stay where they fit.
LOCK ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo check test lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## make .venv with everything that runs, checks and tests Coursebell

demo: $(STAMP) ## run the main job once, from a completion to a verified delivery
	@$(BIN)/coursebell demo

check: $(STAMP) ## style, types, floors, docs, migrations: everything that needs no test
	@$(BIN)/python tools/check.py

test: $(STAMP) ## run every test, on SQLite and PostgreSQL, and measure coverage
	@$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term --durations=10

lock: $(STAMP) ## write constraints.txt anew from pyproject.toml
	@$(BIN)/python tools/requirements.py | CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile \
		--quiet $(LOCK) --strip-extras --allow-unsafe --annotation-style=line --no-emit-options \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file constraints.txt -
	@sed -i.old 's/-r -/pyproject.toml/' constraints.txt && rm constraints.txt.old

clean: ## remove what the other targets made
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		tests/node/node_modules build dist
	@rm -f .coverage .coverage.*
	@find src receiver tests tools \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +

# The packages of this repository are built with the pinned setuptools: an isolated build would
# fetch an unpinned one, twice.
$(STAMP): pyproject.toml receiver/pyproject.toml constraints.txt tools/requirements.py
	@test -n '$(PYTHON)' || { echo 'Coursebell needs Python 3.11 or newer: none was found on PATH.' >&2; exit 1; }
	@test -x $(BIN)/python || { echo "setup: making .venv with $$($(PYTHON) --version)" >&2; \
		$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo 'setup: no virtual environment could be made (on Debian: apt-get install python3-venv)' >&2; exit 1; }; }
	@echo 'setup: installing what constraints.txt pins' >&2
	@$(BIN)/python tools/requirements.py > .venv/requirements.txt
	@$(PIP) install --constraint constraints.txt --requirement .venv/requirements.txt
	@$(PIP) install --no-build-isolation --no-deps --editable receiver --editable .
	@echo 'setup: done' >&2
	@touch $@
