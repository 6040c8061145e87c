"""Restore a release."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.requests.fields import ComponentNames, ExpectedRelease, Reason, ReleaseNumber, Text
from release_worker.domain.requests.request import Request, Result
from release_worker.domain.text import printable
from release_worker.errors import InvalidRequest, ReleaseNotFound

OnMissing = Literal["fail", "skip", "recreate"]
# Releases that are looked up when the rollback is carried out: the current release; the one that was current before it;
# the one that holds what was live before the last rollback; the nearest one before the current that is not marked bad.
Destination = Literal["current", "previous", "undo", "last_good"]

_NONE: Mapping[Destination, str] = {
    "current": "toolset {toolset} has no current release",
    "previous": "toolset {toolset} has no release before its current one",
    "undo": "toolset {toolset} has no rollback that could be undone",
    "last_good": "toolset {toolset} has no release before its current one that is not marked bad",
}


class RollbackResult(Result):
    """`changes` lead from live state before to the outcome, by component.

    `affected` is each other toolset that serves something else then, as `{id, path, components}`. A plan (`dry_run`)
    has four fields more:

    - `plan_id`: what `apply_plan` takes;
    - `missing`: the `tools` and `resources` that nothing would provide;
    - `refused`: the error with which the rollback itself would be refused, as `{type, message, details}`;
    - `live_digests`: the digest of live state, by component, from which the plan was made.
    """

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
    affected: tuple[Mapping[str, Any], ...] = ()

    plan_id: str | None = None
    missing: Mapping[str, tuple[str, ...]] | None = None
    refused: Mapping[str, Any] | None = None
    live_digests: Mapping[str, str | None] | None = None


class Rollback(Request):
    """Restore a release of a toolset, exactly or not at all: the release of a number, or the one that `to` means.

    If a component has very many changes, `changes` has the first 10,000 keys that were added or removed, the first
    1,500 changed items, and how many it `omitted`.

    With `dry_run` nothing is changed: the answer says what would be, also if it would be refused, and `apply_plan` with
    its `plan_id` does exactly that.
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

    names_releases = ("release_number", "expected_current_release")
    later = ("to", "allow_bad", "override_freeze")

    to: Destination | None = None
    release_number: Annotated[ReleaseNumber | None, Field(validate_default=True)] = None
    reason: Text | None = None
    components: ComponentNames | None = None
    on_missing: OnMissing = "fail"
    allow_shared_impact: bool = False
    allow_bad: bool = False
    expected_current_release: ExpectedRelease | None = None
    dry_run: bool = False
    override_freeze: Reason | None = None

    @field_validator("release_number")
    @classmethod
    def _one_release(cls, number: int | None, info: ValidationInfo) -> int | None:
        if (number is None) == (info.data.get("to") is None):
            raise ValueError("either it or `to` must be given, and not both")
        return number

    def only_reads(self) -> bool:
        return self.dry_run

    def at(self, number: int) -> Self:
        """The same rollback, now that the release has a number."""
        return self.model_copy(update={"release_number": number, "to": None})

    @property
    def number(self) -> int:
        """The number of the release, once it is known."""
        assert self.release_number is not None, "a rollback to a release that was looked up"
        return self.release_number


def no_release(destination: Destination, toolset: str) -> ReleaseNotFound:
    """The error for a rollback to what is not there."""
    return ReleaseNotFound(_NONE[destination].format(toolset=toolset), toolset=toolset, to=destination)


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
