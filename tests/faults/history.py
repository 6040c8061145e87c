"""What a run leaves behind, made without a run: requests that this process works, edits, and damage."""

import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Row, text

from release_worker.domain.cancellation import Cancellation
from release_worker.operations.cancel_request import cancel_request
from release_worker.store.engine import ledger_transaction
from tests.faults.estate import Place, apply_edit
from tests.faults.evidence import gather
from tests.faults.journal import Fate, Journal, Submission
from tests.faults.plan import COMPONENTS, TOOLSETS, Edit
from tests.faults.verdict import Findings, judge
from tests.support.ledger import ask, mailbox
from tests.support.records import releases_of, tampering

WHOLE = TOOLSETS - 1


@dataclass
class History:
    """What a run leaves behind, without one."""

    engine: Engine
    places: list[Place]
    journal: Journal = field(default_factory=Journal)

    @property
    def whole(self) -> Place:
        return self.places[WHOLE]

    def do(self, toolset: int, kind: str = "create_release", **fields: object) -> str:
        """Ask, note it, and work it."""
        called = time.monotonic()
        place = self.places[toolset]
        request_id = ask(self.engine, place.path, kind, **fields)
        self.journal.note_accepted(place.id, request_id, called)
        mailbox(self.engine).work_until_done(request_id)
        return request_id

    def plan(self, toolset: int, **fields: object) -> str:
        """Ask for the plan of a rollback."""
        return self.do(toolset, "rollback", dry_run=True, allow_shared_impact=True, **fields)

    def cancel(self, toolset: int) -> str:
        """Ask for a release, and cancel it before anybody works it."""
        called, place = time.monotonic(), self.places[toolset]
        request_id = ask(self.engine, place.path)
        self.journal.note_accepted(place.id, request_id, called)
        with ledger_transaction(self.engine) as connection:
            cancel_request(connection, request_id, Cancellation(actor="somebody"))
        self.journal.note_cancel(request_id, "done")
        return request_id

    def edit(self, toolset: int, epoch: int, *components: str, held: bool = True) -> None:
        """An app's, which holds what it edits, unless it does not."""
        with self.engine.begin() as connection:
            apply_edit(connection, self.places[toolset], Edit(0.0, toolset, epoch, components or COMPONENTS, held))

    def edit_unnoted(self, toolset: int, epoch: int, *components: str) -> None:
        """What no app notes, and so nobody is known to have written."""
        self.edit(toolset, epoch, *components)
        self.tamper("DELETE FROM faults.log WHERE seq = (SELECT max(seq) FROM faults.log)")

    def tamper(self, statement: str, **values: object) -> None:
        with tampering(self.engine) as connection:
            done = connection.execute(text(statement), {"whole": self.whole.id, **values})
            assert done.rowcount > 0, f"nothing was broken by {statement}"

    def note(self, request_id: str, fate: Fate, *, called: float = 0.0, answered: float = 0.0) -> None:
        self.journal.note(Submission(self.whole.id, request_id, fate, called, answered))

    def releases(self) -> list[Row[Any]]:
        """Of the first toolset."""
        return releases_of(self.engine, self.places[0].toolset)

    def judged(self) -> Findings:
        return judge(gather(self.engine, self.places), self.journal, self.places)
