# The commands of a working day. Needs Python 3.11 or later, make and git; `make` alone lists them.

PYTHON ?= python3
PORT ?= 8000
WORKERS ?= 1
JOBS ?= 3
BIN := .venv/bin

FAST := tests/test_architecture.py $(addprefix tests/,accounts appointments directory messaging reports scheduling)

export PORT
# Compiled files halve the start of every process: tests start a hundred.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run dev seed test-fast test test-long faults bench check client-check

help:
	@echo "make run          set up, start MongoDB and the API with demo data, and print where to look (PORT=8000)"
	@echo "make dev          the same, and start the API again whenever a file in backend/ changes"
	@echo "make setup        create the virtual environment .venv and install the pinned packages (PYTHON=python3)"
	@echo "make seed         fill the database with demo data (ARGS=--help lists its options)"
	@echo "make test-fast    the inner loop: pure tests and one file of server tests per package, under a minute"
	@echo "make test         all tests but the long ones, under five minutes (JOBS=3 files at a time)"
	@echo "make test-long    the long ones: races, interrupted work, the carrier's contract (some minutes)"
	@echo "make faults       kill server processes while messages go out, and print the counts (some minutes)"
	@echo "make check        formatting, lint, types, architecture"
	@echo "make client-check generate TypeScript clients from the OpenAPI document and compile them (needs Node)"
	@echo "make bench        measure speed beside a bare floor and write benchmarks/RESULTS.md (eleven minutes;"
	@echo "                  ARGS=--quick or ARGS='--only booking,growth' prints and writes nothing)"

setup: .venv/installed

# Rebuilt only when the pins change.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; choose one with PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
		|| { echo "No venv? On Debian and Ubuntu: apt install python3-venv"; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# No quiet hours in the demo: messages go out at once, at night too.
run dev: export SMS_QUIET_FROM ?= 00:00
run dev: export SMS_QUIET_UNTIL ?= 00:00
run: setup
	@exec $(BIN)/python -m backend serve --demo --workers $(WORKERS)

dev: setup
	@exec $(BIN)/python -m backend serve --demo --reload

seed: setup
	@$(BIN)/python -m seed $(ARGS)

# Only the folders that hold fast tests: collecting the others takes as long as running these.
test-fast: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m fast $(FAST) $(ARGS)

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

faults: setup
	FAULTS=full $(BIN)/python -m pytest -m "long or not long" tests/faults $(ARGS)

test-long: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m long $(ARGS)

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

client-check: setup
	$(BIN)/python -m tests.client
