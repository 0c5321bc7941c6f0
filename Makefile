# Two commands to know: `make demo` and `make test`. Each builds .venv from requirements.lock on first use.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
# uv does not read pip's settings: hand it the folder of local wheels, where there is one
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# imports are three times slower without bytecode
unexport PYTHONDONTWRITEBYTECODE
export MLFLOW_DISABLE_TELEMETRY := true
# two cores: one thread each beats two that spin
export OMP_WAIT_POLICY := PASSIVE

NBVAL := --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider --dist loadscope -q

.PHONY: help env demo test test-fast test-data soak lab bench docs lock check clean browser keys postgres

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) was found: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@echo "Building .venv from requirements.lock (once; some minutes)"
	$(PYTHON) -m venv .venv
	@if $(BIN)/python -m pip install -q "$$(grep '^uv==' requirements.lock)"; then \
	  $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -r requirements.lock; \
	else \
	  $(BIN)/python -m pip install -q -r requirements.lock; \
	fi
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

env: .venv/.ready  ## the environment alone

browser: .venv/.ready
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
	{ if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "Installing chromium (PNG export and browser tests)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu-core >/dev/null; \
	  else echo "No browser was found: interactive figures get no PNG and browser tests are skipped. Install one, for example: apt-get install chromium"; fi; }

keys: browser
	@command -v ssh-keygen >/dev/null 2>&1 || \
	{ if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openssh-client >/dev/null; \
	  else echo "No ssh-keygen was found: tests of signed decisions are skipped. Install it, for example: apt-get install openssh-client"; fi; }

postgres: .venv/.ready
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || \
	{ if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "Installing PostgreSQL (tests start a server of their own)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; \
	  else echo "No PostgreSQL server was found: its tests are skipped. Install it, for example: apt-get install postgresql"; fi; }

demo: browser  ## all eight epochs on the bundled real demo data, unattended
	$(BIN)/epoch run all --unattended "make demo: nobody is asked" $(ARGS)

check: .venv/.ready  ## drift between settings, notebooks and exported modules
	$(BIN)/python -m epochkit.project.checks settings
	$(BIN)/python -m epochkit.project.checks notebooks
	$(BIN)/python -m epochkit.project.checks export
	$(BIN)/python -m compileall -q src

test-fast: check  ## what needs no browser and no whole lifecycle
	$(BIN)/python -m pytest src -q -n 2 --dist loadscope -m "not lifecycle and not browser and not soak and not datasets"

test: check keys postgres  ## everything: drift, unit tests, two lifecycles, notebooks, browser
	@home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; export EPOCH_FINISHED_HOME=$$home/finished; \
	$(BIN)/python -m pytest src -q -n 2 --dist loadscope -m "not browser and not soak and not datasets"; \
	$(BIN)/python -m pytest src -q -m browser; \
	EPOCH_HOME=$$home/nbs $(BIN)/python -m pytest --nbval nbs -n 2 $(NBVAL); \
	EPOCH_HOME=$$home/finished EPOCH_NBVAL=1 $(BIN)/python -m pytest --nbval-lax $(NBVAL) \
	  $$(ls -d epoch00*/notebooks/*.ipynb | sort -r)

test-data: check browser  ## epochs 001 to 004 on many real tables: roles, traps, splits; ends with a table of seconds and memory
	$(BIN)/python -m pytest src -q -m datasets

soak: .venv/.ready  ## kill, cut and damage by the hundred (hours)
	$(BIN)/python -m pytest src -q -n 2 -m soak

lab: .venv/.ready  ## JupyterLab with the control room open
	$(BIN)/jupyter lab --notebook-dir=. nbs/index.ipynb

bench: .venv/.ready  ## the benchmarks, as JSON and a table
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/record.py
	$(BIN)/python benchmarks/guard.py
	$(BIN)/python benchmarks/synthetic.py
	$(BIN)/python benchmarks/leaks.py
	$(BIN)/python benchmarks/epochs.py

docs: .venv/.ready  ## the documentation as a searchable site in site/ (open site/index.html)
	@$(BIN)/python -c 'import material' 2>/dev/null || { echo "mkdocs-material is needed to build the site: $(BIN)/python -m pip install mkdocs-material"; exit 2; }
	@config=$$($(BIN)/python -m epochkit.project.site); NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build -q --strict --clean -f "$$config"
	@echo "Built: site/index.html"

lock: .venv/.ready  ## resolve pyproject.toml anew into requirements.lock (torch stays the CPU build where there is one)
	rm -f requirements.lock
	$(BIN)/uv pip compile -q --all-extras pyproject.toml --python-version 3.11 --no-header --no-annotate -o requirements.lock
	sed -i -E 's/^torch==([0-9.]+)\+cpu/torch==\1/' requirements.lock

clean:  ## forget the demo's state (record, data, artifacts); keeps the environment
	@git update-ref -d refs/notes/epoch-ledger 2>/dev/null || true  # the anchors of the record that goes
	rm -rf .context data/credit_risk artifacts mlruns mlflow.db epoch001-*/*.json epoch001-*/executive_summary.md epoch002-*/schema.toml epoch008-*/project_playbook.json epoch008-*/lessons_learned
