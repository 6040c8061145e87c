"""The harness stops where it says it does, sees who waits, and finds what careless transactions do to each other."""

from dataclasses import dataclass

from sqlalchemy import Engine, create_engine, text

from tests.interleavings.actions import Answer, Edit, Performance
from tests.interleavings.catalogue import OPERATIONS
from tests.interleavings.judge import judge
from tests.interleavings.outcome import read_outcome
from tests.interleavings.playing import interleave, play_serially
from tests.interleavings.scene import Scene
from tests.interleavings.stage import Stage
from tests.interleavings.trying import moments, try_pair

RELEASE = OPERATIONS[0]


def app(name: str, *statements: str, holds: bool = False) -> Edit:
    return Edit(name, "toolset", statements, frozenset(), holds=holds)


NAME = app("name", "UPDATE toolsets SET name = name || '!' WHERE id = :one")
NAME_BOTH = app(
    "name both",
    "UPDATE toolsets SET name = name || '!' WHERE id = :one",
    "UPDATE toolsets SET name = name || '!' WHERE id = :two",
)
NAME_BOTH_BACKWARDS = app("name both backwards", *reversed(NAME_BOTH.statements))


@dataclass(frozen=True)
class ReadThenWrite(Edit):
    """Writes what it read before, so that what came in between is lost."""

    def prepare(self, _engine: Engine, scene: Scene) -> Performance:
        def perform(own_engine: Engine, _put_off: object) -> Answer:
            with own_engine.begin() as connection:
                name = connection.execute(text("SELECT name FROM toolsets WHERE id = :one"), scene.ids).scalar_one()
                write = text("UPDATE toolsets SET name = :name WHERE id = :one")
                connection.execute(write, {**scene.ids, "name": f"{name}?"})
            return {"error": None}

        return perform


CARELESS = ReadThenWrite("careless", "toolset", (), frozenset())


def test_every_statement_and_the_commit_is_a_moment(stage: Stage) -> None:
    serial = play_serially(stage, NAME_BOTH, NAME)
    stops = [interleave(stage, NAME_BOTH, NAME, stop).stopped_before for stop in range(serial.moments)]
    assert [stop.split()[:2] for stop in stops] == [["0:", "UPDATE"], ["1:", "UPDATE"], ["2:", "COMMIT"]]


def test_the_second_runs_while_the_first_stands_still(stage: Stage) -> None:
    played = interleave(stage, CARELESS, NAME, 1)
    assert not played.held_up
    assert played.order == ("second", "first")
    assert played.outcome["live/one/settings"]["name"] == "One?"


def test_a_second_that_has_to_wait_lets_the_first_go_on(stage: Stage) -> None:
    played = interleave(stage, NAME_BOTH, NAME, 1)
    assert played.held_up
    assert played.order == ("first", "second")
    assert played.outcome["live/one/settings"]["name"] == "One!!"


def test_an_operation_that_is_put_off_lets_the_first_go_on(stage: Stage) -> None:
    serial = play_serially(stage, RELEASE, RELEASE)
    played = interleave(stage, RELEASE, RELEASE, serial.moments - 2)
    assert played.held_up
    assert played.outcome == serial.first_then_second


def test_a_lost_edit_is_found(stage: Stage) -> None:
    serial, findings = try_pair(stage, CARELESS, app("name too", *NAME.statements, holds=True))
    assert serial.first_then_second["live/one/settings"]["name"] == "One?!"
    assert [stop.split()[1] for stop in findings] == ["UPDATE"]


def test_a_deadlock_is_found(stage: Stage) -> None:
    """One of the two is the victim, or both would wait for ever."""
    serial = play_serially(stage, NAME_BOTH, NAME_BOTH_BACKWARDS)
    played = interleave(stage, NAME_BOTH, NAME_BOTH_BACKWARDS, 1)
    assert played.deadlocked
    complaints = judge(NAME_BOTH, NAME_BOTH_BACKWARDS, played, serial, {})
    assert complaints[0] == "both waited for each other"
    assert any("40P01 DeadlockDetected" in line for line in complaints)


def test_the_stage_is_put_back(stage: Stage) -> None:
    stage.reset()
    before = read_outcome(stage, {})
    play_serially(stage, RELEASE, NAME_BOTH)
    assert read_outcome(stage, {}) != before
    stage.reset()
    assert read_outcome(stage, {}) == before


def test_each_moment_is_tried_unless_the_mailbox_keeps_the_second_out(stage: Stage) -> None:
    rollback, neighbour = OPERATIONS[2], OPERATIONS[1]
    serial = play_serially(stage, rollback, neighbour)
    assert list(moments(rollback, neighbour, serial)) == list(range(serial.moments))
    assert list(moments(rollback, NAME, serial)) == list(range(serial.moments))
    assert len(list(moments(rollback, RELEASE, serial))) < serial.moments


def test_a_release_at_once_is_played_at_once(stage: Stage) -> None:
    by_name = {operation.name: operation for operation in OPERATIONS}
    moments_of = [play_serially(stage, by_name[name], NAME).moments for name in ("release two at once", "release two")]
    assert moments_of[0] < moments_of[1]


def test_a_worker_waits_half_as_long_as_postgresql_before_it_looks_for_deadlocks(stage: Stage) -> None:
    """Ten times as fast as in earnest, in the same proportion."""
    worker = stage.engine_of("first", "worker")
    with worker.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN; SET LOCAL lock_timeout = '500ms'")
        bounds = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ("lock_timeout", "deadlock_timeout")
        ]
        connection.exec_driver_sql("ROLLBACK")
    assert bounds == ["50ms", "100ms"]
    plain = create_engine(stage.engine.url)
    with plain.connect() as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "0"
    plain.dispose()
