# Every target works from a fresh checkout: `setup` brings uv if it is missing, inside the checkout.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/.uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
QUICKLY := $(if $(QUICK),TREFOIL_QUICK=1)
LOOPBACK := --allow-hosts=127.0.0.1,::1,localhost --allow-unix-socket
PAGE := functions/console/page
BUILT := $(PAGE)/built/index.html

# Seconds after which a test that hangs fails with the stack of every thread, fixtures included.
export PYTEST_TIMEOUT := 1200
containers faults load iam: export PYTEST_TIMEOUT := 1800

# A worker of pytest for each core: threads of the linear algebra would wait for one another by spinning.
test quick threads: export OPENBLAS_NUM_THREADS := 1
# Without bytecode on disk every command that is started compiles all it imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test quick threads check containers browser faults load iam bench clean

help: ## Show this list.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s%s\n", $$1, $$2}'

setup: .venv/.done node_modules/.done $(BUILT) ## Install what the lock files name, into this checkout only.

demo: setup ## Run all three leaves end to end on the local cloud; ONCE=1 ends by itself.
	@$(RUN) trefoil demo $(if $(ONCE),--once)

# Three workers keep two cores at work: a test of the local cloud waits for a third of its time.
test: setup ## Everything that needs neither Docker nor a browser.
	PATH=$(CURDIR)/.venv/bin:$$PATH npm test --silent
	$(RUN) pytest -n 3 --dist loadfile $(LOOPBACK) tests/local tests/architecture tests/unit tests/hostile tests/infrastructure tests/threads

quick: setup ## In seconds to a minute: lint, the page's functions, and the unit tests of the folders that changed since the last commit.
	$(RUN) ruff check
	PATH=$(CURDIR)/.venv/bin:$$PATH npm test --silent
	@folders=$$(git status --porcelain -- functions layers cli tests/unit | sed -nE 's#.*(functions|layers|tests/unit)/([a-z]+)/.*#tests/unit/\2#p; s#.* cli/.*#tests/unit/cli#p' | sort -u | xargs -r ls -d 2>/dev/null); \
	if [ -n "$$folders" ]; then $(RUN) pytest $(LOOPBACK) $$folders; else echo "nothing changed that has unit tests"; fi

threads: setup ## What people reported of such work elsewhere, each as a case with its link; part of test.
	$(RUN) pytest -v $(LOOPBACK) tests/threads

check: setup ## Format, lint, types and import contracts.
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) lint-imports

containers: setup ## Build every image and run the same flow in containers; needs Docker.
	$(RUN) pytest tests/containers

browser: setup ## The page in a real Chromium.
	$(RUN) pytest tests/browser

faults: setup ## What is lost or doubled when AWS fails: errors, resets, kills, duplicates; QUICK=1 is bounded.
	$(QUICKLY) $(RUN) pytest $(LOOPBACK) tests/faults

load: setup ## The queue, the API and a day of rides under more than they take; QUICK=1 is bounded.
	$(QUICKLY) $(RUN) pytest $(LOOPBACK) tests/load

iam: setup ## Every flow with the roles it has, enforced, over TLS; needs Docker.
	$(RUN) pytest tests/iam

bench: setup ## Speed, memory and quality beside peers; QUICK=1 in two minutes.
	$(RUN) python -m tests.benchmarks $(if $(QUICK),--quick)

clean: ## Remove everything that make built.
	rm -rf .venv .uv node_modules build cdk.out .trefoil $(PAGE)/built

$(CURDIR)/.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'

.venv/.done: pyproject.toml uv.lock | $(UV)
	UV_COMPILE_BYTECODE=1 $(UV) sync --frozen
	@touch $@

node_modules/.done: package.json package-lock.json .venv/.done
	PATH=$(CURDIR)/.venv/bin:$$PATH npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(BUILT): node_modules/.done $(wildcard $(PAGE)/*.*)
	PATH=$(CURDIR)/.venv/bin:$$PATH npm run --silent build
