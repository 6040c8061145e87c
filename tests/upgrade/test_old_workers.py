"""Workers of the release before go on while the schema is upgraded, and beside workers of this code."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any
from uuid import uuid4

import pytest

from release_worker.domain.canonical_json import DEEPEST
from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import PythonProcess
from release_worker.errors import ReleaseWorkerError, ToolsetNotFound
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.exact_json import Json
from tests.support.ledger import ledger
from tests.support.live_state import live_state
from tests.support.records import (
    assert_numbers_and_chain_complete,
    recomputed_digests,
    releases_of,
    rollbacks_of,
    stored_digests,
)
from tests.support.workers import LONG, Service, answer, running_worker
from tests.upgrade.conftest import OldService, command, package_of


class App:
    """An app with a toolset: it edits, knows the names of tasks and queues, and remembers what it asked for."""

    def __init__(self, served: Service) -> None:
        self._served = served
        self._celery = served.stranger()
        self.toolset = a_full_toolset(served.engine, organization=f"org-{uuid4().hex[:12]}")
        self.first = live_state(served.engine, self.toolset)
        self.releases = 0
        self.rollbacks = 0
        self.release()

    def release(self) -> int:
        made = self.ask("create_release", "releases", labels={"asked": self.releases})
        self.releases += 1
        assert made["release_number"] == self.releases
        return self.releases

    def go_round(self) -> None:
        """Edit and release, edit everything, and go back to the first release, exactly."""
        self.toolset.edit(name=f"Edited after {self.releases}")
        self.release()
        edit_everything(self.toolset)
        done = self.ask("rollback", "rollbacks", release_number=1)
        self.rollbacks += 1
        self.releases += 1
        assert done["backup_release_number"] == self.releases
        assert live_state(self._served.engine, self.toolset) == self.first

    def ask(self, kind: str, queue: str, **arguments: Any) -> Any:
        keywords = {"toolset": self.toolset.path, "actor": "app", **arguments}
        return answer(self._celery.send_task(f"release_worker.{kind}", kwargs=keywords, queue=queue))


def assert_refused_alone(app: App) -> None:
    """What this code's schema refuses fails as a request of its own, and the next request is done."""
    with pytest.raises(ToolsetNotFound):
        app.ask("create_release", "releases", toolset="nobody/nowhere/nothing")
    app.toolset.edit(settings=nested(DEEPEST + 1))
    with pytest.raises(ReleaseWorkerError, match=f"nested more than {DEEPEST} levels deep"):
        app.ask("create_release", "releases")
    app.toolset.edit(settings={})
    app.go_round()


def nested(levels: int) -> Json:
    value: Json = {}
    for _ in range(levels):
        value = {"inner": value}
    return value


@contextmanager
def going_round(apps: Sequence[App]) -> Iterator[None]:
    """All apps at once, a round before the block, rounds for as long as it lasts, and a round after it."""
    over = Event()

    def rounds(app: App) -> None:
        while not over.is_set():
            app.go_round()
        app.go_round()

    with ThreadPoolExecutor(len(apps)) as threads:
        running = [threads.submit(rounds, app) for app in apps]
        try:
            yield
        finally:
            over.set()
        for one in running:
            one.result()


def requests_done_by(worker: PythonProcess) -> int:
    return worker.said().count("request_succeeded")


def assert_nothing_is_lost_or_doubled(served: Service, apps: Sequence[App]) -> None:
    failed = [row.error["type"] for row in ledger(served.engine) if row.status != "succeeded"]
    assert sorted(failed) == sorted(["ToolsetNotFound", "UnexpectedFailure"] * len(apps))
    for app in apps:
        assert_numbers_and_chain_complete(served.engine, app.toolset)
        assert len(releases_of(served.engine, app.toolset)) == app.releases
        assert len(rollbacks_of(served.engine, app.toolset)) == app.rollbacks
        for number in range(1, app.releases + 1):
            stored = stored_digests(served.engine, app.toolset, number)
            assert stored == recomputed_digests(served.engine, app.toolset, number)


def test_workers_of_the_release_before_go_on_while_the_schema_is_upgraded_and_beside_new_ones(
    old: OldService, new: Service
) -> None:
    assert package_of(old) == old.package / "release_worker" != package_of(new)
    with running_worker(old, "--hostname", "old@%h", directory=old.package) as old_worker:
        apps = [App(new) for _ in range(2)]
        with going_round(apps):
            command(new, "db", "upgrade")
        with going_round(apps):
            command(old, "release", App(new).toolset.path)
        for app in apps:
            assert_refused_alone(app)

        with running_worker(new, "--hostname", "new@%h") as new_worker:
            before = requests_done_by(old_worker)
            with going_round(apps):
                assert eventually(lambda: requests_done_by(old_worker) > before, within=LONG)
                assert eventually(lambda: requests_done_by(new_worker) > 0, within=LONG)
            old_worker.terminate()
            assert old_worker.wait(LONG) == 0
            for app in apps:
                app.go_round()
            command(old, "release", App(new).toolset.path)
    assert_nothing_is_lost_or_doubled(new, apps)
