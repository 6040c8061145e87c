"""Make the content of a bundle live, and release it."""

from typing import Annotated

from pydantic import StringConstraints

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.fields import ExpectedRelease, Labels, Reason, Text
from release_worker.domain.requests.request import Request

BundleDigest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class ImportBundleResult(CreateReleaseResult):
    """The release. `changes` lead from live state before to it; what no release held of that is in the backup."""

    backup_release_number: int | None
    changes: dict[str, ComponentChanges]
    warnings: tuple[str, ...]


class ImportBundle(Request):
    """Make the content of a bundle live in a toolset, exactly, and release it.

    `bundle` is the checksum of a bundle that the client has put into the database. Live state is overwritten; if it has
    edits that no release holds, a backup keeps them first.
    """

    kind = "import_bundle"
    queue = "rollbacks"
    result = ImportBundleResult
    positional = (
        "toolset",
        "bundle",
        "actor",
        "notes",
        "labels",
        "allow_shared_impact",
        "expected_current_release",
        "idempotency_key",
    )
    names_releases = ("expected_current_release",)
    later = ("override_freeze",)

    bundle: BundleDigest
    notes: Text | None = None
    labels: Labels = None
    allow_shared_impact: bool = False
    expected_current_release: ExpectedRelease | None = None
    override_freeze: Reason | None = None
