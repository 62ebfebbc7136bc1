# Everything starts from here: `make` alone lists the targets. All of them set themselves up.

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
STAMP := .venv/.installed
# The first of these that is Python 3.11 or newer makes .venv; `make setup PYTHONS=...` names another.
PYTHONS ?= python3.11 python3 python
# How many processes run the tests (`make test WORKERS=0`: none besides pytest): one more than there
# are cores, because the tests of real processes wait as long as they work.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) + 1)))
# `make lock LOCK=--upgrade` takes the newest of everything, otherwise pins stay where they fit.
LOCK ?=
# How long `make soak` goes on.
MINUTES ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup demo check test bench soak lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## make .venv with everything that runs, checks and tests Coursebell

demo: $(STAMP) ## run the main job once, from a completion to a verified delivery
	@$(BIN)/coursebell demo

check: $(STAMP) ## style, types, floors, docs, migrations: everything that needs no test
	@$(BIN)/python tools/check.py

test: $(STAMP) ## run every test, on SQLite and PostgreSQL, and measure coverage
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term --durations=10

bench: $(STAMP) ## measure everything in docs/performance.md; takes about a quarter of an hour
	@$(BIN)/python -m bench all

soak: $(STAMP) ## hurt everything for MINUTES=60 on both databases and check the books
	@PYTHONPATH=tests $(BIN)/python -m faults.soak --minutes $(MINUTES)

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
	@find src receiver tests tools bench \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +

# The packages of this repository are built with the pinned setuptools: an isolated build would
# fetch an unpinned one, twice.
$(STAMP): pyproject.toml receiver/pyproject.toml constraints.txt tools/requirements.py
	@test -x $(BIN)/python || { \
		for candidate in $(PYTHONS); do \
			$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
				&& python=$$candidate && break; \
		done; \
		test -n "$$python" || { echo 'setup: Python 3.11 or newer is needed, and none is on PATH' >&2; exit 1; }; \
		echo "setup: making .venv with $$($$python --version)" >&2; \
		$$python -m venv .venv || { rm -rf .venv; \
			echo 'setup: that Python makes no environments; on Debian: apt-get install python3-venv' >&2; exit 1; }; }
	@echo 'setup: installing what constraints.txt pins' >&2
	@$(BIN)/python tools/requirements.py > .venv/requirements.txt
	@$(PIP) install --constraint constraints.txt --requirement .venv/requirements.txt
	@$(PIP) install --no-build-isolation --no-deps --editable receiver --editable .
	@echo 'setup: done' >&2
	@touch $@
