"""How a toolset is, on one screen."""

from typing import Any

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.requests.fields import Name
from release_worker.domain.requests.request import Request, Result


class StatusResult(Result):
    """`current` is the current release `{release_number, kind, at, actor, notes, labels, mark, pinned}`, `last_good`
    the newest release that is marked good. `drifted` and `changes` are those of a check of drift. `requests` counts
    what is `queued` and `running`, and `unfinished` tells of it; `operations` are those that ended last.
    `freeze` is the one in force: `{id, scope, starts_at, ends_at, reason}`."""

    path: str
    mode: str
    current_release_number: int | None
    current: dict[str, Any] | None
    last_good: int | None
    releases: int
    drifted: bool
    changes: dict[str, ComponentChanges]
    requests: dict[str, int]
    unfinished: tuple[dict[str, Any], ...]
    operations: tuple[dict[str, Any], ...]
    freeze: dict[str, Any] | None = None


class Status(Request):
    """Tell how a toolset is: its current release, drift from it, what is queued and running, and what was done last;
    changes nothing."""

    kind = "status"
    queue = "maintenance"
    result = StatusResult
    positional = ("toolset",)

    actor: Name = "status"

    def only_reads(self) -> bool:
        return True
