"""What takes part in a pair: an operation, asked for and worked as always, or the transaction of an app."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, exc, text

from release_worker.domain.request_record import RequestRecord
from release_worker.errors import TransientError
from release_worker.worker.policy import RetryPolicy
from tests.interleavings.scene import Scene
from tests.interleavings.stops import LONGEST
from tests.support.bundles import exported, keep
from tests.support.ledger import ask, mailbox

Answer = dict[str, Any]
# Carries an action out on an engine; calls back when it was put off.
Performance = Callable[[Engine, Callable[[], None]], Answer]

# As the product's own, in no time, and never giving up.
PERSISTENT = RetryPolicy(
    immediate_tries=3, immediate_delay=0.0002, first_delay=0.0, longest_delay=0.0, attempts=1_000_000
)
# What an app that holds what it edits begins with.
HOLD = {
    "toolset": "SELECT FROM toolsets WHERE id = :one FOR UPDATE",
    "copy": "SELECT FROM toolsets WHERE id = :draft FOR UPDATE",
    "project": "SELECT FROM projects WHERE id = :shop FOR UPDATE",
    "organization": "SELECT FROM organizations WHERE id = :acme FOR UPDATE",
}


@dataclass(frozen=True)
class Operation:
    """A request for a toolset."""

    name: str
    toolset: str
    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    # The release, by toolset and number, whose bundle is imported.
    bundle_of: tuple[str, int] | None = None
    # Its message is delivered for the first time.
    first: bool = False
    player = "worker"

    def decided(self, _engine: Engine, _scene: Scene) -> "Operation":
        """What is played, once all that must be known before has been found out."""
        return self

    def prepare(self, engine: Engine, scene: Scene) -> Performance:
        """Ask for it."""
        fields = dict(self.fields)
        if self.bundle_of is not None:
            toolset, number = self.bundle_of
            fields["bundle"] = keep(engine, exported(engine, scene.toolsets[toolset], number))
        request_id = ask(engine, scene.toolsets[self.toolset], self.kind, **fields)

        def perform(own_engine: Engine, put_off: Callable[[], None]) -> Answer:
            worker = mailbox(own_engine, worker=f"worker {request_id}", retry=PERSISTENT)
            give_up = time.monotonic() + LONGEST
            first = self.first
            while True:
                try:
                    return _answer(worker.work_until_done(request_id, first=first))
                except TransientError:
                    first = False
                    put_off()
                    if time.monotonic() > give_up:
                        raise
                    time.sleep(0.001)

        return perform


@dataclass(frozen=True)
class Planned(Operation):
    """A rollback that was planned before anything else was asked for. `fields` are those of the rollback."""

    def decided(self, engine: Engine, scene: Scene) -> "Operation":
        """Make the plan; what is played is that it is applied."""
        toolset = scene.toolsets[self.toolset]
        planned = mailbox(engine).work_until_done(ask(engine, toolset, "rollback", dry_run=True, **self.fields))
        return Operation(self.name, self.toolset, "apply_plan", {"plan_id": planned.id})


@dataclass(frozen=True)
class Edit:
    """One transaction of an app: statements over the rows of the scene, by their names there.

    `scope`: whose row an app takes that `holds` what it edits. `touches`: the keys of an outcome that it writes.
    """

    name: str
    scope: str
    statements: tuple[str, ...]
    touches: frozenset[str]
    holds: bool = True
    player = "app"

    def decided(self, _engine: Engine, _scene: Scene) -> "Edit":
        """As an operation; nothing has to be known before an edit."""
        return self

    def prepare(self, _engine: Engine, scene: Scene) -> Performance:
        statements = ((HOLD[self.scope],) if self.holds else ()) + self.statements

        def perform(own_engine: Engine, _put_off: Callable[[], None]) -> Answer:
            try:
                with own_engine.begin() as connection:
                    rows = [connection.execute(text(each), scene.ids).rowcount for each in statements]
            except exc.DBAPIError as error:
                return {"error": f"{getattr(error.orig, 'sqlstate', None)} {type(error.orig).__name__}"}
            return {"rows": rows, "error": None}

        return perform


Action = Operation | Edit


def _answer(record: RequestRecord) -> Answer:
    return {"status": record.status, "result": record.result, "error": record.error}
