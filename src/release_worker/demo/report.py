"""The end of the demo: everything read from the database once more."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from release_worker.demo.checks import Check
from release_worker.demo.counts import Counts, recorded
from release_worker.demo.database import Database
from release_worker.demo.progress import Step
from release_worker.domain.changes import ComponentChanges

_TIMELINE = """
    SELECT r.release_number, r.kind, cardinality(v.tool_urns), r.digest, r.notes, r.id = t.current_release_id
    FROM ours.toolsets t
    JOIN ours.toolset_releases r ON r.toolset_id = t.id
    JOIN ours.toolset_versions v ON v.id = r.toolset_version_id
    WHERE t.id = %(toolset)s ORDER BY r.release_number
"""
_ROLLBACKS = """
    SELECT before.release_number, target.release_number, backup.release_number, r.changes
    FROM ours.toolset_rollbacks r
    LEFT JOIN ours.toolset_releases before ON before.id = r.from_release_id
    LEFT JOIN ours.toolset_releases target ON target.id = r.to_release_id
    LEFT JOIN ours.toolset_releases backup ON backup.id = r.backup_release_id
    WHERE r.toolset_id = %(toolset)s ORDER BY r.created_at
"""


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """One release, as the timeline shows it."""

    release_number: int
    kind: str
    tools: int
    digest: str
    notes: str | None
    current: bool


@dataclass(frozen=True, slots=True)
class RollbackLine:
    """One rollback, and how much it did by section."""

    from_release_number: int | None
    to_release_number: int
    backup_release_number: int | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Report:
    """What happened, and whether all that is claimed about it is so."""

    timeline: Sequence[ReleaseLine]
    rollbacks: Sequence[RollbackLine]
    checks: Sequence[Check]
    steps: Sequence[Step]
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """`{ok, timeline, rollbacks, checks, steps, seconds}`."""
        return {
            "ok": self.ok,
            **asdict(self),
            "checks": [{**asdict(check), "ok": check.ok} for check in self.checks],
        }


def read_report(database: Database, checks: Sequence[Check], steps: Sequence[Step]) -> Report:
    """The report of a run; `steps` may still grow."""
    timeline = [ReleaseLine(*row) for row in database.rows(_TIMELINE)]
    rollbacks = [
        RollbackLine(old, new, backup, _counts(changes)) for old, new, backup, changes in database.rows(_ROLLBACKS)
    ]
    return Report(timeline, rollbacks, checks, steps)


def _counts(changes: dict[str, Any]) -> Counts:
    return recorded({name: ComponentChanges.model_validate(change) for name, change in changes.items()})
