# On a machine with Python 3.11 or 3.12 and make: `make demo`, `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
HOME_DIR := $(if $(QLOPS_HOME),$(QLOPS_HOME),.qlops)
JOBS   ?= 2

.PHONY: help install demo up down test check format bench lock clean

help:             ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## .venv with the locked dependencies

# One pip is busy with one core and one download: two of them install what is locked, as far as
# this Python has such versions. Where that is not all of it, pip decides and brings what is missing.
$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV) (some minutes, once)"
	@{ xargs -n 40 -P 2 $(PIP) --no-deps < requirements.lock && \
	   $(PIP) --no-deps --editable . && $(BIN)/python -m pip check >/dev/null; } || \
	  $(PIP) --constraint requirements.lock --editable '.[dev]'
	touch $@

demo: $(STAMP)    ## The main job on the built-in market; BARS=PATH for your own Parquet
	$(BIN)/qlops --home $(HOME_DIR) demo $(if $(BARS),--bars "$(BARS)")

up: $(STAMP)      ## Dagster, console and model servers, until Ctrl-C
	$(BIN)/qlops --home $(HOME_DIR) up

down: $(STAMP)    ## Stop model servers in the background
	$(BIN)/qlops --home $(HOME_DIR) down

test: $(STAMP)    ## The whole test suite
	$(BIN)/python -m pytest -n $(JOBS)

check: $(STAMP)   ## Lint, format, types, layers and doors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## Let ruff format and sort
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)   ## Every benchmark, one ratio a line
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script; done

lock: $(STAMP)    ## Write requirements.lock from what is installed
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/^torch==([0-9.]+).*/torch==\1/' > requirements.lock

clean:            ## Remove the virtual environment and caches (never a home)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
