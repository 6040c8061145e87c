"""Retries: at once after a conflict, then with a delay that grows and is never twice the same."""

import pytest

from release_worker.errors import DatabaseUnavailable, InvalidRequest, VersionConflict
from release_worker.worker.policy import RetryPolicy

AT_ONCE = RetryPolicy(immediate_delay=0)


class Attempts:
    """Work that fails as it is told to, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def conflict(number: int = 1) -> VersionConflict:
    return VersionConflict(reason=f"conflict {number}")


def test_delays_grow_exponentially_up_to_the_longest() -> None:
    policy = RetryPolicy(first_delay=1, longest_delay=60)
    longest = [max(policy.delay(retries) for _ in range(500)) for retries in range(12)]
    for retries, delay in enumerate(longest):
        full = min(60.0, 2.0**retries)
        assert full / 2 < delay <= full


def test_delays_are_jittered_by_up_to_half() -> None:
    policy = RetryPolicy(first_delay=8, longest_delay=60)
    delays = [policy.delay(0) for _ in range(500)]
    assert len(set(delays)) > 400
    assert 4 <= min(delays) < 5
    assert 7 < max(delays) <= 8


def test_a_delay_is_bounded_however_often_was_retried() -> None:
    policy = RetryPolicy()
    assert 0 < policy.delay(10_000) <= policy.longest_delay


@pytest.mark.parametrize("conflicts", range(AT_ONCE.immediate_tries))
def test_a_conflict_is_tried_again_at_once(conflicts: int) -> None:
    work = Attempts(*[conflict()] * conflicts)
    assert AT_ONCE.at_once(work) == "done"
    assert work.made == conflicts + 1


def test_the_last_of_too_many_conflicts_is_raised() -> None:
    work = Attempts(*[conflict(number) for number in range(1, 10)])
    with pytest.raises(VersionConflict, match=f"conflict {AT_ONCE.immediate_tries}"):
        AT_ONCE.at_once(work)
    assert work.made == AT_ONCE.immediate_tries


@pytest.mark.parametrize("error", [InvalidRequest(), DatabaseUnavailable(reason="gone"), ValueError("a defect")])
def test_only_a_conflict_is_tried_again_at_once(error: Exception) -> None:
    work = Attempts(error)
    with pytest.raises(type(error)):
        AT_ONCE.at_once(work)
    assert work.made == 1


def test_before_each_immediate_retry_is_a_pause_of_any_length_up_to_one_that_doubles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = RetryPolicy(immediate_tries=5, immediate_delay=1)
    pauses: list[float] = []
    monkeypatch.setattr("release_worker.worker.policy.time.sleep", pauses.append)
    for _ in range(500):
        policy.at_once(Attempts(*[conflict()] * 4))
    assert len(pauses) == 4 * 500
    for tries, longest in enumerate([2, 4, 8, 16]):
        mine = pauses[tries::4]
        assert 0 <= min(mine) < longest / 10
        assert longest * 0.9 < max(mine) <= longest
        assert len(set(mine)) > 400


def test_there_is_no_pause_where_nothing_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("release_worker.worker.policy.time.sleep", pauses.append)
    RetryPolicy().at_once(Attempts())
    with pytest.raises(DatabaseUnavailable):
        RetryPolicy().at_once(Attempts(DatabaseUnavailable(reason="gone")))
    with pytest.raises(VersionConflict):
        RetryPolicy(immediate_tries=1).at_once(Attempts(conflict()))
    assert pauses == []
