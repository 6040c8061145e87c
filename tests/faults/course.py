"""What each toolset has been through, note by note: what is current, and what pins, marks and words mean by then."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from tests.faults.evidence import id_or_none


@dataclass
class Course:
    """One toolset's releases, as the notes that were taken so far say."""

    numbers: dict[UUID, int] = field(default_factory=dict)
    before: dict[UUID, UUID | None] = field(default_factory=dict)  # predecessors
    pinned: set[UUID] = field(default_factory=set)
    said: dict[UUID, str] = field(default_factory=dict)  # by the last mark
    current: UUID | None = None
    named: set[UUID] = field(default_factory=set)  # by rollbacks
    undo: UUID | None = None  # what was live before the last rollback that changed it
    has_copy: bool = False  # that was staged

    def take(self, entry: Row[Any]) -> None:
        """Go on by one note."""
        row = entry.what
        match entry.kind:
            case "release":
                self._made(row)
            case "rollback":
                self._rolled_back(row)
            case "labels":
                self.pinned -= {UUID(row["id"])}
                self.pinned |= {UUID(row["id"])} if row["labels"].get("pinned") is True else set()
            case "mark":
                self.said[UUID(row["release_id"])] = row["mark"]
            case "gone":
                self._pruned(UUID(row["id"]))
            case "answer" if row["kind"] == "stage":
                self.has_copy = True
            case "answer" if row["kind"] == "discard" or (row["kind"] == "publish" and row["result"]["discarded"]):
                self.has_copy = False

    def meant(self, word: str) -> UUID | None:
        """The release that a rollback to this word goes to now."""
        previous = None if self.current is None else self.before.get(self.current)
        match word:
            case "current":
                return self.current
            case "previous":
                return previous
            case "undo":
                return self.undo
        while previous is not None and self.said.get(previous) == "bad":
            previous = self.before.get(previous)
        return previous

    def target(self, asked: Mapping[str, Any]) -> UUID | None:
        """The release that this rollback goes to now."""
        if asked.get("to") is not None:
            return self.meant(asked["to"])
        return next((one for one, number in self.numbers.items() if number == asked.get("release_number")), None)

    def reasons(self, release_id: UUID, keep: int) -> list[str]:
        """Why a prune must leave the release alone."""
        newest = sorted(self.numbers.values())[-keep:]
        good = [self.numbers[one] for one, said in self.said.items() if said == "good" and one in self.numbers]
        number = self.numbers.get(release_id)
        reasons = {
            "pinned": release_id in self.pinned,
            "current": release_id == self.current,
            "named by a rollback": release_id in self.named,
            "the newest good release": number is not None and number == max(good, default=None),
            f"one of the newest {keep}": number in newest,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def _made(self, row: Mapping[str, Any]) -> None:
        release_id = UUID(row["id"])
        self.numbers[release_id] = row["release_number"]
        self.before[release_id] = id_or_none(row["predecessor_id"])
        if row["kind"] in ("release", "restored"):  # the last note of its rollback
            self.current = release_id

    def _rolled_back(self, row: Mapping[str, Any]) -> None:
        columns = ("from_release_id", "to_release_id", "backup_release_id")
        self.named |= {UUID(row[column]) for column in columns if row[column] is not None}
        if row["changes"]:
            self.undo = id_or_none(row["backup_release_id"] or row["from_release_id"])
        self.current = UUID(row["to_release_id"])

    def _pruned(self, release_id: UUID) -> None:
        """What came after it comes after the nearest that is left."""
        self.numbers.pop(release_id, None)
        earlier = self.before.pop(release_id, None)
        self.before = {one: earlier if left == release_id else left for one, left in self.before.items()}
