"""Make what is staged live, and release it."""

from uuid import UUID

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.fields import ExpectedRelease, Labels, Reason, Text
from release_worker.domain.requests.request import Request


class PublishResult(CreateReleaseResult):
    """The release. `changes` lead from live state before to it; what no release held of that is in the backup.
    `discarded`: the staged copy is gone."""

    backup_release_number: int | None
    staged_toolset_id: UUID
    discarded: bool
    changes: dict[str, ComponentChanges]


class Publish(Request):
    """Give a toolset the state of its staged copy, and release it.

    In iteration mode the copy is discarded then; in staging mode it stays for the next edits. If live state has edits
    that no release holds, a backup keeps them first.
    """

    kind = "publish"
    queue = "releases"
    result = PublishResult
    positional = ("toolset", "actor", "notes", "labels", "expected_current_release", "idempotency_key")
    names_releases = ("expected_current_release",)
    later = ("override_freeze",)

    notes: Text | None = None
    labels: Labels = None
    expected_current_release: ExpectedRelease | None = None
    override_freeze: Reason | None = None
