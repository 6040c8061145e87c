"""The simulation of the benchmarks does what the product guarantees, and its waits are those of queueing theory."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchmarks.simulation.deployment import Slots, simulate, slots
from benchmarks.simulation.history import Course, History, quantiles
from benchmarks.simulation.times import Times
from benchmarks.simulation.trace import Asked, Load, burst, together

TIMES = Times(
    release=(0.012, 0.014, 0.02, 0.05), rollback=(0.03, 0.04, 0.09), look=0.004, lead=0.008, speeds=(1.0, 0.8, 0.6)
)
BUSY = Load(toolsets=50, per_second=60, seconds=20, skew=1.1, rollbacks=0.2)
TIMES_APART = replace(TIMES, speeds=(1.0,) * 4)  # a core for each process
LONG = replace(TIMES, release=(3.0,), rollback=(4.0,))


def the_hot_and_the_others(seed: int) -> list[Asked]:
    """A busy time, in which one toolset is asked for 200 times at once, and then all of them."""
    return together(BUSY.requests(seed), burst(5.0, [1] * 200), burst(10.0, range(1, 51)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_whatever_is_asked_is_done_once_in_order_and_one_at_a_time_with_rollbacks_first(
    seed: int, processes: int
) -> None:
    history = simulate(the_hot_and_the_others(seed), TIMES, slots(processes), seed=seed)
    assert history.faults() == []
    assert history.abandoned == []
    assert sum(taken.message.queue == "rollbacks" for taken in history.taken) > 0


def test_turns_that_end_and_locks_that_stay_busy_lose_nothing_and_keep_the_order() -> None:
    """Requests of seconds: each waits longer for the lock than a task may, and the mailbox is longer than a turn."""
    history = simulate(burst(0.0, [1] * 15 + [2, 3]), LONG, slots(3))
    assert history.faults() == []
    assert any(taken.message.retries for taken in history.taken)


def test_what_waits_for_longer_than_patience_is_published_again_and_done_once() -> None:
    history = simulate(burst(0.0, [1] * 40), LONG, slots(2))
    assert history.faults() == []
    first_tries = [taken.message.request for taken in history.taken if not taken.message.retries]
    published = [request for request in first_tries if request is not None]
    assert len(published) > len(set(published)) == 40


def test_chores_wait_while_first_requests_of_toolsets_do_unless_a_process_serves_nothing_else() -> None:
    def sweeps(crew: Slots) -> int:
        taken = simulate(burst(0.0, range(60)), LONG, crew).taken
        waiting = max(one.at for one in taken if one.message.queue == "releases")
        return sum(one.message.queue == "maintenance" and one.at < waiting for one in taken)

    assert sweeps(slots(2)) == 0
    assert sweeps([*slots(2), *slots(1, ["maintenance"])]) > 10


def test_a_simulation_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    def waits(seed: int) -> Sequence[float]:
        return simulate(BUSY.requests(seed), TIMES, slots(2), seed=seed).waits("release")

    assert waits(1) == waits(1) != waits(2)


def test_a_rollback_does_not_wait_for_the_releases_of_other_toolsets() -> None:
    alone = simulate([Asked(1.0, 1_001, "rollback")], TIMES, slots(1))
    trace = together(burst(0.0, range(1_000)), [Asked(1.0, 1_001, "rollback")])
    behind = simulate(trace, TIMES, slots(1))
    [in_vain], [waited] = alone.waits("rollback"), behind.waits("rollback")
    assert waited - in_vain <= max(TIMES.release)


def test_the_first_request_of_a_toolset_passes_those_that_wait_behind_others_of_theirs() -> None:
    history = simulate(together(burst(0.0, [1] * 500), [Asked(1.0, 2, "release")]), TIMES, slots(2))
    [waited] = (course.waited for course in history.courses if course.asked.toolset == 2)
    assert waited < statistics.median(history.waits("release", lambda asked: asked.toolset == 1)) / 20


def test_a_flood_on_one_toolset_hardly_delays_the_others_popular_ones_included() -> None:
    """Also while the sweeper publishes again what waits for longer than patience."""
    others = Load(toolsets=1_000, per_second=60, seconds=30, skew=1.0).requests(seed=1)

    def p99(trace: Sequence[Asked]) -> float:
        history = simulate(trace, TIMES_APART, slots(4))
        assert history.faults() == []
        return quantiles(history.waits("release", lambda asked: asked.toolset != 1_001))[2]

    assert p99(together(others, burst(5.0, [1_001] * 1_000))) < 3 * p99(others)


def test_a_bulk_hardly_delays_single_requests() -> None:
    single = burst(1.0, [1_001, 1_002]) + burst(1.0, [1_003, 1_004], "rollback")
    history = simulate(together(burst(0.0, range(1_000), bulk=True), single), TIMES, slots(2))
    assert history.faults() == []
    assert max(course.waited for course in history.courses if not course.asked.bulk) < 0.2


def test_processes_for_rollbacks_alone_take_nothing_else() -> None:
    trace = together(burst(0.0, range(100)), burst(0.1, range(100, 120), "rollback"))
    history = simulate(trace, TIMES, [*slots(1, ["releases", "maintenance"]), *slots(1, ["rollbacks"])])
    assert history.faults() == []
    assert all(course.done for course in history.courses)


@pytest.mark.parametrize("utilization", [0.3, 0.6, 0.8])
def test_one_process_with_constant_times_waits_as_the_formula_of_pollaczek_and_khinchine_says(
    utilization: float,
) -> None:
    """M/D/1: utilization * service / (2 * (1 - utilization)). Toolsets are too many to meet each other."""
    service = 0.02
    times = Times(release=(service,), rollback=(service,), look=0.0, lead=0.0)
    load = Load(toolsets=200_000, per_second=utilization / service, seconds=300, skew=0.0, rollbacks=0.0)
    waits = simulate(load.requests(seed=4), times, slots(1)).waits("release")
    expected = utilization * service / (2 * (1 - utilization))
    assert statistics.mean(waits) == pytest.approx(expected, rel=0.1)


def test_what_is_at_work_together_shares_the_computer() -> None:
    """Two tasks at half speed end when one after the other would; with full speed, in half of the time."""

    def ends(*speeds: float) -> float:
        times = Times(release=(1.0,), rollback=(1.0,), look=0.0, lead=0.0, speeds=speeds)
        return max(course.finished or 0.0 for course in simulate(burst(0.0, [1, 2]), times, slots(2)).courses)

    assert ends(1.0, 0.5) == pytest.approx(2.0)
    assert ends(1.0, 1.0) == pytest.approx(1.0)
    assert ends(1.0) == pytest.approx(2.0)  # beyond what was measured, all together do no more


def test_popular_toolsets_are_asked_for_as_zipf_says() -> None:
    load = Load(toolsets=10_000, per_second=1_000, seconds=60, skew=1.0)
    asked = [request.toolset for request in load.requests(seed=1)]
    harmonic = sum(1 / rank for rank in range(1, 10_001))
    for rank in (1, 2, 10):
        assert asked.count(rank) / len(asked) == pytest.approx(1 / rank / harmonic, rel=0.1)


def _history(*spans: tuple[float, float]) -> History:
    """Requests of one toolset, with the times at which each was begun and done."""
    return History(
        [
            Course(number, Asked(0.0, 1, "release"), started, finished, times_done=1)
            for number, (started, finished) in enumerate(spans)
        ]
    )


def test_a_history_with_a_fault_is_convicted() -> None:
    assert _history((0, 1), (1, 2)).faults() == []
    assert _history((0, 2), (1, 3)).faults() == ["requests 0 and 1 were at work together"]
    assert _history((2, 3), (0, 1)).faults() == ["request 1 was begun before request 0"]
    lost = _history((0, 1))
    lost.courses[0].finished, lost.courses[0].times_done = None, 0
    assert lost.faults() == ["request 0 was done 0 times"]
    twice = _history((0, 1))
    twice.courses[0].times_done = 2
    assert twice.faults() == ["request 0 was done 2 times"]


def test_a_rollback_that_was_passed_by_is_convicted() -> None:
    history = simulate(together(burst(0.0, range(5)), burst(0.0, [9], "rollback")), TIMES, slots(1))
    release = next(taken for taken in history.taken if taken.message.queue == "releases")
    history.taken = [replace(release, rollbacks_waiting=1)]
    assert history.faults() == ["a message of releases was taken while 1 rollbacks waited"]


def test_quantiles_are_observed_values() -> None:
    assert quantiles([float(value) for value in range(1, 101)]) == (50.0, 95.0, 99.0)
