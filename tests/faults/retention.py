"""Pins and prunes: what had to stay is there, what was reported gone is gone and nothing else, and each answer agrees
with the records."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from tests.faults.course import Course
from tests.faults.evidence import Evidence
from tests.faults.journal import Journal

# lost: a release, or a pin, that had to be there. unasked: a deletion or a pin that no request accounts for.
Complaint = tuple[Literal["lost", "unasked"], str]


def retention(evidence: Evidence, journal: Journal) -> list[Complaint]:
    """All that pins and prunes did wrong."""
    kept: dict[UUID, Course] = defaultdict(Course)
    return [
        *_replayed(evidence, journal, kept),
        *_left(evidence, kept),
        *_missing_without_reason(evidence, journal),
    ]


def _replayed(evidence: Evidence, journal: Journal, kept: dict[UUID, Course]) -> Iterator[Complaint]:
    requests = evidence.request_by_id
    waited = Waited(evidence, journal)
    answered = {entry.transaction: requests.get(entry.what["id"]) for entry in evidence.log if entry.kind == "answer"}
    gone: dict[int, list[Row[Any]]] = defaultdict(list)
    for entry in evidence.log:
        of = kept[entry.toolset_id]
        request = answered.get(entry.transaction)
        match entry.kind:
            case "labels":
                of.take(entry)
                yield from _pinned(entry, request)
            case "gone":
                gone[entry.transaction].append(entry)  # taken with the answer of its prune
            case "answer" if request is not None and request.kind == "prune":
                yield from _pruned(of, gone.pop(entry.transaction, []), request, waited)
            case "answer" if request is not None and request.kind == "pin":
                yield from _wrong_pin(of, request)
            case _:
                of.take(entry)
    for entries in gone.values():
        for entry in entries:
            kept[entry.toolset_id].take(entry)
            yield "unasked", f"release {entry.what['id']} was deleted by what was no prune"


def _pinned(entry: Row[Any], request: Row[Any] | None) -> Iterator[Complaint]:
    release_id = UUID(entry.what["id"])
    pinned = entry.what["labels"].get("pinned") is True
    asked = request is not None and request.kind == "pin" and request.payload["pinned"] == pinned
    if not asked or request is None or request.payload["release_number"] != entry.what["release_number"]:
        yield "unasked", f"release {release_id} was {'pinned' if pinned else 'unpinned'}, and nobody asked for that"


class Waited:
    """Which requests waited while something was done that was asked for after they had been accepted."""

    def __init__(self, evidence: Evidence, journal: Journal) -> None:
        self._evidence = evidence
        self._asked = {one.request_id: one for one in journal.of_fate("accepted")}
        self._ended = {entry.what["id"]: entry.seq for entry in evidence.log if entry.kind in ("answer", "failure")}

    def rollbacks(self, request: Row[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Ids and what they asked for: the rollbacks of the same toolset that waited while this request was done."""
        later, ended = self._asked.get(request.id), self._ended.get(request.id)
        for row in self._evidence.requests:
            first = self._asked.get(row.id)
            asked = self._evidence.rollback_of(row) if row.toolset_id == request.toolset_id else None
            if first is None or later is None or ended is None or asked is None:
                continue
            if first.answered < later.called and self._ended.get(row.id, ended) > ended:
                yield row.id, asked


def _pruned(of: Course, gone: Sequence[Row[Any]], request: Row[Any], waited: Waited) -> Iterator[Complaint]:
    """The deletions of one transaction, against its answer."""
    for entry in gone:
        for reason in of.reasons(UUID(entry.what["id"]), request.payload["keep"]):
            yield "lost", f"prune {request.id} took release {entry.what['id']}, which was {reason}"
    named = {of.target(asked): waiting for waiting, asked in waited.rollbacks(request)}
    for entry in gone:
        if waiting := named.get(UUID(entry.what["id"])):
            yield "lost", f"prune {request.id} took release {entry.what['id']}, which request {waiting} waited for"
    for entry in gone:
        of.take(entry)
    numbers = sorted(entry.what["release_number"] for entry in gone)
    if numbers != sorted(request.result["pruned"]):
        yield "lost", f"prune {request.id} reported {request.result['pruned']}, and took {numbers}"
    if request.result["kept"] != len(of.numbers):
        yield "lost", f"prune {request.id} reported {request.result['kept']} kept, and left {len(of.numbers)}"


def _wrong_pin(of: Course, request: Row[Any]) -> Iterator[Complaint]:
    asked, said = request.payload, request.result
    if (said["release_number"], said["pinned"]) != (asked["release_number"], asked["pinned"]):
        yield "lost", f"pin {request.id} answered {said}"
    if asked["pinned"] != (asked["release_number"] in {of.numbers.get(one) for one in of.pinned}):
        yield "lost", f"pin {request.id} succeeded, and the release is not so"


def _left(evidence: Evidence, kept: Mapping[UUID, Course]) -> Iterator[Complaint]:
    """What is there now is what the notes say."""
    there = {row.id: row for row in evidence.releases}
    noted = {one for of in kept.values() for one in of.numbers}
    pinned = {one for of in kept.values() for one in of.pinned & of.numbers.keys()}
    for release_id in noted - there.keys():
        yield "lost", f"release {release_id} is not there, and nothing deleted it"
    for release_id in there.keys() - noted:
        yield "unasked", f"release {release_id} is there, and nothing made it"
    for release_id, row in there.items():
        if (row.labels.get("pinned") is True) != (release_id in pinned):
            yield "lost", f"release {release_id} is {'not ' if release_id in pinned else ''}pinned, against the notes"


def _missing_without_reason(evidence: Evidence, journal: Journal) -> Iterator[Complaint]:
    """A request that found no release: it was pruned, and not by a prune that was asked for later, which had to keep
    what a waiting request names."""
    there = {(row.toolset_id, row.release_number) for row in evidence.releases}
    asked = {one.request_id: one for one in journal.of_fate("accepted")}
    took = {
        (row.toolset_id, number): row.id
        for row in evidence.requests
        if row.kind == "prune" and row.status == "succeeded"
        for number in row.result["pruned"]
    }
    for row in evidence.requests:
        if row.status != "failed" or row.error["type"] != "ReleaseNotFound":
            continue
        named = (row.toolset_id, (evidence.rollback_of(row) or row.payload).get("release_number"))
        if named in there:
            yield "lost", f"request {row.id} did not find release {named[1]}, which is there"
        first, later = asked.get(row.id), asked.get(took.get(named))
        if first is not None and later is not None and first.answered < later.called:
            yield "lost", f"prune {later.request_id} took release {named[1]}, which request {row.id} waited for"
