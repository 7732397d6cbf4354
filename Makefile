# `make demo` and `make test` are all a newcomer needs; the rest is for people who work on reelflow.
# Windows without make: the same steps are in README.md as plain commands.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Behind a company's proxy the certificates that count are the system's (uv brings its own; the second name is for old uv).
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# Byte code that is not kept makes every start of Prefect twice as slow.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo up test test-needs scale soak coverage lint bench docs pictures lock clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) or sys.version_info[:2] > (3, 13))' \
	  || { echo "reelflow needs Python 3.11 to 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing reelflow into $(VENV) (half a minute, once)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.installed ## install reelflow and its dependencies in .venv

install-dev: $(VENV)/.installed-dev

demo: install ## publish a real video to the sandbox, then exit
	@$(BIN)/reelflow demo

up: install ## start the sandbox and the Prefect UI; stop with Ctrl-C
	@$(BIN)/reelflow up

# What the tests use beside Python: installed where that can be done without asking (root with apt-get),
# skipped with a reason elsewhere.
test-needs:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  need=""; \
	  command -v chromium >/dev/null || need="$$need chromium"; \
	  command -v curl >/dev/null || need="$$need curl"; \
	  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need="$$need postgresql"; \
	  command -v redis-server >/dev/null || need="$$need redis-server"; \
	  if [ -n "$$need" ]; then echo "Installing for the tests:$$need"; \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$need) >/dev/null || exit 1; fi; \
	fi

test: install-dev test-needs lint ## run all tests and linters
	@$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# A round is one test, and takes longer than a test usually may.
soak: install-dev test-needs ## run the long random fault tests; with another seed: REELFLOW_SEED=7 make soak
	@PREFECT_LOGGING_LEVEL=WARNING REELFLOW_SOAK=1 $(BIN)/python -m pytest -s -o faulthandler_timeout=7200 tests/e2e/test_faults.py tests/e2e/test_campaign_faults.py tests/e2e/test_phone_faults.py

scale: install-dev test-needs ## run the topology of an agency under load and faults, and print what it costs
	@PREFECT_LOGGING_LEVEL=WARNING REELFLOW_SCALE=1 $(BIN)/python -m pytest -s -o faulthandler_timeout=10800 tests/e2e/test_scale.py

coverage: install-dev test-needs ## show the lines and branches of reelflow/ that no test reaches
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest tests/unit tests/contract tests/flows
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: install-dev ## check style, types and the house rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tests/shape/house_rules.py

bench: install-dev ## measure reelflow against named alternatives
	@$(BIN)/python -m benchmarks

docs: install-dev ## write docs/flows.md and docs/commands.md from the code
	@$(BIN)/python docs/make_reference.py

pictures: install-dev ## take docs/pictures in a real browser
	@$(BIN)/python docs/make_pictures.py

# Hashes and no registry host, so that the file is the same wherever it is made.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
lock: | $(BIN)/uv ## update the pinned requirements
	@$(LOCK) pyproject.toml -o requirements.lock
	@$(LOCK) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## delete everything that make created, also the data of `make up`
	rm -rf $(VENV) .reelflow .coverage* .pytest_cache .mypy_cache .ruff_cache
