# Everything runs from the checkout, in .venv; nothing need be installed by hand but Python and make.

.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; read only where it is used.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Every package at one version and with the hashes of its files; only torch has its pin apart,
# because each of its builds has hashes of its own.
INSTALL_PINNED := $(PIP) install --require-hashes --no-deps -r
INSTALL_PROJECT := $(PIP) install --no-build-isolation -r requirements-torch.txt -e .
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	--python-version 3.11 $(U:%=--upgrade-package %)
PINS := $(UV_COMPILE) -c requirements-torch.txt --no-emit-package torch
PROCESSES := tests/acceptance tests/chaos tests/conformance/suite
WORKERS := tests/integration/worker
# What the client programs of the acceptance tests run in, apart from the server's own packages.
CLIENTS := tests/acceptance/clients
CLIENTS_VENV := .venv-clients
NODE_MODULES := $(if $(shell command -v npm),$(CLIENTS)/node_modules/.package-lock.json)
# What workers with vLLM run in, which needs other versions of some packages.
VLLM_VENV := .venv-vllm
VLLM_TESTS := tests/unit/worker/engine/contract tests/unit/worker/engine/vllm \
	tests/integration/worker/test_vllm.py tests/integration/worker/test_vllm_images.py
PINS_VLLM := $(UV_COMPILE) -c requirements-torch.txt --override requirements-vllm-overrides.txt \
	$(addprefix --no-emit-package ,torch openvino openvino-telemetry torchaudio torchcodec torchvision)
# What is needed besides where `ENGINE=vllm` is given, which tests read from the environment.
OF_VLLM := $(if $(filter vllm,$(ENGINE)),$(VLLM_VENV)/.installed)
# The addresses of a running `make up`, unless they are given.
RUN_ENV := $(or $(ANTIPHON_DATA_DIR),.antiphon)/run/env
WITH_SERVERS := test -n "$$DATABASE_URL" || { test ! -f $(RUN_ENV) || { set -a; . $(RUN_ENV); }; };

.PHONY: help up vllm-install test-vllm test-installed-vllm test test-others test-processes test-integration test-workers test-units fuzz chaos chaos-mutants nightly guarantees lint format types docs screenshots pins coverage check migrate migration bench peers-install peers grammars compose-test clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/.runtime $(OF_VLLM) ## Start everything; Ctrl-C stops it; ENGINE=vllm
	@$(if $(ENGINE),ANTIPHON_ENGINE=$(ENGINE)) exec ./antiphon up

vllm-install: $(VLLM_VENV)/.installed ## Install vLLM and what its workers need in .venv-vllm

test-vllm: $(VLLM_VENV)/.installed ## Run the contract of engines with vLLM, in its environment
	$(VLLM_VENV)/bin/python -m pytest -W ignore $(or $(T),$(VLLM_TESTS))

test-installed-vllm: # As continuous integration runs it: where the environment is
	@if test -e $(VLLM_VENV)/.installed; then $(MAKE) --no-print-directory test-vllm; else \
		echo 'SKIPPED the contract of engines with vLLM: not installed (make vllm-install)'; fi

test: $(VENV)/.dev $(CLIENTS_VENV)/.installed $(NODE_MODULES) $(OF_VLLM) ## Run the tests, or those in T=path; acceptance: ENGINE=vllm
ifdef T
	$(BIN)/python -m pytest $(T)
else
	@$(MAKE) --no-print-directory --keep-going --jobs=3 test-processes test-integration test-others \
		test-units test-workers
endif

# Most tests wait for servers half of the time, so that two cores run three groups at once. With all five,
# slow cores leave the workers of some tests too little time to renew their leases.
# Each group has a process of its own, and does not inherit what the libraries of others left behind.
test-processes: $(VENV)/.dev
	$(BIN)/python -m pytest -q -o cache_dir=.pytest_cache/processes $(PROCESSES)

test-integration: $(VENV)/.dev
	$(BIN)/python -m pytest -q -o cache_dir=.pytest_cache/integration tests/integration \
		--ignore=$(WORKERS)

test-workers: $(VENV)/.dev
	$(BIN)/python -m pytest -q -o cache_dir=.pytest_cache/workers $(WORKERS)

test-others: $(VENV)/.dev
	$(BIN)/python -m pytest -q -o cache_dir=.pytest_cache/others tests --ignore=tests/unit \
		--ignore=tests/integration $(PROCESSES:%=--ignore=%)

test-units: $(VENV)/.dev
	$(BIN)/python -m pytest -q -o cache_dir=.pytest_cache/units tests/unit

chaos: $(VENV)/.dev $(OF_VLLM) ## 10,000 responses under faults, some 20 minutes; SEED=n for other faults; ENGINE=vllm: 500
	$(BIN)/python -m tests.chaos $(if $(OF_VLLM),--engine vllm,--jobs 10000 --clients 64) --seed $(or $(SEED),1)

chaos-mutants: $(VENV)/.dev ## Switch each guarantee off and see that the checker finds it
	NIGHTLY=1 $(BIN)/python -m pytest tests/chaos/test_mutants.py

nightly: $(VENV)/.dev $(CLIENTS_VENV)/.installed $(NODE_MODULES) ## What takes too long for every change: tests marked `nightly`
	NIGHTLY=1 $(BIN)/python -m pytest -m nightly

guarantees: $(VENV)/.dev ## Measure every recovery of docs/guarantees.md
	$(BIN)/python -m tests.chaos.measure

fuzz: $(VENV)/.dev ## Send the API 24,000 generated inputs, valid and not, some minutes
	FUZZ_INPUTS=24000 $(BIN)/python -m pytest -s tests/conformance/test_fuzz*.py

lint: $(VENV)/.dev ## Check style, types and who imports what
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev ## Write docs/settings.md, docs/metrics.md and the fields of docs/protocol.md anew
	$(BIN)/python antiphon settings > docs/settings.md
	$(BIN)/python antiphon metrics > docs/metrics.md
	$(BIN)/python antiphon fields docs/protocol.md

screenshots: $(VENV)/.dev $(NODE_MODULES) ## Take the pictures of the dashboard in docs/images anew
	$(BIN)/python -m tests.browser.screenshots

types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

check: lint test test-installed-vllm ## What the continuous integration runs

migrate: $(VENV)/.runtime ## Bring the database to this version
	@$(WITH_SERVERS) ./antiphon migrate

migration: $(VENV)/.dev ## Write a migration for changed tables: m="what it does"
	@test -n '$(m)' || { echo 'usage: make migration m="add the column"'; exit 2; }
	@$(WITH_SERVERS) $(BIN)/alembic revision --autogenerate -m '$(m)'

pins: $(VENV)/.dev ## Write requirements*.txt anew for pyproject.toml; U=name to take its newest version
	$(PINS) pyproject.toml -o requirements.txt
	$(PINS) pyproject.toml --extra otel -o requirements-otel.txt
	$(PINS) pyproject.toml --extra otel --extra dev -o requirements-dev.txt
	$(PINS_VLLM) pyproject.toml requirements-vllm.in -o requirements-vllm.txt
	$(UV_COMPILE) --override $(CLIENTS)/overrides.txt --no-emit-package pip \
		--no-emit-package setuptools $(CLIENTS)/requirements.in -o $(CLIENTS)/requirements.txt

coverage: $(VENV)/.dev ## Line and branch coverage of each package, by the tests in one process
	$(BIN)/python -m coverage run -m pytest -q $(PROCESSES:%=--ignore=%)
	@for package in api worker models cli; do \
		echo "$$package: $$($(BIN)/python -m coverage report --include="$$package/*" | tail -1)"; done

bench: $(VENV)/.dev ## Measure, and append to bench/RESULTS.md
	$(BIN)/python -m bench.prompts
	$(BIN)/python -m bench.queue
	$(BIN)/python -m bench.serve
	$(BIN)/python -m bench.sampling
	$(BIN)/python -m bench.grammars
	$(BIN)/python -m bench.checkpoints

peers-install: $(VENV)/.dev ## Install vLLM, llama.cpp and others beside us, some 15 minutes
	$(BIN)/python -m bench.peers.install

peers: peers-install ## Measure beside other servers and engines
	$(BIN)/python -m bench.peers

grammars: $(VENV)/.dev ## Hold the default weights to every kind of grammar, 200 seeds each: some minutes
	NIGHTLY=1 GRAMMAR_SEEDS=200 $(BIN)/python -m pytest -s -k "obeys or patch" \
		tests/acceptance/test_default_weights.py tests/acceptance/test_custom_inputs.py

compose-test: ## Build and start docker-compose.yml, run a response through it, tear it down
	deploy/compose_test.sh

clean: ## Remove what was made here, but no data
	rm -rf $(VENV) $(VLLM_VENV) $(CLIENTS_VENV) $(CLIENTS)/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: pyproject.toml requirements.txt requirements-torch.txt
	@test -n '$(PYTHON)' || { echo 'Antiphon needs Python 3.11 or newer: make PYTHON=/path/to/it'; exit 2; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo '$(PYTHON) is older than Python 3.11: make PYTHON=/path/to/a/newer'; exit 2; }
	test -x $(BIN)/pip || '$(PYTHON)' -m venv $(VENV)
	$(INSTALL_PINNED) requirements.txt
	$(INSTALL_PROJECT)
	@touch $@

# pip would refuse versions that vLLM does not name, so that nothing is resolved here.
$(VLLM_VENV)/.installed: requirements-vllm.txt requirements-torch.txt
	test -x $(VLLM_VENV)/bin/pip || '$(PYTHON)' -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip --disable-pip-version-check install --require-hashes --no-deps -r requirements-vllm.txt
	$(VLLM_VENV)/bin/pip --disable-pip-version-check install -r requirements-torch.txt
	@touch $@

$(CLIENTS_VENV)/.installed: $(CLIENTS)/requirements.txt
	test -x $(CLIENTS_VENV)/bin/pip || '$(PYTHON)' -m venv $(CLIENTS_VENV)
	$(CLIENTS_VENV)/bin/pip --disable-pip-version-check install --quiet --require-hashes --no-deps -r $<
	@touch $@

$(CLIENTS)/node_modules/.package-lock.json: $(CLIENTS)/package-lock.json
	npm ci --prefix $(CLIENTS)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(INSTALL_PINNED) requirements-dev.txt
	@touch $@
