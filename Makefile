# make demo   set everything up, then search, export and retrain on the built-in digits
# make test   set everything up, then run the tests
# make test-ci   the tests that need PostgreSQL, SLURM, Ray, Chromium or minutes (.ci/run installs what they need)
# make lint types   what CI checks besides
# make docs   write the references of the command line and of the Python interface anew
#
# Variables: PYTHON (an interpreter >= 3.11), VENV (default .venv), RUNS (default runs).

VENV   ?= .venv
RUNS   ?= runs
BIN    := $(VENV)/bin
# Two stamps: the demo needs the plain package only, the tests every extra.
PLAIN  := $(VENV)/.set-up-plain
STAMP  := $(VENV)/.set-up
# The first interpreter on the path that is new enough; a macOS `python3` may be 3.9.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# Packages are installed without bytecode, and the first import of a module writes it. Where the environment forbids that,
# every process compiles all that it imports anew: three times as slow to start, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-ci lint types docs schema check clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

setup: $(STAMP)

# A stamp comes last: a set-up that was cut off is done again.
$(PLAIN): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make setup: Python 3.11 or newer must be on the PATH; none was found; install one or call make PYTHON=/path/to/python3"; exit 2; }
	@test -x "$(BIN)/python" || "$(PYTHON)" -m venv "$(VENV)" || { rm -rf "$(VENV)"; echo "make setup: $(PYTHON) must be able to make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }
	"$(BIN)/python" -m pip install -qq --no-compile --constraint constraints.txt --editable .
	@touch "$@"

$(STAMP): $(PLAIN)
	"$(BIN)/python" -m pip install -qq --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch "$@"

# One thread: on several, sums round otherwise, and the same search ends with another network on another machine.
demo: $(PLAIN)
	OMP_NUM_THREADS=1 "$(BIN)/sfg-nas" search studies/digits.yaml --runs "$(RUNS)"
	OMP_NUM_THREADS=1 "$(BIN)/sfg-nas" export "$(RUNS)/digits" --to "$(RUNS)/digits/export" --format json,graphml,png
	OMP_NUM_THREADS=1 "$(BIN)/sfg-nas" retrain "$(RUNS)/digits"
	@echo
	@echo "The run, with every trial:        $(RUNS)/digits"
	@echo "The architecture (JSON, GraphML)"
	@echo "and its drawing (PNG):            $(RUNS)/digits/export"
	@echo "The retrained networks:           $(RUNS)/digits/retrained"

# One thread in each test process: two that share two cores lose more to each other than they gain. Three processes, as tests
# of workers and of kills wait much of their time; each takes a run of neighbours, so that few fixtures are made twice.
test: $(STAMP)
	OMP_NUM_THREADS=1 "$(BIN)/python" -m pytest -q -n 3 --dist worksteal -m "not ci"

# Three processes, as much of it waits; those that start a Ray cluster follow each other.
test-ci: $(STAMP)
	OMP_NUM_THREADS=1 "$(BIN)/python" -m pytest -q -n 3 --dist loadgroup --durations=10 -m ci

lint: $(STAMP)
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

types: $(STAMP)
	"$(BIN)/mypy"

# What editors complete study files with; a test fails while it is not that of the code.
schema: $(PLAIN)
	"$(BIN)/python" -c "import json; from sfg_nas.study.schema import full_schema; print(json.dumps(full_schema(), indent=2))" > sfg_nas/config/study.schema.json.new
	mv sfg_nas/config/study.schema.json.new sfg_nas/config/study.schema.json

docs: $(STAMP)
	"$(BIN)/python" docs/reference.py

check: test test-ci lint types

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
