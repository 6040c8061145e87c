"""Compare two releases, or a release and live state."""

from typing import Literal

from pydantic import ConfigDict, Field

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.requests.fields import ComponentNames, Name, ReleaseNumber, Text
from release_worker.domain.requests.request import Request, Result

Live = Literal["live"]


class DiffResult(Result):
    """`{toolset_id, from, to, same, changes, not_compared}`: `changes` lead from the first to the second, by component.
    `not_compared` are components of which a side says nothing."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    from_release: int = Field(validation_alias="from", serialization_alias="from")
    to: int | Live
    same: bool
    changes: dict[str, ComponentChanges]
    not_compared: tuple[str, ...]


class Diff(Request):
    """Compare two releases of a toolset, or a release and live state; changes nothing.

    `changes` are as those of a rollback; `components` and `key` choose of them. In `key`, `*` stands for any text.
    """

    kind = "diff"
    queue = "maintenance"
    result = DiffResult
    positional = ("toolset", "release_number", "to")
    names_releases = ("release_number", "to")

    release_number: ReleaseNumber
    to: ReleaseNumber | Live = "live"
    components: ComponentNames | None = None
    key: Text | None = None
    actor: Name = "diff"

    def only_reads(self) -> bool:
        return True

    def reads_records_alone(self) -> bool:
        return self.to != "live"
