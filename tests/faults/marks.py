"""Marks: one row for each request that succeeded, and none otherwise."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from sqlalchemy import Row

from tests.faults.evidence import Evidence

# lost: a mark that has to be there. unasked: one that no request accounts for. doubled: one that is there twice.
Complaint = tuple[Literal["lost", "unasked", "doubled"], str]


def marks(evidence: Evidence) -> Iterator[Complaint]:
    """All that was wrongly said of releases."""
    noted = {entry.what["id"]: entry.what for entry in evidence.log if entry.kind == "mark"}
    rows = {str(row.id): _as_noted(row) for row in evidence.marks}
    gone = {str(one) for one in evidence.gone}
    for mark_id, mark in noted.items():
        if mark["release_id"] not in gone and mark_id not in rows:
            yield "lost", f"mark {mark_id} is not there, and no prune took its release"
    said = noted | rows
    yield from _unasked(evidence, said)
    counts = Counter(mark["request_id"] for mark in said.values())
    for request_id, count in counts.items():
        if count > 1:
            yield "doubled", f"request {request_id} has {count} marks"
    for request in evidence.requests:
        if request.kind == "mark" and request.status == "succeeded" and not counts[request.id]:
            yield "lost", f"request {request.id} succeeded without its mark"


def _as_noted(row: Row[Any]) -> Mapping[str, Any]:
    return {"release_id": str(row.release_id), "mark": row.mark, "request_id": row.request_id}


def _unasked(evidence: Evidence, said: Mapping[str, Mapping[str, Any]]) -> Iterator[Complaint]:
    """A mark belongs to a request that succeeded, and says what that asked for and was answered."""
    requests = evidence.request_by_id
    releases = {str(row.id): row for row in evidence.every_release}
    for mark_id, mark in said.items():
        request, release = requests.get(mark["request_id"]), releases[mark["release_id"]]
        if request is None or request.kind != "mark" or request.status != "succeeded":
            yield "unasked", f"mark {mark_id} belongs to no request for a mark that succeeded"
            continue
        wanted = (request.toolset_id, request.payload["release_number"], request.payload["mark"])
        answered = (request.toolset_id, request.result["release_number"], request.result["mark"])
        if not wanted == answered == (release.toolset_id, release.release_number, mark["mark"]):
            yield "unasked", f"mark {mark_id} is {mark}, but request {request.id} asked for {wanted}, told {answered}"
