"""Is every release of a toolset still what it was when it was made?"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.chains import Flaw, broken_predecessors, broken_versions, missing_numbers
from release_worker.domain.digests import BUILT_IN, NOTHING, PARTS, SOURCE_STATE, TOOLSET_VERSION, release_digest
from release_worker.domain.requests.verify import Verify, VerifyResult
from release_worker.state.work import Work
from release_worker.store.stored import (
    StoredPart,
    StoredRelease,
    StoredRollback,
    anything_pruned,
    pointed_at,
    promised_digests,
    pruned_numbers,
    stored_parts,
    stored_releases,
    stored_rollbacks,
    stored_versions,
)

Mismatch = dict[str, Any]
_COMPONENTS = {"toolset_version": TOOLSET_VERSION, "source_state": SOURCE_STATE}


def verify(work: Work, request: Verify) -> VerifyResult:
    """Recompute the digest of each stored part once and that of each release from its parts', and follow the numbers,
    predecessors and versions. Reads only.

    A digest proves content: who made a release and when, its notes and its labels are kept by triggers alone.
    """
    return verify_toolset(work.connection, work.toolset_id, {})


def verify_toolset(connection: Connection, toolset_id: UUID, verified: dict[UUID, StoredPart]) -> VerifyResult:
    """As `verify`, of a toolset that may be deleted. `verified` are parts that have been looked at already: toolsets of
    a project share them; what is looked at is added."""
    releases = stored_releases(connection, toolset_id)
    wanted: dict[str, set[UUID]] = defaultdict(set)
    for release in releases:
        for name, part_id in release.parts.items():
            if part_id not in verified:
                wanted[name].add(part_id)
    verified.update(stored_parts(connection, wanted))
    history = _History(toolset_id, releases, stored_rollbacks(connection, toolset_id), verified)
    found = [
        *history.parts(),
        *history.digests(),
        *history.promises(promised_digests(connection, toolset_id)),
        *history.chain(pruned_numbers(connection, toolset_id)),
        *history.rollbacks(),
        *history.current(pointed_at(connection, toolset_id)),
        *_versions(connection, toolset_id),
    ]
    return VerifyResult(
        toolset_id=toolset_id,
        releases=len(releases),
        parts=sum(map(len, wanted.values())),
        mismatches=tuple(found),
        warnings=tuple(history.doubts),
    )


@dataclass
class _History:
    """What is stored of a toolset, and what is wrong with it."""

    toolset_id: UUID
    releases: Sequence[StoredRelease]
    rolled_back: Sequence[StoredRollback]
    verified: dict[UUID, StoredPart]
    doubts: list[str] = field(default_factory=list)

    def parts(self) -> Iterator[Mismatch]:
        """Parts whose content has another digest; named for every release that refers to them."""
        for release in self.releases:
            for name, part_id in release.parts.items():
                part = self.verified[part_id]
                if part.stored != part.computed:
                    yield self._wrong(release.number, name, part.stored, part.computed)

    def digests(self) -> Iterator[Mismatch]:
        """Releases whose digest is not that of the digests of their parts."""
        for release in self.releases:
            stored = {name: self.verified[part_id].stored for name, part_id in release.parts.items()}
            computed = release_digest(
                **{name: stored.get(name) for name in PARTS},
                plug_ins={name: digest for name, digest in stored.items() if name not in PARTS and digest != NOTHING},
            )
            if computed == release.digest:
                continue
            if release.by_older_software:
                self.doubts.append(f"release {release.number} has a digest of another form")
            else:
                yield self._wrong(release.number, "release", release.digest, computed)

    def promises(self, promised: Iterable[tuple[int, str]]) -> Iterator[Mismatch]:
        """Releases that have another digest than those who asked for them were told; pruned ones have none any more."""
        stored = {release.number: release.digest for release in self.releases}
        for number, told in promised:
            if told != stored.get(number, told):
                yield self._wrong(number, "digest in the ledger", told, stored[number])

    def chain(self, pruned: Collection[int]) -> Iterator[Mismatch]:
        """Numbers and predecessors of the releases."""
        targets = {one.to_release_id for one in self.rolled_back}
        yield from self._flaws(missing_numbers([release.number for release in self.releases], pruned))
        yield from self._flaws(broken_predecessors(self.releases, targets))

    def rollbacks(self) -> Iterator[Mismatch]:
        """Rollbacks that name a release which the toolset does not have: what they name is never pruned."""
        numbers = {release.id: release.number for release in self.releases}
        for one in self.rolled_back:
            for named in (one.from_release_id, one.to_release_id, one.backup_release_id):
                if named is not None and named not in numbers:
                    yield self._wrong(numbers.get(one.to_release_id), f"rollback {one.id}", str(named), None)

    def current(self, release_id: UUID | None) -> Iterator[Mismatch]:
        """A pointer at a release that the toolset does not have."""
        if release_id is not None and release_id not in {release.id for release in self.releases}:
            yield self._wrong(None, "current release", str(release_id), None)

    def _flaws(self, flaws: Iterable[Flaw]) -> Iterator[Mismatch]:
        for flaw in flaws:
            yield self._wrong(flaw.number, flaw.what, flaw.stored, flaw.computed)

    def _wrong(self, number: int | None, what: str, stored: str | None, computed: str | None) -> Mismatch:
        return _mismatch(self.toolset_id, number, what, stored, computed)


def _versions(connection: Connection, toolset_id: UUID) -> Iterator[Mismatch]:
    """The chains of versions; the object names the version, since several releases may have it."""
    pruned = anything_pruned(connection, toolset_id)
    for name, chain in groupby(stored_versions(connection, toolset_id), key=lambda version: version.object):
        for flaw in broken_versions(list(chain), pruned=pruned):
            what = f"{flaw.what} of {name} {flaw.number}"
            yield _mismatch(toolset_id, None, what, flaw.stored, flaw.computed)


def _mismatch(toolset_id: UUID, number: int | None, what: str, stored: str | None, computed: str | None) -> Mismatch:
    components = _COMPONENTS.get(what, (what,) if what in BUILT_IN else ())
    return {
        "toolset_id": str(toolset_id),
        "release_number": number,
        "object": what,
        "components": list(components),
        "stored": stored,
        "computed": computed,
    }
