"""One run: servers, workers and beats; load and faults at once; then calm, and the verdict."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine

from release_worker import ReleaseClient
from release_worker.embedded import EmbeddedServers
from tests.faults.estate import Place, build_estate
from tests.faults.evidence import Evidence, gather
from tests.faults.journal import Journal, run_on_time
from tests.faults.load import Load, Watch, plain_app
from tests.faults.plan import Plan
from tests.faults.processes import CeleryProcess, beat, environment_of, worker
from tests.faults.settling import final_rollbacks, leftovers, settle
from tests.faults.strikes import Striker
from tests.faults.verdict import Findings, judge, unaccepted
from tests.support.exact_json import parsed

WORKERS, BEATS, ASKERS, EDITORS = 2, 2, 4, 3
MANY = 30  # releases that a toolset starts with


@dataclass(frozen=True)
class Outcome:
    """All that a run brought to light."""

    plan: Plan
    journal: Journal
    evidence: Evidence
    findings: Findings
    unaccepted: list[str]
    settled_after: float

    @property
    def clean(self) -> bool:
        return not any(self.findings.values())


def run_campaign(plan: Plan, servers: EmbeddedServers, database_url: str, directory: Path) -> Outcome:
    """Carry the plan out in a migrated, empty database. Logs of the processes are left in `directory`."""
    journal = Journal()
    with ExitStack() as stack:
        engine = _engine(database_url)
        stack.callback(engine.dispose)
        places = build_estate(engine)
        workers, beats = stack.enter_context(_processes(servers, database_url, directory))
        load = Load(servers, database_url, places, journal)
        stack.callback(load.close)
        client = ReleaseClient(broker_url=servers.broker_url, database_url=database_url)
        stack.callback(client.close)
        stack.enter_context(Watch(engine, journal))
        _first_releases(client, places, journal)
        plain = plain_app(servers.broker_url)
        stack.callback(plain.close)
        striker = Striker(servers, engine, workers, beats, plain, journal)
        _storm(plan, load, striker)
        settled_after = settle(servers, engine, journal)
        torn = list(final_rollbacks(client, engine, places, journal))
        evidence = replace(gather(engine, places), hanging=leftovers(servers, engine))
        striker.note_deaths()
        for process in (*workers, *beats):
            process.kill_all()  # nothing is left for it to do; in order, it might take its time
    findings = judge(evidence, journal, places)
    findings["torn"] += torn
    return Outcome(plan, journal, evidence, findings, unaccepted(evidence, journal), settled_after)


def _engine(database_url: str) -> Engine:
    """The harness's own, which no strike aims at; a connection for each use, because the server restarts. JSON is read
    by its exact value, without the product's code."""
    return create_engine(
        database_url,
        poolclass=NullPool,
        json_deserializer=parsed,
        connect_args={"application_name": "faults harness"},
    )


@contextmanager
def _processes(
    servers: EmbeddedServers, database_url: str, directory: Path
) -> Iterator[tuple[list[CeleryProcess], list[CeleryProcess]]]:
    """Workers and beats, ready."""
    environment = environment_of(servers, database_url)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(worker(f"worker{index}", directory, environment)) for index in range(1, WORKERS + 1)
        ]
        beats = [stack.enter_context(beat(f"beat{index}", directory, environment)) for index in range(1, BEATS + 1)]
        for process in (*workers, *beats):
            process.wait_until_ready()
        yield workers, beats


def _first_releases(client: ReleaseClient, places: Sequence[Place], journal: Journal) -> None:
    """Something to roll back to, and in the first and the last toolset much to prune."""
    for place in places:
        for _ in range(MANY if place in (places[0], places[-1]) else 1):
            called = time.monotonic()
            handle = client.create_release(place.path, actor="faults, at the start")
            journal.note_accepted(place.id, handle.id, called)
        handle.result(timeout=60)


def _storm(plan: Plan, load: Load, striker: Striker) -> None:
    """Everything at its time, in threads that end when all has been done."""
    start, stopping = time.monotonic(), threading.Event()
    failures: list[Exception] = []

    def carry_out(moments: list[tuple[float, Callable[[], None]]]) -> None:
        try:
            run_on_time(moments, start=start, stopping=stopping)
        except Exception as error:  # noqa: BLE001  a defect of the harness must not look like a clean run
            failures.append(error)
            stopping.set()

    schedules: list[list[tuple[float, Callable[[], None]]]] = [
        [(ask.at, partial(load.ask, ask)) for ask in plan.asks[index::ASKERS]] for index in range(ASKERS)
    ]
    schedules += [
        [(edit.at, partial(load.edit, edit)) for edit in plan.edits[index::EDITORS]] for index in range(EDITORS)
    ]
    schedules.append([(strike.at, partial(striker.strike, strike)) for strike in plan.strikes])
    threads = [threading.Thread(target=carry_out, args=(moments,), daemon=True) for moments in schedules]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    striker.wait_for_stopped()
    if failures:
        raise failures[0]
