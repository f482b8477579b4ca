# Every target sets up what it needs in .venv from hash-locked requirements and says so.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SOURCES := privacy protos client node
# What `make demo` passes on, for example: make demo ARGS="--members 5 --committee 5 --threshold 3"
ARGS ?=

.PHONY: help runtime development demo test test-slow coverage check format protos vectors readme bench lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s'|'

# Two first runs at once would each make .venv: the second waits for the first, and then has nothing left to do.
LOCKED = $(PYTHON) -c 'import fcntl, subprocess, sys; lock = open(".venv.lock", "w"); fcntl.flock(lock, fcntl.LOCK_EX); \
  sys.exit(subprocess.call(sys.argv[1:]))' $(MAKE) --no-print-directory --silent

runtime:
	@$(LOCKED) .venv/.runtime

development:
	@$(LOCKED) .venv/.development

.venv/bin/python:
	@echo "tocsin: making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tocsin: Python 3.11 or later is needed; name it, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo "tocsin: Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

# $(1): the lock file to install. Hashes are required, so what is installed is what was locked.
define install
	@echo "tocsin: installing $(1) into .venv, which takes about a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q $(SOURCES)
	@deploy/libsodium.sh $(BIN)/python
	@touch $@
endef

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	$(call install,requirements.lock)

.venv/.development: requirements-dev.lock pyproject.toml | .venv/bin/python
	$(call install,requirements-dev.lock)
	@touch .venv/.runtime

demo: runtime ## Found a federation on this machine and show matches (ARGS="--members 5 --keep DIR")
	@$(BIN)/tocsin demo $(ARGS)

test: development ## The default test suite, under five minutes
	@$(BIN)/pytest -m "not slow" --numprocesses 2 --dist loadfile $(ARGS)

test-slow: development ## Fault injection, what is timed, and long property runs: one test at a time
	@$(BIN)/pytest -m slow $(ARGS)

coverage: development ## The default tests with the share of lines and branches that they reach
	@$(BIN)/pytest -m "not slow" --numprocesses 2 --dist loadfile --cov --cov-report=term $(ARGS)

check: development ## Format, lint, types, import rules, wire compatibility, generated code
	@echo "tocsin: ruff"; $(BIN)/ruff format --check .; $(BIN)/ruff check --no-cache .
	@echo "tocsin: mypy"; $(BIN)/mypy $(SOURCES) benchmarks
	@echo "tocsin: import-linter"; $(BIN)/lint-imports --no-cache
	@echo "tocsin: buf"; $(BIN)/buf lint protos; $(BIN)/buf breaking protos --against protos/released.binpb
	@echo "tocsin: the tree"; $(BIN)/pytest -m "not slow" tests/project

format: development ## Format and fix what ruff can
	@$(BIN)/ruff format .; $(BIN)/ruff check --fix .

protos: development ## Generate the gRPC modules from protos/tocsin/v1
	@$(BIN)/python protos/generate.py protos

vectors: development ## Regenerate our own published vectors
	@for script in $$(git ls-files "tests/*regenerate_*.py"); do echo "tocsin: $$script"; $(BIN)/python -m "$$(echo "$${script%.py}" | tr / .)"; done

readme: development ## Refresh what the documents quote: worked example, demonstration, picture
	@$(BIN)/python docs/spec_example.py
	@$(BIN)/python docs/house.py
	@$(BIN)/python docs/refresh.py

bench: development ## One figure of docs/performance.md: make bench NAME=evaluate
	@test -f "benchmarks/bench_$(subst -,_,$(NAME)).py" || { echo "tocsin: name one: $$(ls benchmarks/bench_*.py | sed -E 's/.*bench_(.*)\.py/\1/' | tr '_\n' '- ')" >&2; exit 2; }
	@$(BIN)/python benchmarks/bench_$(subst -,_,$(NAME)).py $(ARGS)

lock: development ## Lock the requirements again, with hashes and no addresses
	@$(BIN)/uv pip compile pyproject.toml --extra node --extra detect --group build --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --quiet -o requirements.lock $(ARGS)
	@$(BIN)/uv pip compile pyproject.toml --extra node --extra detect --group dev --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --quiet -o requirements-dev.lock $(ARGS)

clean: ## Remove .venv and caches
	@rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
