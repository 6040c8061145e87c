"""Numbers and predecessors of a history: what is whole, and what is named if it is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest

from release_worker.domain.chains import broken_predecessors, broken_versions, missing_numbers


@dataclass(frozen=True)
class Release:
    number: int
    predecessor: int | None
    kind: str = "release"
    by_older_software: bool = False

    @property
    def id(self) -> UUID:
        return UUID(int=self.number)

    @property
    def version(self) -> int:
        return self.number

    @property
    def predecessor_id(self) -> UUID | None:
        return None if self.predecessor is None else UUID(int=self.predecessor)


WHOLE: dict[str, tuple[Sequence[Release], set[int]]] = {
    "nothing": ([], set()),
    "one after the other": ([Release(1, None), Release(2, 1), Release(3, 2)], set()),
    "a release after a rollback": ([Release(1, None), Release(2, 1), Release(3, 1)], {1}),
    "a backup, which is not current": ([Release(1, None), Release(2, 1, "backup"), Release(3, 1)], {1}),
    "the outcome of a rollback, which is": (
        [Release(1, None), Release(2, 1), Release(3, 2, "restored"), Release(4, 3)],
        {1},
    ),
    "after the one before was pruned": ([Release(1, None), Release(4, 1)], set()),
    "after all before were pruned": ([Release(4, None), Release(5, 4)], set()),
    "of older software, which pointed at none": (
        [Release(1, None, by_older_software=True), Release(2, None, by_older_software=True), Release(3, None)],
        set(),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_history_that_can_have_happened_is_whole(name: str) -> None:
    releases, targets = WHOLE[name]
    assert list(broken_predecessors(releases, {UUID(int=number) for number in targets})) == []


@pytest.mark.parametrize(
    ("releases", "named"),
    [
        ([Release(1, None), Release(2, None)], (2, None, "1")),
        ([Release(1, None), Release(2, 2)], (2, "2", "1")),
        ([Release(1, 2), Release(2, 1)], (1, "2", None)),
        ([Release(1, None), Release(2, 1), Release(3, 1)], (3, "1", "2")),
        ([Release(1, None), Release(2, 1, "backup"), Release(3, 2)], (3, "2", "1")),
        ([Release(1, None), Release(2, 77)], (2, str(UUID(int=77)), "1")),
        ([Release(1, None), Release(2, 3, by_older_software=True), Release(3, 2)], (2, "3", "1")),
    ],
)
def test_a_predecessor_that_was_not_current_is_named(
    releases: Sequence[Release], named: tuple[int, str | None, str | None]
) -> None:
    [flaw] = broken_predecessors(releases, set())
    assert (flaw.number, flaw.what, flaw.stored, flaw.computed) == (named[0], "predecessor", *named[1:])


def test_numbers_have_no_gap_but_what_was_pruned() -> None:
    assert list(missing_numbers([1, 2, 3], [])) == []
    assert list(missing_numbers([2, 5], [1, 3, 4])) == []
    assert [flaw.number for flaw in missing_numbers([1, 4], [3])] == [2]


def test_versions_are_numbered_and_follow_each_other() -> None:
    whole = [Release(1, None), Release(2, 1), Release(3, 2)]
    assert list(broken_versions(whole, pruned=False)) == []
    gap = [Release(1, None), Release(3, 1)]
    assert list(broken_versions(gap, pruned=True)) == []
    assert [(flaw.what, flaw.computed) for flaw in broken_versions(gap, pruned=False)] == [("number", "2")]
    assert [flaw.number for flaw in broken_versions([Release(1, None), Release(2, None)], pruned=True)] == [2]
    older = Release(2, None, by_older_software=True)
    assert list(broken_versions([Release(1, None), older], pruned=False)) == []
