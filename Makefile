# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATASET ?=
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
export OMP_NUM_THREADS ?= 2
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup demo stop test test-e2e check bench simulate-year clean requirements

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready ## make .venv with the locked packages

$(VENV)/.ready: pyproject.toml uv.lock
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || $(BIN)/pip install --quiet uv
	$(UV) sync --frozen --extra local --python $(BIN)/python
	@touch $@

demo: setup ## run the whole loop on this machine (DATASET=folder for real sales)
	@$(BIN)/shelfcast demo $(if $(DATASET),--dataset "$(DATASET)")

stop: ## end everything that `make demo` left running
	@if test -x $(BIN)/shelfcast; then $(BIN)/shelfcast down; fi

test: setup ## all tests but those of the whole loop
	@$(BIN)/pytest -m "not e2e" --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term --cov-fail-under=95

test-e2e: setup ## the whole loop in real Airflow
	@$(BIN)/pytest -m e2e -p no:randomly --timeout 2400

check: setup ## style, types, walls, SQL, lock
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint $(filter-out sql/playback sql/sources,$(wildcard sql/*)) --disable-progress-bar --processes 2
	@$(BIN)/sqlfluff lint sql/playback sql/sources --templater placeholder --disable-progress-bar
	@$(UV) lock --check
	@$(UV) export --frozen --no-dev --no-emit-project --format requirements-txt -q | grep -v '^#' | diff -q - <(grep -v '^#' requirements.txt) \
	  || { echo "requirements.txt is not in step with uv.lock: run make requirements"; exit 1; }

requirements: setup ## export requirements.txt from the lock, with hashes
	@$(UV) export --frozen --no-dev --no-emit-project --format requirements-txt -q -o requirements.txt

bench: setup ## ratios to named peers, into .shelfcast/bench.json
	@PYTHONPATH=tests $(BIN)/python -m bench

simulate-year: setup ## a year of Mondays in several shops, about an hour; writes docs/images/year_of_mondays.png
	@$(BIN)/python -m shelfcast_local.year --out docs/images

clean: stop ## remove the environment and all state
	@rm -rf $(VENV) .shelfcast
