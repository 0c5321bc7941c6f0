# Two commands to know: `make demo` and `make test`. Each builds .venv from requirements.lock on first use.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# packages of the lock that are left out: make env WITHOUT="torch tensorflow-cpu"
WITHOUT ?=
# uv does not read pip's settings: hand it the folder of local wheels, where there is one; else it knows where the CPU build of torch lies
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
ifeq ($(UV_FIND_LINKS),)
export UV_TORCH_BACKEND ?= cpu
endif
# imports are three times slower without bytecode
unexport PYTHONDONTWRITEBYTECODE
export MLFLOW_DISABLE_TELEMETRY := true
# two cores: one thread each beats two that spin
export OMP_WAIT_POLICY := PASSIVE

NBVAL := --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider --dist loadscope -q

.PHONY: help env demo test test-fast test-data test-cases test-agents test-pythons soak lab bench bench-long bench-serving docs semantic lock audit check clean browser keys postgres

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

# a lock is complete: --no-deps takes it as it is, and what tools/lock/excluded.txt names (NCCL, CUDA) stays out
LOCKED := --no-deps --require-hashes -r $(VENV)/requirements.lock

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) was found: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@echo "Building $(VENV) from requirements.lock$(if $(WITHOUT), without $(WITHOUT)) (once; some minutes)"
	$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {own = 1; print; next} /^[^ ]/ {own = 0} own' requirements.lock > $(VENV)/uv.lock
	@awk -v without="$(WITHOUT)" 'BEGIN {count = split(without, names, " "); for (i = 1; i <= count; i++) out[names[i]]} \
	  /^[^ #]/ {split($$1, pin, "=="); skip = pin[1] in out} !skip' requirements.lock > $(VENV)/requirements.lock
	@if $(BIN)/python -m pip install -q --no-deps --require-hashes -r $(VENV)/uv.lock; then \
	  $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python $(LOCKED); \
	else \
	  $(BIN)/python -m pip install -q $(LOCKED); \
	fi
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@$(BIN)/python -m epochkit.lab.run_order >/dev/null  # an editable install carries no data files
	@$(BIN)/python -m epochkit.project.repository setup
	@touch $@

env: $(VENV)/.ready  ## the environment alone

browser: $(VENV)/.ready
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
	{ if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "Installing chromium (PNG export and browser tests)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu-core >/dev/null; \
	  else echo "No browser was found: interactive figures get no PNG and browser tests are skipped. Install one, for example: apt-get install chromium"; fi; }

keys: browser
	@command -v ssh-keygen >/dev/null 2>&1 || \
	{ if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openssh-client >/dev/null; \
	  else echo "No ssh-keygen was found: tests of signed decisions are skipped. Install it, for example: apt-get install openssh-client"; fi; }

postgres: $(VENV)/.ready
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || \
	{ if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "Installing PostgreSQL (tests start a server of their own)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; \
	  else echo "No PostgreSQL server was found: its tests are skipped. Install it, for example: apt-get install postgresql"; fi; }

demo: browser  ## all eight epochs on the bundled real demo data, unattended; then service, app, monitor and the way back
	$(BIN)/epoch run all --unattended "make demo: nobody is asked" $(ARGS)
	@$(BIN)/python tools/tour.py

check: $(VENV)/.ready  ## drift between settings, notebooks and exported modules; names that nothing defines
	$(BIN)/python -m epochkit.project.checks settings
	$(BIN)/python -m epochkit.project.checks notebooks
	$(BIN)/python -m epochkit.project.checks export
	$(BIN)/python -m compileall -q src
	@if [ -x $(BIN)/ruff ]; then $(BIN)/ruff check -q --isolated --select E9,F63,F7,F82 src epoch0* nbs/index.ipynb && \
	  $(BIN)/ruff check -q --isolated --select F401 --exclude tests,templates src/epochkit; fi

test-fast: check  ## what needs no browser and no whole lifecycle
	$(BIN)/python -m pytest src -q -n 2 --dist loadscope -m "not lifecycle and not browser and not soak and not datasets and not cases"

test: check keys postgres  ## everything: drift, unit tests, two lifecycles, notebooks, browser
	@home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; export EPOCH_FINISHED_HOME=$$home/finished; \
	$(BIN)/python -m pytest src -q -n 2 --dist loadscope -m "not browser and not soak and not datasets and not cases"; \
	$(BIN)/python -m pytest src -q -m browser; \
	EPOCH_HOME=$$home/nbs $(BIN)/python -m pytest --nbval nbs -n 2 $(NBVAL); \
	EPOCH_HOME=$$home/finished EPOCH_NBVAL=1 $(BIN)/python -m pytest --nbval-lax $(NBVAL) \
	  $$(ls -d epoch00*/notebooks/*.ipynb | sort -r)

test-data: check browser  ## epochs 001 to 004 on many real tables: roles, traps, splits; ends with a table of seconds and memory
	$(BIN)/python -m pytest src -q -m datasets

test-cases: check  ## troubles that people met elsewhere, each from its file to its right value (../shared/cases)
	$(BIN)/python -m pytest src -q -n 2 -m cases

test-agents: check keys  ## what an agent may do, and what it is kept from: the whole walk, the attempts, the guard, the MCP server, every name in every text; a simulated Domino
	$(BIN)/python -m pytest src -q -m agents

PYTHONS ?= python3.12 python3.13
test-pythons:  ## the unit tests of the base areas on other Pythons: PYTHONS="/path/to/python3.12 ...", WITHOUT=torch where it has no wheel
	@for python in $(PYTHONS); do \
	  command -v "$$python" >/dev/null || { echo "$$python: SKIPPED, it is not on this machine"; continue; }; \
	  venv=.venv-$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $(MAKE) env VENV=$$venv PYTHON="$$python" WITHOUT="$(WITHOUT)"; echo "$$venv"; \
	  $$venv/bin/python -m pytest -q -m "not lifecycle and not browser and not soak and not datasets and not cases" src/epochkit/tests/test_frameworks_conformance.py \
	    src/epochkit/tests/test_{core,record,lifecycle,cleaning,sources,models}_*.py; \
	done

soak: $(VENV)/.ready  ## kill, cut and damage by the hundred (hours)
	$(BIN)/python -m pytest src -q -n 2 -m soak

lab: $(VENV)/.ready  ## JupyterLab with the control room open; ARGS="--port 9999" hands options on
	$(BIN)/epoch lab -- $(ARGS)

bench-serving: $(VENV)/.ready  ## the service beside mlflow models serve and a bare FastAPI, on the model of this home
	$(BIN)/python benchmarks/serving.py

bench: $(VENV)/.ready  ## the benchmarks, as JSON, and benchmarks/README.md with what they should have been
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/record.py
	$(BIN)/python benchmarks/guard.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/synthetic.py
	$(BIN)/python benchmarks/cleaning.py --rows 500000
	$(BIN)/python benchmarks/parts.py
	$(BIN)/python benchmarks/table.py

bench-long: bench  ## those, what the leak audit finds on many tables, and the epochs of four tables (an hour)
	$(BIN)/python benchmarks/leaks.py
	$(BIN)/python benchmarks/epochs.py
	$(BIN)/python benchmarks/table.py

docs: $(VENV)/.ready  ## the documentation as a searchable site in site/ (open site/index.html)
	@config=$$($(BIN)/python -m epochkit.project.site); NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build -q --strict --clean -f "$$config"
	@echo "Built: site/index.html"

semantic:  ## Semantic UI's rules for the app from its npm package (needs npm); the result is committed
	python3 tools/semantic.py

COMPILE = env -u UV_FIND_LINKS -u UV_TORCH_BACKEND $(BIN)/uv pip compile -q --universal --fork-strategy fewest --python-version 3.11 \
  --generate-hashes --no-annotate --no-header --no-emit-package torch --excludes tools/lock/excluded.txt
PROJECT_LOCK := src/epochkit/templates/project/requirements.lock

lock: $(VENV)/.ready  ## pyproject.toml into the lock of this repository and those of a new project; newer versions with ARGS=--upgrade
	$(COMPILE) $(ARGS) --extra dev pyproject.toml -o requirements.lock
	@rm -f $(PROJECT_LOCK)
	$(COMPILE) --constraint requirements.lock --extra all --extra project pyproject.toml -o $(PROJECT_LOCK)
	@cat tools/lock/torch.txt | tee -a requirements.lock >> $(PROJECT_LOCK)
	$(BIN)/python tools/lock/domino.py

audit: $(VENV)/.ready  ## known vulnerabilities of everything that is locked; SKIPPED by name where the service cannot be reached
	$(BIN)/python tools/audit.py

clean:  ## forget the demo's state (record, data, artifacts); keeps the environment
	@git update-ref -d refs/notes/epoch-ledger 2>/dev/null || true  # the anchors of the record that goes
	rm -rf .context data/credit_risk artifacts mlruns mlflow.db epoch001-*/*.json epoch001-*/executive_summary.md epoch001-*/requirements.md epoch002-*/schema.toml epoch008-*/project_playbook.json epoch008-*/lessons_learned
