# `make help` lists the targets. A bare machine needs Python 3.11 or newer (with venv and pip) and make, nothing else.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
DAWSOS := $(BIN)/dawsos
PATHS := $(wildcard topics orchestrator analytics ledger db agents services streams gateway local provenance patterns cli bench chaos simulation data tests settings.py)
LOCK := $(BIN)/python -m uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11
# Extra arguments: make test ARGS="tests/local -x", make demo ARGS=--json
ARGS ?=
# Test processes, each with a Kafka, a Postgres and a Valkey of its own; a file's tests stay in one of them. One more than
# cores: a third of the time tests wait.
TEST_PROCESSES ?= 3

# Without bytecode each of the many Python processes that the tests start compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint fmt type check bench simulate mutations up down status golden lock clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv from the lock file; does nothing when it is up to date

# The first Python that is new enough; PYTHON=/path/to/python overrides the search.
$(STAMP): requirements.lock requirements-bootstrap.lock pyproject.toml
	@set -eu; found=""; \
	for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$candidate"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "error: Python 3.11 or newer is needed, found $$(python3 --version 2>&1 || true); set PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	if [ ! -x $(BIN)/python ] || ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  echo "making $(VENV) with $$($$found --version)"; \
	  "$$found" -m venv --clear $(VENV) || { \
	    echo "error: $$found cannot make a virtual environment; Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(BIN)/python -m ensurepip -q; fi; \
	echo "installing the locked packages"; \
	if [ -n "$${PIP_CERT:-}" ] && [ -z "$${SSL_CERT_FILE:-}" ]; then export SSL_CERT_FILE="$$PIP_CERT"; fi; \
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock; \
	install() { $(BIN)/python -m uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock "$$@"; }; \
	if ! install 2>/dev/null && ! install --system-certs; then \
	  echo "the fast installer failed, trying pip"; \
	  $(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock; \
	fi; \
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Start everything, value the demo portfolios, write the report
	@$(DAWSOS) demo $(ARGS)

test: setup ## Run all tests (real Kafka, Postgres and Valkey are started by themselves)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup ## Check style and formatting
	@$(BIN)/ruff check $(PATHS)
	@$(BIN)/ruff format --check $(PATHS)

fmt: setup ## Put code into the house format
	@$(BIN)/ruff check --fix $(PATHS)
	@$(BIN)/ruff format $(PATHS)

type: setup ## Check types
	@$(BIN)/pyright

check: lint type test ## Everything a change has to pass

bench: setup ## Measure: make bench ARGS="steps --concurrency 1,16,128"
	@$(DAWSOS) bench $(ARGS)

simulate: setup ## Simulate: make simulate ARGS="--seeds 100000"
	@$(DAWSOS) simulate $(ARGS)

mutations: setup ## Build faults into the code and see that the simulation notices each
	@$(DAWSOS) simulate --mutation all $(ARGS)

up: setup ## Start services and workers in the background
	@$(DAWSOS) up --detach $(ARGS)

down: setup ## Stop them
	@$(DAWSOS) down $(ARGS)

status: setup ## Say what runs
	@$(DAWSOS) status $(ARGS)

golden: setup ## Rewrite the recorded expectations; read the diff before committing it
	@$(BIN)/python -m local.env_example > .env.example
	@$(BIN)/python -m topics.export
	@$(BIN)/python -m docs.diagrams
	@DAWSOS_AGENTS= DAWSOS_CATALOGUES= $(DAWSOS) capabilities --markdown > docs/capabilities.md
	@$(DAWSOS) patterns test --record tests/cli/fixtures
	@cd cli/scaffold && env $$(grep -v '^#' env.txt) ../../$(DAWSOS) patterns test --record
	@UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/topics tests/orchestrator tests/provenance tests/gateway/test_openapi.py tests/services_tests/test_golden_overview.py tests/services_tests/test_golden_patterns.py $(ARGS)

lock: ## Resolve pyproject.toml into the lock files again (needs uv)
	@$(LOCK) pyproject.toml --group embedded --group dev --group oracles -o requirements.lock
	@$(LOCK) pyproject.toml -c requirements.lock -o requirements-runtime.lock

clean: ## Remove the environment and caches; data in .dawsos stays
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info out
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
