"""Restore a release."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.requests.fields import ComponentNames, ExpectedRelease, ReleaseNumber, Text
from release_worker.domain.requests.request import Request, Result
from release_worker.domain.text import printable
from release_worker.errors import InvalidRequest

OnMissing = Literal["fail", "skip", "recreate"]


class RollbackResult(Result):
    """`changes` lead from live state before to the outcome, by component."""

    rollback_id: UUID | None
    from_release_number: int | None
    to_release_number: int
    current_release_number: int | None
    backup_release_number: int | None
    components: tuple[str, ...]
    changes: dict[str, ComponentChanges]
    warnings: tuple[str, ...]
    noop: bool
    dry_run: bool


class Rollback(Request):
    """Restore a release of a toolset, exactly or not at all.

    Of a component with very many changes, `changes` has the first 10,000 keys that were added or removed, the first
    1,500 changed items, and how many it `omitted`.
    """

    kind = "rollback"
    queue = "rollbacks"
    result = RollbackResult
    positional = (
        "toolset",
        "release_number",
        "actor",
        "reason",
        "components",
        "on_missing",
        "allow_shared_impact",
        "expected_current_release",
        "dry_run",
        "idempotency_key",
    )

    release_number: ReleaseNumber
    reason: Text | None = None
    components: ComponentNames | None = None
    on_missing: OnMissing = "fail"
    allow_shared_impact: bool = False
    expected_current_release: ExpectedRelease | None = None
    dry_run: bool = False

    def only_reads(self) -> bool:
        return self.dry_run


def check_component_names(names: Sequence[str] | None, known: Sequence[str]) -> None:
    """Raises InvalidRequest for a component that no one provides."""
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise InvalidRequest(
            f"unknown components: {', '.join(unknown)}; known: {', '.join(known)}",
            problems=[
                {"field": "components", "problem": printable(f"unknown component {name}", 500)} for name in unknown
            ],
        )
