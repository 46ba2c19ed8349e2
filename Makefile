# The commands of a working day. Needs Python 3.11 or later, make and git; `make` alone lists them.

PYTHON ?= python3
PORT ?= 8000
WORKERS ?= 1
JOBS ?= 3
BIN := .venv/bin

export PORT

.PHONY: help setup run seed test test-long faults bench check client-check

help:
	@echo "make run     set up, start MongoDB and the API with demo data, and say where to look (PORT=8000)"
	@echo "make setup   make the virtual environment .venv and install what is pinned (PYTHON=python3)"
	@echo "make seed    fill the database with demo data (ARGS=--help tells more)"
	@echo "make test    set up and run the tests (JOBS=3 files at a time)"
	@echo "make faults  kill server processes by the dozen while messages go out (some minutes; prints figures)"
	@echo "make test-long   the deeper ones beside them: what CI runs too (three minutes)"
	@echo "make bench   measure speed beside a bare floor, and write benchmarks/RESULTS.md (under ten minutes;"
	@echo "             ARGS=--quick for about a minute, ARGS='--only booking,day' for some parts: these only print)"
	@echo "make check   format, lint, types, architecture"
	@echo "make client-check   generate a TypeScript client from the OpenAPI document and compile it (needs Node)"

setup: .venv/installed

# Rebuilt only when the pins change.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; choose one with PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
		|| { echo "No venv? On Debian and Ubuntu: apt install python3-venv"; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# The demo's patients are not asleep: whoever tries it at night sees messages at once.
run: export SMS_QUIET_FROM ?= 00:00
run: export SMS_QUIET_UNTIL ?= 00:00
run: setup
	@exec $(BIN)/python -m backend serve --demo --workers $(WORKERS)

seed: setup
	@$(BIN)/python -m seed $(ARGS)

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

faults: setup
	FAULTS=full $(BIN)/python -m pytest -m "long or not long" tests/faults $(ARGS)

test-long: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m long $(ARGS)

# What draws the plot. Without it there are figures all the same.
.venv/plots: benchmarks/requirements.txt .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt \
		&& touch $@ || echo "bench: matplotlib could not be installed; there will be no plot"

bench: setup .venv/plots
	$(BIN)/python -m benchmarks $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

client-check: setup
	$(BIN)/python -m tests.client
