"""Keep a release for good."""

from release_worker.domain.requests.fields import ReleaseNumber
from release_worker.domain.requests.request import Request, Result


class PinResult(Result):
    """Whether the release is pinned now."""

    release_number: int
    pinned: bool


class Pin(Request):
    """Keep a release from being pruned, or (`pinned` false) no longer."""

    kind = "pin"
    queue = "maintenance"
    result = PinResult
    positional = ("toolset", "release_number", "actor", "pinned")

    names_releases = ("release_number",)

    release_number: ReleaseNumber
    pinned: bool = True
