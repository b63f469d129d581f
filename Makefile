# Two commands do everything on a machine with Python 3.11 or newer, make, pip and git:
#
#     make demo     set up, then the main job on drawn radiographs; prints where the report is
#     make test     the same set-up, then the tests
#
# Set-up happens once, in .venv, and again when pyproject.toml or constraints.txt change.
# Another Python than the first one found: make demo PYTHON=python3.12

PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
    $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test check coverage docs bench clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo       train on drawn radiographs with wrong outlines, correct the outlines, say where the report is'
	@echo 'make test       run the tests'
	@echo 'make check      lint, format, layers, types'
	@echo 'make coverage   the tests again, with the share of lines and branches that they run'
	@echo 'make docs       build the documentation site in site/, warnings are errors'
	@echo 'make bench      run what is left of the benchmarks on real radiographs (hours; needs LABELMEND_DATA)'
	@echo 'make setup      only set up'
	@echo 'make clean      remove the set-up and all caches'

setup: $(READY)

# A venv without pip of its own (as on systems that split it off) is filled by the pip of $(PYTHON).
$(READY): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { echo 'labelmend needs Python 3.11 or newer: say make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@echo 'setting up $(VENV); the first time this takes some minutes'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m pip --python $(BIN)/python install --quiet pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/labelmend demo

# One thread: the arrays of the tests are too small for more.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow'

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

# Slower than the tests alone; fails below the share that pyproject.toml holds.
coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -m 'not slow'
	$(BIN)/coverage report

# Warnings are errors; what MkDocs needs comes with the extra `docs`.
docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# pytest exits with 5 where there is no slow test.
bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow || test $$? -eq 5
	$(BIN)/python benchmarks/run_jsrt.py --minutes 1e6
	$(BIN)/python benchmarks/table_jsrt.py
	$(BIN)/python benchmarks/run_suite.py jsrt --minutes 1e6
	$(BIN)/python benchmarks/table_suite.py jsrt
	$(BIN)/python benchmarks/markov_speed.py
	$(BIN)/python benchmarks/simulate_throughput.py

clean:
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage src/*.egg-info
