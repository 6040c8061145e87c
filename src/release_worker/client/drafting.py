"""What a method of a client would ask for, without asking: for a connection on which only its caller may wait."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release_worker.client.asking import Handle
from release_worker.client.reading_requests import ReadingRequests
from release_worker.client.release_requests import ReleaseRequests
from release_worker.client.staging_requests import StagingRequests
from release_worker.domain.requests.kinds import validate_request

if TYPE_CHECKING:
    from release_worker.client.transactions import CallersTransaction
    from release_worker.domain.requests.request import Request


class Draft(Handle):
    """A request that was checked, and that nobody has been asked yet."""

    request: "Request"


class DraftingClient(ReleaseRequests, ReadingRequests, StagingRequests):
    """Its methods return drafts. It has no settings and no connections."""

    def __init__(self) -> None:
        """Opens nothing."""

    def _submit(self, kind: str, fields: Mapping[str, Any], session: "CallersTransaction | None") -> Draft:
        draft = Draft(self, "", kind)
        draft.request = validate_request(kind, fields)
        return draft
