# Works on a machine that has only Python, pip, venv and make: every target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Without the warning that setuptools gives for every editable install.
PIP = PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet
EXTRAS = dev

.PHONY: demo test lint check pythons peers wheel chaos bench docs clean

demo: $(VENV)/.ready
	$(BIN)/python -m examples.walkthrough
	$(BIN)/python -m examples.training.digits

test: $(VENV)/.ready
	$(BIN)/python -m pytest -q

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint
	$(BIN)/python tests/sizes.py

pythons: $(VENV)/.ready
	$(BIN)/python -m tests.pythons

peers: $(VENV)/.ready
	$(BIN)/python -m tests.peers

wheel: $(VENV)/.ready
	$(BIN)/python -m tests.wheel

chaos: $(VENV)/.ready
	WEFTWORK_CHAOS=10 $(BIN)/python -m pytest -q -s tests/chaos

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.run_all

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build dist site *.egg-info

$(VENV)/.ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --editable '.[$(EXTRAS)]'
	touch $@

$(VENV)/.bench: $(VENV)/.ready
	$(PIP) --editable '.[$(EXTRAS),bench]'
	touch $@

$(VENV)/.docs: $(VENV)/.ready
	$(PIP) --editable '.[$(EXTRAS),docs]'
	touch $@
