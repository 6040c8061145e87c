"""Pins and prunes: what had to stay is there, what was reported gone is gone and nothing else, and each answer agrees
with the records."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row

from tests.faults.evidence import Evidence
from tests.faults.journal import Journal

# lost: a release, or a pin, that had to be there. unasked: a deletion or a pin that no request accounts for.
Complaint = tuple[Literal["lost", "unasked"], str]


@dataclass
class Kept:
    """One toolset's releases, as the notes that were read so far say."""

    numbers: dict[UUID, int] = field(default_factory=dict)
    pinned: set[UUID] = field(default_factory=set)
    current: UUID | None = None
    named: set[UUID] = field(default_factory=set)  # by rollbacks
    restored: dict[str, UUID] = field(default_factory=dict)  # by request

    def made(self, row: Mapping[str, Any]) -> None:
        release_id = UUID(row["id"])
        self.numbers[release_id] = row["release_number"]
        if row["kind"] == "release":
            self.current = release_id
        if row["kind"] == "restored":
            self.restored[row["request_id"]] = self.current = release_id

    def rolled_back(self, row: Mapping[str, Any]) -> None:
        columns = ("from_release_id", "to_release_id", "backup_release_id")
        self.named |= {UUID(row[column]) for column in columns if row[column] is not None}
        self.current = self.restored.get(row["request_id"], UUID(row["to_release_id"]))

    def reasons(self, release_id: UUID, keep: int) -> list[str]:
        """Why a prune must leave the release alone."""
        newest = sorted(self.numbers.values())[-keep:]
        reasons = {
            "pinned": release_id in self.pinned,
            "current": release_id == self.current,
            "named by a rollback": release_id in self.named,
            f"one of the newest {keep}": self.numbers.get(release_id) in newest,
        }
        return [reason for reason, holds in reasons.items() if holds]


def retention(evidence: Evidence, journal: Journal) -> list[Complaint]:
    """All that pins and prunes did wrong."""
    kept: dict[UUID, Kept] = defaultdict(Kept)
    return [
        *_replayed(evidence, kept),
        *_left(evidence, kept),
        *_missing_without_reason(evidence, journal),
    ]


def _replayed(evidence: Evidence, kept: dict[UUID, Kept]) -> Iterator[Complaint]:
    requests = evidence.request_by_id
    answered = {entry.transaction: requests.get(entry.what["id"]) for entry in evidence.log if entry.kind == "answer"}
    gone: dict[int, list[Row[Any]]] = defaultdict(list)
    for entry in evidence.log:
        of = kept[entry.toolset_id]
        request = answered.get(entry.transaction)
        match entry.kind:
            case "release":
                of.made(entry.what)
            case "rollback":
                of.rolled_back(entry.what)
            case "labels":
                yield from _pinned(of, entry, request)
            case "gone":
                gone[entry.transaction].append(entry)
            case "answer" if request is not None and request.kind == "prune":
                yield from _pruned(of, gone.pop(entry.transaction, []), request)
            case "answer" if request is not None and request.kind == "pin":
                yield from _wrong_pin(of, request)
    for entries in gone.values():
        for entry in entries:
            kept[entry.toolset_id].numbers.pop(UUID(entry.what["id"]), None)
            yield "unasked", f"release {entry.what['id']} was deleted by what was no prune"


def _pinned(of: Kept, entry: Row[Any], request: Row[Any] | None) -> Iterator[Complaint]:
    release_id = UUID(entry.what["id"])
    pinned = entry.what["labels"].get("pinned") is True
    of.pinned = of.pinned | {release_id} if pinned else of.pinned - {release_id}
    asked = request is not None and request.kind == "pin" and request.payload["pinned"] == pinned
    if not asked or request is None or request.payload["release_number"] != entry.what["release_number"]:
        yield "unasked", f"release {release_id} was {'pinned' if pinned else 'unpinned'}, and nobody asked for that"


def _pruned(of: Kept, gone: Sequence[Row[Any]], request: Row[Any]) -> Iterator[Complaint]:
    """The deletions of one transaction, against its answer."""
    for entry in gone:
        for reason in of.reasons(UUID(entry.what["id"]), request.payload["keep"]):
            yield "lost", f"prune {request.id} took release {entry.what['id']}, which was {reason}"
    for entry in gone:
        of.numbers.pop(UUID(entry.what["id"]), None)
    numbers = sorted(entry.what["release_number"] for entry in gone)
    if numbers != sorted(request.result["pruned"]):
        yield "lost", f"prune {request.id} reported {request.result['pruned']}, and took {numbers}"
    if request.result["kept"] != len(of.numbers):
        yield "lost", f"prune {request.id} reported {request.result['kept']} kept, and left {len(of.numbers)}"


def _wrong_pin(of: Kept, request: Row[Any]) -> Iterator[Complaint]:
    asked, said = request.payload, request.result
    if (said["release_number"], said["pinned"]) != (asked["release_number"], asked["pinned"]):
        yield "lost", f"pin {request.id} answered {said}"
    if asked["pinned"] != (asked["release_number"] in {of.numbers.get(one) for one in of.pinned}):
        yield "lost", f"pin {request.id} succeeded, and the release is not so"


def _left(evidence: Evidence, kept: Mapping[UUID, Kept]) -> Iterator[Complaint]:
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
        named = (row.toolset_id, row.payload["release_number"])
        if named in there:
            yield "lost", f"request {row.id} did not find release {named[1]}, which is there"
        first, later = asked.get(row.id), asked.get(took.get(named))
        if first is not None and later is not None and first.answered < later.called:
            yield "lost", f"prune {later.request_id} took release {named[1]}, which request {row.id} waited for"
