"""The rules of a history: numbers without a gap, and what comes before what."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

# Kinds of releases that are current once they are made; a backup is not.
CURRENT_ONCE_MADE = ("release", "restored")


class Numbered(Protocol):
    """A release in a history."""

    @property
    def id(self) -> UUID: ...
    @property
    def number(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def predecessor_id(self) -> UUID | None: ...
    @property
    def by_older_software(self) -> bool: ...


class Versioned(Protocol):
    """A version in a chain."""

    @property
    def id(self) -> UUID: ...
    @property
    def version(self) -> int: ...
    @property
    def predecessor_id(self) -> UUID | None: ...
    @property
    def by_older_software(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Flaw:
    """Where a chain is broken: at which number, what is stored there, and what would have to be."""

    number: int
    what: str
    stored: str | None
    computed: str | None


def missing_numbers(numbers: Collection[int], pruned: Collection[int]) -> Iterator[Flaw]:
    """Numbers are 1, 2, 3, …, but for those that were pruned."""
    there = {*numbers, *pruned}
    for number in range(1, max(there, default=0) + 1):
        if number not in there:
            yield Flaw(number, "release", None, f"release {number}")


def broken_predecessors(releases: Sequence[Numbered], targets: Collection[UUID]) -> Iterator[Flaw]:
    """The predecessor of a release is the one that was current when it was captured: the newest before it that became
    current by being made, or one that a rollback had gone back to (`targets`). Releases come by number.

    Pruning lets what followed a pruned release follow the nearest kept one before it, and keeps what a rollback names.
    """
    numbers = {release.id: release.number for release in releases}
    newest: Numbered | None = None
    for release in releases:
        before = numbers.get(release.predecessor_id) if release.predecessor_id else None
        earlier = before is not None and before < release.number
        if release.by_older_software:
            whole = release.predecessor_id is None or earlier
        elif release.predecessor_id is None:
            whole = newest is None or newest.by_older_software
        else:
            back = release.predecessor_id in targets
            whole = earlier and (back or (newest is not None and release.predecessor_id == newest.id))
        if not whole:
            stored = str(before or release.predecessor_id) if release.predecessor_id else None
            yield Flaw(release.number, "predecessor", stored, str(newest.number) if newest else None)
        if release.kind in CURRENT_ONCE_MADE:
            newest = release


def broken_versions(versions: Sequence[Versioned], *, pruned: bool) -> Iterator[Flaw]:
    """Versions are 1, 2, 3, …, each with the one before it as its predecessor; where anything was `pruned`, some may be
    missing. Those of older software may name none. They come by number."""
    before: Versioned | None = None
    for version in versions:
        nothing = version.by_older_software and version.predecessor_id is None
        if version.predecessor_id != (before.id if before else None) and not nothing:
            expected = f"version {before.version}" if before else None
            stored = next((f"version {one.version}" for one in versions if one.id == version.predecessor_id), None)
            named = str(version.predecessor_id) if version.predecessor_id else None
            yield Flaw(version.version, "predecessor", stored or named, expected)
        number = before.version + 1 if before else 1
        if version.version != number and not pruned:
            yield Flaw(version.version, "number", str(version.version), str(number))
        before = version
