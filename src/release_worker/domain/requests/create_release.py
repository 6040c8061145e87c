"""Capture a toolset's state as its next release."""

from uuid import UUID

from release_worker.domain.requests.fields import ExpectedRelease, Labels, Reason, Text
from release_worker.domain.requests.request import Request, Result


class CreateReleaseResult(Result):
    """`created` is False if live state was what the current release holds; then the answer is that release."""

    release_id: UUID
    release_number: int
    toolset_version: int
    digest: str
    created: bool


class CreateRelease(Request):
    """Capture a toolset's whole state as its next release."""

    kind = "create_release"
    queue = "releases"
    result = CreateReleaseResult
    positional = (
        "toolset",
        "actor",
        "notes",
        "labels",
        "only_if_changed",
        "expected_current_release",
        "idempotency_key",
    )

    names_releases = ("expected_current_release",)
    later = ("override_freeze",)

    notes: Text | None = None
    labels: Labels = None
    only_if_changed: bool = False
    expected_current_release: ExpectedRelease | None = None
    override_freeze: Reason | None = None
